//! Rows about the cluster itself: nodes, shards, the cluster's identity.

use warren_types::{BootId, GroupId, NodeId};

use crate::Name;

/// The cluster's identity, drawn when it is founded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u128);

/// One node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its id, never used again.
    pub id: NodeId,
    /// Drawn by the node when its data directory was made: asking twice gives the same id.
    pub token: u128,
    /// What people call it, such as `warren@host`.
    pub name: Name,
    /// Where its peers reach it.
    pub address: Name,
    /// Its failure zone, empty if unknown.
    pub zone: Name,
    /// Its latest start, 0 before the first.
    pub boot: BootId,
    /// The highest machine version it speaks.
    pub speaks: u16,
    /// Whether that start is believed to be running.
    pub running: bool,
    /// Whether it is being emptied.
    pub draining: bool,
}

/// One shard and its replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Its group.
    pub group: GroupId,
    /// The nodes that should hold a replica, in order of preference for the leader.
    pub replicas: Vec<NodeId>,
}
