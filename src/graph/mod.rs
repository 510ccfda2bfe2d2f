//! Rank 3, the ledger: who asked for what, with what shape. Leans on base and backend; runs nothing itself.

pub mod arg;
pub mod capture;
pub mod lift;
pub mod mode;
pub mod node;
pub mod op;
pub mod pair;
pub mod sym;
pub mod tensor;

pub use arg::{Arg, Param, ParamKind};
pub use node::{Edge, Kept, Node, Rule};
pub use op::{Body, Call, Class, Example, Examples, Input, InputKind, Linear, Meta, Metas, Op};
pub use pair::Pair;
pub use sym::{Grads, Pull, Sym};
pub use tensor::{Feed, Outs, Tensor};
