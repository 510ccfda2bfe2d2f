//! What Python asks of GPUs: which there are, what they hold and have done, to wait for them. Leans on backend's devices.

use super::enter;
use super::tensor::PyTensor;
use crate::backend::{Operand, place};
use crate::base::{Device, Result};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

#[cfg(feature = "gpu")]
mod present {
    use super::Result;
    use crate::backend::gpu::{self, Gpu};
    use std::sync::atomic::Ordering;

    pub fn count() -> usize {
        gpu::count()
    }
    /// (name, kind, interface, driver, bus, whether it is offered)
    pub fn list() -> Vec<[String; 5]> {
        gpu::list().into_iter().map(|f| [f.name, f.kind.to_string(), f.api, f.driver, f.bus]).collect()
    }
    pub fn gpu(index: u8) -> Result<&'static Gpu> {
        gpu::open(index)
    }
    pub fn memory(index: u8) -> Result<[u64; 4]> {
        let m = gpu(index)?.memory();
        Ok([m.used, m.idle, m.peak, m.budget])
    }
    pub fn counters(index: u8) -> Result<[u64; 3]> {
        let gpu = gpu(index)?;
        let read = |c: &std::sync::atomic::AtomicU64| c.load(Ordering::Relaxed);
        Ok([read(&gpu.counters.dispatches), read(&gpu.counters.submissions), gpu.compiled() as u64])
    }
    pub fn limits(index: u8) -> Result<[u64; 9]> {
        let caps = &gpu(index)?.caps;
        let flag = u64::from;
        Ok([
            caps.max_buffer,
            caps.max_binding,
            u64::from(caps.bindings),
            u64::from(caps.group),
            u64::from(caps.immediates),
            flag(caps.int64),
            flag(caps.float64),
            flag(caps.software),
            flag(caps.subgroups),
        ])
    }
    pub fn synchronize(index: u8) -> Result<()> {
        gpu(index)?.synchronize()
    }
    pub fn clear(index: u8) -> Result<()> {
        gpu(index)?.clear();
        Ok(())
    }
    pub fn lose(index: u8) -> Result<()> {
        gpu(index)?.lose();
        Ok(())
    }
    pub fn fail(index: u8, gives_up: bool) -> Result<()> {
        gpu(index)?.fail(gives_up)
    }
    pub fn keep() {
        gpu::keep();
    }
    pub fn folder() -> Option<std::path::PathBuf> {
        gpu::folder()
    }
}

#[cfg(not(feature = "gpu"))]
mod present {
    use super::{Device, Result};

    fn none<T>(index: u8) -> Result<T> {
        match crate::backend::at(Device::Gpu(index)) {
            Err(error) => Err(error),
            Ok(_) => Err(crate::base::Error::bug("gpu", "a device without a backend")),
        }
    }
    pub fn count() -> usize {
        0
    }
    pub fn list() -> Vec<[String; 5]> {
        Vec::new()
    }
    pub fn memory(index: u8) -> Result<[u64; 4]> {
        none(index)
    }
    pub fn counters(index: u8) -> Result<[u64; 3]> {
        none(index)
    }
    pub fn limits(index: u8) -> Result<[u64; 9]> {
        none(index)
    }
    pub fn synchronize(index: u8) -> Result<()> {
        none(index)
    }
    pub fn clear(index: u8) -> Result<()> {
        none(index)
    }
    pub fn lose(index: u8) -> Result<()> {
        none(index)
    }
    pub fn fail(index: u8, _gives_up: bool) -> Result<()> {
        none(index)
    }
    pub fn keep() {}
    pub fn folder() -> Option<std::path::PathBuf> {
        None
    }
}

