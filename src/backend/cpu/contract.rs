//! Batched matrix products: blocked ones, our own or the `gemm` crate's, for sizes that pay their set-up, plain loops below.
//! Leans on convert for types.

#[cfg(target_arch = "x86_64")]
mod blocked;
mod met;

pub(super) use met::{Made, can_hide, can_tell, run_for};

use super::convert;
use super::{block, isa, matvec, stop, threads};
use crate::backend::Storage;
use crate::backend::launch::Operand;
use crate::base::{DType, Layout, Result};
use met::After;
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Bytes of a row of the left side, the most that our own product multiplies at a time: a result is seldom read again.
const WHOLE: usize = 2 << 10;
/// Multiply-adds below which a plain loop beats the set-up of the blocked product.
const SMALL: usize = 4096;
/// Elements of a right side that is turned before it is multiplied.
const TURNED: usize = 512;
/// Multiply-adds from which two threads pay.
const WIDE: usize = 1 << 21;
/// Multiply-adds after which a product asks whether to go on.
const SPELL: usize = 1 << 31;
/// The same of the plain loop over integers.
const TURN: usize = 1 << 16;
/// Rows and columns that are not cut any further.
const NARROW: usize = 256;
/// The most of its inner axis that a right side is turned of at a time.
const DEPTH: usize = 1024;
/// Sizes of results, and the inner axes from which they are sums of parts, so that threads have something to share.
const FEW: usize = 1 << 15;
const DEEP: usize = 2048;
const PARTS: usize = 8;
/// Results up to this size are made of dot products by the blocked product itself.
const DOTS: usize = 256;

/// Rows of a small product whose sums are held together.
const HIGH: usize = 4;
/// The most rows and columns of a result that one thread makes at a time, the fewest, and how many such panels are enough.
const PANEL: (usize, usize) = (512, 256);
const STRIPE: usize = 128;
const PANELS: usize = 8;
const LINE: usize = 16;

/// How a blocked product is done: shared by threads, and added to what stands there already.
#[derive(Clone, Copy)]
struct How {
    wide: bool,
    add: bool,
}

/// Strides of one matrix: (row, column), in elements.
pub(super) type Steps = (isize, isize);

/// `out[b] = a[b] @ b[b]`, all of one dtype and of rank 3, or of rank 2 where there is no batch.
pub fn run(a: &Operand, b: &Operand, out: &Operand) -> Result<()> {
    match out.dtype {
        DType::F32 => {
            product::<f32>(a, b, out, None);
            Ok(())
        }
        DType::F64 => {
            product::<f64>(a, b, out, None);
            Ok(())
        }
        DType::I64 => {
            integers(a, b, out);
            Ok(())
        }
        DType::C64 | DType::C128 => super::pairs::matmul(a, b, out),
        other => {
            // Short floats multiply in float32 and short integers in int64.
            let wide = if other.is_float() { DType::F32 } else { DType::I64 };
            let widened = |op: &Operand, fill: bool| -> Result<Operand> {
                let bytes = op.numel() * wide.size();
                let wider = Operand { storage: Storage::shared(bytes)?, layout: Layout::contiguous(op.layout.shape.clone()), dtype: wide };
                if fill {
                    convert::copy(op, &wider)?;
                }
                Ok(wider)
            };
            let (wa, wb, wo) = (widened(a, true)?, widened(b, true)?, widened(out, false)?);
            run(&wa, &wb, &wo)?;
            convert::copy(&wo, out)
        }
    }
}

/// How a product of such sizes is made.
#[derive(PartialEq)]
enum Way {
    /// By plain loops.
    Small,
    /// As the sum of parts of its inner axis.
    Deep,
    Pieces,
}

fn way(m: usize, n: usize, k: usize) -> Way {
    let work = m.saturating_mul(n).saturating_mul(k);
    if work <= SMALL || (m == 1 || n == 1) && work <= SPELL {
        Way::Small
    } else if k >= DEEP && m * n <= FEW && m * n <= 16 * k && work <= SPELL {
        Way::Deep
    } else {
        Way::Pieces
    }
}

