//! How operators run for many examples at once: axes counted one further on, shapes with the count in front, ranks made
//! equal behind it. Leans on graph and on the records of views and products.

use super::view::{cast, expand, permute, pick, reshape, transpose, view};
use super::{arith, linear as products};
use crate::base::{DType, Few, Result, shape};
use crate::graph::op::Quirk;
use crate::graph::tensor::emit;
use crate::graph::{Arg, Example, Examples, Feed, Op, Outs, ParamKind, Tensor};

impl Examples<'_> {
    /// The shape of one example.
    fn shape(&self, i: usize) -> Few<usize> {
        match &self.ins[i] {
            Example::Many(t) => t.shape()[1..].into(),
            Example::Same(Feed::Tensor(t)) => t.shape(),
            Example::Same(Feed::Operand(o)) => o.layout.shape.clone(),
            Example::Same(_) => Few::new(),
        }
    }
    fn rank(&self, i: usize) -> usize {
        self.shape(i).len()
    }
    fn is_many(&self, i: usize) -> bool {
        matches!(self.ins.get(i), Some(Example::Many(_)))
    }
    /// An operand with an axis of examples in front, repeated where it is the same for all; None for a number.
    fn many(&self, i: usize) -> Result<Option<Tensor>> {
        Ok(match &self.ins[i] {
            Example::Many(t) => Some((*t).clone()),
            Example::Same(Feed::Tensor(t)) => Some(repeat(t, self.count)?),
            Example::Same(Feed::Operand(o)) => Some(repeat(&Tensor::from_operand((*o).clone()), self.count)?),
            Example::Same(_) => None,
        })
    }
    /// All operands so; fed to an operator by `feeds`.
    fn all_many(&self) -> Result<Vec<Option<Tensor>>> {
        (0..self.ins.len()).map(|i| self.many(i)).collect()
    }
    /// What is fed: what was made for an operand, else the operand itself.
    pub fn feeds<'a>(&'a self, made: &'a [Option<Tensor>]) -> Vec<Feed<'a>> {
        let one = |(own, made): (&'a Example<'a>, &'a Option<Tensor>)| match (made, own) {
            (Some(t), _) => Feed::Tensor(t),
            (None, Example::Same(feed)) => *feed,
            (None, Example::Many(t)) => Feed::Tensor(t),
        };
        self.ins.iter().zip(made).map(one).collect()
    }
}

/// The same for all examples, along a first axis of stride 0.
pub fn repeat(t: &Tensor, count: usize) -> Result<Tensor> {
    expand(t, front(count, &t.shape()))
}

/// A shape behind the count of examples.
fn front(count: usize, sizes: &[usize]) -> Few<i64> {
    std::iter::once(count).chain(sizes.iter().copied()).map(|n| n as i64).collect()
}

/// Examples of a rank, by axes of size 1 before their own.
fn raised(t: &Tensor, rank: usize) -> Result<Tensor> {
    let sizes = t.shape();
    let own = sizes.len() - 1;
    if own >= rank {
        return Ok(t.clone());
    }
    // New axes behind the first; unlike a reshape this never copies.
    let full: Few<i64> = sizes.iter().map(|&n| n as i64).collect();
    let order: Few<i64> = std::iter::once(0).chain(std::iter::repeat_n(-1, rank - own)).chain(1..=own as i64).collect();
    pick(t, Few::filled(0i64, own + 1), full, Few::filled(1i64, own + 1), order)
}

