//! The blocked product of machines with AVX2, on one thread: sides laid out in pieces that the caches hold, sums in registers
//! (Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008). Leans on lanes and block.

use super::{Product, Strip, WHOLE};
use crate::backend::cpu::block::{
    self,
    squares::{FourDoubles, FourWords, Square},
};
use crate::backend::cpu::lanes::{Lanes, fetch};
use std::mem::MaybeUninit;

/// Rows of a block and vectors in each: twelve sums, two vectors and a number fill 15 of 16 registers.
const HIGH: usize = 6;
const WIDE: usize = 2;
/// The most columns that are laid out at a time, and bytes of the left side that stay in the second cache while they are met.
const COLUMNS: usize = 256;
const LEFT: usize = 192 << 10;
/// Bytes of a block that is met by others as soon as it is made.
const MET: usize = 128 << 10;
/// Bytes of a right side that is laid out whole for them.
const RIGHT: usize = 256 << 10;
/// A line of memory.
const LINE: usize = 64;
/// Rows that meet the right side where it lies: laying it out would cost more.
const FEW: usize = 2 * HIGH;
/// Bytes of a left side that is read where it lies, however it lies.
const NEAR: usize = 16 << 10;
/// Rows so many bytes apart share their places in the first cache, and from so many columns on that is felt.
const APART: usize = 2048;
const BROAD: usize = 64;

/// The rows of the next block, of so many that are left: none with few sums, which would wait for each other.
fn height(left: usize) -> usize {
    match left {
        0..=HIGH => left,
        7 | 8 => 4,
        9 => 5,
        _ => HIGH,
    }
}

/// `o = a @ b`, or added to what stands there. The sums of a row are made in one order, whatever is beside it.
///
/// # Safety
/// The machine must have AVX2 and FMA; the product is as its maker promises.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn run<L: Lanes>(on: &Product<'_, L::E>, add: bool) {
    let Product { m, n, k, sa, sb, so, after, .. } = *on;
    let (size, wide) = (size_of::<L::E>(), WIDE * L::N);
    let line = LINE / size;
    let deep = k.div_ceil(k.div_ceil(WHOLE / size).max(1)).max(1);
    // Rows that are met are met whole where the second cache holds all columns; no last few are left by themselves.
    let parts = if after.is_some() && n * deep * size <= RIGHT { 1 } else { n.div_ceil(COLUMNS).max(1) };
    let columns = n.div_ceil(parts).next_multiple_of(wide);
    let high = if after.is_some() { (LEFT / (deep * size)).min(MET / (columns * size)) } else { LEFT / (deep * size) };
    let high = high.max(1).next_multiple_of(HIGH);
    let hidden = after.is_some_and(|after| after.hidden);
    let laid_left = sa.1 != 1 && m.min(high) * deep * size > NEAR || sa.0.unsigned_abs() * size % APART == 0 && n >= BROAD && m > HIGH;
    let here = m <= FEW && sb.1 == 1;
    let rows = if laid_left { high.min(m) } else { 0 };
    let met = if hidden { high.min(m) * columns } else { 0 };
    let room = Strip::new((deep * (columns + rows) + met) * size + LINE);
    let right = room.0.as_ptr().cast::<u8>().map_addr(|at| at.next_multiple_of(LINE)).cast::<L::E>().cast_mut();
    let mut tile = MaybeUninit::<[[u64; 16]; HIGH]>::uninit();
    // SAFETY: the room holds the panels and what is laid out of the left side; the product's maker promises the rest.
    unsafe {
        let left = right.add(deep * columns);
        let made = left.add(deep * rows);
        for j in (0..n).step_by(columns) {
            let along = columns.min(n - j);
            for p in (0..k).step_by(deep) {
                let depth = deep.min(k - p);
                let from = on.b.offset(p as isize * sb.0 + j as isize * sb.1);
                // The first rows of the left side's next part.
                let under = on.a.wrapping_offset((p + depth) as isize * sa.1);
                for x in (0..along).step_by(wide) {
                    let many = wide.min(along - x);
                    if !(here && many == wide) {
                        lay_right::<L>(from.offset(x as isize * sb.1), sb, right.add(x * depth), depth, many);
                    }
                }
                for i in (0..m).step_by(high) {
                    let down = high.min(m - i);
                    let begin = on.a.offset(i as isize * sa.0 + p as isize * sa.1);
                    if laid_left {
                        lay_left(begin, sa, left, depth, down);
                    }
                    // Where this part of the result goes.
                    let (goal, down_by, along_by) =
                        if hidden { (made, columns as isize, 1) } else { (on.o.offset(i as isize * so.0 + j as isize * so.1), so.0, so.1) };
                    for x in (0..along).step_by(wide) {
                        let many = wide.min(along - x);
                        let (panel, pitch) =
                            if here && many == wide { (from.add(x), sb.0) } else { (right.add(x * depth).cast_const(), wide as isize) };
                        let vectors = many.div_ceil(L::N);
                        let whole = hidden || many == vectors * L::N && so.1 == 1;
                        let add = add || p > 0;
                        let mut y = 0;
                        while y < down {
                            let h = height(down - y);
                            let o = goal.offset(y as isize * down_by + x as isize * along_by);
                            let sums = tile.as_mut_ptr().cast::<L::E>();
                            let (to, leap) = if whole { (o, down_by) } else { (sums, wide as isize) };
                            let (rows, ahead) = if laid_left {
                                let at = left.add(y * depth).cast_const();
                                // Over its last panel a block asks for what will be laid out next.
                                let last = x + wide >= along;
                                let next = if i + down < m { begin.wrapping_offset(down as isize * sa.0) } else { under };
                                let ahead = if last && sa.0 == 1 {
                                    let row = (y / HIGH * (depth / line)) as isize;
                                    Ahead { at: next.wrapping_offset(row * sa.1), apart: line as isize, step: sa.1 }
                                } else if last {
                                    Ahead { at: next.wrapping_offset(y as isize * sa.0), apart: sa.0, step: line as isize * sa.1 }
                                } else {
                                    Ahead { at: at.wrapping_add(h * depth), apart: line as isize, step: (line * h) as isize }
                                };
                                (Rows { at, row: 1, step: h as isize }, ahead)
                            } else {
                                let at = begin.offset(y as isize * sa.0);
                                let next = at.wrapping_offset(h as isize * sa.0);
                                (Rows { at, row: sa.0, step: sa.1 }, Ahead { at: next, apart: sa.0, step: line as isize * sa.1 })
                            };
                            let block = Block { k: depth, rows, ahead, panel, pitch, to, leap, add: add && whole };
                            match (h, vectors) {
                                (6, 2) => multiply::<L, 6, 2>(&block),
                                (5, 2) => multiply::<L, 5, 2>(&block),
                                (4, 2) => multiply::<L, 4, 2>(&block),
                                (3, 2) => multiply::<L, 3, 2>(&block),
                                (2, 2) => multiply::<L, 2, 2>(&block),
                                (_, 2) => multiply::<L, 1, 2>(&block),
                                (6, _) => multiply::<L, 6, 1>(&block),
                                (5, _) => multiply::<L, 5, 1>(&block),
                                (4, _) => multiply::<L, 4, 1>(&block),
                                (3, _) => multiply::<L, 3, 1>(&block),
                                (2, _) => multiply::<L, 2, 1>(&block),
                                _ => multiply::<L, 1, 1>(&block),
                            }
                            if !whole {
                                for r in 0..h {
                                    for c in 0..many {
                                        let (to, sum) = (o.offset(r as isize * so.0 + c as isize * so.1), *sums.add(r * wide + c));
                                        *to = if add { *to + sum } else { sum };
                                    }
                                }
                            }
                            y += h;
                        }
                    }
                    if let Some(after) = after.filter(|_| p + depth == k) {
                        after.tell(i..i + down, j..j + along, goal, down_by as usize);
                    }
                }
            }
        }
    }
}

