//! Recurrent networks over whole sequences: a product for each step, a kernel for all of its gates, and the way back through
//! both. Leans on contract and stream.

use super::adapter::{Caps, TURNS};
use super::kernel::Key;
use super::map::Piece;
use super::shader::Shader;
use super::stream::{Gpu, Job};
use super::{block, contract, copy};
use crate::backend::launch::{Cell, Operand, Recurrence};
use crate::backend::sequence::{WayBack, rows, turned};
use crate::base::{DType, Layout, Result};
use std::fmt::Write as _;

/// A matrix that a kernel meets: its letter, and whether it is written.
type Matrix = (&'static str, bool);

/// A kernel over the `rows` of a step and `n` columns: its matrices and what it does with one element, row `r` and column `j`.
struct Text {
    matrices: &'static [Matrix],
    /// Words beyond those of every kernel.
    words: &'static [&'static str],
    body: &'static str,
}

const LSTM: Text = Text {
    matrices: &[("y", true), ("h", true), ("c", true), ("gates", true), ("cells", true), ("x", false), ("own", false), ("bias", false)],
    words: &[],
    body: "let w = r * 4u * p.n + j; let n = p.n;
let i = sigmoid_f32(x_at(w) + (own_at(w) + bias_at(j)));
let f = sigmoid_f32(x_at(w + n) + (own_at(w + n) + bias_at(j + n)));
let g = tanh_f32(x_at(w + 2u * n) + (own_at(w + 2u * n) + bias_at(j + 2u * n)));
let o = sigmoid_f32(x_at(w + 3u * n) + (own_at(w + 3u * n) + bias_at(j + 3u * n)));
let cell = hold(f * c_at(t)) + hold(i * g);
let out = o * tanh_f32(cell);
gates_put(w, i); gates_put(w + n, f); gates_put(w + 2u * n, g); gates_put(w + 3u * n, o);
c_put(t, cell); cells_put(t, cell); h_put(t, out); y_put(t, out);
",
};

const LSTM_BACK: Text = Text {
    matrices: &[("to", true), ("dh", true), ("dc", true), ("g", false), ("gates", false), ("before", false), ("after", false)],
    words: &["pitch", "step"],
    body: "let w = r * 4u * p.n + j; let n = p.n;
let i = gates_at(w); let f = gates_at(w + n); let fresh = gates_at(w + 2u * n); let o = gates_at(w + 3u * n);
let bent = tanh_f32(after_at(t));
let d = dh_at(t) + g_at(r * p.pitch + j * p.step);
let cell = dc_at(t) + hold(d * o * (1.0f - hold(bent * bent)));
to_put(w, cell * fresh * i * (1.0f - i));
to_put(w + n, cell * before_at(t) * f * (1.0f - f));
to_put(w + 2u * n, cell * i * (1.0f - hold(fresh * fresh)));
to_put(w + 3u * n, d * bent * o * (1.0f - o));
dc_put(t, cell * f);
",
};

const GRU: Text = Text {
    matrices: &[("y", true), ("h", true), ("gates", true), ("x", false), ("own", false), ("bias", false)],
    words: &[],
    body: "let v = r * 3u * p.n + j; let w = r * 4u * p.n + j; let n = p.n;
let reset = sigmoid_f32(x_at(v) + (own_at(v) + bias_at(j)));
let update = sigmoid_f32(x_at(v + n) + (own_at(v + n) + bias_at(j + n)));
let kept = own_at(v + 2u * n) + bias_at(j + 2u * n);
let fresh = tanh_f32(x_at(v + 2u * n) + hold(reset * kept));
let out = fresh + hold(update * (h_at(t) - fresh));
gates_put(w, reset); gates_put(w + n, update); gates_put(w + 2u * n, fresh); gates_put(w + 3u * n, kept);
h_put(t, out); y_put(t, out);
",
};

