//! Operations over HTTP: what takes permissions, and what takes a tag.

use serde_json::{Value, json};
use warren_tests::cluster::Cluster;
use warren_tests::http::Client as Http;
use warren_tests::node::unique;
use warren_tests::wire::{Guest, Wire};

use crate::support::PATIENCE;

use super::{Configure, Names, Need, Read, User, Write, bring_in, guest, tries};

/// An operation, what it needs, and how its refusal looks.
struct Row {
    what: &'static str,
    needs: &'static [Need],
    method: &'static str,
    path: fn(&Names) -> String,
    body: fn(&Names) -> Value,
    refused: u16,
}

fn queue(names: &Names, name: &str, rest: &str) -> String {
    format!("/api/queues/%2F/{}{rest}", names.of(name))
}

fn exchange(names: &Names, name: &str, rest: &str) -> String {
    format!("/api/exchanges/%2F/{}{rest}", names.of(name))
}

fn nothing(_: &Names) -> Value {
    Value::Null
}

fn message(_: &Names) -> Value {
    json!({ "properties": {}, "routing_key": "a", "payload": "x", "payload_encoding": "string" })
}

const ROWS: &[Row] = &[
    Row {
        what: "declare a queue",
        needs: &[(Configure, "queue", "fresh")],
        method: "PUT",
        path: |n| queue(n, "fresh", ""),
        body: |_| json!({ "durable": true }),
        refused: 401,
    },
    Row {
        what: "declare a queue with a dead-letter exchange",
        needs: &[
            (Configure, "queue", "fresh"),
            (Read, "queue", "fresh"),
            (Write, "exchange", "target"),
        ],
        method: "PUT",
        path: |n| queue(n, "fresh", ""),
        body: |n| json!({ "durable": true, "arguments": { "x-dead-letter-exchange": n.target } }),
        refused: 401,
    },
    Row {
        what: "delete a queue",
        needs: &[(Configure, "queue", "queue")],
        method: "DELETE",
        path: |n| queue(n, "queue", ""),
        body: nothing,
        refused: 401,
    },
    Row {
        what: "empty a queue",
        needs: &[(Read, "queue", "queue")],
        method: "DELETE",
        path: |n| queue(n, "queue", "/contents"),
        body: nothing,
        refused: 401,
    },
    Row {
        what: "fetch messages",
        needs: &[(Read, "queue", "queue")],
        method: "POST",
        path: |n| queue(n, "queue", "/get"),
        body: |_| json!({ "count": 1, "ackmode": "ack_requeue_true", "encoding": "auto" }),
        refused: 401,
    },
    Row {
        what: "declare an exchange",
        needs: &[(Configure, "exchange", "fresh")],
        method: "PUT",
        path: |n| exchange(n, "fresh", ""),
        body: |_| json!({ "type": "direct", "durable": true }),
        refused: 401,
    },
    Row {
        what: "declare an exchange with an alternate exchange",
        needs: &[
            (Configure, "exchange", "fresh"),
            (Read, "exchange", "fresh"),
            (Write, "exchange", "target"),
        ],
        method: "PUT",
        path: |n| exchange(n, "fresh", ""),
        body: |n| {
            let arguments = json!({ "alternate-exchange": n.target });
            json!({ "type": "direct", "durable": true, "arguments": arguments })
        },
        refused: 401,
    },
    Row {
        what: "delete an exchange",
        needs: &[(Configure, "exchange", "target")],
        method: "DELETE",
        path: |n| exchange(n, "target", ""),
        body: nothing,
        refused: 401,
    },
    Row {
        what: "publish",
        needs: &[(Write, "exchange", "source")],
        method: "POST",
        path: |n| exchange(n, "source", "/publish"),
        body: message,
        refused: 400,
    },
    Row {
        what: "publish to the default exchange",
        needs: &[(Write, "exchange", "default")],
        method: "POST",
        path: |n| exchange(n, "default", "/publish"),
        body: message,
        refused: 400,
    },
    Row {
        what: "bind a queue",
        needs: &[(Write, "queue", "queue"), (Read, "exchange", "source")],
        method: "POST",
        path: |n| format!("/api/bindings/%2F/e/{}/q/{}", n.source, n.queue),
        body: |_| json!({ "routing_key": "a", "arguments": {} }),
        refused: 401,
    },
    Row {
        what: "unbind a queue",
        needs: &[(Write, "queue", "queue"), (Read, "exchange", "source")],
        method: "DELETE",
        path: |n| format!("/api/bindings/%2F/e/{}/q/{}/bound", n.source, n.queue),
        body: nothing,
        refused: 401,
    },
    Row {
        what: "bind an exchange",
        needs: &[(Write, "exchange", "target"), (Read, "exchange", "source")],
        method: "POST",
        path: |n| format!("/api/bindings/%2F/e/{}/e/{}", n.source, n.target),
        body: |_| json!({ "routing_key": "a", "arguments": {} }),
        refused: 401,
    },
];

