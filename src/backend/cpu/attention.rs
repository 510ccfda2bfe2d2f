//! Attention in tiles: the scores of some queries and some keys at a time, and never all of them, forth and back
//! (Rabe and Staats 2021; Dao et al. 2022). Leans on contract for the products, and on math.

use super::contract::{self, Lane};
use super::convert::Bytes;
use super::math::{double, single};
use super::{isa, stop, threads};
use crate::backend::launch::{Attention, Operand};
use crate::base::dtype::Element;
use crate::base::{DType, Error, Result};

/// Queries and keys whose scores are held at a time.
const QUERIES: usize = 64;
const KEYS: usize = 256;

/// What is added to scores: the first of a row's, and the step along it; null where nothing is.
#[derive(Clone, Copy)]
struct Added<T> {
    from: *const T,
    step: isize,
}

#[allow(clippy::type_complexity, reason = "a list of such types")]
struct Loops<T: 'static> {
    /// `(scores, count, scale, added, largest so far, sum so far)`: scores become exponentials; gives by what earlier ones,
    /// and their sums, are to be multiplied.
    row: &'static [unsafe fn(*mut T, usize, T, Added<T>, &mut T, &mut T) -> T; 3],
    /// `(scores, count, scale, added, log-sum)`: scores become shares.
    shares: &'static [unsafe fn(*mut T, usize, T, Added<T>, T); 3],
    /// `(cotangents of shares, shares, count, level, scale)`: the first become those of scores.
    slopes: &'static [unsafe fn(*mut T, *const T, usize, T, T); 3],
    /// `(from, to, count, factor)`.
    scaled: &'static [unsafe fn(*const T, *mut T, usize, T); 3],
    dot: &'static [unsafe fn(*const T, *const T, usize) -> T; 3],
}

trait Kind: Lane + Element {
    const LOOPS: Loops<Self>;
    fn log(self) -> Self;
    fn of(value: f64) -> Self;
}

