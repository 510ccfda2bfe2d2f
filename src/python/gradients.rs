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
    #[getter]
    fn requires_grad(&self) -> bool {
        write::refresh(&self.inner);
        self.inner.requires_grad()
    }
    #[setter]
    fn set_requires_grad(&self, on: bool) -> PyResult<()> {
        self.inner.require_grad(on)?;
        Ok(())
    }
    #[pyo3(signature = (requires_grad=true))]
    fn requires_grad_(slf: Bound<'_, Self>, requires_grad: bool) -> PyResult<Py<Self>> {
        slf.get().inner.require_grad(requires_grad)?;
        Ok(slf.unbind())
    }
    /// Whether it was made in inference mode, and so takes part in no derivative outside of it.
    fn is_inference(&self) -> bool {
        self.inner.has_flag(flag::INFERENCE)
    }
    #[getter]
    fn is_leaf(&self) -> bool {
        write::refresh(&self.inner);
        self.inner.is_leaf()
    }
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
        self.inner.set_grad(Some(g));
        Ok(())
    }
    #[deleter]
    fn delete_grad(&self) {
        self.inner.set_grad(None);
    }
    #[getter]
    fn grad_fn(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        write::refresh(&self.inner);
        self.inner.node().filter(|_| self.inner.requires_grad()).map(|(n, k)| node::PyNode::of(n, k).object(py)).transpose()
    }
    #[getter]
    fn output_nr(&self) -> u32 {
        self.inner.node().map_or(0, |(_, k)| k)
    }
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
        if self.inner.requires_grad() && !other.dtype().is_float() {
            return Err(PyRuntimeError::new_err(format!("data: {} cannot take the place of a tensor that requires grad", other.dtype())));
        }
        self.inner.set_data(&other);
        Ok(())
    }
    /// The same storage outside the graph.
    fn detach(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        wrap(py, self.inner.detach())
    }
    fn detach_(slf: Bound<'_, Self>) -> PyResult<Py<Self>> {
        slf.get().inner.leave_graph()?;
        Ok(slf.unbind())
    }
    #[getter]
    fn _version(&self) -> u32 {
        self.inner.version()
    }
    #[getter]
    fn _base(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.inner.base().map(|b| wrap(py, b)).transpose()
    }
    fn _is_view(&self) -> bool {
        self.inner.base().is_some()
    }
    fn retain_grad(&self) -> PyResult<()> {
        Ok(self.inner.retain_grad()?)
    }
    #[getter]
    fn retains_grad(&self) -> bool {
        self.inner.has_flag(flag::RETAINS)
    }
    /// Walks back from this tensor and adds gradients to the leaves it was made of.
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
    fn _mark_strict(&self) {
        self.inner.set_flag(flag::STRICT, true);
    }
    #[getter]
    fn _strict(&self) -> bool {
        self.inner.has_flag(flag::STRICT)
    }
    /// Takes a value by copy-on-write: who holds the old elements keeps them.
    fn _assign(&self, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let value = args::tensor("assign", "value", value)?;
        enter(py, value.numel(), || self.inner.assign(&value))
    }
    #[pyo3(signature = (hook))]
    fn register_hook(slf: &Bound<'_, Self>, hook: Py<PyAny>) -> PyResult<Py<PyAny>> {
        node::hook_tensor(slf, hook, false)
    }
    #[pyo3(signature = (hook))]
    fn register_post_accumulate_grad_hook(slf: &Bound<'_, Self>, hook: Py<PyAny>) -> PyResult<Py<PyAny>> {
        node::hook_tensor(slf, hook, true)
    }
}
