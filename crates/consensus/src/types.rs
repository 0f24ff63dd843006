//! What openraft is told about our types.
//!
//! None of it depends on the machine: openraft is compiled once, whatever runs on top. A command
//! is bytes, and the machine's reply travels from apply to the proposer as it is, in an
//! [`Answer`], without being written down.

use std::any::Any;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use openraft::impls::leader_id_adv::LeaderId;
use openraft::impls::{BasicNode, BoxedErrorSource, EntryPayload, InlineBatch};
use openraft::raft::responder::Responder;
use openraft::type_config::alias;
use openraft::{OptionalSend, RaftTypeConfig};
use tokio::sync::oneshot;

use crate::runtime::Runtime;

/// openraft's type parameter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Types;

impl RaftTypeConfig for Types {
    type D = Command;
    type R = Answer;
    type NodeId = u64;
    type Node = BasicNode;
    type Term = u64;
    type LeaderId = LeaderId<u64, u64>;
    type Vote = openraft::Vote<Self::LeaderId>;
    type Payload = EntryPayload<Command, u64, BasicNode>;
    type Entry = openraft::Entry<LeaderId<u64, u64>, Self::Payload>;
    type AsyncRuntime = Runtime;
    type Responder<T>
        = Waiter<T>
    where
        T: OptionalSend + 'static;
    type Batch<T>
        = InlineBatch<T>
    where
        T: OptionalSend + 'static;
    type ErrorSource = BoxedErrorSource;
}

pub(crate) type Leader = LeaderId<u64, u64>;
pub(crate) type LogId = alias::LogIdOf<Types>;
pub(crate) type Entry = alias::EntryOf<Types>;
pub(crate) type Vote = alias::VoteOf<Types>;
pub(crate) type Membership = openraft::Membership<u64, BasicNode>;
pub(crate) type StoredMembership = alias::StoredMembershipOf<Types>;
pub(crate) type SnapshotMeta = alias::SnapshotMetaOf<Types>;

/// A command for the machine.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Command(pub(crate) Bytes);

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// The machine's reply to one entry, or nothing for an entry that is not the machine's.
///
/// openraft wants it shareable, which a reply need not be; the lock is never contended.
pub(crate) struct Answer(Mutex<Option<Box<dyn Any + Send>>>);

impl Answer {
    pub(crate) fn nothing() -> Self {
        Self(Mutex::new(None))
    }

    pub(crate) fn new<R: Send + 'static>(reply: R) -> Self {
        Self(Mutex::new(Some(Box::new(reply))))
    }

    /// The reply, if it is one of type `R`.
    pub(crate) fn take<R: 'static>(self) -> Option<R> {
        let reply = self.0.into_inner().unwrap_or_else(PoisonError::into_inner)?;
        reply.downcast().ok().map(|reply| *reply)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer")
    }
}

/// Where the outcome of one proposal goes. Nobody may be listening any more.
pub(crate) struct Waiter<T>(pub(crate) oneshot::Sender<T>);

impl<T: OptionalSend + 'static> Responder<Types, T> for Waiter<T> {
    fn on_complete(self, result: T) {
        drop(self.0.send(result));
    }
}
