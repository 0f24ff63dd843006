//! W6: queues, exchanges and bindings come and go; what one node says of them, all say.
//!
//! - Clerks on all nodes declare, delete and look at the same few objects, which are others every few seconds.
//! - A phoenix purges or deletes its queue, declares it again, and finds only what came after.
//! - Owners leave, and what was theirs alone, or went with its last consumer, must vanish everywhere.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use rand::RngExt as _;
use rand::rngs::StdRng;
use warren_tests::wire::{Field as Value, Flags, Pack, id};

use crate::field::Field;
use crate::history::{Action, Event, How, Rules};
use crate::workload::clerk::{BOUND, Clerk, Kind};
use crate::workload::consumer::{Habits, consume_steadily};
use crate::workload::parcel::Parcel;
use crate::workload::persist::{chance, choose, persist};
use crate::workload::publisher::{publish_steadily, to};
use crate::workload::session::{Plan, Session};
use crate::workload::{Workload, declare, drain, first};

/// A queue that is left alone.
const STAYS: &str = "w6-stays";

/// Queues that are purged and deleted.
const PHOENIXES: [&str; 2] = ["w6-phoenix-0", "w6-phoenix-1"];

/// Messages a second into the one that is left alone.
const RATE: u32 = 50;

/// How long objects are asked for, before others take their place.
const EPOCH: Duration = Duration::from_secs(3);

/// How long a clerk waits between two questions.
const PAUSE_MS: std::ops::Range<u64> = 20..160;

/// How long what was somebody's may stay after he left.
const VANISHED: Duration = Duration::from_secs(15);

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Topology;

impl Workload for Topology {
    fn name(&self) -> &'static str {
        "W6"
    }

    fn queues(&self) -> &'static [&'static str] {
        &[STAYS]
    }

    fn prepare(&self, field: &Field) -> Result<()> {
        let mut session = first(field)?;
        declare(&mut session, field, STAYS, Rules { counts: true, ..Rules::default() }, &[])?;
        // Nobody looks at what comes here.
        session.declare(BOUND, &[("x-max-length", Value::I32(10))])?;
        session.close()
    }

    fn drain(&self, field: &Field) -> Result<()> {
        let mut session = first(field)?;
        for queue in PHOENIXES {
            declare(&mut session, field, queue, Rules::default(), &[])?;
        }
        session.close()?;
        drain::drain(field, &[&[STAYS], &PHOENIXES[..]].concat())
    }

    fn run(&self, field: &Field) -> Result<()> {
        thread::scope(|scope| {
            for at in 0..4 {
                scope.spawn(move || look_around(field, &format!("w6 clerk {at}")));
            }
            for queue in PHOENIXES {
                scope.spawn(move || rise(field, queue));
            }
            scope.spawn(|| own(field));
            scope.spawn(|| publish_steadily(field, "w6 publisher", RATE, to(STAYS)));
            scope.spawn(|| consume_steadily(field, "w6 consumer", STAYS, Habits::default()));
        });
        Ok(())
    }
}

/// Goes from node to node and asks.
fn look_around(field: &Field, who: &str) {
    let mut chance = chance(field, who);
    while !field.stop.was_said() {
        let door = choose(field, &mut chance);
        let end = Instant::now() + 2 * EPOCH;
        let asked = Clerk::open(field, door).and_then(|mut clerk| {
            while !field.stop.was_said() && Instant::now() < end {
                ask(field, &mut clerk, &mut chance)?;
                pause(&mut chance);
            }
            Ok(())
        });
        if let Err(error) = asked {
            field.recorder.note(&format!("{who} at {}: {error:#}", door.name));
            pause(&mut chance);
        }
    }
}

fn ask(field: &Field, clerk: &mut Clerk, chance: &mut StdRng) -> Result<()> {
    let epoch = field.recorder.now().as_secs() / EPOCH.as_secs();
    let (kind, name) = match chance.random_range(0..3) {
        0 => (Kind::Queue, format!("w6-queue-{epoch}")),
        1 => (Kind::Exchange, format!("w6-exchange-{epoch}")),
        _ => (Kind::Binding, format!("w6-key-{epoch}")),
    };
    let action = match (kind, chance.random_range(0..10)) {
        (Kind::Binding, 0..3) => Action::Declare(1),
        (_, 0..3) => Action::Declare(chance.random_range(1..3)),
        (_, 3..5) => Action::Delete,
        _ => Action::Look,
    };
    clerk.ask(kind, &name, action)
}

