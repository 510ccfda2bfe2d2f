//! The fused steps of optimisers: one call, one pass over the tensors of many parameters. Leans on the records of steps.

use super::tensor::PyTensor;
use super::{args, enter};
use crate::backend::{Launch, Operand, beside, of};
use crate::base::{Error, Number, Result, shape};
use crate::engine::replay;
use crate::graph::{Body, Op, Tensor, capture};
use crate::ops::complex::parts_of;
use crate::ops::step;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use smallvec::SmallVec;

fn find(name: &str) -> PyResult<&'static Op> {
    let found = step::TABLE.iter().find(|op| op.name == name);
    found.copied().ok_or_else(|| PyValueError::new_err(format!("fused_step: no step is called {name:?}")))
}

/// The operands of one parameter, those that are written first, if all is as the step needs it.
fn operands(op: &str, list: &[&Tensor], outputs: usize) -> Result<Vec<Operand>> {
    let found: Vec<Operand> = list.iter().map(|t| t.operand()).collect();
    let first = &found[0];
    beside(op, first, found.iter())?;
    for (k, x) in found.iter().enumerate() {
        if x.layout.shape != first.layout.shape {
            let (a, b) = (shape::show(&first.layout.shape), shape::show(&x.layout.shape));
            return Err(Error::shape(op, format!("a parameter of shape {a} has a gradient or a state of shape {b}")));
        }
        if !x.dtype.is_inexact() || x.dtype.is_complex() != first.dtype.is_complex() {
            return Err(Error::dtype(op, format!("only float tensors can be optimised, got {}", x.dtype)));
        }
        if k < outputs && !x.storage.is_writable() {
            return Err(Error::value(op, "the memory behind a parameter is read-only (it came from a read-only array); clone it first"));
        }
        if k < outputs && x.layout.overlaps_itself() {
            let (sizes, strides) = (shape::show(&x.layout.shape), shape::show(&x.layout.strides));
            let text = format!("several elements of a parameter (shape {sizes}, strides {strides}) are one in memory; clone it first");
            return Err(Error::runtime(op, text));
        }
    }
    // A complex number is stepped as the two reals that it is made of.
    Ok(if first.dtype.is_complex() { found.iter().map(parts_of).collect() } else { found })
}

/// A list of tensors: the usual one at little cost, any other with its errors.
fn column(op: &str, x: &Bound<'_, PyAny>) -> PyResult<Vec<Tensor>> {
    if let Ok(list) = x.cast_exact::<PyList>() {
        let found: Option<Vec<Tensor>> = list.iter().map(|item| item.cast::<PyTensor>().ok().map(|t| t.get().tensor())).collect();
        if let Some(found) = found {
            return Ok(found);
        }
    }
    args::tensors(op, x)
}

/// Forgets the gradients of these tensors; False where something else is among them, which the caller looks at itself.
#[pyfunction]
fn _forget_grads(list: &Bound<'_, PyAny>) -> bool {
    let Ok(list) = list.cast_exact::<PyList>() else { return false };
    list.iter().all(|item| item.cast::<PyTensor>().map(|t| t.get().get_ref().set_grad(None)).is_ok())
}

/// One step of an optimiser, `name` among the records of steps, over lists of tensors: a list for each input of the
/// record, of which the first ones, as many as it has outputs, are written in place.
#[pyfunction]
fn fused_step(py: Python<'_>, name: &str, columns: &Bound<'_, PyList>, numbers: &Bound<'_, PyTuple>) -> PyResult<()> {
    let op = find(name)?;
    let Body::Map(body) = &op.body else { return Err(Error::bug(op.name, "not a map").into()) };
    let columns = columns.iter().map(|c| column(op.name, &c)).collect::<PyResult<SmallVec<[_; 6]>>>()?;
    if columns.len() != body.inputs || numbers.len() != body.params {
        let (have, want) = ((columns.len(), numbers.len()), (body.inputs, body.params));
        return Err(PyTypeError::new_err(format!("{name}: lists of tensors and numbers are {have:?}, it takes {want:?}")));
    }
    let count = columns[0].len();
    if columns.iter().any(|c| c.len() != count) {
        return Err(PyValueError::new_err(format!("{name}: the lists of parameters, gradients and states differ in length")));
    }
    if count == 0 {
        return Ok(());
    }
    let params: SmallVec<[Number; 10]> =
        numbers.iter().map(|x| args::float(op.name, "a number", &x).map(Number::from)).collect::<PyResult<_>>()?;
    if replay::collects(&params) {
        return Ok(());
    }
    columns.iter().flatten().for_each(capture::touch);
    let size = columns[0].iter().map(Tensor::numel).sum();
    let work = || -> Result<()> {
        // Parameters of another type of computation, or on another device, go in a launch of their own.
        let mut kinds: Vec<(_, Vec<Vec<Operand>>)> = Vec::with_capacity(1);
        for i in 0..count {
            let list: SmallVec<[&Tensor; 6]> = columns.iter().map(|c| &c[i]).collect();
            let found = operands(op.name, &list, body.outputs)?;
            let own = (found[0].dtype.compute(), found[0].device());
            match kinds.iter_mut().find(|(kind, _)| *kind == own) {
                Some((_, lists)) => lists.push(found),
                None => kinds.push((own, vec![found])),
            }
        }
        replay::by_call(|| {
            kinds.iter().try_for_each(|((compute, _), segments)| {
                of(&segments[0][0].storage).launch(&Launch::Segments { body, compute: *compute, params: &params, segments })
            })
        })?;
        columns[..body.outputs].iter().flatten().for_each(Tensor::bump);
        Ok(())
    };
    enter(py, size, work)
}

/// The numbers that a pass of a step would have been launched with, for a step that is run again.
#[pyfunction]
fn _numbers(numbers: Vec<f64>) {
    let params: Vec<Number> = numbers.into_iter().map(Number::from).collect();
    replay::collects(&params);
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(fused_step, m)?)?;
    m.add_function(wrap_pyfunction!(_forget_grads, m)?)?;
    m.add_function(wrap_pyfunction!(_numbers, m)?)
}
