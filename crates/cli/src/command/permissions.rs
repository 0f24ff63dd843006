//! Who may do what.

use serde_json::{Value, json};

use super::{CTL, Command, LOOK, Outcome, Section};
use crate::api::{Api, Problem, path};
use crate::call::Call;
use crate::failure::{Failure, NO_USER};
use crate::show::{Chosen, Column, Output};

pub(super) static COMMANDS: &[Command] = &[
    Command::new("set_permissions", Section::Access, CTL, "Gives a user permissions", set).takes(
        "[--vhost <vhost>] <username> <conf> <write> <read>",
        4,
        4,
    ),
    Command::new(
        "set_permissions_globally",
        Section::Access,
        CTL,
        "Gives a user permissions in all virtual hosts",
        set_globally,
    )
    .takes("<username> <conf> <write> <read>", 4, 4),
    Command::new("clear_permissions", Section::Access, CTL, "Takes permissions away", clear).takes(
        "[--vhost <vhost>] <username>",
        1,
        1,
    ),
    Command::new("list_permissions", Section::Access, LOOK, "Lists permissions", list).takes(
        "[--vhost <vhost>] [--no-table-headers] [--timeout <timeout>]",
        0,
        0,
    ),
    Command::new("list_user_permissions", Section::Access, LOOK, "Lists a user's permissions", of)
        .takes("[--no-table-headers] <username> [--timeout <timeout>]", 1, 1),
    Command::new(
        "set_topic_permissions",
        Section::Access,
        CTL,
        "Gives a user permissions on a topic exchange",
        set_topic,
    )
    .takes("[--vhost <vhost>] <username> <exchange> <write> <read>", 4, 4),
    Command::new(
        "clear_topic_permissions",
        Section::Access,
        CTL,
        "Takes permissions on topic exchanges away",
        clear_topic,
    )
    .takes("[--vhost <vhost>] <username> [<exchange>]", 1, 2),
    Command::new(
        "list_topic_permissions",
        Section::Access,
        LOOK,
        "Lists permissions on topic exchanges",
        list_topic,
    )
    .takes("[--vhost <vhost>] [--no-table-headers] [--timeout <timeout>]", 0, 0),
    Command::new(
        "list_user_topic_permissions",
        Section::Access,
        LOOK,
        "Lists a user's permissions on topic exchanges",
        topic_of,
    )
    .takes("[--no-table-headers] <username> [--timeout <timeout>]", 1, 1),
];

static BY_USER: &[Column] = &[
    Column::plain("user"),
    Column::plain("configure"),
    Column::plain("write"),
    Column::plain("read"),
];

static BY_VHOST: &[Column] = &[
    Column::plain("vhost"),
    Column::plain("configure"),
    Column::plain("write"),
    Column::plain("read"),
];

static TOPIC_BY_USER: &[Column] = &[
    Column::plain("user"),
    Column::plain("exchange"),
    Column::plain("write"),
    Column::plain("read"),
];

static TOPIC_BY_VHOST: &[Column] = &[
    Column::plain("vhost"),
    Column::plain("exchange"),
    Column::plain("write"),
    Column::plain("read"),
];

fn set(call: &Call) -> Outcome {
    let (vhost, user) = (call.vhost(), call.argument(0));
    call.say(&format!("Setting permissions for user \"{user}\" in vhost \"{vhost}\" ..."))?;
    grant(call.api()?, vhost, user, call)?;
    Ok(Output::Done)
}

fn set_globally(call: &Call) -> Outcome {
    let user = call.argument(0);
    call.say(&format!("Setting permissions for user \"{user}\" in all virtual hosts ..."))?;
    let api = call.api()?;
    for vhost in api.list(&path(&["vhosts"]))? {
        let vhost = vhost.get("name").and_then(Value::as_str).unwrap_or_default();
        grant(api, vhost, user, call)?;
    }
    Ok(Output::Done)
}

fn grant(api: &Api, vhost: &str, user: &str, call: &Call) -> Result<(), Failure> {
    let body = json!({
        "configure": call.argument(1),
        "write": call.argument(2),
        "read": call.argument(3),
    });
    match api.put(&path(&["permissions", vhost, user]), &body) {
        Ok(_) => Ok(()),
        Err(problem) => Err(nobody_or_nowhere(api, vhost, user, problem)?),
    }
}

