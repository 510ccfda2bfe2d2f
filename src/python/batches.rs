//! Batches of tensors in memory, as an iterator of Python's. Leans on tensor's batches.

use super::tensor::{PyTensor, wrap_new};
use super::{args, enter};
use crate::tensor::batches::Batches;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

/// What a batch is handed out as.
enum Form {
    List,
    Tuple,
    /// The first tensor, with nothing around it.
    Bare,
}

/// One pass over the rows of tensors, in order or as `order` names them; a batch is a list, a tuple or a bare tensor.
#[pyclass(frozen, name = "_Batches", module = "schuss._core")]
struct PyBatches {
    inner: Batches,
    form: Form,
}

#[pymethods]
impl PyBatches {
    #[new]
    #[pyo3(signature = (tensors, order, size, drop_last, form))]
    fn new(
        tensors: &Bound<'_, PyAny>,
        order: Option<&Bound<'_, PyTensor>>,
        size: usize,
        drop_last: bool,
        form: &str,
    ) -> PyResult<PyBatches> {
        let form = match form {
            "list" => Form::List,
            "tuple" => Form::Tuple,
            "bare" => Form::Bare,
            other => return Err(PyValueError::new_err(format!("batches: the form must be 'list', 'tuple' or 'bare', got {other:?}"))),
        };
        let tensors = args::tensors("batches", tensors)?;
        Ok(PyBatches { inner: Batches::new(tensors, order.map(|o| o.get().tensor()), size, drop_last)?, form })
    }
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }
    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let Some((start, count)) = self.inner.claim() else { return Ok(None) };
        let found = enter(py, self.inner.weight(count), || self.inner.take(start, count))?;
        let mut faces = found.into_iter().map(|t| wrap_new(py, t)).collect::<PyResult<Vec<_>>>()?;
        Ok(Some(match self.form {
            Form::List => PyList::new(py, faces)?.into_any().unbind(),
            Form::Tuple => PyTuple::new(py, faces)?.into_any().unbind(),
            Form::Bare => faces.swap_remove(0),
        }))
    }
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyBatches>()
}
