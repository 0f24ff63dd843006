//! W2: what one channel publishes to one queue comes in that order.

use std::thread;

use anyhow::Result;

use crate::field::Field;
use crate::history::Rules;
use crate::workload::consumer::{Habits, consume_steadily};
use crate::workload::publisher::{publish_steadily, to};
use crate::workload::{Workload, declare, first};

/// Messages a second and publisher.
const RATE: u32 = 120;

const ONE: &str = "w2-one";
const MANY: &str = "w2-many";

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order;

impl Workload for Order {
    fn name(&self) -> &'static str {
        "W2"
    }

    fn queues(&self) -> &'static [&'static str] {
        &[ONE, MANY]
    }

    fn prepare(&self, field: &Field) -> Result<()> {
        let mut session = first(field)?;
        let many = Rules { counts: true, ..Rules::default() };
        let one = Rules { sole: true, ..many.clone() };
        declare(&mut session, field, ONE, one, &[])?;
        declare(&mut session, field, MANY, many, &[])?;
        session.close()
    }

    fn run(&self, field: &Field) -> Result<()> {
        thread::scope(|scope| {
            for queue in self.queues() {
                for at in 0..3 {
                    let who = format!("{queue} publisher {at}");
                    scope.spawn(move || publish_steadily(field, &who, RATE, to(queue)));
                }
            }
            for (at, queue) in [ONE, MANY, MANY, MANY].into_iter().enumerate() {
                let who = format!("{queue} consumer {at}");
                scope.spawn(move || consume_steadily(field, &who, queue, Habits::default()));
            }
        });
        Ok(())
    }
}
