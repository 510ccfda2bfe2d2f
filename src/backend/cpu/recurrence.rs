//! Recurrent networks over whole sequences: a product for each step, its gates in one pass, and the way back through both.
//! Leans on contract and math.

use super::math::{double, single};
use super::{contract, isa, stop};
use crate::backend::launch::{Cell, Operand, Recurrence};
use crate::backend::sequence::{WayBack, rows, turned};
use crate::base::dtype::Element;
use crate::base::{DType, Error, Layout, Result};

/// Steps from which the weights are turned first: products with rows of theirs are the faster ones.
const TURNED: usize = 3;

type Three<Loop> = &'static [Loop; 3];

/// `(input, own, bias, state, cell, gates, cells, results, rows, size)`: the gates of one step, from what the input and the
/// state before give them; the state and the cell are brought up to date.
type Forward<T> = unsafe fn(*const T, *const T, *const T, *mut T, *mut T, *mut T, *mut T, *mut T, usize, usize);
/// `(cotangent and its pitch, gates, before, after, state's, cell's, input's, own, rows, size)`: the cotangents of one
/// step's gates. What the state's cotangent is left with joins the one that comes back through the product.
#[allow(clippy::type_complexity, reason = "a list of streams")]
type Backward<T> = unsafe fn(*const T, usize, *const T, *const T, *const T, *mut T, *mut T, *mut T, *mut T, usize, usize);

struct Loops<T: 'static> {
    forward: [Three<Forward<T>>; 4],
    backward: [Three<Backward<T>>; 4],
}

trait Kind: Element + 'static {
    const LOOPS: Loops<Self>;
}

/// A row of a matrix.
///
/// # Safety
/// There must be such a row, and nobody else may write it.
#[inline(always)]
unsafe fn row<'a, T>(first: *const T, i: usize, width: usize) -> &'a [T] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(first.add(i * width), width) }
}

/// # Safety
/// As above; nobody else may read it either.
#[inline(always)]
unsafe fn row_mut<'a, T>(first: *mut T, i: usize, width: usize) -> &'a mut [T] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(first.add(i * width), width) }
}

