//! Convolutions, and their gradients in the input, with many rows of weights: what some dozens of windows meet is laid side by
//! side near the processor, whichever rows and images it comes from, and all the weights go over it. Leans on tile, band and lanes.

use super::band::{Band, View};
use super::tile::{self, From, Left};
use crate::backend::cpu::lanes::{At, Float, Lanes, fetch_far};
use std::ops::Range;

/// Products that are summed at a time.
const DEPTH: usize = 288;
/// Vectors of windows that they are made for where lanes can be read alone.
const WIDE: usize = 3;
/// Panels that weights go over while they are near, and bytes of sums that are kept for them.
const GROUP: usize = 4;
const SUMS: usize = 400 << 10;
/// Rows of weights from which it pays to lay windows side by side.
pub const LEAST: usize = 32;
/// Blocks of windows that a task takes at most where nothing is copied.
const MOST: usize = 16;
/// Bytes of a line of the caches, and lines of weights that are asked for before they are read in order.
const LINE: usize = 64;
const AHEAD: usize = 24;

/// The results at places `first + q leap` of the windows q: which taps meet them, and which of the view's taps these are.
pub struct Part {
    pub first: [usize; 3],
    pub taps: Vec<usize>,
    pub met: Vec<usize>,
    /// Where the elements of each channel and tap lie in a panel.
    offsets: Vec<u32>,
}

impl Part {
    pub fn new(first: [usize; 3], taps: Vec<usize>, met: Vec<usize>) -> Part {
        Part { first, taps, met, offsets: Vec::new() }
    }
}

/// What is computed of one group and image, or of all images where they are the view's first axis: `o` rows from `c` channels.
pub struct Plan {
    pub c: usize,
    pub o: usize,
    pub view: View,
    pub parts: Vec<Part>,
    pub out: [usize; 3],
    pub leap: [usize; 3],
    /// Whether the parts go in pairs whose results stand by turns in one row.
    pub woven: bool,
    /// Elements from one row, and from one step of the first axis, to the next of the result.
    pub pitch: (usize, usize),
    /// Windows of a band along the view's axis, images that are done one by one, tasks to be had, and rows of a task.
    pub band: usize,
    pub images: usize,
    pub tasks: usize,
    pub rows: usize,
    /// Rows and vectors of a block of products, and lanes of a vector.
    pub block: usize,
    pub vectors: usize,
    pub lanes: usize,
    pub bytes: usize,
    pub cuts: Vec<Cut>,
}

/// Some windows of a block: the first one's number there, how many, and where the first one stands. Of a pair of parts, as many
/// of the second one as `more`.
#[derive(Clone, Copy)]
struct Run {
    begin: usize,
    n: usize,
    more: usize,
    place: usize,
}

struct Block {
    long: usize,
    sources: Vec<Run>,
    /// The same for each vector of a panel: what its lanes are added to, and which come from there; as many for each.
    pieces: Vec<(isize, u32)>,
    /// For each part.
    results: Vec<Vec<Run>>,
    /// Where the result of the first window stands, if those of the others follow it and fill their vectors.
    direct: Option<usize>,
}

/// The windows of a task: a band that is copied, or windows that meet the image where it lies.
pub struct Cut {
    band: Option<Band>,
    /// How far every tap of every channel lies from the windows' places.
    offsets: Vec<usize>,
    blocks: Vec<Block>,
}

/// One cut of one image and group.
#[derive(Clone, Copy)]
pub struct Task<E> {
    pub from: *const E,
    /// Elements behind `from`.
    pub limit: usize,
    pub weights: *const E,
    pub bias: *const E,
    pub to: *mut E,
    pub room: *mut E,
    pub cut: usize,
    pub rows: (usize, usize),
}

