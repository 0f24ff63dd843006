//! How a group is, for those who decide or display.

use warren_types::{LogIndex, NodeId, Term};

/// Who leads, as far as this node knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The leader, if one is known.
    pub leader: Option<NodeId>,
    /// The term.
    pub term: Term,
    /// Whether it is this node.
    pub here: bool,
}

/// How a replica is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Who leads.
    pub leadership: Leadership,
    /// The last entry in the log.
    pub last: LogIndex,
    /// The last entry known to be committed.
    pub committed: LogIndex,
    /// The last entry applied.
    pub applied: LogIndex,
    /// The last entry covered by a snapshot.
    pub snapshot: LogIndex,
    /// The last entry purged from the log.
    pub purged: LogIndex,
    /// Who votes, ascending. During a change, everyone who votes in the old or in the new set.
    pub voters: Vec<(NodeId, String)>,
    /// Who only learns, ascending.
    pub learners: Vec<(NodeId, String)>,
    /// Whether a change of the voters is half done.
    pub changing: bool,
    /// Whether the members are certain: the voters are one set, and what says so is committed.
    /// Until then a majority of an earlier set may be asked for as well.
    pub settled: bool,
    /// On the leader: up to where each other replica is known to have the log.
    pub matched: Vec<(NodeId, LogIndex)>,
    /// On the leader: how long ago a majority last confirmed it.
    pub confirmed_ms_ago: Option<u64>,
}
