//! One row of the directory of exchanges, and the ways to route.

pub(crate) mod consistent_hash;
mod delayed;
pub(crate) mod direct;
pub(crate) mod fanout;
mod hash;
pub(crate) mod headers;
pub(crate) mod pool;
pub mod recent_history;
pub(crate) mod targets;
pub(crate) mod topic;

use std::fmt;

use warren_types::{Table, Timestamp};

use crate::Name;

/// The default exchange's name in AMQP.
pub const DEFAULT_EXCHANGE: &str = "";

/// The default exchange's name in permissions and HTTP paths.
pub const DEFAULT_EXCHANGE_ALIAS: &str = "amq.default";

/// How an exchange chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExchangeKind {
    /// By equal routing key.
    Direct,
    /// All.
    Fanout,
    /// By patterns of words.
    Topic,
    /// By header values.
    Headers,
    /// To one of all, by a hash of what the declaration names, as often as each binding says.
    ConsistentHash,
    /// To any one.
    Random,
    /// To one of all, by a hash of the routing key.
    ModulusHash,
    /// As the kind in its arguments does.
    Delayed,
    /// All, and the last messages to whoever is bound.
    RecentHistory,
}

impl ExchangeKind {
    /// The kind that a declaration names.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "direct" => Some(Self::Direct),
            "fanout" => Some(Self::Fanout),
            "topic" => Some(Self::Topic),
            "headers" => Some(Self::Headers),
            "x-consistent-hash" => Some(Self::ConsistentHash),
            "x-random" => Some(Self::Random),
            "x-modulus-hash" => Some(Self::ModulusHash),
            "x-delayed-message" => Some(Self::Delayed),
            "x-recent-history" => Some(Self::RecentHistory),
            _ => None,
        }
    }

    /// What is wrong with a declaration's arguments, in RabbitMQ's words.
    pub(crate) fn check_arguments(self, arguments: &Table) -> Result<(), String> {
        match self {
            Self::ConsistentHash => consistent_hash::check_arguments(arguments),
            Self::Delayed => delayed::check_arguments(arguments),
            Self::RecentHistory => recent_history::check_arguments(arguments),
            Self::Direct
            | Self::Fanout
            | Self::Topic
            | Self::Headers
            | Self::Random
            | Self::ModulusHash => Ok(()),
        }
    }

    /// The word that a declaration uses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
            Self::ConsistentHash => "x-consistent-hash",
            Self::Random => "x-random",
            Self::ModulusHash => "x-modulus-hash",
            Self::Delayed => "x-delayed-message",
            Self::RecentHistory => "x-recent-history",
        }
    }
}

impl fmt::Display for ExchangeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A declared exchange.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// Where it lives.
    pub vhost: Name,
    /// Its name.
    pub name: Name,
    /// How it chooses.
    pub kind: ExchangeKind,
    /// Survives restarts.
    pub durable: bool,
    /// Goes with its last binding as a source.
    pub auto_delete: bool,
    /// Not for clients to publish to.
    pub internal: bool,
    /// As declared.
    pub arguments: Table,
    /// When it was declared.
    pub created: Timestamp,
    /// Who declared it.
    pub user: Name,
    /// The policy in effect.
    pub policy: Option<Name>,
    /// The operator policy in effect.
    pub operator_policy: Option<Name>,
    /// Where messages go that it finds no way for: the argument, or else the policy.
    pub alternate: Option<Name>,
}

impl Exchange {
    /// The kind by which it routes: its own, unless its arguments name another.
    #[must_use]
    pub fn routing_kind(&self) -> ExchangeKind {
        match self.kind {
            ExchangeKind::Delayed => delayed::kind(&self.arguments).unwrap_or(ExchangeKind::Fanout),
            kind @ (ExchangeKind::Direct
            | ExchangeKind::Fanout
            | ExchangeKind::Topic
            | ExchangeKind::Headers
            | ExchangeKind::ConsistentHash
            | ExchangeKind::Random
            | ExchangeKind::ModulusHash
            | ExchangeKind::RecentHistory) => kind,
        }
    }

    /// What is wrong with a binding from here, in RabbitMQ's words.
    pub(crate) fn check_binding(&self, key: &str, arguments: &Table) -> Result<(), String> {
        match self.routing_kind() {
            ExchangeKind::Headers => headers::check_arguments(arguments),
            ExchangeKind::ConsistentHash => pool::weight(key).map(drop),
            ExchangeKind::Direct
            | ExchangeKind::Fanout
            | ExchangeKind::Topic
            | ExchangeKind::Random
            | ExchangeKind::ModulusHash
            | ExchangeKind::RecentHistory
            | ExchangeKind::Delayed => Ok(()),
        }
    }
}
