//! What breaks in a run, by its seed.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::chance::Chance;
use super::network::Spot;
use super::run::{SPOTS, World};

/// For how long things break.
const TROUBLE: Duration = Duration::from_secs(30);

/// Lets things break until it is over. What is broken then stays so.
pub(super) async fn happen(world: &World, mut chance: Chance) {
    let end = Instant::now() + TROUBLE;
    while Instant::now() < end {
        sleep(chance.millis(300..5000)).await;
        match chance.number(0..10) {
            0..4 => crash(world, &mut chance).await,
            4..9 => cut(world, &mut chance).await,
            _ => slow(world, &mut chance).await,
        }
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
    let others = SPOTS.into_iter().filter(|spot| *spot != lonely);
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
