//! Writes in place: over the same bytes, through views, with the graph kept right. Leans on record.

use super::conjugate;
use super::lift;
use super::recast;
use super::record::{self, Seen};
use super::settle;
use super::windows;
use crate::backend::cpu::gather::collide;
use crate::backend::trace;
use crate::backend::{Launch, Operand, beside, of};
use crate::base::{DType, Error, Number, Result, shape};
use crate::graph::capture;
use crate::graph::mode::Mode;
use crate::graph::node::{Keeps, Rule};
use crate::graph::tensor::flag;
use crate::graph::{Arg, Body, Class, Edge, Feed, Kept, Meta, Node, Op, Pair, Tensor};
use crate::ops;
use std::sync::Arc;

/// Brings a view's place in the graph up to date after its base was written.
pub fn refresh(t: &Tensor) {
    let (base, version, seen, layout) = {
        let core = t.0.core.get();
        let Some(base) = core.base.clone() else { return };
        (base, core.version(), core.seen, core.operand.layout.clone())
    };
    if version == seen {
        return;
    }
    let (edge, requires, own) = {
        let core = base.0.core.get();
        (core.edge.clone(), core.requires_grad, core.operand.clone())
    };
    let mut core = t.0.core.get();
    core.seen = version;
    let Some((node, k)) = edge else { return };
    let dtype = core.operand.dtype;
    let (mode, edge) = (Mode::now(), Edge::Node(node, k));
    let edge = if own.dtype == dtype {
        Edge::Node(windows::read(&own.layout, &layout, dtype, edge, mode), 0)
    } else {
        recast::read((&own.layout, own.dtype), (&layout, dtype), edge, mode)
    };
    if let Edge::Node(node, k) = edge {
        core.edge = Some((node, k));
    }
    core.requires_grad = requires;
}

/// Whether an in-place write to a tensor is allowed, and as what it is written.
fn check(op: &str, t: &Tensor, mode: Mode, recording: bool) -> Result<Operand> {
    refresh(t);
    capture::touch(t);
    let core = t.0.core.get();
    let of_leaf = core.base.as_ref().is_some_and(|b| {
        let b = b.0.core.get();
        b.requires_grad && b.edge.is_none()
    });
    if mode.grad() && core.requires_grad && core.edge.is_none() {
        return Err(Error::grad(
            op,
            format!(
                "a leaf tensor of shape {} that requires grad cannot be written in place; wrap the update in `with schuss.no_grad():`",
                shape::show(&core.operand.layout.shape)
            ),
        ));
    }
    if mode.grad() && of_leaf {
        return Err(Error::grad(
            op,
            "a view of a leaf tensor that requires grad cannot be written in place; wrap the update in `with schuss.no_grad():`",
        ));
    }
    let of_graph = core.base.as_ref().is_some_and(|b| b.0.core.get().requires_grad);
    if (recording || of_graph) && mode.grad() && core.has(flag::QUIET_VIEW) && core.base.is_some() {
        return Err(Error::grad(
            op,
            "a view made under no_grad cannot be written in place with a tracked value while grad mode is on; take the view with grad mode on, or clone it",
        ));
    }
    if core.has(flag::INFERENCE) && !mode.inference() {
        return Err(Error::runtime(op, "a tensor made in inference mode cannot be written in place outside of it; use x.clone() first"));
    }
    let operand = core.operand.clone();
    if !operand.storage.is_writable() {
        return Err(Error::value(op, "the memory behind this tensor is read-only (it came from a read-only array); use x.clone() first"));
    }
    if operand.layout.overlaps_itself() {
        return Err(Error::runtime(
            op,
            format!(
                "more than one element of the written-to tensor (shape {}, strides {}) refers to a single memory location; use x.clone() first",
                shape::show(&operand.layout.shape),
                shape::show(&operand.layout.strides)
            ),
        ));
    }
    Ok(operand)
}

