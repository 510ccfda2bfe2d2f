//! Running sums and products along an axis. Leans on reduce and backend's scan family.

use super::complex::parts_of;
use super::reduce::{as_of, turned};
use super::view::one;
use crate::backend::{FoldKind, Launch, Operand, of};
use crate::base::{DType, Few, Result, shape};
use crate::graph::{Arg, Call, Grads, Meta, Metas, Pull, Sym};
use smallvec::smallvec;

crate::op! {
    /// The running sum along an axis.
    ///
    /// >>> schuss.tensor([1, 2, 3]).cumsum(0)
    /// tensor([1, 3, 6])
    cumsum(input; dim: Axis, dtype: MaybeDType = Arg::None) Any {
        kernel(cumsum_meta, cumsum_run);
        vjp |g, [x], _y| [as_of(g.flip([dim]).cumsum(dim, ()).flip([dim]), x)];
        complex Yes;
        linear Together;
        batch shift;
    }
    /// The running product along an axis.
    ///
    /// >>> schuss.tensor([1, 2, 3]).cumprod(0)
    /// tensor([1, 2, 6])
    cumprod(input; dim: Axis, dtype: MaybeDType = Arg::None) Any {
        kernel(cumprod_meta, cumprod_run);
        rule cumprod_back;
        check 0.5..2.0;
        complex Yes;
        batch shift;
    }
}

fn cumsum_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    cumsum_shape("cumsum", ins, args)
}

fn cumprod_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    cumsum_shape("cumprod", ins, args)
}

fn cumsum_shape(op: &str, ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let x = one(ins);
    shape::axis(op, args[0].int().unwrap_or(0), x.shape.len())?;
    let dtype = match args[1] {
        Arg::DType(d) => d,
        _ if x.dtype.is_inexact() => x.dtype,
        _ => DType::I64,
    };
    Ok(smallvec![Meta { shape: x.shape, dtype }])
}

fn scan(call: &Call, kind: FoldKind) -> Result<()> {
    let x = super::view::operand(call, 0)?;
    let axis = shape::axis("cumsum", call.args[0].int().unwrap_or(0), x.layout.rank())?;
    let (mut input, mut out) = (turned(x, axis), turned(&call.outs[0], axis));
    if kind == FoldKind::Sum && x.dtype.is_complex() {
        // The parts are summed as reals, their axis before the one that is run along.
        let apart = |x: &Operand| {
            let both = parts_of(x);
            let n = both.layout.rank();
            both.view(both.layout.transpose(n - 2, n - 1))
        };
        (input, out) = (apart(&input), apart(&out));
    }
    of(&x.storage).launch(&Launch::Scan { kind, input: &input, out: &out })
}

fn cumsum_run(call: &Call) -> Result<()> {
    scan(call, FoldKind::Sum)
}

fn cumprod_run(call: &Call) -> Result<()> {
    scan(call, FoldKind::Prod)
}

/// dx_i = (product of x before i) A_i, where A_i = g_i + x_{i+1} A_{i+1} adds up the products without x_i that reach
/// beyond it: a linear recurrence, solved by doubling, which no zero element spoils.
fn cumprod_back(pull: &Pull) -> Grads {
    let (g, x) = (pull.grad(), &pull.ins[0]);
    super::view::reads(&[x]);
    let shape = x.shape();
    let rank = shape.len();
    if rank == 0 || x.numel() == 0 {
        return [Some(g.cast(x.dtype()))].into_iter().collect();
    }
    let axis = crate::graph::sym::must(shape::axis("cumprod", pull.args[0].int().unwrap_or(0), rank));
    let n = shape[axis];
    let wide = as_of(x.clone(), g);
    let part = |t: &Sym, start: usize, len: usize| {
        let (mut starts, mut sizes) = (Few::filled(0i64, rank), Few::from(&shape[..]));
        starts[axis] = start as i64;
        sizes[axis] = len;
        t.slice(starts, &sizes, Few::filled(1i64, rank))
    };
    let join = |a: &Sym, b: &Sym| Sym::from(crate::graph::sym::must(super::moves::cat(&[a.tensor(), b.tensor()], axis)));
    let one = super::view::zeros_like(&part(&wide, 0, 1)) + 1.0;
    let (mut sums, mut factors) = (g.clone(), join(&part(&wide, 1, n - 1), &one));
    let mut step = 1;
    while step < n {
        let ahead = part(&factors, 0, n - step);
        let near = part(&sums, 0, n - step) + &ahead * &part(&sums, step, n - step);
        sums = join(&near, &part(&sums, n - step, step));
        factors = join(&(ahead * part(&factors, step, n - step)), &part(&factors, n - step, step));
        step *= 2;
    }
    let before = join(&one, &part(&wide, 0, n - 1)).cumprod(axis, ());
    [Some(as_of(sums * before, x))].into_iter().collect()
}
