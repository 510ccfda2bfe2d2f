//! Decompositions of matrices in float64 or complex128: LU, Cholesky and QR by plain loops over rows, singular values and
//! eigenvalues by faer. Leans on field, convert and faer.

use super::convert::{self, Cursor};
use super::field::Field;
use super::{stop, symmetric};
use crate::backend::launch::{Dense, Operand};
use crate::base::{Error, Result};
use faer::{MatRef, Side};
use num_complex::Complex;
use std::borrow::Cow;

/// Rows from which a loop over a matrix asks at each row whether to go on.
const TURN: usize = 256;

/// A row-major matrix of a batch.
struct Matrix<'a, T> {
    list: &'a [T],
    rows: usize,
    columns: usize,
}

fn sizes(op: &Operand) -> (usize, usize) {
    let shape = &op.layout.shape;
    let r = shape.len();
    if r < 2 { (1, shape.first().copied().unwrap_or(1)) } else { (shape[r - 2], shape[r - 1]) }
}

pub fn run(what: Dense, ins: &[Operand], outs: &[Operand]) -> Result<()> {
    if outs.iter().chain(ins).any(|x| x.dtype.is_complex()) {
        return each::<Complex<f64>>(what, ins, outs);
    }
    each::<f64>(what, ins, outs)
}

type Lists<T> = Result<Vec<Vec<T>>>;

/// One matrix of the batch after the other.
fn each<T: Field>(what: Dense, ins: &[Operand], outs: &[Operand]) -> Result<()> {
    let lists: Vec<Vec<T>> = ins
        .iter()
        .map(|x| {
            let mut list = vec![T::default(); x.numel()];
            convert::read_all(x, &Cursor::new(&x.layout), &mut list);
            list
        })
        .collect();
    let batch: usize = ins[0].layout.shape[..ins[0].layout.rank() - 2].iter().product();
    let mut results: Vec<Vec<T>> = outs.iter().map(|y| Vec::with_capacity(y.numel())).collect();
    for i in 0..batch {
        if i > 0 && stop::asked() {
            break;
        }
        let parts: Vec<Matrix<T>> = ins
            .iter()
            .zip(&lists)
            .map(|(x, list)| {
                let (rows, columns) = if x.layout.rank() == ins[0].layout.rank() { sizes(x) } else { (1, sizes(x).1) };
                Matrix { list: &list[i * rows * columns..(i + 1) * rows * columns], rows, columns }
            })
            .collect();
        let a = &parts[0];
        let found: Vec<Vec<T>> = match what {
            Dense::Lu { pivot } => lu(a, pivot),
            Dense::Cholesky => cholesky(a),
            Dense::Triangular { upper, unit } => vec![triangular(a, &parts[1], upper, unit)],
            Dense::Ldl { hermitian } => symmetric::factor(a.list, a.rows, hermitian),
            Dense::LdlSolve { hermitian } => {
                let (swaps, b) = (&parts[1], &parts[2]);
                vec![symmetric::solve(a.list, swaps.list, b.list, a.rows, b.columns, hermitian)?]
            }
            Dense::Qr => {
                let k = sizes(&outs[0]).1;
                qr(a, k)
            }
            Dense::Svd => svd(a, sizes(&outs[0]).1, sizes(&outs[2]).0)?,
            Dense::Eigen { upper } => eigen(a, upper)?,
            Dense::General => general(a)?,
            Dense::Det => vec![vec![eliminate(&mut a.list.to_vec(), &mut [], a.rows)]],
            Dense::Inverse => vec![inverse(a, i)?],
        };
        results.iter_mut().zip(found).for_each(|(all, part)| all.extend(part));
    }
    for (y, list) in outs.iter().zip(&results) {
        convert::write_all(list, y);
    }
    Ok(())
}

