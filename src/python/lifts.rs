//! Transformations as `schuss.func` opens and closes them: tensors put under a level and taken out again. Leans on
//! graph's levels and engine's lift.

use super::tensor::PyTensor;
use super::wrap;
use crate::base::{ErrorKind, shape};
use crate::engine::lift;
use crate::graph::Tensor;
use crate::graph::lift::{self as levels, Draws, Kind, Lift};
use crate::graph::mode::Mode;
use crate::tensor::demand::demand;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

/// Opens forward mode; returns its level.
#[pyfunction]
fn _open_forward() -> u64 {
    levels::open(Kind::Dual)
}

/// Opens a batch of examples; returns its level.
#[pyfunction]
fn _open_batch(count: usize, randomness: &str) -> PyResult<u64> {
    let draws = match randomness {
        "error" => Draws::Refused,
        "different" => Draws::Different,
        "same" => Draws::Same,
        other => {
            return Err(PyValueError::new_err(format!("vmap: randomness is \"error\", \"different\" or \"same\", got {other:?}")));
        }
    };
    Ok(levels::open(Kind::Batch { count, draws }))
}

/// Closes a level and those inside it.
#[pyfunction]
fn _close_level(level: u64) {
    levels::close(level);
}

/// While it is entered, a level and those inside it do not look at what is asked.
#[pyclass(frozen)]
struct BelowLevel {
    level: u64,
    held: std::sync::Mutex<Vec<usize>>,
}

#[pymethods]
impl BelowLevel {
    #[new]
    fn new(level: u64) -> BelowLevel {
        BelowLevel { level, held: std::sync::Mutex::default() }
    }
    fn __enter__(slf: Py<Self>) -> Py<Self> {
        let own = slf.get();
        let old = levels::below(own.level).keep();
        own.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(old);
        slf
    }
    fn __exit__(&self, _kind: &Bound<'_, PyAny>, _error: &Bound<'_, PyAny>, _trace: &Bound<'_, PyAny>) {
        let old = self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop();
        if let Some(old) = old {
            drop(levels::Below::again(old));
        }
    }
}

/// A value with a tangent.
#[pyfunction]
fn _dual(py: Python<'_>, level: u64, primal: &Bound<'_, PyTensor>, tangent: &Bound<'_, PyTensor>) -> PyResult<Py<PyAny>> {
    let (primal, tangent) = (primal.get().tensor(), tangent.get().tensor());
    if primal.shape() != tangent.shape() || primal.dtype() != tangent.dtype() || !primal.dtype().is_inexact() {
        return Err(PyRuntimeError::new_err(format!(
            "jvp: the tangent has shape {} {}, the value {} {}; they must be floats of one shape and dtype",
            shape::show(&tangent.shape()),
            tangent.dtype(),
            shape::show(&primal.shape()),
            primal.dtype()
        )));
    }
    let tangent = lift::own_tangent(&primal, tangent)?;
    wrap(py, Tensor::dual(level, primal, tangent))
}

/// The value of a tensor at a level, and its tangent if it moves.
#[pyfunction]
fn _undual(py: Python<'_>, level: u64, t: &Bound<'_, PyTensor>) -> PyResult<(Py<PyAny>, Option<Py<PyAny>>)> {
    let x = t.get().tensor();
    match lift::seen(&x).as_deref() {
        Some(Lift::Dual { level: own, primal, tangent }) if *own == level => {
            Ok((wrap(py, primal.clone())?, Some(wrap(py, tangent.clone())?)))
        }
        _ => Ok((t.clone().into_any().unbind(), None)),
    }
}

/// One name for the examples along the first axis.
#[pyfunction]
fn _batched(py: Python<'_>, level: u64, value: &Bound<'_, PyTensor>) -> PyResult<Py<PyAny>> {
    wrap(py, Tensor::batch(level, value.get().tensor()))
}

