//! Maps that follow one another over the same number of elements, run tile by tile so that what passes between them stays in
//! the first cache, after a product of matrices or up to a fold of all that comes out. Leans on map's loops, convert's reads,
//! contract and fold.

use super::contract::{self, Made};
use super::convert::{self, Cursor};
use super::map::{self, Kernel, TILE};
use super::{fold, stop, threads};
use crate::backend::launch::{FoldKind, Operand};
use crate::backend::program::lay::{Run, Uses, Weaver, follows};
use crate::backend::program::{Heard, at};
use crate::backend::storage::Storage;
use crate::backend::task::{Task, Work};
use crate::base::{DType, Error, Layout, Number, Result};
use smallvec::SmallVec;
use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::Arc;

/// Elements that one thread takes at a time; a whole number of tiles.
const CHUNK: usize = 1 << 15;
/// Tiles of a chain: values on their way, and operands that are spread or converted.
const TILES: usize = 14;
/// Columns of a product whose rows are met one by one where others read a row beside them.
const BROAD: usize = 128;
/// Operands of one link, results included.
const MOST: usize = 8;

/// Where a link reads or writes.
enum Place {
    /// Memory of the loop's type, one element after the other, and the bytes of an element.
    Memory(Operand, usize),
    /// A tile that an earlier link, or the chain's beginning, has filled.
    Tile(usize),
    /// What the fold at the end reads, or the product before has made, a piece at a time, and the bytes of an element.
    Room(usize),
    /// A row that is the same beside every row of the product before, and the bytes of an element.
    Row(Operand, usize),
    /// Memory that is read through a tile, as the loop's type.
    Through(Operand, Cursor, DType, usize),
}

/// One map, conversion or fill of a chain.
struct Link {
    kernel: Option<Kernel>,
    dtype: DType,
    params: SmallVec<[Number; 2]>,
    call: Option<usize>,
    ins: SmallVec<[Place; 3]>,
    outs: SmallVec<[Place; 2]>,
}

struct Chain {
    n: usize,
    head: Option<Head>,
    /// Whether it reads rows beside those of the product.
    by_rows: bool,
    /// Operands of one element, spread over a tile before the first link runs: the operand, its type there, its tile.
    spread: Vec<(Operand, DType, usize)>,
    links: Vec<Link>,
    tail: Option<Tail>,
}

/// Elements that links go over: those of a fold's chunk or a product's row have room, and begin at a column.
struct Piece {
    range: Range<usize>,
    room: *mut u8,
    column: usize,
}

/// The product whose rows and columns a chain meets as soon as they are made.
struct Head {
    product: Task,
    columns: usize,
    /// Whether nobody else reads it.
    hidden: bool,
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
fn is_tail<'a>(before: impl Iterator<Item = &'a Task> + Clone, task: &Task, n: usize) -> bool {
    let Work::Fold { kind, folded, .. } = task.work else { return false };
    let (own, out) = (&task.reads()[0], &task.writes()[0]);
    let made = |o: &Operand| at(o) == at(own) && o.layout.offset == own.layout.offset && o.dtype == own.dtype;
    let meets = |o: &Operand| at(o) == at(out);
    folded == own.layout.rank()
        && own.layout.is_contiguous()
        && own.numel() == n
        && fold::folds_made(kind, own.dtype, n)
        && before.clone().any(|one| one.writes().iter().any(made))
        && !before.clone().any(|one| one.operands.iter().any(meets))
}