const GRU_BACK: Text = Text {
    matrices: &[("to", true), ("own", true), ("dh", true), ("g", false), ("gates", false), ("before", false)],
    words: &["pitch", "step"],
    body: "let v = r * 3u * p.n + j; let w = r * 4u * p.n + j; let n = p.n;
let reset = gates_at(w); let update = gates_at(w + n); let fresh = gates_at(w + 2u * n); let kept = gates_at(w + 3u * n);
let d = dh_at(t) + g_at(r * p.pitch + j * p.step);
let inner = d * (1.0f - update) * (1.0f - hold(fresh * fresh));
let a = inner * kept * reset * (1.0f - reset);
let b = d * (before_at(t) - fresh) * update * (1.0f - update);
to_put(v, a); to_put(v + n, b); to_put(v + 2u * n, inner);
own_put(v, a); own_put(v + n, b); own_put(v + 2u * n, inner * reset);
dh_put(t, d * update);
",
};

const TANH: Text = Text {
    matrices: &[("y", true), ("h", true), ("x", false), ("own", false), ("bias", false)],
    words: &[],
    body: "let out = tanh_f32(x_at(t) + (own_at(t) + bias_at(j)));\nh_put(t, out); y_put(t, out);\n",
};

const TANH_BACK: Text = Text {
    matrices: &[("to", true), ("dh", false), ("g", false), ("y", false)],
    words: &["pitch", "step"],
    body: "let d = dh_at(t) + g_at(r * p.pitch + j * p.step);\nlet out = y_at(t);\nto_put(t, d * (1.0f - hold(out * out)));\n",
};

/// The comparison lets NaN through.
const RELU: Text = Text {
    matrices: &[("y", true), ("h", true), ("x", false), ("own", false), ("bias", false)],
    words: &[],
    body: "let sum = x_at(t) + (own_at(t) + bias_at(j));\nlet out = select(sum, 0.0f, sum < 0.0f);\nh_put(t, out); y_put(t, out);\n",
};

const RELU_BACK: Text = Text {
    matrices: &[("to", true), ("dh", false), ("g", false), ("y", false)],
    words: &["pitch", "step"],
    body: "let d = dh_at(t) + g_at(r * p.pitch + j * p.step);\nto_put(t, select(0.0f, d, y_at(t) > 0.0f));\n",
};

/// Rows of one matrix, or of another where the number is below 0.
const EARLIER: Text = Text {
    matrices: &[("to", true), ("all", false), ("first", false)],
    words: &["list"],
    body: "let row = get3(p.list + r);\n\
           if (row < 0i) { to_put(t, first_at(u32(-1i - row) * p.n + j)); } else { to_put(t, all_at(u32(row) * p.n + j)); }\n",
};

fn forward_of(cell: Cell) -> (u64, &'static Text) {
    match cell {
        Cell::Lstm => (0, &LSTM),
        Cell::Gru => (1, &GRU),
        Cell::Tanh => (2, &TANH),
        Cell::Relu => (3, &RELU),
    }
}

fn backward_of(cell: Cell) -> (u64, &'static Text) {
    match cell {
        Cell::Lstm => (4, &LSTM_BACK),
        Cell::Gru => (5, &GRU_BACK),
        Cell::Tanh => (6, &TANH_BACK),
        Cell::Relu => (7, &RELU_BACK),
    }
}

fn write(text: &Text, caps: &Caps) -> Shader {
    let mut shader = Shader::new("recurrence", caps);
    for word in ["count", "n"].into_iter().chain(text.words.iter().copied()) {
        shader.word(word);
    }
    for (k, (name, written)) in text.matrices.iter().enumerate() {
        shader.word(&format!("m{k}"));
        shader.slot(DType::F32, *written, false);
        let access = |what: &str| text.body.contains(&format!("{name}_{what}("));
        if access("at") {
            let _ = writeln!(shader.before, "fn {name}_at(i: u32) -> f32 {{ return get{k}(p.m{k} + i); }}");
        }
        if access("put") {
            let _ = writeln!(shader.before, "fn {name}_put(i: u32, v: f32) {{ put{k}(p.m{k} + i, v); }}");
        }
    }
    if text.words.contains(&"list") {
        shader.slot(DType::I32, false, false);
    }
    shader.body = format!("if (t >= p.count) {{ return; }}\nlet r = t / p.n; let j = t % p.n;\n{}", text.body);
    shader
}

