//! Folds along axes: sums in fixed lanes of float64 (so that neither threads nor instruction sets change a bit and 2^24
//! float32 still add up), extremes with NaN carried, truths. Leans on accumulate, truth and convert.

use super::accumulate::{Apart, CARRIED, Known, Loops, Max, Min, Prod, Spread, Squares, Sum};
use super::convert::{self, Bytes, Cursor};
use super::positions::Places;
use super::{cast, softmax, stop, threads, truth};
use crate::backend::launch::{FoldKind, Operand};
use crate::base::dtype::Element;
use crate::base::{DType, Error, Layout, Result};
use std::ops::Range;

const TILE: usize = 512;
/// Elements of one partial result of a long fold; fixed, so that the fold tree depends on the shape alone.
pub(super) const CHUNK: usize = 1 << 16;
/// Elements of a row that is folded on all threads whatever stands beside it.
const LONG: usize = 1 << 30;
/// Columns that are folded down together.
pub(super) const PANEL: usize = 512;
/// Elements that are converted before they are folded.
const ROOM: usize = 4 * PANEL;

pub(super) trait Work: Copy + Send + Sync + Element {}
impl Work for f32 {}
impl Work for f64 {}
impl Work for i64 {}

/// Folds elements `start..start + n` of a layout from `at` on into one result.
fn stretch<T: Work, F: Loops<T>>(fold: F, input: &Operand, cursor: Option<&Cursor>, start: usize, n: usize) -> F::Acc {
    let Some(cursor) = cursor else {
        // SAFETY: a straight operand holds its elements as T one after the other.
        return unsafe { fold.row(input.ptr().cast::<T>().add(start), n) };
    };
    let mut acc = fold.start();
    let straight = cursor.straight();
    if input.dtype == T::DTYPE && straight > 0 && start.is_multiple_of(n) && straight.is_multiple_of(n) {
        // SAFETY: all of them lie in one run.
        cursor.runs(start, n, |at, count, _| acc = unsafe { fold.row(input.ptr().cast::<T>().offset(at), count) });
        return acc;
    }
    if input.dtype == T::DTYPE && straight >= TILE / 8 {
        let mut lanes = [fold.start(); CARRIED];
        let mut add = |at: isize, count: usize, rows: usize, pitch: isize| {
            let whole = count / CARRIED * CARRIED;
            // SAFETY: a run's elements lie one after the other.
            unsafe {
                let from = input.ptr().cast::<T>().offset(at).cast_const();
                fold.carry(&mut lanes, from, whole, rows, pitch);
                if whole < count {
                    for row in 0..rows as isize {
                        acc = fold.join(acc, fold.row(from.offset(row * pitch + whole as isize), count - whole));
                    }
                }
            }
        };
        match cursor.plane(start, n) {
            Some((at, rows, pitch)) => add(at, straight, rows, pitch),
            None => cursor.runs(start, n, |at, count, _| add(at, count, 1, 0)),
        }
        let mut half = CARRIED / 2;
        while half > 0 {
            (0..half).for_each(|l| lanes[l] = fold.join(lanes[l], lanes[l + half]));
            half /= 2;
        }
        return fold.join(lanes[0], acc);
    }
    let mut room = Vec::<T>::with_capacity(ROOM.min(n));
    let mut done = 0;
    while done < n && (done & (CHUNK - 1) != 0 || done == 0 || !stop::asked()) {
        let count = ROOM.min(n - done);
        // SAFETY: the room has place for as many; the operand holds them, one after the other where all of it does.
        unsafe {
            if input.layout.is_contiguous() {
                converted(input.dtype, input.ptr(), start + done, count, room.as_mut_ptr());
            } else {
                convert::read::<T>(input, cursor, start + done, count, room.as_mut_ptr());
            }
            acc = fold.join(acc, fold.row(room.as_ptr(), count));
        }
        done += count;
    }
    acc
}

/// `n` elements from `start` on, that lie one after the other, as those that are folded.
///
/// # Safety
/// `from` must hold the elements, and `to` have place for as many.
unsafe fn converted<T: Work>(dtype: DType, from: *const u8, start: usize, n: usize, to: *mut T) {
    // SAFETY: the caller's promise.
    unsafe { cast::row(dtype, from.add(start * dtype.size()), T::DTYPE, to.cast(), n) };
}

