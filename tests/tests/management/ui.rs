//! The web UI in Chromium, against three nodes under load.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use warren_tests::cluster::Cluster;
use warren_tests::tools;

/// Messages a second that go through the nodes meanwhile.
const RATE: &str = "200";

/// Seconds after which the load ends by itself.
const LOAD_SECONDS: &str = "600";

/// A load that ends when it is dropped.
struct Load(Child);

impl Drop for Load {
    fn drop(&mut self) {
        drop((self.0.kill(), self.0.wait()));
    }
}

fn load(cluster: &Cluster) -> Load {
    let hosts: Vec<String> = (0..3).map(|node| cluster.amqp(node).to_string()).collect();
    let child = Command::new(env!("CARGO_BIN_EXE_warren-load"))
        .args(["durable", "--hosts", &hosts.join(","), "--queues", "3", "--publishers", "3"])
        .args(["--consumers", "3", "--rate", RATE, "--seconds", LOAD_SECONDS])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Load(child.expect("the load can be started"))
}

#[test]
fn the_pages_work_in_chromium_against_three_nodes_under_load() {
    let Some(programs) = tools::find(&["node", "chromium"]) else { return };
    let Some(cluster) = Cluster::own(3) else { return };
    let _load = load(&cluster);
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/management/ui/tests/run.mjs");

    let outcome = Command::new(&programs[0])
        .arg(script)
        .args([&format!("http://{}", cluster.http(0)), "guest", "guest"])
        .env("CHROMIUM", &programs[1])
        .stdin(Stdio::null())
        .output()
        .expect("node can be started");

    let said = String::from_utf8_lossy(&outcome.stdout);
    let complained = String::from_utf8_lossy(&outcome.stderr);
    assert!(outcome.status.success(), "{said}\n{complained}");
    assert!(said.contains("ok   "), "{said}\n{complained}");
}
