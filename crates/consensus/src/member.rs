//! One replica: openraft's handle and everything that lives and ends with it.
//!
//! It does not know the machine's type; [`crate::Group`] adds that.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openraft::Instant as _;
use openraft::Raft;
use openraft::async_runtime::WatchReceiver as _;
use openraft::type_config::alias::{self, SnapshotOf};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use warren_rpc::{Ballot, Flow, Peers, Refusal, SnapshotBegin, SnapshotPart};
use warren_types::{GroupId, LogIndex, NodeId, Term};

use crate::apply::{Pages, Shared, StateMachine};
use crate::codec;
use crate::error::{Broken, ReadError};
use crate::fatal::{Alarm, Fatality, Life};
use crate::log::{completion, written};
use crate::recall::Recall;
use crate::rounds::Rounds;
use crate::status::{Leadership, Status};
use crate::transfers::Transfers;
use crate::types::Types;

/// One replica, of whatever machine.
pub(crate) struct Member {
    pub(crate) id: GroupId,
    pub(crate) node: NodeId,
    pub(crate) raft: Raft<Types, StateMachine>,
    pub(crate) shared: Shared,
    pub(crate) leadership: watch::Sender<Leadership>,
    pub(crate) life: Life,
    /// Ends the tasks.
    pub(crate) stop: CancellationToken,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// Held while a snapshot comes in: one at a time.
    incoming: tokio::sync::Mutex<()>,
    transfers: Arc<Transfers>,
    /// What it knew in an earlier life.
    pub(crate) recall: Recall,
    /// Asks the other voters whether this node still leads.
    confirming: Rounds<Result<LogIndex, ReadError>>,
    /// Asks the leader, here or elsewhere, what is committed.
    pub(crate) barriers: Rounds<Result<LogIndex, ReadError>>,
    /// Streams of entries that come in.
    #[cfg(test)]
    pub(crate) streams: std::sync::atomic::AtomicUsize,
}

impl Member {
    pub(crate) fn new(
        id: GroupId,
        node: NodeId,
        raft: Raft<Types, StateMachine>,
        shared: Shared,
        life: Life,
        transfers: Arc<Transfers>,
        recall: Recall,
    ) -> Self {
        Self {
            id,
            node,
            raft,
            shared,
            leadership: watch::Sender::new(Leadership::default()),
            life,
            stop: CancellationToken::new(),
            tasks: Mutex::default(),
            incoming: tokio::sync::Mutex::default(),
            transfers,
            recall,
            confirming: Rounds::new(),
            barriers: Rounds::new(),
            #[cfg(test)]
            streams: std::sync::atomic::AtomicUsize::new(0),
        }
    }