/// Folds a long row in chunks of one size, whose results are joined as a tree.
fn long<T: Work, F: Loops<T>>(fold: F, input: &Operand, cursor: Option<&Cursor>, start: usize, count: usize) -> F::Acc {
    // A row that takes hours has its chunks joined span by span, so that their results need no room to speak of.
    let mut whole = None;
    for first in (0..count).step_by(LONG) {
        let n = LONG.min(count - first);
        let mut partial = vec![fold.start(); n.div_ceil(CHUNK)];
        let slots = Bytes(partial.as_mut_ptr().cast());
        threads::each(n, CHUNK, |range| {
            let acc = stretch(fold, input, cursor, start + first + range.start, range.len());
            // SAFETY: one slot for each chunk.
            unsafe { *slots.at(0).cast::<F::Acc>().add(range.start / CHUNK) = acc };
        });
        let partial = tree(fold, partial);
        whole = Some(whole.map_or(partial, |before| fold.join(before, partial)));
        if stop::asked() {
            break;
        }
    }
    whole.unwrap_or_else(|| fold.start())
}

/// Joins the results of chunks two by two.
fn tree<T: Work, F: Loops<T>>(fold: F, mut partial: Vec<F::Acc>) -> F::Acc {
    while partial.len() > 1 {
        partial = partial.chunks(2).map(|p| if p.len() == 2 { fold.join(p[0], p[1]) } else { p[0] }).collect();
    }
    partial[0]
}

/// Makes the elements of a chunk in a room for them, or says where else they lie.
pub(super) type Make<'a> = &'a (dyn Fn(Range<usize>, *mut u8) -> *const u8 + Sync);

/// Whether all of so many elements of a type can be folded while they are made.
pub(super) fn folds_made(kind: FoldKind, dtype: DType, n: usize) -> bool {
    use FoldKind::{Euclid, Max, Mean, Min, NanSum, Prod, Sum};
    let known = matches!(kind, Sum | Mean | Prod | Max | Min | Euclid | NanSum);
    known && matches!(dtype, DType::F32 | DType::F64) && n > CHUNK && n <= LONG
}

/// The fold of all of `n` elements that are made chunk by chunk, with the bits that it has over memory.
pub(super) fn made(kind: FoldKind, dtype: DType, n: usize, out: &Operand, make: Make) {
    fn all<T: Work, F: Loops<T>>(fold: F, n: usize, make: Make) -> F::Acc {
        let mut partial = vec![fold.start(); n.div_ceil(CHUNK)];
        let slots = Bytes(partial.as_mut_ptr().cast());
        threads::each(n, CHUNK, |range| {
            let mut room = Vec::<T>::with_capacity(range.len());
            let from = make(range.clone(), room.as_mut_ptr().cast());
            // SAFETY: the elements of the chunk have been made where `from` says; there is one slot for each chunk.
            unsafe { *slots.at(0).cast::<F::Acc>().add(range.start / CHUNK) = fold.row(from.cast::<T>(), range.len()) };
        });
        tree(fold, partial)
    }
    let by = if kind == FoldKind::Mean { n as f64 } else { 1.0 };
    match (kind, dtype) {
        (FoldKind::Sum | FoldKind::Mean, DType::F32) => lay(out, 0, &[all::<f32, _>(Sum, n, make)], by),
        (FoldKind::Sum | FoldKind::Mean, _) => lay(out, 0, &[all::<f64, _>(Sum, n, make)], by),
        (FoldKind::Euclid, DType::F32) => put(out, 0, all::<f32, _>(Squares, n, make).sqrt(), 0),
        (FoldKind::Euclid, _) => put(out, 0, all::<f64, _>(Squares, n, make).sqrt(), 0),
        (FoldKind::NanSum, DType::F32) => put(out, 0, all::<f32, _>(Known, n, make), 0),
        (FoldKind::NanSum, _) => put(out, 0, all::<f64, _>(Known, n, make), 0),
        (FoldKind::Prod, DType::F32) => put(out, 0, all::<f32, _>(Prod, n, make), 0),
        (FoldKind::Prod, _) => put(out, 0, all::<f64, _>(Prod, n, make), 0),
        (FoldKind::Max, DType::F32) => put(out, 0, f64::from(all::<f32, _>(Max, n, make)), 0),
        (FoldKind::Max, _) => put(out, 0, all::<f64, _>(Max, n, make), 0),
        (_, DType::F32) => put(out, 0, f64::from(all::<f32, _>(Min, n, make)), 0),
        (..) => put(out, 0, all::<f64, _>(Min, n, make), 0),
    }
}

