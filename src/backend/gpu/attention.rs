//! Attention whose scores are never held: workgroups go over tiles of keys (or of queries, on the way back) with running
//! softmaxes, and single invocations over rows where a driver computes on the processor. Leans on shader and stream.

use super::adapter::{Caps, TURNS};
use super::block;
use super::element::Reg;
use super::kernel::Key;
use super::pool::Block;
use super::rows::GROUP;
use super::shader::Shader;
use super::stream::{Gpu, Job};
use crate::backend::launch::{Attention, Operand};
use crate::base::{DType, Number, Result};
use std::fmt::Write as _;

/// Rows of a workgroup, the rows that it meets at a time, how deep its products go at a time, and invocations of a row.
const ROWS: usize = 64;
const MET: usize = 32;
const DEPTH: usize = 16;
const SIDE: usize = 16;
/// Columns of results for which a workgroup has registers, in parts of so many that its memory holds.
const COLUMNS: usize = 128;
const PART: usize = 64;
/// Elements of a row for which a single invocation has registers.
const WIDEST: usize = 256;
/// Bytes of a workgroup's memory that tiles need.
const ROOM: u32 = 20 << 10;

/// What a kernel goes over: queries forward; back queries for their own cotangents, or keys for those of keys and values.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Way {
    Forward,
    Queries,
    Keys,
}

/// What a kernel's text depends on.
#[derive(Clone, Copy)]
struct Form {
    way: Way,
    causal: bool,
    mask: bool,
    /// Widths of queries and of values, for a lone invocation; 0 for tiles.
    width: usize,
    out: usize,
    /// Registers of a tile's invocation for each of its rows: a width in steps of `SIDE`.
    columns: usize,
}

/// Matrices of a head that are read: their letters, in the order of the bindings.
fn letters(way: Way) -> &'static [&'static str] {
    match way {
        Way::Forward => &["q", "k", "v"],
        Way::Queries => &["g", "y", "q", "k", "v"],
        Way::Keys => &["g", "q", "k", "v"],
    }
}

/// Results, the first of the bindings: those asked for, or one and the log-sums of scores, or one and the levels.
const RESULTS: usize = 2;

impl Form {
    fn slot(&self, letter: &str) -> usize {
        RESULTS + letters(self.way).iter().position(|l| *l == letter).unwrap_or(0)
    }
    /// The log-sums of scores, then the levels, and what is added to scores come behind the matrices.
    fn sums(&self) -> usize {
        RESULTS + letters(self.way).len()
    }
    /// How many lists there are of the first two.
    fn lists(&self) -> usize {
        match self.way {
            Way::Forward => 0,
            Way::Queries => 1,
            Way::Keys => 2,
        }
    }
    fn at(&self, letter: &str, row: &str, column: &str) -> String {
        format!("get{}({letter}a + ({row}) * p.{letter}r + {column})", self.slot(letter))
    }
    /// The first element of a result's row: results are row-major.
    fn place(&self, row: &str, count: &str, width: &str) -> String {
        format!("((b * {count} + {row}) * p.heads + h) * {width}")
    }
    /// A product of rows as a score.
    fn score(&self, value: &str, i: &str, j: &str) -> String {
        let scaled = format!("hold({value} * bitcast<f32>(p.scale))");
        if !self.mask {
            return scaled;
        }
        let slot = self.sums() + self.lists();
        format!("({scaled} + get{slot}(p.mo + b * p.mb + h * p.mh + ({i}) * p.mi + ({j}) * p.mj))")
    }

    fn frame(&self, caps: &Caps) -> Shader {
        let mut shader = Shader::new("attention", caps);
        for word in ["first", "units", "heads", "queries", "keys", "width", "out", "scale", "tiles", "chunks", "so", "lo"] {
            shader.word(word);
        }
        for k in 0..RESULTS {
            shader.word(&format!("o{k}"));
            shader.slot(DType::F32, true, false);
        }
        for letter in letters(self.way) {
            for part in ["o", "b", "r", "h"] {
                shader.word(&format!("{letter}{part}"));
            }
            shader.slot(DType::F32, false, false);
        }
        for _ in 0..self.lists() {
            shader.slot(DType::F32, false, false);
        }
        if self.mask {
            for word in ["mo", "mb", "mh", "mi", "mj"] {
                shader.word(word);
            }
            shader.slot(DType::F32, false, false);
        }
        shader
    }

