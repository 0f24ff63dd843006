//! Policies of both layers.

use serde_json::{Value, json};
use warren_catalog::{
    ApplyTo, Catalog, Command, Name, Outcome as Changed, Policy, PolicyLayer, PutPolicy,
};

use super::access::Role;
use super::answer::{Answer, Outcome, Problem};
use super::body::Fields;
use super::call::{Call, removed};
use super::route::{Field, Kind, Route, delete, get, may, must, put};

const FIELDS: &[Field] = &[
    must("pattern", Kind::Text),
    must("definition", Kind::Object),
    may("priority", Kind::Integer),
    may("apply-to", Kind::Text),
];

pub(super) fn routes() -> Vec<Route> {
    use PolicyLayer::{Operator, User};
    let editor = Role::Policymaker;
    vec![
        get("/api/policies", "Policies", async |call: Call| list(call, User)).list(),
        get("/api/policies/{vhost}", "A virtual host's policies", async |call: Call| {
            of_vhost(call, User).await
        })
        .list(),
        get("/api/policies/{vhost}/{name}", "One policy", async |call: Call| one(call, User).await),
        put("/api/policies/{vhost}/{name}", "Makes or replaces a policy", async |call: Call| {
            put_one(call, User).await
        })
        .role(editor)
        .fields(FIELDS),
        delete("/api/policies/{vhost}/{name}", "Deletes a policy", async |call: Call| {
            delete_one(call, User).await
        })
        .role(editor),
        get("/api/operator-policies", "Operator policies", async |call: Call| list(call, Operator))
            .list(),
        get(
            "/api/operator-policies/{vhost}",
            "A virtual host's operator policies",
            async |call: Call| of_vhost(call, Operator).await,
        )
        .list(),
        get("/api/operator-policies/{vhost}/{name}", "One operator policy", async |call: Call| {
            one(call, Operator).await
        }),
        put(
            "/api/operator-policies/{vhost}/{name}",
            "Makes or replaces an operator policy",
            async |call: Call| put_one(call, Operator).await,
        )
        .role(Role::Administrator)
        .fields(FIELDS),
        delete(
            "/api/operator-policies/{vhost}/{name}",
            "Deletes an operator policy",
            async |call: Call| delete_one(call, Operator).await,
        )
        .role(Role::Administrator),
    ]
}

/// A policy, as lists and definitions have it.
pub(super) fn row(policy: &Policy) -> Value {
    let Value::Object(mut row) = value(policy) else { return Value::Null };
    row.insert("vhost".to_owned(), policy.vhost.to_string().into());
    row.insert("name".to_owned(), policy.name.to_string().into());
    Value::Object(row)
}

/// What a policy says, as the value of a parameter has it.
pub(super) fn value(policy: &Policy) -> Value {
    json!({
        "pattern": &**policy.pattern.text(),
        "apply-to": policy.apply_to.as_str(),
        "definition": policy.definition.values(),
        "priority": policy.priority,
    })
}

/// What a request or a definition says about a policy.
///
/// # Errors
/// When it makes no sense.
pub(super) fn read(
    vhost: Name,
    layer: PolicyLayer,
    name: Name,
    fields: &Fields,
) -> Result<PutPolicy, Problem> {
    fields.need(&["pattern", "definition"])?;
    let invalid = |what: String| Problem::bad_request(format!("Validation failed\n\n{what}\n"));
    let apply_to = match &*fields.text("apply-to")? {
        "" => ApplyTo::All,
        word => ApplyTo::parse(word).ok_or_else(|| {
            invalid(format!(
                "apply-to '{word}' unrecognised; should be one of: 'queues', 'classic_queues',  \
                 'quorum_queues', 'streams', 'exchanges', or 'all'"
            ))
        })?,
    };
    let priority = fields.integer("priority").map_err(|_| {
        let given = fields.value("priority").unwrap_or(&Value::Null);
        let shown = given.as_str().map_or(given.to_string(), |text| format!("<<\"{text}\">>"));
        invalid(format!("priority should be a number, actually was {shown}"))
    })?;
    // Older files have the definition as a text.
    let definition = match fields.value("definition") {
        Some(Value::String(text)) => text.as_str().into(),
        Some(other) => other.to_string().into(),
        None => "".into(),
    };
    let pattern = fields.text("pattern")?;
    let priority = priority.unwrap_or_default();
    Ok(PutPolicy { vhost, layer, name, pattern, apply_to, priority, definition })
}

fn list(call: Call, layer: PolicyLayer) -> Outcome {
    let rows = call.look(|catalog| {
        let vhosts = catalog.vhosts().filter(|vhost| call.caller.sees(catalog, &vhost.name));
        vhosts.flat_map(|vhost| catalog.policies(&vhost.name, layer)).map(row).collect()
    });
    call.list(rows)
}

async fn of_vhost(call: Call, layer: PolicyLayer) -> Outcome {
    let vhost = call.vhost().await?;
    let rows = call.look(|catalog| catalog.policies(&vhost, layer).map(row).collect());
    call.list(rows)
}

fn find_policy(catalog: &Catalog, vhost: &str, layer: PolicyLayer, name: &str) -> Option<Value> {
    catalog.policy(vhost, layer, name).map(row)
}

async fn one(call: Call, layer: PolicyLayer) -> Outcome {
    let (vhost, name) = (call.vhost().await?, call.at("name"));
    let found = call.find(|catalog| find_policy(catalog, &vhost, layer, name)).await;
    call.one(found)
}

async fn put_one(call: Call, layer: PolicyLayer) -> Outcome {
    let vhost = call.vhost_to_change().await?;
    let command = read(vhost, layer, call.name_at("name"), &call.fields()?)?;
    let changed = call.change(Command::PutPolicy(command)).await?;
    Ok(Answer::made(changed == Changed::Created))
}

async fn delete_one(call: Call, layer: PolicyLayer) -> Outcome {
    let (vhost, name) = (call.vhost().await?, call.name_at("name"));
    let known = call.find(|catalog| find_policy(catalog, &vhost, layer, &name)).await;
    known.ok_or_else(Problem::absent)?;
    removed(&call.change(Command::DeletePolicy { vhost, layer, name }).await?)
}
