//! Recurrent networks over whole sequences, as one node. Leans on graph and backend's recurrence family; second
//! derivatives are those of the formula, step by step.

use super::view::operand;
use crate::backend::launch::{Cell, Recurrence};
use crate::backend::{Launch, Operand, of};
use crate::base::{DType, Error, Result, shape};
use crate::graph::mode::Mode;
use crate::graph::sym::must;
use crate::graph::{Arg, Call, Grads, Meta, Metas, Pull, Sym, Tensor};
use smallvec::smallvec;

crate::op! {
    /// A recurrent network over all steps of a sequence: the states of all rows, the last state, and for an LSTM the last
    /// cell; what comes after these is for the derivative. `input` (rows, gates * size) is what the input gives to the
    /// gates, `weight` and `bias` what the state gives, `sizes` the rows of each step, `memory` the first cell (lstm).
    recurrence(input, weight, bias: Maybe, state, memory: Maybe; sizes: Ints, cell: Text, reverse: Bool) Any {
        kernel(recurrence_meta, recurrence_run);
        rule recurrence_back;
        face hidden;
    }
}

/// What it is over, from a record's parameters.
fn described(args: &[Arg], back: bool) -> Result<Recurrence> {
    let name = if let Arg::Text(t) = &args[1] { &**t } else { "" };
    let cell = match name {
        "lstm" => Cell::Lstm,
        "gru" => Cell::Gru,
        "tanh" => Cell::Tanh,
        "relu" => Cell::Relu,
        _ => return Err(Error::value("recurrence", format!("cell is 'lstm', 'gru', 'tanh' or 'relu', not '{name}'"))),
    };
    let sizes = args[0].ints().iter().map(|&n| n.max(0) as usize).collect();
    Ok(Recurrence { cell, sizes, reverse: args[2] == Arg::Bool(true), back })
}

/// Gates for which the input and the state each give a part.
fn parts(cell: Cell) -> usize {
    match cell {
        Cell::Lstm => 4,
        Cell::Gru => 3,
        Cell::Tanh | Cell::Relu => 1,
    }
}

fn recurrence_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let what = described(args, false)?;
    let [Some(x), Some(w), bias, Some(h), memory] = ins else { return Err(Error::bug("recurrence", "an operand is missing")) };
    let (total, width) = (what.sizes.iter().sum(), parts(what.cell));
    let n = if h.shape.len() == 2 { h.shape[1] } else { 0 };
    let most = what.sizes.first().copied().unwrap_or(0);
    let falls = what.sizes.windows(2).all(|pair| pair[0] >= pair[1]);
    let wanted = (what.cell == Cell::Lstm).then_some([most, n]);
    let fits = h.shape[..] == [most, n]
        && x.shape[..] == [total, width * n]
        && w.shape[..] == [width * n, n]
        && bias.as_ref().is_none_or(|m| m.shape[..] == [width * n])
        && memory.as_ref().map(|m| &m.shape[..]) == wanted.as_ref().map(|list| &list[..]);
    if !fits || !falls || what.sizes.is_empty() {
        return Err(Error::shape(
            "recurrence",
            format!(
                "input {}, weight {}, state {} and steps of {:?} rows do not fit together",
                shape::show(&x.shape),
                shape::show(&w.shape),
                shape::show(&h.shape),
                what.sizes
            ),
        ));
    }
    if !x.dtype.is_float() || [w, h].into_iter().chain(bias).chain(memory).any(|m| m.dtype != x.dtype) {
        return Err(Error::dtype(
            "recurrence",
            format!("input {}, weight {} and state {} must be of one float dtype; convert one with .to()", x.dtype, w.dtype, h.dtype),
        ));
    }
    let made = |rows: usize, width: usize, dtype: DType| Meta { shape: [rows, width][..].into(), dtype };
    let (own, inner) = (x.dtype, x.dtype.compute());
    let mut metas: Metas = smallvec![made(total, n, own), made(most, n, own)];
    if what.cell == Cell::Lstm {
        metas.extend([made(most, n, own), made(total, 4 * n, inner), made(total, n, inner)]);
    } else if what.cell == Cell::Gru {
        metas.push(made(total, 4 * n, inner));
    }
    Ok(metas)
}

