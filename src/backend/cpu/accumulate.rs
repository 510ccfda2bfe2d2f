//! The loops of folds: what is done with one element more, over rows in lanes, down columns in panels. Leans on per_isa.

use super::{isa, widen};

/// Lanes that are carried from one stretch of a row to the next.
pub const CARRIED: usize = 32;
/// Rows of columns that are added at once, so that the accumulators are read and written once for them.
const TOGETHER: usize = 4;

/// One fold over one element type.
pub trait Fold<T: Copy>: Copy + Send + Sync {
    type Acc: Copy + Send + Sync;
    /// Independent accumulators of a long row: enough to hide an addition's, or a comparison's, latency.
    const LANES: usize;
    fn start(&self) -> Self::Acc;
    fn step(&self, acc: Self::Acc, x: T) -> Self::Acc;
    fn join(&self, a: Self::Acc, b: Self::Acc) -> Self::Acc;
    /// Whether rows take `pass` for `step`, which is quicker, and keep apart by `catch` what it would lose.
    const PASSES: bool = false;
    #[inline(always)]
    fn pass(&self, acc: Self::Acc, x: T) -> Self::Acc {
        self.step(acc, x)
    }
    #[inline(always)]
    fn catch(&self, caught: Self::Acc, _x: T) -> Self::Acc {
        caught
    }
    /// `step` in column `i`.
    #[inline(always)]
    fn step_at(&self, _i: usize, acc: Self::Acc, x: T) -> Self::Acc {
        self.step(acc, x)
    }
}

#[derive(Clone, Copy)]
pub struct Sum;
#[derive(Clone, Copy)]
pub struct Prod;
#[derive(Clone, Copy)]
pub struct Max;
#[derive(Clone, Copy)]
pub struct Min;
/// The largest of what is no NaN.
#[derive(Clone, Copy)]
pub struct Top;
#[derive(Clone, Copy)]
pub struct Squares;
/// Sum of what is no NaN.
#[derive(Clone, Copy)]
pub struct Known;
/// Sum of squared distances from a centre.
#[derive(Clone, Copy)]
pub struct Spread(pub f64);
/// The same with a centre for each column.
#[derive(Clone, Copy)]
pub struct Apart(pub *const f64);
// SAFETY: the centres are only read.
unsafe impl Send for Apart {}
// SAFETY: as above.
unsafe impl Sync for Apart {}

