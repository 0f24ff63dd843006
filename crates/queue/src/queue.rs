//! One queue, as a value.
//!
//! A queue has messages that wait ([`Ready`]), and consumers that hold some ([`Consumers`]). It
//! changes in two steps: commands move messages in, out and back; then [`Queue::deliver`], once
//! per entry, gives away what can be given.
//!
//! **Invariant** after a delivery: no message waits while a consumer could take it.
//!
//! **Not here:** sessions, and which log rows are needed. Whatever leaves a queue for good is
//! released by whoever takes it out, with the [`Rows`] at hand.

mod consumers;
mod deliver;
mod held;
mod ready;
mod settle;

use std::sync::Arc;

use warren_types::{Location, MessageNumber, QueueId};

use crate::rows::Rows;
use crate::run::{Parts, Run};
use crate::{QueueSettings, QueueStatus};

pub(crate) use consumers::{Consumer, Consumers, Standing};
pub(crate) use held::Held;
pub(crate) use ready::Ready;

/// A queue of the shard.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) id: QueueId,
    pub(crate) settings: QueueSettings,
    /// The place of the message that comes next.
    pub(crate) next_number: MessageNumber,
    pub(crate) ready: Ready,
    pub(crate) consumers: Consumers,
    /// Whether the entry that is being applied has touched it.
    pub(crate) touched: bool,
}

impl Queue {
    /// An empty queue.
    pub(crate) fn new(id: QueueId, settings: QueueSettings) -> Self {
        Self {
            id,
            settings,
            next_number: MessageNumber(1),
            ready: Ready::default(),
            consumers: Consumers::default(),
            touched: false,
        }
    }

    /// Puts a message at the end.
    #[inline]
    pub(crate) fn enqueue(&mut self, at: Location, size: u32, parts: Option<Arc<Parts>>) {
        let number = self.next_number;
        self.next_number = MessageNumber(number.0.saturating_add(1));
        self.ready.push(Run::published(number, at, size, parts));
    }

    /// Replaces the settings.
    pub(crate) fn configure(&mut self, settings: QueueSettings) {
        self.settings = settings;
        self.consumers.reconsider_all(self.settings.single_active_consumer);
    }

    /// Drops what waits. Returns how many messages that was.
    pub(crate) fn purge(&mut self, rows: &mut Rows) -> u64 {
        let count = self.ready.len();
        self.ready.drain(|run| rows.release(&run));
        count
    }

    /// Counts.
    pub(crate) fn status(&self) -> QueueStatus {
        let (unsettled, unsettled_bytes) = self.consumers.unsettled();
        QueueStatus {
            ready: self.ready.len(),
            ready_bytes: self.ready.bytes(),
            unsettled,
            unsettled_bytes,
            consumers: u32::try_from(self.consumers.registered()).unwrap_or(u32::MAX),
        }
    }

    /// Every message, wherever it is, for those who count rows or look for their own.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.ready.runs().chain(self.consumers.iter().flat_map(|consumer| consumer.held.runs()))
    }
}
