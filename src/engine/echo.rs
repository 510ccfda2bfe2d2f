//! The derivative of a recorded function whose results are walked back from outside: a second program, behind one node.
//! Leans on backward, custom and the backend's programs.

use super::backward::{self, Plan};
use super::custom::attach_dynamic;
use super::record::look;
use super::replay::Ends;
use crate::backend::program::{Filled, Heard, Program};
use crate::backend::task::Task;
use crate::backend::trace::{self, Trace};
use crate::backend::{Operand, Storage};
use crate::base::{DType, Device, Error, ErrorKind, Layout, Result};
use crate::graph::capture::Touched;
use crate::graph::mode::{self, GradGuard, Mode};
use crate::graph::node::{Dynamic, Node, freed};
use crate::graph::{Edge, Tensor};
use crate::ops;
use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

/// The walk back from a function's results, heard while the function itself was still being listened to.
pub struct Sounded {
    /// The first task that is its own.
    from: usize,
    pub opens: Vec<usize>,
    cotangents: Vec<Operand>,
    /// Those of results without a place in the graph.
    strays: Vec<Operand>,
    ends: Vec<Tensor>,
    grads: Vec<Option<Tensor>>,
}

/// Walks back from those results that are part of the graph made since `serial`, to all tensors from outside that want it;
/// None where there are no such results.
pub fn sound(returned: &[Tensor], ends: Vec<Tensor>, serial: u64, tasks: usize) -> Result<Option<Sounded>> {
    // Views of what came from outside are taken anew each time, and need no second program.
    let is_open = |t: &Tensor| t.requires_grad() && t.node().is_some_and(|(n, _)| n.serial >= serial) && trace::is_born(&t.storage());
    let opens: Vec<usize> = (0..returned.len()).filter(|&i| is_open(&returned[i])).collect();
    if opens.is_empty() {
        return Ok(None);
    }
    let start = |&i: &usize| -> Result<(Edge, Tensor)> {
        let (shape, dtype, device) = (returned[i].shape(), returned[i].dtype(), returned[i].device());
        Ok((returned[i].edge(), trace::unheard(|| backward::filled_on(device, &shape, dtype, 1.0))?))
    };
    let starts = opens.iter().map(start).collect::<Result<Vec<_>>>()?;
    let cotangents: Vec<Operand> = starts.iter().map(|(_, t)| t.operand()).collect();
    let edges: Vec<Edge> = ends.iter().map(Tensor::edge).collect();
    let inside = |n: &Node| n.serial >= serial;
    let plan = Plan { retain: true, create: false, ends: Some(&edges), inside: Some(&inside), silent: true };
    // What was walked inside the function has been let go: such results leave without a place in the graph.
    let mut alive = Vec::new();
    for (k, one) in starts.iter().enumerate() {
        match backward::run(std::slice::from_ref(one), &plan) {
            Ok(_) => alive.push(k),
            Err(error) if error.kind() == ErrorKind::Grad => {}
            Err(error) => return Err(error),
        }
        trace::forget_since(tasks);
    }
    if alive.is_empty() {
        return Ok(None);
    }
    let strays = (0..starts.len()).filter(|k| !alive.contains(k)).map(|k| cotangents[k].clone()).collect();
    let pick = |k: &usize| (starts[*k].clone(), cotangents[*k].clone(), opens[*k]);
    let (starts, (cotangents, opens)): (Vec<_>, (Vec<_>, Vec<_>)) = alive.iter().map(pick).map(|(a, b, c)| (a, (b, c))).unzip();
    let mut grads = backward::run(&starts, &plan)?;
    // A gradient that is another tensor's memory leaves as a copy.
    let _quiet = GradGuard::set(false);
    for grad in grads.iter_mut().flatten() {
        if !trace::is_born(&grad.storage()) {
            *grad = ops::view::compact(&*grad)?;
        }
    }
    Ok(Some(Sounded { from: tasks, opens, cotangents, strays, ends, grads }))
}

/// Where the second program finds an operand.
enum Source {
    Cotangent(usize),
    /// In what the first one fills.
    Saved(Filled),
    Outer(usize),
}

/// The second program, and what it needs of the first.
pub struct Echo {
    program: Arc<Mutex<Program>>,
    sources: Arc<Vec<Source>>,
    grads: Arc<Vec<Option<Filled>>>,
    forms: Arc<Vec<(Layout, DType, Device)>>,
    /// The results that have a place in the graph, and the tensors from outside that gradients go to.
    pub opens: Vec<usize>,
    ends: Vec<usize>,
}

impl Sounded {
    /// Where the walk's own beginnings lie.
    pub fn beginnings(&self) -> Vec<usize> {
        self.cotangents.iter().chain(&self.strays).map(|c| c.storage.address()).collect()
    }

