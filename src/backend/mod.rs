//! Rank 2, the engine room: buffers, launches and the one page that a backend owes. Leans on base and formula; never sees an operator's name.

pub mod cpu;
#[cfg(feature = "gpu")]
pub mod gpu;
pub mod launch;
pub mod naive;
pub mod place;
pub mod program;
pub mod sequence;
pub mod stop;
pub mod storage;
pub mod task;
pub mod trace;

pub use launch::{Backend, FoldKind, Launch, MapBody, Operand};
pub use place::{at, beside, copy, fetch, gradient_beside, of, somewhere, together, transfer};
pub use storage::{Storage, any_away};
