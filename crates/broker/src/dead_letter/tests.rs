//! Histories of dead messages beside RabbitMQ's: see `testdata/x-death`.
//!
//! A script says what a client publishes and how the message dies, step by step; the outcome, what
//! is then published to which exchange under which keys, in types and order as on the wire. Only times
//! are left out: RabbitMQ's were its own.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use warren_amqp::header::Properties;

use super::*;
use crate::connection::wishes;

const TIME: Timestamp = Timestamp(5_999);

/// A message on its way through a script.
struct Way {
    exchange: String,
    key: Vec<u8>,
    extra_keys: Vec<Vec<u8>>,
    header: Bytes,
    trail: Bytes,
    is_dropped: bool,
}

impl Way {
    fn publish(exchange: &str, key: &str, headers: &Table, expiration: Option<&str>) -> Self {
        let headers = (!headers.is_empty()).then(|| headers.clone());
        let expiration = expiration.map(str::to_owned);
        let properties = Properties { headers, expiration, ..Properties::default() };
        let wishes = wishes(properties.encode(), "guest", false).expect("it may be published");
        Self {
            exchange: exchange.to_owned(),
            key: key.as_bytes().to_vec(),
            extra_keys: wishes.extra_keys,
            header: wishes.header,
            trail: wishes.trail,
            is_dropped: false,
        }
    }

    /// `die QUEUE REASON to EXCHANGE [as KEY] [reaching QUEUE]`
    fn die(&mut self, words: &[&str]) {
        assert!(!self.is_dropped, "a message dies once more that is gone");
        let [queue, reason, "to", exchange, options @ ..] = words else {
            panic!("not a death: {words:?}");
        };
        let option = |name| options.iter().position(|word| *word == name).map(|at| options[at + 1]);
        let reasons = [
            DeathReason::Rejected,
            DeathReason::Expired,
            DeathReason::MaxLength,
            DeathReason::DeliveryLimit,
        ];
        let reason = reasons.into_iter().find(|one| one.name() == *reason).expect("a reason");
        let death = Death {
            queue,
            reason,
            time: TIME,
            exchange: &self.exchange,
            routing_key: &self.key,
            rerouted: option("as").is_some(),
        };
        let buried = bury(&self.header, Trail::decode(&self.trail), &death);
        self.is_dropped = option("reaching").is_some_and(|queue| buried.circles_to(queue));
        self.exchange = unquoted(exchange).to_owned();
        if let Some(key) = option("as") {
            self.key = key.as_bytes().to_vec();
        }
        let Buried { header, trail, extra_keys, .. } = buried;
        (self.header, self.trail, self.extra_keys) = (header, trail, extra_keys);
    }

    fn outcome(&self) -> String {
        if self.is_dropped {
            return "dropped\n".to_owned();
        }
        assert_eq!(header::expiration(&self.header), None);
        let keys: Vec<_> = std::iter::once(&self.key)
            .chain(&self.extra_keys)
            .map(|key| String::from_utf8_lossy(key))
            .collect();
        let mut text = format!("exchange: {}\nkeys: {}\n", self.exchange, keys.join(" "));
        let headers = header::headers_table(&self.header).expect("sound").expect("it has died");
        for (name, value) in headers.iter() {
            writeln!(text, "{name}: {}", shown(value, 0)).expect("strings take all");
        }
        let lines: Vec<_> = text.lines().map(str::trim_end).collect();
        lines.join("\n") + "\n"
    }
}

fn unquoted(word: &str) -> &str {
    if word == "\"\"" { "" } else { word }
}

/// A value with the letter of its type, as it is on the wire.
fn shown(value: &Value, depth: usize) -> String {
    let margin = "  ".repeat(depth);
    match value {
        Value::LongString(text) => format!("S {}", String::from_utf8_lossy(text)),
        Value::I32(number) => format!("I {number}"),
        Value::I64(number) => format!("l {number}"),
        Value::Timestamp(seconds) => {
            assert_eq!(*seconds, 5, "in whole seconds");
            "T time".to_owned()
        }
        Value::Array(values) => values.iter().fold("A".to_owned(), |text, value| {
            format!("{text}\n{margin}  - {}", shown(value, depth + 2))
        }),
        Value::Table(table) => table.iter().fold("F".to_owned(), |text, (name, value)| {
            format!("{text}\n{margin}  {name}: {}", shown(value, depth + 1))
        }),
        other => panic!("the scripts have no {other:?}"),
    }
}

/// A history that no broker wrote.
fn forged() -> Value {
    let entries = [
        ("count", Value::I32(7)),
        ("reason", Value::text("expired")),
        ("queue", Value::text("forged")),
        ("time", Value::Timestamp(1_577_836_800)),
        ("exchange", Value::text("forged")),
        ("routing-keys", Value::Array(vec![Value::text("forged")])),
    ];
    let entries = entries.into_iter().map(|(name, value)| (name.to_owned(), value));
    Value::Array(vec![Value::Table(entries.collect())])
}

fn played(script: &str) -> String {
    let mut headers = Table::new();
    let (mut published, mut way) = (None, None);
    for line in script.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<_> = line.split(' ').collect();
        match &words[..] {
            ["publish", exchange, key, options @ ..] => {
                let expiration = options.first().and_then(|one| one.strip_prefix("expiration="));
                published = Some((unquoted(exchange), *key, expiration));
            }
            ["header", name, "S", text] => headers.insert(name, Value::text(text)),
            ["header", name, "I", number] => {
                headers.insert(name, Value::I32(number.parse().expect("a number")));
            }
            ["keys", name, keys @ ..] => {
                let keys = keys.iter().map(|key| Value::text(key)).collect();
                headers.insert(name, Value::Array(keys));
            }
            ["forge", "x-death"] => headers.insert("x-death", forged()),
            ["die", death @ ..] => {
                let way = way.get_or_insert_with(|| {
                    let (exchange, key, expiration) = published.expect("published before");
                    Way::publish(exchange, key, &headers, expiration)
                });
                way.die(death);
            }
            _ => panic!("not a step: {line}"),
        }
    }
    way.expect("a message has died").outcome()
}

fn scripts() -> Vec<PathBuf> {
    let package = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let folder = Path::new(&package).join("testdata/x-death");
    let files = fs::read_dir(folder).expect("the folder is there");
    let mut scripts: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    scripts.sort();
    scripts
}

#[test]
fn the_dead_look_as_in_rabbitmq() {
    let scripts = scripts();
    for path in &scripts {
        let text = fs::read_to_string(path).expect("a text");
        let at = text.find("\n\nexchange:").or(text.find("\n\ndropped")).expect("an outcome") + 2;
        let (script, expected) = text.split_at(at);

        let outcome = played(script);

        assert!(outcome == expected, "{}: instead\n{outcome}", path.display());
    }
    assert_eq!(scripts.len(), 18);
}

#[test]
fn a_history_that_a_client_wrote_twice_is_gone_twice() {
    let entries = [("x-death".to_owned(), forged()), ("x-death".to_owned(), forged())];
    let headers: Table = entries.into_iter().collect();
    let mut way = Way::publish("logs", "some.key", &headers, None);

    way.die(&["source", "expired", "to", "dlx", "reaching", "forged"]);

    assert!(!way.is_dropped);
    assert!(!way.outcome().contains("forged"));
}
