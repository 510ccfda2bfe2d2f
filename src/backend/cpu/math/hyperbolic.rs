//! Hyperbolic functions and their inverses.
//! Leans on `real`, `exponential`, `logarithm` and the fitted coefficients.

use super::coefficients::Fitted;
use super::exponential::{exp_mid, exp_quarter};
use super::logarithm::log1p;
use super::real::{at_most, fma, pick, poly};

/// Hyperbolic sine.
#[inline(always)]
pub fn sinh<T: Fitted, const FMA: bool>(x: T) -> T {
    let a = x.abs();
    let z = x * x;
    let near = fma::<T, FMA>(a * z, poly::<T, FMA>(z, T::SINH), a);
    // With h = e^a / 4: sinh a = 2 (h - 1 / (16 h)).
    let h = exp_quarter::<T, FMA>(a);
    let far = (h - T::lit(0.0625) / h) * T::lit(2.0);
    pick(a < T::lit(1.0), near, far).copysign(x)
}

/// Hyperbolic cosine.
#[inline(always)]
pub fn cosh<T: Fitted, const FMA: bool>(x: T) -> T {
    let h = exp_quarter::<T, FMA>(x.abs());
    (h + T::lit(0.0625) / h) * T::lit(2.0)
}

/// Hyperbolic tangent.
#[inline(always)]
pub fn tanh<T: Fitted, const FMA: bool>(x: T) -> T {
    let a = x.abs();
    let z = x * x;
    let near = fma::<T, FMA>(a * z, poly::<T, FMA>(z, T::TANH), a);
    // From 0.55 on the quotient is at most one half: its error shrinks in the difference.
    let e = exp_mid::<T, FMA>(at_most(a + a, T::lit(44.0)));
    let far = T::lit(1.0) - T::lit(2.0) / (e + T::lit(1.0));
    pick(a < T::lit(0.55), near, far).copysign(x)
}

/// Inverse hyperbolic sine.
#[inline(always)]
pub fn asinh<T: Fitted, const FMA: bool>(x: T) -> T {
    let one = T::lit(1.0);
    let a = x.abs();
    // Where the square overflows, the sum is a alone, and asinh a = log 2a to the last bit.
    let z = a * a;
    let more = pick(z < T::INFINITY, T::lit(0.0), T::LN_2);
    let y = log1p::<T, FMA>(a + a * (a / (one + (one + z).sqrt())));
    pick(a < T::INFINITY, y + more, a).copysign(x)
}

/// Inverse hyperbolic cosine; NaN below 1.
#[inline(always)]
pub fn acosh<T: Fitted, const FMA: bool>(x: T) -> T {
    let t = x - T::lit(1.0);
    let huge = x > T::lit(1e18);
    let near = t + fma::<T, FMA>(t, t, t + t).sqrt();
    let y = log1p::<T, FMA>(pick(huge, x, near));
    pick(x < T::lit(1.0), T::NAN, y + pick(huge, T::LN_2, T::lit(0.0)))
}

/// Inverse hyperbolic tangent; infinite at 1 and -1, NaN beyond.
#[inline(always)]
pub fn atanh<T: Fitted, const FMA: bool>(x: T) -> T {
    let a = x.abs();
    let y = log1p::<T, FMA>((a + a) / (T::lit(1.0) - a));
    (y * T::lit(0.5)).copysign(x)
}
