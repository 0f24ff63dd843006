//! The contract that every replicated machine signs, and the kit that tests it.
//!
//! A [`Machine`] is a value that takes committed entries in log order. The same entries give the
//! same state on every replica, on every run: it reads no clock and no configuration, draws no
//! random numbers, and iterates over nothing whose order differs between processes. Applying is
//! total: whatever the bytes of an entry say, it ends in a reply and not in a panic.
//!
//! **Not here:** how entries are agreed upon and kept. That is `consensus` and `storage`.

mod contract;
pub mod kit;

pub use contract::{Applied, Digest, Entry, Machine, RestoreError, SparseRow};
