//! The messages of a queue: looked at without touching them, dropped, and moved elsewhere.
//!
//! The same words behind the path say which messages are meant, whatever is to become of them.
//! **Always holds:** a word that is not known is refused, so that a slip of the pen does not mean
//! every message; who means every message says so.

use serde_json::{Value, json};
use warren_broker::{
    Bookmark, FoundMessages, MessageFilter, MessageId, MessageQuery, MessageRow, MessageState,
    MessageTarget, Swept,
};

use super::answer::{Answer, Outcome, Problem};
use super::body::Fields;
use super::call::Call;
use super::list::Query;
use super::messages::{payload_shown, properties_row};
use super::queues::found;
use super::refusal::in_short;
use super::route::{Kind, Route, get, may, post};

/// How many messages are told of unless the request says so, and at most.
const COUNT: u64 = 100;
const COUNT_MAX: u64 = 1000;

/// How many messages are looked at for that, unless the request says so.
const SCAN: u64 = 100_000;

/// Bytes of each body unless the request says so, and at most.
const TRUNCATE: u64 = 1024;
const TRUNCATE_MAX: u64 = 1024 * 1024;

/// The most messages that can be named at once.
const IDS_MAX: usize = 1000;

/// Words behind the path: some, those that say which messages are meant, and more.
macro_rules! words {
    ($($before:literal),*; $($behind:literal),*) => {
        &[
            $($before,)*
            "id",
            "state",
            "message_id",
            "correlation_id",
            "exchange",
            "routing_key",
            "header",
            "body_prefix",
            $($behind),*
        ]
    };
}

const LOOK_QUERY: &[&str] = words!("count", "offset", "from", "scan", "truncate";);

/// The same where something becomes of them.
const SWEEP_QUERY: &[&str] = words!("count", "from", "scan"; "all", "dry_run");

pub(super) fn routes() -> Vec<Route> {
    vec![
        get(
            "/api/queues/{vhost}/{queue}/messages",
            "Looks at messages without touching them",
            look,
        )
        .query(LOOK_QUERY),
        post("/api/queues/{vhost}/{queue}/messages/delete", "Drops messages", drop_messages)
            .query(SWEEP_QUERY),
        post(
            "/api/queues/{vhost}/{queue}/messages/move",
            "Moves messages elsewhere",
            move_messages,
        )
        .query(SWEEP_QUERY)
        .fields(&[
            may("queue", Kind::Text),
            may("exchange", Kind::Text),
            may("routing_key", Kind::Text),
        ]),
    ]
}

async fn look(call: Call) -> Outcome {
    let (vhost, queue) = found(&call).await?;
    let query = meant(&call.query, LOOK_QUERY, COUNT, SCAN)?;
    if query.count > COUNT_MAX {
        return Err(Problem::bad_request(format!("count is 0 to {COUNT_MAX}")));
    }
    let actor = call.actor();
    let looking = call.broker.browse_messages(&actor, &vhost, &queue, query);
    let found = Box::pin(looking).await.map_err(in_short)?;
    let names = call.look(|catalog| {
        let named = catalog.nodes().map(|node| (node.id, node.name.to_string()));
        named.collect::<Vec<_>>()
    });
    let items = found.rows.iter().map(|row| {
        let holder = row.holder.and_then(|(node, _)| {
            names.iter().find(|(id, _)| *id == node).map(|(_, name)| name.as_str())
        });
        shown(row, &found, holder)
    });
    Ok(Answer::Value(json!({
        "items": items.collect::<Vec<_>>(),
        "scanned": found.scanned,
        "next": found.next.map(|next| next.to_string()),
    })))
}

async fn drop_messages(call: Call) -> Outcome {
    let (vhost, queue) = found(&call).await?;
    let query = meant_to_go(&call.query)?;
    let (actor, is_rehearsal) = (call.actor(), call.query.is_set("dry_run"));
    let dropping = call.broker.drop_messages(&actor, &vhost, &queue, query, is_rehearsal);
    let swept = Box::pin(dropping).await.map_err(in_short)?;
    Ok(Answer::Value(told(&swept, "deleted")))
}

async fn move_messages(call: Call) -> Outcome {
    let (vhost, queue) = found(&call).await?;
    let query = meant_to_go(&call.query)?;
    let target = target(&call.fields()?)?;
    let (actor, is_rehearsal) = (call.actor(), call.query.is_set("dry_run"));
    let moving = call.broker.move_messages(&actor, &vhost, &queue, query, target, is_rehearsal);
    let swept = Box::pin(moving).await.map_err(in_short)?;
    Ok(Answer::Value(told(&swept, "moved")))
}

