//! Rectangles of elements moved between layouts: rows copied, spread or picked, and turned in registers where the unit step
//! lies across. Leans on convert for other types and isa.

#[cfg(target_arch = "x86_64")]
pub(super) mod squares;

use super::{cast, convert, isa, threads};
use crate::backend::launch::Operand;
use crate::base::layout::Walk;
use crate::base::{DType, Few, Layout};

/// Steps in elements, down and along.
pub type Steps = (isize, isize);

/// Moves `down x along` elements of one size: `(from, its steps, to, its steps, down, along)`.
pub type Move = unsafe fn(*const u8, Steps, *mut u8, Steps, usize, usize);

/// How elements of this many bytes are moved on this machine.
pub fn mover(size: usize) -> Move {
    match size {
        1 => bytes[isa::level()],
        2 => halves[isa::level()],
        4 => turning_words()[isa::level()],
        8 => turning_doubles()[isa::level()],
        _ => quads[isa::level()],
    }
}

macro_rules! sizes {
    ($($name:ident $inner:ident $t:ty),*) => {$(
        #[inline(always)]
        unsafe fn $inner<const FMA: bool>(from: *const u8, by: Steps, to: *mut u8, at: Steps, down: usize, along: usize) {
            // SAFETY: the caller's promise.
            unsafe { shift::<$t>(from.cast(), by, to.cast(), at, down, along) }
        }
        crate::per_isa!(static $name: unsafe fn(from: *const u8, by: Steps, to: *mut u8, at: Steps, down: usize, along: usize) = $inner);
    )*};
}
sizes!(bytes of_bytes u8, halves of_halves u16, words of_words u32, doubles of_doubles u64, quads of_quads [u64; 2]);

/// Whether the source runs down where the target runs along, which rows would read a line for each element of.
#[inline(always)]
fn across(by: Steps, at: Steps, down: usize) -> bool {
    by.0 == 1 && by.1 != 1 && by.1 != 0 && at.1 == 1 && down > 1
}

#[inline(always)]
unsafe fn shift<T: Copy>(from: *const T, by: Steps, to: *mut T, at: Steps, down: usize, along: usize) {
    // SAFETY: the caller promises both rectangles.
    unsafe {
        if across(by, at, down) {
            return turn(from, by.1, to, at.0, down, along);
        }
        if across((by.1, by.0), (at.1, at.0), along) {
            return turn(from, by.0, to, at.1, along, down);
        }
        for i in 0..down as isize {
            let (from, to) = (from.offset(i * by.0), to.offset(i * at.0));
            if (by.1, at.1) == (0, 1) {
                spread(*from, to, along);
            } else {
                row(from, by.1, to, at.1, along);
            }
        }
    }
}

/// One element `n` times, by whole vectors: rows are often short.
#[inline(always)]
unsafe fn spread<T: Copy>(value: T, to: *mut T, n: usize) {
    const SIDE: usize = 16;
    let mut j = 0;
    // SAFETY: the caller promises `n` elements.
    unsafe {
        while j + SIDE <= n {
            to.add(j).cast::<[T; SIDE]>().write_unaligned([value; SIDE]);
            j += SIDE;
        }
        while j < n {
            *to.add(j) = value;
            j += 1;
        }
    }
}

#[inline(always)]
unsafe fn row<T: Copy>(from: *const T, by: isize, to: *mut T, at: isize, n: usize) {
    // SAFETY: the caller promises `n` elements on both sides.
    unsafe {
        match (by, at) {
            (1, 1) if n * size_of::<T>() >= 2048 => convert::carry(from.cast(), to.cast(), n * size_of::<T>()),
            (1, 1) => {
                for j in 0..n {
                    *to.add(j) = *from.add(j);
                }
            }
            (2, 1) => {
                for j in 0..n {
                    *to.add(j) = *from.add(2 * j);
                }
            }
            (-1, 1) => {
                for j in 0..n {
                    *to.add(j) = *from.sub(j);
                }
            }
            (_, 1) => {
                for j in 0..n {
                    *to.add(j) = *from.offset(j as isize * by);
                }
            }
            _ => {
                for j in 0..n {
                    *to.offset(j as isize * at) = *from.offset(j as isize * by);
                }
            }
        }
    }
}

/// `to[i * pitch + j] = from[j * step + i]` in squares of eight, so that a line is read while it is in the cache.
#[inline(always)]
unsafe fn turn<T: Copy>(from: *const T, step: isize, to: *mut T, pitch: isize, down: usize, along: usize) {
    const SIDE: usize = 8;
    for i in (0..down).step_by(SIDE) {
        for j in (0..along).step_by(SIDE) {
            let (high, wide) = (SIDE.min(down - i), SIDE.min(along - j));
            for y in i..i + high {
                for x in j..j + wide {
                    // SAFETY: the caller promises both rectangles.
                    unsafe { *to.offset(y as isize * pitch + x as isize) = *from.offset(x as isize * step + y as isize) };
                }
            }
        }
    }
}

