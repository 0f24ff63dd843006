//! Health checks: what is well has exit code 0.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{CHECK, Command, EVERY, LOOK, Outcome, QUEUE_CHECK, Section, UPGRADE};
use crate::api::path;
use crate::call::Call;
use crate::failure::Failure;
use crate::line::Switch;
use crate::show::Output;

pub(super) static COMMANDS: &[Command] = &[
    Command::new("ping", Section::Monitoring, EVERY, "Fails unless the process answers", ping)
        .takes("[--timeout <timeout>]", 0, 0),
    Command::new(
        "check_running",
        Section::Monitoring,
        CHECK,
        "Fails unless the node serves clients",
        running,
    ),
    Command::new(
        "is_running",
        Section::Monitoring,
        CHECK,
        "Tells whether the node serves clients",
        is_running,
    ),
    Command::new(
        "is_booting",
        Section::Monitoring,
        CHECK,
        "Tells whether the node still starts",
        is_booting,
    ),
    Command::new(
        "check_local_alarms",
        Section::Monitoring,
        CHECK,
        "Fails if the node lacks memory or disk",
        local_alarms,
    )
    .takes("[--timeout <timeout>]", 0, 0),
    Command::new(
        "check_alarms",
        Section::Monitoring,
        CHECK,
        "Fails if any node lacks memory or disk",
        all_alarms,
    )
    .takes("[--timeout <timeout>]", 0, 0),
    Command::new(
        "alarms",
        Section::Monitoring,
        CHECK,
        "Lists which nodes lack memory or disk",
        alarms,
    )
    .takes("[--timeout <timeout>]", 0, 0),
    Command::new(
        "check_virtual_hosts",
        Section::Monitoring,
        CHECK,
        "Fails unless all virtual hosts run",
        vhosts,
    )
    .takes("[--timeout <timeout>]", 0, 0),
    Command::new(
        "check_certificate_expiration",
        Section::Monitoring,
        CHECK,
        "Fails if a certificate that the node shows ends soon",
        certificates,
    )
    .takes("[--within <time>] [--unit <days | weeks | months | years>]", 0, 0)
    .with(&[Switch::number("within"), Switch::word("unit")]),
    Command::new(
        "check_if_node_is_quorum_critical",
        Section::Monitoring,
        QUEUE_CHECK,
        "Fails if queues would lose their quorum with this node",
        critical,
    ),
    Command::new(
        "check_if_metadata_store_is_initialized",
        Section::Monitoring,
        CHECK,
        "Fails unless the node knows the catalog",
        |call| metadata(call, &["metadata-store", "initialized"]),
    ),
    Command::new(
        "check_if_metadata_store_is_initialized_with_data",
        Section::Monitoring,
        CHECK,
        "Fails unless the node knows a catalog that is not empty",
        |call| metadata(call, &["metadata-store", "initialized", "with-data"]),
    ),
    Command::new(
        "check_for_quorum_queues_without_an_elected_leader",
        Section::Monitoring,
        LOOK,
        "Fails if queues have no leader",
        leaderless,
    )
    .takes("[--vhost <vhost>] [--across-all-vhosts] <pattern>", 1, 1)
    .with(&[Switch::flag("across-all-vhosts")]),
    Command::new(
        "await_online_quorum_plus_one",
        Section::Cluster,
        UPGRADE,
        "Waits until no queue would lose its quorum with this node",
        await_spare,
    )
    .takes("[--timeout <timeout>]", 0, 0),
];

/// How long to wait for other nodes when nobody says.
const SPARE: Duration = Duration::from_secs(120);

/// What a node can lack, in the API's words.
const MEMORY: &str = "memory";

/// The other.
const DISK: &str = "disk";

/// How long to wait between two looks.
pub(super) const PAUSE: Duration = Duration::from_millis(250);

fn ping(call: &Call) -> Outcome {
    let api = call.api_of_node()?;
    let time = call.timeout().as_millis();
    call.say(&format!(
        "Will ping {}. This only checks that the process answers. Timeout: {time} ms.",
        api.url()
    ))?;
    match api.check("/health/live") {
        Ok(None) => Ok(Output::Said("Ping succeeded".to_owned())),
        Ok(Some(why)) => Err(Failure::refused(reason(&why))),
        Err(problem) => Err(Failure::refused(format!(
            "Failed to connect and authenticate to {} in {time} ms: {problem}",
            api.url()
        ))),
    }
}

