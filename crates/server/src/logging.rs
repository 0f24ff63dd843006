//! What the node says about itself, line by line, on stderr.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::config::{LogFormat, LogSection};

/// What lines `text` lets through.
///
/// # Errors
/// When it is no filter.
pub fn filter(text: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().parse(text)
}

/// Lets log lines out, from here on and for the whole process.
///
/// # Panics
/// When it is called twice, or with a filter that was not checked.
pub fn start(config: &LogSection) {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(&config.filter).expect("the configuration was checked"))
        .with_writer(io::stderr);
    match config.format {
        LogFormat::Human => builder.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => builder.json().init(),
    }
}

/// `error` and what it came from, in one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
