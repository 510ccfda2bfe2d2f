//! Rank 2, the engine room: buffers, launches and the one page that a backend owes. Leans on base and formula; never sees an operator's name.

pub mod cpu;
pub mod launch;
pub mod naive;
pub mod program;
pub mod storage;
pub mod task;
pub mod trace;

pub use launch::{Backend, FoldKind, Launch, MapBody, Operand};
pub use storage::Storage;

/// The backend that holds a storage; one today, found by the storage's device when there are more.
#[inline]
pub fn of(_storage: &Storage) -> &'static dyn Backend {
    &cpu::Cpu
}
