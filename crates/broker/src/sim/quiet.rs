//! **I14** while nobody does anything, every node counts what is in a queue as the one client that has
//! put it there does.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use warren_types::QueueId;

use super::chance::Chance;
use super::client::{Unconfirmed, declare};
use super::node::Serving;
use super::wire::{self, Ended, Method};
use super::world::{PATIENCE, World};
use crate::survey::Which;

const QUEUE: &str = "quiet";

/// How long a list may take.
const LIST_LIMIT: Duration = Duration::from_secs(5);

/// Between two questions, when nobody leads the queue.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// Puts some messages into a queue, takes a few, and compares.
pub(super) async fn compare(world: &World, chance: &mut Chance) {
    let Ok(Ok(())) = timeout(PATIENCE, fill(world, chance)).await else {
        return world.history.fault("I20: a quiet cluster does not serve".to_owned());
    };
}

async fn fill(world: &World, chance: &mut Chance) -> Result<(), Ended> {
    let spot = chance.pick(&world.members());
    let mut wire = world.homes()[&spot].connect().ok_or(Ended)?;
    wire.open().await?;
    declare(&mut wire, QUEUE).await?;
    wire.send(Method::new(85, 10).u8(0))?;
    wire.expect(wire::SELECT_OK).await?;
    let publisher = world.history.publisher(QUEUE);
    let (count, prefetch) = (chance.number(1..30), chance.number(1..5));
    let (mut unconfirmed, mut messages) = (Unconfirmed::default(), Vec::new());
    for _ in 0..count {
        messages.push(unconfirmed.publish(&wire, &world.history, publisher, QUEUE, 20)?);
    }
    while !unconfirmed.is_empty() {
        unconfirmed.heard(wire.hear().await?, &world.history);
    }
    wire.send(Method::new(60, 10).u32(0).u16(u16::try_from(prefetch).unwrap()).u8(0))?;
    wire.expect(wire::QOS_OK).await?;
    wire.send(Method::new(60, 20).u16(0).short(QUEUE).short("q").u8(0).u32(0))?;
    wire.expect(wire::CONSUME_OK).await?;
    let held = count.min(prefetch);
    for _ in 0..held {
        wire.expect(wire::DELIVER).await?;
    }
    count_everywhere(world, (count - held, held, 1)).await;
    world.history.removed(&messages);
    wire.send(Method::new(50, 40).u16(0).short(QUEUE).u8(0))?;
    while wire.hear().await?.method != wire::DELETE_OK {}
    Ok(())
}

/// What every node says is waiting, is held, and consumes.
async fn count_everywhere(world: &World, model: (u64, u64, u64)) {
    for (spot, node) in world.serving() {
        let id = node.broker.look(|catalog| catalog.queue("/", QUEUE).map(|queue| queue.id));
        let Some(id) = id else {
            world.history.fault(format!("I10: {spot} does not know the queue {QUEUE}"));
            continue;
        };
        let counted = count(&node, id).await;
        if counted != Some(model) {
            world.history.fault(format!("I14: {spot} counts {counted:?} instead of {model:?}"));
        }
    }
}

/// What one node says. While the lead moves, as it does when a node is back that should have it, nobody
/// or two may say that they lead: then it is asked again.
async fn count(node: &Serving, queue: QueueId) -> Option<(u64, u64, u64)> {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        let listing = timeout(LIST_LIMIT, node.broker.queue_figures(Which::These(vec![queue])));
        let rows = listing.await.ok()?.rows;
        if let [row] = &*rows {
            return Some((row.ready, row.unacknowledged, u64::from(row.consumers)));
        }
        sleep(ASK_AGAIN).await;
    }
    None
}
