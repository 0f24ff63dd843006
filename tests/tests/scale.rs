//! The measurement of many works: a few of each kind. No figure counts.

use std::process::{Command, Stdio};

use serde_json::Value;
use warren_tests::cluster::Cluster;

#[test]
fn each_kind_is_made_counted_and_told() {
    if Cluster::is_elsewhere() {
        return;
    }
    let output = Command::new(env!("CARGO_BIN_EXE_warren-measure"))
        .args(["scale", "--queues", "130", "--messages", "3000", "--bindings", "1100"])
        .args(["--connections", "20", "--settle", "0", "--json"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();

    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let is_more = |part: &str, field: &str| report[part][field].as_f64() > Some(0.0);
    assert_eq!(
        (&report["queues"]["count"], &report["bindings"]["count"]),
        (&130.into(), &1100.into())
    );
    assert_eq!(report["connections"]["count"], 20);
    assert_eq!(report["backlog"]["messages"], 3000);
    assert!(is_more("queues", "declared_per_second"), "{report:#}");
    assert!(is_more("backlog", "first_delivery_seconds"), "{report:#}");
    // So few messages may take less than the processor's time is counted in.
    assert!(report["bindings"]["many_us_per_message"].is_number(), "{report:#}");
}
