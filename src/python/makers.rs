//! Functions that make tensors, and where what they make goes. Leans on tensor's makers.

use super::dtype::{default_place, place_of};
use super::tensor::PyTensor;
use super::{args, calls, data, enter, wrap};
use crate::base::layout::{Layout, memory_order};
use crate::base::{DType, Device, Error, Few, Number, dtype::default_float};
use crate::graph::mode::Mode;
use crate::graph::tensor::flag;
use crate::graph::{Feed, Tensor};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

/// A keyword's value, where it was given.
pub type Given<'py> = Option<Bound<'py, PyAny>>;

/// What was asked of a maker's result: its dtype and its place, and the tensor given as `out=`, which says both.
pub struct Home<'py> {
    pub dtype: Option<DType>,
    pub place: Option<Device>,
    out: Option<(Bound<'py, PyAny>, Tensor)>,
}

impl<'py> Home<'py> {
    pub fn of(op: &str, dtype: Option<&Bound<'py, PyAny>>, device: Option<&Bound<'py, PyAny>>, out: Given<'py>) -> PyResult<Home<'py>> {
        let (kind, place) = (args::maybe_dtype(dtype)?, place_of(device)?);
        let Some(object) = out.filter(|out| !out.is_none()) else {
            return Ok(Home { dtype: kind, place: place.or_else(default_place), out: None });
        };
        if object.cast::<PyTensor>().is_err() {
            return Err(PyTypeError::new_err(format!("{op}: out must be a Tensor, got {}", args::describe(&object))));
        }
        let target = args::tensor(op, "out", &object)?;
        let (own, there) = (target.dtype(), target.device());
        if let Some(kind) = kind.filter(|&kind| kind != own) {
            return Err(Error::dtype(op, format!("dtype is {kind}, and out is of type {own}; leave dtype out, or give another out")).into());
        }
        if let Some(place) = place.filter(|&place| place != there) {
            return Err(
                Error::device(op, format!("device is {place}, and out lies on {there}; leave device out, or give another out")).into()
            );
        }
        Ok(Home { dtype: Some(own), place: Some(there), out: Some((object, target)) })
    }

    /// Whether the result lies on a GPU.
    fn away(&self) -> bool {
        self.place.is_some_and(|place| !place.is_cpu())
    }

    /// What was made, brought to where it belongs; an `out` of another shape takes the new one.
    pub fn finish(self, py: Python<'_>, op: &str, made: Tensor, requires_grad: bool) -> PyResult<Py<PyAny>> {
        let made = match self.place {
            Some(place) if place != made.device() => enter(py, crate::python::LONG, || made.to_device(place))?,
            _ => made,
        };
        if let Some((object, target)) = self.out {
            if made.shape() == target.shape() {
                return calls::into(op, &made, &object, false);
            }
            target.set_data(&made.to_dtype(target.dtype())?);
            return Ok(object.unbind());
        }
        if Mode::now().inference() {
            made.set_flag(flag::INFERENCE, true);
        }
        if requires_grad {
            made.require_grad(true)?;
        }
        wrap(py, made)
    }
}

/// One number in a shape, made where it belongs: to a GPU the number travels alone.
fn repeated(py: Python<'_>, home: &Home, shape: &[usize], value: Option<Number>, dtype: DType) -> PyResult<Tensor> {
    let n = crate::base::shape::count("full", shape)?;
    let away = home.place.filter(|_| home.away());
    enter(py, if away.is_some() { crate::python::LONG } else { n }, || match (away, value) {
        (Some(place), _) => {
            let one = Tensor::full(&[], value.unwrap_or(Number::Int(0)), dtype)?.to_device(place)?;
            crate::ops::view::clone_(&crate::ops::view::expand(&one, shape)?)
        }
        (None, Some(value)) => Tensor::full(shape, value, dtype),
        (None, None) => Tensor::empty(shape, dtype),
    })
}

/// What was just made like another tensor, its axes in memory in the order of that one's: for elements that may change places.
#[pyfunction]
fn _lying_like(py: Python<'_>, made: &Bound<'_, PyTensor>, like: &Bound<'_, PyTensor>) -> PyResult<Py<PyAny>> {
    let own = made.get().get_ref();
    let Some(turned) = lying_like(own, like.get().get_ref()) else { return Ok(made.clone().into_any().unbind()) };
    turned.set_flag(flag::INFERENCE, Mode::now().inference());
    if own.requires_grad() {
        turned.require_grad(true)?;
    }
    wrap(py, turned)
}

/// See `_lying_like`; nothing where it lies so already.
fn lying_like(made: &Tensor, like: &Tensor) -> Option<Tensor> {
    if like.is_contiguous() || made.lift().is_some() || like.lift().is_some() {
        return None;
    }
    let order = memory_order(&[&like.layout()]).filter(|order| order.len() == made.shape().len())?;
    let operand = made.operand();
    let lies = Layout::contiguous(order.iter().map(|&i| operand.layout.shape[i]).collect()).restored(&order);
    Some(Tensor::from_operand(operand.view(lies)))
}

/// One number, or what nobody has written yet, in the shape, dtype, place and order of axes of another tensor.
#[pyfunction]
#[pyo3(signature = (op, input, fill_value, dtype, device, requires_grad))]
fn _filled_like<'py>(
    py: Python<'py>,
    op: &str,
    input: &Bound<'py, PyAny>,
    fill_value: Option<&Bound<'py, PyAny>>,
    dtype: Option<&Bound<'py, PyAny>>,
    device: Option<&Bound<'py, PyAny>>,
    #[pyo3(from_py_with = args::requires_grad)] requires_grad: bool,
) -> PyResult<Py<PyAny>> {
    let like = input.cast::<PyTensor>();
    let like = like.map_err(|_| PyTypeError::new_err(format!("{op}: input must be a Tensor, got {}", args::describe(input))))?;
    let like = like.get().get_ref();
    let dtype = args::maybe_dtype(dtype)?.unwrap_or_else(|| like.dtype());
    let home = Home { dtype: Some(dtype), place: place_of(device)?.or_else(|| Some(like.device())), out: None };
    let value = fill_value.map(|value| data::checked(op, filling(op, value)?, dtype)).transpose()?;
    let made = repeated(py, &home, &like.shape(), value, dtype)?;
    let made = lying_like(&made, like).unwrap_or(made);
    let made = home.finish(py, op, made, requires_grad)?;
    super::lifts::_each(py, made.bind(py).cast::<PyTensor>()?, input.cast::<PyTensor>()?)
}