/// The movers of four and of eight bytes: with whole squares turned in registers, where there are instructions for it.
#[cfg(target_arch = "x86_64")]
const fn turning_words() -> [Move; 3] {
    [words[0], turning::<squares::Eight>, turning::<squares::Sixteen>]
}
#[cfg(target_arch = "x86_64")]
const fn turning_doubles() -> [Move; 3] {
    [doubles[0], turning::<squares::FourDoubles>, turning::<squares::EightDoubles>]
}
#[cfg(not(target_arch = "x86_64"))]
const fn turning_words() -> [Move; 3] {
    words
}
#[cfg(not(target_arch = "x86_64"))]
const fn turning_doubles() -> [Move; 3] {
    doubles
}

/// `shift` with whole squares turned in registers, a cache line of the source at a time.
#[cfg(target_arch = "x86_64")]
unsafe fn turning<S: squares::Square>(from: *const u8, by: Steps, to: *mut u8, at: Steps, down: usize, along: usize) {
    let (ahead, back) = (across(by, at, down), across((by.1, by.0), (at.1, at.0), along));
    let (by, at, down, along) = match (ahead, back) {
        (true, _) => (by, at, down, along),
        (_, true) => ((by.1, by.0), (at.1, at.0), along, down),
        // SAFETY: the caller's promise.
        _ => return unsafe { S::ROWS(from, by, to, at, down, along) },
    };
    let (from, to, step, pitch) = (from.cast::<S::Element>(), to.cast::<S::Element>(), by.1, at.0);
    let (high, wide) = (down / S::SIDE * S::SIDE, along / S::SIDE * S::SIDE);
    let line = 64 / size_of::<S::Element>();
    // SAFETY: the caller promises both rectangles; squares and edges lie inside them.
    unsafe {
        for strip in (0..high).step_by(line) {
            for j in (0..wide).step_by(S::SIDE) {
                for i in (strip..high.min(strip + line)).step_by(S::SIDE) {
                    let (x, y) = (j as isize, i as isize);
                    S::square(from.offset(x * step + y), step, to.offset(y * pitch + x), pitch);
                }
            }
        }
        let right = wide as isize;
        turn(from.offset(right * step), step, to.offset(right), pitch, high, along - wide);
        let low = high as isize;
        turn(from.offset(low), step, to.offset(low * pitch), pitch, down - high, along);
    }
}

/// Reads a rectangle into rows of `wanted`, `pitch` elements apart.
///
/// # Safety
/// The rectangle must lie inside its operand, the rows in the target; `down * along` elements of any type fit the spare.
#[allow(clippy::too_many_arguments)]
pub unsafe fn read(
    dtype: DType,
    from: *const u8,
    by: Steps,
    wanted: DType,
    to: *mut u8,
    pitch: isize,
    (down, along): (usize, usize),
    spare: *mut u8,
) {
    // SAFETY: the caller's promise.
    unsafe {
        if dtype == wanted {
            return mover(dtype.size())(from, by, to, (pitch, 1), down, along);
        }
        let (mut from, mut step) = (from, by.0);
        if by.1 != 1 {
            mover(dtype.size())(from, by, spare, (along as isize, 1), down, along);
            (from, step) = (spare, along as isize);
        }
        for i in 0..down {
            let at = from.offset(i as isize * step * dtype.size() as isize);
            let row = to.offset(i as isize * pitch * wanted.size() as isize);
            cast::row(dtype, at, wanted, row, along);
        }
    }
}

/// Writes rows of `dtype`, `pitch` elements apart, to a rectangle of `wanted`.
///
/// # Safety
/// As `read`, with the roles exchanged.
#[allow(clippy::too_many_arguments)]
pub unsafe fn write(
    dtype: DType,
    from: *const u8,
    pitch: isize,
    wanted: DType,
    to: *mut u8,
    at: Steps,
    (down, along): (usize, usize),
    spare: *mut u8,
) {
    // SAFETY: the caller's promise.
    unsafe {
        if dtype == wanted {
            return mover(dtype.size())(from, (pitch, 1), to, at, down, along);
        }
        let (mut base, mut step) = (to, at.0);
        if at.1 != 1 {
            (base, step) = (spare, along as isize);
        }
        for i in 0..down {
            let row = base.offset(i as isize * step * wanted.size() as isize);
            let at = from.offset(i as isize * pitch * dtype.size() as isize);
            cast::row(dtype, at, wanted, row, along);
        }
        if at.1 != 1 {
            mover(wanted.size())(spare, (along as isize, 1), to, at, down, along);
        }
    }
}

/// Several layouts of one shape cut into rectangles over two of their axes.
pub struct Grid {
    walk: Walk,
    /// The axis whose elements lie side by side for most layouts, and the one across; there may be none.
    along: usize,
    down: Option<usize>,
    /// Elements of these two axes.
    pub size: (usize, usize),
    /// Rows of a rectangle, and elements of a row that one job takes.
    high: usize,
    wide: usize,
    /// Whether some layout runs down.
    pub turned: bool,
}

