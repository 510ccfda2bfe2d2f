//! Python values to feeds, parameters and shapes. Leans on graph's arguments and the tensor class.

use super::tensor::PyTensor;
use super::{data, dtype, given};
use crate::base::{DType, Error, Few, Number};
use crate::graph::{Arg, Feed, ParamKind, Tensor};
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyComplex, PyFloat, PyInt, PyList, PySequence, PyString, PyTuple};

/// A feed: what was made for it is its own, a tensor that was there is only looked at.
pub enum Fed<'a> {
    There(&'a Tensor),
    Tensor(Tensor),
    Number(Number),
    Absent,
}

impl Fed<'_> {
    #[inline]
    pub fn feed(&self) -> Feed<'_> {
        match self {
            Fed::There(t) => Feed::Tensor(t),
            Fed::Tensor(t) => Feed::Tensor(t),
            Fed::Number(n) => Feed::Number(*n),
            Fed::Absent => Feed::Absent,
        }
    }
}

/// A plain Python number, or None.
#[inline]
pub fn number(x: &Bound<'_, PyAny>) -> PyResult<Option<Number>> {
    if let Ok(f) = x.cast_exact::<PyFloat>() {
        return Ok(Some(Number::Float(f.value())));
    }
    if let Ok(b) = x.cast_exact::<PyBool>() {
        return Ok(Some(Number::Bool(b.is_true())));
    }
    if x.is_instance_of::<PyInt>() {
        return match x.extract::<i64>() {
            Ok(i) => Ok(Some(Number::Int(i))),
            Err(_) => Err(PyOverflowError::new_err(format!("the integer {x} does not fit int64; use a float"))),
        };
    }
    if let Ok(f) = x.cast::<PyFloat>() {
        return Ok(Some(Number::Float(f.value())));
    }
    if let Ok(z) = x.cast::<PyComplex>() {
        return Ok(Some(Number::Complex(z.real(), z.imag())));
    }
    given::value(x)
}

/// What an operator can be fed with: a tensor, a number, an array; None for anything else.
#[inline]
pub fn feed<'a>(x: &'a Bound<'_, PyAny>) -> PyResult<Option<Fed<'a>>> {
    if let Ok(t) = x.cast::<PyTensor>() {
        return Ok(Some(Fed::There(t.get().get_ref())));
    }
    if let Some(n) = number(x)? {
        return Ok(Some(Fed::Number(n)));
    }
    if data::is_array(x) {
        return data::to_tensor(x, None).map(|t| Some(Fed::Tensor(t)));
    }
    Ok(None)
}

pub fn describe(x: &Bound<'_, PyAny>) -> String {
    x.get_type().name().map(|n| n.to_string()).unwrap_or_else(|_| "an object".into())
}

pub fn must_feed<'a>(op: &str, name: &str, x: &'a Bound<'_, PyAny>) -> PyResult<Fed<'a>> {
    feed(x)?.ok_or_else(|| of_type(op, format!("{name} must be a Tensor or a number, got {}", describe(x))))
}

/// A number or a 0-d tensor.
pub fn single<'a>(op: &str, name: &str, x: &'a Bound<'_, PyAny>) -> PyResult<Fed<'a>> {
    let fed = must_feed(op, name, x)?;
    if let Feed::Tensor(t) = fed.feed()
        && t.rank() > 0
    {
        let shape = crate::base::shape::show(&t.shape());
        return Err(Error::shape(op, format!("{name} must be a number or a 0-d tensor, got one of shape {shape}")).into());
    }
    Ok(fed)
}

pub fn tensor(op: &str, name: &str, x: &Bound<'_, PyAny>) -> PyResult<Tensor> {
    match x.cast::<PyTensor>() {
        Ok(t) => Ok(t.get().tensor()),
        Err(_) if data::is_array(x) => data::to_tensor(x, None),
        Err(_) => Err(of_type(op, format!("{name} must be a Tensor, got {}; use schuss.tensor(...) first", describe(x)))),
    }
}

/// A tensor as it stands, or one made of an array.
#[inline]
pub fn must_tensor<'a>(op: &str, name: &str, x: &'a Bound<'_, PyAny>) -> PyResult<Fed<'a>> {
    match x.cast::<PyTensor>() {
        Ok(t) => Ok(Fed::There(t.get().get_ref())),
        Err(_) => tensor(op, name, x).map(Fed::Tensor),
    }
}

/// An argument of the wrong kind, in the name of the function that was called.
#[cold]
pub fn of_type(op: &str, message: String) -> PyErr {
    Error::type_(op, message).into()
}

/// A list of tensors from any sequence.
pub fn tensors(op: &str, x: &Bound<'_, PyAny>) -> PyResult<Vec<Tensor>> {
    if x.cast::<PyTensor>().is_ok() || x.cast::<PyList>().is_err() && x.cast::<PyTuple>().is_err() && x.cast::<PySequence>().is_err() {
        return Err(of_type(op, format!("expected a list or tuple of Tensors, got {}", describe(x))));
    }
    let mut list = Vec::new();
    for (i, item) in x.try_iter()?.enumerate() {
        let item = item?;
        list.push(tensor(op, &format!("element {i}"), &item)?);
    }
    Ok(list)
}

/// The refusal of a keyword that a function has not: the nearest that it has, and its form.
#[cold]
pub fn unknown<'a>(op: &str, key: &str, known: impl Iterator<Item = &'a str>, form: &str) -> PyErr {
    let near = known.map(|k| (distance(key, k), k)).min().filter(|&(d, k)| d <= 2.min(k.len() / 2 + 1));
    let guess = near.map_or(String::new(), |(_, k)| format!(" (did you mean {k}?)"));
    PyTypeError::new_err(format!("{op}() has no argument {key}{guess}; its form is {form}"))
}

