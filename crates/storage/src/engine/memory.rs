//! An engine for tests: a disk in memory that can crash and fail.
//!
//! It keeps two states: what reads see, and what is on the disk. Unsynced batches are in the
//! first alone. [`MemoryEngine::crash`] returns what a machine finds after a power cut, with any
//! number of the unsynced batches, in order; the crashed disk accepts nothing afterwards, so that
//! what is left of the old process cannot reach the disk any more.
//!
//! A **failed sync** loses the unsynced batches for good, while reads go on seeing them and later
//! syncs succeed: this is what Linux does, and what makes trying again a lie.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{Change, Engine, EngineError, Visit};
use crate::Key;

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Default)]
pub struct MemoryEngine {
    disk: Arc<Disk>,
}

#[derive(Default)]
struct Disk {
    state: Mutex<State>,
    released: Condvar,
}

type Records = BTreeMap<Key, Bytes>;

#[derive(Default)]
struct State {
    seen: Records,
    durable: Records,
    unsynced: Vec<Vec<Change>>,
    crashed: bool,
    /// How many more batches may be written; any number, if none.
    writes_left: Option<usize>,
    reads_held: bool,
    reads_waiting: usize,
    lie: bool,
    fail_write: bool,
    fail_sync: bool,
    fail_read: bool,
    syncs: u64,
}

impl MemoryEngine {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn holding(records: Records) -> Self {
        let state = State { seen: records.clone(), durable: records, ..State::default() };
        Self { disk: Arc::new(Disk { state: Mutex::new(state), released: Condvar::new() }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.disk.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The disk, once reads are let through.
    fn readable(&self) -> Result<MutexGuard<'_, State>, EngineError> {
        let mut state = self.state();
        state.reads_waiting = state.reads_waiting.saturating_add(1);
        let mut state = self
            .disk
            .released
            .wait_while(state, |state| state.reads_held)
            .unwrap_or_else(PoisonError::into_inner);
        state.reads_waiting = state.reads_waiting.saturating_sub(1);
        if std::mem::take(&mut state.fail_read) {
            return Err(EngineError::Planted("read failed"));
        }
        Ok(state)
    }

    /// Cuts the power: returns the disk as it is found afterwards, without anything unsynced.
    #[must_use]
    pub fn crash(&self) -> Self {
        self.crash_keeping(0)
    }

    /// Cuts the power when the first `batches` unsynced batches happened to be on the disk.
    #[must_use]
    pub fn crash_keeping(&self, batches: usize) -> Self {
        let mut state = self.state();
        state.crashed = true;
        state.writes_left = None;
        state.reads_held = false;
        let mut records = std::mem::take(&mut state.durable);
        for batch in state.unsynced.iter().take(batches) {
            perform(&mut records, batch);
        }
        self.disk.released.notify_all();
        Self::holding(records)
    }

    /// How many batches were written and not synced.
    #[must_use]
    pub fn unsynced_batches(&self) -> usize {
        self.state().unsynced.len()
    }

    /// How many syncs there were.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// Makes the next write fail; nothing of it is kept.
    pub fn fail_next_write(&self) {
        self.state().fail_write = true;
    }

    /// Makes the next sync fail and lose what was unsynced.
    pub fn fail_next_sync(&self) {
        self.state().fail_sync = true;
    }

    /// Makes the next read fail.
    pub fn fail_next_read(&self) {
        self.state().fail_read = true;
    }

    /// Plants the fault of a disk, or a program, that says it synced and did not.
    pub fn lie_about_syncs(&self, lie: bool) {
        self.state().lie = lie;
    }

    /// Makes writes wait until [`MemoryEngine::release`].
    pub fn hold(&self) {
        self.pass(0);
    }

    /// Lets this many more batches be written, and makes all after them wait.
    pub fn pass(&self, batches: usize) {
        self.state().writes_left = Some(batches);
        self.disk.released.notify_all();
    }

    /// How many more batches may be written, if that is limited.
    #[must_use]
    pub fn writes_left(&self) -> Option<usize> {
        self.state().writes_left
    }

    /// Lets writes go on.
    pub fn release(&self) {
        self.state().writes_left = None;
        self.disk.released.notify_all();
    }

    /// Makes reads wait until [`MemoryEngine::release_reads`].
    pub fn hold_reads(&self) {
        self.state().reads_held = true;
    }

    /// How many reads wait.
    #[must_use]
    pub fn reads_waiting(&self) -> usize {
        self.state().reads_waiting
    }

    /// Lets reads go on.
    pub fn release_reads(&self) {
        self.state().reads_held = false;
        self.disk.released.notify_all();
    }

    /// Flips one bit of the record under `key`; says whether there is such a record.
    pub fn damage(&self, key: &Key) -> bool {
        let mut state = self.state();
        let Some(record) = state.seen.get(key) else { return false };
        let mut bytes = record.to_vec();
        if let Some(last) = bytes.last_mut() {
            *last ^= 1;
        }
        let bytes = Bytes::from(bytes);
        state.durable.insert(*key, bytes.clone());
        state.seen.insert(*key, bytes);
        true
    }

    /// Removes the record under `key` behind everybody's back; says whether there was one.
    pub fn lose(&self, key: &Key) -> bool {
        let mut state = self.state();
        state.durable.remove(key);
        state.seen.remove(key).is_some()
    }

    /// The keys of all records that reads see.
    #[must_use]
    pub fn keys(&self) -> Vec<Key> {
        self.state().seen.keys().copied().collect()
    }
}

impl Engine for MemoryEngine {
    fn write(&self, changes: &[Change], sync: bool) -> Result<(), EngineError> {
        let state = self.state();
        let mut state = self
            .disk
            .released
            .wait_while(state, |state| state.writes_left == Some(0))
            .unwrap_or_else(PoisonError::into_inner);
        if state.crashed {
            return Err(EngineError::Crashed);
        }
        state.writes_left = state.writes_left.and_then(|left| left.checked_sub(1));
        if std::mem::take(&mut state.fail_write) {
            return Err(EngineError::Planted("write failed"));
        }
        perform(&mut state.seen, changes);
        state.unsynced.push(changes.to_vec());
        if sync { state.sync() } else { Ok(()) }
    }