/// Folds every row of `count` elements; calls `finish(row, result)`.
fn rows<T: Work, F: Loops<T>>(fold: impl Fn(usize) -> F + Sync, input: &Operand, count: usize, finish: impl Fn(usize, F::Acc) + Sync) {
    let outer = input.numel() / count.max(1);
    let straight = input.dtype == T::DTYPE && input.layout.is_contiguous();
    let cursor = (!straight).then(|| Cursor::new(&input.layout));
    let cursor = cursor.as_ref();
    if outer == 1 && count > CHUNK || count > LONG {
        for row in 0..outer {
            finish(row, long(fold(row), input, cursor, row * count, count));
        }
        return;
    }
    threads::each(outer, (CHUNK / count.max(1)).max(1), |range| {
        for row in range {
            finish(row, stretch(fold(row), input, cursor, row * count, count));
        }
    });
}

/// Folds short rows that follow one another, many in one loop; other elements than those that are folded a room at a time.
fn brief<T: Work, F: Loops<T>>(fold: F, input: &Operand, count: usize, finish: impl Fn(usize, &[F::Acc]) + Sync) {
    let from = Bytes(input.ptr());
    let own = input.dtype == T::DTYPE;
    let step = if own { PANEL } else { (ROOM / count).min(PANEL) };
    threads::each(input.numel() / count, (CHUNK / count).max(1), |range| {
        let mut room = Vec::<T>::with_capacity(if own { 0 } else { step * count });
        for first in range.clone().step_by(step) {
            let mut found = [fold.start(); PANEL];
            let found = &mut found[..step.min(range.end - first)];
            // SAFETY: the operand holds its elements one after the other, and the room has place for those of these rows.
            unsafe {
                if own {
                    fold.rows(from.at(0).cast::<T>().add(first * count), count, found);
                } else {
                    converted(input.dtype, from.at(0), first * count, found.len() * count, room.as_mut_ptr());
                    if count <= F::MANY {
                        fold.rows(room.as_ptr(), count, found);
                    } else {
                        found.iter_mut().enumerate().for_each(|(r, a)| *a = fold.row(room.as_ptr().add(r * count), count));
                    }
                }
            }
            finish(first, found);
        }
    });
}

/// What a panel of columns is given: calls with the address of a row, how many rows, and the bytes between them.
pub(super) type Down<'a> = &'a dyn Fn(&mut dyn FnMut(*const u8, usize, isize));

/// Cuts an input whose last kept axis is contiguous into panels of columns: `work(first result, columns, down)`.
pub(super) fn panels(input: &Operand, folded: usize, panel: usize, work: impl Fn(usize, usize, Down) + Sync) {
    let kept = input.layout.rank() - folded;
    let width = input.layout.shape[kept - 1];
    let outer: usize = input.layout.shape[..kept - 1].iter().product();
    let down = Layout::new(input.layout.shape[kept..].into(), input.layout.strides[kept..].into(), 0);
    let (down, height) = (Cursor::new(&down), down.numel());
    let lead = Layout::new(input.layout.shape[..kept - 1].into(), input.layout.strides[..kept - 1].into(), 0);
    let lead = Cursor::new(&lead);
    let (panels, size) = (width.div_ceil(panel), input.dtype.size() as isize);
    let base = Bytes(input.ptr());
    threads::each(outer * panels, (CHUNK / (height * width.min(panel)).max(1)).max(1), |range| {
        for job in range {
            let (o, first) = (job / panels, job % panels * panel);
            let mut origin = first as isize;
            lead.runs(o, 1, |at, _, _| origin += at);
            work(o * width + first, panel.min(width - first), &|each| {
                for start in (0..height).step_by(CHUNK) {
                    if start > 0 && stop::asked() {
                        return;
                    }
                    down.runs(start, CHUNK.min(height - start), |at, count, step| {
                        // SAFETY: the offsets are those of elements of the operand.
                        each(unsafe { base.at(0).offset((origin + at) * size) }, count, step * size);
                    });
                }
            });
        }
    });
}

