//! Losses of training, made of other operators. Leans on graph.

use super::view::operand;
use crate::backend::cpu::convert::to_f64;
use crate::backend::launch::Entropy;
use crate::backend::task::Test;
use crate::backend::{Launch, Operand, of};
use crate::base::{DType, Error, Result, shape};
use crate::graph::mode::Mode;
use crate::graph::sym::must;
use crate::graph::{Arg, Call, Grads, Meta, Metas, Pull, Sym, Tensor};
use smallvec::smallvec;

crate::op! {
    /// The mean squared error; reduction "mean", "sum" or "none".
    ///
    /// >>> schuss.nn.functional.mse_loss(schuss.tensor([1.0, 2.0]), schuss.tensor([0.0, 0.0]))
    /// tensor(2.5000)
    mse_loss(input, target; reduction: Text = Arg::None) Any { inline(mse); face hidden; }
    /// The mean absolute error; reduction "mean", "sum" or "none".
    ///
    /// >>> schuss.nn.functional.l1_loss(schuss.tensor([1.0, 2.0]), schuss.tensor([0.0, 0.0]))
    /// tensor(1.5000)
    l1_loss(input, target; reduction: Text = Arg::None) Any { inline(l1); face hidden; }
    /// Minus the log-probability of each target class; targets of `ignore_index` count nothing.
    nll_loss(input, target, weight: Maybe; ignore_index: Int, reduction: Text = Arg::None) Any { inline(nll); face hidden; }
    /// Minus the log-softmax of each row's class, averaged over the rows that count or summed; and the rows' log-sums, which
    /// have no derivative of their own.
    entropy_of_rows(input, target: Tensor; ignore_index: Int, mean: Bool) Any {
        kernel(entropy_meta, entropy_run);
        rule entropy_back;
        face hidden;
    }
    /// `curve * d^2` of the error d up to a bound, and `slope * (|d| - bound / 2)` beyond (Huber 1964).
    huber_each(input, target; bound: Number, curve: Number, slope: Number) Real {
        map(float value, |x, y; b, curve, slope| {
            let d = (x - y).abs();
            Value::select(d.ge(b), slope * (d - 0.5 * b), curve * d * d)
        });
        vjp |g, [x, y], _o| [g.huber_slope(x, y, bound, curve, slope), -g.huber_slope(x, y, bound, curve, slope)];
        face hidden;
    }
    /// A cotangent times the slope of `huber_each`.
    huber_slope(grad, input, target; bound: Number, curve: Number, slope: Number) Real {
        map(float value, |g, x, y; b, curve, slope| {
            let d = x - y;
            let near = 2.0 * curve * d;
            g * Value::select(d.ge(b), slope, Value::select(d.le(-b), -slope, near))
        });
        rule huber_bend;
        face hidden;
    }
    /// Minus the log-likelihood of a truth under a probability, element by element.
    bce_each(input, target) Real {
        map(float value, |x, y;| {
            let floor = V::lit(-100.0);
            -(y * x.log().max(floor) + (1.0 - y) * (-x).log1p().max(floor))
        });
        rule bce_back;
        check 0.1..0.9;
        face hidden;
    }
    /// Minus the log-likelihood of truths under probabilities; the logarithms are held at -100.
    binary_cross_entropy(input, target, weight: Maybe; reduction: Text = Arg::None) Any { inline(bce); face hidden; }
    /// The same under the sigmoid of logits, exact also far out.
    binary_cross_entropy_with_logits(input, target, weight: Maybe, pos_weight: Maybe; reduction: Text = Arg::None) Any {
        inline(bce_logits);
        face hidden;
    }
}

fn huber_bend(pull: &Pull) -> Grads {
    let (g, d, x, y) = (pull.grad(), &pull.ins[0], &pull.ins[1], &pull.ins[2]);
    let number = |k: usize| pull.args[k].number().map_or(f64::NAN, |n| n.as_f64());
    let mut grads = Grads::new();
    grads.push(pull.needs.has(0).then(|| g.huber_slope(x, y, pull.args[0].clone(), pull.args[1].clone(), pull.args[2].clone())));
    let bend = || (x - y).abs().lt(&Sym::from(number(0))).where_(&(g * d * (2.0 * number(1))), &Sym::from(0.0));
    grads.push(pull.needs.has(1).then(bend));
    grads.push(pull.needs.has(2).then(|| -bend()));
    grads
}

