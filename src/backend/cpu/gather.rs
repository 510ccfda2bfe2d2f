//! Elements read from, or written to, places that other tensors name. Leans on convert, and on isa and threads for rows.

use super::convert::{self, Cursor};
use super::{isa, stop, threads};
use crate::backend::launch::{Operand, Pick};
use crate::backend::trace;
use crate::base::dtype::Element;
use crate::base::{DType, Error, Layout, Result, shape};
use crate::{dispatch_all, per_isa};

/// Every index as an element offset into the source, checked; one entry for each element of the output.
fn offsets(picks: &[Pick], source: &Operand) -> Result<Vec<isize>> {
    let n = source.numel();
    if let Some(list) = by_one(picks, source, n) {
        return list;
    }
    let mut list = vec![0isize; n];
    let base = Cursor::new(&Layout::new(source.layout.shape.clone(), source.layout.strides.clone(), 0));
    let mut to = 0;
    if n > 0 {
        base.runs(0, n, |at, count, step| {
            for j in 0..count {
                list[to + j] = at + j as isize * step;
            }
            to += count;
        });
    }
    let mut index = vec![0i64; n];
    for (axis, pick) in picks.iter().enumerate() {
        if n == 0 {
            break;
        }
        // SAFETY: the list holds as many elements as the index, whose shape is the output's.
        unsafe { convert::read::<i64>(&pick.index, &Cursor::new(&pick.index.layout), 0, n, index.as_mut_ptr()) };
        let size = pick.size as i64;
        for (at, &i) in list.iter_mut().zip(&index) {
            let first = if pick.wraps { -size } else { 0 };
            if i < first || i >= size {
                return Err(outside(pick, axis, i));
            }
            *at += (if i < 0 { i + size } else { i }) as isize * pick.stride;
        }
    }
    Ok(list)
}

/// The offsets where one index decides alone, and its elements lie in a row.
fn by_one(picks: &[Pick], source: &Operand, n: usize) -> Option<Result<Vec<isize>>> {
    let [pick] = picks else { return None };
    let index = &pick.index;
    if index.dtype != DType::I64 || !index.layout.is_contiguous() || index.numel() != n || source.layout.strides.iter().any(|&s| s != 0) {
        return None;
    }
    // SAFETY: a contiguous operand of n elements.
    let list = if n == 0 { &[] } else { unsafe { std::slice::from_raw_parts(index.ptr().cast::<i64>(), n) } };
    let size = pick.size as i64;
    let place = |&i: &i64| {
        let at = if i < 0 && pick.wraps { i + size } else { i };
        if (0..size).contains(&at) { Ok(at as isize * pick.stride) } else { Err(outside(pick, 0, i)) }
    };
    Some(list.iter().map(place).collect())
}

#[cold]
fn outside(pick: &Pick, axis: usize, i: i64) -> Error {
    let said = |allowed: &str| format!("index {i} is out of range for an axis of size {} (index tensor {axis}; {allowed})", pick.size);
    // Subscripts are an IndexError; elements that gather and scatter read from their index are not, as in PyTorch.
    if pick.wraps {
        return Error::index(pick.op, said(&shape::allowed(pick.size)));
    }
    Error::runtime(pick.op, said(&format!("expected 0 to {}", pick.size as i64 - 1)))
}

/// Bytes from which rows are copied by several threads.
const LONG: usize = 1 << 20;

/// The last axes over which no index changes and the operand lies in a row: what is left of the operand and the picks
/// without them, and how many elements they hold. None where a row is one element.
fn rows(picks: &[Pick], whole: &Operand) -> Option<(Operand, Vec<Pick>, usize)> {
    let shape = &whole.layout.shape;
    let (mut run, mut kept) = (1, shape.len());
    while kept > 0 {
        let axis = kept - 1;
        let fixed = picks.iter().all(|p| p.index.layout.strides[axis] == 0) && whole.layout.strides[axis] == run as isize;
        if shape[axis] != 1 && !fixed {
            break;
        }
        run *= shape[axis];
        kept = axis;
    }
    if run < 2 {
        return None;
    }
    let head = |op: &Operand| op.view(Layout::new(shape[..kept].into(), op.layout.strides[..kept].into(), op.layout.offset));
    let picks = picks.iter().map(|p| Pick { op: p.op, index: head(&p.index), size: p.size, stride: p.stride, wraps: p.wraps });
    Some((head(whole), picks.collect(), run))
}

