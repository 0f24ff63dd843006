//! Many queues, their consumers, and the log rows their messages stand in.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::iter;
use std::time::Duration;

use bytes::Bytes;
use slab::Slab;
use warren_machine::{Applied, Digest, Entry, Machine, RestoreError, SparseRow};
use warren_types::{Latest, LogIndex, QueueId, Timestamp};

use crate::clock::Clock;
use crate::letters::Letters;
use crate::lookup::Lookup;
use crate::queue::Queue;
use crate::rows::Rows;
use crate::session::Sessions;
use crate::timers::Timers;
use crate::{Effect, EndReason, QueueSettings, Reply, Totals, entry};

/// The version of this machine: what the commands that it knows mean. Entries carry the version
/// they were written for; a leader writes no higher one than all voters speak.
pub const MACHINE_VERSION: u16 = 7;

/// From this version on entries may say what has passed since the one before.
pub const PACED_SINCE: u16 = 6;

/// A shard's state.
#[derive(Debug, Default)]
pub struct Shard {
    /// The highest version that an entry was written for.
    pub(crate) version: u16,
    /// The last entry.
    pub(crate) applied: LogIndex,
    pub(crate) clock: Clock,
    pub(crate) timers: Timers,
    /// The settings that queues were given last: the next one's are often the same.
    pub(crate) settings: Latest<QueueSettings>,
    pub(crate) sessions: Sessions,
    pub(crate) queues: Queues,
    /// Queues that have ended and are not forgotten, and why.
    pub(crate) tombstones: BTreeMap<QueueId, EndReason>,
    pub(crate) letters: Letters,
    pub(crate) rows: Rows,
    /// How much there is in all queues.
    pub(crate) totals: Totals,
}

impl Shard {
    /// A shard without queues.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The last entry that was applied.
    #[must_use]
    pub fn applied(&self) -> LogIndex {
        self.applied
    }

    /// The shard's own time, that all deadlines are measured in. Not the time of day.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        self.clock.now
    }

    /// How long after the last entry the leader is to propose a `Tick`, unless another entry comes
    /// before; none while nothing is due at any time. A leader that has just begun proposes one at
    /// once, so that what lies before is not counted as its time.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let due = self.timers.first()?;
        Some(Duration::from_millis(self.clock.tick_in_ms(due)))
    }

    /// How much there is in all queues.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let queues = u64::try_from(self.queues.unordered().len()).unwrap_or(u64::MAX);
        Totals { queues, ..self.totals }
    }

    /// The machine version that the entries have reached.
    #[must_use]
    pub fn version(&self) -> u16 {
        self.version
    }

    /// See [`Machine::sparse_rows`].
    fn find_sparse(&self, after: LogIndex, floor: LogIndex, limit: usize) -> Vec<SparseRow> {
        let sparse = self.rows.sparse(after, floor).take(limit);
        let mut wanted: BTreeMap<LogIndex, Vec<u32>> =
            sparse.map(|index| (index, vec![])).collect();
        let Some((&first, _)) = wanted.first_key_value() else { return vec![] };
        self.find_records(first, &mut wanted);
        let rows = wanted.into_iter().map(|(index, mut live_offsets)| {
            live_offsets.sort_unstable();
            live_offsets.dedup();
            SparseRow { index, live_offsets }
        });
        rows.collect()
    }

    /// Finds the offsets of all records that something refers to in the `wanted` rows, of which
    /// `first` is the first.
    fn find_records(&self, first: LogIndex, wanted: &mut BTreeMap<LogIndex, Vec<u32>>) {
        let mut found = |index: LogIndex, offsets: &mut dyn Iterator<Item = u32>| {
            if let Some(found) = wanted.get_mut(&index) {
                found.extend(offsets);
            }
        };
        for (_, queue) in self.queues.unordered() {
            let elsewhere = queue.runs_elsewhere().map(Cow::Borrowed);
            for run in queue.ready.runs_from(first).chain(elsewhere) {
                found(run.index, &mut run.offsets());
                let parts = run.parts.iter().flat_map(|parts| parts.locations.iter());
                parts.for_each(|at| found(at.index, &mut iter::once(at.offset)));
            }
        }
        for (_, session) in self.sessions.open_sessions() {
            let parts = session.uploads.values().flat_map(|upload| &upload.parts);
            parts.for_each(|(at, _)| found(at.index, &mut iter::once(at.offset)));
        }
    }
}

impl Machine for Shard {
    type Reply = Reply;
    type Effect = Effect;

    fn apply(&mut self, entry: &Entry) -> Applied<Reply, Effect> {
        self.apply_entry(entry)
    }

    fn take_over(&mut self) -> Vec<Effect> {
        self.owed_to_all()
    }

    fn snapshot(&self) -> Vec<Bytes> {
        self.write_snapshot()
    }

    fn restore(pages: &[Bytes]) -> Result<Self, RestoreError> {
        Self::read_snapshot(pages)
    }

    fn digest(&self) -> Digest {
        self.fingerprint()
    }

    fn live_rows(&self, floor: LogIndex) -> Vec<LogIndex> {
        self.rows.up_to(floor).map(|(index, _)| index).collect()
    }

    fn sparse_rows(&self, after: LogIndex, floor: LogIndex, limit: usize) -> Vec<SparseRow> {
        self.find_sparse(after, floor, limit)
    }

    fn thin(row: &Bytes, live_offsets: &[u32]) -> Bytes {
        entry::thin(row, live_offsets)
    }
}

/// The queues, each with a place that it keeps.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    places: Lookup<QueueId>,
    queues: Slab<Queue>,
}

impl Queues {
    /// Adds a queue. Returns its place.
    pub(crate) fn insert(&mut self, queue: Queue) -> usize {
        let id = queue.id;
        let place = self.queues.insert(queue);
        self.places.insert(id, place);
        place
    }

    /// Takes a queue out.
    pub(crate) fn remove(&mut self, place: usize) -> Option<Queue> {
        let queue = self.queues.try_remove(place)?;
        self.places.remove(&queue.id);
        Some(queue)
    }

    /// Where a queue is.
    #[inline]
    pub(crate) fn place(&self, id: QueueId) -> Option<usize> {
        self.places.place(&id)
    }

    /// The queue at a place.
    #[inline]
    pub(crate) fn at_mut(&mut self, place: usize) -> Option<&mut Queue> {
        self.queues.get_mut(place)
    }

    /// The queue at a place.
    pub(crate) fn at(&self, place: usize) -> Option<&Queue> {
        self.queues.get(place)
    }

    /// The queue of that name.
    pub(crate) fn queue(&self, id: QueueId) -> Option<&Queue> {
        self.queues.get(self.places.place(&id)?)
    }

    /// All of them by name.
    pub(crate) fn in_order(&self) -> Vec<&Queue> {
        let mut queues: Vec<&Queue> = self.queues.iter().map(|(_, queue)| queue).collect();
        queues.sort_unstable_by_key(|queue| queue.id);
        queues
    }

    /// All of them, in an order that differs between replicas.
    pub(crate) fn unordered(&self) -> impl ExactSizeIterator<Item = (usize, &Queue)> {
        self.queues.iter()
    }

    /// Bytes of memory besides what the queues hold.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.queues.capacity() * size_of::<Queue>() + self.places.capacity() * 24
    }
}
