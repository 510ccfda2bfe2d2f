//! Convolutions of one, two and three axes and their gradients: the way for each shape chosen, the work cut into tasks.
//! Leans on the ways beside it: winograd, direct, wide (which has panel), weight.

pub mod band;
pub mod direct;
pub mod panel;
mod points;
pub mod tile;
mod tiled;
mod transform;
pub mod weight;
mod wide;
pub mod winograd;

use super::convert::{self, Bytes};
use super::lanes::Float;
use super::{isa, stop, threads};
use crate::backend::Storage;
use crate::backend::launch::{Convolution, Geometry, Operand};
use crate::base::{DType, Error, Layout, Result};
use band::View;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Multiply-adds of a task, about.
const TASK: usize = 1 << 18;
/// Tasks that a large convolution is cut into at least, so that there is work for several threads.
const TASKS: usize = 8;
/// Elements of a band's copy.
const BAND: usize = 1 << 17;
/// Windows that a band has at least, with those of several images if one has not enough.
const WINDOWS: usize = 640;
/// Bytes of the weight's gradient that a task adds to.
const SHEET: usize = 640 << 10;
/// Bytes that the weight's gradient may hold at the points in one task.
const HELD: usize = 8 << 20;
/// Bytes of a line of the caches.
const LINE: usize = 64;
/// Rows of the weight's gradient that are computed together.
const ROWS: usize = 64;

/// A convolution by numbers: `n` images of `c` channels and three sizes to `o` channels, both in `groups`.
struct Job {
    n: usize,
    c: usize,
    o: usize,
    groups: usize,
    size: [usize; 3],
    out: [usize; 3],
    kernel: [usize; 3],
    stride: [usize; 3],
    padding: [isize; 3],
    dilation: [usize; 3],
}

/// A float with the functions of its instruction sets.
trait Scalar: Float {
    const SINGLE: bool;
    fn settle() -> [unsafe fn(&mut direct::Plan); 3];
    fn direct() -> [unsafe fn(&direct::Plan, &direct::Task<Self>); 3];
    fn settle_panel() -> [unsafe fn(&mut panel::Plan); 3];
    fn panel() -> [unsafe fn(&panel::Plan, &panel::Task<Self>); 3];
    fn settle_weight() -> [unsafe fn(&mut weight::Plan); 3];
    fn weight() -> [unsafe fn(&weight::Plan, &weight::Task<Self>); 3];
}
macro_rules! scalar {
    ($t:ty, $single:literal, $settle:ident, $run:ident) => {
        impl Scalar for $t {
            const SINGLE: bool = $single;
            fn settle() -> [unsafe fn(&mut direct::Plan); 3] {
                direct::$settle
            }
            fn direct() -> [unsafe fn(&direct::Plan, &direct::Task<Self>); 3] {
                direct::$run
            }
            fn settle_panel() -> [unsafe fn(&mut panel::Plan); 3] {
                panel::$settle
            }
            fn panel() -> [unsafe fn(&panel::Plan, &panel::Task<Self>); 3] {
                panel::$run
            }
            fn settle_weight() -> [unsafe fn(&mut weight::Plan); 3] {
                weight::$settle
            }
            fn weight() -> [unsafe fn(&weight::Plan, &weight::Task<Self>); 3] {
                weight::$run
            }
        }
    };
}
scalar!(f32, true, settle32, run32);
scalar!(f64, false, settle64, run64);

/// Row-major operands of one float dtype, `(n, channels, sizes...)` and `(out, in / groups, kernel...)`.
pub fn run(what: Convolution, ins: &[Operand], outs: &[Operand], geometry: &Geometry, groups: usize) -> Result<()> {
    let dtype = outs[0].dtype;
    if ins.iter().chain(outs).any(|x| x.dtype != dtype || !x.layout.is_contiguous()) {
        return Err(Error::bug("conv", "operands of one dtype, row-major, were promised"));
    }
    match dtype {
        DType::F32 => go::<f32>(what, ins, outs, geometry, groups),
        DType::F64 => go::<f64>(what, ins, outs, geometry, groups),
        short if short.is_float() => {
            // Short floats are multiplied and added in float32, and rounded once.
            let fresh = |x: &Operand| -> Result<Operand> {
                let storage = Storage::shared(x.numel() * DType::F32.size())?;
                Ok(Operand { storage, layout: Layout::contiguous(x.layout.shape.clone()), dtype: DType::F32 })
            };
            let widened = |x: &Operand| fresh(x).and_then(|wide| convert::copy(x, &wide).map(|()| wide));
            let wide = ins.iter().map(widened).collect::<Result<Vec<_>>>()?;
            let results = outs.iter().map(fresh).collect::<Result<Vec<_>>>()?;
            go::<f32>(what, &wide, &results, geometry, groups)?;
            results.iter().zip(outs).try_for_each(|(from, to)| convert::copy(from, to))
        }
        _ => Err(Error::bug("conv", "floats were promised")),
    }
}