/// Why a check failed, in the node's words.
pub(super) fn reason(why: &Value) -> String {
    match why.get("reason").and_then(Value::as_str) {
        Some(reason) => reason.to_owned(),
        None => why.to_string(),
    }
}

/// The verdict on whether the node serves clients, as RabbitMQ puts it.
fn verdict(call: &Call) -> Result<Result<String, String>, Failure> {
    let node = call.node()?;
    Ok(match call.api_of_node()?.check("/health/ready")? {
        None => Ok(format!("RabbitMQ on node {node} is fully booted and running")),
        Some(why) => Err(format!(
            "RabbitMQ on node {node} is not running or has not fully booted yet (check with is_booting): {}",
            reason(&why)
        )),
    })
}

fn running(call: &Call) -> Outcome {
    call.say(&format!("Checking if RabbitMQ is running on node {} ...", call.node()?))?;
    match verdict(call)? {
        Ok(text) => Ok(Output::Said(text)),
        Err(text) => Err(Failure::refused(text)),
    }
}

fn is_running(call: &Call) -> Outcome {
    call.say(&format!("Asking node {} for its status ...", call.node()?))?;
    let (Ok(text) | Err(text)) = verdict(call)?;
    Ok(Output::Said(text))
}

fn is_booting(call: &Call) -> Outcome {
    let node = call.node()?;
    call.say(&format!("Asking node {node} for its boot status ..."))?;
    Ok(Output::Said(match call.api_of_node()?.check("/health/startup")? {
        None => format!(
            "RabbitMQ on node {node} is fully booted (check with is_running), stopped or has not started booting yet"
        ),
        Some(_) => format!("RabbitMQ on node {node} is booting"),
    }))
}

fn local_alarms(call: &Call) -> Outcome {
    let node = call.node()?;
    call.say(&format!("Asking node {node} to report any local resource alarms ..."))?;
    let check = call.api_of_node()?.check(&path(&["health", "checks", "local-alarms"]))?;
    judged(check, format!("Node {node} reported no local alarms"))
}

fn all_alarms(call: &Call) -> Outcome {
    let node = call.node()?;
    call.say(&format!("Asking node {node} to report any local resource alarms ..."))?;
    let check = call.api_of_node()?.check(&path(&["health", "checks", "alarms"]))?;
    judged(check, format!("Node {node} reported no alarms, local or clusterwide"))
}

/// What a check says, and what to say when all is well.
fn judged(check: Option<Value>, well: String) -> Outcome {
    match check {
        None => Ok(Output::Said(well)),
        Some(why) => Err(Failure::refused(reason(&why))),
    }
}

/// An alarm: a node, and what it lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Alarm {
    node: String,
    resource: &'static str,
}

impl Alarm {
    /// For people.
    pub(super) fn line(&self) -> String {
        let Self { node, resource } = self;
        let what = if *resource == MEMORY { "Memory" } else { "Free disk space" };
        format!("{what} alarm on node {node}")
    }

    /// For programs.
    pub(super) fn value(&self) -> Value {
        json!({"node": self.node, "resource": self.resource})
    }
}

/// The alarms of those nodes.
pub(super) fn raised_by(nodes: &[Value]) -> Vec<Alarm> {
    let mut raised = Vec::new();
    for node in nodes {
        let name = node.get("name").and_then(Value::as_str).unwrap_or_default();
        for (field, resource) in [("mem_alarm", MEMORY), ("disk_free_alarm", DISK)] {
            if node.get(field) == Some(&json!(true)) {
                raised.push(Alarm { node: name.to_owned(), resource });
            }
        }
    }
    raised
}

