//! What breaks in a run, by its seed.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use warren_types::GroupId;

use super::chance::Chance;
use super::network::Spot;
use super::node::SHARDS;
use super::run::{SPOTS, World};

/// Lets nodes and the network between them break for a while, each on its own. What is broken then
/// stays so.
pub(super) async fn happen(world: &World, mut chance: Chance, trouble: Duration) {
    let end = Instant::now() + trouble;
    tokio::join!(break_nodes(world, chance.branch(), end), break_network(world, chance, end));
}

async fn break_nodes(world: &World, mut chance: Chance, end: Instant) {
    while Instant::now() < end {
        sleep(chance.millis(300..8000)).await;
        match chance.number(0..8) {
            0..4 => crash(world, &mut chance).await,
            4..6 => hand_over(world, &mut chance).await,
            _ => cover(world, &mut chance).await,
        }
    }
}

async fn break_network(world: &World, mut chance: Chance, end: Instant) {
    while Instant::now() < end {
        sleep(chance.millis(300..8000)).await;
        if chance.percent(70) {
            cut(world, &mut chance).await;
        } else {
            slow(world, &mut chance).await;
        }
    }
}

/// All nodes end at once.
pub(super) fn black_out(world: &World) {
    for spot in SPOTS.into_iter().filter(|spot| world.is_up(*spot)) {
        world.crash(spot);
    }
}

/// One, two or all nodes end at once, and come back one after the other.
async fn crash(world: &World, chance: &mut Chance) {
    let count = chance.pick(&[1, 1, 1, 2, 3]);
    let mut victims = some(chance, count);
    victims.retain(|spot| world.is_up(*spot));
    for spot in &victims {
        world.crash(*spot);
    }
    for spot in victims {
        sleep(chance.pick(&[10, 400, 2500, 8000]).into_duration()).await;
        world.start(spot);
    }
}

/// Some directions between nodes let nothing through for a while.
async fn cut(world: &World, chance: &mut Chance) {
    let lonely = chance.pick(&SPOTS);
    let mut others: Vec<Spot> = SPOTS.into_iter().filter(|spot| *spot != lonely).collect();
    if chance.percent(25) {
        // Two nodes see the third, and not each other.
        others.remove(chance.index(2));
    }
    let (out, back) = match chance.number(0..5) {
        // Alone.
        0..3 => (true, true),
        // Heard and deaf; unheard and hearing.
        3 => (false, true),
        _ => (true, false),
    };
    let mut held = BTreeSet::new();
    for other in others {
        if out {
            held.insert((lonely, other));
        }
        if back {
            held.insert((other, lonely));
        }
    }
    world.history.note(format!("hold {held:?}"));
    world.history.count(|summary| summary.cuts += 1);
    world.network.hold(held);
    sleep(chance.pick(&[300, 1500, 4000, 9000]).into_duration()).await;
    world.history.note("let go".to_owned());
    world.network.hold(BTreeSet::new());
}

/// The network is slow for a while.
async fn slow(world: &World, chance: &mut Chance) {
    world.history.note("slow".to_owned());
    world.network.set_delay(0..chance.pick(&[20, 100, 300]));
    sleep(chance.millis(1000..5000)).await;
    world.network.set_delay(0..3);
    world.history.note("fast".to_owned());
}

/// Somebody else is asked to lead a group.
async fn hand_over(world: &World, chance: &mut Chance) {
    let (group, to) = (
        GroupId(u32::try_from(chance.number(1..u64::from(SHARDS) + 1)).unwrap()),
        chance.pick(&SPOTS),
    );
    world.history.note(format!("hand {group} over to {to}"));
    let serving = world.serving();
    let Some(to) = serving.iter().find(|(spot, _)| *spot == to).map(|(_, node)| node.id) else {
        return;
    };
    for (_, node) in serving {
        if let Some(group) = node.shard(group) {
            drop(group.transfer_leadership(to).await);
        }
    }
}

/// A replica takes a snapshot of every group.
async fn cover(world: &World, chance: &mut Chance) {
    let serving = world.serving();
    if serving.is_empty() {
        return;
    }
    let (spot, node) = &serving[chance.index(serving.len())];
    world.history.note(format!("snapshots at {spot}"));
    drop(node.catalog.take_snapshot().await);
    for group in (1..=SHARDS).map(GroupId) {
        if let Some(group) = node.shard(group) {
            drop(group.take_snapshot().await);
        }
    }
}

/// So many different nodes.
fn some(chance: &mut Chance, count: usize) -> Vec<Spot> {
    let mut left = SPOTS.to_vec();
    (0..count).map(|_| left.remove(chance.index(left.len()))).collect()
}

/// Milliseconds, as a time.
trait IntoDuration {
    fn into_duration(self) -> Duration;
}

impl IntoDuration for u64 {
    fn into_duration(self) -> Duration {
        Duration::from_millis(self)
    }
}
