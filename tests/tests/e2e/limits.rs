//! Every limit that clients run into, pushed past: the answer is the right one, it is counted, and
//! the client next door notices nothing.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use warren_tests::cluster::Page;
use warren_tests::http::Client;
use warren_tests::node::{self, Node};
use warren_tests::wire::{
    Close, FRAME_BODY, Field, Flags, Frame, Guest, Pack, Wire, bind_queue, capabilities, consume,
    declare_exchange, declare_queue, get, id, plain_start_ok, publish, settle,
};

use crate::support::{PATIENCE, assert_serves};

/// Limits that a test can reach, and one queue more than the rows before need.
const SETTINGS: &str = "\
[limits]
frame_max = 8192
channel_max = 4
channel_max_per_node = 12
connection_max = 8
consumer_max_per_channel = 2
unacked_max_per_channel = 3
max_message_size = 1000
vhost_max = 2
queue_max_per_vhost = 3
cluster_queue_limit = 4
cluster_exchange_limit = 20
binding_max_per_vhost = 3
handshake_timeout_ms = 6000
login_failures_per_minute = 3
";

/// One limit.
struct Row {
    /// Its key, which is also what it is counted by.
    limit: &'static str,
    /// Where it stands.
    value: f64,
    /// Runs into it, and says what came.
    act: fn(&House) -> Result<String>,
    /// What should come. `*` at the end stands for anything.
    answer: &'static str,
}

