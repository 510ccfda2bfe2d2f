//! Rows by the order of their elements: each element counts how many come before it, and so knows its place; sorted rows
//! are searched by halves. Leans on index, bitonic and stream.

use super::adapter::{Caps, TURNS};
use super::element::{self, Reg};
use super::index::Grid;
use super::kernel::Key;
use super::shader::Shader;
use super::stream::{Gpu, Job};
use super::{bitonic, block};
use crate::backend::launch::{Operand, Order};
use crate::base::{DType, Layout, Result};

/// The longest row whose elements are counted against each other.
const LONGEST: usize = TURNS;

/// The longest row whose elements are counted where passes over all of them could be made instead.
const COUNTED: usize = 1 << 12;

/// A key whose order is the elements' own: NaN is above all, zeros of both signs are equal.
pub fn key_function(dtype: DType) -> (&'static str, String) {
    let (name, text) = match Reg::of(dtype) {
        Reg::I32 => ("u32", "return bitcast<u32>(x) ^ 0x80000000u;".to_string()),
        Reg::I64 => ("u64", "return bitcast<u64>(x) ^ (9223372036854775807lu + 1lu);".into()),
        Reg::F32 => (
            "u32",
            "if (is_nan(x)) { return 0xffffffffu; }\nlet b = select(bitcast<u32>(x), 0u, x == 0.0f);\n\
             return select(b ^ 0x80000000u, ~b, (b >> 31u) == 1u);"
                .into(),
        ),
        _ => (
            "u64",
            "if (is_nan_f64(x)) { return ~0lu; }\nlet top = 9223372036854775807lu + 1lu;\n\
             let b = select(bitcast<u64>(x), 0lu, x == 0.0lf);\nreturn select(b ^ top, ~b, (b & top) == top);"
                .into(),
        ),
    };
    (name, format!("fn key_of(x: {}) -> {name} {{\n{text}\n}}\n", Reg::of(dtype).name()))
}

pub fn rows(x: &Operand) -> Layout {
    let rank = x.layout.rank();
    Layout::new(x.layout.shape[..rank - 1].into(), x.layout.strides[..rank - 1].into(), x.layout.offset)
}

pub fn step(x: &Operand) -> u32 {
    x.layout.strides.last().map_or(1, |&s| s as u32)
}

/// An operand with at least one axis.
fn wide(x: &Operand) -> Operand {
    if x.layout.rank() == 0 { x.view(x.layout.insert_axis(0)) } else { x.clone() }
}

pub fn run(gpu: &Gpu, order: Order, input: &Operand, values: &Operand, places: &Operand) -> Result<()> {
    let (input, values, places) = (&wide(input), &wide(values), &wide(places));
    for x in [input, values, places] {
        gpu.needs(x.dtype)?;
    }
    let n = *input.layout.shape.last().unwrap_or(&1);
    let m = *values.layout.shape.last().unwrap_or(&1);
    if values.numel() == 0 || n == 0 {
        return Ok(());
    }
    if order == Order::Mode {
        return Err(gpu.missing("has no kernel", "use another order"));
    }
    // A driver that computes on the processor is slower at so many passes than the processor itself.
    let in_passes = !gpu.caps.software && !matches!(order, Order::Running { .. });
    if in_passes && n > COUNTED {
        return bitonic::run(gpu, order, input, values, places);
    }
    if n > LONGEST {
        return Err(gpu.missing(&format!("has no kernel for rows of more than {LONGEST} elements"), "use shorter rows"));
    }
    // Every element meets all others of its row: many rows are more than a driver waits for in one dispatch.
    let axis = (0..input.layout.rank() - 1).find(|&axis| input.layout.shape[axis] > 1);
    if let Some(axis) = axis.filter(|_| (input.numel() * n) as u64 * 4 > gpu.much()) {
        let size = input.layout.shape[axis];
        return [(0, size / 2), (size / 2, size - size / 2)].into_iter().try_for_each(|(start, count)| {
            let half = |x: &Operand| x.view(x.layout.slice(axis, start, count, 1));
            run(gpu, order, &half(input), &half(values), &half(places))
        });
    }
    let grid = Grid::new(&[&rows(input), &rows(values), &rows(places)])?;
    let count = values.numel() / m;
    let (turn, kind, nth) = match order {
        Order::Sorted { descending } => (descending, 0, 0),
        Order::Nth(k) => (false, 1, k.min(n - 1)),
        Order::Median { skip_nan } => (false, if skip_nan { 3 } else { 2 }, 0),
        Order::Running { largest } => (!largest, 4, 0),
        Order::Mode => (false, 5, 0),
    };
    let mut words = vec![0, count as u32, n as u32, m as u32, nth as u32, step(input), step(values), step(places)];
    grid.push(&mut words);
    let mut key = Key::new();
    key.extend([11, kind, u64::from(turn), input.dtype as u64, values.dtype as u64, places.dtype as u64, grid.key()]);
    let write = |caps: &Caps| {
        let mut shader = Shader::new("order", caps);
        for word in ["rows", "n", "m", "nth", "by", "to", "at"] {
            shader.word(word);
        }
        grid.declare(&mut shader, "");
        shader.slot(values.dtype, true, element::lanes(values.dtype) > 1);
        shader.slot(places.dtype, true, element::lanes(places.dtype) > 1);
        shader.slot(input.dtype, false, false);
        let (name, function) = key_function(input.dtype);
        let flip = if turn { "~" } else { "" };
        let place = |i: &str| element::change(&format!("i32({i})"), Reg::I32, Reg::of(places.dtype));
        let value = |i: &str| element::change(&format!("get2(i0 + {i} * p.by)"), Reg::of(input.dtype), Reg::of(values.dtype));
        let put = |i: &str, slot: &str| format!("put0(i1 + {slot} * p.to, {}); put1(i2 + {slot} * p.at, {});", value(i), place(i));
        shader.before = function;
        if kind == 4 {
            // NaN stays once it was met; of equal ones the last counts.
            shader.body = format!(
                "if (t >= p.rows) {{ return; }}\n{}let nan = {name}(0) - {name}(1);\nvar best = key_of(get2(i0)); var spot = 0u; var e = 0u;\n\
                 loop {{\nif (e >= p.n) {{ break; }}\nlet k = key_of(get2(i0 + e * p.by));\n\
                 if (k == nan || (best != nan && {flip}k >= {flip}best)) {{ best = k; spot = e; }}\n{}\ne = e + 1u;\n}}\n",
                grid.code("t", ""),
                put("spot", "e")
            );
            return shader;
        }
        let wanted = match kind {
            0 => format!("if (rank < p.m) {{ {} }}", put("own", "rank")),
            1 => format!("if (rank == p.nth) {{ {} }}", put("own", "0u")),
            2 => format!("if (rank == select((p.n - 1u) / 2u, p.n - nans, nans > 0u)) {{ {} }}", put("own", "0u")),
            _ => format!("if (rank == select((p.n - nans - 1u) / 2u, 0u, nans == p.n)) {{ {} }}", put("own", "0u")),
        };
        shader.body = format!(
            "if (t >= p.rows * p.n) {{ return; }}\nlet row = t / p.n; let own = t % p.n;\n{}let nan = {name}(0) - {name}(1);\n\
             let mine = {flip}key_of(get2(i0 + own * p.by));\nvar rank = 0u; var nans = 0u; var e = 0u;\n\
             loop {{\nif (e >= p.n) {{ break; }}\nlet raw = key_of(get2(i0 + e * p.by)); let k = {flip}raw;\n\
             if (k < mine || (k == mine && e < own)) {{ rank = rank + 1u; }}\nif (raw == nan) {{ nans = nans + 1u; }}\ne = e + 1u;\n}}\n{wanted}\n",
            grid.code("row", "")
        );
        shader
    };
    let blocks = [block(values)?, block(places)?, block(input)?];
    let threads = if kind == 4 { count } else { count * n };
    gpu.dispatch(&Job { key, write: &write, blocks: &blocks, params: &words, threads: threads as u64, work: (threads * n) as u64 * 4 })
}

