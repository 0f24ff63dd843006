//! One broker, real sockets: what a client of RabbitMQ expects, asked for from the outside.
//!
//! The modules under [`wire`] and [`errors`] use the literal client of `warren_tests::wire`, the
//! others lapin. All tests share one node, except those that need power over the process.
//! With `WARREN_TEST_AMQP=host:port` the same tests run against another broker.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    reason = "a test that panics has said what it has to say"
)]

mod bulletins;
mod burdens;
mod consuming;
mod dead_letters;
mod errors;
mod frames;
mod lifecycle;
mod limits;
mod publishing;
mod support;
mod topology;
