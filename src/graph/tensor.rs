//! The handle that users hold: storage, layout, dtype, and its place in the graph. Leans on backend's storage and node.

use super::lift::Lift;
use super::node::{Edge, Kept};
use super::{Node, Op};
use crate::backend::{Operand, Storage, any_away};
use crate::base::memory::{Room, Unique};
use crate::base::shape::Shape;
use crate::base::{DType, Device, Layout, Lock, Number, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// A tensor. Clones are the same handle; views are other handles over the same storage.
#[derive(Clone)]
pub struct Tensor(pub(crate) Arc<Handle>);

pub struct Handle {
    pub(crate) core: Lock<Core>,
    /// The host language's object for this handle, while there is one; kept by the door alone.
    pub face: AtomicPtr<()>,
    /// This handle's place in a running reverse walk.
    pub(crate) slot: AtomicU64,
}

/// What is recorded besides the numbers.
pub mod flag {
    /// Read as a `Variable`: open tapes watch it by themselves.
    pub const VARIABLE: u8 = 1;
    /// A tape was told to watch it.
    pub const WATCHED: u8 = 2;
    /// TensorFlow's rules of dtypes hold.
    pub const STRICT: u8 = 4;
    /// `.grad` is kept although it is no leaf.
    pub const RETAINS: u8 = 8;
    /// A probe's stand-in: shape and dtype, no elements.
    pub const PROBE: u8 = 16;
    /// Made in inference mode.
    pub const INFERENCE: u8 = 32;
    /// A view made while nothing was recorded.
    pub const QUIET_VIEW: u8 = 64;
    /// A transformation made something else of it.
    pub const LIFTED: u8 = 128;
}

pub struct Core {
    pub operand: Operand,
    /// The counter of in-place writes, where it is not the storage's own (`.data` starts a new one).
    pub family: Option<Arc<AtomicU32>>,
    pub requires_grad: bool,
    pub flags: u8,
    /// For a probe's stand-in: the bit that a read sets.
    pub tag: u32,
    /// The node that made it; none for a leaf.
    pub edge: Option<(Arc<Node>, u32)>,
    /// Where tapes find the gradient of a tensor that they watch and no operation made.
    pub source: Option<Arc<Node>>,
    /// The tensor that this one is a view of.
    pub base: Option<Tensor>,
    /// The version at which a view's edge was right.
    pub seen: u32,
    pub grad: Option<Tensor>,
    pub extra: Option<Box<Extra>>,
}

/// A callable that sees a gradient on its way and may give another in its place.
pub trait Hook: Send + Sync {
    fn call(&self, grad: &Tensor) -> Result<Option<Tensor>>;
}

/// What few tensors have: hooks, and what a transformation made of them.
#[derive(Default)]
pub struct Extra {
    pub(crate) lift: Option<Arc<Lift>>,
    pub next: u64,
    pub list: Vec<(u64, Arc<dyn Hook>)>,
    /// Called after a leaf's gradient has been added to.
    pub after: Vec<(u64, Arc<dyn Hook>)>,
}

/// Which hooks a tensor has, in short: how many there have ever been, and how many of each kind there are.
pub type Hooked = (u64, usize, usize);

impl Core {
    pub fn hooked(&self) -> Hooked {
        match &self.extra {
            Some(extra) if !extra.list.is_empty() || !extra.after.is_empty() => (extra.next, extra.list.len(), extra.after.len()),
            _ => (0, 0, 0),
        }
    }
}

/// What an operator is fed: a tensor, bare elements, a plain number, or nothing.
#[derive(Clone, Copy)]
pub enum Feed<'a> {
    Tensor(&'a Tensor),
    /// Elements outside every graph.
    Operand(&'a Operand),
    Number(Number),
    Absent,
}

impl<'a> From<&'a Tensor> for Feed<'a> {
    #[inline]
    fn from(t: &'a Tensor) -> Feed<'a> {
        Feed::Tensor(t)
    }
}
impl From<Number> for Feed<'_> {
    fn from(n: Number) -> Self {
        Feed::Number(n)
    }
}
impl From<f64> for Feed<'_> {
    fn from(n: f64) -> Self {
        Feed::Number(Number::Float(n))
    }
}
impl From<i32> for Feed<'_> {
    fn from(n: i32) -> Self {
        Feed::Number(Number::Int(i64::from(n)))
    }
}

