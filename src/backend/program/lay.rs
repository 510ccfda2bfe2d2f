//! Where a program's values lie: how far tasks reach around what comes from outside, which of them run together, and the
//! memory of those that nobody outside sees. Leans on task.

use super::{Heard, Kind, Slot, at};
use crate::backend::launch::Operand;
use crate::backend::place;
use crate::backend::storage::Storage;
use crate::backend::task::Task;
use crate::base::{DType, Result};
use std::collections::HashMap;
use std::sync::Arc;

/// The arena's grain in bytes.
const GRAIN: usize = 64;

/// Finds out how far tasks reach around the operands from outside, and which of them they write.
pub(super) fn reach(heard: &[Heard], kinds: &HashMap<usize, Kind>, ins: &[Operand], slots: &mut [Slot]) {
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

/// Tasks that run together: one after the other over the same elements, or several such lists side by side.
pub type Run = Vec<Vec<usize>>;

/// How a backend puts tasks together.
pub trait Weaver {
    /// All tasks by their numbers, each once, in an order that gives the same.
    fn runs(&self, heard: &[Heard], uses: &Uses) -> Vec<Run>;
    /// The type that all values must have which a task takes from one before it without their reaching memory, if any.
    fn carries(&self, task: &Task) -> Option<DType>;
    /// Whether those that run along with a task can take its results before they reach memory.
    fn hands_on(&self, _task: &Task) -> bool {
        true
    }
}

/// Which tasks use a storage that is the program's own.
pub struct Uses<'a> {
    kinds: &'a HashMap<usize, Kind>,
    by: HashMap<usize, Vec<usize>>,
}

impl<'a> Uses<'a> {
    pub(super) fn new(heard: &[Heard], kinds: &'a HashMap<usize, Kind>) -> Uses<'a> {
        let mut by: HashMap<usize, Vec<usize>> = HashMap::new();
        for (i, operand) in heard.iter().enumerate().flat_map(|(i, one)| one.task.operands.iter().map(move |o| (i, o))) {
            by.entry(at(operand)).or_default().push(i);
        }
        Uses { kinds, by }
    }
    /// Whether nobody but the tasks named ever sees what an operand holds.
    pub fn only_by(&self, own: &Operand, tasks: &dyn Fn(usize) -> bool) -> bool {
        self.kinds.get(&at(own)) == Some(&Kind::Inner) && self.by.get(&at(own)).is_some_and(|list| list.iter().all(|&i| tasks(i)))
    }
}

/// The storages whose values never reach memory, numbered, run by run.
pub fn locals(heard: &[Heard], runs: &[Run], uses: &Uses, weaver: &dyn Weaver) -> HashMap<usize, usize> {
    let mut local = HashMap::new();
    for run in runs.iter().filter(|run| run.iter().any(|part| part.len() > 1)) {
        for part in run {
            for out in part.iter().flat_map(|&i| heard[i].task.writes()) {
                let key = at(out);
                let whole = |o: &Operand| at(o) != key || alike(o, out);
                let hands_on = |task: &Task| weaver.hands_on(task) || !task.writes().iter().any(|o| at(o) == key);
                let fits = |task: &Task, o: &Operand| at(o) != key || weaver.carries(task).is_none_or(|dtype| dtype == o.dtype);
                let as_is = part
                    .iter()
                    .map(|&i| &heard[i].task)
                    .all(|task| hands_on(task) && task.operands.iter().all(whole) && task.reads().iter().all(|o| fits(task, o)));
                if as_is && uses.only_by(out, &|i| part.contains(&i)) && !local.contains_key(&key) {
                    local.insert(key, local.len());
                }
            }
        }
    }
    local
}

/// Whether two operands are the same elements in the same order.
pub fn alike(a: &Operand, b: &Operand) -> bool {
    a.dtype == b.dtype
        && a.layout.offset == b.layout.offset
        && (a.layout == b.layout || a.layout.is_contiguous() && b.layout.is_contiguous() && a.numel() == b.numel())
}

/// Whether two operands may have elements in common that are not one another's at the same place.
fn clash(a: &Operand, b: &Operand) -> bool {
    let apart = {
        let ((low, high), (first, last)) = (a.layout.span(), b.layout.span());
        at(a) != at(b) || a.dtype == b.dtype && (high <= first || last <= low)
    };
    !(apart || alike(a, b) && a.layout.is_contiguous())
}

/// Whether a task can go element by element along with those before it: where it meets what they write, or they read what it
/// writes, it meets the same elements.
pub fn follows<'a>(before: impl Iterator<Item = &'a Task>, task: &Task) -> bool {
    let mut before = before;
    before.all(|one| {
        let written = one.writes().iter().any(|w| task.operands.iter().any(|o| clash(w, o)));
        let read = one.reads().iter().any(|r| task.writes().iter().any(|w| clash(r, w)));
        !written && !read
    })
}

