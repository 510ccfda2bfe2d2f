//! One number as the host language gave it: a truth, an integer, a float or a complex number. Leans on dtype.

use super::DType;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Bool(bool),
    Int(i64),
    Float(f64),
    /// The real and the imaginary part.
    Complex(f64, f64),
}

impl Number {
    #[inline]
    pub fn as_f64(self) -> f64 {
        match self {
            Number::Bool(b) => f64::from(u8::from(b)),
            Number::Int(i) => i as f64,
            Number::Float(f) | Number::Complex(f, _) => f,
        }
    }
    #[inline]
    pub fn as_i64(self) -> i64 {
        match self {
            Number::Bool(b) => i64::from(b),
            Number::Int(i) => i,
            Number::Float(f) | Number::Complex(f, _) => f as i64,
        }
    }
    pub fn truth(self) -> bool {
        match self {
            Number::Bool(b) => b,
            Number::Int(i) => i != 0,
            Number::Float(f) => f != 0.0,
            Number::Complex(re, im) => re != 0.0 || im != 0.0,
        }
    }
    /// The number that an element of a dtype is filled with: of truths, 0 or 1.
    pub fn filling(self, dtype: DType) -> Number {
        if dtype == DType::Bool { Number::Int(i64::from(self.truth())) } else { self }
    }
    /// The real and the imaginary part.
    #[inline]
    pub fn pair(self) -> (f64, f64) {
        match self {
            Number::Complex(re, im) => (re, im),
            other => (other.as_f64(), 0.0),
        }
    }
    #[inline]
    pub fn is_complex(self) -> bool {
        matches!(self, Number::Complex(..))
    }
    pub fn is_float(self) -> bool {
        matches!(self, Number::Float(_))
    }
    /// The dtype that PyTorch gives such a number where no tensor decides.
    #[inline]
    pub fn dtype(self) -> DType {
        match self {
            Number::Bool(_) => DType::Bool,
            Number::Int(_) => DType::I64,
            Number::Float(_) => super::dtype::default_float(),
            Number::Complex(..) => super::dtype::default_complex(),
        }
    }
}

impl From<f64> for Number {
    fn from(v: f64) -> Number {
        Number::Float(v)
    }
}
impl From<i64> for Number {
    fn from(v: i64) -> Number {
        Number::Int(v)
    }
}
impl From<i32> for Number {
    fn from(v: i32) -> Number {
        Number::Int(i64::from(v))
    }
}
impl From<bool> for Number {
    fn from(v: bool) -> Number {
        Number::Bool(v)
    }
}
