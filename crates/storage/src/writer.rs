//! The one place that writes: requests in, one batch with one sync, completions out.
//!
//! A [`Writer`] also decides which rows stay in memory: it keeps what was appended, in the order
//! in which it reached the disk, and when all groups together hold more than the budget, or when
//! rows have been there for long, drops the oldest first, whoever's they are. Rows that are not on
//! the disk yet are not known here, so they stay.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use warren_types::LogIndex;

use crate::backlog::{Backlog, Batch, Request, Taken, Ticket};
use crate::counters::Counters;
use crate::engine::{Change, Engine, EngineError};
use crate::failure::Failure;
use crate::group::Group;
use crate::lock::DirectoryLock;
use crate::slowness::Slowness;
use crate::stall::Stall;
use crate::{Config, StorageError};

/// Rows of one request that were appended to one group's log.
pub(crate) struct Appended {
    /// Whose.
    pub(crate) group: Arc<Group>,
    /// The last of them.
    pub(crate) last: LogIndex,
    /// How many.
    pub(crate) rows: usize,
}

/// What the writer and the handles share. The engine is closed before the directory is let go.
pub(crate) struct Shared {
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) backlog: Backlog,
    pub(crate) failure: Failure,
    pub(crate) counters: Counters,
    pub(crate) slowness: Slowness,
    pub(crate) stall: Stall,
    batch_bytes: usize,
    recent_bytes: usize,
    recent_for: Duration,
    inline: Option<Mutex<Writer>>,
    wake: Option<Wake>,
    _lock: Option<DirectoryLock>,
}

/// Says that something waits.
pub(crate) type Wake = Box<dyn Fn() + Send + Sync>;

impl Shared {
    /// Without a thread: whoever puts a request into the backlog also writes it, unless somebody is
    /// to be woken, who does so.
    pub(crate) fn inline(engine: Box<dyn Engine>, config: &Config, wake: Option<Wake>) -> Self {
        Self { inline: Some(Mutex::default()), wake, ..Self::new(engine, config, None) }
    }

    /// For a writer thread.
    pub(crate) fn new(
        engine: Box<dyn Engine>,
        config: &Config,
        lock: Option<DirectoryLock>,
    ) -> Self {
        Self {
            engine,
            backlog: Backlog::default(),
            failure: Failure::default(),
            counters: Counters::default(),
            slowness: Slowness::default(),
            stall: Stall::default(),
            batch_bytes: config.write_batch_bytes,
            recent_bytes: config.recent_bytes,
            recent_for: Duration::from_millis(config.recent_ms),
            inline: None,
            wake: None,
            _lock: lock,
        }
    }

    /// Whether there is no thread.
    pub(crate) fn is_inline(&self) -> bool {
        self.inline.is_some()
    }

    /// Waits while more than `limit` bytes wait for the writer.
    pub(crate) fn wait_for_room(&self, limit: usize) {
        if self.inline.is_none() {
            self.backlog.wait_for_room(limit);
        }
    }

    /// What follows a push, once the caller holds no lock any more.
    pub(crate) fn pushed(&self, outcome: Result<Ticket, Request>) {
        match outcome {
            Ok(_) => match &self.wake {
                Some(wake) => wake(),
                None => self.run_inline(),
            },
            Err(Request { done, .. }) => {
                if let Some(done) = done {
                    done(Err(StorageError::Closed));
                }
            }
        }
    }

    /// Fails the store of `error` and hands it back.
    pub(crate) fn fail(&self, error: StorageError) -> StorageError {
        self.failure.set(&error);
        error
    }

    /// Turns an engine's answer to a read into the store's.
    pub(crate) fn answer<T>(&self, outcome: Result<T, EngineError>) -> Result<T, StorageError> {
        outcome.map_err(|source| self.fail(StorageError::Read { source: Arc::new(source) }))
    }

    /// Fails the store when a record makes no sense.
    pub(crate) fn sound<T>(&self, outcome: Result<T, StorageError>) -> Result<T, StorageError> {
        outcome.map_err(|error| self.fail(error))
    }

