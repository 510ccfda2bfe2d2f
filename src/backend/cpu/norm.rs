//! Rows, channels or groups of channels brought to mean 0 and variance 1, and the way back: what is summed goes on in float64,
//! in an order that the sizes alone fix. Leans on lines for rows, and on accumulate.

use super::accumulate::{Apart, Loops, Sum};
use super::convert::Bytes;
use super::lines::{Lines, TOGETHER};
use super::{isa, threads};
use crate::backend::launch::{Norm, Operand};
use crate::base::dtype::Element;
use crate::base::{DType, Error, Result};

/// Elements that one thread takes at a time, at least.
const CHUNK: usize = 1 << 15;
/// Partial sums over rows, at most: their number must not grow with the rows.
const PARTS: usize = 64;
/// Columns that are worked on together.
const PANEL: usize = 256;

type Three<Loop> = &'static [Loop; 3];

#[allow(clippy::type_complexity, reason = "a list of such types")]
struct Kernels<T: 'static> {
    /// `(from, to, count, mean, factor, term)`.
    line: Three<unsafe fn(*const T, *mut T, usize, T, T, T)>,
    /// `(cotangent, from, to, count, mean, factor, term, slope)`.
    line_back: Three<unsafe fn(*const T, *const T, *mut T, usize, T, T, T, T)>,
    /// The same three over rows of columns, a list for each column.
    lines: Three<unsafe fn(*const T, *mut T, &[T], &[T], &[T])>,
    dots_down: Three<unsafe fn(*const T, *const T, &[T], &mut [f64], &mut [f64])>,
    lines_back: Three<unsafe fn(*const T, *const T, *mut T, &[T], &[T], &[T], &[T])>,
}

trait Kind: Element + Lines {
    const KERNELS: Kernels<Self>;
}

macro_rules! kernels {
    ($t:ty, $module:ident) => {
        #[allow(clippy::too_many_arguments, reason = "a list of streams")]
        mod $module {
            use super::*;

            #[inline(always)]
            unsafe fn slice<'a>(from: *const $t, n: usize) -> &'a [$t] {
                // SAFETY: the caller promises `n` elements that nobody writes.
                unsafe { std::slice::from_raw_parts(from, n) }
            }

            #[inline(always)]
            unsafe fn slice_mut<'a>(to: *mut $t, n: usize) -> &'a mut [$t] {
                // SAFETY: the caller promises `n` elements that nobody else uses.
                unsafe { std::slice::from_raw_parts_mut(to, n) }
            }

            #[inline(always)]
            unsafe fn line_of<const FMA: bool>(x: *const $t, y: *mut $t, n: usize, mean: $t, factor: $t, term: $t) {
                // SAFETY: the caller promises `n` elements.
                let (x, y) = unsafe { (slice(x, n), slice_mut(y, n)) };
                for (y, x) in y.iter_mut().zip(x) {
                    *y = (*x - mean) * factor + term;
                }
            }

            #[inline(always)]
            unsafe fn line_back_of<const FMA: bool>(
                g: *const $t, x: *const $t, to: *mut $t, n: usize, mean: $t, factor: $t, term: $t, slope: $t,
            ) {
                // SAFETY: as above.
                let (g, x, to) = unsafe { (slice(g, n), slice(x, n), slice_mut(to, n)) };
                for ((to, g), x) in to.iter_mut().zip(g).zip(x) {
                    *to = *g * factor - ((*x - mean) * slope + term);
                }
            }

            #[inline(always)]
            unsafe fn lines_of<const FMA: bool>(x: *const $t, y: *mut $t, mean: &[$t], factor: &[$t], term: &[$t]) {
                let n = mean.len();
                // SAFETY: the caller promises rows as long as the lists.
                let (x, y) = unsafe { (slice(x, n), slice_mut(y, n)) };
                let (factor, term) = (&factor[..n], &term[..n]);
                for j in 0..n {
                    y[j] = (x[j] - mean[j]) * factor[j] + term[j];
                }
            }

            #[inline(always)]
            unsafe fn dots_down_of<const FMA: bool>(g: *const $t, x: *const $t, mean: &[$t], all: &mut [f64], along: &mut [f64]) {
                let n = mean.len();
                // SAFETY: as above.
                let (g, x) = unsafe { (slice(g, n), slice(x, n)) };
                let (all, along) = (&mut all[..n], &mut along[..n]);
                for j in 0..n {
                    all[j] += g[j] as f64;
                    along[j] += (g[j] * (x[j] - mean[j])) as f64;
                }
            }

            #[inline(always)]
            unsafe fn lines_back_of<const FMA: bool>(
                g: *const $t, x: *const $t, to: *mut $t, mean: &[$t], factor: &[$t], term: &[$t], slope: &[$t],
            ) {
                let n = mean.len();
                // SAFETY: as above.
                let (g, x, to) = unsafe { (slice(g, n), slice(x, n), slice_mut(to, n)) };
                let (factor, term, slope) = (&factor[..n], &term[..n], &slope[..n]);
                for j in 0..n {
                    to[j] = ((g[j] - term[j]) - (x[j] - mean[j]) * slope[j]) * factor[j];
                }
            }

            crate::per_isa!(static line: unsafe fn(x: *const $t, y: *mut $t, n: usize, mean: $t, factor: $t, term: $t) = line_of);
            crate::per_isa!(static line_back: unsafe fn(g: *const $t, x: *const $t, to: *mut $t, n: usize, mean: $t, factor: $t, term: $t, slope: $t) = line_back_of);
            crate::per_isa!(static lines: unsafe fn(x: *const $t, y: *mut $t, mean: &[$t], factor: &[$t], term: &[$t]) = lines_of);
            crate::per_isa!(static dots_down: unsafe fn(g: *const $t, x: *const $t, mean: &[$t], all: &mut [f64], along: &mut [f64]) = dots_down_of);
            crate::per_isa!(static lines_back: unsafe fn(g: *const $t, x: *const $t, to: *mut $t, mean: &[$t], factor: &[$t], term: &[$t], slope: &[$t]) = lines_back_of);

            impl Kind for $t {
                const KERNELS: Kernels<$t> = Kernels {
                    line: &line,
                    line_back: &line_back,
                    lines: &lines,
                    dots_down: &dots_down,
                    lines_back: &lines_back,
                };
            }
        }
    };
}
kernels!(f32, of_single);
kernels!(f64, of_double);

