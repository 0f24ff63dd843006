//! Messages that wait for a time that their publishers chose.
//!
//! An id is what finds the message again: queue, time, and place in its log.

use serde_json::{Value, json};
use warren_broker::ScheduledRow;
use warren_types::{Location, LogIndex, QueueId, Timestamp};

use super::answer::{Answer, Outcome, Problem};
use super::call::Call;
use super::refusal::in_short;
use super::route::{Route, delete, get};

/// How many are listed unless the request says so, and at most.
const LIMIT: usize = 100;
const LIMIT_MOST: usize = 1000;

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/scheduled/{vhost}", "Messages that wait for their time", list).query(&["limit"]),
        delete("/api/scheduled/{vhost}/{id}", "Drops a message that waits for its time", cancel),
    ]
}

async fn list(call: Call) -> Outcome {
    let vhost = call.vhost().await?;
    let limit = match call.query.value("limit") {
        None => LIMIT,
        Some(text) => match text.parse() {
            Ok(limit @ 1..=LIMIT_MOST) => limit,
            _ => return Err(Problem::bad_request(format!("limit is 1 to {LIMIT_MOST}"))),
        },
    };
    let found = Box::pin(call.broker.scheduled(&vhost, limit)).await;
    let rows = call.look(|catalog| {
        let rows = found.rows.iter().filter_map(|row| {
            let queue = catalog.queue_by_id(row.queue)?;
            Some(json!({
                "id": id(row), "vhost": &*queue.vhost, "queue": &*queue.name,
                "in_ms": row.in_ms, "exchange": row.exchange, "routing_key": row.routing_key,
                "message_id": row.message_id, "payload_bytes": row.payload_bytes,
            }))
        });
        rows.collect::<Vec<Value>>()
    });
    Ok(Answer::whole_or_partial(Value::Array(rows), found.stale))
}

async fn cancel(call: Call) -> Outcome {
    let vhost = call.vhost().await?;
    let (queue, due, at) = parsed(call.at("id")).ok_or_else(Problem::absent)?;
    let row = call.find(|catalog| catalog.queue_by_id(queue).cloned()).await;
    let row = row.filter(|row| row.vhost == vhost).ok_or_else(Problem::absent)?;
    let actor = call.actor();
    let cancelling = call.broker.cancel_scheduled(&actor, &vhost, &row.name, due, at);
    match Box::pin(cancelling).await.map_err(in_short)? {
        true => Ok(Answer::Done),
        false => Err(Problem::absent()),
    }
}

fn id(row: &ScheduledRow) -> String {
    format!("{}-{}-{}-{}", row.queue.0, row.due, row.row, row.offset)
}

fn parsed(id: &str) -> Option<(QueueId, Timestamp, Location)> {
    let mut parts = id.split('-');
    let queue = QueueId(parts.next()?.parse().ok()?);
    let due = Timestamp(parts.next()?.parse().ok()?);
    let index = LogIndex(parts.next()?.parse().ok()?);
    let offset = parts.next()?.parse().ok()?;
    parts.next().is_none().then_some((queue, due, Location { index, offset }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_was_shown_and_nothing_else_is_one() {
        let row = ScheduledRow {
            queue: QueueId(812),
            due: 1_700_000_000_123,
            in_ms: 5,
            row: 4711,
            offset: 35,
            payload_bytes: 9,
            exchange: String::new(),
            routing_key: String::new(),
            message_id: None,
        };

        let at = Location { index: LogIndex(4711), offset: 35 };
        assert_eq!(id(&row), "812-1700000000123-4711-35");
        assert_eq!(parsed(&id(&row)), Some((QueueId(812), Timestamp(1_700_000_000_123), at)));
        let none = ["", "1-2-3", "1-2-3-4-5", "1-2-3-x", "-1-2-3-4", "1-2-3-4294967296"];
        assert_eq!(none.map(parsed), [None; 6]);
    }
}
