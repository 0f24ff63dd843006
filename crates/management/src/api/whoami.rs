//! What can be said before anything else: who asks, how to log in, what there is to ask.

use axum::http::Method;
use serde_json::json;
use warren_broker::Grants;

use super::access::Role;
use super::answer::{Answer, Outcome, Problem};
use super::call::{Call, NodeCall};
use super::openapi;
use super::route::{Route, get};

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/whoami", "Who asks", whoami),
        Route::of_node(Method::GET, "/api/auth", "How browsers log in by OAuth 2", auth)
            .role(Role::Anybody),
        get("/api/version", "The program's version", version),
        get("/api/extensions", "Plugins of the user interface", extensions),
        get("/api/openapi.json", "This description", description).role(Role::Anybody),
    ]
}

async fn whoami(call: Call) -> Outcome {
    let tags: Vec<&str> = call.caller.tags.iter().map(|tag| &**tag).collect();
    Ok(Answer::Value(json!({
        "name": &*call.caller.name,
        "tags": tags,
        "is_internal_user": call.caller.grants == Grants::Catalog,
    })))
}

async fn auth(call: NodeCall) -> Outcome {
    let login = call.node.browser_login().ok_or_else(Problem::absent)?;
    Ok(Answer::Value(login.document()))
}

async fn version(call: Call) -> Outcome {
    Ok(Answer::Value(call.node.facts().identity.version.into()))
}

async fn extensions(_call: Call) -> Outcome {
    Ok(Answer::Value(json!([])))
}

async fn description(call: Call) -> Outcome {
    let version = call.node.facts().identity.version;
    Ok(Answer::Value(openapi::document(&super::routes(), &version)))
}
