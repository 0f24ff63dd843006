//! Which nodes a leader would reach.
//!
//! Every node speaks with the leader of every group, not only those that vote. Where one link alone is
//! cut, a leader can have its majority and be out of reach for a node, and the clients of that node
//! wait for as long as the link is cut. So leads go to where all nodes are in sight.

use std::time::Duration;

use futures::future::join_all;
use warren_rpc::Verdict;
use warren_types::NodeId;

use super::Inner;
use super::chart::Chart;
use super::neighbours::LOOK_LIMIT;

/// How long a node may take to look at another and answer.
const PROBE_LIMIT: Duration = LOOK_LIMIT.saturating_mul(2);

impl Inner {
    /// Whether a node that is believed to run is out of sight from here.
    pub(super) fn misses_somebody(&self, chart: &Chart) -> bool {
        let sights = self.neighbours.sights();
        let sights = sights.borrow();
        let others = chart.running().filter(|row| row.id != self.session.node);
        others.into_iter().any(|row| sights.get(&row.id).is_some_and(|sight| !sight.is_alive()))
    }

    /// Whether `node` says that it sees every other one that is believed to run.
    pub(super) async fn sees_all(&self, chart: &Chart, node: NodeId) -> bool {
        let others = chart.running().map(|row| row.id).filter(|other| *other != node);
        let probes = others.map(|other| self.peers.probe(node, other, PROBE_LIMIT));
        join_all(probes).await.into_iter().all(|verdict| matches!(verdict, Ok(Verdict::Alive)))
    }
}
