//! Answers for this node as a whole.

use std::future::Future;

use bytes::Bytes;
use tonic::{Request, Response, Status};
use warren_types::{GroupId, LogIndex, NodeId};

use super::{Service, senseless};
use crate::cluster::{GroupStatus, Hello, HelloReply, Join, JoinReply, Ping, Pong, Verdict};
use crate::error::Refusal;
use crate::identity::{self, Caller};
use crate::wire::generated::cluster as wire;
use crate::wire::generated::cluster::cluster_server::Cluster;

/// What a node answers as a whole.
///
/// A future is dropped when its caller gives up; what must be finished once it is begun belongs
/// into a task.
pub trait ClusterHandler: Send + Sync + 'static {
    /// Says who is here. Anybody may ask, and this node may belong to no cluster.
    fn hello(&self, request: Hello) -> impl Future<Output = Result<HelloReply, Refusal>> + Send;

    /// Lets a node into the cluster. Anybody may ask, and this node may belong to no cluster.
    fn join(&self, request: Join) -> impl Future<Output = Result<JoinReply, Refusal>> + Send;

    /// As the leader of the catalog, has a command committed, and gives its place in the log and
    /// the encoded reply.
    fn propose(
        &self,
        caller: Caller,
        payload: Bytes,
    ) -> impl Future<Output = Result<(LogIndex, Bytes), Refusal>> + Send;

    /// Takes and gives a sign of life.
    fn ping(
        &self,
        caller: Caller,
        ping: Ping,
    ) -> impl Future<Output = Result<Pong, Refusal>> + Send;

    /// Says whether this node sees the node `about`.
    fn probe(
        &self,
        caller: Caller,
        about: NodeId,
    ) -> impl Future<Output = Result<Verdict, Refusal>> + Send;

    /// Says how a group looks from here.
    fn group_status(
        &self,
        caller: Caller,
        group: GroupId,
    ) -> impl Future<Output = Result<GroupStatus, Refusal>> + Send;
}

#[tonic::async_trait]
impl<R, F, C> Cluster for Service<R, F, C>
where
    R: Send + Sync + 'static,
    F: Send + Sync + 'static,
    C: ClusterHandler,
{
    async fn hello(
        &self,
        request: Request<wire::HelloRequest>,
    ) -> Result<Response<wire::HelloReply>, Status> {
        let hello = request.into_inner().try_into().map_err(senseless)?;
        let reply = self.cluster()?.hello(hello).await;
        reply.map(|reply| Response::new(reply.into())).map_err(Refusal::into_status)
    }

    async fn join(
        &self,
        request: Request<wire::JoinRequest>,
    ) -> Result<Response<wire::JoinReply>, Status> {
        let join = request.into_inner().try_into().map_err(senseless)?;
        let reply = self.cluster()?.join(join).await;
        reply.map(|reply| Response::new(reply.into())).map_err(Refusal::into_status)
    }

    async fn propose(
        &self,
        request: Request<wire::ProposeRequest>,
    ) -> Result<Response<wire::ProposeReply>, Status> {
        let caller = self.check(&request)?;
        let outcome = self.cluster()?.propose(caller, request.into_inner().payload).await;
        let (index, reply) = outcome.map_err(Refusal::into_status)?;
        Ok(Response::new(wire::ProposeReply { index: index.0, reply }))
    }

    async fn ping(
        &self,
        request: Request<wire::PingRequest>,
    ) -> Result<Response<wire::PingReply>, Status> {
        let caller = self.check(&request)?;
        let pong = self.cluster()?.ping(caller, request.into_inner().into()).await;
        pong.map(|pong| Response::new(pong.into())).map_err(Refusal::into_status)
    }

    async fn probe(
        &self,
        request: Request<wire::ProbeRequest>,
    ) -> Result<Response<wire::ProbeReply>, Status> {
        let caller = self.check(&request)?;
        let about = NodeId(request.into_inner().about);
        let verdict = self.cluster()?.probe(caller, about).await;
        verdict.map(|verdict| Response::new(verdict.into())).map_err(Refusal::into_status)
    }

    async fn group_status(
        &self,
        request: Request<wire::GroupStatusRequest>,
    ) -> Result<Response<wire::GroupStatusReply>, Status> {
        let caller = self.check(&request)?;
        let group = identity::group(request.metadata()).map_err(|status| *status)?;
        let status = self.cluster()?.group_status(caller, group).await;
        status.map(|status| Response::new(status.into())).map_err(Refusal::into_status)
    }
}
