//! Walks asked for from Python, and the functions that give several views. Leans on engine.

use super::tensor::PyTensor;
use super::{args, calls, enter, wrap};
use crate::engine::{backward, lift};
use crate::graph::{Outs, Tensor};
use crate::ops;
use crate::tensor::shapes;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

/// One tensor or several, as a list.
fn several(op: &str, x: &Bound<'_, PyAny>) -> PyResult<Vec<Tensor>> {
    match x.cast::<PyTensor>() {
        Ok(t) => Ok(vec![t.get().tensor()]),
        Err(_) => args::tensors(op, x),
    }
}

fn cotangents(op: &str, x: Option<&Bound<'_, PyAny>>, n: usize) -> PyResult<Vec<Option<Tensor>>> {
    let Some(x) = x.filter(|x| !x.is_none()) else { return Ok(vec![None; n]) };
    if let Ok(t) = x.cast::<PyTensor>() {
        return Ok(vec![Some(t.get().tensor())]);
    }
    let mut list = Vec::new();
    for item in x.try_iter()? {
        let item = item?;
        list.push(if item.is_none() { None } else { Some(args::tensor(op, "a gradient", &item)?) });
    }
    if list.len() != n {
        return Err(PyRuntimeError::new_err(format!("{op}: {n} tensors, but {} gradients", list.len())));
    }
    Ok(list)
}

/// Adds the gradients of some tensors to the leaves they were made of.
#[pyfunction]
#[pyo3(signature = (tensors, grad_tensors=None, retain_graph=None, create_graph=false, inputs=None))]
fn backward_all(
    tensors: &Bound<'_, PyAny>,
    grad_tensors: Option<&Bound<'_, PyAny>>,
    retain_graph: Option<bool>,
    create_graph: bool,
    inputs: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let roots = several("backward", tensors)?;
    let given = cotangents("backward", grad_tensors, roots.len())?;
    let inputs = inputs.filter(|x| !x.is_none()).map(|x| several("backward", x)).transpose()?;
    let retain = retain_graph.unwrap_or(create_graph);
    Ok(backward::backward(&roots, &given, retain, create_graph, inputs.as_deref())?)
}

/// Gradients of outputs at inputs; None where nothing connects them.
#[pyfunction]
fn grad_of(
    py: Python<'_>,
    outputs: &Bound<'_, PyAny>,
    inputs: &Bound<'_, PyAny>,
    grad_outputs: Option<&Bound<'_, PyAny>>,
    retain_graph: bool,
    create_graph: bool,
) -> PyResult<Py<PyAny>> {
    let roots = several("grad", outputs)?;
    let ends = several("grad", inputs)?;
    let given = cotangents("grad", grad_outputs, roots.len())?;
    let found = if crate::graph::mode::Mode::now().lifted() {
        lift::grad(&roots, &ends, &given, retain_graph, create_graph)?
    } else {
        backward::grad(&roots, &ends, &given, retain_graph, create_graph)?
    };
    let list = found.into_iter().map(|g| g.map_or(Ok(py.None()), |g| wrap(py, g))).collect::<PyResult<Vec<_>>>()?;
    Ok(PyTuple::new(py, list)?.into_any().unbind())
}

/// Gradients for `schuss.func`: recorded only where more hangs on them than the inputs, None where nothing connects them.
#[pyfunction]
fn _func_grad(
    py: Python<'_>,
    outputs: &Bound<'_, PyAny>,
    inputs: &Bound<'_, PyAny>,
    cotangents_: &Bound<'_, PyAny>,
    retain_graph: bool,
) -> PyResult<Py<PyAny>> {
    let (roots, ends) = (several("grad", outputs)?, several("grad", inputs)?);
    let given = cotangents("grad", Some(cotangents_), roots.len())?;
    let create = crate::graph::mode::grad_enabled() && lift::hang_on_more(&roots, &ends);
    let found = lift::grad(&roots, &ends, &given, retain_graph || create, create)?;
    let list = found.into_iter().map(|g| g.map_or(Ok(py.None()), |g| wrap(py, g))).collect::<PyResult<Vec<_>>>()?;
    Ok(PyTuple::new(py, list)?.into_any().unbind())
}

/// Whether results hang on anything tracked besides the inputs.
#[pyfunction]
fn _hangs_on_more(outputs: &Bound<'_, PyAny>, inputs: &Bound<'_, PyAny>) -> PyResult<bool> {
    Ok(lift::hang_on_more(&several("grad", outputs)?, &several("grad", inputs)?))
}

fn many(py: Python<'_>, list: Vec<Tensor>) -> PyResult<Py<PyAny>> {
    calls::pack(py, Outs::Many(list))
}

