//! Symmetric and Hermitian matrices by the diagonal pivoting of Bunch and Kaufman 1977, in the form that LAPACK keeps, and
//! what is solved with them. Leans on field and stop.

use super::field::Field;
use super::stop;
use crate::base::{Error, Result};

/// Rows from which every step asks whether to go on.
const TURN: usize = 256;

/// What an element becomes on the other side of the diagonal.
fn flip<T: Field>(x: T, hermitian: bool) -> T {
    if hermitian { x.conj() } else { x }
}

/// A square matrix of which the lower triangle is used.
struct Lower<'a, T> {
    list: &'a mut [T],
    n: usize,
    hermitian: bool,
}

impl<T: Field> Lower<'_, T> {
    fn value(&self, row: usize, column: usize) -> T {
        let kept = self.list[row.max(column) * self.n + row.min(column)];
        if row < column { flip(kept, self.hermitian) } else { kept }
    }
    fn put(&mut self, row: usize, column: usize, x: T) {
        let x = if row < column { flip(x, self.hermitian) } else { x };
        // What rounding leaves beside a real diagonal is not kept.
        self.list[row.max(column) * self.n + row.min(column)] = if self.hermitian && row == column { T::of(x.re()) } else { x };
    }
    /// Rows and columns `i < j` exchanged in what is left from row `from` on.
    fn exchange(&mut self, from: usize, i: usize, j: usize) {
        let (corner, side) = (self.value(i, i), self.value(i, j));
        self.put(i, i, self.value(j, j));
        self.put(j, j, corner);
        self.put(j, i, side);
        for k in (from..self.n).filter(|&k| k != i && k != j) {
            let kept = self.value(k, i);
            self.put(k, i, self.value(k, j));
            self.put(k, j, kept);
        }
    }
    /// The largest element of a row beside the diagonal, from column `from` on, and where it stands.
    fn peak(&self, from: usize, row: usize) -> (f64, usize) {
        let others = (from..self.n).filter(|&k| k != row).map(|k| (self.value(row, k).weight(), k));
        others.fold((0.0, row), |best, here| if here.0 > best.0 || here.0.is_nan() { here } else { best })
    }
}

/// A block of two rows of the diagonal, its elements over the size of the one beside the diagonal.
struct Block<T> {
    high: T,
    low: T,
    /// The element below the diagonal, and the one above it.
    below: T,
    above: T,
    scale: T,
}

impl<T: Field> Block<T> {
    fn of(high: T, side: T, low: T, hermitian: bool) -> Block<T> {
        let size = if hermitian { T::of(side.size()) } else { side };
        let (high, low, below) = (high / size, low / size, side / size);
        Block { high, low, below, above: flip(below, hermitian), scale: T::of(1.0) / (low * high - T::of(1.0)) / size }
    }
    /// x of `block x = (a, b)`.
    fn solve(&self, a: T, b: T) -> (T, T) {
        (self.scale * (self.low * a - self.above * b), self.scale * (self.high * b - self.below * a))
    }
    /// x of `x block = (a, b)`.
    fn solve_left(&self, a: T, b: T) -> (T, T) {
        (self.scale * (self.low * a - self.below * b), self.scale * (self.high * b - self.above * a))
    }
}

/// In one matrix the unit triangle and the blocks of the diagonal; the exchanges, counted from 1 and negative for a block of
/// two; 0, or the first row (from 1) without a pivot.
pub fn factor<T: Field>(list: &[T], n: usize, hermitian: bool) -> Vec<Vec<T>> {
    let mut kept = list.to_vec();
    let mut x = Lower { list: &mut kept, n, hermitian };
    (0..n).for_each(|i| x.put(i, i, x.value(i, i)));
    let (mut swaps, mut failed, mut k) = (vec![T::of(0.0); n], 0, 0);
    // The growth of elements is least with this share.
    let share = (1.0 + 17f64.sqrt()) / 8.0;
    while k < n && (n < TURN || !stop::asked()) {
        let own = x.value(k, k).weight();
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
                    two = x.value(far, far).weight() < share * wide;
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
            (swaps[k], swaps[k + 1]) = (T::of(-mark), T::of(-mark));
        } else {
            swaps[k] = T::of(mark);
        }
        k += 1 + usize::from(two);
    }
    for row in 0..n {
        kept[row * n + row + 1..(row + 1) * n].fill(T::of(0.0));
    }
    vec![kept, swaps, vec![T::of(failed as f64)]]
}