/// For each value its place among the sorted elements of the same row; one row of sorted elements serves all rows.
pub fn search(gpu: &Gpu, sorted: &Operand, values: &Operand, right: bool, out: &Operand) -> Result<()> {
    let (values, out) = (&wide(values), &wide(out));
    for x in [sorted, values, out] {
        gpu.needs(x.dtype)?;
    }
    if out.numel() == 0 {
        return Ok(());
    }
    // Both sides are compared in one type.
    let common = sorted.dtype.promote(values.dtype);
    let n = *sorted.layout.shape.last().unwrap_or(&1);
    let m = *values.layout.shape.last().unwrap_or(&1);
    let shared = sorted.layout.rank() == 1;
    let edges = if shared {
        Layout::new(rows(values).shape, rows(values).strides.iter().map(|_| 0).collect(), sorted.layout.offset)
    } else {
        rows(sorted)
    };
    let grid = Grid::new(&[&rows(out), &rows(values), &edges])?;
    let count = out.numel();
    let mut words = vec![0, count as u32, n as u32, m as u32, step(out), step(values), step(sorted)];
    grid.push(&mut words);
    let mut key = Key::new();
    key.extend([12, u64::from(right), out.dtype as u64, values.dtype as u64, sorted.dtype as u64, grid.key()]);
    let write = |caps: &Caps| {
        let mut shader = Shader::new("search", caps);
        for word in ["count", "n", "m", "to", "by", "along"] {
            shader.word(word);
        }
        grid.declare(&mut shader, "");
        shader.slot(out.dtype, true, element::lanes(out.dtype) > 1);
        shader.slot(values.dtype, false, false);
        shader.slot(sorted.dtype, false, false);
        let (_, function) = key_function(common);
        shader.before = function;
        let compare = if right { "<=" } else { "<" };
        let asked = element::convert("get1(i1 + own * p.by)", values.dtype, common);
        let edge = element::convert("get2(i2 + middle * p.along)", sorted.dtype, common);
        let found = element::change("i32(low)", Reg::I32, Reg::of(out.dtype));
        shader.body = format!(
            "if (t >= p.count) {{ return; }}\nlet row = t / p.m; let own = t % p.m;\n{}let mine = key_of({asked});\n\
             var low = 0u; var high = p.n;\nloop {{\nif (low >= high) {{ break; }}\nlet middle = (low + high) / 2u;\n\
             if (key_of({edge}) {compare} mine) {{ low = middle + 1u; }} else {{ high = middle; }}\n}}\nput0(i0 + own * p.to, {found});\n",
            grid.code("row", "")
        );
        shader
    };
    let blocks = [block(out)?, block(values)?, block(sorted)?];
    gpu.dispatch(&Job { key, write: &write, blocks: &blocks, params: &words, threads: count as u64, work: count as u64 * 64 })
}
