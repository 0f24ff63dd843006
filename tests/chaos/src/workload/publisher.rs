//! Publishes at a steady pace, with confirms, each message once.

use std::time::{Duration, Instant};

use anyhow::Result;
use rand::rngs::StdRng;

use crate::field::Field;
use crate::workload::parcel::Parcel;
use crate::workload::persist::persist;
use crate::workload::session::Session;

/// How far behind its pace a publisher may fall before it lets the rest go.
const CATCH_UP: Duration = Duration::from_millis(500);

/// Unconfirmed messages that a publisher may have.
const WINDOW: usize = 400;

/// Publishes until everything stops; `step` sends what is due, usually one message.
pub fn publish_steadily(
    field: &Field,
    who: &str,
    rate_per_second: u32,
    mut step: impl FnMut(&mut Session, &mut StdRng) -> Result<()>,
) {
    let period = Duration::from_secs(1) / rate_per_second;
    persist(field, who, |mut session, chance| {
        session.confirm_select()?;
        let mut due = Instant::now();
        while !field.stop.was_said() {
            let now = Instant::now();
            if session.is_blocked() || session.unconfirmed() >= WINDOW {
                due = now + period;
            } else if due <= now {
                step(&mut session, chance)?;
                due = if now > due + CATCH_UP { now + period } else { due + period };
            }
            session.listen(due.saturating_duration_since(Instant::now()))?;
        }
        session.await_confirms()?;
        session.close()
    });
}

/// A step: a small message for one queue.
pub fn to(queue: &str) -> impl FnMut(&mut Session, &mut StdRng) -> Result<()> + '_ {
    move |session, _| session.publish(&Parcel::to(&queue)).map(drop)
}