/// A tensor of its own from numbers, nested lists, arrays or tensors. Several numbers make a vector.
///
/// >>> schuss.tensor([[1, 2], [3, 4]])
/// tensor([[1, 2],
///         [3, 4]])
/// >>> schuss.tensor(3., 2)
/// tensor([3., 2.])
#[pyfunction]
#[pyo3(signature = (*data, dtype=None, device=None, requires_grad=false, **more))]
fn tensor<'py>(
    py: Python<'py>,
    data: &Bound<'py, PyTuple>,
    dtype: Option<&Bound<'py, PyAny>>,
    device: Option<&Bound<'py, PyAny>>,
    #[pyo3(from_py_with = args::requires_grad)] requires_grad: bool,
    more: Option<&Bound<'py, pyo3::types::PyDict>>,
) -> PyResult<Py<PyAny>> {
    extras("tensor", more)?;
    let home = Home::of("tensor", dtype, device, None)?;
    let wanted = home.dtype;
    let made = match data.len() {
        0 => return Err(PyTypeError::new_err("tensor: needs data; for an empty tensor give []")),
        1 => self::data::to_tensor(&data.get_item(0)?, wanted)?,
        _ => {
            for x in data.iter() {
                if args::number(&x)?.is_none() && x.cast::<PyTensor>().is_err() {
                    return Err(PyTypeError::new_err(format!(
                        "tensor: several arguments must all be numbers, got {}; put data into one list",
                        args::describe(&x)
                    )));
                }
            }
            self::data::to_tensor(data.as_any(), wanted)?
        }
    };
    home.finish(py, "tensor", made, requires_grad)
}

