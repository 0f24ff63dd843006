//! Where a node listens.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::{Value, json};

use super::{CHECK, Command, Outcome, Section};
use crate::api::path;
use crate::call::Call;
use crate::failure::{Failure, UNAVAILABLE};
use crate::http::{Url, connect};
use crate::line::Switch;
use crate::show::Output;

pub(super) static COMMANDS: &[Command] = &[
    Command::new("listeners", Section::Monitoring, CHECK, "Lists where a node listens", list)
        .takes("[--timeout <timeout>]", 0, 0),
    Command::new(
        "check_port_listener",
        Section::Monitoring,
        CHECK,
        "Fails unless the node listens on a port",
        check_port,
    )
    .takes("<port> [--timeout <timeout>]", 1, 1),
    Command::new(
        "check_protocol_listener",
        Section::Monitoring,
        CHECK,
        "Fails unless the node listens for a protocol",
        check_protocol,
    )
    .takes("<protocol> [--timeout <timeout>]", 1, 1),
    Command::new(
        "check_port_connectivity",
        Section::Monitoring,
        CHECK,
        "Fails unless all ports that the node listens on can be reached",
        check_all,
    )
    .takes("[--address <target address>] [--timeout <timeout>]", 0, 0)
    .with(&[Switch::word("address")]),
];

/// One place where a node listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listener {
    pub(super) node: String,
    pub(super) protocol: String,
    pub(super) interface: String,
    pub(super) port: u16,
}

impl Listener {
    fn read(row: &Value) -> Self {
        let text = |field| row.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let port = row.get("port").and_then(Value::as_u64);
        Self {
            node: text("node"),
            protocol: text("protocol"),
            interface: text("ip_address"),
            port: port.and_then(|port| u16::try_from(port).ok()).unwrap_or_default(),
        }
    }

    /// Whether that node speaks that there.
    pub(super) fn is(&self, node: &str, protocol: &str) -> bool {
        self.node == node && self.protocol == protocol
    }

    /// What to call to reach it: who listens everywhere is reached by the host's name, others where
    /// they listen.
    pub(super) fn host(&self) -> &str {
        match self.interface.as_str() {
            "0.0.0.0" | "::" | "" => self.node.split_once('@').map_or(&self.node, |(_, host)| host),
            interface => interface,
        }
    }

    /// The API there.
    pub(super) fn url(&self) -> Option<Url> {
        let (host, port) = (self.host(), self.port);
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        Url::parse(&format!("{host}:{port}")).ok()
    }

    /// What it is for.
    pub(super) fn purpose(&self) -> &'static str {
        match self.protocol.as_str() {
            "amqp" => "AMQP 0-9-1",
            "amqp/ssl" => "AMQP 0-9-1 over TLS",
            "http" => "HTTP API",
            "https" => "HTTP API over TLS (HTTPS)",
            "https/prometheus" => "Prometheus exporter API over TLS (HTTPS)",
            "http/prometheus" => "Prometheus exporter API over HTTP",
            "clustering" => "inter-node communication",
            _ => "",
        }
    }

    /// For programs.
    pub(super) fn value(&self) -> Value {
        json!({
            "node": self.node,
            "protocol": self.protocol,
            "interface": self.interface,
            "port": self.port,
            "purpose": self.purpose(),
        })
    }

    /// For people.
    pub(super) fn line(&self) -> String {
        let Self { interface, port, protocol, .. } = self;
        let purpose = self.purpose();
        format!("interface: {interface}, port: {port}, protocol: {protocol}, purpose: {purpose}")
    }
}

/// All places where nodes listen.
fn listeners(call: &Call) -> Result<Vec<Listener>, Failure> {
    Ok(in_overview(&call.api()?.get(&(path(&["overview"]) + "?columns=listeners"))?))
}

