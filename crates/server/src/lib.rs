//! The node as a program: configuration, wiring, shutdown.

pub mod cluster;
pub mod config;
pub mod death;
pub mod doors;
pub mod flags;
pub mod formation;
pub mod identity;
pub mod logging;
pub mod node;
pub mod observer;
pub mod process;
pub mod reception;
pub mod settings;
pub mod signals;
pub mod tools;
pub mod version;