/// `out[...] = source[indices]`; the source's layout is already of the output's shape, with stride 0 where an index decides.
pub fn gather(source: &Operand, picks: &[Pick], out: &Operand) -> Result<()> {
    if out.dtype == source.dtype
        && out.layout.is_contiguous()
        && let Some((head, picks, run)) = rows(picks, source)
    {
        let places = offsets(&picks, &head)?;
        let (to, bytes) = (Address(out.ptr()), run * out.dtype.size());
        copy_rows(source, &places, run, LONG, |k| to.at((k * bytes) as isize));
        return Ok(());
    }
    let places = offsets(picks, source)?;
    let base = source.ptr();
    dispatch_all!(out.dtype, T => {
        let mut row = vec![T::default(); places.len()];
        for (to, &at) in row.iter_mut().zip(&places) {
            // SAFETY: `offsets` has checked every place against its axis.
            *to = unsafe { *base.cast::<T>().offset(at) };
        }
        if !row.is_empty() {
            // SAFETY: the row holds the output's elements in order.
            unsafe { convert::write_as(out.dtype, row.as_ptr().cast(), out, &Cursor::new(&out.layout), 0, row.len()) };
        }
    });
    Ok(())
}

/// Bytes of rows that are asked for before they are copied: enough to hide how far away memory is.
const AHEAD: usize = 1 << 13;
const LINE: usize = 64;
/// Rows of so many bytes are copied two at a time: longer ones hide their own distance, shorter ones are one or two lines.
const PAIRED: std::ops::RangeInclusive<usize> = 4 * LINE..=AHEAD;

/// Rows of `run` elements from checked places, each to where `to` says, in chunks of so many bytes.
fn copy_rows(source: &Operand, places: &[isize], run: usize, chunk: usize, to: impl Fn(usize) -> Address + Sync) {
    let (size, bytes) = (source.dtype.size(), run * source.dtype.size());
    let base = Address(source.ptr());
    let from = |k: usize| base.at(places[k] * size as isize);
    let per = (chunk / bytes).max(1);
    // SAFETY, for both: `offsets` has checked every place; rows of contiguous outputs do not overlap.
    if PAIRED.contains(&bytes) {
        let pair = two_rows[isa::level()];
        threads::each(places.len(), per.next_multiple_of(2), |range| {
            let last = places.len() - 1;
            for k in range.clone().step_by(2).take_while(|k| k + 1 < range.end) {
                let coming = [from((k + 2).min(last)).0, from((k + 3).min(last)).0];
                unsafe { pair([from(k).0, from(k + 1).0], coming, [to(k).0, to(k + 1).0], bytes) };
            }
            if range.len() % 2 == 1 {
                unsafe { std::ptr::copy_nonoverlapping(from(range.end - 1).0, to(range.end - 1).0, bytes) };
            }
        });
        return;
    }
    let ahead = (AHEAD / bytes).clamp(1, 16);
    threads::each(places.len(), per, |range| {
        for k in range.clone() {
            if k + ahead < range.end {
                from(k + ahead).ask_for(bytes.min(AHEAD));
            }
            unsafe { std::ptr::copy_nonoverlapping(from(k).0, to(k).0, bytes) };
        }
    });
}

per_isa!(static two_rows: unsafe fn(from: [*mut u8; 2], coming: [*mut u8; 2], to: [*mut u8; 2], bytes: usize) = copy_two);

/// Copies two rows line by line by turns, and asks for as much of the two that come next: four streams keep more of
/// memory's answers under way than one. What comes next is read once, so it need not stay.
#[inline(always)]
unsafe fn copy_two<const FMA: bool>(from: [*mut u8; 2], coming: [*mut u8; 2], to: [*mut u8; 2], bytes: usize) {
    let mut at = 0;
    while at + LINE <= bytes {
        for side in 0..2 {
            Address(coming[side].wrapping_add(at)).ask_for_once();
            // SAFETY: inside the rows, by the caller's promise.
            unsafe { to[side].add(at).cast::<[u8; LINE]>().write_unaligned(from[side].add(at).cast::<[u8; LINE]>().read_unaligned()) };
        }
        at += LINE;
    }
    for side in 0..2 {
        Address(coming[side].wrapping_add(at)).ask_for_once();
        // SAFETY: as above.
        unsafe { std::ptr::copy_nonoverlapping(from[side].add(at), to[side].add(at), bytes - at) };
    }
}

/// Bytes of rows that a thread takes at a time where several outputs are filled at once.
const SHARE: usize = 1 << 18;

/// `source[index]` cut into outputs of `per` rows each, the last of them perhaps fewer; false where rows are single
/// elements. The source's layout is that of all outputs together, as for `gather`.
pub fn gather_parts(source: &Operand, pick: Pick, outs: &[Operand], per: usize) -> Result<bool> {
    let Some((head, picks, run)) = rows(&[pick], source) else { return Ok(false) };
    if head.layout.rank() != 1 || outs.iter().any(|out| out.dtype != source.dtype || !out.layout.is_contiguous()) {
        return Ok(false);
    }
    let places = offsets(&picks, &head)?;
    let bytes = run * source.dtype.size();
    let to = |k: usize| Address(outs[k / per].ptr()).at((k % per * bytes) as isize);
    copy_rows(source, &places, run, SHARE, to);
    stop::taken().map_or(Ok(true), Err)
}

