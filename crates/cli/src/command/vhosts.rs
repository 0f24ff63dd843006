//! Virtual hosts.

use serde_json::{Map, Value, json};

use super::{CTL, Command, LOOK, Outcome, Section, done};
use crate::api::path;
use crate::call::Call;
use crate::failure::{DATA_ERROR, Failure};
use crate::line::Switch;
use crate::show::{Chosen, Column, Output, Shape};

pub(super) static COMMANDS: &[Command] = &[
    Command::new("add_vhost", Section::VirtualHosts, CTL, "Makes a virtual host", add)
        .takes(
            "<vhost> [--description <description> --tags \"<tag1>,<tag2>,<...>\" --default-queue-type <quorum|classic|stream>]",
            1,
            1,
        )
        .with(METADATA),
    Command::new(
        "update_vhost_metadata",
        Section::VirtualHosts,
        CTL,
        "Changes what is known about a virtual host",
        update,
    )
    .takes(
        "<vhost> [--description=<description>] [--tags=\"<tag1>,<tag2>,<...>\"] [--default-queue-type=<quorum|classic|stream>] [--protected-from-deletion=<true|false>]",
        1,
        1,
    )
    .with(METADATA),
    Command::new("set_vhost_tags", Section::VirtualHosts, CTL, "Replaces a virtual host's tags", set_tags)
        .takes("<vhost> <tag> [...]", 1, super::ANY),
    Command::new("delete_vhost", Section::VirtualHosts, CTL, "Removes a virtual host and all in it", delete)
        .takes("<vhost>", 1, 1),
    Command::new(
        "enable_vhost_deletion_protection",
        Section::VirtualHosts,
        CTL,
        "Protects a virtual host from removal",
        protect,
    )
    .takes("<vhost>", 1, 1),
    Command::new(
        "disable_vhost_deletion_protection",
        Section::VirtualHosts,
        CTL,
        "Lets a virtual host be removed again",
        unprotect,
    )
    .takes("<vhost>", 1, 1),
    Command::new("list_vhosts", Section::Access, LOOK, "Lists virtual hosts", list)
        .takes("[--no-table-headers] [<column> ...] [--timeout <timeout>]", 0, super::ANY),
    Command::new("trace_on", Section::VirtualHosts, CTL, "Begins to trace messages", trace_on)
        .takes("[--vhost <vhost>]", 0, 0),
    Command::new("trace_off", Section::VirtualHosts, CTL, "Ends tracing messages", trace_off)
        .takes("[--vhost <vhost>]", 0, 0),
];

static METADATA: &[Switch] = &[
    Switch::word("description"),
    Switch::word("tags"),
    Switch::word("default-queue-type"),
    Switch::word("protected-from-deletion"),
];

static COLUMNS: &[Column] = &[
    Column::plain("name"),
    Column::plain("description"),
    Column::plain("tags"),
    Column::plain("default_queue_type"),
    Column::plain("protected_from_deletion"),
    Column::plain("tracing"),
    Column::plain("cluster_state").shaped(Shape::States),
    Column::plain("metadata"),
];

/// The types that a virtual host's queues can have when nobody says.
const TYPES: [&str; 3] = ["quorum", "stream", "classic"];

fn add(call: &Call) -> Outcome {
    let name = call.argument(0);
    let metadata = metadata(call)?;
    let api = call.api()?;
    call.say(&format!("Adding vhost \"{name}\" ..."))?;
    if api.find(&path(&["vhosts", name]))?.is_none() {
        api.put(&path(&["vhosts", name]), &Value::Object(metadata))?;
    }
    Ok(Output::Done)
}

fn update(call: &Call) -> Outcome {
    let metadata = metadata(call)?;
    if metadata.is_empty() {
        return Err(call.misused("not enough arguments."));
    }
    let name = call.argument(0);
    call.say(&format!("Updating metadata of vhost \"{name}\" ..."))?;
    change(call, name, metadata)
}

fn set_tags(call: &Call) -> Outcome {
    let name = call.argument(0);
    let tags = call.arguments().get(1..).unwrap_or_default();
    call.say(&format!("Setting tags for virtual host \"{name}\" to [{}] ...", tags.join(", ")))?;
    change(call, name, Map::from_iter([("tags".to_owned(), json!(tags))]))
}

