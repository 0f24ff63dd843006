//! What one channel of a connection remembers.

use std::collections::{BTreeMap, VecDeque};

use warren_amqp::Event;
use warren_types::{DeliveryTag, QueueId};

use super::confirm::Confirms;
use super::holder::{Flow, WINDOW_MESSAGES};
use super::traced::Held;
use super::transaction::Transaction;
use super::unacked::{Nth, Unacked};
use crate::survey::{MessageCounts, MessagePace};

/// How a channel treats publishes and settles.
#[derive(Debug)]
pub(crate) enum Mode {
    /// Neither confirms nor transactions.
    Plain,
    /// After confirm.select.
    Confirm(Confirms),
    /// After tx.select.
    Transaction(Transaction),
}

/// The consumer of direct replies, of which a channel has one at most.
#[derive(Clone, Debug)]
pub(crate) struct ReplyConsumer {
    pub(crate) tag: String,
    /// Part of the address, so that nobody guesses it and no later consumer inherits it.
    pub(crate) nonce: u64,
}

/// An open channel.
#[derive(Debug)]
pub(crate) struct Channel {
    /// Tells this channel from earlier ones of the same number.
    pub(crate) generation: u64,
    pub(crate) mode: Mode,
    /// Prefetch that consumers to come will have; 0 is none (basic.qos, global=false).
    pub(crate) prefetch: u16,
    /// Unacknowledged messages on the channel as a whole; 0 is no limit (basic.qos, global=true).
    pub(crate) channel_prefetch: u16,
    /// Consumers by tag.
    pub(crate) consumers: BTreeMap<String, Nth>,
    /// Holders of what basic.get took, by queue.
    pub(crate) getters: BTreeMap<QueueId, Nth>,
    pub(crate) reply_consumer: Option<ReplyConsumer>,
    /// The queue that an empty name stands for.
    pub(crate) last_queue: Option<String>,
    pub(crate) unacked: Unacked,
    /// How many messages may be unacknowledged at all; 0 is no limit.
    pub(crate) unacked_max: usize,
    /// What its consumers may hold by their own prefetch, which is all that bounds them.
    pub(crate) promised: u64,
    /// An operation is under way; what the client sends meanwhile waits in `backlog`.
    pub(crate) busy: bool,
    pub(crate) backlog: VecDeque<Event>,
    /// How many events at the front of the backlog were read before this node last caught up with
    /// the catalog.
    pub(crate) covered: usize,
    /// Whether the event that is being handled was.
    pub(crate) is_covered: bool,
    /// What happened to messages on it.
    pub(crate) counts: MessageCounts,
    /// How fast, for those who look.
    pub(crate) pace: MessagePace,
    /// Deliveries that are traced and not settled.
    pub(crate) traced: BTreeMap<DeliveryTag, Held>,
}

impl Channel {
    /// A channel as it is after channel.open.
    pub(crate) fn new(generation: u64, prefetch: u16, unacked_max: usize) -> Self {
        Self {
            generation,
            mode: Mode::Plain,
            prefetch,
            channel_prefetch: 0,
            consumers: BTreeMap::new(),
            getters: BTreeMap::new(),
            reply_consumer: None,
            last_queue: None,
            unacked: Unacked::default(),
            unacked_max,
            promised: 0,
            busy: false,
            backlog: VecDeque::new(),
            covered: 0,
            is_covered: false,
            counts: MessageCounts::default(),
            pace: MessagePace::default(),
            traced: BTreeMap::new(),
        }
    }

    /// How many more messages may be unacknowledged; `None` is any number.
    pub(crate) fn room(&self) -> Option<usize> {
        let limits = [usize::from(self.channel_prefetch), self.unacked_max];
        let limit = limits.into_iter().filter(|limit| *limit > 0).min()?;
        Some(limit.saturating_sub(self.unacked.open()))
    }

    /// The same for a consumer with this `flow`. What a consumer's own prefetch allows, it gets.
    pub(crate) fn room_for(&self, flow: Flow, no_ack: bool) -> Option<usize> {
        match flow {
            Flow::Window | Flow::Channel if !no_ack => self.room(),
            Flow::Window | Flow::Channel | Flow::Prefetch => None,
        }
    }

    /// How far a consumer without a prefetch may be ahead of what it has seen.
    pub(crate) fn window(&self, no_ack: bool) -> u64 {
        let room = self.room_for(Flow::Window, no_ack);
        let room = room.map_or(u64::MAX, |room| u64::try_from(room).unwrap_or(u64::MAX));
        room.min(WINDOW_MESSAGES)
    }

    /// Whether as many messages are unacknowledged as may be at all.
    pub(crate) fn is_full(&self) -> bool {
        self.unacked_max > 0 && self.unacked.open() >= self.unacked_max
    }

    /// Whether consumers may have been granted less than they would be, before so many messages
    /// were settled.
    pub(crate) fn was_short(&self, settled: u64) -> bool {
        let before = self.room().and_then(|room| u64::try_from(room).ok());
        before.is_some_and(|room| room.saturating_sub(settled) < WINDOW_MESSAGES)
    }

    /// Whether a consumer may be left to its own prefetch.
    pub(crate) fn has_room_for(&self, prefetch: u16) -> bool {
        let promised = usize::try_from(self.promised).unwrap_or(usize::MAX);
        self.unacked_max == 0 || promised.saturating_add(usize::from(prefetch)) <= self.unacked_max
    }
}
