//! The only list of element types, and how they promote (PyTorch's lattice). Leans on half for the two short floats and
//! num-complex for pairs of floats.

use half::{bf16, f16};
use num_complex::Complex;
use std::sync::atomic::{AtomicU8, Ordering};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum DType {
    Bool,
    U8,
    I8,
    I16,
    I32,
    I64,
    F16,
    BF16,
    F32,
    F64,
    C64,
    C128,
}

use DType::*;

pub const ALL: [DType; 12] = [Bool, U8, I8, I16, I32, I64, F16, BF16, F32, F64, C64, C128];

static DEFAULT_FLOAT: AtomicU8 = AtomicU8::new(F32 as u8);

/// The dtype of a float that no tensor decides: float32 unless set otherwise.
#[inline]
pub fn default_float() -> DType {
    ALL[DEFAULT_FLOAT.load(Ordering::Relaxed) as usize]
}

/// The dtype of a complex number that no tensor decides: pairs of the default float.
#[inline]
pub fn default_complex() -> DType {
    default_float().complex()
}

pub fn set_default_float(dtype: DType) {
    DEFAULT_FLOAT.store(dtype as u8, Ordering::Relaxed);
}

impl DType {
    #[inline]
    pub const fn size(self) -> usize {
        match self {
            Bool | U8 | I8 => 1,
            I16 | F16 | BF16 => 2,
            I32 | F32 => 4,
            I64 | F64 | C64 => 8,
            C128 => 16,
        }
    }
    pub const fn name(self) -> &'static str {
        match self {
            Bool => "bool",
            U8 => "uint8",
            I8 => "int8",
            I16 => "int16",
            I32 => "int32",
            I64 => "int64",
            F16 => "float16",
            BF16 => "bfloat16",
            F32 => "float32",
            F64 => "float64",
            C64 => "complex64",
            C128 => "complex128",
        }
    }
    #[inline]
    pub const fn is_float(self) -> bool {
        matches!(self, F16 | BF16 | F32 | F64)
    }
    #[inline]
    pub const fn is_complex(self) -> bool {
        matches!(self, C64 | C128)
    }
    /// Whether there are derivatives: floats, and complex numbers.
    #[inline]
    pub const fn is_inexact(self) -> bool {
        self as u8 >= F16 as u8
    }
    /// 0 for truths, 1 for integers, 2 for floats, 3 for complex numbers.
    #[inline]
    pub const fn category(self) -> u8 {
        match self {
            Bool => 0,
            U8 | I8 | I16 | I32 | I64 => 1,
            F16 | BF16 | F32 | F64 => 2,
            C64 | C128 => 3,
        }
    }
    /// The dtype of the two parts of a complex number; itself for every other.
    #[inline]
    pub const fn real(self) -> DType {
        match self {
            C64 => F32,
            C128 => F64,
            other => other,
        }
    }
    /// The complex dtype whose parts hold this one's numbers; there is none shorter than complex64.
    #[inline]
    pub const fn complex(self) -> DType {
        match self {
            F64 | C128 => C128,
            _ => C64,
        }
    }
    #[inline]
    pub const fn is_int(self) -> bool {
        matches!(self, U8 | I8 | I16 | I32 | I64)
    }
    #[inline]
    pub const fn is_short_float(self) -> bool {
        matches!(self, F16 | BF16)
    }
    /// The type that arithmetic on this type is done in: short floats in float32, truths in bytes.
    #[inline]
    pub const fn compute(self) -> DType {
        match self {
            Bool => U8,
            F16 | BF16 => F32,
            other => other,
        }
    }
    /// Whether an integer is one of this type's values.
    pub fn holds(self, value: i64) -> bool {
        let (low, high) = match self {
            Bool => (0, 1),
            U8 => (0, 255),
            I8 => (-128, 127),
            I16 => (i64::from(i16::MIN), i64::from(i16::MAX)),
            I32 => (i64::from(i32::MIN), i64::from(i32::MAX)),
            _ => (i64::MIN, i64::MAX),
        };
        (low..=high).contains(&value)
    }
    /// The wider type of two tensors of equal rank in the promotion.
    pub fn promote(self, other: DType) -> DType {
        let (a, b) = if self <= other { (self, other) } else { (other, self) };
        match (a, b) {
            (a, b) if a == b => a,
            (U8, I8) => I16,
            (F16, BF16) => F32,
            (F64, C64) => C128,
            (_, b) => b,
        }
    }
    /// PyTorch's rule between kinds of operands: a weaker operand counts only if its category is higher.
    #[inline]
    pub fn weigh(stronger: Option<DType>, weaker: Option<DType>) -> Option<DType> {
        match (stronger, weaker) {
            (Some(s), Some(w)) if s.is_float() && w.is_complex() => Some(s.complex()),
            (Some(s), Some(w)) if w.category() > s.category() => Some(s.promote(w)),
            (Some(s), _) => Some(s),
            (None, w) => w,
        }
    }
    pub fn from_name(name: &str) -> Option<DType> {
        ALL.into_iter().find(|d| d.name() == name)
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A truth as it is stored: any byte but zero is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct Truth(pub u8);

/// The Rust type behind a dtype, and its conversions (C's rules: floats truncate, NaN becomes 0, truths are 0 and 1).
pub trait Element: Copy + Default + Send + Sync + 'static {
    const DTYPE: DType;
    fn to_f64(self) -> f64;
    fn to_i64(self) -> i64;
    fn from_f64(v: f64) -> Self;
    fn from_i64(v: i64) -> Self;
    fn to_f32(self) -> f32 {
        self.to_f64() as f32
    }
    /// The real and the imaginary part.
    fn to_pair(self) -> (f64, f64) {
        (self.to_f64(), 0.0)
    }
    /// The number of two parts; where there is room for one alone, the real one.
    fn from_pair(re: f64, _im: f64) -> Self {
        Self::from_f64(re)
    }
    fn from_f32(v: f32) -> Self {
        Self::from_f64(f64::from(v))
    }
}