impl Plan {
    fn width(&self) -> usize {
        self.vectors * self.lanes
    }
    /// Channels whose products are summed together.
    fn channels(&self) -> usize {
        self.c.div_ceil((self.c * self.view.taps()).div_ceil(DEPTH))
    }
    /// Elements of weights laid out for the blocks: `[part][block of rows][channel, tap][row]`.
    pub fn weights(&self) -> usize {
        self.o.next_multiple_of(self.block) * self.c * self.parts.iter().map(|p| p.taps.len()).sum::<usize>()
    }
    fn copied(&self) -> usize {
        if self.view.is_whole() { 0 } else { self.c * self.view.band(0, self.band).plane + 2 * self.width() }
    }
    fn panel(&self) -> usize {
        self.channels() * self.view.taps() * self.width()
    }
    /// Sums of a panel.
    fn sums(&self) -> usize {
        self.parts.len() * self.rows.next_multiple_of(self.block) * self.width()
    }
    /// Panels that are multiplied together.
    fn group(&self) -> usize {
        let most = self.cuts.iter().map(|cut| cut.blocks.len()).max().unwrap_or(1);
        (SUMS / (self.sums() * self.bytes)).clamp(1, GROUP.min(most.max(1)))
    }
    /// Elements that a task needs beside its operands.
    pub fn room(&self) -> usize {
        self.group() * (self.panel() + self.sums()) + 2 * self.lanes + self.copied()
    }
    /// Multiply-adds of a task.
    pub fn work(&self) -> usize {
        let windows: usize = self.cuts.first().map_or(0, |cut| cut.blocks.iter().map(|b| b.long).sum());
        self.rows * self.c * self.parts.iter().map(|p| p.taps.len()).sum::<usize>() * windows
    }

    fn settle(&mut self) {
        let (width, union, channels) = (self.width(), self.view.taps(), self.channels());
        for part in &mut self.parts {
            part.offsets = (0..channels).flat_map(|c| part.met.iter().map(move |&m| ((c * union + m) * width) as u32)).collect();
        }
        let all = self.view.count[self.view.axis];
        let windows: usize = self.view.count.iter().product();
        self.cuts = if self.view.is_whole() {
            let step = width * windows.div_ceil(width * self.tasks.max(1)).clamp(1, MOST);
            (0..windows).step_by(step).map(|at| self.cut(None, at..windows.min(at + step))).collect()
        } else {
            let bands = (0..all).step_by(self.band).map(|from| self.view.band(from, all.min(from + self.band)));
            bands.map(|band| self.cut(Some(band), 0..band.count.iter().product())).collect()
        };
    }

    fn cut(&self, band: Option<Band>, windows: Range<usize>) -> Cut {
        let width = self.width();
        let blocks = windows.clone().step_by(width).map(|at| self.block(band.as_ref(), at..windows.end.min(at + width))).collect();
        let (plane, shifts) = match &band {
            Some(band) => (band.plane, self.view.offsets(band)),
            None => (self.view.pitch.0, vec![0]),
        };
        let offsets = (0..self.c).flat_map(|c| shifts.iter().map(move |&s| c * plane + s)).collect();
        Cut { band, offsets, blocks }
    }

    fn block(&self, band: Option<&Band>, windows: Range<usize>) -> Block {
        let view = &self.view;
        let (count, len) = band.map_or((view.count, view.size), |b| (b.count, b.len));
        let slice = if band.is_some() { len[1] * len[2] } else { view.pitch.1 };
        let (mut sources, mut results) = (Vec::new(), vec![Vec::new(); self.parts.len()]);
        let mut at = windows.start;
        while at < windows.end {
            let (x, line) = (at % count[2], at / count[2]);
            let mut q = [line / count[1], line % count[1], x];
            let (begin, n) = (at - windows.start, (count[2] - x).min(windows.end - at));
            join(&mut sources, Run { begin, n, more: 0, place: q[0] * slice + q[1] * len[2] + x });
            q[view.axis] += band.map_or(0, |b| b.from);
            for (part, runs) in self.parts.iter().zip(&mut results) {
                let [d, y, x]: [usize; 3] = std::array::from_fn(|i| part.first[i] + q[i] * self.leap[i]);
                if d < self.out[0] && y < self.out[1] && x < self.out[2] {
                    let rest = |from: usize| n.min((self.out[2].saturating_sub(from)).div_ceil(self.leap[2]));
                    let run = Run { begin, n: rest(x), more: rest(x + 1), place: d * self.pitch.1 + y * self.out[2] + x };
                    if self.leap[2] == 1 { join(runs, run) } else { runs.push(run) }
                }
            }
            at += n;
        }
        let pieces = self.pieces(&sources);
        let long = windows.len();
        let direct = match &results[..] {
            [runs] if long.is_multiple_of(self.lanes) && runs.len() == 1 && self.leap[2] == 1 => {
                runs.first().filter(|run| run.n == long).map(|run| run.place)
            }
            _ => None,
        };
        Block { long, sources, pieces, results, direct }
    }

