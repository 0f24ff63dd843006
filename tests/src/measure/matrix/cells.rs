//! The kinds of work that are compared, as `warren-load` is told to do them.

use anyhow::Result;

use crate::load::Options;

/// Where clients connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clients {
    /// At all nodes in turn.
    Everywhere,
    /// At the node that declared the queues, and so leads them.
    AtLeader,
    /// At the others.
    Elsewhere,
}

/// One kind of work.
#[derive(Debug, PartialEq, Eq)]
pub struct Cell {
    /// Its name on the command line and in tables.
    pub name: &'static str,
    /// What it is, for people.
    pub summary: &'static str,
    /// What `warren-load` is told.
    pub work: &'static str,
    /// Where clients connect.
    pub clients: Clients,
}

impl Cell {
    /// What `warren-load` is told, read as it reads it.
    ///
    /// # Errors
    /// When it would not understand.
    pub fn options(&self) -> Result<Options> {
        let words: Vec<String> = self.work.split_whitespace().map(ToOwned::to_owned).collect();
        Options::parse(&words)
    }
}

const fn cell(name: &'static str, summary: &'static str, work: &'static str) -> Cell {
    Cell { name, summary, work, clients: Clients::Everywhere }
}

/// All of them. One thing at a time differs from the first; what differs is in the name.
pub const CELLS: [Cell; 20] = [
    cell(
        "100B",
        "one replicated queue, 100 B, confirm window 1000, prefetch 1000, ack every 100",
        "durable --queue-type quorum",
    ),
    cell("16B", "bodies of 16 B", "durable --queue-type quorum --size 16"),
    cell("1KiB", "bodies of 1 KiB", "durable --queue-type quorum --size 1024"),
    cell(
        "16KiB",
        "four queues, bodies of 16 KiB, window 100",
        "durable --queue-type quorum --queues 4 --publishers 4 --consumers 4 --size 16384 \
         --confirm 100 --prefetch 100 --ack-every 10",
    ),
    cell(
        "16q-100B",
        "16 queues, 4 publishers, 16 consumers, window 500",
        "durable --queue-type quorum --queues 16 --publishers 4 --consumers 16 --confirm 500",
    ),
    cell(
        "16q-1KiB",
        "the same with 1 KiB",
        "durable --queue-type quorum --queues 16 --publishers 4 --consumers 16 --confirm 500 \
         --size 1024",
    ),
    cell("window-100", "confirm window 100", "durable --queue-type quorum --confirm 100"),
    cell(
        "window-1",
        "each confirm waited for",
        "durable --queue-type quorum --confirm 1 --ack-every 1",
    ),
    cell(
        "prefetch-100",
        "prefetch 100",
        "durable --queue-type quorum --prefetch 100 --ack-every 10",
    ),
    cell(
        "work-queue",
        "4 consumers with prefetch 1, window 100",
        "durable --queue-type quorum --consumers 4 --prefetch 1 --ack-every 1 --confirm 100 --drain 1",
    ),
    cell(
        "ack-each",
        "each message acknowledged by itself",
        "durable --queue-type quorum --ack-every 1",
    ),
    cell(
        "steady",
        "2,000 a second of 1 KiB over 4 queues: latency",
        "durable --queue-type quorum --queues 4 --publishers 4 --consumers 4 --size 1024 \
         --rate 500 --ack-every 1",
    ),
    cell(
        "fanout-10",
        "each message to 10 replicated queues",
        "durable --queue-type quorum --fanout --queues 10 --consumers 10",
    ),
    cell(
        "backlog",
        "1,000,000 messages wait, then are drained",
        "backlog --queue-type quorum --count 1000000",
    ),
    cell(
        "idle-1000",
        "1,000 more connections that do nothing",
        "durable --queue-type quorum --idle 1000",
    ),
    Cell {
        clients: Clients::AtLeader,
        ..cell("at-leader", "clients at the leader's node", "durable --queue-type quorum")
    },
    Cell {
        clients: Clients::Elsewhere,
        ..cell("elsewhere", "clients at the other nodes", "durable --queue-type quorum")
    },
    cell(
        "transient",
        "a queue in memory, no confirms, automatic acks, 100 B",
        "transient --queue-type classic",
    ),
    cell(
        "16q-transient",
        "16 of them, 4 publishers, 16 consumers",
        "transient --queue-type classic --queues 16 --publishers 4 --consumers 16",
    ),
    cell(
        "classic",
        "durable classic queues on one node, 4 of them, confirms, acks",
        "durable --queue-type classic --queues 4 --publishers 4 --consumers 4 --confirm 500",
    ),
];
