//! Other people's programs walk through their commands against three nodes.

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use warren_tests::cluster::Cluster;
use warren_tests::packages::{self, PYRABBIT2};
use warren_tests::wire::Wire;

/// How long a list may lack what another node made.
const PATIENCE: Duration = Duration::from_secs(20);

/// What `rabbitmqadmin` of RabbitMQ 3 is told, and what it must say then.
const RABBITMQADMIN_3: [(&[&str], &str); 50] = [
    (&["show", "overview"], "rabbitmq_version"),
    (&["list", "nodes", "name", "running"], "warren@n3"),
    (&["declare", "vhost", "name=adm"], "vhost declared"),
    (&["list", "vhosts", "name", "messages"], "adm"),
    (&["declare", "user", "name=ann", "password=p", "tags=administrator"], "user declared"),
    (&["list", "users", "name", "tags"], "ann"),
    (
        &["declare", "permission", "vhost=adm", "user=ann", "configure=.*", "write=.*", "read=.*"],
        "permission declared",
    ),
    (
        &[
            "declare",
            "permission",
            "vhost=adm",
            "user=guest",
            "configure=.*",
            "write=.*",
            "read=.*",
        ],
        "permission declared",
    ),
    (&["list", "permissions", "user", "configure"], "ann"),
    (&["-V", "adm", "declare", "exchange", "name=x", "type=topic"], "exchange declared"),
    (&["-V", "adm", "list", "exchanges", "name", "type", "internal"], "topic"),
    (&["-V", "adm", "declare", "queue", "name=q", "queue_type=quorum"], "queue declared"),
    (&["-V", "adm", "declare", "queue", "name=c", "durable=true"], "queue declared"),
    (
        &["-V", "adm", "declare", "queue", "name=a", r#"arguments={"x-message-ttl":60000}"#],
        "queue declared",
    ),
    (&["-V", "adm", "list", "queues", "name", "type", "messages"], "quorum"),
    (
        &["-V", "adm", "declare", "binding", "source=x", "destination=q", "routing_key=a.*"],
        "binding declared",
    ),
    (&["-V", "adm", "list", "bindings"], "a.*"),
    (
        &[
            "-V",
            "adm",
            "declare",
            "policy",
            "name=p",
            "pattern=^q",
            r#"definition={"max-length":9}"#,
            "apply-to=queues",
        ],
        "policy declared",
    ),
    (&["-V", "adm", "list", "policies"], "max-length"),
    (
        &[
            "-V",
            "adm",
            "declare",
            "operator_policy",
            "name=o",
            "pattern=^q",
            r#"definition={"max-length":8}"#,
            "apply-to=queues",
            "priority=1",
        ],
        "operator_policy declared",
    ),
    (&["-V", "adm", "list", "operator_policies"], "max-length"),
    (
        &["declare", "vhost_limit", "vhost=adm", "name=max-queues", "value=7"],
        "vhost_limit declared",
    ),
    (&["list", "vhost_limits"], "max-queues"),
    (&["list", "parameters"], ""),
    (
        &["-V", "adm", "publish", "exchange=x", "routing_key=a.b", "payload=hello"],
        "Message published",
    ),
    (&["-V", "adm", "publish", "exchange=x", "routing_key=b", "payload=gone"], "NOT routed"),
    (
        &[
            "-V",
            "adm",
            "publish",
            "routing_key=q",
            "payload=again",
            r#"properties={"delivery_mode":2,"headers":{"k":1}}"#,
        ],
        "Message published",
    ),
    (&["-V", "adm", "get", "queue=q"], "hello"),
    (&["-V", "adm", "get", "queue=q", "ackmode=ack_requeue_false", "count=2"], "again"),
    (&["-V", "adm", "get", "queue=q"], "No items"),
    (&["-V", "adm", "purge", "queue", "name=q"], "queue purged"),
    (&["-f", "raw_json", "-V", "adm", "list", "queues"], "\"name\":\"q\""),
    (&["-f", "pretty_json", "-V", "adm", "list", "queues", "name"], "\"name\": \"q\""),
    (&["-f", "tsv", "-V", "adm", "list", "queues", "name", "durable"], "q\tTrue"),
    (&["-f", "long", "-V", "adm", "list", "queues"], "name: q"),
    (&["-f", "kvp", "-V", "adm", "list", "queues", "name"], "name=\"q\""),
    (&["-f", "bash", "-V", "adm", "list", "queues", "name"], "q"),
    (&["-S", "name", "-R", "-V", "adm", "list", "queues", "name"], "q"),
    (&["-d", "3", "-V", "adm", "list", "exchanges"], "user_who_performed_action"),
    (&["list", "connections"], ""),
    (&["list", "channels"], ""),
    (&["list", "consumers"], ""),
    (
        &[
            "-V",
            "adm",
            "delete",
            "binding",
            "source=x",
            "destination_type=queue",
            "destination=q",
            "properties_key=a.%2A",
        ],
        "binding deleted",
    ),
    (&["-V", "adm", "delete", "policy", "name=p"], "policy deleted"),
    (&["-V", "adm", "delete", "operator_policy", "name=o"], "operator_policy deleted"),
    (&["delete", "vhost_limit", "vhost=adm", "name=max-queues"], "vhost_limit deleted"),
    (&["-V", "adm", "delete", "queue", "name=q"], "queue deleted"),
    (&["-V", "adm", "delete", "exchange", "name=x"], "exchange deleted"),
    (&["delete", "permission", "vhost=adm", "user=ann"], "permission deleted"),
    (&["delete", "user", "name=ann"], "user deleted"),
];

/// A program at work.
struct Admin {
    program: std::path::PathBuf,
    nodes: Vec<SocketAddr>,
    turn: usize,
}

impl Admin {
    /// Tells the program that, each time for the next node; what it says, if it succeeds.
    fn run(&mut self, arguments: &[&str]) -> Result<String, String> {
        let node = self.nodes[self.turn % self.nodes.len()];
        self.turn += 1;
        let mut command = Command::new("python3");
        command.arg(&self.program).args(["-H", &node.ip().to_string()]);
        command.args(["-P", &node.port().to_string(), "-u", "guest", "-p", "guest"]);
        let output = command.args(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(text);
        }
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(format!("{}: {text}{error}", output.status))
    }

    /// The same; a list that lacks what is expected is asked for again for a while, as another node
    /// than the asked one may have made it.
    fn run_until(&mut self, arguments: &[&str], expected: &str) -> Result<String, String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let said = self.run(arguments);
            let is_there = said.as_ref().is_ok_and(|said| said.contains(expected));
            if is_there || !arguments.contains(&"list") || Instant::now() >= deadline {
                return said;
            }
        }
    }

    fn must(&mut self, arguments: &[&str]) -> String {
        self.run(arguments).unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
    }
}