macro_rules! cells {
    ($t:ty, $math:ident, $module:ident) => {
        #[allow(clippy::too_many_arguments, reason = "a list of streams")]
        mod $module {
            use super::*;

            #[inline(always)]
            fn opened<const FMA: bool>(x: &[$t], own: &[$t], bias: &[$t], to: &mut [$t]) {
                for (((to, x), own), bias) in to.iter_mut().zip(x).zip(own).zip(bias) {
                    *to = $math::sigmoid::<FMA>(*x + (*own + *bias));
                }
            }

            #[inline(always)]
            fn bent<const FMA: bool>(x: &[$t], own: &[$t], bias: &[$t], to: &mut [$t]) {
                for (((to, x), own), bias) in to.iter_mut().zip(x).zip(own).zip(bias) {
                    *to = $math::tanh::<FMA>(*x + (*own + *bias));
                }
            }

            #[inline(always)]
            fn long_row<const FMA: bool>(gates: &[$t], c: &mut [$t], h: &mut [$t], cells: &mut [$t], y: &mut [$t]) {
                let n = y.len();
                let (i, f, g, o) = (&gates[..n], &gates[n..][..n], &gates[2 * n..][..n], &gates[3 * n..][..n]);
                let (c, h, cells) = (&mut c[..n], &mut h[..n], &mut cells[..n]);
                for j in 0..n {
                    let new = f[j] * c[j] + i[j] * g[j];
                    let out = o[j] * $math::tanh::<FMA>(new);
                    (c[j], cells[j], h[j], y[j]) = (new, new, out, out);
                }
            }

            #[inline(always)]
            unsafe fn long<const FMA: bool>(
                x: *const $t, own: *const $t, bias: *const $t, h: *mut $t, c: *mut $t, gates: *mut $t, cells: *mut $t, y: *mut $t, rows: usize, n: usize,
            ) {
                for r in 0..rows {
                    // SAFETY: the caller promises matrices of so many rows, apart from each other.
                    unsafe {
                        let (x, own, bias, gates) = (row(x, r, 4 * n), row(own, r, 4 * n), row(bias, 0, 4 * n), row_mut(gates, r, 4 * n));
                        opened::<FMA>(&x[..2 * n], &own[..2 * n], &bias[..2 * n], &mut gates[..2 * n]);
                        bent::<FMA>(&x[2 * n..3 * n], &own[2 * n..3 * n], &bias[2 * n..3 * n], &mut gates[2 * n..3 * n]);
                        opened::<FMA>(&x[3 * n..], &own[3 * n..], &bias[3 * n..], &mut gates[3 * n..]);
                        long_row::<FMA>(gates, row_mut(c, r, n), row_mut(h, r, n), row_mut(cells, r, n), row_mut(y, r, n));
                    }
                }
            }

            #[inline(always)]
            fn long_row_back<const FMA: bool>(g: &[$t], gates: &[$t], before: &[$t], after: &[$t], dh: &[$t], dc: &mut [$t], to: &mut [$t]) {
                let n = dc.len();
                let (i, f, new, o) = (&gates[..n], &gates[n..][..n], &gates[2 * n..][..n], &gates[3 * n..][..n]);
                let (di, rest) = to.split_at_mut(n);
                let (df, rest) = rest.split_at_mut(n);
                let (dn, d_o) = rest.split_at_mut(n);
                let (df, dn, d_o) = (&mut df[..n], &mut dn[..n], &mut d_o[..n]);
                let (g, before, after, dh) = (&g[..n], &before[..n], &after[..n], &dh[..n]);
                for j in 0..n {
                    let bent = $math::tanh::<FMA>(after[j]);
                    let d = dh[j] + g[j];
                    let dcell = dc[j] + d * o[j] * (1.0 - bent * bent);
                    d_o[j] = d * bent * o[j] * (1.0 - o[j]);
                    di[j] = dcell * new[j] * i[j] * (1.0 - i[j]);
                    df[j] = dcell * before[j] * f[j] * (1.0 - f[j]);
                    dn[j] = dcell * i[j] * (1.0 - new[j] * new[j]);
                    dc[j] = dcell * f[j];
                }
            }

            #[inline(always)]
            unsafe fn long_back<const FMA: bool>(
                g: *const $t, pitch: usize, gates: *const $t, before: *const $t, after: *const $t,
                dh: *mut $t, dc: *mut $t, to: *mut $t, _own: *mut $t, rows: usize, n: usize,
            ) {
                for r in 0..rows {
                    // SAFETY: as above; the cotangent's rows lie a pitch apart.
                    unsafe {
                        let (g, dh) = (row(g.add(r * pitch), 0, n), row_mut(dh, r, n));
                        let (before, after) = (row(before, r, n), row(after, r, n));
                        long_row_back::<FMA>(g, row(gates, r, 4 * n), before, after, dh, row_mut(dc, r, n), row_mut(to, r, 4 * n));
                        dh.fill(0.0);
                    }
                }
            }

            #[inline(always)]
            fn gated_row<const FMA: bool>(x: &[$t], own: &[$t], bias: &[$t], gates: &mut [$t], h: &mut [$t], y: &mut [$t]) {
                let n = y.len();
                let (opened, rest) = gates.split_at_mut(2 * n);
                let (new, kept) = rest.split_at_mut(n);
                let (r, z) = (&opened[..n], &opened[n..][..n]);
                let (new, kept, h) = (&mut new[..n], &mut kept[..n], &mut h[..n]);
                let (x, own, bias) = (&x[..n], &own[..n], &bias[..n]);
                for j in 0..n {
                    let own = own[j] + bias[j];
                    let bent = $math::tanh::<FMA>(x[j] + r[j] * own);
                    let out = bent + z[j] * (h[j] - bent);
                    (new[j], kept[j], h[j], y[j]) = (bent, own, out, out);
                }
            }

            #[inline(always)]
            unsafe fn gated<const FMA: bool>(
                x: *const $t, own: *const $t, bias: *const $t, h: *mut $t, _c: *mut $t, gates: *mut $t, _cells: *mut $t, y: *mut $t, rows: usize, n: usize,
            ) {
                for r in 0..rows {
                    // SAFETY: as above.
                    unsafe {
                        let (x, own, bias, gates) = (row(x, r, 3 * n), row(own, r, 3 * n), row(bias, 0, 3 * n), row_mut(gates, r, 4 * n));
                        opened::<FMA>(&x[..2 * n], &own[..2 * n], &bias[..2 * n], &mut gates[..2 * n]);
                        gated_row::<FMA>(&x[2 * n..], &own[2 * n..], &bias[2 * n..], gates, row_mut(h, r, n), row_mut(y, r, n));
                    }
                }
            }

            #[inline(always)]
            fn gated_row_back(g: &[$t], gates: &[$t], before: &[$t], dh: &mut [$t], to: &mut [$t], own: &mut [$t]) {
                let n = dh.len();
                let (r, z, new, kept) = (&gates[..n], &gates[n..][..n], &gates[2 * n..][..n], &gates[3 * n..][..n]);
                let (dr, rest) = to.split_at_mut(n);
                let (dz, dn) = rest.split_at_mut(n);
                let (own_r, rest) = own.split_at_mut(n);
                let (own_z, own_n) = rest.split_at_mut(n);
                let (dz, dn, own_z, own_n) = (&mut dz[..n], &mut dn[..n], &mut own_z[..n], &mut own_n[..n]);
                let (g, before) = (&g[..n], &before[..n]);
                for j in 0..n {
                    let d = dh[j] + g[j];
                    let inner = d * (1.0 - z[j]) * (1.0 - new[j] * new[j]);
                    let (reset, kept_) = (inner * kept[j] * r[j] * (1.0 - r[j]), d * (before[j] - new[j]) * z[j] * (1.0 - z[j]));
                    (dr[j], dz[j], dn[j]) = (reset, kept_, inner);
                    (own_r[j], own_z[j], own_n[j]) = (reset, kept_, inner * r[j]);
                    dh[j] = d * z[j];
                }
            }

            #[inline(always)]
            unsafe fn gated_back<const FMA: bool>(
                g: *const $t, pitch: usize, gates: *const $t, before: *const $t, _after: *const $t,
                dh: *mut $t, _dc: *mut $t, to: *mut $t, own: *mut $t, rows: usize, n: usize,
            ) {
                for r in 0..rows {
                    // SAFETY: as above.
                    unsafe {
                        let (g, gates) = (row(g.add(r * pitch), 0, n), row(gates, r, 4 * n));
                        gated_row_back(g, gates, row(before, r, n), row_mut(dh, r, n), row_mut(to, r, 3 * n), row_mut(own, r, 3 * n));
                    }
                }
            }

            #[inline(always)]
            fn plain_row<const FMA: bool, const BENT: bool>(x: &[$t], own: &[$t], bias: &[$t], h: &mut [$t], y: &mut [$t]) {
                let n = y.len();
                let (x, own, bias, h) = (&x[..n], &own[..n], &bias[..n], &mut h[..n]);
                for j in 0..n {
                    let sum = x[j] + (own[j] + bias[j]);
                    // The comparison lets NaN through.
                    let out = if BENT { $math::tanh::<FMA>(sum) } else if sum < 0.0 { 0.0 } else { sum };
                    (h[j], y[j]) = (out, out);
                }
            }

            #[inline(always)]
            unsafe fn plain<const FMA: bool, const BENT: bool>(
                x: *const $t, own: *const $t, bias: *const $t, h: *mut $t, y: *mut $t, rows: usize, n: usize,
            ) {
                for r in 0..rows {
                    // SAFETY: as above.
                    unsafe { plain_row::<FMA, BENT>(row(x, r, n), row(own, r, n), row(bias, 0, n), row_mut(h, r, n), row_mut(y, r, n)) };
                }
            }

            #[inline(always)]
            unsafe fn bending<const FMA: bool>(
                x: *const $t, own: *const $t, bias: *const $t, h: *mut $t, _c: *mut $t, _gates: *mut $t, _cells: *mut $t, y: *mut $t, rows: usize, n: usize,
            ) {
                // SAFETY: the caller's promise.
                unsafe { plain::<FMA, true>(x, own, bias, h, y, rows, n) }
            }

            #[inline(always)]
            unsafe fn cutting<const FMA: bool>(
                x: *const $t, own: *const $t, bias: *const $t, h: *mut $t, _c: *mut $t, _gates: *mut $t, _cells: *mut $t, y: *mut $t, rows: usize, n: usize,
            ) {
                // SAFETY: the caller's promise.
                unsafe { plain::<FMA, false>(x, own, bias, h, y, rows, n) }
            }

            #[inline(always)]
            fn plain_row_back<const BENT: bool>(g: &[$t], y: &[$t], dh: &mut [$t], to: &mut [$t]) {
                let n = dh.len();
                let (g, y, to) = (&g[..n], &y[..n], &mut to[..n]);
                for j in 0..n {
                    let d = dh[j] + g[j];
                    to[j] = if BENT { d * (1.0 - y[j] * y[j]) } else if y[j] > 0.0 { d } else { 0.0 };
                    dh[j] = 0.0;
                }
            }

            #[inline(always)]
            unsafe fn bending_back<const FMA: bool>(
                g: *const $t, pitch: usize, y: *const $t, _before: *const $t, _after: *const $t,
                dh: *mut $t, _dc: *mut $t, to: *mut $t, _own: *mut $t, rows: usize, n: usize,
            ) {
                for r in 0..rows {
                    // SAFETY: as above.
                    unsafe { plain_row_back::<true>(row(g.add(r * pitch), 0, n), row(y, r, n), row_mut(dh, r, n), row_mut(to, r, n)) };
                }
            }

            #[inline(always)]
            unsafe fn cutting_back<const FMA: bool>(
                g: *const $t, pitch: usize, y: *const $t, _before: *const $t, _after: *const $t,
                dh: *mut $t, _dc: *mut $t, to: *mut $t, _own: *mut $t, rows: usize, n: usize,
            ) {
                for r in 0..rows {
                    // SAFETY: as above.
                    unsafe { plain_row_back::<false>(row(g.add(r * pitch), 0, n), row(y, r, n), row_mut(dh, r, n), row_mut(to, r, n)) };
                }
            }

            macro_rules! both {
                ($forward:ident $of:ident, $backward:ident $back_of:ident) => {
                    crate::per_isa!(static $forward: unsafe fn(x: *const $t, own: *const $t, bias: *const $t, h: *mut $t, c: *mut $t, gates: *mut $t, cells: *mut $t, y: *mut $t, rows: usize, n: usize) = $of);
                    crate::per_isa!(static $backward: unsafe fn(g: *const $t, pitch: usize, gates: *const $t, before: *const $t, after: *const $t, dh: *mut $t, dc: *mut $t, to: *mut $t, own: *mut $t, rows: usize, n: usize) = $back_of);
                };
            }
            both!(lstm long, lstm_back long_back);
            both!(gru gated, gru_back gated_back);
            both!(tanh bending, tanh_back bending_back);
            both!(relu cutting, relu_back cutting_back);

            impl Kind for $t {
                const LOOPS: Loops<$t> =
                    Loops { forward: [&lstm, &gru, &tanh, &relu], backward: [&lstm_back, &gru_back, &tanh_back, &relu_back] };
            }
        }
    };
}
cells!(f32, single, of_single);
cells!(f64, double, of_double);

