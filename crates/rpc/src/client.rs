//! One replica of a group on another node, to be spoken to.

use std::future::Future;
use std::time::Duration;

use tokio_stream::{Stream, StreamExt};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};
use warren_types::{GroupId, LogIndex, NodeId};

use crate::error::PeerError;
use crate::identity::Stamp;
use crate::peers::{MESSAGE_LIMIT_BYTES, Peers, Purpose};
use crate::raft::{
    AppendReply, AppendRequest, Ballot, Flow, SnapshotBegin, SnapshotPart, TransferReply,
    TransferRequest, VoteReply, VoteRequest,
};
use crate::wire::Senseless;
use crate::wire::generated as wire;
use crate::wire::generated::raft_client::RaftClient;

/// The replica of one group on one other node. Cheap to clone; connects when called.
#[derive(Clone, Debug)]
pub struct RaftPeer {
    peers: Peers,
    node: NodeId,
    group: GroupId,
    stamp: Stamp,
}

impl RaftPeer {
    pub(crate) fn new(peers: Peers, node: NodeId, group: GroupId) -> Self {
        let stamp = Stamp::new(peers.identity(), node, group);
        Self { peers, node, group, stamp }
    }

    /// Which node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
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
        let requests = self.stamped(requests.map(wire::AppendRequest::from));
        let replies = self.within(limit, client.append(requests)).await?;
        let peer = self.clone();
        Ok(Box::pin(replies.map(move |reply| match reply {
            Ok(reply) => reply.try_into().map_err(|error| peer.senseless(error)),
            Err(status) => Err(peer.failed(&status)),
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
        let request = self.stamped(wire::AppendRequest::from(request));
        let reply = self.within(limit, client.beat(request)).await?;
        reply.try_into().map_err(|error| self.senseless(error))
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
        let request = self.stamped(wire::VoteRequest::from(request));
        let reply = self.within(limit, client.vote(request)).await?;
        reply.try_into().map_err(|error| self.senseless(error))
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
        let request = self.stamped(wire::TransferRequest::from(request));
        let reply = self.within(limit, client.transfer(request)).await?;
        reply.try_into().map_err(|error| self.senseless(error))
    }

    /// Asks the leader up to where a linearizable read must have been applied.
    ///
    /// # Errors
    /// When no answer came in time, or the node does not lead.
    pub async fn read_index(&self, limit: Duration) -> Result<LogIndex, PeerError> {
        let mut client = self.client(Purpose::Control)?;
        let request = self.stamped(wire::ReadIndexRequest {});
        let reply = self.within(limit, client.read_index(request)).await?;
        Ok(LogIndex(reply.index))
    }

    /// Asks how far the replica has applied.
    ///
    /// # Errors
    /// When no answer came in time.
    pub async fn progress(&self, limit: Duration) -> Result<LogIndex, PeerError> {
        let mut client = self.client(Purpose::Snapshot)?;
        let request = self.stamped(wire::ProgressRequest {});
        let reply = self.within(limit, client.progress(request)).await?;
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
        let reply = client.snapshot(self.stamped(parts)).await;
        let reply = reply.map_err(|status| self.failed(&status))?.into_inner();
        let ballot = reply.ballot.ok_or(Senseless("a ballot"));
        ballot.map(Into::into).map_err(|error| self.senseless(error))
    }

    fn client(&self, purpose: Purpose) -> Result<RaftClient<Channel>, PeerError> {
        let channel = self.peers.channel(self.node, purpose)?;
        Ok(RaftClient::new(channel).max_decoding_message_size(MESSAGE_LIMIT_BYTES))
    }

    fn stamped<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        self.stamp.put(&mut request);
        request
    }

    async fn within<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, PeerError> {
        match tokio::time::timeout(limit, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(self.failed(&status)),
            Err(_) => Err(PeerError::TimedOut { node: self.node, limit_ms: limit.as_millis() }),
        }
    }

    fn failed(&self, status: &Status) -> PeerError {
        PeerError::from_status(self.node, self.group, status)
    }

    fn senseless(&self, error: Senseless) -> PeerError {
        PeerError::Failed { node: self.node, text: error.to_string() }
    }
}
