//! Elements read from and written to places that other tensors name. Leans on graph and backend's gather family.

use super::view::{operand, zeros_like};
use crate::backend::launch::Pick;
use crate::backend::{Launch, Operand, of};
use crate::base::{Error, Few, Layout, Result, shape};
use crate::graph::sym::must;
use crate::graph::{Arg, Call, Grads, Meta, Metas, Pull, Sym, Tensor};
use smallvec::smallvec;

crate::op! {
    /// Elements at the places that index tensors name: the first tensor is read, the others address the axes in `axes`;
    /// places below 0 count from the end of an axis, or are refused, as those of a table's rows are.
    take_at(tensors: List; axes: Ints, front: Bool, wraps: Bool) Any {
        kernel(take_meta, take_run);
        rule take_back;
        complex Yes;
        linear Together;
        batch taken;
        face hidden;
    }
    /// The first tensor with the second written, or added, at the places that the others name.
    put_at(tensors: List; axes: Ints, front: Bool, add: Bool) Any {
        kernel(put_meta, put_run);
        rule put_back;
        complex Yes;
        face hidden;
    }
    /// `out[i][j] = input[index[i][j]][j]` for axis 0, and so on: for each place of the index an element along the axis.
    gather(input, index; dim: Axis) Any {
        kernel(gather_meta, gather_run);
        vjp |g, [x, i], _y| [zeros_like(x).scatter_add(i, g, dim), g];
        complex Yes;
        linear Together;
        batch shift;
        face hidden;
    }
    /// The input with the source added at the places that the index names along an axis.
    scatter_add(input, index, src; dim: Axis) Any {
        kernel(scatter_meta, scatter_add_run);
        vjp |g, [_x, i, _s], _y| [g, g, &g.gather(i, dim)];
        complex Yes;
        linear Together;
        batch shift;
        face hidden;
    }
    /// The input with the source written at the places that the index names along an axis.
    scatter(input, index, src; dim: Axis) Any {
        kernel(scatter_meta, scatter_run);
        vjp |g, [_x, i, s], _y| [&g.scatter(i, &zeros_like(s), dim), g, &g.gather(i, dim)];
        complex Yes;
        batch shift;
        face hidden;
    }
}

fn metas(ins: &[Option<Meta>]) -> Vec<Meta> {
    ins.iter().flatten().cloned().collect()
}

/// What the result of `source[indices]` looks like: the axes before, those of the indices, the axes after.
struct Plan {
    axes: Few<usize>,
    /// The index tensors' common shape.
    index: Few<usize>,
    /// Where the index axes stand in the result.
    at: usize,
    out: Few<usize>,
}

fn plan(op: &str, source: &[usize], indices: &[&[usize]], args: &[Arg]) -> Result<Plan> {
    let axes: Few<usize> = args[0].ints().iter().map(|&a| a as usize).collect();
    let mut index: Few<usize> = Few::new();
    for i in indices {
        index = shape::broadcast(op, &index, i).map_err(|_| {
            Error::index(
                op,
                format!("the index tensors of shapes {} and {} do not broadcast together", shape::show(&index), shape::show(i)),
            )
        })?;
    }
    let at = if args[1] == Arg::Bool(true) { 0 } else { axes.first().copied().unwrap_or(0) };
    let rest: Vec<usize> = (0..source.len()).filter(|i| !axes.contains(i)).map(|i| source[i]).collect();
    let out = rest[..at].iter().chain(index.iter()).chain(&rest[at..]).copied().collect();
    Ok(Plan { axes, index, at, out })
}

impl Plan {
    /// The source's layout under the result's shape: its own strides where no index decides, 0 where one does.
    fn source(&self, x: &Operand) -> Operand {
        let rest: Vec<isize> = (0..x.layout.rank()).filter(|i| !self.axes.contains(i)).map(|i| x.layout.strides[i]).collect();
        let strides = rest[..self.at].iter().copied().chain(self.index.iter().map(|_| 0)).chain(rest[self.at..].iter().copied()).collect();
        x.view(Layout::new(self.out.clone(), strides, x.layout.offset))
    }

    fn picks(&self, x: &Operand, indices: &[&Operand], wraps: bool) -> Result<Vec<Pick>> {
        let mut picks = Vec::new();
        for (&axis, index) in self.axes.iter().zip(indices) {
            let wide = index.layout.broadcast_to("index", &self.index)?;
            let strides = (0..self.out.len())
                .map(|i| if i >= self.at && i < self.at + self.index.len() { wide.strides[i - self.at] } else { 0 })
                .collect();
            let layout = Layout::new(self.out.clone(), strides, wide.offset);
            picks.push(Pick {
                op: if wraps { "index" } else { "embedding" },
                index: index.view(layout),
                size: x.layout.shape[axis],
                stride: x.layout.strides[axis],
                wraps,
            });
        }
        Ok(picks)
    }
}

