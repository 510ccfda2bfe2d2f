//! The one way an operator happens: dtype and shape settled, the launch run, the node made if anything needs a gradient.
//! Leans on graph and backend.

use super::conjugate::of_complex;
use super::recast::{dtype_of, seen_as};
use super::settle::{as_truths, check_divisor, common_shape, numbers, settle, spread};
use super::tape;
use crate::backend::{Launch, Operand, at, of, together, transfer};
use crate::base::layout::memory_order;
use crate::base::{Device, Error, ErrorKind, Layout, Number, Result};
use crate::graph::capture;
use crate::graph::mode::{self, Mode};
use crate::graph::node::{Draft, Dynamic, Keeps, Needs, Node, Packed, Rule, watched};
use crate::graph::op::{Inline, Kernel, MetaRule, ODD_SHAPE, OUTPUT_BIT, Quirk, ViewRule};
use crate::graph::sym::{Pull, Sym};
use crate::graph::tensor::{Core, flag};
use crate::graph::{Arg, Body, Call, Class, Edge, Feed, Kept, Meta, Op, Outs, Pair, Tensor};
use smallvec::{SmallVec, smallvec};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

/// An operand as it was when the operator was asked for.
pub struct Look {
    pub operand: Operand,
    pub flags: u8,
    pub tag: u32,
    pub requires: bool,
    /// Where its gradient goes, if this operation is to be recorded for it.
    pub edge: Option<Edge>,
    pub serial: u64,
    pub version: u32,
    pub family: Option<Arc<AtomicU32>>,
}

