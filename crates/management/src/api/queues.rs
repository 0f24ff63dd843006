//! Queues: declared, looked at, emptied, deleted.

use serde_json::Value;
use warren_broker::{Actor, Broker, QueueDeclaration};
use warren_catalog::Name;
use warren_types::Table;

use super::answer::{Answer, Outcome, Problem};
use super::body::Fields;
use super::call::Call;
use super::refusal::in_short;
use super::route::{Kind, Route, delete, get, may, must, post, put};
use super::{bindings, messages};

pub(super) fn routes() -> Vec<Route> {
    vec![
        put("/api/queues/{vhost}/{queue}", "Declares a queue", put_one).fields(&[
            may("durable", Kind::Truth),
            may("auto_delete", Kind::Truth),
            may("arguments", Kind::Object),
            may("node", Kind::Text),
        ]),
        delete("/api/queues/{vhost}/{queue}", "Deletes a queue", delete_one)
            .query(&["if-unused", "if-empty"]),
        get("/api/queues/{vhost}/{queue}/bindings", "What leads to a queue", bindings::of_queue)
            .list(),
        delete("/api/queues/{vhost}/{queue}/contents", "Empties a queue", purge),
        post("/api/queues/{vhost}/{queue}/get", "Fetches messages", messages::fetch)
            .fields(messages::GET),
        post("/api/queues/{vhost}/{queue}/actions", "Knows no action any more", act)
            .fields(&[must("action", Kind::Text)]),
    ]
}

/// A queue that is to be declared.
pub(super) struct Declaration {
    vhost: Name,
    queue: Name,
    durable: bool,
    auto_delete: bool,
    arguments: Table,
    by: Actor,
}

/// What a definition says about a queue.
///
/// # Errors
/// When it makes no sense.
pub(super) fn read(
    vhost: Name,
    queue: Name,
    fields: &Fields,
    by: &Actor,
) -> Result<Declaration, Problem> {
    Ok(Declaration {
        vhost,
        queue,
        durable: fields.truth("durable")?,
        auto_delete: fields.truth("auto_delete")?,
        arguments: fields.table("arguments")?,
        // Definitions are for administrators alone, who may give themselves any permission.
        by: Actor { trusted: true, ..by.clone() },
    })
}

/// Declares a queue. Returns whether there was none.
///
/// # Errors
/// When it is refused, or not done in time.
pub(super) async fn declare(broker: &Broker, declaration: Declaration) -> Result<bool, Problem> {
    let Declaration { vhost, queue, durable, auto_delete, arguments, by } = declaration;
    let known = broker.look(|catalog| catalog.queue(&vhost, &queue).is_some());
    let queue = queue.to_string();
    let declaration = QueueDeclaration { queue, durable, auto_delete, arguments };
    let declaring = broker.declare_queue(&by, &vhost, declaration);
    Box::pin(declaring).await.map_err(in_short)?;
    Ok(!known)
}

async fn put_one(call: Call) -> Outcome {
    let vhost = call.vhost_to_change().await?;
    let (queue, fields) = (call.name_at("queue"), call.fields()?);
    let node = fields.text("node")?;
    let is_member = |node: &str| call.look(|catalog| catalog.nodes().any(|row| *row.name == *node));
    if !node.is_empty() && !is_member(&node) {
        let reason = format!("Node {node} is not a cluster member");
        return Err(Problem::bad_request(reason));
    }
    let declaration = read(vhost, queue, &fields, &call.actor())?;
    let declaration = Declaration { by: call.actor(), ..declaration };
    Ok(Answer::made(declare(&call.broker, declaration).await?))
}

/// The queue that the path names, and where.
pub(super) async fn found(call: &Call) -> Result<(Name, Name), Problem> {
    let (vhost, queue) = (call.vhost().await?, call.at("queue"));
    let found = call.find(|catalog| Some(catalog.queue(&vhost, queue)?.name.clone())).await;
    Ok((vhost, found.ok_or_else(Problem::absent)?))
}

async fn delete_one(call: Call) -> Outcome {
    let (vhost, queue) = found(&call).await?;
    let (if_unused, if_empty) = (call.query.is_set("if-unused"), call.query.is_set("if-empty"));
    let actor = call.actor();
    let deleting = call.broker.delete_queue(&actor, &vhost, &queue, if_unused, if_empty);
    Box::pin(deleting).await.map_err(in_short)?;
    Ok(Answer::Done)
}

async fn purge(call: Call) -> Outcome {
    let (vhost, queue) = found(&call).await?;
    let actor = call.actor();
    let purging = call.broker.purge_queue(&actor, &vhost, &queue);
    Box::pin(purging).await.map_err(in_short)?;
    Ok(Answer::Done)
}

async fn act(call: Call) -> Outcome {
    found(&call).await?;
    let fields = call.fields()?;
    fields.need(&["action"])?;
    // Mirrored queues could be synchronised; every queue here is replicated.
    let action = fields.value("action").cloned().unwrap_or(Value::Null);
    Err(Problem::bad_request(Value::Array(vec!["unknown".into(), action])))
}
