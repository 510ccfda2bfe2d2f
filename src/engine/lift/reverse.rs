//! The reverse walk where tensors are lifted: graphs are of plain tensors, so ends and results are taken apart, walked
//! between, and what is found is put together again. Leans on backward.

use super::super::backward;
use super::dual::zeros;
use super::is_tracked;
use crate::base::{Error, Result, shape};
use crate::graph::lift::{Kind, Lift, active, below, kind_of, within};
use crate::graph::tensor::Hook;
use crate::graph::{Edge, Node, Tensor};
use crate::ops::batch::repeat;
use crate::ops::view;
use std::collections::HashSet;
use std::sync::Arc;

/// A handle of its own to differentiate at: joined to where the old one came from, else a leaf. Under every open batch the
/// examples get one each, so that each has its own gradient.
pub fn enter(x: &Tensor) -> Result<Tensor> {
    let levels = active();
    enter_at(x, &levels)
}

fn enter_at(x: &Tensor, levels: &[(u64, Kind)]) -> Result<Tensor> {
    let Some(((level, kind), outer)) = levels.split_last() else {
        if x.requires_grad() {
            return view::view(x, &x.shape());
        }
        let leaf = x.detach();
        leaf.0.core.get().requires_grad = true;
        return Ok(leaf);
    };
    let lift = x.lift();
    let _below = below(*level);
    match (kind, lift.as_deref()) {
        (_, Some(Lift::Dual { level: own, primal, tangent })) if own == level => {
            Ok(Tensor::dual(*level, enter_at(primal, outer)?, tangent.clone()))
        }
        (_, Some(Lift::Batch { level: own, value })) if own == level => Ok(Tensor::batch(*level, enter_at(value, outer)?)),
        (Kind::Dual, _) => enter_at(x, outer),
        (Kind::Batch { count, .. }, _) => Ok(Tensor::batch(*level, enter_at(&repeat(x, *count)?, outer)?)),
    }
}

/// A tensor without what one batch made of it: its examples along a first axis, repeated where they are all the same.
pub fn lower(x: &Tensor, level: u64, count: usize) -> Result<Tensor> {
    let lift = x.lift();
    match lift.as_deref() {
        Some(Lift::Batch { level: own, value }) if *own == level => Ok(value.clone()),
        Some(Lift::Batch { level: own, value }) if *own > level => {
            let _below = below(*own);
            Ok(Tensor::batch(*own, view::transpose(&lower(value, level, count)?, 0, 1)?))
        }
        Some(Lift::Dual { level: own, primal, tangent }) if *own > level => {
            let _below = below(*own);
            Ok(Tensor::dual(*own, lower(primal, level, count)?, lower(tangent, level, count)?))
        }
        _ => repeat(x, count),
    }
}

/// The other way: examples along the first axis under one name, below what inner transformations made.
fn raise(x: Tensor, level: u64) -> Result<Tensor> {
    let lift = x.lift();
    match lift.as_deref() {
        Some(Lift::Batch { level: own, value }) if *own > level => {
            let _below = below(*own);
            Ok(Tensor::batch(*own, raise(view::transpose(value, 0, 1)?, level)?))
        }
        Some(Lift::Dual { level: own, primal, tangent }) if *own > level => {
            let _below = below(*own);
            Ok(Tensor::dual(*own, raise(primal.clone(), level)?, raise(tangent.clone(), level)?))
        }
        _ => Ok(Tensor::batch(level, x)),
    }
}

/// A tensor's value and tangent at a level, below what inner transformations made of it.
fn split(x: &Tensor, level: u64) -> (Tensor, Option<Tensor>) {
    let lift = x.lift();
    match lift.as_deref() {
        Some(Lift::Dual { level: own, primal, tangent }) if *own == level => (primal.clone(), Some(tangent.clone())),
        Some(Lift::Batch { level: own, value }) if *own > level => {
            let _below = below(*own);
            let (value, tangent) = split(value, level);
            (Tensor::batch(*own, value), tangent.map(|t| Tensor::batch(*own, t)))
        }
        Some(Lift::Dual { level: own, primal, tangent }) if *own > level => {
            let _below = below(*own);
            let (a, b) = (split(primal, level), split(tangent, level));
            (Tensor::dual(*own, a.0, b.0), None)
        }
        _ => (x.clone(), None),
    }
}

