//! The reverse walk: from results to leaves in the order of serial numbers, without recursion and without hashing.
//! Leans on graph and ops.

use super::conjugate::ruled;
use super::plan;
use super::record::caught;
use super::walk::{Walk, address};
use crate::backend::{Operand, gradient_beside, trace};
use crate::base::shape::Shape;
use crate::base::{DType, Device, Error, Result, shape};
use crate::graph::capture;
use crate::graph::mode::{self, GradGuard, Mode};
use crate::graph::node::{Needs, Node, Rule, freed};
use crate::graph::sym::{Pull, Sym};
use crate::graph::tensor::flag;
use crate::graph::{Edge, Tensor};
use crate::ops;
use smallvec::SmallVec;
use std::cell::Cell;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Asked between nodes whether the user wants to stop (Ctrl-C); set by the door.
pub static INTERRUPT: std::sync::OnceLock<fn() -> Result<()>> = std::sync::OnceLock::new();
const ASK_EVERY: u32 = 1024;

/// Runs work without the host language's lock; set by the door.
pub static UNLOCK: std::sync::OnceLock<fn(&mut (dyn FnMut() + Send))> = std::sync::OnceLock::new();
/// Gradients of a node's results, or of its operands.
type Cotangents = SmallVec<[Option<Tensor>; 2]>;

/// How a walk is done.
pub struct Plan<'a> {
    pub retain: bool,
    /// Whether the walk itself is recorded.
    pub create: bool,
    /// Gradients are wanted at these ends alone, and are returned; else leaves accumulate.
    pub ends: Option<&'a [Edge]>,
    /// Only nodes for which this holds are entered.
    pub inside: Option<&'a (dyn Fn(&Node) -> bool + Sync)>,
    /// Whether hooks outside of that are left alone: the walk is only listened to.
    pub silent: bool,
}

/// Gradients of `roots` (each with its cotangent) at the plan's ends, or into the leaves.
pub fn run(roots: &[(Edge, Tensor)], plan: &Plan) -> Result<Vec<Option<Tensor>>> {
    let _grad = GradGuard::set(plan.create);
    let wanted = plan.ends.map(|ends| reaching(roots, ends, plan.inside));
    let mut walk = Walk::new();
    let mut found: Vec<Option<Tensor>> = plan.ends.map_or_else(Vec::new, |e| vec![None; e.len()]);
    for (edge, grad) in roots {
        walk.add(edge, grad.clone())?;
    }
    if !nodes(&mut walk, plan, wanted.as_ref(), &mut found, true)? {
        let mut rest = Ok(true);
        let mut work = || rest = nodes(&mut walk, plan, wanted.as_ref(), &mut found, false);
        match UNLOCK.get() {
            Some(unlock) => unlock(&mut work),
            None => work(),
        }
        rest?;
    }
    leaves(&mut walk, plan, &mut found)?;
    Ok(found)
}

/// Passes gradients from node to node; false where a walk that should be brief has come to a long node.
fn nodes(walk: &mut Walk, plan: &Plan, wanted: Option<&HashSet<usize>>, found: &mut [Option<Tensor>], brief: bool) -> Result<bool> {
    let mut steps = 0u32;
    loop {
        if brief && (steps == ASK_EVERY || walk.is_long()) {
            return Ok(false);
        }
        let Some((_, index)) = walk.heap.pop() else { return Ok(true) };
        steps = steps.wrapping_add(1);
        if steps.is_multiple_of(ASK_EVERY)
            && let Some(ask) = INTERRUPT.get()
        {
            ask()?;
        }
        let (Some(Edge::Node(node, _)), grads) = walk.take(index) else { continue };
        let mut grads: Cotangents = grads;
        grads.resize(node.outputs as usize, None);
        let watched = node.extra().is_some();
        if watched && !(plan.silent && plan.inside.is_some_and(|inside| !inside(&node))) {
            watchers(&node, &mut grads)?;
        }
        if let Some(ends) = plan.ends {
            for (i, end) in ends.iter().enumerate() {
                if let Edge::Node(n, k) = end
                    && Arc::ptr_eq(n, &node)
                {
                    found[i].clone_from(&grads[*k as usize]);
                }
            }
        }
        let enter = wanted.is_none_or(|w| w.contains(&(Arc::as_ptr(&node) as usize))) && plan.inside.is_none_or(|inside| inside(&node));
        if !enter || grads.iter().all(Option::is_none) {
            continue;
        }
        // Nodes of tapes alone are none of backward's business, and what one backward used up is gone for the next.
        if watched && let (None, Some(held)) = (plan.inside, node.held()) {
            if !held.requires {
                continue;
            }
            if held.spent && node.keeps() {
                return Err(freed(&node.name()));
            }
        }
        let mode = Mode::now();
        let part = !(watched || plan.create || plan.inside.is_some() || mode.tape() || mode.lifted() || mode.careful());
        let ends = if part && lay(walk, &node, &grads, wanted)? { Cotangents::new() } else { pull(&node, grads, plan, wanted, watched)? };
        for (edge, grad) in node.edges.iter().zip(ends) {
            if let (Some(edge), Some(grad)) = (edge, grad) {
                walk.add(edge, grad)?;
            }
        }
        if !plan.retain {
            node.spend();
        }
    }
}

