//! Several nodes that are one broker, to be killed, frozen, stopped and brought back.
//!
//! With `WARREN_TEST_CLUSTER=host:port,host:port,host:port` the same tests run against another
//! broker's nodes ([`foreign`]), which is how the tests themselves are checked.
//!
//! **Invariant:** every test finds all nodes running and complete: a cluster of our own is fresh,
//! and the nodes of another are brought back when the [`Cluster`] is dropped.

mod foreign;
mod metrics;

pub use metrics::Page;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::node::{Node, unique};
use crate::wire::{Field, Flags, Pack, Wire, id, publish};
use foreign::Foreign;

/// How long a cluster may take to become complete, or a group to find a leader.
const PATIENCE: Duration = Duration::from_secs(90);

/// How often a condition that nobody announces is looked at.
const GLANCE: Duration = Duration::from_millis(20);

/// How often other ports are tried when somebody was quicker.
const PORT_TRIES: usize = 5;

/// Messages that tell which group a queue belongs to: its log grows with each of them.
const PROBES: u64 = 20;

/// A durable queue of which we know where to ask for its leader.
#[derive(Clone, Debug)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// The group that holds it; none where every queue is a group.
    group: Option<String>,
}

/// Some nodes.
#[derive(Debug)]
pub struct Cluster {
    nodes: Nodes,
    _turn: MutexGuard<'static, ()>,
}

/// Held by the cluster that runs: tests of one program take turns.
static TURN: Mutex<()> = Mutex::new(());

#[derive(Debug)]
enum Nodes {
    Own(Vec<Node>),
    Foreign(Foreign),
}

impl Cluster {
    /// Three nodes, complete.
    ///
    /// # Panics
    ///
    /// If they do not become one; logs are shown.
    pub fn start() -> Self {
        Self::start_with(3, &[])
    }

    /// Whether the tests run against another broker's nodes.
    pub fn is_elsewhere() -> bool {
        let is_elsewhere = Foreign::find().is_some();
        if is_elsewhere {
            eprintln!("left out: this test needs nodes of its own");
        }
        is_elsewhere
    }

    /// As [`Cluster::start`], but nothing if the tests run against another broker: for what can
    /// only be done to nodes of our own.
    pub fn own(count: usize) -> Option<Self> {
        if Self::is_elsewhere() {
            return None;
        }
        Some(Self::start_with(count, &[]))
    }

