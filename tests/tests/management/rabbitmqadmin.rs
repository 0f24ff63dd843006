//! Requests in the shapes of RabbitMQ's own tool: what it puts into paths and bodies that others do
//! not.

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
