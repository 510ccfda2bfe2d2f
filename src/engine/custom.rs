//! Rules of the user's own: their nodes, and what they keep for their backward without making a cycle. Leans on record.

use super::record::{Look, make};
use crate::base::{Error, Result};
use crate::graph::mode::Mode;
use crate::graph::node::{Dynamic, Keeps, Node, Rule};
use crate::graph::sym::Sym;
use crate::graph::{Edge, Kept, Meta, Pair, Tensor};
use std::sync::Arc;

/// Makes the node of a user's own rule and puts it under its results.
pub fn attach_dynamic(
    rule: Arc<dyn Dynamic>,
    looks: &[Option<Look>],
    outs: &[Tensor],
    skip: &dyn Fn(&Tensor) -> bool,
    mode: Mode,
) -> Result<Arc<Node>> {
    let (mut edges, mut inputs, mut serial, mut requires) = (Pair::new(), Pair::new(), 0, false);
    for look in looks {
        match look {
            None => {
                edges.push(None);
                inputs.push(Kept::Absent);
            }
            Some(look) => {
                serial = serial.max(look.serial);
                requires |= look.requires && mode.grad();
                edges.push(if look.operand.dtype.is_inexact() { look.edge.clone() } else { None });
                inputs.push(Kept::Meta(Meta { shape: look.operand.layout.shape.clone(), dtype: look.operand.dtype }));
            }
        }
    }
    let outputs = outs.iter().map(|t| Kept::Meta(Meta { shape: t.shape(), dtype: t.dtype() })).collect();
    let node = make(Rule::Dynamic(rule), &[], edges, Keeps { inputs, outputs, freed: false }, outs.len(), serial, mode);
    for (k, t) in outs.iter().enumerate() {
        let mut core = t.0.core.get();
        if core.operand.dtype.is_inexact() && !skip(t) {
            let old = core.edge.replace((node.clone(), k as u32));
            core.requires_grad = requires;
            drop(core);
            drop(old);
        }
    }
    Ok(node)
}

/// Tensors that a user's rule keeps: none of them holds the node, so no cycle is made.
pub struct Saved {
    node: std::sync::Weak<Node>,
    list: Vec<Option<(Kept, Place)>>,
}

/// Where a kept tensor comes from, and so where its gradient goes.
enum Place {
    Input(usize),
    Output(u32),
    Other(Option<Edge>, bool),
}

impl Saved {
    pub fn keep(node: &Arc<Node>, looks: &[Option<Look>], inputs: &[Option<Tensor>], outs: &[Tensor], saved: Vec<Option<Tensor>>) -> Saved {
        let list = saved
            .into_iter()
            .map(|t| {
                t.map(|t| {
                    let (operand, version, family, edge, requires) = {
                        let core = t.0.core.get();
                        let edge = core.edge.clone().map(|(n, k)| Edge::Node(n, k));
                        (core.operand.clone(), core.version(), core.family.clone(), edge, core.requires_grad)
                    };
                    let input = inputs.iter().position(|x| x.as_ref().is_some_and(|x| x.same(&t)));
                    let output = outs.iter().position(|x| x.same(&t));
                    let place = match (output, input) {
                        (Some(k), _) => Place::Output(k as u32),
                        (None, Some(i)) if looks[i].as_ref().is_some_and(|l| l.edge.is_some()) => Place::Input(i),
                        _ if requires => Place::Other(Some(edge.unwrap_or(Edge::Leaf(t))), true),
                        _ => Place::Other(None, false),
                    };
                    (Kept::of(&operand, Some((version, family))), place)
                })
            })
            .collect();
        Saved { node: Arc::downgrade(node), list }
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The kept tensors, each with its place in the graph; an overwritten one is refused.
    pub fn unpack(&self) -> Result<Vec<Option<Tensor>>> {
        let Some(node) = self.node.upgrade() else {
            return Err(Error::grad("saved_tensors", "the graph of this function is gone"));
        };
        self.list
            .iter()
            .map(|entry| {
                let Some((kept, place)) = entry else { return Ok(None) };
                let sym = match place {
                    Place::Input(i) => node.unpack(kept, Some(*i), 0, true)?,
                    Place::Output(k) => node.unpack(kept, None, *k, true)?,
                    Place::Other(edge, requires) => match edge {
                        Some(Edge::Leaf(leaf)) => {
                            node.unpack(kept, None, 0, false)?;
                            Sym::Tensor(leaf.clone())
                        }
                        Some(Edge::Node(n, k)) => {
                            let sym = node.unpack(kept, None, 0, false)?;
                            {
                                let mut core = sym.tensor().0.core.get();
                                core.edge = Some((n.clone(), *k));
                                core.requires_grad = *requires;
                            }
                            sym
                        }
                        None => node.unpack(kept, None, 0, false)?,
                    },
                };
                Ok(Some(sym.tensor().clone()))
            })
            .collect()
    }
}
