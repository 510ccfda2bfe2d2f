//! schuss: automatic differentiation and gradient descent. The rooms in the order of their rank; each leans only on
//! rooms above it in this list.

pub mod backend;
pub mod base;
pub mod engine;
pub mod formula;
pub mod graph;
pub mod ops;
#[cfg(feature = "python")]
mod python;
pub mod tensor;

pub use base::{DType, Error, Number, Result};
pub use graph::Tensor;

#[global_allocator]
static ALLOCATOR: base::memory::Memory = base::memory::Memory;
