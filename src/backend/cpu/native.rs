//! The values that formulas are compiled with: floats with and without fused multiply-add, and wrapping integers. Leans on formula and math.

use super::complex::Cx;
use super::math::{double, single};
use crate::base::Number;
use crate::formula::value::{Float, Integer, Truth, Value};
use num_complex::Complex;
use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Not, Sub};

/// float32 in a loop; `FMA` says whether the loop's instruction set multiplies and adds in one rounding, `NEAR` that the
/// arguments have been looked at and are within the reach of the cheaper functions.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct F32<const FMA: bool, const NEAR: bool = false>(pub f32);

/// float64 in a loop.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct F64<const FMA: bool, const NEAR: bool = false>(pub f64);

/// Elements that are looked at together, to choose a loop for them.
pub const NEAR_TILE: usize = 256;

/// An integer in a loop; arithmetic wraps.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Int<T>(pub T);

/// How a loop reads a value from memory and a parameter from the launch.
pub trait Native: Value<Mask = bool> {
    type E: Copy;
    fn load(e: Self::E) -> Self;
    fn param(n: Number) -> Self;
}

/// How a loop writes a result: a value, a truth, or several values.
pub trait Put: Copy {
    type To: Copy;
    fn pointers(outs: &[*mut u8]) -> Self::To;
    /// # Safety
    /// Every pointer must reach element `i`.
    unsafe fn put(self, to: Self::To, i: usize);
    /// `put` of what the compiler cannot know to be there already, and so does not jump over; `zero` is 0.
    ///
    /// # Safety
    /// As `put`.
    #[inline(always)]
    unsafe fn put_ever(self, to: Self::To, i: usize, _zero: u32) {
        // SAFETY: the caller's promise.
        unsafe { self.put(to, i) }
    }
}

impl Truth for bool {}

impl Put for bool {
    type To = *mut u8;
    #[inline(always)]
    fn pointers(outs: &[*mut u8]) -> *mut u8 {
        outs[0]
    }
    #[inline(always)]
    unsafe fn put(self, to: *mut u8, i: usize) {
        // SAFETY: the caller promises element `i`.
        unsafe { *to.add(i) = u8::from(self) }
    }
}

macro_rules! put {
    (@ever $e:ty) => {
        #[inline(always)]
        unsafe fn put_ever(self, to: *mut $e, i: usize, zero: u32) {
            // SAFETY: the caller promises element `i`.
            unsafe { *to.add(i) = <$e>::from_bits(self.0.to_bits().wrapping_add(zero.into())) }
        }
    };
    ($([$($g:tt)*] $v:ty, $e:ty $(, $ever:ident)?);*) => {$(
        impl<$($g)*> Put for $v where $v: Copy {
            type To = *mut $e;
            #[inline(always)]
            fn pointers(outs: &[*mut u8]) -> *mut $e { outs[0].cast() }
            #[inline(always)]
            unsafe fn put(self, to: *mut $e, i: usize) {
                // SAFETY: the caller promises element `i`.
                unsafe { *to.add(i) = self.0 }
            }
            $(put!(@$ever $e);)?
        }
        impl<$($g)*, const N: usize> Put for [$v; N] where $v: Copy {
            type To = [*mut $e; N];
            #[inline(always)]
            fn pointers(outs: &[*mut u8]) -> [*mut $e; N] { std::array::from_fn(|k| outs[k].cast()) }
            #[inline(always)]
            unsafe fn put(self, to: [*mut $e; N], i: usize) {
                // SAFETY: the caller promises element `i`.
                for k in 0..N { unsafe { *to[k].add(i) = self[k].0 } }
            }
        }
    )*};
}
put!([const FMA: bool, const NEAR: bool] F32<FMA, NEAR>, f32, ever; [const FMA: bool, const NEAR: bool] F64<FMA, NEAR>, f64, ever; [T: Copy] Int<T>, T; [T: Copy] Cx<T>, Complex<T>);

