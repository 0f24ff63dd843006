//! Answers requests that arrive at a listener.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::exposition::CONTENT_TYPE;
use crate::listener::Bounded;
use crate::node::Node;
use crate::{health, metrics};

/// Reports on a node over HTTP. Cheap to clone.
#[derive(Clone)]
pub struct Server {
    node: Arc<dyn Node>,
}

/// What a request is answered from.
#[derive(Clone)]
struct Context {
    node: Arc<dyn Node>,
    /// The address at which the request arrived, as text.
    endpoint: Arc<str>,
}

impl Server {
    /// Reports on `node`.
    #[must_use]
    pub fn new(node: Arc<impl Node>) -> Self {
        Self { node }
    }

    /// Answers what arrives at `listener` until `stop` is cancelled, then finishes the requests
    /// that are under way. One that never ends would be waited for: the caller sets the limit.
    pub async fn serve(&self, listener: TcpListener, stop: CancellationToken) {
        let endpoint = listener.local_addr().map(|address: SocketAddr| address.to_string());
        let context =
            Context { node: Arc::clone(&self.node), endpoint: endpoint.unwrap_or_default().into() };
        let outcome = axum::serve(Bounded::new(listener), router(context))
            .with_graceful_shutdown(stop.cancelled_owned())
            .await;
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

fn router(context: Context) -> Router {
    Router::new()
        .route("/health/live", get(async || health::live()))
        .route("/health/startup", get(startup))
        .route("/health/ready", get(ready))
        .route("/metrics", get(page))
        .fallback(not_found)
        .with_state(context)
}

async fn startup(State(context): State<Context>) -> impl IntoResponse {
    health::startup(&context.node.health())
}

async fn ready(State(context): State<Context>) -> impl IntoResponse {
    health::ready(&context.node.health())
}

async fn page(State(context): State<Context>) -> Response {
    // Asking the system how much space is left waits for the disk; no one else should.
    let observing = tokio::task::spawn_blocking(move || {
        metrics::page(&context.node.observe(), &context.endpoint)
    });
    match observing.await {
        Ok(page) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], page).into_response(),
        Err(error) => {
            tracing::error!(%error, "the node could not be observed");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
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
