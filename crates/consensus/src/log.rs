//! openraft's log store, on a group's part of the storage.
//!
//! Appending returns as soon as the rows can be read; that they are on the disk is told later, by
//! the callback. Recent rows are read from memory, all others on a thread that may block.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::{Arc, Mutex, PoisonError};

use futures::{Stream, stream};
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use openraft::{OptionalSend, RaftTypeConfig};
use tokio::sync::oneshot;
use warren_storage::{Completion, GroupStore, Row, RowKind, StorageError};
use warren_types::LogIndex;

use crate::aside;
use crate::codec;
use crate::driver::Driver;
use crate::error::Broken;
use crate::fatal::Vigil;
use crate::types::{Entry, LogId, Types, Vote};

/// Bytes of entries that are read ahead while applying.
const APPLY_READ_BYTES: usize = 1024 * 1024;

/// Serialises what moves a log's floor with what sweeps below it: rows between an old and a new
/// floor must not be taken for rows that nobody needs.
#[derive(Clone, Debug, Default)]
pub(crate) struct FloorLock(Arc<Mutex<()>>);

impl FloorLock {
    pub(crate) fn held<R>(&self, act: impl FnOnce() -> R) -> R {
        let _guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        act()
    }
}

/// The log of one group, as openraft wants it.
pub(crate) struct LogStore {
    reader: LogReader,
    driver: Arc<dyn Driver>,
    floor: FloorLock,
    given_up: Option<LogIndex>,
    _vigil: Option<Vigil>,
}

/// Reads the log of one group. Cheap to clone.
#[derive(Clone)]
pub(crate) struct LogReader {
    store: GroupStore,
    append_bytes: usize,
}

impl LogStore {
    pub(crate) fn new(
        (store, driver): (GroupStore, Arc<dyn Driver>),
        append_bytes: usize,
        floor: FloorLock,
        given_up: Option<LogIndex>,
        vigil: Option<Vigil>,
    ) -> Self {
        Self { reader: LogReader { store, append_bytes }, driver, floor, given_up, _vigil: vigil }
    }
}

/// A completion, and what hears of it.
pub(crate) fn completion() -> (Completion, oneshot::Receiver<Result<(), StorageError>>) {
    let (tx, rx) = oneshot::channel();
    (Box::new(move |outcome| drop(tx.send(outcome))), rx)
}

/// Waits until a write is on the disk.
pub(crate) async fn written(
    outcome: oneshot::Receiver<Result<(), StorageError>>,
) -> Result<(), Broken> {
    outcome.await.map_err(|_| Broken::Storage(StorageError::Closed))?.map_err(Broken::Storage)
}

/// For writes whose failure everybody hears of anyway, as it fails the whole store, and whose
/// order with later writes is all that matters.
fn unheard() -> Completion {
    Box::new(|_| ())
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = LogReader;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let bounds = self.reader.store.bounds();
        Ok(LogState {
            last_purged_log_id: bounds.floor.map(codec::log_id),
            last_log_id: bounds.last.map(codec::log_id),
        })
    }

    async fn get_log_reader(&mut self) -> LogReader {
        self.reader.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let (done, outcome) = completion();
        self.reader.store.save_vote(codec::write_vote(vote, self.given_up), done);
        let saved = written(outcome).await;
        #[cfg(feature = "failpoints")]
        fail::fail_point!("consensus.vote.saved");
        Ok(saved?)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        #[cfg(feature = "failpoints")]
        fail::fail_point!("consensus.committed.before");
        self.reader.store.save_committed(codec::write_committed(committed.as_ref()));
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        let stored = self.reader.blocking(GroupStore::committed).await?;
        let committed = stored.map(codec::read_committed).transpose().map_err(Broken::Decode)?;
        Ok(committed.flatten())
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let rows: Vec<Row> = entries.into_iter().map(codec::row).collect();
        if rows.iter().any(|row| row.kind == RowKind::Command) {
            self.driver.appended();
        }
        let done: Completion = Box::new(move |outcome| {
            callback.io_completed(outcome.map_err(io::Error::other));
        });
        #[cfg(feature = "failpoints")]
        fail::fail_point!("consensus.append.before");
        self.reader.store.append(rows, done);
        #[cfg(feature = "failpoints")]
        fail::fail_point!("consensus.append.after");
        Ok(())
    }

    async fn truncate_after(&mut self, last_kept: Option<LogId>) -> Result<(), io::Error> {
        let last_kept = last_kept.map(|id| codec::index(id.index));
        self.reader.store.truncate_after(last_kept, unheard());
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        self.floor.held(|| self.reader.store.purge(codec::stored_id(&upto), unheard()));
        Ok(())
    }
}

