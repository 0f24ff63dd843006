//! Commands of consumers.

use warren_types::{ConsumerId, DeliverySequence, Location, QueueId};

use super::Pass;
use crate::entry::{AttachRef, RangesRef};
use crate::queue::{Consumer, Moment, Standing};
use crate::session::Seat;
use crate::shard::Shard;
use crate::{CancelReason, Claim, CommandReply, Effect, EndReason, Outcome, Refusal, Spot};

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
        if self.queues.at(place).is_some_and(|queue| queue.stream.is_some()) {
            return CommandReply::Refused(Refusal::IsStream);
        }
        // A fragment may have closed its own session; nobody would ever end this consumer.
        let Some(session) = self.sessions.session(id.session) else {
            return CommandReply::Refused(Refusal::SessionClosed);
        };
        if session.consumers.contains_key(&id.number) {
            return CommandReply::Refused(Refusal::ConsumerExists);
        }
        if let Some(claim) = terms.claim {
            self.take_over_from_rivals(id, claim, place, pass);
        }
        let queue = self.queues.at_mut(place).expect("the place was just looked up");
        let is_alone = queue.consumers.registered() == 0;
        if queue.consumers.is_exclusive() || (terms.exclusive && !is_alone) {
            return CommandReply::Refused(Refusal::ExclusiveConsumer);
        }
        let order = queue.next_order;
        queue.seat(Consumer::registered(id, order, terms));
        if let Some(claim) = terms.claim {
            queue.greet(claim.key);
        }
        self.sessions.seat_consumer(id, Seat { queue: place, order });
        self.touch(place, pass);
        CommandReply::Attached
    }

    /// A client has come by another connection: its consumers of the former one are lost.
    fn take_over_from_rivals(
        &mut self,
        id: ConsumerId,
        claim: Claim,
        place: usize,
        pass: &mut Pass,
    ) {
        let Some(queue) = self.queues.at_mut(place) else { return };
        for (order, consumer) in queue.rivals(id, claim) {
            let mut moment = Moment { clock: self.clock, rows: &mut self.rows };
            // The queue is not unused by that: the next one comes at this moment.
            queue.lose(order, &mut moment);
            self.sessions.unseat_consumer(consumer);
            let (queue, reason) = (queue.id, CancelReason::TakenOver);
            pass.effects.push(Effect::Cancelled { consumer, queue, reason });
        }
        self.touch(place, pass);
    }

    pub(super) fn cancel(&mut self, id: ConsumerId, pass: &mut Pass) -> Option<CommandReply> {
        let seat = self.seat(id)?;
        let mut moment = Moment { clock: self.clock, rows: &mut self.rows };
        let cancelled = self.queues.at_mut(seat.queue)?.cancel(seat.order, &mut moment);
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

    /// Ends a consumer whose client's connection broke.
    pub(super) fn lose(&mut self, id: ConsumerId, pass: &mut Pass) -> Option<CommandReply> {
        let seat = self.seat(id)?;
        self.sessions.unseat_consumer(id);
        self.lose_from(seat, pass);
        None
    }

    /// Ends a consumer that no session names any more, because its connection broke.
    pub(super) fn lose_from(&mut self, seat: Seat, pass: &mut Pass) {
        let Some(queue) = self.queues.at_mut(seat.queue) else { return };
        let mut moment = Moment { clock: self.clock, rows: &mut self.rows };
        let is_unused = queue.lose(seat.order, &mut moment);
        self.after_departure(seat.queue, is_unused, pass);
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
        let not_held = || CommandReply::Refused(Refusal::NotHeld);
        let is_extension = outcome == Outcome::Extend;
        let Some(seat) = self.seat(id) else { return is_extension.then(not_held) };
        let queue = self.queues.at_mut(seat.queue)?;
        if is_extension {
            let is_held = queue.extend_leases(seat.order, ranges, self.clock.now);
            self.touch(seat.queue, pass);
            return (!is_held).then(not_held);
        }
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
        let (place, order, is_known) = match self.holder(id, queue, Standing::Holder) {
            Ok(holder) => holder,
            Err(refusal) => return CommandReply::Refused(refusal),
        };
        let queue = self.queues.at_mut(place).expect("the place was just looked up");
        let mut moment = Moment { clock: self.clock, rows: &mut self.rows };
        let waits = queue.prepare_get(&mut moment);
        if !waits {
            queue.tally().got_empty += 1;
        }
        self.touch(place, pass);
        if !waits {
            return CommandReply::Empty;
        }
        let queue = self.queues.at_mut(place).expect("the place was just looked up");
        if !is_known {
            queue.seat(Consumer::holder(id, order, Standing::Holder));
        }
        let moment = Moment { clock: self.clock, rows: &mut self.rows };
        let got =
            queue.get(order, no_ack, &moment).expect("a message waits and the holder is there");
        self.sessions.seat_consumer(id, Seat { queue: place, order });
        CommandReply::Got(got)
    }

    pub(super) fn pick(
        &mut self,
        id: ConsumerId,
        queue: QueueId,
        (spot, at): (Spot, Location),
        pass: &mut Pass,
    ) -> CommandReply {
        let (place, order, is_known) = match self.holder(id, queue, Standing::Picker) {
            Ok(picker) => picker,
            Err(refusal) => return CommandReply::Refused(refusal),
        };
        let queue = self.queues.at_mut(place).expect("the place was just looked up");
        let Some(run) = queue.pick(spot, at) else { return CommandReply::Empty };
        if !is_known {
            queue.seat(Consumer::holder(id, order, Standing::Picker));
        }
        let moment = Moment { clock: self.clock, rows: &mut self.rows };
        let got = queue.hand(order, run, &moment).expect("the picker is there");
        self.sessions.seat_consumer(id, Seat { queue: place, order });
        self.touch(place, pass);
        CommandReply::Got(got)
    }

    /// Where a queue is, where among its consumers somebody stands who holds what it asks for, one by
    /// one, and whether it stands there already.
    fn holder(
        &self,
        id: ConsumerId,
        queue: QueueId,
        standing: Standing,
    ) -> Result<(usize, u64, bool), Refusal> {
        let place = self.place_of(queue)?;
        let session = self.sessions.session(id.session).ok_or(Refusal::SessionClosed)?;
        let queue = self.queues.at(place).expect("the place was just looked up");
        if queue.stream.is_some() {
            return Err(Refusal::IsStream);
        }
        if standing == Standing::Holder && queue.settings.single_active_consumer {
            return Err(Refusal::SingleActiveConsumer);
        }
        let Some(seat) = session.consumers.get(&id.number) else {
            return Ok((place, queue.next_order, false));
        };
        let known = queue.consumers.member(seat.order).filter(|_| seat.queue == place);
        match known {
            Some(known) if known.standing == standing => Ok((place, seat.order, true)),
            _ => Err(Refusal::ConsumerExists),
        }
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
