//! The lock around a handle's changeable facts: a mutex that cannot be poisoned. Leans on std.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A mutex whose holders never leave half-made state behind, so that poisoning has no meaning.
#[derive(Default)]
pub struct Lock<T>(Mutex<T>);

impl<T> Lock<T> {
    #[inline]
    pub const fn new(value: T) -> Lock<T> {
        Lock(Mutex::new(value))
    }
    #[inline]
    pub fn get(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    #[inline]
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}
