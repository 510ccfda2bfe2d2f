//! Range reduction of angles: which quarter turn, and what is left of it.
//! Leans on `real`, `exact` and the fitted coefficients.

use super::coefficients::Fitted;
use super::exact::round;
use super::real::{Real, fma, two_sum};

/// An angle as `count` quarter turns and a rest `high + low` in `[-pi/4, pi/4]`.
pub struct Turn<T> {
    /// `MAGIC + n`, whose low bits are the number of quarter turns modulo 4.
    pub count: T,
    /// The rest, rounded.
    pub high: T,
    /// What rounding took from it.
    pub low: T,
}

/// Types whose angles can be reduced.
pub trait Angle: Fitted {
    /// Reduces any finite angle.
    fn turn<const FMA: bool>(x: Self) -> Turn<Self>;
    /// Reduces an angle up to `NEAR`.
    fn turn_near<const FMA: bool>(x: Self) -> Turn<Self>;
}

/// `2 / pi / 4` cut into pieces of 29 bits, so that each piece times an `f32` is exact in `f64`;
/// the last is rounded. Together 198 bits after the point, for angles up to 2^128.
const TURNS: [f64; 6] = [
    0.15915494272485375,
    3.6704158115630214e-10,
    5.690025167992954e-19,
    1.4703036846932608e-27,
    2.5867171752090537e-36,
    9.458140970740169e-46,
];

impl Angle for f32 {
    #[inline(always)]
    fn turn<const FMA: bool>(x: f32) -> Turn<f32> {
        // The fraction of each exact product is all that counts of it: whole turns drop out,
        // however large. No table look-up by exponent is needed, as pieces out of range are
        // whole numbers (fraction 0) or vanishingly small.
        let x = f64::from(x);
        let part = TURNS.map(|c| {
            let y = x * c;
            y - round::<f64, FMA>(y)
        });
        let sum = part[0] + part[1] + part[2] + part[3] + part[4] + part[5];
        let quarters = round::<f64, FMA>(sum * 4.0);
        // The quarter is taken from the parts, not from their rounded sum: every partial sum that
        // a later part can cancel is exact.
        let rest = part.into_iter().fold(quarters * -0.25, |a, b| a + b);
        Turn {
            count: quarters as f32 + f32::MAGIC,
            high: (rest * core::f64::consts::TAU) as f32,
            low: 0.0,
        }
    }

    #[inline(always)]
    fn turn_near<const FMA: bool>(x: f32) -> Turn<f32> {
        // pi/2 in 33 and 53 bits: n times the first is exact in f64 up to n = 2^20.
        const HIGH: f64 = 1.5707963267341256;
        const LOW: f64 = 6.077100506506192e-11;
        let x = f64::from(x);
        let n = fma::<f64, FMA>(x, core::f64::consts::FRAC_2_PI, f64::MAGIC) - f64::MAGIC;
        let rest = fma::<f64, FMA>(n, -LOW, fma::<f64, FMA>(n, -HIGH, x));
        Turn {
            count: n as f32 + f32::MAGIC,
            high: rest as f32,
            low: 0.0,
        }
    }
}

impl Angle for f64 {
    #[inline(always)]
    fn turn<const FMA: bool>(x: f64) -> Turn<f64> {
        Self::turn_near::<FMA>(x)
    }

    #[inline(always)]
    fn turn_near<const FMA: bool>(x: f64) -> Turn<f64> {
        // pi/2 in pieces of 26 bits and a rounded rest: n times each piece is exact up to 2^26.
        const PIECES: [f64; 4] = [
            1.5707963109016418,
            1.5893254712295857e-8,
            6.123233601181349e-17,
            3.9455541665632055e-24,
        ];
        let count = fma::<f64, FMA>(x, core::f64::consts::FRAC_2_PI, f64::MAGIC);
        let n = count - f64::MAGIC;
        let exact = (x - n * PIECES[0]) - n * PIECES[1];
        let (high, low) = two_sum(exact, n * -PIECES[2]);
        Turn {
            count,
            high,
            low: low - n * PIECES[3],
        }
    }
}