/// Whether a value of one dtype may be written to a tensor of another.
pub(super) fn check_cast(op: &str, from: DType, to: DType) -> Result<()> {
    if from.category() > to.category() {
        return Err(Error::dtype(
            op,
            format!("a result of type {from} cannot be written to a tensor of type {to} in place; use the form without the underscore"),
        ));
    }
    Ok(())
}

/// `target = asked(feeds)` in place; the target itself is a feed where the operator reads it.
pub fn apply(asked: &'static Op, target: &Tensor, feeds: &[Feed], args: &[Arg]) -> Result<()> {
    let mode = Mode::now();
    let (op, feeds) = crate::ops::arith::shorter(asked, feeds);
    if let Some(done) = super::quick::write(op, target, feeds, mode) {
        return done;
    }
    if mode.lifted() && lift::apply(op, target, feeds, args)? {
        return Ok(());
    }
    let op = conjugate::of_complex(settle::of_truths(op, feeds), feeds)?;
    let mut seen: Pair<Seen> = feeds.iter().map(|f| Seen::of(f, mode)).collect();
    let recording = seen.iter().any(|s| s.look().is_some_and(|l| l.edge.is_some()));
    let name = format!("{}_", asked.name);
    let own = check(&name, target, mode, recording)?;
    if recording {
        keep_original(op, target, feeds, args, &mut seen, &own)?;
    }
    if let Body::Map(body) = &op.body
        && body.outputs == 1
    {
        let (compute, result) = settle::settle(op, &seen, mode).map_err(|e| e.named(&name))?;
        check_cast(&name, result, own.dtype)?;
        let shape = settle::common_shape(op, &seen).map_err(|e| e.named(&name))?;
        if shape != own.layout.shape {
            return Err(Error::shape(
                &name,
                format!(
                    "the result has shape {}, the tensor written to {}; in place, it cannot grow",
                    shape::show(&shape),
                    shape::show(&own.layout.shape)
                ),
            ));
        }
        settle::check_divisor(op, &seen, compute).map_err(|e| e.named(&name))?;
        let mut ins = settle::spread(&seen, &shape, compute, op)?;
        for x in &ins {
            refuse_overlap(&name, x, &own)?;
        }
        if op.class == Class::Logic {
            ins = settle::as_truths(ins)?;
        }
        let params = settle::numbers(op, args, compute)?;
        beside(&name, &own, seen.iter().filter_map(Seen::look).map(|l| &l.operand))?;
        of(&own.storage)
            .launch(&Launch::Map { body, compute, params: &params, ins: &ins, outs: std::slice::from_ref(&own) })
            .map_err(|e| record::named(e, op))?;
    } else {
        let value = {
            let _quiet = crate::graph::mode::GradGuard::set(false);
            crate::graph::tensor::emit(op, feeds, args).map_err(|e| e.named(&name))?.one()
        };
        let value = value.operand();
        if value.layout.shape != own.layout.shape {
            return Err(Error::shape(
                &name,
                format!(
                    "the result has shape {}, the tensor written to {}; in place, it cannot change",
                    shape::show(&value.layout.shape),
                    shape::show(&own.layout.shape)
                ),
            ));
        }
        check_cast(&name, value.dtype, own.dtype)?;
        beside(&name, &own, seen.iter().filter_map(Seen::look).map(|l| &l.operand))?;
        of(&own.storage).launch(&Launch::Copy { src: &value, dst: &own })?;
    }
    target.0.core.get().bump();
    join(op, target, &seen, args, mode)
}

