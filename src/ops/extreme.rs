//! Largest and smallest elements, and where they stand. Leans on graph, backend's fold family, and what folds share.

use super::reduce::{along, folded, named, one, open};
use crate::backend::FoldKind;
use crate::base::{DType, Error, Result, shape};
use crate::graph::{Arg, Call, Grads, Meta, Metas, Pull};
use smallvec::smallvec;

crate::op! {
    /// The largest element over some axes, or over all; NaN if any is. Equal elements share the gradient.
    ///
    /// >>> schuss.tensor([[1.0, 5.0], [3.0, 4.0]]).amax(1)
    /// tensor([5., 4.])
    amax(input; dim: Axes = Arg::None, keepdim: Bool = Arg::Bool(false)) Any {
        kernel(amax_meta, amax_run);
        rule extreme_back;
        batch shift;
    }
    /// The smallest element over some axes, or over all; NaN if any is. Equal elements share the gradient.
    ///
    /// >>> schuss.tensor([[1.0, 5.0], [3.0, 4.0]]).amin(1)
    /// tensor([1., 3.])
    amin(input; dim: Axes = Arg::None, keepdim: Bool = Arg::Bool(false)) Any {
        kernel(amin_meta, amin_run);
        rule extreme_back;
        batch shift;
    }
    /// The position of the first largest element along an axis, or in the flattened tensor.
    ///
    /// >>> schuss.tensor([[1.0, 5.0], [3.0, 4.0]]).argmax(1)
    /// tensor([1, 1])
    argmax(input; dim: MaybeAxis = Arg::None, keepdim: Bool = Arg::Bool(false)) Any {
        kernel(argmax_meta, argmax_run);
        batch shift;
    }
    /// The position of the first smallest element along an axis, or in the flattened tensor.
    ///
    /// >>> schuss.tensor([[1.0, 5.0], [3.0, 4.0]]).argmin(1)
    /// tensor([0, 0])
    argmin(input; dim: MaybeAxis = Arg::None, keepdim: Bool = Arg::Bool(false)) Any {
        kernel(argmin_meta, argmin_run);
        batch shift;
    }
    /// The largest elements along an axis, and their positions.
    max(input; dim: Axis, keepdim: Bool = Arg::Bool(false)) Any {
        kernel(max_meta, max_run);
        rule placed_back;
        batch shift;
        face hidden;
    }
    /// The smallest elements along an axis, and their positions.
    min(input; dim: Axis, keepdim: Bool = Arg::Bool(false)) Any {
        kernel(min_meta, min_run);
        rule placed_back;
        batch shift;
        face hidden;
    }
}

named!(
    amax_meta amax extreme_shape,
    amin_meta amin extreme_shape,
    argmax_meta argmax place_shape,
    argmin_meta argmin place_shape,
    max_meta max pair_shape,
    min_meta min pair_shape,
);

fn extreme_shape(op: &str, ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let x = one(ins);
    let (shape, axes) = folded(op, &x.shape, &args[0], args[1] == Arg::Bool(true))?;
    refuse_empty(op, &x.shape, &axes)?;
    Ok(smallvec![Meta { shape, dtype: x.dtype }])
}

fn refuse_empty(op: &str, x: &[usize], axes: &[usize]) -> Result<()> {
    if axes.iter().any(|&i| x[i] == 0) {
        let message = format!(
            "the shape {} has no element along the axes {}, and nothing has no largest or smallest; check that the tensor is not empty",
            shape::show(x),
            shape::show(axes)
        );
        return Err(if axes.len() == x.len() && x.len() <= 1 || axes.len() == x.len() {
            Error::runtime(op, message)
        } else {
            Error::index(op, message)
        });
    }
    Ok(())
}

fn amax_run(call: &Call) -> Result<()> {
    along(call, FoldKind::Max)
}

fn amin_run(call: &Call) -> Result<()> {
    along(call, FoldKind::Min)
}

fn extreme_back(pull: &Pull) -> Grads {
    let (g, x, y) = (pull.grad(), &pull.ins[0], &pull.outs[0]);
    let dims = pull.args[0].ints();
    let keepdim = pull.args[1] == Arg::Bool(true);
    let top = open(y, x, &dims, keepdim);
    // NaN is the extreme of a tensor that has one, and equals nothing.
    let hit = x.eq(&top).logical_or(&x.isnan().logical_and(&top.isnan())).cast(g.dtype());
    let count = hit.sum(dims.clone(), true, ());
    let grad = open(g, x, &dims, keepdim) / count * hit;
    [Some(grad)].into_iter().collect()
}

fn place_shape(op: &str, ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let x = one(ins);
    if x.dtype == DType::Bool {
        return Err(Error::runtime(op, "is not defined for bool; use x.int() first"));
    }
    let keepdim = args[1] == Arg::Bool(true);
    let (shape, axes) = folded(op, &x.shape, &args[0], keepdim)?;
    if axes.iter().any(|&i| x.shape[i] == 0) {
        let message =
            format!("the shape {} has no element to find the position of; check that the tensor is not empty", shape::show(&x.shape));
        return Err(Error::index(op, message));
    }
    Ok(smallvec![Meta { shape, dtype: DType::I64 }])
}

fn argmax_run(call: &Call) -> Result<()> {
    along(call, FoldKind::ArgMax)
}

fn argmin_run(call: &Call) -> Result<()> {
    along(call, FoldKind::ArgMin)
}

fn pair_shape(op: &str, ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let x = one(ins);
    let (shape, axes) = folded(op, &x.shape, &args[0], args[1] == Arg::Bool(true))?;
    if axes.iter().any(|&i| x.shape[i] == 0) {
        return Err(Error::index(
            op,
            format!("the shape {} has no element along axis {}; check that the tensor is not empty", shape::show(&x.shape), axes[0]),
        ));
    }
    Ok(smallvec![Meta { shape: shape.clone(), dtype: x.dtype }, Meta { shape, dtype: DType::I64 }])
}

fn pair(call: &Call, value: FoldKind, place: FoldKind) -> Result<()> {
    along(call, value)?;
    along(&Call { ins: call.ins, outs: &call.outs[1..], args: call.args }, place)
}

fn max_run(call: &Call) -> Result<()> {
    pair(call, FoldKind::Max, FoldKind::ArgMax)
}

fn min_run(call: &Call) -> Result<()> {
    pair(call, FoldKind::Min, FoldKind::ArgMin)
}

/// The derivative of what picks elements along an axis: the cotangents laid back to where they stood.
pub(super) fn placed_back(pull: &Pull) -> Grads {
    let (x, places) = (&pull.ins[0], &pull.outs[1]);
    let Some(g) = &pull.grads[0] else { return [None].into_iter().collect() };
    super::view::reads(&[places]);
    let axis = pull.args[0].int().unwrap_or(0);
    if x.rank() == 0 {
        return [Some(g.reshape(&x.shape()))].into_iter().collect();
    }
    let (g, places) = if g.rank() == x.rank() { (g.clone(), places.clone()) } else { (g.unsqueeze(axis), places.unsqueeze(axis)) };
    let zeros = super::view::zeros_like(x);
    [Some(zeros.scatter_add(&places, &g, axis))].into_iter().collect()
}
