//! Who may do what, where.

use serde_json::{Value, json};
use warren_catalog::{Catalog, Command, Outcome as Changed, PermissionRow, TopicPermissionRow};

use super::access::Role;
use super::answer::{Answer, Outcome, Problem};
use super::call::{Call, removed};
use super::route::{Kind, Route, delete, get, must, put};

pub(super) fn routes() -> Vec<Route> {
    let routes = vec![
        get("/api/permissions", "All permissions", list).list(),
        get("/api/permissions/{vhost}/{user}", "One permission", one),
        put("/api/permissions/{vhost}/{user}", "Says what a user may do", put_one).fields(&[
            must("configure", Kind::Text),
            must("write", Kind::Text),
            must("read", Kind::Text),
        ]),
        delete("/api/permissions/{vhost}/{user}", "Takes a permission away", delete_one),
        get("/api/topic-permissions", "All topic permissions", topics).list(),
        get("/api/topic-permissions/{vhost}/{user}", "A user's topic permissions", topics_of)
            .list(),
        put(
            "/api/topic-permissions/{vhost}/{user}",
            "Says which routing keys a user may use on an exchange",
            put_topic,
        )
        .fields(&[
            must("exchange", Kind::Text),
            must("write", Kind::Text),
            must("read", Kind::Text),
        ]),
        delete(
            "/api/topic-permissions/{vhost}/{user}",
            "Lifts a user's topic permissions",
            delete_topics,
        ),
        get(
            "/api/topic-permissions/{vhost}/{user}/{exchange}",
            "A user's topic permission on an exchange",
            topics_of,
        )
        .list(),
        delete(
            "/api/topic-permissions/{vhost}/{user}/{exchange}",
            "Lifts a user's topic permission on an exchange",
            delete_topics,
        ),
    ];
    routes.into_iter().map(|route| route.role(Role::Administrator)).collect()
}

/// A permission, as lists and definitions have it.
pub(super) fn row(row: PermissionRow<'_>) -> Value {
    json!({
        "user": &**row.user,
        "vhost": &**row.vhost,
        "configure": &**row.permission.configure.text(),
        "write": &**row.permission.write.text(),
        "read": &**row.permission.read.text(),
    })
}

/// A topic permission, as lists and definitions have it.
pub(super) fn topic_row(row: TopicPermissionRow<'_>) -> Value {
    json!({
        "user": &**row.user,
        "vhost": &**row.vhost,
        "exchange": &**row.exchange,
        "write": &**row.permission.write.text(),
        "read": &**row.permission.read.text(),
    })
}

