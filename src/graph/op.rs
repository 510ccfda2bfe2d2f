//! One operator is one record: its name, what it takes, what it computes, and its derivative. Leans on arg, sym and backend.

use super::sym::{Grads, Pull, Sym};
use super::{Arg, Feed, Outs, Param, Tensor};
use crate::backend::{MapBody, Operand};
use crate::base::shape::Shape;
use crate::base::{DType, Layout, Result};
use smallvec::SmallVec;
use std::sync::atomic::{AtomicU16, Ordering};

/// Which element types an operator takes, and what it gives for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Floats; integers are promoted to the default float.
    Float,
    /// Floats alone; nothing is promoted to them.
    Real,
    /// All numbers, truths as well.
    Number,
    /// All numbers but truths.
    Arithmetic,
    /// Integers and truths.
    Integer,
    /// Any numbers in, truths out.
    Compare,
    /// Anything in, read as truths; truths out.
    Logic,
    /// Floats asked a question: truths out.
    Question,
    /// The body says.
    Any,
}

/// What sets an operator apart from its class when its operands' types are settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quirk {
    None,
    /// The first operand chooses between the others, and takes no part in the promotion.
    Chooses,
    /// The second operand is a mask; the first keeps its dtype.
    Masks,
    /// Integers are divided, and never by zero.
    Divides,
    /// Integers are raised to powers, and never to negative ones.
    Raises,
    /// Truths are counted in int64.
    Counts,
    /// Truths are refused.
    Shifts,
    /// Truths are refused, beside numbers as well.
    Subtracts,
    /// A view that may be asked to reach past its storage.
    Reaches,
    /// A view of complex numbers as the reals that they are made of.
    Parts,
    /// A view of reals, two and two, as complex numbers.
    Pairs,
    /// A copy, whose axes lie in memory in the order of the operand's.
    Keeps,
}

/// Whether an operator takes complex numbers, and who thinks of them in its derivative.
#[derive(Clone, Copy)]
pub enum Complex {
    /// It takes none. One that is made of others leaves it to them.
    No,
    /// Its result is differentiable in the complex sense, or linear: the walk conjugates on both sides of its rule.
    Yes,
    /// Its rule gives what PyTorch calls the gradient, conjugates and all.
    Own,
    /// Another operator does it for them.
    Other(&'static Op),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// A tensor, or in a map a number.
    One,
    /// A tensor; no number stands for it.
    Tensor,
    /// A number, or a 0-d tensor.
    Single,
    /// A tensor that may be absent.
    Maybe,
    /// Any number of tensors; such an operator has no other tensor.
    List,
}

pub struct Input {
    pub name: &'static str,
    pub kind: InputKind,
}

/// Shape and type of a tensor, without its elements.
#[derive(Clone, Debug, PartialEq)]
pub struct Meta {
    pub shape: Shape,
    pub dtype: DType,
}

/// What a kernel body is handed: operands in, operands out, parameters.
pub struct Call<'a> {
    pub ins: &'a [Option<&'a Operand>],
    pub outs: &'a [Operand],
    pub args: &'a [Arg],
}

pub type ViewRule = fn(&Layout, &[Arg]) -> Result<Layout>;
/// What a kernel gives: nearly always one tensor.
pub type Metas = SmallVec<[Meta; 1]>;
pub type MetaRule = fn(&[Option<Meta>], &[Arg]) -> Result<Metas>;
pub type Kernel = fn(&Call) -> Result<()>;
pub type Inline = fn(&[Option<Sym>], &[Arg]) -> Result<Vec<Tensor>>;
pub type Vjp = fn(&Pull) -> Grads;
/// Runs an operator for many examples at once; the results have the examples along their first axis.
pub type Batch = fn(&'static Op, &Examples) -> Result<Outs>;

/// How a result depends on the tensors of floats that it is made of, where it is a sum of products of their elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linear {
    No,
    /// In all of them together.
    Together,
    /// In each while the others stay.
    Each,
}

/// An operand of an operator that runs for many examples.
#[derive(Clone, Copy)]
pub enum Example<'a> {
    /// One for each, along the first axis.
    Many(&'a Tensor),
    /// The same for all.
    Same(Feed<'a>),
}

/// Operands of an operator that runs for `count` examples at once, of which at least one differs from example to example.
pub struct Examples<'a> {
    pub count: usize,
    pub ins: &'a [Example<'a>],
    pub args: &'a [Arg],
}

/// What an operator computes.
pub enum Body {
    /// One formula for every element of the broadcast shape.
    Map(MapBody),
    /// Another layout over the same bytes: nothing runs.
    View(ViewRule),
    /// A kernel family: what comes out, and how it is launched.
    Kernel(MetaRule, Kernel),
    /// Made of other operators.
    Inline(Inline),
}

pub struct Op {
    pub name: &'static str,
    pub doc: &'static str,
    pub inputs: &'static [Input],
    pub params: &'static [Param],
    pub class: Class,
    pub quirk: Quirk,
    pub body: Body,
    pub complex: Complex,
    pub vjp: Option<Vjp>,
    pub linear: Linear,
    /// How it runs for many examples at once; None where it runs for one after the other.
    pub batch: Option<Batch>,
    /// Where tests sample its inputs.
    pub check: (f64, f64),
    /// How users reach it: as method, function, in-place method.
    pub face: Face,
    pub saves: Saves,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Face {
    pub method: bool,
    pub function: bool,
    pub in_place: bool,
}

/// Which inputs and outputs a derivative reads, worked out once for each set of inputs that need a
/// gradient and each set that are plain numbers; and once more where an operand is 0-d or empty, for which rules
/// may take another way.
pub struct Saves([AtomicU16; 128]);

/// The bit of a key that says so.
pub const ODD_SHAPE: u32 = 1 << 6;

const UNKNOWN: u16 = u16::MAX;

impl Saves {
    #[allow(clippy::declare_interior_mutable_const)]
    pub const fn new() -> Saves {
        Saves([const { AtomicU16::new(UNKNOWN) }; 128])
    }
    #[inline]
    pub fn get(&self, key: u32) -> Option<u32> {
        let known = self.0.get(key as usize)?.load(Ordering::Relaxed);
        (known != UNKNOWN).then_some(u32::from(known))
    }
    /// Forgets everything; it is then worked out again.
    pub fn clear(&self) {
        self.0.iter().for_each(|slot| slot.store(UNKNOWN, Ordering::Relaxed));
    }
    pub fn set(&self, key: u32, reads: u32) {
        if let (Some(slot), Ok(reads)) = (self.0.get(key as usize), u16::try_from(reads)) {
            slot.store(reads, Ordering::Relaxed);
        }
    }
}

impl Default for Saves {
    fn default() -> Self {
        Saves::new()
    }
}

/// The bit of an output in a mask of reads; inputs take the bits below.
pub const OUTPUT_BIT: u32 = 8;

impl Op {
    pub fn kind(&self) -> &'static str {
        match self.body {
            Body::Map(_) => "map",
            Body::View(_) => "view",
            Body::Kernel(..) => "kernel",
            Body::Inline(_) => "inline",
        }
    }
    /// What an input is called; those of a list go by the list's name.
    pub fn called(&self, k: usize) -> &'static str {
        let k = if self.is_list() { 0 } else { k };
        self.inputs.get(k).map_or("", |input| input.name)
    }
    pub fn is_list(&self) -> bool {
        self.inputs.first().is_some_and(|i| i.kind == InputKind::List)
    }
}
