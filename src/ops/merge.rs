//! Elements joined to the places that an index names by product or extreme, and masks filled from a list. Leans on graph
//! and backend's merge family.

use super::index::{along, scatter_meta};
use super::view::{one, operand};
use crate::backend::cpu::convert::to_f64;
use crate::backend::{FoldKind, Launch, Operand, of};
use crate::base::{DType, Error, Layout, Result, shape};
use crate::graph::{Arg, Call, Grads, Meta, Metas, Pull, Sym, Tensor};

crate::op! {
    /// The input with the source multiplied to the places that the index names along an axis.
    scatter_prod(input, index, src; dim: Axis) Any {
        kernel(merge_meta, prod_run);
        rule prod_back;
        batch shift;
        face hidden;
    }
    /// The input with the source joined by the larger at the places that the index names along an axis.
    scatter_amax(input, index, src; dim: Axis) Any {
        kernel(merge_meta, amax_run);
        rule extreme_back;
        batch shift;
        face hidden;
    }
    /// The input with the source joined by the smaller at the places that the index names along an axis.
    scatter_amin(input, index, src; dim: Axis) Any {
        kernel(merge_meta, amin_run);
        rule extreme_back;
        batch shift;
        face hidden;
    }
    /// A copy with the elements of the source, in their order, where the mask holds.
    ///
    /// >>> schuss.zeros(3).masked_scatter(schuss.tensor([True, False, True]), schuss.tensor([1.0, 2.0]))
    /// tensor([1., 0., 2.])
    masked_scatter(input, mask, source) Any { inline(masked_scatter_inline); }
    /// The tensor summed to a shape that broadcasts to its own.
    ///
    /// >>> schuss.ones(2, 3).sum_to_size(1, 3)
    /// tensor([[2., 2., 2.]])
    sum_to_size(input; size: Ints) Any { inline(sum_to_size_inline); face method; }
}

fn merge_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    scatter_meta(ins, args)
}

fn merge(call: &Call, kind: FoldKind) -> Result<()> {
    let (x, index, src, out) = (operand(call, 0)?, operand(call, 1)?, operand(call, 2)?, &call.outs[0]);
    let backend = of(&x.storage);
    backend.launch(&Launch::Copy { src: x, dst: out })?;
    if index.numel() == 0 {
        return Ok(());
    }
    let axis = shape::axis("scatter_reduce", call.args[0].int().unwrap_or(0), x.layout.rank())?;
    let (target, pick) = along("scatter_reduce", out, index, &index.layout.shape, axis)?;
    let src = if src.layout.rank() == 0 { src.view(src.layout.insert_axis(0)) } else { src.clone() };
    let values = src.view(Layout::new(target.layout.shape.clone(), src.layout.strides.clone(), src.layout.offset));
    backend.launch(&Launch::Merge { kind, target: &target, pick: &pick, values: &values })
}

fn prod_run(call: &Call) -> Result<()> {
    merge(call, FoldKind::Prod)
}
fn amax_run(call: &Call) -> Result<()> {
    merge(call, FoldKind::Max)
}
fn amin_run(call: &Call) -> Result<()> {
    merge(call, FoldKind::Min)
}

/// Equal elements share the gradient evenly.
fn extreme_back(pull: &Pull) -> Grads {
    let (g, x, index, src, y) = (pull.grad(), &pull.ins[0], &pull.ins[1], &pull.ins[2], &pull.outs[0]);
    let axis = pull.args[0].int().unwrap_or(0);
    let own = x.eq(y).cast(g.dtype());
    let hit = src.eq(&y.gather(index, axis)).cast(g.dtype());
    let share = g / &own.scatter_add(index, &hit, axis).maximum(&Sym::from(1.0));
    let mut grads = Grads::new();
    grads.push(pull.needs.has(0).then(|| &own * &share));
    grads.push(None);
    grads.push(pull.needs.has(2).then(|| &hit * &share.gather(index, axis)));
    grads
}

