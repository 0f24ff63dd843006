//! Who comes in: whose password it is, and how often somebody may be wrong.
//!
//! A password that is hashed slowly is checked away from the tasks that serve clients, a few at a
//! time; who waits behind the same password finds the answer. So a storm of reconnecting clients
//! costs one check per user and password, and one of wrong passwords is held to a few cores' worth.
//! An address that was wrong too often is turned away for the rest of the minute, but for those who
//! have come in with the same password before: a client that is set up wrongly does not shut out the
//! others behind its address.
//!
//! **Always holds:** neither passwords nor addresses are kept beyond their bounds; a password is kept
//! as a hash with a key that is drawn at the node's start and never leaves it.
//!
//! **Not here:** what somebody may do who has come in.

mod attempts;
mod chain;
mod proofs;

use std::net::IpAddr;
use std::sync::{Mutex, OnceLock, PoisonError};

use tokio::sync::Semaphore;
use tokio::time::Instant;
use warren_auth::{Settings, SettingsError};
use warren_catalog::{AuthRefusal, HashingAlgorithm, PasswordHash, User};

use crate::admin::LoginError;
use crate::broker::Inner;
use crate::grants::Identity;
use crate::limit::Limit;
use attempts::Addresses;
pub use attempts::{Attempts, Door};
use chain::Chain;
use proofs::{Proof, Proofs};

/// Slow checks at a time: half of a small machine goes on with its work.
const CHECKS_AT_ONCE: usize = 2;

/// What somebody shows at the door.
#[derive(Clone, Copy)]
pub(crate) enum Credentials<'a> {
    /// A password.
    Password(&'a [u8]),
    /// A client certificate for the name, which has been verified.
    Certificate,
}

/// What one node remembers of who came in, and who did not. Logins look here once, for as long as a
/// look-up takes, so locks are cheaper than a task in between.
#[derive(Debug)]
pub(crate) struct Doorkeeper {
    proofs: Mutex<Proofs>,
    addresses: Mutex<Addresses>,
    checks: Semaphore,
    /// Who is asked who somebody is.
    chain: Chain,
    /// What the password of somebody who does not exist is checked against: it takes as long.
    decoy: OnceLock<PasswordHash>,
}

impl Doorkeeper {
    /// Asks those whom `settings` name.
    ///
    /// # Errors
    /// When they cannot be used.
    pub(crate) fn new(settings: &Settings) -> Result<Self, SettingsError> {
        Ok(Self {
            proofs: Mutex::new(Proofs::new(rand::random())),
            addresses: Mutex::default(),
            checks: Semaphore::new(CHECKS_AT_ONCE),
            chain: Chain::new(settings)?,
            decoy: OnceLock::new(),
        })
    }

    /// What came of logins since the node's start, or since somebody set it back.
    pub(crate) fn attempts(&self) -> Vec<Attempts> {
        self.addresses().attempts()
    }

    /// Counts from nothing again.
    pub(crate) fn forget_attempts(&self) {
        self.addresses().forget_attempts();
    }

    fn addresses(&self) -> std::sync::MutexGuard<'_, Addresses> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn proofs(&self) -> std::sync::MutexGuard<'_, Proofs> {
        self.proofs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `password` is the one.
    async fn matches(&self, user: &str, hash: &PasswordHash, password: &[u8]) -> bool {
        let proof = self.proofs().proof(user, hash, password);
        if !hash.algorithm.is_slow() {
            let matches = hash.matches(password);
            if matches {
                self.proofs().keep(proof, Instant::now());
            }
            return matches;
        }
        if self.is_fresh(&proof) {
            return true;
        }
        let Ok(_turn) = self.checks.acquire().await else { return false };
        // Whoever was before may have come with the same password.
        if self.is_fresh(&proof) {
            return true;
        }
        let (hash, password) = (hash.clone(), password.to_vec());
        let check = tokio::task::spawn_blocking(move || hash.matches(&password));
        let matches = check.await.unwrap_or(false);
        if matches {
            self.proofs().keep(proof, Instant::now());
        }
        matches
    }

    fn is_fresh(&self, proof: &Proof) -> bool {
        self.proofs().is_fresh(proof, Instant::now())
    }

    /// Takes as long as if the user existed.
    async fn pretend(&self, hashing: HashingAlgorithm, password: &[u8]) {
        let decoy = || PasswordHash::new(hashing, rand::random(), "nobody's");
        let decoy = self.decoy.get_or_init(decoy).clone();
        self.matches("", &decoy, password).await;
    }
}

impl Inner {
    /// Who it is, if what is shown is theirs and they may come from where they are.
    ///
    /// What the local copy of the catalog refuses is asked again once it has caught up: another
    /// node may have made the user a moment ago.
    pub(crate) async fn login(
        &self,
        door: Door,
        peer: IpAddr,
        user: &str,
        shown: Credentials<'_>,
    ) -> Result<Identity, LoginError> {
        let outcome = self.try_login(peer, user, shown).await;
        if let Err(why) = &outcome {
            self.audit_login(user, peer, door.as_str(), &why.to_string());
        }
        let limit = self.limits().login_failures_per_minute;
        let mut addresses = self.doorkeeper.addresses();
        addresses.note(door, peer, outcome.is_ok(), limit, Instant::now());
        outcome
    }

    async fn try_login(
        &self,
        peer: IpAddr,
        user: &str,
        shown: Credentials<'_>,
    ) -> Result<Identity, LoginError> {
        let is_shut_out = self.doorkeeper.addresses().is_shut_out(peer, Instant::now());
        if is_shut_out && !self.came_in_before(user, shown) {
            self.counters.hits.note(Limit::LoginFailures);
            return Err(LoginError::TooManyFailures);
        }
        let identity = self.by_chain(peer, user, shown).await?;
        let is_bound = self
            .directory
            .look(|catalog| catalog.user(&identity.name).is_some_and(|user| user.loopback_only));
        if is_bound && !peer.to_canonical().is_loopback() {
            return Err(LoginError::LoopbackOnly);
        }
        Ok(identity)
    }

    fn came_in_before(&self, user: &str, shown: Credentials<'_>) -> bool {
        match shown {
            Credentials::Certificate => true,
            Credentials::Password(password) => {
                let hash = self
                    .directory
                    .look(|catalog| catalog.user(user).map(|user| user.password.clone()));
                let proofs = self.doorkeeper.proofs();
                let is_known =
                    |hash: PasswordHash| proofs.is_known(&proofs.proof(user, &hash, password));
                hash.is_some_and(is_known) || proofs.is_known(&proofs.elsewhere(user, password))
            }
        }
    }

    /// The user of the catalog, if what is shown is theirs. Of one that is not there it takes less
    /// time to say so.
    async fn proven(&self, user: &str, shown: Credentials<'_>) -> Result<User, AuthRefusal> {
        let known = self.directory.look(|catalog| catalog.user(user).cloned());
        match (known, shown) {
            (Some(user), Credentials::Certificate) => Ok(user),
            (None, Credentials::Certificate | Credentials::Password(_)) => {
                Err(AuthRefusal::UnknownUser)
            }
            (Some(user), Credentials::Password(password)) => {
                if self.doorkeeper.matches(&user.name, &user.password, password).await {
                    Ok(user)
                } else {
                    Err(AuthRefusal::WrongPassword)
                }
            }
        }
    }
}
