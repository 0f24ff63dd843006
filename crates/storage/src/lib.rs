//! What a node keeps on its disk: the Raft logs of all its groups with the message bodies in
//! them, votes, snapshots and the node's identity.
//!
//! A [`Store`] is one node's storage: one [`Engine`] and one writer thread, which turns
//! everything that waits, of **all** groups, into one batch with one sync, and only then calls
//! the completions. A [`GroupStore`] is one group's part of it. Everything here is synchronous
//! and plain: no async runtime, no Raft library.
//!
//! **Always true:**
//! - A completion that says `Ok` is called after the sync, never before.
//! - What one group asks for reaches the disk in the order in which it was asked for; a vote
//!   never overtakes rows, nor rows a vote.
//! - A log has no holes: rows are appended behind the last one or not at all, and opening a
//!   group checks every row above the floor.
//! - A row can be read as soon as `append` returns.
//! - A failed write or sync, or a checksum that does not fit, fails the store for good: nothing is
//!   tried again, and the hook set with [`Store::on_failure`] ends the process.
//!
//! **Not here:** what rows, votes and snapshots mean. They are bytes.

mod backlog;
mod config;
mod counters;
mod damage;
mod engine;
mod erase;
mod error;
mod failure;
mod format;
mod group;
mod keys;
mod lock;
pub mod probe;
mod row;
mod runs;
mod slowness;
mod stall;
mod store;
mod watermark;
mod writer;

pub use config::{Config, LogEngine, RocksConfig};
pub use counters::{SYNC_BUCKETS_US, Statistics};
pub use engine::{Change, Engine, EngineError, MemoryEngine, RocksEngine, SegmentEngine, Visit};
pub use erase::erase;
pub use error::{OpenError, StorageError};
pub use format::RowValue;
pub use group::GroupStore;
pub use keys::Key;
pub use row::{Bounds, Completion, LogId, Row, RowKind, Snapshot};
pub use store::Store;
