//! A load generator: what a broker does per second, how long it takes, and what it costs.
//!
//! It shares the machine with the broker, so it is made to cost little: blocking sockets, one thread
//! per client, batches of publishes packed in advance in which only numbers and times are written,
//! and of what comes back no more is read than is needed. Each message carries its stream (one
//! publisher to one queue), its number there and the time it was sent, so that a run also tells
//! what was lost or came twice.
//!
//! - [`Options`]: what is asked for, from the command line.
//! - [`run`]: the phases of a run, and the [`Report`] of it.
//!
//! **Not here:** reconnecting. A run measures; it ends when a connection is lost.

mod consumer;
mod frames;
mod histogram;
mod options;
pub mod process;
mod publisher;
mod report;
mod run;
mod tally;

pub(crate) use frames::{Event, Parser};
pub use histogram::Histogram;
pub use options::{Mode, Options, USAGE, address};
pub(crate) use publisher::read_some;
pub use report::{Latency, Report, Watched};
pub use run::run;
