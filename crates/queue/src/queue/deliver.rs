//! Gives away what can be given.

use warren_types::{DeliverySequence, LogIndex, QueueId, Timestamp};

use super::{Backlog, Consumer, Consumers, Moment, Queue};
use crate::run::{Run, widen};
use crate::{Delivered, DeliveredRun, Effect};

impl Queue {
    /// Gives away messages until none waits or nobody can take one, and has the rules act on what
    /// is left. Once per entry, for the entry at `index`; more often where it must be known how
    /// much is left.
    ///
    /// Consumers take turns message by message; one that is alone is given whole runs.
    pub(crate) fn deliver(
        &mut self,
        index: LogIndex,
        moment: &mut Moment<'_>,
        effects: &mut Vec<Effect>,
    ) {
        if self.stream.is_some() {
            return self.keep_in_bounds(moment);
        }
        let single_active = self.settings.single_active_consumer;
        if single_active && let Some(consumers) = self.consumers.present() {
            consumers.choose_active();
        }
        let now = moment.clock.now;
        self.deliver_reserved(index, now, effects);
        while let Some(first) = self.ready.first() {
            // One that ends at this very moment may still be given out.
            if first.deadline < now {
                self.expire_head(moment);
                continue;
            }
            let Some(consumers) = self.consumers.present() else { break };
            let Some((order, is_alone)) = consumers.next_turn() else { break };
            let consumer = consumers.member_mut(order).expect("only members have turns");
            let limit = if is_alone { consumer.capacity() } else { 1 };
            let Some(run) = self.ready.take(limit) else { break };
            self.tally.get_or_insert_default().give(&run, consumer.no_ack);
            self.present.unsettled += u64::from(run.count);
            consumer.give(self.id, run, (index, now), effects);
            self.lease_due = self.lease_due.min(consumer.lease_end(&self.settings, now));
            if consumer.capacity() == 0 {
                consumers.reconsider(order, single_active);
            }
        }
        self.consumers.drop_if(Consumers::is_empty);
        self.enforce(moment, effects);
        if self.consumers.is_empty() {
            // One that is at work keeps its place for the next message.
            self.ready.drop_if(Backlog::is_empty);
        }
    }
}

impl Consumer {
    /// Has it hold `run` from `now` on, and returns the sequence of the first.
    pub(super) fn hold(&mut self, run: Run, now: Timestamp) -> DeliverySequence {
        let first = self.last.0.saturating_add(1);
        self.last = DeliverySequence(self.last.0.saturating_add(u64::from(run.count)));
        self.held.push(first, run, now);
        DeliverySequence(first)
    }

    /// Has it hold `run`, and says so.
    #[inline]
    pub(super) fn give(
        &mut self,
        queue: QueueId,
        run: Run,
        (index, now): (LogIndex, Timestamp),
        effects: &mut Vec<Effect>,
    ) {
        let given = run.delivered();
        let first = self.hold(run, now);
        let (of_entry, at) = self.effect;
        let begun = if of_entry == index { effects.get_mut(at) } else { None };
        if let Some(Effect::Deliver(delivered)) = begun {
            let is_joined = delivered.runs.last_mut().is_some_and(|last| join(last, &given));
            if !is_joined {
                delivered.runs.push(given);
            }
            return;
        }
        self.effect = (index, effects.len());
        let runs = vec![given];
        effects.push(Effect::Deliver(Delivered { consumer: self.id, queue, first, runs }));
    }
}

/// Adds `next` at the end of `run`, if the whole is a run again.
fn join(run: &mut DeliveredRun, next: &DeliveredRun) -> bool {
    if run.location.index != next.location.index
        || run.size != next.size
        || run.redelivered != next.redelivered
        || run.delivery_count != next.delivery_count
        || run.acquired_count != next.acquired_count
        || run.parts.is_some()
        || next.parts.is_some()
    {
        return false;
    }
    let Some(count) = run.count.checked_add(next.count) else { return false };
    let apart = next.location.offset.checked_sub(run.location.offset);
    let stride = apart
        .and_then(|apart| widen(run.stride, run.count, next.stride, next.count, u64::from(apart)));
    let Some(stride) = stride else { return false };
    (run.stride, run.count) = (stride, count);
    true
}
