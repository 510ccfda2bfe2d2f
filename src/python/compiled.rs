//! `compile`: a Python function that is recorded once and then run again without Python. Leans on engine's replay.

use super::enter;
use super::tensor::{PyTensor, wrap};
use crate::backend::program::{Facts, Part};
use crate::backend::trace;
use crate::base::dtype::default_float;
use crate::base::{DType, Error, Few, Lock, shape};
use crate::engine::replay::{self, Recording, Replay};
use crate::graph::Tensor;
use crate::graph::mode::Mode;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyComplex, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple, PyType};
use pyo3::{PyTraverseError, PyVisit};
use std::cell::{Cell, RefCell};
use std::time::Instant;

thread_local! {
    /// The host's calls of the recording under way, to be made again each time.
    static HOST: RefCell<Option<Vec<Py<PyAny>>>> = const { RefCell::new(None) };
    /// Whether what is being recorded happens only once, and the next call shall be recorded.
    static ONCE: Cell<bool> = const { Cell::new(false) };
}

/// One thing that must be the same for a program to fit.
#[derive(Clone, Debug)]
enum Token {
    /// Its dtype and shape, and which of all tensors it is: one handle in two places is one tensor.
    Tensor(DType, Few<usize>, usize),
    None,
    Bool(bool),
    Int(i64),
    Float(u64),
    Text(String),
    Open(u8, usize),
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
            (Token::Text(a), Token::Text(b)) => a == b,
            (Token::Open(a, n), Token::Open(b, m)) => a == b && n == m,
            (Token::Object(a), Token::Object(b)) => a == b,
            _ => false,
        }
    }
}

/// Arguments taken apart: what must be the same, the tensors, and objects held so that they stay the same.
#[derive(Default)]
struct Taken {
    tokens: Vec<Token>,
    tensors: Vec<Tensor>,
    objects: Vec<Py<PyAny>>,
}

impl Taken {
    fn add(&mut self, x: &Bound<'_, PyAny>) -> PyResult<()> {
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
            self.tokens.push(Token::Open(0, list.len()));
            for item in list.iter() {
                self.add(&item)?;
            }
        } else if let Ok(list) = x.cast_exact::<PyList>() {
            self.tokens.push(Token::Open(1, list.len()));
            for item in list.iter() {
                self.add(&item)?;
            }
        } else if let Ok(dict) = x.cast_exact::<PyDict>() {
            self.tokens.push(Token::Open(2, dict.len()));
            for (key, item) in dict.iter() {
                self.add(&key)?;
                self.add(&item)?;
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

fn token(x: &Bound<'_, PyAny>) -> PyResult<Token> {
    Ok(if x.is_none() {
        Token::None
    } else if let Ok(b) = x.cast_exact::<PyBool>() {
        Token::Bool(b.is_true())
    } else if let Ok(f) = x.cast_exact::<PyFloat>() {
        Token::Float(f.value().to_bits())
    } else if x.is_exact_instance_of::<PyInt>() {
        x.extract::<i64>().map_or_else(|_| Token::Text(x.to_string()), Token::Int)
    } else if let Ok(text) = x.cast_exact::<PyString>() {
        Token::Text(text.to_cow()?.into_owned())
    } else {
        Token::Object(x.as_ptr() as usize)
    })
}

/// Whether a value can never be another.
fn is_plain(x: &Bound<'_, PyAny>) -> bool {
    let known = |t: &Bound<'_, PyType>| {
        t.is(t.py().get_type::<PyBytes>()) || t.is(t.py().get_type::<PyComplex>()) || t.module().is_ok_and(|m| m == "schuss")
    };
    !matches!(token(x), Ok(Token::Object(_)) | Err(_)) || known(&x.get_type())
}

/// What a step returned, around its tensors.
enum Form {
    Tensor(usize),
    Other(Py<PyAny>),
    Tuple(Vec<Form>),
    List(Vec<Form>),
    Dict(Vec<(Py<PyAny>, Form)>),
    /// A named tuple, by its class.
    Named(Py<PyAny>, Vec<Form>),
}

impl Form {
    fn of(x: &Bound<'_, PyAny>, tensors: &mut Vec<Tensor>) -> Result<Form, Error> {
        let all = |items: Vec<Bound<'_, PyAny>>, tensors: &mut Vec<Tensor>| -> Result<Vec<Form>, Error> {
            items.iter().map(|item| Form::of(item, tensors)).collect()
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
            let items = dict.iter().map(|(k, v)| Ok((k.unbind(), Form::of(&v, tensors)?))).collect::<Result<_, Error>>()?;
            Form::Dict(items)
        } else if let Ok(list) = x.cast::<PyTuple>() {
            Form::Named(x.get_type().into_any().unbind(), all(list.iter().collect(), tensors)?)
        } else if is_plain(x) {
            Form::Other(x.clone().unbind())
        } else {
            let what = x.get_type().name().map_or_else(|_| "unknown".to_string(), |name| name.to_string());
            let why =
                format!("the step returns an object of {what}, which may change (tensors, plain values, tuples, lists and dicts leave)");
            return Err(trace::refusal(&why));
        })
    }

