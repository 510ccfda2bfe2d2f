//! Images, weights and results of convolutions brought to Winograd's points and back, tile by tile; all of it goes over channels,
//! which lie side by side. Leans on points and lanes.

use super::points::{self, SIDE, fall, rise, spread};
use super::winograd::Plan;
use crate::backend::cpu::block;
use crate::backend::cpu::lanes::Lanes;

pub fn whole<L: Lanes>(n: usize) -> usize {
    n.next_multiple_of(L::N)
}

/// The taps that there are transforms for.
pub fn is_known(taps: [usize; 3]) -> bool {
    matches!((taps[1], taps[2]), (3, 3) | (5, 5) | (1, 3) | (1, 5))
}

/// A function over the taps of a plan's tiles, compiled for each.
macro_rules! tapped {
    ($plan:expr, $name:ident::<L>($($arg:expr),* $(,)?)) => {
        match ($plan.taps[1], $plan.taps[2]) {
            (3, 3) => $name::<L, 3, 3>($($arg),*),
            (5, 5) => $name::<L, 5, 5>($($arg),*),
            (1, 3) => $name::<L, 1, 3>($($arg),*),
            _ => $name::<L, 1, 5>($($arg),*),
        }
    };
}

pub(super) use tapped;

/// A tile: its first result, and how many there are along both axes.
pub struct Place {
    pub y: usize,
    pub x: usize,
    pub high: usize,
    pub wide: usize,
}

/// Weights as values at the points: `winograd::prepare` says how they lie.
///
/// # Safety
/// As there.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "what is written runs across")]
pub unsafe fn weigh<L: Lanes<E = f32>, const H: usize, const W: usize>(
    p: &Plan,
    w: *const f32,
    back: bool,
    some: (usize, usize),
    to: *mut f32,
) {
    let (depth, wide, window) = (p.c, p.o, p.window());
    let pitch = whole::<L>(wide);
    let mut lines = vec![0.0f32; H * W * pitch];
    let (along, across) = if back { (window * wide, window) } else { (window, window * depth) };
    // SAFETY: the caller's promise.
    unsafe {
        for (k, z) in (some.0..some.1).flat_map(|k| (0..p.taps[0]).map(move |z| (k, z))) {
            let from = w.add(k * along + if back { p.taps[0] - 1 - z } else { z } * H * W);
            block::mover(4)(from.cast(), (1, across as isize), lines.as_mut_ptr().cast(), (pitch as isize, 1), H * W, wide);
            let to = to.add((z * depth + k) * pitch);
            for v in (0..pitch).step_by(L::N) {
                let mut half = [[L::zero(); SIDE]; SIDE];
                for x in 0..W {
                    let mut column = [L::zero(); SIDE];
                    for (y, cell) in column.iter_mut().enumerate().take(H) {
                        let at = if back { H * W - 1 - (y * W + x) } else { y * W + x };
                        *cell = L::load(lines.as_ptr().add(at * pitch + v));
                    }
                    let column = if H == 1 { column } else { rise(column, H, true) };
                    for y in 0..points::points(H) {
                        half[y][x] = column[y];
                    }
                }
                for (y, row) in half.iter().enumerate().take(points::points(H)) {
                    let row = if W == 1 { *row } else { rise(*row, W, true) };
                    for (x, value) in row.iter().enumerate().take(points::points(W)) {
                        value.store(to.add((y * points::points(W) + x) * p.taps[0] * depth * pitch + v));
                    }
                }
            }
        }
    }
}

/// The tiles of some rows of an image `[row][column][channel]` at the points, `[point][tile][channel]`.
///
/// # Safety
/// The rows must be there, and room for all the tiles.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "what is written runs across")]
pub unsafe fn lift<L: Lanes<E = f32>, const H: usize, const W: usize>(
    p: &Plan,
    from: *const f32,
    rows: (usize, usize),
    places: &[Place],
    tiles: usize,
    to: *mut f32,
) {
    let channels = whole::<L>(p.c);
    let (wide, [_, dy, dx]) = (p.size[2], p.dilation);
    let (low, end) = (rows.0 as isize, rows.1 as isize);
    let (ends, sides) = ((points::points(H) - 1) * dy, (points::points(W) - 1) * dx);
    // SAFETY: the caller promises rows `rows` of the image, and room for all the tiles.
    unsafe {
        for (tile, place) in places.iter().enumerate() {
            let (top, left) = (place.y as isize - p.pad[1], place.x as isize - p.pad[2]);
            let inside = top >= low && top + (ends as isize) < end && left >= 0 && left + (sides as isize) < wide as isize;
            let first = ((top - low) * wide as isize + left) * channels as isize;
            for v in (0..channels).step_by(L::N) {
                let mut half = [[L::zero(); SIDE]; SIDE];
                for x in 0..points::points(W) {
                    let mut column = [L::zero(); SIDE];
                    for (y, cell) in column.iter_mut().enumerate().take(points::points(H)) {
                        let there = inside || {
                            let (row, at) = (top + (y * dy) as isize, left + (x * dx) as isize);
                            row >= low && row < end && at >= 0 && at < wide as isize
                        };
                        if there {
                            *cell = L::load(from.offset(first + ((y * dy * wide + x * dx) * channels + v) as isize));
                        }
                    }
                    let column = if H == 1 { column } else { spread(column) };
                    for y in 0..points::points(H) {
                        half[y][x] = column[y];
                    }
                }
                for (y, row) in half.iter().enumerate().take(points::points(H)) {
                    let row = if W == 1 { *row } else { spread(*row) };
                    for (x, value) in row.iter().enumerate().take(points::points(W)) {
                        value.store(to.add(((y * points::points(W) + x) * tiles + tile) * channels + v));
                    }
                }
            }
        }
    }
}