    /// So many nodes, complete, with more arguments for `warren server`.
    ///
    /// # Panics
    ///
    /// If they do not become one; logs are shown.
    pub fn start_with(count: usize, arguments: &[&str]) -> Self {
        // A test that failed while it held the turn leaves nothing behind.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let nodes = match Foreign::find() {
            Some(foreign) => Nodes::Foreign(foreign),
            None => Nodes::Own(start_nodes(count, arguments)),
        };
        let cluster = Self { nodes, _turn: turn };
        cluster.wait_complete();
        cluster
    }

    /// How many nodes there are, running or not.
    pub fn len(&self) -> usize {
        match &self.nodes {
            Nodes::Own(nodes) => nodes.len(),
            Nodes::Foreign(foreign) => foreign.amqp.len(),
        }
    }

    /// Whether there is no node at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether these are another broker's nodes.
    pub fn is_foreign(&self) -> bool {
        matches!(self.nodes, Nodes::Foreign(_))
    }

    /// Where clients connect to a node.
    pub fn amqp(&self, node: usize) -> SocketAddr {
        match &self.nodes {
            Nodes::Own(nodes) => nodes[node].amqp(),
            Nodes::Foreign(foreign) => foreign.amqp[node],
        }
    }

    /// Where clients connect to some nodes.
    pub fn amqp_of(&self, nodes: &[usize]) -> Vec<SocketAddr> {
        nodes.iter().map(|node| self.amqp(*node)).collect()
    }

    /// All nodes but this one.
    pub fn others(&self, node: usize) -> Vec<usize> {
        (0..self.len()).filter(|other| *other != node).collect()
    }

    /// The process of a node.
    pub fn pid(&self, node: usize) -> u32 {
        match &self.nodes {
            Nodes::Own(nodes) => nodes[node].pid(),
            Nodes::Foreign(foreign) => foreign.pid(node),
        }
    }

    /// Kills a node as `kill -9` does.
    pub fn kill9(&mut self, node: usize) {
        match &mut self.nodes {
            Nodes::Own(nodes) => nodes[node].kill9(),
            Nodes::Foreign(foreign) => foreign.kill(node),
        }
    }

    /// Kills all nodes at the same time.
    pub fn kill9_all(&mut self) {
        match &mut self.nodes {
            Nodes::Own(nodes) => thread::scope(|scope| {
                for node in nodes {
                    scope.spawn(|| node.kill9());
                }
            }),
            Nodes::Foreign(foreign) => (0..foreign.amqp.len()).for_each(|node| foreign.kill(node)),
        }
    }

    /// Freezes a node (SIGSTOP).
    pub fn pause(&mut self, node: usize) {
        match &mut self.nodes {
            Nodes::Own(nodes) => nodes[node].pause(),
            Nodes::Foreign(foreign) => foreign.pause(node),
        }
    }

    /// Lets a frozen node go on (SIGCONT).
    pub fn resume(&mut self, node: usize) {
        match &mut self.nodes {
            Nodes::Own(nodes) => nodes[node].resume(),
            Nodes::Foreign(foreign) => foreign.resume(node),
        }
    }

    /// Asks a node to leave (SIGTERM) and waits for it.
    pub fn terminate(&mut self, node: usize) {
        match &mut self.nodes {
            Nodes::Own(nodes) => nodes[node].terminate(),
            Nodes::Foreign(foreign) => foreign.stop(node),
        }
    }

    /// Starts a node that does not run, and waits until it is ready.
    pub fn restart(&mut self, node: usize) {
        self.launch(node);
        self.wait_ready(node);
    }

    /// Starts a node that does not run.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    pub fn launch(&mut self, node: usize) {
        match &mut self.nodes {
            Nodes::Own(nodes) => nodes[node].spawn().expect("the broker can be started"),
            Nodes::Foreign(foreign) => foreign.launch(node),
        }
    }

    /// Waits until a node that was launched is ready.
    ///
    /// # Panics
    ///
    /// If it does not become ready; its log is shown.
    pub fn wait_ready(&mut self, node: usize) {
        match &mut self.nodes {
            Nodes::Own(nodes) => {
                let node = &mut nodes[node];
                node.wait_ready().unwrap_or_else(|error| panic!("{error:#}\n{}", node.log_tail()));
            }
            Nodes::Foreign(foreign) => foreign.wait_ready(node),
        }
    }

    /// Adds a node to the cluster and waits until it is ready; gives its number.
    ///
    /// # Panics
    ///
    /// If these are not our nodes, or it does not become ready.
    pub fn add(&mut self) -> usize {
        let number = self.len();
        let nodes = self.own_nodes();
        let mut node = Node::prepared();
        let seeds: Vec<SocketAddr> = nodes.iter().map(|node| node.addresses().peer).collect();
        node.set_arguments(arguments(number, &seeds, &[]));
        nodes.push(node);
        self.restart(number);
        number
    }

    /// Removes all data of a node that does not run.
    ///
    /// # Panics
    ///
    /// If these are not our nodes.
    pub fn wipe(&mut self, node: usize) {
        self.own_nodes()[node].wipe();
    }

    /// Waits until every node sees every other one and no replica is missing or behind.
    ///
    /// # Panics
    ///
    /// If that takes too long; what the nodes say is shown.
    pub fn wait_complete(&self) {
        let mut last = String::new();
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            match self.incomplete() {
                Ok(None) => return,
                Ok(Some(what)) => last = what,
                Err(error) => last = format!("{error:#}"),
            }
            thread::sleep(GLANCE);
        }
        panic!("the cluster is not complete after {PATIENCE:?}: {last}\n{}", self.log_tails());
    }

    /// What is missing, if anything is.
    fn incomplete(&self) -> Result<Option<String>> {
        let nodes = match &self.nodes {
            Nodes::Own(nodes) => nodes,
            Nodes::Foreign(foreign) => return foreign.incomplete(),
        };
        for (number, node) in nodes.iter().enumerate() {
            let page = Page::of(node.addresses().metrics)?;
            for (name, wanted) in [
                ("warren_cluster_nodes_running", nodes.len() as f64),
                ("warren_cluster_replicas_missing", 0.0),
            ] {
                let found = page.value(name, &[]);
                if found != Some(wanted) {
                    return Ok(Some(format!("node {number} says {name}: {found:?}")));
                }
            }
        }
        Ok(None)
    }

    /// Where a node serves the management API.
    pub fn http(&self, node: usize) -> SocketAddr {
        match &self.nodes {
            Nodes::Own(nodes) => nodes[node].addresses().http,
            Nodes::Foreign(foreign) => foreign.http[node],
        }
    }

    /// Where one of our nodes listens for the others.
    pub fn peer(&self, node: usize) -> SocketAddr {
        let Nodes::Own(nodes) = &self.nodes else { panic!("these are not our nodes") };
        nodes[node].addresses().peer
    }

    /// Where one of our nodes keeps its data.
    pub fn data_dir(&self, node: usize) -> PathBuf {
        let Nodes::Own(nodes) = &self.nodes else { panic!("these are not our nodes") };
        nodes[node].data_dir()
    }

    /// What a node of ours measures.
    ///
    /// # Panics
    ///
    /// If it is not ours or does not answer.
    pub fn metrics(&self, node: usize) -> Page {
        let Nodes::Own(nodes) = &self.nodes else { panic!("these are not our nodes") };
        Page::of(nodes[node].addresses().metrics).expect("the node tells its metrics")
    }

    /// Messages that are ready or unacknowledged, as a node says: in a queue, or where nodes of
    /// ours tell totals alone, in all queues.
    pub fn unsettled(&self, node: usize, queue: &str) -> Option<u64> {
        match &self.nodes {
            Nodes::Own(nodes) => {
                let page = Page::of(nodes[node].addresses().metrics).ok()?;
                page.value("rabbitmq_queue_messages", &[]).map(|messages| messages as u64)
            }
            Nodes::Foreign(foreign) => foreign.unsettled(node, queue),
        }
    }

    /// Declares a durable queue with a name of its own, on a node that preferably comes to lead it.
    ///
    /// # Panics
    ///
    /// If that is refused, or no leader is found.
    pub fn declare(&self, stem: &str, node: usize) -> Queue {
        self.declare_with(stem, node, &[])
    }

    /// As [`Cluster::declare`], with more arguments.
    ///
    /// # Panics
    ///
    /// If that is refused, or no leader is found.
    pub fn declare_with(&self, stem: &str, node: usize, arguments: &[(&str, Field)]) -> Queue {
        let name = unique(stem);
        let mut all = durable();
        all.extend(arguments.iter().cloned());
        let mut wire = Wire::open_channel(self.amqp(node)).expect("the node serves clients");
        wire.declare(1, &name, Flags::DURABLE, &all).expect("a queue can be declared");
        let group = match &self.nodes {
            Nodes::Own(nodes) => Some(group_of(nodes, &mut wire, &name).expect("a group is found")),
            Nodes::Foreign(_) => None,
        };
        Queue { name, group }
    }

    /// The node that leads a queue.
    ///
    /// # Panics
    ///
    /// If none does for too long.
    pub fn leader(&self, queue: &Queue) -> usize {
        let until = Instant::now() + PATIENCE;
        loop {
            let leader = match (&self.nodes, &queue.group) {
                (Nodes::Own(nodes), Some(group)) => leader_of(nodes, group),
                (Nodes::Foreign(foreign), _) => foreign.leader_of(&queue.name),
                (Nodes::Own(_), None) => panic!("{} was declared elsewhere", queue.name),
            };
            if let Some(leader) = leader {
                return leader;
            }
            assert!(Instant::now() < until, "nobody leads {} for {PATIENCE:?}", queue.name);
            thread::sleep(GLANCE);
        }
    }

    /// The ends of the logs of our nodes.
    pub fn log_tails(&self) -> String {
        let Nodes::Own(nodes) = &self.nodes else { return String::new() };
        nodes.iter().map(|node| format!("{}\n", node.log_tail())).collect()
    }

    fn own_nodes(&mut self) -> &mut Vec<Node> {
        match &mut self.nodes {
            Nodes::Own(nodes) => nodes,
            Nodes::Foreign(_) => panic!("these are not our nodes"),
        }
    }
}

