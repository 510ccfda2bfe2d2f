//! A launch that can be kept and run again: the same families, owning their operands. Leans on launch.

use super::launch::{
    Attention, Backend, Convolution, Dense, Draw, Entropy, FoldKind, Fourier, Geometry, Launch, MapBody, Norm, Operand, Order, Pick,
    Recurrence, Span, Special,
};
use super::of;
use crate::base::shape::Shape;
use crate::base::{DType, Number, Result};
use smallvec::SmallVec;

/// What a demand asks of values, and the error it gives where they do not hold.
pub type Test = fn(&'static str, &[Operand], &[i64]) -> Result<()>;

/// One index of a gather or scatter, without its operand.
#[derive(Clone)]
pub struct Place {
    op: &'static str,
    size: usize,
    stride: isize,
    wraps: bool,
}

/// The positions of a pooling window along one axis.
#[derive(Clone)]
pub struct Reach {
    starts: Vec<i64>,
    counts: Vec<i64>,
    step: i64,
}

/// Which family, and all that it is told besides its operands.
#[derive(Clone)]
pub enum Work {
    Map {
        body: &'static MapBody,
        compute: DType,
        params: SmallVec<[Number; 2]>,
    },
    Copy,
    /// From one device to another, row-major.
    Move,
    Fill {
        value: Number,
    },
    Fold {
        kind: FoldKind,
        folded: usize,
        correction: f64,
    },
    Contract,
    Softmax {
        log: bool,
    },
    SoftmaxBack {
        log: bool,
    },
    Gather {
        places: Vec<Place>,
    },
    Scatter {
        places: Vec<Place>,
        add: bool,
    },
    Scan {
        kind: FoldKind,
    },
    Special {
        function: Special,
    },
    Dense {
        what: Dense,
    },
    Fourier {
        kind: Fourier,
        scale: f64,
    },
    Order {
        order: Order,
    },
    Search {
        right: bool,
    },
    Merge {
        kind: FoldKind,
        place: Place,
    },
    Windows {
        geometry: Geometry,
        back: bool,
    },
    Convolve {
        what: Convolution,
        geometry: Geometry,
        groups: usize,
    },
    Pool {
        reaches: Vec<Reach>,
    },
    Unpool {
        reaches: Vec<Reach>,
    },
    Average {
        geometry: Geometry,
        divisor: (Option<f64>, bool),
        back: bool,
    },
    Norm {
        what: Norm,
    },
    Entropy {
        what: Entropy,
    },
    Attention {
        what: Attention,
    },
    Recur {
        what: Recurrence,
    },
    Random {
        draw: Draw,
        seed: u64,
        offset: u64,
    },
    Drop {
        keep: f64,
        scale: f64,
        seed: u64,
        offset: u64,
    },
    Demand {
        op: &'static str,
        test: Test,
        numbers: Vec<i64>,
    },
}

/// A launch with operands of its own: those that are read come first, those that are written last.
pub struct Task {
    pub work: Work,
    pub operands: SmallVec<[Operand; 3]>,
    /// How many of them are written.
    pub written: usize,
}

impl Task {
    /// Keeps a launch; one over the segments of an optimiser becomes a task for each.
    pub fn of(launch: &Launch) -> SmallVec<[Task; 1]> {
        let one = |work: Work, reads: &[&Operand], writes: &[&Operand]| -> SmallVec<[Task; 1]> {
            let operands = reads.iter().chain(writes).map(|&o| o.clone()).collect();
            smallvec::smallvec![Task { work, operands, written: writes.len() }]
        };
        let refs = |list: &'_ [Operand]| -> Vec<Operand> { list.to_vec() };
        let many = |work: Work, reads: &[Operand], writes: &[Operand]| -> SmallVec<[Task; 1]> {
            let operands = refs(reads).into_iter().chain(refs(writes)).collect();
            smallvec::smallvec![Task { work, operands, written: writes.len() }]
        };
        match *launch {
            Launch::Map { body, compute, params, ins, outs } => many(Work::Map { body, compute, params: params.into() }, ins, outs),
            Launch::Copy { src, dst } => one(Work::Copy, &[src], &[dst]),
            Launch::Fill { dst, value } => one(Work::Fill { value: value.filling(dst.dtype) }, &[], &[dst]),
            Launch::Fold { kind, input, folded, correction, out } => one(Work::Fold { kind, folded, correction }, &[input], &[out]),
            Launch::Contract { a, b, out } => one(Work::Contract, &[a, b], &[out]),
            Launch::Softmax { log, input, out } => one(Work::Softmax { log }, &[input], &[out]),
            Launch::SoftmaxBack { log, grad, result, out } => one(Work::SoftmaxBack { log }, &[grad, result], &[out]),
            Launch::Gather { source, picks, out } => {
                let reads: Vec<&Operand> = std::iter::once(source).chain(picks.iter().map(|p| &p.index)).collect();
                one(Work::Gather { places: picks.iter().map(Place::of).collect() }, &reads, &[out])
            }
            Launch::Scatter { target, picks, values, add } => {
                let reads: Vec<&Operand> = std::iter::once(values).chain(picks.iter().map(|p| &p.index)).collect();
                one(Work::Scatter { places: picks.iter().map(Place::of).collect(), add }, &reads, &[target])
            }
            Launch::Scan { kind, input, out } => one(Work::Scan { kind }, &[input], &[out]),
            Launch::Special { function, ins, out } => many(Work::Special { function }, ins, std::slice::from_ref(out)),
            Launch::Dense { what, ins, outs } => many(Work::Dense { what }, ins, outs),
            Launch::Fourier { kind, scale, input, out } => one(Work::Fourier { kind, scale }, &[input], &[out]),
            Launch::Order { order, input, values, places } => one(Work::Order { order }, &[input], &[values, places]),
            Launch::Search { sorted, values, right, out } => one(Work::Search { right }, &[sorted, values], &[out]),
            Launch::Merge { kind, target, pick, values } => {
                one(Work::Merge { kind, place: Place::of(pick) }, &[values, &pick.index], &[target])
            }
            Launch::Windows { image, columns, geometry, back } => {
                let (from, to) = if back { (columns, image) } else { (image, columns) };
                one(Work::Windows { geometry: geometry.clone(), back }, &[from], &[to])
            }
            Launch::Convolve { what, ins, outs, geometry, groups } => {
                many(Work::Convolve { what, geometry: geometry.clone(), groups }, ins, outs)
            }
            Launch::Pool { input, spans, values, places } => {
                one(Work::Pool { reaches: spans.iter().map(Reach::of).collect() }, &[input], &[values, places])
            }
            Launch::Unpool { values, places, spans, out } => {
                one(Work::Unpool { reaches: spans.iter().map(Reach::of).collect() }, &[values, places], &[out])
            }
            Launch::Average { image, means, geometry, divisor, back } => {
                let (from, to) = if back { (means, image) } else { (image, means) };
                one(Work::Average { geometry: geometry.clone(), divisor, back }, &[from], &[to])
            }
            Launch::Norm { what, ins, outs } => many(Work::Norm { what }, ins, outs),
            Launch::Entropy { what, ins, outs } => many(Work::Entropy { what }, ins, outs),
            Launch::Attention { what, ins, outs } => many(Work::Attention { what }, ins, outs),
            Launch::Recur { what, ins, outs } => many(Work::Recur { what: what.clone() }, ins, outs),
            Launch::Random { draw, seed, offset, out } => one(Work::Random { draw, seed, offset }, &[], &[out]),
            Launch::Drop { keep, scale, seed, offset, place, input, out } => {
                let reads: SmallVec<[&Operand; 2]> = std::iter::once(input).chain(place).collect();
                one(Work::Drop { keep, scale, seed, offset }, &reads, &[out])
            }
            Launch::Demand { op, test, ins, numbers } => many(Work::Demand { op, test, numbers: numbers.into() }, ins, &[]),
            Launch::Segments { body, compute, params, segments } => {
                let work = || Work::Map { body, compute, params: params.into() };
                segments.iter().flat_map(|list| many(work(), list, &list[..body.outputs])).collect()
            }
        }
    }

    /// A copy from one device to another.
    pub fn moves(src: &Operand, dst: &Operand) -> Task {
        Task { work: Work::Move, operands: smallvec::smallvec![src.clone(), dst.clone()], written: 1 }
    }

    pub fn reads(&self) -> &[Operand] {
        &self.operands[..self.operands.len() - self.written]
    }
    pub fn writes(&self) -> &[Operand] {
        &self.operands[self.operands.len() - self.written..]
    }
    /// Whether what it writes to is read as well, though it stands among the written ones alone.
    pub fn adds(&self) -> bool {
        matches!(self.work, Work::Scatter { .. } | Work::Merge { .. })
    }

    /// Runs it over what its operands hold now.
    pub fn run(&self) -> Result<()> {
        let (ins, outs) = self.operands.split_at(self.operands.len() - self.written);
        let launch = match &self.work {
            Work::Map { body, compute, params } => Launch::Map { body, compute: *compute, params, ins, outs },
            Work::Copy => Launch::Copy { src: &ins[0], dst: &outs[0] },
            Work::Move if outs[0].storage.is_away() => return of(&outs[0].storage).upload(&ins[0], &outs[0]),
            Work::Move => return of(&ins[0].storage).download(&ins[0], &outs[0]),
            Work::Fill { value } => Launch::Fill { dst: &outs[0], value: *value },
            Work::Fold { kind, folded, correction } => {
                Launch::Fold { kind: *kind, input: &ins[0], folded: *folded, correction: *correction, out: &outs[0] }
            }
            Work::Contract => Launch::Contract { a: &ins[0], b: &ins[1], out: &outs[0] },
            Work::Softmax { log } => Launch::Softmax { log: *log, input: &ins[0], out: &outs[0] },
            Work::SoftmaxBack { log } => Launch::SoftmaxBack { log: *log, grad: &ins[0], result: &ins[1], out: &outs[0] },
            Work::Gather { places } => {
                let picks = picks(places, &ins[1..]);
                return go(&Launch::Gather { source: &ins[0], picks: &picks, out: &outs[0] }, &outs[0]);
            }
            Work::Scatter { places, add } => {
                let picks = picks(places, &ins[1..]);
                return go(&Launch::Scatter { target: &outs[0], picks: &picks, values: &ins[0], add: *add }, &outs[0]);
            }
            Work::Merge { kind, place } => {
                let pick = place.pick(&ins[1]);
                return go(&Launch::Merge { kind: *kind, target: &outs[0], pick: &pick, values: &ins[0] }, &outs[0]);
            }
            Work::Scan { kind } => Launch::Scan { kind: *kind, input: &ins[0], out: &outs[0] },
            Work::Special { function } => Launch::Special { function: *function, ins, out: &outs[0] },
            Work::Dense { what } => Launch::Dense { what: *what, ins, outs },
            Work::Fourier { kind, scale } => Launch::Fourier { kind: *kind, scale: *scale, input: &ins[0], out: &outs[0] },
            Work::Order { order } => Launch::Order { order: *order, input: &ins[0], values: &outs[0], places: &outs[1] },
            Work::Search { right } => Launch::Search { sorted: &ins[0], values: &ins[1], right: *right, out: &outs[0] },
            Work::Windows { geometry, back } => {
                let (image, columns) = if *back { (&outs[0], &ins[0]) } else { (&ins[0], &outs[0]) };
                Launch::Windows { image, columns, geometry, back: *back }
            }
            Work::Convolve { what, geometry, groups } => Launch::Convolve { what: *what, ins, outs, geometry, groups: *groups },
            Work::Pool { reaches } => {
                let spans: Vec<Span> = reaches.iter().map(Reach::span).collect();
                return go(&Launch::Pool { input: &ins[0], spans: &spans, values: &outs[0], places: &outs[1] }, &outs[0]);
            }
            Work::Unpool { reaches } => {
                let spans: Vec<Span> = reaches.iter().map(Reach::span).collect();
                return go(&Launch::Unpool { values: &ins[0], places: &ins[1], spans: &spans, out: &outs[0] }, &outs[0]);
            }
            Work::Average { geometry, divisor, back } => {
                let (image, means) = if *back { (&outs[0], &ins[0]) } else { (&ins[0], &outs[0]) };
                Launch::Average { image, means, geometry, divisor: *divisor, back: *back }
            }
            Work::Norm { what } => Launch::Norm { what: *what, ins, outs },
            Work::Entropy { what } => Launch::Entropy { what: *what, ins, outs },
            Work::Attention { what } => Launch::Attention { what: *what, ins, outs },
            Work::Recur { what } => Launch::Recur { what, ins, outs },
            Work::Random { draw, seed, offset } => Launch::Random { draw: *draw, seed: *seed, offset: *offset, out: &outs[0] },
            &Work::Drop { keep, scale, seed, offset } => {
                Launch::Drop { keep, scale, seed, offset, place: ins.get(1), input: &ins[0], out: &outs[0] }
            }
            Work::Demand { op, test, numbers } => return test(op, ins, numbers),
        };
        go(&launch, &outs[0])
    }

    /// The shape of what a gather reads or a scatter writes, whose operand has only the axes that no index addresses.
    pub fn table(&self, k: usize) -> Option<Shape> {
        let (own, places) = match &self.work {
            Work::Gather { places } => (0, &places[..]),
            Work::Scatter { places, .. } => (self.operands.len() - 1, &places[..]),
            Work::Merge { place, .. } => (self.operands.len() - 1, std::slice::from_ref(place)),
            _ => return None,
        };
        let layout = &self.operands.get(k).filter(|_| k == own)?.layout;
        let rest = layout.shape.iter().zip(layout.strides.iter()).filter(|&(_, &by)| by != 0).map(|(&n, &by)| (by, n));
        let mut axes: Vec<(isize, usize)> = places.iter().map(|place| (place.stride, place.size)).chain(rest).collect();
        axes.sort_by_key(|&(by, _)| std::cmp::Reverse(by.abs()));
        Some(axes.into_iter().map(|(_, n)| n).collect())
    }

    /// What a reader of a program calls it.
    pub fn name(&self) -> &'static str {
        match &self.work {
            Work::Map { .. } => "map",
            Work::Copy => "copy",
            Work::Move => "move",
            Work::Fill { .. } => "fill",
            Work::Fold { kind, .. } => kind.name(),
            Work::Contract => "matmul",
            Work::Softmax { log: false } => "softmax",
            Work::Softmax { log: true } => "log_softmax",
            Work::SoftmaxBack { .. } => "softmax_back",
            Work::Gather { .. } => "gather",
            Work::Scatter { add: false, .. } => "scatter",
            Work::Scatter { add: true, .. } => "scatter_add",
            Work::Scan { kind: FoldKind::Sum } => "cumsum",
            Work::Scan { kind: FoldKind::Prod } => "cumprod",
            Work::Scan { .. } => "scan",
            Work::Special { .. } => "special",
            Work::Dense { .. } => "dense",
            Work::Fourier { .. } => "fourier",
            Work::Order { .. } => "order",
            Work::Search { .. } => "search",
            Work::Merge { .. } => "scatter_reduce",
            Work::Windows { .. } => "windows",
            Work::Convolve { what: Convolution::Forward, .. } => "conv",
            Work::Convolve { what: Convolution::Input, .. } => "conv_input_back",
            Work::Convolve { what: Convolution::Weight, .. } => "conv_weight_back",
            Work::Pool { .. } => "max_pool",
            Work::Unpool { .. } => "max_pool_back",
            Work::Average { back: false, .. } => "avg_pool",
            Work::Average { back: true, .. } => "avg_pool_back",
            Work::Norm { what } if what.back => "norm_back",
            Work::Norm { .. } => "norm",
            Work::Entropy { what } if what.back => "cross_entropy_back",
            Work::Entropy { .. } => "cross_entropy",
            Work::Attention { what } if what.back => "attention_back",
            Work::Attention { .. } => "attention",
            Work::Recur { what } if what.back => "recurrence_back",
            Work::Recur { .. } => "recurrence",
            Work::Random { .. } => "random",
            Work::Drop { .. } => "dropout",
            Work::Demand { .. } => "demand",
        }
    }
}

#[inline]
fn go(launch: &Launch, at: &Operand) -> Result<()> {
    let backend: &dyn Backend = of(&at.storage);
    backend.launch(launch)
}

fn picks(places: &[Place], index: &[Operand]) -> SmallVec<[Pick; 2]> {
    places.iter().zip(index).map(|(p, i)| p.pick(i)).collect()
}

impl Place {
    fn of(pick: &Pick) -> Place {
        Place { op: pick.op, size: pick.size, stride: pick.stride, wraps: pick.wraps }
    }
    fn pick(&self, index: &Operand) -> Pick {
        Pick { op: self.op, index: index.clone(), size: self.size, stride: self.stride, wraps: self.wraps }
    }
}

impl Reach {
    fn of(span: &Span) -> Reach {
        Reach { starts: span.starts.into(), counts: span.counts.into(), step: span.step }
    }
    fn span(&self) -> Span<'_> {
        Span { starts: &self.starts, counts: &self.counts, step: self.step }
    }
}
