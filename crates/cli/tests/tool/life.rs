//! Stopping, resetting and starting a node, and breaking it.

use crate::fake::Fake;
use crate::program::{run, text};

const OVERVIEW: (&str, u16, &str) = ("GET /api/overview", 200, r#"{"node":"warren@a"}"#);

/// What a node says of its cluster that has none.
const NO_OVERVIEW: (&str, u16, &str) =
    ("GET /api/overview", 503, r#"{"error":"service_unavailable","reason":"the node is stopped"}"#);

const OF_NODE: &str = "/api/warren/nodes/warren%40a";

#[test]
fn stop_app_is_done_when_the_clients_are_gone() {
    let (delete, get) = (format!("DELETE {OF_NODE}/app"), format!("GET {OF_NODE}/app"));
    for (state, exit) in [("drained", 0), ("stopped", 0), ("draining", 75)] {
        let state = format!(r#"{{"node":"warren@a","state":"{state}"}}"#);
        let node = Fake::answering(&[OVERVIEW, (&delete, 204, ""), (&get, 200, &state)]);

        let output = run("rabbitmqctl", &node.url, &["stop_app", "-t", "1"]);

        assert_eq!(output.status.code(), Some(exit), "{state}: {}", text(&output.stderr));
        assert_eq!(node.changes(), [delete.as_str()]);
    }
}

#[test]
fn a_reset_is_done_when_the_node_waits_and_force_is_handed_on() {
    let (post, get) = (format!("POST {OF_NODE}/reset"), format!("GET {OF_NODE}/app"));
    for (command, force) in [("reset", false), ("force_reset", true)] {
        let stopped = (get.as_str(), 200, r#"{"state":"stopped"}"#);
        let node = Fake::answering(&[OVERVIEW, (&post, 204, ""), stopped]);

        let output = run("rabbitmqctl", &node.url, &[command]);

        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert_eq!(node.changes(), [format!(r#"{post} {{"force":{force}}}"#)]);
    }
}

#[test]
fn a_node_that_was_reset_is_known_by_what_it_says_of_its_app() {
    let (put, ready) = (format!("PUT {OF_NODE}/app"), ("GET /health/ready", 200, "{}"));
    let app = ("GET /api/warren/app", 200, r#"{"node":"warren@a","state":"stopped"}"#);
    let node = Fake::answering(&[NO_OVERVIEW, app, (&put, 204, ""), ready]);

    let output = run("rabbitmqctl", &node.url, &["start_app"]);

    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "Starting node warren@a ...\n");
    assert_eq!(node.changes(), [format!("{put} {{}}")]);
}

#[test]
fn a_node_that_was_reset_joins_another() {
    let join = format!("POST {OF_NODE}/join");
    let app = ("GET /api/warren/app", 200, r#"{"node":"warren@a","state":"stopped"}"#);
    let node = Fake::answering(&[
        NO_OVERVIEW,
        app,
        ("GET /api/nodes", 503, NO_OVERVIEW.2),
        (&join, 204, ""),
    ]);

    let output = run("rabbitmqctl", &node.url, &["join_cluster", "warren@b"]);

    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(node.changes(), [format!(r#"{join} {{"node":"warren@b"}}"#)]);
}

#[test]
fn what_chaos_is_told_must_make_sense() {
    let nodes = ("GET /api/nodes", 200, r#"[{"name":"warren@a","running":true}]"#);
    let cases: [(&[&str], i32, &str); 5] = [
        (&["melt", "warren@a"], 65, "to kill, pause, isolate or slow"),
        (&["pause", "warren@a", "--for", "soon"], 65, "--for is a time such as"),
        (&["pause", "warren@a", "--for", "0s"], 65, "--for is a time such as"),
        (&["pause"], 64, "name a node"),
        (&["kill", "warren@a"], 69, "no other node runs"),
    ];

    for (arguments, exit, words) in cases {
        let node = Fake::answering(&[OVERVIEW, nodes]);
        let arguments: Vec<&str> = ["chaos"].iter().chain(arguments).copied().collect();

        let output = run("warrenctl", &node.url, &arguments);

        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {error}");
        assert!(error.contains(words), "{arguments:?}: {error}");
        assert!(node.changes().is_empty(), "{arguments:?}");
    }
}

#[test]
fn plugins_are_those_that_the_node_says_and_are_known_without_one() {
    let row = ("GET /api/nodes/warren%40a", 200, r#"{"enabled_plugins":["rabbitmq_other"]}"#);
    let node = Fake::answering(&[OVERVIEW, row]);

    let asked = run("rabbitmq-plugins", &node.url, &["list", "-m", "-q"]);
    let offline =
        run("rabbitmq-plugins", &node.url, &["enable", "rabbitmq_management", "--offline"]);

    assert_eq!(text(&asked.stdout), "rabbitmq_other\n");
    assert_eq!(offline.status.code(), Some(0), "{}", text(&offline.stderr));
}