macro_rules! float_folds {
    ($($t:ty),*) => {$(
        impl Fold<$t> for Sum {
            const LANES: usize = 32;
            type Acc = f64;
            #[inline(always)] fn start(&self) -> f64 { 0.0 }
            #[inline(always)] fn step(&self, acc: f64, x: $t) -> f64 { acc + x as f64 }
            #[inline(always)] fn join(&self, a: f64, b: f64) -> f64 { a + b }
        }
        impl Fold<$t> for Squares {
            const LANES: usize = 32;
            type Acc = f64;
            #[inline(always)] fn start(&self) -> f64 { 0.0 }
            #[inline(always)] fn step(&self, acc: f64, x: $t) -> f64 { acc + x as f64 * x as f64 }
            #[inline(always)] fn join(&self, a: f64, b: f64) -> f64 { a + b }
        }
        impl Fold<$t> for Known {
            const LANES: usize = 32;
            type Acc = f64;
            #[inline(always)] fn start(&self) -> f64 { 0.0 }
            #[inline(always)] fn step(&self, acc: f64, x: $t) -> f64 { acc + if x == x { x as f64 } else { 0.0 } }
            #[inline(always)] fn join(&self, a: f64, b: f64) -> f64 { a + b }
        }
        impl Fold<$t> for Prod {
            const LANES: usize = 32;
            type Acc = f64;
            #[inline(always)] fn start(&self) -> f64 { 1.0 }
            #[inline(always)] fn step(&self, acc: f64, x: $t) -> f64 { acc * x as f64 }
            #[inline(always)] fn join(&self, a: f64, b: f64) -> f64 { a * b }
        }
        impl Fold<$t> for Spread {
            const LANES: usize = 32;
            type Acc = f64;
            #[inline(always)] fn start(&self) -> f64 { 0.0 }
            #[inline(always)] fn step(&self, acc: f64, x: $t) -> f64 { let d = x as f64 - self.0; acc + d * d }
            #[inline(always)] fn join(&self, a: f64, b: f64) -> f64 { a + b }
        }
        impl Fold<$t> for Apart {
            const LANES: usize = 32;
            type Acc = f64;
            #[inline(always)] fn start(&self) -> f64 { 0.0 }
            #[inline(always)] fn step(&self, acc: f64, x: $t) -> f64 { self.step_at(0, acc, x) }
            #[inline(always)] fn join(&self, a: f64, b: f64) -> f64 { a + b }
            #[inline(always)]
            fn step_at(&self, i: usize, acc: f64, x: $t) -> f64 {
                // SAFETY: whoever made this promised a centre for each column.
                let d = x as f64 - unsafe { *self.0.add(i) };
                acc + d * d
            }
        }
        impl Fold<$t> for Max {
            const LANES: usize = 32;
            type Acc = $t;
            #[inline(always)] fn start(&self) -> $t { <$t>::NEG_INFINITY }
            #[inline(always)] fn step(&self, acc: $t, x: $t) -> $t { if x > acc || x != x { x } else { acc } }
            // One instruction, which forgets a NaN at the next number.
            const PASSES: bool = true;
            #[inline(always)] fn pass(&self, acc: $t, x: $t) -> $t { if acc > x { acc } else { x } }
            #[inline(always)] fn catch(&self, caught: $t, x: $t) -> $t { if x != x { x } else { caught } }
            #[inline(always)] fn join(&self, a: $t, b: $t) -> $t { self.step(a, b) }
        }
        impl Fold<$t> for Top {
            const LANES: usize = 64;
            type Acc = $t;
            #[inline(always)] fn start(&self) -> $t { <$t>::NEG_INFINITY }
            #[inline(always)] fn step(&self, acc: $t, x: $t) -> $t { if x > acc { x } else { acc } }
            #[inline(always)] fn join(&self, a: $t, b: $t) -> $t { self.step(a, b) }
        }
        impl Fold<$t> for Min {
            const LANES: usize = 32;
            type Acc = $t;
            #[inline(always)] fn start(&self) -> $t { <$t>::INFINITY }
            #[inline(always)] fn step(&self, acc: $t, x: $t) -> $t { if x < acc || x != x { x } else { acc } }
            // One instruction, which forgets a NaN at the next number.
            const PASSES: bool = true;
            #[inline(always)] fn pass(&self, acc: $t, x: $t) -> $t { if acc < x { acc } else { x } }
            #[inline(always)] fn catch(&self, caught: $t, x: $t) -> $t { if x != x { x } else { caught } }
            #[inline(always)] fn join(&self, a: $t, b: $t) -> $t { self.step(a, b) }
        }
    )*};
}
float_folds!(f32, f64);

impl Fold<i64> for Sum {
    const LANES: usize = 32;
    type Acc = i64;
    #[inline(always)]
    fn start(&self) -> i64 {
        0
    }
    #[inline(always)]
    fn step(&self, acc: i64, x: i64) -> i64 {
        acc.wrapping_add(x)
    }
    #[inline(always)]
    fn join(&self, a: i64, b: i64) -> i64 {
        a.wrapping_add(b)
    }
}
impl Fold<i64> for Prod {
    const LANES: usize = 32;
    type Acc = i64;
    #[inline(always)]
    fn start(&self) -> i64 {
        1
    }
    #[inline(always)]
    fn step(&self, acc: i64, x: i64) -> i64 {
        acc.wrapping_mul(x)
    }
    #[inline(always)]
    fn join(&self, a: i64, b: i64) -> i64 {
        a.wrapping_mul(b)
    }
}
impl Fold<i64> for Max {
    const LANES: usize = 64;
    type Acc = i64;
    #[inline(always)]
    fn start(&self) -> i64 {
        i64::MIN
    }
    #[inline(always)]
    fn step(&self, acc: i64, x: i64) -> i64 {
        acc.max(x)
    }
    #[inline(always)]
    fn join(&self, a: i64, b: i64) -> i64 {
        a.max(b)
    }
}
impl Fold<i64> for Min {
    const LANES: usize = 64;
    type Acc = i64;
    #[inline(always)]
    fn start(&self) -> i64 {
        i64::MAX
    }
    #[inline(always)]
    fn step(&self, acc: i64, x: i64) -> i64 {
        acc.min(x)
    }
    #[inline(always)]
    fn join(&self, a: i64, b: i64) -> i64 {
        a.min(b)
    }
}

