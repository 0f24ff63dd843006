//! Where replicas should be: which nodes hold each shard, and which vote in the catalog's group.
//!
//! Pure functions of the catalog and of what the asker believes about the nodes. Each call makes
//! one careful step; asked again after every step, they come to rest. What is there stays unless
//! there is a reason, and of what is there at most one replica goes at a time, so that the set
//! before and the set after agree on a majority.
//!
//! **Not here:** whether a change has arrived in its group. Who asks names the groups that are
//! still changing as [`PlanInput::busy`].

mod leaders;
mod shards;
mod voters;

use std::collections::{BTreeMap, BTreeSet};

use warren_types::{GroupId, NodeId};

pub use shards::plan_shards;
pub use voters::plan_voters;

use crate::Catalog;

/// Replicas of a shard where nothing else is configured: of three, one may be lost.
const DEFAULT_FACTOR: usize = 3;

/// Moves for balance alone that go on at a time: each copies a shard's messages over the network.
const DEFAULT_MAX_MOVES: usize = 1;

/// What the asker wants, and believes about the nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanInput {
    /// Replicas that each shard should have, if there are as many nodes.
    pub factor: usize,
    /// Nodes that run and may be given replicas. Those that are drained or gone are left out
    /// anyway.
    pub usable: Vec<NodeId>,
    /// Nodes that have been away for so long that others should take their place.
    pub gone: Vec<NodeId>,
    /// Shards whose last change has not arrived in their group; they are left as they are, and
    /// each counts as a move.
    pub busy: BTreeSet<GroupId>,
    /// How many replicas may move at a time for balance and zones alone.
    pub max_moves: usize,
}

impl Default for PlanInput {
    fn default() -> Self {
        Self {
            factor: DEFAULT_FACTOR,
            usable: Vec::new(),
            gone: Vec::new(),
            busy: BTreeSet::new(),
            max_moves: DEFAULT_MAX_MOVES,
        }
    }
}

/// What may be done with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It runs and takes what it is given.
    Usable,
    /// It is away, or at least not known to run; it keeps what it has.
    Away,
    /// It hands over what it has, once somebody can take it.
    Draining,
    /// It is not waited for.
    Gone,
}

/// All nodes of the catalog, and where they are.
struct Nodes<'a> {
    standings: BTreeMap<NodeId, (Standing, &'a str)>,
}

impl<'a> Nodes<'a> {
    fn new(catalog: &'a Catalog, usable: &[NodeId], gone: &[NodeId]) -> Self {
        let standings = catalog.nodes().map(|row| {
            let standing = if gone.contains(&row.id) {
                Standing::Gone
            } else if row.draining {
                Standing::Draining
            } else if usable.contains(&row.id) {
                Standing::Usable
            } else {
                Standing::Away
            };
            (row.id, (standing, &*row.zone))
        });
        Self { standings: standings.collect() }
    }

    /// A node that was forgotten is gone.
    fn standing(&self, node: NodeId) -> Standing {
        self.standings.get(&node).map_or(Standing::Gone, |(standing, _)| *standing)
    }

    fn is_usable(&self, node: NodeId) -> bool {
        self.standing(node) == Standing::Usable
    }

    /// Whether the node should hold nothing.
    fn is_leaving(&self, node: NodeId) -> bool {
        match self.standing(node) {
            Standing::Draining | Standing::Gone => true,
            Standing::Usable | Standing::Away => false,
        }
    }

    fn usable(&self) -> impl Iterator<Item = NodeId> {
        let all = self.standings.iter();
        all.filter(|(_, (standing, _))| *standing == Standing::Usable).map(|(node, _)| *node)
    }

    /// How many nodes are there or will be back.
    fn expected(&self) -> usize {
        let all = self.standings.values();
        all.filter(|(standing, _)| *standing != Standing::Gone).count()
    }

    /// How many of `others` share a zone with `node`. Where no zone is named, none is shared.
    fn neighbours(&self, others: &[NodeId], node: NodeId) -> usize {
        let zone = |node| self.standings.get(&node).map_or("", |(_, zone)| *zone);
        let own = zone(node);
        let shares = |other: &&NodeId| **other != node && !own.is_empty() && zone(**other) == own;
        others.iter().filter(shares).count()
    }
}

/// The smallest majority of `members`.
fn majority(members: usize) -> usize {
    members.div_euclid(2).saturating_add(1)
}

#[cfg(test)]
mod tests;
