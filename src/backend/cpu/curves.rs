//! The logistic function, what is made of it, and its slope over float32 with AVX-512: powers of e by a table in registers.
//! Leans on lanes' powers.

use crate::backend::launch::{ISAS, MapLoop};

macro_rules! curves {
    ($($name:ident),*) => {$(
        /// Loops of this name, the widest of them by a table.
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
    use crate::backend::cpu::lanes::power::{CUBE, LN_2, LN_2_REST, MAGIC, ROOTS, SQUARE};
    use crate::base::Number;
    use std::arch::x86_64::*;
    use std::f32::consts::LOG2_E;

    /// Where the logistic function is 0, or 1 less nothing.
    const FAR: f32 = 104.0;

    /// Numerator and denominator of the logistic function: `1` or `e^-|x|`, and their sum.
    ///
    /// # Safety
    /// The machine must have AVX-512.
    #[inline]
    #[target_feature(enable = "avx512f,avx512dq")]
    unsafe fn logistic(x: __m512, roots: (__m512, __m512)) -> (__m512, __m512) {
        let one = _mm512_set1_ps(1.0);
        // The smaller one of a bound and a NaN is the NaN.
        let a = _mm512_min_ps(_mm512_set1_ps(FAR), _mm512_abs_ps(x));
        let t = _mm512_fnmadd_ps(a, _mm512_set1_ps(LOG2_E), _mm512_set1_ps(MAGIC));
        let n = _mm512_sub_ps(t, _mm512_set1_ps(MAGIC));
        // What is left of the exponent, with its sign turned.
        let r = _mm512_fmadd_ps(n, _mm512_set1_ps(LN_2_REST), _mm512_fmadd_ps(n, _mm512_set1_ps(LN_2), a));
        let root = _mm512_permutex2var_ps(roots.0, _mm512_castps_si512(t), roots.1);
        let p = _mm512_fmadd_ps(_mm512_fnmadd_ps(r, _mm512_set1_ps(CUBE), _mm512_set1_ps(SQUARE)), r, _mm512_set1_ps(-1.0));
        let e = _mm512_scalef_ps(_mm512_fmadd_ps(p, _mm512_mul_ps(root, r), root), n);
        let left = _mm512_movepi32_mask(_mm512_castps_si512(x));
        (_mm512_mask_mov_ps(one, left, e), _mm512_add_ps(one, e))
    }

    /// A loop over vectors: `|operands, roots| result`.
    macro_rules! curve {
        ($name:ident, $many:literal, |$x:ident, $roots:ident| $body:expr) => {
            /// # Safety
            /// As every loop of a map; the machine must have AVX-512.
            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,f16c,bmi2")]
            pub unsafe fn $name(ins: &[*const u8], _: &[Number], outs: &[*mut u8], n: usize) {
                // SAFETY: the caller promises `n` elements behind every pointer.
                unsafe {
                    let $roots = (_mm512_loadu_ps(ROOTS.as_ptr()), _mm512_loadu_ps(ROOTS.as_ptr().add(16)));
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

    curve!(sigmoid, 1, |x, roots| {
        let (up, down) = logistic(x[0], roots);
        _mm512_div_ps(up, down)
    });
    curve!(silu, 1, |x, roots| {
        let (up, down) = logistic(x[0], roots);
        _mm512_mul_ps(x[0], _mm512_div_ps(up, down))
    });
    // g (s + x s (1 - s))
    curve!(silu_slope, 2, |x, roots| {
        let (up, down) = logistic(x[1], roots);
        let s = _mm512_div_ps(up, down);
        let bend = _mm512_fnmadd_ps(s, s, s);
        _mm512_mul_ps(x[0], _mm512_fmadd_ps(x[1], bend, s))
    });
}
