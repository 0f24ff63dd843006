//! W10: ten thousand queues, of which few are used at any time.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use rand::RngExt as _;
use rand::rngs::StdRng;
use warren_tests::wire::{Field as Value, Flags, declare_queue, pairs};

use crate::field::Field;
use crate::history::{Event, How, Rules};
use crate::workload::parcel::Parcel;
use crate::workload::persist::persist;
use crate::workload::publisher::publish_steadily;
use crate::workload::session::Session;
use crate::workload::{Workload, first};

/// Queues.
const COUNT: u32 = 10_000;

/// Those that are used.
const USED: [&str; 8] =
    ["w10-0", "w10-1", "w10-2", "w10-3", "w10-2500", "w10-5000", "w10-7500", "w10-9999"];

/// Declarations that are sent before an answer is awaited.
const TOGETHER: u32 = 500;

/// Messages a second and publisher.
const RATE: u32 = 60;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Many;

impl Workload for Many {
    fn name(&self) -> &'static str {
        "W10"
    }

    fn queues(&self) -> &'static [&'static str] {
        &USED
    }

    fn prepare(&self, field: &Field) -> Result<()> {
        for queue in USED {
            let rules = Rules { counts: true, ..Rules::default() };
            field.recorder.tell(Event::Queue { queue: queue.to_owned(), rules });
        }
        let mut session = first(field)?;
        let arguments =
            [("x-queue-type", Value::text("quorum")), ("x-delivery-limit", Value::I32(-1))];
        for at in 0..COUNT {
            let name = format!("w10-{at}");
            if (at + 1).is_multiple_of(TOGETHER) {
                session.declare(&name, &arguments)?;
            } else {
                let flags = Flags::DURABLE | Flags::NOWAIT;
                session.send(&declare_queue(1, &name, flags, &pairs(&arguments)))?;
            }
        }
        session.close()
    }

    fn run(&self, field: &Field) -> Result<()> {
        thread::scope(|scope| {
            for at in 0..3 {
                scope.spawn(move || {
                    publish_steadily(field, &format!("w10 publisher {at}"), RATE, anywhere);
                });
                scope.spawn(move || {
                    persist(field, &format!("w10 consumer {at}"), |mut session, chance| {
                        while !field.stop.was_said() {
                            take(&mut session, chance)?;
                        }
                        session.close()
                    });
                });
            }
        });
        Ok(())
    }
}

fn one(chance: &mut StdRng) -> &'static str {
    USED.get(chance.random_range(0..USED.len())).expect("it is one of them")
}

fn anywhere(session: &mut Session, chance: &mut StdRng) -> Result<()> {
    session.publish(&Parcel::to(&one(chance))).map(drop)
}

/// Asks one of the queues for some messages.
fn take(session: &mut Session, chance: &mut StdRng) -> Result<()> {
    let queue = one(chance);
    let mut last = None;
    for _ in 0..20 {
        let Some(given) = session.get(queue)? else { break };
        last = Some(given.tag);
    }
    if let Some(tag) = last {
        session.settle(tag, true, How::Ack)?;
        session.certain(queue)?;
    }
    session.idle(Duration::from_millis(20))
}
