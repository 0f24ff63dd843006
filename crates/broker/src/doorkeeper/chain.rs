//! Who is asked who somebody is, one after the other.
//!
//! The first who says yes is right. What somebody may do is then asked of the same one, or of the one
//! that stands beside it, who must know them as well.

use std::net::IpAddr;
use std::sync::Arc;

use warren_auth::{
    Authority, Backend, Link, Oauth2, Service, Settings, SettingsError, Token, Visitor,
};
use warren_catalog::{AuthRefusal, Name, User};

use super::Credentials;
use crate::admin::LoginError;
use crate::broker::Inner;
use crate::directory::name;
use crate::grants::{Grants, Identity};

/// Who is asked, and how.
#[derive(Debug)]
pub(super) struct Chain {
    links: Vec<Link>,
    /// Whose answers are remembered for a while.
    cached: Link,
    oauth2: Option<Oauth2>,
    service: Option<Arc<Service>>,
}

impl Chain {
    /// Those whom `settings` name.
    pub(super) fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let oauth2 = settings.uses(Backend::Oauth2);
        let oauth2 = oauth2.then(|| Oauth2::new(settings.oauth2.clone())).transpose()?;
        let service = settings.uses(Backend::Http);
        let service = service.then(|| Service::new(&settings.http, &settings.cache)).transpose()?;
        Ok(Self {
            links: settings.backends.clone(),
            cached: settings.cache.cached_backend,
            oauth2,
            service: service.map(Arc::new),
        })
    }

    /// Whether a user of the catalog is anybody.
    fn knows_users(&self) -> bool {
        self.links
            .iter()
            .any(|link| self.behind_cache(link.authn, |cached| cached.authn).0 == Backend::Internal)
    }

    /// Whom `backend` stands for, and whether the answers are to be remembered.
    fn behind_cache(&self, backend: Backend, role: impl Fn(Link) -> Backend) -> (Backend, bool) {
        match backend {
            Backend::Cache => (role(self.cached), true),
            Backend::Internal | Backend::Oauth2 | Backend::Http => (backend, false),
        }
    }
}

/// What a client shows, to whomever is asked.
#[derive(Clone, Copy)]
struct Claim<'a> {
    peer: IpAddr,
    user: &'a str,
    shown: Credentials<'a>,
}

/// Somebody whom one of them knows.
enum Known {
    User(User),
    Token(Token),
    Visitor(Visitor),
}

impl Known {
    fn name(&self) -> &str {
        match self {
            Self::User(user) => &user.name,
            Self::Token(token) => token.user(),
            Self::Visitor(visitor) => visitor.user(),
        }
    }

    fn tags(&self) -> Vec<Name> {
        let names = |tags: &[String]| tags.iter().map(|tag| name(tag)).collect();
        match self {
            Self::User(user) => user.tags.clone(),
            Self::Token(token) => names(token.tags()),
            Self::Visitor(visitor) => names(visitor.tags()),
        }
    }

    fn grants(self) -> Grants {
        match self {
            Self::User(_) => Grants::Catalog,
            Self::Token(token) => Grants::Foreign(Authority::Token(Arc::new(token))),
            Self::Visitor(visitor) => Grants::Foreign(Authority::Service(Arc::new(visitor))),
        }
    }
}

impl Inner {
    /// Who it is, by the first that knows them.
    pub(super) async fn by_chain(
        &self,
        peer: IpAddr,
        user: &str,
        shown: Credentials<'_>,
    ) -> Result<Identity, LoginError> {
        let claim = Claim { peer, user, shown };
        let (chain, is_alone) = (&self.doorkeeper.chain, self.directory.is_alone());
        let mut is_nobody = false;
        let outcome = self.by_links(claim, |_| true, &mut is_nobody).await;
        let outcome = match outcome {
            Err(_) if chain.knows_users() && !is_alone => {
                let limit = self.limits().operation_timeout;
                // Without a majority the local copy is the best there is.
                let _caught_up = tokio::time::timeout(limit, self.directory.catch_up()).await;
                let knows_users = |link: Link| link.authn == Backend::Internal;
                let again = self.by_links(claim, knows_users, &mut is_nobody).await;
                again.or(outcome)
            }
            outcome => outcome,
        };
        if let (true, Err(_), Credentials::Password(password)) = (is_nobody, &outcome, shown) {
            self.doorkeeper.pretend(self.config.initial.hashing, password).await;
        }
        outcome
    }

