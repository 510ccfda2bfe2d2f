//! Rows brought to mean 0 and variance 1, and the way back, in registers: a few vectors are summed in their own type, what
//! comes of them in float64. Leans on lanes and math.

use super::lanes::{At, Float, Lanes, wave};
use super::math::Real;

/// Rows whose share in the slopes of weight and bias is summed in the elements' own type.
pub(super) const TOGETHER: usize = 16;
/// Rows whose deviations are worked out together, and bytes that they may take.
const BAND: usize = 8;
const NEAR: usize = 16 << 10;
/// Rows that go back together, and as many where they are long: rows a page apart share few places of the first cache.
const FEW: usize = 4;
const PAIR: usize = 2;
const LONG: usize = 2 << 10;

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

/// A mean as it was first found, the distances from it and their squares summed: mean and variance.
#[inline(always)]
fn settled<E: Float>(near: E, rest: f64, squares: f64, parts: f64) -> (f64, f64) {
    let rest = rest * parts;
    // The largest of a NaN and 0 is 0.
    let variance = if squares.is_nan() { squares } else { (squares * parts - rest * rest).max(0.0) };
    (near.into() + rest, variance)
}

/// Mean and variance of one row.
#[inline(always)]
unsafe fn moments_of<L: Lanes>(x: *const L::E, n: usize, to: &mut (f64, f64)) {
    let parts = 1.0 / n as f64;
    // SAFETY: the caller promises `n` elements.
    unsafe {
        let [sum] = summed!(L, n, [sum], |at| sum = sum.add(at.load(x)));
        let near = L::E::lit(sum * parts);
        let shift = L::splat(near);
        // What rounding left of the mean is found with the squares.
        let [rest, squares] = summed!(L, n, [rest, squares], |at| {
            let d = at.load_or(x, shift).sub(shift);
            (rest, squares) = (rest.add(d), squares.madd(d, d));
        });
        *to = settled(near, rest, squares, parts);
    }
}

/// The same of some rows of at most a wave, whose lanes are joined together.
#[inline(always)]
unsafe fn moments_of_band<L: Lanes>(x: *const L::E, n: usize, band: usize) -> [(f64, f64); BAND] {
    let parts = 1.0 / n as f64;
    // SAFETY: the caller promises so many rows of `n` elements.
    unsafe {
        let mut sums = [L::zero(); BAND];
        for (k, sum) in sums.iter_mut().enumerate().take(band) {
            let x = x.add(k * n);
            [*sum] = gathered!(L, n, [sum], |at| sum = sum.add(at.load(x)));
        }
        let mut near = L::totals(sums);
        for near in &mut near {
            let sum: f64 = (*near).into();
            *near = L::E::lit(sum * parts);
        }
        let (mut rests, mut squares) = ([L::zero(); BAND], [L::zero(); BAND]);
        for k in 0..band {
            let (x, shift) = (x.add(k * n), L::splat(near[k]));
            [rests[k], squares[k]] = gathered!(L, n, [rest, squares], |at| {
                let d = at.load_or(x, shift).sub(shift);
                (rest, squares) = (rest.add(d), squares.madd(d, d));
            });
        }
        let (rests, squares) = (L::totals(rests), L::totals(squares));
        let mut found = [(0.0, 0.0); BAND];
        for (k, found) in found.iter_mut().enumerate() {
            *found = settled(near[k], rests[k].into(), squares[k].into(), parts);
        }
        found
    }
}

/// The mean square, beside a mean that is not asked for.
#[inline(always)]
unsafe fn square_of<L: Lanes>(x: *const L::E, n: usize) -> (f64, f64) {
    // SAFETY: the caller promises `n` elements.
    let [squares] = unsafe {
        summed!(L, n, [squares], |at| {
            let d = at.load::<L>(x);
            squares = squares.madd(d, d);
        })
    };
    (0.0, squares / n as f64)
}

