//! One group's log, vote, hint and bodies.
//!
//! Every change is made twice under the group's lock: in memory ([`state::State`]), so that what
//! follows builds on it at once, and as a request at the end of the backlog, so that the disk sees
//! the same order. Nothing waits for the disk while it holds that lock.
//!
//! The **floor** is logical: a purge hides rows from [`GroupStore::read`] and removes none. Rows
//! at or below it are message bodies, found by [`GroupStore::row`] until [`GroupStore::retain`]
//! is told that nothing refers to them.
//!
//! **Adopted rows** are bodies that a snapshot refers to and that this replica never had in its
//! log. They are kept apart from it, so that an install that does not finish leaves no trace in
//! the log, and no later truncation or append touches them.

mod reading;
mod recover;
mod ring;
mod snapshots;
mod state;
mod sweep;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use warren_types::{GroupId, LogIndex};

use crate::backlog::{BACKLOG_BYTES, Request, Ticket};
use crate::engine::Change;
use crate::format::origin::{self, Origin};
use crate::format::{RowValue, opaque};
use crate::row::Completion;
use crate::runs::Run;
use crate::store::Inner;
use crate::writer::{Appended, Shared};
use crate::{Bounds, Key, LogId, Row, StorageError};

use snapshots::Numbers;
use state::{Garbage, State};
use sweep::Sweep;

/// What all handles of a group share.
#[derive(Debug)]
pub(crate) struct Group {
    id: GroupId,
    state: Mutex<State>,
    snapshots: Mutex<Numbers>,
}

impl Group {
    /// The group as the disk has it.
    pub(crate) fn recover(id: GroupId, shared: &Shared) -> Result<Self, StorageError> {
        let state = recover::state(id, shared)?;
        let (numbers, leftovers) = recover::numbers(id, shared)?;
        if leftovers {
            let change = snapshots::remove_leftovers(id, &numbers);
            shared.pushed(shared.backlog.push(Request::new(vec![change], false, None)));
        }
        Ok(Self { id, state: Mutex::new(state), snapshots: Mutex::new(numbers) })
    }

    /// Drops the oldest rows from memory, see [`ring::Ring::evict`].
    pub(crate) fn evict(&self, last: LogIndex, ticket: Ticket) -> usize {
        self.state().ring.evict(last, ticket)
    }

    /// How many removed rows may still take room.
    pub(crate) fn garbage_rows(&self) -> u64 {
        self.state().garbage.filter(Garbage::is_dense).map_or(0, |garbage| garbage.rows)
    }

