//! The program from outside: what it says, where, and how it ends.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a node may take to start or to stop, on a machine with other work.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at a process that is to end.
const POLL: Duration = Duration::from_millis(5);

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
fn seeds_are_refused_before_the_data_directory_is_touched() {
    let dir = TempDir::new().expect("a directory can be made");
    let data = dir.path().join("data");

    let output = warren(&["server", "--seeds", "a:1", "--data-dir", &text(&data)]);

    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("joining a cluster is not supported by this build"), "{stderr}");
    assert!(!data.exists());
}

#[test]
fn a_node_says_where_it_serves_and_ends_in_order_on_either_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        let dir = TempDir::new().expect("a directory can be made");
        let mut node = Node::start(dir.path());

        assert_eq!(get(&node.http, "/health/live").0, 200);
        assert_eq!(get(&node.http, "/health/startup").0, 200);
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
    let cluster = cluster_of(&first);
    first.signal(Signal::TERM);
    assert_eq!(first.end(), Some(0), "{}", first.stderr());

    let mut second = Node::start(dir.path());
    assert_eq!(cluster_of(&second), cluster);
    second.signal(Signal::KILL);
    assert_eq!(second.end(), None);

    let third = Node::start(dir.path());
    assert_eq!(cluster_of(&third), cluster);
    assert_eq!(get(&third.http, "/health/ready").0, 200);
}

/// A node that runs, with the addresses that it said.
struct Node {
    child: Child,
    stdout: BufReader<ChildStdout>,
    amqp: String,
    http: String,
    metrics: String,
    log: PathBuf,
}

impl Node {
    /// Starts a node with its data below `dir` and waits until it serves.
    fn start(dir: &Path) -> Self {
        let log = dir.join("stderr");
        let mut child = command(dir)
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log).expect("the log can be written"))
            .spawn()
            .expect("the program runs");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("the node writes text");
        let addresses = line
            .strip_prefix("ready ")
            .unwrap_or_else(|| panic!("{line}: {}", fs::read_to_string(&log).unwrap_or_default()));
        let address = |name: &str| {
            let parts = addresses.split_whitespace();
            let mut values = parts.filter_map(|part| part.strip_prefix(name)?.strip_prefix('='));
            values.next().unwrap_or_else(|| panic!("no {name} in {line}")).to_owned()
        };
        let (amqp, http, metrics) = (address("amqp"), address("http"), address("metrics"));
        assert_ne!(address("peer"), "127.0.0.1:0");
        Self { child, stdout, amqp, http, metrics, log }
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process has a number"), signal).expect("it is our child");
    }

    /// Waits for the end, and says the exit code; none if a signal ended it.
    fn end(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status.code();
            }
            std::thread::park_timeout(POLL);
        }
        panic!("the node did not end: {}", self.stderr());
    }

    fn rest_of_stdout(&mut self) -> String {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("the node writes text");
        rest
    }

    fn stderr(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It has ended already when the test went well that far.
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// `warren server` with everything on ports that the system picks, and short elections.
fn command(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_warren"));
    command.arg("server").arg("--data-dir").arg(dir.join("data"));
    for name in ["WARREN_AMQP", "WARREN_HTTP", "WARREN_METRICS", "WARREN_PEER"] {
        command.env(name, "127.0.0.1:0");
    }
    for (name, value) in [
        ("WARREN_NAME", "test@here"),
        ("WARREN_SHARDS", "4"),
        ("WARREN_RAFT_HEARTBEAT_MS", "50"),
        ("WARREN_RAFT_ELECTION_MIN_MS", "200"),
        ("WARREN_RAFT_ELECTION_MAX_MS", "400"),
    ] {
        command.env(name, value);
    }
    command
}

fn warren(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_warren")).args(arguments).output().expect("the program runs")
}

fn cluster_of(node: &Node) -> String {
    let page = get(&node.metrics, "/metrics").1;
    let label = page.split("rabbitmq_cluster_permanent_id=\"").nth(1).expect("the label is there");
    label.split('"').next().expect("it ends").to_owned()
}

fn get(address: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("the node listens");
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the node reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the node answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    (status.expect("an answer has a status"), body.to_owned())
}

fn text(path: &Path) -> String {
    path.to_str().expect("temporary paths are text").to_owned()
}
