//! W7: messages go where a model of the exchanges says, and nowhere else.
//!
//! | Exchange | Goes to |
//! | --- | --- |
//! | `w7-topic` | `w7-first` by `a.*`, `w7-second` by `#.z`, `w7-third` by `*.b.#`; else to `w7-rest` |
//! | `w7-fanout` | the first three |
//! | `w7-direct` | `w7-first` by `one`; else nowhere, and back to the publisher |
//!
//! Some publish in transactions, of which some are undone.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use rand::RngExt as _;
use rand::rngs::StdRng;
use warren_tests::wire::{Field as Value, Flags, Pack, declare_exchange, id, pairs};

use crate::field::Field;
use crate::history::Rules;
use crate::workload::consumer::{Habits, consume_steadily};
use crate::workload::parcel::Parcel;
use crate::workload::persist::persist;
use crate::workload::publisher::publish_steadily;
use crate::workload::session::Session;
use crate::workload::{Workload, declare, first};

/// Messages a second and publisher.
const RATE: u32 = 60;

const FIRST: &str = "w7-first";
const SECOND: &str = "w7-second";
const THIRD: &str = "w7-third";
const REST: &str = "w7-rest";

const TOPIC: &str = "w7-topic";
const FANOUT: &str = "w7-fanout";
const DIRECT: &str = "w7-direct";
const ALTERNATE: &str = "w7-alternate";

/// What the topic exchange's keys are made of, and its patterns.
const WORDS: [&str; 4] = ["a", "b", "z", "other"];
const PATTERNS: [(&str, &str); 3] = [(FIRST, "a.*"), (SECOND, "#.z"), (THIRD, "*.b.#")];

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Routing;

impl Workload for Routing {
    fn name(&self) -> &'static str {
        "W7"
    }

    fn queues(&self) -> &'static [&'static str] {
        &[FIRST, SECOND, THIRD, REST]
    }

    fn prepare(&self, field: &Field) -> Result<()> {
        let mut session = first(field)?;
        for queue in self.queues() {
            declare(&mut session, field, queue, Rules { counts: true, ..Rules::default() }, &[])?;
        }
        let alternate = pairs(&[("alternate-exchange", Value::text(ALTERNATE))]);
        let exchanges = [
            (ALTERNATE, "fanout", &[][..]),
            (TOPIC, "topic", &alternate[..]),
            (FANOUT, "fanout", &[]),
            (DIRECT, "direct", &[]),
        ];
        for (name, kind, arguments) in exchanges {
            let bytes = declare_exchange(1, name, kind, Flags::DURABLE, arguments);
            session.call_bytes(&bytes, id::EXCHANGE_DECLARE_OK)?;
        }
        let fanout = [FIRST, SECOND, THIRD].map(|queue| (queue, FANOUT, ""));
        let topic = PATTERNS.map(|(queue, pattern)| (queue, TOPIC, pattern));
        let others = [(FIRST, DIRECT, "one"), (REST, ALTERNATE, "")];
        for (queue, exchange, key) in fanout.into_iter().chain(topic).chain(others) {
            let bind = Pack::method(id::QUEUE_BIND).u16(0).short(queue).short(exchange);
            session.call(bind.short(key).u8(0).table(&[]), id::QUEUE_BIND_OK)?;
        }
        session.close()
    }

    fn run(&self, field: &Field) -> Result<()> {
        thread::scope(|scope| {
            scope.spawn(|| publish_steadily(field, "w7 topics", RATE, topical));
            scope.spawn(|| publish_steadily(field, "w7 others", RATE, otherwise));
            scope.spawn(|| transact(field));
            for queue in self.queues() {
                let who = format!("{queue} consumer");
                scope.spawn(move || consume_steadily(field, &who, queue, Habits::default()));
            }
        });
        Ok(())
    }
}

/// A message by any key of up to four words.
fn topical(session: &mut Session, chance: &mut StdRng) -> Result<()> {
    let words: Vec<&str> = (0..chance.random_range(1..5))
        .map(|_| *WORDS.get(chance.random_range(0..WORDS.len())).expect("it is one of them"))
        .collect();
    let key = words.join(".");
    let fits = |pattern: &str| matches(&pattern.split('.').collect::<Vec<_>>(), &words);
    let mut queues: Vec<&str> =
        PATTERNS.iter().filter(|(_, pattern)| fits(pattern)).map(|(queue, _)| *queue).collect();
    if queues.is_empty() {
        queues.push(REST);
    }
    let parcel = Parcel { exchange: TOPIC, key: &key, queues: &queues, ..Parcel::to(&FIRST) };
    session.publish(&Parcel { mandatory: true, ..parcel }).map(drop)
}

/// A message by the other exchanges; some go nowhere.
fn otherwise(session: &mut Session, chance: &mut StdRng) -> Result<()> {
    let (exchange, key, queues): (_, _, &[&str]) = match chance.random_range(0..3) {
        0 => (FANOUT, "", &[FIRST, SECOND, THIRD]),
        1 => (DIRECT, "one", &[FIRST]),
        _ => (DIRECT, "two", &[]),
    };
    let parcel = Parcel { exchange, key, queues, ..Parcel::to(&FIRST) };
    session.publish(&Parcel { mandatory: true, ..parcel }).map(drop)
}

/// Publishes in transactions, of which a third is undone.
fn transact(field: &Field) {
    persist(field, "w7 transactions", |mut session, chance| {
        session.tx_select()?;
        while !field.stop.was_said() {
            for _ in 0..chance.random_range(1..8) {
                let queues = [FIRST, SECOND, THIRD];
                let parcel =
                    Parcel { exchange: FANOUT, key: "", queues: &queues, ..Parcel::to(&FIRST) };
                session.publish(&parcel)?;
            }
            if chance.random_ratio(1, 3) {
                session.tx_rollback()?;
            } else {
                session.tx_commit()?;
            }
            let until = Instant::now() + Duration::from_millis(chance.random_range(20..200));
            session.idle(until.saturating_duration_since(Instant::now()))?;
        }
        session.close()
    });
}

/// Whether a topic pattern fits a key.
fn matches(pattern: &[&str], key: &[&str]) -> bool {
    match (pattern.split_first(), key.split_first()) {
        (None, None) => true,
        (Some((&"#", rest)), None) => matches(rest, key),
        (Some((&"#", rest)), Some((_, others))) => matches(rest, key) || matches(pattern, others),
        (Some((word, rest)), Some((first, others))) => {
            (*word == "*" || word == first) && matches(rest, others)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_the_keys_that_they_should() {
        let fits = |pattern: &str, key: &str| {
            matches(&pattern.split('.').collect::<Vec<_>>(), &key.split('.').collect::<Vec<_>>())
        };

        for (pattern, key) in [("a.*", "a.b"), ("#.z", "z"), ("#.z", "a.b.z"), ("*.b.#", "a.b")] {
            assert!(fits(pattern, key), "{pattern} {key}");
        }
        for (pattern, key) in [("a.*", "a"), ("a.*", "a.b.c"), ("#.z", "z.a"), ("*.b.#", "b")] {
            assert!(!fits(pattern, key), "{pattern} {key}");
        }
    }
}
