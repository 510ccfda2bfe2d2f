//! Folds along axes: sums in 32 fixed lanes of float64 (so that neither threads nor instruction sets change a bit and
//! 2^24 float32 still add up), extremes with NaN carried, truths. Leans on convert and per_isa.

use super::convert::{self, Bytes, Cursor};
use super::{isa, threads};
use crate::backend::launch::{FoldKind, Operand};
use crate::base::{DType, Error, Layout, Result};

const LANES: usize = 32;
const TILE: usize = 512;
/// Elements of one partial result of a long fold; fixed, so that the fold tree depends on the shape alone.
const CHUNK: usize = 1 << 16;

/// One fold over one element type.
trait Fold<T: Copy>: Copy + Send + Sync {
    type Acc: Copy + Send + Sync;
    fn start(&self) -> Self::Acc;
    fn step(&self, acc: Self::Acc, x: T) -> Self::Acc;
    fn join(&self, a: Self::Acc, b: Self::Acc) -> Self::Acc;
}

#[derive(Clone, Copy)]
struct Sum;
#[derive(Clone, Copy)]
struct Prod;
#[derive(Clone, Copy)]
struct Max;
#[derive(Clone, Copy)]
struct Min;
/// Sum of squared distances from a centre.
#[derive(Clone, Copy)]
struct Spread(f64);

macro_rules! float_folds {
    ($($t:ty),*) => {$(
        impl Fold<$t> for Sum {
            type Acc = f64;
            #[inline(always)] fn start(&self) -> f64 { 0.0 }
            #[inline(always)] fn step(&self, acc: f64, x: $t) -> f64 { acc + x as f64 }
            #[inline(always)] fn join(&self, a: f64, b: f64) -> f64 { a + b }
        }
        impl Fold<$t> for Prod {
            type Acc = f64;
            #[inline(always)] fn start(&self) -> f64 { 1.0 }
            #[inline(always)] fn step(&self, acc: f64, x: $t) -> f64 { acc * x as f64 }
            #[inline(always)] fn join(&self, a: f64, b: f64) -> f64 { a * b }
        }
        impl Fold<$t> for Spread {
            type Acc = f64;
            #[inline(always)] fn start(&self) -> f64 { 0.0 }
            #[inline(always)] fn step(&self, acc: f64, x: $t) -> f64 { let d = x as f64 - self.0; acc + d * d }
            #[inline(always)] fn join(&self, a: f64, b: f64) -> f64 { a + b }
        }
        impl Fold<$t> for Max {
            type Acc = $t;
            #[inline(always)] fn start(&self) -> $t { <$t>::NEG_INFINITY }
            #[inline(always)] fn step(&self, acc: $t, x: $t) -> $t { if x > acc || x != x { x } else { acc } }
            #[inline(always)] fn join(&self, a: $t, b: $t) -> $t { self.step(a, b) }
        }
        impl Fold<$t> for Min {
            type Acc = $t;
            #[inline(always)] fn start(&self) -> $t { <$t>::INFINITY }
            #[inline(always)] fn step(&self, acc: $t, x: $t) -> $t { if x < acc || x != x { x } else { acc } }
            #[inline(always)] fn join(&self, a: $t, b: $t) -> $t { self.step(a, b) }
        }
    )*};
}
float_folds!(f32, f64);

impl Fold<i64> for Sum {
    type Acc = i64;
    #[inline(always)]
    fn start(&self) -> i64 {
        0
    }
    #[inline(always)]
    fn step(&self, acc: i64, x: i64) -> i64 {
        acc.wrapping_add(x)
    }
    #[inline(always)]
    fn join(&self, a: i64, b: i64) -> i64 {
        a.wrapping_add(b)
    }
}
impl Fold<i64> for Prod {
    type Acc = i64;
    #[inline(always)]
    fn start(&self) -> i64 {
        1
    }
    #[inline(always)]
    fn step(&self, acc: i64, x: i64) -> i64 {
        acc.wrapping_mul(x)
    }
    #[inline(always)]
    fn join(&self, a: i64, b: i64) -> i64 {
        a.wrapping_mul(b)
    }
}
impl Fold<i64> for Max {
    type Acc = i64;
    #[inline(always)]
    fn start(&self) -> i64 {
        i64::MIN
    }
    #[inline(always)]
    fn step(&self, acc: i64, x: i64) -> i64 {
        acc.max(x)
    }
    #[inline(always)]
    fn join(&self, a: i64, b: i64) -> i64 {
        a.max(b)
    }
}
impl Fold<i64> for Min {
    type Acc = i64;
    #[inline(always)]
    fn start(&self) -> i64 {
        i64::MAX
    }
    #[inline(always)]
    fn step(&self, acc: i64, x: i64) -> i64 {
        acc.min(x)
    }
    #[inline(always)]
    fn join(&self, a: i64, b: i64) -> i64 {
        a.min(b)
    }
}