fn addresses(cluster: &Cluster) -> Vec<SocketAddr> {
    (0..cluster.len()).map(|node| cluster.http(node)).collect()
}

#[test]
fn rabbitmqadmin_of_rabbitmq_3_walks_through_its_commands_against_three_nodes() {
    let Some(program) = packages::rabbitmqadmin_3() else { return };
    let Some(cluster) = Cluster::own(3) else { return };
    let mut admin = Admin { program, nodes: addresses(&cluster), turn: 0 };
    let mut different = Vec::new();

    for (arguments, expected) in RABBITMQADMIN_3 {
        match admin.run_until(arguments, expected) {
            Ok(said) if said.contains(expected) => {}
            Ok(said) => different.push(format!("{arguments:?}: no {expected:?} in\n{said}")),
            Err(error) => different.push(format!("{arguments:?}: {error}")),
        }
    }

    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn rabbitmqadmin_of_rabbitmq_3_takes_definitions_out_and_in_and_closes_connections() {
    let Some(program) = packages::rabbitmqadmin_3() else { return };
    let Some(cluster) = Cluster::own(3) else { return };
    let mut admin = Admin { program, nodes: addresses(&cluster), turn: 0 };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("definitions.json");
    let file = file.to_str().unwrap();
    let wire = Wire::open(cluster.amqp(0)).unwrap();

    admin.must(&["declare", "queue", "name=kept", "queue_type=quorum"]);
    admin.must(&["export", file]);
    admin.must(&["delete", "queue", "name=kept"]);
    admin.must(&["import", file]);
    let queues = admin.run_until(&["-f", "tsv", "list", "queues", "name"], "kept").unwrap();
    let connections = admin.must(&["-f", "raw_json", "list", "connections", "name"]);
    let connections: Value = serde_json::from_str(&connections).unwrap();
    let name = format!("name={}", connections[0]["name"].as_str().unwrap());
    let closed = admin.must(&["close", "connection", &name]);

    assert!(queues.contains("kept"), "{queues}");
    assert!(closed.contains("connection closed"), "{closed}");
    drop(wire);
}

#[test]
fn pyrabbit2_walks_through_its_calls_against_three_nodes() {
    let Some(cluster) = Cluster::own(3) else { return };

    for node in addresses(&cluster) {
        let said = PYRABBIT2.run(node, "pyrabbit2_walk", &[]);
        assert_eq!(said.last().map(String::as_str), Some(r#"{"nodes": 3}"#));
    }
}

#[test]
fn rabbitmq_stats_walks_through_its_calls_against_three_nodes() {
    let Some(library) = packages::npm("rabbitmq-stats@1.2.4") else { return };
    let Some(cluster) = Cluster::own(3) else { return };
    let package = std::env::var("CARGO_MANIFEST_DIR");
    let package = package.as_deref().unwrap_or(env!("CARGO_MANIFEST_DIR"));

    for node in addresses(&cluster) {
        let mut command = Command::new("node");
        command.arg(format!("{package}/node/rabbitmq-stats.js")).arg(format!("http://{node}"));
        let output = command.env("NODE_PATH", library.join("node_modules")).output().unwrap();

        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), r#"{"nodes":3}"#);
    }
}
