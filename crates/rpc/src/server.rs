//! Answers the other nodes.
//!
//! [`serve`] checks who calls and hands everything on to a [`RaftHandler`]. It ends when it is told
//! to, having given open calls a short while to finish.

mod socket;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};
use warren_types::{GroupId, LogIndex};

use crate::error::Refusal;
use crate::identity::{Addressed, Caller, Identity};
use crate::peers::{
    CONNECTION_WINDOW_BYTES, MESSAGE_LIMIT_BYTES, PING_INTERVAL, PING_LIMIT, STREAM_WINDOW_BYTES,
};
use crate::raft::{
    AppendReply, AppendRequest, Ballot, Flow, SnapshotBegin, SnapshotPart, TransferReply,
    TransferRequest, VoteReply, VoteRequest,
};
use crate::wire::Senseless;
use crate::wire::generated as wire;
use crate::wire::generated::raft_server::{Raft, RaftServer};

/// How long open calls may go on after the server was told to stop.
const DRAIN_LIMIT: Duration = Duration::from_millis(500);

/// What the groups of this node answer to other nodes.
pub trait RaftHandler: Send + Sync + 'static {
    /// Takes entries as they come and answers in the same order. The requests end when the
    /// connection does.
    ///
    /// # Errors
    /// When the group cannot be spoken to.
    fn append(
        &self,
        caller: Caller,
        group: GroupId,
        requests: Flow<AppendRequest>,
    ) -> Result<Flow<Result<AppendReply, Refusal>>, Refusal>;

    /// Takes a sign of life.
    fn beat(
        &self,
        caller: Caller,
        group: GroupId,
        request: AppendRequest,
    ) -> impl Future<Output = Result<AppendReply, Refusal>> + Send;

    /// Votes.
    fn vote(
        &self,
        caller: Caller,
        group: GroupId,
        request: VoteRequest,
    ) -> impl Future<Output = Result<VoteReply, Refusal>> + Send;

    /// Takes a leadership over, or lets another do so.
    fn transfer(
        &self,
        caller: Caller,
        group: GroupId,
        request: TransferRequest,
    ) -> impl Future<Output = Result<TransferReply, Refusal>> + Send;

    /// As the leader, says up to where a linearizable read must have been applied.
    fn read_index(
        &self,
        caller: Caller,
        group: GroupId,
    ) -> impl Future<Output = Result<LogIndex, Refusal>> + Send;

    /// How far the group has applied here.
    fn progress(
        &self,
        caller: Caller,
        group: GroupId,
    ) -> impl Future<Output = Result<LogIndex, Refusal>> + Send;

    /// Takes a snapshot. One whose parts stop before [`SnapshotPart::End`] was cut off.
    fn snapshot(
        &self,
        caller: Caller,
        group: GroupId,
        begin: SnapshotBegin,
        parts: Flow<SnapshotPart>,
    ) -> impl Future<Output = Result<Ballot, Refusal>> + Send;
}

