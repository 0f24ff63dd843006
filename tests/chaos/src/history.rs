//! What happened and when, on one clock: a line of JSON per event.
//!
//! Clients note what they are about to do before they do it, and what they heard once they heard it.
//! So between two lines about one thing stands all that can have happened to it. A [`Recorder`]
//! writes to a file and keeps nothing; a [`History`] reads the file line by line, so that neither
//! grows with the length of a run. Channels, consumers and messages have numbers that are never used twice.
//!
//! **Not here:** verdicts. Those are [`checker`](crate::checker)'s.

mod event;

pub use event::{
    Action, Channel, Consumer, DAMAGE, Death, Event, How, Message, Outcome, Overflow, Rules,
};

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// Notes events as they happen. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorder {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    start: Instant,
    path: PathBuf,
    numbers: AtomicU64,
    file: Mutex<BufWriter<File>>,
}

/// An event and its time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Microseconds since the history began.
    pub at: u64,
    /// What happened.
    pub event: Event,
}

/// A history that can be read as often as one likes.
#[derive(Clone, Debug)]
pub enum History {
    /// In a file.
    File(PathBuf),
    /// In memory, as tests make them.
    Memory(Vec<Line>),
}

impl Recorder {
    /// Begins a history in a file.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
        let inner = Inner {
            start: Instant::now(),
            path: path.to_owned(),
            numbers: AtomicU64::new(1),
            file: Mutex::new(BufWriter::new(file)),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The time since it began.
    pub fn now(&self) -> Duration {
        self.inner.start.elapsed()
    }

    /// A number that nobody else has.
    pub fn number(&self) -> u64 {
        self.inner.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes an event that happens at this moment.
    ///
    /// # Panics
    ///
    /// If it cannot be written: a history with holes would accuse the broker.
    pub fn tell(&self, event: Event) {
        let mut file = self.inner.file.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock, so that lines are in the order of their times.
        let line = Line { at: micros(self.now()), event };
        serde_json::to_writer(&mut *file, &line).expect("the history can be written");
        file.write_all(b"\n").expect("the history can be written");
    }

    /// A phase of the run begins.
    pub fn note_phase(&self, phase: &str) {
        self.tell(Event::Phase { phase: phase.to_owned() });
    }

    /// Something that is not judged.
    pub fn note(&self, text: &str) {
        self.tell(Event::Note { text: text.to_owned() });
    }

    /// Something is about to be done to nodes. Clients of those that are named may be given up
    /// while they live; the checkers excuse what follows from that until a while after the end.
    pub fn begin_fault(&self, name: &str, nodes: &[&str], what: &str) -> u64 {
        let fault = self.number();
        let nodes = nodes.iter().map(|node| (*node).to_owned()).collect();
        self.tell(Event::Fault { fault, name: name.to_owned(), nodes, what: what.to_owned() });
        fault
    }

    /// What was done to nodes has been undone.
    pub fn end_fault(&self, fault: u64) {
        self.tell(Event::Healed { fault });
    }

    /// The history so far.
    pub fn finish(&self) -> Result<History> {
        let mut file = self.inner.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.flush().context("writing the history")?;
        Ok(History::File(self.inner.path.clone()))
    }
}

impl History {
    /// A history that was recorded earlier.
    pub fn read(path: &Path) -> Result<Self> {
        File::open(path).with_context(|| format!("opening {}", path.display()))?;
        Ok(Self::File(path.to_owned()))
    }

    /// Shows every line with its number, the first being 1.
    pub fn walk(&self, mut see: impl FnMut(u64, &Line)) -> Result<()> {
        match self {
            Self::Memory(lines) => {
                (1..).zip(lines).for_each(|(number, line)| see(number, line));
                Ok(())
            }
            Self::File(path) => {
                let file = File::open(path).with_context(|| format!("{}", path.display()))?;
                for (number, text) in (1..).zip(BufReader::new(file).lines()) {
                    let line = serde_json::from_str(&text?)
                        .with_context(|| format!("{}:{number}", path.display()))?;
                    see(number, &line);
                }
                Ok(())
            }
        }
    }
}

/// A time as histories write it.
pub fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).expect("a run does not take centuries")
}

#[cfg(test)]
mod tests;
