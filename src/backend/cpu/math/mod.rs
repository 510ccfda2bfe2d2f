//! The mathematics of element-wise kernels: scalar, branch-free functions that the compiler turns
//! into SIMD inside a `#[target_feature]` loop. Leans on core alone: no table, no library call.
//!
//! `single` and `double` hold the public names, `single::exp::<FMA>(x)`. With `FMA` the fused
//! multiply-add and the rounding instructions of the target are used (AVX2 with FMA, AVX-512,
//! NEON); without it only what plain SSE2 has, since there `mul_add` and `floor` are library calls.
//! Bodies are written once, generic over [`Real`]; coefficients live with the type they were
//! fitted for. Both sides of a choice are computed and one is taken, so that a loop stays straight.

mod circular;
mod coefficients;
mod error;
mod exact;
mod exponential;
mod gamma;
mod hyperbolic;
mod inverse;
mod logarithm;
mod power;
mod real;
mod reduction;

pub use circular::all_near;
pub use coefficients::Fitted;
pub use exponential::LIFT;
pub use real::Real;
pub use reduction::Angle;

/// Declares the public functions of one type.
macro_rules! names {
    ($f:ident) => {
        use super::{circular, error, exact, exponential, hyperbolic, inverse, logarithm};

        names!($f, exponential: exp exp2 expm1 exp_lifted exp_mid sigmoid sigmoid_mid);
        names!($f, logarithm: log log2 log10 log1p log1p_exp log_plain log2_plain log10_plain);
        names!($f, circular: sin cos tan sin_near cos_near tan_near);
        names!($f, inverse: asin acos atan atan2(y, x));
        names!($f, hyperbolic: sinh cosh tanh asinh acosh atanh);
        names!($f, error: erfc ndtr);
        names!($f, exact: floor ceil trunc round sign remainder(a, b) copysign(a, b) fma(a, b, c));
        names!($f, exact: fmod_near(a, b) remainder_near(a, b));
        pub use super::circular::all_near;
        pub use super::exact::all_short;
        pub use super::exponential::all_mid;
        pub use super::logarithm::all_plain;
    };
    ($f:ident, $home:ident: $($name:ident $(($($arg:ident),+))?)+) => {
        $(names!(@one $f, $home, $name $(, $($arg),+)?);)+
    };
    (@one $f:ident, $home:ident, $name:ident) => {
        names!(@one $f, $home, $name, x);
    };
    (@one $f:ident, $home:ident, $name:ident, $($arg:ident),+) => {
        #[doc = concat!("See [`", stringify!($home), "::", stringify!($name), "`].")]
        #[inline(always)]
        pub fn $name<const FMA: bool>($($arg: $f),+) -> $f {
            $home::$name::<$f, FMA>($($arg),+)
        }
    };
}

/// The functions for `f32`.
pub mod single {
    names!(f32);
    pub use super::error::{erf_single as erf, erfinv_single as erfinv, gelu_single as gelu, normal_single as normal};
    pub use super::exact::fmod_single as fmod;
    pub use super::gamma::{digamma_single as digamma, lgamma_single as lgamma};
    pub use super::power::pow_single as pow;
}

/// The functions for `f64`.
pub mod double {
    names!(f64);
    pub use super::error::{erf_double as erf, erfinv_double as erfinv, gelu_double as gelu, normal_double as normal};
    pub use super::exact::fmod_double as fmod;
    pub use super::gamma::{digamma_double as digamma, lgamma_double as lgamma};
    pub use super::power::pow_double as pow;
}
