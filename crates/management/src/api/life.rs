//! What a node does with itself: to end, to leave and forget its cluster, to join another.
//!
//! These are asked of the node that is meant, by its own name, and are answered also while it serves
//! nobody. RabbitMQ's tools call what serves clients the app: here, a node whose app is stopped is
//! drained, and after a reset waits for its start with nothing but HTTP.

use axum::http::Method;
use serde_json::{Map, Value, json};
use warren_broker::{Broker, DrainState};
use warren_types::NodeId;

use super::access::Role;
use super::answer::{Answer, Outcome, Problem};
use super::call::{Call, NodeCall};
use super::refusal::in_short;
use super::route::{Kind, Route, delete, may, must, post};
use crate::node::{Phase, Wish};

/// Where a node listens for others unless it is told otherwise.
const PEER_PORT: u16 = 25672;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::of_node(Method::GET, "/api/config/effective", "What the node was told", effective),
        Route::of_node(
            Method::GET,
            "/api/warren/nodes/{node}/app",
            "Whether it serves clients",
            app,
        ),
        Route::of_node(
            Method::GET,
            "/api/warren/app",
            "The same, of the node that is asked",
            own_app,
        ),
        Route::of_node(Method::PUT, "/api/warren/nodes/{node}/app", "Serves clients again", start),
        Route::of_node(Method::DELETE, "/api/warren/nodes/{node}/app", "Sends clients away", stop),
        Route::of_node(
            Method::POST,
            "/api/warren/nodes/{node}/stop",
            "Ends the node's process",
            end,
        ),
        Route::of_node(
            Method::POST,
            "/api/warren/nodes/{node}/reset",
            "Has a node that serves nobody leave its cluster and forget everything",
            reset,
        )
        .fields(&[may("force", Kind::Truth)]),
        Route::of_node(
            Method::POST,
            "/api/warren/nodes/{node}/join",
            "Has a node that serves nobody join another's cluster when it starts",
            join,
        )
        .fields(&[must("node", Kind::Text)]),
        post("/api/queues/quorum/replicas/on/{node}/grow", "Refused", of_shards)
            .role(Role::Administrator),
        delete("/api/queues/quorum/replicas/on/{node}/shrink", "Refused", of_shards)
            .role(Role::Administrator),
        post("/api/queues/quorum/{vhost}/{queue}/replicas/add", "Refused", of_shards)
            .role(Role::Administrator),
        delete("/api/queues/quorum/{vhost}/{queue}/replicas/delete", "Refused", of_shards)
            .role(Role::Administrator),
    ]
}

/// How much of a node there is, in the API's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum App {
    Starting,
    Running,
    Draining,
    Drained,
    Stopping,
    Stopped,
}

impl App {
    fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Draining => "draining",
            Self::Drained => "drained",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }
}

impl NodeCall {
    /// Refuses what another node should have been asked.
    fn must_mean_this(&self) -> Result<(), Problem> {
        let is_this = self.node.facts().identity.node_name == self.at("node");
        if is_this { Ok(()) } else { Err(Problem::absent()) }
    }

    /// The broker and this node's id in the catalog.
    fn broker_here(&self) -> Option<(&Broker, NodeId)> {
        let broker = self.broker.as_ref()?;
        Some((broker, broker.node_by_name(broker.name())?))
    }

    async fn app(&self) -> App {
        match (self.node.health().phase, self.broker_here()) {
            (Phase::Stopped, _) => App::Stopped,
            (Phase::Draining, _) => App::Stopping,
            (Phase::Starting, _) | (Phase::Serving, None) => App::Starting,
            (Phase::Serving, Some((broker, node))) => app_of(broker, node).await,
        }
    }

    async fn wish(&self, wish: Wish) -> Outcome {
        self.node.wish(wish).await.map_err(Problem::unavailable)?;
        Ok(Answer::Done)
    }
}

async fn app_of(broker: &Broker, node: NodeId) -> App {
    let Some(drain) = Box::pin(broker.drain_of(node)).await else { return App::Starting };
    match drain.state {
        DrainState::Serving => App::Running,
        DrainState::Drained => App::Drained,
        // Nobody could take what a node without others leads.
        DrainState::Draining if drain.connections == 0 && is_alone(broker) => App::Drained,
        DrainState::Draining | DrainState::Unknown => App::Draining,
    }
}