fn entropy_meta(ins: &[Option<Meta>], _args: &[Arg]) -> Result<Metas> {
    let [Some(x), Some(y)] = ins else { return Err(Error::bug("cross_entropy", "an operand is missing")) };
    if x.shape.len() != 2 || y.shape[..] != x.shape[..1] || !x.dtype.is_float() || y.dtype != DType::I64 {
        return Err(Error::shape(
            "cross_entropy",
            format!(
                "needs float scores (rows, classes) and int64 classes (rows), got {} and {}",
                shape::show(&x.shape),
                shape::show(&y.shape)
            ),
        ));
    }
    let sums = Meta { shape: y.shape.clone(), dtype: x.dtype.compute() };
    Ok(smallvec![Meta { shape: shape::Shape::new(), dtype: x.dtype }, sums])
}

/// The same elements row-major, in the dtype asked for.
fn plain(x: &Operand, dtype: DType) -> Result<Operand> {
    if x.layout.is_contiguous() && x.dtype == dtype {
        return Ok(x.clone());
    }
    let copy = Operand::new(of(&x.storage), &x.layout.shape, dtype)?;
    of(&x.storage).launch(&Launch::Copy { src: x, dst: &copy })?;
    Ok(copy)
}

fn entropy(args: &[Arg], back: bool, ins: &[Operand], out: &Operand, more: Option<&Operand>) -> Result<()> {
    let what = Entropy { back, mean: args[1] == Arg::Bool(true), ignored: args[0].int().unwrap_or(-100) };
    let backend = of(&out.storage);
    let wide = out.dtype.compute();
    let to = if out.dtype == wide { out.clone() } else { Operand::new(backend, &out.layout.shape, wide)? };
    let outs: Vec<Operand> = [Some(&to), more].into_iter().flatten().cloned().collect();
    backend.launch(&Launch::Entropy { what, ins, outs: &outs })?;
    if out.dtype == wide { Ok(()) } else { backend.launch(&Launch::Copy { src: &to, dst: out }) }
}

fn entropy_run(call: &Call) -> Result<()> {
    let (x, y) = (operand(call, 0)?, operand(call, 1)?);
    let ins = [plain(x, x.dtype.compute())?, plain(y, DType::I64)?];
    entropy(call.args, false, &ins, &call.outs[0], call.outs.get(1))
}

fn entropy_back(pull: &Pull) -> Grads {
    let (x, y, sums) = (&pull.ins[0], &pull.ins[1], &pull.outs[1]);
    if Mode::now().probe() {
        super::view::reads(&[x, y, sums]);
        return Grads::new();
    }
    let Some(g) = &pull.grads[0] else {
        crate::graph::sym::fail(Error::grad("cross_entropy", "the log-sums that come with the loss have no derivative"))
    };
    // Where the walk itself is recorded, it must be made of what has derivatives.
    let grad = if Mode::now().grad() || Mode::now().lifted() {
        let ignored = Sym::from(crate::base::Number::Int(pull.args[0].int().unwrap_or(-100)));
        let counts = y.ne(&ignored);
        let each = counts.cast(x.dtype()) * g;
        let each = if pull.args[1] == Arg::Bool(true) { each / counts.cast(x.dtype()).sum((), false, ()) } else { each };
        let class = counts.where_(y, &Sym::from(crate::base::Number::Int(0))).cast(DType::I64).unsqueeze(1);
        let each = each.unsqueeze(1);
        (x.softmax(1i64, ()) * &each).scatter_add(&class, &-each, 1i64)
    } else {
        let wide = x.dtype().compute();
        let take = |s: &Sym| must(plain(&s.tensor().operand(), if std::ptr::eq(s, y) { DType::I64 } else { wide }));
        let ins = [take(g), take(x), take(y), take(sums)];
        let out = must(Operand::new(of(&ins[1].storage), &x.shape(), x.dtype()));
        must(entropy(pull.args, true, &ins, &out, None));
        Sym::Tensor(Tensor::from_operand(out))
    };
    [Some(grad), None].into_iter().collect()
}

fn pick(ins: &[Option<Sym>], i: usize) -> Option<&Sym> {
    ins.get(i).and_then(Option::as_ref)
}