/// Gaussian elimination with partial pivoting of `[a | right]`, in place; returns the determinant.
fn eliminate<T: Field>(a: &mut [T], right: &mut [T], n: usize) -> T {
    let columns = right.len() / n.max(1);
    let mut det = T::of(1.0);
    for p in 0..n {
        if n > TURN && stop::asked() {
            break;
        }
        let best = (p..n).max_by(|&i, &j| a[i * n + p].size().total_cmp(&a[j * n + p].size())).unwrap_or(p);
        if best != p {
            (0..n).for_each(|c| a.swap(p * n + c, best * n + c));
            (0..columns).for_each(|c| right.swap(p * columns + c, best * columns + c));
            det = -det;
        }
        let pivot = a[p * n + p];
        det *= pivot;
        if pivot == T::default() {
            return pivot;
        }
        for r in 0..n {
            if r == p || columns == 0 && r < p {
                continue;
            }
            let f = a[r * n + p] / pivot;
            if f != T::default() {
                (p..n).for_each(|c| a[r * n + c] -= f * a[p * n + c]);
                (0..columns).for_each(|c| right[r * columns + c] -= f * right[p * columns + c]);
            }
        }
    }
    for p in 0..n {
        let pivot = a[p * n + p];
        (0..columns).for_each(|c| right[p * columns + c] /= pivot);
    }
    det
}

fn inverse<T: Field>(a: &Matrix<T>, place: usize) -> Result<Vec<T>> {
    let n = a.rows;
    let mut found = vec![T::default(); n * n];
    (0..n).for_each(|d| found[d * n + d] = T::of(1.0));
    if eliminate(&mut a.list.to_vec(), &mut found, n) == T::default() {
        let text = format!("matrix {place} of the batch is singular (its determinant is 0) and has no inverse");
        return Err(Error::algebra("inverse", text));
    }
    Ok(found)
}

/// Gaussian elimination, in each column by the row of the largest element.
fn lu<T: Field>(a: &Matrix<T>, pivot: bool) -> Vec<Vec<T>> {
    let (m, n) = (a.rows, a.columns);
    let mut x = a.list.to_vec();
    let mut order: Vec<usize> = (0..m).collect();
    let mut swaps: Vec<T> = (0..m.min(n)).map(|i| T::of((i + 1) as f64)).collect();
    for p in 0..m.min(n) {
        if pivot {
            let mut best = p;
            for r in p + 1..m {
                if x[r * n + p].weight() > x[best * n + p].weight() {
                    best = r;
                }
            }
            swaps[p] = T::of((best + 1) as f64);
            if best != p {
                (0..n).for_each(|c| x.swap(p * n + c, best * n + c));
                order.swap(p, best);
            }
        }
        let top = x[p * n + p];
        if top == T::default() {
            continue;
        }
        if n > TURN && stop::asked() {
            break;
        }
        let (done, rest) = x.split_at_mut((p + 1) * n);
        let from = &done[p * n + p + 1..];
        for row in rest.chunks_exact_mut(n) {
            let f = row[p] / top;
            row[p] = f;
            if f != T::default() {
                row[p + 1..].iter_mut().zip(from).for_each(|(y, &u)| *y -= f * u);
            }
        }
    }
    vec![x, swaps, order.into_iter().map(|i| T::of(i as f64)).collect()]
}

fn cholesky<T: Field>(a: &Matrix<T>) -> Vec<Vec<T>> {
    let n = a.rows;
    let mut l = vec![T::default(); n * n];
    for i in 0..n {
        if i > TURN && stop::asked() {
            break;
        }
        for j in 0..=i {
            let dot = l[i * n..i * n + j].iter().zip(&l[j * n..j * n + j]).fold(T::default(), |sum, (&x, &y)| sum + x * y.conj());
            let rest = a.list[i * n + j] - dot;
            if i != j {
                l[i * n + j] = rest / l[j * n + j];
            } else if rest.re() > 0.0 {
                l[i * n + i] = T::of(rest.re().sqrt());
            } else {
                return vec![l, vec![T::of((i + 1) as f64)]];
            }
        }
    }
    vec![l, vec![T::default()]]
}

fn triangular<T: Field>(a: &Matrix<T>, b: &Matrix<T>, upper: bool, unit: bool) -> Vec<T> {
    let (n, k) = (a.rows, b.columns);
    let mut x = b.list.to_vec();
    for step in 0..n {
        if n.max(k) > TURN && stop::asked() {
            break;
        }
        let i = if upper { n - 1 - step } else { step };
        let known = if upper { i + 1..n } else { 0..i };
        for j in known {
            let f = a.list[i * n + j];
            if f != T::default() {
                let (low, high) = x.split_at_mut(i.max(j) * k);
                let (row, from) =
                    if i > j { (&mut high[..k], &low[j * k..(j + 1) * k]) } else { (&mut low[i * k..(i + 1) * k], &high[..k]) };
                row.iter_mut().zip(from).for_each(|(y, &v)| *y -= f * v);
            }
        }
        if !unit {
            let d = a.list[i * n + i];
            x[i * k..(i + 1) * k].iter_mut().for_each(|y| *y /= d);
        }
    }
    x
}