/// The data as a tensor, sharing memory where it can.
///
/// >>> schuss.as_tensor(16.)
/// tensor(16.)
#[pyfunction]
#[pyo3(signature = (data, dtype=None, device=None, **more))]
fn as_tensor<'py>(
    py: Python<'py>,
    data: &Bound<'py, PyAny>,
    dtype: Option<&Bound<'py, PyAny>>,
    device: Option<&Bound<'py, PyAny>>,
    more: Option<&Bound<'py, pyo3::types::PyDict>>,
) -> PyResult<Py<PyAny>> {
    extras("as_tensor", more)?;
    let home = Home::of("as_tensor", dtype, device, None)?;
    let wanted = home.dtype;
    if let Ok(t) = data.cast::<PyTensor>() {
        let t = t.get().get_ref();
        if home.place.is_none_or(|d| d == t.device()) && wanted.is_none_or(|d| d == t.dtype()) {
            return Ok(data.clone().unbind());
        }
        let other = t.to_dtype(wanted.unwrap_or_else(|| t.dtype()))?;
        return wrap(py, enter(py, crate::python::LONG, || other.to_device(home.place.unwrap_or_else(|| t.device())))?);
    }
    if self::data::is_array(data)
        && let Ok(shared) = self::data::share(data)
        && wanted.is_none_or(|d| d == shared.dtype())
    {
        return home.finish(py, "as_tensor", shared, false);
    }
    let made = self::data::to_tensor(data, wanted)?;
    home.finish(py, "as_tensor", made, false)
}

/// A tensor over a NumPy array's own memory.
///
/// >>> import numpy as np
/// >>> schuss.from_numpy(np.array([1.0, 2.0]))
/// tensor([1., 2.], dtype=schuss.float64)
#[pyfunction]
fn from_numpy(py: Python<'_>, ndarray: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    if ndarray.cast::<PyTensor>().is_ok() || !self::data::is_array(ndarray) {
        return Err(PyTypeError::new_err(format!("from_numpy: expected a NumPy array, got {}", args::describe(ndarray))));
    }
    wrap(py, data::share(ndarray)?)
}

fn sizes_of(op: &str, size: &Bound<'_, PyTuple>, named: Option<&Bound<'_, PyAny>>) -> PyResult<Few<usize>> {
    match named {
        Some(named) => args::shape(op, std::slice::from_ref(named)),
        None if size.is_empty() => Err(PyTypeError::new_err(format!("{op}: needs a size, such as {op}(2, 3)"))),
        None => args::shape(op, &size.iter().collect::<Vec<_>>()),
    }
}

