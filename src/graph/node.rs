//! One recorded operation: its rule, its edges to what it was made of, and what its derivative will read. Leans on tensor and op.

use super::tensor::{Hook, flag};
use super::{Arg, Meta, Op, Pair, Tensor};
use crate::backend::{Operand, Storage};
use crate::base::memory::{Guard, Unique};
use crate::base::{Error, Lock, Number, Result};
use smallvec::SmallVec;
use std::cell::OnceCell;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, OnceLock};

/// Where a gradient goes: on to a node's output, or to a leaf.
#[derive(Clone)]
pub enum Edge {
    Node(Arc<Node>, u32),
    Leaf(Tensor),
}

/// What a node keeps of an operand.
#[derive(Clone)]
pub enum Kept {
    Absent,
    Number(Number),
    /// Only its shape and type.
    Meta(Meta),
    /// The elements.
    Full(Box<Full>),
}

/// Elements that a derivative reads.
#[derive(Clone)]
pub struct Full {
    pub operand: Operand,
    /// The count of writes at the time.
    pub version: u32,
    /// The counter that it is compared to, where that is not the storage's own.
    pub family: Option<Arc<AtomicU32>>,
    /// A handle for them, made only if one is asked for.
    pub handle: OnceCell<Tensor>,
}

impl Kept {
    pub(crate) fn numel(&self) -> usize {
        match self {
            Kept::Meta(m) => m.shape.iter().product(),
            Kept::Full(f) => f.operand.layout.numel(),
            _ => 0,
        }
    }
    /// Only the form of an operand, or its elements with their version and its counter.
    #[inline(always)]
    pub fn of(operand: &Operand, full: Option<(u32, Option<Arc<AtomicU32>>)>) -> Kept {
        match full {
            Some((version, family)) => Kept::Full(Box::new(Full { operand: operand.clone(), version, family, handle: OnceCell::new() })),
            None => Kept::Meta(Meta { shape: operand.layout.shape.clone(), dtype: operand.dtype }),
        }
    }
}

/// Elements in a user's keeping.
pub trait Packed: Send + Sync {
    /// Brings them back.
    fn unpack(&self) -> Result<Tensor>;
}

