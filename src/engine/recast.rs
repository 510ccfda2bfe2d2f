//! Views of complex numbers as reals, and of reals as complex numbers: their place in the graph of what they are views of.
//! Leans on record.

use super::record;
use crate::base::Layout;
use crate::base::{DType, Few};
use crate::graph::mode::Mode;
use crate::graph::node::{Keeps, Rule};
use crate::graph::{Edge, Kept, Meta, Op};
use crate::ops::complex::{self, parts};

fn node(op: &'static Op, from: (&Few<usize>, DType), to: (&Few<usize>, DType), edge: Edge, mode: Mode) -> Edge {
    let meta = |(shape, dtype): (&Few<usize>, DType)| Kept::Meta(Meta { shape: shape.clone(), dtype });
    let serial = if let Edge::Node(n, _) = &edge { n.serial } else { 0 };
    let kept = Keeps { inputs: [meta(from)].into_iter().collect(), outputs: [meta(to)].into_iter().collect(), freed: false };
    Edge::Node(record::make(Rule::Op(op), &[], [Some(edge)].into_iter().collect(), kept, 1, serial, mode), 0)
}

/// An edge of a complex tensor as one of its parts.
pub(super) fn as_parts(shape: &Few<usize>, dtype: DType, edge: Edge, mode: Mode) -> Edge {
    let wide = with_two(shape);
    node(&complex::view_as_real::OP, (shape, dtype), (&wide, dtype.real()), edge, mode)
}

/// An edge of parts as one of the complex tensor of this shape that they make.
pub(super) fn as_pairs(shape: &Few<usize>, dtype: DType, edge: Edge, mode: Mode) -> Edge {
    let wide = with_two(shape);
    node(&complex::view_as_complex::OP, (&wide, dtype.real()), (shape, dtype), edge, mode)
}

fn with_two(shape: &Few<usize>) -> Few<usize> {
    let mut wide = shape.clone();
    wide.push(2);
    wide
}

/// The layouts of a base and a view of it, both counted in reals where one of them is complex.
pub(super) fn in_reals(base: (&Layout, DType), view: (&Layout, DType)) -> (Layout, Layout) {
    let apart = |(layout, dtype): (&Layout, DType)| if dtype.is_complex() { parts(layout) } else { layout.clone() };
    (apart(base), apart(view))
}
