//! A shared value before it is shared: it is written where it will lie and may be changed until then. Leans on std.

use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// An `Arc` that certainly is the only one.
pub struct Unique<T>(Arc<T>);

/// Room for a value. It is made first, so that a large value is put together in it instead of being moved there.
pub struct Room<T>(Arc<MaybeUninit<T>>);

impl<T> Room<T> {
    #[inline(always)]
    pub fn fill(self, value: T) -> Unique<T> {
        // SAFETY: nobody else has the room, and it is filled before it is seen as a T.
        unsafe {
            let at = Arc::into_raw(self.0).cast_mut().cast::<T>();
            at.write(value);
            Unique(Arc::from_raw(at))
        }
    }
}

impl<T> Unique<T> {
    #[inline(always)]
    pub fn room() -> Room<T> {
        Room(Arc::new(MaybeUninit::uninit()))
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
