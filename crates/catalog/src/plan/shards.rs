//! Which nodes should hold each shard.
//!
//! In this order: what is too much goes, what leaves is replaced, what is missing is added. When
//! nothing of this is to be done, replicas move for zones and balance. Last, the first of each
//! shard's replicas is chosen.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use warren_types::{GroupId, NodeId};

use super::leaders::lead;
use super::{Nodes, PlanInput, majority};
use crate::{Catalog, Command};

/// The next changes to the rows of shards; none when all is as it should be.
///
/// Each shard keeps the replicas it has, and gets as many more as there are nodes, up to the
/// factor: on zones of their own where zones are named, else on the nodes that hold the fewest. A
/// replica on a node that is gone or drained is replaced once there is a node to replace it, and
/// only goes where as many as wanted are left. One whose node is merely away stays.
#[must_use]
pub fn plan_shards(catalog: &Catalog, input: &PlanInput) -> Vec<Command> {
    let mut plan = Plan::new(catalog, input);
    plan.trim();
    plan.replace();
    plan.fill();
    if plan.drafts.values().all(|draft| !draft.is_touched()) {
        for _ in 0..input.max_moves.saturating_sub(input.busy.len()) {
            if !plan.move_one() {
                break;
            }
        }
    }
    lead(&plan.nodes, &mut plan.drafts);
    let changed = plan.drafts.into_iter().filter(|(_, draft)| draft.is_touched());
    changed.map(|(group, draft)| Command::PutShard { group, replicas: draft.replicas }).collect()
}

/// A shard as it is and as it should be.
pub(super) struct Draft<'a> {
    present: &'a [NodeId],
    pub(super) replicas: Vec<NodeId>,
    pub(super) is_busy: bool,
}

impl Draft<'_> {
    fn is_touched(&self) -> bool {
        self.replicas != self.present
    }

    fn holds(&self, node: NodeId) -> bool {
        self.replicas.contains(&node)
    }

    /// Whether what is left without `node` holds a majority of the present replicas, and nothing
    /// else of them has gone.
    fn may_go(&self, node: NodeId) -> bool {
        let stays = |present: &&NodeId| **present != node && self.holds(**present);
        let staying = self.present.iter().filter(stays).count();
        staying >= majority(self.present.len()) && staying.saturating_add(1) >= self.present.len()
    }

    fn remove(&mut self, node: NodeId) {
        self.replicas.retain(|replica| *replica != node);
    }
}

struct Plan<'a> {
    nodes: Nodes<'a>,
    factor: usize,
    drafts: BTreeMap<GroupId, Draft<'a>>,
    /// How many replicas each usable node holds, with what is planned.
    loads: BTreeMap<NodeId, usize>,
}

impl<'a> Plan<'a> {
    fn new(catalog: &'a Catalog, input: &PlanInput) -> Self {
        let nodes = Nodes::new(catalog, &input.usable, &input.gone);
        let drafts = catalog.shards().map(|shard| {
            let is_busy = input.busy.contains(&shard.group);
            let present = shard.replicas.as_slice();
            (shard.group, Draft { present, replicas: present.to_vec(), is_busy })
        });
        let drafts: BTreeMap<GroupId, Draft<'_>> = drafts.collect();
        let held = |node| drafts.values().filter(|draft| draft.holds(node)).count();
        let loads = nodes.usable().map(|node| (node, held(node))).collect();
        Self { factor: input.factor.max(1), nodes, drafts, loads }
    }

    /// Takes one replica from each shard that has more than the factor: one that leaves, if the
    /// others can do without, or else, when all are usable, the one that adds least.
    fn trim(&mut self) {
        let Self { nodes, factor, drafts, loads } = self;
        let too_full = |draft: &&mut Draft<'_>| draft.replicas.len() > *factor;
        let open = drafts.values_mut().filter(|draft| !draft.is_busy);
        for draft in open.filter(too_full) {
            let mut all = draft.replicas.iter().copied();
            let usable = all.clone().filter(|node| nodes.is_usable(*node)).count();
            let left = draft.replicas.len().saturating_sub(1);
            let node = match all.find(|node| nodes.is_leaving(*node)) {
                Some(leaving) if usable >= majority(left) => Some(leaving),
                None if usable > left => {
                    // Of equals the last: the first ones are the preferred leaders.
                    let weight = |node: &NodeId| {
                        (nodes.neighbours(&draft.replicas, *node), loads.get(node).copied())
                    };
                    draft.replicas.iter().copied().max_by_key(weight)
                }
                Some(_) | None => None,
            };
            if let Some(node) = node {
                draft.remove(node);
                shift(loads, Some(node), None);
            }
        }
    }

