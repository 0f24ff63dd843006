//! Asks the nodes how they are, for the checkers.

use std::fs;
use std::time::Duration;

use serde_json::Value;
use warren_tests::cluster::Page;
use warren_tests::http::Client;

use crate::history::Recorder;
use crate::readings::{Counts, Group, Members, Reading};
use crate::rig::Rig;
use crate::rig::node::{Footprint, Node};

/// What every node that is awake says of itself.
pub fn survey(rig: &mut Rig, recorder: &Recorder, phase: &str) -> Vec<Reading> {
    let at = recorder.now();
    rig.nodes().iter_mut().filter_map(|node| read(node, at, phase)).collect()
}

fn read(node: &mut Node, at: Duration, phase: &str) -> Option<Reading> {
    if !node.is_awake() {
        return None;
    }
    let pid = node.pid()?;
    let page = Page::of(node.addresses().metrics).ok()?;
    let client = Client::new(node.addresses().http, "guest", "guest");
    let footprint = Footprint::of(pid);
    Some(Reading {
        at,
        phase: phase.to_owned(),
        node: node.name().to_owned(),
        life: node.lives(),
        groups: groups(&page, &client),
        members: members(&client),
        queues: queues(&client),
        disk_bytes: node.disk_bytes(),
        memory_bytes: footprint.memory_bytes,
        files: footprint.files,
        threads: footprint.threads,
    })
}

fn groups(page: &Page, client: &Client) -> Vec<Group> {
    let digests = list(client, "/api/warren/digests");
    let of = |(name, term): (String, f64)| {
        let value = |metric: &str| {
            let value = page.value(metric, &[("group", &name)]).unwrap_or_default();
            // Counters of a log are whole and far below 2^53.
            value as u64
        };
        let digest = digests.iter().find(|digest| digest["group"].as_u64() == name.parse().ok());
        let hash = |digest: &Value| u64::from_str_radix(digest["digest"].as_str()?, 16).ok();
        Group {
            term: term as u64,
            leads: value("warren_raft_leads") == 1,
            committed: value("rabbitmq_raft_commit_index"),
            applied: value("rabbitmq_raft_last_applied"),
            last: value("rabbitmq_raft_last_written_index"),
            snapshot: value("rabbitmq_raft_snapshot_index"),
            digest: digest.and_then(|digest| Some((digest["applied"].as_u64()?, hash(digest)?))),
            name,
        }
    };
    page.by_label("rabbitmq_raft_term", "group").into_iter().map(of).collect()
}

fn queues(client: &Client) -> Vec<Counts> {
    let of = |queue: &Value| {
        let number = |key: &str| queue[key].as_u64();
        Some(Counts {
            vhost: queue["vhost"].as_str()?.to_owned(),
            queue: queue["name"].as_str()?.to_owned(),
            ready: number("messages_ready")?,
            unacknowledged: number("messages_unacknowledged")?,
            consumers: number("consumers")?,
        })
    };
    list(client, "/api/queues").iter().filter_map(of).collect()
}

fn members(client: &Client) -> Vec<Members> {
    let names = |value: &Value| -> Vec<String> {
        let mut names: Vec<String> = value
            .as_array()
            .map_or(&[][..], Vec::as_slice)
            .iter()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect();
        names.sort();
        names
    };
    let of = |row: &Value| {
        // A group whose leader did not answer says nothing of its voters.
        row["voters"].as_array()?;
        Some(Members {
            group: row["group"].as_u64()?,
            wanted: names(&row["replicas"]),
            voters: names(&row["voters"]),
            learners: names(&row["learners"]),
            is_everywhere: row["kind"] == "catalog",
        })
    };
    list(client, "/api/warren/shards").iter().filter_map(of).collect()
}

fn list(client: &Client, path: &str) -> Vec<Value> {
    let answer = client.try_ask("GET", path, "").ok().filter(|answer| answer.status == 200);
    let value = answer.and_then(|answer| serde_json::from_str(&answer.body).ok());
    match value {
        Some(Value::Array(all)) => all,
        _ => Vec::new(),
    }
}

/// Keeps readings beside a history.
///
/// # Errors
///
/// When they cannot be written.
pub fn keep(path: &std::path::Path, readings: &crate::readings::Readings) -> anyhow::Result<()> {
    fs::write(path, format!("{readings:#?}\n")).map_err(Into::into)
}
