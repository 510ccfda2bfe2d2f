//! Decompositions of matrices and their derivatives, on the last two axes. Leans on graph and backend's dense family.

use super::view::operand;
use crate::backend::launch::Dense;
use crate::backend::{Launch, Operand, of};
use crate::base::{DType, Error, Few, Result, shape};
use crate::graph::sym::must;
use crate::graph::{Arg, Call, Grads, Meta, Metas, Pull, Sym, Tensor};
use smallvec::smallvec;

crate::op! {
    /// Gaussian elimination: both triangles in one matrix, the row swaps counted from 1, the order of the rows.
    lu_of(input; pivot: Bool) Any {
        kernel(lu_meta, lu_run);
        rule lu_back;
        complex Yes;
        batch lead;
        face hidden;
    }
    /// The lower triangle whose product with its transpose is the matrix, and 0 or the order that is not positive.
    cholesky_of(input) Any {
        kernel(cholesky_meta, cholesky_run);
        rule cholesky_back;
        complex Own;
        batch lead;
        face hidden;
    }
    /// A unit lower triangle and the blocks of the diagonal, the exchanges, and 0 or the row without a pivot.
    ldl_of(input; hermitian: Bool) Any {
        kernel(ldl_meta, ldl_run);
        complex Own;
        face hidden;
    }
    /// x of `a x = b` for a matrix that `ldl_of` took apart; the batches are equal.
    ldl_solve_of(input, pivots, b; hermitian: Bool) Any {
        kernel(ldl_solve_meta, ldl_solve_run);
        complex Own;
        face hidden;
    }
    /// x of `a x = b` for a triangle a; the batches are equal.
    triangular_of(a, b; upper: Bool, unit: Bool) Any {
        kernel(triangular_meta, triangular_run);
        rule triangular_back;
        complex Yes;
        batch lead;
        face hidden;
    }
    /// An orthogonal and an upper triangular factor; with `full` the orthogonal one is square.
    qr_of(input; full: Bool) Any {
        kernel(qr_meta, qr_run);
        rule qr_back;
        complex Own;
        batch lead;
        face hidden;
    }
    /// Left vectors, falling singular values, right vectors as rows.
    svd_of(input; full: Bool) Any {
        kernel(svd_meta, svd_run);
        rule svd_back;
        complex Own;
        batch lead;
        face hidden;
    }
    /// The rising eigenvalues and the vectors of a symmetric matrix, of which one triangle is read.
    eigh_of(input; upper: Bool) Any {
        kernel(eigh_meta, eigh_run);
        rule eigh_back;
        complex Own;
        batch lead;
        face hidden;
    }
    /// The eigenvalues and the vectors, as columns, of a square matrix; both are complex.
    eig_of(input) Any {
        kernel(eig_meta, eig_run);
        rule eig_back;
        complex Own;
        batch lead;
        face hidden;
    }
    /// The second operand, which is the pseudo-inverse of the first, with the derivative that this has.
    pinv_of(input, found) Any {
        kernel(pinv_meta, pinv_run);
        rule pinv_back;
        complex Own;
        face hidden;
    }
    /// x of `l l.T x = b`; the derivative takes l for a full matrix, as PyTorch's does.
    cholesky_solve_of(b, l) Any {
        inline(cholesky_solve_inline);
        rule cholesky_solve_back;
        complex Own;
        face hidden;
    }
    /// The second operand, which is the square root of the first, with the derivative that this has.
    sqrth_of(input, found) Any {
        kernel(sqrth_meta, pinv_run);
        rule sqrth_back;
        complex Own;
        face hidden;
    }
}

/// Shape and dtype of a batch of matrices: what stands before the last two axes, then these.
fn matrix(op: &str, ins: &[Option<Meta>], i: usize) -> Result<(Few<usize>, usize, usize, DType)> {
    let Some(Some(x)) = ins.get(i) else { return Err(Error::bug(op, "an operand is missing")) };
    let r = x.shape.len();
    if r < 2 {
        return Err(Error::runtime(op, format!("needs matrices in the last two axes, got shape {}", shape::show(&x.shape))));
    }
    if !x.dtype.is_inexact() || x.dtype.is_short_float() {
        return Err(Error::no_float(op, "float32 or float64", x.dtype));
    }
    Ok((x.shape[..r - 2].into(), x.shape[r - 2], x.shape[r - 1], x.dtype))
}

