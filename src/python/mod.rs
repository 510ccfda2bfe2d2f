//! Rank 7, the front door: Python's module `schuss._core`. Conversions and nothing else; leans on the Rust face below.

mod args;
mod autograd;
mod batches;
mod calls;
mod compiled;
mod data;
mod dlpack;
mod draws;
mod dtype;
mod error;
mod facts;
mod forms;
mod function;
mod given;
mod gpu;
mod gradients;
mod items;
mod keeping;
mod lifts;
mod makers;
mod modes;
mod node;
mod operators;
mod scalar;
mod steps;
mod tape;
mod tensor;

use crate::base::Error;
use crate::graph::Tensor;
use pyo3::prelude::*;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Elements from which a call lets other threads run: about 20 microseconds of work.
const LONG: usize = 1 << 15;

/// Threads that work without the interpreter's lock now; it changes only under that lock.
static APART: AtomicUsize = AtomicUsize::new(0);

/// Lets the interpreter's lock go for a piece of work.
fn apart<R: Send>(py: Python<'_>, work: impl FnOnce() -> R + Send) -> R {
    struct Back;
    impl Drop for Back {
        fn drop(&mut self) {
            APART.fetch_sub(1, Ordering::Relaxed);
        }
    }
    APART.fetch_add(1, Ordering::Relaxed);
    let _back = Back;
    py.detach(work)
}

/// Whether no other thread can change a graph while this one holds the interpreter's lock.
fn all_wait() -> bool {
    APART.load(Ordering::Relaxed) == 0
}

/// Runs work of a known size, without the interpreter lock where it is long.
#[inline]
pub fn enter<R: Send>(py: Python<'_>, size: usize, work: impl FnOnce() -> Result<R, Error> + Send) -> PyResult<R> {
    let result = if size < LONG { work() } else { apart(py, work) };
    result.map_err(PyErr::from)
}

/// The Python object of a tensor: the one it has, or a new one.
#[inline]
pub fn wrap(py: Python<'_>, t: Tensor) -> PyResult<Py<PyAny>> {
    tensor::wrap(py, t)
}

/// What the package is built of: reached as `schuss._core.NAME` alone.
const INNER: [&str; 12] = [
    "FunctionCtx",
    "Node",
    "RemovableHandle",
    "Step",
    "Tape",
    "apply_function",
    "backward_all",
    "fused_step",
    "grad_of",
    "philox",
    "records",
    "set_overrides",
];

/// Takes what is no user's business out of the names that a star import gives.
fn offer(m: &Bound<'_, PyModule>) -> PyResult<()> {
    let every: Vec<String> = m.index()?.extract()?;
    m.index()?.call_method0("clear")?;
    every.into_iter().filter(|n| !n.starts_with('_') && !INNER.contains(&n.as_str())).try_for_each(|n| m.index()?.append(n))
}

thread_local! {
    /// Whether this is the thread on which the interpreter handles signals.
    static HEARS: Cell<bool> = const { Cell::new(false) };
}

/// Loaded on another thread than the main one, which is then not known: all ask.
static ALL_ASK: AtomicBool = AtomicBool::new(false);

/// This thread handles signals: the main one, and in a forked child the one that forked.
fn hears() {
    HEARS.set(true);
}

/// Whether the user wants to stop. Other threads than the main one are never told, and do not ask: the interpreter may
/// be about to end.
fn interrupted() -> Result<(), Error> {
    if !HEARS.get() && !ALL_ASK.load(Ordering::Relaxed) {
        return Ok(());
    }
    Python::attach(|py| py.check_signals().map_err(|e| error::carried(py, e)))
}

/// Long work inside the engine, with the interpreter's lock let go.
fn unlocked(work: &mut (dyn FnMut() + Send)) {
    Python::attach(|py| apart(py, work));
}

/// A warning of Python's; an error where the user has made errors of them.
fn tell(text: &str) -> Result<(), Error> {
    let text = std::ffi::CString::new(text).unwrap_or_default();
    Python::attach(|py| {
        let category = py.get_type::<pyo3::exceptions::PyUserWarning>();
        PyErr::warn(py, &category, &text, 1).map_err(|e| error::carried(py, e))
    })
}

#[pymodule(gil_used = true)]
fn _core(m: &Bound<'_, PyModule>) -> PyResult<()> {
    crate::engine::start();
    let threading = m.py().import("threading")?;
    if threading.call_method0("current_thread")?.is(&threading.call_method0("main_thread")?) {
        hears();
    } else {
        ALL_ASK.store(true, Ordering::Relaxed);
    }
    let _ = crate::engine::backward::INTERRUPT.set(interrupted);
    let _ = crate::backend::stop::INTERRUPT.set(interrupted);
    let _ = crate::backend::place::TELL.set(tell);
    let _ = crate::engine::backward::UNLOCK.set(unlocked);
    let _ = crate::engine::record::LOCATOR.set(node::locate);
    let _ = crate::engine::record::OVERRIDES.set(function::find_override);
    let _ = crate::engine::record::KEEPER.set(keeping::keeper);
    error::register(m)?;
    dtype::register(m)?;
    m.add_class::<tensor::PyTensor>()?;
    tensor::measure(m.py())?;
    makers::register(m)?;
    draws::register(m)?;
    modes::register(m)?;
    node::register(m)?;
    autograd::register(m)?;
    steps::register(m)?;
    batches::register(m)?;
    function::register(m)?;
    lifts::register(m)?;
    keeping::register(m)?;
    tape::register(m)?;
    scalar::register(m)?;
    calls::register(m)?;
    compiled::register(m)?;
    given::register(m)?;
    dlpack::register(m)?;
    gpu::register(m)?;
    m.add("__version__", env!("CARGO_PKG_VERSION"))?;
    offer(m)
}
