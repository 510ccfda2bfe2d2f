//! Products of matrices and what is made of them. Leans on graph and backend's contract family.

use super::view::operand;
use crate::backend::launch::Dense;
use crate::backend::{Launch, Operand, of};
use crate::base::{Error, Few, Layout, Result, shape};
use crate::graph::node::Needs;
use crate::graph::{Arg, Call, Grads, Meta, Metas, Pull, Sym, Tensor};
use smallvec::smallvec;

crate::op! {
    /// The matrix product, with NumPy's rules for vectors and broadcast batches.
    ///
    /// >>> schuss.tensor([[1.0, 2.0], [3.0, 4.0]]).matmul(schuss.tensor([1.0, 1.0]))
    /// tensor([3., 7.])
    matmul(input, other) Any {
        kernel(matmul_meta, matmul_run);
        rule matmul_back;
        complex Yes;
        linear Each;
        batch product;
    }
    /// `input.T @ other` for a matrix and a matrix or vector: what derivatives of products are made of.
    turned(input, other) Any {
        kernel(turned_meta, turned_run);
        vjp |g, [x, y], _o| [if y.rank() == 1 { y.unsqueeze(-1) * g } else { y.matmul(&g.transpose(0, 1)) }, x.matmul(g)];
        complex Yes;
        linear Each;
        batch product;
        face hidden;
    }
    /// `input @ weight.T + bias`, the affine map of a layer: weight is (outputs, inputs), bias (outputs,).
    ///
    /// >>> schuss.nn.functional.linear(schuss.tensor([1.0, 2.0]), schuss.tensor([[3.0, 4.0]]), schuss.tensor([0.5]))
    /// tensor([11.5000])
    linear(input, weight, bias: Maybe) Any {
        kernel(linear_meta, linear_run);
        rule linear_back;
        complex Yes;
        batch affine;
        face function;
    }
    /// The determinant of square matrices, by LU decomposition with partial pivoting.
    ///
    /// >>> schuss.tensor([[1.0, 2.0], [3.0, 4.0]]).det()
    /// tensor(-2.)
    det(input) Any {
        kernel(det_meta, det_run);
        vjp |g, [x], y| [(g * y).unsqueeze(-1).unsqueeze(-1) * &x.inverse().transpose(-1, -2)];
        complex Yes;
        batch lead;
    }
    /// The inverse of square matrices, by LU decomposition with partial pivoting. A singular matrix raises RuntimeError.
    ///
    /// >>> schuss.tensor([[2.0, 0.0], [0.0, 4.0]]).inverse()
    /// tensor([[0.5000, 0.0000],
    ///         [0.0000, 0.2500]])
    inverse(input) Any {
        kernel(inverse_meta, inverse_run);
        vjp |g, [_x], y| [-(y.transpose(-1, -2).matmul(g).matmul(&y.transpose(-1, -2)))];
        complex Yes;
        batch lead;
    }
}

fn two(ins: &[Option<Meta>]) -> Result<(Meta, Meta)> {
    match ins {
        [Some(a), Some(b), ..] => Ok((a.clone(), b.clone())),
        _ => Err(Error::bug("matmul", "an operand is missing")),
    }
}

