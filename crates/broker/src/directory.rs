//! This node's front end towards the catalog.
//!
//! Reads look at the local copy. Changes that wait together become one entry, which is submitted
//! here when this node leads the catalog and forwarded to whoever does when it does not; a change
//! is answered once the local copy has it, so that who made it sees it.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{FuturesOrdered, StreamExt};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use warren_amqp::ReplyCode;
use warren_catalog::{Batch, Catalog, Command, Outcome, Refusal, Reply};
use warren_consensus::{Group, Leadership, Peers, ReadError, Status};
use warren_machine::Digest;
use warren_types::LogIndex;

use crate::cluster::forward::{self, Unsettled};
use crate::failure::Failure;
use crate::feature::NotYet;
use crate::queue::batch::wall_clock;
use crate::queue::handle::Stopped;
use crate::room::Full;

/// Changes that one entry carries at most.
const BATCH_COMMANDS: usize = 1024;

/// Bytes above which an entry is divided; a single change is sent whatever its size.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Entries of this node that are under way at once.
const ENTRIES_UNDER_WAY: usize = 4;

/// How long to wait before what could not be proposed is proposed again, unless somebody else
/// leads before.
const RETRY: std::time::Duration = std::time::Duration::from_millis(20);

/// Why a change was not made, or cannot be said to have been made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ChangeError {
    /// The catalog said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A limit is reached.
    #[error(transparent)]
    Full(#[from] Full),
    /// Not all nodes know what it asks for.
    #[error(transparent)]
    NotYet(#[from] NotYet),
    /// The node is stopping.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl From<ChangeError> for Failure {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Refused(refusal) => Self::refused(&refusal),
            ChangeError::Full(full) => Self::new(ReplyCode::PreconditionFailed, full),
            ChangeError::NotYet(error) => error.into(),
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
    /// A front end, and the task that has to be run for it. Other nodes are reached through
    /// `peers`.
    pub(crate) fn new(group: Group<Catalog>, peers: Peers) -> (Self, Proposer) {
        #[expect(clippy::disallowed_methods, reason = "each channel waits for its one change")]
        let (changes, waiting) = mpsc::unbounded_channel();
        let proposer = Proposer {
            leadership: group.leadership(),
            group: group.clone(),
            peers,
            waiting,
            pending: VecDeque::new(),
            under_way: FuturesOrdered::new(),
            window: ENTRIES_UNDER_WAY,
        };
        (Self { group, changes }, proposer)
    }

    /// Looks at the local copy. `look` must be short: changes wait for it.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&Catalog) -> R) -> R {
        self.group.inspect(look)
    }

    /// How the catalog's replica is.
    pub(crate) fn status(&self) -> Status {
        self.group.status()
    }

    /// What the catalog's replica holds, in a number.
    pub(crate) fn fingerprint(&self) -> (LogIndex, Digest) {
        self.group.fingerprint()
    }

    /// Whether no other node could have told a client anything that the local copy lacks.
    pub(crate) fn is_alone(&self) -> bool {
        let status = self.group.status();
        let nodes = status.voters.len().saturating_add(status.learners.len());
        status.leadership.here && nodes == 1
    }

    /// How far the local copy has come, and every change of it.
    pub(crate) fn changes(&self) -> watch::Receiver<LogIndex> {
        self.group.progress()
    }

    /// Has a change made and waits until the local copy has it. When the future is dropped before,
    /// the change may be made all the same if it is under way; later it is not tried again.
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

/// Changes that share an entry.
#[derive(Debug)]
struct Pending {
    payload: Bytes,
    changes: Vec<Change>,
}

impl Pending {
    fn new(changes: Vec<Change>) -> Self {
        let commands = changes.iter().map(|change| change.command.clone()).collect();
        Self { payload: Batch { time: wall_clock(), commands }.encode(), changes }
    }

    /// As few entries as the changes fit into.
    fn divided(changes: Vec<Change>, into: &mut VecDeque<Self>) {
        let mut rest = vec![changes];
        while let Some(mut changes) = rest.pop() {
            let pending = Self::new(changes);
            if pending.payload.len() <= BATCH_BYTES || pending.changes.len() == 1 {
                into.push_back(pending);
                continue;
            }
            changes = pending.changes;
            let second = changes.split_off(changes.len().div_ceil(2));
            rest.push(second);
            rest.push(changes);
        }
    }

    /// What somebody still waits for, if there is any. A change that its maker has given up must
    /// not come into force behind what was done instead.
    fn still_wanted(self) -> Option<Self> {
        let before = self.changes.len();
        let mut changes = self.changes;
        changes.retain(|change| !change.answer_to.is_closed());
        match changes.len() {
            0 => None,
            after if after == before => Some(Self { payload: self.payload, changes }),
            _ => Some(Self::new(changes)),
        }
    }
}

/// Makes entries of the changes that wait.
///
/// A change whose outcome is not known is proposed again: all of them say what should be, so the
/// second time changes nothing.
///
/// **Invariant:** `pending` holds, in order, every entry whose answer has not come; the futures in
/// `under_way` belong to its first entries, in the same order.
pub(crate) struct Proposer {
    group: Group<Catalog>,
    peers: Peers,
    leadership: watch::Receiver<Leadership>,
    waiting: mpsc::UnboundedReceiver<Change>,
    pending: VecDeque<Pending>,
    under_way: FuturesOrdered<BoxFuture<'static, Result<Reply, Unsettled>>>,
    /// Entries that may be under way. After a failure one goes first, so that what has waited for
    /// long is done in order.
    window: usize,
}

impl Proposer {
    /// Serves until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            self.refill();
            let room = self.pending.len() < ENTRIES_UNDER_WAY;
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(outcome) = self.under_way.next(), if !self.under_way.is_empty() => {
                    let failed = outcome.is_err();
                    self.finish(outcome);
                    if failed && !self.pause(&stop).await {
                        return;
                    }
                }
                change = self.waiting.recv(), if room => match change {
                    Some(change) => self.gather(change),
                    None => return,
                },
            }
        }
    }

    fn gather(&mut self, first: Change) {
        let mut changes = vec![first];
        while changes.len() < BATCH_COMMANDS {
            let Ok(change) = self.waiting.try_recv() else { break };
            changes.push(change);
        }
        changes.retain(|change| !change.answer_to.is_closed());
        if !changes.is_empty() {
            Pending::divided(changes, &mut self.pending);
        }
    }

    fn refill(&mut self) {
        while self.under_way.len() < self.window
            && let Some(next) = self.pending.get(self.under_way.len())
        {
            let settling =
                forward::settle(self.group.clone(), self.peers.clone(), next.payload.clone());
            self.under_way.push_back(Box::pin(settling));
        }
    }

    fn finish(&mut self, outcome: Result<Reply, Unsettled>) {
        match outcome {
            Ok(reply) => {
                self.window = ENTRIES_UNDER_WAY;
                let pending = self.pending.pop_front().expect("an answer belongs to an entry");
                for (change, answer) in pending.changes.into_iter().zip(reply) {
                    drop(change.answer_to.send(answer));
                }
            }
            Err(error) => {
                tracing::debug!(%error, "change came to no certain end, proposing it again");
                self.window = 1;
                self.under_way = FuturesOrdered::new();
                let pending = std::mem::take(&mut self.pending);
                self.pending = pending.into_iter().filter_map(Pending::still_wanted).collect();
            }
        }
    }

    /// Waits for [`RETRY`] or for another leader, and says whether to go on.
    async fn pause(&mut self, stop: &CancellationToken) -> bool {
        tokio::select! {
            () = stop.cancelled() => return false,
            () = tokio::time::sleep(RETRY) => return true,
            changed = self.leadership.changed() => if changed.is_ok() { return true },
        }
        // The group has ended, and this front end is about to.
        stop.cancelled().await;
        false
    }
}

