//! This node's part in the cluster: who is there, which replicas run here, and what those that
//! lead have to look after.
//!
//! [`Neighbours`] watches the other nodes and has lost ones given up. [`Replicas`] runs what the
//! catalog's rows say should run here. A [`steward`] per group that is led here brings its members
//! in line with the catalog; [`controller`] writes the rows themselves, where the catalog is led;
//! [`sessions`] finds those whose nodes have gone. [`Envoy`] answers other nodes.
//!
//! **Always holds:** what is decided is decided by the catalog's rows and by what the groups say of
//! themselves, so whoever leads next goes on where another left off.
//!
//! **Not here:** what shards hold and how they are spoken to.

mod chart;
#[cfg(test)]
pub(crate) mod clerk;
mod controller;
mod distress;
mod drain;
mod envoy;
pub(crate) mod forgotten;
pub(crate) mod forward;
mod leading;
mod leave;
mod membership;
mod neighbours;
mod overview;
mod prospect;
mod replicas;
mod sessions;
mod sight;
mod steward;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use warren_catalog::Catalog;
use warren_consensus::{Group, Node, Peers};
use warren_queue::Shard;
use warren_rpc::{Distress, Ping};
use warren_types::{GroupId, NodeId, SessionId};

use self::chart::{Chart, Surveyor};
use self::controller::Controller;
pub use self::envoy::Envoy;
use self::leading::Pace;
use self::neighbours::{Means, Watcher};
pub(crate) use self::neighbours::{Neighbours, Sights};
pub use self::overview::ClusterOverview;
use self::replicas::Replicas;
pub(crate) use self::replicas::{ReplicaEvent, Starts};
use self::steward::{Kind, Steward};
use crate::admin::AdminError;
use crate::config::Config;
use crate::directory::Directory;

/// What a node's part in the cluster is made from.
pub(crate) struct ClusterParts {
    pub(crate) config: Arc<Config>,
    /// This start of this node.
    pub(crate) session: SessionId,
    pub(crate) consensus: Node,
    pub(crate) catalog: Group<Catalog>,
    pub(crate) directory: Directory,
    pub(crate) peers: Peers,
    /// Whether this node has to make the cluster's shards.
    pub(crate) founding: bool,
    /// The shards that this node has begun to start.
    pub(crate) starts: Starts,
    /// Hears which shards run here.
    pub(crate) replica_events: mpsc::UnboundedSender<ReplicaEvent>,
    /// Hears which sessions of the shards that are led here are over.
    pub(crate) dead_sessions: mpsc::UnboundedSender<(GroupId, SessionId)>,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

/// This node's part in the cluster. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Cluster {
    inner: Arc<Inner>,
}

