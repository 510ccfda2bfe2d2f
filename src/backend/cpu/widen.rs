//! Sums of float32 in float64 where there is AVX2: additions as fused multiplications by one, since conversions and additions
//! wait for the same ports of a processor and multiplications have their own. Leans on accumulate, whose bits these are.

use super::accumulate::{self, CARRIED, Fold, Known, Spread, Squares, Sum};
#[cfg(target_arch = "x86_64")]
use super::lanes;

/// The vectors of the machine, where there are any for this.
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m256d as Four, _CMP_ORD_Q, _mm_loadu_ps, _mm256_add_pd, _mm256_and_pd, _mm256_cmp_pd, _mm256_cvtps_pd, _mm256_fmadd_pd,
    _mm256_hadd_pd, _mm256_loadu_pd, _mm256_mul_pd, _mm256_permute2f128_pd, _mm256_permute4x64_pd, _mm256_set1_pd, _mm256_setzero_pd,
    _mm256_storeu_pd, _mm256_sub_pd,
};

/// A fold whose step is an addition in float64.
pub trait Adds: Fold<f32, Acc = f64> {
    /// `step` in four accumulators; `one` is 1, which the compiler must not know, or it would add.
    #[cfg(target_arch = "x86_64")]
    fn four(&self, acc: Four, x: Four, one: Four) -> Four;
}

// SAFETY, of all: only what is compiled for AVX2 and FMA calls these.
impl Adds for Sum {
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn four(&self, acc: Four, x: Four, one: Four) -> Four {
        unsafe { _mm256_fmadd_pd(x, one, acc) }
    }
}
impl Adds for Squares {
    // The square of a float32 is a float64 without rounding.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn four(&self, acc: Four, x: Four, _one: Four) -> Four {
        unsafe { _mm256_fmadd_pd(x, x, acc) }
    }
}
impl Adds for Known {
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn four(&self, acc: Four, x: Four, one: Four) -> Four {
        unsafe { _mm256_fmadd_pd(_mm256_and_pd(x, _mm256_cmp_pd::<_CMP_ORD_Q>(x, x)), one, acc) }
    }
}
impl Adds for Spread {
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn four(&self, acc: Four, x: Four, one: Four) -> Four {
        unsafe {
            let d = _mm256_sub_pd(x, _mm256_set1_pd(self.0));
            _mm256_fmadd_pd(_mm256_mul_pd(d, d), one, acc)
        }
    }
}

/// How many elements ahead of the additions memory is asked for.
#[cfg(target_arch = "x86_64")]
const AHEAD: usize = 512;

#[cfg(target_arch = "x86_64")]
static ONE: f64 = 1.0;

#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn one() -> Four {
    // SAFETY: a static is there to be read; the caller has AVX2.
    unsafe { _mm256_set1_pd(std::ptr::read_volatile(&raw const ONE)) }
}

/// `n` elements, a multiple of `4 * V`, in so many vectors of accumulators.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn vectors<F: Adds, const V: usize>(fold: F, mut sums: [Four; V], one: Four, from: *const f32, n: usize) -> [Four; V] {
    let mut i = 0;
    while i < n {
        if V == 8 {
            // The processor itself asks too late for what the third cache holds, and not beyond a page.
            lanes::fetch(from.wrapping_add(i + AHEAD));
            lanes::fetch(from.wrapping_add(i + AHEAD + 16));
        }
        for (k, sum) in sums.iter_mut().enumerate() {
            // SAFETY: the caller promises `n` elements, and AVX2.
            *sum = fold.four(*sum, unsafe { _mm256_cvtps_pd(_mm_loadu_ps(from.add(i + 4 * k))) }, one);
        }
        i += 4 * V;
    }
    sums
}

/// The sums of a row as `one_row` makes them, before the last four lanes of the stretch of 32 and of that of eight are joined.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn fours<F: Adds>(fold: F, one: Four, from: *const f32, n: usize) -> (Four, Four) {
    let (many, some) = (n / 32 * 32, n / 8 * 8);
    // SAFETY: the caller promises `n` elements, and AVX2.
    unsafe {
        let zero = _mm256_setzero_pd();
        let (mut first, mut second) = (zero, zero);
        if many > 0 {
            let [a, b, c, d, e, f, g, h] = vectors::<F, 8>(fold, [zero; 8], one, from, many);
            let (ae, bf, cg, dh) = (_mm256_add_pd(a, e), _mm256_add_pd(b, f), _mm256_add_pd(c, g), _mm256_add_pd(d, h));
            first = _mm256_add_pd(_mm256_add_pd(ae, cg), _mm256_add_pd(bf, dh));
        }
        if some > many {
            let [a, b] = vectors::<F, 2>(fold, [zero; 2], one, from.add(many), some - many);
            second = _mm256_add_pd(a, b);
        }
        (first, second)
    }
}

/// The lanes of four vectors joined, the first two with the last two.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn joined([a, b, c, d]: [Four; 4]) -> Four {
    // SAFETY: the caller has AVX2.
    unsafe {
        let ab = _mm256_add_pd(_mm256_permute2f128_pd::<0x20>(a, b), _mm256_permute2f128_pd::<0x31>(a, b));
        let cd = _mm256_add_pd(_mm256_permute2f128_pd::<0x20>(c, d), _mm256_permute2f128_pd::<0x31>(c, d));
        _mm256_permute4x64_pd::<0b11_01_10_00>(_mm256_hadd_pd(ab, cd))
    }
}

