//! Folds along axes. Leans on graph and backend's fold family.

use super::complex::{length_of, parts_of, spread_of};
use super::parts::logsumexp_parts;
use crate::backend::{FoldKind, Launch, Operand, any_away, of, trace};
use crate::base::{DType, Error, Few, Layout, Number, Result, dtype, shape};
use crate::graph::{Arg, Body, Call, Grads, Meta, Metas, Pull, Sym};
use smallvec::smallvec;

crate::op! {
    /// The sum over some axes, or over all. Integers and truths are summed in int64, short floats in float64 inside.
    ///
    /// >>> schuss.tensor([[1.0, 2.0], [3.0, 4.0]]).sum(0)
    /// tensor([4., 6.])
    sum(input; dim: Axes = Arg::None, keepdim: Bool = Arg::Bool(false), dtype: MaybeDType = Arg::None) Any {
        kernel(sum_meta, sum_run);
        vjp |g, [x], _y| [spread(g, x, &dim, keepdim, 1.0)];
        complex Yes;
        linear Together;
        batch shift;
    }
    /// The mean over some axes, or over all. Needs floats, unless a dtype is given.
    ///
    /// >>> schuss.tensor([1.0, 2.0, 6.0]).mean()
    /// tensor(3.)
    mean(input; dim: Axes = Arg::None, keepdim: Bool = Arg::Bool(false), dtype: MaybeDType = Arg::None) Any {
        kernel(mean_meta, mean_run);
        vjp |g, [x], y| [spread(g, x, &dim, keepdim, y.numel() as f64 / x.numel().max(1) as f64)];
        complex Yes;
        linear Together;
        batch shift;
    }
    /// One number times a scale, as often as a shape has elements: the derivative of a short sum in one pass.
    repeated(input; size: Ints, scale: Number) Any {
        kernel(repeated_meta, repeated_run);
        vjp |g, [_x], _y| [g.sum((), false, ()) * scale.as_f64()];
        complex Yes;
        linear Together;
        batch repeated;
        face hidden;
    }
    /// The product over some axes, or over all.
    ///
    /// >>> schuss.tensor([1.0, 2.0, 6.0]).prod()
    /// tensor(12.)
    prod(input; dim: Axes = Arg::None, keepdim: Bool = Arg::Bool(false), dtype: MaybeDType = Arg::None) Any {
        kernel(prod_meta, prod_run);
        rule prod_back;
        check 0.5..2.0;
        complex Yes;
        batch shift;
        face hidden;
    }
    /// Whether any element is true (not zero), over some axes or over all.
    ///
    /// >>> schuss.tensor([False, True]).any()
    /// tensor(True)
    any(input; dim: Axes = Arg::None, keepdim: Bool = Arg::Bool(false)) Any {
        kernel(any_meta, any_run);
        complex Yes;
        batch shift;
    }
    /// Whether every element is true (not zero), over some axes or over all.
    ///
    /// >>> schuss.tensor([False, True]).all()
    /// tensor(False)
    all(input; dim: Axes = Arg::None, keepdim: Bool = Arg::Bool(false)) Any {
        kernel(all_meta, all_run);
        complex Yes;
        batch shift;
    }
    /// The mean squared distance from the mean, divided by (count - correction) instead of the count.
    var(input; dim: Axes = Arg::None, correction: Number = Arg::Int(1), keepdim: Bool = Arg::Bool(false)) Any {
        kernel(variance_meta, variance_run);
        rule variance_back;
        complex spread_of;
        batch shift;
        face hidden;
    }
    /// The Euclidean norm over some axes; its derivative at 0 is 0.
    norm(input; dim: Axes = Arg::None, keepdim: Bool = Arg::Bool(false)) Any {
        kernel(euclid_meta, euclid_run);
        rule euclid_back;
        complex length_of;
        batch shift;
        face hidden;
    }
    /// The sum of what is no NaN, over some axes or over all.
    nansum(input; dim: Axes = Arg::None, keepdim: Bool = Arg::Bool(false)) Any {
        kernel(nansum_meta, nansum_run);
        vjp |g, [x], _y| [x.eq(x).where_(&spread_like(g, x, &dim, keepdim), &Sym::from(0.0))];
        batch shift;
        face hidden;
    }
    /// `log(sum(exp(x)))` over some axes without overflow.
    ///
    /// >>> schuss.tensor([1000.0, 1000.0]).logsumexp(0)
    /// tensor(1000.6932)
    logsumexp(input; dim: Axes, keepdim: Bool = Arg::Bool(false)) Any {
        kernel(logsumexp_meta, logsumexp_run);
        vjp |g, [x], y| [open(g, x, &dim, keepdim) * &(x - &open(y, x, &dim, keepdim)).exp()];
        complex logsumexp_parts;
        batch shift;
    }
    /// `exp(x) / sum(exp(x))` along an axis.
    ///
    /// >>> schuss.tensor([0.0, 0.0]).softmax(0)
    /// tensor([0.5000, 0.5000])
    softmax(input; dim: Axis, dtype: MaybeDType = Arg::None) Any {
        kernel(softmax_meta, softmax_run);
        vjp |g, [x], y| [as_of(g.softmax_back(y, dim, false), x)];
        batch shift;
    }
    /// The logarithm of the softmax along an axis, exact also far out.
    ///
    /// >>> schuss.tensor([0.0, 0.0]).log_softmax(0)
    /// tensor([-0.6931, -0.6931])
    log_softmax(input; dim: Axis, dtype: MaybeDType = Arg::None) Any {
        kernel(log_softmax_meta, log_softmax_run);
        vjp |g, [x], y| [as_of(g.softmax_back(y, dim, true), x)];
        batch shift;
    }
    /// The cotangent of what a softmax, or its logarithm, was taken of: from the result's cotangent and the result.
    softmax_back(grad, result; dim: Axis, log: Bool = Arg::Bool(false)) Any {
        kernel(softmax_back_meta, softmax_back_run);
        rule softmax_back_back;
        batch shift;
        face hidden;
    }
}

