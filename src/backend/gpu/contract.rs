//! Matrix products: a register tile for each invocation, fed from memory where a driver computes on the processor and from
//! tiles that a workgroup shares elsewhere. Leans on element and stream.

use super::adapter::{Caps, TURNS};
use super::element::{self, Reg};
use super::kernel::Key;
use super::map::{self, Chain, Piece};
use super::shader::Shader;
use super::stream::{Gpu, Job};
use super::{block, copy, pairs, sketch};
use crate::backend::launch::Operand;
use crate::backend::task::{Task, Work};
use crate::base::{DType, Layout, Number, Result};
use smallvec::SmallVec;
use std::fmt::Write as _;

/// Invocations of a workgroup that share tiles, and of one row of them.
const GROUP: usize = 256;
const SIDE: usize = 16;
/// Elements of a shared tile of either matrix.
const ROOM: usize = 1024;
/// Elements of a result from which each invocation computes eight by eight of them instead of four by four.
const LARGE: usize = 1 << 18;
/// The tile of an invocation that works alone.
const ROWS: usize = 4;
const COLUMNS: usize = 8;

#[derive(Clone, Copy)]
struct Form<'c, 'a> {
    a: DType,
    b: DType,
    out: DType,
    /// What is done with each element instead of writing it.
    tail: Option<&'c Chain<'a>>,
    /// Rows, and columns, of each invocation where workgroups share tiles; 0 where each works alone.
    shared: usize,
    /// Whether the left matrix lies by columns, and the right one: neighbours read neighbours.
    turned: (bool, bool),
}

fn frame(form: Form, caps: &Caps) -> Shader {
    let mut shader = Shader::new("matmul", caps);
    for word in WORDS.into_iter().chain(["ao", "ab", "am", "ak", "bo", "bb", "bk", "bn", "oo", "ob", "om", "on", "more"]) {
        shader.word(word);
    }
    match form.tail {
        None => {
            shader.slot(form.out, true, element::lanes(form.out) > 1);
        }
        Some(tail) => {
            let mut names = None;
            tail.declare(&mut shader, "z", &mut names);
            let code = tail.code("e", "z", 0, &names.unwrap_or_default());
            let _ = writeln!(shader.before, "fn finish(e: u32, acc: {}) {{\n{code}}}", accumulator(form.out).name());
        }
    }
    shader.slot(form.a, false, false);
    shader.slot(form.b, false, false);
    shader
}

impl Form<'_, '_> {
    /// The left matrix's binding; the right one's is the next.
    fn left(&self) -> usize {
        self.tail.map_or(1, Chain::bindings)
    }
    fn gets(&self, right: bool, at: &str) -> String {
        let (slot, dtype) = if right { (self.left() + 1, self.b) } else { (self.left(), self.a) };
        element::change(&format!("get{slot}({at})"), Reg::of(dtype), accumulator(self.out))
    }
}

/// A condition and a value.
pub type Begin = Option<(String, String)>;

/// How the elements of two matrices are found and what becomes of the products: lines of WGSL over rows `i`, columns `j` and
/// a depth, within `batch`.
pub struct Tile<'t> {
    pub acc: Reg,
    /// As a form's.
    pub shared: usize,
    pub turned: (bool, bool),
    /// Lines before a lone invocation's loop, and at the end of each turn; then elements are found by `near`.
    pub before: String,
    pub turn: String,
    /// The element of the left matrix for the invocation's `i`-th row, and of the right one for its `j`-th column, at depth `k`.
    pub near: &'t dyn Fn(bool, usize) -> String,
    /// The same at a row (or column) and a depth.
    pub at: &'t dyn Fn(bool, &str, &str) -> String,
    /// When a sum begins with something, and with what; and what is done with it in the end, at a row and a column.
    pub begin: &'t dyn Fn(&str, &str) -> Begin,
    pub end: &'t dyn Fn(&str, &str, &str) -> String,
}

