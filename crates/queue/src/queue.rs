//! One queue, as a value.
//!
//! A queue has messages that wait ([`Backlog`]), consumers that hold some ([`Consumers`]), and some
//! put aside: delayed, dead, or kept for a client that was lost ([`Aside`]). It changes in two steps: commands move messages in, out
//! and back; then [`Queue::deliver`], once per entry, gives away what can be given, and has the
//! rules act that look at what is left: time to live, length, dead-lettering.
//!
//! **Invariant** after a delivery: no message waits while a consumer could take it, none at the
//! head waits beyond its deadline, and no more wait than the limits allow where the head gives way.
//!
//! A stream has a [`Stream`] besides, no consumers, and retention instead of all other rules.
//!
//! **Not here:** sessions, and which log rows are needed. Whatever leaves a queue for good is
//! released by whoever takes it out, with the [`Rows`] at hand.

mod aside;
mod backlog;
mod consumers;
mod deliver;
mod fate;
mod fresh;
mod held;
mod lease;
mod limits;
mod pack;
mod pick;
mod ready;
mod recent;
mod reserved;
mod scheduled;
mod settle;
mod stream;

use std::borrow::Cow;
use std::sync::Arc;

use warren_types::{Location, MessageNumber, QueueId, Timestamp};

use crate::clock::{Clock, NEVER};
use crate::counts::{Present, Share, Tally};
use crate::rare::Rare;
use crate::rows::Rows;
use crate::run::{Parts, Run};
use crate::{DeadRange, Overflow, QueueCounts, QueueKind, QueueSettings, QueueStatus, Totals};

pub(crate) use aside::{Aside, Death};
pub(crate) use backlog::Backlog;
pub(crate) use consumers::{Consumer, Consumers, Standing};
pub(crate) use fate::Moment;
pub(crate) use fresh::Fresh;
pub(crate) use held::Held;
pub(crate) use ready::Ready;
pub(crate) use recent::{Novelty, Recent};
pub(crate) use reserved::Reserved;
pub(crate) use stream::Stream;

/// A queue of the shard.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) id: QueueId,
    /// Shared among queues with the same rules.
    pub(crate) settings: Arc<QueueSettings>,
    /// The place of the message that comes next.
    pub(crate) next_number: MessageNumber,
    /// The place among the consumers of the one that comes next.
    pub(crate) next_order: u64,
    pub(crate) ready: Rare<Backlog>,
    pub(crate) aside: Option<Box<Aside>>,
    pub(crate) consumers: Rare<Consumers>,
    /// What is not to come again.
    pub(crate) recent: Option<Box<Recent>>,
    /// What it has besides messages if it is a stream.
    pub(crate) stream: Option<Box<Stream>>,
    /// Whether the settings have no say about messages that come.
    admits_all: bool,
    /// When it was used last, of the times when it has no consumers.
    pub(crate) used_at: Timestamp,
    /// No delivery is unsettled for too long before then.
    pub(super) lease_due: Timestamp,
    /// What the shard's timers have for it.
    pub(crate) noted_due: Timestamp,
    /// Whether the entry that is being applied has touched it.
    pub(crate) touched: bool,
    /// What has happened in it.
    pub(crate) tally: Option<Box<Tally>>,
    /// What is in it, in numbers.
    pub(crate) present: Rare<Present>,
}

/// A message on its way in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<'a> {
    pub(crate) at: Location,
    pub(crate) size: u32,
    pub(crate) parts: Option<&'a Arc<Parts>>,
    pub(crate) expiration_ms: Option<u64>,
    pub(crate) priority: Option<u8>,
    pub(crate) delay_ms: Option<u64>,
}

impl Arrival<'_> {
    /// Whether it asks for nothing.
    #[inline]
    fn is_plain(&self) -> bool {
        self.parts.is_none()
            && self.expiration_ms.is_none()
            && self.priority.is_none()
            && self.delay_ms.is_none()
    }
}

impl Queue {
    /// An empty queue.
    pub(crate) fn new(id: QueueId, settings: Arc<QueueSettings>, now: Timestamp) -> Self {
        Self {
            id,
            admits_all: admits_all(&settings),
            stream: (settings.kind == QueueKind::Stream).then(Box::default),
            settings,
            next_number: MessageNumber(1),
            next_order: 0,
            ready: Rare::default(),
            aside: None,
            consumers: Rare::default(),
            recent: None,
            used_at: now,
            lease_due: NEVER,
            noted_due: NEVER,
            touched: false,
            tally: None,
            present: Rare::default(),
        }
    }

