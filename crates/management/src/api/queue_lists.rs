//! Queues, with what their leaders say about them.
//!
//! The catalog knows which queues there are; only of those that are shown, or that decide the order
//! by what changes, the leaders are asked. So a page of a hundred costs about the same whatever the
//! number of queues.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use warren_broker::{Gathered, HolderRow, QueueFigures, Which};
use warren_catalog::{Catalog, Name, Owner, Placement, Queue};
use warren_types::{NodeId, QueueId};

use super::answer::{Answer, Outcome, Problem};
use super::call::Call;
use super::clients::{Names, all_consumers};
use super::list::{Listing, Part, at, compare};
use super::route::{Route, get};
use super::samples::{self, Samples};
use super::{counts, table};

/// Above so many queues all are asked for at once, instead of one by one.
const NAMED_QUEUES: usize = 1000;

/// Queues that are looked at in one go: changes of the catalog wait meanwhile.
const LOOK_QUEUES: usize = 512;

/// Fields that follow from the catalog.
const STATIC: [&str; 9] = [
    "name",
    "vhost",
    "type",
    "durable",
    "auto_delete",
    "exclusive",
    "policy",
    "operator_policy",
    "arguments",
];

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/queues", "Queues that the caller may see", list).list(),
        get("/api/queues/detailed", "The same", list).list(),
        get("/api/queues/{vhost}", "A virtual host's queues", of_vhost).list(),
        get("/api/queues/{vhost}/{queue}", "One queue, with who holds what", one)
            .query(samples::ASKED),
        get("/api/queues/quorum/{vhost}/{queue}/status", "Where a queue's replicas are", status)
            .list(),
    ]
}

async fn list(call: Call) -> Outcome {
    let vhosts = call.visible_vhosts();
    shown(&call, &vhosts).await
}

async fn of_vhost(call: Call) -> Outcome {
    let vhost = call.vhost().await?;
    shown(&call, &[vhost]).await
}

async fn shown(call: &Call, vhosts: &[Name]) -> Outcome {
    let listing = Listing::parse(&call.query)?;
    let queues: Vec<Arc<Queue>> = call
        .look(|catalog| vhosts.iter().flat_map(|vhost| catalog.queues(vhost).cloned()).collect());
    let mut part = listing.pick(queues, |queue| &queue.name);
    let by_figures = match listing.sorted_by() {
        Some(field) if !STATIC.contains(&field) => true,
        Some(field) => {
            part.rows.sort_by(|one, other| {
                compare(static_field(one, field).as_ref(), static_field(other, field).as_ref())
            });
            false
        }
        None => false,
    };
    if by_figures {
        return shown_by_figures(call, &listing, part).await;
    }
    if listing.is_reversed() {
        part.rows.reverse();
    }
    let part = listing.cut(part)?;
    let figures = match LIVE.iter().any(|field| listing.wants(field)) {
        true => figures(call, &part.rows).await,
        false => Gathered { rows: Vec::new(), stale: Vec::new() },
    };
    let rows = rows(call, &part.rows, &by_id(&figures.rows));
    Ok(Answer::whole_or_partial(listing.answer(part.with(rows)), figures.stale))
}

/// The same in an order that only the leaders know: all are asked, and what is not shown is not
/// rendered.
async fn shown_by_figures(call: &Call, listing: &Listing, part: Part<Arc<Queue>>) -> Outcome {
    let figures = figures(call, &part.rows).await;
    let by_id = by_id(&figures.rows);
    let names = call.look(Names::of);
    let path = listing.sort_path();
    let key =
        |queue: &Queue| by_id.get(&queue.id).map(|figures| figure_field(&names, figures, path));
    let mut keyed: Vec<(Option<Value>, Arc<Queue>)> =
        part.rows.iter().map(|queue| (key(queue), queue.clone())).collect();
    keyed.sort_by(|one, other| compare(one.0.as_ref(), other.0.as_ref()));
    if listing.is_reversed() {
        keyed.reverse();
    }
    let ordered = keyed.into_iter().map(|(_, queue)| queue).collect();
    let part = listing.cut(part.with(ordered))?;
    let rows = rows(call, &part.rows, &by_id);
    Ok(Answer::whole_or_partial(listing.answer(part.with(rows)), figures.stale))
}

