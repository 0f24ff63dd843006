//! What somebody may do who is no user of the catalog.

use std::borrow::Cow;
use std::sync::Arc;

use crate::service::{ServiceError, Visitor};
use crate::token::Token;

/// Whether something may be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question<'a> {
    /// In which virtual host.
    pub vhost: Cow<'a, str>,
    /// What.
    pub what: What<'a>,
}

/// What somebody wants to do. Permissions are `configure`, `write` and `read`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What<'a> {
    /// To open the virtual host.
    Vhost,
    /// Something with a queue.
    Queue {
        /// Its name.
        name: Cow<'a, str>,
        /// What.
        permission: &'static str,
    },
    /// Something with an exchange; the default exchange is `amq.default`.
    Exchange {
        /// Its name.
        name: Cow<'a, str>,
        /// What.
        permission: &'static str,
    },
    /// To use a routing key on a topic exchange.
    Topic {
        /// The exchange.
        exchange: Cow<'a, str>,
        /// The key.
        routing_key: Cow<'a, str>,
        /// To publish or to bind with it.
        permission: &'static str,
    },
}

impl Question<'_> {
    /// The same, to be kept.
    #[must_use]
    pub fn into_owned(self) -> Question<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let what = match self.what {
            What::Vhost => What::Vhost,
            What::Queue { name, permission } => What::Queue { name: owned(name), permission },
            What::Exchange { name, permission } => What::Exchange { name: owned(name), permission },
            What::Topic { exchange, routing_key, permission } => What::Topic {
                exchange: owned(exchange),
                routing_key: owned(routing_key),
                permission,
            },
        };
        Question { vhost: owned(self.vhost), what }
    }
}

/// Who says what somebody may do. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Authority {
    /// Their token.
    Token(Arc<Token>),
    /// A service that knows them.
    Service(Arc<Visitor>),
}

impl Authority {
    /// Whether that is allowed; none where somebody else has to be asked first.
    #[must_use]
    pub fn allows(&self, question: &Question<'_>) -> Option<bool> {
        match self {
            Self::Token(token) => Some(token.allows(question)),
            Self::Service(visitor) => visitor.is_permitted(question).then_some(true),
        }
    }

    /// Whether that is allowed, whoever has to be asked. What was allowed is remembered for a
    /// while: [`Authority::allows`] says so.
    ///
    /// # Errors
    /// When there is no answer, which allows nothing.
    pub async fn ask(&self, question: &Question<'_>) -> Result<bool, ServiceError> {
        match self {
            Self::Token(token) => Ok(token.allows(question)),
            Self::Service(visitor) => visitor.ask(question).await,
        }
    }

    /// Forgets what was allowed too long ago. Returns whether there was something.
    #[must_use]
    pub fn renew(&self) -> bool {
        match self {
            Self::Token(_) => false,
            Self::Service(visitor) => visitor.renew(),
        }
    }

    /// From when on nothing is allowed any more, seconds since 1970.
    #[must_use]
    pub fn expires_s(&self) -> Option<u64> {
        match self {
            Self::Token(token) => token.expires_s(),
            Self::Service(_) => None,
        }
    }
}

impl PartialEq for Authority {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Token(one), Self::Token(other)) => one == other,
            (Self::Service(one), Self::Service(other)) => Arc::ptr_eq(one, other),
            (Self::Token(_), Self::Service(_)) | (Self::Service(_), Self::Token(_)) => false,
        }
    }
}

impl Eq for Authority {}
