//! Launches over tensors that are larger than a kernel may be bound to: cut along an axis until every part fits, each bound
//! to the part of its buffer that it touches. Leans on task and pool.

use super::burst::direct;
use super::pool::Block;
use super::stream::Gpu;
use super::{block, copy, detour, draw, map};
use crate::backend::launch::{Convolution, Draw, FoldKind, Operand};
use crate::backend::task::{Task, Work};
use crate::backend::{Launch, Storage};
use crate::base::{Device, Error, ErrorKind, Layout, Number, Result};
use smallvec::SmallVec;
use std::cell::Cell;
use std::sync::Arc;

/// Where a binding may begin.
pub const ALIGN: usize = 256;

/// Bytes from the lowest to the highest element touched, and where the lowest lies.
fn reach(x: &Operand) -> (usize, usize) {
    let ((low, high), size) = (x.layout.span(), x.dtype.size());
    let start = low.max(0) as usize * size / ALIGN * ALIGN;
    ((high.max(0) as usize * size).saturating_sub(start), start)
}

impl Gpu {
    fn fits(&self, x: &Operand) -> bool {
        let most = self.caps.max_binding as usize;
        !x.storage.is_away() || x.storage.len() <= most || x.numel() == 0 || reach(x).0 <= most
    }
}

thread_local! {
    /// Whether the launch under way takes what is large part by part itself.
    static OWN: Cell<bool> = const { Cell::new(false) };
}

/// Whether a launch meets memory that is too large for one binding.
pub fn is_large(gpu: &Gpu, launch: &Launch) -> bool {
    if OWN.get() {
        return false;
    }
    let large = |x: &Operand| x.storage.is_away() && x.storage.len() as u64 > gpu.caps.max_binding;
    Task::of(launch).iter().flat_map(|task| &task.operands).any(large)
}

/// Runs a launch part by part.
pub fn run(gpu: &Gpu, launch: &Launch) -> Result<()> {
    Task::of(launch).into_iter().try_for_each(|task| cut(gpu, task))
}

/// A task, part by part; by the processor where it can be parted no further, which is seen before anything is run.
fn cut(gpu: &Gpu, task: Task) -> Result<()> {
    let whole = Task { work: task.work.clone(), operands: task.operands.clone(), written: task.written };
    match parts(gpu, task) {
        Err(error) if error.kind() == ErrorKind::Missing => detour::large(gpu, whole),
        done => done,
    }
}