#[inline(always)]
unsafe fn forward_of<L: Lanes>(
    centred: bool,
    x: *const L::E,
    y: *mut L::E,
    (means, scales): (*mut L::E, *mut L::E),
    (weight, bias): (*const L::E, *const L::E),
    (rows, n): (usize, usize),
    eps: f64,
) {
    let most = (NEAR / (n * size_of::<L::E>())).clamp(1, BAND);
    // SAFETY: the caller promises rows of `n` elements, and lists as long or null.
    unsafe {
        for first in (0..rows).step_by(most) {
            let band = most.min(rows - first);
            let mut found = [(0.0, 1.0); BAND];
            if centred && n <= wave::<L>() {
                found = moments_of_band::<L>(x.add(first * n), n, band);
            } else {
                for (k, found) in found.iter_mut().enumerate().take(band) {
                    let x = x.add((first + k) * n);
                    if centred {
                        moments_of::<L>(x, n, found);
                    } else {
                        *found = square_of::<L>(x, n);
                    }
                }
            }
            // Roots and quotients of several rows are taken together.
            for found in &mut found {
                found.1 = 1.0 / (found.1 + eps).sqrt();
            }
            for (k, &(mean, scale)) in found.iter().enumerate().take(band) {
                let (mean, scale) = (L::E::lit(mean), L::E::lit(scale));
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

/// Some rows' cotangents, and what they add to the slopes of weight and bias: in `spare`, then to `slopes`, unless it is null.
#[inline(always)]
unsafe fn backward_of<L: Lanes>(
    centred: bool,
    (g, x): (*const L::E, *const L::E),
    (means, scales): (*const L::E, *const L::E),
    weight: *const L::E,
    to: *mut L::E,
    (spare, slopes): (*mut L::E, *mut f64),
    (rows, n): (usize, usize),
) {
    // SAFETY: the caller promises rows of `n` elements, at most TOGETHER, a list as long or null, and lists of twice as many.
    unsafe {
        let most = if n * size_of::<L::E>() > LONG { PAIR } else { FEW };
        let mut r = 0;
        while r < rows {
            let many = if r + most <= rows { most } else { 1 };
            let rest = ((g.add(r * n), x.add(r * n)), (means.add(r), scales.add(r)), weight, to.add(r * n), spare, n);
            match (weight.is_null(), slopes.is_null()) {
                (true, true) => some_back::<L, false, false>(centred, many, rest),
                (true, false) => some_back::<L, false, true>(centred, many, rest),
                (false, true) => some_back::<L, true, false>(centred, many, rest),
                (false, false) => some_back::<L, true, true>(centred, many, rest),
            }
            r += many;
        }
        if !slopes.is_null() {
            for i in 0..2 * n {
                let part: f64 = (*spare.add(i)).into();
                *slopes.add(i) += part;
                *spare.add(i) = L::E::default();
            }
        }
    }
}

/// Cotangent and input, means and 1 / deviations, weight or null, to, room for slopes, size.
type Streams<E> = (Two<*const E>, Two<*const E>, *const E, *mut E, *mut E, usize);

#[inline(always)]
unsafe fn some_back<L: Lanes, const WEIGHT: bool, const SLOPES: bool>(centred: bool, rows: usize, on: Streams<L::E>) {
    // SAFETY: the caller's promise.
    unsafe {
        match rows {
            FEW => rows_back::<L, WEIGHT, SLOPES, FEW>(centred, on),
            PAIR => rows_back::<L, WEIGHT, SLOPES, PAIR>(centred, on),
            _ => rows_back::<L, WEIGHT, SLOPES, 1>(centred, on),
        }
    }
}

#[inline(always)]
unsafe fn rows_back<L: Lanes, const WEIGHT: bool, const SLOPES: bool, const ROWS: usize>(
    centred: bool,
    ((g, x), moments, weight, to, spare, n): Streams<L::E>,
) {
    let (mut mean, mut scale, mut level, mut tilt) = ([L::zero(); ROWS], [L::zero(); ROWS], [L::zero(); ROWS], [L::zero(); ROWS]);
    // SAFETY: the caller's promise.
    unsafe {
        let (mut sums, mut dots) = ([0f64; FEW], [0f64; FEW]);
        let mut lanes = [L::zero(); 2 * FEW];
        for k in 0..ROWS {
            (mean[k], scale[k]) = (L::splat(*moments.0.add(k)), L::splat(*moments.1.add(k)));
            let (g, x, mean, scale) = (g.add(k * n), x.add(k * n), mean[k], scale[k]);
            if n <= wave::<L>() {
                [lanes[k], lanes[FEW + k]] = gathered!(L, n, [sum, dot], |at| {
                    let d = slope::<L, WEIGHT>(at, g, weight);
                    (sum, dot) = (sum.add(d), dot.madd(d, distance(at, x, mean, scale)));
                });
            } else {
                [sums[k], dots[k]] = summed!(L, n, [sum, dot], |at| {
                    let d = slope::<L, WEIGHT>(at, g, weight);
                    (sum, dot) = (sum.add(d), dot.madd(d, distance(at, x, mean, scale)));
                });
            }
        }
        if n <= wave::<L>() {
            let all = L::totals(lanes);
            for k in 0..ROWS {
                (sums[k], dots[k]) = (all[k].into(), all[FEW + k].into());
            }
        }
        for k in 0..ROWS {
            let sum = if centred { sums[k] } else { 0.0 };
            (level[k], tilt[k]) = (L::splat(L::E::lit(sum / n as f64)), L::splat(L::E::lit(-dots[k] / n as f64)));
        }
        vectors!(L, n, |at| {
            let (mut along, mut all) = (L::zero(), L::zero());
            if SLOPES {
                (along, all) = (at.load(spare), at.load(spare.add(n)));
            }
            let mut made = [L::zero(); ROWS];
            for k in 0..ROWS {
                let (g, x) = (g.add(k * n), x.add(k * n));
                let d = at.load::<L>(g);
                let distance = distance(at, x, mean[k], scale[k]);
                if SLOPES {
                    (along, all) = (along.madd(d, distance), all.add(d));
                }
                let d = if WEIGHT { d.mul(at.load(weight)) } else { d };
                made[k] = scale[k].mul(d.sub(level[k]).madd(distance, tilt[k]));
            }
            // Only then: what is written a page from where it reads makes the processor wait.
            for (k, made) in made.into_iter().enumerate() {
                at.store(made, to.add(k * n));
            }
            if SLOPES {
                at.store(along, spare);
                at.store(all, spare.add(n));
            }
        });
    }
}

/// Sums of a row's cotangents, and of these times the distances from the mean.
#[inline(always)]
unsafe fn dots_of<L: Lanes>(g: *const L::E, x: *const L::E, n: usize, mean: L::E, to: &mut (f64, f64)) {
    let mean = L::splat(mean);
    // SAFETY: the caller promises `n` elements.
    let [all, along] = unsafe {
        summed!(L, n, [all, along], |at| {
            let d = at.load::<L>(g);
            (all, along) = (all.add(d), along.madd(d, at.load_or::<L>(x, mean).sub(mean)));
        })
    };
    *to = (all, along);
}

type Three<Loop> = &'static [Loop; 3];
type Two<P> = (P, P);

#[allow(clippy::type_complexity, reason = "a list of such types")]
pub(super) struct Loops<T: 'static> {
    /// `(centred, from, to, means and 1 / deviations, weight and bias or null, rows and size, eps)`.
    pub forward: Three<unsafe fn(bool, *const T, *mut T, Two<*mut T>, Two<*const T>, Two<usize>, f64)>,
    /// `(centred, cotangent and from, means and 1 / deviations, weight or null, to, room and slopes, rows and size)`.
    pub backward: Three<unsafe fn(bool, Two<*const T>, Two<*const T>, *const T, *mut T, (*mut T, *mut f64), Two<usize>)>,
    /// `(from, size, mean and variance)`.
    pub moments: Three<unsafe fn(*const T, usize, &mut Two<f64>)>,
    /// `(cotangent, from, size, mean, sums)`.
    pub dots: Three<unsafe fn(*const T, *const T, usize, T, &mut Two<f64>)>,
}

pub(super) trait Lines: Float {
    const LINES: Loops<Self>;
}

macro_rules! lines {
    ($t:ty, $module:ident) => {
        mod $module {
            use super::*;
            per_lanes!(pub static forward: unsafe fn(centred: bool, x: *const $t, y: *mut $t, found: Two<*mut $t>, with: Two<*const $t>, size: Two<usize>, eps: f64) = forward_of::<$t>);
            per_lanes!(pub static backward: unsafe fn(centred: bool, given: Two<*const $t>, found: Two<*const $t>, weight: *const $t, to: *mut $t, sums: (*mut $t, *mut f64), size: Two<usize>) = backward_of::<$t>);
            per_lanes!(pub static moments: unsafe fn(x: *const $t, n: usize, to: &mut Two<f64>) = moments_of::<$t>);
            per_lanes!(pub static dots: unsafe fn(g: *const $t, x: *const $t, n: usize, mean: $t, to: &mut Two<f64>) = dots_of::<$t>);
        }
        impl Lines for $t {
            const LINES: Loops<$t> =
                Loops { forward: &$module::forward, backward: &$module::backward, moments: &$module::moments, dots: &$module::dots };
        }
    };
}
lines!(f32, of_single);
lines!(f64, of_double);
