//! What the API answers: a value, or why not.
//!
//! Both have the shapes that RabbitMQ's clients know: a bare value, and `{"error","reason"}`.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use warren_catalog::{Refusal, RefusalKind};

/// Names the nodes that a list lacks.
pub(crate) const STALE: HeaderName = HeaderName::from_static("x-warren-stale");

/// The media type of nearly all answers.
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What a request is told, or why it is told nothing.
pub(crate) type Outcome = Result<Answer, Problem>;

/// What a request is told.
#[derive(Debug)]
pub(crate) enum Answer {
    /// 200 and a value.
    Value(Value),
    /// 200 and a value that lacks what some nodes would have added.
    Partial(Value, Vec<String>),
    /// 200 and a value that a browser should keep as a file of this name.
    Download(Value, String),
    /// 201, with a location if the caller cannot know it.
    Created(Option<String>),
    /// 204
    Done,
    /// A check that failed: 503 and a value.
    Failed(Value),
}

impl Answer {
    /// 200 and a value, which names the nodes that it lacks if it is a page.
    pub(crate) fn whole_or_partial(mut value: Value, stale: Vec<String>) -> Self {
        if stale.is_empty() {
            return Self::Value(value);
        }
        if let Value::Object(page) = &mut value
            && page.contains_key("items")
        {
            page.insert("stale_nodes".to_owned(), stale.clone().into());
        }
        Self::Partial(value, stale)
    }

    /// The same answer, which lacks what these nodes would have added.
    pub(crate) fn lacking(self, stale: Vec<String>) -> Self {
        match self {
            Self::Value(value) => Self::whole_or_partial(value, stale),
            other @ (Self::Partial(..)
            | Self::Download(..)
            | Self::Created(_)
            | Self::Done
            | Self::Failed(_)) => other,
        }
    }

    /// 201 for what was made, 204 for what there was.
    pub(crate) fn made(created: bool) -> Self {
        if created { Self::Created(None) } else { Self::Done }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self {
            Self::Value(value) => json_response(StatusCode::OK, &value),
            Self::Partial(value, stale) => {
                let mut response = json_response(StatusCode::OK, &value);
                if let Ok(names) = HeaderValue::from_str(&stale.join(",")) {
                    response.headers_mut().insert(STALE, names);
                }
                response
            }
            Self::Download(value, name) => {
                let mut response = json_response(StatusCode::OK, &value);
                let disposition = format!("attachment; filename={name}");
                if let Ok(disposition) = HeaderValue::from_str(&disposition) {
                    response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
                }
                response
            }
            Self::Created(None) => StatusCode::CREATED.into_response(),
            Self::Created(Some(location)) => {
                (StatusCode::CREATED, [(header::LOCATION, location)]).into_response()
            }
            Self::Done => StatusCode::NO_CONTENT.into_response(),
            Self::Failed(value) => json_response(StatusCode::SERVICE_UNAVAILABLE, &value),
        }
    }
}

fn json_response(status: StatusCode, value: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, JSON)], Body::from(value.to_string())).into_response()
}

/// Why a request is told nothing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Problem {
    status: StatusCode,
    error: &'static str,
    reason: Value,
    /// Whether to ask for a name and a password.
    challenge: bool,
}

impl Problem {
    fn new(status: StatusCode, error: &'static str, reason: impl Into<Value>) -> Self {
        Self { status, error, reason: reason.into(), challenge: false }
    }

    /// The path names nothing that there is.
    pub(crate) fn absent() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Object Not Found", "Not Found")
    }

    /// The path names nothing that the caller may know of.
    pub(crate) fn hidden() -> Self {
        Self::not_found("Not Found")
    }

    /// The request needs something that there is not.
    pub(crate) fn not_found(reason: impl Into<Value>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", reason)
    }

    /// The request means nothing.
    pub(crate) fn bad_request(reason: impl Into<Value>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", reason)
    }

    /// The request for a page means nothing.
    pub(crate) fn bad_page(error: &'static str, reason: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, reason)
    }

    /// The caller may not do that.
    pub(crate) fn not_authorised(reason: impl Into<Value>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "not_authorised", reason)
    }

    /// The caller may not touch that thing.
    pub(crate) fn access_refused() -> Self {
        Self::not_authorised("Access refused.")
    }

    /// The caller has not said who it is.
    pub(crate) fn unknown_caller() -> Self {
        Self { challenge: true, ..Self::not_authorised("Login failed") }
    }

    /// Nobody of that name has that password, or may come from there.
    pub(crate) fn wrong_credentials() -> Self {
        let reason = "Not_Authorized";
        Self::new(StatusCode::UNAUTHORIZED, "not_authorized", reason)
    }

    /// Something protects what should go.
    pub(crate) fn precondition_failed(reason: impl Into<Value>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", reason)
    }

    /// The node cannot do it just then.
    pub(crate) fn unavailable(reason: impl Into<Value>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "service_unavailable", reason)
    }

    /// The body is larger than may be.
    pub(crate) fn too_large(limit_bytes: usize) -> Self {
        let reason = format!("the body is larger than {limit_bytes} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", reason)
    }

    /// The same, where what was asked for is a part of something larger that makes no sense.
    pub(crate) fn into_bad_request(self) -> Self {
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            return self;
        }
        Self::bad_request(self.reason)
    }

    /// Whether it is for want of a right.
    pub(crate) fn is_refusal(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED || self.status == StatusCode::FORBIDDEN
    }

    /// What it says.
    pub(crate) fn reason(&self) -> String {
        match &self.reason {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({ "error": self.error, "reason": self.reason });
        let mut response = json_response(self.status, &body);
        if self.challenge {
            let realm = HeaderValue::from_static("Basic realm=\"RabbitMQ Management\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
        }
        response
    }
}

impl From<&Refusal> for Problem {
    fn from(refusal: &Refusal) -> Self {
        match (refusal.kind(), refusal) {
            (_, Refusal::NoVhost { .. }) => Self::not_found("vhost_not_found"),
            (_, Refusal::ProtectedVhost { vhost }) => Self::precondition_failed(format!(
                "Refusing to delete virtual host '{vhost}' because it is protected from deletion"
            )),
            (RefusalKind::NotFound, _) => Self::not_found(refusal.to_string()),
            (RefusalKind::AccessRefused, _) => Self::access_refused(),
            (RefusalKind::BadRequest, Refusal::InvalidDefinition(_)) => {
                Self::bad_request(format!("Validation failed\n\n{refusal}\n"))
            }
            (RefusalKind::Damaged, _) => Self::unavailable(refusal.to_string()),
            (
                RefusalKind::ResourceLocked
                | RefusalKind::PreconditionFailed
                | RefusalKind::NotAllowed
                | RefusalKind::BadRequest,
                _,
            ) => Self::bad_request(refusal.to_string()),
        }
    }
}
