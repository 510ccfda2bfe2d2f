//! Products of matrices of complex numbers, as products of reals. Leans on contract and copy.

use super::stream::Gpu;
use super::{contract, copy};
use crate::backend::launch::Operand;
use crate::base::{Few, Layout, Result};

/// The real parts, or the imaginary ones.
fn part(x: &Operand, which: usize) -> Operand {
    let strides = x.layout.strides.iter().map(|s| s * 2).collect();
    let layout = Layout::new(x.layout.shape.clone(), strides, x.layout.offset * 2 + which);
    Operand { storage: x.storage.clone(), layout, dtype: x.dtype.real() }
}

/// An operand whose rows are dense, as reals.
fn reals(x: &Operand) -> Operand {
    let last = x.layout.rank() - 1;
    let mut shape = x.layout.shape.clone();
    shape[last] *= 2;
    let strides = x.layout.strides.iter().enumerate().map(|(i, s)| if i == last { 1 } else { s * 2 }).collect();
    Operand { storage: x.storage.clone(), layout: Layout::new(shape, strides, x.layout.offset * 2), dtype: x.dtype.real() }
}

fn is_dense(x: &Operand) -> bool {
    let last = x.layout.rank() - 1;
    x.layout.strides[last] == 1 || x.layout.shape[last] == 1
}

/// Of a matrix that all of a batch share, one.
fn single(x: &Operand) -> Operand {
    if x.layout.rank() > 2 && x.layout.strides[0] == 0 { x.view(x.layout.slice(0, 0, 1, 1)) } else { x.clone() }
}

/// As many matrices as there are in a batch.
fn shared(x: Operand, batch: usize) -> Result<Operand> {
    if x.layout.rank() < 3 || x.layout.shape[0] == batch {
        return Ok(x);
    }
    let shape: Few<usize> = [batch].into_iter().chain(x.layout.shape[1..].iter().copied()).collect();
    Ok(x.view(x.layout.broadcast_to("matmul", &shape)?))
}

/// `out = a @ b`: each number of `b` becomes two rows, itself and i times itself, which the parts of `a` along a row meet in
/// turn.
pub fn product(gpu: &Gpu, a: &Operand, b: &Operand, out: &Operand) -> Result<()> {
    for x in [a, b, out] {
        gpu.holds(x.dtype)?;
    }
    if out.numel() == 0 || a.numel() == 0 {
        return copy::fill(gpu, out, 0i64.into());
    }
    let left = if is_dense(a) {
        a.clone()
    } else {
        let own = single(a);
        let made = gpu.scratch(&own.layout.shape, a.dtype)?;
        copy::copy(gpu, &own, &made)?;
        shared(made, a.layout.shape[0])?
    };
    let own = single(b);
    let rank = own.layout.rank();
    let mut sizes = own.layout.shape.clone();
    sizes.insert(rank - 1, 2);
    let rows = gpu.scratch(&sizes, b.dtype)?;
    let row = |k: usize| {
        let one = rows.layout.slice(rank - 1, k, 1, 1);
        let drop = |list: &[isize]| list.iter().enumerate().filter(|(i, _)| *i != rank - 1).map(|(_, &s)| s).collect();
        rows.view(Layout::new(own.layout.shape.clone(), drop(&one.strides), one.offset))
    };
    copy::copy(gpu, &own, &row(0))?;
    copy::negate(gpu, &part(&own, 1), &part(&row(1), 0))?;
    copy::copy(gpu, &part(&own, 0), &part(&row(1), 1))?;
    let mut twice = own.layout.shape.clone();
    twice[rank - 2] *= 2;
    let right = shared(rows.view(Layout::contiguous(twice)), b.layout.shape[0])?;
    if is_dense(out) {
        return contract::run(gpu, &reals(&left), &reals(&right), &reals(out));
    }
    let made = gpu.scratch(&out.layout.shape, out.dtype)?;
    contract::run(gpu, &reals(&left), &reals(&right), &reals(&made))?;
    copy::copy(gpu, &made, out)
}
