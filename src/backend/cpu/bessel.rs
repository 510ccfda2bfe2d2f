//! Bessel's functions of orders 0 and 1, modified ones, and Airy's, in float64, by series, recurrences and fractions.
//! Leans on math.

use super::math::double;
use std::f64::consts::{FRAC_1_PI, FRAC_1_SQRT_2, FRAC_2_PI, PI};

/// Euler's constant.
const GAMMA: f64 = 0.577_215_664_901_532_9;

/// Of the first and second kind, orders 0 and 1: (J0, J1, Y0, Y1) at a number that is not negative.
///
/// Power series up to 2 (Abramowitz and Stegun 9.1.10, 9.1.11, 9.1.13); up to 25 Miller's recurrence downwards, and
/// Neumann's series in what it gives (9.12, 9.1.89); Hankel's expansions beyond (9.2.5 to 9.2.10).
pub fn cylinder(x: f64) -> [f64; 4] {
    if x.is_nan() {
        return [x; 4];
    }
    if x == 0.0 {
        return [1.0, 0.0, f64::NEG_INFINITY, f64::NEG_INFINITY];
    }
    if x.is_infinite() {
        return [0.0; 4];
    }
    if x <= 2.0 {
        small(x)
    } else if x < 25.0 {
        downwards(x)
    } else {
        let ((p0, q0), (p1, q1)) = (hankel(x, 0.0), hankel(x, 4.0));
        let (s, c) = (double::sin::<false>(x), double::cos::<false>(x));
        // The phase lags by an eighth of a turn, and for order 1 by a quarter more.
        let (early, late) = ((c + s) * FRAC_1_SQRT_2, (s - c) * FRAC_1_SQRT_2);
        let size = (FRAC_2_PI / x).sqrt();
        [size * (p0 * early - q0 * late), size * (p1 * late + q1 * early), size * (p0 * late + q0 * early), size * (q1 * late - p1 * early)]
    }
}

fn small(x: f64) -> [f64; 4] {
    let w = x * x / 4.0;
    let log = double::log::<false>(x / 2.0);
    let (mut j0, mut j1, mut s0, mut s1) = (0.0, 0.0, 0.0, 0.0);
    // The k-th terms of both series, the k-th harmonic number, and the one after it.
    let (mut a, mut b, mut h, mut next) = (1.0, x / 2.0, 0.0, 1.0);
    for k in 1..20 {
        let k = f64::from(k);
        j0 += a;
        j1 += b;
        s0 -= h * a;
        s1 += (h + next - 2.0 * GAMMA) * b;
        a *= -w / (k * k);
        b *= -w / (k * (k + 1.0));
        h = next;
        next += 1.0 / (k + 1.0);
    }
    let y0 = FRAC_2_PI * ((log + GAMMA) * j0 + s0);
    let y1 = FRAC_2_PI * log * j1 - FRAC_2_PI / x - FRAC_1_PI * s1;
    [j0, j1, y0, y1]
}

fn downwards(x: f64) -> [f64; 4] {
    let top = 2 * ((x as usize + 46) / 2);
    let (mut above, mut here) = (0.0, 1e-280);
    let (mut whole, mut even, mut odd) = (0.0, 0.0, 0.0);
    for n in (1..=top).rev() {
        let half = (n / 2) as f64;
        let sign = if n / 2 % 2 == 0 { 1.0 } else { -1.0 };
        if n % 2 == 0 {
            whole += 2.0 * here;
            even += sign * here / half;
        } else if n > 1 {
            odd += sign * here * (2.0 * half + 1.0) / (half * (half + 1.0));
        }
        (above, here) = (here, 2.0 * n as f64 / x * here - above);
    }
    // J0 and twice all of even order add up to 1.
    let scale = 1.0 / (whole + here);
    let (j0, j1) = (here * scale, above * scale);
    let log = double::log::<false>(x / 2.0) + GAMMA;
    let y0 = FRAC_2_PI * (log * j0 - 2.0 * even * scale);
    let y1 = FRAC_2_PI * ((log - 1.0) * j1 - j0 / x - odd * scale);
    [j0, j1, y0, y1]
}

/// The two sums of Hankel's expansion; `mu` is four times the order's square.
fn hankel(x: f64, mu: f64) -> (f64, f64) {
    let (mut p, mut q, mut term) = (1.0, 0.0, 1.0);
    for k in 1..40 {
        let odd = f64::from(2 * k - 1);
        let next = term * (mu - odd * odd) / (f64::from(k) * 8.0 * x);
        if next.abs() >= f64::abs(term) || next.abs() < 1e-18 {
            break;
        }
        term = next;
        match k % 4 {
            0 => p += term,
            1 => q += term,
            2 => p -= term,
            _ => q -= term,
        }
    }
    (p, q)
}

