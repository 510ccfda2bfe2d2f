//! Views of complex numbers as reals, and of reals as complex numbers: their place in the graph of what they are views of.
//! Leans on record.

use super::record;
use super::windows;
use crate::backend::Operand;
use crate::base::{DType, Error, Few, Layout, Result};
use crate::graph::mode::Mode;
use crate::graph::node::{Keeps, Rule};
use crate::graph::op::Quirk;
use crate::graph::{Edge, Kept, Meta, Node, Op};
use crate::ops::complex::{self, parts};
use std::sync::Arc;

/// What a view makes of a dtype: nothing, but for those that take complex numbers apart or put them together.
pub(super) fn dtype_of(op: &Op, dtype: DType) -> Result<DType> {
    match op.quirk {
        Quirk::Parts if dtype.is_complex() => Ok(dtype.real()),
        Quirk::Parts => Err(Error::dtype(op.name, format!("needs a complex tensor, got {dtype}"))),
        Quirk::Pairs if matches!(dtype, DType::F32 | DType::F64) => Ok(dtype.complex()),
        Quirk::Pairs => Err(Error::no_float(op.name, "float32 or float64", dtype)),
        _ => Ok(dtype),
    }
}

pub(super) fn seen_as(op: &Op, x: &Operand, layout: Layout) -> Result<Operand> {
    Ok(Operand { storage: x.storage.clone(), layout, dtype: dtype_of(op, x.dtype)? })
}

fn node(op: &'static Op, from: (&Few<usize>, DType), to: (&Few<usize>, DType), edge: Edge, mode: Mode) -> Edge {
    let meta = |(shape, dtype): (&Few<usize>, DType)| Kept::Meta(Meta { shape: shape.clone(), dtype });
    let serial = if let Edge::Node(n, _) = &edge { n.serial } else { 0 };
    let kept = Keeps { inputs: [meta(from)].into_iter().collect(), outputs: [meta(to)].into_iter().collect(), freed: false };
    Edge::Node(record::make(Rule::Op(op), &[], [Some(edge)].into_iter().collect(), kept, 1, serial, mode), 0)
}

/// An edge of a complex tensor as one of its parts.
fn as_parts(shape: &Few<usize>, dtype: DType, edge: Edge, mode: Mode) -> Edge {
    let wide = with_two(shape);
    node(&complex::view_as_real::OP, (shape, dtype), (&wide, dtype.real()), edge, mode)
}

/// An edge of parts as one of the complex tensor of this shape that they make.
fn as_pairs(shape: &Few<usize>, dtype: DType, edge: Edge, mode: Mode) -> Edge {
    let wide = with_two(shape);
    node(&complex::view_as_complex::OP, (&wide, dtype.real()), (shape, dtype), edge, mode)
}

fn with_two(shape: &Few<usize>) -> Few<usize> {
    let mut wide = shape.clone();
    wide.push(2);
    wide
}

/// The layouts of a base and a view of it, both counted in reals where one of them is complex.
fn in_reals(base: (&Layout, DType), view: (&Layout, DType)) -> (Layout, Layout) {
    let apart = |(layout, dtype): (&Layout, DType)| if dtype.is_complex() { parts(layout) } else { layout.clone() };
    (apart(base), apart(view))
}

/// The edge of a view of a base of another dtype: read through the base as it now is.
pub(super) fn read(base: (&Layout, DType), view: (&Layout, DType), mut edge: Edge, mode: Mode) -> Edge {
    let (whole, seen) = in_reals(base, view);
    if base.1.is_complex() {
        edge = as_parts(&base.0.shape, base.1, edge, mode);
    }
    let real = base.1.real();
    let edge = Edge::Node(windows::read(&whole, &seen, real, edge, mode), 0);
    if view.1.is_complex() { as_pairs(&view.0.shape, view.1, edge, mode) } else { edge }
}

/// The node of a base, with a value of another dtype written to a view of it.
pub(super) fn written(base: (&Layout, DType), view: (&Layout, DType), edges: [Option<Edge>; 2], mode: Mode) -> Arc<Node> {
    let (whole, seen) = in_reals(base, view);
    let [mut below, mut value] = edges;
    if base.1.is_complex() {
        below = below.map(|e| as_parts(&base.0.shape, base.1, e, mode));
    } else {
        value = value.map(|e| as_parts(&view.0.shape, view.1, e, mode));
    }
    let node = windows::written(&whole, &seen, base.1.real(), [below, value], mode);
    if !base.1.is_complex() {
        return node;
    }
    match as_pairs(&base.0.shape, base.1, Edge::Node(node.clone(), 0), mode) {
        Edge::Node(pairs, _) => pairs,
        Edge::Leaf(_) => node,
    }
}
