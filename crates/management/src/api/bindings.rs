//! Bindings, including those that every queue has to the default exchange.

use std::sync::Arc;

use serde_json::{Value, json};
use warren_broker::{Grants, Kind as Accessed, topic_question};
use warren_catalog::{
    Access, Binding, BindingCommand, Catalog, Command, DEFAULT_EXCHANGE, Destination, ExchangeKind,
    Name, Outcome as Changed, Queue, TopicAccess, TopicVariables,
};

use super::answer::{Answer, Outcome, Problem};
use super::call::Call;
use super::route::{Field, Kind, Route, delete, get, may, post};
use super::table;
use super::text::escape;

const FIELDS: &[Field] = &[may("routing_key", Kind::Text), may("arguments", Kind::Object)];

pub(super) fn routes() -> Vec<Route> {
    let mut routes = vec![
        get("/api/bindings", "Bindings that the caller may see", list).list(),
        get("/api/bindings/{vhost}", "A virtual host's bindings", of_vhost).list(),
    ];
    routes.extend(routes_between(
        "/api/bindings/{vhost}/e/{source}/q/{queue}",
        "/api/bindings/{vhost}/e/{source}/q/{queue}/{properties}",
    ));
    routes.extend(routes_between(
        "/api/bindings/{vhost}/e/{source}/e/{destination}",
        "/api/bindings/{vhost}/e/{source}/e/{destination}/{properties}",
    ));
    routes
}

/// What can be done between an exchange and a queue, or two exchanges.
fn routes_between(all: &'static str, one_of_them: &'static str) -> [Route; 4] {
    [
        get(all, "Bindings between the two", between).list(),
        post(all, "Binds the one to the other", bind).fields(FIELDS),
        get(one_of_them, "One of the bindings between them", one),
        delete(one_of_them, "Unbinds the one from the other", unbind),
    ]
}

/// A binding that is stored, or one that follows from a queue.
enum Shown {
    Stored(Name, Arc<Binding>),
    ToQueue(Arc<Queue>),
}

impl Shown {
    fn row(&self) -> Value {
        match self {
            Self::Stored(vhost, binding) => row(vhost, binding),
            Self::ToQueue(queue) => row(&queue.vhost, &Catalog::default_binding(queue)),
        }
    }
}

fn row(vhost: &str, binding: &Binding) -> Value {
    json!({
        "source": &*binding.source,
        "vhost": vhost,
        "destination": &**binding.destination.name(),
        "destination_type": binding.destination.type_name(),
        "routing_key": &*binding.routing_key,
        "arguments": table::to_json(&binding.arguments),
        "properties_key": escape(&binding.properties_key()),
    })
}

fn of_vhosts(call: &Call, vhosts: &[Name]) -> Outcome {
    let shown = call.look(|catalog| {
        let of = |vhost: &Name| {
            let queues = catalog.queues(vhost).cloned().map(Shown::ToQueue);
            let stored = catalog.bindings(vhost).cloned();
            let stored: Vec<Shown> =
                stored.map(|binding| Shown::Stored(vhost.clone(), binding)).collect();
            queues.chain(stored).collect::<Vec<Shown>>()
        };
        vhosts.iter().flat_map(of).collect::<Vec<Shown>>()
    });
    call.list_lazily(shown, |_| "", Shown::row)
}

async fn list(call: Call) -> Outcome {
    let vhosts = call.visible_vhosts();
    of_vhosts(&call, &vhosts)
}

async fn of_vhost(call: Call) -> Outcome {
    let vhost = call.vhost().await?;
    of_vhosts(&call, &[vhost])
}

/// Bindings that an exchange is the source of.
pub(super) async fn of_source(call: Call) -> Outcome {
    let (vhost, source) = (call.vhost().await?, call.exchange_at("exchange"));
    let found = call.find(|catalog| {
        catalog.exchange(&vhost, &source)?;
        Some(from(catalog, &vhost, &source))
    });
    let found = found.await.ok_or_else(Problem::absent)?;
    call.list_lazily(found, |_| "", Shown::row)
}

fn from(catalog: &Catalog, vhost: &Name, source: &str) -> Vec<Shown> {
    if source == DEFAULT_EXCHANGE {
        return catalog.queues(vhost).cloned().map(Shown::ToQueue).collect();
    }
    let stored = catalog.bindings_of_source(vhost, source).cloned();
    stored.map(|binding| Shown::Stored(vhost.clone(), binding)).collect()
}

fn to(catalog: &Catalog, vhost: &Name, destination: &Destination) -> Vec<Shown> {
    let queue = match destination {
        Destination::Queue(name) => catalog.queue(vhost, name),
        Destination::Exchange(_) => None,
    };
    let first = queue.cloned().map(Shown::ToQueue);
    let stored = catalog.bindings_of_destination(vhost, destination).cloned();
    first.into_iter().chain(stored.map(|binding| Shown::Stored(vhost.clone(), binding))).collect()
}

/// Bindings that lead to an exchange.
pub(super) async fn of_destination_exchange(call: Call) -> Outcome {
    let (vhost, name) = (call.vhost().await?, call.exchange_at("exchange"));
    let found = call.find(|catalog| {
        catalog.exchange(&vhost, &name)?;
        Some(to(catalog, &vhost, &Destination::Exchange(name.clone())))
    });
    let found = found.await.ok_or_else(Problem::absent)?;
    call.list_lazily(found, |_| "", Shown::row)
}

