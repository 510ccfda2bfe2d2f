//! Kernels that see a whole row at a time: one invocation for each row, or a workgroup that brings its invocations' sums
//! together in subgroups or in memory of its own, always in one order. Leans on index and stream.

use super::adapter::{Caps, TURNS};
use super::block;
use super::element::{self, Reg};
use super::index::Grid;
use super::kernel::Key;
use super::pool::Block;
use super::shader::Shader;
use super::stream::{Gpu, Job};
use crate::backend::launch::Operand;
use crate::base::{DType, Few, Layout, Result};
use std::fmt::Write as _;

/// Invocations of a workgroup that share a row, and the elements from which a row is shared.
pub const GROUP: usize = 256;
const SHARED: usize = 64;

/// A row kernel: what it is called, its number among all, what it is told, and its text.
pub struct Rows<'a> {
    pub name: &'static str,
    pub code: u64,
    /// How many of the last axes are a row.
    pub folded: usize,
    /// Results and inputs: those with the axes of the rows alone have one element for each row.
    pub outs: &'a [&'a Operand],
    pub ins: &'a [&'a Operand],
    /// Words that the text names `p.w0`, `p.w1`...
    pub words: &'a [u32],
    /// How often the text goes over a row.
    pub passes: usize,
    /// Whether an index may be found out of range: `note_fault(index, size)` says so.
    pub finds: bool,
    /// Over inputs `x0(k)`... or, of one element, `x0()`; results `put_y0(k, v)`... or `put_y0(v)`. `first`, `step` and
    /// `p.count` walk a row; `all_sum(v)` and `all_max(v)` bring together what the invocations of a row have.
    pub text: &'a str,
}

/// A sum of many elements, compensated where it is float32.
pub fn adding(value: &str) -> String {
    format!(
        "{{ let y = {value} - lost; let s = hold(acc + y); lost = hold(s - acc) - y; acc = s; if (!(abs(lost) < 1e30f)) {{ lost = 0.0f; }} }}"
    )
}

/// Lines that go over a row.
pub fn each(lines: &str) -> String {
    format!("for (var k = first; k < p.count; k = k + step) {{\n{lines}\n}}\n")
}

/// Whether the elements of a row are few enough for a workgroup's turns.
pub fn serves(count: usize, passes: usize) -> bool {
    count.div_ceil(GROUP) * passes < TURNS / 2
}

struct Side {
    rows: Grid,
    columns: Option<Grid>,
    dtype: DType,
}

fn side(x: &Operand, kept: usize) -> Result<Side> {
    let cut = |range: std::ops::Range<usize>, offset: usize| {
        let (shape, strides): (Few<usize>, Few<isize>) =
            (range.clone().map(|i| x.layout.shape[i]).collect(), range.map(|i| x.layout.strides[i]).collect());
        Layout::new(shape, strides, offset)
    };
    let columns = if x.layout.rank() > kept { Some(Grid::new(&[&cut(kept..x.layout.rank(), 0)])?) } else { None };
    Ok(Side { rows: Grid::new(&[&cut(0..kept, x.layout.offset)])?, columns, dtype: x.dtype })
}

fn write(rows: &Rows, sides: &[Side], wide: bool, caps: &Caps) -> Shader {
    let mut shader = Shader::new(rows.name, caps);
    for word in ["rows", "count"] {
        shader.word(word);
    }
    for (j, side) in sides.iter().enumerate() {
        side.rows.declare(&mut shader, &format!("r{j}"));
        if let Some(columns) = &side.columns {
            columns.declare(&mut shader, &format!("c{j}"));
        }
    }
    (0..rows.words.len()).for_each(|k| drop(shader.word(&format!("w{k}"))));
    if rows.finds {
        shader.slot(DType::U8, true, true);
        shader.before += super::gather::NOTE;
    }
    let first = usize::from(rows.finds);
    let mut bases = String::new();
    for (j, side) in sides.iter().enumerate() {
        let out = j < rows.outs.len();
        shader.slot(side.dtype, out, out && element::lanes(side.dtype) > 1);
        let (slot, reg) = (first + j, Reg::of(side.dtype).name());
        let at = match &side.columns {
            Some(columns) => ("k: u32".to_string(), columns.code("k", &format!("c{j}")), format!("base{j} + c{j}i0")),
            None => (String::new(), String::new(), format!("base{j}")),
        };
        let _ = writeln!(shader.before, "var<private> base{j}: u32;");
        let _ = if out {
            let more = if at.0.is_empty() { "" } else { ", " };
            writeln!(shader.before, "fn put_y{j}({}{more}v: {reg}) {{\n{}put{slot}({}, v);\n}}", at.0, at.1, at.2)
        } else {
            let k = j - rows.outs.len();
            writeln!(shader.before, "fn x{k}({}) -> {reg} {{\n{}return get{slot}({});\n}}", at.0, at.1, at.2)
        };
        let _ = write!(bases, "{{\n{}base{j} = r{j}i0;\n}}\n", side.rows.code("row", &format!("r{j}")));
    }
    if !wide {
        shader.before += "fn all_sum(v: f32) -> f32 { return v; }\nfn all_max(v: f32) -> f32 { return v; }\n";
        shader.body = format!("if (t >= p.rows) {{ return; }}\nlet row = t; let first = 0u; let step = 1u;\n{bases}{}", rows.text);
        return shader;
    }
    shader.group = GROUP as u32;
    shader.before += "var<workgroup> shelf: array<f32, 256>;\nvar<private> own: u32;\n";
    shader.before += if caps.subgroups { IN_SUBGROUPS } else { IN_MEMORY };
    let lanes = if caps.subgroups { "sub_lane = subgroup_lane; sub = subgroup_number; subs = subgroup_count;\n" } else { "" };
    shader.subgroups = caps.subgroups;
    // The last row may be computed by several groups, which all write the same.
    shader.body = format!(
        "let row = min(place.y * groups.x + place.x, p.rows - 1u);\nown = lane;\n{lanes}let first = lane; let step = {GROUP}u;\n{bases}{}",
        rows.text
    );
    shader
}

