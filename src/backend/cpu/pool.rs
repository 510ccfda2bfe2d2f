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
    best: Vec<T>,
    columns: Vec<i32>,
    padded: Vec<T>,
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
            let mut room = Room { best: vec![lowest; rows], columns: vec![0; rows], padded: vec![lowest; self.reach()] };
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
    /// Elements from the first that a row's windows meet to behind the last, with those of windows that fill up the lanes.
    fn reach(&self) -> usize {
        self.pitch() * self.stride + (self.count - 1) * self.step
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
                let (best, at) = (room.best.as_mut_ptr().add(line * pitch), room.columns.as_mut_ptr().add(line * pitch));
                match (self.stride, self.count) {
                    (1, n) => self.row(first, 1, n, width, best, at),
                    (2, 2) => self.row(first, 2, 2, width, best, at),
                    (2, 3) => self.row(first, 2, 3, width, best, at),
                    (2, n) => self.row(first, 2, n, width, best, at),
                    (s, n) => self.row(first, s, n, width, best, at),
                }
            }
            for (out, list) in lists.iter().enumerate() {
                for from in (0..pitch).step_by(LANES) {
                    let n = LANES.min(self.wide - from);
                    let (t, s) = self.across(list, (&room.best, &room.columns), from, width);
                    values.add(out * self.wide + from).copy_from_nonoverlapping(t.as_ptr(), n);
                    for (l, &spot) in s.iter().enumerate().take(n) {
                        *places.add(out * self.wide + from + l) = i64::from(spot);
                    }
                }
            }
        }
    }

    /// The largest elements of the windows of one row and their columns.
    #[inline(always)]
    unsafe fn row<T: Element + PartialOrd>(&self, row: *const T, stride: usize, count: usize, size: usize, best: *mut T, at: *mut i32) {
        let (start, step) = (self.start as i32, self.step);
        for from in (0..self.pitch()).step_by(LANES) {
            let mut t = [T::from_f64(f64::NEG_INFINITY); LANES];
            let mut s = [0i32; LANES];
            for (l, s) in s.iter_mut().enumerate() {
                // The first column of the window that is inside, should nothing be above minus infinity.
                let mut first = start + ((from + l) * stride) as i32;
                if start < 0 {
                    let late = (-first + step as i32 - 1).max(0) / step as i32 * step as i32;
                    first += late;
                }
                *s = first.min(size as i32 - 1);
            }
            for j in 0..count {
                let column = start + (from * stride + j * step) as i32;
                // SAFETY: the caller promises as many elements as the windows reach.
                let list = unsafe { every(row.add(from * stride + j * step), stride) };
                for l in 0..LANES {
                    let v = list[l];
                    let wins = v > t[l] || is_nan(v) && !is_nan(t[l]);
                    t[l] = if wins { v } else { t[l] };
                    s[l] = if wins { column + (l * stride) as i32 } else { s[l] };
                }
            }
            // SAFETY: the caller promises room for all the windows, in whole lanes.
            unsafe {
                best.add(from).cast::<[T; LANES]>().write_unaligned(t);
                at.add(from).cast::<[i32; LANES]>().write_unaligned(s);
            }
        }
    }

    /// The best of some rows, the first of equal ones, and their places in the plane.
    #[inline(always)]
    fn across<T: Element + PartialOrd>(
        &self,
        list: &[usize],
        (best, columns): (&[T], &[i32]),
        from: usize,
        width: usize,
    ) -> ([T; LANES], [i32; LANES]) {
        let pitch = self.pitch();
        let mut t = [T::from_f64(f64::NEG_INFINITY); LANES];
        let mut s = [0i32; LANES];
        let Some((&first, rest)) = list.split_first() else { return (t, s) };
        t.copy_from_slice(&best[first * pitch + from..][..LANES]);
        s.copy_from_slice(&columns[first * pitch + from..][..LANES]);
        for x in &mut s {
            *x += (first * width) as i32;
        }
        for &line in rest {
            let (b, c) = (&best[line * pitch + from..][..LANES], &columns[line * pitch + from..][..LANES]);
            for l in 0..LANES {
                let wins = b[l] > t[l] || is_nan(b[l]) && !is_nan(t[l]);
                t[l] = if wins { b[l] } else { t[l] };
                s[l] = if wins { c[l] + (line * width) as i32 } else { s[l] };
            }
        }
        let all = (self.count - 1) * self.step;
        if self.start + (all as i64) < 0 || self.start + ((self.wide - 1) * self.stride) as i64 >= width as i64 {
            // In a window that lies beside the axis nothing is found.
            for l in 0..LANES {
                let start = self.start + ((from + l) * self.stride) as i64;
                if start + (all as i64) < 0 || start >= width as i64 {
                    (t[l], s[l]) = (T::from_f64(f64::NEG_INFINITY), 0);
                }
            }
        }
        (t, s)
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
