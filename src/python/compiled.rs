//! `compile`: a Python function that is recorded once and then run again without Python. Leans on engine's replay.

use super::enter;
use super::forms::{Form, Taken, Token, held};
use super::given::Given;
use super::tensor::PyTensor;
use crate::backend::program::{Facts, Part};
use crate::backend::trace;
use crate::base::dtype::default_float;
use crate::base::{DType, Few, Lock, shape};
use crate::engine::replay::{self, Recording, Replay};
use crate::graph::Tensor;
use crate::graph::mode::Mode;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};
use pyo3::{PyTraverseError, PyVisit};
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Instant;

thread_local! {
    /// The host's calls of the recording under way, to be made again each time.
    static HOST: RefCell<Option<Vec<HostCall>>> = const { RefCell::new(None) };
    /// Whether what is being recorded happens only once, and the next call shall be recorded.
    static ONCE: Cell<bool> = const { Cell::new(false) };
}

/// A call of the host that each run makes again, and what takes its effects back where the run then comes to nothing.
struct HostCall {
    call: Py<PyAny>,
    back: Option<Py<PyAny>>,
}

/// A value outside the step that it depends on: a global of its module, a variable of the function around it, an attribute.
struct Watch {
    holder: Py<PyAny>,
    /// The name in a dictionary, or of an object's attribute; none for a cell.
    name: Option<Py<PyString>>,
    seen: Py<PyAny>,
    token: Token,
}

