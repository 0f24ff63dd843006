//! A real `warren server` process, alone, with its own data directory and ports.
//!
//! Tests that need no power over the process share one node per test program: [`shared`].
//! `WARREN_TEST_AMQP=host:port` points them at another broker instead, which is how the tests
//! themselves are checked against RabbitMQ. With `WARREN_BEFORE=path` nodes begin as an earlier build
//! and are the present one from their first restart on, as nodes that are updated.
//!
//! **Invariant:** no node outlives its test program, however that ends: a *leash*, a shell that
//! waits for a pipe from us to close, kills the node and removes its directory.

mod leash;
pub mod ports;

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use leash::Leash;

/// How long a node may take to become ready, or to leave.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a condition that nobody announces is looked at.
const GLANCE: Duration = Duration::from_millis(2);

/// How often other ports are tried when somebody was quicker.
const PORT_TRIES: usize = 5;

/// Lines of the log that a failed test shows.
const LOG_LINES: usize = 60;

/// The addresses that one node listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// AMQP.
    pub amqp: SocketAddr,
    /// The management API.
    pub http: SocketAddr,
    /// Metrics.
    pub metrics: SocketAddr,
    /// Other nodes.
    pub peer: SocketAddr,
}

impl Addresses {
    /// Tells a node that is to be started where it listens, and nothing of what the environment says.
    pub fn tell(&self, command: &mut Command) {
        for (flag, address) in [
            ("--amqp", self.amqp),
            ("--http", self.http),
            ("--metrics", self.metrics),
            ("--peer", self.peer),
        ] {
            command.arg(flag).arg(address.to_string());
        }
        // What is meant for the tests would be configuration to the node.
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("WARREN_") {
                command.env_remove(name);
            }
        }
    }
}

/// A running, paused or killed node. Dropping it kills the process and removes its data.
#[derive(Debug)]
pub struct Node {
    binary: PathBuf,
    /// What it begins as, if that is not `binary`.
    before: Option<PathBuf>,
    dir: TempDir,
    addresses: Addresses,
    extra: Vec<String>,
    variables: Vec<(&'static str, PathBuf)>,
    process: Option<(Child, Leash)>,
    /// Where the log of this life of the process begins.
    log_begin: u64,
}

impl Node {
    /// Starts a node with an empty data directory and waits until it is ready.
    ///
    /// # Panics
    ///
    /// If it does not become ready; the log is shown.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// As [`Node::start`], with more arguments for `warren server`.
    ///
    /// # Panics
    ///
    /// If it does not become ready; the log is shown.
    pub fn start_with(arguments: &[&str]) -> Self {
        let binary = binary().expect("there is a broker to start");
        Self::start_binary(&binary, arguments)
    }

    /// A node that is not started yet; its addresses are known.
    ///
    /// # Panics
    ///
    /// If there is no broker to start.
    pub fn prepared() -> Self {
        Self::prepare(&binary().expect("there is a broker to start"), &[])
    }

    /// Has clients connect from anywhere, from its next start on.
    pub fn listen_everywhere(&mut self) {
        self.addresses.amqp.set_ip(Ipv4Addr::UNSPECIFIED.into());
    }

    /// What `warren server` is given beside directory and addresses, from its next start on.
    pub fn set_arguments(&mut self, arguments: Vec<String>) {
        self.extra = arguments;
    }

    /// Starts the program that has failpoints, if it was built and no other broker is tested.
    ///
    /// # Panics
    ///
    /// If it does not become ready; the log is shown.
    pub fn start_breakable(arguments: &[&str]) -> Option<Self> {
        let binary =
            binary().expect("there is a broker to start").with_file_name("warren-failpoints");
        if elsewhere().is_some() || !binary.is_file() {
            eprintln!("NOT TESTED: there is no program `warren-failpoints` beside `warren`");
            return None;
        }
        let mut node = Self::prepare(&binary, arguments);
        node.variables.push(("FAILPOINTS_FILE", node.failpoints()));
        node.arm("");
        if let Err(error) = node.launch() {
            panic!("{error:#}\n{}", node.log_tail());
        }
        Some(node)
    }

    /// Says which failpoints do what, one `name=actions` per line.
    ///
    /// # Panics
    ///
    /// If that cannot be written.
    pub fn arm(&self, failpoints: &str) {
        // At once or not at all: the node may be reading.
        let draft = self.dir.path().join("failpoints.draft");
        fs::write(&draft, failpoints).expect("the file can be written");
        fs::rename(draft, self.failpoints()).expect("the file can be put in its place");
    }

    fn failpoints(&self) -> PathBuf {
        self.dir.path().join("failpoints")
    }

