//! Functions that need loops of their own, element by element in float64: Bessel, incomplete gamma, Hurwitz zeta, neighbours.
//! Leans on convert and math.

use super::convert::{self, Bytes, Cursor};
use super::math::double;
use super::threads;
use crate::backend::launch::{Operand, Special};
use crate::base::{DType, Result};

type One = fn(&[f64], DType) -> f64;

pub fn run(function: Special, ins: &[Operand], out: &Operand) -> Result<()> {
    let f: One = match function {
        Special::I0 => |x, _| bessel(x[0], 0),
        Special::I1 => |x, _| bessel(x[0], 1),
        Special::Igamma => |x, _| incomplete(x[0], x[1]).0,
        Special::Igammac => |x, _| incomplete(x[0], x[1]).1,
        Special::Zeta => |x, _| zeta(x[0], x[1]),
        Special::NextAfter => |x, dtype| neighbour(x[0], x[1], dtype),
        Special::Mantissa => |x, _| frexp(x[0]).0,
        Special::Exponent => |x, _| frexp(x[0]).1,
    };
    let dtype = ins[0].dtype;
    let from: Vec<Cursor> = ins.iter().map(|x| Cursor::new(&x.layout)).collect();
    let to = Cursor::new(&out.layout);
    const TILE: usize = 256;
    if out.numel() == 0 {
        return Ok(());
    }
    threads::each(out.numel(), 1 << 12, |range| {
        let mut rows = vec![0f64; TILE * ins.len()];
        let mut result = [0f64; TILE];
        let mut start = range.start;
        while start < range.end {
            let n = TILE.min(range.end - start);
            for (k, (x, cursor)) in ins.iter().zip(&from).enumerate() {
                let row = Bytes(rows[k * TILE..].as_mut_ptr().cast());
                // SAFETY: each row holds TILE elements, and the range lies inside the operands.
                unsafe { convert::read::<f64>(x, cursor, start, n, row.at(0).cast()) };
            }
            for (i, y) in result[..n].iter_mut().enumerate() {
                let mut x = [0f64; 2];
                (0..ins.len()).for_each(|k| x[k] = rows[k * TILE + i]);
                *y = f(&x[..ins.len()], dtype);
            }
            // SAFETY: the range is written by one thread.
            unsafe { convert::write_as(DType::F64, result.as_ptr().cast(), out, &to, start, n) };
            start += n;
        }
    });
    Ok(())
}

/// The modified Bessel function of the first kind of order 0 or 1: its power series, and for large arguments the
/// asymptotic one (Abramowitz and Stegun 9.6.10 and 9.7.1).
fn bessel(x: f64, order: u32) -> f64 {
    let t = x.abs();
    let odd = order == 1 && x < 0.0;
    let nu = f64::from(order);
    let y = if t.is_nan() || t.is_infinite() {
        t
    } else if t < 30.0 {
        let w = t * t / 4.0;
        let mut term = if order == 1 { t / 2.0 } else { 1.0 };
        let (mut sum, mut k) = (term, 1.0);
        while term > sum * 1e-17 {
            term *= w / (k * (k + nu));
            sum += term;
            k += 1.0;
        }
        sum
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
        // Half the exponent twice, so that it does not overflow before the root divides it.
        let half = double::exp::<false>(t / 2.0);
        half * (sum / (2.0 * std::f64::consts::PI * t).sqrt()) * half
    };
    if odd { -y } else { y }
}

/// The regularised incomplete gamma functions P and Q: the series below a + 1, the continued fraction above it
/// (Abramowitz and Stegun 6.5.29 and 6.5.31, the fraction by Lentz's method).
fn incomplete(a: f64, x: f64) -> (f64, f64) {
    if a.is_nan() || x.is_nan() || a < 0.0 || x < 0.0 || a == 0.0 && x == 0.0 || a.is_infinite() && x.is_infinite() {
        return (f64::NAN, f64::NAN);
    }
    if a == 0.0 || x.is_infinite() {
        return (1.0, 0.0);
    }
    if x == 0.0 || a.is_infinite() {
        return (0.0, 1.0);
    }
    let scale = double::exp::<false>(a * double::log::<false>(x) - x - double::lgamma::<false>(a));
    // The number of terms grows as the root of a, and stops here at about a = 10^8.
    let most = 100_000;
    if x < a + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        for _ in 0..most {
            n += 1.0;
            term *= x / n;
            sum += term;
            if term < sum * 1e-17 {
                break;
            }
        }
        let p = (sum * scale).min(1.0);
        (p, 1.0 - p)
    } else {
        let tiny = 1e-300;
        let mut b = x + 1.0 - a;
        let mut c = 1.0 / tiny;
        let mut d = 1.0 / b;
        let mut h = d;
        for i in 1..most {
            let i = f64::from(i);
            let an = -i * (i - a);
            b += 2.0;
            d = an * d + b;
            d = if d.abs() < tiny { tiny } else { d };
            c = b + an / c;
            c = if c.abs() < tiny { tiny } else { c };
            d = 1.0 / d;
            let step = d * c;
            h *= step;
            if (step - 1.0).abs() < 1e-16 {
                break;
            }
        }
        let q = (h * scale).min(1.0);
        (1.0 - q, q)
    }
}

/// The Hurwitz zeta function, the sum of (q + k)^-s, by Euler and Maclaurin's formula; q below 0 for whole s alone.
fn zeta(s: f64, q: f64) -> f64 {
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

/// The next number of a dtype after `x` on the way to `y`.
fn neighbour(x: f64, y: f64, dtype: DType) -> f64 {
    if x.is_nan() || y.is_nan() {
        return f64::NAN;
    }
    if x == y {
        return y;
    }
    let up = y > x;
    macro_rules! step {
        ($t:ty, $bits:ty) => {{
            let v = <$t>::from_f64(x);
            let bits = v.to_bits();
            let sign = (1 as $bits) << (<$bits>::BITS - 1);
            let next = if bits & !sign == 0 {
                if up { 1 } else { sign | 1 }
            } else if (bits & sign == 0) == up {
                bits + 1
            } else {
                bits - 1
            };
            f64::from(<$t>::from_bits(next))
        }};
    }
    use crate::base::dtype::Element;
    match dtype {
        DType::F16 => step!(half::f16, u16),
        DType::BF16 => step!(half::bf16, u16),
        DType::F32 => step!(f32, u32),
        _ => step!(f64, u64),
    }
}

/// A number as a mantissa from 0.5 to 1 and a power of two.
fn frexp(x: f64) -> (f64, f64) {
    if x == 0.0 || !x.is_finite() {
        return (x, 0.0);
    }
    // A denormal is scaled into the normal range first.
    let (y, shift) = if x.abs() < f64::MIN_POSITIVE { (x * 2f64.powi(64), 64) } else { (x, 0) };
    let bits = y.to_bits();
    let exponent = (bits >> 52 & 0x7ff) as i64 - 1022;
    let mantissa = f64::from_bits(bits & !(0x7ff << 52) | 1022 << 52);
    (mantissa, (exponent - shift) as f64)
}
