//! The spans of messages that pass through a connection.
//!
//! A publish is a span from its frames to its confirm; the look for its queues and the commit in
//! each shard are parts of it. A delivery is a span from its arrival at the connection to the
//! socket's buffer, and the settle that follows it one from its frame to the shard's answer. Both
//! follow from the context in the message's headers, wherever its publisher was connected.
//!
//! **Always holds:** where nothing is traced this costs a branch; where something is, only the
//! messages that are traced cost more than a look at their headers.
//!
//! **Not here:** direct replies and what the HTTP API publishes and fetches, which are not traced.

use std::sync::Arc;
use std::time::SystemTime;

use warren_amqp::header::{self, Properties};
use warren_amqp::{Body, Delivery as Sent};
use warren_queue::Outcome;
use warren_rpc::Place;
use warren_types::{ChannelNumber, DeliveryTag, QueueId, Table};

use super::message::Wishes;
use super::plan::Plan;
use super::publish::Publish;
use super::state::Connection;
use super::transaction::Settle;
use crate::queue::handle::ShardSlot;
use crate::traces::{Attribute, Context, OpenSpan, Step, random_id};

/// Traced deliveries that one channel remembers until they are settled; the settles of further ones
/// are not traced.
const HELD_MAX: usize = 10_000;

/// A publish that is traced.
#[derive(Debug)]
pub(crate) struct Traced {
    context: Context,
    /// The id that its span will have.
    id: u64,
    begin: SystemTime,
    /// When its queues were found.
    routed: SystemTime,
}

impl Traced {
    /// The message's queues are known.
    pub(crate) fn note_route(&mut self) {
        self.routed = SystemTime::now();
    }
}

/// A delivery that is traced and not settled.
#[derive(Debug)]
pub(crate) struct Held {
    context: Context,
    slot: ShardSlot,
    queue: String,
    destination: String,
}

/// To whom a message was given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Receiver {
    pub(crate) channel: ChannelNumber,
    pub(crate) slot: ShardSlot,
    pub(crate) queue: QueueId,
    /// Whether it asked with basic.get.
    pub(crate) is_getter: bool,
    pub(crate) no_ack: bool,
    /// When the message came to the connection.
    pub(crate) since: Option<SystemTime>,
}

impl Connection {
    /// The time, where something may be traced.
    pub(crate) fn trace_time(&self) -> Option<SystemTime> {
        self.tracer.as_ref().map(|_| SystemTime::now())
    }

    /// Looks whether a message that just came is traced. One whose trace begins here says so in its
    /// headers from here on.
    pub(crate) fn trace_publish(&self, wishes: &mut Wishes) {
        let picked = self.tracer.as_ref().and_then(|tracer| tracer.picked(&wishes.header));
        let Some(context) = picked else { return };
        let (id, begin) = (random_id(), SystemTime::now());
        if !context.is_remote {
            let mut headers: Table = wishes.headers.clone().unwrap_or_default();
            Context { parent: id, ..context.clone() }.write(&mut headers);
            wishes.header = header::replace_headers(&wishes.header, Some(&headers));
        }
        wishes.traced = Some(Box::new(Traced { context, id, begin, routed: begin }));
    }

    /// The span of a publish whose queues are known; it ends once all shards have answered.
    pub(crate) fn open_publish(
        &self,
        publish: &Publish,
        wishes: &Wishes,
        plan: &Plan,
    ) -> Option<Arc<OpenSpan>> {
        let (traced, tracer) = (wishes.traced.as_ref()?, self.tracer.as_ref()?);
        let destination = destination(&publish.exchange, &publish.routing_key);
        let target =
            if publish.exchange.is_empty() { &publish.routing_key } else { &publish.exchange };
        let target = String::from_utf8_lossy(target);
        let name = format!("publish {target}");
        let opened = OpenSpan::new(tracer, &traced.context, Step::Publish, name, traced.begin)
            .called(traced.id)
            .with(self.who())
            .with(operation("publish", Some("send")))
            .with(about(&wishes.header, &publish.routing_key, &publish.body))
            .with([("messaging.destination.name", destination.into())]);
        let queues: usize = plan.shards.iter().map(|(_, queues)| queues.len()).sum();
        let queues = u64::try_from(queues).unwrap_or(u64::MAX);
        OpenSpan::new(
            tracer,
            &opened.context(),
            Step::Route,
            format!("route {target}"),
            traced.begin,
        )
        .with(operation("route", None))
        .with([("warren.queues", Attribute::Number(queues))])
        .end_at(traced.routed);
        Some(Arc::new(opened))
    }

