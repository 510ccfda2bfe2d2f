//! A view's place in the graph of what it is a view of: windows on the base's elements in the order of memory.
//! Leans on record.

use super::record;
use crate::base::layout::{inverse, memory_order};
use crate::base::{DType, Few, Layout};
use crate::graph::mode::Mode;
use crate::graph::node::{Keeps, Rule};
use crate::graph::{Arg, Edge, Kept, Meta, Node, Op};
use crate::ops::view as views;
use std::sync::Arc;

/// A window's parameters on the row-major form of a base whose axes lie widest first.
pub(super) fn window_args(base: &Layout, view: &Layout) -> Vec<Arg> {
    let inside = relative(base, view);
    let strides: Few<i64> = inside.strides.iter().map(|&s| s as i64).collect();
    vec![Arg::from(&inside.shape), Arg::Ints(strides), Arg::from(inside.offset)]
}

/// A view's layout as seen from its base, as if the base were row-major.
fn relative(base: &Layout, view: &Layout) -> Layout {
    let shift = view.offset as isize - base.offset as isize;
    if base.is_contiguous() {
        return Layout::new(view.shape.clone(), view.strides.clone(), shift.max(0) as usize);
    }
    // Each stride of the view is a sum of the base's strides: the base's axes, widest first, are taken off it.
    let mut order: Vec<usize> = (0..base.rank()).filter(|&i| base.shape[i] > 1).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(base.strides[i].unsigned_abs()));
    let flat = Layout::contiguous(base.shape.clone());
    let turn = |mut steps: isize| {
        let mut out = 0isize;
        for &i in &order {
            if base.strides[i] != 0 {
                let n = steps / base.strides[i];
                out += n * flat.strides[i];
                steps -= n * base.strides[i];
            }
        }
        out
    };
    Layout::new(view.shape.clone(), view.strides.iter().map(|&s| turn(s)).collect(), turn(shift).max(0) as usize)
}

/// A node of one dtype: the shapes that go in, and the one that comes out.
fn made(op: &'static Op, ins: &[(&Few<usize>, Option<Edge>)], out: &Few<usize>, dtype: DType, args: &[Arg], mode: Mode) -> Arc<Node> {
    let meta = |shape: &Few<usize>| Kept::Meta(Meta { shape: shape.clone(), dtype });
    let serial = |e: &Edge| if let Edge::Node(n, _) = e { n.serial } else { 0 };
    let below = ins.iter().filter_map(|(_, e)| e.as_ref()).map(serial).max().unwrap_or(0);
    let kept =
        Keeps { inputs: ins.iter().map(|(shape, _)| meta(shape)).collect(), outputs: [meta(out)].into_iter().collect(), freed: false };
    record::make(Rule::Op(op), args, ins.iter().map(|(_, e)| e.clone()).collect(), kept, 1, below, mode)
}

/// Axes in another order, as a node.
fn permuted(edge: Edge, from: &Layout, order: &[usize], dtype: DType, mode: Mode) -> Arc<Node> {
    let dims = Arg::Ints(order.iter().map(|&i| i as i64).collect());
    made(&views::permute::OP, &[(&from.shape, Some(edge))], &from.permute(order).shape, dtype, &[dims], mode)
}

/// A node that says: this view, of that base. A view may run over several axes of the base at once, as they lie in memory: there
/// is one window for it only where the base's axes are taken in that order.
pub(super) fn read(base: &Layout, view: &Layout, dtype: DType, edge: Edge, mode: Mode) -> Arc<Node> {
    let look = |base: &Layout, edge: Edge| {
        made(&views::window::OP, &[(&base.shape, Some(edge))], &view.shape, dtype, &window_args(base, view), mode)
    };
    let Some(order) = memory_order(&[base]) else { return look(base, edge) };
    let below = permuted(edge, base, &order, dtype, mode);
    look(&base.permute(&order), Edge::Node(below, 0))
}

/// The node of a base, with a value written to a view of it.
pub(super) fn written(base: &Layout, view: &Layout, dtype: DType, edges: [Option<Edge>; 2], mode: Mode) -> Arc<Node> {
    let [below, value] = edges;
    let put = |base: &Layout, below: Option<Edge>| {
        let ins = [(&base.shape, below), (&view.shape, value)];
        made(&views::embed::OP, &ins, &base.shape, dtype, &window_args(base, view), mode)
    };
    let Some(order) = memory_order(&[base]) else { return put(base, below) };
    let turned = base.permute(&order);
    let node = put(&turned, below.map(|e| Edge::Node(permuted(e, base, &order, dtype, mode), 0)));
    permuted(Edge::Node(node, 0), &turned, &inverse(&order), dtype, mode)
}
