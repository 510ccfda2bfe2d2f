//! The logarithm of the gamma function and its derivative.
//! Leans on `real`, `exact` and `logarithm`.
//!
//! Both are computed in `f64`, for `f32` too: short sums of large terms need the digits. On
//! `[1, 3]` a polynomial with the exact zeros split off; from 3 to 8 the recurrence leads there;
//! from 8 on Stirling's series; below 0 the reflection formulas.

use super::coefficients::Fitted;
use super::exact::round;
use super::logarithm::log;
use super::real::{fma, pick, poly};

/// `log gamma(2 + u) / (u (u + 1))`, `|u| <= 1`: error 2^-55.4.
const LGAMMA: &[f64] = &[
    0.42278433509846713,
    -0.10031730167435392,
    0.03296500062115775,
    -0.012384192193372657,
    0.004998641164565516,
    -0.0021081308338421942,
    0.0009153769257098505,
    -0.00040570740040333993,
    0.00018255259246858818,
    -8.309509012125867e-5,
    3.816926228345016e-5,
    -1.7661942855478438e-5,
    8.220267355425282e-6,
    -3.846055926605401e-6,
    1.8147957434326239e-6,
    -8.570592788509089e-7,
    3.8755894728737933e-7,
    -1.823941406040071e-7,
    1.1855616814381107e-7,
    -5.825381148754198e-8,
    -1.1413643379394275e-8,
    6.469038823288795e-9,
    3.054625205826193e-8,
    -1.4780406721548098e-8,
    -1.2084444978753234e-8,
    5.540005445482225e-9,
    4.052290290953911e-9,
    -1.7744114416450973e-9,
    -3.525678183420957e-10,
    1.3310018638763462e-10,
];
/// `x (log gamma(x) - (x - 1/2) log x + x - log(2 pi) / 2)` in `1 / x^2`, `x >= 8`: error 2^-69.1.
const STIRLING: &[f64] = &[
    0.08333333333333331,
    -0.0027777777777506694,
    0.0007936507796916418,
    -0.0005952346023359614,
    0.000841273785215003,
    -0.0018808642203285888,
    0.00488608710315348,
];
/// `digamma(2 + u) / (2 + u - ROOT)`, `|u| <= 1`: error 2^-53.4.
const DIGAMMA: &[f64] = &[
    0.7853075386041053,
    -0.2607389546830014,
    0.1089999170176182,
    -0.04955103291766866,
    0.023447309598279082,
    -0.011338432553665088,
    0.005552254155501693,
    -0.002739572873764497,
    0.0013581424230612808,
    -0.0006753135026290372,
    0.00033643037650840266,
    -0.00016781409366421892,
    8.37905935766475e-5,
    -4.18519695904085e-5,
    2.0851712636982978e-5,
    -1.0420806479338096e-5,
    5.3697502085786764e-6,
    -2.6833836751832325e-6,
    1.0334578372836448e-6,
    -5.208320773046301e-7,
    6.819595041049417e-7,
    -3.3323256544660994e-7,
    -2.4226894563866787e-7,
    1.1270813385862013e-7,
    2.1767454868008116e-7,
    -1.0329967928952321e-7,
    -6.877193333197112e-8,
    3.2343650152617254e-8,
    1.496667636195088e-8,
    -7.157545918544112e-9,
];
/// `x^2 (digamma(x) - log x + 1 / (2 x))` in `1 / x^2`, `x >= 8`: error 2^-64.7.
const DIGAMMA_FAR: &[f64] = &[
    -0.08333333333333316,
    0.008333333333046483,
    -0.0039682538063617,
    0.0041666232999144764,
    -0.007569507101500307,
    0.02059030009028318,
    -0.06155999039501876,
];
/// The positive zero of the digamma function, in two parts.
const ROOT: (f64, f64) = (1.4616321449683622, 9.549995429965697e-17);
const HALF_LOG_TWO_PI: f64 = 0.9189385332046728;

