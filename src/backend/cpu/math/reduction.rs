//! Range reduction of angles: which quarter turn, and what is left of it.
//! Leans on `real`, `exact` and the fitted coefficients.

use super::coefficients::Fitted;
use super::exact::round;
use super::real::{Real, fast_two_sum, fma, pick, two_prod, two_sum};

/// An angle as `count` quarter turns and a rest `high + low` in `[-pi/4, pi/4]`.
pub struct Turn<T> {
    /// `MAGIC + n`, whose low bits are the number of quarter turns modulo 4.
    pub count: T,
    /// The rest, rounded.
    pub high: T,
    /// What rounding took from it.
    pub low: T,
}

/// Types whose angles can be reduced.
pub trait Angle: Fitted {
    /// Up to here `turn_near` and `half_turn` are right.
    const NEAR: Self;
    /// Reduces an angle beyond `NEAR`; no number where it is infinite or none.
    fn turn_far<const FMA: bool>(x: Self) -> Turn<Self>;
    /// Reduces an angle up to `NEAR`.
    fn turn_near<const FMA: bool>(x: Self) -> Turn<Self>;
    /// `(MAGIC + n, rest)` of an angle from 0 to `NEAR` as `n` half turns, and a quarter turn more if `shifted`, and a rest
    /// in `[-1.578, 1.578]`; nothing where quarter turns serve better. One polynomial does for both of theirs, and is less
    /// right by half a unit in the last place.
    fn half_turn<const FMA: bool>(x: Self, shifted: bool) -> Option<(Self, Self)>;
}

/// `2 / pi / 4` cut into pieces of 29 bits, so that each piece times an `f32` is exact in `f64`;
/// the last is rounded. Together 198 bits after the point, for angles up to 2^128.
const TURNS: [f64; 6] = [
    0.15915494272485375,
    3.6704158115630214e-10,
    5.690025167992954e-19,
    1.4703036846932608e-27,
    2.5867171752090537e-36,
    9.458140970740169e-46,
];

impl Angle for f32 {
    const NEAR: f32 = 1e5;

    #[inline(always)]
    fn turn_far<const FMA: bool>(x: f32) -> Turn<f32> {
        // The fraction of each exact product is all that counts of it: whole turns drop out,
        // however large. No table look-up by exponent is needed, as pieces out of range are
        // whole numbers (fraction 0) or vanishingly small.
        let x = f64::from(x);
        let mut part = [0.0; 6];
        let mut i = 0;
        while i < 6 {
            let y = x * TURNS[i];
            part[i] = y - round::<f64, FMA>(y);
            i += 1;
        }
        let sum = (part[0] + part[1]) + (part[2] + part[3]) + (part[4] + part[5]);
        let quarters = round::<f64, FMA>(sum * 4.0);
        // The quarter is taken from the parts, not from their rounded sum: every partial sum that
        // a later part can cancel is exact.
        let rest = (((((quarters * -0.25 + part[0]) + part[1]) + part[2]) + part[3]) + part[4]) + part[5];
        Turn { count: quarters as f32 + f32::MAGIC, high: (rest * core::f64::consts::TAU) as f32, low: 0.0 }
    }

    #[inline(always)]
    fn turn_near<const FMA: bool>(x: f32) -> Turn<f32> {
        if FMA {
            // pi/2 in three parts. The first leaves an exact rest, a multiple of 2^-24 below 1; what rounding takes from the
            // second is found by going back, but where the rest is so short that going back would round more.
            const PARTS: [f32; 3] = [1.5707964, -4.371139e-8, -1.7151245e-15];
            let count = x.mul_add(core::f32::consts::FRAC_2_PI, f32::MAGIC);
            let n = count - f32::MAGIC;
            let exact = n.mul_add(-PARTS[0], x);
            let high = n.mul_add(-PARTS[1], exact);
            let lost = n.mul_add(-PARTS[1], exact - high);
            let low = n.mul_add(-PARTS[2], pick(high.abs() > 0.03125, lost, 0.0));
            return Turn { count, high, low };
        }
        // pi/2 in 33 and 53 bits: n times the first is exact in f64 up to n = 2^20.
        const HIGH: f64 = 1.5707963267341256;
        const LOW: f64 = 6.077100506506192e-11;
        let x = f64::from(x);
        let n = fma::<f64, FMA>(x, core::f64::consts::FRAC_2_PI, f64::MAGIC) - f64::MAGIC;
        let rest = fma::<f64, FMA>(n, -LOW, fma::<f64, FMA>(n, -HIGH, x));
        Turn { count: n as f32 + f32::MAGIC, high: rest as f32, low: 0.0 }
    }

