//! The way in: who asks, whether they may, and what they say.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::connect_info::Connected;
use axum::extract::{ConnectInfo, FromRequestParts as _, Query as Pairs, RawPathParams};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Request, header};
use axum::response::{IntoResponse as _, Response};
use axum::serve::IncomingStream;
use bytes::Bytes;
use warren_broker::{Broker, Door as Entrance};

use super::access::{Caller, Credentials, Role, is_secret};
use super::answer::{Outcome, Problem};
use super::call::{Call, NodeCall};
use super::list::Query;
use super::route::{Handler, Route};
use crate::listener::Bounded;
use crate::node::{Node, Phase};

/// What somebody is called who has shown nothing but a token.
const BEARER: &str = "the bearer of a token";

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

impl Connected<IncomingStream<'_, Bounded>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Bounded>) -> Self {
        Self(*stream.remote_addr())
    }
}

/// Answers a request to `route`.
pub(crate) async fn enter(
    node: Arc<dyn Node>,
    route: Arc<Route>,
    request: Request<Body>,
) -> Response {
    let mut response = match admit(node, &route, request).await {
        Ok(answer) => answer.into_response(),
        Err(problem) => problem.into_response(),
    };
    let fresh = HeaderValue::from_static("no-cache");
    response.headers_mut().insert(header::CACHE_CONTROL, fresh);
    response
}

async fn admit(node: Arc<dyn Node>, route: &Route, request: Request<Body>) -> Outcome {
    let (parts, body) = request.into_parts();
    let broker = node.broker();
    if broker.is_none() && matches!(route.handler, Handler::OfBroker(_)) {
        // Said before anybody is asked for a password, which nobody could check.
        return Err(without_broker(&*node));
    }
    let caller = identify(&*node, broker.as_ref(), &parts, route.role).await?;
    let (user, from) = (caller.name.clone(), caller.from);
    let operation = format!("{} {}", parts.method, parts.uri.path());
    // Boxed: futures of futures have a limit to how deep they may be.
    let outcome = Box::pin(attend(node, broker.clone(), route, caller, parts, body)).await;
    if let (Some(broker), Err(problem)) = (&broker, &outcome)
        && problem.is_refusal()
    {
        broker.audit_refusal(&user, from, &operation, &problem.reason());
    }
    outcome
}

/// Does what is asked for, if the caller may.
async fn attend(
    node: Arc<dyn Node>,
    broker: Option<Broker>,
    route: &Route,
    caller: Caller,
    mut parts: Parts,
    body: Body,
) -> Outcome {
    caller.must_be(route.role)?;
    let variables = variables(&mut parts).await?;
    if let Some(broker) = &broker {
        let named = variables.iter().find(|(variable, _)| variable == "vhost");
        let vhosts = match named {
            Some((_, vhost)) => vec![vhost.as_str().into()],
            None => broker.look(|catalog| catalog.vhosts().map(|row| row.name.clone()).collect()),
        };
        caller.look_around(broker, vhosts).await;
    }
    let query = query(&parts)?;
    let body = read(body, route.body_bytes).await?;
    let headers = parts.headers;
    match (&route.handler, broker) {
        (Handler::OfNode(handle), broker) => {
            handle(NodeCall { node, broker, variables, body }).await
        }
        (Handler::OfBroker(handle), Some(broker)) => {
            handle(Call { node, broker, caller, variables, query, headers, body }).await
        }
        (Handler::OfBroker(_), None) => Err(without_broker(&*node)),
    }
}

/// Why nothing can be said about what a node has.
fn without_broker(node: &dyn Node) -> Problem {
    match node.health().phase {
        Phase::Stopped => Problem::unavailable(
            "this command requires the 'rabbit' app to be running on the target node. \
             Start it with 'rabbitmqctl start_app'.",
        ),
        Phase::Starting | Phase::Serving | Phase::Draining => {
            Problem::unavailable("the node is starting")
        }
    }
}

async fn identify(
    node: &dyn Node,
    broker: Option<&Broker>,
    parts: &Parts,
    role: Role,
) -> Result<Caller, Problem> {
    let peer = parts.extensions.get::<ConnectInfo<Peer>>().map(|peer| peer.0.0.ip());
    let peer = peer.unwrap_or(IpAddr::from([0, 0, 0, 0]));
    match Credentials::of(&parts.headers) {
        None if role == Role::Anybody => Ok(Caller::nobody()),
        None => Err(Problem::unknown_caller()),
        Some(Credentials::Bearer(secret)) => {
            let is_local = peer.to_canonical().is_loopback();
            if is_local && is_secret(&node.facts().secret, &secret) {
                Ok(Caller { from: Some(peer), ..Caller::local_tool() })
            } else {
                let broker = broker.ok_or_else(|| refuse(peer, BEARER))?;
                log_in(broker, peer, ("", &secret), BEARER).await
            }
        }
        Some(Credentials::Basic { user, .. }) if is_basic_auth_disabled(node) => {
            tracing::debug!("HTTP access denied: basic auth disabled");
            Err(refuse(peer, &user))
        }
        Some(Credentials::Basic { user, password }) => {
            let broker = broker.ok_or_else(|| without_broker(node))?;
            log_in(broker, peer, (&user, &password), &user).await
        }
    }
}

/// Whether only tokens let somebody in.
fn is_basic_auth_disabled(node: &dyn Node) -> bool {
    node.browser_login().is_some_and(|login| login.disable_basic_auth)
}

/// Whose password it is. A token is the password of whomever it names.
async fn log_in(
    broker: &Broker,
    peer: IpAddr,
    (user, password): (&str, &str),
    called: &str,
) -> Result<Caller, Problem> {
    let login = broker.authenticate(Entrance::Http, peer, user, password.as_bytes());
    // Boxed: futures of futures have a limit to how deep they may be.
    let login = Box::pin(login).await;
    login.map(|user| Caller::user(user, peer)).map_err(|why| {
        tracing::debug!(%why, "login over HTTP refused");
        refuse(peer, called)
    })
}

fn refuse(peer: IpAddr, user: &str) -> Problem {
    tracing::warn!(%peer, user, "login over HTTP refused");
    Problem::wrong_credentials()
}

async fn variables(parts: &mut Parts) -> Result<Vec<(String, String)>, Problem> {
    let params = RawPathParams::from_request_parts(parts, &()).await;
    let params = params.map_err(|_| Problem::bad_request("the path is not UTF-8"))?;
    Ok(params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

fn query(parts: &Parts) -> Result<Query, Problem> {
    let pairs = Pairs::<Vec<(String, String)>>::try_from_uri(&parts.uri);
    pairs.map(|Pairs(pairs)| Query(pairs)).map_err(|error| Problem::bad_request(error.to_string()))
}

async fn read(body: Body, limit_bytes: usize) -> Result<Bytes, Problem> {
    axum::body::to_bytes(body, limit_bytes).await.map_err(|_| Problem::too_large(limit_bytes))
}