    /// Where a head begins in every matrix.
    fn heads(&self) -> String {
        letters(self.way).iter().map(|l| format!("let {l}a = p.{l}o + b * p.{l}b + h * p.{l}h;\n")).collect()
    }

    /// The other rows that a row may meet begin, and end, here.
    fn reach(&self, row: &str, rows: usize) -> (String, String) {
        match (self.way, self.causal) {
            (Way::Keys, true) => (row.to_string(), "p.queries".into()),
            (Way::Keys, false) => ("0u".into(), "p.queries".into()),
            (_, true) => ("0u".into(), format!("min(p.keys, {row} + {rows}u)")),
            (_, false) => ("0u".into(), "p.keys".into()),
        }
    }
}

/// `a0 * b0 + a1 * b1 + ...`, as lines that fill `name`.
fn dot(name: &str, count: usize, a: impl Fn(usize) -> String, b: impl Fn(usize) -> String) -> String {
    let mut text = format!("var {name} = 0.0f;\n");
    for d in 0..count {
        let _ = writeln!(text, "{name} += {} * {};", a(d), b(d));
    }
    text
}

const SOFT: &str = "let next = larger(top, s); let low = select(next, 0.0f, next == -infinity());\n\
                    let factor = exp_f32(top - low); let e = exp_f32(s - low);\nsum = sum * factor + e; top = next;\n";

/// One invocation for each row.
fn lone(form: Form, caps: &Caps) -> Shader {
    let mut shader = form.frame(caps);
    let keys = form.way == Way::Keys;
    let (own, others) = if keys { ("p.keys", "p.queries") } else { ("p.queries", "p.keys") };
    let (i, j) = if keys { ("n", "row") } else { ("row", "n") };
    let (start, end) = form.reach("row", 1);
    let mut body = format!(
        "let unit = p.first + t;\nif (unit >= p.units) {{ return; }}\nlet row = unit % {own}; let bh = unit / {own};\n\
         let h = bh % p.heads; let b = bh / p.heads;\n{}",
        form.heads()
    );
    let (w, v) = (form.width, form.out);
    let lets = |body: &mut String, letter: &str, count: usize| {
        for d in 0..count {
            let _ = writeln!(body, "let {letter}{d} = {};", form.at(letter, "row", &format!("{d}u")));
        }
    };
    let vars =
        |body: &mut String, letter: &str, count: usize| (0..count).for_each(|d| body.push_str(&format!("var {letter}{d} = 0.0f;\n")));
    let own_side = |letter: &'static str| move |d: usize| format!("{letter}{d}");
    let other = |letter: &'static str| move |d: usize| form.at(letter, "n", &format!("{d}u"));
    match form.way {
        Way::Forward => {
            lets(&mut body, "q", w);
            body.push_str("var top = -infinity(); var sum = 0.0f;\n");
            vars(&mut body, "x", v);
        }
        Way::Queries => {
            lets(&mut body, "q", w);
            lets(&mut body, "g", v);
            body.push_str(&dot("level", v, own_side("g"), |d| form.at("y", "row", &format!("{d}u"))));
            let _ = writeln!(body, "put1(p.o1 + unit, level);\nlet least = get{}(p.so + unit);", form.sums());
            vars(&mut body, "x", w);
        }
        Way::Keys => {
            lets(&mut body, "k", w);
            lets(&mut body, "v", v);
            vars(&mut body, "x", w);
            vars(&mut body, "z", v);
        }
    }
    let _ = writeln!(body, "for (var n = {start}; n < {end}; n = n + 1u) {{");
    let (near, far) = if keys { ("k", "q") } else { ("q", "k") };
    body.push_str(&dot("raw", w, own_side(near), other(far)));
    let _ = writeln!(body, "let s = {};", form.score("raw", i, j));
    if form.way == Way::Forward {
        body.push_str(SOFT);
        (0..v).for_each(|d| {
            let _ = writeln!(body, "x{d} = x{d} * factor + e * {};", other("v")(d));
        });
    } else {
        let (near, far) = if keys { ("v", "g") } else { ("g", "v") };
        body.push_str(&dot("slope", v, own_side(near), other(far)));
        if keys {
            let _ = writeln!(
                body,
                "let q_at = bh * {others} + n; let least = get{}(p.so + q_at); let level = get{}(p.lo + q_at);",
                form.sums(),
                form.sums() + 1
            );
        }
        body.push_str("let e = exp_f32(s - least); let d = e * (slope - level) * bitcast<f32>(p.scale);\n");
        (0..w).for_each(|c| {
            let _ = writeln!(body, "x{c} += d * {};", other(if keys { "q" } else { "k" })(c));
        });
        (0..v).filter(|_| keys).for_each(|c| {
            let _ = writeln!(body, "z{c} += e * {};", other("g")(c));
        });
    }
    body.push_str("}\n");
    let puts = |body: &mut String, slot: usize, letter: &str, (width, count): (&str, usize), factor: &str| {
        let _ = writeln!(body, "let r{slot} = p.o{slot} + {};", form.place("row", own, width));
        for d in 0..count {
            let _ = writeln!(body, "put{slot}(r{slot} + {d}u, {letter}{d}{factor});");
        }
    };
    match form.way {
        Way::Forward => {
            body.push_str("let nowhere = top == -infinity(); let share = select(1.0f / sum, 0.0f, nowhere);\n");
            puts(&mut body, 0, "x", ("p.out", v), " * share");
            body.push_str("put1(p.o1 + unit, select(top + log_f32(sum), infinity(), nowhere));\n");
        }
        Way::Queries => puts(&mut body, 0, "x", ("p.width", w), ""),
        Way::Keys => {
            puts(&mut body, 0, "x", ("p.width", w), "");
            puts(&mut body, 1, "z", ("p.out", v), "");
        }
    }
    shader.body = body;
    shader
}

