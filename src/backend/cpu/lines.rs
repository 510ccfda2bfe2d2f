//! Rows brought to mean 0 and variance 1, and the way back, in registers: a few vectors are summed in their own type, what
//! comes of them in float64. Leans on lanes and math.

use super::lanes::{At, Float, Lanes};
use super::math::Real;

/// Rows whose share in the slopes of weight and bias is summed in the elements' own type.
pub(super) const TOGETHER: usize = 16;
/// Rows whose deviations are worked out together.
const BAND: usize = 8;

/// How many deviations from the mean.
#[inline(always)]
unsafe fn distance<L: Lanes>(at: At, x: *const L::E, mean: L, scale: L) -> L {
    // SAFETY: the caller promises the elements.
    unsafe { at.load::<L>(x).sub(mean).mul(scale) }
}

#[inline(always)]
unsafe fn slope<L: Lanes, const WEIGHT: bool>(at: At, g: *const L::E, weight: *const L::E) -> L {
    // SAFETY: as above.
    unsafe { if WEIGHT { at.load::<L>(g).mul(at.load(weight)) } else { at.load(g) } }
}

#[inline(always)]
unsafe fn forward_of<L: Lanes>(
    x: *const L::E,
    y: *mut L::E,
    (means, scales): (*mut L::E, *mut L::E),
    (weight, bias): (*const L::E, *const L::E),
    (rows, n): (usize, usize),
    eps: f64,
) {
    let parts = 1.0 / n as f64;
    // SAFETY: the caller promises rows of `n` elements, and lists as long or null.
    unsafe {
        for first in (0..rows).step_by(BAND) {
            // Roots and quotients of several rows are taken together.
            let band = BAND.min(rows - first);
            let (mut mean, mut scale) = ([0f64; BAND], [0f64; BAND]);
            for k in 0..band {
                let x = x.add((first + k) * n);
                let [sum] = summed!(L, n, [sum], |at| sum = sum.add(at.load(x)));
                let near = L::E::lit(sum * parts);
                let shift = L::splat(near);
                // What rounding left of the mean is found with the squares.
                let [rest, squares] = summed!(L, n, [rest, squares], |at| {
                    let d = at.load_or(x, shift).sub(shift);
                    (rest, squares) = (rest.add(d), squares.madd(d, d));
                });
                let rest = rest * parts;
                mean[k] = near.into() + rest;
                scale[k] = (squares * parts - rest * rest).max(0.0);
                // The largest of a NaN and 0 is 0.
                if squares.is_nan() {
                    scale[k] = squares;
                }
            }
            for scale in &mut scale {
                *scale = 1.0 / (*scale + eps).sqrt();
            }
            for k in 0..band {
                let (mean, scale) = (L::E::lit(mean[k]), L::E::lit(scale[k]));
                (*means.add(first + k), *scales.add(first + k)) = (mean, scale);
                let (x, y, mean, scale) = (x.add((first + k) * n), y.add((first + k) * n), L::splat(mean), L::splat(scale));
                match (weight.is_null(), bias.is_null()) {
                    (false, false) => {
                        vectors!(L, n, |at| at.store(at.load::<L>(bias).madd(distance(at, x, mean, scale), at.load(weight)), y))
                    }
                    (false, true) => vectors!(L, n, |at| at.store(distance(at, x, mean, scale).mul(at.load(weight)), y)),
                    (true, false) => vectors!(L, n, |at| at.store(distance(at, x, mean, scale).add(at.load(bias)), y)),
                    (true, true) => vectors!(L, n, |at| at.store(distance(at, x, mean, scale), y)),
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn backward_of<L: Lanes>(
    g: *const L::E,
    x: *const L::E,
    moments: (*const L::E, *const L::E),
    weight: *const L::E,
    to: *mut L::E,
    (rows, n): (usize, usize),
) {
    for r in 0..rows {
        // SAFETY: the caller promises rows of `n` elements, and a list as long or null.
        unsafe {
            let (g, x, to, moments) = (g.add(r * n), x.add(r * n), to.add(r * n), (*moments.0.add(r), *moments.1.add(r)));
            if weight.is_null() {
                row_back::<L, false>(g, x, moments, weight, to, n);
            } else {
                row_back::<L, true>(g, x, moments, weight, to, n);
            }
        }
    }
}

#[inline(always)]
unsafe fn row_back<L: Lanes, const WEIGHT: bool>(
    g: *const L::E,
    x: *const L::E,
    (mean, scale): (L::E, L::E),
    weight: *const L::E,
    to: *mut L::E,
    n: usize,
) {
    let (mean, scale) = (L::splat(mean), L::splat(scale));
    // SAFETY: the caller's promise.
    unsafe {
        let [sum, dot] = summed!(L, n, [sum, dot], |at| {
            let d = slope::<L, WEIGHT>(at, g, weight);
            (sum, dot) = (sum.add(d), dot.madd(d, distance(at, x, mean, scale)));
        });
        let (sum, dot) = (L::splat(L::E::lit(sum / n as f64)), L::splat(L::E::lit(-dot / n as f64)));
        vectors!(L, n, |at| {
            let d = slope::<L, WEIGHT>(at, g, weight).sub(sum);
            at.store(scale.mul(d.madd(distance(at, x, mean, scale), dot)), to)
        });
    }
}

/// Adds some rows' share to the slopes of weight and bias.
#[inline(always)]
unsafe fn slopes_of<L: Lanes>(
    g: *const L::E,
    x: *const L::E,
    (means, scales): (*const L::E, *const L::E),
    dw: &mut [f64],
    db: &mut [f64],
    rows: usize,
) {
    let n = dw.len();
    let (mut i, mut list) = (0, [[L::E::default(); 16]; 2]);
    // SAFETY: the caller promises rows as long as the lists, at most TOGETHER.
    unsafe {
        while i < n {
            let at = At { i, k: L::N.min(n - i) };
            let (mut along, mut all) = (L::zero(), L::zero());
            for r in 0..rows {
                let d = at.load::<L>(g.add(r * n));
                let distance = at.load::<L>(x.add(r * n)).sub(L::splat(*means.add(r))).mul(L::splat(*scales.add(r)));
                along = along.madd(d, distance);
                all = all.add(d);
            }
            along.store(list[0].as_mut_ptr());
            all.store(list[1].as_mut_ptr());
            for l in 0..at.k {
                dw[i + l] += list[0][l].into();
                db[i + l] += list[1][l].into();
            }
            i += L::N;
        }
    }
}

type Three<Loop> = &'static [Loop; 3];

#[allow(clippy::type_complexity, reason = "a list of such types")]
pub(super) struct Loops<T: 'static> {
    /// `(from, to, means and 1 / deviations, weight and bias or null, rows and size, eps)`.
    pub forward: Three<unsafe fn(*const T, *mut T, (*mut T, *mut T), (*const T, *const T), (usize, usize), f64)>,
    /// `(cotangent, from, means and 1 / deviations, weight or null, to, rows and size)`.
    pub backward: Three<unsafe fn(*const T, *const T, (*const T, *const T), *const T, *mut T, (usize, usize))>,
    /// `(cotangent, from, means and 1 / deviations, slopes of weight and bias, rows)`.
    pub slopes: Three<unsafe fn(*const T, *const T, (*const T, *const T), &mut [f64], &mut [f64], usize)>,
}

pub(super) trait Lines: Float {
    const LINES: Loops<Self>;
}

macro_rules! lines {
    ($t:ty, $module:ident) => {
        mod $module {
            use super::*;
            per_lanes!(pub static forward: unsafe fn(x: *const $t, y: *mut $t, moments: (*mut $t, *mut $t), with: (*const $t, *const $t), size: (usize, usize), eps: f64) = forward_of::<$t>);
            per_lanes!(pub static backward: unsafe fn(g: *const $t, x: *const $t, moments: (*const $t, *const $t), weight: *const $t, to: *mut $t, size: (usize, usize)) = backward_of::<$t>);
            per_lanes!(pub static slopes: unsafe fn(g: *const $t, x: *const $t, moments: (*const $t, *const $t), dw: &mut [f64], db: &mut [f64], rows: usize) = slopes_of::<$t>);
        }
        impl Lines for $t {
            const LINES: Loops<$t> = Loops { forward: &$module::forward, backward: &$module::backward, slopes: &$module::slopes };
        }
    };
}
lines!(f32, of_single);
lines!(f64, of_double);