/// Element by element: ranks are made equal, so that axes meet as they do for one example.
pub fn align(op: &'static Op, s: &Examples) -> Result<Outs> {
    let ranks: Vec<usize> = (0..s.ins.len()).map(|i| s.rank(i)).collect();
    let most = ranks.iter().copied().max().unwrap_or(0);
    let apart = |i: usize| op.quirk == Quirk::Chooses && i == 0 || op.quirk == Quirk::Masks && i == 1;
    let dtype = |i: usize| match &s.ins[i] {
        Example::Many(t) | Example::Same(Feed::Tensor(t)) => Some(t.dtype()),
        Example::Same(Feed::Operand(o)) => Some(o.dtype),
        Example::Same(_) => None,
    };
    let strong = (0..ranks.len()).filter(|&i| ranks[i] > 0 && !apart(i)).filter_map(dtype).reduce(DType::promote);
    let mut made = Vec::new();
    for (i, own) in s.ins.iter().enumerate() {
        made.push(match own {
            Example::Many(t) => {
                let mut t = raised(t, most)?;
                // One number for each example counts in the promotion as one number does.
                if let (0, Some(strong), false) = (ranks[i], strong, apart(i))
                    && t.dtype().category() <= strong.category()
                    && t.dtype() != strong
                {
                    t = cast(&t, strong)?;
                }
                Some(t)
            }
            Example::Same(Feed::Tensor(t)) if most == 0 => Some(view(*t, [1])?),
            Example::Same(_) => None,
        });
    }
    emit(op, &s.feeds(&made), s.args)
}

/// Axes are named by parameters, and counted one further on.
pub fn shift(op: &'static Op, s: &Examples) -> Result<Outs> {
    let rank = s.rank(0);
    let mut made = s.all_many()?;
    let mut args = s.args.to_vec();
    let mut whole = false;
    for (param, arg) in op.params.iter().zip(&mut args) {
        let along = |d: i64| shape::axis(op.name, d, rank).map(|d| d as i64 + 1);
        match (param.kind, &*arg) {
            (ParamKind::Axis | ParamKind::MaybeAxis, Arg::Int(d)) => *arg = Arg::Int(along(*d)?),
            (ParamKind::MaybeAxis, Arg::None) => {
                whole = true;
                *arg = Arg::Int(1);
            }
            (ParamKind::Axes, _) => {
                let named = arg.ints();
                let list = shape::axes(op.name, &named, rank)?;
                *arg = Arg::Ints(if rank == 0 { [1][..].into() } else { list.iter().map(|&d| d as i64 + 1).collect() });
            }
            _ => {}
        }
    }
    let keep = op.params.iter().position(|p| p.name == "keepdim").is_some_and(|i| s.args[i] == Arg::Bool(true));
    if whole || rank == 0 {
        for t in made.iter_mut().flatten() {
            let elements: usize = t.shape()[1..].iter().product();
            *t = reshape(&*t, [s.count as i64, elements as i64])?;
        }
    }
    let outs = emit(op, &s.feeds(&made), &args)?;
    if !whole && rank > 0 {
        return Ok(outs);
    }
    // Numbers were given an axis, or all axes became one: what is kept of it is taken away again.
    let wanted = if whole && keep { front(s.count, &vec![1; rank]) } else { front(s.count, &[]) };
    each_out(outs, |t| view(t, wanted.clone()))
}

fn each_out(outs: Outs, mut change: impl FnMut(&Tensor) -> Result<Tensor>) -> Result<Outs> {
    Ok(match outs {
        Outs::One(t) => Outs::One(change(&t)?),
        Outs::Many(list) => Outs::Many(list.iter().map(change).collect::<Result<_>>()?),
    })
}

/// The last axes are the operator's, and all before them are examples anyway.
pub fn lead(op: &'static Op, s: &Examples) -> Result<Outs> {
    let most = (0..s.ins.len()).map(|i| s.rank(i)).max().unwrap_or(0);
    let mut made = s.all_many()?;
    for t in made.iter_mut().flatten() {
        *t = raised(t, most)?;
    }
    emit(op, &s.feeds(&made), s.args)
}

/// The first parameter is the shape of the result.
pub fn sized(op: &'static Op, s: &Examples) -> Result<Outs> {
    let sizes = s.args[0].ints();
    let made = s.all_many()?;
    let x = made[0].as_ref().map(|t| if op.name == "expand" { raised(t, sizes.len()) } else { Ok(t.clone()) }).transpose()?;
    let full: Few<i64> = std::iter::once(s.count as i64).chain(sizes.iter().copied()).collect();
    emit(op, &s.feeds(&[x]), &[Arg::Ints(full)])
}

