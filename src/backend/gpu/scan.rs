//! Running sums and products along the last axis, a row to an invocation. Leans on index and stream.

use super::adapter::{Caps, TURNS};
use super::block;
use super::element::{self, Reg};
use super::index::Grid;
use super::kernel::Key;
use super::shader::Shader;
use super::stream::{Gpu, Job};
use crate::backend::launch::{FoldKind, Operand};
use crate::base::{Layout, Result};

pub fn run(gpu: &Gpu, kind: FoldKind, input: &Operand, out: &Operand) -> Result<()> {
    for dtype in [input.dtype, out.dtype] {
        gpu.needs(dtype)?;
    }
    if out.numel() == 0 {
        return Ok(());
    }
    let rank = out.layout.rank();
    let product = kind == FoldKind::Prod;
    let length = out.layout.shape[rank - 1];
    let rows = |x: &Operand| Layout::new(x.layout.shape[..rank - 1].into(), x.layout.strides[..rank - 1].into(), x.layout.offset);
    let grid = Grid::new(&[&rows(out), &rows(input)])?;
    let n = out.numel() / length;
    let mut words =
        vec![0, n as u32, length.min(TURNS) as u32, out.layout.strides[rank - 1] as u32, input.layout.strides[rank - 1] as u32, 0];
    grid.push(&mut words);
    let mut key = Key::new();
    key.extend([9, out.dtype as u64, input.dtype as u64, grid.key(), u64::from(product)]);
    let write = |caps: &Caps| {
        let mut shader = Shader::new("scan", caps);
        for word in ["n", "length", "to", "by", "first"] {
            shader.word(word);
        }
        grid.declare(&mut shader, "");
        shader.slot(out.dtype, true, element::lanes(out.dtype) > 1);
        shader.slot(input.dtype, false, false);
        let reg = Reg::of(out.dtype);
        let value = element::convert("get1(source)", input.dtype, out.dtype);
        let step = match (product, reg) {
            (true, _) => "acc = acc * v;",
            (false, Reg::F32) => {
                "let y = v - lost; let s = hold(acc + y); lost = hold(s - acc) - y; acc = s; if (!(abs(lost) < 1e30f)) { lost = 0.0f; }"
            }
            (false, _) => "acc = acc + v;",
        };
        shader.body = format!(
            "if (t >= p.n) {{ return; }}\n{}var into = i0 + p.first * p.to; var source = i1 + p.first * p.by;\nvar acc = {};\nvar lost = 0.0f;\nvar e = 0u;\n\
             if (p.first > 0u) {{ acc = get0(into - p.to); }}\n\
             loop {{\nif (e >= p.length) {{ break; }}\nlet v = {value};\n{step}\nput0(into, acc);\ninto = into + p.to; source = source + p.by; e = e + 1u;\n}}\n",
            grid.code("t", ""),
            reg.literal(if product { 1.0 } else { 0.0 }),
        );
        shader
    };
    let blocks = [block(out)?, block(input)?];
    // Rows longer than an invocation's turns go on in further dispatches.
    for first in (0..length).step_by(TURNS) {
        words[2] = TURNS.min(length - first) as u32;
        words[5] = first as u32;
        gpu.dispatch(&Job {
            key: key.clone(),
            write: &write,
            blocks: &blocks,
            params: &words,
            threads: n as u64,
            work: (n * TURNS.min(length)) as u64 * 8,
        })?;
    }
    Ok(())
}
