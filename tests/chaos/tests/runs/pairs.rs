//! Six pairs of a workload and a fault.

use super::passes;

/// Seconds from the begin of a run until everything is healed; draining and judging come on top.
const SECONDS: &str = "40";

/// One run, which must find nothing.
fn run(workload: &str, fault: &str, seed: &str) {
    passes(&["--workload", workload, "--fault", fault, "--seed", seed, "--seconds", SECONDS]);
}

#[test]
fn nothing_confirmed_is_lost_when_nodes_are_killed() {
    run("W1", "N1", "101");
}

#[test]
fn nothing_confirmed_is_lost_when_the_current_goes() {
    run("W1", "N6", "102");
}

#[test]
fn order_holds_over_partitions() {
    run("W2", "N3", "103");
}

#[test]
fn all_nodes_see_the_same_queues_when_nodes_are_frozen() {
    run("W6", "N2", "104");
}

#[test]
fn every_queue_serves_again_when_a_node_is_killed_behind_a_partition() {
    run("W1", "N8", "105");
}

#[test]
fn nothing_rises_when_nodes_are_replaced() {
    run("W1", "N14", "106");
}
