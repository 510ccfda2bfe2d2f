//! The mean of every window of an image, and means spread back over their windows: rows first, then rows with one another.
//! Leans on pool and convert.

use super::convert::{self, Bytes};
use super::pool::{LANES, every};
use super::{isa, threads};
use crate::backend::Storage;
use crate::backend::launch::{Geometry, Operand};
use crate::base::dtype::Element;
use crate::base::{DType, Error, Layout, Result};
use std::ops::{AddAssign, Div};

/// Elements of a chunk of planes, about.
const CHUNK: usize = 1 << 14;

/// The windows of a plane: which rows meet which, and what each sum is divided by.
struct Windows<T> {
    size: usize,
    wide: usize,
    start: usize,
    stride: usize,
    count: usize,
    /// For each row of windows the rows of the plane that it meets.
    met: Vec<Vec<usize>>,
    /// For each row of the plane the rows of windows that meet it.
    meets: Vec<Vec<usize>>,
    divisors: Vec<T>,
}

struct Room<T> {
    sums: Vec<T>,
    line: Vec<T>,
}

impl<T: Element + AddAssign> Windows<T> {
    fn new(sizes: &[usize], places: &[usize], g: &Geometry, include: bool, divisor: Option<f64>) -> Windows<T> {
        let d = sizes.len();
        let start = |i: usize, q: usize| (q * g.stride[i]) as isize - g.padding[i];
        let share = |i: usize, q: usize| {
            let (a, n, k) = (start(i, q), sizes[i] as isize, g.kernel[i] as isize);
            if include { (a + k).min(n + g.padding[i]) - a } else { (a + k).min(n) - a.max(0) }
        };
        let (mut met, mut spot) = (Vec::new(), vec![0usize; d]);
        let count: usize = places.iter().product();
        let mut divisors = Vec::with_capacity(count);
        for k in 0..count {
            let product = (0..d).map(|i| share(i, spot[i]) as f64).product();
            divisors.push(T::from_f64(divisor.unwrap_or(product)));
            if k % places[d - 1] == 0 {
                let mut list = vec![0usize];
                for i in 0..d - 1 {
                    let (from, to) = (start(i, spot[i]).max(0), (start(i, spot[i]) + g.kernel[i] as isize).min(sizes[i] as isize));
                    list = list.iter().flat_map(|&base| (from..to).map(move |x| base * sizes[i] + x as usize)).collect();
                }
                met.push(list);
            }
            for i in (0..d).rev() {
                spot[i] += 1;
                if spot[i] < places[i] {
                    break;
                }
                spot[i] = 0;
            }
        }
        let mut meets = vec![Vec::new(); sizes[..d - 1].iter().product()];
        for (row, list) in met.iter().enumerate() {
            list.iter().for_each(|&line| meets[line].push(row));
        }
        let last = d - 1;
        Windows {
            size: sizes[last],
            wide: places[last],
            start: g.padding[last].max(0) as usize,
            stride: g.stride[last],
            count: g.kernel[last],
            met,
            meets,
            divisors,
        }
    }

    fn pitch(&self) -> usize {
        self.wide.next_multiple_of(LANES)
    }
    fn room(&self) -> Room<T> {
        let line = (self.pitch() * self.stride + self.count).max(self.start + self.size);
        let rows = self.meets.len().max(self.met.len());
        Room { sums: vec![T::default(); (rows + 1) * self.pitch()], line: vec![T::default(); line] }
    }

    /// # Safety
    /// `plane` must hold an image's elements, `means` one for each window.
    #[inline(always)]
    unsafe fn forward(&self, plane: *const T, means: *mut T, room: &mut Room<T>)
    where
        T: Div<Output = T>,
    {
        let pitch = self.pitch();
        // SAFETY: the caller's promise; a line has room for the windows that fill up the lanes.
        unsafe {
            for line in 0..self.meets.len() {
                room.line.as_mut_ptr().add(self.start).copy_from_nonoverlapping(plane.add(line * self.size), self.size);
                let (from, to) = (room.line.as_ptr(), room.sums.as_mut_ptr().add(line * pitch));
                match (self.stride, self.count) {
                    (1, n) => sums(from, 1, n, pitch, to),
                    (2, 2) => sums(from, 2, 2, pitch, to),
                    (2, n) => sums(from, 2, n, pitch, to),
                    (s, n) => sums(from, s, n, pitch, to),
                }
            }
            for (row, list) in self.met.iter().enumerate() {
                for from in (0..pitch).step_by(LANES) {
                    let mut total = [T::default(); LANES];
                    for &line in list {
                        add(&mut total, &room.sums[line * pitch + from..]);
                    }
                    let at = row * self.wide + from;
                    for (l, &sum) in total.iter().enumerate().take(LANES.min(self.wide - from)) {
                        *means.add(at + l) = sum / self.divisors[at + l];
                    }
                }
            }
        }
    }

