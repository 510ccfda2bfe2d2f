//! The error function, its complement and its inverse, and the normal distribution's shares.
//! Leans on `real`, `exponential`, `logarithm` and the fitted coefficients.

use super::coefficients::Fitted;
use super::exponential::{exp_mid, exp_times};
use super::logarithm::log_plain;
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

/// `erfc(a - over)` for an `a` from 0.56 to `ERFC_MAX`, given the square of `a - over` as a sum of two.
#[inline(always)]
fn beyond<T: Fitted, const FMA: bool>(a: T, over: T, (square, square_low): (T, T)) -> T {
    let one = T::lit(1.0);
    // erfc a = e^(-a^2) u (1 + Q(v)), u = 1 / (a + shift), v = u mapped around 0. What rounding
    // took from u (up to four times as much of the result) and from a^2 is put back.
    let (sum, sum_low) = two_sum(T::ERFC_SHIFT, a);
    let u = one / sum;
    let (p, p_low) = two_prod::<T, FMA>(u, sum);
    let u_low = (((one - p) - p_low) - u * (sum_low - over)) * u;
    let v = fma::<T, FMA>(u, T::ERFC_SCALE, -T::ERFC_CENTRE);
    let q = poly::<T, FMA>(fma::<T, FMA>(u_low, T::ERFC_SCALE, v), T::ERFC);
    let low = fma::<T, FMA>(-u, square_low, u_low);
    let (head, rest) = fast_two_sum(u, u * q);
    exp_times::<T, FMA>(-square, head, fma::<T, FMA>(low, q, low) + rest)
}

/// Complementary error function `1 - erf x`, relatively accurate on the right tail.
#[inline(always)]
pub fn erfc<T: Fitted, const FMA: bool>(x: T) -> T {
    let a = at_most(x.abs(), T::ERFC_MAX);
    let tail = beyond::<T, FMA>(a, T::lit(0.0), two_prod::<T, FMA>(a, a));
    let far = pick(x < T::lit(0.0), T::lit(2.0) - tail, tail);
    // Up to 0.8 the result is at least a quarter, and the difference exact enough.
    pick(a < T::lit(0.8), T::lit(1.0) - near::<T, FMA>(x), far)
}

/// The standard normal distribution's share below `x`, relatively accurate on the left tail.
#[inline(always)]
pub fn ndtr<T: Fitted, const FMA: bool>(x: T) -> T {
    let (one, half) = (T::lit(1.0), T::lit(0.5));
    let scale = T::lit(core::f64::consts::FRAC_1_SQRT_2);
    let a = at_most(x.abs(), T::ERFC_MAX * T::lit(core::f64::consts::SQRT_2));
    // erfc(a / sqrt 2) / 2, with the square of the quotient taken from a, where it is a^2 / 2 exactly.
    let (y, y_low) = two_prod::<T, FMA>(a, scale);
    let (square, square_low) = two_prod::<T, FMA>(a, a);
    let tail = beyond::<T, FMA>(y, -y_low, (square * half, square_low * half)) * half;
    let far = pick(x > T::lit(0.0), one - tail, tail);
    pick(y < T::lit(0.8), fma::<T, FMA>(near::<T, FMA>(x * scale), half, half), far)
}

/// `erfinv(x) / x` in `w = -log(1 - x^2)` up to 5. Error 2^-27.4.
const INVERSE_NEAR: [f32; 10] =
    [0.8862269, 0.23201382, 0.011548654, -0.002334296, -0.0001274818, 4.456532e-5, 3.983197e-6, -1.9764523e-6, 2.2102945e-7, -8.790966e-9];

/// `erfinv(x) / x` in `sqrt w - 3`, `w` from 5 to 16. Error 2^-27.4.
const INVERSE_FAR: [f32; 10] =
    [2.8329768, 1.0016751, 0.009445684, -0.00763941, 0.005683173, -0.0035869882, 0.0014958556, -7.661841e-5, -0.00031872262, 0.00012896345];

/// `erfinv(x) / x` in `sqrt w - 4`, `w` from 5 to 37. Error 2^-22.7.
const INVERSE_FARTHER: [f64; 12] = [
    3.8397844,
    1.0094938,
    0.0012488766,
    -0.0008735211,
    0.00035627506,
    -0.000110619025,
    1.3340857e-5,
    -3.460319e-5,
    4.185278e-5,
    -1.1138163e-5,
    -2.6093367e-6,
    1.0782395e-6,
];

/// `erfinv x` for `|x| < 1` by two polynomials (the change of variable is Giles's, 2010), the second in `sqrt w - centre`.
#[inline(always)]
fn inverse<T: Fitted, const FMA: bool>(x: T, close: &[T], far: &[T], centre: T) -> T {
    let one = T::lit(1.0);
    let w = -log_plain::<T, FMA>((one - x) * (one + x));
    let close = poly::<T, FMA>(w, close);
    x * pick(w < T::lit(5.0), close, poly::<T, FMA>(w.sqrt() - centre, far))
}

/// `y` for `|x| < 1`; else what the inverse error function is at 1, beyond and at NaN.
#[inline(always)]
fn inside<T: Fitted>(x: T, y: T) -> T {
    let a = x.abs();
    let edge = pick(a == T::lit(1.0), T::INFINITY.copysign(x), T::NAN);
    pick(a < T::lit(1.0), y, edge)
}

/// Inverse error function; infinite at 1 and -1, NaN beyond.
#[inline(always)]
pub fn erfinv_single<const FMA: bool>(x: f32) -> f32 {
    inside(x, inverse::<f32, FMA>(x, &INVERSE_NEAR, &INVERSE_FAR, 3.0))
}

/// See [`erfinv_single`].
#[inline(always)]
pub fn erfinv_double<const FMA: bool>(x: f64) -> f64 {
    const CLOSE: [f64; 10] = {
        let mut wide = [0.0; 10];
        let mut k = 0;
        while k < 10 {
            wide[k] = INVERSE_NEAR[k] as f64;
            k += 1;
        }
        wide
    };
    let t = x.abs();
    let y = inverse::<f64, FMA>(t, &CLOSE, &INVERSE_FARTHER, 4.0);
    // One step of Halley's method on whichever of erf and erfc is small: 22 bits become more than 53.
    let gap = pick(t < 0.5, near::<f64, FMA>(y) - t, (1.0 - t) - erfc::<f64, FMA>(y));
    let u = gap * (1.0 / core::f64::consts::FRAC_2_SQRT_PI) * exp_mid::<f64, FMA>(y * y);
    inside(x, (y - u / fma::<f64, FMA>(y, u, 1.0)).copysign(x))
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
