//! Draws by rejection: gamma, Poisson, binomial and von Mises, each from a key of its own, in float64. Leans on random and math.
//!
//! An element's key starts a stream of Philox of which it takes as much as it needs, so that a draw depends on its parameters
//! and its key alone.

use super::math::double::{acos, cos, exp, lgamma, log, log1p};
use super::random::philox;
use std::f64::consts::PI;

/// The random numbers of one element.
struct Source {
    key: [u32; 2],
    counter: u32,
    spare: Option<f64>,
}

impl Source {
    fn new(key: f64) -> Source {
        let key = key as u64;
        Source { key: [key as u32, (key >> 32) as u32], counter: 0, spare: None }
    }
    /// Uniform on (0, 1), both ends left out.
    fn uniform(&mut self) -> f64 {
        if let Some(u) = self.spare.take() {
            return u;
        }
        // The last word keeps these streams apart from those of plain draws.
        let [a, b, c, d] = philox([self.counter, 0, 0, 1], self.key);
        self.counter = self.counter.wrapping_add(1);
        let unit = |low: u32, high: u32| ((u64::from(low) | u64::from(high) << 32) >> 12) as f64 * 2f64.powi(-52) + 2f64.powi(-53);
        self.spare = Some(unit(c, d));
        unit(a, b)
    }
    /// Box and Muller's normal draw (1958).
    fn normal(&mut self) -> f64 {
        let (u, v) = (self.uniform(), self.uniform());
        (-2.0 * log::<false>(u)).sqrt() * cos::<false>(2.0 * PI * v)
    }
}

/// The gamma distribution of shape `a` and rate 1 (Marsaglia, Tsang: A Simple Method for Generating Gamma Variables, 2000).
pub fn gamma(a: f64, key: f64) -> f64 {
    if a.is_nan() || a < 0.0 {
        return f64::NAN;
    }
    if a == 0.0 || a.is_infinite() {
        return a;
    }
    let mut source = Source::new(key);
    // Shapes below 1 are reached from one more by a power of a uniform draw.
    let (shape, boost) = if a < 1.0 { (a + 1.0, log::<false>(source.uniform()) / a) } else { (a, 0.0) };
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = source.normal();
        let v = 1.0 + c * x;
        if v > 0.0 {
            let v = v * v * v;
            if log::<false>(source.uniform()) < 0.5 * x * x + d * (1.0 - v + log::<false>(v)) {
                return d * v * exp::<false>(boost);
            }
        }
    }
}

/// The Poisson distribution: products of uniform draws up to a rate of 10 (Knuth 1969), transformed rejection beyond
/// (Hörmann: The Transformed Rejection Method for Generating Poisson Random Variables, 1993).
pub fn poisson(rate: f64, key: f64) -> f64 {
    if rate.is_nan() || rate < 0.0 {
        return f64::NAN;
    }
    if rate == 0.0 || rate.is_infinite() {
        return rate;
    }
    let mut source = Source::new(key);
    if rate < 10.0 {
        let end = exp::<false>(-rate);
        let (mut count, mut product) = (0.0, source.uniform());
        while product > end {
            count += 1.0;
            product *= source.uniform();
        }
        return count;
    }
    let b = 0.931 + 2.53 * rate.sqrt();
    let a = -0.059 + 0.02483 * b;
    let (alpha, quick) = (1.1239 + 1.1328 / (b - 3.4), 0.9277 - 3.6224 / (b - 2.0));
    let log_rate = log::<false>(rate);
    loop {
        let (u, v) = (source.uniform() - 0.5, source.uniform());
        let rest = 0.5 - u.abs();
        let k = ((2.0 * a / rest + b) * u + rate + 0.43).floor();
        if rest >= 0.07 && v <= quick {
            return k;
        }
        if k < 0.0 || rest < 0.013 && v > rest {
            continue;
        }
        if log::<false>(v * alpha / (a / (rest * rest) + b)) <= k * log_rate - rate - lgamma::<false>(k + 1.0) {
            return k;
        }
    }
}

/// The binomial distribution: inversion where few are expected (Kachitvichyanukul and Schmeiser 1988), else transformed
/// rejection (Hörmann: The Generation of Binomial Random Variates, 1993).
pub fn binomial(count: f64, p: f64, key: f64) -> f64 {
    let n = count.floor();
    if n.is_nan() || n < 0.0 || !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    if p > 0.5 {
        return n - binomial(n, 1.0 - p, key);
    }
    if n == 0.0 || p == 0.0 {
        return 0.0;
    }
    let mut source = Source::new(key);
    let odds = p / (1.0 - p);
    if n * p < 10.0 {
        loop {
            let (mut chance, mut u, mut k) = (exp::<false>(n * log1p::<false>(-p)), source.uniform(), 0.0);
            // Beyond a hundred, rounding alone has brought it there: draw again.
            while u > chance && k <= n && k < 110.0 {
                u -= chance;
                k += 1.0;
                chance *= odds * (n - k + 1.0) / k;
            }
            if k <= n && k < 110.0 {
                return k;
            }
        }
    }
    let spread = (n * p * (1.0 - p)).sqrt();
    let b = 1.15 + 2.53 * spread;
    let a = -0.0873 + 0.0248 * b + 0.01 * p;
    let (quick, alpha) = (0.92 - 4.2 / b, (2.83 + 5.1 / b) * spread);
    let middle = ((n + 1.0) * p).floor();
    let log_odds = log::<false>(odds);
    let height = lgamma::<false>(middle + 1.0) + lgamma::<false>(n - middle + 1.0);
    loop {
        let (u, v) = (source.uniform() - 0.5, source.uniform());
        let rest = 0.5 - u.abs();
        let k = ((2.0 * a / rest + b) * u + n * p + 0.5).floor();
        if k < 0.0 || k > n {
            continue;
        }
        if rest >= 0.07 && v <= quick {
            return k;
        }
        let bound = height - lgamma::<false>(k + 1.0) - lgamma::<false>(n - k + 1.0) + (k - middle) * log_odds;
        if log::<false>(v * alpha / (a / (rest * rest) + b)) <= bound {
            return k;
        }
    }
}

/// Von Mises's distribution of angles about 0 (Best and Fisher: Efficient Simulation of the von Mises Distribution, 1979).
pub fn von_mises(concentration: f64, key: f64) -> f64 {
    let kappa = concentration;
    if kappa.is_nan() || kappa < 0.0 {
        return f64::NAN;
    }
    let mut source = Source::new(key);
    if kappa < 1e-8 {
        return PI * (2.0 * source.uniform() - 1.0);
    }
    let tau = 1.0 + (1.0 + 4.0 * kappa * kappa).sqrt();
    let rho = (tau - (2.0 * tau).sqrt()) / (2.0 * kappa);
    // Where rho would vanish by rounding, its series stands in.
    let r = if kappa < 1e-4 { 1.0 / kappa + kappa } else { (1.0 + rho * rho) / (2.0 * rho) };
    loop {
        let (z, u) = (cos::<false>(PI * source.uniform()), source.uniform());
        let f = ((1.0 + r * z) / (r + z)).clamp(-1.0, 1.0);
        let c = kappa * (r - f);
        if c * (2.0 - c) > u || log::<false>(c / u) + 1.0 >= c {
            let angle = acos::<false>(f);
            return if source.uniform() < 0.5 { -angle } else { angle };
        }
    }
}