/// Changes what is given, and leaves the rest as it is.
fn change(call: &Call, name: &str, given: Map<String, Value>) -> Outcome {
    let api = call.api()?;
    let vhost = api.find(&path(&["vhosts", name]))?;
    let vhost = vhost.ok_or_else(|| Failure::no_such_vhost(name))?;
    let mut body = Map::new();
    for field in ["description", "tags", "default_queue_type", "protected_from_deletion", "tracing"]
    {
        if let Some(value) = given.get(field).or_else(|| vhost.get(field)) {
            body.insert(field.to_owned(), value.clone());
        }
    }
    api.put(&path(&["vhosts", name]), &Value::Object(body))?;
    Ok(Output::Done)
}

fn metadata(call: &Call) -> Result<Map<String, Value>, Failure> {
    let mut metadata = Map::new();
    if let Some(description) = call.option("description") {
        metadata.insert("description".to_owned(), json!(description));
    }
    if let Some(tags) = call.option("tags") {
        let tags: Vec<&str> = tags.split(',').filter(|tag| !tag.is_empty()).collect();
        metadata.insert("tags".to_owned(), json!(tags));
    }
    if let Some(kind) = call.option("default-queue-type") {
        if !TYPES.contains(&kind) {
            let types = TYPES.join(", ");
            return Err(call.bad_argument(&format!(
                "Default queue type must be one of: {types}. Provided: {kind}"
            )));
        }
        metadata.insert("default_queue_type".to_owned(), json!(kind));
    }
    match call.option("protected-from-deletion") {
        None => {}
        Some(text @ ("true" | "false")) => {
            metadata.insert("protected_from_deletion".to_owned(), json!(text == "true"));
        }
        Some(_) => return Err(call.bad_argument("Protected from deletion must be true or false")),
    }
    Ok(metadata)
}

fn delete(call: &Call) -> Outcome {
    let name = call.argument(0);
    call.say(&format!("Deleting vhost \"{name}\" ..."))?;
    let api = call.api()?;
    let Some(vhost) = api.find(&path(&["vhosts", name]))? else {
        return Err(Failure::no_such_vhost(name));
    };
    if vhost.get("protected_from_deletion") == Some(&json!(true)) {
        let text = "Cannot delete this virtual host: it is protected from deletion. To lift the protection, inspect and update its metadata";
        return Err(Failure::Refused { exit: DATA_ERROR, text: text.to_owned() });
    }
    api.delete(&path(&["vhosts", name]))?;
    Ok(Output::Done)
}

fn protect(call: &Call) -> Outcome {
    let name = call.argument(0);
    call.say(&format!(
        "Protecting virtual host \"{name}\" from removal by updating its metadata..."
    ))?;
    known(name, call.api()?.post(&path(&["vhosts", name, "deletion", "protection"]), &json!({})))
}

fn unprotect(call: &Call) -> Outcome {
    let name = call.argument(0);
    call.say(&format!(
        "Removing deletion protection from virtual host \"{name}\" by updating its metadata..."
    ))?;
    known(name, call.api()?.delete(&path(&["vhosts", name, "deletion", "protection"])))
}

fn known(name: &str, answer: Result<Value, crate::api::Problem>) -> Outcome {
    done(answer, || Failure::no_such_vhost(name))
}

fn list(call: &Call) -> Outcome {
    let chosen = Chosen::by(call, COLUMNS, &["name"])?;
    let api = call.api()?;
    call.say("Listing vhosts ...")?;
    Ok(chosen.list(&api.list(&path(&["vhosts"]))?))
}

fn trace_on(call: &Call) -> Outcome {
    let vhost = call.vhost();
    call.say(&format!("Starting tracing for vhost \"{vhost}\" ..."))?;
    change(call, vhost, Map::from_iter([("tracing".to_owned(), json!(true))]))?;
    Ok(Output::Said(format!("Trace enabled for vhost {vhost}")))
}

fn trace_off(call: &Call) -> Outcome {
    let vhost = call.vhost();
    call.say(&format!("Stopping tracing for vhost \"{vhost}\" ..."))?;
    change(call, vhost, Map::from_iter([("tracing".to_owned(), json!(false))]))?;
    Ok(Output::Said(format!("Trace disabled for vhost {vhost}")))
}
