//! Sees to it that dead messages arrive where their queue sends them.
//!
//! A shard keeps a dead message until it is told that the message has arrived, or that there is
//! nowhere to arrive: at least once, across any change of leader. One undertaker serves one shard,
//! and one letter after the other of each queue, so that the dead of a queue keep their order, and
//! those that find their target full keep nobody else's waiting.

use std::collections::VecDeque;
use std::collections::btree_map::{BTreeMap, Entry};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use warren_catalog::{Message, Queue, Routed};
use warren_queue::entry::{FragmentWriter, PublishParts, message};
use warren_queue::{
    Command, CommandReply, DeadLetterStrategy, DeadLettered, DeadRange, DeadRun, DeadSequence,
    FragmentReply, Letter as LetterId, Refusal,
};
use warren_types::{Location, QueueId, Term};

use crate::broker::Inner;
use crate::connection::message::Properties;
use crate::dead_letter::{Buried, Death, bury};
use crate::queue::handle::{ShardSlot, Stopped, read_parts};
use crate::trail::Trail;

/// How long to wait before a target that is gone is looked for again.
const STALE_RETRY: Duration = Duration::from_millis(20);

/// How long to wait before a target that is full is asked again.
const FULL_RETRY: Duration = Duration::from_millis(500);

/// The dead of one queue, and the leadership that they were handed to.
#[derive(Debug)]
pub(crate) struct Burial {
    pub(crate) letters: DeadLettered,
    /// `None` where there is nobody to take over from.
    pub(crate) reign: Option<Term>,
}

/// Serves the dead of one shard.
pub(crate) struct Undertaker {
    bearer: Bearer,
    dead: mpsc::UnboundedReceiver<Burial>,
}

/// Carries letters to where they go.
struct Bearer {
    broker: Arc<Inner>,
    slot: ShardSlot,
}

impl Undertaker {
    /// Serves the shard at `slot`, whose dead come through `dead`.
    pub(crate) fn new(
        broker: Arc<Inner>,
        slot: ShardSlot,
        dead: mpsc::UnboundedReceiver<Burial>,
    ) -> Self {
        Self { bearer: Bearer { broker, slot }, dead }
    }

    /// Serves until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let Self { bearer, mut dead } = self;
        // Each queue of which a batch is on its way, and the batches behind that. A shard shows
        // only so many of a queue's dead at a time.
        let mut behind: BTreeMap<QueueId, VecDeque<Burial>> = BTreeMap::new();
        let mut on_their_way = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some((queue, outcome)) = on_their_way.next() => {
                    let outcome: Result<(), Stopped> = outcome;
                    if outcome.is_err() {
                        return;
                    }
                    match behind.get_mut(&queue).and_then(VecDeque::pop_front) {
                        Some(burial) => on_their_way.push(bearer.serve(burial)),
                        None => drop(behind.remove(&queue)),
                    }
                }
                burial = dead.recv() => {
                    let Some(burial) = burial else { return };
                    match behind.entry(burial.letters.queue) {
                        Entry::Vacant(entry) => {
                            entry.insert(VecDeque::new());
                            on_their_way.push(bearer.serve(burial));
                        }
                        Entry::Occupied(entry) => entry.into_mut().push_back(burial),
                    }
                }
            }
        }
    }
}

impl Bearer {
    /// Carries one batch, and tells of which queue it was.
    async fn serve(&self, burial: Burial) -> (QueueId, Result<(), Stopped>) {
        let queue = burial.letters.queue;
        (queue, self.carry(burial).await)
    }

    /// Whether this node leads the shard as it did when the dead were handed over. If not,
    /// whoever leads next has them from the shard.
    fn still_reigns(&self, reign: Option<Term>) -> bool {
        reign == self.broker.shard(self.slot).whereabouts().reign()
    }

    async fn carry(&self, burial: Burial) -> Result<(), Stopped> {
        let Burial { letters, reign } = burial;
        if !self.still_reigns(reign) {
            return Ok(());
        }
        let source =
            self.broker.directory.look(|catalog| catalog.queue_by_id(letters.queue).cloned());
        let mut sequence = letters.first;
        for run in &letters.runs {
            for at in 0..run.count {
                let id = LetterId { source: letters.queue, sequence };
                if let Some(source) = &source
                    && !self.send(source, id, &letters, run, at, reign).await?
                {
                    return Ok(());
                }
                self.settle(letters.queue, sequence);
                sequence = DeadSequence(sequence.0.saturating_add(1));
            }
        }
        Ok(())
    }

    /// Tells the source that a message has arrived, or has nowhere to go.
    fn settle(&self, queue: QueueId, sequence: DeadSequence) {
        let ranges = vec![DeadRange { from: sequence, to: sequence }];
        self.broker.shard(self.slot).tell(&Command::DeadSettled { queue, ranges });
    }

