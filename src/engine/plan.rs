//! Reverse walks that come again: a small graph of a form that was met before is walked by a program that was made of the first
//! such walk. Leans on backward, and on the backend's trace and programs.

use super::backward;
use super::replay::Ends;
use crate::backend::program::{Filled, Heard, Program};
use crate::backend::{Operand, trace};
use crate::base::memory::Guard;
use crate::base::shape::Shape;
use crate::base::{DType, Layout, Number, Result};
use crate::graph::mode::{self, Mode};
use crate::graph::node::{Keeps, Node, Rule};
use crate::graph::tensor::Core;
use crate::graph::{Arg, Edge, Kept, Op, Tensor};
use smallvec::SmallVec;
use std::cell::RefCell;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Nodes of a graph that is small, and elements of its largest operand.
const NODES: usize = 64;
const LARGEST: usize = 1 << 12;
/// Plans that a thread keeps, and marks of graphs that it remembers.
const PLANS: usize = 8;
const MARKS: usize = 16;
/// Plans made for one mark before it is given up.
const TRIES: u8 = 3;

/// What a node keeps of an operand, without its elements.
#[derive(PartialEq)]
enum Form {
    Absent,
    Number(Number),
    Meta(Shape, DType),
    Full(Layout, DType),
}

/// Where a gradient goes: another node of the plan, or a leaf.
#[derive(Clone, Copy, PartialEq)]
enum To {
    Nowhere,
    Node(usize, u32),
    Leaf(usize),
}

/// One node as it must be.
struct Stop {
    op: *const Op,
    args: Box<[Arg]>,
    outputs: u32,
    to: SmallVec<[To; 2]>,
    ins: SmallVec<[Form; 2]>,
    outs: SmallVec<[Form; 1]>,
}

/// Where the program finds an operand.
enum Source {
    In(usize, usize),
    Out(usize, usize),
    Grad(usize),
}

/// A leaf: whether it had a gradient, and else the storage that becomes one.
struct End {
    had: bool,
    made: Option<Filled>,
}

/// A walk that can be done again.
struct Plan {
    k: u32,
    stops: Vec<Stop>,
    ends: Vec<End>,
    sources: Vec<Source>,
    program: Program,
}

/// A graph's mark, how often it was met, and how many plans were made for it.
struct Mark {
    mark: usize,
    met: u8,
    made: u8,
}

#[derive(Default)]
#[expect(clippy::vec_box, reason = "a plan is large, and is taken out and put back at each walk")]
struct Memory {
    plans: Vec<Box<Plan>>,
    marks: Vec<Mark>,
}

thread_local! {
    static MEMORY: RefCell<Memory> = const { RefCell::new(Memory { plans: Vec::new(), marks: Vec::new() }) };
}

impl Form {
    fn of(kept: &Kept) -> Form {
        match kept {
            Kept::Absent => Form::Absent,
            Kept::Number(n) => Form::Number(*n),
            Kept::Meta(m) => Form::Meta(m.shape.clone(), m.dtype),
            Kept::Full(f) => Form::Full(f.operand.layout.clone(), f.operand.dtype),
        }
    }
    /// Whether an operand has this form, and its elements are those that were kept.
    #[inline(always)]
    fn fits(&self, kept: &Kept) -> bool {
        match (self, kept) {
            (Form::Meta(shape, dtype), Kept::Meta(m)) => m.dtype == *dtype && m.shape == *shape,
            (Form::Full(layout, dtype), Kept::Full(f)) => {
                let own = &f.operand;
                let now = f.family.as_deref().unwrap_or(own.storage.version()).load(Ordering::Relaxed);
                own.dtype == *dtype && own.layout.lies_like(layout) && now == f.version
            }
            (Form::Number(n), Kept::Number(m)) => same_number(*n, *m),
            (Form::Absent, Kept::Absent) => true,
            _ => false,
        }
    }
}

/// A number that graphs of one form share, and few others: the operations along their first edges.
#[inline]
fn mark_of(root: &Node) -> Option<usize> {
    let (mut node, mut mark) = (root, 0usize);
    for _ in 0..NODES {
        let Rule::Op(op) = &node.rule else { return None };
        if node.largest > LARGEST {
            return None;
        }
        mark = (mark ^ std::ptr::from_ref::<Op>(op) as usize ^ node.largest).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
        match node.edges.iter().flatten().next() {
            Some(Edge::Node(next, _)) => node = next,
            _ => return Some(mark),
        }
    }
    None
}

