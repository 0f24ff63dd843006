//! Messages of a queue: looked at without touching them, dropped, and moved elsewhere.
//!
//! A filter is what the API takes behind its path: `header=kind=late&state=waiting`.

use serde_json::{Map, Value, json};

use super::{ANY, Command, OURS, Outcome, Section};
use crate::api::{path, quoted};
use crate::call::Call;
use crate::failure::Failure;
use crate::line::Switch;
use crate::show::{Chosen, Column, Output, Shape};

pub(super) static COMMANDS: &[Command] = &[
    Command::new("peek_messages", Section::Queues, OURS, "Shows messages of a queue without touching them", peek)
        .takes(
            "<queue> [--vhost <vhost>] [--filter <filter>] [--count <number>] [--offset <number>] [--from <next>] [--truncate <bytes>] [--no-table-headers] [<column>, ...]",
            1,
            ANY,
        )
        .with(&[
            Switch::word("filter"),
            Switch::number("count"),
            Switch::number("offset"),
            Switch::word("from"),
            Switch::number("truncate"),
        ]),
    Command::new("delete_messages", Section::Queues, OURS, "Drops messages of a queue", delete)
        .takes("<queue> [--vhost <vhost>] [--filter <filter>] [--all] [--dry-run]", 1, 1)
        .with(&[Switch::word("filter"), Switch::flag("all"), Switch::flag("dry-run")]),
    Command::new("move_messages", Section::Queues, OURS, "Moves messages of a queue elsewhere", relocate)
        .takes(
            "<queue> [--vhost <vhost>] [--filter <filter>] [--all] [--to-queue <queue>] [--to-exchange <exchange>] [--routing-key <key>] [--dry-run]",
            1,
            1,
        )
        .with(&[
            Switch::word("filter"),
            Switch::flag("all"),
            Switch::word("to-queue"),
            Switch::word("to-exchange"),
            Switch::word("routing-key"),
            Switch::flag("dry-run"),
        ]),
];

static COLUMNS: &[Column] = &[
    Column::plain("id"),
    Column::plain("position"),
    Column::plain("state"),
    Column::plain("exchange"),
    Column::plain("routing_key"),
    Column::plain("properties").shaped(Shape::Document),
    Column::plain("payload_bytes"),
    Column::plain("payload"),
    Column::plain("payload_encoding"),
    Column::plain("redelivered"),
    Column::plain("delivery_count"),
    Column::plain("in_ms"),
    Column::from("message_id", "properties.message_id"),
    Column::from("consumer_tag", "holder.consumer_tag"),
];

fn peek(call: &Call) -> Outcome {
    let shown = ["id", "position", "state", "payload_bytes", "payload"];
    let chosen = Chosen::behind(call, 1, COLUMNS, &shown)?;
    let (vhost, queue) = (call.vhost(), call.argument(0));
    call.say(&format!("Listing messages of queue '{queue}' in vhost '{vhost}' ..."))?;
    let mut query = filter(call)?;
    for name in ["count", "offset", "from", "truncate"] {
        query.extend(call.option(name).map(|value| format!("{name}={}", quoted(value))));
    }
    let path = path(&["queues", vhost, queue, "messages"]) + "?" + &query.join("&");
    let found = call.api()?.find(&path)?.ok_or_else(Failure::no_such_object)?;
    let items = found.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    if let Some(next) = found.get("next").and_then(Value::as_str) {
        call.say(&format!("There are more: --from {next}"))?;
    }
    Ok(chosen.list(&items))
}

fn delete(call: &Call) -> Outcome {
    let (vhost, queue) = (call.vhost(), call.argument(0));
    call.say(&format!("Deleting messages of queue '{queue}' in vhost '{vhost}' ..."))?;
    sweep(call, "delete", &json!({}))
}

fn relocate(call: &Call) -> Outcome {
    let (vhost, queue) = (call.vhost(), call.argument(0));
    let target = [
        ("queue", call.option("to-queue")),
        ("exchange", call.option("to-exchange")),
        ("routing_key", call.option("routing-key")),
    ];
    let target = target.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let target: Map<String, Value> =
        target.map(|(name, value)| (name.to_owned(), json!(value))).collect();
    call.say(&format!("Moving messages of queue '{queue}' in vhost '{vhost}' ..."))?;
    sweep(call, "move", &Value::Object(target))
}

/// Has the API do with messages what is asked, again and again until it has come to the end.
fn sweep(call: &Call, what: &str, body: &Value) -> Outcome {
    let (vhost, queue) = (call.vhost(), call.argument(0));
    let mut query = filter(call)?;
    for (switch, name) in [("all", "all"), ("dry-run", "dry_run")] {
        query.extend(call.is(switch).then(|| format!("{name}=true")));
    }
    let path = path(&["queues", vhost, queue, "messages", what]) + "?" + &query.join("&");
    let (api, mut sum, mut from) = (call.api()?, Map::new(), String::new());
    loop {
        let told = api.post(&(path.clone() + &from), body);
        let told = told.map_err(|problem| problem.or_missing(Failure::no_such_object))?;
        for (name, value) in told.as_object().into_iter().flatten() {
            if let Some(more) = value.as_u64() {
                let before = sum.get(name).and_then(Value::as_u64).unwrap_or_default();
                sum.insert(name.clone(), json!(before.saturating_add(more)));
            }
        }
        match told.get("next").and_then(Value::as_str) {
            Some(next) => from = format!("&from={}", quoted(next)),
            None => break,
        }
    }
    let lines: Vec<String> = sum.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    Ok(Output::Document { text: lines.join("\n"), value: Value::Object(sum) })
}

/// The filter as the API takes it.
fn filter(call: &Call) -> Result<Vec<String>, Failure> {
    let pairs = call.option("filter").into_iter().flat_map(|filter| filter.split('&'));
    let quoted = pairs.map(|pair| {
        let (name, value) = pair.split_once('=').ok_or_else(|| {
            call.bad_argument("A filter has the form name=value, with & between several")
        })?;
        Ok(format!("{}={}", quoted(name), quoted(value)))
    });
    quoted.collect()
}
