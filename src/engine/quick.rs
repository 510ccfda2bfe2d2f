//! The short way of the most frequent calls: one formula, or one view, over few elements, outside tapes. What the long
//! way copies out of the handles is read here under their locks. Leans on graph and backend; whatever it does not know
//! goes the long way through record, which also finds the words for what is wrong.

use super::settle::{Fact, weigh};
use crate::backend::cpu::map::{From, TILE, plain, tiled};
use crate::backend::{MapBody, Operand, Storage};
use crate::base::lock::Guard;
use crate::base::{DType, Error, Layout, Number, Result, shape};
use crate::graph::mode::{self, Mode};
use crate::graph::node::{Keeps, Node, Parts, Rule};
use crate::graph::op::{OUTPUT_BIT, Quirk, ViewRule};
use crate::graph::tensor::{Core, flag};
use crate::graph::{Arg, Body, Class, Edge, Feed, Kept, Meta, Op, Pair, Tensor};
use smallvec::SmallVec;
use std::sync::Arc;

/// Elements that are computed without letting other threads run, and under the locks of their handles.
const MOST: usize = 1 << 12;
const ODD: u8 = flag::VARIABLE | flag::WATCHED | flag::STRICT | flag::PROBE | flag::INFERENCE;

/// Whether nothing about a handle needs the long way: no tape looks at it, and it knows its place in the graph.
#[inline(always)]
fn is_plain(core: &Core) -> bool {
    core.flags & ODD == 0 && (core.base.is_none() || core.seen == core.version())
}

/// One operand under its lock.
enum Side<'a> {
    Tensor(&'a Tensor, &'a Core),
    Operand(&'a Operand),
    Number(Number),
}

impl<'a> Side<'a> {
    #[inline(always)]
    fn operand(&self) -> Option<&'a Operand> {
        match self {
            Side::Tensor(_, core) => Some(&core.operand),
            Side::Operand(o) => Some(o),
            Side::Number(_) => None,
        }
    }
    #[inline(always)]
    fn fact(&self) -> Fact {
        match (self, self.operand()) {
            (Side::Number(n), _) => Fact::Number(*n),
            (_, Some(o)) => Fact::Tensor { dtype: o.dtype, rank: o.layout.rank(), flags: 0 },
            (_, None) => Fact::Absent,
        }
    }
    /// Where its gradient goes, and the serial behind that.
    #[inline(always)]
    fn edge(&self) -> Option<Edge> {
        let Side::Tensor(t, core) = self else { return None };
        Some(match &core.edge {
            Some((node, k)) => Edge::Node(node.clone(), *k),
            None => Edge::Leaf((*t).clone()),
        })
    }
    #[inline(always)]
    fn serial(&self) -> u64 {
        if let Side::Tensor(_, Core { edge: Some((node, _)), .. }) = self { node.serial } else { 0 }
    }
    /// What the derivative reads of it, or its form alone.
    #[inline(always)]
    fn kept(&self, full: bool) -> Kept {
        match self {
            Side::Number(n) => Kept::Number(*n),
            Side::Tensor(_, core) if full => Kept::Full(core.operand.clone(), core.version(), core.family.clone()),
            Side::Operand(o) if full => {
                Kept::Full((*o).clone(), o.storage.version().load(std::sync::atomic::Ordering::Relaxed), None)
            }
            Side::Tensor(_, core) => of_form(&core.operand),
            Side::Operand(o) => of_form(o),
        }
    }
}

#[inline(always)]
fn hold<'a>(feed: &Feed<'a>) -> Option<Guard<'a, Core>> {
    if let Feed::Tensor(t) = feed { Some(t.0.core.get()) } else { None }
}

#[inline(always)]
fn side<'a>(feed: &Feed<'a>, core: Option<&'a Core>) -> Option<Side<'a>> {
    match (feed, core) {
        (Feed::Tensor(t), Some(core)) => Some(Side::Tensor(t, core)),
        (Feed::Operand(o), _) => Some(Side::Operand(o)),
        (Feed::Number(n), _) => Some(Side::Number(*n)),
        _ => None,
    }
}

/// Runs a map of one or two operands, and records it, if it is plain.
#[inline]
pub fn map(op: &'static Op, feeds: &[Feed], args: &[Arg], mode: Mode) -> Option<Result<Tensor>> {
    let Body::Map(body) = &op.body else { return None };
    if body.outputs != 1 || !mode.is_plain() || matches!(op.class, Class::Integer | Class::Logic | Class::Question | Class::Any) {
        return None;
    }
    match feeds {
        [a] => {
            let x = hold(a);
            run(op, body, &[side(a, x.as_deref())?], args, mode)
        }
        [a, b] => {
            // Two locks are taken in the order of their addresses, so that two threads cannot hold one each.
            let (x, y);
            match (a, b) {
                (Feed::Tensor(s), Feed::Tensor(t)) if s.same(t) => {
                    x = hold(a);
                    y = None;
                }
                (Feed::Tensor(s), Feed::Tensor(t)) if s.id() > t.id() => {
                    y = hold(b);
                    x = hold(a);
                }
                _ => {
                    x = hold(a);
                    y = hold(b);
                }
            }
            let second = if matches!(b, Feed::Tensor(_)) { y.as_deref().or(x.as_deref()) } else { None };
            run(op, body, &[side(a, x.as_deref())?, side(b, second)?], args, mode)
        }
        _ => None,
    }
}

