//! Queues: what there is, and what is done with them.

use serde_json::{Value, json};

use super::{CTL, Command, LOOK, OURS, Outcome, Section, done};
use crate::api::path;
use crate::call::Call;
use crate::failure::{Failure, USAGE};
use crate::line::Switch;
use crate::show::{Cell, Chosen, Column, Output, Shape};

pub(super) static COMMANDS: &[Command] = &[
    Command::new("list_queues", Section::Monitoring, LOOK, "Lists queues and what is in them", list)
        .takes(
            "[--vhost <vhost>] [--online] [--offline] [--local] [--no-table-headers] [<column>, ...] [--timeout <timeout>]",
            0,
            super::ANY,
        )
        .with(&[Switch::flag("online"), Switch::flag("offline"), Switch::flag("local")]),
    Command::new("purge_queue", Section::Queues, CTL, "Removes all waiting messages of a queue", purge)
        .takes("<queue> [--vhost <vhost>] [--timeout <timeout>]", 1, 1),
    Command::new("delete_queue", Section::Queues, CTL, "Removes a queue", delete)
        .takes(
            "[--vhost <vhost>] <queue_name> [--if-empty|-e] [--if-unused|-u] [--force] [--timeout <timeout>]",
            1,
            1,
        )
        .with(&[
            Switch::flag("if-empty").or('e'),
            Switch::flag("if-unused").or('u'),
            Switch::flag("force").or('f'),
        ]),
    Command::new("declare_queue", Section::Queues, OURS, "Makes a queue", declare)
        .takes(
            "[--vhost <vhost>] <queue_name> [--type <quorum|classic>] [--arguments <JSON>] [--transient] [--auto-delete]",
            1,
            1,
        )
        .with(&[
            Switch::word("type"),
            Switch::word("arguments"),
            Switch::flag("transient"),
            Switch::flag("auto-delete"),
        ]),
    Command::new("explain_queue", Section::Queues, OURS, "Tells why nothing moves in a queue", explain)
        .takes("[--vhost <vhost>] <queue_name>", 1, 1),
    Command::new("list_scheduled", Section::Queues, OURS, "Lists messages that wait for their time", scheduled)
        .takes("[--vhost <vhost>] [--limit <number>] [<column>, ...] [--no-table-headers]", 0, super::ANY)
        .with(&[Switch::number("limit")]),
    Command::new("cancel_scheduled", Section::Queues, OURS, "Drops a message that waits for its time", cancel_scheduled)
        .takes("[--vhost <vhost>] <id>", 1, 1),
    Command::new("list_unresponsive_queues", Section::Monitoring, LOOK, "Lists queues that do not answer", unresponsive)
        .takes("[--local] [--queue-timeout <queue-timeout>] [<column> ...] [--no-table-headers]", 0, super::ANY)
        .with(&[Switch::flag("local"), Switch::number("queue-timeout")]),
];

static COLUMNS: &[Column] = &[
    Column::plain("name"),
    Column::plain("durable"),
    Column::plain("auto_delete"),
    Column::plain("arguments").shaped(Shape::Arguments),
    Column::plain("policy"),
    Column::plain("operator_policy"),
    Column::plain("effective_policy_definition").shaped(Shape::Definition),
    Column::from("pid", "node").shaped(Shape::Made(pid)),
    Column::from("owner_pid", "owner_pid_details.name"),
    Column::plain("exclusive"),
    Column::from("exclusive_consumer_pid", "exclusive_consumer_pid"),
    Column::from("exclusive_consumer_tag", "exclusive_consumer_tag"),
    Column::plain("messages_ready"),
    Column::plain("messages_unacknowledged"),
    Column::plain("messages"),
    Column::plain("messages_ready_ram"),
    Column::plain("messages_unacknowledged_ram"),
    Column::plain("messages_ram"),
    Column::plain("messages_persistent"),
    Column::plain("message_bytes"),
    Column::plain("message_bytes_ready"),
    Column::plain("message_bytes_unacknowledged"),
    Column::plain("message_bytes_ram"),
    Column::plain("message_bytes_persistent"),
    Column::plain("head_message_timestamp"),
    Column::plain("disk_reads"),
    Column::plain("disk_writes"),
    Column::plain("consumers"),
    Column::plain("consumer_utilisation"),
    Column::plain("consumer_capacity"),
    Column::plain("memory"),
    Column::plain("state"),
    Column::plain("type"),
    Column::plain("leader"),
    Column::plain("members"),
    Column::plain("online"),
];

static SCHEDULED: &[Column] = &[
    Column::plain("id"),
    Column::plain("queue"),
    Column::plain("in_ms"),
    Column::plain("exchange"),
    Column::plain("routing_key"),
    Column::plain("message_id"),
    Column::plain("payload_bytes"),
];

/// What the API must say for the switches to be obeyed, and for [`pid`].
const NEEDED: [&str; 3] = ["name", "node", "state"];

/// What stands for Erlang's process: where the queue is, and its name.
fn pid(row: &Value) -> Cell {
    let text = |field| row.get(field).and_then(Value::as_str).unwrap_or_default();
    Cell::text(format!("<{}.{}>", text("node"), text("name")))
}

fn list(call: &Call) -> Outcome {
    let chosen = Chosen::by(call, COLUMNS, &["name", "messages"])?;
    let (api, vhost) = (call.api()?, call.vhost());
    call.say(&format!(
        "Timeout: {}.0 seconds ...\nListing queues for vhost {vhost} ...",
        call.timeout().as_secs()
    ))?;
    let query = chosen.query(&NEEDED);
    let mut rows = api.find_list(&(path(&["queues", vhost]) + &query))?.unwrap_or_default();
    let (online, offline) = (call.is("online"), call.is("offline"));
    if online != offline {
        rows.retain(|row| is_down(row) == offline);
    }
    keep_local(call, &mut rows)?;
    Ok(chosen.list(&rows))
}