/// Folds down columns: the last kept axis is contiguous, so whole rows are added at once.
fn columns<T: Work, F: Loops<T>>(
    fold: impl Fn(usize) -> F + Sync,
    input: &Operand,
    folded: usize,
    finish: impl Fn(usize, &[F::Acc]) + Sync,
) {
    panels(input, folded, PANEL, |first, n, down| {
        let fold = fold(first);
        let mut acc = [fold.start(); PANEL];
        let own = input.dtype == T::DTYPE;
        let mut room = Vec::<T>::with_capacity(if own { 0 } else { ROOM });
        // SAFETY: the addresses are those of rows of `n` elements of the operand, of which the room has place for some.
        down(&mut |from, rows, pitch| unsafe {
            if own {
                return fold.columns(&mut acc[..n], from.cast(), pitch / size_of::<T>() as isize, rows);
            }
            let some = ROOM / n;
            for row in (0..rows).step_by(some) {
                let count = some.min(rows - row);
                for r in 0..count {
                    let from = from.offset((row + r) as isize * pitch);
                    converted(input.dtype, from, 0, n, room.as_mut_ptr().add(r * n));
                }
                fold.columns(&mut acc[..n], room.as_ptr(), n as isize, count);
            }
        });
        finish(first, &acc[..n]);
    });
}

/// Many short rows that lie one after the other, folded down: several of them make one row of a wider matrix.
fn narrow<T: Work, F: Loops<T>>(fold: F, input: &Operand, finish: impl Fn(usize, F::Acc)) {
    let (height, width) = (input.layout.shape[1], input.layout.shape[0]);
    let group = (PANEL / width).min(height).max(1);
    let wide = group * width;
    let mut acc = [fold.start(); PANEL];
    let (all, whole) = (height * width, height / group * wide);
    // SAFETY: the operand's elements lie one after the other, `height * width` of them, and the room has place for some.
    unsafe {
        if input.dtype == T::DTYPE {
            let from = input.ptr().cast::<T>();
            fold.columns(&mut acc[..wide], from, wide as isize, height / group);
            fold.columns(&mut acc[..all - whole], from.add(whole), 0, 1);
        } else {
            let mut room = Vec::<T>::with_capacity(ROOM);
            let some = ROOM / wide * wide;
            for at in (0..whole).step_by(some) {
                let n = some.min(whole - at);
                converted(input.dtype, input.ptr(), at, n, room.as_mut_ptr());
                fold.columns(&mut acc[..wide], room.as_ptr(), wide as isize, n / wide);
            }
            converted(input.dtype, input.ptr(), whole, all - whole, room.as_mut_ptr());
            fold.columns(&mut acc[..all - whole], room.as_ptr(), 0, 1);
        }
    }
    for j in 0..width {
        finish(j, (1..group).fold(acc[j], |a, g| fold.join(a, acc[g * width + j])));
    }
}

/// Whether a fold goes down columns that lie side by side.
pub(super) fn by_columns(input: &Operand, folded: usize) -> bool {
    let layout = &input.layout;
    let (rank, kept) = (layout.rank(), layout.rank() - folded);
    kept > 0
        && folded > 0
        && layout.strides[kept - 1] == 1
        && layout.shape[kept - 1] >= 4
        && (kept..rank).all(|i| layout.strides[i] != 1 || layout.shape[i] == 1)
}

fn either<T: Work, F: Loops<T>>(fold: F, input: &Operand, folded: usize, finish: impl Fn(usize, &[F::Acc]) + Sync) {
    let (shape, strides) = (&input.layout.shape, &input.layout.strides);
    let kept = shape.len() - folded;
    let count: usize = shape[kept..].iter().product();
    if count == 0 {
        let outer: usize = shape[..kept].iter().product();
        (0..outer).for_each(|row| finish(row, &[fold.start()]));
        return;
    }
    let flat = shape.len() == 2 && folded == 1 && strides[0] == 1 && strides[1] == shape[0] as isize;
    if flat && shape[0] <= PANEL / 8 && count > 1 {
        narrow(fold, input, |r, a| finish(r, &[a]));
    } else if by_columns(input, folded) {
        columns(|_| fold, input, folded, finish);
    } else if count <= (if input.dtype == T::DTYPE { F::MANY } else { ROOM }) && input.layout.is_contiguous() {
        brief(fold, input, count, finish);
    } else {
        rows(|_| fold, input, count, |r, a| finish(r, &[a]));
    }
}

