//! Tasks made ready to be run again: operands bound to slots that are aimed anew each time, memory planned once.
//! Leans on task and storage; how tasks are put together and run is the backend's.

pub mod lay;
mod passes;

use super::cpu::chain::Steps;
use super::launch::{Backend, MapBody, Operand};
use super::storage::Storage;
use super::task::{Task, Work};
use super::{of, place};
use crate::base::shape::Shape;
use crate::base::{DType, Device, Error, Layout, Number, Result};
use lay::Uses;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::Arc;

/// An operand from outside: where it is aimed, and the form it must have.
struct Slot {
    storage: Arc<Storage>,
    layout: Layout,
    dtype: DType,
    device: Device,
    /// Elements from the lowest one touched to the first one.
    below: usize,
    /// Set where tasks reach past the operand's own elements: then the whole storage is bound, and its size is fixed.
    whole: Option<usize>,
    written: bool,
    /// The earlier operand whose storage this one shares.
    like: Option<usize>,
}

/// A storage that the program fills for its caller.
struct Out {
    storage: Arc<Storage>,
    bytes: usize,
    device: Device,
}

/// A list of launches that can be run again over other memory.
pub struct Program {
    runner: Runner,
    slots: Vec<Slot>,
    outs: Vec<Out>,
    /// The storages that operands from outside had in the last run: what has not changed needs no new look.
    bound: Vec<usize>,
    device: Device,
    pub facts: Facts,
}

/// Who runs a program's tasks.
enum Runner {
    /// The processor, over memory that its operands are aimed at.
    Near(Steps),
    /// A device's backend, which is told each time what the operands are.
    Away(Box<dyn Away>),
}

/// Tasks that a device's backend has made ready.
pub trait Away: Send {
    fn set_numbers(&mut self, call: usize, numbers: &[Number]);
    fn set_draw(&mut self, draw: usize, seed: u64, offset: u64);
    fn run(&mut self, found: &Found) -> Result<()>;
}

/// Tasks that run together, as a device's backend is given them.
pub struct Turn {
    /// Part after part, each in its order.
    pub tasks: Vec<Heard>,
    /// How many of them each part has.
    pub parts: Vec<usize>,
    pub aims: Vec<Aim>,
    /// The storages whose values pass between them without reaching memory.
    pub local: Vec<usize>,
}

/// An operand of a turn that is another one in each run.
pub struct Aim {
    pub task: usize,
    pub operand: usize,
    pub to: To,
}

#[derive(Clone, Copy, PartialEq)]
pub enum To {
    In(usize),
    Out(usize),
}

