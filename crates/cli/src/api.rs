//! The management API of one node.

use std::io;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::failure::Failure;
use crate::http::{Answer, Request, Url};

/// The header that names the nodes whose part is missing in an answer.
const STALE: &str = "x-warren-stale";

/// What an answer says on a thing that is not there.
const NOT_FOUND: u16 = 404;

/// What an answer says when the node cannot do it just then.
const UNAVAILABLE: u16 = 503;

/// What an answer says to those who may not.
const UNAUTHORIZED: u16 = 401;

/// What is said when another node wants to know who asks.
const WHO: &str =
    ": log in with --username and --password, as a node's secret is not sent to another node";

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Login {
    /// Somebody who says nothing of themselves.
    Nobody,
    /// Who can read the node's data directory.
    Secret(String),
    /// A user.
    User {
        /// The name.
        name: String,
        /// The password.
        password: String,
    },
}

impl Login {
    fn header(&self) -> Option<(&'static str, String)> {
        let value = match self {
            Self::Nobody => return None,
            Self::Secret(secret) => format!("Bearer {secret}"),
            Self::User { name, password } => {
                format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
            }
        };
        Some(("Authorization", value))
    }

    /// What may be shown to another node: a node's secret is for that node alone.
    fn elsewhere(&self) -> Self {
        match self {
            Self::Nobody | Self::Secret(_) => Self::Nobody,
            Self::User { .. } => self.clone(),
        }
    }
}

/// Why there is no answer, or not the one that was hoped for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    /// No connection, or one that broke.
    #[error(
        "Error: the node at {url} cannot be reached: {source}. Is it running? See 'help' for --url and --data-dir"
    )]
    Unreachable {
        /// Who was asked.
        url: Url,
        /// What happened.
        source: io::Error,
    },
    /// No answer in time.
    #[error("no answer of {url} in time")]
    Late {
        /// Who was asked.
        url: Url,
    },
    /// An answer that no node gives.
    #[error("Error: {text}")]
    Senseless {
        /// What is wrong with it.
        text: String,
    },
    /// The node said no.
    #[error("{reason}")]
    Refused {
        /// The answer's status.
        status: u16,
        /// Why.
        reason: String,
    },
}

impl Problem {
    /// Whether the node said that there is no such thing.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: NOT_FOUND, .. })
    }

    /// Whether the node said that it cannot do it just then, as while it serves nobody.
    pub(crate) fn is_unavailable(&self) -> bool {
        matches!(self, Self::Refused { status: UNAVAILABLE, .. })
    }

    /// The failure, which is `missing` when the node said that there is no such thing.
    pub(crate) fn or_missing(self, missing: impl FnOnce() -> Failure) -> Failure {
        if self.is_not_found() { missing() } else { self.into() }
    }
}

/// One node's API.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    url: Url,
    login: Login,
    timeout: Duration,
}

impl Api {
    /// The API of the node there, asked by `login`.
    pub(crate) fn new(url: Url, login: Login, timeout: Duration) -> Self {
        Self { url, login, timeout }
    }

    /// The same for somebody else.
    pub(crate) fn as_user(&self, name: &str, password: &str) -> Self {
        let (name, password) = (name.to_owned(), password.to_owned());
        let login = Login::User { name, password };
        Self { url: self.url.clone(), login, timeout: self.timeout }
    }

    /// The same for another node.
    pub(crate) fn elsewhere(&self, url: Url) -> Self {
        Self { url, login: self.login.elsewhere(), timeout: self.timeout }
    }

    /// Where it is.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// What is at `path`.
    pub(crate) fn get(&self, path: &str) -> Result<Value, Problem> {
        let answer = self.ask("GET", path, &[], None)?;
        self.accepted(path, answer)
    }

