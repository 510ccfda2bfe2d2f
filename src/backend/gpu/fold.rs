//! Folds of the last axes in a fixed order, without barriers and without atomics: each invocation folds a part of a row,
//! the parts are folded in turn. Leans on map, index and stream.

use super::adapter::{Caps, TURNS};
use super::element::{self, Reg};
use super::index::Grid;
use super::kernel::Key;
use super::rows::{self, Rows, adding, each};
use super::shader::Shader;
use super::stream::{Gpu, Job};
use super::{block, copy, map, sketch, softmax};
use crate::backend::launch::{FoldKind, MapBody, Operand};
use crate::base::{DType, Few, Layout, Number, Result};
use crate::formula::Formula;
use crate::formula::paper::OnPaper;
use crate::formula::value::{Float, Value};

/// Invocations that keep an adapter busy, and the fewest elements worth one of them.
const BUSY: usize = 1 << 18;
const BUSY_IN_SOFTWARE: usize = 64;
const LEAST: usize = 256;

/// What one pass does with each element.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Step {
    Sum,
    Prod,
    Max,
    Min,
    Any,
    All,
    /// The place of the extreme among a part's elements, counted along the row.
    ArgMax,
    ArgMin,
}

/// One pass: rows of `count` elements, cut into `parts`.
struct Pass {
    step: Step,
    from: DType,
    acc: DType,
    to: map::To,
    rows: Grid,
    columns: Grid,
    /// The rows' results.
    outs: Grid,
    /// Whether neighbouring invocations take neighbouring rows, since those lie side by side; else parts of one row.
    side: bool,
}

fn write(pass: &Pass, caps: &Caps) -> Shader {
    let mut shader = Shader::new("fold", caps);
    for word in ["rows", "count", "parts"] {
        shader.word(word);
    }
    pass.rows.declare(&mut shader, "r");
    pass.columns.declare(&mut shader, "k");
    pass.outs.declare(&mut shader, "q");
    let reg = Reg::of(pass.acc);
    let name = reg.name();
    shader.slot(pass.to.dtype(), true, matches!(pass.to, map::To::Parts(_)));
    shader.slot(pass.from, false, false);
    let read = element::convert("get1(ri0 + ki0)", pass.from, pass.acc);
    let better = |op: &str| {
        // The first of equal ones; NaN beats everything, the first NaN the others.
        let nan = |v: &str| match reg {
            Reg::F32 => format!("is_nan({v})"),
            Reg::F64 => format!("is_nan_f64({v})"),
            _ => "false".into(),
        };
        format!("(v {op} acc || {}) && !{}", nan("v"), nan("acc"))
    };
    let first = "let v0 = first_of(row, part);";
    let (start, each) = match pass.step {
        Step::Sum if reg == Reg::F32 => (
            "var acc = 0.0f; var lost = 0.0f;".to_string(),
            "let y = v - lost; let s = hold(acc + y); lost = hold(s - acc) - y; acc = s; if (!(abs(lost) < 1e30f)) { lost = 0.0f; }"
                .to_string(),
        ),
        Step::Sum => (format!("var acc = {};", reg.zero()), "acc = acc + v;".into()),
        Step::Prod => (format!("var acc = {};", reg.literal(1.0)), "acc = acc * v;".into()),
        Step::Any => ("var acc = 0i;".into(), "acc = acc | v;".into()),
        Step::All => ("var acc = 1i;".into(), "acc = acc & v;".into()),
        Step::Max => (first.replace("let v0", "var acc"), format!("if ({}) {{ acc = v; }}", better(">"))),
        Step::Min => (first.replace("let v0", "var acc"), format!("if ({}) {{ acc = v; }}", better("<"))),
        Step::ArgMax => (first.replace("let v0", "var acc") + " var at = part;", format!("if ({}) {{ acc = v; at = e; }}", better(">"))),
        Step::ArgMin => (first.replace("let v0", "var acc") + " var at = part;", format!("if ({}) {{ acc = v; at = e; }}", better("<"))),
    };
    shader.before = format!(
        "fn first_of(row: u32, e: u32) -> {name} {{\n{}{}return {read};\n}}\n\
         fn folded(row: u32, part: u32) -> {out} {{\n{start}\nvar e = part;\n\
         loop {{\nlet e3 = e + 3u * p.parts;\nif (e3 >= p.count) {{ break; }}\nlet e1 = e + p.parts; let e2 = e1 + p.parts;\n\
         let u0 = first_of(row, e); let u1 = first_of(row, e1); let u2 = first_of(row, e2); let u3 = first_of(row, e3);\n\
         {{ let v = u0; {each} }}\n{{ let e = e1; let v = u1; {each} }}\n{{ let e = e2; let v = u2; {each} }}\n\
         {{ let e = e3; let v = u3; {each} }}\ne = e + 4u * p.parts;\n}}\n\
         loop {{\nif (e >= p.count) {{ break; }}\nlet v = first_of(row, e);\n{each}\ne = e + p.parts;\n}}\nreturn {value};\n}}\n",
        pass.rows.code("row", "r"),
        pass.columns.code("e", "k"),
        out = Reg::of(pass.to.dtype()).name(),
        value = if matches!(pass.step, Step::ArgMax | Step::ArgMin) {
            element::change("i32(at)", Reg::I32, Reg::of(pass.to.dtype()))
        } else {
            element::convert("acc", pass.acc, pass.to.dtype())
        },
    );
    shader.body = match pass.to {
        map::To::Packed(dtype) => {
            let (lanes, width) = (element::lanes(dtype), dtype.size() * 8);
            let mut body = format!("let first = t * {lanes}u;\nlet n = p.rows * p.parts;\nif (first >= n) {{ return; }}\nvar word = 0u;\n");
            for lane in 0..lanes {
                let own = format!("folded((first + {lane}u) / p.parts, (first + {lane}u) % p.parts)");
                let part = element::bits(&own, dtype);
                body.push_str(&format!("if (first + {lane}u < n) {{ word |= {part} << {}u; }}\n", lane * width));
            }
            body + &format!("b0[p.qo0 / {lanes}u + t] = word;\n")
        }
        _ => {
            let place =
                if pass.side { "let row = t % p.rows; let part = t / p.rows;" } else { "let row = t / p.parts; let part = t % p.parts;" };
            let out = pass.outs.code("at", "q");
            format!(
                "if (t >= p.rows * p.parts) {{ return; }}\n{place}\nlet at = row * p.parts + part;\n{out}put0(qi0, folded(row, part));\n"
            )
        }
    };
    shader
}

