//! Maps that follow one another over the same number of elements, run tile by tile so that what passes between them stays in
//! the first cache, up to a fold of all that comes out. Leans on map's loops, convert's reads and fold.

use super::convert::{self, Cursor};
use super::map::TILE;
use super::{fold, stop, threads};
use crate::backend::launch::{FoldKind, MapLoop, Operand};
use crate::backend::program::Heard;
use crate::backend::program::lay::{Run, Uses, Weaver, follows};
use crate::backend::task::{Task, Work};
use crate::base::{DType, Error, Number, Result};
use smallvec::SmallVec;
use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Elements that one thread takes at a time; a whole number of tiles.
const CHUNK: usize = 1 << 15;
/// Tiles of a chain: values on their way, and operands that are spread or converted.
const TILES: usize = 14;
/// Operands of one link, results included.
const MOST: usize = 8;

/// Where a link reads or writes.
enum Place {
    /// Memory of the loop's type, one element after the other, and the bytes of an element.
    Memory(Operand, usize),
    /// A tile that an earlier link, or the chain's beginning, has filled.
    Tile(usize),
    /// What the fold at the end reads, a chunk at a time, and the bytes of an element.
    Room(usize),
    /// Memory that is read through a tile, as the loop's type.
    Through(Operand, Cursor, DType, usize),
}

/// One map, conversion or fill of a chain.
struct Link {
    kernel: Option<MapLoop>,
    dtype: DType,
    params: SmallVec<[Number; 2]>,
    call: Option<usize>,
    ins: SmallVec<[Place; 3]>,
    outs: SmallVec<[Place; 2]>,
}

struct Chain {
    n: usize,
    /// Operands of one element, spread over a tile before the first link runs: the operand, its type there, its tile.
    spread: Vec<(Operand, DType, usize)>,
    links: Vec<Link>,
    tail: Option<Tail>,
}

/// The fold that a chain ends with.
struct Tail {
    kind: FoldKind,
    dtype: DType,
    out: Operand,
    /// What it reads, where others read that too.
    from: Option<Operand>,
}

/// Whether a task folds all that tasks before it, which go over `n` elements, have made.
fn is_tail(before: &[Heard], task: &Task, n: usize) -> bool {
    let Work::Fold { kind, folded, .. } = task.work else { return false };
    let (own, out) = (&task.reads()[0], &task.writes()[0]);
    let made = |o: &Operand| o.storage.address() == own.storage.address() && o.layout.offset == own.layout.offset && o.dtype == own.dtype;
    let meets = |o: &Operand| o.storage.address() == out.storage.address();
    folded == own.layout.rank()
        && own.layout.is_contiguous()
        && own.numel() == n
        && fold::folds_made(kind, own.dtype, n)
        && before.iter().any(|one| one.task.writes().iter().any(made))
        && !before.iter().any(|one| one.task.operands.iter().any(meets))
}

/// Whether a task can be a link.
fn is_link(task: &Task) -> bool {
    let ready = |o: &Operand, dtype: DType| o.dtype == dtype && o.layout.is_contiguous() && o.numel() > 0;
    let n = match task.writes().first() {
        Some(out) => out.numel(),
        None => return false,
    };
    // A tile has eight bytes for an element.
    if task.operands.iter().any(|o| o.dtype.size() > 8) {
        return false;
    }
    let result = match &task.work {
        Work::Map { body, compute, .. } => {
            if compute.size() > 8 || task.operands.len() > MOST || (body.native)(*compute).is_none() {
                return false;
            }
            if body.truth { DType::Bool } else { *compute }
        }
        Work::Copy => task.writes()[0].dtype,
        _ => return false,
    };
    task.writes().iter().all(|o| ready(o, result) && o.numel() == n) && task.reads().iter().all(|o| is_easy(o, n))
}

/// Whether an operand can be read tile by tile without walking across memory.
fn is_easy(o: &Operand, n: usize) -> bool {
    o.numel() == n && (o.layout.is_contiguous() || o.layout.is_one_element() || n <= TILE || rows(o))
}

/// Whether its last axis lies in memory as it is read, and is worth a run.
fn rows(o: &Operand) -> bool {
    matches!((o.layout.strides.last(), o.layout.shape.last()), (Some(0 | 1), Some(&d)) if d >= 8)
}

