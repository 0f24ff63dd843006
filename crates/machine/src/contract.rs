//! What a replicated machine can be asked.

use bytes::Bytes;
use warren_types::{DecodeError, LogIndex, Term};

/// A committed entry.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its place in the log; entries come in ascending order, with gaps where Raft wrote its own.
    pub index: LogIndex,
    /// The term in which it was proposed.
    pub term: Term,
    /// What was proposed.
    pub payload: Bytes,
}

/// What one entry brought about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied<R, E> {
    /// The answer to whoever proposed the entry.
    pub reply: R,
    /// What the world must do; carried out on the leader alone. May be repeated after a change
    /// of leader, so each must be harmless the second time.
    pub effects: Vec<E>,
}

/// A row of the log of which little is still needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SparseRow {
    /// The row.
    pub index: LogIndex,
    /// The byte offsets in it that are still referred to, ascending.
    pub live_offsets: Vec<u32>,
}

/// A snapshot's bytes are damaged or of a version that this machine does not speak.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The bytes make no sense.
    #[error("snapshot page {page} is damaged")]
    Damaged {
        /// Which page, from 0.
        page: usize,
        /// What is wrong with it.
        #[source]
        source: DecodeError,
    },
    /// Written by a version that is not spoken here.
    #[error("snapshot version {version} is not spoken here")]
    Version {
        /// The version found.
        version: u16,
    },
    /// The pages do not fit together.
    #[error("snapshot is inconsistent: {what}")]
    Inconsistent {
        /// What does not fit.
        what: String,
    },
}

/// A fingerprint of a machine's state. Equal states have equal digests on every node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest(pub u64);

/// A state that committed entries drive.
pub trait Machine: Send + Sync + 'static {
    /// The answer to one entry.
    type Reply: Send + 'static;
    /// What the world must do after an entry.
    type Effect: Send + 'static;

    /// Applies one committed entry. Total: bytes that make no sense are refused in the reply.
    fn apply(&mut self, entry: &Entry) -> Applied<Self::Reply, Self::Effect>;

    /// What a new leader owes the outside: effects that the old one may not have carried out.
    fn take_over(&mut self) -> Vec<Self::Effect>;

    /// The whole state, in pages of bounded size.
    fn snapshot(&self) -> Vec<Bytes>;

    /// The state that [`Machine::snapshot`] wrote.
    ///
    /// # Errors
    /// When the pages are damaged, of an unknown version, or do not fit together.
    fn restore(pages: &[Bytes]) -> Result<Self, RestoreError>
    where
        Self: Sized;

    /// The state's fingerprint.
    fn digest(&self) -> Digest;

    /// The log rows up to and including `floor` whose bodies are still needed, ascending.
    /// Rows that are not named may be removed from the disk once a snapshot covers them.
    fn live_rows(&self, floor: LogIndex) -> Vec<LogIndex>;

    /// The first `limit` rows behind `after`, up to and including `floor`, of which less than a
    /// quarter is needed; ascending. A row that was thinned out is named again.
    fn sparse_rows(&self, after: LogIndex, floor: LogIndex, limit: usize) -> Vec<SparseRow>;

    /// `row` reduced to what stands at `live_offsets`, so that it is found under the same offsets.
    fn thin(row: &Bytes, live_offsets: &[u32]) -> Bytes
    where
        Self: Sized;
}
