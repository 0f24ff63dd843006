//! One replica of a group on another node, to be spoken to.

use std::time::Duration;

use tokio_stream::{Stream, StreamExt};
use tonic::transport::Channel;
use warren_types::{GroupId, LogIndex, NodeId};

use super::Call;
use crate::error::PeerError;
use crate::flow::Flow;
use crate::peers::{MESSAGE_LIMIT_BYTES, Peers, Purpose};
use crate::raft::{
    AppendReply, AppendRequest, Ballot, SnapshotBegin, SnapshotPart, TransferReply,
    TransferRequest, VoteReply, VoteRequest,
};
use crate::wire::Senseless;
use crate::wire::generated::raft as wire;
use crate::wire::generated::raft::raft_client::RaftClient;

/// The replica of one group on one other node. Cheap to clone; connects when called.
#[derive(Clone, Debug)]
pub struct RaftPeer {
    peers: Peers,
    call: Call,
}

impl RaftPeer {
    pub(crate) fn new(peers: Peers, node: NodeId, group: GroupId) -> Self {
        let call = Call::within_cluster(&peers, node, Some(group));
        Self { peers, call }
    }

    /// Which node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.call.node
    }

    /// Sends entries as they come and gives the answers in the same order.
    ///
    /// `limit` bounds the setup; the stream itself lasts until `requests` end or it breaks. A dead
    /// connection is found by pings.
    ///
    /// # Errors
    /// When the stream cannot be set up.
    pub async fn append(
        &self,
        requests: impl Stream<Item = AppendRequest> + Send + 'static,
        limit: Duration,
    ) -> Result<Flow<Result<AppendReply, PeerError>>, PeerError> {
        let mut client = self.client(Purpose::Entries)?;
        let requests = self.call.stamped(requests.map(wire::AppendRequest::from));
        let replies = self.call.within(limit, client.append(requests)).await?;
        let call = self.call.clone();
        Ok(Box::pin(replies.map(move |reply| match reply {
            Ok(reply) => reply.try_into().map_err(|error| call.senseless(error)),
            Err(status) => Err(call.failed(&status)),
        })))
    }

    /// Sends a sign of life.
    ///
    /// # Errors
    /// When no answer came in time.
    pub async fn beat(
        &self,
        request: AppendRequest,
        limit: Duration,
    ) -> Result<AppendReply, PeerError> {
        let mut client = self.client(Purpose::Control)?;
        let request = self.call.stamped(wire::AppendRequest::from(request));
        let reply = self.call.within(limit, client.beat(request)).await?;
        reply.try_into().map_err(|error| self.call.senseless(error))
    }

    /// Asks for a vote.
    ///
    /// # Errors
    /// When no answer came in time.
    pub async fn vote(
        &self,
        request: VoteRequest,
        limit: Duration,
    ) -> Result<VoteReply, PeerError> {
        let mut client = self.client(Purpose::Control)?;
        let request = self.call.stamped(wire::VoteRequest::from(request));
        let reply = self.call.within(limit, client.vote(request)).await?;
        reply.try_into().map_err(|error| self.call.senseless(error))
    }

    /// Says who is to lead.
    ///
    /// # Errors
    /// When no answer came in time.
    pub async fn transfer(
        &self,
        request: TransferRequest,
        limit: Duration,
    ) -> Result<TransferReply, PeerError> {
        let mut client = self.client(Purpose::Control)?;
        let request = self.call.stamped(wire::TransferRequest::from(request));
        let reply = self.call.within(limit, client.transfer(request)).await?;
        reply.try_into().map_err(|error| self.call.senseless(error))
    }

    /// Asks the leader up to where a linearizable read must have been applied.
    ///
    /// # Errors
    /// When no answer came in time, or the node does not lead.
    pub async fn read_index(&self, limit: Duration) -> Result<LogIndex, PeerError> {
        let mut client = self.client(Purpose::Control)?;
        let request = self.call.stamped(wire::ReadIndexRequest {});
        let reply = self.call.within(limit, client.read_index(request)).await?;
        Ok(LogIndex(reply.index))
    }

    /// Asks how far the replica has applied.
    ///
    /// # Errors
    /// When no answer came in time.
    pub async fn progress(&self, limit: Duration) -> Result<LogIndex, PeerError> {
        let mut client = self.client(Purpose::Snapshot)?;
        let request = self.call.stamped(wire::ProgressRequest {});
        let reply = self.call.within(limit, client.progress(request)).await?;
        Ok(LogIndex(reply.applied))
    }

    /// Sends a snapshot and gives the vote that the receiver holds afterwards.
    ///
    /// It takes as long as it takes; dropping the future cuts it off, and the receiver throws it
    /// away.
    ///
    /// # Errors
    /// When it could not be sent, or the receiver could not use it.
    pub async fn snapshot(
        &self,
        begin: SnapshotBegin,
        parts: impl Stream<Item = SnapshotPart> + Send + 'static,
    ) -> Result<Ballot, PeerError> {
        let mut client = self.client(Purpose::Snapshot)?;
        let begin = tokio_stream::once(wire::SnapshotPart::from(begin));
        let parts = begin.chain(parts.map(wire::SnapshotPart::from));
        let reply = client.snapshot(self.call.stamped(parts)).await;
        let reply = reply.map_err(|status| self.call.failed(&status))?.into_inner();
        let ballot = reply.ballot.ok_or(Senseless("a ballot"));
        ballot.map(Into::into).map_err(|error| self.call.senseless(error))
    }

    fn client(&self, purpose: Purpose) -> Result<RaftClient<Channel>, PeerError> {
        let channel = self.peers.channel(self.call.node, purpose)?;
        Ok(RaftClient::new(channel).max_decoding_message_size(MESSAGE_LIMIT_BYTES))
    }
}
