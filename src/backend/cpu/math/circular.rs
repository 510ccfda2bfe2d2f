//! Sine, cosine and tangent.
//! Leans on `real`, `reduction` and the fitted coefficients.
//!
//! The plain names are right for every argument. The `_near` names cost less and are as right up
//! to `NEAR` (`single`: 1e5, `double`: 1e8), beyond which they are wrong without a sign of it: for
//! loops that have looked at their arguments first.

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

/// Whether the `_near` functions serve every element; written to be vectorised.
#[inline(always)]
pub fn all_near<T: Angle>(x: &[T]) -> bool {
    let mut far = 0u32;
    for &v in x {
        far |= u32::from(v.abs() > T::NEAR);
    }
    far == 0
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

/// Sine.
#[inline(always)]
pub fn sin<T: Angle, const FMA: bool>(x: T) -> T {
    odd(x, sine::<T, FMA>(T::turn::<FMA>(x), 0))
}

/// Cosine.
#[inline(always)]
pub fn cos<T: Angle, const FMA: bool>(x: T) -> T {
    sine::<T, FMA>(T::turn::<FMA>(x), 1)
}

/// Tangent.
#[inline(always)]
pub fn tan<T: Angle, const FMA: bool>(x: T) -> T {
    odd(x, tangent::<T, FMA>(T::turn::<FMA>(x)))
}

/// Sine, for `|x| <= NEAR`.
#[inline(always)]
pub fn sin_near<T: Angle, const FMA: bool>(x: T) -> T {
    odd(x, sine::<T, FMA>(T::turn_near::<FMA>(x), 0))
}

/// Cosine, for `|x| <= NEAR`.
#[inline(always)]
pub fn cos_near<T: Angle, const FMA: bool>(x: T) -> T {
    sine::<T, FMA>(T::turn_near::<FMA>(x), 1)
}

/// Tangent, for `|x| <= NEAR`.
#[inline(always)]
pub fn tan_near<T: Angle, const FMA: bool>(x: T) -> T {
    odd(x, tangent::<T, FMA>(T::turn_near::<FMA>(x)))
}
