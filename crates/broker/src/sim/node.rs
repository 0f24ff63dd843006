//! One node: what stays when it dies, and what runs.
//!
//! A node that dies is cut off in one moment: its network is torn, its disk is another's, its
//! clients hear nothing more. What is left of its tasks reaches nobody, and is told to end. A node
//! whose disk is lost comes back as somebody else at the same place.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
use super::plan::Settings;
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

/// A node, whether it runs or not.
pub(super) struct Home {
    spot: Spot,
    settings: Settings,
    disk: MemoryEngine,
    /// How its disk is at the moment.
    health: Arc<Health>,
    /// Disks that it has had.
    disks: u64,
    life: Life,
    /// Starts with this disk.
    boot: BootId,
    id: Arc<Mutex<Option<NodeId>>>,
    alive: Option<Alive>,
    /// Whether it is meant to be part of the cluster.
    pub(super) belongs: bool,
    /// Whether somebody is doing something to it.
    pub(super) claimed: bool,
    /// Whether clients may come.
    pub(super) open: bool,
}

/// How a disk is at the moment.
#[derive(Default)]
pub(super) struct Health {
    /// Nothing that is written comes to an end.
    hung: AtomicBool,
    /// What a write takes at most, in milliseconds, where it is slow.
    slow_ms: AtomicU64,
    change: Notify,
}

impl Health {
    /// From here on nothing that is written comes to an end, or all of it does.
    pub(super) fn hang(&self, hung: bool) {
        self.hung.store(hung, Ordering::Relaxed);
        self.change.notify_waiters();
    }

    /// From here on a write takes up to so long; nothing is as usual.
    pub(super) fn slow(&self, slow_ms: u64) {
        self.slow_ms.store(slow_ms, Ordering::Relaxed);
    }

    async fn write(&self, chance: &mut Chance) {
        let slow_ms = self.slow_ms.load(Ordering::Relaxed);
        let pause = if slow_ms > 0 {
            chance.millis(0..slow_ms)
        } else if chance.percent(2) {
            chance.millis(5..60)
        } else {
            chance.millis(0..3)
        };
        tokio::time::sleep(pause).await;
        loop {
            let changed = self.change.notified();
            if !self.hung.load(Ordering::Relaxed) {
                return;
            }
            changed.await;
        }
    }
}

