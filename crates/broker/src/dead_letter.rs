//! What dead messages look like when they are published once more.
//!
//! The history of a message's deaths stands in its headers, as RabbitMQ has it: `x-death`, newest
//! first, one entry per queue and reason with a count; `x-first-death-*`, written once; and
//! `x-last-death-*`.
//!
//! **Not here:** where the message goes, and who sees to it that it arrives ([`crate::undertaker`]).

use bytes::Bytes;
use warren_amqp::header;
use warren_queue::DeathReason;
use warren_types::{Table, Timestamp, Value};

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
pub(crate) fn bury(properties: &Bytes, death: &Death<'_>) -> Buried {
    // Properties were checked when the message was published.
    let mut headers = header::headers_table(properties).ok().flatten().unwrap_or_default();
    let copies = match headers.value("CC") {
        Some(Value::Array(keys)) => keys.clone(),
        _ => Vec::new(),
    };
    let expiration = header::expiration(properties).map(str::to_owned);
    record(&mut headers, death, &copies, expiration.as_deref());
    let mut extra_keys = Vec::new();
    if death.rerouted {
        headers.remove("CC");
    } else {
        extra_keys.extend(copies.iter().filter_map(|key| match key {
            Value::LongString(key) => Some(key.clone()),
            _ => None,
        }));
    }
    let header = header::replace_headers(&header::remove_expiration(properties), Some(&headers));
    Buried { header, extra_keys, headers }
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
    entry.insert("count", Value::I64(1));
    entry.insert("reason", Value::text(death.reason.name()));
    entry.insert("queue", Value::text(death.queue));
    entry.insert("time", Value::timestamp(death.time));
    entry.insert("exchange", Value::text(death.exchange));
    entry.insert("routing-keys", Value::Array(keys));
    if let Some(expiration) = expiration {
        entry.insert("original-expiration", Value::text(expiration));
    }
    entry
}

#[cfg(test)]
mod tests {
    use warren_amqp::header::Properties;

    use super::*;

    fn death(queue: &str, reason: DeathReason) -> Death<'_> {
        Death {
            queue,
            reason,
            time: Timestamp(5_000),
            exchange: "x",
            routing_key: b"key",
            rerouted: false,
        }
    }

    fn published(headers: Option<Table>, expiration: Option<&str>) -> Bytes {
        let expiration = expiration.map(str::to_owned);
        Properties { headers, expiration, ..Properties::default() }.encode()
    }

    fn counts(buried: &Buried) -> Vec<(String, String, i64)> {
        let text = |death: &Table, name: &str| {
            death.value(name).and_then(Value::as_text).unwrap_or_default().to_owned()
        };
        deaths(buried.headers())
            .iter()
            .map(|death| {
                let count = death.value("count").and_then(Value::as_integer).unwrap_or_default();
                (text(death, "queue"), text(death, "reason"), count)
            })
            .collect()
    }

    #[test]
    fn a_first_death_is_told_in_full_and_takes_the_expiration_along() {
        let properties = published(None, Some("250"));

        let buried = bury(&properties, &death("q", DeathReason::Expired));

        let [entry] = deaths(buried.headers()).try_into().expect("there is one death");
        let names: Vec<_> = entry.iter().map(|(name, _)| name).collect();
        let expected =
            ["count", "reason", "queue", "time", "exchange", "routing-keys", "original-expiration"];
        assert_eq!(names, expected);
        assert_eq!(entry.value("time"), Some(&Value::Timestamp(5)));
        assert_eq!(header::expiration(&buried.header), None);
        let headers = buried.headers();
        assert_eq!(headers.value("x-first-death-reason"), Some(&Value::text("expired")));
        assert_eq!(headers.value("x-last-death-queue"), Some(&Value::text("q")));
    }

    #[test]
    fn a_death_of_the_same_kind_counts_up_and_comes_to_the_front() {
        let once = bury(&published(None, None), &death("a", DeathReason::Rejected));
        let twice = bury(&once.header, &death("b", DeathReason::MaxLength));

        let again = bury(&twice.header, &death("a", DeathReason::Rejected));

        let row = |queue: &str, reason: &str, count| (queue.to_owned(), reason.to_owned(), count);
        assert_eq!(counts(&again), [row("a", "rejected", 2), row("b", "maxlen", 1)]);
        let first = again.headers().value("x-first-death-queue");
        assert_eq!(first, Some(&Value::text("a")));
    }

    #[test]
    fn copies_are_addressed_again_unless_the_dead_have_a_key_of_their_own() {
        let mut headers = Table::new();
        headers.insert("CC", Value::Array(vec![Value::text("copy")]));
        let properties = published(Some(headers), None);
        let rerouted = Death { rerouted: true, ..death("q", DeathReason::Rejected) };

        let kept = bury(&properties, &death("q", DeathReason::Rejected));
        let dropped = bury(&properties, &rerouted);

        assert_eq!(kept.extra_keys, [b"copy".to_vec()]);
        assert!(dropped.extra_keys.is_empty());
        assert_eq!(dropped.headers().value("CC"), None);
    }

    #[test]
    fn what_only_time_drives_must_not_go_in_circles() {
        let expired = bury(&published(None, None), &death("q", DeathReason::Expired));
        let rejected = bury(&expired.header, &death("r", DeathReason::Rejected));

        assert!(expired.circles_to("q"));
        assert!(!expired.circles_to("r"));
        assert!(!rejected.circles_to("q"));
    }
}