/// In: x, then weight and bias where there are any. Out: y, means, 1 / deviations, and variances of channels. Way back, in:
/// the cotangent, x, means, 1 / deviations, and the weight; out: the cotangent of x, and of weight and bias if they are
/// wanted. All are row-major; x is (rows, size), or (samples, channels, size) where channels are meant.
pub fn run(what: &Norm, ins: &[Operand], outs: &[Operand]) -> Result<()> {
    match outs[0].dtype {
        DType::F32 => of::<f32>(what, ins, outs),
        DType::F64 => of::<f64>(what, ins, outs),
        other => return Err(Error::bug("norm", format!("no loop for {other}"))),
    }
    Ok(())
}

fn of<T: Kind>(what: &Norm, ins: &[Operand], outs: &[Operand])
where
    Sum: Loops<T, Acc = f64>,
    Apart: Loops<T, Acc = f64>,
{
    if ins[0].numel() == 0 {
        return outs.iter().for_each(|out| (0..out.numel()).for_each(|i| super::fold::put(out, i, 0.0, 0)));
    }
    match (what.channels, what.back) {
        (true, back) if what.groups > 0 => groups::<T>(what, ins, outs, back),
        (false, false) => rows::<T>(what, ins, outs),
        (false, true) => rows_back::<T>(what, ins, outs),
        (true, _) if ins[0].layout.shape[2] == 1 => columns::<T>(what, ins, outs),
        (true, _) => channels::<T>(what, ins, outs),
    }
}

fn bytes(list: &[Operand], i: usize) -> Bytes {
    Bytes(list.get(i).map_or(std::ptr::null_mut(), Operand::ptr))
}

/// A list that all threads read, or null.
fn shared<T>(list: &[Operand], there: bool, i: usize) -> Bytes {
    Bytes(part::<T>(list, there, i).cast_mut().cast())
}

fn part<T>(list: &[Operand], there: bool, i: usize) -> *const T {
    if there { bytes(list, i).0.cast_const().cast() } else { std::ptr::null() }
}

