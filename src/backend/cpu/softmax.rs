//! Softmax, log-softmax, their derivatives and log-sum-exp along an axis: rows one by one, columns in panels that stay in
//! the second cache. Leans on rows, columns, math, fold, convert, and short for rows that are.

use super::columns::Columns;
use super::convert::{self, Bytes, Cursor};
use super::fold::{CHUNK, Down, PANEL, by_columns, panels, put};
use super::math::{LIFT, double};
use super::rows::{Rows, TALL};
use super::short::{self, Short};
use super::{isa, threads};
use crate::backend::launch::Operand;
use crate::base::dtype::Element;
use crate::base::{DType, Error, Result};

/// Columns below which rows are better turned.
const FEW: usize = 16;

trait Kind: Short + Rows + Columns {
    /// Sums of lifted exponentials to what these are multiplied with, or to logarithms.
    const CLOSE: &'static [unsafe fn(bool, &mut [f64]); 3];
}

#[inline(always)]
unsafe fn close_of<const FMA: bool>(log: bool, sums: &mut [f64]) {
    if log {
        for sum in sums {
            *sum = double::log::<FMA>(*sum * (1.0 / LIFT));
        }
    } else {
        for sum in sums {
            *sum = 1.0 / *sum;
        }
    }
}
crate::per_isa!(static close: unsafe fn(log: bool, sums: &mut [f64]) = close_of);

impl Kind for f32 {
    const CLOSE: &'static [unsafe fn(bool, &mut [f64]); 3] = &close;
}
impl Kind for f64 {
    const CLOSE: &'static [unsafe fn(bool, &mut [f64]); 3] = &close;
}

/// `log(sum(exp(x)))` of one row.
///
/// # Safety
/// `from` must hold `n` elements, and at least one.
#[inline]
pub(super) unsafe fn log_sum_of<T: Rows>(from: *const T, n: usize) -> f64 {
    let mut sum = 0.0;
    // SAFETY: the caller's promise.
    unsafe { T::LOOPS.log_sum[isa::level()](from, n, &mut sum) };
    sum
}

fn refuse(dtype: DType) -> Error {
    Error::bug("softmax", format!("no loop for {dtype}"))
}

/// Softmax (or its logarithm) along the last axis.
pub fn run(log: bool, input: &Operand, out: &Operand) -> Result<()> {
    match out.dtype {
        DType::F64 => forward::<f64>(log, input, out),
        DType::F32 | DType::F16 | DType::BF16 => forward::<f32>(log, input, out),
        other => return Err(refuse(other)),
    }
    Ok(())
}

/// The cotangent of the input from that of the result and the result, along the last axis.
pub fn back(log: bool, grad: &Operand, result: &Operand, out: &Operand) -> Result<()> {
    match out.dtype {
        DType::F64 => backward::<f64>(log, grad, result, out),
        DType::F32 | DType::F16 | DType::BF16 => backward::<f32>(log, grad, result, out),
        other => return Err(refuse(other)),
    }
    Ok(())
}

/// `log(sum(exp(x)))` over the last axes.
pub fn log_sum(input: &Operand, folded: usize, out: &Operand) -> Result<()> {
    match out.dtype {
        DType::F64 => fold::<f64>(input, folded, out),
        DType::F32 | DType::F16 | DType::BF16 => fold::<f32>(input, folded, out),
        other => return Err(refuse(other)),
    }
    Ok(())
}

/// Whether an operand's columns can be worked on where they lie.
fn lies_down<T: Element>(op: &Operand) -> bool {
    op.dtype == T::DTYPE && by_columns(op, 1) && op.layout.shape[op.layout.rank() - 2] >= FEW
}

/// Columns of a panel: as many as the second cache holds of this height.
fn panel_of(op: &Operand) -> usize {
    let height = *op.layout.shape.last().unwrap_or(&1);
    ((1 << 16) / height.max(1) / FEW * FEW).clamp(4 * FEW, PANEL)
}

/// Where one operand's rows lie in a panel that another one walks: the bytes from the first element, and between rows.
fn beside(op: &Operand, first: usize) -> (*mut u8, isize) {
    let kept = op.layout.rank() - 1;
    let (mut rest, mut at) = (first, 0isize);
    for axis in (0..kept).rev() {
        at += (rest % op.layout.shape[axis]) as isize * op.layout.strides[axis];
        rest /= op.layout.shape[axis];
    }
    let size = op.dtype.size() as isize;
    (op.ptr().wrapping_offset(at * size), op.layout.strides[kept] * size)
}

