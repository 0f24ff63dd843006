//! A majority is mended, and what is left stays broken for as long as the majority is watched.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::links::around;
use crate::sim::chance::Chance;
use crate::sim::client::{Unconfirmed, declare};
use crate::sim::history::Message;
use crate::sim::network::Spot;
use crate::sim::plan::Plant;
use crate::sim::wire::{self, Ended, Method};
use crate::sim::world::{PATIENCE, World};

/// Queues that must go on.
const QUEUES: [&str; 3] = ["a", "b", "shared"];

/// What stays broken.
#[derive(Clone, Copy, Debug)]
enum State {
    Down,
    Alone,
    Unheard,
    Deaf,
    /// One of the majority sees it, the other does not.
    HalfSeen,
    HungDisk,
    SlowDisk,
}

const STATES: [State; 7] = [
    State::Down,
    State::Alone,
    State::Unheard,
    State::Deaf,
    State::HalfSeen,
    State::HungDisk,
    State::SlowDisk,
];

/// Mends all nodes but one, and sees that everything goes on.
pub(in crate::sim) async fn leave_one(world: &World, chance: &mut Chance, plant: Plant) {
    let members = world.members();
    let left = chance.pick(&members);
    let core: Vec<Spot> = members.into_iter().filter(|spot| *spot != left).collect();
    world.network.mend();
    let state = chance.pick(&STATES);
    world.history.note(format!("{left} stays {state:?}"));
    world.restore(left);
    stay(world, left, core[chance.index(core.len())], state);
    for spot in &core {
        world.restore(*spot);
    }
    if plant == Plant::Leave {
        world.network.hold(around(world, core[0], true, true));
    }
    // Clients know better than to stay there.
    world.home(left, |home| {
        home.open = false;
        home.cut_clients();
    });
    let going_on = QUEUES.map(|queue| go_on(world, chance.branch(), queue));
    futures::future::join_all(going_on).await;
    world.history.note("the majority goes on".to_owned());
}

fn stay(world: &World, left: Spot, witness: Spot, state: State) {
    let hold = |held: BTreeSet<_>| {
        world.network.hold(held);
    };
    match state {
        State::Down => world.crash(left),
        State::Alone => hold(around(world, left, true, true)),
        State::Unheard => hold(around(world, left, true, false)),
        State::Deaf => hold(around(world, left, false, true)),
        State::HalfSeen => hold(BTreeSet::from([(left, witness), (witness, left)])),
        State::HungDisk => world.home(left, |home| home.health().hang(true)),
        State::SlowDisk => world.home(left, |home| home.health().slow(2000)),
    }
}

/// A message of ours is confirmed, and somebody is given it.
async fn go_on(world: &World, mut chance: Chance, queue: &str) {
    let sent = timeout(PATIENCE, async {
        loop {
            if let Ok(message) = send(world, &mut chance, queue).await {
                return message;
            }
            sleep(Duration::from_millis(100)).await;
        }
    });
    let Ok(message) = sent.await else {
        let text = format!("I19: {queue} takes nothing, though a majority is well");
        return world.history.fault(text);
    };
    let told = format!("I19: what is published to {queue} is consumed, as a majority is well");
    world.eventually(&told, || world.history.is_acknowledged(message)).await;
}

async fn send(world: &World, chance: &mut Chance, queue: &str) -> Result<Message, Ended> {
    let open = world.spots(|home| home.open && home.serving().is_some());
    if open.is_empty() {
        return Err(Ended);
    }
    let mut wire = world.homes()[&chance.pick(&open)].connect().ok_or(Ended)?;
    wire.ends_when_told = true;
    wire.open().await?;
    declare(&mut wire, queue).await?;
    wire.send(Method::new(85, 10).u8(0))?;
    wire.expect(wire::SELECT_OK).await?;
    let publisher = world.history.publisher(queue);
    let mut unconfirmed = Unconfirmed::default();
    let message = unconfirmed.publish(&wire, &world.history, publisher, queue, 20)?;
    unconfirmed.heard(wire.hear().await?, &world.history);
    Ok(message)
}