#[inline]
fn run<const N: usize>(op: &'static Op, body: &MapBody, sides: &[Side; N], args: &[Arg], mode: Mode) -> Option<Result<Tensor>> {
    let (mut needs, mut plain_numbers, mut lead) = (0u32, 0u32, None::<&Operand>);
    let (mut one_dtype, mut one_shape) = (true, true);
    for (i, side) in sides.iter().enumerate() {
        if let Side::Tensor(_, core) = side {
            if !is_plain(core) {
                return None;
            }
            needs |= u32::from(core.requires_grad) << i;
        }
        match (side.operand(), lead) {
            (None, _) => plain_numbers |= 1 << i,
            (own, None) => lead = own,
            (Some(own), Some(lead)) => {
                one_dtype &= own.dtype == lead.dtype;
                one_shape &= own.layout.shape == lead.layout.shape;
            }
        }
    }
    let lead = lead?;
    let (compute, result) = if one_dtype && matches!(lead.dtype, DType::F32 | DType::F64) && op.quirk != Quirk::Masks {
        (lead.dtype, if body.truth { DType::Bool } else { lead.dtype })
    } else {
        let facts = sides.each_ref().map(Side::fact);
        weigh(op, &facts, mode).ok()?
    };
    let divides = matches!(op.quirk, Quirk::Divides | Quirk::Raises) && !compute.is_float();
    if divides || !body.truth && result != compute {
        return None;
    }
    needs = if mode.grad() && result.is_float() { needs } else { 0 };
    let reads = if needs == 0 { 0 } else { op.saves.get(needs | plain_numbers << 3)? };
    let layout = if one_shape && lead.layout.is_contiguous() {
        Layout::like(&lead.layout)
    } else {
        let mut common = lead.layout.shape.clone();
        for own in sides.iter().filter_map(Side::operand) {
            if own.layout.shape != common {
                common = shape::broadcast(op.name, &common, &own.layout.shape).ok()?;
            }
        }
        Layout::contiguous(common)
    };
    let n = layout.numel();
    let direct = |o: &Operand| o.dtype == compute && o.layout.is_contiguous() && o.layout.numel() == n;
    let all_direct = sides.iter().filter_map(Side::operand).all(direct);
    if n > MOST || !all_direct && n > TILE {
        return None;
    }
    let loops = (body.native)(compute)?.pick();
    let storage = match Storage::new(n * result.size()) {
        Ok(storage) => Arc::new(storage),
        Err(error) => return Some(Err(error)),
    };
    let out = Operand { storage, layout, dtype: result };
    let params: SmallVec<[Number; 2]> = if body.params == 0 { SmallVec::new() } else { args.iter().filter_map(Arg::number).collect() };
    let from = sides.each_ref().map(|side| match side {
        Side::Number(n) => From::Number(*n),
        Side::Tensor(_, core) => From::Memory(&core.operand),
        Side::Operand(o) => From::Memory(o),
    });
    if all_direct {
        plain(loops, &from, &params, &out, compute);
    } else {
        tiled(loops, &from, &params, &out, compute);
    }
    let mut core = Core::plain(out);
    if needs != 0 {
        let edge = |i: usize| if needs >> i & 1 == 1 { sides.get(i).and_then(Side::edge) } else { None };
        let kept = |i: usize| sides.get(i).map(|s| s.kept(reads >> i & 1 == 1));
        let second = if N > 1 { Some(edge(1)) } else { None };
        let node = Node::new(Parts {
            rule: Rule::Op(op),
            args,
            edges: Pair::of(Some(edge(0)), second),
            kept: Keeps { inputs: Pair::of(kept(0), kept(1)), outputs: Pair::of(Some(of_output(&core, reads)), None), freed: false },
            outputs: 1,
            serial: mode::next_serial(sides.iter().map(Side::serial).max().unwrap_or(0)),
            place: None,
        });
        core.edge = Some((node, 0));
        core.requires_grad = true;
    }
    Some(Ok(Tensor::from_core(core)))
}

#[inline(always)]
fn of_output(core: &Core, reads: u32) -> Kept {
    if reads >> OUTPUT_BIT & 1 == 1 {
        Kept::Full(core.operand.clone(), core.version(), core.family.clone())
    } else {
        of_form(&core.operand)
    }
}

#[inline(always)]
fn of_form(o: &Operand) -> Kept {
    Kept::Meta(Meta { shape: o.layout.shape.clone(), dtype: o.dtype })
}

