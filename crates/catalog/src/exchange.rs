//! One row of the directory of exchanges, and the four ways to route.

pub(crate) mod direct;
pub(crate) mod fanout;
pub(crate) mod headers;
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
            _ => None,
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
