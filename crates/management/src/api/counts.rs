//! What happened to messages, and how fast, under RabbitMQ's names.
//!
//! A number and its rate stand side by side: `publish` and `publish_details.rate`.

use serde_json::{Map, Value, json};
use warren_broker::{MessageCounts, MessageRates};

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
