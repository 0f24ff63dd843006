//! The comparison with another broker works: a moment of it, against a node of ours. No time counts.

use std::process::{Command, Stdio};

use serde_json::Value;
use warren_tests::node;

/// What is tried: each thing that only some kinds of work do.
const CELLS: [&str; 5] = ["16B", "fanout-10", "backlog", "elsewhere", "transient"];

#[test]
fn both_parties_do_every_kind_of_work_and_a_chart_shows_it() {
    let Some(peer) = node::own() else { return };
    let dir = tempfile::tempdir().unwrap();
    let chart = dir.path().join("chart.svg");
    let url = format!("amqp://guest:guest@{}", peer.amqp());

    let output = Command::new(env!("CARGO_BIN_EXE_warren-measure"))
        .args(["matrix", "--against", &url, "--name", "other", "--pids", &peer.pid().to_string()])
        .args(["--rounds", "1", "--seconds", "0.2", "--count", "2000", "--json", "--chart"])
        .arg(&chart)
        .args(CELLS)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();

    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["parties"], serde_json::json!(["warren", "other"]));
    let cells = report["cells"].as_array().unwrap();
    assert_eq!(cells.iter().map(|cell| &cell["name"]).collect::<Vec<_>>(), CELLS);
    for cell in cells {
        let parties = cell["middle"].as_array().unwrap();
        assert_eq!(parties.len(), 2);
        for found in parties {
            assert_eq!((&found["lost"], &found["doubled"]), (&0.into(), &0.into()), "{cell:#}");
            assert!(found["delivered"].as_u64() > Some(0), "{cell:#}");
            let copies = if cell["name"] == "fanout-10" { 10 } else { 1 };
            let taken = found["confirmed"].as_u64().unwrap() - found["refused"].as_u64().unwrap();
            assert_eq!(found["delivered"], taken * copies, "{cell:#}");
        }
    }
    let drawn = std::fs::read_to_string(chart).unwrap();
    assert_eq!(drawn.matches("messages/s</text>").count(), 2, "a legend of two");
    assert!(CELLS.iter().all(|name| drawn.contains(&format!(">{name}</text>"))), "{drawn}");
}
