//! Connections, their channels and their consumers, on all nodes.
//!
//! Who does not watch the whole cluster sees what is one's own.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use warren_broker::{ChannelRow, ConnectionRow, ConsumerRow, Gathered, TlsRow};
use warren_catalog::{Catalog, Name, Queue};
use warren_types::{NodeId, Value as Property};

use super::answer::{Answer, Outcome, Problem};
use super::call::Call;
use super::list::Listing;
use super::route::{Route, delete, get};
use super::{counts, table};

/// Why a connection is closed that nobody gave a reason for.
const CLOSED: &str = "Closed via management plugin";

/// The header with the reason.
const REASON: &str = "x-reason";

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/connections", "Connections", connections).list(),
        get("/api/connections/{connection}", "One connection", connection),
        delete("/api/connections/{connection}", "Closes a connection", close),
        get("/api/connections/{connection}/channels", "A connection's channels", channels_of)
            .list(),
        get("/api/connections/username/{user}", "A user's connections", connections_of_user).list(),
        delete("/api/connections/username/{user}", "Closes a user's connections", close_user),
        get("/api/vhosts/{vhost}/connections", "A virtual host's connections", connections_in)
            .list(),
        get("/api/channels", "Channels", channels).list(),
        get("/api/channels/{channel}", "One channel", channel),
        get("/api/vhosts/{vhost}/channels", "A virtual host's channels", channels_in).list(),
        get("/api/consumers", "Consumers", consumers).list(),
        get("/api/consumers/{vhost}", "A virtual host's consumers", consumers_in).list(),
    ]
}

/// The nodes' names.
pub(super) struct Names(BTreeMap<NodeId, Name>);

impl Names {
    pub(super) fn of(catalog: &Catalog) -> Self {
        Self(catalog.nodes().map(|node| (node.id, node.name.clone())).collect())
    }

    /// The node's name, or its number where it has been forgotten.
    pub(super) fn name(&self, node: NodeId) -> Value {
        self.0.get(&node).map_or_else(|| node.to_string(), ToString::to_string).into()
    }
}

impl Call {
    /// Whether the caller may see what `user` does in `vhost`.
    fn sees_client(&self, user: &str) -> bool {
        self.caller.is_monitor() || *self.caller.name == *user
    }

    /// A list of what was gathered, which may be less than all.
    pub(super) fn gathered(&self, rows: Vec<Value>, stale: Vec<String>) -> Outcome {
        let list = Listing::parse(&self.query)?.of(rows)?;
        Ok(Answer::whole_or_partial(list, stale))
    }
}

fn connection_row(names: &Names, row: &ConnectionRow) -> Value {
    let given = row.client_properties.value("connection_name").and_then(Property::as_text);
    let rate = |rate: f64| json!({ "rate": rate });
    let mut fields = json!({
        "name": row.name, "node": names.name(row.node), "type": "network",
        "protocol": "AMQP 0-9-1", "state": row.state, "user": row.user, "vhost": row.vhost,
        "user_who_performed_action": row.user, "auth_mechanism": row.auth_mechanism,
        "host": row.host, "port": row.port, "peer_host": row.peer_host, "peer_port": row.peer_port,
        "channels": row.channels, "channel_max": row.channel_max, "frame_max": row.frame_max,
        "timeout": row.heartbeat_s, "connected_at": row.connected_at_ms,
        "client_properties": table::to_json(&row.client_properties),
        "recv_oct": row.recv_oct, "recv_oct_details": rate(row.recv_oct_rate),
        "recv_cnt": row.recv_cnt,
        "send_oct": row.send_oct, "send_oct_details": rate(row.send_oct_rate),
        "send_cnt": row.send_cnt, "send_pend": row.send_pend,
    });
    if let Value::Object(fields) = &mut fields {
        fields.extend(tls_fields(row.tls.as_ref()));
        if let Some(given) = given {
            fields.insert("user_provided_name".to_owned(), given.into());
        }
    }
    fields
}