    /// Puts a plain message at the end, if the queue has no rule about what comes and the last one
    /// is alike, which then stands for both: so it is with most messages.
    #[inline]
    pub(crate) fn extend(&mut self, arrival: &Arrival<'_>) -> bool {
        let is_extended = self.admits_all
            && arrival.is_plain()
            && self.ready.extend(self.next_number, arrival.at, arrival.size);
        if is_extended {
            self.next_number = MessageNumber(self.next_number.0.saturating_add(1));
            if let Some(stream) = &mut self.stream {
                stream.extend(arrival.size);
            }
        }
        is_extended
    }

    /// Puts a message at the end.
    #[inline]
    pub(crate) fn enqueue(&mut self, arrival: &Arrival<'_>, clock: Clock) {
        let run = self.admitted(arrival, clock.now);
        self.append(run, clock);
    }

    /// Adds a consumer whose place is [`Queue::next_order`], or one that a snapshot has.
    pub(crate) fn seat(&mut self, consumer: Consumer) {
        self.next_order = self.next_order.max(consumer.order.saturating_add(1));
        self.consumers.insert(consumer, self.settings.single_active_consumer);
    }

    /// Replaces the settings, and has those act at once that do not look at what waits. Returns
    /// whether it can follow them.
    pub(crate) fn configure(
        &mut self,
        settings: Arc<QueueSettings>,
        moment: &mut Moment<'_>,
    ) -> bool {
        let (was_stream, is_stream) = (self.stream.is_some(), settings.kind == QueueKind::Stream);
        if was_stream && !is_stream || !was_stream && is_stream && self.is_taken_from() {
            return false;
        }
        let former = std::mem::replace(&mut self.settings, settings);
        if is_stream && !was_stream {
            self.become_stream(moment.clock);
        }
        if former.expires_ms != self.settings.expires_ms {
            self.used_at = moment.clock.now;
        }
        if let Some(aside) = &mut self.aside {
            if self.settings.any_target().is_none() {
                aside.dead.drain(|run| moment.rows.release(&run));
            }
            if self.settings.delayed_retry.is_none() && self.settings.retry.is_none() {
                aside.delayed.drain(|run| self.ready.put_back(run));
            }
        }
        self.forget_recent(moment.clock.now);
        if !self.settings.leases
            && let Some(consumers) = self.consumers.present()
        {
            consumers.forgive();
        }
        self.derive();
        true
    }

    /// Works out what follows from the settings and from what is held.
    pub(crate) fn derive(&mut self) {
        self.admits_all = admits_all(&self.settings);
        if let Some(consumers) = self.consumers.present() {
            consumers.reconsider_all(self.settings.single_active_consumer);
        }
        self.lease_due = self.first_lease();
        let (unsettled, _) = self.consumers.unsettled();
        if unsettled > 0 {
            self.present.unsettled = unsettled;
        }
    }

    /// Drops what waits, and what is to wait again. Returns how many messages that was.
    pub(crate) fn purge(&mut self, rows: &mut Rows) -> u64 {
        let mut count = self.ready.len();
        if let Some(ready) = self.ready.present() {
            ready.drain(|run| rows.release(&run));
        }
        if let Some(aside) = &mut self.aside {
            count += aside.delayed.len();
            aside.delayed.drain(|run| rows.release(&run));
            count += aside.scheduled.len();
            aside.scheduled.drain(|run| rows.release(&run));
        }
        count
    }

    /// Lets go of dead messages that have arrived.
    pub(crate) fn settle_dead(&mut self, range: DeadRange, rows: &mut Rows) {
        if let Some(aside) = &mut self.aside {
            aside.dead.settle(range, |run| rows.release(&run));
        }
    }

    /// When something happens to it by itself.
    pub(crate) fn due(&self) -> Timestamp {
        let head = self.ready.first().map_or(NEVER, |run| run.deadline);
        let aside = self.aside.as_ref().map_or(NEVER, |aside| aside.due());
        let unused = self.expires_at().min(self.retention_due());
        head.min(self.lease_due).min(aside).min(unused).min(self.recent_due())
    }

    /// When it ends if nobody uses it.
    pub(crate) fn expires_at(&self) -> Timestamp {
        match self.settings.expires_ms {
            Some(expires_ms) if self.consumers.registered() == 0 => {
                self.used_at.plus_ms(expires_ms)
            }
            _ => NEVER,
        }
    }

