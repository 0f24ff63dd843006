//! Who somebody is that has come in, and who says what they may do.
//!
//! For most that is the catalog, which is at hand. For others it is their token, or a service that
//! has to be asked: then what is looked at in passing answers nothing, and whoever looked asks with
//! [`Grants::ask`] before it goes on.

use std::borrow::Cow;

use warren_auth::{Authority, Question, What};
use warren_catalog::{Access, Catalog, DEFAULT_EXCHANGE, DEFAULT_EXCHANGE_ALIAS, Name};

/// Somebody who has come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user's name.
    pub name: Name,
    /// The user's tags.
    pub tags: Vec<Name>,
    /// Who says what they may do.
    pub grants: Grants,
}

/// Who says what somebody may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Grants {
    /// The permissions in the catalog.
    #[default]
    Catalog,
    /// Somebody else.
    Foreign(Authority),
}

/// What is accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A queue.
    Queue,
    /// An exchange.
    Exchange,
}

impl Kind {
    /// Whether something may be done with the one of that name.
    #[must_use]
    pub fn question<'a>(self, vhost: &'a str, name: &'a str, access: Access) -> Question<'a> {
        let permission = access.as_str();
        let what = match self {
            Self::Queue => What::Queue { name: name.into(), permission },
            Self::Exchange => {
                let name = if name == DEFAULT_EXCHANGE { DEFAULT_EXCHANGE_ALIAS } else { name };
                What::Exchange { name: name.into(), permission }
            }
        };
        Question { vhost: vhost.into(), what }
    }
}

/// Whether a routing key may be used on a topic exchange. A key that is no text is none that
/// anybody has been allowed.
#[must_use]
pub fn topic_question<'a>(
    vhost: &'a str,
    exchange: &'a str,
    routing_key: &'a [u8],
    access: Access,
) -> Question<'a> {
    let routing_key = String::from_utf8_lossy(routing_key);
    let what = What::Topic { exchange: exchange.into(), routing_key, permission: access.as_str() };
    Question { vhost: vhost.into(), what }
}

impl Grants {
    /// Whether the user may open a virtual host; none where that has to be asked.
    #[must_use]
    pub fn opens(&self, catalog: &Catalog, user: &str, vhost: &str) -> Option<bool> {
        match self {
            Self::Catalog => Some(catalog.permission(user, vhost).is_some()),
            Self::Foreign(authority) => authority.allows(&vhost_question(vhost)),
        }
    }

    /// Whether the user may do something with a queue or an exchange; none where that has to be
    /// asked.
    #[must_use]
    pub fn may(
        &self,
        catalog: &Catalog,
        (user, vhost): (&str, &str),
        (kind, name): (Kind, &str),
        access: Access,
    ) -> Option<bool> {
        match self {
            Self::Catalog => Some(catalog.check_permission(user, vhost, name, access)),
            Self::Foreign(authority) => authority.allows(&kind.question(vhost, name, access)),
        }
    }

    /// Whether that is allowed, if the catalog does not decide it, or why there is no answer.
    ///
    /// # Errors
    /// When there is no answer, which allows nothing.
    pub async fn ask(&self, question: &Question<'_>) -> Result<bool, String> {
        match self {
            Self::Catalog => Ok(false),
            Self::Foreign(authority) => {
                let outcome = authority.ask(question).await;
                outcome.map_err(|error| error.to_string())
            }
        }
    }

    /// From when on they may do nothing any more, seconds since 1970.
    #[must_use]
    pub fn expires_s(&self) -> Option<u64> {
        match self {
            Self::Catalog => None,
            Self::Foreign(authority) => authority.expires_s(),
        }
    }

    /// Forgets what was allowed too long ago. Returns whether there was something.
    pub(crate) fn renew(&self) -> bool {
        match self {
            Self::Catalog => false,
            Self::Foreign(authority) => authority.renew(),
        }
    }
}

/// Whether a virtual host may be opened.
#[must_use]
pub fn vhost_question(vhost: &str) -> Question<'_> {
    Question { vhost: Cow::Borrowed(vhost), what: What::Vhost }
}
