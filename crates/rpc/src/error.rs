//! What goes wrong between two nodes, sorted by what the caller must do.

use std::error::Error;
use std::io::{self, ErrorKind};

use tonic::{Code, Status};
use warren_types::{GroupId, NodeId};

/// A call to another node brought no answer. What was asked may nevertheless have happened, unless
/// the variant says that it has not.
///
/// Where only the address of the other end is known, its node is given as 0.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PeerError {
    /// No address is known for the node, or it cannot be parsed.
    #[error("no usable address for node {node}")]
    NoAddress {
        /// Whom was called.
        node: NodeId,
    },
    /// Nothing listens there, or the other end closed the connection: the process is gone.
    #[error("the process of node {node} is gone: {text}")]
    Gone {
        /// Whom was called.
        node: NodeId,
        /// What the system said.
        text: String,
    },
    /// No connection, or it was given up because nothing came over it.
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
    /// The other end is not ready for such calls: it starts or stops. Nothing has happened.
    #[error("node {node} is not ready: {text}")]
    Unavailable {
        /// Whom was called.
        node: NodeId,
        /// What it said.
        text: String,
    },
    /// What was asked about is not at the other end.
    #[error("what was asked about is not on node {node}")]
    NotHere {
        /// Whom was called.
        node: NodeId,
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
    /// What `status` says about a call to `node`, about a group if it was about one.
    pub(crate) fn from_status(node: NodeId, about: Option<GroupId>, status: &Status) -> Self {
        let text = status.message().to_owned();
        match (status.code(), about) {
            (Code::PermissionDenied, _) => Self::Stranger { node, text },
            (Code::NotFound, Some(group)) => Self::UnknownGroup { node, group },
            (Code::NotFound, None) => Self::NotHere { node },
            (Code::FailedPrecondition, Some(group)) => Self::NotLeader { node, group },
            // What the other end says has no cause at this end.
            (Code::Unavailable, _) if status.source().is_none() => Self::Unavailable { node, text },
            (
                Code::FailedPrecondition
                | Code::InvalidArgument
                | Code::Internal
                | Code::DataLoss
                | Code::Aborted
                | Code::OutOfRange
                | Code::Unimplemented,
                _,
            ) => Self::Failed { node, text },
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
    /// What is asked about is not here.
    #[error("what was asked about is not here")]
    NotHere,
    /// This node is not ready for it: it starts or stops. Nothing was done.
    #[error("not ready: {text}")]
    Unavailable {
        /// What is missing.
        text: String,
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
            Self::UnknownGroup { .. } | Self::NotHere => Status::not_found(text),
            Self::Unavailable { text } => Status::unavailable(text),
            Self::NotLeader { .. } => Status::failed_precondition(text),
            Self::Senseless { .. } => Status::invalid_argument(text),
            Self::Failed { .. } => Status::aborted(text),
        }
    }
}

/// Whether the system said that nobody listens, or that the other end closed the connection.
fn is_gone(status: &Status) -> bool {
    let kind = causes(status).find_map(|error| {
        // HTTP/2 does not name its cause as others do.
        let within = error.downcast_ref::<h2::Error>().and_then(h2::Error::get_io);
        within.or_else(|| error.downcast_ref::<io::Error>()).map(io::Error::kind)
    });
    // A broken pipe is what the transport says when it gave a silent connection up itself.
    kind.is_some_and(|kind| {
        matches!(kind, ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset)
    })
}

fn chain(status: &Status) -> String {
    let mut text = status.message().to_owned();
    for cause in causes(status) {
        text.push_str(": ");
        text.push_str(&cause.to_string());
    }
    text
}

fn causes(status: &Status) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(status.source(), |cause: &&(dyn Error + 'static)| (*cause).source())
}
