//! Tests of `metrics`.

use std::collections::BTreeSet;

use warren_broker::{Door, Meters};
use warren_types::{LogIndex, Term};

use super::*;
use crate::node::TraceTotals;

#[test]
fn the_identity_names_node_cluster_and_endpoint() {
    let page = text(&observation());

    assert_sample(
        &page,
        "rabbitmq_identity_info{rabbitmq_node=\"warren@a\",rabbitmq_cluster=\"c\",\
         rabbitmq_cluster_permanent_id=\"00ff\",rabbitmq_endpoint=\"aggregated\"} 1",
    );
    assert_sample(
        &page,
        "rabbitmq_build_info{rabbitmq_version=\"4.3.0\",erlang_version=\"\",\
         product_name=\"warren\",product_version=\"0.1.0\",commit=\"abc\"} 1",
    );
}

#[test]
fn channels_are_those_that_were_opened_and_not_closed() {
    let page = text(&observation());

    assert_sample(&page, "rabbitmq_channels 3");
    assert_sample(&page, "rabbitmq_channels_opened_total 5");
    assert_sample(&page, "rabbitmq_channels_closed_total 2");
}

#[test]
fn each_limit_says_where_it_stands_and_how_often_it_was_reached() {
    let page = text(&observation());

    assert_sample(&page, "warren_limit{limit=\"channel_max\"} 2047");
    assert_sample(&page, "warren_limit_hits_total{limit=\"channel_max\"} 6");
}

#[test]
fn logins_are_counted_by_what_came_of_them() {
    let page = text(&observation());

    assert_sample(&page, "rabbitmq_auth_attempts_total{protocol=\"http\"} 5");
    assert_sample(&page, "rabbitmq_auth_attempts_succeeded_total{protocol=\"http\"} 3");
    assert_sample(&page, "rabbitmq_auth_attempts_failed_total{protocol=\"http\"} 2");
}

#[test]
fn messages_are_those_ready_and_those_unsettled() {
    let page = text(&observation());

    assert_sample(&page, "rabbitmq_queue_messages_ready 7");
    assert_sample(&page, "rabbitmq_queue_messages_unacked 4");
    assert_sample(&page, "rabbitmq_queue_messages 11");
}

#[test]
fn what_is_fetched_counts_as_delivered() {
    let page = text(&observation());

    assert_sample(&page, "rabbitmq_global_messages_delivered_total{protocol=\"amqp091\"} 30");
    assert_sample(&page, "warren_messages_got_total{protocol=\"amqp091\"} 10");
}

#[test]
fn each_group_has_a_row_under_one_heading() {
    let page = text(&observation());

    assert_sample(&page, "rabbitmq_raft_term{group=\"0\"} 2");
    assert_sample(&page, "rabbitmq_raft_last_applied{group=\"1\"} 9");
    assert_sample(&page, "warren_raft_leads{group=\"0\"} 1");
    assert_sample(&page, "warren_raft_leads{group=\"1\"} 0");
}

#[test]
fn sync_buckets_add_up_and_are_in_seconds() {
    let page = text(&observation());

    let name = "warren_storage_sync_duration_seconds";
    assert_sample(&page, &format!("{name}_bucket{{le=\"0.0001\"}} 1"));
    assert_sample(&page, &format!("{name}_bucket{{le=\"2\"}} 3"));
    assert_sample(&page, &format!("{name}_bucket{{le=\"+Inf\"}} 4"));
    assert_sample(&page, &format!("{name}_sum 3.00015"));
    assert_sample(&page, &format!("{name}_count 4"));
}

#[test]
fn what_is_known_of_some_groups_is_shown_of_them() {
    let page = text(&observation());

    assert_sample(&page, "warren_raft_lag_entries{group=\"0\"} 12");
    assert_sample(&page, "rabbitmq_raft_commit_latency_seconds{group=\"1\"} 0.0015");
    assert_sample(&page, "warren_raft_leader_changes_total{group=\"1\"} 2");
    assert_sample(&page, "warren_shard_sessions{group=\"1\"} 3");
    assert!(!page.contains("warren_raft_lag_entries{group=\"1\"}"), "it leads no such group");
}