macro_rules! kind {
    ($t:ty, $math:ident, $module:ident) => {
        mod $module {
            use super::*;

            const LANES: usize = 16;

            #[inline(always)]
            fn joined(lanes: [$t; LANES], join: impl Fn($t, $t) -> $t) -> $t {
                // Seen together with the joining in pairs, the loop would be compiled for pairs.
                let mut lanes = std::hint::black_box(lanes);
                let mut half = LANES / 2;
                while half > 0 {
                    for l in 0..half {
                        lanes[l] = join(lanes[l], lanes[l + half]);
                    }
                    half /= 2;
                }
                lanes[0]
            }

            #[inline(always)]
            fn larger(a: $t, b: $t) -> $t {
                // A NaN need not be looked for: its exponential makes the sum one.
                if b > a { b } else { a }
            }

            /// Scores times the scale, with what is added to them.
            #[inline(always)]
            unsafe fn settled(s: &mut [$t], scale: $t, added: Added<$t>) {
                if added.from.is_null() {
                    s.iter_mut().for_each(|s| *s *= scale);
                } else if added.step == 1 {
                    // SAFETY: the caller promises as many elements as there are scores.
                    let list = unsafe { std::slice::from_raw_parts(added.from, s.len()) };
                    s.iter_mut().zip(list).for_each(|(s, a)| *s = *s * scale + *a);
                } else {
                    for (j, s) in s.iter_mut().enumerate() {
                        // SAFETY: as above, a step apart.
                        *s = *s * scale + unsafe { *added.from.offset(j as isize * added.step) };
                    }
                }
            }

            #[inline(always)]
            unsafe fn row_of<const FMA: bool>(s: *mut $t, n: usize, scale: $t, added: Added<$t>, top: &mut $t, sum: &mut $t) -> $t {
                // SAFETY: the caller promises `n` scores.
                let s = unsafe { std::slice::from_raw_parts_mut(s, n) };
                // SAFETY: the caller's promise.
                unsafe { settled(s, scale, added) };
                let mut tops = [<$t>::NEG_INFINITY; LANES];
                for s in s.chunks_exact(LANES) {
                    for l in 0..LANES {
                        tops[l] = larger(tops[l], s[l]);
                    }
                }
                let most = s.chunks_exact(LANES).remainder().iter().fold(joined(tops, larger), |a, &b| larger(a, b));
                let new = larger(*top, most);
                // Where nothing may be looked at so far, nothing is subtracted, and all exponentials are 0.
                let base = if new == <$t>::NEG_INFINITY { 0.0 } else { new };
                for s in s.iter_mut() {
                    *s = $math::exp::<FMA>(*s - base);
                }
                let mut sums = [0.0 as $t; LANES];
                for s in s.chunks_exact(LANES) {
                    for l in 0..LANES {
                        sums[l] += s[l];
                    }
                }
                let more = s.chunks_exact(LANES).remainder().iter().fold(joined(sums, |a, b| a + b), |a, b| a + b);
                let factor = $math::exp::<FMA>(*top - base);
                (*sum, *top) = (*sum * factor + more, new);
                factor
            }

            #[inline(always)]
            unsafe fn shares_of<const FMA: bool>(s: *mut $t, n: usize, scale: $t, added: Added<$t>, low: $t) {
                // SAFETY: as above.
                let s = unsafe { std::slice::from_raw_parts_mut(s, n) };
                // SAFETY: the caller's promise.
                unsafe { settled(s, scale, added) };
                for s in s.iter_mut() {
                    *s = $math::exp::<FMA>(*s - low);
                }
            }

            #[inline(always)]
            unsafe fn slopes_of<const FMA: bool>(d: *mut $t, p: *const $t, n: usize, level: $t, scale: $t) {
                // SAFETY: as above.
                let (d, p) = unsafe { (std::slice::from_raw_parts_mut(d, n), std::slice::from_raw_parts(p, n)) };
                for (d, p) in d.iter_mut().zip(p) {
                    *d = *p * (*d - level) * scale;
                }
            }

            #[inline(always)]
            unsafe fn scaled_of<const FMA: bool>(from: *const $t, to: *mut $t, n: usize, factor: $t) {
                for i in 0..n {
                    // SAFETY: the caller promises `n` elements on both sides, which may be the same.
                    unsafe { *to.add(i) = *from.add(i) * factor };
                }
            }

            #[inline(always)]
            unsafe fn dot_of<const FMA: bool>(a: *const $t, b: *const $t, n: usize) -> $t {
                // SAFETY: as above.
                let (a, b) = unsafe { (std::slice::from_raw_parts(a, n), std::slice::from_raw_parts(b, n)) };
                let mut sums = [0.0 as $t; LANES];
                for (a, b) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
                    for l in 0..LANES {
                        sums[l] += a[l] * b[l];
                    }
                }
                let whole = n / LANES * LANES;
                (whole..n).fold(joined(sums, |a, b| a + b), |sum, i| sum + a[i] * b[i])
            }

            crate::per_isa!(static row: unsafe fn(s: *mut $t, n: usize, scale: $t, added: Added<$t>, top: &mut $t, sum: &mut $t) -> $t = row_of);
            crate::per_isa!(static shares: unsafe fn(s: *mut $t, n: usize, scale: $t, added: Added<$t>, low: $t) = shares_of);
            crate::per_isa!(static slopes: unsafe fn(d: *mut $t, p: *const $t, n: usize, level: $t, scale: $t) = slopes_of);
            crate::per_isa!(static scaled: unsafe fn(from: *const $t, to: *mut $t, n: usize, factor: $t) = scaled_of);
            crate::per_isa!(static dot: unsafe fn(a: *const $t, b: *const $t, n: usize) -> $t = dot_of);

            impl Kind for $t {
                const LOOPS: Loops<$t> = Loops { row: &row, shares: &shares, slopes: &slopes, scaled: &scaled, dot: &dot };
                fn log(self) -> $t {
                    $math::log::<false>(self)
                }
                fn of(value: f64) -> $t {
                    value as $t
                }
            }
        }
    };
}
kind!(f32, single, of_single);
kind!(f64, double, of_double);

/// One batch and head of an operand (batch, rows, heads, size), whose elements of a row lie side by side.
#[derive(Clone, Copy)]
struct Head<T> {
    first: *mut T,
    pitch: isize,
}

impl<T> Head<T> {
    fn of(x: &Operand, b: usize, h: usize) -> Head<T> {
        let s = &x.layout.strides;
        Head { first: x.ptr().cast::<T>().wrapping_offset(b as isize * s[0] + h as isize * s[2]), pitch: s[1] }
    }
    fn at(&self, row: usize) -> *mut T {
        self.first.wrapping_offset(row as isize * self.pitch)
    }
    /// Rows and columns as a product sees them.
    fn steps(&self) -> (isize, isize) {
        (self.pitch, 1)
    }
    fn turned(&self) -> (isize, isize) {
        (1, self.pitch)
    }
}

