//! Parameters of virtual hosts and of the cluster.
//!
//! Operator policies and the limits of virtual hosts are parameters in RabbitMQ, and shown as such
//! here, although the catalog keeps them as what they are.

use serde_json::{Value, json};
use warren_catalog::{
    Catalog, Command, Name, Outcome as Changed, Parameter, PolicyLayer, VhostLimit,
};

use super::access::Role;
use super::answer::{Answer, Outcome, Problem};
use super::body::Fields;
use super::call::{Call, removed};
use super::route::{Field, Kind, Route, delete, get, must, put};
use super::{limits, policies, vhosts};

/// The component of operator policies.
pub(super) const OPERATOR_POLICY: &str = "operator_policy";

/// The component of limits.
pub(super) const VHOST_LIMITS: &str = "vhost-limits";

/// The only parameter of that component.
const LIMITS: &str = "limits";

/// The global parameter that names the cluster.
pub(super) const CLUSTER_NAME: &str = "cluster_name";

const VALUE: &[Field] = &[must("value", Kind::Any)];

pub(super) fn routes() -> Vec<Route> {
    let administrator = Role::Administrator;
    let routes = vec![
        get("/api/parameters", "Parameters of all virtual hosts", list).list(),
        get("/api/parameters/{component}", "A component's parameters", of_component).list(),
        get("/api/parameters/{component}/{vhost}", "Those in a virtual host", of_vhost).list(),
        get("/api/parameters/{component}/{vhost}/{name}", "One parameter", one),
        put("/api/parameters/{component}/{vhost}/{name}", "Sets a parameter", put_one)
            .fields(VALUE),
        delete("/api/parameters/{component}/{vhost}/{name}", "Deletes a parameter", delete_one),
        get("/api/global-parameters", "Parameters of the cluster", globals).list(),
        get("/api/global-parameters/{name}", "One of them", global),
        put("/api/global-parameters/{name}", "Sets one", put_global)
            .role(administrator)
            .fields(VALUE),
        delete("/api/global-parameters/{name}", "Deletes one", delete_global).role(administrator),
    ];
    let least = |route: Route| match route.role {
        Role::Administrator => route,
        _ => route.role(Role::Policymaker),
    };
    routes.into_iter().map(least).collect()
}

fn row(vhost: &str, component: &str, name: &str, value: &Value) -> Value {
    json!({ "vhost": vhost, "component": component, "name": name, "value": value })
}

fn parameter_row(parameter: &Parameter) -> Value {
    let value = stored(&parameter.value);
    row(&parameter.vhost, &parameter.component, &parameter.name, &value)
}

fn stored(value: &str) -> Value {
    serde_json::from_str(value).unwrap_or(Value::Null)
}

/// All parameters of a virtual host.
pub(super) fn rows(catalog: &Catalog, vhost: &str) -> Vec<Value> {
    let mut rows: Vec<Value> = catalog.parameters(vhost).map(parameter_row).collect();
    let operator = catalog.policies(vhost, PolicyLayer::Operator);
    rows.extend(
        operator.map(|policy| row(vhost, OPERATOR_POLICY, &policy.name, &policies::value(policy))),
    );
    let set = catalog.vhost(vhost).map(|vhost| vhosts::limits(&vhost.limits)).unwrap_or_default();
    if !set.is_empty() {
        rows.push(row(vhost, VHOST_LIMITS, LIMITS, &Value::Object(set)));
    }
    rows
}

fn has(row: &Value, field: &str, value: &str) -> bool {
    row.get(field).and_then(Value::as_str) == Some(value)
}

/// What sets a parameter.
///
/// # Errors
/// When its value makes no sense.
pub(super) fn commands(
    vhost: &Name,
    component: &str,
    name: &Name,
    value: &Value,
) -> Result<Vec<Command>, Problem> {
    let fields = || Fields::of(value).ok_or_else(|| Problem::bad_request("not_json"));
    match component {
        OPERATOR_POLICY => {
            let layer = PolicyLayer::Operator;
            let policy = policies::read(vhost.clone(), layer, name.clone(), &fields()?)?;
            Ok(vec![Command::PutPolicy(policy)])
        }
        VHOST_LIMITS => limits::of_vhost(vhost, &fields()?),
        other => {
            let (component, value) = (other.into(), value.to_string().into());
            let (vhost, name) = (vhost.clone(), name.clone());
            Ok(vec![Command::PutParameter { vhost, component, name, value }])
        }
    }
}

async fn list(call: Call) -> Outcome {
    let vhosts = call.visible_vhosts();
    let rows = call.look(|catalog| vhosts.iter().flat_map(|vhost| rows(catalog, vhost)).collect());
    call.list(rows)
}

