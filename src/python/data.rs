//! Tensors from Python's data and back: nested lists, arrays by the buffer protocol, shared memory. Leans on tensor's makers.

use super::tensor::PyTensor;
use super::{args, dtype, given};
use crate::backend::{Operand, Storage, trace};
use crate::base::dtype::Truth;
use crate::base::{DType, Error, Layout, Number, Result, dtype::default_float, shape};
use crate::graph::Tensor;
use num_complex::Complex;
use pyo3::buffer::PyUntypedBuffer;
use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyComplex, PyFloat, PyList, PyString, PyTuple};
use std::any::Any;
use std::ffi::{CStr, c_int};
use std::sync::Arc;

/// The letter of the buffer protocol for a dtype; bfloat16 has none.
pub fn letter(dtype: DType) -> Option<&'static CStr> {
    Some(match dtype {
        DType::Bool => c"?",
        DType::U8 => c"B",
        DType::I8 => c"b",
        DType::I16 => c"h",
        DType::I32 => c"i",
        DType::I64 => c"q",
        DType::F16 => c"e",
        DType::F32 => c"f",
        DType::F64 => c"d",
        DType::C64 => c"Zf",
        DType::C128 => c"Zd",
        DType::BF16 => return None,
    })
}

fn by_letter(format: &CStr, size: usize) -> Option<DType> {
    let text = format.to_bytes();
    let text = text.strip_prefix(b"<").or_else(|| text.strip_prefix(b"=")).or_else(|| text.strip_prefix(b"@")).unwrap_or(text);
    Some(match (text, size) {
        (b"?", 1) => DType::Bool,
        (b"B", 1) => DType::U8,
        (b"b", 1) => DType::I8,
        (b"h", 2) => DType::I16,
        (b"i" | b"l", 4) => DType::I32,
        (b"q" | b"l", 8) => DType::I64,
        (b"e", 2) => DType::F16,
        (b"f", 4) => DType::F32,
        (b"d", 8) => DType::F64,
        (b"Zf", 8) => DType::C64,
        (b"Zd", 16) => DType::C128,
        _ => return None,
    })
}

/// Whether an object is an array of numbers (anything but text that speaks the buffer protocol or `__array__`).
pub fn is_array(x: &Bound<'_, PyAny>) -> bool {
    if x.is_instance_of::<PyString>() || x.is_instance_of::<PyBytes>() || x.is_instance_of::<PyList>() || x.is_instance_of::<PyTuple>() {
        return false;
    }
    // SAFETY: the object is alive and the interpreter attached.
    let buffer = unsafe { ffi::PyObject_CheckBuffer(x.as_ptr()) } != 0;
    buffer || x.hasattr("__array__").unwrap_or(false)
}

/// An array as NumPy sees it, where it is not one that speaks the buffer protocol itself.
fn as_array<'py>(x: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    x.py().import("numpy")?.call_method1("asarray", (x,))
}

