//! What came of logins.

use serde_json::{Value, json};
use warren_broker::Attempts;

use super::access::Role;
use super::answer::{Answer, Outcome, Problem};
use super::call::Call;
use super::route::{Route, delete, get};

pub(super) fn routes() -> Vec<Route> {
    let routes = vec![
        get("/api/auth/attempts/{node}", "What came of logins, by protocol", list).list(),
        delete("/api/auth/attempts/{node}", "Counts logins from nothing again", forget),
        get(
            "/api/auth/attempts/{node}/source",
            "The same by address, which is not kept: always empty",
            by_source,
        )
        .list(),
        delete("/api/auth/attempts/{node}/source", "Forgets nothing", by_source),
    ];
    routes.into_iter().map(|route| route.role(Role::Administrator)).collect()
}

/// Refuses to speak for another node.
fn must_be_here(call: &Call) -> Result<(), Problem> {
    if call.at("node") == call.broker.name() {
        return Ok(());
    }
    Err(Problem::not_found("each node counts its own logins: ask the one that is meant"))
}

fn row(attempts: &Attempts) -> Value {
    let Attempts { door, failed, succeeded } = attempts;
    json!({
        "protocol": door.as_str(),
        "auth_attempts": failed.saturating_add(*succeeded),
        "auth_attempts_failed": failed,
        "auth_attempts_succeeded": succeeded,
    })
}

async fn list(call: Call) -> Outcome {
    must_be_here(&call)?;
    call.list(call.broker.login_attempts().iter().map(row).collect())
}

async fn forget(call: Call) -> Outcome {
    must_be_here(&call)?;
    call.broker.forget_login_attempts();
    Ok(Answer::Done)
}

async fn by_source(call: Call) -> Outcome {
    must_be_here(&call)?;
    call.list(Vec::new())
}
