//! The processor's backend: each launch handed to its family. Leans on the families beside it.

pub mod accumulate;
pub mod block;
pub mod contract;
pub mod convert;
pub mod draw;
pub mod fold;
pub mod gather;
pub mod isa;
pub mod map;
pub mod math;
pub mod matvec;
pub mod native;
pub mod random;
pub mod scan;
pub mod softmax;
pub mod threads;
pub mod truth;

use super::{Backend, Launch, Storage};
use crate::base::Result;

/// The processor.
pub struct Cpu;

impl Backend for Cpu {
    fn alloc(&self, bytes: usize) -> Result<Storage> {
        Storage::new(bytes)
    }

    fn launch(&self, launch: &Launch) -> Result<()> {
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
            Launch::Random { draw, seed, offset, out } => draw::run(draw, seed, offset, out),
            Launch::Segments { body, compute, params, ins, outs } => {
                ins.iter().zip(outs).try_for_each(|(ins, outs)| map::run(body, compute, params, ins, outs))
            }
        }
    }
}