/// A tensor over an array's own memory.
pub fn share(x: &Bound<'_, PyAny>) -> PyResult<Tensor> {
    crate::engine::start();
    let scalar = x.getattr("ndim").and_then(|n| n.extract::<usize>()).is_ok_and(|n| n == 0);
    if scalar {
        // A 0-d array gives no sizes through the protocol, so it is seen as one of a single element.
        let one = share(&x.call_method1("reshape", (1,))?)?;
        let operand = one.operand();
        return Ok(Tensor::from_operand(operand.view(Layout::new(
            crate::base::Few::new(),
            crate::base::Few::new(),
            operand.layout.offset,
        ))));
    }
    let buffer = PyUntypedBuffer::get(x)
        .map_err(|_| PyTypeError::new_err(format!("from_numpy: expected a NumPy array, got {}", args::describe(x))))?;
    let foreign = buffer.format().to_bytes().starts_with(b">");
    let unknown = || {
        if foreign {
            return PyValueError::new_err("from_numpy: the array's byte order is not this machine's; use .astype() first");
        }
        let text = format!(
            "an array of {} has no schuss dtype; use .astype() to one of bool, uint8, int8 to int64, float16 to float64, complex64, complex128",
            x.getattr("dtype").map(|d| d.to_string()).unwrap_or_else(|_| buffer.format().to_string_lossy().into_owned())
        );
        Error::dtype("from_numpy", text).into()
    };
    let dtype = by_letter(buffer.format(), buffer.item_size()).ok_or_else(unknown)?;
    let size = dtype.size() as isize;
    let odd = |_| PyValueError::new_err("from_numpy: the array's strides are no multiple of its item size; use .copy() first");
    let strides = buffer
        .strides()
        .iter()
        .map(|&s| if s % size == 0 { Ok(s / size) } else { Err(()) })
        .collect::<std::result::Result<crate::base::Few<isize>, ()>>()
        .map_err(odd)?;
    let layout = Layout::new(buffer.shape().into(), strides, 0);
    let (base, readonly) = (buffer.buf_ptr().cast::<u8>(), buffer.readonly());
    fits("from_numpy", base, dtype)?;
    // SAFETY: the buffer keeps the memory of all its elements alive, from the lowest to one past the highest.
    Ok(unsafe { over(base, layout, dtype, !readonly, Box::new(buffer)) })
}

/// Refuses memory that lies where no element of the dtype may lie.
pub fn fits(op: &str, base: *const u8, dtype: DType) -> PyResult<()> {
    if (base as usize).is_multiple_of(dtype.real().size()) {
        return Ok(());
    }
    Err(PyValueError::new_err(format!("{op}: the array's memory is not aligned; use .copy() first")))
}

/// A tensor over memory that somebody else owns, whose element at the index of zeros lies at `base`.
///
/// # Safety
/// The memory of every element of the layout must stay valid for as long as `keeper` lives.
pub unsafe fn over(base: *mut u8, layout: Layout, dtype: DType, writable: bool, keeper: Box<dyn Any + Send + Sync>) -> Tensor {
    let (low, high) = layout.span();
    let size = dtype.size() as isize;
    // A negative stride starts at the far end: the storage begins at the lowest address. Nothing may have no address.
    let start = if high == low { std::ptr::without_provenance_mut(64) } else { base.wrapping_offset(low * size) };
    let layout = Layout::new(layout.shape, layout.strides, (-low) as usize);
    // SAFETY: the caller's promise, about the bytes from the lowest element to one past the highest.
    let storage = unsafe { Storage::foreign(start, ((high - low) * size) as usize, writable, keeper) };
    Tensor::from_operand(Operand { storage: Arc::new(storage), layout, dtype })
}

/// The elements where the host can read them, outside every graph if they had to be brought.
pub fn home(t: &Tensor) -> Result<Tensor> {
    crate::backend::somewhere(&t.operand())?;
    if t.device().is_cpu() { Ok(t.clone()) } else { t.detach().to_device(crate::base::Device::Cpu) }
}

