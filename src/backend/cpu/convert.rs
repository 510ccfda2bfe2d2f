//! Elements moved from one layout to another, converted where the types differ; every other family reads and writes
//! odd layouts through here. Leans on launch and dtype.

use super::cast::{self, cast, of_number};
use super::{block, isa, threads};
use crate::backend::launch::Operand;
use crate::backend::trace;
use crate::base::dtype::{Element, Truth};
use crate::base::layout::Walk;
use crate::base::{DType, Error, Few, Layout, Number, Result};
use crate::dispatch_all;
use num_complex::Complex;

/// A layout walked in row-major order from any position on.
pub struct Cursor {
    shape: Few<usize>,
    strides: Few<isize>,
}

impl Cursor {
    pub fn new(layout: &Layout) -> Cursor {
        let mut walk = Walk::new(&[layout]);
        Cursor { shape: walk.shape, strides: walk.strides.swap_remove(0) }
    }

    /// How many elements lie side by side from a run's first on; 0 if the runs are not straight.
    pub fn straight(&self) -> usize {
        let last = self.shape.len() - 1;
        if self.strides[last] == 1 { self.shape[last] } else { 0 }
    }

    /// The elements `start..start + count`, where they are whole runs an even distance apart: the first, how many runs, and
    /// the elements from one to the next.
    pub fn plane(&self, start: usize, count: usize) -> Option<(isize, usize, isize)> {
        let [.., rows, run] = self.shape[..] else { return None };
        let whole = rows * run;
        if whole == 0 || !start.is_multiple_of(run) || !count.is_multiple_of(run) || start % whole + count > whole {
            return None;
        }
        let mut first = 0;
        self.runs(start, 1, |at, _, _| first = at);
        Some((first, count / run, self.strides[self.shape.len() - 2]))
    }

    /// A layout walked as if broadcast to a shape that it fits.
    pub fn under(layout: &Layout, shape: &[usize]) -> Cursor {
        if shape.is_empty() {
            return Cursor { shape: Few::filled(1, 1), strides: Few::filled(0, 1) };
        }
        let lead = shape.len() - layout.rank();
        let stride = |i: usize| if i < lead || layout.shape[i - lead] != shape[i] { 0 } else { layout.strides[i - lead] };
        Cursor { shape: shape.into(), strides: (0..shape.len()).map(stride).collect() }
    }

    /// Calls `run(first, count, stride)` for each stretch of the elements `start..start + count` along the last axis;
    /// `first` is an element offset from the layout's own.
    #[inline]
    pub fn runs(&self, start: usize, count: usize, mut run: impl FnMut(isize, usize, isize)) {
        let last = self.shape.len() - 1;
        let (inner, step) = (self.shape[last], self.strides[last]);
        let mut index: Few<usize> = Few::filled(0, last + 1);
        let (mut rest, mut at) = (start, 0isize);
        for i in (0..=last).rev() {
            if rest == 0 {
                break;
            }
            index[i] = rest % self.shape[i];
            rest /= self.shape[i];
            at += index[i] as isize * self.strides[i];
        }
        let mut left = count;
        loop {
            let n = (inner - index[last]).min(left);
            run(at, n, step);
            left -= n;
            if left == 0 {
                return;
            }
            at -= index[last] as isize * step;
            index[last] = 0;
            for i in (0..last).rev() {
                index[i] += 1;
                at += self.strides[i];
                if index[i] < self.shape[i] {
                    break;
                }
                at -= self.strides[i] * self.shape[i] as isize;
                index[i] = 0;
            }
        }
    }
}

#[inline(always)]
unsafe fn load<S: Element, D: Element>(src: *const S, cursor: &Cursor, start: usize, count: usize, dst: *mut D) {
    let mut to = dst;
    cursor.runs(start, count, |at, n, step| {
        // SAFETY: the cursor stays inside the layout it was made of; `dst` holds `count` elements.
        unsafe {
            let from = src.offset(at);
            if step == 1 {
                cast::row(S::DTYPE, from.cast(), D::DTYPE, to.cast(), n);
            } else if step == 0 {
                let v = cast(*from);
                for j in 0..n {
                    *to.add(j) = v;
                }
            } else if S::DTYPE == D::DTYPE && n > 8 {
                block::mover(size_of::<S>())(from.cast(), (0, step), to.cast(), (0, 1), 1, n);
            } else {
                for j in 0..n {
                    *to.add(j) = cast(*from.offset(j as isize * step));
                }
            }
            to = to.add(n);
        }
    });
}

