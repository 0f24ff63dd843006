//! What the log says, and what it never says.

use std::fs;

use serde_json::Value;
use tempfile::NamedTempFile;
use warren_tests::failover::await_that;
use warren_tests::http::Client;
use warren_tests::node::Node;
use warren_tests::wire::{Flags, Properties, Wire, bind_queue, consume, id, publish};

fn node(format: &str, filter: &str) -> (Node, NamedTempFile) {
    let file = NamedTempFile::new().unwrap();
    let text = format!("[log]\nformat = \"{format}\"\nfilter = \"{filter}\"\n");
    fs::write(file.path(), text).unwrap();
    (Node::start_with(&["--config", file.path().to_str().unwrap()]), file)
}

/// A client that comes, does something, and leaves; and one that is not let in.
fn visit(node: &Node) {
    let http = Client::new(node.addresses().http, "guest", "guest");
    let user = r#"{"password":"hush-password","tags":"administrator"}"#;
    assert_eq!(http.ask("PUT", "/api/users/ann", user).status, 201);
    let all = r#"{"configure":".*","write":".*","read":".*"}"#;
    assert_eq!(http.ask("PUT", "/api/permissions/%2F/ann", all).status, 201);
    assert!(Wire::open_as(node.amqp(), "ann", "hush-wrong").is_err());
    let mut wire = Wire::open_as(node.amqp(), "ann", "hush-password").unwrap();
    wire.channel(1).unwrap();
    wire.declare(1, "q", Flags::DURABLE, &[]).unwrap();
    let properties = Properties::persistent().encode();
    wire.send(&publish(1, "", "q", 0, &properties, b"hush-body")).unwrap();
    while wire.get(1, "q", true).unwrap().is_none() {}
    wire.close().unwrap();
}

#[test]
fn a_client_can_be_followed_through_the_log_which_keeps_its_secrets() {
    let (mut node, _config) = node("human", "trace");

    visit(&node);
    drop(Wire::open(node.amqp()).unwrap());
    // A node that stops first would close the connection itself.
    let end = "client unexpectedly closed TCP connection";
    await_that("the log tells of the client's end", || node.log().contains(end));
    node.terminate();

    let log = node.log();
    for line in [
        "accepting AMQP connection 127.0.0.1:",
        "PLAIN login refused: user 'ann' - ",
        "user 'ann' authenticated and granted access to vhost '/'",
        ", vhost: '/', user: 'ann')",
        "closing AMQP connection (127.0.0.1:",
    ] {
        assert!(log.contains(line), "{line} is missing\n{log}");
    }
    let secrets = log.lines().filter(|line| line.contains("hush-")).collect::<Vec<_>>();
    assert!(secrets.is_empty(), "{secrets:#?}");
}

#[test]
fn a_log_in_json_is_an_object_per_line() {
    let (mut node, _config) = node("json", "info");

    visit(&node);
    node.terminate();

    let log = node.log();
    // The line on stdout that says where the node serves is for programs.
    let lines = log.lines().filter(|line| !line.starts_with("ready "));
    let lines: Vec<Value> = lines.map(|line| serde_json::from_str(line).expect(line)).collect();
    let says = |line: &Value, level: &str, text: &str| {
        line["level"] == level
            && line["fields"]["message"].as_str().is_some_and(|message| message.contains(text))
    };
    assert!(lines.iter().all(|line| line["timestamp"].is_string()));
    assert!(lines.iter().any(|line| says(line, "WARN", "login refused: user 'ann'")));
    let granted = lines.iter().find(|line| says(line, "INFO", "user 'ann' authenticated"));
    assert!(granted.unwrap()["span"]["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
}

#[test]
fn lines_of_the_log_reach_those_who_listen_to_its_exchange() {
    let (node, _config) = node("human", "info");
    let mut wire = Wire::open_channel(node.amqp()).unwrap();
    let (queue, _, _) = wire.declare(1, "", Flags::EXCLUSIVE, &[]).unwrap();
    let bind = bind_queue(1, &queue, "amq.rabbitmq.log", "warning");
    wire.call(1, bind, id::QUEUE_BIND_OK).unwrap();
    wire.call(1, consume(1, &queue, "c", 2, &[]), id::CONSUME_OK).unwrap();

    assert!(Wire::open_as(node.amqp(), "nobody", "hush-password").is_err());

    let line = wire.message(1).unwrap();
    let text = String::from_utf8(line.body).unwrap();
    assert_eq!((&*line.exchange, &*line.key), ("amq.rabbitmq.log", "warning"));
    assert!(text.starts_with("PLAIN login refused: user 'nobody' - "), "{text}");
}