/// Says where the user's program stands: (file, line).
pub type Locate = fn() -> Option<(Arc<str>, u32)>;
/// Takes a saved tensor into keeping.
pub type Keeper = dyn Fn(&Tensor) -> Result<Arc<dyn Packed>>;
/// Says who keeps what is saved.
pub type FindKeeper = fn() -> Option<Box<Keeper>>;
/// Says which rule stands in place of a record's.
pub type Override = fn(&'static Op) -> Result<Option<Arc<dyn Dynamic>>>;

/// Where the user's program stands: (file, line). Set by the door; asked only while a tape is open.
pub static LOCATOR: OnceLock<Locate> = OnceLock::new();
/// Gives what keeps saved tensors on this thread.
pub static KEEPER: OnceLock<FindKeeper> = OnceLock::new();
/// Gives a replacement rule for a record while overrides are set on this thread.
pub static OVERRIDES: OnceLock<Override> = OnceLock::new();

#[inline]
pub fn look(t: &Tensor, mode: Mode) -> Look {
    let mut core = t.0.core.get();
    if core.base.is_some() && core.seen != core.version() {
        drop(core);
        super::write::refresh(t);
        core = t.0.core.get();
    }
    if mode.traced() {
        capture::meet(t, &core);
    }
    let mut seen = Look {
        operand: core.operand.clone(),
        flags: core.flags,
        tag: core.tag,
        requires: core.requires_grad,
        edge: None,
        serial: 0,
        version: core.version(),
        family: core.family.clone(),
    };
    if core.requires_grad && mode.grad() {
        seen.edge = Some(match &core.edge {
            Some((node, k)) => {
                seen.serial = node.serial;
                Edge::Node(node.clone(), *k)
            }
            None => Edge::Leaf(t.clone()),
        });
    } else if mode.tape() {
        match &core.edge {
            Some((node, k)) if node.serial >= mode::tape_from() || core.has(flag::WATCHED) => {
                seen.serial = node.serial;
                seen.edge = Some(Edge::Node(node.clone(), *k));
            }
            None if watched(core.flags) => {
                let source = core.source.get_or_insert_with(|| Node::source(t, &seen.operand));
                seen.edge = Some(Edge::Node(source.clone(), 0));
            }
            _ => {}
        }
    }
    if core.flags & flag::VARIABLE != 0 && mode.tape() {
        drop(core);
        tape::touch(t);
    }
    seen
}

/// One operand of a recording: a tensor as seen, a number, or nothing.
pub(crate) enum Seen {
    Tensor(Look),
    Number(Number),
    Absent,
}

impl Seen {
    #[inline]
    pub fn of(feed: &Feed, mode: Mode) -> Seen {
        match feed {
            Feed::Tensor(t) => Seen::Tensor(look(t, mode)),
            Feed::Operand(o) => Seen::Tensor(Look {
                operand: (*o).clone(),
                flags: 0,
                tag: 0,
                requires: false,
                edge: None,
                serial: 0,
                version: o.storage.version().load(Ordering::Relaxed),
                family: None,
            }),
            Feed::Number(n) => Seen::Number(*n),
            Feed::Absent => Seen::Absent,
        }
    }
    #[inline]
    pub fn look(&self) -> Option<&Look> {
        match self {
            Seen::Tensor(look) => Some(look),
            _ => None,
        }
    }
}

/// The engine's door: runs an operator now, and records it if it must be.
pub fn emit(op: &'static Op, feeds: &[Feed], args: &[Arg]) -> Result<Outs> {
    let mode = Mode::now();
    let op = super::settle::of_truths(op, feeds);
    if mode.lifted() {
        let op = of_complex(op, feeds)?;
        if let Some(outs) = super::lift::emit(op, feeds, args)? {
            return Ok(outs);
        }
    }
    match &op.body {
        Body::Map(_) | Body::Kernel(..) => {
            if let Some(done) = super::quick::run(op, feeds, args, mode) {
                return done.map(Outs::One);
            }
        }
        Body::View(rule) => return view(op, *rule, feeds, args, mode),
        Body::Inline(_) => {}
    }
    let op = of_complex(op, feeds)?;
    if let Body::Inline(body) = op.body {
        return inline(op, body, feeds, args, mode);
    }
    let seen: Pair<Seen> = feeds.iter().map(|f| Seen::of(f, mode)).collect();
    let outs = match &op.body {
        Body::Kernel(meta, run) => kernel(op, *meta, *run, &seen, args, mode)?,
        _ => run_map(op, &seen, args, mode)?,
    };
    if mode.probe() {
        return Ok(outs);
    }
    finish(op, &seen, args, outs, mode)
}

fn view(op: &'static Op, rule: ViewRule, feeds: &[Feed], args: &[Arg], mode: Mode) -> Result<Outs> {
    let base = match feeds {
        [Feed::Tensor(base)] => *base,
        [Feed::Operand(x)] => {
            let layout = rule(&x.layout, args)?;
            check_inside(op, &layout, x)?;
            return Ok(Outs::One(Tensor::from_operand(seen_as(op, x, layout)?)));
        }
        _ => return Err(Error::type_(op.name, "a view is taken of one tensor")),
    };
    if let Some(done) = super::quick::view(op, rule, base, args, mode) {
        return done.map(Outs::One);
    }
    let x = look(base, mode);
    if mode.probe() {
        mode::note_read(x.tag);
        let layout = rule(&Layout::contiguous(x.operand.layout.shape.clone()), args)?;
        return Ok(Outs::One(stand_in(Meta { shape: layout.shape, dtype: dtype_of(op, x.operand.dtype)? }, 0)));
    }
    let layout = rule(&x.operand.layout, args)?;
    check_inside(op, &layout, &x.operand)?;
    let seen = seen_as(op, &x.operand, layout)?;
    let out = view_of(base, &x, seen, mode);
    if x.edge.is_none() && x.flags & flag::STRICT == 0 {
        return Ok(Outs::One(out));
    }
    let located = crate::ops::strided::located(op, &x.operand.layout, args);
    finish(op, &smallvec![Seen::Tensor(x)], located.as_deref().unwrap_or(args), Outs::One(out), mode)
}

fn kernel(op: &'static Op, meta: MetaRule, run: Kernel, seen: &Pair<Seen>, args: &[Arg], mode: Mode) -> Result<Outs> {
    let moved;
    let (mut metas, mut ins) = (SmallVec::<[Option<Meta>; 3]>::new(), SmallVec::<[Option<&Operand>; 3]>::new());
    for s in seen.iter() {
        let operand = s.look().map(|l| &l.operand);
        metas.push(operand.map(|o| Meta { shape: o.layout.shape.clone(), dtype: o.dtype }));
        ins.push(operand);
    }
    let made = meta(&metas, args)?;
    if mode.probe() {
        note(seen);
        return Ok(outs_of(made.into_iter().map(|m| stand_in(m, 0)).collect()));
    }
    let device = together(op.name, |k| op.called(k), ins.iter().copied())?;
    let backend = at(device)?;
    moved = if device.is_cpu() { SmallVec::<[Option<Operand>; 3]>::new() } else { brought(&ins, device)? };
    for (slot, own) in ins.iter_mut().zip(&moved) {
        *slot = own.as_ref();
    }
    // Where there is nothing to read, a kernel that writes only what it reads leaves zeros, never what memory held.
    let nothing = ins.iter().flatten().any(|o| o.layout.numel() == 0);
    let room = |m: &Meta| -> Result<Operand> {
        let out = Operand::new(backend, &m.shape, m.dtype)?;
        if nothing && out.numel() > 0 {
            of(&out.storage).launch(&Launch::Fill { dst: &out, value: Number::Int(0) })?;
        }
        Ok(out)
    };
    if let [m] = &made[..] {
        let own = ins.first().copied().flatten().filter(|_| op.quirk == Quirk::Keeps);
        if let Some((x, order)) = own.and_then(|x| Some((x, memory_order(&[&x.layout])?))) {
            let x = x.view(x.layout.permute(&order));
            let mut out = room(&Meta { shape: x.layout.shape.clone(), dtype: m.dtype })?;
            run(&Call { ins: &[Some(&x)], outs: std::slice::from_ref(&out), args }).map_err(|e| named(e, op))?;
            out.layout = out.layout.restored(&order);
            return Ok(Outs::One(Tensor::from_operand(out)));
        }
        let out = room(m)?;
        run(&Call { ins: &ins, outs: std::slice::from_ref(&out), args }).map_err(|e| named(e, op))?;
        return Ok(Outs::One(Tensor::from_operand(out)));
    }
    let outs = made.iter().map(room).collect::<Result<Vec<_>>>()?;
    run(&Call { ins: &ins, outs: &outs, args }).map_err(|e| named(e, op))?;
    Ok(Outs::Many(outs.into_iter().map(Tensor::from_operand).collect()))
}

/// Operands on one device: a number that lies on the host is brought to the others.
#[cold]
fn brought(ins: &[Option<&Operand>], device: Device) -> Result<SmallVec<[Option<Operand>; 3]>> {
    ins.iter().map(|x| x.map(|x| transfer(x, device)).transpose()).collect()
}

/// What a device has no kernel for is said in the operation's name.
#[cold]
pub(crate) fn named(error: Error, op: &Op) -> Error {
    if error.kind() == ErrorKind::Missing { error.named(op.name) } else { error }
}

fn outs_of(mut list: Vec<Tensor>) -> Outs {
    if list.len() == 1 { Outs::One(list.swap_remove(0)) } else { Outs::Many(list) }
}

/// A view must stay inside its storage.
#[inline]
pub(crate) fn check_inside(op: &Op, layout: &Layout, x: &Operand) -> Result<()> {
    if op.quirk == Quirk::Reaches { check_reach(op.name, layout, x) } else { Ok(()) }
}

fn check_reach(op: &str, layout: &Layout, x: &Operand) -> Result<()> {
    let (low, high) = layout.span();
    let room = x.storage.len() / x.dtype.size();
    if low < 0 || high > room as isize && layout.numel() > 0 {
        return Err(Error::runtime(
            op,
            format!(
                "sizes {:?} with strides {:?} from {} reach past the storage of {room} elements",
                &layout.shape[..],
                &layout.strides[..],
                layout.offset
            ),
        ));
    }
    Ok(())
}

fn view_of(base: &Tensor, x: &Look, seen: Operand, mode: Mode) -> Tensor {
    let mut core = Core::plain(seen);
    core.flags = x.flags & flag::INFERENCE;
    core.family = x.family.clone();
    core.seen = x.version;
    if x.flags & flag::VARIABLE == 0 {
        let root = base.0.core.get().base.clone();
        core.base = Some(root.unwrap_or_else(|| base.clone()));
    }
    if !mode.grad() {
        core.flags |= flag::QUIET_VIEW;
    }
    Tensor::from_core(core)
}

/// The mark of what is made in this mode.
#[inline]
pub(crate) fn made_in(mode: Mode) -> u8 {
    if mode.inference() { flag::INFERENCE } else { 0 }
}

/// Attaches the node, and passes on what operands hand down.
#[inline]
pub(crate) fn finish(op: &'static Op, seen: &Pair<Seen>, args: &[Arg], outs: Outs, mode: Mode) -> Result<Outs> {
    let (mut needs, mut strict, mut requires) = (0u32, 0u8, false);
    for (i, s) in seen.iter().enumerate() {
        if let Some(look) = s.look() {
            strict |= look.flags & flag::STRICT;
            if look.edge.is_some() && look.operand.dtype.is_inexact() {
                needs |= 1 << i.min(31);
                requires |= look.requires && mode.grad();
            }
        }
    }
    let marks = strict | made_in(mode);
    if marks != 0 {
        let mark = |t: &Tensor| t.set_flag(marks, true);
        match &outs {
            Outs::One(t) => mark(t),
            Outs::Many(list) => list.iter().for_each(mark),
        }
    }
    if needs != 0 {
        let list = match &outs {
            Outs::One(t) => std::slice::from_ref(t),
            Outs::Many(list) => &list[..],
        };
        if list.iter().any(|t| t.dtype().is_inexact()) {
            attach(op, seen, args, list, needs, requires, mode)?;
        }
    }
    Ok(outs)
}

#[inline(never)]
fn attach(op: &'static Op, seen: &Pair<Seen>, args: &[Arg], outs: &[Tensor], needs: u32, requires: bool, mode: Mode) -> Result<()> {
    let mut rule = Rule::Op(op);
    if mode.overridden()
        && let Some(find) = OVERRIDES.get()
        && let Some(own) = find(op)?
    {
        rule = Rule::Dynamic(own);
    }
    let reads = match &rule {
        Rule::Op(_) => reads(op, seen, args, || outs.iter().map(|t| Meta { shape: t.shape(), dtype: t.dtype() }).collect(), needs)?,
        Rule::Dynamic(_) => u32::MAX,
    };
    let below = seen.iter().filter_map(Seen::look).map(|l| l.serial).max().unwrap_or(0);
    let mut draft = draft(rule, args, outs.len(), below, mode);
    for (i, s) in seen.iter().enumerate() {
        match s {
            Seen::Absent => draft.input(None, Kept::Absent, 0),
            Seen::Number(n) => draft.input(None, Kept::Number(*n), 0),
            Seen::Tensor(look) => {
                let edge = if look.operand.dtype.is_inexact() { look.edge.clone() } else { None };
                let full = reads >> i.min(7) & 1 == 1;
                if full && look.flags & flag::INFERENCE != 0 {
                    return Err(Error::runtime(
                        op.name,
                        "a tensor made in inference mode cannot be kept for the derivative; use x.clone() outside of inference mode",
                    ));
                }
                let kept = Kept::of(&look.operand, full.then(|| (look.version, look.family.clone())));
                draft.input(edge, kept, look.operand.numel());
            }
        }
    }
    for (k, t) in outs.iter().enumerate() {
        let core = t.0.core.get();
        let full = reads >> (OUTPUT_BIT + k as u32) & 1 == 1;
        draft.output(core.kept(full));
    }
    let node = finished(draft, mode);
    if mode.careful()
        && let Some(find) = KEEPER.get()
        && let Some(keep) = find()
    {
        node.pack(&*keep)?;
    }
    for (k, t) in outs.iter().enumerate() {
        let mut core = t.0.core.get();
        if core.operand.dtype.is_inexact() {
            core.edge = Some((node.clone(), k as u32));
            core.requires_grad = requires;
        }
    }
    Ok(())
}

pub(crate) fn make(
    rule: Rule,
    args: &[Arg],
    edges: Pair<Option<Edge>>,
    kept: Keeps,
    outputs: usize,
    inputs_serial: u64,
    mode: Mode,
) -> Arc<Node> {
    let mut draft = draft(rule, args, outputs, inputs_serial, mode);
    for (edge, kept) in edges.into_iter().zip(kept.inputs) {
        let numel = kept.numel();
        draft.input(edge, kept, numel);
    }
    kept.outputs.into_iter().for_each(|k| draft.output(k));
    finished(draft, mode)
}

/// A node to be filled, younger than what it is made of.
#[inline]
fn draft(rule: Rule, args: &[Arg], outputs: usize, below: u64, mode: Mode) -> Draft {
    let place = if mode.tape() || mode.careful() { LOCATOR.get().and_then(|f| f()) } else { None };
    Draft::new(rule, args, outputs, mode::next_serial(below), place)
}

#[inline]
fn finished(draft: Draft, mode: Mode) -> Arc<Node> {
    let node = draft.done();
    if mode.tape() {
        tape::note(&node);
    }
    node
}

/// Which operands and results the derivative reads when these inputs need gradients: found out once by running the rule
/// over stand-ins.
pub(crate) fn reads(op: &'static Op, seen: &Pair<Seen>, args: &[Arg], outs: impl Fn() -> Vec<Meta>, needs: u32) -> Result<u32> {
    let Some(vjp) = op.vjp else { return Ok(0) };
    let (mut plain, mut odd) = (0, 0);
    for (i, s) in seen.iter().enumerate() {
        match s.look() {
            Some(l) if l.operand.layout.is_odd() => odd = ODD_SHAPE,
            Some(_) => {}
            None => plain |= 1 << i.min(31),
        }
    }
    // Operators of more than three operands find no place in the table and are read each time.
    let (key, asked) = match (op.is_list(), seen.len()) {
        (true, _) => (odd, u32::MAX),
        (false, 0..=3) => (needs | plain << 3 | odd, needs),
        _ => (u32::MAX, needs),
    };
    if let Some(known) = op.saves.get(key) {
        return Ok(known);
    }
    let probe = || {
        let ins: Vec<Sym> = seen
            .iter()
            .enumerate()
            .map(|(i, s)| match s {
                Seen::Absent => Sym::Absent,
                Seen::Number(n) => Sym::Number(*n),
                Seen::Tensor(l) => {
                    Sym::Tensor(stand_in(Meta { shape: l.operand.layout.shape.clone(), dtype: l.operand.dtype }, 1 << i.min(7)))
                }
            })
            .collect();
        let metas = outs();
        let made: Vec<Sym> =
            metas.iter().enumerate().map(|(k, m)| Sym::Tensor(stand_in(m.clone(), 1 << (OUTPUT_BIT + k as u32)))).collect();
        let grads: Vec<Option<Sym>> = metas.into_iter().map(|m| m.dtype.is_inexact().then(|| Sym::Tensor(stand_in(m, 0)))).collect();
        vjp(&Pull { grads: &grads, ins: &ins, outs: &made, args, needs: Needs(asked) });
    };
    let mut found = 0;
    caught(|| {
        found = mode::probing(probe);
        Ok(())
    })?;
    if op.is_list() {
        // What holds for the last of a list holds for every later one.
        let last = (seen.len() - 1).min(7);
        if found >> last & 1 == 1 {
            found |= 0xff & !((1 << last) - 1);
        }
    }
    op.saves.set(key, found);
    Ok(found)
}

/// Runs a rule; an error inside it unwinds to here.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)) {
        Ok(result) => result,
        Err(payload) => match payload.downcast::<Error>() {
            Ok(error) => Err(*error),
            Err(payload) => {
                let text = payload
                    .downcast_ref::<String>()
                    .cloned()
                    .or_else(|| payload.downcast_ref::<&str>().map(ToString::to_string))
                    .unwrap_or_default();
                Err(Error::bug("engine", format!("a panic: {text}")))
            }
        },
    }
}

