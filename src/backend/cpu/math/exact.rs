//! Operations that are exact, or rounded once: rounding to integers, remainders, signs.
//! Leans on `real` alone.

use super::real::{Real, fma as fused, pick};

/// Nearest integer, ties to even.
#[inline(always)]
pub fn round<T: Real, const FMA: bool>(x: T) -> T {
    if FMA {
        return x.round_ties_even();
    }
    // Adding and taking away 2^MANTISSA rounds; what is larger is an integer already.
    let a = x.abs();
    let r = (a + T::WHOLE) - T::WHOLE;
    pick(a < T::WHOLE, r, a).copysign(x)
}

/// Largest integer not above `x`.
#[inline(always)]
pub fn floor<T: Real, const FMA: bool>(x: T) -> T {
    if FMA {
        return x.floor();
    }
    let r = round::<T, false>(x);
    (r - pick(r > x, T::lit(1.0), T::lit(0.0))).copysign(x)
}

/// Smallest integer not below `x`.
#[inline(always)]
pub fn ceil<T: Real, const FMA: bool>(x: T) -> T {
    if FMA {
        return x.ceil();
    }
    let r = round::<T, false>(x);
    (r + pick(r < x, T::lit(1.0), T::lit(0.0))).copysign(x)
}

/// Integer part of `x`.
#[inline(always)]
pub fn trunc<T: Real, const FMA: bool>(x: T) -> T {
    if FMA {
        return x.trunc();
    }
    let a = x.abs();
    let r = round::<T, false>(a);
    (r - pick(r > a, T::lit(1.0), T::lit(0.0))).copysign(x)
}

/// -1, 0 or 1 with the sign of `x`; NaN for NaN, a zero keeps its sign.
#[inline(always)]
pub fn sign<T: Real, const FMA: bool>(x: T) -> T {
    let one = T::lit(1.0).copysign(x);
    pick(x.abs() > T::lit(0.0), one, x)
}

/// Magnitude of `a`, sign of `b`.
#[inline(always)]
pub fn copysign<T: Real, const FMA: bool>(a: T, b: T) -> T {
    a.copysign(b)
}

/// `a * b + c`: in one rounding with `FMA`, in two without.
#[inline(always)]
pub fn fma<T: Real, const FMA: bool>(a: T, b: T, c: T) -> T {
    fused::<T, FMA>(a, b, c)
}

/// What the remainders need of a type: the exact remainder with the sign of the dividend.
pub trait Modulus: Real {
    /// `a - b * trunc(a / b)`, exactly.
    fn fmod<const FMA: bool>(a: Self, b: Self) -> Self;
}

impl Modulus for f32 {
    #[inline(always)]
    fn fmod<const FMA: bool>(a: f32, b: f32) -> f32 {
        fmod_single::<FMA>(a, b)
    }
}

impl Modulus for f64 {
    #[inline(always)]
    fn fmod<const FMA: bool>(a: f64, b: f64) -> f64 {
        fmod_double::<FMA>(a, b)
    }
}

/// Remainder with the sign of the divisor, as Python's `%`; NaN for a zero divisor.
#[inline(always)]
pub fn remainder<T: Modulus, const FMA: bool>(a: T, b: T) -> T {
    let zero = T::lit(0.0);
    let r = T::fmod::<FMA>(a, b);
    let across = (r < zero) != (b < zero);
    pick((r != zero) & across, r + b, r)
}

/// Remainder with the sign of the dividend, as C's `fmod`; exact for every quotient.
#[inline(always)]
pub fn fmod_single<const FMA: bool>(a: f32, b: f32) -> f32 {
    // Long division in f64, whose range holds every shifted divisor, until the 277 bits that a
    // quotient may have are used up. What is left after a step has at most 25 bits, so one fused
    // step is exact for 48 bits of the quotient; an unfused one as long as the product is, for 28.
    let (bits, steps) = if FMA { (48, 6) } else { (28, 10) };
    let step = (1u64 << bits) as f64;
    let divisor = f64::from(b.abs());
    let inverse = 1.0 / divisor;
    let mut r = f64::from(a.abs());
    let mut up = 1.0;
    let mut i = 1;
    while i < steps {
        up *= step;
        i += 1;
    }
    let mut down = 1.0 / up;
    let mut i = 0;
    while i < steps {
        let q = round::<f64, FMA>(r * (inverse * down));
        r = fused::<f64, FMA>(-q, divisor * up, r);
        up *= 1.0 / step;
        down *= step;
        i += 1;
    }
    // Rounded quotients leave a remainder in [-b/2, b/2]: bring it to [0, b).
    let r = if r < 0.0 { r + divisor } else { r };
    let r = (r as f32).copysign(a);
    let r = pick(b.abs() == f32::INFINITY, a, r);
    pick((a.abs() < f32::INFINITY) & (b != 0.0) & !b.is_nan(), r, f32::NAN)
}

/// Remainder with the sign of the dividend, as C's `fmod`. A library call: its quotient may have
/// two thousand bits, which no straight line can divide away.
#[inline(always)]
pub fn fmod_double<const FMA: bool>(a: f64, b: f64) -> f64 {
    a % b
}

/// Whether the `_near` remainders serve every pair: the quotients fit a mantissa. Written to be vectorised.
#[inline(always)]
pub fn all_short<T: Real>(a: &[T], b: &[T]) -> bool {
    let mut long = 0u32;
    for (x, y) in a.iter().zip(b) {
        // No number, an infinite dividend and a divisor of zero are none of them below.
        let short = x.abs() < y.abs() * T::WHOLE;
        long |= u32::from(!short);
    }
    long == 0
}

/// `fmod` where `all_short` holds and the target fuses: the quotient is one too large at most, so that what is left is
/// exact in one step.
#[inline(always)]
pub fn fmod_near<T: Real, const FMA: bool>(a: T, b: T) -> T {
    let (x, y) = (a.abs(), b.abs());
    let q = trunc::<T, FMA>(x / y);
    let r = fused::<T, FMA>(-q, y, x);
    let r = pick(r < T::lit(0.0), r + y, r).copysign(a);
    pick(y == T::INFINITY, a, r)
}

/// `remainder` under the same conditions.
#[inline(always)]
pub fn remainder_near<T: Real, const FMA: bool>(a: T, b: T) -> T {
    let zero = T::lit(0.0);
    let r = fmod_near::<T, FMA>(a, b);
    pick((r != zero) & ((r < zero) != (b < zero)), r + b, r)
}
