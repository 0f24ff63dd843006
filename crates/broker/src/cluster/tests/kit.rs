//! Nodes without clients, each on a runtime of its own, with real sockets and disks in memory.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use warren_catalog::{ClusterId as CatalogClusterId, Command, RegisterNode};
use warren_consensus::{Group, Node, Peers};
use warren_queue::entry::{EntryWriter, FragmentWriter};
use warren_queue::{MACHINE_VERSION, Shard};
use warren_rpc::{ClusterId, Desk, Identity, Incarnation, Join, JoinReply, Nobody, serve};
use warren_storage::{MemoryEngine, Store};
use warren_types::{BootId, GroupId, NodeId, RequestSequence, SessionId};

use crate::cluster::clerk::Clerk;
use crate::cluster::{Cluster, ClusterOverview, ClusterParts, Envoy, ReplicaEvent, Starts};
use crate::config::{Config, InitialContent, Limits};
use crate::directory::{Directory, name};
use crate::queue::batch::wall_clock;

/// How long a condition may take to come true.
pub(super) const PATIENCE: Duration = Duration::from_secs(90);

const CLUSTER: u128 = 7;

/// Shards of all tests.
pub(super) const SHARDS: u32 = 4;

/// What tests vary.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) node_timeout: Duration,
    pub(super) replace_after: Duration,
    pub(super) lead_return_after: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            node_timeout: Duration::from_secs(3),
            replace_after: Duration::from_secs(3600),
            lead_return_after: Duration::from_millis(300),
        }
    }
}

/// A node that is there when it does not run, too.
pub(super) struct Home {
    pub(super) id: NodeId,
    pub(super) address: String,
    disk: MemoryEngine,
    token: u128,
    boot: u64,
    running: Option<Member>,
}

/// A cluster, and the nodes that it ever had.
pub(super) struct World {
    settings: Settings,
    pub(super) homes: Vec<Home>,
}

/// A node that runs.
pub(super) struct Member {
    pub(super) cluster: Cluster,
    pub(super) directory: Directory,
    pub(super) envoy: Envoy,
    pub(super) session: SessionId,
    heard: Arc<Mutex<Heard>>,
    runtime: Option<Runtime>,
}

/// A node that is being started: its runtime, and what comes of it.
type Launched = (Runtime, JoinHandle<(NodeId, String, Member)>);

/// What the cluster told its broker.
#[derive(Default)]
pub(super) struct Heard {
    pub(super) shards: BTreeMap<GroupId, Group<Shard>>,
    pub(super) stopped: Vec<GroupId>,
    pub(super) dead: Vec<(GroupId, SessionId)>,
}

impl World {
    /// A cluster of one.
    pub(super) async fn found(settings: Settings) -> Self {
        let mut world = Self { settings, homes: Vec::new() };
        world.homes.push(Home::new(1));
        world.start(0).await;
        world
    }

    /// A cluster of `nodes`, in which everything is where it should be.
    pub(super) async fn of(nodes: usize, settings: Settings) -> Self {
        let mut world = Self::found(settings).await;
        for _ in 1..nodes {
            world.add().await;
        }
        world.complete(nodes).await;
        world
    }

    /// Has one more node join.
    pub(super) async fn add(&mut self) -> usize {
        let at = self.homes.len();
        self.homes.push(Home::new(u128::try_from(at).expect("few") + 1));
        self.start(at).await;
        at
    }

    /// Starts a node, for the first time or again.
    pub(super) async fn start(&mut self, at: usize) {
        let (runtime, starting) = self.launch(at, Arc::default());
        let (id, address, mut member) = starting.await.expect("starting does not panic");
        member.runtime = Some(runtime);
        let home = &mut self.homes[at];
        (home.id, home.address, home.running) = (id, address, Some(member));
    }

