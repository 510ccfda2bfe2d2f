//! What a tensor says of itself: shape, strides, dtype, device, memory. Leans on tensor and dtype.

use super::dtype::{self, PyDType, PyDevice};
use super::tensor::{PyTensor, size, taken, wrap, wrap_new};
use crate::base::{Error, shape};
use crate::graph::Arg;
use crate::ops::view;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

#[pymethods]
impl PyTensor {
    /// The sizes of the axes, a `schuss.Size`, which is a tuple.
    ///
    /// >>> schuss.zeros(2, 3).shape
    /// schuss.Size([2, 3])
    #[getter]
    fn shape(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        size(py, &self.inner.shape())
    }
    /// The sizes of the axes; with `dim`, the size of that axis. Raises IndexError for an axis that is not there.
    ///
    /// >>> schuss.zeros(2, 3).size(), schuss.zeros(2, 3).size(-1)
    /// (schuss.Size([2, 3]), 3)
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
    /// The type of the elements.
    ///
    /// >>> schuss.tensor([1, 2]).dtype
    /// schuss.int64
    #[getter]
    fn dtype(&self, py: Python<'_>) -> PyResult<Py<PyDType>> {
        dtype::object(py, self.inner.dtype())
    }
    /// Where the elements are.
    ///
    /// >>> schuss.zeros(2).device
    /// device(type='cpu')
    #[getter]
    fn device(&self) -> PyDevice {
        dtype::device_object(self.inner.device())
    }
    /// Whether the elements lie on a GPU, of whatever make.
    ///
    /// >>> schuss.zeros(2).is_cuda
    /// False
    #[getter]
    fn is_cuda(&self) -> bool {
        !self.inner.device().is_cpu()
    }
    /// The number of axes.
    ///
    /// >>> schuss.zeros(2, 3).ndim
    /// 2
    #[getter]
    fn ndim(&self) -> usize {
        self.inner.rank()
    }
    /// The axes in reverse order, as a view.
    ///
    /// >>> schuss.zeros(2, 3).T.shape
    /// schuss.Size([3, 2])
    #[getter]
    #[allow(non_snake_case)]
    fn T(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if self.inner.rank() == 2 {
            return wrap_new(py, taken(&view::transpose::OP, &self.inner, &[Arg::Int(0), Arg::Int(1)])?);
        }
        let order: crate::base::Few<i64> = (0..self.inner.rank() as i64).rev().collect();
        wrap(py, view::permute(&self.inner, order)?)
    }
    /// The number of axes, as `ndim`.
    ///
    /// >>> schuss.zeros(2, 3).dim()
    /// 2
    fn dim(&self) -> usize {
        self.inner.rank()
    }
    /// The number of elements.
    ///
    /// >>> schuss.zeros(2, 3).numel()
    /// 6
    fn numel(&self) -> usize {
        self.inner.numel()
    }
    /// How many elements of the storage lie between neighbours along each axis; with `dim`, along that one.
    ///
    /// >>> schuss.zeros(2, 3).stride(), schuss.zeros(2, 3).T.stride(0)
    /// ((3, 1), 1)
    #[pyo3(signature = (dim=None))]
    fn stride(&self, py: Python<'_>, dim: Option<i64>) -> PyResult<Py<PyAny>> {
        let layout = self.inner.layout();
        match dim {
            None => Ok(PyTuple::new(py, layout.strides.iter())?.into_any().unbind()),
            Some(d) => Ok(layout.strides[shape::axis("stride", d, layout.rank())?].into_pyobject(py)?.into_any().unbind()),
        }
    }
    /// The place of the first element in the storage.
    ///
    /// >>> schuss.arange(5)[2:].storage_offset()
    /// 2
    fn storage_offset(&self) -> usize {
        self.inner.layout().offset
    }
    /// What tells a storage from every other that lives, on any device, and the place of the first element in it.
    fn _place(&self) -> (usize, usize) {
        let operand = self.inner.operand();
        (operand.storage.address(), operand.layout.offset)
    }
    /// The address of the first element in memory.
    ///
    /// >>> x = schuss.zeros(2)
    /// >>> x.data_ptr() == x.detach().data_ptr()
    /// True
    fn data_ptr(&self) -> PyResult<usize> {
        let operand = self.inner.operand();
        if operand.storage.is_away() {
            return Err(Error::runtime("data_ptr", format!("memory of {} has no address here; use .cpu() first", operand.device())).into());
        }
        Ok(operand.ptr() as usize)
    }
    /// The bytes of one element.
    ///
    /// >>> schuss.zeros(2).element_size()
    /// 4
    fn element_size(&self) -> usize {
        self.inner.dtype().size()
    }
    /// The bytes of one element, as `element_size()`.
    ///
    /// >>> schuss.zeros(2).itemsize
    /// 4
    #[getter]
    fn itemsize(&self) -> usize {
        self.inner.dtype().size()
    }
    /// The bytes of all elements together.
    ///
    /// >>> schuss.zeros(2, 3).nbytes
    /// 24
    #[getter]
    fn nbytes(&self) -> usize {
        self.inner.numel() * self.inner.dtype().size()
    }
    /// Whether the elements lie in memory row by row, without gaps.
    ///
    /// >>> schuss.zeros(2, 3).is_contiguous(), schuss.zeros(2, 3).T.is_contiguous()
    /// (True, False)
    #[pyo3(signature = (**_options))]
    fn is_contiguous(&self, _options: Option<&Bound<'_, PyDict>>) -> bool {
        self.inner.is_contiguous()
    }
    /// Whether the elements are floats.
    ///
    /// >>> schuss.zeros(2).is_floating_point(), schuss.tensor([1]).is_floating_point()
    /// (True, False)
    fn is_floating_point(&self) -> bool {
        self.inner.dtype().is_float()
    }
}
