//! The gradient of a convolution in its weight and bias: products of shifted rows of the image with cotangents whose
//! channels are laid side by side, or dot products where the channels are few. Leans on tile, band, lanes and block.

use super::band::{Band, View};
use super::tile::{self, From, Left};
use crate::backend::cpu::block;
use crate::backend::cpu::lanes::{Float, Lanes, fetch_far};

/// Bytes of images and cotangents that are gone over at a time.
const NEAR: usize = 384 << 10;

/// Bytes of a line of the caches.
const LINE: usize = 64;
/// Places that are summed at a time where the image is not copied.
const DEPTH: usize = 384;

/// The gradient of one group: `o` rows of `c` channels times the view's taps.
pub struct Plan {
    pub c: usize,
    pub o: usize,
    pub view: View,
    /// Elements from one image to the next, of the input and of the cotangent.
    pub leap: (usize, usize),
    /// Lanes of a vector, and whether the result is `[channel, tap][row]` with rows in whole vectors.
    pub lanes: usize,
    pub turned: bool,
}

impl Plan {
    pub fn columns(&self) -> usize {
        self.c * self.view.taps()
    }
    /// Rows of the result with what fills them up.
    pub fn rows(&self) -> usize {
        if self.turned { self.o.next_multiple_of(self.lanes) } else { self.o }
    }
    /// Elements that a task gives: the weight's gradient, and the cotangent's sum for each row.
    pub fn part(&self) -> usize {
        self.rows() * (self.columns() + 1)
    }
}

#[inline(always)]
unsafe fn settle_of<L: Lanes>(plan: &mut Plan) {
    plan.lanes = L::N;
    plan.turned = 2 * plan.o > L::N;
}
per_lanes!(pub static settle32: unsafe fn(plan: &mut Plan) = settle_of::<f32>);
per_lanes!(pub static settle64: unsafe fn(plan: &mut Plan) = settle_of::<f64>);

/// Some images of one group.
#[derive(Clone, Copy)]
pub struct Task<E> {
    pub from: *const E,
    pub grad: *const E,
    pub images: usize,
    /// As many elements as `Plan::part` says, added to.
    pub to: *mut E,
}

#[inline(always)]
unsafe fn run_of<L: Lanes>(plan: &Plan, task: &Task<L::E>) {
    // SAFETY: the caller's promise.
    unsafe {
        match (plan.turned, plan.view.is_plain()) {
            (true, true) => in_place::<L>(plan, task),
            (true, false) => turned::<L>(plan, task),
            _ => dots::<L>(plan, task),
        }
    }
}

/// Windows of one element: the image is read where it lies, as many images at a time as make the sums long enough.
#[inline(always)]
unsafe fn in_place<L: Lanes>(plan: &Plan, task: &Task<L::E>) {
    let (columns, o) = (plan.c, plan.rows());
    let space: usize = plan.view.count.iter().product();
    let step = space.min(DEPTH);
    let group = (DEPTH / step).clamp(1, task.images);
    let mut grads: Vec<L::E> = vec![L::E::default(); group * step * o];
    let offsets: Vec<u32> = (0..group * step).map(|p| (p * o) as u32).collect();
    let list: Vec<u32> = (0..columns).map(|c| (c * plan.view.pitch.0) as u32).collect();
    let turn = block::mover(size_of::<L::E>());
    // SAFETY: the caller promises operands as the plan has them; the cotangents of a group of steps fit their list.
    unsafe {
        for first in (0..task.images).step_by(group) {
            let images = group.min(task.images - first);
            for start in (0..space).step_by(step) {
                let run = step.min(space - start);
                for i in 0..images {
                    let (from, to) = (task.grad.add((first + i) * plan.leap.1 + start), grads.as_mut_ptr().add(i * run * o));
                    turn(from.cast(), (1, space as isize), to.cast(), (o as isize, 1), run, plan.o);
                }
                sum_up::<L>(grads.as_ptr(), images * run, o, task.to.add(columns * o));
                let at = task.from.add(first * plan.leap.0 + start);
                let left = Left { run, gap: plan.leap.0 - run, ..Left::new(at, 0, 1) };
                let (image, next) = if start + step < space { (first, start + step) } else { (first + group, 0) };
                let some = if image < task.images { images.min(task.images - image) } else { 0 };
                let (at, rows) = (task.grad.wrapping_add(image * plan.leap.1 + next), (plan.o, space));
                let ahead = Ahead { at, rows, images: (some, plan.leap.1), run: step.min(space - next) };
                products::<L>(left, &list, grads.as_ptr(), &offsets[..images * run], task.to, o, ahead);
            }
        }
    }
}

