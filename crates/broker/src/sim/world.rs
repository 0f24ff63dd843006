//! The cluster of a run, with all that breaks, mends and watches it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use warren_consensus::Group;
use warren_machine::{Digest, Machine};
use warren_types::{GroupId, LogIndex, NodeId};

use super::chance::Chance;
use super::history::{History, Session};
use super::network::{Network, Spot};
use super::node::{Home, Homes, SHARDS, Serving};
use super::plan::Settings;

/// Where nodes may be. A cluster begins with the first three.
pub(super) const SPOTS: [Spot; 5] = [1, 2, 3, 4, 5];

/// Nodes of a cluster at its beginning.
pub(super) const NODES: usize = 3;

/// How long anything may take that must happen once all is well.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// A node that others give up must have been out of their sight within this time: longer than they wait,
/// and than it takes until that is known.
pub(super) const GIVEN_UP_AFTER: Duration = Duration::from_secs(12);

/// A cluster with its network. Cheap to clone.
#[derive(Clone)]
pub(super) struct World {
    pub(super) network: Network,
    pub(super) homes: Arc<Mutex<Homes>>,
    pub(super) history: History,
}

/// Something is done to a node, and nobody else does anything to it.
pub(super) struct Claim {
    world: World,
    pub(super) spot: Spot,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.world.home(self.spot, |home| home.claimed = false);
    }
}

impl World {
    /// Nothing runs yet.
    pub(super) fn new(history: History, chance: &mut Chance) -> Self {
        let network = Network::new(chance.branch());
        let settings = Settings::new(chance.branch());
        let homes = SPOTS.map(|spot| (spot, Home::new(spot, settings.clone())));
        Self { network, homes: Arc::new(Mutex::new(Homes::from(homes))), history }
    }

