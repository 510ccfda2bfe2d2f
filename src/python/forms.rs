//! What a compiled function is given and what it gives, taken apart: plain values that must stay the same, tensors, and the
//! tree around them. Leans on tensor and PyO3.

use super::given;
use super::tensor::{PyTensor, wrap};
use crate::backend::trace;
use crate::base::{DType, Error, Few, Number};
use crate::graph::Tensor;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyComplex, PyDict, PyFloat, PyInt, PyList, PySet, PyString, PyTuple, PyType};
use smallvec::SmallVec;

/// One thing that must be the same for a program to fit.
#[derive(Clone, Debug)]
pub(super) enum Token {
    /// Its dtype and shape, and which of all tensors it is: one handle in two places is one tensor.
    Tensor(DType, Few<usize>, usize),
    None,
    Bool(bool),
    Int(i64),
    Float(u64),
    /// Any float: it is told to the program at each run.
    Given,
    Text(String),
    Open(u8, usize),
    /// A list or the like, of plain values.
    Row(Vec<Token>),
    /// Anything else is the same only as itself.
    Object(usize),
}

impl PartialEq for Token {
    fn eq(&self, other: &Token) -> bool {
        match (self, other) {
            (Token::Tensor(a, s, k), Token::Tensor(b, t, l)) => a == b && s == t && k == l,
            (Token::None, Token::None) => true,
            (Token::Bool(a), Token::Bool(b)) => a == b,
            (Token::Int(a), Token::Int(b)) => a == b,
            (Token::Float(a), Token::Float(b)) => a == b,
            (Token::Given, Token::Given | Token::Float(_)) | (Token::Float(_), Token::Given) => true,
            (Token::Text(a), Token::Text(b)) => a == b,
            (Token::Open(a, n), Token::Open(b, m)) => a == b && n == m,
            (Token::Row(a), Token::Row(b)) => a == b,
            (Token::Object(a), Token::Object(b)) => a == b,
            _ => false,
        }
    }
}

/// Arguments taken apart: what must be the same, the tensors, and objects held so that they stay the same.
#[derive(Default)]
pub(super) struct Taken {
    pub tokens: Vec<Token>,
    pub tensors: Vec<Tensor>,
    pub objects: Vec<Py<PyAny>>,
    /// Which tokens are floats that stand for themselves, in no list or tuple of the caller's, and their values.
    pub floats: SmallVec<[(usize, f64); 2]>,
}

