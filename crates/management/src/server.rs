//! Answers requests that arrive at a listener.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use warren_tls::Acceptor;

use crate::api::{self, Peer};
use crate::exposition::{CONTENT_TYPE, Page};
use crate::listener::Bounded;
use crate::metrics::QueueTotals;
use crate::node::Node;
use crate::{health, login, metrics, ui};

/// What is answered at a listener, besides health and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    /// The management API and the user interface.
    Management,
    /// Nothing.
    Metrics,
}

/// Speaks for a node over HTTP. Cheap to clone.
#[derive(Clone)]
pub struct Server {
    node: Arc<dyn Node>,
}

/// What a request is answered from.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) node: Arc<dyn Node>,
}

impl Server {
    /// Speaks for `node`.
    #[must_use]
    pub fn new(node: Arc<impl Node>) -> Self {
        Self { node }
    }

    /// Answers what arrives at `listener` until `stop` is cancelled, then finishes the requests
    /// that are under way. One that never ends would be waited for: the caller sets the limit.
    pub async fn serve(&self, listener: TcpListener, surface: Surface, stop: CancellationToken) {
        self.answer(Bounded::new(listener, None), surface, stop).await;
    }

    /// As [`Server::serve`], with TLS.
    pub async fn serve_tls(
        &self,
        listener: TcpListener,
        acceptor: Acceptor,
        surface: Surface,
        stop: CancellationToken,
    ) {
        self.answer(Bounded::new(listener, Some(acceptor)), surface, stop).await;
    }

    async fn answer(&self, listener: Bounded, surface: Surface, stop: CancellationToken) {
        let context = Context { node: Arc::clone(&self.node) };
        let service = router(context, surface).into_make_service_with_connect_info::<Peer>();
        let outcome =
            axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned()).await;
        if let Err(error) = outcome {
            tracing::error!(%error, "HTTP is not served any more");
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

fn router(context: Context, surface: Surface) -> Router {
    let common = Router::new()
        .route("/health/live", get(async || health::live()))
        .route("/health/startup", get(startup))
        .route("/health/ready", get(ready))
        .route("/metrics", get(page))
        .route("/metrics/per-object", get(per_object))
        .route("/metrics/detailed", get(detailed))
        .with_state(context.clone());
    match surface {
        Surface::Metrics => common.fallback(not_found),
        Surface::Management => {
            let pages = Router::new().route("/login", post(login::arrive)).fallback(file);
            common.merge(api::router(&context.node)).merge(pages.with_state(context))
        }
    }
}

async fn startup(State(context): State<Context>) -> impl IntoResponse {
    health::startup(&context.node.health())
}

async fn ready(State(context): State<Context>) -> impl IntoResponse {
    health::ready(&context.node.health())
}

async fn page(State(context): State<Context>) -> Response {
    match totals(context, QueueTotals::Shown).await {
        Some(page) => exposed(page.finish()),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// What the node counts as a whole.
async fn totals(context: Context, queues: QueueTotals) -> Option<Page> {
    // Asking the system how much space is left waits for the disk; no one else should.
    let observing =
        tokio::task::spawn_blocking(move || metrics::page(&context.node.observe(), queues));
    match observing.await {
        Ok(page) => Some(page),
        Err(error) => {
            tracing::error!(%error, "the node could not be observed");
            None
        }
    }
}

fn exposed(page: String) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], page).into_response()
}

async fn per_object(State(context): State<Context>) -> Response {
    let broker = context.node.broker();
    let Some(mut page) = totals(context, QueueTotals::LeftOut).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    if let Some(broker) = broker {
        metrics::per_object(&broker, &mut page).await;
    }
    exposed(page.finish())
}

async fn detailed(
    State(context): State<Context>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response {
    match context.node.broker() {
        Some(broker) => {
            let identity = context.node.facts().identity;
            let wishes = metrics::Wishes::of(pairs);
            exposed(metrics::detailed(&broker, &identity, &wishes).await)
        }
        None => exposed(String::new()),
    }
}

/// A file of the user interface, or nothing.
async fn file(
    State(context): State<Context>,
    uri: Uri,
    request: axum::extract::Request,
) -> Response {
    match ui::file(uri.path()) {
        Some(file) => ui::answer(file, &request, context.node.browser_login().as_deref()),
        None => not_found().await.into_response(),
    }
}

/// RabbitMQ's answer to a path that is none.
async fn not_found() -> impl IntoResponse {
    let body = [("error", "Object Not Found"), ("reason", "Not Found")];
    let body: std::collections::BTreeMap<_, _> = body.into();
    (StatusCode::NOT_FOUND, Json(body))
}

#[cfg(test)]
mod tests;
