//! How the cluster is, in numbers.

use std::collections::BTreeSet;

use warren_consensus::Status;
use warren_types::{GroupId, NodeId};

use super::Inner;
use super::chart::Chart;

/// Voters that the catalog has where there are as many nodes, at least.
const CATALOG_VOTERS: usize = 3;

/// How the cluster is, as seen from one node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClusterOverview {
    /// Nodes that belong to the cluster.
    pub nodes_known: usize,
    /// Nodes of it whose process is believed to run.
    pub nodes_running: usize,
    /// Replicas that should be and are not: of groups that have too few, that do not vote yet,
    /// or whose node does not run. One for each group whose members are about to be others: until
    /// that is settled, the loss of a node may still cost a majority.
    pub replicas_missing: usize,
    /// Groups with a replica here that nobody is known to lead.
    pub leaderless: usize,
}

pub(super) fn look(inner: &Inner) -> ClusterOverview {
    let chart = inner.chart();
    let running = inner.running();
    let led = |leader: Option<NodeId>| usize::from(leader.is_none());
    let leaderless = running.iter().map(|group| led(group.leadership().borrow().leader));
    let catalog = led(inner.catalog.leadership().borrow().leader);
    let voters = |group: GroupId| Some(Voters::of(&inner.shard(group)?.status()));
    let here = inner.session.node;
    let factor = inner.config.replication_factor;
    // A founder that has not made all of its shards lacks all replicas of the rest.
    let made = chart.shards.len();
    let unmade = usize::try_from(inner.config.shards).unwrap_or(usize::MAX).saturating_sub(made);
    let missing =
        chart.shards.keys().map(|group| missing(&chart, here, factor, *group, voters(*group)));
    let of_catalog = missing_of_catalog(&chart, &Voters::of(&inner.catalog.status()));
    ClusterOverview {
        nodes_known: chart.nodes.len(),
        nodes_running: chart.running().count(),
        replicas_missing: missing.chain([of_catalog, unmade]).sum(),
        leaderless: leaderless.sum::<usize>().saturating_add(catalog),
    }
}

/// Who votes in a group.
#[derive(Debug)]
struct Voters {
    nodes: BTreeSet<NodeId>,
    /// Whether nobody else is asked.
    settled: bool,
}

impl Voters {
    fn of(status: &Status) -> Self {
        let nodes = status.voters.iter().map(|(node, _)| *node).collect();
        Self { nodes, settled: status.settled }
    }
}

fn runs(chart: &Chart, node: &NodeId) -> bool {
    chart.nodes.get(node).is_some_and(|node| node.running)
}

/// Voters that the catalog lacks.
fn missing_of_catalog(chart: &Chart, voters: &Voters) -> usize {
    let lacking = CATALOG_VOTERS.min(chart.nodes.len()).saturating_sub(voters.nodes.len());
    let absent = voters.nodes.iter().filter(|node| !runs(chart, node)).count();
    [lacking, absent, usize::from(!voters.settled)].into_iter().sum()
}

/// Replicas that a shard lacks. Of a shard without a replica here, only the row is known.
fn missing(
    chart: &Chart,
    here: NodeId,
    factor: usize,
    group: GroupId,
    voters: Option<Voters>,
) -> usize {
    let row = chart.replicas(group);
    let lacking = factor.min(chart.nodes.len()).saturating_sub(row.len());
    let votes = |node: &NodeId| match &voters {
        Some(voters) => voters.nodes.contains(node),
        None => *node != here,
    };
    let absent = row.iter().filter(|node| !runs(chart, node) || !votes(node)).count();
    let unsettled = voters.as_ref().is_some_and(|voters| !voters.settled);
    [lacking, absent, usize::from(unsettled)].into_iter().sum()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use warren_catalog::Node;
    use warren_types::BootId;

    use super::*;

    const GROUP: GroupId = GroupId(1);

    fn chart(nodes: &[(u64, bool)], replicas: &[u64]) -> Chart {
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
        let replicas = replicas.iter().copied().map(NodeId).collect();
        Chart {
            nodes: nodes.iter().map(|node| (NodeId(node.0), row(node))).collect(),
            shards: BTreeMap::from([(GROUP, replicas)]),
        }
    }

    fn voters(nodes: &[u64], settled: bool) -> Voters {
        Voters { nodes: nodes.iter().copied().map(NodeId).collect(), settled }
    }

    fn count(chart: &Chart, nodes: Option<&[u64]>) -> usize {
        missing(chart, NodeId(1), 3, GROUP, nodes.map(|nodes| voters(nodes, true)))
    }

    #[test]
    fn replicas_are_missing_until_they_are_named_vote_and_run() {
        let three = [(1, true), (2, true), (3, true)];
        let one_down = [(1, true), (2, true), (3, false)];

        assert_eq!(count(&chart(&three, &[1]), Some(&[1])), 2, "not named");
        assert_eq!(count(&chart(&three, &[1, 2, 3]), Some(&[1, 2])), 1, "does not vote");
        assert_eq!(count(&chart(&one_down, &[1, 2, 3]), Some(&[1, 2, 3])), 1, "does not run");
        assert_eq!(count(&chart(&three, &[1, 2, 3]), Some(&[1, 2, 3])), 0);
        assert_eq!(count(&chart(&[(1, true)], &[1]), Some(&[1])), 0, "there is nobody else");
    }

    #[test]
    fn a_change_of_members_counts_until_it_is_settled() {
        let three = chart(&[(1, true), (2, true), (3, true)], &[1, 2, 3]);

        let half_done = missing(&three, NodeId(1), 3, GROUP, Some(voters(&[1, 2, 3], false)));

        assert_eq!(half_done, 1);
        assert_eq!(missing_of_catalog(&three, &voters(&[1, 2, 3], false)), 1);
        assert_eq!(missing_of_catalog(&three, &voters(&[1, 2, 3], true)), 0);
    }

    #[test]
    fn the_catalog_lacks_voters_that_do_not_run_and_those_it_could_have() {
        let one_down = chart(&[(1, true), (2, true), (3, false)], &[]);
        let one_alone = chart(&[(1, true)], &[]);

        assert_eq!(missing_of_catalog(&one_down, &voters(&[1, 2, 3], true)), 1);
        assert_eq!(missing_of_catalog(&one_down, &voters(&[1], true)), 2);
        assert_eq!(missing_of_catalog(&one_alone, &voters(&[1], true)), 0);
    }

    #[test]
    fn of_a_shard_that_is_elsewhere_the_row_is_believed() {
        let four = [(1, true), (2, true), (3, true), (4, true)];

        assert_eq!(count(&chart(&four, &[2, 3, 4]), None), 0);
        assert_eq!(count(&chart(&four, &[1, 2, 3]), None), 1, "it should run here");
    }
}
