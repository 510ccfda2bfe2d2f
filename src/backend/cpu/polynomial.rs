//! Orthogonal polynomials and their derivatives of any order, in float64, by their recurrences over the degree.
//! Leans on math and the launch that names the families.

use super::math::double;
use crate::backend::launch::Family;

/// The most often that a polynomial can be differentiated.
pub const ORDERS: usize = 8;

/// The derivative of some order (0 for the value) of the polynomial of degree `n` at `x`; 0 for negative degrees.
///
/// `p[n + 1] = (a x + b) p[n] - c p[n - 1]` (Abramowitz and Stegun 22.7), differentiated as often as asked. Chebyshev's
/// of large degree inside [-1, 1] are cosines and sines (22.3.15 and 22.3.16).
pub fn polynomial(family: Family, order: usize, x: f64, n: f64) -> f64 {
    if x.is_nan() || n.is_nan() {
        return f64::NAN;
    }
    let (n, shifted) = (n.trunc(), family.shifted());
    let u = if shifted { 2.0 * x - 1.0 } else { x };
    if n < 0.0 {
        return 0.0;
    }
    if order == 0
        && n > 64.0
        && u.abs() < 1.0
        && let Some(y) = turns(family, u, n)
    {
        return y;
    }
    if n > 1e8 {
        return f64::NAN;
    }
    let (mut last, mut this) = ([0.0; ORDERS], [0.0; ORDERS]);
    last[0] = 1.0;
    let (slope, first) = match family {
        Family::ChebyshevT | Family::ShiftedT | Family::HermiteHe | Family::Legendre => (1.0, u),
        Family::ChebyshevU | Family::ShiftedU | Family::HermiteH => (2.0, 2.0 * u),
        Family::ChebyshevV | Family::ShiftedV => (2.0, 2.0 * u - 1.0),
        Family::ChebyshevW | Family::ShiftedW => (2.0, 2.0 * u + 1.0),
        Family::Laguerre => (-1.0, 1.0 - u),
    };
    this[0] = first;
    this[1] = slope;
    let mut k = 1.0;
    if n == 0.0 {
        this = last;
    }
    while k < n {
        let (a, b, c) = match family {
            Family::HermiteH => (2.0, 0.0, 2.0 * k),
            Family::HermiteHe => (1.0, 0.0, k),
            Family::Laguerre => (-1.0 / (k + 1.0), (2.0 * k + 1.0) / (k + 1.0), k / (k + 1.0)),
            Family::Legendre => ((2.0 * k + 1.0) / (k + 1.0), 0.0, k / (k + 1.0)),
            _ => (2.0, 0.0, 1.0),
        };
        let mut next = [0.0; ORDERS];
        for d in 0..=order {
            next[d] = (a * u + b) * this[d] - c * last[d];
            if d > 0 {
                next[d] += d as f64 * a * this[d - 1];
            }
        }
        (last, this) = (this, next);
        if !this[order].is_finite() {
            return beyond(family, order, u, n);
        }
        k += 1.0;
    }
    this[order] * if shifted { (1u64 << order) as f64 } else { 1.0 }
}

/// Chebyshev's polynomials inside [-1, 1] by angles.
fn turns(family: Family, u: f64, n: f64) -> Option<f64> {
    let angle = double::acos::<false>(u);
    let (sin, cos) = (double::sin::<false>, double::cos::<false>);
    Some(match family {
        Family::ChebyshevT | Family::ShiftedT => cos(n * angle),
        Family::ChebyshevU | Family::ShiftedU => sin((n + 1.0) * angle) / sin(angle),
        Family::ChebyshevV | Family::ShiftedV => cos((n + 0.5) * angle) / cos(0.5 * angle),
        Family::ChebyshevW | Family::ShiftedW => sin((n + 0.5) * angle) / sin(0.5 * angle),
        _ => return None,
    })
}

/// What is past the largest number: infinite with a sign, where all zeros lie on one side; else NaN.
fn beyond(family: Family, order: usize, u: f64, n: f64) -> f64 {
    let odd = (n - order as f64) % 2.0 != 0.0;
    let (high, falls) = match family {
        Family::HermiteH | Family::HermiteHe => (u * u > 4.0 * n + 2.0, u < 0.0 && odd),
        Family::Laguerre => (u < 0.0 || u > 4.0 * n + 2.0, if u < 0.0 { order % 2 == 1 } else { n % 2.0 != 0.0 }),
        _ => (u.abs() > 1.0, u < 0.0 && odd),
    };
    match (high, falls) {
        (false, _) => f64::NAN,
        (true, false) => f64::INFINITY,
        (true, true) => f64::NEG_INFINITY,
    }
}