fn take_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let list = metas(ins);
    let indices: Vec<&[usize]> = list[1..].iter().map(|m| &m.shape[..]).collect();
    Ok(smallvec![Meta { shape: plan("index", &list[0].shape, &indices, args)?.out, dtype: list[0].dtype }])
}

fn take_run(call: &Call) -> Result<()> {
    let list: Vec<&Operand> = call.ins.iter().flatten().copied().collect();
    let (x, indices) = (list[0], &list[1..]);
    let shapes: Vec<&[usize]> = indices.iter().map(|i| &i.layout.shape[..]).collect();
    let plan = plan("index", &x.layout.shape, &shapes, call.args)?;
    let picks = plan.picks(x, indices, call.args[2] == Arg::Bool(true))?;
    of(&x.storage).launch(&Launch::Gather { source: &plan.source(x), picks: &picks, out: &call.outs[0] })
}

fn take_back(pull: &Pull) -> Grads {
    let zeros = zeros_like(&pull.ins[0]);
    let mut list: Vec<&Tensor> = vec![zeros.tensor(), pull.grad().tensor()];
    list.extend(pull.ins[1..].iter().map(Sym::tensor));
    let grad = must(put_at(&list, pull.args[0].clone(), pull.args[1].clone(), true));
    [Some(Sym::Tensor(grad))].into_iter().collect()
}

fn put_meta(ins: &[Option<Meta>], _args: &[Arg]) -> Result<Metas> {
    Ok(smallvec![metas(ins).swap_remove(0)])
}

fn put_run(call: &Call) -> Result<()> {
    let list: Vec<&Operand> = call.ins.iter().flatten().copied().collect();
    of(&list[0].storage).launch(&Launch::Copy { src: list[0], dst: &call.outs[0] })?;
    put_into(&call.outs[0], list[1], &list[2..], call.args)
}

/// Writes, or adds, values at the places that indices name, in place.
pub fn put_into(target: &Operand, values: &Operand, indices: &[&Operand], args: &[Arg]) -> Result<()> {
    let shapes: Vec<&[usize]> = indices.iter().map(|i| &i.layout.shape[..]).collect();
    let plan = plan("index_put", &target.layout.shape, &shapes, args)?;
    let picks = plan.picks(target, indices, true)?;
    let values = values.view(values.layout.broadcast_to("index_put", &plan.out)?);
    of(&target.storage).launch(&Launch::Scatter {
        target: &plan.source(target),
        picks: &picks,
        values: &values,
        add: args[2] == Arg::Bool(true),
    })
}

fn put_back(pull: &Pull) -> Grads {
    let (g, add) = (pull.grad(), pull.args[2] == Arg::Bool(true));
    let indices: Vec<&Tensor> = pull.ins[2..].iter().map(Sym::tensor).collect();
    let mut grads = Grads::new();
    grads.push(pull.needs.has(0).then(|| {
        if add {
            return g.clone();
        }
        let zeros = zeros_like(&pull.ins[1]);
        let mut list: Vec<&Tensor> = vec![g.tensor(), zeros.tensor()];
        list.extend(&indices);
        Sym::Tensor(must(put_at(&list, pull.args[0].clone(), pull.args[1].clone(), false)))
    }));
    grads.push(pull.needs.has(1).then(|| {
        let mut list: Vec<&Tensor> = vec![g.tensor()];
        list.extend(&indices);
        Sym::Tensor(must(take_at(&list, pull.args[0].clone(), pull.args[1].clone(), true))).sum_to(&pull.ins[1].shape())
    }));
    grads
}

fn check_along(op: &str, x: &Meta, index: &Meta, axis: usize) -> Result<()> {
    if !index.dtype.is_int() {
        return Err(Error::dtype(op, format!("the index must be an integer tensor, got {}; use index.long()", index.dtype)));
    }
    let fits = index.shape.len() == x.shape.len() && (0..x.shape.len()).all(|i| i == axis || index.shape[i] <= x.shape[i]);
    if !fits {
        return Err(Error::shape(
            op,
            format!(
                "the index of shape {} does not fit a tensor of shape {} along axis {axis}: as many axes are needed, and no other size may be larger",
                shape::show(&index.shape),
                shape::show(&x.shape)
            ),
        ));
    }
    Ok(())
}