/// A derivative that is not in the table: a user's function, or an override.
pub trait Dynamic: Send + Sync {
    fn name(&self) -> String;
    /// Gradients of the inputs from those of the outputs.
    fn pull(&self, node: &Arc<Node>, grads: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>>;
    /// Lets go of what it keeps, after a walk that does not retain the graph.
    fn release(&self) {}
    fn as_any(&self) -> &dyn std::any::Any;
}

#[derive(Clone)]
pub enum Rule {
    Op(&'static Op),
    Dynamic(Arc<dyn Dynamic>),
}

pub struct Node {
    pub rule: Rule,
    pub serial: u64,
    pub args: Box<[Arg]>,
    /// For each operand where its gradient goes; None where it needs none.
    pub edges: Pair<Option<Edge>>,
    pub outputs: u32,
    /// Elements of its largest operand.
    pub(crate) largest: usize,
    pub(crate) kept: Lock<Keeps>,
    pub(crate) slot: AtomicU64,
    extra: OnceLock<Box<Lock<Extra>>>,
}

pub(crate) struct Keeps {
    pub inputs: Pair<Kept>,
    pub outputs: Pair<Kept>,
    pub freed: bool,
}

/// What few nodes have: hooks, tensors that want their gradient kept, the line of the user's program.
#[derive(Default)]
pub struct Extra {
    pub next: u64,
    /// (id, output, hook): on a tensor's way back through this node.
    pub hooks: Vec<(u64, u32, Arc<dyn Hook>)>,
    /// Outputs whose `.grad` is kept.
    pub retained: Vec<(u32, std::sync::Weak<super::tensor::Handle>)>,
    pub place: Option<(Arc<str>, u32)>,
    pub on_pull: Vec<(u64, Arc<dyn PullHook>)>,
    pub(crate) held: Option<Held>,
    /// Of a source: the tensor that it stands for.
    pub(crate) of: Option<std::sync::Weak<super::tensor::Handle>>,
}

/// What a node that was recorded by tapes is still needed for.
#[derive(Clone, Copy)]
pub(crate) struct Held {
    /// Tapes that have not let it go.
    pub tapes: u32,
    /// Whether something that requires grad hangs on it.
    pub requires: bool,
    /// Whether a walk that does not retain the graph has passed.
    pub spent: bool,
}

/// The rule of a source: nothing lies behind it.
struct Watched;

impl Dynamic for Watched {
    fn name(&self) -> String {
        "Watched".to_string()
    }
    fn pull(&self, _node: &Arc<Node>, _grads: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        Ok(Vec::new())
    }
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// The rule of a result that a recorded step has walked back itself: nothing is left of its graph.
struct Walked(String, Option<&'static Op>);

impl Dynamic for Walked {
    fn name(&self) -> String {
        self.0.clone()
    }
    fn pull(&self, _node: &Arc<Node>, _grads: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        Err(freed(&self.0))
    }
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// A callable that sees all gradients of a node after (or before) its rule has run.
pub trait PullHook: Send + Sync {
    fn call(&self, grad_inputs: &[Option<Tensor>], grad_outputs: &[Option<Tensor>]) -> Result<Option<Vec<Option<Tensor>>>>;
    fn before(&self) -> bool;
}

/// A node that nobody else has yet: its lists are filled where they will lie, since moving them costs more than all else.
pub(crate) struct Draft(Unique<Node>);

impl Draft {
    #[inline(always)]
    pub fn new(rule: Rule, args: &[Arg], outputs: usize, serial: u64, place: Option<(Arc<str>, u32)>) -> Draft {
        let extra = OnceLock::new();
        if place.is_some() {
            let _ = extra.set(Box::new(Lock::new(Extra { place, ..Extra::default() })));
        }
        let room = Unique::room();
        Draft(room.fill(Node {
            rule,
            serial,
            args: args.into(),
            edges: Pair::new(),
            outputs: outputs as u32,
            largest: 0,
            kept: Lock::new(Keeps { inputs: Pair::new(), outputs: Pair::new(), freed: false }),
            slot: AtomicU64::new(0),
            extra,
        }))
    }
    /// The next operand, of so many elements.
    #[inline(always)]
    pub fn input(&mut self, edge: Option<Edge>, kept: Kept, numel: usize) {
        let node = &mut *self.0;
        node.largest = node.largest.max(numel);
        node.edges.push(edge);
        node.kept.get_mut().inputs.push(kept);
    }
    #[inline(always)]
    pub fn output(&mut self, kept: Kept) {
        self.0.kept.get_mut().outputs.push(kept);
    }
    #[inline(always)]
    pub fn done(self) -> Arc<Node> {
        self.0.share()
    }
}

impl Node {
    /// Hooks and the like, where there are any.
    #[inline]
    pub(crate) fn extra(&self) -> Option<Guard<'_, Extra>> {
        self.extra.get().map(|e| e.get())
    }
    pub(crate) fn extra_mut(&self) -> Guard<'_, Extra> {
        self.extra.get_or_init(Box::default).get()
    }
    pub fn name(&self) -> String {
        match &self.rule {
            Rule::Op(op) => op.name.to_string(),
            Rule::Dynamic(d) => d.name(),
        }
    }
    pub fn op(&self) -> Option<&'static Op> {
        match &self.rule {
            Rule::Op(op) => Some(op),
            Rule::Dynamic(_) => None,
        }
    }
    /// The operation that made it, also where nothing is left of it but its name.
    pub fn maker(&self) -> Option<&'static Op> {
        match &self.rule {
            Rule::Op(op) => Some(op),
            Rule::Dynamic(d) => d.as_any().downcast_ref::<Walked>().and_then(|w| w.1),
        }
    }
    /// Forgets what was kept for the derivative; the edges stay.
    pub fn free(&self) {
        let mut kept = self.kept.get();
        let full = |k: &Kept| matches!(k, Kept::Full(..));
        let lost = kept.inputs.iter().chain(kept.outputs.iter()).any(full);
        kept.freed |= lost || matches!(self.rule, Rule::Dynamic(_));
        if !lost {
            if let Rule::Dynamic(d) = &self.rule {
                drop(kept);
                d.release();
            }
            return;
        }
        let shrink = |k: &mut Kept| {
            if let Kept::Full(full) = k {
                *k = Kept::of(&full.operand, None);
            }
        };
        let (inputs, outputs) = (kept.inputs.clone(), kept.outputs.clone());
        kept.inputs.iter_mut().for_each(shrink);
        kept.outputs.iter_mut().for_each(shrink);
        drop(kept);
        drop((inputs, outputs));
        if let Rule::Dynamic(d) = &self.rule {
            d.release();
        }
    }
    pub fn is_freed(&self) -> bool {
        self.kept.get().freed
    }

