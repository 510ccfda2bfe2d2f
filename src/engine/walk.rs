//! The reverse walk's memory: where gradients gather, without recursion and without hashing. Leans on graph and ops.

use crate::base::{Error, Result};
use crate::graph::{Edge, Pair, Tensor};
use crate::ops;
use smallvec::SmallVec;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Elements from which a node is worth letting other threads run.
const LONG: usize = 1 << 14;

static WALKS: AtomicU32 = AtomicU32::new(1);

/// A place where gradients gather: a node's outputs, or a leaf. Left empty once they have been passed on.
pub(crate) struct Slot {
    at: Option<Edge>,
    grads: Pair<Option<Tensor>>,
}

pub(crate) struct Walk {
    id: u32,
    slots: Vec<Slot>,
    /// Slots of nodes that another walk has claimed.
    elsewhere: HashMap<usize, usize>,
    pub heap: BinaryHeap<(u64, usize)>,
    pub leaves: SmallVec<[usize; 8]>,
}

pub(crate) fn address(edge: &Edge) -> usize {
    match edge {
        Edge::Node(node, _) => Arc::as_ptr(node) as usize,
        Edge::Leaf(t) => t.id(),
    }
}

/// Where an end of an edge says which walk has claimed it, and its slot there.
fn cell(edge: &Edge) -> &AtomicU64 {
    match edge {
        Edge::Node(node, _) => &node.slot,
        Edge::Leaf(t) => &t.0.slot,
    }
}

impl Walk {
    pub fn new() -> Walk {
        let mut id = WALKS.fetch_add(1, Ordering::Relaxed);
        if id == 0 {
            id = WALKS.fetch_add(1, Ordering::Relaxed);
        }
        Walk { id, slots: Vec::with_capacity(8), elsewhere: HashMap::new(), heap: BinaryHeap::with_capacity(4), leaves: SmallVec::new() }
    }

    fn slot(&mut self, edge: &Edge) -> usize {
        let cell = cell(edge);
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
        self.slots.push(Slot { at: Some(edge.clone()), grads: Pair::new() });
        match edge {
            Edge::Node(node, _) => self.heap.push((node.serial, index)),
            Edge::Leaf(_) => self.leaves.push(index),
        }
        index
    }

    /// Adds a gradient to what has come to an end of an edge so far.
    pub fn add(&mut self, edge: &Edge, grad: Tensor) -> Result<()> {
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

    /// What has come to an end of an edge so far.
    pub fn sum(&self, edge: &Edge) -> Option<&Tensor> {
        let found = cell(edge).load(Ordering::Acquire);
        let k = if let Edge::Node(_, k) = edge { *k as usize } else { 0 };
        let slot = self.slots.get((found & 0xffff_ffff) as usize).filter(|_| found >> 32 == u64::from(self.id))?;
        slot.grads.get(k)?.as_ref()
    }

    /// Whether the next node has much to do.
    #[inline]
    pub fn is_long(&self) -> bool {
        let Some(&(_, index)) = self.heap.peek() else { return false };
        let slot = &self.slots[index];
        slot.grads.iter().flatten().any(|g| g.numel() >= LONG) || matches!(&slot.at, Some(Edge::Node(node, _)) if node.largest >= LONG)
    }

    /// Takes a slot's place and gradients; the place may be claimed by other walks from now on.
    pub fn take(&mut self, index: usize) -> (Option<Edge>, Pair<Option<Tensor>>) {
        let slot = &mut self.slots[index];
        if let Some(edge) = &slot.at {
            leave(self.id, edge);
        }
        (slot.at.take(), std::mem::take(&mut slot.grads))
    }
}

fn leave(id: u32, edge: &Edge) {
    let cell = cell(edge);
    if cell.load(Ordering::Relaxed) >> 32 == u64::from(id) {
        cell.store(0, Ordering::Release);
    }
}

impl Drop for Walk {
    fn drop(&mut self) {
        for edge in self.slots.iter().filter_map(|slot| slot.at.as_ref()) {
            leave(self.id, edge);
        }
    }
}
