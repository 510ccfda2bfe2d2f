//! What stands between the brackets of an index, from Python to Rust. Leans on tensor's indexing.

use super::tensor::PyTensor;
use super::{args, data};
use crate::base::DType;
use crate::graph::Tensor;
use crate::tensor::index::Item;
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyEllipsis, PyInt, PyList, PySequence, PySlice, PyString, PyTuple};

pub fn items(x: &Bound<'_, PyAny>) -> PyResult<Vec<Item>> {
    match x.cast::<PyTuple>() {
        Ok(list) => list.iter().map(|i| item(&i)).collect(),
        Err(_) if is_spread(x) => x.try_iter()?.map(|i| item(&i?)).collect(),
        Err(_) => Ok(vec![item(x)?]),
    }
}

/// Whether a list says what stands between the brackets, as a tuple does, and is not one index by itself: PyTorch takes
/// it so where it has fewer than 32 entries, and one that is no number.
fn is_spread(x: &Bound<'_, PyAny>) -> bool {
    let apart = |i: Bound<'_, PyAny>| {
        i.is_none()
            || i.is_instance_of::<PyEllipsis>()
            || i.is_instance_of::<PySlice>()
            || i.cast::<PyTensor>().is_ok()
            || i.is_instance_of::<PyList>()
            || i.is_instance_of::<PyTuple>()
    };
    x.cast::<PyList>().is_ok_and(|list| list.len() < 32 && list.iter().any(apart))
}

/// One end of a slice: an integer, a 0-d integer tensor, or None.
fn end(x: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
    if x.is_none() {
        return Ok(None);
    }
    if x.is_instance_of::<PyInt>()
        && let Err(_) = x.extract::<i64>()
    {
        // An end beyond int64 is beyond every axis.
        return Ok(Some(if x.lt(0)? { i64::MIN } else { i64::MAX }));
    }
    args::int("index", "a slice's end", x).map(Some)
}

fn item(x: &Bound<'_, PyAny>) -> PyResult<Item> {
    if let Ok(b) = x.cast::<PyBool>() {
        return Ok(Item::Bool(b.is_true()));
    }
    if x.is_instance_of::<PyInt>() {
        return x.extract::<i64>().map(Item::Int).map_err(|_| PyIndexError::new_err(format!("index: {x} is out of range for every axis")));
    }
    if x.is_none() {
        return Ok(Item::NewAxis);
    }
    if x.is_instance_of::<PyEllipsis>() {
        return Ok(Item::Ellipsis);
    }
    if x.is_instance_of::<PySlice>() {
        return Ok(Item::Slice(end(&x.getattr("start")?)?, end(&x.getattr("stop")?)?, end(&x.getattr("step")?)?));
    }
    if let Ok(t) = x.cast::<PyTensor>() {
        let t = t.get().tensor();
        // A 0-d integer tensor stands for its number, so that the result is a view.
        if t.rank() == 0 && t.dtype().is_int() && !t.is_differing() {
            return Ok(Item::Int(t.item()?.as_i64()));
        }
        if t.dtype() == DType::U8 {
            return Ok(Item::Tensor(t.to_dtype(DType::Bool)?));
        }
        return Ok(Item::Tensor(t));
    }
    if x.is_instance_of::<PyList>() || x.is_instance_of::<PyTuple>() {
        let t = data::to_tensor(x, None)?;
        return Ok(Item::Tensor(if t.numel() == 0 && t.dtype().is_float() { Tensor::zeros(&t.shape(), DType::I64)? } else { t }));
    }
    if data::is_array(x) {
        let t = data::to_tensor(x, None)?;
        if t.rank() == 0 && t.dtype().is_int() && !t.is_differing() {
            return Ok(Item::Int(t.item()?.as_i64()));
        }
        return Ok(Item::Tensor(t));
    }
    if let Ok(i) = x.call_method0("__index__") {
        return item(&i);
    }
    // A range, or another sequence of integers.
    if !x.is_instance_of::<PyString>() && x.cast::<PySequence>().is_ok() {
        return item(x.py().get_type::<PyList>().call1((x,))?.as_any());
    }
    Err(PyIndexError::new_err(format!(
        "index: only integers, slices (`:`), ellipsis (`...`), None, lists, and integer or bool tensors are valid indices, got {}",
        args::describe(x)
    )))
}
