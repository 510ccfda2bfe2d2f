//! The vectors of AVX2 and AVX-512. Leans on the trait beside it, and std::arch.

use super::{Lanes, power};
use crate::backend::cpu::math::Fitted;
use std::arch::x86_64::*;

/// Eight vectors of sixteen, each joined as `total` joins one: halves, then halves of these.
macro_rules! joined {
    ($list:ident, $join:ident) => {
        unsafe {
            // No closures: they would be compiled for the plain instruction set.
            macro_rules! pair {
                ($shuffle:ident $low:literal $high:literal, $a:expr, $b:expr) => {
                    $join($shuffle::<$low>($a, $b), $shuffle::<$high>($a, $b))
                };
            }
            let [S16(a), S16(b), S16(c), S16(d), S16(e), S16(f), S16(g), S16(h)] = $list;
            let (ab, cd) = (pair!(_mm512_shuffle_f32x4 0x44 0xee, a, b), pair!(_mm512_shuffle_f32x4 0x44 0xee, c, d));
            let (ef, gh) = (pair!(_mm512_shuffle_f32x4 0x44 0xee, e, f), pair!(_mm512_shuffle_f32x4 0x44 0xee, g, h));
            let (near, far) = (pair!(_mm512_shuffle_f32x4 0x88 0xdd, ab, cd), pair!(_mm512_shuffle_f32x4 0x88 0xdd, ef, gh));
            let two = pair!(_mm512_shuffle_ps 0x44 0xee, near, far);
            let one = pair!(_mm512_shuffle_ps 0x88 0xdd, two, two);
            let all = S16(one).list();
            [all[0], all[4], all[8], all[12], all[1], all[5], all[9], all[13]]
        }
    };
}

/// The same for eight vectors of eight.
macro_rules! joined8 {
    ($list:ident, $join:ident) => {
        unsafe {
            macro_rules! pair {
                ($shuffle:ident $low:literal $high:literal, $a:expr, $b:expr) => {
                    $join($shuffle::<$low>($a, $b), $shuffle::<$high>($a, $b))
                };
            }
            let [S8(a), S8(b), S8(c), S8(d), S8(e), S8(f), S8(g), S8(h)] = $list;
            let (ab, cd) = (pair!(_mm256_permute2f128_ps 0x20 0x31, a, b), pair!(_mm256_permute2f128_ps 0x20 0x31, c, d));
            let (ef, gh) = (pair!(_mm256_permute2f128_ps 0x20 0x31, e, f), pair!(_mm256_permute2f128_ps 0x20 0x31, g, h));
            let (near, far) = (pair!(_mm256_shuffle_ps 0x44 0xee, ab, cd), pair!(_mm256_shuffle_ps 0x44 0xee, ef, gh));
            let mut all = [0f32; 8];
            _mm256_storeu_ps(all.as_mut_ptr(), pair!(_mm256_shuffle_ps 0x88 0xdd, near, far));
            [all[0], all[4], all[1], all[5], all[2], all[6], all[3], all[7]]
        }
    };
}

/// One vector joined to a number, halves by halves.
macro_rules! halved {
    ($vector:expr, $join:ident) => {
        unsafe {
            let four = $join(_mm256_castps256_ps128($vector.0), _mm256_extractf128_ps::<1>($vector.0));
            let two = $join(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32($join(two, _mm_shuffle_ps::<1>(two, two)))
        }
    };
}
macro_rules! halved_pairs {
    ($vector:expr, $join:ident) => {
        unsafe {
            let two = $join(_mm256_castpd256_pd128($vector.0), _mm256_extractf128_pd::<1>($vector.0));
            _mm_cvtsd_f64($join(two, _mm_unpackhi_pd(two, two)))
        }
    };
}

/// Masks of the lanes from `low` on and before `high`.
#[inline(always)]
unsafe fn lanes32(low: isize, high: isize) -> __m256i {
    let (low, high) = (low.clamp(0, 8) as i32, high.clamp(0, 8) as i32);
    unsafe {
        let at = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(low), at), _mm256_cmpgt_epi32(_mm256_set1_epi32(high), at))
    }
}
#[inline(always)]
unsafe fn lanes64(low: isize, high: isize) -> __m256i {
    let (low, high) = (low.clamp(0, 4) as i64, high.clamp(0, 4) as i64);
    unsafe {
        let at = _mm256_setr_epi64x(0, 1, 2, 3);
        _mm256_andnot_si256(_mm256_cmpgt_epi64(_mm256_set1_epi64x(low), at), _mm256_cmpgt_epi64(_mm256_set1_epi64x(high), at))
    }
}