/// `root.backward()` by a plan, or by the first walk of which one is made; None where the graph is none of ours.
#[inline]
pub fn attempt(root: &Arc<Node>, k: u32) -> Option<Result<()>> {
    if !Mode::now().is_plain() || root.outputs != 1 {
        return None;
    }
    let mark = mark_of(root)?;
    let fit = MEMORY.with_borrow_mut(|memory| {
        let at = memory.plans.iter().rposition(|p| std::ptr::eq(p.stops[0].op, op_of(root)) && p.stops.len() <= NODES)?;
        // The last one used is nearly always the one.
        let order = (0..=at).rev();
        order
            .filter_map(|i| memory.plans[i].follow(root, k).map(|found| (i, found)))
            .next()
            .map(|(i, found)| (memory.plans.remove(i), found))
    });
    if let Some((mut plan, found)) = fit {
        let done = plan.walk(found);
        MEMORY.with_borrow_mut(|memory| memory.plans.push(plan));
        return done;
    }
    let again = MEMORY.with_borrow_mut(|memory| memory.again(mark));
    if again { learn(root, k) } else { None }
}

fn op_of(node: &Node) -> *const Op {
    match &node.rule {
        Rule::Op(op) => std::ptr::from_ref::<Op>(op),
        Rule::Dynamic(_) => std::ptr::null(),
    }
}

impl Memory {
    /// Counts a graph; whether a plan shall be made of this walk.
    fn again(&mut self, mark: usize) -> bool {
        let at = match self.marks.iter().position(|m| m.mark == mark) {
            Some(at) => at,
            None => {
                if self.marks.len() == MARKS {
                    self.marks.remove(0);
                }
                self.marks.push(Mark { mark, met: 0, made: 0 });
                self.marks.len() - 1
            }
        };
        let own = &mut self.marks[at];
        own.met = own.met.saturating_add(1);
        if own.met < 2 || own.made >= TRIES {
            return false;
        }
        own.made += 1;
        true
    }
}

/// A graph found to be of a plan's form: what its nodes keep, held until the walk is done, and its leaves.
struct Found<'a> {
    kept: SmallVec<[Guard<'a, Keeps>; 8]>,
    leaves: SmallVec<[&'a Tensor; 4]>,
    /// The gradients that leaves have.
    grads: SmallVec<[Option<Tensor>; 4]>,
}

impl Plan {
    /// Goes along a graph's edges and asks whether all is as it was.
    fn follow<'a>(&self, root: &'a Arc<Node>, k: u32) -> Option<Found<'a>> {
        if self.k != k || self.stops[0].op != op_of(root) {
            return None;
        }
        let mut found = Found { kept: SmallVec::new(), leaves: SmallVec::new(), grads: SmallVec::new() };
        let mut nodes: SmallVec<[Option<&'a Arc<Node>>; 8]> = SmallVec::from_elem(None, self.stops.len());
        nodes[0] = Some(root);
        let mut below = u64::MAX;
        for (i, stop) in self.stops.iter().enumerate() {
            let node = nodes[i]?;
            let same = op_of(node) == stop.op
                && node.serial < below
                && node.outputs == stop.outputs
                && node.edges.len() == stop.to.len()
                && same_args(&node.args, &stop.args)
                && node.extra().is_none();
            if !same {
                return None;
            }
            below = node.serial;
            for (edge, to) in node.edges.iter().zip(&stop.to) {
                match (edge, *to) {
                    (None, To::Nowhere) => {}
                    (Some(Edge::Node(next, k)), To::Node(j, l)) if *k == l => match nodes[j] {
                        None => nodes[j] = Some(next),
                        Some(known) if Arc::ptr_eq(known, next) => {}
                        Some(_) => return None,
                    },
                    (Some(Edge::Leaf(leaf)), To::Leaf(j)) if j < found.leaves.len() && found.leaves[j].same(leaf) => {}
                    (Some(Edge::Leaf(leaf)), To::Leaf(j)) if j == found.leaves.len() && found.is_new(leaf, &self.ends[j]) => {}
                    _ => return None,
                }
            }
            let kept = node.kept.get();
            let fits = !kept.freed
                && kept.inputs.len() == stop.ins.len()
                && kept.outputs.len() == stop.outs.len()
                && stop.ins.iter().zip(&kept.inputs).all(|(form, kept)| form.fits(kept))
                && stop.outs.iter().zip(&kept.outputs).all(|(form, kept)| form.fits(kept));
            if !fits {
                return None;
            }
            found.kept.push(kept);
        }
        Some(found)
    }

    /// Runs the program over what the nodes keep, which are free after it; None where it does not fit after all.
    fn walk(&mut self, mut found: Found) -> Option<Result<()>> {
        let held: SmallVec<[Option<Guard<Core>>; 4]> = found.grads.iter().map(|g| g.as_ref().map(|g| g.0.core.get())).collect();
        let mut ins: SmallVec<[&Operand; 8]> = SmallVec::new();
        for source in &self.sources {
            ins.push(match source {
                Source::In(i, j) => operand(&found.kept[*i].inputs[*j])?,
                Source::Out(i, j) => operand(&found.kept[*i].outputs[*j])?,
                Source::Grad(k) => &held[*k].as_ref()?.operand,
            });
        }
        let outs = self.program.rooms().ok()?;
        if let Err(error) = self.program.bind(&ins)?.run(&outs) {
            return Some(Err(error));
        }
        drop(ins);
        for mut grad in held.into_iter().flatten() {
            grad.bump();
            grad.seen = grad.version();
        }
        for (leaf, end) in found.leaves.iter().zip(&self.ends) {
            if let Some(own) = &end.made
                && let Err(error) = backward::accumulate(leaf, Tensor::from_operand(own.within(&outs)), false)
            {
                return Some(Err(error));
            }
        }
        // The elements are taken out of the nodes, as by any walk that does not retain the graph; they are dropped when no
        // lock is held any more, since what they are of may be the host's.
        let mut gone: SmallVec<[Kept; 8]> = SmallVec::new();
        for kept in &mut found.kept {
            let Keeps { inputs, outputs, freed } = &mut **kept;
            let before = gone.len();
            inputs.iter_mut().chain(outputs).for_each(|own| gone.extend(forget(own)));
            *freed |= gone.len() > before;
        }
        drop(found);
        drop(gone);
        Some(Ok(()))
    }
}

