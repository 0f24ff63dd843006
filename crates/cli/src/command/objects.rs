//! Exchanges, bindings and consumers.

use serde_json::Value;

use super::{Command, LOOK, Outcome, Section};
use crate::api::path;
use crate::call::Call;
use crate::show::{Cell, Chosen, Column, Shape};

pub(super) static COMMANDS: &[Command] = &[
    Command::new("list_exchanges", Section::Monitoring, LOOK, "Lists exchanges", exchanges).takes(
        "[--vhost <vhost>] [--no-table-headers] [<column> ...] [--timeout <timeout>]",
        0,
        super::ANY,
    ),
    Command::new("list_bindings", Section::Monitoring, LOOK, "Lists bindings", bindings).takes(
        "[--vhost <vhost>] [--no-table-headers] [<column> ...] [--timeout <timeout>]",
        0,
        super::ANY,
    ),
    Command::new("list_consumers", Section::Monitoring, LOOK, "Lists consumers", consumers).takes(
        "[--vhost <vhost>] [--no-table-headers] [<column> ...] [--timeout <timeout>]",
        0,
        super::ANY,
    ),
];

static EXCHANGES: &[Column] = &[
    Column::plain("name"),
    Column::plain("type"),
    Column::plain("durable"),
    Column::plain("auto_delete"),
    Column::plain("internal"),
    Column::plain("arguments").shaped(Shape::Arguments),
    Column::plain("policy"),
];

static BINDINGS: &[Column] = &[
    Column::from("source_name", "source"),
    Column::plain("source_kind").shaped(Shape::Made(|_| Cell::text("exchange"))),
    Column::from("destination_name", "destination"),
    Column::from("destination_kind", "destination_type"),
    Column::plain("routing_key"),
    Column::plain("arguments").shaped(Shape::Arguments),
];

static CONSUMERS: &[Column] = &[
    Column::from("queue_name", "queue.name"),
    Column::plain("channel_pid").shaped(Shape::Made(channel_pid)),
    Column::plain("consumer_tag"),
    Column::plain("ack_required"),
    Column::plain("prefetch_count"),
    Column::plain("active"),
    Column::plain("activity_status"),
    Column::plain("arguments").shaped(Shape::Arguments),
];

fn channel_pid(consumer: &Value) -> Cell {
    let details = consumer.get("channel_details").unwrap_or(&Value::Null);
    Cell::text(super::connections::pid(details))
}

fn exchanges(call: &Call) -> Outcome {
    let chosen = Chosen::by(call, EXCHANGES, &["name", "type"])?;
    let banner = format!("Listing exchanges for vhost {} ...", call.vhost());
    list(call, &chosen, &banner, "exchanges")
}

fn bindings(call: &Call) -> Outcome {
    let columns = [
        "source_name",
        "source_kind",
        "destination_name",
        "destination_kind",
        "routing_key",
        "arguments",
    ];
    let chosen = Chosen::by(call, BINDINGS, &columns)?;
    list(call, &chosen, &format!("Listing bindings for vhost {}...", call.vhost()), "bindings")
}

fn consumers(call: &Call) -> Outcome {
    let columns = [
        "queue_name",
        "channel_pid",
        "consumer_tag",
        "ack_required",
        "prefetch_count",
        "active",
        "arguments",
    ];
    let chosen = Chosen::by(call, CONSUMERS, &columns)?;
    let banner = format!("Listing consumers in vhost {} ...", call.vhost());
    list(call, &chosen, &banner, "consumers")
}

/// What is in the virtual host. One that is not there has nothing in it, as with RabbitMQ's tools.
fn list(call: &Call, chosen: &Chosen, banner: &str, what: &str) -> Outcome {
    let api = call.api()?;
    call.say(banner)?;
    let rows = api.find_list(&path(&[what, call.vhost()]))?.unwrap_or_default();
    Ok(chosen.list(&rows))
}
