//! Tasks made ready to be run again: operands bound to slots that are aimed anew each time, memory in one arena.
//! Leans on task and storage.

use super::cpu::chain::{self, Chain, TILES};
use super::cpu::map::TILE;
use super::launch::{MapBody, Operand};
use super::storage::Storage;
use super::task::{Task, Work};
use crate::base::shape::Shape;
use crate::base::{DType, Error, Layout, Number, Result};
use smallvec::SmallVec;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The arena's grain in bytes.
const GRAIN: usize = 64;

/// An operand from outside: where it is aimed, and the form it must have.
struct Slot {
    storage: Arc<Storage>,
    layout: Layout,
    dtype: DType,
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
}

/// A list of launches that can be run again over other memory.
pub struct Program {
    steps: Vec<Step>,
    slots: Vec<Slot>,
    outs: Vec<Out>,
    /// The storages that operands from outside had in the last run: what has not changed needs no new look.
    bound: Vec<usize>,
    pub facts: Facts,
}

/// What runs at a time.
enum Step {
    One(Box<Heard>),
    Chain(Chain),
}

impl Step {
    fn run(&self) -> Result<()> {
        match self {
            Step::One(one) => one.task.run(),
            Step::Chain(chain) => chain.run(),
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
}

impl Part {
    fn of(task: &Task) -> Part {
        let forms = |list: &[Operand]| list.iter().map(|o| (o.dtype, o.layout.shape.clone())).collect();
        let body = if let Work::Map { body, .. } = task.work { Some(body) } else { None };
        Part { family: task.name(), body, reads: forms(task.reads()), writes: forms(task.writes()) }
    }
    /// Bytes that it reads and writes.
    pub fn bytes(&self) -> usize {
        self.reads.iter().chain(&self.writes).map(|(dtype, shape)| dtype.size() * shape.iter().product::<usize>()).sum()
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

fn at(operand: &Operand) -> usize {
    operand.storage.address()
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
            ends.push(Out { storage: Arc::new(Storage::aimed()), bytes: storage.len() });
        }
        for task in &heard {
            for operand in &task.task.operands {
                kinds.entry(at(operand)).or_insert(if born(at(operand)) { Kind::Inner } else { Kind::Fixed });
            }
        }
        let heard = fold(heard, &mut kinds, constant, &mut facts);
        let heard = same(heard, &kinds, &mut facts);
        let mut heard = live(heard, &kinds, &mut facts);
        facts.elements = heard.iter().flat_map(|one| &one.task.operands).map(Operand::numel).sum();
        reach(&heard, &kinds, ins, &mut slots);
        let (runs, local) = runs(&heard, &kinds);
        let (arena, places) = places(&heard, &runs, &kinds, &local);
        facts.arena = arena;
        let room = Arc::new(if arena == 0 { Storage::new(0)? } else { Storage::zeroed(arena)? });
        for operand in heard.iter_mut().flat_map(|one| &mut one.task.operands) {
            let key = at(operand);
            match kinds.get(&key) {
                Some(Kind::In(k)) => {
                    let slot = &slots[*k];
                    operand.layout.offset -= if slot.whole.is_some() { 0 } else { ins[*k].layout.offset - slot.below };
                    operand.storage = slot.storage.clone();
                }
                Some(Kind::Out(k)) => operand.storage = ends[*k].storage.clone(),
                Some(Kind::Inner) if !local.contains_key(&key) => {
                    operand.layout.offset += places.get(&key).copied().unwrap_or(0) / operand.dtype.size();
                    operand.storage = room.clone();
                }
                _ => {}
            }
        }
        let mut steps = Vec::with_capacity(runs.len());
        let mut rest = heard.into_iter();
        for count in runs {
            let mut part: Vec<Heard> = rest.by_ref().take(count).collect();
            facts.steps.push(part.iter().map(|one| Part::of(&one.task)).collect());
            let small = part[0].task.writes().first().is_some_and(|o| o.numel() <= TILE);
            if part.len() > 1 || small && chain::is_link(&part[0].task) {
                facts.fused += part.len() - 1;
                let travelling: usize = part.iter().flat_map(|p| p.task.writes()).filter(|o| local.contains_key(&at(o))).count();
                let first = part.iter().flat_map(|p| p.task.writes()).filter_map(|o| local.get(&at(o))).min().copied().unwrap_or(0);
                let tasks = part.into_iter().map(|p| (p.task, p.call)).collect();
                steps.push(Step::Chain(Chain::new(tasks, |o| local.get(&at(o)).map(|k| k - first), travelling)?));
            } else {
                steps.extend(part.pop().map(|one| Step::One(Box::new(one))));
            }
        }
        facts.launches = steps.len();
        let bound = vec![0; slots.len()];
        Ok(Program { steps, slots, outs: ends, bound, facts })
    }

    /// Whether an operand has the form that the k-th one from outside had.
    #[inline]
    pub fn fits(&self, k: usize, own: &Operand) -> bool {
        let slot = &self.slots[k];
        own.dtype == slot.dtype
            && own.layout.lies_like(&slot.layout)
            && slot.whole.is_none_or(|bytes| bytes == own.storage.len() && own.layout.offset == slot.layout.offset)
            && (!slot.written || own.storage.is_writable())
    }
    /// Fresh storages for all that it fills.
    #[inline]
    pub fn rooms(&self) -> Result<SmallVec<[Arc<Storage>; 8]>> {
        self.outs.iter().map(|o| Storage::new(o.bytes).map(Arc::new)).collect()
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
        for (slot, own) in self.slots.iter().zip(ins) {
            let first = if slot.whole.is_some() { own.storage.ptr() } else { own.ptr().wrapping_sub(slot.below * own.dtype.size()) };
            slot.storage.aim(first);
        }
        Some(Bound { program: self, _ins: ins })
    }
}

/// A program aimed at operands that are held while it runs.
pub struct Bound<'a> {
    program: &'a mut Program,
    _ins: &'a [&'a Operand],
}