/// A 0-d tensor is seen as one of a single element.
fn at_least_one(m: &Meta) -> Meta {
    if m.shape.is_empty() { Meta { shape: Few::filled(1, 1), dtype: m.dtype } } else { m.clone() }
}

fn gather_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let list = metas(ins);
    let axis = shape::axis("gather", args[0].int().unwrap_or(0), list[0].shape.len())?;
    if list[1].shape.contains(&0) {
        return Ok(smallvec![Meta { shape: list[1].shape.clone(), dtype: list[0].dtype }]);
    }
    check_along("gather", &at_least_one(&list[0]), &at_least_one(&list[1]), axis)?;
    Ok(smallvec![Meta { shape: list[1].shape.clone(), dtype: list[0].dtype }])
}

/// The operand of `axis` for a gather or scatter whose result has `shape`.
pub(super) fn along(op: &'static str, x: &Operand, index: &Operand, shape: &[usize], axis: usize) -> Result<(Operand, Pick)> {
    let widen = |op: &Operand| if op.layout.rank() == 0 { op.view(op.layout.insert_axis(0)) } else { op.clone() };
    let (x, index) = (widen(x), widen(index));
    let shape: Few<usize> = if shape.is_empty() { Few::filled(1, 1) } else { shape.into() };
    let mut strides = x.layout.strides.clone();
    let stride = std::mem::replace(&mut strides[axis], 0);
    let source = x.view(Layout::new(shape.clone(), strides, x.layout.offset));
    let at = Layout::new(shape, index.layout.strides.clone(), index.layout.offset);
    Ok((source, Pick { op, index: index.view(at), size: x.layout.shape[axis], stride, wraps: false }))
}

fn gather_run(call: &Call) -> Result<()> {
    let (x, index, out) = (operand(call, 0)?, operand(call, 1)?, &call.outs[0]);
    if out.numel() == 0 {
        return Ok(());
    }
    let axis = shape::axis("gather", call.args[0].int().unwrap_or(0), x.layout.rank())?;
    let (source, pick) = along("gather", x, index, &index.layout.shape, axis)?;
    let out = if out.layout.rank() == 0 { out.view(out.layout.insert_axis(0)) } else { out.clone() };
    of(&x.storage).launch(&Launch::Gather { source: &source, picks: &[pick], out: &out })
}

pub(super) fn scatter_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let list = metas(ins);
    let axis = shape::axis("scatter", args[0].int().unwrap_or(0), list[0].shape.len())?;
    if !list[1].shape.contains(&0) {
        let (x, i) = (at_least_one(&list[0]), at_least_one(&list[1]));
        check_along("scatter", &x, &i, axis)?;
        let src = at_least_one(&list[2]);
        if src.shape.len() != i.shape.len() || (0..i.shape.len()).any(|k| i.shape[k] > src.shape[k]) {
            return Err(Error::shape(
                "scatter",
                format!("the index of shape {} reaches past the source of shape {}", shape::show(&i.shape), shape::show(&src.shape)),
            ));
        }
        if list[2].dtype != list[0].dtype {
            return Err(Error::dtype(
                "scatter",
                format!("the input is {} and the source {}; convert one with .to()", list[0].dtype, list[2].dtype),
            ));
        }
    }
    Ok(smallvec![list[0].clone()])
}

fn scatter_as(call: &Call, add: bool) -> Result<()> {
    let (x, index, src, out) = (operand(call, 0)?, operand(call, 1)?, operand(call, 2)?, &call.outs[0]);
    let backend = of(&x.storage);
    backend.launch(&Launch::Copy { src: x, dst: out })?;
    if index.numel() == 0 {
        return Ok(());
    }
    let axis = shape::axis("scatter", call.args[0].int().unwrap_or(0), x.layout.rank())?;
    let (target, pick) = along("scatter", out, index, &index.layout.shape, axis)?;
    let src = if src.layout.rank() == 0 { src.view(src.layout.insert_axis(0)) } else { src.clone() };
    let values = src.view(Layout::new(target.layout.shape.clone(), src.layout.strides.clone(), src.layout.offset));
    backend.launch(&Launch::Scatter { target: &target, picks: &[pick], values: &values, add })
}

fn scatter_run(call: &Call) -> Result<()> {
    scatter_as(call, false)
}

fn scatter_add_run(call: &Call) -> Result<()> {
    scatter_as(call, true)
}
