//! Convolutions, and their gradients in the input, as products of weights with shifted rows of the image: no columns are
//! laid out. Leans on tile, band and lanes.

use super::band::{Band, View};
use super::tile::{self, From, Left};
use crate::backend::cpu::lanes::{Float, Lanes};

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
    /// The bands, once they are settled.
    pub bands: Vec<Cut>,
}

/// A run of windows in a block of places: where it begins there, how long it is, where the result of the first stands.
type Run = (usize, usize, usize);

/// One band: how far every tap of every channel lies from the windows' places, and the runs of each block of places.
pub struct Cut {
    band: Band,
    offsets: Vec<u32>,
    runs: Vec<Vec<Run>>,
    /// Where the result of the first window stands, if those of the others follow it.
    dense: Option<usize>,
}

/// One band of one image and group.
#[derive(Clone, Copy)]
pub struct Task<E> {
    pub from: *const E,
    pub weights: *const E,
    pub bias: *const E,
    pub to: *mut E,
    pub room: *mut E,
    pub band: usize,
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
    fn is_plain(&self, band: &Band) -> bool {
        self.view.is_plain() && band.count == self.view.count
    }

    fn cut(&self, from: usize, to: usize) -> Cut {
        let (view, band) = (&self.view, self.view.band(from, to));
        let plane = if self.is_plain(&band) { view.pitch.0 } else { band.plane };
        let shifts = view.offsets(&band);
        let offsets = (0..self.c).flat_map(|c| shifts.iter().map(move |&s| (c * plane + s) as u32)).collect();
        let whole = band.count[0] == 1 || self.pitch.1 == self.out[1] * self.out[2];
        let inner = (view.axis + 1..3).all(|i| band.count[i] == self.out[i]);
        let dense = whole && inner && view.is_dense(&band) && self.leap == [1; 3] && self.first == [0; 3];
        let mut q = [0; 3];
        q[view.axis] = from;
        let runs = (0..band.flat).step_by(self.width()).map(|at| self.runs(&band, at, self.width().min(band.flat - at))).collect();
        Cut { band, offsets, runs, dense: dense.then(|| self.place(q)) }
    }

    /// Where a window's result stands.
    fn place(&self, q: [usize; 3]) -> usize {
        let at = |i: usize| self.first[i] + q[i] * self.leap[i];
        at(0) * self.pitch.1 + at(1) * self.out[2] + at(2)
    }

    /// The windows among `long` places of a band from `at` on.
    fn runs(&self, band: &Band, at: usize, long: usize) -> Vec<Run> {
        let mut list: Vec<Run> = Vec::new();
        let (mut flat, end) = (at, at + long);
        while flat < end {
            let (x, line) = (flat % band.len[2], flat / band.len[2]);
            let (y, d) = (line % band.len[1], line / band.len[1]);
            let next = (flat - x + band.len[2]).min(end);
            if x < band.count[2] && y < band.count[1] && d < band.count[0] {
                let mut q = [d, y, x];
                q[self.view.axis] += band.from;
                let (n, place) = ((band.count[2] - x).min(next - flat), self.place(q));
                match list.last_mut() {
                    // A row that goes on where the one before ends, here and in the result.
                    Some((begin, long, first)) if self.leap[2] == 1 && *begin + *long == flat - at && *first + *long == place => *long += n,
                    _ => list.push((flat - at, n, place)),
                }
            }
            flat = next;
        }
        list
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
    let all = plan.view.count[plan.view.axis];
    plan.bands = (0..all).step_by(plan.band).map(|from| plan.cut(from, all.min(from + plan.band))).collect();
}
per_lanes!(pub static settle32: unsafe fn(plan: &mut Plan) = settle_of::<f32>);
per_lanes!(pub static settle64: unsafe fn(plan: &mut Plan) = settle_of::<f64>);

#[inline(always)]
unsafe fn run_of<L: Lanes>(plan: &Plan, task: &Task<L::E>) {
    let view = &plan.view;
    let Cut { band, offsets: table, runs, dense } = &plan.bands[task.band];
    let (r, v) = plan.block;
    let width = v * L::N;
    let taps = view.taps();
    let plain = plan.is_plain(band);
    let plane = view.pitch.0;
    let rows = view.shifts[0].len() * view.shifts[1].len();
    let channels = (NEAR / (rows * (width + view.shifts[2].len() + L::N) * size_of::<L::E>())).min(DEPTH / taps).clamp(1, plan.c);
    let space = plan.pitch.0;
    // SAFETY: the caller promises operands as the plan has them, and a room as large as `Plan::room` says.
    unsafe {
        let copy = task.room;
        let sums = copy.add(plan.c * view.band(0, plan.band).plane.max(width) + 2 * width);
        if !plain {
            view.copy::<L>(band, task.from, plan.c, copy);
            copy.add(plan.c * band.plane).write_bytes(0, 2 * width);
        }
        for (at, runs) in (0..band.flat).step_by(width).zip(runs) {
            let long = width.min(band.flat - at);
            let mut right = if plain { task.from } else { copy.cast_const() };
            let mut shift = at;
            let mut offsets = table.as_ptr();
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
            let direct = dense.filter(|_| long == width);
            let (out, pitch) = direct.map_or((sums, width), |start| (task.to.add(start + at), space));
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
            if direct.is_none() {
                for row in 0..plan.o {
                    let (from, to) = (sums.add(row * width), task.to.add(row * space));
                    for &(begin, n, place) in runs {
                        spread::<L>(from.add(begin), to.add(place), n, plan.leap[2]);
                    }
                }
            }
        }
    }
}
per_lanes!(pub static run32: unsafe fn(plan: &Plan, task: &Task<f32>) = run_of::<f32>);
per_lanes!(pub static run64: unsafe fn(plan: &Plan, task: &Task<f64>) = run_of::<f64>);

#[inline(always)]
unsafe fn spread<L: Lanes>(from: *const L::E, to: *mut L::E, n: usize, leap: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if leap == 1 && n >= L::N && n <= 8 * L::N {
            for k in (0..n - L::N).step_by(L::N) {
                L::load(from.add(k)).store(to.add(k));
            }
            // The last vector overlaps the one before.
            L::load(from.add(n - L::N)).store(to.add(n - L::N));
        } else if leap == 1 {
            to.copy_from_nonoverlapping(from, n);
        } else {
            for k in 0..n {
                *to.add(k * leap) = *from.add(k);
            }
        }
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