fn note(seen: &Pair<Seen>) {
    seen.iter().filter_map(Seen::look).for_each(|l| mode::note_read(l.tag));
}

/// A tensor without elements: shape and dtype for a rule that is only being read.
fn stand_in(meta: Meta, tag: u32) -> Tensor {
    let storage = crate::graph::sym::must(crate::backend::Storage::new(0));
    let layout = Layout::contiguous(meta.shape);
    let mut core = Core::plain(Operand { storage: Arc::new(storage), layout, dtype: meta.dtype });
    core.flags = flag::PROBE;
    core.tag = tag;
    Tensor::from_core(core)
}

/// Runs what an operator is made of.
pub(super) fn parts(body: Inline, feeds: &[Feed], args: &[Arg]) -> Result<Outs> {
    let ins: Vec<Option<Sym>> = feeds
        .iter()
        .map(|f| match f {
            Feed::Tensor(t) => Some(Sym::Tensor((*t).clone())),
            Feed::Operand(o) => Some(Sym::Tensor(Tensor::from_operand((*o).clone()))),
            Feed::Number(n) => Some(Sym::Number(*n)),
            Feed::Absent => None,
        })
        .collect();
    caught(|| body(&ins, args)).map(outs_of)
}

fn inline(op: &'static Op, body: Inline, feeds: &[Feed], args: &[Arg], mode: Mode) -> Result<Outs> {
    if op.vjp.is_none() || mode.probe() {
        return parts(body, feeds, args);
    }
    let seen: Pair<Seen> = feeds.iter().map(|f| Seen::of(f, mode)).collect();
    let outs = {
        let _quiet = mode::GradGuard::set(false);
        parts(body, feeds, args)?
    };
    let alone = |t: &Tensor| {
        let storage = t.storage();
        !seen.iter().filter_map(Seen::look).any(|l| Arc::ptr_eq(&l.operand.storage, &storage))
    };
    match &outs {
        Outs::One(t) => [t].into_iter().filter(|t| alone(t)).for_each(own),
        Outs::Many(list) => list.iter().filter(|t| alone(t)).for_each(own),
    }
    finish(op, &seen, args, outs, mode)
}