impl Chain {
    /// Puts tasks together. `local` says which tile a storage's value travels in, where it never reaches memory.
    fn new(mut tasks: Vec<(Task, Option<usize>)>, local: impl Fn(&Operand) -> Option<usize>, mut tiles: usize) -> Result<Chain> {
        let mut chain = Chain { n: tasks[0].0.writes()[0].numel(), spread: Vec::new(), links: Vec::new(), tail: None };
        let mut room = 0;
        if let Some((task, _)) = tasks.pop_if(|(task, _)| matches!(task.work, Work::Fold { .. }))
            && let Work::Fold { kind, .. } = task.work
        {
            let own = &task.reads()[0];
            let hidden = local(own).is_some();
            room = if hidden { own.storage.address() } else { 0 };
            let from = (!hidden).then(|| own.clone());
            chain.tail = Some(Tail { kind, dtype: own.dtype, out: task.writes()[0].clone(), from });
        }
        let in_room = |o: &Operand| o.storage.address() == room;
        // What a link writes may be read by a later one: it is not there yet when the chain begins.
        let bytes = |o: &Operand| {
            let ((low, high), size) = (o.layout.span(), o.dtype.size() as isize);
            (o.storage.address(), low * size, high * size)
        };
        let written: Vec<_> = tasks.iter().flat_map(|(task, _)| task.writes()).map(bytes).collect();
        let is_given = |o: &Operand| {
            let (at, low, high) = bytes(o);
            !written.iter().any(|&(own, first, last)| own == at && low < last && first < high)
        };
        for (task, call) in tasks {
            let reads = task.operands.len() - task.written;
            let (kernel, dtype, params) = match task.work {
                Work::Map { body, compute, params } => {
                    let native = (body.native)(compute).ok_or_else(|| Error::bug("compile", "a map without a loop"))?;
                    (Some(native.pick()), compute, params)
                }
                _ => (None, task.operands[reads].dtype, SmallVec::new()),
            };
            let mut link = Link { kernel, dtype, params, call, ins: SmallVec::new(), outs: SmallVec::new() };
            for (i, o) in task.operands.into_iter().enumerate() {
                let size = o.dtype.size();
                if in_room(&o) {
                    if i >= reads { link.outs.push(Place::Room(size)) } else { link.ins.push(Place::Room(size)) }
                } else if i >= reads {
                    link.outs.push(local(&o).map_or(Place::Memory(o, size), Place::Tile));
                } else if let Some(tile) = local(&o) {
                    link.ins.push(Place::Tile(tile));
                } else if o.dtype == dtype && o.layout.is_contiguous() {
                    link.ins.push(Place::Memory(o, size));
                } else if o.layout.is_one_element() && kernel.is_some() && is_given(&o) {
                    // Each tile is filled anew in each run: the one element may be another by then.
                    link.ins.push(Place::Tile(tiles));
                    chain.spread.push((o, dtype, tiles));
                    tiles += 1;
                } else {
                    let cursor = Cursor::new(&o.layout);
                    link.ins.push(Place::Through(o, cursor, dtype, tiles));
                    tiles += usize::from(kernel.is_some());
                }
            }
            chain.links.push(link);
        }
        if tiles > TILES {
            return Err(Error::bug("compile", "a chain has too many tiles"));
        }
        Ok(chain)
    }

    /// Gives the numbers of a host's call to the links that take them.
    fn set_numbers(&mut self, call: usize, numbers: &[Number]) {
        for link in &mut self.links {
            if link.call == Some(call) {
                link.params = numbers.into();
            }
        }
    }

    fn run(&self) -> Result<()> {
        match &self.tail {
            None => threads::each(self.n, CHUNK, |range| self.pass(range, std::ptr::null_mut())),
            Some(tail) => fold::made(tail.kind, tail.dtype, self.n, &tail.out, &|range, room| {
                let first = range.start * tail.dtype.size();
                self.pass(range, room);
                tail.from.as_ref().map_or(room, |o| o.ptr().wrapping_add(first))
            }),
        }
        stop::taken().map_or(Ok(()), Err)
    }

    /// All links over some of the elements; `room` is that of the fold at the end.
    fn pass(&self, range: Range<usize>, room: *mut u8) {
        let mut tiles = [const { MaybeUninit::<[u64; TILE]>::uninit() }; TILES];
        let base: *mut u8 = tiles.as_mut_ptr().cast();
        let tile = |k: usize| base.wrapping_add(k * TILE * 8);
        for (o, dtype, k) in &self.spread {
            // SAFETY: the layout's strides are all 0, so every read is of its one element; a tile holds TILE of any type.
            unsafe { convert::read_as(*dtype, o, &Cursor::new(&o.layout), 0, TILE.min(self.n), tile(*k)) };
        }
        let mut start = range.start;
        while start < range.end {
            let count = TILE.min(range.end - start);
            let within = |size: usize| room.wrapping_add((start - range.start) * size);
            for link in &self.links {
                let (mut from, mut to) = ([std::ptr::null::<u8>(); MOST], [std::ptr::null_mut::<u8>(); MOST]);
                for (p, place) in to.iter_mut().zip(&link.outs) {
                    *p = match place {
                        Place::Memory(o, size) => o.ptr().wrapping_add(start * size),
                        Place::Room(size) => within(*size),
                        Place::Tile(k) | Place::Through(.., k) => tile(*k),
                    };
                }
                let Some(kernel) = link.kernel else {
                    // SAFETY: source and target hold the chain's elements, of which `start + count` are at most all.
                    unsafe { convert_to(&link.ins[0], link.dtype, to[0], start, count, tile, within) };
                    continue;
                };
                for (p, place) in from.iter_mut().zip(&link.ins) {
                    *p = match place {
                        Place::Memory(o, size) => o.ptr().wrapping_add(start * size),
                        Place::Room(size) => within(*size),
                        Place::Tile(k) => tile(*k),
                        Place::Through(o, cursor, dtype, k) => {
                            // SAFETY: as above; a tile holds `count` elements of any type.
                            unsafe { convert::read_as(*dtype, o, cursor, start, count, tile(*k)) };
                            tile(*k)
                        }
                    };
                }
                // SAFETY: every pointer reaches `count` elements of the loop's types.
                unsafe { kernel(&from[..link.ins.len()], &link.params, &to[..link.outs.len()], count) };
            }
            start += count;
        }
    }
}