/// The words that every product is told first.
pub const WORDS: [&str; 6] = ["m", "n", "k", "across", "tiles", "on_batches"];

impl Tile<'_> {
    /// Rows and columns of a tile.
    pub fn size(&self) -> (usize, usize) {
        if self.shared > 0 { (SIDE * self.shared, SIDE * self.shared) } else { (ROWS, COLUMNS) }
    }

    /// Fills in a kernel.
    pub fn write(&self, shader: &mut Shader) {
        if self.shared > 0 { self.together(shader) } else { self.alone(shader) }
    }

    fn begins(&self, i: usize, j: usize, apart: usize) -> String {
        let (row, column) = (format!("(r0 + {}u)", i * apart), format!("(q0 + {}u)", j * apart));
        let begin = (self.begin)(&row, &column);
        let more = match begin {
            None => String::new(),
            Some((when, value)) => format!("if ({when} && {row} < p.m && {column} < p.n) {{ c{i}_{j} = {value}; }}\n"),
        };
        format!("var c{i}_{j} = {};\n{more}", self.acc.zero())
    }

    fn ends(&self, i: usize, j: usize, apart: usize) -> String {
        let (row, column) = (format!("(r0 + {}u)", i * apart), format!("(q0 + {}u)", j * apart));
        format!("if ({row} < p.m && {column} < p.n) {{ {} }}\n", (self.end)(&row, &column, &format!("c{i}_{j}")))
    }

    /// Rows and columns of an invocation's own tile, written out, so that registers hold it.
    fn alone(&self, shader: &mut Shader) {
        let mut body = format!(
            "let tile = t % p.tiles; let batch = t / p.tiles;\nlet r0 = (tile / p.across) * {ROWS}u; let q0 = (tile % p.across) * {COLUMNS}u;\n\
             if (r0 >= p.m || batch * p.tiles + tile >= p.tiles * max(p.on_batches, 1u)) {{ return; }}\n{}",
            self.before
        );
        let pairs = || (0..ROWS).flat_map(|i| (0..COLUMNS).map(move |j| (i, j)));
        pairs().for_each(|(i, j)| body.push_str(&self.begins(i, j, 1)));
        body.push_str("var k = 0u;\nloop {\nif (k >= p.k) { break; }\n");
        for i in 0..ROWS {
            let _ = writeln!(body, "let x{i} = {};", (self.near)(false, i));
        }
        for j in 0..COLUMNS {
            let _ = writeln!(body, "let y{j} = {};", (self.near)(true, j));
        }
        pairs().for_each(|(i, j)| {
            let _ = writeln!(body, "c{i}_{j} += x{i} * y{j};");
        });
        let _ = writeln!(body, "{}k += 1u;\n}}", self.turn);
        pairs().for_each(|(i, j)| body.push_str(&self.ends(i, j, 1)));
        shader.body = body;
    }

    /// Tiles of both matrices in the workgroup's memory, read by all its invocations. An invocation's rows and columns are
    /// `SIDE` apart, so that neighbours read and write neighbours.
    fn together(&self, shader: &mut Shader) {
        shader.group = GROUP as u32;
        let (own, name, zero) = (self.shared, self.acc.name(), self.acc.zero());
        let tile = SIDE * own;
        let depth = ROOM / tile;
        shader.before += &format!("var<workgroup> left: array<{name}, {ROOM}>;\nvar<workgroup> right: array<{name}, {ROOM}>;\n");
        let mut body = format!(
            "let work = place.y * groups.x + place.x;\nlet tile = work % p.tiles; let batch = work / p.tiles;\n\
             let row = (tile / p.across) * {tile}u; let column = (tile % p.across) * {tile}u;\n\
             let li = lane / {SIDE}u; let rj = lane % {SIDE}u;\nlet r0 = row + li; let q0 = column + rj;\n"
        );
        let pairs = || (0..own).flat_map(|i| (0..own).map(move |j| (i, j)));
        pairs().for_each(|(i, j)| body.push_str(&self.begins(i, j, SIDE)));
        body.push_str("var k0 = 0u;\nloop {\nif (k0 >= p.k) { break; }\n");
        // Both tiles lie depth by depth, so that the products read rows of them.
        let place = |turned: bool, other: &str| {
            if turned {
                format!("let d = e / {tile}u; let {other} = e % {tile}u;")
            } else {
                format!("let {other} = e / {depth}u; let d = e % {depth}u;")
            }
        };
        for step in 0..ROOM / GROUP {
            let _ = writeln!(
                body,
                "{{ let e = lane + {at}u; {pa} var v = {zero};\n\
                 if (row + i < p.m && k0 + d < p.k) {{ v = {ga}; }}\nleft[d * {tile}u + i] = v; }}\n\
                 {{ let e = lane + {at}u; {pb} var v = {zero};\n\
                 if (column + j < p.n && k0 + d < p.k) {{ v = {gb}; }}\nright[d * {tile}u + j] = v; }}",
                at = step * GROUP,
                pa = place(self.turned.0, "i"),
                pb = place(!self.turned.1, "j"),
                ga = (self.at)(false, "(row + i)", "(k0 + d)"),
                gb = (self.at)(true, "(column + j)", "(k0 + d)"),
            );
        }
        body.push_str("workgroupBarrier();\n");
        for d in 0..depth {
            body.push_str("{\n");
            for i in 0..own {
                let at = d * tile + i * SIDE;
                let _ = writeln!(body, "let x{i} = left[{at}u + li]; let y{i} = right[{at}u + rj];");
            }
            pairs().for_each(|(i, j)| {
                let _ = writeln!(body, "c{i}_{j} += x{i} * y{j};");
            });
            body.push_str("}\n");
        }
        let _ = writeln!(body, "workgroupBarrier();\nk0 += {depth}u;\n}}\nif (batch >= max(p.on_batches, 1u)) {{ return; }}");
        pairs().for_each(|(i, j)| body.push_str(&self.ends(i, j, SIDE)));
        shader.body = body;
    }
}

