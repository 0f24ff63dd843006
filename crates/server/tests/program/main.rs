//! The program from outside: what it says, where, and how it ends.

mod cluster;
mod formation;
mod node;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Output};

use rustix::process::Signal;
use tempfile::TempDir;

use node::{Node, cluster_of, command, get, until};

#[test]
fn the_version_names_release_and_commit() {
    let output = warren(&["--version"]);

    let text = String::from_utf8(output.stdout).expect("the version is text");
    assert!(text.starts_with(concat!("warren ", env!("CARGO_PKG_VERSION"), " (commit ")), "{text}");
}

#[test]
fn the_default_configuration_is_a_right_one() {
    let dir = TempDir::new().expect("a directory can be made");
    let file = dir.path().join("warren.toml");
    fs::write(&file, warren(&["default-config"]).stdout).expect("the file can be written");

    let output = warren(&["check-config", &text(&file)]);

    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn an_unknown_key_stops_the_start_and_names_file_line_and_key() {
    let dir = TempDir::new().expect("a directory can be made");
    let file = dir.path().join("warren.toml");
    fs::write(&file, "name = 'a'\n[limits]\nnothing = 1\n").expect("the file can be written");

    for arguments in
        [["check-config", &text(&file)], ["server", &format!("--config={}", text(&file))]]
    {
        let output = warren(&arguments);

        assert_eq!(output.status.code(), Some(1));
        let expected = format!("error: {}:3: unknown key 'limits.nothing'\n", file.display());
        assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_command_line_that_makes_no_sense_ends_with_2() {
    assert_eq!(warren(&["server", "--nothing"]).status.code(), Some(2));
    assert_eq!(warren(&[]).status.code(), Some(2));
}

#[test]
fn a_node_says_where_it_serves_and_ends_in_order_on_either_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        let dir = TempDir::new().expect("a directory can be made");
        let mut node = Node::start(dir.path());

        assert_eq!(get(&node.http, "/health/live").0, 200);
        assert_eq!(get(&node.http, "/health/startup").0, 200);
        until_ready(&node);
        assert_eq!(get(&node.http, "/health/ready"), (200, r#"{"status":"ok"}"#.to_owned()));
        let by_http = get(&node.http, "/metrics").1;
        let by_metrics = get(&node.metrics, "/metrics").1;
        for page in [by_http, by_metrics] {
            assert!(page.contains("\nrabbitmq_connections 0\n"), "{page}");
            assert!(page.contains("\nrabbitmq_raft_term{group=\"4\"} 1\n"), "{page}");
            assert!(page.contains("rabbitmq_node=\"test@here\""), "{page}");
        }
        let mut client = TcpStream::connect(&node.amqp).expect("clients are accepted");
        client.write_all(b"AMQP\0\0\x09\x01").expect("the node reads");
        let mut kind = [0];
        client.read_exact(&mut kind).expect("the node answers");
        assert_eq!(kind, [1], "connection.start comes in a method frame");
        drop(client);

        node.signal(signal);

        assert_eq!(node.end(), Some(0), "{}", node.stderr());
        assert_eq!(node.rest_of_stdout(), "", "stdout has one line");
    }
}

#[test]
fn a_second_start_on_a_directory_in_use_names_it_and_the_process() {
    let dir = TempDir::new().expect("a directory can be made");
    let first = Node::start(dir.path());

    let output = command(dir.path()).output().expect("the program runs");

    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let data = dir.path().join("data");
    let expected = format!(
        "error: the data directory {} is locked by another process (pid {})",
        data.display(),
        first.child.id()
    );
    assert!(stderr.contains(&expected), "{stderr}");
    assert!(output.stdout.is_empty());
}

#[test]
fn an_address_in_use_is_named() {
    let (one, other) = (TempDir::new(), TempDir::new());
    let (one, other) = (one.expect("made"), other.expect("made"));
    let first = Node::start(one.path());

    let output =
        command(other.path()).args(["--amqp", &first.amqp]).output().expect("the program runs");

    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let expected = format!("error: cannot listen on {} (amqp)", first.amqp);
    assert!(stderr.contains(&expected), "{stderr}");
}

#[test]
fn a_node_starts_again_on_its_data_after_an_end_in_order_and_after_a_kill() {
    let dir = TempDir::new().expect("a directory can be made");
    let mut first = Node::start(dir.path());
    let cluster = cluster_of(&first.metrics);
    first.signal(Signal::TERM);
    assert_eq!(first.end(), Some(0), "{}", first.stderr());

    let mut second = Node::start(dir.path());
    assert_eq!(cluster_of(&second.metrics), cluster);
    second.signal(Signal::KILL);
    assert_eq!(second.end(), None);

    let third = Node::start(dir.path());
    assert_eq!(cluster_of(&third.metrics), cluster);
    until_ready(&third);
}

/// A node serves once the catalog has a leader; it is ready when all of its groups have one.
fn until_ready(node: &Node) {
    until("the groups to have leaders", || {
        (get(&node.http, "/health/ready").0 == 200).then_some(())
    });
}

fn warren(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_warren")).args(arguments).output().expect("the program runs")
}

fn text(path: &Path) -> String {
    path.to_str().expect("temporary paths are text").to_owned()
}
