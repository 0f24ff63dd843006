//! Writes the rows that say which nodes hold which shard, on the node that leads the catalog.
//!
//! What should be is [`plan_shards`]'s affair. The controller finds out who is usable, who has been
//! away for too long, and which shards are still on their way to what their rows say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use warren_catalog::{PlanInput, plan_shards};
use warren_types::{GroupId, NodeId};

use super::Inner;
use super::chart::Chart;

/// Between two looks at a cluster in which nothing happens.
const INTERVAL: Duration = Duration::from_secs(1);

/// The shortest time between two looks, whatever happens.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a replica may take to say who votes in its group.
const ASK_LIMIT: Duration = Duration::from_secs(1);

/// How long a change of a row may wait: it may make no sense later.
const CHANGE_LIMIT: Duration = Duration::from_secs(5);

/// Replicas that move for balance at a time.
const MAX_MOVES: usize = 1;

/// The task that writes the rows.
pub(super) struct Controller {
    inner: Arc<Inner>,
    away: Away,
    gone: watch::Sender<Arc<BTreeSet<NodeId>>>,
    /// Shards whose members may not be what their rows say. None while another node leads.
    unsettled: Option<BTreeSet<GroupId>>,
}

impl Controller {
    /// A controller that lets `gone` know who has been away for too long.
    pub(super) fn new(inner: Arc<Inner>, gone: watch::Sender<Arc<BTreeSet<NodeId>>>) -> Self {
        Self { inner, away: Away::default(), gone, unsettled: None }
    }

    /// Serves until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let (mut chart, mut sights) = (self.inner.chart.clone(), self.inner.neighbours.sights());
        let mut leadership = self.inner.catalog.leadership();
        loop {
            sights.mark_unchanged();
            let seen = Arc::clone(&chart.borrow_and_update());
            let leads = leadership.borrow_and_update().here;
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.look(&seen, leads) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                changed = chart.changed() => if changed.is_err() { return },
                changed = sights.changed() => if changed.is_err() { return },
                changed = leadership.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }

    async fn look(&mut self, chart: &Chart, leads: bool) {
        let after = self.inner.config.replace_after;
        let gone = self.away.note(chart, Instant::now(), after);
        self.gone.send_if_modified(|known| {
            let changed = **known != gone;
            if changed {
                tracing::warn!(nodes = ?gone, "nodes that are away for too long");
                *known = Arc::new(gone.clone());
            }
            changed
        });
        if leads {
            self.plan(chart, gone).await;
        } else {
            self.unsettled = None;
        }
    }

    async fn plan(&mut self, chart: &Chart, gone: BTreeSet<NodeId>) {
        let unsettled = self.unsettled.take();
        let unsettled = unsettled.unwrap_or_else(|| chart.shards.keys().copied().collect());
        let alive = self.inner.alive(chart);
        let looks = unsettled.into_iter().map(|group| self.busy(chart, &alive, group));
        let busy: BTreeSet<GroupId> = join_all(looks).await.into_iter().flatten().collect();
        let input = PlanInput {
            factor: self.inner.config.replication_factor,
            usable: self.inner.usable(chart),
            gone: gone.into_iter().collect(),
            busy: busy.clone(),
            max_moves: MAX_MOVES,
        };
        let commands = self.inner.directory.look(|catalog| plan_shards(catalog, &input));
        let unsettled = self.unsettled.insert(busy);
        let changes = commands.into_iter().map(|command| {
            if let warren_catalog::Command::PutShard { group, replicas } = &command {
                tracing::info!(%group, ?replicas, "a shard gets other replicas");
                unsettled.insert(*group);
            }
            timeout(CHANGE_LIMIT, self.inner.directory.change(command))
        });
        for outcome in join_all(changes).await {
            match outcome {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a shard's row was not changed"),
                Err(_) => tracing::debug!("a shard's row could not be changed in time"),
            }
        }
    }

    /// The group, if its members are on the way to what its row says.
    async fn busy(
        &self,
        chart: &Chart,
        alive: &BTreeSet<NodeId>,
        group: GroupId,
    ) -> Option<GroupId> {
        let row: BTreeSet<NodeId> = chart.replicas(group).iter().copied().collect();
        let voters = self.voters(&row, alive, group).await;
        is_busy(&row, voters.as_ref(), alive).then_some(group)
    }