/// Adds the gradient of a part of a tensor to the walk's own sum for the whole, if there is one: a tensor that is taken
/// apart would else be summed whole for each part.
fn lay(walk: &mut Walk, node: &Node, grads: &[Option<Tensor>], wanted: Option<&HashSet<usize>>) -> Result<bool> {
    let (Rule::Op(op), [Some(edge)], [Some(grad)]) = (&node.rule, &node.edges[..], grads) else { return Ok(false) };
    if !ops::view::is_part(op) || wanted.is_some_and(|w| !w.contains(&address(edge))) {
        return Ok(false);
    }
    let Some(sum) = walk.sum(edge).filter(|sum| is_alone(sum)) else { return Ok(false) };
    let mut whole = sum.operand();
    let window = ops::view::part(&whole.layout, &node.args)?;
    if whole.dtype != grad.dtype() || window.shape != grad.shape() || window.overlaps_itself() {
        return Ok(false);
    }
    whole.layout = window;
    let seen = Tensor::from_operand(whole);
    super::write::apply(&ops::arith::add::OP, &seen, &[(&seen).into(), grad.into()], &[])?;
    Ok(true)
}

/// Hands what has come to the leaves over to them, or to the plan's ends.
fn leaves(walk: &mut Walk, plan: &Plan, found: &mut [Option<Tensor>]) -> Result<()> {
    for index in std::mem::take(&mut walk.leaves) {
        let (Some(Edge::Leaf(leaf)), mut grads) = walk.take(index) else { continue };
        let Some(mut grad) = grads.get_mut(0).and_then(Option::take) else { continue };
        let (requires, hooked_) = {
            let core = leaf.0.core.get();
            (core.requires_grad, core.extra.is_some())
        };
        if hooked_ && !plan.silent {
            for hook in leaf.hooks(false) {
                if let Some(other) = hook.call(&grad)? {
                    grad = hooked(&grad, other)?;
                }
            }
        }
        match plan.ends {
            None if requires => {
                accumulate(&leaf, grad, plan.create)?;
                if hooked_ {
                    for hook in leaf.hooks(true) {
                        hook.call(&leaf)?;
                    }
                }
            }
            None => {}
            Some(ends) => {
                for (i, end) in ends.iter().enumerate() {
                    if let Edge::Leaf(t) = end
                        && t.same(&leaf)
                    {
                        found[i] = Some(grad.clone());
                    }
                }
            }
        }
    }
    Ok(())
}

/// Hooks of the tensors that a node made, and those whose gradient is kept.
/// A gradient from a hook takes the place of the one it saw only if it has its form.
fn hooked(grad: &Tensor, other: Tensor) -> Result<Tensor> {
    if other.shape() != grad.shape() || other.dtype() != grad.dtype() {
        return Err(Error::grad(
            "hook",
            format!(
                "a hook turned a gradient of shape {} {} into one of shape {} {}; its form must stay",
                shape::show(&grad.shape()),
                grad.dtype(),
                shape::show(&other.shape()),
                other.dtype()
            ),
        ));
    }
    Ok(other)
}

