//! What breaks in a run, by its seed.
//!
//! Each run has its own mixture: some kinds of faults do not happen in it at all, others often, as
//! what is rare is found where it comes together with few other things.

pub(super) mod core;
pub(super) mod links;
pub(super) mod members;
pub(super) mod nodes;

use std::time::Duration;

use tokio::time::{Instant, sleep};
use warren_catalog::Command;

use super::chance::Chance;
use super::world::{GIVEN_UP_AFTER, World};

/// Lets nodes and the network between them break until `end`, each on its own. What is broken then
/// stays so.
pub(super) async fn happen(world: &World, mut chance: Chance, end: Instant) {
    let (nodes, links) =
        (Mixture::new(&mut chance, &nodes::KINDS), Mixture::new(&mut chance, &links::KINDS));
    let (mut one, mut other) = (chance.branch(), chance);
    let breaking_nodes = async {
        let chance = &mut one;
        let mut running = Vec::new();
        while Instant::now() < end {
            sleep(chance.millis(200..4000)).await;
            let kind = nodes.pick(chance);
            let fault = nodes::happen(world.clone(), chance.branch(), kind);
            running.push(tokio::spawn(fault));
            if chance.percent(60) {
                // Mostly one after the other.
                drop(running.pop().expect("it was put there").await);
            }
        }
        for fault in running {
            drop(fault.await);
        }
    };
    let breaking_links = async {
        let chance = &mut other;
        while Instant::now() < end {
            sleep(chance.millis(200..4000)).await;
            let kind = links.pick(chance);
            links::happen(world, chance, kind).await;
        }
    };
    tokio::join!(breaking_nodes, breaking_links);
}

/// All nodes end at once.
pub(super) fn black_out(world: &World) {
    for spot in world.spots(super::node::Home::is_up) {
        world.crash(spot);
    }
}

/// Has a node given up that all others have seen for as long as it counts.
pub(super) async fn blame(world: &World) {
    sleep(GIVEN_UP_AFTER * 2).await;
    let serving = world.serving();
    let [(_, accuser), .., (spot, victim)] = &*serving else { return };
    world.history.note(format!("{spot} is given up for nothing"));
    let session = victim.broker.inner().session;
    let change = Command::LoseNode { node: session.node, boot: session.boot };
    drop(accuser.broker.change(change).await);
}

/// How often each kind of fault happens in a run.
struct Mixture<K> {
    kinds: Vec<K>,
}

impl<K: Copy> Mixture<K> {
    fn new(chance: &mut Chance, all: &[K]) -> Self {
        loop {
            let mut kinds = Vec::new();
            for kind in all {
                let times = chance.pick(&[0, 0, 1, 1, 2, 5]);
                kinds.extend(std::iter::repeat_n(*kind, times));
            }
            if !kinds.is_empty() {
                return Self { kinds };
            }
        }
    }

    fn pick(&self, chance: &mut Chance) -> K {
        chance.pick(&self.kinds)
    }
}

/// How long something stays broken: shorter and longer than what nodes wait for each other.
fn a_while(chance: &mut Chance) -> Duration {
    let most = chance.pick(&[300, 1500, 4000, 9000]);
    chance.millis(most / 3..most)
}
