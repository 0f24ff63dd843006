//! Which nodes a leader would reach.
//!
//! Every node speaks with the leader of every group, not only those that vote. Where one link alone is
//! cut, a leader can have its majority and be out of reach for a node, and the clients of that node
//! wait for as long as the link is cut. So leads go to where all nodes are in sight.

use std::time::Duration;

use futures::future::join_all;
use warren_catalog::Node;
use warren_rpc::Verdict;
use warren_types::NodeId;

use super::Inner;
use super::chart::Chart;
use super::neighbours::LOOK_LIMIT;
use super::sight::Sight;

/// How long a node may take to look at another and answer.
const PROBE_LIMIT: Duration = LOOK_LIMIT.saturating_mul(2);

impl Inner {
    /// Who is out of sight from here, and may run: who is believed to, and who was given up because
    /// nobody heard of it. Such a node comes back when it hears from the catalog's leader.
    pub(super) fn missed(&self, chart: &Chart) -> Vec<NodeId> {
        let sights = self.neighbours.sights();
        let sights = sights.borrow();
        let may_run = |row: &&Node| match sights.get(&row.id) {
            Some(Sight::Silent { .. }) => true,
            Some(Sight::Gone) => row.running,
            Some(Sight::Alive { .. }) | None => false,
        };
        let others = chart.nodes.values().filter(|row| row.id != self.session.node);
        others.filter(may_run).map(|row| row.id).collect()
    }

    /// Whether `node` says that it sees every other one that is believed to run.
    pub(super) async fn sees_all(&self, chart: &Chart, node: NodeId) -> bool {
        let others = chart.running().map(|row| row.id).filter(|other| *other != node);
        self.seen_by(node, others).await.into_iter().all(|seen| seen)
    }

    /// Whether `node` says that it sees one of these.
    pub(super) async fn sees_any(&self, node: NodeId, these: &[NodeId]) -> bool {
        self.seen_by(node, these.iter().copied()).await.into_iter().any(|seen| seen)
    }

    /// Of each of these, whether `node` says that it sees it.
    async fn seen_by(&self, node: NodeId, these: impl Iterator<Item = NodeId>) -> Vec<bool> {
        let probes = these.map(|other| self.peers.probe(node, other, PROBE_LIMIT));
        let verdicts = join_all(probes).await;
        verdicts.into_iter().map(|verdict| matches!(verdict, Ok(Verdict::Alive))).collect()
    }
}
