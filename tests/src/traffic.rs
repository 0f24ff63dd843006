//! Clients at a steady pace, whose every step is recorded in a [`History`](crate::history::History).
//!
//! - [`Publisher`]: publishes at a rate, with confirms, each message once.
//! - [`Consumer`]: consumes with manual acknowledgements, and keeps some unacknowledged if asked to.
//!
//! Both have a list of brokers. A lost connection is recorded, and the next in the list is tried;
//! what was unconfirmed when a publisher lost its connection is never sent again, so that every
//! second delivery is the broker's doing.
//!
//! **Not here:** speed. What a broker does at most per second is for [`load`](crate::load).

mod consumer;
mod publisher;

pub use consumer::{Consumer, ConsumerPlan};
pub use publisher::{Publisher, PublisherPlan};

use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{sync, thread};

use anyhow::{Error, bail};

use crate::wire::{Frame, Unpack, id};

/// How long an opening, a request or an orderly end may take before the next broker is tried.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a client waits before it tries the next broker: a loop that finds none must not
/// take the processor from the brokers.
const PAUSE: Duration = Duration::from_millis(2);

/// Whether a client is to leave, and where it is.
#[derive(Debug, Default)]
struct Control {
    is_leaving: AtomicBool,
    wire: sync::Mutex<Option<std::net::SocketAddr>>,
}

impl Control {
    fn leave(&self) {
        self.is_leaving.store(true, Ordering::SeqCst);
    }

    fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::SeqCst)
    }

    fn connected(&self, to: Option<std::net::SocketAddr>) {
        *self.wire.lock().unwrap_or_else(PoisonError::into_inner) = to;
    }

    fn is_connected(&self) -> bool {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

/// Waits for the end of a thread.
fn join(thread: thread::JoinHandle<()>, who: &str, longest: Duration) {
    let until = Instant::now() + longest;
    while !thread.is_finished() {
        assert!(Instant::now() < until, "the {who} does not end within {longest:?}");
        thread::sleep(PAUSE);
    }
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// What a frame that nobody waits for means.
fn stray(frame: &Frame) -> Result<(), Error> {
    match frame.method() {
        Some(id::CLOSE | id::CHANNEL_CLOSE) => {
            let mut arguments = Unpack::new(frame.arguments());
            let (code, text) = (arguments.u16(), arguments.short());
            bail!("the broker closed channel {}: {code} {text}", frame.channel)
        }
        Some(id::CANCEL) => bail!("the broker cancelled the consumer"),
        // connection.blocked and -unblocked, and what the caller has no use for.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