/// Whether rows lie side by side, and the elements of each further apart.
fn beside(x: &Operand, kept: usize) -> bool {
    let step = |range: std::ops::Range<usize>| {
        range.rev().find(|&i| x.layout.shape[i] > 1).map_or(usize::MAX, |i| x.layout.strides[i].unsigned_abs())
    };
    step(0..kept) < step(kept..x.layout.rank())
}

/// One pass over an operand whose last `folded` axes are folded, into a result of the other axes times `parts`.
fn pass(gpu: &Gpu, step: Step, acc: DType, x: &Operand, folded: usize, parts: usize, out: &Operand) -> Result<()> {
    let kept = x.layout.rank() - folded;
    let cut = |range: std::ops::Range<usize>, offset: usize| {
        let (shape, strides): (Few<usize>, Few<isize>) =
            (range.clone().map(|i| x.layout.shape[i]).collect(), range.map(|i| x.layout.strides[i]).collect());
        Layout::new(shape, strides, offset)
    };
    let (rows, columns) = (cut(0..kept, x.layout.offset), cut(kept..x.layout.rank(), 0));
    let plan = Pass {
        step,
        from: x.dtype,
        acc,
        to: map::way(out, true),
        rows: Grid::new(&[&rows])?,
        columns: Grid::new(&[&columns])?,
        outs: Grid::new(&[&out.layout])?,
        side: beside(x, kept),
    };
    let (n, count) = (rows.numel(), columns.numel());
    let mut words = vec![0, n as u32, count as u32, parts as u32];
    plan.rows.push(&mut words);
    plan.columns.push(&mut words);
    plan.outs.push(&mut words);
    let mut key = Key::new();
    let to = plan.to.dtype() as u64 * 4 + u64::from(plan.side) * 2 + u64::from(matches!(plan.to, map::To::Packed(_)));
    key.extend([2, step as u64, x.dtype as u64, acc as u64, to, plan.rows.key() << 16 | plan.columns.key(), plan.outs.key()]);
    let lanes = if let map::To::Packed(dtype) = plan.to { element::lanes(dtype) } else { 1 };
    gpu.dispatch(&Job {
        key,
        write: &|caps| write(&plan, caps),
        blocks: &[block(out)?, block(x)?],
        params: &words,
        threads: (n * parts).div_ceil(lanes) as u64,
        work: (n * count) as u64 * 8,
    })
}

