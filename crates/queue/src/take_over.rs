//! What a new leader owes the outside, and what one front end is owed that has lost its leader.

use warren_types::{ConsumerId, DeliverySequence, SessionId};

use crate::queue::Consumer;
use crate::session::Session;
use crate::shard::Shard;
use crate::{Delivered, Effect};

impl Shard {
    /// Everything that the session's consumers hold, in sequence: for a front end that may have
    /// missed some of it. It is what all of [`Shard::session_consumers`] hold: registered ones,
    /// cancelled ones, and those made by basic.get. A front end passes over what is for the last:
    /// they were given nothing but in answers, and those are answered again.
    #[must_use]
    pub fn owed(&self, session: SessionId) -> Vec<Effect> {
        let mut effects = vec![];
        if let Some(open) = self.sessions.session(session) {
            self.add_held(open, &mut effects);
        }
        effects
    }

    /// See [`warren_machine::Machine::take_over`].
    pub(crate) fn owed_to_all(&self) -> Vec<Effect> {
        let mut effects = vec![];
        for (_, session) in self.sessions.open_sessions() {
            self.add_held(session, &mut effects);
        }
        for queue in self.queues.in_order() {
            if let (Some(aside), Some(target)) = (&queue.aside, queue.settings.any_target()) {
                aside.dead.owed(queue.id, target, &mut effects);
            }
        }
        let ended = self.tombstones.iter();
        effects.extend(
            ended.map(|(queue, reason)| Effect::QueueEnded { queue: *queue, reason: *reason }),
        );
        effects
    }

    fn add_held(&self, session: &Session, effects: &mut Vec<Effect>) {
        for seat in session.consumers.values() {
            let Some(queue) = self.queues.at(seat.queue) else { continue };
            let Some(consumer) = queue.consumers.member(seat.order) else { continue };
            for (first, runs) in stretches(consumer) {
                let consumer: ConsumerId = consumer.id;
                effects.push(Effect::Deliver(Delivered { consumer, queue: queue.id, first, runs }));
            }
        }
    }
}

/// What a consumer holds, cut where the sequence has gaps.
fn stretches(consumer: &Consumer) -> Vec<(DeliverySequence, Vec<crate::DeliveredRun>)> {
    let mut stretches: Vec<(DeliverySequence, Vec<crate::DeliveredRun>)> = vec![];
    let mut next = None;
    for (first, run, _) in consumer.held.numbered() {
        match stretches.last_mut() {
            Some((_, runs)) if next == Some(first) => runs.push(run.delivered()),
            _ => stretches.push((DeliverySequence(first), vec![run.delivered()])),
        }
        next = first.checked_add(u64::from(run.count));
    }
    stretches
}
