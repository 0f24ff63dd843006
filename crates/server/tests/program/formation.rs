//! Empty nodes that look for each other.

#![expect(clippy::print_stderr, reason = "a failed test shows what its nodes wrote")]

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::node::{cluster_of, command, get, ports, until};

/// From a node's AMQP port to its others.
const HTTP: u16 = 100;
const METRICS: u16 = 200;
const PEER: u16 = 300;

/// Where peers move to in the test that moves them.
const MOVED: u16 = 400;

#[test]
fn two_of_three_wait_and_the_third_makes_them_one_cluster() {
    let mut nodes = Nodes::new(3);
    nodes.start(2);
    nodes.start(0);

    for node in [0, 2] {
        until("the node to miss one", || {
            let (status, body) = get(&nodes.http(node), "/health/ready");
            (status == 503 && body.contains("waiting for 3 empty nodes, 2 there")).then_some(())
        });
        assert_eq!(get(&nodes.http(node), "/health/live").0, 200);
        assert_eq!(cluster_of(&nodes.metrics(node)), "");
    }
    nodes.start(1);

    nodes.wait_complete();
}

#[test]
fn three_that_start_at_once_become_one_cluster() {
    let mut nodes = Nodes::new(3);

    for node in 0..3 {
        nodes.start(node);
    }

    nodes.wait_complete();
}

#[test]
fn a_wiped_disk_waits_for_the_others_and_joins_them_as_another_node() {
    let mut nodes = Nodes::new(3);
    for node in 0..3 {
        nodes.start(node);
    }
    let cluster = nodes.wait_complete();
    for node in 0..3 {
        nodes.kill(node);
    }
    fs::remove_dir_all(nodes.data(0)).expect("it was there");

    nodes.start(0);
    until("the wiped node to wait", || {
        let (_, body) = get(&nodes.http(0), "/health/ready");
        body.contains("waiting for 3 empty nodes, 1 there").then_some(())
    });
    nodes.start(1);
    nodes.start(2);

    for node in 0..3 {
        nodes.wait_ready(node);
        assert_eq!(cluster_of(&nodes.metrics(node)), cluster);
    }
    assert_eq!(nodes.number(0), 2, "its first number, and the one that it was given then");
}

#[test]
fn nodes_that_all_moved_find_each_other_by_their_seeds() {
    let mut nodes = Nodes::new(3);
    for node in 0..3 {
        nodes.start(node);
    }
    let cluster = nodes.wait_complete();
    for node in 0..3 {
        nodes.kill(node);
    }

    nodes.peer = MOVED;
    for node in 0..3 {
        nodes.start(node);
    }

    assert_eq!(nodes.wait_complete(), cluster);
}

#[test]
fn a_node_that_waits_for_its_seeds_ends_in_order() {
    let mut nodes = Nodes::new(3);
    nodes.start(1);
    until("the node to wait", || {
        get(&nodes.http(1), "/health/ready").1.contains("waiting for 3").then_some(())
    });

    let status = nodes.signal(1, Signal::TERM);

    assert_eq!(status, Some(0), "{}", nodes.log(1));
}

/// Nodes with ports and directories of their own, running or not.
struct Nodes {
    dir: TempDir,
    base: u16,
    peer: u16,
    children: Vec<Option<Child>>,
}

impl Nodes {
    fn new(count: u16) -> Self {
        let base = ports(count, &[HTTP, METRICS, PEER, MOVED]);
        let children = (0..count).map(|_| None).collect();
        Self { dir: TempDir::new().expect("a directory can be made"), base, peer: PEER, children }
    }

    /// Starts a node and does not wait for it.
    fn start(&mut self, node: usize) {
        let dir = self.dir.path().join(node.to_string());
        fs::create_dir_all(&dir).expect("a directory can be made");
        let log = fs::OpenOptions::new().create(true).append(true).open(dir.join("stderr"));
        let seeds: Vec<String> =
            (0..self.children.len()).map(|it| self.at(self.peer, it)).collect();
        let mut command: Command = command(&dir);
        command
            .env("WARREN_AMQP", self.at(0, node))
            .env("WARREN_HTTP", self.at(HTTP, node))
            .env("WARREN_METRICS", self.at(METRICS, node))
            .env("WARREN_PEER", self.at(self.peer, node))
            .env("WARREN_SEEDS", seeds.join(","))
            .env("WARREN_NAME", format!("test@node-{node}"))
            .stdout(Stdio::null())
            .stderr(log.expect("the log can be written"));
        *self.slot(node) = Some(command.spawn().expect("the program runs"));
    }

    fn slot(&mut self, node: usize) -> &mut Option<Child> {
        self.children.get_mut(node).expect("there are so many nodes")
    }

    /// Waits until all nodes serve, know each other, and miss no replica. Gives the id of their cluster.
    fn wait_complete(&self) -> String {
        let running = format!("\nwarren_cluster_nodes_running {}\n", self.children.len());
        for node in 0..self.children.len() {
            self.wait_ready(node);
            until("all nodes and replicas to be there", || {
                let page = get(&self.metrics(node), "/metrics").1;
                let whole = page.contains("\nwarren_cluster_replicas_missing 0\n");
                (whole && page.contains(&running)).then_some(())
            });
        }
        let mut clusters: Vec<String> =
            (0..self.children.len()).map(|node| cluster_of(&self.metrics(node))).collect();
        clusters.dedup();
        assert_eq!(clusters.len(), 1, "{clusters:?}");
        clusters.remove(0)
    }

    fn wait_ready(&self, node: usize) {
        until(&format!("node {node} to be ready: {}", self.log(node)), || {
            (get(&self.http(node), "/health/ready").0 == 200).then_some(())
        });
    }

    fn kill(&mut self, node: usize) {
        let mut child = self.slot(node).take().expect("the node runs");
        child.kill().and_then(|()| child.wait()).expect("it is our child");
    }

    /// Sends a signal and waits for the end. Gives the exit code; none if a signal ended it.
    fn signal(&mut self, node: usize, signal: Signal) -> Option<i32> {
        let mut child = self.slot(node).take().expect("the node runs");
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process has a number"), signal).expect("it is our child");
        until("the node to end", || child.try_wait().expect("it is our child")).code()
    }

    /// How many numbers a node was given over all its lives.
    fn number(&self, node: usize) -> usize {
        let log = self.log(node);
        let numbers = log.lines().filter_map(|line| {
            let (_, rest) = line.split_once("the node serves")?;
            Some(rest.split_once("node=")?.1.split(' ').next()?.to_owned())
        });
        numbers.collect::<std::collections::BTreeSet<_>>().len()
    }

    fn log(&self, node: usize) -> String {
        fs::read_to_string(self.dir.path().join(node.to_string()).join("stderr"))
            .unwrap_or_default()
    }

    fn data(&self, node: usize) -> PathBuf {
        self.dir.path().join(node.to_string()).join("data")
    }

    fn http(&self, node: usize) -> String {
        self.at(HTTP, node)
    }

    fn metrics(&self, node: usize) -> String {
        self.at(METRICS, node)
    }

    fn at(&self, offset: u16, node: usize) -> String {
        format!("127.0.0.1:{}", usize::from(self.base + offset) + node)
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for child in self.children.iter_mut().flatten() {
            // It has ended already when the test went well that far.
            let _gone = child.kill();
            let _status = child.wait();
        }
        if std::thread::panicking() {
            for node in 0..self.children.len() {
                eprintln!("--- node {node}\n{}", self.log(node));
            }
        }
    }
}
