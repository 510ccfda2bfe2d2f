//! Rank 5, the workshop: what happens to what was asked. Run now, record, walk back, write in place. Leans on ops, graph and backend.

pub mod backward;
mod conjugate;
pub mod custom;
mod echo;
pub mod lift;
mod plan;
pub mod quick;
mod recast;
pub mod record;
pub mod replay;
pub mod settle;
pub mod tape;
pub mod unpack;
mod walk;
mod windows;
pub mod write;

/// Puts this engine behind the rules; every way to make a tensor calls it first.
#[inline]
pub fn start() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| crate::graph::tensor::set_engine(record::emit));
}
