//! Rows by name: found fast, listed in order.

use std::collections::BTreeSet;

use crate::Name;
use crate::lookup::Lookup;

/// Rows by name.
#[derive(Clone, Debug)]
pub(crate) struct Directory<V> {
    rows: Lookup<Name, V>,
    names: BTreeSet<Name>,
}

impl<V> Default for Directory<V> {
    fn default() -> Self {
        Self { rows: Lookup::default(), names: BTreeSet::new() }
    }
}

impl<V> Directory<V> {
    pub(crate) fn insert(&mut self, name: Name, row: V) -> Option<V> {
        self.names.insert(name.clone());
        self.rows.insert(name, row)
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<V> {
        self.names.remove(name);
        self.rows.remove(name)
    }

    pub(crate) fn row_mut(&mut self, name: &str) -> Option<&mut V> {
        self.rows.value_mut(name)
    }

    pub(crate) fn row(&self, name: &str) -> Option<&V> {
        self.rows.value(name)
    }

    pub(crate) fn names(&self) -> impl DoubleEndedIterator<Item = &Name> + ExactSizeIterator {
        self.names.iter()
    }

    /// All rows, by ascending name.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.names.iter().filter_map(|name| self.rows.value(name))
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }
}
