//! Connections and channels: who is there, and sending them away.

use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::{CTL, Command, LOOK, Outcome, Section};
use crate::api::{Api, path};
use crate::call::Call;
use crate::failure::Failure;
use crate::line::Switch;
use crate::show::{Cell, Chosen, Column, Output, Shape};

pub(super) static COMMANDS: &[Command] = &[
    Command::new("list_connections", Section::Monitoring, LOOK, "Lists connections", list)
        .takes("[--no-table-headers] [<column> ...] [--timeout <timeout>]", 0, super::ANY),
    Command::new("list_channels", Section::Monitoring, LOOK, "Lists channels", list_channels)
        .takes("[--no-table-headers] [<column> ...]", 0, super::ANY),
    Command::new("close_connection", Section::Operations, CTL, "Closes a connection", close)
        .takes("<connection pid> <explanation>", 2, 2),
    Command::new("close_all_connections", Section::Operations, CTL, "Closes many connections", close_all)
        .takes(
            "[--vhost <vhost> --limit <limit>] [-n <node> --global] [--per-connection-delay <delay>] <explanation>",
            1,
            1,
        )
        .with(&[
            Switch::number("limit"),
            Switch::flag("global"),
            Switch::number("per-connection-delay"),
        ]),
    Command::new(
        "close_all_user_connections",
        Section::Operations,
        CTL,
        "Closes all connections of a user",
        close_all_of,
    )
    .takes("<username> <explanation>", 2, 2),
];

static CONNECTIONS: &[Column] = &[
    Column::plain("pid").shaped(Shape::Made(|row| Cell::text(pid(row)))),
    Column::plain("name"),
    Column::plain("port"),
    Column::plain("host").shaped(Shape::Address),
    Column::plain("peer_port"),
    Column::plain("peer_host").shaped(Shape::Address),
    Column::plain("ssl"),
    Column::plain("ssl_protocol"),
    Column::plain("ssl_key_exchange"),
    Column::plain("ssl_cipher"),
    Column::plain("ssl_hash"),
    Column::plain("peer_cert_subject"),
    Column::plain("peer_cert_issuer"),
    Column::plain("peer_cert_serial_number"),
    Column::plain("peer_cert_validity"),
    Column::plain("state"),
    Column::plain("channels"),
    Column::plain("protocol").shaped(Shape::Protocol),
    Column::plain("auth_mechanism"),
    Column::plain("user"),
    Column::plain("vhost"),
    Column::plain("container_id"),
    Column::plain("timeout"),
    Column::plain("frame_max"),
    Column::plain("channel_max"),
    Column::plain("client_properties").shaped(Shape::Arguments),
    Column::plain("recv_oct"),
    Column::plain("recv_cnt"),
    Column::plain("send_oct"),
    Column::plain("send_cnt"),
    Column::plain("send_pend"),
    Column::plain("connected_at"),
    Column::plain("user_provided_name"),
    Column::plain("node"),
];

static CHANNELS: &[Column] = &[
    Column::plain("pid").shaped(Shape::Made(|row| Cell::text(pid(row)))),
    Column::plain("connection").shaped(Shape::Made(connection)),
    Column::plain("name"),
    Column::plain("number"),
    Column::plain("user"),
    Column::plain("vhost"),
    Column::plain("transactional"),
    Column::plain("confirm"),
    Column::plain("consumer_count"),
    Column::plain("messages_unacknowledged"),
    Column::plain("messages_uncommitted"),
    Column::plain("acks_uncommitted"),
    Column::plain("messages_unconfirmed"),
    Column::plain("prefetch_count"),
];

/// What stands for Erlang's process: where a connection or channel is, and its name, as one word.
pub(super) fn pid(row: &Value) -> String {
    let text = |field| row.get(field).and_then(Value::as_str).unwrap_or_default();
    word(text("node"), text("name"))
}

fn connection(channel: &Value) -> Cell {
    let node = channel.get("node").and_then(Value::as_str).unwrap_or_default();
    let name = channel.pointer("/connection_details/name").and_then(Value::as_str);
    Cell::text(word(node, name.unwrap_or_default()))
}

fn word(node: &str, name: &str) -> String {
    format!("<{node}.{}>", name.replace(' ', ""))
}

fn list(call: &Call) -> Outcome {
    let chosen = Chosen::by(call, CONNECTIONS, &["user", "peer_host", "peer_port", "state"])?;
    let api = call.api()?;
    call.say("Listing connections ...")?;
    Ok(chosen.list(&api.list(&path(&["connections"]))?))
}

fn list_channels(call: &Call) -> Outcome {
    let columns = ["pid", "user", "consumer_count", "messages_unacknowledged"];
    let chosen = Chosen::by(call, CHANNELS, &columns)?;
    let api = call.api()?;
    call.say("Listing channels ...")?;
    Ok(chosen.list(&api.list(&path(&["channels"]))?))
}

fn close(call: &Call) -> Outcome {
    let (wanted, reason) = (call.argument(0), call.argument(1));
    call.say(&format!("Closing connection {wanted}, reason: {reason}..."))?;
    let api = call.api()?;
    let connections = api.list(&path(&["connections"]))?;
    let is_it = |row: &&Value| {
        let field = |name| row.get(name).and_then(Value::as_str);
        pid(row) == wanted
            || field("name") == Some(wanted)
            || field("user_provided_name") == Some(wanted)
    };
    match connections.iter().find(is_it) {
        Some(connection) => {
            close_one(api, connection, reason)?;
            Ok(Output::Done)
        }
        // RabbitMQ's tool is silent about one that is gone, and has words for what is no name.
        None if wanted.starts_with('<') && wanted.contains('.') => Ok(Output::Done),
        None => Err(Failure::refused(format!("there is no connection {wanted}"))),
    }
}

fn close_one(api: &Api, connection: &Value, reason: &str) -> Result<(), Failure> {
    let name = connection.get("name").and_then(Value::as_str).unwrap_or_default();
    Ok(api.remove_because(&path(&["connections", name]), reason)?)
}

fn close_all(call: &Call) -> Outcome {
    let (reason, vhost) = (call.argument(0), call.vhost());
    let api = call.api()?;
    let mut connections = if call.is("global") {
        let node = call.node()?;
        call.say(&format!(
            "Closing all connections to node {node} (across all vhosts), reason: {reason}..."
        ))?;
        let mut all = api.list(&path(&["connections"]))?;
        all.retain(|row| row.get("node").and_then(Value::as_str) == Some(node));
        all
    } else {
        call.say(&format!("Closing all connections in vhost {vhost}, reason: {reason}..."))?;
        api.find_list(&path(&["vhosts", vhost, "connections"]))?.unwrap_or_default()
    };
    let number = |name| call.option(name).and_then(|text| text.parse::<u64>().ok());
    let limit = number("limit").filter(|limit| *limit > 0);
    if let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) {
        connections.truncate(limit);
    }
    let delay = Duration::from_millis(number("per-connection-delay").unwrap_or_default());
    for connection in &connections {
        close_one(api, connection, reason)?;
        thread::sleep(delay);
    }
    Ok(Output::Said(format!("Closed {} connections", connections.len())))
}

fn close_all_of(call: &Call) -> Outcome {
    let (user, reason) = (call.argument(0), call.argument(1));
    call.say(&format!("Closing connections of user {user}, reason: {reason}..."))?;
    call.api()?.remove_because(&path(&["connections", "username", user]), reason)?;
    Ok(Output::Done)
}
