//! `schuss.Tensor`: operators, attributes, conversions. Leans on calls for the records and on data for memory.

use super::args::{self, Fed};
use super::dtype::{self, PyDType};
use super::{data, enter, items, node};
use crate::backend::trace;
use crate::base::{DType, Error, Number, shape};
use crate::engine::{quick, write};
use crate::graph::lift::Lift;
use crate::graph::mode::Mode;
use crate::graph::tensor::{emit, flag};
use crate::graph::{Arg, Body, Feed, Op, Tensor};
use crate::ops::{compare, view};
use crate::tensor::{index, print};
use pyo3::PyTypeInfo;
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyComplex, PyDict, PyTuple, PyType};
use std::os::raw::c_int;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An n-dimensional array of numbers of one dtype that knows how it was made, so that its derivatives can be had.
///
/// >>> x = schuss.tensor([1.0, 2.0], requires_grad=True)
/// >>> (x * x).sum().backward()
/// >>> x.grad
/// tensor([2., 4.])
#[pyclass(frozen, subclass, dict, weakref, name = "Tensor", module = "schuss")]
pub struct PyTensor {
    pub(super) inner: Tensor,
}

/// `schuss.Size`, set by the package when it is loaded.
pub static SIZE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
/// How tensors are printed.
/// What a recorded step is told that prints.
const AS_TEXT: &str = "the step writes a tensor as text (print, str, f-strings)";
static OPTIONS: std::sync::Mutex<Option<print::Options>> = std::sync::Mutex::new(None);

impl Drop for PyTensor {
    fn drop(&mut self) {
        self.inner.0.face.store(std::ptr::null_mut(), Ordering::Relaxed);
    }
}

pub fn wrap(py: Python<'_>, t: Tensor) -> PyResult<Py<PyAny>> {
    let face = t.0.face.load(Ordering::Relaxed).cast::<ffi::PyObject>();
    if !face.is_null() {
        // SAFETY: the object clears this pointer when it dies, and the lock is held; one whose count has reached 0 is
        // being taken down and is not brought back.
        unsafe {
            if ffi::Py_REFCNT(face) > 0 {
                return Ok(Bound::from_borrowed_ptr(py, face).unbind());
            }
        }
    }
    wrap_new(py, t)
}

/// Where in a Python object its tensor lies; 0 where that is not certain.
static PLACE: AtomicUsize = AtomicUsize::new(0);

/// The object of a handle that certainly has none yet.
#[inline]
pub fn wrap_new(py: Python<'_>, t: Tensor) -> PyResult<Py<PyAny>> {
    let handle = std::sync::Arc::as_ptr(&t.0);
    let object = match PLACE.load(Ordering::Relaxed) {
        0 => Py::new(py, PyTensor { inner: t })?.into_any(),
        // SAFETY: the place was found in an object of this very class, whose other parts begin as zeros (see `measure`).
        place => unsafe {
            let raw = ffi::PyType_GenericAlloc(PyTensor::type_object_raw(py), 0);
            let object = Bound::from_owned_ptr_or_err(py, raw)?;
            raw.cast::<u8>().add(place).cast::<PyTensor>().write(PyTensor { inner: t });
            object.unbind()
        },
    };
    // SAFETY: the object holds the handle.
    unsafe { (*handle).face.store(object.as_ptr().cast(), Ordering::Relaxed) };
    Ok(object)
}

/// Finds where objects hold their tensor, so that the most frequent of all objects is made without the detour over
/// `object.__new__`, which in CPython 3.11 makes a dictionary for each. What stands beside the tensor, the references
/// to a dictionary and to weak references, begins as null; where there is anything else, objects are made the long way.
pub fn measure(py: Python<'_>) -> PyResult<()> {
    let sample = Bound::new(py, PyTensor { inner: Tensor::empty(&[0], DType::F32)? })?;
    let place = std::ptr::from_ref(sample.get()).addr() - sample.as_ptr().addr();
    let size: usize = sample.get_type().getattr("__basicsize__")?.extract()?;
    if size == place + size_of::<PyTensor>() + 2 * size_of::<*mut ffi::PyObject>() {
        PLACE.store(place, Ordering::Relaxed);
    }
    Ok(())
}

