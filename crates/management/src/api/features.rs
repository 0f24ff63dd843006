//! Feature flags and deprecated features, for tools that ask for them.
//!
//! What RabbitMQ switches on while a cluster is upgraded is on here from the start: versions of
//! what is stored and said are raised by the cluster itself.

use serde_json::{Value, json};

use super::access::Role;
use super::answer::{Answer, Outcome, Problem};
use super::call::Call;
use super::route::{Route, get, put};

/// Flags that tools look for, and what they are about.
const FLAGS: [(&str, &str); 10] = [
    ("classic_queue_type_delivery_support", "Classic queues deliver as all others"),
    ("detailed_queues_endpoint", "/api/queues/detailed"),
    ("direct_exchange_routing_v2", "Direct exchanges look their bindings up"),
    ("feature_flags_v2", "Feature flags"),
    ("quorum_queue", "Queues of type quorum"),
    ("quorum_queue_non_voters", "Replicas that do not vote yet"),
    ("rabbitmq_4.0.0", "What came with RabbitMQ 4.0"),
    ("tracking_records_in_ets", "Connections are counted in memory"),
    ("user_limits", "Limits of users"),
    ("virtual_host_metadata", "Virtual hosts have descriptions and tags"),
];

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/feature-flags", "Feature flags", flags).list(),
        put("/api/feature-flags/{name}/enable", "Does nothing: all of them are enabled", enable)
            .role(Role::Administrator),
        get("/api/deprecated-features", "Deprecated features", deprecated).list(),
        get("/api/deprecated-features/used", "Deprecated features in use", deprecated).list(),
    ]
}

fn flag((name, desc): (&str, &str)) -> Value {
    json!({
        "name": name, "desc": desc, "doc_url": "", "state": "enabled", "stability": "required",
        "require_level": "hard", "experiment_level": "supported", "callbacks": [],
        "provided_by": "warren",
    })
}

async fn flags(call: Call) -> Outcome {
    call.list(FLAGS.into_iter().map(flag).collect())
}

async fn enable(call: Call) -> Outcome {
    let wanted = call.at("name");
    if wanted == "all" || FLAGS.iter().any(|(name, _)| *name == wanted) {
        Ok(Answer::Done)
    } else {
        Err(Problem::bad_request("unsupported"))
    }
}

async fn deprecated(call: Call) -> Outcome {
    call.list(Vec::new())
}
