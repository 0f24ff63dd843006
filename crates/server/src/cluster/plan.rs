//! Where each node of a cluster on this machine lives and listens.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use crate::flags::ClusterFlags;

/// What lies between a node's AMQP port and its others.
const HTTP_OFFSET: u16 = 10_000;
const METRICS_OFFSET: u16 = 10_020;
const PEER_OFFSET: u16 = 20_000;

/// One node, before it is a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// What it is called here, and its directory.
    pub(super) name: String,
    /// For clients.
    pub(super) amqp: SocketAddr,
    /// For HTTP.
    pub(super) http: SocketAddr,
    /// For metrics.
    pub(super) metrics: SocketAddr,
    dir: PathBuf,
    peer: SocketAddr,
    seeds: String,
    shards: Option<u32>,
}

/// The cluster cannot be as it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The ports go beyond the last there is.
    #[error("with base port {base_port} the ports of {nodes} nodes go beyond 65535")]
    Ports {
        /// The AMQP port of the first node.
        base_port: u16,
        /// How many nodes.
        nodes: u16,
    },
    /// Somebody else listens there.
    #[error("{address}, for {what} of {node}, cannot be had; --base-port picks other ports")]
    Taken {
        /// The node.
        node: String,
        /// What it is for.
        what: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
}

/// The nodes that `flags` ask for.
pub(super) fn plan(flags: &ClusterFlags) -> Result<Vec<Plan>, PlanError> {
    let ClusterFlags { nodes, base_port, .. } = *flags;
    let beyond = || PlanError::Ports { base_port, nodes };
    let last = nodes.saturating_sub(1);
    base_port
        .checked_add(PEER_OFFSET)
        .and_then(|port| port.checked_add(last))
        .ok_or_else(beyond)?;
    // No sum below is above the one that was just checked.
    let at = |offset: u16, number: u16| {
        let port = base_port.saturating_add(offset).saturating_add(number);
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    };
    let seeds: Vec<String> = (0..nodes).map(|number| at(PEER_OFFSET, number).to_string()).collect();
    let seeds = seeds.join(",");
    let node = |number: u16| {
        let name = format!("node-{}", number.saturating_add(1));
        Plan {
            dir: flags.dir.join(&name),
            name,
            amqp: at(0, number),
            http: at(HTTP_OFFSET, number),
            metrics: at(METRICS_OFFSET, number),
            peer: at(PEER_OFFSET, number),
            seeds: seeds.clone(),
            shards: flags.shards,
        }
    };
    Ok((0..nodes).map(node).collect())
}

/// Whether every port is free.
pub(super) fn check_ports(plans: &[Plan]) -> Result<(), PlanError> {
    for plan in plans {
        let doors = [
            ("AMQP", plan.amqp),
            ("HTTP", plan.http),
            ("metrics", plan.metrics),
            ("other nodes", plan.peer),
        ];
        for (what, address) in doors {
            if let Err(source) = TcpListener::bind(address) {
                return Err(PlanError::Taken { node: plan.name.clone(), what, address, source });
            }
        }
    }
    Ok(())
}

impl Plan {
    /// Where the node and this program keep their files.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the node writes.
    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// Where the process id of the node stands while it runs.
    pub(super) fn pid_file(&self) -> PathBuf {
        self.dir.join("pid")
    }

    /// The arguments that make the program this node.
    pub(super) fn arguments(&self) -> Vec<String> {
        let data = self.dir.join("data");
        let mut arguments = vec!["server".to_owned()];
        let mut flag = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
        flag("--data-dir", data.display().to_string());
        flag("--name", format!("warren@{}", self.name));
        flag("--amqp", self.amqp.to_string());
        flag("--http", self.http.to_string());
        flag("--metrics", self.metrics.to_string());
        flag("--peer", self.peer.to_string());
        flag("--advertise", self.peer.to_string());
        flag("--seeds", self.seeds.clone());
        if let Some(shards) = self.shards {
            flag("--shards", shards.to_string());
        }
        arguments
    }

    /// The same as a line for a shell.
    pub(super) fn command_line(&self) -> String {
        let quoted = self.arguments().into_iter().map(|argument| quote(&argument));
        std::iter::once("warren".to_owned()).chain(quoted).collect::<Vec<_>>().join(" ")
    }
}

/// `argument`, so that a shell takes it for one.
fn quote(argument: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:,@".contains(letter);
    if argument.chars().all(plain) {
        return argument.to_owned();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ports_of_a_node_keep_their_distance() {
        let plans = plan(&flags(3, 5672)).expect("there are so many ports");

        let last = plans.last().expect("three were asked for");
        assert_eq!(last.name, "node-3");
        assert_eq!(last.amqp.to_string(), "127.0.0.1:5674");
        assert_eq!(last.http.to_string(), "127.0.0.1:15674");
        assert_eq!(last.metrics.to_string(), "127.0.0.1:15694");
        assert_eq!(last.peer.to_string(), "127.0.0.1:25674");
        assert_eq!(last.seeds, "127.0.0.1:25672,127.0.0.1:25673,127.0.0.1:25674");
        assert_eq!(last.log(), Path::new("d d/node-3/log"));
    }

    #[test]
    fn no_two_ports_of_the_largest_cluster_are_the_same() {
        let plans = plan(&flags(20, 5672)).expect("there are so many ports");

        let doors = plans.iter().flat_map(|plan| [plan.amqp, plan.http, plan.metrics, plan.peer]);
        let doors: std::collections::BTreeSet<SocketAddr> = doors.collect();
        assert_eq!(doors.len(), 80);
    }

    #[test]
    fn ports_beyond_the_last_are_refused() {
        let error = plan(&flags(3, 45_534)).expect_err("the last node would be at 65536");

        let expected = "with base port 45534 the ports of 3 nodes go beyond 65535";
        assert_eq!(error.to_string(), expected);
        assert!(plan(&flags(2, 45_534)).is_ok());
    }

    #[test]
    fn a_node_can_be_started_again_from_a_shell() {
        let plans = plan(&flags(1, 6000)).expect("there are so many ports");

        assert_eq!(
            plans[0].command_line(),
            "warren server --data-dir 'd d/node-1/data' --name warren@node-1 --amqp 127.0.0.1:6000 \
             --http 127.0.0.1:16000 --metrics 127.0.0.1:16020 --peer 127.0.0.1:26000 \
             --advertise 127.0.0.1:26000 --seeds 127.0.0.1:26000 --shards 4"
        );
    }

    fn flags(nodes: u16, base_port: u16) -> ClusterFlags {
        ClusterFlags { nodes, dir: "d d".into(), base_port, shards: Some(4), restart: false }
    }
}
