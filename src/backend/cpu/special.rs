//! The loop over what is computed element by element in float64: special functions, draws by rejection, neighbours.
//! Leans on convert and on the functions' own files.

use super::bessel::{airy, cylinder, falling, growing};
use super::convert::{self, Bytes, Cursor};
use super::incomplete::{gain, incomplete, slope, zeta};
use super::polynomial::polynomial;
use super::{rejection, threads};
use crate::backend::launch::{Operand, Special};
use crate::base::{DType, Result};

pub fn run(function: Special, ins: &[Operand], out: &Operand) -> Result<()> {
    let f: &(dyn Fn(&[f64], DType) -> f64 + Sync) = match function {
        Special::J0 => &|x, _| cylinder(x[0].abs())[0],
        Special::J1 => &|x, _| cylinder(x[0].abs())[1] * 1f64.copysign(x[0]),
        Special::Y0 => &|x, _| if x[0] < 0.0 { f64::NAN } else { cylinder(x[0])[2] },
        Special::Y1 => &|x, _| if x[0] < 0.0 { f64::NAN } else { cylinder(x[0])[3] },
        Special::Growing { order, scaled } => &move |x, _| growing(x[0], order, scaled),
        Special::Falling { order: 0, scaled } => &move |x, _| falling(x[0], scaled).0,
        Special::Falling { scaled, .. } => &move |x, _| falling(x[0], scaled).1,
        Special::Airy => &|x, _| airy(x[0]).0,
        Special::AirySlope => &|x, _| airy(x[0]).1,
        Special::Polynomial { family, order } => &move |x, _| polynomial(family, order, x[0], x[1]),
        Special::Igamma => &|x, _| incomplete(x[0], x[1]).0,
        Special::Igammac => &|x, _| incomplete(x[0], x[1]).1,
        Special::IgammaSlope => &|x, _| slope(x[0], x[1]),
        Special::GammaGain => &|x, _| gain(x[0], x[1]),
        Special::DrawGamma => &|x, _| rejection::gamma(x[0], x[1]),
        Special::DrawPoisson => &|x, _| rejection::poisson(x[0], x[1]),
        Special::DrawBinomial => &|x, _| rejection::binomial(x[0], x[1], x[2]),
        Special::DrawVonMises => &|x, _| rejection::von_mises(x[0], x[1]),
        Special::Gcd => return divisors(ins, out),
        Special::Zeta => &|x, _| zeta(x[0], x[1]),
        Special::NextAfter => &|x, dtype| neighbour(x[0], x[1], dtype),
        Special::Mantissa => &|x, _| frexp(x[0]).0,
        Special::Exponent => &|x, _| frexp(x[0]).1,
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
                let mut x = [0f64; 3];
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

/// The greatest common divisors of two operands of integers, by Euclid's algorithm; of numbers without a sign.
fn divisors(ins: &[Operand], out: &Operand) -> Result<()> {
    let (from, to) = ([Cursor::new(&ins[0].layout), Cursor::new(&ins[1].layout)], Cursor::new(&out.layout));
    const TILE: usize = 1 << 12;
    threads::each(out.numel(), TILE, |range| {
        let (mut a, mut b) = ([0i64; TILE], [0i64; TILE]);
        let mut start = range.start;
        while start < range.end {
            let n = TILE.min(range.end - start);
            // SAFETY: both rows hold TILE elements, and the range lies inside the operands.
            unsafe {
                convert::read::<i64>(&ins[0], &from[0], start, n, a.as_mut_ptr());
                convert::read::<i64>(&ins[1], &from[1], start, n, b.as_mut_ptr());
            }
            for (x, &y) in a[..n].iter_mut().zip(&b) {
                let (mut u, mut v) = (x.unsigned_abs(), y.unsigned_abs());
                while v != 0 {
                    (u, v) = (v, u % v);
                }
                *x = u as i64;
            }
            // SAFETY: the range is written by one thread.
            unsafe { convert::write_as(DType::I64, a.as_ptr().cast(), out, &to, start, n) };
            start += n;
        }
    });
    Ok(())
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