fn matmul_meta(ins: &[Option<Meta>], _args: &[Arg]) -> Result<Metas> {
    let (a, b) = two(ins)?;
    if a.shape.is_empty() || b.shape.is_empty() {
        return Err(Error::shape(
            "matmul",
            format!("{} @ {}: a 0-d tensor is no matrix; use * instead", shape::show(&a.shape), shape::show(&b.shape)),
        ));
    }
    if a.dtype != b.dtype {
        return Err(Error::dtype("matmul", format!("{} @ {}: both must have one dtype; convert one with .to()", a.dtype, b.dtype)));
    }
    if a.dtype == crate::base::DType::Bool {
        return Err(Error::dtype("matmul", "is not defined for bool; use x.int() or x.float() first"));
    }
    let k = a.shape[a.shape.len() - 1];
    let inner = if b.shape.len() == 1 { b.shape[0] } else { b.shape[b.shape.len() - 2] };
    if k != inner {
        return Err(Error::shape(
            "matmul",
            format!("{} @ {}: inner sizes {k} and {inner} differ", shape::show(&a.shape), shape::show(&b.shape)),
        ));
    }
    let (lead_a, lead_b) = (&a.shape[..a.shape.len().saturating_sub(2)], &b.shape[..b.shape.len().saturating_sub(2)]);
    let mut out = shape::broadcast("matmul", lead_a, lead_b).map_err(|_| {
        Error::shape("matmul", format!("{} @ {}: the batch axes do not broadcast", shape::show(&a.shape), shape::show(&b.shape)))
    })?;
    if a.shape.len() > 1 {
        out.push(a.shape[a.shape.len() - 2]);
    }
    if b.shape.len() > 1 {
        out.push(b.shape[b.shape.len() - 1]);
    }
    Ok(smallvec![Meta { shape: out, dtype: a.dtype }])
}

/// One operand as (batch, rows, columns) under the product's leading axes; None where the batch is no single stride.
fn batched(x: &Layout, lead: &[usize], vector_is_row: bool) -> Result<(Layout, bool)> {
    let full = match x.rank() {
        1 if vector_is_row => x.insert_axis(0),
        1 => x.insert_axis(1),
        _ => x.clone(),
    };
    let r = full.rank();
    let mut wide: Few<usize> = lead.into();
    wide.push(full.shape[r - 2]);
    wide.push(full.shape[r - 1]);
    let wide = full.broadcast_to("matmul", &wide)?;
    let n = lead.len();
    let batch: usize = lead.iter().product();
    let head = Layout::new(wide.shape[..n].into(), wide.strides[..n].into(), 0);
    let stride = head.reshape(&[batch]).map(|l| l.strides[0]);
    let make = |s: isize| {
        let tail = |list: &[isize]| -> Few<isize> { [s].iter().chain(list).copied().collect() };
        let sizes: Few<usize> = [batch].iter().chain(&wide.shape[n..]).copied().collect();
        Layout::new(sizes, tail(&wide.strides[n..]), wide.offset)
    };
    // A broadcast batch is walked with stride 0; two of different kinds need a copy.
    match stride {
        Some(s) => Ok((make(s), true)),
        None if wide.strides[..n].iter().all(|&s| s == 0) => Ok((make(0), true)),
        None => Ok((wide, false)),
    }
}

fn ready(x: &Operand, lead: &[usize], row: bool) -> Result<Operand> {
    let (layout, direct) = batched(&x.layout, lead, row)?;
    if direct {
        return Ok(x.view(layout));
    }
    let backend = of(&x.storage);
    let copy = Operand::new(backend, &layout.shape, x.dtype)?;
    backend.launch(&Launch::Copy { src: &x.view(layout), dst: &copy })?;
    let (layout, _) = batched(&copy.layout, lead, row)?;
    Ok(copy.view(layout))
}

fn matmul_run(call: &Call) -> Result<()> {
    let (a, b, out) = (operand(call, 0)?, operand(call, 1)?, &call.outs[0]);
    if out.numel() == 0 {
        return Ok(());
    }
    let (ra, rb) = (a.layout.rank(), b.layout.rank());
    if a.layout.shape[ra - 1] == 0 {
        return of(&out.storage).launch(&Launch::Fill { dst: out, value: 0i64.into() });
    }
    if ra <= 2 && rb <= 2 {
        return matrices(a, b, out);
    }
    let lead_rank = out.layout.rank() - usize::from(ra > 1) - usize::from(rb > 1);
    let lead: Few<usize> = out.layout.shape[..lead_rank].into();
    // Many rows of one matrix: a batch on the left alone is one tall product.
    if rb <= 2 && ra > 2 && a.layout.is_contiguous() {
        let k = a.layout.shape[ra - 1];
        let rows = a.numel() / k.max(1);
        let tall = a.view(Layout::new([1, rows, k][..].into(), [0, k as isize, 1][..].into(), a.layout.offset));
        let right = ready(b, &[1], false)?;
        let n = right.layout.shape[2];
        let rows = out.numel() / n.max(1);
        let flat = out.view(Layout::new([1, rows, n][..].into(), [0, n as isize, 1][..].into(), out.layout.offset));
        return of(&a.storage).launch(&Launch::Contract { a: &tall, b: &right, out: &flat });
    }
    let (a, b) = (ready(a, &lead, true)?, ready(b, &lead, false)?);
    let (m, n) = (a.layout.shape[1], b.layout.shape[2]);
    let batch: usize = lead.iter().product();
    let flat = Layout::new([batch, m, n][..].into(), [(m * n) as isize, n as isize, 1][..].into(), out.layout.offset);
    of(&a.storage).launch(&Launch::Contract { a: &a, b: &b, out: &out.view(flat) })
}