/// Where messages are to go.
fn target(fields: &Fields) -> Result<MessageTarget, Problem> {
    let text = |name: &str| match fields.value(name) {
        None => Ok(None),
        Some(_) => fields.text(name).map(|text| Some(text.to_string())),
    };
    let short = |text: &Option<String>| text.as_ref().is_none_or(|text| text.len() <= 255);
    let (queue, exchange) = (text("queue")?, text("exchange")?);
    let routing_key = text("routing_key")?;
    if ![&queue, &exchange, &routing_key].into_iter().all(short) {
        return Err(Problem::bad_request("names and routing keys have at most 255 bytes"));
    }
    match (queue, exchange) {
        (Some(queue), None) if routing_key.is_none() => {
            Ok(MessageTarget { exchange: String::new(), routing_key: Some(queue) })
        }
        (None, Some(exchange)) => {
            let exchange = match exchange.as_str() {
                warren_catalog::DEFAULT_EXCHANGE_ALIAS => String::new(),
                _ => exchange,
            };
            Ok(MessageTarget { exchange, routing_key })
        }
        _ => Err(Problem::bad_request("say a queue, or an exchange with or without a routing_key")),
    }
}

/// Which messages are meant by somebody who is going to part with them.
fn meant_to_go(query: &Query) -> Result<MessageQuery, Problem> {
    let meant = meant(query, SWEEP_QUERY, u64::MAX, u64::MAX)?;
    if meant.filter.is_empty() && !query.is_set("all") {
        return Err(Problem::bad_request("say which messages are meant, or all=true"));
    }
    Ok(meant)
}

/// Which messages are meant.
fn meant(query: &Query, known: &[&str], count: u64, scan: u64) -> Result<MessageQuery, Problem> {
    let mut filter = MessageFilter::default();
    for (name, value) in &query.0 {
        if !known.contains(&name.as_str()) {
            return Err(Problem::bad_request(format!("{name} is not known here")));
        }
        match name.as_str() {
            "id" => filter.ids.extend(each(value, MessageId::parse, "id")?),
            "state" => filter.states.extend(each(value, MessageState::of_name, "state")?),
            "message_id" => filter.message_id = Some(value.clone()),
            "correlation_id" => filter.correlation_id = Some(value.clone()),
            "exchange" => filter.exchange = Some(value.clone()),
            "routing_key" => filter.routing_key = Some(value.clone()),
            "body_prefix" => filter.body_prefix = Some(value.clone()),
            "header" => {
                let problem = || Problem::bad_request("header has the form name=value");
                let (name, text) = value.split_once('=').ok_or_else(problem)?;
                filter.headers.push((name.to_owned(), text.to_owned()));
            }
            _ => {}
        }
    }
    if filter.ids.len() > IDS_MAX {
        return Err(Problem::bad_request(format!("at most {IDS_MAX} ids can be said at once")));
    }
    if filter.exchange.as_deref() == Some(warren_catalog::DEFAULT_EXCHANGE_ALIAS) {
        filter.exchange = Some(String::new());
    }
    let number = |name: &str, otherwise: u64| match query.value(name) {
        None => Ok(otherwise),
        Some(text) => text.parse().map_err(|_| Problem::bad_request(format!("{name} is a number"))),
    };
    let truncate = number("truncate", TRUNCATE)?;
    if truncate > TRUNCATE_MAX {
        return Err(Problem::bad_request(format!("truncate is 0 to {TRUNCATE_MAX}")));
    }
    let from = query.value("from").map(|text| {
        Bookmark::parse(text).ok_or_else(|| Problem::bad_request("from is what next has said"))
    });
    Ok(MessageQuery {
        filter,
        from: from.transpose()?,
        offset: number("offset", 0)?,
        count: number("count", count)?,
        scan: number("scan", scan)?,
        truncate,
    })
}

/// Values with commas between them.
fn each<T>(values: &str, read: impl Fn(&str) -> Option<T>, what: &str) -> Result<Vec<T>, Problem> {
    let each = values.split(',').map(|value| {
        read(value).ok_or_else(|| Problem::bad_request(format!("{value} is no {what}")))
    });
    each.collect()
}

