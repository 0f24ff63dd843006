//! What RabbitMQ has plugins for and warren is built with. Such a one is always on; there are no
//! others, so that asking for one of them fails.

use serde_json::{Value, json};

use super::{Command, Outcome, PLUGINS, Section, VERSION};
use crate::api::path;
use crate::call::Call;
use crate::failure::{DATA_ERROR, Failure};
use crate::line::Switch;
use crate::show::{Format, Output};

pub(super) static COMMANDS: &[Command] = &[
    Command::new("list", Section::Plugins, PLUGINS, "Lists plugins that are built in", list)
        .takes("[pattern] [--verbose] [--minimal] [--enabled] [--implicitly-enabled]", 0, 1)
        .with(&[
            Switch::flag("verbose").or('v'),
            Switch::flag("minimal").or('m'),
            Switch::flag("enabled").or('E'),
            Switch::flag("implicitly-enabled").or('e'),
        ]),
    Command::new(
        "is_enabled",
        Section::Plugins,
        PLUGINS,
        "Fails unless plugins are built in",
        is_on,
    )
    .takes("<plugin1> [ <plugin2> ...]", 1, super::ANY)
    .with(PLACES),
    Command::new("enable", Section::Plugins, PLUGINS, "Fails unless plugins are built in", enable)
        .takes("<plugin1> [ <plugin2>] | --all [--offline] [--online]", 0, super::ANY)
        .with(PLACES),
    Command::new("disable", Section::Plugins, PLUGINS, "Fails: what is built in stays", disable)
        .takes("<plugin>|--all [--offline] [--online]", 0, super::ANY)
        .with(PLACES),
    Command::new("set", Section::Plugins, PLUGINS, "Fails unless plugins are built in", enable)
        .takes("<plugin1> [ <plugin2>] [--offline] [--online]", 0, super::ANY)
        .with(PLACES),
];

static PLACES: &[Switch] = &[Switch::flag("all"), Switch::flag("offline"), Switch::flag("online")];

/// What is built into every node of this version.
const BUILT_IN: [&str; 8] = [
    "rabbitmq_consistent_hash_exchange",
    "rabbitmq_delayed_message_exchange",
    "rabbitmq_management",
    "rabbitmq_management_agent",
    "rabbitmq_prometheus",
    "rabbitmq_random_exchange",
    "rabbitmq_recent_history_exchange",
    "rabbitmq_web_dispatch",
];

/// What is built in: as the node says, or, where none runs yet, as when an image is made, what is
/// built into those that came with this program.
fn built_in(call: &Call) -> Vec<String> {
    let asked = || -> Result<Option<Value>, Failure> {
        let node = call.node()?;
        Ok(call.api()?.find(&(path(&["nodes", node]) + "?columns=enabled_plugins"))?)
    };
    let row = if call.is("offline") { None } else { asked().ok().flatten() };
    let names = row.as_ref().and_then(|row| row.get("enabled_plugins")?.as_array());
    match names {
        Some(names) => names.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        None => BUILT_IN.map(str::to_owned).to_vec(),
    }
}

fn list(call: &Call) -> Outcome {
    let pattern = call.arguments().first().map_or(".*", String::as_str);
    call.say(&format!("Listing plugins with pattern \"{pattern}\" ..."))?;
    let part = pattern.trim_matches(['.', '*', '^', '$']);
    let mut found = built_in(call);
    found.retain(|name| name.contains(part));
    if call.is("minimal") {
        return Ok(Output::Said(found.join("\n")));
    }
    let widest = found.iter().map(|name| name.len()).max().unwrap_or_default();
    let mut lines = Vec::new();
    if !call.is("quiet") && !call.is("silent") && call.format()? == Format::Table {
        lines.push(" Configured: E = explicitly enabled; e = implicitly enabled".to_owned());
        lines.push(" | Status: * = running, built in".to_owned());
        lines.push(" |/".to_owned());
    }
    lines.extend(found.iter().map(|name| format!("[E*] {name:widest$} {VERSION}")));
    let plugins = found.iter().map(|name| {
        json!({
            "name": name,
            "enabled": "enabled",
            "running": true,
            "version": VERSION,
            "running_version": VERSION,
        })
    });
    let value = json!({
        "status": "running",
        "format": "normal",
        "plugins": plugins.collect::<Value>(),
    });
    Ok(Output::Document { text: lines.join("\n"), value })
}

/// Those of the arguments that are not built in.
fn missing<'a>(call: &'a Call, built_in: &[String]) -> Vec<&'a str> {
    let names = call.arguments().iter().filter(|name| !built_in.contains(name));
    names.map(String::as_str).collect()
}

fn is_on(call: &Call) -> Outcome {
    let names = call.arguments().join(", ");
    let (plugins, are) = match call.arguments() {
        [_] => ("Plugin", "is"),
        _ => ("Plugins", "are"),
    };
    let asked = plugins.to_lowercase();
    call.say(&format!("Asking this node if {asked} {names} {are} enabled..."))?;
    let built_in = built_in(call);
    if missing(call, &built_in).is_empty() {
        return Ok(Output::Said(format!("{plugins} {names} {are} enabled on this node")));
    }
    let enabled = built_in.join(", ");
    Err(Failure::refused(format!(
        "{plugins} {names} {are} not enabled on this node. Enabled plugins and dependencies: {enabled}"
    )))
}

fn enable(call: &Call) -> Outcome {
    if call.arguments().is_empty() && !call.is("all") && call.command.name == "enable" {
        return Err(call.misused("not enough arguments."));
    }
    call.say(&format!("Enabling plugins on this node:\n{}", call.arguments().join("\n")))?;
    let built_in = built_in(call);
    let missing = missing(call, &built_in);
    if missing.is_empty() {
        return Ok(Output::Said(configured(&built_in)));
    }
    let text = format!("The following plugins were not found: {}", missing.join(", "));
    Err(Failure::Refused { exit: DATA_ERROR, text })
}

fn configured(built_in: &[String]) -> String {
    let names = built_in.join("\n  ");
    format!(
        "The following plugins have been configured:\n  {names}\nApplying plugin configuration to this node...\nPlugin configuration unchanged."
    )
}

fn disable(call: &Call) -> Outcome {
    if call.arguments().is_empty() && !call.is("all") {
        return Err(call.misused("not enough arguments."));
    }
    call.say(&format!("Disabling plugins on this node:\n{}", call.arguments().join("\n")))?;
    let built_in = built_in(call);
    match call.arguments().iter().find(|name| built_in.contains(name)) {
        Some(name) => Err(Failure::refused(format!("{name} is built in and stays enabled"))),
        None if call.is("all") => {
            Err(Failure::refused("plugins are built in and stay enabled".to_owned()))
        }
        None => Ok(Output::Said(configured(&built_in))),
    }
}
