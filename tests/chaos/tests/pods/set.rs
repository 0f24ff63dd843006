//! A StatefulSet: pods with a name and a disk each that stay, and an address that does not.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use warren_chaos::rig::alone;
use warren_chaos::rig::node::{Node, begin_log};
use warren_chaos::rig::switch::{self, CLIENTS, Switch};
use warren_chaos::tools as rig;
use warren_tests::cluster::Page;
use warren_tests::failover::Noise;
use warren_tests::history::History;
use warren_tests::http::Client;
use warren_tests::node::{Addresses, binary};
use warren_tests::tools;
use warren_tests::traffic::{Consumer, ConsumerPlan, Publisher, PublisherPlan};
use warren_tests::wire::{Flags, Wire};

use crate::cage::{self, Cage};
use crate::names::{Names, SERVICE};
use crate::service::Service;

/// How long anything may take that must happen.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often a condition that nobody announces is looked at.
const GLANCE: Duration = Duration::from_millis(50);

/// terminationGracePeriodSeconds.
const GRACE: Duration = Duration::from_secs(60);

/// How long a pod that is to go is out of the service before it is told: the pause of preStop.
const PAUSE: Duration = Duration::from_millis(500);

/// Messages that must go the whole way for traffic to count as flowing.
const MESSAGES: usize = 200;

/// The queue that traffic goes through.
const QUEUE: &str = "pods";

/// Does something in a world of its own, if this machine lets us have one.
#[track_caller]
pub(crate) fn inside(scene: impl FnOnce()) {
    if alone::is_inside() {
        scene();
    } else if let Some(obstacle) = alone::obstacle() {
        tools::without(&obstacle);
    } else {
        let test = thread::current();
        let test = test.name().expect("a test's thread has the test's name");
        let status = alone::enter_with([test, "--exact", "--nocapture"]);
        assert!(status.expect("there was no obstacle").success(), "it failed inside");
    }
}

/// Who a pod says that it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The cluster's id.
    pub(crate) cluster: String,
    /// The node's number in it.
    pub(crate) node: String,
}

/// One pod.
#[derive(Debug)]
struct Pod {
    node: Node,
    address: Ipv4Addr,
    host: usize,
    data: PathBuf,
    log: PathBuf,
}

/// The pods, and what is around them.
#[derive(Debug)]
pub(crate) struct Set {
    // Pods are dropped before the network that they stand on.
    pods: Vec<Pod>,
    switch: Switch,
    hosts: usize,
    names: Names,
    service: Service,
    /// What keeps the pods from everything else, if anything does.
    cage: Option<Cage>,
    dir: TempDir,
}

impl Set {
    /// So many pods, none of which runs.
    pub(crate) fn of(count: usize) -> Self {
        let dir = tempfile::tempdir().expect("there is room");
        let switch = Switch::make().expect("root may make bridges");
        let names = Names::serve(CLIENTS, dir.path());
        let service = Service::serve(CLIENTS);
        let folder = dir.path().to_owned();
        let mut set = Self { pods: Vec::new(), switch, hosts: 0, names, service, cage: None, dir };
        for ordinal in 0..count {
            let (host, address) = set.place();
            let [data, log] =
                ["data", "log"].map(|what| folder.join(format!("warren-{ordinal}.{what}")));
            begin_log(&log).expect("there is room");
            let node = Node::new(ordinal, listening(address), data.clone(), log.clone());
            set.pods.push(Pod { node, address, host, data, log });
        }
        set
    }

    /// So many pods, none of which runs, and each of which will see nothing but these programs, and
    /// certificates: they speak to each other under TLS.
    pub(crate) fn caged(count: usize, programs: &[PathBuf; 2]) -> Self {
        let mut set = Self::of(count);
        let hosts: Vec<String> = (0..count).map(host_name).collect();
        set.cage = Some(Cage::furnish(set.dir.path().join("root"), programs, &hosts.join(",")));
        set
    }

