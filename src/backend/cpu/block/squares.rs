//! Squares of elements turned in registers, for each of x86's instruction sets that has the shuffles. Leans on std::arch,
//! and on block for everything else that is moved.

use super::{Move, doubles, words};
use std::arch::x86_64::*;

/// A square of so many elements each way.
pub trait Square {
    type Element: Copy;
    const SIDE: usize;
    /// What moves rectangles that need no turning.
    const ROWS: Move;
    /// `to[i * pitch + j] = from[j * step + i]`
    ///
    /// # Safety
    /// The machine must have the instructions, and both pointers a whole square at their steps.
    unsafe fn square(from: *const Self::Element, step: isize, to: *mut Self::Element, pitch: isize);
}

/// Sixteen words with AVX-512.
pub struct Sixteen;
/// Eight words with AVX2.
pub struct Eight;
/// Eight doubles with AVX-512.
pub struct EightDoubles;
/// Four doubles with AVX2.
pub struct FourDoubles;
/// Four words.
pub struct FourWords;

impl Square for Sixteen {
    type Element = u32;
    const SIDE: usize = 16;
    const ROWS: Move = words[2];
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn square(from: *const u32, step: isize, to: *mut u32, pitch: isize) {
        // SAFETY: the caller promises 16 rows of 16 on both sides.
        unsafe {
            let mut r = [_mm512_setzero_ps(); 16];
            for (k, r) in r.iter_mut().enumerate() {
                *r = _mm512_loadu_ps(from.offset(k as isize * step).cast());
            }
            // Pairs, then fours of neighbouring rows within each quarter; then the quarters themselves.
            let mut t = r;
            for k in 0..8 {
                t[2 * k] = _mm512_unpacklo_ps(r[2 * k], r[2 * k + 1]);
                t[2 * k + 1] = _mm512_unpackhi_ps(r[2 * k], r[2 * k + 1]);
            }
            for k in 0..4 {
                let (a, b) = (_mm512_castps_pd(t[4 * k]), _mm512_castps_pd(t[4 * k + 1]));
                let (c, d) = (_mm512_castps_pd(t[4 * k + 2]), _mm512_castps_pd(t[4 * k + 3]));
                r[4 * k] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, c));
                r[4 * k + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, c));
                r[4 * k + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(b, d));
                r[4 * k + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(b, d));
            }
            for k in 0..4 {
                t[k] = _mm512_shuffle_f32x4::<0x88>(r[k], r[4 + k]);
                t[4 + k] = _mm512_shuffle_f32x4::<0xdd>(r[k], r[4 + k]);
                t[8 + k] = _mm512_shuffle_f32x4::<0x88>(r[8 + k], r[12 + k]);
                t[12 + k] = _mm512_shuffle_f32x4::<0xdd>(r[8 + k], r[12 + k]);
            }
            for k in 0..8 {
                r[k] = _mm512_shuffle_f32x4::<0x88>(t[k], t[8 + k]);
                r[8 + k] = _mm512_shuffle_f32x4::<0xdd>(t[k], t[8 + k]);
            }
            for (k, r) in r.iter().enumerate() {
                _mm512_storeu_ps(to.offset(k as isize * pitch).cast(), *r);
            }
        }
    }
}

impl Square for EightDoubles {
    type Element = u64;
    const SIDE: usize = 8;
    const ROWS: Move = doubles[2];
    #[inline]
    #[target_feature(enable = "avx512f")]
    unsafe fn square(from: *const u64, step: isize, to: *mut u64, pitch: isize) {
        // SAFETY: the caller promises 8 rows of 8 on both sides.
        unsafe {
            let mut r = [_mm512_setzero_pd(); 8];
            for (k, r) in r.iter_mut().enumerate() {
                *r = _mm512_loadu_pd(from.offset(k as isize * step).cast());
            }
            let mut t = r;
            for k in 0..4 {
                t[k] = _mm512_unpacklo_pd(r[2 * k], r[2 * k + 1]);
                t[4 + k] = _mm512_unpackhi_pd(r[2 * k], r[2 * k + 1]);
            }
            for k in 0..2 {
                let [a, b, c, d] = [t[4 * k], t[4 * k + 1], t[4 * k + 2], t[4 * k + 3]];
                let (even, odd) = (_mm512_shuffle_f64x2::<0x88>(a, b), _mm512_shuffle_f64x2::<0x88>(c, d));
                r[k] = _mm512_shuffle_f64x2::<0x88>(even, odd);
                r[4 + k] = _mm512_shuffle_f64x2::<0xdd>(even, odd);
                let (even, odd) = (_mm512_shuffle_f64x2::<0xdd>(a, b), _mm512_shuffle_f64x2::<0xdd>(c, d));
                r[2 + k] = _mm512_shuffle_f64x2::<0x88>(even, odd);
                r[6 + k] = _mm512_shuffle_f64x2::<0xdd>(even, odd);
            }
            for (k, r) in r.iter().enumerate() {
                _mm512_storeu_pd(to.offset(k as isize * pitch).cast(), *r);
            }
        }
    }
}

