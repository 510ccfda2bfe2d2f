//! Bytes and who owns them: allocated fallibly, shared by views, counted by version. Leans on std's allocator.

use crate::base::memory::Unique;
use crate::base::{Device, Error, Result};
use std::alloc::{Layout, alloc, alloc_zeroed, dealloc};
use std::any::Any;
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

const SMALL: usize = 64;
/// Buffers of a few vectors lie where the allocator puts them, larger ones begin with a cache line.
const ALIGN: [usize; 2] = [16, 64];
const LINED: usize = 4096;
/// From this size on an allocation is held against the machine's memory: the system may promise what it has not got.
const LARGE: usize = 1 << 30;

/// The machine's memory and swap space in bytes, as far as the system tells.
fn physical() -> usize {
    static BYTES: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *BYTES.get_or_init(|| {
        let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kib = |name: &str| -> Option<usize> { text.lines().find(|l| l.starts_with(name))?.split_whitespace().nth(1)?.parse().ok() };
        kib("MemTotal:").map_or(usize::MAX, |m| m.saturating_add(kib("SwapTotal:").unwrap_or(0)).saturating_mul(1024))
    })
}

static ABROAD: AtomicBool = AtomicBool::new(false);

/// Whether any bytes ever lay in a device's memory; where none did nobody need ask.
#[inline(always)]
pub fn any_away() -> bool {
    ABROAD.load(Ordering::Relaxed)
}

/// A run of bytes. On the host it is reached only through raw pointers: reads may race with writes, as in PyTorch, and
/// then give unspecified values but never a crash. On a device only that device's backend reaches it.
pub struct Storage {
    owner: Owner,
    len: usize,
    version: AtomicU32,
}

enum Owner {
    /// Up to 64 bytes lie in the storage itself and cost no allocation of their own.
    Small(UnsafeCell<MaybeUninit<[u64; SMALL / 8]>>),
    Heap(*mut u8, Layout),
    /// Somebody else's memory, kept alive by what is boxed; the truth says whether it may be written.
    Foreign(*mut u8, bool, #[allow(dead_code)] Box<dyn Any + Send + Sync>),
    /// A device's memory, of which only its backend knows the kind.
    Away(Device, Box<dyn Any + Send + Sync>),
    /// Memory of whatever a program is run over at the moment.
    Aimed(AtomicPtr<u8>),
    /// No memory: one name for elements that differ from example to example.
    Nowhere(Device),
    /// Elements that were given into somebody's keeping, and what brings them back.
    Packed(Device, Box<dyn Any + Send + Sync>),
}

// SAFETY: the bytes are plain data without invariants; every access goes through raw pointers (see the type's comment).
unsafe impl Send for Storage {}
// SAFETY: as above.
unsafe impl Sync for Storage {}

impl Storage {
    #[inline]
    pub fn new(bytes: usize) -> Result<Storage> {
        Storage::make(bytes, false)
    }

    #[inline]
    pub fn zeroed(bytes: usize) -> Result<Storage> {
        Storage::make(bytes, true)
    }

    /// One that is shared at once; a small one is put together where it will lie.
    #[inline(always)]
    pub fn shared(bytes: usize) -> Result<Arc<Storage>> {
        if bytes > SMALL {
            return Storage::make(bytes, false).map(Arc::new);
        }
        let room = Unique::room();
        let owner = Owner::Small(UnsafeCell::new(MaybeUninit::uninit()));
        Ok(room.fill(Storage { owner, len: bytes, version: AtomicU32::new(0) }).share())
    }

    #[inline]
    fn make(bytes: usize, zero: bool) -> Result<Storage> {
        if bytes <= SMALL {
            let cells = if zero { MaybeUninit::zeroed() } else { MaybeUninit::uninit() };
            return Ok(Storage { owner: Owner::Small(UnsafeCell::new(cells)), len: bytes, version: AtomicU32::new(0) });
        }
        let refuse =
            || Error::memory("allocate", format!("no memory for {bytes} bytes; use a smaller shape or dtype, or free tensors first"));
        if bytes >= LARGE && bytes > physical() {
            return Err(refuse());
        }
        let layout = Layout::from_size_align(bytes, ALIGN[usize::from(bytes >= LINED)]).map_err(|_| refuse())?;
        // SAFETY: the layout's size is over 64, so not zero.
        let ptr = unsafe { if zero { alloc_zeroed(layout) } else { alloc(layout) } };
        if ptr.is_null() {
            return Err(refuse());
        }
        Ok(Storage { owner: Owner::Heap(ptr, layout), len: bytes, version: AtomicU32::new(0) })
    }

