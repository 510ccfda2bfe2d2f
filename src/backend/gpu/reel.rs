//! A program's tasks on a device: put together into kernels, run once in the ordinary way, and then repeated as the
//! dispatches that they were. Leans on map, contract and the stream.

use super::map::{self, Piece};
use super::pool::Block;
use super::stream::{Gpu, Take};
use super::{contract, copy};
use crate::backend::Storage;
use crate::backend::launch::Operand;
use crate::backend::program::lay::{Run, Uses, Weaver, follows};
use crate::backend::program::{Away, Found, Heard, Turn};
use crate::backend::task::{Task, Work};
use crate::base::{DType, Error, Number, Result};
use smallvec::SmallVec;
use std::sync::Arc;

/// How far ahead, and past how many others, a task is looked for that can join a run.
const AHEAD: usize = 48;
const PAST: usize = 24;
/// Elements up to which tasks that have nothing to do with one another share a kernel.
const SMALL: usize = 1 << 20;
/// Ways of a turn that are kept: memory changes hands between a few buffers.
const WAYS: usize = 4;
/// A turn that so often was none of its ways is no longer kept.
const PATIENCE: usize = 64;

/// A task as a formula, if it is one.
pub fn piece(task: &Task) -> Option<Piece<'_>> {
    let (ins, outs) = (task.reads(), task.writes());
    Some(match &task.work {
        Work::Map { body, compute, params } => Piece { body, compute: *compute, params, ins, outs },
        Work::Copy => Piece { body: &copy::SAME, compute: outs[0].dtype, params: &[], ins, outs },
        Work::Fill { value } => Piece { body: &copy::GIVEN, compute: outs[0].dtype, params: std::slice::from_ref(value), ins, outs },
        _ => return None,
    })
}

impl Gpu {
    /// Whether a task is one formula for every element, and visits its results in order.
    pub(super) fn is_link(&self, task: &Task) -> bool {
        let Some(piece) = piece(task) else { return false };
        let n = piece.outs[0].numel();
        let ready = |o: &Operand| o.storage.is_away() && o.layout.is_contiguous() && o.numel() == n;
        let numbers = !matches!(task.work, Work::Copy) || piece.ins[0].storage.is_away();
        n > 0 && numbers && piece.outs.iter().all(ready) && map::can(&piece, &self.caps)
    }
}

/// A run that is being put together.
struct Weft<'a> {
    heard: &'a [Heard],
    parts: Run,
    /// Whether the first task is a product, and what follows its end.
    head: bool,
    past: Vec<usize>,
}

impl Weft<'_> {
    fn task(&self, i: usize) -> &Task {
        &self.heard[i].task
    }
    fn contains(&self, i: usize) -> bool {
        self.parts.iter().any(|part| part.contains(&i))
    }

    /// The part that a task could go to; the number of parts stands for a new one.
    fn place(&self, j: usize) -> Option<usize> {
        let task = self.task(j);
        if !self.past.iter().all(|&s| apart(self.task(s), task)) {
            return None;
        }
        let n = task.writes()[0].numel();
        let meets: Vec<usize> = (0..self.parts.len()).filter(|&p| self.parts[p].iter().any(|&i| !apart(self.task(i), task))).collect();
        match meets[..] {
            [] if self.head => None,
            [] => {
                let all: usize = self.parts.iter().map(|part| self.task(part[0]).writes()[0].numel()).sum();
                let narrow = |t: &Task| t.writes().iter().any(|o| o.dtype.size() < 4);
                let plain = !narrow(task) && !self.parts.iter().flatten().any(|&i| narrow(self.task(i)));
                (all + n <= SMALL && plain).then_some(self.parts.len())
            }
            [p] => {
                let part = &self.parts[p];
                let same = self.task(part[0]).writes()[0].numel() == n;
                // A product reads all of its operands for each element.
                let first = self.task(part[0]);
                let meets = |r: &Operand| task.writes().iter().any(|w| Arc::ptr_eq(&r.storage, &w.storage));
                let free = !self.head || !first.reads().iter().any(meets);
                (same && free && follows(part.iter().map(|&i| self.task(i)), task)).then_some(p)
            }
            _ => None,
        }
    }

    /// Whether the run with one more task is still one kernel.
    fn holds(&self, gpu: &Gpu, uses: &Uses, j: usize, at: usize) -> bool {
        let inside = |i: usize| i == j || self.contains(i);
        let local = |o: &Operand| uses.only_by(o, &inside);
        let lists: Vec<Vec<usize>> = (0..self.parts.len().max(at + 1))
            .map(|p| {
                let own = self.parts.get(p).map_or(&[][..], |part| &part[..]);
                own.iter().copied().chain((p == at).then_some(j)).collect()
            })
            .collect();
        if self.head {
            let pieces: Vec<Piece> = lists[0][1..].iter().filter_map(|&i| piece(self.task(i))).collect();
            return contract::fits(gpu, self.task(lists[0][0]), &pieces, &local);
        }
        let pieces: Vec<Vec<Piece>> = lists.iter().map(|list| list.iter().filter_map(|&i| piece(self.task(i))).collect()).collect();
        map::fits(&pieces, &local, &gpu.caps)
    }
}