/// Lines that multiply the workgroup's rows of one matrix with the rows of another from `met` on: `{name}{i}_{j}`.
fn products(form: Form, name: &str, (near, far): (&str, &str), (own, others): (&str, &str), width: &str) -> String {
    let mut text = String::new();
    for (i, j) in (0..4).flat_map(|i| (0..2).map(move |j| (i, j))) {
        let _ = writeln!(text, "var {name}{i}_{j} = 0.0f;");
    }
    let _ = writeln!(text, "for (var d0 = 0u; d0 < {width}; d0 = d0 + {DEPTH}u) {{");
    let mut fill = |letter: &str, rows: usize, (from, count): (&str, &str), first: usize| {
        for step in 0..rows * DEPTH / GROUP {
            let _ = writeln!(
                text,
                "{{ let at = lane + {}u; let r = at / {DEPTH}u; let d = at % {DEPTH}u; var v = 0.0f;\n\
                 if ({from} + r < {count} && d0 + d < {width}) {{ v = {}; }}\nshelf[{first}u + d * {}u + r] = v; }}",
                step * GROUP,
                form.at(letter, &format!("{from} + r"), "d0 + d"),
                rows + 1
            );
        }
    };
    fill(near, ROWS, ("start", own), 0);
    fill(far, MET, ("met", others), DEPTH * (ROWS + 1));
    let _ = writeln!(text, "workgroupBarrier();\nfor (var d = 0u; d < {DEPTH}u; d = d + 1u) {{");
    for i in 0..4 {
        let _ = writeln!(text, "let x{i} = shelf[d * {}u + li + {}u];", ROWS + 1, i * SIDE);
    }
    for j in 0..2 {
        let _ = writeln!(text, "let y{j} = shelf[{}u + d * {}u + rj + {}u];", DEPTH * (ROWS + 1), MET + 1, j * SIDE);
    }
    for (i, j) in (0..4).flat_map(|i| (0..2).map(move |j| (i, j))) {
        let _ = writeln!(text, "{name}{i}_{j} += x{i} * y{j};");
    }
    text + "}\nworkgroupBarrier();\n}\n"
}

