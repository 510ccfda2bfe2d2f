//! Matrix products: a register tile for each invocation, fed from memory where a driver computes on the processor and from
//! tiles that a workgroup shares elsewhere. Leans on element and stream.

use super::adapter::{Caps, TURNS};
use super::element::{self, Reg};
use super::kernel::Key;
use super::shader::Shader;
use super::stream::{Gpu, Job};
use super::{block, copy};
use crate::backend::launch::Operand;
use crate::base::{DType, Number, Result};
use std::fmt::Write as _;

/// The shared tile: rows and columns of a workgroup, depth, and what each invocation computes of it.
const TILE: usize = 64;
const DEPTH: usize = 16;
const OWN: usize = 4;
/// The tile of an invocation that works alone.
const ROWS: usize = 4;
const COLUMNS: usize = 8;

#[derive(Clone, Copy)]
struct Form {
    a: DType,
    b: DType,
    out: DType,
    /// Whether workgroups share tiles.
    shared: bool,
}

fn frame(form: Form, caps: &Caps) -> Shader {
    let mut shader = Shader::new("matmul", caps);
    for word in ["m", "n", "k", "across", "tiles", "ao", "ab", "am", "ak", "bo", "bb", "bk", "bn", "oo", "ob", "om", "on", "more"] {
        shader.word(word);
    }
    shader.slot(form.out, true, element::lanes(form.out) > 1);
    shader.slot(form.a, false, false);
    shader.slot(form.b, false, false);
    shader
}

/// Rows and columns of an invocation's own tile, written out, so that registers hold it.
fn alone(form: Form, caps: &Caps) -> Shader {
    let mut shader = frame(form, caps);
    let acc = accumulator(form.out);
    let mut body = format!(
        "let tile = t % p.tiles; let batch = t / p.tiles;\nlet r0 = (tile / p.across) * {ROWS}u; let q0 = (tile % p.across) * {COLUMNS}u;\n\
         if (r0 >= p.m || batch * p.tiles + tile >= p.tiles * max(p.on_batches, 1u)) {{ return; }}\n"
    );
    shader.word("on_batches");
    for i in 0..ROWS {
        let _ = writeln!(body, "var a{i} = p.ao + batch * p.ab + min(r0 + {i}u, p.m - 1u) * p.am;");
    }
    for j in 0..COLUMNS {
        let _ = writeln!(body, "var b{j}x = p.bo + batch * p.bb + min(q0 + {j}u, p.n - 1u) * p.bn;");
    }
    for i in 0..ROWS {
        for j in 0..COLUMNS {
            body.push_str(&begin(form, i, j, acc));
        }
    }
    body.push_str("var k = 0u;\nloop {\nif (k >= p.k) { break; }\n");
    for i in 0..ROWS {
        let _ = writeln!(body, "let x{i} = {}; a{i} += p.ak;", element::change(&format!("get1(a{i})"), Reg::of(form.a), acc));
    }
    for j in 0..COLUMNS {
        let _ = writeln!(body, "let y{j} = {}; b{j}x += p.bk;", element::change(&format!("get2(b{j}x)"), Reg::of(form.b), acc));
    }
    for i in 0..ROWS {
        for j in 0..COLUMNS {
            let _ = writeln!(body, "c{i}_{j} += x{i} * y{j};");
        }
    }
    body.push_str("k += 1u;\n}\n");
    for i in 0..ROWS {
        for j in 0..COLUMNS {
            body.push_str(&store(form, i, j, acc));
        }
    }
    shader.body = body;
    shader
}

/// A sum that begins at zero, or goes on where the last dispatch left it.
fn begin(form: Form, i: usize, j: usize, acc: Reg) -> String {
    format!(
        "var c{i}_{j} = {};\nif (p.more == 1u && r0 + {i}u < p.m && q0 + {j}u < p.n) {{ c{i}_{j} = {}; }}\n",
        acc.zero(),
        element::change(&format!("get0(p.oo + batch * p.ob + (r0 + {i}u) * p.om + (q0 + {j}u) * p.on)"), Reg::of(form.out), acc)
    )
}

fn store(form: Form, i: usize, j: usize, acc: Reg) -> String {
    format!(
        "if (r0 + {i}u < p.m && q0 + {j}u < p.n) {{ put0(p.oo + batch * p.ob + (r0 + {i}u) * p.om + (q0 + {j}u) * p.on, {}); }}\n",
        element::change(&format!("c{i}_{j}"), acc, Reg::of(form.out))
    )
}