/// An instance of a subclass over a tensor, which becomes that handle's object.
fn as_instance(class: &Bound<'_, PyType>, t: Tensor) -> PyResult<Py<PyAny>> {
    let py = class.py();
    let seed = Py::new(py, PyTensor { inner: t })?;
    // The plain constructor with a tensor alone takes its handle over.
    let made = py.get_type::<PyTensor>().call_method1("__new__", (class, Adopt(seed).into_pyobject(py)?))?;
    Ok(made.unbind())
}

/// A wish to take a handle over instead of copying it.
#[pyclass(frozen)]
struct Adopt(Py<PyTensor>);

impl PyTensor {
    #[inline]
    pub fn tensor(&self) -> Tensor {
        self.inner.clone()
    }
    #[inline]
    pub fn get_ref(&self) -> &Tensor {
        &self.inner
    }
}

/// A view by a record, the short way where there is one.
#[inline]
pub(super) fn taken(op: &'static Op, x: &Tensor, args: &[Arg]) -> Result<Tensor, Error> {
    if let Body::View(rule) = &op.body
        && let Some(done) = quick::view(op, *rule, x, args, Mode::now())
    {
        return done;
    }
    Ok(emit(op, &[Feed::Tensor(x)], args)?.one())
}

/// The number in a tensor of one element.
fn single(slf: &PyTensor, what: &str) -> PyResult<Number> {
    if slf.inner.numel() != 1 {
        return Err(PyValueError::new_err(format!(
            "{what}: only a tensor of one element can be converted to a Python number, this one has shape {}; index one element, or use .tolist() for all",
            shape::show(&slf.inner.shape())
        )));
    }
    Ok(slf.inner.item()?)
}

/// A complex number is no other one, unless its imaginary part is 0.
fn real(what: &str, n: Number) -> PyResult<Number> {
    match n {
        Number::Complex(re, 0.0) => Ok(Number::Float(re)),
        Number::Complex(..) => {
            Err(PyRuntimeError::new_err(format!("{what}: {} has an imaginary part; use x.real, x.abs() or complex(x)", data::shown(n))))
        }
        other => Ok(other),
    }
}

#[pymethods]
impl PyTensor {
    #[new]
    #[pyo3(signature = (*data, dtype=None, device=None, requires_grad=false))]
    fn new(
        data: &Bound<'_, PyTuple>,
        dtype: Option<&Bound<'_, PyAny>>,
        device: Option<&Bound<'_, PyAny>>,
        requires_grad: bool,
    ) -> PyResult<PyTensor> {
        if data.len() == 1
            && let Ok(adopt) = data.get_item(0)?.cast::<Adopt>()
        {
            return Ok(PyTensor { inner: adopt.get().0.get().inner.clone() });
        }
        let wanted = data::options(dtype, device)?;
        let kind = wanted.unwrap_or_else(crate::base::dtype::default_float);
        let first = if data.is_empty() { None } else { Some(data.get_item(0)?) };
        let inner = match first {
            None => Tensor::empty(&[0], kind)?,
            Some(first) if first.is_instance_of::<pyo3::types::PyInt>() => {
                let items: Vec<_> = data.iter().collect();
                Tensor::empty(&args::shape("Tensor", &items)?, kind)?
            }
            Some(_) if data.len() > 1 => {
                return Err(PyTypeError::new_err(format!(
                    "Tensor: takes sizes or one sequence of data, got {} arguments; put the data into one list, or use schuss.tensor(...)",
                    data.len()
                )));
            }
            Some(first) => match first.cast::<PyTensor>() {
                Ok(t) => t.get().inner.detach(),
                Err(_) => data::to_tensor(&first, Some(kind))?,
            },
        };
        inner.require_grad(requires_grad)?;
        Ok(PyTensor { inner })
    }

    /// An instance of a subclass that shares a tensor's storage.
    #[staticmethod]
    #[pyo3(signature = (cls, data, require_grad=false))]
    fn _make_subclass(cls: &Bound<'_, PyType>, data: &Bound<'_, PyTensor>, require_grad: bool) -> PyResult<Py<PyAny>> {
        let inner = data.get().inner.detach();
        inner.require_grad(require_grad)?;
        let made = as_instance(cls, inner.clone())?;
        inner.0.face.store(made.as_ptr().cast(), Ordering::Relaxed);
        Ok(made)
    }

    fn __hash__(&self) -> isize {
        (self.inner.id() >> 4) as isize
    }