/// What runs of a node.
struct Alive {
    dead: Arc<AtomicBool>,
    ending: Arc<AtomicBool>,
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
    /// Its process is about to end by itself.
    ending: Arc<AtomicBool>,
    history: History,
    spot: Spot,
    life: Life,
    boot: BootId,
    /// Which of its disks it is, so what the catalog knows it by.
    token: u128,
    disk: MemoryEngine,
    health: Arc<Health>,
    settings: Settings,
    network: Network,
    /// Where there may be nodes of the cluster.
    seeds: Vec<Spot>,
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
    pub(super) fn new(spot: Spot, settings: Settings) -> Self {
        Self {
            spot,
            settings,
            disk: MemoryEngine::new(),
            health: Arc::default(),
            disks: 1,
            life: 0,
            boot: BootId(0),
            id: Arc::default(),
            alive: None,
            belongs: false,
            claimed: false,
            open: true,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.alive.is_some()
    }

    /// Whether its process is about to end by itself.
    pub(super) fn is_ending(&self) -> bool {
        self.alive.as_ref().is_some_and(|alive| alive.ending.load(Ordering::Relaxed))
    }

    /// Which of its starts this is.
    pub(super) fn life(&self) -> Life {
        self.life
    }

    /// Which start with its disk this is.
    pub(super) fn boot(&self) -> BootId {
        self.boot
    }

    /// Who it is, once it has joined.
    pub(super) fn id(&self) -> Option<NodeId> {
        *self.id.lock().unwrap()
    }

    /// Its disk.
    pub(super) fn health(&self) -> Arc<Health> {
        self.health.clone()
    }

    /// The node, once it serves.
    pub(super) fn serving(&self) -> Option<Serving> {
        self.alive.as_ref()?.seen.lock().unwrap().serving.clone()
    }

    /// Starts it, for the first time or again.
    pub(super) fn start(&mut self, network: &Network, seeds: Vec<Spot>, history: &History) {
        assert!(!self.is_up(), "it runs");
        self.life += 1;
        self.boot = BootId(self.boot.0 + 1);
        self.health = Arc::default();
        let (dead, ending): (Arc<AtomicBool>, Arc<AtomicBool>) = Default::default();
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let birth = Birth {
            dead: dead.clone(),
            ending: ending.clone(),
            history: history.clone(),
            spot: self.spot,
            life: self.life,
            boot: self.boot,
            token: u128::from(self.disks) << 8 | u128::try_from(self.spot).expect("few"),
            disk: self.disk.clone(),
            health: self.health.clone(),
            settings: self.settings.clone(),
            network: network.clone(),
            seeds,
            id: self.id.clone(),
            seen: seen.clone(),
        };
        let desk = Arc::new(Desk::new());
        let accepted = UnboundedReceiverStream::new(network.up(self.spot, self.life));
        let serving = serve_streams(accepted, Arc::clone(&desk), std::future::pending());
        let serving = tokio::spawn(async move { drop(serving.await) });
        let starting: JoinHandle<()> = tokio::spawn(birth.run(desk));
        let tasks = vec![serving.abort_handle(), starting.abort_handle()];
        self.alive = Some(Alive { dead, ending, seen, tasks, cuts: Arc::default() });
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
        alive.cut_clients();
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

    /// Its disk is lost: whoever starts here next begins with an empty one.
    pub(super) fn wipe(&mut self) {
        assert!(!self.is_up(), "it runs");
        self.disk = MemoryEngine::new();
        self.disks += 1;
        (self.boot, self.id) = (BootId(0), Arc::default());
    }

    /// Its clients lose their connections.
    pub(super) fn cut_clients(&self) {
        if let Some(alive) = &self.alive {
            alive.cut_clients();
        }
    }

    /// A client's connection, of which nothing has been said.
    pub(super) fn connect(&self) -> Option<Wire> {
        let serving = self.serving().filter(|_| self.open)?;
        let (client, served, cut) = wire::connection();
        self.alive.as_ref()?.cuts.lock().unwrap().push(cut);
        let peer = ([127, 0, 0, 1], 1).into();
        tokio::spawn(crate::connection::serve(serving.broker.inner().clone(), served, peer));
        Some(client)
    }
}

impl Alive {
    fn cut_clients(&self) {
        for cut in self.cuts.lock().unwrap().drain(..) {
            cut.cut();
        }
    }
}

impl Birth {
    async fn run(self, desk: Arc<Desk<Handler, Host, Clerk>>) {
        let peers = Peers::unknown_with_dialer(self.network.dialer(self.spot, self.life));
        let known = *self.id.lock().unwrap();
        let id = match known {
            Some(id) => id,
            None if self.life == 1 && self.spot == 1 => NodeId(1),
            None => self.join(&peers).await.node,
        };
        *self.id.lock().unwrap() = Some(id);
        let founding = known.is_none() && self.life == 1 && self.spot == 1;
        let identity = Identity {
            cluster: ClusterId(CLUSTER),
            incarnation: Incarnation(1),
            node: id,
            boot: self.boot,
        };
        peers.set_identity(identity);
        desk.set_identity(identity);
        let config = self.config(id);
        let parts = self.parts(&config, &desk, peers, founding).await;
        let (consensus, catalog) = (parts.consensus.clone(), parts.catalog.clone());
        let broker = match Broker::start(config, parts).await {
            Ok(broker) => broker,
            // It was forgotten while it was down: it says so, and its process ends.
            Err(error) => {
                self.ending.store(true, Ordering::Relaxed);
                return self.history.note(format!("{} does not start: {error}", self.spot));
            }
        };
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
        let recent_bytes = self.settings.recent_bytes;
        let settings = warren_storage::Config { recent_bytes, ..Default::default() };
        let asked = Arc::new(Notify::new());
        let wake = Arc::clone(&asked);
        let wake = Box::new(move || wake.notify_one());
        let store = Store::on_demand(Box::new(self.disk.clone()), settings, wake);
        let health = self.health.clone();
        tokio::spawn(write(store.clone(), asked, health, self.network.branch()));
        let consensus = Consensus::new(store, peers.clone(), self.settings.consensus.clone());
        let (dead, history, spot) = (self.dead.clone(), self.history.clone(), self.spot);
        let ending = self.ending.clone();
        consensus.on_fatal(move |fatality| {
            if fatality.text.contains("forgotten") {
                history.note(format!("node {spot} ends: {fatality}"));
                ending.store(true, Ordering::Relaxed);
            } else if !dead.load(Ordering::Relaxed) {
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

    /// Asks one node after the other to be taken in.
    async fn join(&self, peers: &Peers) -> JoinReply {
        loop {
            for seed in &self.seeds {
                let join = Join {
                    token: self.token,
                    name: format!("n{}", self.spot),
                    address: Network::address(self.spot),
                    zone: String::new(),
                };
                let limit = Duration::from_secs(10);
                if let Ok(reply) = peers.join(&Network::address(*seed), join, limit).await {
                    return reply;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn config(&self, node: NodeId) -> Config {
        Config {
            node,
            boot: self.boot,
            node_name: format!("n{}", self.spot),
            cluster: CLUSTER,
            token: self.token,
            peer_address: Network::address(self.spot),
            zone: String::new(),
            shards: SHARDS,
            replication_factor: 3,
            node_timeout: NODE_TIMEOUT,
            replace_after: Duration::from_secs(3600),
            lead_return_after: Duration::from_secs(self.settings.lead_return_s),
            cluster_name: "c".to_owned(),
            initial: InitialContent::default(),
            limits: Limits { operation_timeout: Duration::from_secs(3600), ..Limits::default() },
            auth: warren_auth::Settings::default(),
            local_shards: 1,
        }
    }
}

/// A disk that takes its time: what waits for it when the node dies is lost.
async fn write(store: Store, asked: Arc<Notify>, health: Arc<Health>, mut chance: Chance) {
    loop {
        asked.notified().await;
        health.write(&mut chance).await;
        store.write_waiting();
    }
}

/// The nodes, by their places.
pub(super) type Homes = BTreeMap<Spot, Home>;
