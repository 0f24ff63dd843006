//! Copies of what a connection's clients publish and are given, where somebody listens.
//!
//! **Not here:** what a copy says (`press::firehose`), and the spans of messages ([`super::traced`]).

use warren_amqp::{Body, Delivery as Sent};
use warren_catalog::Name;
use warren_queue::entry::Message;
use warren_types::{ChannelNumber, QueueId};

use super::message::Wishes;
use super::plan::Plan;
use super::publish::Publish;
use super::state::{Client, Connection};
use crate::broker::Inner;
use crate::press::firehose::{Passer, Passing};

/// The connection of what comes in otherwise than over AMQP, and its channel.
const APART: (&str, u16) = ("HTTP", 1);

impl Connection {
    /// Whether somebody listens to what happens to this client's messages.
    pub(crate) fn is_overheard(&self) -> bool {
        self.broker.press.copies(&self.client().vhost)
    }

    /// A message was published.
    #[cold]
    pub(crate) fn copy_publish(
        &self,
        number: ChannelNumber,
        publish: &Publish,
        wishes: &Wishes,
        plan: &Plan,
    ) {
        let name = self.name();
        copy_in(&self.broker, self.client(), (&name, number.0), publish, wishes, plan);
    }

    /// A message was delivered.
    #[cold]
    pub(crate) fn copy_delivery(
        &self,
        number: ChannelNumber,
        queue: QueueId,
        sent: &Sent<'_>,
        found: &Message,
    ) {
        let name = self.name();
        let given = Given { queue, redelivered: sent.redelivered, body: sent.body };
        copy_out(&self.broker, self.client(), (&name, number.0), &given, found);
    }
}

/// A message out of a queue.
pub(crate) struct Given<'a> {
    pub(crate) queue: QueueId,
    pub(crate) redelivered: bool,
    /// The body with all its parts.
    pub(crate) body: &'a Body,
}

/// Copies a message that an operator publishes, if somebody listens.
pub(crate) fn copy_publish_apart(
    broker: &Inner,
    client: &Client,
    publish: &Publish,
    wishes: &Wishes,
    plan: &Plan,
) {
    if broker.press.copies(&client.vhost) {
        copy_in(broker, client, APART, publish, wishes, plan);
    }
}

/// Copies a message that an operator fetches, if somebody listens.
pub(crate) fn copy_fetched(broker: &Inner, client: &Client, given: &Given<'_>, found: &Message) {
    if broker.press.copies(&client.vhost) {
        copy_out(broker, client, APART, given, found);
    }
}

fn copy_in(
    broker: &Inner,
    client: &Client,
    (connection, channel): (&str, u16),
    publish: &Publish,
    wishes: &Wishes,
    plan: &Plan,
) {
    let ids = plan.shards.iter().flat_map(|(_, queues)| queues);
    let queues: Vec<Name> = broker.directory.look(|catalog| {
        ids.filter_map(|id| catalog.queue_by_id(*id).map(|row| row.name.clone())).collect()
    });
    let passer = Passer { vhost: &client.vhost, user: &client.user, connection, channel };
    let message = Passing {
        exchange: &publish.exchange,
        routing_key: &publish.routing_key,
        header: &wishes.header,
        body: &publish.body,
    };
    broker.press.copy_in(&passer, &message, &wishes.extra_keys, &queues);
}

fn copy_out(
    broker: &Inner,
    client: &Client,
    (connection, channel): (&str, u16),
    given: &Given<'_>,
    found: &Message,
) {
    let queue = broker
        .directory
        .look(|catalog| catalog.queue_by_id(given.queue).map(|row| row.name.clone()));
    // Its queue was deleted a moment ago.
    let Some(queue) = queue else { return };
    let passer = Passer { vhost: &client.vhost, user: &client.user, connection, channel };
    let message = Passing {
        exchange: &found.exchange,
        routing_key: &found.routing_key,
        header: &found.header,
        body: given.body,
    };
    broker.press.copy_out(&passer, &message, &found.trail, &queue, given.redelivered);
}
