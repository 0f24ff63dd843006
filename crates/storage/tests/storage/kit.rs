//! Disks to test on, rows to write, and waiting for completions.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bytes::Bytes;
use warren_storage::{
    Completion, Config, GroupStore, LogEngine, LogId, MemoryEngine, Row, RowKind, StorageError,
    Store,
};
use warren_types::{LogIndex, NodeId, Term};

/// Long enough for any disk; a test that waits so long has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Something a store can be opened on again and again.
pub(crate) trait Disk {
    fn fresh() -> Self;
    fn open_with(&self, change: impl FnOnce(&mut Config)) -> Store;

    fn open(&self) -> Store {
        self.open_with(|_| {})
    }
}

#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) engine: MemoryEngine,
}

impl Disk for Memory {
    fn fresh() -> Self {
        Self::default()
    }

    fn open_with(&self, change: impl FnOnce(&mut Config)) -> Store {
        let mut config = Config::default();
        change(&mut config);
        Store::with_engine(Box::new(self.engine.clone()), config).unwrap()
    }
}

/// The in-memory engine without a writer thread.
pub(crate) struct Inline(Memory);

impl Disk for Inline {
    fn fresh() -> Self {
        Self(Memory::fresh())
    }

    fn open_with(&self, change: impl FnOnce(&mut Config)) -> Store {
        let mut config = Config::default();
        change(&mut config);
        Store::inline(Box::new(self.0.engine.clone()), config)
    }
}

pub(crate) struct Rocks {
    pub(crate) dir: tempfile::TempDir,
}

impl Disk for Rocks {
    fn fresh() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn open_with(&self, change: impl FnOnce(&mut Config)) -> Store {
        let mut config = Config::new(self.dir.path().join("data"));
        config.log_engine = LogEngine::Rocksdb;
        change(&mut config);
        Store::open(config).unwrap()
    }
}

pub(crate) struct Segments {
    pub(crate) dir: tempfile::TempDir,
}

impl Disk for Segments {
    fn fresh() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn open_with(&self, change: impl FnOnce(&mut Config)) -> Store {
        let mut config = Config::new(self.dir.path().join("data"));
        config.log_engine = LogEngine::Segments;
        // Small ones, so that there are many.
        config.segment_bytes = 16 << 10;
        change(&mut config);
        Store::open(config).unwrap()
    }
}

pub(crate) type Outcome = Result<(), StorageError>;

/// A completion, and where its outcome arrives.
pub(crate) fn completion() -> (Completion, Receiver<Outcome>) {
    let (sender, receiver) = channel();
    let done = Box::new(move |outcome| {
        let _gone = sender.send(outcome);
    });
    (done, receiver)
}

/// Asks for something and waits for its outcome.
pub(crate) fn outcome_of(ask: impl FnOnce(Completion)) -> Outcome {
    let (done, outcome) = completion();
    ask(done);
    outcome.recv_timeout(DEADLINE).expect("a completion is called")
}

/// Asks for something and waits until it is on the disk.
pub(crate) fn synced(ask: impl FnOnce(Completion)) {
    outcome_of(ask).unwrap();
}

/// Waits until something is so.
pub(crate) fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !so() {
        assert!(began.elapsed() < DEADLINE, "{what}");
        std::thread::yield_now();
    }
}

pub(crate) fn nobody() -> Completion {
    Box::new(|_| {})
}

pub(crate) fn index(number: u64) -> LogIndex {
    LogIndex(number)
}

pub(crate) fn row(index: u64, term: u64, payload: impl Into<Bytes>) -> Row {
    Row {
        index: LogIndex(index),
        term: Term(term),
        leader: NodeId(term + 100),
        kind: RowKind::Command,
        payload: payload.into(),
    }
}

/// Rows `first..=last` of `term`, each of which says so.
pub(crate) fn rows(first: u64, last: u64, term: u64) -> Vec<Row> {
    (first..=last).map(|index| row(index, term, format!("row {index} of term {term}"))).collect()
}

pub(crate) fn id(index: u64, term: u64) -> LogId {
    LogId { index: LogIndex(index), term: Term(term), leader: NodeId(term + 100) }
}

pub(crate) fn append(group: &GroupStore, rows: Vec<Row>) {
    synced(|done| group.append(rows, done));
}

pub(crate) fn all(group: &GroupStore) -> Vec<Row> {
    group.read(index(0)..=index(u64::MAX), usize::MAX).unwrap()
}

/// The indexes up to `last` under which there is a row.
pub(crate) fn existing(group: &GroupStore, last: u64) -> Vec<u64> {
    (0..=last).filter(|number| group.row(index(*number)).unwrap().is_some()).collect()
}
