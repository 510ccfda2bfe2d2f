//! Discrete Fourier transforms along axes, whole and halved. Leans on complex and backend's Fourier family.
//!
//! The transform is a matrix, so that its derivative is its conjugate transpose: the transform by the conjugate factors.

use super::reduce::turned;
use super::view::{one, operand, zeros_like};
use crate::backend::launch::Fourier;
use crate::backend::{Launch, Operand, of};
use crate::base::{DType, Error, Few, Result, shape};
use crate::graph::sym::must;
use crate::graph::{Arg, Call, Grads, Meta, Metas, Pull, Sym};
use smallvec::smallvec;

crate::op! {
    /// The transform of complex numbers along axes, times a number; the inverse one by the conjugate factors.
    fft_whole(input; dim: Axes, scale: Number, inverse: Bool) Any {
        kernel(whole_meta, whole_run);
        vjp |g, [_x], _y| [g.fft_whole(dim, scale, !inverse)];
        complex Own;
        linear Together;
        batch shift;
        face hidden;
    }
    /// The transform of reals along axes, times a number: along the last axis named only the first half is worked out.
    fft_to_half(input; dim: Axes, scale: Number) Any {
        kernel(to_half_meta, to_half_run);
        rule to_half_back;
        linear Together;
        batch shift;
        face hidden;
    }
    /// Reals from the first half of their transform along the last axis named, by the conjugate factors, times a number.
    fft_from_half(input; dim: Axes, size: Int, scale: Number) Any {
        kernel(from_half_meta, from_half_run);
        rule from_half_back;
        complex Own;
        linear Together;
        batch shift;
        face hidden;
    }
}

fn axes_of(op: &str, x: &Meta, args: &[Arg]) -> Result<Few<usize>> {
    let named = args[0].ints();
    let axes = shape::axes(op, &named, x.shape.len())?;
    if named.is_empty() || axes.is_empty() {
        return Err(Error::shape(op, format!("needs an axis to transform along, the shape is {}", shape::show(&x.shape))));
    }
    if let Some(&a) = axes.iter().find(|&&a| x.shape[a] == 0) {
        return Err(Error::runtime(op, format!("axis {a} of shape {} has no elements to transform", shape::show(&x.shape))));
    }
    Ok(named.iter().map(|&d| if d < 0 { d + x.shape.len() as i64 } else { d } as usize).collect())
}

fn whole_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let x = one(ins);
    axes_of("fft", &x, args)?;
    if !x.dtype.is_complex() {
        return Err(Error::dtype("fft", format!("needs a complex tensor, got {}", x.dtype)));
    }
    Ok(smallvec![x])
}

fn to_half_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let mut x = one(ins);
    let axes = axes_of("rfft", &x, args)?;
    if !matches!(x.dtype, DType::F32 | DType::F64) {
        return Err(Error::no_float("rfft", "float32 or float64", x.dtype));
    }
    let last = axes[axes.len() - 1];
    x.shape[last] = x.shape[last] / 2 + 1;
    Ok(smallvec![Meta { shape: x.shape, dtype: x.dtype.complex() }])
}

fn from_half_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let mut x = one(ins);
    let axes = axes_of("irfft", &x, args)?;
    let size = args[1].int().unwrap_or(0);
    let last = axes[axes.len() - 1];
    if size < 1 || x.shape[last] as i64 != size / 2 + 1 || !x.dtype.is_complex() {
        return Err(Error::shape(
            "irfft",
            format!("{size} reals along axis {last} come from {} complex numbers, got {} {}", size / 2 + 1, shape::show(&x.shape), x.dtype),
        ));
    }
    x.shape[last] = size as usize;
    Ok(smallvec![Meta { shape: x.shape, dtype: x.dtype.real() }])
}

fn along(kind: Fourier, scale: f64, input: &Operand, out: &Operand, axis: usize) -> Result<()> {
    of(&out.storage).launch(&Launch::Fourier { kind, scale, input: &turned(input, axis), out: &turned(out, axis) })
}

