//! Rows of tensors of one length, a batch at a time, in order or as an index names them. Leans on ops and backend's gather.

use crate::backend::cpu::{gather, threads};
use crate::backend::launch::Pick;
use crate::backend::{Launch, Operand, of};
use crate::base::{DType, Error, ErrorKind, Few, Layout, Result, shape};
use crate::graph::Tensor;
use crate::graph::mode::Mode;
use crate::ops::{index, view};
use smallvec::SmallVec;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A batch: the same rows of every tensor.
pub type Batch = SmallVec<[Tensor; 2]>;

/// One pass over the rows of tensors.
pub struct Batches {
    tensors: Vec<Tensor>,
    /// Which rows, as row-major int64; none for all of them as they stand.
    order: Option<Tensor>,
    rows: usize,
    size: usize,
    at: AtomicUsize,
    /// Batches to come, gathered together so that several threads have enough to do: the row where each starts.
    ready: Mutex<Vec<(usize, Ready)>>,
}

/// A batch that waits to be asked for, and what its sources were when it was gathered.
type Ready = SmallVec<[(Operand, Mark); 2]>;

/// A storage and the number of writes into it.
type Mark = (usize, u32);

/// Bytes that are gathered at once: many, since a thread that has slept comes late, once for each time.
const TOGETHER: usize = 8 << 20;
/// A batch from this size on is long enough for that.
const LONG: usize = 32 << 10;

impl Batches {
    pub fn new(tensors: Vec<Tensor>, order: Option<Tensor>, size: usize, drop_last: bool) -> Result<Batches> {
        if size == 0 || tensors.is_empty() || tensors.iter().any(|t| t.rank() == 0) {
            return Err(Error::value("batches", "needs tensors with rows, and a batch size of at least 1"));
        }
        if let Some(order) = &order
            && (order.rank() != 1 || order.dtype() != DType::I64)
        {
            let text = format!("the order must be one axis of int64, got {} of shape {}", order.dtype(), shape::show(&order.shape()));
            return Err(Error::value("batches", text));
        }
        let order = order.map(|o| o.contiguous()).transpose()?;
        let rows = order.as_ref().map_or_else(|| tensors.iter().map(|t| t.shape()[0]).min().unwrap_or(0), Tensor::numel);
        let rows = if drop_last { rows / size * size } else { rows };
        Ok(Batches { tensors, order, rows, size, at: AtomicUsize::new(0), ready: Mutex::new(Vec::new()) })
    }

