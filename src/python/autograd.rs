//! Walks asked for from Python, fused optimiser steps, and the functions that give several views. Leans on engine.

use super::tensor::PyTensor;
use super::{args, calls, enter, wrap};
use crate::backend::{Launch, Operand, beside, of};
use crate::base::{Error, Number, Result};
use crate::engine::{backward, replay};
use crate::graph::capture;
use crate::graph::{Body, Op, Outs, Tensor};
use crate::ops::{self, step};
use crate::tensor::shapes;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
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
    let found = backward::grad(&roots, &ends, &given, retain_graph, create_graph)?;
    let list = found.into_iter().map(|g| g.map_or(Ok(py.None()), |g| wrap(py, g))).collect::<PyResult<Vec<_>>>()?;
    Ok(PyTuple::new(py, list)?.into_any().unbind())
}

/// Runs a step's map over tensors in place: `state[0]` is the parameter, then the buffers that it writes.
fn update(op: &'static Op, state: &[&Tensor], read: &Tensor, params: &[Number]) -> Result<()> {
    let Body::Map(body) = &op.body else { return Err(Error::bug(op.name, "not a map")) };
    if replay::collects(params) {
        return Ok(());
    }
    state.iter().for_each(|t| capture::touch(t));
    capture::touch(read);
    let outs: Vec<Operand> = state.iter().map(|t| t.operand()).collect();
    let mut ins = vec![outs[0].clone(), read.operand()];
    ins.extend(outs[1..].iter().cloned());
    for x in &ins[1..] {
        if x.layout.shape != outs[0].layout.shape {
            return Err(Error::shape(
                "step",
                format!(
                    "a parameter of shape {} has a gradient or a buffer of shape {}",
                    crate::base::shape::show(&outs[0].layout.shape),
                    crate::base::shape::show(&x.layout.shape)
                ),
            ));
        }
    }
    let compute = outs[0].dtype.compute();
    if !compute.is_float() {
        return Err(Error::dtype("step", format!("only float parameters can be optimised, got {}", outs[0].dtype)));
    }
    beside("step", &outs[0], ins.iter().chain(&outs))?;
    replay::by_call(|| of(&outs[0].storage).launch(&Launch::Map { body, compute, params, ins: &ins, outs: &outs }))?;
    state.iter().for_each(|t| t.bump());
    Ok(())
}

fn signed(grad: &Tensor, maximize: bool) -> Result<Tensor> {
    if maximize { ops::arith::neg(&grad.detach()) } else { Ok(grad.clone()) }
}

/// One step of gradient descent for a list of parameters; returns the list of momentum buffers.
#[pyfunction]
#[pyo3(signature = (params, grads, bufs, *, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=false, maximize=false))]
#[allow(clippy::too_many_arguments)]
fn sgd_step(
    py: Python<'_>,
    params: &Bound<'_, PyAny>,
    grads: &Bound<'_, PyAny>,
    bufs: &Bound<'_, PyAny>,
    lr: f64,
    momentum: f64,
    dampening: f64,
    weight_decay: f64,
    nesterov: bool,
    maximize: bool,
) -> PyResult<Py<PyAny>> {
    let (params, grads) = (args::tensors("sgd_step", params)?, args::tensors("sgd_step", grads)?);
    if params.len() != grads.len() {
        return Err(PyValueError::new_err(format!("sgd_step: {} parameters, but {} gradients", params.len(), grads.len())));
    }
    let mut buffers = cotangents("sgd_step", Some(bufs), params.len())?;
    let size = params.iter().map(Tensor::numel).sum();
    let work = || -> Result<Vec<Option<Tensor>>> {
        let _quiet = crate::graph::mode::GradGuard::set(false);
        for ((p, g), buffer) in params.iter().zip(&grads).zip(&mut buffers) {
            let g = signed(g, maximize)?;
            if momentum == 0.0 {
                update(&step::plain_step::OP, &[p], &g, &[lr.into(), weight_decay.into()])?;
                continue;
            }
            // The first velocity is the whole gradient: no dampening yet.
            let fresh = buffer.is_none();
            let v = match buffer.take() {
                Some(v) => v,
                None => backward::filled(&p.shape(), p.dtype(), 0.0, p.device())?,
            };
            let damp = if fresh { 1.0 } else { 1.0 - dampening };
            let numbers = [lr.into(), momentum.into(), damp.into(), weight_decay.into(), f64::from(u8::from(nesterov)).into()];
            update(&step::sgd_step::OP, &[p, &v], &g, &numbers)?;
            *buffer = Some(v);
        }
        Ok(buffers)
    };
    let buffers = enter(py, size, work)?;
    let list = buffers.into_iter().map(|b| b.map_or(Ok(py.None()), |b| wrap(py, b))).collect::<PyResult<Vec<_>>>()?;
    Ok(PyList::new(py, list)?.into_any().unbind())
}

