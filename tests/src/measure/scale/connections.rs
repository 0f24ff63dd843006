//! Connections that have a channel and nothing to say.

use std::time::Instant;

use anyhow::{Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;

use super::{Options, each, grown, nodes, per_second, settled};
use crate::wire::Wire;

/// Files that this program has open beside its sockets, and more.
const OTHER_FILES: u64 = 100;

/// What was found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Found {
    pub count: usize,
    pub opened_per_second: f64,
    /// Memory of each on its node.
    pub bytes_per_connection: f64,
}

/// All to one node, which has the memory of all.
pub(super) fn measure(options: &Options) -> Result<Found> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    }
    let needed = options.connections as u64 + OTHER_FILES;
    ensure!(maximum.is_none_or(|most| needed <= most), "only {maximum:?} files may be open");
    let cluster = nodes();
    let empty = settled(&cluster, options);
    let begin = Instant::now();
    let connect = |_| Wire::open_channel(cluster.amqp(0));
    let crowd: Vec<Wire> = (0..options.connections).map(connect).collect::<Result<_>>()?;
    let opened_per_second = per_second(crowd.len(), begin);
    let full = settled(&cluster, options);
    let grown = grown(&empty, &full);
    Ok(Found {
        count: crowd.len(),
        opened_per_second,
        bytes_per_connection: each(grown, crowd.len()),
    })
}

impl Found {
    pub(super) fn to_text(&self) -> String {
        format!(
            "{} idle connections with a channel: opened at {:.0}/s, {:.1} KiB each",
            self.count,
            self.opened_per_second,
            self.bytes_per_connection / 1024.0
        )
    }
}