/// The number of GPUs that may be used.
#[pyfunction]
fn _gpu_count(py: Python<'_>) -> usize {
    py.detach(present::count)
}
/// All adapters, those that may be used first.
#[pyfunction]
fn _gpu_adapters(py: Python<'_>) -> PyResult<Py<PyAny>> {
    let (list, usable) = py.detach(|| (present::list(), present::count()));
    let made = list.into_iter().enumerate().map(|(i, facts)| {
        let entry = PyDict::new(py);
        for (key, value) in ["name", "kind", "api", "driver", "bus"].into_iter().zip(facts) {
            entry.set_item(key, value)?;
        }
        entry.set_item("device", if i < usable { Some(Device::Gpu(i as u8).to_string()) } else { None })?;
        Ok(entry)
    });
    Ok(PyList::new(py, made.collect::<PyResult<Vec<_>>>()?)?.into_any().unbind())
}
/// Bytes in use, kept, most ever in use, budget.
#[pyfunction]
fn _gpu_memory(py: Python<'_>, index: u8) -> PyResult<[u64; 4]> {
    enter(py, super::LONG, || present::memory(index))
}
/// Dispatches, submissions and compiled kernels so far.
#[pyfunction]
fn _gpu_counters(py: Python<'_>, index: u8) -> PyResult<[u64; 3]> {
    enter(py, super::LONG, || present::counters(index))
}
/// What kernels are written for.
#[pyfunction]
fn _gpu_limits(py: Python<'_>, index: u8) -> PyResult<[u64; 9]> {
    enter(py, super::LONG, || present::limits(index))
}
/// Waits for all work.
#[pyfunction]
fn _gpu_synchronize(py: Python<'_>, index: u8) -> PyResult<()> {
    enter(py, super::LONG, || present::synchronize(index))
}
/// Gives back what is kept for reuse.
#[pyfunction]
fn _gpu_empty_cache(py: Python<'_>, index: u8) -> PyResult<()> {
    enter(py, super::LONG, || present::clear(index))
}
/// Keeps compiled kernels for the next program.
#[pyfunction]
fn _gpu_keep(py: Python<'_>) {
    py.detach(present::keep);
}
/// Where what programs need again is kept, if anywhere.
#[pyfunction]
fn _gpu_folder() -> Option<std::path::PathBuf> {
    present::folder()
}
/// Ends a device as if its driver had lost it, to see what a program does then.
#[pyfunction]
fn _gpu_lose(py: Python<'_>, index: u8) -> PyResult<()> {
    enter(py, super::LONG, || present::lose(index))
}

/// Fails as a kernel does whose text is refused, or on which the shader compiler gives up.
#[pyfunction]
fn _gpu_fail(py: Python<'_>, index: u8, gives_up: bool) -> PyResult<()> {
    enter(py, super::LONG, || present::fail(index, gives_up))
}

/// Refuses two tensors on different devices, naming both; what is no tensor is somebody else's to refuse.
#[pyfunction]
fn _beside(op: &str, input: &Bound<'_, PyAny>, other: &Bound<'_, PyAny>, names: (String, String)) -> PyResult<()> {
    let (Ok(input), Ok(other)) = (input.cast::<PyTensor>(), other.cast::<PyTensor>()) else { return Ok(()) };
    let (a, b) = (input.get().get_ref(), other.get().get_ref());
    if a.device() != b.device() {
        let (a, b) = (a.operand(), b.operand());
        let wide = |o: &Operand| o.view(o.layout.insert_axis(0));
        let (a, b) = if a.layout.rank().min(b.layout.rank()) == 0 { (wide(&a), wide(&b)) } else { (a, b) };
        place::together(op, |k| if k == 0 { &names.0 } else { &names.1 }, [Some(&a), Some(&b)].into_iter())?;
    }
    Ok(())
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(_beside, m)?)?;
    m.add_function(wrap_pyfunction!(_gpu_count, m)?)?;
    m.add_function(wrap_pyfunction!(_gpu_adapters, m)?)?;
    m.add_function(wrap_pyfunction!(_gpu_memory, m)?)?;
    m.add_function(wrap_pyfunction!(_gpu_counters, m)?)?;
    m.add_function(wrap_pyfunction!(_gpu_limits, m)?)?;
    m.add_function(wrap_pyfunction!(_gpu_synchronize, m)?)?;
    m.add_function(wrap_pyfunction!(_gpu_empty_cache, m)?)?;
    m.add_function(wrap_pyfunction!(_gpu_lose, m)?)?;
    m.add_function(wrap_pyfunction!(_gpu_fail, m)?)?;
    m.add_function(wrap_pyfunction!(_gpu_folder, m)?)?;
    let keep = wrap_pyfunction!(_gpu_keep, m)?;
    m.py().import("atexit")?.call_method1("register", (&keep,))?;
    m.add_function(keep)
}
