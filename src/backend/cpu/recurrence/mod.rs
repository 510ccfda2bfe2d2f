//! Recurrent networks over whole sequences: a product and its gates for each step, block by block of units, and the way back
//! through both. Leans on panels, cells, and contract.

mod cells;
mod panels;

use super::{contract, convert, stop, threads};
use crate::backend::launch::{Cell, Operand, Recurrence};
use crate::backend::sequence::{WayBack, rows, turned};
use crate::base::{DType, Error, Layout, Result};
use cells::{Kind, Left, Taken};
use panels::Weights;
use std::ops::Range;

/// The most rows that go through all steps together, and the fewest that threads share.
const TOGETHER: usize = 64;
const FEWEST: usize = 16;
/// Multiply-adds of a step from which its blocks are shared by threads, where there are too few rows to share.
const WIDE: usize = 1 << 21;

fn scratch(shape: [usize; 2], dtype: DType) -> Result<Operand> {
    Operand::new(&super::Cpu, &shape, dtype)
}

/// How many rows go through all steps together. No bit depends on it.
fn together(most: usize) -> usize {
    most.div_ceil(threads::count()).next_multiple_of(FEWEST).min(TOGETHER).min(most.max(1))
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

/// The rows of a step that are among some rows of all steps.
fn among(count: usize, range: &Range<usize>) -> usize {
    count.min(range.end).saturating_sub(range.start)
}

fn forward<T: Kind>(what: &Recurrence, ins: &[Operand], outs: &[Operand]) -> Result<()> {
    let (x, weight, bias, first) = (&ins[0], &ins[1], &ins[2], &ins[3]);
    let (y, state) = (&outs[0], &outs[1]);
    let (width, n) = (weight.layout.shape[0], weight.layout.shape[1]);
    let (steps, most) = (what.steps(), first.layout.shape[0]);
    convert::copy(first, state)?;
    // Where there is no such matrix, another stands in that the loop does not touch.
    let (cell, gates, cells) = match what.cell {
        Cell::Lstm => (&outs[2], &outs[3], &outs[4]),
        Cell::Gru => (&outs[1], &outs[2], &outs[0]),
        _ => (&outs[1], &outs[0], &outs[0]),
    };
    if what.cell == Cell::Lstm {
        convert::copy(&ins[4], cell)?;
    }
    if n == 0 {
        return Ok(());
    }
    let across = Weights::new::<T>(weight, (1, n), n, width / n, n, x.layout.shape[0])?;
    let step = T::step(what.cell);
    threads::heavy(most, together(most), |range| {
        for &(start, count) in &steps {
            let rows = among(count, &range);
            let (from, top) = (start + range.start, range.start);
            let shared = if range.len() == most && rows * width * n >= WIDE { 1 } else { across.blocks.len() };
            threads::heavy(across.blocks.len(), shared, |some| {
                for block in &across.blocks[some] {
                    let pitch = across.pitch(block);
                    let mut own = Vec::<T>::with_capacity(rows * pitch);
                    // SAFETY: all are row-major, as `run` says, and have the rows of this step; each block has its own units.
                    unsafe {
                        across.product(block, (at(state, top), n), rows, (own.as_mut_ptr(), pitch), false);
                        step(&Taken {
                            x: at(x, from),
                            own: own.as_ptr(),
                            bias: at(bias, 0),
                            h: at(state, top),
                            c: at(cell, top),
                            gates: at(gates, from),
                            cells: at(cells, from),
                            y: at(y, from),
                            rows,
                            n,
                            first: block.first,
                            units: block.units,
                            pitch,
                            gap: block.gap,
                        });
                    }
                }
            });
            if stop::asked() {
                return;
            }
            // SAFETY: both have these rows, and this thread alone goes over them.
            unsafe { std::ptr::copy_nonoverlapping(at::<T>(y, from), at::<T>(state, top), rows * n) };
        }
    });
    Ok(())
}

fn backward<T: Kind>(what: &Recurrence, ins: &[Operand], outs: &[Operand]) -> Result<()> {
    let (lstm, gru) = (what.cell == Cell::Lstm, what.cell == Cell::Gru);
    let WayBack { g, g_state, g_cell, weight, first, first_cell, y, gates, cells, to, own, dw, dh, dc } = what.way_back(ins, outs)?;
    let (width, n) = (weight.layout.shape[0], weight.layout.shape[1]);
    let dtype = to.dtype;
    let (steps, most) = (what.steps(), first.layout.shape[0]);
    if lstm {
        convert::copy(g_cell, dc)?;
    }
    // One number everywhere is met as one row of it.
    let even = g.is_constant() && !g.layout.is_contiguous();
    let g_row = scratch([1, n], dtype)?;
    if even {
        convert::copy(&g.view(Layout::new([1, n][..].into(), [0, 0][..].into(), g.layout.offset)), &g_row)?;
    }
    let before = earlier(&steps, what, if lstm { first_cell } else { first }, if lstm { cells } else { y }, lstm || gru)?;
    let back = Weights::new::<T>(weight, (n, 1), width, 1, n, to.layout.shape[0])?;
    // Rows as long as the products' whole vectors.
    let long = back.blocks.iter().map(|b| back.pitch(b)).sum::<usize>();
    let room = scratch([most, long], dtype)?;
    let inside = room.view(room.layout.slice(1, 0, n, 1));
    convert::copy(g_state, &inside)?;
    let step = T::back(what.cell);
    threads::heavy(most, together(most), |range| {
        for (k, &(start, count)) in steps.iter().enumerate().rev() {
            let rows = among(count, &range);
            let (from, top) = (start + range.start, range.start);
            let (g, pitch) = if even { (at::<T>(&g_row, 0), 0) } else { (at(g, from), n) };
            // SAFETY: all are row-major, as `run` says, and have the rows of this step; each block has its own units.
            unsafe {
                step(&Left {
                    g,
                    pitch,
                    gates: at(gates, from),
                    before: before.at::<T>(k).wrapping_add(top * n),
                    after: at(cells, from),
                    dh: at(&room, top),
                    leap: long,
                    dc: at(dc, top),
                    to: at(to, from),
                    own: at(own, from),
                    rows,
                    n,
                });
                let shared = if range.len() == most && rows * width * n >= WIDE { 1 } else { back.blocks.len() };
                threads::heavy(back.blocks.len(), shared, |some| {
                    for block in &back.blocks[some] {
                        let sums = at::<T>(&room, top).wrapping_add(block.first);
                        back.product(block, (at(own, from), width), rows, (sums, long), gru);
                    }
                });
            }
            if stop::asked() {
                return;
            }
        }
    });
    convert::copy(&inside, dh)?;
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
        if self.steps.len() > 1 {
            // In the other direction of time the row before stands behind.
            let (later, sooner) = if self.steps[0].0 > 0 { (0, count) } else { (count, 0) };
            contract::run(&turned(&rows(own, later, total - count)), &rows(self.all, sooner, total - count), out)?;
        }
        let (width, n) = (own.layout.shape[1], self.first.layout.shape[1]);
        let begun = at::<T>(own, self.steps.first().map_or(0, |s| s.0));
        let (left, right, row) = ((1, width as isize), (n as isize, 1), at::<T>(self.first, 0));
        // SAFETY: all are row-major, and the first step has as many rows as there are first states.
        unsafe { contract::alone((width, n, count), begun, left, row, right, at(out, 0), right, self.steps.len() > 1) };
        Ok(())
    }
}