    #[inline(always)]
    fn half_turn<const FMA: bool>(x: f32, shifted: bool) -> Option<(f32, f32)> {
        if !FMA {
            return None;
        }
        // pi in three parts. The first leaves an exact rest, a multiple of 2^-23 below 2.
        const PARTS: [f32; 3] = [3.1415925, 1.5099579e-7, 1.0780656e-14];
        const TURNS: f32 = core::f32::consts::FRAC_1_PI;
        let count = if shifted { x.mul_add(TURNS, -0.5) + f32::MAGIC } else { x.mul_add(TURNS, f32::MAGIC) };
        let n = count - f32::MAGIC;
        let n = if shifted { n + 0.5 } else { n };
        Some((count, n.mul_add(-PARTS[2], n.mul_add(-PARTS[1], n.mul_add(-PARTS[0], x)))))
    }
}

impl Angle for f64 {
    const NEAR: f64 = 1e8;

    #[inline(always)]
    fn turn_far<const FMA: bool>(x: f64) -> Turn<f64> {
        let turn = long_turn::<FMA>(x);
        Turn { high: pick(x.abs() < f64::INFINITY, turn.high, f64::NAN), ..turn }
    }

    #[inline(always)]
    fn turn_near<const FMA: bool>(x: f64) -> Turn<f64> {
        // pi/2 in pieces of 26 bits and a rounded rest: n times each piece is exact up to 2^26.
        const PIECES: [f64; 4] = [1.5707963109016418, 1.5893254712295857e-8, 6.123233601181349e-17, 3.9455541665632055e-24];
        let count = fma::<f64, FMA>(x, core::f64::consts::FRAC_2_PI, f64::MAGIC);
        let n = count - f64::MAGIC;
        let exact = (x - n * PIECES[0]) - n * PIECES[1];
        let (high, low) = two_sum(exact, n * -PIECES[2]);
        Turn { count, high, low: low - n * PIECES[3] }
    }

    #[inline(always)]
    fn half_turn<const FMA: bool>(_: f64, _: bool) -> Option<(f64, f64)> {
        None
    }
}

/// The bits of `2 / pi` after 28 zeros: bit `i` after the point stands at place `i + 27`.
const BITS: [u64; 19] = [
    0x0000000a2f9836e4,
    0xe441529fc2757d1f,
    0x534ddc0db6295993,
    0xc439041fe5163abd,
    0xebbc561b7246e3a4,
    0x24dd2e006492eea0,
    0x9d1921cfe1deb1cb,
    0x129a73ee88235f52,
    0xebb4484e99c7026b,
    0x45f7e413991d6398,
    0x35339f49c845f8bb,
    0xdf9283b1ff897ffd,
    0xe05980fef2f118b5,
    0xa0a6d1f6d367ecf2,
    0x7cb09b74f463f669,
    0xe5fea2d7527bac7e,
    0xbe5f17b3d0739f78,
    0xa5292ea6bfb5fb11,
    0xf8d5d0856033046f,
];

