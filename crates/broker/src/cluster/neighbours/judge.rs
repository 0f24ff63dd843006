//! Has the catalog say that a start of a node is over, or that it is not.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::watch;
use tokio::time::timeout;
use warren_catalog::Command;
use warren_consensus::{Leadership, Peers};
use warren_rpc::Verdict;
use warren_types::{BootId, NodeId};

use super::{LOOK_LIMIT, Means, Sights};
use crate::cluster::sight::{Sight, Suspicion};
use crate::directory::Directory;

/// How much later than the catalog's leader everybody else speaks up, so that usually only one
/// does.
const LEADER_FIRST: Duration = Duration::from_secs(1);

/// How long another node may take to look for itself and answer.
const PROBE_LIMIT: Duration = LOOK_LIMIT.saturating_mul(2);

/// How long the majority may take to show that this node is part of it.
const BARRIER_LIMIT: Duration = Duration::from_secs(2);

/// How long a change may wait. What was true then need not be so later.
const CHANGE_LIMIT: Duration = Duration::from_secs(5);

/// Decides about the life of nodes. Cheap to clone.
#[derive(Clone)]
pub(super) struct Judge {
    here: NodeId,
    peers: Peers,
    directory: Directory,
    leadership: watch::Receiver<Leadership>,
    sights: watch::Receiver<Arc<Sights>>,
}

impl Judge {
    pub(super) fn new(means: &Means, sights: watch::Receiver<Arc<Sights>>) -> Self {
        Self {
            here: means.session.node,
            peers: means.peers.clone(),
            directory: means.directory.clone(),
            leadership: means.leadership.clone(),
            sights,
        }
    }

    /// Gives up a node, unless somebody sees it or this node is the one that is cut off.
    pub(super) async fn lose(&self, node: NodeId, suspicion: Suspicion) {
        // When the lost node was the leader, the next one is the first.
        let mut leadership = self.leadership.clone();
        let leads = leadership.wait_for(|leadership| leadership.here);
        drop(timeout(LEADER_FIRST, leads).await);
        // In a minority everybody else looks lost; what it proposed would come into force later.
        if !matches!(timeout(BARRIER_LIMIT, self.directory.catch_up()).await, Ok(Ok(()))) {
            return;
        }
        // The others are asked behind that: whoever was cut off itself and has just come back has not
        // looked at everybody again, and had nobody to ask before.
        let boot = match suspicion {
            Suspicion::Certain(boot) => boot,
            Suspicion::Likely(boot) => {
                if !self.is_missed(node).await {
                    tracing::debug!(%node, "not seen from here, but by others");
                    return;
                }
                boot
            }
        };
        if !self.is_over(node, boot) {
            return;
        }
        tracing::warn!(%node, %boot, "a node is lost: its sessions and transient queues end");
        self.change(Command::LoseNode { node, boot }).await;
    }

    /// Says that this start of this node lives.
    pub(super) async fn rise(&self, node: NodeId, boot: BootId, speaks: u16) {
        tracing::warn!("this node was given up by the others and lives");
        self.change(Command::StartNode { node, boot, speaks }).await;
    }

    async fn change(&self, change: Command) {
        match timeout(CHANGE_LIMIT, self.directory.change(change)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a node's state was not changed"),
            Err(_) => tracing::debug!("a node's state could not be changed in time"),
        }
    }

    /// Whether that start still counts as running, and does not answer.
    fn is_over(&self, node: NodeId, boot: BootId) -> bool {
        let runs = self
            .directory
            .look(|catalog| catalog.node(node).is_some_and(|row| row.running && row.boot == boot));
        let answers = match self.sights.borrow().get(&node) {
            Some(Sight::Alive { boot: seen, .. }) => *seen == boot,
            Some(Sight::Gone | Sight::Silent { .. }) | None => false,
        };
        runs && !answers
    }

    /// Whether no other node sees it, and, if there are others, one of them says so.
    async fn is_missed(&self, node: NodeId) -> bool {
        // The chart follows the catalog a little later: it may not show who has come back.
        let others: Vec<NodeId> = self.directory.look(|catalog| {
            let running = catalog.nodes().filter(|row| row.running).map(|row| row.id);
            running.filter(|other| ![node, self.here].contains(other)).collect()
        });
        let probes = others.into_iter().map(|other| self.peers.probe(other, node, PROBE_LIMIT));
        let verdicts = join_all(probes).await;
        let is_alone = verdicts.is_empty();
        let mut heard = verdicts.into_iter().flatten().peekable();
        (is_alone || heard.peek().is_some()) && !heard.any(|verdict| verdict == Verdict::Alive)
    }
}