fn go<T: Scalar>(what: Convolution, ins: &[Operand], outs: &[Operand], g: &Geometry, groups: usize) -> Result<()> {
    let (image, result, weight) = match what {
        Convolution::Forward => (&ins[0], &outs[0], &ins[1]),
        Convolution::Input => (&outs[0], &ins[0], &ins[1]),
        Convolution::Weight => (&ins[0], &ins[1], &outs[0]),
    };
    let d = g.kernel.len();
    // The last of three axes are those that there are.
    fn three<A: Copy>(list: &[A], fill: A) -> [A; 3] {
        let mut axes = [fill; 3];
        axes[3 - list.len()..].copy_from_slice(list);
        axes
    }
    if image.layout.rank() != d + 2 || result.layout.rank() != d + 2 || d > 3 {
        return Err(Error::bug("conv", "images of one to three axes were promised"));
    }
    let job = Job {
        n: image.layout.shape[0],
        c: image.layout.shape[1],
        o: result.layout.shape[1],
        groups,
        size: three(&image.layout.shape[2..], 1),
        out: three(&result.layout.shape[2..], 1),
        kernel: three(&g.kernel, 1),
        stride: three(&g.stride, 1),
        padding: three(&g.padding, 0),
        dilation: three(&g.dilation, 1),
    };
    let bias = || ins.get(2).map_or(std::ptr::null(), |b| b.ptr().cast::<T>().cast_const());
    let (x, y, w) = (Bytes(image.ptr()), Bytes(result.ptr()), Bytes(weight.ptr()));
    // SAFETY: the operands have the job's sizes, as has just been read from them.
    unsafe {
        match what {
            Convolution::Forward | Convolution::Input if outs[0].numel() == 0 => Ok(()),
            Convolution::Forward => job.forward::<T>(&x, &w, bias(), &y),
            Convolution::Input => job.input::<T>(&y, &w, bias(), &x),
            Convolution::Weight => job.weight::<T>(&x, &y, &w, outs.get(1).map(|b| Bytes(b.ptr()))),
        }
    }
}

/// Room that is written before it is read, from the beginning of a line of the caches on.
struct Room<T>(Vec<MaybeUninit<T>>);

impl<T: Float> Room<T> {
    fn new(n: usize) -> Room<T> {
        let mut list = Vec::with_capacity(n + LINE / size_of::<T>());
        // SAFETY: elements that may be undefined need no value.
        unsafe { list.set_len(list.capacity()) };
        Room(list)
    }
    fn at(&mut self) -> *mut T {
        let start = self.0.as_mut_ptr();
        start.wrapping_add(start.align_offset(LINE)).cast()
    }
    fn bytes(&mut self) -> Bytes {
        Bytes(self.at().cast())
    }
}

impl Job {
    fn area(&self) -> usize {
        self.size.iter().product()
    }
    fn space(&self) -> usize {
        self.out.iter().product()
    }
    fn window(&self) -> usize {
        self.kernel.iter().product()
    }
    fn shifts(&self) -> [Vec<isize>; 3] {
        std::array::from_fn(|i| (0..self.kernel[i]).map(|t| (t * self.dilation[i]) as isize - self.padding[i]).collect())
    }

    /// # Safety
    /// The operands must have the job's sizes.
    unsafe fn forward<T: Scalar>(&self, x: &Bytes, w: &Bytes, bias: *const T, y: &Bytes) -> Result<()> {
        let (c, o) = (self.c / self.groups, self.o / self.groups);
        // SAFETY: the caller's promise.
        unsafe {
            if let Some(plan) = self.tiled_forward::<T>(o) {
                return self.tiles(&plan, false, x, w, bias.cast(), y);
            }
            if let Some(plan) = self.wide_forward::<T>() {
                return self.panels(&plan, (c * self.window(), self.window()), x, w, bias, y);
            }
            let Some(view) = View::new(self.size, self.out, self.stride, self.shifts()) else { return Ok(()) };
            let taps: Vec<usize> = (0..self.window()).collect();
            let plan = self.plan::<T>(view, (c, o), self.out, [0; 3], [1; 3]);
            self.bands::<T>(&plan, &taps, (c * self.window(), self.window()), x, w, bias, y)
        }
    }