    fn pieces(&self, sources: &[Run]) -> Vec<(isize, u32)> {
        let n = self.lanes;
        let mut lists = vec![Vec::new(); self.vectors];
        for (v, list) in lists.iter_mut().enumerate() {
            for run in sources {
                let (low, high) = (run.begin.max(v * n), (run.begin + run.n).min((v + 1) * n));
                if low < high {
                    let mask = (1u32 << (high - v * n)) - (1 << (low - v * n));
                    list.push(((run.place + v * n) as isize - run.begin as isize, mask));
                }
            }
        }
        let most = lists.iter().map(Vec::len).max().unwrap_or(0);
        lists.into_iter().flat_map(|list| list.into_iter().chain(std::iter::repeat((0, 0))).take(most)).collect()
    }
}

/// Lengthens the last run, if the next one goes on where it ends.
fn join(list: &mut Vec<Run>, run: Run) {
    match list.last_mut() {
        Some(last) if last.begin + last.n == run.begin && last.place + last.n == run.place => last.n += run.n,
        _ => list.push(run),
    }
}

/// Settles a plan's blocks and cuts for the instruction set.
#[inline(always)]
unsafe fn settle_of<L: Lanes>(plan: &mut Plan) {
    (plan.lanes, plan.bytes) = (L::N, size_of::<L::E>());
    (plan.block, plan.vectors) = (tile::panel_rows::<L>(), tile::panel_vectors::<L>());
    // A task begins where a block of rows does.
    plan.rows = plan.rows.next_multiple_of(plan.block).min(plan.o);
    plan.settle();
}
per_lanes!(pub static settle32: unsafe fn(plan: &mut Plan) = settle_of::<f32>);
per_lanes!(pub static settle64: unsafe fn(plan: &mut Plan) = settle_of::<f64>);

