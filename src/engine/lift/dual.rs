//! Forward mode: an operator's result and its tangent, from the operator's own rule. Leans on lift and the reverse walk.
//!
//! No record has a second rule. What a rule gives is linear in the cotangent: element by element it is the same factor both
//! ways; an operator that is linear is applied to the tangents; and any other rule is turned round by differentiating what
//! it gives by the cotangent (J. Townsend, "A new trick for calculating Jacobian vector products", 2017).

use super::super::conjugate;
use super::super::record::caught;
use super::{Lifts, is_tracked, made_at, reverse};
use crate::base::layout::{inverse, memory_order};
use crate::base::{DType, Device, Error, Result};
use crate::graph::lift::Lift;
use crate::graph::mode::{GradGuard, grad_enabled};
use crate::graph::node::Needs;
use crate::graph::op::{Complex, Quirk};
use crate::graph::tensor::emit as ask;
use crate::graph::{Arg, Body, Feed, Linear, Op, Outs, Pull, Sym, Tensor};
use crate::ops;
use std::sync::Arc;

/// An operator over values with tangents.
pub(super) fn emit(level: u64, op: &'static Op, feeds: &[Feed], lifts: &Lifts, args: &[Arg]) -> Result<Outs> {
    let (primals, tangents) = parts(level, feeds, lifts);
    let outs = ask(op, &primals, args)?;
    let list = match outs {
        Outs::One(t) => {
            let moved = moved(op, &primals, &tangents, std::slice::from_ref(&t), args)?;
            let moved = apart(op, &tangents, &t, moved.into_iter().next().flatten())?;
            return Ok(Outs::One(joined(level, t, moved)));
        }
        Outs::Many(list) => list,
    };
    let moved = moved(op, &primals, &tangents, &list, args)?;
    let pairs = list.into_iter().zip(moved);
    let pair = |(t, m): (Tensor, Option<Tensor>)| {
        let m = apart(op, &tangents, &t, m)?;
        Ok(joined(level, t, m))
    };
    Ok(Outs::Many(pairs.map(pair).collect::<Result<_>>()?))
}

/// A result's tangent with memory of its own, as the result has: a write to either must not reach an operand's. The sum of
/// what moves and what does not has the tangent of the one, and would share it. A view's goes with its base's.
fn apart(op: &Op, tangents: &[Option<Tensor>], out: &Tensor, made: Option<Tensor>) -> Result<Option<Tensor>> {
    let Some(mut made) = made else { return Ok(None) };
    if matches!(op.body, Body::View(_)) {
        return Ok(Some(made));
    }
    let lies = |t: &Tensor| Arc::as_ptr(&t.values().storage());
    if tangents.iter().flatten().any(|t| lies(t) == lies(&made)) {
        made = ops::view::compact(&made)?;
    }
    laid_as(out, made).map(Some)
}

/// A tangent whose axes lie in memory in the order of the value's: a view of the value is then one of the tangent, and what is
/// written through it reaches both.
fn laid_as(primal: &Tensor, tangent: Tensor) -> Result<Tensor> {
    let (own, have) = (primal.layout(), tangent.layout());
    if own.shape != have.shape || own.strides == have.strides || own.is_contiguous() && have.is_contiguous() {
        return Ok(tangent);
    }
    let Some(order) = memory_order(&[&own]) else {
        return if have.is_contiguous() { Ok(tangent) } else { ops::view::compact(&tangent) };
    };
    let dims = |order: &[usize]| order.iter().map(|&i| i as i64).collect::<Vec<_>>();
    let copy = ops::view::compact(&ops::view::permute(&tangent, &dims(&order)[..])?)?;
    ops::view::permute(&copy, &dims(&inverse(&order))[..])
}

/// A tangent that is given for a value: its own copy where several of its elements lie in one place, and the value's do not.
pub fn own_tangent(primal: &Tensor, tangent: Tensor) -> Result<Tensor> {
    let folded = |t: &Tensor| {
        let layout = t.values().layout();
        layout.strides.iter().zip(layout.shape.iter()).any(|(&stride, &size)| stride == 0 && size > 1)
    };
    if folded(primal) {
        return Ok(tangent);
    }
    laid_as(primal, if folded(&tangent) { ops::view::compact(&tangent)? } else { tangent })
}

/// The values that operands stand for at a level, and their tangents.
pub(super) fn parts<'a>(level: u64, feeds: &[Feed<'a>], lifts: &'a Lifts) -> (Vec<Feed<'a>>, Vec<Option<Tensor>>) {
    let one = |(feed, lift): (&Feed<'a>, &'a _)| match made_at(Option::as_ref(lift), level) {
        Some(Lift::Dual { primal, tangent, .. }) => (Feed::Tensor(primal), Some(tangent.clone())),
        _ => (*feed, None),
    };
    feeds.iter().zip(lifts).map(one).unzip()
}

