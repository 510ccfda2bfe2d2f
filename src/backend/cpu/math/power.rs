//! Powers: `x^y` for every pair, as IEEE 754 and C99 define it.
//! Leans on `real`, `exact`, `exponential` and `logarithm`.
//!
//! `|x|^y = 2^(y log2 |x|)`; the logarithm needs about eleven digits more than the result (its
//! error is multiplied by up to 1075): `f32` takes them from `f64`, `f64` from pairs of `f64`.

use super::exact::round;
use super::exponential::exp2_sum;
use super::logarithm::split;
use super::real::{Real, at_least, at_most, fast_two_sum, fma, pick, poly, two_prod};

/// Turns `r = |x|^y` into `x^y`: signs, and the cases that are 1 or NaN by definition.
#[inline(always)]
fn settle<T: Real, const FMA: bool>(x: T, y: T, r: T) -> T {
    let (zero, one) = (T::lit(0.0), T::lit(1.0));
    let half = y * T::lit(0.5);
    let integer = round::<T, FMA>(y) == y;
    let odd = integer & (round::<T, FMA>(half) != half);
    let negative = one.copysign(x) < zero;
    let r = pick(negative & odd, -r, r);
    let nowhere = (x < zero) & (x > -T::INFINITY) & !integer;
    let r = pick(nowhere, T::NAN, r);
    let endless = y.abs() == T::INFINITY;
    pick((y == zero) | (x == one) | (endless & (x == -one)), one, r)
}

/// `log2(m) = s Q(s^2)`, `s = (m - 1) / (m + 1)`: minimax of relative error 2^-37.8 for `m` in
/// `[sqrt(1/2), sqrt(2)]`.
const LOG2: [f64; 5] = [2.8853900817900864, 0.9617966733498557, 0.5770835829319805, 0.41167284774955226, 0.3407277625141896];
/// `(2^r - 1) / r`: minimax of error 2^-31.8 in `2^r`, for `r` in `[-1/2, 1/2]`.
const EXP2: [f64; 7] = [
    0.6931471838188982,
    0.24022650921376815,
    0.05550400416162304,
    0.009618056776182255,
    0.0013341875567786862,
    0.00015461345814423265,
    1.3379158659898084e-5,
];

/// `x^y` in `f32`.
#[inline(always)]
pub fn pow_single<const FMA: bool>(x: f32, y: f32) -> f32 {
    // Every f32 is a normal f64, and the last conversion rounds into denormals or to infinity.
    let a = f64::from(x.abs());
    let (k, m, _) = a.split();
    let s = (m - 1.0) / (m + 1.0);
    let l = fma::<f64, FMA>(s, poly::<f64, FMA>(s * s, &LOG2), k);
    let l = pick(a < f64::INFINITY, pick(a == 0.0, -f64::INFINITY, l), a);
    let p = at_least(at_most(f64::from(y) * l, 200.0), -200.0);
    let t = p + f64::MAGIC;
    let r = p - (t - f64::MAGIC);
    let e = fma::<f64, FMA>(r, poly::<f64, FMA>(r, &EXP2), 1.0) * t.pow2_of_magic(0);
    settle::<f32, FMA>(x, y, e as f32)
}

/// `log2((1 + s) / (1 - s)) = s (C0 + z (C1 + z R(z)))`, `z = s^2`: `C0 = 2 / ln 2` and
/// `C1 = C0 / 3` as pairs, `R` a minimax polynomial of relative error 2^-66.3 in the logarithm.
const C0: (f64, f64) = (2.8853900817779268, 4.0710547481862066e-17);
const C1: (f64, f64) = (0.9617966939259756, 5.0577616648125907e-17);
const R: [f64; 7] = [
    0.5770780163556178,
    0.412198583091994,
    0.3205989022641981,
    0.2623077019113666,
    0.22198396318388958,
    0.19125592916458592,
    0.19037862211884643,
];

/// `log2 a` as a sum of two numbers, for positive finite `a`.
#[inline(always)]
fn log2_pair<const FMA: bool>(a: f64) -> (f64, f64) {
    let (k, m) = split(a);
    // s = (m - 1) / (m + 1) with what rounding took from it.
    let (f, g) = (m - 1.0, m + 1.0);
    let g_low = m - (g - 1.0);
    let inverse = 1.0 / g;
    let s = f * inverse;
    let (p, e) = two_prod::<f64, FMA>(s, g);
    let s_low = (((f - p) - e) - s * g_low) * inverse;
    // The first term s C0.
    let (first, e) = two_prod::<f64, FMA>(s, C0.0);
    let first_low = fma::<f64, FMA>(s_low, C0.0, fma::<f64, FMA>(s, C0.1, e));
    // The others, s^3 (C1 + z R): at most a hundredth of the first, so seven bits fewer suffice.
    let (z, e) = two_prod::<f64, FMA>(s, s);
    let z_low = fma::<f64, FMA>(s + s, s_low, e);
    let (cube, e) = two_prod::<f64, FMA>(s, z);
    let cube_low = fma::<f64, FMA>(s, z_low, fma::<f64, FMA>(s_low, z, e));
    let (c, c_low) = fast_two_sum(C1.0, z * poly::<f64, FMA>(z, &R));
    let (rest, e) = two_prod::<f64, FMA>(cube, c);
    let rest_low = fma::<f64, FMA>(cube, c_low + C1.1, fma::<f64, FMA>(cube_low, c, e));
    let (l, l_low) = fast_two_sum(first, rest);
    let (sum, sum_low) = fast_two_sum(k, l);
    (sum, sum_low + (l_low + (first_low + rest_low)))
}

/// `x^y` in `f64`.
#[inline(always)]
pub fn pow_double<const FMA: bool>(x: f64, y: f64) -> f64 {
    let a = x.abs();
    let l = log2_pair::<FMA>(a);
    let whole = (a > 0.0) & (a < f64::INFINITY);
    let edge = pick(a == 0.0, -f64::INFINITY, a);
    // Far beyond the range of 2^p the low part is without meaning (and may be NaN).
    let p = y * pick(whole, l.0, edge);
    let inside = whole & (p.abs() < 1100.0);
    let (v, l1) = (pick(inside, y, 0.0), pick(inside, l.0, 0.0));
    let (q, e) = two_prod::<f64, FMA>(v, l1);
    let low = pick(inside, fma::<f64, FMA>(v, l.1, e), 0.0);
    let r = exp2_sum::<f64, FMA>(pick(inside, q, p), low);
    settle::<f64, FMA>(x, y, r)
}
