//! This node's front end towards the catalog.
//!
//! Reads look at the local copy. Changes that wait together become one entry; a change is
//! answered once the local copy has it, so that who made it sees it.

use std::sync::Arc;

use futures::stream::{FuturesOrdered, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use warren_catalog::{Batch, Catalog, Command, Outcome, Refusal, Reply};
use warren_consensus::{Group, ProposeError, ReadError, Submitted};
use warren_types::LogIndex;

use crate::failure::Failure;
use crate::queue::batch::wall_clock;
use crate::queue::handle::Stopped;

/// Changes that one entry carries at most.
const BATCH_COMMANDS: usize = 1024;

/// Entries of this node that are under way at once.
const ENTRIES_UNDER_WAY: usize = 4;

/// How long to wait before what could not be proposed is proposed again.
const RETRY: std::time::Duration = std::time::Duration::from_millis(20);

/// Why a change was not made, or cannot be said to have been made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum ChangeError {
    /// The catalog said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The node is stopping.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl From<ChangeError> for Failure {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Refused(refusal) => Self::refused(&refusal),
            ChangeError::Stopped(stopped) => Self::unavailable(stopped),
        }
    }
}

#[derive(Debug)]
struct Change {
    command: Command,
    answer_to: oneshot::Sender<Result<Outcome, Refusal>>,
}

/// The catalog, for those who read and change it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Directory {
    group: Group<Catalog>,
    changes: mpsc::UnboundedSender<Change>,
}

impl Directory {
    /// A front end, and the task that has to be run for it.
    pub(crate) fn new(group: Group<Catalog>) -> (Self, Proposer) {
        #[expect(clippy::disallowed_methods, reason = "each channel waits for its one change")]
        let (changes, waiting) = mpsc::unbounded_channel();
        let proposer = Proposer {
            group: group.clone(),
            waiting,
            pending: std::collections::VecDeque::new(),
            under_way: FuturesOrdered::new(),
        };
        (Self { group, changes }, proposer)
    }

    /// Looks at the local copy. `look` must be short: changes wait for it.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&Catalog) -> R) -> R {
        self.group.inspect(look)
    }

    /// Whether no other node could have told a client anything that the local copy lacks.
    pub(crate) fn is_alone(&self) -> bool {
        let status = self.group.status();
        status.leadership.here && status.voters.len() == 1
    }

    /// Has a change made and waits until the local copy has it.
    pub(crate) async fn change(&self, command: Command) -> Result<Outcome, ChangeError> {
        let (answer_to, answer) = oneshot::channel();
        self.changes.send(Change { command, answer_to }).map_err(|_| Stopped)?;
        Ok(answer.await.map_err(|_| Stopped)??)
    }

    /// Waits until the local copy has everything that any node had acknowledged before the call.
    pub(crate) async fn catch_up(&self) -> Result<(), Stopped> {
        loop {
            match self.group.read_barrier().await {
                Ok(_) => return Ok(()),
                Err(ReadError::Stopped) => return Err(Stopped),
                Err(error) => {
                    tracing::debug!(%error, "the catalog cannot be read up to date yet");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directory").finish_non_exhaustive()
    }
}

struct Pending {
    payload: bytes::Bytes,
    answers: Vec<oneshot::Sender<Result<Outcome, Refusal>>>,
}

/// Makes entries of the changes that wait.
///
/// A change whose outcome is not known is proposed again: all of them say what should be, so the
/// second time changes nothing.
pub(crate) struct Proposer {
    group: Group<Catalog>,
    waiting: mpsc::UnboundedReceiver<Change>,
    pending: std::collections::VecDeque<Pending>,
    under_way: FuturesOrdered<Submitted<Reply>>,
}

impl Proposer {
    /// Serves until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            let room = self.pending.len() < ENTRIES_UNDER_WAY;
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(outcome) = self.under_way.next(), if !self.under_way.is_empty() => {
                    self.finish(outcome).await;
                }
                change = self.waiting.recv(), if room => match change {
                    Some(change) => self.propose(change),
                    None => return,
                },
            }
        }
    }

    fn propose(&mut self, first: Change) {
        let mut commands = vec![first.command];
        let mut answers = vec![first.answer_to];
        while commands.len() < BATCH_COMMANDS {
            let Ok(change) = self.waiting.try_recv() else { break };
            commands.push(change.command);
            answers.push(change.answer_to);
        }
        let payload = Batch { time: wall_clock(), commands }.encode();
        self.under_way.push_back(self.group.submit(payload.clone()));
        self.pending.push_back(Pending { payload, answers });
    }

    async fn finish(&mut self, outcome: Result<(LogIndex, Reply), ProposeError>) {
        match outcome {
            Ok((_, reply)) => {
                let pending = self.pending.pop_front().expect("an answer belongs to a batch");
                for (answer_to, answer) in pending.answers.into_iter().zip(reply) {
                    drop(answer_to.send(answer));
                }
            }
            Err(error) => {
                tracing::debug!(%error, "change came to no certain end, proposing it again");
                self.under_way = FuturesOrdered::new();
                tokio::time::sleep(RETRY).await;
                for pending in &self.pending {
                    self.under_way.push_back(self.group.submit(pending.payload.clone()));
                }
            }
        }
    }
}

/// A name to be shared with the catalog.
pub(crate) fn name(text: &str) -> Arc<str> {
    Arc::from(text)
}
