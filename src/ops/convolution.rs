//! Convolutions of one, two and three axes: on the processor by kernels of their own, elsewhere by windows and products.
//! Leans on windows and backend's families.

use super::parts::{convolution_parts, convolution_transpose_parts};
use super::view::operand;
use super::windows::{flat, geometry, places};
use crate::backend::launch::{Convolution, Geometry};
use crate::backend::{Launch, of};
use crate::base::{DType, Error, Few, Result, shape};
use crate::graph::sym::must;
use crate::graph::tensor::emit;
use crate::graph::{Arg, Call, Grads, Meta, Metas, Pull, Sym, Tensor};
use smallvec::smallvec;

crate::op! {
    /// The cross-correlation of images (n, c, sizes...) with kernels (out, c / groups, sizes...).
    convolution(input, weight, bias: Maybe; stride: Ints, padding: Ints, dilation: Ints, groups: Int) Any {
        inline(convolution_inline);
        rule convolution_back;
        complex convolution_parts;
        batch convolved;
        face hidden;
    }
    /// The transpose of `convolution` as a map of images: the gradient of a convolution in its input, as an operation.
    convolution_transpose(input, weight, bias: Maybe; stride: Ints, padding: Ints, output_padding: Ints, dilation: Ints, groups: Int) Any {
        inline(transpose_inline);
        complex convolution_transpose_parts;
        face hidden;
    }
    /// The same by its own kernel, for floats on the processor.
    convolve(input, weight, bias: Maybe; stride: Ints, padding: Ints, dilation: Ints, groups: Int) Any {
        kernel(convolve_meta, convolve_run);
        face hidden;
    }
    /// The image's cotangent, of the sizes given, from that of the result; as an operation the transposed convolution.
    convolve_input(input, weight, bias: Maybe; size: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: Int) Any {
        kernel(input_meta, input_run);
        rule input_back;
        face hidden;
    }
    /// The weight's cotangent, with kernels of the sizes given, from images and the result's cotangent; and the bias's.
    convolve_weight(input, grad; kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: Int) Any {
        kernel(weight_meta, weight_run);
        rule weight_back;
        face hidden;
    }
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

/// Whether kernels serve: floats, on a device those that are computed in float32, and weights that are not empty.
fn is_served(x: &Sym, w: &Sym) -> bool {
    (x.device().is_cpu() || x.dtype().compute() == DType::F32)
        && x.dtype().is_float()
        && x.dtype() == w.dtype()
        && x.rank() <= 5
        && w.numel() > 0
}

/// Cut to the sizes given: a transposed convolution may leave elements out at the end of its result.
fn fit(y: Sym, sizes: &[usize]) -> Sym {
    if y.shape()[..] == *sizes {
        return y;
    }
    let list = |n: usize| -> Few<i64> { sizes.iter().map(|_| n as i64).collect() };
    y.slice(list(0), ints(sizes), list(1))
}

/// A call of a kernel: checked operands become row-major ones.
fn launch(what: Convolution, call: &Call, geometry: &Geometry, groups: &Arg) -> Result<()> {
    let ins = call.ins.iter().flatten().map(|x| flat(x)).collect::<Result<Vec<_>>>()?;
    let groups = groups.int().unwrap_or(1).max(1) as usize;
    of(&call.outs[0].storage).launch(&Launch::Convolve { what, ins: &ins, outs: call.outs, geometry, groups })
}

fn two<'a>(op: &str, ins: &'a [Option<Meta>]) -> Result<(&'a Meta, &'a Meta)> {
    match ins {
        [Some(a), Some(b), ..] if a.dtype == b.dtype => Ok((a, b)),
        _ => Err(Error::bug(op, "two operands of one dtype were promised")),
    }
}

fn convolve_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let (x, w) = two("conv", ins)?;
    let g = geometry(&[Arg::Ints(ints(&w.shape[2..])), args[0].clone(), args[1].clone(), args[2].clone()]);
    let at = places("conv", &x.shape[2..], &g)?;
    let shape: Few<usize> = [x.shape[0], w.shape[0]].into_iter().chain(at).collect();
    shape::count("conv", &shape)?;
    Ok(smallvec![Meta { shape, dtype: x.dtype }])
}

fn convolve_run(call: &Call) -> Result<()> {
    let w = operand(call, 1)?;
    let kernel = Arg::Ints(ints(&w.layout.shape[2..]));
    let g = geometry(&[kernel, call.args[0].clone(), call.args[1].clone(), call.args[2].clone()]);
    launch(Convolution::Forward, call, &g, &call.args[3])
}

fn input_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let (g, w) = two("conv_transpose", ins)?;
    let groups = args[4].int().unwrap_or(1).max(1) as usize;
    let sizes = args[0].ints().iter().map(|&s| s.max(0) as usize).collect::<Vec<_>>();
    let shape: Few<usize> = [g.shape[0], w.shape[1] * groups].into_iter().chain(sizes).collect();
    shape::count("conv_transpose", &shape)?;
    Ok(smallvec![Meta { shape, dtype: g.dtype }])
}

fn input_run(call: &Call) -> Result<()> {
    let w = operand(call, 1)?;
    let kernel = Arg::Ints(ints(&w.layout.shape[2..]));
    let g = geometry(&[kernel, call.args[1].clone(), call.args[2].clone(), call.args[3].clone()]);
    launch(Convolution::Input, call, &g, &call.args[4])
}

