//! Memory lent to other libraries and borrowed from theirs as DLPack capsules, old and versioned. Leans on data for what lies over foreign memory.

use super::tensor::PyTensor;
use super::{args, data, wrap};
use crate::backend::Storage;
use crate::base::{DType, Few, Layout};
use pyo3::exceptions::{PyBufferError, PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use std::ffi::{CStr, c_void};
use std::sync::Arc;

/// The version of the protocol that is spoken: structures of this major version are read.
const VERSION: [u32; 2] = [1, 1];
const READ_ONLY: u64 = 1;
const COPIED: u64 = 2;
/// Kinds of devices whose memory the processor reads: its own, and what CUDA and ROCm keep in it.
const HOST: [i32; 3] = [1, 3, 11];
const MOST_AXES: usize = 64;

/// `DLTensor` of the protocol, field by field.
#[repr(C)]
struct Array {
    data: *mut c_void,
    device: [i32; 2],
    ndim: i32,
    code: u8,
    bits: u8,
    lanes: u16,
    shape: *mut i64,
    strides: *mut i64,
    byte_offset: u64,
}

/// `DLManagedTensor`.
#[repr(C)]
struct Plain {
    array: Array,
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Plain)>,
}

/// `DLManagedTensorVersioned`.
#[repr(C)]
struct Versioned {
    version: [u32; 2],
    context: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut Versioned)>,
    flags: u64,
    array: Array,
}

/// What the two structures have in common.
trait Managed: Sized + 'static {
    const NAME: &'static CStr;
    const USED: &'static CStr;
    fn new(array: Array, flags: u64, deleter: unsafe extern "C" fn(*mut Self)) -> Self;
    fn array(&self) -> &Array;
    fn flags(&self) -> u64;
    fn major(&self) -> u32;
    fn deleter(&self) -> Option<unsafe extern "C" fn(*mut Self)>;
}

impl Managed for Plain {
    const NAME: &'static CStr = c"dltensor";
    const USED: &'static CStr = c"used_dltensor";
    fn new(array: Array, _flags: u64, deleter: unsafe extern "C" fn(*mut Self)) -> Self {
        Plain { array, context: std::ptr::null_mut(), deleter: Some(deleter) }
    }
    fn array(&self) -> &Array {
        &self.array
    }
    fn flags(&self) -> u64 {
        0
    }
    fn major(&self) -> u32 {
        VERSION[0]
    }
    fn deleter(&self) -> Option<unsafe extern "C" fn(*mut Self)> {
        self.deleter
    }
}

impl Managed for Versioned {
    const NAME: &'static CStr = c"dltensor_versioned";
    const USED: &'static CStr = c"used_dltensor_versioned";
    fn new(array: Array, flags: u64, deleter: unsafe extern "C" fn(*mut Self)) -> Self {
        Versioned { version: VERSION, context: std::ptr::null_mut(), deleter: Some(deleter), flags, array }
    }
    fn array(&self) -> &Array {
        &self.array
    }
    fn flags(&self) -> u64 {
        self.flags
    }
    fn major(&self) -> u32 {
        self.version[0]
    }
    fn deleter(&self) -> Option<unsafe extern "C" fn(*mut Self)> {
        self.deleter
    }
}

/// A dtype's kind in the protocol: 0 integers, 1 unsigned ones, 2 floats, 4 bfloat16, 5 complex numbers, 6 truths.
fn code(dtype: DType) -> u8 {
    match dtype {
        DType::Bool => 6,
        DType::BF16 => 4,
        DType::U8 => 1,
        DType::C64 | DType::C128 => 5,
        d if d.is_float() => 2,
        _ => 0,
    }
}

fn by_code(array: &Array) -> Option<DType> {
    let matches = |d: &DType| array.lanes == 1 && code(*d) == array.code && d.size() * 8 == usize::from(array.bits);
    crate::base::dtype::ALL.into_iter().find(matches)
}

// ---- lending ------------------------------------------------------------------------------------

/// A structure that was handed out, with what it points to.
#[repr(C)]
struct Lent<M> {
    /// First, so that its address is that of the whole.
    managed: M,
    shape: Few<i64>,
    strides: Few<i64>,
    _storage: Arc<Storage>,
}

