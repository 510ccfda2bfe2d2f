//! `grad_fn` as Python sees it, hooks, and where the user's program stands. Leans on graph's nodes.

use super::tensor::PyTensor;
use super::{args, error, wrap};
use crate::base::{Error, Result};
use crate::engine::lift;
use crate::graph::lift::Lift;
use crate::graph::node::PullHook;
use crate::graph::tensor::Hook;
use crate::graph::{Edge, Node, Tensor};
use pyo3::exceptions::{PyAttributeError, PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};
use std::sync::Arc;

/// One recorded operation: what made a tensor, and what it was made of.
///
/// >>> x = schuss.tensor(2.0, requires_grad=True)
/// >>> (x * 3).grad_fn
/// <MulBackward0>
#[pyclass(frozen, subclass, name = "Node", module = "schuss.autograd", dict)]
pub struct PyNode {
    edge: Edge,
}

/// The classes of nodes by name, made when first seen.
static KINDS: pyo3::sync::PyOnceLock<Py<PyDict>> = pyo3::sync::PyOnceLock::new();

/// The name that PyTorch gives such a node.
pub fn name(node: &Node) -> String {
    let plain = node.name();
    if node.maker().is_none() {
        return plain;
    }
    // PyTorch's `contiguous` is a clone, and its node has that name.
    let plain = if plain == "compact" { "clone" } else { &plain };
    let camel: String = plain.split('_').filter(|p| !p.is_empty()).map(|p| p[..1].to_uppercase() + &p[1..]).collect();
    format!("{camel}Backward0")
}

impl PyNode {
    pub fn of(node: Arc<Node>, output: u32) -> PyNode {
        PyNode { edge: Edge::Node(node, output) }
    }
    /// The Python object: of a class named after the operation, as PyTorch's are.
    pub fn object(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let kinds = KINDS.get_or_try_init(py, || PyResult::Ok(PyDict::new(py).unbind()))?.bind(py);
        let name = self.name();
        let class = match kinds.get_item(&name)? {
            Some(class) => class,
            None => {
                let body = PyDict::new(py);
                body.set_item("__module__", "schuss.autograd")?;
                let made = py.get_type::<pyo3::types::PyType>().call1((&name, (py.get_type::<PyNode>(),), body))?;
                kinds.set_item(&name, &made)?;
                made
            }
        };
        let seed = Py::new(py, self)?;
        Ok(class.call1((seed,))?.unbind())
    }
    fn address(&self) -> usize {
        match &self.edge {
            Edge::Node(n, _) => Arc::as_ptr(n) as usize,
            Edge::Leaf(t) => t.id(),
        }
    }
}

