//! Convolutions of 3 x 3 by Winograd's products (Lavin and Gray 2016): tiles of 6 x 6 elements, from which 16 results come
//! by 36 products in place of 144. Leans on tile, lanes and block.
//!
//! The points are 0, 3/4, -3/4, 3/2, -3/2 and infinity: their squares and products are exact in binary, and the error
//! is a quarter of that of the usual 0, 1, -1, 2, -2. All transforms run over channels, which lie side by side here.

use super::tile::{self, From, Left};
use crate::backend::cpu::lanes::{Float, Lanes};
use crate::backend::cpu::{block, isa};

/// Results of a tile along each axis, elements that it reads, and its products.
pub const OUT: usize = 4;
const SIDE: usize = 6;
pub const POINTS: usize = SIDE * SIDE;

const A: f64 = 0.75;
const B: f64 = 1.5;
const A2: f64 = A * A;
const B2: f64 = B * B;

/// Tiles that are done at a time: enough for the weights to be worth their way through the caches.
const LEAST: usize = 32;
const MOST: usize = 128;
/// Channels that are summed at a time; sums of sums lose less than one long sum.
const DEPTH: usize = 64;
/// Values at the points that a task holds at a time.
const NEAR: usize = 1 << 18;

/// A convolution of images of `c` channels and (h, w) to `o` channels and (oh, ow).
pub struct Plan {
    pub c: usize,
    pub o: usize,
    pub size: [usize; 2],
    pub out: [usize; 2],
    pub pad: [isize; 2],
    /// Elements from one image to the next, of the input and of the result.
    pub leap: (usize, usize),
    /// Tile rows of an image, and images, that are done at a time.
    pub band: usize,
    pub group: usize,
}

fn whole<L: Lanes>(n: usize) -> usize {
    n.next_multiple_of(L::N)
}

impl Plan {
    /// Settles how much is done at a time.
    pub fn settle(&mut self) {
        let [ys, xs] = self.tiles();
        let tiles = (NEAR / (POINTS * (self.c + self.o))).clamp(LEAST, MOST);
        let bands = ys.div_ceil((tiles / xs).max(1));
        self.band = ys.div_ceil(bands);
        self.group = if bands == 1 { ((tiles + ys * xs / 2) / (ys * xs)).max(1) } else { 1 };
    }
    /// Tiles along each axis.
    pub fn tiles(&self) -> [usize; 2] {
        [self.out[0].div_ceil(OUT), self.out[1].div_ceil(OUT)]
    }
    /// Rows of the image that a band of tile rows reads.
    fn rows(&self, first: usize, last: usize) -> (usize, usize) {
        let at = |t: usize, more: usize| ((t * OUT + more) as isize - self.pad[0]).clamp(0, self.size[0] as isize) as usize;
        (at(first, 0), at(last - 1, SIDE).max(at(first, 0)))
    }
    /// Elements that a forward task needs beside its operands.
    pub fn room(&self, lanes: usize) -> usize {
        let (c, o) = (self.c.next_multiple_of(lanes), self.o.next_multiple_of(lanes));
        let tiles = self.group * self.band * self.tiles()[1];
        let rows = (self.band * OUT + 2).min(self.size[0]);
        rows * self.size[1] * c + POINTS * tiles * (c + o) + (self.band * OUT).min(self.out[0]) * self.out[1] * o + o
    }
    /// The same of a task of the weight's gradient.
    pub fn room_back(&self, lanes: usize) -> usize {
        self.room(lanes) + POINTS * self.c * self.o.next_multiple_of(lanes)
    }
    /// What a task of the weight's gradient gives: `[channel][tap][row]`, and the cotangent's sum for each row.
    pub fn part(&self, lanes: usize) -> usize {
        (9 * self.c + 1) * self.o.next_multiple_of(lanes)
    }
}

