//! Convolutions by Winograd's products (Lavin and Gray 2016): tiles of six elements along an axis, or six by six, from which
//! several results come by as many products as there are points: of 3 x 3, 16 by 36 in place of 144. Leans on transform and tile.
//!
//! All transforms run over channels, which lie side by side here. A third axis has no tiles: its taps are summed at the points.
//! A dilated convolution is one without dilation of each part of the image that its windows share.

use super::points;
use super::tile::{self, From, Left};
use super::transform::{Place, land, lift, lift_back, tapped, weigh, weigh_back, whole};
use crate::backend::cpu::lanes::{Float, Lanes};
use crate::backend::cpu::{block, isa};

/// Tiles that are done at a time: enough for the weights to be worth their way through the caches.
const LEAST: usize = 32;
const MOST: usize = 128;
/// Channels that are summed at a time; sums of sums lose less than one long sum.
const DEPTH: usize = 64;
/// Values at the points that a task holds at a time.
const NEAR: usize = 1 << 18;

/// A convolution of step 1 of images of `c` channels to `o` channels.
#[derive(Clone, Copy)]
pub struct Plan {
    pub c: usize,
    pub o: usize,
    pub taps: [usize; 3],
    pub dilation: [usize; 3],
    pub size: [usize; 3],
    pub out: [usize; 3],
    pub pad: [isize; 3],
    /// Elements from one image to the next, of the input and of the result.
    pub leap: (usize, usize),
    /// Strips of a slice, slices of an image, and images, that are done at a time.
    pub band: usize,
    pub deep: usize,
    pub group: usize,
}

impl Plan {
    /// Settles how much is done at a time.
    pub fn settle(&mut self) {
        for (dilation, taps) in self.dilation.iter_mut().zip(self.taps) {
            *dilation = if taps == 1 { 1 } else { *dilation };
        }
        let (ys, strip) = (self.strips(1), self.strip());
        let tiles = (NEAR / (self.points() * (self.c + self.o))).clamp(LEAST, MOST);
        let bands = ys.div_ceil((tiles / strip).max(1));
        self.band = ys.div_ceil(bands);
        let slices = if bands == 1 { ((tiles + ys * strip / 2) / (ys * strip)).max(1) } else { 1 };
        self.deep = self.out[0].div_ceil(self.out[0].div_ceil(slices));
        self.group = (slices / self.out[0]).max(1);
    }
    pub fn points(&self) -> usize {
        points::points(self.taps[1]) * points::points(self.taps[2])
    }
    pub fn window(&self) -> usize {
        self.taps.iter().product()
    }
    /// Results that a strip of tiles gives along an axis, and strips along it.
    fn step(&self, axis: usize) -> usize {
        points::results(self.taps[axis]) * self.dilation[axis]
    }
    pub fn strips(&self, axis: usize) -> usize {
        self.out[axis].div_ceil(self.step(axis))
    }
    /// Tiles of a strip: each part of a dilated image has its own.
    fn strip(&self) -> usize {
        self.dilation[1] * self.dilation[2] * self.strips(2)
    }
    /// Tiles of an image.
    pub fn tiles(&self) -> usize {
        self.out[0] * self.strips(1) * self.strip()
    }
    /// Rows of the image that some strips read.
    fn rows(&self, first: usize, last: usize) -> (usize, usize) {
        let at = |row: usize| (row as isize - self.pad[1]).clamp(0, self.size[1] as isize) as usize;
        let low = at(first * self.step(1));
        (low, at(last * self.step(1) + (self.taps[1] - 1) * self.dilation[1]).max(low))
    }
    /// Slices at the points for so many slices of results.
    fn slices(&self, deep: usize) -> usize {
        deep + (self.taps[0] - 1) * self.dilation[0]
    }
    /// Elements that a forward task needs beside its operands.
    pub fn room(&self, lanes: usize) -> usize {
        let (c, o) = (self.c.next_multiple_of(lanes), self.o.next_multiple_of(lanes));
        let tiles = self.group * self.band * self.strip();
        let rows = (self.band * self.step(1) + (self.taps[1] - 1) * self.dilation[1]).min(self.size[1]);
        let results = (self.band * self.step(1)).min(self.out[1]) * self.out[2] * o;
        rows * self.size[2] * c + self.points() * tiles * (self.slices(self.deep) * c + self.deep * o) + results + o
    }
    /// The same of a task of the weight's gradient.
    pub fn room_back(&self, lanes: usize) -> usize {
        self.room(lanes) + self.points() * self.taps[0] * self.c * self.o.next_multiple_of(lanes)
    }
    /// What a task of the weight's gradient gives: `[channel][tap][row]`, and the cotangent's sum for each row.
    pub fn part(&self, lanes: usize) -> usize {
        (self.window() * self.c + 1) * self.o.next_multiple_of(lanes)
    }

