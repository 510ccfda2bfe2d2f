//! Softmax, log-softmax, their derivatives and log-sum-exp along an axis: rows one by one, columns in panels that stay in
//! the second cache. Leans on math, accumulate, fold and convert.

use super::accumulate::{Fold, Loops, Max, Sum, one_row};
use super::convert::{self, Bytes, Cursor};
use super::fold::{CHUNK, PANEL, by_columns, panels, put};
use super::math::{double, single};
use super::{isa, threads};
use crate::backend::launch::Operand;
use crate::base::dtype::Element;
use crate::base::{DType, Error, Result};

/// Elements whose exponentials are taken together; the last ones of a row are padded to a multiple of `STEP`.
const BLOCK: usize = 512;
const STEP: usize = 16;

/// What is made of rows of one type: `(log, from, to, count)`, `(log, cotangent, result, to, count)`, `(from, count)`.
struct Rows<T: 'static> {
    forward: &'static [unsafe fn(bool, *const T, *mut T, usize); 3],
    backward: &'static [unsafe fn(bool, *const T, *const T, *mut T, usize); 3],
    log_sum: &'static [unsafe fn(*const T, usize) -> f64; 3],
    exp_down: &'static [unsafe fn(*const T, &[T], &mut [f64], *mut T); 3],
    finish_down: &'static [unsafe fn(bool, *const T, &[T], &[f64], *mut T); 3],
    dot_down: &'static [unsafe fn(*const T, *const T, &mut [f64]); 3],
    back_down: &'static [unsafe fn(bool, *const T, *const T, &[f64], *mut T); 3],
}

trait Kind: Element + 'static {
    const ROWS: Rows<Self>;
}

