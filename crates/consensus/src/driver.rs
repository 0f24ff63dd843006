//! The machine of one group, and what surrounds it while entries are applied.
//!
//! [`Cell`] knows the machine's type; everything below it, openraft included, sees a [`Driver`].
//! The state is behind a lock that is held for one entry at a time and never over an await, so
//! that those who only look ([`Cell::inspect`]) wait for one entry at most.
//!
//! **Invariant:** machine, last applied entry and membership change together, under the lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use openraft::impls::EntryPayload;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use warren_machine::{Applied, Digest, Machine, RestoreError, SparseRow};
use warren_types::{LogIndex, NodeId, Term};

use crate::codec;
use crate::types::{Answer, Command, Entry, Leader, LogId, SnapshotMeta, StoredMembership};

/// What one applied entry asks the world to do; the leader's machine alone speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Performed<E> {
    /// The entry.
    pub index: LogIndex,
    /// The term in which it was proposed.
    pub term: Term,
    /// What the entry says; empty for a take-over.
    pub payload: Bytes,
    /// Whether these are what a new leader owes, before the first entry of its own.
    pub take_over: bool,
    /// What to do, in this order.
    pub effects: Vec<E>,
}

/// A machine of whatever type.
pub(crate) trait Driver: Send + Sync + 'static {
    /// The log is given commands.
    fn appended(&self);
    /// Applies the next committed entry and hands its effects out.
    fn apply(&self, entry: Entry) -> Answer;
    /// Lets those who wait see how far it has come.
    fn publish(&self);
    /// The last entry applied, and the membership as of it.
    fn applied(&self) -> (Option<LogId>, StoredMembership);
    /// Tells when more was applied.
    fn progress(&self) -> watch::Receiver<LogIndex>;
    /// Bytes of commands applied since the start.
    fn applied_bytes(&self) -> u64;
    /// The state, and what it covers.
    fn snapshot(&self) -> (SnapshotMeta, Vec<Bytes>);
    /// Replaces the state.
    fn install(&self, meta: &SnapshotMeta, pages: &[Bytes]) -> Result<(), RestoreError>;
    /// See [`Machine::live_rows`].
    fn live_rows(&self, floor: LogIndex) -> Vec<LogIndex>;
    /// See [`Machine::sparse_rows`].
    fn sparse_rows(&self, after: LogIndex, floor: LogIndex, limit: usize) -> Vec<SparseRow>;
    /// See [`Machine::thin`].
    fn thin(&self, row: &Bytes, live_offsets: &[u32]) -> Bytes;
}

struct State<M> {
    machine: M,
    applied: Option<LogId>,
    membership: StoredMembership,
    /// This node's leadership whose entries are performed.
    reign: Option<Leader>,
}

/// The machine of one group, of a known type.
pub(crate) struct Cell<M: Machine> {
    node: NodeId,
    /// The term that was known when this node started: what it proposed up to then belongs to a
    /// former life, whose front ends are gone.
    born: Term,
    state: RwLock<State<M>>,
    /// When the log was given its last command.
    appended_at: Mutex<Instant>,
    effects: mpsc::UnboundedSender<Performed<M::Effect>>,
    applied: AtomicU64,
    applied_bytes: AtomicU64,
    published: watch::Sender<LogIndex>,
}

impl<M: Machine> Cell<M> {
    pub(crate) fn new(
        node: NodeId,
        born: Term,
        machine: M,
        effects: mpsc::UnboundedSender<Performed<M::Effect>>,
    ) -> Self {
        let membership = StoredMembership::default();
        Self {
            node,
            born,
            state: RwLock::new(State { machine, applied: None, membership, reign: None }),
            appended_at: Mutex::new(Instant::now()),
            effects,
            applied: AtomicU64::new(0),
            applied_bytes: AtomicU64::new(0),
            published: watch::Sender::new(LogIndex(0)),
        }
    }

