//! The messages about the cluster itself, to and from bytes.

use bytes::Bytes;
use warren_types::{BootId, LogIndex, NodeId, Term};

use super::Senseless;
use super::generated::cluster as wire;
use crate::cluster::{
    Distress, Founded, GroupStatus, Hello, HelloReply, Join, JoinReply, Ping, Pong, Verdict,
};
use crate::identity::{ClusterId, Incarnation};

impl From<Hello> for wire::HelloRequest {
    fn from(hello: Hello) -> Self {
        Self { token: wide(hello.token), founding: hello.founding }
    }
}

impl TryFrom<wire::HelloRequest> for Hello {
    type Error = Senseless;

    fn try_from(hello: wire::HelloRequest) -> Result<Self, Senseless> {
        Ok(Self { token: number(&hello.token, "a token")?, founding: hello.founding })
    }
}

impl From<HelloReply> for wire::HelloReply {
    fn from(reply: HelloReply) -> Self {
        let founded = |founded: Founded| wire::Founded {
            cluster: wide(founded.cluster.0),
            incarnation: founded.incarnation.0,
            node: founded.node.0,
        };
        Self {
            token: wide(reply.token),
            cluster: reply.cluster.map(founded),
            promised: reply.promised,
        }
    }
}

impl TryFrom<wire::HelloReply> for HelloReply {
    type Error = Senseless;

    fn try_from(reply: wire::HelloReply) -> Result<Self, Senseless> {
        let founded = |founded: wire::Founded| {
            Ok(Founded {
                cluster: cluster(&founded.cluster)?,
                incarnation: Incarnation(founded.incarnation),
                node: node(founded.node)?,
            })
        };
        Ok(Self {
            token: number(&reply.token, "a token")?,
            cluster: reply.cluster.map(founded).transpose()?,
            promised: reply.promised,
        })
    }
}

impl From<Join> for wire::JoinRequest {
    fn from(join: Join) -> Self {
        let Join { token, name, address, zone } = join;
        Self { token: wide(token), name, address, zone }
    }
}

impl TryFrom<wire::JoinRequest> for Join {
    type Error = Senseless;

    fn try_from(join: wire::JoinRequest) -> Result<Self, Senseless> {
        let wire::JoinRequest { token, name, address, zone } = join;
        Ok(Self { token: number(&token, "a token")?, name, address, zone })
    }
}

impl From<JoinReply> for wire::JoinReply {
    fn from(reply: JoinReply) -> Self {
        let member = |(node, address): (NodeId, String)| wire::Member { node: node.0, address };
        Self {
            cluster: wide(reply.cluster.0),
            incarnation: reply.incarnation.0,
            node: reply.node.0,
            shards: reply.shards,
            members: reply.members.into_iter().map(member).collect(),
        }
    }
}

impl TryFrom<wire::JoinReply> for JoinReply {
    type Error = Senseless;

    fn try_from(reply: wire::JoinReply) -> Result<Self, Senseless> {
        let member = |member: wire::Member| Ok((node(member.node)?, member.address));
        let members: Result<_, Senseless> = reply.members.into_iter().map(member).collect();
        Ok(Self {
            cluster: cluster(&reply.cluster)?,
            incarnation: Incarnation(reply.incarnation),
            node: node(reply.node)?,
            shards: reply.shards,
            members: members?,
        })
    }
}

impl From<Ping> for wire::PingRequest {
    fn from(ping: Ping) -> Self {
        Self { draining: ping.draining, distress: Some(ping.distress.into()) }
    }
}

impl From<wire::PingRequest> for Ping {
    fn from(ping: wire::PingRequest) -> Self {
        Self { draining: ping.draining, distress: ping.distress.into() }
    }
}

impl From<Distress> for wire::Distress {
    fn from(distress: Distress) -> Self {
        let Distress { disk, memory, stalled } = distress;
        Self { disk, memory, stalled }
    }
}

