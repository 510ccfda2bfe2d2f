//! Softmax, log-softmax, their derivatives and log-sum-exp along an axis: rows one by one, columns in panels that stay in
//! the second cache. Leans on math, accumulate, fold, convert, and short for rows that are.

use super::accumulate::{Fold, Loops, Sum, Top, one_row};
use super::convert::{self, Bytes, Cursor};
use super::fold::{CHUNK, PANEL, by_columns, panels, put};
use super::math::{double, single};
use super::short::{self, Short};
use super::{isa, threads};
use crate::backend::launch::Operand;
use crate::base::dtype::Element;
use crate::base::{DType, Error, Result};

/// Elements whose exponentials are taken together; the last ones of a row are padded to a multiple of `STEP`, since
/// elements that do not fill the loop's vectors cost as much as many that do.
const BLOCK: usize = 2048;
const STEP: usize = 64;
/// Rows of columns whose exponentials are taken together.
const TOGETHER: usize = 2;
/// A tile that begins with a line of memory, so that no vector of it lies in two.
#[repr(align(64))]
struct Aligned<T>(std::mem::MaybeUninit<[T; BLOCK]>);
/// Sums that are under way at once.
const LANES: usize = 16;
/// Columns below which rows are better turned.
const FEW: usize = 16;

/// `(from and its pitch, to and its pitch, rows, largest elements, sums)`.
type ExpDown<T> = unsafe fn((*const T, isize), Option<(*mut T, isize)>, usize, &[T], &mut [f64]);

/// The plain, AVX2 and AVX-512 loops of one kind.
type Three<Loop> = &'static [Loop; 3];

/// What is made of rows of one type: `(log, from, to, rows, count)`, `(log, cotangent, result, to, rows, count)`, `(from, count)`.
#[allow(clippy::type_complexity, reason = "a list of such types")]
struct Rows<T: 'static> {
    forward: Three<unsafe fn(bool, *const T, *mut T, usize, usize)>,
    backward: Three<unsafe fn(bool, *const T, *const T, *mut T, usize, usize)>,
    log_sum: Three<unsafe fn(*const T, usize) -> f64>,
    exp_down: Three<ExpDown<T>>,
    finish_down: Three<unsafe fn(bool, *const T, &[T], &[f64], *mut T)>,
    close: Three<unsafe fn(bool, &mut [f64])>,
    dot_down: Three<unsafe fn(*const T, *const T, &mut [f64])>,
    back_down: Three<unsafe fn(bool, *const T, *const T, &[f64], *mut T)>,
}

trait Kind: Short + 'static {
    const ROWS: Rows<Self>;
}

