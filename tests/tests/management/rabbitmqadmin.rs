//! Requests in the shapes of RabbitMQ's own tools and of others that speak to brokers: what they put
//! into paths and bodies that others do not.

use serde_json::{Value, json};
use warren_tests::http::Client;
use warren_tests::node::Node;

use crate::guest;

/// Method, path, body and the status that the tool takes for success.
type Step = (&'static str, &'static str, &'static str, u16);

/// `rabbitmqadmin` of RabbitMQ 3: every body repeats what the path says, numbers may be in quotes.
const RABBITMQADMIN_3: [Step; 22] = [
    ("GET", "/api/whoami", "", 200),
    ("PUT", "/api/vhosts/adm", r#"{"name":"adm"}"#, 201),
    ("PUT", "/api/users/ann", r#"{"name":"ann","password":"p","tags":"administrator"}"#, 201),
    (
        "PUT",
        "/api/permissions/adm/ann",
        r#"{"configure":".*","read":".*","user":"ann","vhost":"adm","write":".*"}"#,
        201,
    ),
    (
        "PUT",
        "/api/queues/%2F/q",
        r#"{"arguments":{},"auto_delete":"false","durable":"true","name":"q","vhost":"/"}"#,
        201,
    ),
    (
        "PUT",
        "/api/exchanges/%2F/x",
        r#"{"arguments":{},"auto_delete":"false","durable":"true","internal":"false","name":"x","type":"topic","vhost":"/"}"#,
        201,
    ),
    (
        "POST",
        "/api/bindings/%2F/e/x/q/q",
        r#"{"arguments":{},"destination":"q","destination_type":"queue","routing_key":"a.*","source":"x","vhost":"/"}"#,
        201,
    ),
    (
        "PUT",
        "/api/policies/%2F/p",
        r#"{"apply-to":"all","definition":{"max-length":100},"name":"p","pattern":"^q","priority":0,"vhost":"/"}"#,
        201,
    ),
    (
        "PUT",
        "/api/operator-policies/%2F/o",
        r#"{"apply-to":"queues","definition":{"max-length":90},"name":"o","pattern":"^q","priority":"1","vhost":"/"}"#,
        201,
    ),
    (
        "PUT",
        "/api/vhost-limits/adm/max-queues",
        r#"{"name":"max-queues","value":7,"vhost":"adm"}"#,
        204,
    ),
    (
        "POST",
        "/api/exchanges/%2F/x/publish",
        r#"{"exchange":"x","payload":"hi","payload_encoding":"string","properties":{},"routing_key":"a.b","vhost":"/"}"#,
        200,
    ),
    (
        "POST",
        "/api/queues/%2F/q/get",
        r#"{"ackmode":"ack_requeue_true","count":"1","encoding":"auto","queue":"q","truncate":"50000","vhost":"/"}"#,
        200,
    ),
    ("GET", "/api/queues?columns=name,messages,message_stats.publish_details.rate", "", 200),
    ("GET", "/api/bindings?sort=routing_key&sort_reverse=true", "", 200),
    ("GET", "/api/definitions", "", 200),
    ("DELETE", "/api/queues/%2F/q/contents", "", 204),
    ("DELETE", "/api/bindings/%2F/e/x/q/q/a.%2A", "", 204),
    ("DELETE", "/api/exchanges/%2F/x", "", 204),
    ("DELETE", "/api/queues/%2F/q", "", 204),
    ("DELETE", "/api/policies/%2F/p", "", 204),
    ("DELETE", "/api/users/ann", "", 204),
    ("DELETE", "/api/vhosts/adm", "", 204),
];

#[test]
fn rabbitmqadmin_of_rabbitmq_3_walks_through_its_commands() {
    let node = Node::start();
    let client = guest(&node);

    for (method, path, body, expected) in RABBITMQADMIN_3 {
        let answer = client.ask(method, path, body);
        assert_eq!(answer.status, expected, "{method} {path}: {}", answer.body);
    }
}

#[test]
fn keda_finds_a_queue_by_name_and_by_expression() {
    let (_node, client) = with_message();

    let by_name = client.value("/api/queues/%2F/work");
    let path =
        "/api/queues/%2F?page=1&use_regex=true&pagination=false&name=%5Ework%24&page_size=100";
    let by_expression = client.value(path);

    assert_eq!((&by_name["messages"], &by_name["messages_ready"]), (&json!(1), &json!(1)));
    assert!(by_name["message_stats"]["publish_details"]["rate"].is_number());
    assert!(by_name["message_stats"]["deliver_get_details"]["rate"].is_number());
    let items = by_expression["items"].as_array().unwrap();
    let found: Vec<&Value> = items.iter().map(|item| &item["name"]).collect();
    assert_eq!((found, &by_expression["filtered_count"]), (vec![&json!("work")], &json!(1)));
}

#[test]
fn what_terraform_puts_it_reads_back_as_it_was() {
    let node = Node::start();
    let client = guest(&node);
    let arguments = json!({ "x-message-ttl": 5000, "x-queue-type": "quorum" });
    let queue = json!({ "durable": true, "auto_delete": false, "arguments": arguments });
    let definition = json!({ "max-length": 10, "overflow": "reject-publish" });
    let policy = json!({
        "pattern": ".*", "priority": 3, "apply-to": "queues", "definition": definition,
    });

    for (path, body) in [("/api/queues/%2F/tf", &queue), ("/api/policies/%2F/tf", &policy)] {
        assert_eq!(client.ask("PUT", path, &body.to_string()).status, 201, "{path}");
        let read = client.value(path);
        for (field, value) in body.as_object().unwrap() {
            assert_eq!(&read[field], value, "{path} {field}");
        }
        assert_eq!(client.ask("DELETE", path, "").status, 204, "{path}");
        assert_eq!(client.ask("GET", path, "").status, 404, "{path}");
    }
}

fn with_message() -> (Node, Client) {
    let node = Node::start();
    let client = guest(&node);
    for name in ["work", "works", "other"] {
        let path = format!("/api/queues/%2F/{name}");
        assert_eq!(client.ask("PUT", &path, r#"{"durable":true}"#).status, 201);
    }
    let body =
        r#"{"properties":{},"routing_key":"work","payload":"a","payload_encoding":"string"}"#;
    let published = client.ask("POST", "/api/exchanges/%2F/amq.default/publish", body);
    assert_eq!(published.status, 200);
    (node, client)
}
