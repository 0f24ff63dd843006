//! The nodes of a cluster: who belongs to it, and leaving it.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::checks::PAUSE;
use super::{CTL, Command, LOOK, OURS, Outcome, Section, done};
use crate::api::path;
use crate::call::Call;
use crate::failure::{Failure, SOFTWARE};
use crate::line::Switch;
use crate::show::{Chosen, Column, Output};

pub(super) static COMMANDS: &[Command] = &[
    Command::new(
        "join_cluster",
        Section::Cluster,
        CTL,
        "Has the node join another's cluster",
        join,
    )
    .takes("[--disc] <existing_cluster_member>", 1, 1)
    .with(&[Switch::flag("disc"), Switch::flag("ram")]),
    Command::new(
        "forget_cluster_node",
        Section::Cluster,
        CTL,
        "Removes a node that will not come back",
        forget,
    )
    .takes("[--offline] <existing_cluster_member_node>", 1, 1)
    .with(&[Switch::flag("offline")]),
    Command::new(
        "await_online_nodes",
        Section::Cluster,
        LOOK,
        "Waits until that many nodes run",
        await_nodes,
    )
    .takes("<count> [--timeout <timeout>]", 1, 1),
    Command::new("set_cluster_name", Section::Cluster, CTL, "Names the cluster", set_name)
        .takes("<name>", 1, 1),
    Command::new("list_nodes", Section::Cluster, OURS, "Lists nodes", list).takes(
        "[--no-table-headers] [<column> ...]",
        0,
        super::ANY,
    ),
];

static COLUMNS: &[Column] = &[
    Column::plain("name"),
    Column::plain("id"),
    Column::plain("address"),
    Column::plain("zone"),
    Column::plain("running"),
    Column::plain("draining"),
    Column::plain("boot"),
];

/// How long to wait for nodes when nobody says.
const NODES: Duration = Duration::from_secs(300);

fn join(call: &Call) -> Outcome {
    let (node, other) = (call.node()?, call.argument(0));
    call.say(&format!("Clustering node {node} with {other}"))?;
    if node == other {
        let text = format!("Error: cannot cluster node with itself: {node}");
        return Err(Failure::Refused { exit: SOFTWARE, text });
    }
    let nodes = match call.api()?.list(&(path(&["nodes"]) + "?columns=name")) {
        // One that has been reset is no member of anything.
        Err(problem) if problem.is_unavailable() => Vec::new(),
        nodes => nodes?,
    };
    if nodes.iter().any(|row| row.get("name").and_then(Value::as_str) == Some(other)) {
        return Ok(Output::Said("The node is already a member of this cluster".to_owned()));
    }
    let at = path(&["warren", "nodes", node, "join"]);
    call.api_of_node()?.post(&at, &json!({"node": other}))?;
    Ok(Output::Done)
}

fn forget(call: &Call) -> Outcome {
    let node = call.argument(0);
    call.say(&format!("Removing node {node} from the cluster"))?;
    done(call.api()?.delete(&path(&["warren", "nodes", node])), || {
        Failure::refused("The node selected is not in the cluster.")
    })
}

fn await_nodes(call: &Call) -> Outcome {
    let count = call.positive(0)?;
    let api = call.api()?;
    let time = call.timeout_or(NODES);
    let node = call.node()?;
    call.say(&format!(
        "Will wait for at least {count} nodes to join the cluster of {node}. Timeout: {} seconds.",
        time.as_secs()
    ))?;
    let deadline = Instant::now() + time;
    loop {
        let nodes = api.list(&(path(&["nodes"]) + "?columns=name,running"))?;
        let running = nodes.iter().filter(|node| node.get("running") == Some(&json!(true)));
        if u64::try_from(running.count()).is_ok_and(|running| running >= count) {
            return Ok(Output::Done);
        }
        if Instant::now() >= deadline {
            let text = format!(
                "Error: timed out while waiting. Not enough nodes joined {node}'s cluster."
            );
            return Err(Failure::Refused { exit: SOFTWARE, text });
        }
        thread::sleep(PAUSE);
    }
}

fn set_name(call: &Call) -> Outcome {
    let name = call.argument(0);
    call.say(&format!("Setting cluster name to {name} ..."))?;
    call.api()?.put(&path(&["cluster-name"]), &json!({"name": name}))?;
    Ok(Output::Done)
}

fn list(call: &Call) -> Outcome {
    let columns = ["name", "id", "address", "zone", "running", "draining"];
    let chosen = Chosen::by(call, COLUMNS, &columns)?;
    let api = call.api()?;
    call.say("Listing nodes ...")?;
    Ok(chosen.list(&api.list(&path(&["warren", "nodes"]))?))
}
