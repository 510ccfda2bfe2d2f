//! What complex numbers do through their parts, or by a formula of their own: convolutions, windows, logarithms of sums.
//! Leans on complex and on the operators of reals.

use crate::base::{Error, Few, Result};
use crate::graph::sym::must;
use crate::graph::tensor::emit;
use crate::graph::{Arg, Op, Sym, Tensor};

crate::op! {
    /// A convolution of complex images with complex kernels: four of their parts.
    convolution_parts(input, weight, bias: Maybe; stride: Ints, padding: Ints, dilation: Ints, groups: Int) Any {
        inline(convolution_inline);
        face hidden;
    }
    /// The same of the transposed convolution.
    convolution_transpose_parts(input, weight, bias: Maybe; stride: Ints, padding: Ints, output_padding: Ints, dilation: Ints, groups: Int) Any {
        inline(transpose_inline);
        face hidden;
    }
    /// The windows of complex images.
    unfold_parts(input; kernel: Ints, stride: Ints, padding: Ints, dilation: Ints) Any { inline(unfold_inline); face hidden; }
    /// Complex windows summed back into images.
    fold_parts(input; size: Ints, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints) Any { inline(fold_inline); face hidden; }
    /// `log(exp(input) + exp(other))` of complex numbers.
    logaddexp_parts(input: Tensor, other: Tensor) Any { inline(logaddexp_inline); face hidden; }
    /// `log(sum(exp(x)))` of complex numbers over some axes.
    logsumexp_parts(input; dim: Axes, keepdim: Bool = Arg::Bool(false)) Any { inline(logsumexp_inline); face hidden; }
    /// `x / (1 + |x|)` of complex numbers.
    softsign_parts(input) Any { inline(softsign_inline); face hidden; }
}

fn arg<'a>(op: &str, ins: &'a [Option<Sym>], i: usize) -> Result<&'a Sym> {
    ins.get(i).and_then(Option::as_ref).filter(|s| !s.is_absent()).ok_or_else(|| Error::bug(op, "an operand is missing"))
}

/// An operator that is linear in each of two operands, of complex ones; a bias is added along the axis of channels.
fn bilinear(op: &'static Op, ins: &[Option<Sym>], args: &[Arg]) -> Result<Vec<Tensor>> {
    let (x, w) = (arg(op.name, ins, 0)?, arg(op.name, ins, 1)?);
    if x.dtype() != w.dtype() {
        return Err(Error::dtype(op.name, format!("the input is {} and the weight {}; convert one with .to()", x.dtype(), w.dtype())));
    }
    let (x, w) = ([x.real(), x.imag()], [w.real(), w.imag()]);
    let of = |a: &Sym, b: &Sym| -> Sym {
        let (a, b) = (a.compact(), b.compact());
        Sym::from(must(emit(op, &[a.feed(), b.feed(), Sym::Absent.feed()], args)).one())
    };
    let (re, im) = (of(&x[0], &w[0]) - of(&x[1], &w[1]), of(&x[0], &w[1]) + of(&x[1], &w[0]));
    let mut found = re.complex(&im);
    if let Ok(bias) = arg(op.name, ins, 2) {
        let mut sizes: Few<i64> = Few::filled(1, found.rank());
        sizes[1] = bias.numel() as i64;
        found = found + bias.reshape(sizes);
    }
    Ok(vec![found.tensor().clone()])
}

fn convolution_inline(ins: &[Option<Sym>], args: &[Arg]) -> Result<Vec<Tensor>> {
    bilinear(&super::convolution::convolution::OP, ins, args)
}

fn transpose_inline(ins: &[Option<Sym>], args: &[Arg]) -> Result<Vec<Tensor>> {
    bilinear(&super::convolution::convolution_transpose::OP, ins, args)
}

/// A linear operator of each part.
fn linear(op: &'static Op, ins: &[Option<Sym>], args: &[Arg]) -> Result<Vec<Tensor>> {
    let x = arg(op.name, ins, 0)?;
    let of = |part: Sym| Sym::from(must(emit(op, &[part.compact().feed()], args)).one());
    Ok(vec![of(x.real()).complex(&of(x.imag())).tensor().clone()])
}

fn unfold_inline(ins: &[Option<Sym>], args: &[Arg]) -> Result<Vec<Tensor>> {
    linear(&super::windows::unfold_windows::OP, ins, args)
}

fn fold_inline(ins: &[Option<Sym>], args: &[Arg]) -> Result<Vec<Tensor>> {
    linear(&super::windows::fold_windows::OP, ins, args)
}

/// The number of the larger real part is taken out, so that nothing overflows.
fn logaddexp_inline(ins: &[Option<Sym>], _args: &[Arg]) -> Result<Vec<Tensor>> {
    let (x, y) = (arg("logaddexp", ins, 0)?, arg("logaddexp", ins, 1)?);
    let part = |s: &Sym| if s.dtype().is_complex() { s.real() } else { s.clone() };
    let first = part(x).ge(&part(y));
    let (high, low) = (first.where_(x, y), first.where_(y, x));
    Ok(vec![(&high + &(low - &high).exp().log1p()).tensor().clone()])
}

fn logsumexp_inline(ins: &[Option<Sym>], args: &[Arg]) -> Result<Vec<Tensor>> {
    let x = arg("logsumexp", ins, 0)?;
    if x.numel() == 0 {
        return Ok(vec![x.exp().sum(args[0].clone(), args[1].clone(), ()).log().tensor().clone()]);
    }
    let top = Sym::from(x.real().tensor().detach()).amax(args[0].clone(), true);
    let finite = top.isfinite().where_(&top, &Sym::from(0.0));
    let sums = (x - &finite).exp().sum(args[0].clone(), args[1].clone(), ());
    let shift = finite.reshape(&sums.shape());
    Ok(vec![(sums.log() + shift).tensor().clone()])
}

fn softsign_inline(ins: &[Option<Sym>], _args: &[Arg]) -> Result<Vec<Tensor>> {
    let x = arg("softsign", ins, 0)?;
    Ok(vec![(x / &(x.abs() + 1.0)).tensor().clone()])
}
