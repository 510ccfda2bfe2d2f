//! The normal distribution's functions and those of entropies, element by element, as formulas.
//! Leans on graph and formula.

use crate::formula::normal::{exp_square, lower, scaled_tail};
use crate::graph::Sym;
use std::f64::consts::FRAC_1_SQRT_2;

/// 2 / sqrt(pi).
const ERF_SLOPE: f64 = std::f64::consts::FRAC_2_SQRT_PI;
/// The root of 2 pi.
const ROOT_TAU: f64 = 2.506_628_274_631_000_5;
/// The root of 2 / pi.
const ROOT_SHARE: f64 = 0.797_884_560_802_865_4;

crate::op! {
    /// `-x log(x)`: 0 at 0, and minus infinity below.
    entr(input) Float {
        map(float value, |x;| {
            let inside = Value::select(x.equals(V::lit(0.0)), V::lit(0.0), -x * x.log());
            Value::select(x.lt(V::lit(0.0)), V::lit(f64::NEG_INFINITY), inside)
        });
        vjp |g, [x], _y| [g * &(-x.log() - 1.0)];
        check 0.2..4.0;
        face hidden;
    }
    /// `exp(x^2) erfc(x)`, without overflow (Shepherd and Laframboise: Chebyshev Approximation of (1 + 2x) exp(x^2) erfc x, 1981).
    erfcx(input) Float {
        map(float value, |x;| {
            let a = x.abs();
            let tail = scaled_tail(a);
            let below = Value::select(a.gt(V::lit(27.0)), V::lit(f64::INFINITY), {
                let a = a.min(V::lit(27.0));
                2.0 * exp_square(a, 1.0) - tail
            });
            Value::select(x.lt(V::lit(0.0)), below, tail)
        });
        vjp |g, [x], y| [g * &(x * y * 2.0 - ERF_SLOPE)];
        check -2.0..4.0;
        face hidden;
    }
    /// The probability that a normal draw is below, `erfc(-x / sqrt(2)) / 2`.
    ndtr(input) Float {
        map(float value, |x;| x.ndtr());
        vjp |g, [x], _y| [g * &((x * x * -0.5).exp() * (1.0 / ROOT_TAU))];
        face hidden;
    }
    /// The logarithm of `ndtr`, exact also far on the left.
    log_ndtr(input) Float {
        map(float value, |x;| {
            let a = x.abs();
            let below = lower(a);
            let t = a * FRAC_1_SQRT_2;
            let far = (0.5 * scaled_tail(t)).log() - 0.5 * x * x;
            let left = Value::select(x.lt(V::lit(-1.0)), far, below.log());
            Value::select(x.is_nan(), x, Value::select(x.lt(V::lit(0.0)), left, (-below).log1p()))
        });
        vjp |g, [x], _y| [g * ROOT_SHARE / &(x * -FRAC_1_SQRT_2).erfcx()];
        face hidden;
    }
    /// The number below which a normal draw falls with a probability, the inverse of `ndtr`.
    ndtri(input) Float {
        map(float value, |p;| {
            // A first guess (Winitzki 2008), then steps of Halley's method; the gap is weighed by exp(y^2), under which
            // neither of its parts vanishes.
            let upper = p.gt(V::lit(0.5));
            let twice = 2.0 * Value::select(upper, 1.0 - p, p);
            let log = twice.log();
            let l = log + (2.0 - twice).log();
            let half = 4.330_746_750_799_873 + 0.5 * l;
            let root = (half * half - l * 6.802_721_088_435_374).sqrt() - half;
            let mut y = Value::select(root.gt(V::lit(0.0)), root, V::lit(0.0)).sqrt();
            for _ in 0..3 {
                let near = y.lt(V::lit(0.5));
                let weight = (y * y).exp();
                let gap = Value::select(near, ((1.0 - twice) - y.erf()) * weight, scaled_tail(y) - (y * y + log).exp());
                let u = gap / ERF_SLOPE;
                y = y + u / (1.0 - y * u);
            }
            let y = Value::select(twice.equals(V::lit(0.0)), V::lit(f64::INFINITY), y * std::f64::consts::SQRT_2);
            let y = Value::select(p.lt(V::lit(0.0)) | p.gt(V::lit(1.0)) | p.is_nan(), V::lit(f64::NAN), y);
            Value::select(upper, y, V::lit(0.0) - y)
        });
        vjp |g, [_x], y| [g * &((y * y * 0.5).exp() * ROOT_TAU)];
        check 0.1..0.9;
        face hidden;
    }
    /// `input * log1p(other)`, 0 where the input is 0.
    xlog1py(input, other) Float {
        map(float value, |x, y;| Value::select(x.equals(V::lit(0.0)) & !y.is_nan(), V::lit(0.0), x * y.log1p()));
        vjp |g, [x, y], _o| {
            let flat = x.eq(&Sym::from(0.0)).logical_and(&y.le(&Sym::from(-1.0)));
        } [&flat.where_(&Sym::from(0.0), &(g * &y.log1p())), g * x / &(y + 1.0)];
        check 0.2..4.0;
        face hidden;
    }
}
