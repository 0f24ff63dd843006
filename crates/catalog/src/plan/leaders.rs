//! Which of a shard's replicas comes first, and so should lead.

use std::collections::{BTreeMap, VecDeque};

use warren_types::{GroupId, NodeId};

use super::Nodes;
use super::shards::Draft;

/// Puts a usable node first where the first one leaves, and evens out in how many shards each
/// node is first. A node that is merely away keeps its place.
pub(super) fn lead(nodes: &Nodes<'_>, drafts: &mut BTreeMap<GroupId, Draft<'_>>) {
    let mut firsts: BTreeMap<NodeId, usize> = nodes.usable().map(|node| (node, 0)).collect();
    for first in drafts.values().filter_map(|draft| draft.replicas.first()) {
        count(&mut firsts, *first, true);
    }
    for draft in drafts.values_mut().filter(|draft| !draft.is_busy) {
        if draft.replicas.first().is_none_or(|first| !nodes.is_leaving(*first)) {
            continue;
        }
        let usable = draft.replicas.iter().copied().filter(|node| nodes.is_usable(*node));
        if let Some(node) = usable.min_by_key(|node| (firsts.get(node).copied(), *node)) {
            put_first(draft, node);
            count(&mut firsts, node, true);
        }
    }
    while let Some(path) = shortening(drafts, &firsts) {
        for Turn { group, from, to } in path {
            if let Some(draft) = drafts.get_mut(&group) {
                put_first(draft, to);
            }
            count(&mut firsts, from, false);
            count(&mut firsts, to, true);
        }
    }
}

/// One shard changes its first replica.
#[derive(Clone, Copy)]
struct Turn {
    group: GroupId,
    from: NodeId,
    to: NodeId,
}

/// Turns by which a node that is first too often hands one shard on, from node to node, to one
/// that is first at least two times less. None when there are no two such nodes: then no other
/// choice of first replicas is more even.
fn shortening(
    drafts: &BTreeMap<GroupId, Draft<'_>>,
    firsts: &BTreeMap<NodeId, usize>,
) -> Option<Vec<Turn>> {
    let mut sources: Vec<(usize, NodeId)> =
        firsts.iter().map(|(node, count)| (*count, *node)).collect();
    // Those that are first most often, and of them the lowest.
    sources.sort_unstable_by_key(|(count, node)| (std::cmp::Reverse(*count), *node));
    sources.into_iter().find_map(|(most, source)| path_from(drafts, firsts, source, most))
}

fn path_from(
    drafts: &BTreeMap<GroupId, Draft<'_>>,
    firsts: &BTreeMap<NodeId, usize>,
    source: NodeId,
    most: usize,
) -> Option<Vec<Turn>> {
    let mut reached: BTreeMap<NodeId, Turn> = BTreeMap::new();
    let mut pending = VecDeque::from([source]);
    while let Some(from) = pending.pop_front() {
        let led = |draft: &Draft<'_>| !draft.is_busy && draft.replicas.first() == Some(&from);
        for (group, draft) in drafts.iter().filter(|(_, draft)| led(draft)) {
            for &to in &draft.replicas {
                // Nodes that are not counted are not usable.
                let Some(times) = firsts.get(&to) else { continue };
                if to == source || reached.contains_key(&to) {
                    continue;
                }
                reached.insert(to, Turn { group: *group, from, to });
                if times.saturating_add(2) <= most {
                    return Some(way_back(&reached, to));
                }
                pending.push_back(to);
            }
        }
    }
    None
}

/// The turns that lead to `end`, from the last to the first.
fn way_back(reached: &BTreeMap<NodeId, Turn>, end: NodeId) -> Vec<Turn> {
    let last = reached.get(&end).copied();
    std::iter::successors(last, |turn| reached.get(&turn.from).copied()).collect()
}

fn put_first(draft: &mut Draft<'_>, node: NodeId) {
    draft.replicas.retain(|replica| *replica != node);
    draft.replicas.insert(0, node);
}

fn count(firsts: &mut BTreeMap<NodeId, usize>, node: NodeId, more: bool) {
    if let Some(count) = firsts.get_mut(&node) {
        *count = if more { count.saturating_add(1) } else { count.saturating_sub(1) };
    }
}
