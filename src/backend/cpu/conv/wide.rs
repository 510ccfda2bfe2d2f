//! Convolutions with many rows of weights: which windows, parts and tasks a shape has, of the result as of the image's
//! gradient. Leans on panel and band.

use super::band::View;
use super::panel::{self, Part};
use super::{BAND, Job, Room, Scalar, TASK, TASKS, WINDOWS};
use crate::backend::cpu::convert::Bytes;
use crate::backend::cpu::{isa, stop, threads};
use crate::base::Result;

/// Windows of several small images that a band has at least.
const BLOCKS: usize = 240;
/// Rows of weights times windows side by side from which it pays to bring single windows together.
const SHORT: usize = 256;
/// Rows of a task, where rows are parted: whole blocks, and so many rows times taps at least.
const ROWS: usize = 64;
const FEW: usize = 1024;

/// The elements of an image with one remainder by the stride: they meet the same taps, on each axis `met`.
pub(super) struct Phase {
    pub first: [usize; 3],
    pub met: [Vec<usize>; 3],
}

impl Phase {
    /// The taps by their numbers in the kernel.
    pub fn taps(&self, kernel: [usize; 3]) -> Vec<usize> {
        grid(&self.met, kernel)
    }
}

/// The numbers of all combinations of places on three axes.
fn grid(axes: &[Vec<usize>; 3], size: [usize; 3]) -> Vec<usize> {
    let mut list = Vec::new();
    for &a in &axes[0] {
        for &b in &axes[1] {
            list.extend(axes[2].iter().map(|&c| (a * size[1] + b) * size[2] + c));
        }
    }
    list
}

impl Job {
    /// How many windows behind a phase's own place the one stands that a tap brings to it.
    pub(super) fn shift(&self, first: [usize; 3], axis: usize, tap: usize) -> isize {
        self.far(first, axis, tap).div_euclid(self.stride[axis] as isize)
    }
    /// The same in elements of the image.
    fn far(&self, first: [usize; 3], axis: usize, tap: usize) -> isize {
        first[axis] as isize + self.padding[axis] - (tap * self.dilation[axis]) as isize
    }

    pub(super) fn phases(&self) -> Vec<Phase> {
        let steps: [usize; 3] = std::array::from_fn(|i| self.stride[i].min(self.size[i]));
        let phases = (0..steps.iter().product()).map(|k: usize| {
            let first = [k / steps[2] / steps[1], k / steps[2] % steps[1], k % steps[2]];
            let meets = |i: usize, t: usize| self.far(first, i, t).rem_euclid(self.stride[i] as isize) == 0;
            Phase { first, met: std::array::from_fn(|i| (0..self.kernel[i]).filter(|&t| meets(i, t)).collect()) }
        });
        phases.collect()
    }

    /// The result's plan, if it has rows and windows enough.
    pub(super) fn wide_forward<T: Scalar>(&self) -> Option<panel::Plan> {
        let (c, o) = (self.c / self.groups, self.o / self.groups);
        let view = match self.whole() {
            Some(view) => view,
            None => View::new(self.size, self.out, self.stride, self.shifts())?,
        };
        let taps: Vec<usize> = (0..self.window()).collect();
        let out = if view.is_whole() { [1, 1, self.space()] } else { self.out };
        self.wide::<T>(view, (c, o), vec![Part::new([0; 3], taps.clone(), taps)], out, [1; 3], false)
    }

    /// The plan of the image's gradient: all phases at a time.
    pub(super) fn wide_input<T: Scalar>(&self) -> Option<panel::Plan> {
        let (c, o) = (self.c / self.groups, self.o / self.groups);
        if let Some(view) = self.whole() {
            return self.wide::<T>(view, (o, c), vec![Part::new([0; 3], vec![0], vec![0])], [1, 1, self.area()], [1; 3], false);
        }
        let phases = self.phases();
        let met = |i: usize| -> Vec<isize> {
            let all = phases.iter().flat_map(|p| p.met[i].iter().map(move |&t| self.shift(p.first, i, t)));
            all.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
        };
        let shifts: [Vec<isize>; 3] = std::array::from_fn(met);
        let many: [usize; 3] = std::array::from_fn(|i| shifts[i].len());
        if many.contains(&0) || self.out.contains(&0) {
            return None;
        }
        let place = |p: &Phase, i: usize, t: usize| shifts[i].binary_search(&self.shift(p.first, i, t)).unwrap_or(0);
        let part = |p: &Phase| {
            let met: [Vec<usize>; 3] = std::array::from_fn(|i| p.met[i].iter().map(|&t| place(p, i, t)).collect());
            Part::new(p.first, p.taps(self.kernel), grid(&met, many))
        };
        let parts = phases.iter().map(part).collect();
        let count = std::array::from_fn(|i| self.size[i].div_ceil(self.stride[i]));
        let view = View::new(self.out, count, [1; 3], shifts.clone())?;
        self.wide::<T>(view, (o, c), parts, self.size, self.stride, self.stride[2] == 2 && self.size[2] > 1)
    }

