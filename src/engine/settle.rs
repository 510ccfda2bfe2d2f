//! What an operation is done in: dtypes promoted, shapes broadcast, operands brought to them, divisors checked. Leans on record's looks.

use super::record::Seen;
use crate::backend::cpu::convert::to_f64;
use crate::backend::{Launch, Operand, fetch, of};
use crate::base::shape::{self, Shape};
use crate::base::{DType, Error, Few, Layout, Number, Result};
use crate::graph::mode::Mode;
use crate::graph::op::Quirk;
use crate::graph::tensor::flag;
use crate::graph::{Arg, Class, Feed, Op, Pair};
use smallvec::SmallVec;

/// What promotion asks of one operand.
#[derive(Clone, Copy)]
pub(crate) enum Fact {
    Tensor { dtype: DType, rank: usize, flags: u8 },
    Number(Number),
    Absent,
}

impl Seen {
    fn fact(&self) -> Fact {
        match self {
            Seen::Tensor(l) => Fact::Tensor { dtype: l.operand.dtype, rank: l.operand.layout.rank(), flags: l.flags },
            Seen::Number(n) => Fact::Number(*n),
            Seen::Absent => Fact::Absent,
        }
    }
}

/// The compute dtype and the result's dtype of a map over these operands.
pub(crate) fn settle(op: &Op, seen: &Pair<Seen>, mode: Mode) -> Result<(DType, DType)> {
    let facts: SmallVec<[Fact; 3]> = seen.iter().map(Seen::fact).collect();
    weigh(op, &facts, mode)
}

/// The same for operands of which only the facts are at hand.
pub(crate) fn weigh(op: &Op, facts: &[Fact], mode: Mode) -> Result<(DType, DType)> {
    let (mut full, mut zero, mut number) = (None, None, None);
    let mut strict = 0;
    for fact in taking_part(op, facts) {
        match *fact {
            Fact::Tensor { dtype, rank, flags } => {
                strict |= flags & flag::STRICT;
                let slot: &mut Option<DType> = if rank > 0 { &mut full } else { &mut zero };
                *slot = Some(slot.map_or(dtype, |d| d.promote(dtype)));
            }
            Fact::Number(n) => number = Some(number.map_or(n.dtype(), |d: DType| d.promote(n.dtype()))),
            Fact::Absent => {}
        }
    }
    if strict != 0 {
        strictly(op, facts, number)?;
    }
    let mut common = DType::weigh(full, DType::weigh(zero, number)).unwrap_or(DType::F32);
    if op.quirk == Quirk::Masks {
        // A masked write keeps the dtype of what it is written to.
        match facts {
            [Fact::Tensor { dtype, .. }, Fact::Tensor { dtype: DType::Bool, .. }, ..] if common.is_complex() && !dtype.is_complex() => {
                return Err(Error::dtype(
                    op.name,
                    format!("a complex value cannot be written to a {dtype} tensor; use x.to({common}) first"),
                ));
            }
            [Fact::Tensor { dtype, .. }, Fact::Tensor { dtype: DType::Bool, .. }, ..] => common = *dtype,
            [_, Fact::Tensor { dtype, .. }, ..] => {
                return Err(Error::dtype(op.name, format!("the mask must be a bool tensor, got {dtype}")));
            }
            _ => {}
        }
    }
    if op.quirk == Quirk::Subtracts
        && facts.iter().any(|f| matches!(f, Fact::Tensor { dtype: DType::Bool, .. } | Fact::Number(Number::Bool(_))))
    {
        return Err(Error::dtype(op.name, "is not defined for bool; use x.int() first, or logical_not / logical_xor for truths"));
    }
    let common = if strict != 0 { full.or(zero).unwrap_or(common) } else { common };
    let refuse = |what: &str, hint: &str| Err(Error::dtype(op.name, format!("needs {what}, got {common}; {hint}")));
    let (compute, result) = match op.class {
        Class::Float => {
            let d = match common {
                d if d.is_inexact() => d,
                d if strict != 0 && d.size() < 4 => DType::F32,
                _ if strict != 0 => DType::F64,
                _ => crate::base::dtype::default_float(),
            };
            (d.compute(), d)
        }
        Class::Real if !full.or(zero).unwrap_or(common).is_inexact() || zero.is_some_and(|d| !d.is_inexact()) => {
            return Err(Error::no_float(op.name, "a float tensor", common));
        }
        Class::Number if op.quirk == Quirk::Counts && common == DType::Bool => (DType::I64, DType::I64),
        Class::Number | Class::Any | Class::Real => (common.compute(), common),
        Class::Arithmetic if common == DType::Bool => {
            return refuse("numbers", "use x.int() first, or logical_not / logical_xor for truths");
        }
        Class::Arithmetic => (common.compute(), common),
        Class::Integer if common.is_inexact() => return refuse("integers or truths", "use x.int() or x.long() first"),
        Class::Integer if common == DType::Bool && op.quirk == Quirk::Shifts => return refuse("integers", "use x.int() first"),
        Class::Integer => (common.compute(), common),
        Class::Compare => (common.compute(), DType::Bool),
        Class::Logic => (if mode.probe() { DType::U8 } else { DType::Bool }, DType::Bool),
        Class::Question => (if common.is_inexact() { common.compute() } else { DType::F64 }, DType::Bool),
    };
    let compute = if compute == DType::Bool { DType::U8 } else { compute };
    Ok((widened(op, facts, compute, result)?, result))
}