    /// Where the tiles of some strips begin among the results, along both axes, and how many results they have there.
    fn places(&self, first: usize, last: usize) -> Vec<Place> {
        let along = |axis: usize, strip: usize| {
            let (dilation, out) = (self.dilation[axis], self.out[axis]);
            (0..dilation).map(move |part| {
                let at = strip * self.step(axis) + part;
                (at, out.saturating_sub(at).div_ceil(dilation).min(points::results(self.taps[axis])))
            })
        };
        let mut list = Vec::with_capacity((last - first) * self.strip());
        for (y, high) in (first..last).flat_map(|strip| along(1, strip)) {
            list.extend((0..self.strips(2)).flat_map(|strip| along(2, strip)).map(|(x, wide)| Place { y, x, high, wide }));
        }
        list
    }
}

/// `[from][to]` of `plane` elements each turned into `[to][pitch]`; what lies between `from` and the pitch becomes 0.
unsafe fn turn(from: *const f32, step: usize, planes: usize, count: usize, to: *mut f32, pitch: usize) {
    // SAFETY: the caller promises `planes` rows of `count` elements, and `count` rows of `pitch` behind `to`.
    unsafe {
        if pitch > planes {
            for p in 0..count {
                to.add(p * pitch + planes).write_bytes(0, pitch - planes);
            }
        }
        block::mover(4)(from.cast(), (1, step as isize), to.cast(), (pitch as isize, 1), count, planes);
    }
}

/// Weights (o, c, taps...) as values at the points, `[point][slice][c][o]`; with `back` those of the gradient in the input,
/// `[point][slice][o][c]` of turned kernels. `some` says for which channels of the middle axis.
///
/// # Safety
/// The operands must hold what is said here, `to` whole vectors of the last axis.
#[inline(always)]
unsafe fn prepare_of<L: Lanes<E = f32>>(p: &Plan, w: *const f32, back: bool, some: (usize, usize), to: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe { tapped!(p, weigh::<L>(p, w, back, some, to)) }
}
per_lanes!(pub static prepare: unsafe fn(plan: &Plan, w: *const f32, back: bool, some: (usize, usize), to: *mut f32) = prepare_of::<f32>);

/// What one call works on: some images, of these some slices and strips of results.
#[derive(Clone, Copy)]
pub struct Task {
    pub from: *const f32,
    /// Weights at the points, or the cotangent.
    pub weights: *const f32,
    /// One number for each channel of the result, or null.
    pub bias: *const f32,
    pub to: *mut f32,
    pub room: *mut f32,
    pub images: usize,
    pub slices: (usize, usize),
    pub strips: (usize, usize),
}

