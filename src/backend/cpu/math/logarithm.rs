//! Logarithms: natural, binary, decimal, and of one plus a small number.
//! Leans on `real`, `exponential` and the fitted coefficients.
//!
//! `log x = k ln 2 + log m` with `m` in `[sqrt(1/2), sqrt(2))`, and `log(1 + f) = f - tail(f)`
//! with a tail that is small beside `f`, so that its rounding hardly counts.

use super::coefficients::Fitted;
use super::exponential::exp;
use super::real::{Real, at_least, estrin, fma, pick, two_sum};

/// `(k, m)` with `x = m 2^k` for positive finite `x`, denormals included.
#[inline(always)]
pub(super) fn split<T: Real>(x: T) -> (T, T) {
    let small = x < T::TINY;
    let (k, m, _) = pick(small, x * T::WHOLE, x).split();
    (k - pick(small, T::MANTISSA, T::lit(0.0)), m)
}

/// `y` for positive finite `x`; else what every logarithm is at zero, infinity, below and at NaN.
#[inline(always)]
fn guard<T: Real>(x: T, y: T) -> T {
    let zero = T::lit(0.0);
    let edge = pick(x == zero, -T::INFINITY, pick(x < zero, T::NAN, x));
    pick((x > zero) & (x < T::INFINITY), y, edge)
}

/// Whether none of them needs `guard`, nor is denormal.
#[inline(always)]
pub fn all_plain<T: Real>(x: &[T]) -> bool {
    T::all_between(x, T::TINY, T::LARGEST)
}

#[inline(always)]
fn natural<T: Fitted, const FMA: bool>((k, m): (T, T)) -> T {
    let f = m - T::lit(1.0);
    if let (true, Some(c)) = (FMA, T::LOG) {
        // What bounds a loop of it is how often it multiplies: the tail is summed with `f` as it is multiplied, and a fused
        // product with ln 2, which float32 holds but for 2^-28 of it, needs no second part.
        let tail = fma::<T, FMA>(estrin::<T, FMA>(f, c), f, T::lit(-0.5));
        return fma::<T, FMA>(k, T::LN_2, fma::<T, FMA>(f * f, tail, f));
    }
    let tail = T::log_tail::<FMA>(f);
    let low = fma::<T, FMA>(k, -T::LN_2_LOW, tail);
    fma::<T, FMA>(k, T::LN_2_HIGH, f - low)
}

#[inline(always)]
fn binary<T: Fitted, const FMA: bool>((k, m): (T, T)) -> T {
    let f = m - T::lit(1.0);
    let l = f - T::log_tail::<FMA>(f);
    fma::<T, FMA>(l, T::LOG2_E, fma::<T, FMA>(l, T::LOG2_E_LOW, k))
}

#[inline(always)]
fn decimal<T: Fitted, const FMA: bool>((k, m): (T, T)) -> T {
    let f = m - T::lit(1.0);
    let l = f - T::log_tail::<FMA>(f);
    let low = fma::<T, FMA>(l, T::LOG10_E_LOW, k * T::LOG10_2_LOW);
    let high = fma::<T, FMA>(l, T::LOG10_E, low);
    fma::<T, FMA>(k, T::LOG10_2_HIGH, high)
}

/// `(k, m)` with `x = m 2^k` where `all_plain` holds.
#[inline(always)]
fn split_plain<T: Real>(x: T) -> (T, T) {
    let (k, m, _) = x.split();
    (k, m)
}

/// Natural logarithm.
#[inline(always)]
pub fn log<T: Fitted, const FMA: bool>(x: T) -> T {
    guard(x, natural::<T, FMA>(split(x)))
}

/// `log` where `all_plain` holds, with the same bits.
#[inline(always)]
pub fn log_plain<T: Fitted, const FMA: bool>(x: T) -> T {
    natural::<T, FMA>(split_plain(x))
}

/// Binary logarithm; exact for powers of two.
#[inline(always)]
pub fn log2<T: Fitted, const FMA: bool>(x: T) -> T {
    guard(x, binary::<T, FMA>(split(x)))
}

/// `log2` where `all_plain` holds, with the same bits.
#[inline(always)]
pub fn log2_plain<T: Fitted, const FMA: bool>(x: T) -> T {
    binary::<T, FMA>(split_plain(x))
}

/// Decimal logarithm.
#[inline(always)]
pub fn log10<T: Fitted, const FMA: bool>(x: T) -> T {
    guard(x, decimal::<T, FMA>(split(x)))
}

/// `log10` where `all_plain` holds, with the same bits.
#[inline(always)]
pub fn log10_plain<T: Fitted, const FMA: bool>(x: T) -> T {
    decimal::<T, FMA>(split_plain(x))
}

/// `log(1 + x)` without loss near zero.
#[inline(always)]
pub fn log1p<T: Fitted, const FMA: bool>(x: T) -> T {
    let one = T::lit(1.0);
    // 1 + x = u + d exactly; d is brought to the scale of m and joins it there.
    let (u, d) = two_sum(one, x);
    let (k, m, inverse) = u.split();
    // For the largest u the scale is no number, and d long without weight.
    let inverse = pick(u < T::WHOLE * T::WHOLE, inverse, T::lit(0.0));
    let f = fma::<T, FMA>(d, inverse, m - one);
    let low = fma::<T, FMA>(k, -T::LN_2_LOW, T::log_tail::<FMA>(f));
    let y = guard(u, fma::<T, FMA>(k, T::LN_2_HIGH, f - low));
    pick(x == T::lit(0.0), x, y)
}

/// `log(1 + e^x)`, the softplus function, without overflow.
#[inline(always)]
pub fn log1p_exp<T: Fitted, const FMA: bool>(x: T) -> T {
    let (zero, one) = (T::lit(0.0), T::lit(1.0));
    // e is at most 1: log(1 + e) = log(1 + f), or log 2 + log(1 + f) with 1 + f = (1 + e) / 2.
    let e = exp::<T, FMA>(-x.abs());
    let upper = e > T::lit(0.41);
    let f = pick(upper, (e - one) * T::lit(0.5), e);
    let l = pick(upper, T::LN_2, zero) + (f - T::log_tail::<FMA>(f));
    at_least(x, zero) + l
}