/// Takes a view of a plain tensor, and records it.
#[inline]
pub fn view(op: &'static Op, rule: ViewRule, base: &Tensor, args: &[Arg], mode: Mode) -> Option<Result<Tensor>> {
    if !mode.is_plain() {
        return None;
    }
    let x = base.0.core.get();
    let tracked = x.requires_grad && mode.grad();
    if !is_plain(&x) || x.family.is_some() {
        return None;
    }
    let reads = if tracked { op.saves.get(1)? } else { 0 };
    let layout = match rule(&x.operand.layout, args) {
        Ok(layout) => layout,
        Err(error) => return Some(Err(error)),
    };
    if let Err(error) = super::record::check_inside(op.name, &layout, &x.operand) {
        return Some(Err(error));
    }
    let mut core = Core::plain(x.operand.view(layout));
    core.seen = x.version();
    core.base = Some(x.base.as_ref().unwrap_or(base).clone());
    core.flags = if mode.grad() { 0 } else { flag::QUIET_VIEW };
    if tracked {
        let side = Side::Tensor(base, &x);
        let node = Node::new(Parts {
            rule: Rule::Op(op),
            args,
            edges: Pair::of(Some(side.edge()), None),
            kept: Keeps {
                inputs: Pair::of(Some(side.kept(reads & 1 == 1)), None),
                outputs: Pair::of(Some(of_output(&core, reads)), None),
                freed: false,
            },
            outputs: 1,
            serial: mode::next_serial(side.serial()),
            place: None,
        });
        core.edge = Some((node, 0));
        core.requires_grad = true;
    }
    Some(Ok(Tensor::from_core(core)))
}

/// Elements that are written in place where they lie; more go through tiles, which keep the loop in vectors.
const IN_PLACE: usize = 512;

/// Whether a tensor may be written with nothing to record and nobody's view to mend.
fn is_free(core: &Core, mode: Mode) -> bool {
    let own = &core.operand;
    core.base.is_none()
        && is_plain(core)
        && matches!(own.dtype, DType::F32 | DType::F64)
        && own.layout.is_contiguous()
        && own.layout.numel() <= IN_PLACE
        && (!mode.grad() || !core.requires_grad)
        && own.storage.is_writable()
}

/// `target = op(target, other)` over the same bytes, if it is plain and nothing is recorded.
#[inline]
pub fn write(op: &'static Op, target: &Tensor, feeds: &[Feed], mode: Mode) -> Option<Result<()>> {
    let Body::Map(body) = &op.body else { return None };
    let fits = body.outputs == 1
        && body.params == 0
        && !body.truth
        && matches!(op.class, Class::Float | Class::Number | Class::Arithmetic | Class::Real);
    if !fits || !mode.is_plain() {
        return None;
    }
    let work = |core: &mut Core, second: Option<From>| -> Result<()> {
        let dtype = core.operand.dtype;
        let Some(loops) = (body.native)(dtype) else { return Err(Error::bug(op.name, format!("no loop for {dtype}"))) };
        let first = From::Memory(&core.operand);
        match second {
            Some(second) => plain(loops.pick(), &[first, second], &[], &core.operand, dtype),
            None => plain(loops.pick(), &[first], &[], &core.operand, dtype),
        }
        core.bump();
        core.seen = core.version();
        Ok(())
    };
    let beside = |own: &Operand, other: &Operand| {
        own.dtype == other.dtype
            && own.layout.shape == other.layout.shape
            && other.layout.is_contiguous()
            && !Arc::ptr_eq(&own.storage, &other.storage)
    };
    match feeds {
        [Feed::Tensor(a)] if a.same(target) => {
            let mut core = target.0.core.get();
            is_free(&core, mode).then(|| work(&mut core, None))
        }
        [Feed::Tensor(a), Feed::Number(n)] if a.same(target) => {
            let mut core = target.0.core.get();
            is_free(&core, mode).then(|| work(&mut core, Some(From::Number(*n))))
        }
        [Feed::Tensor(a), Feed::Tensor(b)] if a.same(target) && !b.same(target) => {
            let (mut core, other);
            if a.id() < b.id() {
                core = target.0.core.get();
                other = b.0.core.get();
            } else {
                other = b.0.core.get();
                core = target.0.core.get();
            }
            let fits = is_plain(&other)
                && (!mode.grad() || !other.requires_grad)
                && is_free(&core, mode)
                && beside(&core.operand, &other.operand);
            fits.then(|| work(&mut core, Some(From::Memory(&other.operand))))
        }
        _ => None,
    }
}

/// One number everywhere, in place, under the same conditions.
pub fn fill(target: &Tensor, value: Number, mode: Mode) -> Option<Result<()>> {
    if !mode.is_plain() {
        return None;
    }
    let core = target.0.core.get();
    if !is_free(&core, mode) || core.edge.is_some() {
        return None;
    }
    let done = crate::backend::cpu::convert::fill(&core.operand, value);
    core.bump();
    Some(done)
}
