//! Who asks, and what they may ask for.
//!
//! A user needs a tag to use the API at all, and a permission in a virtual host to see what is in
//! it; administrators see everything. What may be changed there follows from the same permissions
//! as over AMQP.

use std::net::IpAddr;

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt as _;
use warren_broker::{Broker, Grants, Identity, vhost_question};
use warren_catalog::{Catalog, Name};

use super::answer::Problem;

/// The user that a local tool with the node's secret is.
const LOCAL_TOOL: &str = "warrenctl";

/// Virtual hosts that are asked about for one request, where somebody has to be asked.
const VHOSTS_ASKED: usize = 1000;

/// So many of them at once.
const ASKED_AT_ONCE: usize = 8;

/// What somebody must be to use a part of the API. Each may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Anybody, without a login.
    Anybody,
    /// Who has any of the tags.
    Management,
    /// Who makes policies.
    Policymaker,
    /// Who watches the whole cluster.
    Monitoring,
    /// Who may do everything.
    Administrator,
}

impl Role {
    /// What documents call it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Anybody => "anybody",
            Self::Management => "management",
            Self::Policymaker => "policymaker",
            Self::Monitoring => "monitoring",
            Self::Administrator => "administrator",
        }
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The login.
    pub(crate) name: Name,
    /// The tags.
    pub(crate) tags: Vec<Name>,
    /// Who says what they may do.
    pub(crate) grants: Grants,
    /// Whether it is a tool on this machine that knows the node's secret, and no user.
    pub(crate) is_local_tool: bool,
    /// Where they come from, as far as is known.
    pub(crate) from: Option<IpAddr>,
}

impl Caller {
    /// A tool that knows the node's secret.
    pub(crate) fn local_tool() -> Self {
        let tags = vec!["administrator".into()];
        Self { name: LOCAL_TOOL.into(), tags, is_local_tool: true, ..Self::nobody() }
    }

    /// Somebody who has not said who it is.
    pub(crate) fn nobody() -> Self {
        let (tags, grants) = (Vec::new(), Grants::Catalog);
        Self { name: "".into(), tags, grants, is_local_tool: false, from: None }
    }

    /// A user who has logged in from there.
    pub(crate) fn user(user: Identity, from: IpAddr) -> Self {
        let Identity { name, tags, grants } = user;
        Self { name, tags, grants, is_local_tool: false, from: Some(from) }
    }

    fn has(&self, tags: &[&str]) -> bool {
        self.tags.iter().any(|tag| tags.contains(&&**tag))
    }

    /// Whether everything is allowed.
    pub(crate) fn is_administrator(&self) -> bool {
        self.has(&["administrator"])
    }

    /// Whether other users' connections may be seen.
    pub(crate) fn is_monitor(&self) -> bool {
        self.has(&["administrator", "monitoring"])
    }

    /// Whether the caller may use what is for `role`.
    ///
    /// # Errors
    /// When not, in RabbitMQ's words.
    pub(crate) fn must_be(&self, role: Role) -> Result<(), Problem> {
        let every = ["administrator", "monitoring", "policymaker", "management"];
        let (is, otherwise) = match role {
            Role::Anybody => (true, ""),
            Role::Management => (self.has(&every), "Not management user"),
            Role::Policymaker => (
                self.has(&["administrator", "policymaker"]),
                "User not authorised to access object",
            ),
            Role::Monitoring => (self.is_monitor(), "Not monitor user"),
            Role::Administrator => (self.is_administrator(), "Not administrator user"),
        };
        if is { Ok(()) } else { Err(Problem::not_authorised(otherwise)) }
    }

    /// Whether the caller may see what is in `vhost`.
    pub(crate) fn sees(&self, catalog: &Catalog, vhost: &str) -> bool {
        self.is_administrator() || self.grants.opens(catalog, &self.name, vhost) == Some(true)
    }

    /// Asks which of these virtual hosts the caller may see, where somebody has to be asked, so that
    /// [`Caller::sees`] knows.
    pub(crate) async fn look_around(&self, broker: &Broker, vhosts: Vec<Name>) {
        if self.is_administrator() || self.grants == Grants::Catalog {
            return;
        }
        let unasked = broker.look(|catalog| {
            let is_open = |vhost: &Name| self.grants.opens(catalog, &self.name, vhost).is_some();
            vhosts
                .into_iter()
                .filter(|vhost| !is_open(vhost))
                .take(VHOSTS_ASKED)
                .collect::<Vec<_>>()
        });
        let asks = unasked.into_iter().map(async |vhost: Name| {
            if let Err(why) = self.grants.ask(&vhost_question(&vhost)).await {
                tracing::warn!(why, "nobody says who may see a vhost");
            }
        });
        futures::stream::iter(asks).buffer_unordered(ASKED_AT_ONCE).collect::<()>().await;
    }
}

/// What a request says about who sent it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// Name and password.
    Basic {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// The node's secret, or a token.
    Bearer(String),
}

impl Credentials {
    /// What the request says; nothing if it says nothing that makes sense.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, rest) = value.split_once(' ')?;
        match scheme.to_ascii_lowercase().as_str() {
            "basic" => {
                let decoded = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
                let (user, password) = decoded.split_once(':')?;
                Some(Self::Basic { user: user.to_owned(), password: password.to_owned() })
            }
            "bearer" => Some(Self::Bearer(rest.trim().to_owned())),
            _ => None,
        }
    }
}

/// Whether `given` is the node's secret; takes equally long wherever the two differ.
pub(crate) fn is_secret(secret: &str, given: &str) -> bool {
    let same_length = secret.len() == given.len();
    let differing =
        secret.bytes().zip(given.bytes()).fold(0_u8, |sum, (one, other)| sum | (one ^ other));
    same_length && differing == 0 && !secret.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(tags: &[&str]) -> Caller {
        let tags = tags.iter().map(|&tag| Name::from(tag)).collect();
        Caller { name: "ann".into(), tags, ..Caller::nobody() }
    }

    fn headers(authorization: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, authorization.parse().expect("text"));
        headers
    }

    #[test]
    fn each_tag_opens_what_rabbitmq_opens_for_it() {
        let roles = [Role::Management, Role::Policymaker, Role::Monitoring, Role::Administrator];
        let opens = |tags: &[&str]| roles.map(|role| caller(tags).must_be(role).is_ok());

        assert_eq!(opens(&[]), [false; 4]);
        assert_eq!(opens(&["other"]), [false; 4]);
        assert_eq!(opens(&["management"]), [true, false, false, false]);
        assert_eq!(opens(&["policymaker"]), [true, true, false, false]);
        assert_eq!(opens(&["monitoring"]), [true, false, true, false]);
        assert_eq!(opens(&["administrator"]), [true; 4]);
    }

    #[test]
    fn a_password_may_contain_colons_and_a_name_may_not() {
        let of = Credentials::of(&headers("Basic YTpiOmM="));

        assert!(
            of == Some(Credentials::Basic { user: "a".to_owned(), password: "b:c".to_owned() })
        );
        assert!(
            Credentials::of(&headers("bEARER  x")) == Some(Credentials::Bearer("x".to_owned()))
        );
        assert!(Credentials::of(&headers("Basic ///")).is_none());
        assert!(Credentials::of(&HeaderMap::new()).is_none());
    }

    #[test]
    fn an_empty_secret_is_nobodys() {
        assert!(is_secret("abc", "abc"));
        assert!(!is_secret("abc", "abd"));
        assert!(!is_secret("abc", "ab"));
        assert!(!is_secret("", ""));
    }
}