/// Runs a kernel over `rows` of `n` columns each; every matrix begins at a row of its own.
fn go(gpu: &Gpu, (kind, text): (u64, &Text), (rows, n): (usize, usize), words: &[u32], matrices: &[(&Operand, usize)]) -> Result<()> {
    if rows * n == 0 {
        return Ok(());
    }
    let mut params = vec![0, (rows * n) as u32, n as u32];
    params.extend(words);
    for (x, row) in &matrices[..text.matrices.len()] {
        params.push((x.layout.offset + row * x.layout.shape.get(1).copied().unwrap_or(1)) as u32);
    }
    let mut key = Key::new();
    key.extend([44, kind]);
    let blocks = matrices.iter().map(|(x, _)| block(x)).collect::<Result<Vec<_>>>()?;
    let threads = (rows * n) as u64;
    let write = |caps: &Caps| write(text, caps);
    gpu.dispatch(&Job { key, write: &write, blocks: &blocks, params: &params, threads, work: threads * 256 })
}

/// What goes in and comes out is told by the processor's kernels: row-major operands, of float32 here.
pub fn run(gpu: &Gpu, what: &Recurrence, ins: &[Operand], outs: &[Operand]) -> Result<()> {
    let most = if what.cell == Cell::Lstm { LSTM.matrices.len() + 1 } else { GRU.matrices.len() + 1 };
    if outs[0].dtype != DType::F32 || (gpu.caps.bindings as usize) < most {
        return Err(gpu.missing("has no kernel for this recurrence", "use x.float()"));
    }
    if what.back { backward(gpu, what, ins, outs) } else { forward(gpu, what, ins, outs) }
}

fn forward(gpu: &Gpu, what: &Recurrence, ins: &[Operand], outs: &[Operand]) -> Result<()> {
    let (x, weight, bias, first) = (&ins[0], &ins[1], &ins[2], &ins[3]);
    let (y, h) = (&outs[0], &outs[1]);
    let n = weight.layout.shape[1];
    copy::copy(gpu, first, h)?;
    if what.cell == Cell::Lstm {
        copy::copy(gpu, &ins[4], &outs[2])?;
    }
    let across = turned(weight);
    let own = gpu.scratch(&[first.layout.shape[0], weight.layout.shape[0]], DType::F32)?;
    for (start, count) in what.steps() {
        contract::run(gpu, &rows(h, 0, count), &across, &rows(&own, 0, count))?;
        let read = [(x, start), (&own, 0), (bias, 0)];
        let written: &[(&Operand, usize)] = match what.cell {
            Cell::Lstm => &[(y, start), (h, 0), (&outs[2], 0), (&outs[3], start), (&outs[4], start)],
            Cell::Gru => &[(y, start), (h, 0), (&outs[2], start)],
            Cell::Tanh | Cell::Relu => &[(y, start), (h, 0)],
        };
        go(gpu, forward_of(what.cell), (count, n), &[], &[written, &read].concat())?;
    }
    Ok(())
}

/// `out = out + a @ b`, in one kernel where the sums are short enough.
fn onto(gpu: &Gpu, a: &Operand, b: &Operand, out: &Operand) -> Result<()> {
    let product = gpu.scratch(&out.layout.shape, out.dtype)?;
    let (ins, outs) = ([product.clone(), out.clone()], [out.clone()]);
    let sum = Piece { body: &copy::SUM, compute: DType::F32, params: &[], ins: &ins, outs: &outs };
    if (1..=TURNS).contains(&b.layout.shape[0]) && out.numel() > 0 {
        let local = |o: &Operand| std::sync::Arc::ptr_eq(&o.storage, &product.storage);
        return contract::run_with(gpu, [a, b, &product], &[sum], &local);
    }
    contract::run(gpu, a, b, &product)?;
    super::map::run(gpu, &copy::SUM, DType::F32, &[], &ins, &outs)
}

