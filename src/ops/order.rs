//! Elements by their order: sorted, the k-th, the middle, the most frequent, running extremes, searching. Leans on graph
//! and backend's order family.

use super::extreme::placed_back;
use super::reduce::turned;
use super::view::{one, operand};
use crate::backend::launch::Order;
use crate::backend::{Launch, Operand, of};
use crate::base::{DType, Error, Few, Result, shape};
use crate::graph::{Arg, Call, Meta, Metas, Sym, Tensor};
use smallvec::smallvec;

crate::op! {
    /// The `k` smallest (or largest) elements along an axis in order, and where they stood; all of them where k is -1.
    sort_along(input; dim: Axis, keepdim: Bool, descending: Bool, k: Int) Any {
        kernel(sort_meta, sort_run);
        rule placed_back;
        batch shift;
        face hidden;
    }
    /// The k-th smallest element along an axis, and where it stands.
    kth_along(input; dim: Axis, keepdim: Bool, k: Int) Any {
        kernel(kth_meta, kth_run);
        rule placed_back;
        batch shift;
        face hidden;
    }
    /// The lower of the middle elements along an axis, and where it stands.
    median_along(input; dim: Axis, keepdim: Bool, skip_nan: Bool) Any {
        kernel(median_meta, median_run);
        rule placed_back;
        batch shift;
        face hidden;
    }
    /// The most frequent element along an axis, the smallest of several, and where it stands last.
    mode_along(input; dim: Axis, keepdim: Bool) Any {
        kernel(mode_meta, mode_run);
        rule placed_back;
        batch shift;
        face hidden;
    }
    /// The largest (or smallest) element up to each along an axis, and where it stands.
    running_extreme(input; dim: Axis, keepdim: Bool, largest: Bool) Any {
        kernel(running_meta, running_run);
        rule placed_back;
        batch shift;
        face hidden;
    }
    /// Where each value belongs among sorted elements: before equal ones, or behind them.
    search_in(sorted_sequence, input; right: Bool, out_int32: Bool) Any {
        kernel(search_meta, search_run);
        face hidden;
    }
    /// The elements of each column in order: a sort along the first axis.
    ///
    /// >>> schuss.msort(schuss.tensor([[3, 1], [2, 4]]))
    /// tensor([[2, 1],
    ///         [3, 4]])
    msort(input) Any { inline(msort_inline); }
    /// The logarithm of the running sum of exponentials along an axis, without overflow.
    ///
    /// >>> schuss.logcumsumexp(schuss.tensor([0.0, 0.0]), 0)
    /// tensor([0.0000, 0.6931])
    logcumsumexp(input; dim: Axis) Any { inline(logcumsumexp_inline); }
}

/// Values and places of the input's shape, its axis of another size or gone.
fn pair_of(op: &str, ins: &[Option<Meta>], args: &[Arg], size: Option<usize>) -> Result<Metas> {
    let x = one(ins);
    let axis = shape::axis(op, args[0].int().unwrap_or(0), x.shape.len())?;
    let mut out = x.shape.clone();
    match size {
        Some(n) if axis < out.len() => out[axis] = n,
        None if axis < out.len() && args[1] == Arg::Bool(true) => out[axis] = 1,
        None if axis < out.len() => {
            out.remove(axis);
        }
        _ => {}
    }
    Ok(smallvec![Meta { shape: out.clone(), dtype: x.dtype }, Meta { shape: out, dtype: DType::I64 }])
}

fn length(x: &Meta, args: &[Arg]) -> Result<usize> {
    let axis = shape::axis("sort", args[0].int().unwrap_or(0), x.shape.len())?;
    Ok(x.shape.get(axis).copied().unwrap_or(1))
}

fn sort_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let n = length(&one(ins), args)?;
    let k = args[3].int().unwrap_or(-1);
    if k > n as i64 || k < -1 {
        return Err(Error::runtime("topk", format!("k is {k}, but the axis has {n} elements")));
    }
    if k >= 0 {
        numbers("topk", ins)?;
    }
    pair_of("sort", ins, args, Some(if k < 0 { n } else { k as usize }))
}

fn numbers(op: &str, ins: &[Option<Meta>]) -> Result<()> {
    match one(ins).dtype {
        DType::Bool => Err(Error::dtype(op, "is not defined for bool; use x.int() first")),
        _ => Ok(()),
    }
}

fn launch(call: &Call, order: Order) -> Result<()> {
    let x = operand(call, 0)?;
    let axis = shape::axis("sort", call.args[0].int().unwrap_or(0), x.layout.rank())?;
    let gone = call.outs[0].layout.rank() < x.layout.rank();
    let out = |op: &Operand| if gone { turned(&op.view(op.layout.insert_axis(axis)), axis) } else { turned(op, axis) };
    let (values, places) = (out(&call.outs[0]), out(&call.outs[1]));
    of(&x.storage).launch(&Launch::Order { order, input: &turned(x, axis), values: &values, places: &places })
}

fn sort_run(call: &Call) -> Result<()> {
    launch(call, Order::Sorted { descending: call.args[2] == Arg::Bool(true) })
}

fn kth_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let (n, k) = (length(&one(ins), args)?, args[2].int().unwrap_or(1));
    if k < 1 || k > n as i64 {
        return Err(Error::runtime("kthvalue", format!("k is {k}, but the axis has {n} elements (counted from 1)")));
    }
    numbers("kthvalue", ins)?;
    pair_of("kthvalue", ins, args, None)
}