fn pair(ins: &[Option<Sym>]) -> Result<(&Sym, &Sym)> {
    match (pick(ins, 0), pick(ins, 1)) {
        (Some(a), Some(b)) => Ok((a, b)),
        _ => Err(Error::bug("loss", "an operand is missing")),
    }
}

/// A loss of every element, gathered as asked.
pub fn reduced(op: &str, each: &Sym, reduction: &Arg) -> Result<Vec<Tensor>> {
    let how = if let Arg::Text(t) = reduction { &**t } else { "mean" };
    Ok(vec![
        match how {
            "mean" => each.mean((), false, ()),
            "sum" => each.sum((), false, ()),
            "none" => each.clone(),
            other => return Err(Error::value(op, format!("reduction is \"mean\", \"sum\" or \"none\", not {other:?}"))),
        }
        .tensor()
        .clone(),
    ])
}

fn mse(ins: &[Option<Sym>], args: &[Arg]) -> Result<Vec<Tensor>> {
    let (x, y) = pair(ins)?;
    if let Some(found) = [x, y].into_iter().find(|s| s.has_form() && s.dtype().is_complex()) {
        return Err(Error::no_float("mse_loss", "float tensors", found.dtype()));
    }
    reduced("mse_loss", &(x - y).square(), &args[0])
}

fn l1(ins: &[Option<Sym>], args: &[Arg]) -> Result<Vec<Tensor>> {
    let (x, y) = pair(ins)?;
    reduced("l1_loss", &(x - y).abs(), &args[0])
}

fn nll(ins: &[Option<Sym>], args: &[Arg]) -> Result<Vec<Tensor>> {
    let (x, target) = pair(ins)?;
    let ignore = args[0].int().unwrap_or(-100);
    let (sx, st) = (x.shape(), target.shape());
    let axis = usize::from(sx.len() > 1);
    let expected: Vec<usize> = (0..sx.len()).filter(|&i| i != axis).map(|i| sx[i]).collect();
    if sx.is_empty() || st[..] != expected[..] {
        return Err(Error::shape(
            "nll_loss",
            format!(
                "input {} and target {}: the target holds one class for each sample, so its shape is the input's without the class axis {axis}",
                shape::show(&sx),
                shape::show(&st)
            ),
        ));
    }
    if !target.dtype().is_int() {
        return Err(Error::dtype(
            "nll_loss",
            format!("targets are class numbers (int64), got {} of shape {}; use target.long()", target.dtype(), shape::show(&st)),
        ));
    }
    if !x.dtype().is_float() {
        return Err(Error::dtype(
            "nll_loss",
            format!("the input must be float log-probabilities, got {}; use log_softmax on float scores", x.dtype()),
        ));
    }
    let classes = sx[axis] as i64;
    let kept = target.ne(&Sym::from(crate::base::Number::Int(ignore)));
    let safe = kept.where_(target, &Sym::from(crate::base::Number::Int(0)));
    // On a device the kernel that gathers finds them out, and nobody waits.
    if safe.device().is_cpu() {
        demand("nll_loss", &safe, are_classes, &[classes, ignore])?;
    }
    let safe = safe.cast(DType::I64);
    let picked = x.gather(&safe.unsqueeze(axis as i64), axis as i64).squeeze([axis as i64]);
    let weight = match pick(ins, 2) {
        Some(w) if !w.is_absent() => {
            if w.shape()[..] != [classes as usize] {
                return Err(Error::shape(
                    "nll_loss",
                    format!("weight {} must hold one number for each of {classes} classes", shape::show(&w.shape())),
                ));
            }
            let list = [w.tensor(), safe.tensor()];
            let each = Sym::Tensor(must(super::index::take_at(&list, [0], false, true)));
            kept.where_(&each, &Sym::from(0.0))
        }
        _ => kept.cast(x.dtype()),
    };
    let each = -(picked * &weight);
    match &args[1] {
        Arg::Text(t) if &**t == "none" || &**t == "sum" => reduced("nll_loss", &each, &args[1]),
        Arg::None => Ok(vec![(each.sum((), false, ()) / weight.sum((), false, ())).tensor().clone()]),
        Arg::Text(t) if &**t == "mean" => Ok(vec![(each.sum((), false, ()) / weight.sum((), false, ())).tensor().clone()]),
        other => reduced("nll_loss", &each, other),
    }
}