macro_rules! rows {
    ($t:ty, $math:ident, $module:ident) => {
        mod $module {
            use super::*;

            /// `sum(exp(x - top))`; the exponentials are kept in `to` where there is one.
            #[inline(always)]
            unsafe fn exps<const FMA: bool>(from: *const $t, top: $t, to: Option<*mut $t>, n: usize) -> f64 {
                let mut sums = [0f64; STEP];
                let mut tile = [<$t>::NEG_INFINITY; BLOCK];
                let mut start = 0;
                // SAFETY: the caller promises `n` elements behind both pointers.
                unsafe {
                    while start < n {
                        let count = BLOCK.min(n - start);
                        let whole = count / STEP * STEP;
                        let (from, padded) = (from.add(start), count.div_ceil(STEP) * STEP);
                        for i in 0..whole {
                            tile[i] = $math::exp::<FMA>(*from.add(i) - top);
                        }
                        if whole < count {
                            let mut last = [<$t>::NEG_INFINITY; STEP];
                            for i in whole..count {
                                last[i - whole] = *from.add(i);
                            }
                            for i in 0..STEP {
                                tile[whole + i] = $math::exp::<FMA>(last[i] - top);
                            }
                        }
                        let mut i = 0;
                        while i < padded {
                            for l in 0..STEP {
                                sums[l] += tile[i + l] as f64;
                            }
                            i += STEP;
                        }
                        if let Some(to) = to {
                            for i in 0..count {
                                *to.add(start + i) = tile[i];
                            }
                        }
                        start += count;
                    }
                }
                let mut half = STEP / 2;
                while half > 0 {
                    for l in 0..half {
                        sums[l] += sums[l + half];
                    }
                    half /= 2;
                }
                sums[0]
            }

            // A row of nothing but -inf has no softmax: NaN, as the formula says.
            #[inline(always)]
            unsafe fn forward_of<const FMA: bool>(log: bool, from: *const $t, to: *mut $t, n: usize) {
                // SAFETY: the caller promises `n` elements behind both pointers.
                unsafe {
                    let top = one_row::<$t, Max, 64>(Max, from, n);
                    if log {
                        let low = double::log::<FMA>(exps::<FMA>(from, top, None, n)) as $t;
                        for i in 0..n {
                            *to.add(i) = (*from.add(i) - top) - low;
                        }
                    } else {
                        let scale = (1.0 / exps::<FMA>(from, top, Some(to), n)) as $t;
                        for i in 0..n {
                            *to.add(i) *= scale;
                        }
                    }
                }
            }

            #[inline(always)]
            unsafe fn backward_of<const FMA: bool>(log: bool, g: *const $t, y: *const $t, to: *mut $t, n: usize) {
                // SAFETY: the caller promises `n` elements behind the three pointers.
                unsafe {
                    if log {
                        let sum = one_row::<$t, Sum, 32>(Sum, g, n) as $t;
                        for i in 0..n {
                            *to.add(i) = *g.add(i) - $math::exp::<FMA>(*y.add(i)) * sum;
                        }
                        return;
                    }
                    let mut lanes = [0f64; 32];
                    let whole = n / 32 * 32;
                    let mut i = 0;
                    while i < whole {
                        for l in 0..32 {
                            lanes[l] += *g.add(i + l) as f64 * *y.add(i + l) as f64;
                        }
                        i += 32;
                    }
                    for i in whole..n {
                        lanes[i - whole] += *g.add(i) as f64 * *y.add(i) as f64;
                    }
                    let mut half = 16;
                    while half > 0 {
                        for l in 0..half {
                            lanes[l] += lanes[l + half];
                        }
                        half /= 2;
                    }
                    let dot = lanes[0] as $t;
                    for i in 0..n {
                        *to.add(i) = *y.add(i) * (*g.add(i) - dot);
                    }
                }
            }

            #[inline(always)]
            unsafe fn log_sum_of<const FMA: bool>(from: *const $t, n: usize) -> f64 {
                // SAFETY: the caller promises `n` elements.
                unsafe {
                    let top = one_row::<$t, Max, 64>(Max, from, n);
                    // An infinite largest element, of which nothing can be subtracted, is the result.
                    if top.abs() == <$t>::INFINITY {
                        return top as f64;
                    }
                    top as f64 + double::log::<FMA>(exps::<FMA>(from, top, None, n))
                }
            }

            #[inline(always)]
            unsafe fn exp_down_of<const FMA: bool>(from: *const $t, top: &[$t], sums: &mut [f64], to: *mut $t) {
                for (i, (top, sum)) in top.iter().zip(sums).enumerate() {
                    // SAFETY: the caller promises rows as long as the lists.
                    unsafe {
                        let e = $math::exp::<FMA>(*from.add(i) - *top);
                        *sum += e as f64;
                        *to.add(i) = e;
                    }
                }
            }

            #[inline(always)]
            unsafe fn finish_down_of<const FMA: bool>(log: bool, from: *const $t, top: &[$t], last: &[f64], to: *mut $t) {
                for (i, (top, last)) in top.iter().zip(last).enumerate() {
                    // SAFETY: as above; without `log` the exponentials lie in `to` already.
                    unsafe { *to.add(i) = if log { (*from.add(i) - *top) - *last as $t } else { *to.add(i) * *last as $t } };
                }
            }

            #[inline(always)]
            unsafe fn dot_down_of<const FMA: bool>(g: *const $t, y: *const $t, dots: &mut [f64]) {
                for (i, dot) in dots.iter_mut().enumerate() {
                    // SAFETY: the caller promises rows as long as the list.
                    unsafe { *dot += *g.add(i) as f64 * *y.add(i) as f64 };
                }
            }

            #[inline(always)]
            unsafe fn back_down_of<const FMA: bool>(log: bool, g: *const $t, y: *const $t, dots: &[f64], to: *mut $t) {
                for (i, dot) in dots.iter().enumerate() {
                    // SAFETY: as above.
                    unsafe {
                        let (g, y, dot) = (*g.add(i), *y.add(i), *dot as $t);
                        *to.add(i) = if log { g - $math::exp::<FMA>(y) * dot } else { y * (g - dot) };
                    }
                }
            }

            crate::per_isa!(static forward: unsafe fn(log: bool, from: *const $t, to: *mut $t, n: usize) = forward_of);
            crate::per_isa!(static backward: unsafe fn(log: bool, g: *const $t, y: *const $t, to: *mut $t, n: usize) = backward_of);
            crate::per_isa!(static log_sum: unsafe fn(from: *const $t, n: usize) -> f64 = log_sum_of);
            crate::per_isa!(static exp_down: unsafe fn(from: *const $t, top: &[$t], sums: &mut [f64], to: *mut $t) = exp_down_of);
            crate::per_isa!(static finish_down: unsafe fn(log: bool, from: *const $t, top: &[$t], last: &[f64], to: *mut $t) = finish_down_of);
            crate::per_isa!(static dot_down: unsafe fn(g: *const $t, y: *const $t, dots: &mut [f64]) = dot_down_of);
            crate::per_isa!(static back_down: unsafe fn(log: bool, g: *const $t, y: *const $t, dots: &[f64], to: *mut $t) = back_down_of);

            impl Kind for $t {
                const ROWS: Rows<$t> = Rows {
                    forward: &forward,
                    backward: &backward,
                    log_sum: &log_sum,
                    exp_down: &exp_down,
                    finish_down: &finish_down,
                    dot_down: &dot_down,
                    back_down: &back_down,
                };
            }
        }
    };
}
rows!(f32, single, of_single);
rows!(f64, double, of_double);

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
    op.dtype == T::DTYPE && by_columns(op, 1) && op.layout.shape[op.layout.rank() - 2] >= STEP
}

