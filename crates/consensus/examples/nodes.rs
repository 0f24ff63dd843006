//! Three processes with many groups: what they cost when idle, how fast they get leaders when all
//! are started at once, and how fast a killed one is replaced.
//!
//! `cargo run -p warren-consensus --example nodes -- [groups] [nodes] [seconds]`; it starts itself once
//! per node. Figures only, nothing is asserted.

#![expect(clippy::print_stdout, reason = "a program that prints figures")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use tokio::task::JoinSet;
use warren_consensus::{ClusterId, Config, Identity, Incarnation, Node, Peers};
use warren_machine::{Applied, Digest, Entry, Machine, RestoreError, SparseRow};
use warren_rpc::{Desk, Nobody};
use warren_storage::{RocksConfig, Store};
use warren_types::{BootId, GroupId, LogIndex, NodeId};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long anything may take before the program gives up.
const PATIENCE: Duration = Duration::from_secs(120);
/// How many nodes are killed, one after the other.
const KILLS: u32 = 5;
/// Clock ticks a second, as Linux counts a process's time.
const CLOCK_TICKS: f64 = 100.0;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, id, boot, dir, addresses, groups] = arguments.as_slice()
        && role == "node"
    {
        let addresses: Vec<String> = addresses.split(',').map(str::to_owned).collect();
        return run_node(id.parse()?, boot.parse()?, Path::new(dir), &addresses, groups.parse()?);
    }
    let number = |at: usize, default: u64| match arguments.get(at) {
        Some(text) => text.parse().context("a number"),
        None => Ok(default),
    };
    measure(number(0, 17)?, number(1, 3)?, Duration::from_secs(number(2, 20)?))
}

fn measure(groups: u64, nodes: u64, quiet: Duration) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut cluster = Cluster::new(groups, nodes, dir.path())?;
    let took = cluster.start_all()?;
    println!(
        "{groups} groups on {nodes} nodes: all led {} ms after the first start",
        took.as_millis()
    );

    std::thread::sleep(Duration::from_secs(10));
    cluster.print_cost(quiet)?;

    if nodes >= 3 {
        for _ in 0..KILLS {
            cluster.kill_one()?;
        }
    }
    cluster.kill_all()?;
    let took = cluster.start_all()?;
    println!("all led {} ms after all were killed and started at once", took.as_millis());
    cluster.print_terms();
    cluster.kill_all()
}

/// Who leads a group, as one node says, and since when.
#[derive(Clone, Copy)]
struct Said {
    term: u64,
    leader: u64,
    at: Instant,
}

type Heard = Arc<Mutex<BTreeMap<(u64, u64), Said>>>;

struct Cluster<'a> {
    groups: u64,
    dir: &'a Path,
    addresses: Vec<String>,
    children: BTreeMap<u64, Child>,
    /// By node and group.
    heard: Heard,
}

impl<'a> Cluster<'a> {
    fn new(groups: u64, nodes: u64, dir: &'a Path) -> Result<Self> {
        let listeners: Result<Vec<TcpListener>, _> =
            (0..nodes).map(|_| TcpListener::bind("127.0.0.1:0")).collect();
        let addresses: Result<Vec<String>, _> = listeners?
            .iter()
            .map(|listener| listener.local_addr().map(|at| at.to_string()))
            .collect();
        let (addresses, children, heard) = (addresses?, BTreeMap::new(), Heard::default());
        Ok(Self { groups, dir, addresses, children, heard })
    }

    fn nodes(&self) -> std::ops::RangeInclusive<u64> {
        1..=u64::try_from(self.addresses.len()).unwrap_or(u64::MAX)
    }

