//! The broker on one node: what its connections share.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustc_hash::FxHashSet;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use warren_catalog::{
    Catalog, ClusterId, Command as Change, Effect as CatalogEffect, FirstUser, Owner, Placement,
    Queue, RegisterNode, first_start,
};
use warren_consensus::{Group, Node as Consensus, Peers, Performed};
use warren_queue::{Command, Effect, Shard};
use warren_rpc::{Distress, Place};
use warren_types::{BootId, GroupId, NodeId, QueueId, SessionId};

use crate::admin::AdminError;
use crate::audit::Auditor;
use crate::cluster::{
    Cluster, ClusterOverview, ClusterParts, Envoy, ReplicaEvent, Sights, Starts, forgotten,
};
use crate::config::{Config, InitialContent, Limits};
use crate::connection::ToConnection;
use crate::counters::{Counters, Totals};
use crate::directory::{Directory, name};
use crate::doorkeeper::Doorkeeper;
use crate::feature::SPEAKS;
use crate::host::Host;
use crate::janitor::{Chore, Janitor};
use crate::maintenance;
use crate::placement::{self, Candidate, Locator};
use crate::press::{EVENT_EXCHANGE, LOG_EXCHANGE, Press};
use crate::pressure::{self, Pressure};
use crate::queue::effects::Performer;
use crate::queue::handle::{Event, ShardHandle, ShardSlot};
use crate::queue::link::Links;
use crate::queue::local::LocalShard;
use crate::queue::shard::{Home, ShardTask, Ways};
use crate::queue::whereabouts::Whereabouts;
use crate::registry::{ConnectionId, Registry};
use crate::shards::Shards;
use crate::stream::Books;
use crate::survey::Sight;
use crate::throughput::Throughput;
use crate::traces::Tracer;
use crate::undertaker::{Burial, Undertaker};

/// Between two looks whether all groups are made.
const FOUNDING_PAUSE: Duration = Duration::from_millis(5);

/// How long handing over the leaderships may take when the node stops.
const HAND_OVER_LIMIT: Duration = Duration::from_secs(5);

/// How long the cluster may take to hear that the node stops.
const FAREWELL_LIMIT: Duration = Duration::from_secs(2);

/// One replica of a shard, as the broker is given it.
pub(crate) struct ShardPart {
    /// Its group.
    pub(crate) group: Group<Shard>,
    /// Which group that is.
    pub(crate) id: GroupId,
    /// What it says must happen.
    pub(crate) effects: mpsc::UnboundedReceiver<Performed<Effect>>,
}

/// What the broker works with.
pub struct Parts {
    /// Consensus on this node; the broker starts and stops the shards' replicas.
    pub consensus: Consensus,
    /// The catalog.
    pub catalog: Group<Catalog>,
    /// What it says must happen.
    pub catalog_effects: mpsc::UnboundedReceiver<Performed<CatalogEffect>>,
    /// The other nodes.
    pub peers: Peers,
    /// What answers the other nodes' calls; it is told what the broker knows of the cluster.
    pub envoy: Envoy,
    /// Whether this node makes the cluster, and so its groups.
    pub founding: bool,
}

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The catalog refused what every start asks of it.
    #[error("the catalog refused: {0}")]
    Refused(String),
    /// Nobody could be asked who a client is.
    #[error("clients cannot be known")]
    Auth(#[from] warren_auth::SettingsError),
    /// It belongs to no cluster any more.
    #[error("{}", forgotten::FORGOTTEN)]
    Forgotten,
}

