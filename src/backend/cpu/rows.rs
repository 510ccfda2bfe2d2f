//! Softmax, its logarithm, their derivatives and the logarithm of a sum of exponentials, of rows that lie one after the
//! other, and of columns of few elements: what is summed stays in registers, what is read in the first cache. Leans on lanes
//! and math.

use super::lanes::{BESIDE, Float, Lanes};
use super::math::{Fitted, LIFT, Real, double};
use std::mem::MaybeUninit;

/// Elements of columns that are held near as a whole.
pub(super) const TALL: usize = 64;
/// Rows whose quotients or logarithms are worked out together, and bytes that they may take.
const BAND: usize = 8;
const NEAR: usize = 24 << 10;

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
fn exp_lifted<L: Lanes>(x: L) -> L {
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

/// The largest element. A NaN need not be looked for: its exponential makes the sum one.
#[inline(always)]
unsafe fn top<L: Lanes>(from: *const L::E, n: usize) -> L::E {
    let none = L::splat(-L::E::INFINITY);
    let mut most = [none; 4];
    let mut i = 0;
    // SAFETY: the caller promises `n` elements.
    unsafe {
        while i + 4 * L::N <= n {
            for (k, most) in most.iter_mut().enumerate() {
                *most = L::load(from.add(i + k * L::N)).max(*most);
            }
            i += 4 * L::N;
        }
        let mut most = most[0].max(most[1]).max(most[2].max(most[3]));
        while i + L::N <= n {
            most = L::load(from.add(i)).max(most);
            i += L::N;
        }
        if i < n {
            most = L::load_some(from.add(i), n - i, none).max(most);
        }
        most.greatest()
    }
}

/// The sum of `2^64 exp(x - top)`; with `KEEP` each of them is written to `to`.
#[inline(always)]
unsafe fn exps<L: Lanes, const KEEP: bool>(from: *const L::E, to: *mut L::E, n: usize, top: L::E) -> f64 {
    let (shift, none) = (L::splat(top), L::splat(-L::E::INFINITY));
    // SAFETY: the caller promises `n` elements on each side.
    unsafe {
        let [all] = summed!(L, n, [sum], |at| {
            // What fills the last vector up is 2^-150 of the largest.
            let e = exp_lifted(at.load_or::<L>(from, none).sub(shift));
            if KEEP {
                at.store(e, to);
            }
            sum = sum.add(e);
        });
        all
    }
}

// A row of nothing but -inf has no softmax: NaN, as the formula says.
#[inline(always)]
unsafe fn forward_of<L: Lanes>(logarithm: bool, from: *const L::E, to: *mut L::E, rows: usize, n: usize) {
    let band = if n * size_of::<L::E>() * BAND <= NEAR { BAND } else { 1 };
    // SAFETY: the caller promises rows of `n` elements on either side.
    unsafe {
        for first in (0..rows).step_by(band) {
            let count = band.min(rows - first);
            let (mut tops, mut sums) = ([L::E::default(); BAND], [LIFT; BAND]);
            for k in 0..count {
                let (from, to) = (from.add((first + k) * n), to.add((first + k) * n));
                tops[k] = top::<L>(from, n);
                sums[k] = if logarithm { exps::<L, false>(from, to, n, tops[k]) } else { exps::<L, true>(from, to, n, tops[k]) };
            }
            for sum in &mut sums {
                *sum = if logarithm { log::<L>(*sum * (1.0 / LIFT)) } else { 1.0 / *sum };
            }
            for k in 0..count {
                let (from, to) = (from.add((first + k) * n), to.add((first + k) * n));
                let (top, last) = (L::splat(tops[k]), L::splat(L::E::lit(sums[k])));
                if logarithm {
                    vectors!(L, n, |at| at.store(at.load::<L>(from).sub(top).sub(last), to));
                } else {
                    vectors!(L, n, |at| at.store(at.load::<L>(to).mul(last), to));
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn backward_of<L: Lanes>(logarithm: bool, g: *const L::E, y: *const L::E, to: *mut L::E, rows: usize, n: usize) {
    for r in 0..rows {
        // SAFETY: the caller promises rows of `n` elements behind the three pointers.
        unsafe {
            let (g, y, to) = (g.add(r * n), y.add(r * n), to.add(r * n));
            if logarithm {
                let [sum] = summed!(L, n, [sum], |at| sum = sum.add(at.load(g)));
                let sum = L::splat(L::E::lit(-sum / LIFT));
                vectors!(L, n, |at| at.store(at.load::<L>(g).madd(exp_lifted(at.load::<L>(y)), sum), to));
            } else {
                let [dot] = summed!(L, n, [dot], |at| dot = dot.madd(at.load(g), at.load(y)));
                let dot = L::splat(L::E::lit(dot));
                vectors!(L, n, |at| at.store(at.load::<L>(y).mul(at.load::<L>(g).sub(dot)), to));
            }
        }
    }
}

/// The sum of what `each` makes of `rows` rows, in four sums side by side.
macro_rules! beside {
    ($lanes:ident, $rows:expr, |$r:ident, $sum:ident| $body:expr) => {{
        let mut sums = [$lanes::zero(); BESIDE];
        let whole = $rows / BESIDE * BESIDE;
        for first in (0..whole).step_by(BESIDE) {
            for (k, sum) in sums.iter_mut().enumerate() {
                let ($r, $sum) = (first + k, *sum);
                *sum = $body;
            }
        }
        for $r in whole..$rows {
            let $sum = sums[0];
            sums[0] = $body;
        }
        sums[0].add(sums[1]).add(sums[2].add(sums[3]))
    }};
}

// Columns of at most TALL elements, a vector of them at a time, held near: rows that lie a power of two apart share few
// places of the caches, which would not keep them for a second look.
#[inline(always)]
unsafe fn down_of<L: Lanes>(logarithm: bool, from: (*const L::E, isize), to: (*mut L::E, isize), rows: usize, width: usize) {
    let none = L::splat(-L::E::INFINITY);
    let mut kept = [MaybeUninit::<L>::uninit(); TALL];
    // SAFETY: the caller promises at most TALL rows of `width` elements on either side.
    unsafe {
        vectors!(L, width, |at| {
            let mut top = none;
            for (r, kept) in kept.iter_mut().enumerate().take(rows) {
                let x = at.load_or::<L>(from.0.offset(r as isize * from.1), none);
                kept.write(x);
                top = x.max(top);
            }
            let sum = beside!(L, rows, |r, sum| {
                let e = exp_lifted(kept[r].assume_init().sub(top));
                if !logarithm {
                    kept[r].write(e);
                }
                sum.add(e)
            });
            let mut list = sum.list();
            for last in &mut list {
                let sum: f64 = (*last).into();
                *last = L::E::lit(if logarithm { log::<L>(sum * (1.0 / LIFT)) } else { 1.0 / sum });
            }
            let last = L::load(list.as_ptr());
            for (r, kept) in kept.iter().enumerate().take(rows) {
                let x = kept.assume_init();
                at.store(if logarithm { x.sub(top).sub(last) } else { x.mul(last) }, to.0.offset(r as isize * to.1));
            }
        });
    }
}

#[inline(always)]
unsafe fn down_back_of<L: Lanes>(
    logarithm: bool,
    g: (*const L::E, isize),
    y: (*const L::E, isize),
    to: (*mut L::E, isize),
    rows: usize,
    width: usize,
) {
    let mut kept = [(MaybeUninit::<L>::uninit(), MaybeUninit::<L>::uninit()); TALL];
    // SAFETY: as above.
    unsafe {
        vectors!(L, width, |at| {
            let sum = beside!(L, rows, |r, sum| {
                let by = r as isize;
                let (g, y) = (at.load::<L>(g.0.offset(by * g.1)), at.load::<L>(y.0.offset(by * y.1)));
                kept[r].0.write(g);
                kept[r].1.write(y);
                if logarithm { sum.add(g) } else { sum.madd(g, y) }
            });
            let scaled = sum.mul(L::splat(L::E::lit(-1.0 / LIFT)));
            for (r, kept) in kept.iter().enumerate().take(rows) {
                let (g, y) = (kept.0.assume_init(), kept.1.assume_init());
                let x = if logarithm { g.madd(exp_lifted(y), scaled) } else { y.mul(g.sub(sum)) };
                at.store(x, to.0.offset(r as isize * to.1));
            }
        });
    }
}

#[inline(always)]
fn log<L: Lanes>(x: f64) -> f64 {
    if L::FMA { double::log::<true>(x) } else { double::log::<false>(x) }
}

#[inline(always)]
unsafe fn log_sum_of<L: Lanes>(from: *const L::E, n: usize, to: &mut f64) {
    // SAFETY: the caller promises `n` elements.
    unsafe {
        let most = top::<L>(from, n);
        if most.abs() == L::E::INFINITY {
            // Nothing can be subtracted of it: it is the result, unless there is a NaN that was passed over.
            let lost = (0..n).any(|i| (*from.add(i)).is_nan());
            *to = if lost { f64::NAN } else { most.into() };
            return;
        }
        *to = most.into() + log::<L>(exps::<L, false>(from, std::ptr::null_mut(), n, most) / LIFT);
    }
}

/// The plain, AVX2 and AVX-512 loops of one kind.
type Three<Loop> = &'static [Loop; 3];

/// `(log, from, to, rows, count)`, `(log, cotangent, result, to, rows, count)`, `(from, count, to)`.
#[allow(clippy::type_complexity, reason = "a list of such types")]
pub(super) struct Loops<T: 'static> {
    pub forward: Three<unsafe fn(bool, *const T, *mut T, usize, usize)>,
    pub backward: Three<unsafe fn(bool, *const T, *const T, *mut T, usize, usize)>,
    pub log_sum: Three<unsafe fn(*const T, usize, &mut f64)>,
    /// `(log, from, to, rows, width)` and `(log, cotangent, result, to, rows, width)` of columns; each with its rows' distance.
    pub down: Three<unsafe fn(bool, (*const T, isize), (*mut T, isize), usize, usize)>,
    pub down_back: Three<unsafe fn(bool, (*const T, isize), (*const T, isize), (*mut T, isize), usize, usize)>,
}

pub(super) trait Rows: Float {
    const LOOPS: Loops<Self>;
}

macro_rules! rows {
    ($t:ty, $module:ident) => {
        mod $module {
            use super::*;
            per_lanes!(pub static forward: unsafe fn(log: bool, from: *const $t, to: *mut $t, rows: usize, n: usize) = forward_of::<$t>);
            per_lanes!(pub static backward: unsafe fn(log: bool, g: *const $t, y: *const $t, to: *mut $t, rows: usize, n: usize) = backward_of::<$t>);
            per_lanes!(pub static log_sum: unsafe fn(from: *const $t, n: usize, to: &mut f64) = log_sum_of::<$t>);
            per_lanes!(pub static down: unsafe fn(log: bool, from: (*const $t, isize), to: (*mut $t, isize), rows: usize, width: usize) = down_of::<$t>);
            per_lanes!(pub static down_back: unsafe fn(log: bool, g: (*const $t, isize), y: (*const $t, isize), to: (*mut $t, isize), rows: usize, width: usize) = down_back_of::<$t>);
        }
        impl Rows for $t {
            const LOOPS: Loops<$t> = Loops {
                forward: &$module::forward,
                backward: &$module::backward,
                log_sum: &$module::log_sum,
                down: &$module::down,
                down_back: &$module::down_back,
            };
        }
    };
}
rows!(f32, of_single);
rows!(f64, of_double);
