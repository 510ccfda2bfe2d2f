//! Softmax and log-softmax along the last axis, each row kept in the first cache. Leans on math and convert.

use super::convert::{self, Bytes, Cursor};
use super::math::{double, single};
use super::{isa, threads};
use crate::backend::launch::Operand;
use crate::base::dtype::Element;
use crate::base::{DType, Error, Result};

macro_rules! row {
    ($name:ident, $inner:ident, $t:ty, $math:ident) => {
        #[inline(always)]
        unsafe fn $inner<const FMA: bool>(log: bool, from: *const $t, to: *mut $t, n: usize) {
            // SAFETY: the caller promises `n` elements behind both pointers.
            unsafe {
                let mut lanes = [<$t>::NEG_INFINITY; 16];
                let mut nan = false;
                for i in 0..n {
                    let x = *from.add(i);
                    nan |= x != x;
                    lanes[i % 16] = if x > lanes[i % 16] { x } else { lanes[i % 16] };
                }
                let top = lanes.iter().fold(<$t>::NEG_INFINITY, |a, &b| if b > a { b } else { a });
                // A row of nothing but -inf has no softmax: NaN, as the formula says.
                let top = if nan { <$t>::NAN } else { top };
                for i in 0..n {
                    *to.add(i) = $math::exp::<FMA>(*from.add(i) - top);
                }
                let mut sums = [0f64; 16];
                for i in 0..n / 16 {
                    for l in 0..16 { sums[l] += *to.add(i * 16 + l) as f64; }
                }
                for i in n / 16 * 16..n { sums[i % 16] += *to.add(i) as f64; }
                let mut half = 8;
                while half > 0 {
                    for l in 0..half { sums[l] += sums[l + half]; }
                    half /= 2;
                }
                if log {
                    let shift = top as f64 + double::log::<FMA>(sums[0]);
                    let low = (shift - top as f64) as $t;
                    for i in 0..n { *to.add(i) = (*from.add(i) - top) - low; }
                } else {
                    let scale = (1.0 / sums[0]) as $t;
                    for i in 0..n { *to.add(i) *= scale; }
                }
            }
        }
        crate::per_isa!(static $name: unsafe fn(log: bool, from: *const $t, to: *mut $t, n: usize) = $inner);
    };
}
row!(rows32, row32, f32, single);
row!(rows64, row64, f64, double);

type Row<T> = unsafe fn(bool, *const T, *mut T, usize);

pub fn run(log: bool, input: &Operand, out: &Operand) -> Result<()> {
    match out.dtype {
        DType::F64 => every::<f64>(log, input, out, rows64[isa::level()]),
        DType::F32 | DType::F16 | DType::BF16 => every::<f32>(log, input, out, rows32[isa::level()]),
        other => return Err(Error::bug("softmax", format!("no loop for {other}"))),
    }
    Ok(())
}

fn every<T: Element>(log: bool, input: &Operand, out: &Operand, row: Row<T>) {
    let n = *out.layout.shape.last().unwrap_or(&1);
    if out.numel() == 0 {
        return;
    }
    let count = out.numel() / n;
    let (from, to) = (Cursor::new(&input.layout), Cursor::new(&out.layout));
    let direct = input.dtype == T::DTYPE && input.layout.is_contiguous() && out.dtype == T::DTYPE && out.layout.is_contiguous();
    let (src, dst) = (Bytes(input.ptr()), Bytes(out.ptr()));
    threads::each(count, ((1 << 14) / n).max(1), |range| {
        let mut spare = if direct { Vec::new() } else { vec![T::default(); 2 * n] };
        for r in range {
            // SAFETY: rows lie inside both operands; each is written by one thread; the spare rows hold `n` each.
            unsafe {
                if direct {
                    row(log, src.at(0).cast::<T>().add(r * n), dst.at(0).cast::<T>().add(r * n), n);
                } else {
                    let (a, b) = spare.split_at_mut(n);
                    convert::read::<T>(input, &from, r * n, n, a.as_mut_ptr());
                    row(log, a.as_ptr(), b.as_mut_ptr(), n);
                    convert::write_as(T::DTYPE, b.as_ptr().cast(), out, &to, r * n, n);
                }
            }
        }
    });
}