    fn __getitem__(slf: &Bound<'_, Self>, key: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let x = &slf.get().inner;
        if let Ok(i) = key.cast_exact::<pyo3::types::PyInt>()
            && let Ok(i) = i.extract::<i64>()
            && let Ok(out) = taken(&view::select::OP, x, &[Arg::Int(0), Arg::Int(i)])
        {
            return wrap_new(slf.py(), out);
        }
        let list = items::items(key)?;
        wrap(slf.py(), enter(slf.py(), 0, || index::get(x, &list))?)
    }
    fn __setitem__(slf: &Bound<'_, Self>, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        if slf.get().inner.has_flag(flag::STRICT) {
            return Err(PyTypeError::new_err(
                "index: a tensor of schuss.tf does not support item assignment; use tf.where, or a tf.Variable and assign",
            ));
        }
        let list = items::items(key)?;
        let value = match args::feed(value)? {
            Some(v) => v,
            None => Fed::Tensor(data::to_tensor(value, None)?),
        };
        let (x, feed) = (&slf.get().inner, value.feed());
        enter(slf.py(), x.numel(), || index::set(x, &list, feed))
    }
    fn __len__(&self) -> PyResult<usize> {
        self.inner.shape().first().copied().ok_or_else(|| PyTypeError::new_err("len: a 0-d tensor has no length"))
    }
    fn __iter__(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        let x = &slf.get().inner;
        if x.rank() == 0 {
            return Err(PyTypeError::new_err("iteration over a 0-d tensor; use .item() for its number"));
        }
        let list = crate::tensor::shapes::unbind(x, 0)?.into_iter().map(|t| wrap(slf.py(), t)).collect::<PyResult<Vec<_>>>()?;
        Ok(PyTuple::new(slf.py(), list)?.try_iter()?.into_any().unbind())
    }
    fn __contains__(slf: &Bound<'_, Self>, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        let y = args::must_feed("in", "value", value)?;
        let hit = compare::eq(&slf.get().inner, y.feed())?;
        Ok(crate::ops::reduce::any(&hit, (), false)?.item()?.truth())
    }
    fn __bool__(&self) -> PyResult<bool> {
        if self.inner.numel() != 1 {
            return Err(PyRuntimeError::new_err(format!(
                "bool: the truth of a tensor of shape {} is ambiguous; use .any() or .all()",
                shape::show(&self.inner.shape())
            )));
        }
        trace::read_for("the step decides by a tensor (if, while, and, or, not)", trace::instead::WHERE)?;
        Ok(self.inner.item()?.truth())
    }
    fn __float__(&self) -> PyResult<f64> {
        Ok(real("float", single(self, "float")?)?.as_f64())
    }
    fn __int__(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        let n = real("int", single(slf.get(), "int")?)?;
        match n {
            // Python's own conversion refuses NaN and infinity by name, and has room for every float.
            Number::Float(f) => Ok(pyo3::types::PyFloat::new(slf.py(), f).call_method0("__int__")?.unbind()),
            other => data::py_number(slf.py(), Number::Int(other.as_i64())),
        }
    }
    fn __index__(&self) -> PyResult<i64> {
        match (self.inner.numel(), self.inner.dtype().is_inexact()) {
            (1, false) => Ok(self.inner.item()?.as_i64()),
            _ => Err(PyTypeError::new_err("index: only integer tensors of one element can be used as an index")),
        }
    }
    fn __complex__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let (re, im) = single(self, "complex")?.pair();
        Ok(PyComplex::from_doubles(py, re, im).into_any().unbind())
    }
    fn __format__(slf: &Bound<'_, Self>, spec: &str) -> PyResult<String> {
        if slf.get().inner.rank() == 0 {
            trace::read_for(AS_TEXT, trace::instead::PRINT)?;
            let n = data::py_number(slf.py(), slf.get().inner.item()?)?;
            return n.bind(slf.py()).call_method1("__format__", (spec,))?.extract();
        }
        if spec.is_empty() {
            return Ok(slf.str()?.to_string());
        }
        Err(PyTypeError::new_err(format!(
            "format: {spec:?} can be applied to a 0-d tensor alone, this one has shape {}",
            shape::show(&slf.get().inner.shape())
        )))
    }

    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let t = slf.get().tensor();
        data::may_leave("numpy", &t).map_err(|e| pyo3::exceptions::PyBufferError::new_err(e.to_string()))?;
        // SAFETY: the interpreter hands a view to fill.
        unsafe { data::lend(slf.as_any(), &t, view, flags) }
    }
    unsafe fn __releasebuffer__(&self, view: *mut ffi::Py_buffer) {
        // SAFETY: filled by `__getbuffer__`.
        unsafe { data::give_back(view) }
    }
    #[pyo3(signature = (dtype=None, copy=None))]
    fn __array__(slf: &Bound<'_, Self>, dtype: Option<&Bound<'_, PyAny>>, copy: Option<bool>) -> PyResult<Py<PyAny>> {
        let t = slf.get().tensor();
        data::may_leave("numpy", &t)?;
        let array = data::numpy(slf.py(), slf.as_any(), &t)?.into_bound(slf.py());
        match (dtype, copy) {
            (Some(d), _) if !d.is_none() => Ok(array.call_method1("astype", (d,))?.unbind()),
            (_, Some(true)) => Ok(array.call_method0("copy")?.unbind()),
            _ => Ok(array.unbind()),
        }
    }
    /// A NumPy array over the same memory: what is written to one is seen in the other.
    ///
    /// Raises RuntimeError for a tensor that requires grad; `detach()` it first, or pass `force=True`. bfloat16
    /// has no NumPy dtype and raises TypeError.
    ///
    /// >>> schuss.tensor([1.0, 2.0]).numpy()
    /// array([1., 2.], dtype=float32)
    #[pyo3(signature = (*, force=false))]
    fn numpy(slf: &Bound<'_, Self>, force: bool) -> PyResult<Py<PyAny>> {
        let t = slf.get().tensor();
        if force {
            let plain = data::home(&t.detach())?;
            let object = wrap(slf.py(), plain.clone())?;
            return data::numpy(slf.py(), object.bind(slf.py()), &plain);
        }
        data::may_leave("numpy", &t)?;
        data::numpy(slf.py(), slf.as_any(), &t)
    }
    /// The Python number in a tensor of one element; RuntimeError for any other number of elements.
    ///
    /// >>> schuss.tensor([2.5]).item()
    /// 2.5
    fn item(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let away = !self.inner.device().is_cpu();
        // Others run while this waits for a device.
        let n = if away { enter(py, crate::python::LONG, || self.inner.item())? } else { self.inner.item()? };
        data::py_number(py, n)
    }
    /// The elements as nested lists of Python numbers; of a 0-d tensor, the number alone.
    ///
    /// >>> schuss.tensor([[1, 2], [3, 4]]).tolist()
    /// [[1, 2], [3, 4]]
    fn tolist(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        data::to_list(py, &self.inner)
    }
    /// This tensor if its elements lie row by row, else a copy of which that holds.
    ///
    /// >>> schuss.tensor([[1, 2], [3, 4]]).T.contiguous().stride()
    /// (2, 1)
    #[pyo3(signature = (**_options))]
    fn contiguous(slf: &Bound<'_, Self>, _options: Option<&Bound<'_, PyDict>>) -> PyResult<Py<PyAny>> {
        let x = &slf.get().inner;
        wrap(slf.py(), enter(slf.py(), x.numel(), || x.contiguous())?)
    }
    /// The elements on another device; the tensor itself where they are there already.
    fn _on(slf: &Bound<'_, Self>, device: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let x = slf.get().get_ref();
        match dtype::place_of(Some(device))? {
            Some(place) if place != x.device() => wrap(slf.py(), enter(slf.py(), crate::python::LONG, || x.to_device(place))?),
            _ => Ok(slf.clone().into_any().unbind()),
        }
    }
    /// The elements in another dtype; the tensor itself where nothing changes.
    #[pyo3(name = "_to", signature = (dtype, copy=false))]
    fn to_dtype(slf: &Bound<'_, Self>, dtype: &Bound<'_, PyAny>, copy: bool) -> PyResult<Py<PyAny>> {
        let (x, d) = (&slf.get().inner, dtype::parse(dtype)?);
        if x.dtype().is_complex() && !d.is_complex() && d != crate::base::DType::Bool {
            slf.py().import("schuss.naming")?.call_method0("warn_of_half")?;
        }
        if copy && x.dtype() == d {
            return wrap(slf.py(), enter(slf.py(), x.numel(), || view::clone_(x))?);
        }
        wrap(slf.py(), enter(slf.py(), x.numel(), || x.to_dtype(d))?)
    }
    /// The elements under another shape without a copy, one size of -1 being worked out; or, given a dtype, their
    /// bytes read as it.
    ///
    /// Raises ShapeError where the number of elements differs, RuntimeError where the strides would need a copy
    /// (`reshape` makes one).
    ///
    /// >>> schuss.arange(6).view(2, -1)
    /// tensor([[0, 1, 2],
    ///         [3, 4, 5]])
    /// >>> schuss.tensor([1.0]).view(schuss.int32)
    /// tensor([1065353216], dtype=schuss.int32)
    #[pyo3(signature = (*size))]
    fn view(slf: &Bound<'_, Self>, size: &Bound<'_, PyTuple>) -> PyResult<Py<PyAny>> {
        let x = &slf.get().inner;
        let list: Vec<_> = size.iter().collect();
        if list.len() == 1 && list[0].cast::<PyDType>().is_ok() {
            return reinterpret(slf.py(), x, dtype::parse(&list[0])?);
        }
        let ints = if list.len() == 1 {
            args::ints("view", "size", &list[0])?
        } else {
            list.iter().map(|i| args::int("view", "size", i)).collect::<PyResult<_>>()?
        };
        wrap(slf.py(), view::view(x, ints)?)
    }

    /// Overwrites the elements with those of `src`, broadcast and converted; returns this tensor.
    ///
    /// >>> schuss.zeros(2).copy_(schuss.tensor([1, 2]))
    /// tensor([1., 2.])
    #[pyo3(signature = (src, non_blocking=false))]
    fn copy_(slf: Bound<'_, Self>, src: &Bound<'_, PyAny>, non_blocking: bool) -> PyResult<Py<Self>> {
        let _ = non_blocking;
        let src = args::must_feed("copy_", "src", src)?;
        let (x, feed) = (&slf.get().inner, src.feed());
        enter(slf.py(), x.numel(), || write::copy_(x, feed))?;
        Ok(slf.unbind())
    }
    /// Overwrites the elements with zeros; returns this tensor.
    ///
    /// >>> schuss.ones(2).zero_()
    /// tensor([0., 0.])
    fn zero_(slf: Bound<'_, Self>) -> PyResult<Py<Self>> {
        let x = &slf.get().inner;
        enter(slf.py(), x.numel(), || write::copy_as("zero_", x, Feed::Number(Number::Int(0))))?;
        Ok(slf.unbind())
    }
    /// Overwrites the elements with one number, or with that of a 0-d tensor; returns this tensor.
    ///
    /// >>> schuss.zeros(2).fill_(7.0)
    /// tensor([7., 7.])
    fn fill_(slf: Bound<'_, Self>, value: &Bound<'_, PyAny>) -> PyResult<Py<Self>> {
        let value = args::single("fill_", "value", value)?;
        let (x, feed) = (&slf.get().inner, value.feed());
        enter(slf.py(), x.numel(), || write::copy_as("fill_", x, feed))?;
        Ok(slf.unbind())
    }
    /// Overwrites the elements at places, as `x[indices] = values` does; with accumulate=True, adds to them.
    ///
    /// `indices` is a tuple of integer or bool tensors, one for each leading axis. Returns this tensor.
    ///
    /// >>> schuss.zeros(3).index_put_((schuss.tensor([0, 0, 2]),), schuss.tensor(1.0), accumulate=True)
    /// tensor([2., 0., 1.])
    #[pyo3(signature = (indices, values, accumulate=false))]
    fn index_put_(slf: Bound<'_, Self>, indices: &Bound<'_, PyAny>, values: &Bound<'_, PyAny>, accumulate: bool) -> PyResult<Py<Self>> {
        let list = indices.try_iter()?.map(|i| items::items(&i?).map(|mut v| v.swap_remove(0))).collect::<PyResult<Vec<_>>>()?;
        let values = args::tensor("index_put_", "values", values)?;
        let x = &slf.get().inner;
        enter(slf.py(), x.numel(), || index::index_put_(x, &list, &values, accumulate))?;
        Ok(slf.unbind())
    }
    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let t = &slf.get().inner;
        if let Some(Lift::Batch { value, .. }) = t.lift().as_deref() {
            let all = wrap(slf.py(), value.clone())?.bind(slf.py()).repr()?.to_string();
            return Ok(format!("one of {} along axis 0 of {all}", value.shape()[0]));
        }
        if t.is_differing() {
            return Ok(format!("a tensor {} of a vmap that has ended", shape::show(&t.shape())));
        }
        trace::read_for(AS_TEXT, trace::instead::PRINT)?;
        write::refresh(t);
        let dtype = t.dtype();
        let first = [crate::base::dtype::default_float(), crate::base::dtype::default_complex()];
        let usual = matches!(dtype, DType::Bool | DType::I64) || first.contains(&dtype);
        let mut suffixes = Vec::new();
        let sizes = t.shape();
        if t.numel() == 0 && sizes.len() != 1 {
            suffixes.push(format!("size={}", shape::show(&sizes)));
        }
        if !usual || t.numel() == 0 && dtype != crate::base::dtype::default_float() {
            suffixes.push(format!("dtype=schuss.{dtype}"));
        }
        if t.requires_grad() {
            match t.node() {
                Some((n, _)) => suffixes.push(format!("grad_fn=<{}>", node::name(&n))),
                None => suffixes.push("requires_grad=True".into()),
            }
        }
        if !t.device().is_cpu() {
            suffixes.insert(0, format!("device='{}'", t.device()));
        }
        let shown = data::home(t)?;
        let options = OPTIONS.lock().map(|o| o.clone().unwrap_or_default()).unwrap_or_default();
        Ok(crate::tensor::show(&shown, "tensor(", &options, &suffixes))
    }
}

