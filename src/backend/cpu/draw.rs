//! Random draws into operands of any dtype and layout, on any number of threads with the same bits. Leans on random and convert.

use super::convert::{self, Bytes, Cursor};
use super::random::{self, Width};
use super::{isa, threads};
use crate::backend::launch::{Draw, Operand};
use crate::base::dtype::Element;
use crate::base::{DType, Error, Result};

const CHUNK: usize = 1 << 14;

/// The words that a draw of this dtype takes for each element.
pub fn width(draw: Draw, dtype: DType) -> Width {
    match draw {
        Draw::Integers(..) | Draw::Permutation => Width::Double,
        Draw::Bernoulli(_) => Width::Single,
        _ if dtype == DType::F64 => Width::Double,
        _ => Width::Single,
    }
}

/// One fill of a chunk: (seed, offset, first element, where to, how many, two parameters).
type Fill<T> = unsafe fn(u64, u64, u64, *mut T, usize, f64, f64);

macro_rules! fills {
    ($($name:ident, $inner:ident, $t:ty, |$seed:ident, $offset:ident, $first:ident, $out:ident, $a:ident, $b:ident| $body:expr;)*) => {$(
        #[inline(always)]
        unsafe fn $inner<const FMA: bool>($seed: u64, $offset: u64, $first: u64, to: *mut $t, n: usize, $a: f64, $b: f64) {
            // SAFETY: the caller promises room for `n` elements.
            let $out = unsafe { std::slice::from_raw_parts_mut(to, n) };
            $body
        }
        crate::per_isa!(static $name: unsafe fn(seed: u64, offset: u64, first: u64, to: *mut $t, n: usize, a: f64, b: f64) = $inner);
    )*};
}
fills! {
    uniform32, uniform32_on, f32, |s, o, f, out, a, b| random::uniform_f32(s, o, f, out, a as f32, b as f32);
    uniform64, uniform64_on, f64, |s, o, f, out, a, b| random::uniform_f64(s, o, f, out, a, b);
    normal32, normal32_on, f32, |s, o, f, out, a, b| random::normal_f32(s, o, f, out, a as f32, b as f32);
    normal64, normal64_on, f64, |s, o, f, out, a, b| random::normal_f64(s, o, f, out, a, b);
    exponential32, exponential32_on, f32, |s, o, f, out, a, _b| random::exponential_f32(s, o, f, out, a as f32);
    exponential64, exponential64_on, f64, |s, o, f, out, a, _b| random::exponential_f64(s, o, f, out, a);
    hits, hits_on, f32, |s, o, f, out, p, hit| random::bernoulli_f32(s, o, f, out, p, hit as f32);
    integers64, integers64_on, i64, |s, o, f, out, lo, hi| random::integers(s, o, f, out, lo.to_bits() as i64, hi.to_bits() as i64);
}

pub fn run(draw: Draw, seed: u64, offset: u64, out: &Operand) -> Result<()> {
    let (l, wide) = (isa::level(), out.dtype == DType::F64);
    match draw {
        Draw::Uniform(a, b) if wide => each(uniform64[l], seed, offset, out, a, b),
        Draw::Uniform(a, b) => {
            each(uniform32[l], seed, offset, out, a, b);
            if out.dtype.is_short_float() && a < b {
                below(out, b);
            }
        }
        Draw::Normal(a, b) if wide => each(normal64[l], seed, offset, out, a, b),
        Draw::Normal(a, b) => each(normal32[l], seed, offset, out, a, b),
        Draw::Exponential(a) if wide => each(exponential64[l], seed, offset, out, a, 0.0),
        Draw::Exponential(a) => each(exponential32[l], seed, offset, out, a, 0.0),
        Draw::Bernoulli(p) => each(hits[l], seed, offset, out, p, 1.0),
        // The bounds travel as bits: float64 has no room for all int64.
        Draw::Integers(a, b) => each(integers64[l], seed, offset, out, f64::from_bits(a as u64), f64::from_bits(b as u64)),
        Draw::Place => {
            let words = [seed as i32, (seed >> 32) as i32, offset as i32, (offset >> 32) as i32];
            // SAFETY: the list holds four elements, as the operand does.
            unsafe { convert::write_as(DType::I32, words.as_ptr().cast(), out, &Cursor::new(&out.layout), 0, out.numel().min(4)) };
        }
        Draw::Permutation => {
            let n = out.numel();
            let list = random::permutation(seed, offset, n).map_err(|_| Error::memory("randperm", format!("no memory for {n} keys")))?;
            if n > 0 {
                // SAFETY: the list holds as many elements as the operand.
                unsafe { convert::write_as(DType::I64, list.as_ptr().cast(), out, &Cursor::new(&out.layout), 0, n) };
            }
        }
    }
    Ok(())
}

