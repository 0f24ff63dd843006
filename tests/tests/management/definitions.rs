//! Definitions, out and in again.

use serde_json::{Value, json};
use warren_tests::node::Node;

use crate::guest;

/// A document as RabbitMQ 3.13 writes it, with mirroring and a node's own hash of a password.
const OF_3_13: &str = r#"{
  "rabbit_version": "3.13.7", "rabbitmq_version": "3.13.7", "product_name": "RabbitMQ",
  "users": [{"name": "ann", "password_hash": "Os5PGOXUy0JU6cT8nNRsyq7Ed2ou4E6UmIvbHLDmWGdZdzAr",
             "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": "management",
             "limits": {"max-channels": 7}}],
  "vhosts": [{"name": "/"}, {"name": "shop", "metadata": {"description": "A shop", "tags": ["t"]},
              "limits": {"max-queues": 50}}],
  "permissions": [{"user": "ann", "vhost": "shop", "configure": "^a", "write": ".*", "read": ".*"}],
  "topic_permissions": [{"user": "ann", "vhost": "shop", "exchange": "amq.topic",
                         "write": "^a", "read": ".*"}],
  "parameters": [{"component": "operator_policy", "name": "o", "vhost": "shop", "value":
                  {"pattern": "x", "definition": {"max-length": 3}, "priority": 1, "apply-to": "queues"}},
                 {"component": "federation-upstream", "name": "up", "vhost": "shop",
                  "value": {"uri": "amqp://elsewhere"}}],
  "global_parameters": [{"name": "cluster_name", "value": "theirs"}],
  "policies": [{"vhost": "shop", "name": "ha", "pattern": "^m", "apply-to": "all", "priority": 0,
                "definition": {"ha-mode": "all", "ha-sync-mode": "automatic", "max-length": 100}}],
  "queues": [{"name": "mirrored", "vhost": "shop", "durable": true, "auto_delete": false,
              "arguments": {"x-queue-mode": "lazy"}},
             {"name": "q", "vhost": "shop", "durable": true, "auto_delete": false,
              "arguments": {"x-queue-type": "quorum"}}],
  "exchanges": [{"name": "orders", "vhost": "shop", "type": "topic", "durable": true,
                 "auto_delete": false, "internal": false, "arguments": {}}],
  "bindings": [{"source": "orders", "vhost": "shop", "destination": "q", "destination_type": "queue",
                "routing_key": "a.#", "arguments": {}}]
}"#;

#[test]
fn a_document_of_rabbitmq_3_is_brought_in_and_bringing_it_in_again_changes_nothing() {
    let node = Node::start();
    let client = guest(&node);

    let first = client.ask("POST", "/api/definitions", OF_3_13);
    let once = without_times(client.value("/api/definitions"));
    let second = client.ask("POST", "/api/definitions", OF_3_13);
    let twice = without_times(client.value("/api/definitions"));

    assert_eq!((first.status, second.status), (204, 204), "{} {}", first.body, second.body);
    assert_eq!(once, twice);
    assert_eq!(client.value("/api/users/ann")["limits"], json!({ "max-channels": 7 }));
    assert_eq!(client.value("/api/cluster-name")["name"], "theirs");
    assert_eq!(client.value("/api/vhosts/shop")["description"], "A shop");
    assert_eq!(client.value("/api/queues/shop/mirrored")["policy"], "ha");
    let bindings = client.value("/api/bindings/shop/e/orders/q/q");
    assert_eq!(bindings[0]["routing_key"], "a.#");
    let definition = &client.value("/api/operator-policies/shop/o")["definition"];
    assert_eq!(definition, &json!({ "max-length": 3 }));
}

#[test]
fn what_one_node_gives_another_takes_and_gives_again() {
    let (one, other) = (Node::start(), Node::start());
    assert_eq!(guest(&one).ask("POST", "/api/definitions", OF_3_13).status, 204);
    let document = guest(&one).ask("GET", "/api/definitions", "").body;

    let taken = guest(&other).ask("POST", "/api/definitions", &document);

    assert_eq!(taken.status, 204, "{}", taken.body);
    let both = [&one, &other].map(|node| without_times(guest(node).value("/api/definitions")));
    assert_eq!(both[0], both[1]);
}

#[test]
fn a_virtual_hosts_definitions_can_be_brought_into_another() {
    let node = Node::start();
    let client = guest(&node);
    assert_eq!(client.ask("POST", "/api/definitions", OF_3_13).status, 204);
    assert_eq!(client.ask("PUT", "/api/vhosts/copy", "").status, 201);
    let document = client.ask("GET", "/api/definitions/shop", "").body;

    let taken = client.ask("POST", "/api/definitions/copy", &document);

    assert_eq!(taken.status, 204, "{}", taken.body);
    let names = |vhost: &str| {
        let queues = client.value(&format!("/api/queues/{vhost}?columns=name,type,policy"));
        queues.as_array().unwrap().clone()
    };
    assert_eq!(names("copy"), names("shop"));
    assert_eq!(client.value("/api/bindings/copy/e/orders/q/q")[0]["vhost"], "copy");
}

#[test]
fn definitions_are_brought_in_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("definitions.json");
    std::fs::write(&file, OF_3_13).unwrap();

    let config = dir.path().join("warren.toml");
    std::fs::write(&config, format!("load_definitions = '{}'\n", file.display())).unwrap();
    let node = Node::start_with(&["--config", config.to_str().unwrap()]);

    assert_eq!(guest(&node).value("/api/queues/shop/q")["type"], "quorum");
}

#[test]
fn a_document_that_makes_no_sense_changes_nothing() {
    let node = Node::start();
    let client = guest(&node);
    let document = r#"{"vhosts": [{"name": "made"}], "users": [{"name": "no tags"}]}"#;

    let answer = client.ask("POST", "/api/definitions", document);

    assert_eq!(answer.status, 400);
    assert_eq!(client.ask("GET", "/api/vhosts/made", "").status, 404);
}

/// A document without what differs from node to node.
fn without_times(mut document: Value) -> Value {
    let users = document["users"].as_array_mut().unwrap();
    users.retain(|user| user["name"] != "guest");
    document
}