    /// Whether something that requires grad hangs on it; false where it was made for tapes alone.
    pub fn requires(&self) -> bool {
        self.held().is_none_or(|h| h.requires)
    }
    /// What tapes hold it for; None where no tape was open when it was made.
    pub(crate) fn held(&self) -> Option<Held> {
        self.extra().and_then(|e| e.held)
    }
    /// Notes that some more tapes hold it.
    pub(crate) fn hold(&self, tapes: u32) {
        let reaches = |e: &Edge| match e {
            Edge::Node(n, _) => n.requires(),
            Edge::Leaf(_) => true,
        };
        let requires = self.edges.iter().flatten().any(reaches);
        self.extra_mut().held = Some(Held { tapes, requires, spent: false });
    }
    /// A tape lets go; the last one takes with it what nothing else will read.
    pub(crate) fn unhold(&self) {
        let useless = match self.extra().as_deref_mut().and_then(|e| e.held.as_mut()) {
            Some(held) => {
                held.tapes = held.tapes.saturating_sub(1);
                held.tapes == 0 && (held.spent || !held.requires)
            }
            None => false,
        };
        if useless {
            self.free();
        }
    }
    /// A walk that does not retain the graph is through: freed now, or when the last tape lets go.
    pub(crate) fn spend(&self) {
        if let Some(held) = self.extra().as_deref_mut().and_then(|e| e.held.as_mut())
            && held.tapes > 0
        {
            held.spent = true;
            return;
        }
        self.free();
    }
    /// Whether its derivative reads elements that freeing takes away.
    pub(crate) fn keeps(&self) -> bool {
        let kept = self.kept.get();
        let full = |k: &Kept| matches!(k, Kept::Full(..));
        matches!(self.rule, Rule::Dynamic(_)) || kept.inputs.iter().chain(kept.outputs.iter()).any(full)
    }

    /// The node that stands for a tensor in the recordings of tapes. It is older than all others and holds nothing alive.
    pub(crate) fn source(t: &Tensor, operand: &Operand) -> Arc<Node> {
        let held = Some(Held { tapes: 0, requires: false, spent: false });
        let extra = Extra { held, of: Some(Arc::downgrade(&t.0)), ..Extra::default() };
        Node::alone(Arc::new(Watched), operand, OnceLock::from(Box::new(Lock::new(extra))))
    }
    /// A node of this one's name with nothing behind it, under a result that looks like the operand.
    pub(crate) fn walked(&self, operand: &Operand) -> Arc<Node> {
        Node::alone(Arc::new(Walked(self.name(), self.op())), operand, OnceLock::new())
    }
    /// A node older than all others, of one result and no operands.
    fn alone(rule: Arc<dyn Dynamic>, operand: &Operand, extra: OnceLock<Box<Lock<Extra>>>) -> Arc<Node> {
        let meta = Kept::Meta(Meta { shape: operand.layout.shape.clone(), dtype: operand.dtype });
        Arc::new(Node {
            rule: Rule::Dynamic(rule),
            serial: 0,
            args: Box::default(),
            edges: Pair::new(),
            outputs: 1,
            largest: 0,
            kept: Lock::new(Keeps { inputs: Pair::new(), outputs: [meta].into_iter().collect(), freed: false }),
            slot: AtomicU64::new(0),
            extra,
        })
    }
    /// The tensor that a source stands for, while it is there.
    pub fn source_of(&self) -> Option<Tensor> {
        self.extra().as_deref().and_then(|e| e.of.as_ref()).and_then(std::sync::Weak::upgrade).map(Tensor)
    }

