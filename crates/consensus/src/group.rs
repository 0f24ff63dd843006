//! One replica of one group, for those who use it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::ChangeMembers;
use openraft::errors::{ChangeMembershipError, ClientWriteError, InitializeError, RaftError};
use openraft::impls::BasicNode;
use tokio::sync::{mpsc, watch};
use warren_machine::{Digest, Machine};
use warren_types::{GroupId, LogIndex, NodeId};

use crate::driver::{Cell, Driver as _};
use crate::error::{BootstrapError, MembershipError, ProposeError, ReadError};
use crate::member::Member;
use crate::propose::{Proposal, Submitted};
use crate::rows::Rows;
use crate::status::{Leadership, Status};
use crate::types::Types;

/// How long the leader may take to answer for a read: its own limit is the lease.
const READ_INDEX_LEASES: u32 = 2;

/// One replica of one group. Cheap to clone.
pub struct Group<M: Machine> {
    member: Arc<Member>,
    cell: Arc<Cell<M>>,
    backlog: mpsc::UnboundedSender<Proposal>,
    peers: warren_rpc::Peers,
    max_entry_bytes: usize,
}

impl<M: Machine> Clone for Group<M> {
    fn clone(&self) -> Self {
        Self {
            member: Arc::clone(&self.member),
            cell: Arc::clone(&self.cell),
            backlog: self.backlog.clone(),
            peers: self.peers.clone(),
            max_entry_bytes: self.max_entry_bytes,
        }
    }
}

impl<M: Machine> Group<M> {
    pub(crate) fn new(
        member: Arc<Member>,
        cell: Arc<Cell<M>>,
        backlog: mpsc::UnboundedSender<Proposal>,
        peers: warren_rpc::Peers,
        max_entry_bytes: usize,
    ) -> Self {
        Self { member, cell, backlog, peers, max_entry_bytes }
    }

    /// Makes the group, with `voters` and where they are. Once in the life of a cluster, on every
    /// voter or on one; a group that is made already stays as it is, also one that has left this node.
    ///
    /// # Errors
    /// When this node is not among the voters, or the group stops.
    pub async fn bootstrap(&self, voters: &[(NodeId, String)]) -> Result<(), BootstrapError> {
        if self.member.recall.was_here() {
            return Ok(());
        }
        let nodes: BTreeMap<u64, BasicNode> =
            voters.iter().map(|(node, at)| (node.0, BasicNode { addr: at.clone() })).collect();
        match self.member.raft.initialize(nodes).await {
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(RaftError::APIError(InitializeError::NotInMembers(_))) => {
                Err(BootstrapError::NotAmongVoters)
            }
            Err(RaftError::Fatal(_)) => Err(BootstrapError::Stopped),
        }
    }

    /// Has `payload` committed and applied, in the order of the calls. Neither waits nor blocks:
    /// whoever calls bounds what is in flight.
    pub fn submit(&self, payload: Bytes) -> Submitted<M::Reply> {
        let bytes = payload.len();
        if bytes > self.max_entry_bytes {
            let limit_bytes = self.max_entry_bytes;
            return Submitted::refused(ProposeError::TooLarge { bytes, limit_bytes });
        }
        if !self.member.life.running() {
            return Submitted::refused(ProposeError::Stopped);
        }
        let (submitted, proposal) = Submitted::waiting(payload);
        match self.backlog.send(proposal) {
            Ok(()) => submitted,
            Err(_) => Submitted::refused(ProposeError::Stopped),
        }
    }

    /// Has `payload` committed and applied, and waits for the machine's reply.
    ///
    /// # Errors
    /// Says whether it was certainly not done or may have been.
    pub async fn propose(&self, payload: Bytes) -> Result<(LogIndex, M::Reply), ProposeError> {
        self.submit(payload).await
    }

    /// Returns once this replica has applied everything that was committed before the call,
    /// whoever leads. Reading the applied state then is linearizable. Calls at the same time share
    /// one question to the leader.
    ///
    /// # Errors
    /// When no leader confirms what is committed; a retry may work.
    pub async fn read_barrier(&self) -> Result<LogIndex, ReadError> {
        let index = self.member.barriers.ask(|| self.committed_index()).await?;
        self.member.wait_applied(index).await?;
        Ok(index)
    }

    async fn committed_index(&self) -> Result<LogIndex, ReadError> {
        match self.member.read_index().await {
            Err(ReadError::NoLeader) => self.ask_leader().await,
            outcome => outcome,
        }
    }

    async fn ask_leader(&self) -> Result<LogIndex, ReadError> {
        let leadership = *self.member.leadership.borrow();
        let leader = match leadership.leader {
            Some(leader) if leader != self.member.node => leader,
            _ => return Err(ReadError::NoLeader),
        };
        let lease = self.member.raft.config().election_timeout_max;
        let limit = std::time::Duration::from_millis(lease).saturating_mul(READ_INDEX_LEASES);
        let answer = self.peers.raft(leader, self.member.id).read_index(limit).await;
        answer.map_err(|error| ReadError::Unanswered { leader, text: error.to_string() })
    }

