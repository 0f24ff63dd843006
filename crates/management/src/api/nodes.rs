//! The nodes of the cluster, and the cluster at a glance.
//!
//! Some fields mean nothing outside Erlang, but tools look for them: those are there with a number
//! that alarms nobody.

use serde_json::{Map, Value, json};
use warren_broker::{
    ChurnCounts, ChurnRates, Gathered, MessageCounts, MessageRates, NodeFigures, NodeRow,
};
use warren_catalog::{Command, Outcome as Changed};

use super::access::Role;
use super::answer::{Answer, Outcome, Problem};
use super::call::Call;
use super::counts;
use super::list::Listing;
use super::parameters::{CLUSTER_NAME, cluster_name};
use super::route::{Kind, Route, get, must, put};
use super::samples::{self, Samples};
use crate::node::SPEAKS_AS;

/// What RabbitMQ's nodes may have of Erlang's processes.
const PROCESSES_MAX: u64 = 1_048_576;

/// How seldom a network may tick before a node counts as lost, in RabbitMQ's words; seconds.
const NET_TICK_S: u64 = 10;

/// The kinds of exchanges, as RabbitMQ describes them.
const EXCHANGE_KINDS: [(&str, &str); 9] = [
    ("direct", "AMQP direct exchange, as per the AMQP specification"),
    ("fanout", "AMQP fanout exchange, as per the AMQP specification"),
    ("headers", "AMQP headers exchange, as per the AMQP specification"),
    ("topic", "AMQP topic exchange, as per the AMQP specification"),
    ("x-consistent-hash", "Consistent Hashing Exchange"),
    ("x-delayed-message", "Delayed Message Exchange."),
    ("x-modulus-hash", "Modulus Hashing Exchange"),
    ("x-random", "Randomly picks a binding (queue) to route via (to)."),
    ("x-recent-history", "Recent History Exchange."),
];

/// What Erlang's memory is spent on: tools want to see each, and here it is all one.
const MEMORY_PARTS: [&str; 25] = [
    "connection_readers",
    "connection_writers",
    "connection_channels",
    "connection_other",
    "stream_queue_procs",
    "stream_queue_replica_reader_procs",
    "stream_queue_coordinator_procs",
    "quorum_queue_procs",
    "quorum_queue_dlx_procs",
    "queue_procs",
    "plugins",
    "metadata_store",
    "other_proc",
    "metrics",
    "mgmt_db",
    "quorum_ets",
    "mnesia",
    "metadata_store_ets",
    "other_ets",
    "binary",
    "msg_index",
    "code",
    "atom",
    "allocated_unused",
    "reserved_unallocated",
];

/// What RabbitMQ has as plugins and this program has built in.
const BUILT_IN: [&str; 8] = [
    "rabbitmq_consistent_hash_exchange",
    "rabbitmq_delayed_message_exchange",
    "rabbitmq_event_exchange",
    "rabbitmq_management",
    "rabbitmq_management_agent",
    "rabbitmq_prometheus",
    "rabbitmq_random_exchange",
    "rabbitmq_recent_history_exchange",
];

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/overview", "The cluster at a glance", overview).query(samples::ASKED),
        get("/api/cluster-name", "What the cluster is called", name),
        put("/api/cluster-name", "Renames the cluster", rename)
            .role(Role::Administrator)
            .fields(&[must("name", Kind::Text)]),
        get("/api/nodes", "The nodes", nodes).role(Role::Monitoring).list(),
        get("/api/nodes/{node}", "One node", node).role(Role::Monitoring),
        get("/api/nodes/{node}/memory", "A node's memory", memory).role(Role::Monitoring),
    ]
}

fn exchange_kinds() -> Vec<Value> {
    let row =
        |(name, description)| json!({ "name": name, "description": description, "enabled": true });
    EXCHANGE_KINDS.into_iter().map(row).collect()
}

fn listeners(row: &NodeRow) -> Vec<Value> {
    let all = row.figures.iter().flat_map(|figures| &figures.machine.listeners);
    let shown = all.map(|listener| {
        json!({
            "node": row.name, "protocol": listener.protocol, "ip_address": listener.ip,
            "port": listener.port, "socket_opts": [], "tls": is_secure(&listener.protocol),
        })
    });
    shown.collect()
}

/// Whether TLS is spoken with it.
fn is_secure(protocol: &str) -> bool {
    protocol.ends_with("/ssl") || protocol.starts_with("https")
}

