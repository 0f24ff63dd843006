//! What the nodes say of themselves.

use std::collections::BTreeSet;
use std::time::Duration;

/// All that was read of the nodes in a run.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    /// In the order in which they were taken.
    pub taken: Vec<Reading>,
}

/// What one node said at one time.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The time, on the clock of the history.
    pub at: Duration,
    /// The phase of the run in which it was taken.
    pub phase: String,
    /// The node's name.
    pub node: String,
    /// Which life of the process, from 0.
    pub life: u32,
    /// Its replicas.
    pub groups: Vec<Group>,
    /// Who belongs to each group, as its leader told this node.
    pub members: Vec<Members>,
    /// Its durable queues, by vhost and name.
    pub queues: Vec<Counts>,
    /// Bytes that its data directory takes.
    pub disk_bytes: u64,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Open files.
    pub files: u64,
    /// Threads.
    pub threads: u64,
}

/// One replica of a group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Group {
    /// The group's name.
    pub name: String,
    /// Its term.
    pub term: u64,
    /// Whether this node leads it.
    pub leads: bool,
    /// The last entry that it knows to be committed.
    pub committed: u64,
    /// The last entry that it applied.
    pub applied: u64,
    /// The last entry in its log.
    pub last: u64,
    /// The last entry that its snapshot holds.
    pub snapshot: u64,
    /// An entry that was applied a moment later, and the hash of the state that it left.
    pub digest: Option<(u64, u64)>,
}

/// Who belongs to a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// The group's number.
    pub group: u64,
    /// Who is to have a replica, in order of their names.
    pub wanted: Vec<String>,
    /// Who votes.
    pub voters: Vec<String>,
    /// Who does not vote yet.
    pub learners: Vec<String>,
    /// Whether all nodes are wanted, of which some may stay without a vote.
    pub is_everywhere: bool,
}

impl Members {
    /// Whether nobody is on his way in or out.
    pub fn is_settled(&self) -> bool {
        let all: BTreeSet<&String> = self.voters.iter().chain(&self.learners).collect();
        let wanted: BTreeSet<&String> = self.wanted.iter().collect();
        all == wanted && (self.is_everywhere || self.learners.is_empty())
    }
}

/// Numbers of one queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Vhost.
    pub vhost: String,
    /// Name.
    pub queue: String,
    /// Messages that wait.
    pub ready: u64,
    /// Messages that somebody holds.
    pub unacknowledged: u64,
    /// Consumers.
    pub consumers: u64,
}