fn square(op: &str, ins: &[Option<Meta>]) -> Result<(Few<usize>, usize, DType)> {
    let (lead, m, n, dtype) = matrix(op, ins, 0)?;
    if m != n {
        return Err(Error::runtime(op, format!("needs square matrices in the last two axes, got {m} by {n}")));
    }
    Ok((lead, n, dtype))
}

fn made(lead: &[usize], last: &[usize], dtype: DType) -> Meta {
    Meta { shape: lead.iter().chain(last).copied().collect(), dtype }
}

fn lu_meta(ins: &[Option<Meta>], _args: &[Arg]) -> Result<Metas> {
    let (lead, m, n, dtype) = matrix("lu", ins, 0)?;
    Ok(smallvec![made(&lead, &[m, n], dtype), made(&lead, &[m.min(n)], DType::I32), made(&lead, &[m], DType::I64)])
}

fn cholesky_meta(ins: &[Option<Meta>], _args: &[Arg]) -> Result<Metas> {
    let (lead, n, dtype) = square("cholesky", ins)?;
    Ok(smallvec![made(&lead, &[n, n], dtype), made(&lead, &[], DType::I32)])
}

fn ldl_meta(ins: &[Option<Meta>], _args: &[Arg]) -> Result<Metas> {
    let (lead, n, dtype) = square("ldl_factor", ins)?;
    Ok(smallvec![made(&lead, &[n, n], dtype), made(&lead, &[n], DType::I32), made(&lead, &[], DType::I32)])
}

fn ldl_solve_meta(ins: &[Option<Meta>], _args: &[Arg]) -> Result<Metas> {
    let (lead, n, dtype) = square("ldl_solve", ins)?;
    let (other, rows, k, kind) = matrix("ldl_solve", ins, 2)?;
    let pivots = ins.get(1).and_then(Option::as_ref);
    let whole: Few<usize> = lead.iter().chain([&n]).copied().collect();
    if rows != n || lead != other || kind != dtype || pivots.is_none_or(|p| p.shape != whole || !p.dtype.is_int()) {
        return Err(Error::shape(
            "ldl_solve",
            format!("a matrix of {n} rows ({dtype}), its pivots and right sides of {rows} ({kind}) do not fit, or their batches differ"),
        ));
    }
    Ok(smallvec![made(&lead, &[n, k], dtype)])
}

fn triangular_meta(ins: &[Option<Meta>], _args: &[Arg]) -> Result<Metas> {
    let (lead, n, dtype) = square("solve_triangular", ins)?;
    let (other, rows, k, kind) = matrix("solve_triangular", ins, 1)?;
    if rows != n || lead != other || kind != dtype {
        return Err(Error::shape(
            "solve_triangular",
            format!("a triangle of {n} rows ({dtype}) and right sides of {rows} ({kind}) do not fit, or their batches differ"),
        ));
    }
    Ok(smallvec![made(&lead, &[n, k], dtype)])
}

fn qr_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let (lead, m, n, dtype) = matrix("qr", ins, 0)?;
    let k = if args[0] == Arg::Bool(true) { m } else { m.min(n) };
    Ok(smallvec![made(&lead, &[m, k], dtype), made(&lead, &[k, n], dtype)])
}

fn svd_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let (lead, m, n, dtype) = matrix("svd", ins, 0)?;
    let k = m.min(n);
    let (left, right) = if args[0] == Arg::Bool(true) { (m, n) } else { (k, k) };
    Ok(smallvec![made(&lead, &[m, left], dtype), made(&lead, &[k], dtype.real()), made(&lead, &[right, n], dtype)])
}

fn eigh_meta(ins: &[Option<Meta>], _args: &[Arg]) -> Result<Metas> {
    let (lead, n, dtype) = square("eigh", ins)?;
    Ok(smallvec![made(&lead, &[n], dtype.real()), made(&lead, &[n, n], dtype)])
}