/// A tensor of its own from any data, converted to a dtype where one is given.
pub fn to_tensor(x: &Bound<'_, PyAny>, wanted: Option<DType>) -> PyResult<Tensor> {
    crate::engine::start();
    if let Ok(t) = x.cast::<PyTensor>() {
        let t = t.get().tensor();
        let copy = crate::ops::view::clone_(&t.detach())?;
        return Ok(match wanted {
            Some(d) => copy.to_dtype(d)?,
            None => copy,
        });
    }
    // NumPy's float64 is a Python float as well, but keeps its dtype.
    let wide = (x.is_instance_of::<PyFloat>() && !x.is_exact_instance_of::<PyFloat>()
        || x.is_instance_of::<PyComplex>() && !x.is_exact_instance_of::<PyComplex>())
        && is_array(x);
    if !wide && let Some(n) = args::number(x)? {
        let dtype = wanted.unwrap_or_else(|| n.dtype());
        return Ok(Tensor::full(&[], checked("tensor", n, dtype)?, dtype)?);
    }
    if x.is_instance_of::<PyList>() || x.is_instance_of::<PyTuple>() {
        return nested(x, wanted);
    }
    if is_array(x) {
        let shared = match PyUntypedBuffer::get(x) {
            Ok(buffer) if by_letter(buffer.format(), buffer.item_size()).is_some() => share(x),
            _ => share(&as_array(x)?),
        }?;
        let dtype = wanted.unwrap_or_else(|| shared.dtype());
        return Ok(if dtype == shared.dtype() { crate::ops::view::clone_(&shared)? } else { crate::ops::view::cast(&shared, dtype)? });
    }
    if x.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err("tensor: a string is no data; give numbers, lists or arrays"));
    }
    if let Ok(f) = x.extract::<f64>() {
        let dtype = wanted.unwrap_or_else(default_float);
        return Ok(Tensor::full(&[], f, dtype)?);
    }
    let mapping = x.is_instance_of::<pyo3::types::PyDict>() || x.is_instance_of::<pyo3::types::PySet>();
    if !mapping && x.hasattr("__len__")? && x.hasattr("__getitem__")? {
        let list = x.py().get_type::<PyList>().call1((x,))?;
        return nested(&list, wanted);
    }
    Err(Error::dtype("tensor", format!("cannot make a tensor of {}; give numbers, lists or arrays", args::describe(x))).into())
}

/// NaN and infinity have no integer.
pub fn checked(op: &str, n: Number, dtype: DType) -> PyResult<Number> {
    match n {
        Number::Complex(_, im) if !dtype.is_complex() && dtype != DType::Bool && im != 0.0 => {
            Err(PyRuntimeError::new_err(format!("{op}: {} has no {dtype} value; give a complex dtype", shown(n))))
        }
        Number::Complex(re, _) if dtype.is_float() => Ok(Number::Float(re)),
        Number::Complex(re, _) if dtype.is_int() => checked(op, Number::Float(re), dtype),
        Number::Float(f) if dtype.is_int() && !f.is_finite() => Err(PyRuntimeError::new_err(format!("{op}: {f} has no {dtype} value"))),
        Number::Float(f) if dtype.is_int() => Ok(Number::Int(f as i64)),
        Number::Int(i) if dtype.is_int() => {
            let fits = match dtype {
                DType::U8 => u8::try_from(i).is_ok(),
                DType::I8 => i8::try_from(i).is_ok(),
                DType::I16 => i16::try_from(i).is_ok(),
                DType::I32 => i32::try_from(i).is_ok(),
                _ => true,
            };
            if fits { Ok(n) } else { Err(PyRuntimeError::new_err(format!("{op}: the integer {i} does not fit {dtype}"))) }
        }
        other => Ok(other),
    }
}

/// A complex number as Python writes it.
pub fn shown(n: Number) -> String {
    let (re, im) = n.pair();
    format!("({re}{im:+}j)")
}

struct Reader {
    shape: Vec<usize>,
    values: Vec<Number>,
    widest: Option<DType>,
}

