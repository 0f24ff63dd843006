//! What is kept, as callers see it.

use std::fmt;

use bytes::Bytes;
use warren_types::{LogIndex, NodeId, Term};

use crate::StorageError;

/// Hears once how a write ended: `Ok` after the sync, an error when it is unknown whether it
/// happened, or known that it did not.
///
/// Runs on the writer thread, and the next batch waits for it: hand the outcome on and return.
/// It may ask the store for more writes; these never block there.
pub type Completion = Box<dyn FnOnce(Result<(), StorageError>) + Send>;

/// One row of a group's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its place in the log.
    pub index: LogIndex,
    /// The term in which it was proposed.
    pub term: Term,
    /// Who led then.
    pub leader: NodeId,
    /// What the payload is.
    pub kind: RowKind,
    /// The entry's bytes. Kept in memory as they are while the row is recent, so a slice of a
    /// much larger buffer keeps that buffer alive: copy it first.
    pub payload: Bytes,
}

impl Row {
    /// The row's name.
    #[must_use]
    pub fn id(&self) -> LogId {
        LogId { index: self.index, term: self.term, leader: self.leader }
    }
}

/// What a row's payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowKind {
    /// Nothing; a leader's first row.
    Blank,
    /// A command for the group's machine.
    Command,
    /// The group's membership.
    Membership,
}

/// A row's place together with who proposed it when: two rows with the same name are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogId {
    /// The place in the log.
    pub index: LogIndex,
    /// The term in which it was proposed.
    pub term: Term,
    /// Who led then.
    pub leader: NodeId,
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (term {}, leader {})", self.index, self.term, self.leader)
    }
}

/// How far a group's log reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// The log was purged up to and including this row.
    pub floor: Option<LogId>,
    /// The last row of the log; the floor, if there is no row above it.
    pub last: Option<LogId>,
}

/// A machine's state at one place in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Whatever tells which state it is.
    pub meta: Bytes,
    /// The state, in pages of bounded size.
    pub pages: Vec<Bytes>,
}
