//! The windows of images laid out as columns, and columns summed back into images: what convolutions, average pooling
//! and unfolding are made of. Leans on convert.

use super::convert::Bytes;
use super::{stop, threads};
use crate::backend::launch::{Geometry, Operand};
use crate::base::dtype::Element;
use crate::base::{Error, Result};
use crate::dispatch;

/// `image` is (n, c, sizes...), `columns` (n, c, kernel..., places...); both row-major and of one dtype.
pub fn run(image: &Operand, columns: &Operand, geometry: &Geometry, back: bool) -> Result<()> {
    if image.dtype != columns.dtype || !image.layout.is_contiguous() || !columns.layout.is_contiguous() {
        return Err(Error::bug("windows", "operands of one dtype, row-major, were promised"));
    }
    let d = geometry.kernel.len();
    let sizes = &image.layout.shape[2..];
    let places = &columns.layout.shape[2 + d..];
    let planes = image.layout.shape[0] * image.layout.shape[1];
    let (area, wide) = (sizes.iter().product::<usize>(), columns.layout.shape[2..].iter().product::<usize>());
    if planes == 0 || area == 0 && !back {
        return Ok(());
    }
    dispatch!(image.dtype, T => {
        let (images, rows) = (Bytes(image.ptr()), Bytes(columns.ptr()));
        threads::each(planes, ((1 << 14) / wide.max(1)).max(1), |range| for p in range {
            // SAFETY: plane `p` lies inside both operands, and is written by one thread.
            let (plane, column) = unsafe {
                (
                    std::slice::from_raw_parts_mut(images.at(0).cast::<T>().add(p * area), area),
                    std::slice::from_raw_parts_mut(rows.at(0).cast::<T>().add(p * wide), wide),
                )
            };
            if back {
                plane.fill(T::default());
            }
            walk(plane, column, sizes, places, geometry, back);
        });
    });
    Ok(())
}

fn walk<T: Element>(plane: &mut [T], column: &mut [T], sizes: &[usize], places: &[usize], g: &Geometry, back: bool) {
    let d = sizes.len();
    let last = d - 1;
    let inner = places[last];
    if column.is_empty() {
        return;
    }
    // One row of places for each position in the kernel and on all axes but the last.
    let mut spots: Vec<usize> = vec![0; 2 * d];
    let (mut to, mut since) = (0, 0);
    loop {
        since += inner;
        if since > 1 << 16 {
            since = 0;
            if stop::asked() {
                return;
            }
        }
        let (kernel, place) = spots.split_at(d);
        let mut base = Some(0isize);
        for i in 0..last {
            let at = (place[i] * g.stride[i] + kernel[i] * g.dilation[i]) as isize - g.padding[i];
            base = base.filter(|_| at >= 0 && at < sizes[i] as isize).map(|b| b * sizes[i] as isize + at);
        }
        let row = &mut column[to..to + inner];
        to += inner;
        if let Some(base) = base {
            let start = (kernel[last] * g.dilation[last]) as isize - g.padding[last];
            let (step, size) = (g.stride[last] as isize, sizes[last] as isize);
            // The places whose element lies inside the image.
            let low = if start >= 0 { 0 } else { ((-start + step - 1) / step) as usize }.min(inner);
            let high = if size - start <= 0 { 0 } else { ((size - start + step - 1) / step) as usize }.min(inner).max(low);
            let from = base * size + start;
            if back {
                for (j, &v) in row.iter().enumerate().take(high).skip(low) {
                    let cell = &mut plane[(from + j as isize * step) as usize];
                    *cell = sum(*cell, v);
                }
            } else {
                row[..low].fill(T::default());
                row[high..].fill(T::default());
                for (j, cell) in row.iter_mut().enumerate().take(high).skip(low) {
                    *cell = plane[(from + j as isize * step) as usize];
                }
            }
        } else if !back {
            row.fill(T::default());
        }
        // The next position: places first, then kernel positions, the last axis of places being the row itself.
        let mut i = 2 * d - 1;
        loop {
            if i == 0 {
                return;
            }
            i -= 1;
            let axis = if i < d { i } else { i - d };
            let limit = if i < d { g.kernel[axis] } else { places[axis] };
            spots[i] += 1;
            if spots[i] < limit {
                break;
            }
            spots[i] = 0;
        }
    }
}

#[inline(always)]
pub fn sum<T: Element>(a: T, b: T) -> T {
    if T::DTYPE.is_float() { T::from_f64(a.to_f64() + b.to_f64()) } else { T::from_i64(a.to_i64().wrapping_add(b.to_i64())) }
}
