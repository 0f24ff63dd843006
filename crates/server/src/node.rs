//! One node: put together, run, taken apart.
//!
//! The parts are built from the disk upwards and stopped in the opposite order. Whoever stops one
//! knows that nothing above it asks it for anything any more. A node answers on HTTP, and other
//! nodes' hellos, before it belongs to a cluster; what else it answers follows as its parts start.
//!
//! **Always holds:** nobody hears of a place in a cluster, or of a start in it, before the disk has it.
//!
//! **Not here:** what the parts do, and what the process is besides a node (`main.rs`).

mod life;
mod open;
mod place;

pub use life::run;

use std::future::Future;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use warren_broker::{Auditor, Broker, Envoy, Host, Parts};
use warren_consensus::{BootstrapError, Handler, Node as Consensus, Peers};
use warren_management::{Identity, Server, Surface};
use warren_rpc::{Desk, Dialer, Gate};
use warren_storage::{OpenError, StorageError, Store};
use warren_tls::TlsError;
use warren_types::GroupId;

use crate::audit::{self, AuditError, Ledger};
use crate::chaos::Chaos;
use crate::config::Config;
use crate::death;
use crate::doors::{Addresses, DoorError};
use crate::formation::seeds;
use crate::formation::talk::Candidate;
use crate::gauge::{Gauge, Marks};
use crate::identity::{Membership, Record, RecordError};
use crate::logging::{self, chain};
use crate::observer::{Observer, Operator};
use crate::process;
use crate::reception::Reception;
use crate::secure::Security;
use crate::settings::{self, Names};
use crate::telemetry::{Telemetry, TelemetryError};
use crate::version;