/// Bindings that lead to a queue.
pub(super) async fn of_queue(call: Call) -> Outcome {
    let (vhost, name) = (call.vhost().await?, call.name_at("queue"));
    let found = call.find(|catalog| {
        catalog.queue(&vhost, &name)?;
        Some(to(catalog, &vhost, &Destination::Queue(name.clone())))
    });
    let found = found.await.ok_or_else(Problem::absent)?;
    call.list_lazily(found, |_| "", Shown::row)
}

/// The destination that the path names.
fn destination(call: &Call) -> Destination {
    let is_queue = call.variables.iter().any(|(name, _)| name == "queue");
    if is_queue {
        Destination::Queue(call.name_at("queue"))
    } else {
        Destination::Exchange(call.exchange_at("destination"))
    }
}

/// The bindings between the two that the path names.
fn all_between(catalog: &Catalog, vhost: &Name, source: &str, to: &Destination) -> Vec<Binding> {
    if source == DEFAULT_EXCHANGE {
        let queue = match to {
            Destination::Queue(name) => catalog.queue(vhost, name),
            Destination::Exchange(_) => None,
        };
        return queue.map(|queue| Catalog::default_binding(queue)).into_iter().collect();
    }
    let leading = catalog.bindings_of_destination(vhost, to);
    leading
        .filter(|binding| &*binding.source == source)
        .map(|binding| (**binding).clone())
        .collect()
}

async fn between(call: Call) -> Outcome {
    let (vhost, source) = (call.vhost().await?, call.exchange_at("source"));
    let to = destination(&call);
    let rows = call.look(|catalog| {
        let bindings = all_between(catalog, &vhost, &source, &to);
        bindings.iter().map(|binding| row(&vhost, binding)).collect()
    });
    call.list(rows)
}

/// The binding that the path names, escaped once more or not.
fn named(catalog: &Catalog, call: &Call, vhost: &Name) -> Option<Binding> {
    let (source, key) = (call.exchange_at("source"), call.at("properties"));
    let mut bindings = all_between(catalog, vhost, &source, &destination(call)).into_iter();
    bindings.find(|binding| {
        let plain = binding.properties_key();
        plain == key || escape(&plain) == key
    })
}

async fn one(call: Call) -> Outcome {
    let vhost = call.vhost().await?;
    let found = call.find(|catalog| Some(row(&vhost, &named(catalog, &call, &vhost)?))).await;
    call.one(found)
}

async fn bind(call: Call) -> Outcome {
    let vhost = call.vhost_to_change().await?;
    let fields = call.fields()?;
    let command = BindingCommand {
        vhost: vhost.clone(),
        source: call.exchange_at("source"),
        destination: destination(&call),
        routing_key: fields.text("routing_key")?,
        arguments: fields.table("arguments")?,
        connection: None,
    };
    let BindingCommand { source, destination, routing_key, arguments, .. } = &command;
    let (source, key, arguments) = (source.clone(), routing_key.clone(), arguments.clone());
    let binding = Binding::new(source, destination.clone(), key, &arguments);
    may_bind(&call, &vhost, &binding).await?;
    call.change(Command::Bind(command)).await?;
    let destination = escape(binding.destination.name());
    let properties = escape(&escape(&binding.properties_key()));
    Ok(Answer::Created(Some(format!("{destination}/{properties}"))))
}

/// Binding reads from the source and writes to the destination.
async fn may_bind(call: &Call, vhost: &Name, binding: &Binding) -> Result<(), Problem> {
    let Binding { source, destination, routing_key, .. } = binding;
    if source.is_empty() {
        return Err(Problem::access_refused());
    }
    // What is not there is told by whoever looks for it.
    let exists = call.look(|catalog| {
        let leads_somewhere = match destination {
            Destination::Queue(name) => catalog.queue(vhost, name).is_some(),
            Destination::Exchange(name) => catalog.exchange(vhost, name).is_some(),
        };
        leads_somewhere && catalog.exchange(vhost, source).is_some()
    });
    if !exists && call.caller.is_administrator() {
        return Ok(());
    }
    let kind = match destination {
        Destination::Queue(_) => Accessed::Queue,
        Destination::Exchange(_) => Accessed::Exchange,
    };
    call.may(vhost, (kind, destination.name()), Access::Write).await?;
    call.may(vhost, (Accessed::Exchange, source), Access::Read).await?;
    let (user, grants) = (&call.caller.name, &call.caller.grants);
    let (access, key) = (TopicAccess::Read, routing_key.as_bytes());
    let is_topic = call.look(|catalog| {
        let row = catalog.exchange(vhost, source);
        row.is_some_and(|exchange| exchange.routing_kind() == ExchangeKind::Topic)
    });
    let variables = TopicVariables { username: user, vhost, client_id: None };
    let is_allowed = call.caller.is_local_tool
        || !is_topic
        || match grants {
            Grants::Catalog => call.look(|catalog| {
                catalog.check_topic_permission(user, vhost, source, access, key, variables)
            }),
            Grants::Foreign(_) => {
                grants.ask(&topic_question(vhost, source, key, Access::Read)).await == Ok(true)
            }
        };
    if is_allowed { Ok(()) } else { Err(Problem::access_refused()) }
}

async fn unbind(call: Call) -> Outcome {
    let vhost = call.vhost().await?;
    let found = call.find(|catalog| named(catalog, &call, &vhost)).await;
    let binding = found.ok_or_else(Problem::absent)?;
    may_bind(&call, &vhost, &binding).await?;
    let Binding { source, destination, routing_key, arguments, .. } = binding;
    let connection = None;
    let command = BindingCommand { vhost, source, destination, routing_key, arguments, connection };
    match call.change(Command::Unbind(command)).await? {
        Changed::Missing => Err(Problem::absent()),
        _ => Ok(Answer::Done),
    }
}