pub(super) fn joined(level: u64, t: Tensor, tangent: Option<Tensor>) -> Tensor {
    match tangent {
        Some(tangent) => Tensor::dual(level, t, tangent),
        None => t,
    }
}

/// The tangents of results; None for those that have none.
pub(super) fn moved(
    op: &'static Op,
    primals: &[Feed],
    tangents: &[Option<Tensor>],
    outs: &[Tensor],
    args: &[Arg],
) -> Result<Vec<Option<Tensor>>> {
    if outs.iter().all(|t| !t.dtype().is_inexact()) {
        return Ok(vec![None; outs.len()]);
    }
    if let (Body::View(_), Some(Some(tangent))) = (&op.body, tangents.first()) {
        return Ok(vec![Some(viewed(op, primals, tangent, args)?)]);
    }
    match op.linear {
        Linear::Together => return together(op, primals, tangents, args).map(|t| vec![Some(t)]),
        Linear::Each => {
            let mut sum = None;
            for (i, tangent) in tangents.iter().enumerate() {
                if let Some(tangent) = tangent {
                    let mut feeds = primals.to_vec();
                    feeds[i] = Feed::Tensor(tangent);
                    sum = plus(sum, ask(op, &feeds, args)?.one())?;
                }
            }
            return Ok(vec![sum]);
        }
        Linear::No => {}
    }
    if op.vjp.is_none() {
        return Err(Error::grad(op.name, "has no derivative; use x.detach() before it if none is wanted"));
    }
    // A rule that conjugates by itself is no factor.
    if let (Body::Map(_), [y]) = (&op.body, outs)
        && !(matches!(op.complex, Complex::Own) && y.dtype().is_complex())
        && let Some(tangent) = by_element(op, primals, tangents, y, args)?
    {
        return Ok(vec![Some(tangent)]);
    }
    turned(op, primals, tangents, outs, args)
}

fn plus(sum: Option<Tensor>, more: Tensor) -> Result<Option<Tensor>> {
    match sum {
        None => Ok(Some(more)),
        Some(sum) => ops::arith::add(&sum, &more).map(Some),
    }
}

/// A view of the tangent, which must lie as the value does where the view counts on it.
fn viewed(op: &'static Op, primals: &[Feed], tangent: &Tensor, args: &[Arg]) -> Result<Tensor> {
    let alike = match primals.first() {
        Some(Feed::Tensor(x)) => x.layout() == tangent.layout(),
        _ => false,
    };
    let absolute = ops::strided::is_absolute(op);
    if !alike && matches!(op.quirk, Quirk::Parts | Quirk::Pairs) {
        let lies = if tangent.is_contiguous() { tangent.clone() } else { ops::view::compact(tangent)? };
        return Ok(ask(op, &[Feed::Tensor(&lies)], args)?.one());
    }
    if !alike && (absolute || ask(op, &[Feed::Tensor(tangent)], args).is_err()) {
        let Some(Feed::Tensor(x)) = primals.first() else { return Err(Error::bug(op.name, "a view of nothing")) };
        let Body::View(rule) = &op.body else { return Err(Error::bug(op.name, "is no view")) };
        let own = x.layout();
        let seen = rule(&own, args)?;
        return Ok(ops::strided::across(&Sym::Tensor(tangent.clone()), &own, &seen, &own).tensor().clone());
    }
    Ok(ask(op, &[Feed::Tensor(tangent)], args)?.one())
}

/// A linear operator of the tangents, with zeros for operands that stay.
fn together(op: &'static Op, primals: &[Feed], tangents: &[Option<Tensor>], args: &[Arg]) -> Result<Tensor> {
    let mut still = Vec::new();
    for (feed, tangent) in primals.iter().zip(tangents) {
        still.push(match (feed, tangent) {
            (Feed::Tensor(t), None) if t.dtype().is_inexact() => Some(zeros(&t.shape(), t.dtype(), t.device())?),
            (Feed::Operand(o), None) if o.dtype.is_inexact() => Some(zeros(&o.layout.shape, o.dtype, o.device())?),
            _ => None,
        });
    }
    let feeds: Vec<Feed> = primals
        .iter()
        .zip(tangents)
        .zip(&still)
        .map(|((feed, tangent), still)| tangent.as_ref().or(still.as_ref()).map_or(*feed, Feed::Tensor))
        .collect();
    Ok(ask(op, &feeds, args)?.one())
}

pub(super) fn zeros(shape: &[usize], dtype: DType, device: Device) -> Result<Tensor> {
    crate::engine::backward::filled_on(device, shape, dtype, 0.0)
}

fn syms(primals: &[Feed]) -> Vec<Sym> {
    let one = |feed: &Feed| match feed {
        Feed::Tensor(t) => Sym::Tensor((*t).clone()),
        Feed::Operand(o) => Sym::Tensor(Tensor::from_operand((*o).clone())),
        Feed::Number(n) => Sym::Number(*n),
        Feed::Absent => Sym::Absent,
    };
    primals.iter().map(one).collect()
}