/// Rows and columns for each invocation of a workgroup that shares tiles; 0 where invocations work alone.
pub fn sharing(caps: &Caps, elements: usize, depth: usize) -> usize {
    match elements {
        _ if caps.software || !caps.wide || depth < 16 => 0,
        LARGE.. => 8,
        1024.. => 4,
        _ => 0,
    }
}

/// How many invocations the tiles of products need.
pub fn threads(shared: usize, tiles: usize) -> u64 {
    (tiles * if shared > 0 { GROUP } else { 1 }) as u64
}

/// A product's kernel.
fn write(form: Form, caps: &Caps) -> Shader {
    let mut shader = frame(form, caps);
    let (mut before, mut turn) = (String::new(), String::new());
    for i in 0..ROWS {
        let _ = writeln!(before, "var a{i} = p.ao + batch * p.ab + min(r0 + {i}u, p.m - 1u) * p.am;");
        let _ = writeln!(turn, "a{i} += p.ak;");
    }
    for j in 0..COLUMNS {
        let _ = writeln!(before, "var b{j} = p.bo + batch * p.bb + min(q0 + {j}u, p.n - 1u) * p.bn;");
        let _ = writeln!(turn, "b{j} += p.bk;");
    }
    let place = |row: &str, column: &str| format!("p.oo + batch * p.ob + {row} * p.om + {column} * p.on");
    let acc = accumulator(form.out);
    let tile = Tile {
        acc,
        shared: form.shared,
        turned: form.turned,
        before,
        turn,
        near: &|right, k| form.gets(right, &if right { format!("b{k}") } else { format!("a{k}") }),
        at: &|right, own, d| {
            let at = if right {
                format!("p.bo + batch * p.bb + {d} * p.bk + {own} * p.bn")
            } else {
                format!("p.ao + batch * p.ab + {own} * p.am + {d} * p.ak")
            };
            form.gets(right, &at)
        },
        // Sums go on where the last dispatch left them.
        begin: &|row, column| {
            let old = element::change(&format!("get0({})", place(row, column)), Reg::of(form.out), acc);
            form.tail.is_none().then(|| ("p.more == 1u".to_string(), old))
        },
        end: &|row, column, value| match form.tail {
            Some(_) => format!("finish((batch * p.m + {row}) * p.n + {column}, {});", element::stored(value, form.out)),
            None => format!("put0({}, {});", place(row, column), element::change(value, acc, Reg::of(form.out))),
        },
    };
    tile.write(&mut shader);
    shader
}

