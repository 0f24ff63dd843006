//! One row of the directory of queues.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use warren_types::{BootId, GroupId, NodeId, QueueId, Table, Timestamp};

use crate::{Name, Settings};

/// The argument that names a queue's kind.
pub(crate) const QUEUE_TYPE: &str = "x-queue-type";

/// What a queue was declared as. Every durable queue is replicated, whatever its kind; the kind
/// is remembered, reported and compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QueueKind {
    /// `classic`
    #[default]
    Classic,
    /// `quorum`
    Quorum,
    /// `stream`
    Stream,
}

impl QueueKind {
    /// The kind that `x-queue-type` names.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "classic" => Some(Self::Classic),
            "quorum" => Some(Self::Quorum),
            "stream" => Some(Self::Stream),
            _ => None,
        }
    }

    /// The word that `x-queue-type` uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Quorum => "quorum",
            Self::Stream => "stream",
        }
    }

    /// The word that RabbitMQ's error texts use.
    #[must_use]
    pub fn long_name(self) -> &'static str {
        match self {
            Self::Classic => "rabbit_classic_queue",
            Self::Quorum => "rabbit_quorum_queue",
            Self::Stream => "rabbit_stream_queue",
        }
    }
}

impl fmt::Display for QueueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A client's connection, as the owner of exclusive queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// The node that holds the connection.
    pub node: NodeId,
    /// That node's start.
    pub boot: BootId,
    /// The connection's number on that node.
    pub connection: u64,
}

/// Where a queue's messages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Placement {
    /// Replicated, in a shard.
    Shard(GroupId),
    /// In the memory of one node, until that node's next start.
    Local {
        /// The node.
        node: NodeId,
        /// The start that holds it.
        boot: BootId,
        /// Which of the node's local shards.
        slot: u16,
    },
}

/// A declared queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Queue {
    /// The incarnation: `log index << 16 | ordinal in the batch` of the declaration.
    pub id: QueueId,
    /// Where it lives.
    pub vhost: Name,
    /// Its name.
    pub name: Name,
    /// What it was declared as.
    pub kind: QueueKind,
    /// Survives restarts.
    pub durable: bool,
    /// Goes when its last consumer does.
    pub auto_delete: bool,
    /// The only connection that may touch it. Few queues have one, so that it has no room in the row.
    pub exclusive: Option<Box<Owner>>,
    /// As declared, with `x-queue-type` filled in where the virtual host's default decided.
    pub arguments: Arc<Table>,
    /// Where its messages are.
    pub placement: Placement,
    /// When it was declared.
    pub created: Timestamp,
    /// The rest of the row, which it reads as.
    pub common: Arc<Common>,
}

/// What rows of queues agree on as a rule: those that do share it.
#[derive(Clone, Debug, PartialEq)]
pub struct Common {
    /// Who declared the queue.
    pub user: Name,
    /// The policy in effect.
    pub policy: Option<Name>,
    /// The operator policy in effect.
    pub operator_policy: Option<Name>,
    /// What arguments and policies together come to.
    pub settings: Arc<Settings>,
}

impl Deref for Queue {
    type Target = Common;

    fn deref(&self) -> &Common {
        &self.common
    }
}

impl Common {
    /// What a queue of this user has before policies are looked at.
    pub(crate) fn of(user: Name) -> Arc<Self> {
        let settings = Arc::new(Settings::default());
        Arc::new(Self { user, policy: None, operator_policy: None, settings })
    }
}

impl Queue {
    /// The only connection that may touch it.
    #[must_use]
    pub fn owner(&self) -> Option<Owner> {
        self.exclusive.as_deref().copied()
    }

    /// What routing hands out.
    #[must_use]
    pub fn target(&self) -> Target {
        Target { queue: self.id, placement: self.placement }
    }

    /// The settings, to be changed in this row only.
    pub(crate) fn settings_mut(&mut self) -> &mut Settings {
        Arc::make_mut(&mut Arc::make_mut(&mut self.common).settings)
    }

    /// Whether `connection` may touch the queue: nobody else's exclusive queue.
    #[must_use]
    pub fn is_open_to(&self, connection: Option<Owner>) -> bool {
        self.exclusive.is_none() || self.owner() == connection
    }
}

/// A queue that a message was routed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The queue's incarnation; [`crate::Catalog::queue_by_id`] gives the row.
    pub queue: QueueId,
    /// Where its messages are.
    pub placement: Placement,
}