    /// Asks the chosen ones. `is_nobody` becomes whether no user of the catalog has that name.
    async fn by_links(
        &self,
        claim: Claim<'_>,
        chosen: impl Fn(Link) -> bool,
        is_nobody: &mut bool,
    ) -> Result<Identity, LoginError> {
        let mut refusal = LoginError::Credentials(AuthRefusal::UnknownUser);
        for link in self.doorkeeper.chain.links.iter().filter(|link| chosen(**link)) {
            match self.by_link(claim, *link).await {
                Ok(identity) => return Ok(identity),
                Err(why) => {
                    let (user, backend) = (claim.user, link.authn.as_str());
                    tracing::debug!(user, backend, %why, "one of those asked does not know them");
                    *is_nobody = why == LoginError::Credentials(AuthRefusal::UnknownUser)
                        || (*is_nobody && link.authn != Backend::Internal);
                    refusal = why;
                }
            }
        }
        Err(refusal)
    }

    async fn by_link(&self, claim: Claim<'_>, link: Link) -> Result<Identity, LoginError> {
        let known = self.known_to(claim, link.authn, |cached| cached.authn).await?;
        if let (Known::Token(_) | Known::Visitor(_), Credentials::Password(password)) =
            (&known, claim.shown)
        {
            let mut proofs = self.doorkeeper.proofs();
            let proof = proofs.elsewhere(claim.user, password);
            proofs.keep(proof, tokio::time::Instant::now());
        }
        let (user, mut tags) = (name(known.name()), known.tags());
        let chain = &self.doorkeeper.chain;
        let (says_who, _) = chain.behind_cache(link.authn, |cached| cached.authn);
        let (says_what, _) = chain.behind_cache(link.authz, |cached| cached.authz);
        if says_who == says_what {
            return Ok(Identity { name: user, tags, grants: known.grants() });
        }
        let permitted = match says_what {
            // Who they are has been found out: a password of ours is not asked for.
            Backend::Internal => {
                let row = self.directory.look(|catalog| catalog.user(&user).cloned());
                Known::User(row.ok_or(AuthRefusal::UnknownUser)?)
            }
            Backend::Oauth2 | Backend::Http | Backend::Cache => {
                let claim = Claim { user: &user, ..claim };
                self.known_to(claim, link.authz, |cached| cached.authz).await?
            }
        };
        tags.extend(permitted.tags());
        tags.sort();
        tags.dedup();
        Ok(Identity { name: user, tags, grants: permitted.grants() })
    }

    /// Asks one of them.
    async fn known_to(
        &self,
        claim: Claim<'_>,
        backend: Backend,
        role: impl Fn(Link) -> Backend,
    ) -> Result<Known, LoginError> {
        let Claim { peer, user, shown } = claim;
        let chain = &self.doorkeeper.chain;
        let (backend, is_cached) = chain.behind_cache(backend, role);
        let password = match shown {
            Credentials::Password(password) => Some(password),
            Credentials::Certificate => None,
        };
        match (backend, &chain.oauth2, &chain.service) {
            (Backend::Internal, _, _) => Ok(Known::User(self.proven(user, shown).await?)),
            (Backend::Oauth2, Some(oauth2), _) => {
                let token = password.ok_or_else(|| elsewhere(&"a token is no certificate"))?;
                let judged = oauth2.judge(token).await;
                Ok(Known::Token(judged.map_err(|why| elsewhere(&why))?))
            }
            (Backend::Http, _, Some(service)) => {
                let visitor = service.login(user, password, peer, is_cached).await;
                Ok(Known::Visitor(visitor.map_err(|why| elsewhere(&why))?))
            }
            // One that remembers nobody's answers but its own knows nobody.
            (Backend::Oauth2 | Backend::Http | Backend::Cache, _, _) => {
                Err(AuthRefusal::UnknownUser.into())
            }
        }
    }
}

fn elsewhere(why: &dyn std::fmt::Display) -> LoginError {
    LoginError::Elsewhere(why.to_string())
}
