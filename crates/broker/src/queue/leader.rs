//! The task between this node's front end and one replicated shard.
//!
//! Requests that wait together become one entry; several entries are under way at once. What
//! came to no certain end is proposed again in the same order under the same sequences, which
//! the shard uses to do it once.
//!
//! **Invariant:** `pending` holds, in order, every batch whose answer has not come; the futures
//! in `under_way` belong to its first batches, in the same order.

use std::collections::VecDeque;
use std::time::Duration;

use futures::stream::{FuturesOrdered, StreamExt};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use warren_consensus::{Group, Performed, ProposeError, Submitted};
use warren_queue::{Command, Effect, Reply, Shard};
use warren_types::{LogIndex, RequestSequence, SessionId};

use super::batch::{Batch, TICK_MIN, gather, hand_out};
use super::effects::Performer;
use super::handle::{Request, Requests};

/// Entries of one shard that this node has under way at once: enough to keep the disk and the
/// network busy, few enough that requests gather into large entries while they wait.
const ENTRIES_UNDER_WAY: usize = 4;

/// How long to wait before what could not be proposed is proposed again.
const RETRY: Duration = Duration::from_millis(20);

type Outcome = Result<(LogIndex, Reply), ProposeError>;

/// This node's front end towards one replicated shard.
pub(crate) struct ShardLeader {
    group: Group<Shard>,
    session: SessionId,
    sequence: RequestSequence,
    requests: Requests,
    effects: mpsc::UnboundedReceiver<Performed<Effect>>,
    performer: Performer,
    pending: VecDeque<Batch>,
    under_way: FuturesOrdered<Submitted<Reply>>,
}

impl ShardLeader {
    /// A front end that speaks for `session`.
    pub(crate) fn new(
        group: Group<Shard>,
        session: SessionId,
        requests: Requests,
        effects: mpsc::UnboundedReceiver<Performed<Effect>>,
        performer: Performer,
    ) -> Self {
        Self {
            group,
            session,
            sequence: RequestSequence::default(),
            requests,
            effects,
            performer,
            pending: VecDeque::new(),
            under_way: FuturesOrdered::new(),
        }
    }

    /// Opens the session, then serves until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        self.propose_alone(&Command::OpenSession);
        let mut tick_at = None;
        loop {
            let room = self.pending.len() < ENTRIES_UNDER_WAY;
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                // What an entry brought about goes out before its answers do: a consumer that is
                // told that it was cancelled has been given all that it will be.
                Some(performed) = self.effects.recv() => self.perform(performed),
                Some(outcome) = self.under_way.next(), if !self.under_way.is_empty() => {
                    self.finish(outcome).await;
                }
                request = self.requests.recv(), if room => match request {
                    Some(request) => self.propose(request),
                    None => return,
                },
                () = tokio::time::sleep_until(tick_at.unwrap_or_else(Instant::now)),
                    if tick_at.is_some() && room => self.propose_alone(&Command::Tick),
            }
            let due = self.group.inspect(Shard::next_deadline);
            tick_at = due.map(|due| Instant::now() + due.max(TICK_MIN));
        }
    }

    fn propose_alone(&mut self, command: &Command) {
        self.propose(Request::unheard(command));
    }

    fn propose(&mut self, first: Request) {
        let requests = &mut self.requests;
        let batch = gather(self.session, &mut self.sequence, first, requests, |request| {
            // Rows of a replicated shard are read from storage, so nobody asks its task.
            drop(request);
        });
        if batch.answers.is_empty() {
            return;
        }
        self.under_way.push_back(self.group.submit(batch.payload.clone()));
        self.pending.push_back(batch);
    }

    async fn finish(&mut self, outcome: Outcome) {
        match outcome {
            Ok((_, reply)) => self.answer(reply),
            Err(error) => {
                tracing::debug!(%error, "entry came to no certain end, proposing it again");
                self.under_way = FuturesOrdered::new();
                tokio::time::sleep(RETRY).await;
                for batch in &self.pending {
                    self.under_way.push_back(self.group.submit(batch.payload.clone()));
                }
            }
        }
    }

    fn answer(&mut self, reply: Reply) {
        let batch = self.pending.pop_front().expect("an answer belongs to the first batch");
        hand_out(reply, batch.answers);
    }

    fn perform(&mut self, performed: Performed<Effect>) {
        let Performed { index, payload, effects, .. } = performed;
        self.performer.perform(effects, |wanted| (wanted == index).then(|| payload.clone()));
    }
}