/// The field that decides such an order.
fn figure_field(names: &Names, figures: &QueueFigures, path: &[String]) -> Value {
    let ready = figures.ready.saturating_add(figures.delayed);
    let Some((first, rest)) = path.split_first() else { return Value::Null };
    match first.as_str() {
        "messages" => ready.saturating_add(figures.unacknowledged).into(),
        "messages_ready" => ready.into(),
        "messages_unacknowledged" => figures.unacknowledged.into(),
        "messages_delayed" => figures.delayed.into(),
        "messages_dlx" => figures.dead.into(),
        "messages_deduplicated" => figures.duplicates.into(),
        "dedup_keys" => figures.dedup_keys.into(),
        "message_bytes" => figures.ready_bytes.saturating_add(figures.unacknowledged_bytes).into(),
        "message_bytes_ready" => figures.ready_bytes.into(),
        "message_bytes_unacknowledged" => figures.unacknowledged_bytes.into(),
        "consumers" => figures.consumers.into(),
        "memory" => figures.memory_bytes.into(),
        "node" | "leader" => names.name(figures.leader),
        "state" => "running".into(),
        "message_stats" => {
            let stats = counts::of_queue(&figures.counts, &figures.rates);
            at(&stats, rest).cloned().unwrap_or_default()
        }
        details => {
            let mut growth = counts::growth(&figures.rates).into_iter();
            let found = growth.find(|(name, _)| *name == details);
            found.and_then(|(_, value)| at(&value, rest).cloned()).unwrap_or_default()
        }
    }
}

fn by_id(figures: &[QueueFigures]) -> BTreeMap<QueueId, &QueueFigures> {
    figures.iter().map(|figures| (figures.queue, figures)).collect()
}

/// The field of a queue that decides an order which does not change.
fn static_field(queue: &Queue, field: &str) -> Option<Value> {
    let text = |name: &Option<Name>| name.as_ref().map(|name| name.to_string().into());
    match field {
        "name" => Some(queue.name.to_string().into()),
        "vhost" => Some(queue.vhost.to_string().into()),
        "type" => Some(queue.kind.as_str().into()),
        "durable" => Some(queue.durable.into()),
        "auto_delete" => Some(queue.auto_delete.into()),
        "exclusive" => Some(queue.exclusive.is_some().into()),
        "policy" => text(&queue.policy),
        "operator_policy" => text(&queue.operator_policy),
        _ => None,
    }
}

/// The rows of these queues, with the figures that there are.
fn rows(
    call: &Call,
    queues: &[Arc<Queue>],
    figures: &BTreeMap<QueueId, &QueueFigures>,
) -> Vec<Value> {
    let mut rows = Vec::with_capacity(queues.len());
    for some in queues.chunks(LOOK_QUEUES) {
        call.look(|catalog| {
            let names = Names::of(catalog);
            let of = |queue: &Arc<Queue>| {
                let figures = figures.get(&queue.id).copied();
                Value::Object(row(catalog, &names, queue, figures))
            };
            rows.extend(some.iter().map(of));
        });
    }
    rows
}

/// What only the leaders know, by the fields of the first level.
const LIVE: [&str; 19] = [
    "messages",
    "messages_details",
    "messages_ready",
    "messages_ready_details",
    "messages_unacknowledged",
    "messages_unacknowledged_details",
    "messages_delayed",
    "messages_deduplicated",
    "messages_dlx",
    "dedup_keys",
    "message_bytes",
    "message_bytes_ready",
    "message_bytes_unacknowledged",
    "message_stats",
    "consumers",
    "memory",
    "node",
    "leader",
    "state",
];

async fn figures(call: &Call, queues: &[Arc<Queue>]) -> Gathered<QueueFigures> {
    if queues.is_empty() {
        return Gathered { rows: Vec::new(), stale: Vec::new() };
    }
    let which = match queues.len() > NAMED_QUEUES {
        true => Which::All,
        false => Which::These(queues.iter().map(|queue| queue.id).collect()),
    };
    Box::pin(call.broker.queue_figures(which)).await
}

/// Where a queue's replicas are, and which of those nodes run.
fn members(catalog: &Catalog, queue: &Queue) -> Vec<(NodeId, bool)> {
    let nodes = match queue.placement {
        Placement::Shard(group) => {
            catalog.shard(group).map(|shard| shard.replicas.clone()).unwrap_or_default()
        }
        Placement::Local { node, .. } => vec![node],
    };
    let runs = |node: NodeId| catalog.node(node).is_some_and(|node| node.running);
    nodes.into_iter().map(|node| (node, runs(node))).collect()
}