/// The left side of a block: element `p` of row `r` lies at `at + r row + p step`.
struct Rows<E> {
    at: *const E,
    row: isize,
    step: isize,
}

/// Lines that are asked for meanwhile, one for each row: row `r`'s after `q` lines of steps lies at `at + r apart + q step`.
struct Ahead<E> {
    at: *const E,
    apart: isize,
    step: isize,
}

/// A block of the result: rows times a panel whose rows lie `pitch` apart, to rows `leap` apart.
struct Block<E> {
    k: usize,
    rows: Rows<E>,
    ahead: Ahead<E>,
    panel: *const E,
    pitch: isize,
    to: *mut E,
    leap: isize,
    add: bool,
}

#[target_feature(enable = "avx2,fma")]
unsafe fn multiply<L: Lanes, const R: usize, const V: usize>(on: &Block<L::E>) {
    let line = LINE / size_of::<L::E>();
    let Block { k, panel, pitch, to, leap, add, .. } = *on;
    let Rows { at, row, step } = on.rows;
    let mut sums = [[L::zero(); V]; R];
    for r in 0..R as isize {
        let to = to.wrapping_offset(r * leap);
        fetch(to);
        fetch(to.wrapping_add(V * L::N - 1));
    }
    // Two pointers for six rows: an instruction adds one distance or two on its way, and a step has no sums of addresses.
    let (mut upper, mut lower, twice) = (at, at.wrapping_offset(3 * row), 2 * row);
    let (mut from, mut ask) = (panel, on.ahead.at);
    // SAFETY: the caller promises the rows, the panel and the result.
    unsafe {
        for p in (0..k).step_by(line) {
            for r in 0..R as isize {
                fetch(ask.wrapping_offset(r * on.ahead.apart));
            }
            ask = ask.wrapping_offset(on.ahead.step);
            for _ in 0..line.min(k - p) {
                let mut vectors = [L::zero(); V];
                for (v, vector) in vectors.iter_mut().enumerate() {
                    *vector = L::load(from.add(v * L::N));
                }
                for (r, row_sums) in sums.iter_mut().enumerate() {
                    let start = if r < 3 { upper } else { lower };
                    let x = L::splat(*start.offset([0, row, twice][r % 3]));
                    for (sum, &vector) in row_sums.iter_mut().zip(&vectors) {
                        *sum = sum.madd(x, vector);
                    }
                }
                from = from.offset(pitch);
                (upper, lower) = (upper.wrapping_offset(step), lower.wrapping_offset(step));
            }
        }
        for (r, row) in sums.iter().enumerate() {
            for (v, &sum) in row.iter().enumerate() {
                let to = to.offset(r as isize * leap).add(v * L::N);
                // What stands there is added last: sums of sums lose less than one long sum.
                let sum = if add { L::load(to).add(sum) } else { sum };
                sum.store(to);
            }
        }
    }
}

