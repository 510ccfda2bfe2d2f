//! Small blocks of products whose sums stay in registers: rows of numbers times rows of vectors, and dot products of rows.
//! Leans on lanes.

use crate::backend::cpu::lanes::Lanes;

/// The left side of a block: element `p` of row `r` lies at `at + r row + p step`, or at `at + list[r] + p step` where there
/// is a list; after each `run` elements `gap` are left out, and `leap` more after so many `runs`.
#[derive(Clone, Copy)]
pub struct Left<E> {
    pub at: *const E,
    pub row: usize,
    pub list: *const u32,
    pub step: usize,
    pub run: usize,
    pub gap: usize,
    pub runs: usize,
    pub leap: usize,
}

impl<E> Left<E> {
    /// Rows at one distance, in one run.
    pub fn new(at: *const E, row: usize, step: usize) -> Left<E> {
        Left { at, row, list: std::ptr::null(), step, run: usize::MAX, gap: 0, runs: usize::MAX, leap: 0 }
    }
}

/// Where a block begins: at nothing, at one number for each row, or at what stands there.
#[derive(Clone, Copy)]
pub enum From<E> {
    Zero,
    Rows(*const E),
    There,
}

/// Rows, and vectors in each, of the blocks that there are: for 32 registers and for 16. Of 16 not all are used: where sums,
/// vectors and a number fill them (4 x 3), the compiler keeps a sum in memory, and the block takes twice as long.
const MANY: [(usize, usize); 7] = [(6, 4), (8, 3), (12, 2), (8, 2), (12, 1), (4, 4), (1, 8)];
const FEW: [(usize, usize); 7] = [(6, 2), (3, 3), (4, 2), (2, 4), (8, 1), (4, 1), (1, 8)];

/// The block that wastes least on so many rows of so many elements.
pub fn best<L: Lanes>(rows: usize, columns: usize) -> (usize, usize) {
    let list = if L::MANY { MANY } else { FEW };
    let vectors = columns.div_ceil(L::N).max(1);
    // A step has r v multiply-adds, loads r numbers and v vectors that cross lines, and waits for the step before.
    let cost = |&(r, v): &(usize, usize)| rows.max(1).div_ceil(r) * vectors.div_ceil(v) * ((r * v).max(r + 2 * v) + 3).max(10);
    list.into_iter().min_by_key(cost).unwrap_or(list[0])
}

/// The same among those that are no wider than the elements.
pub fn fitting<L: Lanes>(rows: usize, columns: usize) -> (usize, usize) {
    let list = if L::MANY { MANY } else { FEW };
    let vectors = (columns / L::N).max(1);
    let cost = |&(r, v): &(usize, usize)| rows.max(1).div_ceil(r) * ((r * v).max(r + 2 * v) + 3).max(10) * 48 / v;
    list.into_iter().filter(|&(_, v)| v <= vectors).min_by_key(cost).unwrap_or((1, 1))
}

/// `out[r][..] += sum over p of left[r][p] right[offsets[p]..]` for `rows` rows of `v` vectors; `(r, v)` is one of the table's.
///
/// # Safety
/// Left must hold `r` rows of `k`, right `v` vectors at each offset, out `rows` rows of `v` vectors.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
pub unsafe fn outer<L: Lanes>(
    (r, v): (usize, usize),
    k: usize,
    left: Left<L::E>,
    right: *const L::E,
    offsets: *const u32,
    out: *mut L::E,
    pitch: usize,
    rows: usize,
    from: From<L::E>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        if L::MANY {
            match (r, v) {
                (6, 4) => block::<L, 6, 4>(k, left, right, offsets, out, pitch, rows, from),
                (8, 3) => block::<L, 8, 3>(k, left, right, offsets, out, pitch, rows, from),
                (12, 2) => block::<L, 12, 2>(k, left, right, offsets, out, pitch, rows, from),
                (8, 2) => block::<L, 8, 2>(k, left, right, offsets, out, pitch, rows, from),
                (12, 1) => block::<L, 12, 1>(k, left, right, offsets, out, pitch, rows, from),
                (4, 4) => block::<L, 4, 4>(k, left, right, offsets, out, pitch, rows, from),
                _ => block::<L, 1, 8>(k, left, right, offsets, out, pitch, rows, from),
            }
        } else {
            match (r, v) {
                (6, 2) => block::<L, 6, 2>(k, left, right, offsets, out, pitch, rows, from),
                (3, 3) => block::<L, 3, 3>(k, left, right, offsets, out, pitch, rows, from),
                (4, 2) => block::<L, 4, 2>(k, left, right, offsets, out, pitch, rows, from),
                (2, 4) => block::<L, 2, 4>(k, left, right, offsets, out, pitch, rows, from),
                (8, 1) => block::<L, 8, 1>(k, left, right, offsets, out, pitch, rows, from),
                (4, 1) => block::<L, 4, 1>(k, left, right, offsets, out, pitch, rows, from),
                _ => block::<L, 1, 8>(k, left, right, offsets, out, pitch, rows, from),
            }
        }
    }
}

