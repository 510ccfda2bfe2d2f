//! What the elementary functions of complex numbers are where a part is infinite or NaN. Leans on num-complex.
//!
//! The values are those of ISO C, Annex G, with the later correction of tanh on the imaginary axis. Each function is
//! written for parts that are not negative, and carried to the others by its symmetries.

use num_complex::Complex;
use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, PI};

type Z = Complex<f64>;

const INF: f64 = f64::INFINITY;
const DEEP: f64 = f64::NEG_INFINITY;
const NAN: f64 = f64::NAN;

/// Whether both parts are plain numbers.
#[inline(always)]
pub fn plain(z: Z) -> bool {
    z.re.is_finite() && z.im.is_finite()
}

/// A function that is odd and takes conjugates to conjugates: its parts have the signs of the argument's.
fn odd(z: Z, f: fn(f64, f64) -> (f64, f64)) -> Z {
    let (re, im) = f(z.re.abs(), z.im.abs());
    Complex::new(re.copysign(z.re), if im.is_nan() { im } else { im * 1f64.copysign(z.im) })
}

/// A finite angle's point on the circle of a size that is infinite.
fn far(y: f64) -> (f64, f64) {
    let part = |v: f64| if y == 0.0 && v == 0.0 { v } else { INF.copysign(v) };
    let (s, c) = y.sin_cos();
    (part(c), part(s))
}

pub fn sinh(z: Z) -> Z {
    let (re, im) = match (z.re.abs(), z.im.abs()) {
        (INF, y) if y.is_finite() => far(y),
        (INF, _) => (INF, NAN),
        (0.0, _) => (0.0, NAN),
        (x, 0.0) if x.is_nan() => (NAN, 0.0),
        _ => (NAN, NAN),
    };
    // The sign of the real part turns with the angle.
    Complex::new(re * 1f64.copysign(z.re), im * 1f64.copysign(z.im))
}

pub fn cosh(z: Z) -> Z {
    let (re, im) = match (z.re.abs(), z.im.abs()) {
        (INF, y) if y.is_finite() => far(y),
        (INF, _) => (INF, NAN),
        (0.0, _) | (_, 0.0) => (NAN, 0.0),
        _ => (NAN, NAN),
    };
    Complex::new(re, im * 1f64.copysign(z.re) * 1f64.copysign(z.im))
}

pub fn tanh(z: Z) -> Z {
    odd(z, |x, y| match (x, y) {
        (INF, y) if y.is_finite() => (1.0, 0.0f64.copysign((2.0 * y).sin())),
        (INF, _) => (1.0, 0.0),
        (0.0, _) => (0.0, NAN),
        (_, 0.0) => (NAN, 0.0),
        _ => (NAN, NAN),
    })
}

pub fn expm1(z: Z) -> Z {
    let (re, im) = match (z.re, z.im.abs()) {
        (DEEP, y) if y.is_finite() => (-1.0, 0.0f64.copysign(y.sin())),
        (DEEP, _) => (-1.0, 0.0),
        (INF, y) if y.is_finite() => far(y),
        (INF, _) => (INF, NAN),
        (_, 0.0) => (NAN, 0.0),
        _ => (NAN, NAN),
    };
    Complex::new(re, im * 1f64.copysign(z.im))
}

pub fn asinh(z: Z) -> Z {
    odd(z, |x, y| match (x, y) {
        (INF, INF) => (INF, FRAC_PI_4),
        (INF, y) if y.is_nan() => (INF, NAN),
        (INF, _) => (INF, 0.0),
        (x, INF) if x.is_nan() => (INF, NAN),
        (_, INF) => (INF, FRAC_PI_2),
        (_, 0.0) => (NAN, 0.0),
        _ => (NAN, NAN),
    })
}

pub fn acos(z: Z) -> Z {
    let below = z.re.is_sign_negative();
    let (re, im) = match (z.re.abs(), z.im.abs()) {
        (INF, INF) => (if below { 3.0 * FRAC_PI_4 } else { FRAC_PI_4 }, -INF),
        (INF, y) if y.is_nan() => (NAN, -INF),
        (INF, _) => (if below { PI } else { 0.0 }, -INF),
        (x, INF) if x.is_nan() => (NAN, -INF),
        (_, INF) => (FRAC_PI_2, -INF),
        (0.0, _) => (FRAC_PI_2, NAN),
        _ => (NAN, NAN),
    };
    Complex::new(re, im * 1f64.copysign(z.im))
}

/// The arc cosine turned by a right angle, into the half plane of positive real parts.
pub fn acosh(z: Z) -> Z {
    let angle = acos(z);
    Complex::new(angle.im.abs(), angle.re * 1f64.copysign(z.im))
}

pub fn atanh(z: Z) -> Z {
    odd(z, |x, y| match (x, y) {
        (_, INF) => (0.0, FRAC_PI_2),
        (INF, y) if y.is_nan() => (0.0, NAN),
        (INF, _) => (0.0, FRAC_PI_2),
        (0.0, _) => (0.0, NAN),
        _ => (NAN, NAN),
    })
}