/// The modified function of the first kind of order 0 or 1, over `exp(|x|)` if scaled: its power series, and for large
/// arguments the asymptotic one (Abramowitz and Stegun 9.6.10 and 9.7.1).
pub fn growing(x: f64, order: u32, scaled: bool) -> f64 {
    let t = x.abs();
    let nu = f64::from(order);
    let y = if t.is_nan() || t.is_infinite() && !scaled {
        t
    } else if t.is_infinite() {
        0.0
    } else if t < 30.0 {
        let w = t * t / 4.0;
        let mut term = if order == 1 { t / 2.0 } else { 1.0 };
        let (mut sum, mut k) = (term, 1.0);
        while term > sum * 1e-17 {
            term *= w / (k * (k + nu));
            sum += term;
            k += 1.0;
        }
        if scaled { sum * double::exp::<false>(-t) } else { sum }
    } else {
        let (mut term, mut sum) = (1.0, 1.0);
        for k in 1..60 {
            let odd = f64::from(2 * k - 1);
            let next = -term * (4.0 * nu * nu - odd * odd) / (f64::from(k) * 8.0 * t);
            if next.abs() >= f64::abs(term) || next == 0.0 {
                break;
            }
            term = next;
            sum += term;
        }
        let whole = sum / (2.0 * PI * t).sqrt();
        // Half the exponent twice, so that it does not overflow before the root divides it.
        let half = if scaled { 1.0 } else { double::exp::<false>(t / 2.0) };
        half * whole * half
    };
    if order == 1 && x < 0.0 { -y } else { y }
}

/// The modified functions of the second kind (K0, K1), times `exp(x)` if scaled: power series up to 1 (Abramowitz and
/// Stegun 9.6.11 and 9.6.13), beyond it the continued fraction of Temme (1975), summed by Steed's method.
pub fn falling(x: f64, scaled: bool) -> (f64, f64) {
    if x.is_nan() || x < 0.0 {
        return (f64::NAN, f64::NAN);
    }
    if x == 0.0 {
        return (f64::INFINITY, f64::INFINITY);
    }
    if x.is_infinite() {
        return (0.0, 0.0);
    }
    if x <= 1.0 {
        let w = x * x / 4.0;
        let log = double::log::<false>(x / 2.0);
        let (mut i0, mut i1, mut s0, mut s1) = (0.0, 0.0, 0.0, 0.0);
        let (mut a, mut b, mut h, mut next) = (1.0, x / 2.0, 0.0, 1.0);
        for k in 1..16 {
            let k = f64::from(k);
            i0 += a;
            i1 += b;
            s0 += h * a;
            s1 += (h + next - 2.0 * GAMMA) * b;
            a *= w / (k * k);
            b *= w / (k * (k + 1.0));
            h = next;
            next += 1.0 / (k + 1.0);
        }
        let grow = if scaled { double::exp::<false>(x) } else { 1.0 };
        return ((s0 - (log + GAMMA) * i0) * grow, (1.0 / x + log * i1 - 0.5 * s1) * grow);
    }
    let fall = if scaled { 1.0 } else { double::exp::<false>(-x) };
    // Here both are their leading term, 1 / (8 x) being nothing beside 1; the fraction's terms would overflow.
    if x > 1e17 {
        let k = (PI / 2.0).sqrt() / x.sqrt() * fall;
        return (k, k);
    }
    // With b and a the fraction's partial denominators and numerators, and q, c the terms of the sum that normalises it.
    let (mut b, mut a, mut c) = (2.0 * (1.0 + x), -0.25, 0.25);
    let mut d = 1.0 / b;
    let (mut h, mut step) = (d, d);
    let (mut last, mut this, mut q) = (0.0, 1.0, c);
    let mut sum = 1.0 + q * step;
    for i in 2..500 {
        let i = f64::from(i);
        a -= 2.0 * (i - 1.0);
        c = -a * c / i;
        let after = (last - b * this) / a;
        (last, this) = (this, after);
        q += c * after;
        b += 2.0;
        d = 1.0 / (b + a * d);
        step *= b * d - 1.0;
        h += step;
        let more = q * step;
        sum += more;
        if (more / sum).abs() < 1e-17 {
            break;
        }
    }
    let k0 = (PI / (2.0 * x)).sqrt() * fall / sum;
    (k0, k0 * (x + 0.5 - 0.25 * h) / x)
}