/// What a run's operands are: storages, and where the elements that a program counts from begin.
pub struct Found<'a> {
    ins: SmallVec<[(&'a Arc<Storage>, usize); 8]>,
    outs: &'a [Arc<Storage>],
}

impl<'a> Found<'a> {
    pub fn at(&self, to: To) -> (&'a Arc<Storage>, usize) {
        match to {
            To::In(k) => self.ins[k],
            To::Out(k) => (&self.outs[k], 0),
        }
    }
}

/// What a program is made of, for whoever prints it.
#[derive(Clone, Default)]
pub struct Facts {
    pub heard: usize,
    pub dead: usize,
    pub folded: usize,
    pub same: usize,
    /// Copies that were spared.
    pub moved: usize,
    pub launches: usize,
    pub fused: usize,
    pub arena: usize,
    /// Elements that all launches together go over.
    pub elements: usize,
    /// What runs at a time, and of what it is made.
    pub steps: Vec<Vec<Part>>,
}

/// A task of a program in short: its family, its formula where it has one, what it reads and writes.
#[derive(Clone)]
pub struct Part {
    pub family: &'static str,
    pub body: Option<&'static MapBody>,
    pub reads: Vec<(DType, Shape)>,
    pub writes: Vec<(DType, Shape)>,
    /// Bytes that it reads from memory and writes there: not what others hand to it, or it to others, on the way.
    pub moved: usize,
}

impl Part {
    /// Tasks that go along with one another, as one reads them; `local` are the storages that never reach memory.
    fn of(tasks: &[Heard], local: &HashMap<usize, usize>) -> Vec<Part> {
        // Where one element stands for all along an axis, one is what is there.
        let there = |(&n, &by): (&usize, &isize)| if by == 0 { n.min(1) } else { n };
        let shape = |o: &Operand| o.layout.shape.iter().zip(o.layout.strides.iter()).map(there).collect::<Shape>();
        let mut met: Vec<&Operand> = Vec::new();
        let mut parts = Vec::with_capacity(tasks.len());
        for (i, Heard { task, .. }) in tasks.iter().enumerate() {
            let mut part = Part { family: task.name(), body: None, reads: Vec::new(), writes: Vec::new(), moved: 0 };
            if let Work::Map { body, .. } = task.work {
                part.body = Some(body);
            }
            for (k, o) in task.operands.iter().enumerate() {
                let table = task.table(k);
                let bytes = table.as_ref().map_or_else(|| shape(o).iter().product(), |_| o.numel()) * o.dtype.size();
                let form = (o.dtype, table.unwrap_or_else(|| shape(o)));
                let alike = |other: &&Operand| at(other) == at(o) && lay::alike(other, o);
                if k < task.reads().len() {
                    part.moved += if met.iter().any(alike) { 0 } else { bytes };
                    part.reads.push(form);
                } else {
                    let again = tasks[i + 1..].iter().flat_map(|later| later.task.writes()).any(|other| alike(&other));
                    part.moved += if again || local.contains_key(&at(o)) { 0 } else { bytes };
                    part.writes.push(form);
                }
            }
            met.extend(&task.operands);
            parts.push(part);
        }
        parts
    }
}

/// A task with what the caller knows of it.
pub struct Heard {
    pub task: Task,
    /// Its numbers come from this call of the host.
    pub call: Option<usize>,
    /// It draws, as the n-th of the program's draws.
    pub draw: Option<usize>,
}

impl Heard {
    /// Gives it the numbers of a host's call, if they are its own.
    pub fn set_numbers(&mut self, call: usize, numbers: &[Number]) {
        if let (Work::Map { params, .. }, true) = (&mut self.task.work, self.call == Some(call)) {
            *params = numbers.into();
        }
    }
    /// Says from where it draws, if it is the draw of that number.
    pub fn set_draw(&mut self, draw: usize, seed: u64, offset: u64) {
        if let (Work::Random { seed: s, offset: o, .. }, true) = (&mut self.task.work, self.draw == Some(draw)) {
            (*s, *o) = (seed, offset);
        }
    }
}

/// Which storage an operand lies in.
pub fn at(operand: &Operand) -> usize {
    operand.storage.address()
}

/// Whether an operand is all that its storage holds.
fn is_whole(own: &Operand) -> bool {
    own.layout.is_contiguous() && own.layout.offset == 0 && own.numel() * own.dtype.size() == own.storage.len()
}

/// Where a tensor lies in the storages that a program fills.
#[derive(Clone)]
pub struct Filled {
    pub which: usize,
    pub layout: Layout,
    pub dtype: DType,
}

impl Filled {
    /// The operand itself, in the storages of one run.
    pub fn within(&self, outs: &[Arc<Storage>]) -> Operand {
        Operand { storage: outs[self.which].clone(), layout: self.layout.clone(), dtype: self.dtype }
    }
}

/// What a storage of the recording becomes.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Aimed at an operand from outside.
    In(usize),
    /// Aimed at memory that the caller gives.
    Out(usize),
    /// What it holds is what it always holds.
    Fixed,
    /// Made and used up within a run.
    Inner,
}