/// Short floats are summed in float32, short integers in their register.
fn accumulator(out: DType) -> Reg {
    Reg::of(out)
}

/// Whether formulas may be computed with each element of a product's result as it is made.
pub fn is_head(task: &Task) -> bool {
    let (ins, outs) = (task.reads(), task.writes());
    let deep = || ins[0].layout.shape[ins[0].layout.rank() - 1];
    matches!(task.work, Work::Contract)
        && !outs[0].dtype.is_complex()
        && outs[0].storage.is_away()
        && ins.iter().all(|o| o.storage.is_away())
        && outs[0].layout.is_contiguous()
        && outs[0].numel() > 0
        && (1..=TURNS).contains(&deep())
}

/// The formulas behind a product as a chain; one of its own writes the product where somebody reads it from memory.
fn tail<'a>(out: &'a Operand, pieces: &[Piece<'a>], local: &dyn Fn(&Operand) -> bool) -> Result<Option<Chain<'a>>> {
    let one = std::slice::from_ref(out);
    let keep = Piece { body: &copy::SAME, compute: out.dtype, params: &[], ins: one, outs: one };
    let own: SmallVec<[Piece; 8]> = (!local(out)).then_some(keep).into_iter().chain(pieces.iter().copied()).collect();
    Chain::new(&own, local, Some(out), false)
}

/// Whether a product and formulas behind it can be one kernel.
pub fn fits(gpu: &Gpu, product: &Task, pieces: &[Piece], local: &dyn Fn(&Operand) -> bool) -> bool {
    let chain = tail(&product.writes()[0], pieces, local);
    pieces.len() < map::LINKS && chain.is_ok_and(|c| c.is_some_and(|c| c.bindings() + 2 <= map::most(&gpu.caps)))
}

/// A product, and formulas of its elements; results that are `local` never reach memory.
pub fn run_with<'a>(gpu: &Gpu, [a, b, out]: [&'a Operand; 3], pieces: &[Piece<'a>], local: &dyn Fn(&Operand) -> bool) -> Result<()> {
    let chain = tail(out, pieces, local)?;
    product(gpu, a, b, out, chain.as_ref())
}

/// `out[b] = a[b] @ b[b]`; every operand has rank 3, or rank 2 where there is no batch.
pub fn run(gpu: &Gpu, a: &Operand, b: &Operand, out: &Operand) -> Result<()> {
    if out.dtype.is_complex() {
        return pairs::product(gpu, a, b, out);
    }
    product(gpu, a, b, out, None)
}

