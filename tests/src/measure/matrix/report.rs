//! What came of the comparison.

use std::fmt::Write;

use serde::Serialize;

use crate::load;

/// One kind of work, and how each party did it: the round in the middle, by what was delivered.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// The cell's name.
    pub name: &'static str,
    /// What it is.
    pub summary: &'static str,
    /// What `warren-load` was told.
    pub work: &'static str,
    /// For each party.
    pub middle: Vec<load::Report>,
}

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Who worked; ours first.
    pub parties: Vec<String>,
    /// How often each did each cell.
    pub rounds: usize,
    /// The cells.
    pub cells: Vec<Measured>,
}

/// The report in the middle.
pub fn middle(mut reports: Vec<load::Report>) -> load::Report {
    reports.sort_by(|one, other| one.consume_rate.total_cmp(&other.consume_rate));
    reports.swap_remove(reports.len() / 2)
}

impl Measured {
    /// How many times what the peer delivers we deliver.
    pub fn rate_ratio(&self) -> Option<f64> {
        let [ours, theirs] = self.middle.as_slice() else { return None };
        ratio(ours.consume_rate, theirs.consume_rate)
    }

    /// How many times what a message costs us it costs the peer.
    pub fn cost_ratio(&self) -> Option<f64> {
        let [ours, theirs] = self.middle.as_slice() else { return None };
        ratio(theirs.cpu_us_per_message, ours.cpu_us_per_message)
    }

    fn row(&self) -> String {
        let cells = |value: fn(&load::Report) -> String| {
            self.middle.iter().map(value).collect::<Vec<_>>().join(" / ")
        };
        let times =
            |ratio: Option<f64>| ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.1}"));
        let memory = |report: &load::Report| {
            let most = report.watched.iter().map(|node| node.rss_loaded_bytes).max();
            most.map_or("–".to_owned(), |bytes| format!("{:.0}", bytes as f64 / 1e6))
        };
        [
            self.name.to_owned(),
            cells(|report| format!("{:.0}", report.consume_rate)),
            times(self.rate_ratio()),
            cells(cost),
            times(self.cost_ratio()),
            cells(|report| pair(&report.confirm_ms)),
            cells(|report| pair(&report.e2e_ms)),
            cells(memory),
            cells(|report| report.lost.to_string()),
        ]
        .join(" | ")
    }
}

impl Report {
    /// What was found last, for who waits.
    pub fn last_line(&self) -> String {
        self.cells.last().map_or_else(String::new, Measured::row)
    }

    /// A table as `crates/server/BENCHMARKS.md` has them.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        let mut line = |text: String| writeln!(out, "{text}").expect("a string takes every text");
        let who = self.parties.join(" / ");
        let rounds = self.rounds;
        line(format!(
            "Three nodes each; {who}; the middle one of {rounds} rounds, taken in turn.\n"
        ));
        let headings = [
            "work",
            "delivered/s",
            "× as many",
            "broker µs/message",
            "× as cheap",
            "confirm p50, p99 ms",
            "end to end p50, p99 ms",
            "largest node MB",
            "lost",
        ];
        line(format!("| {} |", headings.join(" | ")));
        line(format!("| --- |{}", " ---: |".repeat(headings.len() - 1)));
        for cell in &self.cells {
            line(format!("| {} |", cell.row()));
        }
        line(String::new());
        for Measured { name, summary, work, .. } in &self.cells {
            line(format!("- {name}: {summary} (`warren-load {work}`)"));
        }
        out
    }
}

fn ratio(more: f64, less: f64) -> Option<f64> {
    (more > 0.0 && less > 0.0).then(|| more / less)
}

fn cost(report: &load::Report) -> String {
    if report.watched.is_empty() {
        "–".to_owned()
    } else {
        format!("{:.1}", report.cpu_us_per_message)
    }
}

fn pair(latency: &load::Latency) -> String {
    if latency.count == 0 {
        return "–".to_owned();
    }
    format!("{:.2}, {:.2}", latency.p50, latency.p99)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(rate: f64, cost: f64) -> load::Report {
        load::Report { consume_rate: rate, cpu_us_per_message: cost, ..load::Report::default() }
    }

    #[test]
    fn the_middle_is_neither_the_best_nor_the_worst() {
        let reports = vec![report(3.0, 0.0), report(1.0, 0.0), report(2.0, 0.0)];

        assert_eq!(middle(reports).consume_rate, 2.0);
    }

    #[test]
    fn a_row_says_how_many_times_and_nothing_where_there_is_nobody_to_compare_with() {
        let watched =
            vec![load::Watched { rss_loaded_bytes: 7_000_000, ..load::Watched::default() }];
        let with = |report: load::Report| load::Report { watched: watched.clone(), ..report };
        let middle = vec![with(report(1000.0, 2.0)), with(report(250.0, 10.0))];
        let two = Measured { name: "it", summary: "", work: "", middle };
        let one = Measured { middle: two.middle[..1].to_vec(), ..two.clone() };

        let row = "it | 1000 / 250 | 4.0 | 2.0 / 10.0 | 5.0 | – / – | – / – | 7 / 7 | 0 / 0";
        assert_eq!(two.row(), row);
        assert_eq!(one.row(), "it | 1000 | – | 2.0 | – | – | – | 7 | 0");
    }
}