impl Taken {
    pub fn new(args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<Taken> {
        let mut taken = Taken::default();
        taken.tokens.push(Token::Open(0, args.len()));
        for x in args.iter() {
            taken.outermost(&x)?;
        }
        if let Some(kwargs) = kwargs.filter(|k| !k.is_empty()) {
            taken.tokens.push(Token::Open(2, kwargs.len()));
            for (key, x) in kwargs.iter() {
                taken.add(&key, NESTED)?;
                taken.outermost(&x)?;
            }
        }
        Ok(taken)
    }
    fn outermost(&mut self, x: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Ok(f) = x.cast_exact::<PyFloat>() {
            self.floats.push((self.tokens.len(), f.value()));
        }
        self.add(x, NESTED)
    }
    /// The same with any float where one stands for itself.
    pub fn loose(&self) -> Vec<Token> {
        let mut tokens = self.tokens.clone();
        self.floats.iter().for_each(|&(k, _)| tokens[k] = Token::Given);
        tokens
    }
    fn add(&mut self, x: &Bound<'_, PyAny>, depth: usize) -> PyResult<()> {
        if depth == 0 {
            let what = "compile: the arguments are nested deeper than 100 lists, tuples and dicts, or hold themselves";
            return Err(pyo3::exceptions::PyRecursionError::new_err(what));
        }
        if let Ok(t) = x.cast::<PyTensor>() {
            let t = t.get().tensor();
            let which = self.tensors.iter().position(|known| known.same(&t)).unwrap_or(self.tensors.len());
            let token = {
                let core = t.0.core.get();
                Token::Tensor(core.operand.dtype, core.operand.layout.shape.clone(), which)
            };
            self.tokens.push(token);
            self.tensors.push(t);
        } else if let Ok(list) = x.cast::<PyTuple>() {
            if !x.is_exact_instance_of::<PyTuple>() {
                let class = x.get_type();
                self.tokens.push(Token::Object(class.as_ptr() as usize));
                self.objects.push(class.into_any().unbind());
            }
            self.tokens.push(Token::Open(0, list.len()));
            for item in list.iter() {
                self.add(&item, depth - 1)?;
            }
        } else if let Ok(list) = x.cast_exact::<PyList>() {
            self.tokens.push(Token::Open(1, list.len()));
            for item in list.iter() {
                self.add(&item, depth - 1)?;
            }
        } else if let Ok(dict) = x.cast_exact::<PyDict>() {
            self.tokens.push(Token::Open(2, dict.len()));
            for (key, item) in dict.iter() {
                self.add(&key, depth - 1)?;
                self.add(&item, depth - 1)?;
            }
        } else {
            let token = token(x)?;
            if let Token::Object(_) = token {
                self.objects.push(x.clone().unbind());
            }
            self.tokens.push(token);
        }
        Ok(())
    }
}

pub(super) fn token(x: &Bound<'_, PyAny>) -> PyResult<Token> {
    Ok(if x.is_none() {
        Token::None
    } else if let Ok(b) = x.cast_exact::<PyBool>() {
        Token::Bool(b.is_true())
    } else if let Ok(f) = x.cast_exact::<PyFloat>() {
        Token::Float(f.value().to_bits())
    } else if x.is_exact_instance_of::<PyInt>() {
        x.extract::<i64>().map_or_else(|_| Token::Row(vec![Token::Text(x.to_string())]), Token::Int)
    } else if let Ok(text) = x.cast_exact::<PyString>() {
        Token::Text(text.to_cow()?.into_owned())
    } else {
        Token::Object(x.as_ptr() as usize)
    })
}

/// How deep lists, tuples and dicts among arguments and results may lie in one another.
const NESTED: usize = 100;

/// The longest list whose values are looked at, and how deep lists in lists may lie.
const LONG: usize = 64;
const DEEP: usize = 4;

/// A value outside the step: lists, tuples and dicts of plain values are what they hold.
pub(super) fn held(x: &Bound<'_, PyAny>) -> PyResult<Token> {
    within(x, DEEP)
}

fn within(x: &Bound<'_, PyAny>, depth: usize) -> PyResult<Token> {
    if depth == 0 {
        return token(x);
    }
    let items: Vec<_> = if let Ok(list) = x.cast_exact::<PyList>()
        && list.len() <= LONG
    {
        list.iter().collect()
    } else if let Ok(list) = x.cast_exact::<PyTuple>()
        && list.len() <= LONG
    {
        list.iter().collect()
    } else if let Ok(dict) = x.cast_exact::<PyDict>()
        && dict.len() <= LONG
    {
        dict.iter().flat_map(|(key, item)| [key, item]).collect()
    } else if let Ok(set) = x.cast_exact::<PySet>()
        && set.len() <= LONG
    {
        set.iter().collect()
    } else {
        return token(x);
    };
    let mut row = Vec::with_capacity(items.len());
    for item in &items {
        match within(item, depth - 1)? {
            Token::Object(_) => return token(x),
            plain => row.push(plain),
        }
    }
    Ok(Token::Row(row))
}

/// Whether a value can never be another.
fn is_plain(x: &Bound<'_, PyAny>) -> bool {
    let known = |t: &Bound<'_, PyType>| {
        t.is(t.py().get_type::<PyBytes>()) || t.is(t.py().get_type::<PyComplex>()) || t.module().is_ok_and(|m| m == "schuss")
    };
    !matches!(token(x), Ok(Token::Object(_)) | Err(_)) || known(&x.get_type())
}

