//! The numbers that decompositions are written over: float64 and complex128. Leans on faer and num-complex.

use crate::base::dtype::Element;
use crate::base::{Error, Result};
use faer::MatRef;
use num_complex::Complex;
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

type Z = Complex<f64>;

/// A number that can be added, multiplied and divided.
pub trait Field:
    Element
    + PartialEq
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
    + faer::traits::ComplexField
    + faer::traits::Conjugate<Canonical = Self>
{
    fn of(re: f64) -> Self;
    /// A complex number, of which a real one keeps the real part.
    fn pair(z: Z) -> Self;
    fn re(self) -> f64;
    fn is_real(self) -> bool;
    fn conj(self) -> Self;
    fn size(self) -> f64;
    /// By what rows are chosen in elimination: as LAPACK does, the sum of the parts' sizes.
    fn weight(self) -> f64;
    /// The size, squared.
    fn square(self) -> f64;
    /// Eigenvalues, and the vectors one after the other.
    fn eigen(a: MatRef<Self>) -> Result<(Vec<Z>, Vec<Z>)>;
}

macro_rules! eigen {
    () => {
        fn eigen(a: MatRef<Self>) -> Result<(Vec<Z>, Vec<Z>)> {
            let n = a.nrows();
            let found = a.eigen().map_err(|_| Error::algebra("eig", "the iteration did not converge"))?;
            let (u, s) = (found.U(), found.S());
            Ok(((0..n).map(|i| s[i]).collect(), (0..n * n).map(|i| u[(i % n, i / n)]).collect()))
        }
    };
}

impl Field for f64 {
    #[inline(always)]
    fn of(re: f64) -> f64 {
        re
    }
    #[inline(always)]
    fn pair(z: Z) -> f64 {
        z.re
    }
    #[inline(always)]
    fn re(self) -> f64 {
        self
    }
    #[inline(always)]
    fn is_real(self) -> bool {
        true
    }
    #[inline(always)]
    fn conj(self) -> f64 {
        self
    }
    #[inline(always)]
    fn size(self) -> f64 {
        self.abs()
    }
    #[inline(always)]
    fn weight(self) -> f64 {
        self.abs()
    }
    #[inline(always)]
    fn square(self) -> f64 {
        self * self
    }
    eigen!();
}

impl Field for Z {
    #[inline(always)]
    fn of(re: f64) -> Z {
        Z::new(re, 0.0)
    }
    #[inline(always)]
    fn pair(z: Z) -> Z {
        z
    }
    #[inline(always)]
    fn re(self) -> f64 {
        self.re
    }
    #[inline(always)]
    fn is_real(self) -> bool {
        self.im == 0.0
    }
    #[inline(always)]
    fn conj(self) -> Z {
        Z::new(self.re, -self.im)
    }
    #[inline(always)]
    fn size(self) -> f64 {
        self.re.hypot(self.im)
    }
    #[inline(always)]
    fn weight(self) -> f64 {
        self.re.abs() + self.im.abs()
    }
    #[inline(always)]
    fn square(self) -> f64 {
        self.re * self.re + self.im * self.im
    }
    eigen!();
}