#[test]
fn over_http_an_operation_takes_the_same_permissions_on_every_node() {
    let cluster = Cluster::start();
    let names = Names::new();
    let tried = tries(ROWS, "management", |row| row.needs);
    let users: Vec<User> = tried.iter().map(|(_, user, _)| user.clone()).collect();
    bring_in(&guest(&cluster, 0), &names, &users, &[]);

    for node in (0..cluster.len()).rev() {
        let mut owner = Wire::open_channel(cluster.amqp(node)).unwrap();
        let admin = guest(&cluster, node);
        for (row, user, lacking) in &tried {
            names.prepare(&mut owner);
            let bound = json!({ "routing_key": "bound", "arguments": {} }).to_string();
            let bind = format!("/api/bindings/%2F/e/{}/q/{}", names.source, names.queue);
            assert_eq!(admin.ask("POST", &bind, &bound).status, 201);
            let what = format!("{} without {lacking:?} on node {node}", row.what);

            let answer = ask(&user.http(cluster.http(node)), row, &names);

            match lacking {
                None => assert!((200..300).contains(&answer.0), "{what}: {answer:?}"),
                Some(_) => assert_eq!(answer.0, row.refused, "{what}: {answer:?}"),
            }
        }
    }
}

fn ask(http: &Http, row: &Row, names: &Names) -> (u16, String) {
    let body = (row.body)(names);
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = http.ask(row.method, &(row.path)(names), &body);
    (answer.status, answer.body)
}

