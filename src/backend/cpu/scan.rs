//! Running sums and products along the last axis: rows with several sums under way at once, columns side by side.
//! Leans on fold and convert.

use super::convert::{self, Bytes, Cursor};
use super::fold::{PANEL, by_columns, panels};
use super::{isa, threads};
use crate::backend::launch::{FoldKind, Operand};
use crate::base::dtype::Element;
use crate::base::{DType, Result};

pub fn run(kind: FoldKind, input: &Operand, out: &Operand) -> Result<()> {
    let product = kind == FoldKind::Prod;
    match (input.dtype, out.dtype) {
        _ if out.numel() == 0 => {}
        (_, wanted) if wanted.is_complex() => super::pairs::running(input, out),
        (DType::F32, DType::F32) => floats::<f32>(product, input, out),
        (DType::F64, DType::F64) => floats::<f64>(product, input, out),
        (_, wanted) if wanted.is_float() => {
            every::<f64>(input, out, if product { 1.0 } else { 0.0 }, |a, x| if product { a * x } else { a + x });
        }
        _ => every::<i64>(input, out, i64::from(product), |a, x| if product { a.wrapping_mul(x) } else { a.wrapping_add(x) }),
    }
    Ok(())
}

/// Bytes of one of the four runs of a sum that are under way at once; with 512, half as fast.
const RUN: usize = 256;

/// The plain, AVX2 and AVX-512 loops of one kind.
type Three<Loop> = &'static [Loop; 3];

#[allow(clippy::type_complexity, reason = "a list of such types")]
trait Float: Element {
    const DOWN: Three<unsafe fn(bool, *const Self, &mut [f64], *mut Self)>;
    const ROW: Three<unsafe fn(*const Self, *mut Self, usize)>;
    const ROWS: Three<unsafe fn(bool, *const Self, *mut Self, usize, usize)>;
}

macro_rules! floats {
    ($t:ty, $module:ident) => {
        mod $module {
            use super::*;

            #[inline(always)]
            unsafe fn down_of<const FMA: bool>(product: bool, from: *const $t, totals: &mut [f64], to: *mut $t) {
                for (i, total) in totals.iter_mut().enumerate() {
                    // SAFETY: the caller promises rows as long as the list.
                    unsafe {
                        let x = *from.add(i) as f64;
                        *total = if product { *total * x } else { *total + x };
                        *to.add(i) = *total as $t;
                    }
                }
            }

            #[inline(always)]
            unsafe fn one_by_one(mut total: f64, from: *const $t, to: *mut $t, n: usize) -> f64 {
                for i in 0..n {
                    // SAFETY: the caller promises `n` elements on both sides.
                    unsafe {
                        total += *from.add(i) as f64;
                        *to.add(i) = total as $t;
                    }
                }
                total
            }

            /// A running sum. One addition waits for the one before it, so that four runs are summed side by side (by name:
            /// a loop over them would be made vectors of, with their elements fetched one by one), and each then moved up
            /// by what came before.
            #[inline(always)]
            unsafe fn row_of<const FMA: bool>(from: *const $t, to: *mut $t, n: usize) {
                let (mut total, mut start) = (0f64, 0);
                const RUN: usize = super::RUN / size_of::<$t>();
                let mut sums = [0f64; 4 * RUN];
                // SAFETY: the caller promises `n` elements on both sides.
                unsafe {
                    while start + 4 * RUN <= n {
                        let (at, put) = (from.add(start), to.add(start));
                        let (mut a, mut b, mut c, mut d) = (0f64, 0f64, 0f64, 0f64);
                        for k in 0..RUN {
                            a += *at.add(k) as f64;
                            b += *at.add(RUN + k) as f64;
                            c += *at.add(2 * RUN + k) as f64;
                            d += *at.add(3 * RUN + k) as f64;
                            sums[k] = a;
                            sums[RUN + k] = b;
                            sums[2 * RUN + k] = c;
                            sums[3 * RUN + k] = d;
                        }
                        start += 4 * RUN;
                        // A run that overflows by itself need not with what came before it.
                        if !((a - a) + (b - b) + (c - c) + (d - d) == 0.0) {
                            total = one_by_one(total, at, put, 4 * RUN);
                            continue;
                        }
                        for (r, part) in [a, b, c, d].into_iter().enumerate() {
                            for k in 0..RUN {
                                *put.add(r * RUN + k) = (total + sums[r * RUN + k]) as $t;
                            }
                            total += part;
                        }
                    }
                    one_by_one(total, from.add(start), to.add(start), n - start);
                }
            }

            /// Four rows side by side, each in order, and the last ones alone.
            #[inline(always)]
            unsafe fn rows_of<const FMA: bool>(product: bool, from: *const $t, to: *mut $t, rows: usize, n: usize) {
                // SAFETY: the caller's promise.
                unsafe {
                    if product {
                        in_order(1.0, |a, x| a * x as f64, from, to, rows, n)
                    } else {
                        in_order(0.0, |a, x| a + x as f64, from, to, rows, n)
                    }
                }
            }

            #[inline(always)]
            unsafe fn in_order(first: f64, step: impl Fn(f64, $t) -> f64, from: *const $t, to: *mut $t, rows: usize, n: usize) {
                let mut row = 0;
                // SAFETY: the caller promises `rows * n` elements on both sides.
                unsafe {
                    while row + 4 <= rows {
                        let (from, to) = (from.add(row * n), to.add(row * n));
                        let (mut a, mut b, mut c, mut d) = (first, first, first, first);
                        for k in 0..n {
                            a = step(a, *from.add(k));
                            b = step(b, *from.add(n + k));
                            c = step(c, *from.add(2 * n + k));
                            d = step(d, *from.add(3 * n + k));
                            *to.add(k) = a as $t;
                            *to.add(n + k) = b as $t;
                            *to.add(2 * n + k) = c as $t;
                            *to.add(3 * n + k) = d as $t;
                        }
                        row += 4;
                    }
                    while row < rows {
                        let mut total = first;
                        for k in row * n..(row + 1) * n {
                            total = step(total, *from.add(k));
                            *to.add(k) = total as $t;
                        }
                        row += 1;
                    }
                }
            }

            crate::per_isa!(static down_loops: unsafe fn(product: bool, from: *const $t, totals: &mut [f64], to: *mut $t) = down_of);
            crate::per_isa!(static row_loops: unsafe fn(from: *const $t, to: *mut $t, n: usize) = row_of);
            crate::per_isa!(static rows_loops: unsafe fn(product: bool, from: *const $t, to: *mut $t, rows: usize, n: usize) = rows_of);

            impl Float for $t {
                const DOWN: Three<unsafe fn(bool, *const $t, &mut [f64], *mut $t)> = &down_loops;
                const ROW: Three<unsafe fn(*const $t, *mut $t, usize)> = &row_loops;
                const ROWS: Three<unsafe fn(bool, *const $t, *mut $t, usize, usize)> = &rows_loops;
            }
        }
    };
}
floats!(f32, of_single);
floats!(f64, of_double);

