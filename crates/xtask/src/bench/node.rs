//! One node for one scenario, in a temporary directory.

use std::env;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::Outcome;

/// How long a node may take to serve, and to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked at meanwhile.
const GLANCE: Duration = Duration::from_millis(20);

/// Lines of its log that a failure shows.
const LOG_LINES: usize = 20;

/// A running node. Dropped, it is killed and its data removed.
#[derive(Debug)]
pub(super) struct Node {
    process: Child,
    amqp: SocketAddr,
    folder: PathBuf,
}

impl Node {
    /// Starts a node with an empty data directory and waits until it serves clients.
    pub(super) fn start(warren: &Path) -> Result<Self, String> {
        let [amqp, http, metrics, peer] = free_addresses()?;
        let folder = env::temp_dir().join(format!("warren-bench-{}", std::process::id()));
        fs::create_dir_all(&folder)
            .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        let log = File::create(folder.join("log"))
            .map_err(|error| format!("cannot write to {}: {error}", folder.display()))?;
        let mut command = Command::new(warren);
        command.arg("server").arg("--data-dir").arg(folder.join("data"));
        for (flag, address) in
            [("--amqp", amqp), ("--http", http), ("--metrics", metrics), ("--peer", peer)]
        {
            command.arg(flag).arg(address.to_string());
        }
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(log))
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", warren.display()))?;
        let mut node = Self { process, amqp, folder };
        node.wait_until_it_serves()?;
        Ok(node)
    }

    /// Where clients connect.
    pub(super) fn amqp(&self) -> SocketAddr {
        self.amqp
    }

    /// The node's process.
    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The end of its log.
    pub(super) fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let start = lines.len().saturating_sub(LOG_LINES);
        lines.get(start..).unwrap_or_default().join("\n")
    }

    /// Asks the node to stop, as an operator would, and waits for it.
    pub(super) fn stop(mut self) -> Outcome {
        let id = self.process.id().to_string();
        crate::cargo::finish(Command::new("kill").args(["-TERM", &id]), "kill")?;
        match self.wait_for_exit()? {
            status if status.success() => Ok(()),
            status => Err(format!("the node left with {status}\n{}", self.log_tail())),
        }
    }

    fn wait_until_it_serves(&mut self) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        while !answers(self.amqp) {
            if let Ok(Some(status)) = self.process.try_wait() {
                return Err(format!("the node left with {status}\n{}", self.log_tail()));
            }
            if Instant::now() > deadline {
                return Err(format!("the node does not serve clients\n{}", self.log_tail()));
            }
            thread::sleep(GLANCE);
        }
        Ok(())
    }

    fn wait_for_exit(&mut self) -> Result<ExitStatus, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.process.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) if Instant::now() > deadline => {
                    return Err(format!("the node does not stop\n{}", self.log_tail()));
                }
                Ok(None) => thread::sleep(GLANCE),
                Err(error) => return Err(format!("cannot wait for the node: {error}")),
            }
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Both fail where the node has left by itself, which is what was wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("xtask: cannot remove {}: {error}", self.folder.display());
        }
    }
}

/// Four ports that nobody has. Held all at once, so that they differ.
fn free_addresses() -> Result<[SocketAddr; 4], String> {
    let fail = |error| format!("no free port: {error}");
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let held = [
        bind().map_err(fail)?,
        bind().map_err(fail)?,
        bind().map_err(fail)?,
        bind().map_err(fail)?,
    ];
    let [a, b, c, d] = &held;
    Ok([
        a.local_addr().map_err(fail)?,
        b.local_addr().map_err(fail)?,
        c.local_addr().map_err(fail)?,
        d.local_addr().map_err(fail)?,
    ])
}

/// Whether AMQP is spoken there: a node answers the protocol header with connection.start.
fn answers(amqp: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect_timeout(&amqp, GLANCE * 10) else { return false };
    let mut first = [0];
    stream.set_read_timeout(Some(PATIENCE)).is_ok()
        && stream.write_all(b"AMQP\x00\x00\x09\x01").is_ok()
        && stream.read_exact(&mut first).is_ok()
        && first == [1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_addresses_differ() {
        let mut ports = free_addresses().unwrap().map(|address| address.port());

        ports.sort_unstable();

        assert!(ports.windows(2).all(|pair| pair[0] != pair[1]), "{ports:?}");
    }

    #[test]
    fn a_listener_that_says_nothing_right_is_no_node() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let peer = thread::spawn(move || listener.accept().unwrap().0.write_all(b"HTTP").unwrap());

        let answer = answers(address);

        assert!(!answer);
        peer.join().unwrap();
    }
}
