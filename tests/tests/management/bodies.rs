//! Bodies that make no sense, sent to everything that takes one: each is refused, and nothing breaks.

use serde_json::{Map, Value, json};
use warren_tests::http::Client;
use warren_tests::node::{self, Node};

use crate::guest;

/// Bodies that are no object.
const NO_OBJECTS: [&str; 8] =
    ["{", "[]", "null", "\"x\"", "7", "{\"a\":", "\u{0}", "{\"\\ud800\":1}"];

/// The longest body, of all but definitions.
const BODY_BYTES: usize = 20 << 20;

/// The longest of definitions.
const DEFINITIONS_BYTES: usize = 128 << 20;

/// Values of every kind, none of which is at home everywhere.
fn odd_values() -> Vec<Value> {
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    let wide: Map<String, Value> = (0..300).map(|at| (format!("k{at}"), json!(at))).collect();
    vec![
        Value::Null,
        json!(true),
        json!(-1),
        json!(u64::MAX),
        json!(1e300),
        json!(""),
        json!("\u{0}"),
        json!("x".repeat(300)),
        json!([]),
        json!([[], {}, null, 1]),
        json!({}),
        json!({ "": null, "x-max-length": "many", "x-dead-letter-exchange": [1] }),
        json!({ "x".repeat(300): 1 }),
        deep,
        Value::Object(wide),
    ]
}

/// What takes a body: method, path, and the fields, each with a value that it may have.
fn takers(client: &Client) -> Vec<(String, String, Map<String, Value>)> {
    let document = client.value("/api/openapi.json");
    let paths = document["paths"].as_object().unwrap();
    let methods = paths.iter().flat_map(|(path, methods)| {
        methods.as_object().into_iter().flatten().map(move |(method, said)| (path, method, said))
    });
    let takers = methods.filter_map(|(path, method, said)| {
        let schema = &said["requestBody"]["content"]["application/json"]["schema"];
        let fields = schema["properties"].as_object()?.iter();
        let fields = fields.map(|(name, field)| (name.clone(), usual(field)));
        Some((method.to_uppercase(), filled(path), fields.collect()))
    });
    // What ends or empties the node itself is not for this.
    takers.filter(|(_, path, _)| !path.starts_with("/api/warren/")).collect()
}

fn filled(path: &str) -> String {
    let part = |part: &str| match part {
        "{vhost}" => "%2F".to_owned(),
        "{exchange}" | "{source}" => "amq.topic".to_owned(),
        "{queue}" => "bodies".to_owned(),
        part if part.starts_with('{') => "bodies".to_owned(),
        part => part.to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

fn usual(field: &Value) -> Value {
    match field["type"].as_str() {
        Some("integer") => json!(1),
        Some("boolean") => json!(true),
        Some("object") => json!({}),
        Some(_) => json!("x"),
        None => json!([]),
    }
}

#[test]
fn a_body_beyond_the_limit_is_refused_and_one_at_it_is_read() {
    if node::elsewhere().is_some() {
        return;
    }
    let node = Node::start();
    let client = guest(&node);
    let body = |bytes: usize| {
        let said = r#"{"durable":true}"#;
        " ".repeat(bytes - said.len()) + said
    };

    let read = client.ask("PUT", "/api/queues/%2F/long", &body(BODY_BYTES));
    let refused = client.ask("PUT", "/api/queues/%2F/longer", &body(BODY_BYTES + 1));

    assert_eq!((read.status, refused.status), (201, 413), "{read:?} {refused:?}");
    assert!(refused.body.contains("payload_too_large"), "{}", refused.body);
    assert_eq!(client.ask("GET", "/api/queues/%2F/longer", "").status, 404);
}

#[test]
fn definitions_beyond_their_limit_are_refused_and_those_at_it_are_read() {
    if node::elsewhere().is_some() {
        return;
    }
    let node = Node::start();
    let client = guest(&node);
    let body = |bytes: usize| {
        let said = r#"{"vhosts":[{"name":"brought"}]}"#;
        " ".repeat(bytes - said.len()) + said
    };
    let ask = |bytes: usize| client.ask("POST", "/api/definitions", &body(bytes));

    let refused = ask(DEFINITIONS_BYTES + 1);
    assert_eq!(client.ask("GET", "/api/vhosts/brought", "").status, 404);
    let read = ask(DEFINITIONS_BYTES);

    assert_eq!((read.status, refused.status), (204, 413), "{read:?} {refused:?}");
    assert_eq!(client.ask("GET", "/api/vhosts/brought", "").status, 200);
}

#[test]
fn bodies_that_make_no_sense_are_refused_by_every_request_and_break_nothing() {
    if node::elsewhere().is_some() {
        return;
    }
    let node = Node::start();
    let client = guest(&node);
    assert_eq!(client.ask("PUT", "/api/queues/%2F/bodies", r#"{"durable":true}"#).status, 201);
    let takers = takers(&client);
    assert!(takers.len() >= 20, "only {} take a body", takers.len());

    let mut broken = Vec::new();
    let mut send = |method: &str, path: &str, body: &str| {
        let answer = client.try_ask(method, path, body);
        let is_broken = match &answer {
            Ok(answer) => answer.status == 500,
            Err(_) => true,
        };
        if is_broken {
            broken.push(format!("{method} {path} with {body}: {answer:?}"));
        }
    };
    for (method, path, fields) in &takers {
        for body in NO_OBJECTS {
            send(method, path, body);
        }
        for name in fields.keys() {
            for value in odd_values() {
                let mut fields = fields.clone();
                fields.insert(name.clone(), value);
                send(method, path, &Value::Object(fields).to_string());
            }
        }
    }

    assert!(broken.is_empty(), "{} answers:\n{}", broken.len(), broken.join("\n"));
    assert_eq!(client.ask("GET", "/api/overview", "").status, 200);
}