#[inline(always)]
unsafe fn store<S: Element, D: Element>(src: *const S, cursor: &Cursor, start: usize, count: usize, dst: *mut D) {
    let mut from = src;
    cursor.runs(start, count, |at, n, step| {
        // SAFETY: as in `load`, with the roles exchanged.
        unsafe {
            let to = dst.offset(at);
            if step == 1 {
                cast::row(S::DTYPE, from.cast(), D::DTYPE, to.cast(), n);
            } else {
                for j in 0..n {
                    *to.offset(j as isize * step) = cast(*from.add(j));
                }
            }
            from = from.add(n);
        }
    });
}

/// Reads elements `start..start + count` of an operand into a row of type `D`.
///
/// # Safety
/// `dst` must hold `count` elements, and the operand at least `start + count`.
pub unsafe fn read<D: Element>(op: &Operand, cursor: &Cursor, start: usize, count: usize, dst: *mut D) {
    // SAFETY: the caller's promise.
    dispatch_all!(op.dtype, S => unsafe { load::<S, D>(op.ptr().cast::<S>(), cursor, start, count, dst) });
}

/// The same with the row's type known only at run time.
///
/// # Safety
/// As `read`.
pub unsafe fn read_as(dtype: DType, op: &Operand, cursor: &Cursor, start: usize, count: usize, dst: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe {
        match dtype {
            DType::F32 => read::<f32>(op, cursor, start, count, dst.cast()),
            DType::F64 => read::<f64>(op, cursor, start, count, dst.cast()),
            DType::I64 => read::<i64>(op, cursor, start, count, dst.cast()),
            DType::I32 => read::<i32>(op, cursor, start, count, dst.cast()),
            DType::I16 => read::<i16>(op, cursor, start, count, dst.cast()),
            DType::I8 => read::<i8>(op, cursor, start, count, dst.cast()),
            DType::U8 => read::<u8>(op, cursor, start, count, dst.cast()),
            DType::Bool => read::<Truth>(op, cursor, start, count, dst.cast()),
            DType::F16 => read::<half::f16>(op, cursor, start, count, dst.cast()),
            DType::BF16 => read::<half::bf16>(op, cursor, start, count, dst.cast()),
            DType::C64 => read::<Complex<f32>>(op, cursor, start, count, dst.cast()),
            DType::C128 => read::<Complex<f64>>(op, cursor, start, count, dst.cast()),
        }
    }
}

/// Writes a row of type `dtype` to elements `start..start + count` of an operand.
///
/// # Safety
/// `src` must hold `count` elements, and the operand at least `start + count`, with no other writer of them.
pub unsafe fn write_as(dtype: DType, src: *const u8, op: &Operand, cursor: &Cursor, start: usize, count: usize) {
    dispatch_all!(op.dtype, D => dispatch_all!(dtype, S => {
        // SAFETY: the caller's promise.
        unsafe { store::<S, D>(src.cast::<S>(), cursor, start, count, op.ptr().cast::<D>()) }
    }));
}

const CHUNK: usize = 1 << 16;

/// Copies `src` to `dst` (one shape), converting; a NaN has no integer and is refused.
pub fn copy(src: &Operand, dst: &Operand) -> Result<()> {
    let n = dst.numel();
    if n == 0 {
        return Ok(());
    }
    if src.dtype.is_inexact() && !dst.dtype.is_inexact() && dst.dtype != DType::Bool && has_nan(src) {
        return Err(Error::value(
            "to",
            format!("NaN has no {} value; replace it first, for example with x.nan_to_num(0) or where(x == x, x, 0)", dst.dtype),
        ));
    }
    if src.dtype == dst.dtype && src.layout.is_contiguous() && dst.layout.is_contiguous() {
        let (from, to, size) = (Bytes(src.ptr()), Bytes(dst.ptr()), src.dtype.size());
        threads::each(n, CHUNK, |r| {
            // SAFETY: both operands hold `n` elements.
            unsafe { carry(from.at(r.start * size), to.at(r.start * size), r.len() * size) }
        });
        return Ok(());
    }
    block::copy(src, dst);
    Ok(())
}

