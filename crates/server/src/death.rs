//! How the process ends when it cannot go on.
//!
//! A part of the node that has panicked leaves locks and promises behind that nobody keeps. So a
//! panic ends the process, and whoever started it starts it again. The one exception is a panic
//! while one client is served: it costs that client its connection, and nothing that the
//! others rely on is touched from there.
//!
//! The end is an abort: what the operating system holds is released, and nothing of ours runs that
//! could wait, or write half of something.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic::{self, PanicHookInfo};

/// Sources in which a panic is one client's matter.
const CONTAINED: [&str; 3] =
    ["crates/broker/src/connection", "crates/amqp/src/", "crates/management/src/"];

/// Ends the process on every panic that is not one client's matter, from here on.
pub fn end_on_panic() {
    panic::set_hook(Box::new(|panic| {
        report(panic);
        if !is_contained(panic.location().map_or("", |location| location.file())) {
            std::process::abort();
        }
    }));
}

/// Ends the process because of `why`.
pub fn end(why: &dyn std::fmt::Display) -> ! {
    tracing::error!(%why, "the node cannot go on, the process ends");
    std::process::abort();
}

fn report(panic: &PanicHookInfo<'_>) {
    let text = panic.payload_as_str().unwrap_or("a value that is not text");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or_default();
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => {
            tracing::error!(%place, thread, %backtrace, "panic: {text}");
        }
        _ => tracing::error!(%place, thread, "panic: {text}"),
    }
}

fn is_contained(source: &str) -> bool {
    let source = source.replace('\\', "/");
    CONTAINED.iter().any(|place| source.contains(place))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Set for the copy of this test program that is to panic.
    const VICTIM: &str = "WARREN_SERVER_TEST_PANICS";

    #[test]
    fn a_panic_while_a_client_is_served_is_contained() {
        assert!(is_contained("crates/broker/src/connection.rs"));
        assert!(is_contained("/build/warren/crates/broker/src/connection/publish.rs"));
        assert!(is_contained("crates/amqp/src/frame.rs"));
        assert!(is_contained("crates/management/src/metrics.rs"));
    }

    #[test]
    fn a_panic_anywhere_else_is_not() {
        for source in [
            "",
            "crates/broker/src/queue/leader.rs",
            "crates/consensus/src/apply.rs",
            "crates/queue/src/shard.rs",
            "crates/catalog/src/apply.rs",
            "crates/storage/src/writer.rs",
            "/registry/openraft-0.10.0/src/core.rs",
        ] {
            assert!(!is_contained(source), "{source}");
        }
    }

    #[test]
    fn a_panic_in_another_thread_ends_the_process() {
        if std::env::var_os(VICTIM).is_some() {
            end_on_panic();
            let panicked = std::thread::spawn(|| panic!("on purpose")).join();
            // Reached only if the hook lets the process live.
            assert!(panicked.is_err());
            return;
        }
        let name = "death::tests::a_panic_in_another_thread_ends_the_process";

        let status = Command::new(std::env::current_exe().expect("a program knows its path"))
            .args(["--exact", name])
            .env(VICTIM, "1")
            .output()
            .expect("the program runs")
            .status;

        assert!(!status.success(), "{status}");
        assert_eq!(status.code(), None, "a signal ends it, not a failed test");
    }
}
