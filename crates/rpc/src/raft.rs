//! What the replicas of a group say to each other, as plain values.
//!
//! These are the messages of `proto/warren/raft/v1`, with the ids of `types` in them.

use bytes::Bytes;
use warren_types::{LogIndex, NodeId, Term};

/// A vote; a leadership, when a majority has granted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ballot {
    /// The election.
    pub term: Term,
    /// Whose vote it is.
    pub node: NodeId,
    /// Whether a majority has granted it.
    pub committed: bool,
}

/// Names one entry among all that ever stood in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryId {
    /// The term of the leader who wrote it.
    pub term: Term,
    /// The leader who wrote it.
    pub leader: NodeId,
    /// Its place.
    pub index: LogIndex,
}

/// What an entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// Written by a new leader to find out what is committed.
    Blank,
    /// For the machine.
    Command,
    /// Who votes and who learns.
    Membership,
}

/// An entry of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub id: EntryId,
    /// What it is for.
    pub kind: EntryKind,
    /// What it says.
    pub payload: Bytes,
}

/// Entries from the leader, or, without entries, a sign of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendRequest {
    /// The leadership.
    pub ballot: Ballot,
    /// The entry before the first of these.
    pub previous: Option<EntryId>,
    /// The last entry known to be committed.
    pub commit: Option<EntryId>,
    /// The entries, without gaps.
    pub entries: Vec<Entry>,
}

/// The answer to an [`AppendRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendReply {
    /// The logs agree up to here, and it is on the follower's disk.
    Matched(Option<EntryId>),
    /// The follower does not have the entry before the first.
    Conflict(EntryId),
    /// The follower follows someone else.
    Higher(Ballot),
}

/// Asks for a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoteRequest {
    /// The vote.
    pub ballot: Ballot,
    /// The candidate's last entry.
    pub last: Option<EntryId>,
    /// The leader itself asked for this election: its lease does not count.
    pub transfer: bool,
    /// Only asked, nothing is promised.
    pub trial: bool,
}

/// The answer to a [`VoteRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VoteReply {
    /// The vote that the voter holds after the request.
    pub ballot: Ballot,
    /// Whether the voter gave its vote.
    pub granted: bool,
    /// The voter's last entry.
    pub last: Option<EntryId>,
}

/// The leader gives its leadership away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferRequest {
    /// The leadership that ends.
    pub from: Ballot,
    /// Who is to lead.
    pub to: NodeId,
    /// The last entry of the leader, which the next one must have.
    pub last: Option<EntryId>,
}

/// The answer to a [`TransferRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferReply {
    /// The election begins.
    Accepted,
    /// The receiver holds another vote.
    Changed(Ballot),
    /// The receiver lacks entries; this is its last.
    Behind(Option<EntryId>),
}

/// How a snapshot starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotBegin {
    /// The leadership.
    pub ballot: Ballot,
    /// What it covers, in the stored format.
    pub meta: Bytes,
}

/// One piece of a snapshot after its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotPart {
    /// Rows of the log that the state refers to.
    Rows(Vec<Entry>),
    /// A page of the state.
    Page(Bytes),
    /// Everything was sent.
    End {
        /// How many rows there were.
        rows: u64,
        /// How many pages there were.
        pages: u64,
    },
}