/// `words[i + by]` where bit `log2(by)` of `place` is set, `words[i]` where not: one stage of a
/// shift by words that needs no table look-up.
#[inline(always)]
fn shift<const FROM: usize, const TO: usize>(words: [u64; FROM], by: usize, place: u64) -> [u64; TO] {
    // By masks, since a choice between two elements would be compiled to a load from a chosen
    // address, which no loop can be vectorised around.
    let mask = 0u64.wrapping_sub((place >> by.trailing_zeros()) & 1);
    let mut out = [0; TO];
    let mut i = 0;
    while i < TO {
        out[i] = words[i] ^ ((words[i] ^ words[i + by]) & mask);
        i += 1;
    }
    out
}

/// 64 of the 128 bits of `a` and `b`, from bit `s` of `a` on.
#[inline(always)]
fn join(a: u64, b: u64, s: u64) -> u64 {
    (a << s) | ((b >> 1) >> (63 - s))
}

/// An integer below 2^52 as a number, without an instruction for it.
#[inline(always)]
fn whole(v: u64) -> f64 {
    f64::from_bits(v | f64::WHOLE.to_bits()) - f64::WHOLE
}

/// Reduces an angle of at least 2^26 (Payne and Hanek, 1983): of the product of its 53-bit
/// integer with the bits of `2 / pi`, only the 192 that are below 4 are formed, and the top 128
/// of these kept. Integers of 32 bits by 32, as every vector unit has them.
#[inline(always)]
fn long_turn<const FMA: bool>(x: f64) -> Turn<f64> {
    const LOW: u64 = 0xffff_ffff;
    let bits = x.to_bits();
    // x = m 2^(exponent - 1075); the window begins at the bit whose product with m is below 2^2.
    let exponent = (bits >> 52) & 0x7ff;
    let m = (bits & ((1 << 52) - 1)) | (1 << 52);
    let place = exponent.wrapping_sub(1049) & 0x3ff;
    let word = place >> 6;
    let w: [u64; 11] = shift(BITS, 8, word);
    let w: [u64; 7] = shift(w, 4, word);
    let w: [u64; 5] = shift(w, 2, word);
    let w: [u64; 4] = shift(w, 1, word);
    let s = place & 63;
    let f = [join(w[2], w[3], s), join(w[1], w[2], s), join(w[0], w[1], s)];
    let f = [f[0] & LOW, f[0] >> 32, f[1] & LOW, f[1] >> 32, f[2] & LOW, f[2] >> 32];
    let (ml, mh) = (m & LOW, m >> 32);
    let mut carry = 0;
    let mut r = [0; 6];
    let mut i = 1;
    while i < 6 {
        let a = ml * f[i] + carry;
        let b = mh * f[i - 1] + (a & LOW);
        carry = (a >> 32) + (b >> 32);
        r[i] = b & LOW;
        i += 1;
    }
    // The nearest quarter, and the rest as a signed fraction of a quarter: 2 bits and 30 + 96.
    let quarter = (r[5] + (1 << 29)) >> 30;
    let first = r[5].wrapping_sub(quarter << 30);
    let first = f64::from_bits(f64::MAGIC.to_bits().wrapping_add(first)) - f64::MAGIC;
    let (second, third, fourth) = (whole(r[4]), whole(r[3]), whole(r[2]));
    const UNIT: f64 = 1.0 / (1u64 << 32) as f64;
    let scale = 4.0 * UNIT;
    let (a, a_low) = fast_two_sum(first * scale, second * (scale * UNIT));
    let b = third * (scale * UNIT * UNIT) + fourth * (scale * UNIT * UNIT * UNIT);
    let (a, b) = fast_two_sum(a, b);
    let b = b + a_low;
    let (p, p_low) = two_prod::<f64, FMA>(a, f64::FRAC_PI_2);
    let low = fma::<f64, FMA>(a, f64::FRAC_PI_2_LOW, fma::<f64, FMA>(b, f64::FRAC_PI_2, p_low));
    // An odd function of the angle: for a negative one everything changes sign.
    let negative = x < 0.0;
    let magic = f64::MAGIC.to_bits();
    let count = if negative { magic - quarter } else { magic + quarter };
    Turn { count: f64::from_bits(count), high: pick(negative, -p, p), low: pick(negative, -low, low) }
}