/// What all tasks of the broker share.
pub(crate) struct Inner {
    pub(crate) config: Arc<Config>,
    /// What clients may use up; at first as the configuration has it.
    limits: ArcSwap<Limits>,
    pub(crate) session: SessionId,
    pub(crate) directory: Directory,
    pub(crate) registry: Registry,
    pub(crate) counters: Arc<Counters>,
    pub(crate) doorkeeper: Doorkeeper,
    /// Who keeps a record of who does what, if anybody does.
    pub(crate) auditor: OnceLock<Auditor>,
    pub(crate) peers: Peers,
    pub(crate) links: Links,
    pub(crate) shards: Shards,
    /// What is remembered for operators.
    pub(crate) sight: Sight,
    /// What the broker itself publishes.
    pub(crate) press: Press,
    /// What passes through exchanges.
    pub(crate) throughput: Throughput,
    /// Who reads streams here.
    pub(crate) books: Books,
    /// Where the spans of traced messages go, if messages are traced.
    pub(crate) tracer: OnceLock<Tracer>,
    cluster: Cluster,
    pub(crate) pressure: Pressure,
    /// Where the next local queue goes.
    next_local: AtomicUsize,
    /// Names for uploads of large bodies.
    next_upload: AtomicU64,
    /// Queues whose shard has been asked to make them.
    ensured: RwLock<FxHashSet<QueueId>>,
    chores: mpsc::UnboundedSender<Chore>,
    ready: AtomicBool,
    /// Whether the node is out of service until further notice.
    pub(crate) suspended: watch::Sender<bool>,
    /// Cancelled when clients are to be sent away.
    draining: CancellationToken,
    /// Ends all tasks, once no connection needs them.
    stop: CancellationToken,
    pub(crate) connections: TaskTracker,
    tasks: TaskTracker,
}

impl Inner {
    /// The shard at `slot`.
    pub(crate) fn shard(&self, slot: ShardSlot) -> &ShardHandle {
        self.shards.at(slot)
    }

    /// The shard that another node means by `place`, on this node.
    pub(crate) fn shard_here(&self, place: Place) -> Option<&ShardHandle> {
        self.shards.here(place)
    }

    /// Where a queue is reached; `None` when its node has gone with it.
    pub(crate) fn slot_of(&self, placement: &Placement) -> Option<ShardSlot> {
        match *placement {
            Placement::Shard(group) => self.shards.of_group(group),
            Placement::Local { node, boot, slot } if node == self.session.node => {
                (boot == self.session.boot).then(|| self.shards.of_memory(slot)).flatten()
            }
            Placement::Local { node, boot, slot } => {
                self.shards.elsewhere(node, boot, slot, |at| self.speak_to(node, boot, slot, at))
            }
        }
    }

    /// Starts to speak to a shard in another node's memory.
    fn speak_to(&self, node: NodeId, boot: BootId, slot: u16, at: ShardSlot) -> ShardHandle {
        let place = Place::Local { boot, slot };
        let whereabouts = Arc::new(Whereabouts::new(self.peers.clone(), place));
        let (handle, inbox) = ShardHandle::new(whereabouts.clone());
        // What lives in another node's memory is performed there.
        #[expect(clippy::disallowed_methods, reason = "nothing is ever sent")]
        let (undertaker, _nobody) = mpsc::unbounded_channel();
        let registry = self.registry.clone();
        let performer = Performer::new(at, self.session, registry, self.chores.clone(), undertaker);
        let home = Home::Memory { node, boot, slot };
        let ways = Ways {
            links: self.links.clone(),
            directory: self.directory.clone(),
            counters: self.counters.clone(),
        };
        let task = ShardTask::new(home, self.session, inbox, performer, whereabouts, ways);
        self.tasks.spawn(task.run(self.stop.clone()));
        handle
    }

    /// Where a queue that is to be declared shall go.
    pub(crate) fn place(&self, durable: bool, exclusive: bool, locator: Locator) -> Placement {
        if durable && !exclusive {
            return Placement::Shard(self.shard_for_queue(locator));
        }
        let locals = self.shards.local().len().max(1);
        let next = self.next_local.fetch_add(1, Ordering::Relaxed);
        let slot = next.checked_rem(locals).unwrap_or_default();
        let slot = u16::try_from(slot).expect("a node has fewer than 65,536 local shards");
        Placement::Local { node: self.session.node, boot: self.session.boot, slot }
    }

