//! What a node says about its health, and how that is shown.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::flags::Format;
use crate::http::Url;

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The URL is none.
    #[error("{0}")]
    Url(String),
    /// No answer came.
    #[error("the node at {url} cannot be reached: {source}")]
    Unreachable {
        /// Who was asked.
        url: String,
        /// What happened.
        source: io::Error,
    },
    /// The answer is none that a node gives.
    #[error("{url}{path} gave an answer that is no node's: {text}")]
    Senseless {
        /// Who was asked.
        url: String,
        /// What for.
        path: &'static str,
        /// What is wrong with the answer.
        text: String,
    },
}

/// What was found out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// Whether all that was asked for holds.
    pub(crate) well: bool,
    checks: Vec<Check>,
}

/// One thing that was asked.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Check {
    check: &'static str,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// The body of a node's answer.
#[derive(Deserialize)]
struct Verdict {
    status: String,
    reason: Option<String>,
}

/// Asks whether the process is alive.
pub(crate) fn ping(url: &str, timeout: Duration) -> Result<Report, Failure> {
    ask(url, timeout, &[("alive", "/health/live")])
}

/// Asks for all that a node says about its health.
pub(crate) fn status(url: &str, timeout: Duration) -> Result<Report, Failure> {
    let checks =
        [("alive", "/health/live"), ("started", "/health/startup"), ("ready", "/health/ready")];
    ask(url, timeout, &checks)
}

fn ask(
    url: &str,
    timeout: Duration,
    checks: &[(&'static str, &'static str)],
) -> Result<Report, Failure> {
    let node = Url::parse(url).map_err(Failure::Url)?;
    let checks: Vec<Check> = checks
        .iter()
        .map(|(check, path)| ask_one(&node, url, timeout, check, path))
        .collect::<Result<_, _>>()?;
    Ok(Report { well: checks.iter().all(|check| check.ok), checks })
}

fn ask_one(
    node: &Url,
    url: &str,
    timeout: Duration,
    check: &'static str,
    path: &'static str,
) -> Result<Check, Failure> {
    let senseless = |text: String| Failure::Senseless { url: url.to_owned(), path, text };
    let answer = node.get(path, timeout).map_err(|source| match source.kind() {
        io::ErrorKind::InvalidData => senseless(source.to_string()),
        _ => Failure::Unreachable { url: url.to_owned(), source },
    })?;
    let ok = match answer.status {
        200 => true,
        503 => false,
        other => return Err(senseless(format!("status {other}"))),
    };
    let verdict: Verdict =
        serde_json::from_str(&answer.body).map_err(|error| senseless(error.to_string()))?;
    if ok != (verdict.status == "ok") {
        return Err(senseless(format!("status {} with '{}'", answer.status, verdict.status)));
    }
    Ok(Check { check, ok, reason: verdict.reason })
}

impl Report {
    /// The report as it is printed.
    pub(crate) fn show(&self, format: Format) -> String {
        match format {
            Format::Table => self.table(),
            Format::Json => {
                serde_json::to_string(&self.checks).expect("words and booleans are JSON")
            }
        }
    }

    fn table(&self) -> String {
        let mut text = "check\tok\treason".to_owned();
        for Check { check, ok, reason } in &self.checks {
            let reason = reason.as_deref().unwrap_or_default();
            write!(text, "\n{check}\t{ok}\t{reason}").expect("writing to a string succeeds");
        }
        text
    }
}

#[cfg(test)]
mod tests;