    fn start(&mut self, node: u64) -> Result<()> {
        let boot = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis().to_string();
        let dir = self.dir.join(node.to_string());
        std::fs::create_dir_all(&dir)?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["node", &node.to_string(), &boot])
            .arg(dir)
            .args([self.addresses.join(","), self.groups.to_string()])
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = BufReader::new(child.stdout.take().context("a pipe")?);
        let heard = Arc::clone(&self.heard);
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let numbers: Vec<u64> =
                    line.split(' ').filter_map(|number| number.parse().ok()).collect();
                let [group, term, leader] = *numbers.as_slice() else { continue };
                let said = Said { term, leader, at: Instant::now() };
                heard.lock().unwrap_or_else(PoisonError::into_inner).insert((node, group), said);
            }
        });
        self.children.insert(node, child);
        Ok(())
    }

    fn start_all(&mut self) -> Result<Duration> {
        let began = Instant::now();
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clear();
        for node in self.nodes() {
            self.start(node)?;
        }
        let last = self.wait_for_leaders(None)?;
        Ok(last.duration_since(began))
    }

    /// Waits until all running nodes agree on a leader, other than `without`, of each group; says
    /// when the last one was found.
    fn wait_for_leaders(&self, without: Option<u64>) -> Result<Instant> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let led = |group: &u64| {
                let mut said = self.children.keys().map(|node| heard.get(&(*node, *group)));
                let first = said.clone().next().flatten()?;
                let known = first.leader != 0 && Some(first.leader) != without;
                let agreed = said.all(|said| said.is_some_and(|said| said.leader == first.leader));
                (known && agreed).then_some(())
            };
            if (1..=self.groups).all(|group| led(&group).is_some()) {
                let last = heard.values().map(|said| said.at).max();
                return last.context("somebody said something");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        bail!("waited in vain for leaders")
    }

    fn print_cost(&self, quiet: Duration) -> Result<()> {
        let before: Result<Vec<f64>> = self.children.values().map(cpu_seconds).collect();
        let began = Instant::now();
        std::thread::sleep(quiet);
        let spent = began.elapsed().as_secs_f64();
        for ((node, child), before) in self.children.iter().zip(before?) {
            let percent = (cpu_seconds(child)? - before) / spent * 100.0;
            println!(
                "node {node}: {percent:.2} % of a core, {} KiB resident",
                resident_kib(child)?
            );
        }
        Ok(())
    }

    fn kill_one(&mut self) -> Result<()> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let led_by = |node: u64| {
            let said = move |group: &u64| heard.get(&(node, *group)).map(|said| said.leader);
            (1..=self.groups).filter(move |group| said(group) == Some(node)).collect::<Vec<u64>>()
        };
        let victims: Vec<(usize, u64)> =
            self.nodes().map(|node| (led_by.clone()(node).len(), node)).collect();
        let (count, victim) = victims.into_iter().max().context("there are nodes")?;
        let groups = led_by(victim);
        let began = Instant::now();
        self.kill(victim)?;
        self.wait_for_leaders(Some(victim))?;
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut took: Vec<u128> = Vec::new();
        for group in groups {
            let said = heard.iter().filter(|((node, of), _)| *node != victim && *of == group);
            let last = said.map(|(_, said)| said.at).max().context("survivors")?;
            took.push(last.duration_since(began).as_millis());
        }
        took.sort_unstable();
        println!("node {victim} killed, which led {count}: replaced after (ms) {took:?}");
        self.start(victim)?;
        self.wait_for_leaders(None)?;
        std::thread::sleep(Duration::from_secs(3));
        Ok(())
    }

    fn kill(&mut self, node: u64) -> Result<()> {
        let mut child = self.children.remove(&node).context("it runs")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    fn kill_all(&mut self) -> Result<()> {
        for child in self.children.values_mut() {
            child.kill()?;
        }
        for node in self.nodes() {
            self.kill(node)?;
        }
        Ok(())
    }

    fn print_terms(&self) {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let highest = heard.values().map(|said| said.term).max();
        println!("the highest term is {}", highest.unwrap_or_default());
    }
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        for child in self.children.values_mut() {
            // It may have ended by itself.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

fn cpu_seconds(child: &Child) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", child.id()))?;
    let (_, rest) = text.rsplit_once(')').context("a command in parentheses")?;
    // User and system time are fields 14 and 15 of all.
    let ticks: Vec<f64> =
        rest.split_whitespace().skip(11).take(2).filter_map(|text| text.parse().ok()).collect();
    ensure!(ticks.len() == 2, "two times");
    Ok(ticks.iter().sum::<f64>() / CLOCK_TICKS)
}

fn resident_kib(child: &Child) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{}/status", child.id()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a size")?;
    line.trim().trim_end_matches(" kB").parse().context("a number")
}

