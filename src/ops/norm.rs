//! Rows and channels brought to mean 0 and variance 1, as one node: a kernel on the processor, the formula elsewhere and
//! where the walk itself is recorded. Leans on graph and backend's norm family.

use crate::backend::launch::Norm;
use crate::backend::{Launch, Operand, any_away, at, of, together};
use crate::base::{DType, Error, Few, Result};
use crate::graph::mode::Mode;
use crate::graph::sym::must;
use crate::graph::{Arg, Grads, Pull, Sym, Tensor};

crate::op! {
    /// The last axes brought to mean 0 and variance 1, then scaled and shifted (Ba et al. 2016); also the means and the
    /// inverse deviations.
    /// With `centred` false they are brought to a mean square of 1 (Zhang and Sennrich 2019).
    normalised_rows(input, weight: Maybe, bias: Maybe; axes: Int, eps: Number, centred: Bool = Arg::Bool(true)) Any {
        inline(rows_inline);
        rule rows_back;
        face hidden;
    }
    /// Every channel (axis 1) brought to mean 0 and variance 1 over all other axes, then scaled and shifted (Ioffe and
    /// Szegedy 2015); also the means, inverse deviations and variances.
    normalised_channels(input, weight: Maybe, bias: Maybe; eps: Number) Any {
        inline(channels_inline);
        rule channels_back;
        face hidden;
    }
    /// Every sample's groups of channels (axis 1) brought to mean 0 and variance 1, then scaled and shifted by channels (Wu
    /// and He 2018); also the means and the inverse deviations.
    normalised_groups(input, weight: Maybe, bias: Maybe; groups: Int, eps: Number) Any {
        inline(groups_inline);
        rule groups_back;
        face hidden;
    }
}

/// Which axes are folded, the shape that is left of them, and that of weight and bias among the input's axes.
struct Form {
    channels: bool,
    groups: usize,
    centred: bool,
    /// The input's shape, and that under which the folded axes are axes of its own.
    whole: Few<usize>,
    shape: Few<usize>,
    folded: Vec<i64>,
    eps: f64,
}

impl Form {
    fn rows(x: &Sym, args: &[Arg]) -> Form {
        let (shape, many) = (x.shape(), args[0].int().unwrap_or(1).max(0) as usize);
        let first = shape.len().saturating_sub(many);
        let folded = (first..shape.len()).map(|i| i as i64).collect();
        let centred = args.get(2).and_then(Arg::int).is_none_or(|k| k != 0);
        Form { channels: false, groups: 0, centred, whole: shape.clone(), shape, folded, eps: epsilon(&args[1]) }
    }

    fn groups(x: &Sym, args: &[Arg]) -> Form {
        let (whole, groups) = (x.shape(), args[0].int().unwrap_or(1).max(1) as usize);
        let size = whole[1..].iter().product::<usize>() / groups;
        let shape = [whole[0], groups, size].into_iter().collect();
        Form { channels: true, groups, centred: true, whole, shape, folded: vec![2], eps: epsilon(&args[1]) }
    }

    fn channels(x: &Sym, args: &[Arg]) -> Form {
        let shape = x.shape();
        let folded = (0..shape.len() as i64).filter(|&i| i != 1).collect();
        Form { channels: true, groups: 0, centred: true, whole: shape.clone(), shape, folded, eps: epsilon(&args[0]) }
    }

    /// As the kernels see the input: (rows, size), or (samples, channels, size).
    fn flat(&self) -> Vec<usize> {
        let count = |list: &[usize]| list.iter().product::<usize>();
        if self.channels {
            vec![self.whole[0], self.whole[1], count(&self.whole[2..])]
        } else {
            let first = self.shape.len() - self.folded.len();
            vec![count(&self.shape[..first]), count(&self.shape[first..])]
        }
    }

