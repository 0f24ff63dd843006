//! Nodes as processes, for these tests.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a node may take to start or to stop, on a machine with other work.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at what nobody announces.
const POLL: Duration = Duration::from_millis(10);

/// Ports that the system gives to nobody who does not ask for them by number.
const FIRST_PORT: u16 = 18_000;
const PORTS: u16 = 12_000;

/// A node that runs, with the addresses that it said.
pub(crate) struct Node {
    pub(crate) child: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) amqp: String,
    pub(crate) http: String,
    pub(crate) metrics: String,
    log: PathBuf,
}

impl Node {
    /// Starts a node with its data below `dir` and waits until it serves.
    pub(crate) fn start(dir: &Path) -> Self {
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

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a process has a number"), signal).expect("it is our child");
    }

    /// Waits for the end, and says the exit code; none if a signal ended it.
    pub(crate) fn end(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status.code();
            }
            std::thread::park_timeout(POLL);
        }
        panic!("the node did not end: {}", self.stderr());
    }

    pub(crate) fn rest_of_stdout(&mut self) -> String {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).expect("the node writes text");
        rest
    }

    pub(crate) fn stderr(&self) -> String {
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
pub(crate) fn command(dir: &Path) -> Command {
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

/// The id of the cluster that a node belongs to; empty if it belongs to none.
pub(crate) fn cluster_of(metrics: &str) -> String {
    let page = get(metrics, "/metrics").1;
    let label = page.split("rabbitmq_cluster_permanent_id=\"").nth(1).expect("the label is there");
    label.split('"').next().expect("it ends").to_owned()
}

/// Asks for a page; status 0 where nobody answers.
pub(crate) fn get(address: &str, path: &str) -> (u16, String) {
    let nothing = (0, String::new());
    let Ok(mut stream) = TcpStream::connect(address) else { return nothing };
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    let mut answer = String::new();
    let asked = stream.write_all(request.as_bytes());
    if asked.and_then(|()| stream.read_to_string(&mut answer)).is_err() {
        return nothing;
    }
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    (status.expect("an answer has a status"), body.to_owned())
}

/// Waits until `look` finds something.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(found) = look() {
            return found;
        }
        std::thread::park_timeout(POLL);
    }
    panic!("waited in vain for {what}");
}

/// `count` neighbouring ports of which each is free, and so are those at `offsets` from it.
pub(crate) fn ports(count: u16, offsets: &[u16]) -> u16 {
    let free = |port: u16| TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).is_ok();
    let age = std::time::UNIX_EPOCH.elapsed().map(|age| age.subsec_nanos()).unwrap_or_default();
    let chance = (std::process::id() ^ age) % u32::from(PORTS);
    let mut first = FIRST_PORT + u16::try_from(chance).expect("it is below the number of ports");
    for _attempt in 0..100 {
        let all = offsets.iter().chain([&0]).flat_map(|offset| (0..count).map(move |i| offset + i));
        if all.map(|offset| first + offset).all(free) {
            return first;
        }
        first = FIRST_PORT + (first - FIRST_PORT + 97) % PORTS;
    }
    panic!("no ports are free");
}