    /// The span of a traced publish's commit in one shard.
    pub(crate) fn open_commit(
        &self,
        publish: &Arc<OpenSpan>,
        slot: ShardSlot,
    ) -> Option<Box<OpenSpan>> {
        let place = match self.broker.shard(slot).whereabouts().place() {
            Place::Shard(group) => format!("shard {group}"),
            Place::Local { .. } => "memory".to_owned(),
        };
        let context = publish.context();
        let name = format!("commit {place}");
        let span =
            OpenSpan::new(self.tracer.as_ref()?, &context, Step::Commit, name, SystemTime::now())
                .with(operation("commit", None))
                .with([("warren.shard", place.into())])
                .within(publish);
        Some(Box::new(span))
    }

    /// A message was written to the client: a span, if it is traced.
    pub(crate) fn trace_delivery(&mut self, receiver: Receiver, sent: &Sent<'_>) {
        let Some(tracer) = &self.tracer else { return };
        let Some(context) = tracer.continued(sent.header) else { return };
        let queue = self.broker.directory.look(|catalog| {
            catalog.queue_by_id(receiver.queue).map(|queue| queue.name.to_string())
        });
        let queue = queue.unwrap_or_default();
        let destination = destination_of_queue(sent.exchange, sent.routing_key, &queue);
        let (what, kind) =
            if receiver.is_getter { ("get", Some("receive")) } else { ("deliver", None) };
        let now = SystemTime::now();
        let begin = receiver.since.unwrap_or(now);
        let span = OpenSpan::new(tracer, &context, Step::Deliver, format!("{what} {queue}"), begin)
            .with(self.who())
            .with(operation(what, kind))
            .with(about(sent.header, sent.routing_key, sent.body))
            .with([
                ("messaging.destination.name", destination.clone().into()),
                ("messaging.rabbitmq.message.delivery_tag", Attribute::Number(sent.tag.0)),
                ("warren.redelivered", Attribute::Flag(sent.redelivered)),
            ]);
        let context = span.context();
        span.end_at(now);
        let Some(channel) = self.channels.get_mut(&receiver.channel) else { return };
        if receiver.no_ack {
            return;
        }
        if channel.traced.len() >= HELD_MAX {
            tracer.count_dropped();
            return;
        }
        channel.traced.insert(sent.tag, Held { context, slot: receiver.slot, queue, destination });
    }

    /// Deliveries were settled: spans, for those that are traced, until their shards know.
    pub(crate) fn trace_settle(&mut self, number: ChannelNumber, settle: Settle) {
        let Some(tracer) = self.tracer.clone() else { return };
        let Some(channel) = self.channels.get_mut(&number) else { return };
        if channel.traced.is_empty() {
            return;
        }
        let Settle { tag, multiple, outcome } = settle;
        let settled = if multiple {
            let rest = match tag.0 {
                0 => std::collections::BTreeMap::new(),
                last => channel.traced.split_off(&DeliveryTag(last.saturating_add(1))),
            };
            std::mem::replace(&mut channel.traced, rest).into_iter().collect()
        } else {
            channel.traced.remove_entry(&tag).into_iter().collect::<Vec<_>>()
        };
        let (what, begin) = (word(outcome), SystemTime::now());
        for (tag, held) in settled {
            let name = format!("{what} {}", held.queue);
            let span = OpenSpan::new(&tracer, &held.context, Step::Settle, name, begin)
                .with(self.who())
                .with(operation(what, Some("settle")))
                .with([
                    ("messaging.destination.name", held.destination.into()),
                    ("messaging.rabbitmq.message.delivery_tag", Attribute::Number(tag.0)),
                ]);
            self.staging.follow_settle(held.slot, Box::new(span));
        }
    }

