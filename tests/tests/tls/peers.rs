//! Nodes that show each other certificates, and those that cannot.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use warren_tests::cluster::Cluster;
use warren_tests::http::Client;
use warren_tests::node::{self, Node};

use super::certificates::{Certificates, until};

/// What two who have a secret begin with.
const GREETING: &[u8] = b"warren\x00\x01";

/// Bytes of what each adds, and of a proof.
const PIECE_BYTES: usize = 32;

/// How long a node may take for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

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

/// A node with a secret, that knows of a node at `seed`, if there is one.
fn with_secret(seed: Option<&str>) -> (Node, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("warren.toml");
    std::fs::write(&config, "[peers]\nsecret = 'known to the nodes alone'\n").unwrap();
    let mut node = Node::prepared();
    let mut arguments = vec!["--config".to_owned(), config.to_str().unwrap().to_owned()];
    arguments.extend(seed.into_iter().flat_map(|seed| ["--seeds".to_owned(), seed.to_owned()]));
    node.set_arguments(arguments);
    node.spawn().unwrap();
    (node, dir)
}

/// What else comes until the other side is gone.
fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    // Whoever leaves with something unread resets the connection.
    drop(stream.read_to_end(&mut rest));
    rest
}

#[test]
fn whoever_calls_and_only_pretends_to_know_the_secret_is_told_nothing() {
    if node::elsewhere().is_some() {
        return;
    }
    let (mut node, _dir) = with_secret(None);
    node.wait_ready().unwrap();

    // None, one that is cut short, and what one who is let in would go on with.
    for proof in [&[0; PIECE_BYTES][..], &[0; PIECE_BYTES - 1], b"PRI * HTTP/2.0\r\n\r\n"] {
        let mut stranger = TcpStream::connect(node.addresses().peer).unwrap();
        stranger.set_read_timeout(Some(PATIENCE)).unwrap();
        stranger.write_all(&[GREETING, &[7; PIECE_BYTES]].concat()).unwrap();
        let mut theirs = [0; PIECE_BYTES];
        stranger.read_exact(&mut theirs).unwrap();
        stranger.write_all(proof).unwrap();
        assert_eq!(rest(&mut stranger), b"", "{proof:?}");
        assert_ne!(theirs, [0; PIECE_BYTES]);
    }
}

#[test]
fn whoever_is_called_and_only_pretends_to_know_the_secret_is_told_nothing() {
    if node::elsewhere().is_some() {
        return;
    }
    let impostor = TcpListener::bind("127.0.0.1:0").unwrap();
    let (node, _dir) = with_secret(Some(&impostor.local_addr().unwrap().to_string()));

    let (mut caller, _) = impostor.accept().unwrap();
    caller.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut greeting = [0; GREETING.len() + PIECE_BYTES];
    caller.read_exact(&mut greeting).unwrap();
    caller.write_all(&[7; PIECE_BYTES]).unwrap();
    caller.read_exact(&mut [0; PIECE_BYTES]).unwrap();
    caller.write_all(&[0; PIECE_BYTES]).unwrap();
    let told = rest(&mut caller);

    assert!(greeting.starts_with(GREETING));
    assert_eq!(told, b"", "{}", node.log_tail());
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
