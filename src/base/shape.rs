//! Sizes: broadcasting, axes, counting without overflow, and how a shape is written in a message. Leans on few and error.

use super::{Error, Few, Result};

pub type Shape = Few<usize>;

/// A shape, or another list of integers, as Python writes a tuple: `(2, 3)`, `(3,)`, `()`.
pub fn show<N: ToString>(list: &[N]) -> String {
    match list {
        [one] => format!("({},)", one.to_string()),
        _ => format!("({})", list.iter().map(N::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// The positions that an axis of some size has, for a message about one that it has not.
pub fn allowed(size: usize) -> String {
    match size as i64 {
        0 => "the axis is empty".into(),
        n => format!("allowed: {} to {}", -n, n - 1),
    }
}

/// The number of elements, or an error where it passes what an index can say.
pub fn count(op: &str, shape: &[usize]) -> Result<usize> {
    if shape.contains(&0) {
        return Ok(0);
    }
    shape
        .iter()
        .try_fold(1usize, |n, &d| n.checked_mul(d).filter(|&n| n <= isize::MAX as usize))
        .ok_or_else(|| Error::shape(op, format!("the shape {} has more elements than can be counted; is a size wrong?", show(shape))))
}

/// The refusal of a position that an axis has not.
pub fn outside(op: &str, index: i64, axis: usize, sizes: &[usize]) -> Error {
    let size = sizes[axis];
    let whole = show(sizes);
    Error::index(
        op,
        format!("index {index} is out of range for axis {axis} of size {size} in a tensor of shape {whole} ({})", allowed(size)),
    )
}

/// The common shape of two operands under NumPy's rule of broadcasting.
pub fn broadcast(op: &str, a: &[usize], b: &[usize]) -> Result<Shape> {
    if a == b {
        return Ok(Shape::from(a));
    }
    let rank = a.len().max(b.len());
    let mut out = Shape::filled(1, rank);
    for i in 0..rank {
        let x = if i < rank - a.len() { 1 } else { a[i + a.len() - rank] };
        let y = if i < rank - b.len() { 1 } else { b[i + b.len() - rank] };
        out[i] = if x == y || y == 1 {
            x
        } else if x == 1 {
            y
        } else {
            return Err(Error::shape(
                op,
                format!(
                    "the shapes {} and {} do not broadcast: sizes {x} and {y} differ at axis {} from the end (each must be equal or 1)",
                    show(a),
                    show(b),
                    rank - i
                ),
            ));
        };
    }
    Ok(out)
}

/// An axis that may count from the end, as a position; a 0-d tensor takes 0 and -1 as PyTorch does.
pub fn axis(op: &str, axis: i64, rank: usize) -> Result<usize> {
    let span = rank.max(1) as i64;
    if axis < -span || axis >= span {
        return Err(Error::index(
            op,
            format!("axis {axis} is out of range for a tensor of {rank} axes (expected {} to {})", -span, span - 1),
        ));
    }
    Ok(if axis < 0 { axis + span } else { axis } as usize)
}

/// Several axes as sorted positions; an empty list means all. Repeats are refused.
pub fn axes(op: &str, list: &[i64], rank: usize) -> Result<Few<usize>> {
    if list.is_empty() {
        return Ok((0..rank).collect());
    }
    let mut out: Few<usize> = Few::new();
    for &a in list {
        let a = axis(op, a, rank)?;
        if out.contains(&a) {
            return Err(Error::runtime(op, format!("axis {a} appears more than once in the list of axes {}", show(list))));
        }
        out.push(a);
    }
    out.sort_unstable();
    if rank == 0 {
        out = Few::new();
    }
    Ok(out)
}

/// A size list with at most one -1 in it, filled in from the number of elements.
pub fn infer(op: &str, sizes: &[i64], have: &[usize]) -> Result<Shape> {
    let numel: usize = have.iter().product();
    let (mut known, mut hole) = (1usize, None);
    for (i, &s) in sizes.iter().enumerate() {
        if s == -1 {
            if hole.replace(i).is_some() {
                return Err(Error::runtime(op, format!("only one size can be -1, got {}", show(sizes))));
            }
        } else if s < 0 {
            return Err(Error::runtime(op, format!("the size {s} at position {i} is negative; only -1 (to be worked out) is")));
        } else {
            known = known.checked_mul(s as usize).ok_or_else(|| {
                Error::shape(op, format!("the shape {} has more elements than can be counted; is a size wrong?", show(sizes)))
            })?;
        }
    }
    let refuse = || Error::shape(op, format!("the shape {} does not hold the {numel} elements of {}", show(sizes), show(have)));
    let mut out: Shape = sizes.iter().map(|&s| s.max(0) as usize).collect();
    if let Some(i) = hole {
        if known == 0 {
            return Err(Error::shape(op, format!("the -1 in {} cannot be worked out beside a size of 0; write it out", show(sizes))));
        }
        if !numel.is_multiple_of(known) {
            return Err(refuse());
        }
        out[i] = numel / known;
    } else if known != numel {
        return Err(refuse());
    }
    Ok(out)
}
