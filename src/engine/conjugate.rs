//! Records and complex numbers: which record takes them, and the one place that conjugates. Leans on graph.
//!
//! A record's rule is that of a function of reals: the transposed derivative applied to the cotangent. Where the numbers
//! are complex the gradient is the conjugate transposed one, which is the same rule with the cotangent conjugated on its
//! way in and the gradients on their way out.

use crate::base::{DType, Error, Number, Result};
use crate::graph::op::{Complex, Linear, Vjp};
use crate::graph::{Arg, Body, Feed, Grads, Op, Pull, Sym};

/// The operator that is meant where an operand is complex; an error where there is none.
pub(crate) fn of_complex(op: &'static Op, feeds: &[Feed]) -> Result<&'static Op> {
    let dtype = |f: &Feed| match f {
        Feed::Tensor(t) => t.dtype(),
        Feed::Operand(o) => o.dtype,
        Feed::Number(Number::Complex(..)) => DType::C64,
        _ => DType::Bool,
    };
    let Some(found) = feeds.iter().map(dtype).find(|d| d.is_complex()) else { return Ok(op) };
    match (op.complex, &op.body) {
        (Complex::Yes | Complex::Own, _) => Ok(op),
        (Complex::Other(other), _) => Ok(other),
        (Complex::No, Body::Inline(_)) if op.vjp.is_none() => Ok(op),
        (Complex::No, _) => {
            let numbers = feeds.iter().all(|f| !matches!(f, Feed::Tensor(_) | Feed::Operand(_)) || !dtype(f).is_complex());
            let found = if numbers { "a complex number".into() } else { found.to_string() };
            Err(Error::dtype(op.name, format!("is not implemented for {found}; take x.real, x.imag or x.abs(), or view_as_real(x)")))
        }
    }
}

/// Runs a record's rule.
#[inline]
pub fn ruled(op: &'static Op, vjp: Vjp, pull: &Pull) -> Grads {
    let complex = |g: &Sym| g.dtype().is_complex();
    if pull.grads.iter().flatten().any(complex) && turns(op, pull) { conjugated(vjp, pull) } else { vjp(pull) }
}

/// Whether the rule has factors that are no reals.
fn turns(op: &Op, pull: &Pull) -> bool {
    if !matches!(op.complex, Complex::Yes) || op.linear == Linear::Together || matches!(op.body, Body::View(_)) {
        return false;
    }
    let factor = |s: &Sym| match s {
        Sym::Tensor(_) | Sym::Operand(_) => s.dtype().is_complex(),
        Sym::Number(n) => n.is_complex(),
        Sym::Meta(_) | Sym::Absent => false,
    };
    pull.ins.iter().chain(pull.outs).any(factor) || pull.args.iter().any(|a| matches!(a, Arg::Number(n) if n.is_complex()))
}

#[cold]
fn conjugated(vjp: Vjp, pull: &Pull) -> Grads {
    let grads: Vec<Option<Sym>> = pull.grads.iter().map(|g| g.as_ref().map(turned)).collect();
    let found = vjp(&Pull { grads: &grads, ins: pull.ins, outs: pull.outs, args: pull.args, needs: pull.needs });
    found.into_iter().map(|g| g.map(|g| turned(&g))).collect()
}

fn turned(g: &Sym) -> Sym {
    if g.has_form() && g.dtype().is_complex() { g.conj() } else { g.clone() }
}