    /// Begins to start a node. `begun` has its groups from the moment that some of them run.
    pub(super) fn launch(&mut self, at: usize, begun: Arc<OnceLock<Node>>) -> Launched {
        let seeds: Vec<String> = self.running().map(|(_, home)| home.address.clone()).collect();
        let settings = self.settings;
        let home = &mut self.homes[at];
        home.boot += 1;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("threads");
        let (address, disk) = (home.address.clone(), home.disk.clone());
        let (token, boot, known) = (home.token, home.boot, home.id);
        let starting = runtime.spawn(async move {
            let listener = listen(&address).await;
            let address = listener.local_addr().expect("bound").to_string();
            let id = match known {
                NodeId(0) if seeds.is_empty() => NodeId(1),
                NodeId(0) => join(&seeds, token, &address).await.node,
                known => known,
            };
            let founding = seeds.is_empty() && boot == 1;
            let who = Who { id, boot: BootId(boot), token, address: address.clone(), founding };
            (id, address, start_here(who, disk, listener, settings, &begun).await)
        });
        (runtime, starting)
    }

    /// Ends a node as `kill -9` and a power cut do.
    pub(super) fn kill(&mut self, at: usize) {
        let home = &mut self.homes[at];
        home.running.take().expect("it runs").kill();
        home.disk = home.disk.crash();
    }

    pub(super) fn running(&self) -> impl Iterator<Item = (&Member, &Home)> {
        self.homes.iter().filter_map(|home| home.running.as_ref().map(|member| (member, home)))
    }

    pub(super) fn node(&self, at: usize) -> &Member {
        self.homes[at].running.as_ref().expect("it runs")
    }

    pub(super) fn id(&self, at: usize) -> NodeId {
        self.homes[at].id
    }

    /// Waits until `nodes` run and no replica is missing, as all of them see it.
    pub(super) async fn complete(&self, nodes: usize) {
        eventually("the cluster is complete", || {
            let done = |overview: ClusterOverview| {
                overview.nodes_running == nodes
                    && overview.replicas_missing == 0
                    && overview.leaderless == 0
            };
            self.running().all(|(member, _)| done(member.cluster.overview()))
        })
        .await;
    }

    /// The node that leads a shard.
    pub(super) fn leader(&self, group: GroupId) -> Option<usize> {
        self.homes.iter().position(|home| {
            let shard = home.running.as_ref().and_then(|member| member.shard(group));
            shard.is_some_and(|shard| shard.leadership().borrow().here)
        })
    }

    /// Has a session opened by whoever leads a shard.
    pub(super) async fn open_session(&self, group: GroupId, session: SessionId) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(leader) = self.leader(group)
                && self.node(leader).open_session(group, session).await
            {
                return;
            }
            assert!(Instant::now() < deadline, "nobody leads {group} for long enough");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Shards that a node leads.
    pub(super) fn led_by(&self, at: usize) -> usize {
        groups().filter(|group| self.leader(*group) == Some(at)).count()
    }

    /// Waits until each shard is led by the first of its replicas.
    pub(super) async fn led_as_preferred(&self) {
        eventually("the preferred replicas lead", || {
            let (member, _) = self.running().next().expect("somebody runs");
            groups().all(|group| {
                let first = member.replicas(group).first().copied();
                self.leader(group).map(|at| self.id(at)) == first
            })
        })
        .await;
    }

    pub(super) fn end(mut self) {
        for home in &mut self.homes {
            if let Some(member) = home.running.take() {
                member.kill();
            }
        }
    }
}

impl Home {
    fn new(token: u128) -> Self {
        Self {
            id: NodeId(0),
            address: "127.0.0.1:0".to_owned(),
            disk: MemoryEngine::new(),
            token,
            boot: 0,
            running: None,
        }
    }
}