fn watchers(node: &Arc<Node>, grads: &mut [Option<Tensor>]) -> Result<()> {
    let (hooks, retained) = match node.extra() {
        None => return Ok(()),
        Some(e) => (e.hooks.iter().map(|(_, k, h)| (*k, h.clone())).collect::<Vec<_>>(), e.retained.clone()),
    };
    for (k, hook) in hooks {
        if let Some(grad) = &grads[k as usize]
            && let Some(other) = hook.call(grad)?
        {
            grads[k as usize] = Some(hooked(grad, other)?);
        }
    }
    for (k, weak) in retained {
        if let (Some(handle), Some(grad)) = (weak.upgrade(), &grads[k as usize]) {
            let t = Tensor(handle);
            t.set_grad(Some(match t.grad() {
                None => grad.clone(),
                Some(old) => ops::arith::add(&old, grad)?,
            }));
        }
    }
    Ok(())
}

/// Runs one node's rule and fits each gradient to its operand: broadcasting undone, dtype as it was.
fn pull(node: &Arc<Node>, mut grads: Cotangents, plan: &Plan, wanted: Option<&HashSet<usize>>, watched: bool) -> Result<Cotangents> {
    let mut needs = 0u32;
    for (i, edge) in node.edges.iter().enumerate() {
        if let Some(edge) = edge {
            let on_path = wanted.is_none_or(|w| w.contains(&address(edge)));
            let inside = match (edge, plan.inside) {
                (Edge::Node(n, _), Some(inside)) if plan.ends.is_none() => inside(n),
                _ => true,
            };
            if on_path && inside {
                needs |= 1 << i.min(31);
            }
        }
    }
    if watched {
        for hook in &pull_hooks(node, true) {
            if let Some(other) = hook.call(&[], &grads)? {
                grads = other.into();
            }
        }
    }
    let seen = if watched && node.has_pull_hooks() { Some(grads.clone()) } else { None };
    let mut fitted = match &node.rule {
        Rule::Dynamic(own) => {
            let forms = node.forms()?;
            let raw = own.pull(node, &grads)?;
            fit_all(node, raw, |i| forms.get(i).and_then(Option::as_ref).map(|m| (m.shape.clone(), m.dtype)))?
        }
        Rule::Op(op) => {
            let Some(vjp) = op.vjp else {
                return Err(Error::new(
                    crate::base::ErrorKind::Lookup,
                    "backward",
                    format!("{} has no derivative; use x.detach() before it if none is wanted", op.name),
                ));
            };
            let alive = plan.create || Mode::now().tape();
            let opened = node.open(alive, !plan.retain && plan.inside.is_none() && !watched)?;
            let mut cotangents: SmallVec<[Option<Sym>; 2]> = SmallVec::new();
            grads.drain(..).for_each(|g| cotangents.push(g.map(Sym::Tensor)));
            let _place = mode::PlaceGuard::of(cotangents.iter().flatten().next());
            let pull = Pull { grads: &cotangents, ins: &opened.ins, outs: &opened.outs, args: &node.args, needs: Needs(needs) };
            let raw = caught(|| Ok(ruled(op, vjp, &pull)))?.into_iter().map(|s| match s {
                Some(Sym::Tensor(t)) => Some(t),
                Some(Sym::Operand(f)) => Some(Tensor::from_operand(f.operand)),
                _ => None,
            });
            fit_all(node, raw, |i| opened.ins.get(i).filter(|x| x.has_form()).map(|x| (x.shape(), x.dtype())))?
        }
    };
    if mode::Mode::now().careful() && NANS.get() {
        search(node, &fitted)?;
    }
    if let Some(grads) = seen {
        for hook in &pull_hooks(node, false) {
            if let Some(other) = hook.call(&fitted, &grads)? {
                fitted = other.into();
            }
        }
    }
    Ok(fitted)
}

thread_local! {
    /// Whether gradients are searched for NaN on this thread.
    pub static NANS: Cell<bool> = const { Cell::new(false) };
}