/// Lines that add the rows of a matrix from `met` on, weighed by the shares, to `{name}{i}_{j}`.
fn weigh(form: Form, name: &str, letter: &str, others: &str, width: &str) -> String {
    let mut text = String::new();
    for part in 0..form.columns.div_ceil(PART / SIDE) {
        let _ = writeln!(text, "for (var at = lane; at < {}u; at = at + {GROUP}u) {{", MET * PART);
        let _ = writeln!(
            text,
            "let r = at / {PART}u; let c = chunk * {COLUMNS}u + {}u + at % {PART}u; var v = 0.0f;\n\
             if (met + r < {others} && c < {width}) {{ v = {}; }}\nshelf[at] = v;\n}}\nworkgroupBarrier();",
            part * PART,
            form.at(letter, "met + r", "c")
        );
        let own: Vec<usize> = (part * (PART / SIDE)..form.columns.min((part + 1) * (PART / SIDE))).collect();
        let _ = writeln!(text, "for (var n = 0u; n < {MET}u; n = n + 1u) {{");
        for i in 0..4 {
            let _ = writeln!(text, "let w{i} = shares[(li + {}u) * {}u + n];", i * SIDE, MET + 1);
        }
        for &j in &own {
            let _ = writeln!(text, "let y{j} = shelf[n * {PART}u + rj + {}u];", j % (PART / SIDE) * SIDE);
        }
        for (i, &j) in (0..4).flat_map(|i| own.iter().map(move |j| (i, j))) {
            let _ = writeln!(text, "{name}{i}_{j} += w{i} * y{j};");
        }
        text.push_str("}\nworkgroupBarrier();\n");
    }
    text
}

/// Lines for every row of an invocation, and those that it meets, where both are there: `x` and `y`.
fn pairs(form: Form, lines: impl Fn(usize, usize) -> String) -> String {
    let keys = form.way == Way::Keys;
    let (own, others) = if keys { ("p.keys", "p.queries") } else { ("p.queries", "p.keys") };
    let order = match (form.causal, keys) {
        (false, _) => "",
        (true, false) => " && y <= x",
        (true, true) => " && x <= y",
    };
    let one = |i: usize, j: usize| {
        format!(
            "{{ let x = start + li + {}u; let y = met + rj + {}u; var share = 0.0f;\nlet there = x < {own} && y < {others}{order};\n\
             {}shares[(li + {}u) * {}u + rj + {}u] = share; }}\n",
            i * SIDE,
            j * SIDE,
            lines(i, j),
            i * SIDE,
            MET + 1,
            j * SIDE
        )
    };
    (0..4).flat_map(|i| (0..2).map(move |j| (i, j))).map(|(i, j)| one(i, j)).collect::<String>() + "workgroupBarrier();\n"
}

/// The running softmax of a tile of scores: four invocations for each row.
const RUNNING: &str = "\
var best = -infinity();
for (var c = 0u; c < 8u; c = c + 1u) { best = larger(best, shares[sr * 33u + sc + 4u * c]); }
part[lane] = best;
workgroupBarrier();
best = larger(larger(part[4u * sr], part[4u * sr + 1u]), larger(part[4u * sr + 2u], part[4u * sr + 3u]));
let next = larger(top, best); let low = select(next, 0.0f, next == -infinity());
let factor = exp_f32(top - low);
var more = 0.0f;
for (var c = 0u; c < 8u; c = c + 1u) {
let at = sr * 33u + sc + 4u * c; let e = exp_f32(shares[at] - low); shares[at] = e; more = more + e;
}
sum = sum * factor + more; top = next;
if (sc == 0u) { factors[sr] = factor; }
workgroupBarrier();
";

/// A number of each row, of which its four invocations have parts, as all of them see it.
const JOINED: &str = "part[lane] = own;\nworkgroupBarrier();\n\
                      let all = (part[4u * sr] + part[4u * sr + 1u]) + (part[4u * sr + 2u] + part[4u * sr + 3u]);\nworkgroupBarrier();\n";

