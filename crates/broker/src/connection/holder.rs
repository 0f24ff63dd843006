//! Who holds messages on behalf of a client: its consumers, and what basic.get made.

use std::time::SystemTime;

use bytes::Bytes;
use warren_types::{ChannelNumber, ConsumerNumber, DeliverySequence, QueueId};

use super::consume::Terms;
use super::state::Connection;
use super::traced::Receiver;
use super::unacked::Nth;
use crate::queue::effects::Delivery;
use crate::queue::handle::ShardSlot;

/// Deliveries that a consumer may be given beyond those written to its socket, where its
/// prefetch does not bound them closer. Enough to keep the socket busy while the next grant
/// travels, little enough that a client that does not read leaves the rest to others.
pub(crate) const WINDOW_MESSAGES: u64 = 16_384;

/// How a consumer's deliveries are bounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// By its prefetch alone.
    Prefetch,
    /// By grants that follow what is written to the socket.
    Window,
    /// By grants that follow what the channel as a whole has settled.
    Channel,
}

/// Where a holder is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its shard has not answered; deliveries that come first wait.
    Attaching,
    /// Deliveries are written as they come.
    Live,
    /// Cancelled: what comes goes back, what the client holds stays with it.
    Cancelled,
}

/// A consumer, or the holder of what basic.get took from one queue.
#[derive(Debug)]
pub(crate) struct Holder {
    pub(crate) channel: ChannelNumber,
    pub(crate) slot: ShardSlot,
    pub(crate) number: ConsumerNumber,
    pub(crate) queue: QueueId,
    /// The consumer tag; empty for basic.get.
    pub(crate) tag: Bytes,
    pub(crate) no_ack: bool,
    /// The prefetch that was in force when it came; 0 is none. It bounds who acknowledges.
    pub(crate) prefetch: u16,
    pub(crate) is_getter: bool,
    /// Whether a delivery says how often others have failed (`x-delivery-count`).
    pub(crate) counts_deliveries: bool,
    pub(crate) terms: Terms,
    pub(crate) flow: Flow,
    pub(crate) stage: Stage,
    /// The last delivery that came; what comes again is dropped.
    pub(crate) received: DeliverySequence,
    /// Where deliveries were found missing, once they were asked for again.
    pub(crate) missed: Option<DeliverySequence>,
    /// Whether the shard may have lost it before its answer came.
    pub(crate) in_doubt: bool,
    /// The last delivery that was written to the socket or given back.
    pub(crate) seen: DeliverySequence,
    /// Up to where the shard may deliver.
    pub(crate) granted: DeliverySequence,
    /// Deliveries that the client has not settled.
    pub(crate) held: u64,
    /// Deliveries that came before the shard's answer.
    pub(crate) parked: Vec<Delivery>,
}

impl Holder {
    /// Whom a message that came at `since` goes to.
    pub(crate) fn receiver(&self, since: Option<SystemTime>) -> Receiver {
        let Self { channel, slot, queue, is_getter, no_ack, .. } = *self;
        Receiver { channel, slot, queue, is_getter, no_ack, since }
    }
}

impl Connection {
    /// A number for a holder.
    pub(crate) fn holder_number(&mut self) -> (Nth, ConsumerNumber) {
        self.last_holder = self.last_holder.wrapping_add(1).max(1);
        (self.last_holder, self.id.consumer(self.last_holder))
    }

    /// Keeps a holder. Its shard hears of its end even when this task comes to a sudden one.
    pub(crate) fn keep_holder(&mut self, nth: Nth, holder: Holder) {
        self.attached.insert(holder.number, holder.slot);
        self.holders.insert(nth, holder);
    }

    /// Forgets a holder whose shard knows that it has ended, or is about to be told.
    pub(crate) fn drop_holder(&mut self, nth: Nth) -> Option<Holder> {
        let holder = self.holders.remove(&nth)?;
        self.attached.remove(&holder.number);
        if let Some(channel) = self.channels.get_mut(&holder.channel)
            && holder.flow == Flow::Prefetch
            && !holder.is_getter
        {
            channel.promised = channel.promised.saturating_sub(holder.prefetch.into());
        }
        if holder.stage == Stage::Live && !holder.is_getter {
            self.tell_consumer_gone(&holder);
        }
        Some(holder)
    }

    /// Ends a holder: what it holds goes back.
    pub(crate) fn detach(&mut self, nth: Nth) {
        let Some(holder) = self.drop_holder(nth) else { return };
        self.staging.command(holder.slot, &self.end_of(holder.number));
        if !holder.is_getter {
            self.broker.counters.consumers.sub(1);
        }
    }
}

/// The holder's number within its connection.
pub(crate) fn nth(consumer: ConsumerNumber) -> Nth {
    u32::try_from(consumer.0 & u64::from(u32::MAX)).expect("32 bits fit")
}