/// A blocked product of our own: of any strides but a result whose columns run down, on top of what stands there if told to.
type Own<T> = unsafe fn(&Product<'_, T>, bool);

pub(super) trait Lane: Copy + Send + Sync + 'static {
    /// Plain loops over small products, one for each instruction set.
    fn small() -> unsafe fn(usize, usize, usize, *const Self, Steps, *const Self, Steps, *mut Self, Steps);
    /// Adds to the first so many elements those of the same places further on.
    fn total() -> unsafe fn(&mut [Self], usize);
    /// Our own blocked product, where it is the quicker one: with AVX2.
    fn own() -> Option<Own<Self>>;
    /// # Safety
    /// The pointers and steps must describe matrices of the sizes given.
    #[allow(clippy::too_many_arguments)]
    unsafe fn blocked(
        m: usize,
        n: usize,
        k: usize,
        a: *const Self,
        sa: Steps,
        b: *const Self,
        sb: Steps,
        o: *mut Self,
        so: Steps,
        add: bool,
    );
}

macro_rules! lane {
    ($t:ty, $loops:ident $inner:ident, $totals:ident $total:ident) => {
        crate::per_isa!(static $loops: unsafe fn(m: usize, n: usize, k: usize, a: *const $t, sa: Steps, b: *const $t, sb: Steps, o: *mut $t, so: Steps) = $inner);
        #[inline(always)]
        #[allow(clippy::too_many_arguments)]
        unsafe fn $inner<const FMA: bool>(m: usize, n: usize, k: usize, a: *const $t, sa: Steps, b: *const $t, sb: Steps, o: *mut $t, so: Steps) {
            let madd = matvec::madd::<$t, FMA>;
            // SAFETY: the caller promises matrices of these sizes behind the pointers.
            unsafe {
                let mut room = MaybeUninit::<[$t; TURNED]>::uninit();
                let (mut b, mut sb) = (b, sb);
                if m.min(n) > 1 && so.1 == 1 && sb.1 != 1 && !(sa.0 == 1 && so.0 == 1) && k * n <= TURNED {
                    // A right side that lies across is turned first: its rows make vectors.
                    let to = room.as_mut_ptr().cast::<$t>();
                    for j in 0..n {
                        for p in 0..k { *to.add(p * n + j) = *b.offset(p as isize * sb.0 + j as isize * sb.1); }
                    }
                    (b, sb) = (to.cast_const(), (n as isize, 1));
                }
                if n == 1 {
                    matvec::product::<$t, FMA>(m, k, a, sa, b, sb.0, o, so.0);
                } else if m == 1 {
                    matvec::product::<$t, FMA>(n, k, b, (sb.1, sb.0), a, sa.1, o, so.1);
                } else if sb.1 == 1 && so.1 == 1 && n > 1 {
                    // Rows of the result are built from rows of b, which the compiler makes vectors of.
                    const SIDE: usize = 64 / size_of::<$t>();
                    let (high, wide) = (m / HIGH * HIGH, n / SIDE * SIDE);
                    // Blocks whose sums stay in registers; the order of their additions is that of the rows below.
                    for i in (0..high).step_by(HIGH) {
                        for j in (0..wide).step_by(SIDE) {
                            let mut sums = [[0.0 as $t; SIDE]; HIGH];
                            for p in 0..k {
                                let from = b.offset(p as isize * sb.0).add(j).cast::<[$t; SIDE]>().read_unaligned();
                                for (r, sums) in sums.iter_mut().enumerate() {
                                    let x = *a.offset((i + r) as isize * sa.0 + p as isize * sa.1);
                                    for (sum, &y) in sums.iter_mut().zip(&from) { *sum = madd(x, y, *sum); }
                                }
                            }
                            for (r, sums) in sums.iter().enumerate() {
                                o.offset((i + r) as isize * so.0).add(j).cast::<[$t; SIDE]>().write_unaligned(*sums);
                            }
                        }
                    }
                    for i in 0..m {
                        let start = if i < high { wide } else { 0 };
                        let row = o.offset(i as isize * so.0);
                        for j in start..n { *row.add(j) = 0.0; }
                        for p in 0..if start < n { k } else { 0 } {
                            let x = *a.offset(i as isize * sa.0 + p as isize * sa.1);
                            let from = b.offset(p as isize * sb.0);
                            for j in start..n { *row.add(j) = madd(x, *from.add(j), *row.add(j)); }
                        }
                    }
                } else if sa.0 == 1 && so.0 == 1 && m > 1 {
                    // The same by columns.
                    for j in 0..n {
                        let column = o.offset(j as isize * so.1);
                        for i in 0..m { *column.add(i) = 0.0; }
                        for p in 0..k {
                            let x = *b.offset(p as isize * sb.0 + j as isize * sb.1);
                            let from = a.offset(p as isize * sa.1);
                            for i in 0..m { *column.add(i) = madd(x, *from.add(i), *column.add(i)); }
                        }
                    }
                } else {
                    for i in 0..m {
                        for j in 0..n {
                            let (pa, pb) = (a.offset(i as isize * sa.0), b.offset(j as isize * sb.1));
                            let mut lanes = [0.0 as $t; 8];
                            let whole = k / 8 * 8;
                            for p in (0..whole).step_by(8) {
                                for l in 0..8 {
                                    let q = (p + l) as isize;
                                    lanes[l] = madd(*pa.offset(q * sa.1), *pb.offset(q * sb.0), lanes[l]);
                                }
                            }
                            for p in whole..k {
                                let q = p as isize;
                                lanes[p - whole] = madd(*pa.offset(q * sa.1), *pb.offset(q * sb.0), lanes[p - whole]);
                            }
                            let (even, odd) = ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6]), (lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
                            *o.offset(i as isize * so.0 + j as isize * so.1) = even + odd;
                        }
                    }
                }
            }
        }
        crate::per_isa!(static $totals: unsafe fn(sums: &mut [$t], n: usize) = $total);
        #[inline(always)]
        unsafe fn $total<const FMA: bool>(sums: &mut [$t], n: usize) {
            let (first, rest) = sums.split_at_mut(n);
            for more in rest.chunks_exact(n.max(1)) {
                for (sum, x) in first.iter_mut().zip(more) { *sum += x; }
            }
        }
        impl Lane for $t {
            fn total() -> unsafe fn(&mut [$t], usize) { $totals[isa::level()] }
            fn own() -> Option<Own<$t>> {
                #[cfg(target_arch = "x86_64")]
                if isa::level() == 1 {
                    return Some(blocked::run::<<$t as super::lanes::Float>::V3>);
                }
                None
            }
            fn small() -> unsafe fn(usize, usize, usize, *const $t, Steps, *const $t, Steps, *mut $t, Steps) { $loops[isa::level()] }
            unsafe fn blocked(m: usize, n: usize, k: usize, a: *const $t, sa: Steps, b: *const $t, sb: Steps, o: *mut $t, so: Steps, add: bool) {
                let alpha = f32::from(u8::from(add)).into();
                // SAFETY: the caller's promise.
                unsafe {
                    gemm::gemm(m, n, k, o, so.1, so.0, add, a, sa.1, sa.0, b, sb.1, sb.0, alpha, 1.0, false, false, false, gemm::Parallelism::None)
                }
            }
        }
    };
}
lane!(f32, small_f32 small_f32_on, total_f32 total_f32_on);
lane!(f64, small_f64 small_f64_on, total_f64 total_f64_on);