    fn start_binary(binary: &Path, arguments: &[&str]) -> Self {
        for attempt in 1.. {
            let mut node = Self::prepare(binary, arguments);
            match node.launch() {
                Ok(()) => return node,
                // Between our choice of a port and its use another process may take it.
                Err(_) if attempt < PORT_TRIES && node.log().contains("in use") => {}
                Err(error) => panic!("{error:#}\n{}", node.log_tail()),
            }
        }
        unreachable!("the last attempt returns or panics")
    }

    fn prepare(binary: &Path, arguments: &[&str]) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("warren-test-")
            .tempdir()
            .expect("a temporary directory can be made");
        let [amqp, http, metrics, peer] = ports::free();
        let addresses = Addresses { amqp, http, metrics, peer };
        let extra = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let before = env::var_os("WARREN_BEFORE").map(PathBuf::from);
        let (binary, variables) = (binary.to_owned(), Vec::new());
        Self { binary, before, dir, addresses, extra, variables, process: None, log_begin: 0 }
    }

    /// Kills the process as `kill -9` does, and waits until it is gone.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn kill9(&mut self) {
        self.signal(Signal::KILL);
        self.reap();
    }

    /// Asks the process to leave (SIGTERM) and waits for it.
    ///
    /// # Panics
    ///
    /// If it does not leave in time, or not with exit code 0.
    pub fn terminate(&mut self) {
        self.signal(Signal::TERM);
        let status = self.reap();
        assert!(status.success(), "the node left with {status} after SIGTERM\n{}", self.log_tail());
    }

    /// Waits until the process, which something else has told to leave, is gone.
    ///
    /// # Panics
    ///
    /// If it does not leave in time.
    pub fn wait_end(&mut self) -> ExitStatus {
        self.reap()
    }

    /// Starts the process again, on the same data and ports, after [`Node::kill9`] or
    /// [`Node::terminate`].
    ///
    /// # Panics
    ///
    /// If it runs, or does not become ready.
    pub fn restart(&mut self) {
        assert!(self.process.is_none(), "the node runs");
        if let Err(error) = self.launch() {
            panic!("{error:#}\n{}", self.log_tail());
        }
    }

    /// Freezes the process (SIGSTOP) and waits until none of its threads runs.
    ///
    /// # Panics
    ///
    /// If it does not run, or does not stop.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        let until = Instant::now() + PATIENCE;
        while !is_stopped(self.pid()) {
            assert!(Instant::now() < until, "the node does not stop");
            thread::sleep(GLANCE);
        }
    }

    /// Lets a frozen process go on (SIGCONT).
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Removes all data, as if the disk had been replaced.
    ///
    /// # Panics
    ///
    /// If it runs, or its files cannot be removed.
    pub fn wipe(&self) {
        assert!(self.process.is_none(), "the node runs");
        fs::remove_dir_all(self.data_dir()).expect("its files can be removed");
    }

    /// Whether there is a process, frozen or not.
    pub fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Whether there is a process that is not frozen.
    pub fn is_awake(&self) -> bool {
        self.is_running() && !is_stopped(self.pid())
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Where AMQP clients connect.
    pub fn amqp(&self) -> SocketAddr {
        self.addresses.amqp
    }

    /// The same as a URL, as guest, for the vhost `/`.
    pub fn amqp_url(&self) -> String {
        url(self.addresses.amqp)
    }

    /// Its data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The id of its process.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn pid(&self) -> u32 {
        let (child, _) = self.process.as_ref().expect("the node runs");
        child.id()
    }

    /// All that it wrote to stdout and stderr, over all its lives.
    pub fn log(&self) -> String {
        fs::read(self.log_path())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("node.log")
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        tail(&self.log_path())
    }

    fn launch(&mut self) -> Result<()> {
        self.spawn()?;
        self.wait_ready()
    }

    /// Starts the process and does not wait until it is ready.
    pub fn spawn(&mut self) -> Result<()> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())
            .context("cannot open the node's log")?;
        self.log_begin = log.metadata()?.len();
        let binary = self.before.take().unwrap_or_else(|| self.binary.clone());
        let mut command = Command::new(&binary);
        command.arg("server").arg("--data-dir").arg(self.data_dir());
        self.addresses.tell(&mut command);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.args(&self.extra).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child =
            command.spawn().with_context(|| format!("cannot start {}", binary.display()))?;
        let leash = Leash::tie(child.id(), self.dir.path())?;
        self.process = Some((child, leash));
        Ok(())
    }

    /// Waits until the process that was started is ready.
    pub fn wait_ready(&mut self) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            if ready_since(&self.log_path(), self.log_begin)? {
                return Ok(());
            }
            let (child, _) = self.process.as_mut().expect("spawn put it there");
            if let Some(status) = child.try_wait()? {
                self.process = None;
                bail!("the node left with {status} before it was ready");
            }
            if Instant::now() > until {
                bail!("the node was not ready within {PATIENCE:?}");
            }
            thread::sleep(GLANCE);
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid())
            .ok()
            .and_then(Pid::from_raw)
            .expect("a child has a positive id");
        kill_process(pid, signal).expect("a child that was not reaped can be signalled");
    }

    fn reap(&mut self) -> ExitStatus {
        let (mut child, leash) = self.process.take().expect("the node runs");
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().expect("a child can be waited for") {
                leash.cut();
                return status;
            }
            if Instant::now() > until {
                drop((child.kill(), child.wait()));
                leash.cut();
                panic!("the node did not leave within {PATIENCE:?}\n{}", self.log_tail());
            }
            thread::sleep(GLANCE);
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some((mut child, leash)) = self.process.take() {
            drop((child.kill(), child.wait()));
            leash.cut();
        }
        if thread::panicking() {
            eprintln!("{}", self.log_tail());
        }
    }
}

