//! The bytes of a shard's log entries.
//!
//! ```text
//! entry     u8 format (3) | u16 machine version | u64 time | fragments
//! time      16 bits: milliseconds since the entry before plus 1, or 0 | 48 bits: time of day in ms
//! fragment  u32 length of the rest | u64 node | u64 boot | u64 request sequence
//!           | u64 heard up to which sequence | commands
//! command   u8 kind | fields
//! publish   u8 kind | u32 length of the rest | u8 flags | u16 queue count | u64 queue ids
//!           | short exchange | short routing key | u32 + header | u32 + body
//!           | where flagged: u64 upload, u64 expiration in ms, u8 priority, u32 + trail,
//!           | u64 queue and u64 sequence of a dead letter, u64 delay in ms,
//!           | u8 more flags; where flagged there: u16 count, count × (u64 queue, 16 bytes of key)
//! ```
//!
//! An entry is proposed once, replicated, and stays in the log as the *row* that holds the bodies
//! of its messages. A [`Location`](warren_types::Location) names a row and the offset of a record
//! in it; [`message`] and [`chunk`] find the bytes from there. [`thin`] makes a *sparse* row (format
//! 2) that holds only some of the records and finds them under the same offsets:
//!
//! ```text
//! sparse    u8 format (2) | u32 count | count × (u32 offset, u32 position), ascending | records
//!           u8 format (4) | u16 machine version | u64 time | as above
//! ```
//!
//! Who reads a stream from a time on asks a row for its own; so a row keeps it that is thinned, if it
//! was written for a machine that has streams.
//!
//! **Always holds:** nothing here panics for any bytes that are read; a kind or a format, once
//! released, keeps its meaning. Whoever needs another layout adds a kind, or a format.
//!
//! **Not here:** what the commands do.

mod cursor;
mod read;
mod row;
mod settings;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use read::{
    AttachRef, CommandRef, EntryRef, FragmentRef, PublishRef, RangesRef, commands,
};
pub use read::{DecodedEntry, DecodedFragment, attaches, decode, time};
pub use row::{Message, chunk, message, thin};
pub(crate) use settings::{settings_of, write_settings};
pub use write::{EntryWriter, FragmentWriter, PublishParts};

/// Bytes of an entry before its first fragment.
pub const ENTRY_HEADER_BYTES: usize = 11;

/// Bits of an entry's time that are the time of day, in milliseconds: enough for nine thousand years.
const TIME_OF_DAY_BITS: u32 = 48;
const TIME_OF_DAY: u64 = (1 << TIME_OF_DAY_BITS) - 1;

/// Bytes that a fragment takes in an entry besides its commands.
pub const FRAGMENT_HEADER_BYTES: usize = 36;

/// The first byte of an entry.
const FORMAT_ENTRY: u8 = 3;

/// The first byte of a row that was thinned out.
const FORMAT_SPARSE: u8 = 2;

/// The first byte of one that has kept its time.
const FORMAT_SPARSE_TIMED: u8 = 4;

/// From this machine version on a row keeps its time when it is thinned out.
const TIMED_SINCE: u16 = 7;

/// Flags of a publish record. Bits without a name must be 0.
mod publish_flag {
    pub(super) const PERSISTENT: u8 = 1;
    pub(super) const UPLOAD: u8 = 1 << 1;
    pub(super) const EXPIRATION: u8 = 1 << 2;
    pub(super) const PRIORITY: u8 = 1 << 3;
    pub(super) const TRAIL: u8 = 1 << 4;
    pub(super) const LETTER: u8 = 1 << 5;
    pub(super) const DELAY: u8 = 1 << 6;
    /// Whether there are more flags.
    pub(super) const MORE: u8 = 1 << 7;
    /// What few messages have, behind the rest.
    pub(super) const RARE: u8 = EXPIRATION | PRIORITY | TRAIL | LETTER | DELAY | MORE;
    pub(super) const ALL: u8 = PERSISTENT | UPLOAD | RARE;
}

/// Further flags of a publish record. Bits without a name must be 0.
mod more_flag {
    pub(super) const DEDUP: u8 = 1;
}

/// Bytes of a queue and of the key that it knows a message by.
const DEDUP_BYTES: usize = 8 + crate::DEDUP_KEY_BYTES;

/// The first byte of each command.
mod kind {
    pub(super) const PUBLISH: u8 = 1;
    pub(super) const SETTLE: u8 = 2;
    pub(super) const ATTACH: u8 = 3;
    pub(super) const CANCEL: u8 = 4;
    pub(super) const DETACH: u8 = 5;
    pub(super) const GRANT: u8 = 6;
    pub(super) const GET: u8 = 7;
    pub(super) const CREATE_QUEUE: u8 = 8;
    pub(super) const CONFIGURE_QUEUE: u8 = 9;
    pub(super) const DELETE_QUEUE: u8 = 10;
    pub(super) const FORGET_QUEUE: u8 = 11;
    pub(super) const PURGE_QUEUE: u8 = 12;
    pub(super) const STATUS: u8 = 13;
    pub(super) const OPEN_SESSION: u8 = 14;
    pub(super) const CLOSE_SESSION: u8 = 15;
    pub(super) const CHUNK: u8 = 16;
    pub(super) const ABANDON_UPLOAD: u8 = 17;
    pub(super) const TICK: u8 = 18;
    pub(super) const TOUCH: u8 = 19;
    pub(super) const DEAD_SETTLED: u8 = 20;
    pub(super) const CANCEL_SCHEDULED: u8 = 21;
    pub(super) const DROP_MESSAGE: u8 = 22;
    pub(super) const PICK_MESSAGE: u8 = 23;
    pub(super) const LOSE: u8 = 24;
}

/// The byte of each outcome of a settle.
mod outcome {
    pub(super) const ACK: u8 = 0;
    pub(super) const REQUEUE: u8 = 1;
    pub(super) const REJECT_REQUEUE: u8 = 2;
    pub(super) const REJECT: u8 = 3;
    pub(super) const RELEASE: u8 = 4;
    pub(super) const EXTEND: u8 = 5;
}

/// Flags of an attach. Bits without a name must be 0.
mod attach_flag {
    pub(super) const EXCLUSIVE: u8 = 1;
    pub(super) const NO_ACK: u8 = 1 << 1;
    pub(super) const TIMEOUT: u8 = 1 << 2;
    pub(super) const CLAIM: u8 = 1 << 3;
}
