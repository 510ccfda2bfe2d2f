//! Where large blocks come from: the smallest gap that holds one, in maps of the system's memory that blocks share.
//! Leans on memmap2.

use super::lock::Lock;
use memmap2::{MmapMut, MmapOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// What places and lengths are multiples of.
pub const PAGE: usize = 4096;
/// What the system may make one large page of; maps begin at a multiple of it.
const HUGE: usize = 2 << 20;
/// The length of a map, unless one block is longer.
const MAP: usize = 64 << 20;
/// A longer map goes back to the system as soon as nothing is in it.
const IDLE: usize = 4 * MAP;
/// How long a gap is left as it is before its pages go back to the system, which would clear them before they come again;
/// and how often gaps are looked at.
const KEPT: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(250);

/// Bytes between two blocks: since when they are free, and whether the system has their pages.
struct Gap {
    len: usize,
    since: Instant,
    cold: bool,
}

struct Map {
    memory: MmapMut,
    len: usize,
    /// Nothing was ever written from here on.
    fresh: usize,
}

/// Maps and gaps by their addresses, gaps also by length. Between two maps is a page at least that belongs to neither.
struct Heap {
    maps: BTreeMap<usize, Map>,
    gaps: BTreeMap<usize, Gap>,
    lengths: BTreeSet<(usize, usize)>,
    looked: Option<Instant>,
}

// The nodes of its trees are small blocks, so it never asks itself for one.
static HEAP: Lock<Heap> = Lock::new(Heap::new());

impl Heap {
    const fn new() -> Heap {
        Heap { maps: BTreeMap::new(), gaps: BTreeMap::new(), lengths: BTreeSet::new(), looked: None }
    }
    fn insert(&mut self, at: usize, gap: Gap) {
        self.lengths.insert((gap.len, at));
        self.gaps.insert(at, gap);
    }
    fn remove(&mut self, at: usize) -> Option<Gap> {
        let gap = self.gaps.remove(&at)?;
        self.lengths.remove(&(gap.len, at));
        Some(gap)
    }
    /// A map with room for so many bytes.
    fn grow(&mut self, len: usize) -> Option<()> {
        let longer = |len: usize| len.checked_next_multiple_of(HUGE)?.checked_add(HUGE);
        let whole = longer(len.max(MAP))?;
        let memory =
            MmapOptions::new().len(whole).map_anon().or_else(|_| MmapOptions::new().len(longer(len).unwrap_or(whole)).map_anon()).ok()?;
        let start = memory.as_ptr().addr();
        let at = start.next_multiple_of(HUGE);
        let len = (start + memory.len() - PAGE - at) / HUGE * HUGE;
        #[cfg(target_os = "linux")]
        let _ = memory.advise(memmap2::Advice::HugePage);
        self.maps.insert(at, Map { memory, len, fresh: at });
        self.insert(at, Gap { len, since: Instant::now(), cold: true });
        Some(())
    }
    /// The place of a block, and how many of its first bytes may hold something.
    fn take(&mut self, len: usize) -> Option<(*mut u8, usize)> {
        let found = |heap: &Heap| heap.lengths.range((len, 0)..).next().copied();
        let (_, at) = match found(self) {
            Some(gap) => gap,
            None => {
                self.grow(len)?;
                found(self)?
            }
        };
        let gap = self.remove(at)?;
        if gap.len > len {
            self.insert(at + len, Gap { len: gap.len - len, ..gap });
        }
        let (_, map) = self.maps.range_mut(..=at).next_back()?;
        let written = map.fresh.saturating_sub(at).min(len);
        map.fresh = map.fresh.max(at + len);
        Some((map.memory.as_mut_ptr().with_addr(at), written))
    }
    fn give(&mut self, at: usize, len: usize) {
        let now = Instant::now();
        let (mut from, mut to) = (at, at + len);
        // The longest part with pages to give says how long they have been free.
        let (mut longest, mut since) = (len, now);
        let mut join = |gap: &Gap| {
            if !gap.cold && gap.len > longest {
                (longest, since) = (gap.len, gap.since);
            }
        };
        if let Some((&before, gap)) = self.gaps.range(..at).next_back()
            && before + gap.len == at
        {
            join(gap);
            from = before;
            self.remove(before);
        }
        if let Some(gap) = self.remove(to) {
            join(&gap);
            to += gap.len;
        }
        let len = to - from;
        if len > IDLE && self.maps.get(&from).is_some_and(|map| map.len == len) {
            self.maps.remove(&from);
        } else {
            self.insert(from, Gap { len, since, cold: false });
        }
        if self.looked.is_none_or(|looked| now - looked > LOOK) {
            self.looked = Some(now);
            self.look(now);
        }
    }
    /// Gives back what was free for long.
    fn look(&mut self, now: Instant) {
        let long: Vec<usize> = self.gaps.iter().filter(|(_, gap)| !gap.cold && now - gap.since > KEPT).map(|(&at, _)| at).collect();
        for at in long {
            let Some(gap) = self.remove(at) else { continue };
            if self.maps.get(&at).is_some_and(|map| map.len == gap.len) {
                self.maps.remove(&at);
                continue;
            }
            #[cfg(unix)]
            if let Some((_, map)) = self.maps.range(..=at).next_back() {
                let offset = at - map.memory.as_ptr().addr();
                // SAFETY: nobody has these bytes, and whoever gets them expects nothing of them.
                let _ = unsafe { map.memory.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, offset, gap.len) };
            }
            self.insert(at, Gap { cold: true, ..gap });
        }
    }
}