vector!(S8 __m256 f32, 8, false: _mm256_setzero_ps(), _mm256_set1_ps _mm256_loadu_ps _mm256_storeu_ps _mm256_add_ps _mm256_sub_ps _mm256_mul_ps _mm256_max_ps, |z, a, b| _mm256_fmadd_ps(a, b, z),
    |t| _mm256_castsi256_ps(_mm256_add_epi32(_mm256_slli_epi32::<23>(_mm256_castps_si256(t)), _mm256_set1_epi32((127 + 64) << 23)));
    #[inline(always)]
    unsafe fn load_some(from: *const f32, n: usize, fill: Self) -> Self {
        unsafe {
            let mask = lanes32(0, n as isize);
            S8(_mm256_blendv_ps(fill.0, _mm256_maskload_ps(from, mask), _mm256_castsi256_ps(mask)))
        }
    }
    #[inline(always)]
    unsafe fn store_some(self, to: *mut f32, n: usize) {
        // Stores with a mask are slow on some machines: halves of what is left.
        unsafe {
            let (mut rest, mut to) = (_mm256_castps256_ps128(self.0), to);
            if n & 4 != 0 {
                _mm_storeu_ps(to, rest);
                (rest, to) = (_mm256_extractf128_ps::<1>(self.0), to.add(4));
            }
            if n & 2 != 0 {
                _mm_storel_pd(to.cast(), _mm_castps_pd(rest));
                (rest, to) = (_mm_movehl_ps(rest, rest), to.add(2));
            }
            if n & 1 != 0 {
                _mm_store_ss(to, rest);
            }
        }
    }
    #[inline(always)]
    unsafe fn window(row: *const f32, at: isize, size: usize) -> Self {
        S8(unsafe { _mm256_maskload_ps(row.wrapping_offset(at), lanes32(-at, size as isize - at)) })
    }
    #[inline(always)]
    unsafe fn parted(row: *const f32, at: isize, size: usize) -> (Self, Self) {
        unsafe {
            let (a, b) = (Self::window(row, at, size).0, Self::window(row, at + 8, size).0);
            let (even, odd) = (_mm256_castps_pd(_mm256_shuffle_ps::<0x88>(a, b)), _mm256_castps_pd(_mm256_shuffle_ps::<0xdd>(a, b)));
            let (even, odd) = (_mm256_permute4x64_pd::<0xd8>(even), _mm256_permute4x64_pd::<0xd8>(odd));
            (S8(_mm256_castpd_ps(even)), S8(_mm256_castpd_ps(odd)))
        }
    }
    #[inline(always)]
    fn woven(self, other: Self) -> (Self, Self) {
        unsafe {
            let (near, far) = (_mm256_unpacklo_ps(self.0, other.0), _mm256_unpackhi_ps(self.0, other.0));
            (S8(_mm256_permute2f128_ps::<0x20>(near, far)), S8(_mm256_permute2f128_ps::<0x31>(near, far)))
        }
    }
    #[inline(always)]
    fn total(self) -> f32 {
        halved!(self, _mm_add_ps)
    }
    #[inline(always)]
    fn greatest(self) -> f32 {
        halved!(self, _mm_max_ps)
    }
    #[inline(always)]
    fn totals(list: [Self; 8]) -> [f32; 8] {
        joined8!(list, _mm256_add_ps)
    }
    #[inline(always)]
    fn greatests(list: [Self; 8]) -> [f32; 8] {
        joined8!(list, _mm256_max_ps)
    }
);
vector!(D4 __m256d f64, 4, false: _mm256_setzero_pd(), _mm256_set1_pd _mm256_loadu_pd _mm256_storeu_pd _mm256_add_pd _mm256_sub_pd _mm256_mul_pd _mm256_max_pd, |z, a, b| _mm256_fmadd_pd(a, b, z),
    |t| _mm256_castsi256_pd(_mm256_add_epi64(_mm256_slli_epi64::<52>(_mm256_castpd_si256(t)), _mm256_set1_epi64x((1023 + 64) << 52)));
    #[inline(always)]
    unsafe fn load_some(from: *const f64, n: usize, fill: Self) -> Self {
        unsafe {
            let mask = lanes64(0, n as isize);
            D4(_mm256_blendv_pd(fill.0, _mm256_maskload_pd(from, mask), _mm256_castsi256_pd(mask)))
        }
    }
    #[inline(always)]
    unsafe fn store_some(self, to: *mut f64, n: usize) {
        unsafe {
            let (mut rest, mut to) = (_mm256_castpd256_pd128(self.0), to);
            if n & 2 != 0 {
                _mm_storeu_pd(to, rest);
                (rest, to) = (_mm256_extractf128_pd::<1>(self.0), to.add(2));
            }
            if n & 1 != 0 {
                _mm_store_sd(to, rest);
            }
        }
    }
    #[inline(always)]
    unsafe fn window(row: *const f64, at: isize, size: usize) -> Self {
        D4(unsafe { _mm256_maskload_pd(row.wrapping_offset(at), lanes64(-at, size as isize - at)) })
    }
    #[inline(always)]
    unsafe fn parted(row: *const f64, at: isize, size: usize) -> (Self, Self) {
        unsafe {
            let (a, b) = (Self::window(row, at, size).0, Self::window(row, at + 4, size).0);
            let (even, odd) = (_mm256_unpacklo_pd(a, b), _mm256_unpackhi_pd(a, b));
            (D4(_mm256_permute4x64_pd::<0xd8>(even)), D4(_mm256_permute4x64_pd::<0xd8>(odd)))
        }
    }
    #[inline(always)]
    fn woven(self, other: Self) -> (Self, Self) {
        unsafe {
            let (near, far) = (_mm256_unpacklo_pd(self.0, other.0), _mm256_unpackhi_pd(self.0, other.0));
            (D4(_mm256_permute2f128_pd::<0x20>(near, far)), D4(_mm256_permute2f128_pd::<0x31>(near, far)))
        }
    }
    #[inline(always)]
    fn total(self) -> f64 {
        halved_pairs!(self, _mm_add_pd)
    }
    #[inline(always)]
    fn greatest(self) -> f64 {
        halved_pairs!(self, _mm_max_pd)
    }
);
vector!(S16 __m512 f32, 16, true: _mm512_setzero_ps(), _mm512_set1_ps _mm512_loadu_ps _mm512_storeu_ps _mm512_add_ps _mm512_sub_ps _mm512_mul_ps _mm512_max_ps, |z, a, b| _mm512_fmadd_ps(a, b, z),
    |t| _mm512_castsi512_ps(_mm512_add_epi32(_mm512_slli_epi32::<23>(_mm512_castps_si512(t)), _mm512_set1_epi32((127 + 64) << 23)));
    #[inline(always)]
    unsafe fn load_some(from: *const f32, n: usize, fill: Self) -> Self {
        S16(unsafe { _mm512_mask_loadu_ps(fill.0, ((1u32 << n) - 1) as __mmask16, from) })
    }
    #[inline(always)]
    unsafe fn store_some(self, to: *mut f32, n: usize) {
        unsafe { _mm512_mask_storeu_ps(to, ((1u32 << n) - 1) as __mmask16, self.0) }
    }
    #[inline(always)]
    unsafe fn window(row: *const f32, at: isize, size: usize) -> Self {
        // Lanes from `low` on and before `high`.
        let (low, high) = ((-at).clamp(0, 16) as u32, (size as isize - at).clamp(0, 16) as u32);
        let mask = ((1u32 << high) - 1) & !((1u32 << low) - 1);
        S16(unsafe { _mm512_maskz_loadu_ps(mask as __mmask16, row.wrapping_offset(at)) })
    }
    #[inline(always)]
    unsafe fn parted(row: *const f32, at: isize, size: usize) -> (Self, Self) {
        unsafe {
            let (a, b) = (Self::window(row, at, size).0, Self::window(row, at + 16, size).0);
            let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
            (S16(_mm512_permutex2var_ps(a, even, b)), S16(_mm512_permutex2var_ps(a, odd, b)))
        }
    }
    const MASKED: bool = true;
    #[inline(always)]
    unsafe fn load_where(from: *const f32, mask: u32, rest: Self) -> Self {
        S16(unsafe { _mm512_mask_loadu_ps(rest.0, mask as __mmask16, from) })
    }
    #[inline(always)]
    fn woven(self, other: Self) -> (Self, Self) {
        unsafe {
            let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
            (S16(_mm512_permutex2var_ps(self.0, low, other.0)), S16(_mm512_permutex2var_ps(self.0, high, other.0)))
        }
    }
    #[inline(always)]
    fn total(self) -> f32 {
        unsafe { _mm512_reduce_add_ps(self.0) }
    }
    #[inline(always)]
    fn greatest(self) -> f32 {
        unsafe { _mm512_reduce_max_ps(self.0) }
    }
    #[inline(always)]
    fn totals(list: [Self; 8]) -> [f32; 8] {
        joined!(list, _mm512_add_ps)
    }
    #[inline(always)]
    fn greatests(list: [Self; 8]) -> [f32; 8] {
        joined!(list, _mm512_max_ps)
    }
    #[inline(always)]
    fn exp_lifted(self) -> Self {
        // e^r by the first 32 powers of 2^(1/32), held in two registers, and a cubic: half the work of a long polynomial.
        unsafe {
            let (low, high) = (_mm512_loadu_ps(power::ROOTS.as_ptr()), _mm512_loadu_ps(power::ROOTS.as_ptr().add(16)));
            // The larger one of a NaN and a bound is the NaN.
            let x = _mm512_max_ps(_mm512_set1_ps(f32::EXP_MIN), self.0);
            let t = _mm512_fmadd_ps(x, _mm512_set1_ps(f32::LOG2_E), _mm512_set1_ps(power::MAGIC));
            let n = _mm512_sub_ps(t, _mm512_set1_ps(power::MAGIC));
            let r = _mm512_fnmadd_ps(n, _mm512_set1_ps(power::LN_2), x);
            let r = _mm512_fnmadd_ps(n, _mm512_set1_ps(power::LN_2_REST), r);
            let root = _mm512_permutex2var_ps(low, _mm512_castps_si512(t), high);
            let p = _mm512_fmadd_ps(_mm512_fmadd_ps(r, _mm512_set1_ps(power::CUBE), _mm512_set1_ps(power::SQUARE)), r, _mm512_set1_ps(1.0));
            let e = _mm512_fmadd_ps(p, _mm512_mul_ps(root, r), root);
            S16(_mm512_scalef_ps(e, _mm512_sub_ps(t, _mm512_set1_ps(power::MAGIC - 64.0))))
        }
    }
);
vector!(D8 __m512d f64, 8, true: _mm512_setzero_pd(), _mm512_set1_pd _mm512_loadu_pd _mm512_storeu_pd _mm512_add_pd _mm512_sub_pd _mm512_mul_pd _mm512_max_pd, |z, a, b| _mm512_fmadd_pd(a, b, z),
    |t| _mm512_castsi512_pd(_mm512_add_epi64(_mm512_slli_epi64::<52>(_mm512_castpd_si512(t)), _mm512_set1_epi64((1023 + 64) << 52)));
    #[inline(always)]
    unsafe fn load_some(from: *const f64, n: usize, fill: Self) -> Self {
        D8(unsafe { _mm512_mask_loadu_pd(fill.0, ((1u32 << n) - 1) as __mmask8, from) })
    }
    #[inline(always)]
    unsafe fn store_some(self, to: *mut f64, n: usize) {
        unsafe { _mm512_mask_storeu_pd(to, ((1u32 << n) - 1) as __mmask8, self.0) }
    }
    #[inline(always)]
    unsafe fn window(row: *const f64, at: isize, size: usize) -> Self {
        // Lanes from `low` on and before `high`.
        let (low, high) = ((-at).clamp(0, 8) as u32, (size as isize - at).clamp(0, 8) as u32);
        let mask = ((1u32 << high) - 1) & !((1u32 << low) - 1);
        D8(unsafe { _mm512_maskz_loadu_pd(mask as __mmask8, row.wrapping_offset(at)) })
    }
    #[inline(always)]
    unsafe fn parted(row: *const f64, at: isize, size: usize) -> (Self, Self) {
        unsafe {
            let (a, b) = (Self::window(row, at, size).0, Self::window(row, at + 8, size).0);
            let even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
            let odd = _mm512_add_epi64(even, _mm512_set1_epi64(1));
            (D8(_mm512_permutex2var_pd(a, even, b)), D8(_mm512_permutex2var_pd(a, odd, b)))
        }
    }
    const MASKED: bool = true;
    #[inline(always)]
    unsafe fn load_where(from: *const f64, mask: u32, rest: Self) -> Self {
        D8(unsafe { _mm512_mask_loadu_pd(rest.0, mask as __mmask8, from) })
    }
    #[inline(always)]
    fn woven(self, other: Self) -> (Self, Self) {
        unsafe {
            let low = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
            let high = _mm512_add_epi64(low, _mm512_set1_epi64(4));
            (D8(_mm512_permutex2var_pd(self.0, low, other.0)), D8(_mm512_permutex2var_pd(self.0, high, other.0)))
        }
    }
    #[inline(always)]
    fn total(self) -> f64 {
        unsafe { _mm512_reduce_add_pd(self.0) }
    }
    #[inline(always)]
    fn greatest(self) -> f64 {
        unsafe { _mm512_reduce_max_pd(self.0) }
    }
);
impl super::Float for f32 {
    type Plain = super::Plain<f32, 4>;
    type V3 = S8;
    type V4 = S16;
}
impl super::Float for f64 {
    type Plain = super::Plain<f64, 2>;
    type V3 = D4;
    type V4 = D8;
}