/// Calls `finish` for each of some results.
fn each<A: Copy>(finish: impl Fn(usize, A) + Sync) -> impl Fn(usize, &[A]) + Sync {
    move |first, list| list.iter().enumerate().for_each(|(k, &a)| finish(first + k, a))
}

/// Writes results, each divided, into a contiguous output of any dtype.
fn lay(out: &Operand, first: usize, list: &[f64], by: f64) {
    match out.dtype {
        DType::F32 => {
            // SAFETY: as in `put`, for as many results as are listed.
            let to = unsafe { std::slice::from_raw_parts_mut(out.ptr().cast::<f32>().add(first), list.len()) };
            if by == 1.0 {
                to.iter_mut().zip(list).for_each(|(to, a)| *to = *a as f32);
            } else {
                to.iter_mut().zip(list).for_each(|(to, a)| *to = (*a / by) as f32);
            }
        }
        DType::F64 => {
            // SAFETY: as above.
            let to = unsafe { std::slice::from_raw_parts_mut(out.ptr().cast::<f64>().add(first), list.len()) };
            to.iter_mut().zip(list).for_each(|(to, a)| *to = *a / by);
        }
        _ => crate::dispatch!(out.dtype, D => {
            // SAFETY: as above.
            let to = unsafe { std::slice::from_raw_parts_mut(out.ptr().cast::<D>().add(first), list.len()) };
            to.iter_mut().zip(list).for_each(|(to, a)| *to = made_of(a / by, (a / by) as i64));
        }),
    }
}

/// Writes one result into a contiguous output of any dtype.
pub(super) fn put(out: &Operand, row: usize, float: f64, int: i64) {
    let base = out.ptr();
    match out.dtype {
        // SAFETY: `row` is below the output's count, and each row is written by one thread.
        DType::F32 => return unsafe { *base.cast::<f32>().add(row) = float as f32 },
        // SAFETY: as above.
        DType::F64 => return unsafe { *base.cast::<f64>().add(row) = float },
        _ => {}
    }
    // SAFETY: as above.
    crate::dispatch!(out.dtype, D => unsafe { *base.cast::<D>().add(row) = made_of(float, int) });
}

/// A result as an element of any type.
fn made_of<D: Element>(float: f64, int: i64) -> D {
    if D::DTYPE.is_float() { D::from_f64(float) } else { D::from_i64(int) }
}

/// The same elements with the folded axes in the order of memory, where they are not: no fold but of places asks for theirs.
fn in_order(input: &Operand, folded: usize) -> Option<Operand> {
    let Layout { shape, strides, offset, .. } = &input.layout;
    let kept = shape.len() - folded;
    if strides[kept..].contains(&0) {
        return None;
    }
    let mut axes: Vec<usize> = (0..shape.len()).collect();
    axes[kept..].sort_by_key(|&axis| std::cmp::Reverse(strides[axis].unsigned_abs()));
    let lies = axes.is_sorted();
    let layout = || Layout::new(axes.iter().map(|&a| shape[a]).collect(), axes.iter().map(|&a| strides[a]).collect(), *offset);
    (!lies).then(|| Operand { storage: input.storage.clone(), layout: layout(), dtype: input.dtype })
}