fn rows<T: Kind>(what: &Norm, ins: &[Operand], outs: &[Operand]) {
    let (count, n) = (ins[0].layout.shape[0], ins[0].layout.shape[1]);
    let (weight, bias) = (shared::<T>(ins, what.weight, 1), shared::<T>(ins, what.bias, 1 + usize::from(what.weight)));
    let (x, y, means, scales) = (bytes(ins, 0), bytes(outs, 0), bytes(outs, 1), bytes(outs, 2));
    let kernel = T::LINES.forward[isa::level()];
    let (centred, eps) = (what.centred, what.eps);
    threads::each(count, (CHUNK / n).max(1), |range| {
        let (r, rows) = (range.start, range.len());
        let at = |p: &Bytes, i: usize| p.0.cast::<T>().wrapping_add(i);
        // SAFETY: each thread has rows of its own of operands that hold `count` rows.
        unsafe {
            let moments = (at(&means, r), at(&scales, r));
            kernel(centred, at(&x, r * n), at(&y, r * n), moments, (weight.at(0).cast(), bias.at(0).cast()), (rows, n), eps);
        }
    });
}

fn rows_back<T: Kind>(what: &Norm, ins: &[Operand], outs: &[Operand]) {
    let (count, n) = (ins[0].layout.shape[0], ins[0].layout.shape[1]);
    let (g, x, means, scales) = (bytes(ins, 0), bytes(ins, 1), bytes(ins, 2), bytes(ins, 3));
    let weight = shared::<T>(ins, what.weight, 4);
    let to = bytes(outs, 0);
    let (kernel, centred, wanted) = (T::LINES.backward[isa::level()], what.centred, outs.len() > 1);
    // Chunks of whole blocks of rows, so many that their partial sums stay few.
    let chunk = (CHUNK / n).max(count.div_ceil(PARTS)).max(1).next_multiple_of(TOGETHER);
    let parts = count.div_ceil(chunk);
    let mut sums = if wanted { vec![0f64; parts * 2 * n] } else { Vec::new() };
    let slots = Bytes(sums.as_mut_ptr().cast());
    threads::each(count, chunk, |range| {
        let at = |p: &Bytes, i: usize| p.0.cast::<T>().wrapping_add(i);
        let mut spare = if wanted { vec![T::default(); 2 * n] } else { Vec::new() };
        // SAFETY: nothing is read yet.
        let base = unsafe { slots.at(0) }.cast::<f64>();
        let slot = if wanted { base.wrapping_add(range.start / chunk * 2 * n) } else { std::ptr::null_mut() };
        let mut r = range.start;
        while r < range.end {
            let rows = TOGETHER.min(range.end - r);
            let given = (at(&g, r * n).cast_const(), at(&x, r * n).cast_const());
            let moments = (at(&means, r).cast_const(), at(&scales, r).cast_const());
            // SAFETY: each thread has rows of its own of operands that hold `count` rows, and a slot for each chunk.
            unsafe { kernel(centred, given, moments, weight.at(0).cast(), at(&to, r * n), (spare.as_mut_ptr(), slot), (rows, n)) };
            r += rows;
        }
    });
    let (total, rest) = sums.split_at_mut(if wanted { 2 * n } else { 0 });
    for part in rest.chunks_exact(2 * n) {
        total.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
    }
    for (list, out) in total.chunks_exact(n).zip(&outs[1..]) {
        list.iter().enumerate().for_each(|(j, &sum)| super::fold::put(out, j, sum, 0));
    }
}

/// What a channel's elements are multiplied with, and what is added; or the same of the way back.
fn affine<T: Kind>(what: &Norm, ins: &[Operand], c: usize) -> (f64, f64) {
    let of = |there: bool, i: usize, other: f64| {
        let list = part::<T>(ins, there, i);
        // SAFETY: a list with an element for each channel, or null.
        if list.is_null() { other } else { unsafe { *list.add(c) }.to_f64() }
    };
    if what.back { (of(what.weight, 4, 1.0), 0.0) } else { (of(what.weight, 1, 1.0), of(what.bias, 1 + usize::from(what.weight), 0.0)) }
}

