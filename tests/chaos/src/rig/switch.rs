//! A network for the nodes: a bridge here, and a network namespace per node.
//!
//! Who cannot hear whom is data: a set of pairs of addresses on the bridge, changed in one go.
//! Frames from and to the clients, which stand at the bridge itself, pass the same rules.

use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context as _, Result, ensure};

use crate::tools::{find, finish, run};

/// The bridge.
const BRIDGE: &str = "chaos0";

/// How long a namespace may take to be made.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where clients are.
pub const CLIENTS: Ipv4Addr = Ipv4Addr::new(10, 213, 0, 254);

/// Where a node is.
pub fn address(node: usize) -> Ipv4Addr {
    let last = u8::try_from(node + 1).expect("a rig has few nodes");
    Ipv4Addr::new(10, 213, 0, last)
}

/// Somebody at the bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Party {
    /// A node.
    Node(usize),
    /// All clients.
    Clients,
}

impl Party {
    fn address(self) -> Ipv4Addr {
        match self {
            Self::Node(node) => address(node),
            Self::Clients => CLIENTS,
        }
    }
}

/// The second hears nothing from the first.
pub type Cut = (Party, Party);

/// The bridge and the namespaces at it.
#[derive(Debug)]
pub struct Switch {
    hosts: Vec<Host>,
}

/// A network namespace, which lives as long as the process that holds it.
#[derive(Debug)]
struct Host {
    holder: Child,
}