/// Tiles in a workgroup's memory.
fn tiled(form: Form, caps: &Caps) -> Shader {
    let mut shader = form.frame(caps);
    shader.group = GROUP as u32;
    let keys = form.way == Way::Keys;
    let (own, others) = if keys { ("p.keys", "p.queries") } else { ("p.queries", "p.keys") };
    let room = [("shelf", MET * PART), ("shares", ROWS * (MET + 1)), ("part", GROUP), ("factors", ROWS)];
    for (name, count) in room {
        let _ = writeln!(shader.before, "var<workgroup> {name}: array<f32, {count}>;");
    }
    // The last unit may be computed by several groups, which all write the same.
    let mut body = format!(
        "let unit = min(p.first + place.y * groups.x + place.x, p.units - 1u);\nlet chunk = unit % p.chunks;\n\
         let start = (unit / p.chunks) % p.tiles * {ROWS}u; let bh = unit / (p.chunks * p.tiles);\nlet h = bh % p.heads; let b = bh / p.heads;\n\
         let li = lane / {SIDE}u; let rj = lane % {SIDE}u; let sr = lane / 4u; let sc = lane % 4u;\n{}",
        form.heads()
    );
    let registers = |name: &str| -> String {
        (0..4).flat_map(|i| (0..form.columns).map(move |j| (i, j))).map(|(i, j)| format!("var {name}{i}_{j} = 0.0f;\n")).collect()
    };
    body.push_str(&registers("a"));
    let (begin, end) = form.reach("start", ROWS);
    // A tile may begin before the first row that is met: the pairs say which are there.
    let walk = format!("let last = {end};\nfor (var met = {begin}; met < last; met = met + {MET}u) {{\n");
    let put = |slot: usize, name: &str, width: &str, factor: &dyn Fn(usize) -> String| {
        let mut text = String::new();
        for i in 0..4 {
            let _ = writeln!(text, "{{ let x = start + li + {}u; if (x < {own}) {{ {}", i * SIDE, factor(i));
            let _ = writeln!(text, "let r = p.o{slot} + {};", form.place("x", own, width));
            for j in 0..form.columns {
                let column = format!("(chunk * {COLUMNS}u + rj + {}u)", j * SIDE);
                let _ = writeln!(text, "if ({column} < {width}) {{ put{slot}(r + {column}, {name}{i}_{j} * factor); }}");
            }
            text.push_str("} }\n");
        }
        text
    };
    let plain = |_: usize| "let factor = 1.0f;".to_string();
    if form.way == Way::Forward {
        let _ = write!(body, "var top = -infinity(); var sum = 0.0f;\n{walk}{}", products(form, "c", ("q", "k"), (own, others), "p.width"));
        body.push_str(&pairs(form, |i, j| {
            format!("share = -infinity();\nif (there) {{ share = {}; }}\n", form.score(&format!("c{i}_{j}"), "x", "y"))
        }));
        body.push_str(RUNNING);
        for i in 0..4 {
            let _ = writeln!(body, "let f{i} = factors[li + {}u];", i * SIDE);
            (0..form.columns).for_each(|j| {
                let _ = writeln!(body, "a{i}_{j} = a{i}_{j} * f{i};");
            });
        }
        body.push_str(&weigh(form, "a", "v", others, "p.out"));
        let _ = write!(
            body,
            "}}\nlet own = sum;\n{JOINED}let nowhere = top == -infinity();\n\
             if (sc == 0u) {{\nfactors[sr] = select(1.0f / all, 0.0f, nowhere);\n\
             if (chunk == 0u && start + sr < {own}) {{ put1(p.o1 + bh * {own} + start + sr, select(top + log_f32(all), infinity(), nowhere)); }}\n}}\n\
             workgroupBarrier();\n"
        );
        body.push_str(&put(0, "a", "p.out", &|i| format!("let factor = factors[li + {}u];", i * SIDE)));
        shader.body = body;
        return shader;
    }
    let (least, level) = (form.sums(), form.sums() + 1);
    if !keys {
        let _ = write!(
            body,
            "var own = 0.0f;\nif (start + sr < {own}) {{ for (var d = sc; d < p.out; d = d + 4u) {{ own += {} * {}; }} }}\n{JOINED}\
             if (sc == 0u) {{ factors[sr] = all; if (chunk == 0u && start + sr < {own}) {{ put1(p.o1 + bh * {own} + start + sr, all); }} }}\n\
             workgroupBarrier();\n",
            form.at("g", "start + sr", "d"),
            form.at("y", "start + sr", "d"),
        );
        (0..4).for_each(|i| {
            let _ = writeln!(
                body,
                "let level{i} = factors[li + {0}u]; let least{i} = get{least}(p.so + bh * {own} + min(start + li + {0}u, {own} - 1u));",
                i * SIDE
            );
        });
    } else {
        body.push_str(&registers("z"));
    }
    body.push_str(&walk);
    let (near, far) = if keys { ("k", "q") } else { ("q", "k") };
    body.push_str(&products(form, "c", (near, far), (own, others), "p.width"));
    let (near, far) = if keys { ("v", "g") } else { ("g", "v") };
    body.push_str(&products(form, "s", (near, far), (own, others), "p.out"));
    if keys {
        (0..2).for_each(|j| {
            let _ = writeln!(
                body,
                "let q_at{j} = bh * {others} + min(met + rj + {}u, {others} - 1u);\n\
                 let least{j} = get{least}(p.so + q_at{j}); let level{j} = get{level}(p.lo + q_at{j});",
                j * SIDE
            );
        });
    }
    let (x, y) = if keys { ("y", "x") } else { ("x", "y") };
    let row = |i: usize, j: usize| if keys { j } else { i };
    let slope = |i: usize, j: usize| format!("(s{i}_{j} - level{}) * bitcast<f32>(p.scale)", row(i, j));
    body.push_str(&pairs(form, |i, j| {
        let share = format!("exp_f32({} - least{})", form.score(&format!("c{i}_{j}"), x, y), row(i, j));
        if keys {
            // The share stays for the slopes.
            return format!("if (there) {{ share = {share}; }}\nc{i}_{j} = share;\n");
        }
        format!("if (there) {{ share = {share} * {}; }}\n", slope(i, j))
    }));
    if keys {
        body.push_str(&weigh(form, "z", "g", others, "p.out"));
        body.push_str(&pairs(form, |i, j| format!("if (there) {{ share = c{i}_{j} * {}; }}\n", slope(i, j))));
    }
    body.push_str(&weigh(form, "a", if keys { "q" } else { "k" }, others, "p.width"));
    body.push_str("}\n");
    body.push_str(&put(0, "a", "p.width", &plain));
    if keys {
        body.push_str(&put(1, "z", "p.out", &plain));
    }
    shader.body = body;
    shader
}

