//! `schuss.Tensor`: operators, attributes, conversions. Leans on calls for the records and on data for memory.

use super::args::{self, Fed};
use super::dtype::{self, PyDType, PyDevice};
use super::{data, enter, items, node};
use crate::base::{DType, Error, Number, shape};
use crate::engine::{backward, write};
use crate::graph::tensor::{emit, flag};
use crate::graph::{Feed, Op, Tensor};
use crate::ops::{arith, compare, linear, view};
use crate::tensor::{index, print};
use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyComplex, PyDict, PyList, PyTuple, PyType};
use std::os::raw::c_int;
use std::sync::atomic::Ordering;

/// An n-dimensional array of numbers of one dtype that knows how it was made, so that its derivatives can be had.
///
/// >>> x = schuss.tensor([1.0, 2.0], requires_grad=True)
/// >>> (x * x).sum().backward()
/// >>> x.grad
/// tensor([2., 4.])
#[pyclass(frozen, subclass, dict, weakref, name = "Tensor", module = "schuss")]
pub struct PyTensor {
    inner: Tensor,
}

/// `schuss.Size`, set by the package when it is loaded.
pub static SIZE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
/// How tensors are printed.
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
    let handle = t.0.clone();
    let object = Py::new(py, PyTensor { inner: t })?;
    handle.face.store(object.as_ptr().cast(), Ordering::Relaxed);
    Ok(object.into_any())
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

/// What an operator is fed beside a tensor: TensorFlow's tensors take lists and arrays in their own dtype.
#[inline]
fn beside(x: &Tensor, other: &Bound<'_, PyAny>) -> PyResult<Option<Fed>> {
    if let Ok(t) = other.cast::<PyTensor>() {
        return Ok(Some(Fed::Tensor(t.get().tensor())));
    }
    if let Some(n) = args::number(other)? {
        return Ok(Some(Fed::Number(n)));
    }
    let is_data = || other.is_instance_of::<PyList>() || other.is_instance_of::<PyTuple>() || data::is_array(other);
    if x.has_flag(flag::STRICT) && is_data() {
        let py = other.py();
        let convert = py.import("schuss.tf.conversion")?.getattr("operand")?;
        return args::tensor("operand", "other", &convert.call1((other, dtype::object(py, x.dtype())?))?).map(|t| Some(Fed::Tensor(t)));
    }
    args::feed(other)
}

#[inline]
fn binary(slf: &Bound<'_, PyTensor>, other: &Bound<'_, PyAny>, op: &'static Op, swapped: bool) -> PyResult<Py<PyAny>> {
    let py = slf.py();
    let x = &slf.get().inner;
    let y = match beside(x, other)? {
        Some(y) => y,
        None if other.is_instance_of::<PyComplex>() => {
            return Err(PyTypeError::new_err(format!("{}: complex numbers are not supported yet", op.name)));
        }
        None => return Ok(py.NotImplemented()),
    };
    let feeds = if swapped { [y.feed(), Feed::Tensor(x)] } else { [Feed::Tensor(x), y.feed()] };
    let size = x.numel().max(if let Fed::Tensor(t) = &y { t.numel() } else { 0 });
    wrap(py, enter(py, size, || emit(op, &feeds, &[]))?.one())
}

#[inline]
fn unary(slf: &Bound<'_, PyTensor>, op: &'static Op) -> PyResult<Py<PyAny>> {
    let x = &slf.get().inner;
    wrap(slf.py(), enter(slf.py(), x.numel(), || emit(op, &[Feed::Tensor(x)], &[]))?.one())
}

/// A tensor as the target of `x += y`. TensorFlow's tensors are values and refuse, upon which Python computes `x = x + y`.
struct Target<'a, 'py>(&'a Bound<'py, PyTensor>);

impl<'a, 'py> TryFrom<&'a Bound<'py, PyTensor>> for Target<'a, 'py> {
    type Error = PyErr;
    #[inline]
    fn try_from(slf: &'a Bound<'py, PyTensor>) -> PyResult<Target<'a, 'py>> {
        if slf.get().inner.has_flag(flag::STRICT) {
            return Err(PyTypeError::new_err("a tensor of schuss.tf is not written in place"));
        }
        Ok(Target(slf))
    }
}