    /// Keeps a task until the replica ends.
    pub(crate) fn keep(&self, task: JoinHandle<()>) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
    }

    /// How it has voted.
    pub(crate) fn ballot(&self) -> Ballot {
        codec::ballot(&self.raft.metrics().borrow_watched().vote)
    }

    /// Ends the replica in order. May be called more than once.
    pub(crate) async fn shutdown(&self) {
        self.life.end();
        // An error means that the core had ended before.
        drop(self.raft.shutdown().await);
        self.stop.cancel();
        let tasks: Vec<JoinHandle<()>> = {
            let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            tasks.drain(..).collect()
        };
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(group = %self.id, %error, "a task of the group failed");
            }
        }
    }

    /// Follows openraft's view of who leads and who belongs to the group, and rings the alarm when
    /// its core ends unasked.
    pub(crate) async fn watch(self: Arc<Self>, peers: Peers, alarm: Alarm) {
        let mut server = self.raft.server_metrics();
        loop {
            let seen = {
                let metrics = server.borrow_and_update();
                // A follower calls others as well: the leader, to learn what is committed, or
                // whether it is still there.
                for (node, at) in metrics.membership_config.membership().nodes() {
                    peers.suggest_address(NodeId(*node), &at.addr);
                }
                let here = metrics.state.is_leader();
                let leader = metrics.current_leader.map(NodeId);
                Leadership { leader, term: Term(metrics.vote.leader_id.term), here }
            };
            self.leadership.send_if_modified(|known| {
                let changed = *known != seen;
                *known = seen;
                changed
            });
            tokio::select! {
                () = self.stop.cancelled() => break,
                changed = server.changed() => if changed.is_err() { break },
            }
        }
        self.leadership.send_modify(|known| {
            known.here = false;
            known.leader = None;
        });
        if self.life.running() {
            let text = match &self.raft.metrics().borrow_watched().running_state {
                Ok(()) => "its core ended by itself".to_owned(),
                Err(fatal) => format!("its core ended: {fatal}"),
            };
            alarm.ring(Fatality { group: Some(self.id), text });
        }
    }

    /// As the leader: up to where one must have applied to have seen everything committed.
    pub(crate) async fn read_index(&self) -> Result<LogIndex, ReadError> {
        self.confirming.ask(|| self.confirm()).await
    }

    async fn confirm(&self) -> Result<LogIndex, ReadError> {
        use openraft::errors::{LinearizableReadError, RaftError};
        match self.raft.get_read_linearizer(openraft::ReadPolicy::ReadIndex).await {
            Ok(linearizer) => Ok(codec::index(linearizer.read_log_id().index())),
            Err(RaftError::Fatal(_)) => Err(ReadError::Stopped),
            Err(RaftError::APIError(
                LinearizableReadError::ForwardToLeader(_)
                | LinearizableReadError::QuorumNotEnough(_),
            )) => Err(ReadError::NoLeader),
        }
    }

    /// Waits until the machine has applied `index`.
    pub(crate) async fn wait_applied(&self, index: LogIndex) -> Result<(), ReadError> {
        let mut progress = self.shared.driver.progress();
        tokio::select! {
            reached = progress.wait_for(|applied| *applied >= index) => match reached {
                Ok(_) => Ok(()),
                Err(_) => Err(ReadError::Stopped),
            },
            () = self.stop.cancelled() => Err(ReadError::Stopped),
        }
    }

    /// Up to where this replica lacks no body: it has applied that far, or a snapshot that was cut
    /// off got that far. A snapshot's bodies come in ascending order, and whichever snapshot comes
    /// next refers to none before that one's that it did not refer to.
    pub(crate) fn progress(&self) -> LogIndex {
        let (applied, _) = self.shared.driver.applied();
        let adopted = self.shared.store.last_adopted().unwrap_or_default();
        codec::index_of(applied.as_ref()).max(adopted)
    }

    /// Takes a snapshot that the leader sends: the bodies first, then the state.
    pub(crate) async fn receive(
        &self,
        begin: SnapshotBegin,
        mut parts: Flow<SnapshotPart>,
    ) -> Result<Ballot, Refusal> {
        use futures::StreamExt;
        let Ok(_incoming) = self.incoming.try_lock() else {
            return Err(failed("another snapshot is coming in"));
        };
        let _one_of_some = self.transfers.receive().await;
        let meta = codec::read_meta(begin.meta).map_err(|error| senseless(&error.to_string()))?;
        let upto = codec::index_of(meta.last_log_id.as_ref());
        let (mut rows, mut pages) = (0_u64, Vec::new());
        let ended = loop {
            match parts.next().await {
                Some(SnapshotPart::Rows(batch)) => {
                    rows = rows.saturating_add(u64::try_from(batch.len()).unwrap_or(u64::MAX));
                    self.adopt(batch, upto).await?;
                }
                Some(SnapshotPart::Page(page)) => pages.push(page),
                Some(SnapshotPart::End { rows, pages }) => break Some((rows, pages)),
                None => break None,
            }
        };
        if ended != Some((rows, u64::try_from(pages.len()).unwrap_or(u64::MAX))) {
            return Err(failed("the snapshot was cut off"));
        }
        let snapshot = SnapshotOf::<Types, Pages> { meta, snapshot: Pages { pages, home: None } };
        let installed = self.raft.install_full_snapshot(codec::vote(begin.ballot), snapshot).await;
        let response = installed.map_err(|fatal| failed(&fatal.to_string()))?;
        Ok(codec::ballot(&response.vote))
    }

    async fn adopt(&self, batch: Vec<warren_rpc::Entry>, upto: LogIndex) -> Result<(), Refusal> {
        let rows: Vec<warren_storage::Row> = batch.into_iter().map(codec::received_row).collect();
        if rows.iter().any(|row| row.index > upto) {
            return Err(senseless("a row behind the end of the snapshot"));
        }
        let (done, outcome) = completion();
        self.shared.store.adopt(rows, done);
        written(outcome).await.map_err(|error: Broken| failed(&error.to_string()))
    }

    pub(crate) fn status(&self) -> Status {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        let place = |(node, at): (&u64, &openraft::BasicNode)| (NodeId(*node), at.addr.clone());
        let voters: Vec<u64> = membership.voter_ids().collect();
        let (voting, learning): (Vec<_>, Vec<_>) =
            membership.nodes().partition(|(node, _)| voters.contains(node));
        let matched = metrics.replication.iter().flatten();
        let changing = membership.get_joint_config().len() > 1;
        let committed = codec::index_of(metrics.local_committed.as_ref());
        let said = codec::index_of(metrics.membership_config.log_id().as_ref());
        Status {
            leadership: *self.leadership.borrow(),
            last: metrics.last_log_index.map_or(LogIndex(0), codec::index),
            committed,
            applied: codec::index_of(metrics.last_applied.as_ref()),
            snapshot: codec::index_of(metrics.snapshot.as_ref()),
            purged: codec::index_of(metrics.purged.as_ref()),
            voters: voting.into_iter().map(place).collect(),
            learners: learning.into_iter().map(place).collect(),
            changing,
            settled: !changing && said <= committed,
            matched: matched
                .map(|(node, id)| (NodeId(*node), codec::index_of(id.as_ref())))
                .collect(),
            confirmed_ms_ago: metrics.last_quorum_acked.map(|at| ms_since(*at)),
        }
    }
}

/// Waits for `limit` or for `stop`, and says whether to go on.
pub(crate) async fn pause(stop: &CancellationToken, limit: Duration) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = tokio::time::sleep(limit) => true,
    }
}

pub(crate) fn ms_since(at: alias::InstantOf<Types>) -> u64 {
    let now = alias::InstantOf::<Types>::now();
    u64::try_from(now.saturating_duration_since(at).as_millis()).unwrap_or(u64::MAX)
}

fn failed(text: &str) -> Refusal {
    Refusal::Failed { text: text.to_owned() }
}

fn senseless(text: &str) -> Refusal {
    Refusal::Senseless { text: text.to_owned() }
}