/// Whether it is the user or the virtual host that is not there.
fn nobody_or_nowhere(
    api: &Api,
    vhost: &str,
    user: &str,
    problem: Problem,
) -> Result<Failure, Failure> {
    if !matches!(problem, Problem::Refused { .. }) {
        return Ok(problem.into());
    }
    if api.find(&path(&["users", user]))?.is_none() {
        let text = format!("User {user} does not exist");
        return Ok(Failure::Refused { exit: NO_USER, text });
    }
    if api.find(&path(&["vhosts", vhost]))?.is_none() {
        return Ok(Failure::refused(format!("Virtual host {vhost} does not exist")));
    }
    Ok(problem.into())
}

fn clear(call: &Call) -> Outcome {
    let (vhost, user) = (call.vhost(), call.argument(0));
    call.say(&format!("Clearing permissions for user \"{user}\" in vhost \"{vhost}\" ..."))?;
    remove(call.api()?, &path(&["permissions", vhost, user]))
}

/// Removes something that need not be there.
fn remove(api: &Api, path: &str) -> Outcome {
    api.remove(path)?;
    Ok(Output::Done)
}

fn list(call: &Call) -> Outcome {
    let vhost = call.vhost();
    let api = call.api()?;
    call.say(&format!("Listing permissions for vhost \"{vhost}\" ..."))?;
    let rows = api.find_list(&path(&["vhosts", vhost, "permissions"]))?;
    listed(rows, BY_USER, || Failure::no_such_vhost(vhost))
}

fn of(call: &Call) -> Outcome {
    let user = call.argument(0);
    let api = call.api()?;
    call.say(&format!("Listing permissions for user \"{user}\" ..."))?;
    let rows = api.find_list(&path(&["users", user, "permissions"]))?;
    listed(rows, BY_VHOST, || Failure::no_such_user(user))
}

fn listed(
    rows: Option<Vec<Value>>,
    columns: &'static [Column],
    missing: impl FnOnce() -> Failure,
) -> Outcome {
    Ok(Chosen::all(columns).list(&rows.ok_or_else(missing)?))
}

fn set_topic(call: &Call) -> Outcome {
    let (vhost, user, exchange) = (call.vhost(), call.argument(0), call.argument(1));
    call.say(&format!(
        "Setting topic permissions on \"{exchange}\" for user \"{user}\" in vhost \"{vhost}\" ..."
    ))?;
    let body = json!({"exchange": exchange, "write": call.argument(2), "read": call.argument(3)});
    let api = call.api()?;
    match api.put(&path(&["topic-permissions", vhost, user]), &body) {
        Ok(_) => Ok(Output::Done),
        Err(problem) => Err(nobody_or_nowhere(api, vhost, user, problem)?),
    }
}

fn clear_topic(call: &Call) -> Outcome {
    let (vhost, user) = (call.vhost(), call.argument(0));
    let api = call.api()?;
    match call.arguments().get(1) {
        Some(exchange) => {
            call.say(&format!(
                "Clearing topic permissions on \"{exchange}\" for user \"{user}\" in vhost \"{vhost}\" ..."
            ))?;
            remove(api, &path(&["topic-permissions", vhost, user, exchange]))
        }
        None => {
            call.say(&format!(
                "Clearing topic permissions for user \"{user}\" in vhost \"{vhost}\" ..."
            ))?;
            remove(api, &path(&["topic-permissions", vhost, user]))
        }
    }
}

fn list_topic(call: &Call) -> Outcome {
    let vhost = call.vhost();
    let api = call.api()?;
    call.say(&format!("Listing topic permissions for vhost \"{vhost}\" ..."))?;
    let rows = api.find_list(&path(&["vhosts", vhost, "topic-permissions"]))?;
    listed(rows, TOPIC_BY_USER, || Failure::no_such_vhost(vhost))
}

fn topic_of(call: &Call) -> Outcome {
    let user = call.argument(0);
    let api = call.api()?;
    call.say(&format!("Listing topic permissions for user \"{user}\" ..."))?;
    let rows = api.find_list(&path(&["users", user, "topic-permissions"]))?;
    listed(rows, TOPIC_BY_VHOST, || Failure::no_such_user(user))
}
