//! Windows on images: unfolding, folding back, and the largest of each window. Leans on view and backend's windows family.

use super::parts::{fold_parts, unfold_parts};
use super::view::{one, operand};
use crate::backend::launch::{Geometry, Span};
use crate::backend::{Launch, Operand, of};
use crate::base::{DType, Error, Few, Number, Result, shape};
use crate::graph::{Arg, Call, Grads, Meta, Metas, Pull, Sym};
use smallvec::smallvec;

crate::op! {
    /// The windows of images (n, c, sizes...) as (n, c, kernel..., places...), 0 outside.
    unfold_windows(input; kernel: Ints, stride: Ints, padding: Ints, dilation: Ints) Any {
        kernel(unfold_meta, unfold_run);
        vjp |g, [x], _y| [g.fold_windows(&x.shape()[2..], kernel, stride, padding, dilation)];
        complex unfold_parts;
        linear Together;
        face hidden;
    }
    /// Windows (n, c, kernel..., places...) summed back into images of the sizes given.
    fold_windows(input; size: Ints, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints) Any {
        kernel(fold_meta, fold_run);
        vjp |g, [_x], _y| [g.unfold_windows(kernel, stride, padding, dilation)];
        complex fold_parts;
        linear Together;
        face hidden;
    }
    /// The largest element of each window of (n, c, sizes...) and its place in the flattened sizes. `starts` and `counts`
    /// list the windows of every axis one axis after the other, `places` says how many each axis has.
    pool_windows(input; places: Ints, starts: Ints, counts: Ints, dilation: Ints) Any {
        kernel(pool_meta, pool_run);
        rule pool_back;
        face hidden;
    }
    /// `pool_windows` undone: values at their places in images of the sizes given, 0 elsewhere. The windows are told as
    /// `pool_windows` is told of them, `spots` being how many each axis has.
    unpool_windows(input, places; size: Ints, spots: Ints, starts: Ints, counts: Ints, dilation: Ints) Any {
        kernel(unpool_meta, unpool_run);
        rule unpool_back;
        face hidden;
    }
    /// The means of windows of (n, c, sizes...), `places` of them along each axis. A window's divisor is the number of
    /// its positions, those in the padding among them with `include`, or the one given.
    mean_windows(input; places: Ints, kernel: Ints, stride: Ints, padding: Ints, include: Bool, divisor: MaybeNumber) Real {
        kernel(mean_meta, mean_run);
        vjp |g, [x], _y| [g.spread_means(&x.shape()[2..], kernel, stride, padding, include, divisor_of(divisor))];
        linear Together;
        face hidden;
    }
    /// Its transpose: means spread back over their windows in images of the sizes given.
    spread_means(input; size: Ints, kernel: Ints, stride: Ints, padding: Ints, include: Bool, divisor: MaybeNumber) Real {
        kernel(mean_meta, spread_run);
        vjp |g, [y], _x| [g.mean_windows(&y.shape()[2..], kernel, stride, padding, include, divisor_of(divisor))];
        linear Together;
        face hidden;
    }
}

pub fn geometry(args: &[Arg]) -> Geometry {
    let counts = |i: usize| args[i].ints().iter().map(|&v| v.max(0) as usize).collect();
    Geometry { kernel: counts(0), stride: counts(1), padding: args[2].ints().iter().map(|&v| v as isize).collect(), dilation: counts(3) }
}

/// How many places a window has along each axis of an image.
pub fn places(op: &str, sizes: &[usize], g: &Geometry) -> Result<Vec<usize>> {
    let d = g.kernel.len();
    if [sizes.len(), g.stride.len(), g.padding.len(), g.dilation.len()] != [d; 4] {
        return Err(Error::runtime(op, format!("needs one kernel size, stride, padding and dilation for each of {} axes", sizes.len())));
    }
    (0..d)
        .map(|i| {
            let (reach, room) = (g.dilation[i] * g.kernel[i].saturating_sub(1) + 1, sizes[i] as isize + 2 * g.padding[i]);
            if g.stride[i] == 0 || g.dilation[i] == 0 || g.kernel[i] == 0 || room < reach as isize {
                return Err(Error::runtime(
                    op,
                    format!(
                        "a kernel of {} (dilation {}, stride {}) does not fit an axis of size {} with padding {}",
                        g.kernel[i], g.dilation[i], g.stride[i], sizes[i], g.padding[i]
                    ),
                ));
            }
            Ok((room as usize - reach) / g.stride[i] + 1)
        })
        .collect()
}

