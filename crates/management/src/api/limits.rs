//! Limits of virtual hosts and of users.
//!
//! A negative value means no limit, which is what lifting one comes to.

use serde_json::{Value, json};
use warren_catalog::{Command, Name, User, UserLimit, Vhost, VhostLimit};

use super::access::Role;
use super::answer::{Answer, Outcome, Problem};
use super::body::Fields;
use super::call::Call;
use super::route::{Field, Kind, Route, delete, get, must, put};
use super::{users, vhosts};

const VALUE: &[Field] = &[must("value", Kind::Integer)];

pub(super) fn routes() -> Vec<Route> {
    let administrator = Role::Administrator;
    vec![
        get("/api/vhost-limits", "Limits of virtual hosts", vhost_limits).list(),
        get("/api/vhost-limits/{vhost}", "Limits of a virtual host", limits_of_vhost).list(),
        put("/api/vhost-limits/{vhost}/{limit}", "Sets one", put_vhost)
            .role(administrator)
            .fields(VALUE),
        delete("/api/vhost-limits/{vhost}/{limit}", "Lifts one", delete_vhost).role(administrator),
        get("/api/user-limits", "Limits of users", user_limits).role(administrator).list(),
        get("/api/user-limits/{user}", "Limits of a user", limits_of_user)
            .role(administrator)
            .list(),
        put("/api/user-limits/{user}/{limit}", "Sets one", put_user)
            .role(administrator)
            .fields(VALUE),
        delete("/api/user-limits/{user}/{limit}", "Lifts one", delete_user).role(administrator),
    ]
}

/// What sets these limits of a virtual host.
///
/// # Errors
/// When one is none, or its value is no number.
pub(super) fn of_vhost(vhost: &Name, fields: &Fields) -> Result<Vec<Command>, Problem> {
    let mut commands = Vec::new();
    for (name, value) in fields.iter() {
        let limit = VhostLimit::parse(name).ok_or_else(|| {
            invalid(format!("Unrecognised terms [{{<<\"{name}\">>,{value}}}] in limits"))
        })?;
        let value = number(name, value).map_err(invalid)?;
        commands.push(Command::SetVhostLimit { vhost: vhost.clone(), limit, value });
    }
    Ok(commands)
}

/// What sets these limits of a user.
///
/// # Errors
/// When one is none, or its value is no number.
pub(super) fn of_user(user: &Name, fields: &Fields) -> Result<Vec<Command>, Problem> {
    let mut commands = Vec::new();
    for (name, value) in fields.iter() {
        let limit = UserLimit::parse(name).ok_or_else(|| {
            let reason = format!("Unrecognised terms [{{<<\"{name}\">>,{value}}}] in user-limits");
            Problem::bad_request(reason)
        })?;
        let value = number(name, value).map_err(Problem::bad_request)?;
        commands.push(Command::SetUserLimit { user: user.clone(), limit, value });
    }
    Ok(commands)
}

fn invalid(what: String) -> Problem {
    Problem::bad_request(format!("Validation failed\n\n{what}\n"))
}

fn number(name: &str, value: &Value) -> Result<Option<u64>, String> {
    match value.as_i64() {
        Some(number) => Ok(u64::try_from(number).ok()),
        None => {
            let shown = value.as_str().map_or(value.to_string(), |text| format!("<<\"{text}\">>"));
            Err(format!("{name} should be a number, actually was {shown}"))
        }
    }
}

fn vhost_row(vhost: &Vhost) -> Option<Value> {
    let set = vhosts::limits(&vhost.limits);
    (!set.is_empty()).then(|| json!({ "vhost": &*vhost.name, "value": set }))
}

fn user_row(user: &User) -> Option<Value> {
    let set = users::limits(&user.limits);
    (!set.is_empty()).then(|| json!({ "user": &*user.name, "value": set }))
}

async fn vhost_limits(call: Call) -> Outcome {
    let rows = call.look(|catalog| {
        let vhosts = catalog
            .vhosts()
            .filter(|vhost| call.caller.is_monitor() || call.caller.sees(catalog, &vhost.name));
        vhosts.filter_map(vhost_row).collect()
    });
    call.list(rows)
}

async fn limits_of_vhost(call: Call) -> Outcome {
    let vhost = call.vhost().await?;
    let row = call.look(|catalog| catalog.vhost(&vhost).and_then(vhost_row));
    call.list(row.into_iter().collect())
}

async fn user_limits(call: Call) -> Outcome {
    let rows = call.look(|catalog| catalog.users().filter_map(user_row).collect());
    call.list(rows)
}

async fn limits_of_user(call: Call) -> Outcome {
    let name = call.at("user");
    let found = call.find(|catalog| Some(user_row(catalog.user(name)?))).await;
    call.list(found.ok_or_else(Problem::absent)?.into_iter().collect())
}

/// The limit that the path names, at the value that the body has.
fn limit_of(call: &Call) -> Result<Fields, Problem> {
    let fields = call.fields()?;
    fields.need(&["value"])?;
    let value = fields.value("value").unwrap_or(&Value::Null);
    Ok(Fields::one(call.at("limit"), value))
}

async fn put_vhost(call: Call) -> Outcome {
    let vhost = call.vhost_to_change().await?;
    for command in of_vhost(&vhost, &limit_of(&call)?)? {
        call.change(command).await?;
    }
    Ok(Answer::Done)
}

async fn delete_vhost(call: Call) -> Outcome {
    let vhost = call.vhost().await?;
    // Lifting what is none is fine, as in RabbitMQ.
    if let Some(limit) = VhostLimit::parse(call.at("limit")) {
        call.change(Command::SetVhostLimit { vhost, limit, value: None }).await?;
    }
    Ok(Answer::Done)
}

async fn put_user(call: Call) -> Outcome {
    let user = call.name_at("user");
    let known = call.find(|catalog| catalog.user(&user).map(|_| ())).await;
    known.ok_or_else(|| Problem::bad_request(json!(["no_such_user", &*user])))?;
    for command in of_user(&user, &limit_of(&call)?)? {
        call.change(command).await?;
    }
    Ok(Answer::Done)
}

async fn delete_user(call: Call) -> Outcome {
    let user = call.name_at("user");
    let known = call.find(|catalog| catalog.user(&user).map(|_| ())).await;
    known.ok_or_else(Problem::absent)?;
    if let Some(limit) = UserLimit::parse(call.at("limit")) {
        call.change(Command::SetUserLimit { user, limit, value: None }).await?;
    }
    Ok(Answer::Done)
}
