//! From an element's number to where each operand has it: layouts of one shape walked together. Leans on base's layouts.

use super::shader::Shader;
use crate::base::layout::Walk;
use crate::base::{Error, Layout, Result};
use std::fmt::Write as _;

/// How an operand's elements lie, as far as the shader's text depends on it.
#[derive(Clone, Debug, PartialEq)]
enum Way {
    /// One after the other.
    Dense,
    /// One for all.
    Same,
    Strided(Vec<u32>),
}

/// Operands under one shape, with neighbouring axes merged as far as all of them allow.
#[derive(Clone, Debug)]
pub struct Grid {
    sizes: Vec<u32>,
    ways: Vec<Way>,
    offsets: Vec<u32>,
}

impl Grid {
    pub fn new(layouts: &[&Layout]) -> Result<Grid> {
        let n = layouts[0].numel();
        let far = |l: &&&Layout| l.span().1 > i32::MAX as isize;
        if n > i32::MAX as usize || layouts.iter().any(|l| far(&l)) {
            return Err(Error::memory(
                "gpu",
                "a tensor of more than 2147483647 elements cannot be addressed on a GPU; split it, or use .cpu()",
            ));
        }
        let walk = Walk::new(layouts);
        let rank = walk.shape.len();
        let ways: Vec<Way> = walk
            .strides
            .iter()
            .map(|s| match () {
                () if s.iter().all(|&s| s == 0) => Way::Same,
                () if rank == 1 && s[0] == 1 => Way::Dense,
                () => Way::Strided(s.iter().map(|&s| s as u32).collect()),
            })
            .collect();
        let sizes = walk.shape.iter().map(|&n| n as u32).collect();
        Ok(Grid { sizes, ways, offsets: layouts.iter().map(|l| l.offset as u32).collect() })
    }

    /// What of it the text depends on.
    pub fn key(&self) -> u64 {
        let kind = |way: &Way| match way {
            Way::Dense => 0,
            Way::Same => 1,
            Way::Strided(_) => 2,
        };
        self.ways.iter().fold(self.sizes.len() as u64, |key, way| key << 2 | kind(way))
    }

    /// Whether every operand is dense or one number.
    pub fn is_straight(&self) -> bool {
        !self.ways.iter().any(|w| matches!(w, Way::Strided(_)))
    }

    /// Names the parameters.
    pub fn declare(&self, shader: &mut Shader, prefix: &str) {
        if !self.is_straight() {
            for axis in 1..self.sizes.len() {
                shader.word(&format!("{prefix}d{axis}"));
            }
        }
        for (k, way) in self.ways.iter().enumerate() {
            shader.word(&format!("{prefix}o{k}"));
            if let Way::Strided(strides) = way {
                for axis in 0..strides.len() {
                    shader.word(&format!("{prefix}s{k}_{axis}"));
                }
            }
        }
    }

    /// Their values, in the same order.
    pub fn push(&self, params: &mut Vec<u32>) {
        if !self.is_straight() {
            params.extend(&self.sizes[1..]);
        }
        for (way, &offset) in self.ways.iter().zip(&self.offsets) {
            params.push(offset);
            if let Way::Strided(strides) = way {
                params.extend(strides);
            }
        }
    }

    /// Lines that say where element `e` of operand `k` lies: `{prefix}i{k}`.
    pub fn code(&self, e: &str, prefix: &str) -> String {
        let mut text = String::new();
        let rank = self.sizes.len();
        if !self.is_straight() {
            let mut rest = e.to_string();
            for axis in (1..rank).rev() {
                // A remainder from its quotient: drivers that compute on the processor divide one by one.
                let (size, quotient) = (format!("p.{prefix}d{axis}"), format!("{prefix}r{axis}"));
                let _ = writeln!(text, "let {quotient} = {rest} / {size}; let {prefix}c{axis} = {rest} - {quotient} * {size};");
                rest = quotient;
            }
            let _ = writeln!(text, "let {prefix}c0 = {rest};");
        }
        for (k, way) in self.ways.iter().enumerate() {
            let at = match way {
                Way::Dense => format!("p.{prefix}o{k} + {e}"),
                Way::Same => format!("p.{prefix}o{k}"),
                Way::Strided(strides) => {
                    let steps: String = (0..strides.len()).map(|axis| format!(" + {prefix}c{axis} * p.{prefix}s{k}_{axis}")).collect();
                    format!("p.{prefix}o{k}{steps}")
                }
            };
            let _ = writeln!(text, "let {prefix}i{k} = {at};");
        }
        text
    }
}