    /// Publishes one message and waits until all its targets have it; false if that is another
    /// node's to do.
    async fn send(
        &self,
        source: &Queue,
        id: LetterId,
        letters: &DeadLettered,
        run: &DeadRun,
        at: u32,
        reign: Option<Term>,
    ) -> Result<bool, Stopped> {
        let offset = run.location.offset.saturating_add(run.stride.saturating_mul(at));
        let place = Location { index: run.location.index, offset };
        let shard = self.broker.shard(self.slot);
        // What cannot be read is not needed any more: the queue was deleted meanwhile.
        let Some((row, parts)) = read_parts(shard, place, run.parts.as_deref()).await else {
            return Ok(true);
        };
        let Ok(found) = message(&row, offset) else { return Ok(true) };
        let exchange = String::from_utf8_lossy(&found.exchange);
        let target = &letters.target;
        let buried = bury(
            &found.header,
            Trail::decode(&found.trail),
            &Death {
                queue: &source.name,
                reason: run.reason,
                time: run.time,
                exchange: &exchange,
                routing_key: &found.routing_key,
                rerouted: target.routing_key.is_some(),
            },
        );
        let key = target.routing_key.as_ref().unwrap_or(&found.routing_key);
        let mut body = parts;
        body.push(found.body);
        let letter = Letter {
            id,
            exchange: &target.exchange,
            routing_key: key,
            persistent: found.persistent,
            buried: &buried,
            body: &body,
        };
        let mut targets = self.route(source, &letter);
        loop {
            let mut full = Vec::new();
            let mut is_stale = false;
            for (slot, queues) in targets {
                let left = self.deliver(slot, &queues, &letter).await?;
                is_stale |= left.is_missing;
                if !left.full.is_empty() {
                    full.push((slot, left.full));
                }
            }
            targets = if is_stale {
                // A queue is gone, and another of its name may be there. Who has the letter knows it
                // when it comes again.
                tokio::time::sleep(STALE_RETRY).await;
                self.broker.directory.catch_up().await?;
                self.route(source, &letter)
            } else if full.is_empty() || target.strategy == DeadLetterStrategy::AtMostOnce {
                return Ok(true);
            } else {
                tokio::time::sleep(FULL_RETRY).await;
                full
            };
            if !self.still_reigns(reign) {
                return Ok(false);
            }
        }
    }

    /// Where a letter goes: each shard with its queues. Nowhere is an answer, too.
    fn route(&self, source: &Queue, letter: &Letter<'_>) -> Vec<(ShardSlot, Vec<QueueId>)> {
        let exchange = String::from_utf8_lossy(letter.exchange);
        let extra_keys: Vec<&[u8]> = letter.buried.extra_keys.iter().map(Vec::as_slice).collect();
        self.broker.directory.look(|catalog| {
            let properties = Properties {
                header: &letter.buried.header,
                headers: Some(letter.buried.headers()),
            };
            let message = Message {
                routing_key: letter.routing_key,
                extra_keys: &extra_keys,
                headers: &properties,
            };
            let mut routed = Routed::new();
            if catalog.route(&source.vhost, &exchange, message, &mut routed).is_err() {
                tracing::warn!(queue = %source.name, %exchange, "no dead letter exchange");
                return Vec::new();
            }
            let mut shards: Vec<(ShardSlot, Vec<QueueId>)> = Vec::new();
            let rows = routed.targets().iter().filter_map(|to| catalog.queue_by_id(to.queue));
            for row in rows.filter(|row| !letter.buried.circles_to(&row.name)) {
                let Some(slot) = self.broker.ensure(row) else { continue };
                match shards.iter_mut().find(|(known, _)| *known == slot) {
                    Some((_, queues)) => queues.push(row.id),
                    None => shards.push((slot, vec![row.id])),
                }
            }
            shards
        })
    }

    /// Publishes a letter to queues of one shard, and tells which did not take it.
    async fn deliver(
        &self,
        slot: ShardSlot,
        queues: &[QueueId],
        letter: &Letter<'_>,
    ) -> Result<Left, Stopped> {
        let mut fragment = FragmentWriter::new();
        let bytes = letter.body.iter().map(Bytes::len).sum();
        // One publish for each, so that the answer says which of them are full.
        for queue in queues {
            let parts = PublishParts {
                queues: std::slice::from_ref(queue),
                persistent: letter.persistent,
                exchange: letter.exchange,
                routing_key: letter.routing_key,
                header: &letter.buried.header,
                upload: None,
                expiration_ms: None,
                priority: warren_amqp::header::priority(&letter.buried.header),
                trail: &letter.buried.trail,
                letter: Some(letter.id),
                delay_ms: None,
                // What died was sent once, and may come by more than once on its way.
                dedup: &[],
            };
            fragment.publish(&parts, bytes, letter.body.iter().map(|piece| &**piece));
        }
        let reply = self.broker.shard(slot).ask(fragment.finish()).await?;
        Ok(Left::of(&reply, queues))
    }
}

/// Queues that did not take a letter.
#[derive(Debug, Default, PartialEq, Eq)]
struct Left {
    /// Those that are full.
    full: Vec<QueueId>,
    /// Whether one is not there, or not any more.
    is_missing: bool,
}

impl Left {
    /// What a shard has answered to one publish for each of `queues`.
    fn of(reply: &FragmentReply, queues: &[QueueId]) -> Self {
        let mut left = Self::default();
        let FragmentReply::Done(replies) = reply else { return left };
        for (ordinal, reply) in replies {
            let queue = usize::try_from(*ordinal).ok().and_then(|at| queues.get(at));
            match (reply, queue) {
                (CommandReply::Refused(Refusal::QueueFull), Some(queue)) => left.full.push(*queue),
                (CommandReply::Missing(_), _) => left.is_missing = true,
                _ => {}
            }
        }
        left
    }
}

/// A dead message on its way.
struct Letter<'a> {
    id: LetterId,
    exchange: &'a Bytes,
    routing_key: &'a Bytes,
    persistent: bool,
    buried: &'a Buried,
    body: &'a [Bytes],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_by_the_place_of_each_queue() {
        let queues = [QueueId(7), QueueId(8), QueueId(9)];
        let full = CommandReply::Refused(Refusal::QueueFull);
        let missing = CommandReply::Missing(vec![QueueId(9)]);

        let left = Left::of(&FragmentReply::Done(vec![(1, full), (2, missing)]), &queues);

        assert_eq!(left, Left { full: vec![QueueId(8)], is_missing: true });
        assert_eq!(Left::of(&FragmentReply::Done(vec![]), &queues), Left::default());
    }
}
