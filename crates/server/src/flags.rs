//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::Inputs;
use crate::version;

/// A clustered message broker that speaks AMQP 0-9-1.
#[derive(Debug, Parser)]
#[command(name = "warren", version = version::LONG, subcommand_required = true, arg_required_else_help = true)]
pub struct Flags {
    /// What to do.
    #[command(subcommand)]
    pub task: Task,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Run a node.
    Server(ServerFlags),
    /// Say whether a configuration file is right, and what is wrong with it.
    CheckConfig {
        /// The file.
        file: PathBuf,
    },
    /// Print a configuration file with every key, its default, its meaning and its environment variable.
    DefaultConfig,
}

/// Flags of `warren server`. Each beats its environment variable, which beats the file.
#[derive(Args, Clone, Debug, Default)]
pub struct ServerFlags {
    /// Configuration file (TOML) (env: WARREN_CONFIG)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the node keeps its data (default: ./warren-data) (env: WARREN_DATA_DIR)
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<String>,
    /// The node's name (default: warren@ and the host's name) (env: WARREN_NAME)
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Where clients connect (default: 0.0.0.0:5672) (env: WARREN_AMQP)
    #[arg(long, value_name = "ADDR")]
    pub amqp: Option<String>,
    /// Where HTTP is served (default: 0.0.0.0:15672) (env: WARREN_HTTP)
    #[arg(long, value_name = "ADDR")]
    pub http: Option<String>,
    /// Where the metrics are served (default: 0.0.0.0:15692) (env: WARREN_METRICS)
    #[arg(long, value_name = "ADDR")]
    pub metrics: Option<String>,
    /// Where other nodes connect (default: 127.0.0.1:25672) (env: WARREN_PEER)
    #[arg(long, value_name = "ADDR")]
    pub peer: Option<String>,
    /// Nodes of the cluster to join, with commas between them (env: WARREN_SEEDS)
    #[arg(long, value_name = "A,B")]
    pub seeds: Option<String>,
}

impl ServerFlags {
    /// What the configuration is made from: these flags and this process's environment.
    #[must_use]
    pub fn inputs(self) -> Inputs {
        let flags = [
            ("--data-dir", "data_dir", self.data_dir),
            ("--name", "name", self.name),
            ("--amqp", "amqp", self.amqp),
            ("--http", "http", self.http),
            ("--metrics", "metrics", self.metrics),
            ("--peer", "peer", self.peer),
            ("--seeds", "seeds", self.seeds),
        ];
        Inputs {
            file: self.config,
            variables: std::env::vars_os().collect(),
            flags: flags
                .into_iter()
                .filter_map(|(flag, key, value)| value.map(|value| (flag, key, value)))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::config::Config;

    #[test]
    fn every_flag_reaches_the_key_of_its_name() {
        let flags = Flags::parse_from([
            "warren",
            "server",
            "--data-dir",
            "d",
            "--name",
            "n",
            "--amqp",
            "1.0.0.1:1",
            "--http",
            "1.0.0.2:2",
            "--metrics",
            "1.0.0.3:3",
            "--peer",
            "1.0.0.4:4",
            "--seeds",
            "a:1,b:2",
        ]);
        let Task::Server(server) = flags.task else { panic!("the task is server") };
        let inputs = Inputs { variables: Vec::new(), ..server.inputs() };

        let node = Config::load(&inputs).expect("all of it is right").config.node;

        assert_eq!(node.data_dir, PathBuf::from("d"));
        assert_eq!(node.name, "n");
        assert_eq!(node.amqp.to_string(), "1.0.0.1:1");
        assert_eq!(node.http.to_string(), "1.0.0.2:2");
        assert_eq!(node.metrics.to_string(), "1.0.0.3:3");
        assert_eq!(node.peer.to_string(), "1.0.0.4:4");
        assert_eq!(node.seeds, ["a:1", "b:2"]);
    }

    #[test]
    fn the_command_line_is_consistent() {
        Flags::command().debug_assert();
    }
}