    /// The shape of means, with 1 for what is folded.
    fn kept(&self) -> Few<usize> {
        (0..self.shape.len()).map(|i| if self.folded.contains(&(i as i64)) { 1 } else { self.shape[i] }).collect()
    }

    /// The shape of weight and bias.
    fn own(&self) -> &[usize] {
        if self.channels { &self.whole[1..2] } else { &self.shape[self.shape.len() - self.folded.len()..] }
    }

    /// Weight or bias among the input's axes.
    fn spread(&self, x: &Sym) -> Sym {
        if self.channels {
            x.reshape(&(0..self.whole.len()).map(|i| if i == 1 { self.whole[1] } else { 1 }).collect::<Few<usize>>())
        } else {
            x.clone()
        }
    }

    /// A cotangent of the result as one of weight or bias.
    fn gathered(&self, g: &Sym, to: &Sym) -> Sym {
        if self.channels {
            let others: Vec<i64> = (0..self.whole.len() as i64).filter(|&i| i != 1).collect();
            g.sum(&others[..], false, ())
        } else {
            g.sum_to(&to.shape())
        }
    }

    /// Under the shape whose axes are folded, and back.
    fn rolled(&self, x: &Sym) -> Sym {
        if self.groups > 0 { x.reshape(&self.shape) } else { x.clone() }
    }

    fn unrolled(&self, x: &Sym) -> Sym {
        if self.groups > 0 { x.reshape(&self.whole) } else { x.clone() }
    }

    fn has_variances(&self) -> bool {
        self.channels && self.groups == 0
    }

    fn norm(&self, back: bool, weight: bool, bias: bool) -> Norm {
        Norm { channels: self.channels, groups: self.groups, centred: self.centred, back, weight, bias, eps: self.eps }
    }

    /// Whether there is a kernel for these operands.
    fn has_kernel(&self, ins: &[&Sym]) -> bool {
        let x = ins[0];
        let likes = |s: &&Sym| s.is_absent() || s.dtype() == x.dtype() && s.shape()[..] == *self.own();
        let wide = if self.channels { self.whole.len() >= 2 } else { !self.folded.is_empty() };
        // Devices have kernels for means over rows and channels; of channels of a few elements the formula is quicker.
        let known = self.groups == 0 && self.centred || x.device().is_cpu() && (self.groups == 0 || self.flat()[2] >= 16);
        let mode = Mode::now();
        !(mode.probe() || mode.lifted())
            && x.dtype().is_float()
            && (x.device().is_cpu() || x.dtype().compute() == DType::F32)
            && wide
            && known
            && ins[1..].iter().all(likes)
    }
}

fn epsilon(arg: &Arg) -> f64 {
    arg.number().map_or(0.0, crate::base::Number::as_f64)
}

/// The elements row-major, in the dtype that kernels compute in, under another shape.
fn plain(x: &Sym, shape: &[usize]) -> Result<Operand> {
    let x = x.tensor().operand();
    let dtype = x.dtype.compute();
    let mut found = x.clone();
    if !x.layout.is_contiguous() || x.dtype != dtype {
        found = Operand::new(of(&x.storage), &x.layout.shape, dtype)?;
        of(&x.storage).launch(&Launch::Copy { src: &x, dst: &found })?;
    }
    let layout = found.layout.reshape(shape).ok_or_else(|| Error::bug("norm", "row-major elements have every shape"))?;
    found.layout = layout;
    Ok(found)
}

fn made(shape: &[usize], dtype: DType, device: crate::base::Device) -> Result<Operand> {
    Operand::new(at(device)?, shape, dtype)
}

/// Operands as tensors of the shapes asked for, rounded where the input is.
fn tensors(list: Vec<(Operand, Few<usize>, DType)>) -> Result<Vec<Tensor>> {
    list.into_iter()
        .map(|(x, shape, dtype)| {
            let x = Sym::Tensor(Tensor::from_operand(x)).reshape(&shape);
            Ok(if x.dtype() == dtype { x } else { x.cast(dtype) }.tensor().clone())
        })
        .collect()
}

