//! W3: consumers that acknowledge, give back, cancel, leave and come again, one by one and many at once.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use rand::RngExt as _;
use rand::rngs::StdRng;

use crate::field::Field;
use crate::history::Rules;
use crate::workload::consumer::{Habits, Hand, consume_steadily};
use crate::workload::persist::persist;
use crate::workload::publisher::{publish_steadily, to};
use crate::workload::session::{Plan, Session};
use crate::workload::{Workload, declare, first};

/// Messages a second and publisher.
const RATE: u32 = 80;

const FEW: &str = "w3-few";
const SOME: &str = "w3-some";

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Churn;

impl Workload for Churn {
    fn name(&self) -> &'static str {
        "W3"
    }

    fn queues(&self) -> &'static [&'static str] {
        &[FEW, SOME]
    }

    fn prepare(&self, field: &Field) -> Result<()> {
        let mut session = first(field)?;
        for queue in self.queues() {
            declare(&mut session, field, queue, Rules { counts: true, ..Rules::default() }, &[])?;
        }
        session.close()
    }

    fn run(&self, field: &Field) -> Result<()> {
        thread::scope(|scope| {
            for (queue, prefetch) in [(FEW, 3), (SOME, 40)] {
                for at in 0..2 {
                    let who = format!("{queue} publisher {at}");
                    scope.spawn(move || publish_steadily(field, &who, RATE, to(queue)));
                }
                let habits = habits(prefetch);
                for at in 0..2 {
                    let who = format!("{queue} consumer {at}");
                    scope.spawn(move || consume_steadily(field, &who, queue, habits));
                }
                scope.spawn(move || change_minds(field, queue, habits));
            }
        });
        Ok(())
    }
}

fn habits(prefetch: u16) -> Habits {
    Habits {
        plan: Plan { prefetch, ..Plan::default() },
        keep: usize::from(prefetch) * 2 / 3,
        requeue: 120,
        multiple: 250,
        certain_after: 30,
        life: Duration::from_secs(4),
        ..Habits::default()
    }
}

/// Consumes, cancels while it holds messages, settles them later, and consumes again.
fn change_minds(field: &Field, queue: &str, habits: Habits) {
    persist(field, &format!("{queue} waverer"), |mut session, chance| {
        let mut hand = Hand::new(queue, habits);
        while !field.stop.was_said() {
            waver(&mut session, &mut hand, queue, habits, chance)?;
        }
        hand.put_down(&mut session)?;
        session.close()
    });
}

fn waver(
    session: &mut Session,
    hand: &mut Hand,
    queue: &str,
    habits: Habits,
    chance: &mut StdRng,
) -> Result<()> {
    let consumer = session.consume(queue, habits.plan)?;
    let end = Instant::now() + Duration::from_millis(chance.random_range(50..1500));
    while Instant::now() < end {
        session.listen(Duration::from_millis(50))?;
        hand.play(session, chance)?;
    }
    session.cancel(consumer)?;
    hand.play(session, chance)?;
    session.idle(Duration::from_millis(chance.random_range(0..300)))?;
    hand.put_down(session)
}
