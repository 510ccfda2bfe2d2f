//! Elements read from, and written to, places that other tensors name, with the same result whatever runs first.
//! Leans on index and stream.

use super::adapter::{Caps, TURNS};
use super::element::{self, Reg};
use super::index::Grid;
use super::kernel::Key;
use super::pool::Block;
use super::shader::Shader;
use super::split::ALIGN;
use super::stream::{Gpu, Job};
use super::{block, copy};
use crate::backend::launch::{FoldKind, Operand, Pick};
use crate::base::{DType, Layout, Number, Result};
use std::fmt::Write as _;
use std::sync::Arc;

/// Lines that add each index's step to `at`; an index out of range is noted, and `bad` set.
fn places(shader: &mut Shader, picks: &[Pick], first: usize, prefix: &str) -> String {
    let mut text = "var bad = false;\n".to_string();
    for (k, pick) in picks.iter().enumerate() {
        let (size, step) = (shader.word(&format!("n{k}")), shader.word(&format!("w{k}")));
        let slot = shader.slot(pick.index.dtype, false, false);
        let raw = format!("get{slot}({prefix}i{})", first + k);
        // What does not fit 32 bits is out of range, and must stay so.
        let raw = if pick.index.dtype == DType::I64 { format!("clamp({raw}, i64(-2147483647i), i64(2147483647i))") } else { raw };
        let value = element::change(&raw, Reg::of(pick.index.dtype), Reg::I32);
        let first = if pick.wraps { format!("-i32({size})") } else { "0i".into() };
        let _ = writeln!(
            text,
            "var j{k} = {value};\nif (j{k} < {first} || j{k} >= i32({size})) {{ bad = true; note_fault(j{k}, {size}); j{k} = 0i; }}\n\
             if (j{k} < 0i) {{ j{k} += i32({size}); }}\nat += u32(j{k}) * {step};"
        );
    }
    text
}

pub const NOTE: &str = "fn note_fault(i: i32, n: u32) { if (atomicExchange(&b0[0], 1u) == 0u) { atomicStore(&b0[1], bitcast<u32>(i)); \
                    atomicStore(&b0[2], n); } }\n";

fn push(words: &mut Vec<u32>, picks: &[Pick]) {
    for pick in picks {
        words.extend([pick.size as u32, pick.stride as u32]);
    }
}

fn check(gpu: &Gpu, operands: &[&Operand], picks: &[Pick]) -> Result<()> {
    for x in operands {
        gpu.holds(x.dtype)?;
    }
    picks.iter().try_for_each(|pick| gpu.needs(pick.index.dtype))
}

/// `out[...] = source[indices]`; the source's layout has the output's shape, with stride 0 where an index decides.
pub fn gather(gpu: &Gpu, source: &Operand, picks: &[Pick], out: &Operand) -> Result<()> {
    check(gpu, &[source, out], picks)?;
    if out.numel() == 0 {
        return Ok(());
    }
    if element::lanes(out.dtype) > 1 {
        // Narrow elements go by way of words of their own.
        let wide = gpu.scratch(&out.layout.shape, if out.dtype.is_float() { DType::F32 } else { DType::I32 })?;
        gather(gpu, source, picks, &wide)?;
        return copy::copy(gpu, &wide, out);
    }
    shards(gpu, source).try_for_each(|shard| gathered_from(gpu, source, shard, picks, out))
}

/// Elements of a storage that a kernel can be bound to at a time: the first, and how many; all of them where they fit.
fn shards(gpu: &Gpu, x: &Operand) -> impl Iterator<Item = (usize, usize)> {
    let room = x.storage.len() / x.dtype.size();
    // Lists of numbers, one for each element, are bound too.
    let most = (gpu.caps.max_binding as usize / x.dtype.size().max(4)).max(ALIGN) / ALIGN * ALIGN;
    let step = if (x.storage.len() as u64) <= gpu.caps.max_binding { room } else { most };
    (0..room.max(1)).step_by(step.max(1)).map(move |first| (first, step.min(room - first)))
}

/// The words that tell a kernel of its shard, and lines that leave it to what lies there.
const PART: [&str; 2] = ["first", "count"];
const IN_PART: &str = "if (bad) { at = p.first; }\nat = at - p.first;\nif (at >= p.count) { return; }\n";

