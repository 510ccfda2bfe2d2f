//! Softmax, log-softmax, their derivatives and log-sum-exp along an axis: rows one by one, columns in panels that stay in
//! the second cache. Leans on rows, math, accumulate, fold, convert, and short for rows that are.

use super::accumulate::{Fold, Loops, Sum, Top};
use super::convert::{self, Bytes, Cursor};
use super::fold::{CHUNK, PANEL, by_columns, panels, put};
use super::math::{double, single};
use super::rows::{Rows, TALL};
use super::short::{self, Short};
use super::{isa, threads};
use crate::backend::launch::Operand;
use crate::base::dtype::Element;
use crate::base::{DType, Error, Result};

/// Rows of columns whose exponentials are taken together, and summed in their own type.
const TOGETHER: usize = 4;
/// Columns below which rows are better turned.
const FEW: usize = 16;

/// `(from and its pitch, to and its pitch, rows, largest elements, sums)`.
type ExpDown<T> = unsafe fn((*const T, isize), Option<(*mut T, isize)>, usize, &[T], &mut [f64]);

/// The plain, AVX2 and AVX-512 loops of one kind.
type Three<Loop> = &'static [Loop; 3];

/// What is made of columns of one type.
#[allow(clippy::type_complexity, reason = "a list of such types")]
struct Columns<T: 'static> {
    exp_down: Three<ExpDown<T>>,
    finish_down: Three<unsafe fn(bool, *const T, &[T], &[f64], *mut T)>,
    close: Three<unsafe fn(bool, &mut [f64])>,
    dot_down: Three<unsafe fn(*const T, *const T, &mut [f64])>,
    back_down: Three<unsafe fn(bool, *const T, *const T, &[f64], *mut T)>,
}

trait Kind: Short + Rows {
    const COLUMNS: Columns<Self>;
}

macro_rules! columns {
    ($t:ty, $math:ident, $module:ident) => {
        mod $module {
            use super::*;

            /// Adds the exponentials of some rows to their columns' sums, and keeps them where there is room for them.
            #[inline(always)]
            unsafe fn exp_down_of<const FMA: bool>(from: (*const $t, isize), to: Option<(*mut $t, isize)>, rows: usize, top: &[$t], sums: &mut [f64]) {
                let mut row = 0;
                // SAFETY: the caller's promise.
                unsafe {
                    while row < rows {
                        let at = (from.0.offset(row as isize * from.1), from.1);
                        let to = to.map(|to| (to.0.offset(row as isize * to.1), to.1));
                        let many = row + TOGETHER <= rows;
                        match (to, many) {
                            (Some(to), true) => exps_down::<FMA, true, TOGETHER>(at, to, top, sums),
                            (Some(to), false) => exps_down::<FMA, true, 1>(at, to, top, sums),
                            (None, true) => exps_down::<FMA, false, TOGETHER>(at, (std::ptr::null_mut(), 0), top, sums),
                            (None, false) => exps_down::<FMA, false, 1>(at, (std::ptr::null_mut(), 0), top, sums),
                        }
                        row += if many { TOGETHER } else { 1 };
                    }
                }
            }

            #[inline(always)]
            unsafe fn exps_down<const FMA: bool, const KEEP: bool, const ROWS: usize>(
                from: (*const $t, isize),
                to: (*mut $t, isize),
                top: &[$t],
                sums: &mut [f64],
            ) {
                for (i, (top, sum)) in top.iter().zip(sums).enumerate() {
                    let mut all = 0.0;
                    for r in 0..ROWS as isize {
                        // SAFETY: the caller promises rows as long as the lists.
                        unsafe {
                            let e = $math::exp::<FMA>(*from.0.offset(r * from.1).add(i) - *top);
                            all += e;
                            if KEEP {
                                *to.0.offset(r * to.1).add(i) = e;
                            }
                        }
                    }
                    *sum += all as f64;
                }
            }

            #[inline(always)]
            unsafe fn finish_down_of<const FMA: bool>(log: bool, from: *const $t, top: &[$t], last: &[f64], to: *mut $t) {
                // SAFETY: as above; without `log` the exponentials lie in `to` already.
                unsafe {
                    if log {
                        for (i, (top, last)) in top.iter().zip(last).enumerate() {
                            *to.add(i) = (*from.add(i) - *top) - *last as $t;
                        }
                    } else {
                        for (i, last) in last.iter().enumerate() {
                            *to.add(i) *= *last as $t;
                        }
                    }
                }
            }

            /// Sums to what the exponentials are multiplied with, or to their logarithms.
            #[inline(always)]
            unsafe fn close_of<const FMA: bool>(log: bool, sums: &mut [f64]) {
                if log {
                    for sum in sums {
                        *sum = double::log::<FMA>(*sum);
                    }
                } else {
                    for sum in sums {
                        *sum = 1.0 / *sum;
                    }
                }
            }

            #[inline(always)]
            unsafe fn dot_down_of<const FMA: bool>(g: *const $t, y: *const $t, dots: &mut [f64]) {
                for (i, dot) in dots.iter_mut().enumerate() {
                    // SAFETY: the caller promises rows as long as the list.
                    unsafe { *dot += (*g.add(i) * *y.add(i)) as f64 };
                }
            }

            #[inline(always)]
            unsafe fn back_down_of<const FMA: bool>(log: bool, g: *const $t, y: *const $t, dots: &[f64], to: *mut $t) {
                // SAFETY: as above.
                unsafe {
                    if log {
                        for (i, dot) in dots.iter().enumerate() {
                            *to.add(i) = *g.add(i) - $math::exp::<FMA>(*y.add(i)) * *dot as $t;
                        }
                    } else {
                        for (i, dot) in dots.iter().enumerate() {
                            *to.add(i) = *y.add(i) * (*g.add(i) - *dot as $t);
                        }
                    }
                }
            }

            crate::per_isa!(static exp_down: unsafe fn(from: (*const $t, isize), to: Option<(*mut $t, isize)>, rows: usize, top: &[$t], sums: &mut [f64]) = exp_down_of);
            crate::per_isa!(static finish_down: unsafe fn(log: bool, from: *const $t, top: &[$t], last: &[f64], to: *mut $t) = finish_down_of);
            crate::per_isa!(static close: unsafe fn(log: bool, sums: &mut [f64]) = close_of);
            crate::per_isa!(static dot_down: unsafe fn(g: *const $t, y: *const $t, dots: &mut [f64]) = dot_down_of);
            crate::per_isa!(static back_down: unsafe fn(log: bool, g: *const $t, y: *const $t, dots: &[f64], to: *mut $t) = back_down_of);

            impl Kind for $t {
                const COLUMNS: Columns<$t> = Columns {
                    exp_down: &exp_down,
                    finish_down: &finish_down,
                    close: &close,
                    dot_down: &dot_down,
                    back_down: &back_down,
                };
            }
        }
    };
}
columns!(f32, single, of_single);
columns!(f64, double, of_double);

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