fn product<T: Lane>(a: &Operand, b: &Operand, out: &Operand, after: Option<After>) {
    let (batch, m, k, n) = sizes(a, b, out);
    let steps = |op: &Operand| (op.layout.strides[op.layout.rank() - 2], op.layout.strides[op.layout.rank() - 1]);
    let leap = |op: &Operand| if op.layout.rank() > 2 { op.layout.strides[0] } else { 0 };
    let (sa, sb, so) = (steps(a), steps(b), steps(out));
    let work = m.saturating_mul(n).saturating_mul(k);
    let wide = work >= WIDE && batch < 4;
    let (pa, pb, po) = (convert::Bytes(a.ptr()), convert::Bytes(b.ptr()), convert::Bytes(out.ptr()));
    let one = |i: usize| {
        let i = i as isize;
        // SAFETY: item `i` lies inside each operand; items of the batch are written by one thread each.
        unsafe {
            let x = pa.at(0).cast::<T>().offset(i * leap(a));
            let y = pb.at(0).cast::<T>().offset(i * leap(b));
            let z = po.at(0).cast::<T>().wrapping_offset(i * leap(out));
            let after = after.map(|after| after.further(i as usize * m, 0));
            let whole = Product { m, n, k, a: x, sa, b: y, sb, o: z, so, after };
            match way(m, n, k) {
                Way::Small => {
                    T::small()(m, n, k, x, sa, y, sb, z, so);
                    whole.tell();
                }
                Way::Deep => {
                    Product { after: None, ..whole }.deep();
                    whole.tell();
                }
                Way::Pieces => whole.pieces(How { wide, add: false }),
            }
        }
    };
    if wide {
        (0..batch).for_each(one);
    } else {
        threads::heavy(batch, (WIDE / work.max(1)).max(1), |range| range.for_each(one));
    }
}