/// Asks that values be what a loss can take; nothing is asked of stand-ins.
pub(super) fn demand(op: &'static str, x: &Sym, test: Test, numbers: &[i64]) -> Result<()> {
    if x.numel() == 0 || crate::graph::mode::Mode::now().probe() {
        return Ok(());
    }
    let operand = x.tensor().values().operand();
    of(&operand.storage).launch(&Launch::Demand { op, test, ins: std::slice::from_ref(&operand), numbers })
}

fn are_classes(op: &'static str, ins: &[Operand], numbers: &[i64]) -> Result<()> {
    let (classes, ignore) = (numbers[0], numbers[1]);
    match to_f64(&ins[0]).into_iter().find(|&v| v < 0.0 || v >= classes as f64) {
        None => Ok(()),
        Some(worst) => {
            let but = if ignore == i64::MIN { String::new() } else { format!(" (ignore_index is {ignore})") };
            let text = format!("target {worst} is out of range: classes are numbered 0 to {} here{but}", classes - 1);
            Err(Error::index(op, text))
        }
    }
}

fn are_probabilities(op: &'static str, ins: &[Operand], _: &[i64]) -> Result<()> {
    if to_f64(&ins[0]).into_iter().all(|v| (0.0..=1.0).contains(&v)) {
        return Ok(());
    }
    Err(Error::runtime(op, "all inputs must be probabilities from 0 to 1; use binary_cross_entropy_with_logits for raw scores"))
}

fn are_targets(op: &'static str, ins: &[Operand], _: &[i64]) -> Result<()> {
    match to_f64(&ins[0]).into_iter().find(|v| !(0.0..=1.0).contains(v)) {
        None => Ok(()),
        Some(worst) => {
            Err(Error::runtime(op, format!("all targets must be from 0 to 1, found {worst}; the input comes first, the target second")))
        }
    }
}

fn same_shape(op: &str, x: &Sym, y: &Sym) -> Result<()> {
    if !x.dtype().is_float() {
        return Err(Error::no_float(op, "a float tensor", x.dtype()));
    }
    if x.shape() != y.shape() {
        return Err(Error::value(
            op,
            format!(
                "input {} and target {} must have one shape; use target.view_as(input) or unsqueeze",
                shape::show(&x.shape()),
                shape::show(&y.shape())
            ),
        ));
    }
    Ok(())
}

fn weighted(each: Sym, weight: Option<&Sym>) -> Sym {
    match weight {
        Some(w) if !w.is_absent() => each * w,
        _ => each,
    }
}

fn bce(ins: &[Option<Sym>], args: &[Arg]) -> Result<Vec<Tensor>> {
    let (x, y) = pair(ins)?;
    same_shape("binary_cross_entropy", x, y)?;
    demand("binary_cross_entropy", x, are_probabilities, &[])?;
    if y.device().is_cpu() {
        demand("binary_cross_entropy", y, are_targets, &[])?;
    }
    let each = x.bce_each(y);
    reduced("binary_cross_entropy", &weighted(each, pick(ins, 2)), &args[0])
}

/// The slope `(x - y) / (x (1 - x))`, its denominator held above 1e-12 where a probability is 0 or 1.
fn bce_back(pull: &Pull) -> Grads {
    let (g, x, y) = (pull.grad(), &pull.ins[0], &pull.ins[1]);
    let mut grads = Grads::new();
    grads.push(pull.needs.has(0).then(|| {
        let room = ((1.0 - x) * x).maximum(&Sym::from(1e-12));
        g * &((x - y) / room)
    }));
    grads.push(pull.needs.has(1).then(|| {
        let floor = Sym::from(-100.0);
        g * &((-x).log1p().maximum(&floor) - x.log().maximum(&floor))
    }));
    grads
}

fn bce_logits(ins: &[Option<Sym>], args: &[Arg]) -> Result<Vec<Tensor>> {
    let (x, y) = pair(ins)?;
    same_shape("binary_cross_entropy_with_logits", x, y)?;
    let each = match pick(ins, 3) {
        Some(p) if !p.is_absent() => {
            // log(sigmoid) counts the weight of the truths, x the rest.
            let scale = (p - 1.0) * y + 1.0;
            (1.0 - y) * x - scale * &x.logsigmoid()
        }
        _ => (1.0 - y) * x - x.logsigmoid(),
    };
    reduced("binary_cross_entropy_with_logits", &weighted(each, pick(ins, 2)), &args[0])
}