/// A conversion as a link of its own.
///
/// # Safety
/// The source must hold `start + count` elements, the target `count` of `dtype`.
unsafe fn convert_to(
    source: &Place,
    dtype: DType,
    to: *mut u8,
    start: usize,
    count: usize,
    tile: impl Fn(usize) -> *mut u8,
    within: impl Fn(usize) -> *mut u8,
) {
    // SAFETY: the caller's promise.
    unsafe {
        match source {
            Place::Room(size) => std::ptr::copy_nonoverlapping(within(*size), to, count * size),
            Place::Memory(o, size) => std::ptr::copy_nonoverlapping(o.ptr().add(start * size), to, count * size),
            Place::Through(o, cursor, ..) => convert::read_as(dtype, o, cursor, start, count, to),
            Place::Tile(k) => std::ptr::copy_nonoverlapping(tile(*k), to, count * dtype.size()),
        }
    }
}

/// What runs at a time.
enum Step {
    One(Box<Heard>),
    Chain(Box<Chain>),
}

/// A program's tasks on the processor.
pub struct Steps(Vec<Step>);

impl Steps {
    /// Makes runs of tasks ready. `local` numbers the storages whose values travel in tiles, run by run.
    pub fn new(runs: impl Iterator<Item = Vec<Heard>>, local: &HashMap<usize, usize>) -> Result<Steps> {
        let number = |o: &Operand| local.get(&o.storage.address()).copied();
        let mut steps = Vec::new();
        for mut run in runs {
            let small = run[0].task.writes().first().is_some_and(|o| o.numel() <= TILE);
            if run.len() > 1 || small && is_link(&run[0].task) {
                let travelling = run.iter().flat_map(|p| p.task.writes()).filter_map(number).count();
                let first = run.iter().flat_map(|p| p.task.writes()).filter_map(number).min().unwrap_or(0);
                let tasks = run.into_iter().map(|p| (p.task, p.call)).collect();
                steps.push(Step::Chain(Box::new(Chain::new(tasks, |o| number(o).map(|k| k - first), travelling)?)));
            } else {
                steps.extend(run.pop().map(|one| Step::One(Box::new(one))));
            }
        }
        Ok(Steps(steps))
    }

    pub fn run(&self) -> Result<()> {
        self.0.iter().try_for_each(|step| match step {
            Step::One(one) => one.task.run(),
            Step::Chain(chain) => chain.run(),
        })
    }

    pub fn set_numbers(&mut self, call: usize, numbers: &[Number]) {
        for step in &mut self.0 {
            match step {
                Step::Chain(chain) => chain.set_numbers(call, numbers),
                Step::One(one) => one.set_numbers(call, numbers),
            }
        }
    }

    pub fn set_draw(&mut self, draw: usize, seed: u64, offset: u64) {
        for step in &mut self.0 {
            if let Step::One(one) = step {
                one.set_draw(draw, seed, offset);
            }
        }
    }
}

/// Puts maps together that follow one another.
pub struct Tiles;

impl Weaver for Tiles {
    fn runs(&self, heard: &[Heard], _uses: &Uses) -> Vec<Run> {
        let mut runs = Vec::new();
        let mut start = 0;
        while start < heard.len() {
            let mut end = start + 1;
            if is_link(&heard[start].task) {
                let n = heard[start].task.writes()[0].numel();
                let goes = |end: usize| {
                    let task = &heard[end].task;
                    is_link(task) && task.writes()[0].numel() == n && follows(heard[start..end].iter().map(|one| &one.task), task)
                };
                let mut tiles = wants(&heard[start].task);
                while end < heard.len() && goes(end) && tiles + wants(&heard[end].task) <= TILES {
                    tiles += wants(&heard[end].task);
                    end += 1;
                }
                end += usize::from(heard.get(end).is_some_and(|next| is_tail(&heard[start..end], &next.task, n)));
            }
            runs.push(vec![(start..end).collect()]);
            start = end;
        }
        runs
    }

    fn carries(&self, task: &Task) -> Option<DType> {
        match task.work {
            Work::Map { compute, .. } => Some(compute),
            _ => task.writes().first().map(|o| o.dtype),
        }
    }
}

/// Tiles that a task may need in a chain: one for each result, and for each operand that is not read where it lies.
fn wants(task: &Task) -> usize {
    let through = |o: &&Operand| match task.work {
        Work::Map { compute, .. } => !o.layout.is_contiguous() || o.dtype != compute,
        _ => false,
    };
    task.written + task.reads().iter().filter(through).count()
}