fn eig_meta(ins: &[Option<Meta>], _args: &[Arg]) -> Result<Metas> {
    let (lead, n, dtype) = square("eig", ins)?;
    Ok(smallvec![made(&lead, &[n], dtype.complex()), made(&lead, &[n, n], dtype.complex())])
}

pub(super) fn launch(call: &Call, what: Dense) -> Result<()> {
    let ins: Vec<Operand> = call.ins.iter().flatten().map(|&x| x.clone()).collect();
    of(&operand(call, 0)?.storage).launch(&Launch::Dense { what, ins: &ins, outs: call.outs })
}

fn is(arg: &Arg) -> bool {
    *arg == Arg::Bool(true)
}

fn lu_run(call: &Call) -> Result<()> {
    launch(call, Dense::Lu { pivot: is(&call.args[0]) })
}
fn cholesky_run(call: &Call) -> Result<()> {
    launch(call, Dense::Cholesky)
}
fn ldl_run(call: &Call) -> Result<()> {
    launch(call, Dense::Ldl { hermitian: is(&call.args[0]) })
}
fn ldl_solve_run(call: &Call) -> Result<()> {
    launch(call, Dense::LdlSolve { hermitian: is(&call.args[0]) })
}
fn triangular_run(call: &Call) -> Result<()> {
    launch(call, Dense::Triangular { upper: is(&call.args[0]), unit: is(&call.args[1]) })
}
fn qr_run(call: &Call) -> Result<()> {
    launch(call, Dense::Qr)
}
fn svd_run(call: &Call) -> Result<()> {
    launch(call, Dense::Svd)
}
fn eigh_run(call: &Call) -> Result<()> {
    launch(call, Dense::Eigen { upper: is(&call.args[0]) })
}

fn eig_run(call: &Call) -> Result<()> {
    launch(call, Dense::General)
}

// Derivatives: Giles 2008 ("Collected matrix derivative results"), Walter and Lehmann 2010 (QR), Townsend 2016 (SVD).

fn turned(x: &Sym) -> Sym {
    x.transpose(-1, -2)
}

/// The conjugate transpose.
fn adjoint(x: &Sym) -> Sym {
    if x.dtype().is_complex() { turned(x).conj() } else { turned(x) }
}

/// Of a complex tensor the dtype of another, so that real factors meet complex ones.
fn like(x: &Sym, other: &Sym) -> Sym {
    if x.dtype() == other.dtype() { x.clone() } else { x.cast(other.dtype()) }
}

/// Rows (or columns) `start..end` of the last two axes.
fn part(x: &Sym, axis_from_end: usize, start: usize, end: usize) -> Sym {
    let mut sizes = x.shape();
    let (r, mut starts) = (sizes.len(), Few::filled(0i64, sizes.len()));
    starts[r - axis_from_end] = start as i64;
    sizes[r - axis_from_end] = end - start;
    x.slice(starts, &sizes, Few::filled(1i64, r))
}

fn joined(a: &Sym, b: &Sym, axis_from_end: usize) -> Sym {
    Sym::from(must(super::moves::cat(&[a.tensor(), b.tensor()], a.rank() - axis_from_end)))
}

fn only(grad: Sym) -> Grads {
    [Some(grad)].into_iter().collect()
}

fn pinv_meta(ins: &[Option<Meta>], _args: &[Arg]) -> Result<Metas> {
    let (lead, m, n, dtype) = matrix("pinv", ins, 0)?;
    Ok(smallvec![made(&lead, &[n, m], dtype)])
}

fn pinv_run(call: &Call) -> Result<()> {
    of(&operand(call, 1)?.storage).launch(&Launch::Copy { src: operand(call, 1)?, dst: &call.outs[0] })
}

/// Golub and Pereyra 1973: valid where the rank does not change.
fn pinv_back(pull: &Pull) -> Grads {
    let (g, a, x) = (pull.grad(), &pull.ins[0], &pull.outs[0]);
    let (gt, xt) = (adjoint(g), adjoint(x));
    let grad = -(xt.matmul(g).matmul(&xt));
    let left = gt.matmul(x).matmul(&xt);
    let left = &left - &a.matmul(&x.matmul(&left));
    let right = xt.matmul(x).matmul(&gt);
    let right = &right - &right.matmul(x).matmul(a);
    [pull.needs.has(0).then(|| grad + left + right), None].into_iter().collect()
}

