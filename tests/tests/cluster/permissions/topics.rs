//! Routing keys that a user may and may not use on a topic exchange.

use serde_json::json;
use warren_tests::cluster::Cluster;
use warren_tests::wire::{Field, Pack, Properties, Wire, id, publish};

use super::{Names, Read, User, Write, assert_refused, bind, bring_in, guest, unbind_queue};

/// What is done with which key, and the access and key that a refusal names.
type Row = (&'static str, fn(&Names) -> Vec<u8>, Result<(u16, u16), (&'static str, &'static str)>);

fn publish_with(names: &Names, key: &str, headers: &[(&str, Field)]) -> Vec<u8> {
    let properties = Properties::persistent().with_headers(headers).encode();
    publish(1, &names.source, key, 0, &properties, b"x")
}

fn copies(keys: &[&str]) -> Field {
    Field::Array(keys.iter().map(|key| Field::text(key)).collect())
}

const ROWS: &[Row] = &[
    ("publish with a key for writing", |n| publish_with(n, "w.1", &[]), Ok(id::ACK)),
    ("publish with a key for reading", |n| publish_with(n, "r.1", &[]), Err(("write", "r.1"))),
    (
        "publish with a second key in CC",
        |n| publish_with(n, "w.1", &[("CC", copies(&["w.2", "r.1"]))]),
        Err(("write", "r.1")),
    ),
    (
        "publish with a second key in BCC",
        |n| publish_with(n, "w.1", &[("BCC", copies(&["r.1"]))]),
        Err(("write", "r.1")),
    ),
    (
        "publish with keys for writing in CC and BCC",
        |n| publish_with(n, "w.1", &[("CC", copies(&["w.2"])), ("BCC", copies(&["w.3"]))]),
        Ok(id::ACK),
    ),
    (
        "publish with the forbidden key to an exchange of another kind",
        |n| publish(1, &n.target, "r.1", 0, &[0, 0], b"x"),
        Ok(id::ACK),
    ),
    (
        "queue.bind with a key for reading",
        |n| bind(id::QUEUE_BIND, &n.queue, &n.source, "r.1"),
        Ok(id::QUEUE_BIND_OK),
    ),
    (
        "queue.bind with a key for writing",
        |n| bind(id::QUEUE_BIND, &n.queue, &n.source, "w.1"),
        Err(("read", "w.1")),
    ),
    (
        "queue.bind with a key that matches everything",
        |n| bind(id::QUEUE_BIND, &n.queue, &n.source, "#"),
        Err(("read", "#")),
    ),
    (
        "queue.unbind with a key for writing",
        |n| unbind_queue(&n.queue, &n.source, "w.1"),
        Err(("read", "w.1")),
    ),
    (
        "exchange.bind with a key for writing",
        |n| bind(id::EXCHANGE_BIND, &n.target, &n.source, "w.1"),
        Err(("read", "w.1")),
    ),
];

#[test]
fn a_topic_exchange_takes_keys_only_from_whom_they_are_for() {
    let cluster = Cluster::start();
    let names = Names::new();
    let has = [
        (Write, "exchange", "source"),
        (Write, "exchange", "target"),
        (Write, "queue", "queue"),
        (Read, "exchange", "source"),
    ];
    let user = User::new("management", &has);
    names.prepare(&mut Wire::open_channel(cluster.amqp(0)).unwrap());
    let topics = |exchange: &str| {
        json!({
            "user": user.name, "vhost": "/", "exchange": exchange, "write": "^w", "read": "^r",
        })
    };
    let topics = json!([topics(&names.source), topics(&names.target)]);
    bring_in(
        &guest(&cluster, 0),
        &names,
        std::slice::from_ref(&user),
        &[("topic_permissions", topics)],
    );

    for node in (0..cluster.len()).rev() {
        for (what, request, expected) in ROWS {
            let mut wire = user.wire(cluster.amqp(node));
            let select = Pack::method(id::CONFIRM_SELECT).u8(0).frame(1);
            wire.call(1, select, id::CONFIRM_SELECT_OK).unwrap();
            let what = format!("{what} on node {node}");

            wire.send(&request(&names)).unwrap();

            match expected {
                Ok(done) => drop(wire.expect(1, *done).expect(&what)),
                Err((access, key)) => {
                    let (exchange, user) = (&names.source, &user.name);
                    let text = format!(
                        "ACCESS_REFUSED - {access} access to topic '{key}' in exchange \
                         '{exchange}' in vhost '/' refused for user '{user}'"
                    );
                    assert_refused(&wire.expect_close().expect(&what), &text, &what);
                }
            }
        }
        over_http(&cluster, node, &names, &user);
    }
}

fn over_http(cluster: &Cluster, node: usize, names: &Names, user: &User) {
    let http = user.http(cluster.http(node));
    let Names { queue, source, .. } = names;
    let publish = |key: &str| {
        let body = json!({
            "properties": {}, "routing_key": key, "payload": "x", "payload_encoding": "string",
        });
        let path = format!("/api/exchanges/%2F/{source}/publish");
        http.ask("POST", &path, &body.to_string()).status
    };
    let bind = |key: &str| {
        let body = json!({ "routing_key": key, "arguments": {} }).to_string();
        http.ask("POST", &format!("/api/bindings/%2F/e/{source}/q/{queue}"), &body).status
    };

    let statuses = [publish("w.1"), publish("r.1"), bind("r.1"), bind("w.1")];

    assert_eq!(statuses, [200, 400, 201, 401], "on node {node}");
}