/// A whole fold: parts first where rows are too few to keep the adapter busy.
fn fold(gpu: &Gpu, step: Step, acc: DType, x: &Operand, folded: usize, out: &Operand) -> Result<()> {
    let kept = x.layout.rank() - folded;
    let n: usize = x.layout.shape[..kept].iter().product();
    let count: usize = x.layout.shape[kept..].iter().product();
    let busy = if gpu.caps.software { BUSY_IN_SOFTWARE } else { BUSY };
    let arg = matches!(step, Step::ArgMax | Step::ArgMin);
    // The places of parts are compared by one invocation for each row.
    let most = if arg { 1024 } else { usize::MAX };
    let parts = (busy / n.max(1)).min(count / LEAST).clamp(1, most).max(count.div_ceil(TURNS));
    if parts == 1 {
        return pass(gpu, step, acc, x, folded, 1, out);
    }
    if arg {
        // The places of each part's extreme, and among these the one whose element is the extreme of all.
        return by_parts(gpu, step, acc, x, folded, n, parts, out);
    }
    let middle = gpu.scratch(&[n, parts], if acc == DType::Bool { DType::I32 } else { acc })?;
    pass(gpu, step, acc, x, folded, parts, &middle.view(Layout::contiguous([n * parts][..].into())))?;
    fold(gpu, step, middle.dtype, &middle, 1, out)
}

#[allow(clippy::too_many_arguments)]
fn by_parts(gpu: &Gpu, step: Step, acc: DType, x: &Operand, folded: usize, n: usize, parts: usize, out: &Operand) -> Result<()> {
    let places = gpu.scratch(&[n * parts], DType::I32)?;
    pass(gpu, step, acc, x, folded, parts, &places)?;
    let kept = x.layout.rank() - folded;
    let cut = |range: std::ops::Range<usize>, offset: usize| {
        Layout::new(range.clone().map(|i| x.layout.shape[i]).collect(), range.map(|i| x.layout.strides[i]).collect(), offset)
    };
    let rows = Grid::new(&[&cut(0..kept, x.layout.offset)])?;
    let columns = Grid::new(&[&cut(kept..x.layout.rank(), 0)])?;
    let outs = Grid::new(&[&out.layout])?;
    let mut words = vec![0, n as u32, parts as u32];
    rows.push(&mut words);
    columns.push(&mut words);
    outs.push(&mut words);
    let mut key = Key::new();
    key.extend([3, step as u64, x.dtype as u64, acc as u64, out.dtype as u64, rows.key() << 16 | columns.key(), outs.key()]);
    let write = |caps: &Caps| {
        let mut shader = Shader::new("places", caps);
        shader.word("rows");
        shader.word("parts");
        rows.declare(&mut shader, "r");
        columns.declare(&mut shader, "k");
        outs.declare(&mut shader, "q");
        shader.slot(out.dtype, true, element::lanes(out.dtype) > 1);
        shader.slot(x.dtype, false, false);
        shader.slot(DType::I32, false, false);
        let reg = Reg::of(acc);
        let read = element::convert("get1(ri0 + ki0)", x.dtype, acc);
        shader.before = format!(
            "fn at_place(row: u32, e: u32) -> {} {{\n{}{}return {read};\n}}\n",
            reg.name(),
            rows.code("row", "r"),
            columns.code("e", "k")
        );
        let nan = |v: &str| match reg {
            Reg::F32 => format!("is_nan({v})"),
            Reg::F64 => format!("is_nan_f64({v})"),
            _ => "false".into(),
        };
        let op = if step == Step::ArgMax { ">" } else { "<" };
        // Parts are interleaved: of equal elements the one that stands first along the row counts.
        shader.body = format!(
            "if (t >= p.rows) {{ return; }}\nvar best = get2(t * p.parts);\nvar acc = at_place(t, u32(best));\nvar k = 1u;\n\
             loop {{\nif (k >= p.parts) {{ break; }}\nlet at = get2(t * p.parts + k);\nlet v = at_place(t, u32(at));\n\
             let beats = (v {op} acc || {nv}) && !{na};\nlet equal = v == acc || ({nv} && {na});\n\
             if (beats || (equal && at < best)) {{ acc = v; best = at; }}\nk = k + 1u;\n}}\n{}put0(qi0, {});\n",
            outs.code("t", "q"),
            element::change("best", Reg::I32, Reg::of(out.dtype)),
            nv = nan("v"),
            na = nan("acc"),
        );
        shader
    };
    let blocks = [block(out)?, block(x)?, block(&places)?];
    gpu.dispatch(&Job { key, write: &write, blocks: &blocks, params: &words, threads: n as u64, work: (n * parts) as u64 * 8 })
}

