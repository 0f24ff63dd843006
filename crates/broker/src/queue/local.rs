//! A shard in this node's memory: exclusive and non-durable queues.
//!
//! The same machine as a replicated shard's, with entries applied at once and rows kept here.
//! What it holds is gone when the process ends.
//!
//! **Invariant:** `rows` holds every row that the machine still refers to.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use warren_machine::{Entry, Machine};
use warren_queue::{Command, MACHINE_VERSION, Shard};
use warren_rpc::Place;
use warren_types::{LogIndex, SessionId, Term};

use super::batch::{Batch, Gathering, Lull, Pace};
use super::effects::Performer;
use super::front::Front;
use super::guests::Guests;
use super::handle::{Event, Inbox};
use super::leading::hand_out;

/// Bytes of rows that are kept without looking which of them are needed.
const SWEEP_BYTES: usize = 1024 * 1024;

/// How long to wait at least between two looks.
const SWEEP_INTERVAL: Duration = Duration::from_millis(50);

/// Of the time that passes, looking may take one part in this many.
const SWEEP_SHARE: u32 = 50;

/// Rows that one sweep reduces to what is still needed of them.
const SPARSE_ROWS: usize = 256;

/// Entries applied between two chances for other tasks to run.
const ENTRIES_PER_TURN: usize = 8;

/// The owner of a shard in memory.
pub(crate) struct LocalShard {
    machine: Shard,
    front: Front,
    guests: Guests,
    /// What this node asks by itself.
    chores: Vec<Command>,
    index: LogIndex,
    rows: BTreeMap<LogIndex, Bytes>,
    row_bytes: usize,
    /// Whether anything was applied since the last look for rows that are not needed.
    dirty: bool,
    sweep_at: Instant,
    pace: Pace,
    inbox: Inbox,
    performer: Performer,
}

impl LocalShard {
    /// An empty shard at `place`, in which `session` speaks for this node.
    pub(crate) fn new(
        place: Place,
        session: SessionId,
        inbox: Inbox,
        performer: Performer,
    ) -> Self {
        Self {
            machine: Shard::new(),
            front: Front::new(session),
            guests: Guests::new(place),
            chores: Vec::new(),
            index: LogIndex::default(),
            rows: BTreeMap::new(),
            row_bytes: 0,
            dirty: false,
            sweep_at: Instant::now(),
            pace: Pace::default(),
            inbox,
            performer,
        }
    }

    /// Serves until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut turn = 0_usize;
        let (mut tick_at, mut lull) = (None, Lull::new());
        loop {
            self.pump();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                event = self.inbox.events.recv() => match event {
                    Some(event) => self.hear(event),
                    None => return,
                },
                request = self.inbox.requests.recv() => match request {
                    Some(request) => self.front.accept(request.fragment, request.answer_to),
                    None => return,
                },
                () = tokio::time::sleep_until(self.sweep_at), if self.wants_sweep() => {}
                () = tokio::time::sleep_until(tick_at.unwrap_or_else(Instant::now)),
                    if tick_at.is_some() => self.chores.push(Command::Tick),
            }
            self.pump();
            if self.wants_sweep() && Instant::now() >= self.sweep_at {
                self.sweep();
            }
            tick_at = lull.tick_at(self.index, self.machine.next_deadline());
            turn = turn.saturating_add(1);
            if turn >= ENTRIES_PER_TURN {
                turn = 0;
                tokio::task::yield_now().await;
            }
        }
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Guest(guest) => {
                self.guests.take(guest, None);
                let rows = &self.rows;
                self.guests.welcome(&self.machine, Term::default(), |at| rows.get(&at).cloned());
            }
            Event::Dead(session) => self.chores.push(Command::CloseSession { session }),
            Event::Row { index, answer_to } => {
                drop(answer_to.send(self.rows.get(&index).cloned()));
            }
            Event::Look(look) => look(&self.machine),
            // Of a shard that others may lead.
            Event::Replica(_)
            | Event::NoReplica
            | Event::FromHost { .. }
            | Event::LinkDown { .. }
            | Event::Again
            | Event::Holder(_) => {}
        }
    }

    /// Applies what waits.
    fn pump(&mut self) {
        while self.front.has_more() || self.guests.is_waiting() || !self.chores.is_empty() {
            let passed_ms = self.pace.passed_ms(Duration::default);
            let mut gathering = Gathering::new(MACHINE_VERSION, passed_ms);
            gathering.leader(self.chores.drain(..));
            gathering.fill(&mut self.front, &mut self.inbox.requests, &mut self.guests, None);
            let Some(batch) = gathering.finish() else { return };
            self.pace.tell(passed_ms);
            self.apply(batch);
        }
    }

    fn apply(&mut self, batch: Batch) {
        let Batch { payload, targets } = batch;
        self.index = self.index.next();
        self.row_bytes = self.row_bytes.saturating_add(payload.len());
        self.rows.insert(self.index, payload.clone());
        let entry = Entry { index: self.index, term: Term::default(), payload };
        let applied = self.machine.apply(&entry);
        let rows = &self.rows;
        let row = |index: LogIndex| rows.get(&index).cloned();
        self.performer.perform(applied.effects, None, &self.guests, row);
        // A session of this node is never closed by others, so nothing has to be sent again.
        let _heard = hand_out(targets, applied.reply, &mut self.front, &self.guests);
        self.dirty = true;
    }

    fn wants_sweep(&self) -> bool {
        self.dirty && self.row_bytes > SWEEP_BYTES
    }

    /// Lets go of rows, and parts of rows, that the machine does not refer to.
    fn sweep(&mut self) {
        let begin = Instant::now();
        for sparse in self.machine.sparse_rows(LogIndex(0), self.index, SPARSE_ROWS) {
            if let Some(row) = self.rows.get_mut(&sparse.index) {
                *row = Shard::thin(row, &sparse.live_offsets);
            }
        }
        let live = self.machine.live_rows(self.index);
        let mut kept = BTreeMap::new();
        for index in live {
            if let Some(row) = self.rows.remove(&index) {
                kept.insert(index, row);
            }
        }
        self.rows = kept;
        self.row_bytes = self.rows.values().map(Bytes::len).sum();
        self.dirty = false;
        let took = begin.elapsed();
        self.sweep_at = Instant::now() + SWEEP_INTERVAL.max(took.saturating_mul(SWEEP_SHARE));
    }
}