/// What a record's result looks like, worked out by a rule that several share and that speaks in the record's name.
macro_rules! named {
    ($($meta:ident $name:ident $rule:ident),* $(,)?) => {$(
        fn $meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> { $rule(stringify!($name), ins, args) }
    )*};
}
pub(super) use named;
named!(
    sum_meta sum sum_shape,
    prod_meta prod sum_shape,
    any_meta any truth_shape,
    all_meta all truth_shape,
    variance_meta var float_shape,
    euclid_meta norm float_shape,
    nansum_meta nansum float_shape,
    softmax_meta softmax softmax_shape,
    log_softmax_meta log_softmax softmax_shape,
);

/// Elements up to which a repeated number is written out; more are a view without strides.
const SHORT: usize = 1 << 12;

fn repeated_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let shape = args[0].ints().iter().map(|&n| n as usize).collect();
    Ok(smallvec![Meta { shape, dtype: one(ins).dtype }])
}

fn repeated_run(call: &Call) -> Result<()> {
    let x = call.ins[0].ok_or_else(|| Error::bug("repeated", "no operand"))?;
    let scale = call.args[1].number().map_or(1.0, Number::as_f64);
    if trace::on() {
        return repeated_each_time(x, scale, &call.outs[0]);
    }
    let value = crate::backend::cpu::convert::element(&crate::backend::fetch(x)?, 0);
    if let Number::Complex(re, im) = value {
        return of(&x.storage).launch(&Launch::Fill { dst: &call.outs[0], value: Number::Complex(re * scale, im * scale) });
    }
    let value = value.as_f64();
    // As the product of the two would be, rounded to the operand's type.
    let value = if x.dtype == DType::F64 { value * scale } else { f64::from(value as f32 * scale as f32) };
    of(&x.storage).launch(&Launch::Fill { dst: &call.outs[0], value: Number::Float(value) })
}

/// The same as launches that read the number anew whenever they are run again.
fn repeated_each_time(x: &Operand, scale: f64, out: &Operand) -> Result<()> {
    let (shape, backend) = (&out.layout.shape, of(&x.storage));
    let wide = |x: &Operand| x.view(Layout::new(shape.clone(), Few::filled(0, shape.len()), x.layout.offset));
    let factor = Operand::new(backend, &[], x.dtype)?;
    backend.launch(&Launch::Fill { dst: &factor, value: Number::Float(scale) })?;
    let Body::Map(body) = &super::arith::mul::OP.body else { return Err(Error::bug("repeated", "a product is a map")) };
    let ins = [wide(x), wide(&factor)];
    backend.launch(&Launch::Map { body, compute: x.dtype.compute(), params: &[], ins: &ins, outs: std::slice::from_ref(out) })
}