fn scratch(shape: [usize; 2], dtype: DType) -> Result<Operand> {
    Operand::new(&super::Cpu, &shape, dtype)
}

fn which(cell: Cell) -> usize {
    match cell {
        Cell::Lstm => 0,
        Cell::Gru => 1,
        Cell::Tanh => 2,
        Cell::Relu => 3,
    }
}

/// In: the input's part of the gates (rows, gates * size), the weights of the state, its bias, the first state, and the
/// first cell (LSTM). Out: the states of all rows, the last state, the last cell (LSTM), the gates (LSTM:
/// input, forget, new, output; GRU: reset, update, new, the state's part of the new one), the cells of all rows (LSTM).
/// Way back, in: cotangents of states, last state, and last cell (LSTM); weights, first state, first cell (LSTM); states,
/// gates, cells. Out: the cotangents of the input's part, of the state's part (GRU), weights, first state, first cell.
pub fn run(what: &Recurrence, ins: &[Operand], outs: &[Operand]) -> Result<()> {
    match (outs[0].dtype, what.back) {
        (DType::F32, false) => forward::<f32>(what, ins, outs),
        (DType::F64, false) => forward::<f64>(what, ins, outs),
        (DType::F32, true) => backward::<f32>(what, ins, outs),
        (DType::F64, true) => backward::<f64>(what, ins, outs),
        (other, _) => Err(Error::bug("recurrence", format!("no loop for {other}"))),
    }
}

