//! What waits for the writer.
//!
//! Requests leave in the order in which they came, in batches. The backlog is bounded by
//! [`BACKLOG_BYTES`]: whoever writes more **waits**, since a caller that is told "full" could do
//! nothing but try again, and a Raft log that cannot be written has nothing else to do. It is a last
//! resort; callers bound what they have in flight far below it. Whoever writes in bulk
//! (snapshots) waits already at [`BULK_BYTES`], so that rows never queue up behind him.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Duration;

use warren_types::GroupId;

use crate::engine::Change;
use crate::row::Completion;
use crate::writer::Appended;

/// Bytes that may wait for the disk before callers wait, too: a second's work of a good disk.
pub(crate) const BACKLOG_BYTES: usize = 64 << 20;

/// Bytes that may wait before bulk writers wait: no more than a batch.
pub(crate) const BULK_BYTES: usize = 4 << 20;

/// Something to write.
pub(crate) struct Request {
    /// What to write, in this order.
    pub(crate) changes: Vec<Change>,
    /// About how much that is.
    pub(crate) bytes: usize,
    /// Whether it must be synced before `done` is called.
    pub(crate) sync: bool,
    /// Rows that stay in memory until there are too many.
    pub(crate) appended: Option<Appended>,
    /// Who hears of it.
    pub(crate) done: Option<Completion>,
}

impl Request {
    /// A request to write `changes`.
    pub(crate) fn new(changes: Vec<Change>, sync: bool, done: Option<Completion>) -> Self {
        let bytes = changes.iter().map(Change::size).fold(0_usize, usize::saturating_add);
        Self { changes, bytes, sync, appended: None, done }
    }
}

/// A request's place in the order of all requests of a store, from 1.
pub(crate) type Ticket = u64;

/// Requests to be written together, and the hints that go with them.
#[derive(Default)]
pub(crate) struct Batch {
    /// The first request's place.
    pub(crate) first: Ticket,
    /// The requests, in order.
    pub(crate) requests: Vec<Request>,
    /// Written behind them.
    pub(crate) hints: Vec<Change>,
}

/// A record that goes with the next batch that holds all requests before it.
struct Hint {
    behind: Ticket,
    change: Change,
}

/// What there is for the writer.
pub(crate) enum Taken {
    /// Requests.
    Batch(Batch),
    /// None came in time.
    Nothing,
    /// None will come.
    Closed,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Request>,
    hints: BTreeMap<GroupId, Hint>,
    bytes: usize,
    taken: Ticket,
    closed: bool,
    /// How many wait for room.
    in_line: usize,
    writer: Option<ThreadId>,
}

impl State {
    fn last_ticket(&self) -> Ticket {
        self.taken.saturating_add(u64::try_from(self.waiting.len()).unwrap_or(u64::MAX))
    }
}

/// Requests, in order.
#[derive(Default)]
pub(crate) struct Backlog {
    state: Mutex<State>,
    arrived: Condvar,
    room: Condvar,
}

impl Backlog {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread that takes batches: it never waits for room, which only it can make.
    pub(crate) fn set_writer(&self, writer: ThreadId) {
        self.state().writer = Some(writer);
    }

    /// Waits until fewer than `limit` bytes wait. Takes no place: several callers may go on at once.
    pub(crate) fn wait_for_room(&self, limit: usize) {
        let mut state = self.state();
        if state.bytes < limit || state.writer == Some(thread::current().id()) {
            return;
        }
        state.in_line = state.in_line.saturating_add(1);
        let room = self.room.wait_while(state, |state| state.bytes >= limit && !state.closed);
        let mut state = room.unwrap_or_else(PoisonError::into_inner);
        state.in_line = state.in_line.saturating_sub(1);
    }

    /// Puts `request` at the end. Hands it back when the backlog is closed.
    pub(crate) fn push(&self, request: Request) -> Result<Ticket, Request> {
        let mut state = self.state();
        if state.closed {
            return Err(request);
        }
        state.bytes = state.bytes.saturating_add(request.bytes);
        state.waiting.push_back(request);
        let ticket = state.last_ticket();
        // The writer looks here again after each batch: it needs a call only when it sleeps.
        if state.waiting.len() == 1 {
            self.arrived.notify_one();
        }
        Ok(ticket)
    }

    /// Has `change` written with the next batch that ends behind everything that waits. A later
    /// hint of the same group takes its place.
    pub(crate) fn hint(&self, group: GroupId, change: Change) {
        let mut state = self.state();
        if state.closed {
            return;
        }
        let behind = state.last_ticket();
        state.hints.insert(group, Hint { behind, change });
    }

    /// Forgets `group`'s hint.
    pub(crate) fn drop_hint(&self, group: GroupId) {
        self.state().hints.remove(&group);
    }

    /// Takes no more requests; what waits is still to be taken.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.arrived.notify_all();
        self.room.notify_all();
    }

    /// The next batch, of at most `limit` bytes or one request. Waits for one, for as long as
    /// `patience` says if it does; nothing comes any more after the end of a closed backlog.
    pub(crate) fn take(&self, limit: usize, patience: Option<Duration>) -> Taken {
        let state = self.state();
        let is_idle = |state: &mut State| state.waiting.is_empty() && !state.closed;
        let mut state = match patience {
            None => self.arrived.wait_while(state, is_idle).unwrap_or_else(PoisonError::into_inner),
            Some(patience) => {
                let woken = self.arrived.wait_timeout_while(state, patience, is_idle);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
        };
        match self.take_from(&mut state, limit) {
            Some(batch) => Taken::Batch(batch),
            None if state.closed => Taken::Closed,
            None => Taken::Nothing,
        }
    }

    /// The next batch, if there is one.
    pub(crate) fn try_take(&self, limit: usize) -> Option<Batch> {
        self.take_from(&mut self.state(), limit)
    }

    /// The hints that no batch has taken along.
    pub(crate) fn take_hints(&self) -> Vec<Change> {
        std::mem::take(&mut self.state().hints).into_values().map(|hint| hint.change).collect()
    }

    /// Whether anything waits.
    pub(crate) fn waits(&self) -> bool {
        !self.state().waiting.is_empty()
    }

    /// How much waits.
    pub(crate) fn bytes(&self) -> usize {
        self.state().bytes
    }

    fn take_from(&self, state: &mut State, limit: usize) -> Option<Batch> {
        let mut batch = Batch { first: state.taken.saturating_add(1), ..Batch::default() };
        let mut bytes = 0_usize;
        while let Some(request) = state.waiting.front() {
            let sum = bytes.saturating_add(request.bytes);
            if sum > limit && !batch.requests.is_empty() {
                break;
            }
            bytes = sum;
            batch.requests.extend(state.waiting.pop_front());
            state.taken = state.taken.saturating_add(1);
        }
        if batch.requests.is_empty() {
            return None;
        }
        state.bytes = state.bytes.saturating_sub(bytes);
        let taken = state.taken;
        let due = state.hints.extract_if(.., |_, hint| hint.behind <= taken);
        batch.hints = due.map(|(_, hint)| hint.change).collect();
        // Nobody is called who is not there: that is a call to the kernel all the same.
        if state.in_line > 0 {
            self.room.notify_all();
        }
        Some(batch)
    }
}