macro_rules! float {
    ($name:ident, $e:ty, $math:ident) => {
        impl<const FMA: bool, const NEAR: bool> Native for $name<FMA, NEAR> {
            type E = $e;
            #[inline(always)]
            fn load(e: $e) -> Self { $name(e) }
            #[inline(always)]
            fn param(n: Number) -> Self { $name(n.as_f64() as $e) }
        }
        float!(@op $name, $e, Add add +, Sub sub -, Mul mul *, Div div /);
        impl<const FMA: bool, const NEAR: bool> Neg for $name<FMA, NEAR> {
            type Output = Self;
            #[inline(always)]
            fn neg(self) -> Self { $name(-self.0) }
        }
        impl<const FMA: bool, const NEAR: bool> Value for $name<FMA, NEAR> {
            type Mask = bool;
            #[inline(always)]
            fn lit(value: f64) -> Self { $name(value as $e) }
            #[inline(always)]
            fn lt(self, other: Self) -> bool { self.0 < other.0 }
            #[inline(always)]
            fn le(self, other: Self) -> bool { self.0 <= other.0 }
            #[inline(always)]
            fn equals(self, other: Self) -> bool { self.0 == other.0 }
            #[inline(always)]
            fn is_nan(self) -> bool { self.0 != self.0 }
            #[inline(always)]
            fn select(mask: bool, yes: Self, no: Self) -> Self { if mask { yes } else { no } }
            #[inline(always)]
            fn abs(self) -> Self { $name(self.0.abs()) }
            #[inline(always)]
            fn modulo(self, other: Self) -> Self {
                $name(if NEAR { $math::remainder_near::<FMA>(self.0, other.0) } else { $math::remainder::<FMA>(self.0, other.0) })
            }
            #[inline(always)]
            fn fmod(self, other: Self) -> Self {
                $name(if NEAR { $math::fmod_near::<FMA>(self.0, other.0) } else { $math::fmod::<FMA>(self.0, other.0) })
            }
            #[inline(always)]
            fn floor_div(self, other: Self) -> Self {
                // The quotient of what is left when the remainder is taken off, so that a // b and a % b agree.
                let rem = self.modulo(other).0;
                let whole = self.0 / other.0;
                let near = $math::round::<FMA>((self.0 - rem) / other.0).copysign(whole);
                let plain = $math::floor::<FMA>(whole);
                let usable = near == near && self.0.abs() < <$e>::INFINITY && other.0.abs() < <$e>::INFINITY && other.0 != 0.0;
                $name(if usable { near } else { plain })
            }
            #[inline(always)]
            fn pow(self, other: Self) -> Self {
                // A cube is one wherever it stands, not only among others.
                let (cube, power) = (self * self * self, if NEAR { 0.0 } else { $math::pow::<FMA>(self.0, other.0) });
                if NEAR || other.0 == 3.0 { cube } else { $name(power) }
            }
        }
        impl<const FMA: bool, const NEAR: bool> Float for $name<FMA, NEAR> {
            #[inline(always)]
            fn sqrt(self) -> Self { $name(self.0.sqrt()) }
            float!(@word $name $math: floor ceil trunc round exp2 expm1 log1p asin acos atan sinh cosh tanh asinh acosh atanh erf erfc lgamma digamma normal gelu
                ndtr erfinv);
            float!(@near $name $math: sin sin_near, cos cos_near, tan tan_near, exp exp_mid, log log_plain, log2 log2_plain, log10 log10_plain,
                sigmoid sigmoid_mid);
            #[inline(always)]
            fn atan2(self, other: Self) -> Self { $name($math::atan2::<FMA>(self.0, other.0)) }
            #[inline(always)]
            fn copysign(self, other: Self) -> Self { $name(self.0.copysign(other.0)) }
        }
        impl<const FMA: bool> $name<FMA> {
            float!(@stretch $e, $math:
                "Whether the angles of a stretch are within the reach of the cheaper functions." angle all_near,
                "Whether the powers of e of a stretch are far from the ends of the range." mild all_mid,
                "Whether a stretch is of positive numbers alone, finite and normal." positive all_plain);
            /// Whether all the exponents of a stretch are 3.
            ///
            /// # Safety
            /// The second input must hold `to` elements.
            #[inline(always)]
            pub unsafe fn power(ins: &[*const u8], from: usize, to: usize) -> bool {
                let mut other = 0u32;
                for i in from..to {
                    // SAFETY: the caller's promise.
                    other |= u32::from(unsafe { *ins[1].cast::<$e>().add(i) } != 3.0);
                }
                other == 0
            }
            /// Whether the quotients of a stretch are short enough for a remainder in one step, which must be fused to be exact.
            ///
            /// # Safety
            /// The first two inputs must hold `to` elements.
            #[inline(always)]
            pub unsafe fn quotient(ins: &[*const u8], from: usize, to: usize) -> bool {
                // SAFETY: the caller's promise.
                FMA && unsafe {
                    let (a, b) = (ins[0].cast::<$e>().add(from), ins[1].cast::<$e>().add(from));
                    $math::all_short(std::slice::from_raw_parts(a, to - from), std::slice::from_raw_parts(b, to - from))
                }
            }
        }
    };
    (@stretch $e:ty, $math:ident: $($what:literal $f:ident $all:ident),*) => {$(
        #[doc = $what]
        ///
        /// # Safety
        /// The first input must hold `to` elements.
        #[inline(always)]
        pub unsafe fn $f(ins: &[*const u8], from: usize, to: usize) -> bool {
            // SAFETY: the caller's promise.
            $math::$all(unsafe { std::slice::from_raw_parts(ins[0].cast::<$e>().add(from), to - from) })
        }
    )*};
    (@near $name:ident $math:ident: $($f:ident $near:ident),*) => {$(
        #[inline(always)]
        fn $f(self) -> Self { $name(if NEAR { $math::$near::<FMA>(self.0) } else { $math::$f::<FMA>(self.0) }) }
    )*};
    (@op $name:ident, $e:ty, $($trait:ident $method:ident $op:tt),*) => {$(
        impl<const FMA: bool, const NEAR: bool> $trait for $name<FMA, NEAR> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self { $name(self.0 $op other.0) }
        }
        impl<const FMA: bool, const NEAR: bool> $trait<f64> for $name<FMA, NEAR> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: f64) -> Self { $name(self.0 $op other as $e) }
        }
        impl<const FMA: bool, const NEAR: bool> $trait<$name<FMA, NEAR>> for f64 {
            type Output = $name<FMA, NEAR>;
            #[inline(always)]
            fn $method(self, other: $name<FMA, NEAR>) -> $name<FMA, NEAR> { $name(self as $e $op other.0) }
        }
    )*};
    (@word $name:ident $math:ident: $($f:ident)*) => {$(
        #[inline(always)]
        fn $f(self) -> Self { $name($math::$f::<FMA>(self.0)) }
    )*};
}
float!(F32, f32, single);
float!(F64, f64, double);