/// An error where a rule gave NaN, with the line at which the operation was asked for.
fn search(node: &Node, grads: &Cotangents) -> Result<()> {
    let _quiet = GradGuard::set(false);
    for (i, grad) in grads.iter().enumerate() {
        let Some(grad) = grad.as_ref().map(Tensor::values).filter(|g| g.dtype().is_inexact() && g.numel() > 0) else { continue };
        let hit = ops::reduce::any(&ops::compare::isnan(&grad)?, (), false)?;
        let home = crate::backend::fetch(&hit.operand())?;
        if crate::backend::cpu::convert::element(&home, 0).truth() {
            let place = node.place().map_or_else(String::new, |(file, line)| format!("; the operation was asked for at {file}:{line}"));
            return Err(Error::grad("backward", format!("{} returned NaN as the gradient of its operand {i}{place}", node.name())));
        }
    }
    Ok(())
}

fn pull_hooks(node: &Node, before: bool) -> Vec<Arc<dyn crate::graph::node::PullHook>> {
    node.extra().map_or_else(Vec::new, |e| e.on_pull.iter().filter(|(_, h)| h.before() == before).map(|(_, h)| h.clone()).collect())
}

/// Each gradient that has somewhere to go, in the form of its operand.
#[inline]
fn fit_all(
    node: &Node,
    raw: impl IntoIterator<Item = Option<Tensor>>,
    form: impl Fn(usize) -> Option<(Shape, DType)>,
) -> Result<Cotangents> {
    let mut fitted = Cotangents::new();
    for (i, grad) in raw.into_iter().enumerate() {
        let keep = node.edges.get(i).is_some_and(Option::is_some);
        fitted.push(match (grad, form(i)) {
            (Some(g), Some((want, dtype))) if keep => Some(fit(node, i, g, &want, dtype)?),
            (Some(g), None) if keep => Some(g),
            _ => None,
        });
    }
    Ok(fitted)
}

#[inline]
fn fit(node: &Node, i: usize, grad: Tensor, want: &[usize], dtype: DType) -> Result<Tensor> {
    let (same, own) = {
        let core = grad.0.core.get();
        (core.operand.layout.shape[..] == *want, core.operand.dtype)
    };
    let mut grad = grad;
    if !same {
        let have = grad.shape();
        if matches!(node.rule, Rule::Dynamic(_)) && !shape::broadcast("backward", &have, want).is_ok_and(|s| s == have) {
            return Err(Error::shape(
                "backward",
                format!(
                    "{} returned a gradient of shape {} for its operand {i} of shape {}",
                    node.name(),
                    shape::show(&have),
                    shape::show(want)
                ),
            ));
        }
        grad = ops::view::sum_to(&grad, want)?;
    }
    if own != dtype {
        grad = ops::view::cast(&grad, dtype)?;
    }
    Ok(grad)
}

/// Walks on several threads may meet at a leaf: one at a time adds to its gradient.
static TURNS: [Mutex<()>; 16] = [const { Mutex::new(()) }; 16];

/// Adds to a leaf's gradient; what is stored is dense and shares memory with nothing else.
pub(super) fn accumulate(leaf: &Tensor, grad: Tensor, create: bool) -> Result<()> {
    capture::touch_grad(leaf);
    let _turn = TURNS[leaf.id() / 256 % TURNS.len()].lock().unwrap_or_else(PoisonError::into_inner);
    match leaf.grad() {
        Some(old) if create || old.requires_grad() => {
            let sum = ops::arith::add(&old, &grad)?;
            leaf.set_grad(Some(sum));
        }
        Some(old) => {
            let _quiet = GradGuard::set(false);
            super::write::apply(&ops::arith::add::OP, &old, &[(&old).into(), (&grad).into()], &[])?;
        }
        None if create => {
            let alone = if is_alone(&grad) { grad } else { ops::view::compact(&grad)? };
            leaf.set_grad(Some(alone));
        }
        None => {
            let alone = if is_alone(&grad) { grad } else { ops::view::compact(&grad)? };
            let strict = leaf.has_flag(flag::STRICT);
            let alone = if alone.node().is_some() || alone.0.core.get().base.is_some() { alone.detach() } else { alone };
            if strict {
                alone.set_flag(flag::STRICT, true);
            }
            leaf.set_grad(Some(alone));
        }
    }
    Ok(())
}

