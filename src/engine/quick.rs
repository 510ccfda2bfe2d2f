//! The short way of the most frequent calls: one map, kernel or view over few elements, outside tapes. What the long
//! way copies out of the handles is read here under their locks. Leans on graph and backend; whatever it does not know
//! goes the long way through record, which also finds the words for what is wrong.

use super::record::{check_inside, made_in};
use super::settle::{Fact, weigh};
use crate::backend::cpu::map::{From, TILE, plain, tiled};
use crate::backend::{MapBody, Operand, Storage};
use crate::base::memory::Guard;
use crate::base::shape::Shape;
use crate::base::{DType, Layout, Number, Result, shape};
use crate::graph::mode::{self, Mode};
use crate::graph::node::{Draft, Rule};
use crate::graph::op::{Kernel, MetaRule, ODD_SHAPE, OUTPUT_BIT, Quirk, ViewRule};
use crate::graph::tensor::{Core, Fresh, flag};
use crate::graph::{Arg, Body, Call, Class, Edge, Feed, Kept, Meta, Op, Tensor};
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Elements that are computed without letting other threads run, and under the locks of their handles.
const MOST: usize = 1 << 12;
const ODD: u8 = flag::VARIABLE | flag::WATCHED | flag::STRICT | flag::PROBE | flag::INFERENCE | flag::LIFTED;

/// Whether nothing about a handle needs the long way: no tape looks at it, it lies on the processor, and it knows its
/// place in the graph.
#[inline(always)]
fn is_plain(core: &Core, mode: Mode) -> bool {
    core.flags & (ODD & !made_in(mode)) == 0 && !core.operand.storage.is_away() && (core.base.is_none() || core.seen == core.version())
}

/// One operand under its lock.
enum Side<'a> {
    Tensor(&'a Tensor, &'a Core),
    Operand(&'a Operand),
    Number(Number),
    Absent,
}

impl<'a> Side<'a> {
    #[inline(always)]
    fn operand(&self) -> Option<&'a Operand> {
        match self {
            Side::Tensor(_, core) => Some(&core.operand),
            Side::Operand(o) => Some(o),
            Side::Number(_) | Side::Absent => None,
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
            Side::Absent => Kept::Absent,
            Side::Number(n) => Kept::Number(*n),
            Side::Tensor(_, core) => core.kept(full),
            Side::Operand(o) => Kept::of(o, full.then(|| (o.storage.version().load(Ordering::Relaxed), None))),
        }
    }
    #[inline(always)]
    fn from(&self) -> From<'a> {
        match self {
            Side::Number(n) => From::Number(*n),
            Side::Tensor(_, core) => From::Memory(&core.operand),
            Side::Operand(o) => From::Memory(o),
            Side::Absent => From::Number(Number::Bool(false)),
        }
    }
}

/// The locks of up to three operands, taken in the order of their addresses, so that two threads cannot hold one each.
struct Held<'a> {
    guards: [Option<Guard<'a, Core>>; MANY],
    /// Which guard is an operand's: the same handle may be fed twice.
    at: [usize; MANY],
}

/// Operands of the short way.
const MANY: usize = 3;

