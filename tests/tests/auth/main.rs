//! Clients that are no users of the cluster: tokens, and a service that knows them. Over sockets,
//! against real processes.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has said what it has to say"
)]

mod limits;
mod secrets;
mod service;
mod several;
mod support;
mod tokens;