/// From so many bytes on the system copies by one instruction of the processor's.
const LONG: usize = 2048;

/// Copies bytes, which may overlap. That instruction takes ten times as long where the target begins a little higher in its page
/// than the source in its own; pieces are copied without it.
///
/// # Safety
/// Both sides must hold `bytes` bytes.
#[inline]
pub unsafe fn carry(from: *const u8, to: *mut u8, bytes: usize) {
    let above = to.addr().wrapping_sub(from.addr());
    let slow = above % 4096 < 64 && !above.is_multiple_of(32);
    let piece = if slow && bytes >= LONG && above >= bytes { LONG / 2 } else { bytes };
    for start in (0..bytes).step_by(piece.max(1)) {
        // SAFETY: the caller's promise.
        unsafe { std::ptr::copy(from.add(start), to.add(start), piece.min(bytes - start)) };
    }
}

/// A raw address that may cross threads; who uses it promises disjoint writes.
#[derive(Clone, Copy)]
pub struct Bytes(pub *mut u8);
// SAFETY: an address alone is harmless; every dereference states its own promise.
unsafe impl Send for Bytes {}
// SAFETY: as above.
unsafe impl Sync for Bytes {}
impl Bytes {
    /// # Safety
    /// The result must stay inside the allocation.
    #[inline(always)]
    pub unsafe fn at(self, offset: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { self.0.add(offset) }
    }
}

fn has_nan(op: &Operand) -> bool {
    if op.layout.is_contiguous() && matches!(op.dtype, DType::F32 | DType::F64) {
        // SAFETY: the operand holds its elements one after the other.
        return unsafe { [&single_nan, &double_nan][usize::from(op.dtype == DType::F64)][isa::level()](op.ptr(), op.numel()) };
    }
    let cursor = Cursor::new(&op.layout);
    let (n, mut start, mut found) = (op.numel(), 0, false);
    let mut tile = [0f64; 512];
    while start < n && !found {
        let count = tile.len().min(n - start);
        // SAFETY: the tile holds 512 elements and `start + count <= n`.
        unsafe { read::<f64>(op, &cursor, start, count, tile.as_mut_ptr()) };
        found = tile[..count].iter().any(|v| v.is_nan());
        start += count;
    }
    found
}

macro_rules! any_nan {
    ($($name:ident $inner:ident $t:ty),*) => {$(
        #[inline(always)]
        unsafe fn $inner<const FMA: bool>(from: *const u8, n: usize) -> bool {
            // SAFETY: the caller promises `n` elements.
            let all = unsafe { std::slice::from_raw_parts(from.cast::<$t>(), n) };
            all.chunks(1024).any(|some| some.iter().fold(0u32, |found, x| found | u32::from(x.is_nan())) != 0)
        }
        crate::per_isa!(static $name: unsafe fn(from: *const u8, n: usize) -> bool = $inner);
    )*};
}
any_nan!(single_nan single_nan_of f32, double_nan double_nan_of f64);

/// Writes one number everywhere.
pub fn fill(dst: &Operand, value: Number) -> Result<()> {
    let n = dst.numel();
    if n == 0 {
        return Ok(());
    }
    let mut bits = [0u64; 2];
    // SAFETY: an element of any type has at most 16 bytes.
    dispatch_all!(dst.dtype, D => unsafe { bits.as_mut_ptr().cast::<D>().write(of_number::<D>(value)) });
    let (size, base) = (dst.dtype.size(), Bytes(dst.ptr()));
    let fill = alike[isa::level()];
    if dst.layout.is_contiguous() {
        threads::each(n, CHUNK, |r| {
            // SAFETY: the chunk lies inside the operand, and chunks are disjoint.
            unsafe { fill(bits, size, base.at(r.start * size), r.len()) }
        });
        return Ok(());
    }
    let cursor = Cursor::new(&dst.layout);
    let spread = block::mover(size);
    threads::each(n, CHUNK, |r| {
        cursor.runs(r.start, r.len(), |at, count, step| {
            // SAFETY: the cursor stays inside the operand; chunks are disjoint.
            unsafe {
                let to = base.at(0).offset(at * size as isize);
                if step == 1 {
                    fill(bits, size, to, count);
                } else {
                    spread(bits.as_ptr().cast(), (0, 0), to, (0, step), 1, count);
                }
            }
        });
    });
    Ok(())
}

