//! A step recorded once and run again: where its operands come from, what it changes, and the program in between.
//! Leans on graph's capture and on the backend's programs.

use super::echo::{self, Echo};
use crate::backend::program::{Facts, Filled, Heard, Part, Program};
use crate::backend::task::Work;
use crate::backend::trace::{self, Stream};
use crate::backend::{Operand, Storage};
use crate::base::{Error, Few, Layout, Number, Result};
use crate::graph::capture::{self, Touched};
use crate::graph::node::Node;
use crate::graph::tensor::{Hooked, flag};
use crate::graph::{Arg, Body, Op, Tensor, mode};
use crate::ops::view;
use smallvec::SmallVec;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

thread_local! {
    /// Host calls so far of the recording under way.
    static CALLS: Cell<usize> = const { Cell::new(0) };
    /// While the host's part of a step is repeated: the numbers that its calls would have launched with.
    static NUMBERS: RefCell<Option<Vec<Vec<Number>>>> = const { RefCell::new(None) };
}

/// Whether only the numbers of a launch are asked for now; they are noted.
pub fn collects(numbers: &[Number]) -> bool {
    NUMBERS.with_borrow_mut(|list| match list {
        Some(list) => {
            list.push(numbers.to_vec());
            true
        }
        None => false,
    })
}

/// Runs the host's part of a step, and gives the numbers that its calls came with.
pub fn collect<E>(work: impl FnOnce() -> std::result::Result<(), E>) -> std::result::Result<Vec<Vec<Number>>, E> {
    NUMBERS.set(Some(Vec::new()));
    let done = work();
    let found = NUMBERS.take().unwrap_or_default();
    done.map(|()| found)
}

/// A launch whose numbers the host gives anew each time.
pub fn by_call<T>(launch: impl FnOnce() -> T) -> T {
    if !trace::on() {
        return launch();
    }
    let call = CALLS.get();
    CALLS.set(call + 1);
    let before = trace::set_call(Some(call));
    let done = launch();
    trace::set_call(before);
    done
}

/// Where an operand from outside is found each time.
#[derive(Clone)]
enum Source {
    /// The step's n-th tensor argument.
    Arg(usize),
    /// The gradient of the n-th tensor from outside.
    Grad(usize),
    /// This tensor.
    Own(Tensor),
}

/// A tensor from outside, and the form that it must have.
struct Outer {
    source: Source,
    requires_grad: bool,
    hooked: Hooked,
    flags: u8,
    /// Whether it had a gradient at first, where the step asks for it or changes it.
    had_grad: Option<bool>,
    /// Which tensor from outside that gradient was.
    gradient: Option<usize>,
    after: After,
    /// Its place among the program's operands.
    operand: Option<usize>,
    /// Its sizes and steps, where no operand tells them.
    form: Option<Layout>,
}

/// What becomes of a gradient.
enum After {
    Same,
    Gone,
    /// A fresh tensor in what the program fills.
    Made(Filled),
}

/// What a step returns.
enum Given {
    /// A fresh tensor, with flags; and the node under it where it was in a graph that the step has walked back itself.
    Made(Filled, u8, Option<Arc<Node>>),
    Outer(usize),
    /// A view of the n-th tensor from outside: sizes, strides, and elements from its first; and whether it is in the graph.
    View(usize, Arg, Arg, i64, bool),
}

/// A step that can be run again.
pub struct Replay {
    program: Program,
    outers: Vec<Outer>,
    given: Vec<Given>,
    draws: Vec<(Stream, u64)>,
    /// How many numbers each call of the host gives.
    calls: Vec<usize>,
    /// The derivative, where results are part of the graph.
    echo: Option<Echo>,
}

/// What a step is about to work on.
pub struct Ready {
    handles: SmallVec<[Tensor; 8]>,
    operands: SmallVec<[Operand; 8]>,
}

/// What a reader of a program calls one of its parts: the operation of a map, else the family.
pub fn name_of(part: &Part) -> &'static str {
    let is = |op: &&Op| matches!((&op.body, part.body), (Body::Map(own), Some(body)) if std::ptr::eq(own, body));
    crate::ops::all().find(is).map_or(part.family, |op| op.name)
}

/// A recording under way on this thread.
pub struct Recording {
    args: Vec<Tensor>,
    /// The graph's serial at its start.
    serial: u64,
}

impl Drop for Recording {
    fn drop(&mut self) {
        mode::set_traced(false);
        capture::stop();
        trace::stop();
    }
}

