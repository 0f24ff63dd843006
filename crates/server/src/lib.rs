//! The node as a program: configuration, wiring, shutdown.

pub mod audit;
pub mod chaos;
pub mod cluster;
pub mod config;
pub mod death;
pub mod doors;
#[cfg(feature = "failpoints")]
pub mod failpoints;
pub mod flags;
pub mod formation;
pub mod gauge;
mod heap;
pub mod identity;
pub mod logging;
pub mod memory;
pub mod node;
pub mod observer;
pub mod process;
pub mod reception;
pub mod reload;
pub mod secure;
pub mod settings;
pub mod signals;
pub mod telemetry;
pub mod tools;
pub mod version;
pub mod wishes;