fn write(form: Form, caps: &Caps) -> Shader {
    if form.columns > 0 { tiled(form, caps) } else { lone(form, caps) }
}

/// The operands of one kernel: results, matrices by their letters, then lists and what is added to scores.
struct Bound<'a> {
    outs: [&'a Operand; 2],
    matrices: Vec<&'a Operand>,
    lists: Vec<&'a Operand>,
    mask: Option<&'a Operand>,
}

fn go(gpu: &Gpu, what: &Attention, way: Way, (q, v): (&Operand, &Operand), bound: &Bound) -> Result<()> {
    let sizes = |x: &Operand| (x.layout.shape[1], x.layout.shape[3]);
    let ((queries, width), (keys, out)) = (sizes(q), sizes(v));
    let (batches, heads) = (q.layout.shape[0], q.layout.shape[2]);
    let (rows, others) = if way == Way::Keys { (keys, queries) } else { (queries, keys) };
    let wide = !gpu.caps.software && gpu.caps.wide && gpu.caps.room >= ROOM;
    if !wide && (width.max(out) > WIDEST || gpu.caps.software && others > TURNS) {
        return Err(gpu.missing("has no kernel for rows so long", "use smaller heads or shorter sequences"));
    }
    let most = match way {
        Way::Forward => out,
        Way::Queries => width,
        Way::Keys => width.max(out),
    };
    let (tiles, chunks) = if wide { (rows.div_ceil(ROWS), most.div_ceil(COLUMNS)) } else { (rows, 1) };
    let units = batches * heads * tiles * chunks;
    let form = Form {
        way,
        causal: what.causal,
        mask: bound.mask.is_some(),
        width: if wide { 0 } else { width },
        out: if wide { 0 } else { out },
        columns: if wide { most.min(COLUMNS).div_ceil(SIDE) } else { 0 },
    };
    let list = |x: &Operand| x.layout.offset as u32;
    let mut words = vec![0, 0];
    words.extend([units, heads, queries, keys, width, out].map(|n| n as u32));
    Reg::F32.push(Number::Float(what.scale), &mut words);
    words.extend([tiles as u32, chunks as u32]);
    words.extend([bound.lists.first(), bound.lists.get(1)].map(|x| x.map_or(0, |x| list(x))));
    words.extend(bound.outs.map(list));
    for x in &bound.matrices {
        let s = &x.layout.strides;
        words.extend([list(x), s[0] as u32, s[1] as u32, s[2] as u32]);
    }
    if let Some(mask) = bound.mask {
        words.push(list(mask));
        words.extend(mask.layout.strides.iter().map(|&s| s as u32));
    }
    let mut key = Key::new();
    key.extend([41, way as u64, u64::from(form.causal) * 2 + u64::from(form.mask), (form.width as u64) << 32 | form.out as u64]);
    key.push(form.columns as u64);
    let all = bound.outs.iter().chain(&bound.matrices).chain(&bound.lists).copied().chain(bound.mask);
    let blocks: Vec<&Block> = all.map(block).collect::<Result<_>>()?;
    // A dispatch is no longer than a driver's patience.
    let cost = (if wide { ROWS } else { 1 } * others * (width + out) * if way == Way::Forward { 2 } else { 5 }).max(1) as u64;
    let step = (gpu.much() / cost).clamp(1, units as u64);
    let write = |caps: &Caps| write(form, caps);
    for first in (0..units as u64).step_by(step as usize) {
        words[1] = first as u32;
        let count = step.min(units as u64 - first);
        // The units of this dispatch end where the next one's begin.
        words[2] = (first + count) as u32;
        let threads = count * if wide { GROUP as u64 } else { 1 };
        gpu.dispatch(&Job { key: key.clone(), write: &write, blocks: &blocks, params: &words, threads, work: count * cost })?;
    }
    Ok(())
}