impl Switch {
    /// A bridge with nobody at it.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn make() -> Result<Self> {
        run("ip", &["link", "set", "lo", "up"])?;
        run("ip", &["link", "add", BRIDGE, "type", "bridge"])?;
        run("ip", &["addr", "add", &format!("{CLIENTS}/24"), "dev", BRIDGE])?;
        run("ip", &["link", "set", BRIDGE, "up"])?;
        let mut rules = String::from(
            "table bridge chaos {\n set cut { type ipv4_addr . ipv4_addr; }\n chain noise { }\n",
        );
        for hook in ["forward", "input", "output"] {
            rules += &format!(
                " chain {hook} {{ type filter hook {hook} priority 0; \
                 ip saddr . ip daddr @cut drop; jump noise; }}\n"
            );
        }
        rules += "}\n";
        nft(&rules)?;
        Ok(Self { hosts: Vec::new() })
    }

    /// One more host.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn add(&mut self) -> Result<()> {
        let number = self.hosts.len();
        let mut command = Command::new(find("unshare").context("there is no unshare")?);
        command.args(["--net", "sleep", "infinity"]);
        let holder = command.stdin(Stdio::null()).spawn().context("cannot start unshare")?;
        let host = Host { holder };
        host.await_namespace()?;
        let (pid, port) = (host.holder.id().to_string(), port(number));
        run("ip", &["link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &pid])?;
        run("ip", &["link", "set", &port, "master", BRIDGE, "up"])?;
        let script = format!(
            "ip link set lo up && ip addr add {}/24 dev eth0 && ip link set eth0 up",
            address(number)
        );
        finish(host.command("sh", &["-c", &script])?, "ip in a namespace")?;
        self.hosts.push(host);
        Ok(())
    }

    /// Takes the host that came last away.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn remove_last(&mut self) -> Result<()> {
        let host = self.hosts.pop().context("there are hosts")?;
        let unplugged = unplug(self.hosts.len());
        drop(host);
        unplugged
    }

    /// A program in a host's namespace; the process becomes that program.
    ///
    /// # Errors
    ///
    /// When there is no `nsenter`.
    pub fn command(&self, host: usize, program: &str, arguments: &[&str]) -> Result<Command> {
        self.hosts[host].command(program, arguments)
    }

    /// The namespace of a host.
    pub fn namespace(&self, host: usize) -> String {
        self.hosts[host].namespace()
    }

    /// From here on exactly these pairs are cut: the second hears nothing from the first.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn cut(&self, pairs: &[Cut]) -> Result<()> {
        let mut script = String::from("flush set bridge chaos cut\n");
        if !pairs.is_empty() {
            let pair = |(from, to): &Cut| format!("{} . {}", from.address(), to.address());
            let pairs: Vec<String> = pairs.iter().map(pair).collect();
            script += &format!("add element bridge chaos cut {{ {} }}\n", pairs.join(", "));
        }
        nft(&script)
    }

    /// From here on so many of a hundred frames from and to a host are lost; none says all hosts.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn lose(&self, percent: u64, host: Option<usize>) -> Result<()> {
        let mut script = String::from("flush chain bridge chaos noise\n");
        let dice = format!("numgen random mod 100 < {percent} drop");
        match host.map(address) {
            _ if percent == 0 => {}
            None => script += &format!("add rule bridge chaos noise ether type ip {dice}\n"),
            Some(address) => {
                script += &format!("add rule bridge chaos noise ip saddr {address} {dice}\n");
                script += &format!("add rule bridge chaos noise ip daddr {address} {dice}\n");
            }
        }
        nft(&script)
    }

    /// From here on a host sends at most so many bytes a second; none says as many as it can.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn narrow(&self, host: usize, bytes: Option<u64>) -> Result<()> {
        let remove = ["qdisc", "del", "dev", "eth0", "root"];
        drop(finish(self.command(host, "tc", &remove)?, "tc"));
        let Some(bytes) = bytes else { return Ok(()) };
        let rate = format!("{bytes}bps");
        let add = [
            "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", &rate, "burst", "64kb",
            "latency", "400ms",
        ];
        finish(self.command(host, "tc", &add)?, "tc").map(drop)
    }

    /// Pulls or puts back a host's cable.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn plug(&self, host: usize, is_in: bool) -> Result<()> {
        run("ip", &["link", "set", &port(host), if is_in { "up" } else { "down" }]).map(drop)
    }

    /// Ends every connection that a host has with another, with a reset.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn reset(&self, host: usize, peer: Party) -> Result<()> {
        let peer = peer.address().to_string();
        finish(self.command(host, "ss", &["-K", "dst", &peer])?, "ss -K").map(drop)
    }

    /// Undoes everything.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn heal(&self) -> Result<()> {
        self.cut(&[])?;
        self.lose(0, None)?;
        for host in 0..self.hosts.len() {
            self.plug(host, true)?;
            self.narrow(host, None)?;
        }
        Ok(())
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        // The namespaces would take it all along, when the kernel comes to it: that may be minutes, and
        // another run comes before.
        (0..self.hosts.len()).for_each(|host| drop(unplug(host)));
        self.hosts.clear();
        drop(run("ip", &["link", "del", BRIDGE]));
        drop(nft("delete table bridge chaos\n"));
    }
}

impl Host {
    fn namespace(&self) -> String {
        format!("/proc/{}/ns/net", self.holder.id())
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(find("nsenter").context("there is no nsenter")?);
        command.arg(format!("--net={}", self.namespace())).arg("--").arg(program).args(arguments);
        Ok(command)
    }

    /// Waits until the holder has left our namespace.
    fn await_namespace(&self) -> Result<()> {
        let ours = fs::read_link("/proc/self/ns/net")?;
        let until = Instant::now() + PATIENCE;
        while fs::read_link(self.namespace())? == ours {
            ensure!(Instant::now() < until, "a namespace is not made within {PATIENCE:?}");
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        drop((self.holder.kill(), self.holder.wait()));
    }
}

/// Takes a host's port away, and the other end with it.
fn unplug(host: usize) -> Result<()> {
    run("ip", &["link", "del", &port(host)]).map(drop)
}

fn port(host: usize) -> String {
    format!("chaos-n{}", host + 1)
}

fn nft(script: &str) -> Result<()> {
    use std::io::Write as _;
    let mut command = Command::new(find("nft").context("there is no nft")?);
    command.args(["-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot start nft")?;
    child.stdin.take().context("a pipe was asked for")?.write_all(script.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "nft refuses:\n{script}{said}");
    Ok(())
}
