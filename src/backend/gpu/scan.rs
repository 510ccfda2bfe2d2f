//! Running sums and products along the last axis: a row to an invocation, or parts of long rows, to which what stands before
//! each is brought afterwards. Leans on index and stream.

use super::adapter::{Caps, TURNS};
use super::element::{self, Reg};
use super::index::Grid;
use super::kernel::Key;
use super::shader::Shader;
use super::stream::{Gpu, Job};
use super::{block, copy};
use crate::backend::launch::{FoldKind, Operand};
use crate::base::{DType, Layout, Result};

/// Rows that keep an adapter busy by themselves, and the fewest elements worth an invocation.
const BUSY: usize = 1 << 12;
const LEAST: usize = 64;

/// A row's places, without the axis that is gone along.
fn rows(x: &Operand) -> Layout {
    let rank = x.layout.rank();
    Layout::new(x.layout.shape[..rank - 1].into(), x.layout.strides[..rank - 1].into(), x.layout.offset)
}

fn step(x: &Operand) -> isize {
    x.layout.strides[x.layout.rank() - 1]
}

pub fn run(gpu: &Gpu, kind: FoldKind, input: &Operand, out: &Operand) -> Result<()> {
    for dtype in [input.dtype, out.dtype] {
        gpu.needs(dtype)?;
    }
    if out.numel() == 0 {
        return Ok(());
    }
    let rank = out.layout.rank();
    let length = out.layout.shape[rank - 1];
    let n = out.numel() / length;
    if !gpu.caps.software && n < BUSY && length >= 16 * LEAST {
        if out.dtype.is_short_float() {
            // Sums of parts are rounded once.
            let wide = gpu.scratch(&out.layout.shape, DType::F32)?;
            run(gpu, kind, input, &wide)?;
            return copy::copy(gpu, &wide, out);
        }
        let parts = (4 * BUSY / n).min(length / LEAST);
        return by_parts(gpu, kind, input, out, length.div_ceil(parts));
    }
    pass(gpu, kind, input, out, length)
}

/// The running sums of parts of `size` elements each, then those of the parts' ends, and these brought to what follows.
fn by_parts(gpu: &Gpu, kind: FoldKind, input: &Operand, out: &Operand, size: usize) -> Result<()> {
    pass(gpu, kind, input, out, size)?;
    let rank = out.layout.rank();
    let length = out.layout.shape[rank - 1];
    let ends = (length - 1) / size;
    if ends == 0 {
        return Ok(());
    }
    let mut last = out.layout.clone();
    last.shape[rank - 1] = ends;
    last.strides[rank - 1] *= size as isize;
    last.offset = (last.offset as isize + (size as isize - 1) * step(out)) as usize;
    let carried = gpu.scratch(&last.shape, out.dtype)?;
    run(gpu, kind, &out.view(last), &carried)?;
    let product = kind == FoldKind::Prod;
    let (grid, n) = (Grid::new(&[&rows(out), &rows(&carried)])?, out.numel() / length);
    let left = length - size;
    let mut words = vec![0, (n * left) as u32, left as u32, size as u32, step(out) as u32];
    grid.push(&mut words);
    let mut key = Key::new();
    key.extend([44, out.dtype as u64, grid.key(), u64::from(product)]);
    let write = |caps: &Caps| {
        let mut shader = Shader::new("scan_carried", caps);
        for word in ["n", "left", "size", "to"] {
            shader.word(word);
        }
        grid.declare(&mut shader, "");
        shader.slot(out.dtype, true, element::lanes(out.dtype) > 1);
        shader.slot(out.dtype, false, false);
        shader.body = format!(
            "if (t >= p.n) {{ return; }}\nlet row = t / p.left; let e = t % p.left;\n{}let into = i0 + (p.size + e) * p.to;\n\
             put0(into, get0(into) {} get1(i1 + e / p.size));\n",
            grid.code("row", ""),
            if product { "*" } else { "+" },
        );
        shader
    };
    let blocks = [block(out)?, block(&carried)?];
    gpu.dispatch(&Job { key, write: &write, blocks: &blocks, params: &words, threads: (n * left) as u64, work: (n * left) as u64 * 8 })
}

/// Each invocation goes along a part of so many elements of a row.
fn pass(gpu: &Gpu, kind: FoldKind, input: &Operand, out: &Operand, size: usize) -> Result<()> {
    let rank = out.layout.rank();
    let product = kind == FoldKind::Prod;
    let length = out.layout.shape[rank - 1];
    let parts = length.div_ceil(size);
    let grid = Grid::new(&[&rows(out), &rows(input)])?;
    let n = out.numel() / length;
    let mut words = vec![0, (n * parts) as u32, size.min(TURNS) as u32, step(out) as u32, step(input) as u32, 0];
    words.extend([parts, size, length].map(|w| w as u32));
    grid.push(&mut words);
    let mut key = Key::new();
    key.extend([9, out.dtype as u64, input.dtype as u64, grid.key(), u64::from(product)]);
    let write = |caps: &Caps| {
        let mut shader = Shader::new("scan", caps);
        for word in ["n", "turns", "to", "by", "first", "parts", "size", "length"] {
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
            "if (t >= p.n) {{ return; }}\nlet row = t / p.parts; let begin = t % p.parts * p.size + p.first;\n{}\
             var into = i0 + begin * p.to; var source = i1 + begin * p.by;\nvar acc = {};\nvar lost = 0.0f;\nvar e = 0u;\n\
             if (p.first > 0u) {{ acc = get0(into - p.to); }}\n\
             loop {{\nif (e >= p.turns || begin + e >= p.length) {{ break; }}\nlet v = {value};\n{step}\nput0(into, acc);\ninto = into + p.to; source = source + p.by; e = e + 1u;\n}}\n",
            grid.code("row", ""),
            reg.literal(if product { 1.0 } else { 0.0 }),
        );
        shader
    };
    let blocks = [block(out)?, block(input)?];
    // Rows longer than an invocation's turns go on in further dispatches.
    for first in (0..size).step_by(TURNS) {
        words[2] = TURNS.min(size - first) as u32;
        words[5] = first as u32;
        gpu.dispatch(&Job {
            key: key.clone(),
            write: &write,
            blocks: &blocks,
            params: &words,
            threads: (n * parts) as u64,
            work: (n * parts * TURNS.min(size)) as u64 * 8,
        })?;
    }
    Ok(())
}