fn backward(gpu: &Gpu, what: &Recurrence, ins: &[Operand], outs: &[Operand]) -> Result<()> {
    let (lstm, gru) = (what.cell == Cell::Lstm, what.cell == Cell::Gru);
    let WayBack { g: given, g_state, g_cell, weight, first, first_cell, y, gates, cells, to, own, dw, dh, dc } =
        what.way_back(ins, outs)?;
    copy::copy(gpu, g_state, dh)?;
    if lstm {
        copy::copy(gpu, g_cell, dc)?;
    }
    let n = weight.layout.shape[1];
    // One number everywhere is met as one element.
    let even = given.is_constant() && !given.layout.is_contiguous();
    let g = if even && !given.storage.is_away() {
        let one = gpu.scratch(&[1, 1], DType::F32)?;
        copy::copy(gpu, &given.view(Layout::new([1, 1][..].into(), [0, 0][..].into(), given.layout.offset)), &one)?;
        one
    } else {
        given.clone()
    };
    let (words, pitch) = if even { ([0, 0], 0) } else { ([n as u32, 1], 1) };
    let before = earlier(gpu, what, first, y)?;
    let cells_before = if lstm { earlier(gpu, what, first_cell, cells)? } else { before.clone() };
    for (start, count) in what.steps().into_iter().rev() {
        let g = (&g, start * pitch);
        let list: &[(&Operand, usize)] = match what.cell {
            Cell::Lstm => &[(to, start), (dh, 0), (dc, 0), g, (gates, start), (&cells_before, start), (cells, start)],
            Cell::Gru => &[(to, start), (own, start), (dh, 0), g, (gates, start), (&before, start)],
            Cell::Tanh | Cell::Relu => &[(to, start), (dh, 0), g, (y, start)],
        };
        go(gpu, backward_of(what.cell), (count, n), &words, list)?;
        let (through, state) = (rows(own, start, count), rows(dh, 0, count));
        if gru {
            onto(gpu, &through, weight, &state)?;
        } else {
            contract::run(gpu, &through, weight, &state)?;
        }
    }
    contract::run(gpu, &turned(own), &before, dw)
}

/// What stood in the rows of each step before it was taken: of `first`, or of the step before.
fn earlier(gpu: &Gpu, what: &Recurrence, first: &Operand, all: &Operand) -> Result<Operand> {
    let mut list = vec![0i32; all.layout.shape[0]];
    let mut last = (0, 0);
    for (start, count) in what.steps() {
        for (r, place) in list[start..start + count].iter_mut().enumerate() {
            *place = if r < last.1 { (last.0 + r) as i32 } else { -1 - r as i32 };
        }
        last = (start, count);
    }
    let out = gpu.scratch(&all.layout.shape, DType::F32)?;
    if list.is_empty() {
        return Ok(out);
    }
    let table = gpu.table(&list)?;
    let (count, n) = (list.len(), all.layout.shape[1]);
    go(gpu, (8, &EARLIER), (count, n), &[table.layout.offset as u32], &[(&out, 0), (all, 0), (first, 0), (&table, 0)])?;
    Ok(out)
}

/// The texts of all of these.
pub fn texts(caps: &Caps) -> Vec<String> {
    let cells = [Cell::Lstm, Cell::Gru, Cell::Tanh, Cell::Relu];
    let all = cells.iter().flat_map(|&cell| [forward_of(cell).1, backward_of(cell).1]).chain([&EARLIER]);
    all.map(|text| write(text, caps).text(caps)).collect()
}
