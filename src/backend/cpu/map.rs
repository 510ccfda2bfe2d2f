//! One formula for every element: the compiled loop over contiguous rows, everything else through tiles in the first
//! cache. Leans on block and convert for odd layouts and types.

use super::block::{self, Grid};
use super::convert::{self, Bytes, Cursor};
use super::lanes::fetch;
use super::{cast, threads};
use crate::backend::launch::{MapBody, MapLoop, MapLoops, Operand, Rectangle, RectangleLoop};
use crate::base::{DType, Error, Number, Result};
use std::mem::MaybeUninit;

/// Elements of a tile; eight bytes each, so that a tile of any type is 4 KiB.
pub const TILE: usize = 512;
/// Elements that one thread takes at a time.
const CHUNK: usize = 1 << 15;
/// Operands of one map, results included.
const MOST: usize = 10;

type Tile = MaybeUninit<[u64; TILE]>;

enum Way {
    /// Right type, one element after the other: read or written where it lies.
    Direct(*mut u8, usize),
    /// One element for the whole map, spread over a tile once.
    Constant,
    /// Anything else: through a tile.
    Tiled(Cursor),
}
// SAFETY: the pointer is an operand's, used under the promises stated where it is dereferenced.
unsafe impl Sync for Way {}

pub fn run(body: &MapBody, compute: DType, params: &[Number], ins: &[Operand], outs: &[Operand]) -> Result<()> {
    let n = outs[0].numel();
    if n == 0 {
        return Ok(());
    }
    let result = if body.truth { DType::Bool } else { compute };
    let (native, kernel) = Kernel::of(body, compute)?;
    let direct_in = |op: &Operand| reads_as(op.dtype, compute) && op.layout.is_contiguous();
    let direct_out = |op: &Operand| op.dtype == result && op.layout.is_contiguous();
    if n <= CHUNK && ins.iter().all(direct_in) && outs.iter().all(direct_out) {
        let (mut from, mut to) = ([std::ptr::null::<u8>(); MOST], [std::ptr::null_mut::<u8>(); MOST]);
        ins.iter().zip(&mut from).for_each(|(op, p)| *p = op.ptr());
        outs.iter().zip(&mut to).for_each(|(op, p)| *p = op.ptr());
        // SAFETY: every operand holds `n` elements of the loop's types one after the other.
        unsafe { call(kernel, &from[..ins.len()], params, &to[..outs.len()], n) };
        return Ok(());
    }
    let straight = |op: &Operand| op.layout.is_contiguous();
    let in_order = ins.iter().chain(outs).all(straight);
    if !compute.is_complex() && !in_order {
        let layouts: Vec<_> = outs.iter().chain(ins).map(|op| &op.layout).collect();
        let grid = Grid::new(&layouts);
        if let Some(kernel) = native.pick_rectangle().filter(|_| is_rectangular(&grid, ins, outs, (compute, result))) {
            rectangles(kernel, params, ins, &outs[0], grid);
            return Ok(());
        }
        // Beside numbers whole tensors go in longer steps.
        let flat = outs.iter().all(straight) && ins.iter().all(|op| straight(op) || op.layout.is_one_element());
        if grid.size.0 * grid.size.1 >= LEAST && !flat {
            blocks(kernel, compute, result, params, ins, outs, grid);
            return Ok(());
        }
    }
    general(kernel, compute, result, params, ins, outs)
}

/// A loop, whether it is as quick where its result lies over its first operand, and the bytes of an element that is read and
/// of one that is written, 0 if these differ.
#[derive(Clone, Copy)]
pub(super) struct Kernel {
    run: MapLoop,
    over: bool,
    size: usize,
}

impl Kernel {
    /// The loops of a map, and the one that goes along its elements.
    pub(super) fn of(body: &MapBody, compute: DType) -> Result<(MapLoops, Kernel)> {
        let native = (body.native)(compute).ok_or_else(|| Error::bug("map", format!("no loop for {compute} of {}", (body.formula)())))?;
        let (run, over) = native.pick_over();
        Ok((native, Kernel { run, over, size: if body.truth && compute.size() != 1 { 0 } else { compute.size() } }))
    }
}

