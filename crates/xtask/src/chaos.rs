//! `cargo xtask chaos`: real nodes, broken on purpose, and what their clients saw.
//!
//! Driven by `warren-chaos`, which gives each node a network and a disk of its own where the machine
//! allows it. `tests/chaos/README.md` says what is promised and what was found.

use std::process::Command;

use crate::cargo::{self, Cargo};
use crate::{Outcome, needs, workspace};

/// Builds and runs; options go to `warren-chaos`.
pub(crate) fn chaos(options: &[String]) -> Outcome {
    needs::rig();
    Cargo::ready()?.build_programs()?;
    let mut command = Command::new(workspace::program("warren-chaos")?);
    command.env("WARREN_BIN", workspace::program("warren")?).args(options);
    cargo::finish(&mut command, "warren-chaos")
}
