//! The state of this thread's recording: grad mode, open tapes, probing. Leans on std's thread-locals.

use super::Tensor;
use crate::base::Device;
use std::cell::Cell;

const NO_GRAD: u8 = 1;
const TAPE: u8 = 2;
const PROBE: u8 = 4;
const OVERRIDE: u8 = 8;
const INFERENCE: u8 = 16;
const TRACED: u8 = 32;
const LIFTED: u8 = 64;
const CAREFUL: u8 = 128;

thread_local! {
    static MODE: Cell<u8> = const { Cell::new(0) };
    static SERIAL: Cell<u64> = const { Cell::new(1) };
    /// The serial at which the oldest open tape of this thread began.
    static TAPE_FROM: Cell<u64> = const { Cell::new(u64::MAX) };
    /// The device of the cotangent whose rule runs.
    static PLACE: Cell<Device> = const { Cell::new(Device::Cpu) };
    /// In a probe: which of the probed inputs have been read.
    static READS: Cell<u32> = const { Cell::new(0) };
}

/// All the bits in one read.
#[derive(Clone, Copy)]
pub struct Mode(u8);

impl Mode {
    #[inline]
    pub fn now() -> Mode {
        Mode(MODE.get())
    }
    #[inline]
    pub fn grad(self) -> bool {
        self.0 & NO_GRAD == 0
    }
    #[inline]
    pub fn tape(self) -> bool {
        self.0 & (TAPE | NO_GRAD) == TAPE
    }
    #[inline]
    pub fn probe(self) -> bool {
        self.0 & PROBE != 0
    }
    #[inline]
    pub fn overridden(self) -> bool {
        self.0 & OVERRIDE != 0
    }
    /// Nothing but grad mode and inference mode is set: no tape, probe or override.
    #[inline]
    pub fn is_plain(self) -> bool {
        self.0 & !(NO_GRAD | INFERENCE) == 0
    }
    /// A transformation looks at what is asked.
    #[inline]
    pub fn lifted(self) -> bool {
        self.0 & LIFTED != 0
    }
    /// What nodes keep is given into a user's keeping, or gradients are searched for NaN.
    #[inline]
    pub fn careful(self) -> bool {
        self.0 & CAREFUL != 0
    }
    /// A step is being recorded for a program.
    #[inline]
    pub fn traced(self) -> bool {
        self.0 & TRACED != 0
    }
    #[inline]
    pub fn inference(self) -> bool {
        self.0 & INFERENCE != 0
    }
}

/// Where a rule makes what has only a shape.
pub fn place() -> Device {
    PLACE.get()
}

/// Keeps the place of a cotangent while its rule runs.
pub struct PlaceGuard(Option<Device>);

impl PlaceGuard {
    #[inline]
    pub fn of(grad: Option<&super::Sym>) -> PlaceGuard {
        if !crate::backend::any_away() {
            return PlaceGuard(None);
        }
        let device = if let Some(super::Sym::Tensor(t)) = grad { Tensor::device(t) } else { Device::Cpu };
        PlaceGuard((device != PLACE.get()).then(|| PLACE.replace(device)))
    }
}

impl Drop for PlaceGuard {
    #[inline]
    fn drop(&mut self) {
        if let Some(old) = self.0 {
            PLACE.set(old);
        }
    }
}

fn put(bit: u8, on: bool) -> bool {
    let old = MODE.get();
    MODE.set(if on { old | bit } else { old & !bit });
    old & bit != 0
}

/// Sets whether operations are recorded; returns what it was.
pub fn set_grad(on: bool) -> bool {
    !put(NO_GRAD, !on)
}
pub fn grad_enabled() -> bool {
    Mode::now().grad()
}
pub fn set_inference(on: bool) -> bool {
    put(INFERENCE, on)
}
pub fn set_traced(on: bool) {
    put(TRACED, on);
}
pub fn set_careful(on: bool) {
    put(CAREFUL, on);
}
pub(super) fn set_lifted(on: bool) {
    put(LIFTED, on);
}
pub fn set_overridden(on: bool) {
    put(OVERRIDE, on);
}

/// Says from which serial on the open tapes of this thread record; None when none is open.
pub fn set_tape(from: Option<u64>) {
    TAPE_FROM.set(from.unwrap_or(u64::MAX));
    put(TAPE, from.is_some());
}
#[inline]
pub fn tape_from() -> u64 {
    TAPE_FROM.get()
}

/// A serial above this thread's earlier ones and above `inputs`.
#[inline]
pub fn next_serial(inputs: u64) -> u64 {
    let s = SERIAL.get().max(inputs + 1);
    SERIAL.set(s + 1);
    s
}
pub fn peek_serial() -> u64 {
    SERIAL.get()
}

/// Runs `work` as a probe and returns the mask of the inputs that it read.
pub fn probing(work: impl FnOnce()) -> u32 {
    struct Guard(u32, bool);
    impl Drop for Guard {
        fn drop(&mut self) {
            READS.set(self.0);
            put(PROBE, self.1);
        }
    }
    let guard = Guard(READS.replace(0), put(PROBE, true));
    work();
    let reads = READS.get();
    drop(guard);
    reads
}
#[inline]
pub fn note_read(tag: u32) {
    READS.set(READS.get() | tag);
}

/// Restores grad mode when dropped.
pub struct GradGuard(bool);
impl GradGuard {
    pub fn set(on: bool) -> GradGuard {
        GradGuard(set_grad(on))
    }
}
impl Drop for GradGuard {
    fn drop(&mut self) {
        set_grad(self.0);
    }
}
