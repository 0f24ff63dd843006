//! W9: messages of up to sixteen megabytes among small ones.

use std::thread;

use anyhow::Result;
use rand::RngExt as _;
use rand::rngs::StdRng;

use crate::field::Field;
use crate::workload::consumer::{Habits, consume_steadily};
use crate::workload::parcel::Parcel;
use crate::workload::publisher::{publish_steadily, to};
use crate::workload::session::{Plan, Session};
use crate::workload::{Workload, prepare_sole};

const QUEUE: &str = "w9-large";

/// Small messages a second.
const SMALL_RATE: u32 = 80;

/// Large messages a second.
const LARGE_RATE: u32 = 2;

/// Powers of two between which large ones are.
const LARGE_BITS: std::ops::Range<u32> = 20..24;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Large;

impl Workload for Large {
    fn name(&self) -> &'static str {
        "W9"
    }

    fn queues(&self) -> &'static [&'static str] {
        &[QUEUE]
    }

    fn prepare(&self, field: &Field) -> Result<()> {
        prepare_sole(field, QUEUE)
    }

    fn run(&self, field: &Field) -> Result<()> {
        thread::scope(|scope| {
            scope.spawn(|| publish_steadily(field, "w9 small", SMALL_RATE, to(QUEUE)));
            scope.spawn(|| publish_steadily(field, "w9 large", LARGE_RATE, large));
            scope.spawn(|| {
                let plan = Plan { prefetch: 20, ..Plan::default() };
                let habits = Habits { plan, keep: 3, ..Habits::default() };
                consume_steadily(field, "w9 consumer", QUEUE, habits);
            });
        });
        Ok(())
    }
}

fn large(session: &mut Session, chance: &mut StdRng) -> Result<()> {
    if session.unconfirmed() > 2 {
        return Ok(());
    }
    let bits = chance.random_range(LARGE_BITS);
    let size = (1 << bits) + chance.random_range(0..1 << bits);
    session.publish(&Parcel { size, ..Parcel::to(&QUEUE) }).map(drop)
}