/// The same elements row-major, in the dtype that kernels compute in.
fn plain(x: &Operand) -> Result<Operand> {
    let dtype = x.dtype.compute();
    if x.layout.is_contiguous() && x.dtype == dtype {
        return Ok(x.clone());
    }
    let backend = of(&x.storage);
    let copy = Operand::new(backend, &x.layout.shape, dtype)?;
    backend.launch(&Launch::Copy { src: x, dst: &copy })?;
    Ok(copy)
}

/// Launches into operands of the compute dtype, and rounds what was asked for in another.
fn launch(what: &Recurrence, ins: &[Operand], outs: &[Operand]) -> Result<()> {
    let backend = of(&outs[0].storage);
    let made = |x: &Operand| -> Result<Operand> {
        if x.dtype == x.dtype.compute() { Ok(x.clone()) } else { Operand::new(backend, &x.layout.shape, x.dtype.compute()) }
    };
    let wide = outs.iter().map(made).collect::<Result<Vec<_>>>()?;
    backend.launch(&Launch::Recur { what, ins, outs: &wide })?;
    for (from, to) in wide.iter().zip(outs).filter(|(from, to)| from.dtype != to.dtype) {
        backend.launch(&Launch::Copy { src: from, dst: to })?;
    }
    Ok(())
}

fn recurrence_run(call: &Call) -> Result<()> {
    let what = described(call.args, false)?;
    let (x, w) = (plain(operand(call, 0)?)?, plain(operand(call, 1)?)?);
    let bias = if let Some(bias) = call.ins[2] {
        plain(bias)?
    } else {
        let none = Operand::new(of(&w.storage), &w.layout.shape[..1], w.dtype)?;
        of(&w.storage).launch(&Launch::Fill { dst: &none, value: 0i64.into() })?;
        none
    };
    let mut ins = vec![x, w, bias, plain(operand(call, 3)?)?];
    if let Some(Some(memory)) = call.ins.get(4) {
        ins.push(plain(memory)?);
    }
    launch(&what, &ins, call.outs)
}

fn recurrence_back(pull: &Pull) -> Grads {
    if Mode::now().probe() {
        let kept = pull.outs.iter().enumerate().filter(|(k, _)| *k == 0 || *k > 2 || pull.outs.len() == 3 && *k == 2);
        super::view::reads(&pull.ins.iter().filter(|s| !s.is_absent()).chain(kept.map(|(_, s)| s)).collect::<Vec<_>>());
        return Grads::new();
    }
    let what = must(described(pull.args, true));
    // Where the walk itself is recorded or transformed, it must be made of what has derivatives.
    if Mode::now().grad() || Mode::now().lifted() { formula(pull, &what) } else { must(fused(pull, &what)) }
}

/// A cotangent, or zeros in its place.
fn cotangent(pull: &Pull, k: usize) -> Sym {
    pull.grads.get(k).cloned().flatten().unwrap_or_else(|| super::view::zeros_like(&pull.outs[k]))
}