fn row(
    catalog: &Catalog,
    names: &Names,
    queue: &Queue,
    figures: Option<&QueueFigures>,
) -> Map<String, Value> {
    let definition = catalog.effective_definition(
        &queue.vhost,
        queue.policy.as_deref(),
        queue.operator_policy.as_deref(),
    );
    let text = |name: &Option<Name>| name.as_deref().map(Value::from);
    let fields = json!({
        "name": &*queue.name, "vhost": &*queue.vhost, "type": queue.kind.as_str(),
        "durable": queue.durable, "auto_delete": queue.auto_delete,
        "exclusive": queue.exclusive.is_some(), "internal": false, "internal_owner": false,
        "arguments": table::to_json(&queue.arguments),
        "policy": text(&queue.policy), "operator_policy": text(&queue.operator_policy),
        "effective_policy_definition": definition,
        "state": if figures.is_some() { "running" } else { "down" },
    });
    let Value::Object(mut fields) = fields else { return Map::new() };
    let mut put = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    if matches!(queue.placement, Placement::Shard(_)) {
        let members = members(catalog, queue);
        let all = members.iter().map(|(node, _)| names.name(*node));
        put("members", all.collect());
        let online = members.iter().filter(|(_, runs)| *runs);
        put("online", online.map(|(node, _)| names.name(*node)).collect());
        put(
            "delivery_limit",
            queue.settings.delivery_limit.map_or(json!("unlimited"), Value::from),
        );
    }
    match figures {
        Some(figures) => put_figures(&mut fields, names, queue, figures),
        None => {
            // Whoever has it in memory is the node that it is on, even when that is silent.
            if let Placement::Local { node, .. } = queue.placement {
                fields.insert("node".to_owned(), names.name(node));
            }
        }
    }
    fields
}

fn put_figures(
    fields: &mut Map<String, Value>,
    names: &Names,
    queue: &Queue,
    figures: &QueueFigures,
) {
    let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
    let leader = names.name(figures.leader);
    if matches!(queue.placement, Placement::Shard(_)) {
        put("leader", leader.clone());
    }
    put("node", leader);
    let ready = figures.ready.saturating_add(figures.delayed);
    put("messages", ready.saturating_add(figures.unacknowledged).into());
    put("messages_ready", ready.into());
    put("messages_unacknowledged", figures.unacknowledged.into());
    put("messages_delayed", figures.delayed.into());
    put("messages_dlx", figures.dead.into());
    put("messages_ram", 0.into());
    if queue.settings.dedup.is_some() {
        put("messages_deduplicated", figures.duplicates.into());
        put("dedup_keys", figures.dedup_keys.into());
    }
    let bytes = figures.ready_bytes.saturating_add(figures.unacknowledged_bytes);
    put("message_bytes", bytes.into());
    put("message_bytes_ready", figures.ready_bytes.into());
    put("message_bytes_unacknowledged", figures.unacknowledged_bytes.into());
    put("consumers", figures.consumers.into());
    if figures.consumers == 0 {
        put("consumer_utilisation", 0.into());
        put("consumer_capacity", 0.into());
    }
    put("memory", figures.memory_bytes.into());
    put("message_stats", counts::of_queue(&figures.counts, &figures.rates));
    for (name, details) in counts::growth(&figures.rates) {
        put(name, details);
    }
}