/// Two matrices, or a vector as one row on the left or one column on the right.
fn matrices(a: &Operand, b: &Operand, out: &Operand) -> Result<()> {
    let (row, column, flat);
    let (mut left, mut right, mut into) = (a, b, out);
    if a.layout.rank() == 1 {
        row = a.view(a.layout.insert_axis(0));
        left = &row;
    }
    if b.layout.rank() == 1 {
        column = b.view(b.layout.insert_axis(1));
        right = &column;
    }
    if out.layout.rank() < 2 {
        let sizes = [left.layout.shape[0], right.layout.shape[1]];
        let mut layout = Layout::contiguous(sizes[..].into());
        layout.offset = out.layout.offset;
        flat = out.view(layout);
        into = &flat;
    }
    of(&a.storage).launch(&Launch::Contract { a: left, b: right, out: into })
}

fn turned_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let (mut a, b) = two(ins)?;
    a.shape.swap(0, 1);
    matmul_meta(&[Some(a), Some(b)], args)
}

fn turned_run(call: &Call) -> Result<()> {
    let a = operand(call, 0)?;
    let a = a.view(a.layout.transpose(0, 1));
    matmul_run(&Call { ins: &[Some(&a), call.ins[1]], outs: call.outs, args: &[] })
}

fn matmul_back(pull: &Pull) -> Grads {
    let (g, a, b) = (pull.grad(), &pull.ins[0], &pull.ins[1]);
    let (ra, rb) = (a.rank(), b.rank());
    if ra <= 2 && rb <= 2 {
        return matrices_back(g, a, b, pull.needs);
    }
    // Vectors are seen as one row, or one column, of a matrix.
    let mut wide = g.clone();
    if ra == 1 {
        wide = if rb == 1 { wide.unsqueeze(0) } else { wide.unsqueeze(-2) };
    }
    if rb == 1 {
        wide = wide.unsqueeze(-1);
    }
    let mut grads = Grads::new();
    grads.push(pull.needs.has(0).then(|| {
        let right = if rb == 1 { b.unsqueeze(1) } else { b.clone() };
        let full = wide.matmul(&right.transpose(-1, -2));
        let shape = a.shape();
        if ra == 1 { full.sum_to(&[1, shape[0]][..]).reshape(&shape) } else { full.sum_to(&shape) }
    }));
    grads.push(pull.needs.has(1).then(|| {
        let left = if ra == 1 { a.unsqueeze(0) } else { a.clone() };
        let shape = b.shape();
        if rb <= 2 && ra > 2 {
            // One tall product instead of a batch of products and a sum.
            let sa = left.shape();
            let (k, n) = (sa[sa.len() - 1] as i64, wide.shape()[wide.rank() - 1] as i64);
            let count = sa[..sa.len() - 1].iter().product::<usize>() as i64;
            let tall = left.reshape([count, k]);
            let rows = wide.reshape([count, n]);
            return tall.transpose(0, 1).matmul(&rows).reshape(&shape);
        }
        let full = left.transpose(-1, -2).matmul(&wide);
        if rb == 1 { full.sum_to(&[shape[0], 1][..]).reshape(&shape) } else { full.sum_to(&shape) }
    }));
    grads
}