/// The sizes of all heads.
#[derive(Clone, Copy)]
struct Sizes {
    heads: usize,
    queries: usize,
    keys: usize,
    width: usize,
    out: usize,
}

impl Sizes {
    fn of(q: &Operand, v: &Operand) -> Sizes {
        let (q, v) = (&q.layout.shape, &v.layout.shape);
        Sizes { heads: q[2], queries: q[1], keys: v[1], width: q[3], out: v[3] }
    }
}

/// Keys from `start` on that query `i` may look at, of `count`.
fn seen(what: &Attention, i: usize, start: usize, count: usize) -> usize {
    if what.causal { (i + 1).saturating_sub(start).min(count) } else { count }
}

/// What is added to the scores of a query from a key on.
fn added<T>(mask: Option<&Operand>, (b, h): (usize, usize), i: usize, j: usize) -> Added<T> {
    let Some(mask) = mask else { return Added { from: std::ptr::null(), step: 0 } };
    let s = &mask.layout.strides;
    let at = b as isize * s[0] + h as isize * s[1] + i as isize * s[2] + j as isize * s[3];
    Added { from: mask.ptr().cast::<T>().wrapping_offset(at), step: s[3] }
}

/// In: queries, keys and values (batch, rows, heads, size), and what is added to scores (batch, heads, queries, keys). Out:
/// the result, like the queries, and the log-sums of scores (batch, heads, queries). Way back, in: the cotangent, result,
/// queries, keys, values, log-sums, and what is added; out: the cotangents of queries, keys and values, row-major.
pub fn run(what: &Attention, ins: &[Operand], outs: &[Operand]) -> Result<()> {
    match (outs[0].dtype, what.back) {
        (DType::F32, false) => forward::<f32>(what, ins, outs),
        (DType::F64, false) => forward::<f64>(what, ins, outs),
        (DType::F32, true) => backward::<f32>(what, ins, outs),
        (DType::F64, true) => backward::<f64>(what, ins, outs),
        (other, _) => return Err(Error::bug("attention", format!("no loop for {other}"))),
    }
    Ok(())
}

fn room<T: Kind>(n: usize) -> Vec<T> {
    vec![T::of(0.0); n]
}

fn forward<T: Kind>(what: &Attention, ins: &[Operand], outs: &[Operand]) {
    let (q, k, v, mask) = (&ins[0], &ins[1], &ins[2], ins.get(3));
    let size = Sizes::of(q, v);
    let (tiles, level) = (size.queries.div_ceil(QUERIES), isa::level());
    let (high, wide) = (QUERIES.min(size.queries), KEYS.min(size.keys));
    let scale = T::of(what.scale);
    let sums = Bytes(outs[1].ptr());
    threads::heavy(q.layout.shape[0] * size.heads * tiles, 1, |range| {
        let (mut scores, mut kept) = (room::<T>(high * wide), room::<T>(high * size.out));
        for job in range {
            let (unit, start) = (job / tiles, job % tiles * QUERIES);
            let (b, h) = (unit / size.heads, unit % size.heads);
            let rows = QUERIES.min(size.queries - start);
            let (q, k, v, out) = (Head::<T>::of(q, b, h), Head::<T>::of(k, b, h), Head::<T>::of(v, b, h), Head::<T>::of(&outs[0], b, h));
            let (mut top, mut sum) = ([T::of(f64::NEG_INFINITY); QUERIES], [T::of(0.0); QUERIES]);
            kept.fill(T::of(0.0));
            for from in (0..size.keys).step_by(KEYS) {
                let many = KEYS.min(size.keys - from);
                if stop::asked() || seen(what, start + rows - 1, from, many) == 0 {
                    break;
                }
                // SAFETY: the pointers reach the rows of the operands that the sizes name; scratch has room for a tile.
                unsafe {
                    let s = scores.as_mut_ptr();
                    contract::alone((rows, many, size.width), q.at(start), q.steps(), k.at(from), k.turned(), s, (many as isize, 1), false);
                    for i in 0..rows {
                        let count = seen(what, start + i, from, many);
                        let at = s.add(i * many);
                        let more = added(mask, (b, h), start + i, from);
                        let factor = T::LOOPS.row[level](at, count, scale, more, &mut top[i], &mut sum[i]);
                        std::slice::from_raw_parts_mut(at, many)[count..].fill(T::of(0.0));
                        if from > 0 {
                            let row = kept.as_mut_ptr().add(i * size.out);
                            T::LOOPS.scaled[level](row, row, size.out, factor);
                        }
                    }
                    let steps = (size.out as isize, 1);
                    contract::alone(
                        (rows, size.out, many),
                        s,
                        (many as isize, 1),
                        v.at(from),
                        v.steps(),
                        kept.as_mut_ptr(),
                        steps,
                        from > 0,
                    );
                }
            }
            for i in 0..rows {
                let all = sum[i].to_f64();
                // A query that may look nowhere gets nothing, and has shares of nothing on the way back.
                let nowhere = top[i].to_f64() == f64::NEG_INFINITY;
                let factor = T::of(if nowhere { 0.0 } else { 1.0 / all });
                let low = if nowhere { T::of(f64::INFINITY) } else { T::of(top[i].to_f64() + sum[i].log().to_f64()) };
                // SAFETY: rows of the results, each of one job's.
                unsafe {
                    T::LOOPS.scaled[level](kept.as_ptr().add(i * size.out), out.at(start + i), size.out, factor);
                    *sums.at(0).cast::<T>().add(unit * size.queries + start + i) = low;
                }
            }
        }
    });
}

