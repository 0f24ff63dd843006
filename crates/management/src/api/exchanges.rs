//! Exchanges.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use warren_broker::{ExchangeFigures, Kind as Accessed};
use warren_catalog::{
    Access, Command, DeclareExchange, Exchange, Name, Outcome as Changed, RESERVED_PREFIX,
};
use warren_types::{Table, Value as Argument};

use super::answer::{Answer, Outcome, Problem};
use super::body::Fields;
use super::call::{Call, removed};
use super::list::Listing;
use super::route::{Kind, Route, delete, get, may, post, put};
use super::{bindings, counts, messages, table};

/// The argument that names another exchange.
const ALTERNATE: &str = "alternate-exchange";

/// The field that tells what went through.
const STATS: &str = "message_stats";

/// The kind of an exchange that is made without one.
const DEFAULT_KIND: &str = "direct";

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/api/exchanges", "Exchanges that the caller may see", list).list(),
        get("/api/exchanges/{vhost}", "A virtual host's exchanges", of_vhost).list(),
        get("/api/exchanges/{vhost}/{exchange}", "One exchange", one),
        put("/api/exchanges/{vhost}/{exchange}", "Declares an exchange", put_one).fields(&[
            may("type", Kind::Text),
            may("durable", Kind::Truth),
            may("auto_delete", Kind::Truth),
            may("internal", Kind::Truth),
            may("arguments", Kind::Object),
        ]),
        delete("/api/exchanges/{vhost}/{exchange}", "Deletes an exchange", delete_one)
            .query(&["if-unused"]),
        get(
            "/api/exchanges/{vhost}/{exchange}/bindings/source",
            "Bindings that it is the source of",
            bindings::of_source,
        )
        .list(),
        get(
            "/api/exchanges/{vhost}/{exchange}/bindings/destination",
            "Bindings that lead to it",
            bindings::of_destination_exchange,
        )
        .list(),
        post("/api/exchanges/{vhost}/{exchange}/publish", "Publishes a message", messages::publish)
            .fields(messages::PUBLISH),
    ]
}

/// An exchange, as lists have it.
pub(super) fn row(exchange: &Exchange) -> Value {
    let mut row = json!({
        "name": &*exchange.name,
        "vhost": &*exchange.vhost,
        "type": exchange.kind.as_str(),
        "durable": exchange.durable,
        "auto_delete": exchange.auto_delete,
        "internal": exchange.internal,
        "arguments": table::to_json(&exchange.arguments),
        "user_who_performed_action": &*exchange.user,
    });
    if let (Some(policy), Value::Object(fields)) = (&exchange.policy, &mut row) {
        fields.insert("policy".to_owned(), policy.to_string().into());
    }
    row
}

/// What a request or a definition says about an exchange.
///
/// # Errors
/// When it makes no sense.
pub(super) fn read(
    vhost: Name,
    exchange: Name,
    fields: &Fields,
    user: Name,
) -> Result<DeclareExchange, Problem> {
    let kind = match fields.text("type")? {
        kind if kind.is_empty() => DEFAULT_KIND.into(),
        kind => kind,
    };
    Ok(DeclareExchange {
        vhost,
        exchange,
        kind,
        durable: fields.truth("durable")?,
        auto_delete: fields.truth("auto_delete")?,
        internal: fields.truth("internal")?,
        arguments: fields.table("arguments")?,
        user,
    })
}

async fn list(call: Call) -> Outcome {
    let vhosts = call.visible_vhosts();
    rows(&call, &vhosts).await
}

async fn of_vhost(call: Call) -> Outcome {
    let vhost = call.vhost().await?;
    rows(&call, &[vhost]).await
}

/// What went through exchanges, as their nodes say.
struct Traffic {
    by_exchange: BTreeMap<(String, String), Vec<ExchangeFigures>>,
    stale: Vec<String>,
}

