//! dtypes and devices as Python objects: one object for each dtype, compared by identity. Leans on base's dtype.

use crate::base::{DType, Device, Error, dtype};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyComplex, PyFloat, PyInt, PyString, PyType};
use std::cell::{Cell, RefCell};
use std::hash::{DefaultHasher, Hash, Hasher};

/// An element type, such as `schuss.float32`.
#[pyclass(frozen, name = "dtype", module = "schuss")]
pub struct PyDType(pub DType);

static OBJECTS: PyOnceLock<Vec<Py<PyDType>>> = PyOnceLock::new();

/// Other names of the dtypes.
const ALIASES: [(&str, DType); 9] = [
    ("double", DType::F64),
    ("float", DType::F32),
    ("half", DType::F16),
    ("long", DType::I64),
    ("int", DType::I32),
    ("short", DType::I16),
    ("bfloat", DType::BF16),
    ("cfloat", DType::C64),
    ("cdouble", DType::C128),
];

#[pymethods]
impl PyDType {
    /// The bare name, such as "float32".
    ///
    /// >>> schuss.float32.name
    /// 'float32'
    #[getter]
    fn name(&self) -> &'static str {
        self.0.name()
    }
    /// Whether the elements are floats.
    ///
    /// >>> schuss.float16.is_floating_point, schuss.int64.is_floating_point
    /// (True, False)
    #[getter]
    fn is_floating_point(&self) -> bool {
        self.0.is_float()
    }
    /// Whether the elements are complex numbers.
    ///
    /// >>> schuss.complex64.is_complex, schuss.float32.is_complex
    /// (True, False)
    #[getter]
    fn is_complex(&self) -> bool {
        self.0.is_complex()
    }
    /// The dtype of the parts of a complex number: of others, this one.
    ///
    /// >>> schuss.complex128.to_real()
    /// schuss.float64
    fn to_real(&self, py: Python<'_>) -> PyResult<Py<PyDType>> {
        object(py, self.0.real())
    }
    /// The complex dtype whose parts hold this one's numbers.
    ///
    /// >>> schuss.float64.to_complex()
    /// schuss.complex128
    fn to_complex(&self, py: Python<'_>) -> PyResult<Py<PyDType>> {
        object(py, self.0.complex())
    }
    /// Whether there are negative elements.
    ///
    /// >>> schuss.int8.is_signed, schuss.uint8.is_signed
    /// (True, False)
    #[getter]
    fn is_signed(&self) -> bool {
        !matches!(self.0, DType::Bool | DType::U8)
    }
    /// The bytes of one element.
    ///
    /// >>> schuss.bfloat16.itemsize
    /// 2
    #[getter]
    fn itemsize(&self) -> usize {
        self.0.size()
    }
    fn __repr__(&self) -> String {
        format!("schuss.{}", self.0)
    }
    fn __reduce__(&self) -> &'static str {
        self.0.name()
    }
    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        hasher.finish()
    }
    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<PyDType>().is_ok_and(|o| o.get().0 == self.0)
    }
    fn __deepcopy__(slf: Py<Self>, _memo: &Bound<'_, PyAny>) -> Py<Self> {
        slf
    }
}

pub fn object(py: Python<'_>, dtype: DType) -> PyResult<Py<PyDType>> {
    let all = OBJECTS.get_or_try_init(py, || dtype::ALL.iter().map(|&d| Py::new(py, PyDType(d))).collect::<PyResult<Vec<_>>>())?;
    Ok(all[dtype as usize].clone_ref(py))
}

/// A dtype from one of ours, Python's `float`, `int` and `bool`, a name, or NumPy's.
pub fn parse(x: &Bound<'_, PyAny>) -> PyResult<DType> {
    let py = x.py();
    if let Ok(d) = x.cast::<PyDType>() {
        return Ok(d.get().0);
    }
    if x.is(py.get_type::<PyFloat>()) {
        return Ok(DType::F64);
    }
    if x.is(py.get_type::<PyBool>()) {
        return Ok(DType::Bool);
    }
    if x.is(py.get_type::<PyInt>()) {
        return Ok(DType::I64);
    }
    if x.is(py.get_type::<PyComplex>()) {
        return Ok(DType::C128);
    }
    let name = if let Ok(s) = x.cast::<PyString>() {
        s.to_string()
    } else {
        let named = x.getattr("name").or_else(|_| x.getattr("__name__"));
        named.and_then(|n| n.extract::<String>()).unwrap_or_default()
    };
    let short = name.rsplit('.').next().unwrap_or_default();
    DType::from_name(short).or_else(|| ALIASES.iter().find(|(n, _)| *n == short).map(|(_, d)| *d)).ok_or_else(|| {
        PyTypeError::new_err(format!(
            "dtype: {} is no dtype; use one such as schuss.float32",
            x.repr().map(|r| r.to_string()).unwrap_or_default()
        ))
    })
}

