//! Memory handled by hand behind safe names, so that the rooms above need no `unsafe`: where blocks come from, who may
//! look at a value, and how a shared one is born. Leans on std, libmimalloc-sys and memmap2.

pub mod allocator;
pub mod few;
pub mod heap;
pub mod lock;
pub mod unique;

pub use allocator::Memory;
pub use few::Few;
pub use lock::{Guard, Lock};
pub use unique::{Room, Unique};