    /// The next rows that nobody else gets: where they start and how many they are.
    pub fn claim(&self) -> Option<(usize, usize)> {
        let start = self.at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |at| (at < self.rows).then(|| at + self.size)).ok()?;
        Some((start, self.size.min(self.rows - start)))
    }

    /// How many elements those rows have.
    pub fn weight(&self, count: usize) -> usize {
        self.tensors.iter().map(|t| t.shape()[1..].iter().product::<usize>() * count).sum()
    }

    pub fn take(&self, start: usize, count: usize) -> Result<Batch> {
        if let Some(found) = self.together(start)? {
            return Ok(found);
        }
        let order = self.order.as_ref().map(Tensor::operand);
        let one = |t: &Tensor| match plain(t) {
            Some((source, _)) => copy(&source, order.as_ref(), start, count).map(Tensor::from_operand),
            None => self.recorded(t, start, count),
        };
        self.tensors.iter().map(one).collect()
    }

    /// The batch from among those gathered together; none where that is no gain, or a source has been written since.
    fn together(&self, start: usize) -> Result<Option<Batch>> {
        let Some(order) = self.order.as_ref().map(Tensor::operand) else { return Ok(None) };
        // Who finds another thread at it gathers alone: waiting here could be waiting for the interpreter.
        let Ok(mut ready) = self.ready.try_lock() else { return Ok(None) };
        let Some(sources) = self.tensors.iter().map(plain).collect::<Option<SmallVec<[(Operand, Mark); 2]>>>() else { return Ok(None) };
        if ready.iter().all(|(at, _)| *at != start) {
            ready.clear();
            if let Err(error) = self.gather_ahead(&sources, &order, start, &mut ready) {
                ready.clear();
                // A row that is not there is told of with the batch that wants it.
                return if error.kind() == ErrorKind::Index { Ok(None) } else { Err(error) };
            }
        }
        let Some(place) = ready.iter().position(|(at, _)| *at == start) else { return Ok(None) };
        let (_, batch) = ready.remove(place);
        let current = batch.iter().zip(&sources).all(|((_, then), (_, now))| then == now);
        Ok(current.then(|| batch.into_iter().map(|(operand, _)| Tensor::from_operand(operand)).collect()))
    }

    /// Gathers the batch at `start` and as many after it as make it worth while.
    fn gather_ahead(&self, sources: &[(Operand, Mark)], order: &Operand, start: usize, ready: &mut Vec<(usize, Ready)>) -> Result<()> {
        let row = |s: &Operand| s.layout.shape[1..].iter().product::<usize>() * s.dtype.size();
        let bytes = sources.iter().map(|(s, _)| row(s)).sum::<usize>() * self.size;
        let many = (TOGETHER / bytes.max(1)).min((self.rows - start).div_ceil(self.size));
        // Memory that somebody else owns may be written without our knowledge.
        if many < 2 || bytes < LONG || threads::count() < 2 || sources.iter().any(|(s, _)| s.storage.is_foreign()) {
            return Ok(());
        }
        let end = (start + many * self.size).min(self.rows);
        for at in (start..end).step_by(self.size) {
            ready.push((at, Ready::new()));
        }
        for (source, mark) in sources {
            let part = |at: usize| -> Result<Operand> {
                let mut shape = source.layout.shape.clone();
                shape[0] = self.size.min(end - at);
                Operand::new(of(&source.storage), &shape, source.dtype)
            };
            let outs = ready.iter().map(|(at, _)| part(*at)).collect::<Result<Vec<_>>>()?;
            let (spread, pick) = picked(source, order, start, end - start);
            if !gather::gather_parts(&spread, pick, &outs, self.size)? {
                for ((at, _), out) in ready.iter().zip(&outs) {
                    let (spread, pick) = picked(source, order, *at, out.layout.shape[0]);
                    of(&source.storage).launch(&Launch::Gather { source: &spread, picks: &[pick], out })?;
                }
            }
            ready.iter_mut().zip(outs).for_each(|((_, batch), out)| batch.push((out, *mark)));
        }
        Ok(())
    }

    /// The rows of a tensor that something watches, by the records.
    fn recorded(&self, t: &Tensor, start: usize, count: usize) -> Result<Tensor> {
        let part = |x: &Tensor| {
            let shape = x.shape();
            let (mut starts, mut sizes) = (Few::filled(0, shape.len()), Few::new());
            shape.iter().for_each(|&n| sizes.push(n as i64));
            (starts[0], sizes[0]) = (start as i64, count as i64);
            view::slice(x, starts, sizes, Few::filled(1i64, shape.len()))
        };
        match &self.order {
            None => view::compact(&part(t)?),
            Some(order) => {
                let chosen = part(order)?.to_device(t.device())?;
                index::take_at(&[t, &chosen], Few::filled(0i64, 1), false, true)
            }
        }
    }
}

/// A tensor on the processor that nothing watches, as it is now.
fn plain(t: &Tensor) -> Option<(Operand, Mark)> {
    let mode = Mode::now();
    let core = t.0.core.get();
    let current = core.base.is_none() || core.seen == core.version();
    if !mode.is_plain() || mode.inference() || core.requires_grad || core.flags != 0 || !current || core.operand.storage.is_away() {
        return None;
    }
    let operand = core.operand.clone();
    let mark = (operand.storage.address(), core.version());
    Some((operand, mark))
}

/// The source under the layout of the rows that an order names from `start` on, and what names them.
fn picked(source: &Operand, order: &Operand, start: usize, count: usize) -> (Operand, Pick) {
    let mut shape = source.layout.shape.clone();
    shape[0] = count;
    let mut strides = source.layout.strides.clone();
    let stride = std::mem::replace(&mut strides[0], 0);
    let mut along = Few::filled(0, shape.len());
    along[0] = 1;
    let index = order.view(Layout::new(shape.clone(), along, order.layout.offset + start));
    let pick = Pick { op: "index", index, size: source.layout.shape[0], stride, wraps: true };
    (source.view(Layout::new(shape, strides, source.layout.offset)), pick)
}

fn copy(source: &Operand, order: Option<&Operand>, start: usize, count: usize) -> Result<Operand> {
    let backend = of(&source.storage);
    let mut shape = source.layout.shape.clone();
    shape[0] = count;
    let out = Operand::new(backend, &shape, source.dtype)?;
    match order {
        None => {
            let src = source.view(source.layout.slice(0, start, count, 1));
            backend.launch(&Launch::Copy { src: &src, dst: &out })?;
        }
        Some(order) => {
            let (spread, pick) = picked(source, order, start, count);
            backend.launch(&Launch::Gather { source: &spread, picks: &[pick], out: &out })?;
        }
    }
    Ok(out)
}