fn channels<T: Kind>(what: &Norm, ins: &[Operand], outs: &[Operand]) {
    let shape = &ins[0].layout.shape;
    let (samples, count, size) = (shape[0], shape[1], shape[2]);
    let total = (samples * size) as f64;
    let level = isa::level();
    let (first, second, to) = (bytes(ins, 0), bytes(ins, 1), bytes(outs, 0));
    let row = |p: &Bytes, s: usize, c: usize| p.0.cast::<T>().wrapping_add((s * count + c) * size);
    threads::each(count, (CHUNK / (samples * size)).max(1), |range| {
        for c in range {
            let (weight, bias) = affine::<T>(what, ins, c);
            // SAFETY: rows of the operands, each channel's written by one thread.
            unsafe {
                if !what.back {
                    let (mut mean, mut square) = (0f64, 0f64);
                    for s in 0..samples {
                        // Chan, Golub and LeVeque 1983: moments of parts joined.
                        let mut found = (0.0, 0.0);
                        T::LINES.moments[level](row(&first, s, c), size, &mut found);
                        let (gap, share) = (found.0 - mean, 1.0 / (s + 1) as f64);
                        mean += gap * share;
                        square += (found.1 + gap * gap * s as f64 * share) * size as f64;
                    }
                    let scale = 1.0 / (square / total + what.eps).sqrt();
                    for (out, value) in outs[1..].iter().zip([mean, scale, square / total]) {
                        super::fold::put(out, c, value, 0);
                    }
                    let (mean, factor, term) = (T::from_f64(mean), T::from_f64(scale * weight), T::from_f64(bias));
                    for s in 0..samples {
                        T::KERNELS.line[level](row(&first, s, c), row(&to, s, c), size, mean, factor, term);
                    }
                    continue;
                }
                let (mean, scale) = (*part::<T>(ins, true, 2).add(c), (*part::<T>(ins, true, 3).add(c)).to_f64());
                let (mut all, mut along) = (0f64, 0f64);
                for s in 0..samples {
                    let mut found = (0.0, 0.0);
                    T::LINES.dots[level](row(&first, s, c), row(&second, s, c), size, mean, &mut found);
                    (all, along) = (all + found.0, along + found.1);
                }
                for (out, value) in outs[1..].iter().zip([along * scale, all]) {
                    super::fold::put(out, c, value, 0);
                }
                let factor = scale * weight;
                let (term, slope) = (T::from_f64(factor * all / total), T::from_f64(factor * along * scale * scale / total));
                let factor = T::from_f64(factor);
                for s in 0..samples {
                    T::KERNELS.line_back[level](row(&first, s, c), row(&second, s, c), row(&to, s, c), size, mean, factor, term, slope);
                }
            }
        }
    });
}

/// Groups of neighbouring channels of each sample; outs are y, means and 1 / deviations, or the three cotangents.
fn groups<T: Kind>(what: &Norm, ins: &[Operand], outs: &[Operand], back: bool) {
    let shape = &ins[0].layout.shape;
    let (samples, count, size) = (shape[0], shape[1], shape[2]);
    let per = count / what.groups;
    let (total, level) = ((per * size) as f64, isa::level());
    let (first, second, to) = (bytes(ins, 0), bytes(ins, 1), bytes(outs, 0));
    let row = |p: &Bytes, r: usize, c: usize| p.0.cast::<T>().wrapping_add((r * per + c) * size);
    // What every sample's channels add to the slopes of weight and bias.
    let mut shares = vec![(0f64, 0f64); if back { samples * count } else { 0 }];
    let slots = Bytes(shares.as_mut_ptr().cast());
    threads::each(samples * what.groups, (CHUNK / (per * size)).max(1), |range| {
        for r in range {
            let channel = |c: usize| affine::<T>(what, ins, r % what.groups * per + c);
            // SAFETY: rows of the operands, each group's written by one thread.
            unsafe {
                if !back {
                    let mut found = (0.0, 0.0);
                    T::LINES.moments[level](row(&first, r, 0), per * size, &mut found);
                    let scale = 1.0 / (found.1 + what.eps).sqrt();
                    for (out, value) in outs[1..].iter().zip([found.0, scale]) {
                        super::fold::put(out, r, value, 0);
                    }
                    for c in 0..per {
                        let (weight, bias) = channel(c);
                        let (mean, factor, term) = (T::from_f64(found.0), T::from_f64(scale * weight), T::from_f64(bias));
                        T::KERNELS.line[level](row(&first, r, c), row(&to, r, c), size, mean, factor, term);
                    }
                    continue;
                }
                let (mean, scale) = (*part::<T>(ins, true, 2).add(r), (*part::<T>(ins, true, 3).add(r)).to_f64());
                let (mut all, mut along) = (0f64, 0f64);
                for c in 0..per {
                    let mut found = (0.0, 0.0);
                    T::LINES.dots[level](row(&first, r, c), row(&second, r, c), size, mean, &mut found);
                    let weight = channel(c).0;
                    (all, along) = (all + weight * found.0, along + weight * found.1);
                    *slots.at(0).cast::<(f64, f64)>().add(r * per + c) = (found.1 * scale, found.0);
                }
                let (term, slope) = (T::from_f64(scale * all / total), T::from_f64(scale * scale * scale * along / total));
                for c in 0..per {
                    let factor = T::from_f64(scale * channel(c).0);
                    T::KERNELS.line_back[level](row(&first, r, c), row(&second, r, c), row(&to, r, c), size, mean, factor, term, slope);
                }
            }
        }
    });
    if outs.len() > 1 && back {
        for c in 0..count {
            let (along, all) = (0..samples).map(|s| shares[s * count + c]).fold((0.0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1));
            super::fold::put(&outs[1], c, along, 0);
            super::fold::put(&outs[2], c, all, 0);
        }
    }
}

