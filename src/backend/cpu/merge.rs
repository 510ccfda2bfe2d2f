//! Values joined to the places that an index names by product or extreme. Leans on convert.

use super::convert::{self, Cursor};
use crate::backend::launch::{FoldKind, Operand, Pick};
use crate::base::dtype::Element;
use crate::base::{Error, Result};
use crate::dispatch;

pub fn run(kind: FoldKind, target: &Operand, pick: &Pick, values: &Operand) -> Result<()> {
    let n = values.numel();
    if n == 0 {
        return Ok(());
    }
    let mut index = vec![0i64; n];
    convert::read_all(&pick.index, &Cursor::new(&pick.index.layout), &mut index);
    let size = pick.size as i64;
    if let Some(bad) = index.iter().find(|&&i| i < 0 || i >= size) {
        return Err(Error::runtime(pick.op, format!("index {bad} is out of range for an axis of size {size}")));
    }
    // Where the elements of the target stand before the index moves them along its axis.
    let mut places = Vec::with_capacity(n);
    Cursor::new(&target.layout).runs(0, n, |at, count, step| places.extend((0..count).map(|j| at + j as isize * step)));
    dispatch!(target.dtype, T => {
        let mut row = vec![T::default(); n];
        convert::read_all(values, &Cursor::new(&values.layout), &mut row);
        let base = target.ptr().cast::<T>();
        for ((&v, &i), &at) in row.iter().zip(&index).zip(&places) {
            // SAFETY: the index was checked against its axis, and the rest lies inside the target's layout.
            unsafe {
                let to = base.offset(at + i as isize * pick.stride);
                *to = join(kind, *to, v);
            }
        }
    });
    Ok(())
}

fn join<T: Element>(kind: FoldKind, a: T, b: T) -> T {
    if T::DTYPE.is_float() {
        let (x, y) = (a.to_f64(), b.to_f64());
        return match kind {
            FoldKind::Prod => T::from_f64(x * y),
            _ if x.is_nan() => a,
            _ if y.is_nan() => b,
            FoldKind::Max => {
                if y > x {
                    b
                } else {
                    a
                }
            }
            _ => {
                if y < x {
                    b
                } else {
                    a
                }
            }
        };
    }
    let (x, y) = (a.to_i64(), b.to_i64());
    T::from_i64(match kind {
        FoldKind::Prod => x.wrapping_mul(y),
        FoldKind::Max => x.max(y),
        _ => x.min(y),
    })
}
