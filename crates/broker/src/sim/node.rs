//! One node: what stays when it dies, and what runs.
//!
//! A node that dies is cut off in one moment: its network is torn, its disk is another's, its
//! clients hear nothing more. What is left of its tasks reaches nobody, and is told to end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::{AbortHandle, JoinHandle};
use tokio_stream::wrappers::UnboundedReceiverStream;
use warren_catalog::Catalog;
use warren_consensus::{Group, Handler, Node as Consensus, Peers};
use warren_queue::Shard;
use warren_rpc::{ClusterId, Desk, Identity, Incarnation, Join, JoinReply, serve_streams};
use warren_storage::{MemoryEngine, Store};
use warren_types::{BootId, GroupId, NodeId};

use super::chance::Chance;
use super::history::History;
use super::network::{Life, Network, Spot};
use super::wire::{self, Cut, Wire};
use crate::broker::{Broker, Parts};
use crate::cluster::Envoy;
use crate::cluster::clerk::Clerk;
use crate::config::{Config, InitialContent, Limits};
use crate::host::Host;

const CLUSTER: u128 = 7;

/// Shards of all runs.
pub(super) const SHARDS: u32 = 2;

/// How long a node may be silent before it is given up.
pub(super) const NODE_TIMEOUT: Duration = Duration::from_secs(3);

/// Bytes of rows in memory: few, so that bodies are read from the disk as well.
const RECENT_BYTES: usize = 16 * 1024;

/// A node, whether it runs or not.
pub(super) struct Home {
    spot: Spot,
    disk: MemoryEngine,
    life: Life,
    id: Arc<Mutex<Option<NodeId>>>,
    alive: Option<Alive>,
}

/// What runs of a node.
struct Alive {
    dead: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    tasks: Vec<AbortHandle>,
    cuts: Arc<Mutex<Vec<Cut>>>,
}

/// What there is of a node that comes up.
#[derive(Default)]
struct Seen {
    consensus: Option<Consensus>,
    serving: Option<Serving>,
}

/// A node that serves.
#[derive(Clone)]
pub(super) struct Serving {
    pub(super) id: NodeId,
    pub(super) broker: Broker,
    pub(super) consensus: Consensus,
    pub(super) catalog: Group<Catalog>,
}

/// What a life of a node is made with.
struct Birth {
    dead: Arc<AtomicBool>,
    history: History,
    spot: Spot,
    life: Life,
    disk: MemoryEngine,
    network: Network,
    id: Arc<Mutex<Option<NodeId>>>,
    seen: Arc<Mutex<Seen>>,
}

impl Serving {
    /// Its replica of a shard, if it has one.
    pub(super) fn shard(&self, group: GroupId) -> Option<Group<Shard>> {
        let shards = &self.broker.inner().shards;
        shards.at(shards.of_group(group)?).whereabouts().group()
    }
}

impl Home {
    pub(super) fn new(spot: Spot) -> Self {
        let disk = MemoryEngine::new();
        Self { spot, disk, life: 0, id: Arc::default(), alive: None }
    }

    pub(super) fn is_up(&self) -> bool {
        self.alive.is_some()
    }

    /// Which of its starts this is.
    pub(super) fn life(&self) -> Life {
        self.life
    }

    /// The node, once it serves.
    pub(super) fn serving(&self) -> Option<Serving> {
        self.alive.as_ref()?.seen.lock().unwrap().serving.clone()
    }

    /// Starts it, for the first time or again.
    pub(super) fn start(&mut self, network: &Network, history: &History) {
        assert!(!self.is_up(), "it runs");
        self.life += 1;
        let dead: Arc<AtomicBool> = Arc::default();
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let birth = Birth {
            dead: dead.clone(),
            history: history.clone(),
            spot: self.spot,
            life: self.life,
            disk: self.disk.clone(),
            network: network.clone(),
            id: self.id.clone(),
            seen: seen.clone(),
        };
        let desk = Arc::new(Desk::new());
        let accepted = UnboundedReceiverStream::new(network.up(self.spot, self.life));
        let serving = serve_streams(accepted, Arc::clone(&desk), std::future::pending());
        let serving = tokio::spawn(async move { drop(serving.await) });
        let starting: JoinHandle<()> = tokio::spawn(birth.run(desk));
        let tasks = vec![serving.abort_handle(), starting.abort_handle()];
        self.alive = Some(Alive { dead, seen, tasks, cuts: Arc::default() });
    }

    /// Its disk says from here on that it has synced, and has not.
    pub(super) fn lie(&self) {
        self.disk.lie_about_syncs(true);
    }

    /// Ends it as a power cut does: of what was written and not synced, some is there.
    pub(super) fn crash(&mut self, network: &Network, mut chance: Chance) {
        let alive = self.alive.take().expect("it runs");
        alive.dead.store(true, Ordering::Relaxed);
        network.down(self.spot);
        let kept = chance.index(self.disk.unsynced_batches() + 1);
        self.disk = self.disk.crash_keeping(kept);
        for cut in alive.cuts.lock().unwrap().drain(..) {
            cut.cut();
        }
        for task in alive.tasks {
            task.abort();
        }
        let Seen { consensus, serving } = std::mem::take(&mut *alive.seen.lock().unwrap());
        if let Some(serving) = serving {
            serving.broker.inner().stopping().cancel();
        }
        if let Some(consensus) = consensus {
            tokio::spawn(async move { consensus.shutdown().await });
        }
    }

