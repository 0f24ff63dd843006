//! Nodes that show each other certificates, and those that cannot.

use std::process::Command;

use warren_tests::cluster::Cluster;
use warren_tests::http::Client;
use warren_tests::node::{self, Node};

use super::certificates::{Certificates, until};

impl Certificates {
    /// The file of a configuration in which nodes show each other certificates.
    fn peers(&self) -> String {
        let ((certificate, key), authority) = (self.pair("node"), self.path("ca.pem"));
        let text = format!(
            "[peers]\ncertfile = '{certificate}'\nkeyfile = '{key}'\ncacertfile = '{authority}'\n"
        );
        self.write("peers.toml", &text).display().to_string()
    }
}

/// A node that looks for its cluster where `cluster` is, with that configuration.
fn newcomer(cluster: &Cluster, config: &str) -> Node {
    let mut node = Node::prepared();
    let seeds: Vec<String> = (0..cluster.len()).map(|at| cluster.peer(at).to_string()).collect();
    let arguments = ["--seeds", &seeds.join(","), "--config", config, "--shards", "4"];
    node.set_arguments(arguments.map(str::to_owned).to_vec());
    node
}

fn nodes(cluster: &Cluster) -> usize {
    let http = Client::new(cluster.http(0), "guest", "guest");
    http.value("/api/nodes").as_array().map_or(0, Vec::len)
}

#[test]
fn only_a_node_with_a_certificate_of_the_clusters_authority_can_join() {
    if Cluster::is_elsewhere() {
        return;
    }
    let (ours, theirs) = (Certificates::new(), Certificates::new());
    let cluster = Cluster::start_with(3, &["--config", &ours.peers()]);

    let mut foreign = newcomer(&cluster, &theirs.peers());
    foreign.spawn().unwrap();
    let mut bare = Node::prepared();
    let seeds = cluster.peer(0).to_string();
    bare.set_arguments(["--seeds", &seeds, "--shards", "4"].map(str::to_owned).to_vec());
    bare.spawn().unwrap();
    until(|| foreign.log().contains("node does not let us in"), || foreign.log_tail());
    until(|| bare.log().contains("no answer from"), || bare.log_tail());
    assert_eq!(nodes(&cluster), 3);
    let mut fourth = newcomer(&cluster, &ours.peers());
    fourth.spawn().unwrap();
    fourth.wait_ready().unwrap();

    assert_eq!(nodes(&cluster), 4);
    foreign.kill9();
    bare.kill9();
}

#[test]
fn nodes_that_other_machines_can_reach_do_not_start_without_a_guard() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(node::binary().unwrap());
    command.arg("server").arg("--data-dir").arg(dir.path());
    for (flag, address) in [
        ("--amqp", "127.0.0.1:0"),
        ("--http", "127.0.0.1:0"),
        ("--metrics", "127.0.0.1:0"),
        ("--peer", "0.0.0.0:0"),
    ] {
        command.args([flag, address]);
    }

    let output = command.output().unwrap();

    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("set peers.secret"), "{said}");
}
