//! Takes what is left in queues, once everything is healed and nobody else consumes.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::Value;
use warren_tests::http::Client;

use crate::field::{Door, Field};
use crate::history::{Event, How};
use crate::workload::parcel::Parcel;
use crate::workload::persist::{chance, choose};
use crate::workload::session::{Plan, Session};

/// How long a queue may take to become empty; longer than it takes the broker to notice that a
/// connection is gone.
const LONGEST: Duration = Duration::from_secs(90);

/// How long nothing may come before the broker is asked what is left.
const QUIET: Duration = Duration::from_millis(700);

/// How long somebody waits who finds that nothing works yet.
const PAUSE: Duration = Duration::from_millis(100);

/// Empties some queues.
pub fn drain(field: &Field, queues: &[&str]) -> Result<()> {
    for queue in queues {
        let until = Instant::now() + LONGEST;
        let mut chance = chance(field, "drain");
        loop {
            let door = choose(field, &mut chance);
            match empty(field, door, queue, until) {
                Ok(ready) => {
                    field.recorder.tell(Event::Drained { queue: (*queue).to_owned(), ready });
                    break;
                }
                Err(error) if Instant::now() >= until => {
                    return Err(error).with_context(|| format!("draining {queue}"));
                }
                Err(error) => {
                    field.recorder.note(&format!("draining {queue}: {error:#}"));
                    std::thread::sleep(PAUSE);
                }
            }
        }
    }
    Ok(())
}

/// Sends a message through each queue by way of each node.
pub fn probe(field: &Field, queues: &[&str], limit: Duration) {
    for door in &field.doors {
        for queue in queues {
            let begun = Instant::now();
            let tried = loop {
                let tried = pass(field, door, queue);
                if tried.is_ok() || begun.elapsed() >= limit {
                    break tried;
                }
                std::thread::sleep(PAUSE);
            };
            let took_ms = u64::try_from(begun.elapsed().as_millis()).expect("it is short");
            let failed = tried.err().map(|error| format!("{error:#}"));
            let (queue, node) = ((*queue).to_owned(), door.name.clone());
            field.recorder.tell(Event::Probe { queue, node, took_ms, failed });
        }
    }
}

fn pass(field: &Field, door: &Door, queue: &str) -> Result<()> {
    let mut session = Session::open(field, door, "probe")?;
    session.confirm_select()?;
    session.publish(&Parcel::to(&queue))?;
    session.await_confirms()?;
    session.close()
}

/// Takes until nothing is left, or the time is up; tells how much is left.
fn empty(field: &Field, door: &Door, queue: &str, until: Instant) -> Result<u64> {
    let mut session = Session::open(field, door, "drain")?;
    session.consume(queue, Plan { prefetch: 200, ..Plan::default() })?;
    loop {
        let mut last = None;
        session.listen(QUIET)?;
        while let Some(given) = session.pop() {
            last = Some(given.tag);
        }
        if let Some(tag) = last {
            session.settle(tag, true, How::Ack)?;
        } else if session.certain(queue)? == 0 || Instant::now() >= until {
            let left = left(door, queue)?;
            if left == 0 || Instant::now() >= until {
                session.close()?;
                return Ok(left);
            }
        }
    }
}

/// Messages in a queue, ready or held by somebody.
fn left(door: &Door, queue: &str) -> Result<u64> {
    let answer = Client::new(door.http, "guest", "guest").try_ask(
        "GET",
        &format!("/api/queues/%2F/{queue}"),
        "",
    )?;
    let value: Value = serde_json::from_str(&answer.body)?;
    value.get("messages").and_then(Value::as_u64).with_context(|| format!("no number in {value}"))
}
