//! Stopping, starting and draining a node.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::checks::{PAUSE, reason};
use super::{CHECK, CTL, Command, LOOK, MOST, Outcome, Section, UPGRADE};
use crate::api::{Api, Problem, path};
use crate::call::Call;
use crate::failure::Failure;
use crate::line::Switch;
use crate::show::Output;

pub(super) static COMMANDS: &[Command] = &[
    Command::new("stop", Section::Nodes, CTL, "Ends the node's process in order", stop)
        .takes("[<pidfile>] [--idempotent]", 0, 1)
        .with(&[Switch::flag("idempotent")]),
    Command::new("shutdown", Section::Nodes, CTL, "Ends the node's process in order", stop)
        .with(&[Switch::flag("wait")]),
    Command::new(
        "stop_app",
        Section::Nodes,
        CTL,
        "Sends clients away and takes no others",
        stop_app,
    ),
    Command::new("start_app", Section::Nodes, CTL, "Serves clients again", start_app),
    Command::new(
        "reset",
        Section::Nodes,
        CTL,
        "Has the node leave the cluster and forget all",
        reset,
    ),
    Command::new(
        "force_reset",
        Section::Nodes,
        CTL,
        "Has the node leave the cluster and forget all",
        reset,
    ),
    Command::new(
        "drain",
        Section::Nodes,
        UPGRADE,
        "Sends clients away and gives leads to other nodes",
        drain,
    ),
    Command::new("revive", Section::Nodes, UPGRADE, "Serves clients again after a drain", revive),
    Command::new(
        "await_startup",
        Section::Nodes,
        LOOK,
        "Waits until the node has started",
        await_startup,
    )
    .takes("[--timeout <timeout>]", 0, 0),
    Command::new("wait", Section::Nodes, CTL, "Waits until the node has started", await_startup)
        .takes("[<pidfile>] [--pid|-P <pid>] [--timeout <timeout>]", 0, 1)
        .with(&[Switch::number("pid").or('P')]),
    Command::new(
        "post_upgrade",
        Section::Nodes,
        UPGRADE,
        "Does what is to be done after an upgrade",
        post_upgrade,
    ),
    Command::new(
        "environment",
        Section::Nodes,
        LOOK,
        "Shows the node's configuration",
        environment,
    ),
    Command::new(
        "server_version",
        Section::Monitoring,
        CHECK,
        "Tells the node's version",
        server_version,
    ),
    Command::new("eval", Section::Nodes, MOST, "Refused: there is no Erlang", eval).takes(
        "<expression>",
        0,
        super::ANY,
    ),
    Command::new("rotate_logs", Section::Nodes, CTL, "Does nothing", |_| {
        Err(Failure::refused("This command does not rotate logs anymore [deprecated]"))
    }),
];

/// How long a node may take to start when nobody says.
const STARTUP: Duration = Duration::from_secs(300);

fn stop(call: &Call) -> Outcome {
    let node = call.node()?;
    call.say(&format!("Stopping and halting node {node} ..."))?;
    let api = call.api_of_node()?;
    api.post(&path(&["warren", "nodes", node, "stop"]), &json!({}))?;
    if call.option("wait") == Some("false") {
        return Ok(Output::Done);
    }
    let deadline = Instant::now() + call.timeout();
    while api.check("/health/live").is_ok() {
        pause(&api, deadline)?;
    }
    Ok(Output::Done)
}

fn stop_app(call: &Call) -> Outcome {
    let node = call.node()?;
    call.say(&format!("Stopping rabbit application on node {node} ..."))?;
    let at = path(&["warren", "nodes", node, "app"]);
    let api = call.api_of_node()?;
    api.delete(&at)?;
    until_app_is(call, &api, &at, &["drained", "stopped"])
}

fn start_app(call: &Call) -> Outcome {
    let node = call.node()?;
    call.say(&format!("Starting node {node} ..."))?;
    call.api_of_node()?.put(&path(&["warren", "nodes", node, "app"]), &json!({}))?;
    await_ready(call)
}

fn reset(call: &Call) -> Outcome {
    let node = call.node()?;
    call.say(&format!("Resetting node {node} ..."))?;
    let api = call.api_of_node()?;
    let force = call.command.name == "force_reset";
    api.post(&path(&["warren", "nodes", node, "reset"]), &json!({"force": force}))?;
    until_app_is(call, &api, &path(&["warren", "nodes", node, "app"]), &["stopped"])
}