fn backward<T: Kind>(what: &Attention, ins: &[Operand], outs: &[Operand]) {
    let (q, v, mask) = (&ins[2], &ins[4], ins.get(6));
    let (size, level) = (Sizes::of(q, v), isa::level());
    let (high, wide) = (QUERIES.min(size.queries), KEYS.min(size.keys));
    let (scale, sums) = (T::of(what.scale), Bytes(ins[5].ptr()));
    // What is in one tile need not be added up.
    let add = size.queries > QUERIES || size.keys > KEYS;
    threads::heavy(q.layout.shape[0] * size.heads, 1, |range| {
        let (mut scores, mut slopes, mut levels) = (room::<T>(high * wide), room::<T>(high * wide), room::<T>(size.queries));
        for unit in range {
            let (b, h) = (unit / size.heads, unit % size.heads);
            let [g, y, q, k, v] = [0, 1, 2, 3, 4].map(|i| Head::<T>::of(&ins[i], b, h));
            let [dq, dk, dv] = [0, 1, 2].map(|i| Head::<T>::of(&outs[i], b, h));
            // SAFETY: the pointers reach the rows of the operands that the sizes name, those of results of this head alone.
            unsafe {
                let low = sums.at(0).cast::<T>().add(unit * size.queries);
                for (i, own) in levels.iter_mut().enumerate() {
                    *own = T::LOOPS.dot[level](g.at(i), y.at(i), size.out);
                    if add {
                        std::slice::from_raw_parts_mut(dq.at(i), size.width).fill(T::of(0.0));
                    }
                }
                for j in (0..size.keys).filter(|_| add) {
                    std::slice::from_raw_parts_mut(dk.at(j), size.width).fill(T::of(0.0));
                    std::slice::from_raw_parts_mut(dv.at(j), size.out).fill(T::of(0.0));
                }
                for from in (0..size.keys).step_by(KEYS) {
                    let many = KEYS.min(size.keys - from);
                    for start in (0..size.queries).step_by(QUERIES) {
                        let rows = QUERIES.min(size.queries - start);
                        if stop::asked() {
                            return;
                        }
                        if seen(what, start + rows - 1, from, many) == 0 {
                            continue;
                        }
                        let (p, d, tile) = (scores.as_mut_ptr(), slopes.as_mut_ptr(), (many as isize, 1));
                        contract::alone((rows, many, size.width), q.at(start), q.steps(), k.at(from), k.turned(), p, tile, false);
                        contract::alone((rows, many, size.out), g.at(start), g.steps(), v.at(from), v.turned(), d, tile, false);
                        for i in 0..rows {
                            let (p, d) = (p.add(i * many), d.add(i * many));
                            let count = seen(what, start + i, from, many);
                            let more = added(mask, (b, h), start + i, from);
                            T::LOOPS.shares[level](p, count, scale, more, *low.add(start + i));
                            std::slice::from_raw_parts_mut(p, many)[count..].fill(T::of(0.0));
                            T::LOOPS.slopes[level](d, p, many, levels[start + i], scale);
                        }
                        let across = (1, many as isize);
                        contract::alone((many, size.out, rows), p, across, g.at(start), g.steps(), dv.at(from), dv.steps(), add);
                        contract::alone((many, size.width, rows), d, across, q.at(start), q.steps(), dk.at(from), dk.steps(), add);
                        contract::alone((rows, size.width, many), d, tile, k.at(from), k.steps(), dq.at(start), dq.steps(), add);
                    }
                }
            }
        }
    });
}
