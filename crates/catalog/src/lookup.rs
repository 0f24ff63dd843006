//! A hash map that can be asked and not walked.
//!
//! The order of a hash map differs between processes, so nothing that is replicated may depend
//! on it. This type has no iterator: what has to be listed stands in an ordered map beside it.

use std::borrow::Borrow;
use std::hash::Hash;

use rustc_hash::FxHashMap;

/// Finds values by key, and does nothing else.
#[derive(Clone, Debug)]
pub(crate) struct Lookup<K, V> {
    map: FxHashMap<K, V>,
}

impl<K, V> Default for Lookup<K, V> {
    fn default() -> Self {
        Self { map: FxHashMap::default() }
    }
}

impl<K: Eq + Hash, V> Lookup<K, V> {
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        self.map.insert(key, value)
    }

    pub(crate) fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.map.remove(key)
    }

    pub(crate) fn value_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.map.get_mut(key)
    }

    pub(crate) fn value<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.map.get(key)
    }

    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }
}