/// A number of 64 bits from two elements of int32, the low half first.
fn long(place: &Operand, i: usize) -> u64 {
    let half = |i: usize| u64::from(convert::element(&place.view(place.layout.slice(0, i, 1, 1)), 0).as_i64() as u32);
    half(i) | half(i + 1) << 32
}

/// Each element times a number where its draw is kept, else times 0.
pub fn dropped((keep, scale): (f64, f64), begin: (u64, u64), place: Option<&Operand>, input: &Operand, out: &Operand) -> Result<()> {
    let (seed, offset) = place.map_or(begin, |place| (long(place, 0), long(place, 2).wrapping_add(begin.1)));
    if input.dtype != out.dtype || !input.layout.is_contiguous() || !out.layout.is_contiguous() {
        return Err(Error::bug("dropout", "row-major operands of one dtype were promised"));
    }
    let l = isa::level();
    crate::dispatch!(out.dtype, T => {
        let (from, to) = (Bytes(input.ptr()), Bytes(out.ptr()));
        let factor = T::from_f64(scale).to_f64();
        threads::each(out.numel(), CHUNK, |range| {
            let mut kept = vec![0.0f32; range.len()];
            // SAFETY: chunks lie inside the operands and are disjoint; the tile holds a chunk.
            unsafe {
                hits[l](seed, offset, range.start as u64, kept.as_mut_ptr(), range.len(), keep, 1.0);
                let x = std::slice::from_raw_parts(from.at(0).cast::<T>().add(range.start), range.len());
                let y = std::slice::from_raw_parts_mut(to.at(0).cast::<T>().add(range.start), range.len());
                for ((y, x), k) in y.iter_mut().zip(x).zip(&kept) {
                    // Of two short floats the product is exact, and rounded once.
                    *y = T::from_f64(x.to_f64() * (f64::from(*k) * factor));
                }
            }
        });
    });
    Ok(())
}

/// Rounding to a short float may reach the upper bound, which a draw must not: such elements step down.
fn below(out: &Operand, high: f64) {
    let cursor = Cursor::new(&out.layout);
    let base = Bytes(out.ptr());
    let top = high as f32;
    let step = |v: f32, half: bool| if half { half::f16::from_f32(v).to_f32() } else { half::bf16::from_f32(v).to_f32() };
    let is_half = out.dtype == DType::F16;
    // The next short float below the bound: the bound scaled down until the rounding lets go of it.
    let mut down = top;
    let mut shrink = f32::EPSILON;
    while step(down, is_half) >= top {
        down = top - top.abs().max(f32::MIN_POSITIVE) * shrink;
        shrink *= 2.0;
    }
    crate::dispatch!(out.dtype, T => cursor.runs(0, out.numel(), |at, count, stride| {
        for j in 0..count {
            // SAFETY: the cursor stays inside the operand.
            unsafe {
                let p = base.at(0).cast::<T>().offset(at + j as isize * stride);
                if (*p).to_f32() >= top {
                    *p = T::from_f32(down);
                }
            }
        }
    }));
}

fn each<T: Element>(fill: Fill<T>, seed: u64, offset: u64, out: &Operand, a: f64, b: f64) {
    let n = out.numel();
    if n == 0 {
        return;
    }
    let direct = out.dtype == T::DTYPE && out.layout.is_contiguous();
    let cursor = Cursor::new(&out.layout);
    let base = Bytes(out.ptr());
    threads::each(n, CHUNK, |range| {
        // SAFETY: chunks lie inside the operand and are disjoint; the tile holds a chunk.
        unsafe {
            if direct {
                fill(seed, offset, range.start as u64, base.at(0).cast::<T>().add(range.start), range.len(), a, b);
            } else {
                let mut tile = vec![T::default(); range.len()];
                fill(seed, offset, range.start as u64, tile.as_mut_ptr(), range.len(), a, b);
                convert::write_as(T::DTYPE, tile.as_ptr().cast(), out, &cursor, range.start, range.len());
            }
        }
    });
}
