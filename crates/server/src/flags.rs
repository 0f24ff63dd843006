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
    Server(Box<ServerFlags>),
    /// Run several nodes on this machine, as one cluster, until a signal ends it.
    Cluster(ClusterFlags),
    /// Say whether a configuration file is right, and what is wrong with it.
    CheckConfig {
        /// The file.
        file: PathBuf,
    },
    /// Say whether the record of who did what is unbroken, and where not.
    VerifyAudit {
        /// The directory that audit.dir names.
        dir: PathBuf,
    },
    /// Print a configuration file with every key, its default, its meaning and its environment variable.
    DefaultConfig,
    /// Stop the process that started this one, and let it go on after a time. Nodes do this to themselves.
    #[command(name = crate::chaos::PAUSE_PARENT, hide = true)]
    PauseParent {
        /// The time, milliseconds.
        time_ms: u64,
    },
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
    /// What other nodes call to reach this one (default: the peer address) (env: WARREN_ADVERTISE)
    #[arg(long, value_name = "HOST:PORT")]
    pub advertise: Option<String>,
    /// Where an empty node looks for its cluster, with commas between them (env: WARREN_SEEDS)
    #[arg(long, value_name = "A,B")]
    pub seeds: Option<String>,
    /// Empty nodes that make a cluster (default: the number of seeds) (env: WARREN_BOOTSTRAP_EXPECT)
    #[arg(long, value_name = "N")]
    pub bootstrap_expect: Option<String>,
    /// The place whose failure takes the node with it (env: WARREN_ZONE)
    #[arg(long, value_name = "NAME")]
    pub zone: Option<String>,
    /// Groups over which a new cluster spreads its queues (default: 16) (env: WARREN_SHARDS)
    #[arg(long, value_name = "N")]
    pub shards: Option<String>,
}

/// Flags of `warren cluster`. Node i, from 0, listens on the loopback interface: AMQP on the base port
/// plus i, HTTP 10000 above that, metrics 10020, other nodes 20000.
#[derive(Args, Clone, Debug)]
pub struct ClusterFlags {
    /// How many nodes
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=20))]
    pub nodes: u16,
    /// Where each node has a directory node-N with data, pid and log
    #[arg(long, value_name = "DIR", default_value = "./warren-cluster")]
    pub dir: PathBuf,
    /// The AMQP port of the first node
    #[arg(long, value_name = "PORT", default_value_t = 5672)]
    pub base_port: u16,
    /// Groups over which the cluster spreads its queues; counts when it is made (default: 16)
    #[arg(long, value_name = "N")]
    pub shards: Option<u32>,
    /// Start nodes that end by themselves again, after a second
    #[arg(long)]
    pub restart: bool,
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
            ("--advertise", "advertise", self.advertise),
            ("--seeds", "seeds", self.seeds),
            ("--bootstrap-expect", "bootstrap_expect", self.bootstrap_expect),
            ("--zone", "zone", self.zone),
            ("--shards", "shards", self.shards),
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
            "--advertise",
            "h:5",
            "--seeds",
            "a:1,b:2",
            "--bootstrap-expect",
            "2",
            "--zone",
            "z",
            "--shards",
            "6",
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
        assert_eq!(node.advertise, "h:5");
        assert_eq!(node.seeds, ["a:1", "b:2"]);
        assert_eq!((node.bootstrap_expect, node.shards), (2, 6));
        assert_eq!(node.zone, "z");
    }

    #[test]
    fn the_command_line_is_consistent() {
        Flags::command().debug_assert();
    }
}