impl Bound<'_> {
    /// Gives the numbers of a host's call to the tasks that take them.
    pub fn set_numbers(&mut self, call: usize, numbers: &[Number]) {
        for step in &mut self.program.steps {
            match step {
                Step::Chain(chain) => chain.set_numbers(call, numbers),
                Step::One(one) => {
                    if let (Work::Map { params, .. }, true) = (&mut one.task.work, one.call == Some(call)) {
                        *params = numbers.into();
                    }
                }
            }
        }
    }
    /// Says from where the n-th draw draws.
    pub fn set_draw(&mut self, draw: usize, seed: u64, offset: u64) {
        for step in &mut self.program.steps {
            let Step::One(one) = step else { continue };
            if let (Work::Random { seed: s, offset: o, .. }, true) = (&mut one.task.work, one.draw == Some(draw)) {
                (*s, *o) = (seed, offset);
            }
        }
    }

    /// Runs all launches, into storages of the sizes asked for.
    pub fn run(self, outs: &[Arc<Storage>]) -> Result<()> {
        let program = self.program;
        if outs.len() != program.outs.len() || outs.iter().zip(&program.outs).any(|(own, out)| own.len() < out.bytes) {
            return Err(Error::bug("compile", "a program was given too little room for its results"));
        }
        for (own, out) in outs.iter().zip(&program.outs) {
            out.storage.aim(own.ptr());
        }
        program.steps.iter().try_for_each(Step::run)
    }
}

/// Takes out what comes out the same each time: nothing from outside and no draw lies behind it. What such tasks have left
/// behind when they were heard is what they always leave.
fn fold(heard: Vec<Heard>, kinds: &mut HashMap<usize, Kind>, constant: impl Fn(usize) -> bool, facts: &mut Facts) -> Vec<Heard> {
    let mut varies: HashSet<usize> = HashSet::new();
    loop {
        let known = varies.len();
        // The last write to each storage: who reads it before, saw something else than what is left.
        let mut last: HashMap<usize, usize> = HashMap::new();
        for (i, one) in heard.iter().enumerate() {
            for out in one.task.writes() {
                last.insert(at(out), i);
            }
        }
        for (i, one) in heard.iter().enumerate() {
            let task = &one.task;
            let moved = one.call.is_some()
                || one.draw.is_some()
                || task.reads().iter().chain(task.writes()).any(|o| match kinds.get(&at(o)) {
                    Some(Kind::Inner) => varies.contains(&at(o)),
                    Some(Kind::Fixed) => !constant(at(o)),
                    _ => true,
                });
            if moved {
                varies.extend(task.writes().iter().map(at));
                varies.extend(task.reads().iter().filter(|o| last.get(&at(o)).is_some_and(|&l| l > i)).map(at));
            }
        }
        if varies.len() == known {
            break;
        }
    }
    let (gone, rest): (Vec<Heard>, Vec<Heard>) =
        heard.into_iter().partition(|one| one.task.written > 0 && one.task.writes().iter().all(|o| !varies.contains(&at(o))));
    facts.folded = gone.len();
    for out in gone.iter().flat_map(|one| one.task.writes()) {
        kinds.insert(at(out), Kind::Fixed);
    }
    rest
}