/// Airy's function and its slope at the integers from -10 to 10.
const AIRY: [(f64, f64); 21] = [
    (0.04024123848644319, 0.99626504413279),
    (-0.022133721547341403, -0.9756639809263316),
    (-0.0527050503563862, 0.9355609381983065),
    (0.18428083525050565, -0.7710081684101265),
    (-0.3291451736298231, 0.3459354872813429),
    (0.35076100902411433, 0.32719281855444315),
    (-0.07026553294928951, -0.7906285753685813),
    (-0.37881429367765806, 0.3145837692165988),
    (0.22740742820168558, 0.618259020741691),
    (0.5355608832923521, -0.01016056711664521),
    (0.3550280538878172, -0.2588194037928068),
    (0.13529241631288141, -0.1591474412967932),
    (0.03492413042327438, -0.05309038443365363),
    (0.006591139357460719, -0.011912976705951319),
    (0.0009515638512048018, -0.001958640950204179),
    (0.00010834442813607442, -0.0002474138908684625),
    (9.947694360252889e-06, -2.4765200397034955e-05),
    (7.492128863997167e-07, -2.008150894738792e-06),
    (4.6922076160992316e-08, -1.3414392979067865e-07),
    (2.47116843087249e-09, -7.480641389658946e-09),
    (1.1047532552898686e-10, -3.5206336767389237e-10),
];

/// Airy's function Ai and its slope: up to 10 on either side Taylor's series about the nearest integer, whose
/// coefficients follow from Ai'' = x Ai; beyond, the asymptotic expansions (Abramowitz and Stegun 10.4.59 to 10.4.62).
pub fn airy(x: f64) -> (f64, f64) {
    if x.is_nan() {
        return (x, x);
    }
    if x.abs() <= 10.5 {
        let place = x.round().clamp(-10.0, 10.0);
        let (t, (value, slope)) = (x - place, AIRY[(place + 10.0) as usize]);
        let mut c = [value, slope, 0.5 * place * value];
        let (mut sum, mut rise) = (c[0] + c[1] * t, c[1]);
        let mut power = t;
        for n in 2..40 {
            let n = f64::from(n);
            rise += n * c[2] * power;
            power *= t;
            sum += c[2] * power;
            let next = (place * c[1] + c[0]) / ((n + 1.0) * n);
            c = [c[1], c[2], next];
        }
        return (sum, rise);
    }
    let r = x.abs().sqrt();
    let zeta = 2.0 / 3.0 * x.abs() * r;
    // The coefficients u of the value and v of the slope; sums of all, and of the even and the odd ones with signs by pairs.
    let (mut u, mut k) = (1.0, 1.0);
    let (mut fall, mut dive) = (1.0, 1.0);
    let (mut even, mut odd, mut even_slope, mut odd_slope) = (1.0, 0.0, 1.0, 0.0);
    while k < 40.0 {
        let next = u * (6.0 * k - 5.0) * (6.0 * k - 1.0) / (72.0 * k * zeta);
        if next >= u || next < 1e-18 {
            break;
        }
        u = next;
        let v = u * (6.0 * k + 1.0) / (1.0 - 6.0 * k);
        let n = k as usize;
        let (sign, pair) = (if n.is_multiple_of(2) { 1.0 } else { -1.0 }, if (n / 2).is_multiple_of(2) { 1.0 } else { -1.0 });
        fall += sign * u;
        dive += sign * v;
        if n.is_multiple_of(2) {
            even += pair * u;
            even_slope += pair * v;
        } else {
            odd += pair * u;
            odd_slope += pair * v;
        }
        k += 1.0;
    }
    let root = r.sqrt();
    if x > 0.0 {
        let small = double::exp::<false>(-zeta) / (2.0 * PI.sqrt());
        return (small / root * fall, if x.is_infinite() { 0.0 } else { -small * root * dive });
    }
    if x.is_infinite() {
        return (0.0, f64::NAN);
    }
    let (s, c) = (double::sin::<false>(zeta), double::cos::<false>(zeta));
    let (rise, drop) = ((s + c) * FRAC_1_SQRT_2, (c - s) * FRAC_1_SQRT_2);
    let scale = 1.0 / PI.sqrt();
    (scale / root * (rise * even - drop * odd), -scale * root * (drop * even_slope + rise * odd_slope))
}