/// The slices of some images that slices of results meet, at the points: `[point][image][slice][tile][channel]`.
#[inline(always)]
unsafe fn lift_all<L: Lanes<E = f32>>(p: &Plan, t: &Task, places: &[Place], lines: *mut f32, to: *mut f32) {
    let (c, wide, deep) = (whole::<L>(p.c), p.size[2], p.slices(t.slices.1 - t.slices.0));
    let (rows, area) = (p.rows(t.strips.0, t.strips.1), p.size.iter().product());
    let (count, tiles) = ((rows.1 - rows.0) * wide, t.images * deep * places.len());
    for (image, slice) in (0..t.images).flat_map(|image| (0..deep).map(move |slice| (image, slice))) {
        // SAFETY: the caller promises the images, and room as `Plan::room` says.
        unsafe {
            let to = to.add((image * deep + slice) * places.len() * c);
            let z = (t.slices.0 + slice) as isize - p.pad[0];
            if z < 0 || z >= p.size[0] as isize {
                for point in 0..p.points() {
                    to.add(point * tiles * c).write_bytes(0, places.len() * c);
                }
                continue;
            }
            turn(t.from.add(image * p.leap.0 + (z as usize * p.size[1] + rows.0) * wide), area, p.c, count, lines, c);
            tapped!(p, lift::<L>(p, lines, rows, places, tiles, to));
        }
    }
}

/// Some strips of some images' results.
#[inline(always)]
unsafe fn forward_of<L: Lanes<E = f32>>(p: &Plan, t: &Task) {
    let (c, o) = (whole::<L>(p.c), whole::<L>(p.o));
    let places = p.places(t.strips.0, t.strips.1);
    let (each, deep, taps) = (places.len(), t.slices.1 - t.slices.0, p.taps[0]);
    let (met, tiles) = (t.images * p.slices(deep) * each, t.images * deep * each);
    let rows = p.rows(t.strips.0, t.strips.1);
    let (high, low) = (t.strips.0 * p.step(1), (t.strips.1 * p.step(1)).min(p.out[1]));
    let offsets: Vec<u32> = (0..p.c).map(|k| (k * o) as u32).collect();
    // Images follow one another at the points where the third axis has one tap.
    let sets = if taps == 1 { 1 } else { t.images };
    // SAFETY: the caller promises a room as large as `Plan::room` says, and operands as the plan has them.
    unsafe {
        let lines = t.room;
        let spread = lines.add((rows.1 - rows.0) * p.size[2] * c);
        let products = spread.add(p.points() * met * c);
        let results = products.add(p.points() * tiles * o);
        let bias = results.add((low - high) * p.out[2] * o);
        lift_all::<L>(p, t, &places, lines, spread);
        for point in 0..p.points() {
            let mut column = 0;
            while column < o {
                let some = tiles / sets;
                let (r, v) = tile::fitting::<L>(some, o - column);
                for (set, z) in (0..sets).flat_map(|set| (0..taps).map(move |z| (set, z))) {
                    let from = spread.add((point * met + met / sets * set + z * p.dilation[0] * each) * c);
                    let to = products.add((point * tiles + some * set) * o + column);
                    let right = t.weights.add((point * taps + z) * p.c * o + column);
                    for (first, k) in (0..p.c).step_by(DEPTH).flat_map(|k| (0..some).step_by(r).map(move |first| (first, k))) {
                        let left = Left::new(from.add(first * c + k), c, 1);
                        let (depth, rows) = (DEPTH.min(p.c - k), r.min(some - first));
                        let begin = if k == 0 && z == 0 { From::Zero } else { From::There };
                        tile::outer::<L>((r, v), depth, left, right.add(k * o), offsets.as_ptr(), to.add(first * o), o, rows, begin);
                    }
                }
                column += v * L::N;
            }
        }
        bias.write_bytes(0, o);
        if !t.bias.is_null() {
            bias.copy_from_nonoverlapping(t.bias, p.o);
        }
        let (space, count) = (p.out.iter().product::<usize>(), (low - high) * p.out[2]);
        for (image, slice) in (0..t.images).flat_map(|image| (0..deep).map(move |slice| (image, slice))) {
            tapped!(p, land::<L>(p, products.add((image * deep + slice) * each * o), high, &places, tiles, bias, results));
            let to = t.to.add(image * p.leap.1 + ((t.slices.0 + slice) * p.out[1] + high) * p.out[2]);
            block::mover(4)(results.cast(), (1, o as isize), to.cast(), (space as isize, 1), p.o, count);
        }
    }
}
per_lanes!(pub static forward: unsafe fn(plan: &Plan, task: &Task) = forward_of::<f32>);