fn fused(pull: &Pull, what: &Recurrence) -> Result<Grads> {
    let (lstm, gru) = (what.cell == Cell::Lstm, what.cell == Cell::Gru);
    let g = cotangent(pull, 0).tensor().operand();
    let even = g.is_constant() && g.dtype == g.dtype.compute();
    let mut ins = vec![if even { g.clone() } else { plain(&g)? }];
    for k in 1..if lstm { 3 } else { 2 } {
        ins.push(plain(&cotangent(pull, k).tensor().operand())?);
    }
    let held = [&pull.ins[1], &pull.ins[3]].into_iter().chain(lstm.then(|| &pull.ins[4])).chain([&pull.outs[0]]);
    for x in held.chain(&pull.outs[pull.outs.len().min(if lstm { 3 } else { 2 })..]) {
        ins.push(plain(&x.tensor().operand())?);
    }
    let (x, backend) = (pull.ins[0].shape(), of(&g.storage));
    let room = |shape: &[usize]| Operand::new(backend, shape, g.dtype);
    let mut outs = vec![room(&x)?];
    if gru {
        outs.push(room(&x)?);
    }
    outs.extend([room(&pull.ins[1].shape())?, room(&pull.ins[3].shape())?]);
    if lstm {
        outs.push(room(&pull.ins[4].shape())?);
    }
    launch(what, &ins, &outs)?;
    let mut made = outs.into_iter().map(|x| Sym::Tensor(Tensor::from_operand(x)));
    let dx = made.next();
    let own = if gru { made.next() } else { dx.clone() };
    let bias = own.filter(|_| pull.needs.has(2)).map(|own| own.sum([0i64], false, ()));
    let dw = made.next();
    Ok([dx, dw, bias].into_iter().chain(made.map(Some)).collect())
}

fn cut(x: &Sym, axis: usize, start: usize, size: usize) -> Sym {
    let (mut sizes, mut starts) = (x.shape(), [0i64; 2]);
    (sizes[axis], starts[axis]) = (size, start as i64);
    x.slice(starts, &sizes, [1i64; 2])
}

/// The first rows exchanged for others.
fn with(x: &Sym, top: Sym) -> Sym {
    let (have, count) = (x.shape()[0], top.shape()[0]);
    if count == have { top } else { joined(&[top, cut(x, 0, count, have - count)], 0) }
}

fn joined(list: &[Sym], axis: usize) -> Sym {
    let list: Vec<&Tensor> = list.iter().map(Sym::tensor).collect();
    Sym::from(must(super::moves::cat(&list, axis)))
}

/// What one step was made of: the state and the cell before it, its gates, and tanh of the cell after it.
struct Taken {
    h: Sym,
    c: Option<Sym>,
    gates: Vec<Sym>,
}

/// One step forward: its gates, then the new state and cell.
fn step(cell: Cell, x: &Sym, own: &Sym, h: &Sym, c: Option<&Sym>) -> (Vec<Sym>, Sym, Option<Sym>) {
    let n = h.shape()[1];
    let part = |s: &Sym, k: usize| cut(s, 1, k * n, n);
    match (cell, c) {
        (Cell::Lstm, Some(c)) => {
            let sum = x + own;
            let (i, f, new, o) = (part(&sum, 0).sigmoid(), part(&sum, 1).sigmoid(), part(&sum, 2).tanh(), part(&sum, 3).sigmoid());
            let c = &f * c + &i * &new;
            let bent = c.tanh();
            let h = &o * &bent;
            (vec![i, f, new, o, bent], h, Some(c))
        }
        (Cell::Gru, _) => {
            let (r, z) = ((part(x, 0) + part(own, 0)).sigmoid(), (part(x, 1) + part(own, 1)).sigmoid());
            let kept = part(own, 2);
            let new = (part(x, 2) + &r * &kept).tanh();
            let out = &new + &z * (h - &new);
            (vec![r, z, new, kept], out, None)
        }
        (Cell::Relu, _) => {
            let y = (x + own).relu();
            (vec![y.clone()], y, None)
        }
        _ => {
            let y = (x + own).tanh();
            (vec![y.clone()], y, None)
        }
    }
}

