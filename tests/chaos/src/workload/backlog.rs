//! W11: a backlog that grows while things break, and is taken at the end.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use crate::field::Field;
use crate::workload::consumer::{Habits, consume_steadily};
use crate::workload::parcel::Parcel;
use crate::workload::publisher::publish_steadily;
use crate::workload::session::Plan;
use crate::workload::{Workload, prepare_sole};

const QUEUE: &str = "w11-backlog";

/// Messages a second and publisher.
const RATE: u32 = 150;

/// Bytes of a message.
const SIZE: usize = 2000;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backlog;

impl Workload for Backlog {
    fn name(&self) -> &'static str {
        "W11"
    }

    fn queues(&self) -> &'static [&'static str] {
        &[QUEUE]
    }

    fn prepare(&self, field: &Field) -> Result<()> {
        prepare_sole(field, QUEUE)
    }

    fn run(&self, field: &Field) -> Result<()> {
        thread::scope(|scope| {
            for at in 0..3 {
                scope.spawn(move || {
                    publish_steadily(field, &format!("w11 publisher {at}"), RATE, |session, _| {
                        session.publish(&Parcel { size: SIZE, ..Parcel::to(&QUEUE) }).map(drop)
                    });
                });
            }
            scope.spawn(|| {
                let plan = Plan { prefetch: 10, ..Plan::default() };
                let pause = Duration::from_millis(200);
                let habits = Habits { plan, keep: 3, pause, ..Habits::default() };
                consume_steadily(field, "w11 consumer", QUEUE, habits);
            });
        });
        Ok(())
    }
}