impl Recording {
    /// Starts to listen to a step with these tensor arguments; None where a recording is under way.
    pub fn start(args: &[Tensor], strict: bool) -> Option<Recording> {
        if !trace::start(strict) {
            return None;
        }
        CALLS.set(0);
        let serial = mode::peek_serial();
        capture::start(serial);
        mode::set_traced(true);
        args.iter().for_each(capture::take);
        Some(Recording { args: args.to_vec(), serial })
    }

    /// Ends it. What the step returned leaves the program. None where the step was right as it ran, but does what a program
    /// cannot do again.
    pub fn finish(self, returned: &[Tensor]) -> Result<Option<Replay>> {
        returned.iter().for_each(capture::touch_whole);
        if returned.iter().any(is_own) {
            return Ok(None);
        }
        let walked = echo::sound(returned, capture::wanting(), self.serial, trace::count());
        mode::set_traced(false);
        let (mut touched, heard) = (capture::stop(), trace::stop());
        let Some(mut heard) = heard else { return Err(Error::bug("compile", "nothing was being recorded")) };
        if let Some(fault) = heard.fault {
            return Err(fault.error());
        }
        let walked = walked?;
        let placed = |t: &Touched| t.tensor.node().is_some_and(|(node, _)| node.serial >= self.serial);
        if touched.iter().any(|t| t.computed && placed(t)) {
            return Ok(None);
        }
        let open = walked.as_ref().map_or(Vec::new(), |w| w.opens.clone());
        let at = |i: &usize| returned[*i].storage().address();
        if open.iter().enumerate().any(|(k, i)| open[..k].iter().any(|j| at(i) == at(j) && !returned[*i].same(&returned[*j]))) {
            return Ok(None);
        }
        if walked.is_none() && touched.iter().any(|t| t.computed) && touched.iter().any(|t| t.grad_met) {
            return Err(trace::refusal("the step meets a tensor that requires grad and was computed outside"));
        }
        // A gradient is found by its tensor, which therefore comes first.
        let grads: HashSet<usize> = touched.iter().filter_map(|t| t.grad.as_ref().map(Tensor::id)).collect();
        touched.sort_by_key(|t| grads.contains(&t.tensor.id()));
        let mut ends = Ends::default();
        let beginnings = walked.as_ref().map_or_else(Vec::new, echo::Sounded::beginnings);
        let echo = walked.map(|w| w.finish(&mut heard, &touched, &mut ends)).transpose()?;
        let mut outers = Vec::with_capacity(touched.len());
        let mut ins = Vec::new();
        let used: HashSet<usize> = heard.tasks.iter().flat_map(|task| &task.operands).map(|o| o.storage.address()).collect();
        for (k, t) in touched.iter().enumerate() {
            let source = match self.args.iter().position(|a| a.same(&t.tensor)) {
                Some(i) => Source::Arg(i),
                None => match touched.iter().position(|o| o.grad.as_ref().is_some_and(|g| g.same(&t.tensor))) {
                    Some(j) if j != k => Source::Grad(j),
                    _ => Source::Own(t.tensor.clone()),
                },
            };
            let storage = heard.met.get(&t.storage).cloned();
            let operand = match storage {
                Some(storage) if used.contains(&t.storage) => {
                    ins.push(Operand { storage, layout: t.layout.clone(), dtype: t.dtype });
                    Some(ins.len() - 1)
                }
                _ => None,
            };
            let after = t.after(&heard.born, &mut ends)?;
            let met = t.grad.as_ref().filter(|_| t.grad_met);
            outers.push(Outer {
                source,
                requires_grad: t.requires_grad,
                hooked: t.hooked,
                flags: t.flags & (flag::VARIABLE | flag::STRICT),
                had_grad: t.grad_met.then_some(t.grad.is_some()),
                gradient: met.and_then(|grad| touched.iter().position(|o| o.tensor.same(grad))),
                after,
                form: operand.is_none().then(|| t.layout.clone()),
                operand,
            });
        }
        let known = |at: &usize| {
            let inside = heard.constants.contains(at) || heard.born.contains_key(at) || beginnings.contains(at);
            inside || touched.iter().any(|t| t.storage == *at)
        };
        if heard.met.iter().any(|(at, storage)| !known(at) && !storage.is_foreign()) {
            return Err(trace::refusal("the step reaches a tensor in a way that cannot be followed"));
        }
        let mut given = Vec::with_capacity(returned.len());
        for (i, t) in returned.iter().enumerate() {
            let core = t.0.core.get();
            let at = core.operand.storage.address();
            given.push(if heard.born.contains_key(&at) {
                let inside = core.edge.as_ref().filter(|(node, _)| core.requires_grad && node.serial >= self.serial);
                let walked = inside.filter(|_| !open.contains(&i)).map(|(node, _)| node.walked(&core.operand));
                Given::Made(ends.place(&core.operand), core.flags & flag::STRICT, walked)
            } else {
                match touched.iter().position(|o| o.tensor.same(t)) {
                    Some(k) => Given::Outer(k),
                    None => {
                        let own = touched.iter().position(|o| o.storage == at);
                        let Some(k) = own else { return Err(trace::refusal("the step returns a tensor that cannot be followed")) };
                        let layout = &core.operand.layout;
                        let strides: Few<i64> = layout.strides.iter().map(|&s| s as i64).collect();
                        let shift = layout.offset as i64 - touched[k].layout.offset as i64;
                        if core.operand.dtype != touched[k].dtype {
                            let why = "the step returns a view of a tensor from outside as another dtype; return a copy of it (clone)";
                            return Err(trace::refusal(why));
                        }
                        Given::View(k, Arg::from(&layout.shape), Arg::Ints(strides), shift, core.requires_grad)
                    }
                }
            });
        }
        let mut calls = vec![0; CALLS.get()];
        for (task, call) in &heard.calls {
            if let Work::Map { params, .. } = &heard.tasks[*task].work {
                calls[*call] = params.len();
            }
        }
        let mut call_of: HashMap<usize, usize> = heard.calls.into_iter().collect();
        let mut draw_of: HashMap<usize, usize> = heard.draws.iter().enumerate().map(|(d, (task, ..))| (*task, d)).collect();
        let list = heard
            .tasks
            .into_iter()
            .enumerate()
            .map(|(i, task)| Heard { task, call: call_of.remove(&i), draw: draw_of.remove(&i) })
            .collect();
        let (born, constants) = (&heard.born, &heard.constants);
        let program = Program::new(list, &ins, &ends.list, |at| born.contains_key(&at), |at| constants.contains(&at))?;
        let draws = heard.draws.into_iter().map(|(_, stream, blocks)| (stream, blocks)).collect();
        Ok(Some(Replay { program, outers, given, draws, calls, echo }))
    }
}

