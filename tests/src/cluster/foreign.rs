//! The nodes of another broker: RabbitMQ's, to see whether the tests hold what they ask for.
//!
//! - `WARREN_TEST_CLUSTER`: where clients connect, `host:port` of every node.
//! - `WARREN_TEST_CLUSTER_HTTP`: where its management API is, in the same order. Nodes are told
//!   apart by their names there, which must sort in this order.
//! - `WARREN_TEST_CLUSTER_CONTROL`: a program that is called with `kill N`, `pause N`, `cont N`,
//!   `stop N`, `launch N` or `pid N`; N counts from 1.

use std::env;
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::cluster::GLANCE;
use crate::http::Client;
use crate::wire::Wire;

/// How long a node may take to become ready.
const PATIENCE: Duration = Duration::from_secs(180);

/// How long a node that is ready may take to answer.
const ANSWER: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    Frozen,
    Gone,
}

/// Another broker's nodes.
#[derive(Debug)]
pub struct Foreign {
    /// Where clients connect.
    pub amqp: Vec<SocketAddr>,
    /// Where the management API is, if that was said.
    pub http: Vec<SocketAddr>,
    states: Vec<State>,
}

impl Foreign {
    /// Those that the environment names.
    pub fn find() -> Option<Self> {
        let amqp = addresses("WARREN_TEST_CLUSTER")?;
        let http = addresses("WARREN_TEST_CLUSTER_HTTP").unwrap_or_default();
        let states = vec![State::Running; amqp.len()];
        Some(Self { amqp, http, states })
    }

    pub fn kill(&mut self, node: usize) {
        let pid = self.pid(node);
        self.control("kill", node);
        while is_running(pid) {
            thread::sleep(GLANCE);
        }
        self.states[node] = State::Gone;
    }

    pub fn pause(&mut self, node: usize) {
        self.control("pause", node);
        self.states[node] = State::Frozen;
    }

    pub fn resume(&mut self, node: usize) {
        self.control("cont", node);
        self.states[node] = State::Running;
    }

    pub fn stop(&mut self, node: usize) {
        self.control("stop", node);
        self.states[node] = State::Gone;
    }

    pub fn launch(&mut self, node: usize) {
        self.control("launch", node);
        self.states[node] = State::Running;
    }

    pub fn wait_ready(&mut self, node: usize) {
        let until = Instant::now() + PATIENCE;
        while Wire::open_channel_within(self.amqp[node], ANSWER).is_err() {
            assert!(Instant::now() < until, "node {node} is not ready within {PATIENCE:?}");
            thread::sleep(GLANCE);
        }
    }

    pub fn pid(&self, node: usize) -> u32 {
        self.control("pid", node).trim().parse().expect("`pid` gives a number")
    }

    /// What is missing: a node that runs, or a member of a queue that is online.
    pub fn incomplete(&self) -> Result<Option<String>> {
        for address in &self.http {
            let nodes = self.ask(*address, "/api/nodes")?;
            let running = |node: &&Value| node["running"] == Value::Bool(true);
            let count = list(&nodes).iter().filter(running).count();
            if count != self.amqp.len() {
                return Ok(Some(format!("{address} sees {count} nodes")));
            }
            let queues = self.ask(*address, "/api/queues")?;
            for queue in list(&queues) {
                if list(&queue["online"]).len() != list(&queue["members"]).len() {
                    return Ok(Some(format!("{address}: {queue}")));
                }
            }
        }
        Ok(None)
    }

    /// The node that leads a queue.
    pub fn leader_of(&self, queue: &str) -> Option<usize> {
        let awake =
            self.states.iter().zip(&self.http).filter(|(state, _)| **state == State::Running);
        for (_, address) in awake {
            let Ok(found) = self.ask(*address, &format!("/api/queues/%2F/{queue}")) else {
                continue;
            };
            let Some(leader) = found["leader"].as_str() else { continue };
            let nodes = self.ask(*address, "/api/nodes").ok()?;
            let mut names: Vec<&str> =
                list(&nodes).iter().filter_map(|node| node["name"].as_str()).collect();
            names.sort_unstable();
            return names.iter().position(|name| *name == leader);
        }
        None
    }

    /// Messages that are ready or unacknowledged, as a node says.
    pub fn unsettled(&self, node: usize, queue: &str) -> Option<u64> {
        let found = self.ask(self.http[node], &format!("/api/queues/%2F/{queue}")).ok()?;
        found["messages"].as_u64()
    }

    fn ask(&self, address: SocketAddr, path: &str) -> Result<Value> {
        let client = Client::new(address, "guest", "guest").within(ANSWER);
        serde_json::from_str(&client.body(path)?).context("no JSON")
    }

    fn control(&self, word: &str, node: usize) -> String {
        let program = env::var_os("WARREN_TEST_CLUSTER_CONTROL")
            .expect("WARREN_TEST_CLUSTER_CONTROL names a program");
        let output = Command::new(program)
            .args([word, &(node + 1).to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .expect("the program can be started");
        assert!(output.status.success(), "`{word} {}` failed: {}", node + 1, output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        for node in 0..self.states.len() {
            match self.states[node] {
                State::Running => {}
                State::Frozen => self.resume(node),
                State::Gone => self.launch(node),
            }
        }
    }
}

fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn addresses(variable: &str) -> Option<Vec<SocketAddr>> {
    let text = env::var(variable).ok()?;
    let read = |word: &str| {
        let mut found = word.to_socket_addrs().expect("it is a list of host:port");
        found.next().expect("a name has an address")
    };
    Some(text.split(',').map(read).collect())
}