/// Whether two tasks have nothing to do with one another: neither writes what the other meets.
fn apart(a: &Task, b: &Task) -> bool {
    let meets = |w: &Operand, o: &Operand| Arc::ptr_eq(&w.storage, &o.storage);
    !a.writes().iter().any(|w| b.operands.iter().any(|o| meets(w, o))) && !b.writes().iter().any(|w| a.operands.iter().any(|o| meets(w, o)))
}

impl Weaver for Gpu {
    fn runs(&self, heard: &[Heard], uses: &Uses) -> Vec<Run> {
        let mut done = vec![false; heard.len()];
        let mut runs = Vec::new();
        for i in 0..heard.len() {
            if done[i] {
                continue;
            }
            done[i] = true;
            let head = contract::is_head(&heard[i].task);
            let mut weft = Weft { heard, parts: vec![vec![i]], head, past: Vec::new() };
            if head || self.is_link(&heard[i].task) {
                for j in i + 1..heard.len().min(i + AHEAD) {
                    if done[j] {
                        continue;
                    }
                    let at = if self.is_link(&heard[j].task) { weft.place(j) } else { None };
                    match at.filter(|&at| weft.holds(self, uses, j, at)) {
                        Some(at) if at == weft.parts.len() => weft.parts.push(vec![j]),
                        Some(at) => weft.parts[at].push(j),
                        None => {
                            weft.past.push(j);
                            if weft.past.len() > PAST {
                                break;
                            }
                            continue;
                        }
                    }
                    done[j] = true;
                }
            }
            runs.push(weft.parts);
        }
        runs
    }

    fn carries(&self, _task: &Task) -> Option<DType> {
        None
    }
}

/// A turn, and the ways in which it went lately.
struct Kept {
    turn: Turn,
    /// The operands' elements as a program counts them: from where their slots begin.
    offsets: Vec<usize>,
    /// Whether it hangs on more than which memory it is given: numbers on the host, draws, values that are looked at.
    lively: bool,
    ways: Vec<(Print, Take)>,
    missed: usize,
}

/// What tells one way from another: buffers, offsets, and the host's numbers.
type Print = SmallVec<[u64; 16]>;

/// The tasks of a program, in order.
pub struct Reel {
    gpu: u8,
    kept: Vec<Kept>,
    /// Memory that kernels need for themselves, shared by all turns.
    rooms: Vec<Block>,
}

impl Reel {
    pub fn new(gpu: u8, turns: Vec<Turn>) -> Reel {
        let kept = |turn: Turn| {
            let offsets = turn.aims.iter().map(|aim| turn.tasks[aim.task].task.operands[aim.operand].layout.offset).collect();
            let fixed =
                |one: &Heard| one.draw.is_none() && !matches!(one.task.work, Work::Random { .. } | Work::Demand { .. } | Work::Move);
            let lively = !turn.tasks.iter().all(fixed);
            Kept { turn, offsets, lively, ways: Vec::new(), missed: 0 }
        };
        Reel { gpu, kept: turns.into_iter().map(kept).collect(), rooms: Vec::new() }
    }
}