impl Program {
    /// Makes tasks ready. `ins` are the operands from outside, `outs` storages whose contents leave, `born` says whether a
    /// storage was made by the tasks themselves; what is neither is taken as it is, for ever.
    pub fn new(
        heard: Vec<Heard>,
        ins: &[Operand],
        outs: &[Arc<Storage>],
        born: impl Fn(usize) -> bool,
        constant: impl Fn(usize) -> bool,
    ) -> Result<Program> {
        let mut facts = Facts { heard: heard.len(), ..Facts::default() };
        let mut kinds: HashMap<usize, Kind> = HashMap::new();
        let mut slots = Vec::new();
        for (k, own) in ins.iter().enumerate() {
            let like = ins[..k].iter().position(|other| at(other) == at(own));
            kinds.entry(at(own)).or_insert(Kind::In(k));
            let low = own.layout.span().0.max(0) as usize;
            slots.push(Slot {
                storage: Arc::new(Storage::aimed()),
                layout: own.layout.clone(),
                dtype: own.dtype,
                device: own.device(),
                below: own.layout.offset.saturating_sub(low),
                whole: like.map(|_| own.storage.len()),
                written: false,
                like,
            });
            if let Some(j) = like {
                slots[j].whole = Some(own.storage.len());
            }
        }
        let mut ends = Vec::new();
        for (k, storage) in outs.iter().enumerate() {
            kinds.entry(storage.address()).or_insert(Kind::Out(k));
            ends.push(Out { storage: Arc::new(Storage::aimed()), bytes: storage.len(), device: storage.device() });
        }
        for task in &heard {
            for operand in &task.task.operands {
                kinds.entry(at(operand)).or_insert(if born(at(operand)) { Kind::Inner } else { Kind::Fixed });
            }
        }
        let heard = passes::fold(heard, &mut kinds, constant, &mut facts);
        let heard = passes::same(heard, &kinds, &mut facts);
        let heard = passes::live(heard, &kinds, &mut facts);
        let heard = passes::moves(heard, &kinds, &mut facts);
        facts.elements = heard.iter().flat_map(|one| &one.task.operands).map(Operand::numel).sum();
        lay::reach(&heard, &kinds, ins, &mut slots);
        let away = heard.iter().flat_map(|one| &one.task.operands).find(|o| o.storage.is_away());
        let backend: &'static dyn Backend = away.map_or(Ok(place::at(Device::Cpu)?), |o| Ok(of(&o.storage)))?;
        let weaver = backend.weaver();
        let (runs, local) = {
            let uses = Uses::new(&heard, &kinds);
            let runs = weaver.runs(&heard, &uses);
            let local = lay::locals(&heard, &runs, &uses, weaver);
            (runs, local)
        };
        // The tasks in the order in which they will run.
        let mut list: Vec<Option<Heard>> = heard.into_iter().map(Some).collect();
        let mut heard: Vec<Heard> = runs.iter().flatten().flatten().filter_map(|&i| list[i].take()).collect();
        let counts: Vec<usize> = runs.iter().map(|run| run.iter().map(Vec::len).sum()).collect();
        let mut next = 0;
        for (run, count) in runs.iter().zip(&counts) {
            let mut step = Vec::with_capacity(*count);
            for part in run {
                step.extend(Part::of(&heard[next..next + part.len()], &local));
                next += part.len();
            }
            facts.steps.push(step);
        }
        let mut turns = Turns { kinds: &kinds, local: &local, slots: &slots, ends: &ends, ins };
        let device = backend.device();
        if device.is_cpu() {
            let (arena, places) = lay::places(&heard, &counts, &kinds, &local);
            facts.arena = arena;
            let room = Arc::new(if arena == 0 { Storage::new(0)? } else { Storage::zeroed(arena)? });
            turns.aim(&mut heard, |own| {
                own.layout.offset += places.get(&at(own)).copied().unwrap_or(0) / own.dtype.size();
                own.storage = room.clone();
            });
        } else {
            let (arena, rooms) = lay::rooms(&heard, &counts, &kinds, &local)?;
            facts.arena = arena;
            turns.aim(&mut heard, |own| {
                if let Some(room) = rooms.get(&at(own)) {
                    own.storage = room.clone();
                }
            });
        }
        let mut parts = Vec::with_capacity(runs.len());
        let mut rest = heard.into_iter();
        for (run, count) in runs.iter().zip(counts) {
            let tasks: Vec<Heard> = rest.by_ref().take(count).collect();
            facts.fused += tasks.len() - 1;
            parts.push((tasks, run.iter().map(Vec::len).collect::<Vec<_>>()));
        }
        facts.launches = parts.len();
        let runner = if device.is_cpu() {
            Runner::Near(Steps::new(parts.into_iter().map(|(tasks, _)| tasks), &local)?)
        } else {
            let turns = parts.into_iter().map(|(tasks, parts)| turns.turn(tasks, parts)).collect();
            Runner::Away(backend.away(turns)?)
        };
        let bound = vec![0; slots.len()];
        Ok(Program { runner, slots, outs: ends, bound, device, facts })
    }

