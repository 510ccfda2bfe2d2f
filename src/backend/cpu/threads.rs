//! Work cut into fixed chunks, so that bits never depend on how many threads there are. Leans on crew and
//! stop.

use super::crew::{self, Crew, Share};
use super::stop;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

static COUNT: AtomicUsize = AtomicUsize::new(0);
static CREW: Mutex<Option<Arc<Crew>>> = Mutex::new(None);

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

/// Sends the helpers home; the next long kernel calls new ones.
fn forget() {
    if let Some(crew) = CREW.lock().unwrap_or_else(PoisonError::into_inner).take() {
        crew.dismiss();
    }
}

/// Forgets the helpers without a word to them: a forked child has none.
pub fn forget_in_child() {
    // Another thread may have held the lock when the process forked, so it is only tried.
    if let Ok(mut crew) = CREW.try_lock() {
        std::mem::forget(crew.take());
    }
}

fn crew() -> Arc<Crew> {
    CREW.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| Crew::new(count() - 1)).clone()
}

/// Runs `work` over `0..n` in chunks of `chunk`, on several threads where that is quicker than to wake them. Leaves off
/// where the user wants it to stop.
#[inline]
pub fn each(n: usize, chunk: usize, work: impl Fn(Range<usize>) + Sync) {
    if n <= chunk || count() == 1 {
        return alone(0, n, chunk, &work);
    }
    spread(n, chunk, false, &work);
}

/// As `each`, for chunks that are long enough to wake threads for every one of them.
#[inline]
pub fn heavy(n: usize, chunk: usize, work: impl Fn(Range<usize>) + Sync) {
    if n <= chunk || count() == 1 {
        return alone(0, n, chunk, &work);
    }
    spread(n, chunk, true, &work);
}

fn alone(mut start: usize, n: usize, chunk: usize, work: &(impl Fn(Range<usize>) + ?Sized)) {
    let first = start;
    while start < n && (start == first || !stop::asked()) {
        work(start..(start + chunk).min(n));
        start += chunk;
    }
}

/// Work that is shorter than it takes a thread to wake.
const SHORT: Duration = Duration::from_micros(30);

#[cold]
fn spread(n: usize, chunk: usize, heavy: bool, work: &(dyn Fn(Range<usize>) + Sync)) {
    if stop::asked() {
        return;
    }
    if stop::is_helping() {
        return alone(0, n, chunk, work);
    }
    let crew = crew();
    let mut done = 0;
    if !heavy && !crew.is_awake() {
        let start = Instant::now();
        work(0..chunk);
        done = chunk;
        if start.elapsed() * (n.div_ceil(chunk) - 1).min(1 << 20) as u32 <= SHORT {
            return alone(done, n, chunk, work);
        }
    }
    // SAFETY: only the lifetime is lengthened: `Closing` lets nobody in, and waits for those inside, before `work` ends.
    let work: &'static (dyn Fn(Range<usize>) + Sync) = unsafe { std::mem::transmute(work) };
    let share = Arc::new(Shared {
        work,
        n,
        chunk,
        next: AtomicUsize::new(done / chunk),
        flag: AtomicBool::new(false),
        inside: AtomicUsize::new(0),
        last: Mutex::new(()),
        bell: Condvar::new(),
        panic: Mutex::new(None),
    });
    let offered: Arc<dyn Share> = share.clone();
    crew.offer(offered.clone(), count().min(n.div_ceil(chunk)) - 1);
    {
        let _closing = Closing(&share);
        while let Some(range) = share.take() {
            work(range);
            if stop::asked() {
                share.flag.store(true, Ordering::Relaxed);
            }
        }
        crew.withdraw(&offered);
    }
    if let Some(payload) = share.panic.lock().unwrap_or_else(PoisonError::into_inner).take() {
        std::panic::resume_unwind(payload);
    }
}

/// Chunks of work that the thread that asked and its helpers take as they are free; one that comes too late finds it
/// closed, and nobody waits for it.
struct Shared {
    work: &'static (dyn Fn(Range<usize>) + Sync),
    n: usize,
    chunk: usize,
    next: AtomicUsize,
    /// Whether to leave off.
    flag: AtomicBool,
    /// How many helpers are at it, and whether more may come.
    inside: AtomicUsize,
    last: Mutex<()>,
    bell: Condvar,
    panic: Mutex<Option<Box<dyn std::any::Any + Send>>>,
}

/// Set in `inside` when nobody may come any more.
const CLOSED: usize = 1 << 16;

impl Shared {
    fn take(&self) -> Option<Range<usize>> {
        let start = self.next.fetch_add(1, Ordering::Relaxed).saturating_mul(self.chunk);
        (start < self.n && !self.flag.load(Ordering::Relaxed)).then(|| start..(start + self.chunk).min(self.n))
    }

    fn is_empty(&self) -> bool {
        self.inside.load(Ordering::Acquire).is_multiple_of(CLOSED)
    }
}

impl Share for Shared {
    fn help(&self) {
        if self.inside.fetch_add(1, Ordering::AcqRel) < CLOSED {
            let work = || {
                while let Some(range) = self.take() {
                    (self.work)(range);
                }
            };
            if let Err(payload) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| stop::heeding(&self.flag, work))) {
                self.flag.store(true, Ordering::Relaxed);
                *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(payload);
            }
        }
        if self.inside.fetch_sub(1, Ordering::AcqRel) == CLOSED + 1 {
            let _last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            self.bell.notify_one();
        }
    }
}

/// Lets nobody in any more, and waits for the helpers that are inside, asking now and then whether to stop, be it in a
/// panic.
struct Closing<'a>(&'a Shared);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        let share = self.0;
        share.inside.fetch_add(CLOSED, Ordering::AcqRel);
        if crew::look_out(|| share.is_empty()) {
            return;
        }
        let mut last = share.last.lock().unwrap_or_else(PoisonError::into_inner);
        while !share.is_empty() {
            let (guard, waited) = share.bell.wait_timeout(last, stop::SPELL).unwrap_or_else(PoisonError::into_inner);
            last = guard;
            if waited.timed_out() {
                drop(last);
                share.flag.fetch_or(stop::hear(), Ordering::Relaxed);
                last = share.last.lock().unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}
