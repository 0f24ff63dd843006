//! What a node says over HTTP: how it is, what it counts, what it has, and a user interface.
//!
//! A [`Server`] answers RabbitMQ's management API below `/api`, the user interface at `/`,
//! `/health/live`, `/health/startup`, `/health/ready` and `/metrics`, on any number of listeners. It
//! asks a [`Node`] and that node's broker, and keeps no state of its own, so that two requests never
//! disagree because one of them was answered from memory.
//!
//! **Not here:** the numbers. The node and the broker collect them; this crate gives them their
//! names.

// A request may become a change of the catalog, and that is many futures deep.
#![recursion_limit = "256"]

mod api;
mod exposition;
mod health;
mod listener;
mod load;
mod login;
mod metrics;
mod node;
pub mod probe;
mod server;
mod ui;

pub use api::to_json;
pub use load::{LoadError, load_definitions};
pub use login::{BrowserLogin, Endpoints, LoginServer, Logon, origin};
pub use node::{
    Answering, ClientTotals, ClusterTotals, Facts, Fault, GroupObservation, Health, Identity,
    LimitTotals, Listener, Node, Observation, Phase, ProcessObservation, Setting, ShownCertificate,
    Spared, StorageTotals, TraceTotals, Wish,
};
pub use server::{Server, Surface};