fn given(ins: &[Option<Sym>]) -> Vec<&Sym> {
    ins.iter().map(|s| s.as_ref().unwrap_or(&Sym::Absent)).collect()
}

fn forward(form: &Form, ins: &[&Sym]) -> Result<Vec<Tensor>> {
    let x = ins[0];
    if any_away() {
        // What a transformation stands for is looked at where it is taken apart.
        let operand = |s: &&Sym| if let Sym::Tensor(t) = s { t.lift().is_none().then(|| t.operand()) } else { None };
        let seen: Vec<Option<Operand>> = ins.iter().map(operand).collect();
        let op = match (form.channels, form.groups) {
            (false, _) => &normalised_rows::OP,
            (true, 0) => &normalised_channels::OP,
            (true, _) => &normalised_groups::OP,
        };
        together(op.name, |k| op.called(k), seen.iter().map(Option::as_ref))?;
    }
    if !form.has_kernel(ins) {
        let (centred, mean, scale, var) = parts(form, &form.rolled(x));
        let mut y = form.unrolled(&(&centred * &scale));
        if !ins[1].is_absent() {
            y = y * form.spread(ins[1]);
        }
        if !ins[2].is_absent() {
            y = y + form.spread(ins[2]);
        }
        let list = [Some(y), Some(mean), Some(scale), form.has_variances().then_some(var)];
        return Ok(list.into_iter().flatten().map(|s| s.tensor().clone()).collect());
    }
    let (flat, kept, own) = (form.flat(), form.kept(), x.dtype());
    let wide = own.compute();
    let mut from = vec![plain(x, &flat)?];
    for s in ins[1..].iter().filter(|s| !s.is_absent()) {
        from.push(plain(s, &[s.numel()])?);
    }
    let many: usize = kept.iter().product();
    let mut to = vec![made(&flat, wide, x.device())?, made(&[many], wide, x.device())?, made(&[many], wide, x.device())?];
    if form.has_variances() {
        to.push(made(&[many], wide, x.device())?);
    }
    let what = form.norm(false, !ins[1].is_absent(), !ins[2].is_absent());
    of(&to[0].storage).launch(&Launch::Norm { what, ins: &from, outs: &to })?;
    let forms = [(form.whole.clone(), own), (kept.clone(), wide), (kept.clone(), wide), (kept, wide)];
    tensors(to.into_iter().zip(forms).map(|(x, (shape, dtype))| (x, shape, dtype)).collect())
}

/// The formula's parts: distances from the mean, means, inverse deviations, and variances.
fn parts(form: &Form, x: &Sym) -> (Sym, Sym, Sym, Sym) {
    let mean = x.mean(&form.folded[..], true, ());
    let (mean, centred) = if form.centred { (mean.clone(), x - &mean) } else { (mean * 0.0, x.clone()) };
    let var = centred.square().mean(&form.folded[..], true, ());
    let scale = (&var + form.eps).rsqrt();
    (centred, mean, scale, var)
}

fn rows_inline(ins: &[Option<Sym>], args: &[Arg]) -> Result<Vec<Tensor>> {
    let ins = given(ins);
    forward(&Form::rows(ins[0], args), &ins)
}

fn channels_inline(ins: &[Option<Sym>], args: &[Arg]) -> Result<Vec<Tensor>> {
    let ins = given(ins);
    forward(&Form::channels(ins[0], args), &ins)
}

fn groups_inline(ins: &[Option<Sym>], args: &[Arg]) -> Result<Vec<Tensor>> {
    let ins = given(ins);
    forward(&Form::groups(ins[0], args), &ins)
}

fn groups_back(pull: &Pull) -> Grads {
    backward(pull, &Form::groups(&pull.ins[0], pull.args))
}

