//! Threads that help with long work: for a moment after each piece they look out for the next, then they sleep. Leans on the
//! standard library alone.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a thread looks out before it sleeps: the kernels of a training step follow each other more closely, and waking
/// costs as much as a short kernel.
pub const AWAKE: Duration = Duration::from_micros(300);

/// What threads can help with. It must see for itself to being over when a helper comes late.
pub trait Share: Send + Sync {
    fn help(&self);
}

pub struct Crew {
    door: Mutex<Option<Arc<dyn Share>>>,
    bell: Condvar,
    /// How often a share was offered.
    calls: AtomicUsize,
    asleep: AtomicUsize,
    size: usize,
    over: AtomicBool,
}

/// Waits until `done`, at first without sleeping; false where it took longer than `AWAKE`.
pub fn look_out(done: impl Fn() -> bool) -> bool {
    let mut start = None;
    loop {
        for _ in 0..64 {
            if done() {
                return true;
            }
            std::hint::spin_loop();
        }
        if start.get_or_insert_with(Instant::now).elapsed() > AWAKE {
            return false;
        }
    }
}

impl Crew {
    /// So many threads besides the one that asks, or as many of them as the system gives.
    pub fn new(size: usize) -> Arc<Crew> {
        let (door, calls, asleep) = (Mutex::new(None), AtomicUsize::new(0), AtomicUsize::new(0));
        let crew = Arc::new(Crew { door, bell: Condvar::new(), calls, asleep, size, over: AtomicBool::new(false) });
        for i in 0..size {
            let of = crew.clone();
            if thread::Builder::new().name(format!("schuss-{i}")).spawn(move || of.serve()).is_err() {
                break;
            }
        }
        crew
    }

    fn door(&self) -> MutexGuard<'_, Option<Arc<dyn Share>>> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether some thread would come without being woken.
    pub fn is_awake(&self) -> bool {
        self.asleep.load(Ordering::Relaxed) < self.size
    }

    /// Lets up to so many threads help; those that sleep are woken.
    pub fn offer(&self, share: Arc<dyn Share>, helpers: usize) {
        let mut door = self.door();
        *door = Some(share);
        self.calls.fetch_add(1, Ordering::Release);
        let asleep = self.asleep.load(Ordering::Relaxed);
        drop(door);
        (0..helpers.min(asleep)).for_each(|_| self.bell.notify_one());
    }

    /// Takes the offer back, unless another stands there by now.
    pub fn withdraw(&self, share: &Arc<dyn Share>) {
        let mut door = self.door();
        if door.as_ref().is_some_and(|there| Arc::ptr_eq(there, share)) {
            *door = None;
        }
    }

    /// Sends the threads home; those that are at work end it first.
    pub fn dismiss(&self) {
        let _door = self.door();
        self.over.store(true, Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::Release);
        self.bell.notify_all();
    }

    fn serve(&self) {
        let mut seen = 0;
        loop {
            if !look_out(|| self.calls.load(Ordering::Acquire) != seen) {
                let mut door = self.door();
                self.asleep.fetch_add(1, Ordering::Relaxed);
                while self.calls.load(Ordering::Relaxed) == seen {
                    door = self.bell.wait(door).unwrap_or_else(PoisonError::into_inner);
                }
                self.asleep.fetch_sub(1, Ordering::Relaxed);
            }
            let share = {
                let door = self.door();
                seen = self.calls.load(Ordering::Relaxed);
                door.clone()
            };
            if self.over.load(Ordering::Relaxed) {
                return;
            }
            if let Some(share) = share {
                share.help();
            }
        }
    }
}
