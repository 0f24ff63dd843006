//! What came of runs, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::run::Outcome;

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
    let mut pairs: BTreeMap<(String, String), Row> = BTreeMap::new();
    let mut all = Row::default();
    for run in rows {
        let name = |key: &str| run[key].as_str().unwrap_or_default().to_owned();
        pairs.entry((padded(&name("workload")), padded(&name("fault")))).or_default().add(run);
        all.add(run);
    }
    let mut text = String::from(
        "| Workload | Fault | Runs | Faults | Published | Confirmed | Lost | Doubled | Flagged again \
         | Longest gap | Machine's stall | Violations |\n\
         | --- | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n",
    );
    for ((workload, fault), row) in &pairs {
        let _ = writeln!(text, "| {} | {} {}", workload.trim(), fault.trim(), row.cells());
    }
    let _ = writeln!(text, "| all | {}", all.cells());
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
        self.violations += run["violations"].as_array().map_or(0, Vec::len);
    }

    fn cells(&self) -> String {
        format!(
            "| {} | {} | {} | {} | {} | {} | {} | {:.1} s | {:.1} s | {} |",
            self.runs,
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

/// W2 before W10.
fn padded(name: &str) -> String {
    let (letter, number) = name.split_at(name.len().min(1));
    format!("{letter}{number:<3}").trim_end().to_owned()
}

fn ms(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
