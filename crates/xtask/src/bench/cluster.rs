//! Scenarios of three nodes, driven by `warren-measure`.

use std::fmt::Write;
use std::process::Stdio;

use super::json::Json;
use super::report::value;
use crate::failover;

/// One thing to measure.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
}

/// They take minutes, most of which the nodes are idle, and run when they are named.
pub(super) const SCENARIOS: [Scenario; 2] = [
    Scenario { name: "idle", summary: "three nodes without queues, watched for 60 s" },
    Scenario {
        name: "queues",
        summary: "10,000 durable queues declared over three nodes, then left alone for 60 s",
    },
];

/// What one scenario brought.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) scenario: &'static Scenario,
    pub(super) result: Json,
}

/// Heading of a column, and where its value stands in a result.
const COLUMNS: [(&str, &str); 8] = [
    ("queues", "queues"),
    ("declared/s", "declared_per_second"),
    ("idle CPU % without", "empty_max.cpu_percent"),
    ("with queues", "full_max.cpu_percent"),
    ("node MB without", "empty_max.rss_bytes"),
    ("more with queues", "grown_max_bytes"),
    ("restart to ready s", "restart_seconds"),
    ("to complete s", "complete_seconds"),
];

/// Runs one scenario on three fresh nodes.
pub(super) fn measure(scenario: &'static Scenario) -> Result<Row, String> {
    let output = failover::measuring()?
        .args([scenario.name, "--json"])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot start warren-measure: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        return Err(format!("warren-measure failed ({}): {text}", output.status));
    }
    let line = text.lines().rfind(|line| line.starts_with('{')).unwrap_or_default();
    let result = Json::read(line);
    let result = result.ok_or_else(|| format!("warren-measure printed what is no JSON: {text}"))?;
    Ok(Row { scenario, result })
}

/// A table of what the most expensive of the nodes costs; nothing where nothing was measured.
pub(super) fn table(rows: &[Row]) -> String {
    let mut text = String::new();
    if rows.is_empty() {
        return text;
    }
    let mut line = |line: String| writeln!(text, "{line}").expect("a string takes every line");
    let headings: Vec<&str> = COLUMNS.iter().map(|(heading, _)| *heading).collect();
    line(format!("\n| three nodes | {} |", headings.join(" | ")));
    line(format!("| --- |{}", " ---: |".repeat(COLUMNS.len())));
    for row in rows {
        let values: Vec<String> =
            COLUMNS.iter().map(|(_, path)| value(&row.result, path)).collect();
        line(format!("| {} | {} |", row.scenario.name, values.join(" | ")));
    }
    line(String::new());
    for Row { scenario, .. } in rows {
        line(format!("- {}: {}", scenario.name, scenario.summary));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_a_cell_for_every_column() {
        let result = "{\"queues\":10000,\"full_max\":{\"cpu_percent\":1.25,\"rss_bytes\":2},\
            \"empty_max\":{\"rss_bytes\":61000000}}";
        let rows = [Row { scenario: &SCENARIOS[1], result: Json::read(result).unwrap() }];

        let table = table(&rows);

        assert!(table.contains("| queues | 10000 | – | – | 1.25 | 61 | – | – | – |"), "{table}");
    }
}