/// The operands are those of the processor's attention.
pub fn run(gpu: &Gpu, what: &Attention, ins: &[Operand], outs: &[Operand]) -> Result<()> {
    if outs[0].dtype != DType::F32 {
        return Err(gpu.missing("has no float64 kernel", "use x.float()"));
    }
    if !what.back {
        let (q, k, v) = (&ins[0], &ins[1], &ins[2]);
        let bound = Bound { outs: [&outs[0], &outs[1]], matrices: vec![q, k, v], lists: Vec::new(), mask: ins.get(3) };
        return go(gpu, what, Way::Forward, (q, v), &bound);
    }
    let [g, y, q, k, v, sums] = [0, 1, 2, 3, 4, 5].map(|i| &ins[i]);
    let levels = gpu.scratch(&sums.layout.shape, DType::F32)?;
    let mask = ins.get(6);
    let bound = Bound { outs: [&outs[0], &levels], matrices: vec![g, y, q, k, v], lists: vec![sums], mask };
    go(gpu, what, Way::Queries, (q, v), &bound)?;
    let bound = Bound { outs: [&outs[1], &outs[2]], matrices: vec![g, q, k, v], lists: vec![sums, &levels], mask };
    go(gpu, what, Way::Keys, (q, v), &bound)
}

/// The texts of all of these.
pub fn texts(caps: &Caps) -> Vec<String> {
    let mut texts = Vec::new();
    for way in [Way::Forward, Way::Queries, Way::Keys] {
        for (causal, mask) in [(false, false), (true, false), (false, true)] {
            for (width, out, columns) in [(6, 5, 0), (0, 0, 1), (0, 0, 8)] {
                texts.push(write(Form { way, causal, mask, width, out, columns }, caps).text(caps));
            }
        }
    }
    texts
}