fn forward<T: Kind>(log: bool, input: &Operand, out: &Operand) {
    let n = *out.layout.shape.last().unwrap_or(&1);
    if out.numel() == 0 {
        return;
    }
    let level = isa::level();
    if lies_down::<T>(input) && lies_down::<T>(out) {
        if n <= TALL {
            let size = size_of::<T>() as isize;
            panels(input, 1, PANEL, |first, width, down| {
                let (to, pitch) = beside(out, first);
                // SAFETY: the addresses are those of rows of `width` elements of the operands, and this panel is ours alone.
                down(&mut |from, rows, by| unsafe {
                    T::LOOPS.down[level](log, (from.cast(), by / size), (to.cast(), pitch / size), rows, width);
                });
            });
            return;
        }
        let (tops, exps, finish) = (T::COLUMNS.tops[level], T::COLUMNS.exps[level], T::COLUMNS.finish[level]);
        panels(input, 1, panel_of(input), |first, width, down| {
            let (mut top, mut sums, mut last) = ([T::from_f64(f64::NEG_INFINITY); PANEL], [0f64; PANEL], [T::default(); PANEL]);
            let (to, pitch) = beside(out, first);
            let size = size_of::<T>() as isize;
            let target = |row: isize| (to.wrapping_offset(row * pitch).cast::<T>(), pitch / size);
            // SAFETY: the addresses are those of rows of `width` elements of the operands, and this panel is ours alone.
            unsafe {
                down(&mut |from, rows, by| tops((from.cast(), by / size), rows, width, top.as_mut_ptr()));
                let mut row = 0;
                down(&mut |from, rows, by| {
                    let to = if log { (std::ptr::null_mut(), 0) } else { target(row) };
                    exps((from.cast(), by / size), to, rows, width, top.as_ptr(), sums.as_mut_ptr());
                    row += rows as isize;
                });
                T::CLOSE[level](log, &mut sums[..width]);
                last.iter_mut().zip(&sums[..width]).for_each(|(last, &sum)| *last = T::from_f64(sum));
                row = 0;
                down(&mut |from, rows, by| {
                    finish(log, (from.cast(), by / size), target(row), rows, width, top.as_ptr(), last.as_ptr());
                    row += rows as isize;
                });
            }
        });
        return;
    }
    let row = T::LOOPS.forward[level];
    each_row::<T, 1>([input], out, n, |[from], to, rows| {
        // SAFETY: rows of each operand.
        unsafe {
            let done = short::forward(log, from, to, rows, n);
            row(log, from.add(done * n), to.add(done * n), rows - done, n);
        }
    });
}

fn backward<T: Kind>(log: bool, grad: &Operand, result: &Operand, out: &Operand) {
    let n = *out.layout.shape.last().unwrap_or(&1);
    if out.numel() == 0 {
        return;
    }
    let level = isa::level();
    if lies_down::<T>(grad) && lies_down::<T>(result) && lies_down::<T>(out) {
        if n <= TALL {
            let size = size_of::<T>() as isize;
            panels(grad, 1, PANEL, |first, width, down| {
                let ((y, y_by), (to, pitch)) = (beside(result, first), beside(out, first));
                // SAFETY: as in `forward`.
                down(&mut |g, rows, by| unsafe {
                    let y = (y.cast::<T>().cast_const(), y_by / size);
                    T::LOOPS.down_back[level](log, (g.cast(), by / size), y, (to.cast(), pitch / size), rows, width);
                });
            });
            return;
        }
        let (shares, finish) = (T::COLUMNS.shares[level], T::COLUMNS.back[level]);
        panels(grad, 1, panel_of(grad), |first, width, down| {
            let (mut sums, mut all) = ([0f64; PANEL], [T::default(); PANEL]);
            let ((y, y_by), (to, pitch)) = (beside(result, first), beside(out, first));
            let size = size_of::<T>() as isize;
            let known = |row: isize| (y.wrapping_offset(row * y_by).cast::<T>().cast_const(), y_by / size);
            // SAFETY: as in `forward`.
            unsafe {
                let mut row = 0;
                down(&mut |g, rows, by| {
                    shares(log, (g.cast(), by / size), known(row), rows, width, sums.as_mut_ptr());
                    row += rows as isize;
                });
                all.iter_mut().zip(&sums[..width]).for_each(|(all, &sum)| *all = T::from_f64(sum));
                row = 0;
                down(&mut |g, rows, by| {
                    let to = (to.wrapping_offset(row * pitch).cast::<T>(), pitch / size);
                    finish(log, (g.cast(), by / size), known(row), to, rows, width, all.as_ptr());
                    row += rows as isize;
                });
            }
        });
        return;
    }
    let row = T::LOOPS.backward[level];
    each_row::<T, 2>([grad, result], out, n, |[g, y], to, rows| {
        // SAFETY: rows of each operand.
        unsafe { row(log, g, y, to, rows, n) };
    });
}