    /// The transposed map: from cotangents of the result to those of the image.
    ///
    /// # Safety
    /// The operands must have the job's sizes.
    unsafe fn input<T: Scalar>(&self, y: &Bytes, w: &Bytes, bias: *const T, x: &Bytes) -> Result<()> {
        let (c, o) = (self.c / self.groups, self.o / self.groups);
        // SAFETY: the caller's promise.
        unsafe {
            if let Some(plan) = self.tiled_input::<T>() {
                return self.tiles(&plan, true, y, w, bias.cast(), x);
            }
            if let Some(plan) = self.wide_input::<T>() {
                return self.panels(&plan, (self.window(), c * self.window()), y, w, bias, x);
            }
            let mut plans = Vec::new();
            for phase in self.phases() {
                let shifts = std::array::from_fn(|i| phase.met[i].iter().map(|&t| self.shift(phase.first, i, t)).collect());
                let count = std::array::from_fn(|i| (self.size[i] - phase.first[i]).div_ceil(self.stride[i]));
                let (first, taps) = (phase.first, phase.taps(self.kernel));
                plans.push(View::new(self.out, count, [1; 3], shifts).map(|view| (view, first, taps)));
            }
            if self.out.contains(&0) || plans.iter().any(Option::is_none) {
                self.fill(bias, x);
            }
            for (view, first, taps) in plans.into_iter().flatten() {
                let plan = self.plan::<T>(view, (o, c), self.size, first, self.stride);
                self.bands::<T>(&plan, &taps, (self.window(), c * self.window()), y, w, bias, x)?;
            }
        }
        Ok(())
    }

    /// Elements that no tap meets: the bias, or 0.
    unsafe fn fill<T: Scalar>(&self, bias: *const T, x: &Bytes) {
        let area = self.area();
        for p in 0..self.n * self.c {
            // SAFETY: the caller promises the job's planes, and a bias for each channel.
            unsafe {
                let value = if bias.is_null() { T::default() } else { *bias.add(p % self.c) };
                std::slice::from_raw_parts_mut(x.at(0).cast::<T>().add(p * area), area).fill(value);
            }
        }
    }

    fn plan<T: Scalar>(
        &self,
        mut view: View,
        (c, o): (usize, usize),
        out: [usize; 3],
        first: [usize; 3],
        leap: [usize; 3],
    ) -> direct::Plan {
        let (area, space) = (view.pitch.0, out.iter().product::<usize>());
        let mut pitch = (space, out[1] * out[2]);
        let mut images = self.n;
        let windows = view.band(0, view.count[view.axis]).flat;
        let flat = view.is_flat() && out[0] == 1 && leap[0] == 1;
        if flat && self.n > 1 && windows < WINDOWS {
            // The images become the first axis, so that a band may hold several.
            view.stack(self.n, area * c * self.groups);
            (pitch.1, images) = (space * o * self.groups, 1);
        }
        let all = view.count[view.axis];
        let mut band = view.cut(c, BAND);
        if images < self.n {
            band = band.max(WINDOWS.div_ceil(windows)).min(all);
        }
        let many = images * self.groups;
        let work = c * o * view.taps() * view.count.iter().product::<usize>() * many;
        if work >= TASKS * TASK && many * all.div_ceil(band) < TASKS {
            band = all.div_ceil(TASKS.div_ceil(many).min(all));
        }
        let mut plan = direct::Plan { c, o, view, out, first, leap, pitch, block: (1, 1), lanes: 1, band, images, bands: Vec::new() };
        // SAFETY: the level is one that this machine has.
        unsafe { T::settle()[isa::level()](&mut plan) };
        plan
    }

