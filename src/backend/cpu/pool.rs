//! The largest element of every window and where it stands, and values put back where they were found. Leans on convert.

use super::convert::{self, Bytes, Cursor};
use super::{isa, stop, threads};
use crate::backend::launch::{Operand, Span};
use crate::base::dtype::Element;
use crate::base::{DType, Error, Result};
use crate::dispatch;

/// Elements of a chunk of planes, about.
const CHUNK: usize = 1 << 14;
/// Windows of a row that are compared together.
pub const LANES: usize = 16;

/// `input` is (n, c, sizes...), the outputs (n, c, places...). A window's NaN is its largest element.
pub fn run(input: &Operand, spans: &[Span], values: &Operand, places: &Operand) -> Result<()> {
    let sizes = &input.layout.shape[2..];
    let area: usize = sizes.iter().product();
    let count: usize = values.layout.shape[2..].iter().product();
    let planes = values.layout.shape[0] * values.layout.shape[1];
    if planes == 0 || count == 0 {
        return Ok(());
    }
    let whole = [input, values, places].iter().all(|x| x.layout.is_contiguous()) && places.dtype == DType::I64 && area > 0;
    if let (Some(even), true) = (Even::of(sizes, spans), whole && area < i32::MAX as usize) {
        match input.dtype {
            DType::F32 => {
                even.run(f32_planes[isa::level()], input, values, places);
                return Ok(());
            }
            DType::F64 => {
                even.run(f64_planes[isa::level()], input, values, places);
                return Ok(());
            }
            _ => {}
        }
    }
    let from = Cursor::new(&input.layout);
    let (to, at) = (Cursor::new(&values.layout), Cursor::new(&places.layout));
    dispatch!(input.dtype, T => {
        threads::each(planes, ((1 << 13) / count).max(1), |range| {
            let (mut plane, mut best, mut found) = (vec![T::default(); area], vec![T::default(); count], vec![0i64; count]);
            let spare = Bytes(plane.as_mut_ptr().cast());
            for p in range {
                // SAFETY: the lists hold `area` and `count` elements; each plane of the outputs is written by one thread.
                unsafe {
                    if area > 0 {
                        convert::read::<T>(input, &from, p * area, area, spare.at(0).cast());
                    }
                    pool(&plane, sizes, spans, &mut best, &mut found);
                    convert::write_as(T::DTYPE, best.as_ptr().cast(), values, &to, p * count, count);
                    convert::write_as(DType::I64, found.as_ptr().cast(), places, &at, p * count, count);
                }
            }
        });
    });
    Ok(())
}

/// Windows whose last axis is regular: every row's largest elements are found first, then those of rows among each other.
struct Even<'a> {
    outer: &'a [Span<'a>],
    sizes: &'a [usize],
    start: i64,
    stride: usize,
    count: usize,
    step: usize,
    /// Windows in a row.
    wide: usize,
}

/// What a plane's work needs beside its operands.
struct Room<T> {
    /// Largest elements of the windows of every row, and their columns.
    best: Vec<T>,
    at: Vec<i32>,
    /// A row with what is beside it, and its elements of either remainder by two.
    padded: Vec<T>,
    parts: [Vec<T>; 2],
    /// Largest elements of rows of windows, their places, and the numbers 0, 1... times the stride.
    top: Vec<T>,
    spots: Vec<i32>,
    columns: Vec<i32>,
}

/// One plane: `(windows, rows of the plane for each row of windows, plane, values, places, room)`.
type Planes<T> = unsafe fn(&Even, &[Vec<usize>], *const T, *mut T, *mut i64, &mut Room<T>);