async fn of_component(call: Call) -> Outcome {
    let (vhosts, component) = (call.visible_vhosts(), call.at("component"));
    let rows = call.look(|catalog| {
        let rows = vhosts.iter().flat_map(|vhost| rows(catalog, vhost));
        rows.filter(|row| has(row, "component", component)).collect()
    });
    call.list(rows)
}

async fn of_vhost(call: Call) -> Outcome {
    let (vhost, component) = (call.vhost().await?, call.at("component"));
    let rows = call.look(|catalog| {
        let rows = rows(catalog, &vhost).into_iter();
        rows.filter(|row| has(row, "component", component)).collect()
    });
    call.list(rows)
}

fn find_parameter(catalog: &Catalog, call: &Call, vhost: &str) -> Option<Value> {
    let (component, name) = (call.at("component"), call.at("name"));
    let rows = rows(catalog, vhost).into_iter();
    rows.into_iter().find(|row| has(row, "component", component) && has(row, "name", name))
}

async fn one(call: Call) -> Outcome {
    let vhost = call.vhost().await?;
    let found = call.find(|catalog| find_parameter(catalog, &call, &vhost)).await;
    call.one(found)
}

async fn put_one(call: Call) -> Outcome {
    let vhost = call.vhost_to_change().await?;
    let fields = call.fields()?;
    fields.need(&["value"])?;
    let (component, name) = (call.at("component"), call.name_at("name"));
    if component != OPERATOR_POLICY && component != VHOST_LIMITS {
        // Nothing here would act on it.
        let reason = format!("Validation failed\n\ncomponent {component} not found\n");
        return Err(Problem::bad_request(reason));
    }
    call.caller.must_be(Role::Administrator)?;
    let known = call.look(|catalog| find_parameter(catalog, &call, &vhost).is_some());
    let value = fields.value("value").unwrap_or(&Value::Null);
    for command in commands(&vhost, component, &name, value)? {
        call.change(command).await?;
    }
    Ok(Answer::made(!known))
}

async fn delete_one(call: Call) -> Outcome {
    let (vhost, name) = (call.vhost().await?, call.name_at("name"));
    let known = call.find(|catalog| find_parameter(catalog, &call, &vhost)).await;
    known.ok_or_else(Problem::absent)?;
    match call.at("component") {
        OPERATOR_POLICY => {
            call.caller.must_be(Role::Administrator)?;
            let layer = PolicyLayer::Operator;
            removed(&call.change(Command::DeletePolicy { vhost, layer, name }).await?)
        }
        VHOST_LIMITS => {
            call.caller.must_be(Role::Administrator)?;
            for limit in [VhostLimit::MaxConnections, VhostLimit::MaxQueues] {
                let vhost = vhost.clone();
                call.change(Command::SetVhostLimit { vhost, limit, value: None }).await?;
            }
            Ok(Answer::Done)
        }
        _ => {
            let component = call.name_at("component");
            removed(&call.change(Command::DeleteParameter { vhost, component, name }).await?)
        }
    }
}

/// The name of the cluster: the parameter, or else what the node was configured with.
pub(super) fn cluster_name(catalog: &Catalog, configured: &str) -> String {
    let set = catalog.global_parameter(CLUSTER_NAME).map(|value| stored(value));
    let set = set.and_then(|value| value.as_str().map(str::to_owned));
    set.unwrap_or_else(|| configured.to_owned())
}

fn global_row(name: &str, value: &str) -> Value {
    json!({ "name": name, "value": stored(value) })
}

/// All parameters of the cluster.
pub(super) fn global_rows(catalog: &Catalog) -> Vec<Value> {
    catalog.global_parameters().map(|(name, value)| global_row(name, value)).collect()
}

async fn globals(call: Call) -> Outcome {
    let rows = call.look(global_rows);
    call.list(rows)
}

async fn global(call: Call) -> Outcome {
    let name = call.at("name");
    let found = call.find(|catalog| Some(global_row(name, catalog.global_parameter(name)?)));
    let found = found.await;
    call.one(found)
}

async fn put_global(call: Call) -> Outcome {
    let fields = call.fields()?;
    fields.need(&["value"])?;
    let value = fields.value("value").unwrap_or(&Value::Null).to_string().into();
    let command = Command::PutGlobalParameter { name: call.name_at("name"), value };
    Ok(Answer::made(call.change(command).await? == Changed::Created))
}

async fn delete_global(call: Call) -> Outcome {
    let name = call.name_at("name");
    let known = call.find(|catalog| catalog.global_parameter(&name).map(|_| ())).await;
    known.ok_or_else(Problem::absent)?;
    removed(&call.change(Command::DeleteGlobalParameter { name }).await?)
}
