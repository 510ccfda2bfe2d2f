//! Elements moved, converted, or set to one number: maps with the shortest formulas. Leans on map.

use super::stream::Gpu;
use super::{element, map};
use crate::backend::launch::{MapBody, Operand};
use crate::base::{DType, Layout, Number, Result};
use crate::formula::Formula;
use crate::formula::paper::{Line, Word};

fn same() -> Formula {
    Formula { lines: vec![Line::Input(0)], outputs: vec![0] }
}
fn given() -> Formula {
    Formula { lines: vec![Line::Param(0)], outputs: vec![0] }
}

fn scaled() -> Formula {
    Formula { lines: vec![Line::Input(0), Line::Param(0), Line::Apply(Word::Mul, vec![0, 1])], outputs: vec![2] }
}
fn sum() -> Formula {
    Formula { lines: vec![Line::Input(0), Line::Input(1), Line::Apply(Word::Add, vec![0, 1])], outputs: vec![2] }
}

pub static SAME: MapBody = MapBody { inputs: 1, params: 0, outputs: 1, truth: false, formula: same, native: |_| None };
pub static SUM: MapBody = MapBody { inputs: 2, params: 0, outputs: 1, truth: false, formula: sum, native: |_| None };
static SCALED: MapBody = MapBody { inputs: 1, params: 1, outputs: 1, truth: false, formula: scaled, native: |_| None };
pub static GIVEN: MapBody = MapBody { inputs: 0, params: 1, outputs: 1, truth: false, formula: given, native: |_| None };

/// Elements of two words as pairs of words, for adapters without their types.
fn pairs(x: &Operand) -> Operand {
    let shape = x.layout.shape.iter().copied().chain([2]).collect();
    let strides = x.layout.strides.iter().map(|&s| 2 * s).chain([1]).collect();
    Operand { storage: x.storage.clone(), layout: Layout::new(shape, strides, 2 * x.layout.offset), dtype: DType::I32 }
}

pub fn copy(gpu: &Gpu, src: &Operand, dst: &Operand) -> Result<()> {
    if src.dtype == dst.dtype && element::lacking(src.dtype, &gpu.caps) && src.storage.is_away() {
        return copy(gpu, &pairs(src), &pairs(dst));
    }
    map::run(gpu, &SAME, dst.dtype, &[], std::slice::from_ref(src), std::slice::from_ref(dst))
}

pub fn fill(gpu: &Gpu, dst: &Operand, value: Number) -> Result<()> {
    map::run(gpu, &GIVEN, dst.dtype, &[value.filling(dst.dtype)], &[], std::slice::from_ref(dst))
}

/// `x *= factor`
pub fn scale(gpu: &Gpu, x: &Operand, factor: Number) -> Result<()> {
    let own = std::slice::from_ref(x);
    map::run(gpu, &SCALED, x.dtype.compute(), &[factor], own, own)
}
