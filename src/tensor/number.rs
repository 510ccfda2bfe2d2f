//! Numbers with Python's arithmetic: whole as long as they can be, IEEE floats after that.
//! Leans on the standard library alone.

use std::fmt;
use std::ops::{Add, Mul, Neg, Sub};

/// A number as Python has them: whole as long as it fits 64 bits, and a float after that.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Int(i64),
    Float(f64),
}
use Number::{Float, Int};

/// Why an operation has no answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// A division by zero, or zero raised to a negative power.
    ZeroDivision(String),
    /// An argument outside the real function's domain.
    Domain(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::ZeroDivision(text) | Fault::Domain(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Fault {}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Int(i) => write!(f, "{i}"),
            Float(x) => write!(f, "{x:?}"),
        }
    }
}

impl Number {
    #[inline]
    pub fn float(self) -> f64 {
        match self {
            Int(i) => i as f64,
            Float(x) => x,
        }
    }

    pub fn try_div(self, other: Number) -> Result<Number, Fault> {
        let (a, b) = (self.float(), other.float());
        if b == 0.0 {
            return Err(Fault::ZeroDivision(format!("div: {self} / {other}: division by zero; keep the divisor away from 0")));
        }
        Ok(Float(a / b))
    }

    pub fn try_pow(self, exponent: Number) -> Result<Number, Fault> {
        if let (Int(b), Int(e)) = (self, exponent)
            && let Ok(e) = u32::try_from(e)
            && let Some(whole) = b.checked_pow(e)
        {
            return Ok(Int(whole));
        }
        let (b, e) = (self.float(), exponent.float());
        if b == 0.0 && e < 0.0 {
            return Err(Fault::ZeroDivision(format!("pow: {self} ** {exponent}: zero has no negative power; keep the base away from 0")));
        }
        let power = b.powf(e);
        if power.is_nan() && !b.is_nan() && !e.is_nan() {
            return Err(Fault::Domain(format!(
                "pow: {self} ** {exponent}: a negative base needs a whole exponent; \
                 use a positive base"
            )));
        }
        Ok(Float(power))
    }
}

impl Add for Number {
    type Output = Number;
    #[inline]
    fn add(self, other: Number) -> Number {
        if let (Int(a), Int(b)) = (self, other)
            && let Some(whole) = a.checked_add(b)
        {
            return Int(whole);
        }
        Float(self.float() + other.float())
    }
}

impl Sub for Number {
    type Output = Number;
    #[inline]
    fn sub(self, other: Number) -> Number {
        if let (Int(a), Int(b)) = (self, other)
            && let Some(whole) = a.checked_sub(b)
        {
            return Int(whole);
        }
        Float(self.float() - other.float())
    }
}

impl Mul for Number {
    type Output = Number;
    #[inline]
    fn mul(self, other: Number) -> Number {
        if let (Int(a), Int(b)) = (self, other)
            && let Some(whole) = a.checked_mul(b)
        {
            return Int(whole);
        }
        Float(self.float() * other.float())
    }
}

impl Neg for Number {
    type Output = Number;
    #[inline]
    fn neg(self) -> Number {
        match self {
            Int(i) => i.checked_neg().map_or(Float(-(i as f64)), Int),
            Float(x) => Float(-x),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_stay_whole_until_they_overflow() {
        assert_eq!(Int(3) * Int(4), Int(12));
        assert_eq!(Int(2).try_pow(Int(10)), Ok(Int(1024)));
        assert_eq!(Int(2).try_pow(Int(-1)), Ok(Float(0.5)));
        assert_eq!(Int(i64::MAX) + Int(1), Float(9_223_372_036_854_775_808.0));
        assert_eq!(-Int(i64::MIN), Float(9_223_372_036_854_775_808.0));
        assert_eq!(Int(10).try_pow(Int(400)), Ok(Float(f64::INFINITY)));
    }
}