pub fn run(kind: FoldKind, input: &Operand, folded: usize, correction: f64, out: &Operand) -> Result<()> {
    let ordered = if matches!(kind, FoldKind::ArgMax | FoldKind::ArgMin) { None } else { in_order(input, folded) };
    let input = ordered.as_ref().unwrap_or(input);
    let kept = input.layout.rank() - folded;
    let count: usize = input.layout.shape[kept..].iter().product();
    if out.numel() == 0 {
        return Ok(());
    }
    if input.dtype.is_complex() {
        return match kind {
            FoldKind::Prod => {
                super::pairs::product(input, folded, out);
                Ok(())
            }
            other => Err(Error::bug("fold", format!("no {other:?} of complex numbers"))),
        };
    }
    let n = count as f64;
    let wide = if input.dtype.is_float() { input.dtype.compute() } else { DType::I64 };
    let out = &Shared(out);
    match (kind, wide) {
        (FoldKind::Sum, DType::F32) => either::<f32, _>(Sum, input, folded, |r, list| lay(out.0, r, list, 1.0)),
        (FoldKind::Sum, DType::F64) => either::<f64, _>(Sum, input, folded, |r, list| lay(out.0, r, list, 1.0)),
        (FoldKind::Sum, _) => either::<i64, _>(Sum, input, folded, each(|r, a| put(out.0, r, a as f64, a))),
        (FoldKind::Mean, DType::F32) => either::<f32, _>(Sum, input, folded, |r, list| lay(out.0, r, list, n)),
        (FoldKind::Mean, DType::F64) => either::<f64, _>(Sum, input, folded, |r, list| lay(out.0, r, list, n)),
        (FoldKind::Mean, _) => either::<i64, _>(Sum, input, folded, each(|r, a| put(out.0, r, a as f64 / n, 0))),
        (FoldKind::Prod, DType::F32) => either::<f32, _>(Prod, input, folded, each(|r, a| put(out.0, r, a, a as i64))),
        (FoldKind::Prod, DType::F64) => either::<f64, _>(Prod, input, folded, each(|r, a| put(out.0, r, a, a as i64))),
        (FoldKind::Prod, _) => either::<i64, _>(Prod, input, folded, each(|r, a| put(out.0, r, a as f64, a))),
        (FoldKind::Max, DType::F32) => either::<f32, _>(Max, input, folded, each(|r, a| put(out.0, r, f64::from(a), 0))),
        (FoldKind::Max, DType::F64) => either::<f64, _>(Max, input, folded, each(|r, a| put(out.0, r, a, 0))),
        (FoldKind::Max, _) => either::<i64, _>(Max, input, folded, each(|r, a| put(out.0, r, 0.0, a))),
        (FoldKind::Min, DType::F32) => either::<f32, _>(Min, input, folded, each(|r, a| put(out.0, r, f64::from(a), 0))),
        (FoldKind::Min, DType::F64) => either::<f64, _>(Min, input, folded, each(|r, a| put(out.0, r, a, 0))),
        (FoldKind::Min, _) => either::<i64, _>(Min, input, folded, each(|r, a| put(out.0, r, 0.0, a))),
        (FoldKind::Euclid, DType::F32) => either::<f32, _>(Squares, input, folded, each(|r, a: f64| put(out.0, r, a.sqrt(), 0))),
        (FoldKind::Euclid, DType::F64) => either::<f64, _>(Squares, input, folded, each(|r, a: f64| put(out.0, r, a.sqrt(), 0))),
        (FoldKind::NanSum, DType::F32) => either::<f32, _>(Known, input, folded, |r, list| lay(out.0, r, list, 1.0)),
        (FoldKind::NanSum, DType::F64) => either::<f64, _>(Known, input, folded, |r, list| lay(out.0, r, list, 1.0)),
        (FoldKind::Any | FoldKind::All, _) => truth::run(kind == FoldKind::All, input, folded, out.0),
        (FoldKind::ArgMax, DType::F32) => extreme::<f32, _>(Max, false, input, folded, out.0),
        (FoldKind::ArgMax, DType::F64) => extreme::<f64, _>(Max, false, input, folded, out.0),
        (FoldKind::ArgMax, _) => extreme::<i64, _>(Max, false, input, folded, out.0),
        (FoldKind::ArgMin, DType::F32) => extreme::<f32, _>(Min, true, input, folded, out.0),
        (FoldKind::ArgMin, DType::F64) => extreme::<f64, _>(Min, true, input, folded, out.0),
        (FoldKind::ArgMin, _) => extreme::<i64, _>(Min, true, input, folded, out.0),
        (FoldKind::Var, DType::F64) => spread::<f64>(input, folded, correction, out.0),
        (FoldKind::Var, DType::F32) => spread::<f32>(input, folded, correction, out.0),
        (FoldKind::LogSumExp, _) => return softmax::log_sum(input, folded, out.0),
        (FoldKind::Var | FoldKind::Euclid | FoldKind::NanSum, other) => {
            return Err(Error::bug("fold", format!("no {kind:?} of {other}")));
        }
    }
    Ok(())
}

struct Shared<'a>(&'a Operand);