impl Watch {
    fn name(&self) -> String {
        self.name.as_ref().map_or_else(|| "a variable around it".to_string(), |name| format!("`{name}`"))
    }
    /// Whether it is what it was; only numbers, truths, texts and lists of them are asked.
    fn holds(&self, py: Python<'_>) -> PyResult<bool> {
        let now = match &self.name {
            Some(name) => {
                let holder = self.holder.bind(py);
                let value = match holder.cast::<PyDict>() {
                    Ok(names) => names.get_item(name)?,
                    Err(_) => holder.getattr_opt(name)?,
                };
                match value {
                    Some(value) => value,
                    None => return Ok(false),
                }
            }
            None => match self.holder.bind(py).getattr(intern!(py, "cell_contents")) {
                Ok(value) => value,
                Err(_) => return Ok(false),
            },
        };
        Ok(match &self.token {
            Token::Object(_) => now.is(&self.seen),
            token @ Token::Row(_) => held(&now)? == *token,
            token => now.is(&self.seen) || held(&now)? == *token,
        })
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
    host: Vec<HostCall>,
    /// The list that the host reads given floats from, if there are any.
    values: Option<Py<PyList>>,
    form: Form,
    /// Runs so far, and the shortest of those that were timed, in seconds.
    runs: u32,
    time: Option<f64>,
}

/// So many runs are timed at first, and then one of so many.
const TIMED: u32 = 8;

/// What is known of one set of arguments.
struct Seen {
    tokens: Vec<Token>,
    _objects: Vec<Py<PyAny>>,
    /// Whether it is run eagerly for good.
    refused: bool,
    /// Whether this only says that floats in these places count by their values, since a step has asked for them.
    bound: bool,
}

#[derive(Default)]
#[expect(clippy::vec_box, reason = "an entry is large, and is taken out and put back at each run")]
struct Shelf {
    entries: Vec<Box<Entry>>,
    seen: Vec<Seen>,
    replays: u64,
    recordings: u64,
    eager: u64,
    /// What had changed when a program was last found not to fit, and how often that was since one fitted.
    changed: String,
    misfits: u32,
    /// Why calls of one form run eagerly for good.
    refused: Option<String>,
}

impl Shelf {
    /// Calls of this form are run eagerly from now on.
    fn refuse(&mut self, tokens: &[Token], why: &str) {
        self.seen.iter_mut().for_each(|seen| seen.refused |= seen.tokens == tokens);
        self.refused = Some(why.to_string());
    }
}

/// What is said where Python's or NumPy's random numbers moved on during a recording.
const DRAWN: &str = "compile: numbers of Python's random or NumPy's were drawn while a step was recorded; one drawn inside the step \
    is the same in every later run (draw with schuss.rand and its kin, or outside of the step and give it as an argument)";

/// Recordings in a row that something outside the arguments has asked for, after which the user is told.
const RESTLESS: u32 = 8;

/// A function that is recorded at its second call with arguments of one form, and run again without Python from then on.
#[pyclass(frozen, module = "schuss", name = "Step", dict, weakref)]
pub struct PyStep {
    function: Py<PyAny>,
    /// `(watched cells, globals and attributes, state)`: the Python side of the guards.
    look: Py<PyAny>,
    /// Every tensor that the function can reach without its arguments.
    reach: Py<PyAny>,
    /// The kinds of arguments that are neither plain values nor guarded.
    unknown: Py<PyAny>,
    /// The state of Python's and NumPy's random numbers.
    odds: Py<PyAny>,
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
    fn new(function: Py<PyAny>, guards: (Py<PyAny>, Py<PyAny>, Py<PyAny>, Py<PyAny>), fallback: bool, size: usize) -> PyStep {
        let (look, reach, unknown, odds) = guards;
        PyStep { function, look, reach, unknown, odds, fallback, size: size.max(1), shelf: Lock::new(Shelf::default()) }
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
        let taken = Taken::new(args, kwargs)?;
        if let Some(done) = self.again(py, &taken)? {
            return Ok(done);
        }
        let loose = taken.loose();
        let (known, bound) = {
            let shelf = self.shelf.get();
            let bound = shelf.seen.iter().any(|s| s.bound && s.tokens == loose);
            (shelf.seen.iter().find(|s| !s.bound && s.tokens == taken.tokens).map(|s| s.refused), bound)
        };
        match known {
            Some(false) => self.record(args, kwargs, taken, loose),
            refused => {
                if refused.is_none() {
                    let mut shelf = self.shelf.get();
                    if shelf.seen.len() >= 4 * self.size {
                        let gone = shelf.seen.remove(0);
                        drop(shelf);
                        drop(gone);
                        shelf = self.shelf.get();
                    }
                    let tokens = if bound { taken.tokens } else { loose };
                    shelf.seen.push(Seen { tokens, _objects: taken.objects, refused: false, bound: false });
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
        visit.call(&self.reach)?;
        if let Some(shelf) = self.shelf.attempt() {
            for entry in &shelf.entries {
                visit.call(&entry.state)?;
                for host in &entry.host {
                    visit.call(&host.call)?;
                    host.back.iter().try_for_each(|back| visit.call(back))?;
                }
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

    /// Why calls of one form are run eagerly for good, if there are such.
    fn refused(&self) -> Option<String> {
        self.shelf.get().refused.clone()
    }

    /// The programs in short: a dictionary for each, the one last used first.
    fn programs(&self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        let facts: Vec<_> = self.shelf.get().entries.iter().rev().map(|e| (e.replay.facts().clone(), e.time)).collect();
        let steps = |f: &Facts| -> Vec<Vec<Told>> {
            let forms = |list: &[(DType, Few<usize>)]| list.iter().map(|(d, s)| format!("{d}{}", shape::show(s))).collect();
            let part = |p: &Part| (replay::name_of(p).to_string(), forms(&p.reads), forms(&p.writes), p.moved);
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
                dict.set_item("moved", f.moved)?;
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
                shelf.misfits = 0;
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
                self.shelf.get().changed = watch.name();
                return Ok(None);
            }
        }
        let changes = CHANGES.load(std::sync::atomic::Ordering::Relaxed);
        if changes != entry.changes {
            let (_, state) = self.looked(py, &entry._objects)?;
            if !entry.state.bind(py).eq(&state)? {
                self.shelf.get().changed = "something of a model (its mode, structure, hooks or an attribute)".to_string();
                return Ok(None);
            }
            entry.changes = changes;
        }
        let Some(ready) = entry.replay.ready(&taken.tensors) else { return Ok(None) };
        if let Some(values) = &entry.values {
            for (k, &(_, value)) in taken.floats.iter().enumerate() {
                values.bind(py).set_item(k, value)?;
            }
        }
        let mut made = 0;
        let done = self.replayed(py, entry, &ready, &mut made);
        if !matches!(done, Ok(Some(_))) {
            // The step is recorded anew, or has failed: what the host counted for it did not happen.
            for back in entry.host[..made].iter().rev().filter_map(|host| host.back.as_ref()) {
                back.call0(py)?;
            }
        }
        match done? {
            Some(tensors) => Ok(Some(entry.form.build(py, &tensors)?)),
            None => Ok(None),
        }
    }

    /// The host's part, then the launches; `made` counts the calls of the host.
    fn replayed(&self, py: Python<'_>, entry: &mut Entry, ready: &replay::Ready, made: &mut usize) -> PyResult<Option<Vec<Tensor>>> {
        let numbers = if entry.host.is_empty() {
            Vec::new()
        } else {
            replay::collect(|| {
                entry.host.iter().try_for_each(|host| {
                    *made += 1;
                    host.call.call0(py).map(drop)
                })
            })?
        };
        let replay = &mut entry.replay;
        let size = replay.weight();
        let start = (entry.runs < TIMED || entry.runs.is_multiple_of(TIMED)).then(Instant::now);
        entry.runs = entry.runs.wrapping_add(1);
        let Some(tensors) = enter(py, size, || replay.run(ready, &numbers))? else { return Ok(None) };
        if let Some(start) = start {
            let own = start.elapsed().as_secs_f64();
            entry.time = Some(entry.time.map_or(own, |t| t.min(own)));
        }
        Ok(Some(tensors))
    }

    /// The cells and globals that the function names, and the state of the models among them.
    fn looked(&self, py: Python<'_>, objects: &[Py<PyAny>]) -> PyResult<(Vec<Watch>, Py<PyAny>)> {
        let (places, state): (Vec<Named>, Py<PyAny>) = self.look.call1(py, (objects,))?.extract(py)?;
        let watches = places
            .into_iter()
            .map(|(holder, name, seen)| Ok(Watch { holder, name, token: held(seen.bind(py))?, seen }))
            .collect::<PyResult<_>>()?;
        Ok((watches, state))
    }

    /// Whether the function reaches elements of its arguments by itself too: which of the two it means could not be told.
    fn is_met(&self, py: Python<'_>, tensors: &[Tensor], objects: &[Py<PyAny>]) -> PyResult<bool> {
        if tensors.is_empty() {
            return Ok(false);
        }
        let own: Vec<Bound<'_, PyTensor>> = self.reach.bind(py).call1((objects,))?.extract()?;
        let own: Vec<_> = own.iter().map(|t| t.get().get_ref().storage()).collect();
        Ok(tensors.iter().any(|t| own.iter().any(|known| Arc::ptr_eq(known, &t.storage()))))
    }

    fn record(
        &self,
        args: &Bound<'_, PyTuple>,
        kwargs: Option<&Bound<'_, PyDict>>,
        taken: Taken,
        loose: Vec<Token>,
    ) -> PyResult<Py<PyAny>> {
        let py = args.py();
        let (mut watches, state) = self.looked(py, &taken.objects)?;
        if self.is_met(py, &taken.tensors, &taken.objects)? {
            self.shelf.get().eager += 1;
            return Ok(self.function.bind(py).call(args, kwargs)?.unbind());
        }
        let changes = CHANGES.load(std::sync::atomic::Ordering::Relaxed);
        let mode = Mode::now();
        let Some(recording) = Recording::start(&taken.tensors, !self.fallback) else {
            return Ok(self.function.bind(py).call(args, kwargs)?.unbind());
        };
        let given = if taken.floats.is_empty() { None } else { Some(Given::new(args, kwargs)?) };
        let odds = self.odds.call0(py)?;
        HOST.set(Some(Vec::new()));
        ONCE.set(false);
        let called = match &given {
            Some(given) => self.function.bind(py).call(&given.args, given.kwargs.as_ref()),
            None => self.function.bind(py).call(args, kwargs),
        };
        let host = HOST.take().unwrap_or_default();
        let result = match called {
            Ok(result) => result,
            Err(error) => {
                drop(recording);
                return Err(error);
            }
        };
        for watch in &mut watches {
            // A list that the step itself writes to is a record of its calls.
            if matches!(watch.token, Token::Row(_)) && !watch.holds(py)? {
                watch.token = Token::Object(0);
            }
        }
        if ONCE.take() {
            self.shelf.get().eager += 1;
            return Ok(result.unbind());
        }
        if !self.odds.call0(py)?.bind(py).eq(&odds)? {
            warn(py, DRAWN)?;
        }
        let mut tensors = Vec::new();
        let formed = Form::of(&result, &mut tensors);
        let (mut tokens, mut bound) = (taken.tokens, false);
        let result = match (&given, &formed) {
            (Some(given), Ok(form)) => {
                for (k, &(at, _)) in taken.floats.iter().enumerate() {
                    if given.was_read(k)? {
                        bound = true;
                    } else {
                        tokens[at] = Token::Given;
                    }
                }
                form.build(py, &tensors)?.into_bound(py)
            }
            _ => result,
        };
        let unknown: Vec<String> = self.unknown.bind(py).call1((&taken.objects,))?.extract()?;
        let done = match formed {
            Ok(form) if unknown.is_empty() => recording.finish(&tensors).map(|replay| replay.map(|replay| (replay, form))),
            Ok(_) => {
                let kinds = unknown.join(", ");
                let why = format!(
                    "an argument is an object whose parts cannot be followed ({kinds}); give the step its tensors and numbers instead"
                );
                Err(trace::refusal(&why))
            }
            Err(error) => Err(error),
        };
        match done {
            Ok(None) => {
                let mut shelf = self.shelf.get();
                shelf.refuse(&tokens, "the step does what a program cannot do again");
                shelf.eager += 1;
                drop(shelf);
                Ok(result.unbind())
            }
            Ok(Some((replay, form))) => {
                let (_, after) = self.looked(py, &taken.objects)?;
                state.call_method1(py, intern!(py, "forgive"), (after,))?;
                let entry = Box::new(Entry {
                    tokens,
                    _objects: taken.objects,
                    mode: (mode.grad(), mode.inference(), default_float()),
                    watches,
                    state,
                    changes,
                    replay,
                    host,
                    values: given.map(|g| g.values),
                    form,
                    runs: 0,
                    time: None,
                });
                let mut shelf = self.shelf.get();
                shelf.recordings += 1;
                if bound {
                    // Floats that a step asks for count by their values from now on: each runs as it is at first.
                    shelf.seen.iter_mut().filter(|s| s.tokens == loose).for_each(|s| s.bound = true);
                }
                shelf.entries.push(entry);
                let gone = if shelf.entries.len() > self.size { Some(shelf.entries.remove(0)) } else { None };
                shelf.misfits += u32::from(!shelf.changed.is_empty());
                let changed = std::mem::take(&mut shelf.changed);
                let restless = shelf.misfits == RESTLESS;
                drop(shelf);
                drop(gone);
                if restless {
                    let text = format!(
                        "compile: the step was recorded {RESTLESS} times in a row because {changed} had changed, which costs more than running \
                         it; give it as an argument (a tensor, where it is a number), or keep it out of the step"
                    );
                    warn(py, &text)?;
                }
                Ok(result.unbind())
            }
            Err(error) if self.fallback => {
                self.shelf.get().refuse(&tokens, error.message());
                warn(py, &error.to_string())?;
                Ok(result.unbind())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Notes a call of the host that gives numbers to launches, to be made again each time; `back` takes its effects back.
#[pyfunction]
#[pyo3(signature = (call, back = None))]
fn _host_call(call: Py<PyAny>, back: Option<Py<PyAny>>) {
    HOST.with_borrow_mut(|list| {
        if let Some(list) = list {
            list.push(HostCall { call, back });
        }
    });
}

/// Whether a step is being recorded on this thread.
#[pyfunction]
fn _is_recording() -> bool {
    Mode::now().traced()
}

/// Says that a step cannot be recorded, why, and what to do in its place.
#[pyfunction]
#[pyo3(signature = (why, instead = None))]
fn _refuse_recording(why: &str, instead: Option<String>) {
    if Mode::now().traced() {
        trace::fault_for(why, instead.map_or(trace::instead::OUTSIDE.into(), Into::into));
    }
}

/// The line of the program that called into the package, and what to do in place of what it calls there.
fn place() -> Option<trace::Scene> {
    Python::attach(|py| py.import("schuss.recording").ok()?.call_method0("scene").ok()?.extract().ok())
}

/// Warns at the program's line.
fn warn(py: Python<'_>, text: &str) -> PyResult<()> {
    py.import("schuss.naming")?.call_method1("warn", (text,)).map(drop)
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
    trace::PLACE.get_or_init(|| place);
    m.add_class::<PyStep>()?;
    m.add_function(wrap_pyfunction!(_host_call, m)?)?;
    m.add_function(wrap_pyfunction!(_is_recording, m)?)?;
    m.add_function(wrap_pyfunction!(_refuse_recording, m)?)?;
    m.add_function(wrap_pyfunction!(_retry_recording, m)?)?;
    m.add_function(wrap_pyfunction!(_changed, m)?)
}