/// A product of a few thousand rows at most on this thread alone; with `add`, on top of what stands there.
///
/// # Safety
/// The pointers and steps must describe matrices of the sizes (rows, columns, inner) given.
#[allow(clippy::too_many_arguments)]
pub(super) unsafe fn alone<T: Lane>(
    (m, n, k): (usize, usize, usize),
    a: *const T,
    sa: Steps,
    b: *const T,
    sb: Steps,
    o: *mut T,
    so: Steps,
    add: bool,
) {
    // SAFETY: the caller's promise.
    unsafe {
        if !add && (m * n * k <= SMALL || m == 1 || n == 1) {
            T::small()(m, n, k, a, sa, b, sb, o, so);
        } else {
            Product { m, n, k, a, sa, b, sb, o, so, after: None }.by_vectors(add);
        }
    }
}

/// Room for a side that is turned, which stays with its thread: between the results of a training step it would take places
/// that they leave, and the next ones would find them torn.
struct Strip(Vec<u64>);

thread_local! {
    static KEPT: Cell<Vec<u64>> = const { Cell::new(Vec::new()) };
}

impl Strip {
    fn new(bytes: usize) -> Strip {
        let mut room = KEPT.take();
        room.reserve_exact(bytes.div_ceil(size_of::<u64>()));
        Strip(room)
    }
}

impl Drop for Strip {
    fn drop(&mut self) {
        KEPT.set(std::mem::take(&mut self.0));
    }
}

/// Matrices of `m` rows, `n` columns and an inner axis of `k`, by their first elements and steps: `o = a @ b`. Whoever makes one
/// promises that they are there, and that nobody else meets the result.
#[derive(Clone, Copy)]
pub(super) struct Product<'a, T> {
    m: usize,
    n: usize,
    k: usize,
    a: *const T,
    sa: Steps,
    b: *const T,
    sb: Steps,
    o: *mut T,
    so: Steps,
    after: Option<After<'a>>,
}

// SAFETY: addresses alone are harmless; every dereference states its own promise.
unsafe impl<T: Lane> Send for Product<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Lane> Sync for Product<'_, T> {}

impl<'a, T: Lane> Product<'a, T> {
    /// Says that all of it is made.
    fn tell(&self) {
        if let Some(after) = self.after {
            after.tell(0..self.m, 0..self.n, self.o, self.so.0 as usize);
        }
    }