    /// The client, as its spans name it.
    fn who(&self) -> impl Iterator<Item = (&'static str, Attribute)> {
        let peer = [
            ("network.peer.address", Attribute::Text(self.peer.ip().to_string())),
            ("network.peer.port", Attribute::Number(u64::from(self.peer.port()))),
        ];
        let vhost = self.client.as_ref().map(|client| ("warren.vhost", (&*client.vhost).into()));
        peer.into_iter().chain(vhost)
    }
}

fn operation(
    name: &'static str,
    kind: Option<&'static str>,
) -> impl Iterator<Item = (&'static str, Attribute)> {
    let known =
        [("messaging.system", "rabbitmq".into()), ("messaging.operation.name", name.into())];
    known.into_iter().chain(kind.map(|kind| ("messaging.operation.type", kind.into())))
}

/// What there is to say about a message itself, its body's bytes left out.
fn about(
    properties: &[u8],
    routing_key: &[u8],
    body: &Body,
) -> impl Iterator<Item = (&'static str, Attribute)> {
    let Properties { message_id, correlation_id, .. } =
        Properties::decode(properties).unwrap_or_default();
    let routing_key = Some(String::from_utf8_lossy(routing_key).into_owned());
    let texts = [
        ("messaging.rabbitmq.destination.routing_key", routing_key),
        ("messaging.message.id", message_id),
        ("messaging.message.conversation_id", correlation_id),
    ];
    let texts = texts.into_iter().filter_map(|(name, text)| {
        text.filter(|text| !text.is_empty()).map(|text| (name, Attribute::Text(text)))
    });
    let bytes = u64::try_from(body.len()).unwrap_or(u64::MAX);
    texts.chain([("messaging.message.body.size", Attribute::Number(bytes))])
}

/// Where a publisher sent a message, in the words of the conventions for RabbitMQ.
fn destination(exchange: &[u8], routing_key: &[u8]) -> String {
    joined(&[String::from_utf8_lossy(exchange), String::from_utf8_lossy(routing_key)])
}

/// Where a consumer got a message from, in these words.
fn destination_of_queue(exchange: &[u8], routing_key: &[u8], queue: &str) -> String {
    let [exchange, routing_key] = [exchange, routing_key].map(String::from_utf8_lossy);
    joined(&[exchange, routing_key, queue.into()])
}

/// The parts that are not empty, each once.
fn joined(parts: &[std::borrow::Cow<'_, str>]) -> String {
    let mut text = String::new();
    let mut last = None;
    for part in parts.iter().filter(|part| !part.is_empty()) {
        if last == Some(part) {
            continue;
        }
        if last.is_some() {
            text.push(':');
        }
        text.push_str(part);
        last = Some(part);
    }
    text
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ack => "ack",
        Outcome::Requeue | Outcome::RejectRequeue => "requeue",
        Outcome::Reject => "reject",
        Outcome::Release => "release",
        Outcome::Extend => "extend",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_what_is_known_of_exchange_key_and_queue() {
        assert_eq!(destination(b"logs", b"eu.error"), "logs:eu.error");
        assert_eq!(destination(b"", b"jobs"), "jobs");
        assert_eq!(destination(b"fan", b""), "fan");
        assert_eq!(destination_of_queue(b"logs", b"eu.error", "all"), "logs:eu.error:all");
        assert_eq!(destination_of_queue(b"", b"jobs", "jobs"), "jobs");
    }
}