    /// A client's connection, of which nothing has been said.
    pub(super) fn connect(&self) -> Option<Wire> {
        let serving = self.serving()?;
        let (client, served, cut) = wire::connection();
        self.alive.as_ref()?.cuts.lock().unwrap().push(cut);
        let peer = ([127, 0, 0, 1], 1).into();
        tokio::spawn(crate::connection::serve(serving.broker.inner().clone(), served, peer));
        Some(client)
    }
}

impl Birth {
    async fn run(self, desk: Arc<Desk<Handler, Host, Clerk>>) {
        let peers = Peers::unknown_with_dialer(self.network.dialer(self.spot, self.life));
        let known = *self.id.lock().unwrap();
        let id = match known {
            Some(id) => id,
            None if self.spot == 1 => NodeId(1),
            None => self.join(&peers).await.node,
        };
        *self.id.lock().unwrap() = Some(id);
        let founding = known.is_none() && self.spot == 1;
        let identity = Identity {
            cluster: ClusterId(CLUSTER),
            incarnation: Incarnation(1),
            node: id,
            boot: BootId(self.life),
        };
        peers.set_identity(identity);
        desk.set_identity(identity);
        let config = self.config(id);
        let parts = self.parts(&config, &desk, peers, founding).await;
        let (consensus, catalog) = (parts.consensus.clone(), parts.catalog.clone());
        let broker = Broker::start(config, parts).await.expect("the catalog takes it in");
        desk.set_frontend(broker.frontend());
        if founding {
            broker.founded().await;
        }
        self.seen.lock().unwrap().serving = Some(Serving { id, broker, consensus, catalog });
    }

    #[expect(clippy::disallowed_methods, reason = "runs are short")]
    async fn parts(
        &self,
        config: &Config,
        desk: &Desk<Handler, Host, Clerk>,
        peers: Peers,
        founding: bool,
    ) -> Parts {
        let settings = warren_storage::Config { recent_bytes: RECENT_BYTES, ..Default::default() };
        let asked = Arc::new(Notify::new());
        let wake = Arc::clone(&asked);
        let wake = Box::new(move || wake.notify_one());
        let store = Store::on_demand(Box::new(self.disk.clone()), settings, wake);
        tokio::spawn(write(store.clone(), asked, self.network.branch()));
        let consensus = Consensus::new(store, peers.clone(), consensus_config());
        let (dead, history, spot) = (self.dead.clone(), self.history.clone(), self.spot);
        consensus.on_fatal(move |fatality| {
            if !dead.load(Ordering::Relaxed) {
                history.fault(format!("node {spot} cannot go on: {fatality}"));
            }
        });
        self.seen.lock().unwrap().consensus = Some(consensus.clone());
        desk.set_raft(consensus.handler());
        let (effects, catalog_effects) = mpsc::unbounded_channel();
        let catalog = consensus.start(GroupId::CATALOG, Default::default, effects).await;
        let catalog = catalog.expect("the catalog starts");
        if founding {
            let voters = [(config.node, config.peer_address.clone())];
            catalog.bootstrap(&voters).await.expect("a group of one");
        }
        let envoy = Envoy::new(config, consensus.clone(), catalog.clone(), peers.clone());
        desk.set_cluster(Arc::new(Clerk(envoy.clone())));
        Parts { consensus, catalog, catalog_effects, peers, envoy, founding }
    }

    async fn join(&self, peers: &Peers) -> JoinReply {
        loop {
            let join = Join {
                token: self.token(),
                name: format!("n{}", self.spot),
                address: Network::address(self.spot),
                zone: String::new(),
            };
            let limit = Duration::from_secs(10);
            if let Ok(reply) = peers.join(&Network::address(1), join, limit).await {
                return reply;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn token(&self) -> u128 {
        u128::try_from(self.spot).expect("small")
    }

    fn config(&self, node: NodeId) -> Config {
        Config {
            node,
            boot: BootId(self.life),
            node_name: format!("n{}", self.spot),
            cluster: CLUSTER,
            token: self.token(),
            peer_address: Network::address(self.spot),
            zone: String::new(),
            shards: SHARDS,
            replication_factor: 3,
            node_timeout: NODE_TIMEOUT,
            replace_after: Duration::from_secs(3600),
            lead_return_after: Duration::from_secs(2),
            cluster_name: "c".to_owned(),
            initial: InitialContent::default(),
            limits: Limits { operation_timeout: Duration::from_secs(3600), ..Limits::default() },
            local_shards: 1,
        }
    }
}

fn consensus_config() -> warren_consensus::Config {
    warren_consensus::Config {
        heartbeat_ms: 200,
        election_min_ms: 1000,
        election_max_ms: 2000,
        keep_entries: 20,
        keep_bytes: 64 * 1024,
        snapshot_after_entries: 500,
        ..warren_consensus::Config::default()
    }
}

/// A disk that takes its time: what waits for it when the node dies is lost.
async fn write(store: Store, asked: Arc<Notify>, mut chance: Chance) {
    loop {
        asked.notified().await;
        let slow = chance.percent(2);
        tokio::time::sleep(if slow { chance.millis(5..60) } else { chance.millis(0..3) }).await;
        store.write_waiting();
    }
}

/// The nodes, by their places.
pub(super) type Homes = BTreeMap<Spot, Home>;
