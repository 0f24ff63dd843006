//! Commands of consumers.

use warren_types::{ConsumerId, DeliverySequence, QueueId};

use super::Pass;
use crate::entry::{AttachRef, RangesRef};
use crate::queue::{Consumer, Moment, Standing};
use crate::session::Seat;
use crate::shard::Shard;
use crate::{CommandReply, EndReason, Outcome, Refusal};

impl Shard {
    pub(super) fn attach(
        &mut self,
        id: ConsumerId,
        terms: &AttachRef<'_>,
        pass: &mut Pass,
    ) -> CommandReply {
        let place = match self.place_of(terms.queue) {
            Ok(place) => place,
            Err(refusal) => return CommandReply::Refused(refusal),
        };
        // A fragment may have closed its own session; nobody would ever end this consumer.
        let Some(session) = self.sessions.session(id.session) else {
            return CommandReply::Refused(Refusal::SessionClosed);
        };
        if session.consumers.contains_key(&id.number) {
            return CommandReply::Refused(Refusal::ConsumerExists);
        }
        let queue = self.queues.at_mut(place).expect("the place was just looked up");
        let is_alone = queue.consumers.registered() == 0;
        if queue.consumers.is_exclusive() || (terms.exclusive && !is_alone) {
            return CommandReply::Refused(Refusal::ExclusiveConsumer);
        }
        let order = queue.consumers.next_order();
        let single_active = queue.settings.single_active_consumer;
        queue.consumers.insert(Consumer::registered(id, order, terms), single_active);
        self.sessions.seat_consumer(id, Seat { queue: place, order });
        self.touch(place, pass);
        CommandReply::Attached
    }

    pub(super) fn cancel(&mut self, id: ConsumerId, pass: &mut Pass) -> Option<CommandReply> {
        let seat = self.seat(id)?;
        let moment = Moment { clock: self.clock, rows: &mut self.rows };
        let cancelled = self.queues.at_mut(seat.queue)?.cancel(seat.order, &moment);
        if cancelled.is_gone {
            self.sessions.unseat_consumer(id);
        }
        self.after_departure(seat.queue, cancelled.is_unused, pass);
        None
    }

    pub(super) fn detach(&mut self, id: ConsumerId, pass: &mut Pass) -> Option<CommandReply> {
        let seat = self.seat(id)?;
        self.sessions.unseat_consumer(id);
        self.detach_from(seat, pass);
        None
    }

    /// Ends a consumer that no session names any more.
    pub(super) fn detach_from(&mut self, seat: Seat, pass: &mut Pass) {
        let Some(queue) = self.queues.at_mut(seat.queue) else { return };
        let mut moment = Moment { clock: self.clock, rows: &mut self.rows };
        let is_unused = queue.detach(seat.order, &mut moment);
        self.after_departure(seat.queue, is_unused, pass);
    }

    pub(super) fn grant(
        &mut self,
        id: ConsumerId,
        up_to: DeliverySequence,
        pass: &mut Pass,
    ) -> Option<CommandReply> {
        let seat = self.seat(id)?;
        let queue = self.queues.at_mut(seat.queue)?;
        let single_active = queue.settings.single_active_consumer;
        let consumer = queue.consumers.member_mut(seat.order)?;
        consumer.granted = consumer.granted.max(up_to);
        queue.consumers.reconsider(seat.order, single_active);
        self.touch(seat.queue, pass);
        None
    }

    pub(super) fn settle(
        &mut self,
        id: ConsumerId,
        outcome: Outcome,
        ranges: RangesRef<'_>,
        pass: &mut Pass,
    ) -> Option<CommandReply> {
        let seat = self.seat(id)?;
        let queue = self.queues.at_mut(seat.queue)?;
        let mut moment = Moment { clock: self.clock, rows: &mut self.rows };
        if let Some(gone) = queue.settle(seat.order, outcome, ranges, &mut moment) {
            self.sessions.unseat_consumer(gone);
        }
        self.touch(seat.queue, pass);
        None
    }

    pub(super) fn get(
        &mut self,
        id: ConsumerId,
        queue: QueueId,
        no_ack: bool,
        pass: &mut Pass,
    ) -> CommandReply {
        let place = match self.place_of(queue) {
            Ok(place) => place,
            Err(refusal) => return CommandReply::Refused(refusal),
        };
        let Some(session) = self.sessions.session(id.session) else {
            return CommandReply::Refused(Refusal::SessionClosed);
        };
        let seat = session.consumers.get(&id.number).copied();
        let queue = self.queues.at_mut(place).expect("the place was just looked up");
        if queue.settings.single_active_consumer {
            return CommandReply::Refused(Refusal::SingleActiveConsumer);
        }
        let known = seat.map(|seat| (seat, queue.consumers.member(seat.order)));
        let order = match known {
            None => queue.consumers.next_order(),
            Some((seat, Some(holder)))
                if seat.queue == place && holder.standing == Standing::Holder =>
            {
                seat.order
            }
            Some(_) => return CommandReply::Refused(Refusal::ConsumerExists),
        };
        let mut moment = Moment { clock: self.clock, rows: &mut self.rows };
        let waits = queue.prepare_get(&mut moment);
        if !waits {
            queue.tally().counts.got_empty += 1;
        }
        self.touch(place, pass);
        if !waits {
            return CommandReply::Empty;
        }
        let queue = self.queues.at_mut(place).expect("the place was just looked up");
        if seat.is_none() {
            queue.consumers.insert(Consumer::holder(id, order), false);
        }
        let moment = Moment { clock: self.clock, rows: &mut self.rows };
        let got =
            queue.get(order, no_ack, &moment).expect("a message waits and the holder is there");
        self.sessions.seat_consumer(id, Seat { queue: place, order });
        CommandReply::Got(got)
    }

    /// A queue that has lost a consumer ends, or serves the next one.
    pub(super) fn after_departure(&mut self, place: usize, is_unused: bool, pass: &mut Pass) {
        let Some(queue) = self.queues.at(place) else { return };
        if is_unused && queue.settings.auto_delete {
            self.end_queue(place, EndReason::Unused, pass);
        } else {
            self.touch(place, pass);
        }
    }
}