    /// Whether an operand has the form that the k-th one from outside had.
    #[inline]
    pub fn fits(&self, k: usize, own: &Operand) -> bool {
        let slot = &self.slots[k];
        own.dtype == slot.dtype
            && own.device() == slot.device
            && own.layout.lies_like(&slot.layout)
            && slot.whole.is_none_or(|bytes| bytes == own.storage.len() && own.layout.offset == slot.layout.offset)
            && (!slot.written || own.storage.is_writable())
    }
    /// Fresh storages for all that it fills.
    #[inline]
    pub fn rooms(&self) -> Result<SmallVec<[Arc<Storage>; 8]>> {
        self.outs.iter().map(|o| place::at(o.device)?.alloc(o.bytes).map(Arc::new)).collect()
    }
    pub fn writes(&self, k: usize) -> bool {
        self.slots[k].written
    }

    /// Whether operands from outside share memory just as they did when the launches were heard.
    fn shares(&mut self, ins: &[&Operand]) -> bool {
        let moved: Vec<usize> = (0..ins.len()).filter(|&k| self.bound[k] != at(ins[k])).collect();
        let torn = |(k, slot): (usize, &Slot)| slot.like.is_some_and(|j| at(ins[k]) != at(ins[j]));
        // One that shared with nobody before must meet none now, if either is written.
        let meets = |&k: &usize| {
            let slot = &self.slots[k];
            let with = |(j, other): (usize, &&Operand)| {
                j != k && at(other) == at(ins[k]) && self.slots[j].like != Some(k) && (slot.written || self.slots[j].written)
            };
            slot.like.is_none() && ins.iter().enumerate().any(with)
        };
        if !moved.is_empty() && (self.slots.iter().enumerate().any(torn) || moved.iter().any(meets)) {
            return false;
        }
        for k in moved {
            self.bound[k] = at(ins[k]);
        }
        true
    }

    /// Aims the program at operands; None where they have another form than those that were heard.
    pub fn bind<'a>(&'a mut self, ins: &'a [&'a Operand]) -> Option<Bound<'a>> {
        let fit = ins.len() == self.slots.len() && ins.iter().enumerate().all(|(k, own)| self.fits(k, own)) && self.shares(ins);
        if !fit {
            return None;
        }
        if self.device.is_cpu() {
            for (slot, own) in self.slots.iter().zip(ins) {
                let first = if slot.whole.is_some() { own.storage.ptr() } else { own.ptr().wrapping_sub(slot.below * own.dtype.size()) };
                slot.storage.aim(first);
            }
        }
        Some(Bound { program: self, ins })
    }
}

/// A program aimed at operands that are held while it runs.
pub struct Bound<'a> {
    program: &'a mut Program,
    ins: &'a [&'a Operand],
}