/// Leaves out queues that are elsewhere, where that is asked for.
fn keep_local(call: &Call, rows: &mut Vec<Value>) -> Result<(), Failure> {
    if call.is("local") {
        let node = call.node()?;
        rows.retain(|row| row.get("node").and_then(Value::as_str) == Some(node));
    }
    Ok(())
}

fn is_down(row: &Value) -> bool {
    let state = row.get("state").and_then(Value::as_str).unwrap_or_default();
    matches!(state, "down" | "stopped" | "crashed" | "minority")
}

fn purge(call: &Call) -> Outcome {
    let (vhost, name) = (call.vhost(), call.argument(0));
    call.say(&format!("Purging queue '{name}' in vhost '{vhost}' ..."))?;
    done(call.api()?.delete(&path(&["queues", vhost, name, "contents"])), Failure::no_such_object)
}

fn delete(call: &Call) -> Outcome {
    let (vhost, name) = (call.vhost(), call.argument(0));
    let conditions = match (call.is("if-empty"), call.is("if-unused")) {
        (true, true) => " if queue is empty and if queue is unused",
        (true, false) => " if queue is empty",
        (false, true) => " if queue is unused",
        (false, false) => "",
    };
    call.say(&format!("Deleting queue '{name}' on vhost '{vhost}'{conditions} ..."))?;
    let api = call.api()?;
    let missing = || {
        let text = "No such queue was found".to_owned();
        Failure::Refused { exit: USAGE, text }
    };
    let queue = api.find(&(path(&["queues", vhost, name]) + "?columns=messages_ready"))?;
    let queue = queue.ok_or_else(missing)?;
    let ready = queue.get("messages_ready").and_then(Value::as_u64).unwrap_or_default();
    let query = match (call.is("if-empty"), call.is("if-unused")) {
        (true, true) => "?if-empty=true&if-unused=true",
        (true, false) => "?if-empty=true",
        (false, true) => "?if-unused=true",
        (false, false) => "",
    };
    match api.delete(&(path(&["queues", vhost, name]) + query)) {
        Ok(_) => {
            let text = format!("Queue was successfully deleted with {ready} ready messages");
            Ok(Output::Said(text))
        }
        Err(problem) => Err(problem.or_missing(missing)),
    }
}

fn declare(call: &Call) -> Outcome {
    let (vhost, name) = (call.vhost(), call.argument(0));
    let arguments = call.option("arguments").unwrap_or("{}");
    let Ok(Value::Object(mut arguments)) = serde_json::from_str(arguments) else {
        return Err(call.bad_argument("Arguments must be a JSON object"));
    };
    if let Some(kind) = call.option("type") {
        arguments.insert("x-queue-type".to_owned(), json!(kind));
    }
    call.say(&format!("Declaring queue '{name}' in vhost '{vhost}' ..."))?;
    let body = json!({
        "durable": !call.is("transient"),
        "auto_delete": call.is("auto-delete"),
        "arguments": arguments,
    });
    done(call.api()?.put(&path(&["queues", vhost, name]), &body), || Failure::no_such_vhost(vhost))
}

fn explain(call: &Call) -> Outcome {
    let (vhost, name) = (call.vhost(), call.argument(0));
    let api = call.api()?;
    call.say(&format!("Explaining queue '{name}' in vhost '{vhost}' ..."))?;
    let found = api.find(&path(&["queues", vhost, name, "explain"]))?;
    let value = found.ok_or_else(Failure::no_such_object)?;
    let text = |value: &Value, field: &str| {
        value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let mut lines = vec![text(&value, "summary")];
    for finding in value.get("findings").and_then(Value::as_array).into_iter().flatten() {
        lines.push(format!(" * {}: {}", text(finding, "severity"), text(finding, "text")));
        let advice = text(finding, "advice");
        if !advice.is_empty() {
            lines.push(format!("   {advice}"));
        }
    }
    Ok(Output::Document { text: lines.join("\n"), value })
}

fn scheduled(call: &Call) -> Outcome {
    let chosen = Chosen::by(call, SCHEDULED, &["id", "queue", "in_ms", "routing_key"])?;
    let (api, vhost) = (call.api()?, call.vhost());
    call.say(&format!("Listing scheduled messages for vhost {vhost} ..."))?;
    let limit = call.option("limit").map(|limit| format!("?limit={limit}")).unwrap_or_default();
    let rows = api.find_list(&(path(&["scheduled", vhost]) + &limit))?;
    Ok(chosen.list(&rows.ok_or_else(|| Failure::no_such_vhost(vhost))?))
}

fn cancel_scheduled(call: &Call) -> Outcome {
    let (vhost, id) = (call.vhost(), call.argument(0));
    call.say(&format!("Cancelling scheduled message '{id}' in vhost '{vhost}' ..."))?;
    done(call.api()?.delete(&path(&["scheduled", vhost, id])), Failure::no_such_object)
}

/// Those whose leader did not answer: the API knows no state of theirs, or a bad one.
fn unresponsive(call: &Call) -> Outcome {
    let chosen = Chosen::by(call, COLUMNS, &["name"])?;
    let (api, vhost) = (call.api()?, call.vhost());
    call.say(&format!("Listing unresponsive queues for vhost {vhost} ..."))?;
    let query = chosen.query(&NEEDED);
    let mut rows = api.find_list(&(path(&["queues", vhost]) + &query))?.unwrap_or_default();
    rows.retain(|row| row.get("state").is_none() || is_down(row));
    keep_local(call, &mut rows)?;
    Ok(chosen.list(&rows))
}
