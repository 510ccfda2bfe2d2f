//! What complex numbers need loops of their own for: products of many, running products, products of matrices.
//! Leans on convert, contract and num-complex; sums are taken of the parts, by the loops for reals.

use super::contract;
use super::convert::{self, Cursor};
use crate::backend::launch::Operand;
use crate::base::{DType, Layout, Result};
use num_complex::Complex;

type Z = Complex<f64>;

fn list_of(op: &Operand) -> Vec<Z> {
    let mut list = vec![Z::default(); op.numel()];
    convert::read_all(op, &Cursor::new(&op.layout), &mut list);
    list
}

/// The product over the last axes of each row.
pub fn product(input: &Operand, folded: usize, out: &Operand) {
    let kept = input.layout.rank() - folded;
    let count: usize = input.layout.shape[kept..].iter().product();
    let list = list_of(input);
    let one = Z::new(1.0, 0.0);
    let rows: Vec<Z> = (0..out.numel()).map(|r| list[r * count..(r + 1) * count].iter().fold(one, |a, z| a * z)).collect();
    // The rows are the result's elements in order, whatever axes of size 1 it kept.
    convert::write_all(&rows, &out.view(flat(&out.layout)));
}

fn flat(x: &Layout) -> Layout {
    x.reshape(&[x.numel()]).unwrap_or_else(|| x.clone())
}

/// The running product along the last axis.
pub fn running(input: &Operand, out: &Operand) {
    let n = input.layout.shape.last().copied().unwrap_or(1).max(1);
    let mut list = list_of(input);
    for row in list.chunks_exact_mut(n) {
        for i in 1..n {
            row[i] *= row[i - 1];
        }
    }
    convert::write_all(&list, out);
}

/// Rows, columns and batch of an operand's last axes.
fn steps(op: &Operand) -> (usize, usize, usize) {
    let (shape, r) = (&op.layout.shape, op.layout.rank());
    (if r > 2 { shape[0] } else { 1 }, shape[r - 2], shape[r - 1])
}

/// `out = a @ b` as one product of reals: each number of `b` becomes two rows, itself and i times itself, so that the parts
/// of `a` along a row meet them in turn.
pub fn matmul(a: &Operand, b: &Operand, out: &Operand) -> Result<()> {
    let real = out.dtype.real();
    let ((batch_a, m, k), (batch_b, _, n)) = (steps(a), steps(b));
    let fresh = |shape: &[usize]| Operand::new(&super::Cpu, shape, real);
    let ranks = if out.layout.rank() > 2 { 3 } else { 2 };
    let whole = |batch: usize, rows: usize, columns: usize| -> Vec<usize> {
        if ranks == 3 { vec![batch, rows, columns] } else { vec![rows, columns] }
    };
    let side = |x: &Operand| x.layout.rank() > 2 && x.layout.strides[0] == 0;
    // The left side read as reals, where a row's numbers lie side by side.
    let r = a.layout.rank();
    let left = if a.layout.strides[r - 1] == 1 || k == 1 {
        let mut l = a.layout.clone();
        l.shape[r - 1] *= 2;
        let strides = l.strides.iter().enumerate().map(|(i, s)| if i == r - 1 { 1 } else { s * 2 }).collect();
        Operand { storage: a.storage.clone(), layout: Layout::new(l.shape, strides, a.layout.offset * 2), dtype: real }
    } else {
        let one = side(a);
        let rows = Operand::new(&super::Cpu, &whole(if one { 1 } else { batch_a }, m, k), a.dtype)?;
        let from = if one { a.view(a.layout.slice(0, 0, 1, 1)) } else { a.clone() };
        convert::copy(&from, &rows)?;
        let made = Layout::contiguous(whole(if one { 1 } else { batch_a }, m, 2 * k)[..].into());
        let made = if one { made.broadcast_to("matmul", &[batch_a, m, 2 * k])? } else { made };
        Operand { storage: rows.storage, layout: made, dtype: real }
    };
    let one = side(b);
    let count = if one { 1 } else { batch_b };
    let right = fresh(&whole(count, 2 * k, 2 * n))?;
    let from = if one { b.view(b.layout.slice(0, 0, 1, 1)) } else { b.clone() };
    if out.dtype == DType::C64 {
        spread::<f32>(&from, &right, n)
    } else {
        spread::<f64>(&from, &right, n)
    }
    let right = if one { right.view(right.layout.broadcast_to("matmul", &[batch_b, 2 * k, 2 * n])?) } else { right };
    let o = out.layout.rank();
    if out.layout.strides[o - 1] == 1 || n == 1 {
        let strides = out.layout.strides.iter().enumerate().map(|(i, s)| if i == o - 1 { 1 } else { s * 2 }).collect();
        let mut shape = out.layout.shape.clone();
        shape[o - 1] *= 2;
        let into = Operand { storage: out.storage.clone(), layout: Layout::new(shape, strides, out.layout.offset * 2), dtype: real };
        return contract::run(&left, &right, &into);
    }
    let dense = Operand::new(&super::Cpu, &out.layout.shape, out.dtype)?;
    let mut shape = out.layout.shape.clone();
    shape[o - 1] *= 2;
    contract::run(&left, &right, &Operand { storage: dense.storage.clone(), layout: Layout::contiguous(shape), dtype: real })?;
    convert::copy(&dense, out)
}

/// Writes each row of complex numbers as two rows of reals.
fn spread<T>(from: &Operand, to: &Operand, n: usize)
where
    Complex<T>: crate::base::dtype::Element,
    T: Copy + std::ops::Neg<Output = T>,
{
    let mut list = vec![Complex::<T>::default(); from.numel()];
    convert::read_all(from, &Cursor::new(&from.layout), &mut list);
    let base = to.ptr().cast::<T>();
    for (i, row) in list.chunks_exact(n.max(1)).enumerate() {
        for (j, z) in row.iter().enumerate() {
            // SAFETY: the target has two rows of twice as many reals for each row of complex numbers.
            unsafe {
                let at = base.add(4 * i * n + 2 * j);
                *at = z.re;
                *at.add(1) = z.im;
                *at.add(2 * n) = -z.im;
                *at.add(2 * n + 1) = z.re;
            }
        }
    }
}