pub(super) fn one(ins: &[Option<Meta>]) -> Meta {
    ins[0].clone().unwrap_or(Meta { shape: Few::new(), dtype: DType::F32 })
}

/// The shape that is left when axes are folded.
pub(super) fn folded(op: &str, x: &[usize], dim: &Arg, keepdim: bool) -> Result<(Few<usize>, Few<usize>)> {
    let axes = shape::axes(op, &dim.ints(), x.len()).map_err(|e| e.about(x))?;
    let left = (0..x.len())
        .filter_map(|i| {
            if !axes.contains(&i) {
                Some(x[i])
            } else if keepdim {
                Some(1)
            } else {
                None
            }
        })
        .collect();
    Ok((left, axes))
}

/// A cotangent of a folded tensor under the folded tensor's rank.
pub(super) fn open(g: &Sym, x: &Sym, dim: &[i64], keepdim: bool) -> Sym {
    if keepdim || x.rank() == g.rank() || g.rank() == 0 {
        return g.clone();
    }
    let (kept, _) = crate::graph::sym::must(folded("sum", &x.shape(), &Arg::from(dim), true));
    g.reshape(&kept)
}

/// A cotangent of a sum, scaled, for every element that was summed.
fn spread(g: &Sym, x: &Sym, dim: &[i64], keepdim: bool, scale: f64) -> Sym {
    let wide = if g.rank() == 0 && x.numel() <= SHORT && (!any_away() || g.device().is_cpu()) {
        g.repeated(&x.shape(), scale)
    } else {
        let g = if scale == 1.0 { g.clone() } else { g * scale };
        open(&g, x, dim, keepdim).expand(&x.shape())
    };
    as_of(wide, x)
}

/// A gradient in its operand's dtype: itself where it has it already.
pub(super) fn as_of(grad: Sym, x: &Sym) -> Sym {
    if grad.dtype() == x.dtype() { grad } else { grad.cast(x.dtype()) }
}

fn fold(call: &Call, kind: FoldKind, axes: &Few<usize>, correction: f64) -> Result<()> {
    let x = call.ins[0].ok_or_else(|| Error::bug("fold", "no operand"))?;
    let out = &call.outs[0];
    if x.dtype.is_complex() && matches!(kind, FoldKind::Sum | FoldKind::Mean) {
        // The parts are summed as reals, their axis kept.
        let (rank, both) = (x.layout.rank(), parts_of(x));
        let order: Vec<usize> = (0..rank).filter(|i| !axes.contains(i)).chain([rank]).chain(axes.iter().copied()).collect();
        let input = both.view(both.layout.permute(&order));
        return of(&x.storage).launch(&Launch::Fold { kind, input: &input, folded: axes.len(), correction, out: &parts_of(out) });
    }
    if axes.len() == x.layout.rank() {
        return of(&x.storage).launch(&Launch::Fold { kind, input: x, folded: axes.len(), correction, out });
    }
    let order: Vec<usize> = (0..x.layout.rank()).filter(|i| !axes.contains(i)).chain(axes.iter().copied()).collect();
    let input = x.view(x.layout.permute(&order));
    of(&x.storage).launch(&Launch::Fold { kind, input: &input, folded: axes.len(), correction, out })
}

pub(super) fn along(call: &Call, kind: FoldKind) -> Result<()> {
    let rank = call.ins[0].map_or(0, |x| x.layout.rank());
    let axes = shape::axes("fold", &call.args[0].ints(), rank)?;
    fold(call, kind, &axes, 0.0)
}

fn sum_shape(op: &str, ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let x = one(ins);
    let (shape, _) = folded(op, &x.shape, &args[0], args[1] == Arg::Bool(true))?;
    let dtype = match args[2] {
        Arg::DType(d) => d,
        _ if x.dtype.is_inexact() => x.dtype,
        _ => DType::I64,
    };
    Ok(smallvec![Meta { shape, dtype }])
}

