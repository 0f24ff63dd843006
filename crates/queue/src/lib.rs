//! Queues as a value, and the shard that holds many of them: commands in, replies and effects out.
//!
//! A [`Shard`] takes committed entries in log order. An [`entry`] carries the requests of front
//! ends, each a [`fragment`](entry::FragmentWriter) of commands; the shard answers each and lists
//! the [`Effect`]s that its leader must carry out. It reads no clock, opens no file and sends
//! nothing.
//!
//! **Invariants**, which [`Shard::check`] asserts: every message is in exactly one place, ready
//! in its queue, unsettled with one consumer, kept for one that was lost, delayed, or dead and on its
//! way elsewhere; none is ready while a consumer could take it; and the count of references to each log row is the number
//! of messages that stand in it.
//!
//! A stream is a queue whose messages are read, and stay until they are too old or too many. Who reads
//! it keeps its own place: [`Shard::stream_page`] says what is there, and nothing of it is an entry.
//!
//! **Not here:** bodies. The shard keeps a [`Location`](warren_types::Location) per message and
//! says through [`Machine::live_rows`](warren_machine::Machine::live_rows) which rows must stay.

mod apply;
mod browse;
mod check;
mod clock;
mod command;
mod counts;
mod effect;
pub mod entry;
mod letters;
mod listing;
mod lookup;
mod patience;
mod queue;
mod rare;
mod reply;
mod rows;
mod run;
mod session;
mod settings;
mod shard;
mod snapshot;
mod spot;
mod stream;
mod take_over;
#[cfg(test)]
mod tests;
mod timers;
pub mod wire;

pub use browse::{MessageListing, MessagePage};
pub use command::{
    Attach, CLAIM_KEY_BYTES, Claim, ClaimKey, Command, DEDUP_KEY_BYTES, DeadRange, DeadSequence,
    DedupKey, Letter, Outcome, Publish, SettleRange,
};
pub use counts::{QueueCounts, Totals};
pub use effect::{
    CancelReason, DeadLettered, DeadRun, DeathReason, Delivered, DeliveredRun, Effect, EndReason,
};
pub use listing::{ConsumerListing, QueueListing, ScheduledListing, SessionListing};
pub use reply::{CommandReply, FragmentReply, Got, QueueStatus, Refusal, Reply};
pub use settings::{
    DeadLetterStrategy, DeadLetterTarget, DelayedRetry, DelayedRetryKind, DeliveryCounting,
    Overflow, QueueKind, QueueSettings, Retry,
};
pub use shard::{MACHINE_VERSION, PACED_SINCE, Shard};
pub use spot::{Spot, SpotNumbers};
pub use stream::{StreamPage, StreamRun, StreamStatus};