/// One step of Adam or AdamW for a list of parameters of one step count.
#[pyfunction]
#[pyo3(signature = (params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, step, *, lr, beta1, beta2, eps, weight_decay=0.0, amsgrad=false, maximize=false, decoupled=false))]
#[allow(clippy::too_many_arguments)]
fn adam_step(
    py: Python<'_>,
    params: &Bound<'_, PyAny>,
    grads: &Bound<'_, PyAny>,
    exp_avgs: &Bound<'_, PyAny>,
    exp_avg_sqs: &Bound<'_, PyAny>,
    max_exp_avg_sqs: Option<&Bound<'_, PyAny>>,
    step: i64,
    lr: f64,
    beta1: f64,
    beta2: f64,
    eps: f64,
    weight_decay: f64,
    amsgrad: bool,
    maximize: bool,
    decoupled: bool,
) -> PyResult<()> {
    let (params, grads) = (args::tensors("adam_step", params)?, args::tensors("adam_step", grads)?);
    let (first, second) = (args::tensors("adam_step", exp_avgs)?, args::tensors("adam_step", exp_avg_sqs)?);
    let largest =
        if amsgrad { max_exp_avg_sqs.map(|x| args::tensors("adam_step", x)).transpose()?.unwrap_or_default() } else { Vec::new() };
    let n = params.len();
    if grads.len() != n || first.len() != n || second.len() != n || amsgrad && largest.len() != n {
        return Err(PyValueError::new_err("adam_step: the lists of parameters, gradients and moments differ in length"));
    }
    let size = params.iter().map(Tensor::numel).sum();
    let count = step as f64;
    let scale = lr / (1.0 - beta1.powf(count));
    let root = (1.0 - beta2.powf(count)).sqrt();
    let (decay, shrink) = if decoupled { (0.0, weight_decay) } else { (weight_decay, 0.0) };
    let numbers: [Number; 8] = [lr.into(), beta1.into(), beta2.into(), eps.into(), decay.into(), shrink.into(), scale.into(), root.into()];
    enter(py, size, || {
        let _quiet = crate::graph::mode::GradGuard::set(false);
        for i in 0..n {
            let g = signed(&grads[i], maximize)?;
            if amsgrad {
                update(&step::amsgrad_step::OP, &[&params[i], &first[i], &second[i], &largest[i]], &g, &numbers)?;
            } else {
                update(&step::adam_step::OP, &[&params[i], &first[i], &second[i]], &g, &numbers)?;
            }
        }
        Ok(())
    })
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
    let flat: Vec<i64> = (0..rows).flat_map(|r| columns.iter().map(move |c| c[r]).collect::<Vec<_>>()).collect();
    wrap(py, Tensor::from_slice(&flat, &[rows, columns.len()])?)
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
    m.add_function(wrap_pyfunction!(sgd_step, m)?)?;
    m.add_function(wrap_pyfunction!(adam_step, m)?)?;
    m.add_function(wrap_pyfunction!(_split, m)?)?;
    m.add_function(wrap_pyfunction!(_chunk, m)?)?;
    m.add_function(wrap_pyfunction!(_unbind, m)?)?;
    m.add_function(wrap_pyfunction!(_stack, m)?)?;
    m.add_function(wrap_pyfunction!(_narrow, m)?)?;
    m.add_function(wrap_pyfunction!(_movedim, m)?)?;
    m.add_function(wrap_pyfunction!(_nonzero, m)?)?;
    m.add_function(wrap_pyfunction!(_ranked, m)?)
}