/// A name to be shared with the catalog.
pub(crate) fn name(text: &str) -> Arc<str> {
    Arc::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Answer = oneshot::Receiver<Result<Outcome, Refusal>>;

    fn delete(vhost: &str) -> (Change, Answer) {
        let (answer_to, answer) = oneshot::channel();
        (Change { command: Command::DeleteVhost { vhost: name(vhost) }, answer_to }, answer)
    }

    fn commands(pending: &Pending) -> Vec<Command> {
        Batch::decode(&pending.payload).expect("it was encoded").commands
    }

    #[test]
    fn what_nobody_waits_for_is_left_out_when_the_rest_is_proposed_again() {
        let ((kept, _waits), (given_up, gone)) = (delete("kept"), delete("given up"));
        let command = kept.command.clone();
        let pending = Pending::new(vec![kept, given_up]);
        drop(gone);

        let again = pending.still_wanted().expect("one is waited for");

        assert_eq!(commands(&again), [command]);
        assert_eq!(again.changes.len(), 1);
    }

    #[test]
    fn nothing_is_proposed_again_that_nobody_waits_for() {
        let (given_up, gone) = delete("given up");
        let pending = Pending::new(vec![given_up]);
        drop(gone);

        assert!(pending.still_wanted().is_none());
    }

    #[test]
    fn what_is_too_large_for_one_entry_becomes_several_in_the_same_order() {
        let names: Vec<String> =
            (0..9).map(|nth| format!("{nth}{}", "x".repeat(1 << 20))).collect();
        let (changes, _waits): (Vec<Change>, Vec<Answer>) =
            names.iter().map(|name| delete(name)).unzip();
        let mut divided = VecDeque::new();

        Pending::divided(changes, &mut divided);

        let all: Vec<Command> = divided.iter().flat_map(commands).collect();
        let expected = names.iter().map(|vhost| Command::DeleteVhost { vhost: name(vhost) });
        assert_eq!(all, expected.collect::<Vec<_>>());
        assert!(divided.len() > 2 && divided.iter().all(|it| it.payload.len() <= BATCH_BYTES));
    }
}
