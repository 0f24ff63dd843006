//! One run: a cluster comes together, clients work, things break, are mended, and all is judged.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use warren_consensus::Group;
use warren_machine::{Digest, Machine};
use warren_queue::{QueueStatus, Shard};
use warren_types::{GroupId, LogIndex};

use super::chance::{self, Chance};
use super::churn;
use super::client::{self, Client};
use super::clock;
use super::faults;
use super::history::{History, Outcome};
use super::network::{Life, Network, Spot};
use super::node::{Home, Homes, SHARDS, Serving};
use super::panics;

/// The nodes of a run.
pub(super) const SPOTS: [Spot; 3] = [1, 2, 3];

/// For how long things break.
const TROUBLE: Duration = Duration::from_secs(30);

/// How long anything may take that must happen once all is well.
const PATIENCE: Duration = Duration::from_secs(120);

/// Queues of a run, with their publishers and consumers.
const QUEUES: [(&str, usize, usize); 4] = [("a", 1, 1), ("b", 1, 1), ("c", 1, 2), ("shared", 2, 3)];

/// A cluster with its network.
#[derive(Clone)]
pub(super) struct World {
    pub(super) network: Network,
    pub(super) homes: Arc<Mutex<Homes>>,
    pub(super) history: History,
}

/// Which run it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) plant: Plant,
}

/// What is wrong on purpose, so that it can be seen to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plant {
    Nothing,
    /// Some deliveries are lost between broker and client.
    Drop,
    /// Some deliveries come twice.
    Repeat,
    /// Disks say that they have synced, and have not.
    Lie,
}

const PLANTS: [Plant; 4] = [Plant::Nothing, Plant::Drop, Plant::Repeat, Plant::Lie];

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.seed, self.plant)
    }
}

impl FromStr for Plan {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (seed, plant) = text.split_once(' ').ok_or("a plan has two words")?;
        let seed = seed.parse().map_err(|_| "a seed is a number")?;
        let plant = PLANTS.into_iter().find(|known| format!("{known:?}") == plant);
        Ok(Self { seed, plant: plant.ok_or("nobody knows this plant")? })
    }
}

/// Runs on a thread of its own, where nothing random has been asked for yet.
pub(super) fn run(plan: Plan, history: &History) -> Outcome {
    let theirs = history.clone();
    let running =
        std::thread::Builder::new().name(format!("seed-{}", plan.seed)).spawn(move || {
            chance::bind_system(plan.seed);
            clock::bind_system();
            panics::watch();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .expect("a runtime without sockets");
            let outcome = runtime.block_on(simulate(plan, theirs));
            runtime.shutdown_background();
            outcome
        });
    running.expect("a thread").join().unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        history.fault(format!("the run panicked: {text}"));
        history.finish()
    })
}

async fn simulate(plan: Plan, history: History) -> Outcome {
    clock::begin();
    let mut chance = Chance::new(plan.seed);
    let network = Network::new(chance.branch());
    let homes = SPOTS.map(|spot| (spot, Home::new(spot)));
    let homes = Arc::new(Mutex::new(Homes::from(homes)));
    let world = World { network, homes, history };
    world.come_together().await;
    tokio::spawn(world.clone().watch_states());

    let (calm, stop) = (CancellationToken::new(), CancellationToken::new());
    let mut client = || Client {
        homes: world.homes.clone(),
        history: world.history.clone(),
        chance: chance.branch(),
        plant: plan.plant,
        calm: calm.clone(),
        stop: stop.clone(),
    };
    let (mut publishers, mut consumers) = (Vec::new(), Vec::new());
    publishers.push(tokio::spawn(churn::run(client())));
    for (queue, publishing, consuming) in QUEUES {
        for _ in 0..publishing {
            publishers.push(tokio::spawn(client::publisher(client(), queue.to_owned())));
        }
        for _ in 0..consuming {
            consumers.push(tokio::spawn(client::consumer(client(), queue.to_owned())));
        }
    }
    if plan.plant == Plant::Lie {
        world.homes().values().for_each(Home::lie);
    }
    faults::happen(&world, chance.branch(), TROUBLE).await;
    if plan.plant == Plant::Lie {
        faults::black_out(&world);
    }

    world.mend().await;
    calm.cancel();
    world.end("publishers", publishers).await;
    world
        .eventually("I19: all that was confirmed is delivered", || {
            world.history.missing().is_empty()
        })
        .await;
    world.eventually("I20: no message waits", || world.waiting(false) == 0).await;
    stop.cancel();
    world.end("consumers", consumers).await;
    world.judge().await;
    panics::take(&world.history);
    world.history.finish()
}