#[inline(always)]
unsafe fn run_of<L: Lanes>(plan: &Plan, task: &Task<L::E>) {
    let cut = &plan.cuts[task.cut];
    let (r, width, union, channels) = (plan.block, plan.width(), plan.view.taps(), plan.channels());
    let (first, last) = task.rows;
    let high = (last - first).next_multiple_of(r);
    let (panel, sums, group) = (plan.panel(), plan.parts.len() * high * width, plan.group());
    let pair = if plan.woven { 2 } else { 1 };
    // SAFETY: the caller promises operands as the plan has them, and a room as large as `Plan::room` says.
    unsafe {
        let panels = task.room;
        let totals = panels.add(group * panel + plan.lanes);
        let copy = totals.add(group * plan.sums() + plan.lanes);
        let (mut source, mut limit) = (task.from, task.limit);
        if let Some(band) = &cut.band {
            plan.view.copy::<L>(band, task.from, plan.c, copy);
            copy.add(plan.c * band.plane).write_bytes(0, 2 * width);
            (source, limit) = (copy.cast_const(), plan.copied());
        }
        // What fills a panel up is multiplied too, if never kept.
        panels.write_bytes(0, group * panel + plan.lanes);
        for (b, blocks) in cut.blocks.chunks(group).enumerate() {
            for c in (0..plan.c).step_by(channels) {
                let some = channels.min(plan.c - c);
                let whole = c + some == plan.c;
                let offsets = &cut.offsets[c * union..(c + some) * union];
                for (g, block) in blocks.iter().enumerate() {
                    let panel = panels.add(g * panel);
                    match (L::MASKED, block.pieces.len() / WIDE) {
                        (true, 1) => gather::<L, 1>(source, offsets, &block.pieces, panel),
                        (true, 2) => gather::<L, 2>(source, offsets, &block.pieces, panel),
                        (true, 3) => gather::<L, 3>(source, offsets, &block.pieces, panel),
                        (true, 4) => gather::<L, 4>(source, offsets, &block.pieces, panel),
                        _ => pack::<L>(source, limit, offsets, &block.sources, panel, width),
                    }
                }
                // What comes next, while this is multiplied: no hardware foresees the leap from plane to plane.
                let (next, ahead) = match (&cut.band, whole) {
                    (Some(_), _) => (&[][..], &[][..]),
                    (None, false) => (blocks, &cut.offsets[c + some..]),
                    (None, true) => (cut.blocks.get((b + 1) * group..).unwrap_or(&[]), &cut.offsets[..]),
                };
                let share = (channels * r).div_ceil(high);
                let mut weights = task.weights;
                for (k, part) in plan.parts.iter().enumerate() {
                    let taps = part.taps.len();
                    for row in (first..last).step_by(r) {
                        let left = Left::new(weights.add(row * plan.c * taps + c * taps * r), 1, r);
                        let rows = r.min(last - row);
                        let from = match c {
                            0 if task.bias.is_null() => From::Zero,
                            0 => From::Rows(task.bias.add(row)),
                            _ => From::There,
                        };
                        // The next block's weights begin elsewhere.
                        for line in 0..AHEAD {
                            fetch_far(left.at.wrapping_add(plan.c * taps * r + line * (LINE / size_of::<L::E>())));
                        }
                        for (g, block) in blocks.iter().enumerate() {
                            let at = (row - first) / r * share;
                            for run in next.get(g).map_or(&[][..], |next| &next.sources) {
                                for &offset in ahead.iter().take(channels).skip(at).take(share) {
                                    for i in (0..run.n).step_by(LINE / size_of::<L::E>()) {
                                        fetch_far(source.wrapping_add(offset + run.place + i));
                                    }
                                }
                            }
                            let sums = totals.add(g * sums);
                            let (to, pitch) = match block.direct {
                                Some(place) => (task.to.add(row * plan.pitch.0 + place), plan.pitch.0),
                                None => (sums.add((k * high + row - first) * width), width),
                            };
                            let panel = panels.add(g * panel);
                            tile::panel::<L>(
                                (tile::panel_rows::<L>(), block.long.div_ceil(L::N)),
                                some * taps,
                                left,
                                panel,
                                part.offsets.as_ptr(),
                                to,
                                pitch,
                                rows,
                                from,
                            );
                            if whole && block.direct.is_none() && k % pair + 1 == pair {
                                let sums = sums.add(((k + 1 - pair) * high + row - first) * width);
                                put::<L>(plan, &block.results[k + 1 - pair], sums, high, rows, task.to.add(row * plan.pitch.0));
                            }
                        }
                    }
                    weights = weights.add(plan.o.next_multiple_of(r) * plan.c * taps);
                }
            }
        }
    }
}
per_lanes!(pub static run32: unsafe fn(plan: &Plan, task: &Task<f32>) = run_of::<f32>);
per_lanes!(pub static run64: unsafe fn(plan: &Plan, task: &Task<f64>) = run_of::<f64>);

/// `to[p][..] = from[offsets[p]..]` at the windows' places, of which every vector has at most `MANY` runs.
#[inline(always)]
unsafe fn gather<L: Lanes, const MANY: usize>(from: *const L::E, offsets: &[usize], pieces: &[(isize, u32)], to: *mut L::E) {
    let mut list = [[(0, 0); MANY]; WIDE];
    for (k, &piece) in pieces.iter().enumerate().take(WIDE * MANY) {
        list[k / MANY][k % MANY] = piece;
    }
    let mut to = to;
    for &offset in offsets {
        let from = from.wrapping_add(offset);
        for pieces in &list {
            // SAFETY: the caller promises the windows' elements, and the panel's room.
            unsafe {
                let mut vector = L::zero();
                for &(place, mask) in pieces {
                    vector = L::load_where(from.wrapping_offset(place), mask, vector);
                }
                vector.store(to);
                to = to.add(L::N);
            }
        }
    }
}