/// Folds `n` elements into lanes: element i goes to lane i mod 32.
#[inline(always)]
unsafe fn into_lanes<T: Copy, F: Fold<T>>(fold: F, lanes: *mut F::Acc, from: *const T, n: usize) {
    // SAFETY: the caller promises 32 lanes and `n` elements.
    unsafe {
        let mut local: [F::Acc; LANES] = *lanes.cast();
        let whole = n / LANES * LANES;
        let mut i = 0;
        while i < whole {
            for (l, lane) in local.iter_mut().enumerate() {
                *lane = fold.step(*lane, *from.add(i + l));
            }
            i += LANES;
        }
        for (l, lane) in local.iter_mut().enumerate().take(n - whole) {
            *lane = fold.step(*lane, *from.add(whole + l));
        }
        *lanes.cast() = local;
    }
}

/// Folds a row into accumulators of its own columns.
#[inline(always)]
unsafe fn into_columns<T: Copy, F: Fold<T>>(fold: F, columns: *mut F::Acc, from: *const T, n: usize) {
    for i in 0..n {
        // SAFETY: the caller promises `n` accumulators and elements.
        unsafe { *columns.add(i) = fold.step(*columns.add(i), *from.add(i)) };
    }
}

/// The loops of one fold and type, compiled for each instruction set.
trait Loops<T: Copy>: Fold<T> {
    unsafe fn lanes(self, lanes: *mut Self::Acc, from: *const T, n: usize);
    unsafe fn columns(self, columns: *mut Self::Acc, from: *const T, n: usize);
}

macro_rules! loops {
    ($($fold:ty, $t:ty, $acc:ty);*) => {$(
        impl Loops<$t> for $fold {
            #[inline]
            unsafe fn lanes(self, lanes: *mut $acc, from: *const $t, n: usize) {
                #[inline(always)]
                unsafe fn inner<const FMA: bool>(fold: $fold, lanes: *mut $acc, from: *const $t, n: usize) {
                    // SAFETY: the caller's promise.
                    unsafe { into_lanes::<$t, $fold>(fold, lanes, from, n) }
                }
                crate::per_isa!(static table: unsafe fn(fold: $fold, lanes: *mut $acc, from: *const $t, n: usize) = inner);
                // SAFETY: the caller's promise.
                unsafe { table[isa::level()](self, lanes, from, n) }
            }
            #[inline]
            unsafe fn columns(self, columns: *mut $acc, from: *const $t, n: usize) {
                #[inline(always)]
                unsafe fn inner<const FMA: bool>(fold: $fold, columns: *mut $acc, from: *const $t, n: usize) {
                    // SAFETY: the caller's promise.
                    unsafe { into_columns::<$t, $fold>(fold, columns, from, n) }
                }
                crate::per_isa!(static table: unsafe fn(fold: $fold, columns: *mut $acc, from: *const $t, n: usize) = inner);
                // SAFETY: the caller's promise.
                unsafe { table[isa::level()](self, columns, from, n) }
            }
        }
    )*};
}
loops!(Sum, f32, f64; Sum, f64, f64; Sum, i64, i64; Prod, f32, f64; Prod, f64, f64; Prod, i64, i64;
       Max, f32, f32; Max, f64, f64; Max, i64, i64; Min, f32, f32; Min, f64, f64; Min, i64, i64;
       Spread, f32, f64; Spread, f64, f64);

trait Work: Copy + Send + Sync + crate::base::dtype::Element {}
impl Work for f32 {}
impl Work for f64 {}
impl Work for i64 {}