/// Elements from which a result that lies over an operand goes through a tile.
const OVER: usize = 16;

/// Calls a loop. Its vectors need a result that lies apart from what is read; where it lies over an operand, and the loop has no
/// others for that, it goes through a tile.
///
/// # Safety
/// Every pointer must reach `n` elements of the loop's types.
#[inline(always)]
pub(super) unsafe fn call(kernel: Kernel, from: &[*const u8], params: &[Number], to: &[*mut u8], n: usize) {
    let apart = &from[usize::from(kernel.over).min(from.len())..];
    // SAFETY: the caller's promise.
    unsafe {
        match to {
            &[one] if n > OVER && kernel.size > 0 && apart.contains(&one.cast_const()) => through_tiles(kernel, from, params, one, n),
            _ => (kernel.run)(from, params, to, n),
        }
    }
}

/// Addresses so many bytes apart look alike to a processor, which compares their last digits first.
const PAGE: usize = 4096;

/// See [`call`].
#[inline(never)]
unsafe fn through_tiles(kernel: Kernel, from: &[*const u8], params: &[Number], to: *mut u8, n: usize) {
    // Half a page from what is read and written, or every load would wait for a store that only looks like its own.
    let mut room = MaybeUninit::<[u64; PAGE / 4]>::uninit();
    let room: *mut u8 = room.as_mut_ptr().cast();
    let tile = room.wrapping_add((to.addr() + PAGE / 2).wrapping_sub(room.addr()) % PAGE);
    let step = PAGE / 2 / kernel.size;
    for start in (0..n).step_by(step) {
        let (count, mut at) = (step.min(n - start), [std::ptr::null::<u8>(); MOST]);
        from.iter().zip(&mut at).for_each(|(from, at)| *at = from.wrapping_add(start * kernel.size));
        // SAFETY: the caller promises `n` elements behind every pointer, and half a page holds a step's.
        unsafe {
            (kernel.run)(&at[..from.len()], params, &[tile], count);
            tile.copy_to_nonoverlapping(to.add(start * kernel.size), count * kernel.size);
        }
    }
}

/// Elements that make a rectangle worth the name; smaller ones go through tiles of the flattened tensor.
const LEAST: usize = 64;
/// From this length on rows are given to the loop one by one, where they lie.
const LONG: usize = 192;

/// Elements of a row that is worth a loop of its own.
const ROW: usize = 16;

/// Whether a map of two operands runs over rows where they lie, one operand perhaps spread along each.
fn is_rectangular(grid: &Grid, ins: &[Operand], outs: &[Operand], (compute, result): (DType, DType)) -> bool {
    let along = |k: usize| grid.steps(k).1;
    let over = |k: usize| std::ptr::eq(ins[k].ptr(), outs[0].ptr());
    grid.size.1 >= ROW
        && outs[0].dtype == result
        && along(0) == 1
        && ins.iter().all(|op| op.dtype == compute)
        && match (along(1), along(2)) {
            // In place there are vectors for this alone.
            (1, 0) => !over(1),
            (1, 1) | (0, 1) => !over(0) && !over(1),
            _ => false,
        }
}

#[inline(never)]
fn rectangles(kernel: RectangleLoop, params: &[Number], ins: &[Operand], out: &Operand, mut grid: Grid) {
    let steps = [0, 1, 2].map(|k| grid.steps(k));
    let (from, to) = ([0, 1].map(|k| Bytes(ins[k].ptr())), Bytes(out.ptr()));
    let at = |base: &Bytes| base.0;
    let (size, written) = (ins[0].dtype.size() as isize, out.dtype.size() as isize);
    let spread = (0..2).find(|&k| steps[k + 1].1 == 0);
    grid.cut((CHUNK / grid.size.1).max(1), CHUNK);
    grid.each(
        || (),
        |(), offsets, (rows, count)| {
            let place = |k: usize| at(&from[k]).wrapping_offset(offsets[k + 1] * size);
            if let Some(k) = spread {
                // Rows' elements that lie far apart are asked for all at once: no hardware foresees them.
                if steps[k + 1].0 * size >= 64 {
                    (0..rows as isize).for_each(|y| fetch(place(k).wrapping_offset(y * steps[k + 1].0 * size)));
                }
            }
            let on = Rectangle {
                from: [0, 1].map(|k| (place(k).cast_const(), steps[k + 1].0 * size)),
                spread,
                to: (at(&to).wrapping_offset(offsets[0] * written), steps[0].0 * written),
                rows,
                count,
            };
            // SAFETY: the grid's rectangles lie inside the layouts, and no other job writes this one.
            unsafe { kernel(&on, params) }
        },
    );
}