/// Makers that differ in what they fill a shape with.
macro_rules! constants {
    ($($(#[doc = $doc:literal])* $name:ident($value:expr);)*) => {$(
        $(#[doc = $doc])*
        #[pyfunction]
        #[pyo3(signature = (*size, dtype=None, device=None, requires_grad=false, **more))]
        fn $name<'py>(
            py: Python<'py>,
            size: &Bound<'py, PyTuple>,
            dtype: Option<&Bound<'py, PyAny>>,
            device: Option<&Bound<'py, PyAny>>,
            #[pyo3(from_py_with = args::requires_grad)] requires_grad: bool,
            more: Option<&Bound<'py, pyo3::types::PyDict>>,
        ) -> PyResult<Py<PyAny>> {
            constant(py, stringify!($name), size, $value, dtype, device, requires_grad, more)
        }
    )*};
}

constants! {
    /// Zeros of a shape.
    ///
    /// >>> schuss.zeros(2, 3)
    /// tensor([[0., 0., 0.],
    ///         [0., 0., 0.]])
    zeros(Some(Number::Int(0)));
    /// Ones of a shape.
    ///
    /// >>> schuss.ones(2)
    /// tensor([1., 1.])
    ones(Some(Number::Int(1)));
    /// A tensor of a shape whose elements nobody has written yet.
    ///
    /// >>> schuss.empty(2, 3).shape
    /// schuss.Size([2, 3])
    empty(None);
}

/// Keywords that PyTorch's makers take and that change nothing here; `size=` and `out=` do.
const IDLE: [&str; 5] = ["layout", "pin_memory", "memory_format", "names", "non_blocking"];

/// How a maker is called.
fn form(op: &str) -> String {
    let own = match op {
        "tensor" | "as_tensor" => "data",
        "full" => "size, fill_value",
        "arange" => "start, end, step",
        "linspace" => "start, end, steps",
        "eye" => "n, m=None",
        _ => "*size",
    };
    let grad = if op == "as_tensor" { "" } else { ", requires_grad=False" };
    let own = if own.starts_with('*') { own.into() } else { format!("{own}, *") };
    format!("{op}({own}, dtype=None, device=None{grad})")
}

fn extras<'py>(op: &str, more: Option<&Bound<'py, pyo3::types::PyDict>>) -> PyResult<(Given<'py>, Given<'py>)> {
    let (mut size, mut out) = (None, None);
    if let Some(more) = more {
        for (k, v) in more.iter() {
            let key: String = k.extract()?;
            match key.as_str() {
                "size" => size = Some(v),
                "out" => out = (!v.is_none()).then_some(v),
                k if IDLE.contains(&k) => {}
                other => {
                    let taken = form(op);
                    let known = taken.split(['(', ')', ' ', ',', '*']).filter_map(|word| word.split('=').next());
                    return Err(args::unknown(op, other, known.filter(|word| !word.is_empty() && *word != op), &taken));
                }
            }
        }
    }
    Ok((size, out))
}

#[allow(clippy::too_many_arguments)]
fn constant<'py>(
    py: Python<'py>,
    op: &str,
    size: &Bound<'py, PyTuple>,
    value: Option<Number>,
    dtype: Option<&Bound<'py, PyAny>>,
    device: Option<&Bound<'py, PyAny>>,
    requires_grad: bool,
    more: Option<&Bound<'py, pyo3::types::PyDict>>,
) -> PyResult<Py<PyAny>> {
    let (named, out) = extras(op, more)?;
    let shape = sizes_of(op, size, named.as_ref())?;
    let home = Home::of(op, dtype, device, out)?;
    crate::base::shape::count(op, &shape)?;
    let made = repeated(py, &home, &shape, value, home.dtype.unwrap_or_else(default_float))?;
    home.finish(py, op, made, requires_grad)
}

/// The number that a shape is filled with.
fn filling(op: &str, value: &Bound<'_, PyAny>) -> PyResult<Number> {
    let fed = args::feed(value)?;
    match fed.as_ref().map(args::Fed::feed) {
        Some(Feed::Number(n)) => Ok(n),
        Some(Feed::Tensor(t)) if t.numel() == 1 => Ok(t.item()?),
        Some(Feed::Tensor(t)) => Err(PyRuntimeError::new_err(format!(
            "{op}: fill_value must be one number, got a tensor of shape {}; use .expand() to repeat a tensor",
            crate::base::shape::show(&t.shape())
        ))),
        _ => Err(PyTypeError::new_err(format!("{op}: fill_value must be a number, got {}", args::describe(value)))),
    }
}

