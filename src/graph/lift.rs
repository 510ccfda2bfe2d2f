//! What a transformation makes of a tensor, a value with its tangent or one name for many examples, and which
//! transformations are open. Leans on tensor and mode.

use super::Tensor;
use super::mode;
use super::tensor::{Core, flag};
use crate::backend::{Operand, Storage};
use crate::base::{Few, Layout};
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a transformation made of a tensor.
pub enum Lift {
    /// A value, and how it moves with what it was made of.
    Dual { level: u64, primal: Tensor, tangent: Tensor },
    /// One name for many examples, which lie along the first axis of the value.
    Batch { level: u64, value: Tensor },
}

/// What is done about random draws while one name stands for many examples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draws {
    Refused,
    /// Every example gets numbers of its own.
    Different,
    Same,
}

/// A transformation that is open on this thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Dual,
    Batch { count: usize, draws: Draws },
}

/// Of all threads: a tensor may come from another.
static NEXT: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static OPEN: RefCell<Vec<(u64, Kind)>> = const { RefCell::new(Vec::new()) };
    /// How many of them, from the outermost on, look at what is asked now.
    static ACTIVE: Cell<usize> = const { Cell::new(0) };
}

fn activate(count: usize) {
    ACTIVE.set(count);
    mode::set_lifted(count > 0);
}

/// Opens a transformation inside those that are open; levels rise from the outermost to the innermost.
pub fn open(kind: Kind) -> u64 {
    let level = NEXT.fetch_add(1, Ordering::Relaxed);
    let count = OPEN.with_borrow_mut(|list| {
        list.push((level, kind));
        list.len()
    });
    activate(count);
    level
}

/// Closes a transformation, and those inside it.
pub fn close(level: u64) {
    let count = OPEN.with_borrow_mut(|list| {
        list.retain(|(own, _)| *own < level);
        list.len()
    });
    activate(count);
}

/// The transformations that look at what is asked now, the outermost first.
pub fn active() -> Vec<(u64, Kind)> {
    OPEN.with_borrow(|list| list[..ACTIVE.get()].to_vec())
}

fn is_active(level: u64) -> bool {
    OPEN.with_borrow(|list| list[..ACTIVE.get()].iter().any(|(own, _)| *own == level))
}

pub fn kind_of(level: u64) -> Option<Kind> {
    OPEN.with_borrow(|list| list.iter().find(|(own, _)| *own == level).map(|(_, kind)| *kind))
}

/// While it lives, a transformation and those inside it do not look: what they made is taken apart.
pub struct Below(usize);

pub fn below(level: u64) -> Below {
    let old = ACTIVE.get();
    let count = OPEN.with_borrow(|list| list[..old].iter().take_while(|(own, _)| *own < level).count());
    activate(count);
    Below(old)
}

/// While it lives, a transformation and those around it look, whatever was set aside; None where it is closed.
pub fn within(level: u64) -> Option<Below> {
    let count = OPEN.with_borrow(|list| list.iter().position(|(own, _)| *own == level))? + 1;
    let old = ACTIVE.get();
    activate(count);
    Some(Below(old))
}

impl Below {
    /// For those who cannot hold a guard: what it would put back, for `again`.
    pub fn keep(self) -> usize {
        let old = self.0;
        std::mem::forget(self);
        old
    }
    pub fn again(old: usize) -> Below {
        Below(old)
    }
}

impl Drop for Below {
    fn drop(&mut self) {
        activate(self.0);
    }
}

impl Lift {
    pub fn level(&self) -> u64 {
        match self {
            Lift::Dual { level, .. } | Lift::Batch { level, .. } => *level,
        }
    }
}

impl Tensor {
    /// What the innermost open transformation made of this tensor.
    pub fn lift(&self) -> Option<Arc<Lift>> {
        let core = self.0.core.get();
        let lift = if core.has(flag::LIFTED) { core.extra.as_ref().and_then(|e| e.lift.clone()) } else { None };
        drop(core);
        lift.filter(|lift| is_active(lift.level()))
    }

    /// A value that moves along a tangent; the tangent has the value's shape and dtype.
    pub fn dual(level: u64, primal: Tensor, tangent: Tensor) -> Tensor {
        let operand = primal.operand();
        Tensor::lifting(operand, Lift::Dual { level, primal, tangent })
    }

    /// One name for the examples along the first axis of a value.
    pub fn batch(level: u64, value: Tensor) -> Tensor {
        let Operand { storage, layout, dtype } = value.operand();
        let rest = |list: &Few<usize>| list.iter().skip(1).copied().collect::<Few<usize>>();
        let strides = layout.strides.iter().skip(1).copied().collect();
        let layout = Layout::new(rest(&layout.shape), strides, layout.offset);
        let storage = Arc::new(Storage::nowhere(storage.device()));
        Tensor::lifting(Operand { storage, layout, dtype }, Lift::Batch { level, value })
    }

    /// The same values and tangents outside of the graph; unlike `detach` it still moves with what it was made of.
    pub fn out_of_graph(&self) -> Tensor {
        match self.lift().as_deref() {
            Some(Lift::Dual { level, primal, tangent }) => Tensor::dual(*level, primal.out_of_graph(), tangent.out_of_graph()),
            Some(Lift::Batch { level, value }) => Tensor::batch(*level, value.out_of_graph()),
            None => self.detach(),
        }
    }

    /// Whether it is one name for elements that differ from example to example.
    pub fn is_differing(&self) -> bool {
        self.0.core.get().operand.storage.is_nowhere()
    }

    /// The plain tensor of all its values, whatever transformations made of it.
    pub fn values(&self) -> Tensor {
        match self.lift().as_deref() {
            Some(Lift::Dual { primal, .. }) => primal.values(),
            Some(Lift::Batch { value, .. }) => value.values(),
            None => self.clone(),
        }
    }

    fn lifting(operand: Operand, lift: Lift) -> Tensor {
        let t = Tensor::from_core(Core::plain(operand));
        t.set_lift(lift);
        t
    }

    /// Puts something else under a lifted handle, or nothing: it stands still from now on.
    pub(crate) fn relift(&self, lift: Option<Arc<Lift>>) {
        let mut core = self.0.core.get();
        let old = match (lift, &mut core.extra) {
            (Some(lift), Some(extra)) => extra.lift.replace(lift),
            (None, Some(extra)) => extra.lift.take(),
            _ => None,
        };
        if core.extra.as_ref().is_some_and(|e| e.lift.is_none()) {
            core.flags &= !flag::LIFTED;
        }
        drop(core);
        drop(old);
    }

    /// Puts what a transformation made of it under a handle.
    pub(crate) fn set_lift(&self, lift: Lift) {
        let mut core = self.0.core.get();
        core.flags |= flag::LIFTED;
        let old = core.extra.get_or_insert_default().lift.replace(Arc::new(lift));
        drop(core);
        drop(old);
    }
}