/// How many letters must be changed, added, left out or exchanged with their neighbour to come from one word to another
/// (Damerau 1964).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = change.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// The keyword `requires_grad`; another value than a truth is more likely in the wrong place than meant.
pub fn requires_grad(x: &Bound<'_, PyAny>) -> PyResult<bool> {
    match x.cast::<PyBool>() {
        Ok(b) => Ok(b.is_true()),
        Err(_) => Err(PyTypeError::new_err(format!("requires_grad: must be True or False, got {}", x.repr()?))),
    }
}

/// An integer, from anything that counts as one; truths and floats do not.
pub fn int(op: &str, name: &str, x: &Bound<'_, PyAny>) -> PyResult<i64> {
    let wrong = || of_type(op, format!("{name} must be an integer, got {}", describe(x)));
    if x.is_instance_of::<PyFloat>() {
        return Err(wrong());
    }
    if let Ok(t) = x.cast::<PyTensor>() {
        let t = t.get().tensor();
        if t.numel() == 1 && !t.dtype().is_inexact() {
            return Ok(t.item()?.as_i64());
        }
        return Err(wrong());
    }
    x.extract::<i64>().map_err(|e| if e.is_instance_of::<PyOverflowError>(x.py()) { e } else { wrong() })
}

/// A float, from anything that counts as a number.
pub fn float(op: &str, name: &str, x: &Bound<'_, PyAny>) -> PyResult<f64> {
    if let Ok(t) = x.cast::<PyTensor>()
        && t.get().tensor().numel() == 1
    {
        return Ok(t.get().tensor().item()?.as_f64());
    }
    x.extract::<f64>().map_err(|_| of_type(op, format!("{name} must be a number, got {}", describe(x))))
}

/// A list of integers from a tuple, a list, a Size or one integer.
pub fn ints(op: &str, name: &str, x: &Bound<'_, PyAny>) -> PyResult<Few<i64>> {
    if x.is_instance_of::<PyTuple>() || x.is_instance_of::<PyList>() {
        let mut list = Few::new();
        for item in x.try_iter()? {
            list.push(int(op, name, &item?)?);
        }
        return Ok(list);
    }
    if let Ok(t) = x.cast::<PyTensor>()
        && t.get().tensor().rank() == 1
    {
        let t = t.get().tensor();
        if !t.dtype().is_inexact() {
            return Ok(super::data::home(&t)?.to_vec::<i64>()[..].into());
        }
    }
    Ok([int(op, name, x)?][..].into())
}

/// A shape from one argument or several: `(2, 3)`, `[2, 3]`, `2, 3`.
pub fn shape(op: &str, args: &[Bound<'_, PyAny>]) -> PyResult<Few<usize>> {
    let list = if args.len() == 1 {
        ints(op, "size", &args[0])?
    } else {
        args.iter().map(|a| int(op, "size", a)).collect::<PyResult<Few<i64>>>()?
    };
    sizes(op, &list)
}

pub fn sizes(op: &str, list: &[i64]) -> PyResult<Few<usize>> {
    if let Some(bad) = list.iter().find(|&&s| s < 0) {
        return Err(Error::runtime(op, format!("a size must be at least 0, got {bad} in {}", crate::base::shape::show(list))).into());
    }
    Ok(list.iter().map(|&s| s as usize).collect())
}

pub fn maybe_dtype(x: Option<&Bound<'_, PyAny>>) -> PyResult<Option<DType>> {
    match x {
        Some(x) if !x.is_none() => dtype::parse(x).map(Some),
        _ => Ok(None),
    }
}

/// One parameter of a record.
pub fn param(op: &str, name: &str, kind: ParamKind, x: &Bound<'_, PyAny>) -> PyResult<Arg> {
    let wrong = |what: &str| of_type(op, format!("{name} must be {what}, got {}", describe(x)));
    let real = |x: &Bound<'_, PyAny>| -> PyResult<Number> {
        if let Some(n) = number(x)? {
            return Ok(n);
        }
        if let Ok(t) = x.cast::<PyTensor>()
            && t.get().tensor().numel() == 1
        {
            return Ok(t.get().tensor().item()?);
        }
        x.extract::<f64>().map(Number::Float).map_err(|_| wrong("a number"))
    };
    Ok(match kind {
        ParamKind::MaybeInt | ParamKind::MaybeNumber | ParamKind::MaybeAxis | ParamKind::Axes | ParamKind::MaybeDType if x.is_none() => {
            Arg::None
        }
        ParamKind::Bool => match x.cast::<PyBool>() {
            Ok(b) => Arg::Bool(b.is_true()),
            Err(_) if x.is_instance_of::<PyInt>() => Arg::Bool(x.extract::<i64>()? != 0),
            Err(_) => return Err(wrong("a bool")),
        },
        ParamKind::Int | ParamKind::MaybeInt | ParamKind::Axis | ParamKind::MaybeAxis => Arg::Int(int(op, name, x)?),
        ParamKind::Number | ParamKind::MaybeNumber => Arg::Number(real(x)?),
        ParamKind::Axes | ParamKind::Ints => Arg::Ints(ints(op, name, x)?),
        ParamKind::MaybeDType => Arg::DType(dtype::parse(x)?),
        ParamKind::Text => match x.cast::<PyString>() {
            Ok(s) => Arg::from(s.to_string().as_str()),
            Err(_) => return Err(wrong("a string")),
        },
    })
}
