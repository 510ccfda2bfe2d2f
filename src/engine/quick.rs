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
    let Some(loops) = (body.native)(dtype) else { return Err(Error::bug(op.name, format!("no loop for {dtype}"))) };
    let storage = Arc::new(Storage::new(n * result.size())?);
    let out = Operand { storage, layout: Layout::like(&like.operand.layout), dtype: result };
    plain(loops.pick(), from, &out, dtype);
    let tensor = Tensor::from_operand(out);
    Ok((tensor, requires && mode.grad() && result.is_float()))
}

/// Elements that are written in place where they lie; more go through tiles, which keep the loop in vectors.
const IN_PLACE: usize = 512;

/// Whether a tensor may be written with nothing to record and nobody's view to mend.
fn is_free(core: &Core, mode: Mode) -> bool {
    core.base.is_none()
        && is_plain(core)
        && core.operand.layout.numel() <= IN_PLACE
        && (!mode.grad() || !core.requires_grad)
        && core.operand.storage.is_writable()
}

/// `target = op(target, other)` over the same bytes, if it is plain and nothing is recorded.
#[inline]
pub fn write(op: &'static Op, target: &Tensor, feeds: &[Feed], mode: Mode) -> Option<Result<()>> {
    let Body::Map(body) = &op.body else { return None };
    let fits = body.outputs == 1
        && body.params == 0
        && !body.truth
        && matches!(op.class, Class::Float | Class::Number | Class::Arithmetic | Class::Real);
    if !fits || !mode.is_plain() {
        return None;
    }
    let work = |core: &mut Core, second: Option<From>| -> Result<()> {
        let dtype = core.operand.dtype;
        let Some(loops) = (body.native)(dtype) else { return Err(Error::bug(op.name, format!("no loop for {dtype}"))) };
        let first = From::Memory(&core.operand);
        match second {
            Some(second) => plain(loops.pick(), &[first, second], &core.operand, dtype),
            None => plain(loops.pick(), &[first], &core.operand, dtype),
        }
        core.bump();
        core.seen = core.version();
        Ok(())
    };
    match feeds {
        [Feed::Tensor(a)] if a.same(target) => {
            let mut core = target.0.core.get();
            is_free(&core, mode).then(|| work(&mut core, None))
        }
        [Feed::Tensor(a), Feed::Number(n)] if a.same(target) => {
            let mut core = target.0.core.get();
            is_free(&core, mode).then(|| work(&mut core, Some(From::Number(*n))))
        }
        [Feed::Tensor(a), Feed::Tensor(b)] if a.same(target) && !b.same(target) => {
            let other = b.operand();
            if mode.grad() && b.requires_grad() {
                return None;
            }
            let mut core = target.0.core.get();
            let own = &core.operand;
            let fits = own.dtype == other.dtype
                && own.layout.shape == other.layout.shape
                && other.layout.is_contiguous()
                && !Arc::ptr_eq(&own.storage, &other.storage);
            (fits && !b.has_flag(ODD) && is_free(&core, mode)).then(|| work(&mut core, Some(From::Memory(&other))))
        }
        _ => None,
    }
}

/// One number everywhere, in place, under the same conditions.
pub fn fill(target: &Tensor, value: crate::base::Number, mode: Mode) -> Option<Result<()>> {
    if !mode.is_plain() {
        return None;
    }
    let core = target.0.core.get();
    if !is_free(&core, mode) || core.edge.is_some() {
        return None;
    }
    let done = crate::backend::cpu::convert::fill(&core.operand, value);
    core.bump();
    Some(done)
}
