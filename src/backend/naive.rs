//! The slow oracle: each family as plain loops in float64 over lists, to which the fast kernels are compared. Leans on formula.

use crate::formula::Formula;
use crate::formula::paper::{Line, Word};

/// Evaluates a formula for one element, line by line, with the standard library's mathematics.
pub fn evaluate(formula: &Formula, inputs: &[f64], params: &[f64]) -> Vec<f64> {
    let mut v: Vec<f64> = Vec::with_capacity(formula.lines.len());
    for line in &formula.lines {
        let value = match line {
            Line::Input(i) => inputs[*i],
            Line::Param(i) => params[*i],
            Line::Constant(c) => *c,
            Line::Apply(word, on) => apply(*word, &on.iter().map(|&i| v[i]).collect::<Vec<_>>()),
        };
        v.push(value);
    }
    formula.outputs.iter().map(|&o| v[o]).collect()
}

fn apply(word: Word, a: &[f64]) -> f64 {
    let truth = |b: bool| f64::from(u8::from(b));
    let bits = |f: fn(i64, i64) -> i64| f(a[0] as i64, a[1] as i64) as f64;
    match word {
        Word::Add => a[0] + a[1],
        Word::Sub => a[0] - a[1],
        Word::Mul => a[0] * a[1],
        Word::Div => a[0] / a[1],
        Word::Neg => -a[0],
        Word::Abs => a[0].abs(),
        // The oracle's numbers are real.
        Word::Conj => a[0],
        Word::Lt => truth(a[0] < a[1]),
        Word::Le => truth(a[0] <= a[1]),
        Word::Eq => truth(a[0] == a[1]),
        Word::IsNan => truth(a[0].is_nan()),
        Word::And => truth(a[0] != 0.0 && a[1] != 0.0),
        Word::Or => truth(a[0] != 0.0 || a[1] != 0.0),
        Word::Xor => truth((a[0] != 0.0) != (a[1] != 0.0)),
        Word::Not => truth(a[0] == 0.0),
        Word::Select => {
            if a[0] != 0.0 {
                a[1]
            } else {
                a[2]
            }
        }
        Word::Modulo => a[0] - a[1] * (a[0] / a[1]).floor(),
        Word::Fmod => a[0] % a[1],
        Word::FloorDiv => (a[0] / a[1]).floor(),
        Word::Pow => a[0].powf(a[1]),
        Word::BitAnd => bits(|x, y| x & y),
        Word::BitOr => bits(|x, y| x | y),
        Word::BitXor => bits(|x, y| x ^ y),
        Word::BitNot => !(a[0] as i64) as f64,
        Word::Shl => bits(|x, y| x << y),
        Word::Shr => bits(|x, y| x >> y),
        Word::Sqrt => a[0].sqrt(),
        Word::Floor => a[0].floor(),
        Word::Ceil => a[0].ceil(),
        Word::Trunc => a[0].trunc(),
        Word::Round => a[0].round_ties_even(),
        Word::Exp => a[0].exp(),
        Word::Exp2 => a[0].exp2(),
        Word::Expm1 => a[0].exp_m1(),
        Word::Log => a[0].ln(),
        Word::Log2 => a[0].log2(),
        Word::Log10 => a[0].log10(),
        Word::Log1p => a[0].ln_1p(),
        Word::Sin => a[0].sin(),
        Word::Cos => a[0].cos(),
        Word::Tan => a[0].tan(),
        Word::Asin => a[0].asin(),
        Word::Acos => a[0].acos(),
        Word::Atan => a[0].atan(),
        Word::Atan2 => a[0].atan2(a[1]),
        Word::Sinh => a[0].sinh(),
        Word::Cosh => a[0].cosh(),
        Word::Tanh => a[0].tanh(),
        Word::Asinh => a[0].asinh(),
        Word::Acosh => a[0].acosh(),
        Word::Atanh => a[0].atanh(),
        Word::Erf => erf(a[0]),
        Word::Erfc => 1.0 - erf(a[0]),
        Word::Sigmoid => 1.0 / (1.0 + (-a[0]).exp()),
        Word::Lgamma => gamma(a[0]).0,
        Word::Digamma => gamma(a[0]).1,
        Word::Copysign => a[0].copysign(a[1]),
    }
}

/// The logarithm of the gamma function and its slope, by Stirling's series of a shifted argument, mirrored below a half.
fn gamma(x: f64) -> (f64, f64) {
    const PI: f64 = std::f64::consts::PI;
    if x.is_infinite() {
        return (f64::INFINITY, if x > 0.0 { x } else { f64::NAN });
    }
    if x < 0.5 {
        let (log, slope) = gamma(1.0 - x);
        // A whole turn changes neither sine nor tangent, and large arguments would lose theirs.
        let part = (x - x.floor()) * PI;
        let slope = if x < 0.0 && part == 0.0 { f64::NAN } else { slope };
        return ((PI / part.sin().abs()).ln() - log, slope - PI / part.tan());
    }
    let (mut z, mut log, mut slope) = (x, 0.0, 0.0);
    while z < 20.0 {
        log -= z.ln();
        slope -= 1.0 / z;
        z += 1.0;
    }
    let w = 1.0 / (z * z);
    let tail = (1.0 / 12.0 - w * (1.0 / 360.0 - w * (1.0 / 1260.0 - w / 1680.0))) / z;
    log += (z - 0.5) * z.ln() - z + 0.5 * (2.0 * PI).ln() + tail;
    slope += z.ln() - 0.5 / z - w * (1.0 / 12.0 - w * (1.0 / 120.0 - w * (1.0 / 252.0 - w / 240.0)));
    (log, slope)
}

/// The error function by its Maclaurin series, enough for arguments up to about 5.
fn erf(x: f64) -> f64 {
    if x.abs() > 5.5 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * std::f64::consts::FRAC_2_SQRT_PI
}

/// `a (m, k) @ b (k, n)`, row-major.
pub fn matmul(a: &[f64], b: &[f64], m: usize, k: usize, n: usize) -> Vec<f64> {
    (0..m * n).map(|i| (0..k).map(|p| a[i / n * k + p] * b[p * n + i % n]).sum()).collect()
}