/// Channels of one element a sample: columns of a matrix.
fn columns<T: Kind>(what: &Norm, ins: &[Operand], outs: &[Operand])
where
    Sum: Loops<T, Acc = f64>,
    Apart: Loops<T, Acc = f64>,
{
    let (samples, count) = (ins[0].layout.shape[0], ins[0].layout.shape[1]);
    let (total, level) = (samples as f64, isa::level());
    let (first, second, to) = (bytes(ins, 0), bytes(ins, 1), bytes(outs, 0));
    threads::each(count.div_ceil(PANEL), (CHUNK / (samples * PANEL)).max(1), |range| {
        for panel in range {
            let start = panel * PANEL;
            let n = PANEL.min(count - start);
            let row = |p: &Bytes, s: usize| p.0.cast::<T>().wrapping_add(s * count + start);
            let (mut mean, mut factor, mut term, mut slope) =
                ([T::default(); PANEL], [T::default(); PANEL], [T::default(); PANEL], [T::default(); PANEL]);
            let (mut all, mut along) = ([0f64; PANEL], [0f64; PANEL]);
            // SAFETY: rows of the operands, each panel's written by one thread.
            unsafe {
                if !what.back {
                    Sum.columns(&mut all[..n], row(&first, 0), count as isize, samples);
                    all[..n].iter_mut().for_each(|sum| *sum /= total);
                    Apart(all.as_ptr()).columns(&mut along[..n], row(&first, 0), count as isize, samples);
                    for j in 0..n {
                        let (weight, bias) = affine::<T>(what, ins, start + j);
                        let scale = 1.0 / (along[j] / total + what.eps).sqrt();
                        for (out, value) in outs[1..].iter().zip([all[j], scale, along[j] / total]) {
                            super::fold::put(out, start + j, value, 0);
                        }
                        (mean[j], factor[j], term[j]) = (T::from_f64(all[j]), T::from_f64(scale * weight), T::from_f64(bias));
                    }
                    for s in 0..samples {
                        T::KERNELS.lines[level](row(&first, s), row(&to, s), &mean[..n], &factor[..n], &term[..n]);
                    }
                    continue;
                }
                mean[..n].copy_from_slice(std::slice::from_raw_parts(part::<T>(ins, true, 2).add(start), n));
                for s in 0..samples {
                    T::KERNELS.dots_down[level](row(&first, s), row(&second, s), &mean[..n], &mut all[..n], &mut along[..n]);
                }
                for j in 0..n {
                    let scale = (*part::<T>(ins, true, 3).add(start + j)).to_f64();
                    for (out, value) in outs[1..].iter().zip([along[j] * scale, all[j]]) {
                        super::fold::put(out, start + j, value, 0);
                    }
                    factor[j] = T::from_f64(scale * affine::<T>(what, ins, start + j).0);
                    term[j] = T::from_f64(all[j] / total);
                    slope[j] = T::from_f64(along[j] * scale * scale / total);
                }
                for s in 0..samples {
                    let (g, x, to) = (row(&first, s), row(&second, s), row(&to, s));
                    T::KERNELS.lines_back[level](g, x, to, &mean[..n], &factor[..n], &term[..n], &slope[..n]);
                }
            }
        }
    });
}