/// The operand converted first where a dtype was asked for.
fn converted(call: &Call, dtype: &Arg) -> Result<Option<Operand>> {
    let x = call.ins[0].ok_or_else(|| Error::bug("fold", "no operand"))?;
    let Arg::DType(wanted) = *dtype else { return Ok(None) };
    let wider = wanted.is_inexact() != x.dtype.is_inexact() || wanted.is_complex() != x.dtype.is_complex();
    if !wider {
        return Ok(None);
    }
    let backend = of(&x.storage);
    let copy = Operand::new(backend, &x.layout.shape, wanted)?;
    backend.launch(&Launch::Copy { src: x, dst: &copy })?;
    Ok(Some(copy))
}

fn fold_as(call: &Call, kind: FoldKind) -> Result<()> {
    match converted(call, &call.args[2])? {
        Some(x) => along(&Call { ins: &[Some(&x)], outs: call.outs, args: call.args }, kind),
        None => along(call, kind),
    }
}

fn sum_run(call: &Call) -> Result<()> {
    fold_as(call, FoldKind::Sum)
}

fn prod_run(call: &Call) -> Result<()> {
    fold_as(call, FoldKind::Prod)
}

fn mean_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let x = one(ins);
    let (shape, _) = folded("mean", &x.shape, &args[0], args[1] == Arg::Bool(true))?;
    let dtype = if let Arg::DType(d) = args[2] { d } else { x.dtype };
    if let (Arg::DType(_), false) = (&args[2], dtype.is_inexact()) {
        return Err(Error::dtype("mean", format!("is a float, but dtype={dtype} was asked for; round or convert the mean itself")));
    }
    if !dtype.is_inexact() {
        return Err(Error::dtype("mean", format!("needs a float tensor, got {dtype}; use x.float().mean() or mean(dtype=schuss.float32)")));
    }
    Ok(smallvec![Meta { shape, dtype }])
}

fn mean_run(call: &Call) -> Result<()> {
    fold_as(call, FoldKind::Mean)
}

fn prod_back(pull: &Pull) -> Grads {
    // Each element's derivative is the product of the others: the running products from both sides, which a zero
    // element does not spoil as a division would.
    let (g, x) = (pull.grad(), &pull.ins[0]);
    let dims = pull.args[0].ints();
    let keepdim = pull.args[1] == Arg::Bool(true);
    let rank = x.rank();
    let axes = crate::graph::sym::must(shape::axes("prod", &dims, rank));
    let keep: Vec<usize> = (0..rank).filter(|i| !axes.contains(i)).collect();
    let order: Vec<i64> = keep.iter().chain(axes.iter()).map(|&i| i as i64).collect();
    let shape = x.shape();
    let n: usize = axes.iter().map(|&i| shape[i]).product();
    let mut flat: Vec<i64> = keep.iter().map(|&i| shape[i] as i64).collect();
    flat.push(n as i64);
    let rows = as_of(x.clone(), g).permute(&order[..]).reshape(&flat[..]);
    let last = flat.len() as i64 - 1;
    let mut edge = flat.clone();
    edge[last as usize] = n.min(1) as i64;
    let ones =
        (super::view::zeros_like(&rows) + 1.0).slice(vec![0i64; flat.len()].as_slice(), &edge[..], vec![1i64; flat.len()].as_slice());
    let shift = |t: &Sym| {
        let mut sizes = flat.clone();
        sizes[last as usize] = n.saturating_sub(1) as i64;
        let head = t.slice(vec![0i64; flat.len()].as_slice(), &sizes[..], vec![1i64; flat.len()].as_slice());
        let (ones, head) = (ones.tensor().clone(), head.tensor().clone());
        Sym::from(crate::graph::sym::must(super::moves::cat(&[&ones, &head], last)))
    };
    let before = shift(&running(&rows, last));
    let after = shift(&running(&rows.flip([last]), last)).flip([last]);
    let others = before * after;
    let opened: Vec<i64> = order.iter().map(|&i| shape[i as usize] as i64).collect();
    let mut back = vec![0i64; rank];
    order.iter().enumerate().for_each(|(i, &d)| back[d as usize] = i as i64);
    let others = others.reshape(&opened[..]).permute(&back[..]);
    let grad = as_of(spread_like(g, x, &dims, keepdim) * others, x);
    [Some(grad)].into_iter().collect()
}

