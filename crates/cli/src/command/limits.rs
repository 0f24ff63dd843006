//! How much virtual hosts and users may have.

use serde_json::{Map, Value, json};

use super::policies::document;
use super::users::user;
use super::{CTL, Command, LOOK, Outcome, Section};
use crate::api::{Api, path};
use crate::call::Call;
use crate::failure::Failure;
use crate::line::Switch;
use crate::show::{Chosen, Column, Output, Shape};

pub(super) static COMMANDS: &[Command] = &[
    Command::new("set_vhost_limits", Section::VirtualHosts, CTL, "Limits a virtual host", set)
        .takes("[--vhost <vhost>] <definition>", 1, 1),
    Command::new(
        "clear_vhost_limits",
        Section::VirtualHosts,
        CTL,
        "Takes a virtual host's limits away",
        clear,
    )
    .takes("[--vhost <vhost>]", 0, 0),
    Command::new(
        "list_vhost_limits",
        Section::VirtualHosts,
        LOOK,
        "Shows the limits of virtual hosts",
        list,
    )
    .takes("[--vhost <vhost>] [--global] [--no-table-headers]", 0, 0)
    .with(&[Switch::flag("global")]),
    Command::new("set_user_limits", Section::Users, CTL, "Limits a user", set_user).takes(
        "<username> <definition>",
        2,
        2,
    ),
    Command::new(
        "clear_user_limits",
        Section::Users,
        CTL,
        "Takes limits of a user away",
        clear_user,
    )
    .takes("<username> <limit_type> | all", 2, 2),
    Command::new("list_user_limits", Section::Users, LOOK, "Shows the limits of users", list_user)
        .takes("[--user <username>] [--global]", 0, 0)
        .with(&[Switch::word("user"), Switch::flag("global")]),
];

static OF_VHOSTS: &[Column] =
    &[Column::plain("vhost"), Column::from("limits", "value").shaped(Shape::Document)];

static OF_USERS: &[Column] =
    &[Column::plain("user"), Column::from("limits", "value").shaped(Shape::Document)];

/// The user whose limits are shown when nobody says.
const GUEST: &str = "guest";

fn object(text: &str) -> Result<Map<String, Value>, Failure> {
    match document(text)? {
        Value::Object(map) => Ok(map),
        other => Err(Failure::refused(format!("limits are an object, and not {other}"))),
    }
}

fn set(call: &Call) -> Outcome {
    let (vhost, definition) = (call.vhost(), call.argument(0));
    call.say(&format!("Setting vhost limits to \"{definition}\" for vhost \"{vhost}\" ..."))?;
    let limits = object(definition)?;
    let api = call.api()?;
    if api.find(&path(&["vhosts", vhost]))?.is_none() {
        return Err(Failure::no_such_vhost(vhost));
    }
    let before = limits_of(api, "vhost-limits", vhost)?;
    for (name, value) in &limits {
        api.put(&path(&["vhost-limits", vhost, name]), &json!({"value": value}))?;
    }
    for name in before.keys().filter(|name| !limits.contains_key(*name)) {
        api.delete(&path(&["vhost-limits", vhost, name]))?;
    }
    Ok(Output::Done)
}

fn clear(call: &Call) -> Outcome {
    let vhost = call.vhost();
    call.say(&format!("Clearing vhost \"{vhost}\" limits ..."))?;
    let api = call.api()?;
    let limits = limits_of(api, "vhost-limits", vhost)?;
    if limits.is_empty() {
        return Err(Failure::refused("Parameter does not exist"));
    }
    for name in limits.keys() {
        api.delete(&path(&["vhost-limits", vhost, name]))?;
    }
    Ok(Output::Done)
}

/// The limits of a virtual host or user. None where there is no such thing.
fn limits_of(api: &Api, kind: &str, name: &str) -> Result<Map<String, Value>, Failure> {
    let found = api.find(&path(&[kind, name]))?.unwrap_or_default();
    let value = found.get(0).and_then(|row| row.get("value")).and_then(Value::as_object);
    Ok(value.cloned().unwrap_or_default())
}

fn list(call: &Call) -> Outcome {
    let (api, vhost) = (call.api()?, call.vhost());
    if call.is("global") {
        call.say("Listing limits for all vhosts ...")?;
        return Ok(Chosen::all(OF_VHOSTS).list(&api.list(&path(&["vhost-limits"]))?));
    }
    call.say(&format!("Listing limits for vhost \"{vhost}\" ..."))?;
    if api.find(&path(&["vhosts", vhost]))?.is_none() {
        return Err(Failure::no_such_vhost(vhost));
    }
    let limits = limits_of(api, "vhost-limits", vhost)?;
    let text = if limits.is_empty() { String::new() } else { Value::Object(limits).to_string() };
    let value = json!({"result": "ok", "value": text});
    Ok(Output::Document { text, value })
}

fn set_user(call: &Call) -> Outcome {
    let (name, definition) = (call.argument(0), call.argument(1));
    call.say(&format!("Setting user limits to \"{definition}\" for user \"{name}\" ..."))?;
    let limits = object(definition)?;
    let api = call.api()?;
    user(api, name)?;
    for (limit, value) in &limits {
        api.put(&path(&["user-limits", name, limit]), &json!({"value": value}))?;
    }
    Ok(Output::Done)
}

fn clear_user(call: &Call) -> Outcome {
    let (name, limit) = (call.argument(0), call.argument(1));
    let what = match limit {
        "all" => "all limits".to_owned(),
        limit => format!("\"{limit}\" limit"),
    };
    call.say(&format!("Clearing {what} for user \"{name}\" ..."))?;
    let api = call.api()?;
    user(api, name)?;
    let limits = limits_of(api, "user-limits", name)?;
    for known in limits.keys().filter(|known| limit == "all" || limit == *known) {
        api.delete(&path(&["user-limits", name, known]))?;
    }
    Ok(Output::Done)
}

fn list_user(call: &Call) -> Outcome {
    let api = call.api()?;
    if call.is("global") {
        call.say("Listing limits for all users ...")?;
        return Ok(Chosen::all(OF_USERS).list(&api.list(&path(&["user-limits"]))?));
    }
    let name = call.option("user").unwrap_or(GUEST);
    call.say(&format!("Listing limits for user \"{name}\" ..."))?;
    user(api, name)?;
    let text = Value::Object(limits_of(api, "user-limits", name)?).to_string();
    Ok(Output::Said(text))
}
