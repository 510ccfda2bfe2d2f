//! Rows by the order of their elements: sorted, the k-th, the middle, the most frequent, running extremes, and searching.
//! Every element becomes an unsigned key whose order is the elements' own. Leans on convert.

use super::convert::{self, Bytes, Cursor};
use super::{isa, stop, threads};
use crate::backend::launch::{Operand, Order};
use crate::base::dtype::Element;
use crate::base::{DType, Result};
use crate::dispatch;

/// NaN has the largest key, all NaNs the same; zeros of both signs are equal.
const NAN: u64 = u64::MAX;
const TOP: u64 = 1 << 63;

crate::per_isa!(static keyed: unsafe fn(row: &mut [u64]) = key_floats);

/// The bits of float64 made keys.
#[inline(always)]
unsafe fn key_floats<const FMA: bool>(row: &mut [u64]) {
    for key in row {
        let x = f64::from_bits(*key) + 0.0;
        let bits = x.to_bits();
        let negative = 0u64.wrapping_sub(bits >> 63);
        *key = if x.is_nan() { NAN } else { bits ^ (negative | TOP) };
    }
}

/// The keys of elements `start..start + n` of an operand.
fn keys(op: &Operand, cursor: &Cursor, start: usize, to: &mut [u64]) {
    let n = to.len();
    if n == 0 {
        return;
    }
    let row = to.as_mut_ptr();
    // SAFETY: the row holds `n` elements of eight bytes, which are read as what was written.
    unsafe {
        if op.dtype.is_float() {
            convert::read::<f64>(op, cursor, start, n, row.cast());
            keyed[isa::level()](to);
        } else {
            convert::read::<i64>(op, cursor, start, n, row.cast());
            to.iter_mut().for_each(|k| *k ^= TOP);
        }
    }
}

pub fn run(order: Order, input: &Operand, values: &Operand, places: &Operand) -> Result<()> {
    let n = *input.layout.shape.last().unwrap_or(&1);
    let m = *values.layout.shape.last().unwrap_or(&1);
    if values.numel() == 0 || n == 0 {
        return Ok(());
    }
    if let Order::Running { largest } = order {
        match input.dtype {
            DType::F32 => running::<f32>(largest, input, values, places),
            d if d.is_float() => running::<f64>(largest, input, values, places),
            _ => running::<i64>(largest, input, values, places),
        }
        return Ok(());
    }
    stop::afford("sort", n.saturating_mul(4 * size_of::<u64>()))?;
    let from = Cursor::new(&input.layout);
    let (to, at) = (Cursor::new(&values.layout), Cursor::new(&places.layout));
    dispatch!(input.dtype, T => {
        threads::each(values.numel() / m, ((1 << 12) / n).max(1), |range| {
            let mut list = vec![0u64; n];
            let mut pairs: Vec<(u64, u32)> = Vec::with_capacity(n);
            let (mut row, mut found, mut result) = (vec![T::default(); n], vec![0i64; m], vec![T::default(); m]);
            for r in range {
                keys(input, &from, r * n, &mut list);
                choose(order, &list, &mut pairs, &mut found);
                let spare = Bytes(row.as_mut_ptr().cast());
                // SAFETY: the rows hold `n` and `m` elements; each row of the outputs is written by one thread.
                unsafe {
                    convert::read::<T>(input, &from, r * n, n, spare.at(0).cast());
                    for (y, &i) in result.iter_mut().zip(&found) {
                        *y = row[i as usize];
                    }
                    convert::write_as(T::DTYPE, result.as_ptr().cast(), values, &to, r * m, m);
                    convert::write_as(DType::I64, found.as_ptr().cast(), places, &at, r * m, m);
                }
            }
        });
    });
    Ok(())
}

/// Elements of a row whose running extremes are found before they are written.
const TILE: usize = 1024;
/// Elements that are asked at once whether any of them is an extreme: mostly none is.
const BLOCK: usize = 16;

/// The extreme of each row up to every element, and its place: of equal ones the last, and NaN once it was met.
fn running<T: Element + PartialOrd>(largest: bool, input: &Operand, values: &Operand, places: &Operand) {
    let n = *input.layout.shape.last().unwrap_or(&1);
    let (from, to, at) = (Cursor::new(&input.layout), Cursor::new(&values.layout), Cursor::new(&places.layout));
    threads::each(values.numel() / n, ((1 << 14) / n).max(1), |range| {
        let (mut tile, mut found) = ([T::default(); TILE], [0i64; TILE]);
        for r in range {
            let mut best: Option<(T, i64)> = None;
            for first in (0..n).step_by(TILE) {
                let (start, count) = (r * n + first, TILE.min(n - first));
                // What is left in a row's last block from before is gone over too, and not written.
                let blocks = count.div_ceil(BLOCK);
                // SAFETY: the tiles hold `count` elements; each row of the outputs is written by one thread.
                unsafe {
                    convert::read::<T>(input, &from, start, count, tile.as_mut_ptr());
                    let held = best.unwrap_or((tile[0], first as i64));
                    best = Some(if largest {
                        extremes(|x, best| x >= best, held, first as i64, blocks, &mut tile, &mut found)
                    } else {
                        extremes(|x, best| x <= best, held, first as i64, blocks, &mut tile, &mut found)
                    });
                    convert::write_as(T::DTYPE, tile.as_ptr().cast(), values, &to, start, count);
                    convert::write_as(DType::I64, found.as_ptr().cast(), places, &at, start, count);
                }
            }
        }
    });
}