#[test]
fn sizes_and_times_add_up_under_bounds_that_dashboards_know() {
    let page = text(&observation());

    assert_sample(&page, "rabbitmq_message_size_bytes_bucket{le=\"100.0\"} 3");
    assert_sample(&page, "rabbitmq_message_size_bytes_bucket{le=\"1e+06\"} 4");
    assert_sample(&page, "rabbitmq_message_size_bytes_bucket{le=\"+Inf\"} 5");
    assert_sample(&page, "rabbitmq_message_size_bytes_sum 77.0");
    assert_sample(&page, "warren_raft_commit_duration_seconds_sum 0.00025");
    assert_sample(&page, "warren_raft_apply_duration_seconds_count 1");
    let texts = [50_000_000, 100_000_000, 12_345_678].map(bytes);
    assert_eq!(texts, ["5e+07", "1e+08", "12345678.0"]);
}

#[test]
fn alarms_and_spans_are_shown() {
    let page = text(&observation());

    assert_sample(&page, "rabbitmq_alarms_memory_used_watermark 1");
    assert_sample(&page, "rabbitmq_alarms_free_disk_space_watermark 0");
    assert_sample(&page, "warren_tracing_spans_exported_total 8");
    assert_sample(&page, "warren_tracing_spans_dropped_total 9");
    assert_sample(&page, "warren_tracing_spans_failed_total 10");
}

#[test]
fn a_node_that_has_not_started_shows_what_there_is() {
    let page = text(&Observation::default());

    assert!(page.contains("rabbitmq_identity_info"));
    assert!(!page.contains("rabbitmq_connections"));
    assert!(!page.contains("rabbitmq_raft_term"));
    assert!(!page.contains("rabbitmq_disk_space_available_bytes"));
}

#[test]
fn a_cluster_shows_who_runs_and_what_is_missing() {
    let page = text(&observation());

    assert_sample(&page, "warren_cluster_nodes 3");
    assert_sample(&page, "warren_cluster_nodes_running 2");
    assert_sample(&page, "warren_cluster_replicas_missing 5");
    assert_sample(&page, "warren_cluster_groups_leaderless 0");
    assert_sample(&page, "warren_orphaned_consumers_total 1");
}

#[test]
fn every_sample_belongs_to_the_heading_above_it_and_no_heading_repeats() {
    let page = text(&observation());
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
        limits: vec![LimitTotals { name: "channel_max", value: 2047, hits: 6 }],
        logins: vec![Attempts { door: Door::Http, failed: 2, succeeded: 3 }],
        cluster: Some(ClusterTotals {
            nodes: 3,
            nodes_running: 2,
            replicas_missing: 5,
            groups_leaderless: 0,
        }),
        groups: vec![
            GroupObservation {
                term: Term(2),
                leads: true,
                lag_entries: Some(12),
                ..GroupObservation::default()
            },
            GroupObservation {
                group: GroupId(1),
                applied: LogIndex(9),
                commit_us: Some(1_500),
                leader_changes: Some(2),
                sessions: Some(3),
                ..GroupObservation::default()
            },
        ],
        storage: Some(StorageTotals {
            syncs: 4,
            sync_us_total: 3_000_150,
            sync_buckets: vec![(100, 1), (2_000_000, 2)],
            ..StorageTotals::default()
        }),
        process: ProcessObservation { memory_alarm: true, ..ProcessObservation::default() },
        certificates: Vec::new(),
        meters: Some(Meters {
            message_bytes: Measured { buckets: vec![(100, 3), (1_000_000, 1)], count: 5, sum: 77 },
            commit_us: Measured { buckets: vec![(200, 2)], count: 2, sum: 250 },
        }),
        apply_us: Measured { buckets: vec![(10, 1)], count: 1, sum: 4 },
        traces: Some(TraceTotals { exported: 8, dropped: 9, failed: 10 }),
    }
}

fn text(observation: &Observation) -> String {
    page(observation, QueueTotals::Shown).finish()
}

fn assert_sample(page: &str, line: &str) {
    assert!(page.lines().any(|found| found == line), "no line '{line}' in\n{page}");
}
