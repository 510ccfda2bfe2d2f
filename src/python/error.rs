//! Each kind of error to its Python exception, in the name of the function that was called. Leans on base's error and ops.

use crate::base::{Error, ErrorKind};
use crate::ops;
use pyo3::exceptions::{
    PyIndexError, PyKeyboardInterrupt, PyLookupError, PyMemoryError, PyNotImplementedError, PyRuntimeError, PyTypeError, PyValueError,
};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};

static CLASSES: PyOnceLock<[Py<PyType>; 6]> = PyOnceLock::new();
const NAMES: [(&str, &str); 6] = [
    ("ShapeError", "Sizes that do not fit; a RuntimeError and a ValueError."),
    ("DTypeError", "An element type that an operation cannot take; a RuntimeError and a TypeError."),
    ("GradError", "A misuse of the tape; a RuntimeError."),
    ("DeviceError", "Operands on different devices, or a device that is not there; a RuntimeError."),
    ("CompileError", "A step that cannot be recorded and run again; a RuntimeError."),
    ("LinAlgError", "A matrix that cannot be factored or inverted, such as a singular one; a RuntimeError."),
];

fn make(py: Python<'_>) -> PyResult<[Py<PyType>; 6]> {
    let runtime = py.get_type::<PyRuntimeError>();
    let second = [Some(py.get_type::<PyValueError>()), Some(py.get_type::<PyTypeError>()), None, None, None, None];
    let mut made = Vec::new();
    for ((name, doc), other) in NAMES.iter().zip(second) {
        let bases = match other {
            Some(other) => PyTuple::new(py, [runtime.clone(), other])?,
            None => PyTuple::new(py, [runtime.clone()])?,
        };
        let body = PyDict::new(py);
        body.set_item("__doc__", doc)?;
        body.set_item("__module__", "schuss")?;
        made.push(py.get_type::<PyType>().call1((name, bases, body))?.cast_into::<PyType>()?.unbind());
    }
    <[Py<PyType>; 6]>::try_from(made).map_err(|_| PyRuntimeError::new_err("six exception classes were to be made"))
}

fn class(py: Python<'_>, i: usize) -> PyResult<Bound<'_, PyType>> {
    Ok(CLASSES.get_or_try_init(py, || make(py))?[i].bind(py).clone())
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    for (i, (name, _)) in NAMES.iter().enumerate() {
        m.add(*name, class(m.py(), i)?)?;
    }
    Ok(())
}

impl From<Error> for PyErr {
    #[cold]
    fn from(error: Error) -> PyErr {
        let text = told(error.op()).map_or_else(|| error.to_string(), |name| format!("{name}: {}", error.message()));
        let own = |i: usize, text: String| {
            Python::attach(|py| match class(py, i) {
                Ok(class) => PyErr::from_type(class, text),
                Err(e) => e,
            })
        };
        match error.kind() {
            ErrorKind::Shape => own(0, text),
            ErrorKind::DType => own(1, text),
            ErrorKind::Grad => own(2, text),
            ErrorKind::Device => own(3, text),
            ErrorKind::Compile => own(4, text),
            ErrorKind::Algebra => own(5, text),
            ErrorKind::Index => PyIndexError::new_err(text),
            ErrorKind::Value => PyValueError::new_err(text),
            ErrorKind::Type => PyTypeError::new_err(text),
            ErrorKind::Runtime => PyRuntimeError::new_err(text),
            ErrorKind::Lookup => PyLookupError::new_err(text),
            ErrorKind::Missing => PyNotImplementedError::new_err(text),
            ErrorKind::Memory => PyMemoryError::new_err(text),
            ErrorKind::Foreign => match error.into_foreign().map(|p| p.downcast::<PyErr>()) {
                Some(Ok(inner)) => *inner,
                _ => PyKeyboardInterrupt::new_err(text),
            },
        }
    }
}

/// The public function that a program called, where it is another one than the record that refused: the package knows
/// from its own frames. What is not a record's name was said on purpose, and stays.
#[cold]
fn told(op: &str) -> Option<String> {
    let record = ops::find(op).or_else(|| ops::find(op.strip_suffix('_')?))?;
    let ask =
        |py: Python<'_>| py.import("schuss.naming")?.call_method1("called", (op, !record.face.function && !record.face.method))?.extract();
    Python::attach(|py| ask(py).unwrap_or(None))
}

/// A Python exception on its way through Rust.
pub fn carried(py: Python<'_>, error: PyErr) -> Error {
    let text = error.value(py).to_string();
    Error::foreign(Box::new(error), text)
}
