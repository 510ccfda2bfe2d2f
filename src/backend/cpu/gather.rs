//! Elements read from, or written to, places that other tensors name. Leans on convert, and on isa and threads for rows.

use super::convert::{self, Cursor};
use super::{isa, stop, threads};
use crate::backend::launch::{Operand, Pick};
use crate::backend::trace;
use crate::base::dtype::Element;
use crate::base::{DType, Error, Layout, Result, shape};
use crate::{dispatch_all, per_isa};
use std::sync::{Arc, Mutex, PoisonError};

/// Elements whose places are worked out together.
const TILE: usize = 512;
/// Elements that one thread takes at a time.
const CHUNK: usize = 1 << 14;

/// Where in an operand the elements lie that indices name, worked out and checked a tile at a time.
struct Places<'a> {
    picks: &'a [Pick],
    /// The operand without the axes that indices decide, and the indices.
    base: Cursor,
    cursors: Vec<Cursor>,
}

impl Places<'_> {
    fn new<'a>(picks: &'a [Pick], operand: &Operand) -> Places<'a> {
        let layout = &operand.layout;
        let base = Cursor::new(&Layout::new(layout.shape.clone(), layout.strides.clone(), 0));
        Places { picks, base, cursors: picks.iter().map(|pick| Cursor::new(&pick.index.layout)).collect() }
    }

    /// The places of the elements from `start` on, as many as fit the list, in elements from the operand's first.
    fn fill(&self, start: usize, list: &mut [isize]) -> Result<()> {
        let mut to = 0;
        self.base.runs(start, list.len(), |at, count, step| {
            for (j, place) in list[to..to + count].iter_mut().enumerate() {
                *place = at + j as isize * step;
            }
            to += count;
        });
        for (axis, pick) in self.picks.iter().enumerate() {
            let locate = located[isa::level()];
            self.index(axis, start, list.len(), |from, found| {
                let list = &mut list[from..from + found.len()];
                // SAFETY: there are no promises but the machine's instructions.
                unsafe { locate(found, list, pick.size as u64, if pick.wraps { pick.size as i64 } else { 0 }, pick.stride) }
            })?;
        }
        Ok(())
    }

    /// Hands an index over in tiles, `work(from, indices)`, of which the first that lies outside is an error.
    fn index(&self, axis: usize, start: usize, count: usize, mut work: impl FnMut(usize, &[i64]) -> bool) -> Result<()> {
        let (pick, cursor) = (&self.picks[axis], &self.cursors[axis]);
        let index = &pick.index;
        let mut tile = [0i64; TILE];
        for from in (0..count).step_by(TILE) {
            let n = TILE.min(count - from);
            let found: &[i64] = if index.dtype == DType::I64 && index.layout.is_contiguous() {
                // SAFETY: the index has as many elements as the output, of which these are some.
                unsafe { std::slice::from_raw_parts(index.ptr().cast::<i64>().add(start + from), n) }
            } else {
                // SAFETY: as above; the tile holds them.
                unsafe { convert::read::<i64>(index, cursor, start + from, n, tile.as_mut_ptr()) };
                &tile[..n]
            };
            if work(from, found) {
                // Looked at once more, as it is now: another thread may have written it.
                let (size, back) = (pick.size as i64, if pick.wraps { pick.size as i64 } else { 0 });
                return Err(outside(pick, axis, found.iter().copied().find(|&i| !(-back..size).contains(&i)).unwrap_or(0)));
            }
        }
        Ok(())
    }

    /// Whether all indices of `n` elements lie inside their axes.
    fn check(&self, n: usize) -> Result<()> {
        (0..self.picks.len()).try_for_each(|axis| {
            let (size, back) = (self.picks[axis].size as i64, if self.picks[axis].wraps { self.picks[axis].size as i64 } else { 0 });
            // SAFETY: as in `fill`.
            self.index(axis, 0, n, |_, found| unsafe { astray[isa::level()](found, -back, size) })
        })
    }

    /// All of them.
    fn all(&self, n: usize) -> Result<Vec<isize>> {
        let mut list = vec![0isize; n];
        if n > 0 {
            self.fill(0, &mut list)?;
        }
        Ok(list)
    }

    /// Calls `work(start, places)` for the tiles of `range`.
    fn each(&self, range: std::ops::Range<usize>, mut work: impl FnMut(usize, &[isize])) -> Result<()> {
        let mut tile = [0isize; TILE];
        for start in range.clone().step_by(TILE) {
            let list = &mut tile[..TILE.min(range.end - start)];
            self.fill(start, list)?;
            work(start, list);
        }
        Ok(())
    }
}

per_isa!(static located: unsafe fn(found: &[i64], list: &mut [isize], size: u64, back: i64, stride: isize) -> bool = locate);

