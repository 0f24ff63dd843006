//! Whether a node is alive, has started, and is ready.
//!
//! An answer is RabbitMQ's: 200 and `{"status":"ok"}`, or 503 and
//! `{"status":"failed","reason":"…"}`. None of them waits for anything, so that a node with a slow
//! disk or without a majority still says how it is.

use axum::Json;
use axum::http::StatusCode;
use serde::Serialize;

use crate::node::{Health, Phase};

/// The body of an answer.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Verdict {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

type Answer = (StatusCode, Json<Verdict>);

/// What is said of a node that waits to be told to start.
const STOPPED: &str = "the node is stopped";

/// The process answers: it need not be started again. Says nothing about its peers or its disk,
/// because a restart would not mend those.
pub(crate) fn live() -> Answer {
    ok()
}

/// The node has been ready to serve clients at least once since it was started.
pub(crate) fn startup(health: &Health) -> Answer {
    match health.phase {
        Phase::Starting => failed(reason(health, "the node is starting")),
        Phase::Stopped => failed(STOPPED.to_owned()),
        Phase::Serving | Phase::Draining => ok(),
    }
}

/// The node serves clients, and nothing keeps it from it.
pub(crate) fn ready(health: &Health) -> Answer {
    match health.phase {
        Phase::Starting => failed(reason(health, "the node is starting")),
        Phase::Draining => failed("the node is draining".to_owned()),
        Phase::Stopped => failed(STOPPED.to_owned()),
        Phase::Serving => match &health.obstacle {
            Some(obstacle) => failed(obstacle.clone()),
            None => ok(),
        },
    }
}

fn reason(health: &Health, what: &str) -> String {
    match &health.obstacle {
        Some(obstacle) => format!("{what}: {obstacle}"),
        None => what.to_owned(),
    }
}

fn ok() -> Answer {
    (StatusCode::OK, Json(Verdict { status: "ok", reason: None }))
}

fn failed(reason: String) -> Answer {
    (StatusCode::SERVICE_UNAVAILABLE, Json(Verdict { status: "failed", reason: Some(reason) }))
}
