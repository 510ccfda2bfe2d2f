//! Indexing, read and write: integers, slices, None, Ellipsis, masks and index tensors, mixed. Leans on ops and engine's writes.

use crate::backend::cpu::gather;
use crate::backend::trace;
use crate::base::{DType, Error, Few, Result, shape};
use crate::engine::write;
use crate::graph::{Arg, Feed, Tensor};
use crate::ops;
use std::sync::Arc;

/// One entry between the brackets.
#[derive(Clone)]
pub enum Item {
    Int(i64),
    Slice(Option<i64>, Option<i64>, Option<i64>),
    NewAxis,
    Ellipsis,
    Tensor(Tensor),
    Bool(bool),
}

/// An index taken apart: a view, and the tensors that address its axes.
struct Parts {
    view: Tensor,
    indices: Vec<Tensor>,
    axes: Few<i64>,
    front: bool,
}

fn consumed(item: &Item) -> usize {
    match item {
        Item::Int(_) | Item::Slice(..) => 1,
        Item::NewAxis | Item::Ellipsis | Item::Bool(_) => 0,
        Item::Tensor(t) if is_mask(t) => t.rank(),
        Item::Tensor(_) => 1,
    }
}

fn is_mask(t: &Tensor) -> bool {
    t.dtype() == DType::Bool
}

/// Start, count and step of a Python slice over `size` elements.
fn resolve(start: Option<i64>, stop: Option<i64>, step: Option<i64>, size: i64) -> Result<(i64, i64, i64)> {
    let step = step.unwrap_or(1);
    if step == 0 {
        return Err(Error::value("index", "a slice's step cannot be 0"));
    }
    let fix = |v: i64, low: i64, high: i64| (if v < 0 { v.saturating_add(size) } else { v }).clamp(low, high);
    if step > 0 {
        let (a, b) = (start.map_or(0, |v| fix(v, 0, size)), stop.map_or(size, |v| fix(v, 0, size)));
        let n = if b > a { (b - a - 1) / step + 1 } else { 0 };
        Ok((a, n, step))
    } else {
        let (a, b) = (start.map_or(size - 1, |v| fix(v, -1, size - 1)), stop.map_or(-1, |v| fix(v, -1, size - 1)));
        let n = if a > b { (a - b - 1) / step.saturating_neg() + 1 } else { 0 };
        Ok((a.max(0), n, step))
    }
}

