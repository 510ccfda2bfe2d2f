//! Softmax of short rows: sixteen at a time and turned, so that nothing has to be joined across a vector. Leans on block
//! and math.

use super::math::{double, single};
use super::{block, isa};
use crate::base::dtype::Element;

/// Rows that are taken together.
pub(super) const BAND: usize = 16;
/// Elements of a row that is short.
const LONGEST: usize = 24;

/// A tile that begins with a line of memory.
#[repr(align(64))]
struct Aligned<T>(std::mem::MaybeUninit<[T; BAND * LONGEST]>);

impl<T> Aligned<T> {
    fn new() -> Aligned<T> {
        Aligned(std::mem::MaybeUninit::uninit())
    }
    fn at(&mut self) -> *mut T {
        self.0.as_mut_ptr().cast()
    }
}

/// `(log, tile, size)`: columns of a tile are rows.
type Loop<T> = &'static [unsafe fn(bool, *mut T, usize); 3];

pub(super) trait Short: Element {
    const LOOP: Loop<Self>;
}

/// Keeps a loop over columns from being compiled for several columns at once, lane by lane.
#[inline(always)]
fn apart() {
    std::hint::black_box(());
}

macro_rules! short {
    ($t:ty, $math:ident, $module:ident) => {
        mod $module {
            use super::*;

            #[inline(always)]
            unsafe fn lanes<'a>(tile: *const $t, j: usize) -> &'a [$t; BAND] {
                // SAFETY: the caller promises so many columns.
                unsafe { &*tile.add(j * BAND).cast() }
            }

            #[inline(always)]
            unsafe fn lanes_mut<'a>(tile: *mut $t, j: usize) -> &'a mut [$t; BAND] {
                // SAFETY: as above, and nobody else uses them.
                unsafe { &mut *tile.add(j * BAND).cast() }
            }

            #[inline(always)]
            unsafe fn forward_of<const FMA: bool>(log: bool, tile: *mut $t, n: usize) {
                let mut top = [<$t>::NEG_INFINITY; BAND];
                let mut sums = [0f64; BAND];
                // SAFETY: the caller promises `n` columns.
                unsafe {
                    // A NaN need not be looked for: its exponential makes the sum one.
                    for j in 0..n {
                        let x = *lanes(tile, j);
                        for l in 0..BAND {
                            top[l] = if x[l] > top[l] { x[l] } else { top[l] };
                        }
                    }
                    for j in 0..n {
                        let mut e = *lanes(tile, j);
                        for l in 0..BAND {
                            e[l] = $math::exp::<FMA>(e[l] - top[l]);
                        }
                        for l in 0..BAND {
                            sums[l] += e[l] as f64;
                        }
                        if !log {
                            *lanes_mut(tile, j) = e;
                        }
                        apart();
                    }
                    let mut last = [0.0 as $t; BAND];
                    if log {
                        for l in 0..BAND {
                            last[l] = double::log::<FMA>(sums[l]) as $t;
                        }
                        for j in 0..n {
                            let mut x = *lanes(tile, j);
                            for l in 0..BAND {
                                x[l] = (x[l] - top[l]) - last[l];
                            }
                            *lanes_mut(tile, j) = x;
                            apart();
                        }
                    } else {
                        for l in 0..BAND {
                            last[l] = (1.0 / sums[l]) as $t;
                        }
                        for j in 0..n {
                            let mut x = *lanes(tile, j);
                            for l in 0..BAND {
                                x[l] *= last[l];
                            }
                            *lanes_mut(tile, j) = x;
                            apart();
                        }
                    }
                }
            }

            crate::per_isa!(static forward: unsafe fn(log: bool, tile: *mut $t, n: usize) = forward_of);

            impl Short for $t {
                const LOOP: Loop<$t> = &forward;
            }
        }
    };
}
short!(f32, single, of_single);
short!(f64, double, of_double);

/// A band of rows as columns of a tile, or back.
///
/// # Safety
/// There must be so many rows of `n` elements, at most LONGEST, and a tile.
unsafe fn turn<T>(rows: *mut T, tile: *mut T, n: usize, back: bool) {
    let (rows, tile, band) = (rows.cast::<u8>(), tile.cast::<u8>(), BAND as isize);
    let shift = block::mover(size_of::<T>());
    // SAFETY: the caller's promise.
    unsafe {
        if back {
            shift(tile, (1, band), rows, (n as isize, 1), BAND, n);
        } else {
            shift(rows, (1, n as isize), tile, (band, 1), n, BAND);
        }
    }
}

/// Softmax, or its logarithm, of rows one after the other; returns how many were taken.
///
/// # Safety
/// Both sides must hold `rows * n` elements.
pub(super) unsafe fn forward<T: Short>(log: bool, from: *const T, to: *mut T, rows: usize, n: usize) -> usize {
    if n > LONGEST || rows < BAND {
        return 0;
    }
    let (mut tile, whole) = (Aligned::<T>::new(), rows / BAND * BAND);
    for r in (0..whole).step_by(BAND) {
        // SAFETY: the caller's promise.
        unsafe {
            turn(from.add(r * n).cast_mut(), tile.at(), n, false);
            T::LOOP[isa::level()](log, tile.at(), n);
            turn(to.add(r * n), tile.at(), n, true);
        }
    }
    whole
}