/// One step of elimination by the element at (k, k).
fn single<T: Field>(x: &mut Lower<T>, k: usize) {
    let pivot = x.value(k, k);
    for i in k + 1..x.n {
        let f = x.value(i, k) / pivot;
        for j in k + 1..=i {
            x.put(i, j, x.value(i, j) - f * x.value(k, j));
        }
    }
    for i in k + 1..x.n {
        x.put(i, k, x.value(i, k) / pivot);
    }
}

/// One step by the block of rows k and k + 1.
fn pair<T: Field>(x: &mut Lower<T>, k: usize) {
    let block = Block::of(x.value(k, k), x.value(k + 1, k), x.value(k + 1, k + 1), x.hermitian);
    let weights: Vec<(T, T)> = (k + 2..x.n).map(|j| block.solve_left(x.value(j, k), x.value(j, k + 1))).collect();
    for i in k + 2..x.n {
        let (a, b) = (x.value(i, k), x.value(i, k + 1));
        for j in k + 2..=i {
            let (u, v) = weights[j - k - 2];
            x.put(i, j, x.value(i, j) - a * flip(u, x.hermitian) - b * flip(v, x.hermitian));
        }
    }
    for (i, &(u, v)) in (k + 2..).zip(&weights) {
        x.put(i, k, u);
        x.put(i, k + 1, v);
    }
}

/// The blocks of the diagonal from the top: the first row, whether it is a block of two, and the row it was exchanged with.
fn blocks<T: Field>(swaps: &[T], n: usize) -> Result<Vec<(usize, bool, usize)>> {
    let (mut list, mut k) = (Vec::new(), 0);
    while k < n {
        let swap = swaps[k].re();
        let (mark, two) = (swap.abs() as usize, swap < 0.0);
        if mark == 0 || mark > n || two && k + 1 == n {
            return Err(Error::runtime("ldl_solve", format!("the pivot {swap} of row {k} is none of a matrix of {n} rows")));
        }
        list.push((k, two, mark - 1));
        k += 1 + usize::from(two);
    }
    Ok(list)
}

/// x of `a x = b` for a factored matrix of n rows and k right sides.
pub fn solve<T: Field>(list: &[T], swaps: &[T], right: &[T], n: usize, k: usize, hermitian: bool) -> Result<Vec<T>> {
    let mut x = right.to_vec();
    let exchange = |x: &mut [T], i: usize, j: usize| (0..k).filter(|_| i != j).for_each(|c| x.swap(i * k + c, j * k + c));
    let blocks = blocks(swaps, n)?;
    for &(row, two, with) in &blocks {
        let last = row + usize::from(two);
        exchange(&mut x, last, with);
        for i in last + 1..n {
            for from in row..=last {
                let f = list[i * n + from];
                (0..k).for_each(|c| {
                    let part = f * x[from * k + c];
                    x[i * k + c] -= part;
                });
            }
        }
        if !two {
            (0..k).for_each(|c| x[row * k + c] /= list[row * n + row]);
            continue;
        }
        let block = Block::of(list[row * n + row], list[last * n + row], list[last * n + last], hermitian);
        for c in 0..k {
            (x[row * k + c], x[last * k + c]) = block.solve(x[row * k + c], x[last * k + c]);
        }
    }
    for &(row, two, with) in blocks.iter().rev() {
        let last = row + usize::from(two);
        for to in row..=last {
            for i in last + 1..n {
                let f = flip(list[i * n + to], hermitian);
                (0..k).for_each(|c| {
                    let part = f * x[i * k + c];
                    x[to * k + c] -= part;
                });
            }
        }
        exchange(&mut x, last, with);
    }
    Ok(x)
}
