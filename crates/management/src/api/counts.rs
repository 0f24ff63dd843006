//! What happened to messages, and how fast, under RabbitMQ's names.
//!
//! A number and its rate stand side by side: `publish` and `publish_details.rate`.

use serde_json::{Map, Value, json};
use warren_broker::{ChurnCounts, ChurnRates, ExchangeFigures, MessageCounts, MessageRates};

/// Everything that a connection does.
pub(super) fn of_client(counts: &MessageCounts, rates: &MessageRates) -> Value {
    let mut fields = common(counts, rates);
    for (name, count, rate) in [
        ("publish", counts.publish, rates.publish),
        ("confirm", counts.confirm, rates.confirm),
        ("return_unroutable", counts.return_unroutable, rates.return_unroutable),
        ("drop_unroutable", counts.drop_unroutable, rates.drop_unroutable),
    ] {
        put(&mut fields, name, count, rate);
    }
    Value::Object(fields)
}

/// What happens in a queue.
pub(super) fn of_queue(counts: &MessageCounts, rates: &MessageRates) -> Value {
    let mut fields = common(counts, rates);
    put(&mut fields, "publish", counts.publish, rates.publish);
    Value::Object(fields)
}

fn common(counts: &MessageCounts, rates: &MessageRates) -> Map<String, Value> {
    let given = counts
        .deliver
        .saturating_add(counts.deliver_no_ack)
        .saturating_add(counts.get)
        .saturating_add(counts.get_no_ack);
    let given_rate = rates.deliver + rates.deliver_no_ack + rates.get + rates.get_no_ack;
    let mut fields = Map::new();
    for (name, count, rate) in [
        ("ack", counts.ack, rates.ack),
        ("deliver", counts.deliver, rates.deliver),
        ("deliver_no_ack", counts.deliver_no_ack, rates.deliver_no_ack),
        ("deliver_get", given, given_rate),
        ("get", counts.get, rates.get),
        ("get_no_ack", counts.get_no_ack, rates.get_no_ack),
        ("get_empty", counts.get_empty, rates.get_empty),
        ("redeliver", counts.redeliver, rates.redeliver),
    ] {
        put(&mut fields, name, count, rate);
    }
    fields
}

fn put(fields: &mut Map<String, Value>, name: &str, count: u64, rate: f64) {
    fields.insert(name.to_owned(), count.into());
    fields.insert(format!("{name}_details"), json!({ "rate": rate }));
}

/// Who and what came and went.
pub(super) fn of_churn(counts: &ChurnCounts, rates: &ChurnRates) -> Value {
    let mut fields = Map::new();
    for (name, count, rate) in [
        ("connection_created", counts.connections_created, rates.connections_created),
        ("connection_closed", counts.connections_closed, rates.connections_closed),
        ("channel_created", counts.channels_created, rates.channels_created),
        ("channel_closed", counts.channels_closed, rates.channels_closed),
        ("queue_declared", counts.queues_declared, rates.queues_declared),
        ("queue_created", counts.queues_created, rates.queues_created),
        ("queue_deleted", counts.queues_deleted, rates.queues_deleted),
    ] {
        put(&mut fields, name, count, rate);
    }
    Value::Object(fields)
}

/// What went through an exchange, by way of all nodes.
pub(super) fn of_exchange<'a>(figures: impl Iterator<Item = &'a ExchangeFigures>) -> Value {
    let (mut came, mut went) = ((0_u64, 0.0), (0_u64, 0.0));
    for row in figures {
        came = (came.0.saturating_add(row.publish_in), came.1 + row.publish_in_rate);
        went = (went.0.saturating_add(row.publish_out), went.1 + row.publish_out_rate);
    }
    let mut fields = Map::new();
    put(&mut fields, "publish_in", came.0, came.1);
    put(&mut fields, "publish_out", went.0, went.1);
    Value::Object(fields)
}

/// How fast queues grow, as far as it follows from what is counted: what goes by itself, by age or
/// length, is not seen.
pub(super) fn growth(rates: &MessageRates) -> [(&'static str, Value); 3] {
    let given = rates.deliver + rates.get;
    let gone = rates.ack + rates.deliver_no_ack + rates.get_no_ack;
    let details = |rate: f64| json!({ "rate": rate });
    [
        ("messages_details", details(rates.publish - gone)),
        ("messages_ready_details", details(rates.publish - given - (gone - rates.ack))),
        ("messages_unacknowledged_details", details(given - rates.ack)),
    ]
}
