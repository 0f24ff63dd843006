//! What is warren's own: shards, nodes, and why a queue's messages do not move.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use warren_broker::{Broker, DrainState, Explanation, Fact, Finding, Severity, ShardRow, Verdict};
use warren_catalog::Catalog;
use warren_types::{GroupId, NodeId};

use super::access::Role;
use super::answer::{Answer, Outcome, Problem};
use super::call::{Call, catch_up};
use super::clients::Names;
use super::refusal::in_short;
use super::route::{Route, delete, get, post, put};

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/warren/shards", "Replicated groups, their leaders and how far they are", shards)
            .role(Role::Monitoring)
            .list(),
        get("/api/warren/digests", "What this node's replicas hold, in a number each", digests)
            .role(Role::Monitoring)
            .list(),
        get("/api/warren/nodes", "Who belongs to the cluster", nodes).role(Role::Monitoring).list(),
        get("/api/queues/{vhost}/{queue}/explain", "Why nothing moves, in words", explain),
        get("/api/warren/nodes/{node}/drain", "How far a node is out of service", drain_of)
            .role(Role::Monitoring),
        put("/api/warren/nodes/{node}/drain", "Takes a node out of service", drain)
            .role(Role::Administrator),
        delete("/api/warren/nodes/{node}/drain", "Puts a node into service again", revive)
            .role(Role::Administrator),
        delete("/api/warren/nodes/{node}", "Forgets a node that does not run", forget)
            .role(Role::Administrator),
        post("/api/rebalance/queues", "Does nothing: leads return by themselves", rebalance)
            .role(Role::Administrator),
    ]
}

/// The node that the path names.
async fn node_at(call: &Call) -> Result<NodeId, Problem> {
    named(call, Broker::node_by_name).await
}

/// What `find` makes of the name in the path, once this node has heard of everything.
async fn named(
    call: &Call,
    find: impl Fn(&Broker, &str) -> Option<NodeId>,
) -> Result<NodeId, Problem> {
    if let Some(node) = find(&call.broker, call.at("node")) {
        return Ok(node);
    }
    catch_up(&call.broker).await;
    find(&call.broker, call.at("node")).ok_or_else(Problem::absent)
}

async fn drain_of(call: Call) -> Outcome {
    let node = node_at(&call).await?;
    let drain = Box::pin(call.broker.drain_of(node)).await.ok_or_else(Problem::absent)?;
    let state = match drain.state {
        DrainState::Serving => "serving",
        DrainState::Draining => "draining",
        DrainState::Drained => "drained",
        DrainState::Unknown => "unknown",
    };
    Ok(Answer::Value(json!({
        "state": state, "leaderships": drain.leaderships, "connections": drain.connections,
    })))
}

async fn drain(call: Call) -> Outcome {
    let node = node_at(&call).await?;
    Box::pin(call.broker.drain_node(node)).await.map_err(in_short)?;
    Ok(Answer::Done)
}

async fn revive(call: Call) -> Outcome {
    let node = node_at(&call).await?;
    Box::pin(call.broker.revive_node(node)).await.map_err(in_short)?;
    Ok(Answer::Done)
}

async fn forget(call: Call) -> Outcome {
    let node = named(&call, Broker::node_to_forget).await?;
    Box::pin(call.broker.forget_node(node)).await.map_err(in_short)?;
    Ok(Answer::Done)
}

/// The first node of a shard's row leads it as soon as it is well, and rows are spread over the
/// nodes whenever those change: there is nothing left to be done.
async fn rebalance(_call: Call) -> Outcome {
    Ok(Answer::Done)
}

