//! Windows on images: convolutions of one, two and three axes, unfolding, and the largest of each window. Leans on linear
//! and backend's windows family.

use super::view::{one, operand};
use crate::backend::launch::{Geometry, Span};
use crate::backend::{Launch, Operand, of};
use crate::base::{DType, Error, Few, Result, shape};
use crate::graph::{Arg, Call, Grads, Meta, Metas, Pull, Sym, Tensor};
use smallvec::smallvec;

crate::op! {
    /// The windows of images (n, c, sizes...) as (n, c, kernel..., places...), 0 outside.
    unfold_windows(input; kernel: Ints, stride: Ints, padding: Ints, dilation: Ints) Any {
        kernel(unfold_meta, unfold_run);
        vjp |g, [x], _y| [g.fold_windows(&x.shape()[2..], kernel, stride, padding, dilation)];
        linear Together;
        face hidden;
    }
    /// Windows (n, c, kernel..., places...) summed back into images of the sizes given.
    fold_windows(input; size: Ints, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints) Any {
        kernel(fold_meta, fold_run);
        vjp |g, [_x], _y| [g.unfold_windows(kernel, stride, padding, dilation)];
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
    /// The cross-correlation of images (n, c, sizes...) with kernels (out, c / groups, sizes...).
    convolution(input, weight, bias: Maybe; stride: Ints, padding: Ints, dilation: Ints, groups: Int) Any {
        inline(convolution_inline);
        rule convolution_back;
        batch convolved;
        face hidden;
    }
    /// The transpose of `convolution` as a map of images: the gradient of a convolution in its input, as an operation.
    convolution_transpose(input, weight, bias: Maybe; stride: Ints, padding: Ints, output_padding: Ints, dilation: Ints, groups: Int) Any {
        inline(transpose_inline);
        face hidden;
    }
}

fn geometry(args: &[Arg]) -> Geometry {
    let counts = |i: usize| args[i].ints().iter().map(|&v| v.max(0) as usize).collect();
    Geometry { kernel: counts(0), stride: counts(1), padding: args[2].ints().iter().map(|&v| v as isize).collect(), dilation: counts(3) }
}

/// How many places a window has along each axis of an image.
fn places(op: &str, sizes: &[usize], g: &Geometry) -> Result<Vec<usize>> {
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
fn flat(x: &Operand) -> Result<Operand> {
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
    let (at, starts, counts, steps) = (call.args[0].ints(), call.args[1].ints(), call.args[2].ints(), call.args[3].ints());
    let (mut spans, mut first) = (Vec::new(), 0);
    for (i, &n) in at.iter().enumerate() {
        let end = first + n as usize;
        spans.push(Span { starts: &starts[first..end], counts: &counts[first..end], step: steps[i] });
        first = end;
    }
    of(&x.storage).launch(&Launch::Pool { input: x, spans: &spans, values: &call.outs[0], places: &call.outs[1] })
}

fn pool_back(pull: &Pull) -> Grads {
    let (x, at) = (&pull.ins[0], &pull.outs[1]);
    let Some(g) = &pull.grads[0] else { return [None].into_iter().collect() };
    super::view::reads(&[at]);
    let shape = x.shape();
    if x.numel() == 0 || g.numel() == 0 {
        return [Some(super::view::zeros_like(x))].into_iter().collect();
    }
    let rows = |t: &Sym| t.reshape([shape[0] as i64, shape[1] as i64, -1]);
    let zeros = rows(&super::view::zeros_like(x));
    [Some(zeros.scatter_add(&rows(at), &rows(g), 2i64).reshape(&shape))].into_iter().collect()
}

fn given(ins: &[Option<Sym>], i: usize) -> Option<&Sym> {
    ins.get(i).and_then(Option::as_ref).filter(|s| !s.is_absent())
}

/// The operands of a convolution, checked: image, kernels, bias, and the number of groups.
fn checked<'a>(op: &str, ins: &'a [Option<Sym>], groups: &Arg, turned: bool) -> Result<(&'a Sym, &'a Sym, Option<&'a Sym>, usize)> {
    let (Some(x), Some(w)) = (given(ins, 0), given(ins, 1)) else { return Err(Error::bug(op, "an operand is missing")) };
    let (sx, sw) = (x.shape(), w.shape());
    let groups = groups.int().unwrap_or(1);
    if groups < 1 {
        return Err(Error::runtime(op, format!("groups must be at least 1, got {groups}")));
    }
    let groups = groups as usize;
    if sx.len() != sw.len() || sx.len() < 3 {
        return Err(Error::shape(op, format!("input {} and weight {} must have equally many axes", shape::show(&sx), shape::show(&sw))));
    }
    if x.dtype() != w.dtype() {
        return Err(Error::dtype(op, format!("the input is {} and the weight {}; convert one with .to()", x.dtype(), w.dtype())));
    }
    let (fits, outs) = if turned { (sx[1] == sw[0], sw[1] * groups) } else { (sx[1] == sw[1] * groups, sw[0]) };
    if !fits || !sx[1].is_multiple_of(groups) || !outs.is_multiple_of(groups) {
        return Err(Error::shape(
            op,
            format!(
                "the input {} has {} channels, the weight {} takes {} in {groups} group(s) and gives {outs}; the sizes must agree",
                shape::show(&sx),
                sx[1],
                shape::show(&sw),
                if turned { sw[0] } else { sw[1] * groups },
            ),
        ));
    }
    let bias = given(ins, 2);
    if let Some(b) = bias
        && b.shape()[..] != [outs]
    {
        return Err(Error::shape(op, format!("the bias {} must hold one number for each of {outs} channels", shape::show(&b.shape()))));
    }
    Ok((x, w, bias, groups))
}

fn ints(list: &[usize]) -> Few<i64> {
    list.iter().map(|&n| n as i64).collect()
}

fn with_bias(y: Sym, bias: Option<&Sym>, d: usize) -> Vec<Tensor> {
    let y = match bias {
        Some(b) => {
            let shape: Few<i64> = [-1].into_iter().chain((0..d).map(|_| 1)).collect();
            y + b.reshape(shape)
        }
        None => y,
    };
    vec![y.tensor().clone()]
}

/// Short floats are multiplied and added in float32, and rounded once.
fn widened(ins: &[Option<Sym>], args: &[Arg], run: crate::graph::op::Inline) -> Option<Result<Vec<Tensor>>> {
    let short = given(ins, 0).map(Sym::dtype).filter(|d| d.is_short_float())?;
    let same = ins.iter().flatten().all(|s| s.is_absent() || s.dtype() == short);
    let wide: Vec<Option<Sym>> =
        ins.iter().map(|s| s.as_ref().map(|s| if s.is_absent() { s.clone() } else { s.cast(DType::F32) })).collect();
    same.then(|| Ok(vec![Sym::from(&run(&wide, args)?[0]).cast(short).tensor().clone()]))
}

fn convolution_inline(ins: &[Option<Sym>], args: &[Arg]) -> Result<Vec<Tensor>> {
    if let Some(found) = widened(ins, args, convolution_inline) {
        return found;
    }
    let (x, w, bias, groups) = checked("conv", ins, &args[3], false)?;
    let (sx, sw) = (x.shape(), w.shape());
    let d = sx.len() - 2;
    let kernel = ints(&sw[2..]);
    let g = geometry(&[Arg::Ints(kernel.clone()), args[0].clone(), args[1].clone(), args[2].clone()]);
    let at = places("conv", &sx[2..], &g)?;
    let columns = x.unfold_windows(kernel, args[0].clone(), args[1].clone(), args[2].clone());
    let (n, outs, area) = (sx[0], sw[0], at.iter().product::<usize>());
    let depth = sw[1..].iter().product::<usize>();
    let columns = columns.reshape(ints(&[n, groups, depth, area]));
    let kernels = w.reshape(ints(&[1, groups, outs / groups, depth]));
    let shape: Vec<usize> = [n, outs].into_iter().chain(at).collect();
    Ok(with_bias(kernels.matmul(&columns).reshape(ints(&shape)), bias, d))
}

/// The gradient in the input is the transposed convolution; that in the kernels meets the windows again, which are made
/// anew rather than kept, being the kernel's size times as large as the image.
fn convolution_back(pull: &Pull) -> Grads {
    let (g, x, w) = (pull.grad(), &pull.ins[0], &pull.ins[1]);
    let (sx, sw, sg) = (x.shape(), w.shape(), g.shape());
    let groups = pull.args[3].int().unwrap_or(1).max(1) as usize;
    let (n, outs, area) = (sx[0], sw[0], sg[2..].iter().product::<usize>());
    let depth = sw[1..].iter().product::<usize>();
    let kernel = ints(&sw[2..]);
    let (stride, padding, dilation) = (pull.args[0].clone(), pull.args[1].clone(), pull.args[2].clone());
    let wide = g.reshape(ints(&[n, groups, outs / groups, area]));
    let mut grads = Grads::new();
    grads.push(pull.needs.has(0).then(|| {
        let kernels = w.reshape(ints(&[1, groups, outs / groups, depth])).transpose(-1, -2);
        let columns: Vec<usize> = sx[..2].iter().chain(&sw[2..]).chain(&sg[2..]).copied().collect();
        let columns = kernels.matmul(&wide).reshape(ints(&columns));
        columns.fold_windows(&sx[2..], kernel.clone(), stride.clone(), padding.clone(), dilation.clone())
    }));
    grads.push(pull.needs.has(1).then(|| {
        let columns = x.unfold_windows(kernel, stride, padding, dilation).reshape(ints(&[n, groups, depth, area]));
        wide.matmul(&columns.transpose(-1, -2)).sum([0i64], false, ()).reshape(&sw)
    }));
    grads.push(pull.needs.has(2).then(|| {
        let axes: Vec<i64> = (0..sg.len() as i64).filter(|&i| i != 1).collect();
        g.sum(&axes[..], false, ())
    }));
    grads
}

fn transpose_inline(ins: &[Option<Sym>], args: &[Arg]) -> Result<Vec<Tensor>> {
    if let Some(found) = widened(ins, args, transpose_inline) {
        return found;
    }
    let (x, w, bias, groups) = checked("conv_transpose", ins, &args[4], true)?;
    let (sx, sw) = (x.shape(), w.shape());
    let d = sx.len() - 2;
    let (stride, padding, extra, dilation) = (args[0].ints(), args[1].ints(), args[2].ints(), args[3].ints());
    if [stride.len(), padding.len(), extra.len(), dilation.len()] != [d; 4] {
        return Err(Error::runtime("conv_transpose", format!("needs one stride, padding and dilation for each of {d} axes")));
    }
    let mut sizes = Vec::with_capacity(d);
    for i in 0..d {
        if extra[i] >= stride[i].max(dilation[i]) || extra[i] < 0 {
            return Err(Error::runtime(
                "conv_transpose",
                format!("output padding {} must be smaller than stride {} or dilation {}", extra[i], stride[i], dilation[i]),
            ));
        }
        let size = (sx[2 + i] as i64 - 1) * stride[i] - 2 * padding[i] + dilation[i] * (sw[2 + i] as i64 - 1) + extra[i] + 1;
        if size < 1 {
            return Err(Error::runtime("conv_transpose", format!("the result's axis {i} would have size {size}")));
        }
        sizes.push(size);
    }
    let (n, channels, area) = (sx[0], sx[1], sx[2..].iter().product::<usize>());
    let depth = sw[1..].iter().product::<usize>();
    let rows = x.reshape(ints(&[n, groups, channels / groups, area]));
    let kernels = w.reshape(ints(&[1, groups, channels / groups, depth])).transpose(-1, -2);
    let shape: Vec<usize> = [n, sw[1] * groups].into_iter().chain(sw[2..].iter().copied()).chain(sx[2..].iter().copied()).collect();
    let mut columns = kernels.matmul(&rows).reshape(ints(&shape));
    // Output padding may leave room for one more window at the end of an axis; it is empty.
    let g = geometry(&[Arg::Ints(ints(&sw[2..])), args[0].clone(), args[1].clone(), args[3].clone()]);
    let wide: Vec<usize> = sizes.iter().map(|&s| s as usize).collect();
    let at = places("conv_transpose", &wide, &g)?;
    for i in 0..d {
        let (have, wanted) = (columns.shape()[2 + d + i], at[i]);
        if wanted > have {
            let mut more = columns.shape();
            more[2 + d + i] = wanted - have;
            let zero = super::view::zeros_like(&columns.sum((), false, ())).expand(&more);
            columns = Sym::from(super::moves::cat(&[columns.tensor(), zero.tensor()], 2 + d + i)?);
        }
    }
    let sizes: Few<i64> = sizes.into_iter().collect();
    let y = columns.fold_windows(sizes, ints(&sw[2..]), args[0].clone(), args[1].clone(), args[3].clone());
    Ok(with_bias(y, bias, d))
}