fn unfold_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let x = one(ins);
    let g = geometry(args);
    if x.shape.len() != 2 + g.kernel.len() {
        return Err(Error::shape("unfold", format!("needs (n, c, sizes...) with {} sizes, got {}", g.kernel.len(), shape::show(&x.shape))));
    }
    let at = places("unfold", &x.shape[2..], &g)?;
    let out: Few<usize> = x.shape[..2].iter().chain(&g.kernel).chain(&at).copied().collect();
    shape::count("unfold", &out)?;
    Ok(smallvec![Meta { shape: out, dtype: x.dtype }])
}

/// A row-major operand of the same elements.
pub fn flat(x: &Operand) -> Result<Operand> {
    if x.layout.is_contiguous() {
        return Ok(x.clone());
    }
    let backend = of(&x.storage);
    let copy = Operand::new(backend, &x.layout.shape, x.dtype)?;
    backend.launch(&Launch::Copy { src: x, dst: &copy })?;
    Ok(copy)
}

fn unfold_run(call: &Call) -> Result<()> {
    let x = flat(operand(call, 0)?)?;
    of(&x.storage).launch(&Launch::Windows { image: &x, columns: &call.outs[0], geometry: &geometry(call.args), back: false })
}

fn fold_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let x = one(ins);
    let g = geometry(&args[1..]);
    let sizes: Vec<usize> = args[0].ints().iter().map(|&s| s.max(0) as usize).collect();
    let at = places("fold", &sizes, &g)?;
    if x.shape.len() != 2 + 2 * at.len() || x.shape[2..] != [&g.kernel[..], &at].concat()[..] {
        return Err(Error::shape(
            "fold",
            format!(
                "columns of shape {} do not fit kernels {:?} at {at:?} places of an image of {sizes:?}",
                shape::show(&x.shape),
                g.kernel
            ),
        ));
    }
    Ok(smallvec![Meta { shape: x.shape[..2].iter().chain(&sizes).copied().collect(), dtype: x.dtype }])
}

fn fold_run(call: &Call) -> Result<()> {
    let x = flat(operand(call, 0)?)?;
    of(&x.storage).launch(&Launch::Windows { image: &call.outs[0], columns: &x, geometry: &geometry(&call.args[1..]), back: true })
}

fn pool_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let x = one(ins);
    let at = args[0].ints();
    let d = at.len();
    let total: i64 = at.iter().sum();
    let lists = [args[1].ints().len() as i64, args[2].ints().len() as i64];
    if x.shape.len() != 2 + d || lists != [total; 2] || args[3].ints().len() != d {
        return Err(Error::shape("max_pool", format!("needs (n, c, sizes...) with {d} sizes, got {}", shape::show(&x.shape))));
    }
    let out: Few<usize> = x.shape[..2].iter().copied().chain(at.iter().map(|&n| n.max(0) as usize)).collect();
    Ok(smallvec![Meta { shape: out.clone(), dtype: x.dtype }, Meta { shape: out, dtype: DType::I64 }])
}

fn pool_run(call: &Call) -> Result<()> {
    let x = operand(call, 0)?;
    with_spans(call.args, |spans| of(&x.storage).launch(&Launch::Pool { input: x, spans, values: &call.outs[0], places: &call.outs[1] }))
}

