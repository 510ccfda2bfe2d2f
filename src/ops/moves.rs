//! Copies that only move elements: joined, turned, repeated, cut to a triangle. Leans on view.

use super::view::{compact, expand, one, operand, reshape, zeros_like};
use crate::backend::{Launch, of};
use crate::base::{Error, Few, Result, shape};
use crate::graph::{Arg, Call, Grads, Meta, Metas, Pull, Sym, Tensor};
use smallvec::smallvec;

crate::op! {
    /// Tensors joined along an axis that they have.
    ///
    /// >>> schuss.cat((schuss.tensor([1, 2]), schuss.tensor([3])))
    /// tensor([1, 2, 3])
    cat(tensors: List; dim: Axis = Arg::Int(0)) Any {
        kernel(cat_meta, cat_run);
        rule cat_back;
        complex Yes;
        linear Together;
        batch shift;
        face function;
    }
    /// The elements along some axes in reverse order, as a copy.
    ///
    /// >>> schuss.tensor([1, 2, 3]).flip(0)
    /// tensor([3, 2, 1])
    flip(input; dims: Ints) Any {
        kernel(flip_meta, flip_run);
        vjp |g, [_x], _y| [g.flip(dims)];
        complex Yes;
        linear Together;
        batch flipped;
    }
    /// The input repeated along each axis, as a copy.
    ///
    /// >>> schuss.tensor([1, 2]).repeat(2, 2)
    /// tensor([[1, 2, 1, 2],
    ///         [1, 2, 1, 2]])
    repeat(input; repeats: Ints) Any { inline(repeat_inline); face method; }
    /// The part on and below a diagonal of the last two axes; zeros above.
    ///
    /// >>> schuss.ones(2, 2).tril()
    /// tensor([[1., 0.],
    ///         [1., 1.]])
    tril(input; diagonal: Int = Arg::Int(0)) Any {
        kernel(triangle_meta, tril_run);
        vjp |g, [_x], _y| [g.tril(diagonal)];
        complex Yes;
        linear Together;
        batch lead;
    }
    /// The part on and above a diagonal of the last two axes; zeros below.
    ///
    /// >>> schuss.ones(2, 2).triu()
    /// tensor([[1., 1.],
    ///         [0., 1.]])
    triu(input; diagonal: Int = Arg::Int(0)) Any {
        kernel(triangle_meta, triu_run);
        vjp |g, [_x], _y| [g.triu(diagonal)];
        complex Yes;
        linear Together;
        batch lead;
    }
}

/// An old kindness of PyTorch: a 1-d tensor without elements fits everywhere.
fn is_nothing(shape: &[usize]) -> bool {
    shape == [0]
}

fn cat_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let list: Vec<&Meta> = ins.iter().flatten().collect();
    let Some(first) = list.iter().find(|m| !is_nothing(&m.shape)).or(list.first()) else {
        return Err(Error::value("cat", "needs at least one tensor, got an empty list"));
    };
    if let Some(i) = list.iter().position(|m| m.shape.is_empty()) {
        return Err(Error::runtime("cat", format!("element {i} is a 0-d tensor, which cannot be joined; use stack, or x.reshape(1)")));
    }
    let axis = shape::axis("cat", args[0].int().unwrap_or(0), first.shape.len())?;
    let (mut out, mut dtype) = (first.shape.clone(), list[0].dtype);
    out[axis] = 0;
    for (i, m) in list.iter().enumerate() {
        dtype = dtype.promote(m.dtype);
        if is_nothing(&m.shape) && first.shape.len() != 1 {
            continue;
        }
        let fits = m.shape.len() == out.len() && (0..out.len()).all(|i| i == axis || m.shape[i] == out[i]);
        if !fits {
            return Err(Error::shape(
                "cat",
                format!(
                    "element {i} of shape {} does not fit the first of shape {}: all sizes but that of axis {axis} must be equal",
                    shape::show(&m.shape),
                    shape::show(&first.shape)
                ),
            ));
        }
        out[axis] = out[axis].checked_add(m.shape[axis]).ok_or_else(|| Error::shape("cat", "more elements than can be counted"))?;
    }
    Ok(smallvec![Meta { shape: out, dtype }])
}

fn cat_run(call: &Call) -> Result<()> {
    let out = &call.outs[0];
    let axis = shape::axis("cat", call.args[0].int().unwrap_or(0), out.layout.rank())?;
    let mut start = 0;
    for x in call.ins.iter().flatten() {
        if is_nothing(&x.layout.shape) {
            continue;
        }
        let n = x.layout.shape[axis];
        let part = out.view(out.layout.slice(axis, start, n, 1));
        of(&out.storage).launch(&Launch::Copy { src: x, dst: &part })?;
        start += n;
    }
    Ok(())
}

