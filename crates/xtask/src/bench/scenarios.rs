//! The loads, and how `warren-load` is told of them.

use std::net::SocketAddr;

/// One kind of load.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    /// Options of `warren-load`, beside those that every scenario has.
    arguments: &'static str,
}

/// Fixed, so that one result can be held against another.
pub(super) const SCENARIOS: [Scenario; 8] = [
    Scenario {
        name: "one-queue",
        summary: "durable, 100 B, confirms and acks, one queue",
        arguments: "--queues 1 --publishers 1 --consumers 1 --size 100 \
            --confirm 1000 --prefetch 1000 --ack-every 100",
    },
    Scenario {
        name: "many-queues",
        summary: "the same over 16 queues",
        arguments: "--queues 16 --publishers 4 --consumers 16 --size 100 \
            --confirm 500 --prefetch 1000 --ack-every 100",
    },
    Scenario {
        name: "large",
        summary: "durable, 16 KiB, four queues",
        arguments: "--queues 4 --publishers 4 --consumers 4 --size 16384 \
            --confirm 100 --prefetch 100 --ack-every 10",
    },
    Scenario {
        name: "steady",
        summary: "durable, 1 KiB, 2,000 a second: latency with nothing waiting",
        arguments: "--queues 4 --publishers 4 --consumers 4 --size 1024 --rate 500 \
            --confirm 1000 --prefetch 1000 --ack-every 1",
    },
    Scenario {
        name: "one-at-a-time",
        summary: "a publisher that waits for each confirm: the latency of one commit",
        arguments: "--queues 1 --publishers 1 --consumers 1 --size 100 \
            --confirm 1 --prefetch 1000 --ack-every 1",
    },
    Scenario {
        name: "work-queue",
        summary: "four consumers that take one message at a time",
        arguments: "--queues 1 --publishers 1 --consumers 4 --size 100 \
            --confirm 100 --prefetch 1 --ack-every 1 --rate 4000",
    },
    Scenario {
        name: "transient",
        summary: "one queue in memory, 100 B, no confirms, automatic acks",
        arguments: "transient --queues 1 --publishers 1 --consumers 1 --size 100",
    },
    Scenario {
        name: "backlog",
        summary: "1,000,000 messages of 100 B wait, then are drained",
        arguments: "backlog --queues 1 --publishers 1 --consumers 1 --size 100 --count 1000000",
    },
];

/// The whole command line of `warren-load`.
pub(super) fn load_arguments(
    scenario: &Scenario,
    amqp: SocketAddr,
    pid: u32,
    seconds: u32,
) -> Vec<String> {
    // A mode comes first, so the scenario's own words do.
    let mut words: Vec<String> = scenario.arguments.split_whitespace().map(str::to_owned).collect();
    words.extend(["--hosts".to_owned(), amqp.to_string()]);
    words.extend(["--pids".to_owned(), pid.to_string()]);
    words.extend(["--seconds".to_owned(), seconds.to_string(), "--json".to_owned()]);
    words
}

/// The scenario's own options, as a table shows them.
pub(super) fn settings(scenario: &Scenario) -> &'static str {
    scenario.arguments
}