    /// So many pods that are one cluster.
    pub(crate) fn running(count: usize) -> Self {
        let mut set = Self::of(count);
        (0..count).for_each(|pod| set.launch(pod));
        set.await_one_cluster();
        set
    }

    /// The name server.
    pub(crate) fn names(&self) -> &Names {
        &self.names
    }

    /// Where clients connect.
    pub(crate) fn service(&self) -> SocketAddr {
        self.service.address()
    }

    /// Where a pod is.
    pub(crate) fn address(&self, pod: usize) -> Ipv4Addr {
        self.pods[pod].address
    }

    /// One more address.
    fn place(&mut self) -> (usize, Ipv4Addr) {
        self.switch.add().expect("root may make namespaces");
        self.hosts += 1;
        (self.hosts - 1, switch::address(self.hosts - 1))
    }

    /// Starts a pod where it is.
    pub(crate) fn launch(&mut self, ordinal: usize) {
        let count = self.pods.len();
        let pod = &mut self.pods[ordinal];
        let mut command = match &self.cage {
            Some(cage) => cage.command(&self.switch, pod.host, &pod.data),
            None => {
                let program = binary().expect("it was built").display().to_string();
                self.switch.command(pod.host, &program, &[]).expect("there is nsenter")
            }
        };
        command.env("WARREN_BOOTSTRAP_EXPECT", count.to_string());
        let arguments = [
            "--seeds",
            &format!("{SERVICE}:25672"),
            "--advertise",
            &format!("{}:25672", host_name(ordinal)),
            "--shards",
            "4",
        ];
        pod.node.launch(command, &arguments.map(str::to_owned)).expect("it can be started");
        if !self.names.is_hidden() {
            self.names.show(ordinal, pod.address);
        }
        let Addresses { amqp, metrics, .. } = pod.node.addresses();
        self.service.add(amqp, metrics);
    }

    /// Starts a pod at an address that it never had, on the disk that it has.
    pub(crate) fn launch_elsewhere(&mut self, ordinal: usize) {
        let (host, address) = self.place();
        let pod = &mut self.pods[ordinal];
        (pod.host, pod.address) = (host, address);
        pod.node = Node::new(ordinal, listening(address), pod.data.clone(), pod.log.clone());
        self.launch(ordinal);
    }

    /// Deletes a pod in order; tells how long it took to leave.
    pub(crate) fn delete(&mut self, pod: usize) -> Duration {
        self.service.remove(self.pods[pod].node.addresses().amqp);
        thread::sleep(PAUSE);
        let begin = Instant::now();
        self.pods[pod].node.terminate(GRACE).expect("it leaves in time, and with success");
        self.names.hide(pod);
        begin.elapsed()
    }

    /// A pod is gone without a word.
    pub(crate) fn kill(&mut self, pod: usize) {
        self.pods[pod].node.kill().expect("it can be killed");
        self.names.hide(pod);
        self.service.remove(self.pods[pod].node.addresses().amqp);
    }

    /// A pod that does not run finds its disk empty when it is started.
    pub(crate) fn lose_disk(&mut self, pod: usize) {
        fs::remove_dir_all(&self.pods[pod].data).expect("it had a disk");
    }

    /// Waits until the first pod knows so many nodes, of which so many run.
    pub(crate) fn await_nodes(&self, known: usize, running: usize) {
        let client = Client::new(self.pods[0].node.addresses().http, "guest", "guest");
        await_that("it knows who runs", || {
            let answer = client.body("/api/nodes").map_err(|error| error.to_string())?;
            let nodes: Vec<Value> = serde_json::from_str(&answer).map_err(|_| answer)?;
            let run = nodes.iter().filter(|node| node["running"] == true).count();
            let found = (nodes.len(), run);
            (found == (known, running)).then_some(()).ok_or_else(|| format!("{found:?}"))
        });
    }