/// A value and its tangent under one name, below what inner transformations made of them.
fn joined(value: Tensor, tangent: Tensor, level: u64) -> Result<Tensor> {
    let inner = [&value, &tangent].into_iter().filter_map(|t| t.lift().map(|l| l.level())).max().filter(|own| *own > level);
    let Some((own, kind)) = inner.and_then(|own| kind_of(own).map(|kind| (own, kind))) else {
        return Ok(Tensor::dual(level, value, tangent));
    };
    if let Kind::Batch { count, .. } = kind {
        let (value, tangent) = (lower(&value, own, count)?, lower(&tangent, own, count)?);
        let _below = below(own);
        return Ok(Tensor::batch(own, joined(value, tangent, level)?));
    }
    let ((value, of_value), (tangent, of_tangent)) = (split(&value, own), split(&tangent, own));
    let _below = below(own);
    let still = |t: Option<Tensor>, like: &Tensor| t.map_or_else(|| zeros(&like.shape(), like.dtype(), like.device()), Ok);
    let change = joined(still(of_value, &value)?, still(of_tangent, &tangent)?, level)?;
    Ok(Tensor::dual(own, joined(value, tangent, level)?, change))
}

/// Gradients of roots at ends, as `backward::grad`, whatever both were lifted by.
pub fn grad(roots: &[Tensor], ends: &[Tensor], given: &[Option<Tensor>], retain: bool, create: bool) -> Result<Vec<Option<Tensor>>> {
    let level = roots.iter().chain(ends).filter_map(|t| t.lift().map(|l| l.level())).max();
    let kind = level.and_then(|level| kind_of(level).map(|kind| (level, kind)));
    match kind {
        None => {
            let (mut own, mut along) = (Vec::new(), Vec::new());
            for (root, given) in roots.iter().zip(given).filter(|(root, _)| root.requires_grad()) {
                own.push(root.clone());
                along.push(given.clone());
            }
            if own.is_empty() {
                return Ok(vec![None; ends.len()]);
            }
            // Cotangents may be lifted where the graph is not: the rules do not mind. Where none is, nobody need look.
            let outermost = active().first().map(|(level, _)| *level);
            let _below = outermost.filter(|_| along.iter().flatten().all(|g| g.lift().is_none())).map(below);
            backward::grad(&own, ends, &along, retain, create)
        }
        Some((level, Kind::Batch { count, .. })) => over_examples(level, count, roots, ends, given, retain, create),
        Some((level, Kind::Dual)) => along_tangents(level, roots, ends, given, retain, create),
    }
}

/// A hook on what differs from example to example: it sees the gradients of all under one name, as the program does.
pub struct EachHook {
    level: u64,
    inner: Arc<dyn Hook>,
}

impl EachHook {
    pub fn new(level: u64, inner: Arc<dyn Hook>) -> EachHook {
        EachHook { level, inner }
    }
}

impl Hook for EachHook {
    fn call(&self, grad: &Tensor) -> Result<Option<Tensor>> {
        let Some(_inside) = within(self.level) else {
            return Err(Error::grad(
                "register_hook",
                "a hook was registered inside vmap, and the walk back goes on outside of it; take the gradient inside, by grad or vjp",
            ));
        };
        let found = self.inner.call(&Tensor::batch(self.level, grad.clone()))?;
        found.map(|t| lower(&t, self.level, grad.shape()[0])).transpose()
    }
}

/// The cotangent given for a root, else that of one number.
fn cotangent(root: &Tensor, given: &Option<Tensor>) -> Result<Tensor> {
    given.clone().map_or_else(|| backward::seed("grad", root, None), Ok)
}

