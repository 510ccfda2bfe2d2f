//! The incomplete gamma functions with their slopes in the first argument, and Hurwitz's zeta function, in float64.
//! Leans on math.

use super::math::double;
use std::ops::{Add, Div, Mul, Sub};

/// A number and its slope in the first argument of the function.
#[derive(Clone, Copy)]
struct Dual(f64, f64);

impl Add for Dual {
    type Output = Dual;
    fn add(self, o: Dual) -> Dual {
        Dual(self.0 + o.0, self.1 + o.1)
    }
}
impl Sub for Dual {
    type Output = Dual;
    fn sub(self, o: Dual) -> Dual {
        Dual(self.0 - o.0, self.1 - o.1)
    }
}
impl Mul for Dual {
    type Output = Dual;
    fn mul(self, o: Dual) -> Dual {
        Dual(self.0 * o.0, self.1 * o.0 + self.0 * o.1)
    }
}
impl Div for Dual {
    type Output = Dual;
    fn div(self, o: Dual) -> Dual {
        let q = self.0 / o.0;
        Dual(q, (self.1 - q * o.1) / o.0)
    }
}

/// The number of terms grows as the root of a, and stops here at about a = 10^8.
const MOST: usize = 100_000;

/// P(a, x) over `x^a e^-x / gamma(a)` below a + 1, by its series; Q over the same above, by the continued fraction
/// (Abramowitz and Stegun 6.5.29 and 6.5.31, the fraction by Lentz's method). True says that it is P.
fn part(a: f64, x: f64) -> (bool, Dual) {
    let (one, x) = (Dual(1.0, 0.0), Dual(x, 0.0));
    if x.0 < a + 1.0 {
        let mut n = Dual(a, 1.0);
        let mut term = one / n;
        let mut sum = term;
        for _ in 0..MOST {
            n = n + one;
            term = term * (x / n);
            sum = sum + term;
            if term.0 < sum.0 * 1e-17 && term.1.abs() <= sum.1.abs() * 1e-16 {
                break;
            }
        }
        return (true, sum);
    }
    let keep = |v: Dual| if v.0.abs() < 1e-300 { Dual(1e-300, v.1) } else { v };
    let mut b = Dual(x.0 + 1.0 - a, -1.0);
    let mut c = Dual(1e300, 0.0);
    let mut d = one / b;
    let mut h = d;
    for i in 1..MOST {
        let i = i as f64;
        let numerator = Dual(i * (a - i), i);
        b = b + Dual(2.0, 0.0);
        d = keep(numerator * d + b);
        c = keep(b + numerator / c);
        d = one / d;
        let step = d * c;
        h = h * step;
        if (step.0 - 1.0).abs() < 1e-16 && step.1.abs() < 1e-16 {
            break;
        }
    }
    (false, h)
}

/// P and Q where no sum is needed.
fn edge(a: f64, x: f64) -> Option<(f64, f64)> {
    if a.is_nan() || x.is_nan() || a < 0.0 || x < 0.0 || a == 0.0 && x == 0.0 || a.is_infinite() && x.is_infinite() {
        return Some((f64::NAN, f64::NAN));
    }
    if a == 0.0 || x.is_infinite() {
        return Some((1.0, 0.0));
    }
    (x == 0.0 || a.is_infinite()).then_some((0.0, 1.0))
}

/// The regularised incomplete gamma functions P and Q.
pub fn incomplete(a: f64, x: f64) -> (f64, f64) {
    edge(a, x).unwrap_or_else(|| {
        let (lower, sum) = part(a, x);
        let scale = double::exp::<false>(a * double::log::<false>(x) - x - double::lgamma::<false>(a));
        let found = (sum.0 * scale).min(1.0);
        if lower { (found, 1.0 - found) } else { (1.0 - found, found) }
    })
}

/// The slope of P(a, x) in a.
pub fn slope(a: f64, x: f64) -> f64 {
    if let Some((p, _)) = edge(a, x) {
        return if p.is_nan() || a == 0.0 { f64::NAN } else { 0.0 };
    }
    let scale = double::exp::<false>(a * double::log::<false>(x) - x - double::lgamma::<false>(a));
    -gain(a, x) / x * scale
}

/// How fast a draw `x` of the gamma distribution grows with its shape `a`: minus the slope of P in a, over its density
/// (Figurnov, Mohamed, Mnih: Implicit Reparameterization Gradients, 2018). No large or small number is met on the way.
pub fn gain(a: f64, x: f64) -> f64 {
    if let Some((p, _)) = edge(a, x) {
        return if p.is_nan() { f64::NAN } else { 0.0 };
    }
    let (lower, sum) = part(a, x);
    let whole = sum.1 + sum.0 * (double::log::<false>(x) - double::digamma::<false>(a));
    if lower { -x * whole } else { x * whole }
}

/// The Hurwitz zeta function, the sum of (q + k)^-s, by Euler and Maclaurin's formula; q below 0 for whole s alone.
pub fn zeta(s: f64, q: f64) -> f64 {
    if s.is_nan() || q.is_nan() || s < 1.0 {
        return f64::NAN;
    }
    if s == 1.0 || q <= 0.0 && q == q.floor() {
        return f64::INFINITY;
    }
    if q < 0.0 {
        if s != s.floor() {
            return f64::NAN;
        }
        // The terms below 0 are those of a sum from the other side.
        let first = q + (-q).ceil();
        let sign = if s % 2.0 == 0.0 { 1.0 } else { -1.0 };
        let upper = zeta(s, first);
        return sign * (zeta(s, 1.0 - first) - zeta(s, 1.0 - q)) + upper;
    }
    let mut sum = 0.0;
    let mut z = q;
    for _ in 0..12 {
        sum += z.powf(-s);
        z += 1.0;
    }
    // Bernoulli's numbers B(2k) / (2k)!.
    const B: [f64; 8] = [
        1.0 / 12.0,
        -1.0 / 720.0,
        1.0 / 30240.0,
        -1.0 / 1_209_600.0,
        1.0 / 47_900_160.0,
        -691.0 / 1_307_674_368_000.0,
        1.0 / 74_724_249_600.0,
        -3617.0 / 10_670_622_842_880_000.0,
    ];
    let power = z.powf(-s);
    sum += power * z / (s - 1.0) + 0.5 * power;
    let (mut rising, mut fall) = (s, power / z);
    for (k, b) in B.iter().enumerate() {
        sum += b * rising * fall;
        let j = 2.0 * k as f64;
        rising *= (s + j + 1.0) * (s + j + 2.0);
        fall /= z * z;
    }
    sum
}