/// Joins lanes, eight and more, with those half as far on until one is left: as vectors down to the widest one, and then one
/// by one out of memory. The loop before would be compiled for pairs if the compiler saw both together, and what it makes of
/// joins in memory waits for stores that its loads half overlap.
#[inline(always)]
pub fn in_pairs<A: Copy, const L: usize>(mut lanes: [A; L], join: impl Fn(A, A) -> A) -> A {
    let widest = if L > 8 && size_of::<A>() <= 4 { 16 } else { 8 };
    halve(&mut lanes, widest, &join);
    let eight: [A; 8] = if widest == 16 {
        let all: [A; 16] = std::hint::black_box(std::array::from_fn(|l| lanes[l]));
        std::array::from_fn(|l| join(all[l], all[l + 8]))
    } else {
        std::hint::black_box(std::array::from_fn(|l| lanes[l]))
    };
    of_eight(eight, join)
}

/// Joins lanes with those half as far on until `widest` are left, in front.
#[inline(always)]
fn halve<A: Copy, const L: usize>(lanes: &mut [A; L], widest: usize, join: impl Fn(A, A) -> A) {
    let mut half = L / 2;
    while half >= widest {
        for l in 0..half {
            lanes[l] = join(lanes[l], lanes[l + half]);
        }
        half /= 2;
    }
}

#[inline(always)]
fn of_eight<A: Copy>(eight: [A; 8], join: impl Fn(A, A) -> A) -> A {
    let four: [A; 4] = std::array::from_fn(|l| join(eight[l], eight[l + 4]));
    join(join(four[0], four[2]), join(four[1], four[3]))
}

/// Folds `n` elements, a multiple of L, in L lanes. No lane is chosen at run time, which would keep them in memory.
#[inline(always)]
unsafe fn lanes_of<T: Copy, F: Fold<T>, const L: usize>(fold: F, from: *const T, n: usize) -> [F::Acc; L] {
    let mut lanes = [fold.start(); L];
    let mut caught = [fold.start(); L];
    let mut i = 0;
    while i < n {
        for (l, (lane, caught)) in lanes.iter_mut().zip(&mut caught).enumerate() {
            // SAFETY: the caller promises `n` elements.
            let x = unsafe { *from.add(i + l) };
            if F::PASSES {
                (*lane, *caught) = (fold.pass(*lane, x), fold.catch(*caught, x));
            } else {
                *lane = fold.step(*lane, x);
            }
        }
        i += L;
    }
    if F::PASSES {
        for (lane, &caught) in lanes.iter_mut().zip(&caught) {
            *lane = fold.join(*lane, caught);
        }
    }
    lanes
}

/// The same, and joins the lanes in pairs.
#[inline(always)]
unsafe fn in_lanes<T: Copy, F: Fold<T>, const L: usize>(fold: F, from: *const T, n: usize) -> F::Acc {
    // SAFETY: the caller's promise.
    in_pairs(unsafe { lanes_of::<T, F, L>(fold, from, n) }, |a, b| fold.join(a, b))
}

/// One row to one result: in L lanes, what is left in eight, what is left of that one by one.
///
/// # Safety
/// `from` must hold `n` elements.
#[inline(always)]
pub unsafe fn one_row<T: Copy, F: Fold<T>, const L: usize>(fold: F, from: *const T, n: usize) -> F::Acc {
    let (many, some) = (n / L * L, n / 8 * 8);
    // SAFETY: the caller promises `n` elements.
    unsafe {
        let mut acc = fold.start();
        if many > 0 {
            acc = in_lanes::<T, F, L>(fold, from, many);
        }
        if some > many {
            acc = fold.join(acc, in_lanes::<T, F, 8>(fold, from.add(many), some - many));
        }
        for i in some..n {
            acc = fold.step(acc, *from.add(i));
        }
        acc
    }
}

