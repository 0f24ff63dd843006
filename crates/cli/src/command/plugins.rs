//! What RabbitMQ has plugins for and warren is built with. Such a one is always on; there are no
//! others, so that asking for one of them fails.

use super::{Command, Outcome, PLUGINS, Section, VERSION};
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

/// What is built in.
pub(super) const BUILT_IN: [&str; 4] = [
    "rabbitmq_management",
    "rabbitmq_management_agent",
    "rabbitmq_prometheus",
    "rabbitmq_web_dispatch",
];

fn list(call: &Call) -> Outcome {
    let pattern = call.arguments().first().map_or(".*", String::as_str);
    call.say(&format!("Listing plugins with pattern \"{pattern}\" ..."))?;
    let part = pattern.trim_matches(['.', '*', '^', '$']);
    let found: Vec<&str> = BUILT_IN.into_iter().filter(|name| name.contains(part)).collect();
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
        serde_json::json!({
            "name": name,
            "enabled": "enabled",
            "running": true,
            "version": VERSION,
            "running_version": VERSION,
        })
    });
    let value = serde_json::json!({
        "status": "running",
        "format": "normal",
        "plugins": plugins.collect::<serde_json::Value>(),
    });
    Ok(Output::Document { text: lines.join("\n"), value })
}

fn missing(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).filter(|name| !BUILT_IN.contains(name)).collect()
}

fn is_on(call: &Call) -> Outcome {
    let names = call.arguments().join(", ");
    let (plugins, are) = match call.arguments() {
        [_] => ("Plugin", "is"),
        _ => ("Plugins", "are"),
    };
    let asked = plugins.to_lowercase();
    call.say(&format!("Asking this node if {asked} {names} {are} enabled..."))?;
    if missing(call.arguments()).is_empty() {
        return Ok(Output::Said(format!("{plugins} {names} {are} enabled on this node")));
    }
    let enabled = BUILT_IN.join(", ");
    Err(Failure::refused(format!(
        "{plugins} {names} {are} not enabled on this node. Enabled plugins and dependencies: {enabled}"
    )))
}

fn enable(call: &Call) -> Outcome {
    if call.arguments().is_empty() && !call.is("all") && call.command.name == "enable" {
        return Err(call.misused("not enough arguments."));
    }
    call.say(&format!("Enabling plugins on this node:\n{}", call.arguments().join("\n")))?;
    refuse_unknown(call)?;
    Ok(Output::Said(configured()))
}

fn refuse_unknown(call: &Call) -> Result<(), Failure> {
    let missing = missing(call.arguments());
    if missing.is_empty() {
        return Ok(());
    }
    let text = format!("The following plugins were not found: {}", missing.join(", "));
    Err(Failure::Refused { exit: DATA_ERROR, text })
}

fn configured() -> String {
    let names = BUILT_IN.join("\n  ");
    format!(
        "The following plugins have been configured:\n  {names}\nApplying plugin configuration to this node...\nPlugin configuration unchanged."
    )
}

fn disable(call: &Call) -> Outcome {
    if call.arguments().is_empty() && !call.is("all") {
        return Err(call.misused("not enough arguments."));
    }
    call.say(&format!("Disabling plugins on this node:\n{}", call.arguments().join("\n")))?;
    let known: Vec<&String> =
        call.arguments().iter().filter(|name| BUILT_IN.contains(&name.as_str())).collect();
    match known.first() {
        Some(name) => Err(Failure::refused(format!("{name} is built in and stays enabled"))),
        None if call.is("all") => {
            Err(Failure::refused("plugins are built in and stay enabled".to_owned()))
        }
        None => Ok(Output::Said(configured())),
    }
}
