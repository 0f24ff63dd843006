//! Stopping, resetting and starting a node from outside, as `stop_app`, `reset` and `start_app` do.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use warren_tests::cluster::Cluster;
use warren_tests::http::Client;
use warren_tests::node::Node;

/// How long a node may take for what it is told.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks.
const GLANCE: Duration = Duration::from_millis(20);

/// A tool on a node's machine, which reads its secret.
struct Tool<'a> {
    data_dir: &'a Path,
    http: SocketAddr,
    name: String,
}

impl<'a> Tool<'a> {
    fn of(data_dir: &'a Path, http: SocketAddr) -> Self {
        let mut tool = Self { data_dir, http, name: String::new() };
        let overview = tool.client().value("/api/overview");
        tool.name = overview["node"].as_str().unwrap().to_owned();
        tool
    }

    fn client(&self) -> Client {
        let secret = std::fs::read_to_string(self.data_dir.join("management.secret")).unwrap();
        Client::bearer(self.http, &secret)
    }

    fn ask(&self, method: &str, what: &str, body: &str) -> (u16, String) {
        let path = format!("/api/warren/nodes/{}/{what}", self.name);
        let answer = self.client().ask(method, &path, body);
        (answer.status, answer.body)
    }

    fn wait_for(&self, state: &str) {
        let is_so = || self.client().value("/api/warren/app")["state"] == *state;
        until(&format!("the app is {state}"), is_so);
    }

    fn wait_ready(&self) {
        let client = Client::nobody(self.http);
        until("the node is ready", || client.ask("GET", "/health/ready", "").status == 200);
    }

    fn stop_app(&self) {
        assert_eq!(self.ask("DELETE", "app", "").0, 204);
        self.wait_for("drained");
    }

    fn reset(&self) {
        let (status, body) = self.ask("POST", "reset", "");
        assert_eq!(status, 204, "{body}");
        self.wait_for("stopped");
    }

    fn start_app(&self) {
        assert_eq!(self.ask("PUT", "app", "").0, 204);
        self.wait_ready();
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        thread::sleep(GLANCE);
    }
}