/// The same for any runs. What a vector writes too much is written again, but for the last.
#[inline(always)]
unsafe fn pack<L: Lanes>(from: *const L::E, limit: usize, offsets: &[usize], sources: &[Run], to: *mut L::E, width: usize) {
    for (p, &offset) in offsets.iter().enumerate() {
        for run in sources {
            // SAFETY: the caller promises the windows' elements, and a vector's room behind the last row.
            unsafe {
                let (at, to) = (offset + run.place, to.add(p * width + run.begin));
                if at + run.n.next_multiple_of(L::N) <= limit {
                    let mut k = 0;
                    while k < run.n {
                        L::load(from.add(at + k)).store(to.add(k));
                        k += L::N;
                    }
                } else {
                    to.copy_from_nonoverlapping(from.add(at), run.n);
                }
            }
        }
    }
}

/// Brings some rows of sums to where they stand in the result; the other one of a pair lies `high` rows further on.
#[inline(always)]
unsafe fn put<L: Lanes>(plan: &Plan, runs: &[Run], sums: *const L::E, high: usize, rows: usize, to: *mut L::E) {
    let width = plan.width();
    for row in 0..rows {
        // SAFETY: the caller promises sums of the part or pair, and the result's rows.
        unsafe {
            let (from, to) = (sums.add(row * width), to.add(row * plan.pitch.0));
            for run in runs {
                let (from, to) = (from.add(run.begin), to.add(run.place));
                if plan.woven {
                    weave::<L>(from, from.add(high * width), to, run.n, run.more);
                } else if plan.leap[2] == 1 {
                    vectors!(L, run.n, |at| at.store(at.load::<L>(from), to));
                } else {
                    (0..run.n).for_each(|i| *to.add(i * plan.leap[2]) = *from.add(i));
                }
            }
        }
    }
}

/// `n` elements of one list and as many or one less of another, by turns.
#[inline(always)]
unsafe fn weave<L: Lanes>(even: *const L::E, odd: *const L::E, to: *mut L::E, n: usize, more: usize) {
    // SAFETY: the caller's promise; the sums reach a vector beyond the run.
    unsafe {
        for i in (0..n).step_by(L::N) {
            let (low, high) = L::load(even.add(i)).woven(L::load(odd.add(i)));
            let (to, rest) = (to.add(2 * i), n + more - 2 * i);
            At { i: 0, k: rest.min(L::N) }.store(low, to);
            if rest > L::N {
                At { i: L::N, k: (rest - L::N).min(L::N) }.store(high, to);
            }
        }
    }
}

/// Lays blocks of weights out: the weight of a row, channel and tap lies at `row rows + channel channels + tap`.
///
/// # Safety
/// `from` must reach every weight, and `to` hold the plan's weights.
pub unsafe fn lay<E: Float>(plan: &Plan, blocks: Range<usize>, from: *const E, (rows, channels): (usize, usize), to: *mut E) {
    let r = plan.block;
    let mut start = 0;
    for part in &plan.parts {
        let (many, depth) = (part.taps.len(), plan.c * part.taps.len());
        // SAFETY: the caller's promise.
        unsafe {
            let to = to.add(start);
            if blocks.end * r > plan.o {
                to.add((blocks.end - 1) * r * depth).write_bytes(0, r * depth);
            }
            if channels == many {
                // Every tap, in order: each row is one line, and they follow one another.
                for row in blocks.start * r..plan.o.min(blocks.end * r) {
                    let (from, to) = (from.add(row * rows), to.add(row / r * r * depth + row % r));
                    for k in 0..depth {
                        *to.add(k * r) = *from.add(k);
                    }
                }
            } else {
                for block in blocks.clone() {
                    let (from, to) = (from.add(block * r * rows), to.add(block * depth * r));
                    let high = r.min(plan.o - block * r);
                    for (p, from) in (0..plan.c).flat_map(|c| part.taps.iter().map(move |&tap| from.add(c * channels + tap))).enumerate() {
                        for row in 0..high {
                            *to.add(p * r + row) = *from.add(row * rows);
                        }
                    }
                }
            }
        }
        start += plan.o.next_multiple_of(r) * depth;
    }
}