impl Reader {
    fn read(&mut self, x: &Bound<'_, PyAny>, depth: usize) -> PyResult<()> {
        if let Some(n) = args::number(x)? {
            // NumPy's float64 is a float of Python's by class, and brings its own width; its complex128 a complex number.
            let dtype = match n {
                Number::Float(_) if x.cast_exact::<PyFloat>().is_err() && !given::is(x) => DType::F64,
                Number::Complex(..) if x.cast_exact::<PyComplex>().is_err() => DType::C128,
                _ => n.dtype(),
            };
            return self.leaf(n, dtype, depth);
        }
        if x.is_instance_of::<PyList>() || x.is_instance_of::<PyTuple>() {
            let n = x.len()?;
            self.level(depth, n)?;
            for item in x.try_iter()? {
                self.read(&item?, depth + 1)?;
            }
            return Ok(());
        }
        let inner = match x.cast::<PyTensor>() {
            Ok(t) => t.get().tensor(),
            Err(_) if x.is_instance_of::<PyString>() => return Err(PyTypeError::new_err("tensor: a string is no number")),
            Err(_) if is_array(x) => to_tensor(x, None)?,
            Err(_) => match x.extract::<f64>() {
                Ok(f) => return self.leaf(Number::Float(f), default_float(), depth),
                Err(_) => return Err(Error::dtype("tensor", format!("{} is no number", args::describe(x))).into()),
            },
        };
        let inner = home(&inner)?;
        trace::read_for("the step makes a tensor of the numbers in others (tensor([...]))", trace::instead::STACK)?;
        for (k, &n) in inner.shape().iter().enumerate() {
            self.level(depth + k, n)?;
        }
        let (dtype, rank) = (inner.dtype(), inner.rank());
        if dtype.is_complex() {
            let list = inner.to_vec::<Complex<f64>>();
            list.into_iter().try_for_each(|z| self.leaf(Number::Complex(z.re, z.im), dtype, depth + rank))
        } else if dtype.is_float() {
            inner.to_vec::<f64>().into_iter().try_for_each(|v| self.leaf(Number::Float(v), dtype, depth + rank))
        } else {
            inner.to_vec::<i64>().into_iter().try_for_each(|v| self.leaf(Number::Int(v), dtype, depth + rank))
        }
    }

    fn level(&mut self, depth: usize, n: usize) -> PyResult<()> {
        if depth > 64 {
            return Err(PyValueError::new_err("tensor: the lists are nested more than 64 deep"));
        }
        match self.shape.get(depth) {
            None if self.values.is_empty() => {
                self.shape.push(n);
                Ok(())
            }
            Some(&m) if m == n => Ok(()),
            Some(m) => Err(PyValueError::new_err(format!(
                "tensor: the lists are uneven: at depth {depth} expected a sequence of length {m}, got one of length {n}"
            ))),
            None => Err(PyValueError::new_err(format!(
                "tensor: the lists are uneven: a sequence of length {n} stands at depth {depth} where a number is expected"
            ))),
        }
    }

    fn leaf(&mut self, n: Number, dtype: DType, depth: usize) -> PyResult<()> {
        if depth != self.shape.len() {
            return Err(PyValueError::new_err(format!(
                "tensor: the lists are uneven: a number stands at depth {depth} where a sequence is expected"
            )));
        }
        if self.widest != Some(dtype) {
            self.widest = Some(self.widest.map_or(dtype, |w| w.promote(dtype)));
        }
        self.values.push(n);
        Ok(())
    }
}

fn nested(x: &Bound<'_, PyAny>, wanted: Option<DType>) -> PyResult<Tensor> {
    let mut reader = Reader { shape: Vec::new(), values: Vec::new(), widest: None };
    reader.read(x, 0)?;
    let dtype = wanted.or(reader.widest).unwrap_or_else(default_float);
    let list = &reader.values;
    let made = match dtype {
        DType::Bool => Tensor::from_slice(&list.iter().map(|n| Truth(u8::from(n.truth()))).collect::<Vec<_>>(), &reader.shape)?,
        d if d.is_complex() => {
            let pair = |n: &Number| Complex::new(n.pair().0, n.pair().1);
            Tensor::from_slice(&list.iter().map(pair).collect::<Vec<_>>(), &reader.shape)?
        }
        d if d.is_float() && list.iter().any(|n| n.is_complex()) => {
            let parts = list.iter().map(|&n| checked("tensor", n, d).map(Number::as_f64)).collect::<PyResult<Vec<_>>>()?;
            Tensor::from_slice(&parts, &reader.shape)?
        }
        d if d.is_float() => Tensor::from_slice(&list.iter().map(|n| n.as_f64()).collect::<Vec<_>>(), &reader.shape)?,
        d => {
            let ints = list.iter().map(|&n| checked("tensor", n, d).map(Number::as_i64)).collect::<PyResult<Vec<_>>>()?;
            Tensor::from_slice(&ints, &reader.shape)?
        }
    };
    Ok(made.to_dtype(dtype)?)
}