/// `target = op(feeds)` of tensors like the target, that lie elsewhere and are in no graph: at once, where otherwise a result is
/// made and copied. False where anything else is asked.
pub fn onto(op: &'static Op, target: &Tensor, feeds: &[Feed], args: &[Arg]) -> Result<bool> {
    let mode = Mode::now();
    let Body::Map(body) = &op.body else { return Ok(false) };
    let known = matches!(op.class, Class::Float | Class::Number | Class::Arithmetic | Class::Real);
    if !known || body.outputs != 1 || body.truth || !mode.is_plain() || target.requires_grad() {
        return Ok(false);
    }
    let own = target.operand();
    let like = |feed: &Feed| match feed {
        Feed::Tensor(t) => {
            let x = t.operand();
            let fits = x.dtype == own.dtype && x.layout.shape == own.layout.shape && x.device() == own.device();
            fits && !t.requires_grad() && !Arc::ptr_eq(&x.storage, &own.storage)
        }
        Feed::Number(n) => !n.is_complex(),
        _ => false,
    };
    let fits = matches!(own.dtype, DType::F32 | DType::F64) && feeds.iter().all(like);
    if fits {
        apply(op, target, feeds, args)?;
    }
    Ok(fits)
}

/// Where the derivative reads what is about to be overwritten, the record keeps a copy of it.
fn keep_original(op: &'static Op, target: &Tensor, feeds: &[Feed], args: &[Arg], seen: &mut Pair<Seen>, own: &Operand) -> Result<()> {
    let mut needs = 0;
    for (i, s) in seen.iter().enumerate() {
        if s.look().is_some_and(|l| l.edge.is_some() && l.operand.dtype.is_inexact()) {
            needs |= 1 << i.min(31);
        }
    }
    let meta = Meta { shape: own.layout.shape.clone(), dtype: own.dtype };
    let reads = record::reads(op, seen, args, || vec![meta.clone()], needs)?;
    for (i, feed) in feeds.iter().enumerate() {
        if let Feed::Tensor(t) = feed
            && t.same(target)
            && reads >> i.min(7) & 1 == 1
            && let Some(Seen::Tensor(look)) = seen.get_mut(i)
        {
            let copy = Operand::new(of(&own.storage), &look.operand.layout.shape, look.operand.dtype)?;
            of(&own.storage).launch(&Launch::Copy { src: &look.operand, dst: &copy })?;
            look.operand = copy;
            look.version = 0;
            look.family = None;
        }
    }
    Ok(())
}

fn refuse_overlap(op: &str, source: &Operand, target: &Operand) -> Result<()> {
    if collide(source, target) {
        return Err(Error::runtime(
            op,
            "the tensor read from and the tensor written to partly share memory; use .clone() on the one that is read",
        ));
    }
    Ok(())
}

/// Gives the written tensor its new place in the graph.
fn join(op: &'static Op, target: &Tensor, seen: &Pair<Seen>, args: &[Arg], mode: Mode) -> Result<()> {
    let tracked = seen.iter().any(|s| s.look().is_some_and(|l| l.edge.is_some() && l.operand.dtype.is_inexact()));
    let (base, operand, was) = {
        let mut core = target.0.core.get();
        if core.base.is_none() {
            core.seen = core.version();
        }
        (core.base.clone(), core.operand.clone(), core.edge.is_some())
    };
    let base_tracked = base.as_ref().is_some_and(|b| {
        let b = b.0.core.get();
        b.edge.is_some() && (b.requires_grad && mode.grad() || mode.tape())
    });
    if !mode.grad() && !mode.tape() || !tracked && !was && !base_tracked {
        let mut core = target.0.core.get();
        core.seen = core.version();
        return Ok(());
    }
    if !operand.dtype.is_inexact() {
        return Ok(());
    }
    // The value's node is made on a fresh handle over the same bytes, and its edge then moves to the target.
    let fresh = Tensor::from_operand(operand.clone());
    fresh.0.core.get().family.clone_from(&target.0.core.get().family);
    record::finish(op, seen, args, crate::graph::Outs::One(fresh.clone()), mode)?;
    let (edge, requires) = {
        let core = fresh.0.core.get();
        (core.edge.clone(), core.requires_grad)
    };
    settle_edge(target, base, &operand, edge, requires, mode)
}