/// What makes a queue durable and replicated, led where it was declared, on every broker.
pub fn durable() -> Vec<(&'static str, Field)> {
    vec![
        ("x-queue-type", Field::text("quorum")),
        ("x-queue-leader-locator", Field::text("client-local")),
    ]
}

fn start_nodes(count: usize, more: &[&str]) -> Vec<Node> {
    for attempt in 1.. {
        let mut nodes: Vec<Node> = (0..count).map(|_| Node::prepared()).collect();
        let seeds: Vec<SocketAddr> = nodes.iter().map(|node| node.addresses().peer).collect();
        for (number, node) in nodes.iter_mut().enumerate() {
            node.set_arguments(arguments(number, &seeds, more));
        }
        let launched = nodes.iter_mut().try_for_each(Node::spawn);
        match launched.and_then(|()| nodes.iter_mut().try_for_each(Node::wait_ready)) {
            Ok(()) => return nodes,
            // Between our choice of a port and its use another process may take it.
            Err(_)
                if attempt < PORT_TRIES
                    && nodes.iter().any(|node| node.log().contains("in use")) => {}
            Err(error) => {
                let logs: String = nodes.iter().map(|node| node.log_tail() + "\n").collect();
                panic!("{error:#}\n{logs}");
            }
        }
    }
    unreachable!("the last attempt returns or panics")
}

