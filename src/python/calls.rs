//! Every record as a Python function and method: one parser for all of them, behind a table of tiny entry points. Leans on args and ops.

use super::args::{self, Fed};
use super::tensor::PyTensor;
use super::{enter, wrap};
use crate::base::{Error, ErrorKind, Few, Number};
use crate::engine::write;
use crate::graph::tensor::emit;
use crate::graph::{Arg, Feed, InputKind, Op, Outs, ParamKind, Tensor};
use crate::ops::{self, arith};
use pyo3::Borrowed;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyList, PyString, PyTuple};
use smallvec::SmallVec;
use std::ffi::CString;
use std::os::raw::c_int;
use std::sync::OnceLock;

/// The records by number, as the entry points know them.
static OPS: OnceLock<Vec<&'static Op>> = OnceLock::new();

type Entry = unsafe extern "C" fn(*mut ffi::PyObject, *const *mut ffi::PyObject, ffi::Py_ssize_t, *mut ffi::PyObject) -> *mut ffi::PyObject;

/// What an entry point does: a method has its tensor in front; an in-place one writes it.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Method,
    Function,
    InPlace,
}

unsafe extern "C" fn method<const ID: usize>(
    slf: *mut ffi::PyObject,
    a: *const *mut ffi::PyObject,
    n: ffi::Py_ssize_t,
    k: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: called by the interpreter with its fastcall convention.
    unsafe { door(ID, Form::Method, slf, a, n, k) }
}
unsafe extern "C" fn function<const ID: usize>(
    slf: *mut ffi::PyObject,
    a: *const *mut ffi::PyObject,
    n: ffi::Py_ssize_t,
    k: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as above.
    unsafe { door(ID, Form::Function, slf, a, n, k) }
}
unsafe extern "C" fn in_place<const ID: usize>(
    slf: *mut ffi::PyObject,
    a: *const *mut ffi::PyObject,
    n: ffi::Py_ssize_t,
    k: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: as above.
    unsafe { door(ID, Form::InPlace, slf, a, n, k) }
}

macro_rules! sixteen {
    ($f:ident, $($h:literal)*) => { [$(
        $f::<{ $h * 16 }>, $f::<{ $h * 16 + 1 }>, $f::<{ $h * 16 + 2 }>, $f::<{ $h * 16 + 3 }>,
        $f::<{ $h * 16 + 4 }>, $f::<{ $h * 16 + 5 }>, $f::<{ $h * 16 + 6 }>, $f::<{ $h * 16 + 7 }>,
        $f::<{ $h * 16 + 8 }>, $f::<{ $h * 16 + 9 }>, $f::<{ $h * 16 + 10 }>, $f::<{ $h * 16 + 11 }>,
        $f::<{ $h * 16 + 12 }>, $f::<{ $h * 16 + 13 }>, $f::<{ $h * 16 + 14 }>, $f::<{ $h * 16 + 15 }>,
    )*] };
}
const MOST: usize = 1024;
macro_rules! entries {
    ($f:ident) => {
        sixteen!(
            $f, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
            32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63
        )
    };
}
static METHODS: [Entry; MOST] = entries!(method);
static FUNCTIONS: [Entry; MOST] = entries!(function);
static IN_PLACE: [Entry; MOST] = entries!(in_place);

