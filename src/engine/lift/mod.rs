//! Transformations of what is asked: values that carry a tangent (forward mode), and one name for many examples. An
//! operator over such tensors is taken apart, the innermost transformation first, into operators over what they stand
//! for; all that runs and is recorded in the end is of plain tensors. Leans on record and backward.

mod batch;
mod dual;
mod reverse;
mod write;

pub use dual::own_tangent;
pub use reverse::{EachHook, enter, grad, hang_on_more};
pub(super) use write::{apply, copy, overwrite, put};

use crate::base::{Error, Result};
use crate::graph::lift::{Draws, Kind, Lift, active, below, kind_of};
use crate::graph::{Arg, Body, Feed, Op, Outs, Tensor};
use crate::ops;
use smallvec::SmallVec;
use std::sync::Arc;

type Lifts = SmallVec<[Option<Arc<Lift>>; 4]>;

/// The innermost transformation that made any of these, and what each was made by it.
fn innermost(feeds: &[Feed]) -> Option<(u64, Lifts)> {
    let lifts: Lifts = feeds.iter().map(lift_of).collect();
    let level = lifts.iter().flatten().map(|l| l.level()).max()?;
    Some((level, lifts))
}

fn lift_of(feed: &Feed) -> Option<Arc<Lift>> {
    if let Feed::Tensor(t) = feed { seen(t) } else { None }
}

/// What a transformation made of a tensor; a view of a tensor that was lifted after it was taken follows it.
pub fn seen(t: &Tensor) -> Option<Arc<Lift>> {
    let own = t.lift();
    let base = t.0.core.get().base.clone();
    match base {
        Some(base) if base.lift().map(|l| l.level()) > own.as_ref().map(|l| l.level()) => write::follow(t, &base).or(own),
        _ => own,
    }
}

/// An operator over lifted operands; None where there are none.
pub(super) fn emit(op: &'static Op, feeds: &[Feed], args: &[Arg]) -> Result<Option<Outs>> {
    let Some((level, lifts)) = innermost(feeds) else { return Ok(None) };
    if let Body::Inline(body) = &op.body {
        let walked = match kind_of(level) {
            Some(Kind::Dual) => op.vjp.is_none(),
            _ => op.batch.is_none(),
        };
        if walked {
            // Its parts are transformed one by one.
            return super::record::parts(*body, feeds, args).map(Some);
        }
    }
    let outs = {
        let _below = below(level);
        match kind_of(level) {
            Some(Kind::Dual) => dual::emit(level, op, feeds, &lifts, args)?,
            Some(Kind::Batch { count, .. }) => batch::emit(level, count, op, feeds, &lifts, args)?,
            None => return Err(Error::bug(op.name, "a tensor of a transformation that is closed")),
        }
    };
    // A view knows what it is of, so that it follows what is written there.
    if let (Body::View(_), Some(Feed::Tensor(x)), Outs::One(out)) = (&op.body, feeds.first(), &outs) {
        let root = x.0.core.get().base.clone();
        out.0.core.get().base = Some(root.unwrap_or_else(|| (*x).clone()));
    }
    Ok(Some(outs))
}

/// Where random numbers are drawn: the sizes as they are, or with those of the open batches in front, and the levels that
/// take them apart again.
pub fn drawn(op: &str) -> Result<Vec<(u64, usize)>> {
    let mut list = Vec::new();
    for (level, kind) in active() {
        match kind {
            Kind::Batch { draws: Draws::Refused, .. } => {
                return Err(Error::runtime(
                    op,
                    "random numbers are drawn inside vmap; say whether every example gets its own: vmap(..., randomness=\"different\") or \"same\"",
                ));
            }
            Kind::Batch { count, draws: Draws::Different } => list.push((level, count)),
            _ => {}
        }
    }
    Ok(list)
}

/// Refuses to draw numbers of its own for each example into a tensor that is the same for all.
pub fn must_differ(op: &str, t: &Tensor, levels: &[(u64, usize)]) -> Result<()> {
    let (mut own, mut here) = (Vec::new(), Some(t.clone()));
    while let Some(lift) = here.and_then(|t| seen(&t)) {
        own.push(lift.level());
        here = Some(match &*lift {
            Lift::Dual { primal, .. } => primal.clone(),
            Lift::Batch { value, .. } => value.clone(),
        });
    }
    if levels.iter().all(|(level, _)| own.contains(level)) {
        return Ok(());
    }
    Err(Error::runtime(
        op,
        "under randomness=\"different\" the tensor written to is the same for all examples; make it from an argument (x.new_zeros, zeros_like)",
    ))
}

/// What stands for a tensor at a level, if it was made there.
fn made_at(lift: Option<&Arc<Lift>>, level: u64) -> Option<&Lift> {
    lift.map(|l| &**l).filter(|l| l.level() == level)
}

/// Whether the reverse walk would find anything behind a tensor, whatever it was lifted by.
pub fn is_tracked(t: &Tensor) -> bool {
    match seen(t).as_deref() {
        Some(Lift::Dual { primal, tangent, .. }) => is_tracked(primal) || is_tracked(tangent),
        Some(Lift::Batch { value, .. }) => is_tracked(value),
        None => t.requires_grad(),
    }
}

/// A tensor of which every example gets its own, where another has one for each: what is made like it may be written in place.
pub fn each(made: &Tensor, like: &Tensor) -> Result<Tensor> {
    let lift = like.lift();
    let Some(lift) = lift.as_deref() else { return Ok(made.clone()) };
    let _below = below(lift.level());
    match (lift, kind_of(lift.level())) {
        (Lift::Batch { level, value }, Some(Kind::Batch { count, .. })) => {
            Ok(Tensor::batch(*level, ops::view::compact(&ops::batch::repeat(&each(made, value)?, count)?)?))
        }
        (Lift::Dual { primal, .. }, _) => each(made, primal),
        _ => Ok(made.clone()),
    }
}
