//! Convolutions by windows of one element, step 1: products of matrices where images and results lie.
//! Leans on contract.

use super::{Job, Scalar, TASKS};
use crate::backend::cpu::contract;
use crate::backend::cpu::convert::Bytes;
use crate::backend::cpu::threads;

/// Channels on either side from which a blocked product is worth its set-up.
const LEAST: usize = 32;
/// Places of an image, or rows of a weight's gradient, that a task has at least.
const PART: usize = 128;

impl Job {
    /// Whether every window is one element, the image and the result lie alike, and there are channels enough.
    pub(super) fn is_pointwise(&self) -> bool {
        let plain = self.kernel == [1; 3] && self.stride == [1; 3] && self.padding == [0; 3];
        plain && (self.c / self.groups).min(self.o / self.groups) >= LEAST && self.space() >= LEAST
    }

    /// Calls `work(image, group, first place, places)` for tasks that the sizes alone fix.
    fn point_tasks(&self, work: impl Fn(usize, usize, usize, usize) + Sync) {
        let (space, many) = (self.space(), self.n * self.groups);
        let cut = space.div_ceil(TASKS.div_ceil(many)).max(PART);
        let cuts = space.div_ceil(cut);
        threads::heavy(many * cuts, 1, |range| {
            for k in range {
                let (first, rest) = (k % cuts * cut, k / cuts);
                work(rest / self.groups, rest % self.groups, first, cut.min(space - first));
            }
        });
    }

    /// # Safety
    /// The operands must have the job's sizes.
    pub(super) unsafe fn point_forward<T: Scalar>(&self, x: &Bytes, w: &Bytes, bias: *const T, y: &Bytes) {
        let (c, o) = (self.c / self.groups, self.o / self.groups);
        // SAFETY: the caller's promise.
        unsafe { self.point_product((c, o), x, w, (c as isize, 1), bias, y) };
    }

    /// # Safety
    /// The operands must have the job's sizes.
    pub(super) unsafe fn point_input<T: Scalar>(&self, y: &Bytes, w: &Bytes, bias: *const T, x: &Bytes) {
        let (c, o) = (self.c / self.groups, self.o / self.groups);
        // SAFETY: the caller's promise.
        unsafe { self.point_product((o, c), y, w, (1, c as isize), bias, x) };
    }

    /// `to = w @ from + bias` for every image and group, with `c` channels of `from` and `o` of `to`.
    unsafe fn point_product<T: Scalar>(
        &self,
        (c, o): (usize, usize),
        from: &Bytes,
        w: &Bytes,
        steps: (isize, isize),
        bias: *const T,
        to: &Bytes,
    ) {
        let space = self.space();
        let bias = Bytes(bias.cast_mut().cast());
        self.point_tasks(|image, g, first, places| {
            // SAFETY: the operands have the job's sizes; every task has its own part of the result.
            unsafe {
                let at = |p: &Bytes, channels: usize| p.at(0).cast::<T>().add((image * self.groups + g) * channels * space + first);
                let (from, to) = (at(from, c), at(to, o));
                let bias = bias.at(0).cast::<T>().cast_const();
                if !bias.is_null() {
                    for row in 0..o {
                        std::slice::from_raw_parts_mut(to.add(row * space), places).fill(*bias.add(g * o + row));
                    }
                }
                let weights = w.at(0).cast::<T>().add(g * c * o).cast_const();
                let along = (space as isize, 1);
                contract::alone((o, places, c), weights, steps, from.cast_const(), along, to, along, !bias.is_null());
            }
        });
    }

    /// # Safety
    /// The operands must have the job's sizes; the gradients begin as zeros.
    pub(super) unsafe fn point_weight<T: Scalar>(&self, x: &Bytes, y: &Bytes, w: &Bytes, bias: Option<&Bytes>) {
        let (c, o, space) = (self.c / self.groups, self.o / self.groups, self.space());
        let cut = o.div_ceil(TASKS.div_ceil(self.groups)).max(PART).min(o);
        let cuts = o.div_ceil(cut);
        threads::heavy(self.groups * cuts, 1, |range| {
            for k in range {
                let (g, first) = (k / cuts, k % cuts * cut);
                let rows = cut.min(o - first);
                let mut sums = vec![0f64; if bias.is_some() { rows } else { 0 }];
                for image in 0..self.n {
                    // SAFETY: the operands have the job's sizes; every task has its own rows of the gradients.
                    unsafe {
                        let row = (image * self.groups + g) * o + first;
                        let grad = y.at(0).cast::<T>().add(row * space);
                        let from = x.at(0).cast::<T>().add((image * self.groups + g) * c * space).cast_const();
                        let to = w.at(0).cast::<T>().add((g * o + first) * c);
                        let (along, across) = ((space as isize, 1), (1, space as isize));
                        contract::alone((rows, c, space), grad.cast_const(), along, from, across, to, (c as isize, 1), image > 0);
                        for (r, sum) in sums.iter_mut().enumerate() {
                            *sum += T::sum(grad.add(r * space), space);
                        }
                    }
                }
                for (r, &sum) in sums.iter().enumerate() {
                    // SAFETY: there is a list of sums where there is a list of biases.
                    bias.iter().for_each(|b| unsafe { *b.at(0).cast::<T>().add(g * o + first + r) = T::lit(sum) });
                }
            }
        });
    }
}
