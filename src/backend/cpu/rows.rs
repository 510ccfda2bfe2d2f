//! Softmax, its logarithm, their derivatives and the logarithm of a sum of exponentials, of rows that lie one after the
//! other, and of columns of few elements: what is summed stays in registers, what is read in the first cache. Leans on lanes
//! and math.

use super::lanes::{At, BESIDE, Float, Lanes, fetch, wave};
use super::math::{LIFT, Real, double};
use std::mem::MaybeUninit;

/// Elements of columns that are held near as a whole.
pub(super) const TALL: usize = 64;
/// Rows whose quotients or logarithms are worked out together, and bytes that they may take.
const BAND: usize = 8;
const NEAR: usize = 24 << 10;

/// The largest elements of each lane. A NaN need not be looked for: its exponential makes the sum one.
#[inline(always)]
unsafe fn top<L: Lanes>(from: *const L::E, n: usize) -> L {
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
        most
    }
}

/// `2^64 exp(x - top)` of a vector; with `KEEP` it is written to `to`. What is read `ahead` of it is asked for meanwhile.
#[inline(always)]
unsafe fn power<L: Lanes, const KEEP: bool>(at: At, from: *const L::E, to: *mut L::E, top: L, ahead: usize) -> L {
    fetch(from.wrapping_add(at.i + ahead));
    // SAFETY: the caller promises the elements on each side.
    unsafe {
        // What fills the last vector up is 2^-150 of the largest.
        let e = at.load_or::<L>(from, L::splat(-L::E::INFINITY)).sub(top).exp_lifted();
        if KEEP {
            at.store(e, to);
        }
        e
    }
}

/// The sum of `2^64 exp(x - top)`.
#[inline(always)]
unsafe fn exps<L: Lanes, const KEEP: bool>(from: *const L::E, to: *mut L::E, n: usize, top: L::E, ahead: usize) -> f64 {
    let top = L::splat(top);
    // SAFETY: the caller promises `n` elements on each side.
    let [all] = unsafe { summed!(L, n, [sum], |at| sum = sum.add(power::<L, KEEP>(at, from, to, top, ahead))) };
    all
}

/// Rows that are worked on together, so that what their lanes hold is joined together too.
#[inline(always)]
fn band_of<L: Lanes>(n: usize, arrays: usize) -> usize {
    if n <= wave::<L>() && n * size_of::<L::E>() * BAND * arrays <= NEAR { BAND } else { 1 }
}

// A row of nothing but -inf has no softmax: NaN, as the formula says.
#[inline(always)]
unsafe fn forward_of<L: Lanes>(logarithm: bool, from: *const L::E, to: *mut L::E, rows: usize, n: usize) {
    // SAFETY: the caller's promise.
    unsafe { if logarithm { rows_of::<L, false>(from, to, rows, n) } else { rows_of::<L, true>(from, to, rows, n) } }
}

