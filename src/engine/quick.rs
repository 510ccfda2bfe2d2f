//! The short way of the most frequent call: one formula over a few contiguous floats of one shape, nothing to settle.
//! Leans on graph and backend; whatever it does not know goes the long way through record.

use crate::backend::cpu::map::{From, plain};
use crate::backend::{Operand, Storage};
use crate::base::{DType, Error, Layout, Result};
use crate::graph::mode::Mode;
use crate::graph::tensor::{Core, flag};
use crate::graph::{Body, Class, Feed, Op, Tensor};
use std::sync::Arc;

/// Elements that are computed without letting other threads run.
const MOST: usize = 1 << 12;
const ODD: u8 = flag::VARIABLE | flag::WATCHED | flag::STRICT | flag::PROBE | flag::INFERENCE;

/// The one element type and shape of the operands, once they are known to be plain.
fn is_plain(core: &Core) -> bool {
    core.flags & ODD == 0
        && matches!(core.operand.dtype, DType::F32 | DType::F64)
        && core.operand.layout.is_contiguous()
        && core.operand.layout.numel() <= MOST
        && (core.base.is_none() || core.seen == core.version())
}

/// Runs a map of one or two operands if it is plain: the result, and whether it must be recorded.
#[inline]
pub fn map(op: &'static Op, feeds: &[Feed], mode: Mode) -> Option<Result<(Tensor, bool)>> {
    let Body::Map(body) = &op.body else { return None };
    let fits = body.outputs == 1 && body.params == 0 && !matches!(op.class, Class::Integer | Class::Logic | Class::Question | Class::Any);
    if !fits || !mode.is_plain() {
        return None;
    }
    match feeds {
        [Feed::Tensor(a)] => {
            let a = a.0.core.get();
            is_plain(&a).then(|| run(op, &a, &[From::Memory(&a.operand)], mode, a.requires_grad))
        }
        [Feed::Tensor(a), Feed::Tensor(b)] if a.same(b) => {
            let a = a.0.core.get();
            is_plain(&a).then(|| run(op, &a, &[From::Memory(&a.operand), From::Memory(&a.operand)], mode, a.requires_grad))
        }
        [Feed::Tensor(a), Feed::Tensor(b)] => {
            // Two locks are taken in the order of their addresses, so that two threads cannot hold one each.
            let (x, y);
            if a.id() < b.id() {
                x = a.0.core.get();
                y = b.0.core.get();
            } else {
                y = b.0.core.get();
                x = a.0.core.get();
            }
            let same = x.operand.dtype == y.operand.dtype && x.operand.layout.shape == y.operand.layout.shape;
            let plain = same && is_plain(&x) && is_plain(&y);
            plain.then(|| run(op, &x, &[From::Memory(&x.operand), From::Memory(&y.operand)], mode, x.requires_grad || y.requires_grad))
        }
        [Feed::Tensor(a), Feed::Number(n)] => {
            let a = a.0.core.get();
            is_plain(&a).then(|| run(op, &a, &[From::Memory(&a.operand), From::Number(*n)], mode, a.requires_grad))
        }
        [Feed::Number(n), Feed::Tensor(a)] => {
            let a = a.0.core.get();
            is_plain(&a).then(|| run(op, &a, &[From::Number(*n), From::Memory(&a.operand)], mode, a.requires_grad))
        }
        _ => None,
    }
}

fn run(op: &'static Op, like: &Core, from: &[From], mode: Mode, requires: bool) -> Result<(Tensor, bool)> {
    let Body::Map(body) = &op.body else { return Err(Error::bug(op.name, "not a map")) };
    let (dtype, n) = (like.operand.dtype, like.operand.layout.numel());
    let result = if body.truth { DType::Bool } else { dtype };
    let storage = Storage::new(n * result.size())?;
    let Some(loops) = (body.native)(dtype) else { return Err(Error::bug(op.name, format!("no loop for {dtype}"))) };
    plain(loops.pick(), from, &storage, dtype, result, n);
    let layout = Layout::like(&like.operand.layout);
    let tensor = Tensor::from_operand(Operand { storage: Arc::new(storage), layout, dtype: result });
    Ok((tensor, requires && mode.grad() && result.is_float()))
}