/// A fold of float32 whose rows are seen whole, in one kernel.
fn by_rows(gpu: &Gpu, kind: FoldKind, x: &Operand, folded: usize, correction: f64, out: &Operand) -> Result<()> {
    let (code, passes, text) = row_text(kind);
    let count: usize = x.layout.shape[x.layout.rank() - folded..].iter().product();
    let words = [((count as f64 - correction).max(0.0) as f32).to_bits()];
    let kept = x.layout.rank() - folded;
    let shaped = out.layout.reshape(&x.layout.shape[..kept]).map(|layout| out.view(layout));
    let shaped = shaped.ok_or_else(|| crate::base::Error::bug("fold", "a flat result has every shape"))?;
    let (code, outs, ins) = (128 + code, [&shaped], [x]);
    rows::run(gpu, &Rows { name: "fold", code, folded, outs: &outs, ins: &ins, words: &words, passes, finds: false, text: &text })
}

/// A fold's number, how often it goes over a row, and its text.
fn row_text(kind: FoldKind) -> (u64, usize, String) {
    let sum = |value: &str| format!("var acc = 0.0f; var lost = 0.0f;\n{}", each(&adding(value)));
    let (code, passes, text) = match kind {
        FoldKind::Sum => (0, 1, sum("x0(k)") + "let all = all_sum(acc);\n"),
        FoldKind::Mean => (1, 1, sum("x0(k)") + "let all = all_sum(acc) / f32(p.count);\n"),
        FoldKind::LogSumExp => (2, 2, softmax::sums() + "let all = low + log_f32(total);\n"),
        FoldKind::Euclid => {
            let largest = format!("var best = 0.0f;\n{}let top = all_max(best);\n", each("best = larger(best, abs(x0(k)));"));
            let scale = "let scale = select(1.0f, top, top > 0.0f && top < infinity());\n";
            (4, 2, largest + scale + &sum("(x0(k) / scale) * (x0(k) / scale)") + "let all = sqrt(all_sum(acc)) * scale;\n")
        }
        FoldKind::NanSum => (5, 1, sum("select(x0(k), 0.0f, is_nan(x0(k)))") + "let all = all_sum(acc);\n"),
        _ => {
            // Told from the first element, so that equal ones have no variance, however large they are.
            let squares = each(&format!("let d = (x0(k) - base) - mean; {}", adding("d * d")));
            let text = format!("let mean = all_sum(acc) / f32(p.count);\nacc = 0.0f; lost = 0.0f;\n{squares}");
            (3, 2, "let base = x0(0u);\n".to_string() + &sum("x0(k) - base") + &text + "let all = all_sum(acc) / bitcast<f32>(p.w0);\n")
        }
    };
    (code, passes, text + "if (first == 0u) { put_y0(all); }\n")
}

macro_rules! body {
    ($name:ident, $inputs:literal, $params:literal, |$x:ident, $p:ident| $formula:expr) => {
        static $name: MapBody = MapBody {
            inputs: $inputs,
            params: $params,
            outputs: 1,
            truth: false,
            formula: || Formula::read($inputs, $params, |$x, $p| OnPaper::lines(&$formula)),
            native: |_| None,
        };
    };
}

body!(DIVIDED, 1, 1, |x, p| x[0] / p[0]);
body!(SIZE, 1, 0, |x, _p| x[0].abs());
body!(SQUARED, 2, 0, |x, _p| (x[0] / scale_of(x[1])) * (x[0] / scale_of(x[1])));
body!(LENGTH, 2, 0, |x, _p| x[0].sqrt() * scale_of(x[1]));
body!(KNOWN, 1, 0, |x, _p| Value::select(x[0].is_nan(), Value::lit(0.0), x[0]));
body!(SPREAD, 2, 0, |x, _p| (x[0] - x[1]) * (x[0] - x[1]));

/// What a row is divided by so that its squares stay in the range: its largest element.
fn scale_of<V: Value>(top: V) -> V {
    let usable = V::lit(0.0).lt(top) & top.lt(V::lit(f64::INFINITY));
    V::select(usable, top, V::lit(1.0))
}

