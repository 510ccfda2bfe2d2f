//! Vectors of floats of each instruction set under one name, and functions compiled for all of them. Leans on std::arch
//! and isa's levels.

/// A register full of floats.
pub trait Lanes: Copy {
    type E: Float;
    const N: usize;
    /// Whether there are 32 registers to hold sums in, or 16.
    const MANY: bool;
    fn zero() -> Self;
    fn splat(x: Self::E) -> Self;
    /// # Safety
    /// `from` must hold `N` elements.
    unsafe fn load(from: *const Self::E) -> Self;
    /// # Safety
    /// `to` must hold `N` elements.
    unsafe fn store(self, to: *mut Self::E);
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// `a b + self`, in one rounding where the instruction set has it.
    fn madd(self, a: Self, b: Self) -> Self;
}

/// A float with its vectors, plain to widest.
pub trait Float: Copy + Default + Send + Sync + 'static + std::ops::Add<Output = Self> + PartialEq {
    type Plain: Lanes<E = Self>;
    type V3: Lanes<E = Self>;
    type V4: Lanes<E = Self>;
}

/// As many lanes as the instruction set that every machine has.
#[derive(Clone, Copy)]
pub struct Plain<E, const N: usize>([E; N]);

macro_rules! plain {
    ($e:ty, $n:literal) => {
        impl Lanes for Plain<$e, $n> {
            type E = $e;
            const N: usize = $n;
            const MANY: bool = false;
            #[inline(always)]
            fn zero() -> Self {
                Plain([0.0; $n])
            }
            #[inline(always)]
            fn splat(x: $e) -> Self {
                Plain([x; $n])
            }
            #[inline(always)]
            unsafe fn load(from: *const $e) -> Self {
                // SAFETY: the caller's promise.
                Plain(unsafe { from.cast::<[$e; $n]>().read_unaligned() })
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut $e) {
                // SAFETY: the caller's promise.
                unsafe { to.cast::<[$e; $n]>().write_unaligned(self.0) }
            }
            #[inline(always)]
            fn add(mut self, other: Self) -> Self {
                for l in 0..$n {
                    self.0[l] += other.0[l];
                }
                self
            }
            #[inline(always)]
            fn sub(mut self, other: Self) -> Self {
                for l in 0..$n {
                    self.0[l] -= other.0[l];
                }
                self
            }
            #[inline(always)]
            fn mul(mut self, other: Self) -> Self {
                for l in 0..$n {
                    self.0[l] *= other.0[l];
                }
                self
            }
            #[inline(always)]
            fn madd(mut self, a: Self, b: Self) -> Self {
                for l in 0..$n {
                    self.0[l] += a.0[l] * b.0[l];
                }
                self
            }
        }
    };
}
#[cfg(not(target_arch = "aarch64"))]
plain!(f32, 4);
#[cfg(not(target_arch = "aarch64"))]
plain!(f64, 2);

