//! Powers of e in vectors: what softmax spends its time on. Leans on the trait beside it, and math's coefficients.

use super::Lanes;
use crate::backend::cpu::math::{Fitted, Real};

/// `2^(k / 32)`.
#[allow(clippy::approx_constant, reason = "one of them is the root of 2")]
pub static ROOTS: [f32; 32] = [
    1.0, 1.0218972, 1.0442737, 1.0671405, 1.0905077, 1.1143868, 1.1387886, 1.1637249, 1.1892071, 1.2152474, 1.2418578, 1.269051, 1.2968396,
    1.3252367, 1.3542556, 1.38391, 1.4142135, 1.4451808, 1.4768262, 1.5091645, 1.5422108, 1.5759809, 1.6104903, 1.6457555, 1.6817929,
    1.7186193, 1.7562522, 1.7947091, 1.8340081, 1.8741677, 1.9152066, 1.9571441,
];
/// Added to a number it leaves its nearest multiple of 1/32, whose fraction are the last five bits.
pub const MAGIC: f32 = 393216.0;
/// `log(2)`, in two parts.
pub const LN_2: f32 = std::f32::consts::LN_2;
pub const LN_2_REST: f32 = -1.9046542e-09;
/// `e^r = 1 + r (1 + r (SQUARE + CUBE r))` where `|r|` is below 1/92, within 2^-31.
pub const SQUARE: f32 = 0.5;
pub const CUBE: f32 = 1.0 / 6.0;

/// `c[first] + c[first + step] x + ...`.
#[inline(always)]
fn horner<L: Lanes>(x: L, c: &[L::E], first: usize, step: usize) -> L {
    let mut i = first + (c.len() - 1 - first) / step * step;
    let mut p = L::splat(c[i]);
    while i > first {
        i -= step;
        p = L::splat(c[i]).madd(p, x);
    }
    p
}

/// `2^64 e^x` for `x <= 0`, as math's `exp_lifted`.
#[inline(always)]
pub fn lifted<L: Lanes>(x: L) -> L {
    let magic = L::splat(L::E::MAGIC);
    // The larger one of a NaN and a bound is the NaN.
    let x = L::splat(L::E::EXP_MIN).max(x);
    let t = magic.madd(x, L::splat(L::E::LOG2_E));
    let n = t.sub(magic);
    let r = x.madd(n, L::splat(-L::E::LN_2_HIGH)).madd(n, L::splat(-L::E::LN_2_LOW));
    let square = r.mul(r);
    let c = L::E::EXP;
    let p = if c.len() < 6 { horner(r, c, 0, 1) } else { horner(square, c, 0, 2).madd(horner(square, c, 1, 2), r) };
    L::splat(L::E::lit(1.0)).add(r.madd(square, p)).mul(t.lifted())
}
