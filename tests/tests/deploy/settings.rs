//! What manifests tell the program is what it understands.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};
use warren_tests::node::binary;

use crate::objects::{Renderer, all, named, of_kind};

#[test]
fn the_program_accepts_every_configuration_file() {
    let Some(renderer) = Renderer::ready() else { return };

    for (name, objects) in all(&renderer) {
        for map in of_kind(&objects, "ConfigMap") {
            let Some(text) = map["data"]["warren.toml"].as_str() else { continue };

            let (accepted, said) = check(text);

            assert!(accepted, "{name}: {said}\n{text}");
        }
    }
}

#[test]
fn settings_of_the_chart_reach_their_sections() {
    let Some(renderer) = Renderer::ready() else { return };
    let values = json!({ "fullnameOverride": "broker", "config": {
        "default_vhost": "a \"quoted\" one",
        "loopback_users": ["guest", "other"],
        "limits": { "heartbeat_s": 30 },
        "storage": { "recent_bytes": 134_217_728, "rocksdb": { "background_jobs": 4 } },
        "log": { "filter": "debug" },
    } });

    let chart = renderer.chart(&values);

    let expected = r#"cluster_name = "warren"
peer = "0.0.0.0:25672"
# One name that leads to all nodes, ready or not.
seeds = ["broker-peers:25672"]
default_vhost = "a \"quoted\" one"
loopback_users = ["guest","other"]

[limits]
heartbeat_s = 30

[log]
filter = "debug"
format = "json"

[storage]
recent_bytes = 134217728

[storage.rocksdb]
background_jobs = 4
"#;
    assert_eq!(named(&chart, "ConfigMap", "broker")["data"]["warren.toml"], expected);
}

#[test]
fn a_key_that_does_not_exist_is_found() {
    let (accepted, said) = check("cluster_nam = \"warren\"\n");

    assert!(!accepted);
    assert!(said.contains("cluster_nam"), "{said}");
}

#[test]
fn every_variable_is_one_of_the_programs() {
    let Some(renderer) = Renderer::ready() else { return };
    let known = variables();

    for (name, objects) in all(&renderer) {
        for set in of_kind(&objects, "StatefulSet") {
            let env = &set["spec"]["template"]["spec"]["containers"][0]["env"];
            let names = env.as_array().expect("there are some").iter();
            for variable in names.map(|variable| variable["name"].as_str().expect("it is text")) {
                let ours = known.contains(variable) || variable == "POD_NAME";
                assert!(ours, "{name}: {variable}");
            }
        }
    }
}

#[test]
fn a_pod_has_time_for_the_pause_and_the_drain() {
    let Some(renderer) = Renderer::ready() else { return };
    let drain = default_of("drain_timeout_ms");

    for (name, objects) in all(&renderer) {
        for set in of_kind(&objects, "StatefulSet") {
            let pod = &set["spec"]["template"]["spec"];
            let seconds = |value: &Value| value.as_u64().expect("it is a number");
            let pause = seconds(&pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]);
            let grace = seconds(&pod["terminationGracePeriodSeconds"]);
            assert!(grace > pause + 2 * drain / 1000, "{name}: {grace} s");
        }
    }
}

/// Whether the program takes a file, and what it says.
fn check(text: &str) -> (bool, String) {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("warren.toml");
    std::fs::write(&path, text).expect("there is room");
    let output = Command::new(binary().expect("it was built"))
        .arg("check-config")
        .arg(&path)
        .output()
        .expect("the program can be started");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

fn defaults() -> String {
    let output = Command::new(binary().expect("it was built"))
        .arg("default-config")
        .output()
        .expect("the program can be started");
    String::from_utf8(output.stdout).expect("it writes text")
}

/// All variables that set something.
pub(crate) fn variables() -> BTreeSet<String> {
    let text = defaults();
    let lines = text.lines().filter_map(|line| line.strip_prefix("# WARREN_"));
    lines.map(|name| format!("WARREN_{name}")).collect()
}

fn default_of(key: &str) -> u64 {
    let text = defaults();
    let value = text.lines().find_map(|line| line.strip_prefix(&format!("{key} = ")));
    value.expect("the key exists").parse().expect("it is a number")
}