fn cholesky_solve_inline(ins: &[Option<Sym>], _args: &[Arg]) -> Result<Vec<Tensor>> {
    let [Some(b), Some(l)] = ins else { return Err(Error::bug("cholesky_solve", "an operand is missing")) };
    let half = l.triangular_of(b, false, false);
    Ok(vec![adjoint(l).triangular_of(&half, true, false).tensor().clone()])
}

fn cholesky_solve_back(pull: &Pull) -> Grads {
    let (g, l, x) = (pull.grad(), &pull.ins[1], &pull.outs[0]);
    let right = g.cholesky_solve_of(l);
    let mut grads = Grads::new();
    grads.push(pull.needs.has(0).then(|| right.clone()));
    grads.push(pull.needs.has(1).then(|| {
        let product = right.matmul(&adjoint(x));
        -((&product + &adjoint(&product)).matmul(l))
    }));
    grads
}

fn sqrth_meta(ins: &[Option<Meta>], _args: &[Arg]) -> Result<Metas> {
    let (lead, n, dtype) = square("matrix_sqrth", ins)?;
    Ok(smallvec![made(&lead, &[n, n], dtype)])
}

/// The solution x of `root x + x root = g` for the symmetric part of g, in the basis of the root's vectors.
fn sqrth_back(pull: &Pull) -> Grads {
    let (g, root) = (pull.grad(), &pull.outs[0]);
    let crate::graph::Outs::Many(pair) = must(crate::graph::tensor::emit(&eigh_of::OP, &[root.feed()], &[Arg::Bool(false)])) else {
        return only(g.clone());
    };
    let (w, v) = (Sym::from(&pair[0]), Sym::from(&pair[1]));
    let sums = w.unsqueeze(-2) + w.unsqueeze(-1);
    let even = (g + &adjoint(g)) * 0.5;
    let middle = adjoint(&v).matmul(&even).matmul(&v) / sums;
    [Some(v.matmul(&middle).matmul(&adjoint(&v))), None].into_iter().collect()
}

fn triangular_back(pull: &Pull) -> Grads {
    let (g, a, x) = (pull.grad(), &pull.ins[0], &pull.outs[0]);
    let (upper, unit) = (is(&pull.args[0]), is(&pull.args[1]));
    let right = turned(a).triangular_of(g, !upper, unit);
    let mut grads = Grads::new();
    grads.push(pull.needs.has(0).then(|| {
        let full = -right.matmul(&turned(x));
        let edge = i64::from(unit);
        if upper { full.triu(edge) } else { full.tril(-edge) }
    }));
    grads.push(pull.needs.has(1).then(|| right.clone()));
    grads
}

/// `left.T ^ -1 @ middle @ right.T ^ -1` for a unit lower triangle on the left and an upper one on the right.
fn between(lower: &Sym, middle: &Sym, upper: &Sym) -> Sym {
    let half = turned(lower).triangular_of(middle, true, true);
    // x right.T = half, so right x.T = half.T.
    turned(&upper.triangular_of(&turned(&half), true, false))
}

