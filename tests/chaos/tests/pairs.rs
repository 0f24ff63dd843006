//! What runs with every change: six pairs of a workload and a fault on three real nodes.
//!
//! Each is a run of `warren-chaos`, which makes itself a world of its own where it can. Where it
//! cannot, the pairs that only kill and freeze run all the same, and the others say that they are
//! left out. Seeds are fixed, so that a run that fails can be had again with the line it prints.

use std::process::Command;

/// Seconds from the begin of a run until everything is healed; draining and judging come on top.
const SECONDS: &str = "40";

/// One run, which must find nothing.
fn run(workload: &str, fault: &str, seed: u64) {
    let program = env!("CARGO_BIN_EXE_warren-chaos");
    let kept = concat!(env!("CARGO_TARGET_TMPDIR"), "/chaos");
    let seed = seed.to_string();
    let arguments = ["--workload", workload, "--fault", fault, "--seed", &seed];
    let mut command = Command::new(program);
    command.args(arguments).args(["--seconds", SECONDS, "--dir", kept]);
    // The broker lies beside this test program, or is named by WARREN_BIN.
    let output = command.output().expect("warren-chaos can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    let again = arguments.join(" ");
    assert!(
        output.status.success(),
        "{said}\nagain: cargo xtask chaos {again} --seconds {SECONDS}"
    );
    eprintln!("{said}{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn nothing_confirmed_is_lost_when_nodes_are_killed() {
    run("W1", "N1", 101);
}

#[test]
fn nothing_confirmed_is_lost_when_the_current_goes() {
    run("W1", "N6", 102);
}

#[test]
fn order_holds_over_partitions() {
    run("W2", "N3", 103);
}

#[test]
fn all_nodes_see_the_same_queues_when_nodes_are_frozen() {
    run("W6", "N2", 104);
}

#[test]
fn every_queue_serves_again_when_a_node_is_killed_behind_a_partition() {
    run("W1", "N8", 105);
}

#[test]
fn nothing_rises_when_nodes_are_replaced() {
    run("W1", "N14", 106);
}
