//! A hash map that can only be asked, because its order differs between processes.

use std::hash::Hash;

use rustc_hash::FxHashMap;

/// From a key to a place. Cannot be iterated over.
#[derive(Debug)]
pub(crate) struct Lookup<K> {
    places: FxHashMap<K, usize>,
}

impl<K> Default for Lookup<K> {
    fn default() -> Self {
        Self { places: FxHashMap::default() }
    }
}

impl<K: Eq + Hash> Lookup<K> {
    pub(crate) fn insert(&mut self, key: K, place: usize) {
        self.places.insert(key, place);
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<usize> {
        self.places.remove(key)
    }

    #[inline]
    pub(crate) fn place(&self, key: &K) -> Option<usize> {
        self.places.get(key).copied()
    }

    /// How many keys there are, for checks.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.places.capacity()
    }
}
