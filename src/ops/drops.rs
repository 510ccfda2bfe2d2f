//! Dropout as one node that keeps nothing: whoever knows where its draws begin draws them again on the way back.
//! Leans on graph and backend's draws.

use super::view::{one, operand};
use super::windows::flat;
use crate::backend::{Launch, of};
use crate::base::{Number, Result};
use crate::graph::{Arg, Call, Meta, Metas};
use smallvec::smallvec;

crate::op! {
    /// Elements times `scale` where the generator of a seed, from `offset` on, keeps them with the probability `keep`, and
    /// times 0 elsewhere (Srivastava et al. 2014); seed and offset are the bits of unsigned integers.
    dropped(input; seed: Int, offset: Int, keep: Number, scale: Number) Real {
        kernel(dropped_meta, dropped_run);
        vjp |g, [_x], _y| [g.dropped(seed, offset, keep, scale)];
        linear Together;
        face hidden;
    }
    /// The same where the seed and the offset lie in four int32, as a recorded step is told of them anew each time.
    dropped_by(input, place; keep: Number, scale: Number) Real {
        kernel(dropped_meta, dropped_by_run);
        vjp |g, [_x, p], _y| [g.dropped_by(p, keep, scale), g];
        face hidden;
    }
}

fn dropped_meta(ins: &[Option<Meta>], _args: &[Arg]) -> Result<Metas> {
    Ok(smallvec![one(ins).clone()])
}

fn dropped_run(call: &Call) -> Result<()> {
    let (input, out) = (flat(operand(call, 0)?)?, &call.outs[0]);
    let bits = |i: usize| call.args[i].int().unwrap_or(0) as u64;
    let (seed, offset, keep, scale) = (bits(0), bits(1), number(call, 2), number(call, 3));
    of(&out.storage).launch(&Launch::Drop { keep, scale, seed, offset, place: None, input: &input, out })
}

fn dropped_by_run(call: &Call) -> Result<()> {
    let (input, place, out) = (flat(operand(call, 0)?)?, flat(operand(call, 1)?)?, &call.outs[0]);
    let (keep, scale) = (number(call, 0), number(call, 1));
    of(&out.storage).launch(&Launch::Drop { keep, scale, seed: 0, offset: 0, place: Some(&place), input: &input, out })
}

fn number(call: &Call, i: usize) -> f64 {
    call.args[i].number().map_or(0.0, Number::as_f64)
}
