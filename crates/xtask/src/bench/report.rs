//! Results, for people and for programs.

use std::fmt::Write;

use super::cluster;
use super::json::Json;
use super::machine::Machine;
use super::scenarios::{Scenario, settings};

/// What one scenario brought.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) scenario: &'static Scenario,
    pub(super) result: Json,
}

/// Heading of a column, and where its value stands in a result.
const COLUMNS: [(&str, &str); 10] = [
    ("published/s", "publish_rate"),
    ("consumed/s", "consume_rate"),
    ("confirm p50 ms", "confirm_ms.p50"),
    ("p99 ms", "confirm_ms.p99"),
    ("end to end p50 ms", "e2e_ms.p50"),
    ("p99 ms", "e2e_ms.p99"),
    ("p99.9 ms", "e2e_ms.p999"),
    ("node µs/message", "cpu_us_per_message"),
    ("node MB, loaded", "watched.0.rss_loaded_bytes"),
    ("lost", "lost"),
];

/// A table as `crates/server/BENCHMARKS.md` has them.
pub(super) fn table(machine: &Machine, seconds: u32, rows: &[Row]) -> String {
    let mut text = String::new();
    for (name, value) in machine.facts() {
        line(&mut text, &format!("- {name}: {value}"));
    }
    if rows.is_empty() {
        return text;
    }
    line(&mut text, "- settings: one node, defaults, loopback, load on the same machine");
    line(&mut text, &format!("- seconds per scenario: {seconds}\n"));

    let headings: Vec<&str> = COLUMNS.iter().map(|(heading, _)| *heading).collect();
    line(&mut text, &format!("| scenario | {} |", headings.join(" | ")));
    line(&mut text, &format!("| --- |{}", " ---: |".repeat(COLUMNS.len())));
    for row in rows {
        let values: Vec<String> =
            COLUMNS.iter().map(|(_, path)| value(&row.result, path)).collect();
        line(&mut text, &format!("| {} | {} |", row.scenario.name, values.join(" | ")));
    }
    text.push('\n');
    for row in rows {
        let Row { scenario, .. } = row;
        let settings = settings(scenario);
        line(&mut text, &format!("- {}: {} (`{settings}`)", scenario.name, scenario.summary));
    }
    text
}

/// The same as one line of JSON, with everything that the load said.
pub(super) fn json(
    machine: &Machine,
    seconds: u32,
    rows: &[Row],
    clusters: &[cluster::Row],
) -> String {
    let rows = rows.iter().map(|row| {
        let name = ("scenario".to_owned(), Json::text(row.scenario.name));
        let settings = ("settings".to_owned(), Json::text(settings(row.scenario)));
        Json::Object(vec![name, settings, ("result".to_owned(), row.result.clone())])
    });
    let clusters = clusters.iter().map(|row| {
        let name = ("scenario".to_owned(), Json::text(row.scenario.name));
        Json::Object(vec![name, ("result".to_owned(), row.result.clone())])
    });
    let fields = vec![
        ("machine".to_owned(), machine.json()),
        ("seconds".to_owned(), Json::number(seconds)),
        ("scenarios".to_owned(), Json::List(rows.chain(clusters).collect())),
    ];
    Json::Object(fields).to_string()
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a string takes every line");
}

/// A value as a cell shows it; a dash where the load said nothing.
pub(super) fn value(result: &Json, path: &str) -> String {
    match result.at(path) {
        Some(Json::Bare(number)) if path.ends_with("_bytes") => number
            .parse()
            .map_or_else(|_| number.clone(), |bytes: f64| format!("{:.0}", bytes / 1e6)),
        Some(Json::Bare(number)) if number != "null" => rounded(number),
        Some(Json::Text(text)) => text.clone(),
        Some(Json::Bare(_) | Json::List(_) | Json::Object(_)) | None => "–".to_owned(),
    }
}

/// Rates without a fraction, times with two digits of it.
fn rounded(number: &str) -> String {
    match number.parse::<f64>() {
        Ok(number) if number.fract() == 0.0 || number >= 1000.0 => format!("{number:.0}"),
        Ok(number) => format!("{number:.2}"),
        Err(_) => number.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::scenarios::SCENARIOS;

    fn rows() -> Vec<Row> {
        let result = "{\"publish_rate\":1234.56,\"lost\":0,\"confirm_ms\":{\"p50\":1.2345}}";
        vec![Row { scenario: &SCENARIOS[0], result: Json::read(result).unwrap() }]
    }

    #[test]
    fn a_row_has_a_cell_for_every_column_even_where_the_load_said_nothing() {
        let table = table(&Machine::look(), 5, &rows());

        let row =
            format!("| {} | 1235 | – | 1.23 | – | – | – | – | – | – | 0 |", SCENARIOS[0].name);
        assert!(table.contains(&row), "{table}");
        assert!(table.contains("- seconds per scenario: 5"), "{table}");
    }

    #[test]
    fn json_keeps_everything_that_the_load_said() {
        let text = json(&Machine::look(), 5, &rows(), &[]);

        let value = Json::read(&text).unwrap();
        assert_eq!(value.at("seconds"), Some(&Json::number(5)));
        assert!(text.contains("\"publish_rate\":1234.56"), "{text}");
    }
}
