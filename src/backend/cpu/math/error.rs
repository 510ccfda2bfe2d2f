//! The error function and its complement.
//! Leans on `real`, `exponential` and the fitted coefficients.

use super::coefficients::Fitted;
use super::exponential::{exp_mid, exp_times};
use super::real::{at_most, fast_two_sum, fma, pick, poly, two_prod, two_sum};

/// `erf x` for `|x| <= 1`.
#[inline(always)]
fn near<T: Fitted, const FMA: bool>(x: T) -> T {
    let z = x * x;
    fma::<T, FMA>(x, poly::<T, FMA>(z, T::ERF), x)
}

/// `erf x` of what it is at `|x|` if that is 1 or more, `far`.
#[inline(always)]
fn with_far<T: Fitted, const FMA: bool>(x: T, far: T) -> T {
    let a = x.abs();
    pick(a < T::lit(1.0), near::<T, FMA>(a), far).copysign(x)
}

/// The square root of `erfc(3/2 + v)`, `-1/2 <= v <= 2.44`. Error of its square 2^-30.2.
const ROOT: &[f32] = &[
    0.18410555,
    -0.32299483,
    0.20116103,
    -0.023910908,
    -0.030721927,
    0.012603758,
    0.0016242507,
    -0.0020191183,
    0.00020480696,
    0.00017631917,
    -6.240008e-5,
    6.4976275e-6,
];

/// Error function `2 / sqrt(pi) * integral of e^(-t^2) from 0 to x`.
#[inline(always)]
pub fn erf_single<const FMA: bool>(x: f32) -> f32 {
    // Beyond 1 the difference is at least 0.84, so that errors of the root shrink in it; from 3.94 on it is 1.
    let root = poly::<f32, FMA>(at_most(x.abs(), 3.94) - 1.5, ROOT);
    with_far::<f32, FMA>(x, fma::<f32, FMA>(-root, root, 1.0))
}

/// `-log(erfc(1 + v))`, `0 <= v <= 5`. Error 2^-58.7.
const LOG: &[f64] = &[
    1.8496055099332482,
    2.6389675142347944,
    0.8431072563583507,
    0.041561098048601586,
    -0.010033825447781981,
    0.0019779030415426136,
    -0.00023732446847844803,
    -2.627215738189941e-5,
    2.714741400679434e-5,
    -9.591469321525941e-6,
    2.040567634499637e-6,
    -1.2710971192732576e-7,
    -1.0719850839758538e-7,
    5.641316302161347e-8,
    -1.635623791299556e-8,
    3.2009848640761397e-9,
    -4.207262080210319e-10,
    3.3704053977872225e-11,
    -1.2447287434965965e-12,
];

/// See [`erf_single`].
#[inline(always)]
pub fn erf_double<const FMA: bool>(x: f64) -> f64 {
    // Beyond 1, erf = 1 - exp(-L) with L = -log(erfc) almost a parabola: a root would need half as many coefficients again.
    let l = poly::<f64, FMA>(at_most(x.abs(), 6.0) - 1.0, LOG);
    with_far::<f64, FMA>(x, 1.0 - exp_mid::<f64, FMA>(-l))
}

/// Complementary error function `1 - erf x`, relatively accurate on the right tail.
#[inline(always)]
pub fn erfc<T: Fitted, const FMA: bool>(x: T) -> T {
    let one = T::lit(1.0);
    let a = at_most(x.abs(), T::ERFC_MAX);
    // erfc a = e^(-a^2) u (1 + Q(v)), u = 1 / (a + shift), v = u mapped around 0. What rounding
    // took from u (up to four times as much of the result) and from a^2 is put back.
    let (sum, sum_low) = two_sum(T::ERFC_SHIFT, a);
    let u = one / sum;
    let (p, p_low) = two_prod::<T, FMA>(u, sum);
    let u_low = (((one - p) - p_low) - u * sum_low) * u;
    let v = fma::<T, FMA>(u, T::ERFC_SCALE, -T::ERFC_CENTRE);
    let q = poly::<T, FMA>(fma::<T, FMA>(u_low, T::ERFC_SCALE, v), T::ERFC);
    let (square, square_low) = two_prod::<T, FMA>(a, a);
    let low = fma::<T, FMA>(-u, square_low, u_low);
    let (head, rest) = fast_two_sum(u, u * q);
    let tail = exp_times::<T, FMA>(-square, head, fma::<T, FMA>(low, q, low) + rest);
    let far = pick(x < T::lit(0.0), T::lit(2.0) - tail, tail);
    // Up to 0.8 the result is at least a quarter, and the difference exact enough.
    pick(a < T::lit(0.8), one - near::<T, FMA>(x), far)
}

/// The fourth root of what the standard normal distribution has beyond `a`, `0 <= a <= FAR`, is about `ABOVE / BELOW`.
/// Error of its fourth power, relative up to 1, then of `a` times it: 2^-25.
const ABOVE: &[f32] = &[0.8408964, -0.28803673, 0.03280266, -0.0011549612, -1.0265735e-5];
const BELOW: &[f32] = &[1.0, -0.1430636, 0.07014985, -0.0013644809, -1.8118191e-5, 0.00047310058, -6.1966166e-5, 8.424425e-6];
/// Where the quotient is 0.
const FAR: f32 = 8.44879;

/// What the standard normal distribution has beyond `0 <= a <= FAR`: within 1.2e-6 of itself up to 3, and 5e-8 of 1.
#[inline(always)]
fn tail<const FMA: bool>(a: f32) -> f32 {
    let root = poly::<f32, FMA>(a, ABOVE) / poly::<f32, FMA>(a, BELOW);
    let half = root * root;
    half * half
}

/// The standard normal distribution's share below `x`.
#[inline(always)]
pub fn normal_single<const FMA: bool>(x: f32) -> f32 {
    let q = tail::<FMA>(at_most(x.abs(), FAR));
    pick(x > 0.0, 1.0 - q, q)
}

/// `x` times the standard normal distribution's share below `x` (Hendrycks and Gimpel 2016).
#[inline(always)]
pub fn gelu_single<const FMA: bool>(x: f32) -> f32 {
    let a = at_most(x.abs(), FAR);
    // Beyond it nothing is left but a zero with x's sign, and NaN of a negative infinity, as of the formula.
    fma::<f32, FMA>(-pick(a < FAR, a, 0.0), tail::<FMA>(a), pick(x > 0.0, x, 0.0 * x))
}

/// See [`normal_single`].
#[inline(always)]
pub fn normal_double<const FMA: bool>(x: f64) -> f64 {
    0.5 * (1.0 + erf_double::<FMA>(x * core::f64::consts::FRAC_1_SQRT_2))
}

/// See [`gelu_single`].
#[inline(always)]
pub fn gelu_double<const FMA: bool>(x: f64) -> f64 {
    x * normal_double::<FMA>(x)
}