impl<'a> Held<'a> {
    #[inline(always)]
    fn new(feeds: &[Feed<'a>]) -> Held<'a> {
        let mut held = Held { guards: [None, None, None], at: [0, 1, 2] };
        let place = |feed: &Feed| if let Feed::Tensor(t) = feed { t.id() } else { 0 };
        let mut order = [0, 1, 2];
        for i in 1..feeds.len() {
            let mut j = i;
            while j > 0 && place(&feeds[order[j - 1]]) > place(&feeds[order[j]]) {
                order.swap(j - 1, j);
                j -= 1;
            }
        }
        let mut last = None::<(&Tensor, usize)>;
        for &i in &order[..feeds.len()] {
            let Feed::Tensor(t) = feeds[i] else { continue };
            match last {
                Some((other, k)) if t.same(other) => held.at[i] = k,
                _ => {
                    held.guards[i] = Some(t.0.core.get());
                    last = Some((t, i));
                }
            }
        }
        held
    }
    #[inline(always)]
    fn side<'s>(&'s self, feeds: &[Feed<'s>], i: usize) -> Side<'s> {
        match (feeds.get(i), &self.guards[self.at[i]]) {
            (Some(Feed::Tensor(t)), Some(core)) => Side::Tensor(t, core),
            (Some(Feed::Operand(o)), _) => Side::Operand(o),
            (Some(Feed::Number(n)), _) => Side::Number(*n),
            _ => Side::Absent,
        }
    }
}

/// Runs a map or a kernel of up to three operands, and records it, if it is plain.
#[inline]
pub fn run(op: &'static Op, feeds: &[Feed], args: &[Arg], mode: Mode) -> Option<Result<Tensor>> {
    if !mode.is_plain() || feeds.is_empty() || feeds.len() > MANY {
        return None;
    }
    let known = match &op.body {
        Body::Map(body) => body.outputs == 1 && !matches!(op.class, Class::Integer | Class::Logic | Class::Question | Class::Any),
        Body::Kernel(..) => !op.is_list(),
        _ => false,
    };
    if !known {
        return None;
    }
    match *feeds {
        [Feed::Tensor(a)] => {
            let x = a.0.core.get();
            let sides = [Side::Tensor(a, &x)];
            let from = [From::Memory(&x.operand)];
            straight(op, &sides, from, &x, args, mode).or_else(|| work(op, &sides, args, mode))
        }
        [Feed::Tensor(a), Feed::Number(n)] => {
            let x = a.0.core.get();
            let sides = [Side::Tensor(a, &x), Side::Number(n)];
            let from = [From::Memory(&x.operand), From::Number(n)];
            straight(op, &sides, from, &x, args, mode).or_else(|| work(op, &sides, args, mode))
        }
        [Feed::Number(n), Feed::Tensor(b)] => {
            let y = b.0.core.get();
            let sides = [Side::Number(n), Side::Tensor(b, &y)];
            let from = [From::Number(n), From::Memory(&y.operand)];
            straight(op, &sides, from, &y, args, mode).or_else(|| work(op, &sides, args, mode))
        }
        [Feed::Tensor(a), Feed::Operand(o)] => {
            let x = a.0.core.get();
            work(op, &[Side::Tensor(a, &x), Side::Operand(o)], args, mode)
        }
        [Feed::Tensor(a), Feed::Tensor(b)] => {
            let (low, high) = if a.id() <= b.id() { (a, b) } else { (b, a) };
            let first = low.0.core.get();
            let second = (!low.same(high)).then(|| high.0.core.get());
            let second = second.as_deref().unwrap_or(&first);
            let (x, y): (&Core, &Core) = if a.same(low) { (&first, second) } else { (second, &first) };
            let sides = [Side::Tensor(a, x), Side::Tensor(b, y)];
            let from = [From::Memory(&x.operand), From::Memory(&y.operand)];
            straight(op, &sides, from, x, args, mode).or_else(|| work(op, &sides, args, mode))
        }
        _ => {
            let held = Held::new(feeds);
            work(op, &[held.side(feeds, 0), held.side(feeds, 1), held.side(feeds, 2)][..feeds.len()], args, mode)
        }
    }
}

/// A map over operands of one row-major shape and one float dtype, or such a one beside a number or a row of it: the most
/// frequent calls of all, from which everything is left out that others ask for. `lead` is the first tensor; `from` says where all are.
#[inline(always)]
fn straight<const N: usize>(
    op: &'static Op,
    sides: &[Side; N],
    from: [From; N],
    lead: &Core,
    args: &[Arg],
    mode: Mode,
) -> Option<Result<Tensor>> {
    let (Body::Map(body), own) = (&op.body, &lead.operand) else { return None };
    let fits = body.params == 0 && op.quirk != Quirk::Masks && own.layout.is_contiguous();
    if !fits || !matches!(own.dtype, DType::F32 | DType::F64) {
        return None;
    }
    let (mut needs, mut others, mut rows) = (0, 0, false);
    for (i, side) in sides.iter().enumerate() {
        match side {
            Side::Tensor(_, core) if is_plain(core, mode) => {
                let other = &core.operand;
                let one_dtype = other.dtype == own.dtype;
                let alike = std::ptr::eq(*core, lead) || one_dtype && other.layout.is_like(&own.layout);
                if !alike {
                    rows = one_dtype && other.layout.is_row_of(&own.layout) && own.layout.numel() <= TILE;
                    if !rows {
                        return None;
                    }
                }
                others |= odd(other);
                needs |= u32::from(core.requires_grad) << i;
            }
            Side::Number(Number::Int(_) | Number::Float(_)) => others |= 8 << i,
            _ => return None,
        }
    }
    let n = own.layout.numel();
    if n > MOST {
        return None;
    }
    let result = if body.truth { DType::Bool } else { own.dtype };
    needs = if mode.grad() && !body.truth { needs } else { 0 };
    let reads = if needs == 0 { 0 } else { op.saves.get(needs | others)? };
    let loops = (body.native)(own.dtype)?.pick();
    let storage = match Storage::shared(n * result.size()) {
        Ok(storage) => storage,
        Err(error) => return Some(Err(error)),
    };
    let room = Fresh::room();
    let mut fresh = room.fill(Core::plain(Operand { storage, layout: Layout::like(&own.layout), dtype: result }));
    let core = fresh.core();
    core.flags = made_in(mode);
    if rows {
        tiled(loops, &from, &[], &core.operand, own.dtype);
    } else {
        plain(loops, &from, &[], &core.operand, own.dtype);
    }
    if needs != 0 {
        record(op, core, sides, args, needs, reads);
    }
    Some(Ok(fresh.done()))
}

#[inline(never)]
fn work(op: &'static Op, sides: &[Side], args: &[Arg], mode: Mode) -> Option<Result<Tensor>> {
    match &op.body {
        Body::Map(body) => map(op, body, sides, args, mode),
        Body::Kernel(meta, run) => kernel(op, *meta, *run, sides, args, mode),
        _ => None,
    }
}

/// The inputs that require grad, and the rest of the key by which a record knows what to keep: the inputs that are no
/// tensors, and whether one is 0-d or empty.
#[inline(always)]
fn bits(sides: &[Side], mode: Mode) -> Option<(u32, u32)> {
    let (mut needs, mut others) = (0, 0);
    for (i, side) in sides.iter().enumerate() {
        match side {
            Side::Tensor(_, core) if is_plain(core, mode) => {
                needs |= u32::from(core.requires_grad) << i;
                others |= odd(&core.operand);
            }
            Side::Tensor(..) => return None,
            Side::Operand(o) if o.storage.is_away() => return None,
            Side::Operand(o) => others |= odd(o),
            Side::Number(_) | Side::Absent => others |= 8 << i,
        }
    }
    Some((needs, others))
}

#[inline(always)]
fn odd(o: &Operand) -> u32 {
    if o.layout.is_odd() { ODD_SHAPE } else { 0 }
}

fn kernel(op: &'static Op, meta: MetaRule, run: Kernel, sides: &[Side], args: &[Arg], mode: Mode) -> Option<Result<Tensor>> {
    let (needs, others) = bits(sides, mode)?;
    let (mut metas, mut ins) = ([const { None }; MANY], [None; MANY]);
    for (i, side) in sides.iter().enumerate() {
        match side.operand() {
            Some(o) if o.layout.numel() > 0 && o.layout.numel() <= MOST && !o.dtype.is_complex() => {
                metas[i] = Some(Meta { shape: o.layout.shape.clone(), dtype: o.dtype });
                ins[i] = Some(o);
            }
            None if matches!(side, Side::Absent) => {}
            _ => return None,
        }
    }
    if op.quirk == Quirk::Keeps && !ins[0]?.layout.falls() {
        return None;
    }
    let made = meta(&metas[..sides.len()], args).ok()?;
    let [form] = &made[..] else { return None };
    if shape::count(op.name, &form.shape).ok()? > MOST {
        return None;
    }
    let needs = if mode.grad() && form.dtype.is_inexact() { needs } else { 0 };
    let reads = if needs == 0 { 0 } else { op.saves.get(needs | others)? };
    let storage = match Storage::shared(form.shape.iter().product::<usize>() * form.dtype.size()) {
        Ok(storage) => storage,
        Err(error) => return Some(Err(error)),
    };
    let room = Fresh::room();
    let mut fresh = room.fill(Core::plain(Operand { storage, layout: Layout::contiguous(form.shape.clone()), dtype: form.dtype }));
    let core = fresh.core();
    core.flags = made_in(mode);
    if let Err(error) = run(&Call { ins: &ins[..sides.len()], outs: std::slice::from_ref(&core.operand), args }) {
        return Some(Err(error));
    }
    if needs != 0 {
        record(op, core, sides, args, needs, reads);
    }
    Some(Ok(fresh.done()))
}

#[inline(always)]
fn map(op: &'static Op, body: &MapBody, sides: &[Side], args: &[Arg], mode: Mode) -> Option<Result<Tensor>> {
    let (mut needs, others) = bits(sides, mode)?;
    let (mut lead, mut one_dtype, mut one_shape) = (None::<&Operand>, true, true);
    for side in sides {
        match (side.operand(), lead) {
            (None, _) if matches!(side, Side::Absent | Side::Number(Number::Bool(_) | Number::Complex(..))) => return None,
            (None, _) => {}
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
        let mut facts = [Fact::Absent; MANY];
        facts.iter_mut().zip(sides).for_each(|(fact, side)| *fact = side.fact());
        weigh(op, &facts[..sides.len()], mode).ok()?
    };
    let divides = matches!(op.quirk, Quirk::Divides | Quirk::Raises) && !compute.is_inexact();
    if divides || !body.truth && result != compute {
        return None;
    }
    needs = if mode.grad() && result.is_inexact() { needs } else { 0 };
    let reads = if needs == 0 { 0 } else { op.saves.get(needs | others)? };
    let like = one_shape && lead.layout.is_contiguous();
    // Operands that lie alike in another order of axes are gone through as they lie.
    let alike = |o: &Operand| o.dtype == compute && o.layout.strides == lead.layout.strides;
    let turned = one_shape && !like && lead.layout.fills() && sides.iter().filter_map(Side::operand).all(alike);
    let wide = if like || turned { Shape::new() } else { common_shape(op, lead, sides)? };
    let n = if like || turned { lead.layout.numel() } else { wide.iter().product() };
    let mut all_direct = true;
    for own in sides.iter().filter_map(Side::operand).filter(|_| !turned) {
        // The result would keep an order of axes that is not row-major.
        if !own.layout.falls() {
            return None;
        }
        all_direct &= own.dtype == compute && own.layout.is_contiguous() && own.layout.numel() == n;
    }
    if n > MOST || !all_direct && (n > TILE || compute.is_complex()) {
        return None;
    }
    let loops = (body.native)(compute)?.pick();
    let storage = match Storage::shared(n * result.size()) {
        Ok(storage) => storage,
        Err(error) => return Some(Err(error)),
    };
    let room = Fresh::room();
    let mut fresh = room.fill(Core::plain(Operand {
        storage,
        layout: match (like, turned) {
            (true, _) => Layout::like(&lead.layout),
            (_, true) => lead.layout.from_start(),
            _ => Layout::contiguous(wide),
        },
        dtype: result,
    }));
    let core = fresh.core();
    core.flags = made_in(mode);
    let params: SmallVec<[Number; 2]> = if body.params == 0 { SmallVec::new() } else { args.iter().filter_map(Arg::number).collect() };
    if params.iter().any(|n| n.is_complex()) {
        return None;
    }
    match sides {
        [a] if all_direct => plain(loops, &[a.from()], &params, &core.operand, compute),
        [a, b] if all_direct => plain(loops, &[a.from(), b.from()], &params, &core.operand, compute),
        _ => {
            let mut from = [From::Number(Number::Bool(false)); MANY];
            for (from, side) in from.iter_mut().zip(sides) {
                *from = side.from();
            }
            let run = if all_direct { plain } else { tiled };
            run(loops, &from[..sides.len()], &params, &core.operand, compute);
        }
    }
    if needs != 0 {
        record(op, core, sides, args, needs, reads);
    }
    Some(Ok(fresh.done()))
}

/// The broadcast shape, if it is one, and one that can be counted: an expanded operand may have more elements.
fn common_shape(op: &Op, lead: &Operand, sides: &[Side]) -> Option<Shape> {
    let mut common = lead.layout.shape.clone();
    for own in sides.iter().filter_map(Side::operand) {
        if own.layout.shape != common {
            common = shape::broadcast(op.name, &common, &own.layout.shape).ok()?;
        }
    }
    shape::count(op.name, &common).ok()?;
    Some(common)
}

/// Gives a fresh result its node.
#[inline(always)]
fn record(op: &'static Op, core: &mut Core, sides: &[Side], args: &[Arg], needs: u32, reads: u32) {
    let below = sides.iter().map(Side::serial).max().unwrap_or(0);
    let mut draft = Draft::new(Rule::Op(op), args, 1, mode::next_serial(below), None);
    for (i, side) in sides.iter().enumerate() {
        let edge = if needs >> i & 1 == 1 { side.edge() } else { None };
        draft.input(edge, side.kept(reads >> i & 1 == 1), side.operand().map_or(0, Operand::numel));
    }
    draft.output(core.kept(reads >> OUTPUT_BIT & 1 == 1));
    core.edge = Some((draft.done(), 0));
    core.requires_grad = true;
}

/// Takes a view of a plain tensor, and records it.
#[inline]
pub fn view(op: &'static Op, rule: ViewRule, base: &Tensor, args: &[Arg], mode: Mode) -> Option<Result<Tensor>> {
    if !mode.is_plain() || matches!(op.quirk, Quirk::Parts | Quirk::Pairs) {
        return None;
    }
    let x = base.0.core.get();
    let tracked = x.requires_grad && mode.grad();
    if !is_plain(&x, mode) || x.family.is_some() {
        return None;
    }
    let reads = if tracked { op.saves.get(1 | odd(&x.operand))? } else { 0 };
    let layout = match rule(&x.operand.layout, args) {
        Ok(layout) => layout,
        Err(error) => return Some(Err(error)),
    };
    if let Err(error) = check_inside(op, &layout, &x.operand) {
        return Some(Err(error));
    }
    let room = Fresh::room();
    let mut fresh = room.fill(Core::plain(x.operand.view(layout)));
    let core = fresh.core();
    core.seen = x.version();
    core.base = Some(x.base.as_ref().unwrap_or(base).clone());
    core.flags = x.flags & flag::INFERENCE | if mode.grad() { 0 } else { flag::QUIET_VIEW };
    if tracked {
        let located = crate::ops::strided::located(op, &x.operand.layout, args);
        record(op, core, &[Side::Tensor(base, &x)], located.as_deref().unwrap_or(args), 1, reads);
    }
    Some(Ok(fresh.done()))
}

/// Elements that are written in place where they lie by a loop that has no vectors for that; more go through tiles.
const IN_PLACE: usize = 128;

/// Whether a tensor may be written with nothing to record and nobody's view to mend.
fn is_free(core: &Core, mode: Mode) -> bool {
    let own = &core.operand;
    core.base.is_none()
        && is_plain(core, mode)
        && matches!(own.dtype, DType::F32 | DType::F64)
        && own.layout.is_contiguous()
        && own.layout.numel() <= MOST
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
    let work = |core: &mut Core, second: Option<From>| -> Option<Result<()>> {
        let dtype = core.operand.dtype;
        let (kernel, quick) = (body.native)(dtype)?.pick_over();
        if !quick && core.operand.layout.numel() > IN_PLACE {
            return None;
        }
        let first = From::Memory(&core.operand);
        match second {
            Some(second) => plain(kernel, &[first, second], &[], &core.operand, dtype),
            None => plain(kernel, &[first], &[], &core.operand, dtype),
        }
        core.bump();
        core.seen = core.version();
        Some(Ok(()))
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
            is_free(&core, mode).then(|| work(&mut core, None))?
        }
        [Feed::Tensor(a), Feed::Number(n)] if a.same(target) && !matches!(n, Number::Bool(_) | Number::Complex(..)) => {
            let mut core = target.0.core.get();
            is_free(&core, mode).then(|| work(&mut core, Some(From::Number(*n))))?
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
            let fits = is_plain(&other, mode)
                && (!mode.grad() || !other.requires_grad)
                && is_free(&core, mode)
                && beside(&core.operand, &other.operand);
            fits.then(|| work(&mut core, Some(From::Memory(&other.operand))))?
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