fn parts(gpu: &Gpu, task: Task) -> Result<()> {
    // An index reaches all of its source, or target, which its kernels take part by part; of other operands they keep notes
    // in words, one for each element.
    let indexed = match task.work {
        Work::Gather { .. } => Some(0),
        Work::Scatter { .. } | Work::Merge { .. } => Some(task.operands.len() - 1),
        _ => None,
    };
    let noted = |x: &Operand| indexed.is_none() || x.numel() * 4 <= gpu.caps.max_binding as usize;
    let fit = task.operands.iter().enumerate().all(|(i, x)| Some(i) == indexed || gpu.fits(x) && noted(x));
    if fit {
        return narrow(gpu, task, indexed);
    }
    let rank = |task: &Task, i: usize| task.operands[i].layout.rank();
    match &task.work {
        Work::Map { .. } | Work::Copy | Work::Fill { .. } => {
            let axis = widest(&task, usize::MAX)?;
            halves(gpu, task, &|_| Some(axis))
        }
        Work::Softmax { .. } | Work::SoftmaxBack { .. } | Work::Scan { .. } | Work::Order { .. } if rank(&task, 0) > 1 => {
            let axis = widest(&task, rank(&task, 0) - 1)?;
            halves(gpu, task, &|_| Some(axis))
        }
        // Values for one place stay in their order.
        Work::Gather { .. } | Work::Scatter { .. } | Work::Merge { .. } => {
            let axis = task.operands[0].layout.shape.iter().position(|&n| n > 1).ok_or_else(|| refuse(&task))?;
            halves(gpu, task, &|_| Some(axis))
        }
        &Work::Fold { kind, folded, .. } => {
            let kept = rank(&task, 0) - folded;
            let flat = task.operands[1].layout.reshape(&task.operands[0].layout.shape[..kept]);
            match (widest(&task, kept), flat) {
                (Ok(axis), Some(layout)) => {
                    let mut task = task;
                    task.operands[1].layout = layout;
                    halves(gpu, task, &|_| Some(axis))
                }
                _ => whole_rows(gpu, &task, kind, kept),
            }
        }
        Work::Contract => {
            let (a, b) = (&task.operands[0], &task.operands[1]);
            let own = a.layout.rank();
            if own == 3 && task.operands[2].layout.shape[0] > 1 {
                return halves(gpu, task, &|_| Some(0));
            }
            // Rows of the left matrix and of the result, or columns of the right one and of the result.
            let (out, other) = (&task.operands[2], b.layout.rank());
            let last = out.layout.rank();
            let rows = if gpu.fits(out) { !gpu.fits(a) } else { leads(&out.layout, last - 2) };
            let (side, axis) = if rows { (0, own - 2) } else { (1, other - 1) };
            let x = &task.operands[side];
            if x.layout.shape[axis] < 2 {
                return Err(refuse(&task));
            }
            // An operand that lies the other way round is cut in vain: its rows reach over all of it.
            if !gpu.fits(x) && !leads(&x.layout, axis) {
                let sizes = x.layout.shape.clone();
                let laid = if rows { gpu.scratch(&sizes, x.dtype)? } else { turned(&gpu.scratch(&turned(x).layout.shape, x.dtype)?) };
                cut(gpu, Task { work: Work::Copy, operands: smallvec::smallvec![x.clone(), laid.clone()], written: 1 })?;
                let mut task = task;
                task.operands[side] = laid;
                return cut(gpu, task);
            }
            halves(gpu, task, &move |i| match (i, rows) {
                (0, true) => Some(own - 2),
                (1, false) => Some(other - 1),
                (2, true) => Some(last - 2),
                (2, false) => Some(last - 1),
                _ => None,
            })
        }
        Work::Attention { .. } | Work::Average { .. } | Work::Windows { .. } | Work::Pool { .. } | Work::Unpool { .. } => {
            batched(gpu, task, &|_| true)
        }
        Work::Convolve { what: Convolution::Weight, .. } => batched(gpu, task, &|i| i < 2),
        Work::Convolve { .. } => {
            let last = task.operands.len() - 1;
            batched(gpu, task, &|i| i == 0 || i == last)
        }
        Work::Norm { what } if !what.channels => {
            let (kept, ins) = (task.operands.len() - task.written, if what.back { 4 } else { 1 });
            let outs = if what.back { kept + 1 } else { task.operands.len() };
            batched(gpu, task, &|i| i < ins || (kept..outs).contains(&i))
        }
        Work::Random { .. } | Work::Drop { .. } if task.operands.iter().all(|x| x.layout.is_contiguous()) => {
            let per = match task.work {
                // One order is drawn, of however many.
                Work::Random { draw: draw @ Draw::Permutation, seed, offset } => {
                    return draw::by_host(gpu, draw, seed, offset, &task.operands[0]);
                }
                Work::Random { draw, .. } => draw::per_block(draw, task.operands[0].dtype),
                _ => 4,
            };
            let n = task.operands[0].numel();
            let half = (n / 2).next_multiple_of(per);
            for (start, count) in [(0, half), (half, n - half)] {
                let mut work = task.work.clone();
                if let Work::Random { offset, .. } | Work::Drop { offset, .. } = &mut work {
                    *offset = offset.wrapping_add((start / per) as u64);
                }
                let part = |x: &Operand| if x.numel() == n { x.view(flat_of(x, start, count)) } else { x.clone() };
                let operands = task.operands.iter().map(part).collect();
                cut(gpu, Task { work, operands, written: 1 })?;
            }
            Ok(())
        }
        Work::Random { .. } => {
            let out = task.operands[0].clone();
            let dense = gpu.scratch(&out.layout.shape, out.dtype)?;
            cut(gpu, Task { work: task.work, operands: smallvec::smallvec![dense.clone()], written: 1 })?;
            cut(gpu, Task { work: Work::Copy, operands: smallvec::smallvec![dense, out], written: 1 })
        }
        _ => Err(refuse(&task)),
    }
}

/// Whether an axis has the largest steps.
fn leads(layout: &Layout, axis: usize) -> bool {
    let step = |i: usize| if layout.shape[i] > 1 { layout.strides[i].unsigned_abs() } else { 0 };
    (0..layout.rank()).all(|i| step(i) <= step(axis))
}

/// The last two axes exchanged.
fn turned(x: &Operand) -> Operand {
    let rank = x.layout.rank();
    x.view(x.layout.transpose(rank - 2, rank - 1))
}

fn flat_of(x: &Operand, start: usize, count: usize) -> Layout {
    let mut layout = Layout::contiguous([count][..].into());
    layout.offset = x.layout.offset + start;
    layout
}

/// The axis, among the first ones, along which the operand that reaches furthest does so.
fn widest(task: &Task, axes: usize) -> Result<usize> {
    let far = task.operands.iter().filter(|x| x.storage.is_away()).max_by_key(|x| reach(x).0);
    let far = far.ok_or_else(|| refuse(task))?;
    let reach = |&i: &usize| far.layout.strides[i].unsigned_abs() * (far.layout.shape[i] - 1);
    let best = (0..far.layout.rank().min(axes)).filter(|&i| far.layout.shape[i] > 1).max_by_key(reach);
    best.filter(|i| reach(i) > 0).ok_or_else(|| refuse(task))
}

/// Both halves along an axis, which may be another one for each operand, or none.
fn halves(gpu: &Gpu, task: Task, axis: &dyn Fn(usize) -> Option<usize>) -> Result<()> {
    let Some((i, at)) = (0..task.operands.len()).rev().find_map(|i| axis(i).map(|a| (i, a))) else { return Err(refuse(&task)) };
    let size = task.operands[i].layout.shape[at];
    for (start, count) in [(0, size / 2), (size / 2, size - size / 2)] {
        let operands: SmallVec<[Operand; 3]> = task
            .operands
            .iter()
            .enumerate()
            .map(|(i, x)| match axis(i) {
                // A number of the host's, or of all elements, is as it is.
                Some(axis) if x.layout.rank() > axis => x.view(x.layout.slice(axis, start, count, 1)),
                _ => x.clone(),
            })
            .collect();
        cut(gpu, Task { work: task.work.clone(), operands, written: task.written })?;
    }
    Ok(())
}

