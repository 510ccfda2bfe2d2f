//! The processor's backend: each launch handed to its family. Leans on the families beside it.

#[macro_use]
pub mod lanes;

pub mod accumulate;
pub mod attention;
pub mod average;
pub mod bessel;
pub mod block;
pub mod cast;
pub mod chain;
pub mod columns;
pub mod complex;
mod complex_edges;
pub mod contract;
pub mod conv;
pub mod convert;
mod crew;
pub mod dense;
pub mod draw;
pub mod entropy;
pub mod field;
pub mod fold;
pub mod fourier;
pub mod gather;
pub mod incomplete;
pub mod isa;
pub mod lines;
pub mod map;
pub mod math;
pub mod matvec;
pub mod merge;
pub mod native;
pub mod norm;
pub mod order;
pub mod pairs;
pub mod polynomial;
pub mod pool;
mod positions;
pub mod random;
pub mod recurrence;
pub mod rejection;
pub mod rows;
pub mod scan;
pub mod segments;
pub mod short;
pub mod softmax;
pub mod special;
pub mod symmetric;
pub mod threads;
pub mod truth;
pub mod widen;
pub mod windows;

pub use super::stop;
use super::{Backend, Launch, Operand, Storage, trace};
use crate::base::{Device, Error, Result};

/// The processor.
pub struct Cpu;

impl Backend for Cpu {
    fn device(&self) -> Device {
        Device::Cpu
    }

    fn alloc(&self, bytes: usize) -> Result<Storage> {
        Storage::new(bytes)
    }

    fn launch(&self, launch: &Launch) -> Result<()> {
        if trace::on() {
            trace::unheard(|| run(launch))?;
            trace::note(launch);
            return Ok(());
        }
        run(launch)
    }

    fn upload(&self, host: &Operand, own: &Operand) -> Result<()> {
        convert::copy(host, own)
    }

    fn download(&self, own: &Operand, host: &Operand) -> Result<()> {
        convert::copy(own, host)
    }
}

fn run(launch: &Launch) -> Result<()> {
    let done = family(launch);
    match stop::taken() {
        Some(why) => Err(unfinished(launch, why)),
        None => done,
    }
}

fn family(launch: &Launch) -> Result<()> {
    match *launch {
        Launch::Map { body, compute, params, ins, outs } => map::run(body, compute, params, ins, outs),
        Launch::Copy { src, dst } => convert::copy(src, dst),
        Launch::Fill { dst, value } => convert::fill(dst, value),
        Launch::Fold { kind, input, folded, correction, out } => fold::run(kind, input, folded, correction, out),
        Launch::Contract { a, b, out } => contract::run(a, b, out),
        Launch::Softmax { log, input, out } => softmax::run(log, input, out),
        Launch::SoftmaxBack { log, grad, result, out } => softmax::back(log, grad, result, out),
        Launch::Gather { source, picks, out } => gather::gather(source, picks, out),
        Launch::Scatter { target, picks, values, add } => gather::scatter(target, picks, values, add),
        Launch::Scan { kind, input, out } => scan::run(kind, input, out),
        Launch::Special { function, ins, out } => special::run(function, ins, out),
        Launch::Dense { what, ins, outs } => dense::run(what, ins, outs),
        Launch::Fourier { kind, scale, input, out } => fourier::run(kind, scale, input, out),
        Launch::Order { order, input, values, places } => order::run(order, input, values, places),
        Launch::Search { sorted, values, right, out } => order::search(sorted, values, right, out),
        Launch::Merge { kind, target, pick, values } => merge::run(kind, target, pick, values),
        Launch::Windows { image, columns, geometry, back } => windows::run(image, columns, geometry, back),
        Launch::Convolve { what, ins, outs, geometry, groups } => conv::run(what, ins, outs, geometry, groups),
        Launch::Pool { input, spans, values, places } => pool::run(input, spans, values, places),
        Launch::Unpool { values, places, out, .. } => pool::back(values, places, out),
        Launch::Average { image, means, geometry, divisor, back } => average::run(image, means, geometry, divisor, back),
        Launch::Norm { what, ins, outs } => norm::run(&what, ins, outs),
        Launch::Entropy { what, ins, outs } => entropy::run(&what, ins, outs),
        Launch::Attention { what, ins, outs } => attention::run(&what, ins, outs),
        Launch::Recur { what, ins, outs } => recurrence::run(what, ins, outs),
        Launch::Random { draw, seed, offset, out } => draw::run(draw, seed, offset, out),
        Launch::Drop { keep, scale, seed, offset, place, input, out } => draw::dropped((keep, scale), (seed, offset), place, input, out),
        Launch::Demand { op, test, ins, numbers } => test(op, ins, numbers),
        Launch::Segments { body, compute, params, segments } => segments::run(body, compute, params, segments),
    }
}

/// The error of work that was stopped: what it wrote in place is half done, and a derivative that reads it must know.
#[cold]
fn unfinished(launch: &Launch, why: Error) -> Error {
    let written: &[&Operand] = match *launch {
        Launch::Map { outs, .. } => &outs.iter().collect::<Vec<_>>(),
        Launch::Segments { body, segments, .. } => &segments.iter().flat_map(|list| &list[..body.outputs]).collect::<Vec<_>>(),
        Launch::Copy { dst, .. } | Launch::Fill { dst, .. } => &[dst],
        Launch::Scatter { target, .. } | Launch::Merge { target, .. } => &[target],
        Launch::Random { out, .. } => &[out],
        _ => &[],
    };
    written.iter().for_each(|x| x.storage.bump());
    why
}