    /// All images and groups, band by band.
    #[allow(clippy::too_many_arguments)]
    unsafe fn bands<T: Scalar>(
        &self,
        plan: &direct::Plan,
        taps: &[usize],
        strides: (usize, usize),
        from: &Bytes,
        w: &Bytes,
        bias: *const T,
        to: &Bytes,
    ) -> Result<()> {
        let (each, blocks) = (plan.weights(), plan.o.div_ceil(plan.block.0));
        stop::afford("conv", (self.groups * each + threads::count() * plan.room()) * size_of::<T>())?;
        let mut laid = Room::<T>::new(self.groups * each);
        let laid = laid.bytes();
        let group = self.c / self.groups * (self.o / self.groups) * self.window();
        let step = (TASK / (each / blocks).max(1)).max(1);
        let bias = Bytes(bias.cast_mut().cast());
        threads::heavy(self.groups * blocks, step, |range| {
            for k in range {
                let (g, block) = (k / blocks, k % blocks);
                // SAFETY: each block lies inside the room, and is written by one thread.
                unsafe {
                    let weights = w.at(0).cast::<T>().add(g * group);
                    direct::lay(plan, block..block + 1, weights, strides, taps, laid.at(0).cast::<T>().add(g * each));
                }
            }
        });
        let bands = plan.bands.len();
        let (area, space) = (plan.view.pitch.0, plan.pitch.0);
        let run = T::direct()[isa::level()];
        threads::heavy(plan.images * self.groups * bands, (TASK / plan.work().max(1)).max(1), |range: Range<usize>| {
            let mut room = Room::<T>::new(plan.room());
            for k in range {
                let (part, image) = (k % bands, k / bands);
                let g = image % self.groups;
                // SAFETY: every task has its own part of the result.
                unsafe {
                    let bias = bias.at(0).cast::<T>().cast_const();
                    let task = direct::Task {
                        from: from.at(0).cast::<T>().add(image * plan.c * area).cast_const(),
                        weights: laid.at(0).cast::<T>().add(g * each).cast_const(),
                        bias: if bias.is_null() { bias } else { bias.add(g * plan.o) },
                        to: to.at(0).cast::<T>().add(image * plan.o * space),
                        room: room.at(),
                        band: part,
                    };
                    run(plan, &task);
                }
            }
        });
        Ok(())
    }

