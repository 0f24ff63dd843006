//! What answers other nodes' calls in tests: a node's envoy, and nobody who says hello.

use bytes::Bytes;
use warren_rpc::{
    Caller, ClusterHandler, GroupStatus, Hello, HelloReply, Join, JoinReply, Ping, Pong, Refusal,
    Verdict,
};
use warren_types::{GroupId, LogIndex, NodeId};

use super::Envoy;

/// Answers for an envoy.
pub(crate) struct Clerk(pub(crate) Envoy);

impl ClusterHandler for Clerk {
    async fn hello(&self, _: Hello) -> Result<HelloReply, Refusal> {
        Err(Refusal::Unavailable { text: "nobody says hello here".to_owned() })
    }

    async fn join(&self, join: Join) -> Result<JoinReply, Refusal> {
        self.0.join(join).await
    }

    async fn propose(&self, _: Caller, payload: Bytes) -> Result<(LogIndex, Bytes), Refusal> {
        self.0.propose(payload).await
    }

    async fn ping(&self, caller: Caller, ping: Ping) -> Result<Pong, Refusal> {
        Ok(self.0.ping(caller, ping))
    }

    async fn probe(&self, _: Caller, about: NodeId) -> Result<Verdict, Refusal> {
        Ok(self.0.probe(about).await)
    }

    async fn group_status(&self, _: Caller, group: GroupId) -> Result<GroupStatus, Refusal> {
        self.0.group_status(group)
    }
}
