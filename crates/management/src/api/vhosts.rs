//! Virtual hosts.

use serde_json::{Map, Value, json};
use warren_broker::Grants;
use warren_catalog::{
    Catalog, Command, Name, Outcome as Changed, QueueKind, Vhost, VhostLimits, VhostMeta,
};

use super::access::Role;
use super::answer::{Answer, Outcome, Problem};
use super::body::Fields;
use super::call::{Call, removed};
use super::list::Listing;
use super::permissions;
use super::route::{Kind, Route, delete, get, may, post, put};
use super::tally::Tallies;

/// What everybody may do in what they made.
const EVERYTHING: &str = ".*";

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/vhosts", "Virtual hosts that the caller may see", list).list(),
        get("/api/vhosts/{vhost}", "One virtual host", one).role(Role::Administrator),
        put("/api/vhosts/{vhost}", "Makes a virtual host, or changes one", put_one)
            .role(Role::Administrator)
            .fields(&[
                may("description", Kind::Text),
                may("tags", Kind::List),
                may("default_queue_type", Kind::Text),
                may("protected_from_deletion", Kind::Truth),
                may("tracing", Kind::Truth),
            ]),
        delete("/api/vhosts/{vhost}", "Deletes a virtual host and all in it", delete_one)
            .role(Role::Administrator),
        get("/api/vhosts/{vhost}/permissions", "Who may do what in it", permissions::of_vhost)
            .role(Role::Administrator)
            .list(),
        get(
            "/api/vhosts/{vhost}/topic-permissions",
            "Who may use which routing keys in it",
            permissions::topics_of_vhost,
        )
        .role(Role::Administrator)
        .list(),
        post("/api/vhosts/{vhost}/start/{node}", "Does nothing: all of them run", start)
            .role(Role::Administrator),
        post(
            "/api/vhosts/{vhost}/deletion/protection",
            "Protects it from deletion",
            async |call: Call| protect(call, true).await,
        )
        .role(Role::Administrator),
        delete(
            "/api/vhosts/{vhost}/deletion/protection",
            "Lets it be deleted",
            async |call: Call| protect(call, false).await,
        )
        .role(Role::Administrator),
    ]
}

/// The metadata of a virtual host, as lists and definitions have it.
pub(super) fn metadata(meta: &VhostMeta) -> Value {
    let kind = meta.default_queue_type.unwrap_or_default();
    json!({
        "description": &*meta.description,
        "tags": meta.tags.iter().map(|tag| &**tag).collect::<Vec<_>>(),
        "default_queue_type": kind.as_str(),
        "protected_from_deletion": meta.protected_from_deletion,
    })
}

/// The limits of a virtual host that are set.
pub(super) fn limits(limits: &VhostLimits) -> Map<String, Value> {
    let both = [("max-connections", limits.max_connections), ("max-queues", limits.max_queues)];
    both.into_iter().filter_map(|(name, limit)| Some((name.to_owned(), limit?.into()))).collect()
}

/// What a definition or a request says about a virtual host; what it does not say stays as in
/// `before`.
///
/// # Errors
/// When it makes no sense.
pub(super) fn read_metadata(fields: &Fields, before: VhostMeta) -> Result<VhostMeta, Problem> {
    let mut meta = before;
    if fields.value("description").is_some() {
        meta.description = fields.text("description")?;
    }
    if let Some(tags) = fields.names("tags")? {
        meta.tags = tags;
    }
    match &*fields.text("default_queue_type")? {
        "" | "undefined" => {}
        word => {
            let kind = QueueKind::parse(word)
                .ok_or_else(|| Problem::bad_request(format!("{word} is not a valid queue type")))?;
            meta.default_queue_type = Some(kind);
        }
    }
    if let Some(tracing) = fields.optional_truth("tracing")? {
        meta.tracing = tracing;
    }
    if let Some(protected) = fields.optional_truth("protected_from_deletion")? {
        meta.protected_from_deletion = protected;
    }
    Ok(meta)
}

fn row(catalog: &Catalog, vhost: &Vhost) -> Value {
    let state = |running| if running { "running" } else { "down" };
    let nodes = catalog.nodes().map(|node| (node.name.to_string(), state(node.running).into()));
    json!({
        "name": &*vhost.name,
        "description": &*vhost.meta.description,
        "tags": vhost.meta.tags.iter().map(|tag| &**tag).collect::<Vec<_>>(),
        "default_queue_type": vhost.meta.default_queue_type.unwrap_or_default().as_str(),
        "protected_from_deletion": vhost.meta.protected_from_deletion,
        "metadata": metadata(&vhost.meta),
        "tracing": vhost.meta.tracing,
        "cluster_state": nodes.collect::<Map<String, Value>>(),
    })
}

async fn list(call: Call) -> Outcome {
    let rows: Vec<(Name, Value)> = call.look(|catalog| {
        let sees =
            |vhost: &&Vhost| call.caller.is_monitor() || call.caller.sees(catalog, &vhost.name);
        catalog
            .vhosts()
            .filter(sees)
            .map(|vhost| (vhost.name.clone(), row(catalog, vhost)))
            .collect()
    });
    let tallies = Tallies::wanted(&call, &Listing::parse(&call.query)?).await;
    let rows = rows.into_iter().map(|(vhost, row)| summed(&tallies, &vhost, row)).collect();
    call.gathered(rows, tallies.stale)
}

async fn one(call: Call) -> Outcome {
    let wanted = call.at("vhost");
    let found = call.find(|catalog| Some(row(catalog, catalog.vhost(wanted)?))).await;
    let tallies = Tallies::wanted(&call, &Listing::parse(&call.query)?).await;
    call.one(found.map(|row| summed(&tallies, &call.name_at("vhost"), row)))
}

/// The row with what is in the virtual host.
fn summed(tallies: &Tallies, vhost: &Name, mut row: Value) -> Value {
    if let Value::Object(fields) = &mut row {
        tallies.put(vhost, fields);
    }
    row
}

async fn put_one(call: Call) -> Outcome {
    let vhost = call.name_at("vhost");
    let before = call.look(|catalog| Some(catalog.vhost(&vhost)?.meta.clone()));
    let meta = read_metadata(&call.fields()?, before.unwrap_or_default())?;
    let changed = call.change(Command::PutVhost { vhost: vhost.clone(), meta }).await?;
    let created = changed == Changed::Created;
    if created && !call.caller.is_local_tool && call.caller.grants == Grants::Catalog {
        let all = || EVERYTHING.into();
        let user = call.caller.name.clone();
        let (configure, write, read) = (all(), all(), all());
        let grant = Command::SetPermission { user, vhost, configure, write, read };
        call.change(grant).await?;
    }
    Ok(Answer::made(created))
}

async fn delete_one(call: Call) -> Outcome {
    let vhost = call.name_at("vhost");
    call.find(|catalog| catalog.vhost(&vhost).map(|_| ())).await.ok_or_else(Problem::absent)?;
    removed(&call.change(Command::DeleteVhost { vhost }).await?)
}

async fn start(call: Call) -> Outcome {
    call.vhost().await?;
    Ok(Answer::Done)
}

async fn protect(call: Call, protected_from_deletion: bool) -> Outcome {
    let vhost = call.name_at("vhost");
    let before = call.find(|catalog| Some(catalog.vhost(&vhost)?.meta.clone())).await;
    let meta = VhostMeta { protected_from_deletion, ..before.ok_or_else(Problem::absent)? };
    call.change(Command::PutVhost { vhost, meta }).await?;
    Ok(Answer::Done)
}
