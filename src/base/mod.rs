//! Rank 0, the ground: words that every other room uses. Leans on std alone.

pub mod device;
pub mod dtype;
pub mod error;
pub mod layout;
pub mod memory;
pub mod number;
pub mod shape;

pub use device::Device;
pub use dtype::DType;
pub use error::{Error, ErrorKind, Result};
pub use layout::Layout;
pub use memory::Few;
pub use memory::Lock;
pub use number::Number;
