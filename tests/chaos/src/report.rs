//! What came of runs, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::run::{Outcome, Plan};

/// Violations that are shown of a run; the history has all.
const SHOWN: usize = 10;

/// The first lines of a violation's text.
const LINES: usize = 12;

/// One run as a line of JSON.
pub fn json(outcome: &Outcome) -> Value {
    let (plan, summary) = (&outcome.plan, &outcome.summary);
    let violations: Vec<Value> = outcome
        .violations
        .iter()
        .map(|violation| json!({"invariant": violation.invariant, "text": violation.text}))
        .collect();
    json!({
        "workload": plan.workload, "fault": plan.fault, "seed": plan.seed, "nodes": plan.nodes,
        "faults_injected": outcome.injected,
        "published": summary.published, "confirmed": summary.confirmed,
        "delivered": summary.delivered, "lost": summary.lost,
        "duplicated": summary.duplicated, "redelivered": summary.redelivered,
        "longest_gap_ms": ms(summary.longest_gap),
        "machine_longest_stall_ms": ms(outcome.starvation.longest),
        "machine_stalled_ms": ms(outcome.starvation.total),
        "took_ms": ms(outcome.took), "violations": violations,
    })
}

/// A run that came to nothing, as a line of JSON: it says nothing of the broker, and counts as bad.
pub fn failed(plan: &Plan, why: &str) -> Value {
    json!({
        "workload": plan.workload, "fault": plan.fault, "seed": plan.seed, "nodes": plan.nodes,
        "failed": why,
    })
}

/// Whether a run came to nothing.
pub fn came_to_nothing(run: &Value) -> bool {
    run.get("failed").is_some()
}

/// Whether a run was done, and found nothing.
pub fn is_good(run: &Value) -> bool {
    run["violations"].as_array().is_some_and(Vec::is_empty)
}

/// What is wrong with a run, and where its things are; nothing if nothing is.
pub fn complaint(outcome: &Outcome) -> Option<String> {
    if outcome.violations.is_empty() {
        return None;
    }
    let plan = &outcome.plan;
    let mut text = format!(
        "{} with {}, seed {}: {} violations; history, logs and data: {}\n",
        plan.workload,
        plan.fault,
        plan.seed,
        outcome.violations.len(),
        plan.dir.display()
    );
    for violation in outcome.violations.iter().take(SHOWN) {
        let mut lines: Vec<&str> = violation.text.lines().take(LINES).collect();
        if violation.text.lines().count() > LINES {
            lines.push("…");
        }
        let _ = writeln!(text, "  {}: {}", violation.invariant, lines.join("\n      "));
    }
    Some(text)
}

/// All runs, one row per pair of workload and fault, in Markdown.
pub fn table(rows: &[Value]) -> String {
    let mut pairs: BTreeMap<(Name, Name), Row> = BTreeMap::new();
    let mut all = Row::default();
    for run in rows {
        pairs.entry(pair(run)).or_default().add(run);
        all.add(run);
    }
    let mut text = String::from(
        "| Workload | Fault | Runs | Faults | Published | Confirmed | Lost | Doubled | Flagged again \
         | Longest gap | Machine's stall | Violations |\n\
         | --- | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n",
    );
    for (((_, workload), (_, fault)), row) in &pairs {
        let _ = writeln!(text, "| {workload} | {fault} | {} {}", row.runs, row.cells());
    }
    let _ = writeln!(text, "| all | | {} {}", all.runs, all.cells());
    text
}

