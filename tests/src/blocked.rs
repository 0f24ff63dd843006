//! A publisher that is told to wait: until it is, and until all that it sent is confirmed.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use crate::wire::{MethodId, Pack, Unpack, Wire, id, publish};

const BLOCKED: MethodId = (10, 60);
const UNBLOCKED: MethodId = (10, 61);

/// How long an alarm may take to come or go.
const PATIENCE: Duration = Duration::from_secs(60);

/// Flags for delivery-mode alone, and the mode: persistent.
const PERSISTENT: [u8; 3] = [0x10, 0, 2];

/// Publishes to a queue on channel 1, and has it confirmed.
#[derive(Debug)]
pub struct Publisher {
    wire: Wire,
    queue: String,
    published: u64,
    confirmed: u64,
}

impl Publisher {
    /// Has publishes on a channel confirmed on which there were none yet.
    ///
    /// # Errors
    ///
    /// When the broker refuses that.
    pub fn new(mut wire: Wire, queue: &str) -> Result<Self> {
        wire.set_patience(PATIENCE);
        let select = Pack::method(id::CONFIRM_SELECT).u8(0).frame(1);
        wire.call(1, select, id::CONFIRM_SELECT_OK)?;
        Ok(Self { wire, queue: queue.to_owned(), published: 0, confirmed: 0 })
    }

    /// Publishes, and waits for nothing.
    ///
    /// # Errors
    ///
    /// When the connection is gone.
    pub fn send(&mut self, body: &[u8]) -> Result<()> {
        self.published += 1;
        self.wire.send(&publish(1, "", &self.queue, 0, &PERSISTENT, body))
    }

    /// Publishes, and waits for the confirm. Why nothing more is read, if that is heard meanwhile.
    ///
    /// # Errors
    ///
    /// When something else is heard, or nothing for too long.
    pub fn send_confirmed(&mut self, body: &[u8]) -> Result<Option<String>> {
        self.send(body)?;
        let mut reason = None;
        while self.confirmed < self.published {
            let frame = self.wire.frame()?;
            let mut arguments = Unpack::new(frame.arguments());
            match frame.method() {
                Some(BLOCKED) => reason = Some(arguments.short()),
                Some(id::ACK) => self.confirmed = arguments.u64(),
                other => bail!("{other:?} on {}", frame.channel),
            }
        }
        Ok(reason)
    }

    /// Publishes until the broker says that it reads nothing more, with a pause after each message;
    /// says why.
    ///
    /// # Errors
    ///
    /// When that never comes, or something else is heard.
    pub fn send_until_blocked(&mut self, body: &[u8], pause: Duration) -> Result<String> {
        let until = Instant::now() + PATIENCE;
        loop {
            ensure!(Instant::now() < until, "the publisher is never blocked");
            if let Some(reason) = self.send_confirmed(body)? {
                return Ok(reason);
            }
            std::thread::sleep(pause);
        }
    }

    /// Fails if anything is heard within that time.
    ///
    /// # Errors
    ///
    /// What was heard.
    pub fn hear_nothing(&mut self, time: Duration) -> Result<()> {
        let heard = self.wire.hear_within(time)?;
        ensure!(heard.is_none(), "{heard:?}");
        Ok(())
    }

    /// Waits until it may go on, and until all that it sent is confirmed.
    ///
    /// # Errors
    ///
    /// When either never comes.
    pub fn await_release(&mut self) -> Result<()> {
        self.wire.expect(0, UNBLOCKED)?;
        while self.confirmed < self.published {
            let frame = self.wire.expect(1, id::ACK)?;
            self.confirmed = Unpack::new(frame.arguments()).u64();
        }
        Ok(())
    }
}