fn weight_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let (x, g) = two("conv", ins)?;
    let groups = args[4].int().unwrap_or(1).max(1) as usize;
    let kernel = args[0].ints().iter().map(|&s| s.max(0) as usize).collect::<Vec<_>>();
    let shape: Few<usize> = [g.shape[1], x.shape[1] / groups].into_iter().chain(kernel).collect();
    let bias = [g.shape[1]].into_iter().collect();
    Ok(smallvec![Meta { shape, dtype: x.dtype }, Meta { shape: bias, dtype: x.dtype }])
}

fn weight_run(call: &Call) -> Result<()> {
    launch(Convolution::Weight, call, &geometry(call.args), &call.args[4])
}

/// The cotangents of weight and bias.
fn weights(x: &Sym, g: &Sym, kernel: Few<i64>, args: [Arg; 4]) -> (Sym, Sym) {
    let args: Vec<Arg> = std::iter::once(Arg::Ints(kernel)).chain(args).collect();
    let mut outs = must(emit(&convolve_weight::OP, &[x.feed(), g.feed()], &args)).many();
    let bias = Sym::from(outs.swap_remove(1));
    (Sym::from(outs.swap_remove(0)), bias)
}

/// The sum of a cotangent over all but its channels.
fn sums(g: &Sym) -> Sym {
    let axes: Vec<i64> = (0..g.rank() as i64).filter(|&i| i != 1).collect();
    g.sum(&axes[..], false, ())
}

fn input_back(pull: &Pull) -> Grads {
    let (c, g, w) = (pull.grad(), &pull.ins[0], &pull.ins[1]);
    let rest = || [pull.args[1].clone(), pull.args[2].clone(), pull.args[3].clone(), pull.args[4].clone()];
    let mut grads = Grads::new();
    grads.push(pull.needs.has(0).then(|| {
        let [stride, padding, dilation, groups] = rest();
        fit(c.convolution(w, &Sym::Absent, stride, padding, dilation, groups), &g.shape())
    }));
    grads.push(pull.needs.has(1).then(|| weights(c, g, ints(&w.shape()[2..]), rest()).0));
    grads.push(pull.needs.has(2).then(|| sums(c)));
    grads
}

fn weight_back(pull: &Pull) -> Grads {
    let (x, g) = (&pull.ins[0], &pull.ins[1]);
    let rest = || [pull.args[1].clone(), pull.args[2].clone(), pull.args[3].clone(), pull.args[4].clone()];
    let zero = |i: usize| super::view::zeros_like(&pull.outs[i]);
    let weight = pull.grads[0].clone().unwrap_or_else(|| zero(0));
    let bias = pull.grads[1].clone();
    let mut grads = Grads::new();
    grads.push(pull.needs.has(0).then(|| {
        let [stride, padding, dilation, groups] = rest();
        g.convolve_input(&weight, &Sym::Absent, ints(&x.shape()[2..]), stride, padding, dilation, groups)
    }));
    grads.push(pull.needs.has(1).then(|| {
        let [stride, padding, dilation, groups] = rest();
        fit(x.convolution(&weight, &bias.unwrap_or(Sym::Absent), stride, padding, dilation, groups), &g.shape())
    }));
    grads
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
    if given(ins, 0).zip(given(ins, 1)).is_some_and(|(x, w)| is_served(x, w)) {
        let (x, w, bias, _) = checked("conv", ins, &args[3], false)?;
        let bias = bias.cloned().unwrap_or(Sym::Absent);
        return Ok(vec![emit(&convolve::OP, &[x.feed(), w.feed(), bias.feed()], args)?.one()]);
    }
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
    if is_served(x, w) {
        let args = || [stride.clone(), padding.clone(), dilation.clone(), pull.args[3].clone()];
        let mut grads = Grads::new();
        grads.push(pull.needs.has(0).then(|| {
            let [stride, padding, dilation, groups] = args();
            g.convolve_input(w, &Sym::Absent, ints(&sx[2..]), stride, padding, dilation, groups)
        }));
        let both = pull.needs.has(1).then(|| weights(x, g, kernel, args()));
        let (weight, bias) = both.map_or((None, None), |(w, b)| (Some(w), Some(b)));
        grads.push(weight);
        grads.push(pull.needs.has(2).then(|| bias.unwrap_or_else(|| sums(g))));
        return grads;
    }
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
    grads.push(pull.needs.has(2).then(|| sums(g)));
    grads
}

fn transpose_inline(ins: &[Option<Sym>], args: &[Arg]) -> Result<Vec<Tensor>> {
    let served = given(ins, 0).zip(given(ins, 1)).is_some_and(|(x, w)| is_served(x, w));
    if !served && let Some(found) = widened(ins, args, transpose_inline) {
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
        if size < 0 {
            return Err(Error::runtime("conv_transpose", format!("the result's axis {i} would have size {size}")));
        }
        sizes.push(size);
    }
    if served {
        let sizes: Few<i64> = sizes.into_iter().collect();
        let bias = bias.cloned().unwrap_or(Sym::Absent);
        let y = x.convolve_input(w, &bias, sizes, args[0].clone(), args[1].clone(), args[3].clone(), groups);
        return Ok(vec![y.tensor().clone()]);
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