/// Every run with its seed, and their sum, in Markdown.
pub fn rows(runs: &[Value]) -> String {
    let mut runs: Vec<&Value> = runs.iter().collect();
    runs.sort_by_cached_key(|run| (pair(run), run["seed"].as_u64()));
    let mut text = String::from(
        "| Workload | Fault | Seed | Faults | Published | Confirmed | Lost | Doubled \
         | Flagged again | Longest gap | Machine's stall | Violations |\n\
         | --- | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n",
    );
    let mut all = Row::default();
    for run in runs {
        let mut row = Row::default();
        row.add(run);
        all.add(run);
        let ((_, workload), (_, fault)) = pair(run);
        let seed = run["seed"].as_u64().unwrap_or_default();
        let _ = writeln!(text, "| {workload} | {fault} | {seed} {}", row.cells());
    }
    let _ = writeln!(text, "| {} runs | | {}", all.runs, all.cells());
    text
}

#[derive(Debug, Default)]
struct Row {
    runs: u64,
    faults: u64,
    published: u64,
    confirmed: u64,
    lost: u64,
    duplicated: u64,
    redelivered: u64,
    gap_ms: u64,
    stall_ms: u64,
    violations: usize,
}

impl Row {
    fn add(&mut self, run: &Value) {
        let number = |key: &str| run[key].as_u64().unwrap_or_default();
        self.runs += 1;
        self.faults += number("faults_injected");
        self.published += number("published");
        self.confirmed += number("confirmed");
        self.lost += number("lost");
        self.duplicated += number("duplicated");
        self.redelivered += number("redelivered");
        self.gap_ms = self.gap_ms.max(number("longest_gap_ms"));
        self.stall_ms = self.stall_ms.max(number("machine_longest_stall_ms"));
        // A run that came to nothing is no success.
        self.violations += run["violations"].as_array().map_or(1, Vec::len);
    }

    fn cells(&self) -> String {
        format!(
            "| {} | {} | {} | {} | {} | {} | {:.1} s | {:.1} s | {} |",
            self.faults,
            self.published,
            self.confirmed,
            self.lost,
            self.duplicated,
            self.redelivered,
            self.gap_ms as f64 / 1e3,
            self.stall_ms as f64 / 1e3,
            self.violations
        )
    }
}

/// A name behind its length, so that W2 comes before W10.
type Name = (usize, String);

/// The workload and the fault of a run, to be sorted by.
fn pair(run: &Value) -> (Name, Name) {
    let name = |key: &str| {
        let name = run[key].as_str().unwrap_or_default().to_owned();
        (name.len(), name)
    };
    (name("workload"), name("fault"))
}

fn ms(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(workload: &str, seed: u64, violations: &[&str]) -> Value {
        json!({
            "workload": workload, "fault": "N1", "seed": seed, "faults_injected": 2,
            "published": 10, "confirmed": 9, "lost": 0, "duplicated": 0, "redelivered": 4,
            "longest_gap_ms": 1200 * seed, "machine_longest_stall_ms": 300,
            "violations": violations,
        })
    }

    #[test]
    fn every_run_has_a_row_with_its_seed_and_the_last_row_sums_them() {
        let table = rows(&[run("W10", 2, &[]), run("W2", 1, &["I1"])]);

        let found: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(
            found,
            [
                "| W2 | N1 | 1 | 2 | 10 | 9 | 0 | 0 | 4 | 1.2 s | 0.3 s | 1 |",
                "| W10 | N1 | 2 | 2 | 10 | 9 | 0 | 0 | 4 | 2.4 s | 0.3 s | 0 |",
                "| 2 runs | | | 4 | 20 | 18 | 0 | 0 | 8 | 2.4 s | 0.3 s | 1 |",
            ]
        );
    }

    #[test]
    fn a_run_that_came_to_nothing_is_no_success() {
        let failed = json!({"workload": "W1", "fault": "N1", "seed": 1, "failed": "no cluster"});

        assert!(is_good(&run("W1", 1, &[])));
        assert!(!is_good(&run("W1", 1, &["I1"])) && !is_good(&failed));
        assert!(came_to_nothing(&failed) && !came_to_nothing(&run("W1", 1, &["I1"])));
        assert!(table(&[failed]).ends_with("| 1 |\n"));
    }
}
