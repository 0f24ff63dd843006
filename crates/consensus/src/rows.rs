//! The bodies behind a group's messages: rows of its log, whether purged or not.

use bytes::Bytes;
use warren_storage::{GroupStore, StorageError};
use warren_types::LogIndex;

use crate::aside;

/// Reads the entries of one group. Cheap to clone.
#[derive(Clone)]
pub struct Rows {
    store: GroupStore,
}

impl Rows {
    pub(crate) fn new(store: GroupStore) -> Self {
        Self { store }
    }

    /// What the entry at `index` says, if it is still in memory.
    #[must_use]
    pub fn recent(&self, index: LogIndex) -> Option<Bytes> {
        self.store.recent(index).map(|row| row.payload)
    }

    /// What the entry at `index` says, from wherever it is. `None` once nothing refers to it.
    ///
    /// # Errors
    /// When the disk does not give it; the process ends then.
    ///
    /// # Panics
    /// When reading panics.
    pub async fn read(&self, index: LogIndex) -> Result<Option<Bytes>, StorageError> {
        if let Some(payload) = self.recent(index) {
            return Ok(Some(payload));
        }
        let store = self.store.clone();
        let row = aside::run(store.is_inline(), move || store.row(index)).await;
        let row = row.expect("reading a row does not panic, and is not cancelled")?;
        Ok(row.map(|row| row.payload))
    }

    /// What the entries at `indexes` say, one after the other, in one go to the disk: the first, and
    /// as many behind it as have `limit_bytes` together. `None` for one that nothing refers to.
    ///
    /// # Errors
    /// When the disk does not give one; the process ends then.
    ///
    /// # Panics
    /// When reading panics.
    pub async fn read_ahead(
        &self,
        indexes: Vec<LogIndex>,
        limit_bytes: usize,
    ) -> Result<Vec<Option<Bytes>>, StorageError> {
        let store = self.store.clone();
        let read = move || {
            let (mut rows, mut bytes) = (Vec::new(), 0_usize);
            for index in indexes {
                if bytes >= limit_bytes {
                    break;
                }
                let recent = store.recent(index);
                let row = if recent.is_some() { recent } else { store.row(index)? };
                let row = row.map(|row| row.payload);
                bytes = bytes.saturating_add(row.as_ref().map_or(0, Bytes::len));
                rows.push(row);
            }
            Ok(rows)
        };
        let rows = aside::run(self.store.is_inline(), read).await;
        rows.expect("reading rows does not panic, and is not cancelled")
    }
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").finish_non_exhaustive()
    }
}
