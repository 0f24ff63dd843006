//! Nodes that can be broken in every way this machine allows.
//!
//! On a machine that lets us have a world of our own ([`alone`]), each node stands in a network
//! namespace at a [`switch`] and on a [`disk`] of its own. Elsewhere nodes share the machine's disk,
//! and loopback behind a [`proxy`] each for nodes and for clients; [`Rig::tier`] says which.
//!
//! **Invariant:** after [`Rig::heal`] every node runs, sees every other and has a disk that works.

pub mod alone;
pub mod cgroup;
pub mod disk;
pub mod node;
pub mod proxy;
pub mod switch;

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use warren_tests::cluster::Page;
use warren_tests::http::Client;
use warren_tests::node::Addresses;

use crate::field::Door;
use cgroup::Cgroup;
use disk::Disk;
use node::Node;
use proxy::Proxy;
use switch::{Cut, Party, Switch};

/// How often a condition that nobody announces is looked at.
const GLANCE: Duration = Duration::from_millis(50);

/// How long a node may take to come up.
pub const READY: Duration = Duration::from_secs(90);

/// How long the nodes may take to be one again.
pub const COMPLETE: Duration = Duration::from_secs(120);

/// How often a disk is tried to be unmounted: the kernel closes a dead process's files in its time.
const UNMOUNTS: u32 = 200;

/// What can be done to nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Processes are killed and frozen, and doors shut.
    Processes,
    /// Networks and disks are broken as well, link by link.
    World,
}

/// What a rig is made of.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The broker.
    pub binary: PathBuf,
    /// Where everything is kept.
    pub dir: PathBuf,
    /// How many nodes.
    pub nodes: usize,
    /// The size of a node's disk.
    pub disk_mebibytes: u64,
    /// More arguments for `warren server`.
    pub arguments: Vec<String>,
    /// More environment for it; `{n}` stands for the node's number, from 1.
    pub environment: Vec<(String, String)>,
}

impl Setup {
    /// Three nodes of a broker, in a directory.
    pub fn of(binary: &Path, dir: &Path) -> Self {
        Self {
            binary: binary.to_owned(),
            dir: dir.to_owned(),
            nodes: 3,
            disk_mebibytes: 1024,
            arguments: Vec::new(),
            environment: Vec::new(),
        }
    }
}

/// Some nodes.
#[derive(Debug)]
pub struct Rig {
    setup: Setup,
    // Nodes are dropped before the disks and the network that they stand on.
    nodes: Vec<Node>,
    ground: Ground,
}

/// What nodes stand on.
#[derive(Debug)]
enum Ground {
    Loopback { peers: Vec<Proxy>, clients: Vec<Proxy> },
    World { switch: Switch, disks: Vec<Disk>, cgroups: Vec<Cgroup> },
}

impl Rig {
    /// Nodes that are one cluster.
    ///
    /// # Errors
    ///
    /// When they do not become one.
    pub fn start(setup: Setup) -> Result<Self> {
        fs::create_dir_all(&setup.dir)?;
        let ground = if alone::is_inside() {
            cgroup::sweep();
            Ground::World { switch: Switch::make()?, disks: Vec::new(), cgroups: Vec::new() }
        } else {
            Ground::Loopback { peers: Vec::new(), clients: Vec::new() }
        };
        let count = setup.nodes;
        let mut rig = Self { setup, nodes: Vec::new(), ground };
        (0..count).try_for_each(|_| rig.prepare())?;
        (0..count).try_for_each(|node| rig.launch(node))?;
        (0..count).try_for_each(|node| rig.nodes[node].await_ready(READY))?;
        rig.await_complete(COMPLETE)?;
        Ok(rig)
    }

    /// What can be done to these nodes.
    pub fn tier(&self) -> Tier {
        match self.ground {
            Ground::Loopback { .. } => Tier::Processes,
            Ground::World { .. } => Tier::World,
        }
    }

    /// One more node that does not run.
    fn prepare(&mut self) -> Result<()> {
        let number = self.nodes.len();
        let name = format!("n{}", number + 1);
        let (addresses, data) = match &mut self.ground {
            Ground::Loopback { peers, clients } => {
                let addresses = node::loopback();
                let [peer, client] = warren_tests::node::ports::free();
                peers.push(Proxy::stand(peer, addresses.peer)?);
                clients.push(Proxy::stand(client, addresses.amqp)?);
                (addresses, self.setup.dir.join(&name).join("data"))
            }
            Ground::World { switch, disks, cgroups } => {
                switch.add()?;
                let disk = Disk::make(&self.setup.dir, &name, self.setup.disk_mebibytes)?;
                let data = disk.path().join("data");
                disks.push(disk);
                cgroups.push(Cgroup::make(number));
                (everyday_ports(number), data)
            }
        };
        let log = self.setup.dir.join(format!("{name}.log"));
        node::begin_log(&log)?;
        self.nodes.push(Node::new(number, addresses, data, log));
        Ok(())
    }