/// Six elements of a line to the values at the six points.
#[inline(always)]
fn spread<L: Lanes>(d: [L; 6]) -> [L; 6]
where
    L::E: Real,
{
    let k = |x: f64| L::splat(L::E::of(x));
    let first = d[4].madd(k(A2 * B2), d[0]).madd(k(-(A2 + B2)), d[2]);
    let last = d[5].madd(k(A2 * B2), d[1]).madd(k(-(A2 + B2)), d[3]);
    let (even, odd) = (d[4].madd(k(-B2), d[2]), d[3].madd(k(-B2), d[1]).mul(k(A)));
    let (even2, odd2) = (d[4].madd(k(-A2), d[2]), d[3].madd(k(-A2), d[1]).mul(k(B)));
    [first, even.add(odd), even.sub(odd), even2.add(odd2), even2.sub(odd2), last]
}

/// The values at the six points to four results.
#[inline(always)]
fn gather<L: Lanes>(m: [L; 6]) -> [L; 4]
where
    L::E: Real,
{
    let k = |x: f64| L::splat(L::E::of(x));
    let (s, d) = (m[1].add(m[2]), m[1].sub(m[2]));
    let (s2, d2) = (m[3].add(m[4]), m[3].sub(m[4]));
    [m[0].add(s).add(s2), d.mul(k(A)).madd(k(B), d2), s.mul(k(A2)).madd(k(B2), s2), m[5].madd(k(A * A2), d).madd(k(B * B2), d2)]
}

/// The transpose of `gather`: four cotangents to the six points.
#[inline(always)]
fn gather_back<L: Lanes>(g: [L; 4]) -> [L; 6]
where
    L::E: Real,
{
    let k = |x: f64| L::splat(L::E::of(x));
    let (even, odd) = (g[0].madd(k(A2), g[2]), g[1].mul(k(A)).madd(k(A * A2), g[3]));
    let (even2, odd2) = (g[0].madd(k(B2), g[2]), g[1].mul(k(B)).madd(k(B * B2), g[3]));
    [g[0], even.add(odd), even.sub(odd), even2.add(odd2), even2.sub(odd2), g[3]]
}

const FA: f64 = 2.0 * A2 * (A2 - B2);
const FB: f64 = 2.0 * B2 * (B2 - A2);

/// Three weights of a line to the six points.
#[inline(always)]
fn weigh<L: Lanes>(w: [L; 3]) -> [L; 6]
where
    L::E: Real,
{
    let k = |x: f64| L::splat(L::E::of(x));
    let (even, odd) = (w[0].mul(k(1.0 / FA)).madd(k(A2 / FA), w[2]), w[1].mul(k(A / FA)));
    let (even2, odd2) = (w[0].mul(k(1.0 / FB)).madd(k(B2 / FB), w[2]), w[1].mul(k(B / FB)));
    [w[0].mul(k(1.0 / (A2 * B2))), even.add(odd), even.sub(odd), even2.add(odd2), even2.sub(odd2), w[2]]
}

/// Its transpose: the six points to three weights' gradients.
#[inline(always)]
fn weigh_back<L: Lanes>(m: [L; 6]) -> [L; 3]
where
    L::E: Real,
{
    let k = |x: f64| L::splat(L::E::of(x));
    let (s, d) = (m[1].add(m[2]), m[1].sub(m[2]));
    let (s2, d2) = (m[3].add(m[4]), m[3].sub(m[4]));
    [
        m[0].mul(k(1.0 / (A2 * B2))).madd(k(1.0 / FA), s).madd(k(1.0 / FB), s2),
        d.mul(k(A / FA)).madd(k(B / FB), d2),
        m[5].madd(k(A2 / FA), s).madd(k(B2 / FB), s2),
    ]
}