fn at<T>(x: &Operand, row: usize) -> *mut T {
    x.ptr().cast::<T>().wrapping_add(row * x.layout.shape.get(1).copied().unwrap_or(1))
}

fn forward<T: Kind>(what: &Recurrence, ins: &[Operand], outs: &[Operand]) -> Result<()> {
    let (x, weight, bias, first) = (&ins[0], &ins[1], &ins[2], &ins[3]);
    let (y, state) = (&outs[0], &outs[1]);
    let dtype = y.dtype;
    let n = weight.layout.shape[1];
    let (steps, most) = (what.steps(), first.layout.shape[0]);
    super::convert::copy(first, state)?;
    // Where there is no such matrix, another stands in that the loop does not touch.
    let (cell, gates, cells) = match what.cell {
        Cell::Lstm => (&outs[2], &outs[3], &outs[4]),
        Cell::Gru => (&outs[1], &outs[2], &outs[0]),
        _ => (&outs[1], &outs[0], &outs[0]),
    };
    if what.cell == Cell::Lstm {
        super::convert::copy(&ins[4], cell)?;
    }
    let mut across = turned(weight);
    if steps.len() >= TURNED && most > 1 {
        let dense = scratch([n, weight.layout.shape[0]], dtype)?;
        super::convert::copy(&across, &dense)?;
        across = dense;
    }
    let own = scratch([most, weight.layout.shape[0]], dtype)?;
    let step = T::LOOPS.forward[which(what.cell)][isa::level()];
    for &(start, count) in &steps {
        if stop::asked() {
            return Ok(());
        }
        let own = rows(&own, 0, count);
        contract::run(&rows(state, 0, count), &across, &own)?;
        // SAFETY: all are row-major, as `run` says, and have the rows of this step.
        unsafe {
            step(
                at(x, start),
                at(&own, 0),
                bias.ptr().cast(),
                at(state, 0),
                at(cell, 0),
                at(gates, start),
                at(cells, start),
                at(y, start),
                count,
                n,
            );
        }
    }
    Ok(())
}

