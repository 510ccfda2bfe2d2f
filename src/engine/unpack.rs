//! What a node keeps, handed out again: the same elements, in their place in the graph. Leans on record and graph.

use super::record;
use crate::backend::Operand;
use crate::base::{Error, Result, shape};
use crate::graph::mode::{self, Mode};
use crate::graph::node::{Keeps, Packed, Rule, freed};
use crate::graph::sym::Sym;
use crate::graph::tensor::{Core, flag};
use crate::graph::{Edge, Kept, Meta, Node, Tensor};
use crate::ops;
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Operands and results as a rule sees them.
pub(crate) struct Opened {
    pub ins: SmallVec<[Sym; 2]>,
    pub outs: SmallVec<[Sym; 1]>,
}

impl Node {
    /// All that a rule reads. Where they take no part in a graph, kept elements come without handles; and where nobody
    /// will ask again (`last`), they are taken out, which frees the node.
    pub(crate) fn open(self: &Arc<Node>, alive: bool, last: bool) -> Result<Opened> {
        let mut kept = self.kept.get();
        if kept.freed {
            return Err(freed(&self.name()));
        }
        let packed = self.extra().is_some() && kept.inputs.iter().chain(&kept.outputs).any(is_packed);
        if alive || packed {
            let (mut inputs, mut outputs) = (kept.inputs.clone(), kept.outputs.clone());
            drop(kept);
            if packed {
                inputs.iter_mut().chain(&mut outputs).try_for_each(bring)?;
            }
            if !alive {
                let ins = inputs.iter_mut().map(|k| seen(k, true)).collect();
                let outs = outputs.iter_mut().map(|k| seen(k, true)).collect();
                return Ok(Opened { ins, outs });
            }
            let ins = inputs.iter().enumerate().map(|(i, k)| self.unpack(k, Some(i), 0, true)).collect::<Result<_>>()?;
            let outs = outputs.iter().enumerate().map(|(k, o)| self.unpack(o, None, k as u32, true)).collect::<Result<_>>()?;
            return Ok(Opened { ins, outs });
        }
        let mut opened = Opened { ins: SmallVec::new(), outs: SmallVec::new() };
        let Keeps { inputs, outputs, freed } = &mut *kept;
        for (i, k) in inputs.iter().enumerate() {
            self.check_version(k, Some(i))?;
        }
        for k in outputs.iter() {
            self.check_version(k, None)?;
        }
        for k in inputs.iter_mut() {
            opened.ins.push(seen(k, last));
        }
        for k in outputs.iter_mut() {
            opened.outs.push(seen(k, last));
        }
        let full = |s: &Sym| matches!(s, Sym::Operand(_));
        *freed |= last && opened.ins.iter().chain(&opened.outs).any(full);
        Ok(opened)
    }

    /// An error where the elements have been written since they were kept.
    #[inline]
    fn check_version(&self, kept: &Kept, input: Option<usize>) -> Result<()> {
        let Kept::Full(full) = kept else { return Ok(()) };
        let now = full.family.as_deref().unwrap_or(full.operand.storage.version()).load(Ordering::Relaxed);
        if now == full.version { Ok(()) } else { Err(self.overwritten(&full.operand, full.version, now, input)) }
    }

    #[cold]
    fn overwritten(&self, operand: &Operand, version: u32, now: u32, input: Option<usize>) -> Error {
        let which = match input {
            Some(i) => format!("its operand {i}"),
            None => "its result".to_string(),
        };
        Error::grad(
            "backward",
            format!(
                "one of the tensors needed for the gradient of {} has been modified by an in-place operation: {which}, {} of shape {}, \
                 is at version {now}; expected version {version}. Write to a copy (x.clone()) or out of place instead",
                self.name(),
                operand.dtype,
                shape::show(&operand.layout.shape)
            ),
        )
    }

    /// A kept operand as a rule sees it; `alive` says whether it keeps its place in the graph.
    pub(crate) fn unpack(self: &Arc<Node>, kept: &Kept, input: Option<usize>, output: u32, alive: bool) -> Result<Sym> {
        let (operand, family) = match kept {
            Kept::Absent => return Ok(Sym::Absent),
            Kept::Number(n) => return Ok(Sym::Number(*n)),
            Kept::Meta(meta) => return Ok(Sym::Meta(meta.clone())),
            Kept::Full(full) => (&full.operand, &full.family),
        };
        self.check_version(kept, input)?;
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
        let (mut inputs, mut outputs) = {
            let kept = self.kept.get();
            if kept.freed {
                return Err(freed(&self.name()));
            }
            (kept.inputs.clone(), kept.outputs.clone())
        };
        inputs.iter_mut().chain(&mut outputs).try_for_each(bring)?;
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

fn is_packed(kept: &Kept) -> bool {
    matches!(kept, Kept::Full(full) if full.operand.storage.keeper().is_some())
}

/// Brings elements back that are in somebody's keeping; they must have the form that was given away.
fn bring(kept: &mut Kept) -> Result<()> {
    let Kept::Full(full) = &*kept else { return Ok(()) };
    let Some(keeper) = full.operand.storage.keeper().and_then(|k| k.downcast_ref::<Arc<dyn Packed>>()) else { return Ok(()) };
    let (t, wanted) = (keeper.unpack()?, &full.operand);
    let operand = t.operand();
    if operand.layout.shape != wanted.layout.shape || operand.dtype != wanted.dtype {
        return Err(Error::runtime(
            "saved_tensors_hooks",
            format!(
                "a tensor of shape {} {} was packed, one of shape {} {} was unpacked; they must be alike",
                shape::show(&wanted.layout.shape),
                wanted.dtype,
                shape::show(&operand.layout.shape),
                operand.dtype
            ),
        ));
    }
    *kept = Kept::of(&operand, Some((t.version(), None)));
    Ok(())
}

/// A kept operand without a handle; taken out where it is the last time.
#[inline]
fn seen(kept: &mut Kept, last: bool) -> Sym {
    match kept {
        Kept::Absent => Sym::Absent,
        Kept::Number(n) => Sym::Number(*n),
        Kept::Meta(meta) => Sym::Meta(meta.clone()),
        Kept::Full(full) if !last => Sym::Operand(full.clone()),
        Kept::Full(full) => {
            let form = Kept::of(&full.operand, None);
            match std::mem::replace(kept, form) {
                Kept::Full(full) => Sym::Operand(full),
                _ => Sym::Absent,
            }
        }
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