/// How long a part may take to stop, beyond what clients are given.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Why a node did not run, or did not end in order.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The record of who did what cannot be kept.
    #[error(transparent)]
    Audit(#[from] AuditError),
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
    /// The catalog's group was not made.
    #[error("group {} cannot be made", GroupId::CATALOG)]
    Bootstrap(#[from] BootstrapError),
    /// The broker did not start.
    #[error("the broker did not start")]
    Broker(#[from] warren_broker::StartError),
    /// Tools on this machine cannot be told how to reach the node.
    #[error("the files for local tools cannot be written")]
    Tools(#[source] io::Error),
    /// The file of definitions cannot be read.
    #[error("cannot read the definitions {path}")]
    Definitions {
        /// The file.
        path: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The definitions make no sense.
    #[error(transparent)]
    LoadDefinitions(#[from] warren_management::LoadError),
    /// Anybody could pass for another node.
    #[error(
        "other machines can reach {address} (peer), and nothing keeps strangers out: set \
         peers.secret, or certificates in [peers], or peers.insecure = true"
    )]
    Unguarded {
        /// Where other nodes connect.
        address: SocketAddr,
    },
    /// A certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The listeners cannot be used.
    #[error("the listeners cannot be used")]
    Handles(#[source] io::Error),
    /// Disk and memory cannot be watched.
    #[error("disk and memory cannot be watched")]
    Gauge(#[source] io::Error),
    /// Spans cannot be sent.
    #[error("messages cannot be traced")]
    Telemetry(#[from] TelemetryError),
    /// A second signal came while the node stopped.
    #[error("stopped at once by a second signal")]
    Hurried,
}

/// The parts of a node, as far as there are any.
struct Node {
    config: Config,
    names: Names,
    addresses: Addresses,
    /// What others call to reach it.
    advertised: String,
    record: Record,
    store: Store,
    candidate: Candidate,
    peers: Peers,
    desk: Arc<Desk<Handler, Host, Reception>>,
    reception: Arc<Reception>,
    consensus: Option<Consensus>,
    broker: Option<Broker>,
    gauge: Option<Gauge>,
    observer: Arc<Observer>,
    /// In all connections to other nodes, where the node may be broken on purpose.
    gate: Option<Gate>,
    /// The certificates in use.
    security: Security,
    /// Whatever listens.
    tasks: TaskTracker,
    /// Ends the listeners that are of use to the last.
    closing: CancellationToken,
}

impl Node {
    fn new(
        config: Config,
        store: Store,
        record: Record,
        addresses: Addresses,
        secret: String,
        operator: Operator,
    ) -> Self {
        let names = Names::new(&config);
        let identity = Identity {
            node_name: names.node.clone(),
            cluster_name: names.cluster.clone(),
            cluster_id: String::new(),
            version: version::VERSION.to_owned(),
            commit: version::COMMIT.to_owned(),
        };
        let data_dir = config.node.data_dir.clone();
        let security = operator.security.clone();
        let observer =
            Observer::new(identity, &addresses, secret, data_dir, store.clone(), operator);
        let (tasks, closing) = (TaskTracker::new(), CancellationToken::new());
        let gate = config.chaos.allowed.then(Gate::new);
        let dialer = gate.as_ref().map_or_else(Dialer::tcp, |gate| gate.dialer(Dialer::tcp()));
        let guard = security.guard();
        let dialer = if guard.is_open() { dialer } else { guard.dialer(dialer) };
        let peers = Peers::unknown_with_dialer(dialer);
        if let Some(gate) = &gate {
            let (tasks, closing) = (tasks.clone(), closing.clone());
            observer.set_chaos(Chaos::new(gate.clone(), store.clone(), tasks, closing));
        }
        let founded = record.membership.map(|membership| membership.founded());
        let candidate = Candidate::new(record.token, founded);
        let advertised =
            seeds::advertised(&config.node.advertise, addresses.peer, &process::host_name());
        Self {
            config,
            names,
            addresses,
            advertised,
            record,
            store,
            peers,
            gate,
            security,
            desk: Arc::new(Desk::new()),
            reception: Arc::new(Reception::new(candidate.clone())),
            candidate,
            consensus: None,
            broker: None,
            gauge: None,
            observer: Arc::new(observer),
            tasks,
            closing,
        }
    }

    /// Answers on HTTP from here on, also while the node starts.
    fn serve_http(&self, listener: TcpListener, surface: Surface) {
        let server = Server::new(Arc::clone(&self.observer));
        let closing = self.closing.clone();
        self.tasks.spawn(async move { server.serve(listener, surface, closing).await });
    }

    /// As [`Node::serve_http`], under TLS.
    fn serve_https(&self, listener: TcpListener, surface: Surface) {
        let server = Server::new(Arc::clone(&self.observer));
        let acceptor = self.security.web().expect("who listens has a certificate");
        let closing = self.closing.clone();
        self.tasks.spawn(async move {
            server.serve_tls(listener, acceptor, surface, closing).await;
        });
    }

    /// Answers other nodes from here on, as far as there is somebody to answer.
    fn serve_peers(&self, listener: TcpListener) {
        self.desk.set_cluster(Arc::clone(&self.reception));
        let (desk, closing) = (Arc::clone(&self.desk), self.closing.clone().cancelled_owned());
        let (gate, guard) = (self.gate.clone(), self.security.guard().clone());
        self.tasks.spawn(async move {
            // A node that its peers cannot reach would look alive to itself alone.
            let served = match (gate, guard.is_open()) {
                (Some(gate), true) => {
                    warren_rpc::serve_streams(gate.incoming(listener), desk, closing).await
                }
                (Some(gate), false) => {
                    let incoming = guard.incoming(gate.incoming(listener));
                    warren_rpc::serve_streams(incoming, desk, closing).await
                }
                (None, true) => warren_rpc::serve(listener, desk, closing).await,
                (None, false) => {
                    warren_rpc::serve_streams(guard.listen(listener), desk, closing).await
                }
            };
            if let Err(error) = served {
                death::end(&chain(&error));
            }
        });
    }

    /// Finds the node's cluster, starts groups and broker, and serves clients. Waits for other nodes,
    /// and for a leader of the catalog.
    async fn start(
        &mut self,
        amqp: TcpListener,
        amqps: Option<TcpListener>,
    ) -> Result<(), NodeError> {
        let membership = self.find_place().await?;
        let serving = CancellationToken::new();
        let _when_started = serving.clone().drop_guard();
        self.keep_finding(membership.founded(), serving);
        let settings = settings::broker(&self.config, &self.record, &self.names, &self.advertised);
        let parts = self.start_catalog(&membership, &settings).await?;
        self.reception.set_envoy(parts.envoy.clone());
        let broker = Broker::start(settings, parts).await?;
        self.desk.set_frontend(broker.frontend());
        self.broker = Some(broker.clone());
        if membership.founding {
            broker.founded().await;
            self.keep(Membership { founding: false, ..membership }).await?;
        }
        // The observer has the broker: whoever held both for good would keep the storage open.
        let observer = Arc::downgrade(&self.observer);
        let machine = move || observer.upgrade().map(|observer| observer.machine());
        broker.set_machine(move || machine().unwrap_or_default());
        self.watch(&broker)?;
        self.trace(&broker)?;
        self.audit(&broker)?;
        logging::copy_to(Some(broker.log_sink()));
        self.load_definitions(&broker).await?;
        let accepting = broker.clone();
        self.tasks.spawn(async move { accepting.serve(amqp).await });
        if let (Some(listener), Some(acceptor)) = (amqps, self.security.amqp()) {
            let accepting = broker.clone();
            self.tasks.spawn(async move { accepting.serve_tls(listener, acceptor).await });
        }
        self.observer.set_serving(broker);
        self.announce(membership);
        Ok(())
    }

    /// Has disk and memory watched from here on.
    fn watch(&mut self, broker: &Broker) -> Result<(), NodeError> {
        let marks = Marks::new(&self.config.limits);
        let data_dir = self.config.node.data_dir.clone();
        let gauge = Gauge::start(marks, data_dir, self.store.clone(), broker.clone());
        let gauge = gauge.map_err(NodeError::Gauge)?;
        self.observer.set_levels(gauge.levels());
        self.gauge = Some(gauge);
        Ok(())
    }

    /// Has messages traced from here on, if a collector is named.
    fn trace(&self, broker: &Broker) -> Result<(), NodeError> {
        let Some((telemetry, sender)) = Telemetry::new(&self.config.tracing, &self.names)? else {
            return Ok(());
        };
        tracing::info!(collector = %self.config.tracing.endpoint, "messages are traced");
        broker.set_tracer(telemetry.tracer());
        self.observer.set_telemetry(telemetry);
        self.tasks.spawn(sender.run(self.closing.clone()));
        Ok(())
    }

    /// Has a record kept of who does what from here on, if one is configured.
    fn audit(&self, broker: &Broker) -> Result<(), NodeError> {
        let audit = &self.config.audit;
        if audit.dir.is_empty() {
            return Ok(());
        }
        let record = Ledger::open(audit, &self.names.node)?;
        let (auditor, deeds) = Auditor::new();
        broker.set_auditor(auditor.clone());
        self.tasks.spawn(audit::run(record, auditor, deeds, self.closing.clone()));
        tracing::info!(dir = %audit.dir, "a record is kept of who does what");
        Ok(())
    }

    /// Brings in what the configuration names, before clients can miss it.
    async fn load_definitions(&self, broker: &Broker) -> Result<(), NodeError> {
        let path = &self.config.node.load_definitions;
        if path.is_empty() {
            return Ok(());
        }
        let failed = |source| NodeError::Definitions { path: path.clone(), source };
        let document = tokio::fs::read(path).await.map_err(failed)?;
        warren_management::load_definitions(broker, &document).await?;
        tracing::info!(%path, "definitions are brought in");
        Ok(())
    }

    /// Starts consensus, and the catalog with it: as its first node where the cluster is made, else
    /// with what is stored, or with nothing, and waits for the catalog's leader to take it in.
    #[expect(
        clippy::disallowed_methods,
        reason = "apply must not wait; what it says is bounded by what is proposed, and that is"
    )]
    async fn start_catalog(
        &mut self,
        membership: &Membership,
        settings: &warren_broker::Config,
    ) -> Result<Parts, NodeError> {
        let consensus = self.start_consensus();
        let (effects, catalog_effects) = mpsc::unbounded_channel();
        let catalog = consensus.start(GroupId::CATALOG, Default::default, effects).await?;
        let founding = membership.founding;
        if founding {
            catalog.bootstrap(&[(membership.identity.node, self.advertised.clone())]).await?;
        }
        let peers = self.peers.clone();
        let envoy = Envoy::new(settings, consensus.clone(), catalog.clone(), peers.clone());
        Ok(Parts { consensus, catalog, catalog_effects, peers, envoy, founding })
    }

    /// Starts consensus, without any group.
    fn start_consensus(&mut self) -> Consensus {
        let settings = settings::consensus(&self.config);
        let consensus = Consensus::new(self.store.clone(), self.peers.clone(), settings);
        consensus.on_fatal(|fatality| death::end(&fatality));
        self.desk.set_raft(consensus.handler());
        self.observer.set_consensus(consensus.clone());
        self.consensus = Some(consensus.clone());
        consensus
    }

    /// Says where the node serves, in one line on stdout, for whoever waits for it.
    fn announce(&self, membership: Membership) {
        let (addresses, identity) = (&self.addresses, membership.identity);
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
        logging::copy_to(None);
        if let Some(consensus) = &self.consensus {
            within(STOP_LIMIT, "consensus", consensus.shutdown()).await;
        }
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