/// A float that constants are written in.
pub trait Real: Float {
    fn of(x: f64) -> Self;
}
impl Real for f32 {
    #[inline(always)]
    fn of(x: f64) -> f32 {
        x as f32
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

/// Weights (o, c, 3, 3) as values at the points, `[point][c][o]`; with `back` those of the gradient in the input,
/// `[point][o][c]` of turned kernels. `some` says for which channels of the middle axis.
///
/// # Safety
/// The operands must hold what is said here, `to` whole vectors of the last axis.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "what is written runs across")]
unsafe fn prepare_of<L: Lanes<E = f32>>(w: *const f32, o: usize, c: usize, back: bool, some: (usize, usize), to: *mut f32) {
    let (depth, wide) = if back { (o, c) } else { (c, o) };
    let pitch = whole::<L>(wide);
    let mut lines = vec![0.0f32; 9 * pitch];
    let (along, across) = if back { (9 * c, 9) } else { (9, 9 * c) };
    // SAFETY: the caller's promise.
    unsafe {
        for k in some.0..some.1 {
            block::mover(4)(w.add(k * along).cast(), (1, across as isize), lines.as_mut_ptr().cast(), (pitch as isize, 1), 9, wide);
            for v in (0..pitch).step_by(L::N) {
                let mut half = [[L::zero(); 3]; 6];
                for x in 0..3 {
                    let mut column = [L::zero(); 3];
                    for (y, cell) in column.iter_mut().enumerate() {
                        let at = if back { (2 - y) * 3 + 2 - x } else { y * 3 + x };
                        *cell = L::load(lines.as_ptr().add(at * pitch + v));
                    }
                    for (y, &value) in weigh(column).iter().enumerate() {
                        half[y][x] = value;
                    }
                }
                for (y, row) in half.iter().enumerate() {
                    for (x, value) in weigh(*row).iter().enumerate() {
                        value.store(to.add(((y * SIDE + x) * depth + k) * pitch + v));
                    }
                }
            }
        }
    }
}
per_lanes!(pub static prepare: unsafe fn(w: *const f32, o: usize, c: usize, back: bool, some: (usize, usize), to: *mut f32) = prepare_of::<f32>);

/// The tiles of some rows of an image `[row][column][channel]` at the points, `[point][tile][channel]`.
#[inline(always)]
#[allow(clippy::needless_range_loop, clippy::too_many_arguments, reason = "what is written runs across")]
unsafe fn points<L: Lanes<E = f32>>(
    from: *const f32,
    channels: usize,
    rows: (usize, usize),
    wide: usize,
    pad: [isize; 2],
    ys: (usize, usize),
    (xs, tiles): (usize, usize),
    to: *mut f32,
) {
    // SAFETY: the caller promises rows `rows` of the image, and room for all the tiles.
    unsafe {
        for ty in ys.0..ys.1 {
            for tx in 0..xs {
                let (top, left) = ((ty * OUT) as isize - pad[0], (tx * OUT) as isize - pad[1]);
                let inside =
                    top >= rows.0 as isize && top + SIDE as isize <= rows.1 as isize && left >= 0 && left + SIDE as isize <= wide as isize;
                let tile = (ty - ys.0) * xs + tx;
                let first = ((top - rows.0 as isize) * wide as isize + left) * channels as isize;
                for v in (0..channels).step_by(L::N) {
                    let mut half = [[L::zero(); 6]; 6];
                    for x in 0..SIDE {
                        let mut column = [L::zero(); 6];
                        for (y, cell) in column.iter_mut().enumerate() {
                            let there = inside || {
                                let (row, at) = (top + y as isize, left + x as isize);
                                row >= rows.0 as isize && row < rows.1 as isize && at >= 0 && at < wide as isize
                            };
                            if there {
                                *cell = L::load(from.offset(first + ((y * wide + x) * channels + v) as isize));
                            }
                        }
                        for (y, &value) in spread(column).iter().enumerate() {
                            half[y][x] = value;
                        }
                    }
                    for (y, row) in half.iter().enumerate() {
                        for (x, value) in spread(*row).iter().enumerate() {
                            value.store(to.add(((y * SIDE + x) * tiles + tile) * channels + v));
                        }
                    }
                }
            }
        }
    }
}

/// What one call works on: some images, and some of their tile rows.
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
    pub ys: (usize, usize),
}

/// Some tile rows of some images' results.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "what is written runs across")]
unsafe fn forward_of<L: Lanes<E = f32>>(p: &Plan, t: &Task) {
    let (c, o) = (whole::<L>(p.c), whole::<L>(p.o));
    let ([_, xs], wide) = (p.tiles(), p.size[1]);
    let each = (t.ys.1 - t.ys.0) * xs;
    let tiles = each * t.images;
    let rows = p.rows(t.ys.0, t.ys.1);
    let count = (rows.1 - rows.0) * wide;
    let (high, low) = (t.ys.0 * OUT, (t.ys.1 * OUT).min(p.out[0]));
    let offsets: Vec<u32> = (0..p.c).map(|k| (k * o) as u32).collect();
    // SAFETY: the caller promises a room as large as `Plan::room` says, and operands as the plan has them.
    unsafe {
        let lines = t.room;
        let spread = lines.add(count * c);
        let products = spread.add(POINTS * tiles * c);
        let results = products.add(POINTS * tiles * o);
        let bias = results.add((low - high) * p.out[1] * o);
        for image in 0..t.images {
            turn(t.from.add(image * p.leap.0 + rows.0 * wide), p.size[0] * wide, p.c, count, lines, c);
            points::<L>(lines, c, rows, wide, p.pad, t.ys, (xs, tiles), spread.add(image * each * c));
        }
        for point in 0..POINTS {
            let mut column = 0;
            while column < o {
                let (r, v) = tile::fitting::<L>(tiles, o - column);
                for (first, k) in (0..p.c).step_by(DEPTH).flat_map(|k| (0..tiles).step_by(r).map(move |first| (first, k))) {
                    let left = Left::new(spread.add((point * tiles + first) * c + k), c, 1);
                    let right = t.weights.add((point * p.c + k) * o + column);
                    let out = products.add((point * tiles + first) * o + column);
                    let (depth, rows) = (DEPTH.min(p.c - k), r.min(tiles - first));
                    let from = if k == 0 { From::Zero } else { From::There };
                    tile::outer::<L>((r, v), depth, left, right, offsets.as_ptr(), out, o, rows, from);
                }
                column += v * L::N;
            }
        }
        bias.write_bytes(0, o);
        if !t.bias.is_null() {
            bias.copy_from_nonoverlapping(t.bias, p.o);
        }
        for image in 0..t.images {
            for (ty, tx) in (t.ys.0..t.ys.1).flat_map(|ty| (0..xs).map(move |tx| (ty, tx))) {
                let tile = image * each + (ty - t.ys.0) * xs + tx;
                let (deep, long) = (OUT.min(p.out[0] - ty * OUT), OUT.min(p.out[1] - tx * OUT));
                let to = results.add(((ty * OUT - high) * p.out[1] + tx * OUT) * o);
                for v in (0..o).step_by(L::N) {
                    let more = L::load(bias.add(v));
                    let mut half = [[L::zero(); 6]; 4];
                    for x in 0..SIDE {
                        let mut column = [L::zero(); 6];
                        for (y, cell) in column.iter_mut().enumerate() {
                            *cell = L::load(products.add(((y * SIDE + x) * tiles + tile) * o + v));
                        }
                        for (y, &value) in gather(column).iter().enumerate() {
                            half[y][x] = value;
                        }
                    }
                    for (y, row) in half.iter().enumerate() {
                        for (x, &value) in gather(*row).iter().enumerate() {
                            if y < deep && x < long {
                                value.add(more).store(to.add((y * p.out[1] + x) * o + v));
                            }
                        }
                    }
                }
            }
            let (area, count) = (p.out[0] * p.out[1], (low - high) * p.out[1]);
            let to = t.to.add(image * p.leap.1 + high * p.out[1]);
            block::mover(4)(results.cast(), (1, o as isize), to.cast(), (area as isize, 1), p.o, count);
        }
    }
}
per_lanes!(pub static forward: unsafe fn(plan: &Plan, task: &Task) = forward_of::<f32>);

/// What some images give to the gradients in weight and bias: `from` is the first image, `weights` the first cotangent.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "what is written runs across")]
unsafe fn backward_of<L: Lanes<E = f32>>(p: &Plan, t: &Task) {
    let (c, o) = (whole::<L>(p.c), whole::<L>(p.o));
    let ([ys, xs], wide) = (p.tiles(), p.size[1]);
    let (area, space) = (p.size[0] * wide, p.out[0] * p.out[1]);
    let offsets: Vec<u32> = (0..p.group * p.band * xs).map(|k| (k * o) as u32).collect();
    // SAFETY: the caller promises a room as large as `Plan::room_back` says, and operands as the plan has them.
    unsafe {
        let sums = t.room;
        sums.write_bytes(0, POINTS * p.c * o);
        let totals = t.to.add(9 * p.c * o);
        totals.write_bytes(0, o);
        let steps = (0..t.images).step_by(p.group).flat_map(|i| (0..ys).step_by(p.band).map(move |y| (i, y)));
        for (begin, first) in steps {
            let (images, last) = (p.group.min(t.images - begin), ys.min(first + p.band));
            let each = (last - first) * xs;
            let tiles = images * each;
            let rows = p.rows(first, last);
            let (high, low) = (first * OUT, (last * OUT).min(p.out[0]));
            let (count, places) = ((rows.1 - rows.0) * wide, (low - high) * p.out[1]);
            let lines = sums.add(POINTS * p.c * o);
            let spread = lines.add(count * c);
            let others = spread.add(POINTS * tiles * c);
            let grads = others.add(POINTS * tiles * o);
            for image in 0..images {
                let at = begin + image;
                turn(t.from.add(at * p.leap.0 + rows.0 * wide), area, p.c, count, lines, c);
                points::<L>(lines, c, rows, wide, p.pad, (first, last), (xs, tiles), spread.add(image * each * c));
                turn(t.weights.add(at * p.leap.1 + high * p.out[1]), space, p.o, places, grads, o);
                for v in (0..o).step_by(L::N) {
                    let mut sum = L::zero();
                    for k in 0..places {
                        sum = sum.add(L::load(grads.add(k * o + v)));
                    }
                    L::load(totals.add(v)).add(sum).store(totals.add(v));
                }
                for (ty, tx) in (first..last).flat_map(|ty| (0..xs).map(move |tx| (ty, tx))) {
                    let tile = image * each + (ty - first) * xs + tx;
                    let (deep, long) = (OUT.min(p.out[0] - ty * OUT), OUT.min(p.out[1] - tx * OUT));
                    let from = grads.add(((ty * OUT - high) * p.out[1] + tx * OUT) * o);
                    for v in (0..o).step_by(L::N) {
                        let mut half = [[L::zero(); 4]; 6];
                        for x in 0..OUT {
                            let mut column = [L::zero(); 4];
                            for (y, cell) in column.iter_mut().enumerate() {
                                if y < deep && x < long {
                                    *cell = L::load(from.add((y * p.out[1] + x) * o + v));
                                }
                            }
                            for (y, &value) in gather_back(column).iter().enumerate() {
                                half[y][x] = value;
                            }
                        }
                        for (y, row) in half.iter().enumerate() {
                            for (x, value) in gather_back(*row).iter().enumerate() {
                                value.store(others.add(((y * SIDE + x) * tiles + tile) * o + v));
                            }
                        }
                    }
                }
            }
            for point in 0..POINTS {
                let mut column = 0;
                while column < o {
                    let (r, v) = tile::fitting::<L>(p.c, o - column);
                    for row in (0..p.c).step_by(r) {
                        let left = Left::new(spread.add(point * tiles * c + row), 1, c);
                        let right = others.add(point * tiles * o + column);
                        let out = sums.add((point * p.c + row) * o + column);
                        tile::outer::<L>((r, v), tiles, left, right, offsets.as_ptr(), out, o, r.min(p.c - row), From::There);
                    }
                    column += v * L::N;
                }
            }
        }
        for row in 0..p.c {
            for v in (0..o).step_by(L::N) {
                let mut half = [[L::zero(); 6]; 3];
                for x in 0..SIDE {
                    let mut column = [L::zero(); 6];
                    for (y, cell) in column.iter_mut().enumerate() {
                        *cell = L::load(sums.add(((y * SIDE + x) * p.c + row) * o + v));
                    }
                    for (y, &value) in weigh_back(column).iter().enumerate() {
                        half[y][x] = value;
                    }
                }
                for (y, row_of) in half.iter().enumerate() {
                    for (x, value) in weigh_back(*row_of).iter().enumerate() {
                        value.store(t.to.add((row * 9 + y * 3 + x) * o + v));
                    }
                }
            }
        }
    }
}
per_lanes!(pub static backward: unsafe fn(plan: &Plan, task: &Task) = backward_of::<f32>);

/// Lanes of a vector of this machine.
pub fn lanes() -> usize {
    const LANES: [usize; 3] = [<<f32 as Float>::Plain as Lanes>::N, <<f32 as Float>::V3 as Lanes>::N, <<f32 as Float>::V4 as Lanes>::N];
    LANES[isa::level()]
}