/// Products at the points, `[point][tile][channel]`, to rows of results `[row][column][channel]` from row `high` on.
///
/// # Safety
/// The products must be there, a bias for each channel, and room for the rows.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "what is written runs across")]
pub unsafe fn land<L: Lanes<E = f32>, const H: usize, const W: usize>(
    p: &Plan,
    from: *const f32,
    high: usize,
    places: &[Place],
    tiles: usize,
    bias: *const f32,
    to: *mut f32,
) {
    let (o, [_, dy, dx]) = (whole::<L>(p.o), p.dilation);
    // SAFETY: the caller promises products of all the tiles, and room for the rows.
    unsafe {
        for (tile, place) in places.iter().enumerate() {
            let to = to.wrapping_add(((place.y - high) * p.out[2] + place.x) * o);
            for v in (0..o).step_by(L::N) {
                let more = L::load(bias.add(v));
                let mut half = [[L::zero(); SIDE]; SIDE];
                for x in 0..points::points(W) {
                    let mut column = [L::zero(); SIDE];
                    for (y, cell) in column.iter_mut().enumerate().take(points::points(H)) {
                        *cell = L::load(from.add(((y * points::points(W) + x) * tiles + tile) * o + v));
                    }
                    let column = if H == 1 { column } else { fall(column, points::results(H), false) };
                    for y in 0..points::results(H) {
                        half[y][x] = column[y];
                    }
                }
                for (y, row) in half.iter().enumerate().take(points::results(H)) {
                    let row = if W == 1 { *row } else { fall(*row, points::results(W), false) };
                    for (x, &value) in row.iter().enumerate().take(points::results(W)) {
                        if y < place.high && x < place.wide {
                            value.add(more).store(to.add((y * dy * p.out[2] + x * dx) * o + v));
                        }
                    }
                }
            }
        }
    }
}

/// The transpose of `land`: rows of cotangents to the points.
///
/// # Safety
/// The rows must be there, and room for all the tiles.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "what is written runs across")]
pub unsafe fn lift_back<L: Lanes<E = f32>, const H: usize, const W: usize>(
    p: &Plan,
    from: *const f32,
    high: usize,
    places: &[Place],
    tiles: usize,
    to: *mut f32,
) {
    let (o, [_, dy, dx]) = (whole::<L>(p.o), p.dilation);
    // SAFETY: the caller promises the rows, and room for all the tiles.
    unsafe {
        for (tile, place) in places.iter().enumerate() {
            let from = from.wrapping_add(((place.y - high) * p.out[2] + place.x) * o);
            for v in (0..o).step_by(L::N) {
                let mut half = [[L::zero(); SIDE]; SIDE];
                for x in 0..points::results(W) {
                    let mut column = [L::zero(); SIDE];
                    for (y, cell) in column.iter_mut().enumerate().take(points::results(H)) {
                        if y < place.high && x < place.wide {
                            *cell = L::load(from.add((y * dy * p.out[2] + x * dx) * o + v));
                        }
                    }
                    let column = if H == 1 { column } else { rise(column, points::results(H), false) };
                    for y in 0..points::points(H) {
                        half[y][x] = column[y];
                    }
                }
                for (y, row) in half.iter().enumerate().take(points::points(H)) {
                    let row = if W == 1 { *row } else { rise(*row, points::results(W), false) };
                    for (x, value) in row.iter().enumerate().take(points::points(W)) {
                        value.store(to.add(((y * points::points(W) + x) * tiles + tile) * o + v));
                    }
                }
            }
        }
    }
}

/// The transpose of `weigh`: sums at the points, `[point][slice][channel][row]`, to `[channel][tap][row]`.
///
/// # Safety
/// The sums must be there, and room for the gradient.
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "what is written runs across")]
pub unsafe fn weigh_back<L: Lanes<E = f32>, const H: usize, const W: usize>(p: &Plan, from: *const f32, to: *mut f32) {
    let (o, deep) = (whole::<L>(p.o), p.taps[0]);
    // SAFETY: the caller promises sums at all the points, and room for the gradient.
    unsafe {
        for (z, row) in (0..deep).flat_map(|z| (0..p.c).map(move |row| (z, row))) {
            for v in (0..o).step_by(L::N) {
                let mut half = [[L::zero(); SIDE]; SIDE];
                for x in 0..points::points(W) {
                    let mut column = [L::zero(); SIDE];
                    for (y, cell) in column.iter_mut().enumerate().take(points::points(H)) {
                        *cell = L::load(from.add((((y * points::points(W) + x) * deep + z) * p.c + row) * o + v));
                    }
                    let column = if H == 1 { column } else { fall(column, H, true) };
                    for y in 0..H {
                        half[y][x] = column[y];
                    }
                }
                for (y, line) in half.iter().enumerate().take(H) {
                    let line = if W == 1 { *line } else { fall(*line, W, true) };
                    for (x, value) in line.iter().enumerate().take(W) {
                        value.store(to.add((((row * deep + z) * H + y) * W + x) * o + v));
                    }
                }
            }
        }
    }
}
