//! What dead messages look like when they are published once more.
//!
//! The history of a message's deaths stands in its headers, as RabbitMQ has it: `x-death`, newest
//! first, one entry per queue and reason with a count; `x-first-death-*`, written once; and
//! `x-last-death-*`. What a client wrote under these names says nothing, and gives way to the first
//! death; only what the message's [`Trail`] vouches for is continued.
//!
//! **Not here:** where the message goes, and who sees to it that it arrives ([`crate::undertaker`]).

use bytes::Bytes;
use warren_amqp::header;
use warren_queue::DeathReason;
use warren_types::{Table, Timestamp, Value};

use crate::trail::Trail;

/// The headers that tell of a message's deaths.
const HISTORY: [&str; 7] = [
    "x-death",
    "x-first-death-exchange",
    "x-first-death-queue",
    "x-first-death-reason",
    "x-last-death-exchange",
    "x-last-death-queue",
    "x-last-death-reason",
];

/// A death, as its queue saw it.
#[derive(Clone, Debug)]
pub(crate) struct Death<'a> {
    pub(crate) queue: &'a str,
    pub(crate) reason: DeathReason,
    pub(crate) time: Timestamp,
    /// The exchange that the message had been published to.
    pub(crate) exchange: &'a str,
    /// The key that it had been published with.
    pub(crate) routing_key: &'a [u8],
    /// Whether a routing key of its own awaits the dead: copies are not addressed again then.
    pub(crate) rerouted: bool,
}

/// A dead message's properties, and the keys of its copies.
#[derive(Debug)]
pub(crate) struct Buried {
    pub(crate) header: Bytes,
    pub(crate) trail: Bytes,
    pub(crate) extra_keys: Vec<Vec<u8>>,
    headers: Table,
}

impl Buried {
    /// Its headers, for exchanges that look at them.
    pub(crate) fn headers(&self) -> &Table {
        &self.headers
    }

    /// Whether the message would go round in a circle: it has died in `queue` before, and nobody
    /// has rejected it since, so nothing but time or size drives it.
    pub(crate) fn circles_to(&self, queue: &str) -> bool {
        let deaths = deaths(&self.headers);
        let text = |death: &Table, name: &str| {
            death.value(name).and_then(Value::as_text).unwrap_or_default().to_owned()
        };
        let before = deaths.iter().position(|death| text(death, "queue") == queue);
        let Some(before) = before else { return false };
        let round = deaths.iter().take(before.saturating_add(1));
        round.into_iter().all(|death| text(death, "reason") != DeathReason::Rejected.name())
    }
}

/// Writes a death into a message's properties.
pub(crate) fn bury(properties: &Bytes, trail: Trail, death: &Death<'_>) -> Buried {
    // Properties were checked when the message was published.
    let mut headers = header::headers_table(properties).ok().flatten().unwrap_or_default();
    if !trail.has_died {
        for name in HISTORY {
            // A client may write a name twice.
            while headers.remove(name).is_some() {}
        }
    }
    let copies = match headers.value("CC") {
        Some(Value::Array(keys)) if !trail.readdressed => keys.clone(),
        _ => Vec::new(),
    };
    let expiration = header::expiration(properties).map(str::to_owned);
    record(&mut headers, death, &copies, expiration.as_deref());
    let headers = sorted(&headers);
    let mut extra_keys = Vec::new();
    let mut trail = Trail { has_died: true, ..trail };
    if death.rerouted {
        trail.readdressed = true;
        trail.hidden_keys.clear();
    } else {
        extra_keys.extend(copies.into_iter().filter_map(|key| match key {
            Value::LongString(key) => Some(key),
            _ => None,
        }));
        extra_keys.extend(trail.hidden_keys.iter().cloned());
    }
    let header = header::replace_headers(&header::remove_expiration(properties), Some(&headers));
    Buried { header, trail: trail.encode(), extra_keys, headers }
}

/// The same headers by name, as RabbitMQ sends those that it has added something to.
pub(crate) fn sorted(headers: &Table) -> Table {
    let mut entries: Vec<_> =
        headers.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    entries.into_iter().collect()
}

fn deaths(headers: &Table) -> Vec<Table> {
    let Some(Value::Array(deaths)) = headers.value("x-death") else { return Vec::new() };
    let tables = deaths.iter().filter_map(|death| match death {
        Value::Table(death) => Some(death.clone()),
        _ => None,
    });
    tables.collect()
}

fn record(headers: &mut Table, death: &Death<'_>, copies: &[Value], expiration: Option<&str>) {
    let mut deaths = deaths(headers);
    let is_this = |known: &Table| {
        known.value("queue").and_then(Value::as_text) == Some(death.queue)
            && known.value("reason").and_then(Value::as_text) == Some(death.reason.name())
    };
    let entry = match deaths.iter().position(is_this) {
        Some(at) => {
            let mut known = deaths.remove(at);
            let count = known.value("count").and_then(Value::as_integer).unwrap_or_default();
            known.insert("count", Value::I64(count.saturating_add(1)));
            known
        }
        None => first_entry(death, copies, expiration),
    };
    deaths.insert(0, entry);
    let deaths = deaths.into_iter().map(Value::Table).collect();
    headers.insert("x-death", Value::Array(deaths));
    let facts =
        [("reason", death.reason.name()), ("queue", death.queue), ("exchange", death.exchange)];
    for (name, value) in facts {
        let first = format!("x-first-death-{name}");
        if headers.value(&first).is_none() {
            headers.insert(&first, Value::text(value));
        }
        headers.insert(&format!("x-last-death-{name}"), Value::text(value));
    }
}

fn first_entry(death: &Death<'_>, copies: &[Value], expiration: Option<&str>) -> Table {
    let mut keys = vec![Value::LongString(death.routing_key.to_vec())];
    keys.extend(copies.iter().cloned());
    let mut entry = Table::new();
    if let Some(expiration) = expiration {
        entry.insert("original-expiration", Value::text(expiration));
    }
    entry.insert("count", Value::I64(1));
    entry.insert("reason", Value::text(death.reason.name()));
    entry.insert("queue", Value::text(death.queue));
    entry.insert("time", Value::timestamp(death.time));
    entry.insert("exchange", Value::text(death.exchange));
    entry.insert("routing-keys", Value::Array(keys));
    entry
}

#[cfg(test)]
mod tests;