/// How a block reads or writes one operand.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    /// Where it lies.
    Direct,
    /// One element for each row, spread over a tile once.
    Spread,
    /// Through a tile.
    Moved,
}

/// One operand of a blocked map.
struct Side<'a> {
    op: &'a Operand,
    base: Bytes,
    /// The loop's element type, and the operand's steps.
    dtype: DType,
    steps: block::Steps,
    part: Part,
    /// Where its tile begins, in bytes, and elements from one row of the tile to the next; 0 where all rows are one.
    tile: usize,
    pitch: usize,
}

impl Side<'_> {
    fn at(&self, offset: isize) -> *mut u8 {
        self.base.0.wrapping_offset(offset * self.op.dtype.size() as isize)
    }
}

/// A thread's tiles, and what those of the inputs hold: from where, and how many rows and elements.
struct Desk {
    memory: Vec<u64>,
    held: [(*mut u8, usize, usize); MOST],
}

/// The map over rectangles of two axes, so that an operand which lies across is turned in the caches.
#[inline(never)]
fn blocks(kernel: Kernel, compute: DType, result: DType, params: &[Number], ins: &[Operand], outs: &[Operand], mut grid: Grid) {
    let whole = grid.size.1 < LONG && !grid.turned;
    let across = (0..outs.len()).any(|k| grid.steps(k).1 != 1);
    let lies: Vec<bool> = outs
        .iter()
        .chain(ins)
        .enumerate()
        .map(|(k, op)| op.dtype == if k < outs.len() { result } else { compute } && grid.steps(k).1 == 1)
        .collect();
    // Whether tiles have to be filled again for every row.
    let renewed = (0..lies.len()).any(|k| !lies[k] && (k < outs.len() || grid.steps(k).0 != 0));
    // A strip of rows is worked on together. Of an input that lies across, 16 rows use all that is read with a line of memory;
    // a result that does is better written in longer pieces.
    let (strip, wide) = match (whole, grid.turned, across) {
        (true, ..) => (2048 / grid.size.1, grid.size.1),
        (_, true, true) => (128, 128),
        (_, true, false) => (16, 512),
        // What is spread or picked is used while the first cache has it.
        _ if renewed => (1, 1024),
        _ => (CHUNK / grid.size.1, 1024),
    };
    let (strip, wide) = (strip.clamp(1, grid.size.0), wide.min(grid.size.1));
    let rows = (CHUNK / grid.size.1).max(1).div_ceil(strip).max(1) * strip;
    grid.cut(rows, CHUNK.div_ceil(wide) * wide);
    let room = if renewed || whole { strip * wide * 8 } else { wide * 8 };
    let mut sides: Vec<Side> = Vec::with_capacity(outs.len() + ins.len());
    for (k, op) in outs.iter().chain(ins).enumerate() {
        let (steps, output) = (grid.steps(k), k < outs.len());
        let dtype = if output { result } else { compute };
        let part = match steps.1 {
            _ if lies[k] && (!whole || steps.0 == wide as isize || grid.size.0 == 1) => Part::Direct,
            0 if !output => Part::Spread,
            _ => Part::Moved,
        };
        let pitch = if steps.0 == 0 && !whole && !output { 0 } else { wide };
        sides.push(Side { op, base: Bytes(op.ptr()), dtype, steps, part, tile: k * room, pitch });
    }
    // One more for the elements of the other type that are read or written.
    let begin = || Desk { memory: Vec::with_capacity((sides.len() + 1) * room / 8), held: [(std::ptr::null_mut(), 0, 0); MOST] };
    grid.each(begin, |desk, offsets, (down, along)| {
        let tiles: *mut u8 = desk.memory.as_mut_ptr().cast();
        let spare = tiles.wrapping_add(sides.len() * room);
        // Rows' elements that lie far apart are asked for all at once: no hardware foresees them.
        for (k, side) in sides.iter().enumerate().filter(|(_, side)| side.part == Part::Spread && side.steps.0 != 0) {
            (0..down as isize).for_each(|y| fetch(side.at(offsets[k] + y * side.steps.0)));
        }
        for y in (0..down).step_by(strip) {
            let high = strip.min(down - y);
            for x in (0..along).step_by(wide) {
                let n = wide.min(along - x);
                let mut at = [(std::ptr::null_mut::<u8>(), 0usize); MOST];
                for (k, side) in sides.iter().enumerate() {
                    let from = side.at(offsets[k] + y as isize * side.steps.0 + x as isize * side.steps.1);
                    if side.part == Part::Direct {
                        at[k] = (from, side.steps.0.wrapping_mul(side.dtype.size() as isize) as usize);
                        continue;
                    }
                    let tile = tiles.wrapping_add(side.tile);
                    at[k] = (tile, side.pitch * side.dtype.size());
                    let rows = if side.pitch == 0 { 1 } else { high };
                    let same = side.steps.0 == 0 || rows == 1 || side.part == Part::Spread;
                    let held = desk.held[k];
                    if k < outs.len() || same && held.0 == from && held.1 >= rows && held.2 >= n {
                        continue;
                    }
                    desk.held[k] = (from, rows, n);
                    // SAFETY: the rectangle lies inside its operand; `strip * wide` elements of any type fit a tile.
                    unsafe { block::read(side.op.dtype, from, side.steps, side.dtype, tile, side.pitch as isize, (rows, n), spare) };
                }
                let (calls, count) = if whole { (1, high * n) } else { (high, n) };
                for row in 0..calls {
                    let (mut from, mut to) = ([std::ptr::null::<u8>(); MOST], [std::ptr::null_mut::<u8>(); MOST]);
                    for (k, &(base, pitch)) in at[..sides.len()].iter().enumerate() {
                        let p = base.wrapping_add(row.wrapping_mul(pitch));
                        if k < outs.len() { to[k] = p } else { from[k - outs.len()] = p }
                    }
                    // SAFETY: every pointer reaches `count` elements of the loop's types.
                    unsafe { call(kernel, &from[..ins.len()], params, &to[..outs.len()], count) };
                }
                for (k, side) in sides[..outs.len()].iter().enumerate() {
                    if side.part != Part::Direct {
                        let to = side.at(offsets[k] + y as isize * side.steps.0 + x as isize * side.steps.1);
                        // SAFETY: the kernel has just filled these rows of the tile; no other job writes the rectangle.
                        unsafe { block::write(result, at[k].0, side.pitch as isize, side.op.dtype, to, side.steps, (high, n), spare) };
                    }
                }
            }
        }
    });
}

