//! Answers for the groups of this node.

use std::future::Future;

use tokio_stream::StreamExt;
use tonic::{Request, Response, Status, Streaming};
use warren_types::{GroupId, LogIndex};

use super::{Service, senseless};
use crate::error::Refusal;
use crate::flow::Flow;
use crate::identity::{self, Caller};
use crate::raft::{
    AppendReply, AppendRequest, Ballot, SnapshotBegin, SnapshotPart, TransferReply,
    TransferRequest, VoteReply, VoteRequest,
};
use crate::wire::Senseless;
use crate::wire::generated::raft as wire;
use crate::wire::generated::raft::raft_server::Raft;

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

#[tonic::async_trait]
impl<R, F, C> Raft for Service<R, F, C>
where
    R: RaftHandler,
    F: Send + Sync + 'static,
    C: Send + Sync + 'static,
{
    type AppendStream = Flow<Result<wire::AppendReply, Status>>;

    async fn append(
        &self,
        request: Request<Streaming<wire::AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        let (caller, group, handler) = self.addressed(&request)?;
        // What cannot be read ends the requests; the sender starts a new stream.
        let requests = request
            .into_inner()
            .map_while(|request| request.ok().and_then(|it| AppendRequest::try_from(it).ok()));
        let replies = handler.append(caller, group, Box::pin(requests));
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
        let (caller, group, handler) = self.addressed(&request)?;
        let request = request.into_inner().try_into().map_err(senseless)?;
        let reply = handler.beat(caller, group, request).await;
        reply.map(|reply| Response::new(reply.into())).map_err(Refusal::into_status)
    }

    async fn vote(
        &self,
        request: Request<wire::VoteRequest>,
    ) -> Result<Response<wire::VoteReply>, Status> {
        let (caller, group, handler) = self.addressed(&request)?;
        let request = request.into_inner().try_into().map_err(senseless)?;
        let reply = handler.vote(caller, group, request).await;
        reply.map(|reply| Response::new(reply.into())).map_err(Refusal::into_status)
    }

    async fn transfer(
        &self,
        request: Request<wire::TransferRequest>,
    ) -> Result<Response<wire::TransferReply>, Status> {
        let (caller, group, handler) = self.addressed(&request)?;
        let request = request.into_inner().try_into().map_err(senseless)?;
        let reply = handler.transfer(caller, group, request).await;
        reply.map(|reply| Response::new(reply.into())).map_err(Refusal::into_status)
    }

    async fn read_index(
        &self,
        request: Request<wire::ReadIndexRequest>,
    ) -> Result<Response<wire::ReadIndexReply>, Status> {
        let (caller, group, handler) = self.addressed(&request)?;
        let index = handler.read_index(caller, group).await.map_err(Refusal::into_status)?;
        Ok(Response::new(wire::ReadIndexReply { index: index.0 }))
    }

    async fn progress(
        &self,
        request: Request<wire::ProgressRequest>,
    ) -> Result<Response<wire::ProgressReply>, Status> {
        let (caller, group, handler) = self.addressed(&request)?;
        let index = handler.progress(caller, group).await.map_err(Refusal::into_status)?;
        Ok(Response::new(wire::ProgressReply { applied: index.0 }))
    }

    async fn snapshot(
        &self,
        request: Request<Streaming<wire::SnapshotPart>>,
    ) -> Result<Response<wire::SnapshotReply>, Status> {
        let (caller, group, handler) = self.addressed(&request)?;
        let mut parts = request.into_inner();
        let begin = parts.message().await?.ok_or_else(|| senseless(Senseless("a snapshot")))?;
        let begin = begin.try_into().map_err(senseless)?;
        let parts =
            parts.map_while(|part| part.ok().and_then(|part| SnapshotPart::try_from(part).ok()));
        let ballot = handler.snapshot(caller, group, begin, Box::pin(parts)).await;
        let ballot = ballot.map_err(Refusal::into_status)?;
        Ok(Response::new(wire::SnapshotReply { ballot: Some(ballot.into()) }))
    }
}

impl<R, F, C> Service<R, F, C> {
    /// Who calls, about which group, and who answers.
    fn addressed<T>(&self, request: &Request<T>) -> Result<(Caller, GroupId, &R), Status> {
        let caller = self.check(request)?;
        let group = identity::group(request.metadata()).map_err(|status| *status)?;
        Ok((caller, group, self.raft()?))
    }
}
