//! Rank 6, the Rust face of a tensor: making, indexing, reading and printing it. Leans on engine and everything below.

pub mod batches;
pub mod create;
pub mod demand;
pub mod index;
pub mod number;
pub mod print;
pub mod random;
pub mod scalar;
pub mod shapes;

use crate::backend::cpu::convert::{self, Cursor};
use crate::backend::{Operand, fetch};
use crate::base::dtype::Element;
use crate::base::{DType, Device, Error, Number, Result, shape};
use crate::engine::backward;
use crate::graph::Tensor;
use crate::graph::mode::Mode;
use crate::graph::tensor::flag;

/// Reading.
impl Tensor {
    /// All elements in row-major order, converted. Those on a device are waited for.
    pub fn to_vec<T: Element>(&self) -> Vec<T> {
        let operand = self.fetched();
        let mut list = vec![T::default(); operand.numel()];
        if !list.is_empty() {
            // SAFETY is the reader's: the list holds as many elements as the tensor.
            convert::read_all(&operand, &Cursor::new(&operand.layout), &mut list);
        }
        list
    }

    /// The one element of a tensor of one element.
    pub fn item(&self) -> Result<Number> {
        let operand = self.operand();
        if operand.numel() != 1 {
            return Err(Error::runtime(
                "item",
                format!(
                    "a tensor of shape {} has {} elements and is no single number; index it first, or use tolist()",
                    shape::show(&operand.layout.shape),
                    operand.numel()
                ),
            ));
        }
        crate::backend::trace::read("the step reads the number in a tensor (item, float, int, bool)")?;
        Ok(convert::element(&fetch(&operand)?, 0))
    }

    /// The elements where the host can read them.
    ///
    /// # Panics
    /// Where they cannot be brought from their device; `to_device` says so with an error.
    fn fetched(&self) -> Operand {
        fetch(&self.operand()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same elements on another device: itself where they are there already. The gradient finds its way back.
    pub fn to_device(&self, device: Device) -> Result<Tensor> {
        let own = self.device();
        if own == device {
            return Ok(self.clone());
        }
        // What cannot be started is said before anything is recorded.
        crate::backend::at(device)?;
        crate::ops::view::transfer(self, device.code(), own.code())
    }

    /// Walks back from this scalar and adds gradients to the leaves.
    pub fn backward(&self) -> Result<()> {
        backward::backward(std::slice::from_ref(self), &[None], false, false, None)
    }

    /// Asks that gradients with respect to this tensor be recorded.
    pub fn require_grad(&self, on: bool) -> Result<&Tensor> {
        if on && !self.dtype().is_inexact() {
            return Err(Error::runtime(
                "requires_grad_",
                format!("only float tensors can require gradients, this one is {}", self.dtype()),
            ));
        }
        if on && self.lift().is_some() {
            return Err(Error::grad(
                "requires_grad_",
                "inside a transformation a tensor cannot be told to require gradients; use schuss.func.grad, or vjp, inside",
            ));
        }
        let mut core = self.0.core.get();
        if on && core.has(flag::INFERENCE) && !Mode::now().inference() {
            return Err(Error::runtime(
                "requires_grad_",
                "a tensor made in inference mode cannot require gradients outside of it; use x.clone() first",
            ));
        }
        if !on && core.edge.is_some() && core.requires_grad {
            return Err(Error::runtime(
                "requires_grad_",
                "only leaf tensors can be told not to require grad; use x.detach() for a tensor outside the graph",
            ));
        }
        // What tapes alone recorded becomes a leaf like any other.
        let old = if on && !core.requires_grad { core.edge.take() } else { None };
        core.requires_grad = on;
        drop(core);
        drop(old);
        Ok(self)
    }

    /// The same elements in another dtype: itself where nothing changes.
    pub fn to_dtype(&self, dtype: DType) -> Result<Tensor> {
        if self.dtype() == dtype { Ok(self.clone()) } else { crate::ops::view::cast(self, dtype) }
    }

    /// Row-major elements: itself where they already are.
    pub fn contiguous(&self) -> Result<Tensor> {
        if self.is_contiguous() { Ok(self.clone()) } else { crate::ops::view::compact(self) }
    }
}

/// The text of a tensor, as the host language shows it.
pub fn show(t: &Tensor, opening: &str, options: &print::Options, suffixes: &[String]) -> String {
    let operand = t.fetched();
    let kind = match operand.dtype {
        DType::Bool => print::Kind::Bool,
        d if d.is_float() => print::Kind::Float,
        d if d.is_complex() => print::Kind::Complex,
        _ => print::Kind::Integer,
    };
    let at = |index: &[usize]| {
        let offset: isize = index.iter().zip(operand.layout.strides.iter()).map(|(&i, &s)| i as isize * s).sum();
        convert::element(&operand, offset)
    };
    let source = print::Source { kind, shape: &operand.layout.shape, at: &at };
    print::call(opening, &source, options, suffixes)
}

impl std::fmt::Display for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&show(self, "tensor(", &print::Options::default(), &[]))
    }
}