fn contexts(row: &NodeRow) -> Vec<Value> {
    let all = row.figures.iter().flat_map(|figures| &figures.machine.listeners);
    let http = all.filter(|listener| listener.protocol.starts_with("http"));
    let shown = http.map(|listener| {
        let what = match listener.protocol.as_str() {
            "http" | "https" => "RabbitMQ Management",
            _ => "RabbitMQ Prometheus",
        };
        json!({
            "node": row.name, "description": what, "path": "/", "ip": listener.ip,
            "port": listener.port.to_string(), "ssl_opts": [], "cowboy_opts": "[]",
        })
    });
    shown.collect()
}

/// The sums over all nodes that answered.
#[derive(Default)]
struct Sums {
    ready: u64,
    unacknowledged: u64,
    connections: u64,
    channels: u64,
    consumers: u64,
    counts: MessageCounts,
    rates: MessageRates,
    churn: ChurnCounts,
    churn_rates: ChurnRates,
}

impl Sums {
    fn of(nodes: &Gathered<NodeRow>) -> Self {
        let mut sums = Self::default();
        for figures in nodes.rows.iter().filter_map(|row| row.figures.as_ref()) {
            for (sum, more) in [
                (&mut sums.ready, figures.ready),
                (&mut sums.unacknowledged, figures.unacknowledged),
                (&mut sums.connections, figures.connections),
                (&mut sums.channels, figures.channels),
                (&mut sums.consumers, figures.consumers),
            ] {
                *sum = sum.saturating_add(more);
            }
            sums.counts = sums.counts.zip(&figures.counts, u64::saturating_add);
            sums.rates = sums.rates.zip(&figures.rates, |sum, more| sum + more);
            sums.churn = sums.churn.zip(&figures.churn, u64::saturating_add);
            sums.churn_rates = sums.churn_rates.zip(&figures.churn_rates, |sum, more| sum + more);
        }
        sums
    }

    fn queue_totals(&self) -> Value {
        let mut totals = Map::new();
        let messages = self.ready.saturating_add(self.unacknowledged);
        totals.insert("messages".to_owned(), messages.into());
        totals.insert("messages_ready".to_owned(), self.ready.into());
        totals.insert("messages_unacknowledged".to_owned(), self.unacknowledged.into());
        for (name, details) in counts::growth(&self.rates) {
            totals.insert(name.to_owned(), details);
        }
        Value::Object(totals)
    }
}

/// How many exchanges and queues the caller may see.
fn objects(call: &Call) -> (usize, usize) {
    let vhosts = call.visible_vhosts();
    call.look(|catalog| {
        let of = |(exchanges, queues): (usize, usize), vhost: &warren_catalog::Name| {
            let here = catalog.exchanges(vhost).count();
            (exchanges.saturating_add(here), queues.saturating_add(catalog.queue_count(vhost)))
        };
        vhosts.iter().fold((0, 0), of)
    })
}

async fn overview(call: Call) -> Outcome {
    let gathered = Box::pin(call.broker.nodes()).await;
    let sums = Sums::of(&gathered);
    let (exchanges, queues) = objects(&call);
    let identity = call.node.facts().identity;
    let cluster = call.look(|catalog| cluster_name(catalog, &identity.cluster_name));
    let version = identity.version.as_str();
    let mut row = json!({
        "product_name": "warren", "product_version": version, "rabbitmq_version": SPEAKS_AS,
        "management_version": SPEAKS_AS,
        // Some tools refuse to go on without these.
        "erlang_version": "0", "erlang_full_version": "warren is not written in Erlang",
        "crypto_lib_version": "",
        "cluster_name": cluster, "cluster_tags": {}, "node_tags": {},
        "node": call.broker.name(), "rates_mode": "basic", "disable_stats": false,
        "sample_retention_policies": { "global": [], "basic": [], "detailed": [] },
        "enable_queue_totals": false, "is_op_policy_updating_enabled": true,
        "require_definition_json_extension": false, "default_queue_type": "classic",
        "statistics_db_event_queue": 0, "exchange_types": exchange_kinds(),
        "message_stats": counts::of_client(&sums.counts, &sums.rates),
        "churn_rates": counts::of_churn(&sums.churn, &sums.churn_rates), "queue_totals": sums.queue_totals(),
        "object_totals": {
            "connections": sums.connections, "channels": sums.channels,
            "consumers": sums.consumers, "exchanges": exchanges, "queues": queues,
        },
    });
    if let Value::Object(fields) = &mut row {
        let samples = Samples::of_cluster(&call).await;
        fields.get_mut("message_stats").into_iter().for_each(|stats| samples.put_rates(stats));
        fields.get_mut("churn_rates").into_iter().for_each(|churn| samples.put_rates(churn));
        let totals = fields.get_mut("queue_totals").and_then(Value::as_object_mut);
        totals.into_iter().for_each(|totals| samples.put_lengths(totals));
    }
    if let (true, Value::Object(fields)) = (call.caller.is_monitor(), &mut row) {
        let listeners: Vec<Value> = gathered.rows.iter().flat_map(listeners).collect();
        let contexts: Vec<Value> = gathered.rows.iter().flat_map(contexts).collect();
        fields.insert("listeners".to_owned(), listeners.into());
        fields.insert("contexts".to_owned(), contexts.into());
        if !gathered.stale.is_empty() {
            fields.insert("stale_nodes".to_owned(), gathered.stale.clone().into());
        }
    }
    let row = Listing::parse(&call.query)?.one(row);
    Ok(Answer::whole_or_partial(row, gathered.stale))
}

