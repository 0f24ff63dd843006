//! W4: consumers of which one at a time may work, and some that are too slow for it.
//!
//! | Queue | |
//! | --- | --- |
//! | `w4-active` | a single active consumer among four, who leave every few seconds; priorities among them |
//! | `w4-alone` | consumers who want to be alone, and are refused until they are |
//! | `w4-slow` | as the first, with consumers who hold messages for longer than they may |
//! | `w4-urgent` | messages with priorities |

use std::thread;
use std::time::Duration;

use anyhow::Result;
use rand::RngExt as _;
use rand::rngs::StdRng;
use warren_tests::wire::Field as Value;

use crate::field::Field;
use crate::history::Rules;
use crate::workload::consumer::{Habits, consume_steadily};
use crate::workload::parcel::Parcel;
use crate::workload::persist::persist;
use crate::workload::publisher::{publish_steadily, to};
use crate::workload::session::{Plan, Session};
use crate::workload::{Workload, declare, first};

/// Messages a second and publisher.
const RATE: u32 = 60;

const ACTIVE: &str = "w4-active";
const ALONE: &str = "w4-alone";
const SLOW: &str = "w4-slow";
const URGENT: &str = "w4-urgent";

/// Milliseconds that a delivery of the slow ones may take, and what they take.
const TIMEOUT_MS: i32 = 4000;
const NAP: Duration = Duration::from_secs(7);

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Active;

impl Workload for Active {
    fn name(&self) -> &'static str {
        "W4"
    }

    fn queues(&self) -> &'static [&'static str] {
        &[ACTIVE, ALONE, SLOW, URGENT]
    }

    fn prepare(&self, field: &Field) -> Result<()> {
        let mut session = first(field)?;
        let any = Rules { counts: true, ..Rules::default() };
        let single = Rules { single_active: true, ..any.clone() };
        let one = ("x-single-active-consumer", Value::Bool(true));
        let patience = ("x-consumer-timeout", Value::I32(TIMEOUT_MS));
        let urgent = ("x-max-priority", Value::I32(4));
        declare(&mut session, field, ACTIVE, single.clone(), std::slice::from_ref(&one))?;
        declare(&mut session, field, SLOW, single, &[one, patience])?;
        // Quorum queues take no notice of who wants to be alone.
        let kind = ("x-queue-type", Value::text("classic"));
        declare(&mut session, field, ALONE, Rules::default(), std::slice::from_ref(&kind))?;
        declare(&mut session, field, URGENT, Rules::default(), &[kind, urgent])?;
        session.close()
    }

    fn run(&self, field: &Field) -> Result<()> {
        thread::scope(|scope| {
            for queue in [ACTIVE, ALONE, SLOW] {
                let who = format!("{queue} publisher");
                scope.spawn(move || publish_steadily(field, &who, RATE, to(queue)));
            }
            scope.spawn(|| publish_steadily(field, "w4-urgent publisher", RATE, urgent));
            for at in 0..4_u32 {
                let priority = i64::from(at % 2);
                let plan = Plan { prefetch: 10, priority, ..Plan::default() };
                let life = Duration::from_secs(5 + u64::from(at));
                let habits = Habits { plan, keep: 4, life, ..Habits::default() };
                let who = format!("{ACTIVE} consumer {at}");
                scope.spawn(move || consume_steadily(field, &who, ACTIVE, habits));
            }
            for at in 0..2 {
                let plan = Plan { prefetch: 10, exclusive: true, ..Plan::default() };
                let life = Duration::from_secs(3);
                let habits = Habits { plan, keep: 4, life, ..Habits::default() };
                let who = format!("{ALONE} consumer {at}");
                scope.spawn(move || consume_steadily(field, &who, ALONE, habits));
                scope.spawn(move || nap(field, &format!("{SLOW} consumer {at}")));
            }
            scope.spawn(|| {
                consume_steadily(field, "w4-urgent consumer", URGENT, Habits::default());
            });
        });
        Ok(())
    }
}

fn urgent(session: &mut Session, chance: &mut StdRng) -> Result<()> {
    let priority = Some(chance.random_range(0..5));
    session.publish(&Parcel { priority, ..Parcel::to(&URGENT) }).map(drop)
}

/// Consumes, and every now and then holds what it has for longer than it may.
fn nap(field: &Field, who: &str) {
    persist(field, who, |mut session, chance| {
        let plan = Plan { prefetch: 30, ..Plan::default() };
        let habits = Habits { plan, keep: 5, ..Habits::default() };
        session.consume(SLOW, plan)?;
        let mut hand = crate::workload::consumer::Hand::new(SLOW, habits);
        while !field.stop.was_said() {
            for _ in 0..40 {
                session.listen(Duration::from_millis(50))?;
                hand.play(&mut session, chance)?;
            }
            session.idle(NAP)?;
        }
        hand.put_down(&mut session)?;
        session.close()
    });
}