macro_rules! int {
    ($($t:ty),*) => {$(
        impl Native for Int<$t> {
            type E = $t;
            #[inline(always)]
            fn load(e: $t) -> Self { Int(e) }
            #[inline(always)]
            fn param(n: Number) -> Self { Int(n.as_i64() as $t) }
        }
        int!(@op $t, Add add wrapping_add, Sub sub wrapping_sub, Mul mul wrapping_mul);
        impl BitAnd for Int<$t> { type Output = Self; #[inline(always)] fn bitand(self, o: Self) -> Self { Int(self.0 & o.0) } }
        impl BitOr for Int<$t> { type Output = Self; #[inline(always)] fn bitor(self, o: Self) -> Self { Int(self.0 | o.0) } }
        impl BitXor for Int<$t> { type Output = Self; #[inline(always)] fn bitxor(self, o: Self) -> Self { Int(self.0 ^ o.0) } }
        impl Not for Int<$t> { type Output = Self; #[inline(always)] fn not(self) -> Self { Int(!self.0) } }
        impl Neg for Int<$t> { type Output = Self; #[inline(always)] fn neg(self) -> Self { Int(self.0.wrapping_neg()) } }
        impl Value for Int<$t> {
            type Mask = bool;
            #[inline(always)]
            fn lit(value: f64) -> Self { Int(value as $t) }
            #[inline(always)]
            fn lt(self, other: Self) -> bool { self.0 < other.0 }
            #[inline(always)]
            fn le(self, other: Self) -> bool { self.0 <= other.0 }
            #[inline(always)]
            fn equals(self, other: Self) -> bool { self.0 == other.0 }
            #[inline(always)]
            fn is_nan(self) -> bool { false }
            #[inline(always)]
            fn select(mask: bool, yes: Self, no: Self) -> Self { if mask { yes } else { no } }
            #[inline(always)]
            fn abs(self) -> Self { if self.0 < Default::default() { -self } else { self } }
            // A divisor of zero is refused before the launch; here it only must not trap.
            #[inline(always)]
            fn modulo(self, other: Self) -> Self {
                let r = self.fmod(other).0;
                let zero: $t = Default::default();
                Int(if r != zero && (r < zero) != (other.0 < zero) { r.wrapping_add(other.0) } else { r })
            }
            #[inline(always)]
            fn fmod(self, other: Self) -> Self { Int(self.0.checked_rem(other.0).unwrap_or_default()) }
            #[inline(always)]
            fn floor_div(self, other: Self) -> Self {
                let zero: $t = Default::default();
                if other.0 == zero { return Int(zero); }
                let (q, r) = (self.0.wrapping_div(other.0), self.0.wrapping_rem(other.0));
                Int(if r != zero && (r < zero) != (other.0 < zero) { q.wrapping_sub(1) } else { q })
            }
            #[inline(always)]
            fn pow(self, other: Self) -> Self {
                let zero: $t = Default::default();
                if other.0 < zero {
                    // Only 1 and -1 have integer inverses; everything else rounds to 0.
                    let one = self.0 == 1;
                    let minus = self.0.wrapping_add(1) == zero;
                    return Int(if one || minus && other.0 & 1 == zero { 1 } else if minus { self.0 } else { zero });
                }
                let (mut base, mut exponent, mut result) = (self.0, other.0, 1 as $t);
                while exponent != zero {
                    if exponent & 1 != zero { result = result.wrapping_mul(base); }
                    base = base.wrapping_mul(base);
                    exponent >>= 1;
                }
                Int(result)
            }
        }
        impl Integer for Int<$t> {
            #[inline(always)]
            fn shl(self, other: Self) -> Self {
                let bits = <$t>::BITS as i64;
                let by = other.0 as i64;
                Int(if by < 0 || by >= bits { Default::default() } else { self.0 << by })
            }
            #[inline(always)]
            fn shr(self, other: Self) -> Self {
                let bits = <$t>::BITS as i64;
                let by = other.0 as i64;
                let (far, signed) = (by < 0 || by >= bits, <$t>::MIN != 0);
                if far && !signed { Int(Default::default()) } else { Int(self.0 >> if far { bits - 1 } else { by }) }
            }
        }
    )*};
    (@op $t:ty, $($trait:ident $method:ident $f:ident),*) => {$(
        impl $trait for Int<$t> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self { Int(self.0.$f(other.0)) }
        }
    )*};
}
int!(u8, i8, i16, i32, i64);
