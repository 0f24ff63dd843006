//! Names, and how error texts speak of what bears them.

use std::fmt;
use std::sync::Arc;

/// A name, shared by all who mention it.
pub type Name = Arc<str>;

/// The prefix that clients may not choose for what they create.
pub const RESERVED_PREFIX: &str = "amq.";

/// The two sorts of things that clients declare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceKind {
    /// An exchange.
    Exchange,
    /// A queue.
    Queue,
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exchange => "exchange",
            Self::Queue => "queue",
        })
    }
}

/// An exchange or a queue by its full name; displays as RabbitMQ's error texts have it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// What it is.
    pub kind: ResourceKind,
    /// Where it is.
    pub vhost: Name,
    /// What it is called.
    pub name: Name,
}

impl Resource {
    /// A queue.
    #[must_use]
    pub fn queue(vhost: &Name, name: &Name) -> Self {
        Self { kind: ResourceKind::Queue, vhost: vhost.clone(), name: name.clone() }
    }

    /// An exchange.
    #[must_use]
    pub fn exchange(vhost: &Name, name: &Name) -> Self {
        Self { kind: ResourceKind::Exchange, vhost: vhost.clone(), name: name.clone() }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, vhost, name } = self;
        write!(f, "{kind} '{name}' in vhost '{vhost}'")
    }
}
