//! What the bodies need of a floating-point type: arithmetic, its bits, its constants.
//! Leans on core alone.

use core::ops::{Add, Div, Mul, Neg, Sub};

/// A binary floating-point type (`f32` or `f64`) as the bodies see it.
pub trait Real:
    Copy + 'static + PartialOrd + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> + Neg<Output = Self>
{
    /// Positive infinity.
    const INFINITY: Self;
    /// A quiet NaN.
    const NAN: Self;
    /// Number of stored mantissa bits.
    const MANTISSA: Self;
    /// The smallest normal number.
    const TINY: Self;
    /// The largest finite number.
    const LARGEST: Self;
    /// `2^MANTISSA`, from which on every number is an integer.
    const WHOLE: Self;
    /// `1.5 * 2^MANTISSA`: adding it rounds a small number to an integer, found in the low bits.
    const MAGIC: Self;

    /// `2^ceil(MANTISSA / 2) + 1`, which cuts a number into halves whose products are exact.
    const SPLITTER: Self;

    /// The nearest value to a literal, for constants.
    fn lit(v: f64) -> Self;
    /// `self * b + c` in one rounding; a library call where the target has no such instruction.
    fn mul_add(self, b: Self, c: Self) -> Self;
    /// Whether this is no number.
    fn is_nan(self) -> bool;
    /// Magnitude.
    fn abs(self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
    /// Magnitude of `self`, sign of `s`.
    fn copysign(self, s: Self) -> Self;
    /// Largest integer not above, by the target's instruction.
    fn floor(self) -> Self;
    /// Smallest integer not below, by the target's instruction.
    fn ceil(self) -> Self;
    /// Integer part, by the target's instruction.
    fn trunc(self) -> Self;
    /// Nearest integer, ties to even, by the target's instruction.
    fn round_ties_even(self) -> Self;

    /// `2^(n + lift)` where `self = MAGIC + n`; `lift` keeps the exponent in the normal range.
    fn pow2_of_magic(self, lift: i32) -> Self;
    /// `2^(n + a)` if `c`, else `2^(n + b)`, where `self = MAGIC + n`.
    fn pow2_of_magic_or(self, c: bool, a: i32, b: i32) -> Self;
    /// `(k, m, 2^-k)` with `self = m * 2^k`, `m` in `[sqrt(1/2), sqrt(2))`, for a positive normal
    /// number.
    fn split(self) -> (Self, Self, Self);
    /// Whether all of them are from a positive `low` to `high`. As integers, whose order is theirs: so that one comparison
    /// serves for both ends, for signs and for NaN.
    fn all_between(list: &[Self], low: Self, high: Self) -> bool;
    /// Whether no magnitude is above `most`, nor NaN; in the same manner.
    fn all_under(list: &[Self], most: Self) -> bool;
    /// Whether the integer in the low bits of `self = MAGIC + n` is odd.
    fn odd_of_magic(self) -> bool;
    /// `v` with its sign flipped if bit 1 of `n + add` is set, where `self = MAGIC + n`.
    fn flip_by_magic(self, add: u32, v: Self) -> Self;
    /// `v` with its sign flipped if `n + add` is odd, where `self = MAGIC + n`.
    fn flip_by_odd(self, add: u32, v: Self) -> Self;
    /// `self` with its sign flipped if `s` has one.
    fn flip_by_sign(self, s: Self) -> Self;
}

macro_rules! real {
    ($f:ident, $u:ident, $mantissa:literal, $bias:literal) => {
        impl Real for $f {
            const INFINITY: $f = $f::INFINITY;
            const NAN: $f = $f::NAN;
            const MANTISSA: $f = $mantissa as $f;
            const TINY: $f = $f::MIN_POSITIVE;
            const LARGEST: $f = $f::MAX;
            const WHOLE: $f = ((1 as $u) << $mantissa) as $f;
            const SPLITTER: $f = (((1 as $u) << ($mantissa / 2 + 1)) + 1) as $f;
            const MAGIC: $f = ((3 as $u) << ($mantissa - 1)) as $f;

            #[inline(always)]
            fn lit(v: f64) -> $f {
                v as $f
            }
            #[inline(always)]
            fn mul_add(self, b: $f, c: $f) -> $f {
                $f::mul_add(self, b, c)
            }
            #[inline(always)]
            fn is_nan(self) -> bool {
                $f::is_nan(self)
            }
            #[inline(always)]
            fn abs(self) -> $f {
                $f::abs(self)
            }
            #[inline(always)]
            fn sqrt(self) -> $f {
                $f::sqrt(self)
            }
            #[inline(always)]
            fn copysign(self, s: $f) -> $f {
                $f::copysign(self, s)
            }
            #[inline(always)]
            fn floor(self) -> $f {
                $f::floor(self)
            }
            #[inline(always)]
            fn ceil(self) -> $f {
                $f::ceil(self)
            }
            #[inline(always)]
            fn trunc(self) -> $f {
                $f::trunc(self)
            }
            #[inline(always)]
            fn round_ties_even(self) -> $f {
                $f::round_ties_even(self)
            }
            #[inline(always)]
            fn pow2_of_magic(self, lift: i32) -> $f {
                // The shift drops all of MAGIC's own bits: its exponent and leading bit lie above.
                $f::from_bits((self.to_bits() << $mantissa).wrapping_add((($bias + lift) as $u) << $mantissa))
            }
            #[inline(always)]
            fn pow2_of_magic_or(self, c: bool, a: i32, b: i32) -> $f {
                let (a, b) = ((($bias + a) as $u) << $mantissa, (($bias + b) as $u) << $mantissa);
                $f::from_bits((self.to_bits() << $mantissa).wrapping_add(if c { a } else { b }))
            }
            #[inline(always)]
            fn split(self) -> ($f, $f, $f) {
                const ONE: $u = $bias << $mantissa;
                const LOW: $u = core::$f::consts::FRAC_1_SQRT_2.to_bits();
                let u = self.to_bits().wrapping_add(ONE - LOW);
                let biased = u >> $mantissa;
                let m = $f::from_bits((u & ((1 << $mantissa) - 1)).wrapping_add(LOW));
                // An integer under the mantissa of WHOLE is a conversion without an instruction.
                let k = $f::from_bits(biased | Self::WHOLE.to_bits()) - (Self::WHOLE + $bias as $f);
                let inverse = $f::from_bits((2 * $bias as $u).wrapping_sub(biased) << $mantissa);
                (k, m, inverse)
            }
            #[inline(always)]
            fn all_between(list: &[$f], low: $f, high: $f) -> bool {
                let (low, mut top) = (low.to_bits(), 0);
                for x in list {
                    top = top.max(x.to_bits().wrapping_sub(low));
                }
                top <= high.to_bits() - low
            }
            #[inline(always)]
            fn all_under(list: &[$f], most: $f) -> bool {
                let mut top = 0;
                for x in list {
                    top = top.max(x.abs().to_bits());
                }
                top <= most.to_bits()
            }
            #[inline(always)]
            fn odd_of_magic(self) -> bool {
                self.to_bits() & 1 != 0
            }
            #[inline(always)]
            fn flip_by_magic(self, add: u32, v: $f) -> $f {
                let n = self.to_bits().wrapping_add(add as $u);
                $f::from_bits(v.to_bits() ^ ((n & 2) << ($u::BITS - 2)))
            }
            #[inline(always)]
            fn flip_by_odd(self, add: u32, v: $f) -> $f {
                $f::from_bits(v.to_bits() ^ (self.to_bits().wrapping_add(add as $u) << ($u::BITS - 1)))
            }
            #[inline(always)]
            fn flip_by_sign(self, s: $f) -> $f {
                $f::from_bits(self.to_bits() ^ (s.to_bits() & (1 << ($u::BITS - 1))))
            }
        }
    };
}

real!(f32, u32, 23, 127);
real!(f64, u64, 52, 1023);

/// `if c { a } else { b }` with both values computed beforehand: a blend, never a jump.
#[inline(always)]
pub(super) fn pick<T: Real>(c: bool, a: T, b: T) -> T {
    if c { a } else { b }
}

/// `a * b + c`, in one rounding with `FMA` and in two without.
#[inline(always)]
pub(super) fn fma<T: Real, const FMA: bool>(a: T, b: T, c: T) -> T {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// `min(x, hi)` that lets NaN through.
#[inline(always)]
pub(super) fn at_most<T: Real>(x: T, hi: T) -> T {
    if x > hi { hi } else { x }
}

/// `max(x, lo)` that lets NaN through.
#[inline(always)]
pub(super) fn at_least<T: Real>(x: T, lo: T) -> T {
    if x < lo { lo } else { x }
}

/// `c[0] + c[1] x + c[2] x^2 + ...`.
#[inline(always)]
pub(super) fn poly<T: Real, const FMA: bool>(x: T, c: &[T]) -> T {
    if c.len() < 6 {
        return horner::<T, FMA>(x, c, 0, 1);
    }
    // Horner's rule on even and odd powers apart: two chains of half the latency, which is what
    // bounds a long body. The small odd half is added last.
    let y = x * x;
    let odd = horner::<T, FMA>(y, c, 1, 2);
    fma::<T, FMA>(odd, x, horner::<T, FMA>(y, c, 0, 2))
}

/// A polynomial of eight coefficients by Estrin's scheme: the shortest chain.
#[inline(always)]
pub(super) fn estrin<T: Real, const FMA: bool>(x: T, c: [T; 8]) -> T {
    let (square, pair) = (x * x, |i: usize| fma::<T, FMA>(c[i + 1], x, c[i]));
    let (low, high) = (fma::<T, FMA>(pair(2), square, pair(0)), fma::<T, FMA>(pair(6), square, pair(4)));
    fma::<T, FMA>(high, square * square, low)
}

/// `c[first] + c[first + step] x + c[first + 2 step] x^2 + ...` by Horner's rule.
#[inline(always)]
fn horner<T: Real, const FMA: bool>(x: T, c: &[T], first: usize, step: usize) -> T {
    let mut i = first + (c.len() - 1 - first) / step * step;
    let mut p = c[i];
    while i > first {
        i -= step;
        p = fma::<T, FMA>(p, x, c[i]);
    }
    p
}

/// `a + b` and its rounding error (Knuth's two-sum).
#[inline(always)]
pub(super) fn two_sum<T: Real>(a: T, b: T) -> (T, T) {
    let s = a + b;
    let t = s - a;
    (s, (a - (s - t)) + (b - t))
}

/// `a + b` and its rounding error where `|a| >= |b|` or `a = 0` (Dekker's fast two-sum).
#[inline(always)]
pub(super) fn fast_two_sum<T: Real>(a: T, b: T) -> (T, T) {
    let s = a + b;
    (s, b - (s - a))
}

/// `a * b` and its rounding error; without `FMA` by Dekker's splitting, for moderate sizes only.
#[inline(always)]
pub(super) fn two_prod<T: Real, const FMA: bool>(a: T, b: T) -> (T, T) {
    let p = a * b;
    if FMA {
        return (p, a.mul_add(b, -p));
    }
    let (ah, al) = halves(a);
    let (bh, bl) = halves(b);
    (p, ((ah * bh - p) + ah * bl + al * bh) + al * bl)
}

#[inline(always)]
fn halves<T: Real>(a: T) -> (T, T) {
    let c = a * T::SPLITTER;
    let h = c - (c - a);
    (h, a - h)
}
