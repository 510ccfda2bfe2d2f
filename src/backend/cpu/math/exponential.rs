//! Exponentials: `exp`, `exp2`, `expm1` and the logistic function built on them.
//! Leans on `real` and the fitted coefficients.
//!
//! `e^x = 2^n e^r` with `n` the integer nearest to `x / ln 2` and `r` in `[-ln 2 / 2, ln 2 / 2]`;
//! `ln 2` is taken away in two parts, the first short enough for `n` times it to be exact.

use super::coefficients::Fitted;
use super::real::{at_least, at_most, fast_two_sum, fma, pick, poly, two_prod};

/// `2^64`.
pub const LIFT: f64 = (1u128 << 64) as f64;

/// `(MAGIC + n, r)` with `x = n ln 2 + r`.
#[inline(always)]
fn reduce<T: Fitted, const FMA: bool>(x: T) -> (T, T) {
    take::<T, FMA>(x, T::LOG2_E, -T::LN_2_HIGH, -T::LN_2_LOW)
}

/// `(MAGIC + n, r)` with `-x = n ln 2 - r`: were x itself turned round first, its bounds would cost a comparison and a choice
/// each.
#[inline(always)]
fn reduce_turned<T: Fitted, const FMA: bool>(x: T) -> (T, T) {
    take::<T, FMA>(x, -T::LOG2_E, T::LN_2_HIGH, T::LN_2_LOW)
}

#[inline(always)]
fn take<T: Fitted, const FMA: bool>(x: T, per_step: T, high: T, low: T) -> (T, T) {
    let t = fma::<T, FMA>(x, per_step, T::MAGIC);
    let n = t - T::MAGIC;
    (t, fma::<T, FMA>(n, low, fma::<T, FMA>(n, high, x)))
}

/// `e^r - 1` for a reduced `r`.
#[inline(always)]
fn expm1_reduced<T: Fitted, const FMA: bool>(r: T) -> T {
    fma::<T, FMA>(r * r, poly::<T, FMA>(r, T::EXP), r)
}

/// `y * 2^n` with `t = MAGIC + n`, down to the denormals if `low` (which needs `n < -32`) and up
/// to infinity if not.
#[inline(always)]
fn scale<T: Fitted>(y: T, t: T, low: bool) -> T {
    // Neither power alone need be a normal number; of the two products only the last rounds.
    let s = t.pow2_of_magic_or(low, 64, -1);
    y * s * pick(low, T::lit(1.0 / (1u64 << 32) as f64 / (1u64 << 32) as f64), T::lit(2.0))
}

/// `e^x`; overflows to infinity, underflows gradually.
#[inline(always)]
pub fn exp<T: Fitted, const FMA: bool>(x: T) -> T {
    let x = at_least(at_most(x, T::EXP_MAX), T::EXP_MIN);
    let (t, r) = reduce::<T, FMA>(x);
    scale(T::lit(1.0) + expm1_reduced::<T, FMA>(r), t, x < T::EXP_LOW)
}

/// `e^x (u + w)` for `x <= 0`, `w` far below `u < 1`: as if `e^x` had twice its digits.
#[inline(always)]
pub(super) fn exp_times<T: Fitted, const FMA: bool>(x: T, u: T, w: T) -> T {
    let x = at_least(x, T::EXP_MIN);
    let (t, r) = reduce::<T, FMA>(x);
    let (y, y_low) = fast_two_sum(T::lit(1.0), expm1_reduced::<T, FMA>(r));
    let product = fma::<T, FMA>(y, u, fma::<T, FMA>(y, w, y_low * u));
    // The factor below 1 may lead to denormals before the power alone would.
    scale(product, t, x < T::EXP_LOW * T::lit(0.5))
}

/// `2^x`; exact for integers, overflows to infinity, underflows gradually.
#[inline(always)]
pub fn exp2<T: Fitted, const FMA: bool>(x: T) -> T {
    let x = at_least(at_most(x, T::EXP2_MAX), T::EXP2_MIN);
    let t = x + T::MAGIC;
    let r = (x - (t - T::MAGIC)) * T::LN_2;
    scale(T::lit(1.0) + expm1_reduced::<T, FMA>(r), t, x < T::EXP2_LOW)
}

