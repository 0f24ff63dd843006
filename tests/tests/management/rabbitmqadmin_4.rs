//! `rabbitmqadmin` of RabbitMQ 4, in its requests and in what it reads of the answers.
//!
//! It is a program of its own (rabbitmqadmin 2.35) whose library reads answers strictly: a field
//! that lacks, or is of another kind, and the whole command fails. Which those are is in
//! `rabbitmqadmin_4.json`.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;
use warren_tests::cluster::Cluster;
use warren_tests::http::{Answer, Client};
use warren_tests::wire::{Flags, Wire, consume, id};

/// How long a list may lack what another node made.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks.
const GLANCE: Duration = Duration::from_millis(20);

const STEPS: &str = include_str!("rabbitmqadmin_4.json");

/// Fields and their kinds.
type Fields = BTreeMap<String, String>;

/// One request.
#[derive(Debug, Deserialize)]
struct Step {
    method: String,
    /// With PORT for the node's AMQP port.
    path: String,
    #[serde(default)]
    body: Value,
    status: u16,
    /// What the answer must have.
    #[serde(default)]
    one: Fields,
    /// What everything in the answer must have, of which there is something.
    #[serde(default)]
    each: Fields,
}

#[test]
fn rabbitmqadmin_of_rabbitmq_4_finds_all_that_it_reads_on_three_nodes() {
    let Some(cluster) = Cluster::own(3) else { return };
    let mut wire = Wire::open_channel(cluster.amqp(0)).unwrap();
    wire.declare(1, "watched", Flags::DURABLE, &[]).unwrap();
    wire.call(1, consume(1, "watched", "me", 0, &[]), id::CONSUME_OK).unwrap();
    let steps: Vec<Step> = serde_json::from_str(STEPS).unwrap();

    let mut different = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        let node = number % cluster.len();
        let client = Client::new(cluster.http(node), "guest", "guest");
        let path = step.path.replace("PORT", &cluster.amqp(node).port().to_string());
        let body = if step.body.is_null() { String::new() } else { step.body.to_string() };
        // The node before this one made it: a list shows it as soon as this one has heard of it.
        let deadline = Instant::now() + PATIENCE;
        let (answer, wrong) = loop {
            let answer = client.ask(&step.method, &path, &body);
            let wrong = lacking(step, &answer);
            let is_final = step.method != "GET" || Instant::now() >= deadline;
            if wrong.is_empty() || is_final {
                break (answer, wrong);
            }
            thread::sleep(GLANCE);
        };
        if !wrong.is_empty() {
            let (method, wrong) = (&step.method, wrong.join(", "));
            different.push(format!("{method} {path}: {wrong}\n  {}", answer.body));
        }
    }

    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// What the answer lacks, or has in another kind.
fn lacking(step: &Step, answer: &Answer) -> Vec<String> {
    if answer.status != step.status {
        return vec![format!("status {}", answer.status)];
    }
    if step.one.is_empty() && step.each.is_empty() {
        return Vec::new();
    }
    let answer = answer.json();
    let mut wrong = wrong_in(&answer, &step.one);
    if !step.each.is_empty() {
        match answer.as_array() {
            Some(rows) if !rows.is_empty() => {
                wrong.extend(rows.iter().flat_map(|row| wrong_in(row, &step.each)));
            }
            Some(_) | None => wrong.push("nothing in it".to_owned()),
        }
    }
    wrong.sort();
    wrong.dedup();
    wrong
}

fn wrong_in(value: &Value, fields: &Fields) -> Vec<String> {
    let is_wrong = |(name, kind): &(&String, &String)| kind_of(value.get(*name)) != kind.as_str();
    let wrong = fields.iter().filter(is_wrong);
    wrong
        .map(|(name, kind)| format!("{name} is {}, not {kind}", kind_of(value.get(name))))
        .collect()
}

fn kind_of(value: Option<&Value>) -> &'static str {
    match value {
        None => "missing",
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "bool",
        Some(Value::Number(_)) => "number",
        Some(Value::String(_)) => "string",
        Some(Value::Array(_)) => "array",
        Some(Value::Object(_)) => "object",
    }
}
