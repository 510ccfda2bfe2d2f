//! Running sums and products along the last axis. Leans on convert.

use super::convert::{self, Bytes, Cursor};
use super::threads;
use crate::backend::launch::{FoldKind, Operand};
use crate::base::dtype::Element;
use crate::base::{DType, Result};

pub fn run(kind: FoldKind, input: &Operand, out: &Operand) -> Result<()> {
    let product = kind == FoldKind::Prod;
    if out.dtype.is_float() {
        every::<f64>(input, out, if product { 1.0 } else { 0.0 }, |a, x| if product { a * x } else { a + x });
    } else {
        every::<i64>(input, out, i64::from(product), |a, x| if product { a.wrapping_mul(x) } else { a.wrapping_add(x) });
    }
    Ok(())
}

fn every<T: Element>(input: &Operand, out: &Operand, start: T, join: impl Fn(T, T) -> T + Sync) {
    let n = *out.layout.shape.last().unwrap_or(&1);
    if out.numel() == 0 {
        return;
    }
    let (from, to) = (Cursor::new(&input.layout), Cursor::new(&out.layout));
    let dtype = if T::DTYPE.is_float() { DType::F64 } else { DType::I64 };
    threads::each(out.numel() / n, ((1 << 14) / n).max(1), |range| {
        let mut row = vec![T::default(); n];
        let spare = Bytes(row.as_mut_ptr().cast());
        for r in range {
            // SAFETY: the row holds `n` elements; each row of the output is written by one thread.
            unsafe { convert::read::<T>(input, &from, r * n, n, spare.at(0).cast()) };
            let mut acc = start;
            for x in &mut row {
                acc = join(acc, *x);
                *x = acc;
            }
            // SAFETY: as above.
            unsafe { convert::write_as(dtype, row.as_ptr().cast(), out, &to, r * n, n) };
        }
    });
}