/// A plain integer that a narrow dtype cannot hold is not wrapped on its way in: the computation is done in int64, so
/// that comparisons and bounds are right; where the number itself would be stored, it is refused.
fn widened(op: &Op, facts: &[Fact], compute: DType, result: DType) -> Result<DType> {
    if compute.is_inexact() || compute == DType::I64 {
        return Ok(compute);
    }
    let beyond = |fact: &&Fact| matches!(fact, Fact::Number(Number::Int(i)) if !compute.holds(*i));
    match facts.iter().find(beyond) {
        Some(Fact::Number(n)) if matches!(op.quirk, Quirk::Chooses | Quirk::Masks) => Err(Error::runtime(
            op.name,
            format!("the value {} cannot be converted to {result} without overflow; convert the tensor with .long() first", n.as_i64()),
        )),
        Some(_) => Ok(DType::I64),
        None => Ok(compute),
    }
}

/// A condition and a mask choose, they do not take part in the promotion.
fn taking_part<'a>(op: &Op, facts: &'a [Fact]) -> impl Iterator<Item = &'a Fact> {
    let out = match op.quirk {
        Quirk::Chooses => 0,
        Quirk::Masks => 1,
        _ => usize::MAX,
    };
    facts.iter().enumerate().filter(move |(i, _)| *i != out).map(|(_, fact)| fact)
}

/// TensorFlow's rule: tensors of one operation have one dtype, and a plain number must be exact in it.
#[cold]
fn strictly(op: &Op, facts: &[Fact], number: Option<DType>) -> Result<()> {
    let dtypes: Vec<DType> =
        taking_part(op, facts).filter_map(|f| if let Fact::Tensor { dtype, .. } = f { Some(*dtype) } else { None }).collect();
    if let Some(pair) = dtypes.windows(2).find(|w| w[0] != w[1]) {
        return Err(Error::dtype(
            op.name,
            format!(
                "cannot compute with {} and {} tensors; all operands must have one dtype: use tf.cast(x, tf.{}) on the other",
                pair[0],
                pair[1],
                kept(pair[0], pair[1])
            ),
        ));
    }
    if let (Some(first), Some(DType::F32 | DType::F64)) = (dtypes.first(), number)
        && !first.is_inexact()
        && op.class != Class::Float
    {
        return Err(Error::new(
            crate::base::ErrorKind::Type,
            op.name,
            format!("a float cannot become {first}; use tf.cast(x, tf.float32) on the tensor first"),
        ));
    }
    Ok(())
}

/// A map's parameters, of which none may be complex where it computes with reals.
pub(crate) fn numbers(op: &Op, args: &[Arg], compute: DType) -> Result<Vec<Number>> {
    let params: Vec<Number> = args.iter().filter_map(Arg::number).collect();
    if !compute.is_complex() && params.iter().any(|n| n.is_complex()) {
        return Err(Error::runtime(
            op.name,
            format!("a complex number does not fit {compute}; use x.to(schuss.{}) first", compute.complex()),
        ));
    }
    Ok(params)
}

/// Of two dtypes the one that loses less of the other: a float before integers, the wider before the narrower.
fn kept(a: DType, b: DType) -> DType {
    let rank = |d: DType| (d.is_complex(), d.is_float(), d.size());
    if rank(b) > rank(a) { b } else { a }
}