/// `x += y`: in place, and the same object comes back.
fn augmented(Target(slf): Target<'_, '_>, other: &Bound<'_, PyAny>, op: &'static Op) -> PyResult<()> {
    let x = &slf.get().inner;
    let y = args::must_feed(op.name, "other", other)?;
    let feeds = [Feed::Tensor(x), y.feed()];
    enter(slf.py(), x.numel(), || write::apply(op, x, &feeds, &[]))
}

/// The number in a tensor of one element.
fn single(slf: &PyTensor, what: &str) -> PyResult<Number> {
    if slf.inner.numel() != 1 {
        return Err(PyValueError::new_err(format!(
            "{what}: only a tensor of one element can be converted to a Python number, this one has shape {}; use .item() on one element, .any() or .all()",
            shape::show(&slf.inner.shape())
        )));
    }
    Ok(slf.inner.item()?)
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

    fn __add__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &arith::add::OP, false)
    }
    fn __radd__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &arith::add::OP, true)
    }
    fn __sub__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &arith::sub::OP, false)
    }
    fn __rsub__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &arith::sub::OP, true)
    }
    fn __mul__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &arith::mul::OP, false)
    }
    fn __rmul__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &arith::mul::OP, true)
    }
    fn __truediv__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &arith::div::OP, false)
    }
    fn __rtruediv__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &arith::div::OP, true)
    }
    fn __floordiv__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &arith::floor_divide::OP, false)
    }
    fn __rfloordiv__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &arith::floor_divide::OP, true)
    }
    fn __mod__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &arith::remainder::OP, false)
    }
    fn __rmod__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &arith::remainder::OP, true)
    }
    fn __pow__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>, _modulo: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        // x ** 2 is by far the most frequent power.
        if let Some(Number::Int(2) | Number::Float(2.0)) = args::number(other)?
            && slf.get().inner.dtype() != DType::Bool
        {
            return unary(slf, &arith::square::OP);
        }
        binary(slf, other, &arith::pow::OP, false)
    }
    fn __rpow__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>, _modulo: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &arith::pow::OP, true)
    }
    fn __matmul__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        if other.cast::<PyTensor>().is_err() && !data::is_array(other) {
            return Ok(py.NotImplemented());
        }
        matmul(py, slf.get().tensor(), args::tensor("matmul", "other", other)?)
    }
    fn __rmatmul__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        matmul(slf.py(), args::tensor("matmul", "other", other)?, slf.get().tensor())
    }
    fn __and__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &compare::bitwise_and::OP, false)
    }
    fn __rand__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &compare::bitwise_and::OP, true)
    }
    fn __or__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &compare::bitwise_or::OP, false)
    }
    fn __ror__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &compare::bitwise_or::OP, true)
    }
    fn __xor__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &compare::bitwise_xor::OP, false)
    }
    fn __rxor__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &compare::bitwise_xor::OP, true)
    }
    fn __lshift__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &compare::bitwise_left_shift::OP, false)
    }
    fn __rshift__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &compare::bitwise_right_shift::OP, false)
    }
    fn __rlshift__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &compare::bitwise_left_shift::OP, true)
    }
    fn __rrshift__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &compare::bitwise_right_shift::OP, true)
    }
    fn __neg__(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        unary(slf, &arith::neg::OP)
    }
    fn __pos__(slf: Bound<'_, Self>) -> Py<Self> {
        slf.unbind()
    }
    fn __abs__(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        unary(slf, &arith::abs::OP)
    }
    fn __invert__(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        if slf.get().inner.dtype() == DType::Bool {
            return unary(slf, &compare::logical_not::OP);
        }
        unary(slf, &compare::bitwise_not::OP)
    }
    fn __iadd__(slf: Target<'_, '_>, other: &Bound<'_, PyAny>) -> PyResult<()> {
        augmented(slf, other, &arith::add::OP)
    }
    fn __isub__(slf: Target<'_, '_>, other: &Bound<'_, PyAny>) -> PyResult<()> {
        augmented(slf, other, &arith::sub::OP)
    }
    fn __imul__(slf: Target<'_, '_>, other: &Bound<'_, PyAny>) -> PyResult<()> {
        augmented(slf, other, &arith::mul::OP)
    }
    fn __itruediv__(slf: Target<'_, '_>, other: &Bound<'_, PyAny>) -> PyResult<()> {
        augmented(slf, other, &arith::div::OP)
    }
    fn __ifloordiv__(slf: Target<'_, '_>, other: &Bound<'_, PyAny>) -> PyResult<()> {
        augmented(slf, other, &arith::floor_divide::OP)
    }
    fn __imod__(slf: Target<'_, '_>, other: &Bound<'_, PyAny>) -> PyResult<()> {
        augmented(slf, other, &arith::remainder::OP)
    }
    fn __ipow__(slf: Target<'_, '_>, other: &Bound<'_, PyAny>, _modulo: &Bound<'_, PyAny>) -> PyResult<()> {
        augmented(slf, other, &arith::pow::OP)
    }
    fn __iand__(slf: Target<'_, '_>, other: &Bound<'_, PyAny>) -> PyResult<()> {
        augmented(slf, other, &compare::bitwise_and::OP)
    }
    fn __ior__(slf: Target<'_, '_>, other: &Bound<'_, PyAny>) -> PyResult<()> {
        augmented(slf, other, &compare::bitwise_or::OP)
    }
    fn __ixor__(slf: Target<'_, '_>, other: &Bound<'_, PyAny>) -> PyResult<()> {
        augmented(slf, other, &compare::bitwise_xor::OP)
    }
    fn __ilshift__(slf: Target<'_, '_>, other: &Bound<'_, PyAny>) -> PyResult<()> {
        augmented(slf, other, &compare::bitwise_left_shift::OP)
    }
    fn __irshift__(slf: Target<'_, '_>, other: &Bound<'_, PyAny>) -> PyResult<()> {
        augmented(slf, other, &compare::bitwise_right_shift::OP)
    }

    fn __richcmp__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>, op: CompareOp) -> PyResult<Py<PyAny>> {
        let record = match op {
            CompareOp::Lt => &compare::lt::OP,
            CompareOp::Le => &compare::le::OP,
            CompareOp::Eq => &compare::eq::OP,
            CompareOp::Ne => &compare::ne::OP,
            CompareOp::Gt => &compare::gt::OP,
            CompareOp::Ge => &compare::ge::OP,
        };
        binary(slf, other, record, false)
    }
    fn __hash__(&self) -> isize {
        (self.inner.id() >> 4) as isize
    }

    fn __getitem__(slf: &Bound<'_, Self>, key: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let x = &slf.get().inner;
        if let Ok(i) = key.cast_exact::<pyo3::types::PyInt>() {
            if x.rank() == 0 {
                return Err(pyo3::exceptions::PyIndexError::new_err(
                    "index: a 0-d tensor has no axis to index; use .item() for its number",
                ));
            }
            let i = i.extract::<i64>().map_err(|_| pyo3::exceptions::PyIndexError::new_err("index: out of range for every axis"))?;
            return wrap(slf.py(), crate::tensor::shapes::select(x, 0, i)?);
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
        Ok(self.inner.item()?.truth())
    }
    fn __float__(&self) -> PyResult<f64> {
        Ok(single(self, "float")?.as_f64())
    }
    fn __int__(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        let n = single(slf.get(), "int")?;
        match n {
            // Python's own conversion refuses NaN and infinity by name, and has room for every float.
            Number::Float(f) => Ok(pyo3::types::PyFloat::new(slf.py(), f).call_method0("__int__")?.unbind()),
            other => data::py_number(slf.py(), Number::Int(other.as_i64())),
        }
    }
    fn __index__(&self) -> PyResult<i64> {
        match (self.inner.numel(), self.inner.dtype().is_float()) {
            (1, false) => Ok(self.inner.item()?.as_i64()),
            _ => Err(PyTypeError::new_err("index: only integer tensors of one element can be used as an index")),
        }
    }
    fn __complex__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(PyComplex::from_doubles(py, single(self, "complex")?.as_f64(), 0.0).into_any().unbind())
    }
    fn __format__(slf: &Bound<'_, Self>, spec: &str) -> PyResult<String> {
        if slf.get().inner.rank() == 0 {
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
    /// A NumPy array over the same memory. Raises RuntimeError for a tensor that requires grad (use `detach()`).
    #[pyo3(signature = (*, force=false))]
    fn numpy(slf: &Bound<'_, Self>, force: bool) -> PyResult<Py<PyAny>> {
        let t = slf.get().tensor();
        if force {
            let plain = t.detach();
            let object = wrap(slf.py(), plain.clone())?;
            return data::numpy(slf.py(), object.bind(slf.py()), &plain);
        }
        data::may_leave("numpy", &t)?;
        data::numpy(slf.py(), slf.as_any(), &t)
    }
    /// The Python number in a tensor of one element.
    fn item(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        data::py_number(py, self.inner.item()?)
    }
    /// The elements as nested lists of Python numbers.
    fn tolist(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        data::to_list(py, &self.inner)
    }

    #[getter]
    fn shape(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        size(py, &self.inner.shape())
    }
    #[pyo3(signature = (dim=None))]
    fn size(&self, py: Python<'_>, dim: Option<i64>) -> PyResult<Py<PyAny>> {
        let s = self.inner.shape();
        match dim {
            None => size(py, &s),
            Some(d) => Ok(s[shape::axis("size", d, s.len())
                .and_then(|a| if s.is_empty() { Err(Error::index("size", "a 0-d tensor has no axes")) } else { Ok(a) })?]
            .into_pyobject(py)?
            .into_any()
            .unbind()),
        }
    }
    #[getter]
    fn dtype(&self, py: Python<'_>) -> PyResult<Py<PyDType>> {
        dtype::object(py, self.inner.dtype())
    }
    #[getter]
    fn device(&self) -> PyDevice {
        dtype::cpu()
    }
    #[getter]
    fn ndim(&self) -> usize {
        self.inner.rank()
    }
    fn dim(&self) -> usize {
        self.inner.rank()
    }
    fn numel(&self) -> usize {
        self.inner.numel()
    }
    #[pyo3(signature = (dim=None))]
    fn stride(&self, py: Python<'_>, dim: Option<i64>) -> PyResult<Py<PyAny>> {
        let layout = self.inner.layout();
        match dim {
            None => Ok(PyTuple::new(py, layout.strides.iter())?.into_any().unbind()),
            Some(d) => Ok(layout.strides[shape::axis("stride", d, layout.rank())?].into_pyobject(py)?.into_any().unbind()),
        }
    }
    fn storage_offset(&self) -> usize {
        self.inner.layout().offset
    }
    fn data_ptr(&self) -> usize {
        self.inner.operand().ptr() as usize
    }
    fn element_size(&self) -> usize {
        self.inner.dtype().size()
    }
    #[getter]
    fn itemsize(&self) -> usize {
        self.inner.dtype().size()
    }
    #[getter]
    fn nbytes(&self) -> usize {
        self.inner.numel() * self.inner.dtype().size()
    }
    #[pyo3(signature = (**_options))]
    fn is_contiguous(&self, _options: Option<&Bound<'_, PyDict>>) -> bool {
        self.inner.is_contiguous()
    }
    fn is_floating_point(&self) -> bool {
        self.inner.dtype().is_float()
    }
    #[pyo3(signature = (**_options))]
    fn contiguous(slf: &Bound<'_, Self>, _options: Option<&Bound<'_, PyDict>>) -> PyResult<Py<PyAny>> {
        let x = &slf.get().inner;
        wrap(slf.py(), enter(slf.py(), x.numel(), || x.contiguous())?)
    }
    /// The elements in another dtype; the tensor itself where nothing changes.
    #[pyo3(name = "_to", signature = (dtype, copy=false))]
    fn to_dtype(slf: &Bound<'_, Self>, dtype: &Bound<'_, PyAny>, copy: bool) -> PyResult<Py<PyAny>> {
        let (x, d) = (&slf.get().inner, dtype::parse(dtype)?);
        if copy && x.dtype() == d {
            return wrap(slf.py(), enter(slf.py(), x.numel(), || view::clone_(x))?);
        }
        wrap(slf.py(), enter(slf.py(), x.numel(), || x.to_dtype(d))?)
    }
    /// The elements under another shape without a copy; or, given a dtype, their bytes read as it.
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

    #[getter]
    fn requires_grad(&self) -> bool {
        write::refresh(&self.inner);
        self.inner.requires_grad()
    }
    #[setter]
    fn set_requires_grad(&self, on: bool) -> PyResult<()> {
        self.inner.require_grad(on)?;
        Ok(())
    }
    #[pyo3(signature = (requires_grad=true))]
    fn requires_grad_(slf: Bound<'_, Self>, requires_grad: bool) -> PyResult<Py<Self>> {
        slf.get().inner.require_grad(requires_grad)?;
        Ok(slf.unbind())
    }
    #[getter]
    fn is_leaf(&self) -> bool {
        write::refresh(&self.inner);
        self.inner.is_leaf()
    }
    #[getter]
    fn grad(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.inner.grad().map(|g| wrap(py, g)).transpose()
    }
    #[setter]
    fn set_grad(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        if value.is_none() {
            self.inner.set_grad(None);
            return Ok(());
        }
        let Ok(g) = value.cast::<PyTensor>() else {
            return Err(PyTypeError::new_err(format!("grad: must be a Tensor or None, got {}", args::describe(value))));
        };
        let g = g.get().tensor();
        if g.same(&self.inner) {
            return Err(PyRuntimeError::new_err("grad: a tensor cannot be its own gradient"));
        }
        if g.shape() != self.inner.shape() {
            return Err(Error::shape(
                "grad",
                format!("the gradient has shape {}, the tensor {}", shape::show(&g.shape()), shape::show(&self.inner.shape())),
            )
            .into());
        }
        if g.dtype() != self.inner.dtype() {
            return Err(Error::dtype("grad", format!("the gradient is {}, the tensor {}", g.dtype(), self.inner.dtype())).into());
        }
        self.inner.set_grad(Some(g));
        Ok(())
    }
    #[deleter]
    fn delete_grad(&self) {
        self.inner.set_grad(None);
    }
    #[getter]
    fn grad_fn(&self) -> Option<node::PyNode> {
        write::refresh(&self.inner);
        self.inner.node().filter(|_| self.inner.requires_grad()).map(|(n, k)| node::PyNode::of(n, k))
    }
    #[getter]
    fn output_nr(&self) -> u32 {
        self.inner.node().map_or(0, |(_, k)| k)
    }
    #[getter]
    fn data(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        wrap(py, self.inner.data())
    }
    #[setter]
    fn set_data(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let Ok(other) = value.cast::<PyTensor>() else {
            return Err(PyTypeError::new_err(format!("data: must be a Tensor, got {}", args::describe(value))));
        };
        let other = other.get().tensor();
        if self.inner.requires_grad() && !other.dtype().is_float() {
            return Err(PyRuntimeError::new_err(format!("data: {} cannot take the place of a tensor that requires grad", other.dtype())));
        }
        self.inner.set_data(&other);
        Ok(())
    }
    /// The same storage outside the graph.
    fn detach(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        wrap(py, self.inner.detach())
    }
    fn detach_(slf: Bound<'_, Self>) -> PyResult<Py<Self>> {
        slf.get().inner.leave_graph()?;
        Ok(slf.unbind())
    }
    #[getter]
    fn _version(&self) -> u32 {
        self.inner.version()
    }
    #[getter]
    fn _base(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.inner.base().map(|b| wrap(py, b)).transpose()
    }
    fn _is_view(&self) -> bool {
        self.inner.base().is_some()
    }
    fn retain_grad(&self) -> PyResult<()> {
        Ok(self.inner.retain_grad()?)
    }
    #[getter]
    fn retains_grad(&self) -> bool {
        self.inner.has_flag(flag::RETAINS)
    }
    /// Walks back from this tensor and adds gradients to the leaves it was made of.
    #[pyo3(signature = (gradient=None, retain_graph=None, create_graph=false, inputs=None))]
    fn backward(
        slf: &Bound<'_, Self>,
        gradient: Option<&Bound<'_, PyAny>>,
        retain_graph: Option<bool>,
        create_graph: bool,
        inputs: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let given = match gradient {
            Some(g) if !g.is_none() => Some(args::tensor("backward", "gradient", g)?),
            _ => None,
        };
        let inputs = match inputs {
            None => None,
            Some(x) if x.is_none() => None,
            Some(x) if x.cast::<PyTensor>().is_ok() => Some(vec![args::tensor("backward", "inputs", x)?]),
            Some(x) => Some(args::tensors("backward", x)?),
        };
        let root = slf.get().tensor();
        let retain = retain_graph.unwrap_or(create_graph);
        slf.py().detach(|| backward::backward(&[root], &[given], retain, create_graph, inputs.as_deref())).map_err(PyErr::from)
    }
    #[pyo3(signature = (src, non_blocking=false))]
    fn copy_(slf: Bound<'_, Self>, src: &Bound<'_, PyAny>, non_blocking: bool) -> PyResult<Py<Self>> {
        let _ = non_blocking;
        let src = args::must_feed("copy_", "src", src)?;
        let (x, feed) = (&slf.get().inner, src.feed());
        enter(slf.py(), x.numel(), || write::copy_(x, feed))?;
        Ok(slf.unbind())
    }
    fn zero_(slf: Bound<'_, Self>) -> PyResult<Py<Self>> {
        let x = &slf.get().inner;
        enter(slf.py(), x.numel(), || write::copy_(x, Feed::Number(Number::Int(0))))?;
        Ok(slf.unbind())
    }
    fn fill_(slf: Bound<'_, Self>, value: &Bound<'_, PyAny>) -> PyResult<Py<Self>> {
        let value = args::must_feed("fill_", "value", value)?;
        if let Fed::Tensor(t) = &value
            && t.rank() != 0
        {
            return Err(PyRuntimeError::new_err(format!(
                "fill_: the value must be a number or a 0-d tensor, got shape {}",
                shape::show(&t.shape())
            )));
        }
        let (x, feed) = (&slf.get().inner, value.feed());
        enter(slf.py(), x.numel(), || write::copy_(x, feed))?;
        Ok(slf.unbind())
    }
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
        write::refresh(t);
        let dtype = t.dtype();
        let usual = matches!(dtype, DType::Bool | DType::I64) || dtype == crate::base::dtype::default_float();
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
        let options = OPTIONS.lock().map(|o| o.clone().unwrap_or_default()).unwrap_or_default();
        Ok(crate::tensor::show(t, "tensor(", &options, &suffixes))
    }

    /// Marks the handle as a variable: open tapes watch it by themselves.
    fn _mark_variable(&self, trainable: bool) {
        self.inner.set_flag(flag::VARIABLE, trainable);
        self.inner.set_flag(flag::STRICT, true);
    }
    fn _mark_strict(&self) {
        self.inner.set_flag(flag::STRICT, true);
    }
    #[getter]
    fn _strict(&self) -> bool {
        self.inner.has_flag(flag::STRICT)
    }
    /// Takes a value by copy-on-write: who holds the old elements keeps them.
    fn _assign(&self, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let value = args::tensor("assign", "value", value)?;
        enter(py, value.numel(), || self.inner.assign(&value))
    }
    #[pyo3(signature = (hook))]
    fn register_hook(slf: &Bound<'_, Self>, hook: Py<PyAny>) -> PyResult<Py<PyAny>> {
        node::hook_tensor(slf, hook, false)
    }
    #[pyo3(signature = (hook))]
    fn register_post_accumulate_grad_hook(slf: &Bound<'_, Self>, hook: Py<PyAny>) -> PyResult<Py<PyAny>> {
        node::hook_tensor(slf, hook, true)
    }
}

fn matmul(py: Python<'_>, a: Tensor, b: Tensor) -> PyResult<Py<PyAny>> {
    // A product costs its operands' elements times the columns, so it is long much earlier.
    let work = a.numel().saturating_mul(b.shape().last().copied().unwrap_or(1)) / 16;
    wrap(py, enter(py, work, || linear::matmul(&a, &b))?)
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

/// Sets how tensors are printed.
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