fn forward<T: Kind>(log: bool, input: &Operand, out: &Operand)
where
    Top: Loops<T, Acc = T>,
{
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
        let (exp, finish) = (T::COLUMNS.exp_down[level], T::COLUMNS.finish_down[level]);
        panels(input, 1, panel_of(input), |first, width, down| {
            let (mut top, mut sums) = ([<Top as Fold<T>>::start(&Top); PANEL], [0f64; PANEL]);
            let (top, sums) = (&mut top[..width], &mut sums[..width]);
            let (to, pitch) = beside(out, first);
            // SAFETY: the addresses are those of rows of `width` elements of the operands, and this panel is ours alone.
            unsafe {
                down(&mut |from, rows, by| Top.columns(top, from.cast(), by / size_of::<T>() as isize, rows));
                let mut row = 0;
                let size = size_of::<T>() as isize;
                down(&mut |from, rows, by| {
                    let kept = (!log).then(|| (to.offset(row * pitch).cast(), pitch / size));
                    exp((from.cast(), by / size), kept, rows, top, sums);
                    row += rows as isize;
                });
                T::COLUMNS.close[level](log, sums);
                row = 0;
                down(&mut |from, rows, by| {
                    for r in 0..rows as isize {
                        finish(log, from.offset(r * by).cast(), top, sums, to.offset(row * pitch).cast());
                        row += 1;
                    }
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

fn backward<T: Kind>(log: bool, grad: &Operand, result: &Operand, out: &Operand)
where
    Sum: Loops<T, Acc = f64>,
{
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
        let (dot, finish) = (T::COLUMNS.dot_down[level], T::COLUMNS.back_down[level]);
        panels(grad, 1, panel_of(grad), |first, width, down| {
            let mut dots = [0f64; PANEL];
            let dots = &mut dots[..width];
            let ((y, y_by), (to, pitch)) = (beside(result, first), beside(out, first));
            // SAFETY: as in `forward`.
            unsafe {
                let mut row = 0;
                down(&mut |g, rows, by| {
                    if log {
                        return Sum.columns(dots, g.cast(), by / size_of::<T>() as isize, rows);
                    }
                    for r in 0..rows as isize {
                        dot(g.offset(r * by).cast(), y.offset(row * y_by).cast(), dots);
                        row += 1;
                    }
                });
                row = 0;
                down(&mut |g, rows, by| {
                    for r in 0..rows as isize {
                        let (y, to) = (y.offset(row * y_by), to.offset(row * pitch));
                        finish(log, g.offset(r * by).cast(), y.cast(), dots, to.cast());
                        row += 1;
                    }
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

fn fold<T: Kind>(input: &Operand, folded: usize, out: &Operand)
where
    Top: Loops<T, Acc = T>,
{
    let kept = input.layout.rank() - folded;
    let n: usize = input.layout.shape[kept..].iter().product();
    if n == 0 {
        // The sum of nothing is 0, and its logarithm -inf.
        (0..out.numel()).for_each(|row| put(out, row, f64::NEG_INFINITY, 0));
        return;
    }
    let level = isa::level();
    if input.dtype == T::DTYPE && by_columns(input, folded) && input.layout.shape[kept - 1] >= FEW {
        let exp = T::COLUMNS.exp_down[level];
        panels(input, folded, PANEL, |first, width, down| {
            let (mut top, mut sums) = ([<Top as Fold<T>>::start(&Top); PANEL], [0f64; PANEL]);
            // SAFETY: as in `forward`.
            unsafe {
                down(&mut |from, rows, by| Top.columns(&mut top[..width], from.cast(), by / size_of::<T>() as isize, rows));
                top[..width].iter_mut().filter(|t| t.to_f64().is_infinite()).for_each(|t| *t = T::default());
                down(&mut |from, rows, by| {
                    exp((from.cast(), by / size_of::<T>() as isize), None, rows, &top[..width], &mut sums[..width]);
                });
            }
            // SAFETY: nothing is asked of the caller but the instruction set.
            unsafe { T::COLUMNS.close[level](true, &mut sums[..width]) };
            for j in 0..width {
                put(out, first + j, top[j].to_f64() + sums[j], 0);
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
