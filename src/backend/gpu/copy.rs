//! Elements moved, converted, or set to one number: maps with the shortest formulas. Leans on map.

use super::stream::Gpu;
use super::{element, map};
use crate::backend::launch::{MapBody, Operand};
use crate::base::{DType, Layout, Number, Result};
use crate::formula::Formula;
use crate::formula::paper::{Line, Word};

fn same() -> Formula {
    Formula { lines: vec![Line::Input(0)], outputs: vec![0] }
}
fn given() -> Formula {
    Formula { lines: vec![Line::Param(0)], outputs: vec![0] }
}

fn scaled() -> Formula {
    Formula { lines: vec![Line::Input(0), Line::Param(0), Line::Apply(Word::Mul, vec![0, 1])], outputs: vec![2] }
}
fn sum() -> Formula {
    Formula { lines: vec![Line::Input(0), Line::Input(1), Line::Apply(Word::Add, vec![0, 1])], outputs: vec![2] }
}

fn turned() -> Formula {
    Formula { lines: vec![Line::Input(0), Line::Apply(Word::Neg, vec![0])], outputs: vec![1] }
}

pub static SAME: MapBody = MapBody { inputs: 1, params: 0, outputs: 1, truth: false, formula: same, native: |_| None };
pub static SUM: MapBody = MapBody { inputs: 2, params: 0, outputs: 1, truth: false, formula: sum, native: |_| None };
static SCALED: MapBody = MapBody { inputs: 1, params: 1, outputs: 1, truth: false, formula: scaled, native: |_| None };
static NEGATED: MapBody = MapBody { inputs: 1, params: 0, outputs: 1, truth: false, formula: turned, native: |_| None };
pub static GIVEN: MapBody = MapBody { inputs: 0, params: 1, outputs: 1, truth: false, formula: given, native: |_| None };

/// Elements of several words as the words that they are, for adapters without their types.
fn words(x: &Operand) -> Operand {
    let count = x.dtype.size() / 4;
    let shape = x.layout.shape.iter().copied().chain([count]).collect();
    let strides = x.layout.strides.iter().map(|&s| count as isize * s).chain([1]).collect();
    Operand { storage: x.storage.clone(), layout: Layout::new(shape, strides, count * x.layout.offset), dtype: DType::I32 }
}

pub fn copy(gpu: &Gpu, src: &Operand, dst: &Operand) -> Result<()> {
    if src.dtype == dst.dtype && element::lacking(src.dtype, &gpu.caps) && src.storage.is_away() {
        return copy(gpu, &words(src), &words(dst));
    }
    map::run(gpu, &SAME, dst.dtype, &[], std::slice::from_ref(src), std::slice::from_ref(dst))
}

pub fn fill(gpu: &Gpu, dst: &Operand, value: Number) -> Result<()> {
    map::run(gpu, &GIVEN, dst.dtype, &[value.filling(dst.dtype)], &[], std::slice::from_ref(dst))
}

/// `dst = -src`
pub fn negate(gpu: &Gpu, src: &Operand, dst: &Operand) -> Result<()> {
    map::run(gpu, &NEGATED, dst.dtype, &[], std::slice::from_ref(src), std::slice::from_ref(dst))
}

/// `x *= factor`
pub fn scale(gpu: &Gpu, x: &Operand, factor: Number) -> Result<()> {
    let own = std::slice::from_ref(x);
    map::run(gpu, &SCALED, x.dtype.compute(), &[factor], own, own)
}