/// In an order in which no row takes what a later one needs.
const ROWS: &[Row] = &[
    Row {
        limit: "frame_max",
        value: 8192.0,
        act: |house| {
            let mut wire = house.client()?;
            wire.send_lossy(
                &Frame { kind: FRAME_BODY, channel: 1, payload: vec![0; 9000] }.encode(),
            );
            told(&mut wire)
        },
        answer: "0: 501 FRAME_ERROR - type 3, frame of 9000 bytes is larger than 8192",
    },
    Row {
        limit: "table_depth",
        value: 64.0,
        act: |house| {
            let mut wire = house.client()?;
            let deep = (0..100).fold(Field::Void, |inner, _| Field::Array(vec![inner]));
            let arguments = [("deep".to_owned(), deep)];
            wire.send_lossy(&declare_queue(1, "deep", Flags::DURABLE, &arguments));
            told(&mut wire)
        },
        answer: "0: 501 FRAME_ERROR - cannot decode *",
    },
    Row {
        limit: "max_message_size",
        value: 1000.0,
        act: |house| {
            let mut wire = house.client()?;
            wire.send(&publish(1, "", "work", 0, &[0, 0], &[b'x'; 1001]))?;
            told(&mut wire)
        },
        answer: "1: 406 PRECONDITION_FAILED - message size 1001 is larger than configured max size \
                 1000",
    },
    Row {
        limit: "channel_max",
        value: 4.0,
        act: |house| {
            let mut wire = house.client()?;
            for channel in 2..=4 {
                wire.channel(channel)?;
            }
            wire.send(&Pack::method(id::CHANNEL_OPEN).short("").frame(5))?;
            told(&mut wire)
        },
        answer: "0: 530 NOT_ALLOWED - number of channels opened (4) has reached the negotiated \
                 channel_max (4)",
    },
    Row {
        limit: "channel_max_per_node",
        value: 12.0,
        act: |house| {
            let mut wires = Vec::new();
            for _ in 0..4 {
                let mut wire = house.guest()?;
                for channel in 1..=4 {
                    wire.send(&Pack::method(id::CHANNEL_OPEN).short("").frame(channel))?;
                    let frame = wire.frame()?;
                    if frame.method() != Some(id::CHANNEL_OPEN_OK) {
                        return close_in(&frame);
                    }
                }
                wires.push(wire);
            }
            bail!("16 channels are open")
        },
        answer: "0: 530 NOT_ALLOWED - number of channels opened on node 'limited@here' has reached \
                 the maximum allowed limit of (12)",
    },
    Row {
        limit: "consumer_max_per_channel",
        value: 2.0,
        act: |house| {
            let mut wire = house.client()?;
            for tag in ["a", "b"] {
                wire.call(1, consume(1, "work", tag, 0, &[]), id::CONSUME_OK)?;
            }
            wire.send(&consume(1, "work", "c", 0, &[]))?;
            told(&mut wire)
        },
        answer: "0: 530 NOT_ALLOWED - reached maximum (2) of consumers per channel",
    },
    Row {
        limit: "unacked_max_per_channel",
        value: 3.0,
        act: |house| {
            let mut wire = house.client()?;
            for number in 1..=5 {
                wire.publish_to(1, "work", &[number])?;
            }
            wire.call(1, consume(1, "work", "c", 0, &[]), id::CONSUME_OK)?;
            for _ in 0..3 {
                wire.message(1)?;
            }
            // No fourth one comes before the answer to this, nor before one is settled.
            let qos = Pack::method(id::QOS).u32(0).u16(0).u8(0).frame(1);
            wire.call(1, qos, id::QOS_OK)?;
            wire.send(&settle(1, id::ACK, 1, 0))?;
            let fourth = wire.message(1)?;
            ensure!(fourth.body == [4], "{fourth:?}");
            wire.send(&get(1, "work", false))?;
            told(&mut wire)
        },
        answer: "1: 406 PRECONDITION_FAILED - number of unacknowledged messages on channel 1 has \
                 reached the maximum allowed limit of (3)",
    },
    Row {
        limit: "binding_max_per_vhost",
        value: 3.0,
        act: |house| {
            let mut wire = house.client()?;
            let bind = |key| bind_queue(1, "work", "amq.topic", key);
            for key in ["a", "b", "c", "c"] {
                wire.call(1, bind(key), id::QUEUE_BIND_OK)?;
            }
            wire.send(&bind("d"))?;
            told(&mut wire)
        },
        answer: "1: 406 PRECONDITION_FAILED - cannot bind to exchange 'amq.topic': binding limit \
                 in vhost '/' (3) is reached",
    },
    Row {
        limit: "queue_max_per_vhost",
        value: 3.0,
        act: |house| {
            let mut wire = house.client()?;
            // With the two that are there already; the last one is there by then.
            for queue in ["third", "third"] {
                wire.declare(1, queue, Flags::DURABLE, &[])?;
            }
            wire.send(&declare_queue(1, "fourth", Flags::DURABLE, &[]))?;
            told(&mut wire)
        },
        answer: "1: 406 PRECONDITION_FAILED - cannot declare queue 'fourth': queue limit in vhost \
                 '/' (3) is reached",
    },
    Row {
        limit: "vhost_max",
        value: 2.0,
        act: |house| {
            let made = house.operator().ask("PUT", "/api/vhosts/second", "");
            ensure!(made.status == 201, "{made:?}");
            let refused = house.operator().ask("PUT", "/api/vhosts/third", "");
            Ok(format!("{} {}", refused.status, refused.body))
        },
        answer: r#"400 {"error":"bad_request","reason":"cannot create vhost 'third': vhost limit of 2 is reached"}"#,
    },
    Row {
        limit: "cluster_queue_limit",
        value: 4.0,
        act: |house| {
            let put = |queue| {
                let path = format!("/api/queues/second/{queue}");
                house.operator().ask("PUT", &path, r#"{"durable":true}"#)
            };
            let made = put("one");
            ensure!(made.status == 201, "{made:?}");
            let refused = put("two");
            Ok(format!("{} {}", refused.status, refused.body))
        },
        answer: r#"400 {"error":"bad_request","reason":"cannot declare queue 'two': queue limit in cluster (4) is reached"}"#,
    },
    Row {
        limit: "cluster_exchange_limit",
        value: 20.0,
        act: |house| {
            let mut wire = house.client()?;
            for number in 0..=20 {
                let name = format!("x{number}");
                wire.send(&declare_exchange(1, &name, "fanout", Flags::DURABLE, &[]))?;
                let frame = wire.frame()?;
                if frame.method() != Some(id::EXCHANGE_DECLARE_OK) {
                    ensure!(number > 0, "not a single one is made");
                    return close_in(&frame);
                }
            }
            bail!("there are more than 20 exchanges")
        },
        answer: "1: 406 PRECONDITION_FAILED - cannot declare exchange '*",
    },
    Row {
        limit: "connection_max",
        value: 8.0,
        act: |house| {
            let mut wires = Vec::new();
            for _ in 0..9 {
                let mut wire = Wire::begin(house.node.amqp())?;
                wire.send(&plain_start_ok("guest", "guest", &capabilities()))?;
                let opened = wire.tune(0);
                match opened {
                    Ok(()) => wires.push(wire),
                    Err(error) => return Ok(format!("{error:#}")),
                }
            }
            bail!("9 connections are open")
        },
        answer: "waited for (10, 41) on channel 0, but the broker closed: Close { channel: 0, code: \
                 530, text: \"NOT_ALLOWED - connection refused: node connection limit (8) is \
                 reached\"*",
    },
    Row {
        limit: "heartbeat_s",
        value: 60.0,
        act: |house| {
            let guest = Guest { heartbeat_seconds: 1, ..Guest::default() };
            let address = house.node.amqp();
            let mut wire = patiently(|| Wire::open_channel_for(address, PATIENCE, &guest))?;
            wire.expect_end()?;
            Ok("the end".to_owned())
        },
        answer: "the end",
    },
    Row {
        limit: "handshake_timeout_ms",
        value: 6000.0,
        act: |house| {
            house.silent.borrow_mut().expect_end()?;
            Ok("the end".to_owned())
        },
        answer: "the end",
    },
    Row {
        limit: "login_failures_per_minute",
        value: 3.0,
        act: |house| {
            let made = r#"{"password":"right","tags":""}"#;
            let made = house.operator().ask("PUT", "/api/users/late", made);
            ensure!(made.status == 201, "{made:?}");
            for _ in 0..4 {
                house.login("guest", "wrong")?;
            }
            // Whoever came in before still does; others do not even with the right password.
            drop(house.client()?);
            house.login("late", "right")
        },
        answer: "0: 403 ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. *",
    },
];

#[test]
fn whoever_runs_into_a_limit_is_told_and_nobody_else_notices() {
    if node::elsewhere().is_some() {
        return;
    }
    let house = House::build();

    let faults: Vec<String> = ROWS
        .iter()
        .filter_map(|row| house.try_row(row).err().map(|fault| format!("{}: {fault:#}", row.limit)))
        .collect();

    assert!(faults.is_empty(), "{} limits differ:\n{}", faults.len(), faults.join("\n"));
}

/// What is made under a name over HTTP: where, and with which body.
const NAMED: [(&str, &str); 6] = [
    ("/api/vhosts/", "{}"),
    ("/api/queues/%2F/", r#"{"durable":true}"#),
    ("/api/exchanges/%2F/", r#"{"type":"fanout"}"#),
    ("/api/users/", r#"{"password":"p","tags":""}"#),
    ("/api/policies/%2F/", r#"{"pattern":"^nobody$","definition":{"max-length":1}}"#),
    ("/api/operator-policies/%2F/", r#"{"pattern":"^nobody$","definition":{"max-length":1}}"#),
];

#[test]
fn names_that_amqp_cannot_say_are_refused_over_http() {
    let Some(node) = node::own() else { return };
    let http = Client::new(node.addresses().http, "guest", "guest");
    let (longest, beyond) = ("n".repeat(255), "n".repeat(256));
    let bind = |key: &str| {
        let body = serde_json::json!({ "routing_key": key }).to_string();
        let path = format!("/api/bindings/%2F/e/amq.topic/q/{longest}");
        http.ask("POST", &path, &body)
    };

    for (path, body) in NAMED {
        let made = http.ask("PUT", &format!("{path}{longest}"), body);
        let refused = http.ask("PUT", &format!("{path}{beyond}"), body);
        assert_eq!((made.status, refused.status), (201, 400), "{path}: {made:?} {refused:?}");
        assert!(refused.body.contains("has 1 to 255 bytes, not 256"), "{path}: {}", refused.body);
    }
    let (bound, refused) = (bind(&longest), bind(&beyond));
    assert_eq!((bound.status, refused.status), (201, 400), "{bound:?} {refused:?}");
    assert_serves(node.amqp(), "names that are too long");
}

/// A node with low limits, and who lives there already.
struct House {
    node: Node,
    _settings: tempfile::TempDir,
    next_door: RefCell<Wire>,
    /// Somebody who says nothing.
    silent: RefCell<Wire>,
}

impl House {
    fn build() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("warren.toml");
        std::fs::write(&path, format!("name = \"limited@here\"\n{SETTINGS}")).unwrap();
        let node = Node::start_with(&["--config", path.to_str().unwrap()]);
        let mut next_door = Wire::open_channel(node.amqp()).unwrap();
        for queue in ["next door", "work"] {
            next_door.declare(1, queue, Flags::DURABLE, &[]).unwrap();
        }
        let silent = Wire::connect(node.amqp()).unwrap();
        let (next_door, silent) = (RefCell::new(next_door), RefCell::new(silent));
        Self { node, _settings: dir, next_door, silent }
    }

    fn try_row(&self, row: &Row) -> Result<()> {
        let labels = [("limit", row.limit)];
        let page = || Page::of(self.node.addresses().metrics);
        let before = page()?.value("warren_limit_hits_total", &labels);

        let answer = (row.act)(self)?;

        let fits = match row.answer.strip_suffix('*') {
            Some(begin) => answer.starts_with(begin),
            None => answer == row.answer,
        };
        ensure!(fits, "\n  expected {}\n  but got  {answer}", row.answer);
        self.serves_next_door().context("the client next door is hurt")?;
        let after = page()?;
        let hits = after.value("warren_limit_hits_total", &labels);
        ensure!(hits > before, "hits were {before:?} and are {hits:?}");
        let value = after.value("warren_limit", &labels);
        ensure!(value == Some(row.value), "it stands at {value:?}");
        Ok(())
    }

    fn serves_next_door(&self) -> Result<()> {
        let mut wire = self.next_door.borrow_mut();
        wire.publish_to(1, "next door", b"still here")?;
        let message = wire.get(1, "next door", true)?.context("the message is not there")?;
        ensure!(message.body == b"still here");
        Ok(())
    }

    /// A connection of guest's. Clients of the row before may need a moment to be gone.
    fn guest(&self) -> Result<Wire> {
        patiently(|| Wire::open(self.node.amqp()))
    }

    /// The same with channel 1 open.
    fn client(&self) -> Result<Wire> {
        patiently(|| Wire::open_channel(self.node.amqp()))
    }

    fn operator(&self) -> Client {
        Client::new(self.node.addresses().http, "guest", "guest")
    }

    /// What a client hears whose login is refused.
    fn login(&self, user: &str, password: &str) -> Result<String> {
        let mut wire = Wire::begin(self.node.amqp())?;
        wire.send(&plain_start_ok(user, password, &capabilities()))?;
        told(&mut wire)
    }
}

/// Tries until it works, or has not for too long.
fn patiently<T>(attempt: impl Fn() -> Result<T>) -> Result<T> {
    let until = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Err(_) if Instant::now() < until => std::thread::sleep(Duration::from_millis(10)),
            outcome => return outcome,
        }
    }
}

/// What the broker closes a channel or the connection with.
fn told(wire: &mut Wire) -> Result<String> {
    Ok(shown(&wire.expect_close()?))
}

fn close_in(frame: &Frame) -> Result<String> {
    Ok(shown(&Close::of(frame).context("it is no close")?))
}

fn shown(close: &Close) -> String {
    format!("{}: {} {}", close.channel, close.code, close.text)
}