/// Puts a written value's edge under a tensor, or into its base where it is a view.
fn settle_edge(
    target: &Tensor,
    base: Option<Tensor>,
    operand: &Operand,
    edge: Option<(Arc<Node>, u32)>,
    requires: bool,
    mode: Mode,
) -> Result<()> {
    let Some(base) = base else {
        let mut core = target.0.core.get();
        let old = std::mem::replace(&mut core.edge, edge);
        core.requires_grad = requires;
        drop(core);
        drop(old);
        return Ok(());
    };
    let (base_operand, base_edge, base_requires) = {
        let core = base.0.core.get();
        (core.operand.clone(), core.edge.clone(), core.requires_grad)
    };
    let to_edge = |e: Option<(Arc<Node>, u32)>| e.map(|(n, k)| Edge::Node(n, k));
    let write = if base_operand.dtype == operand.dtype {
        windows::written(&base_operand.layout, &operand.layout, operand.dtype, [to_edge(base_edge), to_edge(edge)], mode)
    } else {
        let own = (&base_operand.layout, base_operand.dtype);
        recast::written(own, (&operand.layout, operand.dtype), [to_edge(base_edge), to_edge(edge)], mode)
    };
    {
        let mut core = base.0.core.get();
        let old = core.edge.replace((write, 0));
        core.requires_grad = requires || base_requires;
        drop(core);
        drop(old);
    }
    if target.same(&base) {
        return Ok(());
    }
    // The view's own edge is rebuilt from the base at its next use.
    {
        let mut core = target.0.core.get();
        core.seen = core.version().wrapping_sub(1);
    }
    refresh(target);
    Ok(())
}

/// After a user's function wrote a view in place: its new place in the graph goes through its base.
pub fn rewrite_base(target: &Tensor, mode: Mode) -> Result<()> {
    let (base, operand, edge, requires) = {
        let core = target.0.core.get();
        (core.base.clone(), core.operand.clone(), core.edge.clone(), core.requires_grad)
    };
    if base.is_some() { settle_edge(target, base, &operand, edge, requires, mode) } else { Ok(()) }
}

/// `target[...] = source`, converted and broadcast.
pub fn copy_(target: &Tensor, source: Feed) -> Result<()> {
    copy_as("copy_", target, source)
}