/// Folds rows of `n` elements, a multiple of the lanes, into lanes that go on after them.
///
/// # Safety
/// `from` must hold the rows, `pitch` elements apart.
#[inline(always)]
pub unsafe fn carry<T: Copy, F: Fold<T>>(fold: F, lanes: &mut [F::Acc; CARRIED], from: *const T, n: usize, rows: usize, pitch: isize) {
    let (mut own, mut caught) = (*lanes, [fold.start(); CARRIED]);
    for row in 0..rows as isize {
        let from = from.wrapping_offset(row * pitch);
        let mut i = 0;
        while i < n {
            for (l, (lane, caught)) in own.iter_mut().zip(&mut caught).enumerate() {
                // SAFETY: the caller promises rows of `n` elements.
                let x = unsafe { *from.add(i + l) };
                if F::PASSES {
                    (*lane, *caught) = (fold.pass(*lane, x), fold.catch(*caught, x));
                } else {
                    *lane = fold.step(*lane, x);
                }
            }
            i += CARRIED;
        }
    }
    if F::PASSES {
        // What the lanes began with may have been a NaN too, which was passed over.
        for (lane, (&caught, &before)) in own.iter_mut().zip(caught.iter().zip(&*lanes)) {
            *lane = fold.join(fold.join(*lane, caught), before);
        }
    }
    *lanes = own;
}

/// Folds rows of N elements that follow one another.
#[inline(always)]
unsafe fn brief<T: Copy, F: Fold<T>, const N: usize>(fold: F, from: *const T, to: &mut [F::Acc]) {
    for (r, acc) in to.iter_mut().enumerate() {
        // SAFETY: the caller promises as many rows as there are results.
        *acc = (0..N).fold(fold.start(), |acc, k| fold.step(acc, unsafe { *from.add(r * N + k) }));
    }
}

/// Folds rows that follow one another.
///
/// # Safety
/// `from` must hold as many rows of `n` elements as there are results.
#[inline(always)]
pub unsafe fn rows<T: Copy, F: Fold<T>, const L: usize>(fold: F, from: *const T, n: usize, to: &mut [F::Acc]) {
    // SAFETY: the caller's promise.
    unsafe {
        match n {
            1 => brief::<T, F, 1>(fold, from, to),
            2 => brief::<T, F, 2>(fold, from, to),
            3 => brief::<T, F, 3>(fold, from, to),
            4 => brief::<T, F, 4>(fold, from, to),
            5 => brief::<T, F, 5>(fold, from, to),
            6 => brief::<T, F, 6>(fold, from, to),
            7 => brief::<T, F, 7>(fold, from, to),
            _ => {
                for (r, acc) in to.iter_mut().enumerate() {
                    *acc = one_row::<T, F, L>(fold, from.add(r * n), n);
                }
            }
        }
    }
}

/// Eight lanes of a row's stretch of L lanes, and eight of what is left of it, as `one_row` has them before it joins the last.
#[inline(always)]
unsafe fn to_eights<T: Copy, F: Fold<T>, const L: usize>(fold: F, from: *const T, n: usize, to: &mut [[F::Acc; 8]; 2]) {
    let (many, some) = (n / L * L, n / 8 * 8);
    // SAFETY: the caller promises `n` elements.
    unsafe {
        if many > 0 {
            let mut lanes = lanes_of::<T, F, L>(fold, from, many);
            halve(&mut lanes, 8, |a, b| fold.join(a, b));
            to[0] = std::array::from_fn(|l| lanes[l]);
        }
        if some > many {
            to[1] = lanes_of::<T, F, 8>(fold, from.add(many), some - many);
        }
    }
}

/// The eight lanes of eight rows joined, all rows at once.
#[inline(always)]
fn across<T: Copy, F: Fold<T>>(fold: F, rows: &[[[F::Acc; 8]; 2]; 8], which: usize) -> [F::Acc; 8] {
    let lanes = std::array::from_fn(|l| std::array::from_fn(|r| rows[r][which][l]));
    of_eight(lanes, |a: [F::Acc; 8], b: [F::Acc; 8]| std::array::from_fn(|r| fold.join(a[r], b[r])))
}