/// Both halves along the first axis of those operands that have it; results that have not are added up.
fn batched(gpu: &Gpu, task: Task, has: &dyn Fn(usize) -> bool) -> Result<()> {
    let size = (0..task.operands.len()).find(|&i| has(i)).map_or(0, |i| task.operands[i].layout.shape[0]);
    if size < 2 {
        return Err(refuse(&task));
    }
    let kept = task.operands.len() - task.written;
    for (start, count) in [(0, size / 2), (size / 2, size - size / 2)] {
        let mut sums: SmallVec<[(Operand, Operand); 2]> = SmallVec::new();
        let mut operands = SmallVec::new();
        for (i, x) in task.operands.iter().enumerate() {
            operands.push(if has(i) && x.layout.rank() > 0 {
                x.view(x.layout.slice(0, start, count, 1))
            } else if i >= kept && start > 0 {
                let part = gpu.scratch(&x.layout.shape, x.dtype)?;
                sums.push((x.clone(), part.clone()));
                part
            } else {
                x.clone()
            });
        }
        cut(gpu, Task { work: task.work.clone(), operands, written: task.written })?;
        for (x, part) in sums {
            map::run(gpu, &copy::SUM, x.dtype.compute(), &[], &[x.clone(), part], std::slice::from_ref(&x))?;
        }
    }
    Ok(())
}

/// A fold of rows that are themselves too long: of their halves, and of what these give.
fn whole_rows(gpu: &Gpu, task: &Task, kind: FoldKind, kept: usize) -> Result<()> {
    let (x, out) = (&task.operands[0], &task.operands[1]);
    let axis = widest(task, usize::MAX)?;
    let fold = |kind| Work::Fold { kind, folded: x.layout.rank() - kept, correction: 0.0 };
    match kind {
        FoldKind::Mean => {
            let own = Task { work: fold(FoldKind::Sum), operands: task.operands.clone(), written: 1 };
            let count: usize = x.layout.shape[kept..].iter().product();
            cut(gpu, own)?;
            copy::scale(gpu, out, Number::Float(1.0 / count as f64))
        }
        FoldKind::Var | FoldKind::ArgMax | FoldKind::ArgMin => Err(refuse(task)),
        _ => {
            let n = out.numel();
            let parts = gpu.scratch(&[2, n], out.dtype)?;
            let size = x.layout.shape[axis];
            for (k, (start, count)) in [(0, size / 2), (size / 2, size - size / 2)].into_iter().enumerate() {
                let part = parts.view(flat_of(&parts, k * n, n));
                let operands = smallvec::smallvec![x.view(x.layout.slice(axis, start, count, 1)), part];
                cut(gpu, Task { work: fold(kind), operands, written: 1 })?;
            }
            let turned = parts.view(parts.layout.transpose(0, 1));
            let kind = if kind == FoldKind::NanSum { FoldKind::Sum } else { kind };
            gpu.family(&Launch::Fold { kind, input: &turned, folded: 1, correction: 0.0, out })
        }
    }
}

/// A part of a storage by its address, start and length, and the storage that it became.
type Known = ((usize, usize, usize), Arc<Storage>);

/// Runs a task whose operands lie in parts of their buffers, but for the one whose elements are found by an index.
fn narrow(gpu: &Gpu, mut task: Task, indexed: Option<usize>) -> Result<()> {
    let mut known: SmallVec<[Known; 4]> = SmallVec::new();
    let most = gpu.caps.max_binding as usize;
    let far = |(i, x): &(usize, &mut Operand)| Some(*i) != indexed && x.storage.is_away() && x.storage.len() > most;
    for (_, x) in task.operands.iter_mut().enumerate().filter(far) {
        let (bytes, start) = reach(x);
        let key = (x.storage.address(), start, bytes);
        let storage = match known.iter().find(|(own, _)| *own == key) {
            Some((_, storage)) => storage.clone(),
            None => {
                let part: Block = block(x)?.part(start, bytes);
                let made = Arc::new(Storage::away(Device::Gpu(gpu.index), bytes, Box::new(part)));
                known.push((key, made.clone()));
                made
            }
        };
        x.storage = storage;
        x.layout.offset -= start / x.dtype.size();
    }
    struct Back(bool);
    impl Drop for Back {
        fn drop(&mut self) {
            OWN.set(self.0);
        }
    }
    let _back = Back(OWN.replace(indexed.is_some()));
    // Nobody else holds the parts' storages: what waited would be taken for unread.
    direct(|| task.run())
}

fn refuse(task: &Task) -> Error {
    Error::new(ErrorKind::Missing, task.name(), "this cannot be cut into parts")
}
