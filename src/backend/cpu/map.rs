//! One formula for every element: the compiled loop over contiguous rows, everything else through tiles in the first
//! cache. Leans on convert for odd layouts and types.

use super::convert::{self, Cursor};
use super::threads;
use crate::backend::launch::{MapBody, MapLoop, Operand};
use crate::base::{DType, Error, Number, Result};
use std::mem::MaybeUninit;

/// Elements of a tile; eight bytes each, so that a tile of any type is 4 KiB.
pub const TILE: usize = 512;
/// Elements that one thread takes at a time.
const CHUNK: usize = 1 << 15;
/// Operands of one map, results included.
const MOST: usize = 8;

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
    let native = (body.native)(compute).ok_or_else(|| Error::bug("map", format!("no loop for {compute} of {}", (body.formula)())))?;
    if n == 0 {
        return Ok(());
    }
    let kernel = native.pick();
    let result = if body.truth { DType::Bool } else { compute };
    let direct_in = |op: &Operand| op.dtype == compute && op.layout.is_contiguous();
    let direct_out = |op: &Operand| op.dtype == result && op.layout.is_contiguous();
    if n <= CHUNK && ins.iter().all(direct_in) && outs.iter().all(direct_out) {
        let (mut from, mut to) = ([std::ptr::null::<u8>(); MOST], [std::ptr::null_mut::<u8>(); MOST]);
        ins.iter().zip(&mut from).for_each(|(op, p)| *p = op.ptr());
        outs.iter().zip(&mut to).for_each(|(op, p)| *p = op.ptr());
        // SAFETY: every operand holds `n` elements of the loop's types one after the other.
        unsafe { kernel(&from[..ins.len()], params, &to[..outs.len()], n) };
        return Ok(());
    }
    general(kernel, compute, result, params, ins, outs)
}

fn general(kernel: MapLoop, compute: DType, result: DType, params: &[Number], ins: &[Operand], outs: &[Operand]) -> Result<()> {
    let n = outs[0].numel();
    let reads: Vec<Way> = ins.iter().map(|op| way(op, compute, n)).collect();
    let writes: Vec<Way> = outs.iter().map(|op| way(op, result, n)).collect();
    threads::each(n, CHUNK, |range| {
        let mut tiles = [const { Tile::uninit() }; MOST];
        for ((way, op), tile) in reads.iter().zip(ins).zip(&mut tiles) {
            if matches!(way, Way::Constant) {
                let cursor = Cursor::new(&op.layout);
                // SAFETY: the layout's strides are all 0, so every read is of its one element; the tile holds TILE.
                unsafe { convert::read_as(compute, op, &cursor, 0, TILE.min(n), tile.as_mut_ptr().cast()) };
            }
        }
        let all_direct = reads.iter().chain(&writes).all(|w| matches!(w, Way::Direct(..)));
        let step = if all_direct { range.len() } else { TILE };
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
                        // SAFETY: `count` is at most TILE, and `start + count` at most `n`.
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
            unsafe { kernel(&from[..ins.len()], params, &to[..outs.len()], count) };
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

fn way(op: &Operand, wanted: DType, n: usize) -> Way {
    if op.dtype == wanted && op.layout.is_contiguous() {
        Way::Direct(op.ptr(), wanted.size())
    } else if n > 1 && op.layout.strides.iter().zip(op.layout.shape.iter()).all(|(&s, &d)| s == 0 || d == 1) {
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
            other => crate::dispatch!(other, T => std::slice::from_raw_parts_mut(to.cast::<T>(), count).fill(convert::of_number::<T>(value))),
        }
    }
}

/// A map over up to three row-major operands of the loop's own type and one count, into row-major memory.
#[inline]
pub fn plain(kernel: MapLoop, from: &[From], params: &[Number], out: &Operand, dtype: DType) {
    let (n, to, size) = (out.numel(), out.ptr(), out.dtype.size());
    let mut tiles = [const { MaybeUninit::<[u64; SPREAD]>::uninit() }; FEW];
    let mut at = [(std::ptr::null::<u8>(), 0usize); FEW];
    let mut step = n.max(1);
    assert!(from.len() <= FEW && out.layout.is_contiguous(), "a row-major output");
    for ((slot, one), tile) in at.iter_mut().zip(from).zip(&mut tiles) {
        *slot = match one {
            From::Memory(op) => {
                assert!(op.numel() == n && op.dtype == dtype && op.layout.is_contiguous(), "operands of n elements");
                (op.ptr().cast_const(), dtype.size())
            }
            From::Number(value) => {
                step = SPREAD;
                let tile: *mut u8 = tile.as_mut_ptr().cast();
                // SAFETY: the tile has eight bytes for each of 256 elements.
                unsafe { spread(*value, dtype, tile, n.min(SPREAD)) };
                (tile.cast_const(), 0)
            }
        };
    }
    let mut start = 0;
    while start < n {
        let count = step.min(n - start);
        let ins = at.map(|(base, size)| base.wrapping_add(start * size));
        // SAFETY: just asserted: operands and output hold `n` elements, and a tile holds a step's.
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
