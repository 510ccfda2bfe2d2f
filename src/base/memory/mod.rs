//! Memory handled by hand behind safe names, so that the rooms above need no `unsafe`: where blocks come from, who may
//! look at a value, and how a shared one is born. Leans on std and libmimalloc-sys.

pub mod allocator;
pub mod few;
pub mod lock;
pub mod unique;

pub use allocator::{Memory, keep_freed};
pub use few::Few;
pub use lock::{Guard, Lock};
pub use unique::{Room, Unique};
