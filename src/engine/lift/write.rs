//! Writes in place to lifted tensors: to the value and to the tangent, or to all examples at once. Leans on write.

use super::super::{windows, write};
use super::{dual, innermost, is_tracked};
use crate::backend::{Operand, of};
use crate::base::{Error, Layout, Result, shape};
use crate::graph::lift::{Draws, Kind, Lift, active, below, kind_of};
use crate::graph::node::watched;
use crate::graph::tensor::{Core, emit as ask};
use crate::graph::{Arg, Body, Example, Feed, Op, Tensor};
use crate::ops;
use std::sync::Arc;

/// `target = op(feeds)`; false where nothing is lifted.
pub(in super::super) fn apply(op: &'static Op, target: &Tensor, feeds: &[Feed], args: &[Arg]) -> Result<bool> {
    if innermost(feeds).is_none() && target.lift().is_none() {
        return Ok(false);
    }
    let name = format!("{}_", op.name);
    // The derivative may read what is about to be overwritten.
    let copy = if is_tracked(target) { Some(ops::view::compact(target)?) } else { None };
    let own = |feed: &Feed<'_>| matches!(feed, Feed::Tensor(t) if t.same(target));
    let made = match &copy {
        Some(copy) => {
            let feeds: Vec<Feed> = feeds.iter().map(|f| if own(f) { Feed::Tensor(copy) } else { *f }).collect();
            ask(op, &feeds, args)?.one()
        }
        None => ask(op, feeds, args)?.one(),
    };
    write::check_cast(&name, made.dtype(), target.dtype())?;
    if made.shape() != target.shape() {
        let (have, own) = (made.shape(), target.shape());
        return Err(Error::shape(
            &name,
            format!("the result has shape {}, the tensor written to {}; in place, it cannot change", shape::show(&have), shape::show(&own)),
        ));
    }
    write::copy_as(&name, target, Feed::Tensor(&made))?;
    Ok(true)
}

/// `target[...] = source`; false where nothing is lifted.
pub(in super::super) fn copy(op: &str, target: &Tensor, source: Feed) -> Result<bool> {
    let both = [Feed::Tensor(target), source];
    let Some((level, lifts)) = innermost(&both) else { return Ok(false) };
    if let Some(Kind::Batch { .. }) = kind_of(level) {
        let _below = below(level);
        match &super::batch::examples(level, &both, &lifts)[..] {
            [Example::Many(own), Example::Many(from)] => {
                let (sizes, extra) = (from.shape(), own.rank().saturating_sub(from.rank()));
                let full: Vec<usize> =
                    sizes[..1].iter().copied().chain(std::iter::repeat_n(1, extra)).chain(sizes[1..].iter().copied()).collect();
                write::copy_as(op, own, Feed::Tensor(&ops::view::reshape(*from, &full[..])?))?;
            }
            [Example::Many(own), Example::Same(feed)] => write::copy_as(op, own, *feed)?,
            _ => return Err(shared(op, target)),
        }
        return Ok(true);
    }
    let own = moving(op, level, target)?;
    let (values, mut tangents) = {
        let _below = below(level);
        dual::parts(level, &both, &lifts)
    };
    let Lift::Dual { primal, tangent, .. } = &*own else { return Ok(false) };
    let _below = below(level);
    write::copy_as(op, primal, values[1])?;
    match tangents.remove(1) {
        Some(moved) => write::copy_as(op, tangent, Feed::Tensor(&moved))?,
        None => write::copy_as(op, tangent, Feed::from(0))?,
    }
    Ok(true)
}

/// Random numbers in place of what a tensor holds; false where nothing is lifted.
pub(in super::super) fn overwrite(op: &str, target: &Tensor, work: &mut dyn FnMut(&Operand) -> Result<()>) -> Result<bool> {
    let Some(lift) = target.lift() else { return Ok(false) };
    let _below = below(lift.level());
    match (&*lift, kind_of(lift.level())) {
        (Lift::Dual { primal, tangent, .. }, _) => {
            write::overwrite(op, primal, work)?;
            write::copy_as(op, tangent, Feed::from(0))?;
        }
        (Lift::Batch { value, .. }, Some(Kind::Batch { draws: Draws::Different, .. })) => write::overwrite(op, value, work)?,
        (Lift::Batch { value, .. }, _) => {
            let one = Operand::new(of(&value.storage()), &target.shape(), target.dtype())?;
            work(&one)?;
            write::copy_as(op, value, Feed::Operand(&one))?;
        }
    }
    Ok(true)
}

