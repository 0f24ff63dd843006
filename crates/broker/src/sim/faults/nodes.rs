//! What breaks in nodes: processes, disks, and who leads.

use std::time::Duration;

use tokio::time::{sleep, timeout};
use warren_types::GroupId;

use super::a_while;
use super::links::around;
use crate::sim::chance::Chance;
use crate::sim::clock;
use crate::sim::node::{Home, SHARDS, Serving};
use crate::sim::world::{Claim, World};

/// What may happen to nodes.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// One ends, and comes back.
    Crash,
    /// Some end at once, and come back one after the other.
    CrashMany,
    /// All end at once, and come back.
    PowerCut,
    /// One ends again and again, while it starts.
    CrashLoop,
    /// One falls silent and goes on later.
    Freeze,
    /// Most fall silent, and go on later.
    FreezeMany,
    /// One falls silent, another one ends, and the first goes on before that is back.
    FreezeAndCrash,
    /// A disk takes its time.
    Slow,
    /// Nothing that is written to a disk comes to an end for a while.
    Hang,
    /// A group is to be led by somebody else.
    HandOver,
    /// A replica takes a snapshot of every group.
    Cover,
    /// One ends while it takes snapshots.
    CoverAndCrash,
    /// Snapshots are taken while others are to lead.
    CoverAndHandOver,
    /// The clocks on the wall are put forward or back.
    Jump,
}

pub(super) const KINDS: [Kind; 14] = [
    Kind::Crash,
    Kind::CrashMany,
    Kind::PowerCut,
    Kind::CrashLoop,
    Kind::Freeze,
    Kind::FreezeMany,
    Kind::FreezeAndCrash,
    Kind::Slow,
    Kind::Hang,
    Kind::HandOver,
    Kind::Cover,
    Kind::CoverAndCrash,
    Kind::CoverAndHandOver,
    Kind::Jump,
];

/// Has it happen, until it is over.
pub(super) async fn happen(world: World, mut chance: Chance, kind: Kind) {
    let (world, chance) = (&world, &mut chance);
    match kind {
        Kind::Crash => crash(world, chance, 1).await,
        Kind::CrashMany => crash(world, chance, 2).await,
        Kind::PowerCut => crash(world, chance, usize::MAX).await,
        Kind::CrashLoop => crash_loop(world, chance).await,
        Kind::Freeze => freeze(world, chance, 1).await,
        Kind::FreezeMany => freeze(world, chance, 2).await,
        Kind::FreezeAndCrash => freeze_and_crash(world, chance).await,
        Kind::Slow => slow(world, chance).await,
        Kind::Hang => hang(world, chance).await,
        Kind::HandOver => hand_over(world, chance).await,
        Kind::Cover => cover(world, chance).await,
        Kind::CoverAndCrash => cover_and_crash(world, chance).await,
        Kind::CoverAndHandOver => {
            let mut other = chance.branch();
            tokio::join!(cover(world, chance), hand_over(world, &mut other));
        }
        Kind::Jump => jump(world, chance).await,
    }
}

/// Takes up to so many members that run.
fn claim(world: &World, chance: &mut Chance, count: usize) -> Vec<Claim> {
    let running = |home: &Home| home.belongs && home.is_up();
    let mut claims = Vec::new();
    while claims.len() < count
        && let Some(claim) = world.claim(chance, running)
    {
        claims.push(claim);
    }
    claims
}

/// Some nodes end at once, and come back one after the other.
async fn crash(world: &World, chance: &mut Chance, count: usize) {
    let victims = claim(world, chance, count);
    for victim in &victims {
        world.crash(victim.spot);
    }
    for victim in victims {
        sleep(Duration::from_millis(chance.pick(&[10, 400, 2500, 8000]))).await;
        world.start(victim.spot);
    }
}

async fn crash_loop(world: &World, chance: &mut Chance) {
    let Some(victim) = claim(world, chance, 1).pop() else { return };
    for _ in 0..chance.number(2..6) {
        world.crash(victim.spot);
        world.start(victim.spot);
        let most = chance.pick(&[3, 30, 300]);
        sleep(chance.millis(0..most)).await;
    }
}

/// Nothing comes out of a node, nothing reaches it, and its disk stands still.
struct Frozen<'a> {
    world: &'a World,
    victim: Claim,
    hold: u64,
}

impl<'a> Frozen<'a> {
    fn new(world: &'a World, victim: Claim) -> Self {
        let spot = victim.spot;
        world.history.note(format!("freeze {spot}"));
        let hold = world.network.hold(around(world, spot, true, true));
        world.home(spot, |home| home.health().hang(true));
        Self { world, victim, hold }
    }