/// Adds to each place what an index is worth; whether one lies outside its axis.
#[inline(always)]
unsafe fn locate<const FMA: bool>(found: &[i64], list: &mut [isize], size: u64, back: i64, stride: isize) -> bool {
    let mut wrong = 0u64;
    macro_rules! add {
        ($i:ident, $worth:expr) => {
            for (place, &$i) in list.iter_mut().zip(found) {
                let $i = if $i < 0 { $i.wrapping_add(back) } else { $i };
                wrong |= u64::from($i as u64 >= size);
                *place = place.wrapping_add($worth);
            }
        };
    }
    if stride == 1 {
        add!(i, i as isize)
    } else {
        add!(i, (i as isize).wrapping_mul(stride))
    }
    wrong != 0
}

per_isa!(static astray: unsafe fn(found: &[i64], least: i64, size: i64) -> bool = stray);

/// Whether an index lies outside its axis.
#[inline(always)]
unsafe fn stray<const FMA: bool>(found: &[i64], least: i64, size: i64) -> bool {
    found.iter().fold(0u64, |wrong, &i| wrong | u64::from(i < least) | u64::from(i >= size)) != 0
}

#[cold]
fn outside(pick: &Pick, axis: usize, i: i64) -> Error {
    let size = pick.size;
    let said = |allowed: &str| format!("index {i} is out of range for an axis of size {size} (index tensor {axis}; {allowed})");
    // Subscripts are an IndexError; elements that gather and scatter read from their index are not, as in PyTorch.
    if pick.wraps {
        return Error::index(pick.op, said(&shape::allowed(size)));
    }
    if pick.op == "embedding" {
        let allowed = if size == 0 { "it is empty".into() } else { format!("allowed: 0 to {}", size - 1) };
        return Error::index(pick.op, format!("index {i} is out of range for a table of {size} rows ({allowed})"));
    }
    Error::runtime(pick.op, said(&format!("expected 0 to {}", size as i64 - 1)))
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
        let places = Places::new(&picks, &head).all(head.numel())?;
        let (to, bytes) = (Address(out.ptr()), run * out.dtype.size());
        copy_rows(source, &places, run, LONG, |k| to.at((k * bytes) as isize));
        return Ok(());
    }
    let n = out.numel();
    if n == 0 {
        return Ok(());
    }
    let pick = elements(source.dtype.size());
    if out.dtype == source.dtype && out.layout.is_contiguous() && alike(picks, source, out, pick)? {
        return Ok(());
    }
    let places = Places::new(picks, source);
    let (base, to, cursor) = (Address(source.ptr()), Address(out.ptr()), Cursor::new(&out.layout));
    let size = source.dtype.size();
    let straight = out.dtype == source.dtype && out.layout.is_contiguous();
    let failed = Mutex::new(None);
    threads::each(n, CHUNK, |range| {
        let mut tile = [[0u64; 2]; TILE];
        let done = places.each(range, |start, list| {
            let row = if straight { to.at((start * size) as isize).0 } else { tile.as_mut_ptr().cast() };
            // SAFETY: every place has been checked against its axis; the output, or the tile, has room for them.
            unsafe {
                pick(base.at(0).0, list, row);
                if !straight {
                    convert::write_as(source.dtype, row, out, &cursor, start, list.len());
                }
            }
        });
        if let Err(error) = done {
            *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// The same where the indices change along the last axis alone: one row's places are every row's. False where they do not.
fn alike(picks: &[Pick], source: &Operand, out: &Operand, pick: Take) -> Result<bool> {
    let layout = &source.layout;
    let last = layout.rank().saturating_sub(1);
    if layout.rank() < 2 || picks.iter().any(|p| p.index.layout.strides[..last].iter().any(|&s| s != 0)) {
        return Ok(false);
    }
    let row = |op: &Operand| op.view(Layout::new(layout.shape[last..].into(), op.layout.strides[last..].into(), op.layout.offset));
    let one = picks.iter().map(|p| Pick { op: p.op, index: row(&p.index), size: p.size, stride: p.stride, wraps: p.wraps });
    let (one, n) = (one.collect::<Vec<_>>(), layout.shape[last]);
    let places = Places::new(&one, &row(source)).all(n)?;
    let heads = Cursor::new(&Layout::new(layout.shape[..last].into(), layout.strides[..last].into(), 0));
    let (base, to, size) = (Address(source.ptr()), Address(out.ptr()), out.dtype.size());
    threads::each(out.numel() / n, (CHUNK / n).max(1), |range| {
        let mut k = range.start;
        heads.runs(range.start, range.len(), |at, count, step| {
            for j in 0..count as isize {
                // SAFETY: every place has been checked, and the output has room for every row.
                unsafe { pick(base.at((at + j * step) * size as isize).0, &places, to.at((k * n * size) as isize).0) };
                k += 1;
            }
        });
    });
    Ok(true)
}

/// Reads elements from their places, in elements from the first, into a row.
type Take = unsafe fn(*const u8, &[isize], *mut u8);

/// How it is done for elements of so many bytes.
fn elements(size: usize) -> Take {
    unsafe fn some<T: Copy>(from: *const u8, places: &[isize], to: *mut u8) {
        for (k, &place) in places.iter().enumerate() {
            // SAFETY: the caller promises every place, and room for all of them.
            unsafe { *to.cast::<T>().add(k) = *from.cast::<T>().offset(place) };
        }
    }
    match size {
        1 => some::<u8>,
        2 => some::<u16>,
        4 => some::<u32>,
        8 => some::<u64>,
        _ => some::<[u64; 2]>,
    }
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
            unsafe { convert::carry(from(k).0, to(k).0, bytes) };
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
    let places = Places::new(&picks, &head).all(head.numel())?;
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
        && !Arc::ptr_eq(&values.storage, &target.storage)
        && let Some((head, picks, run)) = rows(picks, target)
    {
        let places = Places::new(&picks, &head).all(head.numel())?;
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
    let n = values.numel();
    if n == 0 {
        return Ok(());
    }
    let shares = |op: &Operand| Arc::ptr_eq(&op.storage, &target.storage);
    if shares(values) {
        let copy = Operand::new(&super::Cpu, &values.layout.shape, values.dtype)?;
        convert::copy(values, &copy)?;
        return scatter(target, picks, &copy, add);
    }
    let places = Places::new(picks, target);
    // Nothing is written before every index has been looked at.
    let known = if picks.iter().any(|pick| shares(&pick.index)) { places.all(n)? } else { Vec::new() };
    places.check(n)?;
    let (base, from) = (target.ptr(), Cursor::new(&values.layout));
    let straight = values.dtype == target.dtype && values.layout.is_contiguous();
    dispatch_all!(target.dtype, T => {
        let mut tile = [T::default(); TILE];
        let mut put = |start: usize, list: &[isize]| {
            let row: &[T] = if straight {
                // SAFETY: the values have as many elements as there are places.
                unsafe { std::slice::from_raw_parts(values.ptr().cast::<T>().add(start), list.len()) }
            } else {
                // SAFETY: as above; the tile holds them.
                unsafe { convert::read::<T>(values, &from, start, list.len(), tile.as_mut_ptr()) };
                &tile[..list.len()]
            };
            for (&v, &at) in row.iter().zip(list) {
                // SAFETY: every place has been checked against its axis.
                unsafe {
                    let to = base.cast::<T>().offset(at);
                    *to = if add { sum(*to, v) } else { v };
                }
            }
        };
        if known.is_empty() {
            places.each(0..n, put)?;
        } else {
            known.chunks(TILE).zip((0..).step_by(TILE)).for_each(|(list, start)| put(start, list));
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
    let (cursor, width) = (Cursor::new(&input.layout), *input.layout.shape.last().unwrap_or(&1));
    let mut tile = [crate::base::dtype::Truth(0); TILE];
    // Where the tile's first element stands, in rows and within its row.
    let (mut index, mut column) = (vec![0i64; rank], 0);
    for start in (0..n).step_by(TILE) {
        let tile = &mut tile[..TILE.min(n - start)];
        // SAFETY: the tile holds as many truths as are read.
        unsafe { convert::read(input, &cursor, start, tile.len(), tile.as_mut_ptr()) };
        if rank == 1 {
            found[0].extend(tile.iter().zip(start as i64..).filter_map(|(t, i)| (t.0 != 0).then_some(i)));
            continue;
        }
        for t in tile {
            if t.0 != 0 && rank > 0 {
                index[rank - 1] = column as i64;
                found.iter_mut().zip(&index).for_each(|(list, &i)| list.push(i));
            }
            column += 1;
            if column == width {
                column = 0;
                for axis in (0..rank.saturating_sub(1)).rev() {
                    index[axis] += 1;
                    if (index[axis] as usize) < input.layout.shape[axis] {
                        break;
                    }
                    index[axis] = 0;
                }
            }
        }
    }
    found
}

/// Whether a walk over two layouts would read what it has already written.
pub fn collide(a: &Operand, b: &Operand) -> bool {
    if !Arc::ptr_eq(&a.storage, &b.storage) || a.layout.same_elements(&b.layout) {
        return false;
    }
    let ((a0, a1), (b0, b1)) = (a.layout.span(), b.layout.span());
    a0 < b1 && b0 < a1 && a.numel() > 0
}