/// The same, refused in the name of what the user wrote.
pub fn copy_as(op: &str, target: &Tensor, source: Feed) -> Result<()> {
    let mode = Mode::now();
    if mode.lifted() && lift::copy(op, target, source)? {
        return Ok(());
    }
    if let Feed::Number(n @ Number::Complex(..)) = source
        && !target.dtype().is_complex()
    {
        let (re, im) = n.pair();
        return Err(Error::runtime(op, format!("the complex number {re}{im:+}i does not fit {}; use x.to() first", target.dtype())));
    }
    if let Feed::Number(Number::Int(i)) = source
        && target.dtype() != DType::Bool
        && !target.dtype().holds(i)
    {
        return Err(Error::runtime(op, format!("the integer {i} does not fit {}; write a number it can hold", target.dtype())));
    }
    if let Feed::Number(n) = source
        && let Some(done) = super::quick::fill(target, n, mode)
    {
        return done;
    }
    let seen = Seen::of(&source, mode);
    let recording = seen.look().is_some_and(|l| l.edge.is_some());
    let own = check(op, target, mode, recording)?;
    let (base, was) = {
        let core = target.0.core.get();
        (core.base.clone(), core.edge.is_some())
    };
    let base_tracked = base.as_ref().is_some_and(|b| b.0.core.get().edge.is_some());
    let untracked = !mode.grad() && !mode.tape() || !recording && !was && !base_tracked;
    // `x[i] += y` ends with the written part assigned to where it already stands. The same elements outside the graph are others.
    if let (Some(look), Feed::Tensor(own_source)) = (seen.look(), &source)
        && Arc::ptr_eq(&look.operand.storage, &own.storage)
        && look.operand.layout.same_elements(&own.layout)
        && look.operand.dtype == own.dtype
    {
        let root = own_source.0.core.get().base.clone();
        let one = root.as_ref().zip(base.as_ref()).is_some_and(|(a, b)| a.same(b));
        if untracked || own_source.same(target) || one {
            return Ok(());
        }
    }
    match &seen {
        Seen::Tensor(look) => {
            crate::backend::somewhere(&look.operand)?;
            let wide = look.operand.view(look.operand.layout.broadcast_to(op, &own.layout.shape)?);
            let backend = of(&own.storage);
            let wide = if wide.device() == own.device() { wide } else { crate::backend::transfer(&wide, own.device())? };
            if collide(&wide, &own) {
                let copy = Operand::new(backend, &wide.layout.shape, wide.dtype)?;
                backend.launch(&Launch::Copy { src: &wide, dst: &copy })?;
                backend.launch(&Launch::Copy { src: &copy, dst: &own })?;
            } else {
                backend.launch(&Launch::Copy { src: &wide, dst: &own })?;
            }
        }
        Seen::Number(n) => of(&own.storage).launch(&Launch::Fill { dst: &own, value: *n })?,
        Seen::Absent => return Err(Error::type_(op, "there is nothing to copy")),
    }
    {
        let mut core = target.0.core.get();
        core.bump();
        if base.is_none() {
            core.seen = core.version();
        }
    }
    if untracked {
        let mut core = target.0.core.get();
        core.seen = core.version();
        return Ok(());
    }
    if !own.dtype.is_inexact() {
        return Ok(());
    }
    // The value under the graph: the source expanded and converted, though its bytes lie in the target already.
    let (edge, requires) = match &seen {
        Seen::Tensor(look) if recording && look.operand.dtype.is_inexact() => {
            let Feed::Tensor(source) = source else { return Err(Error::bug(op, "a seen tensor is no tensor")) };
            let mut value = source.clone();
            if value.shape() != own.layout.shape {
                value = ops::view::expand(&value, &own.layout.shape)?;
            }
            if value.dtype() != own.dtype {
                value = ops::view::cast(&value, own.dtype)?;
            } else if value.same(source) {
                value = identity(look, mode);
            }
            let core = value.0.core.get();
            (core.edge.clone(), core.requires_grad)
        }
        _ => (None, false),
    };
    // A tracked tensor that is overwritten whole stays in the graph: its past gets a gradient of zeros.
    let base = base.or_else(|| was.then(|| target.clone()));
    settle_edge(target, base, &own, edge, requires, mode)
}

/// A node over a source as it is, so that a leaf has an edge of a node.
fn identity(look: &record::Look, mode: Mode) -> Tensor {
    let meta = Kept::Meta(Meta { shape: look.operand.layout.shape.clone(), dtype: look.operand.dtype });
    let kept = Keeps { inputs: [meta.clone()].into_iter().collect(), outputs: [meta].into_iter().collect(), freed: false };
    let node = record::make(Rule::Op(&ops::view::clone_::OP), &[], [look.edge.clone()].into_iter().collect(), kept, 1, look.serial, mode);
    let t = Tensor::from_operand(look.operand.clone());
    {
        let mut core = t.0.core.get();
        core.edge = Some((node, 0));
        core.requires_grad = look.requires && mode.grad();
    }
    t
}

/// Runs a launch that overwrites a tensor with constants (fills, random draws).
pub fn overwrite(op: &str, target: &Tensor, work: &mut dyn FnMut(&Operand) -> Result<()>) -> Result<()> {
    let mode = Mode::now();
    if mode.lifted() && lift::overwrite(op, target, work)? {
        return Ok(());
    }
    let own = check(op, target, mode, false)?;
    work(&own)?;
    let (base, was) = {
        let core = target.0.core.get();
        core.bump();
        (core.base.clone(), core.edge.is_some())
    };
    let base_tracked = base.as_ref().is_some_and(|b| b.0.core.get().edge.is_some());
    if (mode.grad() || mode.tape()) && (was || base_tracked) {
        let base = base.or_else(|| was.then(|| target.clone()));
        return settle_edge(target, base, &own, None, false, mode);
    }
    let mut core = target.0.core.get();
    core.seen = core.version();
    Ok(())
}