    fn shard_for_queue(&self, locator: Locator) -> GroupId {
        let candidates: Vec<Candidate> = self.directory.look(|catalog| {
            let shards = self.shards.replicated().map(|(group, _, shard)| Candidate {
                queues: catalog.queue_count_of_group(group),
                leads_here: shard.whereabouts().leads_here(),
                group,
            });
            shards.collect()
        });
        placement::chosen(&candidates, locator).expect("a cluster has at least one shard")
    }

    /// Has the queue's shard make it, unless it was asked before. Whatever is sent to the shard
    /// afterwards finds the queue there.
    pub(crate) fn ensure(&self, queue: &Queue) -> Option<ShardSlot> {
        let slot = self.slot_of(&queue.placement)?;
        let known = self.ensured.read().unwrap_or_else(PoisonError::into_inner);
        if known.contains(&queue.id) {
            return Some(slot);
        }
        drop(known);
        // The command is sent under the lock, so that whoever sees the mark comes after it.
        let mut known = self.ensured.write().unwrap_or_else(PoisonError::into_inner);
        if known.insert(queue.id) {
            let settings = crate::queue::settings_of(&self.directory, queue);
            self.shard(slot).tell(&Command::CreateQueue { queue: queue.id, settings });
        }
        Some(slot)
    }

    /// Remembers that the shard has the queue.
    pub(crate) fn note_ensured(&self, queue: QueueId) {
        self.ensured.write().unwrap_or_else(PoisonError::into_inner).insert(queue);
    }

    /// Forgets a queue that has ended.
    pub(crate) fn forget_ensured(&self, queue: QueueId) {
        self.ensured.write().unwrap_or_else(PoisonError::into_inner).remove(&queue);
    }

    /// Whether the node of `session` answers, as the same start.
    pub(crate) async fn lives(&self, session: SessionId) -> bool {
        self.cluster.lives(session).await
    }

    /// Has the cluster forget this node.
    ///
    /// # Errors
    /// When the others cannot do without it, or do not answer.
    pub(crate) async fn leave_cluster(&self) -> Result<(), AdminError> {
        self.cluster.leave().await
    }

    /// What this node runs out of, from here on.
    pub(crate) fn set_distress(&self, distress: Distress) {
        self.cluster.set_distress(distress);
    }

    /// What `node` runs out of, as far as is known.
    pub(crate) fn distress_of(&self, node: NodeId) -> Distress {
        self.cluster.distress_of(node)
    }

    /// What all nodes run out of: the others, and this one.
    pub(crate) fn distress_changes(
        &self,
    ) -> (watch::Receiver<Arc<Sights>>, watch::Receiver<Distress>) {
        (self.cluster.neighbours().sights(), self.cluster.distress_changes())
    }

    /// A stream to `node` broke: it may be gone.
    pub(crate) fn suspect(&self, node: NodeId) {
        self.cluster.neighbours().suspect(node);
    }

    /// Runs a task until the broker stops.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Tells when all tasks are to end.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.stop
    }

    /// A name for an upload that no other has.
    pub(crate) fn upload(&self) -> u64 {
        self.next_upload.fetch_add(1, Ordering::Relaxed)
    }

    /// Owner of exclusive queues: one connection of this start of this node.
    pub(crate) fn owner(&self, connection: ConnectionId) -> Owner {
        Owner {
            node: self.session.node,
            boot: self.session.boot,
            connection: u64::from(connection.0),
        }
    }

    /// Leaves something to the janitor.
    pub(crate) fn chore(&self, chore: Chore) {
        drop(self.chores.send(chore));
    }

    /// Whether clients are served.
    pub(crate) fn is_serving(&self) -> bool {
        self.ready.load(Ordering::Relaxed) && !*self.suspended.borrow()
    }

    /// What clients may use up at the moment.
    pub(crate) fn limits(&self) -> Arc<Limits> {
        self.limits.load_full()
    }

    /// Tells when clients are to be sent away.
    pub(crate) fn draining(&self) -> &CancellationToken {
        &self.draining
    }
}

