//! A short list kept inline: sizes and strides of up to four axes cost no allocation. Leans on std.

use std::fmt;
use std::ops::{Deref, DerefMut};

const INLINE: usize = 4;
const _: () = assert!(INLINE == 4, "comparison looks at four");

/// A list that lives in place up to four entries and on the heap beyond.
pub enum Few<T> {
    Inline(u8, [T; INLINE]),
    Heap(Vec<T>),
}

impl<T: Copy> Clone for Few<T> {
    #[inline(always)]
    fn clone(&self) -> Few<T> {
        match self {
            // SAFETY: a list in place is made of plain numbers alone. Copied member by member, with a byte in front, it would
            // go through memory at odd places, which costs more than the rest of a small operation.
            Few::Inline(..) => unsafe { std::ptr::read(self) },
            Few::Heap(heap) => Few::Heap(heap.clone()),
        }
    }
}

impl<T: Copy + Default> Few<T> {
    #[inline]
    pub fn new() -> Few<T> {
        Few::Inline(0, [T::default(); INLINE])
    }

    /// `n` copies of `value`.
    #[inline]
    pub fn filled(value: T, n: usize) -> Few<T> {
        if n <= INLINE { Few::Inline(n as u8, [value; INLINE]) } else { Few::Heap(vec![value; n]) }
    }

    #[inline]
    pub fn push(&mut self, value: T) {
        match self {
            Few::Inline(n, list) if (*n as usize) < INLINE => {
                list[*n as usize] = value;
                *n += 1;
            }
            Few::Inline(_, list) => {
                let mut heap = list.to_vec();
                heap.push(value);
                *self = Few::Heap(heap);
            }
            Few::Heap(heap) => heap.push(value),
        }
    }

    pub fn insert(&mut self, at: usize, value: T) {
        self.push(value);
        self[at..].rotate_right(1);
    }

    pub fn remove(&mut self, at: usize) -> T {
        self[at..].rotate_left(1);
        match self {
            Few::Heap(heap) => heap.pop().unwrap_or_default(),
            Few::Inline(n, list) => {
                *n -= 1;
                list[*n as usize]
            }
        }
    }
}

impl<T: Copy + Default> Default for Few<T> {
    fn default() -> Self {
        Few::new()
    }
}

impl<T> Deref for Few<T> {
    type Target = [T];
    #[inline]
    fn deref(&self) -> &[T] {
        match self {
            Few::Inline(n, list) => &list[..*n as usize],
            Few::Heap(heap) => heap,
        }
    }
}

impl<T> DerefMut for Few<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Few::Inline(n, list) => &mut list[..*n as usize],
            Few::Heap(heap) => heap,
        }
    }
}

impl<T: Copy + Default> From<&[T]> for Few<T> {
    #[inline]
    fn from(list: &[T]) -> Few<T> {
        if list.len() <= INLINE {
            let mut few = [T::default(); INLINE];
            few[..list.len()].copy_from_slice(list);
            Few::Inline(list.len() as u8, few)
        } else {
            Few::Heap(list.to_vec())
        }
    }
}

impl<T: Copy + Default> FromIterator<T> for Few<T> {
    #[inline]
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Few<T> {
        let mut few = Few::new();
        for item in items {
            few.push(item);
        }
        few
    }
}

impl<T: PartialEq> PartialEq for Few<T> {
    #[inline(always)]
    fn eq(&self, other: &Few<T>) -> bool {
        match (self, other) {
            (Few::Inline(n, a), Few::Inline(m, b)) => {
                let alike = |i: usize| usize::from(*n) <= i || a[i] == b[i];
                n == m && alike(0) && alike(1) && alike(2) && alike(3)
            }
            _ => self[..] == other[..],
        }
    }
}

impl<T: Eq> Eq for Few<T> {}

impl<T: fmt::Debug> fmt::Debug for Few<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self[..].fmt(f)
    }
}
