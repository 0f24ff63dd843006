//! Why a command did not do what it was asked to, and the exit code that says so.

use serde_json::json;

use crate::api::Problem;
use crate::call::Call;
use crate::line::Mistake;
use crate::show::Format;

/// A command line that makes no sense (sysexits: EX_USAGE).
pub(crate) const USAGE: u8 = 64;
/// Something that is not there or cannot be read (sysexits: EX_DATAERR).
pub(crate) const DATA_ERROR: u8 = 65;
/// A user who is not there (sysexits: EX_NOUSER).
pub(crate) const NO_USER: u8 = 67;
/// A node that cannot be reached, is not well, or refuses (sysexits: EX_UNAVAILABLE).
pub(crate) const UNAVAILABLE: u8 = 69;
/// Something that cannot be (sysexits: EX_SOFTWARE).
pub(crate) const SOFTWARE: u8 = 70;
/// No answer in time (sysexits: EX_TEMPFAIL).
pub(crate) const LATE: u8 = 75;

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was called in a way that it cannot be.
    Usage(Mistake),
    /// It was refused.
    Refused {
        /// The exit code.
        exit: u8,
        /// Why.
        text: String,
    },
    /// What it is about is not there.
    Missing {
        /// The exit code.
        exit: u8,
        /// What.
        text: String,
    },
    /// The node did not answer as nodes do.
    Api(Problem),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Api(problem)
    }
}

impl Failure {
    /// It was refused.
    pub(crate) fn refused(text: impl Into<String>) -> Self {
        Self::Refused { exit: UNAVAILABLE, text: text.into() }
    }

    /// What it is about is not there.
    pub(crate) fn missing(text: impl Into<String>) -> Self {
        Self::Missing { exit: DATA_ERROR, text: text.into() }
    }

    /// The virtual host is not there.
    pub(crate) fn no_such_vhost(vhost: &str) -> Self {
        Self::missing(format!("Virtual host '{vhost}' does not exist"))
    }

    /// The user is not there.
    pub(crate) fn no_such_user(user: &str) -> Self {
        Self::Refused { exit: NO_USER, text: format!("User \"{user}\" does not exist") }
    }

    /// The queue, or whatever it is, is not there.
    pub(crate) fn no_such_object() -> Self {
        Self::missing("Object (queue, stream, exchange, etc) was not found")
    }

    /// No node has that name.
    pub(crate) fn no_such_node(node: &str) -> Self {
        let text = format!(
            "Error: unable to perform an operation on node '{node}'. Not exactly one node of that name belongs to the cluster."
        );
        Self::Missing { exit: UNAVAILABLE, text }
    }

    /// The answer is none that a node gives.
    pub(crate) fn senseless(text: &str) -> Self {
        Self::Api(Problem::Senseless { text: text.to_owned() })
    }

    /// The exit code.
    pub(crate) fn exit(&self) -> u8 {
        match self {
            Self::Usage(Mistake { exit, .. })
            | Self::Refused { exit, .. }
            | Self::Missing { exit, .. } => *exit,
            Self::Api(Problem::Late { .. }) => LATE,
            Self::Api(Problem::Senseless { .. }) => SOFTWARE,
            Self::Api(Problem::Unreachable { .. } | Problem::Refused { .. }) => UNAVAILABLE,
        }
    }

    /// Says it.
    #[expect(clippy::print_stderr, reason = "a command line tool prints")]
    pub(crate) fn print(&self, call: &Call) {
        match (self, call.format()) {
            (Self::Usage(Mistake { text, .. }), _) => eprintln!("{text}"),
            (_, Ok(Format::Json)) => {
                let text = self.text(call);
                eprintln!("{}", json!({"result": "error", "message": text}));
            }
            (Self::Refused { .. } | Self::Api(Problem::Refused { .. }), _) => {
                eprintln!("Error:\n{}", self.text(call));
            }
            (Self::Missing { .. } | Self::Api(_), _) => eprintln!("{}", self.text(call)),
        }
    }

    /// What there is to say.
    pub(crate) fn text(&self, call: &Call) -> String {
        match self {
            Self::Usage(Mistake { text, .. })
            | Self::Refused { text, .. }
            | Self::Missing { text, .. } => text.clone(),
            Self::Api(Problem::Late { url }) => {
                let (name, time) = (call.command.name, call.timeout().as_secs());
                format!(
                    "Error: operation {name} on node {url} timed out. Timeout value used: {time}"
                )
            }
            Self::Api(problem) => problem.to_string(),
        }
    }
}