/// Rows of the blocks for windows that lie side by side.
pub fn panel_rows<L: Lanes>() -> usize {
    if L::MANY { 8 } else { 6 }
}

/// Vectors of them.
pub const fn panel_vectors<L: Lanes>() -> usize {
    if L::MANY { 3 } else { 2 }
}

/// The same for `high` rows, as many as `panel_rows` or 4, 2 or 1, of up to `panel_vectors` vectors.
///
/// # Safety
/// As `outer`.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
pub unsafe fn panel<L: Lanes>(
    (high, v): (usize, usize),
    k: usize,
    left: Left<L::E>,
    right: *const L::E,
    offsets: *const u32,
    out: *mut L::E,
    pitch: usize,
    rows: usize,
    from: From<L::E>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        match (high, v) {
            (8, 3) if L::MANY => block::<L, 8, 3>(k, left, right, offsets, out, pitch, rows, from),
            (8, 2) if L::MANY => block::<L, 8, 2>(k, left, right, offsets, out, pitch, rows, from),
            (8, _) if L::MANY => block::<L, 8, 1>(k, left, right, offsets, out, pitch, rows, from),
            (6, 2) if !L::MANY => block::<L, 6, 2>(k, left, right, offsets, out, pitch, rows, from),
            (6, _) if !L::MANY => block::<L, 6, 1>(k, left, right, offsets, out, pitch, rows, from),
            (4, 3) if L::MANY => block::<L, 4, 3>(k, left, right, offsets, out, pitch, rows, from),
            (4, 2) => block::<L, 4, 2>(k, left, right, offsets, out, pitch, rows, from),
            (4, _) => block::<L, 4, 1>(k, left, right, offsets, out, pitch, rows, from),
            (2, 3) if L::MANY => block::<L, 2, 3>(k, left, right, offsets, out, pitch, rows, from),
            (2, 2) => block::<L, 2, 2>(k, left, right, offsets, out, pitch, rows, from),
            (2, _) => block::<L, 2, 1>(k, left, right, offsets, out, pitch, rows, from),
            (_, 3) if L::MANY => block::<L, 1, 3>(k, left, right, offsets, out, pitch, rows, from),
            (_, 2) => block::<L, 1, 2>(k, left, right, offsets, out, pitch, rows, from),
            _ => block::<L, 1, 1>(k, left, right, offsets, out, pitch, rows, from),
        }
    }
}

