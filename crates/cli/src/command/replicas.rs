//! Where queues are kept, and who leads them.

use serde_json::{Value, json};

use super::{Command, OURS, Outcome, QUEUE_CHECK, QUEUES, Section};
use crate::api::{Problem, path};
use crate::call::Call;
use crate::failure::Failure;
use crate::line::Switch;
use crate::show::{Chosen, Column, Output};

pub(super) static COMMANDS: &[Command] = &[
    Command::new("rebalance", Section::Replication, QUEUES, "Spreads leaders over the nodes", rebalance)
        .takes(
            "<all | classic | quorum | stream> [--vhost-pattern <pattern>] [--queue-pattern <pattern>]",
            1,
            1,
        )
        .with(PATTERNS),
    Command::new("grow", Section::Replication, QUEUES, "Gives a node replicas", grow)
        .takes(
            "<node> <all | even> [--vhost-pattern <pattern>] [--queue-pattern <pattern>] [--membership <promotable|voter>]",
            2,
            2,
        )
        .with(PATTERNS),
    Command::new("shrink", Section::Replication, QUEUES, "Takes replicas off a node", shrink)
        .takes(
            "<node> [--errors-only] [--vhost-pattern <pattern>] [--queue-pattern <pattern>]",
            1,
            1,
        )
        .with(PATTERNS),
    Command::new("quorum_status", Section::Monitoring, QUEUE_CHECK, "Shows a queue's replicas", status)
        .takes("[--vhost <vhost>] <queue>", 1, 1),
    Command::new("add_member", Section::Replication, QUEUES, "Gives a queue another replica", add)
        .takes(
            "[--vhost <vhost>] <queue> <node> [--membership <promotable|voter>] [--timeout <timeout>]",
            2,
            2,
        )
        .with(PATTERNS),
    Command::new("delete_member", Section::Replication, QUEUES, "Takes a replica off a queue", remove)
        .takes("[--vhost <vhost>] <queue> <node>", 2, 2),
    Command::new("list_shards", Section::Replication, OURS, "Lists shards and who leads them", shards)
        .takes("[--no-table-headers] [<column> ...]", 0, super::ANY),
];

static PATTERNS: &[Switch] = &[
    Switch::word("vhost-pattern"),
    Switch::word("queue-pattern"),
    Switch::word("membership"),
    Switch::flag("errors-only"),
];

static SHARDS: &[Column] = &[
    Column::plain("group"),
    Column::plain("kind"),
    Column::plain("leader"),
    Column::plain("term"),
    Column::plain("replicas"),
    Column::plain("voters"),
    Column::plain("learners"),
    Column::plain("preferred"),
    Column::plain("queues"),
    Column::plain("ready"),
    Column::plain("unacknowledged"),
    Column::plain("applied"),
    Column::plain("lag"),
];

static REPLICAS: &[Column] = &[
    Column::plain("Node Name"),
    Column::plain("Raft State"),
    Column::plain("Membership"),
    Column::plain("Last Log Index"),
    Column::plain("Last Written"),
    Column::plain("Last Applied"),
    Column::plain("Commit Index"),
    Column::plain("Snapshot Index"),
    Column::plain("Term"),
    Column::plain("Machine Version"),
];

static GROWN: &[Column] = &[
    Column::plain("vhost"),
    Column::plain("name"),
    Column::plain("size"),
    Column::plain("result"),
];

/// The kinds of queues whose leaders can be spread.
const KINDS: [&str; 4] = ["all", "classic", "quorum", "stream"];

fn rebalance(call: &Call) -> Outcome {
    let kind = call.argument(0);
    if !KINDS.contains(&kind) {
        let text = format!("type {kind} is not supported. Try one of all, quorum, stream.");
        return Err(Failure::refused(text));
    }
    let api = call.api()?;
    call.say(&match kind {
        "all" => "Re-balancing leaders of all queues...".to_owned(),
        kind => format!("Re-balancing leaders of {kind} queues..."),
    })?;
    api.post(&path(&["rebalance", "queues"]), &json!({}))?;
    Ok(Output::Done)
}

fn grow(call: &Call) -> Outcome {
    let (node, strategy) = (call.argument(0), call.argument(1));
    if !matches!(strategy, "all" | "even") {
        return Err(call.misused(&format!("\"strategy '{strategy}' is not recognised.\"")));
    }
    let api = call.api()?;
    call.say(&format!("Growing {strategy} queues on {node}..."))?;
    let body = json!({
        "strategy": strategy,
        "vhost_pattern": call.option("vhost-pattern").unwrap_or(".*"),
        "queue_pattern": call.option("queue-pattern").unwrap_or(".*"),
    });
    let at = path(&["queues", "quorum", "replicas", "on", node, "grow"]);
    listed(api.post(&at, &body))
}

fn shrink(call: &Call) -> Outcome {
    let node = call.argument(0);
    let api = call.api()?;
    call.say(&format!("Shrinking queues on {node}..."))?;
    let body = json!({
        "vhost_pattern": call.option("vhost-pattern").unwrap_or(".*"),
        "queue_pattern": call.option("queue-pattern").unwrap_or(".*"),
    });
    let at = path(&["queues", "quorum", "replicas", "on", node, "shrink"]);
    listed(api.delete_part(&at, &body))
}

/// What was done to each queue.
fn listed(answer: Result<Value, Problem>) -> Outcome {
    let rows = answer?;
    Ok(Chosen::all(GROWN).list(rows.as_array().map(Vec::as_slice).unwrap_or_default()))
}

fn status(call: &Call) -> Outcome {
    let (vhost, name) = (call.vhost(), call.argument(0));
    let api = call.api()?;
    call.say(&format!("Status of queue {name} on node {} ...", call.node()?))?;
    let rows = api.find_list(&path(&["queues", "quorum", vhost, name, "status"]))?;
    let rows = rows.ok_or_else(|| {
        Failure::missing(format!("queue '{name}' was not found in virtual host '{vhost}'"))
    })?;
    Ok(Output::Boxes(Chosen::all(REPLICAS).table(&rows)))
}

fn add(call: &Call) -> Outcome {
    let (vhost, name, node) = (call.vhost(), call.argument(0), call.argument(1));
    call.say(&format!("Adding a member for queue {name} on node {node}..."))?;
    let at = path(&["queues", "quorum", vhost, name, "replicas", "add"]);
    call.api()?.post(&at, &json!({"node": node}))?;
    Ok(Output::Done)
}

fn remove(call: &Call) -> Outcome {
    let (vhost, name, node) = (call.vhost(), call.argument(0), call.argument(1));
    call.say(&format!("Removing a replica of queue {name} on node {node}..."))?;
    let at = path(&["queues", "quorum", vhost, name, "replicas", "delete"]);
    call.api()?.delete_part(&at, &json!({"node": node}))?;
    Ok(Output::Done)
}

fn shards(call: &Call) -> Outcome {
    let columns =
        ["group", "kind", "leader", "term", "replicas", "queues", "ready", "unacknowledged"];
    let chosen = Chosen::by(call, SHARDS, &columns)?;
    let api = call.api()?;
    call.say("Listing shards ...")?;
    Ok(chosen.list(&api.list(&path(&["warren", "shards"]))?))
}
