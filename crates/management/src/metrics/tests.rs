//! Tests of `metrics`.

use std::collections::BTreeSet;

use warren_types::{GroupId, LogIndex, Term};

use super::*;

#[test]
fn the_identity_names_node_cluster_and_endpoint() {
    let page = text(&observation(), "127.0.0.1:15692");

    assert_sample(
        &page,
        "rabbitmq_identity_info{rabbitmq_node=\"warren@a\",rabbitmq_cluster=\"c\",\
         rabbitmq_cluster_permanent_id=\"00ff\",rabbitmq_endpoint=\"127.0.0.1:15692\"} 1",
    );
    assert_sample(
        &page,
        "rabbitmq_build_info{rabbitmq_version=\"4.3.0\",product_name=\"warren\",\
         product_version=\"0.1.0\",commit=\"abc\"} 1",
    );
}

#[test]
fn channels_are_those_that_were_opened_and_not_closed() {
    let page = text(&observation(), "");

    assert_sample(&page, "rabbitmq_channels 3");
    assert_sample(&page, "rabbitmq_channels_opened_total 5");
    assert_sample(&page, "rabbitmq_channels_closed_total 2");
}

#[test]
fn messages_are_those_ready_and_those_unsettled() {
    let page = text(&observation(), "");

    assert_sample(&page, "rabbitmq_queue_messages_ready 7");
    assert_sample(&page, "rabbitmq_queue_messages_unacked 4");
    assert_sample(&page, "rabbitmq_queue_messages 11");
}

#[test]
fn what_is_fetched_counts_as_delivered() {
    let page = text(&observation(), "");

    assert_sample(&page, "rabbitmq_global_messages_delivered_total{protocol=\"amqp091\"} 30");
    assert_sample(&page, "warren_messages_got_total{protocol=\"amqp091\"} 10");
}

#[test]
fn each_group_has_a_row_under_one_heading() {
    let page = text(&observation(), "");

    assert_sample(&page, "rabbitmq_raft_term{group=\"0\"} 2");
    assert_sample(&page, "rabbitmq_raft_last_applied{group=\"1\"} 9");
    assert_sample(&page, "warren_raft_leads{group=\"0\"} 1");
    assert_sample(&page, "warren_raft_leads{group=\"1\"} 0");
}

#[test]
fn sync_buckets_add_up_and_are_in_seconds() {
    let page = text(&observation(), "");

    let name = "warren_storage_sync_duration_seconds";
    assert_sample(&page, &format!("{name}_bucket{{le=\"0.0001\"}} 1"));
    assert_sample(&page, &format!("{name}_bucket{{le=\"2\"}} 3"));
    assert_sample(&page, &format!("{name}_bucket{{le=\"+Inf\"}} 4"));
    assert_sample(&page, &format!("{name}_sum 3.00015"));
    assert_sample(&page, &format!("{name}_count 4"));
}

#[test]
fn a_node_that_has_not_started_shows_what_there_is() {
    let page = text(&Observation::default(), "");

    assert!(page.contains("rabbitmq_identity_info"));
    assert!(!page.contains("rabbitmq_connections"));
    assert!(!page.contains("rabbitmq_raft_term"));
    assert!(!page.contains("rabbitmq_disk_space_available_bytes"));
}

#[test]
fn a_cluster_shows_who_runs_and_what_is_missing() {
    let page = text(&observation(), "");

    assert_sample(&page, "warren_cluster_nodes 3");
    assert_sample(&page, "warren_cluster_nodes_running 2");
    assert_sample(&page, "warren_cluster_replicas_missing 5");
    assert_sample(&page, "warren_cluster_groups_leaderless 0");
    assert_sample(&page, "warren_orphaned_consumers_total 1");
}

#[test]
fn every_sample_belongs_to_the_heading_above_it_and_no_heading_repeats() {
    let page = text(&observation(), "");
    let mut names = BTreeSet::new();
    let mut current = "";

    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            current = rest.split(' ').next().expect("a heading has a name");
            assert!(names.insert(current), "{current} repeats");
        } else if !line.starts_with('#') {
            assert!(line.starts_with(current), "{line} under {current}");
        }
    }

    let kinds = page.lines().filter(|line| line.starts_with("# TYPE ")).count();
    assert_eq!(kinds, names.len());
}

fn observation() -> Observation {
    Observation {
        identity: Identity {
            node_name: "warren@a".to_owned(),
            cluster_name: "c".to_owned(),
            cluster_id: "00ff".to_owned(),
            version: "0.1.0".to_owned(),
            commit: "abc".to_owned(),
        },
        clients: Some(ClientTotals {
            channels_opened: 5,
            channels_closed: 2,
            messages_ready: 7,
            messages_unacked: 4,
            delivered: 20,
            got: 10,
            orphaned_consumers: 1,
            ..ClientTotals::default()
        }),
        cluster: Some(ClusterTotals {
            nodes: 3,
            nodes_running: 2,
            replicas_missing: 5,
            groups_leaderless: 0,
        }),
        groups: vec![
            GroupObservation { term: Term(2), leads: true, ..GroupObservation::default() },
            GroupObservation {
                group: GroupId(1),
                applied: LogIndex(9),
                ..GroupObservation::default()
            },
        ],
        storage: Some(StorageTotals {
            syncs: 4,
            sync_us_total: 3_000_150,
            sync_buckets: vec![(100, 1), (2_000_000, 2)],
            ..StorageTotals::default()
        }),
        process: ProcessObservation::default(),
    }
}

fn text(observation: &Observation, endpoint: &str) -> String {
    page(observation, endpoint, QueueTotals::Shown).finish()
}

fn assert_sample(page: &str, line: &str) {
    assert!(page.lines().any(|found| found == line), "no line '{line}' in\n{page}");
}
