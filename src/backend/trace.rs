//! What a thread launches while it is listened to: the tasks in their order, and the storages born on the way.
//! Leans on task and storage.

use super::cpu::random::Generator;
use super::launch::{Launch, Operand};
use super::storage::Storage;
use super::task::Task;
use crate::base::{Error, Lock, Result};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

/// Where in a program a thread is, and what to do in place of what is called there if that is known.
pub type Scene = (String, Option<String>);

/// Finds the scene of this thread; set by whoever knows programs.
pub static PLACE: OnceLock<fn() -> Option<Scene>> = OnceLock::new();

/// A generator that draws are taken from.
pub type Stream = Arc<Lock<Generator>>;

/// A list of tasks, and what is known of the memory they use.
#[derive(Default)]
pub struct Trace {
    pub tasks: Vec<Task>,
    /// Storages made meanwhile, by address; all are kept alive so that addresses stay theirs.
    pub born: HashMap<usize, Arc<Storage>>,
    /// Other storages that tasks have met.
    pub met: HashMap<usize, Arc<Storage>>,
    /// Copies of what the host has written: they never change.
    pub constants: HashSet<usize>,
    /// Draws in their order: the task, its generator, and the blocks that it took.
    pub draws: Vec<(usize, Stream, u64)>,
    /// Tasks whose numbers come from outside: the task and the call that gave them.
    pub calls: Vec<(usize, usize)>,
    /// The first thing that cannot be done again.
    pub fault: Option<Fault>,
}

/// Why a step cannot be recorded, and what to do about it.
pub struct Fault {
    what: String,
    advice: Cow<'static, str>,
}

impl Fault {
    /// What happens on this thread now.
    fn here(what: &str, advice: Cow<'static, str>) -> Fault {
        let Some((place, own)) = PLACE.get().and_then(|ask| ask()) else { return Fault { what: what.into(), advice } };
        Fault { what: format!("{what} ({place})"), advice: own.map_or(advice, Cow::Owned) }
    }

    pub fn error(&self) -> Error {
        let Fault { what, advice } = self;
        let why = format!("{what}, and a recorded step is run again without Python");
        let text = if STRICT.get() {
            format!("{why}: {advice}, or use compile(step, fallback=True), which runs such a step eagerly")
        } else {
            format!("{why}; it is run eagerly. To have it compiled, {advice}")
        };
        Error::new(crate::base::ErrorKind::Compile, "compile", text)
    }
}

/// What to do in place of what cannot be recorded.
pub mod instead {
    pub const OUTSIDE: &str = "do that outside of the step";
    pub const RETURN: &str = "return the tensor and read it outside of the step";
    pub const CHOOSE: &str = "choose elements by where() or a factor of 0, or do that outside of the step";
    pub const WHERE: &str = "choose between results by where(), or decide outside of the step";
    pub const PRINT: &str = "return the tensor and print it outside of the step";
    pub const STACK: &str = "join tensors by stack()";
    pub const MASKED: &str = "write with masked_scatter(), or choose by where()";
}
use instead::{CHOOSE, OUTSIDE, RETURN};