    /// Shares memory that something else owns.
    ///
    /// # Safety
    /// `ptr` must stay valid for `len` bytes for as long as `keeper` lives.
    pub unsafe fn foreign(ptr: *mut u8, len: usize, writable: bool, keeper: Box<dyn Any + Send + Sync>) -> Storage {
        Storage { owner: Owner::Foreign(ptr, writable, keeper), len, version: AtomicU32::new(0) }
    }

    /// Bytes in a device's memory.
    pub fn away(device: Device, len: usize, memory: Box<dyn Any + Send + Sync>) -> Storage {
        ABROAD.store(true, Ordering::Relaxed);
        Storage { owner: Owner::Away(device, memory), len, version: AtomicU32::new(0) }
    }
    /// No bytes at all, beside elements on a device; whatever would read it is refused.
    pub fn nowhere(device: Device) -> Storage {
        Storage { owner: Owner::Nowhere(device), len: isize::MAX as usize, version: AtomicU32::new(0) }
    }
    /// In place of elements that are in somebody's keeping.
    pub fn packed(device: Device, keeper: Box<dyn Any + Send + Sync>) -> Storage {
        Storage { owner: Owner::Packed(device, keeper), len: isize::MAX as usize, version: AtomicU32::new(0) }
    }
    /// What brings elements back that are in somebody's keeping.
    pub fn keeper(&self) -> Option<&(dyn Any + Send + Sync)> {
        if let Owner::Packed(_, keeper) = &self.owner { Some(&**keeper) } else { None }
    }
    pub fn is_nowhere(&self) -> bool {
        matches!(self.owner, Owner::Nowhere(_))
    }
    /// A stand-in for memory that a program is aimed at before it runs.
    pub(super) fn aimed() -> Storage {
        Storage { owner: Owner::Aimed(AtomicPtr::new(std::ptr::null_mut())), len: isize::MAX as usize, version: AtomicU32::new(0) }
    }
    /// Aims a stand-in; whoever does so keeps that memory alive, and large enough, while the stand-in is used.
    pub(super) fn aim(&self, to: *mut u8) {
        if let Owner::Aimed(at) = &self.owner {
            at.store(to, Ordering::Relaxed);
        }
    }

    #[inline(always)]
    pub fn ptr(&self) -> *mut u8 {
        match &self.owner {
            Owner::Small(cell) => cell.get().cast(),
            Owner::Heap(ptr, _) => *ptr,
            _ => self.other_ptr(),
        }
    }
    #[inline(never)]
    fn other_ptr(&self) -> *mut u8 {
        match &self.owner {
            Owner::Small(cell) => cell.get().cast(),
            Owner::Heap(ptr, _) | Owner::Foreign(ptr, ..) => *ptr,
            Owner::Away(device, _) | Owner::Nowhere(device) | Owner::Packed(device, _) => unreachable_from_here(*device),
            Owner::Aimed(at) => at.load(Ordering::Relaxed),
        }
    }
    /// Whether the bytes lie in a device's memory.
    #[inline(always)]
    pub fn is_away(&self) -> bool {
        matches!(self.owner, Owner::Away(..) | Owner::Nowhere(_) | Owner::Packed(..))
    }
    #[inline]
    pub fn device(&self) -> Device {
        if let Owner::Away(device, _) | Owner::Nowhere(device) | Owner::Packed(device, _) = self.owner { device } else { Device::Cpu }
    }
    /// A device's memory, for its own backend.
    pub fn memory(&self) -> Option<&(dyn Any + Send + Sync)> {
        if let Owner::Away(_, memory) = &self.owner { Some(&**memory) } else { None }
    }
    /// A number that is this storage's alone while it lives.
    #[inline]
    pub fn address(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self) as usize
    }
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    pub fn is_writable(&self) -> bool {
        !matches!(self.owner, Owner::Foreign(_, false, _))
    }
    pub fn is_foreign(&self) -> bool {
        matches!(self.owner, Owner::Foreign(..))
    }
    /// How often the bytes have been written in place; shared by everything that looks at them.
    #[inline]
    pub fn version(&self) -> &AtomicU32 {
        &self.version
    }
    #[inline]
    pub fn bump(&self) {
        self.version.fetch_add(1, Ordering::Relaxed);
    }
}

/// Nobody asks a device's memory for an address of the host's; whoever did would otherwise read wild.
#[cold]
#[inline(never)]
fn unreachable_from_here(device: Device) -> ! {
    panic!("a tensor on {device} was read as if it lay on the processor; this is a bug in schuss, please report it")
}

impl Drop for Storage {
    fn drop(&mut self) {
        if let Owner::Heap(ptr, layout) = self.owner {
            // SAFETY: allocated in `make` with this very layout, and dropped once.
            unsafe { dealloc(ptr, layout) }
        }
    }
}
