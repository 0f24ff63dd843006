//! W8: connections come and go by the hundred, and some do not read what they asked for.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use rand::RngExt as _;
use rand::rngs::StdRng;

use crate::field::Field;
use crate::history::{How, Rules};
use crate::workload::consumer::{Habits, consume_steadily};
use crate::workload::parcel::Parcel;
use crate::workload::persist::{chance, choose, persist};
use crate::workload::publisher::{publish_steadily, to};
use crate::workload::session::{Plan, Session};
use crate::workload::{Workload, declare, first};

const QUEUE: &str = "w8-storm";

/// Messages a second of the one who stays.
const RATE: u32 = 100;

/// Who comes and goes.
const VISITORS: u32 = 5;

/// How long who does not read does not: less than a heartbeat may be late.
const NAP: Duration = Duration::from_secs(4);

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Storm;

impl Workload for Storm {
    fn name(&self) -> &'static str {
        "W8"
    }

    fn queues(&self) -> &'static [&'static str] {
        &[QUEUE]
    }

    fn prepare(&self, field: &Field) -> Result<()> {
        let mut session = first(field)?;
        declare(&mut session, field, QUEUE, Rules { counts: true, ..Rules::default() }, &[])?;
        session.close()
    }

    fn run(&self, field: &Field) -> Result<()> {
        thread::scope(|scope| {
            for at in 0..VISITORS {
                scope.spawn(move || come_and_go(field, &format!("w8 visitor {at}")));
            }
            scope.spawn(|| sleep_and_read(field));
            scope.spawn(|| publish_steadily(field, "w8 publisher", RATE, to(QUEUE)));
            scope.spawn(|| consume_steadily(field, "w8 consumer", QUEUE, Habits::default()));
        });
        Ok(())
    }
}

/// Connects, does one thing, and leaves, in order or not.
fn come_and_go(field: &Field, who: &str) {
    let mut chance = chance(field, who);
    while !field.stop.was_said() {
        let door = choose(field, &mut chance);
        let visited =
            Session::open(field, door, who).and_then(|session| visit(session, &mut chance));
        if let Err(error) = visited {
            field.recorder.note(&format!("{who} at {}: {error:#}", door.name));
        }
        thread::sleep(Duration::from_millis(chance.random_range(5..120)));
    }
}

fn visit(mut session: Session, chance: &mut StdRng) -> Result<()> {
    match chance.random_range(0..4) {
        0 => {
            session.confirm_select()?;
            session.publish(&Parcel::to(&QUEUE))?;
            session.await_confirms()?;
        }
        1 => {
            if let Some(given) = session.get(QUEUE)? {
                session.settle(given.tag, false, How::Ack)?;
                session.certain(QUEUE)?;
            }
        }
        2 => {
            session.consume(QUEUE, Plan { prefetch: 5, ..Plan::default() })?;
            session.listen(Duration::from_millis(100))?;
            // What it has goes back.
            return Ok(());
        }
        _ => {}
    }
    session.close()
}

/// Consumes without a limit, and does not read for a while, again and again.
fn sleep_and_read(field: &Field) {
    persist(field, "w8 sleeper", |mut session, _| {
        session.consume(QUEUE, Plan { prefetch: 200, ..Plan::default() })?;
        while !field.stop.was_said() {
            thread::sleep(NAP);
            session.idle(Duration::from_millis(500))?;
            let mut last = None;
            while let Some(given) = session.pop() {
                last = Some(given.tag);
            }
            if let Some(tag) = last {
                session.settle(tag, true, How::Ack)?;
            }
        }
        session.certain(QUEUE)?;
        session.close()
    });
}
