//! A part that most queues do without.
//!
//! There may be a hundred thousand queues in a cluster, most of them idle. What an idle one has
//! nothing in is not there; it reads as an empty one, and is made when it is first changed.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// What a part that is not there reads as.
pub(crate) trait Empty: Default + 'static {
    const EMPTY: &'static Self;
}

/// A part that may not be there.
pub(crate) struct Rare<T> {
    part: Option<Box<T>>,
}

impl<T: Empty> Rare<T> {
    /// The part, if it is there, for changes that mean nothing to an empty one.
    #[inline]
    pub(crate) fn present(&mut self) -> Option<&mut T> {
        self.part.as_deref_mut()
    }

    /// Does without the part if it is as good as an empty one.
    #[inline]
    pub(crate) fn drop_if(&mut self, is_empty: impl FnOnce(&T) -> bool) {
        if self.part.as_deref().is_some_and(is_empty) {
            self.part = None;
        }
    }

    /// Bytes of memory of the part itself.
    pub(crate) fn own_bytes(&self) -> usize {
        self.part.as_deref().map_or(0, size_of_val)
    }
}

impl<T> Default for Rare<T> {
    fn default() -> Self {
        Self { part: None }
    }
}

impl<T: Empty> Deref for Rare<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.part.as_deref().unwrap_or(T::EMPTY)
    }
}

impl<T: Empty> DerefMut for Rare<T> {
    /// Makes the part if it is not there.
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.part.get_or_insert_default()
    }
}

impl<T: Empty + fmt::Debug> fmt::Debug for Rare<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