/// Parts of one size, or of the sizes given, along an axis.
#[pyfunction]
fn _split(py: Python<'_>, x: &Bound<'_, PyTensor>, size: &Bound<'_, PyAny>, dim: i64) -> PyResult<Py<PyAny>> {
    let x = x.get().get_ref();
    if size.is_instance_of::<PyTuple>() || size.is_instance_of::<PyList>() {
        let sizes = args::ints("split", "split_size_or_sections", size)?;
        return many(py, shapes::split("split", x, &sizes, dim)?);
    }
    many(py, shapes::split_by("split", x, args::int("split", "split_size", size)?, dim)?)
}
/// At most so many parts of equal size along an axis.
#[pyfunction]
fn _chunk(py: Python<'_>, x: &Bound<'_, PyTensor>, chunks: i64, dim: i64) -> PyResult<Py<PyAny>> {
    many(py, shapes::chunk(x.get().get_ref(), chunks, dim)?)
}
/// Every position of an axis as a tensor.
#[pyfunction]
fn _unbind(py: Python<'_>, x: &Bound<'_, PyTensor>, dim: i64) -> PyResult<Py<PyAny>> {
    many(py, shapes::unbind(x.get().get_ref(), dim)?)
}
/// Tensors of one shape joined along a new axis.
#[pyfunction]
fn _stack(py: Python<'_>, tensors: &Bound<'_, PyAny>, dim: i64) -> PyResult<Py<PyAny>> {
    let list = args::tensors("stack", tensors)?;
    let size = list.iter().map(Tensor::numel).sum();
    wrap(py, enter(py, size, || shapes::stack(&list.iter().collect::<Vec<_>>(), dim))?)
}
/// A run of positions of an axis.
#[pyfunction]
fn _narrow(py: Python<'_>, x: &Bound<'_, PyTensor>, dim: i64, start: i64, length: i64) -> PyResult<Py<PyAny>> {
    wrap(py, shapes::narrow("narrow", x.get().get_ref(), dim, start, length)?)
}
/// Axes moved to other places.
#[pyfunction]
fn _movedim(py: Python<'_>, x: &Bound<'_, PyTensor>, source: &Bound<'_, PyAny>, destination: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    let (from, to) = (args::ints("movedim", "source", source)?, args::ints("movedim", "destination", destination)?);
    wrap(py, shapes::move_axes(x.get().get_ref(), &from, &to)?)
}
/// The places of the elements that are not zero: one row for each.
#[pyfunction]
fn _nonzero(py: Python<'_>, x: &Bound<'_, PyTensor>) -> PyResult<Py<PyAny>> {
    let operand = crate::backend::fetch(&x.get().get_ref().operand())?;
    let columns = crate::backend::cpu::gather::nonzero(&operand);
    let rows = columns.first().map_or_else(|| usize::from(crate::backend::cpu::convert::element_is_true(&operand)), Vec::len);
    let mut flat = vec![0i64; rows * columns.len()];
    for (k, column) in columns.iter().enumerate().filter(|_| rows > 0) {
        flat[k..].iter_mut().step_by(columns.len()).zip(column).for_each(|(to, &i)| *to = i);
    }
    let found = Tensor::from_slice(&flat, &[rows, columns.len()])?;
    wrap(py, found.to_device(x.get().get_ref().device())?)
}
/// A product whose operands must have the ranks named.
#[pyfunction]
fn _ranked(py: Python<'_>, op: &str, a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    let (name, ranks) = match op {
        "mm" => ("mm", (2, 2)),
        "mv" => ("mv", (2, 1)),
        "bmm" => ("bmm", (3, 3)),
        _ => ("dot", (1, 1)),
    };
    let (a, b) = (args::tensor(name, "input", a)?, args::tensor(name, "other", b)?);
    let work = a.numel().saturating_mul(b.shape().last().copied().unwrap_or(1)) / 16;
    wrap(py, enter(py, work, || ops::linear::ranked(name, &a, &b, ranks))?)
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(backward_all, m)?)?;
    m.add_function(wrap_pyfunction!(grad_of, m)?)?;
    m.add_function(wrap_pyfunction!(_func_grad, m)?)?;
    m.add_function(wrap_pyfunction!(_hangs_on_more, m)?)?;
    m.add_function(wrap_pyfunction!(_split, m)?)?;
    m.add_function(wrap_pyfunction!(_chunk, m)?)?;
    m.add_function(wrap_pyfunction!(_unbind, m)?)?;
    m.add_function(wrap_pyfunction!(_stack, m)?)?;
    m.add_function(wrap_pyfunction!(_narrow, m)?)?;
    m.add_function(wrap_pyfunction!(_movedim, m)?)?;
    m.add_function(wrap_pyfunction!(_nonzero, m)?)?;
    m.add_function(wrap_pyfunction!(_ranked, m)?)
}