/// One number, a shape of times.
///
/// >>> schuss.full((2,), 7.0)
/// tensor([7., 7.])
#[pyfunction]
#[pyo3(signature = (size, fill_value, dtype=None, device=None, requires_grad=false, **more))]
fn full<'py>(
    py: Python<'py>,
    size: &Bound<'py, PyAny>,
    fill_value: &Bound<'py, PyAny>,
    dtype: Option<&Bound<'py, PyAny>>,
    device: Option<&Bound<'py, PyAny>>,
    #[pyo3(from_py_with = args::requires_grad)] requires_grad: bool,
    more: Option<&Bound<'py, pyo3::types::PyDict>>,
) -> PyResult<Py<PyAny>> {
    let (_, out) = extras("full", more)?;
    let shape = args::shape("full", std::slice::from_ref(size))?;
    let value = filling("full", fill_value)?;
    let home = Home::of("full", dtype, device, out)?;
    let dtype = home.dtype.unwrap_or_else(|| value.dtype());
    let value = data::checked("full", value, dtype)?;
    let made = repeated(py, &home, &shape, Some(value), dtype)?;
    home.finish(py, "full", made, requires_grad)
}

/// Evenly stepped numbers from start (0) up to, not including, end.
///
/// >>> schuss.arange(1, 7, 2)
/// tensor([1, 3, 5])
#[pyfunction]
#[pyo3(signature = (*bounds, start=None, end=None, step=None, dtype=None, device=None, requires_grad=false, **more))]
#[allow(clippy::too_many_arguments)]
fn arange<'py>(
    py: Python<'py>,
    bounds: &Bound<'py, PyTuple>,
    start: Option<&Bound<'py, PyAny>>,
    end: Option<&Bound<'py, PyAny>>,
    step: Option<&Bound<'py, PyAny>>,
    dtype: Option<&Bound<'py, PyAny>>,
    device: Option<&Bound<'py, PyAny>>,
    #[pyo3(from_py_with = args::requires_grad)] requires_grad: bool,
    more: Option<&Bound<'py, pyo3::types::PyDict>>,
) -> PyResult<Py<PyAny>> {
    let (_, out) = extras("arange", more)?;
    let home = Home::of("arange", dtype, device, out)?;
    let read = |x: &Bound<'_, PyAny>| -> PyResult<Number> {
        match args::number(x)? {
            Some(n) => Ok(n),
            None => match x.cast::<PyTensor>() {
                Ok(t) => Ok(t.get().get_ref().item()?),
                Err(_) => x
                    .extract::<i64>()
                    .map(Number::Int)
                    .or_else(|_| x.extract::<f64>().map(Number::Float))
                    .map_err(|_| PyTypeError::new_err(format!("arange: bounds must be numbers, got {}", args::describe(x)))),
            },
        }
    };
    let given = bounds.iter().map(|b| read(&b)).collect::<PyResult<Vec<_>>>()?;
    let named = |x: Option<&Bound<'_, PyAny>>| x.map(read).transpose();
    let (s, e, p) = (named(start)?, named(end)?, named(step)?);
    let (first, last, by) = match given[..] {
        [] => (s.unwrap_or(Number::Int(0)), e, p),
        [a] if e.is_none() => (s.unwrap_or(Number::Int(0)), Some(a), p),
        [a] => (a, e, p),
        [a, b] => (a, Some(b), p),
        [a, b, c] => (a, Some(b), Some(c)),
        _ => return Err(PyTypeError::new_err("arange: takes at most start, end and step")),
    };
    let Some(last) = last else { return Err(PyTypeError::new_err("arange: needs an end")) };
    let by = by.unwrap_or(Number::Int(1));
    if let Some(z) = [first, last, by].into_iter().find(|n| n.is_complex()) {
        return Err(PyRuntimeError::new_err(format!("arange: bounds must be real numbers, got {}", data::shown(z))));
    }
    let any_float = first.is_float() || last.is_float() || by.is_float();
    let dtype = home.dtype.unwrap_or_else(|| if any_float { default_float() } else { DType::I64 });
    home.finish(py, "arange", Tensor::arange(first, last, by, dtype)?, requires_grad)
}