/// Writes values at the places that index tensors name, in place.
pub fn put_(op: &str, target: &Tensor, values: &Tensor, indices: &[&Tensor], args: &[Arg]) -> Result<()> {
    let mode = Mode::now();
    if mode.lifted() && lift::put(op, target, values, indices, args)? {
        return Ok(());
    }
    let mut feeds: Vec<Feed> = vec![Feed::Tensor(target), Feed::Tensor(values)];
    feeds.extend(indices.iter().map(|i| Feed::Tensor(i)));
    let seen: Pair<Seen> = feeds.iter().map(|f| Seen::of(f, mode)).collect();
    let recording = seen.iter().any(|s| s.look().is_some_and(|l| l.edge.is_some()));
    let own = check(op, target, mode, recording)?;
    let list: Vec<Operand> = indices.iter().map(|i| i.operand()).collect();
    let refs: Vec<&Operand> = list.iter().collect();
    let values = values.operand();
    beside(op, &own, refs.iter().copied().chain([&values]))?;
    ops::index::put_into(&own, &values, &refs, args).map_err(|e| e.named(op))?;
    target.0.core.get().bump();
    join(&ops::index::put_at::OP, target, &seen, args, mode)
}

/// What a handle can have done to itself.
impl Tensor {
    /// The tensor that this one is a view of.
    pub fn base(&self) -> Option<Tensor> {
        self.0.core.get().base.clone()
    }

    /// Leaves the graph in place.
    pub fn leave_graph(&self) -> Result<()> {
        if self.lift().is_some() {
            let alone = self.detach();
            let lift = alone.lift();
            if lift.is_some() && alone.is_differing() != self.is_differing() {
                return Err(Error::grad("detach_", "a tensor of several transformations cannot be detached in place; use detach()"));
            }
            self.relift(lift);
            return Ok(());
        }
        let mut core = self.0.core.get();
        if core.base.is_some() && core.requires_grad {
            return Err(Error::grad("detach_", "a view cannot be detached in place; use detach()"));
        }
        let old = core.edge.take();
        core.requires_grad = false;
        drop(core);
        drop(old);
        Ok(())
    }

    /// Has the gradient of a tensor that is no leaf kept in its `.grad`.
    pub fn retain_grad(&self) -> Result<()> {
        if !self.requires_grad() {
            return Err(Error::grad("retain_grad", "the tensor does not require grad; use requires_grad_() first"));
        }
        let Some((node, k)) = self.node() else { return Ok(()) };
        if self.has_flag(flag::RETAINS) {
            return Ok(());
        }
        self.set_flag(flag::RETAINS, true);
        node.extra_mut().retained.push((k, Arc::downgrade(&self.0)));
        Ok(())
    }

    /// Takes a value by copy-on-write: written in place where nobody else holds the elements, else in fresh memory.
    pub fn assign(&self, value: &Tensor) -> Result<()> {
        capture::touch(self);
        capture::touch(value);
        let (own, value) = (self.operand(), value.operand());
        if own.layout.shape != value.layout.shape {
            return Err(Error::value(
                "assign",
                format!("the value has shape {}, the variable {}", shape::show(&value.layout.shape), shape::show(&own.layout.shape)),
            ));
        }
        if own.dtype != value.dtype {
            return Err(Error::dtype("assign", format!("the value is {}, the variable {}; use cast first", value.dtype, own.dtype)));
        }
        // One count is the handle's, one is `own`'s.
        let alone =
            Arc::strong_count(&own.storage) == 2 + trace::holds(&own.storage) && own.storage.is_writable() && !own.storage.is_foreign();
        if alone && own.layout.is_contiguous() {
            return crate::backend::copy(&value, &own);
        }
        let fresh = Operand::new(of(&own.storage), &own.layout.shape, own.dtype)?;
        crate::backend::copy(&value, &fresh)?;
        let mut core = self.0.core.get();
        let old = std::mem::replace(&mut core.operand, fresh);
        drop(core);
        drop(old);
        Ok(())
    }
}
