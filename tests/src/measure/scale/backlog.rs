//! Messages that wait: what they take, and how soon the first comes after a restart.

use std::time::Instant;

use anyhow::Result;
use serde::Serialize;

use super::{Options, each, grown, nodes, restart_all, settled};
use crate::load::{self, Mode};
use crate::wire::{Pack, Wire, consume, id};

/// Queues that they wait in, each with a publisher of its own.
const QUEUES: usize = 4;

/// What was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Found {
    pub messages: u64,
    pub size: usize,
    pub published_per_second: f64,
    /// The most that they take on a node.
    pub grown_bytes: u64,
    pub bytes_per_message: f64,
    /// The most that a node has more than an idle one after a restart of all nodes.
    pub restarted_bytes: u64,
    pub restart_seconds: f64,
    /// From the moment that all nodes were ready to a consumer's first delivery.
    pub first_delivery_seconds: f64,
}

pub(super) fn measure(options: &Options) -> Result<Found> {
    let mut cluster = nodes();
    let empty = settled(&cluster, options);
    let work = load::Options {
        amqp: (0..cluster.len()).map(|node| cluster.amqp(node)).collect(),
        queues: QUEUES,
        publishers: QUEUES,
        consumers: 0,
        size: options.size,
        count: Some(options.messages),
        keep: true,
        ..load::Options::of(Mode::Backlog)
    };
    let filled = load::run(&work)?;
    let full = settled(&cluster, options);
    let restart = restart_all(&mut cluster);

    let begin = Instant::now();
    let mut wire = Wire::open_channel(cluster.amqp(0))?;
    wire.call(1, Pack::method(id::QOS).u32(0).u16(1).u8(0).frame(1), id::QOS_OK)?;
    wire.call(1, consume(1, &work.queue(0), "first", 0, &[]), id::CONSUME_OK)?;
    wire.expect(1, id::DELIVER)?;
    let first = begin.elapsed();
    drop(wire);
    Ok(Found {
        messages: options.messages,
        size: options.size,
        published_per_second: filled.publish_rate,
        grown_bytes: grown(&empty, &full),
        bytes_per_message: each(grown(&empty, &full), options.messages as usize),
        restarted_bytes: grown(&empty, &settled(&cluster, options)),
        restart_seconds: restart.as_secs_f64(),
        first_delivery_seconds: first.as_secs_f64(),
    })
}

impl Found {
    pub(super) fn to_text(&self) -> String {
        format!(
            "{} waiting messages of {} B: published at {:.0}/s, {:.0} MB more on a node ({:.1} B \
             each), {:.0} MB after a restart, which takes {:.1} s; the first is delivered {:.2} s \
             after that",
            self.messages,
            self.size,
            self.published_per_second,
            self.grown_bytes as f64 / 1e6,
            self.bytes_per_message,
            self.restarted_bytes as f64 / 1e6,
            self.restart_seconds,
            self.first_delivery_seconds
        )
    }
}