/// The position of the first extreme; the first NaN wins over everything.
#[allow(clippy::eq_op, reason = "what is not equal to itself is NaN")]
fn extreme<T: Work + Places, F: Loops<T, Acc = T>>(fold: F, smallest: bool, input: &Operand, folded: usize, out: &Operand) {
    let count: usize = input.layout.shape[input.layout.rank() - folded..].iter().product();
    if input.dtype == T::DTYPE && by_columns(input, folded) && u32::try_from(count).is_ok() {
        panels(input, folded, PANEL, |first, n, down| {
            let (mut best, mut at, mut seen) = ([T::default(); PANEL], [0u32; PANEL], 0u32);
            down(&mut |from, rows, pitch| {
                for row in 0..rows as isize {
                    let from = from.wrapping_offset(row * pitch).cast::<T>();
                    // SAFETY: a row of `n` elements of the operand.
                    unsafe {
                        if seen == 0 {
                            best[..n].copy_from_slice(std::slice::from_raw_parts(from, n));
                        }
                        T::places(smallest, &mut best[..n], &mut at[..n], from, seen);
                    }
                    seen += 1;
                }
            });
            (0..n).for_each(|j| put(out, first + j, 0.0, i64::from(at[j])));
        });
        return;
    }
    let straight = input.dtype == T::DTYPE && input.layout.is_contiguous();
    let cursor = Cursor::new(&input.layout);
    threads::each(out.numel(), (CHUNK / count.max(1)).max(1), |range| {
        let mut spare = if straight { Vec::new() } else { vec![T::default(); count.min(CHUNK)] };
        for row in range {
            let (mut best, mut at) = (None::<T>, 0);
            for start in (0..count).step_by(CHUNK) {
                if start > 0 && stop::asked() {
                    break;
                }
                let n = CHUNK.min(count - start);
                // SAFETY: the operand holds the row, and the spare one has room for the part of it.
                let (here, value) = unsafe {
                    let from = if straight {
                        input.ptr().cast::<T>().add(row * count + start).cast_const()
                    } else {
                        convert::read(input, &cursor, row * count + start, n, spare.as_mut_ptr());
                        spare.as_ptr()
                    };
                    let here = place(fold, smallest, from, n);
                    (here, *from.add(here))
                };
                if best.is_none_or(|best| value != value || if smallest { value < best } else { value > best }) {
                    (best, at) = (Some(value), start + here);
                }
                if value != value {
                    break;
                }
            }
            put(out, row, 0.0, at as i64);
        }
    });
}

/// The place of a row's extreme: the block that has it, then the element.
#[allow(clippy::eq_op, reason = "what is not equal to itself is NaN")]
unsafe fn place<T: Work + Places, F: Loops<T, Acc = T>>(fold: F, smallest: bool, from: *const T, n: usize) -> usize {
    let (mut best, mut block) = (fold.start(), 0);
    for start in (0..n).step_by(TILE) {
        // SAFETY: the caller promises `n` elements.
        let here = unsafe { fold.row(from.add(start), TILE.min(n - start)) };
        if start == 0 || here != here || if smallest { here < best } else { here > best } {
            (best, block) = (here, start);
        }
        if here != here {
            break;
        }
    }
    // SAFETY: as above.
    block + unsafe { best.find(from.add(block), TILE.min(n - block)) }
}

fn spread<T: Work>(input: &Operand, folded: usize, correction: f64, out: &Operand)
where
    Sum: Loops<T, Acc = f64>,
    Spread: Loops<T, Acc = f64>,
    Apart: Loops<T, Acc = f64>,
{
    let count: usize = input.layout.shape[input.layout.rank() - folded..].iter().product();
    let mut means = vec![0.0f64; out.numel()];
    let slots = Bytes(means.as_mut_ptr().cast());
    let n = count as f64;
    let left = (n - correction).max(0.0);
    // SAFETY: one slot for each row.
    let note = |r: usize, a: f64| unsafe { *slots.at(0).cast::<f64>().add(r) = a / n };
    either::<T, _>(Sum, input, folded, each(note));
    if count > 0 && by_columns(input, folded) {
        columns::<T, _>(|first| Apart(means[first..].as_ptr()), input, folded, |r, list| lay(out, r, list, left));
    } else {
        rows::<T, _>(|r| Spread(means[r]), input, count, |r, a| put(out, r, a / left, 0));
    }
}
