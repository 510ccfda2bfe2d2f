//! The table of functions under test, and what the tests of their values share.
//! Leans on the public names of `backend::cpu::math` alone.

mod edges;
mod exact;

use schuss::backend::cpu::math::{double as d, single as s};

/// Every 4,099th bit pattern is looked at; every 40,993rd where the compiler did not optimise.
pub const STRIDE: usize = if cfg!(debug_assertions) { 40_993 } else { 4_099 };

/// One function of one argument.
pub struct Unary {
    pub name: &'static str,
    pub single: [fn(f32) -> f32; 2],
    pub double: [fn(f64) -> f64; 2],
    /// Largest error allowed, in ulp: of f32, of f64.
    pub bound: (f64, f64),
    /// The truth for `f32`, and where.
    pub truth: fn(f64) -> f64,
    pub range: (f32, f32),
}

const EVERYWHERE: (f32, f32) = (f32::NEG_INFINITY, f32::INFINITY);

macro_rules! unary {
    ($($name:ident $single:literal $double:literal $truth:expr, $range:expr;)+) => {
        [$(Unary {
            name: stringify!($name),
            single: [s::$name::<true>, s::$name::<false>],
            double: [d::$name::<true>, d::$name::<false>],
            bound: ($single, $double),
            truth: $truth,
            range: $range,
        }),+]
    };
}

pub fn functions() -> Vec<Unary> {
    let near = (-1e5, 1e5);
    Vec::from(unary! {
        exp 1.2 1.2 f64::exp, EVERYWHERE;
        exp2 1.2 1.2 f64::exp2, EVERYWHERE;
        expm1 2.0 2.0 f64::exp_m1, EVERYWHERE;
        sigmoid 2.6 2.2 |x| 1.0 / (1.0 + (-x).exp()), EVERYWHERE;
        log 1.0 1.0 f64::ln, EVERYWHERE;
        log2 2.0 2.0 f64::log2, EVERYWHERE;
        log10 2.0 2.0 f64::log10, EVERYWHERE;
        log1p 1.5 1.5 f64::ln_1p, EVERYWHERE;
        log1p_exp 2.0 2.0 |x| x.max(0.0) + (-x.abs()).exp().ln_1p(), EVERYWHERE;
        sin 2.0 1.0 f64::sin, EVERYWHERE;
        cos 2.2 1.0 f64::cos, EVERYWHERE;
        tan 3.0 2.5 f64::tan, EVERYWHERE;
        sin_near 2.0 1.0 f64::sin, near;
        cos_near 2.2 1.0 f64::cos, near;
        tan_near 3.0 2.5 f64::tan, near;
        asin 2.5 2.5 f64::asin, EVERYWHERE;
        acos 1.5 1.5 f64::acos, EVERYWHERE;
        atan 3.0 2.5 f64::atan, EVERYWHERE;
        sinh 2.0 2.0 f64::sinh, EVERYWHERE;
        cosh 2.0 2.0 f64::cosh, EVERYWHERE;
        tanh 2.0 2.0 f64::tanh, EVERYWHERE;
        asinh 2.0 2.0 f64::asinh, EVERYWHERE;
        acosh 2.0 2.0 true_acosh, EVERYWHERE;
        atanh 2.5 2.0 f64::atanh, EVERYWHERE;
        erf 1.5 1.5 d::erf::<true>, EVERYWHERE;
        erfc 2.5 4.0 d::erfc::<true>, EVERYWHERE;
        lgamma 0.6 3.0 d::lgamma::<true>, EVERYWHERE;
        digamma 0.6 3.5 d::digamma::<true>, EVERYWHERE;
    })
}

/// The library's own loses digits close to 1.
fn true_acosh(x: f64) -> f64 {
    let t = x - 1.0;
    if t < 0.0 { f64::NAN } else { (t + (t * (t + 2.0)).sqrt()).ln_1p() }
}

/// A xorshift generator: the same numbers in every run.
pub struct Draw(pub u64);

impl Draw {
    pub fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Equal to the sign of zero, a NaN like any other.
pub fn alike(a: f64, b: f64) -> bool {
    (a == b && a.is_sign_negative() == b.is_sign_negative()) || (a.is_nan() && b.is_nan())
}

/// The largest of N errors over the f32s looked at, and where.
pub fn every<const N: usize>(mut look: impl FnMut(f32) -> [f64; N]) -> [(f64, f32); N] {
    let mut worst = [(0.0, 0.0); N];
    for bits in (0..=u32::MAX).step_by(STRIDE) {
        let x = f32::from_bits(bits);
        for (w, e) in worst.iter_mut().zip(look(x)) {
            if e > w.0 {
                *w = (e, x);
            }
        }
    }
    worst
}
