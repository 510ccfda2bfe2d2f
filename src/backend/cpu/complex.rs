//! Complex numbers in a formula's loop, and their elementary functions, all worked out in float64. Leans on native's values,
//! on the edges and on num-complex.
//!
//! The functions follow W. Kahan, "Branch Cuts for Complex Elementary Functions" (1987): right on both sides of a cut, by
//! the sign of zero, and without cancellation near the branch points.

use super::complex_edges as edges;
use super::native::Native;
use crate::base::Number;
use crate::formula::value::{Float, Value};
use num_complex::Complex;
use std::f64::consts::{FRAC_PI_2, LN_2, LN_10};
use std::ops::{Add, Div, Mul, Neg, Sub};

type Z = Complex<f64>;

/// A complex number in a loop.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Cx<T>(pub Complex<T>);

/// One part of a complex number.
pub trait Part: Copy + PartialEq + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Neg<Output = Self> {
    fn wide(self) -> f64;
    fn narrow(v: f64) -> Self;
    /// A quotient that neither overflows nor vanishes on the way.
    fn quotient(a: Complex<Self>, b: Complex<Self>) -> Complex<Self>;
}

impl Part for f32 {
    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn narrow(v: f64) -> f32 {
        v as f32
    }
    #[inline(always)]
    fn quotient(a: Complex<f32>, b: Complex<f32>) -> Complex<f32> {
        // Squares of float32 fit float64 at both ends.
        let (a, b) = (wide(a), wide(b));
        let by = b.re * b.re + b.im * b.im;
        if by == 0.0 || !by.is_finite() {
            return narrow(smith(a, b));
        }
        Complex::new(((a.re * b.re + a.im * b.im) / by) as f32, ((a.im * b.re - a.re * b.im) / by) as f32)
    }
}

impl Part for f64 {
    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }
    #[inline(always)]
    fn narrow(v: f64) -> f64 {
        v
    }
    #[inline(always)]
    fn quotient(a: Z, b: Z) -> Z {
        smith(a, b)
    }
}

#[inline(always)]
fn wide<T: Part>(z: Complex<T>) -> Z {
    Complex::new(z.re.wide(), z.im.wide())
}

#[inline(always)]
fn narrow<T: Part>(z: Z) -> Complex<T> {
    Complex::new(T::narrow(z.re), T::narrow(z.im))
}

/// R. L. Smith's division (1962).
fn smith(a: Z, b: Z) -> Z {
    let (c, d) = (b.re, b.im);
    if c == 0.0 && d == 0.0 {
        return Complex::new(a.re / c.abs(), a.im / c.abs());
    }
    if b.re.is_infinite() || b.im.is_infinite() {
        if a.re.is_finite() && a.im.is_finite() {
            let unit = |x: f64| f64::from(u8::from(x.is_infinite())).copysign(x);
            let (c, d) = (unit(c), unit(d));
            return Complex::new(0.0 * (a.re * c + a.im * d), 0.0 * (a.im * c - a.re * d));
        }
        return Complex::new(f64::NAN, f64::NAN);
    }
    if c.abs() >= d.abs() {
        let r = d / c;
        let by = c + d * r;
        Complex::new((a.re + a.im * r) / by, (a.im - a.re * r) / by)
    } else {
        let r = c / d;
        let by = c * r + d;
        Complex::new((a.re * r + a.im) / by, (a.im * r - a.re) / by)
    }
}

/// A product in which zero stays zero beside infinity.
fn times(a: f64, b: f64) -> f64 {
    if a == 0.0 || b == 0.0 { 0.0f64.copysign(a) * 1.0f64.copysign(b) } else { a * b }
}

/// `z` times the imaginary unit, and divided by it.
fn turn(z: Z) -> Z {
    Complex::new(-z.im, z.re)
}
fn back(z: Z) -> Z {
    Complex::new(z.im, -z.re)
}

