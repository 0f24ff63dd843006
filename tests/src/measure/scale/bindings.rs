//! Bindings of a topic exchange: what they take, and what they do to the cost of routing.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::Result;
use serde::Serialize;

use super::{Options, cpu, each, grown, nodes, per_second, pipeline, settled};
use crate::cluster::Cluster;
use crate::wire::{Field, Flags, Pack, Unpack, Wire, bind_queue, declare_exchange, id, publish};

/// The exchange.
const EXCHANGE: &str = "scale.topics";

/// Queues that the bindings lead to.
const QUEUES: usize = 100;

/// What many bindings are held against.
const FEW: usize = 1000;

/// The most messages by which routing is measured, each with a key of its own: nothing is
/// remembered.
const MESSAGES: usize = 50_000;

/// Messages that wait for their confirms together.
const BURST: usize = 500;

/// What was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Found {
    pub count: usize,
    pub bound_per_second: f64,
    /// Memory of each on the dearest node.
    pub bytes_per_binding: f64,
    /// CPU time of all nodes for a message that is routed among a thousand, in microseconds.
    pub few_us_per_message: f64,
    /// The same among all.
    pub many_us_per_message: f64,
}

pub(super) fn measure(options: &Options) -> Result<Found> {
    let cluster = nodes();
    let hosts: Vec<SocketAddr> = (0..cluster.len()).map(|node| cluster.amqp(node)).collect();
    let mut admin = Wire::open_channel(hosts[0])?;
    let declare = declare_exchange(1, EXCHANGE, "topic", Flags::DURABLE, &[]);
    admin.call(1, declare, id::EXCHANGE_DECLARE_OK)?;
    for number in 0..QUEUES {
        // What is routed need not be kept.
        let arguments = [("x-max-length", Field::I32(1))];
        admin.declare(1, &queue(number), Flags::NONE, &arguments)?;
    }
    let empty = settled(&cluster, options);
    let bind = |channel, number| {
        let pattern = format!("site.{}.device.{}.*", number / 1000, number % 1000);
        bind_queue(channel, &queue(number), EXCHANGE, &pattern)
    };
    let few = FEW.min(options.bindings);
    pipeline::ask(&hosts, (0, few), bind, id::QUEUE_BIND_OK)?;
    let messages = (5 * options.bindings).clamp(BURST, MESSAGES);
    let few_us = route(&cluster, &mut admin, (few, messages), 0)?;
    let begin = Instant::now();
    pipeline::ask(&hosts, (few, options.bindings), bind, id::QUEUE_BIND_OK)?;
    let bound_per_second = per_second(options.bindings - few, begin);
    let full = settled(&cluster, options);
    Ok(Found {
        count: options.bindings,
        bound_per_second,
        bytes_per_binding: each(grown(&empty, &full), options.bindings),
        few_us_per_message: few_us,
        many_us_per_message: route(&cluster, &mut admin, (options.bindings, messages), 1)?,
    })
}

/// Has messages routed, and gives what one takes. `round` makes keys that were not used before.
fn route(
    cluster: &Cluster,
    admin: &mut Wire,
    (bindings, messages): (usize, usize),
    round: u16,
) -> Result<f64> {
    let channel = 2 + round;
    admin.channel(channel)?;
    let select = Pack::method(id::CONFIRM_SELECT).u8(0).frame(channel);
    admin.call(channel, select, id::CONFIRM_SELECT_OK)?;
    let before = cpu(cluster);
    for first in (0..messages).step_by(BURST) {
        let burst = first..messages.min(first + BURST);
        let message = |number: usize| {
            // Not one after the other, but all over the tree.
            let binding = number.wrapping_mul(7919) % bindings;
            let key = format!("site.{}.device.{}.{number}", binding / 1000, binding % 1000);
            publish(channel, EXCHANGE, &key, 0, &[0, 0], b"routed")
        };
        let bytes: Vec<u8> = burst.clone().flat_map(message).collect();
        admin.send(&bytes)?;
        let mut open: BTreeSet<u64> = burst.map(|number| number as u64 + 1).collect();
        while !open.is_empty() {
            let ack = admin.expect(channel, id::ACK)?;
            let mut fields = Unpack::new(ack.arguments());
            let (tag, multiple) = (fields.u64(), fields.u8() == 1);
            match multiple {
                true => open = open.split_off(&(tag + 1)),
                false => drop(open.remove(&tag)),
            }
        }
    }
    let spent = cpu(cluster).saturating_sub(before);
    Ok(spent.as_secs_f64() * 1e6 / messages as f64)
}

fn queue(number: usize) -> String {
    format!("scale.{}", number % QUEUES)
}

impl Found {
    pub(super) fn to_text(&self) -> String {
        format!(
            "{} bindings: bound at {:.0}/s, {:.0} B each; a message takes {:.1} us of CPU among {FEW} \
             and {:.1} us among all",
            self.count,
            self.bound_per_second,
            self.bytes_per_binding,
            self.few_us_per_message,
            self.many_us_per_message
        )
    }
}