/// Leaves out a map that computes again what an earlier one has computed.
fn same(heard: Vec<Heard>, kinds: &HashMap<usize, Kind>, facts: &mut Facts) -> Vec<Heard> {
    // Only results that are written once, whole, by one map, from operands that are not written after.
    let mut writes: HashMap<usize, usize> = HashMap::new();
    for one in &heard {
        for out in one.task.writes() {
            *writes.entry(at(out)).or_default() += 1;
        }
    }
    let once = |o: &Operand| kinds.get(&at(o)) == Some(&Kind::Inner) && writes.get(&at(o)) == Some(&1);
    let still = |o: &Operand| match kinds.get(&at(o)) {
        Some(Kind::Inner) => once(o),
        _ => !writes.contains_key(&at(o)),
    };
    let mut seen: Vec<usize> = Vec::new();
    let mut instead: HashMap<usize, Operand> = HashMap::new();
    let mut kept: Vec<Heard> = Vec::new();
    for mut one in heard {
        let reads = one.task.operands.len() - one.task.written;
        for operand in &mut one.task.operands[..reads] {
            if let Some(other) = instead.get(&at(operand)) {
                operand.storage = other.storage.clone();
            }
        }
        let task = &one.task;
        let plain = one.call.is_none()
            && one.draw.is_none()
            && task.written == 1
            && once(&task.writes()[0])
            && task.writes()[0].layout.is_contiguous()
            && task.reads().iter().all(still);
        let Work::Map { body, compute, params } = &task.work else {
            kept.push(one);
            continue;
        };
        if !plain {
            kept.push(one);
            continue;
        }
        let twin = seen.iter().copied().find(|&k| {
            let other: &Task = &kept[k].task;
            let Work::Map { body: b, compute: c, params: p } = &other.work else { return false };
            std::ptr::eq(*b, *body)
                && c == compute
                && p == params
                && other.reads().len() == task.reads().len()
                && other.reads().iter().zip(task.reads()).all(|(x, y)| at(x) == at(y) && x.layout == y.layout && x.dtype == y.dtype)
                && other.writes()[0].layout == task.writes()[0].layout
        });
        match twin {
            Some(k) => {
                instead.insert(at(&task.writes()[0]), kept[k].task.writes()[0].clone());
                facts.same += 1;
            }
            None => {
                seen.push(kept.len());
                kept.push(one);
            }
        }
    }
    kept
}

/// Leaves out what nobody reads.
fn live(heard: Vec<Heard>, kinds: &HashMap<usize, Kind>, facts: &mut Facts) -> Vec<Heard> {
    let mut wanted: HashMap<usize, bool> = HashMap::new();
    let mut keep = vec![false; heard.len()];
    for (i, one) in heard.iter().enumerate().rev() {
        let task = &one.task;
        let leaves = |o: &Operand| !matches!(kinds.get(&at(o)), Some(Kind::Inner)) || wanted.get(&at(o)).copied().unwrap_or(false);
        if task.written == 0 || task.writes().iter().any(leaves) {
            keep[i] = true;
            for operand in task.reads().iter().chain(if task.adds() { task.writes() } else { &[] }) {
                wanted.insert(at(operand), true);
            }
        }
    }
    facts.dead = keep.iter().filter(|k| !**k).count();
    heard.into_iter().zip(keep).filter_map(|(one, keep)| keep.then_some(one)).collect()
}

/// Finds out how far tasks reach around the operands from outside, and which of them they write.
fn reach(heard: &[Heard], kinds: &HashMap<usize, Kind>, ins: &[Operand], slots: &mut [Slot]) {
    for one in heard {
        let reads = one.task.operands.len() - one.task.written;
        for (i, operand) in one.task.operands.iter().enumerate() {
            let Some(&Kind::In(k)) = kinds.get(&at(operand)) else { continue };
            let own = &ins[k];
            let ((low, high), (first, last)) = (operand.layout.span(), own.layout.span());
            let inside = operand.dtype == own.dtype && low >= first && high <= last || operand.layout.numel() == 0;
            if !inside {
                slots[k].whole = Some(own.storage.len());
            }
            slots[k].written |= i >= reads;
        }
    }
}

