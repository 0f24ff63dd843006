//! Many Raft groups on one node, each driving a [`warren_machine::Machine`].
//!
//! A [`Node`] is consensus on this node: the groups that run here, the log they share the disk
//! with, and the way to the other nodes. A [`Group`] is one replica: what is submitted to it comes
//! back, once committed and applied, as the machine's reply, to whoever submitted it. What the
//! machine wants done ([`Performed`]) leaves on the leader alone.
//!
//! **Always true:**
//! - Entries submitted one after the other stand in the log in that order, while leadership lasts.
//! - [`ProposeError::NotLeader`] means certainly not done, [`ProposeError::MaybeDone`] means
//!   unknown; nothing else is ever said of an entry that was handed in.
//! - Whether effects leave is decided by the log alone: a leadership begins to perform with its
//!   own first entry, after [`warren_machine::Machine::take_over`], and performs its own entries.
//!   A node that was restarted does not perform what it proposed in its former life.
//! - A group that failed or panicked ends the process ([`Node::on_fatal`]); none lives on
//!   half-dead.
//!
//! **Not here:** what entries mean. `openraft` does not leave this crate.

mod apply;
mod aside;
mod codec;
mod config;
mod driver;
mod error;
mod fatal;
mod group;
mod handler;
mod handover;
mod holds;
mod log;
mod member;
mod network;
mod node;
pub mod probe;
mod propose;
mod recall;
mod rounds;
mod rows;
mod runtime;
mod status;
mod sweep;
mod tidy;
mod transfers;
mod types;
mod usurp;

#[cfg(test)]
mod tests;

pub use config::Config;
pub use driver::Performed;
pub use error::{BootstrapError, MembershipError, ProposeError, ReadError, StartError};
pub use fatal::Fatality;
pub use group::Group;
pub use handler::Handler;
pub use node::Node;
pub use propose::Submitted;
pub use rows::Rows;
pub use status::{Leadership, Status};
pub use warren_rpc::{Caller, ClusterId, Identity, Incarnation, Peers};