/// `2^(x + low)` for a `low` far below `x`, rounded all but once: powers of small integers come
/// out exact.
#[inline(always)]
pub(super) fn exp2_sum<T: Fitted, const FMA: bool>(x: T, low: T) -> T {
    let one = T::lit(1.0);
    let x = at_least(at_most(x, T::EXP2_MAX), T::EXP2_MIN);
    let t = x + T::MAGIC;
    // The difference has lost the leading digits, so that low now counts as its own last ones.
    let (d, low) = fast_two_sum(x - (t - T::MAGIC), low);
    let (r, r_low) = two_prod::<T, FMA>(d, T::LN_2);
    let r_low = fma::<T, FMA>(low, T::LN_2, fma::<T, FMA>(d, T::LN_2_REST, r_low));
    let (y, y_low) = fast_two_sum(one, r);
    let tail = fma::<T, FMA>(r * r, poly::<T, FMA>(r, T::EXP), y_low + r_low);
    scale(y + tail, t, x < T::EXP2_LOW)
}

/// `e^x - 1` without cancellation near zero.
#[inline(always)]
pub fn expm1<T: Fitted, const FMA: bool>(x: T) -> T {
    let (half, two) = (T::lit(0.5), T::lit(2.0));
    let y = at_least(at_most(x, T::EXP_MAX), T::lit(-40.0));
    let (t, r) = reduce::<T, FMA>(y);
    let s = t.pow2_of_magic(-1);
    let y = fma::<T, FMA>(expm1_reduced::<T, FMA>(r), s, s - half) * two;
    pick(x == T::lit(0.0), x, y)
}

/// Whether `exp_mid` serves for all of them.
#[inline(always)]
pub fn all_mid<T: Fitted>(x: &[T]) -> bool {
    T::all_under(x, T::lit(80.0))
}

/// `e^x` for `x` in `[-80, 80]`, where no step can leave the normal range; the bits are those of `exp`.
#[inline(always)]
pub fn exp_mid<T: Fitted, const FMA: bool>(x: T) -> T {
    let (t, r) = reduce::<T, FMA>(x);
    (T::lit(1.0) + expm1_reduced::<T, FMA>(r)) * t.pow2_of_magic(0)
}

/// `e^x / 4` for `x >= 0`, finite as long as `sinh(x)` is.
#[inline(always)]
pub(super) fn exp_quarter<T: Fitted, const FMA: bool>(x: T) -> T {
    let (t, r) = reduce::<T, FMA>(at_most(x, T::SINH_MAX));
    (T::lit(1.0) + expm1_reduced::<T, FMA>(r)) * t.pow2_of_magic(-2)
}

/// `2^64 e^x` for `x <= 0`: what `e^x` alone would lose below the normal range is still there.
#[inline(always)]
pub fn exp_lifted<T: Fitted, const FMA: bool>(x: T) -> T {
    let (t, r) = reduce::<T, FMA>(at_least(x, T::EXP_MIN));
    (T::lit(1.0) + expm1_reduced::<T, FMA>(r)) * t.pow2_of_magic(64)
}

/// `w + r`, `w - r` and `MAGIC + n`, where `e^-x = 2^n (w - r) / (w + r)`: `w = r coth(r / 2)` is even, which spares half of
/// the coefficients where there is a division in any case.
#[inline(always)]
fn ratio<T: Fitted, const FMA: bool>(x: T) -> (T, T, T) {
    let (t, r) = reduce_turned::<T, FMA>(x);
    let z = r * r;
    let w = fma::<T, FMA>(z, poly::<T, FMA>(z, T::COTH), T::lit(2.0));
    (w + r, w - r, t)
}

/// Logistic function `1 / (1 + e^-x)`, relatively accurate on both sides.
#[inline(always)]
pub fn sigmoid<T: Fitted, const FMA: bool>(x: T) -> T {
    // Sum and numerator are taken 2^-64 times: so the exponential is finite wherever the result is more than 0. From 43 on
    // nothing of it is left beside 1.
    let (below, above, t) = ratio::<T, FMA>(at_least(at_most(x, T::lit(43.0)), T::EXP_MIN));
    let below = below * T::lit(1.0 / LIFT);
    below / fma::<T, FMA>(above, t.pow2_of_magic(-64), below)
}

/// `sigmoid` for `x` in `[-80, 80]`; the bits are those of `sigmoid`.
#[inline(always)]
pub fn sigmoid_mid<T: Fitted, const FMA: bool>(x: T) -> T {
    let (below, above, t) = ratio::<T, FMA>(x);
    below / fma::<T, FMA>(above, t.pow2_of_magic(0), below)
}
