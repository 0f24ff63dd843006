//! Direct replies: `amq.rabbitmq.reply-to`.
//!
//! A client that consumes from the pseudo-queue gets an address for its requests; whoever
//! publishes to that address over the default exchange reaches the client's channel without a
//! queue, at most once. The address holds a number that is drawn at random, so that only those
//! who were given it can use it.

use std::time::Duration;

use bytes::Bytes;
use warren_amqp::{Body, Delivery as Sent, Reply, ReplyCode, header};
use warren_rpc::FrontItem;
use warren_types::{ChannelNumber, NodeId};

use super::channel::{Mode, ReplyConsumer};
use super::context::Context;
use super::message::Wishes;
use super::publish::Publish;
use super::state::Connection;
use super::{DirectReply, ToConnection};
use crate::failure::Failure;
use crate::registry::ConnectionId;

/// The pseudo-queue that clients consume from and name in `reply-to`.
pub(crate) const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// How long another node may take to say whether somebody listens there.
const LISTENS_LIMIT: Duration = Duration::from_secs(5);

/// Where a direct reply goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) node: NodeId,
    pub(crate) connection: ConnectionId,
    pub(crate) channel: ChannelNumber,
    pub(crate) nonce: u64,
}

impl Address {
    fn text(self) -> String {
        let Self { node, connection, channel, nonce } = self;
        format!("{REPLY_TO}.{:x}.{:x}.{:x}.{nonce:016x}", node.0, connection.0, channel.0)
    }

    /// The address that stands in `text`, if it is one.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix(REPLY_TO)?.strip_prefix('.')?.split('.');
        let address = Self {
            node: NodeId(u64::from_str_radix(parts.next()?, 16).ok()?),
            connection: ConnectionId(u32::from_str_radix(parts.next()?, 16).ok()?),
            channel: ChannelNumber(u16::from_str_radix(parts.next()?, 16).ok()?),
            nonce: u64::from_str_radix(parts.next()?, 16).ok()?,
        };
        parts.next().is_none().then_some(address)
    }
}

/// The address that a message is published to, if it is a direct reply. Text that begins like
/// one and is none leads nowhere.
pub(crate) fn address(publish: &Publish) -> Option<Option<Address>> {
    if !publish.exchange.is_empty() {
        return None;
    }
    let key = std::str::from_utf8(&publish.routing_key).ok()?;
    key.strip_prefix(REPLY_TO)?.starts_with('.').then(|| Address::parse(key))
}

impl Connection {
    /// The properties with this channel's address in place of the pseudo-queue's name; `None`
    /// when they name something else.
    pub(crate) fn with_reply_address(
        &mut self,
        number: ChannelNumber,
        properties: &Bytes,
    ) -> Result<Option<Bytes>, Failure> {
        if header::reply_to(properties) != Some(REPLY_TO) {
            return Ok(None);
        }
        let Some(consumer) = self.channel(number).reply_consumer.clone() else {
            return Err(Failure::new(
                ReplyCode::PreconditionFailed,
                "fast reply consumer does not exist",
            ));
        };
        let address = self.reply_address(number, &consumer).text();
        Ok(Some(header::replace_reply_to(properties, Some(&address))))
    }

    fn reply_address(&self, channel: ChannelNumber, consumer: &ReplyConsumer) -> Address {
        let node = self.broker.session.node;
        Address { node, connection: self.id, channel, nonce: consumer.nonce }
    }

    /// basic.consume from the pseudo-queue.
    pub(crate) fn consume_replies(
        &mut self,
        number: ChannelNumber,
        tag: String,
        no_ack: bool,
        nowait: bool,
    ) -> Result<(), Failure> {
        if !no_ack {
            return Err(Failure::new(
                ReplyCode::PreconditionFailed,
                "reply consumer cannot acknowledge",
            ));
        }
        let nonce = rand::random();
        let channel = self.channel(number);
        if channel.reply_consumer.is_some() {
            return Err(Failure::new(ReplyCode::PreconditionFailed, "reply consumer already set"));
        }
        channel.reply_consumer = Some(ReplyConsumer { tag: tag.clone(), nonce });
        self.broker.registry.listen(nonce);
        if nowait { Ok(()) } else { self.reply(number, &Reply::ConsumeOk { consumer_tag: tag }) }
    }

