//! The error function and its complement.
//! Leans on `real`, `exponential` and the fitted coefficients.

use super::coefficients::Fitted;
use super::exponential::{exp, exp_mid};
use super::real::{at_most, fma, pick, poly, two_prod, two_sum};

/// `erf x` for `|x| <= 1`.
#[inline(always)]
fn near<T: Fitted, const FMA: bool>(x: T) -> T {
    let z = x * x;
    fma::<T, FMA>(x, poly::<T, FMA>(z, T::ERF), x)
}

/// Error function `2 / sqrt(pi) * integral of e^(-t^2) from 0 to x`.
#[inline(always)]
pub fn erf<T: Fitted, const FMA: bool>(x: T) -> T {
    let one = T::lit(1.0);
    let a = x.abs();
    // Beyond 1, erf = 1 - exp(-L) with L = -log(erfc) almost a parabola; the difference is at
    // least 0.84, so that errors of the exponential shrink in it.
    let l = poly::<T, FMA>(at_most(a, T::ERF_MAX) - one, T::ERFC_LOG);
    let far = one - exp_mid::<T, FMA>(-l);
    pick(a < one, near::<T, FMA>(a), far).copysign(x)
}

/// Complementary error function `1 - erf x`, relatively accurate on the right tail.
#[inline(always)]
pub fn erfc<T: Fitted, const FMA: bool>(x: T) -> T {
    let one = T::lit(1.0);
    let a = at_most(x.abs(), T::ERFC_MAX);
    // erfc a = e^(-a^2) u (1 + Q(v)), u = 1 / (a + shift), v = u mapped to [-1, 1]. What rounding
    // took from u (up to four times as much of the result) and from a^2 is put back.
    let (sum, sum_low) = two_sum(T::ERFC_SHIFT, a);
    let u = one / sum;
    let (p, p_low) = two_prod::<T, FMA>(u, sum);
    let u_low = (((one - p) - p_low) - u * sum_low) * u;
    let v = fma::<T, FMA>(u, T::ERFC_SCALE, -T::ERFC_CENTRE);
    let q = poly::<T, FMA>(fma::<T, FMA>(u_low, T::ERFC_SCALE, v), T::ERFC);
    let (square, square_low) = two_prod::<T, FMA>(a, a);
    let low = fma::<T, FMA>(-u, square_low, u_low);
    let tail = exp::<T, FMA>(-square) * (u + fma::<T, FMA>(u, q, fma::<T, FMA>(low, q, low)));
    let far = pick(x < T::lit(0.0), T::lit(2.0) - tail, tail);
    pick(a < T::lit(0.5), one - near::<T, FMA>(x), far)
}
