//! Messages that may be any bytes, for those who look for bytes that cannot be borne.

use prost::Message;

use crate::cluster::{GroupStatus, Hello, HelloReply, Join, JoinReply, Ping, Pong, Verdict};
use crate::codec::{Shaped, Unreadable, check};
use crate::frontend::{FrontItem, HostItem};
use crate::raft::{
    AppendReply, AppendRequest, SnapshotBegin, SnapshotPart, TransferReply, TransferRequest,
    VoteReply, VoteRequest,
};
use crate::wire::generated::{cluster, frontend, raft};

/// Reads `bytes` as each message that has a meaning beyond its bytes.
///
/// # Panics
/// When what one means would be understood otherwise if it were sent on.
pub fn messages(bytes: &[u8]) {
    round::<cluster::HelloRequest, Hello>(bytes);
    round::<cluster::HelloReply, HelloReply>(bytes);
    round::<cluster::JoinRequest, Join>(bytes);
    round::<cluster::JoinReply, JoinReply>(bytes);
    round::<cluster::PingRequest, Ping>(bytes);
    round::<cluster::PingReply, Pong>(bytes);
    round::<cluster::ProbeReply, Verdict>(bytes);
    round::<cluster::GroupStatusReply, GroupStatus>(bytes);
    round::<frontend::FrontBatch, Vec<FrontItem>>(bytes);
    round::<frontend::HostBatch, Vec<HostItem>>(bytes);
    round::<raft::AppendRequest, AppendRequest>(bytes);
    round::<raft::AppendReply, AppendReply>(bytes);
    round::<raft::VoteRequest, VoteRequest>(bytes);
    round::<raft::VoteReply, VoteReply>(bytes);
    round::<raft::TransferRequest, TransferRequest>(bytes);
    round::<raft::TransferReply, TransferReply>(bytes);
    round::<raft::SnapshotPart, SnapshotBegin>(bytes);
    round::<raft::SnapshotPart, SnapshotPart>(bytes);
}

/// As the message `W`, which means an `O`.
fn round<W: Message + Default + Shaped + From<O>, O: TryFrom<W>>(bytes: &[u8]) {
    let Some(said) = meaning::<W, O>(bytes) else { return };
    let written = W::from(said).encode_to_vec();
    let again = meaning::<W, O>(&written).expect("what has a meaning keeps it");
    assert_eq!(W::from(again).encode_to_vec(), written);
}

/// What `bytes` mean, if they mean anything. What can be read is not held for malformed before.
fn meaning<W: Message + Default + Shaped, O: TryFrom<W>>(bytes: &[u8]) -> Option<O> {
    let message = W::decode(bytes).ok()?;
    assert_ne!(check::<W>(bytes), Err(Unreadable::Malformed));
    message.try_into().ok()
}
