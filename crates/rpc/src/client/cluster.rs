//! What a node asks of another about the cluster.

use std::time::Duration;

use bytes::Bytes;
use tonic::transport::Channel;
use warren_types::{GroupId, LogIndex, NodeId};

use super::Call;
use crate::cluster::{GroupStatus, Hello, HelloReply, Join, JoinReply, Ping, Pong, Verdict};
use crate::error::PeerError;
use crate::peers::{MESSAGE_LIMIT_BYTES, Peers, Purpose};
use crate::wire::generated::cluster as wire;
use crate::wire::generated::cluster::cluster_client::ClusterClient;

impl Peers {
    /// Asks whoever listens at `address` (host:port) who it is. Neither end needs an identity.
    ///
    /// # Errors
    /// When no answer came in time.
    pub async fn hello(
        &self,
        address: &str,
        request: Hello,
        limit: Duration,
    ) -> Result<HelloReply, PeerError> {
        let call = Call::to_anyone();
        let mut client = cluster(self.anyone(address)?);
        let request = call.stamped(wire::HelloRequest::from(request));
        let reply = call.within(limit, client.hello(request)).await?;
        reply.try_into().map_err(|error| call.senseless(error))
    }

    /// Asks whoever listens at `address` (host:port) to be let into its cluster. Needs no identity.
    ///
    /// # Errors
    /// When no answer came in time. The node may be in the cluster nevertheless.
    pub async fn join(
        &self,
        address: &str,
        request: Join,
        limit: Duration,
    ) -> Result<JoinReply, PeerError> {
        let call = Call::to_anyone();
        let mut client = cluster(self.anyone(address)?);
        let request = call.stamped(wire::JoinRequest::from(request));
        let reply = call.within(limit, client.join(request)).await?;
        reply.try_into().map_err(|error| call.senseless(error))
    }

    /// Has a command committed by the catalog, which `node` leads, and gives its place in the log
    /// and the encoded reply.
    ///
    /// # Errors
    /// When no answer came in time, or the node does not lead the catalog. Only after
    /// [`PeerError::NotLeader`], [`PeerError::UnknownGroup`], [`PeerError::Unavailable`],
    /// [`PeerError::Stranger`] and [`PeerError::NoAddress`] it is certain that nothing happened.
    pub async fn propose(
        &self,
        node: NodeId,
        payload: Bytes,
        limit: Duration,
    ) -> Result<(LogIndex, Bytes), PeerError> {
        let mut call = Call::within_cluster(self, node, None);
        call.about = Some(GroupId::CATALOG);
        let mut client = self.cluster(node)?;
        let request = call.stamped(wire::ProposeRequest { payload });
        let reply = call.within(limit, client.propose(request)).await?;
        Ok((LogIndex(reply.index), reply.reply))
    }

    /// Gives `node` a sign of life and asks for one.
    ///
    /// # Errors
    /// When no answer came in time.
    pub async fn ping(&self, node: NodeId, ping: Ping, limit: Duration) -> Result<Pong, PeerError> {
        let call = Call::within_cluster(self, node, None);
        let mut client = self.cluster(node)?;
        let request = call.stamped(wire::PingRequest::from(ping));
        Ok(call.within(limit, client.ping(request)).await?.into())
    }

    /// Asks `node` whether it sees the node `about`.
    ///
    /// # Errors
    /// When no answer came in time.
    pub async fn probe(
        &self,
        node: NodeId,
        about: NodeId,
        limit: Duration,
    ) -> Result<Verdict, PeerError> {
        let call = Call::within_cluster(self, node, None);
        let mut client = self.cluster(node)?;
        let request = call.stamped(wire::ProbeRequest { about: about.0 });
        let reply = call.within(limit, client.probe(request)).await?;
        reply.try_into().map_err(|error| call.senseless(error))
    }

    /// Asks `node` how `group` looks from there.
    ///
    /// # Errors
    /// When no answer came in time, or the node does not run the group.
    pub async fn group_status(
        &self,
        node: NodeId,
        group: GroupId,
        limit: Duration,
    ) -> Result<GroupStatus, PeerError> {
        let call = Call::within_cluster(self, node, Some(group));
        let mut client = self.cluster(node)?;
        let request = call.stamped(wire::GroupStatusRequest {});
        Ok(call.within(limit, client.group_status(request)).await?.into())
    }

    fn cluster(&self, node: NodeId) -> Result<ClusterClient<Channel>, PeerError> {
        Ok(cluster(self.channel(node, Purpose::Control)?))
    }
}

fn cluster(channel: Channel) -> ClusterClient<Channel> {
    ClusterClient::new(channel).max_decoding_message_size(MESSAGE_LIMIT_BYTES)
}