/// Whether nothing else holds the handle or the bytes, and the elements lie densely.
fn is_alone(t: &Tensor) -> bool {
    let core = t.0.core.get();
    Arc::strong_count(&t.0) == 1
        && Arc::strong_count(&core.operand.storage) == 1 + trace::holds(&core.operand.storage)
        && core.operand.layout.is_contiguous()
        && core.operand.storage.len() == core.operand.layout.numel() * core.operand.dtype.size()
}

/// The places from which one of the ends can be reached, so that no other gradient is computed.
fn reaching(roots: &[(Edge, Tensor)], ends: &[Edge], inside: Option<&(dyn Fn(&Node) -> bool + Sync)>) -> HashSet<usize> {
    let targets: HashSet<usize> = ends.iter().map(address).collect();
    let oldest = ends.iter().map(|e| if let Edge::Node(n, _) = e { n.serial } else { 0 }).min().unwrap_or(0);
    // All nodes below the roots, oldest last; then marks are handed from operands to results, oldest first.
    let mut seen: HashSet<usize> = HashSet::new();
    let mut all: Vec<Arc<Node>> = Vec::new();
    let mut todo: Vec<Arc<Node>> =
        roots.iter().filter_map(|(e, _)| if let Edge::Node(n, _) = e { Some(n.clone()) } else { None }).collect();
    while let Some(node) = todo.pop() {
        if !seen.insert(Arc::as_ptr(&node) as usize) || node.serial < oldest {
            continue;
        }
        if inside.is_none_or(|f| f(&node)) {
            for edge in node.edges.iter().flatten() {
                if let Edge::Node(n, _) = edge {
                    todo.push(n.clone());
                }
            }
            all.push(node);
        }
    }
    all.sort_by_key(|n| n.serial);
    let mut marked: HashSet<usize> = HashSet::new();
    for node in &all {
        let reaches = node.edges.iter().flatten().any(|e| {
            let a = address(e);
            targets.contains(&a) || marked.contains(&a)
        });
        if reaches {
            marked.insert(Arc::as_ptr(node) as usize);
        }
    }
    marked.extend(&targets);
    marked
}

/// A cotangent for a root: the one given, or 1 for a scalar.
pub fn seed(op: &str, root: &Tensor, given: Option<&Tensor>) -> Result<Tensor> {
    let (shape, dtype) = (root.shape(), root.dtype());
    match given {
        None => {
            if root.numel() != 1 {
                return Err(Error::grad(
                    op,
                    format!(
                        "grad can be implicitly created only for scalar outputs, got shape {}; use .sum() or .mean(), or pass gradient=",
                        shape::show(&shape)
                    ),
                ));
            }
            if dtype.is_complex() {
                return Err(Error::grad(
                    op,
                    "grad can be implicitly created only for real scalar outputs, got a complex one; use .abs() or .real, or pass gradient=",
                ));
            }
            filled_on(root.device(), &shape, dtype, 1.0)
        }
        Some(g) => {
            if g.shape() != shape {
                return Err(Error::grad(
                    op,
                    format!("the gradient has shape {}, the tensor {}; they must be equal", shape::show(&g.shape()), shape::show(&shape)),
                ));
            }
            if g.rank() > 0 {
                gradient_beside(op, g.device(), root.device())?;
            }
            let g = &g.to_device(root.device())?;
            if g.dtype() != dtype {
                return ops::view::cast(g, dtype);
            }
            Ok(g.clone())
        }
    }
}

/// One number in a shape on the processor.
pub fn filled(shape: &[usize], dtype: DType, value: f64) -> Result<Tensor> {
    filled_on(Device::Cpu, shape, dtype, value)
}

/// One number in a shape on a device.
pub fn filled_on(device: Device, shape: &[usize], dtype: DType, value: f64) -> Result<Tensor> {
    let backend = crate::backend::at(device)?;
    let operand = Operand::new(backend, shape, dtype)?;
    crate::backend::of(&operand.storage).launch(&crate::backend::Launch::Fill { dst: &operand, value: value.into() })?;
    Ok(Tensor::from_operand(operand))
}

