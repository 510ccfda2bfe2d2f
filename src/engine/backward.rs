//! The reverse walk: from results to leaves in the order of serial numbers, without recursion and without hashing.
//! Leans on graph and ops.

use super::record::caught;
use crate::backend::Operand;
use crate::base::{DType, Error, Result, shape};
use crate::graph::mode::{GradGuard, Mode};
use crate::graph::node::{Needs, Node, Rule, freed};
use crate::graph::sym::{Pull, Sym};
use crate::graph::tensor::flag;
use crate::graph::{Edge, Kept, Pair, Tensor};
use crate::ops;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Asked between nodes whether the user wants to stop (Ctrl-C); set by the door.
pub static INTERRUPT: std::sync::OnceLock<fn() -> Result<()>> = std::sync::OnceLock::new();
const ASK_EVERY: u32 = 1024;

static WALKS: AtomicU32 = AtomicU32::new(1);

/// How a walk is done.
pub struct Plan<'a> {
    pub retain: bool,
    /// Whether the walk itself is recorded.
    pub create: bool,
    /// Gradients are wanted at these ends alone, and are returned; else leaves accumulate.
    pub ends: Option<&'a [Edge]>,
    /// Only nodes for which this holds are entered.
    pub inside: Option<&'a dyn Fn(&Node) -> bool>,
}

/// A place where gradients gather: a node's outputs, or a leaf.
struct Slot {
    at: Edge,
    grads: Pair<Option<Tensor>>,
}

struct Walk {
    id: u32,
    slots: Vec<Slot>,
    /// Slots of nodes that another walk has claimed.
    elsewhere: HashMap<usize, usize>,
    heap: BinaryHeap<(u64, usize)>,
    leaves: Vec<usize>,
}

fn address(edge: &Edge) -> usize {
    match edge {
        Edge::Node(node, _) => Arc::as_ptr(node) as usize,
        Edge::Leaf(t) => t.id(),
    }
}

impl Walk {
    fn slot(&mut self, edge: &Edge) -> usize {
        let cell = match edge {
            Edge::Node(node, _) => &node.slot,
            Edge::Leaf(t) => &t.0.slot,
        };
        let mark = |index: usize| u64::from(self.id) << 32 | index as u64;
        let found = cell.load(Ordering::Acquire);
        if found >> 32 == u64::from(self.id) {
            return (found & 0xffff_ffff) as usize;
        }
        let index = self.slots.len();
        if found != 0 || cell.compare_exchange(0, mark(index), Ordering::AcqRel, Ordering::Relaxed).is_err() {
            if let Some(&index) = self.elsewhere.get(&address(edge)) {
                return index;
            }
            self.elsewhere.insert(address(edge), index);
        }
        self.slots.push(Slot { at: edge.clone(), grads: Pair::new() });
        match edge {
            Edge::Node(node, _) => self.heap.push((node.serial, index)),
            Edge::Leaf(_) => self.leaves.push(index),
        }
        index
    }

    /// Adds a gradient to what has come to an end of an edge so far.
    fn add(&mut self, edge: &Edge, grad: Tensor) -> Result<()> {
        let k = match edge {
            Edge::Node(_, k) => *k as usize,
            Edge::Leaf(_) => 0,
        };
        let index = self.slot(edge);
        let grads = &mut self.slots[index].grads;
        while grads.len() <= k {
            grads.push(None);
        }
        let place = grads.get_mut(k).ok_or_else(|| Error::bug("backward", "an output out of range"))?;
        *place = Some(match place.take() {
            None => grad,
            Some(sum) => ops::arith::add(&sum, &grad)?,
        });
        Ok(())
    }
}

impl Drop for Walk {
    fn drop(&mut self) {
        for slot in &self.slots {
            let cell = match &slot.at {
                Edge::Node(node, _) => &node.slot,
                Edge::Leaf(t) => &t.0.slot,
            };
            if cell.load(Ordering::Relaxed) >> 32 == u64::from(self.id) {
                cell.store(0, Ordering::Release);
            }
        }
    }
}

