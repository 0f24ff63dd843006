//! Policies: settings for all queues and exchanges whose names match.

pub(crate) mod definition;

use std::sync::Arc;

pub use definition::{Definition, DefinitionError};

use crate::{Exchange, Name, Pattern, Queue, QueueKind};

/// The two layers of policies. Of each, at most one is in effect on an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyLayer {
    /// Made by those who run applications.
    User,
    /// Made by those who run the broker; mostly tightens the other.
    Operator,
}

/// What a policy is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ApplyTo {
    /// `all`
    #[default]
    All,
    /// `exchanges`
    Exchanges,
    /// `queues`
    Queues,
    /// `classic_queues`
    ClassicQueues,
    /// `quorum_queues`
    QuorumQueues,
    /// `streams`
    Streams,
}

impl ApplyTo {
    /// The scope that `apply-to` names.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "all" => Some(Self::All),
            "exchanges" => Some(Self::Exchanges),
            "queues" => Some(Self::Queues),
            "classic_queues" => Some(Self::ClassicQueues),
            "quorum_queues" => Some(Self::QuorumQueues),
            "streams" => Some(Self::Streams),
            _ => None,
        }
    }

    /// The word that `apply-to` uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Exchanges => "exchanges",
            Self::Queues => "queues",
            Self::ClassicQueues => "classic_queues",
            Self::QuorumQueues => "quorum_queues",
            Self::Streams => "streams",
        }
    }

    /// Whether exchanges are meant.
    #[must_use]
    pub fn covers_exchanges(self) -> bool {
        matches!(self, Self::All | Self::Exchanges)
    }

    /// Whether queues of `kind` are meant.
    #[must_use]
    pub fn covers_queues(self, kind: QueueKind) -> bool {
        match self {
            Self::All | Self::Queues => true,
            Self::Exchanges => false,
            Self::ClassicQueues => kind == QueueKind::Classic,
            Self::QuorumQueues => kind == QueueKind::Quorum,
            Self::Streams => kind == QueueKind::Stream,
        }
    }
}

/// A policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Where it applies.
    pub vhost: Name,
    /// Its name.
    pub name: Name,
    /// Which names it is for.
    pub pattern: Pattern,
    /// Which kinds of things it is for.
    pub apply_to: ApplyTo,
    /// The highest wins; of equals, the first by name.
    pub priority: i64,
    /// What it sets.
    pub definition: Arc<Definition>,
}

impl Policy {
    /// Whether it is for this queue: by kind, by what it sets and by name.
    #[must_use]
    pub fn covers_queue(&self, queue: &Queue) -> bool {
        self.covers(queue.kind, &queue.name)
    }

    /// Whether it is for queues of that kind and name.
    pub(crate) fn covers(&self, kind: QueueKind, queue: &str) -> bool {
        self.apply_to.covers_queues(kind)
            && self.definition.is_applicable_to(kind)
            && self.pattern.matches(queue)
    }

    /// Whether it is for this exchange.
    #[must_use]
    pub fn covers_exchange(&self, exchange: &Exchange) -> bool {
        self.apply_to.covers_exchanges() && self.pattern.matches(&exchange.name)
    }
}