fn general(kernel: Kernel, compute: DType, result: DType, params: &[Number], ins: &[Operand], outs: &[Operand]) -> Result<()> {
    let n = outs[0].numel();
    let most = size_of::<Tile>() / compute.size().max(result.size());
    let reads: Vec<Way> = ins.iter().map(|op| way(op, reads_as(op.dtype, compute), n)).collect();
    let writes: Vec<Way> = outs.iter().map(|op| way(op, op.dtype == result, n)).collect();
    threads::each(n, CHUNK, |range| {
        let mut tiles = [const { Tile::uninit() }; MOST];
        for ((way, op), tile) in reads.iter().zip(ins).zip(&mut tiles) {
            if matches!(way, Way::Constant) {
                let cursor = Cursor::new(&op.layout);
                // SAFETY: the layout's strides are all 0, so every read is of its one element; the tile holds as many.
                unsafe { convert::read_as(compute, op, &cursor, 0, most.min(n), tile.as_mut_ptr().cast()) };
            }
        }
        let all_direct = reads.iter().chain(&writes).all(|w| matches!(w, Way::Direct(..)));
        let step = if all_direct { range.len() } else { most };
        let mut start = range.start;
        while start < range.end {
            let count = step.min(range.end - start);
            let (mut from, mut to) = ([std::ptr::null::<u8>(); MOST], [std::ptr::null_mut::<u8>(); MOST]);
            for (k, (way, op)) in reads.iter().zip(ins).enumerate() {
                let tile: *mut u8 = tiles[k].as_mut_ptr().cast();
                from[k] = match way {
                    // SAFETY: `start` lies inside the operand.
                    Way::Direct(p, size) => unsafe { p.add(start * size) },
                    Way::Constant => tile,
                    Way::Tiled(cursor) => {
                        // SAFETY: `count` is at most what a tile holds, and `start + count` at most `n`.
                        unsafe { convert::read_as(compute, op, cursor, start, count, tile) };
                        tile
                    }
                };
            }
            for (k, way) in writes.iter().enumerate() {
                to[k] = match way {
                    // SAFETY: as above.
                    Way::Direct(p, size) => unsafe { p.add(start * size) },
                    _ => tiles[ins.len() + k].as_mut_ptr().cast(),
                };
            }
            // SAFETY: every pointer reaches `count` elements of the loop's types.
            unsafe { call(kernel, &from[..ins.len()], params, &to[..outs.len()], count) };
            for (k, (way, op)) in writes.iter().zip(outs).enumerate() {
                if let Way::Tiled(cursor) = way {
                    // SAFETY: the kernel has just filled `count` elements of the tile; chunks write disjoint elements.
                    unsafe { convert::write_as(result, to[k], op, cursor, start, count) };
                }
            }
            start += count;
        }
    });
    Ok(())
}

