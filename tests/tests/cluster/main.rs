//! Three nodes that are one broker: what clients notice when nodes die, freeze, leave and return.
//!
//! Each test has a cluster of its own. With `WARREN_TEST_CLUSTER` and what belongs to it (see
//! `warren_tests::cluster`) the same tests run against another broker.
//!
//! Times decide nothing here: the bounds on gaps are those of a busy machine. How long failover
//! takes is for `cargo xtask failover` to say.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a test that panics has said what it has to say"
)]

mod arguments;
mod failover;
mod flood;
mod limits;
mod membership;
mod overload;
mod permissions;
mod pressure;
mod quorum;
mod regressions;
mod streams;
mod support;
mod topology;
