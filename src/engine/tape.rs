//! Recording intervals: what a GradientTape remembers, on the same graph as everything else. Leans on graph and backward.

use super::backward::{self, Plan};
use crate::base::{Error, Lock, Result};
use crate::graph::node::Node;
use crate::graph::tensor::flag;
use crate::graph::{Edge, Tensor, mode};
use crate::ops;
use std::cell::RefCell;
use std::sync::Arc;

/// A tape: the nodes recorded while it was open, and the tensors that it watches.
pub struct Tape {
    state: Lock<State>,
    persistent: bool,
    watch_accessed: bool,
}

#[derive(Default)]
struct State {
    /// Half-open ranges of serials of this thread.
    spans: Vec<(u64, u64)>,
    open: Option<u64>,
    nodes: Vec<Arc<Node>>,
    watched: Vec<Tensor>,
}

thread_local! {
    static OPEN: RefCell<Vec<Arc<Tape>>> = const { RefCell::new(Vec::new()) };
}

/// Tells the open tapes of this thread that a variable was read.
pub(crate) fn touch(t: &Tensor) {
    OPEN.with_borrow(|open| {
        for tape in open.iter().filter(|tape| tape.watch_accessed) {
            tape.add(t);
        }
    });
}

/// Tells them that an operation was recorded.
pub(crate) fn note(node: &Arc<Node>) {
    OPEN.with_borrow(|open| {
        node.hold(open.len() as u32);
        for tape in open {
            tape.state.get().nodes.push(node.clone());
        }
    });
}

/// Says how far back the open tapes' recordings reach.
fn refresh(open: &[Arc<Tape>]) {
    mode::set_tape(open.iter().filter_map(|t| t.state.get().first()).min());
}

impl State {
    /// Where its first interval began.
    fn first(&self) -> Option<u64> {
        self.spans.first().map(|&(from, _)| from).or(self.open)
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        self.release();
    }
}

impl Tape {
    pub fn new(persistent: bool, watch_accessed: bool) -> Arc<Tape> {
        Arc::new(Tape { state: Lock::default(), persistent, watch_accessed })
    }
    pub fn is_persistent(&self) -> bool {
        self.persistent
    }

    /// Opens a recording interval on this thread.
    pub fn start(self: &Arc<Tape>) -> Result<()> {
        {
            let mut state = self.state.get();
            if state.open.is_some() {
                return Err(Error::value("GradientTape", "the tape is still recording; leave its `with` block before entering it again"));
            }
            state.open = Some(mode::peek_serial());
        }
        OPEN.with_borrow_mut(|open| {
            open.push(self.clone());
            refresh(open);
        });
        Ok(())
    }

    /// Closes the interval; harmless where none is open.
    pub fn stop(self: &Arc<Tape>) {
        let found = OPEN.with_borrow_mut(|open| {
            let at = open.iter().rposition(|t| Arc::ptr_eq(t, self));
            let gone = at.map(|at| open.remove(at));
            {
                let mut state = self.state.get();
                if let Some(from) = state.open.take() {
                    state.spans.push((from, mode::peek_serial()));
                }
            }
            refresh(open);
            gone
        });
        drop(found);
    }

    pub fn is_open(&self) -> bool {
        self.state.get().open.is_some()
    }

    /// Forgets what was recorded and watched; an open interval begins anew.
    pub fn reset(&self) {
        let mut state = self.state.get();
        let old = std::mem::take(&mut *state);
        state.open = old.open.map(|_| mode::peek_serial());
        drop(state);
        old.nodes.iter().for_each(|n| n.unhold());
        OPEN.with_borrow(|open| refresh(open));
    }

    /// Forgets the nodes and what they alone keep alive; keeps what is watched.
    pub fn release(&self) {
        let nodes = std::mem::take(&mut self.state.get().nodes);
        nodes.iter().for_each(|n| n.unhold());
    }

    fn add(&self, t: &Tensor) {
        let mut state = self.state.get();
        if !state.watched.iter().any(|w| w.same(t)) {
            state.watched.push(t.clone());
        }
    }

    /// Has operations on a tensor recorded from now on, for this tape.
    pub fn watch(&self, t: &Tensor) {
        t.set_flag(flag::WATCHED, true);
        self.add(t);
    }
    pub fn watched(&self) -> Vec<Tensor> {
        self.state.get().watched.clone()
    }
    pub fn nodes(&self) -> Vec<Arc<Node>> {
        self.state.get().nodes.clone()
    }

    /// The gradients of the targets' sum at each source; None where nothing connects them on this tape.
    pub fn gradient(&self, targets: &[Tensor], sources: &[Tensor], seeds: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        let (spans, watched) = {
            let state = self.state.get();
            let mut spans = state.spans.clone();
            spans.extend(state.open.map(|from| (from, u64::MAX)));
            (spans, state.watched.clone())
        };
        let inside = |n: &Node| spans.iter().any(|&(from, to)| n.serial >= from && n.serial < to);
        let known = |t: &Tensor| watched.iter().any(|w| w.same(t)) || t.requires_grad();
        let on_tape = |t: &Tensor| t.node().map_or_else(|| known(t), |(node, _)| inside(&node) || known(t));
        let mut roots = Vec::new();
        for (t, seed) in targets.iter().zip(seeds) {
            if !t.dtype().is_inexact() || !on_tape(t) {
                continue;
            }
            let cotangent = match seed {
                Some(given) => backward::seed("gradient", t, Some(given))?,
                None => backward::filled_on(t.device(), &t.shape(), t.dtype(), 1.0)?,
            };
            if t.has_flag(flag::STRICT) {
                cotangent.set_flag(flag::STRICT, true);
            }
            roots.push((t.edge(), cotangent));
        }
        // What no operation made is found at its source, or as a leaf where it is itself a target or requires grad.
        let mut ends: Vec<Edge> = sources.iter().map(Tensor::edge).collect();
        let mut second = vec![None; sources.len()];
        for (place, s) in second.iter_mut().zip(sources).filter(|(_, s)| s.node().is_none()) {
            if let Some(source) = s.0.core.get().source.clone() {
                *place = Some(ends.len());
                ends.push(Edge::Node(source, 0));
            }
        }
        let create = mode::Mode::now().tape();
        let found = backward::run(&roots, &Plan { retain: true, create, ends: Some(&ends), inside: Some(&inside), silent: false })?;
        let _grad = mode::GradGuard::set(create);
        let sum = |(i, s): (usize, &Tensor)| match (found[i].clone(), second[i].and_then(|k| found[k].clone())) {
            _ if !on_tape(s) => Ok(None),
            (Some(a), Some(b)) => ops::arith::add(&a, &b).map(Some),
            (a, b) => Ok(a.or(b)),
        };
        sources.iter().enumerate().map(sum).collect()
    }
}
