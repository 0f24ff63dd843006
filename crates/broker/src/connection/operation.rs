//! Operations: what a channel must wait for.
//!
//! An operation runs as a future of the connection and ends in a [`Finish`], which is done on the
//! connection itself. While it runs, its channel is busy and keeps its further frames in order.

use std::future::Future;
use std::pin::Pin;

use warren_amqp::MethodId;
use warren_types::ChannelNumber;

use super::state::Connection;
use crate::failure::Failure;

/// What is left to be done on the connection once the waiting is over.
pub(crate) type Finish = Box<dyn FnOnce(&mut Connection) -> Result<(), Failure> + Send>;

/// An operation's end.
pub(crate) struct Ended {
    pub(crate) channel: ChannelNumber,
    pub(crate) generation: u64,
    pub(crate) method: MethodId,
    pub(crate) outcome: Result<Finish, Failure>,
}

/// An operation under way.
pub(crate) type Operation = Pin<Box<dyn Future<Output = Ended> + Send>>;

impl Connection {
    /// Has the channel wait for `work`, at most for the operation timeout.
    ///
    /// `waits_for` says what is missing when it takes longer.
    pub(crate) fn begin<W>(
        &mut self,
        number: ChannelNumber,
        method: MethodId,
        waits_for: String,
        work: W,
    ) where
        W: Future<Output = Result<Finish, Failure>> + Send + 'static,
    {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        channel.busy = true;
        let generation = channel.generation;
        let timeout = self.limits().operation_timeout;
        // Whatever the burst asked for before goes first.
        self.send_staged();
        self.operations.push(Box::pin(async move {
            let outcome = match tokio::time::timeout(timeout, work).await {
                Ok(outcome) => outcome,
                Err(_) => Err(Failure::unavailable(format_args!(
                    "{waits_for} did not answer within {} ms",
                    timeout.as_millis()
                ))),
            };
            Ended { channel: number, generation, method, outcome }
        }));
    }

    /// Has `work` done that belongs to no channel. Where the client waits to come in, that is for
    /// as long as a handshake may take.
    pub(crate) fn begin_apart<W>(&mut self, method: MethodId, work: W)
    where
        W: Future<Output = Result<Finish, Failure>> + Send + 'static,
    {
        self.operations.push(Box::pin(async move {
            let (channel, generation) = (ChannelNumber(0), 0);
            Ended { channel, generation, method, outcome: work.await }
        }));
    }

    /// An operation has ended: do the rest, then what waited behind it.
    pub(crate) fn ended(&mut self, ended: Ended) {
        let Ended { channel: number, generation, method, outcome } = ended;
        if number == ChannelNumber(0) {
            if let Err(failure) = outcome.and_then(|finish| finish(self)) {
                self.fail(number, failure.at(method));
            }
            return;
        }
        let Some(channel) = self.channels.get_mut(&number) else { return };
        if channel.generation != generation {
            return;
        }
        channel.busy = false;
        if let Err(failure) = outcome.and_then(|finish| finish(self)) {
            self.fail(number, failure.at(method));
        }
        self.resume(number);
    }

    /// Does what waited behind an operation.
    pub(crate) fn resume(&mut self, number: ChannelNumber) {
        loop {
            let Some(channel) = self.channels.get_mut(&number) else { return };
            if channel.busy {
                return;
            }
            let Some(event) = channel.backlog.pop_front() else { return };
            channel.is_covered = channel.covered > 0;
            channel.covered = channel.covered.saturating_sub(1);
            self.backlog_bytes = self.backlog_bytes.saturating_sub(super::dispatch::weight(&event));
            self.handle(event);
            if let Some(channel) = self.channels.get_mut(&number) {
                channel.is_covered = false;
            }
        }
    }
}