fn arguments(number: usize, seeds: &[SocketAddr], more: &[&str]) -> Vec<String> {
    let seeds: Vec<String> = seeds.iter().map(ToString::to_string).collect();
    let name = format!("warren@n{}", number + 1);
    let seeds = seeds.join(",");
    let mut own = vec!["--name", &name, "--seeds", &seeds];
    if !more.contains(&"--shards") {
        own.extend(["--shards", "4"]);
    }
    own.into_iter().chain(more.iter().copied()).map(str::to_owned).collect()
}

/// The group whose log grows when something is published to an empty queue.
fn group_of(nodes: &[Node], wire: &mut Wire, queue: &str) -> Result<String> {
    wire.call(1, Pack::method(id::CONFIRM_SELECT).u8(0).frame(1), id::CONFIRM_SELECT_OK)?;
    let before = committed(nodes);
    for _ in 0..PROBES {
        wire.send(&publish(1, "", queue, 0, &[0x10, 0, 2], b"which group?"))?;
        wire.expect(1, id::ACK)?;
    }
    let until = Instant::now() + PATIENCE;
    let group = loop {
        let after = committed(nodes);
        let grown = |(group, end): (&String, &f64)| {
            let begin = before.get(group).copied().unwrap_or_default();
            (end - begin >= PROBES as f64).then(|| (*end - begin, group.clone()))
        };
        let most = after.iter().filter_map(grown).max_by(|one, other| one.0.total_cmp(&other.0));
        if let Some((_, group)) = most {
            break group;
        }
        if Instant::now() > until {
            bail!("no group grew by {PROBES} entries: {before:?}, {after:?}");
        }
        thread::sleep(GLANCE);
    };
    let purge = Pack::method(id::PURGE).u16(0).short(queue).u8(0).frame(1);
    wire.call(1, purge, id::PURGE_OK).context("cannot purge")?;
    Ok(group)
}

/// Per group, the last entry that is committed.
fn committed(nodes: &[Node]) -> BTreeMap<String, f64> {
    let mut all: BTreeMap<String, f64> = BTreeMap::new();
    for page in pages(nodes).into_values() {
        for (group, index) in page.by_label("rabbitmq_raft_commit_index", "group") {
            let committed = all.entry(group).or_default();
            *committed = committed.max(index);
        }
    }
    all
}

/// Who says that it leads a group; of several, who says so in the highest term.
fn leader_of(nodes: &[Node], group: &str) -> Option<usize> {
    let label = [("group", group)];
    let leads = |page: &Page| page.value("warren_raft_leads", &label) == Some(1.0);
    let term = |page: &Page| page.value("rabbitmq_raft_term", &label).unwrap_or_default();
    let pages = pages(nodes);
    let leaders = pages.iter().filter(|(_, page)| leads(page));
    leaders.max_by(|one, other| term(one.1).total_cmp(&term(other.1))).map(|(node, _)| *node)
}

/// What the nodes say that are awake.
fn pages(nodes: &[Node]) -> BTreeMap<usize, Page> {
    let awake = nodes.iter().enumerate().filter(|(_, node)| node.is_awake());
    awake
        .filter_map(|(number, node)| Some((number, Page::of(node.addresses().metrics).ok()?)))
        .collect()
}
