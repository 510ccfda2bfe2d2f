//! Recording intervals: what a GradientTape remembers, on the same graph as everything else. Leans on graph and backward.

use super::backward::{self, Plan};
use crate::base::{Error, Lock, Result};
use crate::graph::node::Node;
use crate::graph::tensor::flag;
use crate::graph::{Edge, Tensor, mode};
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
        for tape in open {
            tape.state.get().nodes.push(node.clone());
        }
    });
}

fn refresh(open: &[Arc<Tape>]) {
    mode::set_tape(open.iter().filter_map(|t| t.state.get().open).min());
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
        drop(old);
    }

    /// Forgets the nodes, keeps what is watched.
    pub fn release(&self) {
        let mut state = self.state.get();
        let nodes = std::mem::take(&mut state.nodes);
        drop(state);
        drop(nodes);
    }

    fn add(&self, t: &Tensor) {
        let mut state = self.state.get();
        if !state.watched.iter().any(|w| w.same(t)) {
            state.watched.push(t.clone());
        }
    }

    /// Has operations on a tensor recorded from now on, for this tape.
    pub fn watch(&self, t: &Tensor) {
        if t.node().is_none() {
            t.set_flag(flag::WATCHED, true);
        }
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
        let on_tape = |t: &Tensor| match t.node() {
            Some((node, _)) => inside(&node),
            None => watched.iter().any(|w| w.same(t)) || t.requires_grad(),
        };
        let mut roots = Vec::new();
        for (t, seed) in targets.iter().zip(seeds) {
            if !t.dtype().is_float() || !on_tape(t) {
                continue;
            }
            let cotangent = match seed {
                Some(given) => backward::seed("gradient", t, Some(given))?,
                None => backward::filled(&t.shape(), t.dtype(), 1.0)?,
            };
            if t.has_flag(flag::STRICT) {
                cotangent.set_flag(flag::STRICT, true);
            }
            roots.push((t.edge(), cotangent));
        }
        // A source watched while it had a node of its own is found by that node.
        let ends: Vec<Edge> = sources.iter().map(Tensor::edge).collect();
        let connected: Vec<bool> = sources.iter().map(|s| on_tape(s) || s.node().is_some()).collect();
        let create = mode::Mode::now().tape();
        let found = backward::run(&roots, &Plan { retain: true, create, ends: Some(&ends), inside: Some(&inside) })?;
        Ok(found.into_iter().zip(connected).map(|(g, yes)| g.filter(|_| yes)).collect())
    }
}