/// Whether a result that a step made is a tensor in its own right: a leaf, or one that has or keeps a gradient.
fn is_own(t: &Tensor) -> bool {
    let core = t.0.core.get();
    let leaf = core.requires_grad && core.edge.is_none();
    trace::is_born(&core.operand.storage) && (leaf || core.grad.is_some() || core.has(flag::RETAINS))
}

/// The storages whose contents leave a step.
#[derive(Default)]
pub(super) struct Ends {
    pub list: Vec<Arc<Storage>>,
    index: HashMap<usize, usize>,
}

impl Ends {
    pub fn place(&mut self, own: &Operand) -> Filled {
        let which = *self.index.entry(own.storage.address()).or_insert_with(|| {
            self.list.push(own.storage.clone());
            self.list.len() - 1
        });
        Filled { which, layout: own.layout.clone(), dtype: own.dtype }
    }
}

impl Touched {
    /// What has become of its gradient; an error where something else about it has changed.
    fn after(&self, born: &HashMap<usize, Arc<Storage>>, ends: &mut Ends) -> Result<After> {
        let core = self.tensor.0.core.get();
        let moved = core.operand.storage.address() != self.storage || core.operand.layout != self.layout;
        if moved {
            return Err(trace::refusal("the step puts other memory under a tensor from outside (data, assign, set_)"));
        }
        if core.requires_grad != self.requires_grad || self.computed != (core.edge.is_some() && core.requires_grad) {
            return Err(trace::refusal("the step changes whether a tensor from outside requires grad"));
        }
        let now = core.grad.clone();
        drop(core);
        match (&self.grad, now) {
            (None, None) => Ok(After::Same),
            (Some(_), None) => Ok(After::Gone),
            (Some(old), Some(new)) if old.same(&new) => Ok(After::Same),
            (_, Some(new)) => {
                let core = new.0.core.get();
                if core.edge.is_some() || core.requires_grad || !born.contains_key(&(core.operand.storage.address())) {
                    let why =
                        "the step, or another thread meanwhile, gives a tensor a gradient that is part of a graph, or that it did not make";
                    return Err(trace::refusal(why));
                }
                Ok(After::Made(ends.place(&core.operand)))
            }
        }
    }
}

impl Replay {
    pub fn facts(&self) -> &Facts {
        &self.program.facts
    }
    /// About how many elements its launches go over.
    pub fn weight(&self) -> usize {
        self.program.facts.elements
    }