/// Ends a loan: what the consumer calls.
unsafe extern "C" fn give_back<M: Managed>(managed: *mut M) {
    if !managed.is_null() {
        // SAFETY: the structure is the first field of a box that `lend` let go; consumers call this once.
        drop(unsafe { Box::from_raw(managed.cast::<Lent<M>>()) });
    }
}

/// A capsule that nobody took gives its loan back.
unsafe extern "C" fn untaken<M: Managed>(capsule: *mut ffi::PyObject) {
    // SAFETY: the interpreter hands the dying capsule; whoever takes one renames it.
    unsafe {
        if ffi::PyCapsule_IsValid(capsule, M::NAME.as_ptr()) == 1 {
            give_back(ffi::PyCapsule_GetPointer(capsule, M::NAME.as_ptr()).cast::<M>());
        }
    }
}

fn lend<M: Managed>(py: Python<'_>, t: &crate::graph::Tensor, flags: u64) -> PyResult<Py<PyAny>> {
    let operand = t.operand();
    let dtype = operand.dtype;
    let array = Array {
        data: operand.ptr().cast(),
        device: [HOST[0], 0],
        ndim: operand.layout.rank() as i32,
        code: code(dtype),
        bits: (dtype.size() * 8) as u8,
        lanes: 1,
        shape: std::ptr::null_mut(),
        strides: std::ptr::null_mut(),
        byte_offset: 0,
    };
    let mut lent = Box::new(Lent {
        managed: M::new(array, flags, give_back::<M>),
        shape: operand.layout.shape.iter().map(|&n| n as i64).collect(),
        strides: operand.layout.strides.iter().map(|&s| s as i64).collect(),
        _storage: operand.storage,
    });
    let (shape, strides) = (lent.shape.as_mut_ptr(), lent.strides.as_mut_ptr());
    let raw = Box::into_raw(lent);
    // SAFETY: the box was just let go, so it is whole and nobody else's; the array lies in it, where the sizes lie too.
    unsafe {
        let array = std::ptr::from_ref((*raw).managed.array()).cast_mut();
        (*array).shape = shape;
        (*array).strides = strides;
        let capsule = ffi::PyCapsule_New(raw.cast(), M::NAME.as_ptr(), Some(untaken::<M>));
        if capsule.is_null() {
            drop(Box::from_raw(raw));
        }
        Bound::from_owned_ptr_or_err(py, capsule).map(Bound::unbind)
    }
}

/// A capsule over a tensor's memory on the processor; `copied` says that the memory was made for it.
#[pyfunction]
fn _lend(tensor: &Bound<'_, PyTensor>, versioned: bool, copied: bool) -> PyResult<Py<PyAny>> {
    let (py, t) = (tensor.py(), tensor.get().tensor());
    data::at_hand("__dlpack__", &t).map_err(|e| PyBufferError::new_err(e.value(py).to_string()))?;
    crate::backend::trace::read("the step lends a tensor's memory (__dlpack__)")?;
    let read_only = !t.storage().is_writable();
    if read_only && !versioned {
        return Err(PyBufferError::new_err(
            "__dlpack__: the memory is read-only, which capsules before version 1.0 cannot say; pass max_version=(1, 0) or copy=True",
        ));
    }
    if !versioned {
        return lend::<Plain>(py, &t, 0);
    }
    lend::<Versioned>(py, &t, u64::from(read_only) * READ_ONLY + u64::from(copied) * COPIED)
}

// ---- borrowing ----------------------------------------------------------------------------------

/// A structure that was taken out of its capsule; its owner hears when it is no longer needed.
struct Borrowed<M: Managed>(*mut M);

// SAFETY: the structure is only handed back, under the interpreter's lock, by whoever drops it.
unsafe impl<M: Managed> Send for Borrowed<M> {}
// SAFETY: as above; nothing reads through a shared reference.
unsafe impl<M: Managed> Sync for Borrowed<M> {}

impl<M: Managed> Drop for Borrowed<M> {
    fn drop(&mut self) {
        // Owners may have Python objects to let go. Where the interpreter has ended, so have they.
        Python::try_attach(|_| {
            // SAFETY: the structure is alive until its deleter is called, which happens here alone.
            unsafe {
                if let Some(deleter) = (*self.0).deleter() {
                    deleter(self.0);
                }
            }
        });
    }
}

