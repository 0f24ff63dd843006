//! From a method and a path to the handler.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, StatusCode, header};
use axum::response::IntoResponse as _;
use axum::routing::{MethodFilter, MethodRouter, on};

use super::door::enter;
use super::route::Route;
use crate::node::Node;

/// Answers everything below `/api` for `node`.
pub(crate) fn router(node: &Arc<dyn Node>) -> Router {
    let mut paths: BTreeMap<&'static str, Vec<Arc<Route>>> = BTreeMap::new();
    for route in super::routes() {
        paths.entry(route.path).or_default().push(Arc::new(route));
    }
    let mut router = Router::new();
    for (path, routes) in paths {
        router = router.route(path, methods(node, &routes));
        // A slash at the end means nothing, as in RabbitMQ.
        router = router.route(&format!("{path}/"), methods(node, &routes));
    }
    router
}

fn methods(node: &Arc<dyn Node>, routes: &[Arc<Route>]) -> MethodRouter {
    let mut methods = MethodRouter::new();
    for route in routes {
        let filter = filter(&route.method);
        let (node, route) = (Arc::clone(node), Arc::clone(route));
        methods = methods.on(filter, move |request: Request<Body>| {
            enter(Arc::clone(&node), Arc::clone(&route), request)
        });
    }
    let allowed = allowed(routes);
    methods.merge(on(MethodFilter::OPTIONS, async move || {
        (StatusCode::OK, [(header::ALLOW, allowed)]).into_response()
    }))
}

fn filter(method: &Method) -> MethodFilter {
    MethodFilter::try_from(method.clone()).expect("routes have the usual methods")
}

fn allowed(routes: &[Arc<Route>]) -> HeaderValue {
    let mut methods: Vec<&str> = routes.iter().map(|route| route.method.as_str()).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.push("OPTIONS");
    HeaderValue::from_str(&methods.join(", ")).expect("methods are plain words")
}
