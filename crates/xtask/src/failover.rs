//! `cargo xtask failover`: what clients notice when nodes die, measured.
//!
//! Three fresh nodes on loopback, driven by `warren-measure`. Where the environment names
//! another broker's nodes (`WARREN_PEER_CLUSTER`, `WARREN_PEER_CLUSTER_HTTP` and
//! `WARREN_PEER_CLUSTER_CONTROL`, as `tests/src/cluster/foreign.rs` explains them), the same is
//! done to them afterwards. What is worth keeping goes to `crates/server/BENCHMARKS.md`.

use std::env;
use std::process::Command;

use crate::cargo::{self, Cargo};
use crate::{Outcome, workspace};

/// What names another broker's nodes: here, and to `warren-measure`.
const PEER_VARIABLES: [(&str, &str); 3] = [
    ("WARREN_PEER_CLUSTER", "WARREN_TEST_CLUSTER"),
    ("WARREN_PEER_CLUSTER_HTTP", "WARREN_TEST_CLUSTER_HTTP"),
    ("WARREN_PEER_CLUSTER_CONTROL", "WARREN_TEST_CLUSTER_CONTROL"),
];

/// Builds and measures; options go to `warren-measure failover`.
pub(crate) fn failover(options: &[String]) -> Outcome {
    Cargo::ready()?.build_programs()?;
    eprintln!("xtask: three nodes of ours");
    run(options, false)?;
    if env::var_os("WARREN_PEER_CLUSTER").is_some() {
        eprintln!("xtask: the nodes of WARREN_PEER_CLUSTER");
        run(options, true)?;
    }
    Ok(())
}

fn run(options: &[String], is_peer: bool) -> Outcome {
    let mut command = measuring()?;
    command.arg("failover").args(options);
    for (ours, theirs) in PEER_VARIABLES {
        match env::var_os(ours) {
            Some(value) if is_peer => command.env(theirs, value),
            Some(_) | None => command.env_remove(theirs),
        };
    }
    cargo::finish(&mut command, "warren-measure")
}

/// `warren-measure`, knowing which broker to start.
pub(crate) fn measuring() -> Result<Command, String> {
    let mut command = Command::new(workspace::program("warren-measure")?);
    command.env("WARREN_BIN", workspace::program("warren")?);
    Ok(command)
}