    /// Takes the walk's tasks out of a trace and makes a program of them. `ends` gathers the storages that the first program
    /// must fill for it.
    pub fn finish(self, heard: &mut Trace, touched: &[Touched], ends: &mut Ends) -> Result<Echo> {
        let own: Vec<Task> = heard.tasks.split_off(self.from);
        if heard.draws.iter().any(|(task, ..)| *task >= self.from) {
            return Err(trace::refusal("the derivative of the function draws random numbers"));
        }
        if heard.calls.iter().any(|(task, _)| *task >= self.from) {
            return Err(trace::refusal("the derivative of the function uses a float argument; give it as a tensor"));
        }
        let written: HashSet<usize> = heard.tasks.iter().flat_map(Task::writes).map(|o| o.storage.address()).collect();
        let (mut sources, mut ins, mut known) = (Vec::new(), Vec::<Operand>::new(), Vec::<usize>::new());
        for operand in own.iter().flat_map(|task| &task.operands) {
            let key = operand.storage.address();
            if known.contains(&key) {
                continue;
            }
            let (source, whole) = if let Some(i) = self.cotangents.iter().position(|c| c.storage.address() == key) {
                (Source::Cotangent(i), self.cotangents[i].clone())
            } else if let Some(k) = touched.iter().position(|t| t.storage == key) {
                let t = &touched[k];
                (Source::Outer(k), Operand { storage: operand.storage.clone(), layout: t.layout.clone(), dtype: t.dtype })
            } else if heard.born.contains_key(&key) && written.contains(&key) {
                let whole = operand.view(Layout::contiguous([operand.storage.len() / operand.dtype.size()][..].into()));
                (Source::Saved(ends.place(&whole)), whole)
            } else if heard.born.contains_key(&key) || heard.constants.contains(&key) {
                continue;
            } else {
                return Err(trace::refusal("the derivative reaches a tensor in a way that cannot be followed"));
            };
            known.push(key);
            sources.push(source);
            ins.push(whole);
        }
        let mut outs = Ends::default();
        let grads = self.grads.iter().map(|grad| grad.as_ref().map(|g| outs.place(&g.operand()))).collect();
        let tasks = own.into_iter().map(|task| Heard { task, call: None, draw: None }).collect();
        let inner = |key: usize| heard.born.contains_key(&key) && !known.contains(&key);
        let program = Program::new(tasks, &ins, &outs.list, inner, |key| heard.constants.contains(&key))?;
        let place = |t: &Tensor| touched.iter().position(|o| o.tensor.same(t));
        let to: Option<Vec<usize>> = self.ends.iter().map(place).collect();
        Ok(Echo {
            program: Arc::new(Mutex::new(program)),
            sources: Arc::new(sources),
            grads: Arc::new(grads),
            forms: Arc::new(self.cotangents.iter().map(|c| (c.layout.clone(), c.dtype, c.device())).collect()),
            opens: self.opens,
            ends: to.ok_or_else(|| Error::bug("compile", "an end of the walk is no tensor from outside"))?,
        })
    }
}

impl Echo {
    /// Puts the second program behind the results of a run of the first.
    pub fn attach(&self, handles: &[Tensor], outs: &[Arc<Storage>], results: &[Tensor]) -> Result<()> {
        let mode = Mode::now();
        let held = self
            .sources
            .iter()
            .map(|source| match source {
                Source::Cotangent(_) => None,
                Source::Saved(own) => {
                    let own = own.within(outs);
                    let version = own.storage.version().load(Ordering::Relaxed);
                    Some((own, None, version))
                }
                Source::Outer(k) => {
                    let core = handles[*k].0.core.get();
                    Some((core.operand.clone(), Some(handles[*k].clone()), core.version()))
                }
            })
            .collect();
        let rule = Arc::new(Behind {
            program: self.program.clone(),
            sources: self.sources.clone(),
            grads: self.grads.clone(),
            forms: self.forms.clone(),
            held: Mutex::new(Some(held)),
        });
        let looks: Vec<_> = self.ends.iter().map(|&k| Some(look(&handles[k], mode))).collect();
        attach_dynamic(rule, &looks, results, &|_| false, mode).map(drop)
    }
}

/// What a run of the first program has left for the second: operands, the tensors of those from outside, versions.
type Held = Vec<Option<(Operand, Option<Tensor>, u32)>>;

/// The rule of a compiled function's node.
struct Behind {
    program: Arc<Mutex<Program>>,
    sources: Arc<Vec<Source>>,
    grads: Arc<Vec<Option<Filled>>>,
    forms: Arc<Vec<(Layout, DType, Device)>>,
    held: Mutex<Option<Held>>,
}

impl Dynamic for Behind {
    fn name(&self) -> String {
        "Compiled".to_string()
    }

    fn pull(&self, _node: &Arc<Node>, grads: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        if mode::grad_enabled() {
            return Err(Error::grad(
                "compile",
                "the derivative of a compiled function cannot be recorded (create_graph); call the function itself for second derivatives",
            ));
        }
        let mut cotangents = Vec::with_capacity(grads.len());
        for (grad, (layout, dtype, device)) in grads.iter().zip(self.forms.iter()) {
            let given = match grad {
                None => backward::filled_on(*device, &layout.shape, *dtype, 0.0)?,
                Some(g) if g.layout().lies_like(layout) => g.clone(),
                Some(g) => ops::view::compact(g)?,
            };
            cotangents.push(given.operand());
        }
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(held) = &*held else { return Err(freed("Compiled")) };
        let mut ins: Vec<&Operand> = Vec::with_capacity(held.len());
        for (source, own) in self.sources.iter().zip(held) {
            ins.push(match (source, own) {
                (Source::Cotangent(i), _) => &cotangents[*i],
                (_, Some((operand, outer, version))) => {
                    let now = outer.as_ref().map_or_else(|| operand.storage.version().load(Ordering::Relaxed), Tensor::version);
                    if now != *version {
                        return Err(Error::grad(
                            "backward",
                            "a tensor that a compiled function read or made has been modified by an in-place operation since; write to a copy",
                        ));
                    }
                    operand
                }
                _ => return Err(Error::bug("compile", "an operand of the derivative is missing")),
            });
        }
        let mut program = self.program.lock().unwrap_or_else(PoisonError::into_inner);
        let outs = program.rooms()?;
        let Some(bound) = program.bind(&ins) else { return Err(Error::bug("compile", "the derivative's operands do not fit")) };
        bound.run(&outs)?;
        Ok(self.grads.iter().map(|g| g.as_ref().map(|own| Tensor::from_operand(own.within(&outs)))).collect())
    }

    fn release(&self) {
        let old = self.held.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(old);
    }
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}
