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
    normalised_rows(input, weight: Maybe, bias: Maybe; axes: Int, eps: Number) Any {
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
}

/// Which axes are folded, the shape that is left of them, and that of weight and bias among the input's axes.
struct Form {
    channels: bool,
    shape: Few<usize>,
    folded: Vec<i64>,
    eps: f64,
}

impl Form {
    fn rows(x: &Sym, args: &[Arg]) -> Form {
        let (shape, many) = (x.shape(), args[0].int().unwrap_or(1).max(0) as usize);
        let first = shape.len().saturating_sub(many);
        let folded = (first..shape.len()).map(|i| i as i64).collect();
        Form { channels: false, shape, folded, eps: args[1].number().map_or(0.0, crate::base::Number::as_f64) }
    }

    fn channels(x: &Sym, args: &[Arg]) -> Form {
        let shape = x.shape();
        let folded = (0..shape.len() as i64).filter(|&i| i != 1).collect();
        Form { channels: true, shape, folded, eps: args[0].number().map_or(0.0, crate::base::Number::as_f64) }
    }

    /// As the kernels see the input: (rows, size), or (samples, channels, size).
    fn flat(&self) -> Vec<usize> {
        let count = |list: &[usize]| list.iter().product::<usize>();
        if self.channels {
            vec![self.shape[0], self.shape[1], count(&self.shape[2..])]
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
        if self.channels { &self.shape[1..2] } else { &self.shape[self.shape.len() - self.folded.len()..] }
    }

    /// Weight or bias among the input's axes.
    fn spread(&self, x: &Sym) -> Sym {
        if self.channels { x.reshape(&self.kept()) } else { x.clone() }
    }

    /// A cotangent of the result as one of weight or bias.
    fn gathered(&self, g: &Sym, to: &Sym) -> Sym {
        if self.channels { g.sum(&self.folded[..], false, ()) } else { g.sum_to(&to.shape()) }
    }

    /// Whether there is a kernel for these operands.
    fn has_kernel(&self, ins: &[&Sym]) -> bool {
        let x = ins[0];
        let likes = |s: &&Sym| s.is_absent() || s.dtype() == x.dtype() && s.shape()[..] == *self.own();
        let wide = if self.channels { self.shape.len() >= 2 } else { !self.folded.is_empty() };
        let mode = Mode::now();
        !(mode.probe() || mode.lifted())
            && x.dtype().is_float()
            && (x.device().is_cpu() || x.dtype().compute() == DType::F32)
            && wide
            && ins[1..].iter().all(likes)
    }
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
        let op = if form.channels { &normalised_channels::OP } else { &normalised_rows::OP };
        together(op.name, |k| op.called(k), seen.iter().map(Option::as_ref))?;
    }
    if !form.has_kernel(ins) {
        let (centred, mean, scale, var) = parts(form, x);
        let mut y = &centred * &scale;
        if !ins[1].is_absent() {
            y = y * form.spread(ins[1]);
        }
        if !ins[2].is_absent() {
            y = y + form.spread(ins[2]);
        }
        let list = [Some(y), Some(mean), Some(scale), form.channels.then_some(var)];
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
    if form.channels {
        to.push(made(&[many], wide, x.device())?);
    }
    let what = Norm { channels: form.channels, back: false, weight: !ins[1].is_absent(), bias: !ins[2].is_absent(), eps: form.eps };
    of(&to[0].storage).launch(&Launch::Norm { what, ins: &from, outs: &to })?;
    let forms = [(form.shape.clone(), own), (kept.clone(), wide), (kept.clone(), wide), (kept, wide)];
    tensors(to.into_iter().zip(forms).map(|(x, (shape, dtype))| (x, shape, dtype)).collect())
}

/// The formula's parts: distances from the mean, means, inverse deviations, and variances.
fn parts(form: &Form, x: &Sym) -> (Sym, Sym, Sym, Sym) {
    let mean = x.mean(&form.folded[..], true, ());
    let centred = x - &mean;
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
    let (centred, _, scale, _) = parts(form, x);
    let even = &centred * &scale;
    let given = |k: usize| pull.grads.get(k).and_then(Option::as_ref);
    let g = given(0).cloned().unwrap_or_else(|| super::view::zeros_like(x));
    let share = 1.0 / form.folded.iter().map(|&i| form.shape[i as usize]).product::<usize>().max(1) as f64;
    let mut grads = Grads::new();
    grads.push(pull.needs.has(0).then(|| {
        let d = if w.is_absent() { g.clone() } else { &g * &form.spread(w) };
        let along = (&d * &even).mean(&form.folded[..], true, ());
        let level = d.mean(&form.folded[..], true, ());
        let mut all = (d - level - &even * along) * &scale;
        if let Some(mean) = given(1) {
            all = all + mean * share;
        }
        if let Some(inverse) = given(2) {
            all = all - inverse * (&scale * &scale * &scale) * &centred * share;
        }
        if let Some(var) = given(3) {
            all = all + var * &centred * (2.0 * share);
        }
        all
    }));
    grads.push(pull.needs.has(1).then(|| form.gathered(&(&g * &even), w)));
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
    let what = Norm { channels: form.channels, back: true, weight: !w.is_absent(), bias: false, eps: form.eps };
    of(&to[0].storage).launch(&Launch::Norm { what, ins: &from, outs: &to })?;
    let forms = [form.shape.clone(), form.own().into(), form.own().into()];
    let found = tensors(to.into_iter().zip(forms).map(|(x, shape)| (x, shape, own)).collect())?;
    Ok(found.into_iter().enumerate().map(|(k, t)| pull.needs.has(k).then_some(Sym::Tensor(t))).collect())
}
