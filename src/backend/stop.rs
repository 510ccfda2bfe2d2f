//! What ends work before it is done: the user's wish (Ctrl-C), of which loops ask, leave off, and the launch tells; and
//! room beside the result that memory has not got. Leans on base.

use crate::base::{Error, Result};
use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Asks the host whether to go on; set by the door.
pub static INTERRUPT: OnceLock<fn() -> Result<()>> = OnceLock::new();

/// How long work goes on between two questions to the host.
pub const SPELL: Duration = Duration::from_millis(50);

thread_local! {
    /// On a helper's thread: what the one that waits for it has heard.
    static FLAG: Cell<*const AtomicBool> = const { Cell::new(std::ptr::null()) };
    static LAST: Cell<Option<Instant>> = const { Cell::new(None) };
    static STOPPED: Cell<bool> = const { Cell::new(false) };
    static WHY: Cell<Option<Error>> = const { Cell::new(None) };
}

/// Whether work shall leave off, with its results unfinished; asked every ten microseconds or more.
pub fn asked() -> bool {
    let flag = FLAG.get();
    if !flag.is_null() {
        // SAFETY: `heeding` keeps the flag alive while it is set here.
        return unsafe { (*flag).load(Ordering::Relaxed) };
    }
    if STOPPED.get() {
        return true;
    }
    let now = Instant::now();
    if LAST.get().is_some_and(|last| now.duration_since(last) < SPELL) {
        return false;
    }
    LAST.set(Some(now));
    hear()
}

/// Whether this thread helps another with a piece of its work.
pub fn is_helping() -> bool {
    !FLAG.get().is_null()
}

/// Asks the host at once. A helper must not: the one that waits for it may hold the host's lock.
pub fn hear() -> bool {
    if is_helping() {
        return false;
    }
    match INTERRUPT.get().map(|ask| ask()) {
        Some(Err(error)) => {
            WHY.set(Some(error));
            STOPPED.set(true);
            true
        }
        _ => false,
    }
}

/// Runs a piece of work on a helper's thread, where `asked` reads the flag.
pub fn heeding(flag: &AtomicBool, work: impl FnOnce()) {
    struct Back(*const AtomicBool);
    impl Drop for Back {
        fn drop(&mut self) {
            FLAG.set(self.0);
        }
    }
    let _back = Back(FLAG.replace(flag));
    work();
}

/// What stopped the work of this thread, which is then forgotten.
#[inline]
pub fn taken() -> Option<Error> {
    if !STOPPED.get() {
        return None;
    }
    STOPPED.set(false);
    WHY.take()
}

/// Whether memory has room for what a kernel needs beside its result: an expanded operand may be longer than memory.
pub fn afford(op: &str, bytes: usize) -> Result<()> {
    let mut room: Vec<u8> = Vec::new();
    room.try_reserve_exact(bytes).map_err(|_| Error::memory(op, format!("needs {bytes} bytes beside its result, which memory has not got")))
}
