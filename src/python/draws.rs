//! Random draws as Python asks for them, and the generator. Leans on makers and tensor's draws.

use super::dtype::{PyDevice, device_object, place_of};
use super::makers::{Given, Home};
use super::tensor::PyTensor;
use super::{args, data, enter, wrap};
use crate::backend::launch::Draw;
use crate::base::{DType, Device, Error, Number, dtype::default_float};
use crate::graph::Tensor;
use crate::tensor::random::{self, Stream};
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;

/// The stream that a draw on a device takes its numbers from.
fn stream(op: &str, generator: Option<&Bound<'_, PyAny>>, place: Device) -> PyResult<Stream> {
    match generator {
        Some(g) if !g.is_none() => match g.cast::<PyGenerator>() {
            Ok(g) => match g.get().place {
                Some(own) if own != place => Err(Error::device(
                    op,
                    format!("expected a generator of {place}, where the numbers are drawn, but found one of {own}; use schuss.Generator(\"{place}\")"),
                )
                .into()),
                _ => Ok(g.get().stream.clone()),
            },
            Err(_) => Err(PyTypeError::new_err(format!("generator: must be a schuss.Generator, got {}", args::describe(g)))),
        },
        _ => Ok(random::default()),
    }
}

/// Draws into a new tensor; Python gives PyTorch's names and keywords to it.
#[pyfunction]
#[pyo3(signature = (op, size, kind, a, b, dtype, generator, requires_grad=false, device=None, out=None))]
#[allow(clippy::too_many_arguments)]
fn _draw<'py>(
    py: Python<'py>,
    op: &str,
    size: &Bound<'py, PyAny>,
    kind: &str,
    a: &Bound<'py, PyAny>,
    b: &Bound<'py, PyAny>,
    dtype: Option<&Bound<'py, PyAny>>,
    generator: Option<&Bound<'py, PyAny>>,
    #[pyo3(from_py_with = args::requires_grad)] requires_grad: bool,
    device: Option<&Bound<'py, PyAny>>,
    out: Given<'py>,
) -> PyResult<Py<PyAny>> {
    let shape = args::shape(op, std::slice::from_ref(size))?;
    let what = draw(op, kind, a, b)?;
    let integers = matches!(what, Draw::Integers(..) | Draw::Permutation);
    let home = Home::of(op, dtype, device, out)?;
    if let (Draw::Integers(low, high), Some(d)) = (what, home.dtype) {
        data::checked(op, Number::Int(low), d)?;
        data::checked(op, Number::Int(high - 1), d)?;
    }
    let dtype = home.dtype.unwrap_or_else(|| if integers { DType::I64 } else { default_float() });
    let place = home.place.unwrap_or_default();
    let stream = stream(op, generator, place)?;
    let n = crate::base::shape::count(op, &shape)?;
    let made = enter(py, n, || Tensor::random(op, what, &shape, dtype, &stream, place))?;
    home.finish(py, op, made, requires_grad)
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
    let t = target.get().get_ref();
    let stream = stream(op, generator, t.device())?;
    if !matches!(what, Draw::Integers(..) | Draw::Bernoulli(_)) && !t.dtype().is_inexact() {
        return Err(Error::dtype(op, format!("draws floats, and cannot fill {}; use x.float() first", t.dtype())).into());
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

/// A stream of random numbers (Philox 4x32-10) for draws on one device: a seed, and how far it has been used. Equal seeds
/// give the same bits on every device; a draw on another device than the generator's raises DeviceError.
///
/// >>> g = schuss.Generator().manual_seed(7)
/// >>> g.initial_seed()
/// 7
#[pyclass(frozen, name = "Generator", module = "schuss")]
pub struct PyGenerator {
    stream: Stream,
    /// Where it may draw; anywhere, where nothing is said.
    place: Option<Device>,
}

#[pymethods]
impl PyGenerator {
    #[new]
    #[pyo3(signature = (device=None))]
    fn new(device: Option<&Bound<'_, PyAny>>) -> PyResult<PyGenerator> {
        let place = place_of(device)?.unwrap_or_default();
        crate::backend::at(place)?;
        Ok(PyGenerator { stream: random::stream(random::FIRST_SEED), place: Some(place) })
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
    /// Where it draws; the generator that is used where none is named says the processor, and draws everywhere.
    #[getter]
    fn device(&self) -> PyDevice {
        device_object(self.place.unwrap_or_default())
    }
    fn __repr__(&self) -> String {
        let [seed, offset] = self.stream.get().state();
        let place = self.place.filter(|place| !place.is_cpu()).map(|place| format!(" device={place}")).unwrap_or_default();
        format!("<schuss.Generator seed={seed} offset={offset}{place}>")
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
    Py::new(py, PyGenerator { stream: random::default(), place: None })
}

/// A generator of its own that draws on every device.
#[pyfunction]
fn _stream(seed: &Bound<'_, PyAny>) -> PyResult<PyGenerator> {
    Ok(PyGenerator { stream: random::stream(seed_of(seed)?), place: None })
}

/// Ten rounds of Philox 4x32 on a counter and a key (Salmon et al. 2011).
#[pyfunction]
fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    crate::backend::cpu::random::philox(counter, key)
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyGenerator>()?;
    m.add_function(wrap_pyfunction!(philox, m)?)?;
    m.add_function(wrap_pyfunction!(_draw, m)?)?;
    m.add_function(wrap_pyfunction!(_draw_, m)?)?;
    m.add_function(wrap_pyfunction!(dropout, m)?)?;
    m.add_function(wrap_pyfunction!(manual_seed, m)?)?;
    m.add_function(wrap_pyfunction!(_stream, m)?)?;
    m.add_function(wrap_pyfunction!(default_generator, m)?)
}