fn lu_back(pull: &Pull) -> Grads {
    let Some(g) = &pull.grads[0] else { return [None].into_iter().collect() };
    let (packed, order) = (&pull.outs[0], &pull.outs[2]);
    super::view::reads(&[packed, order]);
    let shape = packed.shape();
    let r = shape.len();
    let (m, n) = (shape[r - 2], shape[r - 1]);
    let k = m.min(n);
    if packed.numel() == 0 {
        return only(super::view::zeros_like(&pull.ins[0]));
    }
    let top = part(packed, 2, 0, k);
    let corner = part(&top, 1, 0, k);
    let eye = (super::view::zeros_like(&corner) + 1.0).tril(0i64).triu(0i64);
    let (lower, upper) = (corner.tril(-1i64) + eye, corner.triu(0i64));
    let g_corner = part(&part(g, 2, 0, k), 1, 0, k);
    let (g_lower, g_upper) = (g_corner.tril(-1i64), g_corner.triu(0i64));
    let (mut left, mut right) = (turned(&lower).matmul(&g_lower), g_upper.matmul(&turned(&upper)));
    let mut more = None;
    if n > k {
        let (wide, g_wide) = (part(&top, 1, k, n), part(&part(g, 2, 0, k), 1, k, n));
        left = left - g_wide.matmul(&turned(&wide));
        more = Some((1, turned(&lower).triangular_of(&g_wide, true, true)));
    } else if m > k {
        let (tall, g_tall) = (part(packed, 2, k, m), part(g, 2, k, m));
        right = right - turned(&tall).matmul(&g_tall);
        more = Some((2, turned(&upper.triangular_of(&turned(&g_tall), true, false))));
    }
    let mut grad = between(&lower, &(left.tril(-1i64) + right.triu(0i64)), &upper);
    if let Some((axis, rest)) = more {
        grad = joined(&grad, &rest, axis);
    }
    // Row i of what was decomposed is row order[i] of the input.
    let places = order.unsqueeze(-1).expand(&shape);
    only(super::view::zeros_like(&pull.ins[0]).scatter(&places, &grad, r as i64 - 2))
}

fn cholesky_back(pull: &Pull) -> Grads {
    let Some(g) = &pull.grads[0] else { return [None].into_iter().collect() };
    let l = &pull.outs[0];
    let full = adjoint(l).matmul(&g.tril(0i64));
    let half = (full.tril(0i64) + full.tril(-1i64)) * 0.5;
    let middle = (&half + &adjoint(&half)) * 0.5;
    let right = adjoint(l).triangular_of(&middle, true, false);
    only(adjoint(&adjoint(l).triangular_of(&adjoint(&right), true, false)))
}

fn cotangent<'a>(pull: &'a Pull, i: usize) -> Option<&'a Sym> {
    pull.grads.get(i).and_then(Option::as_ref)
}

fn qr_back(pull: &Pull) -> Grads {
    let (q, r) = (&pull.outs[0], &pull.outs[1]);
    super::view::reads(&[q, r]);
    let (sq, sr) = (q.shape(), r.shape());
    let (m, k, n) = (sq[sq.len() - 2], sq[sq.len() - 1], sr[sr.len() - 1]);
    if m > n && k == m && !crate::graph::mode::Mode::now().probe() {
        crate::graph::sym::fail(Error::grad("qr", "with mode='complete' only square and wide matrices have a derivative"));
    }
    if q.numel() == 0 || r.numel() == 0 {
        return only(super::view::zeros_like(&pull.ins[0]));
    }
    let zeros = |x: &Sym| super::view::zeros_like(x);
    let mut gq = cotangent(pull, 0).cloned().unwrap_or_else(|| zeros(q));
    let gr = cotangent(pull, 1).cloned().unwrap_or_else(|| zeros(r));
    let (mut r1, mut gr1, mut rest) = (r.clone(), gr.clone(), None);
    if n > k {
        // The columns beyond the square are Q' A, whose derivative joins that of Q.
        let (wide, g_wide) = (part(r, 1, k, n), part(&gr, 1, k, n));
        gq = gq + q.matmul(&wide).matmul(&adjoint(&g_wide));
        rest = Some(q.matmul(&g_wide));
        (r1, gr1) = (part(r, 1, 0, k), part(&gr, 1, 0, k));
    }
    let middle = (gr1.matmul(&adjoint(&r1)) - adjoint(q).matmul(&gq)).triu(0i64);
    let mut both = &middle + &adjoint(&middle.triu(1i64));
    if both.dtype().is_complex() {
        // The diagonal of R is real, and so is what comes back to it.
        let edge = middle.tril(0i64);
        both = both - (&edge - &edge.conj()) * 0.5;
    }
    let total = gq + q.matmul(&both);
    let grad = adjoint(&r1.triangular_of(&adjoint(&total), true, false));
    only(match rest {
        Some(rest) => joined(&grad, &rest, 1),
        None => grad,
    })
}

/// `value[j] - value[i]` at (i, j), 1 on the diagonal.
fn gaps(values: &Sym) -> Sym {
    let gap = values.unsqueeze(-2) - values.unsqueeze(-1);
    let eye = (super::view::zeros_like(&gap) + 1.0).tril(0i64).triu(0i64);
    gap + eye
}