fn rows(catalog: &Catalog, is_meant: impl Fn(&PermissionRow<'_>) -> bool) -> Vec<Value> {
    catalog.permissions().filter(is_meant).map(row).collect()
}

fn topic_rows(catalog: &Catalog, is_meant: impl Fn(&TopicPermissionRow<'_>) -> bool) -> Vec<Value> {
    catalog.topic_permissions().filter(is_meant).map(topic_row).collect()
}

async fn list(call: Call) -> Outcome {
    let rows = call.look(|catalog| rows(catalog, |_| true));
    call.list(rows)
}

pub(super) async fn of_user(call: Call) -> Outcome {
    let user = call.at("user");
    let found = call.find(|catalog| {
        catalog.user(user)?;
        Some(rows(catalog, |row| &**row.user == user))
    });
    let found = found.await.ok_or_else(Problem::absent)?;
    call.list(found)
}

pub(super) async fn of_vhost(call: Call) -> Outcome {
    let vhost = call.vhost().await?;
    let rows = call.look(|catalog| rows(catalog, |row| *row.vhost == vhost));
    call.list(rows)
}

async fn one(call: Call) -> Outcome {
    let (vhost, user) = (call.name_at("vhost"), call.name_at("user"));
    let found = call.find(|catalog| {
        let permission = catalog.permission(&user, &vhost)?;
        Some(row(PermissionRow { user: &user, vhost: &vhost, permission }))
    });
    let found = found.await;
    call.one(found)
}

async fn put_one(call: Call) -> Outcome {
    let fields = call.fields()?;
    fields.need(&["configure", "write", "read"])?;
    let (vhost, user) = (call.name_at("vhost"), call.name_at("user"));
    exist(&call, &vhost, &user).await?;
    let command = Command::SetPermission {
        user,
        vhost,
        configure: fields.text("configure")?,
        write: fields.text("write")?,
        read: fields.text("read")?,
    };
    let changed = call.change(command).await?;
    Ok(Answer::made(changed == Changed::Created))
}

/// Refuses a request about a virtual host or user that does not exist.
async fn exist(call: &Call, vhost: &str, user: &str) -> Result<(), Problem> {
    let both = call.find(|catalog| catalog.vhost(vhost).and(catalog.user(user)).map(|_| ()));
    both.await.ok_or_else(|| Problem::bad_request("vhost_or_user_not_found"))
}

async fn delete_one(call: Call) -> Outcome {
    let (vhost, user) = (call.name_at("vhost"), call.name_at("user"));
    let known = call.find(|catalog| catalog.permission(&user, &vhost).map(|_| ())).await;
    known.ok_or_else(Problem::absent)?;
    removed(&call.change(Command::ClearPermission { user, vhost }).await?)
}

async fn topics(call: Call) -> Outcome {
    let rows = call.look(|catalog| topic_rows(catalog, |_| true));
    call.list(rows)
}

pub(super) async fn topics_of_user(call: Call) -> Outcome {
    let user = call.at("user");
    let found = call.find(|catalog| {
        catalog.user(user)?;
        Some(topic_rows(catalog, |row| &**row.user == user))
    });
    let found = found.await.ok_or_else(Problem::absent)?;
    call.list(found)
}

pub(super) async fn topics_of_vhost(call: Call) -> Outcome {
    let vhost = call.vhost().await?;
    let rows = call.look(|catalog| topic_rows(catalog, |row| *row.vhost == vhost));
    call.list(rows)
}

/// The exchange at the end of the path, where that has one.
fn exchange_of(call: &Call) -> Option<&str> {
    let mut variables = call.variables.iter();
    variables.find(|(name, _)| name == "exchange").map(|(_, exchange)| exchange.as_str())
}

async fn topics_of(call: Call) -> Outcome {
    let (vhost, user, exchange) = (call.at("vhost"), call.at("user"), exchange_of(&call));
    let found = call.find(|catalog| {
        catalog.vhost(vhost).and(catalog.user(user))?;
        let rows = topic_rows(catalog, |row| {
            let named = exchange.is_none_or(|exchange| &**row.exchange == exchange);
            named && &**row.vhost == vhost && &**row.user == user
        });
        (!rows.is_empty()).then_some(rows)
    });
    let found = found.await.ok_or_else(Problem::absent)?;
    call.list(found)
}

async fn put_topic(call: Call) -> Outcome {
    let fields = call.fields()?;
    fields.need(&["exchange", "write", "read"])?;
    let (vhost, user) = (call.name_at("vhost"), call.name_at("user"));
    exist(&call, &vhost, &user).await?;
    let exchange = fields.text("exchange")?;
    let known = call.find(|catalog| catalog.exchange(&vhost, &exchange).map(|_| ())).await;
    known.ok_or_else(|| Problem::bad_request(json!(["no_such_exchange", &*exchange])))?;
    let (write, read) = (fields.text("write")?, fields.text("read")?);
    let command = Command::SetTopicPermission { user, vhost, exchange, write, read };
    let changed = call.change(command).await?;
    Ok(Answer::made(changed == Changed::Created))
}

async fn delete_topics(call: Call) -> Outcome {
    let (vhost, user) = (call.name_at("vhost"), call.name_at("user"));
    exist(&call, &vhost, &user).await?;
    let exchange = exchange_of(&call).map(Into::into);
    call.change(Command::ClearTopicPermission { user, vhost, exchange }).await?;
    Ok(Answer::Done)
}