/// The steps down from `a` in `[1, 8)` to `2 + u` in `[1, 3)`: `(u, p, d)` with `p` the product of
/// the factors passed and `d / p` the sum of their reciprocals. Below 1, `u` is one step up.
#[inline(always)]
fn descend<const FMA: bool>(a: f64) -> (f64, f64, f64) {
    let (mut y, mut p, mut d) = (a, 1.0, 0.0);
    let mut i = 0;
    while i < 5 {
        let t = y - 1.0;
        let go = y >= 3.0;
        d = pick(go, fma::<f64, FMA>(d, t, p), d);
        p = pick(go, p * t, p);
        y = pick(go, t, y);
        i += 1;
    }
    (pick(a < 1.0, a - 1.0, y - 2.0), p, d)
}

/// `(|sin|, cos)` of `pi r`, `|r| <= 1/2`, the cosine with the sign of `r`.
#[inline(always)]
fn half_turn<const FMA: bool>(r: f64) -> (f64, f64) {
    let a = r.abs();
    let steep = a > 0.25;
    let t = pick(steep, 0.5 - a, a) * f64::PI;
    let z = t * t;
    let s = fma::<f64, FMA>(t * z, poly::<f64, FMA>(z, f64::SIN), t);
    let c = fma::<f64, FMA>(z * z, poly::<f64, FMA>(z, f64::COS), 1.0 - 0.5 * z);
    (pick(steep, c, s), pick(steep, s, c).copysign(r))
}

/// Logarithm of the magnitude of the gamma function; infinite at the integers up to zero.
#[inline(always)]
pub fn lgamma_double<const FMA: bool>(x: f64) -> f64 {
    let a = x.abs();
    let (low, far) = (a < 1.0, a >= 8.0);
    let (u, p, _) = descend::<FMA>(a);
    let near = (u * (u + 1.0)) * poly::<f64, FMA>(u, LGAMMA);
    let l = log::<f64, FMA>(pick(low | far, a, p));
    let inverse = 1.0 / a;
    let series = inverse * poly::<f64, FMA>(inverse * inverse, STIRLING);
    let stirling = fma::<f64, FMA>(a - 0.5, l - 1.0, (HALF_LOG_TWO_PI - 0.5) + series);
    // gamma(a) gamma(-a) = -pi / (a sin(pi a)); below 1 the a is left with its logarithm.
    let (sine, _) = half_turn::<FMA>(a - round::<f64, FMA>(a));
    let mirror = log::<f64, FMA>(sine * pick(low, 1.0, a) * core::f64::consts::FRAC_1_PI);
    let right = pick(far, stirling, near + pick(low, -l, l));
    let left = -mirror - pick(low, near, right);
    let y = pick(x < 0.0, left, right);
    pick((a == f64::INFINITY) | (x == 0.0), f64::INFINITY, y)
}

/// Derivative of the logarithm of the gamma function; NaN at the negative integers.
#[inline(always)]
pub fn digamma_double<const FMA: bool>(x: f64) -> f64 {
    let a = x.abs();
    let (low, far, left) = (a < 1.0, a >= 8.0, x < 0.0);
    let (u, p, d) = descend::<FMA>(a);
    let shifted = (u + (2.0 - ROOT.0)) - ROOT.1;
    let near = fma::<f64, FMA>(shifted, poly::<f64, FMA>(u, DIGAMMA), d / p);
    let inverse = 1.0 / a;
    let z = inverse * inverse;
    let series = fma::<f64, FMA>(z, poly::<f64, FMA>(z, DIGAMMA_FAR), -0.5 * inverse);
    let y = pick(far, log::<f64, FMA>(a) + series, near);
    // The step between a and a + 1 that each side still lacks: the reflection starts from
    // digamma(1 + a).
    let y = y + pick(low != left, pick(left, inverse, -inverse), 0.0);
    let (sine, cosine) = half_turn::<FMA>(a - round::<f64, FMA>(a));
    let mirror = core::f64::consts::PI * cosine / sine;
    let y = pick(left, pick(sine == 0.0, f64::NAN, y + mirror), y);
    let y = pick(x == f64::INFINITY, x, y);
    pick(x == 0.0, (-f64::INFINITY).copysign(-x), y)
}

/// [`lgamma_double`] rounded to `f32`.
#[inline(always)]
pub fn lgamma_single<const FMA: bool>(x: f32) -> f32 {
    lgamma_double::<FMA>(f64::from(x)) as f32
}

/// [`digamma_double`] rounded to `f32`.
#[inline(always)]
pub fn digamma_single<const FMA: bool>(x: f32) -> f32 {
    digamma_double::<FMA>(f64::from(x)) as f32
}
