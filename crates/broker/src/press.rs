//! What the broker itself publishes: events, copies of messages, lines of its log.
//!
//! They go to exchanges of the broker's own, `amq.rabbitmq.event`, `amq.rabbitmq.trace` and
//! `amq.rabbitmq.log`, whose names, keys and headers are RabbitMQ's. Whoever has something to
//! print asks first whether anybody listens, which is one load of a flag.
//!
//! **Always holds:** nothing is made that nobody listens to; what waits is bounded, and what comes
//! beyond the bound is dropped and counted; nothing that is printed causes anything to be printed:
//! events speak of what clients do, and what is printed is marked, and not copied when it passes.
//!
//! **Not here:** what an event says ([`event`]), what copies of messages say ([`firehose`]).

pub(crate) mod event;
pub(crate) mod firehose;
pub(crate) mod log;
mod printer;
mod term;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use tokio::sync::mpsc;
use warren_amqp::header::Properties;
use warren_catalog::{Catalog, Command as Change, Name, Outcome, Owner};
use warren_types::LogIndex;

use self::event::Foretold;
use crate::broker::Inner;
use crate::config::Config;
use crate::counters::Counters;
use crate::directory::{ChangeError, Directory, name};
use crate::feature::Feature;
use crate::history::HistoryChange;

pub(crate) use self::event::Told;
pub(crate) use self::printer::run;

/// Where events go, in the first virtual host.
pub(crate) const EVENT_EXCHANGE: &str = "amq.rabbitmq.event";

/// Where copies of messages go, in their own virtual host.
pub(crate) const COPY_EXCHANGE: &str = "amq.rabbitmq.trace";

/// Where lines of the log go, in the first virtual host.
pub(crate) const LOG_EXCHANGE: &str = "amq.rabbitmq.log";

/// The user that changes are by that nobody has asked for.
pub(crate) const INTERNAL_USER: &str = "rmq-internal";

/// Bulletins that may wait to be published. A burst of a client's frames makes some hundred.
const WAITING_BULLETINS: usize = 8192;

/// Bytes of bodies that they may have.
const WAITING_BYTES: usize = 16 * 1024 * 1024;

/// A message of the broker's own.
#[derive(Debug)]
pub(crate) struct Bulletin {
    vhost: Name,
    exchange: &'static str,
    routing_key: String,
    properties: Properties,
    body: Bytes,
}

/// What is found out about listeners, once per revision of the catalog.
#[derive(Debug, Default)]
struct Heard {
    revision: LogIndex,
    /// Virtual hosts whose copies somebody listens to.
    traced: Vec<Name>,
}

/// The way to the printer, and who listens.
#[derive(Debug)]
pub(crate) struct Press {
    /// The virtual host of events and of the log.
    home: Name,
    /// What people call this node.
    node: String,
    events: AtomicBool,
    log: AtomicBool,
    copies: AtomicBool,
    /// For those who find [`Self::copies`] set.
    copied: RwLock<Vec<Name>>,
    /// Held while the flags are set, so that an older look never overwrites a later one.
    revision: Mutex<LogIndex>,
    waiting: mpsc::Sender<Bulletin>,
    waiting_bytes: AtomicUsize,
    counters: Arc<Counters>,
}

impl Press {
    /// A press, and what waits to be printed.
    pub(crate) fn new(
        config: &Config,
        counters: Arc<Counters>,
    ) -> (Self, mpsc::Receiver<Bulletin>) {
        let (waiting, bulletins) = mpsc::channel(WAITING_BULLETINS);
        let press = Self {
            home: name(&config.initial.vhost),
            node: config.node_name.clone(),
            events: AtomicBool::new(false),
            log: AtomicBool::new(false),
            copies: AtomicBool::new(false),
            copied: RwLock::default(),
            revision: Mutex::default(),
            waiting,
            waiting_bytes: AtomicUsize::new(0),
            counters,
        };
        (press, bulletins)
    }

    /// Finds out who listens, unless the catalog is what it was.
    pub(crate) fn refresh(&self, directory: &Directory) {
        let mut revision = self.revision.lock().unwrap_or_else(PoisonError::into_inner);
        let known = *revision;
        let heard = directory.look(|catalog| self.listeners(catalog, known));
        let Some((heard, events, log)) = heard else { return };
        *revision = heard.revision;
        let copies = !heard.traced.is_empty();
        *self.copied.write().unwrap_or_else(PoisonError::into_inner) = heard.traced;
        self.events.store(events, Ordering::Relaxed);
        self.log.store(log, Ordering::Relaxed);
        self.copies.store(copies, Ordering::Relaxed);
    }