impl Bound<'_> {
    /// Gives the numbers of a host's call to the tasks that take them.
    pub fn set_numbers(&mut self, call: usize, numbers: &[Number]) {
        match &mut self.program.runner {
            Runner::Near(steps) => steps.set_numbers(call, numbers),
            Runner::Away(away) => away.set_numbers(call, numbers),
        }
    }
    /// Says from where the n-th draw draws.
    pub fn set_draw(&mut self, draw: usize, seed: u64, offset: u64) {
        match &mut self.program.runner {
            Runner::Near(steps) => steps.set_draw(draw, seed, offset),
            Runner::Away(away) => away.set_draw(draw, seed, offset),
        }
    }

    /// Runs all launches, into storages of the sizes asked for.
    pub fn run(self, outs: &[Arc<Storage>]) -> Result<()> {
        let program = self.program;
        if outs.len() != program.outs.len() || outs.iter().zip(&program.outs).any(|(own, out)| own.len() < out.bytes) {
            return Err(Error::bug("compile", "a program was given too little room for its results"));
        }
        match &mut program.runner {
            Runner::Near(steps) => {
                for (own, out) in outs.iter().zip(&program.outs) {
                    out.storage.aim(own.ptr());
                }
                steps.run()
            }
            Runner::Away(away) => {
                let first = |(slot, own): (&Slot, &&Operand)| if slot.whole.is_some() { 0 } else { own.layout.offset - slot.below };
                let ins = program.slots.iter().zip(self.ins).map(|(slot, own)| (&own.storage, first((slot, own)))).collect();
                away.run(&Found { ins, outs })
            }
        }
    }
}

/// Where a program's operands go.
struct Turns<'a> {
    kinds: &'a HashMap<usize, Kind>,
    local: &'a HashMap<usize, usize>,
    slots: &'a [Slot],
    ends: &'a [Out],
    ins: &'a [Operand],
}

impl Turns<'_> {
    /// Puts slots in the place of operands from outside and of those that leave, and what `inner` says in that of the others.
    fn aim(&mut self, heard: &mut [Heard], inner: impl Fn(&mut Operand)) {
        for operand in heard.iter_mut().flat_map(|one| &mut one.task.operands) {
            let key = at(operand);
            match self.kinds.get(&key) {
                Some(Kind::In(k)) => {
                    let slot = &self.slots[*k];
                    operand.layout.offset -= if slot.whole.is_some() { 0 } else { self.ins[*k].layout.offset - slot.below };
                    operand.storage = slot.storage.clone();
                }
                Some(Kind::Out(k)) => operand.storage = self.ends[*k].storage.clone(),
                Some(Kind::Inner) if !self.local.contains_key(&key) => inner(operand),
                _ => {}
            }
        }
    }

    /// Tasks that run together, with what is another one each time.
    fn turn(&mut self, mut tasks: Vec<Heard>, parts: Vec<usize>) -> Turn {
        let (mut aims, mut hidden) = (Vec::new(), HashMap::new());
        for (task, one) in tasks.iter_mut().enumerate() {
            for (operand, own) in one.task.operands.iter_mut().enumerate() {
                let key = at(own);
                let place = |s: &Arc<Storage>| Arc::ptr_eq(s, &own.storage);
                let to = self.slots.iter().position(|s| place(&s.storage)).map(To::In);
                let to = to.or_else(|| self.ends.iter().position(|e| place(&e.storage)).map(To::Out));
                aims.extend(to.map(|to| Aim { task, operand, to }));
                if self.local.contains_key(&key) {
                    // Nobody needs the memory that it had when it was heard.
                    let device = own.device();
                    own.storage = hidden.entry(key).or_insert_with(|| Arc::new(Storage::nowhere(device))).clone();
                }
            }
        }
        let local = hidden.values().map(Storage::address).collect();
        Turn { tasks, parts, aims, local }
    }
}