/// A message as it is shown.
fn shown(row: &MessageRow, found: &FoundMessages, holder_node: Option<&str>) -> Value {
    let (payload, encoding) = payload_shown(&row.payload, false);
    let state = row.state();
    let is_cut = u64::try_from(row.payload.len()).is_ok_and(|length| length < row.payload_bytes);
    let mut shown = json!({
        "id": row.id.to_string(),
        "position": row.position,
        "state": state.name(),
        "exchange": row.exchange,
        "routing_key": row.routing_key,
        "properties": properties_row(&row.properties()),
        "payload_bytes": row.payload_bytes,
        "payload": payload,
        "payload_encoding": encoding,
        "payload_truncated": is_cut,
        "redelivered": row.acquired_count > 0,
        "acquired_count": row.acquired_count,
        "delivery_count": row.delivery_count,
        "entered": row.entered_ms,
        "in_ms": row.in_ms,
        "expires_in_ms": row.expires_in_ms,
    });
    if let Value::Object(fields) = &mut shown {
        if let Some((_, number)) = row.holder {
            let holder = json!({
                "node": holder_node, "consumer": number, "consumer_tag": row.holder_tag,
            });
            fields.insert("holder".to_owned(), holder);
        }
        if let Some(attempts) = found.attempts {
            let next_in_ms = row.in_ms.filter(|_| state == MessageState::Retry);
            let retry = json!({
                "attempts": row.delivery_count, "of": attempts.saturating_add(1),
                "next_in_ms": next_in_ms,
            });
            fields.insert("retry".to_owned(), retry);
        }
    }
    shown
}

fn told(swept: &Swept, done: &str) -> Value {
    json!({
        "matched": swept.matched,
        done: swept.done,
        "held": swept.held,
        "gone": swept.gone,
        "unroutable": swept.unroutable,
        "refused": swept.refused,
        "scanned": swept.scanned,
        "next": swept.next.map(|next| next.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(pairs: &[(&str, &str)]) -> Query {
        Query(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    fn problem(pairs: &[(&str, &str)]) -> String {
        meant_to_go(&query(pairs)).expect_err("it makes no sense").reason()
    }

    #[test]
    fn what_is_said_behind_the_path_says_which_messages_are_meant() {
        let pairs = [
            ("header", "kind=late"),
            ("id", "7-9,8-1"),
            ("state", "waiting,retry"),
            ("exchange", "amq.default"),
            ("body_prefix", "{\"a\""),
            ("count", "5"),
        ];

        let meant = meant_to_go(&query(&pairs)).expect("it makes sense");

        let id = |row, offset| MessageId { row, offset };
        assert_eq!(meant.filter.ids, [id(7, 9), id(8, 1)]);
        assert_eq!(meant.filter.states, [MessageState::Waiting, MessageState::Retry]);
        assert_eq!(meant.filter.headers, [("kind".to_owned(), "late".to_owned())]);
        assert_eq!(meant.filter.exchange.as_deref(), Some(""));
        assert_eq!((meant.count, meant.scan, meant.from), (5, u64::MAX, None));
    }

    #[test]
    fn what_is_not_known_or_makes_no_sense_is_refused() {
        assert_eq!(problem(&[("message-id", "a")]), "message-id is not known here");
        assert_eq!(problem(&[]), "say which messages are meant, or all=true");
        assert_eq!(problem(&[("header", "kind")]), "header has the form name=value");
        assert_eq!(problem(&[("id", "7")]), "7 is no id");
        assert_eq!(problem(&[("state", "lost")]), "lost is no state");
        assert_eq!(problem(&[("all", "true"), ("from", "7")]), "from is what next has said");
        assert_eq!(problem(&[("all", "true"), ("count", "-1")]), "count is a number");
        assert!(meant_to_go(&query(&[("all", "true")])).is_ok());
    }

    #[test]
    fn messages_go_to_a_queue_or_to_an_exchange() {
        let of = |said: Value| target(&Fields::of(&said).expect("an object"));
        let to = |exchange: &str, routing_key: Option<&str>| MessageTarget {
            exchange: exchange.to_owned(),
            routing_key: routing_key.map(str::to_owned),
        };

        assert_eq!(of(json!({ "queue": "q" })).ok(), Some(to("", Some("q"))));
        assert_eq!(of(json!({ "exchange": "x" })).ok(), Some(to("x", None)));
        let both = json!({ "exchange": "amq.default", "routing_key": "k" });
        assert_eq!(of(both).ok(), Some(to("", Some("k"))));
        let none = [json!({}), json!({ "queue": "q", "exchange": "x" })];
        assert!(none.into_iter().all(|said| of(said).is_err()));
    }
}