#[tokio::main(worker_threads = 2)]
async fn run_node(id: u64, boot: u64, dir: &Path, addresses: &[String], groups: u64) -> Result<()> {
    let rocksdb = RocksConfig::default();
    let store =
        Store::open(warren_storage::Config { rocksdb, ..warren_storage::Config::new(dir) })?;
    let identity = Identity {
        cluster: ClusterId(7),
        incarnation: Incarnation(1),
        node: NodeId(id),
        boot: BootId(boot),
    };
    let node = Node::new(store, Peers::new(identity), Config::default());
    let own = usize::try_from(id)?.checked_sub(1).and_then(|at| addresses.get(at));
    let listener = tokio::net::TcpListener::bind(own.context("an address")?).await?;
    let desk = Arc::new(Desk::<_, Nobody, Nobody>::new());
    desk.set_identity(identity);
    desk.set_raft(node.handler());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        warren_rpc::serve(listener, desk, std::future::pending()).await?;
        Ok(())
    });
    for group in 1..=groups {
        let (node, addresses) = (node.clone(), addresses.to_vec());
        tasks.spawn(run_group(node, GroupId(u32::try_from(group)?), addresses));
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

async fn run_group(node: Node, id: GroupId, addresses: Vec<String>) -> Result<()> {
    #[expect(clippy::disallowed_methods, reason = "nothing is ever performed")]
    let (effects, _unheard) = tokio::sync::mpsc::unbounded_channel();
    let group = node.start(id, Count::default, effects).await?;
    let voters: Vec<(NodeId, String)> = (1..).map(NodeId).zip(addresses).collect();
    let first = u64::from(id.0) % u64::try_from(voters.len())? + 1;
    if NodeId(first) == node.identity().node {
        group.bootstrap(&voters).await?;
    }
    let mut leadership = group.leadership();
    loop {
        let seen = *leadership.borrow_and_update();
        println!("{} {} {}", id.0, seen.term.0, seen.leader.map_or(0, |leader| leader.0));
        leadership.changed().await?;
    }
}

/// Counts its entries.
#[derive(Default)]
struct Count(u64);

impl Machine for Count {
    type Reply = ();
    type Effect = ();

    fn apply(&mut self, _entry: &Entry) -> Applied<(), ()> {
        self.0 = self.0.saturating_add(1);
        Applied { reply: (), effects: Vec::new() }
    }

    fn take_over(&mut self) -> Vec<()> {
        Vec::new()
    }

    fn snapshot(&self) -> Vec<Bytes> {
        vec![Bytes::copy_from_slice(&self.0.to_be_bytes())]
    }

    fn restore(pages: &[Bytes]) -> Result<Self, RestoreError> {
        let count = pages.first().and_then(|page| page.as_ref().try_into().ok());
        let what = "no count".to_owned();
        count
            .map(|count| Self(u64::from_be_bytes(count)))
            .ok_or(RestoreError::Inconsistent { what })
    }

    fn digest(&self) -> Digest {
        Digest(self.0)
    }

    fn live_rows(&self, _floor: LogIndex) -> Vec<LogIndex> {
        Vec::new()
    }

    fn sparse_rows(&self, _: LogIndex, _: LogIndex, _: usize) -> Vec<SparseRow> {
        Vec::new()
    }

    fn thin(row: &Bytes, _live_offsets: &[u32]) -> Bytes {
        row.clone()
    }
}