/// Adds cotangents that lie side by side to the sums of their rows.
#[inline(always)]
unsafe fn sum_up<L: Lanes>(grads: *const L::E, places: usize, o: usize, to: *mut L::E) {
    for v in (0..o).step_by(L::N) {
        // SAFETY: the caller promises cotangents for every place, and a sum for each row.
        unsafe {
            let mut sum = L::zero();
            for p in 0..places {
                sum = sum.add(L::load(grads.add(p * o + v)));
            }
            L::load(to.add(v)).add(sum).store(to.add(v));
        }
    }
}

/// Cotangents that are turned next: rows and images with the elements from one to the next, and how many of each are wanted.
#[derive(Clone, Copy)]
struct Ahead<E> {
    at: *const E,
    rows: (usize, usize),
    images: (usize, usize),
    run: usize,
}

impl<E> Ahead<E> {
    /// Asks for some rows: no hardware foresees the leap from plane to plane.
    fn ask(self, rows: std::ops::Range<usize>) {
        for row in rows.start..rows.end.min(self.rows.0) {
            for image in 0..self.images.0 {
                let at = self.at.wrapping_add(row * self.rows.1 + image * self.images.1);
                for i in (0..self.run).step_by(LINE / size_of::<E>()) {
                    fetch_far(at.wrapping_add(i));
                }
            }
        }
    }
}

/// Adds the products of rows of the image, at a list of distances, and of cotangents to the gradient.
#[inline(always)]
unsafe fn products<L: Lanes>(
    left: Left<L::E>,
    list: &[u32],
    grads: *const L::E,
    offsets: &[u32],
    to: *mut L::E,
    o: usize,
    ahead: Ahead<L::E>,
) {
    let mut column = 0;
    while column < o {
        let (r, v) = tile::fitting::<L>(list.len(), o - column);
        let share = ahead.rows.0.div_ceil(list.len().div_ceil(r));
        for row in (0..list.len()).step_by(r) {
            if column == 0 {
                ahead.ask(row / r * share..(row / r + 1) * share);
            }
            // SAFETY: the caller promises rows and cotangents for every offset, and the gradient's elements.
            unsafe {
                let left = Left { list: list.as_ptr().add(row), ..left };
                let (right, out) = (grads.add(column), to.add(row * o + column));
                tile::outer::<L>((r, v), offsets.len(), left, right, offsets.as_ptr(), out, o, r.min(list.len() - row), From::There);
            }
        }
        column += v * L::N;
    }
}

/// The image's rows are copied, of as many small images at a time as there is room for: long sums are seldom interrupted.
#[inline(always)]
unsafe fn turned<L: Lanes>(plan: &Plan, task: &Task<L::E>) {
    let view = &plan.view;
    let all = view.count[view.axis];
    let (columns, o) = (plan.columns(), plan.rows());
    let most = NEAR / size_of::<L::E>();
    let cut = view.cut(plan.c + o, most);
    let inner: usize = view.count.iter().product::<usize>() / all;
    let (space, plane) = (all * inner, plan.c * view.band(0, cut).plane);
    let group = if cut == all && view.count[0] == 1 { (most / (plane + space * o)).clamp(1, task.images) } else { 1 };
    // Both are written whole before they are read, but for what fills the rows up.
    let mut copy: Vec<L::E> = Vec::with_capacity(group * plane);
    let mut grads: Vec<L::E> = Vec::with_capacity(group * cut * inner * o);
    if o > plan.o {
        grads.resize(group * cut * inner * o, L::E::default());
    }
    let offsets: Vec<u32> = (0..group * cut * inner).map(|p| (p * o) as u32).collect();
    let mut list = Vec::new();
    let turn = block::mover(size_of::<L::E>());
    // SAFETY: the caller promises operands as the plan has them; the lists have room for a group of the widest band.
    unsafe {
        for first in (0..task.images).step_by(group) {
            let images = group.min(task.images - first);
            for start in (0..all).step_by(cut) {
                let band = view.band(start, all.min(start + cut));
                let shifts = view.offsets(&band);
                list.clear();
                list.extend((0..plan.c).flat_map(|c| shifts.iter().map(move |&s| (c * band.plane + s) as u32)));
                let places: usize = band.count.iter().product();
                for i in 0..images {
                    view.copy::<L>(&band, task.from.add((first + i) * plan.leap.0), plan.c, copy.as_mut_ptr().add(i * plane));
                    let from = task.grad.add((first + i) * plan.leap.1 + start * inner);
                    let to = grads.as_mut_ptr().add(i * places * o);
                    turn(from.cast(), (1, space as isize), to.cast(), (o as isize, 1), places, plan.o);
                }
                sum_up::<L>(grads.as_ptr(), images * places, o, task.to.add(columns * o));
                let (next, at) = if start + cut < all { (first, start + cut) } else { (first + group, 0) };
                let some = if next < task.images { images.min(task.images - next) } else { 0 };
                let at = (task.grad.wrapping_add(next * plan.leap.1 + at * inner), cut.min(all - at) * inner);
                let ahead = Ahead { at: at.0, rows: (plan.o, space), images: (some, plan.leap.1), run: at.1 };
                let ([_, high, wide], [_, tall, long]) = (band.count, band.len);
                // From row to row, and from slice to slice or image to image.
                let leap = if images > 1 { plane } else { tall * long } - high * long;
                let left = Left { run: wide, gap: long - wide, runs: high, leap, ..Left::new(copy.as_ptr(), 0, 1) };
                products::<L>(left, &list, grads.as_ptr(), &offsets[..images * places], task.to, o, ahead);
            }
        }
    }
}

