//! Work cut into fixed chunks, so that bits never depend on how many threads there are. Leans on rayon and stop.

use super::stop;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

static COUNT: AtomicUsize = AtomicUsize::new(0);
static POOL: Mutex<Option<Arc<rayon::ThreadPool>>> = Mutex::new(None);

/// How many threads long kernels use: SCHUSS_NUM_THREADS, or one for each core.
pub fn count() -> usize {
    match COUNT.load(Ordering::Relaxed) {
        0 => {
            let wish = std::env::var("SCHUSS_NUM_THREADS").ok().and_then(|v| v.parse().ok()).filter(|&n| n > 0);
            let n = wish.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
            COUNT.store(n, Ordering::Relaxed);
            n
        }
        n => n,
    }
}

pub fn set_count(n: usize) {
    COUNT.store(n.max(1), Ordering::Relaxed);
    forget();
}

/// Drops the pool; the next long kernel makes a new one. A forked child must call this: threads do not survive a fork.
pub fn forget() {
    let old = POOL.lock().unwrap_or_else(PoisonError::into_inner).take();
    drop(old);
}

/// Forgets the pool without touching its threads, which do not exist in a forked child.
pub fn forget_in_child() {
    // Another thread may have held the lock when the process forked, so it is only tried.
    if let Ok(mut pool) = POOL.try_lock() {
        std::mem::forget(pool.take());
    }
}

fn pool() -> Option<Arc<rayon::ThreadPool>> {
    let mut slot = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    if slot.is_none() {
        *slot = rayon::ThreadPoolBuilder::new().num_threads(count()).thread_name(|i| format!("schuss-{i}")).build().ok().map(Arc::new);
    }
    slot.clone()
}

/// Runs `work` over `0..n` in chunks of `chunk`, on several threads where there is more than one chunk. Leaves off where
/// the user wants it to stop.
#[inline]
pub fn each(n: usize, chunk: usize, work: impl Fn(Range<usize>) + Sync) {
    if n <= chunk || count() == 1 {
        let mut start = 0;
        while start < n && (start == 0 || !stop::asked()) {
            work(start..(start + chunk).min(n));
            start += chunk;
        }
        return;
    }
    spread(n, chunk, &work);
}

#[cold]
fn spread(n: usize, chunk: usize, work: &(dyn Fn(Range<usize>) + Sync)) {
    if stop::asked() {
        return;
    }
    // SAFETY: only the lifetime is lengthened: `Closing` lets nobody in, and waits for those inside, before `work` ends.
    let work: &'static (dyn Fn(Range<usize>) + Sync) = unsafe { std::mem::transmute(work) };
    let share = Arc::new(Share {
        work,
        n,
        chunk,
        next: AtomicUsize::new(0),
        flag: AtomicBool::new(false),
        inside: Mutex::new(Some(0)),
        bell: Condvar::new(),
        panic: Mutex::new(None),
    });
    {
        let _closing = Closing(&share);
        if let Some(pool) = pool() {
            for _ in 1..count().min(n.div_ceil(chunk)) {
                let share = share.clone();
                pool.spawn(move || share.help());
            }
        }
        while let Some(range) = share.take() {
            work(range);
            if stop::asked() {
                share.flag.store(true, Ordering::Relaxed);
            }
        }
    }
    if let Some(payload) = share.panic.lock().unwrap_or_else(PoisonError::into_inner).take() {
        std::panic::resume_unwind(payload);
    }
}

/// Chunks of work that the thread that asked and those of the pool take as they are free; one that comes too late finds
/// it closed, and nobody waits for it.
struct Share {
    work: &'static (dyn Fn(Range<usize>) + Sync),
    n: usize,
    chunk: usize,
    next: AtomicUsize,
    /// Whether to leave off.
    flag: AtomicBool,
    /// How many of the pool's threads are at it; None when it is closed.
    inside: Mutex<Option<usize>>,
    bell: Condvar,
    panic: Mutex<Option<Box<dyn std::any::Any + Send>>>,
}

impl Share {
    fn take(&self) -> Option<Range<usize>> {
        let start = self.next.fetch_add(1, Ordering::Relaxed).saturating_mul(self.chunk);
        (start < self.n && !self.flag.load(Ordering::Relaxed)).then(|| start..(start + self.chunk).min(self.n))
    }

    /// What a thread of the pool does.
    fn help(&self) {
        match &mut *self.inside.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(count) => *count += 1,
            None => return,
        }
        let work = || {
            while let Some(range) = self.take() {
                (self.work)(range);
            }
        };
        if let Err(payload) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| stop::heeding(&self.flag, work))) {
            self.flag.store(true, Ordering::Relaxed);
            *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(payload);
        }
        if let Some(count) = &mut *self.inside.lock().unwrap_or_else(PoisonError::into_inner) {
            *count -= 1;
        }
        self.bell.notify_one();
    }
}

/// Waits for the threads that are inside, asking now and then whether to stop, and closes, be it in a panic.
struct Closing<'a>(&'a Share);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        let share = self.0;
        let mut inside = share.inside.lock().unwrap_or_else(PoisonError::into_inner);
        while inside.is_some_and(|count| count > 0) {
            let (guard, waited) = share.bell.wait_timeout(inside, stop::SPELL).unwrap_or_else(PoisonError::into_inner);
            inside = guard;
            if waited.timed_out() {
                drop(inside);
                share.flag.fetch_or(stop::hear(), Ordering::Relaxed);
                inside = share.inside.lock().unwrap_or_else(PoisonError::into_inner);
            }
        }
        *inside = None;
    }
}

/// Runs a closure inside the pool, for libraries that bring their own parallel loops.
pub fn inside<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    match pool() {
        Some(pool) => pool.install(work),
        None => work(),
    }
}
