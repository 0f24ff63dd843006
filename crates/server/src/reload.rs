//! Reads the configuration and the certificates again: on SIGHUP, and when a file has changed.
//!
//! **Always holds:** what cannot be used changes nothing, and is said loudly. A key that counts only
//! from the next start on is named when it changes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::sync::Mutex as Turn;

use crate::config::{Config, Inputs, Loaded};
use crate::logging::{self, chain};
use crate::observer::Observer;
use crate::secure::{self, Security};

/// Between two looks at the files. Orchestrators take up to a minute to bring new ones.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// What a file looked like: device, inode, length, and when it was changed. None if it is not there.
type Mark = Option<(u64, u64, u64, i64, i64)>;

/// Reads files again. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Reloader {
    inputs: Arc<Inputs>,
    security: Security,
    state: Arc<Mutex<State>>,
    hangup: Arc<Turn<Signal>>,
}

#[derive(Debug)]
struct State {
    /// What counts.
    config: Config,
    /// What was read last, of which some counts only from the next start on.
    read: Config,
    marks: BTreeMap<PathBuf, Mark>,
}

impl Reloader {
    /// `config` was made of `inputs`, and `security` of that.
    #[must_use]
    pub fn new(inputs: Inputs, config: Config, security: Security, hangup: Signal) -> Self {
        let marks = marks(&inputs, &config);
        let state = State { read: config.clone(), config, marks };
        let (state, hangup) = (Arc::new(Mutex::new(state)), Arc::new(Turn::new(hangup)));
        Self { inputs: Arc::new(inputs), security, state, hangup }
    }

    /// `config` with what was changed since the start.
    #[must_use]
    pub fn applied_to(&self, config: Config) -> Config {
        merged(config, &self.state().config)
    }

    /// Reads again what has changed, for as long as it is polled.
    pub async fn run(self, observer: Weak<Observer>) {
        let hangup = Arc::clone(&self.hangup);
        let mut hangup = hangup.lock().await;
        loop {
            let asked = tokio::select! {
                _ = hangup.recv() => true,
                () = tokio::time::sleep(LOOK_INTERVAL) => false,
            };
            let (this, observer) = (self.clone(), observer.clone());
            // A file may lie on a disk that hangs.
            let looked = tokio::task::spawn_blocking(move || this.look(asked, &observer)).await;
            looked.expect("a panic ends the process, and nobody cancels the work");
        }
    }

    /// Reads everything again if a file has changed, or if it is `asked` to.
    fn look(&self, asked: bool, observer: &Weak<Observer>) {
        let before = self.state().config.clone();
        let marks = marks(&self.inputs, &before);
        let has_changed = std::mem::replace(&mut self.state().marks, marks.clone()) != marks;
        if !has_changed && !asked {
            return;
        }
        match Config::load(&self.inputs) {
            Ok(Loaded { config, .. }) => self.take(&config),
            Err(error) => {
                tracing::error!("the configuration stays as it was: {}", chain(&error));
            }
        }
        let config = self.state().config.clone();
        for error in self.security.renew(&config) {
            tracing::error!("the certificates stay as they were: {}", chain(&error));
        }
        for shown in self.security.shown() {
            let (protocol, subject, validity) = (shown.protocol, shown.subject, shown.validity);
            tracing::info!(protocol, subject, validity, "a certificate is in use");
        }
        if config.log.filter != before.log.filter {
            logging::set_filter(&config.log.filter);
        }
        if let Some(observer) = observer.upgrade() {
            observer.set_config(&config);
        }
        // Files that are named only from here on belong to what was looked at.
        let marks = self::marks(&self.inputs, &config);
        self.state().marks.extend(marks);
    }

    /// Makes what may change at any time of `read` count.
    fn take(&self, read: &Config) {
        let mut state = self.state();
        let config = merged(state.config.clone(), read);
        let late = changed(&merged(read.clone(), &state.read), &state.read);
        let taken = changed(&config, &state.config);
        if !taken.is_empty() {
            tracing::info!("these keys have changed and count from now on: {}", taken.join(", "));
        }
        if !late.is_empty() {
            let late = late.join(", ");
            tracing::warn!("these keys have changed and count from the next start on: {late}");
        }
        state.config = config;
        state.read = read.clone();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `config` with everything of `newer` that may change while the node runs: limits, which log lines
/// there are, files of certificates and how they are used, and secrets. Whether there are any at
/// all is decided at the start.
fn merged(config: Config, newer: &Config) -> Config {
    let mut merged = Config { limits: newer.limits.clone(), ..config };
    merged.log.filter.clone_from(&newer.log.filter);
    let has = |file: &str| !file.is_empty();
    if has(&merged.ssl.certfile) == has(&newer.ssl.certfile) {
        merged.ssl = newer.ssl.clone();
    }
    if has(&merged.web.certfile) == has(&newer.web.certfile) {
        merged.web = newer.web.clone();
    }
    let trust = |config: &Config| {
        (has(&config.peers.certfile), has(config.peers.secret.expose()), config.peers.name.clone())
    };
    if trust(&merged) == trust(newer) {
        merged.peers = newer.peers.clone();
    }
    merged
}

/// Names of the keys that differ.
fn changed(one: &Config, other: &Config) -> Vec<String> {
    let pairs = one.keys().into_iter().zip(other.keys());
    pairs.filter(|(one, other)| one.value != other.value).map(|(key, _)| key.path).collect()
}

/// What all files look like that `config` was made of or names.
fn marks(inputs: &Inputs, config: &Config) -> BTreeMap<PathBuf, Mark> {
    let files = inputs.config_file().into_iter().chain(secure::files(config));
    files.map(|path| (path.clone(), mark(&path))).collect()
}

fn mark(path: &PathBuf) -> Mark {
    let facts = fs::metadata(path).ok()?;
    Some((facts.dev(), facts.ino(), facts.len(), facts.mtime(), facts.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    #[test]
    fn limits_change_at_once_and_addresses_at_the_next_start() {
        let before = Config::default();
        let mut read = Config::default();
        read.limits.channel_max = 7;
        read.log.filter = "debug".to_owned();
        read.node.zone = "z".to_owned();

        let after = merged(before.clone(), &read);

        assert_eq!(changed(&after, &before), ["limits.channel_max", "log.filter"]);
        assert_eq!(changed(&after, &read), ["zone"]);
    }

    #[test]
    fn whether_there_is_tls_or_a_secret_is_decided_at_the_start() {
        let mut before = Config::default();
        before.peers.secret = Secret::new("0123456789abcdef");
        let mut read = before.clone();
        read.ssl.certfile = "new.pem".to_owned();
        read.peers.secret = Secret::new("fedcba9876543210");

        let after = merged(before.clone(), &read);

        assert_eq!(changed(&after, &before), ["peers.secret"]);
        read.peers.secret = Secret::new("");
        assert_eq!(merged(before.clone(), &read), before);
    }
}
