//! The comparison as a drawing: for each kind of work, a bar per party.

use std::fmt::Write;

use super::Report;
use crate::measure::matrix::Measured;

/// Pixels: the names on the left, the longest bar, a bar's height, what lies between two cells.
const NAMES: f64 = 130.0;
const LONGEST: f64 = 420.0;
const BAR: f64 = 11.0;
const GAP: f64 = 9.0;
/// Where the first bar begins, below the legend.
const TOP: f64 = 34.0;
/// Ours, the peer's.
const COLOURS: [&str; 2] = ["#b5541c", "#8a94a0"];

/// An SVG. Bars show messages a second; each cell has its own scale, so that slow kinds of work can
/// be seen beside quick ones.
pub fn draw(report: &Report) -> String {
    let parties = report.parties.len() as f64;
    let step = parties * BAR + GAP;
    let (width, height) = (NAMES + LONGEST + 150.0, TOP + step * report.cells.len() as f64);
    let mut svg = String::new();
    let mut line = |text: String| writeln!(svg, "{text}").expect("a string takes every text");
    line(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"sans-serif\" font-size=\"11\">"
    ));
    line(format!("<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>"));
    for (at, (party, colour)) in report.parties.iter().zip(COLOURS).enumerate() {
        let x = NAMES + 120.0 * at as f64;
        line(format!("<rect x=\"{x}\" y=\"8\" width=\"11\" height=\"11\" fill=\"{colour}\"/>"));
        line(text(x + 16.0, 18.0, "start", &format!("{party}, messages/s")));
    }
    for (at, cell) in report.cells.iter().enumerate() {
        bars(cell, TOP + step * at as f64, &mut line);
    }
    line("</svg>".to_owned());
    svg
}

fn bars(cell: &Measured, top: f64, line: &mut impl FnMut(String)) {
    let rates: Vec<f64> = cell.middle.iter().map(|report| report.consume_rate).collect();
    let most = rates.iter().copied().fold(1.0, f64::max);
    let middle = top + BAR * rates.len() as f64 / 2.0 + 4.0;
    line(text(NAMES - 8.0, middle, "end", cell.name));
    for (at, (rate, colour)) in rates.iter().zip(COLOURS).enumerate() {
        let (y, length) = (top + BAR * at as f64, LONGEST * rate / most);
        line(format!(
            "<rect x=\"{NAMES}\" y=\"{y}\" width=\"{length:.1}\" height=\"{}\" fill=\"{colour}\"/>",
            BAR - 1.0
        ));
        let times = cell.rate_ratio().filter(|_| at == 0);
        let times = times.map_or_else(String::new, |times| format!("  ({times:.1} ×)"));
        line(text(NAMES + length + 5.0, y + 9.0, "start", &format!("{rate:.0}{times}")));
    }
}

fn text(x: f64, y: f64, anchor: &str, what: &str) -> String {
    let what = what.replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"#222222\">{what}</text>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load;

    #[test]
    fn the_longest_bar_is_the_better_party_s() {
        let rated = |rate| load::Report { consume_rate: rate, ..load::Report::default() };
        let middle = vec![rated(300.0), rated(100.0)];
        let cells = vec![Measured { name: "one", summary: "", work: "", middle }];
        let report = Report { parties: vec!["ours".into(), "a<b".into()], rounds: 1, cells };

        let svg = draw(&report);

        assert!(svg.contains("width=\"420.0\"") && svg.contains("width=\"140.0\""), "{svg}");
        assert!(svg.contains("300  (3.0 ×)") && svg.contains("a&lt;b, messages/s"), "{svg}");
    }
}