/// # Safety
/// The capsule must hold an `M` under its unused name.
unsafe fn borrow<M: Managed>(capsule: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    let refuse = |text: String| PyBufferError::new_err(format!("from_dlpack: {text}"));
    // SAFETY: the caller's promise; the structure outlives every use of `managed`.
    let raw = unsafe { ffi::PyCapsule_GetPointer(capsule.as_ptr(), M::NAME.as_ptr()) }.cast::<M>();
    if raw.is_null() {
        return Err(PyErr::fetch(capsule.py()));
    }
    // SAFETY: as above.
    let managed = unsafe { &*raw };
    if managed.major() != VERSION[0] {
        let text =
            format!("the capsule is of version {}, this library reads version {}; ask for max_version=(1, 0)", managed.major(), VERSION[0]);
        return Err(refuse(text));
    }
    let array = managed.array();
    if !HOST.contains(&array.device[0]) {
        let text = format!("the memory is on a device of kind {}, which is not reached; copy it to the processor first", array.device[0]);
        return Err(refuse(text));
    }
    let dtype = by_code(array).ok_or_else(|| {
        refuse(format!(
            "elements of kind {} with {} bits and {} lanes have no schuss dtype; convert to one of bool, uint8, int8 to int64, bfloat16, float16 to float64, complex64, complex128",
            array.code, array.bits, array.lanes
        ))
    })?;
    let rank = usize::try_from(array.ndim).ok().filter(|&n| n <= MOST_AXES).ok_or_else(|| refuse(format!("{} axes", array.ndim)))?;
    let read = |from: *const i64| {
        // SAFETY: the protocol promises `ndim` integers where the pointer is not null.
        if rank == 0 || from.is_null() { &[][..] } else { unsafe { std::slice::from_raw_parts(from, rank) } }
    };
    let sizes = read(array.shape);
    if sizes.len() != rank || sizes.iter().any(|&n| n < 0) {
        return Err(refuse(format!("{sizes:?} is no shape of {rank} axes")));
    }
    let shape: Few<usize> = sizes.iter().map(|&n| n as usize).collect();
    let whole = shape.iter().try_fold(dtype.size(), |n, &d| n.checked_mul(d.max(1))).filter(|&n| n <= isize::MAX as usize);
    if whole.is_none() {
        return Err(refuse(format!("no memory holds the shape {sizes:?}")));
    }
    let layout = match read(array.strides) {
        [] => Layout::contiguous(shape),
        strides => Layout::new(shape, strides.iter().map(|&s| s as isize).collect(), 0),
    };
    let base = array.data.cast::<u8>().wrapping_add(array.byte_offset as usize);
    if base.is_null() && layout.numel() > 0 {
        return Err(refuse(format!("a shape of {sizes:?}, and no address of its elements")));
    }
    let writable = managed.flags() & READ_ONLY == 0;
    data::fits("from_dlpack", base, dtype).map_err(|e| refuse(e.to_string()))?;
    // SAFETY: the capsule is valid; its new name says that the structure is ours from here on.
    if unsafe { ffi::PyCapsule_SetName(capsule.as_ptr(), M::USED.as_ptr()) } != 0 {
        return Err(PyErr::fetch(capsule.py()));
    }
    // SAFETY: the structure keeps the memory of all its elements alive until its deleter is called.
    wrap(capsule.py(), unsafe { data::over(base, layout, dtype, writable, Box::new(Borrowed(raw))) })
}

/// A tensor over the memory that a capsule holds; the capsule is used up.
#[pyfunction]
fn _borrow(capsule: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    crate::engine::start();
    // SAFETY: asks about names alone, of any object.
    let named = |name: &CStr| unsafe { ffi::PyCapsule_IsValid(capsule.as_ptr(), name.as_ptr()) } == 1;
    // SAFETY: by the protocol what these names stand for is the structure.
    unsafe {
        if named(Versioned::NAME) {
            return borrow::<Versioned>(capsule);
        }
        if named(Plain::NAME) {
            return borrow::<Plain>(capsule);
        }
    }
    if named(Versioned::USED) || named(Plain::USED) {
        return Err(PyRuntimeError::new_err("from_dlpack: the capsule was used before; ask its maker for a new one"));
    }
    let text = format!("from_dlpack: expected an array that has __dlpack__, or a DLPack capsule, got {}", args::describe(capsule));
    Err(PyTypeError::new_err(text))
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(_lend, m)?)?;
    m.add_function(wrap_pyfunction!(_borrow, m)?)
}
