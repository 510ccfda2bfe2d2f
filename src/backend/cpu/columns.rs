//! Softmax, its logarithm and their derivatives of columns that lie side by side: some rows at a time are summed in
//! registers, what is not yet near is asked for. Leans on lanes and math.

use super::lanes::{Float, Lanes, fetch};
use super::math::{LIFT, Real};

/// Rows whose terms are summed in the elements' own type, before their sum goes on in float64.
const TOGETHER: usize = 8;

/// A row, and elements from one row to the next.
type Rows<T> = (*const T, isize);
type RowsMut<T> = (*mut T, isize);

/// Goes over vectors of some rows: first rows, then what `start` makes of the vectors' place, what `row` does with each, and
/// what `end` makes of it.
macro_rules! blocks {
    ($lanes:ident, $rows:expr, $width:expr, |$at:ident, $r:ident, $state:ident| start $start:expr, row $row:expr, end $end:expr) => {
        for first in (0..$rows).step_by(TOGETHER) {
            let last = $rows.min(first + TOGETHER);
            vectors!($lanes, $width, |$at| {
                let mut $state = $start;
                for $r in first as isize..last as isize {
                    $row;
                }
                $end
            });
        }
    };
}

/// A vector of row `r`; that of a row further down is asked for.
macro_rules! pick {
    ($at:ident, $rows:ident, $r:ident, $fill:expr) => {{
        let p = $rows.0.wrapping_offset($r * $rows.1);
        fetch(p.wrapping_offset(TOGETHER as isize * $rows.1).wrapping_add($at.i));
        $at.load_or::<L>(p, $fill)
    }};
}

/// Adds some lanes to columns' sums.
macro_rules! add_up {
    ($at:ident, $lanes:ident, $sums:ident) => {
        for (k, &x) in $lanes.list().iter().enumerate().take($at.k) {
            let part: f64 = x.into();
            *$sums.add($at.i + k) += part;
        }
    };
}

#[inline(always)]
unsafe fn tops_of<L: Lanes>(from: Rows<L::E>, rows: usize, width: usize, tops: *mut L::E) {
    let none = L::splat(-L::E::INFINITY);
    // SAFETY: the caller promises rows of `width` elements, and a list as long.
    unsafe {
        blocks!(L, rows, width, |at, r, top| start at.load_or::<L>(tops, none), row top = pick!(at, from, r, none).max(top), end at.store(top, tops));
    }
}

/// `2^64 exp(x - top)`, which is kept where there is room for it, and the sums of them.
#[inline(always)]
unsafe fn exps_of<L: Lanes>(from: Rows<L::E>, to: RowsMut<L::E>, rows: usize, width: usize, tops: *const L::E, sums: *mut f64) {
    let keep = !to.0.is_null();
    // SAFETY: as above.
    unsafe {
        blocks!(L, rows, width, |at, r, sum| start L::zero(), row {
            let e = at.load::<L>(from.0.offset(r * from.1)).sub(at.load(tops)).exp_lifted();
            if keep {
                at.store(e, to.0.offset(r * to.1));
            }
            sum = sum.add(e);
        }, end add_up!(at, sum, sums));
    }
}

/// With the logarithm: `x - top - last`. Else what lies in `to`, times `last`.
#[inline(always)]
unsafe fn finish_of<L: Lanes>(
    log: bool,
    from: Rows<L::E>,
    to: RowsMut<L::E>,
    rows: usize,
    width: usize,
    tops: *const L::E,
    lasts: *const L::E,
) {
    for r in 0..rows as isize {
        // SAFETY: as above.
        unsafe {
            let (from, to) = (from.0.offset(r * from.1), to.0.offset(r * to.1));
            if log {
                vectors!(L, width, |at| at.store(at.load::<L>(from).sub(at.load(tops)).sub(at.load(lasts)), to));
            } else {
                vectors!(L, width, |at| at.store(at.load::<L>(to).mul(at.load(lasts)), to));
            }
        }
    }
}