    /// How many streams of entries come in.
    #[cfg(test)]
    pub(crate) fn streams(&self) -> usize {
        self.member.streams.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// How often the leader was asked for a barrier.
    #[cfg(test)]
    pub(crate) fn barrier_rounds(&self) -> u64 {
        self.member.barriers.begun()
    }

    /// A short look at the applied state. Entries wait meanwhile.
    pub fn inspect<R>(&self, look: impl FnOnce(&M) -> R) -> R {
        self.cell.inspect(look)
    }

    /// The last entry that the machine has applied, and the fingerprint of what it left. Takes as
    /// long as it takes to look at the whole state, and entries wait meanwhile.
    #[must_use]
    pub fn fingerprint(&self) -> (LogIndex, Digest) {
        self.cell.fingerprint()
    }

    /// Who leads, and every change of it.
    #[must_use]
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.member.leadership.subscribe()
    }

    /// The last entry that the machine has applied.
    #[must_use]
    pub fn applied(&self) -> LogIndex {
        self.cell.applied_index()
    }

    /// The last entry that the machine has applied, and every change of it.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<LogIndex> {
        self.cell.progress()
    }

    /// How long ago this replica's log was given its last command, whether it is committed or not;
    /// or since when there is this replica, if that is later.
    #[must_use]
    pub fn since_appended(&self) -> Duration {
        self.cell.since_appended()
    }

    /// Waits until the machine has applied `index`.
    ///
    /// # Errors
    /// When the group stops before.
    pub async fn wait_applied(&self, index: LogIndex) -> Result<(), ReadError> {
        if self.applied() >= index {
            return Ok(());
        }
        self.member.wait_applied(index).await
    }

    /// The entries' bodies.
    #[must_use]
    pub fn rows(&self) -> Rows {
        Rows::new(self.member.shared.store.clone())
    }

    /// Which group.
    #[must_use]
    pub fn id(&self) -> GroupId {
        self.member.id
    }

    /// How the replica is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.member.status()
    }

    /// Adds `node` as a learner, or, if it is known already, gives it another address.
    ///
    /// # Errors
    /// Says whether it was certainly not done or may have been.
    pub async fn add_learner(&self, node: NodeId, address: &str) -> Result<(), MembershipError> {
        let at = BasicNode { addr: address.to_owned() };
        let known = self.status();
        let mut known = known.voters.iter().chain(&known.learners);
        let change = match known.find(|(id, _)| *id == node) {
            Some((_, known_at)) if known_at == address => return Ok(()),
            Some(_) => ChangeMembers::SetNodes(BTreeMap::from([(node.0, at)])),
            None => ChangeMembers::AddNodes(BTreeMap::from([(node.0, at)])),
        };
        self.change(change, true).await
    }

    /// Makes `voters` the voters. Each must be a learner or a voter already; those who do not
    /// vote go on as learners.
    ///
    /// # Errors
    /// Says whether it was certainly not done or may have been.
    pub async fn change_voters(&self, voters: &[NodeId]) -> Result<(), MembershipError> {
        let voters: BTreeSet<u64> = voters.iter().map(|node| node.0).collect();
        self.change(ChangeMembers::ReplaceAllVoters(voters), true).await
    }

    /// Removes learners.
    ///
    /// # Errors
    /// Says whether it was certainly not done or may have been.
    pub async fn remove_learners(&self, learners: &[NodeId]) -> Result<(), MembershipError> {
        let learners: BTreeSet<u64> = learners.iter().map(|node| node.0).collect();
        self.change(ChangeMembers::RemoveNodes(learners), false).await
    }

    async fn change(
        &self,
        change: ChangeMembers<u64, BasicNode>,
        retain: bool,
    ) -> Result<(), MembershipError> {
        match self.member.raft.change_membership(change, retain).await {
            Ok(_) => Ok(()),
            Err(RaftError::Fatal(_)) if !self.member.life.running() => {
                Err(MembershipError::Stopped)
            }
            Err(RaftError::Fatal(_)) => Err(MembershipError::MaybeDone),
            Err(RaftError::APIError(error)) => Err(membership_error(error)),
        }
    }

    /// Asks `to` to lead. Whether it does shows in [`Group::leadership`]. Without effect where
    /// this node does not lead, or is `to`.
    ///
    /// # Errors
    /// When the group stops.
    pub async fn transfer_leadership(&self, to: NodeId) -> Result<(), ReadError> {
        if to == self.member.node {
            return Ok(());
        }
        let transfer = self.member.raft.trigger().transfer_leader(to.0).await;
        transfer.map_err(|_| ReadError::Stopped)
    }

    /// Takes a snapshot soon, however little there is to cover.
    ///
    /// # Errors
    /// When the group stops.
    pub async fn take_snapshot(&self) -> Result<(), ReadError> {
        self.member.raft.trigger().snapshot().await.map_err(|_| ReadError::Stopped)
    }

    /// Stops this replica in order. What is in flight ends as [`ProposeError::MaybeDone`].
    pub async fn shutdown(&self) {
        self.member.shutdown().await;
    }
}

impl<M: Machine> std::fmt::Debug for Group<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("id", &self.member.id).finish_non_exhaustive()
    }
}

fn membership_error(error: ClientWriteError<Types>) -> MembershipError {
    match error {
        ClientWriteError::ForwardToLeader(forward) => {
            MembershipError::NotLeader { leader: forward.leader_id.map(NodeId) }
        }
        // The second half of a change checks that the first is still the last.
        ClientWriteError::LogEntryDiscarded(_) | ClientWriteError::PreconditionFailed(_) => {
            MembershipError::MaybeDone
        }
        ClientWriteError::ChangeMembershipError(
            ChangeMembershipError::InProgress(_) | ChangeMembershipError::UncommittedLeaderLog(_),
        ) => MembershipError::Busy,
        ClientWriteError::ChangeMembershipError(error) => {
            MembershipError::Refused { text: error.to_string() }
        }
    }
}