/// Columns of a panel: as many as the second cache holds of this height.
fn panel_of(op: &Operand) -> usize {
    let height = *op.layout.shape.last().unwrap_or(&1);
    ((1 << 16) / height.max(1) / STEP * STEP).clamp(2 * STEP, PANEL)
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
    Max: Loops<T, Acc = T>,
{
    let n = *out.layout.shape.last().unwrap_or(&1);
    if out.numel() == 0 {
        return;
    }
    let level = isa::level();
    if lies_down::<T>(input) && lies_down::<T>(out) {
        let (exp, finish) = (T::ROWS.exp_down[level], T::ROWS.finish_down[level]);
        panels(input, 1, panel_of(input), |first, width, down| {
            let (mut top, mut sums) = ([<Max as Fold<T>>::start(&Max); PANEL], [0f64; PANEL]);
            let (top, sums) = (&mut top[..width], &mut sums[..width]);
            let (to, pitch) = beside(out, first);
            // SAFETY: the addresses are those of rows of `width` elements of the operands, and this panel is ours alone.
            unsafe {
                down(&mut |from, rows, by| Max.columns(top, from.cast(), by / size_of::<T>() as isize, rows));
                let mut row = 0;
                down(&mut |from, rows, by| {
                    for r in 0..rows as isize {
                        exp(from.offset(r * by).cast(), top, sums, to.offset(row * pitch).cast());
                        row += 1;
                    }
                });
                sums.iter_mut().for_each(|s| *s = if log { double::log::<false>(*s) } else { 1.0 / *s });
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
    let row = T::ROWS.forward[level];
    each_row::<T, 1>([input], out, n, |[from], to| {
        // SAFETY: a row of each operand.
        unsafe { row(log, from, to, n) }
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
        let (dot, finish) = (T::ROWS.dot_down[level], T::ROWS.back_down[level]);
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
    let row = T::ROWS.backward[level];
    each_row::<T, 2>([grad, result], out, n, |[g, y], to| {
        // SAFETY: a row of each operand.
        unsafe { row(log, g, y, to, n) }
    });
}

fn fold<T: Kind>(input: &Operand, folded: usize, out: &Operand)
where
    Max: Loops<T, Acc = T>,
{
    let kept = input.layout.rank() - folded;
    let n: usize = input.layout.shape[kept..].iter().product();
    if n == 0 {
        // The sum of nothing is 0, and its logarithm -inf.
        (0..out.numel()).for_each(|row| put(out, row, f64::NEG_INFINITY, 0));
        return;
    }
    let level = isa::level();
    if input.dtype == T::DTYPE && by_columns(input, folded) && input.layout.shape[kept - 1] >= STEP {
        let exp = T::ROWS.exp_down[level];
        panels(input, folded, PANEL, |first, width, down| {
            let (mut top, mut sums, mut spare) = ([<Max as Fold<T>>::start(&Max); PANEL], [0f64; PANEL], [T::default(); PANEL]);
            // SAFETY: as in `forward`.
            unsafe {
                down(&mut |from, rows, by| Max.columns(&mut top[..width], from.cast(), by / size_of::<T>() as isize, rows));
                down(&mut |from, rows, by| {
                    for r in 0..rows as isize {
                        exp(from.offset(r * by).cast(), &top[..width], &mut sums[..width], spare.as_mut_ptr());
                    }
                });
            }
            for j in 0..width {
                let top = top[j].to_f64();
                put(out, first + j, if top.is_infinite() { top } else { top + double::log::<false>(sums[j]) }, 0);
            }
        });
        return;
    }
    let (row, cursor) = (T::ROWS.log_sum[level], Cursor::new(&input.layout));
    let straight = input.dtype == T::DTYPE && input.layout.is_contiguous();
    let source = Bytes(input.ptr());
    threads::each(out.numel(), (CHUNK / n).max(1), |range| {
        let mut spare = if straight { Vec::new() } else { vec![T::default(); n] };
        for r in range {
            // SAFETY: the operand holds the row, and the spare one has room for it.
            let value = unsafe {
                if straight {
                    row(source.at(0).cast::<T>().add(r * n), n)
                } else {
                    convert::read::<T>(input, &cursor, r * n, n, spare.as_mut_ptr());
                    row(spare.as_ptr(), n)
                }
            };
            put(out, r, value, 0);
        }
    });
}

/// Calls `work` for the rows of some operands and an output of one shape, copied where they do not lie as `T` in order.
fn each_row<T: Kind, const N: usize>(ins: [&Operand; N], out: &Operand, n: usize, work: impl Fn([*const T; N], *mut T) + Sync) {
    let direct = |op: &Operand| op.dtype == T::DTYPE && op.layout.is_contiguous();
    let all = ins.iter().all(|op| direct(op)) && direct(out);
    let cursors: [Cursor; N] = std::array::from_fn(|k| Cursor::new(&ins[k].layout));
    let (sources, target) = (ins.map(|op| Bytes(op.ptr())), Bytes(out.ptr()));
    let to = Cursor::new(&out.layout);
    threads::each(out.numel() / n, ((1 << 14) / n).max(1), |range| {
        let mut spare = if all { Vec::new() } else { vec![T::default(); (N + 1) * n] };
        for r in range {
            // SAFETY: rows lie inside the operands; each is written by one thread; the spare rows hold `n` each.
            unsafe {
                if all {
                    let rows = std::array::from_fn(|k| sources[k].at(0).cast::<T>().add(r * n).cast_const());
                    work(rows, target.at(0).cast::<T>().add(r * n));
                    continue;
                }
                let base = spare.as_mut_ptr();
                for k in 0..N {
                    convert::read::<T>(ins[k], &cursors[k], r * n, n, base.add(k * n));
                }
                let made = base.add(N * n);
                work(std::array::from_fn(|k| base.add(k * n).cast_const()), made);
                convert::write_as(T::DTYPE, made.cast_const().cast(), out, &to, r * n, n);
            }
        }
    });
}
