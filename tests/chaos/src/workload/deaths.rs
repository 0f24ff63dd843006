//! W5: messages that leave their queue unacknowledged, and where they go.
//!
//! | Queue | What leaves it | Where to |
//! | --- | --- | --- |
//! | `w5-limit` | what is discarded, or came back four times | `w5-dead`, for certain |
//! | `w5-age` | what is older than three seconds | `w5-dead`, for certain |
//! | `w5-short` | the oldest, where there are more than fifty | `w5-dropped`, most of it |
//! | `w5-full` | nothing: more than fifty are refused | |

use std::thread;
use std::time::Duration;

use anyhow::Result;
use warren_tests::wire::Field as Value;

use crate::field::Field;
use crate::history::{Overflow, Rules};
use crate::workload::consumer::{Habits, consume_steadily};
use crate::workload::publisher::{publish_steadily, to};
use crate::workload::session::{Plan, Session};
use crate::workload::{Workload, declare, first};

/// Messages a second and publisher.
const RATE: u32 = 60;

const LIMIT: &str = "w5-limit";
const AGE: &str = "w5-age";
const SHORT: &str = "w5-short";
const FULL: &str = "w5-full";
const DEAD: &str = "w5-dead";
const DROPPED: &str = "w5-dropped";

/// Times that a message may come back.
const RETURNS: u8 = 3;

/// Milliseconds that messages live.
const AGE_MS: u16 = 3000;

/// Messages that fit.
const LENGTH: u8 = 50;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deaths;

impl Workload for Deaths {
    fn name(&self) -> &'static str {
        "W5"
    }

    /// Sources before those that get what leaves them.
    fn queues(&self) -> &'static [&'static str] {
        &[LIMIT, AGE, SHORT, FULL, DEAD, DROPPED]
    }

    fn prepare(&self, field: &Field) -> Result<()> {
        let mut session = first(field)?;
        let any = Rules { counts: true, ..Rules::default() };
        for queue in [DEAD, DROPPED] {
            declare(&mut session, field, queue, any.clone(), &[])?;
        }
        let certain = Rules {
            dead_letters: Some(DEAD.into()),
            at_least_once: true,
            overflow: Overflow::RejectPublish,
            ..any.clone()
        };
        let limit = Rules { delivery_limit: Some(RETURNS.into()), ..certain.clone() };
        let age = Rules { ttl_ms: Some(AGE_MS.into()), ..certain };
        let limited = ("x-delivery-limit", Value::I32(RETURNS.into()));
        let aged = ("x-message-ttl", Value::I32(AGE_MS.into()));
        declare_mortal(&mut session, field, LIMIT, limit, &[limited])?;
        declare_mortal(&mut session, field, AGE, age, &[aged])?;
        let full = Rules { max_length: Some(LENGTH.into()), ..any };
        let short = Rules { dead_letters: Some(DROPPED.into()), ..full.clone() };
        let full = Rules { overflow: Overflow::RejectPublish, ..full };
        let length = ("x-max-length", Value::I32(LENGTH.into()));
        declare_mortal(&mut session, field, SHORT, short, std::slice::from_ref(&length))?;
        let refuse = ("x-overflow", Value::text("reject-publish"));
        declare(&mut session, field, FULL, full, &[length, refuse])?;
        session.close()
    }

    fn run(&self, field: &Field) -> Result<()> {
        let fails = Habits { requeue: 400, discard: 80, multiple: 0, ..Habits::default() };
        let few = Plan { prefetch: 5, ..Plan::default() };
        let lazy =
            Habits { plan: few, keep: 2, pause: Duration::from_millis(400), ..Habits::default() };
        thread::scope(|scope| {
            for queue in [LIMIT, AGE, SHORT, FULL] {
                let who = format!("{queue} publisher");
                scope.spawn(move || publish_steadily(field, &who, RATE, to(queue)));
            }
            let consumers = [
                (LIMIT, fails),
                (AGE, lazy),
                (SHORT, lazy),
                (FULL, lazy),
                (DEAD, Habits::default()),
            ];
            for (queue, habits) in consumers {
                let who = format!("{queue} consumer");
                scope.spawn(move || consume_steadily(field, &who, queue, habits));
            }
            scope.spawn(|| {
                consume_steadily(field, "w5-dropped consumer", DROPPED, Habits::default());
            });
        });
        Ok(())
    }
}

/// Declares a queue whose dead go where its rules say.
fn declare_mortal(
    session: &mut Session,
    field: &Field,
    queue: &str,
    rules: Rules,
    arguments: &[(&str, Value)],
) -> Result<()> {
    let next = rules.dead_letters.clone().expect("its dead go somewhere");
    let mut all = vec![
        ("x-dead-letter-exchange", Value::text("")),
        ("x-dead-letter-routing-key", Value::text(&next)),
    ];
    if rules.at_least_once {
        all.push(("x-dead-letter-strategy", Value::text("at-least-once")));
        all.push(("x-overflow", Value::text("reject-publish")));
    }
    all.extend(arguments.iter().cloned());
    declare(session, field, queue, rules, &all)
}
