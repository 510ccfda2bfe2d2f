//! What a tensor knows of the tape, as Python sees it: grad, grad_fn, backward, hooks, and the marks of variables. Leans on engine.

use super::tensor::{PyTensor, wrap};
use super::{args, enter, node};
use crate::base::{Error, shape};
use crate::engine::{backward, write};
use crate::graph::tensor::flag;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;

#[pymethods]
impl PyTensor {
    /// Whether operations on this tensor are recorded and gradients reach it; set it on leaves of a float dtype.
    ///
    /// >>> x = schuss.zeros(2)
    /// >>> x.requires_grad = True
    /// >>> (x * 2).requires_grad
    /// True
    #[getter]
    fn requires_grad(&self) -> bool {
        write::refresh(&self.inner);
        self.inner.requires_grad()
    }
    #[setter]
    fn set_requires_grad(&self, on: &Bound<'_, PyAny>) -> PyResult<()> {
        self.inner.require_grad(args::requires_grad(on)?)?;
        Ok(())
    }
    /// Sets `requires_grad`; returns this tensor. Raises RuntimeError for integers, and for turning it off after a leaf.
    ///
    /// >>> schuss.zeros(2).requires_grad_().requires_grad
    /// True
    #[pyo3(signature = (requires_grad=None), text_signature = "($self, requires_grad=True)")]
    fn requires_grad_(slf: Bound<'_, Self>, requires_grad: Option<&Bound<'_, PyAny>>) -> PyResult<Py<Self>> {
        let on = requires_grad.map_or(Ok(true), |on| args::requires_grad(on))?;
        slf.get().inner.require_grad(on)?;
        Ok(slf.unbind())
    }
    /// Whether it was made in inference mode, and so takes part in no derivative outside of it.
    ///
    /// >>> with schuss.inference_mode():
    /// ...     schuss.zeros(2).is_inference()
    /// True
    fn is_inference(&self) -> bool {
        self.inner.has_flag(flag::INFERENCE)
    }
    /// Whether the tensor was made by the user, or does not require grad: gradients are kept in leaves alone.
    ///
    /// >>> x = schuss.zeros(2, requires_grad=True)
    /// >>> x.is_leaf, (x * 2).is_leaf
    /// (True, False)
    #[getter]
    fn is_leaf(&self) -> bool {
        write::refresh(&self.inner);
        self.inner.is_leaf()
    }
    /// The gradient that `backward()` added up here; None before. It may be set, and to None.
    ///
    /// Raises ShapeError or DTypeError where a gradient of another shape or dtype is set.
    ///
    /// >>> x = schuss.tensor(3.0, requires_grad=True)
    /// >>> (x * x).backward()
    /// >>> x.grad
    /// tensor(6.)
    #[getter]
    fn grad(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        if self.inner.grad().is_none() && !self.inner.is_leaf() && !self.inner.has_flag(flag::RETAINS) {
            let text = c"grad: the .grad of a tensor that is no leaf is not kept; use retain_grad() on it before backward()";
            PyErr::warn(py, &py.get_type::<pyo3::exceptions::PyUserWarning>(), text, 1)?;
        }
        self.inner.grad().map(|g| wrap(py, g)).transpose()
    }
    #[setter]
    fn set_grad(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        if value.is_none() {
            self.inner.set_grad(None);
            return Ok(());
        }
        let Ok(g) = value.cast::<PyTensor>() else {
            return Err(PyTypeError::new_err(format!("grad: must be a Tensor or None, got {}", args::describe(value))));
        };
        let g = g.get().tensor();
        if g.same(&self.inner) {
            return Err(PyRuntimeError::new_err("grad: a tensor cannot be its own gradient"));
        }
        if g.shape() != self.inner.shape() {
            return Err(Error::shape(
                "grad",
                format!("the gradient has shape {}, the tensor {}", shape::show(&g.shape()), shape::show(&self.inner.shape())),
            )
            .into());
        }
        if g.dtype() != self.inner.dtype() {
            return Err(Error::dtype("grad", format!("the gradient is {}, the tensor {}", g.dtype(), self.inner.dtype())).into());
        }
        crate::backend::gradient_beside("grad", g.device(), self.inner.device())?;
        self.inner.set_grad(Some(g));
        Ok(())
    }
    #[deleter]
    fn delete_grad(&self) {
        self.inner.set_grad(None);
    }
    /// The operation that made this tensor; None for a leaf.
    ///
    /// >>> x = schuss.tensor(3.0, requires_grad=True)
    /// >>> x.grad_fn, (x + 1).grad_fn
    /// (None, <AddBackward0>)
    #[getter]
    fn grad_fn(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        write::refresh(&self.inner);
        self.inner.node().filter(|_| self.inner.requires_grad()).map(|(n, k)| node::PyNode::of(n, k).object(py)).transpose()
    }
    /// Which of its operation's results this tensor is, counted from 0.
    ///
    /// >>> schuss.tensor([1.0, 2.0], requires_grad=True).max(0).values.output_nr
    /// 0
    #[getter]
    fn output_nr(&self) -> u32 {
        self.inner.node().map_or(0, |(_, k)| k)
    }
    /// The same storage outside the graph; writes to it are not recorded. Setting it puts other data in this one's place.
    ///
    /// >>> x = schuss.tensor([1.0], requires_grad=True)
    /// >>> x.data.add_(1)
    /// tensor([2.])
    #[getter]
    fn data(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        wrap(py, self.inner.data())
    }
    #[setter]
    fn set_data(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let Ok(other) = value.cast::<PyTensor>() else {
            return Err(PyTypeError::new_err(format!("data: must be a Tensor, got {}", args::describe(value))));
        };
        let other = other.get().tensor();
        if self.inner.requires_grad() && !other.dtype().is_inexact() {
            return Err(PyRuntimeError::new_err(format!("data: {} cannot take the place of a tensor that requires grad", other.dtype())));
        }
        if self.inner.lift().is_some() || other.lift().is_some() {
            return Err(pyo3::exceptions::PyRuntimeError::new_err(
                "data: inside a transformation a tensor's data cannot be exchanged; assign the new tensor to the name instead",
            ));
        }
        self.inner.set_data(&other);
        Ok(())
    }
    /// The same storage outside the graph: a tensor that does not require grad.
    ///
    /// >>> schuss.ones(2, requires_grad=True).detach().requires_grad
    /// False
    fn detach(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        wrap(py, self.inner.detach())
    }
    /// Takes this very tensor out of the graph: it becomes a leaf that does not require grad. Raises RuntimeError for a view.
    ///
    /// >>> y = schuss.ones(2, requires_grad=True) * 2
    /// >>> y.detach_().is_leaf
    /// True
    fn detach_(slf: Bound<'_, Self>) -> PyResult<Py<Self>> {
        slf.get().inner.leave_graph()?;
        Ok(slf.unbind())
    }
    /// How many times the storage was written in place.
    #[getter]
    fn _version(&self) -> u32 {
        self.inner.version()
    }
    /// The tensor that this one is a view of, where the engine keeps it; else None.
    #[getter]
    fn _base(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.inner.base().map(|b| wrap(py, b)).transpose()
    }
    /// Whether this tensor is a view that the engine keeps the base of.
    fn _is_view(&self) -> bool {
        self.inner.base().is_some()
    }
    /// Asks `backward()` to keep the gradient of a tensor that is no leaf. Raises RuntimeError where grad is not required.
    ///
    /// >>> x = schuss.tensor(3.0, requires_grad=True)
    /// >>> y = x * 2
    /// >>> y.retain_grad()
    /// >>> (y * y).backward()
    /// >>> y.grad
    /// tensor(12.)
    fn retain_grad(&self) -> PyResult<()> {
        Ok(self.inner.retain_grad()?)
    }
    /// Whether `retain_grad()` was called.
    ///
    /// >>> schuss.ones(2, requires_grad=True).retains_grad
    /// False
    #[getter]
    fn retains_grad(&self) -> bool {
        self.inner.has_flag(flag::RETAINS)
    }
    /// Walks back from this tensor and adds gradients to the leaves that it was made of, or to `inputs` alone.
    ///
    /// `gradient` has this tensor's shape and may be left out for one element. The graph is freed by the walk
    /// unless retain_graph=True; with create_graph=True the gradients can be differentiated again. Raises GradError
    /// where nothing requires grad or the graph is gone, ShapeError where `gradient` does not fit.
    ///
    /// >>> x = schuss.tensor([1.0, 2.0], requires_grad=True)
    /// >>> (x * x).backward(schuss.tensor([1.0, 10.0]))
    /// >>> x.grad
    /// tensor([ 2., 40.])
    #[pyo3(signature = (gradient=None, retain_graph=None, create_graph=false, inputs=None))]
    fn backward(
        slf: &Bound<'_, Self>,
        gradient: Option<&Bound<'_, PyAny>>,
        retain_graph: Option<bool>,
        create_graph: bool,
        inputs: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let given = match gradient {
            Some(g) if !g.is_none() => Some(args::tensor("backward", "gradient", g)?),
            _ => None,
        };
        let inputs = match inputs {
            None => None,
            Some(x) if x.is_none() => None,
            Some(x) if x.cast::<PyTensor>().is_ok() => Some(vec![args::tensor("backward", "inputs", x)?]),
            Some(x) => Some(args::tensors("backward", x)?),
        };
        let root = slf.get().tensor();
        let retain = retain_graph.unwrap_or(create_graph);
        Ok(backward::backward(&[root], &[given], retain, create_graph, inputs.as_deref())?)
    }

