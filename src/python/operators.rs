//! Python's operators on tensors: arithmetic, comparison, bits, reflected and in place. Leans on tensor and the records.

use super::args::{self, Fed};
use super::tensor::{PyTensor, wrap, wrap_new};
use super::{data, dtype, enter, given};
use crate::base::{DType, Number};
use crate::engine::{quick, write};
use crate::graph::mode::Mode;
use crate::graph::tensor::{emit, flag};
use crate::graph::{Feed, Op, Tensor};
use crate::ops::{arith, compare, linear};
use pyo3::basic::CompareOp;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

#[inline]
fn binary(slf: &Bound<'_, PyTensor>, other: &Bound<'_, PyAny>, op: &'static Op, swapped: bool) -> PyResult<Py<PyAny>> {
    let py = slf.py();
    let x = &slf.get().inner;
    if let Ok(y) = other.cast::<PyTensor>() {
        let y = &y.get().inner;
        return pair(py, op, if swapped { [y.into(), x.into()] } else { [x.into(), y.into()] });
    }
    if let Ok(f) = other.cast_exact::<pyo3::types::PyFloat>() {
        let y = Feed::Number(Number::Float(f.value()));
        return pair(py, op, if swapped { [y, x.into()] } else { [x.into(), y] });
    }
    let y = match beside(x, other)? {
        Some(y) => y,
        // A list repeats itself by what it takes for a count, and would speak of an index.
        None if (other.is_instance_of::<PyList>() || other.is_instance_of::<PyTuple>()) && (x.dtype().is_inexact() || x.numel() != 1) => {
            let name = args::describe(other);
            return Err(PyTypeError::new_err(format!(
                "{}: other must be a Tensor or a number, got {name}; use schuss.tensor(...) first",
                op.name
            )));
        }
        None => return Ok(py.NotImplemented()),
    };
    let feeds = if swapped { [y.feed(), Feed::Tensor(x)] } else { [Feed::Tensor(x), y.feed()] };
    let size = x.numel().max(if let Feed::Tensor(t) = y.feed() { t.numel() } else { 0 });
    wrap(py, enter(py, size, || emit(op, &feeds, &[]))?.one())
}

/// What an operator is fed beside a tensor: TensorFlow's tensors take lists and arrays in their own dtype.
fn beside<'a>(x: &Tensor, other: &'a Bound<'_, PyAny>) -> PyResult<Option<Fed<'a>>> {
    let is_data = || other.is_instance_of::<PyList>() || other.is_instance_of::<PyTuple>() || data::is_array(other);
    if x.has_flag(flag::STRICT) && args::number(other)?.is_none() && is_data() {
        let py = other.py();
        let convert = py.import("schuss.tf.conversion")?.getattr("operand")?;
        return args::tensor("operand", "other", &convert.call1((other, dtype::object(py, x.dtype())?))?).map(|t| Some(Fed::Tensor(t)));
    }
    match given::operand(other, x)? {
        Some(t) => Ok(Some(Fed::Tensor(t))),
        None => args::feed(other),
    }
}

/// Two operands: the short way at once, the long one with the lock let go where there is much to do.
#[inline]
fn pair(py: Python<'_>, op: &'static Op, feeds: [Feed; 2]) -> PyResult<Py<PyAny>> {
    if let Some(Ok(out)) = quick::run(op, &feeds, &[], Mode::now()) {
        return wrap_new(py, out);
    }
    let size = feeds.iter().map(|f| if let Feed::Tensor(t) = f { t.numel() } else { 0 }).max().unwrap_or(0);
    wrap(py, enter(py, size, || emit(op, &feeds, &[]))?.one())
}

#[inline]
fn unary(slf: &Bound<'_, PyTensor>, op: &'static Op) -> PyResult<Py<PyAny>> {
    let (py, x) = (slf.py(), &slf.get().inner);
    if let Some(Ok(out)) = quick::run(op, &[Feed::Tensor(x)], &[], Mode::now()) {
        return wrap_new(py, out);
    }
    wrap(py, enter(py, x.numel(), || emit(op, &[Feed::Tensor(x)], &[]))?.one())
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
    let y = match beside(x, other)? {
        Some(y) => y,
        None => args::must_feed(&format!("{}_", op.name), "other", other)?,
    };
    let feeds = [Feed::Tensor(x), y.feed()];
    enter(slf.py(), x.numel(), || write::apply(op, x, &feeds, &[]))
}

/// The other factor of a product, where it can be one: a number cannot.
fn factor(x: &Tensor, other: &Bound<'_, PyAny>) -> PyResult<Option<Tensor>> {
    Ok(match beside(x, other)? {
        Some(Fed::There(t)) => Some(t.clone()),
        Some(Fed::Tensor(t)) => Some(t),
        _ => None,
    })
}

fn matmul(py: Python<'_>, a: Tensor, b: Tensor) -> PyResult<Py<PyAny>> {
    // A product costs its operands' elements times the columns, so it is long much earlier.
    let work = a.numel().saturating_mul(b.shape().last().copied().unwrap_or(1)) / 16;
    wrap(py, enter(py, work, || linear::matmul(&a, &b))?)
}

#[pymethods]
impl PyTensor {
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
        if let Some(n) = args::number(other)?
            && let (op, [_]) = arith::shorter(&arith::pow::OP, &[Feed::Tensor(&slf.get().inner), Feed::Number(n)])
        {
            return unary(slf, op);
        }
        binary(slf, other, &arith::pow::OP, false)
    }
    fn __rpow__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>, _modulo: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        binary(slf, other, &arith::pow::OP, true)
    }
    fn __matmul__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        if other.cast::<PyTensor>().is_err() {
            let Some(y) = factor(&slf.get().inner, other)? else { return Ok(py.NotImplemented()) };
            return matmul(py, slf.get().tensor(), y);
        }
        if let Ok(other) = other.cast::<PyTensor>() {
            let feeds = [Feed::Tensor(&slf.get().inner), Feed::Tensor(&other.get().inner)];
            if let Some(Ok(out)) = quick::run(&linear::matmul::OP, &feeds, &[], Mode::now()) {
                return wrap_new(py, out);
            }
        }
        matmul(py, slf.get().tensor(), args::tensor("matmul", "other", other)?)
    }
    fn __rmatmul__(slf: &Bound<'_, Self>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        match factor(&slf.get().inner, other)? {
            Some(y) => matmul(slf.py(), y, slf.get().tensor()),
            None => matmul(slf.py(), args::tensor("matmul", "other", other)?, slf.get().tensor()),
        }
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
}