#[inline(always)]
unsafe fn rows_of<L: Lanes, const KEEP: bool>(from: *const L::E, to: *mut L::E, rows: usize, n: usize) {
    let band = band_of::<L>(n, 1);
    // SAFETY: the caller promises rows of `n` elements on either side.
    unsafe {
        for first in (0..rows).step_by(band) {
            let count = band.min(rows - first);
            let (mut tops, mut sums) = ([L::E::default(); BAND], [LIFT; BAND]);
            if band == 1 {
                let (from, to) = (from.add(first * n), to.add(first * n));
                tops[0] = top::<L>(from, n).greatest();
                sums[0] = exps::<L, KEEP>(from, to, n, tops[0], n);
            } else {
                let mut lanes = [L::zero(); BAND];
                for (k, lane) in lanes.iter_mut().enumerate().take(count) {
                    *lane = top::<L>(from.add((first + k) * n), n);
                }
                tops = L::greatests(lanes);
                lanes = [L::zero(); BAND];
                for k in 0..count {
                    let (from, to, top) = (from.add((first + k) * n), to.add((first + k) * n), L::splat(tops[k]));
                    [lanes[k]] = gathered!(L, n, [sum], |at| sum = sum.add(power::<L, KEEP>(at, from, to, top, BAND * n)));
                }
                for (sum, total) in sums.iter_mut().zip(L::totals(lanes)) {
                    *sum = total.into();
                }
            }
            for sum in &mut sums {
                *sum = if KEEP { 1.0 / *sum } else { log::<L>(*sum * (1.0 / LIFT)) };
            }
            for k in 0..count {
                let (from, to) = (from.add((first + k) * n), to.add((first + k) * n));
                let (top, last) = (L::splat(tops[k]), L::splat(L::E::lit(sums[k])));
                if KEEP {
                    vectors!(L, n, |at| at.store(at.load::<L>(to).mul(last), to));
                } else {
                    vectors!(L, n, |at| at.store(at.load::<L>(from).sub(top).sub(last), to));
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn backward_of<L: Lanes>(logarithm: bool, g: *const L::E, y: *const L::E, to: *mut L::E, rows: usize, n: usize) {
    // SAFETY: the caller's promise.
    unsafe { if logarithm { rows_back::<L, true>(g, y, to, rows, n) } else { rows_back::<L, false>(g, y, to, rows, n) } }
}

/// What a vector adds to its row's sum: of the cotangents, or of these times the results.
#[inline(always)]
unsafe fn share<L: Lanes, const LOG: bool>(at: At, g: *const L::E, y: *const L::E, sum: L) -> L {
    // SAFETY: the caller promises the elements.
    unsafe { if LOG { sum.add(at.load(g)) } else { sum.madd(at.load(g), at.load(y)) } }
}

#[inline(always)]
unsafe fn rows_back<L: Lanes, const LOG: bool>(g: *const L::E, y: *const L::E, to: *mut L::E, rows: usize, n: usize) {
    let band = band_of::<L>(n, 2);
    // SAFETY: the caller promises rows of `n` elements behind the three pointers.
    unsafe {
        for first in (0..rows).step_by(band) {
            let count = band.min(rows - first);
            let mut sums = [0f64; BAND];
            if band == 1 {
                let (g, y) = (g.add(first * n), y.add(first * n));
                [sums[0]] = summed!(L, n, [sum], |at| sum = share::<L, LOG>(at, g, y, sum));
            } else {
                let mut lanes = [L::zero(); BAND];
                for (k, lane) in lanes.iter_mut().enumerate().take(count) {
                    let (g, y) = (g.add((first + k) * n), y.add((first + k) * n));
                    [*lane] = gathered!(L, n, [sum], |at| sum = share::<L, LOG>(at, g, y, sum));
                }
                for (sum, total) in sums.iter_mut().zip(L::totals(lanes)) {
                    *sum = total.into();
                }
            }
            for (k, sum) in sums.into_iter().enumerate().take(count) {
                let at = (first + k) * n;
                let (g, y, to, ahead) = (g.add(at), y.add(at), to.add(at), band * n);
                let sum = L::splat(L::E::lit(if LOG { -sum / LIFT } else { sum }));
                vectors!(L, n, |at| {
                    fetch(g.wrapping_add(at.i + ahead));
                    fetch(y.wrapping_add(at.i + ahead));
                    let (g, y) = (at.load::<L>(g), at.load::<L>(y));
                    at.store(if LOG { g.madd(y.exp_lifted(), sum) } else { y.mul(g.sub(sum)) }, to)
                });
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
                fetch(from.0.wrapping_offset(r as isize * from.1).wrapping_add(at.i + L::N));
                let e = kept[r].assume_init().sub(top).exp_lifted();
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
                fetch(g.0.wrapping_offset(r as isize * g.1).wrapping_add(at.i + L::N));
                fetch(y.0.wrapping_offset(r as isize * y.1).wrapping_add(at.i + L::N));
                let (g, y) = (kept.0.assume_init(), kept.1.assume_init());
                let x = if logarithm { g.madd(y.exp_lifted(), scaled) } else { y.mul(g.sub(sum)) };
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
        let most = top::<L>(from, n).greatest();
        if most.abs() == L::E::INFINITY {
            // Nothing can be subtracted of it: it is the result, unless there is a NaN that was passed over.
            let lost = (0..n).any(|i| (*from.add(i)).is_nan());
            *to = if lost { f64::NAN } else { most.into() };
            return;
        }
        *to = most.into() + log::<L>(exps::<L, false>(from, std::ptr::null_mut(), n, most, n) / LIFT);
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
