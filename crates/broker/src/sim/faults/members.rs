//! What operators do to the members of a cluster, while other things break.
//!
//! A node loses its disk, or is forgotten, only when no replica is missing: two disks that are lost
//! at once are more than a cluster is made for. Until the cluster is whole again, nothing else of
//! the kind happens.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use warren_types::NodeId;

use super::links::around;
use crate::sim::chance::Chance;
use crate::sim::judge::is_settled;
use crate::sim::node::Serving;
use crate::sim::world::{Claim, NODES, PATIENCE, World};

/// How long somebody waits for the cluster to be whole before he does something else.
const WAIT: Duration = Duration::from_secs(10);

/// What an operator may do.
#[derive(Clone, Copy)]
enum Act {
    /// A node that has never been there comes.
    Join,
    /// A node loses its disk and comes back.
    Wipe,
    /// A node goes for good.
    Forget,
    /// A node that is cut off is forgotten while it runs.
    ForgetAlive,
    /// A node that was forgotten while it was down comes back with its disk.
    Return,
    /// A node is taken out of service for a while.
    Drain,
}

const ACTS: [Act; 6] =
    [Act::Join, Act::Wipe, Act::Forget, Act::ForgetAlive, Act::Return, Act::Drain];

/// Does one thing after the other until `end`, and ends what it has begun.
pub(in crate::sim) async fn happen(world: &World, mut chance: Chance, end: Instant) {
    let mixture = super::Mixture::new(&mut chance, &ACTS);
    while Instant::now() < end {
        sleep(chance.millis(100..2500)).await;
        let act = mixture.pick(&mut chance);
        if let Act::Join | Act::Drain = act {
            happen_now(world, &mut chance, act).await;
        } else if whole(world).await {
            happen_now(world, &mut chance, act).await;
        }
    }
}

async fn happen_now(world: &World, chance: &mut Chance, act: Act) {
    match act {
        Act::Join => join(world, chance).await,
        Act::Wipe => wipe(world, chance).await,
        Act::Forget => forget(world, chance).await,
        Act::ForgetAlive => forget_alive(world, chance).await,
        Act::Return => come_back(world, chance).await,
        Act::Drain => drain(world, chance).await,
    }
}

/// Waits for a while until no replica is missing.
async fn whole(world: &World) -> bool {
    let is_whole = || world.is_complete() && World::groups().all(|group| is_settled(world, group));
    let begin = Instant::now();
    while !is_whole() {
        if begin.elapsed() > WAIT {
            return false;
        }
        sleep(Duration::from_millis(50)).await;
    }
    true
}

/// Starts a node with an empty disk; sometimes it dies on its way in.
async fn come(world: &World, chance: &mut Chance, claim: &Claim) {
    world.history.count(|summary| summary.joins += 1);
    world.start(claim.spot);
    while chance.percent(40) {
        let most = chance.pick(&[10, 100, 1000]);
        sleep(chance.millis(0..most)).await;
        world.crash(claim.spot);
        sleep(chance.millis(0..300)).await;
        world.start(claim.spot);
    }
}

async fn join(world: &World, chance: &mut Chance) {
    let Some(claim) = world.claim(chance, |home| !home.belongs) else { return };
    come(world, chance, &claim).await;
}

/// Takes a member, if the others can do without it: of two, both are needed.
fn claim_dispensable(world: &World, chance: &mut Chance) -> Option<(Claim, NodeId)> {
    if world.members().len() < NODES {
        return None;
    }
    let claim = world.claim(chance, |home| home.belongs && home.is_up())?;
    let id = world.homes()[&claim.spot].id()?;
    Some((claim, id))
}

async fn wipe(world: &World, chance: &mut Chance) {
    let Some((claim, _)) = claim_dispensable(world, chance) else { return };
    world.crash(claim.spot);
    world.wipe(claim.spot);
    sleep(chance.millis(0..6000)).await;
    come(world, chance, &claim).await;
}

async fn forget(world: &World, chance: &mut Chance) {
    let Some((claim, id)) = claim_dispensable(world, chance) else { return };
    world.crash(claim.spot);
    world.home(claim.spot, |home| home.belongs = false);
    drop_out(world, chance, id).await;
    world.wipe(claim.spot);
    if chance.percent(50) {
        sleep(chance.millis(0..3000)).await;
        come(world, chance, &claim).await;
    }
}

/// Nobody stops the node: it has to find out.
async fn forget_alive(world: &World, chance: &mut Chance) {
    let Some((claim, id)) = claim_dispensable(world, chance) else { return };
    let spot = claim.spot;
    let hold = world.network.hold(around(world, spot, true, true));
    world.history.note(format!("{spot} is alone"));
    world.home(spot, |home| home.belongs = false);
    drop_out(world, chance, id).await;
    world.network.let_go(hold);
    world.history.note(format!("{spot} is forgotten and not alone"));
    world.eventually("a forgotten node finds out", || world.homes()[&spot].is_ending()).await;
    world.crash(spot);
    world.wipe(spot);
    if chance.percent(50) {
        come(world, chance, &claim).await;
    }
}

/// It may do no harm, whatever it believes.
async fn come_back(world: &World, chance: &mut Chance) {
    let Some((claim, id)) = claim_dispensable(world, chance) else { return };
    world.crash(claim.spot);
    world.home(claim.spot, |home| home.belongs = false);
    drop_out(world, chance, id).await;
    world.start(claim.spot);
    world.home(claim.spot, |home| home.belongs = false);
    if chance.percent(50) {
        let found_out = || world.homes()[&claim.spot].is_ending();
        world.eventually("a forgotten node that comes back finds out", found_out).await;
    } else {
        sleep(chance.millis(0..3000)).await;
    }
    world.crash(claim.spot);
    world.wipe(claim.spot);
}

/// Has a node forgotten, by whoever answers, as soon as that is possible.
async fn drop_out(world: &World, chance: &mut Chance, id: NodeId) {
    world.history.note(format!("forget {id}"));
    world.history.count(|summary| summary.forgotten += 1);
    loop {
        let forgotten = async |node: Serving| {
            let known = node.broker.look(|catalog| catalog.node(id).is_some());
            node.broker.forget_node(id).await.is_ok() || !known
        };
        if let Some((_, node)) = world.anyone(chance)
            && timeout(Duration::from_secs(5), forgotten(node)).await == Ok(true)
        {
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

async fn drain(world: &World, chance: &mut Chance) {
    let Some(Claim { spot, .. }) = world.claim(chance, |home| home.belongs && home.is_up()) else {
        return;
    };
    let Some(id) = world.homes()[&spot].id() else { return };
    for draining in [true, false] {
        world.history.dismissed(id);
        world.history.note(format!("draining {spot}: {draining}"));
        let begin = Instant::now();
        loop {
            let change = async |node: Serving| match draining {
                true => node.broker.drain_node(id).await.is_ok(),
                false => node.broker.revive_node(id).await.is_ok(),
            };
            if let Some((_, node)) = world.anyone(chance)
                && timeout(Duration::from_secs(5), change(node)).await == Ok(true)
            {
                break;
            }
            if begin.elapsed() > PATIENCE {
                return world.history.fault(format!("{id} cannot be drained or revived"));
            }
            sleep(Duration::from_millis(100)).await;
        }
        sleep(chance.millis(0..6000)).await;
    }
}
