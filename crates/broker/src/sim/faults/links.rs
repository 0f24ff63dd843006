//! What breaks between nodes.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::sleep;
use warren_types::GroupId;

use super::a_while;
use crate::sim::chance::Chance;
use crate::sim::network::{Direction, Spot, USUAL_MS};
use crate::sim::world::World;

/// What may happen between nodes.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// One node is alone.
    Alone,
    /// Whoever leads some group is alone.
    LeaderAlone,
    /// One node is not heard, or hears nothing.
    OneWay,
    /// Two sets of nodes.
    Halves,
    /// Each node sees a majority, and no two the same one.
    Ring,
    /// Two sets of nodes that have one node in common.
    Bridge,
    /// Directions fall silent one by one, and come back in another order.
    Swizzle,
    /// Everything takes long.
    Slow,
    /// Some of what is sent is lost.
    Loss,
    /// Connections are reset.
    Reset,
}

pub(super) const KINDS: [Kind; 10] = [
    Kind::Alone,
    Kind::LeaderAlone,
    Kind::OneWay,
    Kind::Halves,
    Kind::Ring,
    Kind::Bridge,
    Kind::Swizzle,
    Kind::Slow,
    Kind::Loss,
    Kind::Reset,
];

/// Has it happen, until it is over.
pub(super) async fn happen(world: &World, chance: &mut Chance, kind: Kind) {
    let mut order = world.members();
    shuffle(&mut order, chance);
    let Some(first) = order.first().copied() else { return };
    match kind {
        Kind::Alone => cut(world, chance, around(world, first, true, true)).await,
        Kind::LeaderAlone => {
            let leader = leader(world, chance).unwrap_or(first);
            cut(world, chance, around(world, leader, true, true)).await;
        }
        Kind::OneWay => {
            let out = chance.percent(50);
            cut(world, chance, around(world, first, out, !out)).await;
        }
        Kind::Halves => {
            let (one, other) = order.split_at(1 + chance.index(order.len().max(2) - 1));
            cut(world, chance, between(one, other)).await;
        }
        Kind::Ring => cut(world, chance, ring(&order)).await,
        Kind::Bridge => {
            let (_, rest) = order.split_at(1);
            let (one, other) = rest.split_at(rest.len() / 2);
            cut(world, chance, between(one, other)).await;
        }
        Kind::Swizzle => swizzle(world, chance, &order).await,
        Kind::Slow => {
            world.history.note("slow".to_owned());
            world.network.set_delay(0..chance.pick(&[20, 100, 300]));
            sleep(a_while(chance)).await;
            world.network.set_delay(USUAL_MS);
        }
        Kind::Loss => {
            world.history.note("loss".to_owned());
            world.network.set_loss(chance.pick(&[1, 5, 20]));
            sleep(a_while(chance)).await;
            world.network.set_loss(0);
        }
        Kind::Reset => {
            world.history.note("reset".to_owned());
            for _ in 0..chance.pick(&[1, 1, 10]) {
                let percent = chance.pick(&[5, 50, 100]);
                world.network.reset(percent, chance);
                sleep(chance.millis(0..200)).await;
            }
        }
    }
}

/// The directions out of a node, into it, or both.
pub(super) fn around(world: &World, spot: Spot, out: bool, into: bool) -> BTreeSet<Direction> {
    let all = world.spots(|_| true);
    let others = all.into_iter().filter(|other| *other != spot);
    let pairs = others.flat_map(|other| [((spot, other), out), ((other, spot), into)]);
    pairs.filter(|(_, held)| *held).map(|(direction, _)| direction).collect()
}

fn between(one: &[Spot], other: &[Spot]) -> BTreeSet<Direction> {
    let pairs = one.iter().flat_map(|a| other.iter().map(move |b| (*a, *b)));
    pairs.flat_map(|(a, b)| [(a, b), (b, a)]).collect()
}

/// Each node sees only its neighbours in a circle: of three all but one pair, of five a majority.
fn ring(order: &[Spot]) -> BTreeSet<Direction> {
    let mut held = BTreeSet::new();
    for (at, one) in order.iter().enumerate() {
        for (elsewhere, other) in order.iter().enumerate().skip(at + 1) {
            let apart = elsewhere - at;
            if apart.min(order.len() - apart) > 1 || (order.len() == 3 && at == 0 && elsewhere == 2)
            {
                held.extend(between(&[*one], &[*other]));
            }
        }
    }
    held
}

/// Whoever leads some group.
fn leader(world: &World, chance: &mut Chance) -> Option<Spot> {
    let groups: Vec<GroupId> = World::groups().collect();
    let group = chance.pick(&groups);
    let leads = |node: &crate::sim::node::Serving| {
        node.consensus.status(group).is_some_and(|status| status.leadership.here)
    };
    world.serving().into_iter().find(|(_, node)| leads(node)).map(|(spot, _)| spot)
}

async fn cut(world: &World, chance: &mut Chance, held: BTreeSet<Direction>) {
    world.history.note(format!("hold {held:?}"));
    world.history.count(|summary| summary.cuts += 1);
    let hold = world.network.hold(held);
    sleep(a_while(chance)).await;
    world.history.note("let go".to_owned());
    world.network.let_go(hold);
}

async fn swizzle(world: &World, chance: &mut Chance, order: &[Spot]) {
    world.history.count(|summary| summary.cuts += 1);
    let mut directions: Vec<Direction> = between(order, order).into_iter().collect();
    directions.retain(|(from, to)| from != to);
    shuffle(&mut directions, chance);
    directions.truncate(1 + chance.index(directions.len().max(1)));
    let mut holds = Vec::new();
    for direction in directions {
        world.history.note(format!("hold {direction:?}"));
        holds.push(world.network.hold(BTreeSet::from([direction])));
        sleep(Duration::from_millis(chance.number(0..500))).await;
    }
    sleep(a_while(chance)).await;
    shuffle(&mut holds, chance);
    for hold in holds {
        world.network.let_go(hold);
        sleep(Duration::from_millis(chance.number(0..500))).await;
    }
    world.history.note("let all go".to_owned());
}

fn shuffle<T>(items: &mut [T], chance: &mut Chance) {
    for at in (1..items.len()).rev() {
        items.swap(at, chance.index(at + 1));
    }
}