    fn read(&self, key: &Key) -> Result<Option<Bytes>, EngineError> {
        Ok(self.readable()?.seen.get(key).cloned())
    }

    fn scan(&self, from: &Key, to: &Key, visit: &mut Visit<'_>) -> Result<(), EngineError> {
        let records: Vec<(Key, Bytes)> = {
            let state = self.readable()?;
            state.seen.range(*from..=*to).map(|(key, record)| (*key, record.clone())).collect()
        };
        for (key, record) in records {
            if let ControlFlow::Break(()) = visit(key, record) {
                break;
            }
        }
        Ok(())
    }

    /// What is removed is gone.
    fn compact(&self, _ranges: &[(Key, Key)]) -> Result<(), EngineError> {
        Ok(())
    }

    fn disk_bytes(&self) -> u64 {
        self.state().seen.values().fold(0_u64, |sum, record| {
            sum.saturating_add(u64::try_from(record.len()).unwrap_or(u64::MAX))
        })
    }
}

impl State {
    fn sync(&mut self) -> Result<(), EngineError> {
        if self.lie {
            return Ok(());
        }
        let batches = std::mem::take(&mut self.unsynced);
        if std::mem::take(&mut self.fail_sync) {
            return Err(EngineError::Planted("sync failed"));
        }
        for batch in &batches {
            perform(&mut self.durable, batch);
        }
        self.syncs = self.syncs.saturating_add(1);
        Ok(())
    }
}

fn perform(records: &mut Records, changes: &[Change]) {
    for change in changes {
        match change {
            Change::PutRow { key, value } => {
                let mut bytes = Vec::with_capacity(value.len());
                value.write(&mut bytes);
                records.insert(*key, bytes.into());
            }
            Change::Put { key, value } => {
                records.insert(*key, value.clone());
            }
            Change::Remove { key } => {
                records.remove(key);
            }
            Change::RemoveRange { from, to, for_good: _ } => {
                let gone: Vec<Key> = records.range(*from..=*to).map(|(key, _)| *key).collect();
                for key in gone {
                    records.remove(&key);
                }
            }
        }
    }
}
