//! Who this node is, and who answers what.
//!
//! A node listens before it knows who it is, and its parts start one after the other: each takes
//! its place at the desk when it is ready. Calls for a place that is empty are refused with
//! [`PeerError::Unavailable`](crate::PeerError::Unavailable).

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use warren_types::{GroupId, LogIndex, NodeId};

use super::{ClusterHandler, FrontendHandler, RaftHandler};
use crate::cluster::{GroupStatus, Hello, HelloReply, Join, JoinReply, Ping, Pong, Verdict};
use crate::error::Refusal;
use crate::flow::Flow;
use crate::frontend::{Followed, FrontItem, HostItem, Place};
use crate::identity::{Caller, Identity};
use crate::raft::{
    AppendReply, AppendRequest, Ballot, SnapshotBegin, SnapshotPart, TransferReply,
    TransferRequest, VoteReply, VoteRequest,
};

/// Who this node is and who answers what, as far as it is known. [`Nobody`] stands for a handler
/// that will never come.
#[derive(Debug)]
pub struct Desk<R, F, C> {
    identity: OnceLock<Identity>,
    raft: OnceLock<Arc<R>>,
    frontend: OnceLock<Arc<F>>,
    cluster: OnceLock<Arc<C>>,
}

impl<R, F, C> Desk<R, F, C> {
    /// A desk where nobody sits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Who this node is. Hello and join are answered before.
    ///
    /// # Panics
    /// When it is called a second time.
    pub fn set_identity(&self, identity: Identity) {
        self.identity.set(identity).expect("a node is given one identity");
    }

    /// Who answers for the groups.
    ///
    /// # Panics
    /// When it is called a second time.
    pub fn set_raft(&self, handler: Arc<R>) {
        assert!(self.raft.set(handler).is_ok(), "the groups have one handler");
    }

    /// Who answers other nodes' fronts.
    ///
    /// # Panics
    /// When it is called a second time.
    pub fn set_frontend(&self, handler: Arc<F>) {
        assert!(self.frontend.set(handler).is_ok(), "fronts have one handler");
    }

    /// Who answers for the node as a whole.
    ///
    /// # Panics
    /// When it is called a second time.
    pub fn set_cluster(&self, handler: Arc<C>) {
        assert!(self.cluster.set(handler).is_ok(), "the node has one handler");
    }

    /// Who this node is, once that is known.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        self.identity.get().copied()
    }

    pub(super) fn raft(&self) -> Option<&R> {
        self.raft.get().map(Arc::as_ref)
    }

    pub(super) fn frontend(&self) -> Option<&F> {
        self.frontend.get().map(Arc::as_ref)
    }

    pub(super) fn cluster(&self) -> Option<&C> {
        self.cluster.get().map(Arc::as_ref)
    }
}

impl<R, F, C> Default for Desk<R, F, C> {
    fn default() -> Self {
        Self {
            identity: OnceLock::new(),
            raft: OnceLock::new(),
            frontend: OnceLock::new(),
            cluster: OnceLock::new(),
        }
    }
}

/// A handler that there is none of: its place at a [`Desk`] stays empty.
#[derive(Clone, Copy, Debug)]
pub enum Nobody {}

impl RaftHandler for Nobody {
    fn append(
        &self,
        _: Caller,
        _: GroupId,
        _: Flow<AppendRequest>,
    ) -> Result<Flow<Result<AppendReply, Refusal>>, Refusal> {
        match *self {}
    }

    async fn beat(&self, _: Caller, _: GroupId, _: AppendRequest) -> Result<AppendReply, Refusal> {
        match *self {}
    }

    async fn vote(&self, _: Caller, _: GroupId, _: VoteRequest) -> Result<VoteReply, Refusal> {
        match *self {}
    }

    async fn transfer(
        &self,
        _: Caller,
        _: GroupId,
        _: TransferRequest,
    ) -> Result<TransferReply, Refusal> {
        match *self {}
    }

    async fn read_index(&self, _: Caller, _: GroupId) -> Result<LogIndex, Refusal> {
        match *self {}
    }

    async fn progress(&self, _: Caller, _: GroupId) -> Result<LogIndex, Refusal> {
        match *self {}
    }

    async fn snapshot(
        &self,
        _: Caller,
        _: GroupId,
        _: SnapshotBegin,
        _: Flow<SnapshotPart>,
    ) -> Result<Ballot, Refusal> {
        match *self {}
    }
}

impl FrontendHandler for Nobody {
    fn converse(&self, _: Caller, _: Flow<Vec<FrontItem>>) -> Flow<Vec<HostItem>> {
        match *self {}
    }

    async fn rows(
        &self,
        _: Caller,
        _: Place,
        _: Vec<(LogIndex, Vec<u32>)>,
    ) -> Result<Vec<(LogIndex, Bytes)>, Refusal> {
        match *self {}
    }

    async fn follow(&self, _: Caller, _: Place, _: Bytes) -> Result<Followed, Refusal> {
        match *self {}
    }

    async fn listens(&self, _: Caller, _: u64) -> Result<bool, Refusal> {
        match *self {}
    }

    async fn survey(&self, _: Caller, _: Bytes) -> Result<Bytes, Refusal> {
        match *self {}
    }
}

impl ClusterHandler for Nobody {
    async fn hello(&self, _: Hello) -> Result<HelloReply, Refusal> {
        match *self {}
    }

    async fn join(&self, _: Join) -> Result<JoinReply, Refusal> {
        match *self {}
    }

    async fn propose(&self, _: Caller, _: Bytes) -> Result<(LogIndex, Bytes), Refusal> {
        match *self {}
    }

    async fn ping(&self, _: Caller, _: Ping) -> Result<Pong, Refusal> {
        match *self {}
    }

    async fn probe(&self, _: Caller, _: NodeId) -> Result<Verdict, Refusal> {
        match *self {}
    }

    async fn group_status(&self, _: Caller, _: GroupId) -> Result<GroupStatus, Refusal> {
        match *self {}
    }
}