fn exp(z: Z) -> Z {
    if z.im == 0.0 {
        return Complex::new(z.re.exp(), z.im);
    }
    if z.re == f64::NEG_INFINITY && !z.im.is_finite() {
        return Complex::new(0.0, 0.0);
    }
    if z.re == f64::INFINITY && !z.im.is_finite() {
        return Complex::new(f64::INFINITY, f64::NAN);
    }
    if !z.im.is_finite() {
        return Complex::new(f64::NAN, f64::NAN);
    }
    let (s, c) = z.im.sin_cos();
    if z.re > 700.0 && z.re < 1500.0 {
        // The factor alone may pass the largest number where the product does not.
        let half = (z.re * 0.5).exp();
        return Complex::new(half * c * half, half * s * half);
    }
    let size = z.re.exp();
    Complex::new(times(size, c), times(size, s))
}

fn expm1(z: Z) -> Z {
    if !edges::plain(z) {
        return edges::expm1(z);
    }
    let half = (z.im * 0.5).sin();
    let grown = z.re.exp_m1();
    // Of two zeros the one with a plus, whatever the signs of the parts.
    Complex::new(grown - times(grown + 1.0, 2.0 * half * half) + 0.0, times(z.re.exp(), z.im.sin()))
}

/// The logarithm of the modulus, exact also near the unit circle.
fn log_size(z: Z) -> f64 {
    let (a, b) = (z.re.abs().max(z.im.abs()), z.re.abs().min(z.im.abs()));
    if (0.5..2.0).contains(&a) && !z.re.is_nan() && !z.im.is_nan() {
        0.5 * ((a - 1.0) * (a + 1.0) + b * b).ln_1p()
    } else {
        z.re.hypot(z.im).ln()
    }
}

fn log(z: Z) -> Z {
    Complex::new(log_size(z), z.im.atan2(z.re))
}

fn log1p(z: Z) -> Z {
    let near = z.re.abs() < 0.5 && z.im.abs() < 0.5;
    let size = if near { 0.5 * (z.re * (2.0 + z.re) + z.im * z.im).ln_1p() } else { log_size(z + 1.0) };
    Complex::new(size, z.im.atan2(1.0 + z.re))
}

fn sqrt(z: Z) -> Z {
    let (x, y) = (z.re, z.im);
    if x == 0.0 && y == 0.0 {
        return Complex::new(0.0, y);
    }
    if y.is_infinite() {
        return Complex::new(f64::INFINITY, y);
    }
    if x.is_infinite() {
        let other = if y.is_nan() { y } else { 0.0f64.copysign(y) };
        return if x > 0.0 { Complex::new(x, other) } else { Complex::new(other.abs(), f64::INFINITY.copysign(y)) };
    }
    // A power of four out of the root keeps the sum in range.
    let large = x.abs().max(y.abs());
    let (scale, root) = if large > 1e300 {
        (0.0625, 4.0)
    } else if large < 1e-300 {
        (f64::powi(2.0, 200), f64::powi(2.0, -100))
    } else {
        (1.0, 1.0)
    };
    let (x, y) = (x * scale, y * scale);
    let t = ((x.abs() + x.hypot(y)) * 0.5).sqrt();
    if x >= 0.0 { Complex::new(t * root, y / (2.0 * t) * root) } else { Complex::new(y.abs() / (2.0 * t) * root, t.copysign(y) * root) }
}

fn sinh(z: Z) -> Z {
    if !edges::plain(z) {
        return edges::sinh(z);
    }
    let (s, c) = z.im.sin_cos();
    Complex::new(times(z.re.sinh(), c), times(z.re.cosh(), s))
}

fn cosh(z: Z) -> Z {
    if !edges::plain(z) {
        return edges::cosh(z);
    }
    let (s, c) = z.im.sin_cos();
    Complex::new(times(z.re.cosh(), c), times(z.re.sinh(), s))
}

fn tanh(z: Z) -> Z {
    if !edges::plain(z) {
        return edges::tanh(z);
    }
    if z.re.abs() > 22.0 {
        let (s, c) = z.im.sin_cos();
        return Complex::new(1.0f64.copysign(z.re), 4.0 * s * c * (-2.0 * z.re.abs()).exp());
    }
    let (t, s) = (z.im.tan(), z.re.sinh());
    let (beta, rho) = (1.0 + t * t, (1.0 + s * s).sqrt());
    let by = 1.0 + beta * s * s;
    Complex::new(beta * rho * s / by, t / by)
}