/// The axes in another order.
pub fn ordered(op: &'static Op, s: &Examples) -> Result<Outs> {
    let rank = s.rank(0);
    let order = s.args[0].ints();
    let moved = order.iter().map(|&d| shape::axis(op.name, d, rank).map(|d| d as i64 + 1)).collect::<Result<Vec<_>>>()?;
    let full: Few<i64> = std::iter::once(0).chain(moved).collect();
    emit(op, &s.feeds(&s.all_many()?), &[Arg::Ints(full)])
}

/// A list of axes that are turned over.
pub fn flipped(op: &'static Op, s: &Examples) -> Result<Outs> {
    let rank = s.rank(0);
    if rank == 0 {
        return emit(op, &s.feeds(&s.all_many()?), &[Arg::Ints(Few::new())]);
    }
    let axes = s.args[0].ints().iter().map(|&d| shape::axis(op.name, d, rank).map(|d| d as i64 + 1)).collect::<Result<Few<_>>>()?;
    emit(op, &s.feeds(&s.all_many()?), &[Arg::Ints(axes)])
}

/// A new axis, which may stand behind the last.
pub fn opened(op: &'static Op, s: &Examples) -> Result<Outs> {
    let at = shape::axis(op.name, s.args[0].int().unwrap_or(0), s.rank(0) + 1)?;
    emit(op, &s.feeds(&s.all_many()?), &[Arg::Int(at as i64 + 1)])
}

/// Starts, sizes and steps of the axes, and their order where one is given.
pub fn cut(op: &'static Op, s: &Examples) -> Result<Outs> {
    let firsts = [0, s.count as i64, 1];
    let put = |(k, arg): (usize, &Arg)| {
        let own = arg.ints();
        Arg::Ints(match firsts.get(k) {
            Some(&first) => std::iter::once(first).chain(own.iter().copied()).collect(),
            None => std::iter::once(0).chain(own.iter().map(|&axis| if axis >= 0 { axis + 1 } else { axis })).collect(),
        })
    };
    let args: Vec<Arg> = s.args.iter().enumerate().map(put).collect();
    emit(op, &s.feeds(&s.all_many()?), &args)
}

/// A window over the storage: every example has the same one, as far on as the example is.
pub fn strided(op: &'static Op, s: &Examples) -> Result<Outs> {
    let made = s.all_many()?;
    let step = made[0].as_ref().map_or(0, |t| t.layout().strides[0]) as i64;
    let with = |first: i64, rest: &Arg| Arg::Ints(std::iter::once(first).chain(rest.ints().iter().copied()).collect());
    emit(op, &s.feeds(&made), &[with(s.count as i64, &s.args[0]), with(step, &s.args[1]), s.args[2].clone()])
}

/// A window on row-major elements: those of an example follow those of the one before.
pub fn windowed(op: &'static Op, s: &Examples) -> Result<Outs> {
    let with = |first: usize, rest: &Arg| Arg::Ints(std::iter::once(first as i64).chain(rest.ints().iter().copied()).collect());
    let args = match s.args {
        [whole, size, stride, offset] => {
            let elements = whole.ints().iter().product::<i64>() as usize;
            vec![with(s.count, whole), with(s.count, size), with(elements, stride), offset.clone()]
        }
        [size, stride, offset] => {
            let elements = s.shape(0).iter().product();
            vec![with(s.count, size), with(elements, stride), offset.clone()]
        }
        other => other.to_vec(),
    };
    emit(op, &s.feeds(&s.all_many()?), &args)
}

/// One number of each example, as often as a shape has elements.
pub fn repeated(_op: &'static Op, s: &Examples) -> Result<Outs> {
    let sizes: Few<usize> = s.args[0].ints().iter().map(|&n| n as usize).collect();
    let Some(x) = s.many(0)? else { return Ok(Outs::Many(Vec::new())) };
    let wide = expand(&raised(&x, sizes.len())?, front(s.count, &sizes))?;
    let scale = s.args[1].number().unwrap_or(crate::base::Number::Int(1));
    arith::mul(&wide, scale).map(Outs::One)
}

