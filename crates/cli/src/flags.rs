//! The command line.

use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

/// Asks a warren node over HTTP.
#[derive(Debug, Parser)]
#[command(name = "warrenctl", version)]
pub(crate) struct Flags {
    /// Address of the node's HTTP listener.
    #[arg(long, global = true, env = "WARRENCTL_URL", default_value = "http://localhost:15672")]
    pub(crate) url: String,
    /// How the output looks.
    #[arg(long, global = true, value_enum, default_value_t = Format::Table, alias = "formatter")]
    pub(crate) format: Format,
    /// How long to wait for the node, seconds.
    #[arg(long = "timeout", short = 't', global = true, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    timeout_s: u64,
    /// What to ask.
    #[command(subcommand)]
    pub(crate) task: Task,
}

/// How output looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Rows with tabs between their columns.
    Table,
    /// One JSON value.
    Json,
}

/// What can be asked.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Task {
    /// Is the node's process alive?
    Ping,
    /// Is the node alive, has it started, and is it ready for clients?
    Status,
}

impl Flags {
    /// How long to wait for the node.
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_s)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Flags::command().debug_assert();
    }

    #[test]
    fn flags_may_stand_before_and_after_the_command() {
        let before =
            Flags::parse_from(["warrenctl", "--format", "json", "--url", "http://a", "ping"]);
        let after =
            Flags::parse_from(["warrenctl", "ping", "--url", "http://a", "--format", "json"]);

        assert_eq!((before.url.as_str(), before.format), ("http://a", Format::Json));
        assert_eq!((after.url.as_str(), after.format), ("http://a", Format::Json));
    }
}