/// The names of rows, sorted.
fn names(rows: &serde_json::Value) -> Vec<&str> {
    let rows = rows.as_array().unwrap().iter();
    let mut names: Vec<&str> = rows.map(|row| row["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_node_alone_is_reset_and_comes_back_as_a_fresh_one() {
    let node = Node::start();
    let data_dir = node.data_dir();
    let (pid, http) = (node.pid(), node.addresses().http);
    let tool = Tool::of(&data_dir, http);
    let guest = Client::new(http, "guest", "guest");
    assert_eq!(guest.ask("PUT", "/api/queues/%2F/q", r#"{"durable":true}"#).status, 201);
    assert_eq!(guest.ask("DELETE", "/api/users/guest", "").status, 204);

    let too_early = tool.ask("POST", "reset", "");
    tool.stop_app();
    let while_drained = TcpStream::connect(node.amqp()).is_err();
    tool.reset();
    let overview = tool.client().ask("GET", "/api/overview", "");
    let while_stopped = TcpStream::connect(node.amqp()).is_err();
    tool.start_app();

    assert_eq!(too_early.0, 400, "{}", too_early.1);
    assert!(too_early.1.contains("requires the 'rabbit' app to be stopped"), "{}", too_early.1);
    assert_eq!(overview.status, 503, "{}", overview.body);
    assert!(overview.body.contains("requires the 'rabbit' app to be running"), "{}", overview.body);
    assert_eq!((while_drained, while_stopped), (true, true));
    assert_eq!(guest.value("/api/queues").to_string(), "[]");
    assert_eq!(names(&guest.value("/api/users")), ["guest"]);
    assert!(TcpStream::connect(node.amqp()).is_ok());
    assert_eq!(node.pid(), pid);
}

#[test]
fn a_node_of_three_leaves_when_it_is_reset_and_joins_again_when_it_starts() {
    let Some(cluster) = Cluster::own(3) else { return };
    let client = Client::new(cluster.http(0), "guest", "guest");
    assert_eq!(client.ask("PUT", "/api/queues/%2F/q", r#"{"durable":true}"#).status, 201);
    let message =
        r#"{"properties":{},"routing_key":"q","payload":"m","payload_encoding":"string"}"#;
    let published = client.ask("POST", "/api/exchanges/%2F/amq.default/publish", message);
    assert_eq!(published.status, 200, "{}", published.body);
    let data_dir = cluster.data_dir(2);
    let tool = Tool::of(&data_dir, cluster.http(2));

    tool.stop_app();
    tool.reset();

    assert_eq!(names(&client.value("/api/nodes")), ["warren@n1", "warren@n2"]);
    tool.start_app();
    cluster.wait_complete();
    let there = Client::new(cluster.http(2), "guest", "guest");
    assert_eq!(names(&there.value("/api/nodes")), ["warren@n1", "warren@n2", "warren@n3"]);
    let get = r#"{"count":1,"ackmode":"ack_requeue_false","encoding":"auto"}"#;
    let got = there.ask("POST", "/api/queues/%2F/q/get", get);
    assert_eq!(got.json()[0]["payload"], "m", "{}", got.body);
}

#[test]
fn a_node_alone_joins_another_when_it_is_told_to() {
    let (first, second) = (Node::start(), Node::start_with(&["--name", "warren@second"]));
    let data_dir = second.data_dir();
    let tool = Tool::of(&data_dir, second.addresses().http);
    let join =
        |address: SocketAddr| tool.ask("POST", "join", &format!(r#"{{"node":"{address}"}}"#));
    let guest = Client::new(first.addresses().http, "guest", "guest");
    assert_eq!(guest.ask("PUT", "/api/queues/%2F/q", r#"{"durable":true}"#).status, 201);

    let too_early = join(first.addresses().peer).0;
    tool.stop_app();
    let (nowhere, why) = join(first.addresses().amqp);
    let (joined, body) = join(first.addresses().peer);
    tool.wait_for("stopped");
    tool.start_app();

    assert_eq!((too_early, nowhere, joined), (400, 400, 204), "{body}");
    assert!(why.contains("no node of a cluster answers at"), "{why}");
    let there = Client::new(second.addresses().http, "guest", "guest");
    assert_eq!(names(&there.value("/api/queues")), ["q"]);
    assert_eq!(there.value("/api/nodes").as_array().map(Vec::len), Some(2));
}

#[test]
fn a_node_that_is_told_to_stop_ends_in_order() {
    let mut node = Node::start();
    let data_dir = node.data_dir();
    let tool = Tool::of(&data_dir, node.addresses().http);

    assert_eq!(tool.ask("POST", "stop", "").0, 204);

    assert!(node.wait_end().success(), "{}", node.log_tail());
}

#[test]
fn the_configuration_is_shown_without_secrets() {
    let node = Node::start_with(&["--shards", "5"]);

    let told = Client::new(node.addresses().http, "guest", "guest").value("/api/config/effective");

    assert_eq!(told["shards"], 5);
    assert_eq!(told["amqp"], node.amqp().to_string());
    assert_eq!(told["default_pass"], "********");
}

#[test]
fn of_two_nodes_of_one_name_the_running_one_is_drained_and_the_other_forgotten() {
    let Some(mut cluster) = Cluster::own(3) else { return };
    let client = Client::new(cluster.http(0), "guest", "guest");
    let addresses = cluster.data_dir(0).join("management.addresses");
    let addresses = std::fs::read_to_string(addresses).unwrap();
    let seed = addresses.lines().find_map(|line| line.strip_prefix("peer=")).unwrap();
    cluster.kill9(2);
    let _again = Node::start_with(&["--name", "warren@n3", "--seeds", seed]);
    let named = || {
        let mut nodes = client.value("/api/warren/nodes").as_array().unwrap().clone();
        nodes.retain(|row| row["name"] == "warren@n3");
        nodes
    };
    until("the killed one is known to be down", || {
        named().iter().filter(|row| row["running"] == true).count() == 1
    });
    assert_eq!(named().len(), 2);

    let drained = client.ask("PUT", "/api/warren/nodes/warren@n3/drain", "");
    let draining = named().into_iter().find(|row| row["draining"] == true);
    let state = client.value("/api/warren/nodes/warren@n3/drain")["state"].clone();
    let node = client.value("/api/nodes/warren@n3");
    let forgotten = client.ask("DELETE", "/api/warren/nodes/warren@n3", "");

    assert_eq!((drained.status, forgotten.status), (204, 204), "{}", forgotten.body);
    assert_eq!(draining.unwrap()["running"], true);
    assert!(["draining", "drained"].contains(&state.as_str().unwrap()), "{state}");
    assert_eq!(node["running"], true);
    let left: Vec<bool> = named().iter().map(|row| row["running"] == true).collect();
    assert_eq!(left, [true]);
}
