//! The front ends that a shard knows.
//!
//! A node has one session at a time: its last boot. What it asked is remembered beyond the session's
//! end ([`Answers`]), so that a request whose outcome was unknown is not done twice when the session
//! was closed and opened again in between. A later boot begins from nothing.

mod answers;

use std::collections::BTreeMap;
use std::sync::Arc;

use warren_types::{
    BootId, ConsumerId, ConsumerNumber, Location, NodeId, RequestSequence, SessionId,
};

use crate::run::Parts;
use crate::{CommandReply, FragmentReply};

pub(crate) use answers::{Answers, Kept};

/// Where a consumer sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    /// The queue's place in the shard.
    pub(crate) queue: usize,
    /// The consumer's order in the queue.
    pub(crate) order: u64,
}

/// What an open session has here.
#[derive(Debug, Default)]
pub(crate) struct Session {
    pub(crate) consumers: BTreeMap<ConsumerNumber, Seat>,
    pub(crate) uploads: BTreeMap<u64, Upload>,
}

/// Parts of a body that no publish has claimed yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Upload {
    pub(crate) parts: Vec<(Location, u32)>,
}

impl Upload {
    /// The parts, for the message that claims them.
    pub(crate) fn parts(&self) -> Arc<Parts> {
        Arc::new(Parts {
            locations: self.parts.iter().map(|(at, _)| *at).collect(),
            sizes: self.parts.iter().map(|(_, size)| *size).collect(),
        })
    }
}

/// What is remembered of a node.
#[derive(Debug, Default)]
pub(crate) struct Node {
    /// Its last boot.
    pub(crate) boot: BootId,
    /// What that boot asked, and was answered.
    pub(crate) answers: Answers,
    /// Its session, while open.
    pub(crate) session: Option<Session>,
}

/// Whether a fragment is to be done.
#[derive(Debug)]
pub(crate) enum Admission {
    /// Its session is open, and it comes next.
    Admitted,
    /// There is nothing to be done but to answer this.
    Answered(FragmentReply),
    /// The fragment opens the session; `ends` is the one that its node had before.
    Opens { ends: Option<SessionId> },
}

impl Admission {
    const UNKNOWN: Self = Self::Answered(FragmentReply::UnknownSession);
}

/// All nodes that ever opened a session.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    nodes: BTreeMap<NodeId, Node>,
}

impl Sessions {
    /// Says what is to be done with a request, and takes note of its number when it is admitted, and
    /// of what its session has heard.
    ///
    /// One that was done and whose first command opens the session opens it again where it was closed
    /// since, and is not done: so a front end that goes on behind what it has heard may open its
    /// session under a number that it has used. One from before that is a straggler: its front end
    /// had the session open since, and is yet to be told that it was closed.
    pub(crate) fn admit(
        &mut self,
        id: SessionId,
        sequence: RequestSequence,
        heard: RequestSequence,
        opens: bool,
    ) -> Admission {
        let Some(node) = self.nodes.get_mut(&id.node) else {
            return if opens { Admission::Opens { ends: None } } else { Admission::UNKNOWN };
        };
        if node.boot != id.boot {
            if !opens || id.boot < node.boot {
                return Admission::UNKNOWN;
            }
            let former = SessionId { node: id.node, boot: node.boot };
            return Admission::Opens { ends: node.session.is_some().then_some(former) };
        }
        let is_open = node.session.is_some();
        if is_open && node.answers.is_next(sequence) {
            node.answers.advance(sequence, heard);
            return Admission::Admitted;
        }
        node.answers.hear(heard);
        if let Some(reply) = node.answers.earlier(sequence) {
            if opens && !is_open {
                if sequence < node.answers.heard() || reply == FragmentReply::UnknownSession {
                    return Admission::UNKNOWN;
                }
                node.session = Some(Session::default());
            }
            return Admission::Answered(reply);
        }
        match (is_open, opens) {
            (true, _) => Admission::Answered(FragmentReply::Gap { next: node.answers.next() }),
            (false, true) => Admission::Opens { ends: None },
            (false, false) => Admission::UNKNOWN,
        }
    }

    /// Opens a session in place of whatever its node had; that must have been ended.
    pub(crate) fn open(
        &mut self,
        id: SessionId,
        sequence: RequestSequence,
        heard: RequestSequence,
    ) {
        let node = self.nodes.entry(id.node).or_default();
        if node.boot != id.boot {
            *node = Node { boot: id.boot, ..Node::default() };
        }
        node.session = Some(Session::default());
        node.answers.advance(sequence, heard);
    }

    /// Keeps what a request was answered, for as long as its session has not heard it.
    #[inline]
    pub(crate) fn keep(
        &mut self,
        id: SessionId,
        sequence: RequestSequence,
        replies: &[(u32, CommandReply)],
    ) {
        if replies.is_empty() {
            return;
        }
        if let Some(node) = self.nodes.get_mut(&id.node).filter(|node| node.boot == id.boot) {
            node.answers.keep(sequence, replies);
        }
    }

    /// Ends a session; what it had is the caller's.
    pub(crate) fn close(&mut self, id: SessionId) -> Option<Session> {
        self.nodes.get_mut(&id.node).filter(|node| node.boot == id.boot)?.session.take()
    }

    /// An open session.
    #[inline]
    pub(crate) fn session(&self, id: SessionId) -> Option<&Session> {
        self.nodes.get(&id.node).filter(|node| node.boot == id.boot)?.session.as_ref()
    }

    /// An open session.
    #[inline]
    pub(crate) fn session_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.nodes.get_mut(&id.node).filter(|node| node.boot == id.boot)?.session.as_mut()
    }

    /// Where a consumer sits.
    #[inline]
    pub(crate) fn seat(&self, id: ConsumerId) -> Option<Seat> {
        self.session(id.session)?.consumers.get(&id.number).copied()
    }

    /// Takes note of where a consumer sits.
    pub(crate) fn seat_consumer(&mut self, id: ConsumerId, seat: Seat) {
        if let Some(session) = self.session_mut(id.session) {
            session.consumers.insert(id.number, seat);
        }
    }

    /// Forgets a consumer.
    pub(crate) fn unseat_consumer(&mut self, id: ConsumerId) {
        if let Some(session) = self.session_mut(id.session) {
            session.consumers.remove(&id.number);
        }
    }

    /// What a boot asked and was answered, if it is its node's last one.
    pub(crate) fn answers_mut(&mut self, id: SessionId) -> Option<&mut Answers> {
        let node = self.nodes.get_mut(&id.node).filter(|node| node.boot == id.boot);
        node.map(|node| &mut node.answers)
    }

    /// Everything, by node.
    pub(crate) fn nodes(&self) -> impl ExactSizeIterator<Item = (NodeId, &Node)> {
        self.nodes.iter().map(|(id, node)| (*id, node))
    }

    /// The open sessions, by node.
    pub(crate) fn open_sessions(&self) -> impl Iterator<Item = (SessionId, &Session)> {
        self.nodes.iter().filter_map(|(node, state)| {
            let id = SessionId { node: *node, boot: state.boot };
            state.session.as_ref().map(|session| (id, session))
        })
    }

    /// Bytes of memory that what was answered takes, roughly.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.nodes.values().map(|node| node.answers.memory_bytes()).sum()
    }

    /// Puts back what a snapshot has of a node.
    pub(crate) fn restore(&mut self, id: NodeId, node: Node) {
        self.nodes.insert(id, node);
    }
}
