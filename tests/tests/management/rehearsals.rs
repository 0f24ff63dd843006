//! Nodes that are broken on purpose, and what `warrenctl chaos` says that clients felt.

use std::process::Output;

use serde_json::{Value, json};
use warren_tests::cluster::Cluster;
use warren_tests::ctl::Ctl;
use warren_tests::failover::await_that;
use warren_tests::http::Client;
use warren_tests::node::Node;

use crate::guest;

/// Three nodes that may be broken, if `allowed`.
fn nodes(allowed: bool) -> Option<Cluster> {
    if Cluster::is_elsewhere() {
        return None;
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("[chaos]\nallowed = {allowed}\n")).unwrap();
    Some(Cluster::start_with(3, &["--config", file.path().to_str().unwrap()]))
}

/// Runs `warrenctl chaos` on the machine of the first node.
fn chaos(cluster: &Cluster, arguments: &[&str]) -> Output {
    let ctl = Ctl::install();
    let mut command = ctl.tool("warrenctl", &cluster.data_dir(0));
    command.arg("chaos").args(arguments).args(["--formatter", "json"]).output().unwrap()
}

/// What clients felt when it was done, and nothing was lost.
fn felt(cluster: &Cluster, arguments: &[&str]) -> Value {
    let output = chaos(cluster, arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let clients = value["clients"].as_array().unwrap();
    assert_eq!(clients.len(), 2, "{value}");
    for client in clients {
        for nothing in ["missing", "unanswered", "delivered_twice", "refused"] {
            assert_eq!(client[nothing], json!(0), "{nothing}: {value}");
        }
        assert_eq!(client["connection_ended"], Value::Null, "{value}");
    }
    value
}

#[test]
fn clients_of_other_nodes_feel_a_pause_when_a_node_is_broken_and_lose_nothing() {
    let Some(cluster) = nodes(true) else { return };
    // Leads are spread some seconds after the nodes came together.
    let boss = Client::new(cluster.http(0), "guest", "guest");
    await_that("the second node leads a shard", || {
        let shards = boss.value("/api/warren/shards");
        let mut shards = shards.as_array().unwrap().iter();
        shards.any(|shard| shard["kind"] == "shard" && shard["leader"] == "warren@n2")
    });

    let slow = felt(&cluster, &["slow", "warren@n2", "--for", "2s", "--delay", "200ms"]);
    let paused = felt(&cluster, &["pause", "warren@n2", "--for", "2s"]);
    let isolated = felt(&cluster, &["isolate", "warren@n3", "--for", "3s"]);
    let killed = felt(&cluster, &["kill", "warren@n2", "--for", "3s"]);

    assert_eq!(slow["led_the_queues"], json!(true), "{slow}");
    let longest = |value: &Value| value["longest_gap_ms"].as_u64().unwrap();
    for value in [&paused, &isolated] {
        assert!(longest(value) >= 1_000, "clients feel nothing: {value}");
    }
    assert_eq!(killed["node"], json!("warren@n2"));
}

#[test]
fn a_node_that_does_not_allow_it_is_not_broken() {
    let Some(cluster) = nodes(false) else { return };

    let output = chaos(&cluster, &["kill", "warren@n2", "--for", "1s"]);

    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(69), "{error}");
    assert!(error.contains("chaos.allowed = true"), "{error}");
}

#[test]
fn what_makes_no_sense_is_refused_in_words() {
    let node = Node::start();
    let client = guest(&node);
    let own = client.value("/api/overview")["node"].as_str().unwrap().to_owned();
    let cases = [
        ("warren@elsewhere", r#"{"fault":"kill"}"#, "ask warren@elsewhere itself"),
        (own.as_str(), "{}", "{key_missing,fault}"),
        (&own, r#"{"fault":"melt"}"#, "not to melt"),
        (&own, r#"{"fault":"pause","for_ms":0}"#, "for_ms is 1 to 300000"),
        (&own, r#"{"fault":"pause","for_ms":300001}"#, "for_ms is 1 to 300000"),
        (&own, r#"{"fault":"slow","delay_ms":10001}"#, "delay_ms is 1 to 10000"),
        (&own, r#"{"fault":"pause"}"#, "chaos.allowed = true"),
    ];

    for (name, body, words) in cases {
        let answer = client.ask("POST", &format!("/api/warren/chaos/{name}"), body);
        assert_eq!(answer.status, 400, "{body}: {}", answer.body);
        assert!(answer.body.contains(words), "{body}: {}", answer.body);
    }
}