/// The product of the others: of all that are not 0 divided by the element, or where it is the only 0, undivided.
fn prod_back(pull: &Pull) -> Grads {
    let (g, x, index, src) = (pull.grad(), &pull.ins[0], &pull.ins[1], &pull.ins[2]);
    let axis = pull.args[0].int().unwrap_or(0);
    let zero = Sym::from(0.0);
    let (flat_x, flat_src) = (x.eq(&zero), src.eq(&zero));
    let (safe_x, safe_src) = (flat_x.where_(&Sym::from(1.0), x), flat_src.where_(&Sym::from(1.0), src));
    let rest = safe_x.scatter_prod(index, &safe_src, axis) * g;
    let zeros = flat_x.cast(g.dtype()).scatter_add(index, &flat_src.cast(g.dtype()), axis);
    let of = |flat: &Sym, safe: &Sym, rest: &Sym, zeros: &Sym| {
        let alive = zeros.eq(&flat.cast(g.dtype()));
        alive.where_(&(rest / safe), &zero)
    };
    let mut grads = Grads::new();
    grads.push(pull.needs.has(0).then(|| of(&flat_x, &safe_x, &rest, &zeros)));
    grads.push(None);
    grads.push(pull.needs.has(2).then(|| of(&flat_src, &safe_src, &rest.gather(index, axis), &zeros.gather(index, axis))));
    grads
}

fn masked_scatter_inline(ins: &[Option<Sym>], _args: &[Arg]) -> Result<Vec<Tensor>> {
    let [Some(x), Some(mask), Some(source)] = ins else { return Err(Error::bug("masked_scatter", "an operand is missing")) };
    if mask.dtype() != DType::Bool {
        return Err(Error::dtype("masked_scatter", format!("the mask must be a bool tensor, got {}", mask.dtype())));
    }
    if source.dtype() != x.dtype() {
        return Err(Error::dtype("masked_scatter", format!("the input is {} and the source {}", x.dtype(), source.dtype())));
    }
    let wide = shape::broadcast("masked_scatter", &x.shape(), &mask.shape())?;
    let (x, mask) = (x.expand(&wide), mask.expand(&wide));
    super::loss::demand("masked_scatter", &mask.sum((), false, ()), has_enough, &[source.numel() as i64])?;
    if source.numel() == 0 || x.numel() == 0 {
        return Ok(vec![super::view::clone_(x.tensor())?]);
    }
    let places = mask.reshape([-1i64]).cast(DType::I64).cumsum(0i64, ()).sub(&Sym::from(crate::base::Number::Int(1)));
    let low = Sym::from(crate::base::Number::Int(0));
    let found = source.reshape([-1i64]).gather(&places.maximum(&low), 0i64).reshape(&wide);
    Ok(vec![mask.where_(&found, &x).tensor().clone()])
}

/// Of many examples the one that takes most must find enough.
fn has_enough(op: &'static str, ins: &[Operand], numbers: &[i64]) -> Result<()> {
    let wanted = to_f64(&ins[0]).into_iter().fold(0.0, f64::max);
    if wanted <= numbers[0] as f64 {
        return Ok(());
    }
    Err(Error::runtime(op, format!("the mask holds at {wanted} places, but the source has {} elements", numbers[0])))
}

fn sum_to_size_inline(ins: &[Option<Sym>], args: &[Arg]) -> Result<Vec<Tensor>> {
    let x = ins[0].as_ref().unwrap_or(&Sym::Absent);
    let have = one(&[Some(Meta { shape: x.shape(), dtype: x.dtype() })]).shape;
    let wanted: Vec<usize> = args[0].ints().iter().map(|&s| s.max(0) as usize).collect();
    if wanted.len() > have.len() || shape::broadcast("sum_to_size", &wanted, &have).map_or(true, |s| s != have) {
        return Err(Error::runtime(
            "sum_to_size",
            format!("a tensor of shape {} cannot be summed to {}", shape::show(&have), shape::show(&wanted)),
        ));
    }
    Ok(vec![x.sum_to(&wanted[..]).tensor().clone()])
}
