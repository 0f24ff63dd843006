//! What the proposer of a command hears, and what the world must do.

use std::sync::Arc;

use warren_types::{GroupId, NodeId};

use crate::{Exchange, Name, Queue, Refusal, RemovalReason};

/// The answers to a batch, one per command. A batch that makes no sense has one answer.
pub type Reply = Vec<Result<Outcome, Refusal>>;

/// An accepted command.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It made something.
    Created,
    /// It changed something.
    Updated,
    /// Everything was as it asked already.
    Unchanged,
    /// It removed something.
    Removed,
    /// What it should remove does not exist, which is fine.
    Missing,
    /// The node's id.
    Node(NodeId),
    /// The queue was made.
    QueueCreated(Arc<Queue>),
    /// An equal queue exists.
    QueueExists(Arc<Queue>),
    /// These queues were removed.
    QueuesRemoved(Vec<Arc<Queue>>),
    /// The exchange was made.
    ExchangeCreated(Arc<Exchange>),
    /// An equal exchange exists.
    ExchangeExists(Arc<Exchange>),
}

/// What the world must do after an entry. All of these are harmless when repeated.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// A queue was declared: have its placement make it, if it has not yet.
    QueueCreated(Arc<Queue>),
    /// A queue's settings changed: tell its placement.
    QueueChanged(Arc<Queue>),
    /// A queue was removed: have its placement remove it and cancel its consumers.
    QueueRemoved {
        /// The row as it last was.
        queue: Arc<Queue>,
        /// Why.
        reason: RemovalReason,
    },
    /// An exchange was removed.
    ExchangeRemoved(Arc<Exchange>),
    /// A virtual host was removed: close its connections.
    VhostRemoved(Name),
    /// A user was removed: close the user's connections.
    UserRemoved(Name),
    /// A shard's replicas are to be others.
    ShardChanged(GroupId),
    /// What is known about a node changed: its address, its start, whether it runs or is emptied.
    NodeChanged(NodeId),
    /// A node is gone for good: take it out of every group.
    NodeForgotten(NodeId),
    /// Another leader may have left things undone: compare each shard's queues to the rows of
    /// [`crate::Catalog::queues_of_group`]; remove what has no row, make what is missing.
    Reconcile,
}
