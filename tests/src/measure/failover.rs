//! The same fault again and again, and the longest silences that it brought.

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;

use crate::cluster::Cluster;
use crate::failover::{Account, Pace, Stretch, fault};
use crate::measure::{Fault, Options};

/// Faults that are shown in words.
const SHOWN: usize = 20;

/// A median and a maximum, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Spread {
    /// Half are not longer.
    pub median_ms: f64,
    /// None is longer.
    pub max_ms: f64,
}

impl Spread {
    fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        let ms = |duration: Option<&Duration>| duration.map_or(0.0, |d| d.as_secs_f64() * 1e3);
        let middle = durations.len().saturating_sub(1) / 2;
        Self { median_ms: ms(durations.get(middle)), max_ms: ms(durations.last()) }
    }
}

/// What the rounds have in common between two things that happen.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What it begins with.
    pub stretch: String,
    /// How long it took.
    pub length: Spread,
    /// The longest silence of confirms.
    pub confirms: Spread,
    /// The longest silence of deliveries.
    pub deliveries: Spread,
    /// How late a thread woke that wanted to sleep a millisecond.
    pub noise: Spread,
}

/// All rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What happened to nodes.
    pub fault: String,
    /// How often.
    pub rounds: usize,
    /// Messages a second.
    pub rate: u64,
    /// Stretches, in order.
    pub rows: Vec<Row>,
    /// Messages confirmed.
    pub confirmed: u64,
    /// Messages delivered at least once.
    pub delivered: u64,
    /// Deliveries beyond the first of each message.
    pub repeats: u64,
    /// Connections that ended against their clients' will.
    pub lost_connections: usize,
    /// What the broker did wrong: losses, duplicates, overtaking and the like.
    pub faults: usize,
    /// The first of them.
    pub first_faults: Vec<String>,
}

/// Does it to nodes that are fresh, or those that the environment names.
pub fn measure(options: &Options) -> Report {
    let mut cluster = Cluster::start();
    let round = |number| {
        let account = once(&mut cluster, options, number);
        eprintln!("round {} of {}: {}", number + 1, options.rounds, line_of(&account));
        account
    };
    let accounts: Vec<Account> = (0..options.rounds).map(round).collect();
    Report::of(options, &accounts)
}

fn once(cluster: &mut Cluster, options: &Options, round: usize) -> Account {
    let pace: &Pace = &options.pace;
    let node = round % cluster.len();
    match options.fault {
        Fault::Kill => fault::kill(cluster, node, pace),
        Fault::Freeze => fault::freeze(cluster, node, pace),
        Fault::Own => fault::kill_own(cluster, node, pace),
        Fault::Rolling => fault::rolling(cluster, pace),
        Fault::Blackout => {
            let order: Vec<usize> =
                (0..cluster.len()).map(|at| (at + node) % cluster.len()).collect();
            fault::kill_all(cluster, &order, pace)
        }
    }
}

/// One round in one line.
fn line_of(account: &Account) -> String {
    let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
    let one = |stretch: &Stretch| {
        let (confirms, deliveries) = (stretch.confirms.length, stretch.deliveries.length);
        let [confirms, deliveries, noise] = [confirms, deliveries, stretch.noise].map(ms);
        format!("{} {confirms:.0}/{deliveries:.0}/{noise:.0} ms", stretch.name)
    };
    let stretches: Vec<String> = account.stretches.iter().map(one).collect();
    format!("{}; {} faults", stretches.join(", "), account.faults.len())
}

impl Report {
    fn of(options: &Options, accounts: &[Account]) -> Self {
        let count = |of: fn(&Account) -> u64| accounts.iter().map(of).sum();
        let faults = || accounts.iter().flat_map(|account| &account.faults);
        Self {
            fault: options.fault.name().to_owned(),
            rounds: accounts.len(),
            rate: options.pace.rate,
            rows: rows(accounts),
            confirmed: count(|account| account.summary.confirmed),
            delivered: count(|account| account.summary.delivered),
            repeats: count(|account| account.summary.repeats),
            lost_connections: accounts.iter().map(|account| account.losses.len()).sum(),
            faults: faults().count(),
            first_faults: faults().take(SHOWN).map(ToString::to_string).collect(),
        }
    }

    /// A table as `crates/server/BENCHMARKS.md` has them.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        let mut line = |text: String| writeln!(out, "{text}").expect("a string takes every text");
        line(format!("{}, {} rounds, {} messages/s\n", self.fault, self.rounds, self.rate));
        line("| from | confirms: longest gap, median ms | max | deliveries: median ms | max | woken late: median ms | max | lasted: median s |".to_owned());
        line(format!("| --- |{}", " ---: |".repeat(7)));
        for row in &self.rows {
            let cells = [row.confirms, row.deliveries, row.noise]
                .map(|spread| format!("{:.0} | {:.0}", spread.median_ms, spread.max_ms));
            line(format!(
                "| {} | {} | {:.1} |",
                row.stretch,
                cells.join(" | "),
                row.length.median_ms / 1e3
            ));
        }
        line(format!(
            "\nconfirmed {}, delivered {}, again {}, connections lost {}, faults {}",
            self.confirmed, self.delivered, self.repeats, self.lost_connections, self.faults
        ));
        self.first_faults.iter().for_each(|fault| line(format!("  {fault}")));
        out
    }
}

fn rows(accounts: &[Account]) -> Vec<Row> {
    let Some(first) = accounts.first() else { return Vec::new() };
    let row = |(at, stretch): (usize, &Stretch)| {
        let all = || accounts.iter().filter_map(move |account| account.stretches.get(at));
        Row {
            stretch: stretch.name.to_owned(),
            length: Spread::of(all().map(|stretch| stretch.length).collect()),
            confirms: Spread::of(all().map(|stretch| stretch.confirms.length).collect()),
            deliveries: Spread::of(all().map(|stretch| stretch.deliveries.length).collect()),
            noise: Spread::of(all().map(|stretch| stretch.noise).collect()),
        }
    };
    first.stretches.iter().enumerate().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_the_middle_and_the_end() {
        let ms = |list: &[u64]| list.iter().map(|ms| Duration::from_millis(*ms)).collect();

        let spread = Spread::of(ms(&[9, 1, 5, 7]));

        assert_eq!(spread, Spread { median_ms: 5.0, max_ms: 9.0 });
        assert_eq!(Spread::of(Vec::new()), Spread::default());
    }
}