/// What a step returned, around its tensors.
pub(super) enum Form {
    Tensor(usize),
    Other(Py<PyAny>),
    Tuple(Vec<Form>),
    List(Vec<Form>),
    Dict(Vec<(Py<PyAny>, Form)>),
    /// A named tuple, by its class.
    Named(Py<PyAny>, Vec<Form>),
}

impl Form {
    pub fn of(x: &Bound<'_, PyAny>, tensors: &mut Vec<Tensor>) -> Result<Form, Error> {
        Form::within(x, tensors, NESTED)
    }

    fn within(x: &Bound<'_, PyAny>, tensors: &mut Vec<Tensor>, depth: usize) -> Result<Form, Error> {
        if depth == 0 {
            return Err(trace::refusal("the step returns what holds itself, or is nested deeper than 100 lists, tuples and dicts"));
        }
        let all = |items: Vec<Bound<'_, PyAny>>, tensors: &mut Vec<Tensor>| -> Result<Vec<Form>, Error> {
            items.iter().map(|item| Form::within(item, tensors, depth - 1)).collect()
        };
        Ok(if let Ok(t) = x.cast::<PyTensor>() {
            let own = t.get().get_ref();
            let k = tensors.iter().position(|known| known.same(own)).unwrap_or_else(|| {
                tensors.push(own.clone());
                tensors.len() - 1
            });
            Form::Tensor(k)
        } else if let Ok(list) = x.cast_exact::<PyTuple>() {
            Form::Tuple(all(list.iter().collect(), tensors)?)
        } else if let Ok(list) = x.cast_exact::<PyList>() {
            Form::List(all(list.iter().collect(), tensors)?)
        } else if let Ok(dict) = x.cast_exact::<PyDict>() {
            let items = dict.iter().map(|(k, v)| Ok((k.unbind(), Form::within(&v, tensors, depth - 1)?))).collect::<Result<_, Error>>()?;
            Form::Dict(items)
        } else if let Ok(list) = x.cast::<PyTuple>() {
            Form::Named(x.get_type().into_any().unbind(), all(list.iter().collect(), tensors)?)
        } else if given::is(x) {
            let value = given::value(x).ok().flatten().map_or(f64::NAN, Number::as_f64);
            Form::Other(PyFloat::new(x.py(), value).into_any().unbind())
        } else if is_plain(x) {
            Form::Other(x.clone().unbind())
        } else {
            let what = x.get_type().name().map_or_else(|_| "unknown".to_string(), |name| name.to_string());
            let why =
                format!("the step returns an object of {what}, which may change (tensors, plain values, tuples, lists and dicts leave)");
            return Err(trace::refusal(&why));
        })
    }

    pub fn build(&self, py: Python<'_>, tensors: &[Tensor]) -> PyResult<Py<PyAny>> {
        let all = |items: &[Form]| items.iter().map(|f| f.build(py, tensors)).collect::<PyResult<Vec<_>>>();
        Ok(match self {
            Form::Tensor(k) => wrap(py, tensors[*k].clone())?,
            Form::Other(x) => x.clone_ref(py),
            Form::Tuple(items) => PyTuple::new(py, all(items)?)?.into_any().unbind(),
            Form::List(items) => PyList::new(py, all(items)?)?.into_any().unbind(),
            Form::Named(class, items) => {
                let class = class.bind(py);
                match class.getattr_opt("_make")? {
                    Some(make) => make.call1((all(items)?,))?.unbind(),
                    None => class.call1((all(items)?,))?.unbind(),
                }
            }
            Form::Dict(items) => {
                let dict = PyDict::new(py);
                for (key, item) in items {
                    dict.set_item(key, item.build(py, tensors)?)?;
                }
                dict.into_any().unbind()
            }
        })
    }
}
