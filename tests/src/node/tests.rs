use std::os::unix::fs::PermissionsExt;

use super::*;

/// Says what it was asked, is ready, and leaves when it is told to.
const BROKER: &str = r#"#!/bin/sh
echo "arguments: $*"
mkdir -p "$3"
echo x >>"$3/lives"
trap 'echo bye; exit 0' TERM
echo ready
while :; do sleep 0.01; done
"#;

/// A node whose broker is a shell script.
fn node_of(script: &str) -> (TempDir, Node) {
    let dir = tempfile::tempdir().unwrap();
    let binary = dir.path().join("broker");
    fs::write(&binary, script).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    let node = Node::start_binary(&binary, &["--more", "yes"]);
    (dir, node)
}

fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

fn lives(node: &Node) -> usize {
    fs::read_to_string(node.data_dir().join("lives")).unwrap().lines().count()
}

#[test]
fn a_node_is_started_with_its_directory_and_addresses() {
    let (_dir, node) = node_of(BROKER);

    let Addresses { amqp, http, metrics, peer } = node.addresses();
    let data = node.data_dir();
    let expected = format!(
        "arguments: server --data-dir {} --amqp {amqp} --http {http} --metrics {metrics} --peer {peer} --more yes",
        data.display()
    );
    assert_eq!(node.log().lines().next(), Some(expected.as_str()));
    assert_eq!(node.amqp_url(), format!("amqp://guest:guest@{amqp}/%2f"));
}

#[test]
fn a_killed_node_comes_back_with_its_data_and_ports() {
    let (_dir, mut node) = node_of(BROKER);
    let (pid, addresses) = (node.pid(), node.addresses());

    node.kill9();
    let dead = !is_alive(pid);
    node.restart();

    assert!(dead);
    assert_ne!(node.pid(), pid);
    assert_eq!((lives(&node), node.addresses()), (2, addresses));
    assert!(!node.log().contains("bye"));
}

#[test]
fn a_node_that_is_asked_to_leave_leaves_in_order() {
    let (_dir, mut node) = node_of(BROKER);

    node.terminate();

    assert!(node.log().contains("bye"));
}

#[test]
#[should_panic(expected = "the node left with exit status: 3 after SIGTERM")]
fn a_node_that_leaves_with_an_error_fails_its_test() {
    let (_dir, mut node) = node_of(&BROKER.replace("exit 0", "exit 3"));

    node.terminate();
}

#[test]
#[should_panic(expected = "out of order")]
fn a_node_that_never_is_ready_shows_its_log() {
    node_of("#!/bin/sh\necho out of order\nexit 1\n");
}

#[test]
fn a_frozen_node_is_stopped_and_goes_on() {
    let (_dir, node) = node_of(BROKER);

    node.pause();
    let stopped = is_stopped(node.pid());
    node.resume();

    assert!(stopped);
    while is_stopped(node.pid()) {}
}

#[test]
fn a_dropped_node_is_dead_and_its_directory_gone() {
    let (_dir, node) = node_of(BROKER);
    let (pid, data) = (node.pid(), node.data_dir());

    drop(node);

    assert!(!is_alive(pid) && !data.exists());
}

#[test]
fn a_leash_ends_the_process_when_its_holder_is_gone() {
    let dir = tempfile::tempdir().unwrap().keep();
    let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
    let leash = Leash::tie(child.id(), &dir).unwrap();

    // As when this program died: its end of the pipe is closed, and nothing else is done.
    leash.let_go();

    assert!(!child.wait().unwrap().success());
    while dir.exists() {}
}

#[test]
fn a_log_is_ready_once_the_whole_line_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");

    fs::write(&log, "ready before\nstarting\nread").unwrap();
    let half = ready_since(&log, 13).unwrap();
    fs::write(&log, "ready before\nstarting\nready amqp=1\n").unwrap();
    let whole = ready_since(&log, 13).unwrap();

    assert_eq!((half, whole), (false, true));
}

#[test]
fn names_are_never_the_same() {
    assert_ne!(unique("q"), unique("q"));
}