/// Elements as nested Python lists.
pub fn to_list(py: Python<'_>, t: &Tensor) -> PyResult<Py<PyAny>> {
    trace::read("the step lists a tensor's elements (tolist)")?;
    let t = &home(t)?;
    let shape = t.shape();
    let as_objects: Vec<Py<PyAny>> = match t.dtype() {
        DType::Bool => t.to_vec::<Truth>().into_iter().map(|v| py_number(py, Number::Bool(v.0 != 0))).collect::<PyResult<_>>()?,
        d if d.is_complex() => {
            t.to_vec::<Complex<f64>>().into_iter().map(|z| py_number(py, Number::Complex(z.re, z.im))).collect::<PyResult<_>>()?
        }
        d if d.is_float() => t.to_vec::<f64>().into_iter().map(|v| py_number(py, Number::Float(v))).collect::<PyResult<_>>()?,
        _ => t.to_vec::<i64>().into_iter().map(|v| py_number(py, Number::Int(v))).collect::<PyResult<_>>()?,
    };
    if shape.is_empty() {
        return as_objects.into_iter().next().ok_or_else(|| PyValueError::new_err("tolist: nothing to list"));
    }
    let mut level = as_objects;
    for &n in shape.iter().skip(1).rev() {
        level = if n == 0 {
            let count: usize = shape.iter().take_while(|&&s| s != 0).product();
            (0..count).map(|_| PyList::empty(py).into_any().unbind()).collect()
        } else {
            let mut next = Vec::new();
            let mut items = level.into_iter();
            while let Some(first) = items.next() {
                let row: Vec<Py<PyAny>> = std::iter::once(first).chain(items.by_ref().take(n - 1)).collect();
                next.push(PyList::new(py, row)?.into_any().unbind());
            }
            next
        };
    }
    if shape[0] == 0 {
        level.clear();
    }
    Ok(PyList::new(py, level)?.into_any().unbind())
}

pub fn py_number(py: Python<'_>, n: Number) -> PyResult<Py<PyAny>> {
    Ok(match n {
        Number::Bool(b) => b.into_pyobject(py)?.to_owned().into_any().unbind(),
        Number::Int(i) => i.into_pyobject(py)?.into_any().unbind(),
        Number::Float(f) => f.into_pyobject(py)?.into_any().unbind(),
        Number::Complex(re, im) => PyComplex::from_doubles(py, re, im).into_any().unbind(),
    })
}

/// What a consumer of our memory keeps: the storage, and the sizes in the form that the protocol wants.
struct Lent {
    _storage: Arc<Storage>,
    shape: Vec<ffi::Py_ssize_t>,
    strides: Vec<ffi::Py_ssize_t>,
}