#[inline(always)]
unsafe fn dots<L: Lanes>(plan: &Plan, task: &Task<L::E>) {
    let view = &plan.view;
    let most = NEAR / size_of::<L::E>();
    let all = view.count[view.axis];
    let cut = view.cut(plan.c + plan.o, most);
    let widest = view.band(0, cut);
    let flat = |n: usize| n.next_multiple_of(L::N);
    let (plane, line) = (plan.c * widest.plane, plan.o * flat(widest.flat));
    // Whole images go together as long as they are small.
    let group = if cut == all { (most / (plane + line)).clamp(1, task.images) } else { 1 };
    let slack = L::N;
    let mut copy: Vec<L::E> = vec![L::E::default(); group * plane + slack];
    let mut grads: Vec<L::E> = vec![L::E::default(); group * line];
    let columns = plan.columns();
    let (r, j) = tile::dots_block::<L>(plan.o);
    let space: usize = view.count.iter().product();
    let (mut left, mut right) = (Vec::new(), Vec::new());
    // SAFETY: the caller promises operands as the plan has them; the lists have room for the widest band of a group.
    unsafe {
        for first in (0..task.images).step_by(group) {
            let images = group.min(task.images - first);
            for start in (0..all).step_by(cut) {
                let band = view.band(start, all.min(start + cut));
                let long = flat(band.flat);
                let runs: Vec<(usize, usize)> = (0..images).map(|i| (i * plan.o * long, i * plan.c * band.plane)).collect();
                for (i, &(g, x)) in runs.iter().enumerate() {
                    let image = first + i;
                    view.copy::<L>(&band, task.from.add(image * plan.leap.0), plan.c, copy.as_mut_ptr().add(x));
                    for o in 0..plan.o {
                        let from = task.grad.add(image * plan.leap.1 + o * space);
                        let to = grads.as_mut_ptr().add(g + o * long);
                        lay(view, &band, from, to, long);
                        let mut sum = L::zero();
                        for p in (0..long).step_by(L::N) {
                            sum = sum.add(L::load(to.add(p)));
                        }
                        let total = task.to.add(plan.o * columns + o);
                        *total = *total + sum.total();
                    }
                }
                copy.as_mut_ptr().add(images * plan.c * band.plane).write_bytes(0, slack);
                let shifts = view.offsets(&band);
                for row in (0..plan.o).step_by(r) {
                    left.clear();
                    left.extend((row..plan.o.min(row + r)).map(|o| grads.as_ptr().add(o * long)));
                    for column in (0..columns).step_by(j) {
                        right.clear();
                        let at = |k: usize| copy.as_ptr().add(k / shifts.len() * band.plane + shifts[k % shifts.len()]);
                        right.extend((column..columns.min(column + j)).map(at));
                        tile::dots::<L>(&left, &right, &runs, long, task.to.add(row * columns + column), columns);
                    }
                }
            }
        }
    }
}
per_lanes!(pub static run32: unsafe fn(plan: &Plan, task: &Task<f32>) = run_of::<f32>);
per_lanes!(pub static run64: unsafe fn(plan: &Plan, task: &Task<f64>) = run_of::<f64>);

/// A row of cotangents laid out like a band: 0 between and behind the windows.
#[inline(always)]
unsafe fn lay<E: Float>(view: &View, band: &Band, from: *const E, to: *mut E, long: usize) {
    let [_, h, w] = view.count;
    let mut begin = [0; 3];
    begin[view.axis] = band.from;
    let mut end = 0;
    // SAFETY: the caller promises a row of all the view's windows, and `long` elements behind `to`.
    unsafe {
        for d in 0..band.count[0] {
            for y in 0..band.count[1] {
                let at = (d * band.len[1] + y) * band.len[2];
                to.add(end).write_bytes(0, at - end);
                let row = from.add(((d + begin[0]) * h + y + begin[1]) * w + begin[2]);
                to.add(at).copy_from_nonoverlapping(row, band.count[2]);
                end = at + band.count[2];
            }
        }
        to.add(end).write_bytes(0, long - end);
    }
}