/// A result that is a view of what was made on the way to it is nobody's view.
fn own(t: &Tensor) {
    let mut core = t.0.core.get();
    let base = core.base.take();
    core.flags &= !flag::QUIET_VIEW;
    core.seen = core.version();
    drop(core);
    drop(base);
}

fn run_map(op: &'static Op, seen: &Pair<Seen>, args: &[Arg], mode: Mode) -> Result<Outs> {
    let Body::Map(body) = &op.body else { return Err(Error::bug(op.name, "not a map")) };
    let (compute, result) = settle(op, seen, mode)?;
    let shape = common_shape(op, seen)?;
    if mode.probe() {
        note(seen);
        return Ok(Outs::One(stand_in(Meta { shape, dtype: result }, 0)));
    }
    check_divisor(op, seen, compute)?;
    let mut ins = spread(seen, &shape, compute, op)?;
    // Operands that share another order of axes are gone through in that order, which the result keeps.
    let order = memory_order(&ins.iter().map(|x| &x.layout).collect::<SmallVec<[_; 3]>>());
    if let Some(order) = &order {
        ins.iter_mut().for_each(|x| x.layout = x.layout.permute(order));
    }
    let lies = order.as_ref().map_or_else(|| shape.clone(), |order| order.iter().map(|&i| shape[i]).collect());
    if op.class == Class::Logic {
        ins = as_truths(ins)?;
    }
    let backend = at(together(op.name, |k| op.called(k), seen.iter().map(|s| s.look().map(|l| &l.operand)))?)?;
    let mut outs = Vec::with_capacity(body.outputs);
    for _ in 0..body.outputs {
        outs.push(Operand::new(backend, &lies, result)?);
    }
    let params = numbers(op, args, compute)?;
    backend.launch(&Launch::Map { body, compute, params: &params, ins: &ins, outs: &outs }).map_err(|e| named(e, op))?;
    if let Some(order) = order {
        outs.iter_mut().for_each(|out| out.layout = out.layout.restored(&order));
    }
    Ok(outs_of(outs.into_iter().map(Tensor::from_operand).collect()))
}