impl<'a> Found<'a> {
    /// Takes in a leaf that has not been met, if it is as the plan's was.
    fn is_new(&mut self, leaf: &'a Tensor, end: &End) -> bool {
        let core = leaf.0.core.get();
        let fits = is_end(&core) && core.grad.is_some() == end.had && !self.leaves.iter().any(|l| l.same(leaf));
        let met = |g: &Tensor| self.grads.iter().flatten().any(|other| other.same(g));
        if !fits || core.grad.as_ref().is_some_and(met) {
            return false;
        }
        self.grads.push(core.grad.clone());
        drop(core);
        self.leaves.push(leaf);
        true
    }
}

#[inline]
fn operand(kept: &Kept) -> Option<&Operand> {
    if let Kept::Full(full) = kept { Some(&full.operand) } else { None }
}

/// Leaves the form alone of what is kept, and hands over the elements if there were any.
#[inline]
fn forget(kept: &mut Kept) -> Option<Kept> {
    let Kept::Full(full) = kept else { return None };
    let form = Kept::of(&full.operand, None);
    Some(std::mem::replace(kept, form))
}

/// Whether two numbers are one to the last bit: the zeros are two.
fn same_number(a: Number, b: Number) -> bool {
    match (a, b) {
        (Number::Float(a), Number::Float(b)) => a.to_bits() == b.to_bits(),
        (Number::Complex(a, b), Number::Complex(c, d)) => (a.to_bits(), b.to_bits()) == (c.to_bits(), d.to_bits()),
        _ => a == b,
    }
}

fn same_args(a: &[Arg], b: &[Arg]) -> bool {
    let same = |(a, b): (&Arg, &Arg)| match (a, b) {
        (Arg::Number(a), Arg::Number(b)) => same_number(*a, *b),
        _ => a == b,
    };
    a.len() == b.len() && a.iter().zip(b).all(same)
}

/// Whether a leaf takes its gradient without anybody looking on.
fn is_end(core: &Core) -> bool {
    let plain = |g: &Tensor| {
        let core = g.0.core.get();
        !core.requires_grad && core.edge.is_none() && core.base.is_none() && core.flags == 0 && core.family.is_none()
    };
    let here = !core.operand.storage.is_away();
    here && core.requires_grad && core.edge.is_none() && core.extra.is_none() && core.flags == 0 && core.grad.as_ref().is_none_or(plain)
}