/// The running extremes of a tile's first blocks in its place, and theirs.
#[inline(always)]
fn extremes<T: Element + PartialOrd>(
    meets: impl Fn(T, T) -> bool,
    (mut best, mut at): (T, i64),
    first: i64,
    blocks: usize,
    tile: &mut [T; TILE],
    found: &mut [i64; TILE],
) -> (T, i64) {
    #[allow(clippy::eq_op, reason = "true of NaN alone")]
    let wins = |x: T, best: T| x != x || meets(x, best);
    let pairs = tile.as_chunks_mut::<BLOCK>().0.iter_mut().zip(found.as_chunks_mut::<BLOCK>().0);
    for (k, (xs, places)) in pairs.take(blocks).enumerate() {
        if xs.iter().fold(0, |any, &x| any | u32::from(wins(x, best))) > 0 {
            for (i, (x, place)) in xs.iter_mut().zip(places).enumerate() {
                if wins(*x, best) {
                    (best, at) = (*x, first + (BLOCK * k + i) as i64);
                }
                (*x, *place) = (best, at);
            }
        } else {
            xs.fill(best);
            places.fill(at);
        }
    }
    (best, at)
}

/// The places that an order asks for, of a row of keys.
fn choose(order: Order, list: &[u64], pairs: &mut Vec<(u64, u32)>, found: &mut [i64]) {
    let n = list.len();
    pairs.clear();
    let turn = if order == (Order::Sorted { descending: true }) { u64::MAX } else { 0 };
    if matches!(order, Order::Sorted { .. }) && (1..=FEW).contains(&found.len()) && found.len() * 4 <= n {
        return foremost(list, turn, pairs, found);
    }
    pairs.extend(list.iter().enumerate().map(|(i, &k)| (k ^ turn, i as u32)));
    let nth = |pairs: &mut Vec<(u64, u32)>, k: usize| i64::from(pairs.select_nth_unstable(k).1.1);
    match order {
        Order::Sorted { .. } => {
            let m = found.len();
            if m == 0 {
                return;
            }
            if m < n {
                pairs.select_nth_unstable(m - 1);
                pairs.truncate(m);
            }
            pairs.sort_unstable();
            found.iter_mut().zip(&*pairs).for_each(|(f, p)| *f = i64::from(p.1));
        }
        Order::Nth(k) => found[0] = nth(pairs, k.min(n - 1)),
        Order::Median { skip_nan } => {
            let nans = list.iter().filter(|&&k| k == NAN).count();
            found[0] = match (nans, skip_nan) {
                (1.., false) => list.iter().position(|&k| k == NAN).unwrap_or(0) as i64,
                (_, true) if nans == n => 0,
                _ => nth(pairs, (n - nans - 1) / 2),
            };
        }
        Order::Mode => {
            pairs.sort_unstable();
            let (mut most, mut run) = (0, 0);
            for (i, pair) in pairs.iter().enumerate() {
                run = if i > 0 && pairs[i - 1].0 == pair.0 { run + 1 } else { 1 };
                if (i + 1 == n || pairs[i + 1].0 != pair.0) && run > most {
                    most = run;
                    found[0] = i64::from(pair.1);
                }
            }
        }
        Order::Running { .. } => {}
    }
}

/// As many elements as are kept in order while a row is gone through once.
const FEW: usize = 32;

/// The places of the first elements in order, of which there are far fewer than elements in the row.
fn foremost(list: &[u64], turn: u64, best: &mut Vec<(u64, u32)>, found: &mut [i64]) {
    let m = found.len();
    let put = |best: &mut Vec<(u64, u32)>, key: u64, i: usize| {
        // Of equal elements the earlier one comes first.
        best.insert(best.partition_point(|one| one.0 <= key), (key, i as u32));
        best.last().map_or(0, |last| last.0)
    };
    let mut worst = 0;
    for (i, &key) in list[..m].iter().enumerate() {
        worst = put(best, key ^ turn, i);
    }
    for (i, &key) in list.iter().enumerate().skip(m) {
        if key ^ turn < worst {
            best.pop();
            worst = put(best, key ^ turn, i);
        }
    }
    found.iter_mut().zip(&*best).for_each(|(f, p)| *f = i64::from(p.1));
}

/// For each value its place among the sorted elements of the same row; one row of sorted elements serves all rows.
pub fn search(sorted: &Operand, values: &Operand, right: bool, out: &Operand) -> Result<()> {
    let n = *sorted.layout.shape.last().unwrap_or(&1);
    let m = *values.layout.shape.last().unwrap_or(&1);
    if out.numel() == 0 {
        return Ok(());
    }
    let shared = sorted.layout.rank() == 1;
    let (from, with, to) = (Cursor::new(&sorted.layout), Cursor::new(&values.layout), Cursor::new(&out.layout));
    threads::each(out.numel() / m, ((1 << 12) / m).max(1), |range| {
        let (mut edges, mut asked, mut found) = (vec![0u64; n], vec![0u64; m], vec![0i64; m]);
        let mut first = true;
        for r in range {
            if first || !shared {
                keys(sorted, &from, if shared { 0 } else { r * n }, &mut edges);
                first = false;
            }
            keys(values, &with, r * m, &mut asked);
            for (f, &key) in found.iter_mut().zip(&asked) {
                *f = edges.partition_point(|&e| if right { e <= key } else { e < key }) as i64;
            }
            // SAFETY: the row holds `m` elements; each row of the output is written by one thread.
            unsafe { convert::write_as(DType::I64, found.as_ptr().cast(), out, &to, r * m, m) };
        }
    });
    Ok(())
}