    /// What is at `path`, or nothing when nothing is.
    pub(crate) fn find(&self, path: &str) -> Result<Option<Value>, Problem> {
        match self.get(path) {
            Ok(value) => Ok(Some(value)),
            Err(problem) if problem.is_not_found() => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    /// The list at `path`.
    pub(crate) fn list(&self, path: &str) -> Result<Vec<Value>, Problem> {
        match self.get(path)? {
            Value::Array(rows) => Ok(rows),
            other => Err(self.senseless(path, &format!("no list but {other}"))),
        }
    }

    /// The list at `path`, or nothing when nothing is there.
    pub(crate) fn find_list(&self, path: &str) -> Result<Option<Vec<Value>>, Problem> {
        match self.list(path) {
            Ok(rows) => Ok(Some(rows)),
            Err(problem) if problem.is_not_found() => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    /// What a health check says: nothing when all is well.
    pub(crate) fn check(&self, path: &str) -> Result<Option<Value>, Problem> {
        let answer = self.ask("GET", path, &[], None)?;
        if answer.status == UNAVAILABLE {
            return match serde_json::from_str(&answer.body) {
                Ok(value) => Ok(Some(value)),
                Err(error) => Err(self.senseless(path, &error.to_string())),
            };
        }
        self.accepted(path, answer).map(|_| None)
    }

    /// Makes or replaces what is at `path`.
    pub(crate) fn put(&self, path: &str, body: &Value) -> Result<Value, Problem> {
        let answer = self.ask("PUT", path, &[], Some(&body.to_string()))?;
        self.accepted(path, answer)
    }

    /// Has `path` done.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, Problem> {
        let answer = self.ask("POST", path, &[], Some(&body.to_string()))?;
        self.accepted(path, answer)
    }

    /// Removes what is at `path`.
    pub(crate) fn delete(&self, path: &str) -> Result<Value, Problem> {
        let answer = self.ask("DELETE", path, &[], None)?;
        self.accepted(path, answer)
    }

    /// Removes what is at `path`, unless it is gone already.
    pub(crate) fn remove(&self, path: &str) -> Result<(), Problem> {
        gone(self.delete(path))
    }

    /// Removes what is at `path` for a reason, unless it is gone already.
    pub(crate) fn remove_because(&self, path: &str, reason: &str) -> Result<(), Problem> {
        let answer = self.ask("DELETE", path, &[("X-Reason", reason.to_owned())], None)?;
        gone(self.accepted(path, answer))
    }

    /// Removes what is at `path`, and says which part of it.
    pub(crate) fn delete_part(&self, path: &str, body: &Value) -> Result<Value, Problem> {
        let answer = self.ask("DELETE", path, &[], Some(&body.to_string()))?;
        self.accepted(path, answer)
    }

    fn ask(
        &self,
        method: &'static str,
        path: &str,
        more: &[(&'static str, String)],
        body: Option<&str>,
    ) -> Result<Answer, Problem> {
        let mut headers = Vec::from_iter(self.login.header());
        headers.extend_from_slice(more);
        let request = Request { method, path, headers: &headers, body };
        self.url.ask(request, self.timeout).map_err(|source| match source.kind() {
            io::ErrorKind::TimedOut => Problem::Late { url: self.url.clone() },
            io::ErrorKind::InvalidData => self.senseless(path, &source.to_string()),
            _ => Problem::Unreachable { url: self.url.clone(), source },
        })
    }

    fn accepted(&self, path: &str, answer: Answer) -> Result<Value, Problem> {
        if let Some(stale) = answer.header(STALE) {
            warn_of(stale);
        }
        let body: Option<Value> = serde_json::from_str(&answer.body).ok();
        match (answer.status, body) {
            (200..=299, Some(value)) => Ok(value),
            (200..=299, None) if answer.body.is_empty() => Ok(Value::Null),
            (status, Some(value)) if status >= 400 => {
                let mut reason = reason(path, &value);
                if status == UNAUTHORIZED && self.login == Login::Nobody {
                    reason.push_str(WHO);
                }
                Err(Problem::Refused { status, reason })
            }
            (NOT_FOUND, None) => {
                Err(Problem::Refused { status: NOT_FOUND, reason: not_there(path) })
            }
            (status, _) => Err(self.senseless(path, &format!("status {status}"))),
        }
    }

    fn senseless(&self, path: &str, text: &str) -> Problem {
        let url = &self.url;
        Problem::Senseless { text: format!("{url}{path} gave an answer that is no node's: {text}") }
    }
}

/// What is not there need not be removed.
fn gone(answer: Result<Value, Problem>) -> Result<(), Problem> {
    match answer {
        Err(problem) if !problem.is_not_found() => Err(problem),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Why the node said no, in its words.
fn reason(path: &str, body: &Value) -> String {
    let text = |name| body.get(name).and_then(Value::as_str);
    match (text("reason"), text("error")) {
        (Some("Not Found"), _) | (None, Some("Object Not Found" | "not_found")) => not_there(path),
        (Some(text), _) | (None, Some(text)) => text.to_owned(),
        (None, None) => body.to_string(),
    }
}

fn not_there(path: &str) -> String {
    format!("the node has nothing at {path}")
}

#[expect(clippy::print_stderr, reason = "a command line tool prints")]
fn warn_of(stale: &str) {
    eprintln!("Warning: without what only these nodes know, which did not answer: {stale}");
}

/// The path of something in the API, each part of it quoted.
pub(crate) fn path(parts: &[&str]) -> String {
    let mut path = "/api".to_owned();
    for part in parts {
        path.push('/');
        path.push_str(&quoted(part));
    }
    path
}

/// A text as a part of a path, or of what is behind it.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            quoted.push(char::from(byte));
        } else {
            quoted.push_str(&format!("%{byte:02X}"));
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_path_is_quoted_byte_by_byte() {
        assert_eq!(path(&["queues", "/"]), "/api/queues/%2F");
        assert_eq!(path(&["q 2/ü?#%"]), "/api/q%202%2F%C3%BC%3F%23%25");
        assert_eq!(path(&["a-b.c_d~E9"]), "/api/a-b.c_d~E9");
    }

    #[test]
    fn a_login_is_a_header() {
        let user = Login::User { name: "guest".into(), password: "guest".into() };

        let secret = Login::Secret("00ff".into());

        assert_eq!(user.header(), Some(("Authorization", "Basic Z3Vlc3Q6Z3Vlc3Q=".into())));
        assert_eq!(secret.header(), Some(("Authorization", "Bearer 00ff".into())));
        assert_eq!(Login::Nobody.header(), None);
    }

    #[test]
    fn a_nodes_secret_is_not_for_another_node() {
        let user = Login::User { name: "guest".into(), password: "guest".into() };

        assert_eq!(Login::Secret("00ff".into()).elsewhere(), Login::Nobody);
        assert_eq!(user.elsewhere(), user);
    }
}