    fn build(&self, py: Python<'_>, tensors: &[Tensor]) -> PyResult<Py<PyAny>> {
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

/// A value outside the step that it depends on: a global of its module, or a variable of the function around it.
struct Watch {
    holder: Py<PyAny>,
    /// The global's name; none for a cell.
    name: Option<Py<PyString>>,
    seen: Py<PyAny>,
    token: Token,
}

impl Watch {
    /// Whether it is what it was; only numbers, truths and texts are asked.
    fn holds(&self, py: Python<'_>) -> PyResult<bool> {
        let now = match &self.name {
            Some(name) => match self.holder.bind(py).cast::<PyDict>()?.get_item(name)? {
                Some(value) => value,
                None => return Ok(false),
            },
            None => match self.holder.bind(py).getattr(intern!(py, "cell_contents")) {
                Ok(value) => value,
                Err(_) => return Ok(false),
            },
        };
        Ok(now.is(&self.seen) || !matches!(self.token, Token::Object(_)) && token(&now)? == self.token)
    }
}

/// A recorded step, and all that must hold for it to be run again.
struct Entry {
    tokens: Vec<Token>,
    _objects: Vec<Py<PyAny>>,
    mode: (bool, bool, DType),
    watches: Vec<Watch>,
    /// What the host says of models and optimisers, and the count of changes at which it was last asked.
    state: Py<PyAny>,
    changes: u64,
    replay: Replay,
    host: Vec<Py<PyAny>>,
    form: Form,
    /// Runs so far, and the shortest of those that were timed, in seconds.
    runs: u32,
    time: Option<f64>,
}

/// One run of so many is timed.
const TIMED: u32 = 8;

/// What is known of one set of arguments.
struct Seen {
    tokens: Vec<Token>,
    _objects: Vec<Py<PyAny>>,
    /// Why it is run eagerly for good, if it is.
    refused: bool,
}

#[derive(Default)]
#[expect(clippy::vec_box, reason = "an entry is large, and is taken out and put back at each run")]
struct Shelf {
    entries: Vec<Box<Entry>>,
    seen: Vec<Seen>,
    replays: u64,
    recordings: u64,
    eager: u64,
}

/// A function that is recorded at its second call with arguments of one form, and run again without Python from then on.
#[pyclass(frozen, module = "schuss", name = "Step", dict, weakref)]
pub struct PyStep {
    function: Py<PyAny>,
    /// `(watched cells and globals, state)`: the Python side of the guards.
    look: Py<PyAny>,
    /// Whether arguments that are no plain values are of kinds that are guarded.
    known: Py<PyAny>,
    fallback: bool,
    size: usize,
    shelf: Lock<Shelf>,
}

/// A part of a program: its name, what it reads and writes, and the bytes of that.
type Told = (String, Vec<String>, Vec<String>, usize);
/// A cell or a module's names, the name there, and the value.
type Named = (Py<PyAny>, Option<Py<PyString>>, Py<PyAny>);

/// How often a model's structure, mode or hooks have changed, anywhere.
static CHANGES: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

#[pymethods]
impl PyStep {
    #[new]
    fn new(function: Py<PyAny>, look: Py<PyAny>, known: Py<PyAny>, fallback: bool, size: usize) -> PyStep {
        PyStep { function, look, known, fallback, size: size.max(1), shelf: Lock::new(Shelf::default()) }
    }

    /// What it has not itself is the function's: the parameters of a compiled model, its state, its mode.
    fn __getattr__(&self, py: Python<'_>, name: &str) -> PyResult<Py<PyAny>> {
        if name.starts_with("__") {
            return Err(pyo3::exceptions::PyAttributeError::new_err(format!("a compiled function has no attribute {name:?}")));
        }
        Ok(self.function.bind(py).getattr(name)?.unbind())
    }

    /// Bound to an object as a function is: a method may be compiled.
    fn __get__(slf: Bound<'_, Self>, object: &Bound<'_, PyAny>, _class: Option<&Bound<'_, PyAny>>) -> PyResult<Py<PyAny>> {
        if object.is_none() {
            return Ok(slf.into_any().unbind());
        }
        Ok(slf.py().import("types")?.getattr("MethodType")?.call1((slf, object))?.unbind())
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn __call__(&self, args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<Py<PyAny>> {
        let py = args.py();
        // A compiled step inside another one is a part of that one, and tapes and overrides want to see every operation.
        if !Mode::now().is_plain() {
            return Ok(self.function.bind(py).call(args, kwargs)?.unbind());
        }
        let mut taken = Taken::default();
        taken.add(args)?;
        if let Some(kwargs) = kwargs.filter(|k| !k.is_empty()) {
            taken.add(kwargs)?;
        }
        if let Some(done) = self.again(py, &taken)? {
            return Ok(done);
        }
        let known = {
            let shelf = self.shelf.get();
            shelf.seen.iter().find(|s| s.tokens == taken.tokens).map(|s| s.refused)
        };
        match known {
            Some(false) => self.record(args, kwargs, taken),
            refused => {
                if refused.is_none() {
                    let mut shelf = self.shelf.get();
                    if shelf.seen.len() >= 4 * self.size {
                        let gone = shelf.seen.remove(0);
                        drop(shelf);
                        drop(gone);
                        shelf = self.shelf.get();
                    }
                    shelf.seen.push(Seen { tokens: taken.tokens, _objects: taken.objects, refused: false });
                }
                self.shelf.get().eager += 1;
                Ok(self.function.bind(py).call(args, kwargs)?.unbind())
            }
        }
    }

    /// Shows the collector the function, which may hold the step in turn, and what programs hold.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.function)?;
        visit.call(&self.look)?;
        if let Some(shelf) = self.shelf.attempt() {
            for entry in &shelf.entries {
                visit.call(&entry.state)?;
                entry.host.iter().try_for_each(|call| visit.call(call))?;
                entry._objects.iter().try_for_each(|object| visit.call(object))?;
                entry.watches.iter().try_for_each(|w| visit.call(&w.holder).and_then(|()| visit.call(&w.seen)))?;
            }
        }
        Ok(())
    }

    /// How often the step was `(run again, recorded, run eagerly)`.
    fn counts(&self) -> (u64, u64, u64) {
        let shelf = self.shelf.get();
        (shelf.replays, shelf.recordings, shelf.eager)
    }

    /// The programs in short: a dictionary for each, the one last used first.
    fn programs(&self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        let facts: Vec<_> = self.shelf.get().entries.iter().rev().map(|e| (e.replay.facts().clone(), e.time)).collect();
        let steps = |f: &Facts| -> Vec<Vec<Told>> {
            let forms = |list: &[(DType, Few<usize>)]| list.iter().map(|(d, s)| format!("{d}{}", shape::show(s))).collect();
            let part = |p: &Part| (replay::name_of(p).to_string(), forms(&p.reads), forms(&p.writes), p.bytes());
            f.steps.iter().map(|step| step.iter().map(part).collect()).collect()
        };
        facts
            .into_iter()
            .map(|(f, time)| {
                let dict = PyDict::new(py);
                dict.set_item("recorded", f.heard)?;
                dict.set_item("dead", f.dead)?;
                dict.set_item("constant", f.folded)?;
                dict.set_item("common", f.same)?;
                dict.set_item("fused", f.fused)?;
                dict.set_item("launches", f.launches)?;
                dict.set_item("arena", f.arena)?;
                dict.set_item("steps", steps(&f))?;
                dict.set_item("seconds", time)?;
                Ok(dict.into_any().unbind())
            })
            .collect()
    }

    /// The program last used, to be printed: its launches, what was fused, bytes and time.
    #[getter]
    fn program(slf: &Bound<'_, Self>) -> PyResult<Py<PyAny>> {
        Ok(slf.py().import("schuss.recording")?.getattr("Program")?.call1((slf,))?.unbind())
    }

    /// Forgets all programs.
    fn reset(&self) {
        let old = std::mem::take(&mut *self.shelf.get());
        drop(old);
    }
}

impl PyStep {
    /// Runs a program that fits; None where there is none.
    fn again(&self, py: Python<'_>, taken: &Taken) -> PyResult<Option<Py<PyAny>>> {
        let mode = Mode::now();
        let mode = (mode.grad(), mode.inference(), default_float());
        let mut passed = 0;
        loop {
            let found = {
                let mut shelf = self.shelf.get();
                let fits = |e: &Entry| e.mode == mode && e.tokens == taken.tokens;
                let n = shelf.entries.len();
                (0..n.saturating_sub(passed)).rev().find(|&i| fits(&shelf.entries[i])).map(|i| (shelf.entries.remove(i), n - i))
            };
            // The program is taken out while it runs: another thread, or the step itself, finds none and runs eagerly.
            let Some((mut entry, depth)) = found else { return Ok(None) };
            let done = self.attempt(py, &mut entry, taken);
            let mut shelf = self.shelf.get();
            if matches!(done, Ok(Some(_))) {
                shelf.replays += 1;
                shelf.entries.push(entry);
                return done;
            }
            let place = shelf.entries.len() + 1 - depth.min(shelf.entries.len() + 1);
            shelf.entries.insert(place, entry);
            drop(shelf);
            done?;
            passed = depth;
        }
    }

    fn attempt(&self, py: Python<'_>, entry: &mut Entry, taken: &Taken) -> PyResult<Option<Py<PyAny>>> {
        for watch in &entry.watches {
            if !watch.holds(py)? {
                return Ok(None);
            }
        }
        let changes = CHANGES.load(std::sync::atomic::Ordering::Relaxed);
        if changes != entry.changes {
            // Models among the arguments are not looked at one by one.
            if !entry._objects.is_empty() {
                return Ok(None);
            }
            let (_, state) = self.looked(py)?;
            if !state.bind(py).eq(&entry.state)? {
                return Ok(None);
            }
            entry.changes = changes;
        }
        let Some(ready) = entry.replay.ready(&taken.tensors) else { return Ok(None) };
        let numbers = if entry.host.is_empty() {
            Vec::new()
        } else {
            replay::collect(|| entry.host.iter().try_for_each(|call| call.call0(py).map(drop)))?
        };
        let replay = &mut entry.replay;
        let size = replay.weight();
        let start = entry.runs.is_multiple_of(TIMED).then(Instant::now);
        entry.runs = entry.runs.wrapping_add(1);
        let Some(tensors) = enter(py, size, || replay.run(&ready, &numbers))? else { return Ok(None) };
        if let Some(start) = start {
            let own = start.elapsed().as_secs_f64();
            entry.time = Some(entry.time.map_or(own, |t| t.min(own)));
        }
        Ok(Some(entry.form.build(py, &tensors)?))
    }

    /// The cells and globals that the function names, and the state of the models among them.
    fn looked(&self, py: Python<'_>) -> PyResult<(Vec<Watch>, Py<PyAny>)> {
        let (places, state): (Vec<Named>, Py<PyAny>) = self.look.call0(py)?.extract(py)?;
        let watches = places
            .into_iter()
            .map(|(holder, name, seen)| Ok(Watch { holder, name, token: token(seen.bind(py))?, seen }))
            .collect::<PyResult<_>>()?;
        Ok((watches, state))
    }

    fn record(&self, args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>, taken: Taken) -> PyResult<Py<PyAny>> {
        let py = args.py();
        let (watches, state) = self.looked(py)?;
        // An argument that the function also reaches by a name of its own: which of the two it means cannot be told.
        let named = |t: &Tensor| watches.iter().any(|w| w.seen.bind(py).cast::<PyTensor>().is_ok_and(|own| own.get().tensor().same(t)));
        if taken.tensors.iter().any(named) {
            self.shelf.get().eager += 1;
            return Ok(self.function.bind(py).call(args, kwargs)?.unbind());
        }
        let changes = CHANGES.load(std::sync::atomic::Ordering::Relaxed);
        let mode = Mode::now();
        let Some(recording) = Recording::start(&taken.tensors, !self.fallback) else {
            return Ok(self.function.bind(py).call(args, kwargs)?.unbind());
        };
        HOST.set(Some(Vec::new()));
        ONCE.set(false);
        let called = self.function.bind(py).call(args, kwargs);
        let host = HOST.take().unwrap_or_default();
        let result = match called {
            Ok(result) => result,
            Err(error) => {
                drop(recording);
                return Err(error);
            }
        };
        if ONCE.take() {
            self.shelf.get().eager += 1;
            return Ok(result.unbind());
        }
        let mut tensors = Vec::new();
        let formed = Form::of(&result, &mut tensors);
        let known: bool = self.known.bind(py).call1((taken.objects.iter().map(|o| o.bind(py)).collect::<Vec<_>>(),))?.extract()?;
        let done = match formed {
            Ok(form) if known => recording.finish(&tensors).map(|replay| (replay, form)),
            Ok(_) => Err(trace::refusal("an argument is an object whose parts cannot be followed")),
            Err(error) => Err(error),
        };
        match done {
            Ok((replay, form)) => {
                let entry = Box::new(Entry {
                    tokens: taken.tokens,
                    _objects: taken.objects,
                    mode: (mode.grad(), mode.inference(), default_float()),
                    watches,
                    state,
                    changes,
                    replay,
                    host,
                    form,
                    runs: 0,
                    time: None,
                });
                let mut shelf = self.shelf.get();
                shelf.recordings += 1;
                shelf.entries.push(entry);
                let gone = if shelf.entries.len() > self.size { Some(shelf.entries.remove(0)) } else { None };
                drop(shelf);
                drop(gone);
                Ok(result.unbind())
            }
            Err(error) if self.fallback => {
                for seen in &mut self.shelf.get().seen {
                    seen.refused |= seen.tokens == taken.tokens;
                }
                let text = std::ffi::CString::new(format!("{error}; the step is run eagerly")).unwrap_or_default();
                PyErr::warn(py, &py.get_type::<pyo3::exceptions::PyUserWarning>(), &text, 1)?;
                Ok(result.unbind())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Notes a call of the host that gives numbers to launches, to be made again each time.
#[pyfunction]
fn _host_call(call: Py<PyAny>) {
    HOST.with_borrow_mut(|list| {
        if let Some(list) = list {
            list.push(call);
        }
    });
}

/// Whether a step is being recorded on this thread.
#[pyfunction]
fn _is_recording() -> bool {
    Mode::now().traced()
}

/// Says that a step cannot be recorded, and why.
#[pyfunction]
fn _refuse_recording(why: String) {
    if Mode::now().traced() {
        crate::backend::trace::fault(why);
    }
}

/// Says that what is being recorded happens only once: the next call is recorded instead.
#[pyfunction]
fn _retry_recording() {
    ONCE.set(true);
}

/// Notes that a model has changed in its structure, mode or hooks.
#[pyfunction]
fn _changed() {
    CHANGES.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
}

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_class::<PyStep>()?;
    m.add_function(wrap_pyfunction!(_host_call, m)?)?;
    m.add_function(wrap_pyfunction!(_is_recording, m)?)?;
    m.add_function(wrap_pyfunction!(_refuse_recording, m)?)?;
    m.add_function(wrap_pyfunction!(_retry_recording, m)?)?;
    m.add_function(wrap_pyfunction!(_changed, m)?)
}