fn diagonal(values: &Sym) -> Sym {
    let n = values.shape()[values.rank() - 1];
    let mut wide = values.shape();
    wide.push(n);
    values.unsqueeze(-1).expand(&wide).tril(0i64).triu(0i64)
}

fn eigh_back(pull: &Pull) -> Grads {
    let (w, v) = (&pull.outs[0], &pull.outs[1]);
    super::view::reads(&[w, v]);
    let mut middle = cotangent(pull, 0).map_or_else(|| super::view::zeros_like(v), |g| like(&diagonal(g), v));
    if let Some(g) = cotangent(pull, 1) {
        let full = adjoint(v).matmul(g) / gaps(w);
        middle = middle + full.tril(-1i64) + full.triu(1i64);
    }
    only(v.matmul(&middle).matmul(&adjoint(v)))
}

/// Boeddeker et al. 2017 ("On the computation of complex-valued gradients"), with vectors of length 1.
fn eig_back(pull: &Pull) -> Grads {
    let (w, v) = (&pull.outs[0], &pull.outs[1]);
    super::view::reads(&[w, v]);
    let vh = adjoint(v);
    let mut middle = cotangent(pull, 0).map_or_else(|| super::view::zeros_like(v), diagonal);
    if let Some(g) = cotangent(pull, 1) {
        let turn = vh.matmul(g);
        let along = like(&diagonal(&turn.diagonal(0i64, -2i64, -1i64).real()), v);
        let full = (turn - vh.matmul(v).matmul(&along)) / gaps(&w.conj());
        middle = middle + full.tril(-1i64) + full.triu(1i64);
    }
    only(vh.inverse().matmul(&middle).matmul(&vh))
}

fn svd_back(pull: &Pull) -> Grads {
    let s = &pull.outs[1];
    super::view::reads(&[&pull.outs[0], s, &pull.outs[2]]);
    let k = s.shape()[s.rank() - 1];
    let x = &pull.ins[0];
    if x.numel() == 0 {
        return only(super::view::zeros_like(x));
    }
    let complex = x.dtype().is_complex();
    let (m, n) = (x.shape()[x.rank() - 2], x.shape()[x.rank() - 1]);
    let (u, vh) = (part(&pull.outs[0], 1, 0, k), part(&pull.outs[2], 2, 0, k));
    let mut middle = cotangent(pull, 1).map_or_else(|| diagonal(&super::view::zeros_like(s)), diagonal);
    middle = like(&middle, x);
    let squares = s * s;
    let skew = |full: &Sym| {
        let odd = (full - &adjoint(full)) / gaps(&squares);
        if complex { odd.tril(-1i64) + odd.triu(1i64) } else { odd }
    };
    let gu = cotangent(pull, 0).map(|g| part(g, 1, 0, k));
    let gv = cotangent(pull, 2).map(|g| part(g, 2, 0, k));
    if let Some(gu) = &gu {
        let turn = adjoint(&u).matmul(gu);
        middle = middle + skew(&turn) * &s.unsqueeze(-2);
        if complex {
            // Both vectors of a pair may turn together; what turns one against the other is the value's phase.
            let edge = turn.tril(0i64).triu(0i64);
            middle = middle + (&edge - &edge.conj()) / &(s * 2.0).unsqueeze(-2);
        }
    }
    if let Some(gv) = &gv {
        middle = middle + skew(&vh.matmul(&adjoint(gv))) * &s.unsqueeze(-1);
    }
    let mut grad = u.matmul(&middle).matmul(&vh);
    if let (Some(gu), true) = (&gu, m > k) {
        let outside = gu - &u.matmul(&adjoint(&u).matmul(gu));
        grad = grad + (outside / &s.unsqueeze(-2)).matmul(&vh);
    }
    if let (Some(gv), true) = (&gv, n > k) {
        let outside = gv - &gv.matmul(&adjoint(&vh)).matmul(&vh);
        grad = grad + u.matmul(&(outside / &s.unsqueeze(-1)));
    }
    only(grad)
}