/// Cotangents of the input's part and the state's part of a step's gates, of the state before apart from the product, and
/// of the cell before.
fn back(cell: Cell, taken: &Taken, d: &Sym, dc: Option<&Sym>) -> (Sym, Sym, Option<Sym>, Option<Sym>) {
    let slope = |s: &Sym| s * (1.0 - s);
    let bend = |s: &Sym| 1.0 - s * s;
    match (cell, &taken.gates[..], &taken.c, dc) {
        (Cell::Lstm, [i, f, new, o, bent], Some(c), Some(dc)) => {
            let dcell = dc + d * o * bend(bent);
            let list = [&dcell * new * slope(i), &dcell * c * slope(f), &dcell * i * bend(new), d * bent * slope(o)];
            let sum = joined(&list, 1);
            (sum.clone(), sum, None, Some(dcell * f))
        }
        (Cell::Gru, [r, z, new, kept], ..) => {
            let inner = d * (1.0 - z) * bend(new);
            let (reset, update) = (&inner * kept * slope(r), d * (&taken.h - new) * slope(z));
            let own = joined(&[reset.clone(), update.clone(), &inner * r], 1);
            (joined(&[reset, update, inner], 1), own, Some(d * z), None)
        }
        (Cell::Relu, [y, ..], ..) => {
            let sum = y.gt(&Sym::from(0.0)).where_(d, &Sym::from(0.0));
            (sum.clone(), sum, None, None)
        }
        _ => {
            let sum = d * bend(&taken.gates[0]);
            (sum.clone(), sum, None, None)
        }
    }
}

/// The same gradients written with operations: the steps are taken once more, and gone back one by one.
fn formula(pull: &Pull, what: &Recurrence) -> Grads {
    let dtype = pull.ins[0].dtype();
    let wide = |s: &Sym| if dtype == dtype.compute() { s.clone() } else { s.cast(dtype.compute()) };
    let (x, w, lstm) = (wide(&pull.ins[0]), wide(&pull.ins[1]), what.cell == Cell::Lstm);
    let across = w.transpose(0, 1);
    let mut order: Vec<(usize, usize)> = Vec::new();
    let mut first = 0;
    for &rows in &what.sizes {
        order.push((first, rows));
        first += rows;
    }
    if what.reverse {
        order.reverse();
    }
    let (mut h, mut c) = (wide(&pull.ins[3]), lstm.then(|| wide(&pull.ins[4])));
    let mut all = Vec::with_capacity(order.len());
    for &(start, rows) in &order {
        let (before, cell) = (cut(&h, 0, 0, rows), c.as_ref().map(|c| cut(c, 0, 0, rows)));
        let mut own = before.matmul(&across);
        if !pull.ins[2].is_absent() {
            own = own + wide(&pull.ins[2]);
        }
        let (gates, new, new_cell) = step(what.cell, &cut(&x, 0, start, rows), &own, &before, cell.as_ref());
        h = with(&h, new);
        c = c.zip(new_cell).map(|(c, new)| with(&c, new));
        all.push(Taken { h: before, c: cell, gates });
    }
    let g = wide(&cotangent(pull, 0));
    let (mut dh, mut dc) = (wide(&cotangent(pull, 1)), lstm.then(|| wide(&cotangent(pull, 2))));
    let mut dx: Vec<(usize, Sym)> = Vec::with_capacity(order.len());
    let (mut dw, mut db): (Option<Sym>, Option<Sym>) = (None, None);
    for (&(start, rows), taken) in order.iter().zip(&all).rev() {
        let d = cut(&dh, 0, 0, rows) + cut(&g, 0, start, rows);
        let (sum, own, rest, cell) = back(what.cell, taken, &d, dc.as_ref().map(|dc| cut(dc, 0, 0, rows)).as_ref());
        let through = own.matmul(&w);
        dh = with(&dh, rest.map_or_else(|| through.clone(), |rest| &rest + &through));
        dc = dc.zip(cell).map(|(dc, new)| with(&dc, new));
        let more = own.transpose(0, 1).matmul(&taken.h);
        dw = Some(dw.map_or_else(|| more.clone(), |sum| &sum + &more));
        if pull.needs.has(2) {
            let more = own.sum([0i64], false, ());
            db = Some(db.map_or_else(|| more.clone(), |sum| &sum + &more));
        }
        dx.push((start, sum));
    }
    dx.sort_by_key(|(start, _)| *start);
    let dx: Vec<Sym> = dx.into_iter().map(|(_, s)| s).collect();
    let narrow = |s: Sym| if dtype == dtype.compute() { s } else { s.cast(dtype) };
    [Some(joined(&dx, 0)), dw, db, Some(dh), dc].into_iter().map(|s| s.map(narrow)).collect()
}