/// The same for any number of rows, in blocks of as many as there are; the sums of a row are made in one order in all of them.
///
/// # Safety
/// As `outer`.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
pub unsafe fn rows<L: Lanes>(
    v: usize,
    k: usize,
    left: Left<L::E>,
    right: *const L::E,
    offsets: *const u32,
    out: *mut L::E,
    pitch: usize,
    rows: usize,
    from: From<L::E>,
) {
    let mut done = 0;
    while done < rows {
        let high = match rows - done {
            // Two blocks of four, where six and two would have too few sums in the second.
            8 if !L::MANY => 4,
            left if left >= panel_rows::<L>() => panel_rows::<L>(),
            left => 1 << left.ilog2().min(2),
        };
        // SAFETY: the caller's promise.
        unsafe {
            let left = Left { at: left.at.add(done * left.row), ..left };
            panel::<L>((high, v), k, left, right, offsets, out.add(done * pitch), pitch, high, from);
        }
        done += high;
    }
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn block<L: Lanes, const R: usize, const V: usize>(
    k: usize,
    left: Left<L::E>,
    right: *const L::E,
    offsets: *const u32,
    out: *mut L::E,
    pitch: usize,
    rows: usize,
    from: From<L::E>,
) {
    let mut sums = [[L::zero(); V]; R];
    let there = matches!(from, From::There);
    // SAFETY: the caller's promise.
    unsafe {
        match from {
            From::Zero | From::There => {}
            From::Rows(first) => {
                for (r, row) in sums.iter_mut().enumerate() {
                    if r < rows {
                        *row = [L::splat(*first.add(r)); V];
                    }
                }
            }
        }
        // A row that is not there is computed like the last one, and not kept.
        let mut starts = [left.at; R];
        for (r, start) in starts.iter_mut().enumerate() {
            let row = r.min(rows - 1);
            *start = left.at.add(if left.list.is_null() { row * left.row } else { *left.list.add(row) as usize });
        }
        let (mut p, mut skip, mut runs) = (0, 0, 0);
        while p < k {
            let end = k.min(p.saturating_add(left.run));
            while p < end {
                let at = right.add(*offsets.add(p) as usize);
                let mut vectors = [L::zero(); V];
                for (v, vector) in vectors.iter_mut().enumerate() {
                    *vector = L::load(at.add(v * L::N));
                }
                // One distance for all rows, so that no pointer but that of its beginning is kept for each.
                let far = p * left.step + skip;
                for (row, start) in sums.iter_mut().zip(&starts) {
                    let x = L::splat(*start.add(far));
                    for (sum, &vector) in row.iter_mut().zip(&vectors) {
                        *sum = sum.madd(x, vector);
                    }
                }
                p += 1;
            }
            skip += left.gap;
            runs += 1;
            if runs == left.runs {
                (runs, skip) = (0, skip + left.leap);
            }
        }
        for (r, row) in sums.iter().enumerate() {
            if r < rows {
                for (v, &sum) in row.iter().enumerate() {
                    let to = out.add(r * pitch + v * L::N);
                    // What stands there is added last: sums of sums lose less than one long sum.
                    let sum = if there { L::load(to).add(sum) } else { sum };
                    sum.store(to);
                }
            }
        }
    }
}

/// Rows on the left and on the right of a block of dot products.
pub fn dots_block<L: Lanes>(rows: usize) -> (usize, usize) {
    match (rows, L::MANY) {
        (1, _) => (1, 9),
        (_, true) => (8, 3),
        _ => (4, 3),
    }
}

/// `out[i][j] += sum over all runs of the products of left row i and right row j`, where a run is an offset on either side
/// and goes over `len` elements, whole vectors.
///
/// # Safety
/// Every row must hold `len` elements at each run's offset, and out `left.len()` rows of `right.len()`.
#[inline(always)]
pub unsafe fn dots<L: Lanes>(
    left: &[*const L::E],
    right: &[*const L::E],
    runs: &[(usize, usize)],
    len: usize,
    out: *mut L::E,
    pitch: usize,
) {
    // SAFETY: the caller's promise.
    unsafe {
        if left.len() == 1 {
            dot_block::<L, 1, 9>(left, right, runs, len, out, pitch);
        } else if L::MANY {
            dot_block::<L, 8, 3>(left, right, runs, len, out, pitch);
        } else {
            dot_block::<L, 4, 3>(left, right, runs, len, out, pitch);
        }
    }
}

#[inline(always)]
unsafe fn dot_block<L: Lanes, const R: usize, const J: usize>(
    left: &[*const L::E],
    right: &[*const L::E],
    runs: &[(usize, usize)],
    len: usize,
    out: *mut L::E,
    pitch: usize,
) {
    let (mut rows, mut columns) = ([left[0]; R], [right[0]; J]);
    for (r, row) in rows.iter_mut().enumerate() {
        *row = left[r.min(left.len() - 1)];
    }
    for (j, column) in columns.iter_mut().enumerate() {
        *column = right[j.min(right.len() - 1)];
    }
    let mut sums = [[L::zero(); J]; R];
    // SAFETY: the caller's promise.
    unsafe {
        for &(a, b) in runs {
            for p in (0..len).step_by(L::N) {
                let mut vectors = [L::zero(); J];
                for (vector, column) in vectors.iter_mut().zip(&columns) {
                    *vector = L::load(column.add(b + p));
                }
                for (row, at) in sums.iter_mut().zip(&rows) {
                    let x = L::load(at.add(a + p));
                    for (sum, &vector) in row.iter_mut().zip(&vectors) {
                        *sum = sum.madd(x, vector);
                    }
                }
            }
        }
        // Whole first, so that the sums themselves are never indexed and stay in registers.
        let mut totals = [[L::E::default(); J]; R];
        for (row, sums) in totals.iter_mut().zip(&sums) {
            for (to, &sum) in row.iter_mut().zip(sums) {
                *to = sum.total();
            }
        }
        for (r, row) in totals.iter().enumerate().take(left.len()) {
            for (j, &sum) in row.iter().enumerate().take(right.len()) {
                let to = out.add(r * pitch + j);
                *to = *to + sum;
            }
        }
    }
}