/// Lays out a panel: rows of two vectors, zeros behind the last of fewer columns.
#[target_feature(enable = "avx2,fma")]
unsafe fn lay_right<L: Lanes>(from: *const L::E, steps: (isize, isize), to: *mut L::E, deep: usize, many: usize) {
    let wide = WIDE * L::N;
    // Rows further down, which are asked for meanwhile: they lie too far apart for the hardware to foresee.
    const AHEAD: isize = 64;
    // SAFETY: the caller promises both sides.
    unsafe {
        if steps.1 == 1 && many == wide {
            for p in 0..deep as isize {
                let from = from.offset(p * steps.0);
                fetch(from.wrapping_offset(AHEAD * steps.0));
                for v in 0..WIDE {
                    L::load(from.add(v * L::N)).store(to.offset(p * wide as isize).add(v * L::N));
                }
            }
            return;
        }
        if many < wide {
            to.write_bytes(0, deep * wide);
        }
        // A line of each column at a time, while those of the next panel's are asked for.
        let (line, place) = (LINE / size_of::<L::E>(), block::mover(size_of::<L::E>()));
        for p in (0..deep).step_by(line) {
            let from = from.offset(p as isize * steps.0);
            for column in wide..2 * wide {
                fetch(from.wrapping_offset(column as isize * steps.1));
            }
            place(from.cast(), steps, to.add(p * wide).cast(), (wide as isize, 1), line.min(deep - p), many);
        }
    }
}

/// Lays out rows in bands as high as their blocks, element by element of the inner axis.
#[target_feature(enable = "avx2,fma")]
unsafe fn lay_left<E: Copy>(from: *const E, steps: (isize, isize), to: *mut E, deep: usize, down: usize) {
    // Some elements of every band at a time, so that lines are read and written whole.
    let some = if steps.1 == 1 { deep } else { 8 };
    for p in (0..deep).step_by(some) {
        let end = deep.min(p + some);
        let mut y = 0;
        while y < down {
            let h = height(down - y);
            // SAFETY: the caller promises both sides.
            unsafe {
                let (from, to) = (from.offset(y as isize * steps.0), to.add(y * deep));
                let mut p = p;
                if steps.1 == 1 && h >= FOUR {
                    // Squares of four rows, which may overlap.
                    let (more, whole) = (h - FOUR, end / FOUR * FOUR);
                    while p < whole {
                        if p % (LINE / size_of::<E>()) == 0 {
                            for r in h..2 * h {
                                fetch(from.wrapping_offset(r as isize * steps.0 + p as isize));
                            }
                        }
                        turn_four(from.add(p), steps.0, to.add(p * h), h as isize);
                        if more > 0 {
                            turn_four(from.offset(more as isize * steps.0).add(p), steps.0, to.add(p * h + more), h as isize);
                        }
                        p += FOUR;
                    }
                }
                for p in p..end {
                    let (from, to) = (from.offset(p as isize * steps.1), to.add(p * h));
                    if h == HIGH && steps.0 == 1 {
                        to.cast::<[E; HIGH]>().write_unaligned(from.cast::<[E; HIGH]>().read_unaligned());
                    } else {
                        for r in 0..h {
                            *to.add(r) = *from.offset(r as isize * steps.0);
                        }
                    }
                }
            }
            y += h;
        }
    }
}

/// The side of a square that is turned.
const FOUR: usize = 4;

/// `to[i * pitch + j] = from[j * step + i]` for four rows of four floats.
#[target_feature(enable = "avx2,fma")]
unsafe fn turn_four<E>(from: *const E, step: isize, to: *mut E, pitch: isize) {
    // SAFETY: the caller promises both squares.
    unsafe {
        if size_of::<E>() == 4 {
            FourWords::square(from.cast(), step, to.cast(), pitch)
        } else {
            FourDoubles::square(from.cast(), step, to.cast(), pitch)
        }
    }
}