/// Folded axes given back, one number wide, so that a row's result meets the row's elements.
fn spread_over(row: &Operand, x: &Operand, folded: usize) -> Operand {
    let kept = x.layout.rank() - folded;
    let strides: Few<isize> = (0..x.layout.rank()).map(|i| if i < kept { row.layout.strides[i] } else { 0 }).collect();
    row.view(Layout::new(x.layout.shape.clone(), strides, row.layout.offset))
}

pub fn run(gpu: &Gpu, kind: FoldKind, x: &Operand, folded: usize, correction: f64, out: &Operand) -> Result<()> {
    for dtype in [x.dtype, out.dtype] {
        gpu.needs(dtype)?;
    }
    if out.numel() == 0 {
        return Ok(());
    }
    let kept = x.layout.rank() - folded;
    let count: usize = x.layout.shape[kept..].iter().product();
    // The engine gives the result its kept axes in order, with or without folded ones of size 1.
    let flat: Few<usize> = [out.numel()][..].into();
    let out = &match out.layout.reshape(&flat) {
        Some(layout) => out.view(layout),
        None => {
            let own = gpu.scratch(&out.layout.shape, out.dtype)?;
            run(gpu, kind, x, folded, correction, &own)?;
            return copy::copy(gpu, &own, out);
        }
    };
    // Numbers are summed in the width of what comes out; short floats in float32.
    let acc = match out.dtype {
        d if d.is_float() => d.compute(),
        DType::I64 => DType::I64,
        _ => DType::I32,
    };
    if x.numel() == 0 {
        let nothing = match kind {
            FoldKind::Prod | FoldKind::All => Number::Int(1),
            FoldKind::Mean | FoldKind::Var => Number::Float(f64::NAN),
            FoldKind::LogSumExp => Number::Float(f64::NEG_INFINITY),
            _ => Number::Int(0),
        };
        return copy::fill(gpu, out, nothing);
    }
    // Rows that are many, or short, keep the adapter busy; one long row is cut into parts.
    let n: usize = x.layout.shape[..kept].iter().product();
    // Rows side by side are read by neighbours.
    let alone = kind == FoldKind::Sum && gpu.caps.software
        || matches!(kind, FoldKind::Sum | FoldKind::Mean) && !gpu.caps.software && beside(x, kept) && n >= 32;
    let whole = matches!(kind, FoldKind::Var | FoldKind::LogSumExp | FoldKind::Euclid | FoldKind::NanSum);
    let floats = (whole || matches!(kind, FoldKind::Sum | FoldKind::Mean)) && x.dtype.is_float();
    let most = if gpu.caps.software { TURNS / 4 } else { 1 << 14 };
    if floats && folded > 0 && acc == DType::F32 && !alone && (count <= most || n >= 64 && rows::serves(count, 2)) {
        return by_rows(gpu, kind, x, folded, correction, out);
    }
    let own = Reg::of(x.dtype);
    let extreme = match own {
        Reg::F32 => DType::F32,
        Reg::I64 => DType::I64,
        Reg::I32 => DType::I32,
        // Of complex numbers none is the largest: they were refused.
        Reg::F64 | Reg::C64 | Reg::C128 => DType::F64,
    };
    match kind {
        FoldKind::Sum => fold(gpu, Step::Sum, acc, x, folded, out),
        FoldKind::Prod => fold(gpu, Step::Prod, acc, x, folded, out),
        FoldKind::Max => fold(gpu, Step::Max, extreme, x, folded, out),
        FoldKind::Min => fold(gpu, Step::Min, extreme, x, folded, out),
        FoldKind::Any => fold(gpu, Step::Any, DType::Bool, x, folded, out),
        FoldKind::All => fold(gpu, Step::All, DType::Bool, x, folded, out),
        FoldKind::ArgMax => fold(gpu, Step::ArgMax, extreme, x, folded, out),
        FoldKind::ArgMin => fold(gpu, Step::ArgMin, extreme, x, folded, out),
        FoldKind::Mean => {
            let total = gpu.scratch(&[out.numel()], acc)?;
            fold(gpu, Step::Sum, acc, x, folded, &total)?;
            map::run(gpu, &DIVIDED, acc, &[Number::Float(count as f64)], &[total], std::slice::from_ref(out))
        }
        FoldKind::Var => {
            let mean = gpu.scratch(&x.layout.shape[..kept], acc)?;
            run(gpu, FoldKind::Mean, x, folded, 0.0, &mean)?;
            let squares = gpu.scratch(&x.layout.shape, acc)?;
            map::run(gpu, &SPREAD, acc, &[], &[x.clone(), spread_over(&mean, x, folded)], std::slice::from_ref(&squares))?;
            let total = gpu.scratch(&[out.numel()], acc)?;
            fold(gpu, Step::Sum, acc, &squares, folded, &total)?;
            let left = (count as f64 - correction).max(0.0);
            map::run(gpu, &DIVIDED, acc, &[Number::Float(left)], &[total], std::slice::from_ref(out))
        }
        FoldKind::NanSum => {
            let each = gpu.scratch(&x.layout.shape, acc)?;
            map::run(gpu, &KNOWN, acc, &[], std::slice::from_ref(x), std::slice::from_ref(&each))?;
            fold(gpu, Step::Sum, acc, &each, folded, out)
        }
        FoldKind::Euclid => {
            let each = gpu.scratch(&x.layout.shape, acc)?;
            map::run(gpu, &SIZE, acc, &[], std::slice::from_ref(x), std::slice::from_ref(&each))?;
            let (top, total) = (gpu.scratch(&x.layout.shape[..kept], acc)?, gpu.scratch(&[out.numel()], acc)?);
            let flat = top.view(Layout::contiguous([out.numel()][..].into()));
            fold(gpu, Step::Max, acc, &each, folded, &flat)?;
            map::run(gpu, &SQUARED, acc, &[], &[x.clone(), spread_over(&top, x, folded)], std::slice::from_ref(&each))?;
            fold(gpu, Step::Sum, acc, &each, folded, &total)?;
            map::run(gpu, &LENGTH, acc, &[], &[total, flat], std::slice::from_ref(out))
        }
        FoldKind::LogSumExp if acc == DType::F32 => {
            // One row that is too long for a workgroup, by way of its parts.
            let parts = part_of(count);
            let cut = x.layout.reshape(&[&x.layout.shape[..kept], &[parts, count / parts]].concat());
            let cut = cut.map(|layout| x.view(layout));
            let cut = cut.filter(|_| parts > 1).ok_or_else(|| gpu.missing("has no kernel for so long a row", "split it"))?;
            let middle = gpu.scratch(&cut.layout.shape[..kept + 1], DType::F32)?;
            run(gpu, kind, &cut, 1, 0.0, &middle)?;
            run(gpu, kind, &middle, 1, 0.0, out)
        }
        FoldKind::LogSumExp => Err(gpu.missing("has no float64 kernel", "use x.float()")),
    }
}