/// The places where nodes listen that an overview names.
pub(super) fn in_overview(overview: &Value) -> Vec<Listener> {
    let rows = overview.get("listeners").and_then(Value::as_array);
    rows.into_iter().flatten().map(Listener::read).collect()
}

/// Where that node's API is, if it says so.
pub(crate) fn http_of(call: &Call, node: &str) -> Result<Option<Url>, Failure> {
    let found = listeners(call)?.into_iter().find(|it| it.is(node, "http"));
    Ok(found.and_then(|listener| listener.url()))
}

/// The places where the node in question listens.
fn of_node(call: &Call) -> Result<Vec<Listener>, Failure> {
    let node = call.node()?;
    let mut all = listeners(call)?;
    all.retain(|listener| listener.node == node);
    Ok(all)
}

fn list(call: &Call) -> Outcome {
    let node = call.node()?;
    call.say(&format!("Asking node {node} to report its protocol listeners ..."))?;
    let found = of_node(call)?;
    let lines: Vec<String> = found.iter().map(|it| it.line().replacen('i', "I", 1)).collect();
    let values: Vec<Value> = found.iter().map(Listener::value).collect();
    let value = json!({"node": node, "result": "ok", "listeners": values});
    Ok(Output::Document { text: lines.join("\n"), value })
}

fn check_port(call: &Call) -> Outcome {
    let port = call.positive(0)?;
    let node = call.node()?;
    call.say(&format!("Asking node {node} if there's an active listener on port {port} ..."))?;
    let found = of_node(call)?;
    if found.iter().any(|listener| u64::from(listener.port) == port) {
        return Ok(Output::Said(format!("A listener for port {port} is running on node {node}.")));
    }
    let text = format!(
        "No listener for port {port} is active on node {node}. Found listeners that use the following ports: {}",
        ports(&found)
    );
    Err(Failure::Missing { exit: UNAVAILABLE, text })
}

fn ports(found: &[Listener]) -> String {
    let ports: BTreeSet<u16> = found.iter().map(|listener| listener.port).collect();
    ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")
}

fn check_protocol(call: &Call) -> Outcome {
    let protocol = call.argument(0);
    let node = call.node()?;
    call.say(&format!(
        "Asking node {node} if there's an active listener for protocol {protocol} ..."
    ))?;
    let found = of_node(call)?;
    if found.iter().any(|listener| listener.protocol == protocol) {
        return Ok(Output::Said(format!(
            "A listener for protocol {protocol} is running on node {node}."
        )));
    }
    let known: BTreeSet<&str> = found.iter().map(|it| it.protocol.as_str()).collect();
    let known: Vec<&str> = known.into_iter().collect();
    Err(Failure::refused(format!(
        "No listener for protocol {protocol} is active on node {node}. Found listeners for the following protocols: {}",
        known.join(", ")
    )))
}

fn check_all(call: &Call) -> Outcome {
    let node = call.node()?;
    call.say(&format!(
        "Testing TCP connections to all active listeners on node {node} using hostname resolution ..."
    ))?;
    let found = of_node(call)?;
    let mut lines = Vec::new();
    let mut failed = Vec::new();
    for listener in &found {
        let host = call.option("address").unwrap_or_else(|| listener.host());
        let port = listener.port;
        lines.push(format!("Will connect to {host}:{port}"));
        if let Err(error) = connect((host, port), Instant::now() + call.timeout()) {
            lines.push(format!("Error connecting to {host}:{port}: {error}"));
            failed.push(listener.clone());
        }
    }
    if failed.is_empty() {
        let values: Vec<Value> = found.iter().map(Listener::value).collect();
        lines.push(format!("Successfully connected to ports {} on node {node}", ports(&found)));
        let value = json!({"node": node, "result": "ok", "listeners": values});
        return Ok(Output::Document { text: lines.join("\n"), value });
    }
    lines.push(format!(
        "Connection attempts to the following ports on node {node} failed: {}",
        ports(&failed)
    ));
    Err(Failure::refused(lines.join("\n")))
}