    /// The gradients in weight and bias: parts over some images and rows each, added in order.
    ///
    /// # Safety
    /// The operands must have the job's sizes.
    unsafe fn weight<T: Scalar>(&self, x: &Bytes, y: &Bytes, w: &Bytes, bias: Option<Bytes>) -> Result<()> {
        let (c, o) = (self.c / self.groups, self.o / self.groups);
        let columns = c * self.window();
        let (area, space) = (self.area(), self.space());
        // SAFETY: the caller's promise.
        let view = unsafe {
            std::slice::from_raw_parts_mut(w.at(0).cast::<T>(), self.o * columns).fill(T::default());
            if let Some(b) = &bias {
                std::slice::from_raw_parts_mut(b.at(0).cast::<T>(), self.o).fill(T::default());
            }
            match View::new(self.size, self.out, self.stride, self.shifts()) {
                Some(_) if self.n == 0 || self.area() == 0 => None,
                found => found,
            }
        };
        if view.is_none() {
            return Ok(());
        }
        let tiled = self.tiled_forward::<T>(o);
        let even = |all: usize, most: usize| all.div_ceil(all.div_ceil(most.max(1)));
        // Images that are copied are parted by their channels, so that nothing is copied twice.
        let (rows, wide) = match &tiled {
            Some(plan) => (even(o, (HELD / (4 * plan.points() * plan.taps[0] * c) / ROWS * ROWS).max(ROWS)), c),
            None if view.as_ref().is_some_and(View::is_plain) => (even(o, 2 * ROWS), c),
            None => (o, even(c, SHEET / (size_of::<T>() * o * self.window()))),
        };
        let (sheets, across) = (o.div_ceil(rows) * c.div_ceil(wide), c.div_ceil(wide));
        let corner = |sheet: usize| (sheet / across * rows, sheet % across * wide);
        let tiles = |rows: usize| tiled.as_ref().and_then(|_| self.tiled_forward::<T>(rows));
        let products = |c: usize, rows: usize| -> Option<weight::Plan> {
            let view = View::new(self.size, self.out, self.stride, self.shifts())?;
            let mut plan = weight::Plan { c, o: rows, view, leap: (self.c * area, self.o * space), lanes: 1, turned: false };
            // SAFETY: the level is one that this machine has.
            unsafe { T::settle_weight()[isa::level()](&mut plan) };
            Some(plan)
        };
        let group = tiles(rows).map_or(1, |plan| plan.group);
        let parts = TASKS.div_ceil(self.groups * sheets).min(self.n.div_ceil(group));
        let images = self.n.div_ceil(parts).next_multiple_of(group);
        let parts = self.n.div_ceil(images);
        // Each part: the rows' gradients, and the sums of the cotangent.
        let each = (wide * self.window() + 1) * rows;
        let held = tiles(rows).map_or(0, |plan| plan.room_back(winograd::lanes()));
        stop::afford("conv", (self.groups * sheets * parts * each + threads::count() * held) * size_of::<T>())?;
        let mut made = Room::<T>::new(self.groups * sheets * parts * each);
        let made = made.bytes();
        threads::heavy(self.groups * sheets * parts, 1, |range| {
            for k in range {
                let (part, sheet, g) = (k % parts, k / parts % sheets, k / parts / sheets);
                let (first, (row, channel)) = (part * images, corner(sheet));
                let (some, count) = (rows.min(o - row), images.min(self.n - first));
                let columns = wide.min(c - channel) * self.window();
                // SAFETY: every task writes its own part.
                unsafe {
                    let from = x.at(0).cast::<T>().add((first * self.c + g * c + channel) * area).cast_const();
                    let grad = y.at(0).cast::<T>().add((first * self.o + g * o + row) * space).cast_const();
                    let to = made.at(0).cast::<T>().add(k * each);
                    if let Some(plan) = tiles(some) {
                        let lanes = winograd::lanes();
                        let mut room = Room::<f32>::new(plan.room_back(lanes) + plan.part(lanes));
                        let at = room.at();
                        let task = winograd::Task {
                            from: from.cast(),
                            weights: grad.cast(),
                            bias: std::ptr::null(),
                            to: at.add(plan.room_back(lanes)),
                            room: at,
                            images: count,
                            slices: (0, 0),
                            strips: (0, 0),
                        };
                        winograd::backward[isa::level()](&plan, &task);
                        turn_back(task.to.cast::<T>(), some.next_multiple_of(lanes), some, columns, to);
                    } else if let Some(plan) = products(columns / self.window(), some) {
                        let mut part = vec![T::default(); plan.part()];
                        let task = weight::Task { from, grad, images: count, to: part.as_mut_ptr() };
                        T::weight()[isa::level()](&plan, &task);
                        if plan.turned {
                            turn_back(part.as_ptr(), plan.rows(), some, columns, to);
                        } else {
                            to.copy_from_nonoverlapping(part.as_ptr(), some * (columns + 1));
                        }
                    }
                }
            }
        });
        for k in 0..self.groups * sheets * parts {
            let (sheet, g) = (k / parts % sheets, k / parts / sheets);
            let (row, channel) = corner(sheet);
            let (row, some, many) = (g * o + row, rows.min(o - row), wide.min(c - channel) * self.window());
            // SAFETY: the parts have been written, and the rows lie inside the results.
            unsafe {
                let from = made.at(0).cast::<T>().add(k * each);
                let to = w.at(0).cast::<T>().add(row * columns + channel * self.window());
                for k in 0..some {
                    add(to.add(k * columns), from.add(k * many), many);
                }
                if let Some(b) = bias.as_ref().filter(|_| channel == 0) {
                    add(b.at(0).cast::<T>().add(row), from.add(some * many), some);
                }
            }
        }
        Ok(())
    }
}

/// `[column][pitch]` to `[row][column]`, and the last row of sums behind it.
unsafe fn turn_back<T: Float>(from: *const T, pitch: usize, rows: usize, columns: usize, to: *mut T) {
    // SAFETY: the caller promises `columns + 1` rows of the pitch, and as many elements as are kept.
    unsafe {
        let turn = super::block::mover(size_of::<T>());
        turn(from.cast(), (1, pitch as isize), to.cast(), (columns as isize, 1), rows, columns);
        to.add(rows * columns).copy_from_nonoverlapping(from.add(columns * pitch), rows);
    }
}

unsafe fn add<T: Float>(to: *mut T, from: *const T, n: usize) {
    for k in 0..n {
        // SAFETY: the caller promises `n` elements on both sides.
        unsafe { *to.add(k) = *to.add(k) + *from.add(k) };
    }
}