/// The axis at one place moved to another.
fn moved(x: &Tensor, from: usize, to: usize) -> Result<Tensor> {
    let mut order: Vec<i64> = (0..x.rank() as i64).collect();
    let axis = order.remove(from);
    order.insert(to, axis);
    permute(x, &order[..])
}

/// Elements at places: the example is one place more.
pub fn taken(op: &'static Op, s: &Examples) -> Result<Outs> {
    let (axes, in_front) = (s.args[0].ints(), s.args[1] == Arg::Bool(true));
    let at = if in_front { 0 } else { axes.first().copied().unwrap_or(0) as usize };
    let further: Few<i64> = axes.iter().map(|&a| a + 1).collect();
    let picks = (1..s.ins.len()).map(|i| s.rank(i)).max().unwrap_or(0);
    if !(1..s.ins.len()).any(|i| s.is_many(i)) {
        // The same places of every example: only where they come to stand differs.
        let out = emit(op, &s.feeds(&vec![None; s.ins.len()]), &[Arg::Ints(further), Arg::Bool(in_front), s.args[2].clone()])?;
        return if in_front { each_out(out, |t| moved(t, picks, 0)) } else { Ok(out) };
    }
    let mut made = vec![s.many(0)?];
    let device = made[0].as_ref().map_or(crate::base::Device::Cpu, Tensor::device);
    for i in 1..s.ins.len() {
        made.push(if s.is_many(i) { s.many(i)?.map(|t| raised(&t, picks)).transpose()? } else { None });
    }
    let numbers = places(s.count, picks, device)?;
    let feeds = s.feeds(&made);
    let full: Vec<Feed> = std::iter::once(feeds[0]).chain([Feed::Tensor(&numbers)]).chain(feeds[1..].iter().copied()).collect();
    let all: Few<i64> = std::iter::once(0).chain(further.iter().copied()).collect();
    // All index axes stand in front, the examples first among them; the rest of them goes to its place.
    let out = emit(op, &full, &[Arg::Ints(all), Arg::Bool(true), s.args[2].clone()])?;
    each_out(out, |t| {
        let mut t = t.clone();
        for _ in 0..if at == 0 { 0 } else { picks } {
            t = moved(&t, 1, picks + at)?;
        }
        Ok(t)
    })
}

/// The numbers of the examples, as an index beside others of a rank.
fn places(count: usize, rank: usize, device: crate::base::Device) -> Result<Tensor> {
    let one = arith::add(super::view::scalar(DType::I64, device).tensor(), 1)?;
    let steps = super::running::cumsum(&expand(&one, [count as i64])?, 0, ())?;
    let mut sizes = vec![1i64; rank + 1];
    sizes[0] = count as i64;
    reshape(&arith::sub(&steps, 1)?, &sizes[..])
}

/// Products of matrices; a vector is a matrix for the time of it.
pub fn product(op: &'static Op, s: &Examples) -> Result<Outs> {
    let (ra, rb) = (s.rank(0), s.rank(1));
    if ra == 0 || rb == 0 {
        return emit(op, &s.feeds(&s.all_many()?), s.args);
    }
    let whole = |i: usize| -> Result<Tensor> {
        match &s.ins[i] {
            Example::Many(t) => Ok((*t).clone()),
            Example::Same(Feed::Tensor(t)) => Ok((*t).clone()),
            Example::Same(Feed::Operand(o)) => Ok(Tensor::from_operand((*o).clone())),
            Example::Same(_) => Err(crate::base::Error::bug(op.name, "a number in a product of matrices")),
        }
    };
    let (mut a, mut b) = (whole(0)?, whole(1)?);
    if op.name == "turned" {
        a = transpose(&a, -1, -2)?;
    }
    // One matrix for all vectors, or for all rows: a single product.
    if !s.is_many(1) && ra == 1 && rb == 2 {
        return products::matmul(&a, &b).map(Outs::One);
    }
    if !s.is_many(0) && ra == 2 && rb == 1 {
        return products::matmul(&b, &transpose(&a, 0, 1)?).map(Outs::One);
    }
    let most = ra.max(rb).max(2);
    if ra == 1 {
        a = super::view::unsqueeze(&a, -2)?;
    }
    if rb == 1 {
        b = super::view::unsqueeze(&b, -1)?;
    }
    if s.is_many(0) {
        a = raised(&a, most)?;
    }
    if s.is_many(1) {
        b = raised(&b, most)?;
    }
    let mut out = products::matmul(&a, &b)?;
    if rb == 1 {
        out = super::view::squeeze(&out, [-1])?;
    }
    if ra == 1 {
        out = super::view::squeeze(&out, [if rb == 1 { -1 } else { -2 }])?;
    }
    Ok(Outs::One(out))
}