/// Where each inner storage lies in the arena: large ones first, each at the lowest place that is free while it is used.
fn places(heard: &[Heard], runs: &[usize], kinds: &HashMap<usize, Kind>, local: &HashMap<usize, usize>) -> (usize, HashMap<usize, usize>) {
    struct Life {
        key: usize,
        bytes: usize,
        first: usize,
        last: usize,
    }
    let mut lives: Vec<Life> = Vec::new();
    let mut index: HashMap<usize, usize> = HashMap::new();
    // What runs together lives together: tiles of the last task may be written before the first one has ended.
    let turns = runs.iter().enumerate().flat_map(|(i, &count)| std::iter::repeat_n(i, count));
    for (one, i) in heard.iter().zip(turns) {
        for operand in &one.task.operands {
            let key = at(operand);
            if kinds.get(&key) != Some(&Kind::Inner) || local.contains_key(&key) {
                continue;
            }
            let k = *index.entry(key).or_insert_with(|| {
                lives.push(Life { key, bytes: operand.storage.len().next_multiple_of(GRAIN).max(GRAIN), first: i, last: i });
                lives.len() - 1
            });
            lives[k].last = i;
        }
    }
    lives.sort_by_key(|l| std::cmp::Reverse(l.bytes));
    let mut placed: Vec<(usize, usize, usize, usize)> = Vec::new();
    let mut found = HashMap::new();
    let mut total = 0;
    for life in &lives {
        let mut taken: Vec<(usize, usize)> = placed
            .iter()
            .filter(|(_, _, first, last)| *first <= life.last && life.first <= *last)
            .map(|(start, end, ..)| (*start, *end))
            .collect();
        taken.sort_unstable();
        let mut start = 0;
        for (from, to) in taken {
            if from >= start + life.bytes {
                break;
            }
            start = start.max(to);
        }
        placed.push((start, start + life.bytes, life.first, life.last));
        found.insert(life.key, start);
        total = total.max(start + life.bytes);
    }
    (total, found)
}

/// How many tasks run together, one after the other; and the storages whose values never reach memory, numbered.
fn runs(heard: &[Heard], kinds: &HashMap<usize, Kind>) -> (Vec<usize>, HashMap<usize, usize>) {
    let mut uses: HashMap<usize, (usize, usize)> = HashMap::new();
    for (i, operand) in heard.iter().enumerate().flat_map(|(i, one)| one.task.operands.iter().map(move |o| (i, o))) {
        uses.entry(at(operand)).or_insert((i, i)).1 = i;
    }
    let (mut runs, mut local) = (Vec::new(), HashMap::new());
    let mut start = 0;
    while start < heard.len() {
        let mut end = start + 1;
        if chain::is_link(&heard[start].task) {
            let mut tiles = wants(&heard[start].task);
            while end < heard.len() && joins(&heard[start..end], &heard[end].task) && tiles + wants(&heard[end].task) <= TILES {
                tiles += wants(&heard[end].task);
                end += 1;
            }
        }
        if end - start > 1 {
            let part = &heard[start..end];
            for out in part.iter().flat_map(|one| one.task.writes()) {
                let key = at(out);
                let inside = uses.get(&key).is_some_and(|&(first, last)| first >= start && last < end);
                let whole = |o: &Operand| at(o) != key || o.layout == out.layout && o.dtype == out.dtype;
                let as_is = part.iter().all(|one| {
                    let dtype = match one.task.work {
                        Work::Map { compute, .. } => compute,
                        _ => one.task.writes()[0].dtype,
                    };
                    one.task.operands.iter().all(whole) && one.task.reads().iter().all(|o| at(o) != key || o.dtype == dtype)
                });
                if kinds.get(&key) == Some(&Kind::Inner) && inside && as_is && !local.contains_key(&key) {
                    local.insert(key, local.len());
                }
            }
        }
        runs.push(end - start);
        start = end;
    }
    (runs, local)
}

/// Tiles that a task may need in a chain: one for each result, and for each operand that is not read where it lies.
fn wants(task: &Task) -> usize {
    let through = |o: &&Operand| match task.work {
        Work::Map { compute, .. } => !o.layout.is_contiguous() || o.dtype != compute,
        _ => false,
    };
    task.written + task.reads().iter().filter(through).count()
}

/// Whether a task can run tile by tile with those before it: where it meets what they read or write, it meets the same elements.
fn joins(before: &[Heard], task: &Task) -> bool {
    let Some(out) = task.writes().first() else { return false };
    let n = before[0].task.writes()[0].numel();
    if out.numel() != n || !chain::is_link(task) {
        return false;
    }
    let apart = |a: &Operand, b: &Operand| {
        let ((low, high), (first, last)) = (a.layout.span(), b.layout.span());
        at(a) != at(b) || a.dtype == b.dtype && (high <= first || last <= low)
    };
    let alike = |a: &Operand, b: &Operand| {
        a.dtype == b.dtype && a.layout.offset == b.layout.offset && a.layout.is_contiguous() && b.layout.is_contiguous()
    };
    before.iter().all(|one| {
        let clash = |a: &Operand, b: &Operand| !apart(a, b) && !alike(a, b);
        let written = one.task.writes().iter().any(|w| task.operands.iter().any(|o| clash(w, o)));
        let read = one.task.reads().iter().any(|r| task.writes().iter().any(|w| clash(r, w)));
        !written && !read
    })
}