/// What can be said about the broker at a glance.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    /// Whether clients are served.
    pub ready: bool,
    /// Client connections there are.
    pub connections: u64,
    /// Virtual hosts there are.
    pub vhosts: u64,
    /// Queues there are.
    pub queues: u64,
    /// Exchanges there are.
    pub exchanges: u64,
    /// Messages that wait in queues that this node leads.
    pub messages_ready: u64,
    /// Messages of queues that this node leads that consumers hold.
    pub messages_unacknowledged: u64,
    /// How the cluster is, as this node sees it.
    pub cluster: ClusterOverview,
    /// What was done since the start.
    pub totals: Totals,
}

/// The broker on one node. Cheap to clone.
#[derive(Clone)]
pub struct Broker {
    inner: Arc<Inner>,
    host: Arc<Host>,
}

impl Broker {
    /// Starts the tasks, makes this start of the node known, and fills an empty catalog.
    ///
    /// Waits for as long as the catalog has no leader.
    ///
    /// # Errors
    /// When the catalog refuses what every start asks of it, or the cluster has forgotten this node.
    pub async fn start(config: Config, parts: Parts) -> Result<Self, StartError> {
        let Parts { consensus, catalog, catalog_effects, peers, envoy, founding } = parts;
        let config = Arc::new(config);
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let session = SessionId { node: config.node, boot: config.boot };
        let doorkeeper = Doorkeeper::new(&config.auth)?;
        let (directory, proposer) = Directory::new(catalog.clone(), peers.clone());
        tasks.spawn(proposer.run(stop.clone()));
        let starts = Starts::again(&consensus, &directory, config.boot);
        come_in(&directory, &peers, &config).await?;

        let links = Links::new(peers.clone(), tasks.clone(), stop.clone());
        let common = Common {
            session,
            registry: Registry::default(),
            counters: Arc::default(),
            links: links.clone(),
            directory: directory.clone(),
            peers: peers.clone(),
            stop: stop.clone(),
            tasks: tasks.clone(),
        };
        #[expect(clippy::disallowed_methods, reason = "a chore follows from a committed change")]
        let (chores, chores_due) = mpsc::unbounded_channel();
        let (shards, undertakers) = common.start_shards(&config, &chores);

        #[expect(clippy::disallowed_methods, reason = "a node has few shards, and few sessions")]
        let (replica_events, replicas) = mpsc::unbounded_channel();
        #[expect(clippy::disallowed_methods, reason = "a node has few shards, and few sessions")]
        let (dead_sessions, dead) = mpsc::unbounded_channel();
        let heard = (replica_events, dead_sessions);
        let cluster = common.start_cluster(&config, consensus, catalog, (founding, starts), heard);
        envoy.attach(&cluster);
        let Common { registry, counters, .. } = common;
        let (press, bulletins) = Press::new(&config, counters.clone());
        let inner = Arc::new(Inner {
            limits: ArcSwap::from_pointee(config.limits.clone()),
            config,
            session,
            directory,
            registry,
            counters,
            doorkeeper,
            auditor: OnceLock::new(),
            peers,
            links: links.clone(),
            shards,
            sight: Sight::default(),
            press,
            throughput: Throughput::default(),
            books: Books::default(),
            tracer: OnceLock::new(),
            cluster,
            pressure: Pressure::default(),
            next_local: AtomicUsize::new(0),
            next_upload: AtomicU64::new(1),
            ensured: RwLock::new(FxHashSet::default()),
            chores: chores.clone(),
            ready: AtomicBool::new(true),
            suspended: watch::Sender::new(false),
            draining: CancellationToken::new(),
            stop: stop.clone(),
            connections: TaskTracker::new(),
            tasks: tasks.clone(),
        });
        links.serve(&inner);
        tasks.spawn(hand_over(catalog_effects, chores, stop.clone()));
        tasks.spawn(crate::press::run(inner.clone(), bulletins, stop.clone()));
        tasks.spawn(Janitor::new(inner.clone(), chores_due).run(stop.clone()));
        tasks.spawn(pass_on(inner.clone(), replicas, dead, stop));
        Ok(Self::serving(inner, undertakers))
    }

