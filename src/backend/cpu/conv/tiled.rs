//! Convolutions by tiles: which shapes are worth it, and the tasks of their results and of the image's gradient.
//! Leans on winograd.

use super::winograd::{self, Plan};
use super::{Job, Room, Scalar, TASK, transform};
use crate::backend::cpu::convert::Bytes;
use crate::backend::cpu::{isa, stop, threads};
use crate::base::Result;

/// Channels on either side from which tiles are worth their transforms: of two axes, and of one, which gains less.
const LEAST: usize = 16;
const LEAST_LINE: usize = 32;

impl Job {
    /// The plan of the result of `o` rows, if tiles serve.
    fn tiled<T: Scalar>(&self, (c, o): (usize, usize), sizes: [[usize; 3]; 2], pad: [isize; 3], leap: (usize, usize)) -> Option<Plan> {
        let ([size, out], taps, dilation) = (sizes, self.kernel, self.dilation);
        if !T::SINGLE || self.stride != [1; 3] || !transform::is_known(taps) {
            return None;
        }
        let mut plan = Plan { c, o, taps, dilation, size, out, pad, leap, band: 0, deep: 0, group: 0 };
        let least = if taps[1] == 1 { LEAST_LINE } else { LEAST };
        if size.contains(&0) || out.contains(&0) || c.min(self.o / self.groups) < least {
            return None;
        }
        plan.settle();
        let (space, tiles) = (out.iter().product::<usize>(), plan.tiles());
        (2 * taps[1] * taps[2] * space >= 3 * plan.points() * tiles && self.n * tiles >= 8).then_some(plan)
    }

    /// The result's plan, of some rows.
    pub(super) fn tiled_forward<T: Scalar>(&self, rows: usize) -> Option<Plan> {
        let leap = (self.c * self.area(), self.o * self.space());
        self.tiled::<T>((self.c / self.groups, rows), [self.size, self.out], self.padding, leap)
    }

    /// The plan of the image's gradient.
    pub(super) fn tiled_input<T: Scalar>(&self) -> Option<Plan> {
        let pad = std::array::from_fn(|i| ((self.kernel[i] - 1) * self.dilation[i]) as isize - self.padding[i]);
        let leap = (self.o * self.space(), self.c * self.area());
        self.tiled::<T>((self.o / self.groups, self.c / self.groups), [self.out, self.size], pad, leap)
    }

    /// All images and groups of a plan; `back` says that the weights are turned.
    ///
    /// # Safety
    /// The operands must have the job's sizes.
    pub(super) unsafe fn tiles(&self, plan: &Plan, back: bool, from: &Bytes, w: &Bytes, bias: *const f32, to: &Bytes) -> Result<()> {
        let level = isa::level();
        let lanes = winograd::lanes();
        let (depth, held) = (plan.c, plan.points() * plan.taps[0]);
        let each = held * plan.c * plan.o.next_multiple_of(lanes);
        stop::afford("conv", (self.groups * each + threads::count() * plan.room(lanes)) * size_of::<f32>())?;
        let mut values = Room::<f32>::new(self.groups * each);
        let values = values.bytes();
        let step = (TASK / (held * plan.o)).max(1);
        threads::heavy(self.groups * depth.div_ceil(step), 1, |range| {
            for k in range {
                let (g, first) = (k / depth.div_ceil(step), k % depth.div_ceil(step) * step);
                // SAFETY: each part of the values is written by one thread.
                unsafe {
                    let weights = w.at(0).cast::<f32>().add(g * plan.o * plan.c * plan.window()).cast_const();
                    let to = values.at(0).cast::<f32>().add(g * each);
                    winograd::prepare[level](plan, weights, back, (first, depth.min(first + step)), to);
                }
            }
        });
        let bands = plan.strips(1).div_ceil(plan.band);
        let (fronts, sets) = (plan.out[0].div_ceil(plan.deep), self.n.div_ceil(plan.group));
        let (size, out) = (plan.c * plan.size.iter().product::<usize>(), plan.o * plan.out.iter().product::<usize>());
        let bias = Bytes(bias.cast_mut().cast());
        threads::heavy(self.groups * sets * fronts * bands, 1, |range| {
            let mut room = Room::<f32>::new(plan.room(lanes));
            for k in range {
                let (part, front, rest) = (k % bands, k / bands % fronts, k / bands / fronts);
                let (g, first) = (rest % self.groups, rest / self.groups * plan.group);
                // SAFETY: every task has its own part of the result.
                unsafe {
                    let bias = bias.at(0).cast::<f32>().cast_const();
                    let task = winograd::Task {
                        from: from.at(0).cast::<f32>().add(first * plan.leap.0 + g * size).cast_const(),
                        weights: values.at(0).cast::<f32>().add(g * each).cast_const(),
                        bias: if bias.is_null() { bias } else { bias.add(g * plan.o) },
                        to: to.at(0).cast::<f32>().add(first * plan.leap.1 + g * out),
                        room: room.at(),
                        images: plan.group.min(self.n - first),
                        slices: (front * plan.deep, plan.out[0].min((front + 1) * plan.deep)),
                        strips: (part * plan.band, plan.strips(1).min((part + 1) * plan.band)),
                    };
                    winograd::forward[level](plan, &task);
                }
            }
        });
        Ok(())
    }
}
