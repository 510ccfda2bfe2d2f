//! The cross-entropy of rows of scores and their classes, and its slope, each in one pass over the scores. Leans on softmax.

use super::convert::Bytes;
use super::math::{double, single};
use super::rows::Rows;
use super::softmax;
use super::{fold, isa, threads};
use crate::backend::launch::{Entropy, Operand};
use crate::base::dtype::Element;
use crate::base::{DType, Error, Result};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Elements that one thread takes at a time.
const CHUNK: usize = 1 << 15;

/// `(scores, their log-sum, factor, to, count)`: `factor * exp(scores - log-sum)`.
type Share<T> = &'static [unsafe fn(*const T, T, T, *mut T, usize); 3];

trait Kind: Rows + Element {
    const SHARE: Share<Self>;
}

macro_rules! kind {
    ($t:ty, $math:ident, $table:ident, $of:ident) => {
        #[inline(always)]
        unsafe fn $of<const FMA: bool>(x: *const $t, low: $t, factor: $t, to: *mut $t, n: usize) {
            // SAFETY: the caller promises `n` elements on both sides.
            let (x, to) = unsafe { (std::slice::from_raw_parts(x, n), std::slice::from_raw_parts_mut(to, n)) };
            for (to, x) in to.iter_mut().zip(x) {
                *to = $math::exp::<FMA>(*x - low) * factor;
            }
        }
        crate::per_isa!(static $table: unsafe fn(x: *const $t, low: $t, factor: $t, to: *mut $t, n: usize) = $of);
        impl Kind for $t {
            const SHARE: Share<$t> = &$table;
        }
    };
}
kind!(f32, single, share_single, share_single_of);
kind!(f64, double, share_double, share_double_of);

/// In: scores (rows, classes) and classes. Out: the loss, and the log-sums of rows. Way back, in: the cotangent, scores,
/// classes and log-sums; out: the cotangent of the scores. All are row-major.
pub fn run(what: &Entropy, ins: &[Operand], outs: &[Operand]) -> Result<()> {
    match (outs[0].dtype, what.back) {
        (DType::F32, false) => forward::<f32>(what, ins, outs),
        (DType::F64, false) => forward::<f64>(what, ins, outs),
        (DType::F32, true) => backward::<f32>(what, ins, outs),
        (DType::F64, true) => backward::<f64>(what, ins, outs),
        (other, _) => Err(Error::bug("cross_entropy", format!("no loop for {other}"))),
    }
}

/// The class of each row.
fn classes(x: &Operand) -> &[i64] {
    // SAFETY: int64 elements, row-major, of an operand that outlives the list.
    if x.numel() == 0 { &[] } else { unsafe { std::slice::from_raw_parts(x.ptr().cast(), x.numel()) } }
}

fn forward<T: Kind>(what: &Entropy, ins: &[Operand], outs: &[Operand]) -> Result<()> {
    let (rows, n) = (ins[0].layout.shape[0], ins[0].layout.shape[1]);
    let classes = classes(&ins[1]);
    let (x, sums) = (Bytes(ins[0].ptr()), Bytes(outs[1].ptr()));
    let mut losses = vec![0f64; rows];
    let (slots, worst) = (Bytes(losses.as_mut_ptr().cast()), AtomicUsize::new(usize::MAX));
    threads::each(rows, (CHUNK / n.max(1)).max(1), |range| {
        for r in range {
            let class = classes[r];
            let counts = class != what.ignored;
            if counts && !(0..n as i64).contains(&class) {
                worst.fetch_min(r, Ordering::Relaxed);
                continue;
            }
            // SAFETY: rows of the operands, each written by one thread.
            unsafe {
                let row = x.at(0).cast::<T>().add(r * n);
                let sum = if n == 0 { f64::NEG_INFINITY } else { softmax::log_sum_of(row, n) };
                *sums.at(0).cast::<T>().add(r) = T::from_f64(sum);
                if counts {
                    *slots.at(0).cast::<f64>().add(r) = sum - (*row.add(class as usize)).to_f64();
                }
            }
        }
    });
    if let Some(class) = classes.get(worst.into_inner()) {
        return Err(Error::index(
            "cross_entropy",
            format!("target {class} is out of range: classes are numbered 0 to {} here (ignore_index is {})", n as i64 - 1, what.ignored),
        ));
    }
    let total: f64 = losses.iter().sum();
    fold::put(&outs[0], 0, if what.mean { total / counted(what, classes) } else { total }, 0);
    Ok(())
}

fn counted(what: &Entropy, classes: &[i64]) -> f64 {
    classes.iter().filter(|&&class| class != what.ignored).count() as f64
}

fn backward<T: Kind>(what: &Entropy, ins: &[Operand], outs: &[Operand]) -> Result<()> {
    let (rows, n) = (ins[1].layout.shape[0], ins[1].layout.shape[1]);
    let classes = classes(&ins[2]);
    if rows * n == 0 {
        return Ok(());
    }
    // SAFETY: the cotangent has one element.
    let g = unsafe { *ins[0].ptr().cast::<T>() }.to_f64();
    let factor = T::from_f64(if what.mean { g / counted(what, classes) } else { g });
    let (x, sums, to) = (Bytes(ins[1].ptr()), Bytes(ins[3].ptr()), Bytes(outs[0].ptr()));
    let share = T::SHARE[isa::level()];
    threads::each(rows, (CHUNK / n).max(1), |range| {
        for r in range {
            // SAFETY: rows of the operands, each written by one thread; classes were looked at on the way forward.
            unsafe {
                let to = to.at(0).cast::<T>().add(r * n);
                match usize::try_from(classes[r]) {
                    Ok(class) if class < n && classes[r] != what.ignored => {
                        share(x.at(0).cast::<T>().add(r * n), *sums.at(0).cast::<T>().add(r), factor, to, n);
                        *to.add(class) = T::from_f64((*to.add(class)).to_f64() - factor.to_f64());
                    }
                    _ => std::slice::from_raw_parts_mut(to, n).fill(T::default()),
                }
            }
        }
    });
    Ok(())
}
