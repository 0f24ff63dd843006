//! One thing that can be asked of the API, and what documents say about it.
//!
//! The router and the description at `/api/openapi.json` are made of the same routes, so that
//! neither can have what the other lacks.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::http::Method;

use super::access::Role;
use super::answer::{Outcome, Problem};
use super::call::{Call, NodeCall};

/// The most bytes of a body.
pub(crate) const BODY_BYTES: usize = 20 << 20;

/// A handler's answer in the making.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// What answers.
#[derive(Clone)]
pub(crate) enum Handler {
    /// Something that asks the broker, and so needs one.
    OfBroker(Arc<dyn Fn(Call) -> Answering + Send + Sync>),
    /// Something that asks the node, whether it serves or not.
    OfNode(Arc<dyn Fn(NodeCall) -> Answering + Send + Sync>),
}

/// What a field of a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A text.
    Text,
    /// A whole number.
    Integer,
    /// Whether it is so.
    Truth,
    /// A list.
    List,
    /// An object.
    Object,
    /// Anything.
    Any,
}

/// A field of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Whether there is no request without it.
    pub(crate) needed: bool,
}

/// A field that a body may have.
pub(crate) const fn may(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, needed: false }
}

/// A field that a body must have.
pub(crate) const fn must(name: &'static str, kind: Kind) -> Field {
    Field { name, kind, needed: true }
}

/// One method of one path.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) method: Method,
    /// With variables in braces.
    pub(crate) path: &'static str,
    /// What it does, in a few words.
    pub(crate) summary: &'static str,
    pub(crate) role: Role,
    /// Whether it answers with a list that can be picked from, ordered and cut into pages.
    pub(crate) is_list: bool,
    /// What the body says; nothing if it has none.
    pub(crate) fields: Vec<Field>,
    /// What else can be asked behind the path.
    pub(crate) query: &'static [&'static str],
    pub(crate) body_bytes: usize,
    pub(crate) handler: Handler,
}

impl Route {
    fn new<F, A>(method: Method, path: &'static str, summary: &'static str, handler: F) -> Self
    where
        F: Fn(Call) -> A + Send + Sync + 'static,
        A: Future<Output = Outcome> + Send + 'static,
    {
        Self {
            method,
            path,
            summary,
            role: Role::Management,
            is_list: false,
            fields: Vec::new(),
            query: &[],
            body_bytes: BODY_BYTES,
            handler: Handler::OfBroker(Arc::new(move |call| Box::pin(handler(call)))),
        }
    }

    /// Something that can be asked of a node whether it serves or not; by administrators alone,
    /// or by who knows its secret.
    pub(crate) fn of_node<F, A>(
        method: Method,
        path: &'static str,
        summary: &'static str,
        handler: F,
    ) -> Self
    where
        F: Fn(NodeCall) -> A + Send + Sync + 'static,
        A: Future<Output = Outcome> + Send + 'static,
    {
        let handler = Handler::OfNode(Arc::new(move |call| Box::pin(handler(call))));
        let nothing = async |_: Call| Err(Problem::absent());
        Self { role: Role::Administrator, handler, ..Self::new(method, path, summary, nothing) }
    }

    /// For whom it is, if not for everybody with a tag.
    pub(crate) fn role(self, role: Role) -> Self {
        Self { role, ..self }
    }

    /// It answers with a list.
    pub(crate) fn list(self) -> Self {
        Self { is_list: true, ..self }
    }

    /// What the body may say.
    pub(crate) fn fields(self, fields: &[Field]) -> Self {
        Self { fields: fields.to_vec(), ..self }
    }

    /// What else can be asked behind the path.
    pub(crate) fn query(self, query: &'static [&'static str]) -> Self {
        Self { query, ..self }
    }

    /// How large the body may be.
    pub(crate) fn body_bytes(self, body_bytes: usize) -> Self {
        Self { body_bytes, ..self }
    }

    /// The names of the path's variables, in order.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &'static str> {
        let parts = self.path.split('/');
        parts.filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }
}

/// Reads something.
pub(crate) fn get<F, A>(path: &'static str, summary: &'static str, handler: F) -> Route
where
    F: Fn(Call) -> A + Send + Sync + 'static,
    A: Future<Output = Outcome> + Send + 'static,
{
    Route::new(Method::GET, path, summary, handler)
}

/// Makes something, or brings it up to date.
pub(crate) fn put<F, A>(path: &'static str, summary: &'static str, handler: F) -> Route
where
    F: Fn(Call) -> A + Send + Sync + 'static,
    A: Future<Output = Outcome> + Send + 'static,
{
    Route::new(Method::PUT, path, summary, handler)
}

/// Does something.
pub(crate) fn post<F, A>(path: &'static str, summary: &'static str, handler: F) -> Route
where
    F: Fn(Call) -> A + Send + Sync + 'static,
    A: Future<Output = Outcome> + Send + 'static,
{
    Route::new(Method::POST, path, summary, handler)
}

/// Removes something.
pub(crate) fn delete<F, A>(path: &'static str, summary: &'static str, handler: F) -> Route
where
    F: Fn(Call) -> A + Send + Sync + 'static,
    A: Future<Output = Outcome> + Send + 'static,
{
    Route::new(Method::DELETE, path, summary, handler)
}