/// When a storage of the program's own is used, in runs.
struct Life {
    own: Arc<Storage>,
    bytes: usize,
    first: usize,
    last: usize,
}

/// The lives of all storages of the program's own that reach memory; `heard` stands in the order of the runs.
fn lives(heard: &[Heard], counts: &[usize], kinds: &HashMap<usize, Kind>, local: &HashMap<usize, usize>) -> Vec<Life> {
    let mut lives: Vec<Life> = Vec::new();
    let mut index: HashMap<usize, usize> = HashMap::new();
    // What runs together lives together: tiles of the last task may be written before the first one has ended.
    let turns = counts.iter().enumerate().flat_map(|(i, &count)| std::iter::repeat_n(i, count));
    for (one, i) in heard.iter().zip(turns) {
        for operand in &one.task.operands {
            let key = at(operand);
            if kinds.get(&key) != Some(&Kind::Inner) || local.contains_key(&key) {
                continue;
            }
            let k = *index.entry(key).or_insert_with(|| {
                let bytes = operand.storage.len().next_multiple_of(GRAIN).max(GRAIN);
                lives.push(Life { own: operand.storage.clone(), bytes, first: i, last: i });
                lives.len() - 1
            });
            lives[k].last = i;
        }
    }
    lives
}

/// Where each inner storage lies in the arena: large ones first, each at the lowest place that is free while it is used.
pub(super) fn places(
    heard: &[Heard],
    counts: &[usize],
    kinds: &HashMap<usize, Kind>,
    local: &HashMap<usize, usize>,
) -> (usize, HashMap<usize, usize>) {
    let mut lives = lives(heard, counts, kinds, local);
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
        found.insert(life.own.address(), start);
        total = total.max(start + life.bytes);
    }
    (total, found)
}

/// A storage for each inner one where a backend binds whole storages: those that are not used at the same time share one.
pub(super) fn rooms(
    heard: &[Heard],
    counts: &[usize],
    kinds: &HashMap<usize, Kind>,
    local: &HashMap<usize, usize>,
) -> Result<(usize, HashMap<usize, Arc<Storage>>)> {
    let mut lives = lives(heard, counts, kinds, local);
    lives.sort_by_key(|l| l.first);
    let mut made: Vec<(Arc<Storage>, usize)> = Vec::new();
    let (mut found, mut total) = (HashMap::new(), 0);
    for life in lives {
        let device = life.own.device();
        let bytes = life.own.len();
        let free = |(room, last): &(Arc<Storage>, usize)| {
            *last < life.first && room.device() == device && room.len() >= bytes && room.len() / 2 <= bytes
        };
        let room = match made.iter_mut().filter(|m| free(m)).min_by_key(|(room, _)| room.len()) {
            Some((room, last)) => {
                *last = life.last;
                room.clone()
            }
            None => {
                let room = Arc::new(place::at(device)?.alloc(bytes)?);
                total += bytes;
                made.push((room.clone(), life.last));
                room
            }
        };
        found.insert(life.own.address(), room);
    }
    Ok((total, found))
}