    fn thaw(self) {
        self.world.history.note(format!("thaw {}", self.victim.spot));
        self.world.home(self.victim.spot, |home| home.health().hang(false));
        self.world.network.let_go(self.hold);
    }
}

async fn freeze(world: &World, chance: &mut Chance, count: usize) {
    let victims = claim(world, chance, count);
    let frozen: Vec<Frozen<'_>> =
        victims.into_iter().map(|victim| Frozen::new(world, victim)).collect();
    for frozen in frozen {
        sleep(a_while(chance)).await;
        frozen.thaw();
    }
}

/// What one node alone knows is lost while another is away, which then decides with a third.
async fn freeze_and_crash(world: &World, chance: &mut Chance) {
    let mut victims = claim(world, chance, 2);
    let (Some(crashing), Some(frozen)) = (victims.pop(), victims.pop()) else { return };
    let frozen = Frozen::new(world, frozen);
    sleep(chance.millis(50..1500)).await;
    world.crash(crashing.spot);
    sleep(chance.millis(0..500)).await;
    frozen.thaw();
    sleep(a_while(chance)).await;
    world.start(crashing.spot);
}

async fn slow(world: &World, chance: &mut Chance) {
    let Some(victim) = claim(world, chance, 1).pop() else { return };
    world.history.note(format!("the disk of {} is slow", victim.spot));
    let health = world.home(victim.spot, |home| home.health());
    health.slow(chance.pick(&[20, 200, 1000]));
    sleep(a_while(chance)).await;
    health.slow(0);
}

async fn hang(world: &World, chance: &mut Chance) {
    let Some(victim) = claim(world, chance, 1).pop() else { return };
    world.history.note(format!("the disk of {} hangs", victim.spot));
    let health = world.home(victim.spot, |home| home.health());
    health.hang(true);
    sleep(a_while(chance)).await;
    if chance.percent(30) {
        // As somebody does who has lost patience.
        world.crash(victim.spot);
        sleep(chance.millis(0..500)).await;
        world.start(victim.spot);
    }
    health.hang(false);
    world.history.note(format!("the disk of {} goes on", victim.spot));
}

/// Somebody else is asked to lead a group.
async fn hand_over(world: &World, chance: &mut Chance) {
    let group = GroupId(u32::try_from(chance.number(0..u64::from(SHARDS) + 1)).unwrap());
    let Some((spot, to)) = world.anyone(chance) else { return };
    world.history.note(format!("hand {group} over to {spot}"));
    for (_, node) in world.serving() {
        if group == GroupId::CATALOG {
            drop(node.catalog.transfer_leadership(to.id).await);
        } else if let Some(group) = node.shard(group) {
            drop(group.transfer_leadership(to.id).await);
        }
    }
}

/// A replica takes a snapshot of every group.
async fn cover(world: &World, chance: &mut Chance) {
    let Some((spot, node)) = world.anyone(chance) else { return };
    world.history.note(format!("snapshots at {spot}"));
    take_snapshots(&node).await;
}

async fn take_snapshots(node: &Serving) {
    drop(node.catalog.take_snapshot().await);
    for group in (1..=SHARDS).map(GroupId) {
        if let Some(group) = node.shard(group) {
            drop(group.take_snapshot().await);
        }
    }
}

/// What was begun is not there when the node comes back, or half of it.
async fn cover_and_crash(world: &World, chance: &mut Chance) {
    let Some(victim) = claim(world, chance, 1).pop() else { return };
    let spot = victim.spot;
    let Some(node) = world.home(spot, |home| home.serving()) else { return };
    world.history.note(format!("snapshots at {spot}, which ends"));
    let most = chance.pick(&[2, 10, 60]);
    drop(timeout(chance.millis(0..most), take_snapshots(&node)).await);
    world.crash(spot);
    sleep(Duration::from_millis(chance.pick(&[10, 400, 2500]))).await;
    world.start(spot);
}

/// By a little, by more than a time to live, and by far more than anything lasts.
async fn jump(world: &World, chance: &mut Chance) {
    for _ in 0..chance.pick(&[1, 1, 2]) {
        let by = chance.pick(&[50_i64, 5_000, 3_600_000]);
        let by = if chance.percent(50) { by } else { -by };
        world.history.note(format!("the clocks jump by {by} ms"));
        clock::jump(by);
        sleep(a_while(chance)).await;
    }
}
