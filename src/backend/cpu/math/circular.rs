//! Sine, cosine and tangent.
//! Leans on `real`, `reduction` and the fitted coefficients.
//!
//! The plain names are right for every argument. The `_near` names cost less and give the same bits
//! up to `NEAR` (`single`: 1e5, `double`: 1e8), beyond which they are wrong without a sign of it:
//! for loops that have looked at their arguments first.

use super::coefficients::Fitted;
use super::real::{Real, fma, pick, poly};
use super::reduction::{Angle, Turn};

/// `(sin, cos)` of an angle in `[-pi/4, pi/4]` given as `high + low`.
#[inline(always)]
fn both<T: Fitted, const FMA: bool>(high: T, low: T) -> (T, T) {
    let z = high * high;
    let half = z * T::lit(0.5);
    let s = fma::<T, FMA>(high * z, poly::<T, FMA>(z, T::SIN), low);
    // 1 - half is rounded; what it lost is put back with the small terms.
    let one = T::lit(1.0);
    let w = one - half;
    let lost = (one - w) - half;
    let c = fma::<T, FMA>(z * z, poly::<T, FMA>(z, T::COS), lost - high * low);
    (high + s, w + c)
}

/// Whether the `_near` functions serve every element.
#[inline(always)]
pub fn all_near<T: Angle>(x: &[T]) -> bool {
    T::all_under(x, T::NEAR)
}

/// Keeps the sign of a zero, which the sum of two parts loses.
#[inline(always)]
fn odd<T: Real>(x: T, y: T) -> T {
    pick(x == T::lit(0.0), x, y)
}

#[inline(always)]
fn sine<T: Fitted, const FMA: bool>(turn: Turn<T>, quarters: u32) -> T {
    let (s, c) = both::<T, FMA>(turn.high, turn.low);
    let swapped = turn.count.odd_of_magic() != (quarters == 1);
    turn.count.flip_by_magic(quarters, pick(swapped, c, s))
}

#[inline(always)]
fn tangent<T: Fitted, const FMA: bool>(turn: Turn<T>) -> T {
    let (s, c) = both::<T, FMA>(turn.high, turn.low);
    let swapped = turn.count.odd_of_magic();
    pick(swapped, -c, s) / pick(swapped, s, c)
}

/// Sine of a rest `x` of half turns, `|x| <= 1.578`; never above 1, which was seen of each of them.
#[inline(always)]
fn sine_of_half<T: Fitted, const FMA: bool>(x: T) -> T {
    let z = x * x;
    fma::<T, FMA>(x * z, poly::<T, FMA>(z, T::SIN_HALF), x)
}

/// `near` up to `NEAR`, `far` beyond: what the bits are must not depend on what stands beside an angle.
#[inline(always)]
fn either<T: Angle>(x: T, near: T, far: T) -> T {
    pick(x.abs() <= T::NEAR, near, far)
}

/// Sine.
#[inline(always)]
pub fn sin<T: Angle, const FMA: bool>(x: T) -> T {
    either(x, sin_near::<T, FMA>(x), sine::<T, FMA>(T::turn_far::<FMA>(x), 0))
}

/// Cosine.
#[inline(always)]
pub fn cos<T: Angle, const FMA: bool>(x: T) -> T {
    either(x, cos_near::<T, FMA>(x), sine::<T, FMA>(T::turn_far::<FMA>(x), 1))
}

/// Tangent.
#[inline(always)]
pub fn tan<T: Angle, const FMA: bool>(x: T) -> T {
    either(x, tan_near::<T, FMA>(x), tangent::<T, FMA>(T::turn_far::<FMA>(x)))
}

/// Sine, for `|x| <= NEAR`.
#[inline(always)]
pub fn sin_near<T: Angle, const FMA: bool>(x: T) -> T {
    match T::half_turn::<FMA>(x.abs(), false) {
        Some((count, rest)) => count.flip_by_odd(0, sine_of_half::<T, FMA>(rest)).flip_by_sign(x),
        None => odd(x, sine::<T, FMA>(T::turn_near::<FMA>(x), 0)),
    }
}

/// Cosine, for `|x| <= NEAR`.
#[inline(always)]
pub fn cos_near<T: Angle, const FMA: bool>(x: T) -> T {
    match T::half_turn::<FMA>(x.abs(), true) {
        Some((count, rest)) => count.flip_by_odd(1, sine_of_half::<T, FMA>(rest)),
        None => sine::<T, FMA>(T::turn_near::<FMA>(x), 1),
    }
}

/// Tangent, for `|x| <= NEAR`.
#[inline(always)]
pub fn tan_near<T: Angle, const FMA: bool>(x: T) -> T {
    odd(x, tangent::<T, FMA>(T::turn_near::<FMA>(x)))
}
