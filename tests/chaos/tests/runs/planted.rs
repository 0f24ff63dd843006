//! A broker that only says that it has synced must not pass.
//!
//! It takes the broker that is built with failpoints
//! (`cargo build --workspace --bin warren-failpoints --features warren-server/failpoints`); where that
//! does not lie beside the other programs, the test says that it is left out.

use std::path::Path;

use super::chaos;

#[test]
fn a_broker_that_does_not_sync_fails_when_the_current_goes() {
    let program = Path::new(env!("CARGO_BIN_EXE_warren-chaos"));
    let broker = program.with_file_name("warren-failpoints");
    if !broker.is_file() {
        eprintln!("left out: there is no {}", broker.display());
        return;
    }
    let run = ["--workload", "W1", "--fault", "N6", "--seed", "102", "--seconds", "40"];
    let mut command = chaos(&[&run[..], &["--env", "FAILPOINTS=sync.skip=return"]].concat());

    let output = command.env("WARREN_BIN", &broker).output().expect("warren-chaos can be started");

    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("ONLY KILLS, PAUSES") {
        eprintln!("left out: a power cut needs a world of its own");
        return;
    }
    // Messages that are missing, queues that are gone altogether, or nodes that do not go on.
    let is_caught = ["I1:", "NOT_FOUND - no queue", "I19:"].iter().any(|sign| said.contains(sign));
    assert!(!output.status.success() && is_caught, "it passed: {said}");
}
