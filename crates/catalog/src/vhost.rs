//! One row of the directory of virtual hosts.

use warren_types::Timestamp;

use crate::{Name, QueueKind};

/// What an operator may change about a virtual host at any time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VhostMeta {
    /// For people.
    pub description: Name,
    /// For people and tools.
    pub tags: Vec<Name>,
    /// The type of queues that are declared without one; none means classic.
    pub default_queue_type: Option<QueueKind>,
    /// Whether messages are copied to `amq.rabbitmq.trace`.
    pub tracing: bool,
    /// Whether deleting it is refused.
    pub protected_from_deletion: bool,
}

/// Limits of a virtual host; none means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VhostLimits {
    /// `max-connections`
    pub max_connections: Option<u64>,
    /// `max-queues`
    pub max_queues: Option<u64>,
}

/// Names one of [`VhostLimits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VhostLimit {
    /// `max-connections`
    MaxConnections,
    /// `max-queues`
    MaxQueues,
}

impl VhostLimit {
    /// The limit that the HTTP API calls `text`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "max-connections" => Some(Self::MaxConnections),
            "max-queues" => Some(Self::MaxQueues),
            _ => None,
        }
    }

    /// What the HTTP API calls it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MaxConnections => "max-connections",
            Self::MaxQueues => "max-queues",
        }
    }
}

/// A virtual host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vhost {
    /// Its name.
    pub name: Name,
    /// What may be changed.
    pub meta: VhostMeta,
    /// Its limits.
    pub limits: VhostLimits,
    /// When it was made.
    pub created: Timestamp,
}
