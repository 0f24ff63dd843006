//! What must be so when all is quiet.

use std::cell::Cell;
use std::collections::BTreeSet;

use warren_queue::{QueueKind, QueueListing, QueueStatus, Shard};
use warren_types::{GroupId, NodeId};

use super::node::{SHARDS, Serving};
use super::world::World;

/// Replicas of a shard, if there are as many nodes.
const FACTOR: usize = 3;

/// Looks in a row that must find nothing in the queues.
const EMPTY_LOOKS: u32 = 20;

/// The queues of all replicas. Streams keep what is in them.
fn queues(world: &World) -> Vec<QueueStatus> {
    let shards = |node: &Serving| {
        let node = node.clone();
        (1..=SHARDS).filter_map(move |group| node.shard(GroupId(group)))
    };
    let serving = world.serving();
    let replicas = serving.iter().flat_map(|(_, node)| shards(node));
    replicas
        .flat_map(|shard| shard.inspect(Shard::queues))
        .filter(|listing| !is_stream(listing))
        .map(|listing| listing.status)
        .collect()
}

fn is_stream(listing: &QueueListing) -> bool {
    listing.settings.kind == QueueKind::Stream
}

/// Messages in a queue, wherever they are in it.
fn messages(queue: &QueueStatus) -> u64 {
    queue.ready + queue.unsettled + queue.delayed + queue.dead
}

/// Waits until there is nothing in any queue of any replica, and stays so: what a front sends again, or
/// what is carried to where it is buried, arrives late.
pub(super) async fn empty(world: &World, told: &str) {
    let looks = Cell::new(0);
    let is_empty = || {
        let lies = queues(world).iter().map(messages).sum::<u64>() > 0;
        looks.set(if lies { 0 } else { looks.get() + 1 });
        looks.get() >= EMPTY_LOOKS
    };
    if !world.eventually(told, is_empty).await {
        world.history.note(format!("there lies{}", lying(world)));
    }
}

/// What lies in queues, for whoever wants to know why.
fn lying(world: &World) -> String {
    let mut text = String::new();
    for (spot, node) in world.serving() {
        for shard in (1..=SHARDS).filter_map(|group| node.shard(GroupId(group))) {
            for listing in shard.inspect(Shard::queues) {
                if messages(&listing.status) == 0 || is_stream(&listing) {
                    continue;
                }
                let QueueStatus { ready, unsettled, delayed, dead, consumers, .. } = listing.status;
                let row = node.broker.look(|catalog| catalog.queue_by_id(listing.queue).cloned());
                let name = row.map(|row| row.name.to_string());
                text.push_str(&format!(
                    "; at {spot} in {name:?}, {}: {ready} wait, {unsettled} are held, {delayed} \
                     wait for their time, {dead} are dead, {consumers} consumers",
                    listing.queue
                ));
            }
        }
    }
    text
}

/// Consumers of all queues of all replicas.
fn consumers(world: &World) -> u32 {
    queues(world).iter().map(|queue| queue.consumers).sum()
}

/// What must be so when all is quiet.
pub(super) async fn judge(world: &World) {
    empty(world, "I14: all queues are empty").await;
    world.eventually("I14: nobody consumes", || consumers(world) == 0).await;
    for group in World::groups() {
        world.eventually(&format!("I14: replicas of {group} agree"), || agree(world, group)).await;
        let members = format!("I17: the members of {group} are those of the cluster");
        if !world.eventually(&members, || is_settled(world, group)).await {
            let voters = members_of(world, group);
            world.history.note(format!("{group}: {voters:?} of {:?}", world.member_ids()));
        }
        world.history.note(format!("{group}: {:?}", world.looks(group)));
    }
}

/// Whether all replicas of a group that there should be have come to the same.
fn agree(world: &World, group: GroupId) -> bool {
    let (looks, nodes) = (world.looks(group), world.members().len());
    let replicas = if group == GroupId::CATALOG { nodes } else { nodes.min(FACTOR) };
    looks.len() == replicas && looks.iter().all(|(_, state)| *state == looks[0].1)
}

/// Whether as many members of the cluster vote as should, nobody else does, and no change is
/// half done, as all replicas see it.
pub(super) fn is_settled(world: &World, group: GroupId) -> bool {
    let (ids, catalog) = (world.member_ids(), group == GroupId::CATALOG);
    let wanted = if catalog { catalog_voters(ids.len()) } else { ids.len().min(FACTOR) };
    let seen = members_of(world, group);
    !seen.is_empty()
        && seen.iter().all(|(voters, learners, changing)| {
            !changing
                && voters.len() == wanted
                && voters.is_subset(&ids)
                && *voters == seen[0].0
                && (if catalog { (voters | learners) == ids } else { learners.is_empty() })
        })
}

/// How many of so many nodes vote in the catalog.
fn catalog_voters(nodes: usize) -> usize {
    match nodes {
        0..3 => nodes,
        3..5 => 3,
        _ => 5,
    }
}

/// Voters and learners of a group and whether they are being changed, as each replica sees them.
fn members_of(world: &World, group: GroupId) -> Vec<(BTreeSet<NodeId>, BTreeSet<NodeId>, bool)> {
    let ids = |places: Vec<(NodeId, String)>| places.into_iter().map(|(id, _)| id).collect();
    let statuses = world.serving().into_iter().filter_map(|(_, node)| node.consensus.status(group));
    statuses.map(|status| (ids(status.voters), ids(status.learners), status.changing)).collect()
}