fn over_examples(
    level: u64,
    count: usize,
    roots: &[Tensor],
    ends: &[Tensor],
    given: &[Option<Tensor>],
    retain: bool,
    create: bool,
) -> Result<Vec<Option<Tensor>>> {
    let is_ours = |t: &Tensor| t.lift().is_some_and(|l| l.level() == level);
    let (mut plain, mut cotangents) = (Vec::new(), Vec::new());
    for (root, given) in roots.iter().zip(given) {
        // A result that is the same for all examples depends on none of them.
        if !is_ours(root) {
            continue;
        }
        let given = cotangent(root, given)?;
        plain.push(lower(root, level, count)?);
        cotangents.push(Some(lower(&given, level, count)?));
    }
    if let Some(shared) = ends.iter().find(|end| !is_ours(end) && is_tracked(end))
        && !plain.is_empty()
    {
        return Err(Error::grad(
            "grad",
            format!(
                "inside vmap a gradient at a tensor made outside (shape {}) would be summed over the examples; hand it to vmap as an \
                 argument, or use func.grad",
                shape::show(&shared.shape())
            ),
        ));
    }
    let ours: Vec<usize> = (0..ends.len()).filter(|&i| is_ours(&ends[i])).collect();
    let own = ours.iter().map(|&i| lower(&ends[i], level, count)).collect::<Result<Vec<_>>>()?;
    let found = if plain.is_empty() { vec![None; own.len()] } else { grad(&plain, &own, &cotangents, retain, create)? };
    let mut list = vec![None; ends.len()];
    for (i, grad) in ours.into_iter().zip(found) {
        list[i] = grad.map(|g| raise(g, level)).transpose()?;
    }
    Ok(list)
}

fn along_tangents(
    level: u64,
    roots: &[Tensor],
    ends: &[Tensor],
    given: &[Option<Tensor>],
    retain: bool,
    create: bool,
) -> Result<Vec<Option<Tensor>>> {
    let own: Vec<Tensor> = ends.iter().map(|end| split(end, level).0).collect();
    let (mut values, mut at_values) = (Vec::new(), Vec::new());
    let (mut all, mut at_all) = (Vec::new(), Vec::new());
    for (root, given) in roots.iter().zip(given) {
        let (value, tangent) = split(root, level);
        let given = cotangent(root, given)?;
        let (weight, change) = split(&given, level);
        if let Some(tangent) = tangent.filter(is_tracked) {
            all.push(tangent);
            at_all.push(Some(weight.clone()));
        }
        if let (Some(change), true) = (change, is_tracked(&value)) {
            all.push(value.clone());
            at_all.push(Some(change));
        }
        if is_tracked(&value) {
            values.push(value);
            at_values.push(Some(weight));
        }
    }
    // The gradient of a tangent is the tangent of the gradient: second derivatives may change places.
    let tangents = if all.is_empty() { vec![None; ends.len()] } else { grad(&all, &own, &at_all, true, create)? };
    let grads = if values.is_empty() { vec![None; ends.len()] } else { grad(&values, &own, &at_values, retain, create)? };
    let mut list = Vec::new();
    for (end, (value, tangent)) in own.iter().zip(grads.into_iter().zip(tangents)) {
        let blank = || zeros(&end.shape(), end.dtype(), end.device());
        list.push(match (value, tangent) {
            (None, None) => None,
            (Some(value), None) => Some(value),
            (value, Some(tangent)) => Some(joined(value.map_or_else(blank, Ok)?, tangent, level)?),
        });
    }
    Ok(list)
}

/// The plain tensors that a tensor stands for.
fn plain(t: &Tensor, list: &mut Vec<Tensor>) {
    match t.lift().as_deref() {
        Some(Lift::Dual { primal, tangent, .. }) => {
            plain(primal, list);
            plain(tangent, list);
        }
        Some(Lift::Batch { value, .. }) => plain(value, list),
        None => list.push(t.clone()),
    }
}

/// Whether results hang on anything that is tracked besides these ends; only then need their gradients be recorded.
pub fn hang_on_more(roots: &[Tensor], ends: &[Tensor]) -> bool {
    let (mut from, mut to) = (Vec::new(), Vec::new());
    roots.iter().for_each(|t| plain(t, &mut from));
    ends.iter().for_each(|t| plain(t, &mut to));
    if to.iter().any(|end| end.requires_grad() && !end.is_leaf()) {
        return true;
    }
    let known = |t: &Tensor| to.iter().any(|end| end.same(t));
    let mut todo: Vec<Arc<Node>> = Vec::new();
    for root in &from {
        match root.node() {
            Some((node, _)) => todo.push(node),
            None if root.requires_grad() && !known(root) => return true,
            None => {}
        }
    }
    let mut met = HashSet::new();
    while let Some(node) = todo.pop() {
        if !met.insert(Arc::as_ptr(&node) as usize) {
            continue;
        }
        for edge in node.edges.iter().flatten() {
            match edge {
                Edge::Node(next, _) => todo.push(next.clone()),
                Edge::Leaf(leaf) if known(leaf) => {}
                Edge::Leaf(_) => return true,
            }
        }
    }
    false
}