fn add<T: Kind>(to: &mut [T], other: &[T]) {
    for (to, x) in to.iter_mut().zip(other) {
        *to = if T::DTYPE == DType::F64 { T::from_f64(to.to_f64() + x.to_f64()) } else { T::from_f32(to.to_f32() + x.to_f32()) };
    }
}

fn backward<T: Kind>(what: &Recurrence, ins: &[Operand], outs: &[Operand]) -> Result<()> {
    let (lstm, gru) = (what.cell == Cell::Lstm, what.cell == Cell::Gru);
    let WayBack { g, g_state, g_cell, weight, first, first_cell, y, gates, cells, to, own, dw, dh, dc } = what.way_back(ins, outs)?;
    let n = weight.layout.shape[1];
    let dtype = to.dtype;
    let (steps, most) = (what.steps(), first.layout.shape[0]);
    super::convert::copy(g_state, dh)?;
    if lstm {
        super::convert::copy(g_cell, dc)?;
    }
    // One number everywhere is met as one row of it.
    let even = g.is_constant() && !g.layout.is_contiguous();
    let g_row = scratch([1, n], dtype)?;
    if even {
        super::convert::copy(&g.view(Layout::new([1, n][..].into(), [0, 0][..].into(), g.layout.offset)), &g_row)?;
    }
    let before = earlier(&steps, what, if lstm { first_cell } else { first }, if lstm { cells } else { y }, lstm || gru)?;
    let through = scratch([most, n], dtype)?;
    let step = T::LOOPS.backward[which(what.cell)][isa::level()];
    for (k, &(start, count)) in steps.iter().enumerate().rev() {
        if stop::asked() {
            return Ok(());
        }
        let (from, pitch) = if even { (at::<T>(&g_row, 0), 0) } else { (at(g, start), n) };
        let last = before.at::<T>(k);
        // SAFETY: all are row-major, as `run` says, and have the rows of this step.
        unsafe {
            step(from, pitch, at(gates, start), last, at(cells, start), at(dh, 0), at(dc, 0), at(to, start), at(own, start), count, n);
        }
        let through = rows(&through, 0, count);
        contract::run(&rows(own, start, count), weight, &through)?;
        if count == 0 {
            continue;
        }
        // SAFETY: both have `count` rows.
        unsafe { add(row_mut(at::<T>(dh, 0), 0, count * n), row(at::<T>(&through, 0), 0, count * n)) };
    }
    let states = earlier(&steps, what, first, y, true)?;
    states.product::<T>(own, dw)
}

