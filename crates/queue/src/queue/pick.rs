//! Takes single messages out of a queue, from wherever they wait: to drop them, or to have somebody
//! hold them who moves them elsewhere.
//!
//! **Always holds:** what is not found just where it is said to be stays untouched. What was picked
//! and comes back stands where it stood, and nothing says that it was away.

use warren_types::Location;

use super::{Moment, Queue};
use crate::rows::Rows;
use crate::run::Run;
use crate::{Got, Spot};

impl Queue {
    /// Drops a message. Returns whether it was there.
    pub(crate) fn drop_message(&mut self, spot: Spot, at: Location, rows: &mut Rows) -> bool {
        let Some(run) = self.take_out(spot, at) else { return false };
        rows.release(&run);
        true
    }

    /// Takes a message out that has a place in the queue.
    pub(crate) fn pick(&mut self, spot: Spot, at: Location) -> Option<Run> {
        match spot {
            Spot::Waiting { .. } | Spot::Delayed { .. } => self.take_out(spot, at),
            // It could not come back.
            Spot::Scheduled { .. } => None,
            Spot::Held { .. } | Spot::Reserved { .. } | Spot::Dead { .. } => None,
        }
    }

    /// Has a consumer hold a message that was asked for, and says which that is.
    pub(crate) fn hand(&mut self, order: u64, run: Run, moment: &Moment<'_>) -> Option<Got> {
        let holder = self.consumers.member_mut(order)?;
        let now = moment.clock.now;
        self.present.unsettled += u64::from(run.count);
        let given = run.delivered();
        let sequence = holder.hold(run, now);
        self.lease_due = self.lease_due.min(holder.lease_end(&self.settings, now));
        Some(Got {
            sequence,
            location: given.location,
            size: given.size,
            redelivered: given.redelivered,
            delivery_count: given.delivery_count,
            acquired_count: given.acquired_count,
            parts: given.parts,
            remaining: self.ready.len(),
        })
    }

    fn take_out(&mut self, spot: Spot, at: Location) -> Option<Run> {
        match spot {
            Spot::Waiting { level, number } => self.ready.present()?.pick(level, number, at),
            Spot::Delayed { due, number } => {
                let delayed = &mut self.aside.as_mut()?.delayed;
                delayed.take_if(due, number, |run| (run.index, run.offset) == (at.index, at.offset))
            }
            Spot::Scheduled { due } => self.aside.as_mut()?.scheduled.take(due, at),
            Spot::Held { .. } | Spot::Reserved { .. } | Spot::Dead { .. } => None,
        }
    }
}