impl Grid {
    pub fn new(layouts: &[&Layout]) -> Grid {
        let walk = Walk::new(layouts);
        let rank = walk.shape.len();
        let votes = |axis: usize| walk.strides.iter().filter(|s| s[axis] == 1 && !s.contains(&0)).count();
        let along = (0..rank).max_by_key(|&axis| votes(axis)).unwrap_or(0);
        let runs_down = |axis: usize| walk.strides.iter().any(|s| s[axis] == 1 && s[along] != 1 && s[along] != 0);
        let others = || (0..rank).rev().filter(|&axis| axis != along);
        let across = others().find(|&axis| runs_down(axis));
        let down = across.or_else(|| others().next());
        let size = (down.map_or(1, |axis| walk.shape[axis]), walk.shape[along]);
        Grid { walk, along, down, size, high: size.0, wide: size.1, turned: across.is_some() }
    }

    /// Fixes how many rows and how many elements of a row make a job.
    pub fn cut(&mut self, high: usize, wide: usize) {
        (self.high, self.wide) = (high.clamp(1, self.size.0), wide.clamp(1, self.size.1));
    }

    /// The steps of layout `k`, down and along.
    pub fn steps(&self, k: usize) -> Steps {
        let strides = &self.walk.strides[k];
        (self.down.map_or(0, |axis| strides[axis]), strides[self.along])
    }

    /// Whether layout `k` is one element for all.
    pub fn is_constant(&self, k: usize) -> bool {
        self.walk.strides[k].iter().all(|&s| s == 0)
    }

    /// Calls `work(offsets, (rows, elements of a row))` for the jobs of the grid, on several threads where there are many:
    /// `begin` makes what a thread needs. Offsets are in elements from each layout's first.
    pub fn each<State>(&self, begin: impl Fn() -> State + Sync, work: impl Fn(&mut State, &[isize], (usize, usize)) + Sync) {
        let (downs, alongs) = (self.size.0.div_ceil(self.high), self.size.1.div_ceil(self.wide));
        let axes: Few<usize> = (0..self.walk.shape.len()).filter(|&i| i != self.along && Some(i) != self.down).collect();
        let outer: usize = axes.iter().map(|&i| self.walk.shape[i]).product();
        let jobs = outer * downs * alongs;
        let chunk = ((1 << 15) / (self.high * self.wide)).max(1);
        threads::each(jobs, chunk, |range| {
            let mut state = begin();
            let mut offsets: Few<isize> = Few::filled(0, self.walk.strides.len());
            for job in range {
                let (x, y) = (job % alongs * self.wide, job / alongs % downs * self.high);
                for (offset, strides) in offsets.iter_mut().zip(&self.walk.strides) {
                    *offset = x as isize * strides[self.along] + self.down.map_or(0, |axis| y as isize * strides[axis]);
                    let mut rest = job / alongs / downs;
                    for &axis in axes.iter().rev() {
                        *offset += (rest % self.walk.shape[axis]) as isize * strides[axis];
                        rest /= self.walk.shape[axis];
                    }
                }
                work(&mut state, &offsets, (self.high.min(self.size.0 - y), self.wide.min(self.size.1 - x)));
            }
        });
    }
}

/// Copies `src` to `dst` (one shape, neither empty), converting.
pub fn copy(src: &Operand, dst: &Operand) {
    let mut grid = Grid::new(&[&dst.layout, &src.layout]);
    let (at, by) = (grid.steps(0), grid.steps(1));
    let (from, to) = (convert::Bytes(src.ptr()), convert::Bytes(dst.ptr()));
    let place = |base: convert::Bytes, offset: isize, dtype: DType| base.0.wrapping_offset(offset * dtype.size() as isize);
    if src.dtype == dst.dtype {
        let shift = mover(src.dtype.size());
        grid.cut(if grid.turned { 16 } else { ((1 << 14) / grid.size.1).max(1) }, 1 << 14);
        let begin = || ();
        grid.each(begin, |(), offsets, (down, along)| {
            // SAFETY: the grid's rectangles lie inside the layouts, and no other job writes this one.
            unsafe { shift(place(from, offsets[1], src.dtype), by, place(to, offsets[0], dst.dtype), at, down, along) }
        });
        return;
    }
    let high = if grid.turned { 16 } else { (2048 / grid.size.1).max(1) }.min(grid.size.0);
    let wide = if grid.turned { 128 } else { 2048 }.min(grid.size.1);
    grid.cut(high, wide);
    let size = src.dtype.size().max(dst.dtype.size()).max(8);
    let begin = || Vec::<u64>::with_capacity(2 * high * wide * size / 8);
    grid.each(begin, |tiles, offsets, (down, along)| {
        let (a, b) = (place(from, offsets[1], src.dtype), place(to, offsets[0], dst.dtype));
        let tile: *mut u8 = tiles.as_mut_ptr().cast();
        let spare = tile.wrapping_add(size * high * wide);
        // SAFETY: as above; a job's elements fit the tile and the spare in every type.
        unsafe {
            if at.1 == 1 {
                read(src.dtype, a, by, dst.dtype, b, at.0, (down, along), spare);
            } else {
                read(src.dtype, a, by, dst.dtype, tile, along as isize, (down, along), spare);
                write(dst.dtype, tile, along as isize, dst.dtype, b, at, (down, along), spare);
            }
        }
    });
}