/// Folds rows that follow one another, eight at a time: what is done across the lanes of one row is done along eight rows.
///
/// # Safety
/// `from` must hold as many rows of `n` elements as there are results.
#[inline(always)]
unsafe fn by_eights<T: Copy, F: Loops<T>, const L: usize>(fold: F, from: *const T, n: usize, to: &mut [F::Acc]) {
    if n < 8 {
        // SAFETY: the caller's promise.
        return unsafe { rows::<T, F, L>(fold, from, n, to) };
    }
    let (many, some) = (n / L * L, n / 8 * 8);
    let mut eights = [[[fold.start(); 8]; 2]; 8];
    for (k, to) in to.chunks_mut(8).enumerate() {
        // SAFETY: the caller's promise.
        unsafe {
            let from = from.add(8 * k * n);
            for (r, own) in eights.iter_mut().enumerate().take(to.len()) {
                fold.eights(from.add(r * n), n, own);
            }
            let mut all = [fold.start(); 8];
            if many > 0 {
                all = across::<T, F>(fold, &eights, 0);
            }
            if some > many {
                let rest = across::<T, F>(fold, &eights, 1);
                all = std::array::from_fn(|r| fold.join(all[r], rest[r]));
            }
            for (r, to) in to.iter_mut().enumerate() {
                *to = (some..n).fold(all[r], |acc, i| fold.step(acc, *from.add(r * n + i)));
            }
        }
    }
}

/// Folds so many rows, `pitch` elements apart, into accumulators of their columns.
#[inline(always)]
unsafe fn rows_into<T: Copy, F: Fold<T>, const ROWS: usize>(fold: F, columns: &mut [F::Acc], from: *const T, pitch: isize) {
    for (i, column) in columns.iter_mut().enumerate() {
        let mut acc = *column;
        for r in 0..ROWS {
            // SAFETY: the caller promises ROWS rows as long as the accumulators.
            acc = fold.step_at(i, acc, unsafe { *from.offset(r as isize * pitch).add(i) });
        }
        *column = acc;
    }
}

/// Folds rows into accumulators of their columns.
///
/// # Safety
/// `from` must hold rows as long as the accumulators, `pitch` elements apart.
#[inline(always)]
pub unsafe fn into_columns<T: Copy, F: Fold<T>>(fold: F, columns: &mut [F::Acc], from: *const T, pitch: isize, rows: usize) {
    let at = |row: usize| from.wrapping_offset(row as isize * pitch);
    let (whole, pairs) = (rows / TOGETHER * TOGETHER, rows / 2 * 2);
    // SAFETY: the caller promises `rows` rows as long as the accumulators.
    unsafe {
        for row in (0..whole).step_by(TOGETHER) {
            rows_into::<T, F, TOGETHER>(fold, columns, at(row), pitch);
        }
        for row in (whole..pairs).step_by(2) {
            rows_into::<T, F, 2>(fold, columns, at(row), pitch);
        }
        if pairs < rows {
            rows_into::<T, F, 1>(fold, columns, at(pairs), pitch);
        }
    }
}

/// The loops of one fold and type, compiled for each instruction set.
pub trait Loops<T: Copy>: Fold<T> {
    /// Elements of a row up to which many rows are folded in one loop: longer ones have better loops of their own where the
    /// compiler makes them.
    const MANY: usize;
    /// # Safety
    /// `from` must hold `n` elements.
    unsafe fn row(self, from: *const T, n: usize) -> Self::Acc;
    /// # Safety
    /// `from` must hold rows of `n` elements, a multiple of the lanes, `pitch` elements apart.
    unsafe fn carry(self, lanes: &mut [Self::Acc; CARRIED], from: *const T, n: usize, rows: usize, pitch: isize);
    /// Rows of `n` elements that follow one another.
    ///
    /// # Safety
    /// `from` must hold as many rows as there are results.
    unsafe fn rows(self, from: *const T, n: usize, to: &mut [Self::Acc]);
    /// Eight lanes of a row and eight of its rest, each where there are elements for it.
    ///
    /// # Safety
    /// `from` must hold `n` elements.
    unsafe fn eights(self, from: *const T, n: usize, to: &mut [[Self::Acc; 8]; 2]);
    /// # Safety
    /// `from` must hold rows as long as the accumulators.
    unsafe fn columns(self, columns: &mut [Self::Acc], from: *const T, pitch: isize, rows: usize);
}

