//! Numbers that are summed up over queues, connections and nodes.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use warren_tests::node::Node;
use warren_tests::wire::{Flags, Wire, publish};

use crate::guest;

/// How long numbers may take to show.
const PATIENCE: Duration = Duration::from_secs(30);

fn until(mut look: impl FnMut() -> Value, is_so: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let seen = look();
        if is_so(&seen) {
            return seen;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {seen}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_virtual_host_an_exchange_and_the_overview_tell_what_went_through_them() {
    let node = Node::start();
    let client = guest(&node);
    assert_eq!(client.ask("PUT", "/api/vhosts/other", "{}").status, 201);
    let mut wire = Wire::open_channel(node.amqp()).unwrap();
    wire.declare(1, "q", Flags::DURABLE, &[]).unwrap();
    let binding = client.ask("POST", "/api/bindings/%2F/e/amq.fanout/q/q", "{}");
    assert_eq!(binding.status, 201, "{}", binding.body);

    for _ in 0..3 {
        wire.send(&publish(1, "amq.fanout", "", 0, &[0x10, 0, 2], b"m")).unwrap();
    }

    let there = |row: &Value| row["messages_ready"] == 3;
    let vhost = until(|| client.value("/api/vhosts/%2F"), there);
    assert_eq!(vhost["messages"], 3, "{vhost}");
    assert_eq!(vhost["message_stats"]["publish"], 3, "{vhost}");
    assert!(vhost["recv_oct"].as_u64() > Some(100), "{vhost}");
    let listed = client.value("/api/vhosts");
    let other = listed.as_array().unwrap().iter().find(|row| row["name"] == "other").unwrap();
    assert_eq!((&other["messages"], &other["recv_oct"]), (&0.into(), &0.into()));
    let named = client.value("/api/vhosts?columns=name").to_string();
    assert_eq!(named, r#"[{"name":"/"},{"name":"other"}]"#);

    let counted = |row: &Value| row["message_stats"]["publish_in"] == 3;
    let exchange = until(|| client.value("/api/exchanges/%2F/amq.fanout"), counted);
    assert_eq!(exchange["message_stats"]["publish_out"], 3, "{exchange}");
    assert!(client.value("/api/exchanges/%2F/amq.direct").get("message_stats").is_none());

    let churn = client.value("/api/overview")["churn_rates"].clone();
    assert_eq!((&churn["queue_declared"], &churn["queue_created"]), (&1.into(), &1.into()));
    assert_eq!(churn["connection_created"], 1, "{churn}");
    assert!(churn["channel_created_details"]["rate"].is_number(), "{churn}");
}
