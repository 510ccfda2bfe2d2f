//! What a node keeps, handed out again: the same elements, in their place in the graph. Leans on record and graph.

use super::record;
use crate::base::{Error, Result, shape};
use crate::graph::mode::{self, Mode};
use crate::graph::node::{Keeps, Rule, freed};
use crate::graph::sym::Sym;
use crate::graph::tensor::{Core, flag};
use crate::graph::{Edge, Kept, Meta, Node, Tensor};
use crate::ops;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Node {
    /// A kept operand as a rule sees it; `alive` says whether it keeps its place in the graph.
    pub(crate) fn unpack(self: &Arc<Node>, kept: &Kept, input: Option<usize>, output: u32, alive: bool) -> Result<Sym> {
        let (operand, version, family) = match kept {
            Kept::Absent => return Ok(Sym::Absent),
            Kept::Number(n) => return Ok(Sym::Number(*n)),
            Kept::Meta(meta) => return Ok(Sym::Meta(meta.clone())),
            Kept::Full(operand, version, family) => (operand, *version, family),
        };
        let now = match family {
            None => operand.storage.version().load(Ordering::Relaxed),
            Some(own) => own.load(Ordering::Relaxed),
        };
        if now != version {
            let which = match input {
                Some(i) => format!("its operand {i}"),
                None => "its result".to_string(),
            };
            return Err(Error::grad(
                "backward",
                format!(
                    "one of the tensors needed for the gradient of {} has been modified by an in-place operation: {which}, {} of shape {}, \
                     is at version {now}; expected version {version}. Write to a copy (x.clone()) or out of place instead",
                    self.name(),
                    operand.dtype,
                    shape::show(&operand.layout.shape)
                ),
            ));
        }
        let mut core = Core::plain(operand.clone());
        core.family.clone_from(family);
        if alive {
            match input.map(|i| self.edges.get(i).and_then(Option::as_ref)) {
                None => {
                    core.edge = Some((self.clone(), output));
                    core.requires_grad = self.requires();
                }
                Some(None) => {}
                Some(Some(Edge::Leaf(leaf))) => {
                    if still(leaf, &core) {
                        return Ok(Sym::Tensor(leaf.clone()));
                    }
                    core.edge = Some((past(leaf, &core), 0));
                    core.requires_grad = true;
                }
                Some(Some(Edge::Node(node, k))) => {
                    // A variable is read anew by each operation; any other tensor is what it was.
                    if let Some(t) = node.source_of()
                        && !t.has_flag(flag::VARIABLE)
                        && still(&t, &core)
                    {
                        return Ok(Sym::Tensor(t));
                    }
                    core.edge = Some((node.clone(), *k));
                    core.requires_grad = node.requires();
                    // What an open tape has recorded with this operand, it goes on recording.
                    if self.serial >= mode::tape_from() {
                        core.flags |= flag::WATCHED;
                    }
                }
            }
        }
        Ok(Sym::Tensor(Tensor::from_core(core)))
    }

    /// The tensors that the derivative reads, for the curious: (is it an input, position, tensor).
    pub fn saved(self: &Arc<Node>) -> Result<Vec<(bool, usize, Tensor)>> {
        let (inputs, outputs) = {
            let kept = self.kept.get();
            if kept.freed {
                return Err(freed(&self.name()));
            }
            (kept.inputs.clone(), kept.outputs.clone())
        };
        let mut list = Vec::new();
        for (i, k) in inputs.iter().enumerate() {
            if let (Kept::Full(..), Sym::Tensor(t)) = (k, self.unpack(k, Some(i), 0, true)?) {
                list.push((true, i, t));
            }
        }
        for (i, k) in outputs.iter().enumerate() {
            if let (Kept::Full(..), Sym::Tensor(t)) = (k, self.unpack(k, None, i as u32, true)?) {
                list.push((false, i, t));
            }
        }
        Ok(list)
    }
}

/// Whether a handle still stands for the elements that were kept of it.
fn still(t: &Tensor, kept: &Core) -> bool {
    let now = t.0.core.get();
    now.edge.is_none() && Arc::ptr_eq(&now.operand.storage, &kept.operand.storage) && now.operand.layout == kept.operand.layout
}

/// A node that leads from elements that a leaf has had to the leaf, which has others by now.
fn past(leaf: &Tensor, kept: &Core) -> Arc<Node> {
    let meta = Kept::Meta(Meta { shape: kept.operand.layout.shape.clone(), dtype: kept.operand.dtype });
    let keeps = Keeps { inputs: [meta.clone()].into_iter().collect(), outputs: [meta].into_iter().collect(), freed: false };
    let edges = [Some(Edge::Leaf(leaf.clone()))].into_iter().collect();
    record::make(Rule::Op(&ops::view::clone_::OP), &[], edges, keeps, 1, 0, Mode::now())
}