/// A shape as `schuss.Size`.
pub fn size(py: Python<'_>, list: &[usize]) -> PyResult<Py<PyAny>> {
    let plain = PyTuple::new(py, list)?;
    match SIZE.get(py) {
        Some(class) => Ok(class.bind(py).call1((plain,))?.unbind()),
        None => Ok(plain.into_any().unbind()),
    }
}

/// The same bytes read as another dtype of the same size, or of a size that divides the last axis.
fn reinterpret(py: Python<'_>, x: &Tensor, dtype: DType) -> PyResult<Py<PyAny>> {
    let mut operand = x.operand();
    if operand.dtype.size() != dtype.size() {
        return Err(PyRuntimeError::new_err(format!("view: {} cannot be read as {dtype}: their sizes differ", operand.dtype)));
    }
    operand.dtype = dtype;
    wrap(py, Tensor::from_operand(operand))
}

/// Sets how tensors are printed: digits after the point, elements before a tensor is shortened, elements shown at
/// each end then, width of a line, and whether numbers are written with exponents (None lets the numbers decide).
///
/// `profile` is "default", "short" or "full". Raises ValueError for another.
///
/// >>> schuss.set_printoptions(precision=2)
/// >>> schuss.tensor([3.14159])
/// tensor([3.14])
/// >>> schuss.set_printoptions(profile="default")
#[pyfunction]
#[pyo3(signature = (precision=None, threshold=None, edgeitems=None, linewidth=None, profile=None, sci_mode=None))]
pub fn set_printoptions(
    precision: Option<usize>,
    threshold: Option<f64>,
    edgeitems: Option<usize>,
    linewidth: Option<usize>,
    profile: Option<&str>,
    sci_mode: Option<bool>,
) -> PyResult<()> {
    let mut slot = OPTIONS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut options = slot.clone().unwrap_or_default();
    match profile {
        None => {}
        Some("default") => options = print::Options::default(),
        Some("short") => options = print::Options { precision: 2, edgeitems: 2, ..print::Options::default() },
        Some("full") => options = print::Options { threshold: usize::MAX, ..print::Options::default() },
        Some(other) => {
            return Err(PyValueError::new_err(format!("set_printoptions: profile is \"default\", \"short\" or \"full\", not {other:?}")));
        }
    }
    options.precision = precision.unwrap_or(options.precision);
    options.threshold = threshold.map_or(options.threshold, |t| if t.is_finite() { t as usize } else { usize::MAX });
    options.edgeitems = edgeitems.unwrap_or(options.edgeitems);
    options.linewidth = linewidth.unwrap_or(options.linewidth);
    options.sci_mode = sci_mode;
    *slot = Some(options);
    Ok(())
}