impl Away for Reel {
    fn set_numbers(&mut self, call: usize, numbers: &[Number]) {
        self.kept.iter_mut().flat_map(|kept| &mut kept.turn.tasks).for_each(|one| one.set_numbers(call, numbers));
    }
    fn set_draw(&mut self, draw: usize, seed: u64, offset: u64) {
        self.kept.iter_mut().flat_map(|kept| &mut kept.turn.tasks).for_each(|one| one.set_draw(draw, seed, offset));
    }

    fn run(&mut self, found: &Found) -> Result<()> {
        let gpu = super::open(self.gpu)?;
        let rooms = &mut self.rooms;
        gpu.whole(|| self.kept.iter_mut().try_for_each(|kept| kept.run(gpu, found, rooms)))
    }
}

impl Kept {
    fn run(&mut self, gpu: &Gpu, found: &Found, rooms: &mut Vec<Block>) -> Result<()> {
        let print = if self.lively { None } else { self.print(found) };
        if let Some(print) = &print
            && let Some((_, take)) = self.ways.iter().find(|(own, _)| own == print)
        {
            return gpu.play(take);
        }
        let empty: Vec<Arc<Storage>> = self.aims(|operand, storage| std::mem::replace(&mut operand.storage, storage.clone()), found);
        let done = match print {
            None => self.turn.launch(gpu),
            Some(print) => gpu.take(rooms, || self.turn.launch(gpu)).map(|take| {
                self.missed += 1;
                self.lively |= take.mixed || self.missed > PATIENCE;
                if self.ways.len() >= WAYS {
                    self.ways.remove(0);
                }
                if self.lively {
                    self.ways.clear();
                } else {
                    self.ways.push((print, take));
                }
            }),
        };
        // What came from outside is let go.
        for ((aim, storage), &offset) in self.turn.aims.iter().zip(empty).zip(&self.offsets) {
            let operand = &mut self.turn.tasks[aim.task].task.operands[aim.operand];
            (operand.storage, operand.layout.offset) = (storage, offset);
        }
        done
    }

    /// Gives operands from outside their memory, by `put`, and their offsets.
    fn aims<T>(&mut self, put: impl Fn(&mut Operand, &Arc<Storage>) -> T, found: &Found) -> Vec<T> {
        let mut old = Vec::with_capacity(self.turn.aims.len());
        for (aim, &offset) in self.turn.aims.iter().zip(&self.offsets) {
            let (storage, first) = found.at(aim.to);
            let operand = &mut self.turn.tasks[aim.task].task.operands[aim.operand];
            operand.layout.offset = offset + first;
            old.push(put(operand, storage));
        }
        old
    }

    /// What this run hangs on; None where it cannot be told beforehand.
    fn print(&self, found: &Found) -> Option<Print> {
        let mut print = Print::new();
        for aim in &self.turn.aims {
            let (storage, first) = found.at(aim.to);
            let block = storage.memory()?.downcast_ref::<Block>()?;
            print.extend([block.serial(), first as u64]);
        }
        for one in self.turn.tasks.iter().filter(|one| one.call.is_some()) {
            if let Work::Map { params, .. } = &one.task.work {
                print.extend(params.iter().map(|n| n.as_f64().to_bits()));
            }
        }
        Some(print)
    }
}

impl Turn {
    /// Runs its tasks as the kernel that they were put together to, or one by one.
    fn launch(&self, gpu: &Gpu) -> Result<()> {
        if let [one] = &self.tasks[..] {
            return one.task.run();
        }
        let local = |o: &Operand| self.local.contains(&o.storage.address());
        let mut rest = &self.tasks[..];
        let mut parts: Vec<Vec<Piece>> = Vec::new();
        let head = contract::is_head(&rest[0].task);
        for &count in &self.parts {
            let (own, others) = rest.split_at(count);
            rest = others;
            parts.push(own.iter().filter_map(|one| piece(&one.task)).collect());
        }
        match (head, &parts[..]) {
            (true, [tail]) => {
                let (ins, out) = (self.tasks[0].task.reads(), &self.tasks[0].task.writes()[0]);
                contract::run_with(gpu, [&ins[0], &ins[1], out], tail, &local)
            }
            (true, _) => Err(Error::bug("compile", "a product with more than one part behind it")),
            (false, _) => map::run_parts(gpu, &parts, &local),
        }
    }
}