fn cat_back(pull: &Pull) -> Grads {
    let g = pull.grad();
    let rank = g.rank();
    let axis = crate::graph::sym::must(shape::axis("cat", pull.args[0].int().unwrap_or(0), rank));
    let mut start = 0i64;
    let mut grads = Grads::new();
    for (i, x) in pull.ins.iter().enumerate() {
        let shape = x.shape();
        if is_nothing(&shape) && rank != 1 {
            grads.push(pull.needs.has(i).then(|| zeros_like(x)));
            continue;
        }
        let n = shape[axis] as i64;
        grads.push(pull.needs.has(i).then(|| {
            let mut starts = Few::filled(0i64, rank);
            starts[axis] = start;
            g.slice(starts, &shape, Few::filled(1i64, rank))
        }));
        start += n;
    }
    grads
}

fn flip_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let x = one(ins);
    for &d in args[0].ints().iter() {
        shape::axis("flip", d, x.shape.len())?;
    }
    let mut seen: Vec<usize> = args[0].ints().iter().map(|&d| if d < 0 { d + x.shape.len() as i64 } else { d } as usize).collect();
    seen.sort_unstable();
    if seen.windows(2).any(|w| w[0] == w[1]) {
        return Err(Error::runtime("flip", format!("an axis appears more than once in {}", shape::show(&args[0].ints()))));
    }
    Ok(smallvec![x])
}

fn flip_run(call: &Call) -> Result<()> {
    let x = operand(call, 0)?;
    let mut layout = x.layout.clone();
    for &d in call.args[0].ints().iter() {
        let d = shape::axis("flip", d, layout.rank())?;
        if layout.rank() > 0 && layout.shape[d] > 0 {
            layout = layout.slice(d, layout.shape[d] - 1, layout.shape[d], -1);
        }
    }
    of(&x.storage).launch(&Launch::Copy { src: &x.view(layout), dst: &call.outs[0] })
}

fn repeat_inline(ins: &[Option<Sym>], args: &[Arg]) -> Result<Vec<Tensor>> {
    let x = ins[0].as_ref().map_or(&Sym::Absent, |x| x).tensor();
    let (times, shape) = (args[0].ints(), x.shape());
    if times.len() < shape.len() {
        return Err(Error::runtime(
            "repeat",
            format!("{} counts for a tensor of shape {}; give at least one for each axis", times.len(), crate::base::shape::show(&shape)),
        ));
    }
    if let Some(bad) = times.iter().find(|&&t| t < 0) {
        return Err(Error::runtime("repeat", format!("the count {bad} is negative")));
    }
    // (n, m) becomes (1, n, 1, m), grows to (r, n, s, m), and is closed again to (r n, s m).
    let lead = times.len() - shape.len();
    let (mut open, mut grown, mut closed) = (Vec::new(), Vec::new(), Vec::new());
    for (i, &t) in times.iter().enumerate() {
        let n = if i < lead { 1 } else { shape[i - lead] as i64 };
        open.extend([1, n]);
        grown.extend([t, n]);
        closed.push(t.checked_mul(n).ok_or_else(|| Error::shape("repeat", "more elements than can be counted"))?);
    }
    Ok(vec![reshape(&compact(&expand(&reshape(x, &open[..])?, &grown[..])?)?, &closed[..])?])
}

fn triangle_meta(ins: &[Option<Meta>], _args: &[Arg]) -> Result<Metas> {
    let x = one(ins);
    if x.shape.len() < 2 {
        return Err(Error::runtime("", format!("needs at least two axes, got shape {}", shape::show(&x.shape))));
    }
    Ok(smallvec![x])
}

fn triangle(call: &Call, lower: bool) -> Result<()> {
    let (x, out) = (operand(call, 0)?, &call.outs[0]);
    let backend = of(&x.storage);
    backend.launch(&Launch::Copy { src: x, dst: out })?;
    let rank = out.layout.rank();
    let (rows, columns) = (out.layout.shape[rank - 2], out.layout.shape[rank - 1]);
    let diagonal = call.args[0].int().unwrap_or(0);
    for r in 0..rows {
        // The first column above the diagonal of this row.
        let edge = (r as i64 + diagonal + i64::from(lower)).clamp(0, columns as i64) as usize;
        let (start, n) = if lower { (edge, columns - edge) } else { (0, edge) };
        if n > 0 {
            let row = out.view(out.layout.slice(rank - 2, r, 1, 1).slice(rank - 1, start, n, 1));
            backend.launch(&Launch::Fill { dst: &row, value: 0i64.into() })?;
        }
    }
    Ok(())
}

fn tril_run(call: &Call) -> Result<()> {
    triangle(call, true)
}

fn triu_run(call: &Call) -> Result<()> {
    triangle(call, false)
}
