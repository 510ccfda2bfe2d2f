//! Convolutions, and their gradients in the input, as products of weights with shifted rows of the image: no columns are
//! laid out. Leans on tile, band and lanes.

use super::band::{Band, View};
use super::lanes::{Float, Lanes};
use super::tile::{self, From, Left};

/// Bytes of a band's rows that the products of one block go over, kept below the first cache.
const NEAR: usize = 24 << 10;

/// Products that are summed at a time; sums of sums lose less than one long sum.
const DEPTH: usize = 256;

/// What is computed of one image and group: `o` rows from `c` channels, at places `first + q leap` of the result.
pub struct Plan {
    pub c: usize,
    pub o: usize,
    pub view: View,
    pub out: [usize; 3],
    pub first: [usize; 3],
    pub leap: [usize; 3],
    /// Elements from one row, and from one step of the first axis, to the next of the result.
    pub pitch: (usize, usize),
    /// Rows and vectors of a block of products, and lanes of a vector.
    pub block: (usize, usize),
    pub lanes: usize,
    /// Windows of a band along the view's axis, and images that are done one by one.
    pub band: usize,
    pub images: usize,
}

/// One band of one image and group.
#[derive(Clone, Copy)]
pub struct Task<E> {
    pub from: *const E,
    pub weights: *const E,
    pub bias: *const E,
    pub to: *mut E,
    pub room: *mut E,
    pub windows: (usize, usize),
}

impl Plan {
    /// Elements of weights laid out for the blocks: `[block of rows][channel, tap][row]`.
    pub fn weights(&self) -> usize {
        self.o.next_multiple_of(self.block.0) * self.c * self.view.taps()
    }
    fn width(&self) -> usize {
        self.block.1 * self.lanes
    }
    /// Elements that a task needs beside its operands.
    pub fn room(&self) -> usize {
        let band = self.view.band(0, self.band);
        self.c * band.plane.max(self.width()) + 2 * self.width() + self.o.next_multiple_of(self.block.0) * self.width()
    }
    /// Multiply-adds of a band.
    pub fn work(&self) -> usize {
        self.o * self.c * self.view.taps() * self.view.band(0, self.band).flat
    }
}

/// Settles a plan's blocks and bands for the instruction set.
#[inline(always)]
unsafe fn settle_of<L: Lanes>(plan: &mut Plan) {
    plan.lanes = L::N;
    let flat = plan.view.band(0, plan.view.count[plan.view.axis]).flat;
    plan.block = tile::best::<L>(plan.o, flat);
}
per_lanes!(pub static settle32: unsafe fn(plan: &mut Plan) = settle_of::<f32>);
per_lanes!(pub static settle64: unsafe fn(plan: &mut Plan) = settle_of::<f64>);