fn fold<T: Kind>(input: &Operand, folded: usize, out: &Operand) {
    let kept = input.layout.rank() - folded;
    let n: usize = input.layout.shape[kept..].iter().product();
    if n == 0 {
        // The sum of nothing is 0, and its logarithm -inf.
        (0..out.numel()).for_each(|row| put(out, row, f64::NEG_INFINITY, 0));
        return;
    }
    let level = isa::level();
    if input.dtype == T::DTYPE && by_columns(input, folded) && input.layout.shape[kept - 1] >= FEW {
        let (tops, exps) = (T::COLUMNS.tops[level], T::COLUMNS.exps[level]);
        panels(input, folded, PANEL, |first, width, down| {
            let (mut top, mut sums) = ([T::from_f64(f64::NEG_INFINITY); PANEL], [0f64; PANEL]);
            let size = size_of::<T>() as isize;
            // SAFETY: as in `forward`.
            unsafe {
                down(&mut |from, rows, by| tops((from.cast(), by / size), rows, width, top.as_mut_ptr()));
                down(&mut |from, rows, by| {
                    exps((from.cast(), by / size), (std::ptr::null_mut(), 0), rows, width, top.as_ptr(), sums.as_mut_ptr());
                });
                T::CLOSE[level](true, &mut sums[..width]);
            }
            for j in 0..width {
                let most = top[j].to_f64();
                // Nothing can be subtracted of what is infinite: it is the result, unless there is a NaN that was passed over.
                let plain = most.is_finite() || unsafe { has_nan::<T>(down, j) };
                put(out, first + j, if plain { most + sums[j] } else { most }, 0);
            }
        });
        return;
    }
    let cursor = Cursor::new(&input.layout);
    let straight = input.dtype == T::DTYPE && input.layout.is_contiguous();
    let source = Bytes(input.ptr());
    threads::each(out.numel(), (CHUNK / n).max(1), |range| {
        let mut spare = if straight { Vec::new() } else { vec![T::default(); n] };
        for r in range {
            // SAFETY: the operand holds the row, and the spare one has room for it.
            let value = unsafe {
                if straight {
                    log_sum_of(source.at(0).cast::<T>().add(r * n).cast_const(), n)
                } else {
                    convert::read::<T>(input, &cursor, r * n, n, spare.as_mut_ptr());
                    log_sum_of(spare.as_ptr(), n)
                }
            };
            put(out, r, value, 0);
        }
    });
}

/// Whether a column of a panel has a NaN.
///
/// # Safety
/// The panel must be of `T`, and have the column.
#[cold]
unsafe fn has_nan<T: Element>(down: Down, column: usize) -> bool {
    let mut found = false;
    down(&mut |from, rows, by| {
        // SAFETY: the caller's promise.
        found |= (0..rows as isize).any(|r| unsafe { *from.offset(r * by).cast::<T>().add(column) }.to_f64().is_nan());
    });
    found
}

/// Calls `work` for runs of rows of some operands and an output of one shape, copied where they do not lie as `T` in order.
fn each_row<T: Kind, const N: usize>(ins: [&Operand; N], out: &Operand, n: usize, work: impl Fn([*const T; N], *mut T, usize) + Sync) {
    let direct = |op: &Operand| op.dtype == T::DTYPE && op.layout.is_contiguous();
    let all = ins.iter().all(|op| direct(op)) && direct(out);
    let cursors: [Cursor; N] = std::array::from_fn(|k| Cursor::new(&ins[k].layout));
    let (sources, target) = (ins.map(|op| Bytes(op.ptr())), Bytes(out.ptr()));
    let to = Cursor::new(&out.layout);
    threads::each(out.numel() / n, ((1 << 14) / n).max(1).next_multiple_of(short::BAND), |range| {
        if all {
            let r = range.start;
            // SAFETY: rows lie inside the operands; each is written by one thread.
            unsafe {
                let rows = std::array::from_fn(|k| sources[k].at(0).cast::<T>().add(r * n).cast_const());
                return work(rows, target.at(0).cast::<T>().add(r * n), range.len());
            }
        }
        let mut spare = vec![T::default(); (N + 1) * n];
        for r in range {
            // SAFETY: as above; the spare rows hold `n` each.
            unsafe {
                let base = spare.as_mut_ptr();
                for k in 0..N {
                    convert::read::<T>(ins[k], &cursors[k], r * n, n, base.add(k * n));
                }
                let made = base.add(N * n);
                work(std::array::from_fn(|k| base.add(k * n).cast_const()), made, 1);
                convert::write_as(T::DTYPE, made.cast_const().cast(), out, &to, r * n, n);
            }
        }
    });
}