fn spread_like(g: &Sym, x: &Sym, dim: &[i64], keepdim: bool) -> Sym {
    open(g, x, dim, keepdim).expand(&x.shape())
}

/// The running product written with products alone, so that its own derivative holds at zeros.
fn running(x: &Sym, axis: i64) -> Sym {
    let shape = x.shape();
    let (n, rank) = (shape[axis as usize], shape.len());
    let mut total = x.clone();
    let mut step = 1;
    while step < n {
        // Doubling: each element is multiplied by the product that ends `step` before it.
        let part = |start: usize, len: usize, t: &Sym| {
            let (mut starts, mut sizes): (Vec<i64>, Vec<i64>) = (vec![0; rank], shape.iter().map(|&s| s as i64).collect());
            starts[axis as usize] = start as i64;
            sizes[axis as usize] = len as i64;
            t.slice(&starts[..], &sizes[..], vec![1i64; rank].as_slice())
        };
        let head = part(0, step, &total);
        let tail = part(step, n - step, &total) * part(0, n - step, &total);
        total = Sym::from(crate::graph::sym::must(super::moves::cat(&[head.tensor(), tail.tensor()], axis)));
        step *= 2;
    }
    total
}

fn truth_shape(op: &str, ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let x = one(ins);
    let (shape, _) = folded(op, &x.shape, &args[0], args[1] == Arg::Bool(true))?;
    Ok(smallvec![Meta { shape, dtype: if x.dtype == DType::U8 { DType::U8 } else { DType::Bool } }])
}

fn any_run(call: &Call) -> Result<()> {
    truths(call, FoldKind::Any)
}

fn all_run(call: &Call) -> Result<()> {
    truths(call, FoldKind::All)
}

/// A complex number is true if one of its parts is not zero.
fn truths(call: &Call, kind: FoldKind) -> Result<()> {
    match call.ins[0].filter(|x| x.dtype.is_complex()) {
        Some(x) => {
            let flags = Operand::new(of(&x.storage), &x.layout.shape, DType::Bool)?;
            of(&x.storage).launch(&Launch::Copy { src: x, dst: &flags })?;
            along(&Call { ins: &[Some(&flags)], outs: call.outs, args: call.args }, kind)
        }
        None => along(call, kind),
    }
}

/// A fold of floats alone, which keeps their dtype; whether it keeps its axes, is said last.
fn float_shape(op: &str, ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let x = one(ins);
    if !x.dtype.is_float() {
        return Err(Error::no_float(op, "a float tensor", x.dtype));
    }
    let (shape, _) = folded(op, &x.shape, &args[0], args.last() == Some(&Arg::Bool(true)))?;
    Ok(smallvec![Meta { shape, dtype: x.dtype }])
}

fn variance_run(call: &Call) -> Result<()> {
    let rank = call.ins[0].map_or(0, |x| x.layout.rank());
    let axes = shape::axes("var", &call.args[0].ints(), rank)?;
    if call.ins[0].is_some_and(|x| x.numel() == 0) {
        // No number has no spread.
        let out = &call.outs[0];
        return of(&out.storage).launch(&Launch::Fill { dst: out, value: Number::Float(f64::NAN) });
    }
    fold(call, FoldKind::Var, &axes, call.args[1].number().map_or(1.0, Number::as_f64))
}

fn variance_back(pull: &Pull) -> Grads {
    let (g, x) = (pull.grad(), &pull.ins[0]);
    let dims = pull.args[0].ints();
    let correction = pull.args[1].number().map_or(1.0, Number::as_f64);
    let keepdim = pull.args[2] == Arg::Bool(true);
    let shape = x.shape();
    let axes = crate::graph::sym::must(shape::axes("var", &dims, shape.len()));
    let n: usize = axes.iter().map(|&i| shape[i]).product();
    let scale = 2.0 / (n as f64 - correction).max(0.0);
    let grad = open(g, x, &dims, keepdim) * (x - &x.mean(dims, true, ())) * scale;
    [Some(grad)].into_iter().collect()
}

fn euclid_run(call: &Call) -> Result<()> {
    along(call, FoldKind::Euclid)
}

fn nansum_run(call: &Call) -> Result<()> {
    along(call, FoldKind::NanSum)
}