fn kth_run(call: &Call) -> Result<()> {
    launch(call, Order::Nth((call.args[2].int().unwrap_or(1) - 1) as usize))
}

fn some(op: &str, ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    if length(&one(ins), args)? == 0 {
        return Err(Error::index(op, format!("the shape {} has no element along the axis", shape::show(&one(ins).shape))));
    }
    pair_of(op, ins, args, None)
}

fn median_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    numbers("median", ins)?;
    some("median", ins, args)
}

fn median_run(call: &Call) -> Result<()> {
    launch(call, Order::Median { skip_nan: call.args[2] == Arg::Bool(true) })
}

fn mode_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    some("mode", ins, args)
}

fn mode_run(call: &Call) -> Result<()> {
    launch(call, Order::Mode)
}

fn running_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let n = length(&one(ins), args)?;
    pair_of("cummax/cummin", ins, args, Some(n))
}

fn running_run(call: &Call) -> Result<()> {
    launch(call, Order::Running { largest: call.args[2] == Arg::Bool(true) })
}

fn search_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let (Some(Some(sorted)), Some(Some(x))) = (ins.first(), ins.get(1)) else {
        return Err(Error::bug("searchsorted", "an operand is missing"));
    };
    let (a, b) = (&sorted.shape, &x.shape);
    let fits = a.len() == 1 || a.len() == b.len() && !a.is_empty() && a[..a.len() - 1] == b[..b.len() - 1];
    if !fits {
        return Err(Error::shape(
            "searchsorted",
            format!(
                "the sorted elements of shape {} must be one row, or as many rows as the values of shape {}",
                shape::show(a),
                shape::show(b)
            ),
        ));
    }
    Ok(smallvec![Meta { shape: b.clone(), dtype: if args[1] == Arg::Bool(true) { DType::I32 } else { DType::I64 } }])
}

fn search_run(call: &Call) -> Result<()> {
    let (sorted, values, out) = (operand(call, 0)?, operand(call, 1)?, &call.outs[0]);
    let row = |op: &Operand| if op.layout.rank() == 0 { op.view(op.layout.insert_axis(0)) } else { op.clone() };
    // Both are compared in one type.
    let common = sorted.dtype.promote(values.dtype);
    let backend = of(&out.storage);
    let wide = |op: &Operand| -> Result<Operand> {
        let op = row(op);
        if op.dtype.is_float() == common.is_float() {
            return Ok(op);
        }
        let copy = Operand::new(backend, &op.layout.shape, common)?;
        backend.launch(&Launch::Copy { src: &op, dst: &copy })?;
        Ok(copy)
    };
    let right = call.args[0] == Arg::Bool(true);
    backend.launch(&Launch::Search { sorted: &wide(sorted)?, values: &wide(values)?, right, out: &row(out) })
}

fn msort_inline(ins: &[Option<Sym>], _args: &[Arg]) -> Result<Vec<Tensor>> {
    let x = ins[0].as_ref().unwrap_or(&Sym::Absent);
    let feeds = [x.feed()];
    let args = [Arg::Int(0), Arg::Bool(true), Arg::Bool(false), Arg::Int(-1)];
    let outs = crate::graph::tensor::emit(&sort_along::OP, &feeds, &args)?;
    match outs {
        crate::graph::Outs::Many(mut list) => Ok(vec![list.swap_remove(0)]),
        crate::graph::Outs::One(_) => Err(Error::bug("msort", "a sort has two results")),
    }
}

fn logcumsumexp_inline(ins: &[Option<Sym>], args: &[Arg]) -> Result<Vec<Tensor>> {
    let x = ins[0].as_ref().unwrap_or(&Sym::Absent);
    if !x.dtype().is_inexact() {
        return Err(Error::no_float("logcumsumexp", "a float tensor", x.dtype()));
    }
    let sizes = x.shape();
    let axis = shape::axis("logcumsumexp", args[0].int().unwrap_or(0), sizes.len())?;
    if sizes.is_empty() {
        return Ok(vec![super::view::clone_(x.tensor())?]);
    }
    Ok(vec![doubled(x, axis, &|a, b| a.logaddexp(b)).tensor().clone()])
}

/// A running fold along an axis by doubling: each element is joined to the fold that ends `step` before it.
pub fn doubled(x: &Sym, axis: usize, join: &dyn Fn(&Sym, &Sym) -> Sym) -> Sym {
    let sizes = x.shape();
    let n = sizes[axis];
    let part = |t: &Sym, start: usize, len: usize| {
        let (mut starts, mut wanted) = (Few::filled(0i64, sizes.len()), Few::from(&sizes[..]));
        starts[axis] = start as i64;
        wanted[axis] = len;
        t.slice(starts, &wanted, Few::filled(1i64, sizes.len()))
    };
    let (mut total, mut step) = (x.clone(), 1);
    while step < n {
        let tail = join(&part(&total, step, n - step), &part(&total, 0, n - step));
        let head = part(&total, 0, step);
        total = Sym::from(crate::graph::sym::must(super::moves::cat(&[head.tensor(), tail.tensor()], axis)));
        step *= 2;
    }
    total
}
