//! Decompositions of matrices in float64: LU, Cholesky and QR by plain loops over rows, singular values and eigenvalues by faer.
//! Leans on convert and faer.

use super::convert::{self, Cursor};
use super::{stop, symmetric};
use crate::backend::launch::{Dense, Operand};
use crate::base::{Error, Result};
use faer::{MatRef, Side};
use std::borrow::Cow;

/// Rows from which a loop over a matrix asks at each row whether to go on.
const TURN: usize = 256;

/// A row-major matrix of a batch.
struct Matrix<'a> {
    list: &'a [f64],
    rows: usize,
    columns: usize,
}

fn sizes(op: &Operand) -> (usize, usize) {
    let shape = &op.layout.shape;
    let r = shape.len();
    if r < 2 { (1, shape.first().copied().unwrap_or(1)) } else { (shape[r - 2], shape[r - 1]) }
}

pub fn run(what: Dense, ins: &[Operand], outs: &[Operand]) -> Result<()> {
    let lists: Vec<Vec<f64>> = ins
        .iter()
        .map(|x| {
            let mut list = vec![0.0; x.numel()];
            convert::read_all(x, &Cursor::new(&x.layout), &mut list);
            list
        })
        .collect();
    let batch: usize = ins[0].layout.shape[..ins[0].layout.rank() - 2].iter().product();
    let mut results: Vec<Vec<f64>> = outs.iter().map(|y| Vec::with_capacity(y.numel())).collect();
    for i in 0..batch {
        if i > 0 && stop::asked() {
            break;
        }
        let parts: Vec<Matrix> = ins
            .iter()
            .zip(&lists)
            .map(|(x, list)| {
                let (rows, columns) = if x.layout.rank() == ins[0].layout.rank() { sizes(x) } else { (1, sizes(x).1) };
                Matrix { list: &list[i * rows * columns..(i + 1) * rows * columns], rows, columns }
            })
            .collect();
        let a = &parts[0];
        let found: Vec<Vec<f64>> = match what {
            Dense::Lu { pivot } => lu(a, pivot),
            Dense::Cholesky => cholesky(a),
            Dense::Triangular { upper, unit } => vec![triangular(a, &parts[1], upper, unit)],
            Dense::Ldl => symmetric::factor(a.list, a.rows),
            Dense::LdlSolve => vec![symmetric::solve(a.list, parts[1].list, parts[2].list, a.rows, parts[2].columns)?],
            Dense::Qr => {
                let k = sizes(&outs[0]).1;
                qr(a, k)
            }
            Dense::Svd => svd(a, sizes(&outs[0]).1, sizes(&outs[2]).0)?,
            Dense::Eigen { upper } => eigen(a, upper)?,
        };
        results.iter_mut().zip(found).for_each(|(all, part)| all.extend(part));
    }
    for (y, list) in outs.iter().zip(&results) {
        convert::write_all(list, y);
    }
    Ok(())
}

/// Gaussian elimination, in each column by the row of the largest element.
fn lu(a: &Matrix, pivot: bool) -> Vec<Vec<f64>> {
    let (m, n) = (a.rows, a.columns);
    let mut x = a.list.to_vec();
    let mut order: Vec<usize> = (0..m).collect();
    let mut swaps: Vec<f64> = (0..m.min(n)).map(|i| (i + 1) as f64).collect();
    for p in 0..m.min(n) {
        if pivot {
            let mut best = p;
            for r in p + 1..m {
                if x[r * n + p].abs() > x[best * n + p].abs() {
                    best = r;
                }
            }
            swaps[p] = (best + 1) as f64;
            if best != p {
                (0..n).for_each(|c| x.swap(p * n + c, best * n + c));
                order.swap(p, best);
            }
        }
        let top = x[p * n + p];
        if top == 0.0 {
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
            if f != 0.0 {
                row[p + 1..].iter_mut().zip(from).for_each(|(y, &u)| *y -= f * u);
            }
        }
    }
    vec![x, swaps, order.into_iter().map(|i| i as f64).collect()]
}

fn cholesky(a: &Matrix) -> Vec<Vec<f64>> {
    let n = a.rows;
    let mut l = vec![0.0; n * n];
    for i in 0..n {
        if i > TURN && stop::asked() {
            break;
        }
        for j in 0..=i {
            let dot: f64 = l[i * n..i * n + j].iter().zip(&l[j * n..j * n + j]).map(|(x, y)| x * y).sum();
            let rest = a.list[i * n + j] - dot;
            if i != j {
                l[i * n + j] = rest / l[j * n + j];
            } else if rest > 0.0 {
                l[i * n + i] = rest.sqrt();
            } else {
                return vec![l, vec![(i + 1) as f64]];
            }
        }
    }
    vec![l, vec![0.0]]
}

