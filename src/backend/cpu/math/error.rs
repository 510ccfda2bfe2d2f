//! The error function and its complement.
//! Leans on `real`, `exponential` and the fitted coefficients.

use super::coefficients::Fitted;
use super::exponential::{exp_mid, exp_times};
use super::real::{at_most, fast_two_sum, fma, pick, poly, two_prod, two_sum};

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
    // erfc a = e^(-a^2) u (1 + Q(v)), u = 1 / (a + shift), v = u mapped around 0. What rounding
    // took from u (up to four times as much of the result) and from a^2 is put back.
    let (sum, sum_low) = two_sum(T::ERFC_SHIFT, a);
    let u = one / sum;
    let (p, p_low) = two_prod::<T, FMA>(u, sum);
    let u_low = (((one - p) - p_low) - u * sum_low) * u;
    let v = fma::<T, FMA>(u, T::ERFC_SCALE, -T::ERFC_CENTRE);
    let q = poly::<T, FMA>(fma::<T, FMA>(u_low, T::ERFC_SCALE, v), T::ERFC);
    let (square, square_low) = two_prod::<T, FMA>(a, a);
    let low = fma::<T, FMA>(-u, square_low, u_low);
    let (head, rest) = fast_two_sum(u, u * q);
    let tail = exp_times::<T, FMA>(-square, head, fma::<T, FMA>(low, q, low) + rest);
    let far = pick(x < T::lit(0.0), T::lit(2.0) - tail, tail);
    // Up to 0.8 the result is at least a quarter, and the difference exact enough.
    pick(a < T::lit(0.8), one - near::<T, FMA>(x), far)
}
