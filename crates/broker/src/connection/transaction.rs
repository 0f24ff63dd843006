//! tx.select, commit and rollback.
//!
//! Publishes and settles of a transaction wait on the channel. At the commit they become one fragment
//! for each shard, which is applied as a whole or not at all; commit-ok follows once all of these
//! have been committed there. Across shards a commit is not atomic, as it is not across queues in
//! RabbitMQ, nor where it has more bytes for one shard than one entry takes.

use std::collections::BTreeSet;
use std::sync::Arc;

use warren_amqp::{Reply, ReplyCode};
use warren_queue::Outcome;
use warren_types::{ChannelNumber, DeliveryTag};

use super::channel::Mode;
use super::message::Wishes;
use super::plan::Plan;
use super::publish::Publish;
use super::settle::unknown;
use super::state::Connection;
use super::unacked::Unacked;
use crate::failure::Failure;

/// Bytes of messages that one transaction may hold back: they wait in memory.
const TRANSACTION_BYTES: usize = 64 * 1024 * 1024;

/// Publishes and settles that one transaction may hold back.
const TRANSACTION_STEPS: usize = 1_000_000;

/// A settle as the client asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settle {
    pub(crate) tag: DeliveryTag,
    pub(crate) multiple: bool,
    pub(crate) outcome: Outcome,
}

#[derive(Debug)]
struct Held {
    publish: Publish,
    wishes: Wishes,
    plan: Arc<Plan>,
}

/// What waits for tx.commit.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    publishes: Vec<Held>,
    publish_bytes: usize,
    settles: Vec<Settle>,
    /// Tags that were settled one by one.
    settled: BTreeSet<DeliveryTag>,
    /// All tags up to this one were settled.
    settled_to: DeliveryTag,
    /// Answers that the commit under way waits for.
    answers_due: usize,
}

impl Transaction {
    /// Publishes and settles that wait for the commit.
    pub(crate) fn held(&self) -> (usize, usize) {
        (self.publishes.len(), self.settles.len())
    }

    /// Holds a settle back; false when its tag is not open.
    pub(crate) fn settle(&mut self, unacked: &Unacked, settle: Settle) -> bool {
        let Settle { tag, multiple, .. } = settle;
        let all = multiple && tag.0 == 0;
        let open = unacked.is_open(tag) && tag > self.settled_to && !self.settled.contains(&tag);
        if !all && !open {
            return false;
        }
        if all {
            self.settled_to = unacked.newest();
        } else if multiple {
            self.settled_to = tag;
        } else {
            self.settled.insert(tag);
        }
        self.settles.push(settle);
        true
    }
}

impl Connection {
    /// tx.select
    pub(crate) fn tx_select(&mut self, number: ChannelNumber) -> Result<(), Failure> {
        let channel = self.channel(number);
        match &channel.mode {
            Mode::Plain => channel.mode = Mode::Transaction(Transaction::default()),
            Mode::Transaction(_) => {}
            Mode::Confirm(_) => {
                return Err(Failure::new(
                    ReplyCode::PreconditionFailed,
                    "cannot switch from confirm to tx mode",
                ));
            }
        }
        self.reply(number, &Reply::TxSelectOk)
    }

    fn transaction(&mut self, number: ChannelNumber) -> Result<&mut Transaction, Failure> {
        match &mut self.channel(number).mode {
            Mode::Transaction(transaction) => Ok(transaction),
            Mode::Plain | Mode::Confirm(_) => {
                Err(Failure::new(ReplyCode::PreconditionFailed, "channel is not transactional"))
            }
        }
    }

    /// Holds a publish back until the commit. Where it goes is settled here.
    pub(crate) fn hold_publish(
        &mut self,
        number: ChannelNumber,
        publish: Publish,
        wishes: Wishes,
        plan: Arc<Plan>,
    ) -> Result<(), Failure> {
        let transaction = self.transaction(number)?;
        let bytes = transaction.publish_bytes.saturating_add(publish.body.len());
        let steps = transaction.publishes.len().saturating_add(transaction.settles.len());
        if bytes > TRANSACTION_BYTES || steps >= TRANSACTION_STEPS {
            return Err(Failure::new(
                ReplyCode::PreconditionFailed,
                format_args!(
                    "a transaction holds at most {TRANSACTION_BYTES} bytes and \
                     {TRANSACTION_STEPS} publishes and acknowledgements"
                ),
            ));
        }
        transaction.publish_bytes = bytes;
        transaction.publishes.push(Held { publish, wishes, plan });
        Ok(())
    }

    /// tx.commit
    pub(crate) fn tx_commit(&mut self, number: ChannelNumber) -> Result<(), Failure> {
        let transaction = std::mem::take(self.transaction(number)?);
        // What was recovered since is not open any more: then nothing of the commit is done.
        let unacked = &self.channel(number).unacked;
        let tags = transaction.settles.iter().map(|settle| settle.tag);
        if let Some(tag) = tags.filter(|tag| tag.0 > 0).find(|tag| !unacked.is_open(*tag)) {
            return Err(unknown(tag));
        }
        // The fragments of this commit hold nothing that was asked for before it.
        self.send_staged();
        self.staging.begin_commit();
        for Held { publish, wishes, plan } in transaction.publishes {
            self.stage_publish(number, &publish, &wishes, &plan);
        }
        for settle in transaction.settles {
            self.settle_now(number, settle)?;
        }
        let channel = self.channel(number);
        let generation = channel.generation;
        let answers_due = self.staging.commit(number, generation);
        if answers_due == 0 {
            return self.reply(number, &Reply::TxCommitOk);
        }
        self.transaction(number)?.answers_due = answers_due;
        self.channel(number).busy = true;
        self.send_staged();
        Ok(())
    }

    /// A shard has committed its part of a transaction.
    pub(crate) fn commit_answered(&mut self, number: ChannelNumber, generation: u64) {
        let Some(channel) = self.channels.get_mut(&number) else { return };
        let Mode::Transaction(transaction) = &mut channel.mode else { return };
        if channel.generation != generation || transaction.answers_due == 0 {
            return;
        }
        transaction.answers_due = transaction.answers_due.saturating_sub(1);
        if transaction.answers_due == 0 {
            channel.busy = false;
            self.out.reply(number, &Reply::TxCommitOk);
            self.resume(number);
        }
    }

    /// tx.rollback: publishes are dropped, settled deliveries are outstanding again.
    pub(crate) fn tx_rollback(&mut self, number: ChannelNumber) -> Result<(), Failure> {
        *self.transaction(number)? = Transaction::default();
        self.reply(number, &Reply::TxRollbackOk)
    }
}