/// The part of a block that a shard is.
fn shard_of(x: &Operand, (first, count): (usize, usize)) -> Result<Block> {
    let (whole, size) = (block(x)?, x.dtype.size());
    Ok(if count * size >= x.storage.len() { whole.clone() } else { whole.part(first * size, count * size) })
}

/// What of the output lies in one shard of the source.
fn gathered_from(gpu: &Gpu, source: &Operand, shard: (usize, usize), picks: &[Pick], out: &Operand) -> Result<()> {
    let from = shard_of(source, shard)?;
    let parted = from.is_part();
    let layouts: Vec<&Layout> = [&out.layout, &source.layout].into_iter().chain(picks.iter().map(|p| &p.index.layout)).collect();
    let grid = Grid::new(&layouts)?;
    let mut words = vec![0, out.numel() as u32];
    grid.push(&mut words);
    push(&mut words, picks);
    if parted {
        words.extend([shard.0 as u32, shard.1 as u32]);
    }
    let mut key = Key::new();
    key.extend([
        5,
        out.dtype as u64,
        source.dtype as u64,
        picks.first().map_or(0, |p| p.index.dtype as u64 | u64::from(p.wraps) << 8),
        grid.key(),
        picks.len() as u64 | u64::from(parted) << 8,
    ]);
    let write = |caps: &Caps| {
        let mut shader = Shader::new("gather", caps);
        shader.word("n");
        grid.declare(&mut shader, "");
        shader.slot(DType::U8, true, true);
        shader.slot(out.dtype, true, false);
        shader.slot(source.dtype, false, false);
        let steps = places(&mut shader, picks, 2, "");
        let (reg, value) = (Reg::of(out.dtype), element::change("get2(at)", Reg::of(source.dtype), Reg::of(out.dtype)));
        let part = if parted { IN_PART } else { "" };
        for word in PART.iter().filter(|_| parted) {
            shader.word(word);
        }
        shader.before = NOTE.into();
        shader.body = format!(
            "if (t >= p.n) {{ return; }}\n{}var at = i1;\n{steps}{part}var v = {};\nif (!bad) {{ v = {value}; }}\nput1(i0, v);\n",
            grid.code("t", ""),
            reg.zero()
        );
        shader
    };
    let mut blocks: Vec<&Block> = vec![&gpu.faults, block(out)?, &from];
    for pick in picks {
        blocks.push(block(&pick.index)?);
    }
    gpu.suspect();
    gpu.dispatch(&Job { key, write: &write, blocks: &blocks, params: &words, threads: out.numel() as u64, work: out.numel() as u64 * 16 })
}

/// For each value the number of the element of the target's storage that it goes to; out of range: all ones.
fn targets(gpu: &Gpu, target: &Operand, picks: &[Pick]) -> Result<Operand> {
    let n = target.numel();
    let out = gpu.scratch(&[n], DType::I32)?;
    let shaped = out.view(Layout::contiguous(target.layout.shape.clone()));
    let layouts: Vec<&Layout> = [&shaped.layout, &target.layout].into_iter().chain(picks.iter().map(|p| &p.index.layout)).collect();
    let grid = Grid::new(&layouts)?;
    let mut words = vec![0, n as u32];
    grid.push(&mut words);
    push(&mut words, picks);
    let mut key = Key::new();
    key.extend([6, picks.first().map_or(0, |p| p.index.dtype as u64 | u64::from(p.wraps) << 8), grid.key(), picks.len() as u64]);
    let write = |caps: &Caps| {
        let mut shader = Shader::new("places", caps);
        shader.word("n");
        grid.declare(&mut shader, "");
        shader.slot(DType::U8, true, true);
        shader.slot(DType::I32, true, false);
        let steps = places(&mut shader, picks, 2, "");
        shader.before = NOTE.into();
        shader.body = format!(
            "if (t >= p.n) {{ return; }}\n{}var at = i1;\n{steps}put1(i0, select(bitcast<i32>(at), -1i, bad));\n",
            grid.code("t", "")
        );
        shader
    };
    let mut blocks: Vec<&Block> = vec![&gpu.faults, block(&out)?];
    for pick in picks {
        blocks.push(block(&pick.index)?);
    }
    gpu.suspect();
    gpu.dispatch(&Job { key, write: &write, blocks: &blocks, params: &words, threads: n as u64, work: n as u64 * 16 })?;
    Ok(out)
}