/// The broker that tests share: that of `WARREN_TEST_AMQP`, or one node for this test program.
///
/// # Panics
///
/// If the address cannot be resolved or the node does not become ready.
pub fn shared() -> SocketAddr {
    if let Some(address) = elsewhere() {
        return address;
    }
    static NODE: OnceLock<Node> = OnceLock::new();
    NODE.get_or_init(|| {
        let node = Node::start();
        show_log_on_panic(node.log_path());
        node
    })
    .amqp()
}

/// The address of `WARREN_TEST_AMQP`, if the tests run against a broker that is not theirs.
///
/// # Panics
///
/// If the address cannot be resolved.
pub fn elsewhere() -> Option<SocketAddr> {
    let address = env::var("WARREN_TEST_AMQP").ok()?;
    let mut addresses = address.to_socket_addrs().expect("WARREN_TEST_AMQP is host:port");
    Some(addresses.next().expect("WARREN_TEST_AMQP has an address"))
}

/// A node for a test that needs power over it, or nothing if the tests run against another broker.
pub fn own() -> Option<Node> {
    if elsewhere().is_some() {
        eprintln!("left out: this test needs a node of its own");
        return None;
    }
    Some(Node::start())
}

/// The URL of an address, as guest, for the vhost `/`.
pub fn url(address: SocketAddr) -> String {
    format!("amqp://guest:guest@{address}/%2f")
}

/// A name that no other test uses, in this run or in an earlier one against the same broker.
pub fn unique(stem: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let age = std::time::UNIX_EPOCH.elapsed().map(|age| age.as_micros()).unwrap_or_default();
    format!("{stem}.{:x}.{age:x}.{count}", std::process::id())
}

/// The broker that is tested: `WARREN_BIN`, or the program beside this one.
///
/// # Errors
///
/// When there is none.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = env::var_os("WARREN_BIN") {
        return Ok(PathBuf::from(path));
    }
    beside("warren").context("set WARREN_BIN: there is no `warren` beside this test program")
}

/// A program of ours that was built with the tests.
pub fn beside(name: &str) -> Option<PathBuf> {
    // A test program is target/<profile>/deps/<name>, the others are target/<profile>/<name>.
    let program = env::current_exe().ok()?;
    let dirs = program.ancestors().skip(1).take(2);
    dirs.map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// Whether a log says, behind its first `begin` bytes, that its node is ready.
///
/// # Errors
///
/// When it cannot be read.
pub fn ready_since(log: &Path, begin: u64) -> Result<bool> {
    let mut file = File::open(log)?;
    file.seek(SeekFrom::Start(begin))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    // The last piece may be half a line.
    let end = text.iter().rposition(|&byte| byte == b'\n').unwrap_or(0);
    let whole = text.get(..end).unwrap_or_default();
    Ok(whole.split(|&byte| byte == b'\n').any(|line| line.starts_with(b"ready")))
}

/// Whether every thread of a process is stopped.
fn is_stopped(pid: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return false };
    threads.flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // The state follows the name, which is in parentheses and may hold anything.
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    })
}

/// The last lines of a log.
pub fn tail(log: &Path) -> String {
    let text =
        fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(LOG_LINES);
    let shown = lines.get(from..).unwrap_or_default().join("\n");
    format!(
        "--- the node's log, last {LOG_LINES} lines ---\n{shown}\n--- end of the node's log ---"
    )
}

fn show_log_on_panic(log: PathBuf) {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        before(panic);
        eprintln!("{}", tail(&log));
    }));
}

#[cfg(test)]
mod tests;
