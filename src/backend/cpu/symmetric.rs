//! Symmetric matrices by the diagonal pivoting of Bunch and Kaufman 1977, in the form that LAPACK keeps, and what is solved
//! with them. Leans on stop.

use super::stop;
use crate::base::{Error, Result};

/// Rows from which every step asks whether to go on.
const TURN: usize = 256;

/// A square matrix of which the lower triangle is used.
struct Lower<'a> {
    list: &'a mut [f64],
    n: usize,
}

impl Lower<'_> {
    fn at(&mut self, row: usize, column: usize) -> &mut f64 {
        &mut self.list[row.max(column) * self.n + row.min(column)]
    }
    fn value(&self, row: usize, column: usize) -> f64 {
        self.list[row.max(column) * self.n + row.min(column)]
    }
    /// Rows and columns `i < j` exchanged in what is left from row `from` on.
    fn exchange(&mut self, from: usize, i: usize, j: usize) {
        let corner = self.value(i, i);
        *self.at(i, i) = self.value(j, j);
        *self.at(j, j) = corner;
        for k in (from..self.n).filter(|&k| k != i && k != j) {
            let kept = self.value(k, i);
            *self.at(k, i) = self.value(k, j);
            *self.at(k, j) = kept;
        }
    }
    /// The largest element of a row beside the diagonal, from column `from` on, and where it stands.
    fn peak(&self, from: usize, row: usize) -> (f64, usize) {
        let others = (from..self.n).filter(|&k| k != row).map(|k| (self.value(row, k).abs(), k));
        others.fold((0.0, row), |best, here| if here.0 > best.0 || here.0.is_nan() { here } else { best })
    }
}

/// In one matrix the unit triangle and the blocks of the diagonal; the exchanges, counted from 1 and negative for a block of
/// two; 0, or the first row (from 1) without a pivot.
pub fn factor(list: &[f64], n: usize) -> Vec<Vec<f64>> {
    let mut kept = list.to_vec();
    let mut x = Lower { list: &mut kept, n };
    let (mut swaps, mut failed, mut k) = (vec![0.0; n], 0, 0);
    // The growth of elements is least with this share.
    let share = (1.0 + 17f64.sqrt()) / 8.0;
    while k < n && (n < TURN || !stop::asked()) {
        let own = x.value(k, k).abs();
        let (below, far) = x.peak(k, k);
        let (mut with, mut two) = (k, false);
        if own.max(below) == 0.0 || own.is_nan() {
            if failed == 0 {
                failed = k + 1;
            }
        } else {
            if own < share * below {
                let (wide, _) = x.peak(k, far);
                if own * wide < share * below * below {
                    with = far;
                    two = x.value(far, far).abs() < share * wide;
                }
            }
            let here = k + usize::from(two);
            if with != here {
                x.exchange(k, here, with);
            }
            if two {
                pair(&mut x, k);
            } else {
                single(&mut x, k);
            }
        }
        let mark = (with + 1) as f64;
        if two {
            (swaps[k], swaps[k + 1]) = (-mark, -mark);
        } else {
            swaps[k] = mark;
        }
        k += 1 + usize::from(two);
    }
    for row in 0..n {
        kept[row * n + row + 1..(row + 1) * n].fill(0.0);
    }
    vec![kept, swaps, vec![failed as f64]]
}

/// One step of elimination by the element at (k, k).
fn single(x: &mut Lower, k: usize) {
    let pivot = x.value(k, k);
    for i in k + 1..x.n {
        let f = x.value(i, k) / pivot;
        for j in k + 1..=i {
            *x.at(i, j) -= f * x.value(j, k);
        }
    }
    for i in k + 1..x.n {
        *x.at(i, k) /= pivot;
    }
}

/// One step by the block of rows k and k + 1.
fn pair(x: &mut Lower, k: usize) {
    let side = x.value(k + 1, k);
    let (low, high) = (x.value(k + 1, k + 1) / side, x.value(k, k) / side);
    let scale = 1.0 / (low * high - 1.0) / side;
    let weights: Vec<(f64, f64)> = (k + 2..x.n)
        .map(|j| {
            let (a, b) = (x.value(j, k), x.value(j, k + 1));
            (scale * (low * a - b), scale * (high * b - a))
        })
        .collect();
    for i in k + 2..x.n {
        let (a, b) = (x.value(i, k), x.value(i, k + 1));
        for j in k + 2..=i {
            let (u, v) = weights[j - k - 2];
            *x.at(i, j) -= a * u + b * v;
        }
    }
    for (i, &(u, v)) in (k + 2..).zip(&weights) {
        (*x.at(i, k), *x.at(i, k + 1)) = (u, v);
    }
}

/// The blocks of the diagonal from the top: the first row, whether it is a block of two, and the row it was exchanged with.
fn blocks(swaps: &[f64], n: usize) -> Result<Vec<(usize, bool, usize)>> {
    let (mut list, mut k) = (Vec::new(), 0);
    while k < n {
        let (mark, two) = (swaps[k].abs() as usize, swaps[k] < 0.0);
        if mark == 0 || mark > n || two && k + 1 == n {
            return Err(Error::runtime("ldl_solve", format!("the pivot {} of row {k} is none of a matrix of {n} rows", swaps[k])));
        }
        list.push((k, two, mark - 1));
        k += 1 + usize::from(two);
    }
    Ok(list)
}

/// x of `a x = b` for a factored matrix of n rows and k right sides.
pub fn solve(list: &[f64], swaps: &[f64], right: &[f64], n: usize, k: usize) -> Result<Vec<f64>> {
    let mut x = right.to_vec();
    let exchange = |x: &mut [f64], i: usize, j: usize| (0..k).filter(|_| i != j).for_each(|c| x.swap(i * k + c, j * k + c));
    let blocks = blocks(swaps, n)?;
    for &(row, two, with) in &blocks {
        let last = row + usize::from(two);
        exchange(&mut x, last, with);
        for i in last + 1..n {
            for from in row..=last {
                let f = list[i * n + from];
                (0..k).for_each(|c| x[i * k + c] -= f * x[from * k + c]);
            }
        }
        if !two {
            (0..k).for_each(|c| x[row * k + c] /= list[row * n + row]);
            continue;
        }
        let side = list[last * n + row];
        let (high, low) = (list[row * n + row] / side, list[last * n + last] / side);
        for c in 0..k {
            let (a, b) = (x[row * k + c] / side, x[last * k + c] / side);
            x[row * k + c] = (low * a - b) / (high * low - 1.0);
            x[last * k + c] = (high * b - a) / (high * low - 1.0);
        }
    }
    for &(row, two, with) in blocks.iter().rev() {
        let last = row + usize::from(two);
        for to in row..=last {
            for i in last + 1..n {
                let f = list[i * n + to];
                (0..k).for_each(|c| x[to * k + c] -= f * x[i * k + c]);
            }
        }
        exchange(&mut x, last, with);
    }
    Ok(x)
}