/// Whether elements may be read as the loop's where they lie: truths are bytes of 0 and 1.
fn reads_as(own: DType, compute: DType) -> bool {
    own == compute || own == DType::Bool && compute == DType::U8
}

fn way(op: &Operand, lies: bool, n: usize) -> Way {
    if lies && op.layout.is_contiguous() {
        Way::Direct(op.ptr(), op.dtype.size())
    } else if n > 1 && op.layout.is_one_element() {
        Way::Constant
    } else {
        Way::Tiled(Cursor::new(&op.layout))
    }
}

/// Operands of a plain map.
const FEW: usize = 3;
/// Elements of a tile that a plain number is spread over.
const SPREAD: usize = 256;

/// One operand of a plain map: memory, or a number spread over a tile.
#[derive(Clone, Copy)]
pub enum From<'a> {
    Memory(&'a Operand),
    Number(Number),
}

/// Writes a number `count` times as an element of the loop's type.
///
/// # Safety
/// `to` must have room for `count` elements of any type, aligned to eight bytes.
#[inline(always)]
unsafe fn spread(value: Number, dtype: DType, to: *mut u8, count: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        match dtype {
            DType::F32 => std::slice::from_raw_parts_mut(to.cast::<f32>(), count).fill(value.as_f64() as f32),
            other => {
                crate::dispatch_all!(other, T => std::slice::from_raw_parts_mut(to.cast::<T>(), count).fill(cast::of_number::<T>(value)))
            }
        }
    }
}

/// A map over up to three operands of the loop's own type into memory like theirs: row-major, or densely in another order
/// of axes.
#[inline(always)]
pub fn plain(kernel: MapLoop, from: &[From], params: &[Number], out: &Operand, dtype: DType) {
    let n = out.numel();
    let lies = |op: &Operand| op.layout.is_contiguous() || lies_like(op, out);
    let check = |op: &Operand| assert!(op.numel() == n && op.dtype == dtype && lies(op), "an operand like the result");
    match from {
        [From::Memory(a)] => {
            check(a);
            // SAFETY: just asserted: the operand holds `n` elements, as the result does.
            unsafe { kernel(&[a.ptr()], params, &[out.ptr()], n) }
        }
        [From::Memory(a), From::Memory(b)] => {
            check(a);
            check(b);
            // SAFETY: as above.
            unsafe { kernel(&[a.ptr(), b.ptr()], params, &[out.ptr()], n) }
        }
        _ => {
            for one in from {
                if let From::Memory(op) = one {
                    check(op);
                }
            }
            beside_numbers(kernel, from, params, out, dtype);
        }
    }
}