fn alarms(call: &Call) -> Outcome {
    let node = call.node()?;
    call.say(&format!("Asking node {node} to report any known resource alarms ..."))?;
    let raised = raised_by(&call.api()?.list(&path(&["nodes"]))?);
    let lines: Vec<String> = raised.iter().map(Alarm::line).collect();
    let text = if lines.is_empty() {
        format!("Node {node} reported no alarms, local or clusterwide")
    } else {
        lines.join("\n")
    };
    let alarms: Vec<Value> = raised.iter().map(Alarm::value).collect();
    let value = json!({"node": node, "result": "ok", "alarms": alarms});
    Ok(Output::Document { text, value })
}

fn vhosts(call: &Call) -> Outcome {
    let node = call.node()?;
    call.say(&format!("Checking if all vhosts are running on node {node} ..."))?;
    let check = call.api_of_node()?.check(&path(&["health", "checks", "virtual-hosts"]))?;
    judged(check, format!("Node {node} reported all vhosts as running"))
}

fn certificates(call: &Call) -> Outcome {
    let node = call.node()?;
    let within = call.option("within").unwrap_or("4");
    let unit = call.option("unit").unwrap_or("weeks");
    call.say(&format!(
        "Checking certificate expiration on node {node} within the next {within} {unit} ..."
    ))?;
    let at = path(&["health", "checks", "certificate-expiration", within, unit]);
    let check = call.api_of_node()?.check(&at)?;
    judged(check, format!("No certificate of node {node} ends within the next {within} {unit}"))
}

fn critical(call: &Call) -> Outcome {
    let node = call.node()?;
    call.say(&format!("Checking if node {node} is critical for quorum of any queues/streams ..."))?;
    if call.api()?.list(&(path(&["nodes"]) + "?columns=name"))?.len() == 1 {
        return Ok(Output::Said(format!(
            "Node {node} seems to be the only one in a single node cluster, the check does not apply"
        )));
    }
    let at = path(&["health", "checks", "node-is-quorum-critical"]);
    judged(
        call.api_of_node()?.check(&at)?,
        format!("Node {node} reported no queues with minimum quorum"),
    )
}

fn metadata(call: &Call, check: &[&str]) -> Outcome {
    let node = call.node()?;
    call.say(&format!("Checking if metadata store on node {node} has finished initializing ..."))?;
    let at = path(&[&["health", "checks"], check].concat());
    judged(
        call.api_of_node()?.check(&at)?,
        format!("Metadata store on node {node} has completed its initialization"),
    )
}

fn leaderless(call: &Call) -> Outcome {
    let (pattern, vhost) = (call.argument(0), call.vhost());
    let node = call.node()?;
    let (whose, where_) = if call.is("across-all-vhosts") {
        (vec!["all-vhosts"], "all vhosts".to_owned())
    } else {
        (vec!["vhost", vhost], format!("vhost {vhost}"))
    };
    call.say(&format!(
        "Checking leader replicas of quorum queues matching '{pattern}' in {where_} ..."
    ))?;
    let mut parts = vec!["health", "checks", "quorum-queues-without-elected-leaders"];
    parts.extend(whose);
    parts.extend(["pattern", pattern]);
    judged(
        call.api_of_node()?.check(&path(&parts))?,
        format!("Node {node} reported all quorum queue as having responsive leader replicas"),
    )
}

fn await_spare(call: &Call) -> Outcome {
    let time = call.timeout_or(SPARE);
    call.say(&format!(
        "Will wait for a quorum + 1 of nodes to be online for all quorum queues and streams for {} seconds...",
        time.as_secs()
    ))?;
    let deadline = Instant::now() + time;
    if call.api()?.list(&(path(&["nodes"]) + "?columns=name"))?.len() == 1 {
        return Ok(Output::Said(
            "Target node seems to be the only one in a single node cluster, the command does not apply"
                .to_owned(),
        ));
    }
    let at = path(&["health", "checks", "node-is-quorum-critical"]);
    let api = call.api_of_node()?;
    loop {
        let Some(why) = api.check(&at)? else { return Ok(Output::Done) };
        if Instant::now() >= deadline {
            let why = reason(&why);
            return Err(Failure::refused(format!(
                "Timed out while waiting for other nodes, without which queues would lose their quorum: {why}"
            )));
        }
        thread::sleep(PAUSE);
    }
}
