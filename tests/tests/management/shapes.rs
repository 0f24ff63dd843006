//! Fields of RabbitMQ's objects, and of which kind they are.

use std::collections::BTreeMap;

use serde_json::Value;
use warren_tests::node::Node;
use warren_tests::wire::{Wire, consume, id};

use crate::guest;

const SHAPES: &str = include_str!("shapes.json");

/// The kinds of a field, by its path.
type Shape = BTreeMap<String, String>;

/// Looks `field` up, dots leading into objects and, by number, into lists.
pub(crate) fn at<'a>(row: &'a Value, field: &str) -> Option<&'a Value> {
    let mut steps = field.split('.').filter(|step| !step.is_empty());
    steps.try_fold(row, |value, step| match value {
        Value::Array(rows) => rows.get(step.parse::<usize>().ok()?),
        other => other.get(step),
    })
}

/// What JSON calls a value.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[test]
fn objects_have_the_fields_that_tools_look_for() {
    let node = Node::start();
    let client = guest(&node);
    let made = [
        ("/api/queues/%2F/classic", r#"{"durable":true,"arguments":{"x-max-length":9}}"#),
        ("/api/queues/%2F/quorum", r#"{"durable":true,"arguments":{"x-queue-type":"quorum"}}"#),
        ("/api/policies/%2F/p", r#"{"pattern":"^classic$","definition":{"max-length":5}}"#),
        (
            "/api/operator-policies/%2F/o",
            r#"{"pattern":"^classic$","definition":{"expires":600000}}"#,
        ),
        ("/api/vhost-limits/%2F/max-queues", r#"{"value":100}"#),
    ];
    for (path, body) in made {
        assert!(client.ask("PUT", path, body).status < 300, "{path}");
    }
    let mut consumer = Wire::open_channel(node.amqp()).unwrap();
    let consume = consume(1, "classic", "tag", 0, &[]);
    consumer.call(1, consume, id::CONSUME_OK).unwrap();

    let shapes: BTreeMap<String, Shape> = serde_json::from_str(SHAPES).unwrap();
    let mut different = Vec::new();
    for (path, shape) in &shapes {
        let value = client.value(path);
        let row = match &value {
            Value::Array(rows) => rows.first().unwrap_or(&Value::Null),
            other => other,
        };
        for (field, expected) in shape {
            let found = at(row, field).map_or("nothing", kind);
            if found != expected {
                different.push(format!("{path} {field}: {found} instead of {expected}"));
            }
        }
    }

    assert!(different.is_empty(), "{}", different.join("\n"));
}