    /// # Safety
    /// As `forward`, the other way.
    #[inline(always)]
    unsafe fn back(&self, means: *const T, plane: *mut T, room: &mut Room<T>)
    where
        T: Div<Output = T>,
    {
        let (pitch, rows) = (self.pitch(), self.met.len());
        // SAFETY: the caller's promise; a line has room for the windows that fill up the lanes.
        unsafe {
            for row in 0..rows {
                for x in 0..self.wide {
                    let at = row * self.wide + x;
                    room.sums[row * pitch + x] = *means.add(at) / self.divisors[at];
                }
            }
            for (line, list) in self.meets.iter().enumerate() {
                let (shares, total) = room.sums.split_at_mut(rows.max(self.meets.len()) * pitch);
                for from in (0..pitch).step_by(LANES) {
                    let mut sum = [T::default(); LANES];
                    for &row in list {
                        add(&mut sum, &shares[row * pitch + from..]);
                    }
                    total[from..from + LANES].copy_from_slice(&sum);
                }
                room.line.fill(T::default());
                let to = room.line.as_mut_ptr();
                match (self.stride, self.count) {
                    (2, 2) => spread(total.as_ptr(), 2, 2, self.wide, to),
                    (s, n) => spread(total.as_ptr(), s, n, self.wide, to),
                }
                plane.add(line * self.size).copy_from_nonoverlapping(to.add(self.start), self.size);
            }
        }
    }
}

#[inline(always)]
fn add<T: Copy + AddAssign>(sums: &mut [T; LANES], from: &[T]) {
    let from = &from[..LANES];
    for l in 0..LANES {
        sums[l] += from[l];
    }
}

#[inline(always)]
unsafe fn sums<T: Element + AddAssign>(row: *const T, stride: usize, count: usize, windows: usize, to: *mut T) {
    for from in (0..windows).step_by(LANES) {
        let mut total = [T::default(); LANES];
        for j in 0..count {
            // SAFETY: the caller promises as many elements as the windows reach.
            add(&mut total, &unsafe { every(row.add(from * stride + j), stride) });
        }
        // SAFETY: and room for them.
        unsafe { to.add(from).cast::<[T; LANES]>().write_unaligned(total) };
    }
}

#[inline(always)]
unsafe fn spread<T: Element + AddAssign>(from: *const T, stride: usize, count: usize, windows: usize, to: *mut T) {
    for x in 0..windows {
        for j in 0..count {
            // SAFETY: the caller promises as many elements as the windows reach.
            unsafe { *to.add(x * stride + j) += *from.add(x) };
        }
    }
}

macro_rules! planes {
    ($t:ty, $name:ident, $inner:ident) => {
        #[inline(always)]
        unsafe fn $inner<const FMA: bool>(windows: &Windows<$t>, back: bool, plane: *mut $t, means: *mut $t, room: &mut Room<$t>) {
            // SAFETY: the caller's promise.
            unsafe { if back { windows.back(means, plane, room) } else { windows.forward(plane, means, room) } }
        }
        crate::per_isa!(static $name: unsafe fn(windows: &Windows<$t>, back: bool, plane: *mut $t, means: *mut $t, room: &mut Room<$t>) = $inner);
    };
}
planes!(f32, f32_planes, f32_planes_of);
planes!(f64, f64_planes, f64_planes_of);

/// `image` is (n, c, sizes...), `means` (n, c, places...); both row-major and of one float dtype.
pub fn run(image: &Operand, means: &Operand, geometry: &Geometry, divisor: (Option<f64>, bool), back: bool) -> Result<()> {
    if image.dtype != means.dtype || !image.layout.is_contiguous() || !means.layout.is_contiguous() {
        return Err(Error::bug("avg_pool", "operands of one dtype, row-major, were promised"));
    }
    match image.dtype {
        DType::F32 => go::<f32>(f32_planes[isa::level()], image, means, geometry, divisor, back),
        DType::F64 => go::<f64>(f64_planes[isa::level()], image, means, geometry, divisor, back),
        short if short.is_float() => {
            // Short floats are added in float32, and rounded once.
            let fresh = |x: &Operand| -> Result<Operand> {
                let storage = Storage::shared(x.numel() * DType::F32.size())?;
                Ok(Operand { storage, layout: Layout::contiguous(x.layout.shape.clone()), dtype: DType::F32 })
            };
            let (wide, other) = (fresh(image)?, fresh(means)?);
            let (from, own, to, made) = if back { (means, &other, image, &wide) } else { (image, &wide, means, &other) };
            convert::copy(from, own)?;
            go::<f32>(f32_planes[isa::level()], &wide, &other, geometry, divisor, back);
            return convert::copy(made, to);
        }
        _ => return Err(Error::bug("avg_pool", "floats were promised")),
    }
    Ok(())
}

type Planes<T> = unsafe fn(&Windows<T>, bool, *mut T, *mut T, &mut Room<T>);

fn go<T: Element + AddAssign>(
    work: Planes<T>,
    image: &Operand,
    means: &Operand,
    geometry: &Geometry,
    (given, include): (Option<f64>, bool),
    back: bool,
) {
    let (sizes, places) = (&image.layout.shape[2..], &means.layout.shape[2..]);
    let planes = image.layout.shape[0] * image.layout.shape[1];
    let (area, count) = (sizes.iter().product::<usize>(), places.iter().product::<usize>());
    if planes * area.min(count) == 0 {
        return;
    }
    let windows = Windows::<T>::new(sizes, places, geometry, include, given);
    let (x, y) = (Bytes(image.ptr()), Bytes(means.ptr()));
    threads::each(planes, (CHUNK / area).max(1), |range| {
        let mut room = windows.room();
        for p in range {
            // SAFETY: each plane lies inside its operand, and is written by one thread.
            unsafe { work(&windows, back, x.at(0).cast::<T>().add(p * area), y.at(0).cast::<T>().add(p * count), &mut room) };
        }
    });
}
