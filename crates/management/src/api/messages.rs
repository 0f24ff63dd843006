//! Messages in and out: for people who look and try, not for applications.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use warren_broker::{AckMode, Fetched, Properties, Publication, Published};

use super::answer::{Answer, Outcome, Problem};
use super::body::Fields;
use super::call::Call;
use super::refusal::{in_full, in_full_or_unauthorised, must_exist};
use super::route::{Field, Kind, may, must};
use super::table;

/// What publishing takes.
pub(super) const PUBLISH: &[Field] = &[
    must("properties", Kind::Object),
    must("routing_key", Kind::Text),
    must("payload", Kind::Text),
    must("payload_encoding", Kind::Text),
];

/// What getting takes.
pub(super) const GET: &[Field] = &[
    must("count", Kind::Integer),
    must("ackmode", Kind::Text),
    must("encoding", Kind::Text),
    may("truncate", Kind::Integer),
];

/// The most messages that are fetched at once.
const COUNT_MAX: usize = 10_000;

const ACK_MODES: [(&str, AckMode); 4] = [
    ("ack_requeue_true", AckMode::AckRequeueTrue),
    ("ack_requeue_false", AckMode::AckRequeueFalse),
    ("reject_requeue_true", AckMode::RejectRequeueTrue),
    ("reject_requeue_false", AckMode::RejectRequeueFalse),
];

/// Publishes a message.
pub(super) async fn publish(call: Call) -> Outcome {
    let vhost = call.vhost_to_change().await?;
    let fields = call.fields()?;
    fields.need(&["properties", "routing_key", "payload", "payload_encoding"])?;
    let exchange = call.exchange_at("exchange");
    let known = call.find(|catalog| catalog.exchange(&vhost, &exchange).map(|_| ())).await;
    must_exist(known, "exchange_not_found")?;
    let publication = Publication {
        exchange: exchange.to_string(),
        routing_key: fields.text("routing_key")?.to_string(),
        properties: properties(&fields)?,
        payload: payload(&fields)?,
    };
    let actor = call.actor();
    let publishing = call.broker.publish(&actor, &vhost, publication);
    match Box::pin(publishing).await.map_err(in_full)? {
        Published::Routed => Ok(Answer::Value(json!({ "routed": true }))),
        // A queue that is full has not taken it either.
        Published::Unroutable | Published::Refused => Ok(Answer::Value(json!({ "routed": false }))),
    }
}

pub(super) fn payload(fields: &Fields) -> Result<Bytes, Problem> {
    let text = fields.text("payload")?;
    match &*fields.text("payload_encoding")? {
        "string" => Ok(text.as_bytes().to_vec().into()),
        "base64" => match STANDARD.decode(text.as_bytes()) {
            Ok(bytes) => Ok(bytes.into()),
            Err(_) => Err(Problem::bad_request(json!(["not_base64", &*text]))),
        },
        other => Err(Problem::bad_request(json!(["unsupported_encoding", other]))),
    }
}

pub(super) fn properties(fields: &Fields) -> Result<Properties, Problem> {
    let said = match fields.value("properties") {
        None => Fields::default(),
        // What PHP makes of an empty map.
        Some(Value::Array(none)) if none.is_empty() => Fields::default(),
        Some(other) => {
            Fields::of(other).ok_or_else(|| Problem::bad_request("properties are no object"))?
        }
    };
    let text = |name: &str| match said.value(name) {
        None => Ok(None),
        Some(_) => said.text(name).map(|text| Some(text.to_string())),
    };
    let octet = |name: &'static str| match said.value(name) {
        None => Ok(None),
        Some(value) => match value.as_u64().map(u8::try_from) {
            Some(Ok(octet)) => Ok(Some(octet)),
            Some(Err(_)) | None => Err(Problem::bad_request(json!(["not_int", name]))),
        },
    };
    let timestamp = match said.value("timestamp") {
        None => None,
        Some(value) => Some(
            value.as_u64().ok_or_else(|| Problem::bad_request(json!(["not_int", "timestamp"])))?,
        ),
    };
    let headers = match said.value("headers") {
        None => None,
        Some(_) => Some(said.table("headers")?),
    };
    Ok(Properties {
        content_type: text("content_type")?,
        content_encoding: text("content_encoding")?,
        headers,
        delivery_mode: octet("delivery_mode")?,
        priority: octet("priority")?,
        correlation_id: text("correlation_id")?,
        reply_to: text("reply_to")?,
        expiration: text("expiration")?,
        message_id: text("message_id")?,
        timestamp,
        kind: text("type")?,
        user_id: text("user_id")?,
        app_id: text("app_id")?,
        cluster_id: text("cluster_id")?,
    })
}