async fn name(call: Call) -> Outcome {
    let identity = call.node.facts().identity;
    let name = call.look(|catalog| cluster_name(catalog, &identity.cluster_name));
    Ok(Answer::Value(json!({ "name": name })))
}

async fn rename(call: Call) -> Outcome {
    let fields = call.fields()?;
    fields.need(&["name"])?;
    let value = Value::from(&*fields.text("name")?).to_string().into();
    let command = Command::PutGlobalParameter { name: CLUSTER_NAME.into(), value };
    let _changed: Changed = call.change(command).await?;
    Ok(Answer::Done)
}

/// A node, as lists have it.
fn row(node: &NodeRow) -> Value {
    let fields = json!({
        "name": node.name, "type": "disc", "running": node.running && node.figures.is_some(),
        "being_drained": node.draining,
    });
    let (Value::Object(mut fields), Some(figures)) = (fields.clone(), &node.figures) else {
        return fields;
    };
    for more in [running_row(node, figures), counts::of_churn(&figures.churn, &figures.churn_rates)]
    {
        let Value::Object(more) = more else { continue };
        fields.extend(more);
    }
    Value::Object(fields)
}

fn running_row(node: &NodeRow, figures: &NodeFigures) -> Value {
    let machine = &figures.machine;
    let mechanism = |name: &str| json!({ "name": name, "description": "", "enabled": true });
    json!({
        "uptime": figures.uptime_ms, "run_queue": 0, "processors": machine.processors,
        "os_pid": machine.os_pid.to_string(), "rates_mode": "basic", "partitions": [],
        "mem_used": machine.mem_used, "mem_limit": machine.mem_limit,
        "mem_alarm": machine.mem_alarm, "mem_calculation_strategy": "rss",
        "disk_free": machine.disk_free, "disk_free_limit": machine.disk_free_limit,
        "disk_free_alarm": machine.disk_free_alarm,
        "fd_used": machine.fd_used, "fd_total": machine.fd_total,
        "sockets_used": 0, "sockets_total": 0,
        // One for each connection and channel, as Erlang would have.
        "proc_used": figures.connections.saturating_add(figures.channels),
        "proc_total": PROCESSES_MAX,
        "config_files": machine.config_files, "log_files": ["<stdout>"],
        "db_dir": machine.data_dir, "net_ticktime": NET_TICK_S, "cluster_links": [],
        "enabled_plugins": BUILT_IN, "exchange_types": exchange_kinds(),
        "auth_mechanisms": [mechanism("PLAIN"), mechanism("AMQPLAIN")],
        "applications": [{
            "name": "warren", "description": "warren", "version": machine.version,
        }],
        "contexts": contexts(node),
    })
}

async fn nodes(call: Call) -> Outcome {
    let gathered = Box::pin(call.broker.nodes()).await;
    let rows = gathered.rows.iter().map(row).collect();
    call.gathered(rows, gathered.stale)
}

async fn find(call: &Call) -> Result<NodeRow, Problem> {
    let gathered = Box::pin(call.broker.nodes()).await;
    // A node that has lost its disk comes back as another one with the same name.
    let wanted = call.broker.node_by_name(call.at("node"));
    let mut rows = gathered.rows.into_iter();
    rows.find(|row| Some(row.node) == wanted).ok_or_else(Problem::absent)
}

async fn node(call: Call) -> Outcome {
    let node = find(&call).await?;
    call.one(Some(row(&node)))
}

async fn memory(call: Call) -> Outcome {
    let node = find(&call).await?;
    let Some(figures) = node.figures else {
        return Err(Problem::unavailable("the node does not answer"));
    };
    let used = figures.machine.mem_used;
    let mut parts: Map<String, Value> =
        MEMORY_PARTS.into_iter().map(|part| (part.to_owned(), 0.into())).collect();
    parts.insert("other_system".to_owned(), used.into());
    parts.insert("strategy".to_owned(), "rss".into());
    let total = json!({ "rss": used, "allocated": used, "erlang": 0 });
    parts.insert("total".to_owned(), total);
    Ok(Answer::Value(json!({ "memory": parts })))
}
