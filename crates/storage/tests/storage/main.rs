//! The store, as its callers see it, on both engines.
//!
//! One binary for all of it: linking RocksDB takes longer than running the tests.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "all of this is tests: a panic is a failure, and what a test sends is bounded by it"
)]

mod conformance;
mod crashes;
mod damage;
mod failures;
mod histories;
mod killed;
mod kit;
mod model;
mod pressure;
