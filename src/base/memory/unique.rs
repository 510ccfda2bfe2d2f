//! A shared value before it is shared: it is written where it will lie and may be changed until then. Leans on std.

use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// An `Arc` that certainly is the only one.
pub struct Unique<T>(Arc<T>);

impl<T> Unique<T> {
    /// Makes room first and lets `value` be put together in it: a large value is not moved there afterwards.
    #[inline(always)]
    pub fn new(value: impl FnOnce() -> T) -> Unique<T> {
        let room = Arc::new(MaybeUninit::<T>::uninit());
        // SAFETY: the room was just made, so nobody else has it, and it is filled before it is seen as a T. Should
        // `value` panic, the room is lost, but nothing is read from it.
        unsafe {
            let at = Arc::into_raw(room).cast_mut().cast::<T>();
            at.write(value());
            Unique(Arc::from_raw(at))
        }
    }
    #[inline(always)]
    pub fn share(self) -> Arc<T> {
        self.0
    }
}

impl<T> Deref for Unique<T> {
    type Target = T;
    #[inline(always)]
    fn deref(&self) -> &T {
        &self.0
    }
}
impl<T> DerefMut for Unique<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the only one; `Arc::get_mut` would ask again with two atomic operations.
        unsafe { &mut *Arc::as_ptr(&self.0).cast_mut() }
    }
}