fn product<'a>(gpu: &Gpu, a: &'a Operand, b: &'a Operand, out: &'a Operand, tail: Option<&Chain<'a>>) -> Result<()> {
    for dtype in [a.dtype, b.dtype, out.dtype] {
        gpu.needs(dtype)?;
    }
    if out.numel() == 0 {
        return Ok(());
    }
    let rank = out.layout.rank();
    let size = |x: &Operand, i: usize| x.layout.shape[x.layout.rank() - i];
    let (m, n, k) = (size(out, 2), size(out, 1), size(a, 1));
    if k == 0 {
        return copy::fill(gpu, out, Number::Int(0));
    }
    let batches = if rank == 3 { out.layout.shape[0] } else { 1 };
    let step = |x: &Operand, i: usize| x.layout.strides[x.layout.rank() - i] as u32;
    let batch = |x: &Operand| if x.layout.rank() == 3 && x.layout.shape[0] > 1 { step(x, 3) } else { 0 };
    let shared = sharing(&gpu.caps, m * n, k);
    let turned = if shared > 0 { (step(a, 2) == 1 && m > 1, step(b, 2) == 1 && step(b, 1) != 1) } else { (false, false) };
    let form = Form { a: a.dtype, b: b.dtype, out: out.dtype, tail, shared, turned };
    let (tall, wide) = if shared > 0 { (SIDE * shared, SIDE * shared) } else { (ROWS, COLUMNS) };
    let across = n.div_ceil(wide);
    let tiles = m.div_ceil(tall) * across;
    let mut words = vec![
        0,
        m as u32,
        n as u32,
        k.min(TURNS) as u32,
        across as u32,
        tiles as u32,
        batches as u32,
        a.layout.offset as u32,
        batch(a),
        step(a, 2),
        step(a, 1),
        b.layout.offset as u32,
        batch(b),
        step(b, 2),
        step(b, 1),
        out.layout.offset as u32,
        batch(out),
        step(out, 2),
        step(out, 1),
        0,
    ];
    if let Some(tail) = tail {
        tail.push(&mut words, true);
    }
    let mut key = Key::new();
    key.extend([
        4,
        a.dtype as u64,
        b.dtype as u64,
        out.dtype as u64,
        form.shared as u64 * 4 + u64::from(turned.0) * 2 + u64::from(turned.1),
    ]);
    let mut blocks: SmallVec<[&super::pool::Block; 8]> = SmallVec::new();
    match tail {
        None => blocks.push(block(out)?),
        Some(tail) => {
            tail.key(&mut key);
            blocks.extend(tail.blocks()?);
        }
    }
    blocks.extend([block(a)?, block(b)?]);
    let write = |caps: &Caps| write(form, caps);
    let threads = threads(shared, tiles * batches);
    let job = |words: &[u32], deep: usize| {
        let work = 2 * (m * n * deep * batches) as u64;
        gpu.dispatch(&Job { key: key.clone(), write: &write, blocks: &blocks, params: words, threads, work })
    };
    job(&words, k.min(TURNS))?;
    // Sums longer than an invocation's turns go on in further dispatches.
    for start in (TURNS..k).step_by(TURNS) {
        words[3] = TURNS.min(k - start) as u32;
        words[7] = (a.layout.offset as u32).wrapping_add((start as u32).wrapping_mul(words[10]));
        words[11] = (b.layout.offset as u32).wrapping_add((start as u32).wrapping_mul(words[13]));
        words[19] = 1;
        job(&words, TURNS.min(k - start))?;
    }
    Ok(())
}

/// The texts of products in one type: alone, and shared in every way; each by itself and with a formula behind it.
pub fn texts(dtype: DType, caps: &Caps) -> Vec<String> {
    let (out, list) = (sketch(dtype, &Layout::contiguous([4, 6][..].into())), sketch(dtype, &Layout::contiguous([6][..].into())));
    let next = sketch(dtype, &out.layout);
    let ins = [out.clone(), list.view(Layout::new(out.layout.shape.clone(), [0, 1][..].into(), 0))];
    let outs = [next];
    let piece = Piece { body: &copy::SUM, compute: dtype, params: &[], ins: &ins, outs: &outs };
    let chain = tail(&out, &[piece], &|_| false).ok().flatten();
    let mut texts = Vec::new();
    for tail in [None, chain.as_ref()] {
        let form = |shared, turned| Form { a: dtype, b: dtype, out: dtype, tail, shared, turned };
        texts.push(write(form(0, (false, false)), caps).text(caps));
        for shared in [4, 8] {
            for turned in [(false, false), (true, true)] {
                texts.push(write(form(shared, turned), caps).text(caps));
            }
        }
    }
    texts
}
