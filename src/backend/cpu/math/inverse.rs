//! Inverse circular functions.
//! Leans on `real` and the fitted coefficients.

use super::coefficients::Fitted;
use super::real::{at_least, at_most, fma, pick, poly};

/// `(p, far)`: `p = asin |x|` if `|x| <= 1/2`, else `p = asin sqrt((1 - |x|) / 2)`, which is half
/// of `acos |x|`.
#[inline(always)]
fn arc<T: Fitted, const FMA: bool>(x: T) -> (T, bool) {
    let a = x.abs();
    let far = a > T::lit(0.5);
    let z = pick(far, (T::lit(1.0) - a) * T::lit(0.5), a * a);
    let s = pick(far, z.sqrt(), a);
    (fma::<T, FMA>(s * z, poly::<T, FMA>(z, T::ASIN), s), far)
}

/// Inverse sine; NaN outside `[-1, 1]`.
#[inline(always)]
pub fn asin<T: Fitted, const FMA: bool>(x: T) -> T {
    let (p, far) = arc::<T, FMA>(x);
    let y = T::FRAC_PI_2 - ((p + p) - T::FRAC_PI_2_LOW);
    pick(far, y, p).copysign(x)
}

/// Inverse cosine; NaN outside `[-1, 1]`.
#[inline(always)]
pub fn acos<T: Fitted, const FMA: bool>(x: T) -> T {
    let (p, far) = arc::<T, FMA>(x);
    let twice = p + p;
    let left = T::PI - (twice - T::PI_LOW);
    let middle = T::FRAC_PI_2 - (p.copysign(x) - T::FRAC_PI_2_LOW);
    pick(far, pick(x < T::lit(0.0), left, twice), middle)
}

/// `atan(low / high)` for `0 <= low <= high`.
#[inline(always)]
fn octant<T: Fitted, const FMA: bool>(low: T, high: T) -> T {
    // Above tan(pi/8) turn by pi/4: atan(l/h) = pi/4 + atan((l - h) / (l + h)). One division.
    let turn = low > high * T::TAN_FRAC_PI_8;
    let t = pick(turn, low - high, low) / pick(turn, low + high, high);
    let z = t * t;
    let y = fma::<T, FMA>(t * z, poly::<T, FMA>(z, T::ATAN), t);
    // Added last, and only where it is, so that a zero and the smallest results stay themselves.
    pick(turn, T::FRAC_PI_4 + y, y)
}

/// Inverse tangent.
#[inline(always)]
pub fn atan<T: Fitted, const FMA: bool>(x: T) -> T {
    let one = T::lit(1.0);
    let a = x.abs();
    let y = octant::<T, FMA>(at_most(a, one), at_least(a, one));
    pick(a > one, T::FRAC_PI_2 - (y - T::FRAC_PI_2_LOW), y).copysign(x)
}

/// Angle of the point `(x, y)`, in `[-pi, pi]`, with the signs of zeros and infinities as in C.
#[inline(always)]
pub fn atan2<T: Fitted, const FMA: bool>(y: T, x: T) -> T {
    let (zero, one) = (T::lit(0.0), T::lit(1.0));
    let (ax, ay) = (x.abs(), y.abs());
    let steep = ay > ax;
    let (low, high) = (pick(steep, ax, ay), pick(steep, ay, ax));
    // 0 / 0 counts as 0, inf / inf as 1, finite / inf as 0; and sums must not overflow.
    let endless = high == T::INFINITY;
    let low = pick(endless, pick(low == T::INFINITY, one, low * zero), low);
    let high = pick(endless, one, pick(high == zero, one, high));
    let shrink = pick(high > T::lit(1e38), T::lit(0.25), one);
    let r = octant::<T, FMA>(low * shrink, high * shrink);
    let r = pick(steep, T::FRAC_PI_2 - (r - T::FRAC_PI_2_LOW), r);
    let left = one.copysign(x) < zero;
    let r = pick(left, T::PI - (r - T::PI_LOW), r).copysign(y);
    pick(x.is_nan() | y.is_nan(), T::NAN, r)
}