/// Whether a task writes to a side of a product, whose rows are read again and again while that is made.
fn spoils(product: &Task, next: &Task) -> bool {
    product.reads().iter().any(|o| next.writes().iter().any(|w| at(w) == at(o)))
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

/// Whether an operand is one row of so many columns beside every row of a product, and these are met one by one.
fn is_row(o: &Operand, columns: usize) -> bool {
    let Layout { shape, strides, .. } = &o.layout;
    let last = shape.len().wrapping_sub(1);
    let still = |k: usize| shape[k] == 1 || strides[k] == 0;
    columns >= BROAD && shape.last() == Some(&columns) && strides[last] == 1 && (0..last).all(still)
}

impl Chain {
    /// Puts tasks together. `local` says whether a storage's value never reaches memory.
    fn new(mut tasks: Vec<(Task, Option<usize>)>, local: impl Fn(&Operand) -> bool) -> Result<Chain> {
        let mut chain =
            Chain { n: tasks[0].0.writes()[0].numel(), head: None, by_rows: false, spread: Vec::new(), links: Vec::new(), tail: None };
        let (mut room, mut tiles) = (0, 0);
        if matches!(tasks[0].0.work, Work::Contract) {
            let (mut product, _) = tasks.remove(0);
            let own = product.operands.last_mut().ok_or_else(|| Error::bug("compile", "a product without a result"))?;
            let hidden = local(own);
            if hidden {
                room = at(own);
                own.storage = Arc::new(Storage::aimed());
            }
            let columns = own.layout.shape.last().copied().unwrap_or(1);
            chain.head = Some(Head { product, columns, hidden });
        }
        if let Some((task, _)) = tasks.pop_if(|(task, _)| matches!(task.work, Work::Fold { .. }))
            && let Work::Fold { kind, .. } = task.work
        {
            let own = &task.reads()[0];
            let hidden = local(own);
            room = if hidden { at(own) } else { 0 };
            let from = (!hidden).then(|| own.clone());
            chain.tail = Some(Tail { kind, dtype: own.dtype, out: task.writes()[0].clone(), from });
        }
        let in_room = |o: &Operand| at(o) == room;
        // What is written more than once travels in tiles until the last time, if all who read it can take it from there.
        let id = |o: &Operand| (at(o), o.layout.offset * o.dtype.size());
        let mut writes: HashMap<_, usize> = HashMap::new();
        tasks.iter().flat_map(|(task, _)| task.writes()).for_each(|o| *writes.entry(id(o)).or_default() += 1);
        let torn: Vec<_> =
            tasks.iter().flat_map(|(task, _)| task.reads().iter().filter(|o| Tiles.carries(task) != Some(o.dtype))).map(id).collect();
        let mut homes: HashMap<_, usize> = HashMap::new();
        // What a link writes may be read by a later one: it is not there yet when the chain begins.
        let bytes = |o: &Operand| {
            let ((low, high), size) = (o.layout.span(), o.dtype.size() as isize);
            (at(o), low * size, high * size)
        };
        let written: Vec<_> = tasks.iter().flat_map(|(task, _)| task.writes()).map(bytes).collect();
        let is_given = |o: &Operand| {
            let (at, low, high) = bytes(o);
            !written.iter().any(|&(own, first, last)| own == at && low < last && first < high)
        };
        for (task, call) in tasks {
            let reads = task.operands.len() - task.written;
            let (kernel, dtype, params) = match task.work {
                Work::Map { body, compute, params } => (Some(Kernel::of(body, compute)?.1), compute, params),
                _ => (None, task.operands[reads].dtype, SmallVec::new()),
            };
            let mut link = Link { kernel, dtype, params, call, ins: SmallVec::new(), outs: SmallVec::new() };
            for (i, o) in task.operands.into_iter().enumerate() {
                let size = o.dtype.size();
                if i >= reads {
                    let left = writes.get_mut(&id(&o)).map_or(0, |left| {
                        *left -= 1;
                        *left
                    });
                    let folded = chain.tail.is_some() && in_room(&o) && left == 0;
                    if !folded && (local(&o) || left > 0 && !torn.contains(&id(&o))) {
                        homes.insert(id(&o), tiles);
                        link.outs.push(Place::Tile(tiles));
                        tiles += 1;
                    } else {
                        homes.remove(&id(&o));
                        link.outs.push(if folded { Place::Room(size) } else { Place::Memory(o, size) });
                    }
                } else if let Some(&tile) = homes.get(&id(&o)) {
                    link.ins.push(Place::Tile(tile));
                } else if in_room(&o) {
                    link.ins.push(Place::Room(size));
                } else if o.dtype == dtype && o.layout.is_contiguous() {
                    link.ins.push(Place::Memory(o, size));
                } else if o.dtype == dtype && is_given(&o) && chain.head.as_ref().is_some_and(|head| is_row(&o, head.columns)) {
                    chain.by_rows = true;
                    link.ins.push(Place::Row(o, size));
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
        match (&self.head, &self.tail) {
            (Some(head), _) => {
                let [a, b, out] = &head.product.operands[..] else { return Err(Error::bug("compile", "a product of other than two")) };
                contract::run_for(a, b, out, head.hidden, &|made| self.meet(made, head.columns, head.columns * out.dtype.size()));
            }
            (None, None) => threads::each(self.n, CHUNK, |range| {
                self.pass(std::iter::once(Piece { range, room: std::ptr::null_mut(), column: 0 }));
            }),
            (None, Some(tail)) => fold::made(tail.kind, tail.dtype, self.n, &tail.out, &|range, room| {
                let first = range.start * tail.dtype.size();
                self.pass(std::iter::once(Piece { range, room, column: 0 }));
                tail.from.as_ref().map_or(room, |o| o.ptr().wrapping_add(first))
            }),
        }
        stop::taken().map_or(Ok(()), Err)
    }

    /// All links over some rows and columns of a product of so many columns.
    fn meet(&self, made: Made, columns: usize, row: usize) {
        let Made { rows, columns: some, from, pitch } = made;
        // Where rows follow one another they are one piece.
        if some.len() == columns && pitch == row && !self.by_rows {
            return self.pass(std::iter::once(Piece { range: rows.start * columns..rows.end * columns, room: from, column: 0 }));
        }
        self.pass(rows.enumerate().map(|(i, row)| Piece {
            range: row * columns + some.start..row * columns + some.end,
            room: from.wrapping_add(i * pitch),
            column: some.start,
        }));
    }

    /// All links over some pieces of the elements.
    fn pass(&self, pieces: impl Iterator<Item = Piece>) {
        let mut tiles = [const { MaybeUninit::<[u64; TILE]>::uninit() }; TILES];
        let base: *mut u8 = tiles.as_mut_ptr().cast();
        let tile = |k: usize| base.wrapping_add(k * TILE * 8);
        for (o, dtype, k) in &self.spread {
            // SAFETY: the layout's strides are all 0, so every read is of its one element; a tile holds TILE of any type.
            unsafe { convert::read_as(*dtype, o, &Cursor::new(&o.layout), 0, TILE.min(self.n), tile(*k)) };
        }
        for Piece { range, room, column } in pieces {
            let mut start = range.start;
            while start < range.end {
                let count = TILE.min(range.end - start);
                let along = start - range.start;
                let at = |place: &Place| match place {
                    Place::Memory(o, size) => o.ptr().wrapping_add(start * size),
                    Place::Room(size) => room.wrapping_add(along * size),
                    Place::Row(o, size) => o.ptr().wrapping_add((column + along) * size),
                    Place::Tile(k) | Place::Through(.., k) => tile(*k),
                };
                for link in &self.links {
                    let (mut from, mut to) = ([std::ptr::null::<u8>(); MOST], [std::ptr::null_mut::<u8>(); MOST]);
                    to.iter_mut().zip(&link.outs).for_each(|(p, place)| *p = at(place));
                    let Some(kernel) = link.kernel else {
                        // SAFETY: source and target hold the chain's elements, of which `start + count` are at most all.
                        unsafe {
                            match &link.ins[0] {
                                Place::Through(o, cursor, ..) => convert::read_as(link.dtype, o, cursor, start, count, to[0]),
                                place => at(place).copy_to_nonoverlapping(to[0], count * link.dtype.size()),
                            }
                        }
                        continue;
                    };
                    for (p, place) in from.iter_mut().zip(&link.ins) {
                        *p = at(place);
                        if let Place::Through(o, cursor, dtype, k) = place {
                            // SAFETY: as above; a tile holds `count` elements of any type.
                            unsafe { convert::read_as(*dtype, o, cursor, start, count, tile(*k)) };
                        }
                    }
                    // SAFETY: every pointer reaches `count` elements of the loop's types.
                    unsafe { map::call(kernel, &from[..link.ins.len()], &link.params, &to[..link.outs.len()], count) };
                }
                start += count;
            }
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
    /// Makes runs of tasks ready. `local` has the storages whose values never reach memory.
    pub fn new(runs: impl Iterator<Item = Vec<Heard>>, local: &HashMap<usize, usize>) -> Result<Steps> {
        let mut steps = Vec::new();
        for mut run in runs {
            let small = run[0].task.writes().first().is_some_and(|o| o.numel() <= TILE);
            if run.len() > 1 || small && is_link(&run[0].task) {
                let tasks = run.into_iter().map(|p| (p.task, p.call)).collect();
                steps.push(Step::Chain(Box::new(Chain::new(tasks, |o| local.contains_key(&at(o)))?)));
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

/// How far behind a product its company is looked for.
const AHEAD: usize = 12;

/// The product that a task is, if others may meet what it makes.
fn is_product(task: &Task) -> bool {
    matches!(task.work, Work::Contract) && contract::can_tell(&task.writes()[0])
}

/// The tasks in an order that gives the same: maps of a product's result stand behind it, with those that make their other
/// operands.
fn ordered(heard: &[Heard], uses: &Uses) -> Vec<usize> {
    let mut order: Vec<usize> = (0..heard.len()).collect();
    let meets = |a: &Task, b: &Task| {
        let with = |a: &Task, b: &Task| a.writes().iter().any(|w| b.operands.iter().any(|o| at(o) == at(w)));
        with(a, b) || with(b, a)
    };
    for start in 0..heard.len() {
        let task = |order: &[usize], k: usize| &heard[order[k]].task;
        let product = task(&order, start);
        if !is_product(product) {
            continue;
        }
        let own = &product.writes()[0];
        // What outside sees is written when it would be anyway: an error may come between.
        let can = |task: &Task| {
            is_link(task) && task.writes()[0].numel() == own.numel() && task.writes().iter().all(|o| uses.only_by(o, &|_| true))
        };
        let mut to = start + 1;
        for j in start + 1..(start + 1 + AHEAD).min(order.len()) {
            let next = task(&order, j);
            if !can(next) || !next.reads().iter().any(|o| at(o) == at(own)) {
                continue;
            }
            let mut along = vec![j];
            let fits = (to..j).rev().all(|k| {
                let before = task(&order, k);
                let bound = along.iter().any(|&i| meets(before, task(&order, i)));
                if bound {
                    along.push(k);
                }
                !bound || can(before)
            });
            if fits {
                for k in along.into_iter().rev() {
                    order[to..=k].rotate_right(1);
                    to += 1;
                }
            }
        }
    }
    order
}

impl Weaver for Tiles {
    fn runs(&self, heard: &[Heard], uses: &Uses) -> Vec<Run> {
        let order = ordered(heard, uses);
        let task = |k: usize| &heard[order[k]].task;
        let mut runs = Vec::new();
        let mut start = 0;
        while start < order.len() {
            let mut end = start + 1;
            let first = task(start);
            let product = is_product(first);
            if product || is_link(first) {
                let n = first.writes()[0].numel();
                let goes = |end: usize| {
                    let next = task(end);
                    is_link(next)
                        && next.writes()[0].numel() == n
                        && (!product || !spoils(first, next))
                        && follows((start..end).map(task), next)
                };
                let mut tiles = wants(first);
                while end < order.len() && goes(end) && tiles + wants(task(end)) <= TILES {
                    tiles += wants(task(end));
                    end += 1;
                }
                // A fold goes with the maps before it, and these then without the product, as do those that do not read it.
                let maps = start + usize::from(product)..end;
                let folds = end < order.len() && is_tail(maps.clone().map(task), task(end), n);
                let reads = |k: usize| task(k).reads().iter().any(|o| at(o) == at(&first.writes()[0]));
                if product && !maps.is_empty() && (folds || !maps.clone().any(reads)) {
                    runs.push(vec![vec![order[start]]]);
                    start += 1;
                }
                end += usize::from(folds);
            }
            runs.push(vec![order[start..end].to_vec()]);
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

    fn hands_on(&self, task: &Task) -> bool {
        match (&task.work, &task.operands[..]) {
            (Work::Contract, [a, b, out]) => contract::can_hide(a, b, out),
            _ => true,
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
