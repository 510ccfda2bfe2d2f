//! What is made of several views at once: split, chunk, unbind, stack, tile. Leans on ops.

use crate::base::{Error, Few, Result, shape};
use crate::graph::Tensor;
use crate::ops::{moves, view};

/// Elements `start..start + n` of one axis, as a view.
pub fn narrow(op: &str, x: &Tensor, axis: i64, start: i64, n: i64) -> Result<Tensor> {
    let sizes = x.shape();
    if sizes.is_empty() {
        return Err(Error::runtime(op, "a 0-d tensor has no axis to take a part of"));
    }
    let a = shape::axis(op, axis, sizes.len())?;
    let size = sizes[a] as i64;
    let first = if start < 0 { start + size } else { start };
    if start < -size || start > size || n < 0 || first + n > size {
        return Err(if start < -size || start > size {
            Error::index(op, format!("start {start} is out of range for axis {a} of size {size} (allowed: {} to {size})", -size))
        } else {
            Error::runtime(op, format!("{n} elements from {start} on reach past axis {a} of size {size}"))
        });
    }
    let mut starts = Few::filled(0i64, sizes.len());
    let mut wanted: Few<i64> = sizes.iter().map(|&s| s as i64).collect();
    starts[a] = first;
    wanted[a] = n;
    view::slice(x, starts, wanted, Few::filled(1i64, sizes.len()))
}

/// `x[index]` along an axis, which goes away.
pub fn select(x: &Tensor, axis: i64, index: i64) -> Result<Tensor> {
    view::select(x, axis, index).map_err(|e| e.named("index"))
}

/// Parts of the sizes given along an axis.
pub fn split(op: &str, x: &Tensor, sizes: &[i64], axis: i64) -> Result<Vec<Tensor>> {
    let whole = x.shape();
    if whole.is_empty() {
        return Err(Error::runtime(op, "a 0-d tensor cannot be split"));
    }
    let a = shape::axis(op, axis, whole.len())?;
    if sizes.iter().any(|&s| s < 0) || sizes.iter().sum::<i64>() != whole[a] as i64 {
        return Err(Error::runtime(
            op,
            format!("the sizes {} must be at least 0 and add up to {}, the size of axis {a}", shape::show(sizes), whole[a]),
        ));
    }
    let mut start = 0;
    sizes
        .iter()
        .map(|&n| {
            let part = narrow(op, x, a as i64, start, n);
            start += n;
            part
        })
        .collect()
}

/// Parts of one size along an axis; the last may be smaller.
pub fn split_by(op: &str, x: &Tensor, size: i64, axis: i64) -> Result<Vec<Tensor>> {
    let whole = x.shape();
    let a = shape::axis(op, axis, whole.len())?;
    let n = whole.get(a).copied().unwrap_or(1) as i64;
    if size < 0 || size == 0 && n > 0 {
        return Err(Error::runtime(op, format!("the size of a part must be positive, got {size}")));
    }
    let mut sizes = vec![size; if size > 0 { (n / size) as usize } else { 1 }];
    if size > 0 && (n % size > 0 || n == 0) {
        sizes.push(n % size);
    }
    split(op, x, &sizes, axis)
}

/// At most `chunks` parts of one size.
pub fn chunk(x: &Tensor, chunks: i64, axis: i64) -> Result<Vec<Tensor>> {
    if chunks <= 0 {
        return Err(Error::runtime("chunk", format!("the number of chunks must be positive, got {chunks}")));
    }
    let whole = x.shape();
    if whole.is_empty() {
        return Err(Error::runtime("chunk", "a 0-d tensor cannot be cut into chunks"));
    }
    let n = whole[shape::axis("chunk", axis, whole.len())?] as i64;
    if n == 0 {
        return split("chunk", x, &vec![0; chunks as usize], axis);
    }
    split_by("chunk", x, (n + chunks - 1) / chunks, axis)
}

/// Every position of an axis as a tensor of its own.
pub fn unbind(x: &Tensor, axis: i64) -> Result<Vec<Tensor>> {
    let whole = x.shape();
    if whole.is_empty() {
        return Err(Error::index("unbind", "a 0-d tensor has no axis to go over"));
    }
    let a = shape::axis("unbind", axis, whole.len())?;
    (0..whole[a] as i64).map(|i| select(x, a as i64, i)).collect()
}

/// Tensors of one shape joined along a new axis.
pub fn stack(list: &[&Tensor], axis: i64) -> Result<Tensor> {
    let Some(first) = list.first() else {
        return Err(Error::runtime("stack", "needs at least one tensor, got an empty list"));
    };
    let own = first.shape();
    let at = shape::axis("stack", axis, own.len() + 1)? as i64;
    let mut wide = Vec::with_capacity(list.len());
    for (i, t) in list.iter().enumerate() {
        if t.shape() != own {
            return Err(Error::shape(
                "stack",
                format!(
                    "element {i} of shape {} does not fit the first of shape {}: all shapes must be equal",
                    shape::show(&t.shape()),
                    shape::show(&own)
                ),
            ));
        }
        wide.push(view::unsqueeze(*t, at)?);
    }
    moves::cat(&wide.iter().collect::<Vec<_>>(), at)
}

/// The axes named moved to the places named.
pub fn move_axes(x: &Tensor, from: &[i64], to: &[i64]) -> Result<Tensor> {
    let rank = x.rank();
    if from.len() != to.len() {
        return Err(Error::runtime("movedim", format!("{} axes cannot go to {} places", from.len(), to.len())));
    }
    let place = |list: &[i64]| list.iter().map(|&a| shape::axis("movedim", a, rank)).collect::<Result<Vec<_>>>();
    let (from, to) = (place(from)?, place(to)?);
    let twice = |list: &[usize]| list.iter().enumerate().any(|(i, a)| list[..i].contains(a));
    if twice(&from) || twice(&to) {
        return Err(Error::runtime("movedim", "an axis appears more than once"));
    }
    let mut order: Vec<Option<usize>> = vec![None; rank];
    from.iter().zip(&to).for_each(|(&f, &t)| {
        if rank > 0 {
            order[t] = Some(f)
        }
    });
    let mut rest = (0..rank).filter(|a| !from.contains(a));
    let order: Vec<i64> = order.into_iter().map(|o| o.or_else(|| rest.next()).unwrap_or(0) as i64).collect();
    view::permute(x, &order[..])
}
