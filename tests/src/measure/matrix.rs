//! The same work, in turn, for a fresh cluster of ours and for a peer: rates, times, cost, ratios.
//!
//! - [`cells`]: the kinds of work.
//! - [`report`]: what came of them, as a table and as a chart.
//!
//! **Always holds:** both do a cell one after the other and are idle while the other works; who
//! begins changes from round to round, so that a machine that gets slower or faster favours nobody.

pub mod cells;
mod chart;
mod report;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use self::cells::{CELLS, Cell};
pub use self::report::{Measured, Report};
use crate::cluster::Cluster;
use crate::load;

/// Rounds unless told otherwise: the median of three.
const ROUNDS: usize = 3;
/// How long each party works at a cell in a round, unless told otherwise.
const SECONDS: f64 = 5.0;

/// Another broker.
#[derive(Clone, Debug)]
pub struct Peer {
    /// What the results call it.
    pub name: String,
    /// Its nodes' AMQP addresses.
    pub hosts: Vec<SocketAddr>,
    /// Who may use it.
    pub user: String,
    /// The user's password.
    pub password: String,
    /// Its processes, for what they cost.
    pub pids: Vec<u32>,
}

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whom to compare with; nobody.
    pub against: Option<Peer>,
    /// The kinds of work.
    pub cells: Vec<&'static Cell>,
    /// How often each cell is worked at.
    pub rounds: usize,
    /// How long, each time.
    pub seconds: Duration,
    /// Messages of a backlog, in place of the cell's number.
    pub count: Option<u64>,
    /// Where a chart goes.
    pub chart: Option<PathBuf>,
    /// Whether the report is JSON.
    pub json: bool,
}

impl Options {
    /// Reads a command line behind the task.
    pub fn parse<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<Self> {
        let (mut address, mut name, mut pids) = (None, "peer", Vec::new());
        let mut options = Self {
            against: None,
            cells: Vec::new(),
            rounds: ROUNDS,
            seconds: Duration::from_secs_f64(SECONDS),
            count: None,
            chart: None,
            json: false,
        };
        while let Some(word) = words.next() {
            if word == "--json" {
                options.json = true;
                continue;
            }
            if !word.starts_with("--") {
                options.cells.push(cell(word)?);
                continue;
            }
            let value = words.next().with_context(|| format!("no value for {word}"))?;
            match word {
                "--against" => address = Some(value),
                "--name" => name = value,
                "--pids" => {
                    pids = value.split(',').map(str::parse).collect::<Result<_, _>>()?;
                }
                "--rounds" => options.rounds = value.parse()?,
                "--seconds" => options.seconds = Duration::try_from_secs_f64(value.parse()?)?,
                "--count" => options.count = Some(value.parse()?),
                "--chart" => options.chart = Some(PathBuf::from(value)),
                _ => anyhow::bail!("no such option: {word}"),
            }
        }
        ensure!(options.rounds > 0, "at least one round");
        if options.cells.is_empty() {
            options.cells = CELLS.iter().collect();
        }
        let peer = |address| Peer::read(address, name, pids);
        options.against = address.map(peer).transpose()?;
        Ok(options)
    }
}

impl Peer {
    /// Reads `amqp://user:password@host:port,host:port`; guest is who is not named.
    fn read(address: &str, name: &str, pids: Vec<u32>) -> Result<Self> {
        let rest = address.strip_prefix("amqp://").context("an address begins with amqp://")?;
        let (who, hosts) = rest.rsplit_once('@').unwrap_or(("guest:guest", rest));
        let (user, password) = who.split_once(':').context("a user has a password")?;
        let hosts = hosts.trim_end_matches('/').split(',').map(load::address);
        Ok(Self {
            name: name.to_owned(),
            hosts: hosts.collect::<Result<_>>()?,
            user: user.to_owned(),
            password: password.to_owned(),
            pids,
        })
    }
}