fn floats<T: Float>(product: bool, input: &Operand, out: &Operand) {
    let n = *out.layout.shape.last().unwrap_or(&1);
    let start = if product { 1.0 } else { 0.0 };
    if by_columns(input, 1) && by_columns(out, 1) {
        let down_one = T::DOWN[isa::level()];
        let kept = out.layout.rank() - 1;
        let pitch = out.layout.strides[kept];
        let target = Bytes(out.ptr());
        panels(input, 1, PANEL, |first, width, down| {
            let mut totals = [start; PANEL];
            let (mut rest, mut at) = (first, 0isize);
            for axis in (0..kept).rev() {
                at += (rest % out.layout.shape[axis]) as isize * out.layout.strides[axis];
                rest /= out.layout.shape[axis];
            }
            // SAFETY: the addresses are those of rows of `width` elements of both operands, and this panel is ours alone.
            down(&mut |from, rows, by| unsafe {
                for row in 0..rows as isize {
                    down_one(product, from.offset(row * by).cast(), &mut totals[..width], target.at(0).cast::<T>().offset(at));
                    at += pitch;
                }
            });
        });
        return;
    }
    if input.layout.is_contiguous() && out.layout.is_contiguous() {
        let (from, to) = (Bytes(input.ptr()), Bytes(out.ptr()));
        let (row, rows) = (T::ROW[isa::level()], T::ROWS[isa::level()]);
        let count = out.numel() / n;
        threads::each(count, ((1 << 14) / n).max(4), |range| {
            // SAFETY: the rows lie inside both operands, and no other thread writes them.
            unsafe {
                let (from, to) = (from.at(0).cast::<T>().add(range.start * n), to.at(0).cast::<T>().add(range.start * n));
                if product || n < RUN {
                    return rows(product, from, to, range.len(), n);
                }
                (0..range.len()).for_each(|r| row(from.add(r * n), to.add(r * n), n));
            }
        });
        return;
    }
    every::<f64>(input, out, start, |a, x| if product { a * x } else { a + x });
}

fn every<T: Element>(input: &Operand, out: &Operand, start: T, join: impl Fn(T, T) -> T + Sync) {
    let n = *out.layout.shape.last().unwrap_or(&1);
    let (from, to) = (Cursor::new(&input.layout), Cursor::new(&out.layout));
    let dtype = if T::DTYPE.is_float() { DType::F64 } else { DType::I64 };
    threads::each(out.numel() / n, ((1 << 14) / n).max(1), |range| {
        let mut row = vec![T::default(); n];
        let spare = Bytes(row.as_mut_ptr().cast());
        for r in range {
            // SAFETY: the row holds `n` elements; each row of the output is written by one thread.
            unsafe { convert::read::<T>(input, &from, r * n, n, spare.at(0).cast()) };
            let mut acc = start;
            for x in &mut row {
                acc = join(acc, *x);
                *x = acc;
            }
            // SAFETY: as above.
            unsafe { convert::write_as(dtype, row.as_ptr().cast(), out, &to, r * n, n) };
        }
    });
}