    /// The product of some rows and columns, over a part of the inner axis.
    ///
    /// # Safety
    /// The ranges must lie inside the sizes.
    unsafe fn part(self, rows: Range<usize>, columns: Range<usize>, inner: Range<usize>) -> Product<'a, T> {
        let (i, j, p) = (rows.start as isize, columns.start as isize, inner.start as isize);
        // SAFETY: the caller's promise.
        let (a, b, o) = unsafe {
            let a = self.a.offset(i * self.sa.0 + p * self.sa.1);
            let b = self.b.offset(p * self.sb.0 + j * self.sb.1);
            // A result that is hidden is nowhere.
            (a, b, self.o.wrapping_offset(i * self.so.0 + j * self.so.1))
        };
        let after = self.after.map(|after| after.further(rows.start, columns.start));
        Product { m: rows.len(), n: columns.len(), k: inner.len(), a, b, o, after, ..self }
    }

    /// The same product with rows for columns; nobody meets one that lies so.
    fn turned(self) -> Product<'a, T> {
        let over = |s: Steps| (s.1, s.0);
        let (sa, sb, so) = (over(self.sb), over(self.sa), over(self.so));
        Product { m: self.n, n: self.m, k: self.k, a: self.b, sa, b: self.a, sb, o: self.o, so, after: None }
    }

    /// The same product, turned where its result's columns run down.
    fn by_rows(self) -> Product<'a, T> {
        if self.so.0 == 1 && self.so.1 != 1 { self.turned() } else { self }
    }

    /// Whether the right side lies across the vectors of the blocked product, which would pick it up element by element; and
    /// where its rows are whole pages apart they would drive each other out of the cache.
    fn lies_across(&self) -> bool {
        self.so.1 == 1 && self.sb.0 == 1 && self.sb.1 != 1 && self.n >= 8 && self.k >= 8 && !self.dots()
    }

    /// Our own product, where the machine has it and this one is not made of dot products.
    fn own(&self) -> Option<Own<T>> {
        T::own().filter(|_| !self.dots())
    }

    /// Whether it is made of a few dot products.
    fn dots(&self) -> bool {
        self.sa.1 == 1 && self.sb.0 == 1 && self.m * self.n <= DOTS
    }

    unsafe fn blocked(self, add: bool) {
        let Product { m, n, k, a, sa, b, sb, o, so, .. } = self;
        // SAFETY: the maker's promise.
        unsafe { T::blocked(m, n, k, a, sa, b, sb, o, so, add) }
        self.tell();
    }

    /// A blocked product on this thread alone whose vectors are read in a row: a side that lies across them is turned first,
    /// some columns of it at a time.
    unsafe fn by_vectors(self, add: bool) {
        let on = self.by_rows();
        let Product { m, n, k, .. } = on;
        // SAFETY: the maker's promise; there is room for a block of b.
        unsafe {
            if let Some(own) = on.own() {
                return own(&on, add);
            }
            if !on.lies_across() {
                return on.blocked(add);
            }
            let (wide, deep) = (PANEL.1.min(n), DEPTH.min(k));
            let mut strip = Strip::new(wide * deep * size_of::<T>());
            let room = strip.0.as_mut_ptr().cast::<T>();
            for j in (0..n).step_by(wide) {
                for p in (0..k).step_by(deep) {
                    let end = (p + deep).min(k);
                    let block = on.part(0..m, j..(j + wide).min(n), p..end);
                    let after = block.after.filter(|_| end == k);
                    let steps = (block.n as isize, 1);
                    block::mover(size_of::<T>())(block.b.cast(), on.sb, room.cast(), steps, block.k, block.n);
                    Product { b: room, sb: steps, after, ..block }.blocked(add || p > 0);
                }
            }
        }
    }

    /// A blocked product, panel by panel where threads may share it: they are also quicker for one, whose caches hold them.
    unsafe fn panels(self, how: How) {
        let Product { m, n, k, .. } = self;
        if !how.wide {
            // SAFETY: the maker's promise.
            return unsafe { self.by_vectors(how.add) };
        }
        let own = self.own();
        // Every panel turns its own part of a right side that lies across: the fewer stand above each other the better.
        let across = self.lies_across() && own.is_none();
        // Our own product cuts to the caches by itself, lays sides out anew for each panel, and its bits do not depend on panels.
        let (mut down, mut along, enough) = match own {
            Some(_) => (1, 1, threads::count()),
            None => (m.div_ceil(if across { 2 * PANEL.0 } else { PANEL.0 }), n.div_ceil(PANEL.1), PANELS),
        };
        while down * along < enough && (m / down).max(n / along) > STRIPE {
            let rows = if across { n / along <= STRIPE } else { m / down >= n / along };
            *(if rows { &mut down } else { &mut along }) *= 2;
        }
        let (high, long) = (m.div_ceil(down).next_multiple_of(LINE), n.div_ceil(along).next_multiple_of(LINE));
        let (down, along) = (m.div_ceil(high), n.div_ceil(long));
        threads::heavy(down * along, 1, |range| {
            for panel in range {
                let (i, j) = (panel / along * high, panel % along * long);
                // SAFETY: the maker's promise; each part of the result lies in one panel.
                unsafe {
                    let part = self.part(i..(i + high).min(m), j..(j + long).min(n), 0..k);
                    match own {
                        // Also of a part that would be made of dot products if it were alone.
                        Some(own) => own(&part.by_rows(), how.add),
                        None => part.by_vectors(how.add),
                    }
                }
            }
        });
    }

    /// A small result of a long inner axis, as the sum of parts of it that threads may share. Where it is cut depends on its
    /// sizes alone.
    unsafe fn deep(self) {
        let Product { m, n, k, .. } = self;
        let long = k.div_ceil((k / (DEEP / 2)).min(PARTS)).next_multiple_of(LINE);
        let count = k.div_ceil(long);
        let mut sums = Vec::<T>::with_capacity(count * m * n);
        let (to, steps) = (convert::Bytes(sums.as_mut_ptr().cast()), (n as isize, 1));
        // SAFETY: the maker's promise; each part of the inner axis has a sum of its own.
        unsafe {
            threads::heavy(count, 1, |range| {
                for part in range {
                    let o = to.at(0).cast::<T>().add(part * m * n);
                    let some = self.part(0..m, 0..n, part * long..((part + 1) * long).min(k));
                    Product { o, so: steps, ..some }.by_vectors(false);
                }
            });
            if !stop::asked() {
                T::total()(std::slice::from_raw_parts_mut(sums.as_mut_ptr(), count * m * n), m * n);
                block::mover(size_of::<T>())(sums.as_ptr().cast(), steps, self.o.cast(), self.so, m, n);
            }
        }
    }

    /// A product in pieces of rows and columns, at last of the inner axis, so that it heeds whoever wants it to stop. Where
    /// it is cut depends on its sizes alone.
    unsafe fn pieces(self, how: How) {
        let Product { m, n, k, .. } = self;
        // The blocked product of vectors is slow.
        let most = if m.min(n) == 1 { SPELL >> 5 } else { SPELL };
        // SAFETY: the maker's promise.
        unsafe {
            if m.saturating_mul(n).saturating_mul(k) <= most {
                if !stop::asked() {
                    self.panels(how);
                }
            } else if m.max(n) <= NARROW {
                let half = k / 2;
                Product { after: None, ..self }.part(0..m, 0..n, 0..half).pieces(how);
                self.part(0..m, 0..n, half..k).pieces(How { add: true, ..how });
            } else if m >= n {
                let half = (m / 2).next_multiple_of(NARROW / 2);
                self.part(0..half, 0..n, 0..k).pieces(how);
                self.part(half..m, 0..n, 0..k).pieces(how);
            } else {
                let half = (n / 2).next_multiple_of(NARROW / 2);
                self.part(0..m, 0..half, 0..k).pieces(how);
                self.part(0..m, half..n, 0..k).pieces(how);
            }
        }
    }
}

