//! Work cut into fixed chunks, so that bits never depend on how many threads there are. Leans on rayon.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

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

/// Runs `work` over `0..n` in chunks of `chunk`, on several threads where there is more than one chunk.
#[inline]
pub fn each(n: usize, chunk: usize, work: impl Fn(Range<usize>) + Sync) {
    if n <= chunk || count() == 1 {
        let mut start = 0;
        while start < n {
            work(start..(start + chunk).min(n));
            start += chunk;
        }
        return;
    }
    spread(n, chunk, &work);
}

#[cold]
fn spread(n: usize, chunk: usize, work: &(dyn Fn(Range<usize>) + Sync)) {
    use rayon::prelude::*;
    let all = || (0..n.div_ceil(chunk)).into_par_iter().for_each(|i| work(i * chunk..((i + 1) * chunk).min(n)));
    match pool() {
        Some(pool) => pool.install(all),
        None => (0..n.div_ceil(chunk)).for_each(|i| work(i * chunk..((i + 1) * chunk).min(n))),
    }
}

/// Runs a closure inside the pool, for libraries that bring their own parallel loops.
pub fn inside<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    match pool() {
        Some(pool) => pool.install(work),
        None => work(),
    }
}
