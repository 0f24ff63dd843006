//! Health checks, for balancers and alarms: 200 and `{"status":"ok"}`, or 503 and what is wrong.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use regex::RegexBuilder;
use serde_json::{Value, json};
use warren_broker::{Gathered, NodeRow, ShardRow};
use warren_catalog::{Catalog, Name, Placement, Queue};
use warren_types::{GroupId, NodeId};

use super::answer::{Answer, Outcome, Problem};
use super::call::Call;
use super::route::{Route, get};
use crate::node::Phase;

/// Bytes that a compiled expression may take.
const REGEX_BYTES: usize = 256 * 1024;

/// Units in which the time until a certificate ends may be said, and their days.
const UNITS: [(&str, u64); 4] = [("days", 1), ("weeks", 7), ("months", 30), ("years", 365)];

/// Seconds in a day.
const DAY_S: u64 = 86_400;

pub(super) fn routes() -> Vec<Route> {
    let leaders = "Whether the replicated queues have leaders";
    vec![
        get("/api/aliveness-test/{vhost}", "Whether a virtual host is alive", aliveness),
        get("/api/health/checks/alarms", "No alarm on any node", alarms),
        get("/api/health/checks/local-alarms", "No alarm on this node", local_alarms),
        get("/api/health/checks/metadata-store/initialized", "There is a catalog", initialized),
        get(
            "/api/health/checks/metadata-store/initialized/with-data",
            "There is something in the catalog",
            initialized,
        ),
        get(
            "/api/health/checks/certificate-expiration/{within}/{unit}",
            "No certificate ends soon",
            certificates,
        ),
        get("/api/health/checks/port-listener/{port}", "Something listens at a port", port),
        get(
            "/api/health/checks/protocol-listener/{protocols}",
            "Something listens for one of these protocols",
            protocols,
        ),
        get("/api/health/checks/virtual-hosts", "All virtual hosts run", ok),
        get(
            "/api/health/checks/quorum-queues-without-elected-leaders/all-vhosts",
            leaders,
            led_everywhere,
        ),
        get(
            "/api/health/checks/quorum-queues-without-elected-leaders/all-vhosts/pattern/{pattern}",
            leaders,
            led_everywhere,
        ),
        get(
            "/api/health/checks/quorum-queues-without-elected-leaders/vhost/{vhost}",
            leaders,
            led_in_vhost,
        ),
        get(
            "/api/health/checks/quorum-queues-without-elected-leaders/vhost/{vhost}/pattern/{pattern}",
            leaders,
            led_in_vhost,
        ),
        get(
            "/api/health/checks/node-is-quorum-critical",
            "Everything goes on without this node",
            critical,
        ),
        get("/api/health/checks/is-in-service", "The node serves clients", in_service),
        get("/api/health/checks/ready-to-serve-clients", "The node serves clients", in_service),
        get("/api/health/checks/below-node-connection-limit", "There is room for clients", ok),
        get("/api/health/checks/reached-target-cluster-size", "All nodes are there", all_there),
    ]
}

fn fine() -> Outcome {
    Ok(Answer::Value(json!({ "status": "ok" })))
}

/// What is wrong, with what shows it.
fn failed(reason: &str, more: Value) -> Outcome {
    let mut body = json!({ "status": "failed", "reason": reason });
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    Ok(Answer::Failed(body))
}

async fn ok(_call: Call) -> Outcome {
    fine()
}

async fn aliveness(call: Call) -> Outcome {
    call.vhost().await?;
    fine()
}

fn alarms_of(nodes: &[NodeRow]) -> Vec<Value> {
    let mut alarms = Vec::new();
    for row in nodes {
        let Some(figures) = &row.figures else { continue };
        let machine = &figures.machine;
        for (resource, is_on) in [("memory", machine.mem_alarm), ("disk", machine.disk_free_alarm)]
        {
            if is_on {
                alarms.push(json!({ "node": row.name, "resource": resource }));
            }
        }
    }
    alarms
}

