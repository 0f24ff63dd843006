//! Which nodes should vote in the catalog's group.

use std::collections::BTreeSet;

use warren_types::NodeId;

use super::{Nodes, Standing, majority};
use crate::Catalog;

/// The most voters: more would make every change wait for more disks and survive no likelier loss.
const MAX_VOTERS: usize = 5;

/// The voters that the catalog's group should have next, by id; all other nodes are learners.
///
/// One, three or five, as many as there are nodes for, on zones of their own where zones are
/// named. Two nodes both vote: the cluster then stands still without either, but loses nothing
/// with either, whereas one voter alone would take everything with it. Nodes may be usable one
/// after the other, so two of three are accepted on the way as well.
///
/// Present voters stay. One that is gone, drained or forgotten is replaced once there is a node
/// to replace it. Without one, it is dropped if it was forgotten, or if it is gone and the others
/// could lose one more without it. One that is merely away stays. At most one goes at a time.
#[must_use]
pub fn plan_voters(
    catalog: &Catalog,
    current_voters: &[NodeId],
    usable: &[NodeId],
    gone: &[NodeId],
) -> Vec<NodeId> {
    let nodes = Nodes::new(catalog, usable, gone);
    let mut voters: BTreeSet<NodeId> = current_voters.iter().copied().collect();
    if let Some(leaving) = first_to_leave(catalog, &nodes, &voters) {
        let spare = spare(&nodes, &voters);
        if spare.is_some() || is_better_dropped(catalog, &nodes, &voters, leaving) {
            // Of one or two voters, each is needed until the other has come.
            if spare.is_none() || voters.len() > 2 {
                voters.remove(&leaving);
            }
            voters.extend(spare);
            return voters.into_iter().collect();
        }
    }
    if voters.len() > wanted(&nodes) {
        if let Some(node) = superfluous(&nodes, &voters) {
            voters.remove(&node);
        }
        return voters.into_iter().collect();
    }
    let size = reachable(&nodes, &voters);
    while voters.len() < size
        && let Some(spare) = spare(&nodes, &voters)
    {
        voters.insert(spare);
    }
    voters.into_iter().collect()
}

/// How many voters there should be, by how many nodes are there or will be back.
fn wanted(nodes: &Nodes<'_>) -> usize {
    let most = nodes.expected().min(MAX_VOTERS);
    if most > 2 { most.saturating_sub(1) | 1 } else { most }
}

/// How many there can be with the nodes that are usable: odd, beyond two.
fn reachable(nodes: &Nodes<'_>, voters: &BTreeSet<NodeId>) -> usize {
    let spares = nodes.usable().filter(|node| !voters.contains(node)).count();
    let size = voters.len().saturating_add(spares).min(wanted(nodes));
    if size > 2 { size.saturating_sub(1) | 1 } else { size }
}

/// The voter that should leave first: forgotten, gone, drained, in this order.
fn first_to_leave(
    catalog: &Catalog,
    nodes: &Nodes<'_>,
    voters: &BTreeSet<NodeId>,
) -> Option<NodeId> {
    let leaving = voters.iter().copied().filter(|node| nodes.is_leaving(*node));
    let draining = |node| catalog.node(node).is_some_and(|row| row.draining);
    leaving.min_by_key(|node| (catalog.node(*node).is_some(), draining(*node), *node))
}

/// Whether a voter is of no use even though nobody takes its place.
fn is_better_dropped(
    catalog: &Catalog,
    nodes: &Nodes<'_>,
    voters: &BTreeSet<NodeId>,
    leaving: NodeId,
) -> bool {
    if catalog.node(leaving).is_none() {
        return true;
    }
    let is_gone = |node: &NodeId| nodes.standing(*node) == Standing::Gone;
    let present = voters.iter().filter(|node| !is_gone(node)).count();
    // How many of those present may be lost, with all of the gone voting and with none.
    let spare_with = present.saturating_sub(majority(voters.len()));
    let spare_without = present.saturating_sub(majority(present));
    is_gone(&leaving) && spare_without > spare_with
}

/// The voter that adds least, where all are there: one that is drained, or else one that shares
/// its zone.
fn superfluous(nodes: &Nodes<'_>, voters: &BTreeSet<NodeId>) -> Option<NodeId> {
    let is_there = |node: &NodeId| match nodes.standing(*node) {
        Standing::Usable | Standing::Draining => true,
        Standing::Away | Standing::Gone => false,
    };
    if !voters.iter().all(is_there) {
        return None;
    }
    let members: Vec<NodeId> = voters.iter().copied().collect();
    let weight =
        |node: &NodeId| (nodes.is_leaving(*node), nodes.neighbours(&members, *node), *node);
    members.iter().copied().max_by_key(weight)
}

/// The usable node that should vote next.
fn spare(nodes: &Nodes<'_>, voters: &BTreeSet<NodeId>) -> Option<NodeId> {
    let staying = voters.iter().copied().filter(|node| !nodes.is_leaving(*node));
    let staying: Vec<NodeId> = staying.collect();
    let spares = nodes.usable().filter(|node| !voters.contains(node));
    spares.min_by_key(|node| (nodes.neighbours(&staying, *node), *node))
}