    /// Who votes in a group, as far as anybody says so.
    async fn voters(
        &self,
        row: &BTreeSet<NodeId>,
        alive: &BTreeSet<NodeId>,
        group: GroupId,
    ) -> Option<BTreeSet<NodeId>> {
        if let Some(shard) = self.inner.shard(group) {
            let voters = shard.status().voters;
            return Some(voters.into_iter().map(|(node, _)| node).collect());
        }
        for node in row.intersection(alive) {
            let status = self.inner.peers.group_status(*node, group, ASK_LIMIT).await;
            if let Ok(status) = status {
                return Some(status.voters.into_iter().collect());
            }
        }
        None
    }
}

/// Whether a shard is on its way to its row. One that waits for a node that does not answer is
/// not: it may need another one.
fn is_busy(
    row: &BTreeSet<NodeId>,
    voters: Option<&BTreeSet<NodeId>>,
    alive: &BTreeSet<NodeId>,
) -> bool {
    let Some(voters) = voters else { return true };
    if row.is_subset(voters) {
        return row != voters;
    }
    row.difference(voters).any(|newcomer| alive.contains(newcomer))
}

/// Since when nodes have been away.
#[derive(Debug, Default)]
struct Away {
    since: BTreeMap<NodeId, Instant>,
}

impl Away {
    /// Takes note of who runs, and says who has been away for longer than `after`.
    fn note(&mut self, chart: &Chart, now: Instant, after: Duration) -> BTreeSet<NodeId> {
        self.since.retain(|node, _| chart.nodes.get(node).is_some_and(|row| !row.running));
        for row in chart.nodes.values().filter(|row| !row.running) {
            self.since.entry(row.id).or_insert(now);
        }
        let long = |since: &Instant| now.saturating_duration_since(*since) > after;
        self.since.iter().filter(|(_, since)| long(since)).map(|(node, _)| *node).collect()
    }
}

#[cfg(test)]
mod tests {
    use warren_catalog::Node;
    use warren_types::BootId;

    use super::*;

    fn ids(nodes: &[u64]) -> BTreeSet<NodeId> {
        nodes.iter().copied().map(NodeId).collect()
    }

    fn chart(nodes: &[(u64, bool)]) -> Chart {
        let row = |(id, running): &(u64, bool)| Node {
            id: NodeId(*id),
            token: u128::from(*id),
            name: "n".into(),
            address: "h:1".into(),
            zone: "".into(),
            boot: BootId(1),
            speaks: 1,
            running: *running,
            draining: false,
        };
        let rows = nodes.iter().map(|node| (NodeId(node.0), row(node)));
        Chart { nodes: rows.collect(), ..Chart::default() }
    }

    #[test]
    fn a_node_is_gone_when_it_has_been_away_without_a_break() {
        let (mut away, begin) = (Away::default(), Instant::now());
        let (there, not) = (chart(&[(1, true), (2, true)]), chart(&[(1, true), (2, false)]));
        let after = Duration::from_secs(600);
        let at = |seconds| begin + Duration::from_secs(seconds);

        let seen = [
            away.note(&not, at(0), after),
            away.note(&not, at(600), after),
            away.note(&there, at(601), after),
            away.note(&not, at(602), after),
            away.note(&not, at(1203), after),
            away.note(&chart(&[(1, true)]), at(1204), after),
        ];

        assert_eq!(seen, [ids(&[]), ids(&[]), ids(&[]), ids(&[]), ids(&[2]), ids(&[])]);
    }

    #[test]
    fn a_shard_is_busy_until_its_voters_are_those_of_its_row() {
        let row = ids(&[1, 2, 4]);
        let alive = ids(&[1, 2, 3, 4]);
        let busy = |voters: &[u64]| is_busy(&row, Some(&ids(voters)), &alive);

        assert!(busy(&[1, 2, 3]), "node 4 comes");
        assert!(busy(&[1, 2, 3, 4]), "node 3 goes");
        assert!(!busy(&[1, 2, 4]));
        assert!(is_busy(&row, None, &alive), "nobody knows");
    }

    #[test]
    fn a_shard_that_waits_for_a_dead_node_may_be_given_another() {
        let busy = is_busy(&ids(&[1, 2, 4]), Some(&ids(&[1, 2, 3])), &ids(&[1, 2, 3]));

        assert!(!busy);
    }
}
