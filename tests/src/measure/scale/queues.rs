//! Durable queues: declared, used, and after a restart.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::Serialize;

use super::{Options, cpu, each, grown, nodes, per_second, pipeline, restart_all, settled};
use crate::cluster::durable;
use crate::wire::{Flags, Wire, declare_queue, get, id, pairs};

/// How long idle nodes are watched for what that costs, at the most.
const WATCH: Duration = Duration::from_secs(20);

/// Queues that are used in one go.
const BURST: usize = 500;

/// What was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Found {
    pub count: usize,
    pub declared_per_second: f64,
    /// Memory of each queue on the dearest node: declared.
    pub declared_bytes: f64,
    /// The same once a message has gone through it.
    pub used_bytes: f64,
    /// The same after a restart of all nodes.
    pub restarted_bytes: f64,
    /// Of one core, by all nodes together, with all the queues and nobody there.
    pub idle_cpu_percent: f64,
    pub restart_seconds: f64,
}

pub(super) fn measure(options: &Options) -> Result<Found> {
    let mut cluster = nodes();
    let hosts: Vec<SocketAddr> = (0..cluster.len()).map(|node| cluster.amqp(node)).collect();
    let empty = settled(&cluster, options);
    let mut found = Found { count: options.queues, ..Found::default() };
    let each_of = |after: &[u64]| each(grown(&empty, after), options.queues);

    let (begin, arguments) = (Instant::now(), pairs(&durable()));
    let declare =
        |channel, number| declare_queue(channel, &name(number), Flags::DURABLE, &arguments);
    pipeline::ask(&hosts, (0, options.queues), declare, id::QUEUE_DECLARE_OK)?;
    found.declared_per_second = per_second(options.queues, begin);
    found.declared_bytes = each_of(&settled(&cluster, options));

    let (before, begin) = (cpu(&cluster), Instant::now());
    std::thread::sleep(WATCH.min(options.settle));
    let spent = cpu(&cluster).saturating_sub(before).as_secs_f64();
    found.idle_cpu_percent = 100.0 * spent / begin.elapsed().as_secs_f64().max(1e-9);

    use_all(hosts[0], options.queues)?;
    found.used_bytes = each_of(&settled(&cluster, options));
    found.restart_seconds = restart_all(&mut cluster).as_secs_f64();
    found.restarted_bytes = each_of(&settled(&cluster, options));
    Ok(found)
}

/// Has a message go through each queue.
fn use_all(host: SocketAddr, queues: usize) -> Result<()> {
    let mut wire = Wire::open_channel(host)?;
    for first in (0..queues).step_by(BURST) {
        let burst = first..queues.min(first + BURST);
        for number in burst.clone() {
            wire.publish_to(1, &name(number), b"used")?;
        }
        let gets: Vec<u8> = burst.clone().flat_map(|number| get(1, &name(number), true)).collect();
        wire.send(&gets)?;
        for _ in burst {
            let answer = wire.frame()?;
            if answer.method() != Some(id::GET_EMPTY) {
                wire.message_after(1, &answer)?;
            }
        }
    }
    wire.close()
}

fn name(number: usize) -> String {
    format!("scale.{number}")
}

impl Found {
    pub(super) fn to_text(&self) -> String {
        format!(
            "{} durable queues: declared at {:.0}/s, {:.0} B each, {:.0} B once used, {:.0} B after \
             a restart, which takes {:.1} s; idle {:.2} % of a core",
            self.count,
            self.declared_per_second,
            self.declared_bytes,
            self.used_bytes,
            self.restarted_bytes,
            self.restart_seconds,
            self.idle_cpu_percent
        )
    }
}