/// `roots.backward(...)`: gradients into leaves, or into `inputs` alone.
pub fn backward(roots: &[Tensor], given: &[Option<Tensor>], retain: bool, create: bool, inputs: Option<&[Tensor]>) -> Result<()> {
    if let ([root], [None], false, false, None) = (roots, given, retain, create, inputs)
        && let Some((node, k)) = scalar(root)
        && let Some(done) = plan::attempt(&node, k)
    {
        return done;
    }
    let mut starts: SmallVec<[(Edge, Tensor); 1]> = SmallVec::new();
    for (root, g) in roots.iter().zip(given) {
        super::write::refresh(root);
        if root.lift().is_some() {
            return Err(Error::grad(
                "backward",
                "inside a transformation (vmap, jvp) leaves hold no gradients; use func.grad or func.vjp there, or walk back outside of it",
            ));
        }
        if !root.requires_grad() {
            return Err(Error::grad(
                "backward",
                format!(
                    "a tensor of shape {} does not require grad and does not have a grad_fn: nothing it was made of requires a gradient \
                     (set requires_grad=True on the parameters, and check for detach() or no_grad() on the way)",
                    shape::show(&root.shape())
                ),
            ));
        }
        starts.push((root.edge(), seed("backward", root, g.as_ref())?));
    }
    match inputs {
        None => {
            run(&starts, &Plan { retain, create, ends: None, inside: None, silent: false })?;
        }
        Some(list) => {
            if list.is_empty() {
                return Err(Error::grad("backward", "inputs is empty; leave it out to fill every leaf"));
            }
            for t in list {
                if !t.requires_grad() {
                    return Err(Error::grad("backward", "one of the inputs does not require grad"));
                }
            }
            let ends: Vec<Edge> = list.iter().map(Tensor::edge).collect();
            let found = run(&starts, &Plan { retain, create, ends: Some(&ends), inside: None, silent: false })?;
            for (t, grad) in list.iter().zip(found) {
                if let Some(grad) = grad {
                    accumulate(t, grad, create)?;
                }
            }
        }
    }
    Ok(())
}

/// The node behind a scalar that is up to date and takes part in the graph.
#[inline]
fn scalar(root: &Tensor) -> Option<(Arc<Node>, u32)> {
    let core = root.0.core.get();
    let here = !core.operand.storage.is_away();
    let ready = here
        && core.requires_grad
        && !core.operand.dtype.is_complex()
        && core.operand.layout.numel() == 1
        && core.base.is_none()
        && core.flags == 0;
    if ready { core.edge.clone() } else { None }
}

/// The ordinary walk back from a scalar result of a node.
pub(crate) fn by_nodes(node: &Arc<Node>, k: u32) -> Result<()> {
    let (shape, dtype) = node.output_meta(k as usize);
    let start = (Edge::Node(node.clone(), k), filled(&shape, dtype, 1.0)?);
    run(&[start], &Plan { retain: false, create: false, ends: None, inside: None, silent: false }).map(drop)
}

/// Gradients of outputs at inputs, without touching any `.grad`.
pub fn grad(roots: &[Tensor], inputs: &[Tensor], given: &[Option<Tensor>], retain: bool, create: bool) -> Result<Vec<Option<Tensor>>> {
    let mut starts = Vec::with_capacity(roots.len());
    for (root, g) in roots.iter().zip(given) {
        super::write::refresh(root);
        if !root.requires_grad() {
            return Err(Error::grad(
                "grad",
                format!("an output of shape {} does not require grad and does not have a grad_fn", shape::show(&root.shape())),
            ));
        }
        starts.push((root.edge(), seed("grad", root, g.as_ref())?));
    }
    for t in inputs {
        super::write::refresh(t);
        if !t.requires_grad() {
            return Err(Error::grad(
                "grad",
                format!("an input of shape {} does not require grad; use x.requires_grad_()", shape::show(&t.shape())),
            ));
        }
    }
    let ends: Vec<Edge> = inputs.iter().map(Tensor::edge).collect();
    let found = run(&starts, &Plan { retain, create, ends: Some(&ends), inside: None, silent: false })?;
    // What is returned to the user shares no handle with the graph's own tensors.
    Ok(found)
}