/// Evenly spaced numbers from start to end, both included.
///
/// >>> schuss.linspace(0, 1, 3)
/// tensor([0.0000, 0.5000, 1.0000])
#[pyfunction]
#[pyo3(signature = (start, end, steps, dtype=None, device=None, requires_grad=false, **more))]
#[allow(clippy::too_many_arguments)]
fn linspace<'py>(
    py: Python<'py>,
    start: &Bound<'py, PyAny>,
    end: &Bound<'py, PyAny>,
    steps: &Bound<'py, PyAny>,
    dtype: Option<&Bound<'py, PyAny>>,
    device: Option<&Bound<'py, PyAny>>,
    #[pyo3(from_py_with = args::requires_grad)] requires_grad: bool,
    more: Option<&Bound<'py, pyo3::types::PyDict>>,
) -> PyResult<Py<PyAny>> {
    let (_, out) = extras("linspace", more)?;
    let home = Home::of("linspace", dtype, device, out)?;
    let bound = |name: &str, x: &Bound<'_, PyAny>| args::single("linspace", name, x).and_then(|_| args::float("linspace", name, x));
    let (start, end) = (bound("start", start)?, bound("end", end)?);
    let steps = args::int("linspace", "steps", steps)?;
    if steps < 0 {
        return Err(PyRuntimeError::new_err(format!("linspace: the number of steps must be at least 0, got {steps}")));
    }
    let dtype = home.dtype.unwrap_or_else(default_float);
    home.finish(py, "linspace", Tensor::linspace(start, end, steps as usize, dtype)?, requires_grad)
}

/// Ones on the diagonal of a matrix, zeros elsewhere.
///
/// >>> schuss.eye(2)
/// tensor([[1., 0.],
///         [0., 1.]])
#[pyfunction]
#[pyo3(signature = (n, m=None, dtype=None, device=None, requires_grad=false, **more))]
fn eye<'py>(
    py: Python<'py>,
    n: &Bound<'py, PyAny>,
    m: Option<&Bound<'py, PyAny>>,
    dtype: Option<&Bound<'py, PyAny>>,
    device: Option<&Bound<'py, PyAny>>,
    #[pyo3(from_py_with = args::requires_grad)] requires_grad: bool,
    more: Option<&Bound<'py, pyo3::types::PyDict>>,
) -> PyResult<Py<PyAny>> {
    let (_, out) = extras("eye", more)?;
    let home = Home::of("eye", dtype, device, out)?;
    let n = args::int("eye", "n", n)?;
    let m = m.filter(|m| !m.is_none()).map_or(Ok(n), |m| args::int("eye", "m", m))?;
    if n < 0 || m < 0 {
        return Err(PyRuntimeError::new_err(format!("eye: sizes must be at least 0, got {n} and {m}")));
    }
    let dtype = home.dtype.unwrap_or_else(default_float);
    home.finish(py, "eye", Tensor::eye(n as usize, m as usize, dtype)?, requires_grad)
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(_lying_like, m)?)?;
    m.add_function(wrap_pyfunction!(_filled_like, m)?)?;
    m.add_function(wrap_pyfunction!(tensor, m)?)?;
    m.add_function(wrap_pyfunction!(as_tensor, m)?)?;
    m.add_function(wrap_pyfunction!(from_numpy, m)?)?;
    m.add_function(wrap_pyfunction!(zeros, m)?)?;
    m.add_function(wrap_pyfunction!(ones, m)?)?;
    m.add_function(wrap_pyfunction!(empty, m)?)?;
    m.add_function(wrap_pyfunction!(full, m)?)?;
    m.add_function(wrap_pyfunction!(arange, m)?)?;
    m.add_function(wrap_pyfunction!(linspace, m)?)?;
    m.add_function(wrap_pyfunction!(eye, m)?)
}