fn take_apart(x: &Tensor, items: &[Item]) -> Result<Parts> {
    let sizes = x.shape();
    let rank = sizes.len();
    let used: usize = items.iter().map(consumed).sum();
    let dots = items.iter().filter(|i| matches!(i, Item::Ellipsis)).count();
    if dots > 1 {
        return Err(Error::index("index", "an index can have only a single ellipsis ('...')"));
    }
    if used > rank {
        return Err(Error::index(
            "index",
            format!("too many indices for a tensor of shape {}: {used} for {rank} axes", shape::show(&sizes)),
        ));
    }
    let (mut starts, mut counts, mut steps) =
        (Few::filled(0i64, rank), sizes.iter().map(|&s| s as i64).collect::<Few<i64>>(), Few::filled(1i64, rank));
    let mut order: Few<i64> = Few::new();
    let mut axis = 0usize;
    let mut tensors: Vec<(usize, Tensor)> = Vec::new();
    let mut plain = true;
    for item in items {
        match item {
            Item::Int(i) => {
                let size = sizes[axis] as i64;
                if *i < -size || *i >= size {
                    return Err(shape::outside("index", *i, axis, &sizes));
                }
                starts[axis] = if *i < 0 { i + size } else { *i };
                counts[axis] = 1;
                axis += 1;
                plain = false;
            }
            Item::Slice(a, b, c) => {
                let (start, n, step) = resolve(*a, *b, *c, sizes[axis] as i64)?;
                plain &= start == 0 && n == sizes[axis] as i64 && step == 1;
                (starts[axis], counts[axis], steps[axis]) = (start, n, step);
                order.push(axis as i64);
                axis += 1;
            }
            Item::NewAxis => {
                order.push(-1);
                plain = false;
            }
            Item::Ellipsis => {
                for _ in 0..rank - used {
                    order.push(axis as i64);
                    axis += 1;
                }
            }
            Item::Bool(b) => {
                // A plain truth adds an axis of size 1 and masks it.
                order.push(-1);
                plain = false;
                let one = Tensor::full(&[usize::from(*b)], 0i64, DType::I64)?;
                tensors.push((order.len() - 1, one));
            }
            Item::Tensor(t) if is_mask(t) => {
                let own = t.shape();
                let against = &sizes[axis..axis + own.len()];
                if let Some(k) = (0..own.len()).find(|&k| own[k] != against[k]) {
                    return Err(Error::index(
                        "index",
                        format!(
                            "the mask of shape {} does not fit the tensor of shape {} at axis {}: sizes {} and {} differ",
                            shape::show(&own),
                            shape::show(&sizes),
                            axis + k,
                            own[k],
                            against[k]
                        ),
                    ));
                }
                if own.is_empty() {
                    order.push(-1);
                    plain = false;
                    let yes = t.item()?.truth();
                    tensors.push((order.len() - 1, Tensor::full(&[usize::from(yes)], 0i64, DType::I64)?));
                    continue;
                }
                reachable(t, x)?;
                for (k, list) in gather::nonzero(&crate::backend::fetch(&t.operand())?).into_iter().enumerate() {
                    order.push((axis + k) as i64);
                    tensors.push((order.len() - 1, Tensor::from_slice(&list, &[list.len()])?));
                }
                axis += own.len();
            }
            Item::Tensor(t) => {
                if !t.dtype().is_int() {
                    return Err(Error::index(
                        "index",
                        format!("tensors used as indices must be integers or bool, got {}; use x.long()", t.dtype()),
                    ));
                }
                order.push(axis as i64);
                tensors.push((order.len() - 1, t.clone()));
                axis += 1;
            }
        }
    }
    while axis < rank {
        order.push(axis as i64);
        axis += 1;
    }
    let view = if plain { x.clone() } else { ops::view::pick(x, starts, counts, steps, order)? };
    for (_, t) in &mut tensors {
        reachable(t, x)?;
        *t = t.to_device(x.device())?;
    }
    let axes: Few<i64> = tensors.iter().map(|(a, _)| *a as i64).collect();
    let front = axes.windows(2).any(|w| w[1] != w[0] + 1);
    Ok(Parts { view, indices: tensors.into_iter().map(|(_, t)| t).collect(), axes, front })
}

/// An index lies where the tensor does, or on the processor.
fn reachable(index: &Tensor, x: &Tensor) -> Result<()> {
    let (own, there) = (index.device(), x.device());
    if own == there || own.is_cpu() {
        return Ok(());
    }
    Err(Error::device(
        "index",
        format!(
            "the index of shape {} lies on {own}, the tensor of shape {} on {there}; an index must lie on the tensor's device or on \
             the processor: use index.to(\"{there}\")",
            shape::show(&index.shape()),
            shape::show(&x.shape())
        ),
    ))
}

/// `x[items]`: a view for basic indexing, a copy where tensors choose.
pub fn get(x: &Tensor, items: &[Item]) -> Result<Tensor> {
    let parts = take_apart(x, items)?;
    if parts.indices.is_empty() {
        if parts.view.same(x) {
            return ops::view::view(x, &x.shape());
        }
        return Ok(parts.view);
    }
    let mut list = vec![&parts.view];
    list.extend(&parts.indices);
    ops::index::take_at(&list, parts.axes, parts.front, true)
}

/// What an assignment to an item is called where it is refused.
const SET: &str = "item assignment";