/// Householder's reflections, each with the sign that makes no difference of near numbers; `k` columns of Q.
fn qr<T: Field>(a: &Matrix<T>, k: usize) -> Vec<Vec<T>> {
    let (m, n) = (a.rows, a.columns);
    let mut r = a.list.to_vec();
    let mut kept: Vec<(Vec<T>, T)> = Vec::new();
    for p in 0..m.min(n) {
        if m.max(n) > TURN && stop::asked() {
            break;
        }
        let alpha = r[p * n + p];
        let even = leveller((p..m).map(|i| r[i * n + p].size()).fold(0.0, f64::max));
        let square = |x: T| (x * T::of(even)).square();
        let tail: f64 = (p + 1..m).map(|i| square(r[i * n + p])).sum();
        if tail == 0.0 && alpha.is_real() {
            kept.push((Vec::new(), T::default()));
            continue;
        }
        // The diagonal of R is real, as LAPACK's.
        let beta = T::of(-((square(alpha) + tail).sqrt() / even).copysign(alpha.re()));
        // Numbers are divided after levelling: quotients of complex ones have squares in them.
        let over = |x: T, y: T| (x * T::of(even)) / (y * T::of(even));
        let tau = over(beta - alpha, beta);
        let mut v = vec![T::of(1.0)];
        v.extend((p + 1..m).map(|i| over(r[i * n + p], alpha - beta)));
        reflect(&mut r, n, p, p, &v, tau.conj());
        kept.push((v, tau));
    }
    let mut q = vec![T::default(); m * k];
    (0..k.min(m)).for_each(|i| q[i * k + i] = T::of(1.0));
    for (p, (v, tau)) in kept.iter().enumerate().rev() {
        if m.max(k) > TURN && stop::asked() {
            break;
        }
        if *tau != T::default() {
            reflect(&mut q, k, p, 0, v, *tau);
        }
    }
    let mut top = vec![T::default(); k * n];
    for i in 0..k.min(m) {
        (i..n).for_each(|j| top[i * n + j] = r[i * n + j]);
    }
    vec![q, top]
}

/// `x - tau v (v' x)` for the rows from `row` and the columns from `column` on.
fn reflect<T: Field>(x: &mut [T], n: usize, row: usize, column: usize, v: &[T], tau: T) {
    let mut dots = vec![T::default(); n];
    for (i, &w) in v.iter().enumerate() {
        let line = &x[(row + i) * n..(row + i + 1) * n];
        (column..n).for_each(|j| dots[j] += w.conj() * line[j]);
    }
    for (i, &w) in v.iter().enumerate() {
        let line = &mut x[(row + i) * n..(row + i + 1) * n];
        (column..n).for_each(|j| line[j] -= tau * w * dots[j]);
    }
}

/// The power of two that brings numbers as large as this to where squares neither overflow nor vanish; mostly 1.
fn leveller(large: f64) -> f64 {
    let fits = large == 0.0 || !large.is_finite() || (1e-120..1e120).contains(&large);
    if fits { 1.0 } else { f64::powi(2.0, (-large.log2()).clamp(-1000.0, 1000.0) as i32) }
}

fn finite<T: Field>(op: &str, a: &Matrix<T>) -> Result<()> {
    if a.list.iter().all(|x| x.size().is_finite()) {
        return Ok(());
    }
    Err(Error::algebra(op, "the matrix holds NaN or infinity, which has no decomposition"))
}

/// A matrix whose squares neither overflow nor vanish, and what its values have to be multiplied by.
fn level<'a, T: Field>(a: &Matrix<'a, T>) -> (Cow<'a, [T]>, T) {
    let largest = a.list.iter().fold(0.0f64, |m, x| m.max(x.size()));
    if largest == 0.0 || (1e-90..1e90).contains(&largest) {
        return (Cow::Borrowed(a.list), T::of(1.0));
    }
    // A power of two changes no mantissa.
    let scale = T::of(f64::powi(2.0, (largest.log2() as i32).clamp(-1000, 1000)));
    (a.list.iter().map(|&x| x / scale).collect(), scale)
}

