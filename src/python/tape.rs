//! The engine's tapes as Python sees them; `schuss.GradientTape` is made of this. Leans on engine's tape.

use super::tensor::PyTensor;
use super::{args, dtype, tensor, wrap};
use crate::engine::tape::Tape;
use crate::graph::Kept;
use pyo3::prelude::*;
use pyo3::types::PyList;
use std::sync::Arc;

/// A recording of operations, walked back for gradients.
#[pyclass(frozen, name = "Tape", module = "schuss._core")]
pub struct PyTape {
    tape: Arc<Tape>,
}

#[pymethods]
impl PyTape {
    #[new]
    fn new(persistent: bool, watch_accessed: bool) -> PyTape {
        PyTape { tape: Tape::new(persistent, watch_accessed) }
    }
    /// Begins or goes on recording.
    fn start(&self) -> PyResult<()> {
        Ok(self.tape.start()?)
    }
    /// Ends recording.
    fn stop(&self) {
        self.tape.stop();
    }
    /// Whether it records.
    fn is_recording(&self) -> bool {
        self.tape.is_open()
    }
    /// Forgets what was recorded and watched.
    fn reset(&self) {
        self.tape.reset();
    }
    /// Lets the recording go.
    fn release(&self) {
        self.tape.release();
    }
    /// Records what is done with a tensor.
    fn watch(&self, t: &Bound<'_, PyTensor>) {
        self.tape.watch(t.get().get_ref());
    }
    /// The tensors that are watched.
    fn watched(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let list = self.tape.watched().into_iter().map(|t| wrap(py, t)).collect::<PyResult<Vec<_>>>()?;
        Ok(PyList::new(py, list)?.into_any().unbind())
    }
    /// The gradients of the targets at the sources; None where nothing leads there.
    fn gradient(
        &self,
        py: Python<'_>,
        targets: &Bound<'_, PyAny>,
        sources: &Bound<'_, PyAny>,
        seeds: &Bound<'_, PyAny>,
    ) -> PyResult<Py<PyAny>> {
        let (targets, sources) = (args::tensors("gradient", targets)?, args::tensors("gradient", sources)?);
        let mut given = Vec::new();
        for seed in seeds.try_iter()? {
            let seed = seed?;
            given.push(if seed.is_none() { None } else { Some(args::tensor("gradient", "output_gradients", &seed)?) });
        }
        let found = self.tape.gradient(&targets, &sources, &given)?;
        let list = found.into_iter().map(|g| g.map_or(Ok(py.None()), |g| wrap(py, g))).collect::<PyResult<Vec<_>>>()?;
        Ok(PyList::new(py, list)?.into_any().unbind())
    }
    /// (name, operands, results, file, line) of every operation, in order; operands and results as (shape, dtype).
    fn records(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let rows = PyList::empty(py);
        let facts = |k: &Kept| -> PyResult<Option<(Py<PyAny>, Py<dtype::PyDType>)>> {
            let (shape, d) = match k {
                Kept::Meta(m) => (m.shape.clone(), m.dtype),
                Kept::Full(f) => (f.operand.layout.shape.clone(), f.operand.dtype),
                _ => return Ok(None),
            };
            Ok(Some((tensor::size(py, &shape)?, dtype::object(py, d)?)))
        };
        for n in self.tape.nodes() {
            let (ins, outs) = n.facts();
            let list = |l: &[Kept]| l.iter().map(facts).filter_map(Result::transpose).collect::<PyResult<Vec<_>>>();
            let (file, line) = n.place().map_or((String::new(), 0), |(f, l)| (f.to_string(), l));
            rows.append((n.name(), list(&ins)?, list(&outs)?, file, line))?;
        }
        Ok(rows.into_any().unbind())
    }
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyTape>()
}