fn cell(name: &str) -> Result<&'static Cell> {
    CELLS.iter().find(|cell| cell.name == name).with_context(|| {
        let names: Vec<&str> = CELLS.iter().map(|cell| cell.name).collect();
        format!("no work '{name}'; there are {}", names.join(", "))
    })
}

/// Has both do all of it.
///
/// # Errors
/// When somebody cannot be reached, or ends a connection.
pub fn measure(options: &Options) -> Result<Report> {
    let cluster = Cluster::start();
    let nodes = 0..cluster.len();
    let ours = Peer {
        name: "warren".to_owned(),
        hosts: nodes.clone().map(|node| cluster.amqp(node)).collect(),
        user: "guest".to_owned(),
        password: "guest".to_owned(),
        pids: nodes.map(|node| cluster.pid(node)).collect(),
    };
    let parties: Vec<&Peer> = [&ours].into_iter().chain(&options.against).collect();
    let names = parties.iter().map(|party| party.name.clone()).collect();
    let mut report = Report { parties: names, rounds: options.rounds, cells: Vec::new() };
    for cell in &options.cells {
        let mut results = vec![Vec::new(); parties.len()];
        for round in 0..options.rounds {
            for turn in 0..parties.len() {
                let party = (round + turn) % parties.len();
                let found = work(cell, parties[party], round, options);
                let text = || format!("{} by {}", cell.name, parties[party].name);
                results[party].push(found.with_context(text)?);
            }
        }
        let middle = results.into_iter().map(report::middle).collect();
        report.cells.push(Measured {
            name: cell.name,
            work: cell.work,
            summary: cell.summary,
            middle,
        });
        eprintln!("{}", report.last_line());
    }
    if let Some(path) = &options.chart {
        std::fs::write(path, chart::draw(&report)).context("the chart cannot be written")?;
    }
    Ok(report)
}

/// Has one party do a cell once.
fn work(cell: &Cell, party: &Peer, round: usize, options: &Options) -> Result<load::Report> {
    let mut work = cell.options()?;
    let first = *party.hosts.first().context("nobody to work for")?;
    work.declare_at = Some(first);
    work.amqp = match cell.clients {
        cells::Clients::Everywhere => party.hosts.clone(),
        cells::Clients::AtLeader => vec![first],
        cells::Clients::Elsewhere => {
            let others = party.hosts.get(1..).filter(|others| !others.is_empty());
            others.unwrap_or(&party.hosts).to_vec()
        }
    };
    work.user.clone_from(&party.user);
    work.password.clone_from(&party.password);
    work.pids.clone_from(&party.pids);
    work.prefix = format!("matrix.{}.{round}", cell.name);
    work.seconds = options.seconds;
    work.warmup = options.seconds / 5;
    if work.count.is_some() {
        work.count = options.count.or(work.count);
    }
    load::run(&work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_is_work_that_can_be_done() {
        for cell in &CELLS {
            assert!(cell.options().is_ok(), "{}", cell.name);
        }
    }

    #[test]
    fn a_peer_is_read_from_its_address() {
        let line =
            "--against amqp://me:secret@127.0.0.1:1,127.0.0.1:2 --pids 3,4 window-1 --rounds 2";

        let options = Options::parse(line.split_whitespace()).unwrap();

        let peer = options.against.unwrap();
        assert_eq!((peer.user.as_str(), peer.password.as_str()), ("me", "secret"));
        assert_eq!((peer.hosts.len(), peer.hosts[1].port(), peer.pids), (2, 2, vec![3, 4]));
        assert_eq!((options.cells.len(), options.rounds), (1, 2));
        let plain = Options::parse("--against amqp://127.0.0.1:1".split_whitespace()).unwrap();
        assert_eq!(plain.against.unwrap().user, "guest");
        assert_eq!(plain.cells.len(), CELLS.len());
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let lines =
            ["nothing", "--rounds 0", "--against 127.0.0.1:1", "--pids x", "--chart", "--speed 1"];
        for line in lines {
            assert!(Options::parse(line.split_whitespace()).is_err(), "{line}");
        }
    }
}
