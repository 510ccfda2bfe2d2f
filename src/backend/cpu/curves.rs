//! The logistic function, what is made of it, and its slope over float32 with AVX-512: the sign is put in at the end, and
//! the exponent by an instruction of its own. Leans on math's coefficients.

use crate::backend::launch::{ISAS, MapLoop};

macro_rules! curves {
    ($($name:ident),*) => {$(
        /// Loops of this name, the widest of them written by hand.
        pub const fn $name(mut loops: [MapLoop; ISAS]) -> [MapLoop; ISAS] {
            if cfg!(target_arch = "x86_64") {
                loops[ISAS - 1] = wide::$name;
            }
            loops
        }
    )*};
}
curves!(sigmoid, silu, silu_slope);

#[cfg(not(target_arch = "x86_64"))]
mod wide {
    use crate::base::Number;
    macro_rules! none {
        ($($name:ident),*) => {$(
            pub unsafe fn $name(_: &[*const u8], _: &[Number], _: &[*mut u8], _: usize) {
                unreachable!("a loop of another processor")
            }
        )*};
    }
    none!(sigmoid, silu, silu_slope);
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use crate::backend::cpu::math::{Fitted, Real};
    use crate::base::Number;
    use std::arch::x86_64::*;

    /// Where the logistic function is 0, or 1 less nothing.
    const FAR: f32 = 104.0;

    /// Numerator and denominator of the logistic function: `1` or `e^-|x|`, and their sum.
    ///
    /// # Safety
    /// The machine must have AVX-512.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq")]
    unsafe fn logistic(x: __m512) -> (__m512, __m512) {
        let (one, magic) = (_mm512_set1_ps(1.0), _mm512_set1_ps(f32::MAGIC));
        // The smaller one of a bound and a NaN is the NaN.
        let a = _mm512_min_ps(_mm512_set1_ps(FAR), _mm512_abs_ps(x));
        let n = _mm512_sub_ps(_mm512_fnmadd_ps(a, _mm512_set1_ps(f32::LOG2_E), magic), magic);
        let r = _mm512_fnmsub_ps(n, _mm512_set1_ps(f32::LN_2_HIGH), a);
        let r = _mm512_fnmadd_ps(n, _mm512_set1_ps(f32::LN_2_LOW), r);
        let mut p = _mm512_set1_ps(f32::EXP[4]);
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(f32::EXP[3]));
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(f32::EXP[2]));
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(f32::EXP[1]));
        p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(f32::EXP[0]));
        p = _mm512_fmadd_ps(_mm512_fmadd_ps(p, r, one), r, one);
        let e = _mm512_scalef_ps(p, n);
        let left = _mm512_movepi32_mask(_mm512_castps_si512(x));
        (_mm512_mask_mov_ps(one, left, e), _mm512_add_ps(one, e))
    }

    /// A loop over vectors: `|operands| result`.
    macro_rules! curve {
        ($name:ident, $many:literal, |$x:ident| $body:expr) => {
            /// # Safety
            /// As every loop of a map; the machine must have AVX-512.
            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,f16c,bmi2")]
            pub unsafe fn $name(ins: &[*const u8], _: &[Number], outs: &[*mut u8], n: usize) {
                // SAFETY: the caller promises `n` elements behind every pointer.
                unsafe {
                    let mut from = [std::ptr::null::<f32>(); $many];
                    for (from, p) in from.iter_mut().zip(ins) {
                        *from = p.cast();
                    }
                    let to = outs[0].cast::<f32>();
                    let mut i = 0;
                    while i + 16 <= n {
                        let mut $x = [_mm512_setzero_ps(); $many];
                        for (x, from) in $x.iter_mut().zip(from) {
                            *x = _mm512_loadu_ps(from.add(i));
                        }
                        _mm512_storeu_ps(to.add(i), $body);
                        i += 16;
                    }
                    if i < n {
                        let some = (1u16 << (n - i)) - 1;
                        let mut $x = [_mm512_setzero_ps(); $many];
                        for (x, from) in $x.iter_mut().zip(from) {
                            *x = _mm512_maskz_loadu_ps(some, from.add(i));
                        }
                        _mm512_mask_storeu_ps(to.add(i), some, $body);
                    }
                }
            }
        };
    }

    curve!(sigmoid, 1, |x| {
        let (up, down) = logistic(x[0]);
        _mm512_div_ps(up, down)
    });
    curve!(silu, 1, |x| {
        let (up, down) = logistic(x[0]);
        _mm512_mul_ps(x[0], _mm512_div_ps(up, down))
    });
    // g (s + x s (1 - s))
    curve!(silu_slope, 2, |x| {
        let (up, down) = logistic(x[1]);
        let s = _mm512_div_ps(up, down);
        let bend = _mm512_fnmadd_ps(s, s, s);
        _mm512_mul_ps(x[0], _mm512_fmadd_ps(x[1], bend, s))
    });
}