/// Values written where index tensors say; false where nothing is lifted.
pub(in super::super) fn put(op: &str, target: &Tensor, values: &Tensor, indices: &[&Tensor], args: &[Arg]) -> Result<bool> {
    let feeds: Vec<Feed> = [target, values].into_iter().chain(indices.iter().copied()).map(Feed::Tensor).collect();
    let Some((level, lifts)) = innermost(&feeds) else { return Ok(false) };
    if let Some(Kind::Batch { .. }) = kind_of(level) {
        let made = ask(&ops::index::put_at::OP, &feeds, args)?.one();
        return copy(op, target, Feed::Tensor(&made));
    }
    let own = moving(op, level, target)?;
    let (primals, tangents) = dual::parts(level, &feeds, &lifts);
    let Lift::Dual { primal, tangent, .. } = &*own else { return Ok(false) };
    let _below = below(level);
    let plain: Vec<&Tensor> = primals.iter().filter_map(|f| if let Feed::Tensor(t) = f { Some(*t) } else { None }).collect();
    write::put_(op, primal, plain[1], &plain[2..], args)?;
    let moved = match &tangents[1] {
        Some(moved) => moved.clone(),
        None => dual::zeros(&plain[1].shape(), plain[1].dtype(), plain[1].device())?,
    };
    write::put_(op, tangent, &moved, &plain[2..], args)?;
    Ok(true)
}

#[cold]
fn shared(op: &str, target: &Tensor) -> Error {
    Error::runtime(
        op,
        format!(
            "inside vmap the tensor written to (shape {}) is the same for all examples, and what is written differs; make it from an \
             argument (x.new_zeros, zeros_like), or use the form that returns a new tensor",
            shape::show(&target.shape())
        ),
    )
}

/// A target's value and tangent at a level. One that stood still begins to move: it gets a tangent of zeros.
fn moving(op: &str, level: u64, target: &Tensor) -> Result<Arc<Lift>> {
    if let Some(lift) = super::lift_of(&Feed::Tensor(target)).filter(|l| l.level() == level) {
        return Ok(lift);
    }
    let base = target.0.core.get().base.clone().unwrap_or_else(|| target.clone());
    let (flags, tracked) = {
        let core = base.0.core.get();
        (core.flags, core.requires_grad && core.edge.is_none())
    };
    if !base.is_contiguous() || watched(flags) || tracked {
        return Err(Error::grad(
            op,
            format!(
                "a tensor made outside of the transformation (shape {}) cannot take on a tangent in place; use the form that returns a new tensor",
                shape::show(&base.shape())
            ),
        ));
    }
    // Under every open batch each example gets a tangent of its own: what will be written there may differ.
    let batches: Vec<(u64, usize)> = active()
        .into_iter()
        .filter_map(|(own, kind)| if let Kind::Batch { count, .. } = kind { Some((own, count)) } else { None })
        .filter(|(own, _)| *own < level)
        .collect();
    let sizes: Vec<usize> = batches.iter().map(|(_, count)| *count).chain(base.shape().iter().copied()).collect();
    let tangent = dual::zeros(&sizes, base.dtype(), base.values().device())?;
    let tangent = batches.into_iter().fold(tangent, |t, (own, _)| Tensor::batch(own, t));
    let primal = beside(&base);
    base.set_lift(Lift::Dual { level, primal, tangent });
    super::lift_of(&Feed::Tensor(target)).ok_or_else(|| Error::bug(op, "a tangent was lost"))
}

/// Another handle of the same elements, at the same place in the graph.
fn beside(t: &Tensor) -> Tensor {
    let core = t.0.core.get();
    let mut own = Core::plain(core.operand.clone());
    own.family.clone_from(&core.family);
    own.requires_grad = core.requires_grad;
    own.edge.clone_from(&core.edge);
    own.seen = core.version();
    drop(core);
    let other = Tensor::from_core(own);
    if let Some(Lift::Batch { level, value }) = t.lift().as_deref() {
        other.set_lift(Lift::Batch { level: *level, value: value.clone() });
    }
    other
}

/// A view that was taken before its base began to move.
pub(super) fn follow(view: &Tensor, base: &Tensor) -> Option<Arc<Lift>> {
    let lift = base.lift()?;
    let Lift::Dual { level, primal, tangent } = &*lift else { return None };
    if view.dtype() != base.dtype() {
        return None;
    }
    let (own, whole) = (view.layout(), base.layout());
    let _below = below(*level);
    let through = |t: &Tensor, offset: usize| {
        let strides: Vec<i64> = own.strides.iter().map(|&s| s as i64).collect();
        ops::view::as_strided(t, &own.shape, &strides[..], offset).ok()
    };
    let primal = through(primal, own.offset)?;
    let tangent = through(tangent, own.offset.checked_sub(whole.offset)? + tangent.layout().offset)?;
    view.set_lift(Lift::Dual { level: *level, primal, tangent });
    drop(_below);
    view.lift()
}

/// What a view of a tensor shows of its row-major form: sizes, strides and the first place.
pub(super) fn window_of(op: &'static Op, x: &Tensor, args: &[Arg]) -> Result<Vec<Arg>> {
    let Body::View(rule) = &op.body else { return Err(Error::bug(op.name, "is no view")) };
    let own: Layout = x.layout();
    Ok(windows::window_args(&own, &rule(&own, args)?))
}