fn tree<T: Copy, F: Fold<T>>(fold: F, lanes: &mut [F::Acc; LANES]) -> F::Acc {
    let mut half = LANES / 2;
    while half > 0 {
        for l in 0..half {
            lanes[l] = fold.join(lanes[l], lanes[l + half]);
        }
        half /= 2;
    }
    lanes[0]
}

/// Folds elements `start..start + n` of a layout from `at` on into one result.
fn stretch<T: Work, F: Loops<T>>(fold: F, input: &Operand, cursor: Option<&Cursor>, start: usize, n: usize) -> F::Acc {
    let mut lanes = [fold.start(); LANES];
    let Some(cursor) = cursor else {
        // SAFETY: a straight operand holds its elements as T one after the other.
        unsafe { fold.lanes(lanes.as_mut_ptr(), input.ptr().cast::<T>().add(start), n) };
        return tree(fold, &mut lanes);
    };
    {
        let mut tile = [T::default(); TILE];
        let mut done = 0;
        while done < n {
            let count = TILE.min(n - done);
            // SAFETY: the tile holds TILE elements; TILE is a multiple of the lanes.
            unsafe {
                convert::read::<T>(input, cursor, start + done, count, tile.as_mut_ptr());
                fold.lanes(lanes.as_mut_ptr(), tile.as_ptr(), count);
            }
            done += count;
        }
    }
    tree(fold, &mut lanes)
}

/// Folds every row of `count` elements; calls `finish(row, result)`.
fn rows<T: Work, F: Loops<T>>(fold: impl Fn(usize) -> F + Sync, input: &Operand, count: usize, finish: impl Fn(usize, F::Acc) + Sync) {
    let outer = input.numel() / count.max(1);
    let straight = input.dtype == T::DTYPE && input.layout.is_contiguous();
    let cursor = (!straight).then(|| Cursor::new(&input.layout));
    let cursor = cursor.as_ref();
    if outer == 1 && count > CHUNK {
        let parts = count.div_ceil(CHUNK);
        let mut partial = vec![fold(0).start(); parts];
        let slots = Bytes(partial.as_mut_ptr().cast());
        threads::each(count, CHUNK, |range| {
            let acc = stretch(fold(0), input, cursor, range.start, range.len());
            // SAFETY: one slot for each chunk.
            unsafe { *slots.at(0).cast::<F::Acc>().add(range.start / CHUNK) = acc };
        });
        let f = fold(0);
        while partial.len() > 1 {
            partial = partial.chunks(2).map(|p| if p.len() == 2 { f.join(p[0], p[1]) } else { p[0] }).collect();
        }
        finish(0, partial[0]);
        return;
    }
    threads::each(outer, (CHUNK / count.max(1)).max(1), |range| {
        for row in range {
            finish(row, stretch(fold(row), input, cursor, row * count, count));
        }
    });
}

/// Folds down columns: the last kept axis is contiguous, so whole rows are added at once.
fn columns<T: Work, F: Loops<T>>(fold: F, input: &Operand, folded: usize, finish: impl Fn(usize, F::Acc) + Sync) {
    const PANEL: usize = 512;
    let kept = input.layout.rank() - folded;
    let width = input.layout.shape[kept - 1];
    let outer: usize = input.layout.shape[..kept - 1].iter().product();
    let down = Layout::new(input.layout.shape[kept..].into(), input.layout.strides[kept..].into(), 0);
    let (down, height) = (Cursor::new(&down), down.numel());
    let lead = Layout::new(input.layout.shape[..kept - 1].into(), input.layout.strides[..kept - 1].into(), 0);
    let lead = Cursor::new(&lead);
    let panels = width.div_ceil(PANEL);
    let base = Bytes(input.ptr());
    threads::each(outer * panels, (CHUNK / (height * width.min(PANEL)).max(1)).max(1), |range| {
        let mut acc = [fold.start(); PANEL];
        let mut tile = [T::default(); PANEL];
        for job in range {
            let (o, panel) = (job / panels, job % panels);
            let (first, n) = (panel * PANEL, PANEL.min(width - panel * PANEL));
            acc[..n].fill(fold.start());
            let mut origin = 0isize;
            lead.runs(o, 1, |at, _, _| origin = at);
            down.runs(0, height, |at, count, step| {
                for r in 0..count {
                    let offset = origin + at + r as isize * step + first as isize;
                    // SAFETY: the offsets are those of elements of the operand; `n` of them lie side by side.
                    unsafe {
                        let row = base.at(0).offset(offset * input.dtype.size() as isize);
                        if input.dtype == T::DTYPE {
                            fold.columns(acc.as_mut_ptr(), row.cast(), n);
                        } else {
                            crate::dispatch!(input.dtype, S => for (j, to) in tile[..n].iter_mut().enumerate() {
                                *to = convert::cast::<S, T>(*row.cast::<S>().add(j));
                            });
                            fold.columns(acc.as_mut_ptr(), tile.as_ptr(), n);
                        }
                    }
                }
            });
            for (j, &a) in acc[..n].iter().enumerate() {
                finish(o * width + first + j, a);
            }
        }
    });
}