impl Traffic {
    /// Asks the nodes, if the caller wants to see it.
    async fn wanted(call: &Call) -> Result<Self, Problem> {
        let mut traffic = Self { by_exchange: BTreeMap::new(), stale: Vec::new() };
        if Listing::parse(&call.query)?.wants(STATS) {
            let gathered = Box::pin(call.broker.exchange_figures()).await;
            traffic.stale = gathered.stale;
            for row in gathered.rows {
                let key = (row.vhost.clone(), row.exchange.clone());
                traffic.by_exchange.entry(key).or_default().push(row);
            }
        }
        Ok(traffic)
    }

    /// The exchange's row, with what went through it, if anything did.
    fn row(&self, exchange: &Exchange) -> Value {
        let mut row = row(exchange);
        let key = (exchange.vhost.to_string(), exchange.name.to_string());
        if let (Some(figures), Value::Object(fields)) = (self.by_exchange.get(&key), &mut row) {
            fields.insert(STATS.to_owned(), counts::of_exchange(figures.iter()));
        }
        row
    }
}

async fn rows(call: &Call, vhosts: &[Name]) -> Outcome {
    let traffic = Traffic::wanted(call).await?;
    let exchanges: Vec<Arc<Exchange>> = call.look(|catalog| {
        vhosts.iter().flat_map(|vhost| catalog.exchanges(vhost).cloned()).collect()
    });
    let render = |exchange: &Arc<Exchange>| traffic.row(exchange);
    let list = call.list_lazily(exchanges, |exchange| &exchange.name, render)?;
    Ok(list.lacking(traffic.stale))
}

async fn one(call: Call) -> Outcome {
    let (vhost, name) = (call.vhost().await?, call.exchange_at("exchange"));
    let found = call.find(|catalog| catalog.exchange(&vhost, &name).cloned()).await;
    let traffic = Traffic::wanted(&call).await?;
    let mut found = found.map(|exchange| traffic.row(&exchange));
    if let Some(Value::Object(fields)) = &mut found {
        fields.insert("incoming".to_owned(), json!([]));
        fields.insert("outgoing".to_owned(), json!([]));
    }
    call.one(found)
}

async fn put_one(call: Call) -> Outcome {
    let vhost = call.vhost_to_change().await?;
    let name = call.exchange_at("exchange");
    let declare = read(vhost, name, &call.fields()?, call.caller.name.clone())?;
    may_declare(&call, &declare).await?;
    match call.change(Command::DeclareExchange(declare)).await? {
        Changed::ExchangeExists(_) => Ok(Answer::Done),
        _ => Ok(Answer::Created(None)),
    }
}

/// Declaring asks for more where messages are to go on to another exchange.
async fn may_declare(call: &Call, declare: &DeclareExchange) -> Result<(), Problem> {
    let DeclareExchange { vhost, exchange, arguments, .. } = declare;
    call.may(vhost, (Accessed::Exchange, exchange), Access::Configure).await?;
    if let Some(alternate) = text(arguments, ALTERNATE) {
        call.may(vhost, (Accessed::Exchange, exchange), Access::Read).await?;
        call.may(vhost, (Accessed::Exchange, alternate), Access::Write).await?;
    }
    Ok(())
}

fn text<'a>(arguments: &'a Table, name: &str) -> Option<&'a str> {
    arguments.value(name).and_then(Argument::as_text)
}

async fn delete_one(call: Call) -> Outcome {
    let (vhost, exchange) = (call.vhost().await?, call.exchange_at("exchange"));
    let known = call.find(|catalog| catalog.exchange(&vhost, &exchange).map(|_| ())).await;
    known.ok_or_else(Problem::absent)?;
    call.may(&vhost, (Accessed::Exchange, &exchange), Access::Configure).await?;
    if exchange.is_empty() || exchange.starts_with(RESERVED_PREFIX) {
        return Err(Problem::access_refused());
    }
    let if_unused = call.query.is_set("if-unused");
    removed(&call.change(Command::DeleteExchange { vhost, exchange, if_unused }).await?)
}
