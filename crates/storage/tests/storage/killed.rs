//! A process that is killed while it writes: its directory opens again and holds everything
//! that it had said was synced.
//!
//! The writing process is this test binary, started again for one test alone.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;

use bytes::Bytes;
use warren_storage::{Config, LogEngine, Store};
use warren_types::GroupId;

use crate::kit::{id, index, row};

const DIRECTORY: &str = "WARREN_TEST_KILLED_DIRECTORY";
const ENGINE: &str = "WARREN_TEST_KILLED_ENGINE";
const GROUPS: u32 = 3;
const ROUNDS: u64 = 4;

/// What row `number` of `group` holds: a different length each, now and then a large one.
fn payload(group: u32, number: u64) -> Vec<u8> {
    let length = if number.is_multiple_of(97) { 200_000 } else { number * 7 % 1_500 };
    let seed = u64::from(group) * 31 + number;
    (0..length).map(|at| u8::try_from((seed + at) % 251).unwrap()).collect()
}

/// Not a test by itself: writes until it is killed, if it is told where.
#[test]
fn the_process_that_is_killed() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    let log_engine = match std::env::var(ENGINE).unwrap().as_str() {
        "segments" => LogEngine::Segments,
        _ => LogEngine::Rocksdb,
    };
    let config = Config { log_engine, segment_bytes: 1 << 20, ..Config::new(directory) };
    let store = Store::open(config).unwrap();
    let groups: Vec<_> = (0..GROUPS).map(|group| store.group(GroupId(group)).unwrap()).collect();
    let (synced, heard) = channel::<(u32, u64)>();
    let mut next: Vec<u64> =
        groups.iter().map(|group| group.bounds().last.map_or(1, |last| last.index.0 + 1)).collect();
    // Bounded, should nobody come to kill it.
    for turn in 0..2_000_000_u64 {
        for (group, next) in (0..GROUPS).zip(&mut next) {
            let handle = &groups[usize::try_from(group).unwrap()];
            let number = *next;
            let synced = synced.clone();
            let done = move |outcome: crate::kit::Outcome| {
                outcome.unwrap();
                let _killed = synced.send((group, number));
            };
            handle.append(vec![row(number, 1, payload(group, number))], Box::new(done));
            handle.save_vote(Bytes::from(number.to_string()), Box::new(|outcome| outcome.unwrap()));
            *next += 1;
            if turn % 200 == 199 {
                handle.purge(id(number - 100, 1), Box::new(|outcome| outcome.unwrap()));
                handle.retain(&[index(number - 150)]);
            }
        }
        // Some in flight, so that batches are large.
        if turn >= 20 {
            for _ in 0..GROUPS {
                let (group, number) = heard.recv().unwrap();
                println!("synced {group} {number}");
            }
            std::io::stdout().flush().unwrap();
        }
    }
}

#[test]
fn a_killed_process_loses_nothing_that_it_said_was_synced_on_rocksdb() {
    lose_nothing("rocksdb");
}

#[test]
fn a_killed_process_loses_nothing_that_it_said_was_synced_on_segments() {
    lose_nothing("segments");
}

fn lose_nothing(engine: &str) {
    let directory = tempfile::tempdir().unwrap();
    let mut promised = vec![0_u64; usize::try_from(GROUPS).unwrap()];

    for round in 1..=ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::the_process_that_is_killed", "--nocapture"])
            .env(DIRECTORY, directory.path())
            .env(ENGINE, engine)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut heard = 0_u64;
        for line in lines {
            let line = line.unwrap();
            // What the test harness prints may stand before it on the line; the last line may be
            // cut.
            let Some((_, said)) = line.split_once("synced ") else { continue };
            let Some((group, number)) = said.split_once(' ') else { continue };
            heard += 1;
            if heard == 700 * round {
                child.kill().unwrap();
            }
            if heard < 700 * round {
                promised[group.parse::<usize>().unwrap()] = number.parse().unwrap();
            }
        }
        child.wait().unwrap();

        assert!(heard >= 700 * round, "only {heard} lines");
        check(directory.path(), &promised);
    }
}

fn check(directory: &std::path::Path, promised: &[u64]) {
    let store = Store::open(Config::new(directory)).unwrap();
    for (group, promised) in (0..GROUPS).zip(promised) {
        let handle = store.group(GroupId(group)).unwrap();
        let last = handle.bounds().last.unwrap().index.0;
        assert!(last >= *promised, "group {group} ends at {last}, {promised} was promised");
        let vote: u64 =
            String::from_utf8(handle.vote().unwrap().unwrap().to_vec()).unwrap().parse().unwrap();
        assert!(vote == last || vote + 1 == last, "vote {vote}, row {last}");
        let rows = crate::kit::all(&handle);
        assert_eq!(rows.last().unwrap().index.0, last);
        for found in rows {
            assert_eq!(found, row(found.index.0, 1, payload(group, found.index.0)));
        }
    }
}