/// Every group there should be, with what its leader says of it, if there is one that answers.
fn shard_row(
    catalog: &Catalog,
    names: &Names,
    group: GroupId,
    shard: Option<&ShardRow>,
) -> Map<String, Value> {
    let is_catalog = group == GroupId::CATALOG;
    let replicas: Vec<Value> = match catalog.shard(group) {
        Some(row) => row.replicas.iter().map(|node| names.name(*node)).collect(),
        None => catalog.nodes().map(|node| names.name(node.id)).collect(),
    };
    let preferred = if is_catalog { Value::Null } else { replicas.first().cloned().into() };
    let fields = json!({
        "group": group.0, "kind": if is_catalog { "catalog" } else { "shard" },
        "replicas": replicas, "preferred": preferred,
        "leader": shard.map(|shard| names.name(shard.leader)),
    });
    let Value::Object(mut fields) = fields else { return Map::new() };
    let Some(shard) = shard else { return fields };
    let all = |nodes: &[NodeId]| nodes.iter().map(|node| names.name(*node)).collect::<Value>();
    let lag = shard.lag.iter().filter_map(|(node, lag)| {
        Some((names.name(*node).as_str()?.to_owned(), Value::from(*lag)))
    });
    let lag: Map<String, Value> = lag.collect();
    for (name, value) in [
        ("term", shard.term.0.into()),
        ("voters", all(&shard.voters)),
        ("learners", all(&shard.learners)),
        ("applied", shard.applied.into()),
        ("lag", Value::Object(lag)),
        ("queues", shard.queues.into()),
        ("ready", shard.ready.into()),
        ("unacknowledged", shard.unacknowledged.into()),
    ] {
        fields.insert(name.to_owned(), value);
    }
    fields
}

async fn shards(call: Call) -> Outcome {
    let gathered = Box::pin(call.broker.shards()).await;
    let led: BTreeMap<GroupId, &ShardRow> =
        gathered.rows.iter().map(|shard| (shard.group, shard)).collect();
    let rows = call.look(|catalog| {
        let names = Names::of(catalog);
        let groups = catalog.shards().map(|shard| shard.group);
        let groups = std::iter::once(GroupId::CATALOG).chain(groups);
        let of = |group| shard_row(catalog, &names, group, led.get(&group).copied());
        groups.map(|group| Value::Object(of(group))).collect()
    });
    call.gathered(rows, gathered.stale)
}

/// Equal on all nodes at one applied index; a number of 64 bits is none that every reader of JSON can
/// hold, so it is written as text.
async fn digests(call: Call) -> Outcome {
    let rows = call.broker.digests().into_iter().map(|replica| {
        json!({
            "group": replica.group.0, "applied": replica.applied.0,
            "digest": format!("{:016x}", replica.digest.0),
        })
    });
    call.list(rows.collect())
}

async fn nodes(call: Call) -> Outcome {
    let rows = call.look(|catalog| {
        let row = |node: &warren_catalog::Node| {
            json!({
                "name": &*node.name, "id": node.id.0, "address": &*node.address,
                "zone": &*node.zone, "running": node.running, "draining": node.draining,
                "boot": node.boot.0,
            })
        };
        catalog.nodes().map(row).collect()
    });
    call.list(rows)
}

async fn explain(call: Call) -> Outcome {
    let vhost = call.vhost().await?;
    let explained = Box::pin(call.broker.explain(&vhost, call.at("queue"))).await;
    Ok(Answer::Value(explanation(&explained.map_err(in_short)?)))
}

fn explanation(explained: &Explanation) -> Value {
    let verdict = match explained.verdict {
        Verdict::Moving => "moving",
        Verdict::Idle => "idle",
        Verdict::Waiting => "waiting",
        Verdict::Stuck => "stuck",
    };
    let facts = explained.facts.iter().map(|(name, fact)| ((*name).to_owned(), fact_value(fact)));
    json!({
        "summary": explained.summary, "verdict": verdict,
        "findings": explained.findings.iter().map(finding).collect::<Vec<_>>(),
        "facts": facts.collect::<Map<String, Value>>(),
    })
}

fn finding(finding: &Finding) -> Value {
    let severity = match finding.severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    };
    let mut fields = json!({ "severity": severity, "code": finding.code, "text": finding.text });
    if let (Some(advice), Value::Object(fields)) = (&finding.advice, &mut fields) {
        fields.insert("advice".to_owned(), advice.as_str().into());
    }
    fields
}

fn fact_value(fact: &Fact) -> Value {
    match fact {
        Fact::Number(number) => (*number).into(),
        Fact::Text(text) => text.as_str().into(),
        Fact::List(texts) => texts.clone().into(),
    }
}