macro_rules! loops {
    ($fold:ty, $t:ty, $acc:ty: $many:literal, $row:expr, $rows:expr, $carry:expr, $columns:expr) => {
        impl Loops<$t> for $fold {
            const MANY: usize = $many;
            #[inline]
            unsafe fn row(self, from: *const $t, n: usize) -> $acc {
                #[inline(always)]
                unsafe fn inner<const FMA: bool>(fold: $fold, from: *const $t, n: usize) -> $acc {
                    // SAFETY: the caller's promise.
                    unsafe { $row(fold, from, n) }
                }
                crate::per_isa!(static table: unsafe fn(fold: $fold, from: *const $t, n: usize) -> $acc = inner);
                // SAFETY: the caller's promise.
                unsafe { table[isa::level()](self, from, n) }
            }
            #[inline]
            unsafe fn rows(self, from: *const $t, n: usize, to: &mut [$acc]) {
                #[inline(always)]
                unsafe fn inner<const FMA: bool>(fold: $fold, from: *const $t, n: usize, to: &mut [$acc]) {
                    // SAFETY: the caller's promise.
                    unsafe { $rows(fold, from, n, to) }
                }
                crate::per_isa!(static table: unsafe fn(fold: $fold, from: *const $t, n: usize, to: &mut [$acc]) = inner);
                // SAFETY: the caller's promise.
                unsafe { table[isa::level()](self, from, n, to) }
            }
            #[inline]
            unsafe fn carry(self, lanes: &mut [$acc; CARRIED], from: *const $t, n: usize, rows: usize, pitch: isize) {
                #[inline(always)]
                unsafe fn inner<const FMA: bool>(fold: $fold, lanes: &mut [$acc; CARRIED], from: *const $t, n: usize, rows: usize, pitch: isize) {
                    // SAFETY: the caller's promise.
                    unsafe { $carry(fold, lanes, from, n, rows, pitch) }
                }
                crate::per_isa!(static table: unsafe fn(fold: $fold, lanes: &mut [$acc; CARRIED], from: *const $t, n: usize, rows: usize, pitch: isize) = inner);
                // SAFETY: the caller's promise.
                unsafe { table[isa::level()](self, lanes, from, n, rows, pitch) }
            }
            #[inline]
            unsafe fn eights(self, from: *const $t, n: usize, to: &mut [[$acc; 8]; 2]) {
                #[inline(always)]
                unsafe fn inner<const FMA: bool>(fold: $fold, from: *const $t, n: usize, to: &mut [[$acc; 8]; 2]) {
                    // SAFETY: the caller's promise.
                    unsafe { to_eights::<$t, $fold, { <$fold as Fold<$t>>::LANES }>(fold, from, n, to) }
                }
                crate::per_isa!(static table: unsafe fn(fold: $fold, from: *const $t, n: usize, to: &mut [[$acc; 8]; 2]) = inner);
                // SAFETY: the caller's promise.
                unsafe { table[isa::level()](self, from, n, to) }
            }
            #[inline]
            unsafe fn columns(self, columns: &mut [$acc], from: *const $t, pitch: isize, rows: usize) {
                #[inline(always)]
                unsafe fn inner<const FMA: bool>(fold: $fold, columns: &mut [$acc], from: *const $t, pitch: isize, rows: usize) {
                    // SAFETY: the caller's promise.
                    unsafe { $columns(fold, columns, from, pitch, rows) }
                }
                crate::per_isa!(static table: unsafe fn(fold: $fold, columns: &mut [$acc], from: *const $t, pitch: isize, rows: usize) = inner);
                // SAFETY: the caller's promise.
                unsafe { table[isa::level()](self, columns, from, pitch, rows) }
            }
        }
    };
}
macro_rules! as_they_are {
    ($many:literal: $($fold:ty, $t:ty, $acc:ty);* $(;)?) => {$(
        loops!($fold, $t, $acc: $many,
            one_row::<$t, $fold, { <$fold as Fold<$t>>::LANES }>, by_eights::<$t, $fold, { <$fold as Fold<$t>>::LANES }>,
            carry::<$t, $fold>, into_columns::<$t, $fold>);
    )*};
}
macro_rules! widened {
    ($($fold:ty),*) => {$(
        loops!($fold, f32, f64: 4096,
            widen::one_row::<$fold, FMA>, widen::rows::<$fold, FMA>, widen::carry::<$fold, FMA>, widen::columns::<$fold, FMA>);
    )*};
}
widened!(Sum, Squares, Known, Spread);
as_they_are!(512: Max, f32, f32; Max, f64, f64; Min, f32, f32; Min, f64, f64; Top, f32, f32; Top, f64, f64);
as_they_are!(128: Sum, f64, f64; Squares, f64, f64; Known, f64, f64; Spread, f64, f64);
as_they_are!(7:
    Sum, i64, i64; Apart, f32, f64; Apart, f64, f64; Prod, f32, f64; Prod, f64, f64; Prod, i64, i64; Max, i64, i64; Min, i64, i64
);
