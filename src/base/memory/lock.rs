//! The lock around a handle's changeable facts: held for a few instructions, never poisoned. Leans on std's atomics.

use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};

/// Turns of waiting before the processor is left to another thread.
const SPINS: u32 = 64;

/// Holders never wait for anything but memory, so a waiter spins. Letting go is a plain store: half the price of a
/// mutex, which must ask whether somebody sleeps.
#[derive(Default)]
pub struct Lock<T> {
    held: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: `get` hands out one guard at a time, so the value is sent from thread to thread but never shared.
unsafe impl<T: Send> Send for Lock<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Lock<T> {}

/// The right to the value until it is dropped; it may be shared or sent only where the value itself may.
pub struct Guard<'a, T>(&'a Lock<T>, PhantomData<&'a mut T>);

impl<T> Lock<T> {
    #[inline]
    pub const fn new(value: T) -> Lock<T> {
        Lock { held: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }
    #[inline(always)]
    pub fn get(&self) -> Guard<'_, T> {
        if self.held.swap(true, Ordering::Acquire) {
            self.wait();
        }
        Guard(self, PhantomData)
    }
    /// The guard, where nobody has it.
    pub fn attempt(&self) -> Option<Guard<'_, T>> {
        (!self.held.swap(true, Ordering::Acquire)).then(|| Guard(self, PhantomData))
    }
    /// Lets go for a guard that was forgotten.
    ///
    /// # Safety
    /// This thread, or the one it was forked from, forgot it, and uses the value no more.
    #[cfg(unix)]
    pub unsafe fn release(&self) {
        self.held.store(false, Ordering::Release);
    }
    #[cold]
    #[inline(never)]
    fn wait(&self) {
        let mut turns = 0;
        loop {
            while self.held.load(Ordering::Relaxed) {
                turns += 1;
                if turns < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
            }
            if !self.held.swap(true, Ordering::Acquire) {
                return;
            }
        }
    }
    #[inline]
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the guard is the only one.
        unsafe { &*self.0.value.get() }
    }
}
impl<T> DerefMut for Guard<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard is the only one.
        unsafe { &mut *self.0.value.get() }
    }
}
impl<T> Drop for Guard<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.0.held.store(false, Ordering::Release);
    }
}