/// Fetches messages.
pub(super) async fn fetch(call: Call) -> Outcome {
    let vhost = call.vhost_to_change().await?;
    let queue = call.at("queue");
    let known = call.find(|catalog| catalog.queue(&vhost, queue).map(|_| ())).await;
    must_exist(known, "queue_not_found")?;
    let fields = call.fields()?;
    fields.need(&["count", "ackmode", "encoding"])?;
    let encoding = fields.text("encoding")?;
    let always_base64 = match &*encoding {
        "auto" => false,
        "base64" => true,
        _ => {
            let reason = "Unsupported encoding. Please use auto or base64.";
            return Err(Problem::bad_request(reason));
        }
    };
    let mode = ack_mode(&fields.text("ackmode")?)?;
    let whole = |number: Option<i64>| number.and_then(|number| usize::try_from(number).ok());
    let count = whole(fields.integer("count")?)
        .ok_or_else(|| Problem::bad_request("count has to be 0 or more"))?
        .min(COUNT_MAX);
    let truncate = whole(fields.integer("truncate")?);
    let actor = call.actor();
    let fetching = call.broker.get_messages(&actor, &vhost, queue, count, mode, truncate);
    let fetched = Box::pin(fetching).await.map_err(in_full_or_unauthorised)?;
    Ok(Answer::Value(fetched.iter().map(|message| row(message, always_base64)).collect()))
}

fn ack_mode(word: &str) -> Result<AckMode, Problem> {
    let found = ACK_MODES.iter().find(|(known, _)| *known == word);
    found.map(|(_, mode)| *mode).ok_or_else(|| {
        let valid = ACK_MODES.map(|(known, _)| known).join(", ");
        Problem::bad_request(format!("Invalid ackmode value: {word}. Valid values are: {valid}"))
    })
}

fn row(message: &Fetched, always_base64: bool) -> Value {
    let (payload, encoding) = payload_shown(&message.payload, always_base64);
    json!({
        "payload_bytes": message.payload_bytes,
        "redelivered": message.redelivered,
        "exchange": message.exchange,
        "routing_key": message.routing_key,
        "message_count": message.left,
        "properties": properties_row(&message.properties),
        "payload": payload,
        "payload_encoding": encoding,
    })
}

/// A payload, and how it is encoded: as it is where it is a text.
pub(super) fn payload_shown(payload: &[u8], always_base64: bool) -> (String, &'static str) {
    match std::str::from_utf8(payload).ok().filter(|_| !always_base64) {
        Some(text) => (text.to_owned(), "string"),
        None => (STANDARD.encode(payload), "base64"),
    }
}

/// The properties that there are; a list without any where there are none, as in RabbitMQ.
pub(super) fn properties_row(properties: &Properties) -> Value {
    let text = |text: &Option<String>| text.as_deref().map(Value::from);
    let all = [
        ("content_type", text(&properties.content_type)),
        ("content_encoding", text(&properties.content_encoding)),
        ("headers", properties.headers.as_ref().map(table::to_json)),
        ("delivery_mode", properties.delivery_mode.map(Value::from)),
        ("priority", properties.priority.map(Value::from)),
        ("correlation_id", text(&properties.correlation_id)),
        ("reply_to", text(&properties.reply_to)),
        ("expiration", text(&properties.expiration)),
        ("message_id", text(&properties.message_id)),
        ("timestamp", properties.timestamp.map(Value::from)),
        ("type", text(&properties.kind)),
        ("user_id", text(&properties.user_id)),
        ("app_id", text(&properties.app_id)),
        ("cluster_id", text(&properties.cluster_id)),
    ];
    let fields = all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let fields: Map<String, Value> = fields.collect();
    if fields.is_empty() { json!([]) } else { Value::Object(fields) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_survive_the_way_in_and_out_and_none_are_an_empty_list() {
        let said = json!({ "properties": {
            "content_type": "a/b", "headers": { "h": 1 }, "delivery_mode": 2, "timestamp": 123,
            "type": "t",
        }});
        let fields = Fields::of(&said).expect("an object");

        let read = properties(&fields).expect("they make sense");

        assert_eq!(properties_row(&read), said["properties"]);
        assert_eq!(properties_row(&Properties::default()), json!([]));
    }

    #[test]
    fn a_property_of_another_kind_is_refused_in_rabbitmqs_words() {
        let said = json!({ "properties": { "delivery_mode": "2" } });

        let problem = properties(&Fields::of(&said).expect("an object")).expect_err("no number");

        assert_eq!(problem.reason(), r#"["not_int","delivery_mode"]"#);
    }
}