fn either<T: Work, F: Loops<T>>(fold: F, input: &Operand, folded: usize, finish: impl Fn(usize, F::Acc) + Sync) {
    let rank = input.layout.rank();
    let kept = rank - folded;
    let count: usize = input.layout.shape[kept..].iter().product();
    if count == 0 {
        let outer: usize = input.layout.shape[..kept].iter().product();
        (0..outer).for_each(|row| finish(row, fold.start()));
        return;
    }
    let by_columns = kept > 0
        && folded > 0
        && input.layout.strides[kept - 1] == 1
        && input.layout.shape[kept - 1] >= 4
        && (kept..rank).all(|i| input.layout.strides[i] != 1 || input.layout.shape[i] == 1);
    if by_columns {
        columns(fold, input, folded, finish);
    } else {
        rows(|_| fold, input, count, finish);
    }
}

/// Writes one result into a contiguous output of any dtype.
fn put(out: &Operand, row: usize, float: f64, int: i64) {
    let base = out.ptr();
    crate::dispatch!(out.dtype, D => {
        use crate::base::dtype::Element;
        let v = if D::DTYPE.is_float() { D::from_f64(float) } else { D::from_i64(int) };
        // SAFETY: `row` is below the output's count, and each row is written by one thread.
        unsafe { *base.cast::<D>().add(row) = v };
    });
}

pub fn run(kind: FoldKind, input: &Operand, folded: usize, correction: f64, out: &Operand) -> Result<()> {
    let kept = input.layout.rank() - folded;
    let count: usize = input.layout.shape[kept..].iter().product();
    if out.numel() == 0 {
        return Ok(());
    }
    let n = count as f64;
    let wide = if input.dtype.is_float() { input.dtype.compute() } else { DType::I64 };
    let out = &Shared(out);
    match (kind, wide) {
        (FoldKind::Sum, DType::F32) => either::<f32, _>(Sum, input, folded, |r, a| put(out.0, r, a, a as i64)),
        (FoldKind::Sum, DType::F64) => either::<f64, _>(Sum, input, folded, |r, a| put(out.0, r, a, a as i64)),
        (FoldKind::Sum, _) => either::<i64, _>(Sum, input, folded, |r, a| put(out.0, r, a as f64, a)),
        (FoldKind::Mean, DType::F32) => either::<f32, _>(Sum, input, folded, |r, a| put(out.0, r, a / n, 0)),
        (FoldKind::Mean, DType::F64) => either::<f64, _>(Sum, input, folded, |r, a| put(out.0, r, a / n, 0)),
        (FoldKind::Mean, _) => either::<i64, _>(Sum, input, folded, |r, a| put(out.0, r, a as f64 / n, 0)),
        (FoldKind::Prod, DType::F32) => either::<f32, _>(Prod, input, folded, |r, a| put(out.0, r, a, a as i64)),
        (FoldKind::Prod, DType::F64) => either::<f64, _>(Prod, input, folded, |r, a| put(out.0, r, a, a as i64)),
        (FoldKind::Prod, _) => either::<i64, _>(Prod, input, folded, |r, a| put(out.0, r, a as f64, a)),
        (FoldKind::Max, DType::F32) => either::<f32, _>(Max, input, folded, |r, a| put(out.0, r, f64::from(a), 0)),
        (FoldKind::Max, DType::F64) => either::<f64, _>(Max, input, folded, |r, a| put(out.0, r, a, 0)),
        (FoldKind::Max, _) => either::<i64, _>(Max, input, folded, |r, a| put(out.0, r, 0.0, a)),
        (FoldKind::Min, DType::F32) => either::<f32, _>(Min, input, folded, |r, a| put(out.0, r, f64::from(a), 0)),
        (FoldKind::Min, DType::F64) => either::<f64, _>(Min, input, folded, |r, a| put(out.0, r, a, 0)),
        (FoldKind::Min, _) => either::<i64, _>(Min, input, folded, |r, a| put(out.0, r, 0.0, a)),
        (FoldKind::Any | FoldKind::All, _) => truths(kind == FoldKind::Any, input, count, out.0),
        (FoldKind::ArgMax, _) => extreme(input, count, out.0, |best, x| x > best),
        (FoldKind::ArgMin, _) => extreme(input, count, out.0, |best, x| x < best),
        (FoldKind::Var, DType::F64) => spread::<f64>(input, count, correction, out.0),
        (FoldKind::Var, DType::F32) => spread::<f32>(input, count, correction, out.0),
        (FoldKind::Var, other) => return Err(Error::bug("var", format!("no loop for {other}"))),
    }
    Ok(())
}

