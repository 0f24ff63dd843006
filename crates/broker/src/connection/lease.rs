//! How a client says, with any library, that it is still at work on what it was given.
//!
//! It publishes to the default exchange, on the channel of the delivery, with the routing key
//! `amq.warren.lease.` and the delivery tag, or `amq.warren.lease` for all that the channel holds. The
//! message goes nowhere; the leases begin anew. In confirm mode the answer tells whether that was in
//! time: an ack once the shards have taken note, a nack where the client holds nothing of it any
//! more. What the channel itself knows not to hold is returned if it is mandatory.
//!
//! No queue can have such a name. On another broker it is a message that cannot be routed, which
//! does nothing: a program that extends its leases runs there as well. Nobody needs a permission
//! for it: it concerns none but the client's own deliveries.

use warren_amqp::ReplyCode;
use warren_queue::SettleRange;
use warren_types::{ChannelNumber, ConsumerNumber, DeliveryTag};

use super::channel::Mode;
use super::publish::Publish;
use super::staging::Origin;
use super::state::Connection;
use crate::feature::Feature;
use crate::queue::handle::ShardSlot;

/// The routing key, for all that a channel holds.
const LEASE: &[u8] = b"amq.warren.lease";

/// Which leases are to begin anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leases {
    /// Of all that the channel holds.
    All,
    /// Of one delivery; none has the tag 0.
    One(DeliveryTag),
}

impl Leases {
    /// What a publish asks for, if it is about leases.
    pub(crate) fn of(publish: &Publish) -> Option<Self> {
        if !publish.exchange.is_empty() {
            return None;
        }
        let rest = publish.routing_key.strip_prefix(LEASE)?;
        if rest.is_empty() {
            return Some(Self::All);
        }
        let tag = std::str::from_utf8(rest.strip_prefix(b".")?).ok()?;
        Some(Self::One(DeliveryTag(tag.parse().unwrap_or_default())))
    }
}

impl Connection {
    /// Has leases begin anew.
    pub(crate) fn extend_leases(
        &mut self,
        number: ChannelNumber,
        leases: Leases,
        publish: &Publish,
    ) {
        let held = self.held_of(number, leases);
        if held.is_empty() && publish.mandatory {
            self.out.basic_return(
                number,
                ReplyCode::NoRoute,
                &publish.exchange,
                &publish.routing_key,
                &publish.header,
                &publish.body,
                self.frame_max,
            );
        }
        let channel = self.channel(number);
        let generation = channel.generation;
        let tag = match &mut channel.mode {
            Mode::Confirm(confirms) => {
                let tag = confirms.publish(u16::try_from(held.len()).unwrap_or(u16::MAX));
                if held.is_empty() {
                    confirms.refused(tag);
                }
                Some(tag)
            }
            Mode::Plain | Mode::Transaction(_) => None,
        };
        if tag.is_some() {
            self.broker.counters.published_confirm.add(1);
            self.note_confirms(number);
        }
        let origin = Origin { channel: number, generation, tag };
        for (slot, consumer, ranges) in held {
            self.staging.extend_leases(slot, consumer, &ranges, origin);
        }
    }

    /// What the channel was given and has not settled, by consumer.
    fn held_of(
        &mut self,
        number: ChannelNumber,
        leases: Leases,
    ) -> Vec<(ShardSlot, ConsumerNumber, Vec<SettleRange>)> {
        // A node that does not know leases could not read that.
        if !self.broker.directory.knows(Feature::Leases) {
            return Vec::new();
        }
        let unacked = &self.channel(number).unacked;
        let open = match leases {
            Leases::All => unacked.all_open(),
            Leases::One(tag) => unacked.one_open(tag).into_iter().collect(),
        };
        let held = open.into_iter().filter_map(|open| {
            // Of what its shard has ended, or lost, nothing is held any more.
            let holder = self.holders.get(&open.holder)?;
            Some((holder.slot, holder.number, open.ranges))
        });
        held.collect()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use warren_amqp::Body;

    use super::*;

    fn asked(exchange: &'static str, routing_key: &'static str) -> Option<Leases> {
        Leases::of(&Publish {
            exchange: Bytes::from_static(exchange.as_bytes()),
            routing_key: Bytes::from_static(routing_key.as_bytes()),
            mandatory: false,
            immediate: false,
            header: Bytes::from_static(&[0, 0]),
            body: Body::from_pieces(vec![]),
        })
    }

    #[test]
    fn a_routing_key_of_the_default_exchange_names_leases() {
        assert_eq!(asked("", "amq.warren.lease"), Some(Leases::All));
        assert_eq!(asked("", "amq.warren.lease.7"), Some(Leases::One(DeliveryTag(7))));
        assert_eq!(asked("", "amq.warren.lease.seven"), Some(Leases::One(DeliveryTag(0))));
        assert_eq!(asked("", "amq.warren.leases"), None);
        assert_eq!(asked("", "jobs"), None);
        assert_eq!(asked("amq.direct", "amq.warren.lease"), None);
    }
}
