//! What three nodes take: the time that a fault costs their clients, and what many queues cost them.
//!
//! - [`Options`]: what is asked for, from the command line of `warren-measure`.
//! - [`failover`]: the same fault again and again, and the longest silences it brought.
//! - [`footprint`]: processor and memory of idle nodes, without queues and with many.
//! - [`matrix`]: the same work for us and for a peer, in turn.
//! - [`scale`]: what many queues, messages, bindings and connections cost, each by itself.
//! - [`scheduled`]: messages that wait for a time of their own.
//! - [`streams`]: a stream that is read through all nodes at once.
//!
//! The nodes are fresh ones of our own, or those that `WARREN_TEST_CLUSTER` names.

pub mod failover;
pub mod footprint;
pub mod matrix;
mod options;
pub mod scale;
pub mod scheduled;
pub mod streams;

pub use options::{Fault, Options, Task, USAGE};

use anyhow::Result;

/// Does what is asked for, and gives what there is to print.
pub fn run(options: &Options) -> Result<String> {
    match &options.task {
        Task::Matrix(options) => {
            let report = matrix::measure(options)?;
            Ok(if options.json { serde_json::to_string(&report)? } else { report.to_text() })
        }
        Task::Scale(options) => {
            let report = scale::measure(options)?;
            Ok(if options.json { serde_json::to_string(&report)? } else { report.to_text() })
        }
        Task::Scheduled(options) => {
            let report = scheduled::measure(options)?;
            Ok(if options.json { serde_json::to_string(&report)? } else { report.to_text() })
        }
        Task::Streams(options) => {
            let report = streams::measure(options)?;
            Ok(if options.json { serde_json::to_string(&report)? } else { report.to_text() })
        }
        Task::Failover => {
            let report = failover::measure(options);
            Ok(if options.json { serde_json::to_string(&report)? } else { report.to_text() })
        }
        Task::Queues | Task::Idle => {
            let report = footprint::measure(options)?;
            Ok(if options.json { serde_json::to_string(&report)? } else { report.to_text() })
        }
    }
}