    fn listeners(&self, catalog: &Catalog, known: LogIndex) -> Option<(Heard, bool, bool)> {
        let revision = catalog.revision();
        if revision == known {
            return None;
        }
        let is_heard =
            |vhost: &Name, exchange| catalog.bindings_of_source(vhost, exchange).next().is_some();
        let traced = catalog.traced_vhosts().filter(|vhost| is_heard(vhost, COPY_EXCHANGE));
        let heard = Heard { revision, traced: traced.cloned().collect() };
        let home = &self.home;
        Some((heard, is_heard(home, EVENT_EXCHANGE), is_heard(home, LOG_EXCHANGE)))
    }

    /// Whether somebody listens to events.
    pub(crate) fn tells_events(&self) -> bool {
        self.events.load(Ordering::Relaxed)
    }

    /// Whether somebody listens to the log.
    pub(crate) fn tells_log(&self) -> bool {
        self.log.load(Ordering::Relaxed)
    }

    /// Whether somebody listens to what happens to the messages of a virtual host.
    pub(crate) fn copies(&self, vhost: &str) -> bool {
        self.copies.load(Ordering::Relaxed) && self.is_copied(vhost)
    }

    #[cold]
    fn is_copied(&self, vhost: &str) -> bool {
        let copied = self.copied.read().unwrap_or_else(PoisonError::into_inner);
        copied.iter().any(|known| **known == *vhost)
    }

    /// What people call this node.
    pub(crate) fn node(&self) -> &str {
        &self.node
    }

    /// Tells an event to whoever listens.
    pub(crate) fn tell(&self, told: Told) {
        if self.tells_events() {
            let vhost = self.home.clone();
            self.print(told.bulletin(vhost));
        }
    }

    /// Has a bulletin published, unless too many wait.
    fn print(&self, bulletin: Bulletin) {
        let bytes = bulletin.body.len();
        let before = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before > WAITING_BYTES || self.waiting.try_send(bulletin).is_err() {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.counters.bulletins_dropped.add(1);
        }
    }
}

impl Inner {
    /// Has the catalog changed on behalf of `user`, and tells it to those who listen.
    pub(crate) async fn change(&self, user: &str, change: Change) -> Result<Outcome, ChangeError> {
        self.change_from(user, None, change).await
    }

    /// As [`Inner::change`], for a client that comes from there.
    pub(crate) async fn change_from(
        &self,
        user: &str,
        from: Option<IpAddr>,
        change: Change,
    ) -> Result<Outcome, ChangeError> {
        let asked = self.directory.look(|catalog| Feature::asked_for(catalog, &change));
        if let Some(feature) = asked {
            self.directory.require(feature)?;
        }
        let history = HistoryChange::of(&change);
        let outcome = self.carry_out(user, from, change).await?;
        if let Some(change) = history {
            self.see_to_history(change, &outcome).await?;
        }
        Ok(outcome)
    }

    async fn carry_out(
        &self,
        user: &str,
        from: Option<IpAddr>,
        change: Change,
    ) -> Result<Outcome, ChangeError> {
        self.check_room(user, &change).await?;
        // Whoever binds the first queue is told of that binding.
        let begins = matches!(&change, Change::Bind(binding) if *binding.source == *EVENT_EXCHANGE);
        if !begins && !self.press.tells_events() && self.auditor.get().is_none() {
            let outcome = self.directory.change(change).await?;
            self.count(&outcome);
            self.press.refresh(&self.directory);
            return Ok(outcome);
        }
        let foretold = self.directory.look(|catalog| Foretold::of(catalog, &change));
        let outcome = self.directory.change(change.clone()).await?;
        self.count(&outcome);
        self.press.refresh(&self.directory);
        let told = self.directory.look(|catalog| foretold.comes_true(catalog, &change, &outcome));
        for told in told {
            self.audit_change(user, from, &told).await;
            self.press.tell(told.by(user));
        }
        Ok(outcome)
    }

    fn count(&self, outcome: &Outcome) {
        let counters = &self.counters;
        match outcome {
            Outcome::QueueCreated(_) => {
                counters.queues_declared.add(1);
                counters.queues_created.add(1);
            }
            Outcome::QueueExists(_) => counters.queues_declared.add(1),
            Outcome::QueuesRemoved(queues) => {
                counters.queues_deleted.add(u64::try_from(queues.len()).unwrap_or(u64::MAX));
            }
            Outcome::Created
            | Outcome::Updated
            | Outcome::Unchanged
            | Outcome::Removed
            | Outcome::Missing
            | Outcome::Node(_)
            | Outcome::ExchangeCreated(_)
            | Outcome::ExchangeExists(_) => {}
        }
    }
}

/// What stands for a connection where RabbitMQ has the id of a process.
pub(crate) fn connection_id(catalog: &Catalog, owner: Owner) -> String {
    let node = catalog.node(owner.node).map_or("", |node| &*node.name);
    format!("<{node}.{}.{}.0>", owner.boot, owner.connection)
}