const IN_MEMORY: &str = "\
fn all_sum(v: f32) -> f32 {
    shelf[own] = v;
    workgroupBarrier();
    for (var s = 128u; s > 0u; s = s >> 1u) { if (own < s) { shelf[own] = shelf[own] + shelf[own + s]; } workgroupBarrier(); }
    let all = shelf[0];
    workgroupBarrier();
    return all;
}
fn all_max(v: f32) -> f32 {
    shelf[own] = v;
    workgroupBarrier();
    for (var s = 128u; s > 0u; s = s >> 1u) { if (own < s) { shelf[own] = larger(shelf[own], shelf[own + s]); } workgroupBarrier(); }
    let all = shelf[0];
    workgroupBarrier();
    return all;
}
";

/// The extreme is taken of numbers that stand in the order of the floats, NaN above all: what a subgroup's own does with NaN
/// is nobody's promise.
const IN_SUBGROUPS: &str = "\
var<private> sub_lane: u32;
var<private> sub: u32;
var<private> subs: u32;
fn all_sum(v: f32) -> f32 {
    let part = subgroupAdd(v);
    if (sub_lane == 0u) { shelf[sub] = part; }
    workgroupBarrier();
    var all = 0.0f;
    for (var s = 0u; s < subs; s = s + 1u) { all = all + shelf[s]; }
    workgroupBarrier();
    return all;
}
fn all_max(v: f32) -> f32 {
    let bits = bitcast<u32>(v);
    let rank = select(select(bits | 0x80000000u, ~bits, (bits >> 31u) == 1u), 0xffffffffu, is_nan(v));
    let part = subgroupMax(rank);
    if (sub_lane == 0u) { shelf[sub] = bitcast<f32>(part); }
    workgroupBarrier();
    var best = 0u;
    for (var s = 0u; s < subs; s = s + 1u) { best = max(best, bitcast<u32>(shelf[s])); }
    workgroupBarrier();
    if (best == 0xffffffffu) { return no_number(); }
    return bitcast<f32>(select(~best, best & 0x7fffffffu, (best >> 31u) == 1u));
}
";

/// Runs it for every row.
pub fn run(gpu: &Gpu, rows: &Rows) -> Result<()> {
    let full = rows.ins.iter().chain(rows.outs).max_by_key(|o| o.layout.rank());
    let Some(full) = full else { return Ok(()) };
    let kept = full.layout.rank() - rows.folded;
    let n: usize = full.layout.shape[..kept].iter().product();
    let count: usize = full.layout.shape[kept..].iter().product();
    if n == 0 {
        return Ok(());
    }
    for x in rows.ins.iter().chain(rows.outs) {
        gpu.needs(x.dtype)?;
    }
    // Only a software adapter counts an invocation's turns.
    let wide = gpu.caps.wide && if gpu.caps.software { count * rows.passes > TURNS } else { count >= SHARED };
    let sides = rows.outs.iter().chain(rows.ins).map(|x| side(x, kept)).collect::<Result<Vec<_>>>()?;
    let mut words = vec![0, n as u32, count as u32];
    let mut key = Key::new();
    key.extend([20, rows.code, u64::from(wide)]);
    for side in &sides {
        side.rows.push(&mut words);
        let mut mark = side.rows.key() << 8 | side.dtype as u64;
        if let Some(columns) = &side.columns {
            columns.push(&mut words);
            mark |= columns.key() << 32 | 1 << 63;
        }
        key.push(mark);
    }
    words.extend(rows.words);
    let mut blocks: Vec<&Block> = if rows.finds { vec![&gpu.faults] } else { Vec::new() };
    for x in rows.outs.iter().chain(rows.ins) {
        blocks.push(block(x)?);
    }
    if rows.finds {
        gpu.suspect();
    }
    let threads = (n * if wide { GROUP } else { 1 }) as u64;
    let write = |caps: &Caps| write(rows, &sides, wide, caps);
    gpu.dispatch(&Job { key, write: &write, blocks: &blocks, params: &words, threads, work: (n * count * rows.passes) as u64 * 16 })
}

/// The texts of a kernel, for each row and for workgroups, with subgroups and without.
pub fn texts(rows: &Rows, caps: &Caps) -> Vec<String> {
    let full = rows.ins.iter().chain(rows.outs).map(|o| o.layout.rank()).max().unwrap_or(1);
    let sides: Result<Vec<Side>> = rows.outs.iter().chain(rows.ins).map(|x| side(x, full - rows.folded)).collect();
    let Ok(sides) = sides else { return Vec::new() };
    let text = |(wide, subgroups): (bool, bool)| {
        let caps = Caps { subgroups, ..caps.clone() };
        write(rows, &sides, wide, &caps).text(&caps)
    };
    [(false, false), (true, false), (true, true)].map(text).into()
}