/// What takes a tag: method, path, body, and the tags that open it.
type Guarded = (&'static str, &'static str, &'static str, &'static [&'static str]);

const ADMINISTRATOR: &[&str] = &["administrator"];
const POLICYMAKER: &[&str] = &["policymaker", "administrator"];
const MONITORING: &[&str] = &["monitoring", "administrator"];

/// Requests whose path names things that do not exist, or that change nothing when allowed.
const GUARDED: &[Guarded] = &[
    ("GET", "/api/users", "", ADMINISTRATOR),
    (
        "PUT",
        "/api/users/nobody-is-called-so",
        r#"{"password":"x","tags":"administrator"}"#,
        ADMINISTRATOR,
    ),
    ("DELETE", "/api/users/nobody-is-called-so", "", ADMINISTRATOR),
    ("POST", "/api/users/bulk-delete", r#"{"users":[]}"#, ADMINISTRATOR),
    ("GET", "/api/permissions", "", ADMINISTRATOR),
    (
        "PUT",
        "/api/permissions/%2F/guest",
        r#"{"configure":".*","write":".*","read":".*"}"#,
        ADMINISTRATOR,
    ),
    ("DELETE", "/api/permissions/%2F/nobody-is-called-so", "", ADMINISTRATOR),
    (
        "PUT",
        "/api/topic-permissions/%2F/guest",
        r#"{"exchange":"nothing","write":".*","read":".*"}"#,
        ADMINISTRATOR,
    ),
    ("DELETE", "/api/topic-permissions/%2F/guest/nothing", "", ADMINISTRATOR),
    ("PUT", "/api/vhosts/%2F", "{}", ADMINISTRATOR),
    ("DELETE", "/api/vhosts/nothing-is-called-so", "", ADMINISTRATOR),
    ("PUT", "/api/vhost-limits/%2F/max-queues", r#"{"value":-1}"#, ADMINISTRATOR),
    ("DELETE", "/api/vhost-limits/%2F/max-queues", "", ADMINISTRATOR),
    ("PUT", "/api/user-limits/guest/max-channels", r#"{"value":-1}"#, ADMINISTRATOR),
    ("DELETE", "/api/user-limits/guest/max-channels", "", ADMINISTRATOR),
    (
        "PUT",
        "/api/operator-policies/%2F/p",
        r#"{"pattern":"^nothing$","definition":{"max-length":1}}"#,
        ADMINISTRATOR,
    ),
    ("DELETE", "/api/operator-policies/%2F/p", "", ADMINISTRATOR),
    (
        "PUT",
        "/api/policies/%2F/p",
        r#"{"pattern":"^nothing$","definition":{"max-length":1}}"#,
        POLICYMAKER,
    ),
    ("DELETE", "/api/policies/%2F/p", "", POLICYMAKER),
    (
        "PUT",
        "/api/parameters/operator_policy/%2F/p",
        r#"{"value":{"pattern":"^nothing$","definition":{"max-length":1}}}"#,
        ADMINISTRATOR,
    ),
    ("GET", "/api/global-parameters", "", POLICYMAKER),
    ("PUT", "/api/global-parameters/harmless", r#"{"value":1}"#, ADMINISTRATOR),
    ("DELETE", "/api/global-parameters/harmless", "", ADMINISTRATOR),
    ("GET", "/api/definitions", "", ADMINISTRATOR),
    ("POST", "/api/definitions", "{}", ADMINISTRATOR),
    ("POST", "/api/definitions/%2F", "{}", ADMINISTRATOR),
    ("GET", "/api/definitions/%2F", "", ADMINISTRATOR),
    ("PUT", "/api/cluster-name", r#"{"name":"x"}"#, ADMINISTRATOR),
    ("GET", "/api/nodes", "", MONITORING),
    ("GET", "/api/auth/hash_password/x", "", ADMINISTRATOR),
];

/// The tags that somebody may have alone.
const TAGS: [&str; 6] = ["", "made-up", "management", "policymaker", "monitoring", "administrator"];

#[test]
fn what_takes_a_tag_is_refused_to_everybody_without_it() {
    let cluster = Cluster::start();
    let names = Names::new();
    let everything: &[Need] = &[];
    let users: Vec<User> = TAGS.map(|tag| User::new(tag, everything)).into();
    bring_in(&guest(&cluster, 0), &names, &users, &[]);

    for node in (0..cluster.len()).rev() {
        for (method, path, body, tags) in GUARDED {
            // RabbitMQ lets policymakers make operator policies by that path.
            let is_left_out = cluster.is_foreign() && path.contains("operator_policy/");
            let refused = users.iter().filter(|user| !tags.contains(&user.tags) && !is_left_out);
            for user in refused {
                let answer = user.http(cluster.http(node)).ask(method, path, body);

                let what = format!("{method} {path} as '{}' on node {node}", user.tags);
                assert_eq!(answer.status, 401, "{what}: {}", answer.body);
            }
        }
        let before = guest(&cluster, node).value("/api/definitions").to_string();
        assert!(!before.contains("nobody-is-called-so"), "{before}");
    }
}

#[test]
fn nobody_touches_a_virtual_host_without_a_permission_in_it() {
    let cluster = Cluster::start();
    let names = Names::new();
    let vhost = unique("vhost");
    let has = [(Configure, "queue", "queue"), (Write, "queue", "queue"), (Read, "queue", "queue")];
    let tags = ["management", "policymaker", "monitoring"];
    let users: Vec<User> = tags.map(|tag| User::new(tag, &has)).into();
    let more = [
        ("vhosts", json!([{ "name": vhost }])),
        (
            "queues",
            json!([{ "name": names.queue, "vhost": vhost, "durable": true, "auto_delete": false, "arguments": {} }]),
        ),
    ];
    bring_in(&guest(&cluster, 0), &names, &users, &more);
    let queue = format!("/api/queues/{vhost}/{}", names.queue);
    let get = r#"{"count":1,"ackmode":"ack_requeue_true","encoding":"auto"}"#;
    let policy = r#"{"pattern":".*","definition":{"dead-letter-exchange":"amq.fanout"}}"#;
    let requests = [
        ("PUT", queue.clone(), "{}"),
        ("DELETE", queue.clone(), ""),
        ("DELETE", format!("{queue}/contents"), ""),
        ("POST", format!("{queue}/get"), get),
        ("PUT", format!("/api/exchanges/{vhost}/x"), r#"{"type":"direct"}"#),
        ("DELETE", format!("/api/exchanges/{vhost}/amq.direct"), ""),
        ("POST", format!("/api/bindings/{vhost}/e/amq.direct/q/{}", names.queue), "{}"),
        ("PUT", format!("/api/policies/{vhost}/p"), policy),
        ("DELETE", format!("/api/policies/{vhost}/p"), ""),
        ("GET", format!("/api/policies/{vhost}"), ""),
        ("GET", format!("/api/exchanges/{vhost}"), ""),
    ];

    for node in (0..cluster.len()).rev() {
        for (method, path, body) in &requests {
            for user in &users {
                let answer = user.http(cluster.http(node)).ask(method, path, body);

                let what = format!("{method} {path} as '{}' on node {node}", user.tags);
                // Some are told that there is no such thing, as they may not know that there is.
                assert!([401, 404].contains(&answer.status), "{what}: {answer:?}");
            }
        }
        for user in &users {
            let guest = Guest { vhost: &vhost, ..user.guest() };
            let refused = Wire::open_channel_for(cluster.amqp(node), PATIENCE, &guest);
            let refused = format!("{:#}", refused.expect_err("the vhost is not theirs"));
            let name = &user.name;
            let text = format!("NOT_ALLOWED - access to vhost '{vhost}' refused for user '{name}'");
            assert!(refused.contains(&text), "{refused}");
        }
    }
}