async fn alarms(call: Call) -> Outcome {
    let nodes = Box::pin(call.broker.nodes()).await;
    match alarms_of(&nodes.rows) {
        none if none.is_empty() => fine(),
        alarms => failed("There are alarms in effect in the cluster", json!({ "alarms": alarms })),
    }
}

async fn local_alarms(call: Call) -> Outcome {
    let mut nodes = Box::pin(call.broker.nodes()).await.rows;
    nodes.retain(|row| row.name == call.broker.name());
    match alarms_of(&nodes) {
        none if none.is_empty() => fine(),
        alarms => failed("There are alarms in effect on the node", json!({ "alarms": alarms })),
    }
}

async fn initialized(call: Call) -> Outcome {
    if call.look(|catalog| catalog.cluster().is_some() && catalog.vhosts().next().is_some()) {
        fine()
    } else {
        failed("Metadata store has not yet reported as initialized", json!({}))
    }
}

async fn certificates(call: Call) -> Outcome {
    let Ok(within) = call.at("within").parse::<u32>() else {
        return Err(Problem::bad_request("Invalid expiration value."));
    };
    let Some((_, days)) = UNITS.iter().find(|(unit, _)| *unit == call.at("unit")) else {
        let reason = "Time unit not recognised. Supported units: days, weeks, months, years.";
        return Err(Problem::bad_request(reason));
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let until = now.saturating_add(u64::from(within).saturating_mul(days * DAY_S));
    let mut ending = call.node.certificates();
    ending.retain(|certificate| certificate.not_after_s <= until);
    if ending.is_empty() {
        return fine();
    }
    let ending: Vec<Value> = ending
        .iter()
        .map(|certificate| {
            json!({
                "node": call.broker.name().to_string(), "protocol": certificate.protocol,
                "subject": certificate.subject, "validity": certificate.validity,
            })
        })
        .collect();
    failed("Certificates expiring", json!({ "expired": ending }))
}

async fn port(call: Call) -> Outcome {
    let wanted =
        call.at("port").parse::<u16>().map_err(|_| Problem::bad_request("Invalid port"))?;
    let mut ports: Vec<u16> =
        call.node.facts().listeners.iter().map(|listener| listener.address.port()).collect();
    if ports.contains(&wanted) {
        return Ok(Answer::Value(json!({ "status": "ok", "port": wanted })));
    }
    ports.sort_unstable();
    failed("No active listener", json!({ "missing": wanted, "ports": ports }))
}

async fn protocols(call: Call) -> Outcome {
    let listeners = call.node.facts().listeners;
    let active: BTreeSet<&str> = listeners.iter().map(|listener| listener.protocol).collect();
    let wanted: Vec<&str> = call.at("protocols").split(',').map(str::trim).collect();
    // RabbitMQ's clients know the protocol under several names.
    let known = |word: &str| match word {
        "amqp091" | "amqp0.9.1" | "amqp0-9-1" => active.contains("amqp"),
        other => active.contains(other),
    };
    if wanted.iter().any(|word| known(word)) {
        return Ok(Answer::Value(json!({ "status": "ok", "protocols": active })));
    }
    failed("No active listener", json!({ "missing": wanted, "protocols": active }))
}

async fn in_service(call: Call) -> Outcome {
    let health = call.node.health();
    let is_drained = call.look(|catalog| {
        let mut nodes = catalog.nodes();
        nodes.any(|node| *node.name == *call.broker.name() && node.draining)
    });
    match (health.phase, health.obstacle) {
        (Phase::Serving, None) if is_drained => {
            failed("this node is in maintenance mode", json!({}))
        }
        (Phase::Serving, None) => fine(),
        (Phase::Serving | Phase::Starting | Phase::Draining | Phase::Stopped, Some(obstacle)) => {
            failed(&obstacle, json!({}))
        }
        (Phase::Starting, None) => failed("the node is starting", json!({})),
        (Phase::Draining | Phase::Stopped, None) => {
            failed("this rabbit is in maintenance mode", json!({}))
        }
    }
}

async fn all_there(call: Call) -> Outcome {
    let down: Vec<String> = call.look(|catalog| {
        let down = catalog.nodes().filter(|node| !node.running);
        down.map(|node| node.name.to_string()).collect()
    });
    if down.is_empty() { fine() } else { failed("not all nodes run", json!({ "nodes": down })) }
}

/// Groups of this node that would stand still without it.
fn critical_groups(catalog: &Catalog, own: &str, shards: &Gathered<ShardRow>) -> Vec<GroupId> {
    let Some(own) = catalog.nodes().find(|node| *node.name == *own).map(|node| node.id) else {
        return Vec::new();
    };
    let runs = |node: &NodeId| catalog.node(*node).is_some_and(|node| node.running);
    let is_critical = |shard: &&ShardRow| {
        let others = shard.voters.iter().filter(|node| **node != own && runs(node)).count();
        let majority = shard.voters.len() / 2 + 1;
        shard.voters.contains(&own) && others < majority
    };
    shards.rows.iter().filter(is_critical).map(|shard| shard.group).collect()
}

async fn critical(call: Call) -> Outcome {
    let alone = call.look(|catalog| catalog.nodes().len() == 1);
    if alone {
        return Ok(Answer::Value(json!({ "status": "ok", "reason": "single node cluster" })));
    }
    let shards = Box::pin(call.broker.shards()).await;
    let groups: BTreeSet<GroupId> = call
        .look(|catalog| critical_groups(catalog, call.broker.name(), &shards))
        .into_iter()
        .collect();
    if groups.is_empty() {
        return fine();
    }
    let queues = queues_of(&call, None, None, |group| groups.contains(&group))?;
    let reason = "There are groups that would lose their quorum if the target node is shut down";
    let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
    failed(reason, json!({ "groups": groups, "queues": queues }))
}

async fn led_everywhere(call: Call) -> Outcome {
    led(&call, None).await
}

async fn led_in_vhost(call: Call) -> Outcome {
    let vhost = call.vhost().await?;
    led(&call, Some(vhost)).await
}

async fn led(call: &Call, vhost: Option<Name>) -> Outcome {
    let mut variables = call.variables.iter();
    let pattern = variables.find(|(name, _)| name == "pattern").map(|(_, text)| text.as_str());
    let shards = Box::pin(call.broker.shards()).await;
    let led: BTreeSet<GroupId> = shards.rows.iter().map(|shard| shard.group).collect();
    let queues = queues_of(call, vhost.as_ref(), pattern, |group| !led.contains(&group))?;
    if queues.is_empty() {
        return fine();
    }
    failed("There are quorum queues without elected leaders", json!({ "queues": queues }))
}

/// The most queues that an answer names.
const NAMED_QUEUES: usize = 1000;

/// Queues in certain groups.
fn queues_of(
    call: &Call,
    vhost: Option<&Name>,
    pattern: Option<&str>,
    is_meant: impl Fn(GroupId) -> bool,
) -> Result<Vec<Value>, Problem> {
    let regex = RegexBuilder::new(pattern.unwrap_or("")).size_limit(REGEX_BYTES).build();
    let regex = regex.map_err(|error| Problem::bad_request(error.to_string()))?;
    Ok(call.look(|catalog| {
        let groups: Vec<GroupId> =
            catalog.shards().map(|shard| shard.group).filter(|group| is_meant(*group)).collect();
        let queues = groups.iter().flat_map(|group| catalog.queues_of_group(*group));
        let named = |queue: &&std::sync::Arc<Queue>| {
            vhost.is_none_or(|vhost| queue.vhost == *vhost) && regex.is_match(&queue.name)
        };
        let row = |queue: &std::sync::Arc<Queue>| {
            let group = match queue.placement {
                Placement::Shard(group) => Value::from(group.to_string()),
                Placement::Local { .. } => Value::Null,
            };
            json!({
                "name": &*queue.name, "vhost": &*queue.vhost, "virtual_host": &*queue.vhost,
                "type": queue.kind.long_name(), "group": group,
                "readable_name": format!("queue '{}' in vhost '{}'", queue.name, queue.vhost),
            })
        };
        queues.filter(named).take(NAMED_QUEUES).map(row).collect()
    }))
}