macro_rules! rows {
    ($t:ty, $math:ident, $module:ident) => {
        mod $module {
            use super::*;

            /// `sum(exp(x - top))`; the last exponentials, at most BLOCK, stay in the tile, and all in `to` where there is one.
            #[inline(always)]
            unsafe fn exps<const FMA: bool>(from: *const $t, top: $t, tile: *mut $t, to: Option<*mut $t>, n: usize) -> f64 {
                let mut sums = [0f64; LANES];
                let mut start = 0;
                // SAFETY: the caller promises `n` elements behind both pointers; a tile holds BLOCK.
                unsafe {
                    while start < n {
                        let count = BLOCK.min(n - start);
                        let (whole, padded) = (count / STEP * STEP, count.div_ceil(STEP) * STEP);
                        let from = from.add(start);
                        for i in 0..whole {
                            *tile.add(i) = $math::exp::<FMA>(*from.add(i) - top);
                        }
                        if whole < count {
                            for i in whole..whole + STEP {
                                *tile.add(i) = <$t>::NEG_INFINITY;
                            }
                            for i in whole..count {
                                *tile.add(i) = *from.add(i);
                            }
                            for i in whole..padded {
                                *tile.add(i) = $math::exp::<FMA>(*tile.add(i) - top);
                            }
                        }
                        let mut i = 0;
                        while i < padded {
                            for (l, sum) in sums.iter_mut().enumerate() {
                                *sum += *tile.add(i + l) as f64;
                            }
                            i += LANES;
                        }
                        if let Some(to) = to {
                            for i in 0..count {
                                *to.add(start + i) = *tile.add(i);
                            }
                        }
                        start += count;
                    }
                }
                // As in `accumulate`: the joining must not shape the loop.
                let mut sums = std::hint::black_box(sums);
                let mut half = LANES / 2;
                while half > 0 {
                    for l in 0..half {
                        sums[l] += sums[l + half];
                    }
                    half /= 2;
                }
                sums[0]
            }

            /// The largest element. A NaN need not be looked for: its exponential makes the sum one.
            #[inline(always)]
            unsafe fn top_of(from: *const $t, n: usize) -> $t {
                // SAFETY: the caller promises `n` elements.
                unsafe { if n < 256 { one_row::<$t, Top, 16>(Top, from, n) } else { one_row::<$t, Top, 64>(Top, from, n) } }
            }

            // A row of nothing but -inf has no softmax: NaN, as the formula says.
            #[inline(always)]
            unsafe fn forward_of<const FMA: bool>(log: bool, from: *const $t, to: *mut $t, rows: usize, n: usize) {
                let mut tile = Aligned::<$t>(std::mem::MaybeUninit::uninit());
                let tile: *mut $t = tile.0.as_mut_ptr().cast();
                // SAFETY: the caller promises rows of `n` elements behind both pointers.
                unsafe {
                    for r in 0..rows {
                        let (from, to) = (from.add(r * n), to.add(r * n));
                        let top = top_of(from, n);
                        if log {
                            let low = double::log::<FMA>(exps::<FMA>(from, top, tile, None, n)) as $t;
                            for i in 0..n {
                                *to.add(i) = (*from.add(i) - top) - low;
                            }
                        } else if n <= BLOCK {
                            let scale = (1.0 / exps::<FMA>(from, top, tile, None, n)) as $t;
                            for i in 0..n {
                                *to.add(i) = *tile.add(i) * scale;
                            }
                        } else {
                            let scale = (1.0 / exps::<FMA>(from, top, tile, Some(to), n)) as $t;
                            for i in 0..n {
                                *to.add(i) *= scale;
                            }
                        }
                    }
                }
            }

            #[inline(always)]
            unsafe fn backward_of<const FMA: bool>(log: bool, g: *const $t, y: *const $t, to: *mut $t, rows: usize, n: usize) {
                for r in 0..rows {
                    // SAFETY: the caller promises rows of `n` elements behind the three pointers.
                    unsafe { row_back::<FMA>(log, g.add(r * n), y.add(r * n), to.add(r * n), n) };
                }
            }

            #[inline(always)]
            unsafe fn row_back<const FMA: bool>(log: bool, g: *const $t, y: *const $t, to: *mut $t, n: usize) {
                // SAFETY: the caller promises `n` elements behind the three pointers.
                unsafe {
                    if log {
                        let sum = if n < 256 { one_row::<$t, Sum, 16>(Sum, g, n) } else { one_row::<$t, Sum, 32>(Sum, g, n) } as $t;
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
                            lanes[l] += (*g.add(i + l) * *y.add(i + l)) as f64;
                        }
                        i += 32;
                    }
                    let mut lanes = std::hint::black_box(lanes);
                    let mut half = 16;
                    while half > 0 {
                        for l in 0..half {
                            lanes[l] += lanes[l + half];
                        }
                        half /= 2;
                    }
                    let rest = (whole..n).fold(0f64, |a, i| a + (*g.add(i) * *y.add(i)) as f64);
                    let dot = (lanes[0] + rest) as $t;
                    for i in 0..n {
                        *to.add(i) = *y.add(i) * (*g.add(i) - dot);
                    }
                }
            }

            #[inline(always)]
            unsafe fn log_sum_of<const FMA: bool>(from: *const $t, n: usize) -> f64 {
                let mut tile = Aligned::<$t>(std::mem::MaybeUninit::uninit());
                let tile: *mut $t = tile.0.as_mut_ptr().cast();
                // SAFETY: the caller promises `n` elements.
                unsafe {
                    let top = top_of(from, n);
                    // Of an infinite largest element nothing can be subtracted.
                    let top = if top.abs() == <$t>::INFINITY { 0.0 } else { top };
                    top as f64 + double::log::<FMA>(exps::<FMA>(from, top, tile, None, n))
                }
            }

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
                    let mut all = *sum;
                    for r in 0..ROWS as isize {
                        // SAFETY: the caller promises rows as long as the lists.
                        unsafe {
                            let e = $math::exp::<FMA>(*from.0.offset(r * from.1).add(i) - *top);
                            all += e as f64;
                            if KEEP {
                                *to.0.offset(r * to.1).add(i) = e;
                            }
                        }
                    }
                    *sum = all;
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

            crate::per_isa!(static forward: unsafe fn(log: bool, from: *const $t, to: *mut $t, rows: usize, n: usize) = forward_of);
            crate::per_isa!(static backward: unsafe fn(log: bool, g: *const $t, y: *const $t, to: *mut $t, rows: usize, n: usize) = backward_of);
            crate::per_isa!(static log_sum: unsafe fn(from: *const $t, n: usize) -> f64 = log_sum_of);
            crate::per_isa!(static exp_down: unsafe fn(from: (*const $t, isize), to: Option<(*mut $t, isize)>, rows: usize, top: &[$t], sums: &mut [f64]) = exp_down_of);
            crate::per_isa!(static finish_down: unsafe fn(log: bool, from: *const $t, top: &[$t], last: &[f64], to: *mut $t) = finish_down_of);
            crate::per_isa!(static close: unsafe fn(log: bool, sums: &mut [f64]) = close_of);
            crate::per_isa!(static dot_down: unsafe fn(g: *const $t, y: *const $t, dots: &mut [f64]) = dot_down_of);
            crate::per_isa!(static back_down: unsafe fn(log: bool, g: *const $t, y: *const $t, dots: &[f64], to: *mut $t) = back_down_of);

            impl Kind for $t {
                const ROWS: Rows<$t> = Rows {
                    forward: &forward,
                    backward: &backward,
                    log_sum: &log_sum,
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
rows!(f32, single, of_single);
rows!(f64, double, of_double);

/// Types with a loop for `log(sum(exp(x)))`.
pub(super) trait LogSum: Element {
    const LOG_SUM: Three<unsafe fn(*const Self, usize) -> f64>;
}
impl<T: Kind> LogSum for T {
    const LOG_SUM: Three<unsafe fn(*const T, usize) -> f64> = T::ROWS.log_sum;
}

/// `log(sum(exp(x)))` of one row.
///
/// # Safety
/// `from` must hold `n` elements, and at least one.
#[inline]
pub(super) unsafe fn log_sum_of<T: LogSum>(from: *const T, n: usize) -> f64 {
    // SAFETY: the caller's promise.
    unsafe { T::LOG_SUM[isa::level()](from, n) }
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
        let (exp, finish) = (T::ROWS.exp_down[level], T::ROWS.finish_down[level]);
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
                T::ROWS.close[level](log, sums);
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
        let exp = T::ROWS.exp_down[level];
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
            unsafe { T::ROWS.close[level](true, &mut sums[..width]) };
            for j in 0..width {
                put(out, first + j, top[j].to_f64() + sums[j], 0);
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