    /// Marks the handle as a variable: open tapes watch it by themselves.
    fn _mark_variable(&self, trainable: bool) {
        self.inner.set_flag(flag::VARIABLE, trainable);
        self.inner.set_flag(flag::STRICT, true);
    }
    /// Gives the handle TensorFlow's rules of dtypes.
    fn _mark_strict(&self) {
        self.inner.set_flag(flag::STRICT, true);
    }
    /// Whether TensorFlow's rules of dtypes hold for the handle.
    #[getter]
    fn _strict(&self) -> bool {
        self.inner.has_flag(flag::STRICT)
    }
    /// Takes a value by copy-on-write: who holds the old elements keeps them.
    fn _assign(&self, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let value = args::tensor("assign", "value", value)?;
        enter(py, value.numel(), || self.inner.assign(&value))
    }
    /// Calls `hook(grad)` whenever a gradient for this tensor is computed; a Tensor that it returns takes the gradient's place.
    ///
    /// Returns a handle whose `remove()` takes the hook away. Raises RuntimeError where grad is not required.
    ///
    /// >>> x = schuss.tensor(1.0, requires_grad=True)
    /// >>> handle = x.register_hook(lambda grad: grad * 10)
    /// >>> (x * 2).backward()
    /// >>> x.grad
    /// tensor(20.)
    #[pyo3(signature = (hook))]
    fn register_hook(slf: &Bound<'_, Self>, hook: Py<PyAny>) -> PyResult<Py<PyAny>> {
        node::hook_tensor(slf, hook, false)
    }
    /// Calls `hook(tensor)` after a gradient was added to `.grad` of this leaf. Raises RuntimeError for what is no leaf.
    ///
    /// >>> x = schuss.tensor(1.0, requires_grad=True)
    /// >>> handle = x.register_post_accumulate_grad_hook(lambda leaf: print(leaf.grad))
    /// >>> (x * 2).backward()
    /// tensor(2.)
    #[pyo3(signature = (hook))]
    fn register_post_accumulate_grad_hook(slf: &Bound<'_, Self>, hook: Py<PyAny>) -> PyResult<Py<PyAny>> {
        node::hook_tensor(slf, hook, true)
    }
}