impl<'a> Even<'a> {
    fn of(sizes: &'a [usize], spans: &'a [Span<'a>]) -> Option<Even<'a>> {
        let (last, outer) = spans.split_last()?;
        let stride = if last.starts.len() > 1 { last.starts[1] - last.starts[0] } else { 1 };
        let even = last.starts.windows(2).all(|w| w[1] - w[0] == stride) && last.counts.iter().all(|&c| c == last.counts[0]);
        let (start, count) = (*last.starts.first()?, *last.counts.first()?);
        (even && stride > 0 && count > 0 && last.step > 0).then_some(Even {
            outer,
            sizes,
            start,
            stride: stride as usize,
            count: count as usize,
            step: last.step as usize,
            wide: last.starts.len(),
        })
    }

    fn run<T: Element + PartialOrd>(&self, work: Planes<T>, input: &Operand, values: &Operand, places: &Operand) {
        let area: usize = self.sizes.iter().product();
        let (width, pitch) = (self.sizes[self.sizes.len() - 1], self.pitch());
        let count: usize = values.layout.shape[2..].iter().product();
        let lists = self.lines(count / self.wide);
        let lowest = T::from_f64(f64::NEG_INFINITY);
        let (from, to, at) = (Bytes(input.ptr()), Bytes(values.ptr()), Bytes(places.ptr()));
        threads::each(values.layout.shape[0] * values.layout.shape[1], (CHUNK / area).max(1), |range| {
            let rows = area / width * pitch;
            let half = self.reach() / 2;
            let mut room = Room {
                best: vec![lowest; rows],
                at: vec![0; rows],
                padded: vec![lowest; self.reach()],
                parts: [vec![lowest; half], vec![lowest; half]],
                top: vec![lowest; pitch],
                spots: vec![0; pitch],
                columns: (0..pitch).map(|x| (x * self.stride) as i32).collect(),
            };
            for p in range {
                // SAFETY: each plane lies inside its operand, and is written by one thread.
                unsafe {
                    let (from, to) = (from.at(0).cast::<T>().add(p * area), to.at(0).cast::<T>().add(p * count));
                    work(self, &lists, from, to, at.at(0).cast::<i64>().add(p * count), &mut room);
                }
            }
        });
    }

    fn pitch(&self) -> usize {
        self.wide.next_multiple_of(LANES)
    }
    /// Elements from the first that a row's windows meet on, with those of windows that fill up the lanes; an even number.
    fn reach(&self) -> usize {
        (self.pitch() * self.stride + self.count * self.step).next_multiple_of(2)
    }

    /// # Safety
    /// The plane must hold the sizes' elements, `values` and `places` one for each window.
    #[inline(always)]
    unsafe fn plane<T: Element + PartialOrd>(
        &self,
        lists: &[Vec<usize>],
        plane: *const T,
        values: *mut T,
        places: *mut i64,
        room: &mut Room<T>,
    ) {
        let area: usize = self.sizes.iter().product();
        let width = self.sizes[self.sizes.len() - 1];
        let (lines, pitch, reach) = (area / width, self.pitch(), self.reach());
        let lowest = T::from_f64(f64::NEG_INFINITY);
        let before = (-self.start).clamp(0, reach as i64) as usize;
        let end = self.start + ((self.wide - 1) * self.stride + (self.count - 1) * self.step) as i64;
        let fits = self.start >= 0 && end < width as i64;
        let padded = &mut room.padded;
        // SAFETY: rows are read inside of the plane or from their padded copy.
        unsafe {
            for line in 0..lines {
                let row = plane.add(line * width);
                let first = if fits && line * width + self.start as usize + reach <= area {
                    row.add(self.start as usize)
                } else {
                    let skip = (self.start.max(0) as usize).min(width);
                    let n = (width - skip).min(reach - before);
                    padded[..before].fill(lowest);
                    padded.as_mut_ptr().add(before).copy_from_nonoverlapping(row.add(skip), n);
                    padded[before + n..].fill(lowest);
                    padded.as_ptr()
                };
                let some = line * pitch..(line + 1) * pitch;
                let (best, at) = (&mut room.best[some.clone()], &mut room.at[some]);
                best.fill(lowest);
                self.begin(&room.columns, width, at);
                if self.stride == 2 {
                    let [even, odd] = &mut room.parts;
                    for (k, (even, odd)) in even.iter_mut().zip(odd.iter_mut()).enumerate() {
                        (*even, *odd) = (*first.add(2 * k), *first.add(2 * k + 1));
                    }
                }
                for j in 0..self.count {
                    let (far, column) = (j * self.step, (self.start + (j * self.step) as i64) as i32);
                    match self.stride {
                        1 => better(first.add(far), 1, column, &room.columns, best, at),
                        2 => better(room.parts[far % 2].as_ptr().add(far / 2), 1, column, &room.columns, best, at),
                        other => better(first.add(far), other, column, &room.columns, best, at),
                    }
                }
            }
            for (out, list) in lists.iter().enumerate() {
                self.across(list, &room.best, &room.at, &mut room.top, &mut room.spots, width);
                let values = std::slice::from_raw_parts_mut(values.add(out * self.wide), self.wide);
                let places = std::slice::from_raw_parts_mut(places.add(out * self.wide), self.wide);
                values.copy_from_slice(&room.top[..self.wide]);
                for (place, &spot) in places.iter_mut().zip(&room.spots) {
                    *place = i64::from(spot);
                }
            }
        }
    }

    /// The first column of each window that is inside, should nothing be above minus infinity.
    #[inline(always)]
    fn begin(&self, columns: &[i32], size: usize, at: &mut [i32]) {
        let (start, step) = (self.start as i32, self.step as i32);
        for (at, &column) in at.iter_mut().zip(columns) {
            let first = start + column;
            *at = first.min(size as i32 - 1);
            if start < 0 && first < 0 {
                *at = (first + (-first + step - 1) / step * step).min(size as i32 - 1);
            }
        }
    }

    /// The best of some rows, the first of equal ones, and their places in the plane.
    #[inline(always)]
    fn across<T: Element + PartialOrd>(&self, list: &[usize], best: &[T], at: &[i32], top: &mut [T], spots: &mut [i32], width: usize) {
        let pitch = self.pitch();
        let lowest = T::from_f64(f64::NEG_INFINITY);
        top.fill(lowest);
        spots.fill(0);
        for (k, &line) in list.iter().enumerate() {
            let (best, at) = (&best[line * pitch..][..pitch], &at[line * pitch..][..pitch]);
            if k == 0 {
                top.copy_from_slice(best);
                for (spot, &column) in spots.iter_mut().zip(at) {
                    *spot = (line * width) as i32 + column;
                }
            } else {
                // SAFETY: the row holds as many elements as the lists.
                unsafe { better(best.as_ptr(), 1, (line * width) as i32, at, top, spots) };
            }
        }
        let all = ((self.count - 1) * self.step) as i64;
        if self.start + all < 0 || self.start + ((self.wide - 1) * self.stride) as i64 >= width as i64 {
            // In a window that lies beside the axis nothing is found.
            for (x, (top, spot)) in top.iter_mut().zip(spots).enumerate() {
                let start = self.start + (x * self.stride) as i64;
                if start + all < 0 || start >= width as i64 {
                    (*top, *spot) = (lowest, 0);
                }
            }
        }
    }

    /// For each row of windows the rows of the plane that it meets, in order.
    fn lines(&self, outs: usize) -> Vec<Vec<usize>> {
        let mut spot = vec![0usize; self.outer.len()];
        let mut lists = Vec::with_capacity(outs);
        for _ in 0..outs {
            let mut list = vec![0usize];
            for (i, span) in self.outer.iter().enumerate() {
                let at = |j: i64| span.starts[spot[i]] + j * span.step;
                let met = (0..span.counts[spot[i]]).map(at).filter(|&x| x >= 0 && x < self.sizes[i] as i64);
                let met: Vec<usize> = met.map(|x| x as usize).collect();
                list = list.iter().flat_map(|&base| met.iter().map(move |&x| base * self.sizes[i] + x)).collect();
            }
            lists.push(list);
            for i in (0..spot.len()).rev() {
                spot[i] += 1;
                if spot[i] < self.outer[i].starts.len() {
                    break;
                }
                spot[i] = 0;
            }
        }
        lists
    }
}

/// Elements at a distance from one another. Every other one is taken out of whole vectors, which gathering would not do.
///
/// # Safety
/// `from` must hold `LANES` times `stride` elements.
#[inline(always)]
pub unsafe fn every<T: Element>(from: *const T, stride: usize) -> [T; LANES] {
    let mut list = [T::default(); LANES];
    // SAFETY: the caller's promise.
    unsafe {
        if stride == 2 {
            let both = from.cast::<[[T; 2]; LANES]>().read_unaligned();
            for l in 0..LANES {
                list[l] = both[l][0];
            }
        } else {
            for (l, x) in list.iter_mut().enumerate() {
                *x = *from.add(l * stride);
            }
        }
    }
    list
}

/// Puts what is larger in the place of what was found before: the first of equal ones stays, and the first NaN.
///
/// # Safety
/// `row` must hold as many elements at the distance as the lists have.
#[inline(always)]
unsafe fn better<T: Element + PartialOrd>(row: *const T, stride: usize, first: i32, columns: &[i32], best: &mut [T], at: &mut [i32]) {
    for (k, ((best, at), &column)) in best.iter_mut().zip(at).zip(columns).enumerate() {
        // SAFETY: the caller's promise.
        let (new, old) = (unsafe { *row.add(k * stride) }, *best);
        // Without branches, so that many are compared at once.
        let wins = (new > old) | (is_nan(new) & !is_nan(old));
        *best = if wins { new } else { old };
        *at = if wins { first + column } else { *at };
    }
}

#[inline(always)]
fn is_nan<T: Element>(x: T) -> bool {
    x.to_f64().is_nan()
}

macro_rules! planes {
    ($t:ty, $name:ident, $inner:ident) => {
        #[inline(always)]
        unsafe fn $inner<const FMA: bool>(
            even: &Even,
            lists: &[Vec<usize>],
            plane: *const $t,
            values: *mut $t,
            places: *mut i64,
            room: &mut Room<$t>,
        ) {
            // SAFETY: the caller's promise.
            unsafe { even.plane::<$t>(lists, plane, values, places, room) }
        }
        crate::per_isa!(static $name: unsafe fn(even: &Even, lists: &[Vec<usize>], plane: *const $t, values: *mut $t, places: *mut i64, room: &mut Room<$t>) = $inner);
    };
}
planes!(f32, f32_planes, f32_planes_of);
planes!(f64, f64_planes, f64_planes_of);

/// `out` (n, c, sizes...) is 0 but for `values` (n, c, places...), which are added where `places` says in the flattened sizes.
pub fn back(values: &Operand, places: &Operand, out: &Operand) -> Result<()> {
    if [values, places, out].iter().any(|x| !x.layout.is_contiguous()) || places.dtype != DType::I64 || values.dtype != out.dtype {
        return Err(Error::bug("max_pool", "operands that lie in rows were promised"));
    }
    let planes = out.layout.shape[0] * out.layout.shape[1];
    let each = |x: &Operand| x.layout.shape[2..].iter().product::<usize>();
    let (area, count) = (each(out), each(values));
    let (from, at, to) = (Bytes(values.ptr()), Bytes(places.ptr()), Bytes(out.ptr()));
    dispatch!(out.dtype, T => threads::each(planes, (CHUNK / area.max(1)).max(1), |range| for p in range {
        // SAFETY: each plane lies inside its operand, and is written by one thread.
        let (plane, values, places) = unsafe {
            (
                std::slice::from_raw_parts_mut(to.at(0).cast::<T>().add(p * area), area),
                std::slice::from_raw_parts(from.at(0).cast::<T>().add(p * count), count),
                std::slice::from_raw_parts(at.at(0).cast::<i64>().add(p * count), count),
            )
        };
        plane.fill(T::default());
        for (&v, &place) in values.iter().zip(places) {
            if let Some(cell) = plane.get_mut(place as usize) {
                *cell = super::windows::sum(*cell, v);
            }
        }
        if area > CHUNK && stop::asked() {
            return;
        }
    }));
    Ok(())
}

fn pool<T: Element>(plane: &[T], sizes: &[usize], spans: &[Span], best: &mut [T], found: &mut [i64]) {
    let d = sizes.len();
    let mut spot = vec![0usize; d];
    let mut inside: Vec<Vec<usize>> = vec![Vec::new(); d];
    for k in 0..best.len() {
        for (i, span) in spans.iter().enumerate() {
            let start = span.starts[spot[i]];
            let all = (0..span.counts[spot[i]]).map(|j| start + j * span.step);
            inside[i].clear();
            inside[i].extend(all.filter(|&p| p >= 0 && p < sizes[i] as i64).map(|p| p as usize));
        }
        let mut top: Option<(T, usize)> = None;
        each(&inside, sizes, 0, 0, &mut |at| {
            let v = plane[at];
            let wins = match top {
                None => true,
                Some((t, _)) if T::DTYPE.is_float() => v.to_f64() > t.to_f64() || v.to_f64().is_nan() && !t.to_f64().is_nan(),
                Some((t, _)) => v.to_i64() > t.to_i64(),
            };
            if wins {
                top = Some((v, at));
            }
        });
        let (v, at) = top.unwrap_or((T::from_f64(f64::NEG_INFINITY), 0));
        (best[k], found[k]) = (v, at as i64);
        for i in (0..d).rev() {
            spot[i] += 1;
            if spot[i] < spans[i].starts.len() {
                break;
            }
            spot[i] = 0;
        }
    }
}

/// Calls `visit` with the flat place of every element of a window, in order.
fn each(inside: &[Vec<usize>], sizes: &[usize], axis: usize, base: usize, visit: &mut dyn FnMut(usize)) {
    if axis + 1 == sizes.len() {
        inside[axis].iter().for_each(|&p| visit(base * sizes[axis] + p));
    } else {
        inside[axis].iter().for_each(|&p| each(inside, sizes, axis + 1, base * sizes[axis] + p, visit));
    }
}