/// Fills a buffer view over a tensor's memory.
///
/// # Safety
/// `view` must point to a `Py_buffer` that the caller may fill.
pub unsafe fn lend(owner: &Bound<'_, PyAny>, t: &Tensor, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
    let refuse = |m: String| pyo3::exceptions::PyBufferError::new_err(m);
    if view.is_null() {
        return Err(refuse("buffer: no view to fill".into()));
    }
    at_hand("buffer", t).map_err(|e| refuse(e.to_string()))?;
    trace::read("the step lends a tensor's memory (the buffer protocol)")?;
    let operand = t.operand();
    let Some(format) = letter(operand.dtype) else {
        return Err(refuse(format!("buffer: NumPy has no {}; use x.float() first", operand.dtype)));
    };
    let size = operand.dtype.size() as ffi::Py_ssize_t;
    let writable = operand.storage.is_writable();
    if flags & ffi::PyBUF_WRITABLE == ffi::PyBUF_WRITABLE && !writable {
        return Err(refuse("buffer: the memory is read-only".into()));
    }
    let strided = flags & ffi::PyBUF_STRIDES == ffi::PyBUF_STRIDES;
    if !strided && !operand.layout.is_contiguous() {
        return Err(refuse("buffer: the elements do not lie one after the other; use x.contiguous() first".into()));
    }
    let ptr = operand.ptr();
    let lent = Box::new(Lent {
        shape: operand.layout.shape.iter().map(|&n| n as ffi::Py_ssize_t).collect(),
        strides: operand.layout.strides.iter().map(|&s| s as ffi::Py_ssize_t * size).collect(),
        _storage: operand.storage,
    });
    // SAFETY: the caller's view is valid; shape and strides live in `lent`, which lives until `give_back`.
    unsafe {
        (*view).obj = owner.clone().into_ptr();
        (*view).buf = ptr.cast();
        (*view).len = lent.shape.iter().product::<ffi::Py_ssize_t>() * size;
        (*view).itemsize = size;
        (*view).readonly = c_int::from(!writable);
        (*view).ndim = lent.shape.len() as c_int;
        (*view).format = if flags & ffi::PyBUF_FORMAT == ffi::PyBUF_FORMAT { format.as_ptr().cast_mut() } else { std::ptr::null_mut() };
        (*view).shape = if flags & ffi::PyBUF_ND == ffi::PyBUF_ND { lent.shape.as_ptr().cast_mut() } else { std::ptr::null_mut() };
        (*view).strides = if strided { lent.strides.as_ptr().cast_mut() } else { std::ptr::null_mut() };
        (*view).suboffsets = std::ptr::null_mut();
        (*view).internal = Box::into_raw(lent).cast();
    }
    Ok(())
}

/// Ends a loan.
///
/// # Safety
/// `view` must have been filled by `lend`, and be given back once.
pub unsafe fn give_back(view: *mut ffi::Py_buffer) {
    // SAFETY: the caller's promise.
    unsafe { drop(Box::from_raw((*view).internal.cast::<Lent>())) };
}

/// A NumPy array over a tensor's memory.
pub fn numpy(py: Python<'_>, object: &Bound<'_, PyAny>, t: &Tensor) -> PyResult<Py<PyAny>> {
    at_hand("numpy", t)?;
    trace::read("the step hands a tensor's memory to NumPy (numpy, __array__)")?;
    if t.dtype() == DType::BF16 {
        return Err(PyTypeError::new_err("numpy: NumPy has no bfloat16; use x.float().numpy()"));
    }
    Ok(py.import("numpy")?.call_method1("asarray", (object,))?.unbind())
}

/// NumPy reads the host's memory alone.
pub fn at_hand(op: &str, t: &Tensor) -> PyResult<()> {
    crate::backend::somewhere(&t.operand())?;
    if t.device().is_cpu() {
        return Ok(());
    }
    Err(PyTypeError::new_err(format!(
        "{op}: can't convert a tensor on {} to NumPy; use .cpu() to copy it to the processor first",
        t.device()
    )))
}

/// Raises as PyTorch does where a recorded tensor would leave the graph.
pub fn may_leave(op: &str, t: &Tensor) -> Result<()> {
    if t.requires_grad() && crate::graph::mode::grad_enabled() {
        return Err(Error::runtime(
            op,
            format!("can't call {op} on a tensor that requires grad (shape {}); use x.detach().{op}()", shape::show(&t.shape())),
        ));
    }
    Ok(())
}

/// A dtype parameter and a device that is checked, as every maker takes them.
pub fn options(dtype: Option<&Bound<'_, PyAny>>, device: Option<&Bound<'_, PyAny>>) -> PyResult<Option<DType>> {
    if let Some(device) = device {
        dtype::device_of(device)?;
    }
    args::maybe_dtype(dtype)
}