    /// Finds what the step works on; None where something has another form than it had.
    pub fn ready(&mut self, args: &[Tensor]) -> Option<Ready> {
        let mut ready = Ready { handles: SmallVec::new(), operands: SmallVec::new() };
        for outer in &self.outers {
            let t = match &outer.source {
                Source::Arg(i) => args.get(*i)?.clone(),
                Source::Own(t) => t.clone(),
                Source::Grad(j) => ready.handles.get(*j)?.0.core.get().grad.clone()?,
            };
            {
                let core = t.0.core.get();
                let alike = core.requires_grad == outer.requires_grad
                    && (self.echo.is_some() || core.hooked() == outer.hooked)
                    && core.flags & (flag::VARIABLE | flag::STRICT) == outer.flags
                    && outer.had_grad.is_none_or(|had| had == core.grad.is_some())
                    && (self.echo.is_some() || core.edge.is_none() || !core.requires_grad);
                let now = &core.operand.layout;
                let formed = outer.form.as_ref().is_none_or(|then| then.shape == now.shape && then.strides == now.strides);
                if !alike || !formed {
                    return None;
                }
                if outer.operand.is_some() {
                    ready.operands.push(core.operand.clone());
                }
            }
            ready.handles.push(t);
        }
        for (outer, t) in self.outers.iter().zip(&ready.handles) {
            if let Some(k) = outer.gradient
                && !t.0.core.get().grad.as_ref().is_some_and(|grad| grad.same(&ready.handles[k]))
            {
                return None;
            }
        }
        let ins: SmallVec<[&Operand; 8]> = ready.operands.iter().collect();
        let fits = self.program.bind(&ins).is_some();
        drop(ins);
        fits.then_some(ready)
    }

    /// Runs the launches, with the numbers that the host gives; None, and nothing done, where memory is shared in another
    /// way than it was.
    pub fn run(&mut self, ready: &Ready, numbers: &[Vec<Number>]) -> Result<Option<Vec<Tensor>>> {
        if !numbers.iter().map(Vec::len).eq(self.calls.iter().copied()) {
            return Ok(None);
        }
        let ins: SmallVec<[&Operand; 8]> = ready.operands.iter().collect();
        let outs = self.program.rooms()?;
        let Some(mut bound) = self.program.bind(&ins) else { return Ok(None) };
        for (call, list) in numbers.iter().enumerate() {
            bound.set_numbers(call, list);
        }
        let mut begun: SmallVec<[u64; 4]> = SmallVec::new();
        for (k, (stream, blocks)) in self.draws.iter().enumerate() {
            let mut generator = stream.get();
            let seed = generator.initial_seed();
            let offset = generator.take(*blocks);
            bound.set_draw(k, seed, offset);
            begun.push(offset);
        }
        if let Err(error) = bound.run(&outs) {
            // A step that fails has drawn nothing.
            for ((stream, blocks), &offset) in self.draws.iter().zip(&begun).rev() {
                stream.get().put_back(offset, *blocks);
            }
            return Err(error);
        }
        self.settle(&ready.handles, &outs).map(Some)
    }

    /// What is left to do when the launches have run: versions, gradients, results.
    fn settle(&self, handles: &[Tensor], outs: &[Arc<Storage>]) -> Result<Vec<Tensor>> {
        for (outer, t) in self.outers.iter().zip(handles) {
            if let Some(k) = outer.operand
                && self.program.writes(k)
            {
                let mut core = t.0.core.get();
                core.bump();
                if core.base.is_none() {
                    core.seen = core.version();
                }
            }
            match &outer.after {
                After::Same => {}
                After::Gone => t.set_grad(None),
                After::Made(own) => t.set_grad(Some(Tensor::from_operand(own.within(outs)))),
            }
        }
        let list = self.given.iter().map(|g| match g {
            Given::Made(own, flags, walked) => {
                let t = Tensor::from_operand(own.within(outs));
                t.set_flag(*flags, *flags != 0);
                if let Some(node) = walked {
                    let mut core = t.0.core.get();
                    core.requires_grad = true;
                    core.edge = Some((node.clone(), 0));
                }
                Ok(t)
            }
            Given::Outer(k) => Ok(handles[*k].clone()),
            Given::View(k, sizes, strides, shift, tracked) => {
                let first = handles[*k].layout().offset as i64 + shift;
                let alone = (!tracked).then(|| handles[*k].detach());
                view::as_strided(alone.as_ref().unwrap_or(&handles[*k]), sizes.clone(), strides.clone(), first)
            }
        });
        let list: Vec<Tensor> = list.collect::<Result<_>>()?;
        if let Some(echo) = &self.echo {
            let opens: Vec<Tensor> = echo.opens.iter().map(|&i| list[i].clone()).collect();
            echo.attach(handles, outs, &opens)?;
        }
        Ok(list)
    }
}