    pub(crate) fn inspect<R>(&self, look: impl FnOnce(&M) -> R) -> R {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner).machine)
    }

    /// The last entry applied, and the fingerprint of the state that it left.
    pub(crate) fn fingerprint(&self) -> (LogIndex, Digest) {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        (self.applied_index(), state.machine.digest())
    }

    /// How long ago the last command came to this replica's log.
    pub(crate) fn since_appended(&self) -> Duration {
        self.appended_at.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    pub(crate) fn applied_index(&self) -> LogIndex {
        LogIndex(self.applied.load(Ordering::Acquire))
    }

    fn perform(&self, performed: Performed<M::Effect>) {
        // Nobody listening means that the broker above is going down.
        drop(self.effects.send(performed));
    }

    /// Whether `leader` is this node in its present life. Takes over with its first entry.
    fn is_own(&self, state: &mut State<M>, leader: Leader, index: LogIndex) -> bool {
        if leader.node_id != self.node.0 || leader.term <= self.born.0 {
            return false;
        }
        if state.reign != Some(leader) {
            state.reign = Some(leader);
            let effects = state.machine.take_over();
            let (term, payload) = (Term(leader.term), Bytes::new());
            self.perform(Performed { index, term, payload, take_over: true, effects });
        }
        true
    }

    fn set_applied(&self, state: &mut State<M>, id: LogId) {
        state.applied = Some(id);
        self.applied.store(codec::index(id.index).0, Ordering::Release);
    }
}

impl<M: Machine> Driver for Cell<M> {
    fn appended(&self) {
        *self.appended_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn apply(&self, entry: Entry) -> Answer {
        let id = entry.log_id;
        let (index, term) = (codec::index(id.index), Term(id.leader_id.term));
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let own = self.is_own(&mut state, id.leader_id, index);
        let answer = match entry.payload {
            EntryPayload::Blank => Answer::nothing(),
            EntryPayload::Membership(membership) => {
                state.membership = StoredMembership::new(Some(id), membership);
                Answer::nothing()
            }
            EntryPayload::Normal(Command(payload)) => {
                let bytes = u64::try_from(payload.len()).unwrap_or(u64::MAX);
                self.applied_bytes.fetch_add(bytes, Ordering::Relaxed);
                let entry = warren_machine::Entry { index, term, payload };
                let Applied { reply, effects } = state.machine.apply(&entry);
                if own && !effects.is_empty() {
                    let payload = entry.payload;
                    self.perform(Performed { index, term, payload, take_over: false, effects });
                }
                Answer::new(reply)
            }
        };
        #[cfg(feature = "failpoints")]
        fail::fail_point!("consensus.apply.after");
        self.set_applied(&mut state, id);
        answer
    }

    fn publish(&self) {
        let applied = self.applied_index();
        self.published.send_if_modified(|seen| {
            let more = *seen != applied;
            *seen = applied;
            more
        });
    }

    fn applied(&self) -> (Option<LogId>, StoredMembership) {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        (state.applied, state.membership.clone())
    }

    fn progress(&self) -> watch::Receiver<LogIndex> {
        self.published.subscribe()
    }

    fn applied_bytes(&self) -> u64 {
        self.applied_bytes.load(Ordering::Relaxed)
    }

    fn snapshot(&self) -> (SnapshotMeta, Vec<Bytes>) {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let last_membership = state.membership.clone();
        (SnapshotMeta { last_log_id: state.applied, last_membership }, state.machine.snapshot())
    }

    fn install(&self, meta: &SnapshotMeta, pages: &[Bytes]) -> Result<(), RestoreError> {
        let machine = M::restore(pages)?;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.machine = machine;
        state.membership = meta.last_membership.clone();
        if let Some(id) = meta.last_log_id {
            self.set_applied(&mut state, id);
        }
        drop(state);
        self.publish();
        Ok(())
    }

    fn live_rows(&self, floor: LogIndex) -> Vec<LogIndex> {
        self.inspect(|machine| machine.live_rows(floor))
    }

    fn sparse_rows(&self, after: LogIndex, floor: LogIndex, limit: usize) -> Vec<SparseRow> {
        self.inspect(|machine| machine.sparse_rows(after, floor, limit))
    }

    fn thin(&self, row: &Bytes, live_offsets: &[u32]) -> Bytes {
        M::thin(row, live_offsets)
    }
}
