//! What goes wrong between two nodes, sorted by what the caller must do.

use std::error::Error;
use std::io::ErrorKind;

use tonic::{Code, Status};
use warren_types::{GroupId, NodeId};

/// A call to another node brought no answer. What was asked may nevertheless have happened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PeerError {
    /// No address is known for the node, or it cannot be parsed.
    #[error("no usable address for node {node}")]
    NoAddress {
        /// Whom was called.
        node: NodeId,
    },
    /// Nothing listens there: the process is gone.
    #[error("the process of node {node} is gone: {text}")]
    Gone {
        /// Whom was called.
        node: NodeId,
        /// What the system said.
        text: String,
    },
    /// No connection, or it broke.
    #[error("node {node} is unreachable: {text}")]
    Unreachable {
        /// Whom was called.
        node: NodeId,
        /// What the system said.
        text: String,
    },
    /// No answer within the time given.
    #[error("node {node} did not answer within {limit_ms} ms")]
    TimedOut {
        /// Whom was called.
        node: NodeId,
        /// The time given.
        limit_ms: u128,
    },
    /// The other end does not know us: another cluster, incarnation, or node.
    #[error("node {node} refused us: {text}")]
    Stranger {
        /// Whom was called.
        node: NodeId,
        /// What it said.
        text: String,
    },
    /// The other end does not run the group.
    #[error("node {node} does not run group {group}")]
    UnknownGroup {
        /// Whom was called.
        node: NodeId,
        /// The group.
        group: GroupId,
    },
    /// The other end does not lead the group.
    #[error("node {node} does not lead group {group}")]
    NotLeader {
        /// Whom was called.
        node: NodeId,
        /// The group.
        group: GroupId,
    },
    /// The other end failed, or said something without meaning.
    #[error("node {node} failed: {text}")]
    Failed {
        /// Whom was called.
        node: NodeId,
        /// What it said.
        text: String,
    },
}

impl PeerError {
    pub(crate) fn from_status(node: NodeId, group: GroupId, status: &Status) -> Self {
        let text = status.message().to_owned();
        match status.code() {
            Code::PermissionDenied => Self::Stranger { node, text },
            Code::NotFound => Self::UnknownGroup { node, group },
            Code::FailedPrecondition => Self::NotLeader { node, group },
            Code::InvalidArgument | Code::Internal | Code::DataLoss => Self::Failed { node, text },
            _ if is_gone(status) => Self::Gone { node, text: chain(status) },
            _ => Self::Unreachable { node, text: chain(status) },
        }
    }
}

/// Why a node answers with no.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    /// The group does not run here.
    #[error("group {group} does not run here")]
    UnknownGroup {
        /// The group asked for.
        group: GroupId,
    },
    /// The group is led by someone else, or by nobody.
    #[error("group {group} is not led from here")]
    NotLeader {
        /// The group asked for.
        group: GroupId,
    },
    /// The message makes no sense.
    #[error("the message makes no sense: {text}")]
    Senseless {
        /// What about it.
        text: String,
    },
    /// The group stops, or something broke here.
    #[error("failed: {text}")]
    Failed {
        /// What.
        text: String,
    },
}

impl Refusal {
    pub(crate) fn into_status(self) -> Status {
        let text = self.to_string();
        match self {
            Self::UnknownGroup { .. } => Status::not_found(text),
            Self::NotLeader { .. } => Status::failed_precondition(text),
            Self::Senseless { .. } => Status::invalid_argument(text),
            Self::Failed { .. } => Status::unavailable(text),
        }
    }
}

/// Whether the system said that nobody listens, or that the process closed the connection.
fn is_gone(status: &Status) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = status.source();
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return matches!(
                io.kind(),
                ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
            );
        }
        cause = error.source();
    }
    false
}

fn chain(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut cause = status.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
