//! One node of a rig: a `warren server` process that is started, stopped and broken many times.
//!
//! Other than the nodes of `warren-tests`, it may end by itself when its disk is taken away, and
//! that is no failure: [`Node::obituary`] tells.

use std::fs::{self, File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use warren_tests::node::{Addresses, ready_since, tail};

use crate::field::Door;

/// How often a condition that nobody announces is looked at.
const GLANCE: Duration = Duration::from_millis(5);

/// How long a process that was killed may take to be gone.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node, running or not.
#[derive(Debug)]
pub struct Node {
    name: String,
    addresses: Addresses,
    /// Where its data is.
    data: PathBuf,
    log: PathBuf,
    /// Where the log of this life of the process begins.
    log_begin: u64,
    process: Option<Child>,
    is_paused: bool,
    /// How often it was started.
    lives: u32,
    /// How its process ended, if we did not end it.
    obituary: Option<ExitStatus>,
}

impl Node {
    /// A node that was never started.
    pub fn new(number: usize, addresses: Addresses, data: PathBuf, log: PathBuf) -> Self {
        Self {
            name: format!("warren@n{}", number + 1),
            addresses,
            data,
            log,
            log_begin: 0,
            process: None,
            is_paused: false,
            lives: 0,
            obituary: None,
        }
    }

    /// Starts the process. `command` ends with the program's name; what it needs to be told about
    /// itself is added here.
    ///
    /// # Errors
    ///
    /// When it runs, or cannot be started.
    pub fn launch(&mut self, mut command: Command, more: &[String]) -> Result<()> {
        ensure!(self.process.is_none(), "{} runs", self.name);
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        self.log_begin = log.metadata()?.len();
        command.args(["server", "--name", &self.name, "--data-dir"]).arg(&self.data);
        self.addresses.tell(&mut command);
        // Clients come from another host's address, and an empty list is no list.
        command.env("WARREN_LOOPBACK_USERS", "nobody");
        // Nodes on hosts of their own want to know whom they speak to.
        command.env("WARREN_PEERS_SECRET", "one secret for the whole rig");
        command.args(more).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.process = Some(command.spawn().context("cannot start the node")?);
        self.is_paused = false;
        self.obituary = None;
        self.lives += 1;
        Ok(())
    }

    /// Waits until the process is ready.
    ///
    /// # Errors
    ///
    /// When it ends, or is not ready in time.
    pub fn await_ready(&mut self, limit: Duration) -> Result<()> {
        let until = Instant::now() + limit;
        while !ready_since(&self.log, self.log_begin)? {
            if let Some(status) = self.obituary() {
                bail!("{} ended with {status} before it was ready\n{}", self.name, self.log_tail());
            }
            ensure!(self.is_running(), "{} does not run", self.name);
            if Instant::now() > until {
                bail!("{} was not ready within {limit:?}\n{}", self.name, self.log_tail());
            }
            thread::sleep(GLANCE);
        }
        Ok(())
    }

    /// Kills it as `kill -9` does, if it runs.
    ///
    /// # Errors
    ///
    /// When it does not go.
    pub fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.reap(PATIENCE)
    }

    /// Says that it shall be killed, and waits for nothing.
    ///
    /// # Errors
    ///
    /// When it cannot be signalled.
    pub fn shoot(&self) -> Result<()> {
        self.signal(Signal::KILL)
    }

    /// Asks it to leave, if it runs.
    ///
    /// # Errors
    ///
    /// When it does not go, or not with exit code 0.
    pub fn terminate(&mut self, limit: Duration) -> Result<()> {
        self.signal(Signal::TERM)?;
        self.reap(limit)?;
        match self.obituary.take() {
            Some(status) if !status.success() => bail!("{} left with {status}", self.name),
            _ => Ok(()),
        }
    }

    /// Freezes it.
    ///
    /// # Errors
    ///
    /// When it cannot be signalled.
    pub fn pause(&mut self) -> Result<()> {
        self.is_paused = true;
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    ///
    /// When it cannot be signalled.
    pub fn resume(&mut self) -> Result<()> {
        self.is_paused = false;
        self.signal(Signal::CONT)
    }

    /// How its process ended, if it did so by itself since it was last started.
    pub fn obituary(&mut self) -> Option<ExitStatus> {
        if let Some(child) = &mut self.process
            && let Ok(Some(status)) = child.try_wait()
        {
            self.process = None;
            self.obituary = Some(status);
        }
        self.obituary
    }

    /// Waits until its process has ended by itself.
    ///
    /// # Errors
    ///
    /// When it does not end in time.
    pub fn await_end(&mut self, limit: Duration) -> Result<()> {
        let until = Instant::now() + limit;
        while self.is_running() {
            ensure!(Instant::now() < until, "{} did not end within {limit:?}", self.name);
            thread::sleep(GLANCE);
        }
        Ok(())
    }

    /// Whether there is a process, frozen or not.
    pub fn is_running(&mut self) -> bool {
        self.obituary().is_none() && self.process.is_some()
    }

    /// Whether there is a process that is not frozen.
    pub fn is_awake(&mut self) -> bool {
        self.is_running() && !self.is_paused
    }

    /// Whether it was frozen.
    pub fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// How often it was started.
    pub fn lives(&self) -> u32 {
        self.lives
    }

    /// Its process, if there is one.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where its data is.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The way into it.
    pub fn door(&self) -> Door {
        let Addresses { amqp, http, metrics, .. } = self.addresses;
        Door { name: self.name.clone(), amqp, http, metrics }
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        tail(&self.log)
    }

    /// The lines of its log that speak of a panic.
    pub fn panics(&self) -> Vec<String> {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let panics = text.lines().filter(|line| line.contains("panicked at"));
        panics.map(|line| format!("{}: {line}", self.name)).collect()
    }

    /// Bytes that its files take.
    pub fn disk_bytes(&self) -> u64 {
        fn size(dir: &Path) -> u64 {
            let entries = fs::read_dir(dir).into_iter().flatten().flatten();
            let of = |entry: fs::DirEntry| match entry.metadata() {
                Ok(meta) if meta.is_dir() => size(&entry.path()),
                Ok(meta) => meta.len(),
                Err(_) => 0,
            };
            entries.map(of).sum()
        }
        size(&self.data)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let Some(pid) = self.pid() else { return Ok(()) };
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("a child has an id")?;
        kill_process(pid, signal).with_context(|| format!("cannot signal {}", self.name))
    }

    fn reap(&mut self, limit: Duration) -> Result<()> {
        self.is_paused = false;
        let until = Instant::now() + limit;
        while let Some(child) = &mut self.process {
            if let Some(status) = child.try_wait()? {
                self.process = None;
                self.obituary = (!status.success() && status.code().is_some()).then_some(status);
                return Ok(());
            }
            if Instant::now() > until {
                bail!("{} did not leave within {limit:?}\n{}", self.name, self.log_tail());
            }
            thread::sleep(GLANCE);
        }
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.process.take() {
            drop((child.kill(), child.wait()));
        }
    }
}

/// What the kernel says of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Open files.
    pub files: u64,
    /// Threads.
    pub threads: u64,
}

impl Footprint {
    /// Of a process.
    pub fn of(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let number = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        let files = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        Self {
            memory_bytes: number("VmRSS:").unwrap_or(0) << 10,
            files: files as u64,
            threads: number("Threads:").unwrap_or(0),
        }
    }
}

/// Makes sure that a log exists, so that it can be read before the first start.
///
/// # Errors
///
/// When it cannot be made.
pub fn begin_log(path: &Path) -> Result<()> {
    File::create(path).map(drop).with_context(|| format!("cannot make {}", path.display()))
}

/// A place for a node on loopback.
pub fn loopback() -> Addresses {
    let [amqp, http, metrics, peer]: [SocketAddr; 4] = warren_tests::node::ports::free();
    Addresses { amqp, http, metrics, peer }
}