/// A block whose length is a multiple of a page, at the beginning of one; null where there is no memory. With `zero` it holds
/// zeros.
pub fn take(len: usize, zero: bool) -> *mut u8 {
    #[cfg(unix)]
    heed_forks();
    let Some((at, written)) = HEAP.get().take(len) else { return std::ptr::null_mut() };
    if zero && written > 0 {
        // SAFETY: the block is that long, and nobody else's.
        unsafe { at.write_bytes(0, written) };
    }
    at
}

/// Ends a block.
///
/// # Safety
/// It came from `take` with this length, and nobody uses it any more.
pub unsafe fn give(at: *mut u8, len: usize) {
    HEAP.get().give(at.addr(), len);
}

#[cfg(unix)]
unsafe extern "C" {
    fn pthread_atfork(prepare: extern "C" fn(), parent: extern "C" fn(), child: extern "C" fn()) -> std::ffi::c_int;
}

/// A child must not find the heap in the middle of a change that a thread made which it has not got: who forks holds it.
#[cfg(unix)]
fn heed_forks() {
    extern "C" fn hold() {
        std::mem::forget(HEAP.get());
    }
    extern "C" fn release() {
        // SAFETY: the thread that forked holds it, in the child as in the parent.
        unsafe { HEAP.release() };
    }
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        // SAFETY: the functions do nothing but take and leave a lock.
        unsafe { pthread_atfork(hold, release, release) };
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gaps lie inside maps, touch no gap and no block, and both indices know the same.
    fn sound(heap: &Heap, blocks: &BTreeMap<usize, usize>) {
        let mut pieces: Vec<(usize, usize, bool)> = heap.gaps.iter().map(|(&at, gap)| (at, gap.len, true)).collect();
        assert!(pieces.iter().all(|&(at, len, _)| heap.lengths.contains(&(len, at))));
        assert_eq!(heap.gaps.len(), heap.lengths.len());
        pieces.extend(blocks.iter().map(|(&at, &len)| (at, len, false)));
        pieces.sort_unstable();
        for (&start, map) in &heap.maps {
            let mut end = start;
            let mut gap_before = false;
            for &(at, len, gap) in pieces.iter().filter(|piece| (start..start + map.len).contains(&piece.0)) {
                assert_eq!(at, end);
                assert!(!(gap && gap_before), "two gaps side by side");
                (end, gap_before) = (at + len, gap);
            }
            assert_eq!(end, start + map.len);
        }
    }

    #[test]
    fn blocks_keep_what_is_written_and_gaps_join() {
        let mut heap = Heap::new();
        let (mut blocks, mut seed) = (BTreeMap::new(), 1u64);
        for turn in 0..4000u64 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let dice = (seed >> 33) as usize;
            if dice % 5 < 3 && blocks.len() < 200 {
                let len = (1 + dice / 5 % 700) * PAGE;
                let (at, _) = heap.take(len).expect("memory");
                // SAFETY: the block is this long.
                unsafe { at.cast::<u64>().write(turn) };
                // SAFETY: as above.
                unsafe { at.add(len - 8).cast::<u64>().write(turn) };
                assert!(blocks.insert(at.addr(), len).is_none());
            } else if let Some((&at, &len)) = blocks.iter().nth(dice % blocks.len().max(1)) {
                let first = std::ptr::with_exposed_provenance::<u64>(at);
                // SAFETY: the block is still ours.
                unsafe { assert_eq!(first.read(), first.byte_add(len - 8).read()) };
                blocks.remove(&at);
                heap.give(at, len);
            }
            sound(&heap, &blocks);
        }
        for (at, len) in std::mem::take(&mut blocks) {
            heap.give(at, len);
        }
        sound(&heap, &blocks);
        assert_eq!(heap.gaps.len(), heap.maps.len());
    }

    #[test]
    fn what_is_free_for_long_goes_back() {
        let mut heap = Heap::new();
        let (keep, _) = heap.take(PAGE).expect("memory");
        let (at, written) = heap.take(64 * PAGE).expect("memory");
        assert_eq!(written, 0);
        // SAFETY: the block is this long.
        unsafe { at.write_bytes(7, 64 * PAGE) };
        heap.give(at.addr(), 64 * PAGE);
        let (again, written) = heap.take(64 * PAGE).expect("memory");
        assert_eq!((again, written), (at, 64 * PAGE));
        // SAFETY: as above.
        unsafe { assert_eq!(again.read(), 7) };
        heap.give(again.addr(), 64 * PAGE);
        heap.look(Instant::now() + 2 * KEPT);
        assert!(heap.gaps.values().all(|gap| gap.cold));
        heap.give(keep.addr(), PAGE);
        heap.look(Instant::now() + 2 * KEPT);
        assert!(heap.maps.is_empty() && heap.gaps.is_empty() && heap.lengths.is_empty());
    }

    #[test]
    fn a_long_map_goes_back_at_once_and_too_long_a_one_is_none() {
        let mut heap = Heap::new();
        let (at, _) = heap.take(5 * MAP).expect("memory");
        heap.give(at.addr(), 5 * MAP);
        assert!(heap.maps.is_empty());
        assert!(heap.take(usize::MAX / PAGE * PAGE).is_none());
        assert!(heap.take(1 << 60).is_none());
    }
}