async fn one(call: Call) -> Outcome {
    let (vhost, name) = (call.vhost().await?, call.at("queue"));
    let found = call.find(|catalog| catalog.queue(&vhost, name).cloned()).await;
    let queue = found.ok_or_else(Problem::absent)?;
    let (detail, consumers, reach) = tokio::join!(
        Box::pin(call.broker.queue_detail(queue.id)),
        all_consumers(&call, |consumer| consumer.queue == queue.id),
        call.broker.stream_reach(queue.id),
    );
    let stale = detail.stale;
    let detail = detail.rows.into_iter().next();
    let names = call.look(Names::of);
    let mut row = call.look(|catalog| {
        row(catalog, &names, &queue, detail.as_ref().map(|detail| &detail.figures))
    });
    let samples = Samples::of_queue(&call, queue.id).await;
    row.get_mut("message_stats").into_iter().for_each(|stats| samples.put_rates(stats));
    samples.put_lengths(&mut row);
    let mut put = |name: &str, value: Value| row.insert(name.to_owned(), value);
    put("consumer_details", consumers.0.into());
    put("deliveries", json!([]));
    put("incoming", json!([]));
    put("exclusive_consumer_tag", Value::Null);
    put("single_active_consumer_tag", Value::Null);
    if let Some(detail) = detail {
        let single = queue.settings.single_active_consumer;
        let tag_of = |is_meant: &dyn Fn(&HolderRow) -> bool| {
            let holder = detail.holders.iter().find(|holder| is_meant(holder));
            holder.map_or(Value::Null, |holder| holder.tag.as_str().into())
        };
        put("exclusive_consumer_tag", tag_of(&|holder| holder.exclusive));
        put("single_active_consumer_tag", tag_of(&|holder| single && holder.active));
        put("head_message_age_ms", detail.head_age_ms.map_or(Value::Null, Value::from));
        put("head_message_timestamp", detail.head_timestamp_s.map_or(Value::Null, Value::from));
        let holders = detail.holders.iter().map(|holder| holder_row(&names, holder));
        put("holders", holders.collect());
    }
    if let Some(reach) = reach {
        put("first_offset", reach.first_offset.into());
        put("next_offset", reach.next_offset.into());
        put("retained_bytes", reach.bytes.into());
        put("segments", reach.segments.into());
    }
    if let Some(owner) = queue.owner() {
        put("owner_pid_details", owner_details(&call, owner).await);
    }
    let row = Listing::parse(&call.query)?.one(Value::Object(row));
    Ok(Answer::whole_or_partial(row, stale))
}

/// Who holds messages: consumers, those that were cancelled, and who has got some.
fn holder_row(names: &Names, holder: &HolderRow) -> Value {
    json!({
        "consumer_tag": holder.tag, "node": names.name(holder.node),
        "prefetch_count": holder.prefetch, "priority": holder.priority,
        "ack_required": holder.ack_required, "exclusive": holder.exclusive,
        "active": holder.active, "cancelled": holder.cancelled, "get": holder.is_getter,
        "messages_unacknowledged": holder.unacknowledged, "capacity": holder.capacity,
    })
}

/// The connection that an exclusive queue belongs to.
async fn owner_details(call: &Call, owner: Owner) -> Value {
    let connections = Box::pin(call.broker.connections()).await;
    let mut rows = connections.rows.into_iter();
    let found = rows.find(|row| row.node == owner.node && u64::from(row.id) == owner.connection);
    found.map_or(
        json!({}),
        |row| json!({ "name": row.name, "peer_host": row.peer_host, "peer_port": row.peer_port }),
    )
}

/// The replicas of the shard that a queue is in, in the words of RabbitMQ's `quorum_status`.
async fn status(call: Call) -> Outcome {
    let (vhost, name) = (call.vhost().await?, call.at("queue"));
    let found = call.find(|catalog| catalog.queue(&vhost, name).cloned()).await;
    let queue = found.ok_or_else(Problem::absent)?;
    let Placement::Shard(group) = queue.placement else {
        let reason = "the queue is in the memory of one node and has no replicas";
        return Err(Problem::bad_request(reason));
    };
    let gathered = Box::pin(call.broker.shards()).await;
    let shard = gathered.rows.into_iter().find(|shard| shard.group == group);
    let Some(shard) = shard else {
        return Err(Problem::unavailable(format!("group {group} has no leader that answers")));
    };
    let rows = call.look(|catalog| {
        let names = Names::of(catalog);
        let members = members(catalog, &queue).into_iter();
        let of = |(node, _runs): (NodeId, bool)| {
            let is_leader = node == shard.leader;
            let lag = shard.lag.iter().find(|(behind, _)| *behind == node).map(|(_, lag)| *lag);
            let applied = match (is_leader, lag) {
                (true, _) => Some(shard.applied),
                (false, Some(lag)) => Some(shard.applied.saturating_sub(lag)),
                (false, None) => None,
            };
            json!({
                "Node Name": names.name(node),
                "Raft State": match (is_leader, lag) {
                    (true, _) => "leader",
                    (false, Some(_)) => "follower",
                    (false, None) => "noproc",
                },
                "Membership": if shard.voters.contains(&node) { "voter" } else { "promotable" },
                "Last Log Index": applied, "Last Written": applied, "Last Applied": applied,
                "Commit Index": applied, "Snapshot Index": Value::Null,
                "Term": shard.term.0, "Machine Version": catalog.version(),
            })
        };
        members.map(of).collect()
    });
    call.gathered(rows, gathered.stale)
}
