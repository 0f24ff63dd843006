//! How long messages may wait, and how many.

use warren_types::Timestamp;

use super::{Arrival, Moment, Queue};
use crate::{DeathReason, Effect, Overflow};

impl Queue {
    /// Whether a message of `size` bytes is one too many besides what waits and what will come.
    pub(crate) fn is_exceeded_by(&self, size: u32) -> bool {
        let scheduled = self.aside.as_ref().map(|aside| &aside.scheduled);
        let (length, bytes) = scheduled.map_or((0, 0), |aside| (aside.len(), aside.bytes()));
        let length = self.ready.len() + length + 1;
        let bytes = self.ready.bytes() + bytes + u64::from(size);
        self.settings.max_length.is_some_and(|limit| length > limit)
            || self.settings.max_length_bytes.is_some_and(|limit| bytes > limit)
    }

    /// Whether that message can be given to somebody right away. Only sure after a delivery.
    pub(crate) fn is_passage_free(&self) -> bool {
        self.ready.is_empty() && self.consumers.is_anybody_able()
    }

    /// Refuses a message. Returns whether it is kept as dead.
    pub(crate) fn refuse(&mut self, arrival: &Arrival<'_>, moment: &mut Moment<'_>) -> bool {
        let is_kept = self.settings.overflow == Overflow::RejectPublishDlx
            && self.settings.dead_letter.is_some();
        if is_kept {
            let run = self.admitted(arrival, moment.clock.now);
            self.fate(moment).1.die(run, DeathReason::MaxLength);
        }
        is_kept
    }

    /// Has the rules act that look at what waits after a delivery.
    #[inline]
    pub(super) fn enforce(&mut self, moment: &mut Moment<'_>, effects: &mut Vec<Effect>) {
        self.expire_up_to(moment.clock.now, moment);
        if self.settings.max_length.is_some() || self.settings.max_length_bytes.is_some() {
            self.drop_head(moment);
            // What stands at the head by that may be over its time.
            self.expire_up_to(moment.clock.now, moment);
        }
        if let (Some(aside), Some(target)) = (&mut self.aside, self.settings.any_target()) {
            aside.dead.show(self.id, target, effects);
        }
    }

    /// Ends what stands at the head and may wait until `time` at most.
    #[inline]
    pub(super) fn expire_up_to(&mut self, time: Timestamp, moment: &mut Moment<'_>) {
        while self.ready.first().is_some_and(|run| run.deadline <= time) {
            self.expire_head(moment);
        }
    }

    /// Ends those at the head that are alike and whose time is over.
    #[cold]
    pub(super) fn expire_head(&mut self, moment: &mut Moment<'_>) {
        if let Some(run) = self.ready.take(u64::MAX) {
            self.fate(moment).1.die(run, DeathReason::Expired);
        }
    }

    fn drop_head(&mut self, moment: &mut Moment<'_>) {
        match self.settings.overflow {
            Overflow::DropHead => {}
            // Nothing comes in beyond the limit; what was in before, or came back, stays.
            Overflow::RejectPublish | Overflow::RejectPublishDlx => return,
        }
        let (length, bytes) = (self.settings.max_length, self.settings.max_length_bytes);
        while let Some(first) = self.ready.first() {
            let too_many = length.map_or(0, |limit| self.ready.len().saturating_sub(limit));
            let too_large = bytes.map_or(0, |limit| self.ready.bytes().saturating_sub(limit));
            let excess = too_many.max(too_large.div_ceil(u64::from(first.size).max(1)));
            if excess == 0 {
                return;
            }
            if let Some(run) = self.ready.take(excess) {
                self.fate(moment).1.die(run, DeathReason::MaxLength);
            }
        }
    }
}