impl RaftLogReader<Types> for LogReader {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<Entry>, io::Error>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (start, end) = ends(&range);
        Ok(self.read(start, end, usize::MAX).await?)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        let stored = self.blocking(GroupStore::vote).await?;
        let read = stored.map(codec::read_vote).transpose().map_err(Broken::Decode)?;
        Ok(read.map(|(vote, _)| vote))
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<<Types as RaftTypeConfig>::Entry>, io::Error> {
        Ok(self.read(start, end, self.append_bytes).await?)
    }

    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = Result<Entry, io::Error>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (start, end) = ends(&range);
        let ahead = Ahead { reader: self.clone(), next: start, end, read: VecDeque::new() };
        stream::unfold(ahead, |mut ahead| async move {
            let entry = ahead.next().await?;
            Some((entry, ahead))
        })
    }
}

impl LogReader {
    /// The entries from `start` up to but not including `end`, at least one if there is one, then
    /// while they are within `limit_bytes`.
    async fn read(&self, start: u64, end: u64, limit_bytes: usize) -> Result<Vec<Entry>, Broken> {
        let mut entries = Vec::new();
        let mut bytes = 0_usize;
        // Rows below the floor may still be there, for their bodies; the log begins above it.
        let first = self.store.bounds().floor.map_or(0, |floor| floor.index.0);
        let mut next = start.max(first);
        while next < end {
            if let Some(row) = self.store.recent(codec::index(next)) {
                bytes = bytes.saturating_add(row.payload.len());
                if bytes > limit_bytes && !entries.is_empty() {
                    return Ok(entries);
                }
                entries.push(codec::entry(row)?);
                next = next.saturating_add(1);
                continue;
            }
            let left =
                if entries.is_empty() { limit_bytes } else { limit_bytes.saturating_sub(bytes) };
            if left == 0 && !entries.is_empty() {
                return Ok(entries);
            }
            let before = entries.len();
            for row in self.read_disk(next, end, left.min(APPLY_READ_BYTES)).await? {
                bytes = bytes.saturating_add(row.payload.len());
                if bytes > limit_bytes && !entries.is_empty() {
                    return Ok(entries);
                }
                next = codec::raft_index(row.index).saturating_add(1);
                entries.push(codec::entry(row)?);
            }
            // The log ends before the range does.
            if entries.len() == before {
                return Ok(entries);
            }
        }
        Ok(entries)
    }

    async fn read_disk(
        &self,
        start: u64,
        end: u64,
        limit_bytes: usize,
    ) -> Result<Vec<Row>, Broken> {
        let range = codec::index(start)..=LogIndex(end);
        self.blocking(move |store| store.read(range, limit_bytes)).await
    }

    /// Does what may wait for the disk where waiting harms nobody.
    async fn blocking<R: Send + 'static>(
        &self,
        act: impl FnOnce(&GroupStore) -> Result<R, StorageError> + Send + 'static,
    ) -> Result<R, Broken> {
        let store = self.store.clone();
        let acting = aside::run(store.is_inline(), move || act(&store)).await;
        acting.map_err(|_| Broken::Other("reading the log panicked"))?.map_err(Broken::Storage)
    }
}

/// Entries for the machine, read ahead by bytes and not by count.
struct Ahead {
    reader: LogReader,
    next: u64,
    end: u64,
    read: VecDeque<Entry>,
}

impl Ahead {
    async fn next(&mut self) -> Option<Result<Entry, io::Error>> {
        if let Some(entry) = self.read.pop_front() {
            return Some(Ok(entry));
        }
        if self.next >= self.end {
            return None;
        }
        match self.reader.read(self.next, self.end, APPLY_READ_BYTES).await {
            Ok(entries) => self.read.extend(entries),
            Err(error) => {
                self.next = self.end;
                return Some(Err(error.into()));
            }
        }
        self.next = self.read.back().map_or(self.end, |entry| entry.log_id.index.saturating_add(1));
        self.read.pop_front().map(Ok)
    }
}

/// A range as start, and end that does not belong to it.
fn ends(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    (start, end)
}
