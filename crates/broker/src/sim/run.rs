//! One run: a cluster comes together, clients work, things break, are mended, and all is judged.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use warren_machine::Machine as _;
use warren_types::GroupId;

use super::chance::{self, Chance};
use super::client::{self, Client};
use super::clock;
use super::faults;
use super::history::{History, Outcome};
use super::network::{Network, Spot};
use super::node::{Home, Homes, SHARDS, Serving};

/// The nodes of a run.
pub(super) const SPOTS: [Spot; 3] = [1, 2, 3];

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

/// Runs one seed, on a thread of its own.
pub(super) fn run(seed: u64) -> Outcome {
    let running = std::thread::Builder::new().name(format!("seed-{seed}")).spawn(move || {
        chance::bind_system(seed);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without sockets");
        let outcome = runtime.block_on(simulate(seed));
        runtime.shutdown_background();
        outcome
    });
    match running.expect("a thread").join() {
        Ok(outcome) => outcome,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
            panic!("seed {seed} panicked: {text}");
        }
    }
}

async fn simulate(seed: u64) -> Outcome {
    clock::begin();
    let mut chance = Chance::new(seed);
    let history = History::default();
    let network = Network::new(chance.branch());
    let homes = SPOTS.map(|spot| (spot, Home::new(spot)));
    let homes = Arc::new(Mutex::new(Homes::from(homes)));
    let world = World { network, homes, history };
    world.come_together().await;

    let (calm, stop) = (CancellationToken::new(), CancellationToken::new());
    let mut client = || Client {
        homes: world.homes.clone(),
        history: world.history.clone(),
        chance: chance.branch(),
        calm: calm.clone(),
        stop: stop.clone(),
    };
    let (mut publishers, mut consumers) = (Vec::new(), Vec::new());
    for (queue, publishing, consuming) in QUEUES {
        for _ in 0..publishing {
            publishers.push(tokio::spawn(client::publisher(client(), queue.to_owned())));
        }
        for _ in 0..consuming {
            consumers.push(tokio::spawn(client::consumer(client(), queue.to_owned())));
        }
    }
    faults::happen(&world, chance.branch()).await;

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
        tokio::spawn(watch_sessions(self.clone(), spot));
    }

    /// Ends a node.
    pub(super) fn crash(&self, spot: Spot) {
        self.history.note(format!("crash {spot}"));
        self.history.count(|summary| summary.crashes += 1);
        self.homes().get_mut(&spot).expect("it is one of them").crash(&self.network);
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

    /// Messages in all queues of all replicas, those with consumers included if `held`.
    fn waiting(&self, held: bool) -> u64 {
        let count = |node: &Serving| -> u64 {
            let shards = node.broker.inner().shards.replicated();
            let groups = shards.filter_map(|(_, _, shard)| shard.whereabouts().group());
            groups
                .flat_map(|group| group.inspect(warren_queue::Shard::queues))
                .map(|listing| {
                    let unsettled = if held { listing.status.unsettled } else { 0 };
                    listing.status.ready + unsettled
                })
                .sum()
        };
        self.serving().iter().map(|(_, node)| count(node)).sum()
    }

    /// What must be so when all is quiet.
    async fn judge(&self) {
        self.eventually("I14: all queues are empty", || self.waiting(true) == 0).await;
        for group in (1..=SHARDS).map(GroupId) {
            let agree = || {
                let looks: BTreeSet<_> = self.looks(group).into_iter().collect();
                looks.len() == 1
            };
            self.eventually(&format!("I14: replicas of {group} agree"), agree).await;
            self.history.note(format!("{group}: {:?}", self.looks(group)));
        }
    }

    /// What each replica of a shard has applied, and what it came to.
    fn looks(&self, group: GroupId) -> Vec<(u64, String)> {
        let look = |node: &Serving| {
            let shards = &node.broker.inner().shards;
            let shard = shards.at(shards.of_group(group).expect("it was made"));
            let replica = shard.whereabouts().group()?;
            Some(
                replica.inspect(|machine| (machine.applied().0, format!("{:?}", machine.digest()))),
            )
        };
        self.serving().iter().filter_map(|(_, node)| look(node)).collect()
    }
}

/// Tells the history of the sessions that a node's catalog knows to be over.
async fn watch_sessions(world: World, spot: Spot) {
    let life = world.homes()[&spot].life();
    let is_current = || {
        let homes = world.homes();
        homes[&spot].is_up() && homes[&spot].life() == life
    };
    let serving = loop {
        if !is_current() {
            return;
        }
        if let Some(serving) = world.homes()[&spot].serving() {
            break serving;
        }
        sleep(Duration::from_millis(5)).await;
    };
    let mut progress = serving.catalog.progress();
    loop {
        serving.catalog.inspect(|catalog| {
            for row in catalog.nodes().filter(|row| !row.running) {
                world.history.session_lost((row.id, row.boot));
            }
        });
        if !is_current() || progress.changed().await.is_err() {
            return;
        }
    }
}