/// `n` elements of so many bytes with the same bits.
#[inline(always)]
unsafe fn fill_alike<const FMA: bool>(bits: [u64; 2], size: usize, to: *mut u8, n: usize) {
    // The element's first bytes are the lowest, as on every machine that is built for.
    let bytes = bits[0].to_le_bytes();
    let same = size <= 8 && bytes[..size].iter().all(|&b| b == bytes[0]) || bits == [0; 2];
    // SAFETY, for all: the caller promises room for `n` elements, aligned as their types are.
    unsafe {
        match size {
            _ if same => to.write_bytes(bytes[0], n * size),
            2 => std::slice::from_raw_parts_mut(to.cast(), n).fill(bits[0] as u16),
            4 => std::slice::from_raw_parts_mut(to.cast(), n).fill(bits[0] as u32),
            8 => std::slice::from_raw_parts_mut(to.cast(), n).fill(bits[0]),
            _ => std::slice::from_raw_parts_mut(to.cast(), n).fill(bits),
        }
    }
}
crate::per_isa!(static alike: unsafe fn(bits: [u64; 2], size: usize, to: *mut u8, n: usize) = fill_alike);

/// All elements of an operand, in order, into a list of the same length.
pub fn read_all<T: Element>(op: &Operand, cursor: &Cursor, list: &mut [T]) {
    trace::peek();
    assert_eq!(op.numel(), list.len(), "a list as long as the operand");
    if !list.is_empty() {
        // SAFETY: just asserted.
        unsafe { read(op, cursor, 0, list.len(), list.as_mut_ptr()) };
    }
}

/// One element as a number, `offset` elements from the operand's first.
pub fn element(op: &Operand, offset: isize) -> Number {
    trace::peek();
    let size = op.dtype.size();
    let at = op.layout.offset as isize + offset;
    let inside = at >= 0 && (at as usize + 1) * size <= op.storage.len();
    assert!(inside, "an element inside the storage");
    dispatch_all!(op.dtype, T => {
        // SAFETY: just asserted.
        let v = unsafe { *op.ptr().cast::<T>().offset(offset) };
        match T::DTYPE {
            DType::Bool => Number::Bool(v.to_i64() != 0),
            d if d.is_float() => Number::Float(v.to_f64()),
            d if d.is_complex() => Number::Complex(v.to_pair().0, v.to_pair().1),
            _ => Number::Int(v.to_i64()),
        }
    })
}

/// A list as long as the operand, written into it in order.
pub fn write_all<T: Element>(list: &[T], op: &Operand) {
    assert_eq!(op.numel(), list.len(), "a list as long as the operand");
    if !list.is_empty() {
        // SAFETY: just asserted.
        unsafe { write_as(T::DTYPE, list.as_ptr().cast(), op, &Cursor::new(&op.layout), 0, list.len()) };
    }
}

/// A number for each position, written into a row-major operand.
pub fn write_with(op: &Operand, value: impl Fn(usize) -> Number) {
    assert!(op.layout.is_contiguous(), "a row-major operand");
    let base = op.ptr();
    dispatch_all!(op.dtype, T => for i in 0..op.numel() {
        let v = match value(i) {
            Number::Float(f) => T::from_f64(f),
            Number::Complex(re, im) => T::from_pair(re, im),
            Number::Int(k) => if T::DTYPE.is_inexact() { T::from_f64(k as f64) } else { T::from_i64(k) },
            Number::Bool(b) => T::from_i64(i64::from(b)),
        };
        // SAFETY: `i` is below the operand's count, and its elements lie one after the other.
        unsafe { *base.cast::<T>().add(i) = v };
    });
}

/// The truth of a 0-d operand.
pub fn element_is_true(op: &Operand) -> bool {
    op.numel() == 1 && element(op, 0).truth()
}

/// A contiguous float64 copy of an operand's elements, for the few routines that work on plain slices.
pub fn to_f64(op: &Operand) -> Vec<f64> {
    trace::peek();
    let mut list = vec![0.0; op.numel()];
    if !list.is_empty() {
        // SAFETY: the list holds as many elements as the operand.
        unsafe { read::<f64>(op, &Cursor::new(&op.layout), 0, list.len(), list.as_mut_ptr()) };
    }
    list
}