impl Square for Eight {
    type Element = u32;
    const SIDE: usize = 8;
    const ROWS: Move = words[1];
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn square(from: *const u32, step: isize, to: *mut u32, pitch: isize) {
        // SAFETY: the caller promises 8 rows of 8 on both sides.
        unsafe {
            for half in [0, 4] {
                let mut r = [_mm256_setzero_ps(); 4];
                for (k, r) in r.iter_mut().enumerate() {
                    // Rows four apart side by side, so that no half need be exchanged later.
                    let at = from.offset(k as isize * step + half).cast::<f32>();
                    *r = _mm256_loadu2_m128(at.offset(4 * step), at);
                }
                let (a, b) = (_mm256_unpacklo_ps(r[0], r[1]), _mm256_unpackhi_ps(r[0], r[1]));
                let (c, d) = (_mm256_unpacklo_ps(r[2], r[3]), _mm256_unpackhi_ps(r[2], r[3]));
                let (a, b) = (_mm256_castps_pd(a), _mm256_castps_pd(b));
                let (c, d) = (_mm256_castps_pd(c), _mm256_castps_pd(d));
                let to = to.offset(half * pitch);
                _mm256_storeu_pd(to.cast(), _mm256_unpacklo_pd(a, c));
                _mm256_storeu_pd(to.offset(pitch).cast(), _mm256_unpackhi_pd(a, c));
                _mm256_storeu_pd(to.offset(2 * pitch).cast(), _mm256_unpacklo_pd(b, d));
                _mm256_storeu_pd(to.offset(3 * pitch).cast(), _mm256_unpackhi_pd(b, d));
            }
        }
    }
}

impl Square for FourDoubles {
    type Element = u64;
    const SIDE: usize = 4;
    const ROWS: Move = doubles[1];
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn square(from: *const u64, step: isize, to: *mut u64, pitch: isize) {
        // SAFETY: the caller promises 4 rows of 4 on both sides.
        unsafe {
            for half in [0, 2] {
                let at = from.offset(half).cast::<f64>();
                let even = _mm256_loadu2_m128d(at.offset(2 * step), at);
                let odd = _mm256_loadu2_m128d(at.offset(3 * step), at.offset(step));
                let to = to.offset(half * pitch);
                _mm256_storeu_pd(to.cast(), _mm256_unpacklo_pd(even, odd));
                _mm256_storeu_pd(to.offset(pitch).cast(), _mm256_unpackhi_pd(even, odd));
            }
        }
    }
}

impl Square for FourWords {
    type Element = u32;
    const SIDE: usize = 4;
    const ROWS: Move = words[0];
    #[inline]
    #[target_feature(enable = "sse2")]
    unsafe fn square(from: *const u32, step: isize, to: *mut u32, pitch: isize) {
        // SAFETY: the caller promises 4 rows of 4 on both sides.
        unsafe {
            let mut r = [_mm_setzero_ps(); 4];
            for (k, r) in r.iter_mut().enumerate() {
                *r = _mm_loadu_ps(from.offset(k as isize * step).cast());
            }
            let [a, b, c, d] = &mut r;
            _MM_TRANSPOSE4_PS(a, b, c, d);
            for (k, r) in r.iter().enumerate() {
                _mm_storeu_ps(to.offset(k as isize * pitch).cast(), *r);
            }
        }
    }
}