    /// Windows of one element, one for each element: of any axes in one line.
    fn whole(&self) -> Option<View> {
        let plain = self.kernel == [1; 3] && self.stride == [1; 3] && self.padding == [0; 3];
        let line = [1, 1, self.area()];
        if plain { View::new(line, line, [1; 3], [vec![0], vec![0], vec![0]]) } else { None }
    }

    fn wide<T: Scalar>(
        &self,
        mut view: View,
        (c, o): (usize, usize),
        parts: Vec<Part>,
        mut out: [usize; 3],
        leap: [usize; 3],
        woven: bool,
    ) -> Option<panel::Plan> {
        let (area, space) = (view.pitch.0, out.iter().product::<usize>());
        let windows: usize = view.count.iter().product();
        if c == 0 || o < panel::LEAST || self.n * windows < BLOCKS || o * view.count[2] < SHORT {
            return None;
        }
        let mut pitch = (space, out[1] * out[2]);
        let mut images = self.n;
        if view.is_flat() && out[0] == 1 && self.n > 1 && (view.is_whole() || windows < WINDOWS) {
            // The images become the first axis, so that a block may hold windows of several.
            view.stack(self.n, area * c * self.groups);
            (pitch.1, images, out[0]) = (space * o * self.groups, 1, self.n);
        }
        let all = view.count[view.axis];
        let many = images * self.groups;
        let work = c * o * windows * self.n * self.groups * parts.iter().map(|p| p.taps.len()).sum::<usize>();
        let tasks = if work < TASKS * TASK { 1 } else { (TASKS / 2).div_ceil(many) };
        let mut band = view.cut(c, BAND);
        if images < self.n {
            band = band.max(BLOCKS.div_ceil(windows)).min(all);
        } else if all.div_ceil(band) < tasks {
            band = all.div_ceil(tasks.min(all));
        }
        let bands = if view.is_whole() { tasks } else { all.div_ceil(band) };
        // Every share of the rows copies the band anew.
        let least = (FEW / view.taps()).next_multiple_of(ROWS).max(ROWS);
        let rows = if bands < tasks { o.div_ceil(tasks.div_ceil(bands)).next_multiple_of(least).min(o) } else { o };
        let (block, lanes, bytes, cuts) = (1, 1, 1, Vec::new());
        let mut plan =
            panel::Plan { c, o, view, parts, out, leap, woven, pitch, band, images, tasks, rows, block, vectors: 1, lanes, bytes, cuts };
        // SAFETY: the level is one that this machine has.
        unsafe { T::settle_panel()[isa::level()](&mut plan) };
        Some(plan)
    }

    /// All images and groups of a plan; a weight's row and channel lie `strides` apart.
    ///
    /// # Safety
    /// The operands must have the job's sizes.
    pub(super) unsafe fn panels<T: Scalar>(
        &self,
        plan: &panel::Plan,
        strides: (usize, usize),
        from: &Bytes,
        w: &Bytes,
        bias: *const T,
        to: &Bytes,
    ) -> Result<()> {
        let (each, blocks) = (plan.weights(), plan.o.div_ceil(plan.block));
        stop::afford("conv", (self.groups * each + threads::count() * plan.room()) * size_of::<T>())?;
        let mut laid = Room::<T>::new(self.groups * each);
        let laid = laid.bytes();
        let group = self.c / self.groups * (self.o / self.groups) * self.window();
        let bias = Bytes(bias.cast_mut().cast());
        let step = (TASK / (each / blocks).max(1)).clamp(1, blocks);
        let pieces = blocks.div_ceil(step);
        threads::heavy(self.groups * pieces, 1, |range| {
            for k in range {
                let (g, first) = (k / pieces, k % pieces * step);
                // SAFETY: each block lies inside the room, and is written by one thread.
                unsafe {
                    let weights = w.at(0).cast::<T>().add(g * group).cast_const();
                    panel::lay(plan, first..blocks.min(first + step), weights, strides, laid.at(0).cast::<T>().add(g * each));
                }
            }
        });
        let (cuts, shares) = (plan.cuts.len(), plan.o.div_ceil(plan.rows));
        let (area, space) = (plan.view.pitch.0, plan.pitch.0);
        let run = T::panel()[isa::level()];
        threads::heavy(plan.images * self.groups * cuts * shares, (TASK / plan.work().max(1)).max(1), |range| {
            let mut room = Room::<T>::new(plan.room());
            for k in range {
                let (share, cut, image) = (k % shares, k / shares % cuts, k / shares / cuts);
                let (g, start) = (image % self.groups, image * plan.c * area);
                // SAFETY: every task has its own part of the result.
                unsafe {
                    let bias = bias.at(0).cast::<T>().cast_const();
                    let task = panel::Task {
                        from: from.at(0).cast::<T>().add(start).cast_const(),
                        limit: self.n * self.groups * plan.c * area - start,
                        weights: laid.at(0).cast::<T>().add(g * each).cast_const(),
                        bias: if bias.is_null() { bias } else { bias.add(g * plan.o) },
                        to: to.at(0).cast::<T>().add(image * plan.o * space),
                        room: room.at(),
                        cut,
                        rows: (share * plan.rows, plan.o.min((share + 1) * plan.rows)),
                    };
                    run(plan, &task);
                }
            }
        });
        Ok(())
    }
}
