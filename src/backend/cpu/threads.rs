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
    let (flag, next, chunks) = (AtomicBool::new(false), AtomicUsize::new(0), n.div_ceil(chunk));
    // Whoever is free takes the next chunk.
    let take = || {
        let i = next.fetch_add(1, Ordering::Relaxed);
        (i < chunks && !flag.load(Ordering::Relaxed)).then(|| i * chunk..((i + 1) * chunk).min(n))
    };
    let own = || {
        while let Some(range) = take() {
            work(range);
            if stop::asked() {
                flag.store(true, Ordering::Relaxed);
            }
        }
    };
    let Some(pool) = pool() else { return own() };
    let end = End { working: Mutex::new(count().min(chunks) - 1), bell: Condvar::new() };
    pool.in_place_scope(|scope| {
        for _ in 1..count().min(chunks) {
            scope.spawn(|_| {
                let _told = Told(&end);
                stop::heeding(&flag, || {
                    while let Some(range) = take() {
                        work(range);
                    }
                });
            });
        }
        own();
        if rayon::current_thread_index().is_none() {
            while !end.wait() {
                flag.fetch_or(stop::hear(), Ordering::Relaxed);
            }
        }
    });
}

/// Where a thread that has nothing left to do waits for the pool's, waking now and then.
struct End {
    working: Mutex<usize>,
    bell: Condvar,
}

impl End {
    /// Waits a spell; whether all are done.
    fn wait(&self) -> bool {
        let working = self.working.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.bell.wait_timeout_while(working, stop::SPELL, |working| *working > 0);
        *waited.unwrap_or_else(PoisonError::into_inner).0 == 0
    }
}

/// Tells that one is done, be it by a panic.
struct Told<'a>(&'a End);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        let mut working = self.0.working.lock().unwrap_or_else(PoisonError::into_inner);
        *working -= 1;
        if *working == 0 {
            self.0.bell.notify_one();
        }
    }
}

/// Runs a closure inside the pool, for libraries that bring their own parallel loops.
pub fn inside<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    match pool() {
        Some(pool) => pool.install(work),
        None => work(),
    }
}
