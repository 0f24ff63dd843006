//! Messages that are not to wait before a time that their publisher chose.
//!
//! They are put aside as they come and have no place in their queue until their time has come; then
//! they come to its end, as if they had been published at that moment. **Always holds:** their order
//! is that of their times, and at equal times that in which they were published.

use warren_types::{MessageNumber, Timestamp};

use super::{Arrival, Moment, Queue};
use crate::Overflow;
use crate::clock::NEVER;
use crate::run::Run;

/// The number of a message that has no place yet.
const NO_PLACE: MessageNumber = MessageNumber(0);

impl Queue {
    /// Puts a message aside. Returns whether it is kept.
    ///
    /// Where a full queue refuses, what is put aside counts: what was taken in comes in.
    pub(crate) fn schedule(
        &mut self,
        arrival: &Arrival<'_>,
        delay_ms: u64,
        is_refused: &mut bool,
        moment: &mut Moment<'_>,
    ) -> bool {
        let refuses = match self.settings.overflow {
            Overflow::DropHead => false,
            Overflow::RejectPublish | Overflow::RejectPublishDlx => true,
        };
        if refuses && self.is_exceeded_by(arrival.size) {
            *is_refused = true;
            return self.refuse(arrival, moment);
        }
        let due = moment.clock.now.plus_ms(delay_ms).min(Timestamp(NEVER.0 - 1));
        let parts = arrival.parts.cloned();
        let mut run = Run::published(NO_PLACE, arrival.at, arrival.size, parts);
        self.judge(&mut run, arrival, due);
        self.aside.get_or_insert_default().scheduled.restore(due, run);
        true
    }
}