/// Tiles of both matrices in the workgroup's memory, read by all its 256 invocations.
fn together(form: Form, caps: &Caps) -> Shader {
    let mut shader = frame(form, caps);
    shader.word("on_batches");
    shader.group = 256;
    let acc = accumulator(form.out);
    let (name, zero) = (acc.name(), acc.zero());
    let room = TILE * DEPTH;
    shader.before = format!("var<workgroup> left: array<{name}, {room}>;\nvar<workgroup> right: array<{name}, {room}>;\n");
    let mut body = format!(
        "let work = place.y * groups.x + place.x;\nlet tile = work % p.tiles; let batch = work / p.tiles;\n\
         let row = (tile / p.across) * {TILE}u; let column = (tile % p.across) * {TILE}u;\n\
         let r0 = row + (lane / 16u) * {OWN}u; let q0 = column + (lane % 16u) * {OWN}u;\n"
    );
    for i in 0..OWN {
        for j in 0..OWN {
            body.push_str(&begin(form, i, j, acc));
        }
    }
    body.push_str("var k0 = 0u;\nloop {\nif (k0 >= p.k) { break; }\n");
    // 1024 elements of each tile by 256 invocations. Both lie depth by depth, so that the products read rows.
    for step in 0..room / 256 {
        let _ = writeln!(
            body,
            "{{ let e = lane + {at}u; let i = e / {DEPTH}u; let d = e % {DEPTH}u; var v = {zero};\n\
             if (row + i < p.m && k0 + d < p.k) {{ v = {ga}; }}\nleft[d * {TILE}u + i] = v; }}\n\
             {{ let e = lane + {at}u; let d = e / {TILE}u; let j = e % {TILE}u; var v = {zero};\n\
             if (column + j < p.n && k0 + d < p.k) {{ v = {gb}; }}\nright[e] = v; }}",
            at = step * 256,
            ga = element::change("get1(p.ao + batch * p.ab + (row + i) * p.am + (k0 + d) * p.ak)", Reg::of(form.a), acc),
            gb = element::change("get2(p.bo + batch * p.bb + (k0 + d) * p.bk + (column + j) * p.bn)", Reg::of(form.b), acc),
        );
    }
    body.push_str("workgroupBarrier();\n");
    let _ = writeln!(body, "let li = (lane / 16u) * {OWN}u; let rj = (lane % 16u) * {OWN}u;");
    for d in 0..DEPTH {
        body.push_str("{\n");
        for i in 0..OWN {
            let _ = writeln!(body, "let x{i} = left[{}u + li + {i}u]; let y{i} = right[{}u + rj + {i}u];", d * TILE, d * TILE);
        }
        for i in 0..OWN {
            for j in 0..OWN {
                let _ = writeln!(body, "c{i}_{j} += x{i} * y{j};");
            }
        }
        body.push_str("}\n");
    }
    let _ = writeln!(body, "workgroupBarrier();\nk0 += {DEPTH}u;\n}}\nif (batch >= max(p.on_batches, 1u)) {{ return; }}");
    for i in 0..OWN {
        for j in 0..OWN {
            body.push_str(&store(form, i, j, acc));
        }
    }
    shader.body = body;
    shader
}

/// Short floats are summed in float32, short integers in their register.
fn accumulator(out: DType) -> Reg {
    Reg::of(out)
}

/// `out[b] = a[b] @ b[b]`; every operand has rank 3, or rank 2 where there is no batch.
pub fn run(gpu: &Gpu, a: &Operand, b: &Operand, out: &Operand) -> Result<()> {
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
    let form = Form { a: a.dtype, b: b.dtype, out: out.dtype, shared: !gpu.caps.software && m * n >= 1024 && k >= 16 };
    let (tall, wide) = if form.shared { (TILE, TILE) } else { (ROWS, COLUMNS) };
    let across = n.div_ceil(wide);
    let tiles = m.div_ceil(tall) * across;
    let mut words = [
        0,
        m as u32,
        n as u32,
        k.min(TURNS) as u32,
        across as u32,
        tiles as u32,
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
        batches as u32,
    ];
    let mut key = Key::new();
    key.extend([4, a.dtype as u64, b.dtype as u64, out.dtype as u64, u64::from(form.shared)]);
    let write = |caps: &Caps| if form.shared { together(form, caps) } else { alone(form, caps) };
    let threads = (tiles * batches * if form.shared { 256 } else { 1 }) as u64;
    let blocks = [block(out)?, block(a)?, block(b)?];
    let job = |words: &[u32], deep: usize| {
        let work = 2 * (m * n * deep * batches) as u64;
        gpu.dispatch(&Job { key: key.clone(), write: &write, blocks: &blocks, params: words, threads, work })
    };
    job(&words, k.min(TURNS))?;
    // Sums longer than an invocation's turns go on in further dispatches.
    for start in (TURNS..k).step_by(TURNS) {
        words[3] = TURNS.min(k - start) as u32;
        words[6] = (a.layout.offset as u32).wrapping_add((start as u32).wrapping_mul(words[9]));
        words[10] = (b.layout.offset as u32).wrapping_add((start as u32).wrapping_mul(words[12]));
        words[18] = 1;
        job(&words, TURNS.min(k - start))?;
    }
    Ok(())
}

/// The texts of products in one type, alone and shared.
pub fn texts(dtype: DType, caps: &Caps) -> [String; 2] {
    let form = |shared| Form { a: dtype, b: dtype, out: dtype, shared };
    [alone(form(false), caps).text(caps), together(form(true), caps).text(caps)]
}