fn rows_back(pull: &Pull) -> Grads {
    backward(pull, &Form::rows(&pull.ins[0], pull.args))
}

fn channels_back(pull: &Pull) -> Grads {
    backward(pull, &Form::channels(&pull.ins[0], pull.args))
}

fn backward(pull: &Pull, form: &Form) -> Grads {
    let (x, w) = (&pull.ins[0], &pull.ins[1]);
    if Mode::now().probe() {
        let list = [x, w, &pull.outs[1], &pull.outs[2]];
        super::view::reads(&list.into_iter().filter(|s| !s.is_absent()).collect::<Vec<_>>());
        return Grads::new();
    }
    let ins: Vec<&Sym> = pull.ins.iter().collect();
    // Where the walk itself is recorded, it must be made of what has derivatives; and the kernel knows the first result alone.
    let more = pull.grads[1..].iter().any(Option::is_some);
    if Mode::now().grad() || more || !form.has_kernel(&ins) { formula(pull, form) } else { must(kernel(pull, form)) }
}

fn formula(pull: &Pull, form: &Form) -> Grads {
    let (x, w) = (&pull.ins[0], &pull.ins[1]);
    let (centred, _, scale, _) = parts(form, &form.rolled(x));
    let even = &centred * &scale;
    let given = |k: usize| pull.grads.get(k).and_then(Option::as_ref);
    let g = given(0).cloned().unwrap_or_else(|| super::view::zeros_like(x));
    let share = 1.0 / form.folded.iter().map(|&i| form.shape[i as usize]).product::<usize>().max(1) as f64;
    let mut grads = Grads::new();
    grads.push(pull.needs.has(0).then(|| {
        let d = form.rolled(&if w.is_absent() { g.clone() } else { &g * &form.spread(w) });
        let along = (&d * &even).mean(&form.folded[..], true, ());
        let level = d.mean(&form.folded[..], true, ());
        let level = if form.centred { d - level } else { d };
        let mut all = (level - &even * along) * &scale;
        if let Some(mean) = given(1).filter(|_| form.centred) {
            all = all + mean * share;
        }
        if let Some(inverse) = given(2) {
            all = all - inverse * (&scale * &scale * &scale) * &centred * share;
        }
        if let Some(var) = given(3) {
            all = all + var * &centred * (2.0 * share);
        }
        form.unrolled(&all)
    }));
    grads.push(pull.needs.has(1).then(|| form.gathered(&(&g * &form.unrolled(&even)), w)));
    grads.push(pull.needs.has(2).then(|| form.gathered(&g, &pull.ins[2])));
    grads
}

fn kernel(pull: &Pull, form: &Form) -> Result<Grads> {
    let (g, x, w) = (pull.grad(), &pull.ins[0], &pull.ins[1]);
    let (flat, own) = (form.flat(), x.dtype());
    let many: usize = form.kept().iter().product();
    let mut from = vec![plain(g, &flat)?, plain(x, &flat)?, plain(&pull.outs[1], &[many])?, plain(&pull.outs[2], &[many])?];
    if !w.is_absent() {
        from.push(plain(w, &[w.numel()])?);
    }
    let wide = own.compute();
    let mut to = vec![made(&flat, wide, x.device())?];
    let size: usize = form.own().iter().product();
    if pull.needs.has(1) || pull.needs.has(2) {
        to.extend([made(&[size], wide, x.device())?, made(&[size], wide, x.device())?]);
    }
    let what = form.norm(true, !w.is_absent(), false);
    of(&to[0].storage).launch(&Launch::Norm { what, ins: &from, outs: &to })?;
    let forms = [form.whole.clone(), form.own().into(), form.own().into()];
    let found = tensors(to.into_iter().zip(forms).map(|(x, shape)| (x, shape, own)).collect())?;
    Ok(found.into_iter().enumerate().map(|(k, t)| pull.needs.has(k).then_some(Sym::Tensor(t))).collect())
}