#[pymethods]
impl PyNode {
    #[new]
    fn new(node: &Bound<'_, PyNode>) -> PyNode {
        PyNode { edge: node.get().edge.clone() }
    }
    /// The operation's name, as PyTorch has it.
    ///
    /// >>> schuss.ones(2, requires_grad=True).sum().grad_fn.name()
    /// 'SumBackward0'
    fn name(&self) -> String {
        match &self.edge {
            Edge::Node(n, _) => name(n),
            Edge::Leaf(_) => "AccumulateGrad".into(),
        }
    }
    #[getter(__name__)]
    fn plain_name(&self) -> String {
        self.name()
    }
    /// (node, output) for each operand; (None, 0) where no gradient goes.
    #[getter]
    fn next_functions(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let Edge::Node(node, _) = &self.edge else { return Ok(PyTuple::empty(py).into_any().unbind()) };
        let mut list = Vec::new();
        for edge in node.edges.iter() {
            list.push(match edge {
                None => (py.None(), 0u32),
                Some(edge) => {
                    let k = if let Edge::Node(_, k) = edge { *k } else { 0 };
                    (PyNode { edge: edge.clone() }.object(py)?, k)
                }
            });
        }
        Ok(PyTuple::new(py, list)?.into_any().unbind())
    }
    /// The leaf, where this node adds to one.
    #[getter]
    fn variable(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match &self.edge {
            Edge::Leaf(t) => wrap(py, t.clone()),
            Edge::Node(..) => Err(PyAttributeError::new_err("variable: only the node of a leaf has one")),
        }
    }
    /// The tensors that the derivative reads.
    #[getter]
    fn saved_tensors(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let list = match &self.edge {
            Edge::Node(n, _) => n.saved()?.into_iter().map(|(_, _, t)| wrap(py, t)).collect::<PyResult<Vec<_>>>()?,
            Edge::Leaf(_) => Vec::new(),
        };
        Ok(PyTuple::new(py, list)?.into_any().unbind())
    }
    fn __getattr__(&self, py: Python<'_>, key: &str) -> PyResult<Py<PyAny>> {
        let missing = || PyAttributeError::new_err(format!("{} has no attribute {key}", self.name()));
        let Edge::Node(node, _) = &self.edge else { return Err(missing()) };
        let (Some(field), Some(op)) = (key.strip_prefix("_saved_"), node.op()) else { return Err(missing()) };
        let field = match field {
            "self" => "input",
            other => other,
        };
        for (is_input, i, t) in node.saved()? {
            if is_input && op.inputs.get(i).is_some_and(|x| x.name == field) || !is_input && field == "result" {
                return wrap(py, t);
            }
        }
        Err(missing())
    }
    /// A dict for whatever the user wants to keep with the node.
    #[getter]
    fn metadata(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        if let Ok(found) = slf.getattr("_metadata") {
            return Ok(found.unbind());
        }
        let made = PyDict::new(slf.py());
        slf.setattr("_metadata", &made)?;
        Ok(made.into_any().unbind())
    }
    /// (file, line) of the user's program, where a tape recorded it; else None.
    #[getter]
    fn place(&self) -> Option<(String, u32)> {
        match &self.edge {
            Edge::Node(n, _) => n.place().map(|(f, l)| (f.to_string(), l)),
            Edge::Leaf(_) => None,
        }
    }
    /// The number of the node in the order of recording.
    #[getter]
    fn _sequence_nr(&self) -> u64 {
        match &self.edge {
            Edge::Node(n, _) => n.serial,
            Edge::Leaf(_) => u64::MAX,
        }
    }
    /// Calls `hook(grad_inputs, grad_outputs)` after this node's derivative has run.
    fn register_hook(&self, hook: Py<PyAny>) -> PyResult<Handle> {
        self.attach(hook, false)
    }
    /// Calls `hook(grad_outputs)` before this node's derivative runs.
    fn register_prehook(&self, hook: Py<PyAny>) -> PyResult<Handle> {
        self.attach(hook, true)
    }
    fn __repr__(&self) -> String {
        format!("<{}>", self.name())
    }
    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<PyNode>().is_ok_and(|o| o.get().address() == self.address())
    }
    fn __hash__(&self) -> usize {
        self.address() >> 4
    }
}

impl PyNode {
    fn attach(&self, hook: Py<PyAny>, before: bool) -> PyResult<Handle> {
        let Edge::Node(node, _) = &self.edge else {
            return Err(PyRuntimeError::new_err("register_hook: the node of a leaf takes no hooks; use tensor.register_hook"));
        };
        let mut extra = node.extra_mut();
        extra.next += 1;
        let id = extra.next;
        extra.on_pull.push((id, Arc::new(NodeHook { call: hook, before })));
        Ok(Handle { at: At::Node(Arc::downgrade(node)), id })
    }
}

struct NodeHook {
    call: Py<PyAny>,
    before: bool,
}

fn tuple<'py>(py: Python<'py>, list: &[Option<Tensor>]) -> PyResult<Bound<'py, PyTuple>> {
    let list = list.iter().map(|t| t.clone().map_or(Ok(py.None()), |t| wrap(py, t))).collect::<PyResult<Vec<_>>>()?;
    PyTuple::new(py, list)
}

impl PullHook for NodeHook {
    fn call(&self, grad_inputs: &[Option<Tensor>], grad_outputs: &[Option<Tensor>]) -> Result<Option<Vec<Option<Tensor>>>> {
        Python::attach(|py| {
            let work = || -> PyResult<Option<Vec<Option<Tensor>>>> {
                let outs = tuple(py, grad_outputs)?;
                let result =
                    if self.before { self.call.call1(py, (outs,))? } else { self.call.call1(py, (tuple(py, grad_inputs)?, outs))? };
                let result = result.bind(py);
                if result.is_none() {
                    return Ok(None);
                }
                let mut list = Vec::new();
                for item in result.try_iter()? {
                    let item = item?;
                    list.push(if item.is_none() { None } else { Some(args::tensor("hook", "a gradient", &item)?) });
                }
                Ok(Some(list))
            };
            work().map_err(|e| error::carried(py, e))
        })
    }
    fn before(&self) -> bool {
        self.before
    }
}

struct TensorHook(Py<PyAny>);

