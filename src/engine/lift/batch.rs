//! One name for many examples: an operator's own way of running for all of them, or one example after the other.
//! Leans on lift.

use super::{Lifts, made_at};
use crate::base::{Error, Result};
use crate::graph::lift::Lift;
use crate::graph::tensor::emit as ask;
use crate::graph::{Arg, Example, Examples, Feed, Op, Outs, Tensor};
use crate::ops;

/// An operator over many examples.
pub(super) fn emit(level: u64, count: usize, op: &'static Op, feeds: &[Feed], lifts: &Lifts, args: &[Arg]) -> Result<Outs> {
    let ins = examples(level, feeds, lifts);
    let window;
    let (op, args) = match (&ins[..], feeds) {
        // Where the examples do not follow each other row by row, a window on the storage of one is none on that of all.
        ([Example::Many(value)], [Feed::Tensor(x)]) if std::ptr::eq(op, &raw const ops::view::as_strided::OP) && !value.is_contiguous() => {
            window = super::write::window_of(op, x, args)?;
            (&ops::view::window::OP, &window[..])
        }
        _ => (op, args),
    };
    let outs = match op.batch {
        Some(run) => run(op, &Examples { count, ins: &ins, args })?,
        None => one_by_one(op, &ins, count, args)?,
    };
    Ok(match outs {
        Outs::One(t) => Outs::One(Tensor::batch(level, t)),
        Outs::Many(list) => Outs::Many(list.into_iter().map(|t| Tensor::batch(level, t)).collect()),
    })
}

pub(super) fn examples<'a>(level: u64, feeds: &[Feed<'a>], lifts: &'a Lifts) -> Vec<Example<'a>> {
    let one = |(feed, lift): (&Feed<'a>, &'a _)| match made_at(Option::as_ref(lift), level) {
        Some(Lift::Batch { value, .. }) => Example::Many(value),
        _ => Example::Same(*feed),
    };
    feeds.iter().zip(lifts).map(one).collect()
}

/// For operators that know no better.
fn one_by_one(op: &'static Op, ins: &[Example], count: usize, args: &[Arg]) -> Result<Outs> {
    if count == 0 {
        return Err(Error::runtime(op.name, "vmap over 0 examples: there is none to run"));
    }
    let all = Examples { count, ins, args };
    let mut rows: Vec<Vec<Tensor>> = Vec::new();
    let mut single = true;
    for k in 0..count {
        let own: Vec<Option<Tensor>> = ins
            .iter()
            .map(|x| match x {
                Example::Many(t) => ops::view::select(*t, 0, k).map(Some),
                Example::Same(_) => Ok(None),
            })
            .collect::<Result<_>>()?;
        rows.push(match ask(op, &all.feeds(&own), args)? {
            Outs::One(t) => vec![t],
            Outs::Many(list) => {
                single = false;
                list
            }
        });
    }
    let stacked = (0..rows[0].len())
        .map(|i| {
            let parts = rows.iter().map(|row| ops::view::unsqueeze(&row[i], 0)).collect::<Result<Vec<_>>>()?;
            ops::moves::cat(&parts.iter().collect::<Vec<_>>(), 0)
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(match (single, stacked) {
        (true, mut list) => Outs::One(list.swap_remove(0)),
        (false, list) => Outs::Many(list),
    })
}
