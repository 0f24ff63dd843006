//! Messages in and out over HTTP.

use serde_json::{Value, json};
use warren_tests::http::Client;
use warren_tests::node::Node;

use crate::guest;

fn publish(client: &Client, payload: &str, encoding: &str, properties: Value) {
    let body = json!({
        "properties": properties, "routing_key": "q", "payload": payload,
        "payload_encoding": encoding,
    });
    let path = "/api/exchanges/%2F/amq.default/publish";
    let answer = client.ask("POST", path, &body.to_string());
    assert_eq!(answer.json(), json!({ "routed": true }), "{}", answer.body);
}

fn fetch(client: &Client, ackmode: &str, more: Value) -> Vec<Value> {
    let mut body = json!({ "count": 10, "ackmode": ackmode, "encoding": "auto" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = client.ask("POST", "/api/queues/%2F/q/get", &body.to_string());
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json().as_array().unwrap().clone()
}

fn with_queue() -> (Node, Client) {
    let node = Node::start();
    let client = guest(&node);
    assert_eq!(client.ask("PUT", "/api/queues/%2F/q", r#"{"durable":true}"#).status, 201);
    (node, client)
}

#[test]
fn what_is_published_is_fetched_with_its_properties_and_stays_if_it_is_wished_to() {
    let (_node, client) = with_queue();
    let properties = json!({ "content_type": "a/b", "headers": { "h": 1 }, "delivery_mode": 2 });

    publish(&client, "hello", "string", properties.clone());
    publish(&client, "AAH/", "base64", json!({}));
    let first = fetch(&client, "ack_requeue_true", json!({}));
    let again = fetch(&client, "ack_requeue_false", json!({ "truncate": 2 }));

    assert_eq!(first[0]["payload"], "hello");
    assert_eq!(first[0]["properties"], properties);
    assert_eq!((&first[0]["message_count"], &first[0]["redelivered"]), (&json!(1), &json!(false)));
    assert_eq!(
        (&first[1]["payload"], &first[1]["payload_encoding"]),
        (&json!("AAH/"), &json!("base64"))
    );
    assert_eq!(first[1]["properties"], json!([]));
    assert_eq!((&again[0]["payload"], &again[0]["payload_bytes"]), (&json!("he"), &json!(5)));
    assert_eq!(again[0]["redelivered"], true);
    assert!(fetch(&client, "ack_requeue_true", json!({})).is_empty());
}

#[test]
fn a_message_for_nobody_is_not_routed() {
    let (_node, client) = with_queue();
    let body = r#"{"properties":{},"routing_key":"x","payload":"","payload_encoding":"string"}"#;

    let answer = client.ask("POST", "/api/exchanges/%2F/amq.direct/publish", body);

    assert_eq!((answer.status, answer.json()), (200, json!({ "routed": false })));
}

#[test]
fn an_emptied_queue_says_that_it_is_empty_and_why_nothing_moves() {
    let (_node, client) = with_queue();
    publish(&client, "a", "string", json!({}));
    let before = client.value("/api/queues/%2F/q");
    let explained = client.value("/api/queues/%2F/q/explain");

    let purged = client.ask("DELETE", "/api/queues/%2F/q/contents", "");

    assert_eq!((&before["messages"], &before["messages_ready"]), (&json!(1), &json!(1)));
    assert_eq!(explained["verdict"], "waiting", "{explained}");
    assert!(explained["findings"].to_string().contains("consumer"), "{explained}");
    assert_eq!(purged.status, 204);
    assert_eq!(client.value("/api/queues/%2F/q")["messages"], 0);
    let total = &client.value("/api/overview")["queue_totals"]["messages"];
    assert_eq!(total, &json!(0));
}