    /// Adds a node to the cluster; it joins as soon as it can.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn add(&mut self) -> Result<usize> {
        self.prepare()?;
        self.launch(self.nodes.len() - 1)?;
        Ok(self.nodes.len() - 1)
    }

    /// Takes the node that was added last away; it must be forgotten.
    ///
    /// # Errors
    ///
    /// When it runs.
    pub fn remove_last(&mut self) -> Result<()> {
        let mut node = self.nodes.pop().context("there are nodes")?;
        node.kill()?;
        drop(node);
        match &mut self.ground {
            Ground::Loopback { peers, clients } => drop((peers.pop(), clients.pop())),
            Ground::World { switch, disks, cgroups } => {
                cgroups.pop();
                if let Some(mut disk) = disks.pop() {
                    unmount(&mut disk)?;
                }
                switch.remove_last()?;
            }
        }
        Ok(())
    }

    /// Starts a node that does not run, on whatever its disk holds.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn launch(&mut self, node: usize) -> Result<()> {
        let seeds: Vec<String> =
            (0..self.setup.nodes).map(|node| self.called(node).to_string()).collect();
        let mut arguments = vec!["--seeds".to_owned(), seeds.join(",")];
        arguments.extend(["--advertise".to_owned(), self.called(node).to_string()]);
        if !self.setup.arguments.iter().any(|word| word == "--shards") {
            arguments.extend(["--shards".to_owned(), "4".to_owned()]);
        }
        arguments.extend(self.setup.arguments.iter().cloned());
        let binary = self.setup.binary.display().to_string();
        let mut command = match &mut self.ground {
            Ground::Loopback { .. } => Command::new(&binary),
            Ground::World { switch, disks, .. } => {
                disks[node].mount()?;
                switch.command(node, &binary, &[])?
            }
        };
        for (name, value) in &self.setup.environment {
            command.env(name, value.replace("{n}", &(node + 1).to_string()));
        }
        self.nodes[node].launch(command, &arguments)?;
        if let (Ground::World { cgroups, .. }, Some(pid)) = (&self.ground, self.nodes[node].pid()) {
            cgroups[node].take(pid);
        }
        Ok(())
    }

    /// Starts a node that does not run and waits until it is ready.
    ///
    /// # Errors
    ///
    /// When it does not become ready.
    pub fn restart(&mut self, node: usize) -> Result<()> {
        self.launch(node)?;
        self.nodes[node].await_ready(READY)
    }

    /// Takes the current from some nodes at the same moment: what was not flushed is gone.
    ///
    /// Nobody hears them from one moment on, and what happens to their disks happens after it: a
    /// sync that the kernel ends well, although its journal was aborted meanwhile, as it may when
    /// both meet, was promised to nobody.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn power_cut(&mut self, nodes: &[usize]) -> Result<()> {
        let everybody: Vec<Party> =
            (0..self.nodes.len()).map(Party::Node).chain([Party::Clients]).collect();
        let silence = nodes.iter().map(|node| Party::Node(*node)).flat_map(|node| {
            everybody.iter().filter(move |other| **other != node).map(move |other| (node, *other))
        });
        self.switch()?.cut(&silence.collect::<Vec<Cut>>())?;
        for node in nodes {
            self.disk(*node)?.power_cut()?;
            self.nodes[*node].shoot()?;
        }
        nodes.iter().try_for_each(|node| self.nodes[*node].kill())?;
        self.switch()?.cut(&[])?;
        nodes.iter().try_for_each(|node| self.unmount(*node))
    }

    /// Takes a disk away from a node that does not run.
    ///
    /// # Errors
    ///
    /// When somebody still uses it.
    pub fn unmount(&mut self, node: usize) -> Result<()> {
        unmount(self.disk(node)?)
    }

    /// Removes all data of a node that does not run.
    ///
    /// # Errors
    ///
    /// When they cannot be removed.
    pub fn wipe(&mut self, node: usize) -> Result<()> {
        ensure!(!self.nodes[node].is_running(), "{} runs", self.nodes[node].name());
        if let Ground::World { disks, .. } = &mut self.ground {
            disks[node].mount()?;
        }
        match fs::remove_dir_all(self.nodes[node].data()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Asks the others to forget a node that does not run.
    ///
    /// # Errors
    ///
    /// When they do not.
    pub fn forget(&mut self, node: usize) -> Result<()> {
        let asked =
            (0..self.nodes.len()).find(|other| *other != node && self.nodes[*other].is_awake());
        let asked = asked.context("no other node runs")?;
        let path = format!("/api/warren/nodes/{}", self.nodes[node].name());
        let until = Instant::now() + READY;
        loop {
            let answer = self.http(asked).try_ask("DELETE", &path, "");
            match answer {
                Ok(answer) if answer.status == 204 => return Ok(()),
                // It takes a while until the others believe that it does not run.
                answer if Instant::now() > until => bail!("it cannot be forgotten: {answer:?}"),
                _ => thread::sleep(GLANCE),
            }
        }
    }

    /// Undoes all faults, brings every node back and waits until they are one.
    ///
    /// # Errors
    ///
    /// When a node does not come back, or they do not become one.
    pub fn heal(&mut self) -> Result<()> {
        self.mend()?;
        for node in 0..self.nodes.len() {
            self.nodes[node].resume()?;
            if !self.nodes[node].is_running() {
                self.launch(node)?;
            }
        }
        let all = &mut self.nodes;
        all.iter_mut().try_for_each(|node| node.await_ready(READY))?;
        self.await_complete(COMPLETE)
    }

    /// Undoes what was done to network, disks and processors.
    fn mend(&mut self) -> Result<()> {
        self.cut(&[])?;
        let Ground::World { switch, disks, cgroups } = &mut self.ground else { return Ok(()) };
        switch.heal()?;
        for (disk, cgroup) in disks.iter_mut().zip(cgroups) {
            disk.thaw()?;
            drop(cgroup.limit_cpu(None));
            if let Ok(device) = disk.numbers() {
                drop(cgroup.limit_writes(&device, None));
                disk.make_room()?;
            }
        }
        Ok(())
    }

    /// Waits until every node sees every other one and no replica is missing or behind.
    ///
    /// # Errors
    ///
    /// When that takes too long, with what is missing.
    pub fn await_complete(&mut self, limit: Duration) -> Result<()> {
        let until = Instant::now() + limit;
        loop {
            let missing = match self.incomplete() {
                Ok(None) => return Ok(()),
                Ok(Some(what)) => what,
                Err(error) => format!("{error:#}"),
            };
            if Instant::now() > until {
                let logs: String = self.nodes.iter().map(|node| node.log_tail() + "\n").collect();
                bail!("the cluster is not complete after {limit:?}: {missing}\n{logs}");
            }
            thread::sleep(GLANCE);
        }
    }

    fn incomplete(&mut self) -> Result<Option<String>> {
        let count = self.nodes.len();
        for node in &mut self.nodes {
            if let Some(status) = node.obituary() {
                return Ok(Some(format!("{} ended with {status}", node.name())));
            }
            let page = Page::of(node.addresses().metrics)?;
            for (name, wanted) in [
                ("warren_cluster_nodes_running", count as f64),
                ("warren_cluster_replicas_missing", 0.0),
                ("warren_cluster_groups_leaderless", 0.0),
            ] {
                let found = page.value(name, &[]);
                if found != Some(wanted) {
                    return Ok(Some(format!("{} says {name}: {found:?}", node.name())));
                }
            }
        }
        Ok(None)
    }

    /// The node that leads most groups, as far as they say.
    pub fn leader(&mut self) -> usize {
        let led = |node: &mut Node| {
            let page = node.is_awake().then(|| Page::of(node.addresses().metrics).ok()).flatten();
            let groups = page.map(|page| page.by_label("warren_raft_leads", "group"));
            groups.unwrap_or_default().iter().filter(|(_, leads)| *leads == 1.0).count()
        };
        let counts: Vec<usize> = self.nodes.iter_mut().map(led).collect();
        (0..counts.len()).max_by_key(|node| counts[*node]).expect("there are nodes")
    }

    /// Whether others than this node lead every group, as they say.
    pub fn is_led_without(&mut self, node: usize) -> bool {
        let mut wanted = BTreeSet::new();
        let mut led = BTreeSet::new();
        for (number, other) in self.nodes.iter_mut().enumerate() {
            if number == node || !other.is_awake() {
                continue;
            }
            let Ok(page) = Page::of(other.addresses().metrics) else { continue };
            for (group, leads) in page.by_label("warren_raft_leads", "group") {
                if leads == 1.0 {
                    led.insert(group.clone());
                }
                wanted.insert(group);
            }
        }
        !wanted.is_empty() && wanted == led
    }

    /// How many nodes there are, running or not.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// How many nodes there were at the start.
    pub fn planned(&self) -> usize {
        self.setup.nodes
    }

    /// The number that the cluster knows a running node by, if it says so.
    pub fn identity(&self, node: usize) -> Option<u64> {
        let answer = self.http(node).try_ask("GET", "/api/warren/nodes", "").ok()?;
        let rows: Value = serde_json::from_str(&answer.body).ok()?;
        let name = self.nodes[node].name();
        let is_it = |row: &&Value| row["name"] == name && row["running"] == true;
        rows.as_array()?.iter().find(is_it)?["id"].as_u64()
    }

    /// Whether there is no node at all.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// A node.
    pub fn node(&mut self, node: usize) -> &mut Node {
        &mut self.nodes[node]
    }

    /// All nodes.
    pub fn nodes(&mut self) -> &mut [Node] {
        &mut self.nodes
    }

    /// The ways into all nodes.
    pub fn doors(&self) -> Vec<Door> {
        let mut doors: Vec<Door> = self.nodes.iter().map(Node::door).collect();
        if let Ground::Loopback { clients, .. } = &self.ground {
            for (door, proxy) in doors.iter_mut().zip(clients) {
                door.amqp = proxy.address();
            }
        }
        doors
    }

    /// Where other nodes call a node.
    fn called(&self, node: usize) -> SocketAddr {
        match &self.ground {
            Ground::Loopback { peers, .. } => peers[node].address(),
            Ground::World { .. } => self.nodes[node].addresses().peer,
        }
    }

    /// From here on exactly these pairs are cut. On loopback, whoever does not hear one of the others
    /// hears none of them, and is not heard by those who called it.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn cut(&self, cuts: &[Cut]) -> Result<()> {
        let (peers, clients) = match &self.ground {
            Ground::World { switch, .. } => return switch.cut(cuts),
            Ground::Loopback { peers, clients } => (peers, clients),
        };
        let misses = |node: usize, is_from: fn(Party) -> bool| {
            cuts.iter().any(|cut| is_from(cut.0) && cut.1 == Party::Node(node))
        };
        for (node, proxy) in peers.iter().enumerate() {
            proxy.silence(misses(node, |from| matches!(from, Party::Node(_))));
        }
        for (node, proxy) in clients.iter().enumerate() {
            proxy.silence(misses(node, |from| from == Party::Clients));
        }
        Ok(())
    }

    /// Ends every connection that a node has with somebody, with a reset.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn reset(&self, node: usize, with: Party) -> Result<()> {
        match (&self.ground, with) {
            (Ground::World { switch, .. }, _) => switch.reset(node, with)?,
            (Ground::Loopback { peers, .. }, Party::Node(_)) => peers[node].reset(),
            (Ground::Loopback { clients, .. }, Party::Clients) => clients[node].reset(),
        }
        Ok(())
    }

    /// Where everything is kept.
    pub fn dir(&self) -> &Path {
        &self.setup.dir
    }

    /// The names of some nodes.
    pub fn names(&self, nodes: &[usize]) -> Vec<String> {
        nodes.iter().map(|node| self.nodes[*node].name().to_owned()).collect()
    }

    /// Somebody who asks a node's management API.
    pub fn http(&self, node: usize) -> Client {
        Client::new(self.nodes[node].addresses().http, "guest", "guest")
    }

    /// The network.
    ///
    /// # Errors
    ///
    /// When the nodes share the machine's.
    pub fn switch(&self) -> Result<&Switch> {
        match &self.ground {
            Ground::World { switch, .. } => Ok(switch),
            Ground::Loopback { .. } => bail!("the nodes have no network of their own"),
        }
    }

    /// A node's disk.
    ///
    /// # Errors
    ///
    /// When the nodes share the machine's.
    pub fn disk(&mut self, node: usize) -> Result<&mut Disk> {
        match &mut self.ground {
            Ground::World { disks, .. } => Ok(&mut disks[node]),
            Ground::Loopback { .. } => bail!("the nodes have no disks of their own"),
        }
    }

    /// A node's control groups.
    ///
    /// # Errors
    ///
    /// When it has none.
    pub fn cgroup(&self, node: usize) -> Result<&Cgroup> {
        match &self.ground {
            Ground::World { cgroups, .. } => Ok(&cgroups[node]),
            Ground::Loopback { .. } => bail!("the nodes have no control groups of their own"),
        }
    }
}

/// Unmounts as soon as nobody uses the disk any longer.
fn unmount(disk: &mut Disk) -> Result<()> {
    for _ in 0..UNMOUNTS {
        if disk.unmount().is_ok() {
            return Ok(());
        }
        thread::sleep(GLANCE);
    }
    disk.unmount()
}

/// The ports that everybody knows, at the node's own address.
fn everyday_ports(node: usize) -> Addresses {
    let at = |port| SocketAddr::from((switch::address(node), port));
    Addresses { amqp: at(5672), http: at(15672), metrics: at(15692), peer: at(25672) }
}