/// Memory that threads share, each in places of its own.
struct Address(*mut u8);
// SAFETY: what is read and written where is promised by those who use it.
unsafe impl Sync for Address {}

impl Address {
    #[inline]
    fn at(&self, bytes: isize) -> Address {
        Address(self.0.wrapping_offset(bytes))
    }
    /// Lets memory come nearer while something else is done.
    #[inline]
    fn ask_for(&self, bytes: usize) {
        #[cfg(target_arch = "x86_64")]
        for line in (0..bytes).step_by(LINE) {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: asking reads nothing, and may be done for any address.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(self.0.wrapping_add(line).cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = bytes;
    }
    /// The same for one line that will be read once.
    #[inline(always)]
    fn ask_for_once(&self) {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::{_MM_HINT_NTA, _mm_prefetch};
            // SAFETY: as above.
            unsafe { _mm_prefetch::<_MM_HINT_NTA>(self.0.cast()) };
        }
    }
}

/// `target[indices] = values`, or `+=`; repeated places are written, or added, in order.
pub fn scatter(target: &Operand, picks: &[Pick], values: &Operand, add: bool) -> Result<()> {
    if values.dtype == target.dtype
        && values.layout.is_contiguous()
        && !std::sync::Arc::ptr_eq(&values.storage, &target.storage)
        && let Some((head, picks, run)) = rows(picks, target)
    {
        let places = offsets(&picks, &head)?;
        dispatch_all!(target.dtype, T => {
            for (k, &place) in places.iter().enumerate() {
                // SAFETY: `offsets` has checked every place; the contiguous values hold a row for each.
                unsafe {
                    let (from, to) = (values.ptr().cast::<T>().add(k * run), target.ptr().cast::<T>().offset(place));
                    if add {
                        (0..run).for_each(|j| *to.add(j) = sum(*to.add(j), *from.add(j)));
                    } else {
                        std::ptr::copy(from, to, run);
                    }
                }
            }
        });
        return Ok(());
    }
    let places = offsets(picks, target)?;
    if places.is_empty() {
        return Ok(());
    }
    let base = target.ptr();
    dispatch_all!(target.dtype, T => {
        let mut row = vec![T::default(); places.len()];
        // SAFETY: the row holds as many elements as the values, whose shape is the places'.
        unsafe { convert::read::<T>(values, &Cursor::new(&values.layout), 0, row.len(), row.as_mut_ptr()) };
        for (&v, &at) in row.iter().zip(&places) {
            // SAFETY: `offsets` has checked every place against its axis.
            unsafe {
                let to = base.cast::<T>().offset(at);
                *to = if add { sum(*to, v) } else { v };
            }
        }
    });
    Ok(())
}

#[inline(always)]
fn sum<T: Element>(a: T, b: T) -> T {
    match T::DTYPE {
        DType::F64 => T::from_f64(a.to_f64() + b.to_f64()),
        d if d.is_complex() => {
            let ((a, b), (c, d)) = (a.to_pair(), b.to_pair());
            T::from_pair(a + c, b + d)
        }
        d if d.is_float() => T::from_f32(a.to_f32() + b.to_f32()),
        _ => T::from_i64(a.to_i64().wrapping_add(b.to_i64())),
    }
}

/// The places of the elements that are not zero, in order: one row of positions for each axis.
pub fn nonzero(input: &Operand) -> Vec<Vec<i64>> {
    trace::peek();
    let rank = input.layout.rank();
    let mut found = vec![Vec::new(); rank];
    let n = input.numel();
    if n == 0 {
        return found;
    }
    let mut truths = vec![crate::base::dtype::Truth(0); n];
    // SAFETY: the list holds as many truths as the operand has elements.
    unsafe { convert::read(input, &Cursor::new(&input.layout), 0, n, truths.as_mut_ptr()) };
    for (i, t) in truths.iter().enumerate() {
        if t.0 != 0 {
            let mut rest = i;
            for axis in (0..rank).rev() {
                found[axis].push((rest % input.layout.shape[axis]) as i64);
                rest /= input.layout.shape[axis];
            }
            if rank == 0 {
                break;
            }
        }
    }
    found
}

/// Whether a walk over two layouts would read what it has already written.
pub fn collide(a: &Operand, b: &Operand) -> bool {
    if !std::sync::Arc::ptr_eq(&a.storage, &b.storage) || a.layout.same_elements(&b.layout) {
        return false;
    }
    let ((a0, a1), (b0, b1)) = (a.layout.span(), b.layout.span());
    a0 < b1 && b0 < a1 && a.numel() > 0
}