#[allow(unused_macros)]
macro_rules! vector {
    ($name:ident $v:ident $e:ty, $n:literal, $many:literal: $zero:expr, $splat:ident $load:ident $store:ident $add:ident $sub:ident $mul:ident, |$z:ident, $a:ident, $b:ident| $madd:expr) => {
        #[derive(Clone, Copy)]
        pub struct $name($v);
        impl Lanes for $name {
            type E = $e;
            const N: usize = $n;
            const MANY: bool = $many;
            // SAFETY, of all: a table is entered at a level only where the machine has the instructions.
            #[inline(always)]
            fn zero() -> Self {
                $name(unsafe { $zero })
            }
            #[inline(always)]
            fn splat(x: $e) -> Self {
                $name(unsafe { $splat(x) })
            }
            #[inline(always)]
            unsafe fn load(from: *const $e) -> Self {
                $name(unsafe { $load(from) })
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut $e) {
                unsafe { $store(to, self.0) }
            }
            #[inline(always)]
            fn add(self, other: Self) -> Self {
                $name(unsafe { $add(self.0, other.0) })
            }
            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                $name(unsafe { $sub(self.0, other.0) })
            }
            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                $name(unsafe { $mul(self.0, other.0) })
            }
            #[inline(always)]
            fn madd(self, a: Self, b: Self) -> Self {
                let ($z, $a, $b) = (self.0, a.0, b.0);
                $name(unsafe { $madd })
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod sets {
    use super::Lanes;
    use std::arch::x86_64::*;
    vector!(S8 __m256 f32, 8, false: _mm256_setzero_ps(), _mm256_set1_ps _mm256_loadu_ps _mm256_storeu_ps _mm256_add_ps _mm256_sub_ps _mm256_mul_ps, |z, a, b| _mm256_fmadd_ps(a, b, z));
    vector!(D4 __m256d f64, 4, false: _mm256_setzero_pd(), _mm256_set1_pd _mm256_loadu_pd _mm256_storeu_pd _mm256_add_pd _mm256_sub_pd _mm256_mul_pd, |z, a, b| _mm256_fmadd_pd(a, b, z));
    vector!(S16 __m512 f32, 16, true: _mm512_setzero_ps(), _mm512_set1_ps _mm512_loadu_ps _mm512_storeu_ps _mm512_add_ps _mm512_sub_ps _mm512_mul_ps, |z, a, b| _mm512_fmadd_ps(a, b, z));
    vector!(D8 __m512d f64, 8, true: _mm512_setzero_pd(), _mm512_set1_pd _mm512_loadu_pd _mm512_storeu_pd _mm512_add_pd _mm512_sub_pd _mm512_mul_pd, |z, a, b| _mm512_fmadd_pd(a, b, z));
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
}

#[cfg(target_arch = "aarch64")]
mod sets {
    use super::Lanes;
    use std::arch::aarch64::*;
    vector!(S4 float32x4_t f32, 4, true: vdupq_n_f32(0.0), vdupq_n_f32 vld1q_f32 vst1q_f32 vaddq_f32 vsubq_f32 vmulq_f32, |z, a, b| vfmaq_f32(z, a, b));
    vector!(D2 float64x2_t f64, 2, true: vdupq_n_f64(0.0), vdupq_n_f64 vld1q_f64 vst1q_f64 vaddq_f64 vsubq_f64 vmulq_f64, |z, a, b| vfmaq_f64(z, a, b));
    impl super::Float for f32 {
        type Plain = S4;
        type V3 = S4;
        type V4 = S4;
    }
    impl super::Float for f64 {
        type Plain = D2;
        type V3 = D2;
        type V4 = D2;
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod sets {
    impl super::Float for f32 {
        type Plain = super::Plain<f32, 4>;
        type V3 = super::Plain<f32, 4>;
        type V4 = super::Plain<f32, 4>;
    }
    impl super::Float for f64 {
        type Plain = super::Plain<f64, 2>;
        type V3 = super::Plain<f64, 2>;
        type V4 = super::Plain<f64, 2>;
    }
}

/// A function over `Lanes` compiled for every instruction set: an array of three, entered at isa's level.
#[macro_export]
macro_rules! per_lanes {
    ($vis:vis static $name:ident: unsafe fn($($arg:ident: $ty:ty),*) = $inner:ident::<$e:ty>) => {
        #[allow(non_upper_case_globals)]
        $vis static $name: [unsafe fn($($ty),*); 3] = {
            use $crate::backend::cpu::conv::lanes::Float;
            unsafe fn plain($($arg: $ty),*) {
                // SAFETY: the caller's promises are passed on.
                unsafe { $inner::<<$e as Float>::Plain>($($arg),*) }
            }
            #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx2,fma"))]
            unsafe fn v3($($arg: $ty),*) {
                // SAFETY: as above; the table is entered at this level only where the machine has the features.
                unsafe { $inner::<<$e as Float>::V3>($($arg),*) }
            }
            #[cfg_attr(target_arch = "x86_64", target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma"))]
            unsafe fn v4($($arg: $ty),*) {
                // SAFETY: as above.
                unsafe { $inner::<<$e as Float>::V4>($($arg),*) }
            }
            [plain, v3, v4]
        };
    };
}