/// What some images give to the gradients in weight and bias: `from` is the first image, `weights` the first cotangent.
#[inline(always)]
unsafe fn backward_of<L: Lanes<E = f32>>(p: &Plan, t: &Task) {
    let (c, o, taps) = (whole::<L>(p.c), whole::<L>(p.o), p.taps[0]);
    let (ys, space) = (p.strips(1), p.out.iter().product::<usize>());
    let offsets: Vec<u32> = (0..p.group * p.deep * p.band * p.strip()).map(|k| (k * o) as u32).collect();
    // SAFETY: the caller promises a room as large as `Plan::room_back` says, and operands as the plan has them.
    unsafe {
        let sums = t.room;
        sums.write_bytes(0, p.points() * taps * p.c * o);
        let totals = t.to.add(p.window() * p.c * o);
        totals.write_bytes(0, o);
        for (begin, front, first) in (0..t.images)
            .step_by(p.group)
            .flat_map(|i| (0..p.out[0]).step_by(p.deep).flat_map(move |z| (0..ys).step_by(p.band).map(move |y| (i, z, y))))
        {
            let (images, back, last) = (p.group.min(t.images - begin), p.out[0].min(front + p.deep), ys.min(first + p.band));
            let places = p.places(first, last);
            let (each, deep) = (places.len(), back - front);
            let (met, tiles) = (images * p.slices(deep) * each, images * deep * each);
            let rows = p.rows(first, last);
            let (high, low) = (first * p.step(1), (last * p.step(1)).min(p.out[1]));
            let count = (low - high) * p.out[2];
            let lines = sums.add(p.points() * taps * p.c * o);
            let spread = lines.add((rows.1 - rows.0) * p.size[2] * c);
            let others = spread.add(p.points() * met * c);
            let grads = others.add(p.points() * tiles * o);
            let part = Task { from: t.from.add(begin * p.leap.0), images, slices: (front, back), strips: (first, last), ..*t };
            lift_all::<L>(p, &part, &places, lines, spread);
            for (image, slice) in (0..images).flat_map(|image| (0..deep).map(move |slice| (image, slice))) {
                let from = t.weights.add((begin + image) * p.leap.1 + ((front + slice) * p.out[1] + high) * p.out[2]);
                turn(from, space, p.o, count, grads, o);
                for v in (0..o).step_by(L::N) {
                    let mut sum = L::zero();
                    for k in 0..count {
                        sum = sum.add(L::load(grads.add(k * o + v)));
                    }
                    L::load(totals.add(v)).add(sum).store(totals.add(v));
                }
                tapped!(p, lift_back::<L>(p, grads, high, &places, tiles, others.add((image * deep + slice) * each * o)));
            }
            let sets = if taps == 1 { 1 } else { images };
            let some = tiles / sets;
            for point in 0..p.points() {
                let mut column = 0;
                while column < o {
                    let (r, v) = tile::fitting::<L>(p.c, o - column);
                    for (set, z) in (0..sets).flat_map(|set| (0..taps).map(move |z| (set, z))) {
                        let from = spread.add((point * met + met / sets * set + z * p.dilation[0] * each) * c);
                        let right = others.add((point * tiles + some * set) * o + column);
                        for row in (0..p.c).step_by(r) {
                            let left = Left::new(from.add(row), 1, c);
                            let out = sums.add(((point * taps + z) * p.c + row) * o + column);
                            tile::outer::<L>((r, v), some, left, right, offsets.as_ptr(), out, o, r.min(p.c - row), From::There);
                        }
                    }
                    column += v * L::N;
                }
            }
        }
        tapped!(p, weigh_back::<L>(p, sums, t.to));
    }
}
per_lanes!(pub static backward: unsafe fn(plan: &Plan, task: &Task) = backward_of::<f32>);

/// Lanes of a vector of this machine.
pub fn lanes() -> usize {
    const LANES: [usize; 3] = [<<f32 as Float>::Plain as Lanes>::N, <<f32 as Float>::V3 as Lanes>::N, <<f32 as Float>::V4 as Lanes>::N];
    LANES[isa::level()]
}