/// Batch, rows, inner size and columns.
fn sizes(a: &Operand, b: &Operand, out: &Operand) -> (usize, usize, usize, usize) {
    let r = a.layout.rank();
    let batch = if r > 2 { out.layout.shape[0] } else { 1 };
    (batch, a.layout.shape[r - 2], a.layout.shape[r - 1], b.layout.shape[r - 1])
}

fn integers(a: &Operand, b: &Operand, out: &Operand) {
    let (batch, m, k, n) = sizes(a, b, out);
    let at = |op: &Operand, i: usize, r: usize, c: usize| {
        let (s, last) = (&op.layout.strides, op.layout.rank() - 1);
        let leap = if last > 1 { i as isize * s[0] } else { 0 };
        op.ptr().cast::<i64>().wrapping_offset(leap + r as isize * s[last - 1] + c as isize * s[last])
    };
    let mut since = 0;
    for i in 0..batch {
        for r in 0..m {
            for c in 0..n {
                let mut sum = 0i64;
                for start in (0..k).step_by(TURN) {
                    let end = (start + TURN).min(k);
                    since += end - start;
                    if since >= TURN {
                        since = 0;
                        if stop::asked() {
                            return;
                        }
                    }
                    for p in start..end {
                        // SAFETY: the indices lie inside the operands' shapes.
                        unsafe { sum = sum.wrapping_add((*at(a, i, r, p)).wrapping_mul(*at(b, i, p, c))) };
                    }
                }
                // SAFETY: as above.
                unsafe { *at(out, i, r, c) = sum };
            }
        }
    }
}