/// What stood in the rows of each step before it was taken.
struct Earlier<'a> {
    steps: &'a [(usize, usize)],
    first: &'a Operand,
    all: &'a Operand,
    /// Else the rows copied together, in the order in which the steps are taken, and where each step's begin.
    copied: Option<(Operand, Vec<usize>)>,
}

fn earlier<'a>(steps: &'a [(usize, usize)], what: &Recurrence, first: &'a Operand, all: &'a Operand, wanted: bool) -> Result<Earlier<'a>> {
    let even = what.sizes.iter().all(|&rows| rows == first.layout.shape[0]);
    let mut found = Earlier { steps, first, all, copied: None };
    if even || !wanted {
        return Ok(found);
    }
    let state = scratch([first.layout.shape[0], first.layout.shape[1]], first.dtype)?;
    super::convert::copy(first, &state)?;
    let copy = scratch([all.layout.shape[0], first.layout.shape[1]], first.dtype)?;
    let mut starts = Vec::with_capacity(steps.len());
    for &(start, count) in steps {
        starts.push(start);
        super::convert::copy(&rows(&state, 0, count), &rows(&copy, start, count))?;
        super::convert::copy(&rows(all, start, count), &rows(&state, 0, count))?;
    }
    found.copied = Some((copy, starts));
    Ok(found)
}

impl Earlier<'_> {
    /// The first of the rows before the k-th step.
    fn at<T>(&self, k: usize) -> *const T {
        match &self.copied {
            Some((copy, starts)) => at(copy, starts[k]),
            None if k == 0 => at(self.first, 0),
            None => at(self.all, self.steps[k - 1].0),
        }
    }

    /// `own.T @ what stood before`.
    fn product<T: Kind>(&self, own: &Operand, out: &Operand) -> Result<()> {
        if let Some((copy, _)) = &self.copied {
            return contract::run(&turned(own), copy, out);
        }
        let (count, total) = (self.first.layout.shape[0], self.all.layout.shape[0]);
        let begun = rows(own, self.steps.first().map_or(0, |s| s.0), count);
        contract::run(&turned(&begun), self.first, out)?;
        if self.steps.len() < 2 {
            return Ok(());
        }
        // In the other direction of time the row before stands behind.
        let backwards = self.steps[0].0 > 0;
        let (later, sooner) = if backwards { (0, count) } else { (count, 0) };
        let more = scratch([out.layout.shape[0], out.layout.shape[1]], out.dtype)?;
        contract::run(&turned(&rows(own, later, total - count)), &rows(self.all, sooner, total - count), &more)?;
        // SAFETY: both are row-major and of one shape.
        unsafe { add(row_mut(at::<T>(out, 0), 0, out.numel()), row(at::<T>(&more, 0), 0, out.numel())) };
        Ok(())
    }
}
