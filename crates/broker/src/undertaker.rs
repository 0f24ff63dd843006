//! Sees to it that dead messages arrive where their queue sends them.
//!
//! A shard keeps a dead message until it is told that the message has arrived, or that there is
//! nowhere to arrive: at least once, across any change of leader. One undertaker serves one shard
//! and does one batch after the other, so that the dead of a queue keep their order.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use warren_catalog::{Message, Queue, Routed};
use warren_queue::entry::{FragmentWriter, PublishParts, message};
use warren_queue::{
    Command, CommandReply, DeadLetterStrategy, DeadLettered, DeadRange, DeadRun, DeadSequence,
    FragmentReply, Refusal,
};
use warren_types::{Location, QueueId, Term};

use crate::broker::Inner;
use crate::dead_letter::{Buried, Death, bury};
use crate::queue::handle::{ShardSlot, Stopped, read_parts};

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
    broker: Arc<Inner>,
    slot: ShardSlot,
    dead: mpsc::UnboundedReceiver<Burial>,
}

impl Undertaker {
    /// Serves the shard at `slot`, whose dead come through `dead`.
    pub(crate) fn new(
        broker: Arc<Inner>,
        slot: ShardSlot,
        dead: mpsc::UnboundedReceiver<Burial>,
    ) -> Self {
        Self { broker, slot, dead }
    }

    /// Serves until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            let burial = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                burial = self.dead.recv() => burial,
            };
            let Some(Burial { letters, reign }) = burial else { return };
            if reign != self.broker.shard(self.slot).whereabouts().reign() {
                // Whoever leads next has them from the shard.
                continue;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                outcome = self.serve(letters) => if outcome.is_err() {
                    return;
                },
            }
        }
    }

    async fn serve(&self, letters: DeadLettered) -> Result<(), Stopped> {
        let source =
            self.broker.directory.look(|catalog| catalog.queue_by_id(letters.queue).cloned());
        let mut sequence = letters.first;
        for run in &letters.runs {
            for at in 0..run.count {
                if let Some(source) = &source {
                    self.send(source, &letters, run, at).await?;
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

    /// Publishes one message and waits until all its targets have it.
    async fn send(
        &self,
        source: &Queue,
        letters: &DeadLettered,
        run: &DeadRun,
        at: u32,
    ) -> Result<(), Stopped> {
        let offset = run.location.offset.saturating_add(run.stride.saturating_mul(at));
        let place = Location { index: run.location.index, offset };
        let shard = self.broker.shard(self.slot);
        // What cannot be read is not needed any more: the queue was deleted meanwhile.
        let Some((row, parts)) = read_parts(shard, place, run.parts.as_deref()).await else {
            return Ok(());
        };
        let Ok(found) = message(&row, offset) else { return Ok(()) };
        let exchange = String::from_utf8_lossy(&found.exchange);
        let target = &letters.target;
        let buried = bury(
            &found.header,
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
            exchange: &target.exchange,
            routing_key: key,
            persistent: found.persistent,
            buried: &buried,
            body: &body,
        };
        for (slot, queues) in self.route(source, &letter) {
            self.deliver(slot, &queues, &letter, target.strategy).await?;
        }
        Ok(())
    }

    /// Where a letter goes: each shard with its queues. Nowhere is an answer, too.
    fn route(&self, source: &Queue, letter: &Letter<'_>) -> Vec<(ShardSlot, Vec<QueueId>)> {
        let exchange = String::from_utf8_lossy(letter.exchange);
        let extra_keys: Vec<&[u8]> = letter.buried.extra_keys.iter().map(Vec::as_slice).collect();
        self.broker.directory.look(|catalog| {
            let message = Message {
                routing_key: letter.routing_key,
                extra_keys: &extra_keys,
                headers: letter.buried.headers(),
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

    async fn deliver(
        &self,
        slot: ShardSlot,
        queues: &[QueueId],
        letter: &Letter<'_>,
        strategy: DeadLetterStrategy,
    ) -> Result<(), Stopped> {
        loop {
            let mut fragment = FragmentWriter::new();
            let parts = PublishParts {
                queues,
                persistent: letter.persistent,
                exchange: letter.exchange,
                routing_key: letter.routing_key,
                header: &letter.buried.header,
                upload: None,
                expiration_ms: None,
                priority: warren_amqp::header::priority(&letter.buried.header),
            };
            let bytes = letter.body.iter().map(Bytes::len).sum();
            fragment.publish(&parts, bytes, letter.body.iter().map(|piece| &**piece));
            let reply = self.broker.shard(slot).ask(fragment.finish()).await?;
            if !is_full(&reply) || strategy == DeadLetterStrategy::AtMostOnce {
                return Ok(());
            }
            tokio::time::sleep(FULL_RETRY).await;
        }
    }
}

/// A dead message on its way.
struct Letter<'a> {
    exchange: &'a Bytes,
    routing_key: &'a Bytes,
    persistent: bool,
    buried: &'a Buried,
    body: &'a [Bytes],
}

fn is_full(reply: &FragmentReply) -> bool {
    match reply {
        FragmentReply::Done(replies) => {
            replies.iter().any(|(_, reply)| *reply == CommandReply::Refused(Refusal::QueueFull))
        }
        FragmentReply::Duplicate | FragmentReply::UnknownSession | FragmentReply::Gap { .. } => {
            false
        }
    }
}
