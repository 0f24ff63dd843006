//! What nodes say to each other: messages, clients and the server, over gRPC.
//!
//! A [`Peers`] reaches other nodes by their id, wherever they currently are, over separate
//! connections per [`Purpose`], so that the small and urgent never waits behind the large. [`serve`]
//! answers them through the handlers of a [`Desk`]. Both ends say who they are ([`Identity`]) with
//! every call, and strangers are refused before anything else happens; only who looks for a cluster
//! ([`Hello`], [`Join`]) need not be anybody. A [`Guard`] keeps those out who are no nodes at all.
//!
//! Every call that can be bounded takes its time limit as an argument; nothing here retries.
//!
//! **Not here:** what the messages mean. Generated code, tonic and prost do not leave this crate.

mod batch;
mod client;
mod cluster;
mod codec;
mod dialer;
mod error;
mod flow;
mod frontend;
mod gate;
mod guard;
mod identity;
mod peers;
pub mod probe;
mod raft;
mod secret;
mod server;
mod wire;

#[cfg(test)]
mod tests;

pub use batch::MESSAGE_BYTES;
pub use client::RaftPeer;
pub use cluster::{
    Distress, Founded, GroupStatus, Hello, HelloReply, Join, JoinReply, Ping, Pong, Verdict,
};
pub use dialer::{Dialer, Duplex};
pub use error::{PeerError, Refusal};
pub use flow::Flow;
pub use frontend::{DirectReply, Followed, FrontFragment, FrontItem, HostItem, Place};
pub use gate::{Gate, Passed};
pub use guard::{Guard, PROTOCOL};
pub use identity::{Caller, ClusterId, Identity, Incarnation};
pub use peers::{MESSAGE_LIMIT_BYTES, Peers, Purpose};
pub use raft::{
    AppendReply, AppendRequest, Ballot, Entry, EntryId, EntryKind, SnapshotBegin, SnapshotPart,
    TransferReply, TransferRequest, VoteReply, VoteRequest,
};
pub use secret::Secrets;
pub use server::{
    ClusterHandler, Desk, FrontendHandler, Nobody, RaftHandler, ServeError, serve, serve_streams,
};
