//! What broke other brokers, each for some seconds; `cargo xtask chaos --scenario all` plays them to
//! their ends.

use super::passes;

/// Seconds from the begin of a run until everything is healed: a sixth of it is calm before, a sixth
/// is for coming back. What has begun by then is brought to its end.
const SECONDS: &str = "12";

/// One scenario, which must find nothing.
fn play(name: &str) {
    passes(&["--scenario", name, "--seed", "201", "--seconds", SECONDS]);
}

#[test]
fn nothing_rises_when_a_queue_was_declared_anew_while_a_replica_slept() {
    play("rabbitmq-12366");
}

#[test]
fn a_group_has_a_leader_when_a_member_comes_back_empty() {
    play("rabbitmq-15725");
}

#[test]
fn no_message_is_held_by_nobody_when_leaders_die() {
    play("rabbitmq-15473");
}

#[test]
fn a_single_active_consumer_follows_one_that_was_too_slow_or_frozen() {
    play("rabbitmq-17317");
}

#[test]
fn no_consumer_gets_more_than_its_prefetch_when_messages_come_back_and_die() {
    play("rabbitmq-5609");
}

#[test]
fn a_node_starts_on_what_a_power_cut_left_while_it_started() {
    play("ra-wal");
}

#[test]
fn a_log_has_no_hole_after_its_disk_was_full_for_a_moment() {
    play("ra-578");
}

#[test]
fn one_power_cut_among_sleepers_loses_nothing() {
    play("nats-7567");
}

#[test]
fn starved_nodes_under_load_recover() {
    play("openraft-2116");
}

#[test]
fn a_node_that_dies_while_it_takes_over_a_snapshot_starts_again() {
    play("install-crash");
}