/// Gradients of `roots` (each with its cotangent) at the plan's ends, or into the leaves.
pub fn run(roots: &[(Edge, Tensor)], plan: &Plan) -> Result<Vec<Option<Tensor>>> {
    let _grad = GradGuard::set(plan.create);
    let wanted = plan.ends.map(|ends| reaching(roots, ends, plan.inside));
    let mut id = WALKS.fetch_add(1, Ordering::Relaxed);
    if id == 0 {
        id = WALKS.fetch_add(1, Ordering::Relaxed);
    }
    let mut walk = Walk { id, slots: Vec::new(), elsewhere: HashMap::new(), heap: BinaryHeap::new(), leaves: Vec::new() };
    let mut found: Vec<Option<Tensor>> = plan.ends.map_or_else(Vec::new, |e| vec![None; e.len()]);
    for (edge, grad) in roots {
        walk.add(edge, grad.clone())?;
    }
    let mut steps = 0u32;
    while let Some((_, index)) = walk.heap.pop() {
        steps = steps.wrapping_add(1);
        if steps.is_multiple_of(ASK_EVERY)
            && let Some(ask) = INTERRUPT.get()
        {
            ask()?;
        }
        let Edge::Node(node, _) = walk.slots[index].at.clone() else { continue };
        let mut grads: Vec<Option<Tensor>> = std::mem::take(&mut walk.slots[index].grads).into_iter().collect();
        grads.resize(node.outputs as usize, None);
        watchers(&node, &mut grads)?;
        if let Some(ends) = plan.ends {
            for (i, end) in ends.iter().enumerate() {
                if let Edge::Node(n, k) = end
                    && Arc::ptr_eq(n, &node)
                {
                    found[i].clone_from(&grads[*k as usize]);
                }
            }
        }
        let enter =
            wanted.as_ref().is_none_or(|w| w.contains(&address(&walk.slots[index].at))) && plan.inside.is_none_or(|inside| inside(&node));
        if !enter || grads.iter().all(Option::is_none) {
            continue;
        }
        // Nodes of tapes alone are none of backward's business, and what one backward used up is gone for the next.
        if let (None, Some(held)) = (plan.inside, node.held()) {
            if !held.requires {
                continue;
            }
            if held.spent && node.keeps() {
                return Err(freed(&node.name()));
            }
        }
        let ends = pull(&node, &grads, plan, wanted.as_ref())?;
        for (edge, grad) in node.edges.iter().zip(ends) {
            if let (Some(edge), Some(grad)) = (edge, grad) {
                walk.add(edge, grad)?;
            }
        }
        if !plan.retain {
            node.spend();
        }
    }
    for index in std::mem::take(&mut walk.leaves) {
        let Edge::Leaf(leaf) = walk.slots[index].at.clone() else { continue };
        let Some(mut grad) = walk.slots[index].grads.get_mut(0).and_then(Option::take) else { continue };
        for hook in leaf.hooks(false) {
            if let Some(other) = hook.call(&grad)? {
                grad = hooked(&grad, other)?;
            }
        }
        match plan.ends {
            None => {
                if leaf.requires_grad() {
                    accumulate(&leaf, grad, plan.create)?;
                    for hook in leaf.hooks(true) {
                        hook.call(&leaf)?;
                    }
                }
            }
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
    Ok(found)
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
    let (hooks, retained) = {
        let extra = node.extra.get();
        match extra.as_deref() {
            None => return Ok(()),
            Some(e) => (e.hooks.iter().map(|(_, k, h)| (*k, h.clone())).collect::<Vec<_>>(), e.retained.clone()),
        }
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
fn pull(node: &Arc<Node>, grads: &[Option<Tensor>], plan: &Plan, wanted: Option<&HashSet<usize>>) -> Result<Vec<Option<Tensor>>> {
    let mut needs = 0u32;
    for (i, edge) in node.edges.iter().enumerate() {
        if let Some(edge) = edge {
            let on_path = match edge {
                _ if wanted.is_none() => true,
                other => wanted.is_some_and(|w| w.contains(&address(other))),
            };
            let inside = match (edge, plan.inside) {
                (Edge::Node(n, _), Some(inside)) if plan.ends.is_none() => inside(n),
                _ => true,
            };
            if on_path && inside {
                needs |= 1 << i.min(31);
            }
        }
    }
    let before = pull_hooks(node, true);
    let mut grads = grads.to_vec();
    for hook in &before {
        if let Some(other) = hook.call(&[], &grads)? {
            grads = other;
        }
    }
    let (inputs, outputs) = {
        let kept = node.kept.get();
        if kept.freed {
            return Err(freed(&node.name()));
        }
        (kept.inputs.clone(), kept.outputs.clone())
    };
    let raw: Vec<Option<Tensor>> = match &node.rule {
        Rule::Dynamic(own) => own.pull(node, &grads)?,
        Rule::Op(op) => {
            let Some(vjp) = op.vjp else {
                return Err(Error::new(
                    crate::base::ErrorKind::Lookup,
                    "backward",
                    format!("{} has no derivative; use x.detach() before it if none is wanted", op.name),
                ));
            };
            let alive = plan.create || Mode::now().tape();
            let ins = inputs.iter().enumerate().map(|(i, k)| node.unpack(k, Some(i), 0, alive)).collect::<Result<Vec<_>>>()?;
            let outs = outputs.iter().enumerate().map(|(k, o)| node.unpack(o, None, k as u32, alive)).collect::<Result<Vec<_>>>()?;
            let grads: Vec<Option<Sym>> = grads.iter().map(|g| g.clone().map(Sym::Tensor)).collect();
            let pull = Pull { grads: &grads, ins: &ins, outs: &outs, args: &node.args, needs: Needs(needs) };
            caught(|| Ok(vjp(&pull)))?
                .into_iter()
                .map(|s| match s {
                    Some(Sym::Tensor(t)) => Some(t),
                    _ => None,
                })
                .collect()
        }
    };
    let mut fitted = Vec::with_capacity(raw.len());
    for (i, grad) in raw.into_iter().enumerate() {
        let keep = node.edges.get(i).is_some_and(Option::is_some);
        fitted.push(match (grad, inputs.get(i)) {
            (Some(g), Some(kept)) if keep => Some(fit(node, i, g, kept)?),
            (Some(g), None) if keep => Some(g),
            _ => None,
        });
    }
    let after = pull_hooks(node, false);
    for hook in &after {
        if let Some(other) = hook.call(&fitted, &grads)? {
            fitted = other;
        }
    }
    Ok(fitted)
}

fn pull_hooks(node: &Node, before: bool) -> Vec<Arc<dyn crate::graph::node::PullHook>> {
    node.extra
        .get()
        .as_deref()
        .map_or_else(Vec::new, |e| e.on_pull.iter().filter(|(_, h)| h.before() == before).map(|(_, h)| h.clone()).collect())
}

fn fit(node: &Node, i: usize, grad: Tensor, kept: &Kept) -> Result<Tensor> {
    let (want, dtype) = match kept {
        Kept::Meta(m) => (&m.shape, m.dtype),
        Kept::Full(op, ..) => (&op.layout.shape, op.dtype),
        _ => return Ok(grad),
    };
    let (same, own) = {
        let core = grad.0.core.get();
        (core.operand.layout.shape == *want, core.operand.dtype)
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

/// Adds to a leaf's gradient; what is stored is dense and shares memory with nothing else.
fn accumulate(leaf: &Tensor, grad: Tensor, create: bool) -> Result<()> {
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
            let alone = if is_alone(&grad) { grad } else { ops::view::clone_(&grad)? };
            leaf.set_grad(Some(alone));
        }
        None => {
            let alone = if is_alone(&grad) { grad } else { ops::view::clone_(&grad)? };
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
        && Arc::strong_count(&core.operand.storage) == 1
        && core.operand.layout.is_contiguous()
        && core.operand.storage.len() == core.operand.layout.numel() * core.operand.dtype.size()
}

/// The places from which one of the ends can be reached, so that no other gradient is computed.
fn reaching(roots: &[(Edge, Tensor)], ends: &[Edge], inside: Option<&dyn Fn(&Node) -> bool>) -> HashSet<usize> {
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
            filled(&shape, dtype, 1.0)
        }
        Some(g) => {
            if g.shape() != shape {
                return Err(Error::grad(
                    op,
                    format!("the gradient has shape {}, the tensor {}; they must be equal", shape::show(&g.shape()), shape::show(&shape)),
                ));
            }
            if g.dtype() != dtype {
                return ops::view::cast(g, dtype);
            }
            Ok(g.clone())
        }
    }
}

pub fn filled(shape: &[usize], dtype: DType, value: f64) -> Result<Tensor> {
    let backend = &crate::backend::cpu::Cpu;
    let operand = Operand::new(backend, shape, dtype)?;
    crate::backend::of(&operand.storage).launch(&crate::backend::Launch::Fill { dst: &operand, value: value.into() })?;
    Ok(Tensor::from_operand(operand))
}

/// `roots.backward(...)`: gradients into leaves, or into `inputs` alone.
pub fn backward(roots: &[Tensor], given: &[Option<Tensor>], retain: bool, create: bool, inputs: Option<&[Tensor]>) -> Result<()> {
    let mut starts = Vec::with_capacity(roots.len());
    for (root, g) in roots.iter().zip(given) {
        super::write::refresh(root);
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
            run(&starts, &Plan { retain, create, ends: None, inside: None })?;
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
            let found = run(&starts, &Plan { retain, create, ends: Some(&ends), inside: None })?;
            for (t, grad) in list.iter().zip(found) {
                if let Some(grad) = grad {
                    accumulate(t, grad, create)?;
                }
            }
        }
    }
    Ok(())
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
    let found = run(&starts, &Plan { retain, create, ends: Some(&ends), inside: None })?;
    // What is returned to the user shares no handle with the graph's own tensors.
    Ok(found)
}
