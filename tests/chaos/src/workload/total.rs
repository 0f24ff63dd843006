//! W1: what is confirmed comes, and comes once, whether it is pushed, asked for, or both.

use std::thread;

use anyhow::Result;

use crate::field::Field;
use crate::history::Rules;
use crate::workload::consumer::{Habits, consume_steadily, get_steadily};
use crate::workload::publisher::{publish_steadily, to};
use crate::workload::{Workload, declare, first};

/// Messages a second and publisher.
const RATE: u32 = 120;

const PUSHED: &str = "w1-pushed";
const ASKED: &str = "w1-asked";
const MIXED: &str = "w1-mixed";

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Total;

impl Workload for Total {
    fn name(&self) -> &'static str {
        "W1"
    }

    fn queues(&self) -> &'static [&'static str] {
        &[PUSHED, ASKED, MIXED]
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
            for queue in self.queues() {
                for at in 0..2 {
                    let who = format!("{queue} publisher {at}");
                    scope.spawn(move || publish_steadily(field, &who, RATE, to(queue)));
                }
            }
            for queue in [PUSHED, PUSHED, MIXED] {
                scope.spawn(move || {
                    consume_steadily(field, &format!("{queue} consumer"), queue, Habits::default());
                });
            }
            for queue in [ASKED, ASKED, MIXED] {
                let who = format!("{queue} getter");
                scope.spawn(move || get_steadily(field, &who, queue, Habits::default()));
            }
        });
        Ok(())
    }
}