/// What is said of TLS; the words are null where there is nothing to say.
fn tls_fields(tls: Option<&TlsRow>) -> impl Iterator<Item = (String, Value)> {
    type Part = fn(&TlsRow) -> &str;
    let parts: [(&str, Part); 8] = [
        ("ssl_protocol", |tls| &tls.protocol),
        ("ssl_key_exchange", |tls| &tls.key_exchange),
        ("ssl_cipher", |tls| &tls.cipher),
        ("ssl_hash", |tls| &tls.hash),
        ("peer_cert_subject", |tls| &tls.peer_subject),
        ("peer_cert_issuer", |tls| &tls.peer_issuer),
        ("peer_cert_serial_number", |tls| &tls.peer_serial),
        ("peer_cert_validity", |tls| &tls.peer_validity),
    ];
    let said = parts.into_iter().map(move |(name, part)| {
        let word = tls.map(part).filter(|word| !word.is_empty());
        (name.to_owned(), word.into())
    });
    std::iter::once(("ssl".to_owned(), tls.is_some().into())).chain(said)
}

fn channel_name(connection: &str, number: u16) -> String {
    format!("{connection} ({number})")
}

fn channel_row(names: &Names, row: &ChannelRow) -> Value {
    json!({
        "name": channel_name(&row.connection_name, row.number), "number": row.number,
        "node": names.name(row.node), "state": row.state, "user": row.user, "vhost": row.vhost,
        "user_who_performed_action": row.user,
        "confirm": row.confirm, "transactional": row.transactional,
        "consumer_count": row.consumer_count, "prefetch_count": row.prefetch_count,
        "global_prefetch_count": row.global_prefetch_count,
        "messages_unacknowledged": row.messages_unacknowledged,
        "messages_unconfirmed": row.messages_unconfirmed,
        "messages_uncommitted": row.messages_uncommitted,
        "acks_uncommitted": row.acks_uncommitted,
        "connection_details": {
            "name": row.connection_name, "peer_host": row.peer_host, "peer_port": row.peer_port,
        },
        "message_stats": counts::of_client(&row.counts, &row.rates),
    })
}

/// A consumer, and the queue that it takes from.
pub(super) fn consumer_row(names: &Names, row: &ConsumerRow, queue: Option<&Queue>) -> Value {
    let single = queue.is_some_and(|queue| queue.settings.single_active_consumer);
    let status = match (single, row.active) {
        (true, true) => "single_active",
        (true, false) => "waiting",
        (false, _) => "up",
    };
    let mut arguments = Map::new();
    if row.priority != 0 {
        arguments.insert("x-priority".to_owned(), row.priority.into());
    }
    let timeout_ms = queue.and_then(|queue| queue.settings.consumer_timeout_ms);
    json!({
        "consumer_tag": row.tag, "ack_required": row.ack_required, "active": row.active,
        "activity_status": status, "exclusive": row.exclusive,
        "prefetch_count": row.prefetch_count, "arguments": arguments,
        // Clients expect a number: none is 0.
        "consumer_timeout": timeout_ms.unwrap_or(0),
        "messages_unacknowledged": row.messages_unacknowledged,
        "queue": { "name": queue.map_or("", |queue| &queue.name), "vhost": row.vhost },
        "channel_details": {
            "name": channel_name(&row.connection_name, row.channel), "number": row.channel,
            "connection_name": row.connection_name, "node": names.name(row.node),
            "peer_host": row.peer_host, "peer_port": row.peer_port, "user": row.user,
        },
    })
}

async fn all_connections(
    call: &Call,
    is_meant: impl Fn(&ConnectionRow) -> bool,
) -> Gathered<ConnectionRow> {
    let mut gathered = Box::pin(call.broker.connections()).await;
    gathered.rows.retain(|row| call.sees_client(&row.user) && is_meant(row));
    gathered.rows.sort_by(|one, other| one.name.cmp(&other.name));
    gathered
}

async fn list_connections(call: Call, is_meant: impl Fn(&Call, &ConnectionRow) -> bool) -> Outcome {
    let gathered = all_connections(&call, |row| is_meant(&call, row)).await;
    let names = call.look(Names::of);
    let rows = gathered.rows.iter().map(|row| connection_row(&names, row)).collect();
    call.gathered(rows, gathered.stale)
}

async fn connections(call: Call) -> Outcome {
    list_connections(call, |_, _| true).await
}

async fn connections_in(call: Call) -> Outcome {
    let vhost = call.vhost().await?;
    list_connections(call, move |_, row| row.vhost == *vhost).await
}

async fn connections_of_user(call: Call) -> Outcome {
    list_connections(call, |call, row| row.user == call.at("user")).await
}

async fn connection(call: Call) -> Outcome {
    let gathered = all_connections(&call, |row| row.name == call.at("connection")).await;
    let names = call.look(Names::of);
    call.one(gathered.rows.first().map(|row| connection_row(&names, row)))
}

