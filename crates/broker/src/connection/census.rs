//! What becomes of a connection's consumers when their shard has lost them.
//!
//! A session that was closed, because its node could not be heard for long, holds nothing any more:
//! what its consumers had is given to others. Their clients need not notice: the consumers are
//! registered again, and settling what they had before means nothing.

use warren_queue::{CancelReason, Command, CommandReply, FragmentReply};
use warren_types::ConsumerNumber;

use super::consume::Placed;
use super::holder::{Holder, Stage, nth};
use super::state::Connection;
use super::unacked::Nth;
use crate::queue::guests::Census;
use crate::queue::handle::ShardSlot;

impl Holder {
    /// As a shard that does not know the consumer has to be told of it.
    pub(crate) fn placed(&self) -> Placed {
        Placed {
            slot: self.slot,
            queue: self.queue,
            tag: self.tag.clone(),
            no_ack: self.no_ack,
            counts: self.counts_deliveries,
            terms: self.terms,
        }
    }
}

impl Connection {
    /// Compares the consumers that a shard knows with those that it should know.
    pub(crate) fn census(&mut self, slot: ShardSlot, known: &Census) {
        let (first, last) = (self.id.consumer(0), self.id.consumer(u32::MAX));
        for consumer in known.consumers.range(first..=last) {
            if !self.holders.contains_key(&nth(*consumer)) {
                self.staging.command(slot, &Command::Detach { consumer: *consumer });
            }
        }
        for nth in self.holders_of(slot, |consumer| !known.consumers.contains(&consumer)) {
            let Some(holder) = self.holders.get(&nth) else { continue };
            let is_consumer = !holder.is_getter && holder.held > 0;
            match holder.stage {
                // The shard may not have come to one whose answer has not come.
                Stage::Attaching => {}
                // The session lasts, so the shard has ended it; the leader died before it said so.
                Stage::Live if known.open && is_consumer => self.ended_by_shard(nth),
                Stage::Live | Stage::Cancelled => self.lost(nth),
            }
        }
    }

    /// A shard has ended a consumer that holds something.
    fn ended_by_shard(&mut self, nth: Nth) {
        let Some(holder) = self.holders.get(&nth) else { return };
        let (consumer, queue) = (holder.number, holder.queue);
        let gone = self.broker.directory.look(|catalog| catalog.queue_by_id(queue).is_none());
        let reason = if gone { CancelReason::QueueDeleted } else { CancelReason::Timeout };
        self.cancelled(consumer, reason);
    }

    /// A shard has closed this node's session: it knows none of the holders any more.
    pub(crate) fn session_lost(&mut self, slot: ShardSlot) {
        for nth in self.holders_of(slot, |_| true) {
            self.lost(nth);
        }
    }

    /// A shard has answered a consumer that was registered anew.
    pub(crate) fn attached_anew(&mut self, nth: Nth, reply: &FragmentReply) {
        let Some(holder) = self.holders.get(&nth) else { return };
        let (number, consumer) = (holder.channel, holder.number);
        let attached = match reply {
            FragmentReply::Done(replies) => {
                replies.iter().any(|(_, reply)| *reply == CommandReply::Attached)
            }
            FragmentReply::Duplicate
            | FragmentReply::UnknownSession
            | FragmentReply::Gap { .. } => false,
        };
        self.enliven(nth);
        if attached {
            self.relieved.push(number);
        } else {
            // Its queue was deleted meanwhile, or somebody else has it alone.
            self.cancelled(consumer, CancelReason::QueueDeleted);
        }
    }

    /// A shard has gone with all that it held: its queues are no more.
    pub(crate) fn shard_gone(&mut self, slot: ShardSlot) {
        for nth in self.holders_of(slot, |_| true) {
            let Some(holder) = self.holders.get(&nth) else { continue };
            if holder.stage != Stage::Attaching {
                self.cancelled(holder.number, CancelReason::QueueDeleted);
            }
        }
    }

    /// The holders at `slot` for which `chosen` holds, in the order in which they were made.
    fn holders_of(&self, slot: ShardSlot, chosen: impl Fn(ConsumerNumber) -> bool) -> Vec<Nth> {
        let holders = self.holders.iter().filter(|(_, holder)| holder.slot == slot);
        let chosen = holders.filter(|(_, holder)| chosen(holder.number));
        let mut nths: Vec<Nth> = chosen.map(|(nth, _)| *nth).collect();
        nths.sort_unstable();
        nths
    }

    /// The shard does not know a holder.
    fn lost(&mut self, nth: Nth) {
        let Some(holder) = self.holders.get_mut(&nth) else { return };
        let number = holder.channel;
        if holder.is_getter {
            // It is made again by the next get, and counts from 1 again.
            holder.held = 0;
            if let Some(channel) = self.channels.get_mut(&number) {
                channel.unacked.disown(nth);
            }
            return;
        }
        match holder.stage {
            Stage::Attaching => holder.in_doubt = true,
            Stage::Live => self.attach_again(nth),
            Stage::Cancelled => drop(self.drop_holder(nth)),
        }
    }

    /// Registers a consumer again that its shard has lost, or tells its client that its queue is no
    /// more.
    pub(crate) fn attach_again(&mut self, nth: Nth) {
        let Some(holder) = self.holders.get(&nth) else { return };
        let (consumer, queue) = (holder.number, holder.queue);
        let gone = self.broker.directory.look(|catalog| catalog.queue_by_id(queue).is_none());
        if gone {
            return self.cancelled(consumer, CancelReason::QueueDeleted);
        }
        let Some(holder) = self.drop_holder(nth) else { return };
        // Should it be registered after all, it must not be given anything that nobody reads.
        self.staging.command(holder.slot, &Command::Detach { consumer });
        self.broker.counters.consumers.sub(1);
        if self.is_open(holder.channel) {
            self.attach_anew(holder.channel, holder.placed(), holder.flow);
        }
    }
}