macro_rules! element {
    ($($t:ty => $d:ident),*) => {$(
        impl Element for $t {
            const DTYPE: DType = $d;
            #[inline(always)] fn to_f64(self) -> f64 { self as f64 }
            #[inline(always)] fn to_i64(self) -> i64 { self as i64 }
            #[inline(always)] fn from_f64(v: f64) -> Self { v as $t }
            #[inline(always)] fn from_i64(v: i64) -> Self { v as $t }
            #[inline(always)] fn to_f32(self) -> f32 { self as f32 }
            #[inline(always)] fn from_f32(v: f32) -> Self { v as $t }
        }
    )*};
}
element!(i32 => I32, i64 => I64, f32 => F32, f64 => F64);

// Narrow integers wrap a float's integer part, as C compilers do it in practice, instead of saturating.
macro_rules! narrow {
    ($($t:ty => $d:ident),*) => {$(
        impl Element for $t {
            const DTYPE: DType = $d;
            #[inline(always)] fn to_f64(self) -> f64 { self as f64 }
            #[inline(always)] fn to_i64(self) -> i64 { self as i64 }
            #[inline(always)] fn from_f64(v: f64) -> Self { v as i64 as $t }
            #[inline(always)] fn from_i64(v: i64) -> Self { v as $t }
            #[inline(always)] fn to_f32(self) -> f32 { self as f32 }
            #[inline(always)] fn from_f32(v: f32) -> Self { v as i64 as $t }
        }
    )*};
}
narrow!(u8 => U8, i8 => I8, i16 => I16);

macro_rules! short_float {
    ($($t:ty => $d:ident, $by_single:literal),*) => {$(
        impl Element for $t {
            const DTYPE: DType = $d;
            #[inline(always)] fn to_f64(self) -> f64 { f64::from(self) }
            #[inline(always)] fn to_i64(self) -> i64 { f64::from(self) as i64 }
            // By way of float32, as PyTorch does it for bfloat16: half's own way from float64 loses what lies behind a tie.
            #[inline(always)] fn from_f64(v: f64) -> Self { if $by_single { <$t>::from_f32(v as f32) } else { <$t>::from_f64(v) } }
            #[inline(always)] fn from_i64(v: i64) -> Self { <Self as Element>::from_f64(v as f64) }
            #[inline(always)] fn to_f32(self) -> f32 { f32::from(self) }
            #[inline(always)] fn from_f32(v: f32) -> Self { <$t>::from_f32(v) }
        }
    )*};
}
short_float!(f16 => F16, false, bf16 => BF16, true);

impl Element for Truth {
    const DTYPE: DType = Bool;
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(u8::from(self.0 != 0))
    }
    #[inline(always)]
    fn to_i64(self) -> i64 {
        i64::from(self.0 != 0)
    }
    #[inline(always)]
    fn from_f64(v: f64) -> Self {
        Truth(u8::from(v != 0.0))
    }
    #[inline(always)]
    fn from_i64(v: i64) -> Self {
        Truth(u8::from(v != 0))
    }
}

macro_rules! complex {
    ($($t:ty => $d:ident),*) => {$(
        impl Element for Complex<$t> {
            const DTYPE: DType = $d;
            #[inline(always)] fn to_f64(self) -> f64 { f64::from(self.re) }
            #[inline(always)] fn to_i64(self) -> i64 { self.re as i64 }
            #[inline(always)] fn from_f64(v: f64) -> Self { Complex::new(v as $t, 0.0) }
            #[inline(always)] fn from_i64(v: i64) -> Self { Complex::new(v as $t, 0.0) }
            #[inline(always)] fn to_pair(self) -> (f64, f64) { (f64::from(self.re), f64::from(self.im)) }
            #[inline(always)] fn from_pair(re: f64, im: f64) -> Self { Complex::new(re as $t, im as $t) }
        }
    )*};
}
complex!(f32 => C64, f64 => C128);

/// Runs an expression with `$t` standing for the Rust type of any dtype.
#[macro_export]
macro_rules! dispatch_all {
    ($dtype:expr, $t:ident => $body:expr) => {{
        match $dtype {
            $crate::base::DType::C64 => {
                type $t = num_complex::Complex<f32>;
                $body
            }
            $crate::base::DType::C128 => {
                type $t = num_complex::Complex<f64>;
                $body
            }
            real => $crate::dispatch!(real, $t => $body),
        }
    }};
}

/// The same where a record has refused complex numbers before.
#[macro_export]
macro_rules! dispatch {
    ($dtype:expr, $t:ident => $body:expr) => {{
        use $crate::base::dtype::Truth;
        match $dtype {
            $crate::base::DType::Bool => {
                type $t = Truth;
                $body
            }
            $crate::base::DType::U8 => {
                type $t = u8;
                $body
            }
            $crate::base::DType::I8 => {
                type $t = i8;
                $body
            }
            $crate::base::DType::I16 => {
                type $t = i16;
                $body
            }
            $crate::base::DType::I32 => {
                type $t = i32;
                $body
            }
            $crate::base::DType::I64 => {
                type $t = i64;
                $body
            }
            $crate::base::DType::F16 => {
                type $t = half::f16;
                $body
            }
            $crate::base::DType::BF16 => {
                type $t = half::bf16;
                $body
            }
            $crate::base::DType::F32 => {
                type $t = f32;
                $body
            }
            $crate::base::DType::F64 => {
                type $t = f64;
                $body
            }
            complex => unreachable!("{complex} comes to no loop over real numbers: its record refuses it"),
        }
    }};
}
