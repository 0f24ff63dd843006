//! A client that publishes and consumes all the time, to feel what other clients feel.
//!
//! It has one connection, one queue, and waits for nothing: a message every [`PACE`], whether or not
//! those before were confirmed. What comes back is noted with its time, and looked at when all is over.

mod felt;
mod wire;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub(crate) use felt::{Felt, Track};
pub(crate) use wire::Login;
use wire::{Heard, Wire};

/// Between two messages.
const PACE: Duration = Duration::from_millis(20);

/// Messages that may be unanswered; beyond that nothing is published until something is.
const UNANSWERED_MOST: u64 = 20_000;

/// A running probe.
pub(crate) struct Probe {
    shared: Arc<Mutex<Shared>>,
    thread: JoinHandle<()>,
}

/// What the probe and its owner tell each other.
#[derive(Default)]
struct Shared {
    track: Track,
    /// No more messages are wanted.
    is_enough: bool,
    /// Nothing is wanted any more.
    is_over: bool,
    /// What ended the connection.
    broken: Option<String>,
}

impl Probe {
    /// Connects to `host`, consumes from `queue` and publishes to it.
    pub(crate) fn start(
        host: (&str, u16),
        login: &Login<'_>,
        queue: &str,
        deadline: Instant,
    ) -> io::Result<Self> {
        let mut wire = Wire::open(host, login, deadline)?;
        wire.consume(queue, deadline)?;
        let shared = Arc::new(Mutex::new(Shared::default()));
        let (theirs, queue) = (Arc::clone(&shared), queue.to_owned());
        let thread = thread::spawn(move || {
            if let Err(error) = run(&mut wire, &queue, &theirs) {
                lock(&theirs).broken = Some(error.to_string());
            }
        });
        Ok(Self { shared, thread })
    }

    /// Stops publishing, and goes on listening.
    pub(crate) fn stop_publishing(&self) {
        lock(&self.shared).is_enough = true;
    }

    /// Whether something was confirmed and something delivered after `since`.
    pub(crate) fn is_well_since(&self, since: Instant) -> bool {
        let shared = lock(&self.shared);
        shared.broken.is_none() && shared.track.is_well_since(since)
    }

    /// Whether it can get no further: all is answered and delivered, or the connection has ended.
    pub(crate) fn is_done(&self) -> bool {
        let shared = lock(&self.shared);
        shared.broken.is_some() || shared.track.is_complete()
    }

    /// What it felt from `begin` until `end`, and in the calm before.
    pub(crate) fn finish(self, begin: Instant, end: Instant) -> Felt {
        lock(&self.shared).is_over = true;
        let panicked = self.thread.join().is_err();
        let shared = lock(&self.shared);
        let broken = shared.broken.clone().or(panicked.then(|| "the probe failed".to_owned()));
        shared.track.felt(begin, end, broken)
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(wire: &mut Wire, queue: &str, shared: &Mutex<Shared>) -> io::Result<()> {
    let mut next = Instant::now();
    loop {
        let mut published = None;
        {
            let mut shared = lock(shared);
            if shared.is_over {
                return Ok(());
            }
            if Instant::now() >= next {
                next = Instant::now() + PACE;
                if !shared.is_enough && shared.track.unanswered() < UNANSWERED_MOST {
                    published = Some(shared.track.publish());
                }
            }
        }
        if let Some(number) = published {
            wire.publish(queue, number)?;
        }
        let heard = wire.hear(next)?;
        let (now, mut shared) = (Instant::now(), lock(shared));
        match heard {
            Heard::Nothing => {}
            Heard::Confirmed { tag, multiple } => shared.track.confirm(now, tag, multiple),
            Heard::Refused { tag, multiple } => shared.track.refuse(tag, multiple),
            Heard::Delivered(number) => shared.track.deliver(now, number),
        }
    }
}