fn euclid_back(pull: &Pull) -> Grads {
    let (g, x, y) = (pull.grad(), &pull.ins[0], &pull.outs[0]);
    let dims = pull.args[0].ints();
    let keepdim = pull.args[1] == Arg::Bool(true);
    let length = open(y, x, &dims, keepdim);
    let ratio = open(g, x, &dims, keepdim) * (x / &length);
    [Some(length.eq(&Sym::from(0.0)).where_(&Sym::from(0.0), &ratio))].into_iter().collect()
}

fn logsumexp_meta(ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let x = one(ins);
    let (shape, _) = folded("logsumexp", &x.shape, &args[0], args[1] == Arg::Bool(true))?;
    let dtype = if x.dtype.is_float() { x.dtype } else { dtype::default_float() };
    Ok(smallvec![Meta { shape, dtype }])
}

fn logsumexp_run(call: &Call) -> Result<()> {
    along(call, FoldKind::LogSumExp)
}

fn softmax_shape(op: &str, ins: &[Option<Meta>], args: &[Arg]) -> Result<Metas> {
    let x = one(ins);
    shape::axis(op, args[0].int().unwrap_or(0), x.shape.len())?;
    let dtype = match args[1] {
        Arg::DType(d) if !d.is_float() => return Err(Error::dtype(op, format!("dtype must be one of floats, got {d}"))),
        Arg::DType(d) => d,
        _ if !x.dtype.is_float() => return Err(Error::no_float(op, "a float tensor", x.dtype)),
        _ => x.dtype,
    };
    Ok(smallvec![Meta { shape: x.shape, dtype }])
}

/// An operand with one axis moved to the end.
pub(super) fn turned(x: &Operand, axis: usize) -> Operand {
    let rank = x.layout.rank();
    if rank == 0 {
        return x.view(x.layout.insert_axis(0));
    }
    let order: Vec<usize> = (0..rank).filter(|&i| i != axis).chain([axis]).collect();
    x.view(x.layout.permute(&order))
}

fn soft(call: &Call, log: bool) -> Result<()> {
    let x = super::view::operand(call, 0)?;
    let axis = shape::axis("softmax", call.args[0].int().unwrap_or(0), x.layout.rank())?;
    let (input, out) = (turned(x, axis), turned(&call.outs[0], axis));
    of(&x.storage).launch(&Launch::Softmax { log, input: &input, out: &out })
}

fn softmax_run(call: &Call) -> Result<()> {
    soft(call, false)
}

fn log_softmax_run(call: &Call) -> Result<()> {
    soft(call, true)
}

fn softmax_back_meta(ins: &[Option<Meta>], _args: &[Arg]) -> Result<Metas> {
    Ok(smallvec![one(ins)])
}

fn softmax_back_run(call: &Call) -> Result<()> {
    let (g, y) = (super::view::operand(call, 0)?, super::view::operand(call, 1)?);
    let axis = shape::axis("softmax", call.args[0].int().unwrap_or(0), g.layout.rank())?;
    let (grad, result, out) = (turned(g, axis), turned(y, axis), turned(&call.outs[0], axis));
    let log = call.args[1] == Arg::Bool(true);
    of(&g.storage).launch(&Launch::SoftmaxBack { log, grad: &grad, result: &result, out: &out })
}

/// With h the cotangent: both forms are linear in the first operand and not in the second.
fn softmax_back_back(pull: &Pull) -> Grads {
    let (h, g, y) = (pull.grad(), &pull.ins[0], &pull.ins[1]);
    let (dim, log) = (pull.args[0].int().unwrap_or(0), pull.args[1] == Arg::Bool(true));
    let mut grads = Grads::new();
    if log {
        let e = y.exp();
        grads.push(pull.needs.has(0).then(|| h - &(h * &e).sum([dim], true, ())));
        grads.push(pull.needs.has(1).then(|| -(h * &e * &g.sum([dim], true, ()))));
    } else {
        grads.push(pull.needs.has(0).then(|| h.softmax_back(y, dim, false)));
        grads.push(pull.needs.has(1).then(|| h * &(g - &(g * y).sum([dim], true, ())) - g * &(h * y).sum([dim], true, ())));
    }
    grads
}