impl From<Option<wire::Distress>> for Distress {
    /// A node that does not know of it says nothing.
    fn from(distress: Option<wire::Distress>) -> Self {
        let wire::Distress { disk, memory, stalled } = distress.unwrap_or_default();
        Self { disk, memory, stalled }
    }
}

impl From<Pong> for wire::PingReply {
    fn from(pong: Pong) -> Self {
        let Pong { boot, draining, serving, distress, forgotten } = pong;
        Self { boot: boot.0, draining, serving, distress: Some(distress.into()), forgotten }
    }
}

impl From<wire::PingReply> for Pong {
    fn from(reply: wire::PingReply) -> Self {
        let wire::PingReply { boot, draining, serving, distress, forgotten } = reply;
        Self { boot: BootId(boot), draining, serving, distress: distress.into(), forgotten }
    }
}

impl From<Verdict> for wire::ProbeReply {
    fn from(verdict: Verdict) -> Self {
        let verdict = match verdict {
            Verdict::Alive => wire::Verdict::Alive,
            Verdict::Gone => wire::Verdict::Gone,
            Verdict::Silent => wire::Verdict::Silent,
        };
        Self { verdict: verdict.into() }
    }
}

impl TryFrom<wire::ProbeReply> for Verdict {
    type Error = Senseless;

    fn try_from(reply: wire::ProbeReply) -> Result<Self, Senseless> {
        match reply.verdict() {
            wire::Verdict::Unspecified => Err(Senseless("a verdict")),
            wire::Verdict::Alive => Ok(Self::Alive),
            wire::Verdict::Gone => Ok(Self::Gone),
            wire::Verdict::Silent => Ok(Self::Silent),
        }
    }
}

impl From<GroupStatus> for wire::GroupStatusReply {
    fn from(status: GroupStatus) -> Self {
        let numbers = |nodes: Vec<NodeId>| nodes.into_iter().map(|node| node.0).collect();
        Self {
            leader: status.leader.map(|leader| leader.0),
            term: status.term.0,
            here: status.here,
            voters: numbers(status.voters),
            learners: numbers(status.learners),
            applied: status.applied.0,
        }
    }
}

impl From<wire::GroupStatusReply> for GroupStatus {
    fn from(reply: wire::GroupStatusReply) -> Self {
        let nodes = |numbers: Vec<u64>| numbers.into_iter().map(NodeId).collect();
        Self {
            leader: reply.leader.map(NodeId),
            term: Term(reply.term),
            here: reply.here,
            voters: nodes(reply.voters),
            learners: nodes(reply.learners),
            applied: LogIndex(reply.applied),
        }
    }
}

fn wide(number: u128) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

fn number(bytes: &[u8], what: &'static str) -> Result<u128, Senseless> {
    bytes.try_into().map(u128::from_be_bytes).map_err(|_| Senseless(what))
}

fn cluster(bytes: &[u8]) -> Result<ClusterId, Senseless> {
    number(bytes, "a cluster").map(ClusterId)
}

/// Node ids count from 1.
fn node(number: u64) -> Result<NodeId, Senseless> {
    if number == 0 { Err(Senseless("a node")) } else { Ok(NodeId(number)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lacks_something_is_refused() {
        let short = Bytes::from_static(b"fifteen bytes..");
        let hello = wire::HelloRequest { token: short.clone(), founding: false };
        assert_eq!(Hello::try_from(hello), Err(Senseless("a token")));
        let founded = Some(wire::Founded { cluster: wide(1), incarnation: 0, node: 0 });
        let reply = wire::HelloReply { token: wide(1), cluster: founded, promised: false };
        assert_eq!(HelloReply::try_from(reply), Err(Senseless("a node")));
        let reply = wire::JoinReply { cluster: short, ..Default::default() };
        assert_eq!(JoinReply::try_from(reply), Err(Senseless("a cluster")));
        let reply = wire::ProbeReply { verdict: 77 };
        assert_eq!(Verdict::try_from(reply), Err(Senseless("a verdict")));
    }
}
