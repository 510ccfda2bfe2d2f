//! Softmax, its logarithm and the derivative of both along the last axis, made of folds and maps. Leans on fold and map.

use super::fold::{self, body};
use super::map;
use super::stream::Gpu;
use crate::backend::launch::{MapBody, Operand};
use crate::base::{DType, Result};
use crate::formula::paper::OnPaper;
use crate::formula::{Float, Formula, Paper, Value};

body!(SHARE, 3, 0, |x, _p| (x[0] - Paper::select(x[1].is_inf(), Paper::lit(0.0), x[1])).exp() / x[2]);
body!(LOG_SHARE, 3, 0, |x, _p| x[0] - Paper::select(x[1].is_inf(), Paper::lit(0.0), x[1]) - x[2].log());
body!(PRODUCT, 2, 0, |x, _p| x[0] * x[1]);
body!(BACK, 3, 0, |x, _p| x[1] * (x[0] - x[2]));
body!(LOG_BACK, 3, 0, |x, _p| x[0] - x[1].exp() * x[2]);

fn refuse_wide(gpu: &Gpu, dtype: DType) -> Result<()> {
    if dtype == DType::F64 { Err(gpu.missing("has no float64 kernel", "use x.float()")) } else { Ok(()) }
}

pub fn run(gpu: &Gpu, log: bool, input: &Operand, out: &Operand) -> Result<()> {
    refuse_wide(gpu, input.dtype)?;
    refuse_wide(gpu, out.dtype)?;
    if out.numel() == 0 {
        return Ok(());
    }
    let (top, sum) = fold::exponentials(gpu, input, 1)?;
    let ins = [input.clone(), fold::spread_over(&top, input, 1), fold::spread_over(&sum, input, 1)];
    map::run(gpu, if log { &LOG_SHARE } else { &SHARE }, DType::F32, &[], &ins, std::slice::from_ref(out))
}

pub fn back(gpu: &Gpu, log: bool, grad: &Operand, result: &Operand, out: &Operand) -> Result<()> {
    refuse_wide(gpu, out.dtype)?;
    if out.numel() == 0 {
        return Ok(());
    }
    let rank = grad.layout.rank();
    let total = gpu.scratch(&grad.layout.shape[..rank - 1], DType::F32)?;
    if log {
        fold::sum(gpu, grad, 1, &total)?;
    } else {
        let product = gpu.scratch(&grad.layout.shape, DType::F32)?;
        map::run(gpu, &PRODUCT, DType::F32, &[], &[grad.clone(), result.clone()], std::slice::from_ref(&product))?;
        fold::sum(gpu, &product, 1, &total)?;
    }
    let ins = [grad.clone(), result.clone(), fold::spread_over(&total, grad, 1)];
    map::run(gpu, if log { &LOG_BACK } else { &BACK }, DType::F32, &[], &ins, std::slice::from_ref(out))
}