impl Member {
    /// Runs something on the node's own runtime.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        self.spawn(work).await.expect("tests do not panic inside")
    }

    /// Begins something on the node's own runtime.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.runtime.as_ref().expect("running").spawn(work)
    }

    /// Keeps the node from doing anything, as SIGSTOP does.
    pub(super) fn freeze(&self, time: Duration) {
        // The runtime has one thread, which drives its timers and sockets as well.
        self.runtime.as_ref().expect("running").spawn(async move { std::thread::sleep(time) });
    }

    pub(super) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap()
    }

    pub(super) fn shard(&self, group: GroupId) -> Option<Group<Shard>> {
        self.heard().shards.get(&group).cloned()
    }

    /// The nodes that should hold a shard, as this node knows it.
    pub(super) fn replicas(&self, group: GroupId) -> Vec<NodeId> {
        let shard = |catalog: &warren_catalog::Catalog| catalog.shard(group).cloned();
        self.directory.look(shard).map_or_else(Vec::new, |shard| shard.replicas)
    }

    /// Whether a node is believed to run, and which start of it.
    pub(super) fn believes(&self, node: NodeId) -> Option<(bool, BootId)> {
        self.directory.look(|catalog| catalog.node(node).map(|row| (row.running, row.boot)))
    }

    /// How a group with a replica here looks from here.
    pub(super) fn voters(&self, group: GroupId) -> Vec<NodeId> {
        let status = self.envoy.group_status(group);
        status.map_or_else(|_| Vec::new(), |status| status.voters)
    }

    /// Whether an entry with nothing but an opening of `session` is committed by a shard, which it
    /// is if the shard is led here.
    async fn open_session(&self, group: GroupId, session: SessionId) -> bool {
        let mut fragment = FragmentWriter::new();
        fragment.command(&warren_queue::Command::OpenSession);
        let mut entry = EntryWriter::new(MACHINE_VERSION, wall_clock());
        entry.push(session, RequestSequence(1), RequestSequence(0), &fragment.finish());
        let (shard, payload) = (self.shard(group).expect("it runs here"), entry.finish());
        self.run(async move { shard.propose(payload).await }).await.is_ok()
    }

    /// Has a change made.
    pub(super) async fn change(&self, change: Command) {
        let directory = self.directory.clone();
        self.run(async move { directory.change(change).await }).await.expect("accepted");
    }

    fn kill(mut self) {
        self.runtime.take().expect("running").shutdown_background();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct Who {
    id: NodeId,
    boot: BootId,
    token: u128,
    address: String,
    founding: bool,
}

async fn start_here(
    who: Who,
    disk: MemoryEngine,
    listener: TcpListener,
    settings: Settings,
    begun: &OnceLock<Node>,
) -> Member {
    let identity = Identity {
        cluster: ClusterId(CLUSTER),
        incarnation: Incarnation(1),
        node: who.id,
        boot: who.boot,
    };
    let config = Arc::new(config(&who, settings));
    let store = warren_storage::Config { recent_bytes: 1 << 20, ..Default::default() };
    let store = Store::with_engine(Box::new(disk), store).expect("memory opens");
    let peers = Peers::new(identity);
    let consensus = Node::new(store, peers.clone(), consensus_config());
    // A killed node's storage may be gone before its groups are.
    consensus.on_fatal(|_| {});
    let (effects, _unheard) = mailbox();
    let catalog = consensus.start(GroupId::CATALOG, Default::default, effects).await;
    let catalog = catalog.expect("the catalog starts");
    let envoy = Envoy::new(&config, consensus.clone(), catalog.clone(), peers.clone());
    let desk = Arc::new(Desk::<_, Nobody, _>::new());
    desk.set_identity(identity);
    desk.set_raft(consensus.handler());
    desk.set_cluster(Arc::new(Clerk(envoy.clone())));
    tokio::spawn(serve(listener, desk, std::future::pending()));
    if who.founding {
        let voters = [(who.id, who.address.clone())];
        catalog.bootstrap(&voters).await.expect("a group of one");
    }

    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let (directory, proposer) = Directory::new(catalog.clone(), peers.clone());
    tasks.spawn(proposer.run(stop.clone()));
    let starts = Starts::again(&consensus, &directory, who.boot);
    begun.get_or_init(|| consensus.clone());
    announce(&directory, &who).await;
    let session = SessionId { node: who.id, boot: who.boot };
    let (replica_events, events) = mailbox();
    let (dead_sessions, dead) = mailbox();
    let heard = Arc::default();
    tokio::spawn(hear(Arc::clone(&heard), events, dead));
    let cluster = Cluster::start(ClusterParts {
        config,
        session,
        consensus,
        catalog,
        directory: directory.clone(),
        peers,
        founding: who.founding,
        starts,
        replica_events,
        dead_sessions,
        stop,
        tasks,
    });
    envoy.attach(&cluster);
    Member { cluster, directory, envoy, session, heard, runtime: None }
}

async fn announce(directory: &Directory, who: &Who) {
    let changes = [
        Command::FoundCluster(CatalogClusterId(CLUSTER)),
        Command::RegisterNode(RegisterNode {
            token: who.token,
            wanted: Some(who.id),
            name: name("n"),
            address: name(&who.address),
            zone: name(""),
        }),
        Command::StartNode { node: who.id, boot: who.boot, speaks: 1 },
    ];
    for change in changes {
        directory.change(change).await.expect("accepted");
    }
}

async fn hear(
    heard: Arc<Mutex<Heard>>,
    mut events: mpsc::UnboundedReceiver<ReplicaEvent>,
    mut dead: mpsc::UnboundedReceiver<(GroupId, SessionId)>,
) {
    loop {
        tokio::select! {
            Some(event) = events.recv() => match event {
                ReplicaEvent::Started(part) => {
                    heard.lock().unwrap().shards.insert(part.id, part.group);
                }
                ReplicaEvent::Stopped(group) => {
                    let mut heard = heard.lock().unwrap();
                    heard.shards.remove(&group);
                    heard.stopped.push(group);
                }
            },
            Some(session) = dead.recv() => heard.lock().unwrap().dead.push(session),
            else => return,
        }
    }
}

async fn join(seeds: &[String], token: u128, address: &str) -> JoinReply {
    let peers = Peers::new_unknown();
    let deadline = Instant::now() + PATIENCE;
    loop {
        for seed in seeds {
            let join = Join {
                token,
                name: "n".to_owned(),
                address: address.to_owned(),
                zone: String::new(),
            };
            match peers.join(seed, join, PATIENCE).await {
                Ok(reply) => return reply,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn config(who: &Who, settings: Settings) -> Config {
    Config {
        node: who.id,
        boot: who.boot,
        node_name: "n".to_owned(),
        cluster: CLUSTER,
        token: who.token,
        peer_address: who.address.clone(),
        zone: String::new(),
        shards: SHARDS,
        replication_factor: 3,
        node_timeout: settings.node_timeout,
        replace_after: settings.replace_after,
        lead_return_after: settings.lead_return_after,
        cluster_name: "c".to_owned(),
        initial: InitialContent::default(),
        limits: Limits::default(),
        auth: warren_auth::Settings::default(),
        local_shards: 1,
    }
}

/// Fast enough for tests, slow enough for a busy machine.
fn consensus_config() -> warren_consensus::Config {
    warren_consensus::Config {
        heartbeat_ms: 200,
        election_min_ms: 1000,
        election_max_ms: 2000,
        ..warren_consensus::Config::default()
    }
}

#[expect(clippy::disallowed_methods, reason = "tests are short")]
fn mailbox<T>() -> (mpsc::UnboundedSender<T>, mpsc::UnboundedReceiver<T>) {
    mpsc::unbounded_channel()
}

/// Listens, also where somebody has just stopped listening.
async fn listen(address: &str) -> TcpListener {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) if Instant::now() > deadline => panic!("{address}: {error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

pub(super) fn groups() -> impl Iterator<Item = GroupId> {
    (1..=SHARDS).map(GroupId)
}

/// Waits until `condition` holds.
pub(super) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