/// The windows of every axis, from the parameters that tell how many there are, their starts, counts and steps.
fn with_spans<T>(args: &[Arg], run: impl FnOnce(&[Span]) -> T) -> T {
    let (at, starts, counts, steps) = (args[0].ints(), args[1].ints(), args[2].ints(), args[3].ints());
    let (mut spans, mut first) = (Vec::new(), 0);
    for (i, &n) in at.iter().enumerate() {
        let end = first + n as usize;
        spans.push(Span { starts: &starts[first..end], counts: &counts[first..end], step: steps[i] });
        first = end;
    }
    run(&spans)
}

fn unpool_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let x = one(ins);
    let sizes = args[0].ints();
    let places = ins.get(1).and_then(Option::as_ref);
    if x.shape.len() != sizes.len() + 2 || places.is_none_or(|p| p.shape != x.shape || p.dtype != DType::I64) {
        return Err(Error::bug("max_pool", "values and their places were promised"));
    }
    let shape = x.shape[..2].iter().copied().chain(sizes.iter().map(|&n| n.max(0) as usize)).collect();
    Ok(smallvec![Meta { shape, dtype: x.dtype }])
}

fn unpool_run(call: &Call) -> Result<()> {
    let (values, places) = (flat(operand(call, 0)?)?, flat(operand(call, 1)?)?);
    with_spans(&call.args[1..], |spans| {
        of(&values.storage).launch(&Launch::Unpool { values: &values, places: &places, spans, out: &call.outs[0] })
    })
}

/// Each of `(n, c, ...)` as a row.
fn rows(t: &Sym) -> Sym {
    let shape = t.shape();
    t.reshape([shape[0] as i64, shape[1] as i64, shape[2..].iter().product::<usize>() as i64])
}

fn unpool_back(pull: &Pull) -> Grads {
    let (g, at) = (pull.grad(), &pull.ins[1]);
    [Some(rows(g).gather(&rows(at), 2i64).reshape(&at.shape())), None].into_iter().collect()
}

fn divisor_of(divisor: Option<Number>) -> Arg {
    divisor.map_or(Arg::None, Arg::Number)
}

fn mean_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let x = one(ins);
    let d = args[0].ints().len();
    if x.shape.len() != 2 + d || (1..4).any(|i| args[i].ints().len() != d) || d == 0 {
        return Err(Error::shape("avg_pool", format!("needs (n, c, sizes...) with {d} sizes, got {}", shape::show(&x.shape))));
    }
    let shape: Few<usize> = x.shape[..2].iter().copied().chain(args[0].ints().iter().map(|&n| n.max(0) as usize)).collect();
    shape::count("avg_pool", &shape)?;
    Ok(smallvec![Meta { shape, dtype: x.dtype }])
}

fn average(call: &Call, back: bool) -> Result<()> {
    let (x, out) = (flat(operand(call, 0)?)?, &call.outs[0]);
    let counts = |i: usize| call.args[i].ints().iter().map(|&v| v.max(1) as usize).collect::<Vec<_>>();
    let padding = call.args[3].ints().iter().map(|&v| v.max(0) as isize).collect::<Vec<_>>();
    let g = Geometry { kernel: counts(1), stride: counts(2), dilation: vec![1; padding.len()], padding };
    let divisor = (call.args[5].number().map(Number::as_f64), matches!(call.args[4], Arg::Bool(true)));
    let (image, means) = if back { (out, &x) } else { (&x, out) };
    of(&x.storage).launch(&Launch::Average { image, means, geometry: &g, divisor, back })
}

fn mean_run(call: &Call) -> Result<()> {
    average(call, false)
}

fn spread_run(call: &Call) -> Result<()> {
    average(call, true)
}

fn pool_back(pull: &Pull) -> Grads {
    let (x, at) = (&pull.ins[0], &pull.outs[1]);
    let Some(g) = &pull.grads[0] else { return [None].into_iter().collect() };
    super::view::reads(&[at]);
    let shape = x.shape();
    if x.numel() == 0 || g.numel() == 0 {
        return [Some(super::view::zeros_like(x))].into_iter().collect();
    }
    let args = |i: usize| pull.args[i].clone();
    [Some(g.unpool_windows(at, &shape[2..], args(0), args(1), args(2), args(3)))].into_iter().collect()
}