/// The examples of a tensor at a level, along the first axis; None where they are all the same.
#[pyfunction]
fn _unbatched(py: Python<'_>, level: u64, t: &Bound<'_, PyTensor>) -> PyResult<Option<Py<PyAny>>> {
    match t.get().tensor().lift().as_deref() {
        Some(Lift::Batch { level: own, value }) if *own == level => wrap(py, value.clone()).map(Some),
        _ => Ok(None),
    }
}

/// The level of the innermost transformation that made a tensor, and whether it is a batch; None for a plain tensor.
#[pyfunction]
fn _lifted(t: &Bound<'_, PyTensor>) -> Option<(u64, bool)> {
    lift::seen(t.get().get_ref()).map(|l| (l.level(), matches!(*l, Lift::Batch { .. })))
}

/// The same values and tangents outside of the graph.
#[pyfunction]
fn _out_of_graph(py: Python<'_>, t: &Bound<'_, PyTensor>) -> PyResult<Py<PyAny>> {
    wrap(py, t.get().get_ref().out_of_graph())
}

/// Whether reverse mode would find anything behind a tensor, whatever transformations made of it.
#[pyfunction]
fn _tracked(t: &Bound<'_, PyTensor>) -> bool {
    lift::is_tracked(t.get().get_ref())
}

/// The plain tensor of all values, whatever transformations made of it: for checks that hold for every example.
#[pyfunction]
fn _values(py: Python<'_>, t: &Bound<'_, PyTensor>) -> PyResult<Py<PyAny>> {
    wrap(py, t.get().get_ref().values())
}

/// Asks that all truths of a tensor hold, also of every run of a compiled step; else an "index", "runtime" or "value" error.
#[pyfunction]
fn _demand(holds: &Bound<'_, PyTensor>, kind: &str, op: &str, text: &str) -> PyResult<()> {
    let kind = match kind {
        "index" => ErrorKind::Index,
        "runtime" => ErrorKind::Runtime,
        "algebra" => ErrorKind::Algebra,
        _ => ErrorKind::Value,
    };
    Ok(demand(holds.get().get_ref(), kind, op, text)?)
}

/// A handle of its own to differentiate at.
#[pyfunction]
fn _entered(py: Python<'_>, t: &Bound<'_, PyTensor>) -> PyResult<Py<PyAny>> {
    wrap(py, lift::enter(t.get().get_ref())?)
}

/// A tensor of which every example gets its own, where another has one for each.
#[pyfunction]
pub(super) fn _each(py: Python<'_>, made: &Bound<'_, PyTensor>, like: &Bound<'_, PyTensor>) -> PyResult<Py<PyAny>> {
    if !Mode::now().lifted() {
        return Ok(made.clone().into_any().unbind());
    }
    wrap(py, lift::each(made.get().get_ref(), like.get().get_ref())?)
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<BelowLevel>()?;
    m.add_function(wrap_pyfunction!(_open_forward, m)?)?;
    m.add_function(wrap_pyfunction!(_open_batch, m)?)?;
    m.add_function(wrap_pyfunction!(_close_level, m)?)?;
    m.add_function(wrap_pyfunction!(_dual, m)?)?;
    m.add_function(wrap_pyfunction!(_undual, m)?)?;
    m.add_function(wrap_pyfunction!(_batched, m)?)?;
    m.add_function(wrap_pyfunction!(_unbatched, m)?)?;
    m.add_function(wrap_pyfunction!(_lifted, m)?)?;
    m.add_function(wrap_pyfunction!(_each, m)?)?;
    m.add_function(wrap_pyfunction!(_values, m)?)?;
    m.add_function(wrap_pyfunction!(_demand, m)?)?;
    m.add_function(wrap_pyfunction!(_out_of_graph, m)?)?;
    m.add_function(wrap_pyfunction!(_tracked, m)?)?;
    m.add_function(wrap_pyfunction!(_entered, m)?)
}