#[inline(always)]
unsafe fn run_of<L: Lanes>(plan: &Plan, task: &Task<L::E>) {
    let view = &plan.view;
    let band = view.band(task.windows.0, task.windows.1);
    let (r, v) = plan.block;
    let width = v * L::N;
    let taps = view.taps();
    let plain = view.is_plain() && band.count == view.count;
    let plane = if plain { view.pitch.0 } else { band.plane };
    let mut shifts = Vec::new();
    view.offsets(&band, &mut shifts);
    let offsets: Vec<u32> = (0..plan.c).flat_map(|c| shifts.iter().map(move |&s| (c * plane + s) as u32)).collect();
    let rows = view.shifts[0].len() * view.shifts[1].len();
    let channels = (NEAR / (rows * (width + view.shifts[2].len() + L::N) * size_of::<L::E>())).min(DEPTH / taps).clamp(1, plan.c);
    let space = plan.pitch.0;
    let whole = band.count[0] == 1 || plan.pitch.1 == plan.out[1] * plan.out[2];
    let dense = whole && plan.leap == [1; 3] && view.is_dense(&band) && plan.first == [0; 3] && {
        let axis = view.axis;
        (axis + 1..3).all(|i| band.count[i] == plan.out[i])
    };
    let start = {
        let mut q = [0; 3];
        q[view.axis] = band.from;
        place(plan, q)
    };
    // SAFETY: the caller promises operands as the plan has them, and a room as large as `Plan::room` says.
    unsafe {
        let copy = task.room;
        let sums = copy.add(plan.c * view.band(0, plan.band).plane.max(width) + 2 * width);
        if !plain {
            view.copy(&band, task.from, plan.c, copy);
            copy.add(plan.c * band.plane).write_bytes(0, 2 * width);
        }
        let mut segments: Vec<(usize, usize, usize)> = Vec::new();
        for at in (0..band.flat).step_by(width) {
            let long = width.min(band.flat - at);
            let mut right = if plain { task.from } else { copy.cast_const() };
            let mut shift = at;
            let mut offsets = offsets.as_ptr();
            let edge: Vec<u32>;
            if plain && long < width {
                // The end of a plane, so that nobody reads past the last one.
                for c in 0..plan.c {
                    copy.add(c * width).copy_from_nonoverlapping(task.from.add(c * plane + at), long);
                    copy.add(c * width + long).write_bytes(0, width - long);
                }
                edge = (0..plan.c).map(|c| (c * width) as u32).collect();
                (right, shift, offsets) = (copy.cast_const(), 0, edge.as_ptr());
            }
            let direct = dense && long == width;
            let (out, pitch) = if direct { (task.to.add(start + at), space) } else { (sums, width) };
            for c in (0..plan.c).step_by(channels) {
                let k = channels.min(plan.c - c) * taps;
                for row in (0..plan.o).step_by(r) {
                    let left = Left::new(task.weights.add(row * plan.c * taps + c * taps * r), 1, r);
                    let from = match c {
                        0 if task.bias.is_null() => From::Zero,
                        0 => From::Rows(task.bias.add(row)),
                        _ => From::There,
                    };
                    let to = out.add(row * pitch);
                    tile::outer::<L>(plan.block, k, left, right.add(shift), offsets.add(c * taps), to, pitch, r.min(plan.o - row), from);
                }
            }
            if !direct {
                cut(plan, &band, at, long, &mut segments);
                for row in 0..plan.o {
                    let (from, to) = (sums.add(row * width), task.to.add(row * space));
                    for &(begin, n, place) in &segments {
                        spread(from.add(begin), to.add(place), n, plan.leap[2]);
                    }
                }
            }
        }
    }
}
per_lanes!(pub static run32: unsafe fn(plan: &Plan, task: &Task<f32>) = run_of::<f32>);
per_lanes!(pub static run64: unsafe fn(plan: &Plan, task: &Task<f64>) = run_of::<f64>);

#[inline(always)]
unsafe fn spread<E: Float>(from: *const E, to: *mut E, n: usize, leap: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if leap == 1 {
            to.copy_from_nonoverlapping(from, n);
        } else {
            for k in 0..n {
                *to.add(k * leap) = *from.add(k);
            }
        }
    }
}

/// Where a window's result stands.
fn place(plan: &Plan, q: [usize; 3]) -> usize {
    let at = |i: usize| plan.first[i] + q[i] * plan.leap[i];
    at(0) * plan.pitch.1 + at(1) * plan.out[2] + at(2)
}

/// The windows among `long` places of a band from `at` on: where each run of them begins, how many they are, and where the
/// result of the first stands.
fn cut(plan: &Plan, band: &Band, at: usize, long: usize, list: &mut Vec<(usize, usize, usize)>) {
    list.clear();
    let (mut flat, end) = (at, at + long);
    while flat < end {
        let (x, line) = (flat % band.len[2], flat / band.len[2]);
        let (y, d) = (line % band.len[1], line / band.len[1]);
        let next = (flat - x + band.len[2]).min(end);
        if x < band.count[2] && y < band.count[1] && d < band.count[0] {
            let mut q = [d, y, x];
            q[plan.view.axis] += band.from;
            list.push((flat - at, (band.count[2] - x).min(next - flat), place(plan, q)));
        }
        flat = next;
    }
}

/// Lays some blocks of weights out: the weight of a row, channel and tap lies at `row rows + channel channels + taps[tap]`.
///
/// # Safety
/// `from` must reach every weight, and `to` hold the plan's weights.
pub unsafe fn lay<E: Float>(
    plan: &Plan,
    blocks: std::ops::Range<usize>,
    from: *const E,
    (rows, channels): (usize, usize),
    taps: &[usize],
    to: *mut E,
) {
    let r = plan.block.0;
    for block in blocks {
        // SAFETY: the caller's promise.
        unsafe {
            let mut to = to.add(block * r * plan.c * taps.len());
            for c in 0..plan.c {
                for &tap in taps {
                    for row in block * r..(block + 1) * r {
                        *to = if row < plan.o { *from.add(row * rows + c * channels + tap) } else { E::default() };
                        to = to.add(1);
                    }
                }
            }
        }
    }
}
