//! The lines that Winograd's products are made of (Lavin and Gray 2016): elements, weights and results of one line as values
//! at six points, and back. Leans on lanes.
//!
//! The points are 0, 3/4, -3/4, 3/2, -3/2 and infinity: their squares and products are exact in binary, and the error
//! is a quarter of that of the usual 0, 1, -1, 2, -2. Any number of weights and of results that make seven together
//! shares them: what is read is always a line of six.

use crate::backend::cpu::lanes::{Float, Lanes};

/// Points of a line, which are as many as the elements that a tile reads along it.
pub const SIDE: usize = 6;

const A: f64 = 0.75;
const B: f64 = 1.5;
const A2: f64 = A * A;
const B2: f64 = B * B;
/// What weights are divided by at the points, so that nothing else is.
const FA: f64 = 2.0 * A2 * (A2 - B2);
const FB: f64 = 2.0 * B2 * (B2 - A2);

/// The powers of the points.
const fn powers(x: f64) -> [f64; SIDE] {
    let mut list = [1.0; SIDE];
    let mut k = 1;
    while k < SIDE {
        list[k] = list[k - 1] * x;
        k += 1;
    }
    list
}
const AS: [f64; SIDE] = powers(A);
const BS: [f64; SIDE] = powers(B);

/// A float that constants are written in.
pub trait Real: Float {
    fn of(x: f64) -> Self;
}
impl Real for f32 {
    #[inline(always)]
    fn of(x: f64) -> f32 {
        x as f32
    }
}

#[inline(always)]
fn k<L: Lanes>(x: f64) -> L
where
    L::E: Real,
{
    L::splat(L::E::of(x))
}

/// Points along an axis of so many taps, and results of a tile: an axis of one tap has no tiles.
pub const fn points(taps: usize) -> usize {
    if taps == 1 { 1 } else { SIDE }
}
pub const fn results(taps: usize) -> usize {
    if taps == 1 { 1 } else { SIDE + 1 - taps }
}

/// Six elements of a line to the values at the six points.
#[inline(always)]
pub fn spread<L: Lanes>(d: [L; SIDE]) -> [L; SIDE]
where
    L::E: Real,
{
    let first = d[4].madd(k(A2 * B2), d[0]).madd(k(-(A2 + B2)), d[2]);
    let last = d[5].madd(k(A2 * B2), d[1]).madd(k(-(A2 + B2)), d[3]);
    let (even, odd) = (d[4].madd(k(-B2), d[2]), d[3].madd(k(-B2), d[1]).mul(k(A)));
    let (even2, odd2) = (d[4].madd(k(-A2), d[2]), d[3].madd(k(-A2), d[1]).mul(k(B)));
    [first, even.add(odd), even.sub(odd), even2.add(odd2), even2.sub(odd2), last]
}

/// The values at the six points of a polynomial of `n` coefficients: of cotangents, or of weights, which are `divided`.
#[inline(always)]
pub fn rise<L: Lanes>(g: [L; SIDE], n: usize, divided: bool) -> [L; SIDE]
where
    L::E: Real,
{
    let (zero, fa, fb) = if divided { (1.0 / (A2 * B2), 1.0 / FA, 1.0 / FB) } else { (1.0, 1.0, 1.0) };
    let (mut even, mut even2) = (g[0].mul(k(fa)), g[0].mul(k(fb)));
    let (mut odd, mut odd2) = (g[1].mul(k(fa * A)), g[1].mul(k(fb * B)));
    let mut j = 2;
    while j < n {
        let (a, b) = (k(fa * AS[j]), k(fb * BS[j]));
        if j % 2 == 0 {
            (even, even2) = (even.madd(a, g[j]), even2.madd(b, g[j]));
        } else {
            (odd, odd2) = (odd.madd(a, g[j]), odd2.madd(b, g[j]));
        }
        j += 1;
    }
    let first = if divided { g[0].mul(k(zero)) } else { g[0] };
    [first, even.add(odd), even.sub(odd), even2.add(odd2), even2.sub(odd2), g[n - 1]]
}

/// Its transpose: the values at the six points to `n` results, or to the gradients of `n` weights.
#[inline(always)]
pub fn fall<L: Lanes>(m: [L; SIDE], n: usize, divided: bool) -> [L; SIDE]
where
    L::E: Real,
{
    let (zero, fa, fb) = if divided { (1.0 / (A2 * B2), 1.0 / FA, 1.0 / FB) } else { (1.0, 1.0, 1.0) };
    let (s, d) = (m[1].add(m[2]), m[1].sub(m[2]));
    let (s2, d2) = (m[3].add(m[4]), m[3].sub(m[4]));
    let mut list = [L::zero(); SIDE];
    let mut j = 0;
    while j < n {
        let (one, two) = if j % 2 == 0 { (s, s2) } else { (d, d2) };
        let (a, b) = (k(fa * AS[j]), k(fb * BS[j]));
        list[j] = if j == 0 {
            let first = if divided { m[0].mul(k(zero)) } else { m[0] };
            first.madd(a, one).madd(b, two)
        } else if j == n - 1 {
            m[5].madd(a, one).madd(b, two)
        } else {
            one.mul(a).madd(b, two)
        };
        j += 1;
    }
    list
}