/// Where a tensor lives: `schuss.device("cpu")`, or `schuss.device("gpu")`, which "cuda" is another name for.
#[pyclass(frozen, name = "device", module = "schuss")]
#[derive(PartialEq, Eq, Hash, Clone)]
pub struct PyDevice {
    gpu: bool,
    index: Option<usize>,
}

#[pymethods]
impl PyDevice {
    #[new]
    #[pyo3(signature = (device, index=None))]
    fn new(device: &Bound<'_, PyAny>, index: Option<i64>) -> PyResult<PyDevice> {
        let Some(index) = index else { return device_of(device) };
        let name = device.str()?.to_string();
        // "auto" says the number too.
        if device.cast::<PyString>().is_err() || name.contains(':') || name == "auto" {
            let text = format!("a number ({index}) belongs to a kind such as \"gpu\", and {name:?} says which device it is already");
            return Err(Error::device("device", text).into());
        }
        Ok(PyDevice { index: Some(counted(index, &name)?), ..device_of(device)? })
    }
    /// The kind of device.
    ///
    /// >>> schuss.device("cpu").type, schuss.device("cuda").type
    /// ('cpu', 'gpu')
    #[getter]
    fn r#type(&self) -> &'static str {
        if self.gpu { "gpu" } else { "cpu" }
    }
    /// The number of the device among those of its kind; None where it was not said.
    ///
    /// >>> schuss.device("cpu:0").index
    /// 0
    #[getter]
    fn index(&self) -> Option<usize> {
        self.index
    }
    fn __repr__(&self) -> String {
        match self.index {
            None => format!("device(type='{}')", self.r#type()),
            Some(i) => format!("device(type='{}', index={i})", self.r#type()),
        }
    }
    fn __str__(&self) -> String {
        self.index.map_or(self.r#type().into(), |i| format!("{}:{i}", self.r#type()))
    }
    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
    /// Equal to every device, another library's too, that says the same type and index.
    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        if let Ok(device) = other.cast::<PyDevice>() {
            return *device.get() == *self;
        }
        let kind = other.getattr("type").and_then(|t| t.extract::<String>());
        let index = other.getattr("index").and_then(|i| i.extract::<Option<usize>>());
        kind.is_ok_and(|k| k == self.r#type()) && index.is_ok_and(|i| i == self.index)
    }
    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<(Py<PyType>, (String,))> {
        Ok((slf.py().get_type::<PyDevice>().unbind(), (slf.get().__str__(),)))
    }
    /// Within the block, tensors that name no device are made on this one.
    ///
    /// >>> with schuss.device("cpu"):
    /// ...     schuss.ones(1).device
    /// device(type='cpu')
    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let place = slf.get().place()?;
        BLOCKS.with_borrow_mut(|blocks| blocks.push(place));
        Ok(slf)
    }
    fn __exit__(&self, _a: &Bound<'_, PyAny>, _b: &Bound<'_, PyAny>, _c: &Bound<'_, PyAny>) {
        BLOCKS.with_borrow_mut(Vec::pop);
    }
}

thread_local! {
    /// Where a thread's tensors are made that name no device: what was set, and over it the blocks that are open.
    static CHOSEN: Cell<Option<Device>> = const { Cell::new(None) };
    static BLOCKS: RefCell<Vec<Device>> = const { RefCell::new(Vec::new()) };
}

/// The place of tensors that name none; None where nobody has said one.
pub fn default_place() -> Option<Device> {
    BLOCKS.with_borrow(|blocks| blocks.last().copied()).or_else(|| CHOSEN.get())
}

/// Where tensors are made that name no device.
#[pyfunction]
fn _default_device() -> PyDevice {
    device_object(default_place().unwrap_or_default())
}

/// Sets it for this thread; None takes that back.
#[pyfunction]
fn _set_default_device(device: &Bound<'_, PyAny>) -> PyResult<()> {
    CHOSEN.set(place_of(Some(device))?);
    Ok(())
}

/// The number of a device, which is counted from 0.
fn counted(index: i64, name: &str) -> PyResult<usize> {
    usize::try_from(index)
        .map_err(|_| Error::device("device", format!("{name:?} is no device by the number {index}: they are counted from 0")).into())
}

impl PyDevice {
    fn place(&self) -> PyResult<Device> {
        if !self.gpu {
            return Ok(Device::Cpu);
        }
        let index = self.index.unwrap_or(0);
        let index = u8::try_from(index).map_err(|_| Error::device("device", format!("\"gpu:{index}\" is not there")))?;
        Ok(Device::Gpu(index))
    }
}

pub fn cpu() -> PyDevice {
    PyDevice { gpu: false, index: None }
}

/// A place of tensors as a device object.
pub fn device_object(place: Device) -> PyDevice {
    match place {
        Device::Cpu => cpu(),
        Device::Gpu(i) => PyDevice { gpu: true, index: Some(usize::from(i)) },
    }
}

/// A device from an object or a name. Nothing is started, except for "auto": whether it is there shows when it is used.
pub fn device_of(x: &Bound<'_, PyAny>) -> PyResult<PyDevice> {
    if let Ok(d) = x.cast::<PyDevice>() {
        return Ok(d.get().clone());
    }
    if x.is_none() {
        return Ok(cpu());
    }
    let Ok(name) = x.cast::<PyString>() else {
        if let Ok(i) = x.extract::<i64>() {
            return Ok(PyDevice { gpu: true, index: Some(counted(i, "gpu")?) });
        }
        return Err(PyTypeError::new_err(format!("device: expected a name such as \"cpu\" or \"gpu\", got {}", x.get_type().name()?)));
    };
    let name = name.to_string();
    let (kind, index) = match name.split_once(':') {
        Some((kind, index)) => {
            let digits = index.bytes().all(|c| c.is_ascii_digit());
            let Some(i) = index.parse::<usize>().ok().filter(|_| digits) else {
                let text = format!("{name:?} has no whole number from 0 on after the colon, as \"{kind}:0\" has");
                return Err(Error::device("device", text).into());
            };
            (kind.to_string(), Some(i))
        }
        None => (name.clone(), None),
    };
    match kind.as_str() {
        "cpu" => Ok(PyDevice { gpu: false, index }),
        "auto" if index.is_none() => {
            let chosen = x.py().import("schuss.gpu")?.call_method0("choose")?;
            Ok(chosen.cast::<PyDevice>()?.get().clone())
        }
        "gpu" | "cuda" | "mps" | "xpu" | "vulkan" | "metal" => Ok(PyDevice { gpu: true, index }),
        "meta" => {
            let text = "\"meta\" is for tensors without elements, which there are none of; leave it out, or make them on \"cpu\"";
            Err(Error::device("device", text).into())
        }
        _ => Err(Error::device("device", format!("{name:?} is no device; there are \"cpu\", \"gpu\", \"gpu:1\" and \"auto\"")).into()),
    }
}

/// The place that a device parameter names; None where it was left out.
pub fn place_of(x: Option<&Bound<'_, PyAny>>) -> PyResult<Option<Device>> {
    let Some(x) = x.filter(|x| !x.is_none()) else { return Ok(None) };
    device_of(x)?.place().map(Some)
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyDType>()?;
    m.add_class::<PyDevice>()?;
    m.add_function(wrap_pyfunction!(_default_device, m)?)?;
    m.add_function(wrap_pyfunction!(_set_default_device, m)?)?;
    let py = m.py();
    for d in dtype::ALL {
        m.add(d.name(), object(py, d)?)?;
    }
    for (alias, d) in ALIASES {
        if alias != "bfloat" {
            m.add(alias, object(py, d)?)?;
        }
    }
    Ok(())
}