/// From the interpreter's convention to Rust's, no panic passing.
unsafe fn door(
    id: usize,
    form: Form,
    slf: *mut ffi::PyObject,
    a: *const *mut ffi::PyObject,
    n: ffi::Py_ssize_t,
    k: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    Python::attach(|py| {
        let work = || -> PyResult<Py<PyAny>> {
            let Some(op) = OPS.get().and_then(|list| list.get(id)) else { return Err(PyRuntimeError::new_err("no such record")) };
            // SAFETY: the interpreter hands `n` positional values and then one for each keyword; all are borrowed for the call.
            unsafe {
                let keywords = Bound::from_borrowed_ptr_or_opt(py, k);
                let named = keywords.as_ref().map_or(Ok(0), |k| k.len())?;
                let mut given: SmallVec<[Borrowed<'_, '_, PyAny>; 6]> = SmallVec::new();
                if form != Form::Function {
                    given.push(Borrowed::from_ptr(py, slf));
                }
                for i in 0..n as usize {
                    given.push(Borrowed::from_ptr(py, *a.add(i)));
                }
                let positional = given.len();
                for i in 0..named {
                    given.push(Borrowed::from_ptr(py, *a.add(n as usize + i)));
                }
                let (given, named) = given.split_at(positional);
                call(py, op, form, given, keywords.as_ref().map(|k| k.cast_unchecked::<PyTuple>()), named)
            }
        };
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)) {
            Ok(Ok(object)) => object.into_ptr(),
            Ok(Err(error)) => {
                error.restore(py);
                std::ptr::null_mut()
            }
            Err(_) => {
                PyRuntimeError::new_err("a panic inside schuss; this is a bug, please report it").restore(py);
                std::ptr::null_mut()
            }
        }
    })
}

/// The position of a keyword among inputs and parameters, under PyTorch's and NumPy's names.
fn place(op: &Op, name: &str) -> Option<usize> {
    let name = match name {
        "axis" => "dim",
        "keepdims" => "keepdim",
        "x" | "self" | "a" => "input",
        other => other,
    };
    let inputs = op.inputs.iter().map(|i| i.name);
    inputs.chain(op.params.iter().map(|p| p.name)).position(|n| n == name)
}

fn signature(op: &Op) -> String {
    text_signature(op, op.name, Form::Function).replace(", *, out=None", "")
}

/// What a record takes, as Python writes it and as its tools read it from the head of a docstring.
fn text_signature(op: &Op, name: &str, form: Form) -> String {
    let literal = |a: &Arg| match a {
        Arg::Bool(true) => "True".into(),
        Arg::Bool(false) => "False".into(),
        Arg::Int(i) => i.to_string(),
        Arg::Number(Number::Float(x)) => format!("{x:?}"),
        Arg::Number(Number::Complex(re, im)) => format!("complex({re:?}, {im:?})"),
        Arg::Number(Number::Bool(b)) => i64::from(*b).to_string(),
        Arg::Number(Number::Int(i)) => i.to_string(),
        Arg::Ints(list) => crate::base::shape::show(list),
        Arg::Text(t) => format!("{t:?}"),
        Arg::None | Arg::DType(_) => "None".to_string(),
    };
    let inputs = op.inputs.iter().map(|i| (i.name, None, (i.kind == InputKind::Maybe).then(|| "None".to_string())));
    let params = op.params.iter().map(|p| (p.name, Some(p.kind), p.default.as_ref().map(literal)));
    let mut words: Vec<String> = Vec::new();
    // From the end: what may be left out stands behind everything that may not.
    let (mut open, mut spread) = (true, false);
    for (name, kind, default) in inputs.chain(params).collect::<Vec<_>>().into_iter().rev() {
        spread |= words.is_empty() && kind == Some(ParamKind::Ints) && default.is_none();
        words.push(match default {
            Some(value) if open => format!("{name}={value}"),
            _ if words.is_empty() && spread => format!("*{name}"),
            _ => {
                open = false;
                name.to_string()
            }
        });
    }
    words.reverse();
    if form == Form::Function {
        words.push(if spread { "out=None" } else { "*, out=None" }.into());
    } else {
        words[0] = "$self".into();
    }
    format!("{name}({})", words.join(", "))
}