/// What the tasks of the cluster share.
struct Inner {
    config: Arc<Config>,
    session: SessionId,
    consensus: Node,
    catalog: Group<Catalog>,
    directory: Directory,
    peers: Peers,
    chart: watch::Receiver<Arc<Chart>>,
    neighbours: Neighbours,
    /// Nodes that have been away for so long that others are to take their place.
    gone: watch::Receiver<Arc<BTreeSet<NodeId>>>,
    /// The shards that run here.
    running: RwLock<BTreeMap<GroupId, Group<Shard>>>,
    /// Spaces transfers of leadership.
    pace: Pace,
    /// Wakes those who look after sessions, when a shard begins to be led here.
    reign: Notify,
    draining: Arc<AtomicBool>,
    /// What this node runs out of.
    distress: watch::Sender<Distress>,
    /// Whether this node has itself forgotten by the cluster.
    leaving: AtomicBool,
    serving: AtomicBool,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Cluster {
    /// Starts the tasks. They find out by themselves what there is to do.
    pub(crate) fn start(parts: ClusterParts) -> Self {
        let ClusterParts { config, session, consensus, catalog, directory, peers, .. } = parts;
        let (stop, tasks) = (parts.stop, parts.tasks);
        let (chart, surveyor) = Surveyor::new(directory.clone());
        tasks.spawn(surveyor.run(stop.clone()));
        let draining = Arc::new(AtomicBool::new(false));
        let distress = watch::Sender::new(Distress::default());
        let (neighbours, watcher) = Watcher::new(Means {
            session,
            timeout: config.node_timeout,
            peers: peers.clone(),
            chart: chart.clone(),
            directory: directory.clone(),
            leadership: catalog.leadership(),
            draining: Arc::clone(&draining),
            distress: distress.subscribe(),
        });
        tasks.spawn(watcher.run(stop.clone()));

        let (gone, gone_seen) = watch::channel(Arc::default());
        let inner = Arc::new(Inner {
            config,
            session,
            consensus,
            catalog,
            directory,
            peers,
            chart,
            neighbours,
            gone: gone_seen,
            running: RwLock::default(),
            pace: Pace::default(),
            reign: Notify::new(),
            draining,
            distress,
            leaving: AtomicBool::new(false),
            serving: AtomicBool::new(false),
            stop: stop.clone(),
            tasks: tasks.clone(),
        });
        let steward = Steward::new(Arc::clone(&inner), inner.catalog.clone(), Kind::Catalog);
        tasks.spawn(steward.run(stop.clone()));
        tasks.spawn(Controller::new(Arc::clone(&inner), gone).run(stop.clone()));
        let (starts, events) = (parts.starts, parts.replica_events);
        let replicas = Replicas::new(Arc::clone(&inner), parts.founding, starts, events);
        tasks.spawn(replicas.run(stop.clone()));
        tasks.spawn(distress::run(Arc::clone(&inner), stop.clone()));
        tasks.spawn(heed(Arc::clone(&inner), stop.clone()));
        tasks.spawn(sessions::run(Arc::clone(&inner), parts.dead_sessions, stop));
        Self { inner }
    }

    /// The other nodes.
    pub(crate) fn neighbours(&self) -> &Neighbours {
        &self.inner.neighbours
    }

    /// Whether the node of `session` answers, as the same start.
    pub(crate) async fn lives(&self, session: SessionId) -> bool {
        let ping = Ping { draining: self.is_draining(), distress: self.distress() };
        let answer = self.inner.peers.ping(session.node, ping, neighbours::LOOK_LIMIT).await;
        answer.is_ok_and(|pong| pong.boot == session.boot)
    }

    /// Whether this node serves clients, for the others to hear.
    pub(crate) fn set_serving(&self, serving: bool) {
        self.inner.serving.store(serving, Ordering::Relaxed);
    }

    fn is_serving(&self) -> bool {
        self.inner.serving.load(Ordering::Relaxed)
    }

    fn is_draining(&self) -> bool {
        self.inner.is_draining()
    }

    /// Gives away whatever this node leads, and takes no lead back. Ends after `limit` in any case.
    pub(crate) async fn drain(&self, limit: Duration) {
        drain::run(&self.inner, limit).await;
    }

    /// Has the cluster forget this node, which goes on to run and leads nothing.
    ///
    /// # Errors
    /// When the others cannot do without it, or do not answer. What is left can be done again.
    pub(crate) async fn leave(&self) -> Result<(), AdminError> {
        leave::run(&self.inner).await
    }

    /// How the cluster is, as seen from here.
    pub(crate) fn overview(&self) -> ClusterOverview {
        overview::look(&self.inner)
    }
}

/// Ends the process when the cluster has forgotten this node, unless it wanted that itself.
async fn heed(inner: Arc<Inner>, stop: CancellationToken) {
    let forgotten = forgotten::find_out(inner.directory.clone(), inner.peers.clone());
    tokio::select! {
        () = stop.cancelled() => {}
        () = forgotten => {
            if !inner.leaving.load(Ordering::Relaxed) {
                inner.consensus.give_up(forgotten::FORGOTTEN);
            }
        }
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("session", &self.inner.session).finish_non_exhaustive()
    }
}

impl Inner {
    fn chart(&self) -> Arc<Chart> {
        Arc::clone(&self.chart.borrow())
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// The nodes that answer and mean to stay.
    fn alive(&self, chart: &Chart) -> BTreeSet<NodeId> {
        let sights = self.neighbours.sights();
        let sights = sights.borrow();
        let well = |row: &&warren_catalog::Node| {
            if row.id == self.session.node {
                return !self.is_draining();
            }
            sights.get(&row.id).is_some_and(|sight| sight.is_well(row.boot))
        };
        chart.nodes.values().filter(well).map(|row| row.id).collect()
    }

    /// The nodes that may be given replicas.
    fn usable(&self, chart: &Chart) -> Vec<NodeId> {
        let alive = self.alive(chart);
        let rows = chart.running().filter(|row| !row.draining && alive.contains(&row.id));
        rows.map(|row| row.id).collect()
    }

    /// The shards that run here.
    fn running(&self) -> Vec<Group<Shard>> {
        let running = self.running.read().unwrap_or_else(PoisonError::into_inner);
        running.values().cloned().collect()
    }

    /// The shard, if it runs here.
    fn shard(&self, group: GroupId) -> Option<Group<Shard>> {
        self.running.read().unwrap_or_else(PoisonError::into_inner).get(&group).cloned()
    }
}
