//! A matrix times a vector, in the walk that its strides ask for. Leans on accumulate's joins; contract compiles it for each
//! instruction set.

use super::accumulate::in_pairs;
use std::ops::{Add, Mul};

/// Sums that grow side by side, so that no addition waits for the one before it.
const LANES: usize = 16;

/// A float of the products.
pub trait Float: Copy + Default + Add<Output = Self> + Mul<Output = Self> {
    fn fused(self, y: Self, z: Self) -> Self;
}
impl Float for f32 {
    #[inline(always)]
    fn fused(self, y: f32, z: f32) -> f32 {
        self.mul_add(y, z)
    }
}
impl Float for f64 {
    #[inline(always)]
    fn fused(self, y: f64, z: f64) -> f64 {
        self.mul_add(y, z)
    }
}

#[inline(always)]
pub fn madd<T: Float, const FMA: bool>(x: T, y: T, z: T) -> T {
    if FMA { x.fused(y, z) } else { x * y + z }
}

/// `y = a x` for an (m, k) matrix with steps (row, column), a vector of step `ix` and a result of step `iy`.
///
/// # Safety
/// The pointers and steps must describe a matrix and vectors of the sizes given.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
pub unsafe fn product<T: Float, const FMA: bool>(
    m: usize,
    k: usize,
    a: *const T,
    (row, column): (isize, isize),
    x: *const T,
    ix: isize,
    y: *mut T,
    iy: isize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        if column == 1 && ix == 1 {
            match k {
                1 if row == 1 && iy == 1 => short_rows::<T, FMA, 1>(m, a, x, y),
                2 if row == 2 && iy == 1 => short_rows::<T, FMA, 2>(m, a, x, y),
                3 if row == 3 && iy == 1 => short_rows::<T, FMA, 3>(m, a, x, y),
                4 if row == 4 && iy == 1 => short_rows::<T, FMA, 4>(m, a, x, y),
                // A closure may be compiled by itself, and then without the instructions of this copy.
                _ => {
                    for i in 0..m as isize {
                        *y.offset(i * iy) = dot::<T, FMA>(k, a.offset(i * row), x);
                    }
                }
            }
        } else if row == 1 && iy == 1 {
            match m {
                1 if column == 1 && ix == 1 => short_columns::<T, FMA, 1>(k, a, x, y),
                2 if column == 2 && ix == 1 => short_columns::<T, FMA, 2>(k, a, x, y),
                3 if column == 3 && ix == 1 => short_columns::<T, FMA, 3>(k, a, x, y),
                4 if column == 4 && ix == 1 => short_columns::<T, FMA, 4>(k, a, x, y),
                _ => by_columns::<T, FMA>(m, k, a, column, x, ix, y),
            }
        } else {
            for i in 0..m as isize {
                let from = a.offset(i * row);
                let mut lanes = [T::default(); LANES];
                for p in 0..k {
                    let l = p % LANES;
                    lanes[l] = madd::<T, FMA>(*from.offset(p as isize * column), *x.offset(p as isize * ix), lanes[l]);
                }
                *y.offset(i * iy) = in_pairs(lanes, |a, b| a + b);
            }
        }
    }
}

/// Rows of K elements one after the other.
#[inline(always)]
unsafe fn short_rows<T: Float, const FMA: bool, const K: usize>(m: usize, a: *const T, x: *const T, y: *mut T) {
    // SAFETY: the caller's promise.
    unsafe {
        let weights: [T; K] = *x.cast();
        for i in 0..m {
            let mut sum = *a.add(i * K) * weights[0];
            for (p, &weight) in weights.iter().enumerate().skip(1) {
                sum = madd::<T, FMA>(*a.add(i * K + p), weight, sum);
            }
            *y.add(i) = sum;
        }
    }
}

/// Columns of M elements one after the other.
#[inline(always)]
unsafe fn short_columns<T: Float, const FMA: bool, const M: usize>(k: usize, a: *const T, x: *const T, y: *mut T) {
    let mut sums = [[T::default(); LANES]; M];
    let whole = k / LANES * LANES;
    // SAFETY: the caller's promise.
    unsafe {
        for start in (0..whole).step_by(LANES) {
            for l in 0..LANES {
                let weight = *x.add(start + l);
                for (i, lanes) in sums.iter_mut().enumerate() {
                    lanes[l] = madd::<T, FMA>(*a.add((start + l) * M + i), weight, lanes[l]);
                }
            }
        }
        for p in whole..k {
            for (i, lanes) in sums.iter_mut().enumerate() {
                lanes[p - whole] = madd::<T, FMA>(*a.add(p * M + i), *x.add(p), lanes[p - whole]);
            }
        }
        for (i, lanes) in sums.into_iter().enumerate() {
            *y.add(i) = in_pairs(lanes, |a, b| a + b);
        }
    }
}

/// Columns scaled and added, four in one pass over the result.
#[inline(always)]
unsafe fn by_columns<T: Float, const FMA: bool>(m: usize, k: usize, a: *const T, column: isize, x: *const T, ix: isize, y: *mut T) {
    // SAFETY: the caller's promise.
    unsafe {
        for i in 0..m {
            *y.add(i) = T::default();
        }
        let mut p = 0;
        while p + 4 <= k {
            let at = |q: usize| a.offset((p + q) as isize * column);
            let weight = |q: usize| *x.offset((p + q) as isize * ix);
            let (c0, c1, c2, c3) = (at(0), at(1), at(2), at(3));
            let (w0, w1, w2, w3) = (weight(0), weight(1), weight(2), weight(3));
            for i in 0..m {
                let low = madd::<T, FMA>(*c1.add(i), w1, *c0.add(i) * w0);
                let high = madd::<T, FMA>(*c3.add(i), w3, *c2.add(i) * w2);
                *y.add(i) = *y.add(i) + (low + high);
            }
            p += 4;
        }
        for q in p..k {
            let (from, weight) = (a.offset(q as isize * column), *x.offset(q as isize * ix));
            for i in 0..m {
                *y.add(i) = madd::<T, FMA>(*from.add(i), weight, *y.add(i));
            }
        }
    }
}

/// The inner product of two straight rows.
#[inline(always)]
unsafe fn dot<T: Float, const FMA: bool>(k: usize, a: *const T, x: *const T) -> T {
    let mut lanes = [T::default(); LANES];
    let whole = k / LANES * LANES;
    // SAFETY: the caller's promise.
    unsafe {
        for start in (0..whole).step_by(LANES) {
            for (l, lane) in lanes.iter_mut().enumerate() {
                *lane = madd::<T, FMA>(*a.add(start + l), *x.add(start + l), *lane);
            }
        }
        for p in whole..k {
            lanes[p - whole] = madd::<T, FMA>(*a.add(p), *x.add(p), lanes[p - whole]);
        }
    }
    in_pairs(lanes, |a, b| a + b)
}