impl World {
    pub(super) fn homes(&self) -> std::sync::MutexGuard<'_, Homes> {
        self.homes.lock().unwrap()
    }

    async fn come_together(&self) {
        self.start(1);
        self.eventually("the founder serves", || self.serving().len() == 1).await;
        self.start(2);
        self.start(3);
        self.complete().await;
        self.history.note("the cluster is complete".to_owned());
    }

    /// Waits until all nodes serve and nothing is missing, as all of them see it.
    async fn complete(&self) {
        self.eventually("I19: the cluster is complete", || {
            let serving = self.serving();
            serving.len() == SPOTS.len()
                && serving.iter().all(|(_, node)| {
                    let overview = node.broker.overview().cluster;
                    overview.nodes_running == SPOTS.len()
                        && overview.replicas_missing == 0
                        && overview.leaderless == 0
                })
        })
        .await;
    }

    /// The nodes that serve.
    pub(super) fn serving(&self) -> Vec<(Spot, Serving)> {
        let homes = self.homes();
        homes.iter().filter_map(|(spot, home)| Some((*spot, home.serving()?))).collect()
    }

    /// Starts a node.
    pub(super) fn start(&self, spot: Spot) {
        self.history.note(format!("start {spot}"));
        self.homes().get_mut(&spot).expect("it is one of them").start(&self.network, &self.history);
        tokio::spawn(watch(self.clone(), spot));
    }

    /// Ends a node.
    pub(super) fn crash(&self, spot: Spot) {
        self.history.note(format!("crash {spot}"));
        self.history.count(|summary| summary.crashes += 1);
        self.homes()
            .get_mut(&spot)
            .expect("it is one of them")
            .crash(&self.network, self.network.branch());
    }

    pub(super) fn is_up(&self, spot: Spot) -> bool {
        self.homes()[&spot].is_up()
    }

    /// Nothing is broken any more.
    async fn mend(&self) {
        self.history.note("mend".to_owned());
        self.network.hold(BTreeSet::new());
        self.network.set_delay(0..3);
        for spot in SPOTS {
            if !self.is_up(spot) {
                self.start(spot);
            }
        }
        self.complete().await;
        self.history.note("mended".to_owned());
    }

    async fn end(&self, what: &str, tasks: Vec<JoinHandle<()>>) {
        for mut task in tasks {
            match timeout(PATIENCE, &mut task).await {
                Ok(ended) => {
                    if let Err(error) = ended {
                        self.history.fault(format!("{what}: {error}"));
                    }
                }
                Err(_) => {
                    self.history.fault(format!("I20: {what} do not come to an end"));
                    task.abort();
                }
            }
        }
    }

    async fn eventually(&self, what: &str, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition() {
            if Instant::now() > deadline {
                return self.history.fault(format!("waited in vain: {what}"));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The queues of all replicas.
    fn queues(&self) -> Vec<QueueStatus> {
        let shards = |node: &Serving| {
            let node = node.clone();
            (1..=SHARDS).filter_map(move |group| node.shard(GroupId(group)))
        };
        let serving = self.serving();
        let replicas = serving.iter().flat_map(|(_, node)| shards(node));
        replicas
            .flat_map(|shard| shard.inspect(Shard::queues))
            .map(|listing| listing.status)
            .collect()
    }

    /// Messages in all queues of all replicas, those with consumers included if `held`.
    fn waiting(&self, held: bool) -> u64 {
        let count = |queue: &QueueStatus| queue.ready + if held { queue.unsettled } else { 0 };
        self.queues().iter().map(count).sum()
    }

    /// Consumers of all queues of all replicas.
    fn consumers(&self) -> u32 {
        self.queues().iter().map(|queue| queue.consumers).sum()
    }

    /// What must be so when all is quiet.
    async fn judge(&self) {
        self.eventually("I14: all queues are empty", || self.waiting(true) == 0).await;
        self.eventually("I14: nobody consumes", || self.consumers() == 0).await;
        for group in (1..=SHARDS).map(GroupId) {
            let agree = || {
                let looks = self.looks(group);
                looks.len() == SPOTS.len() && looks.iter().all(|(_, state)| *state == looks[0].1)
            };
            self.eventually(&format!("I14: replicas of {group} agree"), agree).await;
            self.history.note(format!("{group}: {:?}", self.looks(group)));
        }
    }

    /// What each replica of a group has applied, and what it came to.
    fn looks(&self, group: GroupId) -> Vec<(Spot, (LogIndex, Digest))> {
        fn state<M: Machine>(replica: &Group<M>) -> (LogIndex, Digest) {
            (replica.applied(), replica.inspect(Machine::digest))
        }
        let look = |node: &Serving| {
            if group == GroupId::CATALOG {
                return Some(state(&node.catalog));
            }
            node.shard(group).as_ref().map(state)
        };
        let serving = self.serving();
        serving.iter().filter_map(|(spot, node)| Some((*spot, look(node)?))).collect()
    }

    /// Tells the history what replicas come to, again and again.
    async fn watch_states(self) {
        loop {
            for group in (0..=SHARDS).map(GroupId) {
                for (spot, (applied, digest)) in self.looks(group) {
                    self.history.state(spot, group, applied, digest);
                }
            }
            sleep(Duration::from_millis(250)).await;
        }
    }
}

/// Tells the history what a node knows of sessions that are over, and of leaders.
async fn watch(world: World, spot: Spot) {
    let life = world.homes()[&spot].life();
    let current = || {
        let homes = world.homes();
        homes[&spot].is_up() && homes[&spot].life() == life
    };
    while current() {
        let Some(serving) = world.homes()[&spot].serving() else {
            sleep(Duration::from_millis(5)).await;
            continue;
        };
        tokio::select! {
            biased;
            () = watch_sessions(&world, &serving) => return,
            () = watch_status(&world, spot, life, &serving) => return,
            () = async { while current() { sleep(Duration::from_millis(20)).await } } => return,
        }
    }
}

async fn watch_sessions(world: &World, serving: &Serving) {
    let mut progress = serving.catalog.progress();
    loop {
        serving.catalog.inspect(|catalog| {
            for row in catalog.nodes().filter(|row| !row.running) {
                world.history.session_lost((row.id, row.boot));
            }
        });
        if progress.changed().await.is_err() {
            return;
        }
    }
}

async fn watch_status(world: &World, spot: Spot, life: Life, serving: &Serving) {
    loop {
        for group in (0..=SHARDS).map(GroupId) {
            if let Some(status) = serving.consensus.status(group) {
                world.history.status(spot, life, group, &status);
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
}