    /// Publishes to an address. Whether anybody is there is not told, as with any reply that
    /// comes too late.
    pub(crate) fn publish_reply(
        &mut self,
        number: ChannelNumber,
        address: Option<Address>,
        publish: &Publish,
        wishes: &Wishes,
    ) -> Result<(), Failure> {
        let reached = address.is_some_and(|address| self.send_reply(address, publish, wishes));
        if !reached && publish.mandatory {
            self.broker.counters.returned.add(1);
            self.out.basic_return(
                number,
                ReplyCode::NoRoute,
                &publish.exchange,
                &publish.routing_key,
                &wishes.header,
                &publish.body,
                self.frame_max,
            );
        }
        if let Mode::Confirm(confirms) = &mut self.channel(number).mode {
            confirms.publish(0);
            self.note_confirms(number);
        }
        Ok(())
    }

    /// Sends a reply to its address; false when certainly nobody is there.
    fn send_reply(&self, address: Address, publish: &Publish, wishes: &Wishes) -> bool {
        let Address { node, connection, channel, nonce } = address;
        // The sender's read buffer is not kept alive by a receiver that is slow.
        let body = Bytes::copy_from_slice(&publish.body.to_bytes());
        let (exchange, routing_key) = (publish.exchange.clone(), publish.routing_key.clone());
        let header = wishes.header.clone();
        if node != self.broker.session.node {
            let known = self
                .broker
                .directory
                .look(|catalog| catalog.nodes().any(|known| known.id == node && known.running));
            let (connection, channel) = (connection.0, channel.0);
            let reply = warren_rpc::DirectReply {
                connection,
                channel,
                nonce,
                exchange,
                routing_key,
                header,
                body,
            };
            if known {
                self.broker.links.send(node, FrontItem::DirectReply(reply));
            }
            return known;
        }
        let body = Body::from(body);
        let reply = DirectReply { channel, nonce, exchange, routing_key, header, body };
        self.broker.registry.listens(nonce)
            && self.broker.registry.send_to(connection, ToConnection::DirectReply(reply))
    }

    /// A direct reply has come in.
    pub(crate) fn direct_reply(&mut self, reply: &DirectReply) {
        let limit_bytes = self.limits().connection_output_bytes.saturating_mul(4);
        let Some(channel) = self.channels.get_mut(&reply.channel) else { return };
        let Some(consumer) = &channel.reply_consumer else { return };
        if consumer.nonce != reply.nonce || self.out.len() > limit_bytes {
            // Nobody keeps replies: who is not there, or does not read, does not get them.
            return;
        }
        let tag = consumer.tag.clone();
        let delivery = Sent {
            tag: channel.unacked.give_settled(),
            redelivered: false,
            exchange: &reply.exchange,
            routing_key: &reply.routing_key,
            header: &reply.header,
            body: &reply.body,
        };
        self.out.deliver(reply.channel, tag.as_bytes(), &delivery, self.frame_max);
        self.broker.counters.delivered.add(1);
    }
}

impl Context {
    /// Whether somebody listens at an address (passive declare of it).
    pub(crate) async fn reply_consumer_listens(&self, address: Option<Address>) -> bool {
        let Some(Address { node, nonce, .. }) = address else { return false };
        if node == self.broker.session.node {
            return self.broker.registry.listens(nonce);
        }
        let known = self.broker.directory.look(|catalog| catalog.nodes().any(|row| row.id == node));
        // A node that does not answer has nobody who could.
        known && self.broker.peers.listens(node, nonce, LISTENS_LIMIT).await.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_its_text() {
        let address = Address {
            node: NodeId(3),
            connection: ConnectionId(70_000),
            channel: ChannelNumber(9),
            nonce: 5,
        };

        assert_eq!(Address::parse(&address.text()), Some(address));
    }

    #[test]
    fn text_that_is_no_address_is_refused() {
        for text in [REPLY_TO, "amq.rabbitmq.reply-to.", "amq.rabbitmq.reply-to.1.2.3.4.5", "q"] {
            assert_eq!(Address::parse(text), None, "{text}");
        }
    }
}
