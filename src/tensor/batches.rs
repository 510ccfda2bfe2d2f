//! Rows of tensors of one length, a batch at a time, in order or as an index names them. Leans on ops and backend's gather.

use crate::backend::launch::Pick;
use crate::backend::{Launch, Operand, of};
use crate::base::{DType, Error, Few, Layout, Result, shape};
use crate::graph::mode::Mode;
use crate::graph::Tensor;
use crate::ops::{index, view};
use smallvec::SmallVec;
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
}

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
        Ok(Batches { tensors, order, rows, size, at: AtomicUsize::new(0) })
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
        let order = self.order.as_ref().map(Tensor::operand);
        let one = |t: &Tensor| plain(t, order.as_ref(), start, count).unwrap_or_else(|| self.recorded(t, start, count));
        self.tensors.iter().map(one).collect()
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
            None => view::clone_(&part(t)?),
            Some(order) => {
                let chosen = part(order)?.to_device(t.device())?;
                index::take_at(&[t, &chosen], Few::filled(0i64, 1), false)
            }
        }
    }
}

/// The rows of a tensor on the processor that nothing watches.
fn plain(t: &Tensor, order: Option<&Operand>, start: usize, count: usize) -> Option<Result<Tensor>> {
    let mode = Mode::now();
    let source = {
        let core = t.0.core.get();
        let current = core.base.is_none() || core.seen == core.version();
        if !mode.is_plain() || mode.inference() || core.requires_grad || core.flags != 0 || !current || core.operand.storage.is_away() {
            return None;
        }
        core.operand.clone()
    };
    Some(copy(&source, order, start, count).map(Tensor::from_operand))
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
            let mut strides = source.layout.strides.clone();
            let stride = std::mem::replace(&mut strides[0], 0);
            let mut along = Few::filled(0, shape.len());
            along[0] = 1;
            let index = order.view(Layout::new(shape.clone(), along, order.layout.offset + start));
            let picks = [Pick { op: "index", index, size: source.layout.shape[0], stride }];
            let spread = source.view(Layout::new(shape, strides, source.layout.offset));
            backend.launch(&Launch::Gather { source: &spread, picks: &picks, out: &out })?;
        }
    }
    Ok(out)
}