fn matrices_back(g: &Sym, a: &Sym, b: &Sym, needs: Needs) -> Grads {
    let outer = |x: &Sym, y: &Sym| x.unsqueeze(-1) * y;
    let (left, right): (&dyn Fn() -> Sym, &dyn Fn() -> Sym) = match (a.rank(), b.rank()) {
        (1, 1) => (&|| g * b, &|| g * a),
        (1, _) => (&|| b.matmul(g), &|| outer(a, g)),
        (_, 1) => (&|| outer(g, b), &|| a.turned(g)),
        _ => (&|| g.matmul(&b.transpose(0, 1)), &|| a.turned(g)),
    };
    [needs.has(0).then(left), needs.has(1).then(right)].into_iter().collect()
}

fn linear_meta(ins: &[Option<Meta>], _args: &[Arg]) -> Result<Metas> {
    let (x, w) = two(ins)?;
    if x.dtype != w.dtype {
        return Err(Error::dtype("linear", format!("the input is {} and the weight {}; convert one with .to()", x.dtype, w.dtype)));
    }
    if x.dtype == crate::base::DType::Bool {
        return Err(Error::dtype("linear", "is not defined for bool; use x.float() first"));
    }
    let k = x.shape.last().copied();
    if w.shape.is_empty() || w.shape.len() > 2 || k.is_none() || k != w.shape.last().copied() {
        return Err(Error::shape(
            "linear",
            format!(
                "input {} and weight {}: the last sizes must agree ({} and {}), and the weight is (outputs, inputs)",
                shape::show(&x.shape),
                shape::show(&w.shape),
                k.map_or("none".into(), |k| k.to_string()),
                w.shape.last().map_or("none".into(), ToString::to_string)
            ),
        ));
    }
    let mut out: Few<usize> = x.shape[..x.shape.len() - 1].into();
    if w.shape.len() == 2 {
        out.push(w.shape[0]);
    }
    if let Some(Some(b)) = ins.get(2) {
        let fits = shape::broadcast("linear", &out, &b.shape).is_ok_and(|s| s == out);
        if !fits || b.dtype != x.dtype {
            return Err(Error::shape(
                "linear",
                format!("the bias {} {} does not fit the output {} {}", shape::show(&b.shape), b.dtype, shape::show(&out), x.dtype),
            ));
        }
    }
    Ok(smallvec![Meta { shape: out, dtype: x.dtype }])
}

fn linear_run(call: &Call) -> Result<()> {
    let (x, w, out) = (operand(call, 0)?, operand(call, 1)?, &call.outs[0]);
    let turned = if w.layout.rank() == 2 { w.view(w.layout.transpose(0, 1)) } else { w.clone() };
    if out.dtype.is_short_float() {
        // Short floats are multiplied and added in float32, and rounded once.
        let backend = of(&x.storage);
        let widen = |op: &Operand| -> Result<Operand> {
            let wide = Operand::new(backend, &op.layout.shape, crate::base::DType::F32)?;
            backend.launch(&Launch::Copy { src: op, dst: &wide })?;
            Ok(wide)
        };
        let made = call.ins.iter().map(|op| op.map(widen).transpose()).collect::<Result<Vec<_>>>()?;
        let ins: Vec<Option<&Operand>> = made.iter().map(Option::as_ref).collect();
        let wide = [Operand::new(backend, &out.layout.shape, crate::base::DType::F32)?];
        linear_run(&Call { ins: &ins, outs: &wide, args: &[] })?;
        return backend.launch(&Launch::Copy { src: &wide[0], dst: out });
    }
    matmul_run(&Call { ins: &[Some(x), Some(&turned)], outs: call.outs, args: &[] })?;
    if let Some(Some(b)) = call.ins.get(2) {
        let crate::graph::Body::Map(body) = &super::arith::add::OP.body else {
            return Err(Error::bug("linear", "add is no map"));
        };
        let wide = b.view(b.layout.broadcast_to("linear", &out.layout.shape)?);
        let ins = [out.clone(), wide];
        let launch = Launch::Map { body, compute: out.dtype.compute(), params: &[], ins: &ins, outs: call.outs };
        of(&out.storage).launch(&launch)?;
    }
    Ok(())
}