/// The broadcast shape of all operands.
pub(crate) fn common_shape(op: &Op, seen: &Pair<Seen>) -> Result<Shape> {
    let mut shape: Option<Shape> = None;
    for look in seen.iter().filter_map(Seen::look) {
        let own = &look.operand.layout.shape;
        shape = Some(match shape {
            None => own.clone(),
            Some(s) if s == *own => s,
            Some(s) => shape::broadcast(op.name, &s, own)?,
        });
    }
    Ok(shape.unwrap_or_default())
}

/// The operands of a map under its shape, numbers as constants of the compute dtype.
pub(crate) fn spread(seen: &Pair<Seen>, shape: &[usize], compute: DType, op: &Op) -> Result<Vec<Operand>> {
    let mut ins = Vec::with_capacity(seen.len());
    for s in seen.iter() {
        ins.push(match s {
            Seen::Tensor(l) if l.operand.layout.shape[..] == *shape => l.operand.clone(),
            Seen::Tensor(l) => l.operand.view(l.operand.layout.broadcast_to(op.name, shape)?),
            Seen::Number(n) => constant(*n, compute, shape)?,
            // An absent bound of a clamp bounds nothing.
            Seen::Absent => return Err(Error::type_(op.name, "an operand is missing")),
        });
    }
    Ok(ins)
}

fn constant(n: Number, dtype: DType, shape: &[usize]) -> Result<Operand> {
    let one = Operand::new(&crate::backend::cpu::Cpu, &[], dtype)?;
    of(&one.storage).launch(&Launch::Fill { dst: &one, value: n })?;
    let layout = Layout::new(shape.into(), Few::filled(0, shape.len()), 0);
    Ok(one.view(layout))
}

/// Operands read as truths before they meet a loop of bytes.
pub(crate) fn as_truths(ins: Vec<Operand>) -> Result<Vec<Operand>> {
    ins.into_iter()
        .map(|x| {
            if matches!(x.dtype, DType::Bool | DType::U8) {
                return Ok(x);
            }
            let copy = Operand::new(of(&x.storage), &x.layout.shape, DType::Bool)?;
            of(&x.storage).launch(&Launch::Copy { src: &x, dst: &copy })?;
            Ok(copy)
        })
        .collect()
}

/// The bits of a truth are the truth: bitwise operators of truths alone are the logical ones.
#[inline]
pub(crate) fn of_truths(op: &'static Op, feeds: &[Feed]) -> &'static Op {
    use crate::ops::compare::{bitwise_and, bitwise_not, bitwise_or, bitwise_xor, logical_and, logical_not, logical_or, logical_xor};
    let truth = |feed: &Feed| matches!(feed, Feed::Tensor(t) if t.dtype() == DType::Bool);
    if op.class != Class::Integer || !feeds.iter().all(truth) {
        return op;
    }
    let pairs = [
        (&bitwise_not::OP, &logical_not::OP),
        (&bitwise_and::OP, &logical_and::OP),
        (&bitwise_or::OP, &logical_or::OP),
        (&bitwise_xor::OP, &logical_xor::OP),
    ];
    pairs.iter().find(|pair| std::ptr::eq(op, pair.0)).map_or(op, |pair| pair.1)
}

/// Integers are not divided by zero, and have no negative powers.
pub(crate) fn check_divisor(op: &Op, seen: &Pair<Seen>, compute: DType) -> Result<()> {
    if compute.is_inexact() {
        return Ok(());
    }
    let divides = op.quirk == Quirk::Divides;
    if !divides && op.quirk != Quirk::Raises {
        return Ok(());
    }
    let test = if divides { no_zero } else { no_negative };
    let operand = match seen.get(1) {
        Some(Seen::Number(n)) => constant(*n, DType::F64, &[])?,
        Some(Seen::Tensor(l)) => fetch(&l.operand)?,
        _ => return Ok(()),
    };
    of(&operand.storage).launch(&Launch::Demand { op: op.name, test, ins: std::slice::from_ref(&operand), numbers: &[] })
}

fn no_zero(op: &'static str, ins: &[Operand], _: &[i64]) -> Result<()> {
    if to_f64(&ins[0]).contains(&0.0) {
        return Err(Error::runtime(
            op,
            "ZeroDivisionError: an integer was divided by zero; use x.float() for inf and NaN, or take the zeros out",
        ));
    }
    Ok(())
}

fn no_negative(op: &'static str, ins: &[Operand], _: &[i64]) -> Result<()> {
    if to_f64(&ins[0]).into_iter().any(|v| v < 0.0) {
        return Err(Error::runtime(op, "integers to negative integer powers have no integer result; use x.float() first"));
    }
    Ok(())
}