/// Walks a graph in the ordinary way, listens, and makes a plan of what was heard.
#[cold]
fn learn(root: &Arc<Node>, k: u32) -> Option<Result<()>> {
    let (nodes, leaves) = survey(root)?;
    let (mut stops, mut met) = (Vec::new(), Vec::new());
    let place: HashMap<usize, usize> = nodes.iter().enumerate().map(|(i, n)| (Arc::as_ptr(n) as usize, i)).collect();
    for (i, node) in nodes.iter().enumerate() {
        let kept = node.kept.get();
        if kept.freed {
            return None;
        }
        let to = node.edges.iter().map(|edge| match edge {
            None => Some(To::Nowhere),
            Some(Edge::Node(n, k)) => place.get(&(Arc::as_ptr(n) as usize)).map(|&j| To::Node(j, *k)),
            Some(Edge::Leaf(t)) => leaves.iter().position(|l| l.same(t)).map(To::Leaf),
        });
        stops.push(Stop {
            op: op_of(node),
            args: node.args.clone(),
            outputs: node.outputs,
            to: to.collect::<Option<_>>()?,
            ins: kept.inputs.iter().map(Form::of).collect(),
            outs: kept.outputs.iter().map(Form::of).collect(),
        });
        for (list, input) in [(&kept.inputs, true), (&kept.outputs, false)] {
            for (j, own) in list.iter().enumerate() {
                if let Kept::Full(full) = own {
                    met.push((if input { Source::In(i, j) } else { Source::Out(i, j) }, full.operand.clone()));
                }
            }
        }
    }
    let before: Vec<Option<Tensor>> = leaves.iter().map(|l| l.0.core.get().grad.clone()).collect();
    for (j, grad) in before.iter().enumerate() {
        met.extend(grad.as_ref().map(|g| (Source::Grad(j), g.operand())));
    }
    if !trace::start(false) {
        return None;
    }
    mode::set_traced(true);
    let done = backward::by_nodes(root, k);
    mode::set_traced(false);
    let heard = trace::stop()?;
    if done.is_err() || heard.fault.is_some() || !heard.draws.is_empty() {
        return Some(done);
    }
    let mut outs = Ends::default();
    let mut ends = Vec::new();
    for (leaf, before) in leaves.iter().zip(&before) {
        let now = leaf.0.core.get().grad.clone();
        let made = match (now, before) {
            (Some(now), Some(before)) if now.same(before) => None,
            (Some(now), None) => {
                let own = now.operand();
                if !heard.born.contains_key(&own.storage.address()) {
                    return Some(done);
                }
                Some(outs.place(&own))
            }
            (None, None) => None,
            _ => return Some(done),
        };
        ends.push(End { had: before.is_some(), made });
    }
    let used = |at: usize| heard.tasks.iter().flat_map(|t| &t.operands).any(|o| o.storage.address() == at);
    met.retain(|(_, own)| used(own.storage.address()));
    if heard.met.keys().any(|at| !met.iter().any(|(_, own)| own.storage.address() == *at)) {
        return Some(done);
    }
    let (sources, ins): (Vec<Source>, Vec<Operand>) = met.into_iter().unzip();
    let tasks = heard.tasks.into_iter().map(|task| Heard { task, call: None, draw: None }).collect();
    let (born, constants) = (heard.born, heard.constants);
    if let Ok(program) = Program::new(tasks, &ins, &outs.list, |at| born.contains_key(&at), |at| constants.contains(&at)) {
        let plan = Box::new(Plan { k, stops, ends, sources, program });
        let gone = MEMORY.with_borrow_mut(|memory| {
            memory.plans.push(plan);
            if memory.plans.len() > PLANS { Some(memory.plans.remove(0)) } else { None }
        });
        drop(gone);
    }
    Some(done)
}

/// All nodes of a small, plain graph in the order of the walk, and its leaves.
fn survey(root: &Arc<Node>) -> Option<(Vec<Arc<Node>>, Vec<Tensor>)> {
    let (mut heap, mut known, mut nodes, mut leaves) = (BinaryHeap::new(), HashMap::new(), Vec::new(), Vec::<Tensor>::new());
    heap.push((root.serial, Arc::as_ptr(root) as usize));
    known.insert(Arc::as_ptr(root) as usize, root.clone());
    while let Some((_, at)) = heap.pop() {
        let node: Arc<Node> = known.get(&at)?.clone();
        let plain = matches!(&node.rule, Rule::Op(op) if op.vjp.is_some()) && node.extra().is_none() && node.largest <= LARGEST;
        if !plain || nodes.len() == NODES {
            return None;
        }
        for edge in node.edges.iter().flatten() {
            match edge {
                Edge::Node(next, _) => {
                    let at = Arc::as_ptr(next) as usize;
                    if known.insert(at, next.clone()).is_none() {
                        heap.push((next.serial, at));
                    }
                }
                Edge::Leaf(leaf) => {
                    if !is_end(&leaf.0.core.get()) {
                        return None;
                    }
                    if !leaves.iter().any(|l| l.same(leaf)) {
                        leaves.push(leaf.clone());
                    }
                }
            }
        }
        nodes.push(node);
    }
    Some((nodes, leaves))
}