/// The affine map of a layer.
pub fn affine(op: &'static Op, s: &Examples) -> Result<Outs> {
    if !s.is_many(1) && !s.is_many(2) {
        return emit(op, &s.feeds(&vec![None; s.ins.len()]), s.args);
    }
    let turned = match &s.ins[1] {
        Example::Many(t) => transpose(*t, -1, -2)?,
        Example::Same(Feed::Tensor(t)) => transpose(*t, -1, -2)?,
        Example::Same(other) => transpose(*other, -1, -2)?,
    };
    let weight = if s.is_many(1) { Example::Many(&turned) } else { Example::Same(Feed::Tensor(&turned)) };
    let both = s.is_many(0) || s.is_many(1);
    let pair = Examples { count: s.count, ins: &[s.ins[0], weight], args: &[] };
    let made = if both {
        product(&products::matmul::OP, &pair)?.one()
    } else {
        emit(&products::matmul::OP, &pair.feeds(&[None, None]), &[])?.one()
    };
    if matches!(s.ins.get(2), None | Some(Example::Same(Feed::Absent))) {
        return Ok(Outs::One(made));
    }
    let sum = if both { Example::Many(&made) } else { Example::Same(Feed::Tensor(&made)) };
    align(&arith::add::OP, &Examples { count: s.count, ins: &[sum, s.ins[2]], args: &[] })
}

/// Convolutions: more images under one kernel, or more groups of channels where each example has its own.
pub fn convolved(op: &'static Op, s: &Examples) -> Result<Outs> {
    let count = s.count as i64;
    let own = |sizes: &[usize]| -> Vec<i64> { sizes.iter().map(|&n| n as i64).collect() };
    let Some(x) = s.many(0)? else { return Err(crate::base::Error::bug(op.name, "an image is missing")) };
    let sizes = own(&x.shape());
    if !s.is_many(1) && !s.is_many(2) {
        let merged = reshape(&x, &[&[sizes[0] * sizes[1]], &sizes[2..]].concat()[..])?;
        let out = emit(op, &s.feeds(&[Some(merged), None, None][..s.ins.len()]), s.args)?;
        return each_out(out, |t| reshape(t, &[&[count, sizes[1]], &own(&t.shape())[1..]].concat()[..]));
    }
    let Some(w) = s.many(1)? else { return Err(crate::base::Error::bug(op.name, "a kernel is missing")) };
    let kernels = own(&w.shape());
    let side_by_side = reshape(&transpose(&x, 0, 1)?, &[&[sizes[1], count * sizes[2]], &sizes[3..]].concat()[..])?;
    let stacked = reshape(&w, &[&[count * kernels[1]], &kernels[2..]].concat()[..])?;
    let bias =
        if matches!(s.ins.get(2), Some(Example::Same(Feed::Absent))) { None } else { s.many(2)?.map(|b| reshape(&b, [-1])).transpose()? };
    let mut args = s.args.to_vec();
    args[3] = Arg::Int(args[3].int().unwrap_or(1) * count);
    let out = emit(op, &s.feeds(&[Some(side_by_side), Some(stacked), bias][..s.ins.len()]), &args)?;
    each_out(out, |t| {
        let made = own(&t.shape());
        transpose(&reshape(t, &[&[made[0], count, kernels[1]], &made[2..]].concat()[..])?, 0, 1)
    })
}
