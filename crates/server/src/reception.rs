//! Answers other nodes for this node as a whole.
//!
//! Hello is answered from the first moment on; everything else once there is somebody to ask, which
//! is when the node belongs to a cluster.

use std::sync::OnceLock;

use bytes::Bytes;
use warren_broker::Envoy;
use warren_rpc::{
    Caller, ClusterHandler, GroupStatus, Hello, HelloReply, Join, JoinReply, Ping, Pong, Refusal,
    Verdict,
};
use warren_types::{GroupId, LogIndex, NodeId};

use crate::formation::talk::Candidate;

/// Where other nodes turn to this one.
#[derive(Debug)]
pub struct Reception {
    candidate: Candidate,
    envoy: OnceLock<Envoy>,
}

impl Reception {
    /// Answers for `candidate`.
    #[must_use]
    pub fn new(candidate: Candidate) -> Self {
        Self { candidate, envoy: OnceLock::new() }
    }

    /// From here on, `envoy` answers.
    pub fn set_envoy(&self, envoy: Envoy) {
        // There is one catalog in the life of a process, and one who starts it.
        let _first = self.envoy.set(envoy);
    }

    fn envoy(&self) -> Result<&Envoy, Refusal> {
        let absent = || Refusal::Unavailable { text: "this node is starting".to_owned() };
        self.envoy.get().ok_or_else(absent)
    }
}

impl ClusterHandler for Reception {
    async fn hello(&self, request: Hello) -> Result<HelloReply, Refusal> {
        Ok(self.candidate.answer(&request))
    }

    async fn join(&self, request: Join) -> Result<JoinReply, Refusal> {
        self.envoy()?.join(request).await
    }

    async fn propose(&self, _: Caller, payload: Bytes) -> Result<(LogIndex, Bytes), Refusal> {
        self.envoy()?.propose(payload).await
    }

    async fn ping(&self, caller: Caller, ping: Ping) -> Result<Pong, Refusal> {
        Ok(self.envoy()?.ping(caller, ping))
    }

    async fn probe(&self, _: Caller, about: NodeId) -> Result<Verdict, Refusal> {
        Ok(self.envoy()?.probe(about).await)
    }

    async fn group_status(&self, _: Caller, group: GroupId) -> Result<GroupStatus, Refusal> {
        self.envoy()?.group_status(group)
    }
}