fn pause(chance: &mut StdRng) {
    thread::sleep(Duration::from_millis(chance.random_range(PAUSE_MS)));
}

/// Removes what a queue holds, and finds only what came after.
fn rise(field: &Field, queue: &str) {
    persist(field, queue, |mut session, chance| {
        session.confirm_select()?;
        while !field.stop.was_said() {
            burn(&mut session, field, queue, chance.random())?;
            session.idle(Duration::from_millis(chance.random_range(0..400)))?;
        }
        session.close()
    });
}

fn burn(session: &mut Session, field: &Field, queue: &str, delete: bool) -> Result<()> {
    declare(session, field, queue, Rules::default(), &[])?;
    publish_some(session, queue, 20)?;
    field.recorder.tell(Event::Remove { queue: queue.to_owned(), delete });
    if delete {
        session
            .call(Pack::method(id::QUEUE_DELETE).u16(0).short(queue).u8(0), id::QUEUE_DELETE_OK)?;
    } else {
        session.call(Pack::method(id::PURGE).u16(0).short(queue).u8(0), id::PURGE_OK)?;
    }
    field.recorder.tell(Event::Removed { queue: queue.to_owned(), delete });
    declare(session, field, queue, Rules::default(), &[])?;
    publish_some(session, queue, 5)?;
    let consumer = session.consume(queue, Plan { prefetch: 3, ..Plan::default() })?;
    let mut left = 5;
    let end = Instant::now() + VANISHED;
    while left > 0 && Instant::now() < end {
        session.listen(Duration::from_millis(100))?;
        while let Some(given) = session.pop() {
            left -= 1;
            session.settle(given.tag, false, How::Ack)?;
        }
    }
    session.cancel(consumer)?;
    if session.certain(queue)? == 0 && left <= 0 {
        field.recorder.tell(Event::Drained { queue: queue.to_owned(), ready: 0 });
    }
    Ok(())
}

fn publish_some(session: &mut Session, queue: &str, count: u32) -> Result<()> {
    for _ in 0..count {
        session.publish(&Parcel::to(&queue))?;
    }
    session.await_confirms()
}

/// Leaves things behind that must not stay.
fn own(field: &Field) {
    let mut chance = chance(field, "w6 owner");
    for round in 0_u64.. {
        if field.stop.was_said() {
            return;
        }
        let (owner, seer) = (choose(field, &mut chance), choose(field, &mut chance));
        let name = format!("w6-own-{round}");
        let is_exclusive = chance.random();
        let left = Session::open(field, owner, "w6 owner")
            .and_then(|session| leave(session, &name, is_exclusive));
        let looked = left.and_then(|()| Clerk::open(field, seer));
        match looked.and_then(|clerk| watch(field, clerk, &name)) {
            Ok(()) => pause(&mut chance),
            Err(error) => {
                field.recorder.note(&format!("w6 owner: {error:#}"));
                pause(&mut chance);
            }
        }
    }
}

/// Has a queue that goes with its owner, or with its last consumer, and leaves it.
fn leave(mut session: Session, name: &str, is_exclusive: bool) -> Result<()> {
    let flags = if is_exclusive { Flags::EXCLUSIVE } else { Flags::AUTO_DELETE };
    session.declare_as(name, flags, &[("x-queue-type", Value::text("classic"))])?;
    if !is_exclusive {
        let consumer = session.consume(name, Plan { prefetch: 1, ..Plan::default() })?;
        session.cancel(consumer)?;
    }
    session.close()
}

/// Waits until a node does not see it any more.
fn watch(field: &Field, mut clerk: Clerk, name: &str) -> Result<()> {
    let begun = Instant::now();
    loop {
        let sees = clerk.sees(name)?;
        let is_late = begun.elapsed() >= VANISHED;
        if sees == Some(false) || (is_late && sees.is_some()) {
            let took_ms = u64::try_from(begun.elapsed().as_millis()).expect("it is short");
            let (object, node) = (name.to_owned(), clerk.node().to_owned());
            let gone = sees == Some(false);
            field.recorder.tell(Event::Vanish { object, node, took_ms, gone });
            return Ok(());
        }
        if is_late {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
}