    /// Gives what it keeps into somebody's keeping.
    pub(crate) fn pack(&self, keep: &dyn Fn(&Tensor) -> Result<Arc<dyn Packed>>) -> Result<()> {
        // The keeper is the user's: no lock is held while it works.
        let (inputs, outputs) = {
            let kept = self.kept.get();
            (kept.inputs.clone(), kept.outputs.clone())
        };
        let packed = |kept: &Kept| -> Result<Kept> {
            let Kept::Full(full) = kept else { return Ok(kept.clone()) };
            let keeper = keep(&Tensor::from_operand(full.operand.clone()))?;
            let storage = Storage::packed(full.operand.device(), Box::new(keeper));
            let operand = Operand { storage: Arc::new(storage), layout: full.operand.layout.clone(), dtype: full.operand.dtype };
            Ok(Kept::of(&operand, Some((0, None))))
        };
        let inputs = inputs.iter().map(packed).collect::<Result<_>>()?;
        let outputs = outputs.iter().map(packed).collect::<Result<_>>()?;
        let freed = self.kept.get().freed;
        let old = std::mem::replace(&mut *self.kept.get(), Keeps { inputs, outputs, freed });
        drop(old);
        // A node with extras is none that plans know.
        drop(self.extra_mut());
        Ok(())
    }

    pub(crate) fn has_pull_hooks(&self) -> bool {
        self.extra().is_some_and(|e| !e.on_pull.is_empty())
    }

    /// Shape and dtype of each operand that is a tensor; an error once the node has been freed.
    pub(crate) fn forms(&self) -> Result<Vec<Option<Meta>>> {
        let kept = self.kept.get();
        if kept.freed {
            return Err(freed(&self.name()));
        }
        let form = |k: &Kept| match k {
            Kept::Meta(m) => Some(m.clone()),
            Kept::Full(f) => Some(Meta { shape: f.operand.layout.shape.clone(), dtype: f.operand.dtype }),
            _ => None,
        };
        Ok(kept.inputs.iter().map(form).collect())
    }

    /// Shapes and dtypes of operands and results.
    pub fn facts(&self) -> (Vec<Kept>, Vec<Kept>) {
        let kept = self.kept.get();
        (kept.inputs.iter().cloned().collect(), kept.outputs.iter().cloned().collect())
    }

    /// Shape and dtype of a result.
    pub fn output_meta(&self, k: usize) -> (crate::base::shape::Shape, crate::base::DType) {
        match self.kept.get().outputs.get(k) {
            Some(Kept::Meta(m)) => (m.shape.clone(), m.dtype),
            Some(Kept::Full(f)) => (f.operand.layout.shape.clone(), f.operand.dtype),
            _ => (crate::base::Few::new(), crate::base::DType::F32),
        }
    }

    pub fn place(&self) -> Option<(Arc<str>, u32)> {
        self.extra().and_then(|e| e.place.clone())
    }
}

/// The error of a second walk over a graph that was let go.
#[cold]
pub fn freed(name: &str) -> Error {
    Error::grad(
        "backward",
        format!(
            "trying to backward through the graph a second time (at {name}): what its gradient needs was freed by the first walk. \
             Use backward(retain_graph=True) the first time, or compute the loss again"
        ),
    )
}

impl Drop for Node {
    // A long chain is taken apart in a loop: dropping it edge by edge would recurse as deep as the chain is long.
    fn drop(&mut self) {
        let mut todo: SmallVec<[Arc<Node>; 4]> = SmallVec::new();
        let take = |edges: &mut Pair<Option<Edge>>, todo: &mut SmallVec<[Arc<Node>; 4]>| {
            for slot in edges.iter_mut() {
                if let Some(Edge::Node(node, _)) = slot.take_if(|e| matches!(e, Edge::Node(..))) {
                    todo.push(node);
                }
            }
        };
        take(&mut self.edges, &mut todo);
        while let Some(mut node) = todo.pop() {
            if let Some(last) = Arc::get_mut(&mut node) {
                take(&mut last.edges, &mut todo);
            }
        }
    }
}

/// Needs of a rule: which inputs want a gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs(pub u32);

impl Needs {
    #[inline]
    pub fn has(self, i: usize) -> bool {
        i >= 32 || self.0 >> i & 1 == 1
    }
}

/// Whether a flag of a tensor asks for tapes to look.
pub fn watched(flags: u8) -> bool {
    flags & (flag::VARIABLE | flag::WATCHED) != 0
}
