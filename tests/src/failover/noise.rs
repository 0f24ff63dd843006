//! What the machine itself adds to every time: how late a thread wakes that sleeps a millisecond.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::history::History;

/// How long the thread sleeps at a time.
const NAP: Duration = Duration::from_millis(1);

/// What is less late than this is not kept.
const PUNCTUAL: Duration = Duration::from_millis(1);

/// Listens until it is dropped.
#[derive(Debug)]
pub struct Noise {
    late: Arc<Mutex<Vec<(Duration, Duration)>>>,
    is_over: Arc<AtomicBool>,
}

impl Noise {
    /// Begins to listen, on the clock of a history.
    pub fn listen(history: &Arc<History>) -> Self {
        let noise = Self { late: Arc::default(), is_over: Arc::default() };
        let (late, is_over) = (Arc::clone(&noise.late), Arc::clone(&noise.is_over));
        let history = Arc::clone(history);
        thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                let begin = history.now();
                thread::sleep(NAP);
                let end = history.now();
                let by = (end - begin).saturating_sub(NAP);
                if by > PUNCTUAL {
                    late.lock().unwrap_or_else(PoisonError::into_inner).push((end, by));
                }
            }
        });
        noise
    }

    /// The latest that the thread woke in a stretch of time.
    pub fn longest(&self, from: Duration, to: Duration) -> Duration {
        let late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        let inside = late.iter().filter(|(at, _)| (from..=to).contains(at));
        inside.map(|(_, by)| *by).max().unwrap_or_default()
    }
}

impl Drop for Noise {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}