    /// Starts what needs the whole broker.
    fn serving(inner: Arc<Inner>, undertakers: Undertakers) -> Self {
        for (slot, dead) in undertakers {
            inner.spawn(Undertaker::new(inner.clone(), slot, dead).run(inner.stop.clone()));
        }
        inner.spawn(crate::watchman::run(inner.clone()));
        inner.spawn(crate::survey::samples::run(inner.clone()));
        inner.spawn(maintenance::run(inner.clone()));
        inner.spawn(pressure::run(inner.clone()));
        inner.cluster.set_serving(true);
        let host = Arc::new(Host::new(inner.clone()));
        Self { inner, host }
    }

    /// Waits until this node, which founds the cluster, has made all of its groups.
    pub async fn founded(&self) {
        let is_made = |shard: &ShardHandle| {
            shard.whereabouts().group().is_some_and(|group| !group.status().voters.is_empty())
        };
        while !self.inner.shards.replicated().all(|(_, _, shard)| is_made(shard)) {
            tokio::time::sleep(FOUNDING_PAUSE).await;
        }
    }

    /// From here on, messages of connections to come are traced by `tracer`. What is said first
    /// stands.
    pub fn set_tracer(&self, tracer: Tracer) {
        drop(self.inner.tracer.set(tracer));
    }

    /// What clients who come from here on may use up.
    pub fn set_limits(&self, limits: Limits) {
        self.inner.limits.store(Arc::new(limits));
    }

    /// Answers other nodes' fronts.
    #[must_use]
    pub fn frontend(&self) -> Arc<Host> {
        self.host.clone()
    }

    /// Hands leaderships over, sends clients away and ends all tasks, within `deadline` if clients
    /// let it.
    pub async fn drain(&self, deadline: Duration) {
        let inner = &self.inner;
        inner.ready.store(false, Ordering::Relaxed);
        inner.cluster.set_serving(false);
        inner.draining.cancel();
        let alone = inner.directory.is_alone();
        if !alone {
            inner.cluster.drain(HAND_OVER_LIMIT.min(deadline)).await;
        }
        let goodbye = || ToConnection::Close {
            code: warren_amqp::ReplyCode::ConnectionForced,
            text: "the node is shutting down".to_owned(),
        };
        inner.registry.send_where(|_| true, goodbye);
        inner.connections.close();
        if tokio::time::timeout(deadline, inner.connections.wait()).await.is_err() {
            tracing::warn!(clients = inner.registry.len(), "clients did not leave in time");
        }
        if !alone {
            let SessionId { node, boot } = inner.session;
            let farewell = inner.directory.change(Change::LoseNode { node, boot });
            if tokio::time::timeout(FAREWELL_LIMIT, farewell).await.is_err() {
                tracing::warn!("the cluster could not be told that this node stops");
            }
        }
        inner.stop.cancel();
        inner.tasks.close();
        inner.tasks.wait().await;
    }

    /// What all tasks of the broker share.
    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Numbers for health checks and metrics.
    #[must_use]
    pub fn overview(&self) -> Overview {
        let inner = &self.inner;
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let (vhosts, queues, exchanges) = inner.directory.look(|catalog| {
            catalog.vhosts().fold((0, 0, 0), |(vhosts, queues, exchanges), vhost| {
                let here = catalog.queue_count(&vhost.name);
                let there = catalog.exchanges(&vhost.name).count();
                (vhosts + 1, queues + here, exchanges + there)
            })
        });
        let (mut ready, mut unsettled) = (0_u64, 0_u64);
        for (_, _, shard) in inner.shards.replicated() {
            let led = shard.whereabouts().group().filter(|_| shard.whereabouts().leads_here());
            for totals in led.iter().map(|group| group.inspect(Shard::totals)) {
                ready = ready.saturating_add(totals.ready);
                unsettled = unsettled.saturating_add(totals.unsettled);
            }
        }
        Overview {
            ready: inner.ready.load(Ordering::Relaxed),
            connections: count(inner.registry.len()),
            vhosts: count(vhosts),
            queues: count(queues),
            exchanges: count(exchanges),
            messages_ready: ready,
            messages_unacknowledged: unsettled,
            cluster: inner.cluster.overview(),
            totals: inner.counters.totals(),
        }
    }
}

