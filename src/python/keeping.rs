//! Saved tensors in a user's keeping, and the search for NaN on the way back. Leans on the engine's nodes.

use super::tensor::PyTensor;
use super::{error, wrap};
use crate::base::{Error, Result};
use crate::engine::backward::NANS;
use crate::engine::record::Keeper;
use crate::graph::node::Packed;
use crate::graph::{Tensor, mode};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

thread_local! {
    /// Pairs of pack and unpack, the innermost last; None while saving is refused, with the words for it.
    static HOOKS: RefCell<Vec<Pair>> = const { RefCell::new(Vec::new()) };
    static ANOMALY: Cell<bool> = const { Cell::new(false) };
}

enum Pair {
    Hooks(Arc<(Py<PyAny>, Py<PyAny>)>),
    Refused(String),
}

/// What `pack` returned, and who unpacks it.
struct Held {
    hooks: Arc<(Py<PyAny>, Py<PyAny>)>,
    object: Py<PyAny>,
}

impl Packed for Held {
    fn unpack(&self) -> Result<Tensor> {
        Python::attach(|py| {
            let work = || -> PyResult<Tensor> {
                let found = self.hooks.1.bind(py).call1((self.object.bind(py),))?;
                match found.cast::<PyTensor>() {
                    Ok(t) => Ok(t.get().tensor()),
                    Err(_) => Err(PyRuntimeError::new_err(format!(
                        "saved_tensors_hooks: unpack must return a Tensor, got {}",
                        found.get_type().name()?
                    ))),
                }
            };
            work().map_err(|e| error::carried(py, e))
        })
    }
}

fn pack(hooks: &Arc<(Py<PyAny>, Py<PyAny>)>, t: &Tensor) -> Result<Arc<dyn Packed>> {
    Python::attach(|py| {
        // What the hook itself computes is nobody's to keep.
        let outer = HOOKS.with_borrow_mut(std::mem::take);
        let done = wrap(py, t.clone()).and_then(|t| hooks.0.bind(py).call1((t,)));
        HOOKS.with_borrow_mut(|list| *list = outer);
        let object = done.map_err(|e| error::carried(py, e))?.unbind();
        Ok(Arc::new(Held { hooks: hooks.clone(), object }) as Arc<dyn Packed>)
    })
}

/// Who keeps what is saved on this thread now.
pub fn keeper() -> Option<Box<Keeper>> {
    HOOKS.with_borrow(|list| match list.last()? {
        Pair::Hooks(hooks) => {
            let hooks = hooks.clone();
            Some(Box::new(move |t: &Tensor| pack(&hooks, t)) as Box<Keeper>)
        }
        Pair::Refused(words) => {
            let words = words.clone();
            Some(Box::new(move |_: &Tensor| Err(Error::runtime("saved_tensors_hooks", &words))) as Box<Keeper>)
        }
    })
}

fn settle() {
    let any = HOOKS.with_borrow(|list| !list.is_empty());
    mode::set_careful(any || ANOMALY.get());
}

/// From now on saved tensors go through `pack`, and come back through `unpack`.
#[pyfunction]
fn _push_saved_hooks(pack: Py<PyAny>, unpack: Py<PyAny>) -> PyResult<()> {
    HOOKS.with_borrow_mut(|list| {
        if let Some(Pair::Refused(words)) = list.last() {
            return Err(PyRuntimeError::new_err(words.clone()));
        }
        list.push(Pair::Hooks(Arc::new((pack, unpack))));
        Ok(())
    })?;
    settle();
    Ok(())
}

/// From now on nothing may be given into keeping.
#[pyfunction]
fn _refuse_saved_hooks(words: String) {
    HOOKS.with_borrow_mut(|list| list.push(Pair::Refused(words)));
    settle();
}

/// As before the innermost of these two.
#[pyfunction]
fn _pop_saved_hooks() {
    let old = HOOKS.with_borrow_mut(Vec::pop);
    settle();
    drop(old);
}

/// Whether operations note their line, and the walk back searches gradients for NaN; returns what both were.
#[pyfunction]
fn _set_anomaly(on: bool, check_nan: bool) -> (bool, bool) {
    let old = (ANOMALY.replace(on), NANS.replace(on && check_nan));
    settle();
    old
}

/// Whether anomalies are looked for, and NaN among them.
#[pyfunction]
fn _anomaly() -> (bool, bool) {
    (ANOMALY.get(), NANS.get())
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(_push_saved_hooks, m)?)?;
    m.add_function(wrap_pyfunction!(_refuse_saved_hooks, m)?)?;
    m.add_function(wrap_pyfunction!(_pop_saved_hooks, m)?)?;
    m.add_function(wrap_pyfunction!(_set_anomaly, m)?)?;
    m.add_function(wrap_pyfunction!(_anomaly, m)?)
}
