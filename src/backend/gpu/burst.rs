//! Formulas that a program asks for one by one, held back until something else is asked: those over the same elements run as
//! one kernel, and what nobody holds any more never reaches memory. Leans on map and reel.

use super::map::{self, Piece};
use super::reel::piece;
use super::stream::Gpu;
use crate::backend::launch::Operand;
use crate::backend::program::lay::follows;
use crate::backend::task::Task;
use crate::backend::{Launch, place};
use crate::base::{Device, Few, Layout, Result};
use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};

/// Formulas that wait together at most.
const MOST: usize = 12;

thread_local! {
    /// Whether what this thread launches runs at once.
    static DIRECT: Cell<bool> = const { Cell::new(false) };
}

/// What waits on a device.
#[derive(Default)]
pub struct Burst(Mutex<Vec<Task>>);

/// Runs something whose launches do not wait.
pub fn direct<T>(work: impl FnOnce() -> T) -> T {
    struct Back(bool);
    impl Drop for Back {
        fn drop(&mut self) {
            DIRECT.set(self.0);
        }
    }
    let _back = Back(DIRECT.replace(true));
    work()
}

/// The same task over copies of the numbers that lie on the host: they may be others by the time it runs.
fn with_own_numbers(mut task: Task) -> Result<Task> {
    for own in task.operands.iter_mut().filter(|o| !o.storage.is_away()) {
        let home = place::at(Device::Cpu)?;
        let copy = Operand::new(home, &[], own.dtype)?;
        let one = own.view(Layout::new(Few::new(), Few::new(), own.layout.offset));
        home.launch(&Launch::Copy { src: &one, dst: &copy })?;
        *own = copy.view(Layout::new(own.layout.shape.clone(), own.layout.shape.iter().map(|_| 0).collect(), 0));
    }
    Ok(task)
}

impl Gpu {
    /// Lets a launch wait, if it is a formula that can; else what waits runs first. Says whether it waits.
    pub(super) fn waits(&self, launch: &Launch) -> Result<bool> {
        let fit = !DIRECT.get() && matches!(launch, Launch::Map { .. } | Launch::Copy { .. } | Launch::Fill { .. });
        let Some(task) = fit.then(|| Task::of(launch).pop()).flatten().filter(|task| self.can_wait(task)) else {
            self.settle()?;
            return Ok(false);
        };
        let task = with_own_numbers(task)?;
        let mut waiting = self.burst.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.is_empty() && !self.goes_along(&waiting, &task) {
            let old = std::mem::take(&mut *waiting);
            self.go(&old)?;
        }
        waiting.push(task);
        Ok(true)
    }

    fn can_wait(&self, task: &Task) -> bool {
        self.is_link(task) && task.operands.iter().all(|o| o.storage.len() as u64 <= self.caps.max_binding)
    }

    fn goes_along(&self, waiting: &[Task], task: &Task) -> bool {
        let n = |t: &Task| t.writes()[0].numel();
        if waiting.len() >= MOST || n(&waiting[0]) != n(task) || !follows(waiting.iter(), task) {
            return false;
        }
        let all: Vec<Piece> = waiting.iter().chain([task]).filter_map(piece).collect();
        map::fits(&[all], &|_| false, &self.caps)
    }

    /// Runs what waits.
    pub(super) fn settle(&self) -> Result<()> {
        if DIRECT.get() {
            return Ok(());
        }
        let mut waiting = self.burst.0.lock().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::take(&mut *waiting);
        self.go(&old)
    }

    fn go(&self, tasks: &[Task]) -> Result<()> {
        if tasks.is_empty() {
            return Ok(());
        }
        // Memory that only these tasks hold is read by none but them.
        let held = |o: &Operand| tasks.iter().flat_map(|t| &t.operands).filter(|other| Arc::ptr_eq(&other.storage, &o.storage)).count();
        let local = |o: &Operand| Arc::strong_count(&o.storage) == held(o);
        let pieces: Vec<Piece> = tasks.iter().filter_map(piece).collect();
        if tasks.iter().flat_map(Task::writes).all(local) {
            return Ok(());
        }
        direct(|| map::run_parts(self, &[pieces], &local))
    }
}