fn linear_back(pull: &Pull) -> Grads {
    let (g, x, w) = (pull.grad(), &pull.ins[0], &pull.ins[1]);
    let (sx, sw) = (x.shape(), w.shape());
    let count: usize = sx[..sx.len() - 1].iter().product();
    let flat = |t: &Sym, n: usize| t.reshape(&[count as i64, n as i64][..]);
    let mut grads = Grads::new();
    if sw.len() == 1 {
        grads.push(pull.needs.has(0).then(|| g.unsqueeze(-1) * w));
        grads.push(pull.needs.has(1).then(|| (g.unsqueeze(-1) * x).sum_to(&sw)));
    } else {
        grads.push(pull.needs.has(0).then(|| g.matmul(w)));
        grads.push(pull.needs.has(1).then(|| match sx.len() {
            2 => g.turned(x),
            n => flat(g, sw[0]).transpose(0, 1).matmul(&flat(x, sx[n - 1])),
        }));
    }
    let bias = pull.needs.has(2).then(|| g.sum_to(&pull.ins[2].shape()));
    grads.push(bias);
    grads
}

fn square_meta(op: &str, ins: &[Option<Meta>]) -> Result<Meta> {
    let Some(Some(x)) = ins.first() else { return Err(Error::bug(op, "an operand is missing")) };
    let r = x.shape.len();
    if r < 2 || x.shape[r - 1] != x.shape[r - 2] {
        return Err(Error::runtime(op, format!("needs square matrices in the last two axes, got shape {}", shape::show(&x.shape))));
    }
    if !x.dtype.is_inexact() || x.dtype.is_short_float() {
        return Err(Error::no_float(op, "float32 or float64", x.dtype));
    }
    Ok(x.clone())
}

fn det_meta(ins: &[Option<Meta>], _args: &[Arg]) -> Result<Metas> {
    let x = square_meta("det", ins)?;
    Ok(smallvec![Meta { shape: x.shape[..x.shape.len() - 2].into(), dtype: x.dtype }])
}

fn inverse_meta(ins: &[Option<Meta>], _args: &[Arg]) -> Result<Metas> {
    Ok(smallvec![square_meta("inverse", ins)?])
}

fn det_run(call: &Call) -> Result<()> {
    super::dense::launch(call, Dense::Det)
}

fn inverse_run(call: &Call) -> Result<()> {
    super::dense::launch(call, Dense::Inverse)
}

/// The product of two vectors, of matrices, or of batches, refusing other ranks by name.
pub fn ranked(op: &'static str, a: &Tensor, b: &Tensor, ranks: (usize, usize)) -> Result<Tensor> {
    if a.rank() != ranks.0 || b.rank() != ranks.1 {
        return Err(Error::shape(
            op,
            format!(
                "{} and {}: needs tensors of {} and {} axes; matmul (@) takes every rank",
                shape::show(&a.shape()),
                shape::show(&b.shape()),
                ranks.0,
                ranks.1
            ),
        ));
    }
    let (sa, sb) = (a.shape(), b.shape());
    let inner = (sa[sa.len() - 1], sb[sb.len().saturating_sub(2)]);
    if inner.0 != inner.1 {
        return Err(Error::shape(
            op,
            format!("{} and {}: inner sizes {} and {} differ", shape::show(&sa), shape::show(&sb), inner.0, inner.1),
        ));
    }
    if op == "bmm" && a.shape()[0] != b.shape()[0] {
        return Err(Error::shape(op, format!("{} and {}: the batch sizes differ", shape::show(&a.shape()), shape::show(&b.shape()))));
    }
    matmul(a, b)
}
