//! Ctrl-C, SIGTERM, and the end of whoever started us: the run under way heals, drains and ends.

use std::io::Read as _;
use std::time::Duration;
use std::{io, process, thread};

use anyhow::{Context as _, Result};
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};

use crate::field::Stop;

/// The exit code of a program that was interrupted twice.
const INTERRUPTED: i32 = 130;

/// How long a run whose starter is gone may take to end: a disk that hangs must be thawed first.
const ORPHANED: Duration = Duration::from_secs(30);

/// Says `stop` at the first signal, and ends this program at the second one; all that was made
/// goes with it.
///
/// # Errors
///
/// When signals cannot be heard.
pub fn listen(stop: &Stop) -> Result<()> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let context = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot hear SIGINT")?;
    let mut end = signal(SignalKind::terminate()).context("cannot hear SIGTERM")?;
    drop(context);
    let stop = stop.clone();
    thread::spawn(move || {
        runtime.block_on(async {
            for is_first in [true, false] {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = end.recv() => {}
                }
                if is_first {
                    eprintln!("chaos: healing and ending; once more ends at once");
                    stop.say();
                }
            }
            process::exit(INTERRUPTED);
        });
    });
    Ok(())
}

/// Says `stop` when whoever started us, and holds the other end of our input, is gone.
pub fn follow(stop: &Stop) {
    let stop = stop.clone();
    thread::spawn(move || {
        drop(io::stdin().read_to_end(&mut Vec::new()));
        stop.say();
        thread::sleep(ORPHANED);
        process::exit(INTERRUPTED);
    });
}
