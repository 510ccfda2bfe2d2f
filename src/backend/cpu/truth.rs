//! Whether any, or every, element is true: bits looked at as they lie, without making numbers of them. Leans on fold and convert.

use super::convert::{self, Cursor};
use super::fold::{CHUNK, PANEL, by_columns, panels, put};
use super::{isa, stop, threads};
use crate::backend::launch::Operand;
use crate::base::dtype::Truth;

/// Elements that are looked at before asking whether the answer is known.
const STRETCH: usize = 2048;

macro_rules! sizes {
    ($($row:ident $row_of:ident $columns:ident $columns_of:ident $u:ty);*) => {$(
        /// For `all`, whether an element is zero; else whether one is not. A float's sign, which zero has too, is shifted out.
        #[inline(always)]
        unsafe fn $row_of<const FMA: bool>(all: bool, float: bool, from: *const u8, n: usize) -> bool {
            let (from, by) = (from.cast::<$u>(), u32::from(float));
            let mut hits: $u = 0;
            // SAFETY: the caller promises `n` elements.
            unsafe {
                if all {
                    for i in 0..n { hits |= <$u>::from(*from.add(i) << by == 0); }
                } else {
                    for i in 0..n { hits |= *from.add(i) << by; }
                }
            }
            hits != 0
        }
        /// The same for each column, added to what is known of it.
        #[inline(always)]
        unsafe fn $columns_of<const FMA: bool>(all: bool, float: bool, from: *const u8, known: &mut [u64; PANEL], n: usize) {
            let (from, by) = (from.cast::<$u>(), u32::from(float));
            // SAFETY: the panel has room for the columns of any size; the caller promises `n` elements.
            let known = unsafe { std::slice::from_raw_parts_mut(known.as_mut_ptr().cast::<$u>(), n) };
            for (i, known) in known.iter_mut().enumerate() {
                // SAFETY: as above.
                let x = unsafe { *from.add(i) } << by;
                *known |= if all { <$u>::from(x == 0) } else { x };
            }
        }
        crate::per_isa!(static $row: unsafe fn(all: bool, float: bool, from: *const u8, n: usize) -> bool = $row_of);
        crate::per_isa!(static $columns: unsafe fn(all: bool, float: bool, from: *const u8, known: &mut [u64; PANEL], n: usize) = $columns_of);
    )*};
}
sizes!(row8 row8_of columns8 columns8_of u8; row16 row16_of columns16 columns16_of u16;
       row32 row32_of columns32 columns32_of u32; row64 row64_of columns64 columns64_of u64);

pub fn run(all: bool, input: &Operand, folded: usize, out: &Operand) {
    let count: usize = input.layout.shape[input.layout.rank() - folded..].iter().product();
    let (float, size, level) = (input.dtype.is_float(), input.dtype.size(), isa::level());
    if count > 0 && by_columns(input, folded) {
        let look = [&columns8, &columns16, &columns32, &columns64][size.trailing_zeros() as usize][level];
        panels(input, folded, PANEL, |first, n, down| {
            let mut known = [0u64; PANEL];
            down(&mut |from, rows, pitch| {
                for row in 0..rows as isize {
                    // SAFETY: a row of `n` elements of the operand.
                    unsafe { look(all, float, from.offset(row * pitch), &mut known, n) };
                }
            });
            let bytes: *const u8 = known.as_ptr().cast();
            for j in 0..n {
                // SAFETY: the list holds `n` elements of this size.
                let hit = unsafe { std::slice::from_raw_parts(bytes.add(j * size), size) }.iter().any(|&b| b != 0);
                put(out, first + j, 0.0, i64::from(hit != all));
            }
        });
        return;
    }
    let look = [&row8, &row16, &row32, &row64][size.trailing_zeros() as usize][level];
    let straight = input.layout.is_contiguous();
    let cursor = Cursor::new(&input.layout);
    threads::each(out.numel(), (CHUNK / count.max(1)).max(1), |range| {
        let mut tile = [Truth(0); STRETCH];
        for row in range {
            let (mut hit, mut done) = (false, 0);
            while done < count && !hit && (done == 0 || done % (STRETCH << 7) != 0 || !stop::asked()) {
                let n = STRETCH.min(count - done);
                let at = row * count + done;
                // SAFETY: the operand holds `n` elements from there on, and the tile has room for them.
                hit = unsafe {
                    if straight {
                        look(all, float, input.ptr().add(at * size), n)
                    } else {
                        convert::read(input, &cursor, at, n, tile.as_mut_ptr());
                        row8[level](all, false, tile.as_ptr().cast(), n)
                    }
                };
                done += n;
            }
            put(out, row, 0.0, i64::from(hit != all));
        }
    });
}
