//! Floats among a compiled function's arguments, which may be others at each call: what tells them from plain numbers, and what
//! they become in the program. Leans on recording.py, which knows their arithmetic.

use super::tensor::PyTensor;
use crate::base::dtype::default_float;
use crate::base::{DType, Number};
use crate::graph::Tensor;
use crate::graph::mode::Mode;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyTuple, PyType};

/// The class of such floats; none exist before it is known.
static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();

#[pyfunction]
fn _given_class(py: Python<'_>, class: Py<PyType>) {
    let _ = CLASS.set(py, class);
}

#[inline]
pub fn is(x: &Bound<'_, PyAny>) -> bool {
    CLASS.get(x.py()).is_some_and(|class| x.get_type().is(class))
}

/// Its value, which the program then depends on.
pub fn value(x: &Bound<'_, PyAny>) -> PyResult<Option<Number>> {
    if is(x) { x.call_method0("__float__")?.extract().map(|f: f64| Some(Number::Float(f))) } else { Ok(None) }
}

/// The operand that it is beside a tensor while a step is recorded: one element that is written anew before each run. A number
/// never changes the type of a float beside it, and a 0-d float64 only that of another 0-d one. Beside a narrow one no dtype stands
/// for a number: it is one of that type there, but not rounded to it.
pub fn operand(x: &Bound<'_, PyAny>, beside: &Tensor) -> PyResult<Option<Tensor>> {
    if !is(x) || !Mode::now().traced() || !beside.device().is_cpu() {
        return Ok(None);
    }
    let own = match beside.dtype() {
        dtype if !dtype.is_inexact() => default_float(),
        DType::F16 | DType::BF16 if beside.rank() == 0 => return Ok(None),
        dtype if beside.rank() == 0 && !dtype.is_complex() => dtype,
        _ => DType::F64,
    };
    let made = x.call_method1("_operand", (super::dtype::object(x.py(), own)?,))?;
    Ok(Some(made.cast::<PyTensor>()?.get().tensor()))
}

/// Arguments with such floats in place of plain ones.
pub struct Given<'py> {
    pub args: Bound<'py, PyTuple>,
    pub kwargs: Option<Bound<'py, PyDict>>,
    /// The list that they are read from at each run.
    pub values: Py<PyList>,
    /// The set of those that were read as numbers.
    read: Bound<'py, PyAny>,
}

impl<'py> Given<'py> {
    pub fn new(args: &Bound<'py, PyTuple>, kwargs: Option<&Bound<'py, PyDict>>) -> PyResult<Given<'py>> {
        let made = args.py().import("schuss.given")?.getattr("give")?.call1((args, kwargs))?;
        let (args, kwargs, values, read) = made.extract()?;
        Ok(Given { args, kwargs, values, read })
    }
    pub fn was_read(&self, k: usize) -> PyResult<bool> {
        self.read.contains(k)
    }
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(_given_class, m)?)
}
