//! Memory that runs short: who publishes waits, nobody else does, and all goes on by itself.

use std::time::Duration;

use warren_tests::blocked::Publisher;
use warren_tests::failover::await_that;
use warren_tests::http::Client;
use warren_tests::load::process::resident;
use warren_tests::node::{self, Node};
use warren_tests::wire::{Flags, Wire, consume, id};

use super::{MIB, NO_ACK, assert_bounded};
use crate::support::PATIENCE;

/// What a queue may take before the node is short of memory.
const ROOM_BYTES: u64 = 96 * MIB;

/// What may come beyond that before the node looks again, and what it holds while it reads.
const SLACK_BYTES: u64 = 160 * MIB;

const QUEUE: &str = "in memory";

#[test]
fn publishers_wait_while_memory_is_short_and_go_on_when_there_is_some() {
    if node::elsewhere().is_some() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let settings = place.path().join("warren.toml");
    std::fs::write(&settings, "[limits]\n").unwrap();
    let node = Node::start_with(&["--config", settings.to_str().unwrap()]);
    let mark = resident(node.pid()) + ROOM_BYTES;
    let text = format!("[limits]\nvm_memory_high_watermark = \"{mark}\"\n");
    std::fs::write(&settings, text).unwrap();
    let http = Client::new(node.addresses().http, "guest", "guest");
    await_that("the mark counts", || http.value("/api/nodes")[0]["mem_limit"] == mark);

    assert_bounded(&node, "short of memory", mark + SLACK_BYTES, || fill_and_empty(&node, &http));
}

/// Fills a queue that is kept in memory until its publisher has to wait, and empties it.
fn fill_and_empty(node: &Node, http: &Client) {
    let mut wire = Wire::open_channel(node.amqp()).unwrap();
    let mut consumer = Wire::open_channel(node.amqp()).unwrap();
    wire.declare(1, QUEUE, Flags::NONE, &[]).unwrap();
    let mut publisher = Publisher::new(wire, QUEUE).unwrap();
    let body = vec![b'x'; 64 * 1024];

    let reason = publisher.send_until_blocked(&body, Duration::ZERO).unwrap();
    for _ in 0..3 {
        publisher.send(&body).unwrap();
    }
    publisher.hear_nothing(Duration::from_millis(1500)).unwrap();
    let alarms = http.ask("GET", "/api/health/checks/local-alarms", "");
    let (_, kept, _) = consumer.declare(1, QUEUE, Flags::PASSIVE, &[]).unwrap();
    consumer.set_patience(PATIENCE);
    consumer.call(1, consume(1, QUEUE, "c", NO_ACK, &[]), id::CONSUME_OK).unwrap();
    for _ in 0..kept {
        let message = consumer.message(1).unwrap();
        assert_eq!(message.body.len(), body.len());
    }
    publisher.await_release().unwrap();

    assert_eq!(reason, "low on memory");
    assert_eq!(alarms.status, 503, "{}", alarms.body);
    assert!(alarms.body.contains("memory"), "{}", alarms.body);
    assert!(u64::from(kept) > ROOM_BYTES / MIB, "{kept} messages were taken");
}
