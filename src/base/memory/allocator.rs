//! Where things are allocated: small ones by mimalloc, asked for plain blocks wherever its plain alignment is enough, large
//! ones in the heap beside. Leans on heap and libmimalloc-sys.

use super::heap;
use libmimalloc_sys as mi;
use std::alloc::{GlobalAlloc, Layout};

/// Every block of 16 bytes and more is aligned so; asking for that alignment by name is several times slower.
const PLAIN: usize = 16;

/// Longer blocks come from the heap: mimalloc leaves too much room between them.
const LARGE: usize = 128 << 10;

pub struct Memory;

#[inline(always)]
fn is_large(layout: Layout) -> bool {
    layout.size() > LARGE && layout.align() <= heap::PAGE
}

#[cold]
#[inline(never)]
fn large(layout: Layout, zero: bool) -> *mut u8 {
    layout.size().checked_next_multiple_of(heap::PAGE).map_or(std::ptr::null_mut(), |len| heap::take(len, zero))
}

#[cold]
#[inline(never)]
unsafe fn end_large(ptr: *mut u8, layout: Layout) {
    // SAFETY: the caller's block came from there with this length.
    unsafe { heap::give(ptr, layout.size().next_multiple_of(heap::PAGE)) }
}

#[inline(always)]
fn is_plain(layout: Layout) -> bool {
    layout.align() <= PLAIN && layout.align() <= layout.size()
}

// SAFETY: each call is passed on to the heap or to mimalloc, by its layout alone, and both keep the promises of an allocator;
// blocks that mimalloc gives for a plain size are aligned to 16 bytes, or to their size where that is less.
unsafe impl GlobalAlloc for Memory {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            return large(layout, false);
        }
        // SAFETY: any size may be asked for.
        unsafe { if is_plain(layout) { mi::mi_malloc(layout.size()) } else { mi::mi_malloc_aligned(layout.size(), layout.align()) }.cast() }
    }
    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_large(layout) {
            return large(layout, true);
        }
        // SAFETY: as above.
        unsafe { if is_plain(layout) { mi::mi_zalloc(layout.size()) } else { mi::mi_zalloc_aligned(layout.size(), layout.align()) }.cast() }
    }
    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        if is_large(layout) {
            // SAFETY: the caller's block came from there.
            return unsafe { end_large(ptr, layout) };
        }
        // SAFETY: the caller's block came from here.
        unsafe { mi::mi_free(ptr.cast()) }
    }
    #[inline]
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the size is no larger than a layout may have.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        if is_large(layout) || is_large(wanted) {
            // SAFETY: both blocks hold the bytes that are copied.
            unsafe {
                let to = self.alloc(wanted);
                if !to.is_null() {
                    std::ptr::copy_nonoverlapping(ptr, to, layout.size().min(size));
                    self.dealloc(ptr, layout);
                }
                return to;
            }
        }
        // SAFETY: as above.
        unsafe { mi::mi_realloc_aligned(ptr.cast(), size, layout.align()).cast() }
    }
}