    /// There is one pod less, for good: the last one, which does not run, is forgotten by the others.
    pub(crate) fn forget_last(&mut self) {
        let pod = self.pods.pop().expect("there are some");
        let program = binary().expect("it was built").with_file_name("warrenctl");
        let url = format!("http://{}", self.pods[0].node.addresses().http);
        await_that("it is forgotten", || {
            let mut command = Command::new(&program);
            command.args(["--url", &url, "--username", "guest", "--password", "guest"]);
            command.args(["forget_cluster_node", pod.node.name()]);
            // It takes a while until the others believe that it does not run.
            rig::finish(command, "warrenctl").map(drop).map_err(|error| format!("{error:#}"))
        });
    }

    /// Who the pods say that they are.
    pub(crate) fn identities(&self) -> Vec<Identity> {
        let identity = |pod: &Pod| {
            let log = fs::read_to_string(&pod.log).expect("a log is text");
            let line = log.lines().rfind(|line| line.contains("the node serves"));
            let word = |key: &str| {
                let line = line.expect("it has served");
                let word = line.split_whitespace().find_map(|word| word.strip_prefix(key));
                word.expect("it says who it is").to_owned()
            };
            Identity { cluster: word("cluster="), node: word("node=") }
        };
        self.pods.iter().map(identity).collect()
    }

    /// Checks that the pods are behind their walls, and have left no trace there.
    pub(crate) fn expect_caged(&self) {
        for pod in &self.pods {
            cage::expect_caged(pod.node.pid().expect("it runs"), &pod.data);
        }
        let strays = self.cage.as_ref().expect("they are caged").strays();
        assert_eq!(strays, Vec::<PathBuf>::new());
    }

    /// What another program of the image says that is started in a pod.
    pub(crate) fn exec(&self, pod: usize, words: &[&str]) -> String {
        cage::exec(self.pods[pod].node.pid().expect("it runs"), words)
    }

    /// Waits until a pod is ready, as the service sees it.
    pub(crate) fn await_ready(&mut self, pod: usize) {
        self.pods[pod].node.await_ready(PATIENCE).expect("it becomes ready");
        let amqp = self.pods[pod].node.addresses().amqp;
        await_that("the pod is ready", || {
            let log = || self.pods[pod].node.log_tail();
            self.service.is_ready(amqp).then_some(()).ok_or_else(log)
        });
    }

