//! Limits on connections: they hold for all nodes together, whichever a client connects to.

use std::thread;

use anyhow::Result;
use warren_tests::cluster::Cluster;
use warren_tests::http::Client;
use warren_tests::wire::Wire;

use crate::support::await_that;

/// Connections that are tried at once, over all nodes.
const CROWD: usize = 12;

/// Sets a limit, and waits until all nodes know it.
fn limit(cluster: &Cluster, path: &str, connections: usize) {
    let ask = |node| Client::new(cluster.http(node), "guest", "guest");
    let body = format!(r#"{{"value":{connections}}}"#);
    let answer = ask(0).ask("PUT", &format!("/api/{path}/max-connections"), &body);
    assert_eq!(answer.status, 204, "{}", answer.body);
    let kind = path.split('/').next().unwrap();
    let shown = format!(r#""max-connections":{connections}"#);
    for node in 0..cluster.len() {
        await_that("every node knows the limit", || {
            ask(node).ask("GET", &format!("/api/{kind}"), "").body.contains(&shown)
        });
    }
}

fn open(cluster: &Cluster, node: usize) -> Result<Wire> {
    Wire::open(cluster.amqp(node))
}

#[track_caller]
fn assert_refused(cluster: &Cluster, node: usize, text: &str) {
    let refused = open(cluster, node).map(drop).unwrap_err();
    let words = format!("{refused:#}");
    assert!(words.contains("530") && words.contains(text), "{words}");
}

#[test]
fn connections_to_all_nodes_count_towards_a_virtual_hosts_limit() {
    let cluster = Cluster::start();
    if cluster.is_foreign() {
        return;
    }
    limit(&cluster, "vhost-limits/%2f", 3);
    let mut clients: Vec<Wire> = (0..3).map(|node| open(&cluster, node).unwrap()).collect();

    for node in 0..3 {
        let text = "NOT_ALLOWED - access to vhost '/' refused for user 'guest': \
                    connection limit (3) is reached";
        assert_refused(&cluster, node, text);
    }

    clients.remove(0).close().unwrap();
    let mut again = None;
    await_that("there is room on another node for one that left", || {
        again = open(&cluster, 2).ok();
        again.is_some()
    });
    assert_refused(&cluster, 0, "connection limit (3) is reached");
}

#[test]
fn a_crowd_at_all_nodes_never_gets_in_beyond_a_users_limit() {
    let cluster = Cluster::start();
    if cluster.is_foreign() {
        return;
    }
    limit(&cluster, "user-limits/guest", CROWD / 3);
    let addresses: Vec<_> = (0..CROWD).map(|at| cluster.amqp(at % 3)).collect();

    let tries: Vec<_> =
        addresses.into_iter().map(|address| thread::spawn(move || Wire::open(address))).collect();
    let tried: Vec<Result<Wire>> = tries.into_iter().map(|one| one.join().unwrap()).collect();

    let inside = tried.iter().filter(|one| one.is_ok()).count();
    assert!(inside <= CROWD / 3, "{inside} got in");
    let text = "connection refused for user 'guest': user connection limit (4) is reached";
    for refused in tried.iter().filter_map(|one| one.as_ref().err()) {
        assert!(format!("{refused:#}").contains(text), "{refused:#}");
    }
    drop(tried);
    await_that("there is room again", || open(&cluster, 1).is_ok());
}

#[test]
fn a_node_that_does_not_answer_keeps_nobody_out() {
    let mut cluster = Cluster::start();
    if cluster.is_foreign() {
        return;
    }
    limit(&cluster, "vhost-limits/%2f", 2);
    let _there = open(&cluster, 2).unwrap();
    let _here = open(&cluster, 0).unwrap();
    assert_refused(&cluster, 1, "connection limit (2) is reached");

    cluster.pause(2);
    let while_silent = open(&cluster, 1);
    cluster.resume(2);

    assert!(while_silent.is_ok(), "{:#}", while_silent.err().unwrap());
}
