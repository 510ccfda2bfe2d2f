//! What is done to a list of tasks before it is made ready: what is always the same, done twice, read by nobody or merely
//! moved is taken out. Leans on task.

use super::{Facts, Heard, Kind, at, is_whole};
use crate::backend::launch::Operand;
use crate::backend::task::{Task, Work};
use std::collections::{HashMap, HashSet};

/// Takes out what comes out the same each time: nothing from outside and no draw lies behind it. What such tasks have left
/// behind when they were heard is what they always leave.
pub(super) fn fold(heard: Vec<Heard>, kinds: &mut HashMap<usize, Kind>, constant: impl Fn(usize) -> bool, facts: &mut Facts) -> Vec<Heard> {
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
pub(super) fn same(heard: Vec<Heard>, kinds: &HashMap<usize, Kind>, facts: &mut Facts) -> Vec<Heard> {
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
pub(super) fn live(heard: Vec<Heard>, kinds: &HashMap<usize, Kind>, facts: &mut Facts) -> Vec<Heard> {
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

/// Leaves out copies of what nobody else needs: it is made where it is wanted.
pub(super) fn moves(mut heard: Vec<Heard>, kinds: &HashMap<usize, Kind>, facts: &mut Facts) -> Vec<Heard> {
    let mut k = 0;
    while k < heard.len() {
        let Some((from, to)) = moved(&heard, k, kinds) else {
            k += 1;
            continue;
        };
        heard.remove(k);
        facts.moved += 1;
        for operand in heard.iter_mut().flat_map(|one| &mut one.task.operands).filter(|o| at(o) == at(&from)) {
            operand.storage = to.storage.clone();
        }
    }
    heard
}

/// The source and the target of a copy that can be left out: both are whole storages, the source is the steps' own, and
/// only before the copy; nobody has met the target before.
fn moved(heard: &[Heard], k: usize, kinds: &HashMap<usize, Kind>) -> Option<(Operand, Operand)> {
    let one = &heard[k];
    if !matches!(one.task.work, Work::Copy) || one.call.is_some() {
        return None;
    }
    let (from, to) = (one.task.operands[0].clone(), one.task.operands[1].clone());
    let free = from.dtype == to.dtype
        && from.device() == to.device()
        && is_whole(&from)
        && is_whole(&to)
        && from.storage.len() == to.storage.len()
        && kinds.get(&at(&from)) == Some(&Kind::Inner)
        && matches!(kinds.get(&at(&to)), Some(Kind::Inner | Kind::Out(_)));
    let meets = |list: &[Heard], own: &Operand| list.iter().flat_map(|h| &h.task.operands).any(|o| at(o) == at(own));
    (free && !meets(&heard[..k], &to) && !meets(&heard[k + 1..], &from)).then_some((from, to))
}
