//! Tests of `refusal`.

use warren_types::Table;

use super::*;

#[test]
fn refusals_read_as_rabbitmq_writes_them() {
    let (vhost, name): (Name, Name) = ("/".into(), "q".into());
    let cases = [
        (Refusal::NoResource(Resource::queue(&vhost, &name)), "no queue 'q' in vhost '/'"),
        (Refusal::NoResource(Resource::exchange(&vhost, &name)), "no exchange 'q' in vhost '/'"),
        (
            Refusal::ReservedName { kind: ResourceKind::Exchange, name: "amq.x".into() },
            "exchange name 'amq.x' contains reserved prefix 'amq.*'",
        ),
        (Refusal::UnknownExchangeType { name: "x".into() }, "unknown exchange type 'x'"),
        (Refusal::DefaultExchange, "operation not permitted on the default exchange"),
        (
            Refusal::SystemExchange { exchange: Resource::exchange(&vhost, &"amq.topic".into()) },
            "deletion of system exchange 'amq.topic' in vhost '/' not allowed",
        ),
        (
            Refusal::InUse { resource: Resource::exchange(&vhost, &"x".into()) },
            "exchange 'x' in vhost '/' in use",
        ),
        (
            Refusal::QueueLimit { vhost, queue: name, limit: 3 },
            "cannot declare queue 'q': queue limit in vhost '/' (3) is reached",
        ),
    ];
    for (refusal, expected) in cases {
        assert_eq!(refusal.to_string(), expected);
    }
}

#[test]
fn values_show_as_erlang_shows_them() {
    let mut inner = Table::new();
    inner.insert("k", Value::text("v"));
    let cases = [
        (Value::Bool(true), "true"),
        (Value::I64(-5), "-5"),
        (Value::F64(1.0), "1.0"),
        (Value::text("x"), "x"),
        (Value::Void, "undefined"),
        (
            Value::Array(vec![Value::I32(1), Value::text("x")]),
            "[{signedint,1},{longstr,<<\"x\">>}]",
        ),
        (Value::Table(inner), "[{<<\"k\">>,longstr,<<\"v\">>}]"),
    ];
    for (value, expected) in cases {
        assert_eq!(Shown(&value).to_string(), expected);
    }
}

#[test]
fn fractions_read_as_erlang_writes_them() {
    let texts = [1000.0, 100.0, 0.5, 0.001, -60_000.0, 1e22, 123_456.75].map(fraction);

    assert_eq!(texts, ["1.0e3", "100.0", "0.5", "0.001", "-6.0e4", "1.0e22", "123456.75"]);
}
