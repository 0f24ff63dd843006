//! `warren cluster`.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::node::{get, ports, until};

/// From a node's AMQP port to its others.
const OFFSETS: [u16; 3] = [10_000, 10_020, 20_000];

#[test]
fn a_cluster_comes_up_survives_a_killed_node_and_ends_in_order() {
    let base = ports(3, &OFFSETS);
    let mut cluster = Cluster::start(base, &[]);

    let lines: Vec<String> = (0..3).map(|_| cluster.line()).collect();
    for (number, line) in lines.iter().enumerate() {
        let expected =
            format!("node-{} ready amqp=127.0.0.1:{}", number + 1, usize::from(base) + number);
        assert!(line.starts_with(&expected), "{line}");
    }
    signal(cluster.pid_of(2), Signal::KILL);
    until("the loss to be reported", || {
        cluster.stderr().contains("node-2 ended with signal: 9").then_some(())
    });
    for http in [base + OFFSETS[0], base + OFFSETS[0] + 2] {
        assert_eq!(get(&format!("127.0.0.1:{http}"), "/health/live").0, 200);
    }
    signal(cluster.child.id(), Signal::TERM);

    assert_eq!(cluster.end(), Some(0), "{}", cluster.stderr());
    for number in 1..=3 {
        assert!(!cluster.file(number, "pid").exists());
        assert!(cluster.file(number, "log").exists() && cluster.file(number, "data").exists());
    }
}

#[test]
fn a_node_that_ends_is_started_again_if_that_was_asked_for() {
    let base = ports(1, &OFFSETS);
    let mut cluster = Cluster::start(base, &["--nodes", "1", "--restart"]);
    assert!(cluster.line().starts_with("node-1 ready "));
    let first = cluster.pid_of(1);

    signal(first, Signal::KILL);

    let again = until("another process", || {
        let pid = fs::read_to_string(cluster.file(1, "pid")).ok()?.trim().parse::<u32>().ok()?;
        (pid != first).then_some(pid)
    });
    let http = format!("127.0.0.1:{}", base + OFFSETS[0]);
    until("it to serve", || (get(&http, "/health/ready").0 == 200).then_some(()));
    assert_ne!(again, first);
}

#[test]
fn a_port_that_is_taken_is_named_before_anything_starts() {
    let base = ports(3, &OFFSETS);
    let taken = TcpListener::bind(("127.0.0.1", base + OFFSETS[2] + 1)).expect("it was free");

    let mut cluster = Cluster::start(base, &[]);

    assert_eq!(cluster.end(), Some(1));
    let stderr = cluster.stderr();
    let address = taken.local_addr().expect("it is bound");
    assert!(stderr.contains(&format!("{address}, for other nodes of node-2")), "{stderr}");
    assert!(!cluster.dir.path().join("c").exists());
}

/// `warren cluster` in a directory of its own.
struct Cluster {
    dir: TempDir,
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Cluster {
    fn start(base: u16, arguments: &[&str]) -> Self {
        let dir = TempDir::new().expect("a directory can be made");
        let stderr = fs::File::create(dir.path().join("stderr")).expect("it can be written");
        let mut child = Command::new(env!("CARGO_BIN_EXE_warren"))
            .args(["cluster", "--shards", "4", "--base-port", &base.to_string(), "--dir"])
            .arg(dir.path().join("c"))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .expect("the program runs");
        let stdout = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        Self { dir, child, stdout }
    }

    /// The next line that it says.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("it writes text");
        assert!(!line.is_empty(), "{}", self.stderr());
        line
    }

    fn end(&mut self) -> Option<i32> {
        until("the end", || self.child.try_wait().expect("it is our child")).code()
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.dir.path().join("stderr")).unwrap_or_default()
    }

    fn file(&self, node: usize, name: &str) -> PathBuf {
        let dir: &Path = self.dir.path();
        dir.join("c").join(format!("node-{node}")).join(name)
    }

    fn pid_of(&self, node: usize) -> u32 {
        let text = fs::read_to_string(self.file(node, "pid")).expect("the node runs");
        text.trim().parse().expect("it is a number")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            // Killed, it would leave its nodes behind.
            signal(self.child.id(), Signal::TERM);
            let _status = self.child.wait();
        }
    }
}

fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    kill_process(pid.expect("a process has a number"), signal).expect("it is ours");
}