/// What an operator gives: nearly always one tensor.
pub enum Outs {
    One(Tensor),
    Many(Vec<Tensor>),
}

impl Outs {
    #[inline]
    pub fn one(self) -> Tensor {
        match self {
            Outs::One(t) => t,
            Outs::Many(mut list) => list.swap_remove(0),
        }
    }
    pub fn many(self) -> Vec<Tensor> {
        match self {
            Outs::One(t) => vec![t],
            Outs::Many(list) => list,
        }
    }
}

/// The one that runs or records operators; set once by the engine, which the rules may not know.
pub type Emit = fn(&'static Op, &[Feed], &[super::Arg]) -> Result<Outs>;
static ENGINE: std::sync::OnceLock<Emit> = std::sync::OnceLock::new();

pub fn set_engine(emit: Emit) {
    let _ = ENGINE.set(emit);
}

/// Asks the engine for an operator.
#[inline]
pub fn emit(op: &'static Op, feeds: &[Feed], args: &[super::Arg]) -> Result<Outs> {
    match ENGINE.get() {
        Some(run) => run(op, feeds, args),
        None => Err(crate::base::Error::bug(op.name, "no engine has been started")),
    }
}

impl Core {
    #[inline(always)]
    pub fn plain(operand: Operand) -> Core {
        Core {
            operand,
            family: None,
            requires_grad: false,
            flags: 0,
            tag: 0,
            edge: None,
            source: None,
            base: None,
            seen: 0,
            grad: None,
            extra: None,
        }
    }
    #[inline]
    pub fn version(&self) -> u32 {
        match &self.family {
            None => self.operand.storage.version().load(Ordering::Relaxed),
            Some(own) => own.load(Ordering::Relaxed),
        }
    }
    pub fn bump(&self) {
        match &self.family {
            None => self.operand.storage.bump(),
            Some(own) => {
                own.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    /// What a derivative reads of it, or its form alone.
    #[inline(always)]
    pub(crate) fn kept(&self, full: bool) -> Kept {
        Kept::of(&self.operand, full.then(|| (self.version(), self.family.clone())))
    }
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// A handle that nobody else has yet.
pub(crate) struct Fresh(Unique<Handle>);

/// Room for a handle, made before its facts are put together.
pub(crate) struct HandleRoom(Room<Handle>);

impl HandleRoom {
    #[inline(always)]
    pub fn fill(self, core: Core) -> Fresh {
        Fresh(self.0.fill(Handle { core: Lock::new(core), face: AtomicPtr::new(std::ptr::null_mut()), slot: AtomicU64::new(0) }))
    }
}

impl Fresh {
    #[inline(always)]
    pub fn room() -> HandleRoom {
        HandleRoom(Unique::room())
    }
    #[inline(always)]
    pub fn core(&mut self) -> &mut Core {
        self.0.core.get_mut()
    }
    #[inline(always)]
    pub fn done(self) -> Tensor {
        Tensor(self.0.share())
    }
}

impl Tensor {
    #[inline(always)]
    pub fn from_core(core: Core) -> Tensor {
        Fresh::room().fill(core).done()
    }
    /// A fresh tensor over an operand, outside every graph.
    #[inline(always)]
    pub fn from_operand(operand: Operand) -> Tensor {
        Tensor::from_core(Core::plain(operand))
    }

    #[inline]
    pub fn operand(&self) -> Operand {
        self.0.core.get().operand.clone()
    }
    pub fn storage(&self) -> Arc<Storage> {
        self.0.core.get().operand.storage.clone()
    }
    pub fn layout(&self) -> Layout {
        self.0.core.get().operand.layout.clone()
    }
    pub fn shape(&self) -> Shape {
        self.0.core.get().operand.layout.shape.clone()
    }
    pub fn rank(&self) -> usize {
        self.0.core.get().operand.layout.rank()
    }
    #[inline]
    pub fn numel(&self) -> usize {
        self.0.core.get().operand.layout.numel()
    }
    #[inline]
    pub fn dtype(&self) -> DType {
        self.0.core.get().operand.dtype
    }
    /// Where its elements are.
    #[inline]
    pub fn device(&self) -> Device {
        if any_away() { self.0.core.get().operand.device() } else { Device::Cpu }
    }
    pub fn is_contiguous(&self) -> bool {
        self.0.core.get().operand.layout.is_contiguous()
    }
    pub fn version(&self) -> u32 {
        self.0.core.get().version()
    }
    pub fn requires_grad(&self) -> bool {
        self.0.core.get().requires_grad
    }
    pub fn has_flag(&self, flag: u8) -> bool {
        self.0.core.get().has(flag)
    }
    pub fn set_flag(&self, flag: u8, on: bool) {
        let mut core = self.0.core.get();
        core.flags = if on { core.flags | flag } else { core.flags & !flag };
    }
    /// Whether no operation of a graph made it.
    pub fn is_leaf(&self) -> bool {
        let core = self.0.core.get();
        core.edge.is_none() || !core.requires_grad
    }
    pub fn grad(&self) -> Option<Tensor> {
        super::capture::touch_grad(self);
        self.0.core.get().grad.clone()
    }
    pub fn set_grad(&self, grad: Option<Tensor>) {
        super::capture::touch_grad(self);
        let old = std::mem::replace(&mut self.0.core.get().grad, grad);
        drop(old);
    }
    #[inline]
    pub fn same(&self, other: &Tensor) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
    /// A number that is this handle's alone while it lives.
    pub fn id(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }
    /// The node that made it, if any.
    pub fn node(&self) -> Option<(Arc<Node>, u32)> {
        self.0.core.get().edge.clone()
    }
    /// Its end of an edge: the node that made it, or itself as a leaf.
    pub fn edge(&self) -> Edge {
        match self.node() {
            Some((node, k)) => Edge::Node(node, k),
            None => Edge::Leaf(self.clone()),
        }
    }

    /// The same storage outside the graph, sharing the count of in-place writes.
    pub fn detach(&self) -> Tensor {
        match self.lift().as_deref() {
            Some(Lift::Dual { primal, .. }) => return primal.detach(),
            Some(Lift::Batch { level, value }) => return Tensor::batch(*level, value.detach()),
            None => {}
        }
        super::capture::touch(self);
        let core = self.0.core.get();
        let mut new = Core::plain(core.operand.clone());
        new.family = core.family.clone();
        new.flags = core.flags & flag::STRICT;
        drop(core);
        Tensor::from_core(new)
    }

    /// The same storage outside the graph, with a count of writes of its own: writes through it are not noticed.
    pub fn data(&self) -> Tensor {
        let new = self.detach();
        new.0.core.get().family = Some(Arc::new(AtomicU32::new(0)));
        new
    }

    /// Puts another tensor's storage under this handle.
    pub fn set_data(&self, other: &Tensor) {
        super::capture::touch(self);
        super::capture::touch(other);
        let operand = other.operand();
        let mut core = self.0.core.get();
        let old = std::mem::replace(&mut core.operand, operand);
        core.family = None;
        core.base = None;
        drop(core);
        drop(old);
    }

    pub fn add_hook(&self, hook: Arc<dyn Hook>, after: bool) -> u64 {
        let mut core = self.0.core.get();
        let hooks = core.extra.get_or_insert_default();
        hooks.next += 1;
        let id = hooks.next;
        if after {
            hooks.after.push((id, hook))
        } else {
            hooks.list.push((id, hook))
        }
        id
    }
    pub fn remove_hook(&self, id: u64) {
        let mut core = self.0.core.get();
        if let Some(hooks) = &mut core.extra {
            hooks.list.retain(|(i, _)| *i != id);
            hooks.after.retain(|(i, _)| *i != id);
        }
    }
    pub(crate) fn hooks(&self, after: bool) -> Vec<Arc<dyn Hook>> {
        let core = self.0.core.get();
        core.extra
            .as_ref()
            .map_or_else(Vec::new, |h| (if after { &h.after } else { &h.list }).iter().map(|(_, hook)| hook.clone()).collect())
    }
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let core = self.0.core.get();
        write!(f, "Tensor{} {}", crate::base::shape::show(&core.operand.layout.shape), core.operand.dtype)
    }
}

impl Tensor {
    /// Notes an in-place write.
    pub fn bump(&self) {
        self.0.core.get().bump();
    }
}