fn triangular(a: &Matrix, b: &Matrix, upper: bool, unit: bool) -> Vec<f64> {
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
            if f != 0.0 {
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
fn qr(a: &Matrix, k: usize) -> Vec<Vec<f64>> {
    let (m, n) = (a.rows, a.columns);
    let mut r = a.list.to_vec();
    let mut kept: Vec<(Vec<f64>, f64)> = Vec::new();
    for p in 0..m.min(n) {
        if m.max(n) > TURN && stop::asked() {
            break;
        }
        let tail: f64 = (p + 1..m).map(|i| r[i * n + p] * r[i * n + p]).sum();
        let alpha = r[p * n + p];
        if tail == 0.0 {
            kept.push((Vec::new(), 0.0));
            continue;
        }
        let beta = -(alpha * alpha + tail).sqrt().copysign(alpha);
        let tau = (beta - alpha) / beta;
        let mut v = vec![1.0];
        v.extend((p + 1..m).map(|i| r[i * n + p] / (alpha - beta)));
        reflect(&mut r, n, p, p, &v, tau);
        kept.push((v, tau));
    }
    let mut q = vec![0.0; m * k];
    (0..k.min(m)).for_each(|i| q[i * k + i] = 1.0);
    for (p, (v, tau)) in kept.iter().enumerate().rev() {
        if m.max(k) > TURN && stop::asked() {
            break;
        }
        if *tau != 0.0 {
            reflect(&mut q, k, p, 0, v, *tau);
        }
    }
    let mut top = vec![0.0; k * n];
    for i in 0..k.min(m) {
        (i..n).for_each(|j| top[i * n + j] = r[i * n + j]);
    }
    vec![q, top]
}

/// `x - tau v (v' x)` for the rows from `row` and the columns from `column` on.
fn reflect(x: &mut [f64], n: usize, row: usize, column: usize, v: &[f64], tau: f64) {
    let mut dots = vec![0.0; n];
    for (i, &w) in v.iter().enumerate() {
        let line = &x[(row + i) * n..(row + i + 1) * n];
        (column..n).for_each(|j| dots[j] += w * line[j]);
    }
    for (i, &w) in v.iter().enumerate() {
        let line = &mut x[(row + i) * n..(row + i + 1) * n];
        (column..n).for_each(|j| line[j] -= tau * w * dots[j]);
    }
}

fn finite(op: &str, a: &Matrix) -> Result<()> {
    if a.list.iter().all(|x| x.is_finite()) {
        return Ok(());
    }
    Err(Error::runtime(op, "the matrix holds NaN or infinity, which has no decomposition"))
}

/// A matrix whose squares neither overflow nor vanish, and what its values have to be multiplied by.
fn level<'a>(a: &Matrix<'a>) -> (Cow<'a, [f64]>, f64) {
    let largest = a.list.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    if largest == 0.0 || (1e-90..1e90).contains(&largest) {
        return (Cow::Borrowed(a.list), 1.0);
    }
    // A power of two changes no mantissa.
    let scale = f64::powi(2.0, (largest.log2() as i32).clamp(-1000, 1000));
    (a.list.iter().map(|x| x / scale).collect(), scale)
}

fn svd(a: &Matrix, left: usize, right: usize) -> Result<Vec<Vec<f64>>> {
    let (m, n) = (a.rows, a.columns);
    if m == 0 || n == 0 {
        let unit = |size: usize, count: usize, wide: usize| {
            let mut list = vec![0.0; size];
            (0..count).for_each(|i| list[i * wide + i] = 1.0);
            list
        };
        return Ok(vec![unit(m * left, m.min(left), left), Vec::new(), unit(right * n, right.min(n), n)]);
    }
    finite("svd", a)?;
    let (list, scale) = level(a);
    let found = MatRef::from_row_major_slice(&list, m, n).svd();
    let found = found.map_err(|_| Error::runtime("svd", "the iteration did not converge"))?;
    let (u, s, v) = (found.U(), found.S(), found.V());
    let values = (0..m.min(n)).map(|i| s[i] * scale).collect();
    let lefts = (0..m * left).map(|i| u[(i / left, i % left)]).collect();
    let rights = (0..right * n).map(|i| v[(i % n, i / n)]).collect();
    Ok(vec![lefts, values, rights])
}

fn eigen(a: &Matrix, upper: bool) -> Result<Vec<Vec<f64>>> {
    let n = a.rows;
    if n == 0 {
        return Ok(vec![Vec::new(), Vec::new()]);
    }
    finite("eigh", a)?;
    let side = if upper { Side::Upper } else { Side::Lower };
    let (list, scale) = level(a);
    let found = MatRef::from_row_major_slice(&list, n, n).self_adjoint_eigen(side);
    let found = found.map_err(|_| Error::runtime("eigh", "the iteration did not converge"))?;
    let (u, s) = (found.U(), found.S());
    Ok(vec![(0..n).map(|i| s[i] * scale).collect(), (0..n * n).map(|i| u[(i / n, i % n)]).collect()])
}
