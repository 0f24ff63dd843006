//! Breaking a node on purpose, to rehearse what happens then.
//!
//! A node breaks itself and no other: who asks has the login for that node.

use std::time::Duration;

use super::access::Role;
use super::answer::{Answer, Outcome, Problem};
use super::body::Fields;
use super::call::Call;
use super::route::{Kind, Route, may, must, post};
use crate::node::{Fault, Spared};

/// The longest time that a node may be broken for, milliseconds: long enough for others to take over all that
/// it has, and short enough to be waited for.
const TIME_MOST_MS: i64 = 300_000;

/// How long a node is broken when nobody says, milliseconds.
const TIME_MS: i64 = 10_000;

/// The longest time that a sync may be told to take, milliseconds.
const DELAY_MOST_MS: i64 = 10_000;

/// How much longer a sync takes when nobody says, milliseconds.
const DELAY_MS: i64 = 100;

pub(super) fn routes() -> Vec<Route> {
    vec![
        post("/api/warren/chaos/{node}", "Breaks a node on purpose, if it allows it", chaos)
            .role(Role::Administrator)
            .fields(&[
                must("fault", Kind::Text),
                may("for_ms", Kind::Integer),
                may("delay_ms", Kind::Integer),
            ]),
    ]
}

async fn chaos(call: Call) -> Outcome {
    let (wanted, own) = (call.at("node"), call.node.facts().identity.node_name);
    if wanted != own {
        return Err(Problem::bad_request(format!("this is {own}: ask {wanted} itself")));
    }
    let fields = call.fields()?;
    fields.need(&["fault"])?;
    let fault = match &*fields.text("fault")? {
        "kill" => Fault::Kill,
        "pause" => Fault::Pause,
        "isolate" => Fault::Isolate,
        "slow" => Fault::Slow(time(&fields, "delay_ms", DELAY_MS, DELAY_MOST_MS)?),
        other => {
            let text =
                format!("a node can be told to kill, pause, isolate or slow, not to {other}");
            return Err(Problem::bad_request(text));
        }
    };
    let time = time(&fields, "for_ms", TIME_MS, TIME_MOST_MS)?;
    call.node.harm(fault, time).map_err(spared)?;
    Ok(Answer::Done)
}

/// A time within its limit.
fn time(fields: &Fields, name: &str, otherwise_ms: i64, most_ms: i64) -> Result<Duration, Problem> {
    let ms = fields.integer(name)?.unwrap_or(otherwise_ms);
    match u64::try_from(ms) {
        Ok(time_ms) if (1..=most_ms).contains(&ms) => Ok(Duration::from_millis(time_ms)),
        Ok(_) | Err(_) => {
            Err(Problem::bad_request(format!("{name} is 1 to {most_ms} milliseconds, not {ms}")))
        }
    }
}

fn spared(why: Spared) -> Problem {
    let text = why.to_string();
    match why {
        Spared::Forbidden | Spared::Impossible(_) => Problem::bad_request(text),
        Spared::Busy => Problem::unavailable(text),
    }
}