/// Waits until the app is in one of those states.
fn until_app_is(call: &Call, api: &Api, at: &str, wanted: &[&str]) -> Outcome {
    let deadline = Instant::now() + call.timeout();
    loop {
        let app = api.get(at)?;
        let state = app.get("state").and_then(Value::as_str).unwrap_or_default();
        if wanted.contains(&state) {
            return Ok(Output::Done);
        }
        pause(api, deadline)?;
    }
}

/// Waits before the next look, unless the time is up.
fn pause(api: &Api, deadline: Instant) -> Result<(), Problem> {
    if Instant::now() >= deadline {
        return Err(Problem::Late { url: api.url().clone() });
    }
    thread::sleep(PAUSE);
    Ok(())
}

fn drain(call: &Call) -> Outcome {
    let node = call.node()?;
    call.say(&format!(
        "Will put node {node} into maintenance mode. The node will no longer serve any client traffic!"
    ))?;
    drained(call, node)
}

/// Drains the node, and waits until it is done.
fn drained(call: &Call, node: &str) -> Outcome {
    let at = path(&["warren", "nodes", node, "drain"]);
    let api = call.api()?;
    let deadline = Instant::now() + call.timeout();
    api.put(&at, &json!({}))?;
    loop {
        if is_drained(&api.get(&at)?) || (is_alone(call, node)? && is_left(&api.get(&at)?)) {
            return Ok(Output::Done);
        }
        pause(api, deadline)?;
    }
}

fn is_drained(state: &Value) -> bool {
    state.get("state").and_then(Value::as_str) == Some("drained")
}

/// Whether all clients are gone, which is all that can be had of a node without others.
fn is_left(state: &Value) -> bool {
    state.get("connections").and_then(Value::as_u64) == Some(0)
}

/// Whether there is no other node that could take what this one leads.
fn is_alone(call: &Call, node: &str) -> Result<bool, Failure> {
    let nodes = call.api()?.list(&(path(&["nodes"]) + "?columns=name,running"))?;
    let runs = |row: &&Value| row.get("running") == Some(&json!(true));
    let mut others = nodes.iter().filter(runs);
    Ok(others.all(|row| row.get("name").and_then(Value::as_str) == Some(node)))
}

fn revive(call: &Call) -> Outcome {
    let node = call.node()?;
    call.say(&format!(
        "Will put node {node} back into regular operating mode. The node will again serve client traffic and host primary queue replicas."
    ))?;
    call.api()?.delete(&path(&["warren", "nodes", node, "drain"]))?;
    Ok(Output::Done)
}

fn await_startup(call: &Call) -> Outcome {
    let deadline = Instant::now() + call.timeout_or(STARTUP);
    loop {
        let why = match call.fresh_api().and_then(|api| Ok(api.check("/health/startup")?)) {
            Ok(None) => return Ok(Output::Done),
            Ok(Some(why)) => reason(&why),
            Err(failure @ Failure::Usage(_)) => return Err(failure),
            Err(failure) => failure.text(call),
        };
        if Instant::now() >= deadline {
            return Err(Failure::refused(format!("rabbit_is_not_running: {why}")));
        }
        thread::sleep(PAUSE);
    }
}

/// Waits until the node serves clients.
fn await_ready(call: &Call) -> Outcome {
    let api = call.api_of_node()?;
    let deadline = Instant::now() + call.timeout();
    loop {
        match api.check("/health/ready")? {
            None => return Ok(Output::Done),
            Some(why) if Instant::now() >= deadline => {
                return Err(Failure::refused(reason(&why)));
            }
            Some(_) => thread::sleep(PAUSE),
        }
    }
}

fn post_upgrade(call: &Call) -> Outcome {
    call.say("Executing post upgrade tasks...\nRebalancing queue masters...")?;
    call.api()?.post(&path(&["rebalance", "queues"]), &json!({}))?;
    Ok(Output::Done)
}

fn environment(call: &Call) -> Outcome {
    let node = call.node()?;
    call.say(&format!("Application environment of node {node} ..."))?;
    let value = call.api_of_node()?.get(&path(&["config", "effective"]))?;
    let text = serde_json::to_string_pretty(&value).expect("JSON can be written");
    Ok(Output::Document { text, value })
}

fn server_version(call: &Call) -> Outcome {
    let node = call.node()?;
    call.say(&format!("Asking node {node} for its RabbitMQ version..."))?;
    let overview = call.api_of_node()?.get(&path(&["overview"]))?;
    let version = overview.get("product_version").or_else(|| overview.get("rabbitmq_version"));
    let version = version.and_then(Value::as_str).unwrap_or_default();
    Ok(Output::Said(version.to_owned()))
}

fn eval(_: &Call) -> Outcome {
    Err(Failure::refused(
        "warren is not written in Erlang and evaluates no expressions. What they are used for has commands: see 'help'",
    ))
}