/// The sums of the cotangents, or of these times the results.
#[inline(always)]
unsafe fn shares_of<L: Lanes>(log: bool, g: Rows<L::E>, y: Rows<L::E>, rows: usize, width: usize, sums: *mut f64) {
    let none = L::zero();
    // SAFETY: as above.
    unsafe {
        if log {
            blocks!(L, rows, width, |at, r, sum| start none, row sum = sum.add(pick!(at, g, r, none)), end add_up!(at, sum, sums));
        } else {
            blocks!(L, rows, width, |at, r, sum| start none, row sum = sum.madd(pick!(at, g, r, none), pick!(at, y, r, none)), end add_up!(at, sum, sums));
        }
    }
}

#[inline(always)]
unsafe fn back_of<L: Lanes>(log: bool, g: Rows<L::E>, y: Rows<L::E>, to: RowsMut<L::E>, rows: usize, width: usize, sums: *const L::E) {
    let scale = L::splat(L::E::lit(-1.0 / LIFT));
    for r in 0..rows as isize {
        // SAFETY: as above.
        unsafe {
            let (g, y, to) = (g.0.offset(r * g.1), y.0.offset(r * y.1), to.0.offset(r * to.1));
            if log {
                vectors!(L, width, |at| {
                    let e = at.load::<L>(y).exp_lifted();
                    at.store(at.load::<L>(g).madd(e, at.load::<L>(sums).mul(scale)), to)
                });
            } else {
                vectors!(L, width, |at| at.store(at.load::<L>(y).mul(at.load::<L>(g).sub(at.load(sums))), to));
            }
        }
    }
}

/// The plain, AVX2 and AVX-512 loops of one kind.
type Three<Loop> = &'static [Loop; 3];

/// `from`, `to`, `cotangent` and `result` are rows of `width` elements; the lists have one for each column.
#[allow(clippy::type_complexity, reason = "a list of such types")]
pub(super) struct Loops<T: 'static> {
    /// `(from, rows, width, largest)`.
    pub tops: Three<unsafe fn(Rows<T>, usize, usize, *mut T)>,
    /// `(from, to or null, rows, width, largest, sums)`.
    pub exps: Three<unsafe fn(Rows<T>, RowsMut<T>, usize, usize, *const T, *mut f64)>,
    /// `(log, from, to, rows, width, largest, last)`.
    pub finish: Three<unsafe fn(bool, Rows<T>, RowsMut<T>, usize, usize, *const T, *const T)>,
    /// `(log, cotangent, result, rows, width, sums)`.
    pub shares: Three<unsafe fn(bool, Rows<T>, Rows<T>, usize, usize, *mut f64)>,
    /// `(log, cotangent, result, to, rows, width, sums)`.
    pub back: Three<unsafe fn(bool, Rows<T>, Rows<T>, RowsMut<T>, usize, usize, *const T)>,
}

pub(super) trait Columns: Float {
    const COLUMNS: Loops<Self>;
}

macro_rules! columns {
    ($t:ty, $module:ident) => {
        mod $module {
            use super::*;
            per_lanes!(pub static tops: unsafe fn(from: Rows<$t>, rows: usize, width: usize, most: *mut $t) = tops_of::<$t>);
            per_lanes!(pub static exps: unsafe fn(from: Rows<$t>, to: RowsMut<$t>, rows: usize, width: usize, most: *const $t, sums: *mut f64) = exps_of::<$t>);
            per_lanes!(pub static finish: unsafe fn(log: bool, from: Rows<$t>, to: RowsMut<$t>, rows: usize, width: usize, most: *const $t, lasts: *const $t) = finish_of::<$t>);
            per_lanes!(pub static shares: unsafe fn(log: bool, g: Rows<$t>, y: Rows<$t>, rows: usize, width: usize, sums: *mut f64) = shares_of::<$t>);
            per_lanes!(pub static back: unsafe fn(log: bool, g: Rows<$t>, y: Rows<$t>, to: RowsMut<$t>, rows: usize, width: usize, sums: *const $t) = back_of::<$t>);
        }
        impl Columns for $t {
            const COLUMNS: Loops<$t> = Loops {
                tops: &$module::tops,
                exps: &$module::exps,
                finish: &$module::finish,
                shares: &$module::shares,
                back: &$module::back,
            };
        }
    };
}
columns!(f32, of_single);
columns!(f64, of_double);
