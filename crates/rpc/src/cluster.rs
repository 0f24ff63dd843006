//! How nodes find each other, come together, and watch over each other, as plain values.
//!
//! These are the messages of `proto/warren/cluster/v1`.

use warren_types::{BootId, LogIndex, NodeId, Term};

use crate::identity::{ClusterId, Incarnation};

/// Asks who is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Drawn by chance by whoever asks: who hears its own token has asked itself.
    pub token: u128,
    /// Who asks would found a cluster if there is none.
    pub founding: bool,
}

/// The answer to a [`Hello`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HelloReply {
    /// Drawn by chance by whoever answers.
    pub token: u128,
    /// The cluster of whoever answers, if it belongs to one.
    pub cluster: Option<Founded>,
    /// Who answers leaves the founding to who asked.
    pub promised: bool,
}

/// A cluster that exists, and one node of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Founded {
    /// The cluster.
    pub cluster: ClusterId,
    /// How often it was recovered by force.
    pub incarnation: Incarnation,
    /// Who answers.
    pub node: NodeId,
}

/// Asks to become a node of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// Names the attempt: the same token is given the same id again.
    pub token: u128,
    /// The node's name, for people.
    pub name: String,
    /// Where it listens for other nodes (host:port).
    pub address: String,
    /// Where it stands, so that replicas are spread.
    pub zone: String,
}

/// The answer to a [`Join`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinReply {
    /// The cluster.
    pub cluster: ClusterId,
    /// How often it was recovered by force.
    pub incarnation: Incarnation,
    /// The id of the node that asked.
    pub node: NodeId,
    /// How many shards the cluster has.
    pub shards: u32,
    /// Its nodes and where they are.
    pub members: Vec<(NodeId, String)>,
}

/// What a node runs out of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Distress {
    /// Less of the disk is free than should be.
    pub disk: bool,
    /// More memory is used than should be.
    pub memory: bool,
    /// The disk has not done anything for a while.
    pub stalled: bool,
}

/// A sign of life of a whole node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ping {
    /// The sender is about to end in order.
    pub draining: bool,
    /// What the sender runs out of.
    pub distress: Distress,
}

/// The answer to a [`Ping`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pong {
    /// The start of the process that answers.
    pub boot: BootId,
    /// It is about to end in order.
    pub draining: bool,
    /// It serves clients.
    pub serving: bool,
    /// What it runs out of.
    pub distress: Distress,
    /// The cluster has forgotten whoever asked, who will never be one of its nodes again.
    pub forgotten: bool,
}

/// What one node knows of the life of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It answers.
    Alive,
    /// The system says that its process is gone.
    Gone,
    /// Nothing is heard of it.
    Silent,
}

/// How a group looks from one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStatus {
    /// Who leads, as far as it is known.
    pub leader: Option<NodeId>,
    /// The latest term.
    pub term: Term,
    /// Whether the node that answers leads.
    pub here: bool,
    /// Who votes.
    pub voters: Vec<NodeId>,
    /// Who only learns.
    pub learners: Vec<NodeId>,
    /// How far the node that answers has applied.
    pub applied: LogIndex,
}