    /// The stretch that holds little but removed rows, to be compacted: it is forgotten here.
    pub(crate) fn take_garbage(&self) -> Option<(Key, Key)> {
        let mut state = self.state();
        let Run { first, last } = state.garbage.take_if(|garbage| garbage.is_dense())?.within;
        Some((Key::Row(self.id, first), Key::Row(self.id, last)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One group's part of a [`crate::Store`]. Cheap to clone.
#[derive(Clone)]
pub struct GroupStore {
    inner: Arc<Inner>,
    group: Arc<Group>,
}

impl GroupStore {
    pub(crate) fn new(inner: Arc<Inner>, group: Arc<Group>) -> Self {
        Self { inner, group }
    }

    /// Whether whatever is asked for is done before the call returns, on the caller's thread.
    #[must_use]
    pub fn is_inline(&self) -> bool {
        self.inner.shared.is_inline()
    }

    /// Puts `rows` behind the last one. They can be read when this returns; `done` is called
    /// after the sync.
    ///
    /// Waits while 64 MiB wait for the disk; who must not wait bounds what he has in flight.
    ///
    /// # Panics
    /// When there would be a hole: a log of which rows are missing is worse than a stopped node.
    /// A group that has no rows and was never purged may begin anywhere.
    pub fn append(&self, rows: Vec<Row>, done: Completion) {
        let Some(done) = self.unless_failed(done) else { return };
        let shared = &self.inner.shared;
        let id = self.id();
        let mut changes: Vec<Change> = rows.iter().map(|row| put(id, row)).collect();
        let memory = rows.iter().map(ring::cost).fold(0_usize, usize::saturating_add);
        shared.wait_for_room(BACKLOG_BYTES);

        let mut state = self.group.state();
        let appended = rows.last().map(|last| Appended {
            group: Arc::clone(&self.group),
            last: last.index,
            rows: rows.len(),
        });
        if let Some(first) = rows.first() {
            check_contiguous(id, state.next_index(), &rows);
            if state.origin.is_none() {
                begin(id, &mut state, first.index, &mut changes);
            }
            if state.last.is_none() && state.ring.ends_before(first.index) {
                // The log goes on behind a purge that reached over its end.
                shared.counters.forget(state.ring.truncate_after(None));
            }
        }
        let request = Request { appended, ..Request::new(changes, true, Some(done)) };
        // Counted first: the writer may be done with them before the next line.
        shared.counters.remember(memory);
        let pushed = shared.backlog.push(request);
        match pushed {
            Ok(ticket) => {
                for row in rows {
                    state.last = Some(row.id());
                    state.ring.push(row, ticket);
                }
            }
            Err(_) => shared.counters.forget(memory),
        }
        drop(state);
        shared.pushed(pushed);
    }

    /// Removes the rows above `last_kept`, or all above the floor.
    ///
    /// # Panics
    /// Below the floor: what was purged was committed, and that is never taken back.
    pub fn truncate_after(&self, last_kept: impl Into<Option<LogIndex>>, done: Completion) {
        let Some(done) = self.unless_failed(done) else { return };
        let shared = &self.inner.shared;
        let last_kept = last_kept.into();
        let mut state = self.group.state();
        if let Some(floor) = state.floor() {
            assert!(
                last_kept.is_some_and(|kept| kept >= floor.index),
                "group {} was asked to truncate its log below its floor {floor}",
                self.id(),
            );
        }
        let changes = match self.truncate(&mut state, last_kept) {
            Ok(changes) => changes,
            Err(error) => {
                drop(state);
                return done(Err(error));
            }
        };
        let pushed = shared.backlog.push(Request::new(changes, true, Some(done)));
        drop(state);
        shared.pushed(pushed);
    }

    /// Hides the rows up to and including `upto` from [`GroupStore::read`]. With `upto` above the
    /// last row, the log is empty and goes on behind it.
    ///
    /// # Panics
    /// When the log's first row would be left hanging above a gap.
    pub fn purge(&self, upto: LogId, done: Completion) {
        let Some(done) = self.unless_failed(done) else { return };
        let shared = &self.inner.shared;
        let id = self.id();
        let mut state = self.group.state();
        let mut changes = Vec::new();
        if state.floor().is_none_or(|floor| floor.index < upto.index) {
            let first = state.origin.as_ref().map(Origin::first);
            assert!(
                first.is_none_or(|first| first <= upto.index.next()),
                "group {id} was asked to purge up to {upto}, before its log begins",
            );
            if first.is_none() {
                // Nothing was swept from a log that was never purged.
                state.sweep.reach_down(upto.index.next());
            }
            let floor = Origin::Purged(upto);
            changes.push(put_origin(id, &floor));
            state.origin = Some(floor);
            state.last = state.last.filter(|last| last.index > upto.index);
            state.store_bottom(id, &mut changes);
        }
        let pushed = shared.backlog.push(Request::new(changes, true, Some(done)));
        drop(state);
        shared.pushed(pushed);
    }

    /// Removes, of the rows at or below the floor, those that are not in `live` (ascending), in
    /// whole stretches. Not synced: rows that come back after a crash go with the next call.
    pub fn retain(&self, live: &[LogIndex]) {
        let shared = &self.inner.shared;
        if shared.failure.check().is_err() {
            return;
        }
        let id = self.id();
        let mut state = self.group.state();
        let Some(floor) = state.floor() else { return };
        let dead = state.sweep.keep(live, floor.index);
        if dead.is_empty() {
            return;
        }
        state.removing();
        let mut changes = Vec::with_capacity(dead.len().saturating_add(1));
        for run in dead {
            state.discard(run);
            changes.push(remove(Key::Row(id, run.first), Key::Row(id, run.last)));
            if forget_adopted(&mut state, run) {
                changes.push(remove(Key::Adopted(id, run.first), Key::Adopted(id, run.last)));
            }
        }
        state.store_bottom(id, &mut changes);
        let pushed = shared.backlog.push(Request::new(changes, false, None));
        drop(state);
        shared.pushed(pushed);
    }

    /// The highest row that was adopted and not swept.
    #[must_use]
    pub fn last_adopted(&self) -> Option<LogIndex> {
        self.group.state().adopted.last().copied()
    }

    /// Puts a thinned `row` in the place of the one with its index, at or below the floor. Does
    /// nothing if that one was swept already. Not synced: either of the two will do.
    ///
    /// # Panics
    /// Above the floor, where rows are still to be replicated as they are.
    pub fn replace(&self, row: Row) {
        let shared = &self.inner.shared;
        if shared.failure.check().is_err() {
            return;
        }
        let id = self.id();
        shared.wait_for_room(BACKLOG_BYTES);
        let mut state = self.group.state();
        assert!(
            state.floor().is_some_and(|floor| row.index <= floor.index),
            "group {id} was asked to replace row {} above its floor",
            row.index,
        );
        if !state.sweep.may_exist(row.index) {
            return;
        }
        let adopted = state.adopted.contains(&row.index);
        let change = if adopted { put_adopted(id, &row) } else { put(id, &row) };
        let pushed = shared.backlog.push(Request::new(vec![change], false, None));
        if let Some((before, after)) = state.ring.replace(&row).filter(|_| !adopted) {
            shared.counters.remember(after);
            shared.counters.forget(before);
        }
        drop(state);
        shared.pushed(pushed);
    }

    /// Keeps bodies that another replica shipped because its snapshot refers to them: any rows,
    /// ascending, with gaps. [`GroupStore::row`] finds them once `done` was called; the log
    /// does not know them. A replica that takes over a snapshot adopts its rows, saves it, and then
    /// purges up to it. A row that the log has itself is not kept twice.
    pub fn adopt(&self, rows: Vec<Row>, done: Completion) {
        let Some(done) = self.unless_failed(done) else { return };
        let shared = &self.inner.shared;
        let id = self.id();
        let mut missing = Vec::with_capacity(rows.len());
        for row in rows {
            match self.has(&row) {
                Ok(true) => {}
                Ok(false) => missing.push(row),
                Err(error) => return done(Err(error)),
            }
        }
        let mut changes: Vec<Change> = missing.iter().map(|row| put_adopted(id, row)).collect();
        shared.wait_for_room(BACKLOG_BYTES);
        let mut state = self.group.state();
        for row in &missing {
            state.adopted.insert(row.index);
            state.sweep.exists(row.index);
        }
        state.store_bottom(id, &mut changes);
        let pushed = shared.backlog.push(Request::new(changes, true, Some(done)));
        drop(state);
        shared.pushed(pushed);
    }

    /// Keeps Raft's vote, in order with everything else of this group.
    pub fn save_vote(&self, vote: Bytes, done: Completion) {
        let Some(done) = self.unless_failed(done) else { return };
        let shared = &self.inner.shared;
        let key = Key::Vote(self.id());
        let change = Change::Put { key, value: opaque::encode(&key, &vote) };
        let mut state = self.group.state();
        state.vote = Some(vote);
        let pushed = shared.backlog.push(Request::new(vec![change], true, Some(done)));
        drop(state);
        shared.pushed(pushed);
    }

    /// Keeps how far the group is known to be committed. Nobody hears of it: it goes with the
    /// next batch, behind all rows that were appended before.
    pub fn save_committed(&self, committed: Bytes) {
        let shared = &self.inner.shared;
        if shared.failure.check().is_err() {
            return;
        }
        let key = Key::Committed(self.id());
        let value = opaque::encode(&key, &committed);
        let mut state = self.group.state();
        state.committed = Some(committed);
        shared.backlog.hint(self.id(), Change::Put { key, value });
    }

    /// Removes everything of this group. The handle is that of an empty group afterwards.
    ///
    /// Waits for a snapshot that is being saved: not for use in a completion.
    pub fn erase(&self, done: Completion) {
        self.clear(None, done);
    }

    /// Removes everything of this group but for its vote, which is this from then on.
    ///
    /// Waits like [`GroupStore::erase`].
    pub fn erase_but_vote(&self, vote: Bytes, done: Completion) {
        self.clear(Some(vote), done);
    }

    fn clear(&self, vote: Option<Bytes>, done: Completion) {
        let Some(done) = self.unless_failed(done) else { return };
        let shared = &self.inner.shared;
        let id = self.id();
        let (lowest, highest) = (LogIndex(0), LogIndex(u64::MAX));
        let range = |from, to| Change::RemoveRange { from, to, for_good: false };
        let mut changes = vec![
            range(Key::Row(id, lowest), Key::Row(id, highest)),
            range(Key::Adopted(id, lowest), Key::Adopted(id, highest)),
            range(Key::Page(id, 0, 0), Key::Page(id, u64::MAX, u32::MAX)),
        ];
        changes.extend(small_keys(id).map(|key| match (&key, &vote) {
            (Key::Vote(_), Some(vote)) => Change::Put { key, value: opaque::encode(&key, vote) },
            _ => Change::Remove { key },
        }));
        let snapshots = self.group.snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.group.state();
        shared.counters.forget(state.ring.truncate_after(None));
        let removals = state.removals;
        *state = State { removals, vote, ..State::default() };
        state.removing();
        shared.backlog.drop_hint(id);
        let pushed = shared.backlog.push(Request::new(changes, true, Some(done)));
        drop(state);
        drop(snapshots);
        shared.pushed(pushed);
    }

    /// Which group this is.
    #[must_use]
    pub fn id(&self) -> GroupId {
        self.group.id
    }

    /// How far the log reaches.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        self.group.state().bounds()
    }

    /// The vote that was saved last.
    ///
    /// # Errors
    /// When the store has failed.
    pub fn vote(&self) -> Result<Option<Bytes>, StorageError> {
        self.inner.shared.failure.check()?;
        Ok(self.group.state().vote.clone())
    }

    /// The hint that was saved last.
    ///
    /// # Errors
    /// When the store has failed.
    pub fn committed(&self) -> Result<Option<Bytes>, StorageError> {
        self.inner.shared.failure.check()?;
        Ok(self.group.state().committed.clone())
    }

    /// Hands `done` back, or answers it when the store has failed.
    fn unless_failed(&self, done: Completion) -> Option<Completion> {
        match self.inner.shared.failure.check() {
            Ok(()) => Some(done),
            Err(error) => {
                done(Err(error));
                None
            }
        }
    }

    /// Makes `last_kept` the last row in memory; returns what that means for the disk.
    fn truncate(
        &self,
        state: &mut State,
        last_kept: Option<LogIndex>,
    ) -> Result<Vec<Change>, StorageError> {
        let id = self.id();
        let (Some(origin), Some(last)) = (state.origin, state.last) else { return Ok(Vec::new()) };
        if last_kept.is_some_and(|kept| kept >= last.index) {
            return Ok(Vec::new());
        }
        let kept = match last_kept.filter(|kept| *kept >= origin.first()) {
            None => None,
            Some(kept) => Some(self.name_of(state, kept)?),
        };
        let first_gone = kept.map_or(origin.first(), |kept| kept.index.next());
        let (from, to) = (Key::Row(id, first_gone), Key::Row(id, last.index));
        let mut changes = vec![Change::RemoveRange { from, to, for_good: false }];
        if kept.is_none() && origin.floor().is_none() {
            state.origin = None;
            changes.push(Change::Remove { key: Key::Origin(id) });
        }
        state.last = kept;
        let freed = state.ring.truncate_after(first_gone.0.checked_sub(1).map(LogIndex));
        self.inner.shared.counters.forget(freed);
        state.removing();
        Ok(changes)
    }

    /// The name of a row that the log has. The one read under the lock: it is rare that a log is
    /// cut below what is in memory, and nothing may come between.
    fn name_of(&self, state: &State, index: LogIndex) -> Result<LogId, StorageError> {
        if let Some(row) = state.ring.row(index) {
            return Ok(row.id());
        }
        let shared = &self.inner.shared;
        let group = self.id();
        match shared.answer(shared.engine.read(&Key::Row(group, index)))? {
            Some(record) => Ok(shared.sound(RowValue::decode(group, index, record))?.id()),
            None => Err(shared.fail(StorageError::Hole { group, index })),
        }
    }

    /// Whether `row` is, as it was proposed, in the log or below it.
    fn has(&self, row: &Row) -> Result<bool, StorageError> {
        let own = self.row(row.index)?;
        Ok(own.is_some_and(|own| own.id() == row.id()))
    }
}

/// Makes `first` the first row of a log that has none.
fn begin(id: GroupId, state: &mut State, first: LogIndex, changes: &mut Vec<Change>) {
    let origin = Origin::Begins(first);
    changes.push(put_origin(id, &origin));
    state.origin = Some(origin);
    match state.bottom {
        None => state.sweep = Sweep::starting_at(first),
        // Without a floor nothing was swept yet: all from here on may be there.
        Some(_) => state.sweep.reach_down(first),
    }
    state.store_bottom(id, changes);
}

fn check_contiguous(id: GroupId, next: Option<LogIndex>, rows: &[Row]) {
    let mut expected = next;
    for row in rows {
        if let Some(expected) = expected {
            assert!(
                row.index == expected,
                "group {id} was given row {} where its log needs row {expected}",
                row.index,
            );
        }
        expected = Some(row.index.next());
    }
}

/// Takes adopted rows off the books; says whether there were any.
fn forget_adopted(state: &mut State, run: Run) -> bool {
    let gone: Vec<LogIndex> = state.adopted.range(run.first..=run.last).copied().collect();
    for index in &gone {
        state.adopted.remove(index);
    }
    !gone.is_empty()
}

/// The keys of all of a group's records that there are one of.
fn small_keys(id: GroupId) -> [Key; 5] {
    [Key::Vote(id), Key::Committed(id), Key::Origin(id), Key::Bottom(id), Key::Head(id)]
}

fn put(group: GroupId, row: &Row) -> Change {
    let key = Key::Row(group, row.index);
    Change::PutRow { key, value: RowValue::encode(group, row) }
}

fn put_adopted(group: GroupId, row: &Row) -> Change {
    let key = Key::Adopted(group, row.index);
    Change::PutRow { key, value: RowValue::encode(group, row) }
}

fn put_origin(group: GroupId, origin: &Origin) -> Change {
    Change::Put { key: Key::Origin(group), value: origin::encode(group, origin) }
}

/// Rows that nothing refers to go. A stretch of one is not worth a range.
fn remove(from: Key, to: Key) -> Change {
    if from == to {
        Change::Remove { key: from }
    } else {
        Change::RemoveRange { from, to, for_good: true }
    }
}