/// What becomes of several values for one place.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Join {
    /// The last stays.
    Last,
    Sum,
    Prod,
    Max,
    Min,
}

/// `target[indices] = values`, or `+=`; of values for one place the last stays, or they are added in order.
pub fn scatter(gpu: &Gpu, target: &Operand, picks: &[Pick], values: &Operand, add: bool) -> Result<()> {
    joined(gpu, target, picks, values, if add { Join::Sum } else { Join::Last })
}

/// As `scatter` with one index, by product or extreme instead of sum.
pub fn merge(gpu: &Gpu, kind: FoldKind, target: &Operand, pick: &Pick, values: &Operand) -> Result<()> {
    let join = match kind {
        FoldKind::Prod => Join::Prod,
        FoldKind::Max => Join::Max,
        _ => Join::Min,
    };
    joined(gpu, target, std::slice::from_ref(pick), values, join)
}

/// Values that may be hung into one list. A list is put in order by one invocation, which no driver waits for long, and
/// whose turns a software adapter counts.
const LONGEST: usize = 1 << 12;
const LONGEST_IN_SOFTWARE: usize = 1 << 10;

/// How many values that follow one another never go to one place twice: those along last axes that no index knows.
fn apart(target: &Operand, picks: &[Pick]) -> usize {
    let l = &target.layout;
    let own = |i: &usize| l.strides[*i] != 0 && picks.iter().all(|p| p.index.layout.strides[*i] == 0 || p.index.layout.shape[*i] == 1);
    (0..l.rank()).rev().take_while(|i| own(i) || l.shape[*i] == 1).map(|i| l.shape[i]).product()
}

fn joined(gpu: &Gpu, target: &Operand, picks: &[Pick], values: &Operand, join: Join) -> Result<()> {
    check(gpu, &[target, values], picks)?;
    if !matches!(join, Join::Last | Join::Sum) {
        gpu.needs(target.dtype)?;
    }
    let n = values.numel();
    if n == 0 {
        return Ok(());
    }
    let places = targets(gpu, target, picks)?;
    let parts = shards(gpu, target).map(|shard| shard_of(target, shard)).collect::<Result<Vec<Block>>>()?;
    let room = shards(gpu, target).next().map_or(0, |shard| shard.1);
    let (heads, next) = (gpu.scratch(&[room], DType::I32)?, gpu.scratch(&[n], DType::I32)?);
    let dense = if values.layout.is_contiguous() && values.storage.is_away() && !Arc::ptr_eq(&values.storage, &target.storage) {
        values.clone()
    } else {
        let own = gpu.scratch(&values.layout.shape, values.dtype)?;
        copy::copy(gpu, values, &own)?;
        own
    };
    let longest = match (gpu.caps.software, join) {
        (true, Join::Last) => TURNS,
        (true, _) => LONGEST_IN_SOFTWARE,
        // A list that is not put in order is gone through once.
        (false, Join::Last) => LONGEST * 16,
        (false, _) => LONGEST,
    };
    let together = longest.saturating_mul(apart(target, picks));
    for first in (0..n).step_by(together) {
        let count = together.min(n - first);
        for (shard, own) in shards(gpu, target).zip(&parts) {
            copy::fill(gpu, &heads, Number::Int(-1))?;
            link(gpu, &places, &heads, &next, (first, count), shard)?;
            gathered(gpu, (target, own), &heads, &next, &dense, shard.1, join)?;
        }
    }
    Ok(())
}

/// A list for every place: values hang themselves in by exchanging its head, in whatever order they come.
fn link(gpu: &Gpu, places: &Operand, heads: &Operand, next: &Operand, (first, n): (usize, usize), shard: (usize, usize)) -> Result<()> {
    let mut key = Key::new();
    key.extend([7]);
    let write = |caps: &Caps| {
        let mut shader = Shader::new("link", caps);
        shader.word("n");
        for word in ["begin", PART[0], PART[1]] {
            shader.word(word);
        }
        shader.slot(DType::U8, true, true);
        shader.slot(DType::I32, true, false);
        shader.slot(DType::I32, false, false);
        // Below the shard it wraps, and is past its end as well.
        shader.body = "if (t >= p.n) { return; }\nlet e = p.begin + t;\nlet own = get2(e);\nlet at = u32(own) - p.first;\n\
                       if (own == -1i || at >= p.count) { return; }\nput1(e, bitcast<i32>(atomicExchange(&b0[at], e)));\n"
            .into();
        shader
    };
    let blocks = [block(heads)?, block(next)?, block(places)?];
    let params = [0, n as u32, first as u32, shard.0 as u32, shard.1 as u32];
    gpu.dispatch(&Job { key, write: &write, blocks: &blocks, params: &params, threads: n as u64, work: n as u64 * 8 })
}