/// Whether two operands lie densely in one order of axes.
#[cold]
fn lies_like(op: &Operand, out: &Operand) -> bool {
    op.layout.strides == out.layout.strides && op.layout.fills()
}

/// The same with plain numbers among the operands, which `plain` has checked.
fn beside_numbers(kernel: MapLoop, from: &[From], params: &[Number], out: &Operand, dtype: DType) {
    let (n, to, size) = (out.numel(), out.ptr(), out.dtype.size());
    let mut tiles = [const { MaybeUninit::<[u64; SPREAD]>::uninit() }; FEW];
    let mut at = [(std::ptr::null::<u8>(), 0usize); FEW];
    assert!(from.len() <= FEW, "at most three operands");
    for ((slot, one), tile) in at.iter_mut().zip(from).zip(&mut tiles) {
        *slot = match one {
            From::Memory(op) => (op.ptr().cast_const(), dtype.size()),
            From::Number(value) => {
                let tile: *mut u8 = tile.as_mut_ptr().cast();
                // SAFETY: the tile has eight bytes for each of 256 elements, or sixteen for half of them.
                unsafe { spread(*value, dtype, tile, n.min(if size > 8 { SPREAD / 2 } else { SPREAD })) };
                (tile.cast_const(), 0)
            }
        };
    }
    let step = if size > 8 { SPREAD / 2 } else { SPREAD };
    let mut start = 0;
    while start < n {
        let count = step.min(n - start);
        let ins = at.map(|(base, size)| base.wrapping_add(start * size));
        // SAFETY: operands and output hold `n` elements, and a tile holds a step's.
        unsafe { kernel(&ins[..from.len()], params, &[to.wrapping_add(start * size)], count) };
        start += count;
    }
}

/// A map over up to three operands of at most a tile's elements, broadcast and converted as they are read.
#[inline(never)]
pub fn tiled(kernel: MapLoop, from: &[From], params: &[Number], out: &Operand, dtype: DType) {
    let n = out.numel();
    let mut tiles = [const { Tile::uninit() }; FEW];
    let mut ins = [std::ptr::null::<u8>(); FEW];
    assert!(from.len() <= FEW && n <= TILE && out.layout.is_contiguous(), "a row-major output of one tile");
    if n == 0 {
        return;
    }
    for ((slot, one), tile) in ins.iter_mut().zip(from).zip(&mut tiles) {
        let tile: *mut u8 = tile.as_mut_ptr().cast();
        *slot = match one {
            From::Memory(op) if op.dtype == dtype && op.layout.is_contiguous() && op.numel() == n => op.ptr(),
            // The most frequent of all: a row under a matrix.
            // SAFETY: a tile holds 512 elements of any type, and `n` is a whole number of rows.
            From::Memory(op) if op.dtype == dtype && op.layout.is_contiguous() && out.layout.shape.ends_with(&op.layout.shape) => unsafe {
                let bytes = op.numel() * dtype.size();
                for row in 0..n / op.numel() {
                    std::ptr::copy_nonoverlapping(op.ptr(), tile.add(row * bytes), bytes);
                }
                tile
            },
            // SAFETY: a tile holds 512 elements of any type; the cursor walks the operand under the output's shape.
            From::Memory(op) => unsafe {
                convert::read_as(dtype, op, &Cursor::under(&op.layout, &out.layout.shape), 0, n, tile);
                tile
            },
            // SAFETY: as above.
            From::Number(value) => unsafe {
                spread(*value, dtype, tile, n);
                tile
            },
        };
    }
    // SAFETY: every pointer reaches `n` elements of the loop's types.
    unsafe { kernel(&ins[..from.len()], params, &[out.ptr()], n) };
}
