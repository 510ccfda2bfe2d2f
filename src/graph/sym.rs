//! The handle that rules are written with: a tensor, a number, or only a shape, with infallible operators. Leans on tensor.
//!
//! Rules see only operands that have been checked; an error inside one (no memory, a bug) unwinds with the error as its
//! payload and is caught where the walk runs the rule.

use super::node::{Full, Needs};
use super::tensor::{Feed, emit};
use super::{Arg, Meta, Op, Pair, Tensor};
use crate::base::shape::Shape;
use crate::base::{DType, Device, Error, Number, Result};

#[derive(Clone)]
pub enum Sym {
    Tensor(Tensor),
    Number(Number),
    /// Kept elements, outside the graph.
    Operand(Box<Full>),
    Meta(Meta),
    Absent,
}

/// The gradients that a rule gives, one for each input; None where none is needed.
pub type Grads = Pair<Option<Sym>>;

/// What a rule is handed: cotangents, operands, results, parameters, and which gradients are wanted.
pub struct Pull<'a> {
    pub grads: &'a [Option<Sym>],
    pub ins: &'a [Sym],
    pub outs: &'a [Sym],
    pub args: &'a [Arg],
    pub needs: Needs,
}

impl Pull<'_> {
    /// The cotangent of the only output.
    #[inline]
    pub fn grad(&self) -> &Sym {
        match &self.grads[0] {
            Some(g) => g,
            None => fail(Error::bug("backward", "a rule ran without a cotangent")),
        }
    }
}

#[cold]
pub fn fail(error: Error) -> ! {
    std::panic::resume_unwind(Box::new(error))
}

/// The value of a result inside a rule.
#[inline]
pub fn must<T>(result: Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => fail(error),
    }
}

impl Sym {
    #[inline]
    pub fn feed(&self) -> Feed<'_> {
        match self {
            Sym::Tensor(t) => Feed::Tensor(t),
            Sym::Number(n) => Feed::Number(*n),
            Sym::Operand(f) => Feed::Operand(&f.operand),
            Sym::Absent => Feed::Absent,
            Sym::Meta(m) => fail(Error::bug(
                "backward",
                format!("a rule read a tensor of shape {} that was not kept", crate::base::shape::show(&m.shape)),
            )),
        }
    }
    #[inline]
    pub fn apply(op: &'static Op, feeds: &[Feed], args: &[Arg]) -> Sym {
        Sym::Tensor(must(emit(op, feeds, args)).one())
    }
    pub fn tensor(&self) -> &Tensor {
        match self {
            Sym::Tensor(t) => t,
            Sym::Operand(f) => f.handle.get_or_init(|| Tensor::from_operand(f.operand.clone())),
            _ => fail(Error::bug("backward", "a rule wanted a tensor where there is none")),
        }
    }
    pub fn shape(&self) -> Shape {
        match self {
            Sym::Tensor(t) => t.shape(),
            Sym::Operand(f) => f.operand.layout.shape.clone(),
            Sym::Meta(m) => m.shape.clone(),
            _ => Shape::new(),
        }
    }
    pub fn rank(&self) -> usize {
        match self {
            Sym::Tensor(t) => t.rank(),
            Sym::Operand(f) => f.operand.layout.rank(),
            Sym::Meta(m) => m.shape.len(),
            _ => 0,
        }
    }
    pub fn numel(&self) -> usize {
        match self {
            Sym::Tensor(t) => t.numel(),
            Sym::Operand(f) => f.operand.layout.numel(),
            Sym::Meta(m) => m.shape.iter().product(),
            _ => 1,
        }
    }
    pub fn dtype(&self) -> DType {
        match self {
            Sym::Tensor(t) => t.dtype(),
            Sym::Operand(f) => f.operand.dtype,
            Sym::Meta(m) => m.dtype,
            Sym::Number(n) => n.dtype(),
            Sym::Absent => DType::F32,
        }
    }
    /// Where its elements are, or those of the walk that it is met on.
    pub fn device(&self) -> Device {
        match self {
            Sym::Tensor(t) => t.device(),
            Sym::Operand(f) => f.operand.device(),
            _ => super::mode::place(),
        }
    }
    /// Whether it has a shape: it is a tensor, or stands for one.
    pub fn has_form(&self) -> bool {
        matches!(self, Sym::Tensor(_) | Sym::Operand(..) | Sym::Meta(_))
    }
    pub fn is_absent(&self) -> bool {
        matches!(self, Sym::Absent)
    }
}

impl From<Tensor> for Sym {
    fn from(t: Tensor) -> Sym {
        Sym::Tensor(t)
    }
}
impl From<&Tensor> for Sym {
    fn from(t: &Tensor) -> Sym {
        Sym::Tensor(t.clone())
    }
}
impl<'a> From<&'a Sym> for Feed<'a> {
    fn from(s: &'a Sym) -> Feed<'a> {
        s.feed()
    }
}