/// Whether the cluster is this node.
fn is_alone(broker: &Broker) -> bool {
    broker.look(|catalog| catalog.nodes().count()) == 1
}

async fn effective(call: NodeCall) -> Outcome {
    let settings = call.node.settings();
    let fields = settings.into_iter().map(|setting| {
        // Numbers, truths, plain texts and lists of these are written alike in TOML and in JSON.
        let value = serde_json::from_str(&setting.value);
        (setting.name, value.unwrap_or_else(|_| Value::from(setting.value)))
    });
    Ok(Answer::Value(Value::Object(fields.collect::<Map<_, _>>())))
}

async fn app(call: NodeCall) -> Outcome {
    call.must_mean_this()?;
    own_app(call).await
}

async fn own_app(call: NodeCall) -> Outcome {
    let name = call.node.facts().identity.node_name;
    Ok(Answer::Value(json!({ "node": name, "state": call.app().await.as_str() })))
}

async fn start(call: NodeCall) -> Outcome {
    call.must_mean_this()?;
    match call.broker_here() {
        Some((broker, node)) => {
            Box::pin(broker.revive_node(node)).await.map_err(in_short)?;
            Ok(Answer::Done)
        }
        None => call.wish(Wish::Start).await,
    }
}

async fn stop(call: NodeCall) -> Outcome {
    call.must_mean_this()?;
    match call.broker_here() {
        Some((broker, node)) => {
            Box::pin(broker.drain_node(node)).await.map_err(in_short)?;
            Ok(Answer::Done)
        }
        None if call.app().await == App::Stopped => Ok(Answer::Done),
        None => Err(Problem::unavailable("the node is starting")),
    }
}

async fn end(call: NodeCall) -> Outcome {
    call.must_mean_this()?;
    call.wish(Wish::End).await
}

/// Whether the node waits already, or serves nobody and could.
async fn must_be_stopped(call: &NodeCall) -> Result<App, Problem> {
    match call.app().await {
        app @ (App::Stopped | App::Drained) => Ok(app),
        App::Starting | App::Running | App::Draining | App::Stopping => Err(Problem::bad_request(
            "this command requires the 'rabbit' app to be stopped on the target node. \
             Stop it with 'rabbitmqctl stop_app'.",
        )),
    }
}

async fn reset(call: NodeCall) -> Outcome {
    call.must_mean_this()?;
    let force = call.fields()?.truth("force")?;
    if must_be_stopped(&call).await? == App::Stopped {
        return Ok(Answer::Done);
    }
    if let Some(broker) = call.broker.as_ref().filter(|broker| !force && !is_alone(broker)) {
        Box::pin(broker.leave_cluster()).await.map_err(in_short)?;
    }
    call.wish(Wish::Erase).await
}

async fn join(call: NodeCall) -> Outcome {
    call.must_mean_this()?;
    let fields = call.fields()?;
    fields.need(&["node"])?;
    let address = address_of(&fields.text("node")?);
    must_be_stopped(&call).await?;
    if call.broker.as_ref().is_some_and(|broker| !is_alone(broker)) {
        let text = "the node belongs to a cluster with other nodes; reset it first";
        return Err(Problem::bad_request(text));
    }
    call.node.wish(Wish::Join { address }).await.map_err(Problem::bad_request)?;
    Ok(Answer::Done)
}

/// Where a node is that is given by its name, as in `warren@host`, or by its address.
fn address_of(node: &str) -> String {
    let host = node.rsplit_once('@').map_or(node, |(_, host)| host);
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if has_port { host.to_owned() } else { format!("{host}:{PEER_PORT}") }
}

async fn of_shards(_call: Call) -> Outcome {
    Err(Problem::bad_request(
        "replicas belong to shards, which hold many queues each, and are spread over the nodes \
         without being told; drain a node to empty it",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_where_its_name_or_its_address_says() {
        let addresses = ["warren@shop", "shop", "shop:7000", "warren@10.0.0.7:7000"];

        assert_eq!(
            addresses.map(address_of),
            ["shop:25672", "shop:25672", "shop:7000", "10.0.0.7:7000"]
        );
    }
}