fn svd<T: Field>(a: &Matrix<T>, left: usize, right: usize) -> Lists<T> {
    let (m, n) = (a.rows, a.columns);
    if m == 0 || n == 0 {
        let unit = |size: usize, count: usize, wide: usize| {
            let mut list = vec![T::default(); size];
            (0..count).for_each(|i| list[i * wide + i] = T::of(1.0));
            list
        };
        return Ok(vec![unit(m * left, m.min(left), left), Vec::new(), unit(right * n, right.min(n), n)]);
    }
    finite("svd", a)?;
    let (list, scale) = level(a);
    let found = MatRef::from_row_major_slice(&list, m, n).svd();
    let found = found.map_err(|_| Error::algebra("svd", "the iteration did not converge"))?;
    let (u, s, v) = (found.U(), found.S(), found.V());
    let values = (0..m.min(n)).map(|i| s[i] * scale).collect();
    let lefts = (0..m * left).map(|i| u[(i / left, i % left)]).collect();
    let rights = (0..right * n).map(|i| v[(i % n, i / n)].conj()).collect();
    Ok(vec![lefts, values, rights])
}

fn eigen<T: Field>(a: &Matrix<T>, upper: bool) -> Lists<T> {
    let n = a.rows;
    if n == 0 {
        return Ok(vec![Vec::new(), Vec::new()]);
    }
    finite("eigh", a)?;
    // The triangle that is not read mirrors the other one, and the diagonal is real.
    let at = |i: usize, j: usize| a.list[i * n + j];
    let mirrored = |i: usize, j: usize| match i.cmp(&j) {
        std::cmp::Ordering::Equal => T::of(at(i, i).re()),
        order if order.is_lt() == upper => at(i, j),
        _ => at(j, i).conj(),
    };
    let whole: Vec<T> = (0..n * n).map(|k| mirrored(k / n, k % n)).collect();
    let (list, scale) = level(&Matrix { list: &whole, rows: n, columns: n });
    let found = MatRef::from_row_major_slice(&list, n, n).self_adjoint_eigen(Side::Lower);
    let found = found.map_err(|_| Error::algebra("eigh", "the iteration did not converge"))?;
    let (u, s) = (found.U(), found.S());
    Ok(vec![(0..n).map(|i| s[i] * scale).collect(), (0..n * n).map(|i| u[(i / n, i % n)]).collect()])
}

/// Eigenvalues and vectors of any square matrix, each vector of length 1 with its largest element real, as LAPACK's.
fn general<T: Field>(a: &Matrix<T>) -> Lists<T> {
    let n = a.rows;
    if n == 0 {
        return Ok(vec![Vec::new(), Vec::new()]);
    }
    finite("eig", a)?;
    let (list, scale) = level(a);
    // Of a real matrix they come in exact pairs.
    let (values, vectors) = if list.iter().all(|x| x.is_real()) {
        let plain: Vec<f64> = list.iter().map(|x| x.re()).collect();
        f64::eigen(MatRef::from_row_major_slice(&plain, n, n))?
    } else {
        T::eigen(MatRef::from_row_major_slice(&list, n, n))?
    };
    let mut columns = vec![T::default(); n * n];
    for j in 0..n {
        let column = &vectors[j * n..(j + 1) * n];
        let length = column.iter().map(|z| z.norm_sqr()).sum::<f64>().sqrt();
        let top =
            column.iter().fold(Complex::new(0.0, 0.0), |top: Complex<f64>, z| if z.norm() > top.norm() * (1.0 + 1e-9) { *z } else { top });
        let turn = if top.im == 0.0 || top.norm() == 0.0 { Complex::new(1.0, 0.0) } else { top.conj() / top.norm() };
        column.iter().enumerate().for_each(|(i, z)| columns[i * n + j] = T::pair(z * turn / length));
    }
    Ok(vec![values.into_iter().map(|w| T::pair(w) * scale).collect(), columns])
}