fn asin(z: Z) -> Z {
    if !edges::plain(z) {
        return back(edges::asinh(turn(z)));
    }
    let (low, high) = (sqrt(Complex::new(1.0 - z.re, -z.im)), sqrt(z + 1.0));
    Complex::new(z.re.atan2((low * high).re), (low.conj() * high).im.asinh())
}

fn acos(z: Z) -> Z {
    if !edges::plain(z) {
        return edges::acos(z);
    }
    let (low, high) = (sqrt(Complex::new(1.0 - z.re, -z.im)), sqrt(z + 1.0));
    Complex::new(2.0 * low.re.atan2(high.re), (high.conj() * low).im.asinh())
}

fn acosh(z: Z) -> Z {
    if !edges::plain(z) {
        return edges::acosh(z);
    }
    let (low, high) = (sqrt(z - 1.0), sqrt(z + 1.0));
    Complex::new((low.conj() * high).re.asinh(), 2.0 * low.im.atan2(high.re))
}

fn atanh(z: Z) -> Z {
    if !edges::plain(z) {
        return edges::atanh(z);
    }
    let side = 1.0f64.copysign(z.re);
    let (x, y) = (z.re.abs(), -z.im * side);
    let (re, im) = if x > 1e150 || y.abs() > 1e150 {
        (smith(Complex::new(1.0, 0.0), Complex::new(x, y)).re, FRAC_PI_2.copysign(y))
    } else if x == 1.0 && y == 0.0 {
        (f64::INFINITY, 0.0f64.copysign(y))
    } else {
        let k = y * y;
        ((4.0 * x / ((1.0 - x) * (1.0 - x) + k)).ln_1p() * 0.25, (2.0 * y).atan2((1.0 - x) * (1.0 + x) - k) * 0.5)
    };
    Complex::new(side * re, -side * im)
}

/// By products for small whole exponents, else through the logarithm.
fn pow(z: Z, w: Z) -> Z {
    let one = Complex::new(1.0, 0.0);
    if w.re == 0.0 && w.im == 0.0 {
        return one;
    }
    if w.im == 0.0 && w.re.abs() <= 64.0 && w.re == w.re.trunc() {
        let (mut base, mut left, mut result) = (z, w.re.abs() as u32, one);
        while left > 0 {
            if left & 1 == 1 {
                result *= base;
            }
            base *= base;
            left >>= 1;
        }
        return if w.re < 0.0 { smith(one, result) } else { result };
    }
    if z.re == 0.0 && z.im == 0.0 && w.re > 0.0 {
        return Complex::new(0.0, 0.0);
    }
    exp(w * log(z))
}

macro_rules! lanes {
    ($($t:ty),*) => {$(
        impl Native for Cx<$t> {
            type E = Complex<$t>;
            #[inline(always)]
            fn load(e: Complex<$t>) -> Self { Cx(e) }
            #[inline(always)]
            fn param(n: Number) -> Self { let (re, im) = n.pair(); Cx(Complex::new(re as $t, im as $t)) }
        }
        lanes!(@literal $t: Add add, Sub sub, Mul mul, Div div);
    )*};
    (@literal $t:ty: $($trait:ident $method:ident),*) => {$(
        impl $trait<f64> for Cx<$t> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: f64) -> Self { $trait::$method(self, Cx::lit(other)) }
        }
        impl $trait<Cx<$t>> for f64 {
            type Output = Cx<$t>;
            #[inline(always)]
            fn $method(self, other: Cx<$t>) -> Cx<$t> { $trait::$method(Cx::lit(self), other) }
        }
    )*};
}
lanes!(f32, f64);