    /// Has messages wait, or wait again, whose time has come.
    pub(crate) fn end_delays(&mut self, clock: Clock) {
        let Some(mut aside) = self.aside.take() else { return };
        aside.delayed.take_due(clock.now, |run| self.ready.put_back(run));
        aside.scheduled.take_due(clock.now, |mut run| {
            run.number = self.next_number;
            self.next_number = MessageNumber(self.next_number.0.saturating_add(1));
            if self.stream.is_some() {
                // It may have been scheduled before the queue became one.
                run = Run { level: 0, deadline: NEVER, ..run };
            }
            self.append(run, clock);
        });
        self.aside = Some(aside);
    }

    /// Whether nothing waits, nor is to wait again.
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.aside.as_ref().is_none_or(|aside| aside.later().0 == 0)
    }

    /// Counts.
    pub(crate) fn status(&self) -> QueueStatus {
        let (unsettled, unsettled_bytes) = self.consumers.unsettled();
        let later = self.aside.as_ref().map(|aside| aside.later());
        let dead = self.aside.as_ref().map(|aside| &aside.dead);
        QueueStatus {
            ready: self.ready.len(),
            ready_bytes: self.ready.bytes(),
            unsettled,
            unsettled_bytes,
            consumers: u32::try_from(self.consumers.registered()).unwrap_or(u32::MAX),
            delayed: later.map_or(0, |(count, _)| count),
            delayed_bytes: later.map_or(0, |(_, bytes)| bytes),
            dead: dead.map_or(0, |dead| dead.len()),
            dead_bytes: dead.map_or(0, |dead| dead.bytes()),
        }
    }

    /// What is kept of what has happened.
    #[inline]
    pub(crate) fn tally(&mut self) -> &mut Tally {
        self.tally.get_or_insert_default()
    }

    /// Its part in the shard's totals.
    #[inline]
    pub(crate) fn share(&self) -> Share {
        Share {
            ready: self.ready.len(),
            ready_bytes: self.ready.bytes(),
            unsettled: self.present.unsettled,
        }
    }

    /// What the shard's totals have of it.
    #[inline]
    pub(crate) fn noted_share(&self) -> Share {
        self.present.noted
    }

    /// Has the shard's totals know its part as it is.
    #[inline]
    pub(crate) fn note_share(&mut self, totals: &mut Totals) {
        let (before, after) = (self.noted_share(), self.share());
        if before != after {
            totals.exchange(before, after);
            self.present.noted = after;
        }
        if self.consumers.is_empty() {
            self.present.drop_if(Present::is_nothing);
        }
    }

    /// What has happened in it.
    pub(crate) fn counts(&self) -> QueueCounts {
        let tally = self.tally.as_deref().copied().unwrap_or_default();
        tally.told(self.next_number.0.saturating_sub(1))
    }

    /// Every message, wherever it is, for those who count rows or look for their own.
    pub(crate) fn runs(&self) -> impl Iterator<Item = Cow<'_, Run>> {
        self.ready.runs().chain(self.runs_elsewhere().map(Cow::Borrowed))
    }

    /// Every message that does not wait.
    pub(crate) fn runs_elsewhere(&self) -> impl Iterator<Item = &Run> {
        let aside = self.aside.as_deref().into_iter().flat_map(Aside::runs);
        self.consumers.iter().flat_map(|consumer| consumer.held.runs()).chain(aside)
    }

    /// Whether what is dead is on its way, and somewhere to go; for checks.
    pub(crate) fn is_aside_sound(&self) -> bool {
        let Some(aside) = &self.aside else { return true };
        let goes_somewhere = self.settings.any_target().is_some() || aside.dead.len() == 0;
        goes_somewhere && aside.dead.is_sound()
    }

    /// The record of a message that comes, with the next number.
    pub(super) fn admitted(&mut self, arrival: &Arrival<'_>, now: Timestamp) -> Run {
        let number = self.next_number;
        self.next_number = MessageNumber(number.0.saturating_add(1));
        let mut run = Run::published(number, arrival.at, arrival.size, arrival.parts.cloned());
        self.judge(&mut run, arrival, now);
        run
    }

    /// Has the settings say where a message stands, and for how long from `now` it may.
    fn judge(&self, run: &mut Run, arrival: &Arrival<'_>, now: Timestamp) {
        if self.stream.is_some() {
            return;
        }
        if arrival.priority.is_some() {
            run.level = self.settings.level(arrival.priority);
        }
        let ttl_ms = match (self.settings.message_ttl_ms, arrival.expiration_ms) {
            (None, None) => return,
            (Some(one), Some(other)) => one.min(other),
            (Some(one), None) | (None, Some(one)) => one,
        };
        run.deadline = now.plus_ms(ttl_ms);
    }
}

/// Whether every message that comes may wait for ever.
fn admits_all(settings: &QueueSettings) -> bool {
    settings.message_ttl_ms.is_none() && settings.overflow == Overflow::DropHead
}
