//! What a node says about itself and about single messages: spans, metrics, log lines.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a test that panics has said what it has to say"
)]

mod dashboards;
mod logs;
mod traces;
