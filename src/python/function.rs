//! Users' own derivatives: `autograd.Function`, and rules put in place of a record's. Leans on graph's dynamic rules.

use super::tensor::PyTensor;
use super::{args, error, wrap};
use crate::base::{Device, Result};
use crate::engine::{backward, custom, record, write};
use crate::graph::mode::{self, GradGuard, Mode};
use crate::graph::node::{Dynamic, Rule};
use crate::graph::{Edge, Node, Op, Tensor};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use smallvec::{SmallVec, smallvec};
use std::cell::RefCell;
use std::sync::{Arc, Mutex};

/// What `forward` leaves for `backward`.
#[pyclass(frozen, subclass, dict, weakref, name = "FunctionCtx", module = "schuss.autograd")]
pub struct Ctx {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    to_save: Vec<Option<Tensor>>,
    saved: Option<custom::Saved>,
    freed: bool,
    needs: Vec<bool>,
    dirty: Vec<usize>,
    not_differentiable: Vec<usize>,
    keep_none: bool,
}

impl Ctx {
    fn with<R>(&self, work: impl FnOnce(&mut State) -> R) -> R {
        work(&mut self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

fn ids(what: &str, list: &Bound<'_, PyTuple>) -> PyResult<Vec<usize>> {
    list.iter().map(|t| args::tensor(what, "an argument", &t).map(|t| t.id())).collect()
}

#[pymethods]
impl Ctx {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Ctx {
        Ctx { state: Mutex::default() }
    }
    /// Keeps tensors for `backward`, which finds them in `saved_tensors`; later in-place writes to them are noticed.
    #[pyo3(signature = (*tensors))]
    fn save_for_backward(&self, tensors: &Bound<'_, PyTuple>) -> PyResult<()> {
        let list = tensors
            .iter()
            .map(|t| if t.is_none() { Ok(None) } else { args::tensor("save_for_backward", "an argument", &t).map(Some) })
            .collect::<PyResult<Vec<_>>>()?;
        self.with(|s| s.to_save = list);
        Ok(())
    }
    /// Keeps tensors for the class's own `jvp`; without one it has no effect, and forward mode turns `backward` round.
    #[pyo3(signature = (*tensors))]
    fn save_for_forward(&self, tensors: &Bound<'_, PyTuple>) {
        let _ = tensors;
    }
    /// What `save_for_backward` kept, as a tuple. Raises RuntimeError where one was written in place since, or the graph is gone.
    #[getter]
    fn saved_tensors(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let list = self.with(|s| -> Result<Vec<Option<Tensor>>> {
            if s.freed {
                return Err(crate::graph::node::freed("a custom function"));
            }
            match &s.saved {
                Some(saved) => saved.unpack(),
                None => Ok(s.to_save.clone()),
            }
        })?;
        let list = list.into_iter().map(|t| t.map_or(Ok(py.None()), |t| wrap(py, t))).collect::<PyResult<Vec<_>>>()?;
        Ok(PyTuple::new(py, list)?.into_any().unbind())
    }
    /// For each argument of `forward`, whether its gradient is wanted.
    #[getter]
    fn needs_input_grad(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(PyTuple::new(py, self.with(|s| s.needs.clone()))?.into_any().unbind())
    }
    /// Says that `forward` wrote these inputs in place and returns them.
    #[pyo3(signature = (*tensors))]
    fn mark_dirty(&self, tensors: &Bound<'_, PyTuple>) -> PyResult<()> {
        let list = ids("mark_dirty", tensors)?;
        self.with(|s| s.dirty = list);
        Ok(())
    }
    /// Says that no gradient goes through these results.
    #[pyo3(signature = (*tensors))]
    fn mark_non_differentiable(&self, tensors: &Bound<'_, PyTuple>) -> PyResult<()> {
        let list = ids("mark_non_differentiable", tensors)?;
        self.with(|s| s.not_differentiable = list);
        Ok(())
    }
    /// Whether `backward` gets zeros (the default) or None for outputs that nothing was done with.
    fn set_materialize_grads(&self, value: bool) {
        self.with(|s| s.keep_none = !value);
    }
}

/// A Python function's rule.
struct Custom {
    name: String,
    ctx: Py<Ctx>,
    backward: Py<PyAny>,
}

/// The device of the gradients that are there.
fn beside(grads: &[Option<Tensor>]) -> Device {
    grads.iter().flatten().next().map_or(Device::Cpu, Tensor::device)
}

impl Dynamic for Custom {
    fn name(&self) -> String {
        self.name.clone()
    }
    fn pull(&self, node: &Arc<Node>, grads: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        Python::attach(|py| {
            let keep_none = self.ctx.get().with(|s| s.keep_none);
            let given = grads
                .iter()
                .enumerate()
                .map(|(k, g)| match g {
                    Some(g) => wrap(py, g.clone()),
                    None if keep_none => Ok(py.None()),
                    None => {
                        let (shape, dtype) = node.output_meta(k);
                        wrap(py, backward::filled_on(beside(grads), &shape, dtype, 0.0)?)
                    }
                })
                .collect::<PyResult<Vec<_>>>();
            let call = || -> PyResult<Vec<Option<Tensor>>> {
                let mut list = vec![self.ctx.clone_ref(py).into_any()];
                list.extend(given?);
                let result = self.backward.bind(py).call1(PyTuple::new(py, list)?)?;
                let returned: Vec<Bound<'_, PyAny>> = match result.cast::<PyTuple>() {
                    Ok(t) => t.iter().collect(),
                    Err(_) if result.is_instance_of::<PyList>() => result.try_iter()?.collect::<PyResult<_>>()?,
                    Err(_) => vec![result.clone()],
                };
                let expected = node.edges.len();
                let extra = returned.get(expected..).is_some_and(|rest| rest.iter().any(|r| !r.is_none()));
                if returned.len() < expected || extra {
                    return Err(PyRuntimeError::new_err(format!(
                        "{}: backward returned {} gradients, forward took {expected} arguments; return one (or None) for each",
                        self.name,
                        returned.len()
                    )));
                }
                returned
                    .iter()
                    .take(expected)
                    .map(|r| if r.is_none() { Ok(None) } else { args::tensor(&self.name, "a gradient", r).map(Some) })
                    .collect()
            };
            call().map_err(|e| error::carried(py, e))
        })
    }
    fn release(&self) {
        let old = self.ctx.get().with(|s| {
            s.freed = s.saved.as_ref().is_some_and(|x| !x.is_empty());
            (s.saved.take(), std::mem::take(&mut s.to_save))
        });
        drop(old);
    }
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// Nodes behind a tensor that the collector is shown.
const DEPTH: usize = 32;

#[pymethods]
impl PyTensor {
    /// Shows the collector the contexts of users' functions that nothing but this tensor's history holds: a context may
    /// hold the tensor in turn. While another thread walks a graph nothing is shown, since it might change meanwhile.
    fn __traverse__(&self, visit: PyVisit<'_>) -> std::result::Result<(), PyTraverseError> {
        // The object of a subclass is shown, all zeros, before its tensor is put into it: making its dictionary may collect.
        // SAFETY: the tensor is one pointer, and only its bits are read.
        let empty = unsafe { std::ptr::from_ref(&self.inner).cast::<*const ()>().read().is_null() };
        if empty || !super::all_wait() || Arc::strong_count(&self.inner.0) != 1 {
            return Ok(());
        }
        let Some(core) = self.inner.0.core.attempt() else { return Ok(()) };
        let Some((first, _)) = &core.edge else { return Ok(()) };
        let mut todo: SmallVec<[&Arc<Node>; 4]> = smallvec![first];
        for _ in 0..DEPTH {
            let Some(node) = todo.pop() else { break };
            if Arc::strong_count(node) != 1 {
                continue;
            }
            if let Rule::Dynamic(rule) = &node.rule
                && Arc::strong_count(rule) == 1
                && let Some(own) = rule.as_any().downcast_ref::<Custom>()
            {
                visit.call(&own.ctx)?;
            }
            todo.extend(node.edges.iter().flatten().filter_map(|e| if let Edge::Node(n, _) = e { Some(n) } else { None }));
        }
        Ok(())
    }
}

/// Runs a Function's forward, and records its backward: what `Function.apply` does.
#[pyfunction]
#[pyo3(signature = (class, ctx, setup, *inputs))]
fn apply_function(class: &Bound<'_, PyAny>, ctx: &Bound<'_, Ctx>, setup: bool, inputs: &Bound<'_, PyTuple>) -> PyResult<Py<PyAny>> {
    let py = class.py();
    let mode = Mode::now();
    let tensors: Vec<Option<Tensor>> = inputs.iter().map(|x| x.cast::<PyTensor>().ok().map(|t| t.get().tensor())).collect();
    if mode.lifted() && tensors.iter().flatten().any(|t| t.lift().is_some()) {
        return Ok(py.import("schuss.func.custom")?.getattr("apply")?.call1((class, inputs))?.unbind());
    }
    let looks: Vec<Option<record::Look>> = tensors.iter().map(|t| t.as_ref().map(|t| record::look(t, mode))).collect();
    let needs: Vec<bool> = looks.iter().map(|l| l.as_ref().is_some_and(|l| l.edge.is_some() && l.operand.dtype.is_inexact())).collect();
    let tracked = needs.iter().any(|&n| n);
    ctx.get().with(|s| s.needs.clone_from(&needs));
    let result = {
        let _quiet = GradGuard::set(false);
        if setup {
            let result = class.call_method1("forward", inputs)?;
            class.call_method1("setup_context", (ctx, inputs, &result))?;
            result
        } else {
            let mut list: Vec<Bound<'_, PyAny>> = vec![ctx.clone().into_any()];
            list.extend(inputs.iter());
            class.call_method1("forward", PyTuple::new(py, list)?)?
        }
    };
    let single = result.cast::<PyTensor>().is_ok();
    let items: Vec<Bound<'_, PyAny>> = match result.cast::<PyTuple>() {
        Ok(t) => t.iter().collect(),
        Err(_) if result.is_instance_of::<PyList>() => result.try_iter()?.collect::<PyResult<_>>()?,
        Err(_) => vec![result.clone()],
    };
    let name = format!("{}Backward", class.getattr("__name__")?.extract::<String>().unwrap_or_else(|_| "Custom".into()));
    let (dirty, plain) = ctx.get().with(|s| (s.dirty.clone(), s.not_differentiable.clone()));
    let mut outs: Vec<Option<Tensor>> = Vec::new();
    for item in &items {
        let Ok(t) = item.cast::<PyTensor>() else {
            outs.push(None);
            continue;
        };
        let t = t.get().tensor();
        // An input that comes back unwritten is another handle, so that its own place in the graph stays.
        let is_input = tensors.iter().flatten().any(|x| x.same(&t));
        outs.push(Some(if is_input && !dirty.contains(&t.id()) && tracked { t.detach() } else { t }));
    }
    for (x, id) in tensors.iter().flatten().map(|t| (t, t.id())).filter(|(_, id)| dirty.contains(id)) {
        let _ = id;
        if x.requires_grad() && x.is_leaf() && mode.grad() {
            return Err(PyRuntimeError::new_err(format!(
                "{name}: a leaf tensor that requires grad was marked dirty; it cannot be written in place"
            )));
        }
    }
    if tracked {
        let rule = Arc::new(Custom { name, ctx: ctx.clone().unbind(), backward: class.getattr("backward")?.unbind() });
        let skip = |t: &Tensor| plain.contains(&t.id());
        let made: Vec<Tensor> = outs.iter().flatten().cloned().collect();
        let node = custom::attach_dynamic(rule, &looks, &made, &skip, mode)?;
        for (x, t) in tensors.iter().flatten().zip(std::iter::repeat(())).map(|(x, ())| (x, x.id())).filter(|(_, id)| dirty.contains(id)) {
            let _ = t;
            write::rewrite_base(x, mode)?;
        }
        let saved = ctx.get().with(|s| std::mem::take(&mut s.to_save));
        let kept = custom::Saved::keep(&node, &looks, &tensors, &made, saved);
        ctx.get().with(|s| s.saved = Some(kept));
    }
    let mut packed = Vec::new();
    for (item, out) in items.iter().zip(outs) {
        packed.push(match out {
            Some(t) => wrap(py, t)?,
            None => item.clone().unbind(),
        });
    }
    if single || items.len() == 1 && !result.is_instance_of::<PyTuple>() && !result.is_instance_of::<PyList>() {
        return packed.pop().ok_or_else(|| PyTypeError::new_err("forward returned nothing"));
    }
    Ok(PyTuple::new(py, packed)?.into_any().unbind())
}

thread_local! {
    static RULES: RefCell<Option<Py<PyDict>>> = const { RefCell::new(None) };
}

/// A record's derivative as a user's `f(op, *grads)`.
struct Override {
    name: String,
    call: Py<PyAny>,
}

impl Dynamic for Override {
    fn name(&self) -> String {
        self.name.clone()
    }
    fn pull(&self, node: &Arc<Node>, grads: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        Python::attach(|py| {
            let work = || -> PyResult<Vec<Option<Tensor>>> {
                let op = py.import("types")?.getattr("SimpleNamespace")?.call0()?;
                let list = |is_input: bool| -> PyResult<Bound<'_, PyList>> {
                    let all = node
                        .saved()?
                        .into_iter()
                        .filter(|(i, ..)| *i == is_input)
                        .map(|(_, _, t)| wrap(py, t))
                        .collect::<PyResult<Vec<_>>>()?;
                    PyList::new(py, all)
                };
                op.setattr("inputs", list(true)?)?;
                op.setattr("outputs", list(false)?)?;
                op.setattr("name", &self.name)?;
                let mut given = vec![op.unbind()];
                for (k, g) in grads.iter().enumerate() {
                    given.push(match g {
                        Some(g) => wrap(py, g.clone())?,
                        None => {
                            let (shape, dtype) = node.output_meta(k);
                            wrap(py, backward::filled_on(beside(grads), &shape, dtype, 0.0)?)?
                        }
                    });
                }
                let result = self.call.bind(py).call1(PyTuple::new(py, given)?)?;
                let mut list = Vec::new();
                if result.cast::<PyTensor>().is_ok() || result.is_none() {
                    list.push(result);
                } else {
                    list.extend(result.try_iter()?.collect::<PyResult<Vec<_>>>()?);
                }
                let mut back: Vec<Option<Tensor>> = list
                    .iter()
                    .map(|r| if r.is_none() { Ok(None) } else { args::tensor(&self.name, "a gradient", r).map(Some) })
                    .collect::<PyResult<_>>()?;
                back.resize(node.edges.len(), None);
                Ok(back)
            };
            work().map_err(|e| error::carried(py, e))
        })
    }
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// The rule set in place of a record's on this thread, if any.
pub fn find_override(op: &'static Op) -> Result<Option<Arc<dyn Dynamic>>> {
    Python::attach(|py| {
        let rules = RULES.with_borrow(|r| r.as_ref().map(|d| d.clone_ref(py)));
        let Some(rules) = rules else { return Ok(None) };
        match rules.bind(py).get_item(op.name) {
            Ok(Some(call)) => Ok(Some(Arc::new(Override { name: op.name.to_string(), call: call.unbind() }) as Arc<dyn Dynamic>)),
            Ok(None) => Ok(None),
            Err(e) => Err(error::carried(py, e)),
        }
    })
}

/// Puts rules `{record name: f(op, *grads)}` in force on this thread; returns those that were.
#[pyfunction]
#[pyo3(signature = (mapping))]
fn set_overrides(py: Python<'_>, mapping: Option<Py<PyDict>>) -> Option<Py<PyDict>> {
    mode::set_overridden(mapping.as_ref().is_some_and(|m| !m.bind(py).is_empty()));
    RULES.replace(mapping)
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<Ctx>()?;
    m.add_function(wrap_pyfunction!(apply_function, m)?)?;
    m.add_function(wrap_pyfunction!(set_overrides, m)?)
}
