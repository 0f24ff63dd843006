//! One node: put together, run, taken apart.
//!
//! The parts are built from the disk upwards and stopped in the opposite order. Whoever stops one
//! knows that nothing above it asks it for anything any more.
//!
//! **Not here:** what the parts do, and what the process is besides a node (`main.rs`).

mod groups;
mod open;

use std::future::Future;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use warren_broker::Broker;
use warren_consensus::{BootstrapError, Node as Consensus, Peers};
use warren_management::{Identity, Server};
use warren_storage::{OpenError, StorageError, Store};
use warren_types::GroupId;

use crate::config::Config;
use crate::death;
use crate::doors::{Addresses, DoorError, Doors};
use crate::identity::{Record, RecordError};
use crate::logging::chain;
use crate::observer::Observer;
use crate::settings::{self, Names};
use crate::signals::Signals;
use crate::version;

/// How long a part may take to stop, beyond what clients are given.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Why a node did not run, or did not end in order.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The node was told to join a cluster.
    #[error("joining a cluster is not supported by this build: leave 'seeds' empty")]
    Seeds,
    /// Another process uses the data directory.
    #[error("the data directory {dir} is locked by another process{}", pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    Locked {
        /// The directory.
        dir: String,
        /// The process, if it is known.
        pid: Option<u32>,
    },
    /// The data directory cannot be opened.
    #[error(transparent)]
    Open(OpenError),
    /// The data directory cannot be read or written.
    #[error("the data directory cannot be used")]
    Storage(#[from] StorageError),
    /// The data directory does not say who the node is.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// An address cannot be listened on.
    #[error(transparent)]
    Door(#[from] DoorError),
    /// The system does not let the process hear of signals.
    #[error("signals cannot be caught")]
    Signals(#[source] io::Error),
    /// A group did not start.
    #[error(transparent)]
    Group(#[from] warren_consensus::StartError),
    /// A group was not made.
    #[error("group {group} cannot be made")]
    Bootstrap {
        /// The group.
        group: GroupId,
        /// Why.
        #[source]
        source: BootstrapError,
    },
    /// The broker did not start.
    #[error("the broker did not start")]
    Broker(#[from] warren_broker::StartError),
    /// A second signal came while the node stopped.
    #[error("stopped at once by a second signal")]
    Hurried,
}

/// Runs a node until a signal asks it to end.
///
/// # Errors
/// When it does not start, or is not allowed to end in order.
pub async fn run(config: &Config) -> Result<(), NodeError> {
    if !config.node.seeds.is_empty() {
        return Err(NodeError::Seeds);
    }
    let mut signals = Signals::catch().map_err(NodeError::Signals)?;
    let (store, record) = open::open(config).await?;
    let doors = Doors::open(&config.node).await?;
    let mut node = Node::new(config, store, record, doors.addresses);
    node.serve_http(doors.http);
    node.serve_http(doors.metrics);
    node.serve_peers(doors.peer);

    let outcome = tokio::select! {
        started = node.start(doors.amqp) => match started {
            Ok(()) => Ok(signals.next().await),
            Err(error) => Err(error),
        },
        signal = signals.next() => Ok(signal),
    };

    // What runs is stopped in order even when the rest did not start.
    let signal = outcome.as_ref().ok();
    tracing::info!(signal, "the node stops");
    tokio::select! {
        () = node.stop() => outcome.map(|_signal| ()),
        _ = signals.next() => Err(NodeError::Hurried),
    }
}

/// The parts of a node, as far as there are any.
struct Node<'a> {
    config: &'a Config,
    names: Names,
    record: Record,
    addresses: Addresses,
    store: Store,
    consensus: Consensus,
    broker: Option<Broker>,
    observer: Arc<Observer>,
    /// Whatever listens.
    tasks: TaskTracker,
    /// Ends the listeners that are of use to the last.
    closing: CancellationToken,
}

impl<'a> Node<'a> {
    fn new(config: &'a Config, store: Store, record: Record, addresses: Addresses) -> Self {
        let names = Names::new(config);
        let identity = Identity {
            node_name: names.node.clone(),
            cluster_name: names.cluster.clone(),
            cluster_id: record.identity.cluster.to_string(),
            version: version::VERSION.to_owned(),
            commit: version::COMMIT.to_owned(),
        };
        let observer = Observer::new(identity, config.node.data_dir.clone(), store.clone());
        let peers = Peers::new(record.identity);
        let consensus = Consensus::new(store.clone(), peers, settings::consensus(config));
        consensus.on_fatal(|fatality| death::end(&fatality));
        Self {
            config,
            names,
            record,
            addresses,
            store,
            consensus,
            broker: None,
            observer: Arc::new(observer),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
        }
    }

    /// Answers on HTTP from here on, also while the node starts.
    fn serve_http(&self, listener: TcpListener) {
        let server = Server::new(Arc::clone(&self.observer));
        let closing = self.closing.clone();
        self.tasks.spawn(async move { server.serve(listener, closing).await });
    }

    /// Answers other nodes from here on.
    fn serve_peers(&self, listener: TcpListener) {
        let (identity, handler) = (self.record.identity, self.consensus.handler());
        let closing = self.closing.clone().cancelled_owned();
        self.tasks.spawn(async move {
            // A node that its peers cannot reach would look alive to itself alone.
            if let Err(error) = warren_rpc::serve(listener, identity, handler, closing).await {
                death::end(&chain(&error));
            }
        });
    }

    /// Starts the groups and the broker, and serves clients. Waits for a leader of the catalog.
    async fn start(&mut self, amqp: TcpListener) -> Result<(), NodeError> {
        let (parts, views) = groups::start(&self.consensus, self.record.shards).await?;
        self.observer.set_groups(views);
        if !self.record.founded {
            groups::found(&parts, &self.record, self.addresses.peer).await?;
            self.record.founded = true;
            open::save(&self.store, self.record).await?;
        }
        let settings =
            settings::broker(self.config, &self.record, &self.names, self.addresses.peer);
        let broker = Broker::start(settings, parts).await?;
        let serving = broker.clone();
        self.tasks.spawn(async move { serving.serve(amqp).await });
        self.observer.set_serving(broker.clone());
        self.broker = Some(broker);
        self.announce();
        Ok(())
    }

    /// Says where the node serves, in one line on stdout, for whoever waits for it.
    fn announce(&self) {
        let Self { addresses, record, .. } = self;
        let identity = record.identity;
        tracing::info!(
            %addresses, cluster = %identity.cluster, node = %identity.node, boot = %identity.boot,
            "the node serves"
        );
        let mut stdout = io::stdout();
        // Nobody has to listen.
        let _said = writeln!(stdout, "ready {addresses}").and_then(|()| stdout.flush());
    }

    /// Stops all parts, the topmost first.
    async fn stop(&self) {
        self.observer.set_draining();
        if let Some(broker) = &self.broker {
            let drain_limit = Duration::from_millis(self.config.node.drain_timeout_ms);
            let limit = drain_limit.saturating_add(STOP_LIMIT);
            within(limit, "the broker", broker.drain(drain_limit)).await;
        }
        within(STOP_LIMIT, "consensus", self.consensus.shutdown()).await;
        self.closing.cancel();
        self.tasks.close();
        within(STOP_LIMIT, "the listeners", self.tasks.wait()).await;
        let store = self.store.clone();
        let closing = tokio::task::spawn_blocking(move || store.close());
        within(STOP_LIMIT, "the storage", async { drop(closing.await) }).await;
    }
}

/// Waits for `what` to stop, but not for ever: the process ends in any case, and what is on the
/// disk then is what a crash would leave, which is safe.
async fn within(limit: Duration, what: &str, stopping: impl Future<Output = ()>) {
    if tokio::time::timeout(limit, stopping).await.is_err() {
        tracing::warn!(what, ?limit, "not stopped in time");
    }
}
