//! Real nodes, broken on purpose, and what came of it.
//!
//! - [`field`]: what a workload is given: the doors of the nodes, a recorder, a seed.
//! - [`workload`]: clients that record their every step in a [`history`].
//! - [`checker`]: judges a history, and the [`readings`] that were taken of the nodes.
//! - [`rig`]: nodes that can be broken; [`fault`]: what is done to them.
//! - [`run`]: a workload and a fault, phase by phase; [`report`]: what came of it.
//! - [`options`]: the command line of `warren-chaos`.

pub mod checker;
pub mod command;
pub mod dice;
pub mod fault;
pub mod field;
pub mod history;
pub mod interrupt;
pub mod options;
pub mod readings;
pub mod report;
pub mod rig;
pub mod run;
pub mod survey;
pub mod tools;
pub mod watch;
pub mod workload;