impl Hook for TensorHook {
    fn call(&self, grad: &Tensor) -> Result<Option<Tensor>> {
        Python::attach(|py| {
            let work = || -> PyResult<Option<Tensor>> {
                let result = self.0.call1(py, (wrap(py, grad.clone())?,))?;
                let result = result.bind(py);
                if result.is_none() {
                    return Ok(None);
                }
                match result.cast::<PyTensor>() {
                    Ok(t) => Ok(Some(t.get().tensor())),
                    Err(_) => Err(PyTypeError::new_err(format!("hook: must return a Tensor or None, got {}", args::describe(result)))),
                }
            };
            work().map_err(|e| error::carried(py, e))
        })
    }
}

enum At {
    Tensor(std::sync::Weak<crate::graph::tensor::Handle>),
    Node(std::sync::Weak<Node>),
}

/// What registering a hook returns; `remove()` takes the hook away.
#[pyclass(frozen, name = "RemovableHandle", module = "schuss.utils.hooks")]
pub struct Handle {
    at: At,
    id: u64,
}

#[pymethods]
impl Handle {
    /// Takes the hook away; nothing happens where it is gone already.
    ///
    /// >>> x = schuss.tensor(1.0, requires_grad=True)
    /// >>> x.register_hook(lambda grad: grad * 10).remove()
    /// >>> (x * 2).backward()
    /// >>> x.grad
    /// tensor(2.)
    fn remove(&self) {
        match &self.at {
            At::Tensor(weak) => {
                if let Some(handle) = weak.upgrade() {
                    Tensor(handle).remove_hook(self.id);
                }
            }
            At::Node(weak) => {
                if let Some(node) = weak.upgrade()
                    && let Some(mut extra) = node.extra()
                {
                    extra.hooks.retain(|(id, ..)| *id != self.id);
                    extra.on_pull.retain(|(id, _)| *id != self.id);
                }
            }
        }
    }
    /// The number of the hook where it hangs.
    #[getter]
    fn id(&self) -> u64 {
        self.id
    }
    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }
    fn __exit__(&self, _a: &Bound<'_, PyAny>, _b: &Bound<'_, PyAny>, _c: &Bound<'_, PyAny>) {
        self.remove();
    }
}

/// A hook on a tensor: on its node's output, or on the leaf itself.
pub fn hook_tensor(slf: &Bound<'_, PyTensor>, hook: Py<PyAny>, after: bool) -> PyResult<Py<PyAny>> {
    let py = slf.py();
    let t = slf.get().tensor();
    crate::engine::write::refresh(&t);
    if !hook.bind(py).is_callable() {
        return Err(PyTypeError::new_err(format!("register_hook: a hook must be callable, got {}", args::describe(hook.bind(py)))));
    }
    if !lift::is_tracked(&t) {
        return Err(PyRuntimeError::new_err("register_hook: cannot register a hook on a tensor that does not require grad"));
    }
    Ok(Py::new(py, hang(&t, Arc::new(TensorHook(hook)), after)?)?.into_any())
}

fn hang(t: &Tensor, hook: Arc<dyn Hook>, after: bool) -> PyResult<Handle> {
    match lift::seen(t).as_deref() {
        Some(Lift::Batch { level, value }) => return hang(value, Arc::new(lift::EachHook::new(*level, hook)), after),
        Some(Lift::Dual { .. }) => {
            let text =
                "inside forward mode (jvp, jacfwd, hessian) tensors take no hooks; register them in a function that only grad or vjp takes";
            return Err(Error::grad("register_hook", text).into());
        }
        None => {}
    }
    Ok(match t.node() {
        Some(_) if after => {
            return Err(PyRuntimeError::new_err("register_post_accumulate_grad_hook: only leaf tensors accumulate gradients"));
        }
        Some((node, k)) => {
            let mut extra = node.extra_mut();
            extra.next += 1;
            let id = extra.next;
            extra.hooks.push((id, k, hook));
            Handle { at: At::Node(Arc::downgrade(&node)), id }
        }
        None => Handle { id: t.add_hook(hook, after), at: At::Tensor(Arc::downgrade(&t.0)) },
    })
}

/// The file and line of the innermost Python frame outside this package.
pub fn locate() -> Option<(Arc<str>, u32)> {
    Python::attach(|py| {
        let here = || -> PyResult<Option<(Arc<str>, u32)>> {
            let mut frame = py.import("sys")?.call_method1("_getframe", (0,))?;
            loop {
                let file: String = frame.getattr("f_code")?.getattr("co_filename")?.extract()?;
                let inside = file.replace('\\', "/").contains("/schuss/");
                let back = frame.getattr("f_back")?;
                if !inside || back.is_none() {
                    let line: u32 = frame.getattr("f_lineno")?.extract()?;
                    return Ok(Some((Arc::from(file.as_str()), line)));
                }
                frame = back;
            }
        };
        here().ok().flatten()
    })
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyNode>()?;
    m.add_class::<Handle>()
}
