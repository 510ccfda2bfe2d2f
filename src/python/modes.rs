//! Grad modes as context managers and decorators, and the switches of the process. Leans on graph's modes.

use crate::backend::cpu::threads;
use crate::base::{Lock, dtype as dtypes};
use crate::graph::mode;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use smallvec::SmallVec;

/// What the modes were before each entry of one object, which may be entered again inside itself.
#[derive(Default)]
struct Before(Lock<SmallVec<[(bool, bool); 4]>>);

impl Before {
    fn enter(&self, grad: bool, inference: Option<bool>) {
        let now = mode::Mode::now();
        self.0.get().push((now.grad(), now.inference()));
        mode::set_grad(grad);
        if let Some(on) = inference {
            mode::set_inference(on);
        }
    }
    fn exit(&self) {
        let last = self.0.get().pop();
        if let Some((grad, inference)) = last {
            mode::set_grad(grad);
            mode::set_inference(inference);
        }
    }
}

/// A function that runs inside a mode, which `make()` makes anew for each call.
fn inside(make: &Bound<'_, PyAny>, function: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    Ok(make.py().import("schuss.modes")?.getattr("inside")?.call1((make, function))?.unbind())
}

macro_rules! grad_mode {
    ($class:ident, $name:literal, $on:literal, $(#[doc = $doc:literal])*) => {
        $(#[doc = $doc])*
        #[pyclass(frozen, module = "schuss", name = $name)]
        pub struct $class(Before);

        #[pymethods]
        impl $class {
            // With a function at once, `@no_grad` is that function inside the mode.
            #[allow(clippy::new_ret_no_self)]
            #[new]
            #[pyo3(signature = (function=None))]
            fn new(py: Python<'_>, function: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
                match function {
                    None => Ok(Py::new(py, $class(Before::default()))?.into_any()),
                    Some(function) => inside(py.get_type::<$class>().as_any(), function),
                }
            }
            fn __enter__(slf: Py<Self>) -> Py<Self> {
                slf.get().0.enter($on, None);
                slf
            }
            fn __exit__(&self, _kind: &Bound<'_, PyAny>, _error: &Bound<'_, PyAny>, _trace: &Bound<'_, PyAny>) {
                self.0.exit();
            }
            fn __call__(slf: &Bound<'_, Self>, function: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
                inside(slf.get_type().as_any(), function)
            }
        }
    };
}
grad_mode!(NoGrad, "no_grad", false,
    /// Operations inside are not recorded; a context manager and a decorator.
    ///
    /// >>> x = schuss.ones(2, requires_grad=True)
    /// >>> with schuss.no_grad():
    /// ...     (x * 2).requires_grad
    /// False
);
grad_mode!(EnableGrad, "enable_grad", true,
    /// Operations inside are recorded again, inside `no_grad` too.
    ///
    /// >>> with schuss.no_grad(), schuss.enable_grad():
    /// ...     schuss.is_grad_enabled()
    /// True
);

/// Nothing is recorded inside, and what is made inside cannot be kept for a derivative outside.
#[pyclass(frozen, subclass, module = "schuss._core", name = "_InferenceMode")]
pub struct InferenceMode {
    on: bool,
    before: Before,
}

#[pymethods]
impl InferenceMode {
    #[new]
    fn new(on: bool) -> InferenceMode {
        InferenceMode { on, before: Before::default() }
    }
    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf.get().before.enter(!slf.get().on, Some(slf.get().on));
        slf
    }
    fn __exit__(&self, _kind: &Bound<'_, PyAny>, _error: &Bound<'_, PyAny>, _trace: &Bound<'_, PyAny>) {
        self.before.exit();
    }
}

/// Whether operations are recorded here.
///
/// >>> with schuss.no_grad():
/// ...     schuss.is_grad_enabled()
/// False
#[pyfunction]
fn is_grad_enabled() -> bool {
    mode::grad_enabled()
}
/// Whether the block is one of `inference_mode`.
///
/// >>> schuss.is_inference_mode_enabled()
/// False
#[pyfunction]
fn is_inference_mode_enabled() -> bool {
    mode::Mode::now().inference()
}
/// Turns recording on or off; returns what it was.
#[pyfunction]
fn _set_grad_enabled(on: bool) -> bool {
    mode::set_grad(on)
}
/// How many threads long operations are shared by.
///
/// >>> schuss.get_num_threads() >= 1
/// True
#[pyfunction]
fn get_num_threads() -> usize {
    threads::count()
}
/// Sets how many threads long operations are shared by. Raises ValueError below 1.
///
/// >>> before = schuss.get_num_threads()
/// >>> schuss.set_num_threads(1)
/// >>> schuss.get_num_threads()
/// 1
/// >>> schuss.set_num_threads(before)
#[pyfunction]
fn set_num_threads(n: &Bound<'_, PyAny>) -> PyResult<()> {
    let count = super::args::int("set_num_threads", "the number of threads", n)?;
    if !(1..=MOST_THREADS).contains(&count) {
        return Err(PyValueError::new_err(format!("set_num_threads: needs a number from 1 to {MOST_THREADS}, got {count}")));
    }
    threads::set_count(count as usize);
    Ok(())
}

/// More threads than this are a slip of the pen.
const MOST_THREADS: i64 = 4096;

/// The dtype of floats that are made without one.
///
/// >>> schuss.get_default_dtype()
/// schuss.float32
#[pyfunction]
fn get_default_dtype(py: Python<'_>) -> PyResult<Py<super::dtype::PyDType>> {
    super::dtype::object(py, dtypes::default_float())
}
/// Sets the dtype of floats that are made without one. Raises TypeError for what is no float dtype.
///
/// >>> schuss.set_default_dtype(schuss.float64)
/// >>> schuss.tensor(1.0).dtype
/// schuss.float64
/// >>> schuss.set_default_dtype(schuss.float32)
#[pyfunction]
fn set_default_dtype(d: &Bound<'_, PyAny>) -> PyResult<()> {
    let dtype = super::dtype::parse(d)?;
    if !dtype.is_float() {
        return Err(PyTypeError::new_err(format!("set_default_dtype: only float dtypes can be the default, got {dtype}")));
    }
    dtypes::set_default_float(dtype);
    Ok(())
}
/// The name of the instruction set in use.
#[pyfunction]
fn _instruction_set() -> &'static str {
    crate::backend::cpu::isa::NAMES[crate::backend::cpu::isa::level()]
}
/// Called in a forked child, whose copy of the thread pool has no threads.
#[pyfunction]
fn _after_fork() {
    threads::forget_in_child();
    super::hears();
}
/// Tells the core which class shapes are given as.
#[pyfunction]
fn _set_size(class: Py<PyAny>, py: Python<'_>) {
    let _ = super::tensor::SIZE.set(py, class);
}
/// The smallest dtype that two can both be converted to, by PyTorch's rules.
///
/// >>> schuss.promote_types(schuss.int64, schuss.float16)
/// schuss.float16
#[pyfunction]
fn promote_types(py: Python<'_>, type1: &Bound<'_, PyAny>, type2: &Bound<'_, PyAny>) -> PyResult<Py<super::dtype::PyDType>> {
    super::dtype::object(py, super::dtype::parse(type1)?.promote(super::dtype::parse(type2)?))
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<NoGrad>()?;
    m.add_class::<EnableGrad>()?;
    m.add_class::<InferenceMode>()?;
    m.add_function(wrap_pyfunction!(is_grad_enabled, m)?)?;
    m.add_function(wrap_pyfunction!(is_inference_mode_enabled, m)?)?;
    m.add_function(wrap_pyfunction!(_set_grad_enabled, m)?)?;
    m.add_function(wrap_pyfunction!(get_num_threads, m)?)?;
    m.add_function(wrap_pyfunction!(set_num_threads, m)?)?;
    m.add_function(wrap_pyfunction!(get_default_dtype, m)?)?;
    m.add_function(wrap_pyfunction!(set_default_dtype, m)?)?;
    m.add_function(wrap_pyfunction!(_instruction_set, m)?)?;
    m.add_function(wrap_pyfunction!(_after_fork, m)?)?;
    m.add_function(wrap_pyfunction!(_set_size, m)?)?;
    m.add_function(wrap_pyfunction!(promote_types, m)?)?;
    m.add_function(wrap_pyfunction!(super::tensor::set_printoptions, m)?)
}