/// Transforms along some axes in turn, the last launch with the factor.
fn through(x: &Operand, out: &Operand, axes: &[usize], scale: f64, inverse: bool) -> Result<()> {
    let mut from = x;
    for (k, &axis) in axes.iter().enumerate() {
        let by = if k + 1 == axes.len() { scale } else { 1.0 };
        along(Fourier::Whole { inverse }, by, from, out, axis)?;
        from = out;
    }
    Ok(())
}

fn call_of<'a>(call: &'a Call) -> Result<(&'a Operand, Few<usize>)> {
    let x = operand(call, 0)?;
    let meta = Meta { shape: x.layout.shape.clone(), dtype: x.dtype };
    Ok((x, axes_of("fft", &meta, call.args)?))
}

fn number(arg: &Arg) -> f64 {
    arg.number().map_or(1.0, |n| n.as_f64())
}

fn whole_run(call: &Call) -> Result<()> {
    let (x, axes) = call_of(call)?;
    through(x, &call.outs[0], &axes, number(&call.args[1]), call.args[2] == Arg::Bool(true))
}

fn to_half_run(call: &Call) -> Result<()> {
    let (x, axes) = call_of(call)?;
    let (last, others) = axes.split_last().ok_or_else(|| Error::bug("rfft", "no axis"))?;
    let (out, scale) = (&call.outs[0], number(&call.args[1]));
    along(Fourier::ToHalf, if others.is_empty() { scale } else { 1.0 }, x, out, *last)?;
    through(out, out, others, scale, false)
}

fn from_half_run(call: &Call) -> Result<()> {
    let (x, axes) = call_of(call)?;
    let (last, others) = axes.split_last().ok_or_else(|| Error::bug("irfft", "no axis"))?;
    let scale = number(&call.args[2]);
    if others.is_empty() {
        return along(Fourier::FromHalf, scale, x, &call.outs[0], *last);
    }
    let middle = Operand::new(of(&x.storage), &x.layout.shape, x.dtype)?;
    through(x, &middle, others, 1.0, true)?;
    along(Fourier::FromHalf, scale, &middle, &call.outs[0], *last)
}

/// The part of a tensor along an axis.
fn part(x: &Sym, axis: usize, start: usize, size: usize) -> Sym {
    let (mut starts, mut sizes) = (Few::filled(0i64, x.rank()), x.shape());
    starts[axis] = start as i64;
    sizes[axis] = size;
    x.slice(starts, &sizes, Few::filled(1i64, x.rank()))
}

fn last_axis(args: &[Arg], rank: usize) -> usize {
    let last = args[0].ints().last().copied().unwrap_or(-1);
    (if last < 0 { last + rank as i64 } else { last }) as usize
}

/// The half filled up with zeros and transformed whole, of which the real part counts.
fn to_half_back(pull: &Pull) -> Grads {
    let (g, x) = (pull.grad(), &pull.ins[0]);
    let axis = last_axis(pull.args, x.rank());
    let (have, want) = (g.shape()[axis], x.shape()[axis]);
    let full = if have == want {
        g.clone()
    } else {
        let mut sizes = g.shape();
        sizes[axis] = want - have;
        let zeros = zeros_like(&part(g, axis, 0, 1).expand(&sizes));
        Sym::from(must(super::moves::cat(&[g.tensor(), zeros.tensor()], axis)))
    };
    [Some(full.fft_whole(pull.args[0].clone(), pull.args[1].clone(), true).real())].into_iter().collect()
}

/// The transform of the cotangent; each number that stands for itself and its conjugate counts twice.
fn from_half_back(pull: &Pull) -> Grads {
    let g = pull.grad();
    let axis = last_axis(pull.args, g.rank());
    let half = g.fft_to_half(pull.args[0].clone(), pull.args[2].clone());
    let (n, have) = (g.shape()[axis], half.shape()[axis]);
    let twice = n - have;
    if twice == 0 {
        return [Some(half)].into_iter().collect();
    }
    let mut parts = vec![part(&half, axis, 0, 1), part(&half, axis, 1, twice) * 2.0];
    if have > 1 + twice {
        parts.push(part(&half, axis, 1 + twice, have - 1 - twice));
    }
    let list: Vec<_> = parts.iter().map(Sym::tensor).collect();
    [Some(Sym::from(must(super::moves::cat(&list, axis))))].into_iter().collect()
}
