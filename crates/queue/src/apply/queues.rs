//! Commands about whole queues.

use std::sync::Arc;

use warren_types::{Location, QueueId};

use super::Pass;
use crate::clock::NEVER;
use crate::counts::Share;
use crate::entry::RangesRef;
use crate::queue::{Moment, Queue, Standing};
use crate::shard::Shard;
use crate::{
    CancelReason, CommandReply, DeadRange, DeadSequence, Effect, EndReason, QueueKind,
    QueueSettings, Refusal, Spot,
};

impl Shard {
    pub(super) fn create_queue(
        &mut self,
        id: QueueId,
        settings: QueueSettings,
        pass: &mut Pass,
    ) -> CommandReply {
        if self.tombstones.contains_key(&id) {
            return CommandReply::Refused(Refusal::QueueDeleted);
        }
        let fresh = self.queues.place(id).is_none();
        if fresh {
            let settings = self.shared(settings.effective());
            let place = self.queues.insert(Queue::new(id, settings, self.clock.now));
            self.touch(place, pass);
        }
        CommandReply::Created { fresh }
    }

    pub(super) fn configure_queue(
        &mut self,
        id: QueueId,
        settings: QueueSettings,
        pass: &mut Pass,
    ) -> Option<CommandReply> {
        let place = match self.place_of(id) {
            Ok(place) => place,
            Err(refusal) => return Some(CommandReply::Refused(refusal)),
        };
        let settings = self.shared(settings.effective());
        let mut moment = Moment { clock: self.clock, rows: &mut self.rows };
        if !self.queues.at_mut(place)?.configure(settings, &mut moment) {
            return Some(CommandReply::Refused(Refusal::OtherKind));
        }
        self.touch(place, pass);
        None
    }

    pub(super) fn delete_queue(
        &mut self,
        id: QueueId,
        if_unused: bool,
        if_empty: bool,
        pass: &mut Pass,
    ) -> CommandReply {
        let place = match self.place_of(id) {
            Ok(place) => place,
            Err(refusal) => return CommandReply::Refused(refusal),
        };
        let queue = self.queues.at(place).expect("the place was just looked up");
        if if_unused && queue.consumers.registered() > 0 {
            return CommandReply::Refused(Refusal::InUse);
        }
        if if_empty && !queue.is_empty() {
            return CommandReply::Refused(Refusal::NotEmpty);
        }
        let messages = queue.ready.len();
        self.end_queue(place, EndReason::Deleted, pass);
        CommandReply::Deleted { messages }
    }

    pub(super) fn forget_queue(&mut self, id: QueueId) -> Option<CommandReply> {
        self.tombstones.remove(&id);
        self.letters.forget(id);
        None
    }

    pub(super) fn purge_queue(&mut self, id: QueueId, pass: &mut Pass) -> CommandReply {
        let place = match self.place_of(id) {
            Ok(place) => place,
            Err(refusal) => return CommandReply::Refused(refusal),
        };
        let queue = self.queues.at_mut(place).expect("the place was just looked up");
        if queue.stream.is_some() {
            return CommandReply::Refused(Refusal::IsStream);
        }
        let messages = queue.purge(&mut self.rows);
        self.touch(place, pass);
        CommandReply::Purged { messages }
    }

    pub(super) fn drop_message(
        &mut self,
        id: QueueId,
        spot: Spot,
        at: Location,
        pass: &mut Pass,
    ) -> CommandReply {
        let place = match self.place_of(id) {
            Ok(place) => place,
            Err(refusal) => return CommandReply::Refused(refusal),
        };
        let queue = self.queues.at_mut(place).expect("the place was just looked up");
        if queue.stream.is_some() && matches!(spot, Spot::Waiting { .. }) {
            return CommandReply::Refused(Refusal::IsStream);
        }
        let messages = u64::from(queue.drop_message(spot, at, &mut self.rows));
        self.touch(place, pass);
        CommandReply::Purged { messages }
    }

    /// Renews the lease of a classic queue.
    pub(super) fn renew(&mut self, id: QueueId, pass: &mut Pass) -> Option<CommandReply> {
        let place = self.queues.place(id)?;
        let queue = self.queues.at_mut(place)?;
        match queue.settings.kind {
            QueueKind::Classic => queue.used_at = self.clock.now,
            QueueKind::Quorum | QueueKind::Stream => {}
        }
        self.touch(place, pass);
        None
    }

    pub(super) fn dead_settled(
        &mut self,
        id: QueueId,
        ranges: RangesRef<'_>,
        pass: &mut Pass,
    ) -> Option<CommandReply> {
        let place = self.queues.place(id)?;
        let queue = self.queues.at_mut(place)?;
        for range in ranges.iter() {
            let (from, to) = (DeadSequence(range.from.0), DeadSequence(range.to.0));
            queue.settle_dead(DeadRange { from, to }, &mut self.rows);
        }
        self.touch(place, pass);
        None
    }

    pub(super) fn status_of(&self, id: QueueId) -> CommandReply {
        match self.place_of(id).ok().and_then(|place| self.queues.at(place)) {
            Some(queue) => CommandReply::Status(queue.status()),
            None => CommandReply::Refused(self.refusal_of(id)),
        }
    }

    /// Ends a queue: its messages are gone, its consumers are told, its name is remembered.
    pub(super) fn end_queue(&mut self, place: usize, reason: EndReason, pass: &mut Pass) {
        let Some(queue) = self.queues.remove(place) else { return };
        let id = queue.id;
        self.totals.exchange(queue.noted_share(), Share::default());
        self.timers.note(id, queue.noted_due, NEVER);
        if pass.last_queue.is_some_and(|(last, _)| last == id) {
            pass.last_queue = None;
        }
        for consumer in queue.end(&mut self.rows).iter() {
            self.sessions.unseat_consumer(consumer.id);
            match consumer.standing {
                Standing::Registered => pass.effects.push(Effect::Cancelled {
                    consumer: consumer.id,
                    queue: id,
                    reason: CancelReason::QueueDeleted,
                }),
                // Their clients have no consumer that could be cancelled.
                Standing::Cancelled | Standing::Holder | Standing::Picker => {}
            }
        }
        self.tombstones.insert(id, reason);
        self.letters.forget(id);
        match reason {
            EndReason::Unused | EndReason::Expired => {
                pass.effects.push(Effect::QueueEnded { queue: id, reason })
            }
            // Whoever had it deleted tells the catalog, and `take_over` does if that one is lost.
            EndReason::Deleted => {}
        }
    }

    /// The settings, as others have them if they are the same.
    pub(crate) fn shared(&mut self, settings: QueueSettings) -> Arc<QueueSettings> {
        self.settings.share(Arc::new(settings), QueueSettings::eq)
    }

    /// Where a queue is, or why it is not here.
    pub(super) fn place_of(&self, id: QueueId) -> Result<usize, Refusal> {
        self.queues.place(id).ok_or_else(|| self.refusal_of(id))
    }

    fn refusal_of(&self, id: QueueId) -> Refusal {
        if self.tombstones.contains_key(&id) {
            Refusal::QueueDeleted
        } else {
            Refusal::UnknownQueue
        }
    }
}
