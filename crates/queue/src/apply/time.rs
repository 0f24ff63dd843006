//! What happens by itself, because time has passed.

use warren_types::QueueId;

use super::Pass;
use crate::queue::{Moment, Standing};
use crate::shard::Shard;
use crate::{CancelReason, Effect, EndReason};

impl Shard {
    /// Has everything happen that is due, before the entry's own commands.
    pub(super) fn pass_time(&mut self, pass: &mut Pass) {
        let mut due = vec![];
        while let Some(id) = self.timers.pop(self.clock.now) {
            due.push(id);
        }
        // What a timer says of leases may be early, and differ between replicas; by name the order
        // is the same on all.
        due.sort_unstable();
        for id in due {
            self.come_due(id, pass);
        }
    }

    /// Has a queue end, or has it look at what is due in it.
    fn come_due(&mut self, id: QueueId, pass: &mut Pass) {
        let Some(place) = self.queues.place(id) else { return };
        let Some(queue) = self.queues.at_mut(place) else { return };
        let now = self.clock.now;
        queue.noted_due = crate::clock::NEVER;
        if queue.expires_at() <= now {
            return self.end_queue(place, EndReason::Expired, pass);
        }
        queue.end_delays(self.clock);
        queue.forget_recent(now);
        queue.end_reservations(&mut Moment { clock: self.clock, rows: &mut self.rows });
        let (overdue, leases) = (queue.overdue_consumers(now), queue.settings.leases);
        self.touch(place, pass);
        for order in overdue {
            if leases && !self.is_picker(place, order) {
                self.lapse(place, order, pass);
            } else {
                self.time_out(place, order, pass);
            }
        }
        if let Some(queue) = self.queues.at_mut(place).filter(|queue| queue.id == id) {
            queue.renew_lease();
        }
    }

    /// Whether a consumer is an operator's, that is to end with what it holds.
    fn is_picker(&self, place: usize, order: u64) -> bool {
        let consumer = self.queues.at(place).and_then(|queue| queue.consumers.member(order));
        consumer.is_some_and(|consumer| consumer.standing == Standing::Picker)
    }

    /// Takes back what a consumer holds for too long.
    fn lapse(&mut self, place: usize, order: u64, pass: &mut Pass) {
        let Some(queue) = self.queues.at_mut(place) else { return };
        let mut moment = Moment { clock: self.clock, rows: &mut self.rows };
        if let Some(consumer) = queue.lapse(order, &mut moment) {
            let (queue, reason) = (queue.id, CancelReason::LeaseEnded);
            self.sessions.unseat_consumer(consumer);
            pass.effects.push(Effect::Cancelled { consumer, queue, reason });
        }
    }

    /// Ends a consumer that holds something for too long.
    fn time_out(&mut self, place: usize, order: u64, pass: &mut Pass) {
        let Some(queue) = self.queues.at_mut(place) else { return };
        let Some(consumer) = queue.consumers.member(order).map(|consumer| consumer.id) else {
            return;
        };
        let mut moment = Moment { clock: self.clock, rows: &mut self.rows };
        let is_unused = queue.time_out(order, &mut moment);
        let (queue, reason) = (queue.id, CancelReason::Timeout);
        self.sessions.unseat_consumer(consumer);
        pass.effects.push(Effect::Cancelled { consumer, queue, reason });
        self.after_departure(place, is_unused, pass);
    }
}
