//! One map over many lists of tensors in place, as an optimiser steps all its parameters: fixed chunks of all of them
//! are one list of work. Leans on map for what does not lie straight, and on threads.

use super::{map, threads};
use crate::backend::launch::{MapBody, MapLoop, Operand};
use crate::base::{DType, Error, Number, Result};

/// Elements that are worked on at a time.
const CHUNK: usize = 1 << 14;
/// Elements in all from which threads pay for their start.
const LONG: usize = 1 << 17;
/// Operands of one map.
const MOST: usize = 8;

/// A piece of one segment: which, from where, and how many elements.
struct Piece(usize, usize, usize);

pub fn run(body: &MapBody, compute: DType, params: &[Number], segments: &[Vec<Operand>]) -> Result<()> {
    let native = (body.native)(compute).ok_or_else(|| Error::bug("step", format!("no loop for {compute} of {}", (body.formula)())))?;
    let kernel = native.pick();
    let straight = |list: &[Operand]| list.iter().all(|op| op.dtype == compute && op.layout.is_contiguous());
    let total: usize = segments.iter().map(|list| list[0].numel()).sum();
    if total < LONG || threads::count() == 1 || shared(body.outputs, segments) {
        for list in segments {
            if straight(list) {
                piece(kernel, body, params, list, 0, list[0].numel());
            } else {
                map::run(body, compute, params, list, &list[..body.outputs])?;
            }
        }
        return Ok(());
    }
    let mut pieces = Vec::with_capacity(total / CHUNK + segments.len());
    for (k, list) in segments.iter().enumerate() {
        if straight(list) {
            let n = list[0].numel();
            pieces.extend((0..n).step_by(CHUNK).map(|start| Piece(k, start, CHUNK.min(n - start))));
        } else {
            map::run(body, compute, params, list, &list[..body.outputs])?;
        }
    }
    threads::each(pieces.len(), 4, |range| {
        for &Piece(k, start, count) in &pieces[range] {
            piece(kernel, body, params, &segments[k], start, count);
        }
    });
    Ok(())
}

/// Whether something is written twice, so that the order of the segments matters.
fn shared(outputs: usize, segments: &[Vec<Operand>]) -> bool {
    let written = segments.iter().flat_map(|list| &list[..outputs]).filter(|op| op.numel() > 0);
    let mut spans: Vec<_> = written
        .map(|op| {
            let (base, (low, high)) = (op.storage.ptr().addr() as isize, op.layout.span());
            let size = op.dtype.size() as isize;
            (base + low * size, base + high * size)
        })
        .collect();
    spans.sort_unstable();
    spans.windows(2).any(|pair| pair[1].0 < pair[0].1)
}

/// The loop over a run of elements of operands that lie straight.
#[inline]
fn piece(kernel: MapLoop, body: &MapBody, params: &[Number], list: &[Operand], start: usize, count: usize) {
    let mut at = [std::ptr::null_mut::<u8>(); MOST];
    assert!(list.len() <= MOST && list.iter().all(|op| op.numel() >= start + count), "operands of one shape");
    for (slot, op) in at.iter_mut().zip(list) {
        *slot = op.ptr().wrapping_add(start * op.dtype.size());
    }
    let from = at.map(<*mut u8>::cast_const);
    // SAFETY: just asserted: every operand holds these elements, of the loop's own type, one after the other; pieces of
    // one segment do not overlap.
    unsafe { kernel(&from[..list.len()], params, &at[..body.outputs], count) };
}
