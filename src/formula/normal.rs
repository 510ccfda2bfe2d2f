//! The normal distribution's functions as formulas of any value, which hold for float64's digits.
//! Leans on value.

use super::value::{Float, Value};
use std::f64::consts::FRAC_1_SQRT_2;

/// Half the root of pi, the slope of the inverse error function at 0.
const ERFINV_SLOPE: f64 = 0.886_226_925_452_758;
/// 1 / sqrt(pi).
const ROOT_INVERSE: f64 = 0.5 * std::f64::consts::FRAC_2_SQRT_PI;

/// `sqrt(pi) x erfcx(x)` for x from 1 on, a polynomial in `((x - 3) / (x + 3) - 1 / 4) / (3 / 4)`: the change of variable is
/// Shepherd and Laframboise's (1981), the fit our own, with an error of 2^-55.
const ERFCX: [f64; 21] = [
    0.9810943073153879,
    0.05729547693565387,
    -0.07081410926854252,
    0.051731196297259745,
    -0.02797978234583533,
    0.011519499799165285,
    -0.003416516675735978,
    0.0005675793339777911,
    4.491204739394692e-05,
    -5.261091930156346e-05,
    8.374097311573133e-06,
    2.903289087217395e-06,
    -1.233776885632628e-06,
    -1.2615922813597123e-07,
    1.4117062615486987e-07,
    3.2735053318648604e-09,
    -1.6139230703313926e-08,
    9.06451255266695e-11,
    1.7815724789091448e-09,
    -1.1420717543735942e-11,
    -1.3540586200051645e-10,
];

/// `exp(factor x^2)` with the digits that the square would lose: it is split where its first part is exact.
#[inline(always)]
pub fn exp_square<V: Float>(x: V, factor: f64) -> V {
    let near = (x * V::lit(16.0)).trunc() * V::lit(0.0625);
    (near * near * V::lit(factor)).exp() * ((x - near) * (x + near) * V::lit(factor)).exp()
}

/// `exp(x^2) erfc(x)` for a number that is not negative.
#[inline(always)]
pub fn scaled_tail<V: Float>(x: V) -> V {
    let (one, three) = (V::lit(1.0), V::lit(3.0));
    let far = x.max(one);
    let s = ((far - three) / (far + three) - V::lit(0.25)) / V::lit(0.75);
    let mut sum = V::lit(ERFCX[20]);
    for c in ERFCX[..20].iter().rev() {
        sum = sum * s + V::lit(*c);
    }
    let tail = Value::select(far.is_inf(), V::lit(0.0), sum * V::lit(ROOT_INVERSE) / far);
    let near = x.min(one);
    Value::select(x.lt(one), (near * near).exp() * near.erfc(), tail)
}

/// The probability that a normal draw is below `-x`, for an x that is not negative.
#[inline(always)]
pub fn lower<V: Float>(x: V) -> V {
    let most = x.min(V::lit(40.0));
    V::lit(0.5) * exp_square(most, -0.5) * scaled_tail(most * V::lit(FRAC_1_SQRT_2))
}

/// The probability that a normal draw is below.
#[inline(always)]
pub fn ndtr<V: Float>(x: V) -> V {
    let below = lower(x.abs());
    let share = Value::select(x.lt(V::lit(0.0)), below, V::lit(1.0) - below);
    Value::select(x.is_nan(), x, share)
}

/// The inverse of the error function: a first guess (Winitzki 2008), then two steps of Halley's method on whichever of erf
/// and erfc is small.
#[inline(always)]
pub fn erfinv<V: Float>(x: V) -> V {
    let (zero, half, one) = (V::lit(0.0), V::lit(0.5), V::lit(1.0));
    let t = x.abs();
    let rest = one - t;
    let l = Value::select(t.lt(half), (-(t * t)).log1p(), (rest * (one + t)).log());
    let middle = V::lit(4.330_746_750_799_873) + half * l;
    let root = (middle * middle - l * V::lit(6.802_721_088_435_374)).sqrt() - middle;
    let mut y = Value::select(root.gt(zero), root, zero).sqrt();
    for _ in 0..2 {
        let gap = Value::select(t.lt(half), y.erf() - t, rest - y.erfc());
        let u = gap * V::lit(ERFINV_SLOPE) * (y * y).exp();
        y = y - u / (one + y * u);
    }
    let y = Value::select(t.equals(one), V::lit(f64::INFINITY), y);
    let y = Value::select(t.gt(one), V::lit(f64::NAN), y);
    y.copysign(x)
}
