//! Where small things are allocated: mimalloc, asked for plain blocks wherever its plain alignment is enough.
//! Leans on libmimalloc-sys.

use libmimalloc_sys as mi;
use std::alloc::{GlobalAlloc, Layout};
use std::ffi::{c_int, c_long};
use std::sync::Once;

/// mimalloc's name for how many milliseconds freed memory is kept before the system gets it back, and our choice.
const KEPT: c_int = 15;
const MILLISECONDS: c_long = 100;

unsafe extern "C" {
    fn mi_option_set(option: c_int, value: c_long);
}

/// Lets freed memory be found again by the next training step: mimalloc would give it back after 10 ms, and the system would
/// clear every page anew. What the user's own MIMALLOC_PURGE_DELAY says holds.
#[inline]
pub fn keep_freed() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
            // SAFETY: it sets a number.
            unsafe { mi_option_set(KEPT, MILLISECONDS) };
        }
    });
}

/// Every block of 16 bytes and more is aligned so; asking for that alignment by name is several times slower.
const PLAIN: usize = 16;

pub struct Memory;

#[inline(always)]
fn is_plain(layout: Layout) -> bool {
    layout.align() <= PLAIN && layout.align() <= layout.size()
}

// SAFETY: each call is passed on to mimalloc, which keeps the promises of an allocator; blocks it gives for a plain
// size are aligned to 16 bytes, or to their size where that is less.
unsafe impl GlobalAlloc for Memory {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: any size may be asked for.
        unsafe { if is_plain(layout) { mi::mi_malloc(layout.size()) } else { mi::mi_malloc_aligned(layout.size(), layout.align()) }.cast() }
    }
    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { if is_plain(layout) { mi::mi_zalloc(layout.size()) } else { mi::mi_zalloc_aligned(layout.size(), layout.align()) }.cast() }
    }
    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, _layout: Layout) {
        // SAFETY: the caller's block came from here.
        unsafe { mi::mi_free(ptr.cast()) }
    }
    #[inline]
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        unsafe { mi::mi_realloc_aligned(ptr.cast(), size, layout.align()).cast() }
    }
}