impl<T: Part> Add for Cx<T> {
    type Output = Self;
    #[inline(always)]
    fn add(self, o: Self) -> Self {
        Cx(Complex::new(self.0.re + o.0.re, self.0.im + o.0.im))
    }
}
impl<T: Part> Sub for Cx<T> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, o: Self) -> Self {
        Cx(Complex::new(self.0.re - o.0.re, self.0.im - o.0.im))
    }
}
impl<T: Part> Mul for Cx<T> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, o: Self) -> Self {
        let (a, b) = (self.0, o.0);
        Cx(Complex::new(a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re))
    }
}
impl<T: Part> Div for Cx<T> {
    type Output = Self;
    #[inline(always)]
    fn div(self, o: Self) -> Self {
        Cx(T::quotient(self.0, o.0))
    }
}
impl<T: Part> Neg for Cx<T> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Cx(Complex::new(-self.0.re, -self.0.im))
    }
}

/// What complex numbers have not: a record that says it takes them and asks for this does not compile.
macro_rules! missing {
    ($($name:ident($($other:ident),*) -> $out:ty, $value:expr);* $(;)?) => {$(
        fn $name(self $(, $other: Self)*) -> $out {
            $( let _ = $other; )*
            const { assert!(size_of::<T>() == 0, concat!("complex numbers have no ", stringify!($name))) };
            $value(self)
        }
    )*};
}

impl<T: Part> Value for Cx<T> {
    type Mask = bool;
    #[inline(always)]
    fn lit(value: f64) -> Self {
        Cx(Complex::new(T::narrow(value), T::narrow(0.0)))
    }
    #[inline(always)]
    fn equals(self, other: Self) -> bool {
        self.0.re == other.0.re && self.0.im == other.0.im
    }
    #[inline(always)]
    fn select(mask: bool, yes: Self, no: Self) -> Self {
        if mask { yes } else { no }
    }
    #[inline(always)]
    fn conj(self) -> Self {
        Cx(Complex::new(self.0.re, -self.0.im))
    }
    /// The modulus, as a number without an imaginary part.
    fn abs(self) -> Self {
        let z = wide(self.0);
        Cx::lit(z.re.hypot(z.im))
    }
    #[inline(always)]
    fn is_nan(self) -> bool {
        self.0.re.wide().is_nan() || self.0.im.wide().is_nan()
    }
    fn pow(self, other: Self) -> Self {
        Cx(narrow(pow(wide(self.0), wide(other.0))))
    }
    missing!(lt(other) -> bool, |_| false; le(other) -> bool, |_| false; modulo(other) -> Self, |x| x; fmod(other) -> Self, |x| x;
        floor_div(other) -> Self, |x| x);
}

macro_rules! functions {
    ($($name:ident $f:expr),* $(,)?) => {$(
        fn $name(self) -> Self {
            let f: fn(Z) -> Z = $f;
            Cx(narrow(f(wide(self.0))))
        }
    )*};
}

impl<T: Part> Float for Cx<T> {
    functions!(
        sqrt sqrt, exp exp, exp2 |z| exp(z * LN_2), expm1 expm1, log log, log2 |z| log(z) / LN_2, log10 |z| log(z) / LN_10,
        log1p log1p, sin |z| back(sinh(turn(z))), cos |z| cosh(turn(z)), tan |z| back(tanh(turn(z))), asin asin, acos acos,
        atan |z| back(atanh(turn(z))), sinh sinh, cosh cosh, tanh tanh, asinh |z| back(asin(turn(z))), acosh acosh, atanh atanh,
        sigmoid |z| smith(Complex::new(1.0, 0.0), exp(-z) + 1.0),
    );
    fn is_inf(self) -> bool {
        self.0.re.wide().is_infinite() || self.0.im.wide().is_infinite()
    }
    missing!(floor() -> Self, |x| x; ceil() -> Self, |x| x; trunc() -> Self, |x| x; round() -> Self, |x| x;
        atan2(other) -> Self, |x| x; erf() -> Self, |x| x; erfc() -> Self, |x| x; lgamma() -> Self, |x| x; digamma() -> Self, |x| x;
        copysign(other) -> Self, |x| x);
}
