//! Elements read from, or written to, places that other tensors name. Leans on convert.

use super::convert::{self, Cursor};
use crate::backend::launch::{Operand, Pick};
use crate::backend::trace;
use crate::base::dtype::Element;
use crate::base::{DType, Error, Layout, Result, shape};
use crate::dispatch;

/// Every index as an element offset into the source, checked; one entry for each element of the output.
fn offsets(picks: &[Pick], source: &Operand) -> Result<Vec<isize>> {
    let n = source.numel();
    let mut list = vec![0isize; n];
    let base = Cursor::new(&Layout::new(source.layout.shape.clone(), source.layout.strides.clone(), 0));
    let mut to = 0;
    if n > 0 {
        base.runs(0, n, |at, count, step| {
            for j in 0..count {
                list[to + j] = at + j as isize * step;
            }
            to += count;
        });
    }
    let mut index = vec![0i64; n];
    for (axis, pick) in picks.iter().enumerate() {
        if n == 0 {
            break;
        }
        // SAFETY: the list holds as many elements as the index, whose shape is the output's.
        unsafe { convert::read::<i64>(&pick.index, &Cursor::new(&pick.index.layout), 0, n, index.as_mut_ptr()) };
        let size = pick.size as i64;
        for (at, &i) in list.iter_mut().zip(&index) {
            if i < -size || i >= size {
                return Err(Error::index(
                    pick.op,
                    format!("index {i} is out of range for an axis of size {size} (index tensor {axis}; {})", shape::allowed(pick.size)),
                ));
            }
            *at += (if i < 0 { i + size } else { i }) as isize * pick.stride;
        }
    }
    Ok(list)
}

/// `out[...] = source[indices]`; the source's layout is already of the output's shape, with stride 0 where an index decides.
pub fn gather(source: &Operand, picks: &[Pick], out: &Operand) -> Result<()> {
    let places = offsets(picks, source)?;
    let base = source.ptr();
    dispatch!(out.dtype, T => {
        let mut row = vec![T::default(); places.len()];
        for (to, &at) in row.iter_mut().zip(&places) {
            // SAFETY: `offsets` has checked every place against its axis.
            *to = unsafe { *base.cast::<T>().offset(at) };
        }
        if !row.is_empty() {
            // SAFETY: the row holds the output's elements in order.
            unsafe { convert::write_as(out.dtype, row.as_ptr().cast(), out, &Cursor::new(&out.layout), 0, row.len()) };
        }
    });
    Ok(())
}

/// `target[indices] = values`, or `+=`; repeated places are written, or added, in order.
pub fn scatter(target: &Operand, picks: &[Pick], values: &Operand, add: bool) -> Result<()> {
    let places = offsets(picks, target)?;
    if places.is_empty() {
        return Ok(());
    }
    let base = target.ptr();
    dispatch!(target.dtype, T => {
        let mut row = vec![T::default(); places.len()];
        // SAFETY: the row holds as many elements as the values, whose shape is the places'.
        unsafe { convert::read::<T>(values, &Cursor::new(&values.layout), 0, row.len(), row.as_mut_ptr()) };
        for (&v, &at) in row.iter().zip(&places) {
            // SAFETY: `offsets` has checked every place against its axis.
            unsafe {
                let to = base.cast::<T>().offset(at);
                *to = if add { sum(*to, v) } else { v };
            }
        }
    });
    Ok(())
}

#[inline(always)]
fn sum<T: Element>(a: T, b: T) -> T {
    match T::DTYPE {
        DType::F64 => T::from_f64(a.to_f64() + b.to_f64()),
        d if d.is_float() => T::from_f32(a.to_f32() + b.to_f32()),
        _ => T::from_i64(a.to_i64().wrapping_add(b.to_i64())),
    }
}

/// The places of the elements that are not zero, in order: one row of positions for each axis.
pub fn nonzero(input: &Operand) -> Vec<Vec<i64>> {
    trace::peek();
    let rank = input.layout.rank();
    let mut found = vec![Vec::new(); rank];
    let n = input.numel();
    if n == 0 {
        return found;
    }
    let mut truths = vec![crate::base::dtype::Truth(0); n];
    // SAFETY: the list holds as many truths as the operand has elements.
    unsafe { convert::read(input, &Cursor::new(&input.layout), 0, n, truths.as_mut_ptr()) };
    for (i, t) in truths.iter().enumerate() {
        if t.0 != 0 {
            let mut rest = i;
            for axis in (0..rank).rev() {
                found[axis].push((rest % input.layout.shape[axis]) as i64);
                rest /= input.layout.shape[axis];
            }
            if rank == 0 {
                break;
            }
        }
    }
    found
}

/// Whether a walk over two layouts would read what it has already written.
pub fn collide(a: &Operand, b: &Operand) -> bool {
    if !std::sync::Arc::ptr_eq(&a.storage, &b.storage) || a.layout.same_elements(&b.layout) {
        return false;
    }
    let ((a0, a1), (b0, b1)) = (a.layout.span(), b.layout.span());
    a0 < b1 && b0 < a1 && a.numel() > 0
}