    /// Waits until a pod that is not ready says so with these words.
    pub(crate) fn await_text(&self, pod: usize, words: &str) {
        let client = Client::nobody(self.pods[pod].node.addresses().metrics);
        await_that(words, || match client.try_ask("GET", "/health/ready", "") {
            Ok(answer) if answer.status == 503 && answer.body.contains(words) => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }

    /// Waits until all pods are ready, and are nodes of the same cluster.
    pub(crate) fn await_one_cluster(&mut self) {
        (0..self.pods.len()).for_each(|pod| self.await_ready(pod));
        self.await_complete();
        let identities = self.identities();
        let first = &identities[0].cluster;
        assert!(identities.iter().all(|identity| identity.cluster == *first), "{identities:?}");
    }

    /// Waits until every pod sees every other, and no copy is missing or behind.
    pub(crate) fn await_complete(&self) {
        let count = self.pods.len() as f64;
        for pod in &self.pods {
            await_that("the cluster is complete", || {
                let page =
                    Page::of(pod.node.addresses().metrics).map_err(|error| error.to_string())?;
                for (name, wanted) in [
                    ("warren_cluster_nodes_running", count),
                    ("warren_cluster_replicas_missing", 0.0),
                    ("warren_cluster_groups_leaderless", 0.0),
                ] {
                    let found = page.value(name, &[]);
                    if found != Some(wanted) {
                        return Err(format!("{}: {name} is {found:?}", pod.node.name()));
                    }
                }
                Ok(())
            });
        }
    }
}

impl Drop for Set {
    fn drop(&mut self) {
        if thread::panicking() {
            for pod in &self.pods {
                eprintln!("{}:\n{}", pod.node.name(), pod.node.log_tail());
            }
        }
    }
}

/// What others call a pod.
fn host_name(ordinal: usize) -> String {
    format!("warren-{ordinal}.{SERVICE}")
}

fn listening(at: Ipv4Addr) -> Addresses {
    let [amqp, http, metrics, peer] =
        [5672, 15672, 15692, 25672].map(|port| SocketAddr::from((at, port)));
    Addresses { amqp, http, metrics, peer }
}

/// Waits for a condition; it says what is missing.
#[track_caller]
fn await_that(what: &str, mut holds: impl FnMut() -> Result<(), String>) {
    let until = Instant::now() + PATIENCE;
    while let Err(missing) = holds() {
        assert!(Instant::now() < until, "{what}: not within {PATIENCE:?}: {missing}");
        thread::sleep(GLANCE);
    }
}

/// Clients of the service, whose every step is recorded.
#[derive(Debug)]
pub(crate) struct Traffic {
    service: SocketAddr,
    history: Arc<History>,
    noise: Noise,
    publisher: Publisher,
    consumer: Consumer,
    mark: Duration,
}

impl Traffic {
    /// Begins, and waits until messages flow.
    pub(crate) fn begin(set: &Set) -> Self {
        let service = set.service();
        let mut wire = Wire::open_channel(service).expect("the service has pods");
        wire.declare(1, QUEUE, Flags::DURABLE, &[]).expect("queues can be declared");
        let history = Arc::new(History::default());
        let noise = Noise::listen(&history);
        let brokers = [service];
        let consumer = Consumer::start(&history, ConsumerPlan::of(QUEUE, &brokers));
        let plan = PublisherPlan { rate: 200, ..PublisherPlan::to(QUEUE, &brokers) };
        let publisher = Publisher::start(&history, plan);
        let traffic = Self { service, history, noise, publisher, consumer, mark: Duration::ZERO };
        traffic.flow();
        traffic
    }

    /// Waits until so many more messages have come the whole way.
    pub(crate) fn flow(&self) {
        let (confirmed, delivered) = (self.publisher.counts().1, self.consumer.delivered());
        await_that("messages flow", || {
            let confirms = self.publisher.counts().1 - confirmed;
            let deliveries = self.consumer.delivered() - delivered;
            let enough = confirms >= MESSAGES as u64 && deliveries >= MESSAGES;
            enough.then_some(()).ok_or_else(|| {
                format!(
                    "{confirms} confirms, {deliveries} deliveries; {:#?}",
                    self.history.losses()
                )
            })
        });
    }

    /// A stretch begins.
    pub(crate) fn mark(&mut self) {
        self.mark = self.history.now();
    }

    /// The longest time without a confirm or a delivery since the mark, and what the machine alone
    /// added to any wait in it.
    pub(crate) fn longest(&self) -> (Duration, Duration) {
        let (from, to) = (self.mark, self.history.now());
        let gaps = [self.history.confirm_gap(from, to), self.history.delivery_gap(from, to)];
        let longest = gaps.iter().map(|gap| gap.length).max().unwrap_or_default();
        (longest, self.noise.longest(from, to))
    }

    /// Ends, and checks that nothing was lost and nothing came twice without a flag.
    pub(crate) fn end(self) {
        let Self { service, history, publisher, consumer, .. } = self;
        publisher.finish(PATIENCE);
        consumer.keep(0);
        let mut wire = Wire::open_channel(service).expect("the service has pods");
        await_that("the queue runs dry", || {
            let (_, ready, _) = wire
                .declare(1, QUEUE, Flags::PASSIVE, &[])
                .map_err(|error| format!("{error:#}"))?;
            let missing = history.tell(|checker| checker.missing());
            (ready == 0 && missing == 0)
                .then_some(())
                .ok_or(format!("{ready} wait, {missing} miss"))
        });
        consumer.finish(PATIENCE);
        history.expect_no_faults();
    }
}
