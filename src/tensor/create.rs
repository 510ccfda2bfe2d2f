//! New tensors from sizes, numbers and slices. Leans on engine and backend.

use crate::backend::cpu::Cpu;
use crate::backend::cpu::convert;
use crate::backend::{Backend, Launch, Operand, trace};
use crate::base::dtype::Element;
use crate::base::{DType, Error, Number, Result, shape};
use crate::engine;
use crate::graph::Tensor;

fn room(op: &str, shape: &[usize], dtype: DType) -> Result<Operand> {
    engine::start();
    shape::count(op, shape)?;
    Operand::new(&Cpu, shape, dtype)
}

impl Tensor {
    /// Elements that nobody has written yet.
    pub fn empty(shape: &[usize], dtype: DType) -> Result<Tensor> {
        Ok(Tensor::from_operand(room("empty", shape, dtype)?))
    }

    pub fn full(shape: &[usize], value: impl Into<Number>, dtype: DType) -> Result<Tensor> {
        let out = room("full", shape, dtype)?;
        Cpu.launch(&Launch::Fill { dst: &out, value: value.into() })?;
        Ok(Tensor::from_operand(out))
    }

    pub fn zeros(shape: &[usize], dtype: DType) -> Result<Tensor> {
        Tensor::full(shape, 0i64, dtype)
    }

    /// Row-major elements copied from a slice.
    pub fn from_slice<T: Element>(list: &[T], shape: &[usize]) -> Result<Tensor> {
        let n = shape::count("from_slice", shape)?;
        if n != list.len() {
            return Err(Error::shape("from_slice", format!("{} elements do not fill the shape {}", list.len(), shape::show(shape))));
        }
        let out = room("from_slice", shape, T::DTYPE)?;
        convert::write_all(list, &out);
        trace::given(&out)?;
        Ok(Tensor::from_operand(out))
    }

    /// `start`, `start + step`, ... below `end`; each element is computed from its position.
    pub fn arange(start: Number, end: Number, step: Number, dtype: DType) -> Result<Tensor> {
        let (a, b, s) = (start.as_f64(), end.as_f64(), step.as_f64());
        if s == 0.0 || !s.is_finite() || !a.is_finite() || !b.is_finite() {
            return Err(Error::runtime("arange", format!("start {a}, end {b} and step {s} must be finite, and the step not 0")));
        }
        if (b - a) * s < 0.0 {
            return Err(Error::runtime("arange", format!("the step {s} leads away from the end: from {a} to {b}")));
        }
        let exact = !start.is_float() && !end.is_float() && !step.is_float();
        let count = if exact {
            let (a, b, s) = (i128::from(start.as_i64()), i128::from(end.as_i64()), i128::from(step.as_i64()));
            (b - a).unsigned_abs().div_ceil(s.unsigned_abs()) as f64
        } else {
            ((b - a) / s).ceil()
        };
        if count > isize::MAX as f64 / 16.0 {
            return Err(Error::shape("arange", format!("from {a} to {b} by {s} are more elements than memory holds")));
        }
        let n = count as usize;
        let out = room("arange", &[n], dtype)?;
        if exact && !dtype.is_inexact() {
            let (a, s) = (start.as_i64(), step.as_i64());
            convert::write_with(&out, |i| Number::Int(a.wrapping_add((i as i64).wrapping_mul(s))));
        } else {
            convert::write_with(&out, |i| Number::Float(a + i as f64 * s));
        }
        trace::given(&out)?;
        Ok(Tensor::from_operand(out))
    }

    /// `steps` evenly spaced elements, both ends included; counted from the nearer end, so that both are exact.
    pub fn linspace(start: f64, end: f64, steps: usize, dtype: DType) -> Result<Tensor> {
        let out = room("linspace", &[steps], dtype)?;
        let width = (end - start) / (steps.max(2) - 1) as f64;
        let value = |i: usize| if i < steps.div_ceil(2) { start + i as f64 * width } else { end - (steps - 1 - i) as f64 * width };
        convert::write_with(&out, |i| Number::Float(if dtype.is_inexact() { value(i) } else { value(i).trunc() }));
        trace::given(&out)?;
        Ok(Tensor::from_operand(out))
    }

    /// Ones on the diagonal, zeros elsewhere.
    pub fn eye(rows: usize, columns: usize, dtype: DType) -> Result<Tensor> {
        let out = Tensor::zeros(&[rows, columns], dtype)?;
        let operand = out.operand();
        let n = rows.min(columns);
        let diagonal = crate::base::Layout::new([n][..].into(), [columns as isize + 1][..].into(), 0);
        Cpu.launch(&Launch::Fill { dst: &operand.view(diagonal), value: 1i64.into() })?;
        Ok(out)
    }
}
