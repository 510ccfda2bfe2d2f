//! Where extremes are: down columns as rows come, and along a row the first place of a value. Leans on per_isa.

use super::isa;

/// The extreme of a column and its row, as far as rows have been seen.
#[inline(always)]
unsafe fn into_places<T: Copy + PartialOrd, const SMALLEST: bool>(best: &mut [T], at: &mut [u32], from: *const T, row: u32) {
    for (i, (best, at)) in best.iter_mut().zip(at).enumerate() {
        // SAFETY: the caller promises a row as long as the accumulators.
        let x = unsafe { *from.add(i) };
        let closer = if SMALLEST { x < *best } else { x > *best };
        #[allow(clippy::eq_op, reason = "what is not equal to itself is NaN, and the first wins")]
        let take = closer || (x != x && *best == *best);
        *best = if take { x } else { *best };
        *at = if take { row } else { *at };
    }
}

/// The first place of a value (or of NaN, if it is one), `n` if there is none.
#[inline(always)]
unsafe fn find<T: Copy + PartialEq>(value: T, from: *const T, n: usize) -> usize {
    let mut place = u32::MAX;
    #[allow(clippy::eq_op, reason = "what is not equal to itself is NaN")]
    if value == value {
        for i in 0..n {
            // SAFETY: the caller promises `n` elements.
            let here = unsafe { *from.add(i) } == value;
            place = place.min(if here { i as u32 } else { u32::MAX });
        }
    } else {
        for i in 0..n {
            // SAFETY: as above.
            let x = unsafe { *from.add(i) };
            place = place.min(if x != x { i as u32 } else { u32::MAX });
        }
    }
    if place == u32::MAX { n } else { place as usize }
}

/// Places of extremes, compiled for each instruction set.
pub trait Places: Copy + PartialOrd {
    /// # Safety
    /// `from` must hold a row as long as the lists.
    unsafe fn places(smallest: bool, best: &mut [Self], at: &mut [u32], from: *const Self, row: u32);
    /// # Safety
    /// `from` must hold `n` elements.
    unsafe fn find(self, from: *const Self, n: usize) -> usize;
}

macro_rules! places {
    ($($t:ty),*) => {$(
        impl Places for $t {
            unsafe fn places(smallest: bool, best: &mut [$t], at: &mut [u32], from: *const $t, row: u32) {
                #[inline(always)]
                unsafe fn inner<const FMA: bool>(smallest: bool, best: &mut [$t], at: &mut [u32], from: *const $t, row: u32) {
                    // SAFETY: the caller's promise.
                    unsafe { if smallest { into_places::<$t, true>(best, at, from, row) } else { into_places::<$t, false>(best, at, from, row) } }
                }
                crate::per_isa!(static table: unsafe fn(smallest: bool, best: &mut [$t], at: &mut [u32], from: *const $t, row: u32) = inner);
                // SAFETY: the caller's promise.
                unsafe { table[isa::level()](smallest, best, at, from, row) }
            }
            unsafe fn find(self, from: *const $t, n: usize) -> usize {
                #[inline(always)]
                unsafe fn inner<const FMA: bool>(value: $t, from: *const $t, n: usize) -> usize {
                    // SAFETY: the caller's promise.
                    unsafe { find::<$t>(value, from, n) }
                }
                crate::per_isa!(static table: unsafe fn(value: $t, from: *const $t, n: usize) -> usize = inner);
                // SAFETY: the caller's promise.
                unsafe { table[isa::level()](self, from, n) }
            }
        }
    )*};
}
places!(f32, f64, i64);