    pub(super) fn homes(&self) -> MutexGuard<'_, Homes> {
        self.homes.lock().unwrap()
    }

    /// Does something with a node.
    pub(super) fn home<R>(&self, spot: Spot, with: impl FnOnce(&mut Home) -> R) -> R {
        with(self.homes().get_mut(&spot).expect("it is one of them"))
    }

    /// The nodes that are so.
    pub(super) fn spots(&self, which: impl Fn(&Home) -> bool) -> Vec<Spot> {
        self.homes().iter().filter(|(_, home)| which(home)).map(|(spot, _)| *spot).collect()
    }

    /// The nodes that are meant to be part of the cluster.
    pub(super) fn members(&self) -> Vec<Spot> {
        self.spots(|home| home.belongs)
    }

    /// Takes one of the nodes that are so, unless something is being done to it.
    pub(super) fn claim(
        &self,
        chance: &mut Chance,
        which: impl Fn(&Home) -> bool,
    ) -> Option<Claim> {
        let free = self.spots(|home| !home.claimed && which(home));
        let spot = *free.get(chance.index(free.len().max(1)))?;
        self.home(spot, |home| home.claimed = true);
        Some(Claim { world: self.clone(), spot })
    }

    /// Brings the first nodes together.
    pub(super) async fn come_together(&self) {
        self.start(1);
        self.eventually("the founder serves", || self.serving().len() == 1).await;
        for spot in SPOTS.into_iter().take(NODES).skip(1) {
            self.start(spot);
        }
        self.complete().await;
        self.history.note("the cluster is complete".to_owned());
    }

    /// Waits until all members serve and nothing is missing, as all of them see it.
    pub(super) async fn complete(&self) {
        self.eventually("I19: the cluster is complete", || self.is_complete()).await;
    }

    /// Whether all members serve and nothing is missing, as all of them see it.
    pub(super) fn is_complete(&self) -> bool {
        let (serving, members) = (self.serving(), self.members());
        serving.iter().map(|(spot, _)| *spot).eq(members.iter().copied())
            && serving.iter().all(|(_, node)| {
                let overview = node.broker.overview().cluster;
                (overview.nodes_known, overview.nodes_running) == (members.len(), members.len())
                    && (overview.replicas_missing, overview.leaderless) == (0, 0)
            })
    }

    /// The nodes that serve.
    pub(super) fn serving(&self) -> Vec<(Spot, Serving)> {
        let homes = self.homes();
        homes.iter().filter_map(|(spot, home)| Some((*spot, home.serving()?))).collect()
    }

    /// A member that serves, by chance.
    pub(super) fn anyone(&self, chance: &mut Chance) -> Option<(Spot, Serving)> {
        let members = self.members();
        let mut serving = self.serving();
        serving.retain(|(spot, _)| members.contains(spot));
        if serving.is_empty() {
            return None;
        }
        Some(serving.swap_remove(chance.index(serving.len())))
    }

    /// Starts a node, which belongs to the cluster from here on.
    pub(super) fn start(&self, spot: Spot) {
        self.history.note(format!("start {spot}"));
        let seeds = self.members().into_iter().filter(|member| *member != spot).collect();
        self.home(spot, |home| {
            home.belongs = true;
            home.start(&self.network, seeds, &self.history);
        });
        tokio::spawn(super::watch::watch(self.clone(), spot));
    }

    /// The catalog, as far as it goes in some replica, says whether a start of a node is over: if it is,
    /// there must be a reason.
    pub(super) fn session_seen(&self, session: Session, upto: LogIndex, running: bool) {
        if !self.history.session_seen(session, upto, running) {
            return;
        }
        let lives =
            |home: &Home| home.is_up() && (home.id(), home.boot()) == (Some(session.0), session.1);
        let others =
            |spot| self.spots(|home| home.belongs).into_iter().filter(move |other| *other != spot);
        for spot in self.spots(lives) {
            let others: Vec<Spot> = others(spot).collect();
            if !self.network.was_out_of_sight(spot, &others, GIVEN_UP_AFTER) {
                self.history.fault(format!("I17: {spot} was given up, and others saw it"));
            }
        }
    }

    /// Ends a node.
    pub(super) fn crash(&self, spot: Spot) {
        self.history.note(format!("crash {spot}"));
        self.history.count(|summary| summary.crashes += 1);
        self.home(spot, |home| home.crash(&self.network, self.network.branch()));
    }

    /// A node that is down loses its disk.
    pub(super) fn wipe(&self, spot: Spot) {
        self.history.wiped(spot);
        self.home(spot, Home::wipe);
    }

    pub(super) fn is_up(&self, spot: Spot) -> bool {
        self.homes()[&spot].is_up()
    }

    /// Nothing is broken any more.
    pub(super) async fn mend(&self) {
        self.history.note("mend".to_owned());
        self.network.mend();
        for spot in self.members() {
            self.restore(spot);
        }
        self.complete().await;
        self.history.note("mended".to_owned());
    }

    /// Nothing is wrong with this node any more.
    pub(super) fn restore(&self, spot: Spot) {
        self.home(spot, |home| {
            home.open = true;
            home.health().hang(false);
            home.health().slow(0);
        });
        if !self.is_up(spot) {
            self.start(spot);
        }
    }

    pub(super) async fn end(&self, what: &str, tasks: Vec<JoinHandle<()>>) {
        for mut task in tasks {
            match timeout(self.patience(), &mut task).await {
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

    /// How long anything may still take. Where something has gone wrong, what follows from it is not
    /// waited for.
    fn patience(&self) -> Duration {
        if self.history.has_faults() { Duration::from_secs(2) } else { PATIENCE }
    }

    pub(super) async fn eventually(&self, what: &str, condition: impl Fn() -> bool) -> bool {
        let deadline = Instant::now() + self.patience();
        while !condition() {
            if Instant::now() > deadline {
                self.history.fault(format!("waited in vain: {what}"));
                return false;
            }
            sleep(Duration::from_millis(50)).await;
        }
        true
    }

    /// What each replica of a group has applied, and what it came to.
    pub(super) fn looks(&self, group: GroupId) -> Vec<(Spot, (LogIndex, Digest))> {
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

    /// All groups.
    pub(super) fn groups() -> impl Iterator<Item = GroupId> {
        (0..=SHARDS).map(GroupId)
    }

    /// Who the members are.
    pub(super) fn member_ids(&self) -> BTreeSet<NodeId> {
        self.homes().values().filter(|home| home.belongs).filter_map(Home::id).collect()
    }
}