fn call(
    py: Python<'_>,
    op: &'static Op,
    form: Form,
    given: &[Borrowed<'_, '_, PyAny>],
    names: Option<&Bound<'_, PyTuple>>,
    named: &[Borrowed<'_, '_, PyAny>],
) -> PyResult<Py<PyAny>> {
    let (inputs, params) = (op.inputs.len(), op.params.len());
    let mut slots: SmallVec<[Option<&Bound<'_, PyAny>>; 8]> = smallvec::smallvec![None; inputs + params];
    let mut out = None;
    let mut spread: Option<Few<i64>> = None;
    for (i, x) in given.iter().enumerate() {
        // A last list of integers may be given as several arguments: x.view(2, 3).
        if i >= inputs && i < inputs + params && op.params[i - inputs].kind == ParamKind::Ints && x.is_instance_of::<PyInt>() {
            let rest = &given[i..];
            if rest.len() > 1 || params == i - inputs + 1 {
                spread = Some(rest.iter().map(|r| args::int(op.name, op.params[i - inputs].name, r)).collect::<PyResult<_>>()?);
                slots[i] = Some(x);
                break;
            }
        }
        if i >= slots.len() {
            return Err(PyTypeError::new_err(format!(
                "{}() takes at most {} arguments, got {}; its form is {}",
                op.name,
                slots.len(),
                given.len(),
                signature(op)
            )));
        }
        slots[i] = Some(x);
    }
    if let Some(names) = names {
        for (key, x) in names.iter().zip(named) {
            let key = key.cast::<PyString>()?.to_string();
            if key == "out" {
                out = (!x.is_none()).then(|| (**x).clone());
                continue;
            }
            match place(op, &key) {
                Some(i) if slots[i].is_none() => slots[i] = Some(x),
                Some(_) => {
                    return Err(PyTypeError::new_err(format!("{}() got several values for {key}; its form is {}", op.name, signature(op))));
                }
                None => {
                    let known = op.inputs.iter().map(|i| i.name).chain(op.params.iter().map(|p| p.name)).chain(["out"]);
                    return Err(args::unknown(op.name, &key, known, &signature(op)));
                }
            }
        }
    }
    let mut fed: SmallVec<[Fed; 3]> = SmallVec::new();
    for (i, input) in op.inputs.iter().enumerate() {
        match (slots[i], input.kind) {
            (Some(x), InputKind::List) => fed.extend(args::tensors(op.name, x)?.into_iter().map(Fed::Tensor)),
            (Some(x), InputKind::Maybe) if x.is_none() => fed.push(Fed::Absent),
            (Some(x), kind) if kind == InputKind::Tensor || inputs == 1 || i == 0 && form != Form::Function || !maps(op) => {
                fed.push(args::must_tensor(op.name, input.name, x)?);
            }
            (Some(x), InputKind::Single) => fed.push(args::single(op.name, input.name, x)?),
            (Some(x), _) => fed.push(args::must_feed(op.name, input.name, x)?),
            (None, InputKind::Maybe) => fed.push(Fed::Absent),
            (None, _) => {
                return Err(PyTypeError::new_err(format!(
                    "{}() misses its argument {}; its form is {}",
                    op.name,
                    input.name,
                    signature(op)
                )));
            }
        }
    }
    if form == Form::Function && maps(op) && !fed.iter().any(|f| matches!(f, Fed::Tensor(_) | Fed::There(_))) {
        return Err(PyTypeError::new_err(format!("{}(): at least one argument must be a Tensor; use schuss.tensor(...) first", op.name)));
    }
    let mut list: SmallVec<[Arg; 3]> = SmallVec::new();
    for (i, p) in op.params.iter().enumerate() {
        list.push(match (slots[inputs + i], &p.default) {
            (Some(_), _) if spread.is_some() && i + 1 == params => Arg::Ints(spread.take().unwrap_or_default()),
            (Some(x), _) => args::param(op.name, p.name, p.kind, x)?,
            (None, Some(default)) => default.clone(),
            (None, None) => {
                return Err(PyTypeError::new_err(format!("{}() misses its argument {}; its form is {}", op.name, p.name, signature(op))));
            }
        });
    }
    let feeds: SmallVec<[Feed; 3]> = fed.iter().map(Fed::feed).collect();
    let size = feeds.iter().map(|f| if let Feed::Tensor(t) = f { t.numel() } else { 0 }).max().unwrap_or(0);
    if form == Form::InPlace {
        let Feed::Tensor(target) = feeds[0] else { return Err(PyTypeError::new_err("in-place forms write a Tensor")) };
        enter(py, size, || write::apply(op, target, &feeds, &list).map_err(|e| spoken(op, "_", e)))?;
        return Ok((*given[0]).clone().unbind());
    }
    let (run, feeds) = arith::shorter(op, &feeds);
    if let Some(out) = &out
        && let Ok(target) = out.cast::<PyTensor>()
    {
        let target = target.get().get_ref();
        if enter(py, size, || write::onto(run, target, feeds, &list).map_err(|e| spoken(op, "", e)))? {
            return Ok(out.clone().unbind());
        }
    }
    let outs = enter(py, size, || emit(run, feeds, &list).map_err(|e| spoken(op, "", e)))?;
    match out {
        None => pack(py, outs),
        Some(out) => into(op.name, &outs.one(), &out, keeps(op)),
    }
}

/// Whether a result's dtype is no matter of choice, so that `out` must have it too.
fn keeps(op: &Op) -> bool {
    let asked = op.params.iter().any(|p| p.kind == ParamKind::MaybeDType);
    matches!(op.body, crate::graph::Body::Kernel(..)) && !op.is_list() && !asked
}

/// What a part refused, in the name of the record that was called; of hidden ones the package knows the public name.
#[cold]
fn spoken(op: &Op, tail: &str, error: Error) -> Error {
    let hidden = !op.face.function && !op.face.method;
    let nameless = error.op().is_empty() && error.kind() != ErrorKind::Foreign;
    let part = !hidden && ops::find(error.op()).is_some();
    if nameless || part { error.named(&format!("{}{tail}", op.name)) } else { error }
}

fn maps(op: &Op) -> bool {
    matches!(op.body, crate::graph::Body::Map(_))
}

pub fn pack(py: Python<'_>, outs: Outs) -> PyResult<Py<PyAny>> {
    match outs {
        Outs::One(t) => wrap(py, t),
        Outs::Many(list) => {
            let list = list.into_iter().map(|t| wrap(py, t)).collect::<PyResult<Vec<_>>>()?;
            Ok(PyTuple::new(py, list)?.into_any().unbind())
        }
    }
}

/// Writes a result into the tensor given as `out=`, which takes its shape.
pub fn into(op: &str, result: &Tensor, out: &Bound<'_, PyAny>, same: bool) -> PyResult<Py<PyAny>> {
    let target = args::tensor(op, "out", out)?;
    if result.requires_grad() || target.requires_grad() && crate::graph::mode::grad_enabled() {
        return Err(Error::runtime(
            op,
            "functions with out=... do not support automatic differentiation, but one of the arguments requires grad",
        )
        .into());
    }
    let (here, there) = (result.device(), target.device());
    if here != there {
        let message = format!("the result lies on {here}, out on {there}; give an out on {here}");
        return Err(Error::device(op, message).into());
    }
    let (from, to) = (result.dtype(), target.dtype());
    if from != to && same || from.is_inexact() && from.category() > to.category() {
        return Err(Error::dtype(op, format!("a result of type {from} cannot be written to an out of type {to}")).into());
    }
    if result.shape() != target.shape() {
        if target.numel() != 0 {
            return Err(Error::shape(
                op,
                format!(
                    "out has shape {}, the result {}",
                    crate::base::shape::show(&target.shape()),
                    crate::base::shape::show(&result.shape())
                ),
            )
            .into());
        }
        target.set_data(&result.to_dtype(to)?);
        return Ok(out.clone().unbind());
    }
    write::copy_as(op, &target, Feed::Tensor(result))?;
    Ok(out.clone().unbind())
}

/// Writes what a function of the package found into its `out`, under the rules of every `out`; `same` asks for one dtype.
#[pyfunction]
#[pyo3(signature = (op, found, out, same=false))]
fn _into(op: &str, found: &Bound<'_, PyTensor>, out: &Bound<'_, PyAny>, same: bool) -> PyResult<Py<PyAny>> {
    into(op, found.get().get_ref(), out, same)
}

/// A method definition that lives as long as the process.
fn definition(op: &Op, form: Form, name: &str, doc: &str, entry: Entry) -> PyResult<*mut ffi::PyMethodDef> {
    let doc = CString::new(format!("{}\n--\n\n{}", text_signature(op, name, form), doc.trim()))?;
    let name = CString::new(name)?;
    Ok(Box::into_raw(Box::new(ffi::PyMethodDef {
        ml_name: name.into_raw(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: entry },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS as c_int,
        ml_doc: doc.into_raw(),
    })))
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = m.py();
    let list: Vec<&'static Op> = ops::all().collect();
    if list.len() > MOST {
        return Err(PyRuntimeError::new_err(format!("{} records, but entry points for {MOST}", list.len())));
    }
    let class = py.get_type::<PyTensor>();
    for (id, op) in list.iter().enumerate() {
        // SAFETY: the definitions live for ever; the type and the module are alive.
        unsafe {
            let method = |form: Form, name: &str, doc: &str, entry: Entry| -> PyResult<()> {
                let raw = ffi::PyDescr_NewMethod(class.as_type_ptr(), definition(op, form, name, doc, entry)?);
                class.setattr(name, Bound::from_owned_ptr_or_err(py, raw)?)
            };
            if op.face.method {
                method(Form::Method, op.name, op.doc, METHODS[id])?;
            }
            if op.face.in_place {
                let doc = format!("In-place form of `{}`.", op.name);
                let hidden = if op.face.method { "" } else { "_" };
                method(Form::InPlace, &format!("{hidden}{}_", op.name), &doc, IN_PLACE[id])?;
            }
            let visible = if op.face.function { op.name.to_string() } else { format!("_{}", op.name) };
            let raw = ffi::PyCFunction_NewEx(
                definition(op, Form::Function, &visible, op.doc, FUNCTIONS[id])?,
                std::ptr::null_mut(),
                m.name()?.as_ptr(),
            );
            m.add(visible.as_str(), Bound::from_owned_ptr_or_err(py, raw)?)?;
        }
    }
    let _ = OPS.set(list);
    m.add_function(wrap_pyfunction!(_into, m)?)?;
    m.add_function(wrap_pyfunction!(_forget_kept, m)?)?;
    m.add_function(wrap_pyfunction!(records, m)?)?;
    Ok(())
}

/// Has every record work out anew what its derivative keeps: for tests that must see the first call of a kind.
#[pyfunction]
fn _forget_kept() {
    ops::all().for_each(|op| op.saves.clear());
}

/// The table of records: one dict each.
#[pyfunction]
fn records(py: Python<'_>) -> PyResult<Py<PyAny>> {
    let rows = PyList::empty(py);
    for op in ops::all() {
        let row = PyDict::new(py);
        row.set_item("name", op.name)?;
        row.set_item("kind", op.kind())?;
        row.set_item("inputs", op.inputs.iter().map(|i| i.name).collect::<Vec<_>>())?;
        row.set_item("params", op.params.iter().map(|p| p.name).collect::<Vec<_>>())?;
        row.set_item("kinds", op.params.iter().map(|p| format!("{:?}", p.kind).to_lowercase()).collect::<Vec<_>>())?;
        row.set_item("dtype", format!("{:?}", op.class).to_lowercase())?;
        row.set_item("differentiable", op.vjp.is_some())?;
        row.set_item("check", op.check)?;
        row.set_item("method", op.face.method)?;
        row.set_item("function", op.face.function)?;
        row.set_item("in_place", op.face.in_place)?;
        row.set_item("doc", op.doc)?;
        if let crate::graph::Body::Map(body) = &op.body {
            row.set_item("formula", (body.formula)().to_string())?;
        }
        rows.append(row)?;
    }
    Ok(rows.into_any().unbind())
}