    /// Replaces one replica that leaves in each shard, where there is a node for it.
    fn replace(&mut self) {
        for group in self.open_groups() {
            let Some(draft) = self.drafts.get(&group).filter(|draft| !draft.is_touched()) else {
                continue;
            };
            let leaving = draft.replicas.iter().copied().find(|node| self.nodes.is_leaving(*node));
            let Some(leaving) = leaving else { continue };
            if let Some(spare) = self.spare(draft) {
                self.exchange(group, leaving, spare);
            }
        }
    }

    /// Adds replicas where there are fewer than there should be. Adding takes nothing away, so
    /// there may be several at once.
    fn fill(&mut self) {
        let wanted = self.factor.min(self.nodes.expected());
        for group in self.open_groups() {
            while let Some(draft) = self.drafts.get(&group)
                && draft.replicas.len() < wanted
                && let Some(spare) = self.spare(draft)
            {
                self.add(group, spare);
            }
        }
    }

    /// Moves one replica to where it is better, if there is one: apart from others in its zone,
    /// or else from a fuller node to an emptier one.
    ///
    /// Each move lets fewer replicas share zones, or as many and evens out the nodes; so moving
    /// ends.
    fn move_one(&mut self) -> bool {
        let mut best: Option<(_, GroupId, NodeId, NodeId)> = None;
        for (group, draft) in &self.drafts {
            // A shard that lacks a replica has none to spare for a while.
            let is_whole = draft.replicas.iter().all(|node| self.nodes.is_usable(*node));
            if draft.is_busy || draft.is_touched() || !is_whole {
                continue;
            }
            for (at, &from) in draft.replicas.iter().enumerate() {
                for to in self.nodes.usable().filter(|node| !draft.holds(*node)) {
                    let Some(merit) = self.merit(draft, from, to) else { continue };
                    // Rather not the leader, whose clients would notice.
                    let key = (merit, at > 0, Reverse((*group, to, from)));
                    if best.is_none_or(|(known, ..)| key > known) {
                        best = Some((key, *group, from, to));
                    }
                }
            }
        }
        let Some((_, group, from, to)) = best else { return false };
        self.exchange(group, from, to);
        true
    }

    /// How good it is to move a replica: by how many neighbours it loses, and how full the one
    /// node and how empty the other is. None where it does no good.
    fn merit(
        &self,
        draft: &Draft<'_>,
        from: NodeId,
        to: NodeId,
    ) -> Option<(usize, usize, Reverse<usize>)> {
        let others: Vec<NodeId> =
            draft.replicas.iter().copied().filter(|node| *node != from).collect();
        let before = self.nodes.neighbours(&others, from);
        let lost = before.checked_sub(self.nodes.neighbours(&others, to))?;
        let (full, empty) = (self.load(from), self.load(to));
        let is_good = lost > 0 || full >= empty.saturating_add(2);
        is_good.then_some((lost, full, Reverse(empty)))
    }

    /// The usable node that a shard's next replica should be on.
    fn spare(&self, draft: &Draft<'_>) -> Option<NodeId> {
        let staying = draft.replicas.iter().copied();
        let staying: Vec<NodeId> = staying.filter(|node| !self.nodes.is_leaving(*node)).collect();
        let spares = self.nodes.usable().filter(|node| !draft.holds(*node));
        spares.min_by_key(|node| (self.nodes.neighbours(&staying, *node), self.load(*node), *node))
    }

    /// Puts `to` in the place of `from`. Where `from` is needed for a majority, it is dropped by a
    /// later call, once `to` is there.
    fn exchange(&mut self, group: GroupId, from: NodeId, to: NodeId) {
        if let Some(draft) = self.drafts.get_mut(&group) {
            if draft.may_go(from) {
                draft.remove(from);
            }
            draft.replicas.push(to);
            shift(&mut self.loads, Some(from), Some(to));
        }
    }

    fn add(&mut self, group: GroupId, to: NodeId) {
        if let Some(draft) = self.drafts.get_mut(&group) {
            draft.replicas.push(to);
            shift(&mut self.loads, None, Some(to));
        }
    }

    /// The shards that may be changed.
    fn open_groups(&self) -> Vec<GroupId> {
        let open = self.drafts.iter().filter(|(_, draft)| !draft.is_busy);
        open.map(|(group, _)| *group).collect()
    }

    fn load(&self, node: NodeId) -> usize {
        self.loads.get(&node).copied().unwrap_or_default()
    }
}

fn shift(loads: &mut BTreeMap<NodeId, usize>, from: Option<NodeId>, to: Option<NodeId>) {
    if let Some(load) = from.and_then(|from| loads.get_mut(&from)) {
        *load = load.saturating_sub(1);
    }
    if let Some(load) = to.and_then(|to| loads.get_mut(&to)) {
        *load = load.saturating_add(1);
    }
}