/// What the shards' tasks are made with.
struct Common {
    session: SessionId,
    registry: Registry,
    counters: Arc<Counters>,
    links: Links,
    directory: Directory,
    peers: Peers,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Shards whose dead are to be buried.
type Undertakers = Vec<(ShardSlot, mpsc::UnboundedReceiver<Burial>)>;

impl Common {
    fn ways(&self) -> Ways {
        Ways {
            links: self.links.clone(),
            directory: self.directory.clone(),
            counters: self.counters.clone(),
        }
    }

    /// Starts this node's part in the cluster; `heard` hears which shards run here, and which of
    /// their sessions are over.
    fn start_cluster(
        &self,
        config: &Arc<Config>,
        consensus: Consensus,
        catalog: Group<Catalog>,
        (founding, starts): (bool, Starts),
        heard: (mpsc::UnboundedSender<ReplicaEvent>, mpsc::UnboundedSender<(GroupId, SessionId)>),
    ) -> Cluster {
        let (replica_events, dead_sessions) = heard;
        Cluster::start(ClusterParts {
            config: config.clone(),
            session: self.session,
            consensus,
            catalog,
            directory: self.directory.clone(),
            peers: self.peers.clone(),
            founding,
            starts,
            replica_events,
            dead_sessions,
            stop: self.stop.clone(),
            tasks: self.tasks.clone(),
        })
    }