    /// Writes what waits, if there is no thread to do so. Completions may ask for more: whoever
    /// is at it goes on until nothing waits.
    pub(crate) fn run_inline(&self) {
        let Some(writer) = &self.inline else { return };
        while self.backlog.waits() {
            let mut writer = match writer.try_lock() {
                Ok(writer) => writer,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            while let Some(batch) = self.backlog.try_take(self.batch_bytes) {
                writer.perform(self, batch);
            }
        }
    }

    /// Writes the hints that are left after the last batch.
    pub(crate) fn write_hints(&self) {
        let hints = self.backlog.take_hints();
        if hints.is_empty() || self.failure.check().is_err() {
            return;
        }
        if let Err(source) = self.engine.write(&hints, true) {
            self.failure.set(&StorageError::Write { source: Arc::new(source) });
        }
    }
}

/// Rows that are on the disk and in memory.
struct Recent {
    /// When they were written; unknown where nobody looks at the clock.
    since: Option<Instant>,
    ticket: Ticket,
    appended: Appended,
}

/// Writes batches.
#[derive(Default)]
pub(crate) struct Writer {
    changes: Vec<Change>,
    recent: VecDeque<Recent>,
}

impl Writer {
    /// Writes until the backlog is closed and empty. The writer thread's whole life.
    pub(crate) fn run(mut self, shared: &Shared) {
        let guard = PanicGuard { shared };
        loop {
            match shared.backlog.take(shared.batch_bytes, self.patience(shared)) {
                Taken::Batch(batch) => self.perform(shared, batch),
                Taken::Nothing => {}
                Taken::Closed => break,
            }
            self.forget_old(shared);
        }
        shared.write_hints();
        drop(guard);
    }

    fn perform(&mut self, shared: &Shared, batch: Batch) {
        let Batch { first, mut requests, hints } = batch;
        if let Err(error) = shared.failure.check() {
            return complete(requests, &Err(error));
        }
        let outcome = self.write(shared, &mut requests, hints);
        if outcome.is_ok() {
            // A simulation has no clock of this kind.
            let since = (!shared.is_inline()).then(Instant::now);
            let mut ticket = first;
            for request in &mut requests {
                if let Some(appended) = request.appended.take() {
                    shared.counters.rows(appended.rows);
                    self.recent.push_back(Recent { since, ticket, appended });
                }
                ticket = ticket.saturating_add(1);
            }
        }
        complete(requests, &outcome);
        self.forget_oldest(shared);
    }

    fn write(
        &mut self,
        shared: &Shared,
        requests: &mut [Request],
        hints: Vec<Change>,
    ) -> Result<(), StorageError> {
        self.changes.clear();
        let mut bytes = 0_usize;
        let mut sync = false;
        for request in requests {
            self.changes.append(&mut request.changes);
            bytes = bytes.saturating_add(request.bytes);
            sync |= request.sync;
        }
        self.changes.extend(hints);
        if self.changes.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        shared.stall.begin();
        if sync {
            shared.slowness.wait();
        }
        let outcome = shared.engine.write(&self.changes, sync);
        shared.stall.end();
        match outcome {
            Ok(()) => {
                shared.counters.batch(bytes, began.elapsed(), sync);
                Ok(())
            }
            Err(source) => Err(shared.fail(StorageError::Write { source: Arc::new(source) })),
        }
    }

    fn forget_oldest(&mut self, shared: &Shared) {
        // Rows that wait for the disk are counted, but must not push out those that were written.
        let budget = shared.recent_bytes.saturating_add(shared.backlog.bytes());
        while shared.counters.recent_bytes() > budget {
            let Some(oldest) = self.recent.pop_front() else { return };
            oldest.forget(shared);
        }
    }

    /// How long to wait for requests before rows are to be forgotten.
    fn patience(&self, shared: &Shared) -> Option<Duration> {
        let since = self.recent.front()?.since?;
        // Once for all rows of a while, not once for each.
        let until = shared.recent_for.saturating_add(shared.recent_for / 8);
        Some(until.saturating_sub(since.elapsed()))
    }

    fn forget_old(&mut self, shared: &Shared) {
        let is_old = |recent: &mut Recent| {
            recent.since.is_some_and(|since| since.elapsed() >= shared.recent_for)
        };
        while let Some(oldest) = self.recent.pop_front_if(is_old) {
            oldest.forget(shared);
        }
        if self.recent.is_empty() {
            self.recent = VecDeque::new();
        }
    }
}

impl Recent {
    fn forget(self, shared: &Shared) {
        let bytes = self.appended.group.evict(self.appended.last, self.ticket);
        shared.counters.forget(bytes);
    }
}

fn complete(requests: Vec<Request>, outcome: &Result<(), StorageError>) {
    for request in requests {
        if let Some(done) = request.done {
            done(outcome.clone());
        }
    }
}

/// A writer that panics fails the store: nobody waits for a thread that is gone.
struct PanicGuard<'a> {
    shared: &'a Shared,
}

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        let source = Arc::new(EngineError::WriterPanicked);
        let error = self.shared.fail(StorageError::Write { source });
        self.shared.backlog.close();
        while let Some(batch) = self.shared.backlog.try_take(usize::MAX) {
            complete(batch.requests, &Err(error.clone()));
        }
    }
}
