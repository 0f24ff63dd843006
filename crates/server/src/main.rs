//! `warren`: runs a node, or several.
//!
//! A node says `ready` and its addresses on stdout, in one line, once it serves; everything
//! else goes to stderr. SIGTERM and SIGINT end it in order and with 0, a second one at once.
//! It ends with 1 when it cannot start, with 2 when its command line makes no sense, and is
//! aborted when it cannot go on.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program prints")]

#[cfg(feature = "static")]
mod symbols;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use mimalloc::MiMalloc;
use warren_server::config::{Config, Inputs, Loaded};
use warren_server::flags::{ClusterFlags, Flags, Task};
use warren_server::{audit, chaos, cluster, death, logging, node, process};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

pub(crate) fn main() -> ExitCode {
    let outcome = match Flags::parse().task {
        Task::Server(flags) => serve(&flags.inputs()),
        Task::Cluster(flags) => run_cluster(&flags),
        Task::CheckConfig { file } => check(Inputs { file: Some(file), ..Inputs::default() }),
        Task::VerifyAudit { dir } => verify_audit(&dir),
        Task::DefaultConfig => {
            print!("{}", Config::default().reference());
            Ok(())
        }
        Task::PauseParent { time_ms } => {
            chaos::pause_parent(Duration::from_millis(time_ms)).map_err(|error| chain(&error))
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("error: {text}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a node: configuration, preparations, the node itself.
fn serve(inputs: &Inputs) -> Result<(), String> {
    let Loaded { config, warnings } = Config::load(inputs).map_err(|error| chain(&error))?;
    logging::start(&config.log);
    death::end_on_panic();
    #[cfg(feature = "failpoints")]
    warren_server::failpoints::start()?;
    process::avoid_huge_pages();
    process::raise_open_files_limit();
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    // One worker per core that the process may use.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no threads can be started: {error}"))?;
    let outcome = runtime.block_on(node::run(&config, inputs)).map_err(|error| chain(&error));
    if outcome.is_err() {
        // What still runs is left alone: taken apart out of order, it would take itself for broken.
        std::mem::forget(runtime);
    }
    outcome
}

/// Runs several nodes, each in a process of its own.
fn run_cluster(flags: &ClusterFlags) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("no runtime can be started: {error}"))?;
    runtime.block_on(cluster::run(flags)).map_err(|error| chain(&error))
}

/// Says whether a configuration file is right.
fn check(inputs: Inputs) -> Result<(), String> {
    Config::load(&inputs).map(drop).map_err(|error| chain(&error))
}

/// Says whether a record is unbroken, and what it ends with.
fn verify_audit(dir: &Path) -> Result<(), String> {
    let verified = audit::verify(dir).map_err(|error| chain(&error))?;
    println!("{verified}");
    Ok(())
}

fn chain(error: &dyn std::error::Error) -> String {
    logging::chain(error)
}