/// Equal parts that a long row can be cut into.
fn part_of(count: usize) -> usize {
    (2..=4096).rev().find(|&parts| count.is_multiple_of(parts)).unwrap_or(1)
}

/// The texts of every fold in one type.
pub fn texts(dtype: DType, caps: &Caps) -> Vec<String> {
    let grid = |shape: &[usize]| Grid::new(&[&Layout::contiguous(shape.into())]);
    let (acc, truth) = (dtype.compute(), DType::Bool);
    let sums = [(Step::Sum, acc, dtype), (Step::Prod, acc, dtype), (Step::Max, acc, dtype), (Step::Min, acc, dtype)];
    let others = [(Step::Any, truth, truth), (Step::All, truth, truth), (Step::ArgMax, acc, DType::I64), (Step::ArgMin, acc, DType::I32)];
    let text = |(step, acc, out): (Step, DType, DType), side: bool| {
        let to = if element::lanes(out) == 1 { map::To::Words(out) } else { map::To::Packed(out) };
        let (rows, columns, outs) = (grid(&[4]).ok()?, grid(&[8]).ok()?, grid(&[4]).ok()?);
        Some(write(&Pass { step, from: dtype, acc, to, rows, columns, outs, side }, caps).text(caps))
    };
    let all = || sums.into_iter().chain(others);
    let mut texts: Vec<String> = all().filter_map(|one| text(one, false)).chain(all().filter_map(|one| text(one, true))).collect();
    if Reg::of(dtype) == Reg::F32 {
        let (x, out) = (sketch(dtype, &Layout::contiguous([4, 70][..].into())), sketch(dtype, &Layout::contiguous([4][..].into())));
        for kind in [FoldKind::Sum, FoldKind::Mean, FoldKind::Var, FoldKind::LogSumExp, FoldKind::Euclid, FoldKind::NanSum] {
            let text = row_text(kind).2;
            let (outs, ins) = ([&out], [&x]);
            let own = Rows { name: "fold", code: 0, folded: 1, outs: &outs, ins: &ins, words: &[0], passes: 2, finds: false, text: &text };
            texts.extend(rows::texts(&own, caps));
        }
    }
    texts
}
