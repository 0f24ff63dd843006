//! What can go wrong with a group, sorted by what the caller must do.

use warren_machine::RestoreError;
use warren_storage::StorageError;
use warren_types::{GroupId, NodeId};

/// A group does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It runs already.
    #[error("group {group} runs already")]
    Running {
        /// The group.
        group: GroupId,
    },
    /// The times in the configuration do not fit together.
    #[error("the configuration is not usable: {text}")]
    Config {
        /// What does not fit.
        text: String,
    },
    /// What is stored cannot be read.
    #[error("group {group} cannot be read")]
    Storage {
        /// The group.
        group: GroupId,
        /// What the storage said.
        #[source]
        source: StorageError,
    },
    /// What is stored makes no sense to consensus or to the machine.
    #[error("group {group} cannot be restored: {text}")]
    Restore {
        /// The group.
        group: GroupId,
        /// What does not fit.
        text: String,
    },
}

/// A group was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BootstrapError {
    /// This node is not among the voters.
    #[error("this node is not among the voters")]
    NotAmongVoters,
    /// The group stops.
    #[error("the group stops")]
    Stopped,
}

/// What became of an entry that was handed in, if it did not bring a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Certainly not done: this node does not lead, or must not accept entries at the moment.
    #[error("not done: this node does not lead{}", to(*.leader))]
    NotLeader {
        /// Who does, if known.
        leader: Option<NodeId>,
    },
    /// Unknown: leadership was lost, or the group stopped, before the outcome was known.
    #[error("perhaps done: leadership was lost before the outcome was known")]
    MaybeDone,
    /// Certainly not done: the group stops.
    #[error("not done: the group stops")]
    Stopped,
    /// Certainly not done: the entry is larger than the configuration allows.
    #[error("not done: {bytes} bytes are more than the {limit_bytes} that an entry may have")]
    TooLarge {
        /// The entry's size.
        bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
}

/// A read cannot be guaranteed to see everything. A retry may work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Nobody is known to lead, or the leader cannot confirm that it still does.
    #[error("the group has no leader that a majority confirms")]
    NoLeader,
    /// The leader did not answer.
    #[error("the leader, node {leader}, did not answer: {text}")]
    Unanswered {
        /// Who was asked.
        leader: NodeId,
        /// What happened.
        text: String,
    },
    /// The group stops.
    #[error("the group stops")]
    Stopped,
}

/// A change of the membership did not happen, or is not known to have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MembershipError {
    /// Certainly not done: this node does not lead.
    #[error("not done: this node does not lead{}", to(*.leader))]
    NotLeader {
        /// Who does, if known.
        leader: Option<NodeId>,
    },
    /// Certainly not done: the change before is not finished.
    #[error("not done: another change is under way")]
    Busy,
    /// Certainly not done: the change makes no sense.
    #[error("not done: {text}")]
    Refused {
        /// What about it.
        text: String,
    },
    /// Unknown: leadership was lost, or the group stopped, meanwhile. Asking again is harmless.
    #[error("perhaps done: leadership was lost before the outcome was known")]
    MaybeDone,
    /// Certainly not done: the group stops.
    #[error("not done: the group stops")]
    Stopped,
}

/// What a replica cannot recover from.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("storage")]
    Storage(#[from] StorageError),
    #[error("snapshot")]
    Restore(#[from] RestoreError),
    #[error("stored bytes")]
    Decode(#[from] warren_types::DecodeError),
    #[error("{0}")]
    Other(&'static str),
}

impl From<Broken> for std::io::Error {
    fn from(error: Broken) -> Self {
        Self::other(error)
    }
}

fn to(leader: Option<NodeId>) -> String {
    leader.map(|leader| format!(", node {leader} does")).unwrap_or_default()
}
