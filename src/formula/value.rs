//! What a formula may say: the operations that a record's body is generic over. Leans on std's operator traits.
//!
//! A body reads the same whether its values are numbers in a kernel's loop or lines on paper: it is written once,
//! generic over `V`, and each reader brings its own `V`.

use std::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Not, Sub};

/// A truth inside a formula.
pub trait Truth: Copy + BitAnd<Output = Self> + BitOr<Output = Self> + BitXor<Output = Self> + Not<Output = Self> {}

/// What every number can do, integers included (integers wrap).
pub trait Value: Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Neg<Output = Self> {
    type Mask: Truth;
    /// A constant; the value must be exact in the type.
    fn lit(value: f64) -> Self;
    fn lt(self, other: Self) -> Self::Mask;
    fn le(self, other: Self) -> Self::Mask;
    fn equals(self, other: Self) -> Self::Mask;
    /// `yes` where the mask holds, else `no`; never computes with the other one.
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;
    fn abs(self) -> Self;
    fn gt(self, other: Self) -> Self::Mask {
        other.lt(self)
    }
    fn ge(self, other: Self) -> Self::Mask {
        other.le(self)
    }
    /// True for NaN, which integers have not.
    fn is_nan(self) -> Self::Mask;
    /// The larger one; NaN if either is.
    fn max(self, other: Self) -> Self {
        Self::select(other.lt(self) | self.is_nan(), self, other)
    }
    /// The smaller one; NaN if either is.
    fn min(self, other: Self) -> Self {
        Self::select(self.lt(other) | self.is_nan(), self, other)
    }
    /// -1, 0 or 1; 0 for NaN, as PyTorch has it.
    fn sign(self) -> Self {
        let (zero, one) = (Self::lit(0.0), Self::lit(1.0));
        let up = Self::select(zero.lt(self), one, zero);
        let down = Self::select(self.lt(zero), one, zero);
        up - down
    }
    /// The complex conjugate: of a real number, the number.
    fn conj(self) -> Self {
        self
    }
    fn truth(self) -> Self::Mask {
        !self.equals(Self::lit(0.0))
    }
    /// The remainder with the divisor's sign (Python's `%`).
    fn modulo(self, other: Self) -> Self;
    /// The remainder with the dividend's sign (C's `fmod`).
    fn fmod(self, other: Self) -> Self;
    /// The quotient rounded down (Python's `//`).
    fn floor_div(self, other: Self) -> Self;
    fn pow(self, other: Self) -> Self;
}

/// What integers can do besides.
pub trait Integer: Value + BitAnd<Output = Self> + BitOr<Output = Self> + BitXor<Output = Self> + Not<Output = Self> {
    fn shl(self, other: Self) -> Self;
    fn shr(self, other: Self) -> Self;
}

/// What floats can do besides.
pub trait Float: Value + Div<Output = Self> {
    fn sqrt(self) -> Self;
    fn floor(self) -> Self;
    fn ceil(self) -> Self;
    fn trunc(self) -> Self;
    /// To the nearest integer, halves to even.
    fn round(self) -> Self;
    fn exp(self) -> Self;
    fn exp2(self) -> Self;
    fn expm1(self) -> Self;
    fn log(self) -> Self;
    fn log2(self) -> Self;
    fn log10(self) -> Self;
    fn log1p(self) -> Self;
    fn sin(self) -> Self;
    fn cos(self) -> Self;
    fn tan(self) -> Self;
    fn asin(self) -> Self;
    fn acos(self) -> Self;
    fn atan(self) -> Self;
    fn atan2(self, other: Self) -> Self;
    fn sinh(self) -> Self;
    fn cosh(self) -> Self;
    fn tanh(self) -> Self;
    fn asinh(self) -> Self;
    fn acosh(self) -> Self;
    fn atanh(self) -> Self;
    fn erf(self) -> Self;
    fn erfc(self) -> Self;
    fn sigmoid(self) -> Self;
    fn lgamma(self) -> Self;
    fn digamma(self) -> Self;
    fn copysign(self, other: Self) -> Self;
    /// The standard normal distribution's share below, right to a few units of 1's last place.
    fn normal(self) -> Self {
        (Self::lit(1.0) + (self * Self::lit(std::f64::consts::FRAC_1_SQRT_2)).erf()) * Self::lit(0.5)
    }
    /// Itself times that share.
    fn gelu(self) -> Self {
        self * self.normal()
    }
    /// The standard normal distribution's share below, exact also far on the left.
    fn ndtr(self) -> Self {
        super::normal::ndtr(self)
    }
    /// The inverse of the error function.
    fn erfinv(self) -> Self {
        super::normal::erfinv(self)
    }
    fn recip(self) -> Self {
        Self::lit(1.0) / self
    }
    fn is_inf(self) -> Self::Mask {
        self.abs().equals(Self::lit(f64::INFINITY))
    }
}