struct Shared<'a>(&'a Operand);

fn truths(any: bool, input: &Operand, count: usize, out: &Operand) {
    let cursor = Cursor::new(&input.layout);
    threads::each(out.numel(), (CHUNK / count.max(1)).max(1), |range| {
        let mut tile = [crate::base::dtype::Truth(0); TILE];
        for row in range {
            let (mut result, mut done) = (!any, 0);
            while done < count && result != any {
                let n = TILE.min(count - done);
                // SAFETY: the tile holds TILE truths.
                unsafe { convert::read(input, &cursor, row * count + done, n, tile.as_mut_ptr()) };
                result = if any { tile[..n].iter().any(|t| t.0 != 0) } else { tile[..n].iter().all(|t| t.0 != 0) };
                done += n;
            }
            put(out, row, 0.0, i64::from(result));
        }
    });
}

/// The position of the first extreme; the first NaN wins over everything.
fn extreme(input: &Operand, count: usize, out: &Operand, better: impl Fn(f64, f64) -> bool + Sync) {
    let cursor = Cursor::new(&input.layout);
    let exact = input.dtype == DType::I64;
    threads::each(out.numel(), (CHUNK / count.max(1)).max(1), |range| {
        let (mut tile, mut whole) = ([0f64; TILE], [0i64; TILE]);
        for row in range {
            let (mut best, mut bits, mut at, mut done) = (f64::NAN, 0i64, 0usize, 0);
            'row: while done < count {
                let n = TILE.min(count - done);
                // SAFETY: the tiles hold TILE elements.
                unsafe {
                    convert::read(input, &cursor, row * count + done, n, tile.as_mut_ptr());
                    if exact {
                        convert::read(input, &cursor, row * count + done, n, whole.as_mut_ptr());
                    }
                }
                for j in 0..n {
                    let x = tile[j];
                    if x.is_nan() {
                        at = done + j;
                        break 'row;
                    }
                    // float64 cannot tell neighbouring large int64 apart.
                    let closer = exact && x == best && if better(0.0, 1.0) { whole[j] > bits } else { whole[j] < bits };
                    if done + j == 0 || better(best, x) || closer {
                        (best, bits, at) = (x, whole[j], done + j);
                    }
                }
                done += n;
            }
            put(out, row, 0.0, at as i64);
        }
    });
}

fn spread<T: Work>(input: &Operand, count: usize, correction: f64, out: &Operand)
where
    Sum: Loops<T, Acc = f64>,
    Spread: Loops<T, Acc = f64>,
{
    let mut means = vec![0.0f64; out.numel()];
    let slots = Bytes(means.as_mut_ptr().cast());
    let n = count as f64;
    // SAFETY: one slot for each row.
    rows::<T, _>(|_| Sum, input, count, |r, a| unsafe { *slots.at(0).cast::<f64>().add(r) = a / n });
    let left = (n - correction).max(0.0);
    rows::<T, _>(|r| Spread(means[r]), input, count, |r, a| put(out, r, a / left, 0));
}