fn mask(tangents: &[Option<Tensor>]) -> u32 {
    tangents.iter().enumerate().filter(|(_, t)| t.is_some()).fold(0, |m, (i, _)| m | 1 << i.min(31))
}

/// Runs a rule as it stands, for a factor that serves both ways, or as the walk does; what it gives for each operand.
fn ruled(op: &'static Op, pull: &Pull, walks: bool) -> Result<Vec<Option<Tensor>>> {
    let Some(vjp) = op.vjp else { return Ok(Vec::new()) };
    let raw = caught(|| Ok(if walks { conjugate::ruled(op, vjp, pull) } else { vjp(pull) }))?;
    Ok(raw
        .into_iter()
        .map(|s| match s {
            Some(Sym::Tensor(t)) => Some(t),
            Some(Sym::Operand(f)) => Some(Tensor::from_operand(f.operand)),
            _ => None,
        })
        .collect())
}

/// Each element of the result depends on the elements at its own place: the rule's factor serves both ways.
fn by_element(op: &'static Op, primals: &[Feed], tangents: &[Option<Tensor>], y: &Tensor, args: &[Arg]) -> Result<Option<Tensor>> {
    let (shape, dtype) = (y.shape(), y.dtype());
    let ins = syms(primals);
    let outs = [Sym::Tensor(y.clone())];
    let mut sum = None;
    for (i, tangent) in tangents.iter().enumerate() {
        let Some(tangent) = tangent else { continue };
        let mut u = tangent.to_dtype(dtype)?;
        if u.shape() != shape {
            u = ops::view::expand(&u, &shape)?;
        }
        let grads = [Some(Sym::Tensor(u))];
        let given = ruled(op, &Pull { grads: &grads, ins: &ins, outs: &outs, args, needs: Needs(1 << i) }, false)?;
        let Some(mut part) = given.into_iter().nth(i).flatten() else { continue };
        if part.shape() != shape {
            match ops::view::expand(&part, &shape) {
                Ok(wide) => part = wide,
                Err(_) => return Ok(None),
            }
        }
        sum = plus(sum, part.to_dtype(dtype)?)?;
    }
    match sum {
        None => zeros(&shape, dtype, y.device()).map(Some),
        sum => Ok(sum),
    }
}

/// Any rule turned round: what it gives is differentiated by the cotangent, along the tangents.
fn turned(op: &'static Op, primals: &[Feed], tangents: &[Option<Tensor>], outs: &[Tensor], args: &[Arg]) -> Result<Vec<Option<Tensor>>> {
    let record = grad_enabled()
        && (primals.iter().any(|f| matches!(f, Feed::Tensor(t) if is_tracked(t))) || tangents.iter().flatten().any(is_tracked));
    let (mut seeds, mut given, mut along) = (Vec::new(), Vec::new(), Vec::new());
    {
        let _on = GradGuard::set(true);
        for y in outs {
            let seed = if y.dtype().is_inexact() { Some(reverse::enter(&room(y)?)?) } else { None };
            seeds.push(seed);
        }
        let grads: Vec<Option<Sym>> = seeds.iter().map(|s| s.clone().map(Sym::Tensor)).collect();
        let made: Vec<Sym> = outs.iter().map(|t| Sym::Tensor(t.clone())).collect();
        let pull = Pull { grads: &grads, ins: &syms(primals), outs: &made, args, needs: Needs(mask(tangents)) };
        for (i, part) in ruled(op, &pull, true)?.into_iter().enumerate() {
            let (Some(part), Some(Some(tangent))) = (part, tangents.get(i)) else { continue };
            if !is_tracked(&part) {
                continue;
            }
            let part = ops::view::sum_to(&part, &tangent.shape())?;
            along.push(Some(tangent.to_dtype(part.dtype())?));
            given.push(part);
        }
    }
    let ends: Vec<Tensor> = seeds.iter().flatten().cloned().collect();
    let found = if given.is_empty() { vec![None; ends.len()] } else { reverse::grad(&given, &ends, &along, record, record)? };
    let mut found = found.into_iter();
    let mut list = Vec::new();
    for (y, seed) in outs.iter().zip(&seeds) {
        list.push(match seed {
            None => None,
            Some(_) => Some(match found.next().flatten() {
                Some(t) => t,
                None => zeros(&y.shape(), y.dtype(), y.device())?,
            }),
        });
    }
    Ok(list)
}

/// A cotangent for a result; what is in it does not matter, since the rule is linear in it.
fn room(y: &Tensor) -> Result<Tensor> {
    ops::view::expand(&zeros(&[], y.dtype(), y.device())?, &y.shape())
}