thread_local! {
    static ON: Cell<bool> = const { Cell::new(false) };
    /// Whether what cannot be recorded is an error, and one on the spot where elements are read.
    static STRICT: Cell<bool> = const { Cell::new(true) };
    static TRACE: RefCell<Option<Trace>> = const { RefCell::new(None) };
    /// The number of the host's call that gives the numbers of what is launched now.
    static CALL: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Whether this thread is listened to.
#[inline(always)]
pub fn on() -> bool {
    ON.get()
}

/// Starts listening; false where it is under way already.
pub fn start(strict: bool) -> bool {
    if TRACE.with_borrow(Option::is_some) {
        return false;
    }
    TRACE.set(Some(Trace::default()));
    STRICT.set(strict);
    ON.set(true);
    CALL.set(None);
    true
}

/// How many tasks have been heard.
pub fn count() -> usize {
    TRACE.with_borrow(|t| t.as_ref().map_or(0, |t| t.tasks.len()))
}

/// Takes back all tasks but the first `count`.
pub fn forget_since(count: usize) {
    with(|trace| {
        trace.tasks.truncate(count);
        trace.calls.retain(|(task, _)| *task < count);
        trace.draws.retain(|(task, ..)| *task < count);
    });
}

/// Ends listening and hands over what was heard.
pub fn stop() -> Option<Trace> {
    ON.set(false);
    TRACE.take()
}

/// Runs what nobody shall hear.
#[inline]
pub fn unheard<T>(work: impl FnOnce() -> T) -> T {
    struct Back(bool);
    impl Drop for Back {
        fn drop(&mut self) {
            ON.set(self.0);
        }
    }
    let _back = Back(ON.replace(false));
    work()
}

fn with(work: impl FnOnce(&mut Trace)) {
    TRACE.with_borrow_mut(|t| {
        if let Some(trace) = t {
            work(trace);
        }
    });
}

/// Notes a launch that has run.
#[cold]
pub fn note(launch: &Launch) {
    Task::of(launch).into_iter().for_each(add);
}

/// Notes that elements went from one device to another.
pub fn moved(src: &Operand, dst: &Operand) {
    if on() {
        add(Task::moves(src, dst));
    }
}

fn add(task: Task) {
    with(|trace| {
        for operand in &task.operands {
            let at = operand.storage.address();
            if !trace.born.contains_key(&at) {
                trace.met.entry(at).or_insert_with(|| operand.storage.clone());
            }
        }
        if let Some(call) = CALL.get() {
            trace.calls.push((trace.tasks.len(), call));
        }
        trace.tasks.push(task);
    });
}

/// Notes that a storage has been made.
#[cold]
pub fn born(storage: &Arc<Storage>) {
    with(|trace| {
        trace.born.insert(storage.address(), storage.clone());
    });
}

/// Keeps a storage from outside alive, so that its address stays its own.
pub fn keep(storage: &Arc<Storage>) {
    with(|trace| {
        trace.met.entry(storage.address()).or_insert_with(|| storage.clone());
    });
}

/// Elements are looked at to decide what to do.
#[inline]
pub fn peek() {
    if on() {
        fault_for("an operation of the step looks at elements to decide what to do", CHOOSE.into());
    }
}

/// A generator is set back to where it was.
pub fn restarted() {
    if on() {
        fault("the step seeds a generator");
    }
}

/// Notes something that cannot be done again.
pub fn fault(what: &str) {
    fault_for(what, OUTSIDE.into());
}

/// The same, with what to do in its place.
#[cold]
pub fn fault_for(what: &str, advice: Cow<'static, str>) {
    if TRACE.with_borrow(|t| t.as_ref().is_some_and(|t| t.fault.is_none())) {
        let fault = Fault::here(what, advice);
        with(|trace| trace.fault = Some(fault));
    }
}

/// Whether a storage was made while listening.
pub fn is_born(storage: &Arc<Storage>) -> bool {
    on() && TRACE.with_borrow(|t| t.as_ref().is_some_and(|t| t.born.contains_key(&storage.address())))
}

/// How many counts of a storage are the listener's.
#[inline]
pub fn holds(storage: &Arc<Storage>) -> usize {
    if !on() {
        return 0;
    }
    TRACE.with_borrow(|t| {
        t.as_ref().map_or(0, |t| {
            let at = storage.address();
            let lists = usize::from(t.born.contains_key(&at)) + usize::from(t.met.contains_key(&at));
            lists + t.tasks.iter().flat_map(|task| &task.operands).filter(|o| o.storage.address() == at).count()
        })
    })
}

/// Notes that the host has written a fresh operand: what it holds now is what it shall hold each time.
pub fn given(operand: &Operand) -> Result<()> {
    if !on() {
        return Ok(());
    }
    let copy = unheard(|| -> Result<Operand> {
        let copy = Operand::new(&super::cpu::Cpu, &operand.layout.shape, operand.dtype)?;
        super::cpu::convert::copy(operand, &copy)?;
        Ok(copy)
    })?;
    with(|trace| {
        trace.constants.insert(copy.storage.address());
    });
    note(&Launch::Copy { src: &copy, dst: operand });
    Ok(())
}

/// Notes that the last task drew from a generator.
pub fn drew(stream: &Stream, blocks: u64) {
    with(|trace| {
        let last = trace.tasks.len().saturating_sub(1);
        trace.draws.push((last, stream.clone(), blocks));
    });
}

/// The host reads elements, or asks for something that depends on them.
pub fn read(what: &str) -> Result<()> {
    read_for(what, RETURN)
}

/// The same, with what to do in its place.
pub fn read_for(what: &str, advice: &'static str) -> Result<()> {
    if !on() {
        return Ok(());
    }
    fault_for(what, advice.into());
    if !STRICT.get() {
        return Ok(());
    }
    Err(TRACE.with_borrow(|t| t.as_ref().and_then(|t| t.fault.as_ref()).map(Fault::error)).unwrap_or_else(|| refusal(what)))
}

/// The error of a step that cannot be recorded, and what to do.
pub fn refusal(what: &str) -> Error {
    Fault { what: what.into(), advice: OUTSIDE.into() }.error()
}

/// Names the call of the host whose numbers the next launches take; returns the one before.
pub fn set_call(call: Option<usize>) -> Option<usize> {
    CALL.replace(call)
}
