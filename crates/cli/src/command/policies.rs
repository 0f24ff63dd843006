//! Policies, and those that operators lay over them.

use serde_json::{Value, json};

use super::{CTL, Command, LOOK, Outcome, Section, done};
use crate::api::path;
use crate::call::Call;
use crate::failure::Failure;
use crate::line::Switch;
use crate::show::{Chosen, Column, Shape};

pub(super) static COMMANDS: &[Command] = &[
    Command::new("set_policy", Section::Policies, CTL, "Makes or replaces a policy", |call| {
        set(call, &USERS)
    })
    .takes(SET, 3, 3)
    .with(SWITCHES),
    Command::new("clear_policy", Section::Policies, CTL, "Removes a policy", |call| {
        clear(call, &USERS)
    })
    .takes("[--vhost <vhost>] <name>", 1, 1),
    Command::new("list_policies", Section::Policies, LOOK, "Lists policies", |call| {
        list(call, &USERS)
    })
    .takes(LIST, 0, 0),
    Command::new(
        "set_operator_policy",
        Section::Policies,
        CTL,
        "Makes or replaces an operator's policy",
        |call| set(call, &OPERATORS),
    )
    .takes(SET, 3, 3)
    .with(SWITCHES),
    Command::new(
        "clear_operator_policy",
        Section::Policies,
        CTL,
        "Removes an operator's policy",
        |call| clear(call, &OPERATORS),
    )
    .takes("[--vhost <vhost>] <name>", 1, 1),
    Command::new(
        "list_operator_policies",
        Section::Policies,
        LOOK,
        "Lists operators' policies",
        |call| list(call, &OPERATORS),
    )
    .takes(LIST, 0, 0),
];

const SET: &str = "[--vhost <vhost>] [--priority <priority>] [--apply-to <apply-to>] <name> <pattern> <definition>";
const LIST: &str = "[--vhost <vhost>] [--no-table-headers] [--timeout <timeout>]";
static SWITCHES: &[Switch] = &[Switch::number("priority"), Switch::word("apply-to")];

/// Whose policies.
struct Kind {
    /// What the API calls them.
    path: &'static str,
    /// What banners call one.
    one: &'static str,
    /// What a banner calls one that is removed.
    cleared: &'static str,
    /// What banners call many.
    many: &'static str,
}

static USERS: Kind = Kind { path: "policies", one: "policy", cleared: "policy", many: "policies" };

static OPERATORS: Kind = Kind {
    path: "operator-policies",
    one: "operator policy override",
    cleared: "operator policy",
    many: "operator policy overrides",
};

static COLUMNS: &[Column] = &[
    Column::plain("vhost"),
    Column::plain("name"),
    Column::plain("pattern"),
    Column::plain("apply-to"),
    Column::plain("definition").shaped(Shape::Document),
    Column::plain("priority"),
];

fn set(call: &Call, kind: &Kind) -> Outcome {
    let (vhost, name, pattern) = (call.vhost(), call.argument(0), call.argument(1));
    let definition = call.argument(2);
    let priority = call.option("priority").unwrap_or("0");
    let one = kind.one;
    call.say(&format!(
        "Setting {one} \"{name}\" for pattern \"{pattern}\" to \"{definition}\" with priority \"{priority}\" for vhost \"{vhost}\" ..."
    ))?;
    let body = json!({
        "pattern": pattern,
        "definition": document(definition)?,
        "priority": priority.parse::<i64>().unwrap_or_default(),
        "apply-to": call.option("apply-to").unwrap_or("all"),
    });
    done(call.api()?.put(&path(&[kind.path, vhost, name]), &body), || Failure::no_such_vhost(vhost))
}

/// An argument that is JSON.
pub(super) fn document(text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text)
        .map_err(|error| Failure::refused(format!("Could not parse JSON document: {error}")))
}

fn clear(call: &Call, kind: &Kind) -> Outcome {
    let (vhost, name) = (call.vhost(), call.argument(0));
    call.say(&format!("Clearing {} \"{name}\" on vhost \"{vhost}\" ...", kind.cleared))?;
    cleared(call, &path(&[kind.path, vhost, name]))
}

/// Removes a parameter, or what is one for RabbitMQ.
pub(super) fn cleared(call: &Call, path: &str) -> Outcome {
    done(call.api()?.delete(path), || Failure::refused("Parameter does not exist"))
}

fn list(call: &Call, kind: &Kind) -> Outcome {
    let vhost = call.vhost();
    let api = call.api()?;
    call.say(&format!("Listing {} for vhost \"{vhost}\" ...", kind.many))?;
    let rows = api.find_list(&path(&[kind.path, vhost]))?;
    Ok(Chosen::all(COLUMNS).list(&rows.ok_or_else(|| Failure::no_such_vhost(vhost))?))
}