/// Why the caller closes connections.
fn reason(call: &Call) -> String {
    let given = call.headers.get(REASON).and_then(|reason| reason.to_str().ok());
    given.filter(|reason| !reason.is_empty()).unwrap_or(CLOSED).to_owned()
}

async fn close(call: Call) -> Outcome {
    let gathered = all_connections(&call, |row| row.name == call.at("connection")).await;
    let connection = gathered.rows.into_iter().next().ok_or_else(Problem::absent)?;
    let reason = reason(&call);
    let closed = Box::pin(call.broker.close_connection(&connection.name, &reason)).await;
    if closed { Ok(Answer::Done) } else { Err(Problem::absent()) }
}

async fn close_user(call: Call) -> Outcome {
    let user = call.at("user");
    if !call.caller.is_administrator() && *call.caller.name != *user {
        return Err(Problem::access_refused());
    }
    let reason = reason(&call);
    Box::pin(call.broker.close_connections_of_user(user, &reason)).await;
    Ok(Answer::Done)
}

async fn all_channels(call: &Call, is_meant: impl Fn(&ChannelRow) -> bool) -> Gathered<ChannelRow> {
    let mut gathered = Box::pin(call.broker.channels()).await;
    gathered.rows.retain(|row| call.sees_client(&row.user) && is_meant(row));
    gathered.rows.sort_by(|one, other| {
        (&one.connection_name, one.number).cmp(&(&other.connection_name, other.number))
    });
    gathered
}

async fn list_channels(call: Call, is_meant: impl Fn(&Call, &ChannelRow) -> bool) -> Outcome {
    let gathered = all_channels(&call, |row| is_meant(&call, row)).await;
    let names = call.look(Names::of);
    let rows = gathered.rows.iter().map(|row| channel_row(&names, row)).collect();
    call.gathered(rows, gathered.stale)
}

async fn channels(call: Call) -> Outcome {
    list_channels(call, |_, _| true).await
}

async fn channels_in(call: Call) -> Outcome {
    let vhost = call.vhost().await?;
    list_channels(call, move |_, row| row.vhost == *vhost).await
}

async fn channels_of(call: Call) -> Outcome {
    let connection = all_connections(&call, |row| row.name == call.at("connection")).await;
    connection.rows.first().ok_or_else(Problem::absent)?;
    list_channels(call, |call, row| row.connection_name == call.at("connection")).await
}

async fn channel(call: Call) -> Outcome {
    let wanted = call.at("channel");
    let is_meant = |row: &ChannelRow| channel_name(&row.connection_name, row.number) == wanted;
    let gathered = all_channels(&call, is_meant).await;
    let found = gathered.rows.first().ok_or_else(Problem::absent)?;
    let mut row = channel_row(&call.look(Names::of), found);
    let consumers = all_consumers(&call, |consumer| {
        consumer.connection_name == found.connection_name && consumer.channel == found.number
    });
    let (consumers, _) = consumers.await;
    if let Value::Object(fields) = &mut row {
        fields.insert("consumer_details".to_owned(), consumers.into());
        fields.insert("deliveries".to_owned(), json!([]));
        fields.insert("publishes".to_owned(), json!([]));
    }
    call.one(Some(row))
}

/// Consumers that the caller may see, and the nodes that did not answer.
pub(super) async fn all_consumers(
    call: &Call,
    is_meant: impl Fn(&ConsumerRow) -> bool,
) -> (Vec<Value>, Vec<String>) {
    let mut gathered = Box::pin(call.broker.consumers()).await;
    gathered.rows.retain(|row| is_meant(row));
    let rows = call.look(|catalog| {
        let names = Names::of(catalog);
        let sees = |row: &&ConsumerRow| call.caller.sees(catalog, &row.vhost);
        let shown = gathered.rows.iter().filter(sees).map(|row| {
            let queue = catalog.queue_by_id(row.queue).map(Arc::as_ref);
            consumer_row(&names, row, queue)
        });
        shown.collect()
    });
    (rows, gathered.stale)
}

async fn consumers(call: Call) -> Outcome {
    let (rows, stale) = all_consumers(&call, |_| true).await;
    call.gathered(rows, stale)
}

async fn consumers_in(call: Call) -> Outcome {
    let vhost = call.vhost().await?;
    let (rows, stale) = all_consumers(&call, |row| row.vhost == *vhost).await;
    call.gathered(rows, stale)
}