    /// Starts to speak to the replicated shards, and makes those in memory.
    fn start_shards(
        &self,
        config: &Config,
        chores: &mpsc::UnboundedSender<Chore>,
    ) -> (Shards, Undertakers) {
        let mut undertakers = Vec::new();
        let mut slots = (0_usize..).map(ShardSlot);
        let mut perform = || {
            #[expect(clippy::disallowed_methods, reason = "a shard has a window of dead per queue")]
            let (undertaker, dead) = mpsc::unbounded_channel();
            let slot = slots.next().expect("numbers do not end");
            undertakers.push((slot, dead));
            let (registry, chores) = (self.registry.clone(), chores.clone());
            Performer::new(slot, self.session, registry, chores, undertaker)
        };
        let replicated = (1..=config.shards).map(|group| {
            let group = GroupId(group);
            let whereabouts = Whereabouts::new(self.peers.clone(), Place::Shard(group));
            let whereabouts = Arc::new(whereabouts);
            let (handle, inbox) = ShardHandle::new(whereabouts.clone());
            let task = ShardTask::new(
                Home::Group(group),
                self.session,
                inbox,
                perform(),
                whereabouts,
                self.ways(),
            );
            self.tasks.spawn(task.run(self.stop.clone()));
            handle
        });
        let replicated: Vec<ShardHandle> = replicated.collect();
        let locals = config.local_shards.clamp(1, usize::from(u16::MAX));
        let local = (0_u16..).take(locals).map(|slot| {
            let place = Place::Local { boot: self.session.boot, slot };
            let whereabouts = Arc::new(Whereabouts::own_memory(self.peers.clone(), place));
            let (handle, inbox) = ShardHandle::new(whereabouts);
            let shard = LocalShard::new(place, self.session, inbox, perform());
            self.tasks.spawn(shard.run(self.stop.clone()));
            handle
        });
        let local = local.collect();
        (Shards::new(self.session, replicated, local), undertakers)
    }
}

/// Waits until this start is known to the cluster.
async fn come_in(directory: &Directory, peers: &Peers, config: &Config) -> Result<(), StartError> {
    tokio::select! {
        announced = announce(directory, config) => announced,
        () = forgotten::find_out(directory.clone(), peers.clone()) => Err(StartError::Forgotten),
    }
}

/// Says that this node has started, and fills the catalog if it is empty. All of it may be said
/// at every start: what the catalog has already stays as it is.
async fn announce(directory: &Directory, config: &Config) -> Result<(), StartError> {
    let Config { node, boot, .. } = *config;
    let changes = vec![
        Change::FoundCluster(ClusterId(config.cluster)),
        Change::RegisterNode(RegisterNode {
            token: config.token,
            wanted: Some(node),
            name: name(&config.node_name),
            address: name(&config.peer_address),
            zone: name(&config.zone),
        }),
        Change::StartNode { node, boot, speaks: SPEAKS },
    ];
    make_known(directory, changes).await?;
    directory.agree().await;
    // The local copy has come to the start of this node, and so to all that was there before: an
    // empty catalog is a fresh one.
    if directory.look(|catalog| catalog.vhosts().next().is_none()) {
        make_known(directory, initial_content(&config.initial)).await?;
    }
    make_known(directory, own_exchanges(directory, &config.initial.vhost)).await
}

async fn make_known(directory: &Directory, changes: Vec<Change>) -> Result<(), StartError> {
    for change in changes {
        let outcome = directory.change(change).await;
        outcome.map_err(|error| StartError::Refused(error.to_string()))?;
    }
    Ok(())
}

/// The exchanges that the broker itself publishes to and the first virtual host lacks.
fn own_exchanges(directory: &Directory, vhost: &str) -> Vec<Change> {
    directory.look(|catalog| {
        let lacks = |exchange: &&str| {
            catalog.vhost(vhost).is_some() && catalog.exchange(vhost, exchange).is_none()
        };
        let lacking = [EVENT_EXCHANGE, LOG_EXCHANGE].into_iter().filter(lacks);
        let make =
            |exchange| Change::PredeclareExchange { vhost: name(vhost), exchange: name(exchange) };
        lacking.map(make).collect()
    })
}

fn initial_content(initial: &InitialContent) -> Vec<Change> {
    let user = FirstUser {
        name: name(&initial.user),
        password: name(&initial.password),
        salt: rand::random(),
        hashing: initial.hashing,
        loopback_only: initial.loopback_only,
    };
    first_start(&name(&initial.vhost), &user)
}

/// Hands what the catalog says must happen to the janitor.
async fn hand_over(
    mut effects: mpsc::UnboundedReceiver<Performed<CatalogEffect>>,
    chores: mpsc::UnboundedSender<Chore>,
    stop: CancellationToken,
) {
    loop {
        let performed = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            performed = effects.recv() => performed,
        };
        let Some(performed) = performed else { return };
        for effect in performed.effects {
            drop(chores.send(Chore::Catalog(effect)));
        }
    }
}

/// Tells the shards' tasks what the cluster has to tell them.
async fn pass_on(
    broker: Arc<Inner>,
    mut replicas: mpsc::UnboundedReceiver<ReplicaEvent>,
    mut dead: mpsc::UnboundedReceiver<(GroupId, SessionId)>,
    stop: CancellationToken,
) {
    loop {
        let (group, event) = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            Some(event) = replicas.recv() => match event {
                ReplicaEvent::Started(part) => (part.id, Event::Replica(part)),
                ReplicaEvent::Stopped(group) => (group, Event::NoReplica),
            },
            Some((group, session)) = dead.recv() => (group, Event::Dead(session)),
            else => return,
        };
        match broker.shards.of_group(group) {
            Some(slot) => broker.shard(slot).inform(event),
            None => tracing::error!(%group, "a group that the cluster was not made with"),
        }
    }
}
