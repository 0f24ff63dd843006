//! What nodes say to each other: messages, clients and the server, over gRPC.
//!
//! A [`Peers`] reaches other nodes by their id, wherever they currently are, over separate
//! connections for signs of life, for entries and for snapshots, so that the small and urgent never
//! waits behind the large. [`serve`] answers them, through a [`RaftHandler`]. Both ends say who
//! they are ([`Identity`]) with every call, and strangers are refused before anything else happens.
//!
//! Every call that can be bounded takes its time limit as an argument; nothing here retries.
//!
//! **Not here:** what the messages mean. Generated code, tonic and prost do not leave this crate.

mod client;
mod error;
mod identity;
mod peers;
mod raft;
mod server;
mod wire;

pub use client::RaftPeer;
pub use error::{PeerError, Refusal};
pub use identity::{Caller, ClusterId, Identity, Incarnation};
pub use peers::{Peers, Purpose};
pub use raft::{
    AppendReply, AppendRequest, Ballot, Entry, EntryId, EntryKind, Flow, SnapshotBegin,
    SnapshotPart, TransferReply, TransferRequest, VoteReply, VoteRequest,
};
pub use server::{RaftHandler, ServeError, serve};