/// The mask of leading axes that is all there is of an index, as wide as the tensor: nobody need look where it is true.
fn mask_alone(x: &Tensor, items: &[Item]) -> Result<Option<Tensor>> {
    let [Item::Tensor(t)] = items else { return Ok(None) };
    let (own, sizes) = (t.shape(), x.shape());
    if !is_mask(t) || own.is_empty() || !sizes.starts_with(&own) {
        return Ok(None);
    }
    reachable(t, x)?;
    let mask = t.to_device(x.device())?;
    let wide: Few<usize> = own.iter().copied().chain(std::iter::repeat_n(1, sizes.len() - own.len())).collect();
    if wide.len() == own.len() { Ok(Some(mask)) } else { ops::view::reshape(&mask, &wide).map(Some) }
}

/// `x[items] = value`.
pub fn set(x: &Tensor, items: &[Item], value: Feed) -> Result<()> {
    // One number for all places that a mask has: nobody need count them.
    let one = match &value {
        Feed::Number(n) => Some(Feed::Number(fitting(*n, x.dtype())?)),
        Feed::Tensor(t)
            if t.rank() == 0 && t.dtype() == x.dtype() && t.device() == x.device() && !Arc::ptr_eq(&t.storage(), &x.storage()) =>
        {
            Some(Feed::Tensor(t))
        }
        _ => None,
    };
    if let Some(one) = one
        && let Some(mask) = mask_alone(x, items)?
    {
        let done = write::apply(&ops::arith::masked_fill::OP, x, &[x.into(), (&mask).into(), one], &[]);
        return done.map_err(|e| e.named(SET));
    }
    if trace::on() && items.iter().any(|i| matches!(i, Item::Tensor(t) if is_mask(t))) {
        trace::fault_for("the step writes where a mask says (x[mask] = values)", trace::instead::MASKED.into());
    }
    let parts = take_apart(x, items)?;
    if parts.indices.is_empty() {
        if let Feed::Tensor(v) = value {
            let (have, want) = (v.shape(), parts.view.shape());
            // Leading axes of size 1 are of no account in an assignment.
            let lead = have.len().saturating_sub(want.len());
            if lead > 0 && have[..lead].iter().all(|&s| s == 1) {
                return write::copy_as(SET, &parts.view, (&ops::view::reshape(v, &have[lead..])?).into());
            }
        }
        return write::copy_as(SET, &parts.view, value);
    }
    let values = match value {
        Feed::Tensor(t) => t.to_dtype(x.dtype())?,
        Feed::Operand(o) => Tensor::from_operand(o.clone()).to_dtype(x.dtype())?,
        Feed::Number(n) => Tensor::full(&[], fitting(n, x.dtype())?, x.dtype())?.to_device(x.device())?,
        Feed::Absent => return Err(Error::type_(SET, "there is nothing to write")),
    };
    put(SET, &parts, &values, false)
}

/// A number as an element type holds it: an integer tensor takes the integer part.
fn fitting(n: crate::base::Number, dtype: DType) -> Result<crate::base::Number> {
    use crate::base::Number;
    Ok(match n {
        Number::Float(f) if f.is_nan() && dtype.is_int() => {
            return Err(Error::value(SET, format!("NaN has no {dtype} value")));
        }
        Number::Int(i) if dtype.is_int() && !dtype.holds(i) => {
            return Err(Error::runtime(SET, format!("the integer {i} does not fit {dtype}; write a number it can hold")));
        }
        Number::Float(f) if dtype.is_int() => Number::Int(f as i64),
        other => other,
    })
}

fn put(op: &str, parts: &Parts, values: &Tensor, add: bool) -> Result<()> {
    let indices: Vec<&Tensor> = parts.indices.iter().collect();
    let args = [Arg::Ints(parts.axes.clone()), Arg::Bool(parts.front), Arg::Bool(add)];
    write::put_(op, &parts.view, values, &indices, &args)
}

/// `x.index_put_(indices, values, accumulate)`.
pub fn index_put_(x: &Tensor, items: &[Item], values: &Tensor, add: bool) -> Result<()> {
    let parts = take_apart(x, items)?;
    if parts.indices.is_empty() {
        return Err(Error::index("index_put_", "needs at least one index tensor"));
    }
    put("index_put_", &parts, values, add)
}
