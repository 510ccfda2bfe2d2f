//! Functions that make tensors, random ones included, and the generator. Leans on tensor's makers.

use super::tensor::PyTensor;
use super::{args, data, enter, wrap};
use crate::backend::launch::Draw;
use crate::base::{DType, Few, Number, dtype::default_float};
use crate::graph::mode::Mode;
use crate::graph::tensor::flag;
use crate::graph::{Feed, Tensor};
use crate::tensor::random::{self, Stream};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

fn finish(py: Python<'_>, t: Tensor, device: Option<&Bound<'_, PyAny>>, requires_grad: bool) -> PyResult<Py<PyAny>> {
    let t = placed(py, t, device)?;
    if Mode::now().inference() {
        t.set_flag(flag::INFERENCE, true);
    }
    if requires_grad {
        t.require_grad(true)?;
    }
    wrap(py, t)
}

/// A fresh tensor on the device that was asked for.
fn placed(py: Python<'_>, t: Tensor, device: Option<&Bound<'_, PyAny>>) -> PyResult<Tensor> {
    match super::dtype::place_of(device)? {
        Some(place) if place != t.device() => enter(py, crate::python::LONG, || t.to_device(place)),
        _ => Ok(t),
    }
}

fn stream(generator: Option<&Bound<'_, PyAny>>) -> PyResult<Stream> {
    match generator {
        Some(g) if !g.is_none() => match g.cast::<PyGenerator>() {
            Ok(g) => Ok(g.get().stream.clone()),
            Err(_) => Err(PyTypeError::new_err(format!("generator: must be a schuss.Generator, got {}", args::describe(g)))),
        },
        _ => Ok(random::default()),
    }
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
fn tensor(
    py: Python<'_>,
    data: &Bound<'_, PyTuple>,
    dtype: Option<&Bound<'_, PyAny>>,
    device: Option<&Bound<'_, PyAny>>,
    #[pyo3(from_py_with = args::requires_grad)] requires_grad: bool,
    more: Option<&Bound<'_, pyo3::types::PyDict>>,
) -> PyResult<Py<PyAny>> {
    extras("tensor", more)?;
    let wanted = self::data::options(dtype, device)?;
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
    finish(py, made, device, requires_grad)
}

/// The data as a tensor, sharing memory where it can.
///
/// >>> schuss.as_tensor(16.)
/// tensor(16.)
#[pyfunction]
#[pyo3(signature = (data, dtype=None, device=None, **more))]
fn as_tensor(
    py: Python<'_>,
    data: &Bound<'_, PyAny>,
    dtype: Option<&Bound<'_, PyAny>>,
    device: Option<&Bound<'_, PyAny>>,
    more: Option<&Bound<'_, pyo3::types::PyDict>>,
) -> PyResult<Py<PyAny>> {
    extras("as_tensor", more)?;
    let wanted = self::data::options(dtype, device)?;
    if let Ok(t) = data.cast::<PyTensor>() {
        let t = t.get().get_ref();
        let there = super::dtype::place_of(device)?.is_none_or(|d| d == t.device());
        if there && wanted.is_none_or(|d| d == t.dtype()) {
            return Ok(data.clone().unbind());
        }
        return wrap(py, placed(py, t.to_dtype(wanted.unwrap_or_else(|| t.dtype()))?, device)?);
    }
    if self::data::is_array(data)
        && let Ok(shared) = self::data::share(data)
        && wanted.is_none_or(|d| d == shared.dtype())
    {
        return wrap(py, placed(py, shared, device)?);
    }
    wrap(py, placed(py, self::data::to_tensor(data, wanted)?, device)?)
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
        fn $name(
            py: Python<'_>,
            size: &Bound<'_, PyTuple>,
            dtype: Option<&Bound<'_, PyAny>>,
            device: Option<&Bound<'_, PyAny>>,
            #[pyo3(from_py_with = args::requires_grad)] requires_grad: bool,
            more: Option<&Bound<'_, pyo3::types::PyDict>>,
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

/// A keyword's value, where it was given.
type Given<'py> = Option<Bound<'py, PyAny>>;

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
fn constant(
    py: Python<'_>,
    op: &str,
    size: &Bound<'_, PyTuple>,
    value: Option<Number>,
    dtype: Option<&Bound<'_, PyAny>>,
    device: Option<&Bound<'_, PyAny>>,
    requires_grad: bool,
    more: Option<&Bound<'_, pyo3::types::PyDict>>,
) -> PyResult<Py<PyAny>> {
    let (named, out) = extras(op, more)?;
    let shape = sizes_of(op, size, named.as_ref())?;
    let dtype = data::options(dtype, device)?.unwrap_or_else(default_float);
    let n: usize = crate::base::shape::count(op, &shape)?;
    let away = super::dtype::place_of(device)?.is_some_and(|d| !d.is_cpu());
    let made = if away {
        // One number travels, and is spread over the shape where it is wanted.
        let one = placed(py, Tensor::full(&[], value.unwrap_or(Number::Int(0)), dtype)?, device)?;
        enter(py, n, || crate::ops::view::clone_(&crate::ops::view::expand(&one, &shape)?))?
    } else {
        enter(py, n, || match value {
            Some(v) => Tensor::full(&shape, v, dtype),
            None => Tensor::empty(&shape, dtype),
        })?
    };
    if let Some(out) = out {
        let target = args::tensor(op, "out", &out)?;
        target.set_data(&made.to_dtype(target.dtype())?);
        return Ok(out.unbind());
    }
    finish(py, made, device, requires_grad)
}

/// One number, a shape of times.
///
/// >>> schuss.full((2,), 7.0)
/// tensor([7., 7.])
#[pyfunction]
#[pyo3(signature = (size, fill_value, dtype=None, device=None, requires_grad=false, **more))]
fn full(
    py: Python<'_>,
    size: &Bound<'_, PyAny>,
    fill_value: &Bound<'_, PyAny>,
    dtype: Option<&Bound<'_, PyAny>>,
    device: Option<&Bound<'_, PyAny>>,
    #[pyo3(from_py_with = args::requires_grad)] requires_grad: bool,
    more: Option<&Bound<'_, pyo3::types::PyDict>>,
) -> PyResult<Py<PyAny>> {
    extras("full", more)?;
    let shape = args::shape("full", std::slice::from_ref(size))?;
    let fed = args::feed(fill_value)?;
    let value = match fed.as_ref().map(args::Fed::feed) {
        Some(Feed::Number(n)) => n,
        Some(Feed::Tensor(t)) if t.numel() == 1 => t.item()?,
        Some(Feed::Tensor(t)) => {
            return Err(PyRuntimeError::new_err(format!(
                "full: fill_value must be one number, got a tensor of shape {}; use .expand() to repeat a tensor",
                crate::base::shape::show(&t.shape())
            )));
        }
        _ => return Err(PyTypeError::new_err(format!("full: fill_value must be a number, got {}", args::describe(fill_value)))),
    };
    let dtype = data::options(dtype, device)?.unwrap_or_else(|| value.dtype());
    let value = data::checked("full", value, dtype)?;
    let n = crate::base::shape::count("full", &shape)?;
    finish(py, enter(py, n, || Tensor::full(&shape, value, dtype))?, device, requires_grad)
}

/// Evenly stepped numbers from start (0) up to, not including, end.
///
/// >>> schuss.arange(1, 7, 2)
/// tensor([1, 3, 5])
#[pyfunction]
#[pyo3(signature = (*bounds, start=None, end=None, step=None, dtype=None, device=None, requires_grad=false, **more))]
#[allow(clippy::too_many_arguments)]
fn arange(
    py: Python<'_>,
    bounds: &Bound<'_, PyTuple>,
    start: Option<&Bound<'_, PyAny>>,
    end: Option<&Bound<'_, PyAny>>,
    step: Option<&Bound<'_, PyAny>>,
    dtype: Option<&Bound<'_, PyAny>>,
    device: Option<&Bound<'_, PyAny>>,
    #[pyo3(from_py_with = args::requires_grad)] requires_grad: bool,
    more: Option<&Bound<'_, pyo3::types::PyDict>>,
) -> PyResult<Py<PyAny>> {
    extras("arange", more)?;
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
    let dtype = data::options(dtype, device)?.unwrap_or_else(|| if any_float { default_float() } else { DType::I64 });
    finish(py, Tensor::arange(first, last, by, dtype)?, device, requires_grad)
}

/// Evenly spaced numbers from start to end, both included.
///
/// >>> schuss.linspace(0, 1, 3)
/// tensor([0.0000, 0.5000, 1.0000])
#[pyfunction]
#[pyo3(signature = (start, end, steps, dtype=None, device=None, requires_grad=false, **more))]
#[allow(clippy::too_many_arguments)]
fn linspace(
    py: Python<'_>,
    start: &Bound<'_, PyAny>,
    end: &Bound<'_, PyAny>,
    steps: &Bound<'_, PyAny>,
    dtype: Option<&Bound<'_, PyAny>>,
    device: Option<&Bound<'_, PyAny>>,
    #[pyo3(from_py_with = args::requires_grad)] requires_grad: bool,
    more: Option<&Bound<'_, pyo3::types::PyDict>>,
) -> PyResult<Py<PyAny>> {
    extras("linspace", more)?;
    let bound = |name: &str, x: &Bound<'_, PyAny>| args::single("linspace", name, x).and_then(|_| args::float("linspace", name, x));
    let (start, end) = (bound("start", start)?, bound("end", end)?);
    let steps = args::int("linspace", "steps", steps)?;
    if steps < 0 {
        return Err(PyRuntimeError::new_err(format!("linspace: the number of steps must be at least 0, got {steps}")));
    }
    let dtype = data::options(dtype, device)?.unwrap_or_else(default_float);
    finish(py, Tensor::linspace(start, end, steps as usize, dtype)?, device, requires_grad)
}

/// Ones on the diagonal of a matrix, zeros elsewhere.
///
/// >>> schuss.eye(2)
/// tensor([[1., 0.],
///         [0., 1.]])
#[pyfunction]
#[pyo3(signature = (n, m=None, dtype=None, device=None, requires_grad=false, **more))]
fn eye(
    py: Python<'_>,
    n: &Bound<'_, PyAny>,
    m: Option<&Bound<'_, PyAny>>,
    dtype: Option<&Bound<'_, PyAny>>,
    device: Option<&Bound<'_, PyAny>>,
    #[pyo3(from_py_with = args::requires_grad)] requires_grad: bool,
    more: Option<&Bound<'_, pyo3::types::PyDict>>,
) -> PyResult<Py<PyAny>> {
    extras("eye", more)?;
    let n = args::int("eye", "n", n)?;
    let m = m.filter(|m| !m.is_none()).map_or(Ok(n), |m| args::int("eye", "m", m))?;
    if n < 0 || m < 0 {
        return Err(PyRuntimeError::new_err(format!("eye: sizes must be at least 0, got {n} and {m}")));
    }
    let dtype = data::options(dtype, device)?.unwrap_or_else(default_float);
    finish(py, Tensor::eye(n as usize, m as usize, dtype)?, device, requires_grad)
}

/// Draws into a new tensor; Python gives PyTorch's names and keywords to it.
#[pyfunction]
#[pyo3(signature = (op, size, kind, a, b, dtype, generator, requires_grad=false, device=None))]
#[allow(clippy::too_many_arguments)]
fn _draw(
    py: Python<'_>,
    op: &str,
    size: &Bound<'_, PyAny>,
    kind: &str,
    a: &Bound<'_, PyAny>,
    b: &Bound<'_, PyAny>,
    dtype: Option<&Bound<'_, PyAny>>,
    generator: Option<&Bound<'_, PyAny>>,
    #[pyo3(from_py_with = args::requires_grad)] requires_grad: bool,
    device: Option<&Bound<'_, PyAny>>,
) -> PyResult<Py<PyAny>> {
    let shape = args::shape(op, std::slice::from_ref(size))?;
    let what = draw(op, kind, a, b)?;
    let integers = matches!(what, Draw::Integers(..) | Draw::Permutation);
    if let (Draw::Integers(low, high), Some(d)) = (what, args::maybe_dtype(dtype)?) {
        data::checked(op, Number::Int(low), d)?;
        data::checked(op, Number::Int(high - 1), d)?;
    }
    let dtype = args::maybe_dtype(dtype)?.unwrap_or_else(|| if integers { DType::I64 } else { default_float() });
    let stream = stream(generator)?;
    let n = crate::base::shape::count(op, &shape)?;
    let place = super::dtype::place_of(device)?.unwrap_or_default();
    finish(py, enter(py, n, || Tensor::random(op, what, &shape, dtype, &stream, place))?, None, requires_grad)
}

/// Draws over a tensor's elements, in place.
#[pyfunction]
fn _draw_(
    py: Python<'_>,
    op: &str,
    target: &Bound<'_, PyTensor>,
    kind: &str,
    a: &Bound<'_, PyAny>,
    b: &Bound<'_, PyAny>,
    generator: Option<&Bound<'_, PyAny>>,
) -> PyResult<Py<PyAny>> {
    let what = draw(op, kind, a, b)?;
    let stream = stream(generator)?;
    let t = target.get().get_ref();
    if !matches!(what, Draw::Integers(..) | Draw::Bernoulli(_)) && !t.dtype().is_inexact() {
        return Err(crate::base::Error::dtype(op, format!("draws floats, and cannot fill {}; use x.float() first", t.dtype())).into());
    }
    enter(py, t.numel(), || t.random_(op, what, &stream))?;
    Ok(target.clone().into_any().unbind())
}

fn draw(op: &str, kind: &str, a: &Bound<'_, PyAny>, b: &Bound<'_, PyAny>) -> PyResult<Draw> {
    let float = |x: &Bound<'_, PyAny>| {
        x.extract::<f64>().map_err(|_| PyTypeError::new_err(format!("{op}: expected a number, got {}", args::describe(x))))
    };
    Ok(match kind {
        "uniform" => Draw::Uniform(float(a)?, float(b)?),
        "normal" => Draw::Normal(float(a)?, float(b)?),
        "integers" => Draw::Integers(args::int(op, "low", a)?, args::int(op, "high", b)?),
        "bernoulli" => Draw::Bernoulli(float(a)?),
        "exponential" => Draw::Exponential(float(a)?),
        "permutation" => Draw::Permutation,
        other => return Err(PyValueError::new_err(format!("{op}: no draw is called {other:?}"))),
    })
}

/// Elements kept with probability 1 - p and scaled by 1 / (1 - p), the others zero (Srivastava et al. 2014).
#[pyfunction]
#[pyo3(signature = (input, p=0.5, training=true, inplace=false))]
fn dropout(py: Python<'_>, input: &Bound<'_, PyAny>, p: f64, training: bool, inplace: bool) -> PyResult<Py<PyAny>> {
    let x = args::tensor("dropout", "input", input)?;
    if !(0.0..=1.0).contains(&p) {
        return Err(PyValueError::new_err(format!("dropout: the probability must be from 0 to 1, got {p}")));
    }
    if !training {
        return Ok(input.clone().unbind());
    }
    let made = enter(py, x.numel(), || random::dropout(&x, p, &random::default()))?;
    if inplace {
        crate::engine::write::copy_(&x, (&made).into())?;
        return Ok(input.clone().unbind());
    }
    wrap(py, made)
}

/// A stream of random numbers (Philox 4x32-10): a seed, and how far it has been used.
///
/// >>> g = schuss.Generator().manual_seed(7)
/// >>> g.initial_seed()
/// 7
#[pyclass(frozen, name = "Generator", module = "schuss")]
pub struct PyGenerator {
    stream: Stream,
}

#[pymethods]
impl PyGenerator {
    #[new]
    #[pyo3(signature = (device=None))]
    fn new(device: Option<&Bound<'_, PyAny>>) -> PyResult<PyGenerator> {
        if let Some(device) = device {
            super::dtype::device_of(device)?;
        }
        Ok(PyGenerator {
            stream: std::sync::Arc::new(crate::base::Lock::new(crate::backend::cpu::random::Generator::new(random::FIRST_SEED))),
        })
    }
    /// Starts this generator from a seed, any integer of 64 bits; returns it.
    ///
    /// >>> a = schuss.rand(2, generator=schuss.Generator().manual_seed(1))
    /// >>> b = schuss.rand(2, generator=schuss.Generator().manual_seed(1))
    /// >>> schuss.equal(a, b)
    /// True
    fn manual_seed(slf: Bound<'_, Self>, seed: &Bound<'_, PyAny>) -> PyResult<Py<Self>> {
        slf.get().stream.get().manual_seed(seed_of(seed)?);
        Ok(slf.unbind())
    }
    /// Starts this generator from the system's entropy; returns the seed.
    fn seed(&self) -> u64 {
        self.stream.get().seed()
    }
    /// The seed that this generator was started from.
    ///
    /// >>> schuss.Generator().manual_seed(7).initial_seed()
    /// 7
    fn initial_seed(&self) -> u64 {
        self.stream.get().initial_seed()
    }
    /// Seed and offset as a uint8 tensor of 16 bytes, for `set_state`.
    ///
    /// >>> schuss.Generator().get_state().shape
    /// schuss.Size([16])
    fn get_state(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let [seed, offset] = self.stream.get().state();
        let bytes: Vec<u8> = seed.to_le_bytes().into_iter().chain(offset.to_le_bytes()).collect();
        wrap(py, Tensor::from_slice(&bytes, &[16])?)
    }
    /// Puts this generator where a state of `get_state` says; returns it.
    ///
    /// >>> g = schuss.Generator()
    /// >>> state = g.get_state()
    /// >>> a, b = schuss.rand(2, generator=g), schuss.rand(2, generator=g.set_state(state))
    /// >>> schuss.equal(a, b)
    /// True
    fn set_state(slf: Bound<'_, Self>, new_state: &Bound<'_, PyAny>) -> PyResult<Py<Self>> {
        let t = args::tensor("set_state", "new_state", new_state)?;
        let bytes = t.to_vec::<u8>();
        let Ok(bytes) = <[u8; 16]>::try_from(bytes) else {
            return Err(PyRuntimeError::new_err(format!("set_state: a state has 16 bytes, got {}", t.numel())));
        };
        let part = |i: usize| bytes[i..i + 8].iter().rev().fold(0u64, |a, &b| a << 8 | u64::from(b));
        slf.get().stream.get().set_state([part(0), part(8)]);
        Ok(slf.unbind())
    }
    /// Where it draws: the processor.
    #[getter]
    fn device(&self) -> super::dtype::PyDevice {
        super::dtype::cpu()
    }
    fn __repr__(&self) -> String {
        let [seed, offset] = self.stream.get().state();
        format!("<schuss.Generator seed={seed} offset={offset}>")
    }
}

/// A seed from any integer of 64 bits, signed or not.
fn seed_of(x: &Bound<'_, PyAny>) -> PyResult<u64> {
    x.extract::<u64>().or_else(|_| x.extract::<i64>().map(|i| i as u64)).map_err(|e| {
        if e.is_instance_of::<pyo3::exceptions::PyOverflowError>(x.py()) {
            PyRuntimeError::new_err(format!("manual_seed: the seed {x} does not fit 64 bits"))
        } else {
            PyTypeError::new_err(format!("manual_seed: a seed must be an integer, got {}", args::describe(x)))
        }
    })
}

/// Starts the default generator from a seed, any integer of 64 bits; returns it.
///
/// >>> schuss.manual_seed(0).initial_seed()
/// 0
#[pyfunction]
fn manual_seed(py: Python<'_>, seed: &Bound<'_, PyAny>) -> PyResult<Py<PyGenerator>> {
    random::manual_seed(seed_of(seed)?);
    default_generator(py)
}
#[pyfunction(name = "_default_generator")]
fn default_generator(py: Python<'_>) -> PyResult<Py<PyGenerator>> {
    Py::new(py, PyGenerator { stream: random::default() })
}

/// Ten rounds of Philox 4x32 on a counter and a key (Salmon et al. 2011).
#[pyfunction]
fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    crate::backend::cpu::random::philox(counter, key)
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyGenerator>()?;
    m.add_function(wrap_pyfunction!(philox, m)?)?;
    m.add_function(wrap_pyfunction!(tensor, m)?)?;
    m.add_function(wrap_pyfunction!(as_tensor, m)?)?;
    m.add_function(wrap_pyfunction!(from_numpy, m)?)?;
    m.add_function(wrap_pyfunction!(zeros, m)?)?;
    m.add_function(wrap_pyfunction!(ones, m)?)?;
    m.add_function(wrap_pyfunction!(empty, m)?)?;
    m.add_function(wrap_pyfunction!(full, m)?)?;
    m.add_function(wrap_pyfunction!(arange, m)?)?;
    m.add_function(wrap_pyfunction!(linspace, m)?)?;
    m.add_function(wrap_pyfunction!(eye, m)?)?;
    m.add_function(wrap_pyfunction!(_draw, m)?)?;
    m.add_function(wrap_pyfunction!(_draw_, m)?)?;
    m.add_function(wrap_pyfunction!(dropout, m)?)?;
    m.add_function(wrap_pyfunction!(manual_seed, m)?)?;
    m.add_function(wrap_pyfunction!(default_generator, m)?)
}
