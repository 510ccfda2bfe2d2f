//! Which tensors a recorded step reaches that it did not make, and what they were when it reached them. Leans on tensor and
//! on the backend's trace.

use super::Tensor;
use super::mode::Mode;
use super::tensor::{Core, Hooked};
use crate::backend::trace;
use crate::base::{DType, Layout};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

/// A tensor from outside as it was at first.
pub struct Touched {
    pub tensor: Tensor,
    /// The address of its storage.
    pub storage: usize,
    pub layout: Layout,
    pub dtype: DType,
    pub requires_grad: bool,
    pub flags: u8,
    pub grad: Option<Tensor>,
    /// The hooks that look at its gradient.
    pub hooked: Hooked,
    /// Whether its gradient was asked for or changed.
    pub grad_met: bool,
    /// Whether it was computed from others that want a gradient.
    pub computed: bool,
}

#[derive(Default)]
struct Capture {
    /// Nodes below this serial were made before.
    serial: u64,
    list: Vec<Touched>,
    index: HashMap<usize, usize>,
    storages: HashSet<usize>,
}

thread_local! {
    static CAPTURE: RefCell<Option<Capture>> = const { RefCell::new(None) };
}

/// Listens from this serial on.
pub fn start(serial: u64) {
    CAPTURE.set(Some(Capture { serial, ..Capture::default() }));
}
/// Those that want a gradient, so far.
pub fn wanting() -> Vec<Tensor> {
    CAPTURE.with_borrow(|c| {
        let list = c.iter().flat_map(|c| &c.list);
        list.filter(|t| t.requires_grad && t.dtype.is_inexact()).map(|t| t.tensor.clone()).collect()
    })
}
pub fn stop() -> Vec<Touched> {
    CAPTURE.take().map_or_else(Vec::new, |c| c.list)
}

/// Notes a tensor whose elements are met. One whose storage is known by another counts if it wants a gradient of its own.
#[cold]
pub(crate) fn meet(t: &Tensor, core: &Core) {
    let at = core.operand.storage.address();
    let known = CAPTURE.with_borrow(|c| {
        c.as_ref().is_none_or(|c| {
            let from_outside = core.edge.as_ref().is_none_or(|(node, _)| node.serial < c.serial);
            c.storages.contains(&at) && !(core.requires_grad && from_outside)
        })
    });
    if !known {
        enter(t, core);
    }
}

#[cold]
pub(crate) fn enter(t: &Tensor, core: &Core) {
    let Some(serial) = CAPTURE.with_borrow(|c| c.as_ref().map(|c| c.serial)) else { return };
    if trace::is_born(&core.operand.storage) {
        return;
    }
    // A view that the step took is none of those from outside: what it is a view of may be.
    if let (Some(base), Some((node, _))) = (&core.base, &core.edge)
        && node.serial >= serial
    {
        return enter(base, &base.0.core.get());
    }
    // Nor is one outside the graph of a tensor that is known.
    let known = |base: &Tensor| CAPTURE.with_borrow(|c| c.as_ref().is_some_and(|c| c.index.contains_key(&base.id())));
    if core.edge.is_none() && !core.requires_grad && core.base.as_ref().is_some_and(known) {
        return;
    }
    note(t, core);
}

/// Notes a tensor as one of those from outside.
fn note(t: &Tensor, core: &Core) {
    trace::keep(&core.operand.storage);
    CAPTURE.with_borrow_mut(|c| {
        let Some(capture) = c else { return };
        if capture.index.contains_key(&t.id()) {
            return;
        }
        let at = core.operand.storage.address();
        capture.storages.insert(at);
        capture.index.insert(t.id(), capture.list.len());
        capture.list.push(Touched {
            tensor: t.clone(),
            storage: at,
            layout: core.operand.layout.clone(),
            dtype: core.operand.dtype,
            requires_grad: core.requires_grad,
            flags: core.flags,
            grad: core.grad.clone(),
            hooked: core.hooked(),
            grad_met: false,
            computed: core.edge.is_some() && core.requires_grad,
        });
    });
}

/// Notes an argument, be it a view of another.
pub fn take(t: &Tensor) {
    note(t, &t.0.core.get());
}

/// Notes a tensor whose own facts (its elements, its gradient) are about to be used or changed.
#[inline]
pub fn touch(t: &Tensor) {
    if Mode::now().traced() {
        enter(t, &t.0.core.get());
    }
}

/// Notes a tensor that a step returns and has not met in another way.
pub fn touch_whole(t: &Tensor) {
    let core = t.0.core.get();
    let at = core.operand.storage.address();
    let known = CAPTURE.with_borrow(|c| c.as_ref().is_none_or(|c| c.storages.contains(&at)));
    if !known && core.base.is_none() {
        enter(t, &core);
    }
}

/// Notes a tensor whose gradient is asked for or about to be changed.
#[inline]
pub fn touch_grad(t: &Tensor) {
    if Mode::now().traced() {
        enter(t, &t.0.core.get());
        CAPTURE.with_borrow_mut(|c| {
            if let Some(capture) = c
                && let Some(&k) = capture.index.get(&t.id())
            {
                capture.list[k].grad_met = true;
            }
        });
    }
}
