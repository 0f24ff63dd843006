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
use warren_queue::{Command, Shard};
use warren_types::{LogIndex, RequestSequence, SessionId, Term};

use super::batch::{TICK_MIN, gather, hand_out};
use super::effects::Performer;
use super::handle::{AnswerTo, Request, Requests};

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
    session: SessionId,
    sequence: RequestSequence,
    index: LogIndex,
    rows: BTreeMap<LogIndex, Bytes>,
    row_bytes: usize,
    /// Whether anything was applied since the last look for rows that are not needed.
    dirty: bool,
    sweep_at: Instant,
    requests: Requests,
    performer: Performer,
}

impl LocalShard {
    /// An empty shard that `session` has open.
    pub(crate) fn new(session: SessionId, requests: Requests, performer: Performer) -> Self {
        Self {
            machine: Shard::new(),
            session,
            sequence: RequestSequence::default(),
            index: LogIndex::default(),
            rows: BTreeMap::new(),
            row_bytes: 0,
            dirty: false,
            sweep_at: Instant::now(),
            requests,
            performer,
        }
    }

    /// Serves until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        self.take_alone(&Command::OpenSession);
        let mut turn = 0_usize;
        let mut tick_at = None;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                request = self.requests.recv() => match request {
                    Some(request) => self.take(request),
                    None => return,
                },
                () = tokio::time::sleep_until(self.sweep_at), if self.wants_sweep() => {}
                () = tokio::time::sleep_until(tick_at.unwrap_or_else(Instant::now)),
                    if tick_at.is_some() => self.take_alone(&Command::Tick),
            }
            if self.wants_sweep() && Instant::now() >= self.sweep_at {
                self.sweep();
            }
            tick_at = self.machine.next_deadline().map(|due| Instant::now() + due.max(TICK_MIN));
            turn = turn.saturating_add(1);
            if turn >= ENTRIES_PER_TURN {
                turn = 0;
                tokio::task::yield_now().await;
            }
        }
    }

    fn take_alone(&mut self, command: &Command) {
        self.take(Request::unheard(command));
    }

    fn take(&mut self, first: Request) {
        let mut reads = Vec::new();
        let requests = &mut self.requests;
        let batch =
            gather(self.session, &mut self.sequence, first, requests, |read| reads.push(read));
        if !batch.answers.is_empty() {
            self.apply(batch.payload, batch.answers);
        }
        for read in reads {
            if let Request::Row { index, answer_to } = read {
                drop(answer_to.send(self.rows.get(&index).cloned()));
            }
        }
    }

    fn apply(&mut self, payload: Bytes, answers: Vec<AnswerTo>) {
        self.index = self.index.next();
        self.row_bytes = self.row_bytes.saturating_add(payload.len());
        self.rows.insert(self.index, payload.clone());
        let entry = Entry { index: self.index, term: Term::default(), payload };
        let applied = self.machine.apply(&entry);
        let rows = &self.rows;
        self.performer.perform(applied.effects, |index| rows.get(&index).cloned());
        hand_out(applied.reply, answers);
        self.dirty = true;
    }

    fn wants_sweep(&self) -> bool {
        self.dirty && self.row_bytes > SWEEP_BYTES
    }

    /// Lets go of rows, and parts of rows, that the machine does not refer to.
    fn sweep(&mut self) {
        let begin = Instant::now();
        for sparse in self.machine.sparse_rows(self.index, SPARSE_ROWS) {
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