/// One row to one result.
///
/// # Safety
/// `from` must hold `n` elements; where FMA is true on x86, the machine has AVX2 and FMA.
#[inline(always)]
pub unsafe fn one_row<F: Adds, const FMA: bool>(fold: F, from: *const f32, n: usize) -> f64 {
    // SAFETY: the caller's promise.
    unsafe {
        let mut one = 0.0;
        rows::<F, FMA>(fold, from, n, std::slice::from_mut(&mut one));
        one
    }
}

/// Rows that follow one another to a result each.
///
/// # Safety
/// As of `one_row`, for as many rows as there are results.
#[inline(always)]
pub unsafe fn rows<F: Adds, const FMA: bool>(fold: F, from: *const f32, n: usize, to: &mut [f64]) {
    #[cfg(target_arch = "x86_64")]
    if FMA && n >= 8 {
        let (count, some) = (to.len(), n / 8 * 8);
        // SAFETY: the caller's promise.
        unsafe {
            let (one, zero) = (one(), _mm256_setzero_pd());
            for r in (0..count).step_by(4) {
                let (mut firsts, mut seconds) = ([zero; 4], [zero; 4]);
                let last = (count - r).min(4);
                for k in 0..last {
                    (firsts[k], seconds[k]) = fours::<F>(fold, one, from.add((r + k) * n), n);
                }
                // What is not there adds nothing.
                let mut sums = [0f64; 4];
                let all = _mm256_add_pd(_mm256_add_pd(zero, joined(firsts)), joined(seconds));
                _mm256_storeu_pd(sums.as_mut_ptr(), all);
                for k in 0..last {
                    let row = from.add((r + k) * n);
                    to[r + k] = (some..n).fold(sums[k], |acc, i| fold.step(acc, *row.add(i)));
                }
            }
        }
        return;
    }
    // SAFETY: the caller's promise.
    unsafe { accumulate::rows::<f32, F, CARRIED>(fold, from, n, to) }
}

/// Rows of `n` elements, a multiple of the lanes, `pitch` elements apart, into lanes that go on after them.
///
/// # Safety
/// As of `one_row`, for all rows.
#[inline(always)]
pub unsafe fn carry<F: Adds, const FMA: bool>(fold: F, lanes: &mut [f64; CARRIED], from: *const f32, n: usize, rows: usize, pitch: isize) {
    #[cfg(target_arch = "x86_64")]
    if FMA {
        // SAFETY: the caller's promise; the lanes are eight vectors.
        unsafe {
            let one = one();
            let mut sums = [_mm256_setzero_pd(); CARRIED / 4];
            for (k, sum) in sums.iter_mut().enumerate() {
                *sum = _mm256_loadu_pd(lanes.as_ptr().add(4 * k));
            }
            for row in 0..rows as isize {
                sums = vectors::<F, { CARRIED / 4 }>(fold, sums, one, from.wrapping_offset(row * pitch), n);
            }
            for (k, sum) in sums.into_iter().enumerate() {
                _mm256_storeu_pd(lanes.as_mut_ptr().add(4 * k), sum);
            }
        }
        return;
    }
    // SAFETY: the caller's promise.
    unsafe { accumulate::carry::<f32, F>(fold, lanes, from, n, rows, pitch) }
}

/// R rows into the accumulators of their columns.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn together<F: Adds, const R: usize>(fold: F, one: Four, columns: &mut [f64], from: *const f32, pitch: isize) {
    let n = columns.len();
    let mut i = 0;
    // SAFETY: the caller promises R rows as long as the accumulators, and AVX2.
    unsafe {
        while i + 8 <= n {
            let at = columns.as_mut_ptr().add(i);
            let (mut near, mut far) = (_mm256_loadu_pd(at), _mm256_loadu_pd(at.add(4)));
            for r in 0..R {
                let row = from.wrapping_offset(r as isize * pitch).add(i);
                near = fold.four(near, _mm256_cvtps_pd(_mm_loadu_ps(row)), one);
                far = fold.four(far, _mm256_cvtps_pd(_mm_loadu_ps(row.add(4))), one);
            }
            _mm256_storeu_pd(at, near);
            _mm256_storeu_pd(at.add(4), far);
            i += 8;
        }
        for (i, column) in columns.iter_mut().enumerate().skip(i) {
            *column = (0..R).fold(*column, |acc, r| fold.step(acc, *from.wrapping_offset(r as isize * pitch).add(i)));
        }
    }
}

/// So many rows as long as the accumulators, `pitch` elements apart, into the accumulators of their columns.
///
/// # Safety
/// As of `one_row`, for all rows.
#[inline(always)]
pub unsafe fn columns<F: Adds, const FMA: bool>(fold: F, columns: &mut [f64], from: *const f32, pitch: isize, rows: usize) {
    #[cfg(target_arch = "x86_64")]
    if FMA {
        let (most, some) = (rows / 8 * 8, rows / 2 * 2);
        let at = |row: usize| from.wrapping_offset(row as isize * pitch);
        // SAFETY: the caller's promise.
        unsafe {
            let one = one();
            for row in (0..most).step_by(8) {
                together::<F, 8>(fold, one, columns, at(row), pitch);
            }
            for row in (most..some).step_by(2) {
                together::<F, 2>(fold, one, columns, at(row), pitch);
            }
            if some < rows {
                together::<F, 1>(fold, one, columns, at(some), pitch);
            }
        }
        return;
    }
    // SAFETY: the caller's promise.
    unsafe { accumulate::into_columns::<f32, F>(fold, columns, from, pitch, rows) }
}