/// Every place takes the values of its list by rising number: lists come in any order, what is made of them does not.
fn gathered(
    gpu: &Gpu,
    (target, own): (&Operand, &Block),
    heads: &Operand,
    next: &Operand,
    values: &Operand,
    room: usize,
    join: Join,
) -> Result<()> {
    let mut key = Key::new();
    key.extend([8, target.dtype as u64, values.dtype as u64, join as u64]);
    let write = |caps: &Caps| {
        let mut shader = Shader::new("scatter", caps);
        shader.word("room");
        shader.word("offset");
        shader.slot(target.dtype, true, element::lanes(target.dtype) > 1);
        shader.slot(DType::I32, false, false);
        shader.slot(DType::I32, true, false);
        shader.slot(values.dtype, false, false);
        let value = |at: &str| element::convert(&format!("get3(p.offset + {at})"), values.dtype, target.dtype);
        let nan = |v: &str| match Reg::of(target.dtype) {
            Reg::F32 => format!("is_nan({v})"),
            Reg::F64 => format!("is_nan_f64({v})"),
            _ => "false".into(),
        };
        let extreme = |op: &str| format!("if (!{} && (v {op} acc || {})) {{ acc = v; }}", nan("acc"), nan("v"));
        let each = match join {
            Join::Last => String::new(),
            Join::Sum => "acc = acc + v;".into(),
            Join::Prod => "acc = acc * v;".into(),
            Join::Max => extreme(">"),
            Join::Min => extreme("<"),
        };
        let head = "if (t >= p.room) { return; }\nvar e = get1(t);\nif (e == -1i) { return; }\n";
        shader.body = if join == Join::Last {
            format!(
                "{head}var last = e;\nloop {{\ne = get2(u32(e));\nif (e == -1i) {{ break; }}\nlast = max(last, e);\n}}\nput0(t, {});\n",
                value("u32(last)")
            )
        } else {
            format!(
                "{head}{SORTED}var acc = get0(t);\nloop {{\nif (e == -1i) {{ break; }}\nlet v = {};\n{each}\ne = get2(u32(e));\n}}\nput0(t, acc);\n",
                value("u32(e)")
            )
        };
        shader
    };
    let blocks = [own, block(heads)?, block(next)?, block(values)?];
    let params = [0, room as u32, values.layout.offset as u32];
    gpu.dispatch(&Job {
        key,
        write: &write,
        blocks: &blocks,
        params: &params,
        threads: room as u64,
        work: (room + values.numel()) as u64 * 16,
    })
}

/// Merge sort of the linked list that begins at `e`, rising; `put2` links (Knuth's list merge, bottom up).
const SORTED: &str = "var run = 1u;
loop {
    var rest = e;
    var tail = -1i;
    var merges = 0u;
    e = -1i;
    loop {
        if (rest == -1i) { break; }
        merges = merges + 1u;
        var left = rest;
        var right = rest;
        var size = 0u;
        loop {
            if (size >= run || right == -1i) { break; }
            size = size + 1u;
            right = get2(u32(right));
        }
        var a = size;
        var b = run;
        loop {
            if (a == 0u && (b == 0u || right == -1i)) { break; }
            var one = left;
            if (a == 0u || (b > 0u && right != -1i && right < left)) {
                one = right;
                right = get2(u32(right));
                b = b - 1u;
            } else {
                left = get2(u32(left));
                a = a - 1u;
            }
            if (tail == -1i) { e = one; } else { put2(u32(tail), one); }
            tail = one;
        }
        rest = right;
    }
    put2(u32(tail), -1i);
    if (merges <= 1u) { break; }
    run = run * 2u;
}
";
