//! The largest element of every window, and where it stands. Leans on convert.

use super::convert::{self, Bytes, Cursor};
use super::threads;
use crate::backend::launch::{Operand, Span};
use crate::base::dtype::Element;
use crate::base::{DType, Result};
use crate::dispatch;

/// `input` is (n, c, sizes...), the outputs (n, c, places...). A window's NaN is its largest element.
pub fn run(input: &Operand, spans: &[Span], values: &Operand, places: &Operand) -> Result<()> {
    let sizes = &input.layout.shape[2..];
    let area: usize = sizes.iter().product();
    let count: usize = values.layout.shape[2..].iter().product();
    let planes = values.layout.shape[0] * values.layout.shape[1];
    if planes == 0 || count == 0 {
        return Ok(());
    }
    let from = Cursor::new(&input.layout);
    let (to, at) = (Cursor::new(&values.layout), Cursor::new(&places.layout));
    dispatch!(input.dtype, T => {
        threads::each(planes, ((1 << 13) / count).max(1), |range| {
            let (mut plane, mut best, mut found) = (vec![T::default(); area], vec![T::default(); count], vec![0i64; count]);
            let spare = Bytes(plane.as_mut_ptr().cast());
            for p in range {
                // SAFETY: the lists hold `area` and `count` elements; each plane of the outputs is written by one thread.
                unsafe {
                    if area > 0 {
                        convert::read::<T>(input, &from, p * area, area, spare.at(0).cast());
                    }
                    pool(&plane, sizes, spans, &mut best, &mut found);
                    convert::write_as(T::DTYPE, best.as_ptr().cast(), values, &to, p * count, count);
                    convert::write_as(DType::I64, found.as_ptr().cast(), places, &at, p * count, count);
                }
            }
        });
    });
    Ok(())
}

fn pool<T: Element>(plane: &[T], sizes: &[usize], spans: &[Span], best: &mut [T], found: &mut [i64]) {
    let d = sizes.len();
    let mut spot = vec![0usize; d];
    let mut inside: Vec<Vec<usize>> = vec![Vec::new(); d];
    for k in 0..best.len() {
        for (i, span) in spans.iter().enumerate() {
            let start = span.starts[spot[i]];
            let all = (0..span.counts[spot[i]]).map(|j| start + j * span.step);
            inside[i].clear();
            inside[i].extend(all.filter(|&p| p >= 0 && p < sizes[i] as i64).map(|p| p as usize));
        }
        let mut top: Option<(T, usize)> = None;
        each(&inside, sizes, 0, 0, &mut |at| {
            let v = plane[at];
            let wins = match top {
                None => true,
                Some((t, _)) if T::DTYPE.is_float() => v.to_f64() > t.to_f64() || v.to_f64().is_nan() && !t.to_f64().is_nan(),
                Some((t, _)) => v.to_i64() > t.to_i64(),
            };
            if wins {
                top = Some((v, at));
            }
        });
        let (v, at) = top.unwrap_or((T::from_f64(f64::NEG_INFINITY), 0));
        (best[k], found[k]) = (v, at as i64);
        for i in (0..d).rev() {
            spot[i] += 1;
            if spot[i] < spans[i].starts.len() {
                break;
            }
            spot[i] = 0;
        }
    }
}

/// Calls `visit` with the flat place of every element of a window, in order.
fn each(inside: &[Vec<usize>], sizes: &[usize], axis: usize, base: usize, visit: &mut dyn FnMut(usize)) {
    if axis + 1 == sizes.len() {
        inside[axis].iter().for_each(|&p| visit(base * sizes[axis] + p));
    } else {
        inside[axis].iter().for_each(|&p| each(inside, sizes, axis + 1, base * sizes[axis] + p, visit));
    }
}