/// The server ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The transport failed.
    #[error("the peer listener failed")]
    Transport(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Answers calls that arrive at `listener` until `stop` is ready.
///
/// # Errors
/// When the listener fails.
pub async fn serve<H: RaftHandler>(
    listener: TcpListener,
    identity: Identity,
    handler: Arc<H>,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let cut = CancellationToken::new();
    let draining = CancellationToken::new();
    let service = RaftServer::new(Service { identity, handler })
        .max_decoding_message_size(MESSAGE_LIMIT_BYTES);
    let serving = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keepalive_interval(Some(PING_INTERVAL))
        .http2_keepalive_timeout(Some(PING_LIMIT))
        .add_service(service)
        .serve_with_incoming_shutdown(
            socket::accept(listener, cut.clone()),
            draining.clone().cancelled_owned(),
        );
    // Streams between replicas never end by themselves, so waiting for them has a limit.
    let _cut_on_drop = cut.clone().drop_guard();
    let stopping = async {
        stop.await;
        draining.cancel();
        tokio::time::sleep(DRAIN_LIMIT).await;
        cut.cancel();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        outcome = serving => outcome.map_err(|error| ServeError::Transport(Box::new(error))),
        () = stopping => Ok(()),
    }
}

#[derive(Debug)]
struct Service<H> {
    identity: Identity,
    handler: Arc<H>,
}

impl<H> Service<H> {
    fn check<T>(&self, request: &Request<T>) -> Result<Addressed, Status> {
        self.identity.check(request.metadata()).map_err(|status| *status)
    }
}

#[tonic::async_trait]
impl<H: RaftHandler> Raft for Service<H> {
    type AppendStream = Flow<Result<wire::AppendReply, Status>>;

    async fn append(
        &self,
        request: Request<Streaming<wire::AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        let Addressed { caller, group } = self.check(&request)?;
        // What cannot be read ends the requests; the sender starts a new stream.
        let requests = request
            .into_inner()
            .map_while(|request| request.ok().and_then(|it| AppendRequest::try_from(it).ok()));
        let replies = self.handler.append(caller, group, Box::pin(requests));
        let replies = replies.map_err(Refusal::into_status)?.map(|reply| match reply {
            Ok(reply) => Ok(reply.into()),
            Err(refusal) => Err(refusal.into_status()),
        });
        Ok(Response::new(Box::pin(replies)))
    }

    async fn beat(
        &self,
        request: Request<wire::AppendRequest>,
    ) -> Result<Response<wire::AppendReply>, Status> {
        let Addressed { caller, group } = self.check(&request)?;
        let request = request.into_inner().try_into().map_err(senseless)?;
        let reply = self.handler.beat(caller, group, request).await;
        reply.map(|reply| Response::new(reply.into())).map_err(Refusal::into_status)
    }

    async fn vote(
        &self,
        request: Request<wire::VoteRequest>,
    ) -> Result<Response<wire::VoteReply>, Status> {
        let Addressed { caller, group } = self.check(&request)?;
        let request = request.into_inner().try_into().map_err(senseless)?;
        let reply = self.handler.vote(caller, group, request).await;
        reply.map(|reply| Response::new(reply.into())).map_err(Refusal::into_status)
    }

    async fn transfer(
        &self,
        request: Request<wire::TransferRequest>,
    ) -> Result<Response<wire::TransferReply>, Status> {
        let Addressed { caller, group } = self.check(&request)?;
        let request = request.into_inner().try_into().map_err(senseless)?;
        let reply = self.handler.transfer(caller, group, request).await;
        reply.map(|reply| Response::new(reply.into())).map_err(Refusal::into_status)
    }

    async fn read_index(
        &self,
        request: Request<wire::ReadIndexRequest>,
    ) -> Result<Response<wire::ReadIndexReply>, Status> {
        let Addressed { caller, group } = self.check(&request)?;
        let index = self.handler.read_index(caller, group).await.map_err(Refusal::into_status)?;
        Ok(Response::new(wire::ReadIndexReply { index: index.0 }))
    }

    async fn progress(
        &self,
        request: Request<wire::ProgressRequest>,
    ) -> Result<Response<wire::ProgressReply>, Status> {
        let Addressed { caller, group } = self.check(&request)?;
        let index = self.handler.progress(caller, group).await.map_err(Refusal::into_status)?;
        Ok(Response::new(wire::ProgressReply { applied: index.0 }))
    }

    async fn snapshot(
        &self,
        request: Request<Streaming<wire::SnapshotPart>>,
    ) -> Result<Response<wire::SnapshotReply>, Status> {
        let Addressed { caller, group } = self.check(&request)?;
        let mut parts = request.into_inner();
        let begin = parts.message().await?.ok_or_else(|| senseless(Senseless("a snapshot")))?;
        let begin = begin.try_into().map_err(senseless)?;
        let parts =
            parts.map_while(|part| part.ok().and_then(|part| SnapshotPart::try_from(part).ok()));
        let ballot = self.handler.snapshot(caller, group, begin, Box::pin(parts)).await;
        let ballot = ballot.map_err(Refusal::into_status)?;
        Ok(Response::new(wire::SnapshotReply { ballot: Some(ballot.into()) }))
    }
}

fn senseless(error: Senseless) -> Status {
    Status::invalid_argument(error.to_string())
}
